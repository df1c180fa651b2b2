/* The contract of struct joint_ops: what is made of a decision, and what each slot leaves in the
 * tables, also when it is repeated or rolled back. */
#include "tests/support/database_case.h"
#include "tests/support/joint_case.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>

static void put_at(const char *id, int64_t offset)
{
    const struct joint_row row = {.name = {slice_of("web"), slice_of(id)},
                                  .changes = slice_of(MINUS(3)),
                                  .timeout_ms = 1000,
                                  .state = JOINT_STATE_QUEUED,
                                  .proposal_id = slice_of(id),
                                  .proposal_offset = offset,
                                  .decision_offset = -1,
                                  .read_at_us = 1};
    bool known = true;
    int64_t created = -1;
    joint_case_begin();
    assert_int_equal(
        joint_case_ops->note(joint_case_store, &row, &known, &created, &joint_case_err), STATUS_OK);
    assert_false(known);
    assert_int_equal(created, 0);
    joint_case_commit();
}

static void what_an_earlier_one_reserves_is_waited_for_and_a_later_one_means_no(void)
{
    static const char by_trigger[] = "[{\"service\":\"shop\",\"type\":\"movement\",\"key\":"
                                     "{\"id\":1},\"op\":\"c\",\"set\":{\"sku\":\"A\"}}]";
    joint_case_begin_test();
    joint_case_trigger("moves", "AFTER INSERT", "movement",
                       "UPDATE stock SET free = free - 1 WHERE sku = NEW.sku");
    put_at("first", 7);
    joint_case_assert_yes(joint_case_attempt("first", 7, MINUS(3)), "first");
    assert_int_equal(joint_case_attempt("later", 9, MINUS(3)), STATUS_RETRY);
    assert_non_null(strstr(joint_case_err.text, "reserved by first of web"));
    assert_int_equal(joint_case_attempt("later", 9, by_trigger), STATUS_RETRY);
    joint_case_assert_no(joint_case_attempt("earlier", 5, MINUS(3)), "reserved by first of web",
                         "earlier");
    joint_case_assert_no(joint_case_attempt("earlier", 5, by_trigger), "reserved by first of web",
                         "earlier");
    assert_string_equal(joint_case_text(RESERVED), "stock|{\"sku\":\"A\"}|u|web|first\n");
    joint_case_assert_yes(joint_case_settle("first", MINUS(3), true), "first");
    joint_case_assert_yes(joint_case_attempt("later", 9, MINUS(3)), "later");
    joint_case_done();
}

static void each_slot_can_be_repeated(void)
{
    const struct joint_row again = {.name = {slice_of("web"), slice_of("t")},
                                    .changes = slice_of("[]"),
                                    .state = JOINT_STATE_REFUSED,
                                    .proposal_offset = 99,
                                    .decision_offset = -1};
    struct joint_row marked = again;
    bool known = false;
    int64_t created = -1;
    joint_case_begin_test();
    put_at("t", 7);
    joint_case_begin();
    joint_case_assert_yes(
        joint_case_ops->note(joint_case_store, &again, &known, &created, &joint_case_err), "note");
    assert_true(known);
    joint_case_commit();
    for (size_t i = 0; i < 2; i++)
        joint_case_assert_yes(joint_case_attempt("t", 7, MINUS(3)), "attempt");
    assert_string_equal(joint_case_text(RESERVED), "stock|{\"sku\":\"A\"}|u|web|t\n");
    joint_case_assert_yes(joint_case_settle("t", MINUS(3), true), "settle");
    marked.state = JOINT_STATE_COMMITTED;
    marked.decision_offset = 12;
    for (size_t i = 0; i < 2; i++) {
        joint_case_begin();
        joint_case_assert_yes(joint_case_ops->mark(joint_case_store, &marked, &joint_case_err),
                              "mark");
        joint_case_commit();
        joint_case_assert_yes(joint_case_settle("t", MINUS(3), true), "settle again");
    }
    assert_string_equal(joint_case_text(ROW), "7|sold|1.25\n");
    assert_string_equal(
        joint_case_text("SELECT changes, proposal_offset, decision_offset, state FROM "
                        "keepstep_joint"),
        MINUS(3) "|7|12|committed\n");
    joint_case_done();
}

