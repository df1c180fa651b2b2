/* How the parked records of an entity are released: in pieces, in order, beside other work. */
#include "tests/support/copy.h"

#include "common/clock.h"

static const char waiting_tables[] =
    "CREATE TABLE parents(name TEXT PRIMARY KEY);"
    "CREATE TABLE orders(id INTEGER NOT NULL PRIMARY KEY, a TEXT REFERENCES parents(name), b TEXT);"
    "CREATE TABLE seen(n INTEGER PRIMARY KEY, id INTEGER, b TEXT);"
    "CREATE TRIGGER seen_i AFTER INSERT ON orders BEGIN"
    " INSERT INTO seen(id, b) VALUES(new.id, new.b); END;"
    "CREATE TRIGGER seen_u AFTER UPDATE ON orders BEGIN"
    " INSERT INTO seen(id, b) VALUES(new.id, new.b); END;";

/* Add `count` events of one entity, numbered after `from`, whose parent is missing. */
static void add_waiting(struct copy *copy, int from, int count, int key, const char *filler)
{
    for (int i = from; i < from + count; i++) {
        copy_add(copy, i, key, i == from ? "c" : "u",
                 test_format(COPY_ROW("p", "%d%s"), i, filler));
        if (batch_is_full(&copy->batch) || i == from + count - 1)
            copy_apply(copy);
    }
}

/* The outcomes so far are those of the first events: each once, in order. */
static void assert_in_order(const struct copy *copy)
{
    assert_int_equal(sqlite_number(copy->database, "SELECT count(*) FROM seen WHERE n <> b + 0"),
                     0);
}

static void a_run_of_many_small_records_is_released_in_order_and_in_pieces(void **state)
{
    (void)state;
    struct copy *copy = copy_begin(waiting_tables, false);
    add_waiting(copy, 1, 990, 1, "");
    assert_int_equal(copy_parked(copy), 990);
    copy_retry_later(copy, INT64_MAX);
    assert_int_equal(copy_parked(copy), 990);
    (void)sqlite_text(copy->database, "INSERT INTO parents VALUES('p')");
    unsigned long long commits = atomic_load(&copy->metrics->commits);
    copy_retry_later(copy, INT64_MAX);
    assert_int_equal(copy_parked(copy), 0);
    assert_string_equal(copy_rows(copy), "1|p|990\n");
    assert_in_order(copy);
    assert_int_equal(sqlite_number(copy->database, "SELECT count(*) FROM seen"), 990);
    assert_true(atomic_load(&copy->metrics->commits) - commits >= 990 / 100);
    assert_int_equal(atomic_load(&copy->metrics->events_healed), 990);
    copy_add(copy, 991, 1, "u", COPY_ROW("p", "991"));
    copy_apply(copy);
    assert_string_equal(copy_rows(copy), "1|p|991\n"); /* the entity is no longer blocked */
    copy_finish(copy);
}

static void a_run_of_large_records_is_released_in_pieces_that_a_batch_would_hold(void **state)
{
    enum { RECORDS = 60, SIZE = 250000 };
    (void)state;
    static char filler[SIZE + 1];
    struct copy *copy = copy_begin(waiting_tables, false);
    memset(filler, 'x', SIZE);
    filler[0] = ' ';
    add_waiting(copy, 1, RECORDS, 1, filler);
    (void)sqlite_text(copy->database, "INSERT INTO parents VALUES('p')");
    unsigned long long commits = atomic_load(&copy->metrics->commits);
    copy_retry_later(copy, INT64_MAX);
    assert_int_equal(copy_parked(copy), 0);
    assert_in_order(copy);
    assert_true(atomic_load(&copy->metrics->commits) - commits >=
                RECORDS * SIZE / (1 << 20)); /* limits.batch_bytes */
    copy_finish(copy);
}

