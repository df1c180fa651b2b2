/* A desk answers what it is asked, whoever asks (rule 48). */
#include "tests/support/desk_case.h"

static const struct talk_part *part_before(const struct desk_case *world, size_t back)
{
    assert_true(world->answer_count > back);
    size_t index = world->answer_count - 1 - back;
    assert_string_equal(world->topics[index], "order");
    assert_int_equal(world->answers[index].kind, TALK_PART);
    return &world->answers[index].part;
}

static void a_stamp_says_how_far_the_rows_are_and_what_is_open(void **state)
{
    struct open_entity open[] = {{slice_of("{\"id\":1}"), LEFT_PARKED},
                                 {slice_of("{\"id\":2}"), LEFT_OWN}};
    (void)state;
    struct desk_case *world = desk_begin(4);
    world->open = open;
    world->open_count = 2;
    desk_begin_session(world, DESK_FIRST);
    const struct talk_answer *answer = desk_last(world);
    assert_string_equal(answer->cluster_id, "cluster");
    assert_int_equal(answer->partition_count, 2);
    assert_int_equal(answer->offsets[1], 9);
    assert_int_equal(answer->columns.count, 2);
    assert_string_equal(answer->columns.list[1].name, "state");
    assert_int_equal(answer->open_count, 2);
    assert_int_equal(answer->parts, 1);
    const struct talk_part *part = part_before(world, 1);
    assert_int_equal(part->open_count, 2);
    assert_true(slice_is(part->open[0].key, "{\"id\":1}"));
    assert_int_equal(part->open[0].reason, TALK_OPEN_PARKED);
    assert_int_equal(part->open[1].reason, TALK_OPEN_OWN);
    assert_int_equal(world->open_now, 1);
    assert_int_equal(atomic_load(&world->metrics.snapshots_open), 1);
    assert_true(atomic_load(&world->metrics.oldest_snapshot_us) > 0);
    assert_int_equal(atomic_load(&world->metrics.questions), 1);
    desk_end(world);
}

static void sums_count_the_rows_that_are_not_left_out(void **state)
{
    (void)state;
    struct desk_case *world = desk_begin(4);
    const uint64_t left_out[] = {row_key_digest(slice_of("{\"id\":1}"))};
    desk_begin_session(world, DESK_FIRST);
    struct talk_question sums = desk_question(TALK_SUMS, DESK_FIRST, 2);
    sums.left_out = left_out;
    sums.left_out_count = 1;
    desk_ask(world, &sums);
    assert_int_equal(world->scans, 0);
    desk_answer(world);
    desk_assert_last(world, &sums, "");
    const struct talk_answer *answer = desk_last(world);
    assert_int_equal(answer->rows, 2);
    assert_int_equal(answer->sums[row_bucket(row_key_digest(slice_of("{\"id\":2}")))], 3);
    assert_int_equal(answer->sums[row_bucket(left_out[0])], 0);
    desk_end(world);
}

static void rows_are_listed_where_the_data_is_read(void **state)
{
    (void)state;
    struct desk_case *world = desk_begin(4);
    const uint16_t buckets[] = {(uint16_t)row_bucket(row_key_digest(slice_of("{\"id\":2}")))};
    desk_begin_session(world, DESK_FIRST);
    struct talk_question list = desk_question(TALK_LIST, DESK_FIRST, 2);
    list.buckets = buckets;
    list.bucket_count = 1;
    desk_ask_and_answer(world, &list);
    desk_assert_last(world, &list, "");
    assert_int_equal(desk_last(world)->rows, 1);
    assert_int_equal(desk_last(world)->parts, 1);
    const struct talk_part *part = part_before(world, 1);
    assert_int_equal(part->row_count, 1);
    assert_true(slice_is(part->rows[0].key, "{\"id\":2}"));
    assert_int_equal(part->rows[0].digest, 3);
    assert_null(part->rows[0].json.data);
    desk_end(world);
}

static void values_are_told_only_on_request(void **state)
{
    (void)state;
    struct desk_case *world = desk_begin(4);
    const struct slice keys[] = {slice_of("{\"id\":1}"), slice_of("{\"id\":99}")};
    desk_begin_session(world, DESK_FIRST);
    struct talk_question question = desk_question(TALK_KEYS, DESK_FIRST, 2);
    question.keys = keys;
    question.key_count = 2;
    desk_ask_and_answer(world, &question);
    assert_int_equal(desk_last(world)->rows, 1);
    assert_null(part_before(world, 1)->rows[0].json.data);
    question.number = 3;
    question.with_rows = true;
    desk_ask_and_answer(world, &question);
    desk_assert_last(world, &question, "");
    assert_true(slice_is(part_before(world, 1)->rows[0].json, "{\"id\":1,\"state\":\"\"}"));
    question.number = 4;
    question.key_count = 0; /* never all rows */
    desk_ask_and_answer(world, &question);
    assert_int_equal(desk_last(world)->rows, 0);
    desk_end(world);
}

