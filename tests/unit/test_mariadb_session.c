/* MariaDB sessions: the verdict of each error number, the parts of a URL, a session's settings. */
#include "common/buffer.h"
#include "common/connections.h"
#include "common/mariadb_session.h"

#include "common/mariadb_url.h"
#include "tests/support/mariadb.h"
#include "tests/support/test.h"

#include <sysexits.h>

static struct error err;

struct expected {
    struct verdict verdict;
    unsigned int numbers[100]; /* 0 ends the list */
};

static const struct expected verdicts[] = {
    {{0, STATUS_REJECT, REJECT_WAITING, false},
     {1062, 1586, 1022, 1169, 1859, 1557, 1761, 1762, 1216, 1217, 1451, 1452}},
    {{0, STATUS_REJECT, REJECT_HELD, false},
     {1048, 1118, 1263, 1264, 1265, 1292, 1300, 1364, 1365, 1366, 1367, 1406, 1411, 1525,
      1526, 1644, 1690, 1977, 3140, 4025, 1138, 1139, 1172, 1242, 1301, 1321, 1325, 1326,
      1328, 1329, 1339, 1369, 1416, 1422, 1424, 1436, 1441, 1442, 1456, 1591, 1643, 1645,
      1646, 1654, 1713, 1737, 1742, 1748, 1863, 1916, 1917, 1918, 1919, 1920, 1921, 1922,
      1958, 3020, 3037, 4027, 4035, 4036, 4037, 4038, 4039, 4040, 4041, 4042, 4043, 4044,
      4045, 4046, 4048, 4049, 4050, 4051, 4076, 4103, 4176, 4178, 4179}},
    {{0, STATUS_STOP, REJECT_HELD, true}, {1153}},
    {{0, STATUS_STOP, REJECT_HELD, false}, {2020}},
    {{0, STATUS_RETRY, REJECT_HELD, false},
     {1205, 1213, 1305, 1020, 1021, 1026, 1030, 1114, 1037, 1038, 1041, 1206, 1461,
      1637, 1044, 1142, 1143, 1227, 1370, 1223, 1317, 1412, 1615, 1689, 1969, 1015,
      1016, 1024, 1297, 1429, 1430, 1449, 1613, 1614, 1810, 1811, 1878, 3019, 4145}},
    {{0, STATUS_RETRY, REJECT_HELD, true},
     {1040, 1047, 1053, 1080, 1129, 1152, 1158, 1159, 1160, 1161, 1180, 1184, 1203, 1226,
      1290, 1836, 1927, 2002, 2003, 2005, 2006, 2008, 2012, 2013, 2026, 2027, 2055, 5013,
      5014, 1042, 1043, 1077, 1079, 1135, 1154, 1155, 1156, 1157, 1874, 3032}},
};

/* A number in no list ends the agent: wrong credentials, missing tables, errors in our own SQL. */
static struct verdict expected_verdict(unsigned int number)
{
    for (size_t i = 0; i < sizeof verdicts / sizeof verdicts[0]; i++) {
        for (size_t j = 0; verdicts[i].numbers[j] != 0; j++) {
            if (verdicts[i].numbers[j] == number)
                return verdicts[i].verdict;
        }
    }
    return (struct verdict){.status = STATUS_FATAL};
}

static void each_error_number_has_one_verdict(void **state)
{
    (void)state;
    for (unsigned int number = 0; number < 10000; number++) {
        struct verdict expected = expected_verdict(number);
        struct verdict is = mariadb_session_verdict(number, "HY000");
        if (is.native_code != (int)number || is.status != expected.status ||
            is.reject != expected.reject || is.connection_lost != expected.connection_lost)
            test_fail("%u: %s, reject %d, lost %d", number, status_name(is.status), is.reject,
                      is.connection_lost);
    }
}