static void what_is_not_committed_did_not_happen(void)
{
    struct joint_part part;
    joint_case_begin_test();
    part = joint_case_part("t", 7, MINUS(3));
    joint_case_begin();
    joint_case_assert_yes(joint_case_ops->attempt(joint_case_store, &part, &joint_case_err),
                          "attempt");
    joint_case_store->ops->rollback(joint_case_store);
    assert_string_equal(joint_case_text(RESERVED), "");
    joint_case_assert_taken("UPDATE stock SET free = 10");
    joint_case_assert_yes(joint_case_attempt("t", 7, MINUS(3)), "attempt");
    part.committed = true;
    joint_case_begin();
    joint_case_assert_yes(joint_case_ops->settle(joint_case_store, &part, &joint_case_err),
                          "settle");
    joint_case_store->ops->rollback(joint_case_store);
    assert_string_equal(joint_case_text(ROW), BEFORE);
    joint_case_assert_refused("UPDATE stock SET free = 1");
    joint_case_assert_yes(joint_case_settle("t", MINUS(3), true), "settle");
    assert_string_equal(joint_case_text(ROW), "7|sold|1.25\n");
    joint_case_done();
}

static void what_is_committed_and_refused_is_held_until_it_is_mended(void)
{
    joint_case_begin_test();
    for (size_t i = 0; i < joint_case_texts->break_count; i++) {
        const struct joint_obstacle *broken = &joint_case_texts->breaks[i];
        joint_case_fill();
        joint_case_assert_yes(joint_case_attempt("t", 7, MINUS(3)), "attempt");
        (void)joint_case_text(broken->sql);
        for (size_t n = 0; n < 2; n++)
            joint_case_assert_no(joint_case_settle("t", MINUS(3), true), broken->no, broken->sql);
        assert_string_equal(joint_case_text(RESERVED), "stock|{\"sku\":\"A\"}|u|web|t\n");
        assert_string_equal(joint_case_text(EVENTS), "");
        (void)joint_case_text(broken->undo);
        joint_case_assert_refused("UPDATE stock SET free = 1");
        joint_case_assert_yes(joint_case_settle("t", MINUS(3), true), broken->undo);
        assert_string_equal(joint_case_text(ROW), "7|sold|1.25\n");
        assert_string_equal(joint_case_text(EVENTS), UPDATED);
    }
    joint_case_done();
}

/* A trigger that came between the promise and its decision writes what another one has promised:
 * that passes, and is no refusal. */
static void what_another_one_reserves_is_waited_for_at_the_end_too(void)
{
    static const char changes[] = "[{\"service\":\"shop\",\"type\":\"movement\",\"key\":{\"id\":1},"
                                  "\"op\":\"c\",\"set\":{\"sku\":\"A\"}}]";
    joint_case_begin_test();
    joint_case_assert_yes(joint_case_attempt("t", 7, changes), "attempt");
    joint_case_assert_yes(joint_case_attempt("other", 8, "[" STOCK "\"op\":\"k\"}]"), "other");
    joint_case_trigger("notes", "AFTER INSERT", "movement",
                       "UPDATE stock SET note = NEW.sku WHERE sku = 'A'");
    enum status status = joint_case_settle("t", changes, true);
    if (status != STATUS_RETRY ||
        strstr(joint_case_err.text, "reserved by a joint transaction") == NULL)
        test_fail("%s: %s", status_name(status), joint_case_err.text);
    joint_case_assert_yes(joint_case_settle("other", "[" STOCK "\"op\":\"k\"}]", false), "other");
    joint_case_assert_yes(joint_case_settle("t", changes, true), "settle");
    joint_case_done();
}

/* Half of a part that is refused would be the torn state that nobody asked for. */
static void all_changes_of_a_part_are_made_or_none(void)
{
    static const char both[] = "[" STOCK "\"op\":\"u\",\"add\":{\"free\":-3}}," ABSENT
                               "\"op\":\"c\",\"set\":{\"free\":-1}}]";
    static const char two[] = "[" STOCK "\"op\":\"u\",\"add\":{\"free\":-3}}," ABSENT
                              "\"op\":\"c\",\"set\":{\"free\":1}}]";
    joint_case_begin_test();
    joint_case_assert_no(joint_case_attempt("t", 7, both), "constraint", both);
    assert_string_equal(joint_case_text(RESERVED), "");
    joint_case_assert_yes(joint_case_attempt("t", 7, two), two);
    joint_case_trigger("x", "BEFORE INSERT", "stock", joint_case_texts->raise("full"));
    joint_case_assert_no(joint_case_settle("t", two, true), "full", two);
    assert_string_equal(joint_case_text(ROW), BEFORE);
    joint_case_drop_trigger("x", "stock");
    joint_case_assert_yes(joint_case_settle("t", two, true), two);
    assert_string_equal(joint_case_text("SELECT sku, free FROM stock ORDER BY sku"), "A|7\nN|1\n");
    joint_case_done();
}

