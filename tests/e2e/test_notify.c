/* A sidecar tells the service manager that it is ready, how it is, and that it stops. */
#include "tests/support/sidecar.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define NOWHERE "127.0.0.1:1" /* nobody listens there */
#define BOTH    "publish:\n  item: {table: items}\napply:\n  extra: {table: extras}\n"

/* The service manager's socket, and all that arrived there, one line per datagram. */
static int manager;
static char heard[8192];

/* An address that begins with @ is abstract, not a file. */
static const char *manager_open(const char *address)
{
    struct sockaddr_un place = {.sun_family = AF_UNIX};
    size_t length = strlen(address);
    assert_true(length < sizeof place.sun_path);
    memcpy(place.sun_path, address, length);
    if (address[0] == '@')
        place.sun_path[0] = '\0';
    manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(manager, (const struct sockaddr *)&place,
                          (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length)),
                     0);
    heard[0] = '\0';
    return test_format("NOTIFY_SOCKET=%s", address);
}

static bool manager_hears(void *words)
{
    struct pollfd look = {.fd = manager, .events = POLLIN};
    while (poll(&look, 1, 0) == 1) {
        char datagram[1024];
        ssize_t length = recv(manager, datagram, sizeof datagram, 0);
        size_t used = strlen(heard);
        assert_true(length >= 0);
        (void)snprintf(heard + used, sizeof heard - used, "%.*s\n", (int)length, datagram);
    }
    return strstr(heard, words) != NULL;
}

static void assert_heard(const char *words, int64_t limit_ms)
{
    char wanted[256];
    (void)snprintf(wanted, sizeof wanted, "%s", words);
    if (!test_wait(manager_hears, wanted, limit_ms))
        test_fail("never heard: %s\nbut\n%s", words, heard);
}

static void assert_not_heard(const char *words)
{
    char unwanted[] = "";
    (void)manager_hears(unwanted);
    if (strstr(heard, words) != NULL)
        test_fail("heard %s:\n%s", words, heard);
}

static struct process *start(const struct sidecar *service, const char *socket)
{
    return process_start("run",
                         (const char *[]){KEEPSTEP_BINARY, "run", "-c", service->config, NULL},
                         (const char *[]){socket, NULL});
}

static struct sidecar make(void)
{
    struct sidecar shop = sidecar_make_at(NOWHERE, "shop",
                                          test_format("sqlite:%s", test_path("shop.db")), BOTH);
    (void)sqlite_text(shop.database,
                      SIDECAR_ITEM_DDL "CREATE TABLE extras(" SIDECAR_ITEM_COLUMNS ");");
    return shop;
}

static void a_sidecar_is_started_though_the_broker_is_dead(void **state)
{
    (void)state;
    struct sidecar shop = make();
    sidecar_init(&shop, NULL);
    struct process *process = start(&shop, manager_open(test_path("notify")));
    assert_heard("READY=1", 10000);
    assert_not_heard("STOPPING=1");
    process_signal(process, SIGTERM);
    assert_int_equal(process_wait(process, 20000), 0);
    assert_heard("STOPPING=1", 1000);
    (void)close(manager);
}

static void an_abstract_socket_is_told_too(void **state)
{
    (void)state;
    struct sidecar shop = make();
    sidecar_init(&shop, NULL);
    struct process *process = start(
        &shop, manager_open(test_format("@keepstep-test-%ld", (long)getpid())));
    assert_heard("READY=1", 10000);
    assert_int_equal(process_stop(process, 20000), 0);
    (void)close(manager);
}

static void a_bad_configuration_is_no_start(void **state)
{
    (void)state;
    struct sidecar shop = make();
    sidecar_init(&shop, NULL);
    const char *text = test_read_file(shop.config);
    test_write_file(shop.config, test_format("%s\npublsh: {}\n", text));
    struct process *process = start(&shop, manager_open(test_path("notify")));
    assert_int_equal(process_wait(process, 10000), 78);
    assert_not_heard("READY=1");
    (void)close(manager);
}

static void a_database_that_was_not_prepared_is_no_start(void **state)
{
    (void)state;
    struct sidecar shop = make();
    struct process *process = start(&shop, manager_open(test_path("notify")));
    assert_int_equal(process_wait(process, 10000), 78);
    assert_not_heard("READY=1");
    assert_heard("keepstep init", 0);
    (void)close(manager);
}

static void a_database_that_does_not_answer_is_waited_for(void **state)
{
    (void)state;
    struct sidecar shop = make();
    const struct sidecar away = sidecar_make_at(NOWHERE, "away",
                                                "postgresql://shop@127.0.0.1:1/shop", BOTH);
    (void)shop;
    struct process *process = start(&away, manager_open(test_path("notify")));
    assert_heard("STATUS=the database is not checked yet", 5000);
    assert_true(process_wait_for(process, "Connection refused", 5000));
    assert_int_equal(process_wait(process, 1000), -1);
    assert_not_heard("READY=1");
    assert_int_equal(process_stop(process, 20000), 0);
    assert_heard("STOPPING=1", 1000);
    assert_not_heard("READY=1");
    (void)close(manager);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_WITH_LIMIT(a_sidecar_is_started_though_the_broker_is_dead, 60),
        TEST_WITH_LIMIT(an_abstract_socket_is_told_too, 60),
        TEST(a_bad_configuration_is_no_start),
        TEST(a_database_that_was_not_prepared_is_no_start),
        TEST_WITH_LIMIT(a_database_that_does_not_answer_is_waited_for, 60),
    };
    return TEST_RUN(tests);
}
