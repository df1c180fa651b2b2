/* The rows of keepstep_joint, on which a service may have triggers: whatever one of them does, the
 * transaction under way goes on, and the row is written without it where the database can. */
#include "tests/support/database_case.h"
#include "tests/support/joint_case.h"
#include "tests/support/mariadb.h"
#include "tests/support/roles.h"

#include "common/clock.h"
#include "consumer/joint/row.h"

#include <pthread.h>

static struct joint_row row_of(const char *id, enum joint_state state)
{
    return (struct joint_row){.name = {slice_of("web"), slice_of(id)},
                              .changes = slice_of(MINUS(3)),
                              .timeout_ms = 1000,
                              .state = state,
                              .proposal_id = slice_of(id),
                              .proposal_offset = 7,
                              .decision_offset = -1,
                              .read_at_us = 1,
                              .decided_at_us = 5};
}

static bool has_silence(void)
{
    return joint_case_ops->triggers != NULL;
}

static enum status write_row(const struct joint_row *row, bool notes)
{
    struct joint_noted noted = {.known = true};
    const struct joint_row_writing writing = {.row = row, .noted = notes ? &noted : NULL};
    error_clear(&joint_case_err);
    return joint_row_write(joint_case_store, &writing, false, &joint_case_err);
}

/* Where a trigger stands in the way, and what it does; "" where the database has no such one. */
struct obstacle {
    const char *when;
    const char *body;
    bool of_note;
};

static const char *body_of(const struct obstacle *obstacle)
{
    return strcmp(obstacle->body, "raise") == 0 ? joint_case_texts->raise("my veto")
                                                : obstacle->body;
}

static const struct obstacle obstacles[] = {
    {"BEFORE UPDATE", "raise", false},
    {"AFTER UPDATE", "raise", false},
    {"BEFORE INSERT", "raise", true},
    {"AFTER INSERT", "raise", true},
    {"AFTER UPDATE", "INSERT INTO gone VALUES (1)", false},
    {"AFTER UPDATE", "UPDATE stock SET free = 1 WHERE sku = 'A'", false}, /* it is reserved */
};

/* The slot refuses the row alone: what was written before it in the transaction stays. */
static void refuse(const struct obstacle *obstacle, const char *id)
{
    const struct joint_row marked = row_of("first", JOINT_STATE_RESERVED);
    const struct joint_row noted = row_of(id, JOINT_STATE_QUEUED);
    bool known = false;
    int64_t created = 0;
    joint_case_begin();
    (void)joint_case_ops->say(
        joint_case_store,
        &(struct joint_saying){.name = noted.name, .kind = JOINT_VOTE, .value = slice_of("{}")},
        &joint_case_err);
    enum status status = obstacle->of_note
                             ? joint_case_ops->note(joint_case_store, &noted, &known, &created,
                                                    &joint_case_err)
                             : joint_case_ops->mark(joint_case_store, &marked, &joint_case_err);
    if (database_case_kind == DATABASE_SQLITE && status == STATUS_FATAL)
        joint_case_store->ops->rollback(joint_case_store);
    else if (database_case_kind == DATABASE_MARIADB && status == STATUS_FATAL)
        joint_case_commit(); /* the statement failed alone */
    else if (status != STATUS_REJECT)
        test_fail("%s %s: %s: %s", obstacle->when, obstacle->body, status_name(status),
                  joint_case_err.text);
    else
        joint_case_commit();
}

