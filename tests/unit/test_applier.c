/* How batches become transactions: duplicates, stops, parking, reduction, own changes, the
 * fence. */
#include "tests/support/copy.h"

#include "common/clock.h"
#include "consumer/store/registry.h"

static void test_applies_and_moves(void **test)
{
    (void)test;
    struct copy *f = copy_begin("", false);
    copy_add(f, 1, 1, "c", COPY_ROW("x", "y"));
    copy_add(f, 2, 2, "c", COPY_A("z") COPY_B_NULL);
    copy_add(f, 3, 2, "d", "");
    copy_apply(f);
    assert_string_equal(copy_rows(f), "1|x|y\n");
    assert_int_equal(copy_where(f)->next_offset, 3);
    copy_add(f, 3, 2, "d", ""); /* published twice */
    copy_add(f, 4, 3, "c", COPY_ROW("n", "m"));
    copy_apply(f);
    assert_string_equal(copy_rows(f), "1|x|y\n3|n|m\n");
    assert_int_equal(atomic_load(&f->metrics->events_duplicate), 1);
    copy_finish(f);
}

static void test_gap_stops_after_what_came_before(void **test)
{
    (void)test;
    struct copy *f = copy_begin("", false);
    copy_add(f, 1, 1, "c", COPY_ROW("1", "1"));
    copy_add(f, 3, 1, "u", COPY_ROW("3", "3"));
    copy_apply(f);
    assert_string_equal(copy_rows(f), "1|1|1\n");
    assert_int_equal(copy_where(f)->next_offset, 1);
    assert_non_null(strstr(copy_where(f)->stopped, "missing"));
    copy_add(f, 4, 1, "u", COPY_ROW("4", "4"));
    copy_apply(f);
    assert_string_equal(copy_rows(f), "1|1|1\n");
    copy_finish(f);
}

static void test_covered_with_another_id_is_a_fork(void **test)
{
    (void)test;
    struct copy *f = copy_begin("", false);
    copy_add(f, 1, 1, "c", COPY_ROW("1", "1"));
    copy_add(f, 2, 1, "u", COPY_ROW("2", "2"));
    copy_add_from(f, "shop", 1, "x1", "", NULL, 1,
                  "{\"op\":\"u\",\"before\":null,\"after\":{\"id\":1,\"a\":\"x\",\"b\":\"x\"}}");
    copy_apply(f);
    assert_string_equal(copy_rows(f), "1|2|2\n");
    assert_int_equal(copy_where(f)->next_offset, 2);
    assert_non_null(strstr(copy_where(f)->stopped, "two histories"));
    copy_finish(f);
}

static void test_unsequenced_key_is_claimed(void **test)
{
    (void)test;
    struct copy *f = copy_begin("", false);
    const char *value =
        "{\"op\":\"c\",\"before\":null,\"after\":{\"id\":1,\"a\":\"p\",\"b\":\"p\"}}";
    copy_add_from(f, "tool", 0, "k1", "", NULL, 1, value);
    copy_add_from(f, "tool", 0, "k1", "", NULL, 1, value);
    copy_apply(f);
    assert_int_equal(atomic_load(&f->metrics->events_duplicate), 1);
    copy_add_from(f, "tool", 0, "k1", "", NULL, 1,
                  "{\"op\":\"u\",\"before\":null,\"after\":{\"id\":1,\"a\":\"q\",\"b\":\"q\"}}");
    copy_apply(f);
    assert_string_equal(copy_rows(f), "1|p|p\n");
    assert_int_equal(atomic_load(&f->metrics->events_parked), 1);
    copy_finish(f);
}

