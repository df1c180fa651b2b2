/* What the control topic keeps of comparisons: records are read as they were written, a result goes
 * on top of what was known, and of two askers neither loses what the other has found. */
#include "common/kafka_client.h"
#include "operate/verify/loop.h"
#include "operate/verify/verdict.h"
#include "tests/support/test.h"

#include <librdkafka/rdkafka_mock.h>
#include <stdio.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))
#define ARENA_BYTES  ((size_t)1024 * 1024)
#define SECOND_US    (INT64_C(1000) * 1000)

#define HEAD                                                                                       \
    "{\"v\":1,\"type\":\"order\",\"topic\":\"orders\",\"control_offset\":7,\"asker\":\"shop\","    \
    "\"reference\":\"shop\",\"at\":\"2026-11-28T22:40:00.123456Z\",\"duration_ms\":2500,"
#define COPY(verdict, rows) REPAIRED_COPY(verdict, rows, "\"repaired\":5,")
#define REPAIRED_COPY(verdict, rows, repaired)                                                     \
    "{\"service\":\"billing\",\"copy\":\"0193\",\"verdict\":\"" verdict "\","                      \
    "\"at\":\"2026-11-28T22:40:00.123456Z\",\"asker\":\"shop\",\"reference\":\"shop\","            \
    "\"rows\":" rows ",\"differs\":1,\"missing\":2,\"extra\":3,\"counted_all\":true,"              \
    "\"left_out\":4,\"equal_since\":null,\"equal_at\":\"2026-11-27T00:00:00.000000Z\"," repaired   \
    "\"skipped_at\":null,\"skipped_reason\":\"\"}"
#define RECORD HEAD "\"copies\":[" COPY("different", "10") "]}"

static void a_record_reads_as_it_was_written(void **state)
{
    struct arena arena;
    struct buffer key;
    struct buffer value;
    struct verdict_record record;
    struct error err = ERROR_INIT;
    (void)state;
    arena_init(&arena, ARENA_BYTES);
    buffer_init(&key, MEMBER_KEY_MAX);
    buffer_init(&value, MEMBER_RECORD_BYTES_MAX);
    if (verdict_record_read(slice_of(RECORD), &arena, &record, &err) != STATUS_OK)
        test_fail("%s", err.text);
    const struct verdict_copy *copy = verdict_find(&record, "billing", "0193");
    assert_non_null(copy);
    assert_int_equal(copy->state, VERDICT_DIFFERENT);
    assert_int_equal(verdict_different_rows(copy), 6);
    assert_int_equal(copy->at_us, INT64_C(1795905600123456));
    assert_int_equal(copy->equal_since_us, 0);
    assert_null(verdict_find(&record, "billing", "0194"));
    verdict_key_append(&record, &key);
    verdict_record_append(&record, &value);
    assert_string_equal(buffer_text(&key), "verdict/order/orders");
    assert_string_equal(buffer_text(&value), RECORD);
    buffer_done(&key);
    buffer_done(&value);
    arena_done(&arena);
}

static void a_record_of_an_older_version_counts_no_repaired_rows(void **state)
{
    struct arena arena;
    struct verdict_record record;
    struct error err = ERROR_INIT;
    (void)state;
    arena_init(&arena, ARENA_BYTES);
    const char *older = HEAD "\"copies\":[" REPAIRED_COPY("different", "10", "") "]}";
    if (verdict_record_read(slice_of(older), &arena, &record, &err) != STATUS_OK)
        test_fail("%s", err.text);
    assert_int_equal(record.copies[0].repaired, 0);
    arena_done(&arena);
}

