/* What a promise rests on: triggers that keep others out, counts that make them look, and sessions
 * that can be trusted. What breaks one of these is found, and nothing is promised upon it. */
#include "tests/support/database_case.h"
#include "tests/support/joint_case.h"

#include "common/clock.h"
#include "consumer/store/sql/joint.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#define KEEP      "[" STOCK "\"op\":\"k\"}]"
#define GUARDED   "SELECT sum(reserved) FROM keepstep_guard"
#define WAIT_US   INT64_C(60000000)
#define HOLD_US   INT64_C(60000)
#define WRITERS   3
#define BODY_SIZE 512
#define MOVE(of_id)                                                                                \
    "[{\"service\":\"shop\",\"type\":\"movement\",\"key\":{\"id\":" of_id                          \
    "},\"op\":\"c\",\"set\":{\"sku\":\"A\"}}]"

/* `joint:` came into the configuration, and nobody has run `keepstep init` since. */
static void what_no_trigger_keeps_is_not_promised(void)
{
    joint_case_begin_test();
    joint_case_init_without("stock");
    joint_case_assert_no(joint_case_attempt("t", 7, MINUS(3)), "keepstep init", MINUS(3));
    joint_case_assert_no(joint_case_attempt("t", 7, KEEP), "keepstep init", KEEP);
    assert_string_equal(joint_case_text(RESERVED), "");
    joint_case_assert_yes(joint_case_attempt("u", 8, MOVE("1")), "movement");
    joint_case_assert_yes(joint_case_settle("u", MOVE("1"), false), "movement");
    joint_case_init_without("");
    joint_case_assert_yes(joint_case_attempt("t", 7, MINUS(3)), MINUS(3));
    joint_case_assert_yes(joint_case_settle("t", MINUS(3), true), MINUS(3));
    joint_case_assert_yes(joint_case_attempt("k", 9, KEEP), KEEP);
    joint_case_done();
}

/* A trigger of the service's writes it, so that the proposal does not name it. */
static void what_is_written_besides_is_kept_too_or_not_promised(void)
{
    joint_case_begin_test();
    joint_case_trigger("moves", "AFTER UPDATE", "stock",
                       "INSERT INTO movement (id, sku, delta) VALUES (5, NEW.sku, 1)");
    joint_case_init_without("movement");
    joint_case_assert_no(joint_case_attempt("t", 7, MINUS(3)), "movement {\"id\":5}: no trigger",
                         MINUS(3));
    joint_case_init_without("");
    joint_case_assert_yes(joint_case_attempt("t", 7, MINUS(3)), MINUS(3));
    joint_case_done();
}

static size_t prune(void)
{
    size_t pruned = 0;
    joint_case_begin();
    joint_case_assert_yes(joint_case_ops->prune(joint_case_store, 1, 1, &pruned, &joint_case_err),
                          "prune");
    joint_case_commit();
    return pruned;
}

/* Made anew, keepstep_guard counts nothing; and a decision that cannot have its bucket leaves it
 * counted. */
static void counts_of_what_is_reserved_are_set_right(void)
{
    joint_case_begin_test();
    joint_case_assert_yes(joint_case_attempt("t", 7, MINUS(3)), "attempt");
    (void)joint_case_text("UPDATE keepstep_guard SET reserved = 0");
    joint_case_assert_taken("UPDATE stock SET note = 'nobody looks' WHERE sku = 'A'");
    (void)joint_case_text("UPDATE keepstep_guard SET reserved = 7 WHERE bucket IN (3, 4095)");
    (void)prune();
    assert_string_equal(joint_case_text(GUARDED), "1\n");
    joint_case_assert_refused("UPDATE stock SET note = 'x' WHERE sku = 'A'");
    joint_case_assert_yes(joint_case_settle("t", MINUS(3), true), "settle");
    (void)prune();
    assert_string_equal(joint_case_text(GUARDED), "0\n");
    joint_case_done();
}

