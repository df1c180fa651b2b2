/* docker-compose.yml itself runs: a broker, three services on three database products, and their
 * sidecars. What it promises is looked at, its parts are killed, and the copies compared.
 * labels: early */
#include "tests/support/docker.h"

#include "common/clock.h"

#include <stdio.h>
#include <sys/stat.h>

#define LOOK_US    200000 /* each poll starts a program */
#define HEALTHY_MS 120000
#define WRITES_MS  60000

static const char *const services[] = {"orders", "customers", "billing"};
#define SERVICE_COUNT (sizeof services / sizeof services[0])

static const struct {
    const char *name;
    bool has_port;    /* on the host's loopback */
    const char *page; /* one that says 200 */
} containers[] = {
    {"kafka", true, NULL},
    {"orders-db", false, NULL},
    {"customers-db", false, NULL},
    {"orders", true, "/"},
    {"customers", true, "/"},
    {"billing", true, "/"},
    {"orders-keepstep", true, "/"},
    {"customers-keepstep", true, "/"},
    {"billing-keepstep", true, "/"},
    {"prometheus", true, "/-/healthy"},
    {"grafana", true, "/api/health"},
};
#define CONTAINER_COUNT (sizeof containers / sizeof containers[0])

static const char *sidecar_of(const char *service)
{
    return test_format("%s-keepstep", service);
}

/* Run a keepstep command in the service's running sidecar, with its configuration. */
static struct process_result keepstep(const char *service, const char *command, const char *flag)
{
    return DOCKER_EXEC(sidecar_of(service), "keepstep", command, flag);
}

/* What runs in a container of an example service; see there. */
static const char *rows_script(void)
{
    static const char *script;
    if (script == NULL)
        script = test_read_file(KEEPSTEP_SOURCE_DIR "/tests/support/docker/rows.py");
    return script;
}

/* Run SQL on a service's own database, in its container, as itself. */
static const char *sql(const char *service, const char *statement)
{
    struct process_result result = DOCKER_EXEC(service, "python3", "-c", rows_script(), "sql",
                                               statement);
    if (result.exit_code != 0)
        test_fail("%s: %s: %s", service, statement, result.errors);
    return test_format("%.*s", (int)strcspn(result.output, "\n"), result.output);
}

/* The same as its sidecar's login. */
static struct process_result sql_of_sidecar(const char *service, const char *statement)
{
    const char *url = test_read_file(docker_secret(test_format("%s-keepstep-url", service)));
    return DOCKER_EXEC(service, "env", "-u", "DATABASE_FILE", test_format("DATABASE=%s", url),
                       "python3", "-c", rows_script(), "sql", statement);
}

static int64_t rows_of(const char *service, const char *table)
{
    return strtoll(sql(service, test_format("SELECT count(*) FROM %s", table)), NULL, 10);
}

struct wanted {
    const char *service;
    const char *statement;
    int64_t at_least;
};

static bool wanted_is_there(void *context)
{
    const struct wanted *wanted = context;
    clock_sleep_us(LOOK_US);
    return strtoll(sql(wanted->service, wanted->statement), NULL, 10) >= wanted->at_least;
}

static void wait_for(const char *service, const char *statement, int64_t at_least)
{
    struct wanted wanted = {service, statement, at_least};
    if (!test_wait(wanted_is_there, &wanted, WRITES_MS))
        test_fail("at %s never true: %s is %lld", service, statement, (long long)at_least);
}

/* Services forget old rows, but never the newest id. */
static void wait_for_new_rows(const char *service, const char *table)
{
    const char *newest = test_format("SELECT max(id) FROM %s", table);
    wait_for(service, newest, strtoll(sql(service, newest), NULL, 10) + 3);
}

/* @return where a container's port is on the host: "ADDRESS:PORT", "" if nowhere. */
static const char *address_of(const char *name)
{
    return docker_inspect(name, "{{range .NetworkSettings.Ports}}{{range .}}"
                                "{{.HostIp}}:{{.HostPort}}{{end}}{{end}}");
}

