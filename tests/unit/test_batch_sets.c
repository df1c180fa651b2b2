/* Which events of a batch are of one change set, which sets are open, and what a batch leaves to
 * the next one. */
#include "tests/support/test.h"

#include "consumer/apply/batch.h"
#include "consumer/store/store.h"

#include <stdio.h>

#define OLD   "0193a7c0-0000-7000-8000-000000000001"
#define NEW   "0193a7c0-0000-7000-8000-000000000002"
#define SIZE  100
#define BYTES (1 << 20)

static struct batch batch;
static struct batch next;
static struct error err;
static int64_t offset;
static struct sequence_state applied; /* of each source's older incarnation; last 0: none is */
static bool is_partial;

static const struct entity_schema *find_none(void *context, struct slice entity_type)
{
    (void)context;
    (void)entity_type;
    return NULL;
}

static const struct schema_finder finder = {find_none, NULL};

static const struct sequence_state *find_range(void *context, const struct change *change,
                                               bool *ret_partial)
{
    (void)context;
    *ret_partial = is_partial;
    return applied.last > 0 && slice_is(change->incarnation, OLD) ? &applied : NULL;
}

static bool is_of_no_type(void *context, const struct change *change)
{
    (void)context;
    return slice_is(change->entity_type, "nobody");
}

static const struct applied_finder ranges = {find_range, is_of_no_type, NULL};

struct added {
    size_t partition;
    const char *source; /* NULL: the shop */
    const char *incarnation;
    int sequence; /* 0: none */
    int end;      /* 0: alone */
    const char *kind;
    bool is_unknown;  /* a protocol that nobody speaks */
    bool is_fork;     /* it follows another event than the one before it */
    const char *type; /* NULL: an order */
};

static void add_record(const struct added *added)
{
    struct header headers[10];
    size_t count = 0;
    const char *source = added->source == NULL ? "shop" : added->source;
    headers[count++] = (struct header){slice_of("ce_protocol"),
                                       slice_of(added->is_unknown ? "9" : "1")};
    headers[count++] = (struct header){slice_of("ce_source"), slice_of(source)};
    headers[count++] = (struct header){
        slice_of("ce_type"), slice_of(added->type == NULL ? "order.updated" : added->type)};
    headers[count++] = (struct header){slice_of("ce_id"),
                                       slice_of(test_format("e%d", added->sequence))};
    if (added->kind != NULL)
        headers[count++] = (struct header){slice_of("ce_kind"), slice_of(added->kind)};
    if (added->sequence > 0) {
        headers[count++] = (struct header){slice_of("ce_incarnation"),
                                           slice_of(added->incarnation)};
        headers[count++] = (struct header){slice_of("ce_sequence"),
                                           slice_of(test_format("%020d", added->sequence))};
    }
    if (added->sequence > 1)
        headers[count++] = (struct header){
            slice_of("ce_previousid"),
            slice_of(test_format("%s%d", added->is_fork ? "f" : "e", added->sequence - 1))};
    if (added->end > 0)
        headers[count++] = (struct header){slice_of("ce_changeset"),
                                           slice_of(test_format("%020d", added->end))};
    const struct record record = {.topic = "shop",
                                  .partition = (int32_t)added->partition,
                                  .offset = offset++,
                                  .key = slice_of("{\"id\":1}"),
                                  .value = slice_of("0123456789"),
                                  .headers = headers,
                                  .header_count = count};
    if (batch_add(&batch, &record, added->partition, finder, &err) != STATUS_OK)
        test_fail("%s", err.text);
}

static void add(int sequence, int end)
{
    add_record(&(struct added){.incarnation = OLD, .sequence = sequence, .end = end});
}

static void add_other(int sequence, int end)
{
    add_record(&(struct added){.incarnation = NEW, .sequence = sequence, .end = end});
}

static void begin(uint64_t last)
{
    applied = (struct sequence_state){.base = last + 1, .last = last}; /* no id of those is known */
    (void)snprintf(applied.last_id, sizeof applied.last_id, "e%d", (int)last);
    is_partial = false;
    offset = 0;
    assert_int_equal(batch_init(&batch, SIZE, BYTES, BYTES, &err), STATUS_OK);
    assert_int_equal(batch_init(&next, SIZE, BYTES, BYTES, &err), STATUS_OK);
}

static void finish(void)
{
    batch_done(&batch);
    batch_done(&next);
}

static size_t linked(void)
{
    assert_int_equal(batch_link_sets(&batch, ranges, &err), STATUS_OK);
    return batch_whole(&batch);
}

static void keep(void)
{
    (void)linked();
    assert_int_equal(batch_keep(&batch, &next, finder, &err), STATUS_OK);
}