/* It is written all the same, in a transaction that writes something before and behind it. */
static void write_anyway(const struct obstacle *obstacle, const char *id)
{
    const struct joint_row marked = row_of("first", JOINT_STATE_RESERVED);
    const struct joint_row noted = row_of(id, JOINT_STATE_QUEUED);
    joint_case_begin();
    enum status status = write_row(obstacle->of_note ? &noted : &marked, obstacle->of_note);
    if (!has_silence()) {
        if (status != STATUS_RETRY || strstr(joint_case_err.text, "until it is mended") == NULL)
            test_fail("%s: %s: %s", obstacle->when, status_name(status), joint_case_err.text);
        joint_case_store->ops->rollback(joint_case_store);
        return;
    }
    if (database_case_kind == DATABASE_SQLITE && status == STATUS_FATAL) {
        joint_case_store->ops->rollback(joint_case_store); /* the caller writes silently then */
        return;
    }
    joint_case_assert_yes(status, obstacle->when);
    joint_case_commit();
    const char *state = joint_case_text(test_format(
        "SELECT state FROM keepstep_joint WHERE id = '%s'", obstacle->of_note ? id : "first"));
    assert_string_equal(state, obstacle->of_note ? "queued\n" : "reserved\n");
}

static void no_trigger_on_a_row_ends_the_transaction(void)
{
    const struct joint_row first = row_of("first", JOINT_STATE_QUEUED);
    joint_case_begin_test();
    joint_case_begin();
    joint_case_assert_yes(write_row(&first, true), "first");
    joint_case_commit();
    joint_case_assert_yes(joint_case_attempt("first", 7, MINUS(3)), "attempt");
    for (size_t i = 0; i < sizeof obstacles / sizeof *obstacles; i++) {
        const char *id = test_format("t%zu", i);
        joint_case_trigger("x", obstacles[i].when, "keepstep_joint", body_of(&obstacles[i]));
        refuse(&obstacles[i], id);
        write_anyway(&obstacles[i], id);
        joint_case_drop_trigger("x", "keepstep_joint");
        joint_case_begin();
        joint_case_assert_yes(write_row(&first, false), "without the trigger");
        joint_case_commit();
    }
    assert_string_equal(joint_case_text(ROW), BEFORE);
    joint_case_done();
}

/** By which a trigger changes what the agent writes; SQLite has none that does so before it. */
struct meddling {
    const char *when;
    const char *body;
    bool of_note;
};

#define OF_IT " WHERE proposer = NEW.proposer AND id = NEW.id"

static const struct meddling meddlings[][7] = {
    [DATABASE_SQLITE] = {{"AFTER UPDATE", "UPDATE keepstep_joint SET votes = '[]'" OF_IT, false},
                         {"AFTER UPDATE", "UPDATE keepstep_joint SET reason = 'x'" OF_IT, false},
                         {"AFTER UPDATE", "UPDATE keepstep_joint SET withdrawn = 1" OF_IT, false},
                         {"AFTER INSERT", "UPDATE keepstep_joint SET votes = '[]'" OF_IT, true},
                         {"AFTER INSERT", "UPDATE keepstep_joint SET state = 'refused'" OF_IT,
                          true}},
    [DATABASE_POSTGRESQL] = {{"BEFORE UPDATE", "NEW.votes := '[]'", false},
                             {"BEFORE UPDATE", "NEW.state := OLD.state", false},
                             {"BEFORE UPDATE", "NEW.withdrawn := 1", false},
                             {"BEFORE INSERT", "NEW.changes := '[]'", true},
                             {"BEFORE INSERT", "NEW.state := 'refused'", true},
                             {"BEFORE INSERT", "NEW.proposal_offset := 8", true}},
    [DATABASE_MARIADB] = {{"BEFORE UPDATE", "SET NEW.votes = '[]'", false},
                          {"BEFORE UPDATE", "SET NEW.state = OLD.state", false},
                          {"BEFORE UPDATE", "SET NEW.withdrawn = 1", false},
                          {"BEFORE INSERT", "SET NEW.changes = '[]'", true},
                          {"BEFORE INSERT", "SET NEW.state = 'refused'", true},
                          {"BEFORE INSERT", "SET NEW.proposal_offset = 8", true}},
};

