/* The contract of a store, over every back end: whether the events that a token names are applied
 * (rule 47). */
#include "tests/support/store_case.h"

#include <inttypes.h>
#include <stdio.h>

#define INCARNATION "0193583c-0000-7000-8000-000000000001"
#define ANOTHER     "0193583c-0000-7000-8000-000000000002"

static enum token_verdict verdict_of(const char *token)
{
    enum token_verdict verdict = TOKEN_UNKNOWN;
    assert_ok(store_case_ops->applied(store_case_store, token, &verdict, &store_case_err));
    return verdict;
}

static void reach(const char *source, const char *incarnation, int32_t partition, uint64_t last)
{
    struct sequence_state sequence = {.base = 1, .last = last};
    (void)snprintf(sequence.source, sizeof sequence.source, "%s", source);
    (void)snprintf(sequence.incarnation, sizeof sequence.incarnation, "%s", incarnation);
    assert_ok(store_case_ops->record_sequence(store_case_store, STORE_CASE_TOPIC, partition,
                                              &sequence, &store_case_err));
}

/* Park an event of "shop". @param incarnation  NULL: it has no sequence. */
static void park(int64_t offset, const char *incarnation, int sequence, enum parked_state state)
{
    const struct header headers[] = {
        {slice_of("ce_source"), slice_of("shop")},
        {slice_of("ce_incarnation"), slice_of(incarnation == NULL ? "" : incarnation)},
        {slice_of("ce_sequence"), slice_of(test_format("%020d", sequence))}};
    struct parked_record parked = {.record = {.topic = STORE_CASE_TOPIC,
                                              .offset = offset,
                                              .key = slice_of("k"),
                                              .headers = headers,
                                              .header_count = incarnation == NULL ? 1 : 3},
                                   .entity_type = slice_of("order"),
                                   .entity_key = slice_of("k"),
                                   .state = state,
                                   .reason = slice_of("because")};
    assert_ok(store_case_ops->park(store_case_store, &parked, 1, &store_case_err));
}

static void a_token_is_fulfilled_when_each_partition_has_come_so_far(void)
{
    assert_int_equal(verdict_of("shop/" INCARNATION "/order:0=1"), TOKEN_UNKNOWN);
    store_case_begin();
    reach("shop", INCARNATION, 0, 5);
    reach("shop", INCARNATION, 3, 9);
    reach("other", ANOTHER, 1, 50);
    store_case_commit();
    assert_int_equal(verdict_of("shop/" INCARNATION "/order:0=5,3=9"), TOKEN_APPLIED);
    assert_int_equal(verdict_of("shop/" INCARNATION "/order:0=1"), TOKEN_APPLIED);
    assert_int_equal(verdict_of("shop/" INCARNATION "/order:0=6,3=9"), TOKEN_WAITS);
    assert_int_equal(verdict_of("shop/" INCARNATION "/order:0=5,3=10"), TOKEN_WAITS);
    assert_int_equal(verdict_of("shop/" INCARNATION "/order:0=5,1=1"), TOKEN_WAITS);
    assert_int_equal(verdict_of("shop/" ANOTHER "/order:0=5"), TOKEN_WAITS);
    assert_int_equal(verdict_of("shop/" INCARNATION "/order:0=5/payment:0=1"), TOKEN_UNKNOWN);
    assert_int_equal(verdict_of("nobody/" INCARNATION "/order:0=5"), TOKEN_UNKNOWN);
}

static void a_parked_event_at_or_below_the_place_is_not_applied(void)
{
    store_case_begin();
    reach("shop", INCARNATION, 0, 9);
    reach("shop", ANOTHER, 0, 9);
    park(5, NULL, 0, PARKED_HELD); /* a stranger's: it has no sequence */
    park(6, INCARNATION, 7, PARKED_BEHIND);
    store_case_commit();
    assert_int_equal(verdict_of("shop/" INCARNATION "/order:0=6"), TOKEN_APPLIED);
    assert_int_equal(verdict_of("shop/" INCARNATION "/order:0=7"), TOKEN_WAITS);
    assert_int_equal(verdict_of("shop/" INCARNATION "/order:0=9"), TOKEN_WAITS);
    assert_int_equal(verdict_of("shop/" ANOTHER "/order:0=9"), TOKEN_APPLIED);
    store_case_begin();
    park(7, ANOTHER, 1, PARKED_WAITING);
    store_case_commit();
    assert_int_equal(verdict_of("shop/" ANOTHER "/order:0=1"), TOKEN_WAITS);
}

