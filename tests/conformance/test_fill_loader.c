/* The loader of a fill over every store (rules 38 and 41): what it clears, installs and writes,
 * what it refuses, and that each of its transactions can be done again. */
#include "consumer/fill/loader.h"
#include "tests/support/store_case.h"

#define TOPIC     "filled"
#define ATTEMPT_1 "01942f6e-0000-7000-8000-000000000001"
#define ATTEMPT_2 "01942f6e-0000-7000-8000-000000000002"

static struct config_entry entry = {
    .entity_type = (char[]){"order"}, .table = (char[]){"orders"}, .topic = (char[]){TOPIC}};
static const char schema_text[] =
    "{\"$schema\":\"http://json-schema.org/draft-07/schema#\",\"type\":\"object\","
    "\"x-keepstep-key\":[\"id\"],\"required\":[\"id\"],\"properties\":{"
    "\"id\":{\"type\":\"integer\"},\"name\":{\"type\":[\"string\",\"null\"]},"
    "\"price\":{\"type\":[\"string\",\"null\"],\"x-keepstep-type\":\"decimal\"}}}";
static struct entity_schema *schema; /* as long as the program: the memory store's rows have it */
static struct mapping mapping;
static char service[] = "billing";
static struct config config;
static struct fill_loader *loader;
static struct fill_sums sums;
static struct error err;

/* A store of which the answer to one COMMIT is lost, with the connection. */
static struct store_ops lossy;
static int commits;
static int lost;

static enum status lossy_commit(struct store *store, bool durable, struct error *error)
{
    enum status status = store_case_ops->commit(store, durable, error);
    if (status != STATUS_OK || ++commits != lost)
        return status;
    error->connection_lost = true;
    return error_set(error, STATUS_RETRY, "the answer is lost");
}

static enum status lossy_open(const struct store_options *options, struct store **ret_store,
                              struct error *error)
{
    enum status status = store_case_ops->open(options, ret_store, error);
    if (status == STATUS_OK)
        (*ret_store)->ops = &lossy;
    return status;
}

static struct fill_loader *another_loader(void)
{
    struct fill_loader *one = NULL;
    const struct fill_loader_options options = {.ops = lost == 0 ? store_case_ops : &lossy,
                                                .config = &config,
                                                .mappings = &mapping,
                                                .mapping_count = 1,
                                                .topic = TOPIC};
    mapping = (struct mapping){.schema = schema, .entry = &entry};
    config = (struct config){.service = service,
                             .limits = {.batch_events = 7,
                                        .batch_bytes = 65536,
                                        .message_bytes = 65536,
                                        .batch_time_ms = 50,
                                        .scan_time_s = 600}};
    config.database_path = (char *)(uintptr_t)store_case_agent_database();
    assert_int_equal(fill_loader_new(&options, &one, &err), STATUS_OK);
    return one;
}

static void begin_case(void)
{
    error_clear(&err);
    if (schema == NULL) {
        test_write_file(test_path("order.schema.json"), schema_text);
        assert_int_equal(entity_schema_new(test_directory(), "order", &schema, &err), STATUS_OK);
    }
    store_case_settle();
    loader = another_loader();
}

static void must(enum status status)
{
    if (status != STATUS_OK)
        test_fail("%s: %s", status_name(status), err.text);
}

static void drain(void)
{
    while (fill_loader_is_busy(loader)) {
        enum status status = fill_loader_step(loader, &err);
        if (status == STATUS_RETRY && lost > 0)
            error_clear(&err);
        else
            must(status);
    }
}

static enum status ask(const char *id, bool again)
{
    const struct fill_asked asked = {.id = id, .source = "shop", .again = again};
    error_clear(&err);
    return fill_loader_ask(loader, &asked, &err);
}

static enum status begin_at(const char *id, int64_t offset)
{
    static const char *const types[] = {"order"};
    static const uint32_t digests[FILL_DIGESTS] = {[7] = 77};
    const struct fill_position positions[] = {{offset, offset - 1, "e7"}, {0, -1, ""}};
    const struct fill_sequence sequences[] = {
        {0, "shop", "01942f6e-0000-7000-8000-0000000000aa", 1, 7, "e7", digests},
        {1, "billing", "01942f6e-0000-7000-8000-0000000000bb", 1, 4, "b4", NULL}};
    const struct fill_begin begin = {.id = id,
                                     .topic = TOPIC,
                                     .source = "shop",
                                     .cluster_id = "cluster",
                                     .types = types,
                                     .type_count = 1,
                                     .positions = positions,
                                     .partition_count = 2,
                                     .sequences = sequences,
                                     .sequence_count = 2};
    sums = (struct fill_sums){0};
    return fill_loader_begin(loader, &begin, &err);
}