/* An operator drops it where rows are missing, while something is promised. */
static void a_guard_that_is_made_anew_counts_what_is_reserved(void)
{
    joint_case_begin_test();
    joint_case_assert_yes(joint_case_attempt("t", 7, MINUS(3)), "attempt");
    (void)joint_case_text("DROP TABLE keepstep_guard");
    joint_case_init_without("");
    assert_string_equal(joint_case_text(GUARDED), "1\n");
    joint_case_assert_refused("UPDATE stock SET note = 'x' WHERE sku = 'A'");
    joint_case_done();
}

/* A bucket that somebody holds is left for the next time. */
static void a_count_is_set_right_without_waiting(void)
{
    joint_case_begin_test();
    (void)joint_case_text("UPDATE keepstep_guard SET reserved = 7 WHERE bucket IN (3, 4)");
    struct session *writer = session_open(joint_case_url);
    session_run(writer, "BEGIN", NULL);
    session_run(writer, "UPDATE keepstep_guard SET reserved = 7 WHERE bucket = 3", NULL);
    (void)prune();
    assert_string_equal(joint_case_text(GUARDED), "7\n");
    session_run(writer, "ROLLBACK", NULL);
    session_close(writer);
    (void)prune();
    assert_string_equal(joint_case_text(GUARDED), "0\n");
    joint_case_done();
}

/** Writers that hold a row one after the other, so that it is never free. */
struct hammer {
    pthread_t threads[WRITERS];
    atomic_bool stop;
    atomic_int held;
};

static void *hammer_run(void *context)
{
    struct hammer *hammer = context;
    struct session *writer = session_open(joint_case_url);
    while (!atomic_load(&hammer->stop)) {
        session_run(writer, "BEGIN", NULL);
        if (session_try(writer, "SELECT free FROM stock WHERE sku = 'A' FOR UPDATE", NULL) ==
            NULL) {
            atomic_fetch_add(&hammer->held, 1);
            clock_sleep_us(HOLD_US);
        }
        session_run(writer, "ROLLBACK", NULL);
    }
    session_close(writer);
    return NULL;
}

static void hammer_begin(struct hammer *hammer)
{
    int64_t until_us = clock_monotonic_us() + WAIT_US;
    atomic_init(&hammer->stop, false);
    atomic_init(&hammer->held, 0);
    for (size_t i = 0; i < WRITERS; i++)
        assert_int_equal(pthread_create(&hammer->threads[i], NULL, hammer_run, hammer), 0);
    while (atomic_load(&hammer->held) <= WRITERS && clock_monotonic_us() < until_us)
        clock_sleep_us(HOLD_US);
}

static void hammer_end(struct hammer *hammer)
{
    atomic_store(&hammer->stop, true);
    for (size_t i = 0; i < WRITERS; i++)
        assert_int_equal(pthread_join(hammer->threads[i], NULL), 0);
}

/* Each of them gives the row back soon, and none of them ever leaves it to who does not wait. */
static void a_decision_gets_its_turn_between_writers(void)
{
    struct hammer hammer;
    enum status status = STATUS_RETRY;
    joint_case_begin_test();
    joint_case_assert_yes(joint_case_attempt("t", 7, MINUS(3)), "attempt");
    hammer_begin(&hammer);
    int64_t until_us = clock_monotonic_us() + WAIT_US;
    while (status == STATUS_RETRY && clock_monotonic_us() < until_us)
        status = joint_case_settle("t", MINUS(3), true);
    hammer_end(&hammer);
    joint_case_assert_yes(status, "settle");
    assert_string_equal(joint_case_text(ROW), "7|sold|1.25\n");
    joint_case_done();
}

/* A session whose functions a test exchanges, one at a time. */
static const struct sql_session_ops *real;
static struct sql_session_ops broken;
static const char *broken_command;
static unsigned int broken_statement;