static void a_late_one_is_made_without_its_conditions(void)
{
    static const char changes[] = "[" STOCK
                                  "\"op\":\"u\",\"add\":{\"free\":-3},\"if\":{\"state\":\"x\"}}]";
    struct joint_part part;
    joint_case_begin_test();
    joint_case_assert_no(joint_case_settle("t", changes, true), "if", changes);
    part = joint_case_part("t", 7, changes);
    part.committed = part.late = true;
    joint_case_begin();
    joint_case_assert_yes(joint_case_ops->settle(joint_case_store, &part, &joint_case_err), "late");
    joint_case_commit();
    assert_string_equal(joint_case_text(ROW), "7|sold|1.25\n");
    joint_case_done();
}

static void a_hundred_changes_and_the_largest_text_are_made(void)
{
    const char *changes = "";
    char *text = malloc(60001);
    joint_case_begin_test();
    for (size_t i = 0; i < JOINT_CHANGES_MAX; i++)
        changes = test_format(
            "%s%s{\"service\":\"shop\",\"type\":\"movement\",\"key\":{\"id\":%zu},"
            "\"op\":\"c\",\"set\":{\"delta\":%zu}}",
            changes, i == 0 ? "" : ",", i, i);
    changes = test_format("[%s]", changes);
    joint_case_assert_yes(joint_case_attempt("t", 7, changes), "100 changes");
    assert_string_equal(joint_case_text("SELECT count(*) FROM keepstep_reserved"), "100\n");
    joint_case_assert_yes(joint_case_settle("t", changes, true), "100 changes");
    assert_string_equal(joint_case_text("SELECT count(*), sum(delta) FROM movement"), "100|4950\n");
    assert_non_null(text);
    memset(text, 'x', 60000);
    text[60000] = '\0';
    const char *large = test_format("[" STOCK "\"op\":\"u\",\"set\":{\"state\":\"%s\"}}]", text);
    joint_case_assert_yes(joint_case_attempt("u", 8, large), "60000 bytes");
    joint_case_assert_yes(joint_case_settle("u", large, true), "60000 bytes");
    assert_string_equal(joint_case_text("SELECT length(state) FROM stock"), "60000\n");
    free(text);
    joint_case_done();
}

static enum status visit_row(void *context, const struct joint_row *row, struct error *err)
{
    struct buffer *out = context;
    (void)err;
    buffer_append_format(out, "%.*s|%.*s|%.*s|%d|%s|%.*s|%.*s|%.*s|%d|%d|%d|%d|%d|%d|%d\n",
                         SLICE_ARGS(row->name.proposer), SLICE_ARGS(row->name.id),
                         SLICE_ARGS(row->changes), row->timeout_ms, joint_state_name(row->state),
                         SLICE_ARGS(row->reason), SLICE_ARGS(row->votes),
                         SLICE_ARGS(row->proposal_id), (int)row->proposal_offset,
                         (int)row->decision_offset, row->created_at_us > 0, (int)row->read_at_us,
                         (int)row->decided_at_us, row->withdrawn, row->late);
    return STATUS_OK;
}

static void assert_loaded(const char *expected)
{
    struct buffer rows;
    buffer_init(&rows, 1 << 20);
    joint_case_assert_yes(joint_case_ops->load(joint_case_store, visit_row, &rows, &joint_case_err),
                          "load");
    assert_string_equal(buffer_text(&rows), expected);
    buffer_done(&rows);
}

static void assert_found(const char *proposer, const char *id, const char *expected)
{
    struct buffer rows;
    const struct joint_name name = {slice_of(proposer), slice_of(id)};
    buffer_init(&rows, 1 << 20);
    joint_case_assert_yes(
        joint_case_ops->find(joint_case_store, name, visit_row, &rows, &joint_case_err), "find");
    assert_string_equal(buffer_text(&rows), expected);
    buffer_done(&rows);
}