/* The copy is beside an outbox, where transactions are short. */
static void a_run_goes_on_where_a_restart_has_cut_it(void **state)
{
    (void)state;
    struct copy *copy = copy_begin(waiting_tables, false);
    copy->config.publish_count = 1;
    copy->config.limits.batch_time_ms = 1;
    add_waiting(copy, 1, 300, 1, "");
    (void)sqlite_text(copy->database, "INSERT INTO parents VALUES('p')");
    int64_t last = 300;
    int pieces = 0;
    for (int64_t left = last; left > 0; pieces++) {
        for (left = last; left == last; left = copy_parked(copy))
            copy_must(copy, applier_retry_parked(copy->applier, INT64_MAX, &copy->err));
        assert_true(left < last);
        last = left;
        assert_in_order(copy);
        applier_free(copy->applier);
        copy->applier = copy_open(copy);
    }
    assert_true(pieces > 1);
    assert_string_equal(copy_rows(copy), "1|p|300\n");
    assert_int_equal(sqlite_number(copy->database, "SELECT count(*) FROM seen"), 300);
    copy_finish(copy);
}

static void an_entity_that_is_stuck_holds_up_no_other(void **state)
{
    (void)state;
    struct copy *copy = copy_begin(waiting_tables, false);
    (void)sqlite_text(copy->database, "INSERT INTO parents VALUES('q')");
    add_waiting(copy, 1, 400, 1, "");
    copy_add(copy, 401, 2, "c", COPY_ROW("late", "2"));
    for (int i = 3; i < 40; i++)
        copy_add(copy, 399 + i, i, "c", COPY_ROW("r", "3"));
    copy_apply(copy);
    (void)sqlite_text(copy->database, "INSERT INTO parents VALUES('late')");
    copy_retry_later(copy, INT64_MAX);
    assert_string_equal(copy_rows(copy), "2|late|2\n");
    (void)sqlite_text(copy->database, "INSERT INTO parents VALUES('r')");
    copy_retry_later(copy, INT64_MAX);
    assert_int_equal(sqlite_number(copy->database, "SELECT count(*) FROM orders"), 38);
    assert_int_equal(copy_parked(copy), 400);
    copy_finish(copy);
}

static void
a_delete_far_behind_replaces_what_waits_and_it_stays_as_evidence_from_then_on(void **state)
{
    (void)state;
    struct copy *copy = copy_begin(waiting_tables, false);
    int64_t begun_us = clock_wall_us();
    add_waiting(copy, 1, 500, 1, "");
    copy_add(copy, 501, 1, "d", "");
    copy_apply(copy);
    copy_retry_later(copy, INT64_MAX);
    assert_int_equal(copy_parked(copy), 0);
    assert_string_equal(copy_rows(copy), "");
    assert_int_equal(sqlite_number(copy->database, "SELECT count(*) FROM seen"), 0);
    assert_int_equal(
        sqlite_number(copy->database, "SELECT count(*) FROM keepstep_parked WHERE state = 3"), 500);
    int64_t first = sqlite_number(copy->database,
                                  "SELECT min(next_attempt_at) FROM keepstep_parked");
    assert_true(first >= begun_us + 200000); /* counted from the retry */
    copy_finish(copy);
}

static void a_limit_of_parked_bytes_stops_in_front_of_the_event(void **state)
{
    (void)state;
    struct copy *copy = copy_begin(waiting_tables, false);
    copy->config.limits.parked_bytes = 4000;
    static char filler[1001];
    memset(filler, 'x', 1000);
    add_waiting(copy, 1, 2, 1, filler);
    applier_free(copy->applier);
    copy->applier = copy_open(copy);
    add_waiting(copy, 3, 2, 1, filler);
    assert_int_equal(copy_parked(copy), 3);
    assert_int_equal(copy_where(copy)->next_offset, 3);
    assert_non_null(strstr(copy_where(copy)->stopped, "limits.parked_bytes"));
    copy_finish(copy);
}

/* Add a record of order 1 with any record key. If its type has no dot, its entity cannot be
 * read. */
