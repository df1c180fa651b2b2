/* What only the PostgreSQL store does: catalogue, runs, errors of the database, look, flag, roles.
 */
#include "consumer/store.h"
#include "tests/support/postgresql.h"
#include "tests/support/test.h"

#include <pthread.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

static struct column columns[] = {
    {.name = (char[]){"id"}, .type = COLUMN_INTEGER, .is_key = true},
    {.name = (char[]){"price"}, .type = COLUMN_DECIMAL, .nullable = true},
    {.name = (char[]){"note"}, .type = COLUMN_TEXT, .nullable = true},
};
static size_t key_columns[] = {0};
static struct entity_schema schema = {.entity_type = (char[]){"order"},
                                      .columns = columns,
                                      .column_count = 3,
                                      .key_columns = key_columns,
                                      .key_count = 1};
static struct config_entry entry = {.entity_type = (char[]){"order"}, .table = (char[]){"orders"}};
static struct mapping mapping = {.schema = &schema, .entry = &entry};
static const struct store_ops *const ops = &store_postgresql_ops;
static struct error err;
static const char *url;

static struct store *open_store(void)
{
    struct store *store = NULL;
    if (url == NULL)
        url = postgresql_database("copy");
    struct store_options options = {.path = url, .service = "billing", .install = true};
    error_clear(&err);
    if (ops->open(&options, &store, &err) != STATUS_OK)
        test_fail("%s", err.text);
    return store;
}

#define assert_ok(call) check_ok(call, __LINE__)
static void check_ok(enum status status, int line)
{
    if (status != STATUS_OK)
        test_fail("line %d: %s: %s", line, status_name(status), err.text);
}

static struct store *open_prepared(void)
{
    struct store *store = open_store();
    postgresql_execute(url, "DROP TABLE IF EXISTS orders CASCADE");
    assert_ok(ops->prepare(store, &mapping, &err));
    return store;
}

static struct change order(struct value *values, enum change_op op, int64_t id, const char *note)
{
    char *key = (char *)test_format("{\"id\":%lld}", (long long)id);
    values[0] = (struct value){.kind = VALUE_INTEGER, .integer = id};
    values[1] = (struct value){.kind = VALUE_TEXT, .text = slice_of("1.50")};
    values[2] = (struct value){.kind = VALUE_TEXT, .text = slice_of(note)};
    if (note == NULL)
        values[2].kind = VALUE_ABSENT;
    return (struct change){.op = op,
                           .entity_type = slice_of("order"),
                           .entity_key = slice_of(key),
                           .schema = &schema,
                           .values = values};
}

static enum status apply_one(struct store *store, enum change_op op, int64_t id, const char *note)
{
    struct value values[3] = {0};
    struct change change = order(values, op, id, note);
    const struct change *changes[] = {&change};
    size_t failed = 0;
    return ops->apply(store, &mapping, changes, 1, &failed, &err);
}

static void assert_refused(const char *sql, const char *reason)
{
    struct store *store = open_store();
    postgresql_execute(url, "DROP TABLE IF EXISTS orders CASCADE; DROP VIEW IF EXISTS view");
    postgresql_execute(url, sql);
    assert_int_equal(ops->prepare(store, &mapping, &err), STATUS_FATAL);
    if (strstr(err.text, reason) == NULL)
        test_fail("\"%s\" is not in \"%s\"", reason, err.text);
    ops->close(store);
}

static void assert_accepted(const char *sql)
{
    struct store *store = open_store();
    postgresql_execute(url, "DROP TABLE IF EXISTS orders CASCADE");
    postgresql_execute(url, sql);
    assert_ok(ops->prepare(store, &mapping, &err));
    assert_ok(ops->begin(store, NULL, 0, &err));
    assert_ok(apply_one(store, CHANGE_CREATE, 1, "one"));
    assert_ok(apply_one(store, CHANGE_UPDATE, 1, NULL));
    assert_ok(apply_one(store, CHANGE_UPDATE, 1, "uno"));
    assert_ok(ops->commit(store, false, &err));
    assert_string_equal(postgresql_text(url, "SELECT id, price, note FROM orders"), "1|1.50|uno\n");
    ops->close(store);
}

