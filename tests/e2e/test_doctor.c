/* `keepstep doctor`: what it says of a service that is well, of each fault, on each database, and
 * that it changes nothing. labels: early */
#include "tests/support/database.h"
#include "tests/support/sidecar.h"

#include "common/clock.h"

#include <sys/stat.h>

#define ENTRIES                                                                                    \
    "publish:\n  item: {table: items, partitions: 1}\n"                                            \
    "apply:\n  extra: {table: extras, partitions: 1}\n"
#define ITEMS                                                                                      \
    "CREATE TABLE items (id BIGINT PRIMARY KEY, name VARCHAR(100) NOT NULL, amount BIGINT)"
#define SQLITE_ITEMS                                                                               \
    "CREATE TABLE items (id INTEGER PRIMARY KEY, name TEXT NOT NULL, amount INTEGER)"

struct patient {
    enum database_kind kind;
    struct kafka *kafka;
    struct sidecar shop;
};

static bool is_server(const struct patient *patient)
{
    return patient->kind != DATABASE_SQLITE;
}

/* Tell the time of a sidecar, as it does itself every few seconds. */
static void say_time(struct kafka *kafka, int64_t ahead_us)
{
    char at[CLOCK_TEXT_SIZE];
    clock_format_utc(clock_wall_us() + ahead_us, at);
    (void)kafka_produce(kafka, sidecar_topic("keepstep"), 0, "member/shop/-/1",
                        test_format("{\"v\":1,\"service\":\"shop\",\"copy\":\"-\",\"instance\":"
                                    "\"1\",\"version\":\"0.2.0\",\"at\":\"%s\",\"publishes\":{},"
                                    "\"outbox\":{\"waiting\":0,\"set_aside\":0},\"applies\":{},"
                                    "\"positions\":{}}",
                                    at),
                        NULL);
}

/* Its sidecar has run, so that it has positions and has told its clock. */
static struct patient patient_make(enum database_kind kind)
{
    struct patient patient = {.kind = kind, .kafka = kafka_start()};
    const char *url = database_make(kind, "shop");
    patient.shop = sidecar_make_on(patient.kafka, "shop", url, ENTRIES);
    (void)database_text(url, is_server(&patient) ? ITEMS : SQLITE_ITEMS);
    kafka_create_topic(patient.kafka, sidecar_topic("extra"), 1,
                       "message.timestamp.type=LogAppendTime;cleanup.policy=delete");
    assert_int_equal(sidecar_run(&patient.shop, "topics", "apply", NULL).exit_code, 0);
    say_time(patient.kafka, 0);
    sidecar_begin(&patient.shop);
    if (!database_wait_for(url, "SELECT count(*) FROM keepstep_position", "1\n", 20000))
        test_fail("%s", process_errors(patient.shop.process));
    return patient;
}

static struct process_result examine(const struct patient *patient, const char *override)
{
    return sidecar_run(&patient->shop, "doctor", override == NULL ? NULL : "-s", override);
}

/* @return whether a line has the verdict, the check and the words. */
static bool has_line(const char *output, const char *verdict, const char *check, const char *words)
{
    const char *start = test_format("%-8s %-17s ", verdict, check);
    for (const char *line = output; line != NULL && *line != '\0';) {
        size_t length = strcspn(line, "\n");
        if (strncmp(line, start, strlen(start)) == 0 &&
            strstr(test_format("%.*s", (int)length, line), words) != NULL)
            return true;
        line = line[length] == '\0' ? NULL : line + length + 1;
    }
    return false;
}

static void expect_line(struct process_result result, const char *verdict, const char *check,
                        const char *words)
{
    if (!has_line(result.output, verdict, check, words))
        test_fail("no \"%s %s … %s\" in (exit code %d):\n%s\n%s", verdict, check, words,
                  result.exit_code, result.output, result.errors);
    if (strcmp(verdict, "fail") == 0 && result.exit_code != 1)
        test_fail("exit code %d:\n%s", result.exit_code, result.output);
}

static void expect(const struct patient *patient, const char *verdict, const char *check,
                   const char *words)
{
    expect_line(examine(patient, NULL), verdict, check, words);
}

