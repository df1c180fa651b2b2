/* docker-compose.yml itself runs: a broker, three services and their sidecars. They are killed, and
 * their copies compared. */
#include "tests/support/docker.h"
#include "tests/support/sql.h"

#include "common/clock.h"

#define LOOK_US    200000 /* each poll starts a program */
#define HEALTHY_MS 120000
#define WRITES_MS  60000
#define NOBODY     "10001"

static const char *const services[] = {"shop", "billing", "shipping"};
#define SERVICE_COUNT (sizeof services / sizeof services[0])

static const char *sidecar_of(const char *service)
{
    return test_format("%s-keepstep", service);
}

/* Run a keepstep command in the service's running sidecar, with its configuration. */
static struct process_result keepstep(const char *service, const char *command, const char *flag)
{
    const char *config = test_format("/etc/keepstep/%s/keepstep.yaml", service);
    return DOCKER_EXEC(sidecar_of(service), "keepstep", command, "-c", config, flag);
}

static void wait_until_healthy(void)
{
    docker_wait_health("kafka", "healthy", HEALTHY_MS);
    for (size_t i = 0; i < SERVICE_COUNT; i++)
        docker_wait_health(sidecar_of(services[i]), "healthy", HEALTHY_MS);
}

/* @return how many rows a table of the service has while the service writes. */
static int64_t rows_of(const char *service, const char *table)
{
    struct process_result result = DOCKER_EXEC(service, "sqlite3", "-readonly", "-cmd",
                                               ".timeout 5000", test_format("/data/%s.db", service),
                                               test_format("SELECT count(*) FROM %s", table));
    if (result.exit_code != 0)
        test_fail("%s in %s: %s", table, service, result.errors);
    return strtoll(result.output, NULL, 10);
}

struct rows {
    const char *service;
    const char *table;
    int64_t at_least;
};

static bool rows_are_there(void *context)
{
    const struct rows *rows = context;
    clock_sleep_us(LOOK_US);
    return rows_of(rows->service, rows->table) >= rows->at_least;
}

static void wait_for_new_rows(const char *service, const char *table, int64_t count)
{
    struct rows rows = {service, table, rows_of(service, table) + count};
    if (!test_wait(rows_are_there, &rows, WRITES_MS))
        test_fail("%s gets no %lld new rows in %s", service, (long long)count, table);
}

static const char *ports_of(const char *service)
{
    return docker_inspect(service, "{{range .NetworkSettings.Ports}}{{range .}}"
                                   "{{.HostIp}}:{{.HostPort}} {{end}}{{end}}");
}

static void containers_are_not_root_and_listen_on_the_loopback_only(void **state)
{
    (void)state;
    docker_up();
    wait_until_healthy();
    for (size_t i = 0; i < SERVICE_COUNT; i++) {
        const char *sidecar = sidecar_of(services[i]);
        assert_string_equal(docker_inspect(sidecar, "{{.Config.User}}"), NOBODY ":" NOBODY);
        assert_string_equal(DOCKER_EXEC(sidecar, "id", "-u").output, NOBODY "\n");
        assert_string_equal(DOCKER_EXEC(services[i], "id", "-u").output, NOBODY "\n");
        assert_string_equal(ports_of(services[i]), "");
    }
    assert_string_equal(ports_of("shop-keepstep"), "127.0.0.1:9464 ");
    assert_string_equal(ports_of("billing-keepstep"), "127.0.0.1:9465 ");
    assert_string_equal(ports_of("shipping-keepstep"), "127.0.0.1:9466 ");
    assert_string_equal(ports_of("kafka"), "127.0.0.1:29092 ");
    for (int port = 9464; port <= 9466; port++) {
        const char *url = test_format("http://127.0.0.1:%d/readyz", port);
        struct process_result asked = PROCESS_RUN(KEEPSTEP_BINARY, "healthcheck", "--url", url);
        assert_string_equal(asked.output, "ready\n");
        assert_int_equal(asked.exit_code, 0);
    }
}

static bool all_is_published_and_applied(void *context)
{
    const char **last = context;
    clock_sleep_us(LOOK_US);
    for (size_t i = 0; i < SERVICE_COUNT; i++) {
        *last = keepstep(services[i], "status", "--json").output;
        if (strstr(*last, "\"waiting\":0,\"claimed\":0,\"set_aside\":0,") == NULL)
            return false;
    }
    for (size_t i = 0; i < SERVICE_COUNT; i++) {
        struct process_result lag = keepstep(services[i], "lag", "--json");
        *last = lag.output;
        int partitions = 0;
        for (const char *at = lag.output; (at = strstr(at, "\"lag\":")) != NULL; at++) {
            partitions++;
            if (strncmp(at, "\"lag\":0,", 8) != 0)
                return false;
        }
        if (lag.exit_code != 0 || partitions != 18) /* three entity types of six partitions */
            return false;
    }
    return true;
}

/* @return the path of the database of a service whose containers have ended. */
static const char *database_of(const char *service)
{
    const char *folder = test_path("%s", service);
    (void)DOCKER("cp", test_format("%s:/data", docker_container(sidecar_of(service))), folder);
    return test_format("%s/%s.db", folder, service);
}

