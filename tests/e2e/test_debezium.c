/* A team already runs Debezium. Its PostgreSQL connector publishes, and only our agent applies. */
#include "tests/support/database.h"
#include "tests/support/postgresql.h"
#include "tests/support/sidecar.h"

#include <sys/stat.h>

#define SCRIPT     KEEPSTEP_SOURCE_DIR "/tests/support/debezium/debezium.sh"
#define FETCH_MS   600000
#define APPLIED_MS 120000

static const char schema[] =
    "{\"$schema\":\"http://json-schema.org/draft-07/schema#\",\"type\":\"object\","
    "\"x-keepstep-key\":[\"id\"],\"additionalProperties\":false,\"properties\":{"
    "\"id\":{\"type\":\"integer\"},"
    "\"email\":{\"type\":[\"string\",\"null\"]},"
    "\"price\":{\"type\":[\"string\",\"null\"],\"x-keepstep-type\":\"decimal\"},"
    "\"wild\":{\"type\":[\"string\",\"null\"],\"x-keepstep-type\":\"decimal\"},"
    "\"photo\":{\"type\":[\"string\",\"null\"],\"x-keepstep-type\":\"bytes\"},"
    "\"born\":{\"type\":[\"string\",\"null\"],\"x-keepstep-type\":\"date\"},"
    "\"opens\":{\"type\":[\"string\",\"null\"],\"x-keepstep-type\":\"time\"},"
    "\"at\":{\"type\":[\"string\",\"null\"],\"x-keepstep-type\":\"date-time\"},"
    "\"local\":{\"type\":[\"string\",\"null\"],\"x-keepstep-type\":\"timestamp\"},"
    "\"active\":{\"type\":[\"boolean\",\"null\"]},"
    "\"note\":{\"type\":[\"string\",\"null\"]}},\"required\":[\"id\"]}";

static const char table[] =
    "CREATE TABLE customers(id int PRIMARY KEY, email text, price numeric(10,2), wild numeric, "
    "photo bytea, born date, opens time, at timestamptz, local timestamp, active boolean, "
    "note text)";

/* How to read the rows of the source and of each copy in one form, SQLite's. */
static const char *const rows_in[] = {
    [DATABASE_SQLITE] = "SELECT id, email, price, wild, hex(photo), born, opens, at, local, "
                        "active, length(note) FROM customers ORDER BY id",
    [DATABASE_POSTGRESQL] =
        "SELECT id, email, price, wild, upper(encode(photo, 'hex')), born, "
        "to_char(opens, 'HH24:MI:SS.US'), "
        "to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"'), "
        "to_char(local, 'YYYY-MM-DD\"T\"HH24:MI:SS.US'), active::int, length(note) "
        "FROM customers ORDER BY id",
    [DATABASE_MARIADB] =
        "SELECT id, email, REGEXP_REPLACE(price, '0{28}$', ''), "
        "TRIM(TRAILING '.' FROM TRIM(TRAILING '0' FROM wild)), hex(photo), born, "
        "CAST(opens AS TIME(6)), CONCAT(REPLACE(CAST(at AS DATETIME(6)), ' ', 'T'), 'Z'), "
        "REPLACE(CAST(local AS DATETIME(6)), ' ', 'T'), active + 0, CHAR_LENGTH(note) "
        "FROM customers ORDER BY id"};
static const char *const names[] = {
    [DATABASE_SQLITE] = "lite", [DATABASE_POSTGRESQL] = "post", [DATABASE_MARIADB] = "maria"};

#define COPIES (sizeof names / sizeof names[0])

static struct sidecar copies[COPIES];

static void fetch_or_skip(void)
{
    const char *const argv[] = {SCRIPT, "fetch", NULL};
    (void)process_download("Debezium", argv, FETCH_MS);
}

/* The source is a database with logical decoding, which the tests' servers have. */
static const char *source_or_skip(const char *database)
{
    const char *server = postgresql_server_url();
    if (server == NULL)
        test_skip("%s", postgresql_skip_reason());
    if (postgresql_text(server, "SELECT 1 FROM pg_roles WHERE rolname = 'debezium'")[0] == '\0')
        postgresql_execute(server, "CREATE ROLE debezium SUPERUSER LOGIN");
    const char *url = postgresql_database(database);
    postgresql_execute(url, table);
    postgresql_execute(url, "ALTER TABLE customers ALTER photo SET STORAGE EXTERNAL");
    return url;
}

