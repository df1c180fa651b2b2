/* Whom a copy asks for its rows: whoever has all of them, the best first. */
#include "operate/fill/asking.h"
#include "operate/fill/request.h"
#include "tests/support/test.h"

#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#define NOW_US INT64_C(1795905600000000)

struct world {
    struct members members;
    struct config config;
    struct config_entry entry;
    struct service service;
    struct fill_wish wish;
    int64_t offset;
};

static void world_begin(struct world *world)
{
    *world = (struct world){.entry = {.entity_type = (char *)"item", .topic = (char *)"item"}};
    world->config = (struct config){
        .service = (char *)"billing", .apply = &world->entry, .apply_count = 1};
    world->service.config = &world->config;
    (void)snprintf(world->wish.topic, sizeof world->wish.topic, "item");
    members_init(&world->members);
}

/* @param rest  the members "publishes", "applies", "positions". */
static void tell(struct world *world, const char *service, const char *copy, const char *at,
                 const char *rest)
{
    struct error err = ERROR_INIT;
    const char *value = test_format(
        "{\"v\":1,\"service\":\"%s\",\"copy\":\"%s\",\"instance\":\"1\",\"version\":\"0.3.0\","
        "\"at\":\"%s\",\"outbox\":{\"waiting\":0,\"set_aside\":0},%s}",
        service, copy, at, rest);
    const struct control_record record = {
        .key = slice_of(test_format("member/%s/%s/1", service, copy)),
        .value = slice_of(value),
        .offset = world->offset++};
    if (members_take(&world->members, &record, &err) != STATUS_OK ||
        world->members.unreadable.status != STATUS_OK)
        test_fail("%s: %s%s", service, err.text, world->members.unreadable.text);
}

#define NOW       "2026-11-28T22:39:59.000000Z"
#define LONG_AGO  "2026-11-28T22:30:00.000000Z"
#define PUBLISHER "\"publishes\":{\"item\":\"item\"},\"applies\":{},\"positions\":{}"
#define COPY(publishes, topic, state, applied)                                                     \
    "\"publishes\":{" publishes "},\"applies\":{\"item\":{\"topic\":\"" topic                      \
    "\",\"state\":\"" state                                                                        \
    "\",\"joined\":true,\"lag_ms\":0,\"reason\":\"\"}},\"positions\":{\"" topic                    \
    "\":[[0,1," applied "," applied ",-1]]}"

static const char *find(struct world *world)
{
    struct fill_candidate candidates[FILL_CANDIDATES_MAX];
    const char *found = "";
    size_t count = fill_candidates_find(&world->service, &world->members, &world->wish, NOW_US,
                                        candidates);
    for (size_t i = 0; i < count; i++)
        found = test_format("%s%s ", found, candidates[i].record->service);
    return found;
}

static void the_best_is_asked_first(void **state)
{
    struct world world;
    (void)state;
    world_begin(&world);
    assert_string_equal(find(&world), "");
    tell(&world, "shop", "-", NOW, PUBLISHER);
    tell(&world, "both", "c1", NOW, COPY("\"item\":\"item\"", "item", "complete", "90"));
    tell(&world, "ware", "c2", NOW, COPY("", "item", "complete", "50"));
    tell(&world, "shipping", "c3", NOW, COPY("", "item", "complete", "70"));
    tell(&world, "silent", "c4", LONG_AGO, COPY("", "item", "complete", "99"));
    tell(&world, "partial", "c5", NOW, COPY("", "item", "partial", "99"));
    tell(&world, "filling", "c6", NOW, COPY("", "item", "filling", "99"));
    tell(&world, "other", "c7", NOW, COPY("", "newer", "complete", "99"));
    tell(&world, "billing", "c8", NOW, COPY("", "item", "complete", "99"));
    assert_string_equal(find(&world), "shipping ware shop both silent ");
    (void)snprintf(world.wish.source, sizeof world.wish.source, "shop");
    assert_string_equal(find(&world), "shop ");
    (void)snprintf(world.wish.source, sizeof world.wish.source, "partial");
    assert_string_equal(find(&world), "");
    members_done(&world.members);
}

/* Its copy of another type has an id; the type that it publishes is in its own table. */
static void a_publisher_that_applies_other_types_is_asked(void **state)
{
    struct world world;
    (void)state;
    world_begin(&world);
    tell(&world, "shop", "c1", NOW,
         "\"publishes\":{\"item\":\"item\"},\"applies\":{\"note\":{\"topic\":\"note\","
         "\"state\":\"filling\",\"joined\":false,\"lag_ms\":0,\"reason\":\"\"}},"
         "\"positions\":{}");
    tell(&world, "both", "c2", NOW, COPY("\"item\":\"item\"", "item", "filling", "90"));
    tell(&world, "newer", "c3", NOW,
         "\"publishes\":{\"item\":\"newer\"},\"applies\":{},\"positions\":{}");
    assert_string_equal(find(&world), "shop ");
    members_done(&world.members);
}

static void nobody_is_asked_without_a_control_topic(void **state)
{
    struct world world;
    struct error err = ERROR_INIT;
    (void)state;
    world_begin(&world);
    world.config.path = (char *)"billing.yaml";
    world.config.database = (char *)"sqlite:never-opened.db";
    world.config.control_topic = (char *)"";
    const struct fill_request request = {.copy = &world.service, .topic = "item"};
    assert_int_equal(fill_request_make(&request, &err), STATUS_FATAL);
    assert_non_null(strstr(err.text, "control_topic: is empty"));
    assert_int_equal(err.exit_code, EX_CONFIG);
    members_done(&world.members);
}

int main(void)
{
    const struct CMUnitTest tests[] = {TEST(the_best_is_asked_first),
                                       TEST(a_publisher_that_applies_other_types_is_asked),
                                       TEST(nobody_is_asked_without_a_control_topic)};
    return TEST_RUN(tests);
}
