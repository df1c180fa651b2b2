/* The limits of an applier: back-offs, how much may be parked, barriers, ends of the log, stops. */
#include "tests/support/copy.h"

#include "common/clock.h"

#include <stdio.h>
#include <unistd.h>

static void a_waiting_event_backs_off_and_its_entity_keeps_its_order(void **state)
{
    (void)state;
    struct copy *copy = copy_begin(
        "CREATE TABLE parents(name TEXT PRIMARY KEY);"
        "CREATE TABLE orders(id INTEGER NOT NULL PRIMARY KEY, a TEXT REFERENCES parents(name)"
        " DEFERRABLE INITIALLY DEFERRED, b TEXT);"
        "CREATE TABLE seen(b TEXT);"
        "CREATE TRIGGER seen_i AFTER INSERT ON orders BEGIN INSERT INTO seen VALUES(new.b); END;"
        "CREATE TRIGGER seen_u AFTER UPDATE ON orders BEGIN INSERT INTO seen VALUES(new.b); END;",
        false);
    copy_add(copy, 1, 1, "c", COPY_ROW("p", "first"));
    copy_add(copy, 2, 1, "u", COPY_ROW("p", "second"));
    copy_apply(copy);
    assert_string_equal(sqlite_text(copy->database, "SELECT state FROM keepstep_parked"), "1\n2\n");
    copy_retry_later(copy, clock_wall_us() - 1000000); /* its time has not come */
    assert_int_equal(sqlite_number(copy->database, "SELECT max(attempts) FROM keepstep_parked"), 1);
    int64_t last_wait_us = 0;
    for (int attempt = 2; attempt <= 9; attempt++) {
        int64_t begun_us = clock_wall_us();
        copy_retry_later(copy, INT64_MAX);
        assert_int_equal(
            sqlite_number(copy->database, "SELECT attempts FROM keepstep_parked WHERE state = 1"),
            attempt);
        int64_t wait_us = sqlite_number(copy->database, "SELECT next_attempt_at FROM "
                                                        "keepstep_parked WHERE state = 1") -
                          begun_us;
        assert_true(wait_us > last_wait_us || wait_us >= 60000000);
        assert_true(wait_us < 70000000);
        last_wait_us = wait_us;
    }
    (void)sqlite_text(copy->database, "INSERT INTO parents VALUES('p')");
    copy_retry_later(copy, INT64_MAX);
    assert_string_equal(copy_rows(copy), "1|p|second\n");
    assert_string_equal(sqlite_text(copy->database, "SELECT b FROM seen"), "first\nsecond\n");
    assert_int_equal(copy_parked(copy), 0);
    copy_finish(copy);
}

/* @return what the log says during a retry; the caller frees it. */
static char *log_of_retry(struct copy *copy)
{
    const char *path = test_path("log");
    FILE *log = fopen(path, "w");
    int terminal = dup(STDERR_FILENO);
    assert_non_null(log);
    assert_true(terminal >= 0 && dup2(fileno(log), STDERR_FILENO) >= 0);
    copy_retry_later(copy, INT64_MAX);
    assert_true(dup2(terminal, STDERR_FILENO) >= 0);
    (void)close(terminal);
    (void)fclose(log);
    return test_load_file(path);
}

static size_t lines_with(const char *text, const char *words)
{
    size_t count = 0;
    for (const char *at = strstr(text, words); at != NULL; at = strstr(at + 1, words))
        count++;
    return count;
}

