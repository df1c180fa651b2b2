/* Claims: waiting rows are loaded and checked, numbered in one durable transaction, and then sent
 * (rule 9). A row that cannot be published is set aside before it gets a number. */
#include "producer/relay/internal.h"
#include "common/clock.h"
#include "common/failpoint.h"
#include "common/log.h"

#include <stdio.h>

#define EXCLUDED_MAX   64
#define HEADER_FRAMING 8    /* bytes at most for the lengths of a header's name and value */
#define HEADERS_PLAIN  1024 /* bytes at most for headers without what the row brings */
#define DIGITS_SURE    18   /* any integer with this many digits is an int64 */

/* The rows of this load that were set aside: later rows of their entities wait. */
struct excluded {
    struct outbox_row rows[EXCLUDED_MAX];
    struct slice keys[EXCLUDED_MAX]; /* their keys as the service wrote them */
    size_t count;
};

static bool relay_is_excluded(const struct excluded *excluded, const struct outbox_row *row,
                              struct slice written)
{
    for (size_t i = 0; i < excluded->count; i++) {
        const struct outbox_row *other = &excluded->rows[i];
        if (slice_equal(other->entity_type, row->entity_type) &&
            (slice_equal(other->entity_key, row->entity_key) ||
             slice_equal(excluded->keys[i], written)))
            return true;
    }
    return false;
}

static enum status relay_refuse_size(int64_t size, const struct relay_topic *topic, int64_t limit,
                                     struct error *err)
{
    return error_set(err, STATUS_REJECT,
                     "the record has %lld bytes, topic %s takes %lld: raise "
                     "limits.message_bytes and max.message.bytes",
                     (long long)size, topic->name, (long long)limit);
}

static enum status relay_check_size(struct relay *relay, const struct relay_topic *topic,
                                    const struct outbox_row *row, struct error *err)
{
    int64_t limit = relay->options.config->limits.message_bytes;
    if (topic->settings.message_bytes_max > 0 && topic->settings.message_bytes_max < limit)
        limit = topic->settings.message_bytes_max;
    size_t bound = row->payload.length + row->partition_key.length + 2 * row->entity_key.length +
                   row->type.length + row->created_at.length + row->traceparent.length +
                   strlen(relay->lease.row.origin) + HEADERS_PLAIN;
    if ((int64_t)bound <= limit)
        return STATUS_OK;
    /* The bound is too large, so compute the size with the largest headers that the row can get. */
    struct outbox_row numbered = *row;
    numbered.sequence = UINT64_MAX;
    numbered.previous_id = row->id;
    struct kafka_message widest;
    enum status status = relay_build_record(relay, &numbered, KIND_VOID, &widest, err);
    if (status != STATUS_OK)
        return status;
    size_t size = widest.key.length + row->payload.length;
    for (size_t i = 0; i < widest.header_count; i++)
        size += widest.headers[i].name.length + widest.headers[i].value.length + HEADER_FRAMING;
    return (int64_t)size > limit ? relay_refuse_size((int64_t)size, topic, limit, err) : STATUS_OK;
}

/* @return whether a key is certainly canonical, as triggers write it: {"id":42}. False: not sure.
 */
static bool relay_is_canonical(const struct entity_schema *schema, struct slice key)
{
    const struct column *column = &schema->columns[schema->key_columns[0]];
    size_t name = strlen(column->name);
    if (schema->key_count != 1 || column->type != COLUMN_INTEGER || key.length < name + 6 ||
        memcmp(key.data, "{\"", 2) != 0 || memcmp(key.data + 2, column->name, name) != 0 ||
        memcmp(key.data + 2 + name, "\":", 2) != 0 || key.data[key.length - 1] != '}' ||
        strpbrk(column->name, "\"\\\b\f\n\r\t") != NULL)
        return false;
    const char *digits = key.data + name + 4;
    const char *end = key.data + key.length - 1;
    digits += *digits == '-';
    for (const char *at = digits; at < end; at++) {
        if (*at < '0' || *at > '9')
            return false;
    }
    return digits < end && *digits != '0' && end - digits <= DIGITS_SURE;
}