/* @return the whole answer to a GET from the host. */
static const char *answer(const char *name, const char *page)
{
    const char *script = test_format(
        "exec 3<>/dev/tcp/127.0.0.1/%s || exit 1\n"
        "printf 'GET %s HTTP/1.0\\r\\nHost: 127.0.0.1\\r\\n\\r\\n' >&3; cat <&3",
        strchr(address_of(name), ':') + 1, page);
    return PROCESS_RUN("bash", "-c", script).output;
}

struct page {
    const char *container;
    const char *path;
    const char *said;
};

static bool page_is_well(void *context)
{
    struct page *page = context;
    page->said = answer(page->container, page->path);
    return strstr(page->said, " 200 ") != NULL;
}

static void wait_for_page(const char *container, const char *path)
{
    struct page page = {container, path, ""};
    if (!test_wait(page_is_well, &page, HEALTHY_MS))
        test_fail("%s says: %s", container, page.said);
}

static bool is_ready(void *context)
{
    const char *sidecar = context;
    clock_sleep_us(LOOK_US);
    return DOCKER_EXEC(sidecar, "keepstep", "healthcheck").exit_code == 0;
}

static bool is_not_ready(void *context)
{
    return !is_ready(context);
}

static void wait_until_ready(const char *service, bool ready)
{
    char *sidecar = (char *)(uintptr_t)sidecar_of(service);
    if (!test_wait(ready ? is_ready : is_not_ready, sidecar, HEALTHY_MS))
        test_fail("%s is %s: %s", sidecar, ready ? "not ready" : "ready",
                  DOCKER_EXEC(sidecar, "keepstep", "healthcheck").output);
}

static void up_starts_everything_and_says_where(void **state)
{
    (void)state;
    const char *printed = docker_up();
    for (size_t i = 0; i < CONTAINER_COUNT; i++) {
        const char *name = containers[i].name;
        const char *page = containers[i].page;
        const char *address = address_of(name);
        docker_wait_health(name, "healthy", HEALTHY_MS); /* also where one look came late */
        assert_int_equal(strncmp(address, "127.0.0.1:", 10) == 0, containers[i].has_port);
        assert_true(containers[i].has_port || *address == '\0');
        if (page == NULL)
            continue;
        if (strstr(printed, test_format("http://%s/\n", address)) == NULL)
            test_fail("the address of %s is not among: %s", name, printed);
        wait_for_page(name, page);
    }
    for (size_t i = 0; i < SERVICE_COUNT; i++)
        printf("note: %s needs %s\n", sidecar_of(services[i]),
               DOCKER("stats", "--no-stream", "--format", "{{.MemUsage}}",
                      docker_container(sidecar_of(services[i]))));
    /* billing writes its first invoice when the first order has arrived; a network comes first. */
    wait_for("billing", "SELECT count(*) FROM invoices", 1);
    const char *first = sql("billing", "SELECT unixepoch(min(issued_at)) FROM invoices");
    const char *network = DOCKER("network", "inspect", "-f", "{{.Created.Unix}}",
                                 test_format("%s_billing", docker_project()));
    printf("note: %lld s from ./run up to the first row at another service\n",
           strtoll(first, NULL, 10) - strtoll(network, NULL, 10));
    printf("note: keepstep:local has %s bytes\n",
           DOCKER("image", "inspect", "-f", "{{.Size}}", "keepstep:local"));
}

static bool prometheus_sees_three_sidecars(void *context)
{
    const char **last = context;
    clock_sleep_us(LOOK_US);
    *last = answer("prometheus", "/api/v1/query?query=sum(up)");
    return strstr(*last, ",\"3\"]") != NULL;
}