static void assert_event(size_t index, size_t set, size_t set_next, int64_t stop_offset)
{
    const struct batch_event *event = &batch.events[index];
    if (event->set != set || event->set_next != set_next || event->stop_offset != stop_offset)
        test_fail("event %zu: set %zu, next %zd, stops at %lld", index, event->set,
                  (ssize_t)event->set_next, (long long)event->stop_offset);
}

static void assert_fates(const char *expected)
{
    static const char letters[] = {
        [SET_WHOLE] = 'w', [SET_VOID] = 'v', [SET_ABANDONED] = 'a', [SET_BROKEN] = 'b'};
    char fates[SIZE + 1] = "";
    for (size_t i = 0; i < batch.count; i++)
        fates[i] = letters[batch.events[i].fate];
    assert_string_equal(fates, expected);
}

static void events_of_a_set_are_linked_and_what_stands_between_is_not(void **state)
{
    (void)state;
    begin(10);
    add(11, 0);
    add(12, 14);
    add_record(&(struct added){.kind = "heartbeat"});
    add(11, 0); /* late */
    add(13, 14);
    add_record(&(struct added){.source = "tool"});
    add(14, 14);
    add(15, 0);
    assert_int_equal(linked(), 8);
    assert_event(0, 0, SET_LAST, 0);
    assert_event(1, 1, 4, 1);
    assert_event(2, 2, SET_LAST, 1);
    assert_event(3, 3, SET_LAST, 1);
    assert_event(4, 1, 6, 1);
    assert_event(5, 5, SET_LAST, 1);
    assert_event(6, 1, SET_LAST, 1);
    assert_event(7, 7, SET_LAST, 7);
    finish();
}

static void
an_open_set_is_left_to_the_next_batch_with_what_stands_behind_its_beginning(void **state)
{
    (void)state;
    begin(10);
    add(11, 12);
    add(12, 12);
    add(13, 15);
    add_record(&(struct added){.partition = 1, .incarnation = NEW, .sequence = 1});
    add_record(&(struct added){.kind = "heartbeat"});
    add(14, 15);
    assert_int_equal(linked(), 3);
    keep();
    assert_int_equal(batch.count, 3);
    assert_int_equal(batch.events[2].change.partition_index, 1);
    assert_int_equal(linked(), 3);
    assert_int_equal(next.count, 3);
    assert_int_equal(next.kept, 3);
    assert_int_equal(next.events[0].change.record.offset, 2);
    assert_int_equal(next.events[2].change.sequence, 14);
    assert_true(slice_is(next.events[2].change.id, "e14"));
    finish();
}

static void a_batch_of_nothing_but_an_open_set_waits_without_being_read_anew(void **state)
{
    (void)state;
    begin(10);
    add(11, 15);
    add(12, 15);
    keep();
    assert_int_equal(batch.count, 0);
    assert_int_equal(next.count, 2);
    assert_true(next.is_linked);
    assert_int_equal(batch_whole(&next), 0);
    finish();
}

static void a_late_record_of_an_applied_set_opens_nothing(void **state)
{
    (void)state;
    begin(10);
    add(4, 6);
    add(11, 0);
    assert_int_equal(linked(), 2);
    finish();
}

static void a_void_makes_its_set_void_wherever_it_stands(void **state)
{
    static const char *const kinds[][3] = {{"void"}, {NULL, "void"}, {NULL, NULL, "void"}};
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        begin(10);
        add(11, 0);
        for (int j = 0; j < 3; j++)
            add_record(&(struct added){
                .incarnation = OLD, .sequence = 12 + j, .end = 14, .kind = kinds[i][j]});
        add(15, 16);
        add(16, 16);
        assert_int_equal(linked(), 6);
        assert_fates("wvvvww");
        finish();
    }
}

static void another_incarnation_ends_an_open_set_and_late_records_open_it_no_more(void **state)
{
    (void)state;
    begin(10);
    add(11, 15);
    add(12, 15);
    add_other(1, 2);
    add(13, 15);
    add(14, 15);
    add_other(2, 2);
    add(15, 15);
    add(16, 0);
    assert_int_equal(linked(), 8);
    assert_fates("aawwwwww");
    assert_event(2, 2, 5, 2);
    assert_event(3, 3, SET_LAST, 2);
    finish();
}

static void a_late_set_of_an_earlier_incarnation_does_not_wait_for_its_end(void **state)
{
    (void)state;
    begin(10);
    add_other(1, 0);
    add(11, 12);
    assert_int_equal(linked(), 1);
    add_other(2, 3);
    add(13, 14); /* it does not end the newer one's set */
    assert_int_equal(linked(), 1);
    add_other(3, 3);
    assert_int_equal(linked(), 5);
    assert_fates("wawaw");
    finish();
}