static void tables_that_keep_every_value_exactly_are_accepted(void **state)
{
    (void)state;
    assert_accepted("CREATE TABLE orders(id bigint PRIMARY KEY, price numeric, note text)");
    assert_accepted("CREATE TABLE orders(note varchar(20), price numeric, id smallint UNIQUE)");
    assert_accepted("CREATE TABLE orders(id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, "
                    "price numeric, note text COLLATE \"C\", other text NOT NULL DEFAULT '')");
    assert_accepted("CREATE TABLE orders(id int PRIMARY KEY, price numeric, note text) "
                    "PARTITION BY HASH (id); CREATE TABLE orders_0 PARTITION OF orders "
                    "FOR VALUES WITH (MODULUS 1, REMAINDER 0)");
}

static void tables_that_would_change_a_value_are_refused(void **state)
{
    (void)state;
    assert_refused("CREATE TABLE orders(id bigint PRIMARY KEY, price float8, note text)",
                   "double precision, which does not keep a decimal");
    assert_refused("CREATE TABLE orders(id bigint PRIMARY KEY, price numeric(10,2), note text)",
                   "numeric(10,2)");
    assert_refused("CREATE TABLE orders(id bigint PRIMARY KEY, price bigint, note text)", "bigint");
    assert_refused("CREATE TABLE orders(id bigint PRIMARY KEY, price numeric, note char(9))",
                   "character(9)");
    assert_refused("CREATE DOMAIN short AS text; CREATE TABLE orders(id bigint PRIMARY KEY, "
                   "price numeric, note short)",
                   "short");
    assert_refused("CREATE TABLE orders(id numeric PRIMARY KEY, price numeric, note text)",
                   "numeric, which does not keep a integer");
    assert_refused("CREATE TABLE orders(id bigint, price numeric, note text)", "neither the prim");
    assert_refused("CREATE TABLE orders(id bigint UNIQUE DEFERRABLE, price numeric, note text)",
                   "neither the primary key");
    assert_refused("CREATE TABLE orders(id bigint, price numeric, note text, "
                   "PRIMARY KEY (id, note))",
                   "neither the primary key");
    assert_refused("CREATE TABLE orders(id bigint PRIMARY KEY, price numeric, "
                   "note text GENERATED ALWAYS AS ('x') STORED)",
                   "is generated");
    assert_refused("CREATE TABLE orders(id bigint PRIMARY KEY, price numeric, note text, "
                   "more int NOT NULL)",
                   "column \"more\"");
    columns[2].type = COLUMN_JSON; /* jsonb sorts members and drops all but the last of a name */
    assert_refused("CREATE TABLE orders(id bigint PRIMARY KEY, price numeric, note jsonb)",
                   "is declared jsonb, which does not keep a json exactly: declare it json");
    columns[2].type = COLUMN_TEXT;
    assert_refused("CREATE TABLE orders(price numeric, note text)", "has no column \"id\"");
    assert_refused("CREATE VIEW orders AS SELECT 1 AS id", "is no table of its own");
    postgresql_execute(url, "DROP VIEW orders");
    columns[0].type = COLUMN_TEXT;
    assert_refused("CREATE COLLATION loose(provider = icu, locale = 'und-u-ks-level2', "
                   "deterministic = false); CREATE TABLE orders(id text COLLATE loose PRIMARY KEY, "
                   "price numeric, note text)",
                   "nondeterministic");
    columns[0].type = COLUMN_INTEGER;
}

