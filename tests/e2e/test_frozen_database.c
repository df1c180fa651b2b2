/* Database servers accept connections but answer nothing, as on a frozen host or behind a network
 * that drops packets. */
#include "operate/http_client.h"
#include "tests/support/database.h"
#include "tests/support/sidecar.h"

#include <signal.h>
#include <stdlib.h>
#include <sysexits.h>
#include <unistd.h>

#define BOTH                                                                                       \
    "publish:\n  %s: {table: %ss, partitions: 2}\napply:\n  %s: {table: %ss, partitions: 2}\n"
#define APPLY_BOTH                                                                                 \
    ("apply:\n  item: {table: items, partitions: 2}\n  extra: {table: extras, partitions: 2}\n")
#define SERVERS      2
#define PAGE_MAX     ((size_t)1024 * 1024)
#define EQUAL_MS     60000
#define READY_MS     60000
#define NOT_READY_MS 120000 /* reported after 30 s */
#define STOP_MS      20000
#define ROWS         3000
#define UNDER_WAY_US (500 * 1000)

static const enum database_kind kinds[SERVERS] = {DATABASE_POSTGRESQL, DATABASE_MARIADB};
static const char *const published[SERVERS] = {"item", "extra"};

/* For each server: a service that publishes what the other one applies, and a copy of both
 * types. */
struct services {
    struct kafka *kafka;
    struct sidecar both[SERVERS];
    struct sidecar copies[SERVERS];
    int ports[SERVERS];
};

static struct services services;

static const char *page(int server, const char *path, int *ret_code)
{
    struct buffer body;
    buffer_init(&body, PAGE_MAX);
    *ret_code = http_get("127.0.0.1", test_format("%d", services.ports[server]), path, &body);
    const char *text = test_format("%s", buffer_text(&body));
    buffer_done(&body);
    return text;
}

static bool is_ready(void *context)
{
    int code;
    (void)page(*(const int *)context, "/readyz", &code);
    return code == 200;
}

#define AGENT_HANGS "agent: no progress" /* for 90 s; then its statement ends without an answer */

static bool is_told(const char *reason)
{
    return strstr(reason, "relay: no progress") != NULL &&
           (strstr(reason, AGENT_HANGS) != NULL ||
            strstr(reason, "agent: waiting for the database") != NULL);
}

/* @param context  const char *[SERVERS]: gets what each /readyz says. */
static bool none_is_ready(void *context)
{
    const char **reasons = context;
    bool none = true;
    for (int i = 0; i < SERVERS; i++) {
        int code;
        reasons[i] = page(i, "/readyz", &code);
        none = none && code == 503 && is_told(reasons[i]);
    }
    return none;
}

static void pause_servers(void)
{
    for (int i = 0; i < SERVERS; i++)
        database_pause(kinds[i]);
}

static void continue_servers(void)
{
    for (int i = 0; i < SERVERS; i++)
        database_continue(kinds[i]);
}

static void begin(void)
{
    static const char *const names[SERVERS][2] = {{"left", "books"}, {"right", "ledger"}};
    services.kafka = kafka_start();
    for (int i = 0; i < SERVERS; i++) {
        const char *mine = published[i];
        const char *others = published[1 - i];
        const char *url = database_make(kinds[i], names[i][0]);
        (void)database_text(url, test_format("CREATE TABLE %ss(id INTEGER PRIMARY KEY, "
                                             "name VARCHAR(100) NOT NULL, amount INTEGER)",
                                             mine));
        services.both[i] = sidecar_make_on(services.kafka, names[i][0], url,
                                           test_format(BOTH, mine, mine, others, others));
        services.copies[i] = sidecar_make_on(services.kafka, names[i][1],
                                             database_make(kinds[i], names[i][1]), APPLY_BOTH);
        services.ports[i] = sidecar_listen(&services.both[i]);
        sidecar_begin(&services.both[i]);
        sidecar_begin(&services.copies[i]);
    }
    for (int i = 0; i < SERVERS; i++)
        if (!test_wait(is_ready, &i, READY_MS))
            test_fail("not ready: %s", process_errors(services.both[i].process));
}

