/* Who counts for a quorum and what a majority holds, for one to five members. */
#include "operate/refusal.h"
#include "tests/support/test.h"

#include <stdio.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))
#define MEMBERS_MAX  8

/* Records of copies "a", "b" … of type "order", each with one position of partition 0. */
struct world {
    struct member_record records[MEMBERS_MAX];
    struct member_applied applied[MEMBERS_MAX];
    struct member_published published[MEMBERS_MAX];
    struct member_position positions[MEMBERS_MAX];
    struct member_entry entries[MEMBERS_MAX];
    size_t count;
    struct quorum quorum;
};

static const char *const names[] = {"a", "b", "c", "d", "e", "f", "g", "h"};

static struct member_position *add_copy(struct world *world, const char *service,
                                        const char *instance, int64_t durable)
{
    size_t i = world->count++;
    world->applied[i] = (struct member_applied){.entity_type = "order",
                                                .topic = "order",
                                                .state = MEMBER_COMPLETE,
                                                .joined = true,
                                                .reason = ""};
    world->positions[i] = (struct member_position){
        .topic = "order", .epoch = 1, .applied = durable, .durable = durable, .parked_from = -1};
    world->records[i] = (struct member_record){.service = service,
                                               .copy = "1",
                                               .instance = instance,
                                               .version = "",
                                               .at_us = (int64_t)i + 1,
                                               .applied = &world->applied[i],
                                               .applied_count = 1,
                                               .positions = &world->positions[i],
                                               .position_count = 1};
    world->entries[i] = (struct member_entry){&world->records[i], (int64_t)i};
    return &world->positions[i];
}

static void add_publisher(struct world *world, const char *service)
{
    size_t i = world->count++;
    world->published[i] = (struct member_published){
        .entity_type = "order", .topic = "order", .columns = ""};
    world->records[i] = (struct member_record){.service = service,
                                               .copy = MEMBER_NONE,
                                               .instance = "1",
                                               .version = "",
                                               .at_us = (int64_t)i + 1,
                                               .published = &world->published[i],
                                               .published_count = 1};
    world->entries[i] = (struct member_entry){&world->records[i], (int64_t)i};
}

static void add_copies(struct world *world, const int64_t *durable, size_t count)
{
    for (size_t i = 0; i < count; i++)
        (void)add_copy(world, names[i], "1", durable[i]);
}

static void make(struct world *world, const struct member_policy *policy)
{
    struct error err = ERROR_INIT;
    const struct quorum_input input = {world->entries, world->count, "order", "order", policy};
    quorum_done(&world->quorum);
    if (quorum_make(&input, &world->quorum, &err) != STATUS_OK)
        test_fail("%s", err.text);
}

static void expect(struct world *world, size_t counting, int64_t offset)
{
    make(world, NULL);
    assert_int_equal(world->quorum.counting, counting);
    assert_int_equal(quorum_offset(&world->quorum, 0), offset);
}

static const struct quorum_member *find(const struct world *world, const char *service)
{
    for (size_t i = 0; i < world->quorum.member_count; i++) {
        if (strcmp(world->quorum.members[i].service, service) == 0)
            return &world->quorum.members[i];
    }
    test_fail("%s is no member", service);
    return NULL;
}

static void a_strict_majority_of_one_to_five_copies_is_what_counts(void **state)
{
    static const struct {
        int64_t durable[5];
        size_t count;
        int64_t offset;
    } cases[] = {
        {{7}, 1, 7},
        {{9, 7}, 2, 7}, /* half of two is not enough */
        {{9, 7, 3}, 3, 7},
        {{3, 9, 7}, 3, 7},
        {{9, 9, 3}, 3, 9},
        {{9, 8, 7, 3}, 4, 7}, /* nor is half of four */
        {{9, 9, 9, 3}, 4, 9},
        {{9, 8, 7, 3, 1}, 5, 7},
        {{0, 0, 0, 9, 9}, 5, 0},
        {{5, 5, 5, 5, 5}, 5, 5},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct world world = {0};
        add_copies(&world, cases[i].durable, cases[i].count);
        make(&world, NULL);
        if (quorum_offset(&world.quorum, 0) != cases[i].offset ||
            world.quorum.majority != cases[i].count / 2 + 1)
            test_fail("case %zu: %lld, %zu make a quorum", i,
                      (long long)quorum_offset(&world.quorum, 0), world.quorum.majority);
        quorum_done(&world.quorum);
    }
}

