/* Batches into transactions: duplicates, stops, parking, reduction, own changes, the fence. */
#include "tests/support/sql.h"

#include "common/clock.h"
#include "consumer/applier.h"

#include <stdio.h>

#define TOPIC "order"

static const char schema_text[] =
    "{\"$schema\":\"http://json-schema.org/draft-07/schema#\",\"type\":\"object\","
    "\"x-keepstep-key\":[\"id\"],\"required\":[\"id\"],\"additionalProperties\":false,"
    "\"properties\":{\"id\":{\"type\":\"integer\",\"x-keepstep-type\":\"integer\"},"
    "\"a\":{\"type\":[\"string\",\"null\"],\"x-keepstep-type\":\"text\"},"
    "\"b\":{\"type\":[\"string\",\"null\"],\"x-keepstep-type\":\"text\"}}}";

struct fixture {
    const char *database;
    struct entity_schema *schema;
    struct config_entry entry;
    struct mapping mapping;
    struct config config;
    struct agent_metrics *metrics;
    struct applier *applier;
    struct batch batch;
    size_t index;
    int64_t offset;
    struct error err;
};

static const struct store_ops *const ops = &store_sqlite_ops;

static void must(struct fixture *f, enum status status)
{
    if (status != STATUS_OK)
        test_fail("%s: %s", status_name(status), f->err.text);
}

static void take(struct fixture *f, struct applier *applier)
{
    struct partition_state state = {.partition = 0, .partition_count = 1, .anchor_offset = -1};
    must(f, applier_read(applier, TOPIC, 0, &state, &f->err));
    (void)snprintf(state.topic, sizeof state.topic, "%s", TOPIC);
    (void)snprintf(state.cluster_id, sizeof state.cluster_id, "c");
    state.partition_count = 1;
    must(f, applier_take(applier, &state, &f->index, &f->err));
}

static struct applier *open_applier(struct fixture *f)
{
    struct applier *applier = NULL;
    struct applier_options options = {.ops = ops,
                                      .config = &f->config,
                                      .mappings = &f->mapping,
                                      .mapping_count = 1,
                                      .metrics = f->metrics};
    must(f, applier_new(&options, &applier, &f->err));
    take(f, applier);
    return applier;
}

/** @param table_sql  run before the agent's prepare, so that a table can have its own constraints.
 */
static struct fixture *begin(const char *table_sql, bool published_here)
{
    struct fixture *f = calloc(1, sizeof *f);
    struct store *store = NULL;
    f->database = test_path("copy.db");
    test_write_file(test_path("order.schema.json"), schema_text);
    must(f, entity_schema_new(test_directory(), "order", &f->schema, &f->err));
    f->entry = (struct config_entry){
        .entity_type = "order", .table = "orders", .topic = TOPIC, .partitions = 1};
    f->mapping = (struct mapping){
        .schema = f->schema, .entry = &f->entry, .published_here = published_here};
    f->config = (struct config){.service = "billing", .database_path = (char *)f->database};
    f->config.limits = (struct config_limits){.batch_events = 100,
                                              .batch_bytes = 1 << 20,
                                              .message_bytes = 1000000,
                                              .parked_entities = 100,
                                              .parked_records = 1000};
    struct store_options install = {.path = f->database, .service = "billing", .install = true};
    must(f, ops->open(&install, &store, &f->err));
    ops->close(store);
    (void)sqlite_text(f->database, table_sql);
    f->metrics = calloc(1, sizeof *f->metrics);
    must(f, batch_init(&f->batch, 100, 1 << 20, 1000000, &f->err));
    f->applier = open_applier(f);
    return f;
}

static void finish(struct fixture *f)
{
    applier_free(f->applier);
    batch_done(&f->batch);
    entity_schema_free(f->schema);
    free(f->metrics);
    free(f);
}

/** Add a record; sequence 0: an unsequenced one. */
static void add_from(struct fixture *f, const char *source, int sequence, const char *id,
                     const char *previous_id, const char *kind, int key, const char *value)
{
    struct header headers[12];
    size_t count = 0;
    headers[count++] = (struct header){slice_of("ce_specversion"), slice_of("1.0")};
    headers[count++] = (struct header){slice_of("ce_id"), slice_of(id)};
    headers[count++] = (struct header){slice_of("ce_source"), slice_of(source)};
    headers[count++] = (struct header){slice_of("ce_type"), slice_of("order.updated")};
    headers[count++] = (struct header){slice_of("ce_protocol"), slice_of("1")};
    if (kind != NULL)
        headers[count++] = (struct header){slice_of("ce_kind"), slice_of(kind)};
    if (sequence > 0) {
        headers[count++] = (struct header){slice_of("ce_sequence"),
                                           slice_of(test_format("%020d", sequence))};
        headers[count++] = (struct header){slice_of("ce_incarnation"),
                                           slice_of("0193a7c0-0000-7000-8000-000000000001")};
    }
    if (sequence > 1)
        headers[count++] = (struct header){slice_of("ce_previousid"), slice_of(previous_id)};
    struct record record = {.topic = TOPIC,
                            .offset = f->offset++,
                            .key = slice_of(test_format("{\"id\":%d}", key)),
                            .value = slice_of(value),
                            .headers = headers,
                            .header_count = count};
    must(f, batch_add(&f->batch, &record, f->index, applier_lookup, f->applier, &f->err));
}

