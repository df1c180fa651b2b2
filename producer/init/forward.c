/* Reads the log from its beginning and lets it win over an outbox from a backup (rule 13). */
#include "producer/init/forward.h"
#include "common/clock.h"
#include "producer/init/forward_sets.h"
#include "producer/relay/kafka_log_reader.h"
#include "producer/relay/kafka_producer.h"
#include "schemas/change.h"

#include <stdlib.h>
#include <string.h>

#define LEASE_WAIT_MAX_US (INT64_C(15) * 1000 * 1000)
#define LEASE_SLACK_US    (50 * 1000)
#define RECORD_SIZE_MAX   ((size_t)64 * 1024 * 1024)

struct forward {
    struct origin *origin;
    const struct config *config;
    struct arena arena; /* of one record */
    struct forward_sets sets;
    bool again; /* large sets are read again, which are known to be whole */
};

static bool forward_applies(const struct config *config, const struct config_entry *entry)
{
    const struct config_entry *applied = config_find(
        config->apply, config->apply_count, entry->entity_type, strlen(entry->entity_type));
    return applied != NULL && strcmp(applied->topic, entry->topic) == 0;
}

/* A type that only goes out has nothing that brings its rows up to the log. */
static enum status forward_check_types(const struct config *config,
                                       const struct init_options *options, struct error *err)
{
    for (size_t i = 0; i < config->publish_count; i++) {
        const struct config_entry *entry = &config->publish[i];
        if (forward_applies(config, entry))
            continue;
        if (!options->existing_rows)
            return error_set(error_config(err), STATUS_FATAL,
                             "%s is published but not applied here, so after a restore its rows "
                             "may be older than the log: add it under apply: and the log's rows "
                             "come back first, or publish all present rows over the log with "
                             "--new-incarnation --existing-rows",
                             entry->entity_type);
        (void)fprintf(options->out,
                      "note     %s: the rows here are published over the log%s; entities that only "
                      "the log knows stay at the copies, delete them there\n",
                      entry->entity_type,
                      entry->table == NULL ? " by you: no table: is set for it" : "");
    }
    return STATUS_OK;
}

/* A relay that was stopped leaves its lease to run out; one that runs renews it. */
static enum status forward_await_lease(struct origin *origin, const struct origin_lease *lease,
                                       FILE *out, struct error *err)
{
    struct origin_lease later = *lease;
    bool initialised = true;
    int64_t left = lease->until_us - clock_wall_us();
    enum status status = STATUS_OK;
    if (lease->holder[0] == '\0' || left <= 0)
        return STATUS_OK;
    (void)fprintf(out, "waiting  for the relay's lease to run out\n");
    (void)fflush(out);
    if (left <= LEASE_WAIT_MAX_US) {
        clock_sleep_us(left + LEASE_SLACK_US);
        status = origin->ops->lease(origin, &initialised, &later, err);
        if (status != STATUS_OK || later.holder[0] == '\0' || later.until_us == lease->until_us)
            return status;
    }
    return error_set(error_config(err), STATUS_FATAL,
                     "a relay holds the lease of this outbox: stop it, then run this again");
}

static const struct entity_schema *forward_no_schema(void *context, struct slice entity_type)
{
    (void)context;
    (void)entity_type;
    return NULL;
}

static enum status forward_note(void *context, const struct origin_note *note, struct error *err)
{
    struct origin *origin = context;
    return origin->ops->note_in_log(origin, note, err);
}

/* Whether a record is malformed is for its readers to judge. */
static enum status forward_visit(void *context, struct log_range *range,
                                 const struct record *record, struct error *err)
{
    struct forward *forward = context;
    struct error malformed = ERROR_INIT;
    struct change change = {0};
    const struct decoder decoder = {{forward_no_schema, NULL}, &forward->arena, NULL};
    arena_reset(&forward->arena);
    if (record_decode(record, &decoder, &change, &malformed) == STATUS_RETRY)
        return error_set(err, STATUS_RETRY, "%s", malformed.text);
    if (!slice_is(change.source, forward->config->service) || change.id.length == 0)
        return STATUS_OK;
    struct origin_note note = {
        .id = change.id,
        .content = origin_content_of(change.entity_type, change.entity_key, change.record.value)};
    if (change.kind == KIND_VOID)
        note.content.value = 0;
    for (size_t i = 0; i < change.record.header_count; i++) {
        if (slice_is(change.record.headers[i].name, "ce_time"))
            note.created_at = change.record.headers[i].value;
    }
    const struct forward_record noted = {
        .partition = range, .offset = record->offset, .change = &change, .note = note};
    if (forward->again)
        return forward_sets_has(&forward->sets, &noted) ? forward_note(forward->origin, &note, err)
                                                        : STATUS_OK;
    return forward_sets_add(&forward->sets, &noted, forward_note, forward->origin, err);
}

