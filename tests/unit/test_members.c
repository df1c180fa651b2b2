/* The records of the control topic: what is written is read, and nothing else is taken. */
#include "operate/members.h"
#include "tests/support/test.h"

#include <stdio.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))
#define ARENA_BYTES  ((size_t)1024 * 1024)

#define KEY "member/billing/0193/1"
#define HEAD                                                                                       \
    "{\"v\":1,\"service\":\"billing\",\"copy\":\"0193\",\"instance\":\"1\",\"version\":\"0.3.0\"," \
    "\"at\":\"2026-11-28T22:40:00.123456Z\""
#define PUBLISHES ",\"publishes\":{\"invoice\":\"x.invoice\"}"
#define OUTBOX    ",\"outbox\":{\"waiting\":3,\"set_aside\":0}"
#define APPLIES                                                                                    \
    ",\"applies\":{\"order\":{\"topic\":\"order\",\"state\":\"complete\",\"joined\":true,"         \
    "\"lag_ms\":400,\"reason\":\"a \\\"b\\\"\"}}"
#define POSITIONS ",\"positions\":{\"order\":[[0,12,104213,104200,-1],[1,12,99871,99871,98000]]}"
#define PARKED                                                                                     \
    ",\"parked\":[[\"order\",1,98000,98010],"                                                      \
    "[\"order\",0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16]],\"parked_totals\":[[\"order\",0,37]]"
#define COLUMNS ",\"columns\":{\"order\":\"9f3c\",\"invoice\":\"\"}"
#define PAUSED  ",\"paused\":{\"order\":\"2026-11-30T01:02:03.000004Z\"}"
#define RECORD  HEAD PUBLISHES OUTBOX APPLIES POSITIONS PARKED COLUMNS PAUSED "}"

static void take(struct members *members, const char *key, const char *value, int64_t offset)
{
    struct error err = ERROR_INIT;
    const struct control_record record = {
        .key = slice_of(key), .value = slice_of(value), .offset = offset};
    if (members_take(members, &record, &err) != STATUS_OK)
        test_fail("%s: %s", key, err.text);
}

static void a_record_reads_as_it_was_written(void **state)
{
    struct arena arena;
    struct buffer value;
    struct buffer key;
    struct member_record record;
    struct error err = ERROR_INIT;
    (void)state;
    arena_init(&arena, ARENA_BYTES);
    buffer_init(&value, MEMBER_RECORD_BYTES_MAX);
    buffer_init(&key, MEMBER_KEY_MAX);
    if (member_record_read(slice_of(RECORD), &arena, &record, &err) != STATUS_OK)
        test_fail("%s", err.text);
    assert_string_equal(record.service, "billing");
    assert_string_equal(record.version, "0.3.0");
    assert_int_equal(record.at_us, INT64_C(1795905600123456));
    assert_int_equal(record.waiting, 3);
    assert_string_equal(record.published[0].topic, "x.invoice");
    assert_int_equal(record.applied[0].state, MEMBER_COMPLETE);
    assert_true(record.applied[0].joined);
    assert_int_equal(record.applied[0].lag_ms, 400);
    assert_string_equal(record.applied[0].reason, "a \"b\"");
    assert_int_equal(record.position_count, 2);
    assert_int_equal(record.positions[1].parked_from, 98000);
    assert_int_equal(record.positions[0].durable, 104200);
    assert_int_equal(record.parked[0].partition, 1);
    assert_int_equal(record.parked[0].count, 2);
    assert_int_equal(record.parked[0].offsets[1], 98010);
    assert_int_equal(record.parked[0].total, 0);
    assert_int_equal(record.parked[1].total, 37);
    assert_string_equal(record.applied[0].columns, "9f3c");
    assert_int_equal(record.applied[0].paused_at_us, INT64_C(1796000523000004));
    assert_int_equal(record.published[0].paused_at_us, 0);
    member_record_append(&record, &value);
    member_key_append(&record, &key);
    assert_string_equal(buffer_text(&value), RECORD);
    assert_string_equal(buffer_text(&key), KEY);
    buffer_done(&value);
    buffer_done(&key);
    arena_done(&arena);
}