static void every_record_of_another_form_is_refused(void **state)
{
    static const char *const values[] = {
        "{}",
        HEAD "\"copies\":{}}",
        HEAD "\"copies\":[1]}",
        HEAD "\"copies\":[" COPY("good", "10") "]}",
        HEAD "\"copies\":[" COPY("equal", "-1") "]}",
        HEAD "\"copies\":[" REPAIRED_COPY("equal", "10", "\"repaired\":-5,") "]}",
        HEAD "\"copies\":[" REPAIRED_COPY("equal", "10", "\"repaired\":\"5\",") "]}",
        HEAD "\"copies\":[" COPY("equal", "9223372036854775807") "]}",
        "{\"v\":1,\"type\":\"a/b\",\"topic\":\"orders\",\"control_offset\":7,\"asker\":\"shop\","
        "\"reference\":\"shop\",\"at\":null,\"duration_ms\":2500,\"copies\":[]}",
        "{\"v\":1,\"type\":\"order\",\"topic\":\"orders\",\"control_offset\":7,\"asker\":\"shop\","
        "\"reference\":\"shop\",\"at\":\"today\",\"duration_ms\":2500,\"copies\":[]}",
    };
    struct arena arena;
    struct verdict_record record;
    (void)state;
    arena_init(&arena, ARENA_BYTES);
    for (size_t i = 0; i < COUNT(values); i++) {
        struct error err = ERROR_INIT;
        arena_reset(&arena);
        if (verdict_record_read(slice_of(values[i]), &arena, &record, &err) != STATUS_REJECT)
            test_fail("%s: %s", values[i], err.text);
    }
    arena_done(&arena);
}

#define MEMBER(service, copy)                                                                      \
    "{\"v\":1,\"service\":\"" service "\",\"copy\":\"" copy "\",\"instance\":\"1\","               \
    "\"version\":\"\",\"at\":\"2026-11-28T22:40:00.123456Z\",\"publishes\":{},"                    \
    "\"outbox\":{\"waiting\":-1,\"set_aside\":-1},\"applies\":{\"order\":{\"topic\":\"orders\","   \
    "\"state\":\"complete\",\"joined\":true,\"lag_ms\":0,\"reason\":\"\"}},\"positions\":{}}"
#define MEMBER_KEY(service, copy) "member/" service "/" copy "/1"
#define PUBLISHER                                                                                  \
    "{\"v\":1,\"service\":\"shop\",\"copy\":\"-\",\"instance\":\"1\",\"version\":\"\","            \
    "\"at\":\"2026-11-28T22:40:00.123456Z\",\"publishes\":{\"order\":\"orders\"},"                 \
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

/* A comparison of "shop", which publishes, with "billing" and "shipping". */
struct asked {
    struct config config;
    struct participant participants[3];
    struct verify verify;
    struct verify_result result;
};

static void ask(struct asked *asked, const char *asker, int64_t ended_us)
{
    static const char *const names[] = {"shop", "billing", "shipping"};
    static const char *const copies[] = {MEMBER_NONE, "0193", "0194"};
    *asked = (struct asked){.config = {.service = (char *)(uintptr_t)asker}};
    asked->verify.config = &asked->config;
    asked->verify.entity_type = "order";
    asked->verify.count = COUNT(names);
    for (size_t i = 0; i < COUNT(names); i++) {
        asked->participants[i] = (struct participant){
            .name = names[i], .copy = copies[i], .topic = "orders"};
        asked->verify.members[i].participant = &asked->participants[i];
        asked->verify.members[i].applies = i > 0;
    }
    asked->result.comparison.count = COUNT(names);
    asked->result.comparison.rows = 10;
    asked->result.started_us = ended_us - 2 * SECOND_US;
    asked->result.ended_us = ended_us;
}

static void found(struct asked *asked, size_t index, enum copy_state state, const char *reason)
{
    struct copy_result *copy = &asked->result.comparison.copies[index];
    copy->state = state;
    copy->counts[DIFFERENCE_MISSING] = state == COPY_DIFFERENT ? 3 : 0;
    (void)snprintf(copy->reason, sizeof copy->reason, "%s", reason);
}

/* What verdicts are put on top of, one after the other. */
struct world {
    struct members members;
    struct arena arena;
    struct verdict_record record;
    bool has_record;
};