/* What stands there after a restart is what the agent knows. */
static void what_a_trigger_changes_of_what_the_agent_writes_is_noticed(void)
{
    const struct joint_row first = row_of("first", JOINT_STATE_QUEUED);
    const struct joint_row marked = row_of("first", JOINT_STATE_REFUSED);
    joint_case_begin_test();
    joint_case_begin();
    joint_case_assert_yes(write_row(&first, true), "first");
    joint_case_commit();
    for (size_t i = 0; meddlings[database_case_kind][i].when != NULL; i++) {
        const struct meddling *meddling = &meddlings[database_case_kind][i];
        const char *id = test_format("t%zu", i);
        const struct joint_row noted = row_of(id, JOINT_STATE_QUEUED);
        joint_case_trigger("x", meddling->when, "keepstep_joint", meddling->body);
        joint_case_begin();
        enum status status = write_row(meddling->of_note ? &noted : &marked, meddling->of_note);
        if (has_silence())
            joint_case_assert_yes(status, meddling->body);
        else if (status != STATUS_RETRY || strstr(joint_case_err.text, "changes what") == NULL)
            test_fail("%s: %s: %s", meddling->body, status_name(status), joint_case_err.text);
        if (has_silence())
            joint_case_commit();
        else
            joint_case_store->ops->rollback(joint_case_store);
        joint_case_drop_trigger("x", "keepstep_joint");
        const char *row = joint_case_text(test_format(
            "SELECT state, reason, votes, withdrawn, proposal_offset, changes FROM keepstep_joint "
            "WHERE id = '%s'",
            meddling->of_note ? id : "first"));
        const char *written = meddling->of_note || !has_silence() ? "queued" : "refused";
        assert_string_equal(row, meddling->of_note && !has_silence()
                                     ? ""
                                     : test_format("%s|||0|7|" MINUS(3) "\n", written));
    }
    joint_case_done();
}

/* Notes a row that is settled, and makes a trigger that refuses its UPDATE. */
static void note_old(const char *id, const char *when)
{
    const struct joint_row row = row_of(id, JOINT_STATE_COMMITTED);
    joint_case_begin();
    joint_case_assert_yes(write_row(&row, true), id);
    joint_case_commit();
    if (when != NULL)
        joint_case_trigger("x", when, "keepstep_joint", joint_case_texts->raise("no"));
}

/* What another transaction reserves is free again soon: the trigger that acts on the outcome is not
 * passed over for it, and what was done before it in the transaction stays. */
static void what_a_trigger_meets_that_is_reserved_is_waited_for(void)
{
    const struct joint_row row = row_of("first", JOINT_STATE_COMMITTED);
    const struct joint_row_writing writing = {.row = &row, .waits = true};
    const struct joint_saying saying = {
        .name = row.name, .kind = JOINT_VOTE, .value = slice_of("{}")};
    joint_case_begin_test();
    note_old("first", NULL);
    joint_case_assert_yes(joint_case_attempt("other", 7, MINUS(3)), "attempt");
    joint_case_trigger("x", "AFTER UPDATE", "keepstep_joint",
                       "UPDATE stock SET note = 'seen' WHERE sku = 'A'");
    joint_case_begin();
    joint_case_assert_yes(joint_case_ops->say(joint_case_store, &saying, &joint_case_err), "say");
    joint_case_assert_no(joint_row_write(joint_case_store, &writing, false, &joint_case_err),
                         "reserved by a joint transaction", "mark");
    joint_case_commit();
    assert_string_equal(joint_case_text("SELECT count(*) FROM outbox"), "1\n");
    joint_case_assert_yes(joint_case_settle("other", MINUS(3), false), "settle");
    joint_case_begin();
    joint_case_assert_yes(joint_row_write(joint_case_store, &writing, false, &joint_case_err),
                          "mark");
    joint_case_commit();
    assert_string_equal(joint_case_text("SELECT note FROM stock WHERE sku = 'A'"), "seen\n");
    joint_case_done();
}