static enum status relay_check_plain(struct outbox_row *row, struct error *err)
{
    if (row->id.length == 0 || row->id.length >= OUTBOX_ID_SIZE)
        return error_set(err, STATUS_REJECT, "id: must have 1 to %d bytes", OUTBOX_ID_SIZE - 1);
    if (!clock_parse_rfc3339(row->created_at.data, row->created_at.length, &row->created_us))
        return error_set(err, STATUS_REJECT, "created_at: must be a time in the form of RFC 3339");
    size_t length = row->entity_type.length;
    if (row->type.length <= length + 1 || row->type.data[length] != '.' ||
        memcmp(row->type.data, row->entity_type.data, length) != 0)
        return error_set(err, STATUS_REJECT, "type: must be %.*s.created, updated, deleted or read",
                         SLICE_ARGS(row->entity_type));
    return STATUS_OK;
}

static const struct config_entry *relay_find_entry(const struct relay *relay,
                                                   const struct outbox_row *row)
{
    const struct config *config = relay->options.config;
    return config_find(config->publish, config->publish_count, row->entity_type.data,
                       row->entity_type.length);
}

static enum status relay_make_canonical(struct relay *relay, const struct entity_schema *schema,
                                        struct outbox_row *row, struct error *err)
{
    struct slice written = row->entity_key;
    enum status status = canonical_key(schema, written, &relay->arena, &row->entity_key, err);
    row->rekeyed = !slice_equal(row->entity_key, written);
    return status;
}

/* Checks one row, and fills its canonical key, topic and partition.
 * @return OK; REJECT (cannot be published); RETRY. */
static enum status relay_check(struct relay *relay, struct outbox_row *row, struct error *err)
{
    const struct config *config = relay->options.config;
    const struct config_entry *entry = relay_find_entry(relay, row);
    if (entry == NULL)
        return error_set(err, STATUS_REJECT, "aggregatetype: publish: has no entry for %.*s",
                         SLICE_ARGS(row->entity_type));
    const struct entity_schema *schema = relay->options.schemas[entry - config->publish];
    struct relay_topic *topic = relay_find_topic(relay, entry->topic);
    enum status status = STATUS_OK;
    if (!relay_is_canonical(schema, row->entity_key))
        status = relay_make_canonical(relay, schema, row, err);
    if (status == STATUS_OK)
        status = relay_check_plain(row, err);
    if (status == STATUS_OK && row->left_out_bytes > 0)
        status = relay_refuse_size(row->left_out_bytes, topic, config->limits.message_bytes, err);
    if (status == STATUS_OK)
        status = payload_validate(schema, row->payload, row->entity_key, err);
    if (status == STATUS_OK)
        status = relay_check_size(relay, topic, row, err);
    if (status != STATUS_OK)
        return status;
    row->topic = topic->name;
    row->partition = partition_of(relay_record_key(row), topic->lane_count);
    return STATUS_OK;
}

static enum status relay_set_aside(struct relay *relay, const struct outbox_row *row,
                                   const char *reason, struct error *err)
{
    log_error("relay",
              "outbox row %lld (%.*s %.*s) is set aside, and later rows of its entity wait: %s",
              (long long)row->position, SLICE_ARGS(row->entity_type), SLICE_ARGS(row->entity_key),
              reason);
    relay->waiting.has_set_aside = true;
    enum status status = relay->outbox->ops->set_aside(relay->outbox, &relay->lease.row, row,
                                                       reason, err);
    if (status == STATUS_OK) {
        atomic_fetch_add(&relay->options.metrics->set_aside, 1);
        atomic_fetch_add(&relay->options.metrics->set_aside_now, 1);
    }
    return status;
}

/* Stores the canonical keys of rows that wait. A key that cannot be made canonical stays as it is;
 * its row is checked when its turn comes. */
static enum status relay_write_keys(struct relay *relay, struct outbox_row *rows, size_t count,
                                    struct error *err)
{
    size_t changed = 0;
    for (size_t i = 0; i < count; i++) {
        struct error reason = ERROR_INIT;
        struct outbox_row row = rows[i];
        const struct config_entry *entry = relay_find_entry(relay, &row);
        if (entry == NULL)
            continue;
        enum status status = relay_make_canonical(
            relay, relay->options.schemas[entry - relay->options.config->publish], &row, &reason);
        if (status == STATUS_RETRY)
            break;
        if (status == STATUS_OK && row.rekeyed)
            rows[changed++] = row;
    }
    return relay->outbox->ops->write_keys(relay->outbox, &relay->lease.row, rows, changed, err);
}