static void assert_copies_equal(const char *table, const char *columns, int64_t at_least)
{
    const char *sql = test_format("SELECT %s FROM %s ORDER BY 1", columns, table);
    const char *count = test_format("SELECT count(*) FROM %s", table);
    const char *expected = NULL;
    for (size_t i = 0; i < SERVICE_COUNT; i++) {
        const char *database = test_path("%s/%s.db", services[i], services[i]);
        if (sqlite_number(database, count) < at_least)
            test_fail("%s: only %s rows in %s", table, sqlite_text(database, count), services[i]);
        const char *rows = sqlite_text(database, sql);
        expected = i == 0 ? rows : expected;
        if (strcmp(rows, expected) != 0)
            test_fail("%s differ between shop and %s:\n%s\n%s", table, services[i], expected, rows);
    }
}

static void kill_a_sidecar(void)
{
    const char *sidecar = docker_container("billing-keepstep");
    wait_for_new_rows("billing", "shipments", 3);
    (void)DOCKER("kill", "-s", "KILL", sidecar);
    wait_for_new_rows("shop", "orders", 3);
    (void)DOCKER("start", sidecar);
    wait_for_new_rows("billing", "orders", 3);
}

/* The broker is gone until the sidecars report it. Their services go on writing. */
static void kill_the_broker(void)
{
    assert_int_equal(keepstep("shop", "healthcheck", NULL).exit_code, 0);
    (void)DOCKER("kill", "-s", "KILL", docker_container("kafka"));
    docker_wait_health("shop-keepstep", "unhealthy", HEALTHY_MS);
    struct process_result asked = keepstep("shop", "healthcheck", NULL);
    assert_int_equal(asked.exit_code, 1);
    assert_string_not_equal(asked.output, "ready\n");
    wait_for_new_rows("shop", "orders", 3);
    (void)DOCKER("start", docker_container("kafka"));
    wait_until_healthy();
    assert_int_equal(keepstep("shop", "healthcheck", NULL).exit_code, 0);
    wait_for_new_rows("billing", "shipments", 3);
}

static void assert_never_ended(const char *sidecar)
{
    if (strcmp(docker_inspect(sidecar, "{{.RestartCount}}"), "0") != 0)
        test_fail("%s ended by itself: %s", sidecar, DOCKER_COMPOSE("logs", "--no-color", sidecar));
}

static void copies_are_equal_after_a_sidecar_and_the_broker_were_killed(void **state)
{
    (void)state;
    docker_up();
    wait_until_healthy();
    kill_a_sidecar();
    kill_the_broker();
    (void)DOCKER_COMPOSE("stop", "shop", "billing", "shipping");
    const char *last = "";
    if (!test_wait(all_is_published_and_applied, &last, 60000))
        test_fail("not everything is published and applied: %s", last);
    (void)DOCKER_COMPOSE("stop", "shop-keepstep", "billing-keepstep", "shipping-keepstep");
    for (size_t i = 0; i < SERVICE_COUNT; i++) {
        const char *sidecar = sidecar_of(services[i]);
        /* Exit code 137 would mean that Docker killed it after the grace period. */
        assert_string_equal(docker_inspect(sidecar, "{{.State.ExitCode}}"), "0");
        assert_never_ended(sidecar);
        const char *database = database_of(services[i]);
        assert_int_equal(sqlite_number(database, "SELECT count(*) FROM keepstep_parked"), 0);
        const char *log = DOCKER_COMPOSE("logs", "--no-color", services[i]);
        if (strstr(log, "round failed") != NULL)
            test_fail("%s could not write beside its sidecar: %s", services[i], log);
    }
    assert_copies_equal("orders", "id, customer, total, state, created_at", 20);
    assert_copies_equal("invoices", "id, order_id, amount, issued_at", 20);
    assert_copies_equal("shipments", "order_id, parcel, printf('%!.20g', weight), shipped, sent_at",
                        20);
    assert_copies_equal("notes", "id, author, body, written_at", 3);
}

static void down_leaves_nothing_behind(void **state)
{
    (void)state;
    docker_up();
    /* The log helps when one of these tests has failed. */
    test_write_file(test_path("compose.log"), DOCKER_COMPOSE("logs", "--no-color"));
    const char *label = test_format("label=com.docker.compose.project=%s", docker_project());
    assert_string_not_equal(DOCKER("volume", "ls", "-q", "--filter", label), "");
    (void)DOCKER_COMPOSE("down", "--volumes");
    assert_string_equal(DOCKER("ps", "-a", "-q", "--filter", label), "");
    assert_string_equal(DOCKER("volume", "ls", "-q", "--filter", label), "");
    assert_string_equal(DOCKER("network", "ls", "-q", "--filter", label), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_WITH_LIMIT(containers_are_not_root_and_listen_on_the_loopback_only, 300),
        TEST_WITH_LIMIT(copies_are_equal_after_a_sidecar_and_the_broker_were_killed, 600),
        TEST_WITH_LIMIT(down_leaves_nothing_behind, 120),
    };
    return TEST_RUN(tests);
}