static void a_table_is_created_and_widened_from_the_schema(void **state)
{
    (void)state;
    struct store *store = open_store();
    postgresql_execute(url, "DROP TABLE IF EXISTS orders CASCADE");
    schema.column_count = 2;
    columns[1].precision = 12;
    columns[1].scale = 3;
    assert_ok(ops->prepare(store, &mapping, &err));
    schema.column_count = 3;
    assert_ok(ops->prepare(store, &mapping, &err));
    assert_ok(ops->prepare(store, &mapping, &err));
    columns[1].precision = 0;
    columns[1].scale = 0;
    assert_string_equal(postgresql_text(url, "SELECT attname, format_type(atttypid, atttypmod), "
                                             "attnotnull FROM pg_attribute WHERE attnum > 0 AND "
                                             "attrelid = 'orders'::regclass ORDER BY attnum"),
                        "id|bigint|t\nprice|numeric(12,3)|f\nnote|text|f\n");
    ops->close(store);
}

static void a_database_without_keepsteps_tables_or_with_newer_ones_is_refused(void **state)
{
    (void)state;
    const char *empty = postgresql_database("empty");
    struct store *store = NULL;
    struct store_options options = {.path = empty, .service = "billing"};
    error_clear(&err);
    assert_int_equal(ops->open(&options, &store, &err), STATUS_FATAL);
    assert_non_null(strstr(err.text, "keepstep init"));
    postgresql_execute(empty, "CREATE TABLE keepstep_meta(key text, value text);"
                              "INSERT INTO keepstep_meta VALUES ('schema_version', '2')");
    error_clear(&err);
    assert_int_equal(ops->open(&options, &store, &err), STATUS_FATAL);
    assert_non_null(strstr(err.text, "newer program"));
}

/* A run of more shapes than are kept, the same entities again and again: the last one counts. */
static void a_run_keeps_the_order_of_each_entity(void **state)
{
    (void)state;
    enum { CHANGES = 400, ENTITIES = 7 };
    static struct value values[CHANGES][3];
    static struct change list[CHANGES];
    static const struct change *changes[CHANGES];
    char expected[ENTITIES][16] = {""};
    struct store *store = open_prepared();
    struct buffer rows;
    size_t failed = 0;
    for (size_t i = 0; i < CHANGES; i++) {
        size_t id = (i * 5) % ENTITIES;
        bool sparse = i % 3 == 1 && expected[id][0] != '\0';
        bool removed = i % 11 == 0;
        const char *note = test_format("%zu", i);
        list[i] = order(values[i], removed ? CHANGE_DELETE : CHANGE_UPDATE, (int64_t)id, note);
        if (sparse)
            values[i][1].kind = VALUE_ABSENT;
        if (removed)
            values[i][1].kind = values[i][2].kind = VALUE_ABSENT;
        (void)snprintf(expected[id], sizeof expected[id], "%s", removed ? "" : note);
        changes[i] = &list[i];
    }
    assert_ok(ops->begin(store, NULL, 0, &err));
    assert_ok(ops->apply(store, &mapping, changes, CHANGES, &failed, &err));
    assert_int_equal(failed, CHANGES);
    assert_ok(ops->commit(store, false, &err));
    buffer_init(&rows, 4096);
    for (size_t id = 0; id < ENTITIES; id++) {
        if (expected[id][0] != '\0')
            buffer_append_format(&rows, "%zu|%s\n", id, expected[id]);
    }
    assert_string_equal(postgresql_text(url, "SELECT id, note FROM orders ORDER BY id"),
                        buffer_text(&rows));
    buffer_done(&rows);
    ops->close(store);
}

/* As the triggers of the publishing side read the name: app."ord""ers". */
static void a_table_of_a_named_schema_is_created_widened_and_written_there(void **state)
{
    (void)state;
    char *before = entry.table;
    struct buffer grants;
    struct store *store = open_store();
    postgresql_execute(url, "CREATE SCHEMA app");
    entry.table = (char[]){"app.ord\"ers"};
    schema.column_count = 2;
    assert_ok(ops->prepare(store, &mapping, &err));
    schema.column_count = 3;
    assert_ok(ops->prepare(store, &mapping, &err));
    assert_ok(ops->begin(store, NULL, 0, &err));
    assert_ok(apply_one(store, CHANGE_CREATE, 1, "one"));
    assert_ok(apply_one(store, CHANGE_UPDATE, 1, "uno"));
    assert_ok(ops->commit(store, false, &err));
    assert_string_equal(postgresql_text(url, "SELECT id, note FROM app.\"ord\"\"ers\""), "1|uno\n");
    buffer_init(&grants, 65536);
    assert_ok(ops->copy_sql(&mapping, 1, &grants, &err));
    assert_non_null(strstr(buffer_text(&grants), "ON \"app\".\"ord\"\"ers\" TO"));
    assert_non_null(strstr(buffer_text(&grants), "GRANT USAGE ON SCHEMA \"app\" TO"));
    buffer_done(&grants);
    entry.table = (char[]){"app.outbox"};
    assert_int_equal(ops->prepare(store, &mapping, &err), STATUS_FATAL);
    assert_non_null(strstr(err.text, "reserved"));
    entry.table = before;
    ops->close(store);
}