static void test_an_id_or_source_that_is_too_long_for_a_key_is_held(void **test)
{
    (void)test;
    struct copy *f = copy_begin("", false);
    const char *value =
        "{\"op\":\"c\",\"before\":null,\"after\":{\"id\":%d,\"a\":\"p\",\"b\":\"p\"}}";
    const char *most = test_format("%0255d", 1);
    const char *longer = test_format("%0256d", 1);
    copy_add_from(f, "tool", 0, longer, "", NULL, 1, test_format(value, 1));
    copy_add_from(f, longer, 0, "k", "", NULL, 2, test_format(value, 2));
    copy_add_from(f, most, 0, most, "", NULL, 3, test_format(value, 3));
    copy_add_from(f, "tool", 0, longer, "", NULL, 1, "no JSON");
    copy_add_from(f, "tool", 0, longer, "", NULL, 1, test_format(value, 1));
    copy_apply(f);
    assert_string_equal(copy_rows(f), "3|p|p\n");
    /* The record at offset 3 waits behind another: it is decoded only when its turn comes. */
    assert_string_equal(
        sqlite_text(f->database, "SELECT \"offset\", state FROM keepstep_parked ORDER BY 1"),
        "0|0\n1|0\n3|2\n4|0\n");
    assert_string_equal(
        sqlite_text(f->database, "SELECT length(source), length(id) FROM keepstep_idempotency_key"),
        "255|255\n");
    copy_finish(f);
}

static void test_another_value_under_an_applied_id_is_held_and_blocks_its_entity(void **test)
{
    (void)test;
    static const char value[] =
        "{\"op\":\"c\",\"before\":null,\"after\":{\"id\":1,\"a\":\"%s\",\"b\":null}}";
    struct copy *f = copy_begin("", false);
    copy_add_from(f, "tool", 0, "k1", "", NULL, 1, test_format(value, "first"));
    copy_apply(f);
    copy_add_from(f, "tool", 0, "k1", "", NULL, 1, test_format(value, "other"));
    copy_add_from(f, "tool", 0, "k2", "", NULL, 1, test_format(value, "later"));
    copy_add_from(f, "another", 0, "k1", "", NULL, 2,
                  "{\"op\":\"c\",\"before\":null,\"after\":{\"id\":2,\"a\":\"a\",\"b\":null}}");
    copy_apply(f);
    assert_string_equal(copy_rows(f), "1|first|NULL\n2|a|NULL\n");
    assert_string_equal(
        sqlite_text(f->database, "SELECT offset, state, reason FROM keepstep_parked "
                                 "ORDER BY offset"),
        "1|0|another value was applied under the same event id\n2|2|behind a parked event\n");
    assert_int_equal(atomic_load(&f->metrics->events_rejected), 1);
    assert_int_equal(copy_where(f)->next_offset, 4);
    copy_finish(f);
}

static void test_malformed_parks_and_blocks_its_entity(void **test)
{
    (void)test;
    struct copy *f = copy_begin("", false);
    copy_add(f, 1, 1, "c", COPY_ROW("1", "1"));
    copy_add(f, 2, 1, "u", ",\"a\":7");
    copy_add(f, 3, 1, "u", COPY_ROW("3", "3"));
    copy_add(f, 4, 2, "c", COPY_ROW("4", "4"));
    copy_apply(f);
    assert_string_equal(copy_rows(f), "1|1|1\n2|4|4\n");
    assert_int_equal(sqlite_number(f->database, "SELECT count(*) FROM keepstep_parked"), 2);
    copy_add(f, 5, 1, "u", COPY_ROW("5", "5"));
    copy_apply(f);
    assert_string_equal(copy_rows(f), "1|1|1\n2|4|4\n");
    assert_int_equal(sqlite_number(f->database, "SELECT count(*) FROM keepstep_parked"), 3);
    assert_int_equal(copy_where(f)->next_offset, 5);
    copy_finish(f);
}

/* A store that refuses to park the record at offset 3. */
static enum status narrow_park(struct store *store, struct parked_record *records, size_t count,
                               struct error *err)
{
    for (size_t i = 0; i < count; i++) {
        if (records[i].record.offset == 3)
            return error_set(err, STATUS_STOP, "raise max_allowed_packet");
        enum status status = store_sqlite_ops.park(store, &records[i], 1, err);
        if (status != STATUS_OK)
            return status;
    }
    return STATUS_OK;
}

