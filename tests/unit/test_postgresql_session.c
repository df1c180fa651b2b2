/* PostgreSQL sessions: the verdict of each SQLSTATE, a session's settings, what opening refuses. */
#include "common/connections.h"
#include "common/postgresql_session.h"

#include "tests/support/postgresql.h"
#include "tests/support/test.h"

#include <sysexits.h>

static struct error err;

static void each_sqlstate_has_one_verdict(void **state)
{
    (void)state;
    static const struct {
        const char *sqlstate;
        enum status status;
        enum reject_kind reject;
        bool lost;
    } expected[] = {
        {"08006", STATUS_RETRY, REJECT_HELD, true},
        {"08001", STATUS_RETRY, REJECT_HELD, true},
        {"57P01", STATUS_RETRY, REJECT_HELD, true},
        {"57P02", STATUS_RETRY, REJECT_HELD, true},
        {"57P03", STATUS_RETRY, REJECT_HELD, true},
        {"57P04", STATUS_FATAL, REJECT_HELD, false},
        {"57P05", STATUS_RETRY, REJECT_HELD, true},
        {"25006", STATUS_RETRY, REJECT_HELD, true},
        {"25P03", STATUS_RETRY, REJECT_HELD, true},
        {"40003", STATUS_RETRY, REJECT_HELD, true},
        {"40001", STATUS_RETRY, REJECT_HELD, false},
        {"40P01", STATUS_RETRY, REJECT_HELD, false},
        {"42501", STATUS_RETRY, REJECT_HELD, false},
        {"53100", STATUS_RETRY, REJECT_HELD, false},
        {"53200", STATUS_RETRY, REJECT_HELD, false},
        {"53300", STATUS_RETRY, REJECT_HELD, false},
        {"55000", STATUS_RETRY, REJECT_HELD, false},
        {"55P03", STATUS_RETRY, REJECT_HELD, false},
        {"55006", STATUS_RETRY, REJECT_HELD, false},
        {"57014", STATUS_RETRY, REJECT_HELD, false},
        {"58030", STATUS_RETRY, REJECT_HELD, false},
        {"23505", STATUS_REJECT, REJECT_WAITING, false},
        {"23503", STATUS_REJECT, REJECT_WAITING, false},
        {"23001", STATUS_REJECT, REJECT_WAITING, false},
        {"23P01", STATUS_REJECT, REJECT_WAITING, false},
        {"23502", STATUS_REJECT, REJECT_HELD, false},
        {"23514", STATUS_REJECT, REJECT_HELD, false},
        {"21000", STATUS_REJECT, REJECT_HELD, false},
        {"22001", STATUS_REJECT, REJECT_HELD, false},
        {"22003", STATUS_REJECT, REJECT_HELD, false},
        {"22007", STATUS_REJECT, REJECT_HELD, false},
        {"22008", STATUS_REJECT, REJECT_HELD, false},
        {"22012", STATUS_REJECT, REJECT_HELD, false},
        {"22021", STATUS_REJECT, REJECT_HELD, false},
        {"22P02", STATUS_REJECT, REJECT_HELD, false},
        {"22P05", STATUS_REJECT, REJECT_HELD, false},
        {"44000", STATUS_REJECT, REJECT_HELD, false},
        {"54000", STATUS_REJECT, REJECT_HELD, false},
        {"P0001", STATUS_REJECT, REJECT_HELD, false},
        {"22P03", STATUS_FATAL, REJECT_HELD, false}, /* only a mistake of ours causes it */
        {"22023", STATUS_REJECT, REJECT_HELD, false},
        {"42P01", STATUS_FATAL, REJECT_HELD, false},
        {"42703", STATUS_FATAL, REJECT_HELD, false},
        {"42601", STATUS_FATAL, REJECT_HELD, false},
        {"0A000", STATUS_FATAL, REJECT_HELD, false},
        {"25P02", STATUS_FATAL, REJECT_HELD, false},
        {"26000", STATUS_FATAL, REJECT_HELD, false},
        {"28P01", STATUS_FATAL, REJECT_HELD, false},
        {"XX000", STATUS_FATAL, REJECT_HELD, false},
    };
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        struct verdict is = postgresql_session_verdict(expected[i].sqlstate, false);
        if (is.status != expected[i].status || is.reject != expected[i].reject ||
            is.connection_lost != expected[i].lost)
            test_fail("%s is %s%s", expected[i].sqlstate, status_name(is.status),
                      is.connection_lost ? " and the session lost" : "");
    }
}

/* Every class of PostgreSQL's SQLSTATEs (its appendix A), and some that a service could define.
 * What a function raises by RAISE is held, even with a code by which the server itself means a
 * broken schema. */
