/* Reads which entities the records between two offsets are of. */
#include "operate/compare/log_mentions.h"

#include "operate/command.h"
#include "operate/offsets.h"
#include "producer/relay/kafka_log_reader.h"

#include <stdlib.h>

#define MENTION_MAX ((size_t)16 * 1024 * 1024) /* key and headers of one record */

struct log_mentions {
    struct mention_log base;
    const struct config *config;
    const struct config_entry *entry;
    const struct entity_schema *schema;
    struct record_form form;
    struct offsets *offsets;
    char cluster_id[OFFSETS_CLUSTER_ID_SIZE];
};

/* One reading. */
struct log_mentioning {
    const struct log_mentions *log;
    const struct mention_reading *reading;
    struct log_range *ranges; /* parallel to the spans */
    int64_t *next;            /* of each range: behind its last record */
    bool *has_gap;            /* of each range: offsets are missing */
    bool to_end;              /* the second reading, of the ranges with gaps */
    struct arena scratch;
    uint64_t count;
};

static enum status log_mentions_describe(struct mention_log *base, const char **ret_cluster_id,
                                         int32_t *ret_partition_count, struct error *err)
{
    struct log_mentions *log = (struct log_mentions *)base;
    *ret_cluster_id = log->cluster_id;
    return offsets_topic(log->offsets, log->entry->topic, ret_partition_count, log->cluster_id,
                         err);
}

static const struct entity_schema *log_mentions_schema(void *context, struct slice entity_type)
{
    const struct log_mentions *log = context;
    return slice_is(entity_type, log->entry->entity_type) ? log->schema : NULL;
}

/* Compaction takes a record away where a later one has its key. So does the end of a transaction
 * take an offset, but that is not to be told apart. */
static void log_mentions_note_gap(struct log_mentioning *mentioning, const struct log_range *range,
                                  int64_t offset)
{
    size_t index = (size_t)(range - mentioning->ranges);
    int64_t first = range->bounds.first > range->from ? range->bounds.first : range->from;
    int64_t expected = mentioning->next[index] > first ? mentioning->next[index] : first;
    mentioning->has_gap[index] = mentioning->has_gap[index] || offset > expected;
    mentioning->next[index] = offset + 1;
}

/* The value does not matter: without it a record is read as a delete of its entity. A record whose
 * entity cannot be read is parked at every copy that has passed it (rule 33). */
static enum status log_mentions_visit(void *context, struct log_range *range,
                                      const struct record *record, struct error *err)
{
    struct log_mentioning *mentioning = context;
    const struct log_mentions *log = mentioning->log;
    struct record bare = *record;
    struct change change = {0};
    struct error ignored = ERROR_INIT;
    log_mentions_note_gap(mentioning, range, record->offset);
    bare.value = (struct slice){0};
    bare.form = log->entry->format == FORMAT_KEEPSTEP ? NULL : &log->form;
    const struct decoder decoder = {.finder = {log_mentions_schema, (void *)(uintptr_t)log},
                                    .arena = &mentioning->scratch};
    enum status status = record_decode(&bare, &decoder, &change, &ignored);
    if (status == STATUS_RETRY)
        return error_set(err, status, "%s", ignored.text);
    const struct mention mention = {.partition = range->tp.partition,
                                    .offset = record->offset,
                                    .key = change.entity_key,
                                    .covers_earlier = mentioning->to_end};
    status = STATUS_OK;
    if (change.entity_key.length > 0 && slice_is(change.entity_type, log->entry->entity_type))
        status = mentioning->reading->visit(mentioning->reading->context, &mention, err);
    arena_reset(&mentioning->scratch);
    mentioning->count++;
    return status;
}

static enum status log_mentions_tick(void *context, struct error *err)
{
    const struct log_mentioning *mentioning = context;
    const struct tick *tick = &mentioning->reading->tick;
    return tick->call == NULL ? STATUS_OK : tick->call(tick->context, mentioning->count, err);
}