static void a_record_of_an_older_version_can_be_read(void **state)
{
    struct arena arena;
    struct member_record record;
    struct error err = ERROR_INIT;
    (void)state;
    arena_init(&arena, ARENA_BYTES);
    if (member_record_read(slice_of(HEAD PUBLISHES OUTBOX APPLIES POSITIONS "}"), &arena, &record,
                           &err) != STATUS_OK)
        test_fail("%s", err.text);
    assert_int_equal(record.parked_count, 0);
    assert_string_equal(record.applied[0].columns, "");
    arena_done(&arena);
}

static void a_reason_that_is_cut_in_a_character_can_be_read(void **state)
{
    struct member_applied applied = {
        .entity_type = "order", .topic = "order", .reason = "gap at caf\xc3", .columns = ""};
    const struct member_record record = {.service = "billing",
                                         .copy = "0193",
                                         .instance = "1",
                                         .version = "",
                                         .applied = &applied,
                                         .applied_count = 1};
    struct member_record read;
    struct arena arena;
    struct buffer value;
    struct error err = ERROR_INIT;
    (void)state;
    arena_init(&arena, ARENA_BYTES);
    buffer_init(&value, MEMBER_RECORD_BYTES_MAX);
    member_record_append(&record, &value);
    if (member_record_read(buffer_slice(&value), &arena, &read, &err) != STATUS_OK)
        test_fail("%s", err.text);
    assert_string_equal(read.applied[0].reason, "gap at caf?");
    buffer_done(&value);
    arena_done(&arena);
}

static void every_record_of_another_form_is_refused(void **state)
{
    static const char *const values[] = {
        "",
        "x",
        "[]",
        "{}",
        "{\"v\":2}",
        HEAD "}",
        HEAD PUBLISHES OUTBOX APPLIES "}",
        HEAD PUBLISHES OUTBOX POSITIONS "}",
        HEAD PUBLISHES APPLIES POSITIONS "}",
        HEAD OUTBOX APPLIES POSITIONS "}",
        HEAD ",\"publishes\":[]" OUTBOX APPLIES POSITIONS "}",
        HEAD ",\"publishes\":{\"a\":1}" OUTBOX APPLIES POSITIONS "}",
        HEAD PUBLISHES ",\"outbox\":{\"waiting\":-2,\"set_aside\":0}" APPLIES POSITIONS "}",
        HEAD PUBLISHES ",\"outbox\":{\"waiting\":\"1\",\"set_aside\":0}" APPLIES POSITIONS "}",
        HEAD PUBLISHES OUTBOX ",\"applies\":{\"order\":{}}" POSITIONS "}",
        HEAD PUBLISHES OUTBOX ",\"applies\":{\"order\":{\"topic\":\"order\",\"state\":\"good\","
                              "\"joined\":true,\"lag_ms\":0,\"reason\":\"\"}}" POSITIONS "}",
        HEAD PUBLISHES OUTBOX ",\"applies\":{\"order\":{\"topic\":\"order\",\"state\":\"complete\","
                              "\"joined\":1,\"lag_ms\":0,\"reason\":\"\"}}" POSITIONS "}",
        HEAD PUBLISHES OUTBOX APPLIES ",\"positions\":{\"order\":{}}}",
        HEAD PUBLISHES OUTBOX APPLIES ",\"positions\":{\"order\":[1]}}",
        HEAD PUBLISHES OUTBOX APPLIES ",\"positions\":{\"order\":[[0,1,2,3]]}}",
        HEAD PUBLISHES OUTBOX APPLIES ",\"positions\":{\"order\":[[0,1,2,3,-2]]}}",
        HEAD PUBLISHES OUTBOX APPLIES ",\"positions\":{\"order\":[[-1,1,2,3,-1]]}}",
        HEAD PUBLISHES OUTBOX APPLIES ",\"positions\":{\"order\":[[99999999999,1,2,3,-1]]}}",
        HEAD PUBLISHES OUTBOX APPLIES ",\"positions\":{\"order\":[[16384,1,2,3,-1]]}}",
        HEAD PUBLISHES OUTBOX APPLIES ",\"positions\":{\"order\":[[0,1,2,-3,-1]]}}",
        HEAD PUBLISHES OUTBOX APPLIES ",\"positions\":{\"order\":[[0,1,2.5,3,-1]]}}",
        HEAD PUBLISHES OUTBOX APPLIES POSITIONS ",\"parked\":{}}",
        HEAD PUBLISHES OUTBOX APPLIES POSITIONS PARKED ",\"paused\":{\"order\":\"now\"}}",
        HEAD PUBLISHES OUTBOX APPLIES POSITIONS ",\"parked\":[[\"order\"]]}",
        HEAD PUBLISHES OUTBOX APPLIES POSITIONS ",\"parked\":[[\"order\",0,-1]]}",
        HEAD PUBLISHES OUTBOX APPLIES POSITIONS
        ",\"parked\":[[\"order\",0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17]]}",
        HEAD PUBLISHES OUTBOX APPLIES POSITIONS ",\"columns\":{\"order\":1}}",
    };
    struct arena arena;
    struct member_record record;
    (void)state;
    arena_init(&arena, ARENA_BYTES);
    for (size_t i = 0; i < COUNT(values); i++) {
        struct error err = ERROR_INIT;
        arena_reset(&arena);
        if (member_record_read(slice_of(values[i]), &arena, &record, &err) != STATUS_REJECT)
            test_fail("%s: %s", values[i], err.text);
    }
    arena_done(&arena);
}