/* A known number decides, whatever SQLSTATE a trigger gave it. */
static void a_number_or_sqlstate_of_a_services_own_is_held(void **state)
{
    (void)state;
    static const struct {
        unsigned int number;
        const char *sqlstate;
        enum status status;
        bool lost;
    } expected[] = {
        {1146, "42S02", STATUS_FATAL, false},   {1146, "45000", STATUS_REJECT, false},
        {1146, "AB123", STATUS_REJECT, false},  {1644, "AB123", STATUS_REJECT, false},
        {1644, "42000", STATUS_REJECT, false},  {31001, "45000", STATUS_REJECT, false},
        {31001, "42000", STATUS_REJECT, false}, {10000, "HY000", STATUS_REJECT, false},
        {1105, "HY000", STATUS_FATAL, false},   {1213, "45000", STATUS_RETRY, false},
        {2013, "HY000", STATUS_RETRY, true},    {1290, "45000", STATUS_RETRY, true},
        {1105, "", STATUS_FATAL, false},
    };
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        struct verdict is = mariadb_session_verdict(expected[i].number, expected[i].sqlstate);
        if (is.status != expected[i].status || is.reject != REJECT_HELD ||
            is.connection_lost != expected[i].lost)
            test_fail("%u (%s): %s", expected[i].number, expected[i].sqlstate,
                      status_name(is.status));
    }
}

static void a_url_is_taken_apart_and_decoded(void **state)
{
    (void)state;
    struct mariadb_url url;
    error_clear(&err);
    assert_int_equal(mariadb_url_parse("mysql://a%40b:p%3aw%25@db.example:3307/shop"
                                       "?ssl-ca=/ca%20s/ca.pem&option-file=/etc/keepstep.cnf",
                                       &url, &err),
                     STATUS_OK);
    assert_string_equal(url.user, "a@b");
    assert_string_equal(url.password, "p:w%");
    assert_string_equal(url.host, "db.example");
    assert_int_equal(url.port, 3307);
    assert_string_equal(url.database, "shop");
    assert_string_equal(url.ssl_ca, "/ca s/ca.pem");
    assert_string_equal(url.option_file, "/etc/keepstep.cnf");
    assert_null(url.socket);
    assert_true(url.ssl_asked);
    assert_true(url.ssl_verify);
    assert_int_equal(mariadb_url_parse("mysql://[::1]:3306/d?ssl-verify=off", &url, &err),
                     STATUS_OK);
    assert_string_equal(url.host, "::1");
    assert_int_equal(url.port, 3306);
    assert_null(url.user);
    assert_true(url.ssl_asked);
    assert_false(url.ssl_verify);
    assert_int_equal(mariadb_url_parse("mysql:///d?socket=/run/s", &url, &err), STATUS_OK);
    assert_null(url.host);
    assert_string_equal(url.socket, "/run/s");
    assert_false(url.ssl_asked);
}

static void a_wrong_url_is_refused_without_being_shown(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "mariadb://u:secret@h/d",      "mysql://u:secret@h",
        "mysql://u:secret@h/",         "mysql://u:secret@h:0/d",
        "mysql://u:secret@h:x/d",      "mysql://u:secret@h:99999/d",
        "mysql://u:secret@[::1/d",     "mysql://u:secret@h/d?secret=1&ssl=secret",
        "mysql://u:secret@h/d?ssl-ca", "mysql://u:secret@h/d?ssl-ca=",
        "mysql://u:secret%2@h/d",      "mysql://u:secret%zz@h/d",
        "mysql://u:secret%00@h/d",     "mysql://u:secret@h/d?ssl-verify=maybe",
        "mysql://u:secret@h:3306x/d",
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct mariadb_url url;
        error_clear(&err);
        if (mariadb_url_parse(wrong[i], &url, &err) != STATUS_FATAL)
            test_fail("%s is taken", wrong[i]);
        assert_int_equal(err.exit_code, EX_CONFIG);
        assert_null(strstr(err.text, "u:"));
    }
}

static const char *database_url(const char *name)
{
    const char *why = mariadb_skip_reason();
    if (why != NULL)
        test_skip("%s", why);
    return mariadb_database(name);
}

static enum status open_url(const char *url, bool read_only, MYSQL **ret_session)
{
    struct server_session_options options = {
        .url = url, .application = "keepstep test", .read_only = read_only};
    error_clear(&err);
    return mariadb_session_open(&options, ret_session, &err);
}

static const char *first_value(MYSQL *session, const char *sql)
{
    if (mysql_query(session, sql) != 0)
        test_fail("%s: %s", sql, mysql_error(session));
    MYSQL_RES *result = mysql_store_result(session);
    MYSQL_ROW row = mysql_fetch_row(result);
    const char *text = test_format("%s", row == NULL || row[0] == NULL ? "NULL" : row[0]);
    mysql_free_result(result);
    return text;
}