static void what_the_database_says_of_a_row_becomes_its_verdict(void **state)
{
    (void)state;
    static const struct {
        const char *sqlstate;
        enum status status;
        enum reject_kind reject;
    } expected[] = {
        {"40001", STATUS_RETRY, REJECT_HELD},     {"40P01", STATUS_RETRY, REJECT_HELD},
        {"55P03", STATUS_RETRY, REJECT_HELD},     {"57014", STATUS_RETRY, REJECT_HELD},
        {"25006", STATUS_RETRY, REJECT_HELD},     {"42501", STATUS_RETRY, REJECT_HELD},
        {"53100", STATUS_RETRY, REJECT_HELD},     {"23505", STATUS_REJECT, REJECT_WAITING},
        {"23503", STATUS_REJECT, REJECT_WAITING}, {"23502", STATUS_REJECT, REJECT_HELD},
        {"23514", STATUS_REJECT, REJECT_HELD},    {"P0001", STATUS_REJECT, REJECT_HELD},
        {"XX000", STATUS_FATAL, REJECT_HELD},
    };
    struct store *store = open_prepared();
    postgresql_execute(url, "CREATE OR REPLACE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql "
                            "AS $$BEGIN RAISE EXCEPTION 'no' USING ERRCODE = NEW.note; END$$;"
                            "CREATE TRIGGER refuse BEFORE INSERT ON orders FOR EACH ROW "
                            "EXECUTE FUNCTION refuse()");
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        error_clear(&err);
        assert_ok(ops->begin(store, NULL, 0, &err));
        enum status status = apply_one(store, CHANGE_CREATE, 1, expected[i].sqlstate);
        if (status != expected[i].status || err.reject != expected[i].reject ||
            err.native_code != (int)strtol(expected[i].sqlstate, NULL, 36))
            test_fail("%s: %s: %s", expected[i].sqlstate, status_name(status), err.text);
        ops->rollback(store);
    }
    ops->close(store);
}

static void a_deferred_constraint_is_judged_with_the_row(void **state)
{
    (void)state;
    struct store *store = open_prepared();
    postgresql_execute(url, "ALTER TABLE orders ADD CONSTRAINT note_once UNIQUE (note) "
                            "DEFERRABLE INITIALLY DEFERRED");
    assert_ok(ops->begin(store, NULL, 0, &err));
    assert_ok(apply_one(store, CHANGE_CREATE, 1, "same"));
    assert_int_equal(apply_one(store, CHANGE_CREATE, 2, "same"), STATUS_REJECT);
    assert_int_equal(err.reject, REJECT_WAITING);
    ops->close(store);
}

static void a_commit_behind_a_rejected_row_is_no_commit(void **state)
{
    (void)state;
    struct store *store = open_prepared();
    postgresql_execute(url, "ALTER TABLE orders ADD CHECK (note <> 'bad')");
    assert_ok(ops->begin(store, NULL, 0, &err));
    assert_ok(apply_one(store, CHANGE_CREATE, 1, "good"));
    assert_int_equal(apply_one(store, CHANGE_CREATE, 2, "bad"), STATUS_REJECT);
    error_clear(&err);
    assert_int_equal(ops->commit(store, false, &err), STATUS_FATAL);
    ops->rollback(store);
    assert_string_equal(postgresql_text(url, "SELECT count(*) FROM orders"), "0\n");
    ops->close(store);
}