static void add(struct fixture *f, int sequence, int key, const char *op, const char *row)
{
    const char *value = strcmp(op, "d") == 0
                            ? "{\"op\":\"d\",\"before\":null,\"after\":null}"
                            : test_format("{\"op\":\"%s\",\"before\":null,\"after\":{\"id\":%d%s}}",
                                          op, key, row);
    add_from(f, "shop", sequence, test_format("e%d", sequence), test_format("e%d", sequence - 1),
             NULL, key, value);
}

static void apply(struct fixture *f)
{
    must(f, applier_apply(f->applier, &f->batch, &f->err));
    batch_reset(&f->batch);
}

static const char *rows(struct fixture *f)
{
    return sqlite_text(f->database, "SELECT id, a, b FROM orders ORDER BY id");
}

static struct applier_partition where(struct fixture *f)
{
    struct applier_partition partition = {0};
    assert_true(applier_partition(f->applier, f->index, &partition));
    return partition;
}

static void test_applies_and_moves(void **test)
{
    (void)test;
    struct fixture *f = begin("", false);
    add(f, 1, 1, "c", ",\"a\":\"x\",\"b\":\"y\"");
    add(f, 2, 2, "c", ",\"a\":\"z\",\"b\":null");
    add(f, 3, 2, "d", "");
    apply(f);
    assert_string_equal(rows(f), "1|x|y\n");
    assert_int_equal(where(f).next_offset, 3);
    add(f, 3, 2, "d", ""); /* published twice */
    add(f, 4, 3, "c", ",\"a\":\"n\",\"b\":\"m\"");
    apply(f);
    assert_string_equal(rows(f), "1|x|y\n3|n|m\n");
    assert_int_equal(atomic_load(&f->metrics->events_duplicate), 1);
    finish(f);
}

static void test_sparse_image_ends_reduction(void **test)
{
    (void)test;
    struct fixture *f = begin("", false);
    add(f, 1, 1, "c", ",\"a\":\"1\",\"b\":\"1\"");
    add(f, 2, 1, "u", ",\"a\":\"2\",\"b\":\"2\"");
    add(f, 3, 1, "u", ",\"a\":\"3\"");
    apply(f);
    assert_string_equal(rows(f), "1|3|2\n");
    finish(f);
}

static void test_gap_stops_after_what_came_before(void **test)
{
    (void)test;
    struct fixture *f = begin("", false);
    add(f, 1, 1, "c", ",\"a\":\"1\",\"b\":\"1\"");
    add(f, 3, 1, "u", ",\"a\":\"3\",\"b\":\"3\"");
    apply(f);
    assert_string_equal(rows(f), "1|1|1\n");
    assert_int_equal(where(f).next_offset, 1);
    assert_non_null(strstr(where(f).stopped, "missing"));
    add(f, 4, 1, "u", ",\"a\":\"4\",\"b\":\"4\"");
    apply(f);
    assert_string_equal(rows(f), "1|1|1\n");
    finish(f);
}

static void test_covered_with_another_id_is_a_fork(void **test)
{
    (void)test;
    struct fixture *f = begin("", false);
    add(f, 1, 1, "c", ",\"a\":\"1\",\"b\":\"1\"");
    add(f, 2, 1, "u", ",\"a\":\"2\",\"b\":\"2\"");
    add_from(f, "shop", 1, "x1", "", NULL, 1,
             "{\"op\":\"u\",\"before\":null,\"after\":{\"id\":1,\"a\":\"x\",\"b\":\"x\"}}");
    apply(f);
    assert_string_equal(rows(f), "1|2|2\n");
    assert_int_equal(where(f).next_offset, 2);
    assert_non_null(strstr(where(f).stopped, "two histories"));
    finish(f);
}

static void test_unsequenced_key_is_claimed(void **test)
{
    (void)test;
    struct fixture *f = begin("", false);
    const char *value =
        "{\"op\":\"c\",\"before\":null,\"after\":{\"id\":1,\"a\":\"p\",\"b\":\"p\"}}";
    add_from(f, "tool", 0, "k1", "", NULL, 1, value);
    add_from(f, "tool", 0, "k1", "", NULL, 1, value);
    apply(f);
    assert_int_equal(atomic_load(&f->metrics->events_duplicate), 1);
    add_from(f, "tool", 0, "k1", "", NULL, 1,
             "{\"op\":\"u\",\"before\":null,\"after\":{\"id\":1,\"a\":\"q\",\"b\":\"q\"}}");
    apply(f);
    assert_string_equal(rows(f), "1|p|p\n");
    assert_int_equal(atomic_load(&f->metrics->events_parked), 1);
    finish(f);
}