static void test_record_that_cannot_even_be_parked_stops_its_partition(void **test)
{
    (void)test;
    static struct store_ops narrow_ops;
    struct copy *f = copy_begin("", false);
    narrow_ops = store_sqlite_ops;
    narrow_ops.park = narrow_park;
    applier_free(f->applier);
    f->ops = &narrow_ops;
    f->applier = copy_open(f);
    copy_add(f, 1, 1, "c", COPY_ROW("1", "1"));
    copy_add(f, 2, 2, "u", ",\"a\":7");
    copy_add(f, 3, 3, "c", COPY_ROW("3", "3"));
    copy_add(f, 4, 2, "u", ",\"a\":7");
    copy_add(f, 5, 5, "c", COPY_ROW("5", "5"));
    copy_apply(f);
    assert_string_equal(copy_rows(f), "1|1|1\n3|3|3\n");
    assert_int_equal(copy_where(f)->next_offset, 3);
    assert_string_equal(copy_where(f)->stopped, "offset 3: raise max_allowed_packet");
    copy_finish(f);
}

static void test_tombstone_behind_its_sources_delete_is_a_duplicate(void **test)
{
    (void)test;
    struct copy *f = copy_begin("", false);
    copy_add_from(f, "x", 0, "x1", "", NULL, 1,
                  "{\"op\":\"c\",\"before\":null,\"after\":{\"id\":1,\"a\":\"x\",\"b\":null}}");
    copy_add_from(f, "x", 0, "x2", "", NULL, 1, "{\"op\":\"d\",\"before\":null,\"after\":null}");
    copy_add_from(f, "y", 0, "y1", "", NULL, 1,
                  "{\"op\":\"c\",\"before\":null,\"after\":{\"id\":1,\"a\":\"y\",\"b\":null}}");
    copy_apply(f);
    copy_add_from(f, "x", 0, "x3", "", NULL, 1, NULL);
    copy_apply(f);
    assert_string_equal(copy_rows(f), "1|y|NULL\n");
    assert_int_equal(atomic_load(&f->metrics->events_duplicate), 1);
    copy_add_from(f, "y", 0, "y2", "", NULL, 1, NULL); /* y has not seen its row deleted */
    copy_apply(f);
    assert_string_equal(copy_rows(f), "");
    copy_finish(f);
}

static void test_tombstone_behind_a_create_of_its_source_is_a_delete(void **test)
{
    (void)test;
    struct copy *f = copy_begin("", false);
    copy_add_from(f, "x", 0, "x1", "", NULL, 1, "{\"op\":\"d\",\"before\":null,\"after\":null}");
    copy_add_from(f, "x", 0, "x2", "", NULL, 1,
                  "{\"op\":\"c\",\"before\":null,\"after\":{\"id\":1,\"a\":\"x\",\"b\":null}}");
    copy_add_from(f, "x", 0, "x3", "", NULL, 1, NULL);
    copy_apply(f);
    assert_string_equal(copy_rows(f), "");
    assert_int_equal(atomic_load(&f->metrics->events_duplicate), 0);
    copy_finish(f);
}

static void test_debezium_tombstones_count_as_duplicates(void **test)
{
    (void)test;
    struct copy *f = copy_begin("", false);
    f->entries[0].format = FORMAT_DEBEZIUM;
    f->entries[0].foreign = true;
    f->mappings[0].form = (struct record_form){.format = FORMAT_DEBEZIUM, .schema = f->schemas[0]};
    static const char *const values[] = {
        "{\"op\":\"c\",\"before\":null,\"after\":{\"id\":1,\"a\":\"x\",\"b\":null}}",
        "{\"op\":\"d\",\"before\":{\"id\":1},\"after\":null}", NULL};
    for (size_t i = 0; i < 3; i++) {
        struct record record = {.topic = COPY_TOPIC,
                                .form = &f->mappings[0].form,
                                .offset = f->offset++,
                                .key = slice_of("{\"id\":1}"),
                                .value = values[i] == NULL ? (struct slice){0}
                                                           : slice_of(values[i])};
        copy_must(f, batch_add(&f->batch, &record, f->index, applier_finder(f->applier), &f->err));
    }
    copy_apply(f);
    assert_string_equal(copy_rows(f), "");
    assert_int_equal(atomic_load(&f->metrics->events_applied), 2);
    assert_int_equal(atomic_load(&f->metrics->events_duplicate), 1);
    copy_finish(f);
}