static void world_begin(struct world *world)
{
    *world = (struct world){0};
    members_init(&world->members);
    arena_init(&world->arena, ARENA_BYTES);
    take(&world->members, MEMBER_KEY("shop", "-"), PUBLISHER);
    take(&world->members, MEMBER_KEY("billing", "0193"), MEMBER("billing", "0193"));
    take(&world->members, MEMBER_KEY("shipping", "0194"), MEMBER("shipping", "0194"));
}

static void world_end(struct world *world)
{
    arena_done(&world->arena);
    members_done(&world->members);
}

static void world_take(struct world *world, const struct asked *asked)
{
    static const struct members_type type = {"order", "orders"};
    struct error err = ERROR_INIT;
    struct quorum quorum;
    const struct verdict_record before = world->record;
    assert_int_equal(members_quorum(&world->members, &type, &quorum, &err), STATUS_OK);
    const struct verdict_input input = {.verify = &asked->verify,
                                        .result = &asked->result,
                                        .quorum = &quorum,
                                        .before = world->has_record ? &before : NULL,
                                        .control_offset = world->members.end};
    assert_int_equal(verdict_make(&input, &world->arena, &world->record, &err), STATUS_OK);
    world->has_record = true;
    quorum_done(&quorum);
}

static const struct verdict_copy *seen(const struct world *world, const char *service,
                                       const char *copy)
{
    const struct verdict_copy *found_copy = verdict_find(&world->record, service, copy);
    if (found_copy == NULL)
        test_fail("nothing is known of %s/%s", service, copy);
    return found_copy;
}

static void a_copy_is_equal_since_the_first_verify_that_found_it_so(void **state)
{
    struct world world;
    struct asked asked;
    (void)state;
    world_begin(&world);
    for (int i = 1; i <= 3; i++) {
        ask(&asked, "shop", i * 10 * SECOND_US);
        world_take(&world, &asked);
    }
    const struct verdict_copy *billing = seen(&world, "billing", "0193");
    assert_int_equal(billing->equal_since_us, 10 * SECOND_US);
    assert_int_equal(billing->equal_at_us, 30 * SECOND_US);
    assert_int_equal(billing->at_us, 30 * SECOND_US);
    assert_int_equal(seen(&world, "shop", MEMBER_NONE)->state, VERDICT_REFERENCE);
    assert_int_equal(world.record.duration_ms, 2000);
    ask(&asked, "shop", 40 * SECOND_US);
    found(&asked, 1, COPY_DIFFERENT, "");
    world_take(&world, &asked);
    billing = seen(&world, "billing", "0193");
    assert_int_equal(billing->state, VERDICT_DIFFERENT);
    assert_int_equal(verdict_different_rows(billing), 3);
    assert_int_equal(billing->equal_since_us, 0);
    assert_int_equal(billing->equal_at_us, 30 * SECOND_US);
    assert_int_equal(seen(&world, "shipping", "0194")->equal_since_us, 10 * SECOND_US);
    ask(&asked, "shop", 50 * SECOND_US);
    world_take(&world, &asked);
    assert_int_equal(seen(&world, "billing", "0193")->equal_since_us, 50 * SECOND_US);
    world_end(&world);
}

/* A world in which shop has found its copies equal, at the tenth second. */
static void world_begin_compared(struct world *world, struct asked *asked)
{
    world_begin(world);
    ask(asked, "shop", 10 * SECOND_US);
    world_take(world, asked);
}

