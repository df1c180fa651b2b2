/* The local copy of applier tests. */
#include "tests/support/copy.h"

#include "common/clock.h"
#include "consumer/store/registry.h"
#include "tests/support/postgresql.h"

#include <stdio.h>
#include <unistd.h>

#define COPY_PAUSE_US 210000 /* a little longer than the applier's pause between two passes */

static const char schema_text[] =
    "{\"$schema\":\"http://json-schema.org/draft-07/schema#\",\"type\":\"object\","
    "\"x-keepstep-key\":[\"id\"],\"required\":[\"id\"],\"additionalProperties\":false,"
    "\"properties\":{\"id\":{\"type\":\"integer\",\"x-keepstep-type\":\"integer\"},"
    "\"a\":{\"type\":[\"string\",\"null\"],\"x-keepstep-type\":\"text\"},"
    "\"b\":{\"type\":[\"string\",\"null\"],\"x-keepstep-type\":\"text\"}}}";

const char *const copy_outbox_tables[] = {
    [DATABASE_SQLITE] =
        ("CREATE TABLE outbox(position INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT,"
         " aggregatetype TEXT, aggregateid TEXT, type TEXT, payload TEXT,"
         " kafka_partition INTEGER, sequence INTEGER, set_aside TEXT);"
         "CREATE INDEX outbox_waiting ON outbox (position) WHERE sequence IS NULL;"
         "CREATE INDEX outbox_claimed ON outbox (kafka_partition, sequence)"
         " WHERE sequence IS NOT NULL;"
         "CREATE TABLE keepstep_relay(incarnation TEXT);"
         "INSERT INTO keepstep_relay VALUES ('0193a7c0-0000-7000-8000-000000000001');"
         "CREATE TABLE orders(id INTEGER NOT NULL PRIMARY KEY, a TEXT, b TEXT);"
         "INSERT INTO orders VALUES (1, 'own', 'own')"),
    [DATABASE_POSTGRESQL] =
        ("CREATE TABLE outbox(position bigint GENERATED ALWAYS AS IDENTITY, aggregatetype text,"
         " aggregateid text, kafka_partition int, sequence bigint);"
         "CREATE TABLE keepstep_relay(incarnation text);"
         "INSERT INTO keepstep_relay VALUES ('0193a7c0-0000-7000-8000-000000000001');"
         "CREATE TABLE orders(id bigint NOT NULL PRIMARY KEY, a text, b text);"
         "INSERT INTO orders VALUES (1, 'own', 'own')"),
    [DATABASE_MARIADB] =
        ("CREATE TABLE outbox(position bigint AUTO_INCREMENT PRIMARY KEY, "
         "KEY outbox_claimed(kafka_partition, sequence), aggregatetype text,"
         " aggregateid text, kafka_partition int, sequence bigint);"
         "CREATE TABLE keepstep_relay(incarnation varchar(36) PRIMARY KEY);"
         "INSERT INTO keepstep_relay VALUES ('0193a7c0-0000-7000-8000-000000000001');"
         "CREATE TABLE orders(id bigint NOT NULL PRIMARY KEY, a varchar(100), b varchar(100));"
         "INSERT INTO orders VALUES (1, 'own', 'own')"),
};

void copy_must(struct copy *copy, enum status status)
{
    if (status != STATUS_OK)
        test_fail("%s: %s", status_name(status), copy->err.text);
}

void copy_retry(struct copy *copy, int64_t now_us)
{
    do
        copy_must(copy, applier_retry_parked(copy->applier, now_us, &copy->err));
    while (applier_is_retrying(copy->applier));
}

void copy_retry_later(struct copy *copy, int64_t now_us)
{
    clock_sleep_us(COPY_PAUSE_US);
    copy_retry(copy, now_us);
}

int64_t copy_parked(const struct copy *copy)
{
    return copy_number(copy, "SELECT count(*) FROM keepstep_parked WHERE state <> 3");
}

static struct topic_partition copy_tp(int32_t partition)
{
    return (struct topic_partition){COPY_TOPIC, partition};
}

