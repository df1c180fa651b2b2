/* Copies are compared at their stamps: no false alarm, and nothing missed (rules 34 and 35). */
#include "tests/support/compare_case.h"
#include "tests/support/failing_malloc.h"

#include <sysexits.h>

static void equal_copies_are_equal(void **state)
{
    (void)state;
    struct compare_case *world = case_begin(3);
    assert_int_equal(case_run(world), EX_OK);
    case_assert_state(world, BILLING, COPY_EQUAL, "");
    case_assert_state(world, SHIPPING, COPY_EQUAL, "");
    assert_int_equal(world->result.rows, 5);
    assert_int_equal(world->services[SHOP].calls[CASE_LIST], 0);
    assert_int_equal(world->services[SHOP].calls[CASE_KEYS], 0);
    assert_int_equal(world->log.readings, 0);
    case_end(world);
}

static void a_row_that_differs_is_missing_or_is_too_many_is_named(void **state)
{
    (void)state;
    struct compare_case *world = case_begin(4);
    case_set(world, SHIPPING, 0, 1, 99);
    case_set(world, SHIPPING, 0, 2, CASE_NO_ROW);
    case_set(world, SHIPPING, 0, 7, 7);
    case_set(world, WARE, 0, 2, 98);
    assert_int_equal(case_run(world), EX_DATAERR);
    case_assert_state(world, BILLING, COPY_EQUAL, "");
    case_assert_state(world, SHIPPING, COPY_DIFFERENT, "");
    case_assert_state(world, WARE, COPY_DIFFERENT, "");
    assert_string_equal(case_differences(world, SHIPPING), "1 differs, 2 missing, 7 extra");
    assert_string_equal(case_differences(world, WARE), "2 differs");
    case_end(world);
}

static void a_difference_at_the_reference_is_one_at_every_copy(void **state)
{
    (void)state;
    struct compare_case *world = case_begin(3);
    case_set(world, SHOP, 0, 3, 99);
    assert_int_equal(case_run(world), EX_DATAERR);
    assert_string_equal(case_differences(world, BILLING), "3 differs");
    assert_string_equal(case_differences(world, SHIPPING), "3 differs");
    case_end(world);
}

static void an_empty_copy_lacks_all_rows(void **state)
{
    (void)state;
    struct compare_case *world = case_begin(2);
    for (int id = 0; id < CASE_IDS; id++)
        case_set(world, BILLING, 0, id, CASE_NO_ROW);
    assert_int_equal(case_run(world), EX_DATAERR);
    assert_string_equal(case_differences(world, BILLING),
                        "1 missing, 2 missing, 3 missing, 4 missing, 5 missing");
    case_end(world);
}

/* Each kind of open entity, at the reference and at a copy: left out, then compared by key. */
static void an_entity_that_was_open_is_compared_by_key_later(void **state)
{
    (void)state;
    for (int where = SHOP; where <= BILLING; where++) {
        for (int reason = LEFT_OWN; reason <= LEFT_PARKED; reason++) {
            for (int same = 0; same <= 1; same++) {
                struct compare_case *world = case_begin(3);
                case_open(world, where, 0, 3, (enum left_reason)reason);
                case_settle(world, where, 1, 3);
                case_set(world, where, 0, 3, 99);
                if (same)
                    case_set(world, where, 1, 3, 3);
                assert_int_equal(case_run(world), same ? EX_OK : EX_DATAERR);
                assert_string_equal(case_differences(world, BILLING), same ? "" : "3 differs");
                assert_string_equal(case_differences(world, SHIPPING),
                                    same || where == BILLING ? "" : "3 differs");
                assert_string_equal(case_left(world), "");
                assert_int_equal(world->result.compared_by_key, 1);
                case_end(world);
            }
        }
    }
}