static void a_full_disk_makes_the_batch_retry(void **state)
{
    (void)state;
    const char *space = test_format("%s/space",
                                    postgresql_server_url() == NULL ? "" : postgresql_directory());
    static char large[200000];
    struct stat owner;
    for (size_t i = 0; i < sizeof large - 1; i++) /* what compression finds nothing in */
        large[i] = (char)('0' + (i * i * 7919 + i / 97) % 75);
    struct store *store = open_prepared();
    if (mkdir(space, 0777) != 0 || mount("tmpfs", space, "tmpfs", 0, "size=4m") != 0 ||
        stat(postgresql_directory(), &owner) != 0 || chown(space, owner.st_uid, owner.st_gid) != 0)
        test_skip("a tmpfs cannot be mounted here");
    postgresql_execute(url, test_format("CREATE TABLESPACE small LOCATION '%s'", space));
    postgresql_execute(url, "ALTER TABLE orders SET TABLESPACE small");
    enum status status = STATUS_OK;
    assert_ok(ops->begin(store, NULL, 0, &err));
    for (int64_t id = 0; status == STATUS_OK && id < 200; id++)
        status = apply_one(store, CHANGE_CREATE, id, large);
    ops->rollback(store);
    ops->close(store);
    postgresql_execute(url, "DROP TABLE orders");
    postgresql_execute(url, "CHECKPOINT");
    postgresql_execute(url, "DROP TABLESPACE small");
    (void)umount(space);
    assert_int_equal(status, STATUS_RETRY);
    assert_int_equal(err.native_code, (int)strtol("53100", NULL, 36));
}

static void the_flag_names_the_table_during_a_run_only(void **state)
{
    (void)state;
    struct store *store = open_prepared();
    struct mapping published = mapping;
    struct value values[3] = {0};
    struct change change = order(values, CHANGE_CREATE, 1, "n");
    const struct change *changes[] = {&change};
    size_t failed = 0;
    published.published_here = true;
    postgresql_execute(url, "CREATE OR REPLACE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS "
                            "$$BEGIN NEW.note := current_setting('keepstep.applying', true); "
                            "RETURN NEW; END$$; CREATE TRIGGER see BEFORE INSERT ON orders "
                            "FOR EACH ROW EXECUTE FUNCTION see()");
    assert_ok(ops->begin(store, NULL, 0, &err));
    assert_ok(ops->apply(store, &published, changes, 1, &failed, &err));
    assert_ok(apply_one(store, CHANGE_CREATE, 2, "n"));
    assert_ok(ops->savepoint(store, false, &err));
    values[0].kind = VALUE_NULL;
    assert_int_equal(ops->apply(store, &published, changes, 1, &failed, &err), STATUS_REJECT);
    error_clear(&err);
    assert_ok(ops->savepoint(store, true, &err));
    assert_ok(apply_one(store, CHANGE_CREATE, 3, "n"));
    assert_ok(ops->commit(store, false, &err));
    assert_string_equal(postgresql_text(url, "SELECT id, note FROM orders ORDER BY id"),
                        "1|orders\n2|\n3|\n");
    ops->close(store);
}

#define LOOKED 6

/* Orders 3 to 8: what a look says of each. */
static const uint64_t *look_for_orders(struct store *store)
{
    static char keys[LOOKED][16];
    static uint64_t sequences[LOOKED];
    struct own_change entities[LOOKED];
    struct look_range range = {.schema = &schema, .partition = 0, .above = 4};
    struct look look = {
        .ranges = &range, .range_count = 1, .entities = entities, .entity_count = LOOKED};
    for (int i = 0; i < LOOKED; i++) {
        (void)snprintf(keys[i], sizeof keys[i], "{\"id\":%d}", i + 3);
        entities[i] = (struct own_change){.entity_type = slice_of("order"),
                                          .entity_key = slice_of(keys[i])};
    }
    assert_ok(ops->look(store, &look, &err));
    for (int i = 0; i < LOOKED; i++)
        sequences[i] = entities[i].sequence;
    return sequences;
}