static void copy_take(struct copy *copy, struct applier *applier)
{
    struct partition_state state = {.partition = 0, .anchor_offset = -1};
    copy_must(copy, applier_read(applier, copy_tp(0), &state, &copy->err));
    (void)snprintf(state.topic, sizeof state.topic, "%s", COPY_TOPIC);
    (void)snprintf(state.cluster_id, sizeof state.cluster_id, "c");
    state.partition_count = copy->partition_count;
    copy_must(copy, applier_take(applier, &state, &copy->index, &copy->err));
}

size_t copy_take_partition(struct copy *copy, int32_t partition)
{
    size_t index = SIZE_MAX;
    struct partition_state state = {.anchor_offset = -1};
    copy_must(copy, applier_read(copy->applier, copy_tp(partition), &state, &copy->err));
    state.partition_count = copy->partition_count;
    copy_must(copy, applier_take(copy->applier, &state, &index, &copy->err));
    return index;
}

struct applier *copy_open(struct copy *copy)
{
    struct applier *applier = NULL;
    struct applier_options options = {.ops = copy->ops,
                                      .config = &copy->config,
                                      .mappings = copy->mappings,
                                      .mapping_count = copy->mapping_count,
                                      .metrics = copy->metrics};
    copy_must(copy, applier_new(&options, &applier, &copy->err));
    copy_take(copy, applier);
    return applier;
}

/* the copies' database of each kind */

/* @return an empty database. PostgreSQL is slow to drop and make one, so the last case's is
 * emptied. */
static const char *copy_database(void)
{
    static const char *last;
    if (database_case_kind != DATABASE_POSTGRESQL || last == NULL) {
        const char *url = database_make(database_case_kind, "copy");
        last = database_case_kind == DATABASE_POSTGRESQL ? url : NULL;
        return url;
    }
    postgresql_kill_backends(last);
    postgresql_execute(last, "DROP SCHEMA public CASCADE; CREATE SCHEMA public");
    return last;
}

/* Do what `init` does once the service's tables exist. */
static void copy_init(struct copy *copy)
{
    struct store *store = NULL;
    struct store_options install = {.path = copy->database, .service = "billing", .install = true};
    copy_must(copy, copy->ops->open(&install, &store, &copy->err));
    for (size_t i = 0; i < copy->mapping_count; i++)
        copy_must(copy, store_prepare(store, &copy->mappings[i], true, &copy->err));
    copy_must(copy, store_order(store, copy->mappings, copy->mapping_count, NULL, &copy->err));
    copy->ops->close(store);
}

/* Describe the entity types of the copy. */
static void copy_map(struct copy *copy, bool published_here)
{
    static const char *const types[] = {"order", "line"};
    static char *const tables[] = {"orders", "order_lines"};
    for (size_t i = 0; i < copy->mapping_count; i++) {
        test_write_file(test_path("%s.schema.json", types[i]), schema_text);
        copy_must(copy,
                  entity_schema_new(test_directory(), types[i], &copy->schemas[i], &copy->err));
        copy->entries[i] = (struct config_entry){.entity_type = (char *)types[i],
                                                 .table = tables[i],
                                                 .topic = COPY_TOPIC,
                                                 .partitions = 1};
        copy->mappings[i] = (struct mapping){.schema = copy->schemas[i],
                                             .entry = &copy->entries[i],
                                             .published_here = published_here};
    }
}

static struct copy *copy_begin_types(const char *table_sql, size_t types, bool published_here)
{
    struct copy *copy = calloc(1, sizeof *copy);
    struct store *store = NULL;
    copy->kind = database_case_kind;
    copy->url = copy_database();
    copy->ops = store_find(copy->url);
    copy->partition_count = 1;
    copy->incarnation = COPY_INCARNATION;
    copy->mapping_count = types;
    copy->database = database_case_kind == DATABASE_SQLITE ? test_path("copy.db") : copy->url;
    copy_map(copy, published_here);
    copy->config = (struct config){.service = "billing", .database_path = (char *)copy->database};
    copy->config.limits = (struct config_limits){.batch_events = 100,
                                                 .batch_bytes = 1 << 20,
                                                 .message_bytes = 1000000,
                                                 .parked_entities = 100,
                                                 .parked_records = 1000,
                                                 .parked_bytes = 1 << 28,
                                                 .changeset_events = 2000,
                                                 .changeset_bytes = 1 << 23};
    struct store_options install = {.path = copy->database, .service = "billing", .install = true};
    copy_must(copy, copy->ops->open(&install, &store, &copy->err));
    copy->ops->close(store);
    if (table_sql[0] != '\0')
        (void)copy_text(copy, table_sql);
    copy_init(copy);
    copy->metrics = calloc(1, sizeof *copy->metrics);
    copy_must(copy, batch_init(&copy->batch, 100, 1 << 20, 1000000, &copy->err));
    copy->applier = copy_open(copy);
    return copy;
}

