/* Services on PostgreSQL and MariaDB work while their sidecars have only the rights that init
 * prints. */
#include "common/clock.h"
#include "tests/support/database.h"
#include "tests/support/roles.h"
#include "tests/support/verify.h"

#include <sysexits.h>

#define ITEM_TABLE                                                                                 \
    "CREATE TABLE items (id BIGINT PRIMARY KEY, name VARCHAR(100) NOT NULL, amount INT"
#define BOTH_ITEMS "publish:\n  item: {table: items, partitions: 2}\n"
#define ROWS       "SELECT id, name, amount FROM items ORDER BY id"

struct estate {
    enum database_kind kind;
    struct sidecar sidecar;
    const char *clerk; /* URL of the service, which has rights on its own tables only */
};

/* @return the URL of a login of the service that has one of the printed roles. */
static const char *login(const struct estate *estate, const char *role)
{
    return roles_login(estate->sidecar.url, test_format("%s_%s", estate->sidecar.name, role),
                       test_format("keepstep_%s", role));
}

static void do_as(const char *url, const char *sql)
{
    struct process_result result = roles_run(url, sql);
    if (result.exit_code != 0)
        test_fail("%s: %s", sql, result.errors);
}

static void assert_denied(const char *url, const char *sql)
{
    struct process_result result = roles_run(url, sql);
    if (result.exit_code == 0 || (strstr(result.errors, "permission denied") == NULL &&
                                  strstr(result.errors, "must be owner") == NULL &&
                                  strstr(result.errors, "command denied") == NULL))
        test_fail("%s may %s: %s%s", url, sql, result.output, result.errors);
}

static struct estate estate_make(struct kafka *kafka, enum database_kind kind, const char *name,
                                 const char *tables, const char *entries)
{
    struct estate estate = {.kind = kind};
    const char *url = database_make(kind, name);
    estate.sidecar = sidecar_make_on(kafka, name, url, entries);
    estate.clerk = roles_login(url, test_format("%s_clerk", name), "");
    if (tables[0] != '\0')
        (void)database_text(url, tables);
    sidecar_grant(&estate.sidecar);
    struct process_result init = PROCESS_RUN(KEEPSTEP_BINARY, "init", "-c", estate.sidecar.admin);
    if (init.exit_code != 0)
        test_fail("%s", init.errors);
    assert_null(strstr(init.output, "created  table"));
    assert_null(strstr(init.output, "created  trigger"));
    return estate;
}

static void grant_clerk(const struct estate *estate, const char *table)
{
    database_text(estate->sidecar.url,
                  test_format("GRANT SELECT, INSERT, UPDATE, DELETE ON %s TO %s_clerk%s", table,
                              estate->sidecar.name,
                              estate->kind == DATABASE_MARIADB ? "@localhost" : ""));
}

static const char *quoted(const struct estate *estate, const char *name)
{
    const char *quote = estate->kind == DATABASE_MARIADB ? "`" : "\"";
    return test_format("%s%s%s", quote, name, quote);
}

