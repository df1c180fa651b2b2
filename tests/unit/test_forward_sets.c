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
    struct forward_sets sets = {0};
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_set_counts_once_its_last_record_is_there),
        TEST(sets_of_two_partitions_lie_between_each_other),
        TEST(another_incarnation_ends_the_open_set_of_an_earlier_one),
        TEST(late_copies_of_an_earlier_set_end_nothing),
        TEST(an_incarnation_that_no_relay_has_opens_no_set),
    };
    return TEST_RUN(tests);
}