/* It would end the transaction at its COMMIT, where no row is to blame any more. */
static void a_trigger_that_waits_for_the_commit_does_not_wait_with_the_agent(void)
{
    struct joint_row row = row_of("t", JOINT_STATE_QUEUED);
    if (database_case_kind != DATABASE_POSTGRESQL)
        return;
    joint_case_begin_test();
    (void)joint_case_text(
        "CREATE FUNCTION x() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no'; "
        "END $$; CREATE CONSTRAINT TRIGGER x AFTER INSERT OR UPDATE ON keepstep_joint DEFERRABLE "
        "INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION x()");
    joint_case_begin();
    joint_case_assert_yes(write_row(&row, true), "note");
    joint_case_commit();
    const struct joint_part part = joint_case_part("t", 7, MINUS(3));
    joint_case_begin();
    joint_case_assert_yes(joint_case_ops->attempt(joint_case_store, &part, &joint_case_err),
                          "attempt");
    row.state = JOINT_STATE_RESERVED;
    joint_case_assert_yes(write_row(&row, false), "mark");
    joint_case_commit();
    assert_string_equal(joint_case_text("SELECT state FROM keepstep_joint"), "reserved\n");
    joint_case_done();
}

/* PostgreSQL's triggers may also run in a replica, always, or leave a row out. */
static void a_trigger_stands_as_it_stood_after_a_row_was_written_without_it(void)
{
    static const char *const modes[] = {"ENABLE", "ENABLE ALWAYS", "DISABLE"};
    static const char MODES[] = "SELECT tgname, tgenabled FROM pg_trigger WHERE tgrelid = "
                                "'keepstep_joint'::regclass AND NOT tgisinternal ORDER BY 1";
    struct joint_row row = row_of("t", JOINT_STATE_QUEUED);
    if (database_case_kind != DATABASE_POSTGRESQL)
        return;
    joint_case_begin_test();
    joint_case_begin();
    joint_case_assert_yes(write_row(&row, true), "note");
    joint_case_commit();
    (void)joint_case_text(
        "CREATE FUNCTION y() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;"
        "CREATE TRIGGER y BEFORE UPDATE ON keepstep_joint FOR EACH ROW EXECUTE FUNCTION y()");
    joint_case_trigger("x", "BEFORE UPDATE", "keepstep_joint",
                       "RAISE EXCEPTION 'no' USING ERRCODE = '42501'");
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        (void)joint_case_text(test_format("ALTER TABLE keepstep_joint %s TRIGGER x", modes[i]));
        const char *before = joint_case_text(MODES);
        row.decided_at_us = (int64_t)i;
        joint_case_begin();
        joint_case_assert_yes(write_row(&row, false), modes[i]);
        joint_case_commit();
        assert_string_equal(joint_case_text(MODES), before);
        assert_string_equal(joint_case_text("SELECT decided_at FROM keepstep_joint"),
                            test_format("%zu\n", i));
    }
    joint_case_done();
}

static void only_the_agent_switches_triggers_and_those_of_keepstep_joint_alone(void)
{
    if (database_case_kind != DATABASE_POSTGRESQL)
        return;
    joint_case_begin_test();
    struct session *owner = session_open(joint_case_url);
    const char *error = session_try(owner, "SELECT keepstep_joint_silence('stock', true)", NULL);
    assert_non_null(error);
    assert_non_null(strstr(error, "its owner's keepstep_joint alone"));
    session_run(owner, "SET ROLE keepstep_reader", NULL);
    assert_non_null(
        session_try(owner, "SELECT keepstep_joint_silence('keepstep_joint', true)", NULL));
    session_close(owner);
    joint_case_done();
}

