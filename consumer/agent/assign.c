/* Assignment: decides whether this copy may go on with this log, and where (rules 5 and 8). */
#include "consumer/agent/internal.h"

#include "common/clock.h"
#include "common/failpoint.h"
#include "common/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ASSIGN_TIMEOUT_MS 10000

void agent_drop(struct agent *agent)
{
    agent_reset_batches(agent);
    agent_forget_open(agent);
    applier_drop_all(agent->applier);
    free(agent->partitions);
    agent->partitions = NULL;
    agent->partition_count = 0;
}

static enum config_start agent_start_of(const struct agent *agent, const char *topic)
{
    for (size_t i = 0; i < agent->mapping_count; i++) {
        if (strcmp(agent->mappings[i].entry->topic, topic) == 0 &&
            agent->mappings[i].entry->start != CONFIG_START_NONE)
            return agent->mappings[i].entry->start;
    }
    return CONFIG_START_NONE;
}

/** Choose where a copy without a position begins. @return OK; STOP (the log has lost its first
 * records). */
static enum status agent_first_offset(const struct agent *agent, struct partition_state *state,
                                      struct log_bounds bounds, struct error *err)
{
    enum config_start start = agent_start_of(agent, state->topic);
    state->anchor_offset = -1;
    state->next_offset = bounds.first;
    if (start == CONFIG_START_LATEST) {
        state->next_offset = bounds.end;
        state->partial = bounds.end > 0;
        return STATUS_OK;
    }
    if (bounds.first == 0)
        return STATUS_OK;
    if (start == CONFIG_START_NONE)
        return error_set(err, STATUS_STOP,
                         "the log begins at offset %lld, so this copy would lack what was before: "
                         "`keepstep fill %s` gives it the rows of another one; or set `start: "
                         "earliest` (or latest) under apply: to accept a partial copy",
                         (long long)bounds.first, state->topic);
    state->partial = true;
    return STATUS_OK;
}

/* One that stands still is known by a log that begins later, or by the missing cluster id: the log
 * never passed the checks. */
bool agent_is_unread(const struct partition_state *state, int64_t first)
{
    bool untouched = state->next_offset == 0 && state->anchor_offset < 0;
    return !state->exists || (untouched && (first > 0 || state->cluster_id[0] == '\0'));
}

/** @return OK with whether the copy has read anything of a topic that had `count` partitions;
 * RETRY.
 */
static enum status agent_has_read(struct agent *agent, const char *topic, int32_t count,
                                  bool *ret_read, struct error *err)
{
    enum status status = STATUS_OK;
    *ret_read = false;
    for (int32_t i = 0; status == STATUS_OK && !*ret_read && i < count; i++) {
        struct partition_state state = {0};
        status = applier_read(agent->applier, (struct topic_partition){topic, i}, &state, err);
        *ret_read = status == STATUS_OK && state.exists && state.next_offset > 0;
        partition_state_done(&state);
    }
    return status;
}

/** Find the partition count that the topic had when the copy read it; 0 where it has read nothing.
 * A partition without a position may be new in the topic, so partition 0 is asked for the count.
 * An unread topic of Keepstep's may have been made anew with another count: that is allowed,
 * because the partition of each record is checked (rule 14). */
static enum status agent_known_count(struct agent *agent, const struct partition_state *state,
                                     int32_t *ret_count, struct error *err)
{
    struct partition_state first = {0};
    bool is_read = true;
    *ret_count = state->partition_count;
    if (state->partition_count == 0 && state->partition != 0) {
        enum status status = applier_read(agent->applier, (struct topic_partition){state->topic, 0},
                                          &first, err);
        if (status == STATUS_OK && first.exists)
            *ret_count = first.partition_count;
        partition_state_done(&first);
        if (status != STATUS_OK)
            return status;
    }
    if (*ret_count == 0 || *ret_count == feed_partition_count(agent->feed, state->topic) ||
        !feed_is_sequenced(agent->feed, state->topic))
        return STATUS_OK;
    enum status status = agent_has_read(agent, state->topic, *ret_count, &is_read, err);
    if (status == STATUS_OK && !is_read)
        *ret_count = 0;
    return status;
}

