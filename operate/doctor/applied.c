/* Checks of what the service applies: the copies' tables, and how far they are. */
#include "operate/doctor/doctor.h"
#include "operate/snapshot_again.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static enum status applied_no_row(void *context, const struct scanned_row *row, struct error *err)
{
    (void)context;
    (void)row;
    (void)err;
    return STATUS_OK;
}

/* A scan of no key reads no row, and asks the catalogue for every column. */
static void applied_table(struct doctor *doctor, struct store *store, const struct mapping *mapping)
{
    static const struct slice no_keys[1];
    struct error err = ERROR_INIT;
    const struct store_scan scan = {
        .mapping = mapping, .keys = no_keys, .count = 0, .visit = applied_no_row};
    enum status status;
    int tries = 0;
    do {
        status = store->ops->snapshot(store, true, &err);
        if (status == STATUS_OK)
            status = store->ops->scan(store, &scan, &err);
        (void)store->ops->snapshot(store, false, NULL);
    } while (snapshot_again(&tries, status, &err));
    if (status == STATUS_OK) {
        doctor_say(doctor, DOCTOR_OK, "%s: table %s has the schema's columns and types",
                   mapping->entry->entity_type, mapping_table(mapping));
        return;
    }
    doctor_say(doctor, status == STATUS_STOP ? DOCTOR_WARN : DOCTOR_FAIL, "%s: %s",
               mapping->entry->entity_type, err.text);
    doctor_advise_tables(doctor, status);
}

void doctor_check_copies(struct doctor *doctor)
{
    struct error err = ERROR_INIT;
    struct store *store = NULL;
    struct store_meta meta;
    const struct config *config = doctor->service.config;
    enum status status = service_open_store(&doctor->service, true, &store, &err);
    if (status != STATUS_OK) {
        doctor_say(doctor, DOCTOR_FAIL, "%s", err.text);
        doctor_advise_tables(doctor, status);
        return;
    }
    if (store->ops->meta(store, &meta, &err) == STATUS_OK)
        feed_group_name(config, meta.copy_id, doctor->group);
    for (size_t i = 0; i < config->apply_count && !doctor_is_late(doctor); i++)
        applied_table(doctor, store, &doctor->service.mappings[i]);
    store->ops->close(store);
}

/* What is known of one topic. */
struct applied_topic {
    const struct config_entry *entry;
    const struct partition_state *states; /* of all topics */
    size_t state_count;
    int32_t partitions;
    int32_t without; /* partitions without a position */
};

static const struct partition_state *applied_find(const struct applied_topic *topic, int32_t number)
{
    for (size_t i = 0; i < topic->state_count; i++) {
        if (topic->states[i].partition == number &&
            strcmp(topic->states[i].topic, topic->entry->topic) == 0)
            return &topic->states[i];
    }
    return NULL;
}

/* @return whether the log does not have the position, which is told. */
static bool applied_is_outside(struct doctor *doctor, const struct applied_topic *topic,
                               const struct partition_state *state, const struct log_bounds *bounds)
{
    const char *name = topic->entry->topic;
    if (state->next_offset < bounds->first) {
        doctor_say(doctor, DOCTOR_FAIL,
                   "%s [%d]: the copy is at %" PRId64 ", the log begins at %" PRId64
                   ": records that were not applied are gone",
                   name, (int)state->partition, state->next_offset, bounds->first);
        doctor_advise(doctor, "run `keepstep fill %s`, and raise the topic's retention",
                      topic->entry->entity_type);
    } else if (state->next_offset > bounds->end) {
        doctor_say(doctor, DOCTOR_FAIL,
                   "%s [%d]: the copy is at %" PRId64 ", the log ends at %" PRId64
                   ": the topic was truncated or made anew",
                   name, (int)state->partition, state->next_offset, bounds->end);
        doctor_advise(doctor, "restore the topic, or run `keepstep fill %s`",
                      topic->entry->entity_type);
    }
    return state->next_offset < bounds->first || state->next_offset > bounds->end;
}