static void many_wide_rows_go_in_parts(void **state)
{
    (void)state;
    struct desk_case *world = desk_begin(4);
    const struct slice keys[] = {slice_of("{\"id\":0}"), slice_of("{\"id\":1}"),
                                 slice_of("{\"id\":2}")};
    world->value_bytes = 400 * 1000;
    desk_begin_session(world, DESK_FIRST);
    struct talk_question question = desk_question(TALK_KEYS, DESK_FIRST, 2);
    question.keys = keys;
    question.key_count = 3;
    question.with_rows = true;
    desk_ask_and_answer(world, &question);
    assert_int_equal(desk_last(world)->rows, 3);
    assert_int_equal(desk_last(world)->parts, 2);
    assert_int_equal(part_before(world, 1)->part, 2);
    assert_int_equal(part_before(world, 2)->part, 1);
    question.number = 3;
    world->value_bytes = 1000 * 1000; /* larger than a message */
    desk_ask_and_answer(world, &question);
    desk_assert_last(world, &question, "");
    assert_int_equal(desk_last(world)->rows, 3);
    assert_null(part_before(world, 1)->rows[0].json.data);
    desk_end(world);
}

static void what_cannot_be_compared_is_refused_with_the_reason(void **state)
{
    (void)state;
    struct desk_case *world = desk_begin(4);
    struct talk_question stamp = desk_question(TALK_STAMP, DESK_FIRST, 1);
    stamp.entity_type = "salary";
    desk_ask(world, &stamp);
    desk_assert_last(world, &stamp, "billing has no rows of that type");
    stamp.entity_type = "order";
    stamp.topic = "payroll";
    desk_ask(world, &stamp);
    desk_assert_last(world, &stamp, "billing has these entities from another topic");
    stamp.topic = "order";
    world->incomparable = "it began in the middle of the log";
    desk_ask(world, &stamp);
    desk_assert_last(world, &stamp, "it began in the middle of the log");
    world->incomparable = NULL;
    world->copy = "0194"; /* `init --new-copy`, beside this process */
    desk_ask(world, &stamp);
    desk_assert_last(world, &stamp,
                     "its database has become another copy since its sidecar was started");
    world->copy = "0193";
    world->open_count = 101;
    desk_ask(world, &stamp);
    desk_assert_last(world, &stamp, "too many changes wait there");
    assert_int_equal(world->open_now, 0);
    desk_end(world);
}

static void a_column_that_is_not_in_the_schema_is_refused(void **state)
{
    static const struct talk_column columns[] = {{"id", COLUMN_INTEGER, true},
                                                 {"state; DROP TABLE", COLUMN_TEXT, false}};
    (void)state;
    struct desk_case *world = desk_begin(4);
    desk_begin_session(world, DESK_FIRST);
    struct talk_question sums = desk_question(TALK_SUMS, DESK_FIRST, 2);
    sums.columns = (struct talk_columns){columns, 2};
    desk_ask_and_answer(world, &sums);
    assert_non_null(desk_last(world)->why);
    assert_int_equal(world->scans, 0);
    assert_int_equal(world->open_now, 0);
    desk_end(world);
}

/* Whoever can write to the topic can write anything there. */
static void what_is_no_question_to_this_desk_is_passed_over(void **state)
{
    static const char *const texts[] = {"",
                                        "{",
                                        "[]",
                                        "null",
                                        "{\"v\":2,\"ask\":\"end\"}",
                                        "{\"v\":1,\"ask\":\"drop\"}",
                                        "{\"v\":1,\"answer\":\"stamp\",\"id\":\"" DESK_FIRST
                                        "\",\"number\":1,\"from\":\"x\","
                                        "\"can\":false,\"why\":\"no\"}"};
    (void)state;
    struct desk_case *world = desk_begin(4);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        desk_take(world, texts[i]);
    struct talk_question stamp = desk_question(TALK_STAMP, DESK_FIRST, 1);
    stamp.to = "billing/0193/2";
    desk_ask(world, &stamp);
    stamp.to = "shop/-/1";
    desk_ask(world, &stamp);
    assert_int_equal(world->answer_count, 0);
    assert_int_equal(atomic_load(&world->metrics.questions), 0);
    desk_end(world);
}