static struct process *start_connect(struct kafka *kafka, const char *database, bool schemas)
{
    const char *worker = test_path("worker.properties");
    const char *connector = test_path("connector.properties");
    const char *enabled = schemas ? "true" : "false";
    test_write_file(worker,
                    test_format("bootstrap.servers=%s\n"
                                "key.converter=org.apache.kafka.connect.json.JsonConverter\n"
                                "value.converter=org.apache.kafka.connect.json.JsonConverter\n"
                                "key.converter.schemas.enable=%s\n"
                                "value.converter.schemas.enable=%s\n"
                                "offset.storage.file.filename=%s\n"
                                "offset.flush.interval.ms=1000\nplugin.discovery=only_scan\n"
                                "listeners=http://127.0.0.1:%d\n",
                                kafka_bootstrap(kafka), enabled, enabled, test_path("offsets"),
                                process_free_port()));
    test_write_file(
        connector,
        test_format("name=inventory\n"
                    "connector.class=io.debezium.connector.postgresql.PostgresConnector\n"
                    "plugin.name=pgoutput\ndatabase.hostname=127.0.0.1\ndatabase.port=%s\n"
                    "database.user=debezium\ndatabase.password=none\ndatabase.dbname=%s\n"
                    "topic.prefix=%s\ntable.include.list=public.customers\n"
                    "slot.name=%s\npublication.name=%s%s",
                    postgresql_text(postgresql_server_url(), "SHOW port"), database, test_name(),
                    database, database,
                    schemas ? "\n"
                            : "\ndecimal.handling.mode=string\nbinary.handling.mode=hex\n"
                              "time.precision.mode=isostring\n"));
    const char *const argv[] = {SCRIPT, "run", worker, connector, NULL};
    return process_start("connect", argv, NULL);
}

static void start_copies(struct kafka *kafka, const char *topic, bool schemas)
{
    const char *entries = test_format("apply:\n  customer: {table: customers, topic: %s, "
                                      "partitions: 1, format: debezium%s}\n",
                                      topic, schemas ? "" : ", binary: hex");
    for (size_t i = 0; i < COPIES; i++)
        copies[i] = sidecar_make_on(kafka, names[i], database_make((enum database_kind)i, names[i]),
                                    entries);
    test_write_file(test_path("schemas/customer.schema.json"), schema);
    kafka_create_topic(kafka, topic, 1, "max.message.bytes=4000000");
    for (size_t i = 0; i < COPIES; i++)
        sidecar_begin(&copies[i]);
}

static void expect_in_copies(const char *const sql[COPIES], const char *rows,
                             const struct process *connect)
{
    for (size_t i = 0; i < COPIES; i++) {
        if (!database_wait_for(copies[i].url, sql[i], rows, APPLIED_MS))
            test_fail("%s has\n%sinstead of\n%s%s\n%s", names[i],
                      database_text(copies[i].url, sql[i]), rows, process_errors(copies[i].process),
                      process_output(connect));
    }
}

static void changes_of_debezium_are_applied(bool schemas)
{
    static const char count[] = "SELECT count(*) FROM customers";
    static const char parked[] = "SELECT count(*) FROM keepstep_parked";
    const char *database = schemas ? "described" : "bare";
    fetch_or_skip();
    struct kafka *kafka = kafka_start();
    const char *source = source_or_skip(database);
    start_copies(kafka, test_format("%s.public.customers", test_name()), schemas);
    postgresql_execute(source,
                       "INSERT INTO customers VALUES (1, 'sally@acme.com', 12.50, "
                       "123456789012345678901234567890.5, "
                       "decode(repeat('00ff', 8000), 'hex'), '2026-01-01', "
                       "'09:59:59.999999', '2026-01-01 01:00+01', '1969-12-31 23:59:59.999999', "
                       "true, repeat('x', 100000)), (2, '', -0.01, 0, '', '0001-01-01', '00:00', "
                       "'9999-12-31 23:59:59.999999+00', '1970-01-01', false, NULL), "
                       "(3, 'gone', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)");
    struct process *connect = start_connect(kafka, database, schemas);
    expect_in_copies((const char *const[]){count, count, count}, "3\n", connect);
    /* Row 1 keeps its note and photo. The connector sends an unchanged large value as
     * unavailable. */
    postgresql_execute(source, "UPDATE customers SET email = 'sally@noanswer.org' WHERE id = 1");
    postgresql_execute(source, "UPDATE customers SET id = 4, active = NULL WHERE id = 2");
    postgresql_execute(source, "DELETE FROM customers WHERE id = 3");
    expect_in_copies(rows_in, postgresql_text(source, rows_in[DATABASE_POSTGRESQL]), connect);
    expect_in_copies((const char *const[]){parked, parked, parked}, "0\n", connect);
    for (size_t i = 0; i < COPIES; i++)
        sidecar_stop(&copies[i]);
    (void)process_stop(connect, 30000);
}

static void its_records_with_schema_are_applied_value_by_value(void **state)
{
    (void)state;
    changes_of_debezium_are_applied(true);
}

static void its_bare_records_are_applied_value_by_value(void **state)
{
    (void)state;
    changes_of_debezium_are_applied(false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_WITH_LIMIT(its_records_with_schema_are_applied_value_by_value, 600),
        TEST_WITH_LIMIT(its_bare_records_are_applied_value_by_value, 600),
    };
    return TEST_RUN(tests);
}