static void an_entity_parked_at_one_copy_is_compared_at_the_others(void **state)
{
    (void)state;
    struct compare_case *world = case_begin(4);
    case_open(world, BILLING, 0, 3, LEFT_PARKED);
    case_set(world, BILLING, 0, 3, 98);
    case_set(world, WARE, 0, 3, 99);
    assert_int_equal(case_run(world), EX_DATAERR);
    case_assert_state(world, BILLING, COPY_EQUAL, "");
    case_assert_state(world, SHIPPING, COPY_EQUAL, "");
    assert_string_equal(case_differences(world, WARE), "3 differs");
    assert_string_equal(case_left(world), "3 parked at billing");
    case_end(world);
}

static void what_only_waits_for_a_person_is_asked_for_once(void **state)
{
    (void)state;
    struct compare_case *world = case_begin(2);
    case_open(world, BILLING, 0, 3, LEFT_PARKED);
    assert_int_equal(case_run(world), EX_TEMPFAIL);
    case_assert_state(world, BILLING, COPY_EQUAL, "");
    assert_int_equal(world->services[SHOP].calls[CASE_STAMP], 2);
    case_end(world);
}

static void an_entity_that_changes_in_every_round_is_named(void **state)
{
    (void)state;
    struct compare_case *world = case_begin(2);
    case_open(world, SHOP, 0, 3, LEFT_OWN);
    case_set(world, SHOP, 0, 3, 99);
    assert_int_equal(case_run(world), EX_TEMPFAIL);
    case_assert_state(world, BILLING, COPY_EQUAL, "");
    assert_string_equal(case_left(world), "3 own at shop");
    assert_int_equal(world->services[SHOP].calls[CASE_STAMP], 1 + COMPARE_ROUNDS_MAX);
    assert_int_equal(world->result.compared_by_key, 0);
    case_end(world);
}

/* Only what the log has from the lower stamp on, and below the higher one, is left out. */
static void a_mention_counts_only_between_the_stamps(void **state)
{
    static const struct {
        int32_t partition;
        int64_t offset;
        bool between;
    } cases[] = {{0, 9, false},  {0, 10, true},  {0, 11, true}, {0, 12, false},
                 {1, 10, false}, {1, 20, false}, {1, 11, false}};
    (void)state;
    for (int behind = SHOP; behind <= BILLING; behind++) {
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
            struct compare_case *world = case_begin(2);
            case_move(world, behind == SHOP ? BILLING : SHOP, 0, 0, 12);
            case_set(world, BILLING, 0, 3, 99);
            case_mention(world, cases[i].partition, cases[i].offset, 3);
            assert_int_equal(case_run(world), cases[i].between ? EX_TEMPFAIL : EX_DATAERR);
            assert_string_equal(case_left(world), !cases[i].between ? ""
                                                  : behind == SHOP  ? "3 changed at shop"
                                                                    : "3 changed at billing");
            assert_string_equal(case_differences(world, BILLING),
                                cases[i].between ? "" : "3 differs");
            case_end(world);
        }
    }
}

/* What changed the entity between the stamps is gone: a later record has its key. */
static void a_mention_above_a_gap_stands_for_one_that_was_compacted_away(void **state)
{
    (void)state;
    for (int where = SHOP; where <= BILLING; where++) {
        struct compare_case *world = case_begin(3);
        world->log.has_gap = true;
        case_move(world, where, 0, 0, 15);
        case_set(world, where, 0, 3, 99);
        case_mention(world, 0, 40, 3);
        case_mention(world, 1, 40, 4); /* the stamps are equal there */
        case_set(world, BILLING, 0, 4, 98);
        assert_int_equal(case_run(world), EX_DATAERR);
        assert_string_equal(case_differences(world, BILLING), "4 differs");
        assert_string_equal(case_differences(world, SHIPPING), "");
        assert_non_null(strstr(case_left(world), "3 changed at sh")); /* who is behind */
        case_end(world);
    }
}