static void of_many_entities_healed_at_once_ten_are_named_and_all_are_counted(void **state)
{
    (void)state;
    struct copy *copy = copy_begin(
        "CREATE TABLE parents(name TEXT PRIMARY KEY);"
        "CREATE TABLE orders(id INTEGER NOT NULL PRIMARY KEY, a TEXT REFERENCES parents(name), "
        "b TEXT);",
        false);
    for (int id = 1; id <= 13; id++)
        copy_add(copy, id, id, "c", COPY_ROW("p", "first"));
    copy_add(copy, 14, 2, "u", COPY_ROW("p", "second"));
    copy_apply(copy);
    char *log = log_of_retry(copy);
    assert_int_equal(lines_with(log, "applied"), 0);
    free(log);
    assert_int_equal(atomic_load(&copy->metrics->events_healed), 0);
    (void)sqlite_text(copy->database, "INSERT INTO parents VALUES('p')");
    log = log_of_retry(copy);
    assert_int_equal(copy_parked(copy), 0);
    const char *const lines[] = {":1} from order/0 offset 0 is applied at attempt 3, and 0 behind",
                                 ":2} from order/0 offset 1 is applied at attempt 3, and 1 behind",
                                 "order/0: what was parked of 3 more entities is applied"};
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        if (lines_with(log, lines[i]) != 1)
            test_fail("no %s in %s", lines[i], log);
    assert_int_equal(lines_with(log, " at attempt "), 10);
    free(log);
    assert_int_equal(atomic_load(&copy->metrics->events_healed), 14);
    assert_int_equal(atomic_load(&copy->metrics->events_applied), 14);
    copy_finish(copy);
}

static void a_parked_event_is_not_called_applied_where_an_own_change_is_under_way(void **state)
{
    (void)state;
    struct copy *copy = copy_begin(test_format("%s; CREATE UNIQUE INDEX one_a ON orders (a);"
                                               "INSERT INTO orders VALUES (2, 'theirs', 'first')",
                                               copy_outbox_tables[DATABASE_SQLITE]),
                                   true);
    copy_add(copy, 1, 1, "u", COPY_ROW("theirs", "theirs"));
    copy_apply(copy);
    assert_int_equal(copy_parked(copy), 1);
    (void)sqlite_text(copy->database, "DELETE FROM orders WHERE id = 2;"
                                      "INSERT INTO outbox(aggregatetype, aggregateid)"
                                      " VALUES ('order', '{\"id\":1}')");
    char *log = log_of_retry(copy);
    if (lines_with(log, ":1} from order/0 offset 0 is superseded at attempt 2, and 0 behind") != 1)
        test_fail("it is not told: %s", log);
    free(log);
    assert_int_equal(copy_parked(copy), 0);
    assert_string_equal(copy_rows(copy), "1|own|own\n");
    assert_int_equal(atomic_load(&copy->metrics->events_superseded), 1);
    assert_int_equal(atomic_load(&copy->metrics->events_healed), 0);
    assert_int_equal(atomic_load(&copy->metrics->events_applied), 0);
    copy_finish(copy);
}

static void a_limit_of_parked_entities_stops_in_front_of_the_event(void **state)
{
    (void)state;
    struct copy *copy = copy_begin("", false);
    copy->config.limits.parked_entities = 2;
    for (int i = 1; i <= 3; i++)
        copy_add(copy, i, i, "c", ",\"a\":7");
    copy_add(copy, 4, 4, "c", COPY_ROW("4", "4"));
    copy_apply(copy);
    assert_int_equal(copy_where(copy)->next_offset, 2);
    assert_non_null(strstr(copy_where(copy)->stopped, "parked_entities"));
    assert_int_equal(copy_parked(copy), 2);
    assert_string_equal(copy_rows(copy), "");
    copy_operate(copy, 1, PARKED_SET_SKIPPED);
    copy->offset = 2;
    copy_add(copy, 3, 3, "c", ",\"a\":7");
    copy_add(copy, 4, 4, "c", COPY_ROW("4", "4"));
    copy_must(copy, applier_refresh(copy->applier, &copy->err));
    applier_set_reloaded(copy->applier, copy->index, false);
    copy_apply(copy);
    assert_string_equal(copy_where(copy)->stopped, "");
    assert_string_equal(copy_rows(copy), "4|4|4\n");
    assert_int_equal(copy_parked(copy), 2);
    copy_finish(copy);
}

