/* The contract of a store's snapshots (rules 32 and 37): what is read in one is of one moment, it
 * holds up nobody, and it ends with whoever reads. */
#include "tests/support/store_case.h"

#include "common/buffer.h"
#include "common/clock.h"

#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define TEXT_MAX     ((size_t)1024 * 1024)
#define LIST_LIMIT   10
#define LARGE_ROWS   100
#define LARGE_SIZE   900000
#define GROWTH_MAX   ((size_t)48 * 1024 * 1024) /* of the process; the rows have twice as much */
#define ALTER_MAX_MS 20000                      /* the ALTER alone would wait as long as the scan */

static struct store *reader; /* with the agent's rights */

static const char *ask(const char *sql)
{
    return store_case_back_end->text(store_case_database(), sql);
}

static bool is_sql(void)
{
    return store_case_back_end->text != NULL;
}

static struct store *open_reader(void)
{
    struct store *store = NULL;
    struct store_options options = {
        .path = store_case_agent_database(), .service = "billing", .read_only = true};
    assert_ok(store_case_ops->open(&options, &store, &store_case_err));
    return store;
}

static void snapshot(void)
{
    reader = open_reader();
    store_case_settle();
    assert_ok(store_case_ops->snapshot(reader, true, &store_case_err));
}

static void end_snapshot(void)
{
    assert_ok(store_case_ops->snapshot(reader, false, &store_case_err));
    store_case_ops->close(reader);
    reader = NULL;
}

/* A store finds out about the outbox when it is opened. */
static void make_outbox(void)
{
    if (!is_sql())
        return;
    (void)ask(store_case_back_end->outbox);
    (void)ask("INSERT INTO keepstep_relay VALUES ('first')");
    store_case_ops->close(store_case_store);
    store_case_store = store_case_open();
    assert_ok(store_case_ops->prepare(store_case_store, &store_case_mapping, &store_case_err));
}

static enum status add_row(void *context, const struct scanned_row *row, struct error *err)
{
    struct buffer *text = context;
    const struct value *name = &row->values[1];
    (void)err;
    buffer_append_format(text, "%.*s:%.*s;", SLICE_ARGS(row->key),
                         SLICE_ARGS(name->kind == VALUE_TEXT ? name->text : slice_of("?")));
    return STATUS_OK;
}

static enum status scan_orders(row_visit *visit, void *context)
{
    const struct store_scan scan = {
        .mapping = &store_case_mapping, .visit = visit, .context = context};
    return store_case_ops->scan(reader, &scan, &store_case_err);
}

enum { VIEW_SCAN, VIEW_READ, VIEW_LIST, VIEW_LOOK, VIEW_PARKED, VIEW_IMAGE, VIEW_META, VIEWS };

static void view_read(struct buffer *text)
{
    struct partition_state state;
    assert_ok(store_case_ops->read(reader, STORE_CASE_TOPIC, 0, &state, &store_case_err));
    buffer_append_format(text, "%" PRId64 " %zu %zu", state.next_offset, state.blocked.entity_count,
                         state.sequence_count);
    for (size_t i = 0; i < state.sequence_count; i++)
        buffer_append_format(text, " %s=%" PRIu64, state.sequences[i].source,
                             state.sequences[i].last);
    partition_state_done(&state);
}

static void view_list(struct buffer *text)
{
    struct partition_state *states = NULL;
    size_t count = 0;
    assert_ok(store_case_ops->list(reader, &states, &count, &store_case_err));
    for (size_t i = 0; i < count; i++)
        buffer_append_format(text, "%s/%d=%" PRId64 " ", states[i].topic, states[i].partition,
                             states[i].next_offset);
    free(states);
}

static void view_look(struct buffer *text)
{
    const struct pending_range range = {.schema = store_case_mapping.schema, .above = 4};
    struct pending_read pending = {
        .ranges = &range, .range_count = 1, .arena = &store_case_arena, .limit = LIST_LIMIT};
    assert_ok(store_case_ops->read_pending(reader, &pending, &store_case_err));
    for (size_t i = 0; i < pending.entity_count; i++)
        buffer_append_format(text, "%.*s ", SLICE_ARGS(pending.entities[i].entity_key));
}

static void view_parked(struct buffer *text)
{
    const struct parked_filter filter = {.partition = -1};
    struct parked_records parked;
    assert_ok(
        store_case_ops->read_parked(reader, &filter, &store_case_arena, &parked, &store_case_err));
    for (size_t i = 0; i < parked.count; i++)
        buffer_append_format(text, "%" PRId64 " ", parked.records[i].record.offset);
}