#define assert_looked(store, ...)                                                                  \
    assert_memory_equal(look_for_orders(store), ((const uint64_t[LOOKED]){__VA_ARGS__}),           \
                        LOOKED * sizeof(uint64_t))

static const char outbox_table[] =
    "CREATE TABLE keepstep_relay(incarnation text);"
    "CREATE TABLE outbox(position bigint GENERATED ALWAYS AS IDENTITY, aggregatetype text, "
    "aggregateid text, kafka_partition int, sequence bigint)";

static void the_look_finds_what_others_committed_since_the_batch_began(void **state)
{
    (void)state;
    url = postgresql_database("look");
    postgresql_execute(url, outbox_table);
    struct store *store = open_prepared();
    assert_ok(ops->begin(store, NULL, 0, &err));
    assert_looked(store, 0, 0, 0, 0, 0, 0);
    postgresql_execute(
        url, "INSERT INTO outbox(aggregatetype, aggregateid, kafka_partition, sequence) VALUES "
             "('order', '3', NULL, NULL), ('order', '{\"id\":4}', 0, 5), "
             "('order', '{\"id\":5}', 0, 4), ('order', '{\"id\":6}', 1, 9), "
             "('note', '7', NULL, NULL), ('order', '{ \"id\": 8}', NULL, NULL)");
    assert_looked(store, OWN_UNNUMBERED, 5, 0, 0, 0, OWN_UNNUMBERED);

    /* Behind more rows than are read at once. */
    postgresql_execute(
        url,
        "INSERT INTO outbox(aggregatetype, aggregateid, kafka_partition, sequence) "
        "SELECT 'order', i, NULL, NULL FROM generate_series(100, 25099) AS i;"
        "INSERT INTO outbox(aggregatetype, aggregateid, kafka_partition, sequence) "
        "SELECT 'order', concat('{\"id\":', i, '}'), 0, i FROM generate_series(100, 25099) AS i;"
        "INSERT INTO outbox(aggregatetype, aggregateid, kafka_partition, sequence) VALUES "
        "('order', '5', NULL, NULL), ('order', '{\"id\":7}', 0, 30000)");
    assert_looked(store, OWN_UNNUMBERED, 5, OWN_UNNUMBERED, 0, 30000, OWN_UNNUMBERED);
    ops->close(store);
    url = postgresql_database("copy");
}

static void *change_slowly(void *context)
{
    postgresql_execute(
        url, test_format("BEGIN; %s; SELECT pg_sleep(0.3); COMMIT", (const char *)context));
    return NULL;
}

static const char own_change[] =
    "UPDATE orders SET note = 'own' WHERE id = 3;"
    "INSERT INTO outbox(aggregatetype, aggregateid) VALUES ('order', '{\"id\":3}')";

static bool sleeps(void *context)
{
    (void)context;
    return strcmp(postgresql_text(url, "SELECT count(*) FROM pg_stat_activity "
                                       "WHERE wait_event = 'PgSleep'"),
                  "1\n") == 0;
}

/* Rule 18's order where writers are not excluded. */
static void a_look_behind_the_write_finds_what_the_write_had_to_wait_for(void **state)
{
    (void)state;
    pthread_t service;
    url = postgresql_database("look");
    postgresql_execute(url, outbox_table);
    struct store *store = open_prepared();
    postgresql_execute(url, "INSERT INTO orders VALUES (3, 1, 'old')");
    assert_int_equal(pthread_create(&service, NULL, change_slowly, (char *)(uintptr_t)own_change),
                     0);
    assert_true(test_wait(sleeps, NULL, 10000));
    assert_ok(ops->begin(store, NULL, 0, &err));
    assert_looked(store, 0, 0, 0, 0, 0, 0);
    enum status status = apply_one(store, CHANGE_UPDATE, 3, "theirs");
    while (status == STATUS_RETRY) { /* its lock wait is short: the agent yields first */
        error_clear(&err);
        ops->rollback(store);
        assert_ok(ops->begin(store, NULL, 0, &err));
        status = apply_one(store, CHANGE_UPDATE, 3, "theirs");
    }
    assert_ok(status);
    assert_looked(store, OWN_UNNUMBERED, 0, 0, 0, 0, 0);
    assert_ok(ops->savepoint(store, true, &err));
    assert_ok(ops->commit(store, false, &err));
    assert_int_equal(pthread_join(service, NULL), 0);
    assert_string_equal(postgresql_text(url, "SELECT note FROM orders"), "own\n");
    ops->close(store);
    url = postgresql_database("copy");
}