static void a_set_of_another_source_is_another_set(void **state)
{
    (void)state;
    begin(0);
    add(1, 2);
    add_record(&(struct added){.source = "web", .incarnation = NEW, .sequence = 1, .end = 2});
    add(2, 2);
    assert_int_equal(linked(), 0);
    add_record(&(struct added){.source = "web", .incarnation = NEW, .sequence = 2, .end = 2});
    assert_int_equal(linked(), 4);
    assert_event(0, 0, 2, 0);
    assert_event(1, 1, 3, 0);
    assert_event(3, 1, SET_LAST, 0);
    finish();
}

/* Nobody would tell why the partition stands still, if the end of the set never came. */
static void what_stops_a_partition_is_not_waited_behind(void **state)
{
    (void)state;
    begin(10);
    add(11, 15);
    add_record(&(struct added){.is_unknown = true});
    assert_int_equal(linked(), 2);
    assert_event(1, 1, SET_LAST, 0);
    finish();
    begin(10);
    add(11, 15);
    add(13, 15); /* a gap */
    assert_int_equal(linked(), 2);
    assert_event(1, 1, SET_LAST, 0);
    finish();
    begin(10);
    add(11, 15);
    add(12, 14);
    assert_int_equal(linked(), 2);
    assert_fates("wb");
    assert_event(1, 1, SET_LAST, 0);
    finish();
    begin(10);
    add(11, 15);
    add_record(&(struct added){.incarnation = OLD, .sequence = 12, .end = 15, .is_fork = true});
    assert_int_equal(linked(), 2);
    assert_event(1, 1, SET_LAST, 0);
    finish();
    begin(10);
    add(11, 15);
    add_record(
        &(struct added){.incarnation = OLD, .sequence = 12, .end = 15, .type = "nobody.updated"});
    assert_int_equal(linked(), 2);
    assert_event(1, 1, SET_LAST, 0);
    finish();
    begin(10);
    add_record(&(struct added){.incarnation = OLD, .sequence = 11, .end = 15, .is_fork = true});
    assert_int_equal(linked(), 1);
    finish();
}

/* Nothing of it is written. */
static void an_unknown_type_in_a_void_set_stops_nothing(void **state)
{
    (void)state;
    begin(10);
    add_record(&(struct added){.incarnation = OLD, .sequence = 11, .end = 12, .kind = "void"});
    assert_int_equal(linked(), 0);
    add_record(
        &(struct added){.incarnation = OLD, .sequence = 12, .end = 12, .type = "nobody.updated"});
    assert_int_equal(linked(), 2);
    assert_fates("vv");
    finish();
}

static void a_copy_that_begins_in_the_middle_waits_for_no_set_that_has_begun_before(void **state)
{
    (void)state;
    begin(0);
    is_partial = true;
    add(12, 14);
    assert_int_equal(linked(), 1);
    add(13, 14);
    add(14, 14);
    add(15, 17);
    assert_int_equal(linked(), 3);
    finish();
    begin(0);
    is_partial = true;
    add(12, 0); /* alone: it begins and ends itself */
    add(13, 14);
    assert_int_equal(linked(), 1);
    finish();
}

static void a_batch_goes_on_to_the_end_of_its_last_set(void **state)
{
    (void)state;
    begin(0);
    for (int i = 1; i <= SIZE; i++)
        add(i, SIZE + 20);
    assert_false(batch_is_full(&batch));
    for (int i = SIZE + 1; i < SIZE + 20; i++)
        add(i, SIZE + 20);
    assert_false(batch_is_full(&batch));
    add(SIZE + 20, SIZE + 20);
    assert_true(batch_is_full(&batch));
    assert_int_equal(linked(), SIZE + 20);
    finish();
}

/* Otherwise a set that waits for long would leave the other partitions no room. */
static void what_was_kept_does_not_count(void **state)
{
    (void)state;
    begin(0);
    for (int i = 1; i < SIZE; i++)
        add(i, 2 * SIZE);
    add_record(&(struct added){.partition = 1, .incarnation = NEW, .sequence = 1});
    assert_true(batch_is_full(&batch));
    keep();
    assert_int_equal(batch.count, 1);
    assert_int_equal(next.kept, SIZE - 1);
    assert_false(batch_is_full(&next));
    batch_remove(&next, 0);
    assert_int_equal(next.kept, 0);
    finish();
}