static void view_image(struct buffer *text)
{
    const struct superseded_image wanted = {.entity_type = slice_of("order"),
                                            .entity_key = slice_of("{\"id\":2}")};
    struct superseded_image image;
    assert_ok(
        store_case_ops->read_image(reader, &wanted, &store_case_arena, &image, &store_case_err));
    buffer_append_format(text, "%" PRId64, image.record.topic == NULL ? -1 : image.record.offset);
}

/* @return what one slot says of what it sees. */
static const char *view(int which)
{
    struct buffer text;
    struct store_meta meta;
    buffer_init(&text, TEXT_MAX);
    if (which == VIEW_SCAN)
        assert_ok(scan_orders(add_row, &text));
    else if (which == VIEW_READ)
        view_read(&text);
    else if (which == VIEW_LIST)
        view_list(&text);
    else if (which == VIEW_LOOK)
        view_look(&text);
    else if (which == VIEW_PARKED)
        view_parked(&text);
    else if (which == VIEW_IMAGE)
        view_image(&text);
    else {
        assert_ok(store_case_ops->meta(reader, &meta, &store_case_err));
        buffer_append_text(&text, meta.incarnation);
    }
    const char *kept = test_format("%s", buffer_text(&text));
    buffer_done(&text);
    return kept;
}

/* One transaction of the agent that touches all that a snapshot can be asked for. */
static void agent_writes(int64_t offset, const char *name)
{
    const struct store_ops *ops = store_case_ops;
    struct fence fence = store_case_fence(offset);
    struct sequence_state sequence = {
        .source = "shop", .incarnation = "i", .base = 1, .last = (uint64_t)offset, .last_id = "e"};
    struct parked_record parked = {
        .record = {.topic = STORE_CASE_TOPIC, .offset = offset, .key = slice_of("k")},
        .entity_type = slice_of("order"),
        .entity_key = slice_of(test_format("{\"id\":%" PRId64 "}", 100 + offset))};
    struct superseded_image image = {
        .record = {.topic = STORE_CASE_TOPIC, .offset = offset, .value = slice_of("{}")},
        .entity_type = slice_of("order"),
        .entity_key = slice_of("{\"id\":2}")};
    assert_ok(ops->begin(store_case_store, &fence, 1, &store_case_err));
    assert_ok(store_case_apply(CHANGE_CREATE, 1, name, "1"));
    assert_ok(store_case_apply(CHANGE_CREATE, offset, name, "1"));
    assert_ok(
        ops->record_sequence(store_case_store, STORE_CASE_TOPIC, 0, &sequence, &store_case_err));
    assert_ok(ops->park(store_case_store, &parked, 1, &store_case_err));
    assert_ok(ops->keep_image(store_case_store, &image, &store_case_err));
    store_case_commit();
    store_case_reload();
}

/* What the service and its relay do. */
static void service_writes(int id, const char *incarnation)
{
    if (!is_sql())
        return;
    (void)ask(test_format("INSERT INTO outbox(aggregatetype, aggregateid) VALUES ('order', "
                          "'{\"id\":%d}')",
                          id));
    (void)ask(test_format("UPDATE keepstep_relay SET incarnation = '%s'", incarnation));
}

static void in_a_snapshot_all_slots_see_one_state_whatever_is_committed_meanwhile(void)
{
    const char *before[VIEWS];
    make_outbox();
    agent_writes(6, "old");
    service_writes(3, "first");
    snapshot();
    for (int i = 0; i < VIEWS; i++)
        before[i] = view(i);
    assert_non_null(strstr(before[VIEW_SCAN], "{\"id\":1}:old;"));
    agent_writes(9, "new");
    service_writes(4, "second");
    for (int i = VIEWS; i-- > 0;)
        assert_string_equal(view(i), before[i]);
    assert_ok(store_case_ops->keep(reader, &store_case_err));

    /* The next snapshot shows that each slot would have told the difference. */
    assert_int_equal(store_case_ops->snapshot(reader, true, &store_case_err), STATUS_FATAL);
    error_clear(&store_case_err);
    assert_ok(store_case_ops->snapshot(reader, false, &store_case_err));
    assert_ok(store_case_ops->snapshot(reader, true, &store_case_err));
    for (int i = 0; i < VIEWS; i++) {
        bool of_outbox = i == VIEW_LOOK || i == VIEW_META;
        if ((is_sql() || !of_outbox) && strcmp(view(i), before[i]) == 0)
            test_fail("slot %d sees nothing of the commit: \"%s\"", i, before[i]);
    }
    end_snapshot();
}

