/* The logs are looked at seldom: what retention does takes hours. */
#include "operate/retention_watch.h"

#include "common/clock.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WATCH_US        (INT64_C(30) * 1000 * 1000)
#define TOPIC_NAME_SIZE 256

struct retention_topic {
    char name[TOPIC_NAME_SIZE];
    struct topic_retention retention;
};

static const struct retention_topic *watch_find(const struct retention_watch *watch,
                                                const char *name)
{
    for (size_t i = 0; i < watch->count; i++) {
        if (strcmp(watch->topics[i].name, name) == 0)
            return &watch->topics[i];
    }
    return NULL;
}

void retention_watch_done(struct retention_watch *watch)
{
    for (size_t i = 0; i < watch->count; i++)
        topic_retention_done(&watch->topics[i].retention);
    free(watch->topics);
    *watch = (struct retention_watch){0};
}

static void watch_add(struct retention_watch *watch, const char *name, struct control_topic *topic)
{
    struct error ignored = ERROR_INIT;
    struct retention_topic *added = &watch->topics[watch->count++];
    *added = (struct retention_topic){0};
    (void)snprintf(added->name, sizeof added->name, "%s", name);
    if (control_topic_retention(topic, name, &added->retention, &ignored) != STATUS_OK)
        topic_retention_done(&added->retention);
}

void retention_watch_look(struct retention_watch *watch, const struct members *members,
                          struct control_topic *topic)
{
    struct error ignored = ERROR_INIT;
    struct members_type *types = NULL;
    size_t count = 0;
    int64_t now_us = clock_monotonic_us();
    if (watch->looked_us != 0 && now_us - watch->looked_us < WATCH_US)
        return;
    if (members_types(members, &types, &count, &ignored) != STATUS_OK)
        return;
    retention_watch_done(watch);
    watch->looked_us = now_us;
    watch->topics = calloc(count + 1, sizeof *watch->topics);
    for (size_t i = 0; watch->topics != NULL && i < count; i++) {
        if (watch_find(watch, types[i].topic) == NULL)
            watch_add(watch, types[i].topic, topic);
    }
    free(types);
}

struct retention_left retention_watch_left(const struct retention_watch *watch,
                                           const struct quorum *quorum, size_t member)
{
    struct retention_left first = {.left_s = NAN, .partition = -1};
    const struct retention_topic *topic = watch_find(watch, quorum->topic);
    bool is_copy = quorum->members[member].applied != NULL;
    for (int32_t i = 0; topic != NULL && is_copy && i < quorum->partition_count; i++) {
        double left_s = topic_retention_left_s(&topic->retention, i,
                                               quorum_position(quorum, member, i)->applied);
        if (!isnan(left_s) && (isnan(first.left_s) || left_s < first.left_s))
            first = (struct retention_left){left_s, i};
    }
    return first;
}