/* As for whoever asks elsewhere: a copy does not report it. */
static void a_parked_event_that_was_skipped_counts_as_applied(void)
{
    store_case_begin();
    reach("shop", INCARNATION, 0, 9);
    park(5, NULL, 0, PARKED_SKIPPED);
    park(6, INCARNATION, 7, PARKED_SKIPPED);
    store_case_commit();
    assert_int_equal(verdict_of("shop/" INCARNATION "/order:0=7"), TOKEN_APPLIED);
    assert_int_equal(verdict_of("shop/" INCARNATION "/order:0=9"), TOKEN_APPLIED);
}

static void nothing_is_known_of_a_copy_that_is_not_complete(void)
{
    struct fill_state fill = {.topic = STORE_CASE_TOPIC, .id = INCARNATION, .source = "other"};
    store_case_begin();
    reach("shop", INCARNATION, 0, 9);
    store_case_commit();
    assert_int_equal(verdict_of("shop/" INCARNATION "/order:0=9"), TOKEN_APPLIED);
    store_case_begin();
    assert_ok(store_case_ops->fill(store_case_store, FILL_ASK, &fill, NULL, &store_case_err));
    store_case_commit();
    assert_int_equal(verdict_of("shop/" INCARNATION "/order:0=9"), TOKEN_WAITS);
}

static void what_an_earlier_version_parked_counts_until_init_has_read_its_headers(void)
{
    store_case_begin();
    reach("shop", INCARNATION, 0, 9);
    park(6, INCARNATION, 7, PARKED_HELD);
    store_case_commit();
    (void)store_case_back_end->text(store_case_database(),
                                    "UPDATE keepstep_parked SET source = NULL, "
                                    "incarnation = NULL, sequence = NULL");
    assert_int_equal(verdict_of("shop/" INCARNATION "/order:0=6"), TOKEN_WAITS);
    store_case_install();
    assert_int_equal(verdict_of("shop/" INCARNATION "/order:0=6"), TOKEN_APPLIED);
    assert_int_equal(verdict_of("shop/" INCARNATION "/order:0=7"), TOKEN_WAITS);
}

static void what_an_unfinished_transaction_wrote_does_not_count(void)
{
    struct store *other = store_case_open();
    enum token_verdict verdict = TOKEN_APPLIED;
    store_case_begin();
    reach("shop", INCARNATION, 0, 9);
    assert_ok(
        other->ops->applied(other, "shop/" INCARNATION "/order:0=9", &verdict, &store_case_err));
    assert_int_equal(verdict, TOKEN_UNKNOWN);
    store_case_commit();
    assert_ok(
        other->ops->applied(other, "shop/" INCARNATION "/order:0=9", &verdict, &store_case_err));
    assert_int_equal(verdict, TOKEN_APPLIED);
    other->ops->close(other);
}

int main(void)
{
    struct store_case cases[] = {
        STORE_CASE(a_token_is_fulfilled_when_each_partition_has_come_so_far),
        STORE_CASE(a_parked_event_at_or_below_the_place_is_not_applied),
        STORE_CASE(a_parked_event_that_was_skipped_counts_as_applied),
        STORE_CASE(nothing_is_known_of_a_copy_that_is_not_complete),
        STORE_CASE_OF_SQL(what_an_earlier_version_parked_counts_until_init_has_read_its_headers),
        STORE_CASE(what_an_unfinished_transaction_wrote_does_not_count),
    };
    return store_case_run(cases, sizeof cases / sizeof *cases);
}
