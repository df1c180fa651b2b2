/* What a service's own sessions can do to joint transactions on a server: nothing that they set, or
 * leave open, takes a promise away or stands in the way of others. */
#include "tests/support/database_case.h"
#include "tests/support/joint_case.h"
#include "tests/support/mariadb.h"
#include "tests/support/roles.h"

#define ASK(id) "INSERT INTO keepstep_joint (id, changes) VALUES ('" id "', '" MINUS(3) "')"

static bool is_mariadb(void)
{
    return database_case_kind == DATABASE_MARIADB;
}

/* Waits for nobody. */
static struct session *hasty_session(void)
{
    struct session *session = session_open(joint_case_url);
    session_run(session,
                is_mariadb() ? "SET SESSION innodb_lock_wait_timeout = 0"
                             : "SET lock_timeout = '200ms'",
                NULL);
    return session;
}

/* A reader that locks would hold what the relay writes, and the gap beside its own id. */
static void an_open_proposal_stands_in_nobodys_way(void)
{
    static const char *const others[] = {
        "UPDATE keepstep_relay SET epoch = epoch + 1",
        ASK("a"),
        ASK("n"),
        ASK("z"),
    };
    joint_case_begin_test();
    struct session *asker = session_open(joint_case_url);
    struct session *other = hasty_session();
    session_run(asker, "BEGIN", NULL);
    session_run(asker, ASK("m"), NULL);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        session_run(other, others[i], NULL);
    session_run(asker, "COMMIT", NULL);
    session_close(asker);
    session_close(other);
    assert_string_equal(joint_case_text("SELECT proposer, id FROM keepstep_joint ORDER BY id"),
                        "shop|a\nshop|m\nshop|n\nshop|z\n");
    joint_case_done();
}

static void nothing_that_a_service_sets_passes_the_guard(void)
{
    static const char *const settings[][4] = {
        [DATABASE_POSTGRESQL] = {"SET keepstep.reserved = 'looked at'",
                                 "SET keepstep.applying = 'stock'"},
        [DATABASE_MARIADB] = {"SET @keepstep_reserved = 'looked at'", "SET @keepstep_reserved = 1",
                              "SET @keepstep_reserved = (SELECT 1)",
                              "SET @keepstep_applying = 'stock'"},
    };
    joint_case_begin_test();
    (void)joint_case_text("GRANT SELECT, INSERT, UPDATE, DELETE ON stock TO keepstep_reader");
    joint_case_assert_yes(joint_case_attempt("t", 7, MINUS(3)), "attempt");
    struct session *service = session_open(
        roles_login(joint_case_url, "joint_service", "keepstep_reader"));
    for (size_t i = 0; i < 4 && settings[database_case_kind][i] != NULL; i++) {
        session_run(service, settings[database_case_kind][i], NULL);
        for (size_t j = 0; j < joint_case_texts->write_count; j++) {
            if (joint_case_texts->writes[j].of_absent)
                continue;
            const char *error = session_try(service, joint_case_texts->writes[j].sql, NULL);
            if (error == NULL || strstr(error, "reserved by a joint transaction") == NULL)
                test_fail("%s: %s: %s", settings[database_case_kind][i],
                          joint_case_texts->writes[j].sql, error == NULL ? "was taken" : error);
        }
    }
    session_close(service);
    assert_string_equal(joint_case_text("SELECT count(*) FROM keepstep_touched"), "0\n");
    joint_case_done();
}

/* What the service wrote there by hand is no row that the try has touched. */
static void what_stood_in_keepstep_touched_is_nobodys(void)
{
    joint_case_begin_test();
    (void)joint_case_text("INSERT INTO keepstep_touched (entity_type, entity_key) "
                          "VALUES ('stock', '{\"sku\":\"B\"}')");
    joint_case_assert_yes(joint_case_attempt("t", 7, MINUS(3)), "attempt");
    assert_string_equal(joint_case_text(RESERVED), "stock|{\"sku\":\"A\"}|u|web|t\n");
    assert_string_equal(joint_case_text("SELECT count(*) FROM keepstep_touched"), "0\n");
    joint_case_done();
}

/* The try is over when it reserves: a trigger there is guarded like any other. */
static void a_trigger_that_fires_when_a_row_is_reserved_writes_nothing_of_another_promise(void)
{
    joint_case_begin_test();
    (void)joint_case_text("INSERT INTO stock (sku, free) VALUES ('B', 5)");
    joint_case_assert_yes(
        joint_case_attempt("other", 5,
                           "[{\"service\":\"shop\",\"type\":\"stock\",\"key\":{\"sku\":\"B\"},"
                           "\"op\":\"u\",\"add\":{\"free\":1}}]"),
        "other");
    joint_case_trigger("x", "AFTER INSERT", "keepstep_reserved",
                       "UPDATE stock SET free = 1 WHERE sku = 'B'");
    if (joint_case_attempt("t", 7, MINUS(3)) == STATUS_OK)
        test_fail("it was promised");
    assert_string_equal(joint_case_text("SELECT free FROM stock WHERE sku = 'B'"), "5\n");
    assert_string_equal(joint_case_text("SELECT count(*) FROM keepstep_touched"), "0\n");
    joint_case_done();
}

