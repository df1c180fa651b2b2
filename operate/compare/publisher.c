/* A publisher that does not apply its type: its table, read in one snapshot at a time. */
#include "operate/compare/publisher.h"

#include "common/utf8.h"
#include "operate/compare/answer.h"
#include "operate/offsets.h"
#include "operate/snapshot_again.h"
#include "producer/registry.h"
#include "producer/source/source.h"
#include "schemas/member_record.h"

#include <stdio.h>
#include <stdlib.h>

struct publisher {
    struct participant base;
    const struct participant_options *options;
    struct source_type type;
    struct source *source;   /* NULL: there is no snapshot */
    struct offsets *offsets; /* how its service sees the topic */
    char cluster_id[OFFSETS_CLUSTER_ID_SIZE];
    int64_t *next_offsets;
    struct open_entity *open;
    struct arena keys;
};

static struct publisher *publisher_of(struct participant *participant)
{
    return (struct publisher *)participant;
}

static enum status publisher_find(const struct participant_options *options,
                                  struct source_type *ret_type, struct error *err)
{
    const struct service *service = options->service;
    for (size_t i = 0; i < service->config->publish_count; i++) {
        const struct config_entry *entry = &service->config->publish[i];
        if (strcmp(entry->entity_type, options->entity_type) != 0)
            continue;
        *ret_type = (struct source_type){.entry = entry, .schema = service->published[i]};
        return STATUS_OK;
    }
    return error_set(error_config(err), STATUS_FATAL, "%s does not publish %s",
                     service->config->service, options->entity_type);
}

static enum status publisher_open(const struct participant_options *options,
                                  struct source **ret_source, struct error *err)
{
    const struct config *config = options->service->config;
    const struct source_ops *ops = source_find(config->database);
    if (ops == NULL)
        return service_refuse_scheme(err);
    enum status status = ops->open(config, ret_source, err);
    if (status == STATUS_OK)
        status = ops->snapshot(*ret_source, true, err);
    return status;
}

static const char *publisher_waits(const struct source_stamp *stamp)
{
    return stamp->waits ? "a new incarnation of it publishes nothing yet: its rows may be newer "
                          "than its position"
                        : NULL;
}

static const char *publisher_existing(const struct source_stamp *stamp)
{
    return stamp->existing_done ? publisher_waits(stamp)
                                : "its existing rows are not all published yet";
}

/* A copy need not publish the rows that were there. */
static const char *publisher_copy_reason(const struct source_stamp *stamp)
{
    return stamp->existing_begun ? publisher_existing(stamp) : publisher_waits(stamp);
}

enum status publisher_judge(const struct participant_options *options, char *ret_reason,
                            size_t size, struct error *err)
{
    struct source_type type = {0};
    struct source *source = NULL;
    struct source_stamp stamp = {0};
    struct arena arena;
    arena_init(&arena, PARTICIPANT_OPEN_BYTES_MAX);
    enum status status = publisher_find(options, &type, err);
    if (status == STATUS_OK)
        status = publisher_open(options, &source, err);
    if (status == STATUS_OK)
        status = source->ops->stamp(source, &type, &arena, &stamp, err);
    if (status == STATUS_OK) {
        const char *reason = publisher_copy_reason(&stamp);
        utf8_format(ret_reason, size, "%s", reason == NULL ? "" : reason);
    }
    if (source != NULL)
        source->ops->close(source);
    arena_done(&arena);
    return status;
}

/* All partitions that are not listed have published nothing. */
static enum status publisher_positions(struct publisher *publisher,
                                       const struct source_stamp *stamp, struct stamp *ret_stamp,
                                       struct error *err)
{
    int32_t count = 0;
    enum status status = STATUS_OK;
    if (publisher->offsets == NULL)
        status = offsets_open(publisher->options->service->config, "keepstep-verify",
                              &publisher->offsets, err);
    if (status == STATUS_OK)
        status = offsets_topic(publisher->offsets, publisher->base.topic, &count,
                               publisher->cluster_id, err);
    if (status != STATUS_OK)
        return status;
    for (size_t i = 0; i < stamp->count; i++)
        count = stamp->positions[i].partition < count ? count : stamp->positions[i].partition + 1;
    publisher->next_offsets = calloc((size_t)count + 1, sizeof *publisher->next_offsets);
    if (publisher->next_offsets == NULL)
        return error_set(err, STATUS_RETRY, "no memory for the partitions of %s",
                         publisher->base.topic);
    for (size_t i = 0; i < stamp->count; i++)
        publisher->next_offsets[stamp->positions[i].partition] = stamp->positions[i].next_offset;
    ret_stamp->partition_count = count;
    ret_stamp->offsets = publisher->next_offsets;
    ret_stamp->cluster_id = publisher->cluster_id;
    return STATUS_OK;
}

static enum status publisher_open_entities(struct publisher *publisher, struct stamp *ret_stamp,
                                           struct error *err)
{
    struct source_open_keys open = {.limit = (size_t)publisher->options->open_entities_max};
    enum status status = publisher->source->ops->open_keys(publisher->source, &publisher->type,
                                                           &publisher->keys, &open, err);
    if (status != STATUS_OK)
        return status;
    publisher->open = calloc(open.count + 1, sizeof *publisher->open);
    if (publisher->open == NULL)
        return error_set(err, STATUS_RETRY, "no memory for the open entities");
    for (size_t i = 0; open.count <= open.limit && i < open.count; i++)
        publisher->open[i] = (struct open_entity){.key = open.keys[i], .reason = LEFT_OWN};
    ret_stamp->open = publisher->open;
    ret_stamp->open_count = open.count;
    return STATUS_OK;
}

