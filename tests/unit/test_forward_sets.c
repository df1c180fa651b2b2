/* Of which events the log has the whole set, when a new incarnation begins (rules 13 and 56). */
#include "producer/init/forward_sets.h"
#include "tests/support/test.h"

#include <stdio.h>
#include <string.h>

static char taken[256];

static enum status take(void *context, const struct origin_note *note, struct error *err)
{
    (void)context;
    (void)err;
    size_t length = strlen(taken);
    (void)snprintf(taken + length, sizeof taken - length, "%s%.*s", length == 0 ? "" : " ",
                   SLICE_ARGS(note->id));
    return STATUS_OK;
}

/* A record of the log. */
struct line {
    const char *id;
    const char *incarnation;
    uint64_t sequence;
    uint64_t end; /* of its set; 0: it is alone */
    int partition;
};

static const char *taken_of(const struct line *lines, size_t count)
{
    static const int partitions[2];
    struct forward_sets sets = {.kept_max = 100};
    struct error err = ERROR_INIT;
    taken[0] = '\0';
    for (size_t i = 0; i < count; i++) {
        const struct change change = {.incarnation = slice_of(lines[i].incarnation),
                                      .sequence = lines[i].sequence,
                                      .changeset_end = lines[i].end};
        const struct forward_record record = {.partition = &partitions[lines[i].partition],
                                              .change = &change,
                                              .note = {.id = slice_of(lines[i].id)}};
        assert_int_equal(forward_sets_add(&sets, &record, take, NULL, &err), STATUS_OK);
    }
    forward_sets_done(&sets);
    return taken;
}

#define TAKEN(...)                                                                                 \
    taken_of((const struct line[]){__VA_ARGS__},                                                   \
             sizeof((const struct line[]){__VA_ARGS__}) / sizeof(struct line))

static void a_set_counts_once_its_last_record_is_there(void **state)
{
    (void)state;
    assert_string_equal(TAKEN({"a", "1", 1, 0, 0}, {"b", "1", 2, 3, 0}, {"c", "1", 3, 3, 0}),
                        "a b c");
    assert_string_equal(TAKEN({"a", "1", 1, 0, 0}, {"b", "1", 2, 4, 0}, {"c", "1", 3, 4, 0}), "a");
    assert_string_equal(TAKEN({"x", "", 0, 0, 0}), "x");
}

static void sets_of_two_partitions_lie_between_each_other(void **state)
{
    (void)state;
    assert_string_equal(TAKEN({"a", "1", 1, 2, 0}, {"b", "1", 1, 2, 1}, {"c", "1", 2, 2, 0}),
                        "a c");
}

static void another_incarnation_ends_the_open_set_of_an_earlier_one(void **state)
{
    (void)state;
    assert_string_equal(
        TAKEN({"a", "1", 1, 3, 0}, {"b", "2", 1, 0, 0}, {"c", "1", 2, 3, 0}, {"d", "1", 3, 3, 0}),
        "b");
    assert_string_equal(
        TAKEN({"a", "1", 1, 3, 0}, {"b", "2", 1, 0, 0}, {"c", "1", 4, 0, 0}, {"d", "2", 2, 0, 0}),
        "b c d");
    /* Late records of the earlier one end nothing. */
    assert_string_equal(
        TAKEN({"a", "2", 1, 2, 0}, {"b", "1", 7, 0, 0}, {"c", "1", 8, 9, 0}, {"d", "2", 2, 2, 0}),
        "b a d");
}

static void late_copies_of_an_earlier_set_end_nothing(void **state)
{
    (void)state;
    assert_string_equal(TAKEN({"a", "1", 1, 2, 0}, {"b", "1", 2, 2, 0}, {"c", "1", 3, 4, 0},
                              {"a", "1", 1, 2, 0}, {"b", "1", 2, 2, 0}, {"d", "1", 4, 4, 0}),
                        "a b a b c d");
}