static enum status break_send(struct store_sql *self, const struct sql_call *call,
                              struct error *err)
{
    return call->id == broken_statement ? error_set(err, STATUS_RETRY, "killed")
                                        : real->send(self, call, err);
}

static enum status break_execute(struct store_sql *self, const char *sql, struct error *err)
{
    return broken_command != NULL && strcmp(sql, broken_command) == 0
               ? error_set(err, STATUS_RETRY, "killed")
               : real->execute(self, sql, err);
}

static struct store_sql *session_break(const char *command, unsigned int statement)
{
    struct store_sql *store = store_sql_of(joint_case_store);
    broken_command = command;
    broken_statement = statement;
    real = store->session;
    broken = *real;
    broken.send = break_send;
    broken.execute = break_execute;
    store->session = &broken;
    return store;
}

/* It would write past what others reserve, and its events would be those of a try. */
static void a_session_that_looks_away_for_ever_is_given_up(void)
{
    bool stays = database_case_kind == DATABASE_MARIADB; /* elsewhere the savepoint ends it */
    joint_case_begin_test();
    const struct joint_part part = joint_case_part("t", 7, MINUS(3));
    struct store_sql *store = session_break(NULL, STATEMENT_JOINT_LOOK_BACK);
    joint_case_begin();
    enum status status = joint_case_ops->attempt(joint_case_store, &part, &joint_case_err);
    store->session = real;
    assert_int_equal(status, stays ? STATUS_RETRY : STATUS_OK);
    assert_int_equal(joint_case_err.connection_lost, stays);
    joint_case_store->ops->rollback(joint_case_store);
    joint_case_done();
}

static void what_is_history_can_be_written_again_after_a_failed_commit(void)
{
    const struct joint_history history = {.end = 9, .made = true};
    struct joint_history found = {0};
    joint_case_begin_test();
    struct store_sql *store = session_break("COMMIT", STATEMENT_SHARED_COUNT);
    assert_int_equal(joint_case_ops->set_history(joint_case_store, &history, &joint_case_err),
                     STATUS_RETRY);
    store->session = real;
    joint_case_assert_yes(joint_case_ops->set_history(joint_case_store, &history, &joint_case_err),
                          "again");
    joint_case_store->ops->rollback(joint_case_store);
    joint_case_assert_yes(joint_case_ops->history(joint_case_store, &found, &joint_case_err),
                          "read");
    assert_int_equal(found.end, 9);
    joint_case_done();
}

/* A trigger of the service's that makes a number of rows where A changes. */
static void rows_are_made(const char *how[static 3], const char *number)
{
    char body[BODY_SIZE];
    (void)snprintf(body, sizeof body, how[database_case_kind], number);
    joint_case_trigger("moves", "AFTER UPDATE", "stock", body);
}

/* The change, the event of it and the name that a trigger notes are of one entity. */
static void entities_are_promised_up_to_a_number_and_count_once(void)
{
    static const char *how[] = {
        [DATABASE_SQLITE] = "INSERT INTO movement (id) SELECT n FROM numbers WHERE n <= %s",
        [DATABASE_POSTGRESQL] =
            "INSERT INTO movement (id) SELECT g FROM generate_series(1, %s) AS g",
        [DATABASE_MARIADB] = "INSERT INTO movement (id) SELECT seq FROM seq_1_to_%s"};
    joint_case_begin_test();
    if (database_case_kind == DATABASE_SQLITE)
        (void)joint_case_text("CREATE TABLE numbers AS WITH RECURSIVE t(n) AS (SELECT 1 "
                              "UNION ALL SELECT n + 1 FROM t WHERE n < 10000) SELECT n FROM t");
    rows_are_made(how, "6000");
    joint_case_assert_yes(joint_case_attempt("t", 7, MINUS(3)), "6001");
    assert_string_equal(joint_case_text("SELECT count(*) FROM keepstep_reserved"), "6001\n");
    joint_case_assert_yes(joint_case_settle("t", MINUS(3), false), "release");
    joint_case_drop_trigger("moves", "stock");
    rows_are_made(how, "10000");
    joint_case_assert_no(joint_case_attempt("u", 8, MINUS(3)), "more than 10000", "10001");
    assert_string_equal(joint_case_text(RESERVED), "");
    joint_case_done();
}

