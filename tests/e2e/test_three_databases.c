/* Services on PostgreSQL, MariaDB and SQLite keep each other's tables equal under load and
 * faults. */
#include "tests/support/database.h"
#include "tests/support/load.h"

#include <unistd.h>

#define STATEMENTS 500
#define KEYS       60
#define SCRIPT_MAX ((size_t)4 * 1024 * 1024)

static const char schema[] =
    "{\"$schema\":\"http://json-schema.org/draft-07/schema#\",\"type\":\"object\","
    "\"x-keepstep-key\":[\"id\"],\"properties\":{"
    "\"id\":{\"type\":\"integer\",\"x-keepstep-type\":\"integer\"},"
    "\"price\":{\"type\":[\"string\",\"null\"],\"x-keepstep-type\":\"decimal\","
    "\"x-keepstep-precision\":12,\"x-keepstep-scale\":4},"
    "\"at\":{\"type\":[\"string\",\"null\"],\"x-keepstep-type\":\"date-time\"},"
    "\"code\":{\"type\":[\"string\",\"null\"],\"x-keepstep-type\":\"bytes\"},"
    "\"title\":{\"type\":\"string\",\"maxLength\":100,\"x-keepstep-type\":\"text\"},"
    "\"is_open\":{\"type\":[\"boolean\",\"null\"],\"x-keepstep-type\":\"boolean\"},"
    "\"ratio\":{\"type\":\"number\",\"x-keepstep-type\":\"double\"}},"
    "\"required\":[\"id\",\"price\",\"at\",\"code\",\"title\",\"is_open\",\"ratio\"]}";

/* The differences in the SQL of the three databases. */
struct dialect {
    const char *service;
    const char *entity_type;
    const char *columns;
    const char *bytes; /* comes before the digits */
    const char *pause;
    const char *values; /* a row's values in one form */
};

static const struct dialect dialects[] = {
    [DATABASE_SQLITE] =
        {.service = "lite",
         .entity_type = "visit",
         .columns = "id INTEGER PRIMARY KEY, price TEXT, at TEXT, code BLOB, title TEXT NOT NULL, "
                    "is_open BOOLEAN, ratio REAL NOT NULL",
         .bytes = "x'",
         .pause = ".shell sleep 0.01\n",
         .values = "id, price, at, iif(code IS NULL, NULL, hex(code)), title, is_open, "
                   "printf('%.6f', ratio)"},
    [DATABASE_POSTGRESQL] =
        {.service = "post",
         .entity_type = "order",
         .columns = "id bigint PRIMARY KEY, price numeric(12,4), at timestamptz, code bytea, "
                    "title text NOT NULL, is_open boolean, ratio double precision NOT NULL",
         .bytes = "'\\x",
         .pause = "SELECT pg_sleep(0.01);\n",
         .values = "id, price, to_char(at AT TIME ZONE 'UTC', "
                   "'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"'), upper(encode(code, 'hex')), title, "
                   "is_open::int, round(ratio::numeric, 6)"},
    [DATABASE_MARIADB] =
        {.service = "maria",
         .entity_type = "product",
         .columns = "id BIGINT PRIMARY KEY, price DECIMAL(12,4), at DATETIME(6), code BLOB, "
                    "title VARCHAR(100) CHARACTER SET utf8mb4 NOT NULL, is_open BOOLEAN, "
                    "ratio DOUBLE NOT NULL",
         .bytes = "x'",
         .pause = "DO SLEEP(0.01);\n",
         .values = "id, price, DATE_FORMAT(at, '%Y-%m-%dT%H:%i:%s.%fZ'), HEX(code), title, "
                   "is_open + 0, CAST(ratio AS DECIMAL(20,6))"},
};

#define KINDS (sizeof dialects / sizeof dialects[0])

static const char *const titles[] = {"plain",
                                     "",
                                     " padded ",
                                     "it''s \"quoted\"",
                                     "na\xc3\xafve \xe2\x98\x83",
                                     "\xf0\x9f\x98\x80",
                                     "two\nlines"};