static void a_row_is_noted_marked_loaded_and_emptied(void)
{
    struct joint_row row = {.name = {slice_of("shop"), slice_of("o'1\"")},
                            .changes = slice_of("[1]"),
                            .timeout_ms = 500,
                            .state = JOINT_STATE_QUEUED,
                            .proposal_id = slice_of("id-1"),
                            .proposal_offset = 3,
                            .decision_offset = -1,
                            .read_at_us = 9};
    bool known = true;
    int64_t created = 0;
    size_t pruned = 9;
    joint_case_begin_test();
    (void)joint_case_text(
        "INSERT INTO keepstep_joint (id, changes) VALUES ('o''1\"', '" MINUS(3) "')");
    put_at("later", 8);
    assert_found("shop", "o'1\"", "shop|o'1\"|" MINUS(3) "|10000|proposed||||-1|-1|1|0|0|0|0\n");
    assert_found("shop", "later", "");
    assert_loaded("web|later|" MINUS(3) "|1000|queued|||later|8|-1|0|1|0|0|0\n");
    joint_case_begin();
    joint_case_assert_yes(
        joint_case_ops->note(joint_case_store, &row, &known, &created, &joint_case_err), "note");
    joint_case_commit();
    assert_false(known);
    assert_true(created > 0);
    assert_loaded("shop|o'1\"|[1]|500|queued|||id-1|3|-1|1|9|0|0|0\n"
                  "web|later|" MINUS(3) "|1000|queued|||later|8|-1|0|1|0|0|0\n");
    row.state = JOINT_STATE_HELD;
    row.reason = slice_of("why");
    row.votes = slice_of("[2]");
    row.decision_offset = 5;
    row.decided_at_us = 11;
    row.withdrawn = row.late = true;
    joint_case_begin();
    joint_case_assert_yes(joint_case_ops->mark(joint_case_store, &row, &joint_case_err), "mark");
    joint_case_commit();
    assert_loaded("shop|o'1\"|[1]|500|held|why|[2]|id-1|3|5|1|9|11|1|1\n"
                  "web|later|" MINUS(3) "|1000|queued|||later|8|-1|0|1|0|0|0\n");
    row.state = JOINT_STATE_COMMITTED;
    joint_case_begin();
    joint_case_assert_yes(joint_case_ops->mark(joint_case_store, &row, &joint_case_err), "mark");
    joint_case_assert_yes(joint_case_ops->prune(joint_case_store, 11, 10, &pruned, &joint_case_err),
                          "prune");
    assert_int_equal(pruned, 0);
    joint_case_assert_yes(joint_case_ops->prune(joint_case_store, 12, 10, &pruned, &joint_case_err),
                          "prune");
    assert_int_equal(pruned, 1);
    joint_case_commit();
    assert_string_equal(joint_case_text("SELECT id, changes, votes, state, reason FROM "
                                        "keepstep_joint WHERE proposer = 'shop'"),
                        "o'1\"|||committed|why\n");
    row.name.id = slice_of("unknown");
    joint_case_begin();
    assert_int_equal(joint_case_ops->mark(joint_case_store, &row, &joint_case_err), STATUS_ABORT);
    joint_case_store->ops->rollback(joint_case_store);
    joint_case_done();
}

#define PART 10000 /* rows that MariaDB looks through at a time; the others have an index of some  \
                    */

/* @return how many rows of indexes the server has read so far. */
static int64_t rows_read(void)
{
    return strtoll(
        joint_case_text("SELECT sum(variable_value) FROM information_schema.global_status "
                        "WHERE variable_name IN ('HANDLER_READ_NEXT', "
                        "'HANDLER_READ_RND_NEXT')"),
        NULL, 10);
}

/* Names and outcomes stay for ever: what was emptied long ago is not looked through each minute. */
static void what_was_emptied_is_not_looked_at_again_and_again(void)
{
    size_t pruned = 1;
    size_t times = 0;
    if (database_case_kind != DATABASE_MARIADB)
        return;
    joint_case_begin_test();
    (void)joint_case_text(test_format(
        "INSERT INTO keepstep_joint (proposer, id, changes, state, proposal_offset, read_at, "
        "decided_at) SELECT 'web', CONCAT('t', seq), IF(seq MOD 100 = 0, '[]', ''), "
        "IF(seq MOD 2 = 0, 'committed', 'aborted'), seq, 1, seq FROM seq_1_to_%d",
        5 * PART));
    for (; pruned > 0; times++) {
        joint_case_begin();
        joint_case_assert_yes(
            joint_case_ops->prune(joint_case_store, 5 * PART + 1, 1000, &pruned, &joint_case_err),
            "prune");
        joint_case_commit();
    }
    (void)printf("note: emptied %d rows of %d in %zu times\n", PART / 20, 5 * PART, times);
    assert_string_equal(joint_case_text("SELECT count(*) FROM keepstep_joint WHERE changes <> ''"),
                        "0\n");
    int64_t before = rows_read();
    joint_case_begin();
    joint_case_assert_yes(
        joint_case_ops->prune(joint_case_store, 5 * PART + 1, 1000, &pruned, &joint_case_err),
        "prune");
    joint_case_commit();
    int64_t read = rows_read() - before;
    (void)printf("note: then %" PRId64 " rows are read each time\n", read);
    assert_in_range(read, 0, 3 * PART);
    joint_case_done();
}