static void a_session_sets_what_the_server_had_otherwise(void **state)
{
    (void)state;
    const char *url = database_url("settings");
    MYSQL *session = NULL;
    mariadb_execute(url, "SET GLOBAL sql_mode = 'ANSI_QUOTES,PAD_CHAR_TO_FULL_LENGTH';"
                         "SET GLOBAL time_zone = '+05:30'; SET GLOBAL foreign_key_checks = 0;"
                         "SET GLOBAL tx_isolation = 'SERIALIZABLE'; SET GLOBAL autocommit = 1;"
                         "SET GLOBAL max_statement_time = 1");
    enum status status = open_url(url, false, &session);
    mariadb_execute(url, "SET GLOBAL sql_mode = DEFAULT; SET GLOBAL time_zone = DEFAULT;"
                         "SET GLOBAL foreign_key_checks = 1; SET GLOBAL tx_isolation = DEFAULT;"
                         "SET GLOBAL max_statement_time = 0");
    if (status != STATUS_OK)
        test_fail("%s", err.text);
    assert_string_equal(
        first_value(session,
                    "SELECT concat_ws('|', @@autocommit, @@tx_isolation, @@time_zone, "
                    "@@character_set_client, @@collation_connection, @@foreign_key_checks, "
                    "@@max_statement_time, @@innodb_lock_wait_timeout, @@tx_read_only)"),
        "OFF|READ-COMMITTED|+00:00|utf8mb4|utf8mb4_nopad_bin|ON|60.000000|5|OFF");
    assert_string_equal(first_value(session, "SELECT @@sql_mode"),
                        "NO_AUTO_VALUE_ON_ZERO,STRICT_ALL_TABLES,NO_ZERO_IN_DATE,NO_ZERO_DATE,"
                        "ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION");
    mariadb_session_close(session);
}

static void rows_that_match_count_though_nothing_changes(void **state)
{
    (void)state;
    const char *url = database_url("found");
    MYSQL *session = NULL;
    mariadb_execute(url, "CREATE TABLE t(a INT) ENGINE=InnoDB; INSERT INTO t VALUES (1), (1)");
    assert_int_equal(open_url(url, false, &session), STATUS_OK);
    assert_int_equal(mysql_query(session, "UPDATE t SET a = 1"), 0);
    assert_int_equal(mysql_affected_rows(session), 2);
    mariadb_session_rollback(session);
    mariadb_session_rollback(session);
    mariadb_session_rollback(NULL);
    mariadb_session_close(session);
    mariadb_session_close(NULL);
}

static void a_read_only_session_writes_nothing(void **state)
{
    (void)state;
    const char *url = database_url("reading");
    MYSQL *session = NULL;
    mariadb_execute(url, "CREATE TABLE t(a INT) ENGINE=InnoDB");
    assert_int_equal(open_url(url, true, &session), STATUS_OK);
    assert_int_equal(mariadb_session_execute(session, "INSERT INTO t VALUES (1)", &err),
                     STATUS_FATAL);
    assert_int_equal(err.native_code, 1792);
    mariadb_session_close(session);
}

/* Here the client refuses it, because a result was not read; KILL QUERY may cancel it as well. What
 * it left open would be committed by the next START TRANSACTION. */
static void a_rollback_that_was_not_done_ends_the_connection(void **state)
{
    (void)state;
    const char *url = database_url("unfinished");
    MYSQL *session = NULL;
    mariadb_execute(url, "CREATE TABLE t(a INT) ENGINE=InnoDB");
    assert_int_equal(open_url(url, false, &session), STATUS_OK);
    assert_int_equal(mariadb_session_execute(session, "INSERT INTO t VALUES (1)", &err), STATUS_OK);
    assert_int_equal(mysql_query(session, "SELECT 1"), 0);
    mariadb_session_rollback(session);
    assert_true(connections_gave_up(session));
    mariadb_session_close(session);
    assert_string_equal(mariadb_text(url, "SELECT count(*) FROM t"), "0\n");
}

static void a_killed_session_does_not_connect_again(void **state)
{
    (void)state;
    const char *url = database_url("killed");
    MYSQL *session = NULL;
    assert_int_equal(open_url(url, false, &session), STATUS_OK);
    mariadb_kill_backends(url);
    assert_int_equal(mariadb_session_execute(session, "DO 1", &err), STATUS_RETRY);
    assert_true(err.connection_lost);
    error_clear(&err);
    assert_int_equal(mariadb_session_execute(session, "DO 1", &err), STATUS_RETRY);
    mariadb_session_rollback(session);
    mariadb_session_close(session);
}