static void a_key_is_taken_apart(void **state)
{
    static const char *const others[] = {"",           "member",      "member/",     "member/a",
                                         "member/a/b", "member/a/b/", "member//b/c", "member/a//c",
                                         "policy",     "policy/",     "verdict/a",   "verdict//b",
                                         "x/a/b/c"};
    (void)state;
    struct member_key key = member_key_read(slice_of(KEY));
    assert_int_equal(key.kind, MEMBER_KEY_MEMBER);
    assert_true(slice_is(key.service, "billing"));
    assert_true(slice_is(key.copy, "0193"));
    assert_true(slice_is(key.instance, "1"));
    key = member_key_read(slice_of("policy/order"));
    assert_int_equal(key.kind, MEMBER_KEY_POLICY);
    assert_true(slice_is(key.entity_type, "order"));
    key = member_key_read(slice_of("verdict/order/shop.order"));
    assert_int_equal(key.kind, MEMBER_KEY_VERDICT);
    assert_true(slice_is(key.entity_type, "order"));
    assert_true(slice_is(key.topic, "shop.order"));
    for (size_t i = 0; i < COUNT(others); i++)
        assert_int_equal(member_key_read(slice_of(others[i])).kind, MEMBER_KEY_OTHER);
    assert_int_equal(member_key_read((struct slice){0}).kind, MEMBER_KEY_OTHER);
}

static void a_later_record_takes_the_place_and_a_tombstone_takes_it_away(void **state)
{
    struct members members;
    (void)state;
    members_init(&members);
    take(&members, KEY, RECORD, 1);
    take(&members, "other", RECORD, 2);
    take(&members, "policy/order", "{\"v\":1,\"members\":[\"billing/0193\",\"shop\"]}", 3);
    take(&members, KEY, RECORD, 4);
    assert_int_equal(members.count, 2);
    assert_int_equal(members.items[0]->offset, 4);
    assert_string_equal(members.items[1]->policy.members[1], "shop");
    take(&members, KEY, NULL, 5);
    take(&members, KEY, NULL, 6);
    assert_int_equal(members.count, 1);
    take(&members, KEY, RECORD, 7);
    assert_int_equal(members.count, 2);
    assert_int_equal(members.unreadable.status, STATUS_OK);
    members_done(&members);
}

