/* What is said of paused types: to people, and on the metrics page. */
#include "operate/metrics.h"
#include "tests/support/test.h"

static char order_type[] = "order";
static char stock_type[] = "stock";
static char order_topic[] = "shop.order";
static struct config_entry applied[] = {{.entity_type = order_type, .topic = order_topic}};
static struct config_entry published[] = {{.entity_type = order_type, .topic = order_topic},
                                          {.entity_type = stock_type, .topic = stock_type}};
static char service_name[] = "sh\"op";
static const struct config config = {.service = service_name,
                                     .apply = applied,
                                     .apply_count = 1,
                                     .publish = published,
                                     .publish_count = 2};
static struct agent_metrics agent;
static struct relay_metrics relay;
static struct metrics_sources sources = {.config = &config, .agent = &agent, .relay = &relay};

static void page_has(const struct buffer *text, const char *line)
{
    if (strstr(buffer_text(text), test_format("\n%s\n", line)) == NULL)
        test_fail("no line %s in\n%s", line, buffer_text(text));
}

static void a_type_is_paused_where_its_agent_or_the_relay_with_the_lease_says_so(void **state)
{
    static const char order[] =
        "keepstep_paused{service=\"sh\\\"op\",type=\"order\",topic=\"shop.order\"}";
    static const char stock[] =
        "keepstep_paused{service=\"sh\\\"op\",type=\"stock\",topic=\"stock\"}";
    (void)state;
    struct buffer text;
    buffer_init(&text, 1 << 20);
    atomic_store(&agent.paused_at_us[0], 1);
    atomic_store(&relay.paused_at_us[1], 1);
    metrics_render(&sources, &text);
    page_has(&text, test_format("%s 1", order));
    assert_null(strstr(buffer_text(&text), stock));
    buffer_reset(&text);
    atomic_store(&relay.holds_lease, true);
    atomic_store(&agent.paused_at_us[0], 0);
    metrics_render(&sources, &text);
    page_has(&text, test_format("%s 0\n%s 1", order, stock));
    atomic_store(&relay.holds_lease, false);
    atomic_store(&relay.paused_at_us[1], 0);
    buffer_done(&text);
}

static void a_pause_says_since_when_by_whom_and_why(void **state)
{
    struct paused_type type = {
        .entity_type = "order", .at_us = INT64_C(1796000523000004), .by = "anna@host"};
    char text[PAUSED_TEXT_SIZE];
    (void)state;
    paused_describe(&type, text);
    assert_string_equal(text, "since 2026-11-30T01:02:03Z by anna@host");
    memcpy(type.reason, "rebuilt", sizeof "rebuilt");
    paused_describe(&type, text);
    assert_string_equal(text, "since 2026-11-30T01:02:03Z by anna@host: rebuilt");
    memcpy(type.reason, "a\033[31mb\nc\302\233d\177 \303\251",
           sizeof "a\033[31mb\nc\302\233d\177 \303\251");
    paused_describe(&type, text); /* a terminal would obey */
    assert_string_equal(text, "since 2026-11-30T01:02:03Z by anna@host: a?[31mb?c??d? \303\251");
}

static void a_topic_is_paused_with_any_of_its_types(void **state)
{
    static struct config_entry shared[] = {{.entity_type = stock_type, .topic = order_topic},
                                           {.entity_type = order_type, .topic = order_topic}};
    const struct paused_type type = {.entity_type = "order", .at_us = 1};
    struct paused_types paused = {0};
    struct error err = ERROR_INIT;
    (void)state;
    assert_null(paused_find_topic(&paused, shared, 2, order_topic));
    assert_int_equal(paused_types_add(&paused, &type, &err), STATUS_OK);
    assert_string_equal(paused_find_topic(&paused, shared, 2, order_topic)->entity_type, "order");
    assert_null(paused_find_topic(&paused, shared, 2, stock_type));
    assert_null(paused_find(&paused, "stock"));
    paused_types_done(&paused);
    assert_int_equal(paused.count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_type_is_paused_where_its_agent_or_the_relay_with_the_lease_says_so),
        TEST(a_pause_says_since_when_by_whom_and_why),
        TEST(a_topic_is_paused_with_any_of_its_types),
    };
    return TEST_RUN(tests);
}