static enum status push(int id, const char *name)
{
    const char *json = test_format("{\"id\":%d,\"name\":\"%s\",\"price\":\"1.5\"}", id, name);
    const struct fill_row row = {
        .entity_type = slice_of("order"),
        .key = slice_of(test_format("{\"id\":%d}", id)),
        .json = slice_of(json),
        .value = slice_of(test_format(FILL_ROW_HEAD "%s" FILL_ROW_TAIL, json))};
    fill_sums_add_row(&sums, &row);
    return fill_loader_row(loader, &row, &err);
}

static void load(int first, int last, const char *name)
{
    for (int id = first; id <= last; id++) {
        must(push(id, name));
        drain();
    }
}

static enum status end_at(int64_t filled_to)
{
    const int64_t ends[] = {filled_to, 3};
    const struct fill_end end = {
        .rows = sums.rows, .digest = sums.digest, .filled_to = ends, .partition_count = 2};
    return fill_loader_end(loader, &end, &err);
}

static void finish(int64_t filled_to)
{
    must(end_at(filled_to));
    drain();
    assert_true(fill_loader_is_done(loader));
}

static void end_case(void)
{
    fill_loader_free(loader);
    loader = NULL;
}

static struct fill_state stored(void)
{
    struct fill_state fill = {0};
    must(fill_loader_read(loader, &fill, &err));
    return fill;
}

static struct partition_state position(int32_t partition)
{
    struct partition_state state = {0};
    must(store_case_ops->read(store_case_store, TOPIC, partition, &state, &err));
    return state;
}

static void rows_are_loaded_at_the_stamp(void)
{
    begin_case();
    must(ask(ATTEMPT_1, false));
    assert_int_equal(stored().stage, FILL_ASKED);
    must(begin_at(ATTEMPT_1, 8));
    drain();
    assert_int_equal(stored().stage, FILL_LOADING);
    load(1, 20, "x");
    const struct fill_key key = {slice_of("tool"), slice_of("k1"), 4711};
    fill_sums_add_key(&sums, &key);
    must(fill_loader_key(loader, &key, &err));
    finish(11);
    struct fill_state fill = stored();
    assert_int_equal(fill.stage, FILL_REPLAYING);
    assert_int_equal(fill.rows, 20);
    assert_string_equal(fill.source, "shop");
    struct partition_state first = position(0);
    struct partition_state second = position(1);
    assert_int_equal(first.next_offset, 8);
    assert_int_equal(first.anchor_offset, 7);
    assert_string_equal(first.anchor_id, "e7");
    assert_int_equal(first.filled_to, 11);
    assert_string_equal(first.cluster_id, "cluster");
    assert_int_equal(first.sequence_count, 1);
    assert_int_equal(first.sequences[0].last, 7);
    assert_int_equal(first.sequences[0].digests[7], 77);
    assert_int_equal(second.next_offset, 0);
    assert_int_equal(second.filled_to, 3);
    assert_string_equal(second.sequences[0].source, "billing");
    partition_state_done(&first);
    partition_state_done(&second);
    struct key_claim claim = {
        .topic = TOPIC, .source = slice_of("tool"), .id = slice_of("k1"), .digest = 4711};
    store_case_begin();
    must(store_case_ops->claim_keys(store_case_store, &claim, 1, &err));
    assert_int_equal(claim.verdict, KEY_DUPLICATE);
    store_case_ops->rollback(store_case_store);
    assert_int_equal(fill_loader_progress(loader).rows, 20);
    assert_int_equal(fill_loader_progress(loader).keys, 1);
    end_case();
}

static void another_attempt_begins_with_an_empty_table(void)
{
    begin_case();
    must(ask(ATTEMPT_1, false));
    must(begin_at(ATTEMPT_1, 8));
    drain();
    load(1, 30, "x"); /* the last rows are not written yet */
    end_case();
    begin_case();
    must(ask(ATTEMPT_2, false));
    must(begin_at(ATTEMPT_2, 6)); /* of another source, which is less far */
    drain();
    assert_int_equal(fill_loader_progress(loader).cleared, 28);
    store_case_assert_rows("");
    load(5, 6, "y");
    finish(9);
    store_case_assert_rows("5|y|1.5\n6|y|1.5\n");
    struct partition_state first = position(0);
    assert_int_equal(first.next_offset, 6);
    partition_state_done(&first);
    end_case();
}

