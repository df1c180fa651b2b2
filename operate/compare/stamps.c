/* The beginning of a round: who is comparable, and which entities are not (rules 33 to 35). */
#include "common/utf8.h"
#include "operate/compare/internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static void stamps_take_one(struct compare *compare, size_t index)
{
    struct error err = ERROR_INIT;
    struct participant *participant = compare_participant(compare, index);
    struct stamp *stamp = &compare->stamps[index];
    if (participant->ops->stamp(participant, stamp, &err) != STATUS_OK)
        compare_drop_failed(compare, index, &err);
    else if (stamp->incomparable != NULL)
        compare_drop_participant(compare, index, stamp->incomparable);
    else if (stamp->open_count > (uint64_t)compare->options->open_entities_max)
        compare_drop_participant(compare, index, "too many changes wait there");
}

/* Takes the stamps of all that are still compared, soon after each other: who has to be asked for
 * it is asked first and waited for last. */
static void stamps_take(struct compare *compare)
{
    for (size_t i = 0; i < compare->options->count; i++) {
        struct error err = ERROR_INIT;
        struct participant *participant = compare_participant(compare, i);
        struct tick tick = compare_question(compare, i).tick;
        compare->stamps[i] = (struct stamp){0};
        if (compare_asks(compare, i) && participant->ops->ask_stamp != NULL &&
            participant->ops->ask_stamp(participant, &tick, &err) != STATUS_OK)
            compare_drop_failed(compare, i, &err);
    }
    for (size_t i = 0; i < compare->options->count; i++) {
        if (compare_asks(compare, i) && compare_participant(compare, i)->ops->ask_stamp == NULL)
            stamps_take_one(compare, i);
    }
    for (size_t i = 0; i < compare->options->count; i++) {
        compare->asked = i;
        if (compare_asks(compare, i) && compare_participant(compare, i)->ops->ask_stamp != NULL)
            stamps_take_one(compare, i);
    }
}

/* Rule 35: the reference's columns count; a copy with more of them is compared by these. */
static void stamps_judge_columns(struct compare *compare)
{
    const struct participant *reference = compare_participant(compare, 0);
    for (size_t i = 0; i < compare->options->count; i++) {
        struct error err = ERROR_INIT;
        const struct participant *participant = compare_participant(compare, i);
        if (compare_asks(compare, i) && row_columns_find(participant->schema, reference->schema,
                                                         &compare->columns[i], &err) != STATUS_OK)
            compare_drop_participant(compare, i, err.text);
    }
}

/* Drops who has read another log than the one that the mentions are read from. */
static void stamps_judge_log(struct compare *compare)
{
    struct error err = ERROR_INIT;
    struct mention_log *log = compare->options->log;
    const char *cluster_id = "";
    int32_t partition_count = 0;
    if (compare->comparable == 0)
        return;
    if (log->describe(log, &cluster_id, &partition_count, &err) != STATUS_OK) {
        compare_drop_all(compare, err.text);
        return;
    }
    if (partition_count == 0)
        compare_drop_all(compare, "the topic does not exist");
    for (size_t i = 0; i < compare->options->count; i++) {
        const struct stamp *stamp = &compare->stamps[i];
        char reason[COMPARE_REASON_SIZE];
        if (!compare_asks(compare, i))
            continue;
        if (*stamp->cluster_id != '\0' && strcmp(stamp->cluster_id, cluster_id) != 0) {
            utf8_format(reason, sizeof reason, "its log is in the cluster %.64s, not in %.64s",
                        stamp->cluster_id, cluster_id);
            compare_drop_participant(compare, i, reason);
        } else if (stamp->partition_count != partition_count) {
            utf8_format(reason, sizeof reason,
                        "it knows %" PRId32 " partitions, the topic has %" PRId32,
                        stamp->partition_count, partition_count);
            compare_drop_participant(compare, i, reason);
        }
    }
}

/* Drops copies that are too far from the reference: all that stands between would be left out. */
static void stamps_judge_distance(struct compare *compare)
{
    const struct stamp *reference = &compare->stamps[0];
    for (size_t i = 1; i < compare->options->count; i++) {
        const struct stamp *stamp = &compare->stamps[i];
        int64_t behind = 0;
        int64_t ahead = 0;
        for (int32_t p = 0; compare_has(compare, i) && p < stamp->partition_count; p++) {
            int64_t distance = reference->offsets[p] - stamp->offsets[p];
            behind += distance > 0 ? distance : 0;
            ahead += distance < 0 ? -distance : 0;
        }
        if (behind > compare->options->behind_records_max)
            compare_drop(compare, i, "%" PRId64 " records behind", behind);
        else if (ahead > compare->options->behind_records_max)
            compare_drop(compare, i, "%s is %" PRId64 " records behind it",
                         compare_participant(compare, 0)->name, ahead);
    }
}

static enum status stamps_close(struct compare *compare, bool add, const struct closing *closing,
                                struct error *err)
{
    struct left_out *left_out = &compare->result->left_out;
    if (add)
        return left_out_close(left_out, closing, err);
    left_out_close_known(left_out, closing);
    return STATUS_OK;
}

/* What is open at the reference cannot be compared at any copy. */
static enum status stamps_close_open(struct compare *compare, bool add, struct error *err)
{
    enum status status = STATUS_OK;
    for (size_t i = 0; i < compare->options->count; i++) {
        const struct stamp *stamp = &compare->stamps[i];
        participant_mask copies = i == 0 ? compare->comparable : participant_bit(i);
        if (!compare_asks(compare, i))
            continue;
        for (size_t e = 0; status == STATUS_OK && e < stamp->open_count; e++) {
            const struct closing closing = {.key = stamp->open[e].key,
                                            .copies = copies,
                                            .reason = stamp->open[e].reason,
                                            .where = i};
            status = stamps_close(compare, add, &closing, err);
        }
    }
    return status;
}