static void run(const struct patient *patient, const char *sql)
{
    (void)database_text(patient->shop.url, sql);
}

/* Make a fault, see it told, and mend it. */
static void provoke(const struct patient *patient, const char *fault, const char *mend,
                    const char *const line[static 3])
{
    run(patient, fault);
    expect(patient, line[0], line[1], line[2]);
    run(patient, mend);
}

#define LINE(...) ((const char *const[]){__VA_ARGS__})

static const char *everything(const struct patient *patient)
{
    static const char *const catalogues[] = {
        [DATABASE_SQLITE] = "SELECT * FROM sqlite_schema ORDER BY 1, 2",
        [DATABASE_POSTGRESQL] =
            "SELECT relname, relkind::text, relacl::text, reloptions::text FROM pg_class WHERE "
            "relnamespace = 'public'::regnamespace ORDER BY 1",
        [DATABASE_MARIADB] = "SELECT table_name, table_comment FROM information_schema.tables "
                             "WHERE table_schema = database() ORDER BY 1"};
    static const char *const tables[] = {"items",
                                         "extras",
                                         "outbox",
                                         "keepstep_relay",
                                         "keepstep_relay_partition",
                                         "keepstep_position",
                                         "keepstep_meta",
                                         "keepstep_existing",
                                         "keepstep_captured"};
    const char *text = database_text(patient->shop.url, catalogues[patient->kind]);
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++)
        text = test_format(
            "%s%s\n%s", text, tables[i],
            database_text(patient->shop.url, test_format("SELECT * FROM %s", tables[i])));
    struct process_result plan = sidecar_run(&patient->shop, "topics", "plan", "--all");
    return test_format("%s%s%s%s", text, plan.output,
                       kafka_text(patient->kafka, sidecar_topic("keepstep")),
                       kafka_text(patient->kafka, sidecar_topic("extra")));
}

static void expect_healthy(const struct patient *patient)
{
    static const char *const checks[] = {
        "configuration", "secrets",        "listen",         "sidecar",  "librdkafka", "broker",
        "topics",        "topics applied", "broker's clock", "database", "durability", "capture",
        "outbox",        "copies",         "positions",      "reading"};
    static const char *const of_servers[] = {"connections", "database's clock", "rights"};
    struct process_result result = examine(patient, NULL);
    for (size_t i = 0; i < sizeof checks / sizeof *checks; i++)
        expect_line(result, "ok", checks[i], "");
    for (size_t i = 0; i < sizeof of_servers / sizeof *of_servers; i++)
        expect_line(result, is_server(patient) ? "ok" : "skipped", of_servers[i], "");
    expect_line(result, is_server(patient) ? "skipped" : "ok", "disk", "");
    if (result.exit_code != 0 || strstr(result.output, " 0 warn, 0 fail, ") == NULL)
        test_fail("exit code %d:\n%s", result.exit_code, result.output);
    struct process_result json = sidecar_run(&patient->shop, "doctor", "--json", NULL);
    assert_int_equal(json.exit_code, 0);
    assert_non_null(strstr(json.output, "{\"healthy\":true,\"checks\":[{\"check\":"));
}

static void check_wellness(struct patient *patient)
{
    for (int i = 0; i < 100 && strstr(examine(patient, NULL).output, " 0 warn,") == NULL; i++)
        clock_sleep_us(100000);
    expect_healthy(patient);
    sidecar_stop(&patient->shop);
    const char *before = everything(patient);
    expect(patient, "warn", "sidecar", "no relay and no agent of this configuration runs");
    assert_string_equal(everything(patient), before);
    assert_int_equal(kafka_committed(patient->kafka, "keepstep-doctor", sidecar_topic("extra"), 0),
                     -1);
}