static enum status log_mentions_pass(struct log_mentioning *mentioning, size_t count,
                                     struct error *err)
{
    const struct log_reading of_log = {.config = mentioning->log->config,
                                       .reader = "verify",
                                       .ranges = mentioning->ranges,
                                       .count = count,
                                       .visit = log_mentions_visit,
                                       .tick = log_mentions_tick,
                                       .context = mentioning,
                                       .stop = &command_stop};
    return count == 0 ? STATUS_OK : kafka_log_read(&of_log, err);
}

/* What a gap has taken away is mentioned again above it, maybe above both stamps. */
static enum status log_mentions_read_gaps(struct log_mentioning *mentioning, struct error *err)
{
    const struct mention_reading *reading = mentioning->reading;
    size_t count = 0;
    for (size_t i = 0; i < reading->count; i++) {
        const struct log_bounds *bounds = &reading->spans[i].bounds;
        struct log_range range = mentioning->ranges[i];
        int64_t end = bounds->end < range.until ? bounds->end : range.until;
        if (end > range.from && end > bounds->first)
            log_mentions_note_gap(mentioning, &mentioning->ranges[i], end);
        if (!mentioning->has_gap[i])
            continue;
        range.until = bounds->end;
        mentioning->ranges[count++] = range;
    }
    mentioning->to_end = true;
    return log_mentions_pass(mentioning, count, err);
}

static enum status log_mentions_read(struct mention_log *base,
                                     const struct mention_reading *reading, struct error *err)
{
    const struct log_mentions *log = (struct log_mentions *)base;
    struct log_mentioning mentioning = {.log = log, .reading = reading};
    mentioning.ranges = calloc(reading->count + 1, sizeof *mentioning.ranges);
    mentioning.next = calloc(reading->count + 1, sizeof *mentioning.next);
    mentioning.has_gap = calloc(reading->count + 1, sizeof *mentioning.has_gap);
    arena_init(&mentioning.scratch, MENTION_MAX);
    enum status status = STATUS_OK;
    if (mentioning.ranges == NULL || mentioning.next == NULL || mentioning.has_gap == NULL)
        status = error_set(err, STATUS_RETRY, "no memory for the log's partitions");
    for (size_t i = 0; status == STATUS_OK && i < reading->count; i++)
        mentioning.ranges[i] = (struct log_range){
            .tp = {log->entry->topic, reading->spans[i].partition},
            .anchor = -1,
            .from = reading->spans[i].from,
            .until = reading->spans[i].until};
    if (status == STATUS_OK)
        status = log_mentions_pass(&mentioning, reading->count, err);
    for (size_t i = 0; status == STATUS_OK && i < reading->count; i++)
        reading->spans[i].bounds = mentioning.ranges[i].bounds;
    if (status == STATUS_OK)
        status = log_mentions_read_gaps(&mentioning, err);
    arena_done(&mentioning.scratch);
    free(mentioning.ranges);
    free(mentioning.next);
    free(mentioning.has_gap);
    return status;
}

enum status log_mentions_new(const struct config *config, const struct config_entry *entry,
                             const struct entity_schema *schema, struct mention_log **ret_log,
                             struct error *err)
{
    struct log_mentions *log = calloc(1, sizeof *log);
    if (log == NULL)
        return error_set(err, STATUS_FATAL, "out of memory");
    log->base.describe = log_mentions_describe;
    log->base.read = log_mentions_read;
    log->config = config;
    log->entry = entry;
    log->schema = schema;
    log->form = (struct record_form){
        .format = entry->format, .binary = entry->binary, .schema = schema};
    enum status status = offsets_open(config, "keepstep-verify", &log->offsets, err);
    if (status == STATUS_OK)
        *ret_log = &log->base;
    else
        free(log);
    return status;
}

void log_mentions_free(struct mention_log *base)
{
    struct log_mentions *log = (struct log_mentions *)base;
    if (log == NULL)
        return;
    offsets_close(log->offsets);
    free(log);
}