/* The part of a partition's log between the stamps of all that are compared. */
static struct log_span stamps_span(const struct compare *compare, int32_t partition)
{
    int64_t from = compare->stamps[0].offsets[partition];
    int64_t until = from;
    for (size_t i = 1; i < compare->options->count; i++) {
        if (!compare_has(compare, i))
            continue;
        int64_t offset = compare->stamps[i].offsets[partition];
        from = offset < from ? offset : from;
        until = offset > until ? offset : until;
    }
    return (struct log_span){.partition = partition, .from = from, .until = until};
}

struct stamps_mentions {
    struct compare *compare;
    bool add;
};

static enum status stamps_visit(void *context, const struct mention *mention, struct error *err)
{
    const struct stamps_mentions *mentions = context;
    const struct compare *compare = mentions->compare;
    int64_t reference = compare->stamps[0].offsets[mention->partition];
    struct closing closing = {.key = mention->key, .reason = LEFT_CHANGED};
    for (size_t i = 1; i < compare->options->count; i++) {
        if (!compare_has(compare, i))
            continue;
        int64_t offset = compare->stamps[i].offsets[mention->partition];
        bool is_behind = offset < reference;
        int64_t from = is_behind ? offset : reference;
        int64_t until = is_behind ? reference : offset;
        if (from == until || mention->offset < from ||
            (mention->offset >= until && !mention->covers_earlier))
            continue;
        closing.copies |= participant_bit(i);
        closing.where = is_behind ? i : 0;
    }
    return closing.copies == 0 ? STATUS_OK
                               : stamps_close(mentions->compare, mentions->add, &closing, err);
}

/* Drops copies where a part of the log between the two stamps is not there (rule 35). */
static void stamps_judge_span(struct compare *compare, const struct log_span *span)
{
    const struct participant *reference = compare_participant(compare, 0);
    int64_t at_reference = compare->stamps[0].offsets[span->partition];
    for (size_t i = 1; i < compare->options->count; i++) {
        if (!compare_has(compare, i))
            continue;
        int64_t offset = compare->stamps[i].offsets[span->partition];
        bool is_behind = offset < at_reference;
        int64_t from = is_behind ? offset : at_reference;
        int64_t until = is_behind ? at_reference : offset;
        const char *who = compare_participant(compare, i)->name;
        if (from < until && from < span->bounds.first)
            compare_drop(compare, i,
                         "the log of %s [%" PRId32 "] begins at %" PRId64
                         ", after the position %" PRId64 " of %s: what has changed since is not "
                         "known",
                         reference->topic, span->partition, span->bounds.first, from,
                         is_behind ? who : reference->name);
        else if (from < until && until > span->bounds.end)
            compare_drop(compare, i,
                         "the log of %s [%" PRId32 "] ends at %" PRId64
                         ", before the position %" PRId64 " of %s: the topic was made anew",
                         reference->topic, span->partition, span->bounds.end, until,
                         is_behind ? reference->name : who);
    }
}

static void stamps_judge_count(struct compare *compare)
{
    const struct left_out *left_out = &compare->result->left_out;
    for (size_t i = 1; i < compare->options->count; i++) {
        int64_t closed = 0;
        for (size_t e = 0; e < left_out->count; e++)
            closed += (left_out->entities[e].closed & participant_bit(i)) != 0;
        if (closed > compare->options->open_entities_max)
            compare_drop(compare, i, "too many changes wait: %" PRId64 " entities", closed);
    }
}

static enum status stamps_close_mentioned(struct compare *compare, bool add, struct error *err)
{
    struct stamps_mentions mentions = {.compare = compare, .add = add};
    enum status status = STATUS_OK;
    struct mention_log *log = compare->options->log;
    int32_t partition_count = compare->stamps[0].partition_count;
    struct log_span *spans = calloc((size_t)partition_count + 1, sizeof *spans);
    if (spans == NULL)
        return error_set(err, STATUS_RETRY, "no memory for the log's partitions");
    struct mention_reading reading = {.spans = spans,
                                      .visit = stamps_visit,
                                      .context = &mentions,
                                      .tick = compare_question(compare, 0).tick};
    compare->asked = compare->options->count; /* nobody: all snapshots are kept meanwhile */
    for (int32_t p = 0; p < partition_count; p++) {
        struct log_span span = stamps_span(compare, p);
        if (span.from < span.until)
            spans[reading.count++] = span;
    }
    if (reading.count > 0)
        status = log->read(log, &reading, err);
    /* A reading that failed says nothing of the copies. Without memory, nothing can be said. */
    if (status == STATUS_OK) {
        for (size_t i = 0; i < reading.count; i++)
            stamps_judge_span(compare, &spans[i]);
        stamps_judge_count(compare);
    } else {
        compare_drop_all(compare, err->text);
        error_clear(err);
    }
    free(spans);
    return STATUS_OK;
}

enum status compare_stamps(struct compare *compare, bool add, struct error *err)
{
    stamps_take(compare);
    stamps_judge_columns(compare);
    stamps_judge_log(compare);
    stamps_judge_distance(compare);
    enum status status = STATUS_OK;
    if (compare->comparable != 0)
        status = stamps_close_open(compare, add, err);
    if (status == STATUS_OK && compare->comparable != 0)
        status = stamps_close_mentioned(compare, add, err);
    return status;
}