/** Check the topic as a whole. @return OK; STOP (none of its partitions may be read); RETRY. */
static enum status agent_check_topic(struct agent *agent, const struct partition_state *state,
                                     struct error *err)
{
    int32_t known = 0;
    int32_t count = feed_partition_count(agent->feed, state->topic);
    if (feed_loses_numbers(agent->feed, state->topic))
        return error_set(err, STATUS_STOP,
                         "the topic is compacted, which makes gaps: set cleanup.policy=delete");
    if (count == 0) /* its log had bounds a moment ago, so the topic is new */
        return error_set(err, STATUS_RETRY, "the broker that was asked does not know topic '%s'",
                         state->topic);
    enum status status = agent_known_count(agent, state, &known, err);
    if (status == STATUS_OK && known != 0 && known != count)
        status = error_set(err, STATUS_STOP,
                           "the topic had %d partitions and has %d now: the order of its entities "
                           "is gone; restore the topic, or take a new copy",
                           (int)known, (int)count);
    return status;
}

/** A fill may have begun behind the last stable offset: there the copy waits until the transaction
 * of another producer ends, as everywhere. @return OK; STOP (the log ends before the position);
 * RETRY. */
static enum status agent_check_end(struct agent *agent, const struct partition_state *state,
                                   struct log_bounds bounds, struct error *err)
{
    int64_t end = bounds.end;
    enum status status = STATUS_OK;
    if (state->next_offset > end)
        status = feed_written_end(agent->feed, partition_state_tp(state), ASSIGN_TIMEOUT_MS, &end,
                                  err);
    if (status == STATUS_OK && state->next_offset > end)
        status = error_set(err, STATUS_STOP,
                           "the log ends at %lld and the copy is at %lld: the topic was truncated "
                           "or recreated; restore it, or take a new copy",
                           (long long)end, (long long)state->next_offset);
    return status;
}

/** Check a partition's log against what the copy knows of it, and set where to begin.
 * @return OK; STOP (this partition must not be read); FATAL; RETRY. */
static enum status agent_check_log(struct agent *agent, struct partition_state *state,
                                   struct log_bounds bounds, struct error *err)
{
    const char *cluster_id = feed_cluster_id(agent->feed);
    struct agent_hint hint;
    enum status status = agent_read_hint(agent, partition_state_tp(state), ASSIGN_TIMEOUT_MS, &hint,
                                         err);
    if (status == STATUS_OK)
        status = agent_check_hint(agent, &hint, state, err);
    if (status != STATUS_OK)
        return status;
    if (agent_is_unread(state, bounds.first))
        status = agent_first_offset(agent, state, bounds, err);
    else if (state->cluster_id[0] != '\0' && strcmp(state->cluster_id, cluster_id) != 0)
        status = error_set(err, STATUS_STOP,
                           "the copy was fed from cluster %.60s, this one is %.60s; go back to it, "
                           "or take a new copy",
                           state->cluster_id, cluster_id);
    else if (state->next_offset < bounds.first)
        status = error_set(err, STATUS_STOP,
                           "the log begins at %lld and the copy is at %lld: events are gone; "
                           "`keepstep fill %s --again` clears the copy and gives it the rows of "
                           "another one",
                           (long long)bounds.first, (long long)state->next_offset, state->topic);
    else
        status = agent_check_end(agent, state, bounds, err);
    if (status == STATUS_OK)
        status = agent_check_topic(agent, state, err);
    if (status != STATUS_OK)
        return status;
    (void)snprintf(state->cluster_id, sizeof state->cluster_id, "%s", cluster_id);
    state->partition_count = feed_partition_count(agent->feed, state->topic);
    return STATUS_OK;
}