/* Append assignments of "price, at, code, title, is_open, ratio" in the SQL of `kind`. */
static void append_values(struct buffer *script, enum database_kind kind, unsigned *seed,
                          bool insert)
{
    const char *values[6];
    values[0] = load_random(seed, 8) == 0
                    ? "NULL"
                    : test_format("'%s%d.%04d'", load_random(seed, 2) == 0 ? "-" : "",
                                  1 + load_random(seed, 9999999), load_random(seed, 10000));
    values[1] = load_random(seed, 8) == 0
                    ? "NULL"
                    : test_format("'%04d-%02d-%02d%c%02d:%02d:%02d.%06d%s'",
                                  1930 + load_random(seed, 200), 1 + load_random(seed, 12),
                                  1 + load_random(seed, 28), kind == DATABASE_SQLITE ? 'T' : ' ',
                                  load_random(seed, 24), load_random(seed, 60),
                                  load_random(seed, 60), load_random(seed, 1000000),
                                  kind == DATABASE_MARIADB ? "" : "Z");
    values[2] = load_random(seed, 8) == 0
                    ? "NULL"
                    : test_format("%s%.*s'", dialects[kind].bytes, 2 * load_random(seed, 5),
                                  test_format("%08X", (unsigned)load_random(seed, 1 << 24) * 77u));
    values[3] = test_format("'%s'", titles[load_random(seed, sizeof titles / sizeof titles[0])]);
    values[4] = load_random(seed, 8) == 0 ? "NULL" : load_random(seed, 2) == 0 ? "true" : "false";
    values[5] = test_format("%.6f", (load_random(seed, 128001) - 64000) / 64.0);
    static const char *const names[] = {"price", "at", "code", "title", "is_open", "ratio"};
    for (size_t i = 0; i < 6; i++) {
        if (insert)
            buffer_append_format(script, ", %s", values[i]);
        else
            buffer_append_format(script, "%s%s = %s", i == 0 ? "" : ", ", names[i], values[i]);
    }
}

static void append_statement(struct buffer *script, enum database_kind kind, const char *table,
                             unsigned *seed)
{
    int id = load_random(seed, KEYS);
    int what = load_random(seed, 10);
    if (what < 4) {
        buffer_append_format(script, "INSERT INTO %s VALUES (%d", table, id);
        append_values(script, kind, seed, true);
        buffer_append_text(script, ");\n");
    } else if (what < 8) {
        buffer_append_format(script, "UPDATE %s SET ", table);
        append_values(script, kind, seed, false);
        buffer_append_format(script, " WHERE id = %d;\n", id);
    } else if (what < 9) {
        buffer_append_format(script, "UPDATE %s SET id = %d WHERE id = %d;\n", table,
                             load_random(seed, KEYS), id);
    } else {
        buffer_append_format(script, "DELETE FROM %s WHERE id = %d;\n", table, id);
    }
}

/* Start a client that writes single statements, transactions, and transactions that it rolls
 * back. */
static struct process *start_writer(const struct sidecar *service, enum database_kind kind,
                                    const char *table, unsigned seed)
{
    struct buffer script;
    buffer_init(&script, SCRIPT_MAX);
    for (int i = 0; i < STATEMENTS; i++) {
        int many = load_random(&seed, 5) == 0 ? 3 : 1;
        if (many > 1)
            buffer_append_text(&script, "BEGIN;\n");
        for (int j = 0; j < many; j++)
            append_statement(&script, kind, table, &seed);
        if (many > 1)
            buffer_append_text(&script, load_random(&seed, 4) == 0 ? "ROLLBACK;\n" : "COMMIT;\n");
        buffer_append_text(&script, dialects[kind].pause);
    }
    struct process *writer = load_client(test_format("%s-writer", service->name), service->url,
                                         &script);
    buffer_done(&script);
    return writer;
}

struct trio {
    struct kafka *kafka;
    struct sidecar services[KINDS];
    const struct sidecar *all[KINDS + 1];
    struct process *writers[KINDS];
};

static const char *entity_table(const char *entity_type)
{
    return test_format("%ss", entity_type);
}

static const char *entry(const char *entity_type)
{
    return test_format("  %s: {table: %s, partitions: 2}\n", entity_type,
                       entity_table(entity_type));
}

/* @return YAML: one shared type both ways, or the service's own type and the others' types. */
static const char *entries(size_t kind, const char *shared)
{
    if (shared != NULL)
        return test_format("publish:\n%sapply:\n%s", entry(shared), entry(shared));
    const char *text = test_format("publish:\n%sapply:\n", entry(dialects[kind].entity_type));
    for (size_t i = 0; i < KINDS; i++) {
        if (i != kind)
            text = test_format("%s%s", text, entry(dialects[i].entity_type));
    }
    return text;
}