/* The relay waits only where the service's own agent reads the topic. */
static enum status forward_note_ends(struct origin *origin, const struct config *config,
                                     const struct log_range *ranges, size_t count,
                                     struct error *err)
{
    enum status status = STATUS_OK;
    for (size_t i = 0; status == STATUS_OK && i < count; i++) {
        bool applied = false;
        for (size_t e = 0; e < config->publish_count; e++)
            applied = applied || (strcmp(config->publish[e].topic, ranges[i].tp.topic) == 0 &&
                                  forward_applies(config, &config->publish[e]));
        if (applied && ranges[i].bounds.end > 0)
            status = origin->ops->note_log_end(origin, ranges[i].tp.topic, ranges[i].tp.partition,
                                               ranges[i].bounds.end, err);
    }
    return status;
}

static bool forward_seen(const struct config *config, size_t index)
{
    for (size_t i = 0; i < index; i++) {
        if (strcmp(config->publish[i].topic, config->publish[index].topic) == 0)
            return true;
    }
    return false;
}

static void forward_ignore_delivery(void *record, enum delivery delivery, int64_t offset,
                                    const char *text)
{
    (void)record;
    (void)delivery;
    (void)offset;
    (void)text;
}

/* The topics are there as configured, so that each partition can be read. */
static enum status forward_topics(const struct config *config, struct error *err)
{
    struct kafka_producer *producer = NULL;
    struct topic_settings settings = {0};
    enum status status = kafka_producer_new(config, 0, forward_ignore_delivery, &producer, err);
    for (size_t i = 0; status == STATUS_OK && i < config->publish_count; i++)
        status = kafka_producer_topic(producer, &config->publish[i], &settings, err);
    kafka_producer_free(producer);
    return status;
}

/* Reads what was not kept because a set is large. A partition without any has nothing to read. */
static enum status forward_read_again(struct forward *forward, const struct log_reading *reading,
                                      struct error *err)
{
    if (forward->sets.span_count == 0)
        return STATUS_OK;
    forward->again = true;
    for (size_t i = 0; i < reading->count; i++) {
        struct log_range *range = &reading->ranges[i];
        if (!forward_sets_span(&forward->sets, range, &range->from, &range->until))
            range->from = range->until = range->bounds.end;
    }
    return kafka_log_read(reading, err);
}

static enum status forward_read_log(struct forward *forward, struct error *err)
{
    const struct config *config = forward->config;
    atomic_bool stop = false;
    size_t count = 0;
    for (size_t i = 0; i < config->publish_count; i++)
        count += (size_t)config->publish[i].partitions;
    struct log_range *ranges = calloc(count + 1, sizeof *ranges);
    if (ranges == NULL)
        return error_set(err, STATUS_RETRY, "no memory");
    count = 0;
    for (size_t i = 0; i < config->publish_count; i++) {
        for (int32_t p = 0; !forward_seen(config, i) && p < config->publish[i].partitions; p++)
            ranges[count++] = (struct log_range){.tp = {config->publish[i].topic, p}, .anchor = -1};
    }
    const struct log_reading reading = {.config = config,
                                        .reader = "relay",
                                        .ranges = ranges,
                                        .count = count,
                                        .visit = forward_visit,
                                        .context = forward,
                                        .stop = &stop};
    enum status status = kafka_log_read(&reading, err);
    if (status == STATUS_OK)
        status = forward_note_ends(forward->origin, config, ranges, count, err);
    if (status == STATUS_OK)
        status = forward_read_again(forward, &reading, err);
    free(ranges);
    return status;
}

enum status init_forward_read(struct origin *origin, const struct config *config,
                              const struct init_options *options, struct error *err)
{
    struct forward forward = {
        .origin = origin,
        .config = config,
        .sets.kept_max = (size_t)config->limits.changeset_events,
    };
    struct origin_lease lease = {0};
    bool initialised = false;
    enum status status = origin->ops->lease(origin, &initialised, &lease, err);
    if (status != STATUS_OK || !initialised)
        return status;
    status = forward_check_types(config, options, err);
    if (status == STATUS_OK)
        status = forward_await_lease(origin, &lease, options->out, err);
    if (status == STATUS_OK && config->publish_count > 0)
        status = forward_topics(config, err);
    arena_init(&forward.arena, RECORD_SIZE_MAX);
    if (status == STATUS_OK && config->publish_count > 0)
        status = forward_read_log(&forward, err);
    arena_done(&forward.arena);
    forward_sets_done(&forward.sets);
    return status;
}
