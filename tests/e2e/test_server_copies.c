/* Copies on PostgreSQL and MariaDB: formats of other programs, and events that wait for others
 * because of a foreign or unique key. */
#include "tests/support/database.h"
#include "tests/support/sidecar.h"

#define APPLIED_MS 60000

static const char *const names[] = {"post", "maria"};
static const enum database_kind kinds[] = {DATABASE_POSTGRESQL, DATABASE_MARIADB};
#define COPIES (sizeof names / sizeof names[0])

static const char tables[] =
    "CREATE TABLE items(id INTEGER PRIMARY KEY, name VARCHAR(100) NOT NULL UNIQUE, amount INTEGER);"
    "CREATE TABLE extras(id INTEGER PRIMARY KEY, name VARCHAR(100) NOT NULL, amount INTEGER, "
    "FOREIGN KEY (amount) REFERENCES items(id))";

static struct sidecar copies[COPIES];

static void start_copies(struct kafka *kafka, const char *sql, const char *entries)
{
    for (size_t i = 0; i < COPIES; i++) {
        const char *url = database_make(kinds[i], names[i]);
        if (sql != NULL)
            (void)database_text(url, sql);
        copies[i] = sidecar_make_on(kafka, names[i], url, entries);
    }
}

static void expect(const char *sql, const char *rows)
{
    for (size_t i = 0; i < COPIES; i++) {
        if (!database_wait_for(copies[i].url, sql, rows, APPLIED_MS))
            test_fail("%s: %s gives\n%sinstead of\n%s%s", names[i], sql,
                      database_text(copies[i].url, sql), rows, process_errors(copies[i].process));
    }
}

static void stop_copies(void)
{
    for (size_t i = 0; i < COPIES; i++)
        sidecar_stop(&copies[i]);
}

static void produce(struct kafka *kafka, const char *entity_type, int key, const char *value)
{
    (void)kafka_produce(kafka, sidecar_topic(entity_type), 0, test_format("{\"id\":%d}", key),
                        value, NULL);
}

static void formats_of_other_programs_are_applied_on_both_servers(void **state)
{
    (void)state;
    struct kafka *kafka = kafka_start();
    static const char *const formats[] = {"debezium", "cloudevents", "json"};
    const char *entries = "apply:\n";
    for (size_t i = 0; i < 3; i++) {
        kafka_create_topic(kafka, sidecar_topic(formats[i]), 1, NULL);
        entries = test_format("%s  %s: {partitions: 1, format: %s}\n", entries, formats[i],
                              formats[i]);
    }
    start_copies(kafka, NULL, entries);
    for (size_t i = 0; i < 3; i++)
        test_write_file(test_path("schemas/%s.schema.json", formats[i]),
                        "{\"$schema\":\"http://json-schema.org/draft-07/schema#\","
                        "\"type\":\"object\",\"x-keepstep-key\":[\"id\"],\"properties\":{"
                        "\"id\":{\"type\":\"integer\"},\"name\":{\"type\":\"string\"},"
                        "\"price\":{\"type\":[\"string\",\"null\"],"
                        "\"x-keepstep-type\":\"decimal\",\"x-keepstep-precision\":9,"
                        "\"x-keepstep-scale\":2}},\"required\":[\"id\"]}");
    for (size_t i = 0; i < COPIES; i++)
        sidecar_begin(&copies[i]);
    for (int id = 1; id <= 3; id++) {
        const char *row = test_format("{\"id\":%d,\"name\":\"n%d\",\"price\":\"%d.50\"}", id, id,
                                      id);
        produce(kafka, "debezium", id,
                test_format("{\"op\":\"c\",\"before\":null,\"after\":%s}", row));
        produce(kafka, "cloudevents", id,
                test_format("{\"specversion\":\"1.0\",\"id\":\"e%d\",\"source\":\"erp\","
                            "\"type\":\"com.erp.order.created\",\"data\":%s}",
                            id, row));
        produce(kafka, "json", id, row);
    }
    produce(kafka, "debezium", 1,
            "{\"op\":\"u\",\"before\":null,\"after\":{\"id\":1,\"name\":\"new\",\"price\":null}}");
    produce(kafka, "debezium", 2, "{\"op\":\"d\",\"before\":{\"id\":2},\"after\":null}");
    produce(kafka, "cloudevents", 1,
            "{\"specversion\":\"1.0\",\"id\":\"e4\",\"source\":\"erp\","
            "\"type\":\"com.erp.order.updated\",\"data\":{\"id\":1,\"name\":\"new\"}}");
    produce(kafka, "cloudevents", 2,
            "{\"specversion\":\"1.0\",\"id\":\"e5\",\"source\":\"erp\","
            "\"type\":\"com.erp.order.deleted\"}");
    produce(kafka, "json", 1, "{\"id\":1,\"name\":\"new\",\"price\":null}");
    produce(kafka, "json", 2, NULL);
    expect("SELECT id, name, price FROM debezium ORDER BY id", "1|new|NULL\n3|n3|3.50\n");
    expect("SELECT id, name, price FROM cloudevents ORDER BY id", "1|new|1.50\n3|n3|3.50\n");
    expect("SELECT id, name, price FROM json ORDER BY id", "1|new|NULL\n3|n3|3.50\n");
    expect("SELECT count(*) FROM keepstep_parked", "0\n");
    stop_copies();
}