static void any_two_quorums_share_a_member(void **state)
{
    (void)state;
    for (size_t count = 1; count <= 5; count++) {
        static const int64_t zeros[5] = {0};
        struct world world = {0};
        add_copies(&world, zeros, count);
        make(&world, NULL);
        assert_true(2 * world.quorum.majority > count);
        assert_true(2 * (world.quorum.majority - 1) <= count);
        quorum_done(&world.quorum);
    }
}

static void nobody_makes_no_quorum(void **state)
{
    struct world world = {0};
    (void)state;
    make(&world, NULL);
    assert_int_equal(world.quorum.counting, 0);
    assert_int_equal(world.quorum.majority, 0);
    assert_int_equal(quorum_offset(&world.quorum, 0), -1);
    quorum_done(&world.quorum);
}

static void a_publisher_without_a_copy_holds_all_that_is_in_the_log(void **state)
{
    struct world world = {0};
    (void)state;
    add_publisher(&world, "shop");
    expect(&world, 1, QUORUM_LOG_END);
    (void)add_copy(&world, "a", "1", 7);
    expect(&world, 2, 7);
    (void)add_copy(&world, "b", "1", 3);
    expect(&world, 3, 7);
    quorum_done(&world.quorum);
}

static void two_relays_of_a_publisher_are_one_member(void **state)
{
    struct world world = {0};
    (void)state;
    add_publisher(&world, "shop");
    add_publisher(&world, "shop");
    world.records[1].instance = "2";
    expect(&world, 1, QUORUM_LOG_END);
    quorum_done(&world.quorum);
}

static void a_service_that_publishes_and_applies_counts_by_its_copy(void **state)
{
    struct world world = {0};
    (void)state;
    (void)add_copy(&world, "a", "1", 7);
    world.published[0] = (struct member_published){
        .entity_type = "order", .topic = "order", .columns = ""};
    world.records[0].published = &world.published[0];
    world.records[0].published_count = 1;
    expect(&world, 1, 7);
    quorum_done(&world.quorum);
}

static void a_parked_record_holds_its_copy_back(void **state)
{
    struct world world = {0};
    (void)state;
    (void)add_copy(&world, "a", "1", 9);
    add_copy(&world, "b", "1", 9)->parked_from = 4;
    expect(&world, 2, 4);
    world.positions[1].parked_from = -1;
    expect(&world, 2, 9);
    world.positions[1].durable = 2; /* below what is parked */
    world.positions[1].parked_from = 4;
    expect(&world, 2, 2);
    quorum_done(&world.quorum);
}

static void applied_alone_does_not_count(void **state)
{
    struct world world = {0};
    (void)state;
    add_copy(&world, "a", "1", 5)->applied = 9;
    expect(&world, 1, 5);
    quorum_done(&world.quorum);
}

static void a_silent_copy_keeps_what_it_reported(void **state)
{
    struct world world = {0};
    (void)state;
    add_copies(&world, (const int64_t[]){9, 5, 7}, 3);
    world.records[2].at_us = INT64_C(-1000000000); /* long ago */
    expect(&world, 3, 7);
    quorum_done(&world.quorum);
}

static void a_copy_that_is_not_complete_any_more_stays_and_holds_nothing(void **state)
{
    static const enum member_state states[] = {MEMBER_STARTING, MEMBER_FILLING, MEMBER_PARTIAL,
                                               MEMBER_STOPPED};
    (void)state;
    for (size_t i = 0; i < COUNT(states); i++) {
        struct world world = {0};
        add_copies(&world, (const int64_t[]){9, 8, 7}, 3);
        world.applied[0].state = states[i];
        expect(&world, 3, 7);
        world.applied[1].state = states[i];
        expect(&world, 3, 0);
        quorum_done(&world.quorum);
    }
}

static void a_copy_that_was_never_complete_does_not_count(void **state)
{
    struct world world = {0};
    (void)state;
    add_copies(&world, (const int64_t[]){9, 8}, 2);
    world.applied[1].state = MEMBER_PARTIAL;
    world.applied[1].joined = false;
    expect(&world, 1, 9);
    assert_false(find(&world, "b")->counts);
    quorum_done(&world.quorum);
}

static void a_copy_that_lost_commits_goes_back_with_its_new_epoch(void **state)
{
    struct world world = {0};
    (void)state;
    add_copies(&world, (const int64_t[]){9, 9}, 2);
    expect(&world, 2, 9);
    struct member_position *restored = add_copy(&world, "b", "1", 4);
    restored->epoch = 2;
    world.entries[1] = world.entries[2]; /* its record took the place of the older one */
    world.count = 2;
    expect(&world, 2, 4);
    quorum_done(&world.quorum);
}

