/* When Kafka's retention overtakes a copy, told by the sidecar of another service while the copy's
 * own does not run. */
#include "tests/support/http.h"
#include "tests/support/sidecar.h"

#define WAIT_MS 90000 /* the pages look each 30 s */

struct look {
    const struct sidecar *asked;
    int port;
    const char *flag;
    const char *words;
    const char *seen;
};

static bool copies_say(void *context)
{
    struct look *look = context;
    look->seen = sidecar_run(look->asked, "copies", "item", look->flag).output;
    return strstr(look->seen, look->words) != NULL;
}

static bool page_has(void *context)
{
    struct look *look = context;
    look->seen = http_send_request(look->port, "GET", "/metrics", "").body;
    return strstr(look->seen, look->words) != NULL;
}

static void expect(bool (*holds)(void *context), struct look look)
{
    if (!test_wait(holds, &look, WAIT_MS))
        test_fail("no \"%s\" in %s", look.words, look.seen);
}

/* A record is not young any more after a tenth of the minute that the topic keeps it. */
static void a_copy_that_does_not_run_is_seen_to_be_overtaken(void **state)
{
    (void)state;
    struct kafka *kafka = kafka_start();
    kafka_create_topic(
        kafka, sidecar_topic("item"), 1,
        "retention.ms=60000;cleanup.policy=delete;message.timestamp.type=LogAppendTime");
    struct sidecar shop = sidecar_make(kafka, "shop", SIDECAR_ITEM_DDL,
                                       "publish:\n  item: {table: items, partitions: 1}\n"
                                       "topics: {retention_s: 60}\n");
    struct sidecar billing = sidecar_make(kafka, "billing", SIDECAR_ITEM_DDL,
                                          "apply:\n  item: {table: items, partitions: 1}\n");
    int port = sidecar_listen(&shop);
    sidecar_begin(&shop);
    sidecar_begin(&billing);
    (void)sqlite_text(shop.database, "INSERT INTO items VALUES (1, 'read', 1)");
    sidecar_assert_equal(&shop, &billing, "items", WAIT_MS);
    struct look look = {.asked = &shop, .words = "applied 0 behind"};
    assert_true(test_wait(copies_say, &look, WAIT_MS));
    assert_null(strstr(look.seen, "RETENTION"));
    sidecar_stop(&billing);
    (void)sqlite_text(shop.database, "INSERT INTO items VALUES (2, 'not read', 2)");
    expect(copies_say, (struct look){.asked = &shop, .words = "    RETENTION: "});
    expect(copies_say,
           (struct look){.asked = &shop, .flag = "--json", .words = "\"retention_overtakes_s\":0"});
    expect(page_has,
           (struct look){.port = port,
                         .words = test_format(
                             "keepstep_copy_retention_overtakes_seconds{service=\"shop\",type="
                             "\"item\",topic=\"%s\",copy=\"billing/",
                             sidecar_topic("item"))});
    sidecar_stop(&shop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_WITH_LIMIT(a_copy_that_does_not_run_is_seen_to_be_overtaken, 300),
    };
    return TEST_RUN(tests);
}