static void prometheus_reads_the_numbers_of_all_sidecars(void **state)
{
    (void)state;
    (void)docker_up();
    const char *last = "";
    if (!test_wait(prometheus_sees_three_sidecars, &last, HEALTHY_MS))
        test_fail("not three sidecars are up: %s", last);
}

/* What the engine was told, and what is so in the container. */
static void assert_confined(const char *name)
{
    const char *told = docker_inspect(name,
                                      "{{.HostConfig.ReadonlyRootfs}} {{.HostConfig.CapDrop}} "
                                      "{{.HostConfig.SecurityOpt}} {{.HostConfig.Init}} "
                                      "{{.HostConfig.Privileged}} {{.State.OOMKilled}}");
    if (strcmp(told, "true [ALL] [no-new-privileges:true] true false false") != 0)
        test_fail("%s: %s", name, told);
    assert_true(strtol(docker_inspect(name, "{{.Config.User}}"), NULL, 10) > 0);
    struct process_result inside = DOCKER_EXEC(
        name, "sh", "-c",
        "id -u; grep -E 'CapBnd|NoNewPrivs' /proc/self/status | tr -d '\\n'; echo\n"
        "cat /sys/fs/cgroup/memory.max 2>/dev/null || "
        "cat /sys/fs/cgroup/memory/memory.limit_in_bytes; echo >/file");
    const char *expected = test_format("%ld\nCapBnd:\t0000000000000000NoNewPrivs:\t1\n%s\n",
                                       strtol(docker_inspect(name, "{{.Config.User}}"), NULL, 10),
                                       docker_inspect(name, "{{.HostConfig.Memory}}"));
    assert_string_equal(inside.output, expected);
    assert_int_not_equal(inside.exit_code, 0);
    if (strstr(inside.errors, "Read-only file system") == NULL)
        test_fail("%s: %s", name, inside.errors);
}

static void containers_have_no_right_that_they_do_not_need(void **state)
{
    (void)state;
    (void)docker_up();
    for (size_t i = 0; i < CONTAINER_COUNT; i++)
        assert_confined(containers[i].name);
}

static const char *everything_that_shows(void)
{
    const char *ids = DOCKER("ps", "-a", "-q", "--filter",
                             test_format("label=com.docker.compose.project=%s", docker_project()));
    const char *shown = PROCESS_RUN("ps", "-eww", "-o", "args").output;
    while (*ids != '\0') {
        const char *id = test_format("%.*s", (int)strcspn(ids, "\n"), ids);
        struct process_result logs = process_run((const char *const[]){"docker", "logs", id, NULL},
                                                 NULL, 30000);
        shown = test_format("%s\n%s\n%s%s", shown, DOCKER("inspect", id), logs.output, logs.errors);
        ids += strcspn(ids, "\n");
        ids += *ids == '\n';
    }
    return shown;
}

static void passwords_are_in_files_that_one_user_reads_and_nowhere_else(void **state)
{
    (void)state;
    (void)docker_up();
    static const char *const names[] = {
        "orders-db-admin",      "orders-db-service",     "orders-db-keepstep", "customers-db-admin",
        "customers-db-service", "customers-db-keepstep", "listen-token",       "grafana-admin"};
    const char *shown = everything_that_shows();
    assert_non_null(strstr(shown, "orders-db-admin")); /* the names are seen: of inspect, */
    assert_non_null(strstr(shown, "holds the lease")); /* and of the sidecars' logs */
    struct stat status;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const char *password = test_read_file(docker_secret(names[i]));
        assert_non_null(password);
        assert_true(strlen(password) >= 32);
        if (strstr(shown, password) != NULL)
            test_fail("%s is seen", names[i]);
        assert_int_equal(stat(docker_secret(names[i]), &status), 0);
        assert_int_equal(status.st_mode & 07777, 0600);
    }
    assert_int_equal(stat(docker_secret("."), &status), 0);
    assert_int_equal(status.st_mode & 07777, 0700);
}