/* Check what each role must not do. */
static void assert_roles_are_narrow(const struct estate *estate)
{
    const char *relay = login(estate, "relay");
    const char *agent = login(estate, "agent");
    const char *lag = login(estate, "lag");
    const char *insert_event = "INSERT INTO outbox (aggregatetype, aggregateid, type, payload) "
                               "VALUES ('item', '1', 'item.created', '{}')";
    const char *const nobody_may[] = {
        "CREATE TABLE other (id INT PRIMARY KEY)",
        "ALTER TABLE items ADD COLUMN other INT",
        "DROP TABLE outbox",
        insert_event,
        "UPDATE outbox SET payload = ''",
        "INSERT INTO keepstep_relay_wait VALUES ('t', 0, 0)",
        "DELETE FROM keepstep_relay",
        "DELETE FROM keepstep_position",
        "UPDATE keepstep_meta SET value = 'x'",
        "DELETE FROM keepstep_meta",
        "DELETE FROM keepstep_relay_partition",
    };
    const char *const users[] = {relay, agent, lag, login(estate, "run"), estate->clerk};
    for (size_t i = 0; i < sizeof users / sizeof *users; i++) {
        for (size_t j = 0; j < sizeof nobody_may / sizeof *nobody_may; j++)
            assert_denied(users[i], nobody_may[j]);
    }
    assert_denied(relay, "SELECT * FROM items");
    assert_denied(relay, "INSERT INTO items VALUES (1, 'x', 1)");
    assert_denied(relay, "UPDATE items SET amount = 0");
    assert_denied(relay, "DELETE FROM items");
    assert_denied(relay, "SELECT * FROM keepstep_parked");
    assert_denied(relay, "UPDATE keepstep_position SET epoch = 9");
    assert_denied(agent, "SELECT payload FROM outbox");
    assert_denied(agent, "SELECT * FROM outbox");
    assert_denied(agent, "UPDATE outbox SET set_aside = 'x'");
    assert_denied(agent, "DELETE FROM outbox");
    assert_denied(agent, "UPDATE keepstep_relay SET epoch = 9");
    assert_denied(lag, "SELECT payload FROM outbox");
    assert_denied(lag, "SELECT record_value FROM keepstep_parked");
    assert_denied(lag, "SELECT * FROM items");
    assert_denied(lag, "UPDATE keepstep_position SET epoch = 9");
    assert_denied(lag, "UPDATE keepstep_relay SET epoch = 9");
    assert_denied(lag, "DELETE FROM keepstep_parked");
    assert_denied(lag, "DELETE FROM keepstep_paused");
    assert_denied(relay, "UPDATE keepstep_paused SET paused_by = 'x'");
    assert_denied(agent, "UPDATE keepstep_paused SET paused_by = 'x'");
    assert_denied(estate->clerk, "SELECT 1 FROM keepstep_paused");
    assert_denied(estate->clerk, "SELECT id FROM outbox");
    assert_denied(estate->clerk, "SELECT 1 FROM keepstep_position");
    assert_denied(relay, "SELECT * FROM keepstep_meta");
    assert_denied(lag, "INSERT INTO keepstep_meta VALUES ('x', 'x')");
    assert_denied(estate->clerk, "SELECT 1 FROM keepstep_meta");
    do_as(agent, test_format("SELECT aggregateid FROM outbox; SELECT %s FROM keepstep_position",
                             quoted(estate, "partition")));
}

/* Check that no other login stays connected. A client's session ends shortly after the client. */
static void assert_sessions_are_of_the_login(const struct estate *estate)
{
    const char *sql = estate->kind == DATABASE_POSTGRESQL
                          ? "SELECT DISTINCT usename FROM pg_stat_activity "
                            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
                          : "SELECT DISTINCT user FROM information_schema.processlist "
                            "WHERE db = database() AND id <> connection_id()";
    const char *wanted = test_format("%s_run\n", estate->sidecar.name);
    if (!database_wait_for(estate->sidecar.url, sql, wanted, 20000))
        test_fail("\"%s\" and not \"%s\"", database_text(estate->sidecar.url, sql), wanted);
}

/* A login that only watches needs one role. It reads no row of the service and writes nothing. */
static void assert_lag_suffices(const struct estate *estate)
{
    struct sidecar watcher = estate->sidecar;
    const char *text = test_read_file(watcher.config);
    const char *url = strstr(text, "://");
    watcher.config = test_path("%s-lag.yaml", watcher.name);
    test_write_file(watcher.config,
                    test_format("%.*s%s%s", (int)(url - text), text,
                                strstr(login(estate, "lag"), "://"), strchr(url, '"')));
    if (!database_wait_for(estate->sidecar.url,
                           "SELECT sum(last_sequence - acknowledged_sequence) "
                           "FROM keepstep_relay_partition",
                           "0\n", 30000))
        test_fail("%s acknowledges nothing", estate->sidecar.name);
    struct process_result lag = sidecar_run(&watcher, "lag", "--json", NULL);
    struct process_result page = sidecar_run(&watcher, "status", NULL, NULL);
    struct process_result retry = sidecar_run(&watcher, "parked", "retry", "--all");
    if (lag.exit_code != 0 || strstr(lag.output, "\"lag_records\":0") == NULL)
        test_fail("%s%s", lag.output, lag.errors);
    if (page.exit_code != 0 || strstr(page.output, "0 waiting, 0 under way, 0 set aside") == NULL)
        test_fail("%s%s", page.output, page.errors);
    if (retry.exit_code == 0)
        test_fail("the role of lag retries: %s", retry.output);
}