/* How they stood is kept in a setting, and whoever calls the function can write that. */
static void triggers_stand_as_they_stood_whatever_the_agent_sets_and_however_often_it_asks(void)
{
    static const char MODES[] =
        "SELECT tgname, tgenabled FROM pg_trigger WHERE tgrelid = 'keepstep_joint'::regclass AND "
        "NOT tgisinternal ORDER BY 1";
    static const char OFF[] = "SELECT keepstep_joint_silence('keepstep_joint', true)";
    static const char BACK[] = "SELECT keepstep_joint_silence('keepstep_joint', false)";
    if (database_case_kind != DATABASE_POSTGRESQL)
        return;
    joint_case_begin_test();
    joint_case_trigger("x", "BEFORE UPDATE", "keepstep_joint", joint_case_texts->raise("no"));
    const char *before = joint_case_text(MODES);
    struct session *agent = session_open(
        roles_login(joint_case_url, "joint_agent", "keepstep_agent"));
    session_run(agent,
                "SET keepstep.joint_triggers = '{\"keepstep_joint_kept\":\"D\", "
                "\"keepstep_joint_check\":\"R\", \"gone\":\"O\", \"x\":\"D\"}'",
                NULL);
    session_run(agent, BACK, NULL);
    assert_string_equal(joint_case_text(MODES), before);
    session_run(agent, "BEGIN", NULL);
    session_run(agent, OFF, NULL);
    session_run(agent, OFF, NULL);
    session_run(agent, BACK, NULL);
    session_run(agent, "COMMIT", NULL);
    assert_string_equal(joint_case_text(MODES), before);
    session_close(agent);
    joint_case_done();
}

/* Whoever asks for a transaction holds the table, until he commits. */
static void a_row_that_is_written_without_triggers_waits_for_writers(void)
{
    struct joint_row row = row_of("t", JOINT_STATE_QUEUED);
    if (database_case_kind != DATABASE_POSTGRESQL)
        return;
    joint_case_begin_test();
    joint_case_begin();
    joint_case_assert_yes(write_row(&row, true), "note");
    joint_case_commit();
    joint_case_trigger("x", "BEFORE UPDATE", "keepstep_joint", joint_case_texts->raise("no"));
    struct session *writer = session_open(joint_case_url);
    session_run(writer, "BEGIN", NULL);
    session_run(writer, "INSERT INTO keepstep_joint (id, changes) VALUES ('a', '" MINUS(3) "')",
                NULL);
    joint_case_begin();
    assert_int_equal(write_row(&row, false), STATUS_RETRY);
    joint_case_store->ops->rollback(joint_case_store);
    session_run(writer, "COMMIT", NULL);
    session_close(writer);
    joint_case_begin();
    joint_case_assert_yes(write_row(&row, false), "mark");
    joint_case_commit();
    joint_case_done();
}

#define ASK     "INSERT INTO keepstep_joint (id, changes) VALUES ('a', '" MINUS(3) "')"
#define A_TURN  INT64_C(200000) /* longer than an agent waits for a row */
#define WAIT_MS 20000

/* A session of the service's that has asked for a transaction and not committed. */
static struct session *writer_begin(void)
{
    struct session *writer = session_open(joint_case_url);
    session_run(writer, "BEGIN", NULL);
    session_run(writer, ASK, NULL);
    return writer;
}

/* Once the agent waits for him. */
static void *writer_commits(void *context)
{
    (void)database_wait_for(joint_case_url, "SELECT count(*) > 0 FROM pg_locks WHERE NOT granted",
                            "t\n", WAIT_MS);
    session_run(context, "COMMIT", NULL);
    return NULL;
}

static void whoever_writes_the_table_is_waited_for_a_moment_and_then_named(void)
{
    struct joint_row row = row_of("t", JOINT_STATE_COMMITTED);
    pthread_t thread;
    if (database_case_kind != DATABASE_POSTGRESQL)
        return;
    joint_case_begin_test();
    note_old("t", "BEFORE UPDATE");
    struct session *writer = writer_begin();
    session_run(writer, "SET application_name = 'till'", NULL);
    joint_case_begin();
    int64_t since_us = clock_monotonic_us();
    assert_int_equal(write_row(&row, false), STATUS_RETRY);
    assert_true(clock_monotonic_us() - since_us >= A_TURN);
    assert_non_null(
        strstr(joint_case_err.text, "(till) writes the table: let that transaction end"));
    joint_case_store->ops->rollback(joint_case_store);
    assert_int_equal(pthread_create(&thread, NULL, writer_commits, writer), 0);
    enum status status = STATUS_RETRY;
    while (status == STATUS_RETRY) { /* the moment may be over before he saw it */
        joint_case_begin();
        status = write_row(&row, false);
        if (status == STATUS_RETRY)
            joint_case_store->ops->rollback(joint_case_store);
    }
    assert_int_equal(pthread_join(thread, NULL), 0);
    session_close(writer);
    joint_case_assert_yes(status, "mark");
    joint_case_commit();
    joint_case_done();
}