static void a_mention_between_two_stamps_does_not_hide_a_third_copy(void **state)
{
    (void)state;
    struct compare_case *world = case_begin(3);
    case_move(world, BILLING, 0, 0, 8);
    case_mention(world, 0, 9, 3);
    case_set(world, BILLING, 0, 3, 98);
    case_set(world, SHIPPING, 0, 3, 99);
    assert_int_equal(case_run(world), EX_DATAERR);
    case_assert_state(world, BILLING, COPY_EQUAL, "");
    assert_string_equal(case_differences(world, SHIPPING), "3 differs");
    assert_string_equal(case_left(world), "3 changed at billing");
    case_end(world);
}

static void a_copy_that_caught_up_is_compared_in_a_later_round(void **state)
{
    (void)state;
    for (int round = 1; round <= COMPARE_ROUNDS_MAX; round++) {
        struct compare_case *world = case_begin(2);
        case_move(world, SHOP, 0, 1, 22);
        case_set(world, SHOP, 0, 3, 4);
        case_move(world, BILLING, round, 1, 22);
        case_set(world, BILLING, round, 3, 4);
        case_mention(world, 1, 21, 3);
        assert_int_equal(case_run(world), EX_OK);
        assert_int_equal(world->services[SHOP].calls[CASE_STAMP], 1 + round);
        assert_int_equal(world->result.compared_by_key, 1);
        case_end(world);
    }
}

static void a_copy_too_far_from_the_reference_is_not_compared(void **state)
{
    (void)state;
    struct compare_case *world = case_begin(3);
    world->options.behind_records_max = 5;
    case_move(world, SHOP, 0, 0, 50);
    case_move(world, SHOP, 0, 1, 50);
    case_move(world, BILLING, 0, 0, 47);
    case_move(world, BILLING, 0, 1, 48);
    case_move(world, SHIPPING, 0, 0, 47);
    case_move(world, SHIPPING, 0, 1, 47);
    case_set(world, SHIPPING, 0, 3, 99);
    assert_int_equal(case_run(world), EX_TEMPFAIL);
    case_assert_state(world, BILLING, COPY_EQUAL, "");
    case_assert_state(world, SHIPPING, COPY_NOT_COMPARED, "6 records behind");
    assert_int_equal(world->services[SHIPPING].calls[CASE_SUMS], 0);
    case_move(world, BILLING, 0, 0, 70);
    assert_int_equal(case_run(world), EX_TEMPFAIL);
    case_assert_state(world, BILLING, COPY_NOT_COMPARED, "shop is 20 records behind it");
    case_end(world);
}

static void a_log_that_was_trimmed_or_made_anew_hides_what_has_changed(void **state)
{
    (void)state;
    struct compare_case *world = case_begin(3);
    case_move(world, BILLING, 0, 1, 15);
    world->log.bounds[1].first = 16;
    world->log.bounds[0].first = 50; /* nobody asks: all are at 10 */
    assert_int_equal(case_run(world), EX_TEMPFAIL);
    case_assert_state(world, BILLING, COPY_NOT_COMPARED,
                      "order [1] begins at 16, after the position 15 of billing");
    case_assert_state(world, SHIPPING, COPY_EQUAL, "");
    world->log.bounds[1].first = 15;
    assert_int_equal(case_run(world), EX_OK);
    world->log.bounds[1].end = 19;
    assert_int_equal(case_run(world), EX_TEMPFAIL);
    case_assert_state(world, BILLING, COPY_NOT_COMPARED,
                      "order [1] ends at 19, before the position 20 of shop");
    case_end(world);
}

static void too_many_open_entities_are_not_left_out(void **state)
{
    (void)state;
    struct compare_case *world = case_begin(3);
    world->options.open_entities_max = 2;
    for (int id = 1; id <= 3; id++)
        case_open(world, BILLING, 0, id, LEFT_PARKED);
    assert_int_equal(case_run(world), EX_TEMPFAIL);
    case_assert_state(world, BILLING, COPY_NOT_COMPARED, "too many changes wait");
    case_assert_state(world, SHIPPING, COPY_EQUAL, "");
    assert_string_equal(case_left(world), "");
    case_settle(world, BILLING, 0, 1);
    assert_int_equal(case_run(world), EX_TEMPFAIL);
    case_assert_state(world, BILLING, COPY_EQUAL, "");
    case_end(world);
}