static void test_malformed_parks_and_blocks_its_entity(void **test)
{
    (void)test;
    struct fixture *f = begin("", false);
    add(f, 1, 1, "c", ",\"a\":\"1\",\"b\":\"1\"");
    add(f, 2, 1, "u", ",\"a\":7");
    add(f, 3, 1, "u", ",\"a\":\"3\",\"b\":\"3\"");
    add(f, 4, 2, "c", ",\"a\":\"4\",\"b\":\"4\"");
    apply(f);
    assert_string_equal(rows(f), "1|1|1\n2|4|4\n");
    assert_int_equal(sqlite_number(f->database, "SELECT count(*) FROM keepstep_parked"), 2);
    add(f, 5, 1, "u", ",\"a\":\"5\",\"b\":\"5\"");
    apply(f);
    assert_string_equal(rows(f), "1|1|1\n2|4|4\n");
    assert_int_equal(sqlite_number(f->database, "SELECT count(*) FROM keepstep_parked"), 3);
    assert_int_equal(where(f).next_offset, 5);
    finish(f);
}

static const char unique_table[] =
    "CREATE TABLE orders(id INTEGER NOT NULL PRIMARY KEY, a TEXT UNIQUE, b TEXT)";

static void test_unique_swap_in_turn(void **test)
{
    (void)test;
    struct fixture *f = begin(unique_table, false);
    add(f, 1, 1, "c", ",\"a\":\"a\",\"b\":null");
    add(f, 2, 2, "c", ",\"a\":\"b\",\"b\":null");
    apply(f);
    add(f, 3, 1, "u", ",\"a\":\"tmp\",\"b\":null");
    add(f, 4, 2, "u", ",\"a\":\"a\",\"b\":null");
    add(f, 5, 1, "u", ",\"a\":\"b\",\"b\":null");
    apply(f);
    assert_string_equal(rows(f), "1|b|NULL\n2|a|NULL\n");
    assert_int_equal(atomic_load(&f->metrics->events_parked), 0);
    finish(f);
}

static void test_waiting_is_cured_in_order(void **test)
{
    (void)test;
    struct fixture *f = begin(unique_table, false);
    add(f, 1, 1, "c", ",\"a\":\"mail\",\"b\":null");
    add(f, 2, 2, "c", ",\"a\":\"mail\",\"b\":\"first\"");
    add(f, 3, 2, "u", ",\"a\":\"mail\",\"b\":\"second\"");
    apply(f);
    assert_string_equal(rows(f), "1|mail|NULL\n");
    add(f, 4, 1, "d", "");
    apply(f);
    must(f, applier_retry_parked(f->applier, clock_wall_us(), &f->err));
    assert_string_equal(rows(f), "2|mail|second\n");
    assert_int_equal(sqlite_number(f->database, "SELECT count(*) FROM keepstep_parked"), 0);
    add(f, 5, 2, "u", ",\"a\":\"mail\",\"b\":\"third\"");
    apply(f);
    assert_string_equal(rows(f), "2|mail|third\n");
    finish(f);
}

static void test_unknown_type_stops(void **test)
{
    (void)test;
    struct fixture *f = begin("", false);
    struct header headers[] = {{slice_of("ce_specversion"), slice_of("1.0")},
                               {slice_of("ce_id"), slice_of("u1")},
                               {slice_of("ce_source"), slice_of("tool")},
                               {slice_of("ce_protocol"), slice_of("1")},
                               {slice_of("ce_type"), slice_of("invoice.created")}};
    struct record record = {
        .topic = TOPIC,
        .key = slice_of("{\"id\":1}"),
        .value = slice_of("{\"op\":\"c\",\"before\":null,\"after\":{\"id\":1}}"),
        .headers = headers,
        .header_count = 5};
    must(f, batch_add(&f->batch, &record, f->index, applier_lookup, f->applier, &f->err));
    apply(f);
    assert_non_null(strstr(where(f).stopped, "invoice"));
    assert_int_equal(where(f).next_offset, 0);
    finish(f);
}

static void test_lost_fence_is_an_abort(void **test)
{
    (void)test;
    struct fixture *f = begin("", false);
    struct applier *other = open_applier(f);
    add(f, 1, 1, "c", ",\"a\":\"1\",\"b\":\"1\"");
    assert_int_equal(applier_apply(f->applier, &f->batch, &f->err), STATUS_ABORT);
    assert_int_equal(f->err.native_code, 0);
    assert_string_equal(rows(f), "");
    applier_free(other);
    finish(f);
}

