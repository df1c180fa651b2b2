/* The partitions of the feed: rebalances, offsets, pauses, hints, the bounds of their logs. */
#include "consumer/feed/internal.h"

#include "common/kafka_channel.h"
#include "common/kafka_group.h"
#include "common/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FEED_GROUP_MS 1000
#define UUID_LENGTH   36

static int feed_compare(const void *a, const void *b)
{
    struct topic_partition left = ((const struct feed_position *)a)->tp;
    struct topic_partition right = ((const struct feed_position *)b)->tp;
    int order = strcmp(left.topic, right.topic);
    return order != 0 ? order
                      : (left.partition > right.partition) - (left.partition < right.partition);
}

struct feed_topic *feed_topic_find(const struct feed *feed, const char *topic)
{
    for (size_t i = 0; i < feed->topic_count; i++) {
        if (strcmp(feed->described[i].name, topic) == 0)
            return &feed->described[i];
    }
    return NULL;
}

static void feed_note_assigned(struct feed *feed, const rd_kafka_topic_partition_t *assigned)
{
    const struct feed_topic *topic = feed_topic_find(feed, assigned->topic);
    if (topic == NULL)
        (void)snprintf(feed->unread_topic, sizeof feed->unread_topic, "%s", assigned->topic);
    else
        feed->assigned[feed->assigned_count++] = (struct feed_position){
            .tp = {topic->name, assigned->partition}};
}

void feed_rebalanced(rd_kafka_t *handle, rd_kafka_resp_err_t code,
                     rd_kafka_topic_partition_list_t *list, void *opaque)
{
    struct feed *feed = opaque;
    size_t count = (size_t)list->cnt;
    bool assign = code == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;
    if (!assign && rd_kafka_assignment_lost(handle) != 0)
        feed_note_cut_off(feed);
    free(feed->assigned);
    feed->assigned = calloc(count + 1, sizeof *feed->assigned);
    feed->assigned_count = 0;
    feed->unread_topic[0] = '\0';
    if (feed->closing || !assign || feed->assigned == NULL)
        count = 0;
    for (size_t i = 0; i < count; i++)
        feed_note_assigned(feed, &list->elems[i]);
    if (feed->assigned_count > 1)
        qsort(feed->assigned, feed->assigned_count, sizeof *feed->assigned, feed_compare);
    if (feed->closing) {
        (void)rd_kafka_assign(handle, NULL);
        return;
    }
    feed->rebalance = assign ? FEED_ASSIGN : FEED_REVOKE;
    feed->is_rejoining = feed->is_rejoining && !assign;
    rd_kafka_yield(handle);
}

static enum status feed_check(struct feed *feed, rd_kafka_resp_err_t code, const char *what,
                              struct error *err)
{
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
        return STATUS_OK;
    if (code == RD_KAFKA_RESP_ERR__FATAL)
        return feed_fatal(feed, code, what, err);
    return error_set_native(err, kafka_error_status(code), (int)code, "kafka: %s: %s", what,
                            rd_kafka_err2str(code));
}

enum status feed_subscribe(struct feed *feed, struct error *err)
{
    enum status status = STATUS_OK;
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(
        (int)feed->topic_count);
    for (size_t i = 0; i < feed->topic_count; i++) {
        if (feed->described[i].partitions > 0)
            (void)rd_kafka_topic_partition_list_add(list, feed->described[i].name,
                                                    RD_KAFKA_PARTITION_UA);
    }
    if (list->cnt > 0)
        status = feed_check(feed, rd_kafka_subscribe(feed->handle, list), "subscribe", err);
    rd_kafka_topic_partition_list_destroy(list);
    return status;
}

enum status feed_rejoin(struct feed *feed, struct error *err)
{
    enum status status = feed_check(feed, rd_kafka_unsubscribe(feed->handle), "unsubscribe", err);
    feed->is_rejoining = true;
    return status == STATUS_OK ? feed_subscribe(feed, err) : status;
}

/** @return whether some partition has no owner in the group; logs the first. */
static bool feed_lacks_owner(const struct feed *feed, const struct rd_kafka_group_list *group)
{
    for (size_t i = 0; i < feed->topic_count; i++) {
        const struct feed_topic *topic = &feed->described[i];
        for (int32_t partition = 0; partition < topic->partitions; partition++) {
            if (kafka_group_owner(group, (struct topic_partition){topic->name, partition}) != NULL)
                continue;
            log_info("agent", "%s/%d has no owner in the group: joining again", topic->name,
                     partition);
            return true;
        }
    }
    return false;
}

enum status feed_find_unowned(struct feed *feed, bool *ret_found, struct error *err)
{
    const struct rd_kafka_group_list *group = NULL;
    size_t existing = 0;
    *ret_found = feed->unread_topic[0] != '\0';
    if (*ret_found) {
        log_info("agent", "the group handed out '%s', which is not read here: joining again",
                 feed->unread_topic);
        return STATUS_OK;
    }
    for (size_t i = 0; i < feed->topic_count; i++)
        existing += (size_t)feed->described[i].partitions;
    if (feed->assigned_count >= existing || kafka_is_mock(feed->cluster_id))
        return STATUS_OK;
    enum status status = kafka_group_describe(feed->handle, feed->group, FEED_GROUP_MS, &group,
                                              err);
    if (status == STATUS_OK && kafka_group_is_stable(group))
        *ret_found = feed_lacks_owner(feed, group);
    kafka_group_free(group);
    return status;
}