static void too_many_mentioned_entities_are_not_left_out(void **state)
{
    (void)state;
    struct compare_case *world = case_begin(3);
    world->options.open_entities_max = 2;
    case_move(world, BILLING, 0, 0, 5);
    for (int id = 1; id <= 3; id++)
        case_mention(world, 0, 5 + id, id);
    case_set(world, SHIPPING, 0, 2, 99);
    assert_int_equal(case_run(world), EX_DATAERR);
    case_assert_state(world, BILLING, COPY_NOT_COMPARED, "too many changes wait: 3 entities");
    assert_string_equal(case_differences(world, SHIPPING), "2 differs");
    assert_int_equal(world->services[SHOP].calls[CASE_STAMP], 1);
    case_end(world);
}

static void who_is_incomparable_is_not_asked(void **state)
{
    (void)state;
    struct compare_case *world = case_begin(3);
    world->services[BILLING].incomparable[0] = "it began in the middle";
    case_set(world, BILLING, 0, 3, 99);
    assert_int_equal(case_run(world), EX_TEMPFAIL);
    case_assert_state(world, BILLING, COPY_NOT_COMPARED, "it began in the middle");
    case_assert_state(world, SHIPPING, COPY_EQUAL, "");
    assert_int_equal(world->services[BILLING].calls[CASE_SUMS], 0);
    world->services[SHOP].incomparable[0] = "a new incarnation waits";
    assert_int_equal(case_run(world), EX_TEMPFAIL);
    case_assert_state(world, SHIPPING, COPY_NOT_COMPARED, "shop: a new incarnation waits");
    case_end(world);
}

static void who_becomes_incomparable_later_is_not_equal(void **state)
{
    (void)state;
    struct compare_case *world = case_begin(3);
    case_open(world, SHOP, 0, 3, LEFT_OWN);
    case_settle(world, SHOP, 1, 3);
    world->services[BILLING].incomparable[1] = "order [0] is stopped";
    assert_int_equal(case_run(world), EX_TEMPFAIL);
    case_assert_state(world, BILLING, COPY_NOT_COMPARED, "order [0] is stopped");
    case_assert_state(world, SHIPPING, COPY_EQUAL, "");
    assert_string_equal(case_left(world), "");
    case_end(world);
}

static void another_cluster_partition_count_or_topic_is_not_compared(void **state)
{
    (void)state;
    struct compare_case *world = case_begin(4);
    world->services[BILLING].cluster_id = "another";
    world->services[SHIPPING].partition_count = 1;
    world->services[WARE].base.topic = "orders";
    assert_int_equal(case_run(world), EX_TEMPFAIL);
    case_assert_state(world, BILLING, COPY_NOT_COMPARED, "in the cluster another, not in cluster");
    case_assert_state(world, SHIPPING, COPY_NOT_COMPARED, "knows 1 partitions, the topic has 2");
    case_assert_state(world, WARE, COPY_NOT_COMPARED, "reads the topic orders, not order");
    world->services[BILLING].cluster_id = "";
    world->services[SHOP].partition_count = 1;
    assert_int_equal(case_run(world), EX_TEMPFAIL);
    case_assert_state(world, BILLING, COPY_NOT_COMPARED, "shop: it knows 1 partitions");
    case_end(world);
}