/* @return whether something is wrong with the partition, and told. */
static bool applied_partition(struct doctor *doctor, struct applied_topic *topic, int32_t number,
                              const struct log_bounds *bounds)
{
    const struct partition_state *state = applied_find(topic, number);
    const char *name = topic->entry->topic;
    int64_t first = bounds->first;
    if (state == NULL) {
        topic->without++;
        if (first == 0 || topic->entry->fill != CONFIG_FILL_NEVER ||
            topic->entry->start != CONFIG_START_NONE)
            return false;
        doctor_say(doctor, DOCTOR_FAIL,
                   "%s [%d] has no position, its log begins at %" PRId64
                   ", and fill: never forbids to take the rows of another "
                   "copy",
                   name, (int)number, first);
        doctor_advise(doctor, "write fill: auto, or start: earliest for a copy that is partial");
        return true;
    }
    if (state->stopped[0] != '\0') {
        doctor_say(doctor, DOCTOR_FAIL, "%s [%d] stands still: %s", name, (int)number,
                   state->stopped);
        doctor_advise(doctor, "mend the cause, then run `keepstep parked resume`");
        return true;
    }
    return applied_is_outside(doctor, topic, state, bounds);
}

static void applied_topic(struct doctor *doctor, struct store *store, struct applied_topic *topic)
{
    struct error err = ERROR_INIT;
    char fill[ERROR_TEXT_SIZE] = "";
    struct fill_state state = {0};
    const char *name = topic->entry->topic;
    bool is_told = false;
    enum status status = store_fill_describe(store, name, fill, sizeof fill, &err);
    if (status == STATUS_OK)
        status = store_fill_read(store, name, &state, &err);
    if (status == STATUS_OK)
        status = offsets_partition_count(doctor->offsets, name, &topic->partitions, &err);
    for (int32_t i = 0; status == STATUS_OK && i < topic->partitions; i++) {
        struct log_bounds bounds = {0};
        status = offsets_bounds(doctor->offsets, (struct topic_partition){name, i}, &bounds, &err);
        if (status == STATUS_OK)
            is_told |= applied_partition(doctor, topic, i, &bounds);
    }
    if (status != STATUS_OK) {
        doctor_say(doctor, DOCTOR_FAIL, "%s", err.text);
    } else if (fill_is_given_up(&state)) {
        doctor_say(doctor, DOCTOR_FAIL, "%s: its fill was given up: %s", name, state.reason);
        doctor_advise(doctor, "mend the cause, then `keepstep fill %s`", name);
    } else if (fill[0] != '\0') {
        doctor_say(doctor, DOCTOR_WARN, "%s: %s; the copy is not complete", name, fill);
        doctor_advise(doctor, "wait; `keepstep status` says how far it is");
    } else if (topic->partitions == 0) {
        doctor_say(doctor, DOCTOR_SKIPPED, "%s does not exist yet", name);
    } else if (!is_told && topic->without > 0) {
        doctor_say(doctor, DOCTOR_WARN, "%s: %d of %d partitions have no position yet", name,
                   (int)topic->without, (int)topic->partitions);
        doctor_advise(doctor, "start the agent with `keepstep run`");
    } else if (!is_told) {
        doctor_say(doctor, DOCTOR_OK, "%s: all %d partitions have a position in the log", name,
                   (int)topic->partitions);
    }
}

void doctor_check_positions(struct doctor *doctor)
{
    struct error err = ERROR_INIT;
    struct store *store = NULL;
    struct partition_state *states = NULL;
    size_t count = 0;
    const struct config *config = doctor->service.config;
    enum status status = service_open_store(&doctor->service, true, &store, &err);
    if (status == STATUS_OK)
        status = store->ops->list(store, &states, &count, &err);
    if (status == STATUS_OK)
        status = doctor_open_offsets(doctor, &err);
    if (status != STATUS_OK)
        doctor_say(doctor, DOCTOR_FAIL, "%s", err.text);
    for (size_t i = 0; status == STATUS_OK && i < config->apply_count && !doctor_is_late(doctor);
         i++) {
        struct applied_topic topic = {
            .entry = &config->apply[i], .states = states, .state_count = count};
        if (doctor_is_first(config, i))
            applied_topic(doctor, store, &topic);
    }
    free(states);
    if (store != NULL)
        store->ops->close(store);
}