static void a_snapshot_is_as_old_as_its_begin_not_as_its_first_question(void)
{
    make_outbox();
    agent_writes(6, "old");
    snapshot();
    agent_writes(9, "new");
    assert_string_equal(view(VIEW_LIST), "order/0=6 ");
    end_snapshot();
}

static void without_a_snapshot_nothing_is_scanned(void)
{
    reader = open_reader();
    assert_int_equal(scan_orders(add_row, NULL), STATUS_RETRY);
    error_clear(&store_case_err);
    assert_int_equal(store_case_ops->keep(reader, &store_case_err), STATUS_RETRY);
    error_clear(&store_case_err);
    end_snapshot();
    assert_int_equal(store_case_ops->snapshot(store_case_store, true, &store_case_err),
                     STATUS_FATAL);
    error_clear(&store_case_err);
}

static void a_snapshot_that_lasts_too_long_ends(void)
{
    struct store_options options = {.path = store_case_agent_database(),
                                    .service = "billing",
                                    .read_only = true,
                                    .snapshot_time_s = 1};
    assert_ok(store_case_ops->open(&options, &reader, &store_case_err));
    assert_ok(store_case_ops->snapshot(reader, true, &store_case_err));
    (void)usleep(1100000);
    assert_int_equal(scan_orders(add_row, NULL), STATUS_RETRY);
    assert_non_null(strstr(store_case_err.text, "limits.scan_time_s"));
    error_clear(&store_case_err);
    end_snapshot();
}

static enum status write_beside(void *context, const struct scanned_row *row, struct error *err)
{
    int64_t *written = context;
    (void)row, (void)err;
    store_case_begin();
    assert_ok(store_case_apply(CHANGE_CREATE, 1000 + ++*written, "beside", "1"));
    store_case_commit();
    return STATUS_OK;
}

/* Fails at the first SQLITE_BUSY, and at any other wait that ends with an error. */
static void the_agent_writes_while_its_copy_is_read(void)
{
    int64_t written = 0;
    store_case_begin();
    for (int64_t id = 1; id <= 300; id++)
        assert_ok(store_case_apply(CHANGE_CREATE, id, "row", "1"));
    store_case_commit();
    snapshot();
    assert_ok(scan_orders(write_beside, &written));
    assert_int_equal(written, 300);
    end_snapshot();
}

static enum status refuse(void *context, const struct scanned_row *row, struct error *err)
{
    ++*(int *)context;
    return error_set(err, STATUS_STOP, "refused %.*s", SLICE_ARGS(row->key));
}

static bool none_is_open(void *context)
{
    (void)context;
    return strcmp(ask(store_case_back_end->snapshots), store_case_back_end->no_snapshots) == 0;
}

static void a_scan_that_fails_ends_its_snapshot_and_the_session_goes_on(void)
{
    int rows = 0;
    store_case_begin();
    for (int64_t id = 1; id <= 50; id++)
        assert_ok(store_case_apply(CHANGE_CREATE, id, "row", "1"));
    store_case_commit();
    snapshot();
    assert_int_equal(scan_orders(refuse, &rows), STATUS_STOP);
    assert_int_equal(rows, 1);
    assert_non_null(strstr(store_case_err.text, "refused {\"id\":"));
    error_clear(&store_case_err);
    if (is_sql())
        assert_true(test_wait(none_is_open, NULL, 10000));
    assert_int_equal(scan_orders(refuse, &rows), STATUS_RETRY);
    error_clear(&store_case_err);
    assert_ok(store_case_ops->snapshot(reader, true, &store_case_err));
    assert_string_equal(view(VIEW_LIST), "order/0=5 ");
    end_snapshot();
}

static enum status die(void *context, const struct scanned_row *row, struct error *err)
{
    (void)context, (void)row, (void)err;
    return raise(SIGKILL) == 0 ? STATUS_OK : STATUS_STOP;
}

