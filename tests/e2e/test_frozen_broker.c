/* A broker accepts connections but answers nothing, as on a frozen host or behind a network that
 * drops packets. */
#include "tests/support/http.h"
#include "tests/support/sidecar.h"

#include <unistd.h>

#define PUBLISH_ITEMS  "publish:\n  item: {table: items, partitions: 2}\n"
#define APPLY_ITEMS    "apply:\n  item: {table: items, partitions: 2}\n"
#define ASKED_AGAIN_US 4000000  /* by then the agent has asked for its log's ends */
#define SESSION_US     13000000 /* the group's session timeout is 10 s */

struct services {
    struct kafka *kafka;
    struct sidecar shop;
    struct sidecar billing;
    int ports[2];
};

static void begin(struct services *services)
{
    services->kafka = kafka_start();
    services->shop = sidecar_make(services->kafka, "shop", SIDECAR_ITEM_DDL, PUBLISH_ITEMS);
    services->billing = sidecar_make(services->kafka, "billing", NULL, APPLY_ITEMS);
    services->ports[0] = sidecar_listen(&services->shop);
    services->ports[1] = sidecar_listen(&services->billing);
    sidecar_begin(&services->shop);
    sidecar_begin(&services->billing);
    (void)sqlite_text(services->shop.database, "INSERT INTO items VALUES(1,'a',1),(2,'b',2)");
    sidecar_assert_equal(&services->shop, &services->billing, "items", 30000);
}

static bool is_unhealthy(void *context)
{
    struct process_result check = sidecar_run(context, "healthcheck", NULL, NULL);
    return check.exit_code == 1 && strstr(check.output, "2 events are under way") != NULL;
}

/* 10 s without an acknowledgement make the sidecar unhealthy. */
static void expect_seen(struct sidecar *shop)
{
    static const char reached[] = "Broker    NOT REACHED for ";
    if (!test_wait(is_unhealthy, shop, 30000))
        test_fail("%s", sidecar_run(shop, "healthcheck", NULL, NULL).output);
    struct process_result status = sidecar_run(shop, "status", NULL, NULL);
    const char *broker = strstr(status.output, reached);
    if (strstr(status.output, "2 under way, 0 set aside; the oldest waits for") == NULL ||
        broker == NULL || strtol(broker + strlen(reached), NULL, 10) < 10 ||
        strstr(status.output, "nothing to do") != NULL)
        test_fail("%s%s", status.output, status.errors);
}

struct page {
    int port;
    const char *line;
    const char *body;
};

static bool page_has_line(void *context)
{
    struct page *page = context;
    page->body = http_send_request(page->port, "GET", "/metrics", "").body;
    return strstr(page->body, page->line) != NULL;
}

/* Relay and agent each tell it on their own page. */
static void expect_broker_down(const struct services *services)
{
    static const char *const names[] = {"shop", "billing"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct page page = {
            .port = services->ports[i],
            .line = test_format("\nkeepstep_broker_up{service=\"%s\"} 0\n", names[i])};
        if (!test_wait(page_has_line, &page, 30000))
            test_fail("no line%s%s", page.line, page.body);
    }
}

static void services_end_while_the_broker_is_frozen(void **state)
{
    (void)state;
    struct services services;
    begin(&services);
    kafka_pause(services.kafka);
    (void)sqlite_text(services.shop.database, "INSERT INTO items VALUES(3,'c',3)");
    (void)usleep(ASKED_AGAIN_US);
    sidecar_stop(&services.billing);
    sidecar_stop(&services.shop);
    kafka_continue(services.kafka);
    sidecar_start(&services.shop, NULL);
    sidecar_start(&services.billing, NULL);
    sidecar_assert_equal(&services.shop, &services.billing, "items", 60000);
    sidecar_stop(&services.billing);
    sidecar_stop(&services.shop);
}

static void copies_go_on_after_a_freeze_longer_than_their_sessions(void **state)
{
    (void)state;
    struct services services;
    begin(&services);
    struct sidecar late = sidecar_make(services.kafka, "late", NULL, APPLY_ITEMS);
    sidecar_init(&late, NULL);
    kafka_pause(services.kafka);
    sidecar_start(&late, NULL);
    (void)sqlite_text(services.shop.database, "INSERT INTO items VALUES(3,'c',3),(4,'d',4)");
    (void)usleep(SESSION_US);
    expect_seen(&services.shop);
    expect_broker_down(&services);
    kafka_continue(services.kafka);
    sidecar_assert_equal(&services.shop, &services.billing, "items", 60000);
    sidecar_assert_equal(&services.shop, &late, "items", 60000);
    sidecar_stop(&late);
    sidecar_stop(&services.billing);
    sidecar_stop(&services.shop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_WITH_LIMIT(services_end_while_the_broker_is_frozen, 180),
        TEST_WITH_LIMIT(copies_go_on_after_a_freeze_longer_than_their_sessions, 240),
    };
    return TEST_RUN(tests);
}