/** @return where to read from: the anchor where the log still has it, so that it can be compared.
 */
static int64_t agent_start_offset(struct agent_partition *partition,
                                  const struct partition_state *state, int64_t first)
{
    bool anchored = state->anchor_offset >= 0 && state->anchor_offset < state->next_offset;
    if (!anchored)
        return state->next_offset;
    if (state->anchor_offset < first) {
        log_warning("agent",
                    "%s/%d: the anchor at offset %lld was trimmed: the log is not compared",
                    state->topic, state->partition, (long long)state->anchor_offset);
        return state->next_offset;
    }
    partition->anchor_offset = state->anchor_offset;
    memcpy(partition->anchor_id, state->anchor_id, sizeof partition->anchor_id);
    return state->anchor_offset;
}

/** Own a partition that must not be read, so that the reason is recorded and an operator can let it
 * go on. @param why  the reason. */
static enum status agent_take_stopped(struct agent *agent, struct partition_state *state,
                                      const struct error *why, struct error *err)
{
    size_t index = 0;
    if (!state->exists)
        state->next_offset = 0; /* agent_is_unread() knows it by that */
    enum status status = applier_take(agent->applier, state, &index, err);
    if (status != STATUS_OK)
        return status;
    agent->partition_count = index + 1;
    return applier_stop(agent->applier, index, why->text, err);
}

/** Take a partition that may be read. @return OK with the offset to begin at. */
static enum status agent_take_checked(struct agent *agent, struct partition_state *state,
                                      struct log_bounds bounds, struct feed_position *assigned,
                                      struct error *err)
{
    size_t index = 0;
    int64_t first = state->next_offset;
    enum status status = applier_take(agent->applier, state, &index, err);
    if (status != STATUS_OK)
        return status;
    failpoint(FAILPOINT_AGENT_AFTER_TAKE);
    status = applier_read(agent->applier, assigned->tp, state, err);
    if (status != STATUS_OK)
        return status;
    if (state->next_offset < first) { /* an unread position was there: the next commit moves it */
        applier_note_end(agent->applier, index, first);
        state->next_offset = first;
    }
    assigned->offset = agent_start_offset(&agent->partitions[index], state, bounds.first);
    agent->partition_count = index + 1;
    log_info("agent", "%s/%d goes on at %lld of %lld", state->topic, state->partition,
             (long long)state->next_offset, (long long)bounds.end);
    return STATUS_OK;
}

/** Check and take one partition. @return OK with its offset. */
static enum status agent_take(struct agent *agent, struct feed_position *assigned,
                              struct error *err)
{
    struct partition_state state = {0};
    struct log_bounds bounds = {0};
    enum status status = applier_read(agent->applier, assigned->tp, &state, err);
    if (status != STATUS_OK)
        goto out;
    status = feed_log_bounds(agent->feed, assigned->tp, ASSIGN_TIMEOUT_MS, &bounds, err);
    agent_forget_waiting(agent, assigned->tp);
    if (status != STATUS_OK && status != STATUS_STOP)
        goto out;
    if (status == STATUS_OK) {
        agent_note_log_end(agent, assigned->tp, bounds.end);
        status = agent_check_log(agent, &state, bounds, err);
    }
    agent->partitions[agent->partition_count] = (struct agent_partition){
        .tp = assigned->tp,
        .form = applier_form(agent->applier, assigned->tp.topic),
        .type_is_paused = agent_is_paused(agent, assigned->tp.topic),
        .metrics = agent_metrics_partition(agent->metrics, assigned->tp),
        .hinted_offset = -1,
        .next_end = -1,
        .anchor_offset = -1};
    assigned->offset = state.next_offset;
    if (status == STATUS_OK)
        status = agent_take_checked(agent, &state, bounds, assigned, err);
    else if (status == STATUS_STOP) {
        struct error stop = *err;
        error_clear(err);
        status = agent_take_stopped(agent, &state, &stop, err);
    }
    if (status == STATUS_OK && agent->partitions[agent->partition_count - 1].type_is_paused)
        applier_set_paused(agent->applier, agent->partition_count - 1);
out:
    partition_state_done(&state);
    return status;
}