static void each_class_of_sqlstates_has_one_verdict(void **state)
{
    (void)state;
    static const struct {
        enum status status;
        enum status raised;
        bool lost;
        const char *classes; /* SQLSTATEs that only their class decides */
    } expected[] = {
        {STATUS_REJECT, STATUS_REJECT, false,
         "00000 01000 02000 09000 0F000 0Z000 10608 20000 21000 22000 23000 24000 27000 2F000 "
         "34000 "
         "38000 39P01 44000 54001 P0000 P0002 P0003 P0004 AB123 ZZ999 45000 99999 K0001 U0001"},
        {STATUS_FATAL, STATUS_REJECT, false,
         "03000 0A000 0B000 0L000 0P000 25000 26000 28000 2B000 2D000 3B000 3D000 3F000 42000 "
         "42P01 "
         "55P02 F0000 HV000"},
        {STATUS_FATAL, STATUS_FATAL, false, "57P04 XX000 XX001 XX002"},
        {STATUS_RETRY, STATUS_RETRY, false,
         "40000 40001 40002 40P01 53000 53400 55000 55P03 55006 57014 58000 58P01 72000"},
        {STATUS_RETRY, STATUS_REJECT, false, "42501"},
        {STATUS_RETRY, STATUS_RETRY, true, "08000 08P01 25006 25P03 25P04 40003 57000 57P01 57P05"},
    };
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        for (const char *at = expected[i].classes; *at != '\0'; at += strspn(at, " ")) {
            char sqlstate[6] = "";
            memcpy(sqlstate, at, 5);
            at += 5;
            for (int raised = 0; raised < 2; raised++) {
                struct verdict is = postgresql_session_verdict(sqlstate, raised != 0);
                if (is.status != (raised != 0 ? expected[i].raised : expected[i].status) ||
                    is.reject != REJECT_HELD || is.connection_lost != expected[i].lost)
                    test_fail("%s is %s", sqlstate, status_name(is.status));
            }
        }
    }
}

static PGconn *open_session(const char *url, bool wait_for_disk)
{
    PGconn *connection = NULL;
    struct server_session_options options = {
        .url = url, .application = "keepstep test", .wait_for_disk = wait_for_disk};
    error_clear(&err);
    if (postgresql_session_open(&options, &connection, &err) != STATUS_OK)
        test_fail("%s", err.text);
    return connection;
}

static const char *setting(PGconn *connection, const char *name)
{
    PGresult *result = NULL;
    struct slice parameter = slice_of(name);
    if (postgresql_session_query(connection, "SELECT current_setting($1)",
                                 (struct slice_list){&parameter, 1}, &result, &err) != STATUS_OK)
        test_fail("%s", err.text);
    const char *text = test_format("%s", PQgetvalue(result, 0, 0));
    PQclear(result);
    return text;
}

static void no_setting_of_the_database_bends_a_session(void **state)
{
    (void)state;
    const char *url = postgresql_database("bent");
    postgresql_execute(url, "ALTER DATABASE bent SET TimeZone = 'Asia/Tokyo'");
    postgresql_execute(url, "ALTER DATABASE bent SET DateStyle = 'German'");
    postgresql_execute(url, "ALTER DATABASE bent SET extra_float_digits = -15");
    postgresql_execute(url, "ALTER DATABASE bent SET default_transaction_isolation = "
                            "'serializable'");
    postgresql_execute(url, "ALTER DATABASE bent SET bytea_output = 'escape'");
    postgresql_execute(url, "ALTER DATABASE bent SET standard_conforming_strings = off");
    postgresql_execute(url, "ALTER DATABASE bent SET client_encoding = 'LATIN1'");
    postgresql_execute(url, "ALTER DATABASE bent SET synchronous_commit = off");
    postgresql_execute(url, "ALTER DATABASE bent SET default_transaction_read_only = on");
    PGconn *connection = open_session(test_format("%s?client_encoding=LATIN2", url), true);
    assert_string_equal(setting(connection, "TimeZone"), "UTC");
    assert_string_equal(setting(connection, "DateStyle"), "ISO, YMD");
    assert_string_equal(setting(connection, "extra_float_digits"), "1");
    assert_string_equal(setting(connection, "transaction_read_only"), "off");
    assert_string_equal(setting(connection, "transaction_isolation"), "read committed");
    assert_string_equal(setting(connection, "bytea_output"), "hex");
    assert_string_equal(setting(connection, "standard_conforming_strings"), "on");
    assert_string_equal(setting(connection, "client_encoding"), "UTF8");
    assert_string_equal(setting(connection, "synchronous_commit"), "on");
    assert_string_equal(setting(connection, "application_name"), "keepstep test");
    postgresql_session_close(connection);
    connection = open_session(url, false);
    assert_string_equal(setting(connection, "synchronous_commit"), "off");
    postgresql_session_close(connection);
}

static enum status try_open(const char *url)
{
    PGconn *connection = NULL;
    struct server_session_options options = {.url = url, .application = "keepstep test"};
    error_clear(&err);
    enum status status = postgresql_session_open(&options, &connection, &err);
    if (status == STATUS_OK)
        postgresql_session_close(connection);
    return status;
}

static void a_url_that_cannot_be_read_is_refused_without_its_password(void **state)
{
    (void)state;
    assert_int_equal(try_open("postgresql://me:secret@[::1/shop"), STATUS_FATAL);
    assert_int_equal(err.exit_code, EX_CONFIG);
    assert_null(strstr(err.text, "secret"));
    assert_int_equal(try_open("postgresql://me:secret@localhost/shop?sslmode=perhaps"),
                     STATUS_FATAL);
    assert_null(strstr(err.text, "secret"));
}