static void test_unknown_type_stops(void **test)
{
    (void)test;
    struct copy *f = copy_begin("", false);
    struct header headers[] = {{slice_of("ce_specversion"), slice_of("1.0")},
                               {slice_of("ce_id"), slice_of("u1")},
                               {slice_of("ce_source"), slice_of("tool")},
                               {slice_of("ce_protocol"), slice_of("1")},
                               {slice_of("ce_type"), slice_of("invoice.created")}};
    struct record record = {
        .topic = COPY_TOPIC,
        .key = slice_of("{\"id\":1}"),
        .value = slice_of("{\"op\":\"c\",\"before\":null,\"after\":{\"id\":1}}"),
        .headers = headers,
        .header_count = 5};
    copy_must(f, batch_add(&f->batch, &record, f->index, applier_finder(f->applier), &f->err));
    copy_apply(f);
    assert_non_null(strstr(copy_where(f)->stopped, "invoice"));
    assert_int_equal(copy_where(f)->next_offset, 0);
    copy_finish(f);
}

static void test_lost_fence_is_an_abort(void **test)
{
    (void)test;
    struct copy *f = copy_begin("", false);
    struct applier *other = copy_open(f);
    copy_add(f, 1, 1, "c", COPY_ROW("1", "1"));
    assert_int_equal(applier_apply(f->applier, &f->batch, &f->err), STATUS_ABORT);
    assert_int_equal(f->err.native_code, 0);
    assert_string_equal(copy_rows(f), "");
    applier_free(other);
    copy_finish(f);
}

static void test_revision_reloads_and_goes_on(void **test)
{
    (void)test;
    struct copy *f = copy_begin("", false);
    (void)sqlite_text(f->database, "UPDATE keepstep_position SET revision = revision + 1");
    copy_add(f, 1, 1, "c", COPY_ROW("1", "1"));
    assert_int_equal(applier_apply(f->applier, &f->batch, &f->err), STATUS_ABORT);
    assert_int_equal(f->err.native_code, 1);
    error_clear(&f->err);
    assert_true(applier_is_reloaded(f->applier, f->index));
    applier_set_reloaded(f->applier, f->index, false);
    copy_apply(f);
    assert_string_equal(copy_rows(f), "1|1|1\n");
    copy_finish(f);
}

static void test_state_survives_a_restart(void **test)
{
    (void)test;
    struct copy *f = copy_begin("", false);
    copy_add(f, 1, 1, "c", COPY_ROW("1", "1"));
    copy_apply(f);
    applier_free(f->applier);
    f->applier = copy_open(f);
    assert_int_equal(copy_where(f)->next_offset, 1);
    copy_add(f, 1, 1, "c", COPY_ROW("1", "1"));
    copy_add(f, 2, 1, "u", COPY_ROW("2", "2"));
    copy_apply(f);
    assert_string_equal(copy_rows(f), "1|2|2\n");
    assert_string_equal(copy_where(f)->stopped, "");
    copy_finish(f);
}

/* A copy beside an outbox in which one own change waits. */
static struct copy *begin_with_own_change(void)
{
    return copy_begin(
        test_format("%s;INSERT INTO outbox(id, aggregatetype, aggregateid, type, payload)"
                    " VALUES ('o1', 'order', '{\"id\":1}', 'order.updated', '{}')",
                    copy_outbox_tables[DATABASE_SQLITE]),
        true);
}