static void without_the_log_nothing_is_compared(void **state)
{
    (void)state;
    struct compare_case *world = case_begin(2);
    world->log.describe_fails = "no broker";
    assert_int_equal(case_run(world), EX_TEMPFAIL);
    case_assert_state(world, BILLING, COPY_NOT_COMPARED, "no broker");
    world->log.describe_fails = NULL;
    world->log.partition_count = 0;
    assert_int_equal(case_run(world), EX_TEMPFAIL);
    case_assert_state(world, BILLING, COPY_NOT_COMPARED, "the topic does not exist");
    world->log.partition_count = CASE_PARTITIONS;
    world->log.read_fails = "not read to its end";
    assert_int_equal(case_run(world), EX_OK); /* the stamps are equal */
    case_move(world, SHOP, 0, 0, 11);
    assert_int_equal(case_run(world), EX_TEMPFAIL);
    case_assert_state(world, BILLING, COPY_NOT_COMPARED, "not read to its end");
    case_end(world);
}

static struct entity_schema *other_schema(const char *columns)
{
    struct error err = ERROR_INIT;
    struct entity_schema *schema = NULL;
    test_write_file(test_path("order.schema.json"),
                    test_format("{\"x-keepstep-key\":[\"id\"],\"properties\":{%s}}", columns));
    if (entity_schema_new(test_directory(), "order", &schema, &err) != STATUS_OK)
        test_fail("%s", err.text);
    return schema;
}

static void a_copy_without_a_column_is_not_compared_and_one_with_more_is(void **state)
{
    (void)state;
    struct compare_case *world = case_begin(4);
    struct entity_schema *fewer = other_schema("\"id\":{\"type\":\"integer\"}");
    struct entity_schema *other = other_schema(
        "\"id\":{\"type\":\"integer\"},\"n\":{\"type\":\"string\"}");
    struct entity_schema *more = other_schema("\"a\":{\"type\":\"string\"},"
                                              "\"id\":{\"type\":\"integer\"},"
                                              "\"n\":{\"type\":\"integer\"}");
    world->services[BILLING].base.schema = fewer;
    world->services[SHIPPING].base.schema = other;
    world->services[WARE].base.schema = more;
    assert_int_equal(case_run(world), EX_TEMPFAIL);
    case_assert_state(world, BILLING, COPY_NOT_COMPARED, "no column \"n\"");
    case_assert_state(world, SHIPPING, COPY_NOT_COMPARED, "\"n\" of \"order\" has type text");
    case_assert_state(world, WARE, COPY_EQUAL, "");
    entity_schema_free(fewer);
    entity_schema_free(other);
    entity_schema_free(more);
    case_end(world);
}

/* Each call, at the reference and at a copy, in the first round and in a round of keys. */
static void who_fails_is_not_compared(void **state)
{
    (void)state;
    for (int where = SHOP; where <= BILLING; where++) {
        for (int call = CASE_STAMP; call <= CASE_KEYS; call++) {
            for (int round = 0; round <= 1; round++) {
                if (round != (call == CASE_KEYS) && call != CASE_STAMP)
                    continue;
                struct compare_case *world = case_begin(3);
                case_open(world, SHOP, 0, 5, LEFT_OWN);
                case_settle(world, SHOP, 1, 5);
                if (call == CASE_LIST)
                    case_set(world, BILLING, 0, 3, 99);
                world->services[where].failures[call] = "it gave way";
                world->services[where].failing_round = round;
                assert_int_equal(case_run(world), EX_TEMPFAIL);
                case_assert_state(world, BILLING, COPY_NOT_COMPARED,
                                  where == SHOP ? "shop: it gave way" : "it gave way");
                case_assert_state(world, SHIPPING, where == SHOP ? COPY_NOT_COMPARED : COPY_EQUAL,
                                  where == SHOP ? "shop: it gave way" : "");
                case_end(world);
            }
        }
    }
}

static void a_difference_stays_one_if_the_copy_fails_later(void **state)
{
    (void)state;
    struct compare_case *world = case_begin(2);
    case_set(world, BILLING, 0, 3, 99);
    case_open(world, SHOP, 0, 5, LEFT_OWN);
    case_settle(world, SHOP, 1, 5);
    world->services[BILLING].failures[CASE_STAMP] = "connection lost";
    world->services[BILLING].failing_round = 1;
    assert_int_equal(case_run(world), EX_DATAERR);
    case_assert_state(world, BILLING, COPY_DIFFERENT, "connection lost");
    case_end(world);
}