static void a_server_that_cannot_be_reached_is_tried_again(void **state)
{
    (void)state;
    assert_int_equal(try_open("postgresql://me:secret@localhost:1/shop"), STATUS_RETRY);
    assert_true(err.connection_lost);
    assert_null(strstr(err.text, "secret"));
}

static void what_waiting_does_not_mend_is_fatal(void **state)
{
    (void)state;
    const char *url = postgresql_database("there");
    assert_int_equal(try_open(test_format("%s_not", url)), STATUS_FATAL);
    assert_int_equal(err.exit_code, EX_CONFIG);
    const char *host = strchr(url, '@');
    assert_int_equal(try_open(test_format("postgresql://nobody:secret%s", host)), STATUS_FATAL);
    assert_int_equal(err.exit_code, EX_CONFIG);
    assert_null(strstr(err.text, "secret"));
}

static void errors_carry_their_sqlstate_and_what_was_done(void **state)
{
    (void)state;
    PGconn *connection = open_session(postgresql_database("errors"), true);
    assert_int_equal(postgresql_session_execute(connection, "SELECT 1/0", &err), STATUS_REJECT);
    assert_int_equal(err.native_code, postgresql_sqlstate_code("22012"));
    assert_string_equal(err.text, "SELECT 1/0: division by zero (22012)");
    error_clear(&err);
    assert_int_equal(
        postgresql_session_execute(connection, test_format("SELECT 1/0,\n  '%0600d'", 1), &err),
        STATUS_REJECT);
    assert_string_equal(err.text, "SELECT 1/0, …: division by zero (22012)");
    postgresql_session_close(connection);
}

static void a_statement_without_an_answer_is_given_up_in_the_end(void **state)
{
    (void)state;
    PGconn *connection = open_session(postgresql_database("silent"), true);
    assert_int_equal(connections_answer_ms(connection), 90000);
    assert_int_equal(postgresql_session_execute(connection, "SELECT pg_sleep(0.01)", &err),
                     STATUS_OK);
    connections_remove(connection);
    assert_int_equal(connections_add(connection, PQsocket(connection), 200, &err), STATUS_OK);
    assert_int_equal(postgresql_session_execute(connection, "SELECT pg_sleep(60)", &err),
                     STATUS_RETRY);
    assert_true(err.connection_lost);
    assert_string_equal(err.text, "SELECT pg_sleep(60): the server gave no answer in time");
    postgresql_session_rollback(connection);
    postgresql_session_close(connection);
}

static void rollback_is_legal_in_any_state(void **state)
{
    (void)state;
    const char *url = postgresql_database("rolled");
    PGconn *connection = open_session(url, true);
    postgresql_session_rollback(NULL);
    postgresql_session_rollback(connection);
    assert_int_equal(postgresql_session_execute(connection, "BEGIN; CREATE TABLE t(a int)", &err),
                     STATUS_OK);
    postgresql_session_rollback(connection);
    assert_int_equal(PQtransactionStatus(connection), PQTRANS_IDLE);
    assert_int_equal(postgresql_session_execute(connection, "BEGIN; CREATE TABLE t(a int)", &err),
                     STATUS_OK);
    PQclear(PQexec(connection, "COPY t FROM STDIN"));
    postgresql_session_rollback(connection);
    assert_int_equal(PQtransactionStatus(connection), PQTRANS_IDLE);
    assert_int_equal(PQenterPipelineMode(connection), 1);
    assert_int_equal(PQsendQueryParams(connection, "BEGIN", 0, NULL, NULL, NULL, NULL, 0), 1);
    assert_int_equal(PQsendQueryParams(connection, "SELECT 1/0", 0, NULL, NULL, NULL, NULL, 0), 1);
    postgresql_session_rollback(connection);
    assert_int_equal(PQtransactionStatus(connection), PQTRANS_IDLE);
    assert_int_equal(PQpipelineStatus(connection), PQ_PIPELINE_OFF);
    postgresql_kill_backends(url);
    assert_int_equal(postgresql_session_execute(connection, "SELECT 1", &err), STATUS_RETRY);
    assert_true(err.connection_lost);
    postgresql_session_rollback(connection);
    postgresql_session_close(connection);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(each_sqlstate_has_one_verdict),
        TEST(each_class_of_sqlstates_has_one_verdict),
        TEST(no_setting_of_the_database_bends_a_session),
        TEST(a_url_that_cannot_be_read_is_refused_without_its_password),
        TEST(a_server_that_cannot_be_reached_is_tried_again),
        TEST(what_waiting_does_not_mend_is_fatal),
        TEST(errors_carry_their_sqlstate_and_what_was_done),
        TEST(a_statement_without_an_answer_is_given_up_in_the_end),
        TEST(rollback_is_legal_in_any_state),
    };
    return TEST_RUN(tests);
}