static void a_barrier_in_an_open_set_does_not_end_the_batch(void **state)
{
    (void)state;
    begin(0);
    add(1, 3);
    add_record(&(struct added){.kind = "barrier"});
    assert_false(batch_is_full(&batch));
    add(2, 3);
    add(3, 3);
    add_record(&(struct added){.kind = "barrier"});
    assert_true(batch_is_full(&batch));
    finish();
}

static void a_batch_without_sets_is_whole(void **state)
{
    (void)state;
    begin(0);
    add(1, 0);
    add(2, 0);
    assert_int_equal(linked(), 2);
    assert_event(1, 1, SET_LAST, 1);
    keep();
    assert_int_equal(batch.count, 2);
    assert_int_equal(next.count, 0);
    finish();
}

/* Nobody links a batch without sets: what was linked before would stand for other events. */
static void events_stand_alone_where_others_of_their_batch_are_taken_out(void **state)
{
    (void)state;
    begin(10);
    for (size_t i = 0; i < 6; i++)
        add_record(
            &(struct added){.partition = i % 2, .incarnation = OLD, .sequence = 11 + (int)i});
    batch_remove(&batch, 0);
    assert_int_equal(batch.count, 3);
    for (size_t i = 0; i < batch.count; i++)
        assert_event(i, i, SET_LAST, (int64_t)(2 * i + 1));
    finish();
}

static void a_barrier_behind_a_late_record_in_an_open_set_does_not_end_what_is_kept(void **state)
{
    (void)state;
    begin(10);
    add(11, 13);
    add(12, 13);
    add(10, 10); /* late, and the end of its set */
    add_record(&(struct added){.kind = "barrier"});
    keep();
    assert_int_equal(next.count, 4);
    assert_false(batch_is_full(&next));
    finish();
}

/* Partitions have sequences of their own, which may be the same ones. */
static void a_large_set_that_comes_late_makes_none_of_another_partition_late(void **state)
{
    (void)state;
    begin(10);
    batch.set_events_max = 5;
    add(11, 30);
    assert_true(batch.has_large);
    batch_note_late(&batch, &batch_last(&batch)->change);
    batch_reset(&batch);
    add(12, 30);
    assert_false(batch.has_large);
    add_record(&(struct added){.partition = 1, .incarnation = OLD, .sequence = 11, .end = 30});
    assert_true(batch.has_large);
    finish();
}

static void what_was_taken_out_of_kept_events_gives_its_memory_back(void **state)
{
    (void)state;
    begin(10);
    for (int i = 0; i < 60; i++)
        add_record(&(struct added){
            .partition = (size_t)i / 50, .incarnation = OLD, .sequence = 11 + i % 50, .end = 99});
    keep();
    size_t used = next.arena.used;
    batch_remove(&next, 0);
    assert_int_equal(next.count, 10);
    assert_int_equal(next.arena.used, used);
    assert_int_equal(batch_compact(&next, &batch, finder, &err), STATUS_OK);
    assert_int_equal(next.count, 10);
    assert_int_equal(next.kept, 10);
    assert_true(next.arena.used < used / 4);
    assert_int_equal(batch.count, 0);
    assert_int_equal(next.events[9].change.sequence, 20);
    finish();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(events_of_a_set_are_linked_and_what_stands_between_is_not),
        TEST(an_open_set_is_left_to_the_next_batch_with_what_stands_behind_its_beginning),
        TEST(a_batch_of_nothing_but_an_open_set_waits_without_being_read_anew),
        TEST(a_late_record_of_an_applied_set_opens_nothing),
        TEST(a_void_makes_its_set_void_wherever_it_stands),
        TEST(another_incarnation_ends_an_open_set_and_late_records_open_it_no_more),
        TEST(a_late_set_of_an_earlier_incarnation_does_not_wait_for_its_end),
        TEST(a_set_of_another_source_is_another_set),
        TEST(what_stops_a_partition_is_not_waited_behind),
        TEST(an_unknown_type_in_a_void_set_stops_nothing),
        TEST(a_copy_that_begins_in_the_middle_waits_for_no_set_that_has_begun_before),
        TEST(a_batch_goes_on_to_the_end_of_its_last_set),
        TEST(what_was_kept_does_not_count),
        TEST(a_barrier_in_an_open_set_does_not_end_the_batch),
        TEST(a_batch_without_sets_is_whole),
        TEST(events_stand_alone_where_others_of_their_batch_are_taken_out),
        TEST(a_barrier_behind_a_late_record_in_an_open_set_does_not_end_what_is_kept),
        TEST(a_large_set_that_comes_late_makes_none_of_another_partition_late),
        TEST(what_was_taken_out_of_kept_events_gives_its_memory_back),
    };
    return TEST_RUN(tests);
}