static void check_tables(const struct patient *patient)
{
    static const char *const drops[] = {
        [DATABASE_SQLITE] = "DROP TRIGGER keepstep_item_insert",
        [DATABASE_POSTGRESQL] = "ALTER TABLE items DISABLE TRIGGER USER",
        [DATABASE_MARIADB] = "DROP TRIGGER keepstep_item_insert"};
    static const char *const old[] = {[DATABASE_SQLITE] = "2020-01-01T00:00:00.000000Z",
                                      [DATABASE_POSTGRESQL] = "2020-01-01 00:00:00+00",
                                      [DATABASE_MARIADB] = "2020-01-01 00:00:00"};
    run(patient, "INSERT INTO items VALUES (1, 'x', 1)");
    expect(patient, "ok", "outbox", "1 row waits");
    run(patient, test_format("UPDATE outbox SET created_at = '%s'", old[patient->kind]));
    expect(patient, "fail", "outbox", "1 row waits, the oldest for");
    run(patient, "UPDATE outbox SET set_aside = 'it is too large'");
    expect(patient, "warn", "outbox", "1 row is set aside");
    run(patient, drops[patient->kind]);
    expect(patient, "fail", "capture", "item: trigger");
    run(patient, "ALTER TABLE items ADD COLUMN former BIGINT");
    run(patient, "ALTER TABLE extras DROP COLUMN amount");
    expect(patient, "fail", "copies", "amount");
}

static void check_positions(const struct patient *patient)
{
    const char *extra = sidecar_topic("extra");
    provoke(patient, "UPDATE keepstep_position SET stopped = 'a gap'",
            "UPDATE keepstep_position SET stopped = ''",
            LINE("fail", "positions", "[0] stands still: a gap"));
    for (int i = 0; i < 3; i++)
        (void)kafka_produce(patient->kafka, extra, 0, "{}", "{}", NULL);
    kafka_trim(patient->kafka, extra, 0, 3);
    expect(patient, "fail", "positions", "records that were not applied are gone");
    run(patient, "UPDATE keepstep_position SET next_offset = 1000");
    expect(patient, "fail", "positions", "the log ends at 3: the topic was truncated or made anew");
    run(patient, "DELETE FROM keepstep_position");
    expect(patient, "warn", "positions", "1 of 1 partitions have no position yet");
}

static void check_server(const struct patient *patient)
{
    static const char *const durable[][2] = {
        [DATABASE_POSTGRESQL] = {"ALTER SYSTEM SET full_page_writes = off",
                                 "ALTER SYSTEM RESET full_page_writes"},
        [DATABASE_MARIADB] = {"SET GLOBAL innodb_flush_log_at_trx_commit = 0",
                              "SET GLOBAL innodb_flush_log_at_trx_commit = 1"}};
    static const char *const words[] = {[DATABASE_POSTGRESQL] = "full_page_writes=off",
                                        [DATABASE_MARIADB] = "innodb_flush_log_at_trx_commit=0"};
    bool is_postgresql = patient->kind == DATABASE_POSTGRESQL;
    run(patient, durable[patient->kind][0]);
    if (is_postgresql)
        run(patient, "SELECT pg_reload_conf()");
    for (int i = 0; i < 50 && !has_line(examine(patient, NULL).output, "fail", "durability", "");
         i++)
        clock_sleep_us(100000);
    expect(patient, "fail", "durability", words[patient->kind]);
    run(patient, durable[patient->kind][1]);
    if (is_postgresql)
        run(patient, "SELECT pg_reload_conf()");
}

/* Run what the doctor tells to type: each GRANT up to the end of its line. */
static void run_advice(const struct patient *patient, const char *output)
{
    static const char told[] = "let an administrator run: ";
    for (const char *at = output; (at = strstr(at, told)) != NULL;) {
        at += strlen(told);
        run(patient, test_format("%.*s", (int)strcspn(at, "\n"), at));
    }
}