struct copy *copy_begin(const char *table_sql, bool published_here)
{
    return copy_begin_types(table_sql, 1, published_here);
}

struct copy *copy_begin_with(const char *const tables_sql[], bool published_here)
{
    return copy_begin(tables_sql[database_case_kind], published_here);
}

struct copy *copy_begin_two(const char *const tables_sql[])
{
    return copy_begin_types(tables_sql[database_case_kind], 2, false);
}

void copy_finish(struct copy *copy)
{
    static const char *const files[] = {"copy.db", "copy.db-wal", "copy.db-shm"};
    applier_free(copy->applier);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        (void)unlink(test_path("%s", files[i])); /* a test may make many databases */
    batch_done(&copy->batch);
    for (size_t i = 0; i < copy->mapping_count; i++)
        entity_schema_free(copy->schemas[i]);
    free(copy->metrics);
    free(copy);
}

static struct copy *watched;

static void copy_let_act(void (**step)(struct copy *copy))
{
    void (*act)(struct copy * copy) = *step;
    *step = NULL;
    if (act != NULL)
        act(watched);
}

static enum status watched_begin(struct store *store, const struct fence *fences, size_t count,
                                 struct error *err)
{
    copy_let_act(&watched->at_begin);
    return watched->ops->begin(store, fences, count, err);
}

static enum status watched_apply(struct store *store, const struct mapping *mapping,
                                 const struct change *const *changes, size_t count,
                                 struct error *err)
{
    copy_let_act(&watched->at_apply);
    return watched->ops->apply(store, mapping, changes, count, err);
}

static enum status watched_claim_keys(struct store *store, struct key_claim *claims, size_t count,
                                      struct error *err)
{
    watched->claims++;
    return watched->ops->claim_keys(store, claims, count, err);
}

void copy_use(struct copy *copy, const struct store_ops *ops)
{
    applier_free(copy->applier);
    copy->ops = ops;
    copy->applier = copy_open(copy);
}

void copy_watch(struct copy *copy)
{
    static struct store_ops watched_ops;
    const struct store_ops *ops = copy->ops;
    watched = copy;
    watched_ops = *ops;
    watched_ops.begin = watched_begin;
    watched_ops.apply = watched_apply;
    watched_ops.claim_keys = watched_claim_keys;
    copy_use(copy, &watched_ops);
    copy->ops = ops;
}

enum status copy_try_operate(const struct copy *copy, int64_t parked_id, enum parked_edit edit,
                             struct error *err)
{
    struct store_options options = {.path = copy->database, .service = "billing"};
    struct store *store = NULL;
    struct parked_records read = {0};
    struct arena arena;
    const struct parked_filter filter = {.partition = -1, .parked_id = parked_id};
    const struct parked_record gone = {.parked_id = parked_id};
    arena_init(&arena, (size_t)1 << 28);
    enum status status = copy->ops->open(&options, &store, err);
    if (status == STATUS_OK)
        status = copy->ops->read_parked(store, &filter, &arena, &read, err);
    if (status == STATUS_OK)
        status = copy->ops->begin(store, NULL, 0, err);
    if (status == STATUS_OK)
        status = copy->ops->edit_parked(store, read.count == 0 ? &gone : read.records, edit, err);
    if (status == STATUS_OK)
        status = copy->ops->commit(store, true, err);
    copy->ops->close(store);
    arena_done(&arena);
    return status;
}

void copy_operate(struct copy *copy, int64_t parked_id, enum parked_edit edit)
{
    copy_must(copy, copy_try_operate(copy, parked_id, edit, &copy->err));
}