static void a_copy_that_was_not_compared_keeps_its_verdict_with_the_reason_beside_it(void **state)
{
    struct world world;
    struct asked asked;
    (void)state;
    world_begin_compared(&world, &asked);
    ask(&asked, "ware", 20 * SECOND_US);
    found(&asked, 1, COPY_NOT_COMPARED, "far behind");
    world_take(&world, &asked);
    const struct verdict_copy *billing = seen(&world, "billing", "0193");
    assert_int_equal(billing->state, VERDICT_EQUAL);
    assert_int_equal(billing->at_us, 10 * SECOND_US);
    assert_string_equal(billing->asker, "shop");
    assert_int_equal(billing->skipped_at_us, 20 * SECOND_US);
    assert_string_equal(billing->skipped_reason, "far behind");
    assert_string_equal(world.record.asker, "ware");
    ask(&asked, "lost", 30 * SECOND_US); /* nothing was compared: that was no verify of the type */
    found(&asked, 1, COPY_NOT_COMPARED, "shop does not answer");
    found(&asked, 2, COPY_NOT_COMPARED, "shop does not answer");
    world_take(&world, &asked);
    assert_string_equal(world.record.asker, "ware");
    assert_int_equal(world.record.at_us, 20 * SECOND_US);
    assert_int_equal(seen(&world, "shop", MEMBER_NONE)->at_us, 20 * SECOND_US);
    assert_string_equal(seen(&world, "shipping", "0194")->skipped_reason, "shop does not answer");
    ask(&asked, "shop", 40 * SECOND_US);
    world_take(&world, &asked);
    billing = seen(&world, "billing", "0193");
    assert_int_equal(billing->skipped_at_us, 0);
    assert_int_equal(billing->equal_since_us, 10 * SECOND_US);
    world_end(&world);
}

/* A world in which shop has found billing different, at the tenth second. */
static void world_begin_different(struct world *world, struct asked *asked)
{
    world_begin(world);
    ask(asked, "shop", 10 * SECOND_US);
    found(asked, 1, COPY_DIFFERENT, "");
    world_take(world, asked);
    ask(asked, "shop", 20 * SECOND_US);
}

static void see_different(const struct world *world, const char *reason)
{
    const struct verdict_copy *billing = seen(world, "billing", "0193");
    assert_int_equal(billing->state, VERDICT_DIFFERENT);
    assert_int_equal(billing->at_us, 10 * SECOND_US);
    assert_int_equal(billing->missing, 3);
    assert_int_equal(billing->skipped_at_us, 20 * SECOND_US);
    assert_string_equal(billing->skipped_reason, reason);
}

/* Let billing, which is number 1, be the reference. */
static void ask_billing_first(struct asked *asked)
{
    asked->verify.members[0].participant = &asked->participants[1];
    asked->verify.members[1].participant = &asked->participants[0];
    asked->verify.members[0].applies = true;
    asked->verify.members[1].applies = false;
}

static void a_difference_stays_while_the_copy_cannot_be_compared(void **state)
{
    struct world world;
    struct asked asked;
    (void)state;
    world_begin_different(&world, &asked);
    found(&asked, 1, COPY_NOT_COMPARED, "far behind");
    world_take(&world, &asked);
    see_different(&world, "far behind");
    world_end(&world);
}

static void a_difference_stays_while_its_entity_may_be_parked(void **state)
{
    struct world world;
    struct asked asked;
    (void)state;
    struct left_entity parked = {.reason = LEFT_PARKED, .pending = participant_bit(1)};
    world_begin_different(&world, &asked);
    asked.result.comparison.left_out.entities = &parked;
    asked.result.comparison.left_out.count = 1;
    world_take(&world, &asked);
    see_different(&world, "what is parked was left out");
    parked.pending = participant_bit(2); /* of shipping: that says nothing of billing */
    world_take(&world, &asked);
    assert_int_equal(seen(&world, "billing", "0193")->state, VERDICT_EQUAL);
    world_end(&world);
}

static void a_difference_stays_where_the_copy_is_the_reference(void **state)
{
    struct world world;
    struct asked asked;
    (void)state;
    world_begin_different(&world, &asked);
    ask_billing_first(&asked);
    found(&asked, 1, COPY_DIFFERENT, "");
    world_take(&world, &asked);
    see_different(&world, "the others were compared with it");
    assert_int_equal(seen(&world, "shop", MEMBER_NONE)->state, VERDICT_DIFFERENT);
    ask(&asked, "billing", 30 * SECOND_US);
    ask_billing_first(&asked);
    world_take(&world, &asked);
    assert_int_equal(seen(&world, "billing", "0193")->state, VERDICT_REFERENCE);
    assert_int_equal(seen(&world, "shop", MEMBER_NONE)->state, VERDICT_EQUAL);
    world_end(&world);
}