static void what_is_said_is_a_row_of_the_outbox(void)
{
    const struct joint_saying saying = {.name = {slice_of("web"), slice_of("o\"1")},
                                        .kind = JOINT_VOTE,
                                        .value = slice_of("{\"vote\":\"yes\"}")};
    joint_case_begin_test();
    joint_case_begin();
    joint_case_assert_yes(joint_case_ops->say(joint_case_store, &saying, &joint_case_err), "say");
    joint_case_commit();
    assert_string_equal(
        joint_case_text("SELECT aggregatetype, aggregateid, type, payload FROM outbox"),
        "keepstep.joint|{\"id\":\"o\\\"1\",\"proposer\":\"web\"}|keepstep.joint.vote|"
        "{\"vote\":\"yes\"}\n");
    joint_case_done();
}

/* What nobody has counted is said again; what still waits for its number is not doubled. */
static void a_proposal_that_was_not_read_back_is_said_again(void)
{
    static const char count[] = "SELECT count(*) FROM outbox WHERE type = "
                                "'keepstep.joint.proposal'";
    joint_case_begin_test();
    (void)joint_case_text("INSERT INTO keepstep_joint (id, changes) VALUES ('a', '" MINUS(3) "')");
    const char *first = joint_case_text("SELECT aggregateid, payload FROM outbox");
    for (size_t i = 0; i < 2; i++) {
        joint_case_begin();
        joint_case_assert_yes(joint_case_ops->propose_again(joint_case_store, &joint_case_err),
                              "propose_again");
        joint_case_commit();
        assert_string_equal(joint_case_text(count), "1\n");
        if (i == 0)
            (void)joint_case_text("DELETE FROM outbox");
    }
    assert_string_equal(joint_case_text("SELECT aggregateid, payload FROM outbox"), first);
    joint_case_done();
}

static void what_is_history_is_kept(void)
{
    struct joint_history history = {.end = 9};
    joint_case_begin_test();
    joint_case_assert_yes(joint_case_ops->history(joint_case_store, &history, &joint_case_err),
                          "none");
    assert_int_equal(history.end, 0);
    assert_false(history.made);
    history = (struct joint_history){.end = 81};
    for (size_t i = 0; i < 2; i++) {
        joint_case_assert_yes(
            joint_case_ops->set_history(joint_case_store, &history, &joint_case_err), "write");
        struct joint_history found = {0};
        joint_case_assert_yes(joint_case_ops->history(joint_case_store, &found, &joint_case_err),
                              "read");
        assert_int_equal(found.end, 81);
        assert_int_equal(found.made, i == 1);
        history.made = true;
    }
    joint_case_done();
}

static void a_database_without_the_tables_is_told_to_run_init(void)
{
    const struct joint_types none = {.count = 0};
    joint_case_begin_test();
    (void)joint_case_text("DROP TABLE keepstep_reserved");
    error_clear(&joint_case_err);
    assert_int_equal(joint_case_ops->prepare(joint_case_store, &none, &joint_case_err),
                     STATUS_FATAL);
    assert_int_equal(joint_case_err.exit_code, EX_CONFIG);
    assert_non_null(strstr(joint_case_err.text, "keepstep init"));
    joint_case_done();
}

int main(void)
{
    static const struct database_case cases[] = {
        DATABASE_CASE(what_an_earlier_one_reserves_is_waited_for_and_a_later_one_means_no),
        DATABASE_CASE(each_slot_can_be_repeated),
        DATABASE_CASE(what_is_not_committed_did_not_happen),
        DATABASE_CASE(what_is_committed_and_refused_is_held_until_it_is_mended),
        DATABASE_CASE(what_another_one_reserves_is_waited_for_at_the_end_too),
        DATABASE_CASE(all_changes_of_a_part_are_made_or_none),
        DATABASE_CASE(a_late_one_is_made_without_its_conditions),
        DATABASE_CASE(a_hundred_changes_and_the_largest_text_are_made),
        DATABASE_CASE(a_row_is_noted_marked_loaded_and_emptied),
        DATABASE_CASE_SERVERS(what_was_emptied_is_not_looked_at_again_and_again),
        DATABASE_CASE(what_is_said_is_a_row_of_the_outbox),
        DATABASE_CASE(a_proposal_that_was_not_read_back_is_said_again),
        DATABASE_CASE(what_is_history_is_kept),
        DATABASE_CASE(a_database_without_the_tables_is_told_to_run_init),
    };
    return database_case_run_where(cases, sizeof cases / sizeof *cases, joint_case_has);
}