static void copy_add_type(struct copy *copy, const char *type, const char *source, int sequence,
                          const char *id, const char *previous_id, const char *kind, int key,
                          const char *value)
{
    struct header headers[13];
    size_t count = 0;
    char time[CLOCK_TEXT_SIZE];
    headers[count++] = (struct header){slice_of("ce_specversion"), slice_of("1.0")};
    headers[count++] = (struct header){slice_of("ce_id"), slice_of(id)};
    headers[count++] = (struct header){slice_of("ce_source"), slice_of(source)};
    headers[count++] = (struct header){slice_of("ce_type"), slice_of(type)};
    headers[count++] = (struct header){slice_of("ce_protocol"), slice_of("1")};
    if (kind != NULL)
        headers[count++] = (struct header){slice_of("ce_kind"), slice_of(kind)};
    if (copy->committed_us != 0) {
        clock_format_utc(copy->committed_us, time);
        headers[count++] = (struct header){slice_of("ce_time"), slice_of(time)};
    }
    if (sequence > 0) {
        headers[count++] = (struct header){slice_of("ce_sequence"),
                                           slice_of(test_format("%020d", sequence))};
        headers[count++] = (struct header){slice_of("ce_incarnation"), slice_of(copy->incarnation)};
    }
    if (sequence > 0 && copy->changeset_end > 0)
        headers[count++] = (struct header){slice_of("ce_changeset"),
                                           slice_of(test_format("%020d", copy->changeset_end))};
    if (sequence > 1)
        headers[count++] = (struct header){slice_of("ce_previousid"), slice_of(previous_id)};
    struct record record = {.topic = COPY_TOPIC,
                            .offset = copy->offset++,
                            .key = slice_of(test_format("{\"id\":%d}", key)),
                            .value = slice_of(value),
                            .headers = headers,
                            .header_count = count};
    copy_must(copy, batch_add(&copy->batch, &record, copy->index, applier_finder(copy->applier),
                              &copy->err));
}

void copy_add_from(struct copy *copy, const char *source, int sequence, const char *id,
                   const char *previous_id, const char *kind, int key, const char *value)
{
    copy_add_type(copy, "order.updated", source, sequence, id, previous_id, kind, key, value);
}

static void copy_add_of(struct copy *copy, const char *type, int sequence, int key, const char *op,
                        const char *row)
{
    const char *value = strcmp(op, "d") == 0
                            ? "{\"op\":\"d\",\"before\":null,\"after\":null}"
                            : test_format("{\"op\":\"%s\",\"before\":null,\"after\":{\"id\":%d%s}}",
                                          op, key, row);
    copy_add_type(copy, type, "shop", sequence, test_format("e%d", sequence),
                  test_format("e%d", sequence - 1), NULL, key, value);
}

void copy_add(struct copy *copy, int sequence, int key, const char *op, const char *row)
{
    copy_add_of(copy, "order.updated", sequence, key, op, row);
}

void copy_add_line(struct copy *copy, int sequence, int key, const char *op, const char *row)
{
    copy_add_of(copy, "line.updated", sequence, key, op, row);
}

void copy_apply(struct copy *copy)
{
    copy_must(copy, batch_link_sets(&copy->batch, applier_ranges(copy->applier), &copy->err));
    assert_int_equal(batch_whole(&copy->batch), copy->batch.count);
    copy_must(copy, applier_apply(copy->applier, &copy->batch, &copy->err));
    batch_reset(&copy->batch);
}

const char *copy_text(const struct copy *copy, const char *sql)
{
    return database_text(copy->url, sql);
}

int64_t copy_number(const struct copy *copy, const char *sql)
{
    const char *text = copy_text(copy, sql);
    char *end = NULL;
    long long number = strtoll(text, &end, 10);
    if (end == text)
        test_fail("no number but '%s': %s", text, sql);
    return number;
}

const char *copy_rows(const struct copy *copy)
{
    return copy_text(copy, "SELECT id, a, b FROM orders ORDER BY id");
}

const struct partition_state *copy_where(const struct copy *copy)
{
    const struct partition_state *state = applier_partition(copy->applier, copy->index);
    assert_non_null(state);
    return state;
}