static void test_revision_reloads_and_goes_on(void **test)
{
    (void)test;
    struct fixture *f = begin("", false);
    (void)sqlite_text(f->database, "UPDATE keepstep_position SET revision = revision + 1");
    add(f, 1, 1, "c", ",\"a\":\"1\",\"b\":\"1\"");
    assert_int_equal(applier_apply(f->applier, &f->batch, &f->err), STATUS_ABORT);
    assert_int_equal(f->err.native_code, 1);
    error_clear(&f->err);
    assert_true(where(f).reloaded);
    apply(f);
    assert_string_equal(rows(f), "1|1|1\n");
    finish(f);
}

static void test_state_survives_a_restart(void **test)
{
    (void)test;
    struct fixture *f = begin("", false);
    add(f, 1, 1, "c", ",\"a\":\"1\",\"b\":\"1\"");
    apply(f);
    applier_free(f->applier);
    f->applier = open_applier(f);
    assert_int_equal(where(f).next_offset, 1);
    add(f, 1, 1, "c", ",\"a\":\"1\",\"b\":\"1\"");
    add(f, 2, 1, "u", ",\"a\":\"2\",\"b\":\"2\"");
    apply(f);
    assert_string_equal(rows(f), "1|2|2\n");
    assert_string_equal(where(f).stopped, "");
    finish(f);
}

static const char outbox_table[] =
    "CREATE TABLE outbox(position INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT, aggregatetype TEXT,"
    " aggregateid TEXT, type TEXT, payload TEXT, kafka_partition INTEGER, sequence INTEGER,"
    " set_aside TEXT);"
    "CREATE INDEX outbox_waiting ON outbox (position) WHERE sequence IS NULL;"
    "CREATE INDEX outbox_claimed ON outbox (kafka_partition, sequence)"
    " WHERE sequence IS NOT NULL;"
    "CREATE TABLE keepstep_relay(incarnation TEXT);"
    "INSERT INTO keepstep_relay VALUES ('0193a7c0-0000-7000-8000-000000000001');"
    "CREATE TABLE orders(id INTEGER NOT NULL PRIMARY KEY, a TEXT, b TEXT);"
    "INSERT INTO orders VALUES (1, 'own', 'own');"
    "INSERT INTO outbox(id, aggregatetype, aggregateid, type, payload)"
    " VALUES ('o1', 'order', '{\"id\":1}', 'order.updated', '{}');";

static void test_later_own_change_supersedes(void **test)
{
    (void)test;
    struct fixture *f = begin(outbox_table, true);
    add(f, 1, 1, "u", ",\"a\":\"theirs\",\"b\":\"theirs\"");
    apply(f);
    assert_string_equal(rows(f), "1|own|own\n");
    assert_int_equal(where(f).next_offset, 1);
    assert_int_equal(atomic_load(&f->metrics->events_superseded), 1);
    (void)sqlite_text(f->database, "UPDATE outbox SET kafka_partition = 0, sequence = 1");
    add_from(f, "billing", 1, "o1", "", NULL, 1,
             "{\"op\":\"u\",\"before\":null,\"after\":{\"id\":1,\"a\":\"own\",\"b\":\"own\"}}");
    add(f, 2, 1, "u", ",\"a\":\"later\",\"b\":\"later\"");
    apply(f); /* the own range as of the event, not as of the batch */
    assert_string_equal(rows(f), "1|later|later\n");
    finish(f);
}

static void test_own_void_writes_the_kept_image(void **test)
{
    (void)test;
    struct fixture *f = begin(outbox_table, true);
    add(f, 1, 1, "u", ",\"a\":\"theirs\",\"b\":\"theirs\"");
    apply(f);
    (void)sqlite_text(f->database, "UPDATE outbox SET kafka_partition = 0, sequence = 1");
    add_from(f, "billing", 1, "o1", "", "void", 1, "nothing that can be read");
    apply(f);
    assert_string_equal(rows(f), "1|theirs|theirs\n");
    finish(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_applies_and_moves),
        TEST(test_sparse_image_ends_reduction),
        TEST(test_gap_stops_after_what_came_before),
        TEST(test_covered_with_another_id_is_a_fork),
        TEST(test_unsequenced_key_is_claimed),
        TEST(test_malformed_parks_and_blocks_its_entity),
        TEST(test_unique_swap_in_turn),
        TEST(test_waiting_is_cured_in_order),
        TEST(test_unknown_type_stops),
        TEST(test_lost_fence_is_an_abort),
        TEST(test_revision_reloads_and_goes_on),
        TEST(test_state_survives_a_restart),
        TEST(test_later_own_change_supersedes),
        TEST(test_own_void_writes_the_kept_image),
    };
    return TEST_RUN(tests);
}