static void test_own_void_writes_the_kept_image(void **test)
{
    (void)test;
    struct copy *f = begin_with_own_change();
    copy_add(f, 1, 1, "u", COPY_ROW("theirs", "theirs"));
    copy_apply(f);
    (void)sqlite_text(f->database, "UPDATE outbox SET kafka_partition = 0, sequence = 1");
    copy_add_from(f, "billing", 1, "o1", "", "void", 1, "nothing that can be read");
    copy_apply(f);
    assert_string_equal(copy_rows(f), "1|theirs|theirs\n");
    copy_finish(f);
}

static void test_dropped_own_change_lets_the_kept_image_be_written(void **test)
{
    (void)test;
    struct copy *f = begin_with_own_change();
    copy_add(f, 1, 1, "u", COPY_ROW("theirs", "theirs"));
    copy_apply(f);
    copy_must(f, applier_write_images(f->applier, &f->err));
    assert_string_equal(copy_rows(f), "1|own|own\n"); /* the own change is still pending */
    (void)sqlite_text(f->database, "DELETE FROM outbox");
    copy_must(f, applier_write_images(f->applier, &f->err));
    copy_must(f, applier_write_images(f->applier, &f->err)); /* the second call begins anew */
    assert_string_equal(copy_rows(f), "1|theirs|theirs\n");
    assert_int_equal(sqlite_number(f->database, "SELECT count(*) FROM keepstep_superseded"), 0);
    copy_finish(f);
}

static void test_kept_image_is_written_after_a_restart_too(void **test)
{
    (void)test;
    struct copy *f = begin_with_own_change();
    copy_add(f, 1, 1, "u", COPY_ROW("theirs", "theirs"));
    copy_apply(f);
    applier_free(f->applier);
    (void)sqlite_text(f->database, "DELETE FROM outbox");
    f->applier = copy_open(f);
    copy_must(f, applier_write_images(f->applier, &f->err));
    assert_string_equal(copy_rows(f), "1|theirs|theirs\n");
    copy_finish(f);
}

static void test_kept_image_is_gone_once_something_newer_is_written(void **test)
{
    (void)test;
    struct copy *f = begin_with_own_change();
    copy_add(f, 1, 1, "u", COPY_ROW("theirs", "theirs"));
    copy_apply(f);
    (void)sqlite_text(f->database, "DELETE FROM outbox");
    copy_add(f, 2, 1, "u", COPY_ROW("newer", "newer"));
    copy_apply(f);
    assert_string_equal(copy_rows(f), "1|newer|newer\n");
    copy_must(f, applier_write_images(f->applier, &f->err));
    copy_add_from(f, "billing", 1, "o2", "", "void", 1, "nothing that can be read");
    copy_apply(f);
    assert_string_equal(copy_rows(f), "1|newer|newer\n");
    copy_finish(f);
}

/* The merged image has Keepstep's form, whatever form the topic's records have. */
static void test_kept_images_of_another_program_are_merged_and_written(void **test)
{
    (void)test;
    struct copy *f = begin_with_own_change();
    f->entries[0].format = FORMAT_DEBEZIUM;
    f->entries[0].foreign = true;
    f->mappings[0].form = (struct record_form){.format = FORMAT_DEBEZIUM, .schema = f->schemas[0]};
    static const char *const values[] = {
        "{\"op\":\"c\",\"before\":null,\"after\":{\"id\":1,\"a\":\"1\",\"b\":\"1\"}}",
        "{\"op\":\"u\",\"before\":null,\"after\":{\"id\":1,\"a\":\"2\",\"b\":"
        "\"__debezium_unavailable_value\"}}"};
    for (size_t i = 0; i < 2; i++) {
        struct record record = {.topic = COPY_TOPIC,
                                .form = &f->mappings[0].form,
                                .offset = f->offset++,
                                .key = slice_of("{\"id\":1}"),
                                .value = slice_of(values[i])};
        copy_must(f, batch_add(&f->batch, &record, f->index, applier_finder(f->applier), &f->err));
    }
    copy_apply(f);
    assert_string_equal(copy_rows(f), "1|own|own\n");
    (void)sqlite_text(f->database, "DELETE FROM outbox");
    copy_must(f, applier_write_images(f->applier, &f->err));
    assert_string_equal(copy_rows(f), "1|2|1\n");
    copy_finish(f);
}

