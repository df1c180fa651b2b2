/* The service's own writers beside joint transactions, at each isolation level: whoever comes
 * first, a promise is kept and no writer waits for a decision (rules 66 and 67). */
#include "tests/support/database_case.h"
#include "tests/support/joint_case.h"
#include "tests/support/joint_writer.h"

#define RELOAD_MS 20000
#define GUARDED   "SELECT sum(reserved) FROM keepstep_guard"

static const char *promise_of(const struct joint_write *write)
{
    return write->of_absent ? "[" ABSENT "\"op\":\"c\",\"set\":{\"free\":2}}]"
                            : "[" STOCK "\"op\":\"u\",\"set\":{\"free\":2}}]";
}

static void fill(void)
{
    joint_case_fill();
    (void)joint_case_text("INSERT INTO stock (sku, free) VALUES ('B', 5)");
}

static void writer_first(const char *level, const struct joint_write *write)
{
    const char *changes = promise_of(write);
    fill();
    struct session *writer = joint_writer_begin(level);
    session_run(writer, write->sql, NULL);
    if (joint_case_attempt("t", 7, changes) != STATUS_RETRY)
        test_fail("%s: %s: the try did not wait for the writer: %s", level, write->sql,
                  joint_case_err.text);
    assert_string_equal(joint_case_text(RESERVED), "");
    joint_writer_end(writer, "COMMIT");
    bool can = strcmp(joint_case_text(write->of_absent
                                          ? "SELECT count(*) FROM stock WHERE sku = 'N'"
                                          : "SELECT 1 - count(*) FROM stock WHERE sku = 'A'"),
                      "0\n") == 0;
    enum status status = joint_case_attempt("t", 7, changes);
    if (can)
        joint_case_assert_yes(status, write->sql);
    else
        joint_case_assert_no(status, "row", write->sql);
}

static void a_try_waits_for_a_writer_that_came_first(void)
{
    joint_case_begin_test();
    for (size_t i = 0; i < JOINT_WRITER_LEVELS; i++) {
        for (size_t j = 0; j < joint_case_texts->write_count; j++)
            writer_first(joint_writer_levels[i], &joint_case_texts->writes[j]);
    }
    joint_case_done();
}

/* Only a snapshot that is older than the reservation is told otherwise of it. */
static void assert_kept_out(const struct joint_writing *writing, const char *level)
{
    bool told = writing->error != NULL &&
                (strcmp(level, joint_writer_levels[0]) != 0 ||
                 strstr(writing->error, "is reserved by a joint transaction, t of web") != NULL);
    if (!told)
        test_fail("%s: %s: %s", level, writing->sql,
                  writing->error == NULL ? "was not refused" : writing->error);
}

/* Its row is written, and it waits for the bucket, while the agent has not committed yet. */
static void agent_first(const char *level, const struct joint_write *write)
{
    const char *changes = promise_of(write);
    const struct joint_part part = joint_case_part("t", 7, changes);
    fill();
    joint_case_begin();
    joint_case_assert_yes(joint_case_ops->attempt(joint_case_store, &part, &joint_case_err),
                          changes);
    struct joint_writing writing = {.writer = joint_writer_begin(level), .sql = write->sql};
    joint_writing_begin(&writing);
    joint_case_commit();
    joint_writing_join(&writing);
    assert_kept_out(&writing, level);
    joint_writer_end(writing.writer, "ROLLBACK");
    joint_case_assert_yes(joint_case_settle("t", changes, true), changes);
    assert_string_equal(joint_case_text("SELECT count(*) FROM stock WHERE free = 2"), "1\n");
}

static void a_writer_that_comes_behind_a_try_is_refused_when_it_is_committed(void)
{
    joint_case_begin_test();
    for (size_t i = 0; i < JOINT_WRITER_LEVELS; i++) {
        for (size_t j = 0; j < joint_case_texts->write_count; j++)
            agent_first(joint_writer_levels[i], &joint_case_texts->writes[j]);
    }
    joint_case_done();
}