static void publisher_end(struct participant *participant)
{
    struct publisher *publisher = publisher_of(participant);
    if (publisher->source != NULL)
        publisher->source->ops->close(publisher->source);
    publisher->source = NULL;
    free(publisher->next_offsets);
    free(publisher->open);
    publisher->next_offsets = NULL;
    publisher->open = NULL;
    arena_reset(&publisher->keys);
}

/* From the first statement that reads the table on, nobody can change it. */
static enum status publisher_hold_table(struct publisher *publisher, struct error *err)
{
    const struct slice none[1] = {0};
    const struct source_scan scan = {
        .entry = publisher->type.entry, .schema = publisher->type.schema, .keys = none};
    return publisher->source->ops->scan(publisher->source, &scan, err);
}

static enum status publisher_begin(struct publisher *publisher, struct stamp *ret_stamp,
                                   struct error *err)
{
    struct source_stamp stamp = {0};
    *ret_stamp = (struct stamp){0};
    publisher_end(&publisher->base);
    enum status status = publisher_open(publisher->options, &publisher->source, err);
    if (status == STATUS_OK)
        status = publisher->source->ops->stamp(publisher->source, &publisher->type,
                                               &publisher->keys, &stamp, err);
    if (status == STATUS_OK)
        ret_stamp->incomparable = publisher_existing(&stamp);
    if (status == STATUS_OK && ret_stamp->incomparable == NULL)
        status = publisher_positions(publisher, &stamp, ret_stamp, err);
    if (status == STATUS_OK && ret_stamp->incomparable == NULL)
        status = publisher_open_entities(publisher, ret_stamp, err);
    if (status == STATUS_OK && ret_stamp->incomparable == NULL)
        status = publisher_hold_table(publisher, err);
    return status;
}

static enum status publisher_stamp(struct participant *participant, struct stamp *ret_stamp,
                                   struct error *err)
{
    struct publisher *publisher = publisher_of(participant);
    enum status status;
    int tries = 0;
    do {
        status = publisher_begin(publisher, ret_stamp, err);
    } while (snapshot_again(&tries, status, err));
    return status;
}

static enum status publisher_scan(struct publisher *publisher, struct answer *answer,
                                  struct error *err)
{
    const struct source_scan scan = {.entry = publisher->type.entry,
                                     .schema = publisher->type.schema,
                                     .keys = answer->question->keys,
                                     .key_count = answer->question->key_count,
                                     .visit = answer_row,
                                     .context = answer};
    return publisher->source->ops->scan(publisher->source, &scan, err);
}

static enum status publisher_sums(struct participant *participant, const struct question *question,
                                  struct row_sums *ret_sums, struct error *err)
{
    struct answer answer;
    answer_begin(&answer, participant->schema, question);
    answer.sums = ret_sums;
    enum status status = publisher_scan(publisher_of(participant), &answer, err);
    answer_done(&answer);
    return status;
}

static enum status publisher_list(struct participant *participant, const struct question *question,
                                  answer_visit *visit, void *context, struct error *err)
{
    struct answer answer;
    answer_begin(&answer, participant->schema, question);
    answer.visit = visit;
    answer.context = context;
    enum status status = publisher_scan(publisher_of(participant), &answer, err);
    answer_done(&answer);
    return status;
}

static enum status publisher_keep(struct participant *participant, struct error *err)
{
    struct publisher *publisher = publisher_of(participant);
    return publisher->source->ops->keep(publisher->source, err);
}

static void publisher_free(struct participant *participant)
{
    struct publisher *publisher = publisher_of(participant);
    publisher_end(participant);
    offsets_close(publisher->offsets);
    arena_done(&publisher->keys);
    free(publisher);
}

static const struct participant_ops publisher_ops = {.stamp = publisher_stamp,
                                                     .sums = publisher_sums,
                                                     .list = publisher_list,
                                                     .keep = publisher_keep,
                                                     .end = publisher_end,
                                                     .free = publisher_free};

enum status publisher_new(const struct participant_options *options,
                          struct participant **ret_participant, struct error *err)
{
    struct publisher *publisher = calloc(1, sizeof *publisher);
    if (publisher == NULL)
        return error_set(err, STATUS_FATAL, "out of memory");
    publisher->options = options;
    publisher->base.ops = &publisher_ops;
    publisher->base.name = options->service->config->service;
    publisher->base.copy = MEMBER_NONE;
    arena_init(&publisher->keys,
               options->open_bytes_max == 0 ? PARTICIPANT_OPEN_BYTES_MAX : options->open_bytes_max);
    enum status status = publisher_find(options, &publisher->type, err);
    if (status != STATUS_OK) {
        publisher_free(&publisher->base);
        return status;
    }
    publisher->base.topic = publisher->type.entry->topic;
    publisher->base.schema = publisher->type.schema;
    *ret_participant = &publisher->base;
    return STATUS_OK;
}
