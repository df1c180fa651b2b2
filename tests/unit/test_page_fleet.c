/* What the page, the API and the metrics say of all copies, from records of the control topic. The
 * broker is this file. */
#include "common/clock.h"
#include "operate/members_page.h"
#include "operate/page/fleet.h"
#include "tests/support/test.h"

#include <stdio.h>
#include <stdlib.h>

#define LOG_END     200
#define RETENTION_S (7 * 24 * 3600.0)
#define DAY_US      (INT64_C(24) * 3600 * 1000 * 1000)

enum status control_topic_open(const struct control_options *options,
                               struct control_topic **ret_topic, struct error *err)
{
    (void)options, (void)ret_topic;
    return error_set(err, STATUS_FATAL, "nobody opens it here");
}

void control_topic_close(struct control_topic *topic)
{
    (void)topic;
}

enum status control_topic_check(struct control_topic *topic, struct error *err)
{
    (void)topic;
    return error_set(err, STATUS_FATAL, "nobody checks it here");
}

enum status control_topic_read(struct control_topic *topic, control_visit *visit, void *context,
                               int64_t *ret_end, struct error *err)
{
    (void)topic, (void)visit, (void)context, (void)ret_end;
    return error_set(err, STATUS_FATAL, "nobody reads it here");
}

enum status control_topic_write(struct control_topic *topic, struct slice key, struct slice value,
                                struct error *err)
{
    (void)topic, (void)key, (void)value;
    return error_set(err, STATUS_FATAL, "nobody writes it here");
}

enum status control_topic_log_end(struct control_topic *topic, struct topic_partition tp,
                                  int64_t *ret_end, struct error *err)
{
    (void)topic, (void)tp, (void)err;
    *ret_end = LOG_END;
    return STATUS_OK;
}

static size_t topics_looked_at;

/* At each mark ten records more are gone. */
enum status control_topic_retention(struct control_topic *topic, const char *of,
                                    struct topic_retention *ret_retention, struct error *err)
{
    (void)topic, (void)of, (void)err;
    topics_looked_at++;
    struct partition_retention *partition = calloc(1, sizeof *partition);
    assert_non_null(partition);
    partition->bounds.end = LOG_END;
    for (int64_t i = 0; i < RETENTION_MARKS; i++)
        partition->kept[i] = 10 + 10 * i;
    *ret_retention = (struct topic_retention){
        .retention_s = RETENTION_S, .partitions = partition, .partition_count = 1};
    topic_retention_mark(ret_retention);
    return STATUS_OK;
}

static void take(struct members *members, const char *key, const char *value)
{
    static int64_t offset;
    struct error err = ERROR_INIT;
    const struct control_record record = {
        .key = slice_of(key), .value = slice_of(value), .offset = offset++};
    if (members_take(members, &record, &err) != STATUS_OK ||
        members->unreadable.status != STATUS_OK)
        test_fail("%s: %s%s", key, err.text, members->unreadable.text);
}

/* The shop publishes orders. */
static void take_shop(struct members *members)
{
    take(members, "member/shop/-/1",
         "{\"v\":1,\"service\":\"shop\",\"copy\":\"-\",\"instance\":\"1\",\"version\":\"\",\"at\":"
         "\"2026-11-30T01:00:00.000000Z\",\"publishes\":{\"order\":\"order\"},\"outbox\":{"
         "\"waiting\":0,\"set_aside\":0},\"applies\":{},\"positions\":{}}");
}

/* A copy of them at `position`. */
static void take_copy(struct members *members, const char *state, const char *reason, int position,
                      const char *parked)
{
    take(members, "member/billing/c1/1",
         test_format(
             "{\"v\":1,\"service\":\"billing\",\"copy\":\"c1\",\"instance\":\"1\",\"version\":\"\","
             "\"at\":\"2026-11-30T01:00:00.000000Z\",\"publishes\":{},\"outbox\":{\"waiting\":-1,"
             "\"set_aside\":-1},\"applies\":{\"order\":{\"topic\":\"order\",\"state\":\"%s\","
             "\"joined\":true,\"lag_ms\":0,\"reason\":\"%s\"}},\"positions\":{\"order\":[[0,1,%d,"
             "%d,-1]]},\"parked\":[%s]}",
             state, reason, position, position, parked));
}