/* The writer has read before anything was reserved. */
static void a_snapshot_from_before_the_reservation_writes_nothing_of_it(void)
{
    joint_case_begin_test();
    for (size_t i = 0; i < JOINT_WRITER_LEVELS; i++) {
        for (size_t j = 0; j < joint_case_texts->write_count; j++) {
            const struct joint_write *write = &joint_case_texts->writes[j];
            fill();
            struct joint_writing writing = {.writer = joint_writer_begin(joint_writer_levels[i]),
                                            .sql = write->sql};
            session_run(writing.writer, "SELECT count(*) FROM audit", NULL);
            joint_case_assert_yes(joint_case_attempt("t", 7, promise_of(write)), write->sql);
            joint_writing_run(&writing);
            assert_kept_out(&writing, joint_writer_levels[i]);
            joint_writer_end(writing.writer, "ROLLBACK");
            joint_case_assert_yes(joint_case_settle("t", promise_of(write), false), write->sql);
        }
    }
    joint_case_done();
}

static void writers_of_other_entities_hinder_nobody(void)
{
    joint_case_begin_test();
    for (size_t i = 0; i < JOINT_WRITER_LEVELS; i++) {
        fill();
        struct session *writer = joint_writer_begin(joint_writer_levels[i]);
        session_run(writer, "UPDATE stock SET free = 6 WHERE sku = 'B'", NULL);
        session_run(writer, "INSERT INTO stock (sku, free) VALUES ('C', 1)", NULL);
        joint_case_assert_yes(joint_case_attempt("t", 7, MINUS(3)), "attempt");
        session_run(writer, "UPDATE stock SET free = 7 WHERE sku = 'B'", NULL);
        joint_writer_end(writer, "COMMIT");
        joint_case_assert_yes(joint_case_settle("t", MINUS(3), true), "settle");
        assert_string_equal(joint_case_text("SELECT sku, free FROM stock ORDER BY sku"),
                            "A|7\nB|7\nC|1\n");
    }
    joint_case_done();
}

/* It was refused, and still holds the row that the decision needs. */
static void a_decision_is_made_once_a_refused_writer_has_ended(void)
{
    joint_case_begin_test();
    for (size_t i = 0; i < JOINT_WRITER_LEVELS; i++) {
        fill();
        joint_case_assert_yes(joint_case_attempt("t", 7, MINUS(3)), "attempt");
        struct session *writer = joint_writer_begin(joint_writer_levels[i]);
        const char *error = session_try(writer, "UPDATE stock SET free = 1 WHERE sku = 'A'", NULL);
        assert_non_null(error);
        enum status status = joint_case_settle("t", MINUS(3), true);
        if (status != STATUS_RETRY)
            joint_case_assert_yes(status, "a statement that fails may give its locks back");
        joint_writer_end(writer, "ROLLBACK");
        if (status == STATUS_RETRY)
            joint_case_assert_yes(joint_case_settle("t", MINUS(3), true), "settle");
        assert_string_equal(joint_case_text(ROW), "7|sold|1.25\n");
        assert_string_equal(joint_case_text(RESERVED), "");
    }
    joint_case_done();
}

/* A bulk writer of other rows holds the bucket. What is counted too high costs others a look. */
static void a_decision_does_not_wait_for_a_bucket(void)
{
    static const char *const shares[] = {
        [DATABASE_POSTGRESQL] =
            "SELECT count(*) FROM (SELECT 1 FROM keepstep_guard FOR SHARE) AS g",
        [DATABASE_MARIADB] = "SELECT count(*) FROM keepstep_guard LOCK IN SHARE MODE"};
    joint_case_begin_test();
    joint_case_assert_yes(joint_case_attempt("t", 7, MINUS(3)), "attempt");
    assert_string_equal(joint_case_text(GUARDED), "1\n");
    struct session *writer = joint_writer_begin(joint_writer_levels[0]);
    session_run(writer, shares[database_case_kind], NULL);
    joint_case_assert_yes(joint_case_settle("t", MINUS(3), true), "settle");
    joint_writer_end(writer, "COMMIT");
    assert_string_equal(joint_case_text(GUARDED), "1\n");
    joint_case_assert_taken("UPDATE stock SET free = 8 WHERE sku = 'A'");
    joint_case_assert_yes(joint_case_attempt("u", 8, MINUS(3)), "attempt");
    joint_case_assert_yes(joint_case_settle("u", MINUS(3), true), "settle");
    assert_string_equal(joint_case_text(GUARDED), "0\n");
    joint_case_done();
}