static enum status prune(size_t *ret_pruned)
{
    joint_case_begin();
    enum status status = joint_case_ops->prune(joint_case_store, 6, 10, ret_pruned,
                                               &joint_case_err);
    if (status == STATUS_OK || status == STATUS_REJECT)
        joint_case_commit();
    else
        joint_case_store->ops->rollback(joint_case_store);
    return status;
}

static void what_is_old_is_emptied_behind_the_back_of_triggers(void)
{
    const struct joint_row row = row_of("old", JOINT_STATE_COMMITTED);
    size_t pruned = 9;
    joint_case_begin_test();
    joint_case_begin();
    joint_case_assert_yes(write_row(&row, true), "note");
    joint_case_commit();
    joint_case_trigger("x", "BEFORE UPDATE", "keepstep_joint", joint_case_texts->raise("my veto"));
    if (has_silence()) {
        joint_case_assert_yes(prune(&pruned), "prune");
        assert_int_equal(pruned, 1);
    } else {
        joint_case_assert_no(prune(&pruned), "my veto", "prune");
        joint_case_drop_trigger("x", "keepstep_joint");
        joint_case_assert_yes(prune(&pruned), "prune");
    }
    assert_string_equal(joint_case_text("SELECT changes FROM keepstep_joint"), "\n");
    joint_case_done();
}

/* It fails alone, and the partition is not taken anew for it. */
static void what_somebody_holds_is_emptied_later(void)
{
    size_t pruned = 9;
    bool skips = database_case_kind == DATABASE_POSTGRESQL;
    joint_case_begin_test();
    note_old("held", NULL);
    note_old("free", NULL);
    struct session *writer = session_open(joint_case_url);
    session_run(writer, "BEGIN", NULL);
    session_run(writer, "SELECT state FROM keepstep_joint WHERE id = 'held' FOR UPDATE", NULL);
    joint_case_assert_yes(prune(&pruned), "prune");
    assert_int_equal(pruned, skips ? 1 : 0);
    session_run(writer, "COMMIT", NULL);
    session_close(writer);
    joint_case_assert_yes(prune(&pruned), "prune");
    assert_int_equal(pruned, skips ? 1 : 2);
    joint_case_done();
}

/* What was written before it would be lost, and the rest committed without it. */
static void what_a_lock_timeout_has_rolled_back_is_not_gone_on_with(void)
{
    static const char *const options[] = {"--innodb-rollback-on-timeout=ON", "--skip-log-bin"};
    static const char *const holds[][2] = {
        {"SELECT 1 FROM keepstep_joint WHERE id = 'old' FOR UPDATE", ""},
        {"SELECT 1 FROM keepstep_guard WHERE bucket = 3 FOR UPDATE",
         "UPDATE keepstep_guard SET reserved = 7 WHERE bucket = 3"}};
    size_t pruned = 9;
    if (database_case_kind != DATABASE_MARIADB)
        return;
    joint_case_begin_test();
    note_old("old", NULL);
    mariadb_stop();
    mariadb_start_with(options);
    joint_case_open_again();
    assert_string_equal(joint_case_look(), "innodb_rollback_on_timeout=ON");
    for (size_t i = 0; i < sizeof holds / sizeof *holds; i++) {
        if (holds[i][1][0] != '\0')
            (void)joint_case_text(holds[i][1]);
        struct session *writer = session_open(joint_case_url);
        session_run(writer, "BEGIN", NULL);
        session_run(writer, holds[i][0], NULL);
        error_clear(&joint_case_err);
        if (prune(&pruned) != STATUS_RETRY)
            test_fail("%s: %s", holds[i][0], joint_case_err.text);
        session_run(writer, "COMMIT", NULL);
        session_close(writer);
    }
    joint_case_assert_yes(prune(&pruned), "prune");
    assert_int_equal(pruned, 1);
    mariadb_stop();
    mariadb_start();
    joint_case_open_again();
    joint_case_done();
}

