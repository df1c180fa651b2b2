/* What a repair knows of the log between a stamp and a position that moves on (rule 43). */
#include "tests/support/compare_case.h"

#include "operate/repair/log_follower.h"

#define STAMP 10

static const struct slice keys[] = {{.data = "{\"id\":1}", .length = 8},
                                    {.data = "{\"id\":2}", .length = 8},
                                    {.data = "{\"id\":3}", .length = 8}};
static const int64_t stamp[CASE_PARTITIONS] = {STAMP, STAMP};

static struct log_follower follower_begin(struct compare_case *world)
{
    struct error err = ERROR_INIT;
    struct log_follower follower = {.log = &world->log.base,
                                    .stamp = stamp,
                                    .partition_count = CASE_PARTITIONS,
                                    .keys = keys,
                                    .key_count = 3};
    for (int p = 0; p < CASE_PARTITIONS; p++)
        world->log.bounds[p] = (struct log_bounds){.first = 0, .end = 20};
    assert_int_equal(log_follower_init(&follower, &err), STATUS_OK);
    return follower;
}

static bool mentions(const struct log_follower *follower, size_t key, int64_t first, int64_t second)
{
    const int64_t positions[CASE_PARTITIONS] = {first, second};
    return log_follower_mentions(follower, key, positions);
}

static bool has_read(const struct log_follower *follower, int64_t first, int64_t second)
{
    const int64_t positions[CASE_PARTITIONS] = {first, second};
    return log_follower_has_read(follower, positions);
}

static enum status follow(struct log_follower *follower, int64_t first, int64_t second,
                          struct error *err)
{
    const int64_t positions[CASE_PARTITIONS] = {first, second};
    return log_follower_read(follower, positions, err);
}