static void a_snapshot_that_is_none_is_told(void **state)
{
    (void)state;
    struct compare_case *world = case_begin(2);
    world->services[BILLING].is_torn = true;
    assert_int_equal(case_run(world), EX_TEMPFAIL);
    case_assert_state(world, BILLING, COPY_NOT_COMPARED, "changed within one snapshot");
    case_end(world);
}

/* A table so large that a listing has room for one bucket alone. */
static void more_differences_than_can_be_listed_are_said_to_be_more(void **state)
{
    (void)state;
    struct compare_case *world = case_begin(2);
    for (int id = 0; id < CASE_IDS; id++)
        case_set(world, BILLING, 0, id, 99);
    world->services[SHOP].more_rows = UINT64_C(1) << 40;
    assert_int_equal(case_run(world), EX_DATAERR);
    const struct copy_result *copy = &world->result.copies[BILLING];
    assert_true(copy->is_partial);
    assert_in_range(copy->difference_count, 4, 5);
    assert_int_equal(world->services[SHOP].calls[CASE_LIST], 4);
    case_end(world);
}

static void rows_that_differ_are_shown_if_asked_for(void **state)
{
    (void)state;
    struct compare_case *world = case_begin(3);
    world->options.with_rows = true;
    case_set(world, SHIPPING, 0, 1, 99);
    case_set(world, SHIPPING, 0, 2, CASE_NO_ROW);
    case_set(world, SHIPPING, 0, 7, 7);
    case_open(world, SHOP, 0, 3, LEFT_OWN);
    case_settle(world, SHOP, 1, 3);
    case_set(world, SHIPPING, 0, 3, 98);
    assert_int_equal(case_run(world), EX_DATAERR);
    assert_string_equal(case_differences(world, SHIPPING),
                        "1 differs ({\"id\":1,\"n\":1} -> {\"id\":1,\"n\":99}), "
                        "2 missing ({\"id\":2,\"n\":2} -> ), "
                        "3 differs ({\"id\":3,\"n\":3} -> {\"id\":3,\"n\":98}), "
                        "7 extra ( -> {\"id\":7,\"n\":7})");
    case_end(world);
}

/* A row that is set aside may have a key by which no row can be asked for. */
static void a_key_without_a_canonical_form_is_never_asked_for(void **state)
{
    (void)state;
    struct compare_case *world = case_begin(2);
    world->services[SHOP].open_key = "{\"id\":\"no number\"}";
    assert_int_equal(case_run(world), EX_TEMPFAIL);
    case_assert_state(world, BILLING, COPY_EQUAL, "");
    assert_int_equal(world->services[SHOP].calls[CASE_KEYS], 0);
    assert_string_equal(case_left(world), "-1 own at shop");
    case_end(world);
}

static void snapshots_that_nobody_reads_are_kept(void **state)
{
    (void)state;
    struct compare_case *world = case_begin(3);
    world->services[SHOP].sleep_ms = 1100;
    world->services[SHIPPING].failures[CASE_KEEP] = "it gave way";
    assert_int_equal(case_run(world), EX_TEMPFAIL);
    case_assert_state(world, BILLING, COPY_EQUAL, "");
    case_assert_state(world, SHIPPING, COPY_NOT_COMPARED, "it gave way");
    assert_true(world->services[BILLING].calls[CASE_KEEP] > 0);
    assert_int_equal(world->services[SHIPPING].calls[CASE_SUMS], 0);
    assert_int_equal(world->services[SHOP].calls[CASE_KEEP], 0);
    case_end(world);
}

