/* Whom a comparison may be told to ask: services that report to the control topic. */
#include "operate/verify/desks.h"
#include "tests/support/test.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))
#define RECORD(service, copy, publishes)                                                           \
    "{\"v\":1,\"service\":\"" service "\",\"copy\":\"" copy "\",\"instance\":\"1\","               \
    "\"version\":\"\",\"at\":\"2026-11-28T22:40:00.123456Z\",\"publishes\":{" publishes "},"       \
    "\"outbox\":{\"waiting\":-1,\"set_aside\":-1},\"applies\":{},\"positions\":{}}"

static void take(struct members *members, const char *key, const char *value)
{
    struct error err = ERROR_INIT;
    const struct control_record record = {
        .key = slice_of(key), .value = slice_of(value), .offset = members->end++};
    if (members_take(members, &record, &err) != STATUS_OK ||
        members->unreadable.status != STATUS_OK)
        test_fail("%s: %s%s", key, err.text, members->unreadable.text);
}

/* A comparison would pass over it, and say that all are equal. */
static void a_service_that_does_not_report_cannot_be_named(void **state)
{
    static const char *const named[] = {NULL, "billing", "shop,billing", "asker", "billing,asker"};
    static const char *const unknown[] = {"billin", "billings", "billing,ware", "billing/0193",
                                          ",billing"};
    struct config config = {.service = (char *)(uintptr_t) "asker",
                            .control_topic = (char *)(uintptr_t) "keepstep"};
    const struct service service = {.config = &config};
    struct members members;
    struct verify_desks desks = {.service = &service, .members = &members};
    struct error err = ERROR_INIT;
    (void)state;
    members_init(&members);
    take(&members, "member/billing/0193/1", RECORD("billing", "0193", ""));
    take(&members, "member/shop/-/1", RECORD("shop", "-", "\"order\":\"orders\""));
    for (size_t i = 0; i < COUNT(named); i++) {
        desks.of = named[i];
        if (verify_desks_check(&desks, &err) != STATUS_OK)
            test_fail("%s", err.text);
    }
    for (size_t i = 0; i < COUNT(unknown); i++) {
        desks.of = unknown[i];
        assert_int_equal(verify_desks_check(&desks, &err), STATUS_FATAL);
        error_clear(&err);
    }
    members_done(&members);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_service_that_does_not_report_cannot_be_named),
    };
    return TEST_RUN(tests);
}