static void a_reader_that_is_killed_leaves_no_snapshot(void)
{
    int how = 0;
    store_case_begin();
    assert_ok(store_case_apply(CHANGE_CREATE, 1, "row", "1"));
    store_case_commit();
    pid_t child = fork();
    if (child == 0) {
        snapshot();
        (void)scan_orders(die, NULL);
        _exit(1);
    }
    assert_int_equal(waitpid(child, &how, 0), child);
    assert_true(WIFSIGNALED(how) && WTERMSIG(how) == SIGKILL);
    assert_true(test_wait(none_is_open, NULL, 30000));
}

static size_t memory_used(void)
{
    struct rusage usage;
    assert_int_equal(getrusage(RUSAGE_SELF, &usage), 0);
    return (size_t)usage.ru_maxrss * 1024;
}

static enum status count_bytes(void *context, const struct scanned_row *row, struct error *err)
{
    (void)err;
    *(size_t *)context += row->values[1].text.length;
    return STATUS_OK;
}

static const char *repeated(void)
{
    if (strcmp(store_case_back_end->url, "sqlite:") == 0)
        return test_format("replace(hex(zeroblob(%d)), '0', 'x')", LARGE_SIZE / 2);
    return test_format("repeat('x', %d)", LARGE_SIZE);
}

static void the_memory_of_a_scan_does_not_grow_with_the_rows(void)
{
    size_t bytes = 0;
    if (TEST_SANITIZES_ADDRESSES || TEST_SANITIZES_THREADS)
        test_skip("a sanitizer keeps what was freed");
    for (int i = 0; i < LARGE_ROWS; i++)
        (void)ask(test_format("INSERT INTO orders(id, name) SELECT %d, %s", i, repeated()));
    snapshot();
    size_t before = memory_used();
    assert_ok(scan_orders(count_bytes, &bytes));
    size_t growth = memory_used() - before;
    assert_int_equal(bytes, (size_t)LARGE_ROWS * LARGE_SIZE);
    if (growth > GROWTH_MAX)
        test_fail("it grew by %zu bytes", growth);
    end_snapshot();
}

static bool is_postgresql(void)
{
    return strcmp(store_case_back_end->url, "postgresql:") == 0;
}

static void *alter_orders(void *ret_ms)
{
    int64_t begun_us = clock_monotonic_us();
    (void)ask("ALTER TABLE orders ADD COLUMN more int");
    *(int64_t *)ret_ms = (clock_monotonic_us() - begun_us) / 1000;
    return NULL;
}

static bool alter_waits(void *context)
{
    (void)context;
    return strcmp(ask("SELECT count(*) FROM pg_locks WHERE NOT granted"), "1\n") == 0;
}

struct slow_scan {
    pthread_t altering;
    bool started;
    int64_t altered_ms;
};

static enum status alter_and_go_on(void *context, const struct scanned_row *row, struct error *err)
{
    struct slow_scan *slow = context;
    (void)row, (void)err;
    if (!slow->started) {
        slow->started = true;
        assert_int_equal(pthread_create(&slow->altering, NULL, alter_orders, &slow->altered_ms), 0);
        assert_true(test_wait(alter_waits, NULL, 10000));
    }
    (void)usleep(1000);
    return STATUS_OK;
}

/* A tenth of a second may be made up for. */
static void rows_are_read_no_faster_than_they_may_be(void)
{
    struct store_options options = {.path = store_case_agent_database(),
                                    .service = "billing",
                                    .read_only = true,
                                    .scan_rows_s = 100};
    struct buffer text;
    store_case_begin();
    for (int64_t id = 1; id <= 60; id++)
        assert_ok(store_case_apply(CHANGE_CREATE, id, "row", "1"));
    store_case_commit();
    buffer_init(&text, TEXT_MAX);
    assert_ok(store_case_ops->open(&options, &reader, &store_case_err));
    store_case_settle();
    assert_ok(store_case_ops->snapshot(reader, true, &store_case_err));
    int64_t begun_us = clock_monotonic_us();
    assert_ok(scan_orders(add_row, &text));
    int64_t took_us = clock_monotonic_us() - begun_us;
    if (took_us < 480000)
        test_fail("60 rows took %" PRId64 " us", took_us);
    buffer_done(&text);
    end_snapshot();
}

/* A scan of the 200,000 rows would last 200 seconds. */
static void a_scan_gives_way_to_who_waits_for_its_table(void)
{
    struct slow_scan slow = {0};
    if (!is_postgresql())
        return;
    (void)ask("INSERT INTO orders(id, name) SELECT i, 'row' FROM generate_series(1, 200000) i");
    snapshot();
    assert_int_equal(scan_orders(alter_and_go_on, &slow), STATUS_RETRY);
    assert_non_null(strstr(store_case_err.text, "gave way"));
    error_clear(&store_case_err);
    assert_int_equal(pthread_join(slow.altering, NULL), 0);
    if (slow.altered_ms > ALTER_MAX_MS)
        test_fail("ALTER TABLE took %" PRId64 " ms", slow.altered_ms);
    end_snapshot();
}