static void the_former_id_of_a_restored_copy_stays_until_it_is_forgotten(void **state)
{
    struct world world = {0};
    (void)state;
    add_copies(&world, (const int64_t[]){9, 9}, 2);
    (void)add_copy(&world, "b", "1", 4);
    world.records[2].copy = "2"; /* `init --restored` gives it another id */
    expect(&world, 3, 9);
    world.entries[1] = world.entries[2];
    world.count = 2;
    expect(&world, 2, 4);
    quorum_done(&world.quorum);
}

static void a_zombies_later_record_loses_against_a_higher_epoch(void **state)
{
    struct world world = {0};
    (void)state;
    add_copy(&world, "a", "2", 5)->epoch = 7;
    add_copy(&world, "a", "1", 9)->epoch = 6; /* a later record of the former owner */
    world.applied[1].state = MEMBER_STOPPED;
    expect(&world, 1, 5);
    assert_int_equal(find(&world, "a")->applied->state, MEMBER_COMPLETE);
    world.positions[1].epoch = 7; /* of one epoch the later record counts */
    world.applied[1].state = MEMBER_COMPLETE;
    expect(&world, 1, 9);
    quorum_done(&world.quorum);
}

static void two_agents_of_a_copy_are_one_member_with_the_partitions_of_both(void **state)
{
    struct world world = {0};
    (void)state;
    (void)add_copy(&world, "a", "1", 5);
    add_copy(&world, "a", "2", 8)->partition = 1;
    expect(&world, 1, 5);
    assert_int_equal(world.quorum.partition_count, 2);
    assert_int_equal(quorum_offset(&world.quorum, 1), 8);
    quorum_done(&world.quorum);
}

static void a_partition_that_a_copy_does_not_report_holds_nothing(void **state)
{
    struct world world = {0};
    (void)state;
    (void)add_copy(&world, "a", "1", 5);
    add_copy(&world, "b", "1", 8)->partition = 1;
    expect(&world, 2, 0);
    assert_int_equal(quorum_offset(&world.quorum, 1), 0);
    assert_int_equal(quorum_position(&world.quorum, 0, 1)->durable, -1);
    quorum_done(&world.quorum);
}

static void a_forgotten_copy_leaves_and_comes_back(void **state)
{
    struct world world = {0};
    (void)state;
    add_copies(&world, (const int64_t[]){9, 5, 3}, 3);
    expect(&world, 3, 5);
    world.count = 2; /* the third one is forgotten */
    expect(&world, 2, 5);
    world.count = 1;
    expect(&world, 1, 9);
    world.count = 3;
    expect(&world, 3, 5);
    quorum_done(&world.quorum);
}

static void a_policy_fixes_the_members(void **state)
{
    static const char *two[] = {"a/1", "shop"};
    static const char *unseen[] = {"a/1", "b/1", "gone/7"};
    static const char *others[] = {"gone/7", "lost"};
    struct world world = {0};
    (void)state;
    add_copies(&world, (const int64_t[]){9, 5, 3}, 3);
    add_publisher(&world, "shop");
    make(&world, &(struct member_policy){two, COUNT(two)});
    assert_int_equal(world.quorum.counting, 2);
    assert_int_equal(quorum_offset(&world.quorum, 0), 9);
    assert_false(find(&world, "b")->counts);
    make(&world, &(struct member_policy){unseen, COUNT(unseen)});
    assert_int_equal(world.quorum.counting, 3);
    assert_int_equal(quorum_offset(&world.quorum, 0), 5);
    assert_null(find(&world, "gone")->record);
    make(&world, &(struct member_policy){others, COUNT(others)});
    assert_int_equal(world.quorum.counting, 2);
    assert_int_equal(quorum_offset(&world.quorum, 0), 0);
    make(&world, &(struct member_policy){NULL, 0});
    assert_int_equal(quorum_offset(&world.quorum, 0), -1);
    quorum_done(&world.quorum);
}

static void another_type_or_topic_is_another_quorum(void **state)
{
    struct world world = {0};
    (void)state;
    add_copies(&world, (const int64_t[]){9, 5}, 2);
    world.applied[0].entity_type = "invoice";
    expect(&world, 1, 5);
    world.applied[0].entity_type = "order";
    world.applied[0].topic = "old.order";
    expect(&world, 1, 5);
    quorum_done(&world.quorum);
}