static void refused_credentials_are_fatal_and_an_absent_server_is_waited_for(void **state)
{
    (void)state;
    const char *url = database_url("refused");
    MYSQL *session = NULL;
    mariadb_execute(url, "CREATE USER poor@'127.0.0.1' IDENTIFIED BY 'right'; "
                         "CREATE USER poor@localhost IDENTIFIED BY 'right'; "
                         "GRANT ALL ON refused.* TO poor@'127.0.0.1', poor@localhost");
    const char *wrong = test_format("mysql://poor:wrong@127.0.0.1:%d/refused", mariadb_port());
    assert_int_equal(open_url(wrong, false, &session), STATUS_FATAL);
    assert_int_equal(err.exit_code, EX_CONFIG);
    assert_null(strstr(err.text, "wrong"));
    const char *other = test_format("mysql://poor:right@127.0.0.1:%d/mysql", mariadb_port());
    assert_int_equal(open_url(other, false, &session), STATUS_FATAL);
    assert_int_equal(open_url("mysql://poor@127.0.0.1:1/d", false, &session), STATUS_RETRY);
    assert_true(err.connection_lost);
    assert_non_null(strstr(err.text, "connect to 127.0.0.1 port 1: "));
    assert_int_equal(open_url("mysql://poor@/d?socket=/absent", false, &session), STATUS_RETRY);
    assert_non_null(strstr(err.text, "connect to /absent: "));

    const char *bare = test_format("mysql://poor@localhost:%d/refused", mariadb_port());
    assert_int_equal(setenv("MYSQL_PWD", "right", 1), 0);
    enum status by_environment = open_url(bare, false, &session);
    assert_int_equal(unsetenv("MYSQL_PWD"), 0);
    assert_int_equal(by_environment, STATUS_OK);
    mariadb_session_close(session);
    test_write_file(test_path("my.cnf"), "[keepstep]\npassword=right\n");
    const char *by_file = test_format("%s?option-file=%s", bare, test_path("my.cnf"));
    assert_int_equal(open_url(by_file, false, &session), STATUS_OK);
    mariadb_session_close(session);
}

/* The server answers and closes at once. The client can lose the answer because of its unsent
 * bytes. */
static void a_statement_beyond_the_packet_size_stops_and_ends_the_session(void **state)
{
    (void)state;
    const char *url = database_url("packets");
    MYSQL *session = NULL;
    struct buffer sql;
    mariadb_execute(url, "SET GLOBAL max_allowed_packet = 65536");
    enum status status = open_url(url, false, &session);
    mariadb_execute(url, "SET GLOBAL max_allowed_packet = DEFAULT");
    assert_int_equal(status, STATUS_OK);
    buffer_init(&sql, 200000);
    buffer_append_text(&sql, "SELECT '");
    for (size_t i = 0; i < 10000; i++)
        buffer_append_text(&sql, "0123456789");
    buffer_append_text(&sql, "'");
    status = mariadb_session_execute(session, buffer_text(&sql), &err);
    bool answered = err.native_code == ER_NET_PACKET_TOO_LARGE;
    assert_int_equal(status, answered ? STATUS_STOP : STATUS_RETRY);
    if (!answered && err.native_code != CR_SERVER_GONE_ERROR && err.native_code != CR_SERVER_LOST)
        test_fail("%s", err.text);
    assert_true(err.connection_lost);
    buffer_done(&sql);
    mariadb_session_close(session);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(each_error_number_has_one_verdict),
        TEST(a_number_or_sqlstate_of_a_services_own_is_held),
        TEST(a_url_is_taken_apart_and_decoded),
        TEST(a_wrong_url_is_refused_without_being_shown),
        TEST_WITH_LIMIT(a_session_sets_what_the_server_had_otherwise, 120),
        TEST_WITH_LIMIT(a_statement_beyond_the_packet_size_stops_and_ends_the_session, 120),
        TEST_WITH_LIMIT(rows_that_match_count_though_nothing_changes, 120),
        TEST_WITH_LIMIT(a_read_only_session_writes_nothing, 120),
        TEST_WITH_LIMIT(a_rollback_that_was_not_done_ends_the_connection, 120),
        TEST_WITH_LIMIT(a_killed_session_does_not_connect_again, 120),
        TEST_WITH_LIMIT(refused_credentials_are_fatal_and_an_absent_server_is_waited_for, 120),
    };
    return TEST_RUN(tests);
}