static void produce_row_to(struct kafka *kafka, const char *entity_type, int partition, int id,
                           const char *name, const char *amount)
{
    static int events;
    const char *const headers[] = {"ce_specversion",
                                   "1.0",
                                   "ce_id",
                                   test_format("w%d", ++events),
                                   "ce_source",
                                   "import",
                                   "ce_type",
                                   test_format("%s.updated", entity_type),
                                   NULL};
    (void)kafka_produce(kafka, sidecar_topic(entity_type), partition,
                        test_format("{\"id\":%d}", id),
                        test_format("{\"op\":\"u\",\"before\":null,\"after\":{\"id\":%d,"
                                    "\"name\":\"%s\",\"amount\":%s}}",
                                    id, name, amount),
                        headers);
}

static void produce_row(struct kafka *kafka, const char *entity_type, int id, const char *name,
                        const char *amount)
{
    produce_row_to(kafka, entity_type, 0, id, name, amount);
}

/* The agent retries by itself. Nobody runs `parked retry`. */
static void events_that_wait_for_another_are_applied_once_it_is_there(void **state)
{
    (void)state;
    struct kafka *kafka = kafka_start();
    kafka_create_topic(kafka, sidecar_topic("item"), 1, NULL);
    kafka_create_topic(kafka, sidecar_topic("extra"), 1, NULL);
    start_copies(kafka, tables,
                 "apply:\n  item: {table: items, partitions: 1}\n"
                 "  extra: {table: extras, partitions: 1}\n");
    for (size_t i = 0; i < COPIES; i++)
        sidecar_begin(&copies[i]);

    /* Another row still has the value of a unique key. */
    produce_row(kafka, "item", 1, "taken", "1");
    produce_row(kafka, "item", 2, "taken", "2");
    produce_row(kafka, "item", 2, "taken", "3");
    produce_row(kafka, "item", 3, "else", "3");
    expect("SELECT id, name FROM items ORDER BY id", "1|taken\n3|else\n");
    expect("SELECT state FROM keepstep_parked ORDER BY state", "1\n2\n");
    produce_row(kafka, "item", 1, "free", "1");
    expect("SELECT id, name, amount FROM items ORDER BY id", "1|free|1\n2|taken|3\n3|else|3\n");

    /* The row that a foreign key refers to is missing. */
    produce_row(kafka, "extra", 7, "child", "9");
    expect("SELECT state FROM keepstep_parked", "1\n");
    expect("SELECT count(*) FROM extras", "0\n");
    produce_row(kafka, "item", 9, "parent", "null");
    expect("SELECT id, name, amount FROM extras", "7|child|9\n");
    expect("SELECT count(*) FROM keepstep_parked", "0\n");
    stop_copies();
}