/* Each has the rights of the table's owner. */
static void what_somebody_has_granted_on_a_function_is_taken_back(void)
{
    static const char *const functions[] = {"keepstep_joint_check()", "keepstep_joint_propose()",
                                            "keepstep_joint_silence(regclass, boolean)"};
    static const char GRANTED[] =
        "SELECT count(*) FROM pg_proc AS p, aclexplode(p.proacl) AS a WHERE p.proname LIKE "
        "'keepstep\\_joint\\_%' AND a.grantee <> p.proowner AND a.grantee <> "
        "'keepstep_agent'::regrole";
    if (is_mariadb())
        return;
    joint_case_begin_test();
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++)
        (void)joint_case_text(
            test_format("GRANT EXECUTE ON FUNCTION %s TO keepstep_reader", functions[i]));
    assert_string_equal(joint_case_text(GRANTED), "3\n");
    joint_case_init();
    assert_string_equal(joint_case_text(GRANTED), "0\n");
    assert_string_equal(joint_case_text("SELECT has_function_privilege('keepstep_agent', "
                                        "'keepstep_joint_silence(regclass, boolean)', 'EXECUTE')"),
                        "t\n");
    joint_case_done();
}

/* One that is made later has no trigger that sees its TRUNCATE. */
static void nothing_is_promised_of_a_table_with_a_partition_that_init_has_not_seen(void)
{
    if (is_mariadb())
        return;
    joint_case_begin_test();
    (void)joint_case_text(
        "ALTER TABLE stock RENAME TO stock_1; CREATE TABLE stock (LIKE stock_1 INCLUDING ALL) "
        "PARTITION BY RANGE (sku); DROP TABLE stock_1; "
        "CREATE TABLE stock_1 PARTITION OF stock FOR VALUES FROM ('A') TO ('K')");
    joint_case_init();
    joint_case_grant();
    (void)joint_case_text(joint_case_texts->row);
    joint_case_assert_yes(joint_case_attempt("t", 7, MINUS(3)), "attempt");
    joint_case_assert_refused("TRUNCATE stock_1");
    joint_case_assert_yes(joint_case_settle("t", MINUS(3), false), "settle");
    (void)joint_case_text("CREATE TABLE stock_2 PARTITION OF stock FOR VALUES FROM ('K') TO ('Z')");
    joint_case_assert_no(joint_case_attempt("t", 7, MINUS(3)), "stock_2", "a new partition");
    assert_non_null(strstr(joint_case_err.text, "keepstep init"));
    joint_case_init();
    joint_case_assert_yes(joint_case_attempt("t", 7, MINUS(3)), "after init");
    joint_case_done();
}

/* Whoever may call a function, or hangs it on a table, has the owner's rights by it. */
static void no_printed_function_is_anybodys_for_a_moment(void)
{
    const char *line;
    size_t functions = 0;
    bool is_open = false;
    if (is_mariadb())
        return;
    joint_case_begin_test();
    for (line = joint_case_print(); *line != '\0'; line += strspn(line, "\n")) {
        if (strncmp(line, "BEGIN;", 6) == 0 || strncmp(line, "COMMIT;", 7) == 0)
            is_open = *line == 'B';
        if (strncmp(line, "CREATE OR REPLACE FUNCTION", 26) == 0) {
            functions++;
            if (!is_open)
                test_fail("%.80s", line);
        }
        line += strcspn(line, "\n");
    }
    assert_true(functions > 8);
    joint_case_done();
}

/* With another encoding a text of another service's could not be stored. */
static void joint_transactions_need_a_database_of_utf8(void)
{
    if (is_mariadb())
        return;
    joint_case_begin_test();
    const char *url = database_make(DATABASE_POSTGRESQL, "latin");
    (void)joint_case_text("DROP DATABASE latin");
    (void)joint_case_text("CREATE DATABASE latin TEMPLATE template0 ENCODING 'LATIN1' "
                          "LC_COLLATE 'C' LC_CTYPE 'C'");
    (void)database_text(url, joint_case_texts->tables);
    assert_int_equal(joint_case_init_in(url), STATUS_FATAL);
    assert_non_null(strstr(joint_case_err.text, "UTF8"));
    joint_case_done();
}

#define UNFIT "joint transactions need a database of encoding UTF8, and this one has LATIN1"