static void take_verdict(struct members *members, int64_t at_us)
{
    struct verdict_copy copies[] = {
        {.service = "billing", .copy = "c1", .state = VERDICT_EQUAL},
        {.service = "shop", .copy = MEMBER_NONE, .state = VERDICT_REFERENCE}};
    const struct verdict_record record = {.entity_type = "order",
                                          .topic = "order",
                                          .asker = "shop",
                                          .reference = "shop",
                                          .at_us = at_us,
                                          .copies = copies,
                                          .count = 2};
    struct buffer value;
    for (size_t i = 0; i < 2; i++) {
        copies[i].at_us = copies[i].equal_at_us = copies[i].equal_since_us = at_us;
        copies[i].asker = copies[i].reference = "shop";
        copies[i].skipped_reason = "";
    }
    buffer_init(&value, MEMBER_RECORD_BYTES_MAX);
    verdict_record_append(&record, &value);
    take(members, "verdict/order/order", buffer_text(&value));
    buffer_done(&value);
}

struct world {
    struct members members;
    struct retention_watch watch;
    struct members_seen seen;
    struct buffer out;
};

static void begin(struct world *world)
{
    *world = (struct world){.seen = {.members = &world->members, .watch = &world->watch}};
    members_init(&world->members);
    buffer_init(&world->out, (size_t)1 << 20);
    take_shop(&world->members);
}

static void end(struct world *world)
{
    retention_watch_done(&world->watch);
    members_done(&world->members);
    buffer_done(&world->out);
}

/* @return the JSON of all copies. */
static const char *fleet_json(struct world *world, struct fleet *fleet)
{
    retention_watch_look(&world->watch, &world->members, NULL, SIZE_MAX);
    fleet_write(fleet, &world->seen);
    buffer_reset(&world->out);
    fleet_append(fleet, &world->out);
    return buffer_text(&world->out);
}

static void expect(const char *text, const char *words)
{
    if (strstr(text, words) == NULL)
        test_fail("no \"%s\" in %s", words, text);
}

static void a_turn_looks_at_a_few_topics_and_the_next_one_goes_on(void **state)
{
    static const size_t after[] = {2, 4, 5, 5};
    struct world world;
    (void)state;
    begin(&world);
    take(&world.members, "member/shop/-/1",
         "{\"v\":1,\"service\":\"shop\",\"copy\":\"-\",\"instance\":\"1\",\"version\":\"\",\"at\":"
         "\"2026-11-30T01:00:00.000000Z\",\"publishes\":{\"a\":\"a\",\"b\":\"b\",\"c\":\"c\","
         "\"d\":\"d\",\"e\":\"e\",\"f\":\"e\"},\"outbox\":{\"waiting\":0,\"set_aside\":0},"
         "\"applies\":{},\"positions\":{}}");
    topics_looked_at = 0;
    for (size_t i = 0; i < sizeof after / sizeof *after; i++) {
        retention_watch_look(&world.watch, &world.members, NULL, 2);
        assert_int_equal(topics_looked_at, after[i]);
    }
    world.watch.listed_us -= INT64_C(60) * 1000 * 1000;
    retention_watch_look(&world.watch, &world.members, NULL, 2);
    assert_int_equal(topics_looked_at, 7); /* from the first one on */
    end(&world);
}

static void a_stopped_copy_is_stopped_also_where_it_was_found_equal(void **state)
{
    static struct fleet fleet = FLEET_INIT;
    struct world world;
    (void)state;
    begin(&world);
    take_copy(&world.members, "stopped", "a gap", LOG_END, "");
    take_verdict(&world.members, clock_wall_us());
    const char *json = fleet_json(&world, &fleet);
    expect(json, "\"copy_id\":\"c1\",\"state\":\"stopped\",\"stopped\":\"a gap\"");
    expect(json, "\"verdict\":\"equal\"");
    expect(json, "\"copy_id\":null,\"state\":\"complete\",\"stopped\":null");
    end(&world);
}

static void what_is_parked_beyond_the_list_is_said_to_be_there(void **state)
{
    static struct fleet many = FLEET_INIT;
    static struct fleet exact = FLEET_INIT;
    static struct fleet few = FLEET_INIT;
    struct world world;
    (void)state;
    begin(&world);
    take_copy(&world.members, "complete", "", LOG_END,
              "[\"order\",0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16]");
    const char *json = fleet_json(&world, &many);
    expect(json, "\"set_aside\":null,\"parked\":16,\"parked_is_minimum\":true");
    expect(json, "\"durable_lag_records\":0,\"parked\":16,\"parked_is_minimum\":true");
    take_copy(&world.members, "complete", "", LOG_END,
              "[\"order\",0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16]],"
              "\"parked_totals\":[[\"order\",0,37]");
    json = fleet_json(&world, &exact);
    expect(json, "\"set_aside\":null,\"parked\":37,\"parked_is_minimum\":false");
    expect(json, "\"durable_lag_records\":0,\"parked\":37,\"parked_is_minimum\":false");
    take_copy(&world.members, "complete", "", LOG_END, "[\"order\",0,1,2]");
    expect(fleet_json(&world, &few),
           "\"durable_lag_records\":0,\"parked\":2,\"parked_is_minimum\":false");
    end(&world);
}