static void assert_equal(const struct estate *left, const struct estate *right)
{
    const char *expected = database_text(left->sidecar.url, ROWS);
    if (!database_wait_for(right->sidecar.url, ROWS, expected, 60000))
        test_fail("%s has\n%.1000s, wanted\n%.1000s\n%s\n%s", right->sidecar.name,
                  database_text(right->sidecar.url, ROWS), expected,
                  process_errors(left->sidecar.process), process_errors(right->sidecar.process));
}

static void expect(const struct estate *estate, const char *sql, const char *rows)
{
    if (!database_wait_for(estate->sidecar.url, sql, rows, 60000))
        test_fail("%s: %s is %s: %s", estate->sidecar.name, sql,
                  database_text(estate->sidecar.url, sql), process_errors(estate->sidecar.process));
}

static void parked_events_are_retried(const struct estate *from, const struct estate *to)
{
    /* Names are unique in the copy. In the log two rows have one name for a while. The agent
     * retries by itself once the name is free. */
    do_as(from->clerk, "INSERT INTO items VALUES (500, 'taken', 1), (501, 'taken', 1)");
    expect(to, "SELECT COUNT(*) FROM keepstep_parked", "1\n");
    do_as(from->clerk, "UPDATE items SET name = 'free' WHERE id = 500");
    do_as(from->clerk, "UPDATE items SET name = 'also' WHERE id = 501");
    expect(to, "SELECT COUNT(*) FROM keepstep_parked", "0\n");
    assert_equal(from, to);

    /* The check refuses the event until an operator retries it. */
    database_text(to->sidecar.url, "ALTER TABLE items ADD CONSTRAINT small CHECK (amount < 1000)");
    do_as(from->clerk, "INSERT INTO items VALUES (502, 'large', 5000)");
    expect(to, "SELECT COUNT(*) FROM keepstep_parked", "1\n");
    database_text(to->sidecar.url, "ALTER TABLE items DROP CONSTRAINT small");
    struct process_result retry = sidecar_run(&to->sidecar, "parked", "retry", "--all");
    if (retry.exit_code != 0)
        test_fail("%s", retry.errors);
    expect(to, "SELECT COUNT(*) FROM keepstep_parked", "0\n");
    assert_equal(from, to);
}

static void change_rows(const struct estate *from, const struct estate *to, int first)
{
    do_as(from->clerk, test_format("INSERT INTO items VALUES (%d, '%d', 1), (%d, '%d', NULL), "
                                   "(%d, '%d', 3)",
                                   first, first, first + 1, first + 1, first + 2, first + 2));
    assert_equal(from, to);
    do_as(from->clerk, test_format("UPDATE items SET amount = 7 WHERE id >= %d", first));
    do_as(from->clerk, test_format("DELETE FROM items WHERE id = %d", first + 1));
    assert_equal(from, to);
}

static void assert_verified(const struct estate *left, const struct estate *right)
{
    const struct sidecar *const both[] = {&left->sidecar, &right->sidecar, NULL};
    struct process_result result = VERIFY(both, "--json");
    if (result.exit_code != EX_OK)
        test_fail("%d: %s%s", result.exit_code, result.output, result.errors);
    assert_int_equal(verify_count(&result, "equal"), 1);
}

/* Who both publishes and applies a type is compared with the rights of both. */
static void assert_says_which_role_it_needs(const struct estate *left, const struct estate *right)
{
    const char *const argv[] = {
        KEEPSTEP_BINARY,       "verify", "-c", left->sidecar.config, "--with",
        right->sidecar.config, "--json", NULL};
    const char *url = login(left, "agent");
    const char *const environment[] = {test_format("KEEPSTEP_DATABASE=%s", url), NULL};
    struct process_result result = process_run(argv, environment, 60000);
    assert_int_equal(result.exit_code, EX_TEMPFAIL);
    if (strstr(result.output, "give it keepstep_relay or keepstep_run") == NULL)
        test_fail("%s%s", result.output, result.errors);
}

/* Both services publish and apply one table, and stay in step with the rights of their roles
 * alone. */