/* "applied parked behind unknown" of the record 5 of partition 0, at the copies that are not `own`.
 */
static void expect_refusal(struct world *world, size_t own, const char *expected, const char *text)
{
    struct error err = ERROR_INIT;
    const struct quorum_input input = {
        .entries = world->entries, .count = world->count, .entity_type = "order", .topic = "order"};
    struct buffer out;
    buffer_init(&out, 1024);
    assert_int_equal(quorum_make(&input, &world->quorum, &err), STATUS_OK);
    struct refusal refusal = refusal_find(&world->quorum, own, 0, 5);
    assert_string_equal(test_format("%zu %zu %zu %zu", refusal.applied, refusal.parked,
                                    refusal.behind, refusal.unknown),
                        expected);
    refusal_append_text("a", &refusal, &out);
    assert_string_equal(buffer_text(&out), text);
    buffer_done(&out);
    quorum_done(&world->quorum);
}

static void an_event_that_one_copy_refuses_is_told_from_one_that_all_refuse(void **state)
{
    struct world world = {0};
    struct member_parked parked = {.topic = "order", .offsets = {2, 5, 9}, .count = 3};
    (void)state;
    add_publisher(&world, "z");
    add_copy(&world, "a", "1", 10)->parked_from = 5;
    expect_refusal(&world, 0, "0 0 0 0", "");
    struct member_position *second = add_copy(&world, "b", "1", 10);
    add_copy(&world, "c", "1", 10);
    expect_refusal(&world, 0, "2 0 0 0", "a alone refuses it: 2 other copies have applied it");
    second->applied = 5;
    expect_refusal(&world, 0, "1 0 1 0",
                   "a alone refuses it: 1 other copy has applied it, 1 other copy has not read it "
                   "yet");
    second->applied = 10;
    second->parked_from = 2;
    expect_refusal(&world, 0, "1 0 0 1", "1 other copy has applied it, 1 other copy does not say");
    world.records[2].parked = &parked;
    world.records[2].parked_count = 1;
    expect_refusal(&world, 0, "1 1 0 0",
                   "1 other copy has applied it, 1 other copy refuses it too");
    parked.offsets[1] = 4;
    expect_refusal(&world, 0, "2 0 0 0", "a alone refuses it: 2 other copies have applied it");
    parked.count = 2; /* the list is whole: behind its last record nothing is parked */
    expect_refusal(&world, 0, "2 0 0 0", "a alone refuses it: 2 other copies have applied it");
    for (parked.count = 0; parked.count < MEMBER_PARKED_LISTED; parked.count++)
        parked.offsets[parked.count] = -(int64_t)(MEMBER_PARKED_LISTED - parked.count);
    expect_refusal(&world, 0, "1 0 0 1", "1 other copy has applied it, 1 other copy does not say");
    second->parked_from = 5;
    world.positions[3].parked_from = 5;
    expect_refusal(&world, 0, "0 2 0 0", "all copies refuse it");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_strict_majority_of_one_to_five_copies_is_what_counts),
        TEST(any_two_quorums_share_a_member),
        TEST(nobody_makes_no_quorum),
        TEST(a_publisher_without_a_copy_holds_all_that_is_in_the_log),
        TEST(two_relays_of_a_publisher_are_one_member),
        TEST(a_service_that_publishes_and_applies_counts_by_its_copy),
        TEST(a_parked_record_holds_its_copy_back),
        TEST(applied_alone_does_not_count),
        TEST(a_silent_copy_keeps_what_it_reported),
        TEST(a_copy_that_is_not_complete_any_more_stays_and_holds_nothing),
        TEST(a_copy_that_was_never_complete_does_not_count),
        TEST(a_copy_that_lost_commits_goes_back_with_its_new_epoch),
        TEST(the_former_id_of_a_restored_copy_stays_until_it_is_forgotten),
        TEST(a_zombies_later_record_loses_against_a_higher_epoch),
        TEST(two_agents_of_a_copy_are_one_member_with_the_partitions_of_both),
        TEST(a_partition_that_a_copy_does_not_report_holds_nothing),
        TEST(a_forgotten_copy_leaves_and_comes_back),
        TEST(a_policy_fixes_the_members),
        TEST(another_type_or_topic_is_another_quorum),
        TEST(an_event_that_one_copy_refuses_is_told_from_one_that_all_refuse),
    };
    return TEST_RUN(tests);
}