static void add_keyed(struct copy *copy, struct slice record_key, bool readable, const char *a)
{
    static int id;
    struct header headers[] = {
        {slice_of("ce_specversion"), slice_of("1.0")},
        {slice_of("ce_id"), slice_of(test_format("k%d", ++id))},
        {slice_of("ce_source"), slice_of("tool")},
        {slice_of("ce_type"), slice_of(readable ? "order.updated" : "order")},
        {slice_of("ce_subject"), slice_of("{\"id\":1}")},
        {slice_of("ce_protocol"), slice_of("1")}};
    struct record record = {
        .topic = COPY_TOPIC,
        .offset = copy->offset++,
        .key = record_key,
        .value = slice_of(test_format(
            "{\"op\":\"u\",\"before\":null,\"after\":{\"id\":1,\"a\":\"%s\",\"b\":\"\"}}", a)),
        .headers = headers,
        .header_count = sizeof headers / sizeof *headers};
    copy_must(copy, batch_add(&copy->batch, &record, copy->index, applier_finder(copy->applier),
                              &copy->err));
}

static const char *states(const struct copy *copy)
{
    return sqlite_text(copy->database, "SELECT offset, state FROM keepstep_parked ORDER BY offset");
}

/* Edit a parked record as an operator does while the agent runs. The agent then sees the
 * revision. */
static void operate(struct copy *copy, int64_t offset, enum parked_edit edit)
{
    int64_t parked_id = sqlite_number(
        copy->database,
        test_format("SELECT parked_id FROM keepstep_parked WHERE offset = %d", (int)offset));
    copy_operate(copy, parked_id, edit);
    copy_must(copy, applier_refresh(copy->applier, &copy->err));
    applier_set_reloaded(copy->applier, copy->index, false);
}

static void restart(struct copy *copy, bool restarts)
{
    if (!restarts)
        return;
    applier_free(copy->applier);
    copy->applier = copy_open(copy);
}

static struct copy *begin_foreign(const char *table_sql)
{
    struct copy *copy = copy_begin(table_sql, false);
    copy->entries[0].foreign = true;
    return copy;
}

/* The first record cannot be read. What follows under its key waits and is released in order. */
static void check_unreadable(struct slice key, bool restarts, bool retried)
{
    struct copy *copy = begin_foreign("");
    add_keyed(copy, key, false, "first");
    add_keyed(copy, key, true, "second");
    copy_apply(copy);
    restart(copy, restarts);
    add_keyed(copy, key, true, "third");
    add_keyed(copy, slice_of("of another key"), true, "behind the second");
    copy_apply(copy);
    assert_string_equal(states(copy), "0|0\n1|2\n2|2\n3|2\n");
    if (retried) {
        operate(copy, 0, PARKED_SET_WAITING);
        copy_retry_later(copy, INT64_MAX);
        assert_string_equal(states(copy), "0|0\n1|2\n2|2\n3|2\n"); /* nothing passes it */
    }
    assert_string_equal(copy_rows(copy), "");
    operate(copy, 0, PARKED_SET_SKIPPED);
    restart(copy, restarts);
    copy_retry_later(copy, INT64_MAX);
    assert_string_equal(states(copy), "0|3\n");
    assert_string_equal(copy_rows(copy), "1|behind the second|\n");
    add_keyed(copy, key, true, "last");
    copy_apply(copy);
    assert_string_equal(copy_rows(copy), "1|last|\n");
    copy_finish(copy);
}

/* The unreadable record stands behind a readable one. What follows does not pass it either. */
static void check_unreadable_behind(struct slice key, bool restarts)
{
    struct copy *copy = begin_foreign("CREATE TABLE orders(id INTEGER NOT NULL PRIMARY KEY, "
                                      "a TEXT CHECK (a <> 'bad'), b TEXT);"
                                      "INSERT INTO orders VALUES (1, 'old', '')");
    add_keyed(copy, key, true, "bad");
    add_keyed(copy, key, false, "second");
    add_keyed(copy, key, true, "third");
    copy_apply(copy);
    restart(copy, restarts);
    assert_string_equal(states(copy), "0|0\n1|0\n2|2\n");
    operate(copy, 0, PARKED_SET_SKIPPED);
    copy_retry_later(copy, INT64_MAX);
    assert_string_equal(states(copy), "0|3\n1|0\n2|2\n");
    assert_string_equal(copy_rows(copy), "1|old|\n");
    restart(copy, restarts);
    operate(copy, 1, PARKED_SET_SKIPPED);
    copy_retry_later(copy, INT64_MAX);
    assert_string_equal(copy_rows(copy), "1|third|\n");
    copy_finish(copy);
}

/* A later image replaces records that wait. It does not pass a record that it cannot replace
 * because that one is unreadable. */