static void test_refused_kept_image_waits_like_its_record(void **test)
{
    (void)test;
    struct copy *f = begin_with_own_change();
    (void)sqlite_text(f->database, "CREATE UNIQUE INDEX orders_a ON orders (a);"
                                   "INSERT INTO orders VALUES (2, 'theirs', 'first')");
    copy_add(f, 1, 1, "u", COPY_ROW("theirs", "theirs"));
    copy_apply(f);
    (void)sqlite_text(f->database, "DELETE FROM outbox");
    copy_must(f, applier_write_images(f->applier, &f->err));
    assert_string_equal(copy_rows(f), "1|own|own\n2|theirs|first\n");
    assert_string_equal(sqlite_text(f->database, "SELECT \"offset\", state FROM keepstep_parked"),
                        "0|1\n");
    assert_int_equal(sqlite_number(f->database, "SELECT count(*) FROM keepstep_superseded"), 0);
    copy_add(f, 2, 2, "d", "");
    copy_apply(f);
    copy_retry(f, clock_wall_us());
    assert_string_equal(copy_rows(f), "1|theirs|theirs\n");
    copy_finish(f);
}

static void test_own_event_parked_and_skipped_does_not_bring_an_older_image(void **test)
{
    (void)test;
    struct copy *f = begin_with_own_change();
    copy_add(f, 1, 1, "u", COPY_ROW("theirs", "theirs"));
    copy_apply(f);
    (void)sqlite_text(f->database, "UPDATE outbox SET kafka_partition = 0, sequence = 1");
    copy_add_from(f, "billing", 1, "o1", "", NULL, 1, "not to be read");
    copy_apply(f);
    assert_int_equal(sqlite_number(f->database, "SELECT count(*) FROM keepstep_parked"), 1);
    copy_must(f, applier_write_images(f->applier, &f->err));
    (void)sqlite_text(f->database, "UPDATE keepstep_parked SET state = 3;"
                                   "UPDATE keepstep_position SET revision = revision + 1");
    copy_must(f, applier_refresh(f->applier, &f->err));
    applier_set_reloaded(f->applier, f->index, false);
    copy_must(f, applier_write_images(f->applier, &f->err));
    assert_string_equal(copy_rows(f), "1|own|own\n");
    copy_finish(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_applies_and_moves),
        TEST(test_gap_stops_after_what_came_before),
        TEST(test_covered_with_another_id_is_a_fork),
        TEST(test_unsequenced_key_is_claimed),
        TEST(test_an_id_or_source_that_is_too_long_for_a_key_is_held),
        TEST(test_another_value_under_an_applied_id_is_held_and_blocks_its_entity),
        TEST(test_malformed_parks_and_blocks_its_entity),
        TEST(test_record_that_cannot_even_be_parked_stops_its_partition),
        TEST(test_tombstone_behind_its_sources_delete_is_a_duplicate),
        TEST(test_tombstone_behind_a_create_of_its_source_is_a_delete),
        TEST(test_debezium_tombstones_count_as_duplicates),
        TEST(test_unknown_type_stops),
        TEST(test_lost_fence_is_an_abort),
        TEST(test_revision_reloads_and_goes_on),
        TEST(test_state_survives_a_restart),
        TEST(test_own_void_writes_the_kept_image),
        TEST(test_dropped_own_change_lets_the_kept_image_be_written),
        TEST(test_kept_image_is_written_after_a_restart_too),
        TEST(test_kept_image_is_gone_once_something_newer_is_written),
        TEST(test_kept_images_of_another_program_are_merged_and_written),
        TEST(test_refused_kept_image_waits_like_its_record),
        TEST(test_own_event_parked_and_skipped_does_not_bring_an_older_image),
    };
    return TEST_RUN(tests);
}