static void keep_says_how_far_a_question_is(void **state)
{
    (void)state;
    struct desk_case *world = desk_begin(4);
    const struct talk_question sums = desk_question(TALK_SUMS, DESK_FIRST, 2);
    const struct talk_question keep = desk_question(TALK_KEEP, DESK_FIRST, 2);
    desk_begin_session(world, DESK_FIRST);
    world->asked[0] = desk_text(&keep);
    world->asked_count = 1;
    desk_ask_and_answer(world, &sums);
    const struct talk_answer *told = &world->answers[world->answer_count - 2].answer;
    assert_int_equal(told->ask, TALK_KEEP);
    assert_int_equal(told->rows, 1);
    desk_end(world);
}

static void an_end_ends_the_reading_of_rows(void **state)
{
    (void)state;
    struct desk_case *world = desk_begin(4);
    const struct talk_question sums = desk_question(TALK_SUMS, DESK_FIRST, 2);
    const struct talk_question end = desk_question(TALK_END, DESK_FIRST, 3);
    desk_begin_session(world, DESK_FIRST);
    size_t before = world->answer_count;
    world->asked[0] = desk_text(&end);
    world->asked_count = 1;
    desk_ask_and_answer(world, &sums);
    assert_int_equal(world->answer_count, before);
    assert_int_equal(world->open_now, 0);
    desk_end(world);
}

static void a_question_that_was_lost_is_told(void **state)
{
    (void)state;
    struct desk_case *world = desk_begin(4);
    const struct talk_question keep = desk_question(TALK_KEEP, DESK_FIRST, 2);
    desk_begin_session(world, DESK_FIRST);
    desk_ask(world, &keep);
    desk_assert_last(world, &keep, "a question did not arrive, or could not be read here");
    assert_int_equal(world->open_now, 0);
    desk_end(world);
}

static void whoever_asks_without_a_session_is_told(void **state)
{
    static const enum talk_ask asks[] = {TALK_SUMS, TALK_LIST, TALK_KEYS, TALK_KEEP};
    (void)state;
    struct desk_case *world = desk_begin(4);
    for (size_t i = 0; i < sizeof asks / sizeof *asks; i++) {
        const struct talk_question question = desk_question(asks[i], DESK_FIRST, 2);
        desk_ask(world, &question);
        desk_assert_last(world, &question,
                         "its session has ended there, or its sidecar was restarted");
    }
    const struct talk_question end = desk_question(TALK_END, DESK_FIRST, 2);
    desk_ask(world, &end);
    assert_int_equal(world->answer_count, sizeof asks / sizeof *asks);
    desk_end(world);
}

/* A client library names hosts and logins. */
static void what_a_database_says_stays_here(void **state)
{
    (void)state;
    struct desk_case *world = desk_begin(4);
    world->list_fails = "connection to server at \"db.internal\" failed";
    world->native_code = 7;
    desk_begin_session(world, DESK_FIRST);
    const struct talk_question sums = desk_question(TALK_SUMS, DESK_FIRST, 2);
    desk_ask_and_answer(world, &sums);
    desk_assert_last(
        world, &sums,
        "its database does not answer, or refuses; the log of its sidecar has the reason");
    assert_string_equal(buffer_text(&world->said), world->list_fails);
    assert_int_equal(world->open_now, 0);
    desk_end(world);
}

static void a_report_is_asked_for_by_topic(void **state)
{
    static const char *const other[] = {"invoice"};
    static const char *const both[] = {"invoice", "order"};
    (void)state;
    struct desk_case *world = desk_begin(4);
    struct talk_question report = desk_question(TALK_REPORT, DESK_FIRST, 1);
    report.to = "";
    report.topics = other;
    report.topic_count = 1;
    desk_ask(world, &report);
    assert_int_equal(atomic_load(&world->report_wishes), 0);
    report.topics = both;
    report.topic_count = 2;
    desk_ask(world, &report);
    assert_int_equal(atomic_load(&world->report_wishes), 1);
    assert_int_equal(world->answer_count, 0);
    desk_end(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_stamp_says_how_far_the_rows_are_and_what_is_open),
        TEST(sums_count_the_rows_that_are_not_left_out),
        TEST(rows_are_listed_where_the_data_is_read),
        TEST(values_are_told_only_on_request),
        TEST(many_wide_rows_go_in_parts),
        TEST(what_cannot_be_compared_is_refused_with_the_reason),
        TEST(a_column_that_is_not_in_the_schema_is_refused),
        TEST(what_is_no_question_to_this_desk_is_passed_over),
        TEST(keep_says_how_far_a_question_is),
        TEST(an_end_ends_the_reading_of_rows),
        TEST(a_question_that_was_lost_is_told),
        TEST(whoever_asks_without_a_session_is_told),
        TEST(what_a_database_says_stays_here),
        TEST(a_report_is_asked_for_by_topic),
    };
    return TEST_RUN(tests);
}