/* One that acts on the state does not see it, so nobody who asks for a transaction waits. */
static void only_triggers_that_would_see_it_are_switched_for_what_is_old(void)
{
    size_t pruned = 9;
    if (database_case_kind != DATABASE_POSTGRESQL)
        return;
    joint_case_begin_test();
    note_old("old", "AFTER UPDATE OF state");
    struct session *writer = writer_begin();
    joint_case_assert_yes(prune(&pruned), "prune");
    assert_int_equal(pruned, 1);
    session_run(writer, "COMMIT", NULL);
    session_close(writer);
    joint_case_done();
}

static void *prunes(void *context)
{
    joint_case_assert_yes(prune(context), "prune");
    return NULL;
}

/* Whoever has written the table goes on to a bucket, and must not meet there who waits for him. */
static void the_table_is_held_before_a_bucket_is(void)
{
    size_t pruned = 9;
    pthread_t thread;
    if (database_case_kind != DATABASE_POSTGRESQL)
        return;
    joint_case_begin_test();
    note_old("old", "BEFORE UPDATE");
    (void)joint_case_text("UPDATE keepstep_guard SET reserved = 7 WHERE bucket = 3");
    struct session *writer = writer_begin();
    session_run(writer, "SET LOCAL lock_timeout = '50ms'", NULL);
    assert_int_equal(pthread_create(&thread, NULL, prunes, &pruned), 0);
    clock_sleep_us(A_TURN);
    session_run(writer, "SELECT 1 FROM keepstep_guard WHERE bucket = 3 FOR SHARE", NULL);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(pruned, 0);
    session_run(writer, "COMMIT", NULL);
    session_close(writer);
    joint_case_assert_yes(prune(&pruned), "prune");
    assert_int_equal(pruned, 1);
    assert_string_equal(joint_case_text("SELECT sum(reserved) FROM keepstep_guard"), "0\n");
    joint_case_done();
}

int main(void)
{
    static const struct database_case cases[] = {
        DATABASE_CASE(no_trigger_on_a_row_ends_the_transaction),
        DATABASE_CASE(what_is_old_is_emptied_behind_the_back_of_triggers),
        DATABASE_CASE(what_a_trigger_meets_that_is_reserved_is_waited_for),
        DATABASE_CASE(what_a_trigger_changes_of_what_the_agent_writes_is_noticed),
        DATABASE_CASE_SERVERS(a_trigger_that_waits_for_the_commit_does_not_wait_with_the_agent),
        DATABASE_CASE_SERVERS(a_trigger_stands_as_it_stood_after_a_row_was_written_without_it),
        DATABASE_CASE_SERVERS(only_the_agent_switches_triggers_and_those_of_keepstep_joint_alone),
        DATABASE_CASE_SERVERS(
            triggers_stand_as_they_stood_whatever_the_agent_sets_and_however_often_it_asks),
        DATABASE_CASE_SERVERS(a_row_that_is_written_without_triggers_waits_for_writers),
        DATABASE_CASE_SERVERS(whoever_writes_the_table_is_waited_for_a_moment_and_then_named),
        DATABASE_CASE_SERVERS(what_somebody_holds_is_emptied_later),
        DATABASE_CASE_SERVERS(what_a_lock_timeout_has_rolled_back_is_not_gone_on_with),
        DATABASE_CASE_SERVERS(only_triggers_that_would_see_it_are_switched_for_what_is_old),
        DATABASE_CASE_SERVERS(the_table_is_held_before_a_bucket_is),
    };
    return database_case_run_where(cases, sizeof cases / sizeof *cases, joint_case_has);
}