static void a_record_that_cannot_be_read_changes_nothing_and_is_noted(void **state)
{
    struct members members;
    (void)state;
    members_init(&members);
    take(&members, KEY, RECORD, 1);
    take(&members, KEY, "{\"v\":2}", 2);
    assert_int_equal(members.count, 1);
    assert_int_equal(members.items[0]->offset, 1);
    assert_non_null(strstr(members.unreadable.text, "record 2 (" KEY ")"));
    take(&members, "member/billing/0193/2", RECORD, 3);
    assert_int_equal(members.count, 1);
    assert_non_null(strstr(members.unreadable.text, "different members"));
    members_done(&members);
}

static void more_members_than_the_limit_are_refused(void **state)
{
    struct members members;
    struct error err = ERROR_INIT;
    (void)state;
    members_init(&members);
    for (int i = 0; i < MEMBERS_MAX; i++)
        take(&members, test_format("policy/%d", i), "{\"v\":1,\"members\":[]}", i);
    take(&members, "policy/7", "{\"v\":1,\"members\":[]}", MEMBERS_MAX);
    const struct control_record more = {
        .key = slice_of(KEY), .value = slice_of(RECORD), .offset = MEMBERS_MAX + 1};
    assert_int_equal(members_take(&members, &more, &err), STATUS_RETRY);
    assert_non_null(strstr(err.text, "copies forget"));
    assert_int_equal(members.count, MEMBERS_MAX);
    members_done(&members);
}

static void types_are_listed_once_and_a_policy_binds_its_type(void **state)
{
    struct members members;
    struct members_type *types = NULL;
    struct quorum quorum;
    size_t count = 0;
    struct error err = ERROR_INIT;
    (void)state;
    members_init(&members);
    take(&members, KEY, RECORD, 1);
    take(&members, "policy/order", "{\"v\":1,\"members\":[\"billing/0193\",\"gone/1\"]}", 2);
    take(&members, "policy/invoice", "{\"v\":1,\"members\":[]}", 3);
    assert_int_equal(members_types(&members, &types, &count, &err), STATUS_OK);
    assert_int_equal(count, 2);
    assert_string_equal(types[0].entity_type, "invoice");
    assert_string_equal(types[1].entity_type, "order");
    assert_int_equal(members_quorum(&members, &types[1], &quorum, &err), STATUS_OK);
    assert_int_equal(quorum.counting, 2);
    assert_int_equal(quorum_offset(&quorum, 0), 0);
    quorum_done(&quorum);
    take(&members, "policy/order", NULL, 4);
    assert_int_equal(members_quorum(&members, &types[1], &quorum, &err), STATUS_OK);
    assert_int_equal(quorum.counting, 1);
    assert_int_equal(quorum_offset(&quorum, 0), 104200);
    assert_int_equal(quorum_offset(&quorum, 1), 98000);
    quorum_done(&quorum);
    free(types);
    members_done(&members);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_record_reads_as_it_was_written),
        TEST(a_record_of_an_older_version_can_be_read),
        TEST(a_reason_that_is_cut_in_a_character_can_be_read),
        TEST(every_record_of_another_form_is_refused),
        TEST(a_key_is_taken_apart),
        TEST(a_later_record_takes_the_place_and_a_tombstone_takes_it_away),
        TEST(a_record_that_cannot_be_read_changes_nothing_and_is_noted),
        TEST(more_members_than_the_limit_are_refused),
        TEST(types_are_listed_once_and_a_policy_binds_its_type),
    };
    return TEST_RUN(tests);
}