/* Also where READ COMMITTED is asked for: the row that it waited for stands in another part. */
static void a_serialization_failure_makes_the_batch_retry(void **state)
{
    (void)state;
    pthread_t service;
    struct store *store = open_store();
    static char move[] = "UPDATE orders SET id = 150 WHERE id = 3";
    postgresql_execute(url, "DROP TABLE IF EXISTS orders CASCADE; "
                            "CREATE TABLE orders(id bigint PRIMARY KEY, price numeric, note text) "
                            "PARTITION BY RANGE (id); CREATE TABLE part1 PARTITION OF orders "
                            "FOR VALUES FROM (0) TO (100); CREATE TABLE part2 PARTITION OF orders "
                            "FOR VALUES FROM (100) TO (200); INSERT INTO orders VALUES (3)");
    assert_ok(ops->prepare(store, &mapping, &err));
    assert_int_equal(pthread_create(&service, NULL, change_slowly, move), 0);
    assert_true(test_wait(sleeps, NULL, 10000));
    assert_ok(ops->begin(store, NULL, 0, &err));
    assert_int_equal(apply_one(store, CHANGE_UPDATE, 3, NULL), STATUS_RETRY);
    assert_int_equal(err.native_code, (int)strtol("40001", NULL, 36));
    error_clear(&err);
    ops->rollback(store);
    assert_int_equal(pthread_join(service, NULL), 0);
    assert_ok(ops->begin(store, NULL, 0, &err));
    assert_ok(apply_one(store, CHANGE_CREATE, 3, "theirs"));
    assert_ok(ops->commit(store, false, &err));
    ops->close(store);
}

static void bytes_that_are_no_text_are_kept_and_found_again(void **state)
{
    (void)state;
    static const char raw[] = "\xff\x00k";
    struct store *store = open_store();
    struct arena arena;
    struct parked_record *records = NULL;
    size_t count = 0;
    struct key_claim claims[] = {
        {.source = {raw, 3}, .id = {raw, 2}, .digest = 1},
        {.source = {raw, 3}, .id = slice_of("\\xff00"), .digest = 2},
    };
    struct parked_record parked = {
        .record = {.topic = "order", .key = {raw, 3}}, .entity_key = {raw, 3}, .reason = {raw, 3}};
    struct parked_filter filter = {.topic = "order", .partition = -1, .entity_type = ""};
    arena_init(&arena, (size_t)1024 * 1024);
    assert_ok(ops->begin(store, NULL, 0, &err));
    assert_ok(ops->claim_keys(store, claims, 2, &err));
    assert_int_equal(claims[0].verdict, KEY_NEW);
    assert_int_equal(claims[1].verdict, KEY_NEW);
    assert_ok(ops->claim_keys(store, claims, 2, &err));
    assert_int_equal(claims[0].verdict, KEY_DUPLICATE);
    assert_int_equal(claims[1].verdict, KEY_DUPLICATE);
    assert_ok(ops->park(store, &parked, 1, &err));
    assert_ok(ops->read_parked(store, &filter, &arena, &records, &count, &err));
    assert_int_equal(count, 1);
    assert_true(slice_equal(records[0].entity_key, (struct slice){raw, 3}));
    assert_true(slice_equal(records[0].record.key, (struct slice){raw, 3}));
    arena_done(&arena);
    ops->close(store);
}