static void write_rows(int first, int count)
{
    for (int i = 0; i < SERVERS; i++)
        (void)database_text(
            services.both[i].url,
            test_format(kinds[i] == DATABASE_POSTGRESQL
                            ? "INSERT INTO %ss SELECT i, 'a', i FROM generate_series(%d, %d) AS i"
                            : "INSERT INTO %ss SELECT seq, 'a', seq FROM seq_%d_to_%d",
                        published[i], first, first + count - 1));
}

static void assert_all_equal(void)
{
    for (int i = 0; i < SERVERS; i++) {
        const char *table = test_format("%ss", published[i]);
        sidecar_assert_equal(&services.both[i], &services.both[1 - i], table, EQUAL_MS);
        for (int j = 0; j < SERVERS; j++)
            sidecar_assert_equal(&services.both[i], &services.copies[j], table, EQUAL_MS);
    }
}

static void assert_none_parked(void)
{
    for (int i = 0; i < SERVERS; i++) {
        assert_string_equal(database_text(services.both[i].url, "SELECT count(*) FROM "
                                                                "keepstep_parked"),
                            "0\n");
        assert_string_equal(database_text(services.copies[i].url, "SELECT count(*) FROM "
                                                                  "keepstep_parked"),
                            "0\n");
    }
}

/* @return the smallest value of a metric over its partitions, -1 if there is none. */
static double least_of(const char *metrics, const char *name)
{
    double least = -1;
    const char *start = test_format("\n%s{service=", name);
    for (const char *at = metrics; (at = strstr(at, start)) != NULL; at++) {
        double value = strtod(strchr(at, '}') + 1, NULL);
        least = least < 0 || value < least ? value : least;
    }
    return least;
}

static const char *const command_names[] = {"status", "lag", "init"};

#define COMMANDS 3

struct commands {
    struct process *processes[SERVERS][COMMANDS];
};

static void start_commands(struct commands *ret_commands)
{
    for (int i = 0; i < SERVERS; i++) {
        const struct sidecar *sidecar = &services.both[i];
        for (int j = 0; j < COMMANDS; j++) {
            const char *const argv[] = {KEEPSTEP_BINARY, command_names[j], "-c",
                                        j == 2 ? sidecar->admin : sidecar->config, NULL};
            ret_commands->processes[i][j] = process_start(
                test_format("%s-%s", sidecar->name, command_names[j]), argv, NULL);
        }
    }
}

static void assert_commands_end_with_a_reason(const struct commands *commands)
{
    for (int i = 0; i < SERVERS; i++) {
        for (int j = 0; j < COMMANDS; j++) {
            struct process *command = commands->processes[i][j];
            int code = process_wait(command, 60000);
            const char *errors = process_errors(command);
            if (code != EX_TEMPFAIL || strstr(errors, "localhost") == NULL ||
                strstr(errors, "check whether the server answers others") == NULL)
                test_fail("%s of %s ended with %d: %s", command_names[j], services.both[i].name,
                          code, errors);
        }
    }
}

/* The page says why it knows nothing, and shows no lag that was true before. */
static void assert_state_is_not_stale(int server)
{
    int code;
    const char *state = page(server, "/api/state", &code);
    const char *fresh = "\"question\":\"fresh\",\"verdict\":\"stalled\","
                        "\"reason\":\"the database does not answer for ";
    if (code != 200 || strstr(state, fresh) == NULL)
        test_fail("no %s in %s", fresh, state);
    if (strstr(page(server, "/readyz", &code), AGENT_HANGS) == NULL)
        return;
    for (const char *at = state; (at = strstr(at, "\"lag_records\":")) != NULL; at++) {
        const char *lag = strstr(at, "\"lag_s\":") + strlen("\"lag_s\":");
        if (strncmp(at, "\"lag_records\":null,", 19) != 0 ||
            (strncmp(lag, "null", 4) != 0 && strtod(lag, NULL) < 10))
            test_fail("a stale lag: %s", state);
    }
}