static void what_replaces_a_record_that_waits_does_not_pass_one_that_cannot_be_read(void **state)
{
    const struct slice key = slice_of("{\"id\":1}");
    (void)state;
    struct copy *copy = begin_foreign(waiting_tables);
    (void)sqlite_text(copy->database, "INSERT INTO parents VALUES('there')");
    add_keyed(copy, key, true, "missing");
    add_keyed(copy, key, false, "unreadable");
    add_keyed(copy, key, true, "there");
    copy_apply(copy);
    copy_retry_later(copy, INT64_MAX);
    assert_string_equal(states(copy), "0|1\n1|0\n2|2\n");
    assert_string_equal(copy_rows(copy), "");
    operate(copy, 1, PARKED_SET_SKIPPED);
    copy_retry_later(copy, INT64_MAX);
    assert_string_equal(states(copy), "0|3\n1|3\n");
    assert_string_equal(copy_rows(copy), "1|there|\n");
    copy_finish(copy);
}

static void what_cannot_be_read_blocks_by_its_record_key_whatever_that_is(void **state)
{
    (void)state;
    static char longest[5001];
    memset(longest, 'k', sizeof longest - 1);
    const struct slice keys[] = {slice_of("{\"id\":1}"), {"a\0b", 3}, {"\xff\xfe", 2},
                                 slice_of(longest),      {"", 0},     {NULL, 0}};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        for (int round = 0; round < 4; round++)
            check_unreadable(keys[i], round % 2 == 1, round / 2 == 1);
        check_unreadable_behind(keys[i], false);
        check_unreadable_behind(keys[i], true);
    }
}

static void keys_that_begin_alike_and_hold_a_nul_are_not_the_same(void **state)
{
    (void)state;
    struct copy *copy = copy_begin("", false);
    copy->entries[0].foreign = true;
    add_keyed(copy, (struct slice){"a\0b", 3}, false, "first");
    copy_apply(copy);
    add_keyed(copy, (struct slice){"a\0c", 3}, true, "second");
    copy_apply(copy);
    assert_string_equal(copy_rows(copy), "1|second|\n");
    add_keyed(copy, (struct slice){"a", 1}, true, "third");
    copy_apply(copy);
    assert_string_equal(copy_rows(copy), "1|third|\n");
    add_keyed(copy, (struct slice){"a\0b", 3}, true, "fourth");
    copy_apply(copy);
    assert_string_equal(states(copy), "0|0\n3|2\n");
    copy_finish(copy);
}

/* Every parked record of a blocked entity arrives a second time. */
static void many_duplicates_of_what_is_parked_are_judged_anew_once_and_not_each(void **state)
{
    enum { EVENTS = 90 };
    (void)state;
    struct copy *copy = copy_begin(waiting_tables, false);
    const char *value =
        "{\"op\":\"u\",\"before\":null,\"after\":{\"id\":1,\"a\":\"p\",\"b\":\"%d\"}}";
    for (int again = 0; again < 2; again++) {
        for (int i = 0; i < EVENTS; i++)
            copy_add_from(copy, "tool", 0, test_format("e%d", i), "", NULL, 1,
                          test_format(value, i));
        if (again == 0)
            copy_apply(copy);
    }
    copy->claims = 0;
    copy_watch(copy);
    copy_apply(copy);
    assert_int_equal(copy->claims, 1); /* the second pass finds no key to claim */
    assert_int_equal(copy_parked(copy), EVENTS);
    assert_int_equal(atomic_load(&copy->metrics->events_duplicate), EVENTS);
    copy_finish(copy);
}

static void the_limit_of_parked_entities_counts_those_of_its_own_partition(void **state)
{
    (void)state;
    struct copy *copy = copy_begin("", false);
    copy->entries[0].foreign = true;
    copy->config.limits.parked_entities = 3;
    const size_t index[] = {copy->index, copy_take_partition(copy, 1)};
    for (int i = 0; i < 6; i++) { /* one transaction, entities by turns */
        add_keyed(copy, slice_of(test_format("key %d", i)), false, "");
        struct batch_event *event = &copy->batch.events[i];
        event->change.partition_index = index[i % 2];
        event->change.record.partition = i % 2;
        event->change.record.offset = i / 2;
    }
    copy_apply(copy);
    assert_int_equal(copy_parked(copy), 6);
    assert_string_equal(copy_where(copy)->stopped, "");
    copy_finish(copy);
}