static void a_comparison_that_is_stopped_asks_nobody_any_more(void **state)
{
    (void)state;
    atomic_bool stop = true;
    struct compare_case *world = case_begin(3);
    world->options.stop = &stop;
    case_open(world, SHOP, 0, 3, LEFT_OWN);
    assert_int_equal(case_run(world), EX_TEMPFAIL);
    case_assert_state(world, BILLING, COPY_NOT_COMPARED, "was stopped");
    case_assert_state(world, SHIPPING, COPY_NOT_COMPARED, "was stopped");
    assert_int_equal(world->services[BILLING].calls[CASE_SUMS], 0);
    case_end(world);
}

/* A round that fails may be made good by the next one; but nothing is called equal that was not
 * compared. */
static bool compare_once(void *context)
{
    struct compare_case *world = context;
    struct error err = ERROR_INIT;
    for (size_t i = 0; i < world->options.count; i++)
        world->services[i].round = -1;
    bool done = compare_copies(&world->options, &world->result, &err) == STATUS_OK;
    const struct comparison *result = &world->result;
    bool all = done && result->copies[SHIPPING].difference_count == 2 &&
               result->copies[BILLING].state == COPY_EQUAL && result->compared_by_key == 2;
    if (done && !all && comparison_exit_code(result) == EX_OK)
        test_fail("equal, though %d differences were found",
                  (int)result->copies[SHIPPING].difference_count);
    comparison_done(&world->result);
    return all;
}

static void without_memory_nothing_is_said_to_be_equal(void **state)
{
    (void)state;
    struct compare_case *world = case_begin(3);
    case_set(world, SHIPPING, 0, 1, 99);
    case_open(world, SHOP, 0, 3, LEFT_OWN);
    case_settle(world, SHOP, 1, 3);
    case_set(world, SHIPPING, 0, 3, 98);
    case_move(world, SHOP, 0, 0, 12);
    case_mention(world, 0, 11, 4);
    case_move(world, BILLING, 1, 0, 12);
    case_move(world, SHIPPING, 1, 0, 12);
    assert_true(failing_malloc_each(compare_once, world, false) > 10);
    case_end(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(equal_copies_are_equal),
        TEST(a_row_that_differs_is_missing_or_is_too_many_is_named),
        TEST(a_difference_at_the_reference_is_one_at_every_copy),
        TEST(an_empty_copy_lacks_all_rows),
        TEST(an_entity_that_was_open_is_compared_by_key_later),
        TEST(an_entity_parked_at_one_copy_is_compared_at_the_others),
        TEST(what_only_waits_for_a_person_is_asked_for_once),
        TEST(an_entity_that_changes_in_every_round_is_named),
        TEST(a_mention_counts_only_between_the_stamps),
        TEST(a_mention_above_a_gap_stands_for_one_that_was_compacted_away),
        TEST(a_mention_between_two_stamps_does_not_hide_a_third_copy),
        TEST(a_copy_that_caught_up_is_compared_in_a_later_round),
        TEST(a_copy_too_far_from_the_reference_is_not_compared),
        TEST(a_log_that_was_trimmed_or_made_anew_hides_what_has_changed),
        TEST(too_many_open_entities_are_not_left_out),
        TEST(too_many_mentioned_entities_are_not_left_out),
        TEST(who_is_incomparable_is_not_asked),
        TEST(who_becomes_incomparable_later_is_not_equal),
        TEST(another_cluster_partition_count_or_topic_is_not_compared),
        TEST(without_the_log_nothing_is_compared),
        TEST(a_copy_without_a_column_is_not_compared_and_one_with_more_is),
        TEST(who_fails_is_not_compared),
        TEST(a_difference_stays_one_if_the_copy_fails_later),
        TEST(a_snapshot_that_is_none_is_told),
        TEST(more_differences_than_can_be_listed_are_said_to_be_more),
        TEST(rows_that_differ_are_shown_if_asked_for),
        TEST(a_key_without_a_canonical_form_is_never_asked_for),
        TEST(snapshots_that_nobody_reads_are_kept),
        TEST(a_comparison_that_is_stopped_asks_nobody_any_more),
        TEST(without_memory_nothing_is_said_to_be_equal),
    };
    return TEST_RUN(tests);
}