/* A scan that is slow because it may not be faster: a part of it is small then, too. */
static void a_slow_scan_gives_way_soon(void)
{
    struct slow_scan slow = {0};
    struct store_options options = {.path = store_case_agent_database(),
                                    .service = "billing",
                                    .read_only = true,
                                    .scan_rows_s = 20};
    if (!is_postgresql())
        return;
    (void)ask("INSERT INTO orders(id, name) SELECT i, 'row' FROM generate_series(1, 2000) i");
    assert_ok(store_case_ops->open(&options, &reader, &store_case_err));
    assert_ok(store_case_ops->snapshot(reader, true, &store_case_err));
    assert_int_equal(scan_orders(alter_and_go_on, &slow), STATUS_RETRY);
    assert_non_null(strstr(store_case_err.text, "gave way"));
    error_clear(&store_case_err);
    assert_int_equal(pthread_join(slow.altering, NULL), 0);
    if (slow.altered_ms > ALTER_MAX_MS)
        test_fail("ALTER TABLE took %" PRId64 " ms", slow.altered_ms);
    end_snapshot();
}

static void an_idle_snapshot_gives_way_when_it_is_asked_to_be_kept(void)
{
    pthread_t altering;
    int64_t altered_ms = 0;
    struct buffer text;
    if (!is_postgresql())
        return;
    buffer_init(&text, TEXT_MAX);
    snapshot();
    assert_ok(scan_orders(add_row, &text));
    assert_ok(store_case_ops->keep(reader, &store_case_err));
    assert_int_equal(pthread_create(&altering, NULL, alter_orders, &altered_ms), 0);
    assert_true(test_wait(alter_waits, NULL, 10000));
    assert_int_equal(store_case_ops->keep(reader, &store_case_err), STATUS_RETRY);
    error_clear(&store_case_err);
    assert_int_equal(pthread_join(altering, NULL), 0);
    buffer_done(&text);
    end_snapshot();
}

static void a_sqlite_database_without_wal_is_refused(void)
{
    if (strcmp(store_case_back_end->url, "sqlite:") != 0)
        return;
    store_case_ops->close(store_case_store);
    store_case_store = NULL;
    assert_string_equal(ask("PRAGMA journal_mode = DELETE"), "delete\n");
    reader = open_reader();
    assert_int_equal(store_case_ops->snapshot(reader, true, &store_case_err), STATUS_STOP);
    assert_non_null(strstr(store_case_err.text, "PRAGMA journal_mode = WAL"));
    error_clear(&store_case_err);
    end_snapshot();
    partition_state_done(&store_case_owned);
    arena_done(&store_case_arena);
}

int main(void)
{
    static struct store_case cases[] = {
        STORE_CASE(in_a_snapshot_all_slots_see_one_state_whatever_is_committed_meanwhile),
        STORE_CASE(a_snapshot_is_as_old_as_its_begin_not_as_its_first_question),
        STORE_CASE(without_a_snapshot_nothing_is_scanned),
        STORE_CASE_OF_SQL(a_snapshot_that_lasts_too_long_ends),
        STORE_CASE(the_agent_writes_while_its_copy_is_read),
        STORE_CASE(a_scan_that_fails_ends_its_snapshot_and_the_session_goes_on),
        STORE_CASE_OF_SQL(a_reader_that_is_killed_leaves_no_snapshot),
        STORE_CASE_OF_SQL(the_memory_of_a_scan_does_not_grow_with_the_rows),
        STORE_CASE_OF_SERVERS(a_scan_gives_way_to_who_waits_for_its_table),
        STORE_CASE_OF_SERVERS(a_slow_scan_gives_way_soon),
        STORE_CASE_OF_SERVERS(an_idle_snapshot_gives_way_when_it_is_asked_to_be_kept),
        STORE_CASE_OF_SQL(rows_are_read_no_faster_than_they_may_be),
        STORE_CASE_OF_SQL(a_sqlite_database_without_wal_is_refused),
    };
    return store_case_run(cases, sizeof cases / sizeof cases[0]);
}