/* Of both roles, of tables, columns and a function, of a copy and of a published table. */
static void check_rights(const struct patient *patient)
{
    static const char *const revoked[] = {
        "DELETE ON outbox FROM keepstep_relay",
        "UPDATE (sequence, set_aside) ON outbox FROM keepstep_relay",
        "UPDATE (holder) ON keepstep_relay FROM keepstep_relay",
        "SELECT (name) ON items FROM keepstep_relay",
        "UPDATE ON keepstep_position FROM keepstep_agent",
        "INSERT ON keepstep_blocked FROM keepstep_agent",
        "INSERT, DELETE ON extras FROM keepstep_agent"};
    bool is_postgresql = patient->kind == DATABASE_POSTGRESQL;
    const char *quote = is_postgresql ? "\"" : "`";
    const char *const lacking[] = {
        "lacks DELETE, UPDATE (sequence, set_aside) on outbox, which a relay needs",
        "lacks UPDATE (holder) on keepstep_relay, which a relay needs",
        test_format("lacks SELECT (%sname%s) on", quote, quote),
        "lacks UPDATE on keepstep_position, which an agent needs",
        "lacks INSERT on keepstep_blocked, which an agent needs",
        test_format("lacks INSERT, DELETE on %sextras%s, which an agent needs", quote, quote)};
    expect(patient, "ok", "rights", " rights of keepstep_relay");
    expect(patient, "ok", "rights", " rights of keepstep_agent");
    for (size_t i = 0; i < sizeof revoked / sizeof *revoked; i++)
        run(patient, test_format("REVOKE %s", revoked[i]));
    run(patient, test_format("REVOKE EXECUTE ON FUNCTION keepstep_applied%s FROM keepstep_agent",
                             is_postgresql ? "(text)" : ""));
    if (is_postgresql)
        run(patient, "REVOKE EXECUTE ON FUNCTION keepstep_applied(text) FROM PUBLIC");
    struct process_result result = examine(patient, NULL);
    for (size_t i = 0; i < sizeof lacking / sizeof *lacking; i++)
        expect_line(result, "fail", "rights", lacking[i]);
    expect_line(result, "fail", "rights", "lacks EXECUTE on keepstep_applied");
    run_advice(patient, result.output);
    result = examine(patient, NULL);
    expect_line(result, "ok", "rights", " rights of keepstep_relay");
    expect_line(result, "ok", "rights", " rights of keepstep_agent");
    if (!is_postgresql)
        return; /* there it could not even open the database */
    run(patient, test_format("REVOKE keepstep_run FROM %s", patient->shop.login));
    result = examine(patient, NULL);
    expect_line(result, "fail", "rights", "this login has none of the ");
    expect_line(result, "fail", "outbox", "permission denied");
    assert_null(strstr(result.output, "run `keepstep init -c")); /* that gives no rights */
    run(patient, test_format("GRANT keepstep_run TO %s", patient->shop.login));
}

/* Functions of another schema stand before those of the server. */
static void check_postgresql_clock(const struct patient *patient)
{
    static const struct {
        const char *interval;
        const char *verdict;
        const char *words;
    } cases[] = {{"5 seconds", "warn", "s before this machine's"},
                 {"-100 seconds", "fail", "s behind this machine's"}};
    run(patient, "CREATE SCHEMA fake");
    run(patient, test_format("GRANT USAGE ON SCHEMA fake TO %s", patient->shop.login));
    run(patient, test_format("ALTER ROLE %s SET search_path = fake, pg_catalog, public",
                             patient->shop.login));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        run(patient, test_format("CREATE OR REPLACE FUNCTION fake.clock_timestamp() RETURNS "
                                 "timestamptz LANGUAGE sql AS $$ SELECT "
                                 "pg_catalog.clock_timestamp() + interval '%s' $$",
                                 cases[i].interval));
        expect(patient, cases[i].verdict, "database's clock", cases[i].words);
    }
    run(patient, test_format("ALTER ROLE %s RESET search_path", patient->shop.login));
}

/* It accepts connections and says nothing. */
static void check_frozen_database(const struct patient *patient)
{
    database_pause(patient->kind);
    int64_t begun_us = clock_monotonic_us();
    struct process_result result = examine(patient, NULL);
    int64_t took_us = clock_monotonic_us() - begun_us;
    database_continue(patient->kind);
    expect_line(result, "fail", "database", "");
    expect_line(result, "skipped", "capture", "the database was not opened");
    assert_in_range((uintmax_t)took_us, 0, 30000000);
}