/* The coordinator makes the id of a member out of its static name, a dash and a UUID. */
static bool feed_is_of_instance(const struct feed *feed, const char *member_id)
{
    size_t length = strlen(feed->instance);
    return strncmp(member_id, feed->instance, length) == 0 && member_id[length] == '-' &&
           strlen(member_id) == length + 1 + UUID_LENGTH;
}

enum status feed_find_double(const struct feed *feed, struct error *err)
{
    struct error ignored = ERROR_INIT;
    const struct rd_kafka_group_list *group = NULL;
    bool is_doubled = false;
    char *own = kafka_is_mock(feed->cluster_id) ? NULL : rd_kafka_memberid(feed->handle);
    bool is_member = own != NULL && *own != '\0';
    if (is_member && kafka_group_describe(feed->handle, feed->group, FEED_GROUP_MS, &group,
                                          &ignored) == STATUS_OK) {
        for (int i = 0; i < group->groups[0].member_cnt; i++) {
            const char *member_id = group->groups[0].members[i].member_id;
            is_doubled = is_doubled ||
                         (feed_is_of_instance(feed, member_id) && strcmp(member_id, own) != 0);
        }
    }
    kafka_group_free(group);
    if (own != NULL)
        rd_kafka_mem_free(feed->handle, own);
    return is_doubled ? feed_is_doubled(feed, err) : STATUS_OK;
}

const char *feed_group(const struct feed *feed)
{
    return feed->group;
}

const char *feed_cluster_id(const struct feed *feed)
{
    return feed->cluster_id;
}

int32_t feed_partition_count(const struct feed *feed, const char *topic)
{
    const struct feed_topic *found = feed_topic_find(feed, topic);
    return found == NULL ? 0 : found->partitions;
}

bool feed_is_sequenced(const struct feed *feed, const char *topic)
{
    const struct feed_topic *found = feed_topic_find(feed, topic);
    return found != NULL && found->is_sequenced;
}

bool feed_loses_numbers(const struct feed *feed, const char *topic)
{
    const struct feed_topic *found = feed_topic_find(feed, topic);
    return found != NULL && found->is_sequenced && found->is_compacted;
}

enum status feed_assign(struct feed *feed, const struct feed_position *assigned, size_t count,
                        struct error *err)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)count);
    for (size_t i = 0; i < count; i++)
        rd_kafka_topic_partition_list_add(list, assigned[i].tp.topic, assigned[i].tp.partition)
            ->offset = assigned[i].offset;
    enum status status = feed_check(feed, rd_kafka_assign(feed->handle, list), "assign", err);
    rd_kafka_topic_partition_list_destroy(list);
    feed->rebalance = FEED_NONE;
    return status;
}

void feed_assign_again(struct feed *feed)
{
    if (feed->rebalance == FEED_NONE && feed->assigned_count > 0)
        feed->rebalance = FEED_ASSIGN;
}

enum status feed_unassign(struct feed *feed, struct error *err)
{
    feed->rebalance = FEED_NONE;
    return feed_check(feed, rd_kafka_assign(feed->handle, NULL), "unassign", err);
}

static enum status feed_pause_list(struct feed *feed, rd_kafka_topic_partition_list_t *list,
                                   bool pause, struct error *err)
{
    rd_kafka_resp_err_t code = pause ? rd_kafka_pause_partitions(feed->handle, list)
                                     : rd_kafka_resume_partitions(feed->handle, list);
    return feed_check(feed, code, pause ? "pause" : "resume", err);
}

enum status feed_pause(struct feed *feed, struct topic_partition tp, bool pause, struct error *err)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    (void)rd_kafka_topic_partition_list_add(list, tp.topic, tp.partition);
    enum status status = feed_pause_list(feed, list, pause, err);
    rd_kafka_topic_partition_list_destroy(list);
    return status;
}

enum status feed_pause_all(struct feed *feed, bool pause, struct error *err)
{
    rd_kafka_topic_partition_list_t *list = NULL;
    enum status status = feed_check(feed, rd_kafka_assignment(feed->handle, &list), "assignment",
                                    err);
    if (status != STATUS_OK)
        return status;
    if (list->cnt > 0)
        status = feed_pause_list(feed, list, pause, err);
    rd_kafka_topic_partition_list_destroy(list);
    return status;
}

/** Forget an event of this partition that feed_unread() has kept: it was read before the seek. */
static void feed_forget_unread(struct feed *feed, struct topic_partition tp)
{
    const rd_kafka_message_t *message = feed->message;
    if (!feed->is_unread || message->rkt == NULL)
        return;
    struct topic_partition of = {rd_kafka_topic_name(message->rkt), message->partition};
    feed->is_unread = !topic_partition_equal(of, tp);
}