static bool all_have_reported(void *context)
{
    const char **output = context;
    *output = sidecar_run(&services.both[0], "copies", "item", NULL).output;
    return strstr(*output, " 4 members of topic ") != NULL;
}

/* All of them report through a database that stands still: anybody sees for how long. */
static bool all_are_silent(void *context)
{
    const char **output = context;
    int silent = 0;
    if (!all_have_reported(context))
        return false;
    for (const char *at = *output; (at = strstr(at, ", SILENT for ")) != NULL; at++)
        silent++;
    return silent == 2 * SERVERS;
}

static void assert_pages_answer(int server)
{
    int code;
    (void)page(server, "/healthz", &code);
    assert_int_equal(code, 200);
    const char *metrics = page(server, "/metrics", &code);
    assert_int_equal(code, 200);
    assert_true(least_of(metrics, "keepstep_database_up") == 0);
    assert_true(least_of(metrics, "keepstep_broker_up") != 0);
    if (strstr(page(server, "/readyz", &code), AGENT_HANGS) == NULL)
        return; /* it looks at the log again, and may have applied all of it */
    double lag = least_of(metrics, "keepstep_consumer_lag_seconds");
    if (lag >= 0 && lag < 10)
        test_fail("a lag of %g s is told", lag);
    if (least_of(metrics, "keepstep_consumer_lag_records") == 0)
        test_fail("a lag of no records is told");
}

static struct sidecar *sidecar_of(int i)
{
    return i < SERVERS ? &services.both[i] : &services.copies[i - SERVERS];
}

static void assert_ended(const struct sidecar *sidecar)
{
    int code = process_wait(sidecar->process, STOP_MS);
    if (code != 0)
        test_fail("%s ended with %d: %s", sidecar->name, code, process_errors(sidecar->process));
}

/* Stop all at once, so that the test waits only for the slowest. A second signal would kill
 * them. */
static void stop_all(void)
{
    for (int i = 0; i < 2 * SERVERS; i++)
        process_signal(sidecar_of(i)->process, SIGTERM);
    for (int i = 0; i < 2 * SERVERS; i++)
        assert_ended(sidecar_of(i));
}

static void assert_kept_their_partitions(int server)
{
    const char *log = process_errors(services.both[server].process);
    const char *first = strstr(log, "\"assigning\"");
    if (first == NULL || strstr(first + 1, "\"assigning\"") != NULL)
        test_fail("%s was not assigned once: %s", services.both[server].name, log);
}

static void end_copies(void)
{
    for (int i = 0; i < SERVERS; i++) {
        assert_true(process_wait_catches(services.copies[i].process, SIGTERM, STOP_MS));
        process_signal(services.copies[i].process, SIGTERM);
    }
    for (int i = 0; i < SERVERS; i++)
        assert_ended(&services.copies[i]);
}

/* End each copy in the middle of a statement, and again before it has a connection. */
static void end_copies_twice(void)
{
    end_copies();
    for (int i = 0; i < SERVERS; i++)
        sidecar_start(&services.copies[i], NULL);
    (void)usleep(UNDER_WAY_US);
    end_copies();
    for (int i = 0; i < SERVERS; i++)
        sidecar_start(&services.copies[i], NULL);
}

/* Wait longer than a session of the group lasts. */
static void outlast_servers_that_stand_still(void)
{
    struct commands commands;
    const char *reasons[SERVERS];
    const char *copies = "";
    if (!test_wait(all_have_reported, &copies, READY_MS))
        test_fail("not all have reported: %s", copies);
    write_rows(11, ROWS);
    pause_servers();
    start_commands(&commands);
    end_copies_twice();
    if (!test_wait(none_is_ready, reasons, NOT_READY_MS))
        test_fail("\"%s\" and \"%s\" are told: %s%s", reasons[0], reasons[1],
                  process_errors(services.both[0].process),
                  process_errors(services.both[1].process));
    for (int i = 0; i < SERVERS; i++) {
        assert_pages_answer(i);
        assert_state_is_not_stale(i);
    }
    if (!test_wait(all_are_silent, &copies, EQUAL_MS))
        test_fail("not all are called silent: %s", copies);
    assert_commands_end_with_a_reason(&commands);
    continue_servers();
    assert_all_equal();
    assert_none_parked();
    for (int i = 0; i < SERVERS; i++) {
        if (!test_wait(is_ready, &i, READY_MS))
            test_fail("not ready again: %s", process_errors(services.both[i].process));
        assert_kept_their_partitions(i);
    }
}