/* Moves the rows that may be numbered to the front, in their order. While rows may be set aside,
 * the outbox must compare keys to find later rows of their entities. A key that is not canonical
 * then ends this load: it is stored canonically, and the next load finds it so. */
static enum status relay_select(struct relay *relay, struct outbox_row *rows, size_t count,
                                size_t *ret_kept, struct error *err)
{
    struct excluded excluded;
    size_t kept = 0;
    size_t bytes = 0;
    enum status status = STATUS_OK;
    bool compares_keys = relay->waiting.has_set_aside;
    excluded.count = 0;
    for (size_t i = 0; i < count && excluded.count < EXCLUDED_MAX; i++) {
        struct error reason = ERROR_INIT;
        struct slice written = rows[i].entity_key;
        enum status verdict = relay_check(relay, &rows[i], &reason);
        if (compares_keys && verdict != STATUS_RETRY && rows[i].rekeyed) {
            rows[i].entity_key = written;
            status = relay_write_keys(relay, &rows[i], count - i, err);
            if (status != STATUS_OK)
                return status;
            break;
        }
        if (relay_is_excluded(&excluded, &rows[i], written))
            continue;
        if (verdict == STATUS_REJECT) {
            status = relay_set_aside(relay, &rows[i], reason.text, err);
            if (status != STATUS_OK)
                return status;
            excluded.rows[excluded.count] = rows[i];
            excluded.keys[excluded.count++] = written;
            continue;
        }
        if (verdict != STATUS_OK && kept == 0)
            return error_set(err, verdict, "%s", reason.text);
        if (verdict != STATUS_OK || bytes > RELAY_FLIGHT_BYTES)
            break;
        bytes += rows[i].payload.length;
        rows[kept++] = rows[i];
    }
    relay->waiting.more = relay->waiting.more || kept < count;
    *ret_kept = kept;
    return STATUS_OK;
}

static struct relay_lane *relay_lane_of(struct relay *relay, const struct outbox_row *row)
{
    return &relay_find_topic(relay, row->topic)->lanes[row->partition];
}

/* Gives each row its sequence and its predecessor's id. Without memory no row gets one. */
static enum status relay_number(struct relay *relay, struct outbox_row *rows, size_t count,
                                struct error *err)
{
    size_t lane_count = relay_count_lanes(relay);
    size_t size = lane_count < count ? lane_count : count;
    struct relay_lane **lanes = arena_alloc(&relay->arena, size * sizeof(struct relay_lane *));
    struct relay_partition *partitions = arena_alloc(&relay->arena, size * sizeof *partitions);
    if (lanes == NULL || partitions == NULL)
        return error_set(err, STATUS_RETRY, "no memory");
    size_t moved = 0;
    for (size_t i = 0; i < count; i++) {
        struct relay_lane *lane = relay_lane_of(relay, &rows[i]);
        if (!lane->in_batch) {
            lane->in_batch = true;
            memcpy(lane->previous_id, lane->state.last_id, sizeof lane->previous_id);
            lane->tail = slice_of(lane->previous_id);
            lanes[moved++] = lane;
        }
        rows[i].sequence = ++lane->state.last_sequence;
        rows[i].previous_id = lane->tail;
        lane->tail = rows[i].id;
    }
    for (size_t i = 0; i < moved; i++) {
        lanes[i]->in_batch = false;
        (void)snprintf(lanes[i]->state.last_id, sizeof lanes[i]->state.last_id, "%.*s",
                       SLICE_ARGS(lanes[i]->tail));
        partitions[i] = lanes[i]->state;
    }
    relay->batch = (struct relay_batch){{rows, count, partitions, moved}, lanes};
    return STATUS_OK;
}