static void a_difference_stays_where_the_reference_is_different_too(void **state)
{
    struct world world;
    struct asked asked;
    (void)state;
    world_begin(&world);
    ask(&asked, "shop", 10 * SECOND_US);
    found(&asked, 1, COPY_DIFFERENT, "");
    found(&asked, 2, COPY_DIFFERENT, "");
    world_take(&world, &asked);
    ask(&asked, "shop", 20 * SECOND_US);
    asked.verify.members[0] = asked.verify.members[2];
    asked.verify.count = asked.result.comparison.count =
        2; /* billing with shipping, without shop */
    world_take(&world, &asked);
    see_different(&world, "it was compared with a copy that is different itself");
    assert_int_equal(seen(&world, "shipping", "0194")->state, VERDICT_DIFFERENT);
    world_end(&world);
}

static void a_new_copy_inherits_no_verdict_and_a_forgotten_one_goes(void **state)
{
    struct world world;
    struct asked asked;
    (void)state;
    world_begin_compared(&world, &asked);
    take(&world.members, MEMBER_KEY("billing", "0193"), NULL);
    take(&world.members, MEMBER_KEY("billing", "0200"), MEMBER("billing", "0200"));
    ask(&asked, "shop", 20 * SECOND_US);
    asked.participants[1].copy = "0200";
    world_take(&world, &asked);
    assert_int_equal(seen(&world, "billing", "0200")->equal_since_us, 20 * SECOND_US);
    assert_null(verdict_find(&world.record, "billing", "0193"));
    ask(&asked, "shop", 30 * SECOND_US);
    asked.verify.count = asked.result.comparison.count = 2; /* shipping does not take part */
    asked.participants[1].copy = "0200";
    world_take(&world, &asked);
    assert_int_equal(seen(&world, "shipping", "0194")->at_us, 20 * SECOND_US);
    world_end(&world);
}

static void a_copy_whose_database_is_away_is_the_only_one_of_its_service(void **state)
{
    struct world world;
    struct asked asked;
    (void)state;
    world_begin(&world);
    ask(&asked, "shop", 10 * SECOND_US);
    asked.participants[1].copy = "";
    found(&asked, 1, COPY_NOT_COMPARED, "no connection to host h as user u");
    asked.result.comparison.copies[1].is_private = true;
    world_take(&world, &asked);
    assert_int_equal(seen(&world, "billing", "0193")->state, VERDICT_NONE);
    assert_null(strstr(seen(&world, "billing", "0193")->skipped_reason, "host"));
    take(&world.members, MEMBER_KEY("billing", "0200"), MEMBER("billing", "0200"));
    asked.result.ended_us = 20 * SECOND_US;
    world_take(&world, &asked);
    assert_int_equal(seen(&world, "billing", "0193")->skipped_at_us, 10 * SECOND_US);
    assert_null(verdict_find(&world.record, "billing", "0200"));
    world_end(&world);
}

#define WITHOUT_ROWS                                                                               \
    "{\"v\":1,\"service\":\"mail\",\"copy\":\"-\",\"instance\":\"1\",\"version\":\"\","            \
    "\"at\":\"2026-11-28T22:40:00.123456Z\",\"publishes\":{\"order\":\"orders\"},"                 \
    "\"without_rows\":[\"order\"],\"outbox\":{\"waiting\":-1,\"set_aside\":-1},\"applies\":{},"    \
    "\"positions\":{}}"
#define BEFORE /* the id of billing before `init --new-copy` */                                    \
    "{\"v\":1,\"service\":\"billing\",\"copy\":\"0192\",\"instance\":\"1\",\"version\":\"\","      \
    "\"at\":\"2026-11-27T22:40:00.123456Z\",\"publishes\":{},\"outbox\":{\"waiting\":-1,"          \
    "\"set_aside\":-1},\"applies\":{\"order\":{\"topic\":\"orders\",\"state\":\"complete\","       \
    "\"joined\":true,\"lag_ms\":0,\"reason\":\"\"}},\"positions\":{}}"