static void a_limit_of_parked_records_counts_those_behind_and_those_from_before(void **state)
{
    (void)state;
    struct copy *copy = copy_begin("", false);
    copy->config.limits.parked_records = 3;
    copy_add(copy, 1, 1, "c", ",\"a\":7");
    copy_add(copy, 2, 1, "u", COPY_A("2"));
    copy_apply(copy);
    applier_free(copy->applier);
    copy->applier = copy_open(copy);
    copy_add(copy, 3, 1, "u", COPY_A("3"));
    copy_add(copy, 4, 1, "u", COPY_A("4"));
    copy_apply(copy);
    assert_int_equal(copy_parked(copy), 3);
    assert_int_equal(copy_where(copy)->next_offset, 3);
    assert_non_null(strstr(copy_where(copy)->stopped, "parked_records"));
    copy_finish(copy);
}

static void a_batch_ends_at_a_barrier_and_the_position_passes_it(void **state)
{
    (void)state;
    struct copy *copy = copy_begin("", false);
    copy_add(copy, 1, 1, "c", COPY_ROW("1", "1"));
    copy_add_from(copy, "shop", 2, "e2", "e1", "heartbeat", 1, NULL);
    assert_false(batch_is_full(&copy->batch));
    copy_add_from(copy, "shop", 3, "e3", "e2", "barrier", 1, "what nobody looks at");
    assert_true(batch_is_full(&copy->batch));
    copy_apply(copy);
    assert_false(batch_is_full(&copy->batch));
    assert_int_equal(copy_where(copy)->next_offset, 3);
    copy_add(copy, 4, 1, "u", COPY_ROW("4", "4")); /* the sequence is past both */
    copy_apply(copy);
    assert_string_equal(copy_rows(copy), "1|4|4\n");
    copy_finish(copy);
}

static void an_ignored_type_advances_position_and_sequence(void **state)
{
    (void)state;
    struct copy *copy = copy_begin("", false);
    char ignored[] = "noise";
    char *ignore[] = {ignored};
    copy->config.ignore = ignore;
    copy->config.ignore_count = 1;
    struct header headers[] = {
        {slice_of("ce_specversion"), slice_of("1.0")},
        {slice_of("ce_id"), slice_of("e1")},
        {slice_of("ce_source"), slice_of("shop")},
        {slice_of("ce_type"), slice_of("noise.created")},
        {slice_of("ce_protocol"), slice_of("1")},
        {slice_of("ce_sequence"), slice_of("00000000000000000001")},
        {slice_of("ce_incarnation"), slice_of("0193a7c0-0000-7000-8000-000000000001")}};
    struct record record = {.topic = COPY_TOPIC,
                            .offset = copy->offset++,
                            .key = slice_of("{\"id\":1}"),
                            .value = slice_of("not JSON"),
                            .headers = headers,
                            .header_count = sizeof headers / sizeof *headers};
    copy_must(copy, batch_add(&copy->batch, &record, copy->index, applier_finder(copy->applier),
                              &copy->err));
    copy_add(copy, 2, 1, "c", COPY_ROW("2", "2"));
    copy_apply(copy);
    assert_string_equal(copy_rows(copy), "1|2|2\n");
    assert_int_equal(copy_where(copy)->next_offset, 2);
    copy_finish(copy);
}

static void
a_record_outside_the_partition_of_its_key_is_held_unless_its_topic_is_foreign(void **test)
{
    (void)test;
    struct copy *copy = copy_begin("", false);
    copy->partition_count = 2;
    applier_free(copy->applier);
    copy->applier = copy_open(copy);
    int here = 0;
    int elsewhere = 0;
    for (int key = 1; here == 0 || elsewhere == 0; key++)
        *(partition_of(slice_of(test_format("{\"id\":%d}", key)), 2) == 0 ? &here
                                                                          : &elsewhere) = key;
    copy_add(copy, 1, here, "c", COPY_ROW("1", "1"));
    copy_add(copy, 2, elsewhere, "c", COPY_ROW("2", "2"));
    copy_apply(copy);
    assert_string_equal(copy_rows(copy), test_format("%d|1|1\n", here));
    assert_string_equal(
        sqlite_text(copy->database,
                    "SELECT state, reason LIKE '%partition of its key%' FROM keepstep_parked"),
        "0|1\n");
    copy->entries[0].foreign = true;
    copy_add(copy, 3, elsewhere + 2 * here, "c", COPY_ROW("3", "3"));
    copy_apply(copy);
    assert_int_equal(copy_parked(copy), 1);
    copy_finish(copy);
}