/** Take the partitions of all topics but those that are being filled.
 * @param assigned  gets those that were taken. */
static enum status agent_take_all(struct agent *agent, const struct feed_event *event,
                                  struct feed_position *assigned, size_t *ret_count,
                                  struct error *err)
{
    bool ignored = false;
    *ret_count = 0;
    enum status status = agent_read_pauses(agent, &ignored, err);
    if (status == STATUS_OK)
        status = agent_read_fills(agent, &ignored, err);
    if (status == STATUS_OK)
        status = agent_find_wanted_fills(agent, event, err);
    for (size_t i = 0; i < event->assigned_count && status == STATUS_OK; i++) {
        if (agent_is_held(agent, event->assigned[i].tp.topic))
            continue;
        assigned[*ret_count] = event->assigned[i];
        status = agent_take(agent, &assigned[*ret_count], err);
        *ret_count += status == STATUS_OK;
    }
    return status;
}

enum status agent_assign(struct agent *agent, const struct feed_event *event, struct error *err)
{
    size_t count = 0;
    bool again = false;
    enum status status = STATUS_OK;
    agent_drop(agent);
    agent_set_state(agent, AGENT_ASSIGNING);
    struct feed_position *assigned = calloc(event->assigned_count + 1, sizeof *assigned);
    agent->partitions = calloc(event->assigned_count + 1, sizeof *agent->partitions);
    if (assigned == NULL || agent->partitions == NULL)
        status = error_set(err, STATUS_FATAL, "no memory for the assignment");
    if (status == STATUS_OK)
        status = feed_describe_again(agent->feed, err);
    if (status == STATUS_OK)
        status = agent_take_all(agent, event, assigned, &count, err);
    if (status == STATUS_OK) /* whoever begins to fill behind this raises the epochs (rule 42) */
        status = agent_read_fills(agent, &again, err);
    if (status == STATUS_OK)
        status = feed_assign(agent->feed, assigned, count, err);
    free(assigned);
    if (status == STATUS_OK) /* librdkafka remembers earlier pauses */
        status = feed_pause_all(agent->feed, false, err);
    if (status == STATUS_OK)
        status = agent_pause_stopped(agent, err);
    if (status == STATUS_OK) {
        agent_set_state(agent, AGENT_APPLYING);
        /* By then the others have sent their hints, so that a copy and its clone both notice. */
        agent->other_hints.next_us = clock_monotonic_us() + OTHER_HINTS_US;
    }
    if (status != STATUS_OK || again) {
        agent_drop(agent);
        feed_assign_again(agent->feed);
    }
    return status;
}

enum status agent_check_anchor(struct agent *agent, size_t index, const struct record *record,
                               bool *ret_pass, struct error *err)
{
    struct agent_partition *partition = &agent->partitions[index];
    char found[STORE_ID_SIZE];
    int64_t anchor = partition->anchor_offset;
    *ret_pass = true;
    if (anchor < 0)
        return STATUS_OK;
    partition->anchor_offset = -1;
    *ret_pass = record->offset != anchor;
    if (record->offset > anchor && !feed_is_sequenced(agent->feed, record->topic)) {
        log_warning("agent",
                    "%s/%d: the anchor at offset %lld was compacted away: the log is not compared",
                    record->topic, record->partition, (long long)anchor);
        return STATUS_OK;
    }
    applier_anchor(record, found);
    if (record->offset == anchor && strcmp(found, partition->anchor_id) == 0)
        return STATUS_OK;
    return error_set(err, STATUS_STOP,
                     "offset %lld does not hold event %s, which this copy applied there: the topic "
                     "was recreated or truncated; restore it, or take a new copy",
                     (long long)anchor, partition->anchor_id);
}