/* A member that nobody has compared makes the type due at once; the others wait for the oldest.
 * Who cannot be compared makes nothing due. */
static void a_type_is_due_when_a_member_was_not_compared_for_an_interval(void **state)
{
    static const struct members_type type = {"order", "orders"};
    struct world world;
    struct asked asked;
    struct quorum quorum;
    struct error err = ERROR_INIT;
    (void)state;
    world_begin(&world);
    assert_int_equal(members_quorum(&world.members, &type, &quorum, &err), STATUS_OK);
    assert_int_equal(verify_loop_due_us(NULL, &quorum, SECOND_US), 0);
    ask(&asked, "shop", 10 * SECOND_US);
    world_take(&world, &asked);
    ask(&asked, "shop", 20 * SECOND_US);
    found(&asked, 1, COPY_NOT_COMPARED, "far behind");
    asked.verify.count = asked.result.comparison.count = 2;
    world_take(&world, &asked); /* billing alone was tried again; nothing was compared */
    assert_int_equal(verify_loop_due_us(&world.record, &quorum, SECOND_US), 11 * SECOND_US);
    quorum_done(&quorum);
    take(&world.members, MEMBER_KEY("mail", "-"), WITHOUT_ROWS);
    take(&world.members, MEMBER_KEY("billing", "0192"), BEFORE);
    assert_int_equal(members_quorum(&world.members, &type, &quorum, &err), STATUS_OK);
    assert_int_equal(verify_loop_due_us(&world.record, &quorum, SECOND_US), 11 * SECOND_US);
    quorum_done(&quorum);
    take(&world.members, MEMBER_KEY("ware", "0300"), MEMBER("ware", "0300"));
    assert_int_equal(members_quorum(&world.members, &type, &quorum, &err), STATUS_OK);
    assert_int_equal(verify_loop_due_us(&world.record, &quorum, SECOND_US), 0);
    quorum_done(&quorum);
    world_end(&world);
}

/* One process beside the control topic. */
struct asker {
    struct control_topic *topic;
    struct members members;
};

static atomic_bool never;

static void asker_open(struct asker *asker, const char *bootstrap)
{
    static struct text_pair settings[1];
    struct error err = ERROR_INIT;
    settings[0] = (struct text_pair){"bootstrap.servers", bootstrap};
    const struct control_options options = {.topic = "keepstep",
                                            .group = "test",
                                            .settings = settings,
                                            .setting_count = 1,
                                            .stop = &never};
    members_init(&asker->members);
    if (control_topic_open(&options, &asker->topic, &err) != STATUS_OK)
        test_fail("%s", err.text);
}

static void asker_close(struct asker *asker)
{
    control_topic_close(asker->topic);
    members_done(&asker->members);
}

static void asker_read(struct asker *asker)
{
    struct error err = ERROR_INIT;
    if (members_read(&asker->members, asker->topic, &err) != STATUS_OK)
        test_fail("%s", err.text);
}

static void asker_write(struct asker *asker, const struct asked *asked)
{
    struct error err = ERROR_INIT;
    if (verdict_write(asker->topic, &asker->members, &asked->verify, &asked->result, &err) !=
        STATUS_OK)
        test_fail("%s", err.text);
}

static void asker_write_repair(struct asker *asker, const char *service, const char *copy,
                               int64_t rows)
{
    struct error err = ERROR_INIT;
    const struct verdict_repair repair = {{"order", "orders"}, service, copy, rows};
    if (verdict_write_repair(asker->topic, &asker->members, &repair, &err) != STATUS_OK)
        test_fail("%s", err.text);
}

static void tell(struct asker *asker, const char *key, const char *value)
{
    struct error err = ERROR_INIT;
    if (control_topic_write(asker->topic, slice_of(key), slice_of(value), &err) != STATUS_OK)
        test_fail("%s", err.text);
}