/* Its partition was judged when it was read. A retry does not judge it again. */
static void a_record_outside_its_partition_stays_held_when_the_one_before_it_is_skipped(void **test)
{
    (void)test;
    struct copy *copy = copy_begin("", false);
    copy->partition_count = 2;
    applier_free(copy->applier);
    copy->applier = copy_open(copy);
    int elsewhere = 1;
    while (partition_of(slice_of(test_format("{\"id\":%d}", elsewhere)), 2) == 0)
        elsewhere++;
    copy_add(copy, 1, elsewhere, "c", COPY_ROW("1", "1"));
    copy_add(copy, 2, elsewhere, "u", COPY_ROW("2", "2"));
    copy_apply(copy);
    copy_operate(copy, 1, PARKED_SET_SKIPPED);
    copy_must(copy, applier_refresh(copy->applier, &copy->err));
    copy_retry(copy, INT64_MAX);
    assert_string_equal(copy_rows(copy), "");
    assert_string_equal(
        sqlite_text(copy->database, "SELECT state FROM keepstep_parked ORDER BY parked_id"),
        "3\n0\n");
    copy_finish(copy);
}

static void a_null_value_deletes_by_key(void **state)
{
    (void)state;
    struct copy *copy = copy_begin("", false);
    copy->entries[0].foreign = true;
    copy_add(copy, 1, 1, "c", COPY_ROW("1", "1"));
    copy_add(copy, 2, 2, "c", COPY_ROW("2", "2"));
    copy_apply(copy);
    copy_add_from(copy, "tool", 0, "t1", "", NULL, 1, NULL);
    copy_apply(copy);
    assert_string_equal(copy_rows(copy), "2|2|2\n");
    copy_finish(copy);
}

static void the_end_of_the_log_moves_the_position_but_never_past_a_stop(void **state)
{
    (void)state;
    struct copy *copy = copy_begin("", false);
    copy_add(copy, 1, 1, "c", COPY_ROW("1", "1"));
    applier_note_end(copy->applier, copy->index, 2); /* a control record follows */
    copy_apply(copy);
    assert_int_equal(copy_where(copy)->next_offset, 2);
    applier_note_end(copy->applier, copy->index, 4);
    assert_true(applier_has_ends(copy->applier));
    copy_apply(copy);
    assert_int_equal(copy_where(copy)->next_offset, 4);
    assert_false(applier_has_ends(copy->applier));
    copy->offset = 4;
    copy_add(copy, 3, 1, "u", COPY_ROW("3", "3"));
    applier_note_end(copy->applier, copy->index, 6);
    copy_apply(copy);
    assert_int_equal(copy_where(copy)->next_offset, 4);
    assert_non_null(strstr(copy_where(copy)->stopped, "gap"));
    assert_false(applier_has_ends(copy->applier));
    copy_finish(copy);
}

/* The agent drops what it has read of a partition, where a record of it found no room. */
static void an_end_that_was_noted_before_a_partition_is_read_again_does_not_count(void **state)
{
    (void)state;
    struct copy *copy = copy_begin("", false);
    copy_add(copy, 1, 1, "c", COPY_ROW("1", "1"));
    applier_note_end(copy->applier, copy->index, 1);
    applier_set_reloaded(copy->applier, copy->index, true);
    batch_remove(&copy->batch, copy->index);
    assert_false(applier_has_ends(copy->applier));
    applier_set_reloaded(copy->applier, copy->index, false);
    copy_apply(copy);
    assert_int_equal(copy_where(copy)->next_offset, 0);
    copy->offset = 0;
    copy_add(copy, 1, 1, "c", COPY_ROW("1", "1"));
    copy_apply(copy);
    assert_string_equal(copy_rows(copy), "1|1|1\n");
    copy_finish(copy);
}