/* A database that is already in use is not left with what it has promised. */
static void in_another_encoding_nothing_is_promised_and_what_was_is_settled(void)
{
    if (is_mariadb())
        return;
    joint_case_begin_test();
    joint_case_assert_yes(joint_case_attempt("t", 7, MINUS(3)), "attempt");
    (void)joint_case_text("UPDATE pg_database SET encoding = pg_char_to_encoding('LATIN1') "
                          "WHERE datname = current_database()");
    joint_case_open_again();
    joint_case_init();
    assert_non_null(strstr(test_read_file(test_path("init.txt")), "NOTE     " UNFIT));
    assert_int_equal(joint_case_watch(), 0);
    assert_non_null(strstr(joint_case_look(), UNFIT));
    joint_case_assert_no(joint_case_attempt("u", 8, MINUS(1)), UNFIT, "LATIN1");
    joint_case_assert_yes(joint_case_settle("t", MINUS(3), true), "settle");
    assert_string_equal(joint_case_text(RESERVED), "");
    joint_case_done();
}

/* After an upgrade the agent's role may lack a right, until an administrator gives it. */
static void what_is_reserved_is_settled_without_the_right_to_try(void)
{
    joint_case_begin_test();
    joint_case_assert_yes(joint_case_attempt("t", 7, MINUS(3)), "attempt");
    (void)joint_case_text(is_mariadb()
                              ? "REVOKE EXECUTE ON FUNCTION keepstep_look_away FROM keepstep_agent"
                              : "REVOKE DELETE ON keepstep_touched FROM keepstep_agent");
    joint_case_open_again();
    assert_int_equal(joint_case_attempt("u", 8, MINUS(1)), STATUS_RETRY);
    assert_non_null(strstr(joint_case_err.text, "--print-roles"));
    joint_case_assert_yes(joint_case_settle("t", MINUS(3), true), "settle");
    joint_case_grant();
    joint_case_assert_yes(joint_case_attempt("u", 8, MINUS(1)), "with the right");
    joint_case_done();
}

/* An administrator may have made the function under another sql_mode. */
static void a_backslash_that_escapes_nothing_hides_no_trigger(void)
{
    if (!is_mariadb())
        return;
    joint_case_begin_test();
    (void)joint_case_text(
        "SET sql_mode = 'NO_BACKSLASH_ESCAPES'; SET @made = (SELECT concat('CREATE OR REPLACE "
        "FUNCTION keepstep_uncovered(', param_list, ') RETURNS ', returns, ' READS SQL DATA ', "
        "body) FROM mysql.proc WHERE db = database() AND name = 'keepstep_uncovered'); "
        "EXECUTE IMMEDIATE @made");
    joint_case_grant();
    joint_case_assert_yes(joint_case_attempt("t", 7, MINUS(3)), "attempt");
    joint_case_done();
}

/* The options are given at the server's start, and it keeps them: this case is the last one. */
static void a_server_with_a_binary_log_has_them_too(void)
{
    static const char *const logging[] = {"--log-bin=changes", "--binlog-format=MIXED"};
    if (!is_mariadb())
        return;
    (void)database_make(DATABASE_MARIADB, "shop"); /* it runs */
    mariadb_stop();
    mariadb_start_with(logging);
    (void)database_text(mariadb_server_url(), "SET GLOBAL sync_binlog = 1");
    joint_case_begin_test();
    joint_case_assert_yes(joint_case_attempt("t", 7, MINUS(3)), "attempt");
    joint_case_assert_refused("UPDATE stock SET free = 1 WHERE sku = 'A'");
    joint_case_assert_yes(joint_case_settle("t", MINUS(3), true), "settle");
    assert_string_equal(joint_case_text("SELECT free FROM stock WHERE sku = 'A'"), "7\n");
    assert_string_equal(joint_case_text("SELECT count(*) FROM keepstep_touched"), "0\n");
    joint_case_done();
}

int main(void)
{
    static const struct database_case cases[] = {
        DATABASE_CASE_SERVERS(an_open_proposal_stands_in_nobodys_way),
        DATABASE_CASE_SERVERS(nothing_that_a_service_sets_passes_the_guard),
        DATABASE_CASE_SERVERS(what_stood_in_keepstep_touched_is_nobodys),
        DATABASE_CASE_SERVERS(
            a_trigger_that_fires_when_a_row_is_reserved_writes_nothing_of_another_promise),
        DATABASE_CASE_SERVERS(what_somebody_has_granted_on_a_function_is_taken_back),
        DATABASE_CASE_SERVERS(
            nothing_is_promised_of_a_table_with_a_partition_that_init_has_not_seen),
        DATABASE_CASE_SERVERS(no_printed_function_is_anybodys_for_a_moment),
        DATABASE_CASE_SERVERS(joint_transactions_need_a_database_of_utf8),
        DATABASE_CASE_SERVERS(in_another_encoding_nothing_is_promised_and_what_was_is_settled),
        DATABASE_CASE_SERVERS(what_is_reserved_is_settled_without_the_right_to_try),
        DATABASE_CASE_SERVERS(a_backslash_that_escapes_nothing_hides_no_trigger),
        DATABASE_CASE_SERVERS(a_server_with_a_binary_log_has_them_too),
    };
    return database_case_run_where(cases, sizeof cases / sizeof *cases, joint_case_has);
}