static void two_askers_at_once_lose_nothing(void **state)
{
    static const struct members_type type = {"order", "orders"};
    char text[512];
    struct asker first;
    struct asker second;
    struct asked asked;
    (void)state;
    rd_kafka_t *handle = rd_kafka_new(RD_KAFKA_PRODUCER, rd_kafka_conf_new(), text, sizeof text);
    rd_kafka_mock_cluster_t *cluster = rd_kafka_mock_cluster_new(handle, 1);
    (void)rd_kafka_mock_topic_create(cluster, "keepstep", 1, 1);
    asker_open(&first, rd_kafka_mock_cluster_bootstraps(cluster));
    asker_open(&second, rd_kafka_mock_cluster_bootstraps(cluster));
    tell(&first, MEMBER_KEY("billing", "0193"), MEMBER("billing", "0193"));
    tell(&first, MEMBER_KEY("shipping", "0194"), MEMBER("shipping", "0194"));
    asker_read(&first);
    asker_read(&second);
    ask(&asked, "shop", 10 * SECOND_US); /* shop and billing */
    asked.verify.count = asked.result.comparison.count = 2;
    asker_write(&first, &asked);
    ask(&asked, "shipping", 11 * SECOND_US); /* shop and shipping; it has not seen the other one */
    asked.verify.count = asked.result.comparison.count = 2;
    asked.participants[1] = asked.participants[2];
    asker_write(&second, &asked);
    asker_write_repair(&first, "billing", "0193", 3); /* it has not seen the last record */
    asker_write_repair(&second, "billing", "0193", 4);
    asker_write_repair(&second, "ware", "0195", 1); /* which was never compared */
    asker_read(&first);
    for (int i = 0; i < 2; i++) {
        const struct verdict_record *record = members_verdict(
            i == 0 ? &first.members : &second.members, &type);
        assert_non_null(record);
        assert_int_equal(record->count, 4);
        assert_int_equal(verdict_find(record, "billing", "0193")->repaired, 7);
        assert_int_equal(verdict_find(record, "shipping", "0194")->repaired, 0);
        assert_int_equal(verdict_find(record, "ware", "0195")->repaired, 1);
        assert_int_equal(verdict_find(record, "ware", "0195")->state, VERDICT_NONE);
        assert_int_equal(verdict_find(record, "billing", "0193")->at_us, 10 * SECOND_US);
        assert_int_equal(verdict_find(record, "shipping", "0194")->at_us, 11 * SECOND_US);
    }
    tell(&first, "verdict/order/orders", NULL);
    asker_read(&first);
    assert_null(members_verdict(&first.members, &type));
    ask(&asked, "shop", 20 * SECOND_US); /* what was forgotten since does not come back */
    asked.verify.count = asked.result.comparison.count = 2;
    asker_write(&second, &asked);
    assert_int_equal(members_verdict(&second.members, &type)->count, 2);
    asker_close(&first);
    asker_close(&second);
    rd_kafka_mock_cluster_destroy(cluster);
    rd_kafka_destroy(handle);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_record_reads_as_it_was_written),
        TEST(a_record_of_an_older_version_counts_no_repaired_rows),
        TEST(every_record_of_another_form_is_refused),
        TEST(a_copy_is_equal_since_the_first_verify_that_found_it_so),
        TEST(a_copy_that_was_not_compared_keeps_its_verdict_with_the_reason_beside_it),
        TEST(a_difference_stays_while_the_copy_cannot_be_compared),
        TEST(a_difference_stays_while_its_entity_may_be_parked),
        TEST(a_difference_stays_where_the_copy_is_the_reference),
        TEST(a_difference_stays_where_the_reference_is_different_too),
        TEST(a_new_copy_inherits_no_verdict_and_a_forgotten_one_goes),
        TEST(a_copy_whose_database_is_away_is_the_only_one_of_its_service),
        TEST(a_type_is_due_when_a_member_was_not_compared_for_an_interval),
        TEST(two_askers_at_once_lose_nothing),
    };
    return TEST_RUN(tests);
}