static void the_printed_roles_are_enough_both_ways_and_narrow(void **state)
{
    (void)state;
    struct kafka *kafka = kafka_start();
    const char *entries = BOTH_ITEMS "apply:\n  item: {table: items, partitions: 2}\n";
    struct estate shop = estate_make(kafka, DATABASE_POSTGRESQL, "shop", ITEM_TABLE ")", entries);
    struct estate billing = estate_make(kafka, DATABASE_MARIADB, "billing",
                                        ITEM_TABLE ", UNIQUE (name))", entries);
    grant_clerk(&shop, "items");
    grant_clerk(&billing, "items");
    sidecar_start(&shop.sidecar, NULL);
    sidecar_start(&billing.sidecar, NULL);
    change_rows(&shop, &billing, 1);
    change_rows(&billing, &shop, 11);
    parked_events_are_retried(&shop, &billing);
    change_rows(&shop, &billing, 600);
    assert_verified(&shop, &billing);
    assert_verified(&billing, &shop);
    assert_says_which_role_it_needs(&shop, &billing);
    assert_says_which_role_it_needs(&billing, &shop);
    assert_sessions_are_of_the_login(&shop);
    assert_sessions_are_of_the_login(&billing);
    assert_lag_suffices(&shop);
    assert_lag_suffices(&billing);
    sidecar_stop(&shop.sidecar);
    sidecar_stop(&billing.sidecar);
    assert_roles_are_narrow(&shop);
    assert_roles_are_narrow(&billing);
}

/* Relay and agent are two processes, each with its own role. init makes the copy's table. */
static void relay_and_agent_run_apart(enum database_kind from, enum database_kind to)
{
    struct kafka *kafka = kafka_start();
    struct estate shop = estate_make(kafka, from, "shop", ITEM_TABLE ")", BOTH_ITEMS);
    struct estate billing = estate_make(kafka, to, "billing", "",
                                        "apply:\n  item: {table: items, partitions: 2}\n");
    grant_clerk(&shop, "items");
    const char *const relay_line[] = {KEEPSTEP_BINARY, "relay", "-c", shop.sidecar.config, NULL};
    const char *const agent_line[] = {KEEPSTEP_BINARY, "agent", "-c", billing.sidecar.config, NULL};
    shop.sidecar.process = process_start("relay", relay_line, NULL);
    billing.sidecar.process = process_start("agent", agent_line, NULL);
    change_rows(&shop, &billing, 1);
    assert_verified(&shop, &billing);
    assert_int_equal(process_stop(billing.sidecar.process, 20000), 0);

    /* Only an administrator may add a column. The agent says so, and who has to do what. */
    const char *schema = test_read_file(test_path("schemas/item.schema.json"));
    const char *at = strstr(schema, "\"amount\":");
    test_write_file(test_path("schemas/item.schema.json"),
                    test_format("%.*s\"note\":{\"type\":[\"string\",\"null\"],"
                                "\"x-keepstep-type\":\"text\"},%s",
                                (int)(at - schema), schema, at));
    struct process_result refused = process_run(agent_line, NULL, 60000);
    if (refused.exit_code == 0 || refused.exit_code == 124 ||
        strstr(refused.errors, "keepstep init") == NULL)
        test_fail("%d: %s", refused.exit_code, refused.errors);
    sidecar_init(&billing.sidecar, NULL);
    billing.sidecar.process = process_start("agent-again", agent_line, NULL);
    change_rows(&shop, &billing, 20);
    assert_int_equal(process_stop(shop.sidecar.process, 20000), 0);
    assert_int_equal(process_stop(billing.sidecar.process, 20000), 0);
}

static void relay_of_postgresql_and_agent_of_mariadb_run_apart(void **state)
{
    (void)state;
    relay_and_agent_run_apart(DATABASE_POSTGRESQL, DATABASE_MARIADB);
}

static void relay_of_mariadb_and_agent_of_postgresql_run_apart(void **state)
{
    (void)state;
    relay_and_agent_run_apart(DATABASE_MARIADB, DATABASE_POSTGRESQL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_WITH_LIMIT(the_printed_roles_are_enough_both_ways_and_narrow, 240),
        TEST_WITH_LIMIT(relay_of_postgresql_and_agent_of_mariadb_run_apart, 180),
        TEST_WITH_LIMIT(relay_of_mariadb_and_agent_of_postgresql_run_apart, 180),
    };
    return TEST_RUN(tests);
}