/* Some records are parked while the batch is judged, others while it is written. Their order must
 * hold across both. */
static void what_stands_between_two_records_that_are_parked_waits_for_the_first(void **state)
{
    (void)state;
    struct copy *copy = copy_begin(waiting_tables, false);
    copy_add(copy, 1, 1, "c", COPY_ROW("p", "1"));
    copy_add(copy, 2, 1, "u", COPY_A_NULL COPY_B("2"));
    copy_add(copy, 3, 1, "u", ",\"a\":7,\"b\":\"3\""); /* a is no text: this one is held */
    copy_add(copy, 4, 2, "c", COPY_ROW("p", "4"));
    copy_apply(copy);
    assert_string_equal(states(copy), "0|1\n1|2\n2|0\n3|1\n");
    assert_string_equal(copy_rows(copy), "");
    (void)sqlite_text(copy->database, "INSERT INTO parents VALUES('p')");
    copy_retry_later(copy, INT64_MAX);
    assert_string_equal(copy_rows(copy), "1|NULL|2\n2|p|4\n");
    copy_finish(copy);
}

/* The queue is longer than one transaction, and its last record replaces the others. They are
 * removed from the end on, so that the rest is unchanged whenever the removal is cut off. */
static void check_replaced(bool restarts)
{
    struct copy *copy = copy_begin(waiting_tables, false);
    int pieces = 0;
    copy_add(copy, 1, 1, "c", COPY_ROW("p", "1"));
    for (int i = 2; i < 400; i++) {
        copy_add(copy, i, 1, "u", test_format(COPY_B("%d"), i)); /* each is needed */
        if (batch_is_full(&copy->batch))
            copy_apply(copy);
    }
    copy_add(copy, 400, 1, "d", "");
    copy_apply(copy);
    copy->config.publish_count = 1;
    copy->config.limits.batch_time_ms = 1;
    for (int64_t left = 400, last = left; left > 0; pieces++, last = left) {
        for (int i = 0; i < 100 && left == last; i++, left = copy_parked(copy)) {
            clock_sleep_us(i == 99 ? 210000 : 0); /* longer than the pause between two passes */
            copy_must(copy, applier_retry_parked(copy->applier, INT64_MAX, &copy->err));
        }
        assert_true(left < last);
        assert_int_equal(
            sqlite_number(copy->database, "SELECT count(*) FROM keepstep_parked WHERE state = 0"),
            0);
        restart(copy, restarts);
    }
    assert_true(pieces > 1);
    assert_string_equal(copy_rows(copy), "");
    copy_finish(copy);
}

static void what_a_delete_far_behind_replaces_is_never_tried_without_its_beginning(void **state)
{
    (void)state;
    check_replaced(false);
    check_replaced(true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_run_of_many_small_records_is_released_in_order_and_in_pieces),
        TEST(a_run_of_large_records_is_released_in_pieces_that_a_batch_would_hold),
        TEST(a_run_goes_on_where_a_restart_has_cut_it),
        TEST(an_entity_that_is_stuck_holds_up_no_other),
        TEST(a_delete_far_behind_replaces_what_waits_and_it_stays_as_evidence_from_then_on),
        TEST(what_a_delete_far_behind_replaces_is_never_tried_without_its_beginning),
        TEST(what_stands_between_two_records_that_are_parked_waits_for_the_first),
        TEST(a_limit_of_parked_bytes_stops_in_front_of_the_event),
        TEST(what_cannot_be_read_blocks_by_its_record_key_whatever_that_is),
        TEST(what_replaces_a_record_that_waits_does_not_pass_one_that_cannot_be_read),
        TEST(keys_that_begin_alike_and_hold_a_nul_are_not_the_same),
        TEST(many_duplicates_of_what_is_parked_are_judged_anew_once_and_not_each),
        TEST(the_limit_of_parked_entities_counts_those_of_its_own_partition),
    };
    return TEST_RUN(tests);
}