static void a_row_of_each_service_reaches_the_other_two(void **state)
{
    (void)state;
    (void)docker_up();
    static const char *const rows[][2] = {
        {"INSERT INTO orders (total, state, created_at) VALUES (777.01, 'open', CURRENT_TIMESTAMP)",
         "SELECT count(*) FROM orders WHERE total = 777.01"},
        /* By its name alone: the service itself moves the newest customers to other cities. */
        {"INSERT INTO customers (name, city, active) VALUES ('Zoë Ærø', 'Ærø', FALSE)",
         "SELECT count(*) FROM customers WHERE name = 'Zoë Ærø'"},
        {"INSERT INTO invoices (order_id, amount, issued_at) VALUES (0, '777.02', "
         "'2026-01-02T03:04:05.000006Z')",
         "SELECT count(*) FROM invoices WHERE order_id = 0 AND amount = 777.02"},
    };
    for (size_t i = 0; i < SERVICE_COUNT; i++)
        assert_string_equal(sql(services[i], rows[i][0]), "1");
    for (size_t i = 0; i < SERVICE_COUNT; i++) {
        for (size_t k = 0; k < SERVICE_COUNT; k++)
            wait_for(services[k], rows[i][1], 1);
    }
}

static void assert_refused(const char *service, const char *statement)
{
    struct process_result result = sql_of_sidecar(service, statement);
    if (result.exit_code == 0 || strstr(result.errors, "denied") == NULL)
        test_fail("%s as the sidecar of %s: %s%s", statement, service, result.output,
                  result.errors);
}

static void a_sidecar_reads_and_writes_only_what_it_needs(void **state)
{
    (void)state;
    (void)docker_up();
    static const char *const on_servers[] = {"orders", "customers"}; /* each publishes that table */
    for (size_t i = 0; i < sizeof on_servers / sizeof on_servers[0]; i++) {
        const char *service = on_servers[i];
        const char *count = test_format("SELECT count(*) >= 0 FROM %s", service);
        assert_string_equal(sql_of_sidecar(service, count).output, "1\n");
        (void)sql(service, "CREATE TABLE private (id INTEGER)");
        assert_refused(service, "SELECT count(*) FROM private");
        assert_refused(service, "INSERT INTO private VALUES (1)");
        assert_refused(service, test_format("DELETE FROM %s", service));
        assert_refused(service, "CREATE TABLE another (id INTEGER)");
        (void)sql(service, "DROP TABLE private");
    }
}

static void a_killed_sidecar_goes_on_where_it_was(void **state)
{
    (void)state;
    (void)docker_up();
    const char *sidecar = docker_container("billing-keepstep");
    (void)DOCKER("kill", "-s", "KILL", sidecar);
    wait_for_new_rows("customers", "orders");
    (void)DOCKER("start", sidecar);
    wait_for_new_rows("billing", "orders");
    wait_for_new_rows("orders", "invoices");
}

/* Its service cannot write, its sidecar says so; the other services go on. */
static void a_killed_database_stops_only_its_own_service(void **state)
{
    (void)state;
    (void)docker_up();
    const char *server = docker_container("orders-db");
    (void)DOCKER("kill", "-s", "KILL", server);
    wait_until_ready("orders", false);
    assert_non_null(strstr(answer("orders", "/"), " 503 "));
    wait_for_new_rows("billing", "customers");
    (void)DOCKER("start", server);
    wait_until_ready("orders", true);
    wait_for_new_rows("billing", "orders");
    wait_for_new_rows("orders", "customers");
}

static void a_sidecar_without_its_network_catches_up(void **state)
{
    (void)state;
    (void)docker_up();
    const char *network = test_format("%s_events", docker_project());
    const char *sidecar = docker_container("customers-keepstep");
    (void)DOCKER("network", "disconnect", network, sidecar);
    wait_for_new_rows("billing", "orders");
    int64_t before = rows_of("customers", "orders");
    wait_for_new_rows("billing", "orders");
    assert_int_equal(rows_of("customers", "orders"), before);
    (void)DOCKER("network", "connect", "--alias", "customers-keepstep", network, sidecar);
    wait_for_new_rows("customers", "orders");
    wait_until_ready("customers", true);
}