/* Those of the try before are not among them. */
static void rows_that_are_new_at_each_try_are_promised_up_to_a_number(void)
{
    static const char *how[] = {
        [DATABASE_POSTGRESQL] = "INSERT INTO movement (id) SELECT "
                                "(extract(epoch FROM clock_timestamp()) * 1000)::bigint * 100000 "
                                "+ g FROM generate_series(1, %s) AS g",
        [DATABASE_MARIADB] = "INSERT INTO movement (id) SELECT "
                             "ROUND(UNIX_TIMESTAMP(SYSDATE(3)) * 1000) * 100000 + seq "
                             "FROM seq_1_to_%s"};
    joint_case_begin_test();
    rows_are_made(how, "6000");
    joint_case_assert_yes(joint_case_attempt("t", 7, MINUS(3)), "6001");
    joint_case_assert_yes(joint_case_settle("t", MINUS(3), false), "release");
    joint_case_drop_trigger("moves", "stock");
    rows_are_made(how, "10000");
    joint_case_assert_no(joint_case_attempt("u", 8, MINUS(3)), "more than 10000", "10001");
    assert_string_equal(joint_case_text(RESERVED), "");
    joint_case_done();
}

/* Also what is kept of a table from one try to the next. */
static void a_table_that_was_altered_is_looked_at_again(void)
{
    bool is_mariadb = database_case_kind == DATABASE_MARIADB;
    joint_case_begin_test();
    for (int i = 0; i < 2; i++) {
        joint_case_assert_yes(joint_case_attempt("t", 7, MINUS(3)), "before");
        joint_case_assert_yes(joint_case_settle("t", MINUS(3), false), "before");
        (void)joint_case_text("CREATE UNIQUE INDEX one ON stock (free)");
        joint_case_assert_no(joint_case_attempt("t", 7, MINUS(3)), "unique index", "index");
        (void)joint_case_text(is_mariadb ? "DROP INDEX one ON stock" : "DROP INDEX one");
        joint_case_assert_yes(joint_case_attempt("t", 7, MINUS(3)), "behind");
        joint_case_assert_yes(joint_case_settle("t", MINUS(3), false), "behind");
        joint_case_init_without("stock");
        joint_case_assert_no(joint_case_attempt("t", 7, MINUS(3)), "keepstep init", "trigger");
        joint_case_init_without("");
    }
    joint_case_done();
}

int main(void)
{
    static const struct database_case cases[] = {
        DATABASE_CASE(what_no_trigger_keeps_is_not_promised),
        DATABASE_CASE(what_is_written_besides_is_kept_too_or_not_promised),
        DATABASE_CASE_SERVERS(counts_of_what_is_reserved_are_set_right),
        DATABASE_CASE_SERVERS(a_guard_that_is_made_anew_counts_what_is_reserved),
        DATABASE_CASE_SERVERS(a_count_is_set_right_without_waiting),
        DATABASE_CASE_SERVERS(a_decision_gets_its_turn_between_writers),
        DATABASE_CASE_SERVERS(a_session_that_looks_away_for_ever_is_given_up),
        DATABASE_CASE(what_is_history_can_be_written_again_after_a_failed_commit),
        DATABASE_CASE(a_table_that_was_altered_is_looked_at_again),
        DATABASE_CASE(entities_are_promised_up_to_a_number_and_count_once),
        DATABASE_CASE_SERVERS(rows_that_are_new_at_each_try_are_promised_up_to_a_number),
    };
    return database_case_run_where(cases, sizeof cases / sizeof *cases, joint_case_has);
}