static void rows_of_two_partitions_that_swap_a_unique_value_are_written_together(void **state)
{
    (void)state;
    struct kafka *kafka = kafka_start();
    kafka_create_topic(kafka, sidecar_topic("item"), 2, NULL);
    start_copies(kafka, tables, "apply:\n  item: {table: items, partitions: 2, foreign: true}\n");
    for (size_t i = 0; i < COPIES; i++)
        sidecar_begin(&copies[i]);
    produce_row_to(kafka, "item", 0, 1, "x", "1");
    produce_row_to(kafka, "item", 1, 2, "y", "2");
    expect("SELECT id, name FROM items ORDER BY id", "1|x\n2|y\n");
    produce_row_to(kafka, "item", 0, 1, "y", "1");
    produce_row_to(kafka, "item", 1, 2, "x", "2");
    expect("SELECT id, name, amount FROM items ORDER BY id", "1|y|1\n2|x|2\n");
    expect("SELECT count(*) FROM keepstep_parked", "0\n");
    stop_copies();
}

/* An agent's session has a time limit of 60 s. A trigger of the copy's table shortens it in that
 * session, and makes a later row wait in the server. */
static const char *const slow_triggers[] = {
    "CREATE TABLE slow(name VARCHAR(100)); INSERT INTO slow VALUES ('slow');"
    "CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN"
    " IF new.name = 'limit' THEN PERFORM set_config('statement_timeout', '300ms', false); END IF;"
    " PERFORM pg_sleep(30) FROM slow WHERE slow.name = new.name;"
    " RETURN new; END $$;"
    "CREATE TRIGGER wait BEFORE INSERT ON items FOR EACH ROW EXECUTE FUNCTION wait()",
    "CREATE TABLE slow(name VARCHAR(100)); INSERT INTO slow VALUES ('slow');"
    "CREATE TRIGGER wait BEFORE INSERT ON items FOR EACH ROW BEGIN NOT ATOMIC"
    " IF new.name = 'limit' THEN SET SESSION max_statement_time = 0.3; END IF;"
    " IF EXISTS (SELECT 1 FROM slow WHERE slow.name = new.name) THEN DO SLEEP(30); END IF; END"};
static const char *const limit_errors[] = {"due to statement timeout",
                                           "max_statement_time exceeded"};

static void a_statement_that_the_server_ends_for_its_time_is_tried_again_until_it_ends(void **state)
{
    (void)state;
    struct kafka *kafka = kafka_start();
    kafka_create_topic(kafka, sidecar_topic("item"), 1, NULL);
    start_copies(kafka, tables, "apply:\n  item: {table: items, partitions: 1}\n");
    for (size_t i = 0; i < COPIES; i++) {
        sidecar_begin(&copies[i]);
        (void)database_text(copies[i].url, slow_triggers[i]);
    }
    produce_row(kafka, "item", 1, "limit", "1");
    expect("SELECT id, name FROM items", "1|limit\n");
    produce_row(kafka, "item", 2, "slow", "2");
    for (size_t i = 0; i < COPIES; i++) {
        if (!process_wait_for(copies[i].process, limit_errors[i], APPLIED_MS))
            test_fail("%s: %s", names[i], process_errors(copies[i].process));
        (void)database_text(copies[i].url, "DELETE FROM slow");
    }
    produce_row(kafka, "item", 3, "after", "3");
    expect("SELECT id, name FROM items ORDER BY id", "1|limit\n2|slow\n3|after\n");
    expect("SELECT count(*) FROM keepstep_parked", "0\n");
    stop_copies();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_WITH_LIMIT(formats_of_other_programs_are_applied_on_both_servers, 300),
        TEST_WITH_LIMIT(a_statement_that_the_server_ends_for_its_time_is_tried_again_until_it_ends,
                        180),
        TEST_WITH_LIMIT(events_that_wait_for_another_are_applied_once_it_is_there, 300),
        TEST_WITH_LIMIT(rows_of_two_partitions_that_swap_a_unique_value_are_written_together, 120),
    };
    return TEST_RUN(tests);
}