static void check_service(enum database_kind kind)
{
    struct patient patient = patient_make(kind);
    check_wellness(&patient);
    if (is_server(&patient)) {
        check_server(&patient);
        check_rights(&patient);
        check_frozen_database(&patient);
    } else {
        run(&patient, "PRAGMA journal_mode = delete");
        expect(&patient, "warn", "durability", "journal_mode=delete");
        run(&patient, "PRAGMA journal_mode = wal");
    }
    if (kind == DATABASE_POSTGRESQL)
        check_postgresql_clock(&patient);
    if (kind == DATABASE_MARIADB) {
        provoke(&patient, "SET GLOBAL max_connections = 10", "SET GLOBAL max_connections = 151",
                LINE("warn", "connections", "of 10 connections are open"));
        run(&patient, "ALTER TABLE extras COMMENT 'altered in this second'");
        expect(&patient, "ok", "copies", "extra");
    }
    check_positions(&patient);
    check_tables(&patient);
}

static void a_service_on_sqlite_is_told_what_is_well_and_each_fault(void **state)
{
    (void)state;
    check_service(DATABASE_SQLITE);
}

static void a_service_on_postgresql_is_told_what_is_well_and_each_fault(void **state)
{
    (void)state;
    check_service(DATABASE_POSTGRESQL);
}

static void a_service_on_mariadb_is_told_what_is_well_and_each_fault(void **state)
{
    (void)state;
    check_service(DATABASE_MARIADB);
}

static void faults_of_topics_and_rights_on_them_are_found(void **state)
{
    (void)state;
    struct kafka *kafka = kafka_start();
    struct patient patient = {.kafka = kafka};
    patient.shop = sidecar_make(kafka, "shop", SQLITE_ITEMS, ENTRIES);
    sidecar_init(&patient.shop, NULL);
    expect(&patient, "warn", "topics", "item does not exist yet");
    expect(&patient, "warn", "topics applied", "extra does not exist yet");
    expect(&patient, "skipped", "broker's clock", "does not exist");
    kafka_create_topic(
        kafka, sidecar_topic("item"), 2,
        "cleanup.policy=compact;retention.ms=1000;message.timestamp.type=CreateTime");
    kafka_create_topic(kafka, sidecar_topic("extra"), 1, "cleanup.policy=compact");
    expect(&patient, "fail", "topics", "item: partitions is 2, should be 1");
    expect(&patient, "fail", "topics", "item: cleanup.policy is compact, should be delete");
    expect(&patient, "warn", "topics", "item: retention.ms is 1000, should be -1");
    expect(&patient, "fail", "topics applied", "extra is compacted");
    kafka_delete_topic(kafka, sidecar_topic("extra"));
    kafka_create_topic(kafka, sidecar_topic("extra"), 1, "retention.ms=90000");
    expect(&patient, "ok", "topics applied", "keeps records for 90 s");
    expect_line(examine(&patient, "limits.idempotency_window_s=60"), "fail", "topics applied",
                "60 is too short");
    kafka_allow_only(kafka, sidecar_topic("extra"), "DESCRIBE");
    expect(&patient, "fail", "topics applied", "(allow DescribeConfigs)");
    expect(&patient, "fail", "reading", "authorization failed");
    kafka_allow_only(kafka, sidecar_topic("extra"), "READ");
    expect(&patient, "ok", "reading", "extra can be read in group");
    kafka_allow_only(kafka, sidecar_topic("item"), "DESCRIBE");
    expect(&patient, "fail", "topics", "(allow DescribeConfigs)");
}

static void a_sidecar_whose_clock_differs_from_the_brokers_is_found(void **state)
{
    (void)state;
    struct kafka *kafka = kafka_start();
    struct patient patient = {.kafka = kafka};
    patient.shop = sidecar_make(kafka, "shop", SQLITE_ITEMS, ENTRIES);
    assert_int_equal(sidecar_run(&patient.shop, "topics", "apply", NULL).exit_code, 0);
    expect(&patient, "skipped", "broker's clock", "no sidecar of this service has reported");
    say_time(kafka, 0);
    expect(&patient, "ok", "broker's clock", "");
    say_time(kafka, 10000000); /* less what it takes until the broker has it */
    expect(&patient, "warn", "broker's clock", "s behind its own");
    say_time(kafka, -100000000);
    expect(&patient, "fail", "broker's clock", "s before its own");
}