static void an_incarnation_seen_first_in_the_middle_is_a_gap_and_from_its_start_is_not(void **state)
{
    (void)state;
    struct copy *copy = copy_begin("", false);
    copy_add(copy, 1, 1, "c", COPY_ROW("1", "1"));
    copy_add_from(copy, "clone", 1, "x1", "", NULL, 1,
                  "{\"op\":\"u\",\"before\":null,\"after\":{\"id\":1,\"a\":\"x\",\"b\":\"x\"}}");
    copy_add_from(copy, "third", 9, "y9", "y8", NULL, 1,
                  "{\"op\":\"u\",\"before\":null,\"after\":{\"id\":1,\"a\":\"y\",\"b\":\"y\"}}");
    copy_apply(copy);
    assert_string_equal(copy_rows(copy), "1|x|x\n");
    assert_int_equal(copy_where(copy)->next_offset, 2);
    assert_non_null(strstr(copy_where(copy)->stopped, "gap: sequence 9 of third"));
    copy_finish(copy);
}

static void add_of_incarnation(struct copy *copy, int incarnation)
{
    const char *id = test_format("first-of-%d", incarnation);
    struct header headers[] = {
        {slice_of("ce_specversion"), slice_of("1.0")},
        {slice_of("ce_id"), slice_of(id)},
        {slice_of("ce_source"), slice_of("shop")},
        {slice_of("ce_type"), slice_of("order.created")},
        {slice_of("ce_protocol"), slice_of("1")},
        {slice_of("ce_sequence"), slice_of("00000000000000000001")},
        {slice_of("ce_incarnation"),
         slice_of(test_format("0193a7c0-0000-7000-8000-%012d", incarnation))}};
    struct record record = {
        .topic = COPY_TOPIC,
        .offset = copy->offset++,
        .key = slice_of("{\"id\":1}"),
        .value = slice_of(test_format("{\"op\":\"c\",\"before\":null,\"after\":{\"id\":1,"
                                      "\"a\":\"%d\",\"b\":null}}",
                                      incarnation)),
        .headers = headers,
        .header_count = sizeof headers / sizeof *headers};
    copy_must(copy, batch_add(&copy->batch, &record, copy->index, applier_finder(copy->applier),
                              &copy->err));
}

/* The row of an old incarnation stays, however many have come since. Without it a late copy would
 * look like a gap. */
static void what_an_earlier_incarnation_published_stays_a_duplicate(void **state)
{
    enum { INCARNATIONS = 60 };
    (void)state;
    struct copy *copy = copy_begin("", false);
    for (int i = 0; i < INCARNATIONS; i++)
        add_of_incarnation(copy, i);
    copy_apply(copy);
    applier_free(copy->applier);
    copy->applier = copy_open(copy);
    add_of_incarnation(copy, 0);
    copy_apply(copy);
    assert_string_equal(copy_where(copy)->stopped, "");
    assert_string_equal(copy_rows(copy), test_format("1|%d|NULL\n", INCARNATIONS - 1));
    assert_int_equal(atomic_load(&copy->metrics->events_duplicate), 1);
    copy_finish(copy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_waiting_event_backs_off_and_its_entity_keeps_its_order),
        TEST(of_many_entities_healed_at_once_ten_are_named_and_all_are_counted),
        TEST(a_parked_event_is_not_called_applied_where_an_own_change_is_under_way),
        TEST(a_limit_of_parked_entities_stops_in_front_of_the_event),
        TEST(a_limit_of_parked_records_counts_those_behind_and_those_from_before),
        TEST(what_an_earlier_incarnation_published_stays_a_duplicate),
        TEST(a_batch_ends_at_a_barrier_and_the_position_passes_it),
        TEST(an_ignored_type_advances_position_and_sequence),
        TEST(a_record_outside_the_partition_of_its_key_is_held_unless_its_topic_is_foreign),
        TEST(a_record_outside_its_partition_stays_held_when_the_one_before_it_is_skipped),
        TEST(a_null_value_deletes_by_key),
        TEST(the_end_of_the_log_moves_the_position_but_never_past_a_stop),
        TEST(an_end_that_was_noted_before_a_partition_is_read_again_does_not_count),
        TEST(an_incarnation_seen_first_in_the_middle_is_a_gap_and_from_its_start_is_not),
    };
    return TEST_RUN(tests);
}