static void the_grants_are_enough_for_each_role_and_no_more(void **state)
{
    (void)state;
    struct partition_state owned = {.topic = "order", .token = "t"};
    struct buffer grants;
    ops->close(open_prepared());
    buffer_init(&grants, 65536);
    assert_ok(ops->copy_sql(&mapping, 1, &grants, &err));
    postgresql_execute(url, "CREATE ROLE keepstep_agent LOGIN; CREATE ROLE keepstep_lag LOGIN");
    postgresql_execute(url, buffer_text(&grants));
    buffer_done(&grants);
    const char *host = strchr(url, '@');
    struct store_options agent = {.path = test_format("postgresql://keepstep_agent%s", host),
                                  .service = "billing"};
    struct store_options lag = {.path = test_format("postgresql://keepstep_lag%s", host),
                                .service = "billing",
                                .read_only = true};
    struct store *store = NULL;
    assert_ok(ops->open(&agent, &store, &err));
    assert_ok(ops->prepare(store, &mapping, &err));
    assert_ok(ops->take(store, &owned, &err));
    struct fence fence = {.topic = "order", .epoch = owned.epoch, .anchor_offset = -1};
    struct key_claim claim = {.source = slice_of("s"), .id = slice_of("a"), .digest = 1};
    struct parked_record parked = {.record = {.topic = "order", .offset = 1}};
    struct sequence_state sequence = {.source = "s", .incarnation = "i", .last_id = "e"};
    struct superseded_image image = {.record = {.topic = "order"},
                                     .entity_type = slice_of("order"),
                                     .entity_key = slice_of("k")};
    size_t pruned = 0;
    assert_ok(ops->begin(store, &fence, 1, &err));
    assert_ok(ops->claim_keys(store, &claim, 1, &err));
    assert_ok(apply_one(store, CHANGE_CREATE, 1, "one"));
    assert_ok(apply_one(store, CHANGE_DELETE, 1, NULL));
    assert_ok(ops->record_sequences(store, "order", 0, &sequence, 1, &err));
    assert_ok(ops->superseded(store, SUPERSEDED_KEEP, &image, NULL, NULL, &err));
    assert_ok(ops->superseded(store, SUPERSEDED_DROP, &image, NULL, NULL, &err));
    assert_ok(ops->park(store, &parked, 1, &err));
    assert_ok(ops->edit_parked(store, &parked, PARKED_SET_WAITING, &err));
    assert_ok(ops->edit_parked(store, &parked, PARKED_DELETE, &err));
    assert_ok(ops->commit(store, true, &err));
    const struct prune old = {
        .keys_before_us = INT64_MAX, .skipped_before_us = INT64_MAX, .limit = 10};
    assert_ok(ops->prune(store, &old, &pruned, &err));
    ops->close(store);
    assert_ok(ops->open(&lag, &store, &err));
    partition_state_done(&owned);
    assert_ok(ops->read(store, "order", 0, &owned, &err));
    partition_state_done(&owned);
    assert_int_equal(ops->begin(store, &fence, 1, &err), STATUS_RETRY);
    ops->close(store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(tables_that_keep_every_value_exactly_are_accepted),
        TEST(tables_that_would_change_a_value_are_refused),
        TEST(a_table_is_created_and_widened_from_the_schema),
        TEST(a_table_of_a_named_schema_is_created_widened_and_written_there),
        TEST(a_database_without_keepsteps_tables_or_with_newer_ones_is_refused),
        TEST(a_run_keeps_the_order_of_each_entity),
        TEST(what_the_database_says_of_a_row_becomes_its_verdict),
        TEST(a_deferred_constraint_is_judged_with_the_row),
        TEST(a_commit_behind_a_rejected_row_is_no_commit),
        TEST(a_full_disk_makes_the_batch_retry),
        TEST(the_flag_names_the_table_during_a_run_only),
        TEST(the_look_finds_what_others_committed_since_the_batch_began),
        TEST(a_look_behind_the_write_finds_what_the_write_had_to_wait_for),
        TEST(a_serialization_failure_makes_the_batch_retry),
        TEST(bytes_that_are_no_text_are_kept_and_found_again),
        TEST(the_grants_are_enough_for_each_role_and_no_more),
    };
    return TEST_RUN(tests);
}