static void what_is_down_is_told_and_the_rest_is_looked_at(void **state)
{
    (void)state;
    struct kafka *kafka = kafka_start();
    struct patient patient = {.kafka = kafka};
    patient.shop = sidecar_make(kafka, "shop", SQLITE_ITEMS, ENTRIES);
    sidecar_init(&patient.shop, NULL);
    struct process_result no_broker = examine(&patient, "kafka.bootstrap.servers=127.0.0.1:1");
    expect_line(no_broker, "fail", "broker", "no broker answers");
    expect_line(no_broker, "skipped", "topics", "no broker answers");
    expect_line(no_broker, "ok", "capture", "item");
    struct process_result no_database = examine(&patient, "database=sqlite:none.db");
    expect_line(no_database, "fail", "database", "none.db");
    expect_line(no_database, "skipped", "outbox", "the database was not opened");
    expect_line(no_database, "ok", "broker", "1 broker answers");
    expect_line(examine(&patient, "listen=0.0.0.0:9464"), "warn", "listen",
                "whoever reaches this machine");
    expect_line(examine(&patient, "listen=127.0.0.1:9464"), "ok", "listen", "is on loopback");
    struct process_result wrong = examine(&patient, "log.level=loud");
    expect_line(wrong, "fail", "configuration", "/log/level");
    expect_line(wrong, "skipped", "database", "the configuration was not read");
    expect_line(wrong, "ok", "librdkafka", "librdkafka 2");
    kafka_pause(kafka);
    int64_t begun_us = clock_monotonic_us();
    struct process_result frozen = examine(&patient, NULL);
    int64_t took_us = clock_monotonic_us() - begun_us;
    kafka_continue(kafka);
    expect_line(frozen, "fail", "broker", "no broker answers");
    assert_in_range((uintmax_t)took_us, 0, 30000000);
}

static void files_with_secrets_that_others_can_read_are_found(void **state)
{
    (void)state;
    struct kafka *kafka = kafka_start();
    struct patient patient = {.kafka = kafka};
    patient.shop = sidecar_make(kafka, "shop", SQLITE_ITEMS, ENTRIES);
    const char *text = test_read_file(patient.shop.config);
    const char *secret = test_path("url");
    const char *database = strstr(text, "database:");
    test_write_file(secret, patient.shop.url);
    test_write_file(patient.shop.config,
                    test_format("%.*sdatabase_file: url\n%s", (int)(database - text), text,
                                strchr(database, '\n') + 1));
    assert_int_equal(chmod(secret, 0604), 0);
    expect(&patient, "fail", "secrets", "database_file: everybody on this machine can read");
    assert_int_equal(chmod(secret, 0640), 0);
    expect(&patient, "warn", "secrets", "database_file: the group 0 can read its file");
    assert_int_equal(chmod(secret, 0600), 0);
    expect(&patient, "ok", "secrets", "database_file: only its owner");
    assert_int_equal(chmod(patient.shop.config, 0646), 0);
    expect(&patient, "fail", "secrets", "everybody on this machine can change the configuration");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_WITH_LIMIT(a_service_on_sqlite_is_told_what_is_well_and_each_fault, 120),
        TEST_WITH_LIMIT(a_service_on_postgresql_is_told_what_is_well_and_each_fault, 180),
        TEST_WITH_LIMIT(a_service_on_mariadb_is_told_what_is_well_and_each_fault, 180),
        TEST_WITH_LIMIT(faults_of_topics_and_rights_on_them_are_found, 120),
        TEST_WITH_LIMIT(a_sidecar_whose_clock_differs_from_the_brokers_is_found, 120),
        TEST_WITH_LIMIT(what_is_down_is_told_and_the_rest_is_looked_at, 120),
        TEST_WITH_LIMIT(files_with_secrets_that_others_can_read_are_found, 120),
    };
    kafka_configure(
        "auto.create.topics.enable=true\n"
        "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer\n"
        "allow.everyone.if.no.acl.found=true");
    return TEST_RUN(tests);
}