static void a_loader_that_was_overtaken_writes_nothing_more(void)
{
    begin_case();
    must(ask(ATTEMPT_1, false));
    must(begin_at(ATTEMPT_1, 8));
    drain();
    load(1, 7, "x");
    load(8, 10, "x");
    assert_int_equal(stored().rows, 7); /* it waits until they are written */
    struct fill_loader *overtaken = loader;
    loader = another_loader();
    must(ask(ATTEMPT_2, false));
    must(begin_at(ATTEMPT_2, 8));
    drain();
    struct fill_loader *overtaking = loader;
    loader = overtaken;
    for (int id = 11; id <= 14; id++)
        must(push(id, "x"));
    assert_true(fill_loader_is_busy(loader));
    must(fill_loader_step(loader, &err)); /* it is handed over */
    assert_int_equal(fill_loader_end(loader, &(struct fill_end){0}, &err), STATUS_ABORT);
    error_clear(&err);
    for (int id = 15; id <= 21; id++)
        must(push(id, "x"));
    assert_int_equal(fill_loader_step(loader, &err), STATUS_ABORT);
    error_clear(&err);
    int64_t voids = 0;
    assert_int_equal(fill_loader_void(loader, "x", &voids, &err), STATUS_ABORT);
    fill_loader_free(loader);
    error_clear(&err);
    loader = overtaking;
    sums = (struct fill_sums){0};
    load(1, 1, "y");
    finish(9);
    store_case_assert_rows("1|y|1.5\n");
    end_case();
}

static void an_attempt_whose_rows_do_not_add_up_is_void(void)
{
    int64_t voids = 0;
    begin_case();
    must(ask(ATTEMPT_1, false));
    must(begin_at(ATTEMPT_1, 8));
    drain();
    load(1, 3, "x");
    sums.rows++;
    assert_int_equal(end_at(9), STATUS_ABORT);
    error_clear(&err);
    must(fill_loader_void(loader, "a row is missing", &voids, &err));
    assert_int_equal(voids, 1);
    assert_string_equal(stored().reason, "a row is missing");
    must(ask(ATTEMPT_2, false));
    must(begin_at(ATTEMPT_2, 8));
    drain();
    load(1, 3, "x");
    sums.digest++;
    assert_int_equal(end_at(9), STATUS_ABORT);
    error_clear(&err);
    must(fill_loader_void(loader, "others", &voids, &err));
    assert_int_equal(voids, 2);
    assert_int_equal(stored().stage, FILL_LOADING);
    end_case();
}

/* Each transaction in turn: question, mark, clearing, stamp, two of rows, end. */
static void a_commit_whose_answer_is_lost_is_not_done_twice(void)
{
    lossy = *store_case_ops;
    lossy.commit = lossy_commit;
    lossy.open = lossy_open;
    for (lost = 1; lost <= 7; lost++) {
        commits = 0;
        begin_case();
        enum status status = ask(ATTEMPT_1, true);
        if (status == STATUS_RETRY)
            status = ask(ATTEMPT_1, true);
        must(status);
        must(begin_at(ATTEMPT_1, 8));
        drain();
        load(10, 19, "x");
        finish(9);
        assert_true(commits >= lost);
        assert_int_equal(fill_loader_progress(loader).rows, 10);
        assert_int_equal(stored().rows, 10);
        end_case();
    }
    lost = 0;
    store_case_assert_rows("10|x|1.5\n11|x|1.5\n12|x|1.5\n13|x|1.5\n14|x|1.5\n15|x|1.5\n"
                           "16|x|1.5\n17|x|1.5\n18|x|1.5\n19|x|1.5\n");
}

static void write_row(int64_t id, const char *name)
{
    store_case_begin();
    assert_ok(store_case_apply(CHANGE_CREATE, id, name, "2.5"));
    store_case_commit();
}

static void a_table_with_rows_of_somebody_is_refused(void)
{
    write_row(4, "mine");
    begin_case();
    assert_int_equal(ask(ATTEMPT_1, false), STATUS_FATAL);
    assert_true(error_is_config(&err));
    assert_non_null(strstr(err.text, "--again"));
    assert_non_null(strstr(err.text, "{\"id\":4}"));
    store_case_assert_rows("4|mine|2.5\n");
    must(ask(ATTEMPT_1, true));
    must(begin_at(ATTEMPT_1, 8));
    drain();
    store_case_assert_rows("");
    load(5, 5, "x");
    finish(8);
    assert_int_equal(ask(ATTEMPT_2, false), STATUS_FATAL);
    assert_non_null(strstr(err.text, "filled already"));
    store_case_assert_rows("5|x|1.5\n");
    end_case();
}