static void end_while_servers_stand_still(void)
{
    write_rows(11 + ROWS, ROWS);
    pause_servers();
    (void)usleep(UNDER_WAY_US);
    stop_all();
    continue_servers();
    for (int i = 0; i < 2 * SERVERS; i++)
        sidecar_start(sidecar_of(i), NULL);
    assert_all_equal();
    assert_none_parked();
}

static void sidecars_go_on_and_end_while_their_servers_stand_still(void **state)
{
    (void)state;
    begin();
    write_rows(1, 10);
    assert_all_equal();
    outlast_servers_that_stand_still();
    end_while_servers_stand_still();
    stop_all();
}

struct second_session {
    const struct sidecar *shop;
    pid_t pid; /* of the process that serves it; 0: there is none */
};

/* What is seen is kept: at another look it may be gone, and a signal to 0 is one to the test. */
static bool has_second_session(void *context)
{
    struct second_session *second = context;
    const char *pid = database_text(
        second->shop->url,
        "SELECT coalesce(max(pid), 0) FROM (SELECT pid, row_number() OVER (ORDER BY "
        "backend_start) AS n FROM pg_stat_activity "
        "WHERE application_name = 'keepstep relay') AS s WHERE n = 2");
    second->pid = (pid_t)strtol(pid, NULL, 10);
    return second->pid > 0;
}

static void write_backlog(const struct sidecar *shop, int first, int count)
{
    (void)database_text(shop->url, test_format("INSERT INTO items SELECT i, 'a', i FROM "
                                               "generate_series(%d, %d) AS i",
                                               first, first + count - 1));
}

/* Only the session that loads ahead stands still. The relay goes on without it. */
static void a_relay_goes_on_and_ends_while_its_second_session_stands_still(void **state)
{
    (void)state;
    struct sidecar shop = sidecar_make_on(kafka_start(), "shop",
                                          database_make(DATABASE_POSTGRESQL, "shop"),
                                          "publish:\n  item: {table: items, partitions: 2}\n");
    (void)database_text(shop.url, "CREATE TABLE items(id INTEGER PRIMARY KEY, "
                                  "name VARCHAR(100) NOT NULL, amount INTEGER)");
    sidecar_begin(&shop);
    write_backlog(&shop, 1, 4 * ROWS);
    struct second_session second = {.shop = &shop};
    if (!test_wait(has_second_session, &second, READY_MS))
        test_fail("no second session: %s", process_errors(shop.process));
    assert_int_equal(kill(second.pid, SIGSTOP), 0);
    write_backlog(&shop, 1 + 4 * ROWS, 4 * ROWS);
    if (!database_wait_for(shop.url,
                           "SELECT sum(acknowledged_sequence) FROM keepstep_relay_partition",
                           test_format("%d\n", 8 * ROWS), EQUAL_MS))
        test_fail("not all is published: %s", process_errors(shop.process));
    if (!process_wait_for(shop.process, "second connection to the database", READY_MS))
        test_fail("%s", process_errors(shop.process));
    process_signal(shop.process, SIGTERM);
    assert_ended(&shop);
    assert_int_equal(kill(second.pid, SIGCONT), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_WITH_LIMIT(a_relay_goes_on_and_ends_while_its_second_session_stands_still, 180),
        TEST_WITH_LIMIT(sidecars_go_on_and_end_while_their_servers_stand_still, 300),
    };
    return TEST_RUN(tests);
}