static void a_mention_counts_between_stamp_and_position_on_either_side(void **state)
{
    (void)state;
    static const struct {
        int64_t mention;
        int64_t position;
        bool counts;
    } cases[] = {{STAMP, STAMP, false},         {STAMP, STAMP + 1, true},
                 {STAMP + 3, STAMP + 3, false}, {STAMP + 3, STAMP + 4, true},
                 {STAMP - 1, STAMP, false},     {STAMP - 1, STAMP - 1, true},
                 {STAMP - 3, STAMP - 2, false}, {STAMP - 3, STAMP - 3, true},
                 {STAMP - 3, STAMP + 5, false}, {STAMP + 3, STAMP - 5, false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        for (int32_t partition = 0; partition < CASE_PARTITIONS; partition++) {
            struct compare_case *world = case_begin(2);
            struct error err = ERROR_INIT;
            struct log_follower follower = follower_begin(world);
            int64_t at[CASE_PARTITIONS] = {STAMP, STAMP};
            at[partition] = cases[i].position;
            case_mention(world, partition, cases[i].mention, 2);
            assert_int_equal(follow(&follower, 0, 0, &err), STATUS_OK);
            assert_int_equal(mentions(&follower, 1, at[0], at[1]), cases[i].counts);
            assert_false(mentions(&follower, 0, at[0], at[1]));
            log_follower_done(&follower);
            case_end(world);
        }
    }
}

/* Of many mentions the two around the stamp decide, whichever way the position moves. */
static void of_many_mentions_the_nearest_ones_decide(void **state)
{
    (void)state;
    struct compare_case *world = case_begin(2);
    struct error err = ERROR_INIT;
    struct log_follower follower = follower_begin(world);
    for (int64_t offset = 2; offset < 20; offset += 3)
        case_mention(world, 0, offset, 3); /* 8 and 11 are the nearest */
    assert_int_equal(follow(&follower, 0, STAMP, &err), STATUS_OK);
    assert_false(mentions(&follower, 2, 9, STAMP));
    assert_true(mentions(&follower, 2, 8, STAMP));
    assert_true(mentions(&follower, 2, 1, STAMP));
    assert_false(mentions(&follower, 2, 11, STAMP));
    assert_true(mentions(&follower, 2, 12, STAMP));
    log_follower_done(&follower);
    case_end(world);
}

/* What was compacted away may have stood on either side of the stamp. Nothing that is read later
 * changes that, and the other entities and partitions do not matter. */
static void a_mention_above_a_gap_counts_on_both_sides_of_the_stamp(void **state)
{
    (void)state;
    static const int64_t offsets[] = {STAMP - 8, STAMP - 1, STAMP, STAMP + 8};
    for (size_t i = 0; i < sizeof offsets / sizeof *offsets; i++) {
        struct compare_case *world = case_begin(2);
        struct error err = ERROR_INIT;
        struct log_follower follower = follower_begin(world);
        world->log.has_gap = true;
        case_mention(world, 0, offsets[i], 2);
        assert_int_equal(follow(&follower, 0, 0, &err), STATUS_OK);
        world->log.has_gap = false;
        case_mention(world, 0, 22, 2);
        world->log.bounds[0].end = 25;
        for (int reading = 0; reading < 2; reading++) {
            assert_true(mentions(&follower, 1, STAMP - 1, STAMP));
            assert_true(mentions(&follower, 1, STAMP + 1, STAMP));
            assert_false(mentions(&follower, 1, STAMP, STAMP));
            assert_false(mentions(&follower, 1, STAMP, STAMP + 1));
            assert_false(mentions(&follower, 0, STAMP + 1, STAMP));
            assert_int_equal(follow(&follower, 20, 20, &err), STATUS_OK);
        }
        log_follower_done(&follower);
        case_end(world);
    }
}

/* In one reading too: a mention far below the stamp that follows takes nothing back. */
static void no_later_mention_takes_one_above_a_gap_back(void **state)
{
    (void)state;
    struct compare_case *world = case_begin(2);
    struct error err = ERROR_INIT;
    struct log_follower follower = follower_begin(world);
    follower.stamp = (const int64_t[CASE_PARTITIONS]){STAMP + 20, STAMP};
    world->log.has_gap = true;
    case_mention(world, 0, 2, 1);
    assert_int_equal(follow(&follower, 0, 0, &err), STATUS_OK);
    world->log.has_gap = false;
    case_mention(world, 0, 22, 1); /* below the stamp */
    world->log.bounds[0].end = 40;
    assert_int_equal(follow(&follower, 20, 20, &err), STATUS_OK);
    assert_true(mentions(&follower, 0, STAMP + 19, STAMP));
    assert_true(mentions(&follower, 0, STAMP + 21, STAMP));
    log_follower_done(&follower);
    case_end(world);
}

static void the_log_is_read_on_from_where_it_was_read_before(void **state)
{
    (void)state;
    struct compare_case *world = case_begin(2);
    struct error err = ERROR_INIT;
    struct log_follower follower = follower_begin(world);
    assert_true(has_read(&follower, STAMP, STAMP));
    assert_false(has_read(&follower, STAMP, STAMP + 1));
    assert_int_equal(follow(&follower, STAMP, STAMP - 2, &err), STATUS_OK);
    assert_true(has_read(&follower, 20, 20));
    assert_true(has_read(&follower, STAMP, STAMP - 2));
    assert_false(has_read(&follower, STAMP, STAMP - 3)); /* the copy went back */
    assert_false(has_read(&follower, 21, 20));
    case_mention(world, 0, 22, 1);
    world->log.bounds[0].end = 25;
    assert_int_equal(follow(&follower, 21, 20, &err), STATUS_OK);
    assert_true(has_read(&follower, 25, 20));
    assert_false(has_read(&follower, 26, 20));
    assert_true(mentions(&follower, 0, 25, 20));
    assert_int_equal(world->log.readings, 2);
    log_follower_done(&follower);
    case_end(world);
}

static void a_log_that_lacks_a_part_says_nothing(void **state)
{
    (void)state;
    static const struct log_bounds bounds[] = {{.first = 9, .end = 20}, {.first = 0, .end = 7}};
    for (size_t i = 0; i < sizeof bounds / sizeof *bounds; i++) {
        struct compare_case *world = case_begin(2);
        struct error err = ERROR_INIT;
        struct log_follower follower = follower_begin(world);
        world->log.bounds[1] = bounds[i];
        assert_int_equal(follow(&follower, STAMP, 8, &err), STATUS_RETRY);
        assert_non_null(strstr(err.text, "partition 1"));
        assert_false(has_read(&follower, STAMP, 8));
        log_follower_done(&follower);
        case_end(world);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_mention_counts_between_stamp_and_position_on_either_side),
        TEST(of_many_mentions_the_nearest_ones_decide),
        TEST(a_mention_above_a_gap_counts_on_both_sides_of_the_stamp),
        TEST(no_later_mention_takes_one_above_a_gap_back),
        TEST(the_log_is_read_on_from_where_it_was_read_before),
        TEST(a_log_that_lacks_a_part_says_nothing),
    };
    return TEST_RUN(tests);
}