static void a_row_that_the_schema_refuses_is_named(void)
{
    begin_case();
    must(ask(ATTEMPT_1, false));
    must(begin_at(ATTEMPT_1, 8));
    drain();
    const struct fill_row row = {.entity_type = slice_of("order"),
                                 .key = slice_of("{\"id\":2}"),
                                 .value = slice_of(FILL_ROW_HEAD "{\"id\":\"x\"}" FILL_ROW_TAIL)};
    assert_int_equal(fill_loader_row(loader, &row, &err), STATUS_STOP);
    assert_non_null(strstr(err.text, "{\"id\":2}"));
    end_case();
}

static void a_row_that_the_database_refuses_is_named(void)
{
    (void)store_case_back_end->text(store_case_database(),
                                    "CREATE UNIQUE INDEX names ON orders (name)");
    begin_case();
    must(ask(ATTEMPT_1, false));
    must(begin_at(ATTEMPT_1, 8));
    drain();
    for (int id = 1; id <= 7; id++)
        must(push(id, id == 6 ? "n3" : test_format("n%d", id)));
    assert_true(fill_loader_is_busy(loader));
    must(fill_loader_step(loader, &err)); /* it is handed over */
    must(end_at(9));
    assert_int_equal(fill_loader_step(loader, &err), STATUS_STOP);
    print_message("%s\n", err.text);
    assert_non_null(strstr(err.text, "order {\"id\":6}"));
    assert_int_equal(err.reject, REJECT_WAITING); /* so another topic gets its turn */
    assert_non_null(strstr(err.text, "fill that topic first"));
    error_clear(&err);
    end_case();
}

/* Rows are inserted: the table was cleared. One that came meanwhile is written over all the same.
 */
static void a_row_that_came_meanwhile_is_written_over(void)
{
    begin_case();
    must(ask(ATTEMPT_1, false));
    must(begin_at(ATTEMPT_1, 8));
    drain();
    write_row(9, "meanwhile");
    load(1, 9, "x");
    finish(9);
    assert_int_equal(fill_loader_progress(loader).rows, 9);
    store_case_assert_rows("1|x|1.5\n2|x|1.5\n3|x|1.5\n4|x|1.5\n5|x|1.5\n6|x|1.5\n7|x|1.5\n"
                           "8|x|1.5\n9|x|1.5\n");
    end_case();
}

/* The database does not let go a row that another table refers to; the others are cleared. */
static void a_row_that_others_refer_to_is_said(void)
{
    write_row(1, "x");
    write_row(2, "x");
    write_row(3, "x");
    (void)store_case_back_end->text(store_case_database(),
                                    "CREATE TABLE bills(id int PRIMARY KEY, paid bigint, "
                                    "FOREIGN KEY (paid) REFERENCES orders(id)); "
                                    "INSERT INTO bills VALUES (1, 2)");
    begin_case();
    must(ask(ATTEMPT_1, true));
    must(begin_at(ATTEMPT_1, 8));
    enum status status = STATUS_OK;
    while (status == STATUS_OK && fill_loader_is_busy(loader))
        status = fill_loader_step(loader, &err);
    assert_int_equal(status, STATUS_FATAL);
    print_message("%s\n", err.text);
    assert_non_null(strstr(err.text, "1 rows of filled cannot be deleted"));
    store_case_assert_rows("2|x|2.5\n");
    (void)store_case_back_end->text(store_case_database(), "DROP TABLE bills");
    must(ask(ATTEMPT_2, false));
    must(begin_at(ATTEMPT_2, 8));
    drain();
    store_case_assert_rows("");
    end_case();
}

/* Rows that wait to be published stay, and nothing is written over them. */
static void own_changes_under_way_stay(void)
{
    (void)store_case_back_end->text(store_case_database(), store_case_back_end->outbox);
    write_row(3, "own");
    (void)store_case_back_end->text(store_case_database(),
                                    "INSERT INTO outbox(aggregatetype, aggregateid) VALUES "
                                    "('order', '{\"id\":3}'), ('order', '9')");
    begin_case();
    mapping.published_here = true;
    must(ask(ATTEMPT_1, false));
    must(begin_at(ATTEMPT_1, 8));
    drain();
    assert_int_equal(fill_loader_progress(loader).cleared, 0);
    load(1, 10, "x");
    finish(9);
    assert_int_equal(fill_loader_progress(loader).own, 2);
    assert_int_equal(fill_loader_progress(loader).rows, 10);
    store_case_assert_rows("1|x|1.5\n2|x|1.5\n3|own|2.5\n4|x|1.5\n5|x|1.5\n6|x|1.5\n7|x|1.5\n"
                           "8|x|1.5\n10|x|1.5\n");
    end_case();
}