enum status feed_seek(struct feed *feed, struct topic_partition tp, int64_t offset,
                      struct error *err)
{
    feed_forget_unread(feed, tp);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, tp.topic, tp.partition)->offset = offset;
    rd_kafka_error_t *failed = rd_kafka_seek_partitions(feed->handle, list, 5000);
    rd_kafka_resp_err_t code = failed == NULL ? list->elems[0].err : rd_kafka_error_code(failed);
    enum status status = feed_check(feed, code, "seek", err);
    if (code == RD_KAFKA_RESP_ERR__STATE || code == RD_KAFKA_RESP_ERR__PREV_IN_PROGRESS)
        status = err->status = STATUS_RETRY; /* librdkafka has not begun to read it */
    if (failed != NULL)
        rd_kafka_error_destroy(failed);
    rd_kafka_topic_partition_list_destroy(list);
    return status;
}

void feed_commit_hints(struct feed *feed, const struct feed_hint *hints, size_t count)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)count);
    for (size_t i = 0; i < count; i++) {
        rd_kafka_topic_partition_t *element = rd_kafka_topic_partition_list_add(
            list, hints[i].position.tp.topic, hints[i].position.tp.partition);
        element->offset = hints[i].position.offset;
        element->metadata = strdup(hints[i].metadata);
        element->metadata_size = element->metadata == NULL ? 0 : strlen(hints[i].metadata);
    }
    rd_kafka_resp_err_t code = rd_kafka_commit(feed->handle, list, 1);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
        log_debug("agent", "hint of %zu partitions: %s", count, rd_kafka_err2str(code));
    rd_kafka_topic_partition_list_destroy(list);
}

enum status feed_read_hint(struct feed *feed, struct topic_partition tp, int timeout_ms,
                           struct feed_hint *ret_hint, struct error *err)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_t *element = rd_kafka_topic_partition_list_add(list, tp.topic,
                                                                            tp.partition);
    *ret_hint = (struct feed_hint){.position = {.tp = tp, .offset = FEED_OFFSET_NONE}};
    enum status status = feed_check(feed, rd_kafka_committed(feed->handle, list, timeout_ms),
                                    "committed offset", err);
    if (status == STATUS_OK)
        status = feed_check(feed, element->err, "committed offset", err);
    if (status == STATUS_OK) {
        if (element->offset >= 0)
            ret_hint->position.offset = element->offset;
        size_t size = element->metadata_size < FEED_METADATA_SIZE ? element->metadata_size
                                                                  : FEED_METADATA_SIZE - 1;
        if (size > 0)
            memcpy(ret_hint->metadata, element->metadata, size);
    }
    rd_kafka_topic_partition_list_destroy(list);
    return status;
}

/* A broker's thread of librdkafka 2.0.2 that finds the queue full sleeps for a second. Any request
 * to its broker wakes it; nobody waits for the answer to this one. */
void feed_refill(struct feed *feed)
{
    rd_kafka_topic_partition_list_t *list = NULL;
    feed->taken_count = 0;
    feed->taken_bytes = 0;
    if (rd_kafka_assignment(feed->handle, &list) != RD_KAFKA_RESP_ERR_NO_ERROR)
        return;
    for (int i = 0; i < list->cnt; i++)
        list->elems[i].offset = RD_KAFKA_OFFSET_END;
    if (list->cnt > 0)
        (void)rd_kafka_offsets_for_times(feed->handle, list, 0);
    rd_kafka_topic_partition_list_destroy(list);
}

int64_t feed_log_end_seen(struct feed *feed, struct topic_partition tp)
{
    return kafka_log_end_seen(feed->handle, tp);
}

bool feed_is_silence(const struct error *err)
{
    return kafka_error_is_silence((rd_kafka_resp_err_t)err->native_code);
}

/* Right after an outage a broker, or librdkafka's cache, may not know a partition that the cluster
 * has described a moment ago. Only one that was not described is gone. */
enum status feed_log_bounds(struct feed *feed, struct topic_partition tp, int timeout_ms,
                            struct log_bounds *ret_bounds, struct error *err)
{
    enum status status = kafka_log_bounds(feed->handle, tp, timeout_ms, ret_bounds, err);
    if (status == STATUS_STOP && tp.partition < feed_partition_count(feed, tp.topic))
        status = err->status = STATUS_RETRY;
    return status;
}

enum status feed_stable_end(struct feed *feed, struct topic_partition tp, int timeout_ms,
                            int64_t *ret_end, struct error *err)
{
    return kafka_log_end(feed->handle, tp, timeout_ms, ret_end, err);
}

enum status feed_written_end(struct feed *feed, struct topic_partition tp, int timeout_ms,
                             int64_t *ret_end, struct error *err)
{
    const struct kafka_channel_options options = {.settings = feed->config->kafka,
                                                  .setting_count = feed->config->kafka_count,
                                                  .group = feed->group};
    struct kafka_channel channel;
    enum status status = kafka_channel_open(&channel, &options, err);
    if (status != STATUS_OK)
        return status;
    status = kafka_log_end(channel.consumer, tp, timeout_ms, ret_end, err);
    kafka_channel_close(&channel, 0);
    return status;
}