/* MariaDB's TRUNCATE fires no trigger, and is captured as little. */
static void what_is_reserved_is_not_truncated_or_its_decision_is_held(void)
{
    joint_case_begin_test();
    joint_case_assert_yes(joint_case_attempt("t", 7, MINUS(3)), "attempt");
    struct joint_writing writing = {.writer = session_open(joint_case_url),
                                    .sql = "TRUNCATE stock"};
    joint_writing_run(&writing);
    session_close(writing.writer);
    enum status status = joint_case_settle("t", MINUS(3), true);
    if (database_case_kind == DATABASE_MARIADB) {
        assert_null(writing.error);
        joint_case_assert_no(status, "no such row", "settle");
    } else {
        assert_non_null(writing.error);
        assert_non_null(strstr(writing.error, "is reserved by a joint transaction, t of web"));
        joint_case_assert_yes(status, "settle");
    }
    joint_case_done();
}

static void give_setting(const char *sql)
{
    (void)joint_case_text(sql);
    if (database_case_kind == DATABASE_POSTGRESQL)
        (void)joint_case_text("SELECT pg_reload_conf()");
}

/* Sessions that are opened from then on have it; one that is open takes it some time later. */
static void open_with_setting(const char *fsync)
{
    if (database_case_kind == DATABASE_POSTGRESQL)
        assert_true(database_wait_for(joint_case_url, "SHOW fsync", fsync, RELOAD_MS));
    joint_case_open_again();
}

static void a_server_that_can_lose_commits_promises_nothing(void)
{
    static const struct {
        const char *careless;
        const char *careful;
        const char *no;
    } settings[] = {
        [DATABASE_POSTGRESQL] = {"ALTER SYSTEM SET fsync = off", "ALTER SYSTEM RESET fsync",
                                 "fsync=off"},
        [DATABASE_MARIADB] = {"SET GLOBAL innodb_flush_log_at_trx_commit = 2",
                              "SET GLOBAL innodb_flush_log_at_trx_commit = 1",
                              "innodb_flush_log_at_trx_commit=2"},
    };
    joint_case_begin_test();
    give_setting(settings[database_case_kind].careless);
    open_with_setting("off\n");
    enum status status = joint_case_attempt("t", 7, MINUS(3));
    give_setting(settings[database_case_kind].careful);
    joint_case_assert_no(status, settings[database_case_kind].no, "careless");
    assert_string_equal(joint_case_text(RESERVED), "");
    open_with_setting("on\n");
    joint_case_assert_yes(joint_case_attempt("t", 7, MINUS(3)), "careful");
    joint_case_done();
}

int main(void)
{
    static const struct database_case cases[] = {
        DATABASE_CASE_SERVERS(a_try_waits_for_a_writer_that_came_first),
        DATABASE_CASE_SERVERS(a_writer_that_comes_behind_a_try_is_refused_when_it_is_committed),
        DATABASE_CASE_SERVERS(a_snapshot_from_before_the_reservation_writes_nothing_of_it),
        DATABASE_CASE_SERVERS(writers_of_other_entities_hinder_nobody),
        DATABASE_CASE_SERVERS(a_decision_is_made_once_a_refused_writer_has_ended),
        DATABASE_CASE_SERVERS(a_decision_does_not_wait_for_a_bucket),
        DATABASE_CASE_SERVERS(what_is_reserved_is_not_truncated_or_its_decision_is_held),
        DATABASE_CASE_SERVERS(a_server_that_can_lose_commits_promises_nothing),
    };
    return database_case_run_where(cases, sizeof cases / sizeof *cases, joint_case_has);
}