static void trio_begin(struct trio *trio, const char *shared)
{
    load_need("psql");
    load_need("mariadb");
    load_need("sqlite3");
    *trio = (struct trio){.kafka = kafka_start()};
    for (size_t i = 0; i < KINDS; i++) {
        const struct dialect *dialect = &dialects[i];
        const char *entity_type = shared != NULL ? shared : dialect->entity_type;
        const char *url = database_make((enum database_kind)i, dialect->service);
        trio->services[i] = sidecar_make_on(trio->kafka, dialect->service, url, entries(i, shared));
        trio->all[i] = &trio->services[i];
        test_write_file(test_path("schemas/%s.schema.json", entity_type), schema);
        (void)database_text(
            url, test_format("CREATE TABLE %s (%s)", entity_table(entity_type), dialect->columns));
    }
    for (size_t i = 0; i < KINDS; i++)
        sidecar_begin(&trio->services[i]);
}

static void trio_write(struct trio *trio, const char *shared)
{
    for (size_t i = 0; i < KINDS; i++)
        trio->writers[i] = start_writer(
            &trio->services[i], (enum database_kind)i,
            entity_table(shared != NULL ? shared : dialects[i].entity_type), 42 + (unsigned)i);
}

static bool trio_writes(const struct trio *trio)
{
    bool running = false;
    for (size_t i = 0; i < KINDS; i++)
        running = process_running(trio->writers[i]) || running;
    return running;
}

/* While the clients write, kill one agent after the other, and once the broker. */
static void trio_disturb(struct trio *trio)
{
    int round = 0;
    for (; trio_writes(trio) || round < 5; round++) {
        (void)usleep(600000);
        if (round == 3) {
            kafka_kill(trio->kafka);
            (void)usleep(500000);
            kafka_start_again(trio->kafka);
        } else {
            load_kill(&trio->services[(size_t)round % KINDS]);
        }
    }
    for (size_t i = 0; i < KINDS; i++)
        assert_true(load_client_end(trio->writers[i], 60000) < STATEMENTS);
}

static void trio_assert_equal(const struct trio *trio, const char *entity_type)
{
    const char *table = entity_table(entity_type);
    const char *rows[KINDS];
    for (size_t i = 0; i < KINDS; i++)
        rows[i] = database_text(trio->services[i].url, test_format("SELECT %s FROM %s ORDER BY id",
                                                                   dialects[i].values, table));
    assert_true(strlen(rows[0]) > 500);
    for (size_t i = 1; i < KINDS; i++)
        load_assert_rows(test_format("%s of %s", table, dialects[i].service), rows[0], rows[i]);
}

static void trio_end(struct trio *trio)
{
    for (size_t i = 0; i < KINDS; i++)
        sidecar_stop(&trio->services[i]);
}

static void each_keeps_the_tables_of_the_two_others(void **state)
{
    (void)state;
    struct trio trio;
    trio_begin(&trio, NULL);
    trio_write(&trio, NULL);
    trio_disturb(&trio);
    for (size_t i = 0; i < KINDS; i++) {
        const struct sidecar *const publisher[] = {trio.all[i], NULL};
        const struct sidecar *const others[] = {trio.all[(i + 1) % KINDS],
                                                trio.all[(i + 2) % KINDS], NULL};
        load_settle(trio.kafka, dialects[i].entity_type, publisher, others, 60000);
        trio_assert_equal(&trio, dialects[i].entity_type);
    }
    trio_end(&trio);
}

/* If a service published again what it applied, the others would do so too, and the log would never
 * end. */
static void all_that_write_the_same_entities_end_equal(void **state)
{
    (void)state;
    struct trio trio;
    trio_begin(&trio, "stock");
    trio_write(&trio, "stock");
    trio_disturb(&trio);
    load_settle(trio.kafka, "stock", trio.all, trio.all, 60000);
    trio_assert_equal(&trio, "stock");
    int64_t records = sidecar_records(trio.kafka, "stock");
    assert_true(records > STATEMENTS);
    assert_true(records <= (int64_t)KINDS * STATEMENTS * 2 * 2);
    trio_end(&trio);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_WITH_LIMIT(each_keeps_the_tables_of_the_two_others, 240),
        TEST_WITH_LIMIT(all_that_write_the_same_entities_end_equal, 240),
    };
    return TEST_RUN(tests);
}