static void retention_is_told_of_a_copy_that_does_not_run(void **state)
{
    static char topic[] = "order";
    struct config_entry entry = {.entity_type = topic, .topic = topic};
    char control[] = "keepstep";
    char name[] = "billing";
    const struct config config = {
        .service = name, .control_topic = control, .apply = &entry, .apply_count = 1};
    char type[FLEET_NAME_SIZE];
    char service[FLEET_NAME_SIZE];
    struct page_fleet_facts facts;
    static struct members_page page = MEMBERS_PAGE_INIT;
    static struct fleet fleet = FLEET_INIT;
    struct world world;
    (void)state;
    begin(&world);
    take_copy(&world.members, "filling", "it is being filled", 20, "");
    expect(fleet_json(&world, &fleet), "\"retention_overtakes_s\":2700.000");
    fleet_facts(&fleet, &config, &facts, type, service);
    assert_int_equal(facts.retention_s, 2700);
    assert_string_equal(facts.retention_topic, "order");
    members_page_write(&page, "shop", &world.seen);
    buffer_reset(&world.out);
    members_page_append(&page, &world.out);
    expect(buffer_text(&world.out),
           "keepstep_copy_retention_overtakes_seconds{service=\"shop\",type=\"order\",topic="
           "\"order\",copy=\"billing/c1\"} 2700.000\n");
    end(&world);
}

static void an_old_comparison_is_told_with_its_age_and_whose_it_is(void **state)
{
    char control[] = "keepstep";
    char name[] = "billing";
    static char topic[] = "order";
    struct config_entry entry = {.entity_type = topic, .topic = topic};
    struct config config = {
        .service = name, .control_topic = control, .apply = &entry, .apply_count = 1};
    char type[FLEET_NAME_SIZE];
    char service[FLEET_NAME_SIZE];
    struct page_fleet_facts facts;
    static struct fleet fleet = FLEET_INIT;
    struct world world;
    (void)state;
    begin(&world);
    take_copy(&world.members, "complete", "", LOG_END, "");
    take_verdict(&world.members, clock_wall_us() - 20 * DAY_US);
    (void)fleet_json(&world, &fleet);
    fleet_facts(&fleet, &config, &facts, type, service);
    assert_int_equal(facts.equal, 2);
    assert_true(facts.verified_s > 19 * 86400.0);
    assert_int_equal(facts.verified_limit_s, 86400);
    assert_string_equal(facts.type, "order");
    assert_string_equal(facts.service, "billing");
    config.verify_every_s = 40000;
    fleet_facts(&fleet, &config, &facts, type, service);
    assert_int_equal(facts.verified_limit_s, 120000);
    end(&world);
}

static void a_type_that_nobody_has_compared_has_the_time_0(void **state)
{
    static const char never[] = "keepstep_verify_last_timestamp_seconds{service=\"shop\",type="
                                "\"order\",topic=\"order\",copy=\"billing/c1\"} 0.000000\n";
    static struct members_page page = MEMBERS_PAGE_INIT;
    struct world world;
    (void)state;
    begin(&world);
    members_page_write(&page, "shop", &world.seen); /* there is nothing to compare */
    members_page_append(&page, &world.out);
    assert_null(strstr(buffer_text(&world.out), "keepstep_verify_last_timestamp_seconds{"));
    take_copy(&world.members, "complete", "", LOG_END, "");
    members_page_write(&page, "shop", &world.seen);
    buffer_reset(&world.out);
    members_page_append(&page, &world.out);
    expect(buffer_text(&world.out), never);
    end(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_turn_looks_at_a_few_topics_and_the_next_one_goes_on),
        TEST(a_stopped_copy_is_stopped_also_where_it_was_found_equal),
        TEST(what_is_parked_beyond_the_list_is_said_to_be_there),
        TEST(retention_is_told_of_a_copy_that_does_not_run),
        TEST(an_old_comparison_is_told_with_its_age_and_whose_it_is),
        TEST(a_type_that_nobody_has_compared_has_the_time_0),
    };
    return TEST_RUN(tests);
}