/* What the service has published below the stamp is in the source's rows. */
static void own_changes_below_the_stamp_are_cleared(void)
{
    (void)store_case_back_end->text(store_case_database(), store_case_back_end->outbox);
    write_row(3, "old");
    write_row(4, "new");
    (void)store_case_back_end->text(
        store_case_database(),
        "DELETE FROM keepstep_relay; INSERT INTO keepstep_relay(incarnation) VALUES "
        "('01942f6e-0000-7000-8000-0000000000bb'); "
        "INSERT INTO outbox(aggregatetype, aggregateid, kafka_partition, sequence) VALUES "
        "('order', '{\"id\":3}', 1, 4), ('order', '{\"id\":4}', 1, 5)");
    begin_case();
    mapping.published_here = true;
    must(ask(ATTEMPT_1, true));
    must(begin_at(ATTEMPT_1, 8));
    drain();
    store_case_assert_rows("4|new|2.5\n");
    load(3, 4, "x");
    finish(9);
    store_case_assert_rows("3|x|1.5\n4|new|2.5\n");
    end_case();
}

static enum status cancel(void)
{
    error_clear(&err);
    return fill_loader_cancel(loader, &err);
}

static void what_was_asked_for_is_taken_back_until_it_begins(void)
{
    begin_case();
    assert_int_equal(cancel(), STATUS_FATAL);
    assert_non_null(strstr(err.text, "nobody has asked"));
    write_row(1, "x");
    must(ask(ATTEMPT_1, true));
    must(begin_at(ATTEMPT_1, 8));
    struct fill_loader *beginning = loader;
    loader = another_loader();
    must(cancel());
    assert_int_equal(stored().stage, FILL_CANCELLED);
    fill_loader_free(loader);
    loader = beginning;
    assert_int_equal(fill_loader_step(loader, &err), STATUS_ABORT); /* nothing is cleared */
    store_case_assert_rows("1|x|2.5\n");
    error_clear(&err);
    must(ask(ATTEMPT_2, true));
    must(begin_at(ATTEMPT_2, 8));
    drain();
    assert_int_equal(cancel(), STATUS_FATAL);
    assert_non_null(strstr(err.text, "are being replaced already (loading)"));
    end_case();
}

static void what_is_not_for_this_copy_is_void(void)
{
    static const char *const types[] = {"note"};
    begin_case();
    must(ask(ATTEMPT_1, false));
    assert_int_equal(begin_at(ATTEMPT_2, 8), STATUS_ABORT);
    error_clear(&err);
    const struct fill_position positions[] = {{0, -1, ""}};
    const struct fill_begin begin = {.id = ATTEMPT_1,
                                     .topic = TOPIC,
                                     .source = "shop",
                                     .cluster_id = "",
                                     .types = types,
                                     .type_count = 1,
                                     .positions = positions,
                                     .partition_count = 1};
    assert_int_equal(fill_loader_begin(loader, &begin, &err), STATUS_ABORT);
    error_clear(&err);
    must(begin_at(ATTEMPT_1, 8));
    drain();
    const struct fill_row row = {.entity_type = slice_of("note"), .key = slice_of("{\"id\":2}")};
    assert_int_equal(fill_loader_row(loader, &row, &err), STATUS_ABORT);
    error_clear(&err);
    end_case();
}

int main(void)
{
    struct store_case cases[] = {
        STORE_CASE(rows_are_loaded_at_the_stamp),
        STORE_CASE(another_attempt_begins_with_an_empty_table),
        STORE_CASE(a_loader_that_was_overtaken_writes_nothing_more),
        STORE_CASE(a_commit_whose_answer_is_lost_is_not_done_twice),
        STORE_CASE(an_attempt_whose_rows_do_not_add_up_is_void),
        STORE_CASE(a_table_with_rows_of_somebody_is_refused),
        STORE_CASE(a_row_that_the_schema_refuses_is_named),
        STORE_CASE_OF_SQL(a_row_that_the_database_refuses_is_named),
        STORE_CASE(a_row_that_came_meanwhile_is_written_over),
        STORE_CASE_OF_SQL(a_row_that_others_refer_to_is_said),
        STORE_CASE_OF_SQL(own_changes_under_way_stay),
        STORE_CASE_OF_SQL(own_changes_below_the_stamp_are_cleared),
        STORE_CASE(what_was_asked_for_is_taken_back_until_it_begins),
        STORE_CASE(what_is_not_for_this_copy_is_void),
    };
    return store_case_run(cases, sizeof cases / sizeof *cases);
}