/* Anybody may write to the topic; the log is read to its end all the same. */
static void an_incarnation_that_no_relay_has_opens_no_set(void **state)
{
    (void)state;
    assert_string_equal(
        TAKEN({"a", "0123456789012345678901234567890123456789012345678901234567890123", 1, 2, 0},
              {"b", "1", 1, 0, 0}),
        "b");
}

#define LARGE 1000
#define KEPT  10

static enum status count(void *context, const struct origin_note *note, struct error *err)
{
    size_t *counts = context;
    (void)err;
    counts[note->content.value]++;
    return STATUS_OK;
}

/* A set of 1,000 records beside others: it is read twice, and each of its events is taken once. */
static void of_a_large_set_only_its_place_is_kept(void **state)
{
    static size_t counts[LARGE + 1];
    static const int partition;
    struct forward_sets sets = {.kept_max = KEPT};
    struct error err = ERROR_INIT;
    int64_t from = 0;
    int64_t until = 0;
    (void)state;
    for (int again = 0; again <= 1; again++) {
        for (int64_t offset = 1; offset <= LARGE; offset++) {
            const struct change change = {
                .incarnation = slice_of("1"), .sequence = (uint64_t)offset, .changeset_end = LARGE};
            const struct forward_record record = {
                .partition = &partition,
                .offset = offset,
                .change = &change,
                .note = {.id = slice_of("x"), .content.value = offset}};
            if (again && forward_sets_has(&sets, &record))
                assert_int_equal(count(counts, &record.note, &err), STATUS_OK);
            else if (!again)
                assert_int_equal(forward_sets_add(&sets, &record, count, counts, &err), STATUS_OK);
            assert_true(sets.kept <= KEPT);
        }
        assert_true(forward_sets_span(&sets, &partition, &from, &until));
        assert_int_equal(from, 1);
        assert_int_equal(until, LARGE);
    }
    assert_false(forward_sets_span(&sets, &sets, &from, &until));
    for (size_t i = 1; i <= LARGE; i++)
        assert_int_equal(counts[i], 1);
    forward_sets_done(&sets);
}

/* The large one is dropped, and not those that came later. */
static void small_sets_beside_a_large_one_are_kept(void **state)
{
    static const int partitions[2];
    struct forward_sets sets = {.kept_max = KEPT};
    struct error err = ERROR_INIT;
    int64_t from = 0;
    int64_t until = 0;
    (void)state;
    taken[0] = '\0';
    for (int64_t i = 0; i < 3 * KEPT; i++) {
        const struct change large = {
            .incarnation = slice_of("1"), .sequence = (uint64_t)i + 1, .changeset_end = LARGE};
        const struct change small = {.incarnation = slice_of("1"),
                                     .sequence = (uint64_t)i + 1,
                                     .changeset_end = (uint64_t)(i | 1) + 1};
        const struct forward_record records[] = {
            {.partition = &partitions[0], .offset = i, .change = &large, .note.id = slice_of("a")},
            {.partition = &partitions[1], .offset = i, .change = &small, .note.id = slice_of("b")}};
        for (size_t p = 0; p < 2; p++)
            assert_int_equal(forward_sets_add(&sets, &records[p], take, NULL, &err), STATUS_OK);
    }
    assert_int_equal(strlen(taken), 2 * 3 * KEPT - 1);
    assert_null(strchr(taken, 'a')); /* its end has not come */
    assert_false(forward_sets_span(&sets, &partitions[0], &from, &until));
    assert_false(forward_sets_span(&sets, &partitions[1], &from, &until));
    forward_sets_done(&sets);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_set_counts_once_its_last_record_is_there),
        TEST(sets_of_two_partitions_lie_between_each_other),
        TEST(another_incarnation_ends_the_open_set_of_an_earlier_one),
        TEST(late_copies_of_an_earlier_set_end_nothing),
        TEST(an_incarnation_that_no_relay_has_opens_no_set),
        TEST(of_a_large_set_only_its_place_is_kept),
        TEST(small_sets_beside_a_large_one_are_kept),
    };
    return TEST_RUN(tests);
}
