/* MariaDB's prepared statements: they know the triggers of now, whenever those were made. */
#include "common/mariadb_statement.h"

#include "tests/support/database.h"

#include <stdio.h>

#define TABLES                                                                                     \
    "CREATE TABLE item (id INT PRIMARY KEY); CREATE TABLE seen (id INT); CREATE TABLE told (id "   \
    "INT); CREATE FUNCTION tell(n INT) RETURNS INT MODIFIES SQL DATA BEGIN INSERT INTO told "      \
    "VALUES (n); RETURN n; END"
#define TRIGGER(name, table, body)                                                                 \
    "CREATE TRIGGER " name " AFTER INSERT ON " table " FOR EACH ROW " body
#define SEES     TRIGGER("sees", "item", "INSERT INTO seen VALUES (NEW.id)")
#define COUNTS   TRIGGER("counts", "item", "INSERT INTO seen SELECT count(*) FROM told")
#define TELLS    TRIGGER("tells", "item", "INSERT INTO told VALUES (NEW.id)")
#define PASSES   TRIGGER("passes", "seen", "INSERT INTO told VALUES (NEW.id)")
#define CALLS    TRIGGER("calls", "item", "SET @x = tell(NEW.id)")
#define TOLD     "SELECT count(*) FROM told"
#define NO_TABLE TRIGGER("lost", "item", "INSERT INTO gone VALUES (NEW.id)")

/* A trigger that was there before the statement was prepared, and one that is made behind that. */
static const struct {
    const char *before;
    const char *behind;
} cases[] = {
    {"SELECT 1", TELLS}, {"SELECT 1", CALLS}, {SEES, TELLS},
    {SEES, PASSES},      {COUNTS, TELLS},     {SEES, CALLS},
};

#define SEES_TELLS 2

static struct error err;

static enum status insert(struct mariadb_statement *statement, int64_t first, size_t rows)
{
    const struct mariadb_parameter ids[] = {mariadb_integer(first), mariadb_integer(first + 1)};
    const struct mariadb_rows all = {ids, 1, rows};
    error_clear(&err);
    return rows == 1 ? mariadb_statement_run(statement, ids, 1, NULL, &err)
                     : mariadb_statement_run_rows(statement, all, NULL, &err);
}

static MYSQL *open_statement(const char *url, struct mariadb_statement **ret_statement)
{
    const struct server_session_options options = {.url = url, .application = "test"};
    MYSQL *session = NULL;
    assert_int_equal(mariadb_session_open(&options, &session, &err), STATUS_OK);
    assert_int_equal(mariadb_statement_new(session, "item", "INSERT INTO item VALUES (?)",
                                           ret_statement, &err),
                     STATUS_OK);
    return session;
}

static void execute(MYSQL *session, const char *sql)
{
    if (mariadb_session_execute(session, sql, &err) != STATUS_OK)
        test_fail("%s: %s", sql, err.text);
}

/* @param rows  of each message. @return what went wrong; "": nothing. */
static const char *run_case(size_t i, size_t rows)
{
    const char *url = database_make(DATABASE_MARIADB, test_format("case%zu%zu", i, rows));
    const char *wrong = "";
    struct mariadb_statement *statement = NULL;
    (void)database_text(url, TABLES);
    (void)database_text(url, cases[i].before);
    MYSQL *session = open_statement(url, &statement);
    assert_int_equal(insert(statement, 1, rows), STATUS_OK);
    execute(session, "COMMIT");
    (void)database_text(url, cases[i].behind);
    enum status status = insert(statement, 11, rows);
    if (status == STATUS_RETRY && rows > 1) { /* some rows may be written */
        execute(session, "ROLLBACK");
        status = insert(statement, 11, rows);
    }
    if (status != STATUS_OK)
        wrong = test_format("%zu rows, %s, then %s: %s\n", rows, cases[i].before, cases[i].behind,
                            err.text);
    execute(session, status == STATUS_OK ? "COMMIT" : "ROLLBACK");
    const char *told = database_text(url, TOLD);
    if (status == STATUS_OK && strcmp(told, test_format("%zu\n", rows)) != 0)
        wrong = test_format("%zu rows, %s: told %s", rows, cases[i].behind, told);
    mariadb_statement_free(statement);
    mariadb_session_close(session);
    return wrong;
}

static void a_statement_goes_on_when_triggers_were_made_since_it_was_prepared(void **state)
{
    const char *wrong = "";
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        wrong = test_format("%s%s", wrong, run_case(i, 1 + i % 2));
    wrong = test_format("%s%s", wrong, run_case(SEES_TELLS, 2));
    if (*wrong != '\0')
        test_fail("%s", wrong);
}

/* It is prepared anew in vain, and what was written before it in the transaction stays. */
static void a_trigger_whose_table_is_gone_refuses_as_before(void **state)
{
    const char *url = database_make(DATABASE_MARIADB, "gone");
    struct mariadb_statement *statement = NULL;
    (void)state;
    (void)database_text(url, TABLES);
    MYSQL *session = open_statement(url, &statement);
    assert_int_equal(insert(statement, 1, 1), STATUS_OK);
    execute(session, "COMMIT");
    (void)database_text(url, NO_TABLE);
    execute(session, "INSERT INTO seen VALUES (1)");
    for (int64_t i = 0; i < 2; i++) {
        assert_int_equal(insert(statement, 11 + i, 1), STATUS_FATAL);
        assert_int_equal(err.native_code, ER_NO_SUCH_TABLE);
    }
    execute(session, "COMMIT"); /* a table that is newer than the transaction is not there for it */
    (void)database_text(url, "CREATE TABLE gone (id INT)");
    assert_int_equal(insert(statement, 21, 1), STATUS_OK);
    execute(session, "COMMIT");
    assert_string_equal(database_text(url, "SELECT count(*) FROM seen"), "1\n");
    assert_string_equal(database_text(url, "SELECT id FROM gone"), "21\n");
    assert_string_equal(database_text(url, "SELECT id FROM item ORDER BY id"), "1\n21\n");
    mariadb_statement_free(statement);
    mariadb_session_close(session);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_WITH_LIMIT(a_statement_goes_on_when_triggers_were_made_since_it_was_prepared, 240),
        TEST_WITH_LIMIT(a_trigger_whose_table_is_gone_refuses_as_before, 120),
    };
    return TEST_RUN(tests);
}