static bool relay_is_read(const struct relay *relay, const char *topic)
{
    const struct config *config = relay->options.config;
    for (size_t i = 0; i < config->apply_count; i++) {
        if (strcmp(config->apply[i].topic, topic) == 0)
            return true;
    }
    return false;
}

/* Rule 13: before a new incarnation publishes, the service's own agent reads what the log had when
 * the incarnation began. */
static enum status relay_check_caught_up(struct relay *relay, struct error *err)
{
    char topic[OUTBOX_NAME_SIZE];
    enum status status = relay->outbox->ops->held_back(
        relay->outbox, buffer_slice(&relay->waiting.read_topics), topic, err);
    if (status != STATUS_OK)
        return status;
    bool behind = topic[0] != '\0';
    if (behind && !relay_is_read(relay, topic)) {
        return error_set(
            error_config(err), STATUS_FATAL,
            "the new incarnation publishes only after the service's own agent has read "
            "what topic %s had before, but apply: does not name it any more: put its "
            "entry back, or publish all present rows again with `keepstep init "
            "--new-incarnation --existing-rows`",
            topic);
    }
    if (behind && !relay->waiting.catch_up_logged)
        log_info("relay", "a new incarnation: waits until the service's own agent has read what "
                          "the log had before it");
    relay->waiting.catch_up_logged = behind;
    relay->waiting.caught_up = !behind;
    relay->waiting.more = !behind;
    return STATUS_OK;
}

enum status relay_send_batch(struct relay *relay, struct error *err)
{
    const struct outbox_claim *claim = &relay->batch.claim;
    enum status status = STATUS_OK;
    for (size_t i = 0; status == STATUS_OK && i < claim->row_count && !relay->broker.failed; i++)
        status = relay_send(relay, relay_lane_of(relay, &claim->rows[i]), &claim->rows[i], err);
    return status;
}

/* @return whether a load ended at its limits, so that more rows may wait. */
static bool relay_is_full(const struct outbox_extent *extent, const struct outbox_row *rows,
                          size_t count)
{
    size_t bytes = 0;
    for (size_t i = 0; i < count; i++)
        bytes += rows[i].payload.length;
    return count == extent->rows || bytes >= extent->total_bytes;
}

enum status relay_claim(struct relay *relay, struct error *err)
{
    const struct outbox_ops *ops = relay->outbox->ops;
    struct outbox_rows rows = {0};
    size_t count = 0;
    arena_reset(&relay->arena);
    relay->waiting.loaded_at_us = clock_monotonic_us();
    relay->waiting.more = true; /* unless the load says otherwise */
    enum status status = relay->waiting.caught_up ? STATUS_OK : relay_check_caught_up(relay, err);
    if (status != STATUS_OK || !relay->waiting.caught_up)
        return status;
    const struct outbox_extent extent = {
        .rows = RELAY_BATCH_ROWS,
        .payload_bytes = (size_t)relay->options.config->limits.message_bytes,
        .total_bytes = RELAY_FLIGHT_BYTES};
    status = ops->load_waiting(relay->outbox, &extent, &relay->arena, &rows, err);
    if (status == STATUS_OK)
        relay->waiting.more = relay_is_full(&extent, rows.rows, rows.count);
    if (status == STATUS_OK && rows.count > 0)
        relay->waiting.found_at_us = relay->waiting.loaded_at_us;
    if (status == STATUS_OK && rows.count > 0)
        status = relay_select(relay, rows.rows, rows.count, &count, err);
    if (status == STATUS_OK && count > 0)
        status = relay_number(relay, rows.rows, count, err);
    if (status != STATUS_OK || count == 0)
        return status;
    failpoint(FAILPOINT_RELAY_BEFORE_CLAIM);
    status = ops->claim(relay->outbox, &relay->lease.row, &relay->batch.claim, err);
    if (status == STATUS_RETRY)
        relay_set_state(relay, RELAY_IN_DOUBT);
    if (status != STATUS_OK)
        return status;
    failpoint(FAILPOINT_RELAY_AFTER_CLAIM);
    relay_renewed(relay, relay->waiting.loaded_at_us);
    status = relay_send_batch(relay, err);
    failpoint(FAILPOINT_RELAY_AFTER_PUBLISH);
    return status;
}