/* The broker is gone until the sidecars report it. Their services go on writing. */
static void services_write_on_without_the_broker(void **state)
{
    (void)state;
    (void)docker_up();
    (void)DOCKER("kill", "-s", "KILL", docker_container("kafka"));
    for (size_t i = 0; i < SERVICE_COUNT; i++)
        wait_until_ready(services[i], false);
    wait_for_new_rows("orders", "orders");
    (void)DOCKER("start", docker_container("kafka"));
    for (size_t i = 0; i < SERVICE_COUNT; i++)
        wait_until_ready(services[i], true);
    wait_for_new_rows("billing", "orders");
    wait_for_new_rows("orders", "customers");
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
        for (const char *at = lag.output; (at = strstr(at, "\"lag_records\":")) != NULL; at++) {
            partitions++;
            if (strncmp(at, "\"lag_records\":0,", 16) != 0)
                return false;
        }
        if (lag.exit_code != 0 || partitions != 18) /* three entity types of six partitions */
            return false;
    }
    return true;
}

/* @return all rows of a service that does not run. Another container of its image reads them. */
static const char *rows_at_rest(const char *service)
{
    const char *project = docker_project();
    bool billing = strcmp(service, "billing") == 0;
    const char *url = billing ? "sqlite:/data/billing.db"
                              : test_read_file(docker_secret(test_format("%s-url", service)));
    return DOCKER("run", "--rm", "--network", test_format("%s_%s", project, service), "--volume",
                  test_format("%s_billing:/data", project), "--env",
                  test_format("DATABASE=%s", url), "keepstep-example:local", "-c", rows_script(),
                  "rows", "orders", "id, customer_id, total, state, created_at", "customers",
                  "id, name, city, active, moved_at", "invoices", "id, order_id, amount, issued_at",
                  "notes", "id, author, body, written_at");
}

static void assert_copies_equal(void)
{
    const char *expected = rows_at_rest(services[0]);
    static const char *const tables[] = {"orders: ", "customers: ", "invoices: ", "notes: "};
    for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++) {
        const char *rows = strstr(expected, tables[i]);
        assert_non_null(rows);
        assert_true(strtol(rows + strlen(tables[i]), NULL, 10) >= 3);
    }
    for (size_t i = 1; i < SERVICE_COUNT; i++) {
        const char *rows = rows_at_rest(services[i]);
        if (strcmp(rows, expected) != 0)
            test_fail("%s has:\n%s\n%s has:\n%s", services[0], expected, services[i], rows);
    }
}

static void down_and_up_again_keeps_everything_and_all_copies_are_equal(void **state)
{
    (void)state;
    (void)docker_up();
    int64_t before = rows_of("billing", "orders");
    (void)DOCKER_RUN("down");
    const char *label = test_format("label=com.docker.compose.project=%s", docker_project());
    assert_string_equal(DOCKER("ps", "-a", "-q", "--filter", label), "");
    (void)DOCKER_RUN("up");
    assert_true(rows_of("billing", "orders") >= before);
    wait_for_new_rows("customers", "invoices");
    for (size_t i = 0; i < SERVICE_COUNT; i++)
        (void)DOCKER("stop", docker_container(services[i]));
    const char *last = "";
    if (!test_wait(all_is_published_and_applied, &last, WRITES_MS))
        test_fail("not everything is published and applied: %s", last);
    struct process_result verified = keepstep("billing", "verify", NULL);
    if (verified.exit_code != 0)
        test_fail("keepstep verify says: %s%s", verified.output, verified.errors);
    assert_copies_equal();
    for (size_t i = 0; i < SERVICE_COUNT; i++) {
        const char *sidecar = sidecar_of(services[i]);
        if (strcmp(docker_inspect(sidecar, "{{.RestartCount}}"), "0") != 0)
            test_fail("%s ended by itself: %s", sidecar, DOCKER("logs", docker_container(sidecar)));
        (void)DOCKER("stop", docker_container(sidecar));
        /* Exit code 137 would mean that Docker killed it after the grace period. */
        assert_string_equal(docker_inspect(sidecar, "{{.State.ExitCode}}"), "0");
    }
}

