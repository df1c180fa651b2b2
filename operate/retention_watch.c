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

static struct retention_topic *watch_find(const struct retention_watch *watch, const char *name)
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

/* List the topics of all types. What is known of one stays until it is looked at again. */
static void watch_list(struct retention_watch *watch, const struct members *members)
{
    struct error ignored = ERROR_INIT;
    struct retention_watch listed = {.listed_us = clock_monotonic_us()};
    struct members_type *types = NULL;
    size_t count = 0;
    if (members_types(members, &types, &count, &ignored) != STATUS_OK)
        return;
    listed.topics = calloc(count + 1, sizeof *listed.topics);
    for (size_t i = 0; listed.topics != NULL && i < count; i++) {
        struct retention_topic *known = watch_find(watch, types[i].topic);
        if (watch_find(&listed, types[i].topic) != NULL)
            continue;
        struct retention_topic *topic = &listed.topics[listed.count++];
        (void)snprintf(topic->name, sizeof topic->name, "%s", types[i].topic);
        if (known == NULL)
            continue;
        topic->retention = known->retention;
        known->retention = (struct topic_retention){0};
    }
    free(types);
    retention_watch_done(watch);
    *watch = listed;
}

void retention_watch_look(struct retention_watch *watch, const struct members *members,
                          struct control_topic *topic, size_t limit)
{
    bool is_over = watch->next == watch->count;
    if (is_over && (watch->listed_us == 0 || clock_monotonic_us() - watch->listed_us >= WATCH_US))
        watch_list(watch, members);
    for (; watch->next < watch->count && limit > 0; watch->next++, limit--) {
        struct error ignored = ERROR_INIT;
        struct retention_topic *at = &watch->topics[watch->next];
        topic_retention_done(&at->retention);
        if (control_topic_retention(topic, at->name, &at->retention, &ignored) != STATUS_OK)
            topic_retention_done(&at->retention);
    }
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