static void down_with_volumes_leaves_nothing_behind(void **state)
{
    (void)state;
    (void)docker_up();
    const char *label = test_format("label=com.docker.compose.project=%s", docker_project());
    assert_string_not_equal(DOCKER("volume", "ls", "-q", "--filter", label), "");
    (void)DOCKER_RUN("down", "--volumes");
    assert_string_equal(DOCKER("ps", "-a", "-q", "--filter", label), "");
    assert_string_equal(DOCKER("volume", "ls", "-q", "--filter", label), "");
    assert_string_equal(DOCKER("network", "ls", "-q", "--filter", label), "");
    assert_null(test_read_file(docker_secret("owners")));
}

/* The other forms of ./run up. They take too long for every day: `./run test long` runs them. */
static void need_time_for_other_forms(void)
{
    (void)docker_up();
    if (getenv("TEST_COMPOSE_FORMS") == NULL)
        test_skip("TEST_COMPOSE_FORMS is not set");
}

static void the_small_form_runs_on_sqlite_alone(void **state)
{
    (void)state;
    need_time_for_other_forms();
    (void)DOCKER_RUN("up", "--small");
    wait_for_new_rows("customers", "orders");
    wait_for_new_rows("orders", "invoices");
    wait_for_new_rows("billing", "customers");
    (void)DOCKER_RUN("down", "--volumes");
}

static void with_three_brokers_one_may_fail(void **state)
{
    (void)state;
    need_time_for_other_forms();
    (void)DOCKER_RUN("up", "--three-brokers");
    wait_for_new_rows("customers", "orders");
    (void)DOCKER("kill", "-s", "KILL", docker_container("kafka-2"));
    wait_for_new_rows("customers", "orders");
    wait_for_new_rows("orders", "invoices");
    wait_for_new_rows("billing", "customers");
    (void)DOCKER_RUN("down", "--volumes");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_WITH_LIMIT(up_starts_everything_and_says_where, 600),
        TEST_WITH_LIMIT(prometheus_reads_the_numbers_of_all_sidecars, 300),
        TEST_WITH_LIMIT(containers_have_no_right_that_they_do_not_need, 300),
        TEST_WITH_LIMIT(passwords_are_in_files_that_one_user_reads_and_nowhere_else, 300),
        TEST_WITH_LIMIT(a_row_of_each_service_reaches_the_other_two, 300),
        TEST_WITH_LIMIT(a_sidecar_reads_and_writes_only_what_it_needs, 300),
        TEST_WITH_LIMIT(a_killed_sidecar_goes_on_where_it_was, 600),
        TEST_WITH_LIMIT(a_killed_database_stops_only_its_own_service, 600),
        TEST_WITH_LIMIT(a_sidecar_without_its_network_catches_up, 600),
        TEST_WITH_LIMIT(services_write_on_without_the_broker, 600),
        TEST_WITH_LIMIT(down_and_up_again_keeps_everything_and_all_copies_are_equal, 600),
        TEST_WITH_LIMIT(down_with_volumes_leaves_nothing_behind, 120),
        TEST_WITH_LIMIT(the_small_form_runs_on_sqlite_alone, 600),
        TEST_WITH_LIMIT(with_three_brokers_one_may_fail, 600),
    };
    return TEST_RUN(tests);
}
