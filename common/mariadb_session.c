/* A MariaDB session that nothing outside can bend, and the one table of what error numbers mean. */
#include "common/mariadb_session.h"

#include "common/connections.h"
#include "common/mariadb_url.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <unistd.h>

#define MARIADB_VERSION_MIN       101100
#define MARIADB_CONNECT_TIMEOUT_S 5  /* nothing ends it earlier, not even SIGTERM */
#define MARIADB_NET_TIMEOUT_S     90 /* above max_statement_time: the server speaks first */
#define MARIADB_KEEPALIVE_IDLE_S  30
#define MARIADB_KEEPALIVE_S       10
#define MARIADB_KEEPALIVE_COUNT   3
#define MARIADB_UNSENT_MS         60000
#define TLS_REFUSED               2026

/* What is not here is FATAL, unless a service chose number or SQLSTATE itself. Whatever is RETRY
 * voids the whole transaction: after a deadlock the server has rolled it back with its savepoints,
 * and the next statement would begin another. */
static const struct {
    unsigned int number;
    enum status status;
    enum reject_kind reject;
    bool lost;
} mariadb_verdicts[] = {
    {1062, STATUS_REJECT, REJECT_WAITING, false}, /* duplicate key */
    {1586, STATUS_REJECT, REJECT_WAITING, false}, /* duplicate key, named */
    {1022, STATUS_REJECT, REJECT_WAITING, false}, /* duplicate key on write */
    {1859, STATUS_REJECT, REJECT_WAITING, false}, /* duplicate in an unknown index */
    {1557, STATUS_REJECT, REJECT_WAITING, false}, /* duplicate in a table that refers */
    {1761, STATUS_REJECT, REJECT_WAITING, false}, /* the same, named */
    {1762, STATUS_REJECT, REJECT_WAITING, false}, /* the same, not named */
    {1216, STATUS_REJECT, REJECT_WAITING, false}, /* no parent row */
    {1217, STATUS_REJECT, REJECT_WAITING, false}, /* a row is still referred to */
    {1451, STATUS_REJECT, REJECT_WAITING, false}, /* a row is still referred to, named */
    {1452, STATUS_REJECT, REJECT_WAITING, false}, /* no parent row, named */
    {1169, STATUS_REJECT, REJECT_WAITING, false}, /* unique constraint */
    {1048, STATUS_REJECT, REJECT_HELD, false},    /* not null */
    {1118, STATUS_REJECT, REJECT_HELD, false},    /* row too large */
    {1263, STATUS_REJECT, REJECT_HELD, false},    /* null for a column that has none */
    {1264, STATUS_REJECT, REJECT_HELD, false},    /* number out of range */
    {1265, STATUS_REJECT, REJECT_HELD, false},    /* data cut */
    {1292, STATUS_REJECT, REJECT_HELD, false},    /* wrong value for its type */
    {1300, STATUS_REJECT, REJECT_HELD, false},    /* bytes that are no text */
    {1364, STATUS_REJECT, REJECT_HELD, false},    /* no value and no default */
    {1365, STATUS_REJECT, REJECT_HELD, false},    /* division by zero in a generated column */
    {1366, STATUS_REJECT, REJECT_HELD, false},    /* incorrect value */
    {1367, STATUS_REJECT, REJECT_HELD, false},    /* illegal value */
    {1406, STATUS_REJECT, REJECT_HELD, false},    /* too long */
    {1411, STATUS_REJECT, REJECT_HELD, false},    /* form of a time */
    {1525, STATUS_REJECT, REJECT_HELD, false},    /* wrong value */
    {1526, STATUS_REJECT, REJECT_HELD, false},    /* no partition for the value */
    {1644, STATUS_REJECT, REJECT_HELD, false},    /* a service's trigger refuses */
    {1690, STATUS_REJECT, REJECT_HELD, false},    /* out of range in an expression */
    {1977, STATUS_REJECT, REJECT_HELD, false},    /* a character that the column has not */
    {3140, STATUS_REJECT, REJECT_HELD, false},    /* no JSON */
    {4025, STATUS_REJECT, REJECT_HELD, false},    /* check */
    {1138, STATUS_REJECT, REJECT_HELD, false},    /* NULL where there may be none */
    {1139, STATUS_REJECT, REJECT_HELD, false},    /* regular expression */
    {1172, STATUS_REJECT, REJECT_HELD, false},    /* more than one row for variables */
    {1242, STATUS_REJECT, REJECT_HELD, false},    /* more than one row of a subquery */
    {1301, STATUS_REJECT, REJECT_HELD, false},    /* larger than max_allowed_packet, in a trigger */
    {1321, STATUS_REJECT, REJECT_HELD, false},    /* function without RETURN */
    {1325, STATUS_REJECT, REJECT_HELD, false},    /* cursor is open */
    {1326, STATUS_REJECT, REJECT_HELD, false},    /* cursor is not open */
    {1328, STATUS_REJECT, REJECT_HELD, false},    /* variables of a FETCH */
    {1329, STATUS_REJECT, REJECT_HELD, false},    /* no row to fetch */
    {1339, STATUS_REJECT, REJECT_HELD, false},    /* no case found */
    {1369, STATUS_REJECT, REJECT_HELD, false},    /* check option of a view */
    {1416, STATUS_REJECT, REJECT_HELD, false},    /* no geometry */
    {1422, STATUS_REJECT, REJECT_HELD, false},    /* COMMIT in a trigger */
    {1424, STATUS_REJECT, REJECT_HELD, false},    /* recursion of functions */
    {1436, STATUS_REJECT, REJECT_HELD, false},    /* recursion: thread stack */
    {1441, STATUS_REJECT, REJECT_HELD, false},    /* time out of range */
    {1442, STATUS_REJECT, REJECT_HELD, false},    /* a trigger writes the table that fired it */
    {1456, STATUS_REJECT, REJECT_HELD, false},    /* recursion limit */
    {1591, STATUS_REJECT, REJECT_HELD, false},    /* no partition for the value */
    {1643, STATUS_REJECT, REJECT_HELD, false},    /* a service's trigger signals no data */
    {1645, STATUS_REJECT, REJECT_HELD, false},    /* RESIGNAL without a handler */
    {1646, STATUS_REJECT, REJECT_HELD, false},    /* condition of a SIGNAL */
    {1654, STATUS_REJECT, REJECT_HELD, false},    /* type of a partition's value */
    {1713, STATUS_REJECT, REJECT_HELD, false},    /* row too large for its undo record */
    {1737, STATUS_REJECT, REJECT_HELD, false},    /* row of another partition */
    {1742, STATUS_REJECT, REJECT_HELD, false},    /* value too long */
    {1748, STATUS_REJECT, REJECT_HELD, false},    /* row of no given partition */
    {1863, STATUS_REJECT, REJECT_HELD, false},    /* row in the wrong partition */
    {1916, STATUS_REJECT, REJECT_HELD, false},    /* data overflow */
    {1917, STATUS_REJECT, REJECT_HELD, false},    /* data cut */
    {1918, STATUS_REJECT, REJECT_HELD, false},    /* bad data */
    {1919, STATUS_REJECT, REJECT_HELD, false},    /* dynamic column */
    {1920, STATUS_REJECT, REJECT_HELD, false},    /* dynamic column */
    {1921, STATUS_REJECT, REJECT_HELD, false},    /* dynamic column */
    {1922, STATUS_REJECT, REJECT_HELD, false},    /* dynamic column */
    {1958, STATUS_REJECT, REJECT_HELD, false},    /* no base64 */
    {3020, STATUS_REJECT, REJECT_HELD, false},    /* argument of a logarithm */
    {3037, STATUS_REJECT, REJECT_HELD, false},    /* no geometry */
    {4027, STATUS_REJECT, REJECT_HELD, false},    /* expression */
    {4035, STATUS_REJECT, REJECT_HELD, false},    /* character in JSON */
    {4036, STATUS_REJECT, REJECT_HELD, false},    /* JSON */
    {4037, STATUS_REJECT, REJECT_HELD, false},    /* end of JSON */
    {4038, STATUS_REJECT, REJECT_HELD, false},    /* syntax of JSON */
    {4039, STATUS_REJECT, REJECT_HELD, false},    /* escape in JSON */
    {4040, STATUS_REJECT, REJECT_HELD, false},    /* depth of JSON */
    {4041, STATUS_REJECT, REJECT_HELD, false},    /* end of a JSON path */
    {4042, STATUS_REJECT, REJECT_HELD, false},    /* JSON path */
    {4043, STATUS_REJECT, REJECT_HELD, false},    /* depth of a JSON path */
    {4044, STATUS_REJECT, REJECT_HELD, false},    /* wildcard in a JSON path */
    {4045, STATUS_REJECT, REJECT_HELD, false},    /* array in a JSON path */
    {4046, STATUS_REJECT, REJECT_HELD, false},    /* JSON argument */
    {4048, STATUS_REJECT, REJECT_HELD, false},    /* GeoJSON */
    {4049, STATUS_REJECT, REJECT_HELD, false},    /* GeoJSON */
    {4050, STATUS_REJECT, REJECT_HELD, false},    /* GeoJSON */
    {4051, STATUS_REJECT, REJECT_HELD, false},    /* JSON path */
    {4076, STATUS_REJECT, REJECT_HELD, false},    /* GeoJSON */
    {4103, STATUS_REJECT, REJECT_HELD, false},    /* argument out of range */
    {4176, STATUS_REJECT, REJECT_HELD, false},    /* JSON table */
    {4178, STATUS_REJECT, REJECT_HELD, false},    /* JSON table */
    {4179, STATUS_REJECT, REJECT_HELD, false},    /* JSON table */
    {1153, STATUS_STOP, REJECT_HELD, true},       /* larger than max_allowed_packet */
    {2020, STATUS_STOP, REJECT_HELD, false},      /* the same, of the client */
    {1205, STATUS_RETRY, REJECT_HELD, false},     /* lock timeout */
    {1213, STATUS_RETRY, REJECT_HELD, false},     /* deadlock */
    {1305, STATUS_RETRY, REJECT_HELD, false},     /* the savepoint is gone, so the rest is too */
    {1020, STATUS_RETRY, REJECT_HELD, false},     /* row changed since it was read */
    {1021, STATUS_RETRY, REJECT_HELD, false},     /* disk full */
    {1026, STATUS_RETRY, REJECT_HELD, false},     /* error on write */
    {1030, STATUS_RETRY, REJECT_HELD, false},     /* the operating system's, such as no space */
    {1114, STATUS_RETRY, REJECT_HELD, false},     /* table full */
    {1037, STATUS_RETRY, REJECT_HELD, false},     /* memory */
    {1038, STATUS_RETRY, REJECT_HELD, false},     /* memory to sort */
    {1041, STATUS_RETRY, REJECT_HELD, false},     /* memory */
    {1206, STATUS_RETRY, REJECT_HELD, false},     /* too many locks */
    {1461, STATUS_RETRY, REJECT_HELD, false},     /* too many prepared statements */
    {1637, STATUS_RETRY, REJECT_HELD, false},     /* too many transactions */
    {1044, STATUS_RETRY, REJECT_HELD, false},     /* permission on the database */
    {1142, STATUS_RETRY, REJECT_HELD, false},     /* permission on the table */
    {1143, STATUS_RETRY, REJECT_HELD, false},     /* permission on the column */
    {1227, STATUS_RETRY, REJECT_HELD, false},     /* permission */
    {1370, STATUS_RETRY, REJECT_HELD, false},     /* permission on the routine */
    {1223, STATUS_RETRY, REJECT_HELD, false},     /* a backup's read lock */
    {1317, STATUS_RETRY, REJECT_HELD, false},     /* interrupted by hand */
    {1412, STATUS_RETRY, REJECT_HELD, false},     /* table changed under the transaction */
    {1615, STATUS_RETRY, REJECT_HELD, false},     /* statement to be prepared again */
    {1689, STATUS_RETRY, REJECT_HELD, false},     /* lock taken away */
    {1969, STATUS_RETRY, REJECT_HELD, false},     /* statement timeout */
    {1015, STATUS_RETRY, REJECT_HELD, false},     /* cannot lock */
    {1016, STATUS_RETRY, REJECT_HELD, false}, /* the operating system's, when a table is opened */
    {1024, STATUS_RETRY, REJECT_HELD, false}, /* error on read */
    {1297, STATUS_RETRY, REJECT_HELD, false}, /* an engine's temporary error */
    {1429, STATUS_RETRY, REJECT_HELD, false}, /* another server, connecting */
    {1430, STATUS_RETRY, REJECT_HELD, false}, /* another server */
    {1449, STATUS_RETRY, REJECT_HELD, false}, /* the definer of a trigger is gone */
    {1613, STATUS_RETRY, REJECT_HELD, false}, /* transaction took too long */
    {1614, STATUS_RETRY, REJECT_HELD, false}, /* deadlock */
    {1810, STATUS_RETRY, REJECT_HELD, false}, /* input */
    {1811, STATUS_RETRY, REJECT_HELD, false}, /* output */
    {1878, STATUS_RETRY, REJECT_HELD, false}, /* temporary file */
    {3019, STATUS_RETRY, REJECT_HELD, false}, /* undo log full */
    {4145, STATUS_RETRY, REJECT_HELD, false}, /* a backup's lock */
    {1040, STATUS_RETRY, REJECT_HELD, true},  /* too many connections */
    {1047, STATUS_RETRY, REJECT_HELD, true},  /* a cluster's node is not ready */
    {1053, STATUS_RETRY, REJECT_HELD, true},  /* shutdown */
    {1080, STATUS_RETRY, REJECT_HELD, true},  /* forced close */
    {1129, STATUS_RETRY, REJECT_HELD, true},  /* host blocked after errors */
    {1152, STATUS_RETRY, REJECT_HELD, true},  /* connection aborted */
    {1158, STATUS_RETRY, REJECT_HELD, true},  /* net read */
    {1159, STATUS_RETRY, REJECT_HELD, true},  /* net read timeout */
    {1160, STATUS_RETRY, REJECT_HELD, true},  /* net write */
    {1161, STATUS_RETRY, REJECT_HELD, true},  /* net write timeout */
    {1180, STATUS_RETRY, REJECT_HELD, true},  /* error during COMMIT: outcome unknown */
    {1184, STATUS_RETRY, REJECT_HELD, true},  /* connection aborted */
    {1203, STATUS_RETRY, REJECT_HELD, true},  /* too many connections of the user */
    {1226, STATUS_RETRY, REJECT_HELD, true},  /* the user's limit */
    {1290, STATUS_RETRY, REJECT_HELD, true},  /* read only: another server may have taken over */
    {1836, STATUS_RETRY, REJECT_HELD, true},  /* read only */
    {1927, STATUS_RETRY, REJECT_HELD, true},  /* connection killed */
    {1042, STATUS_RETRY, REJECT_HELD, true},  /* host not resolved */
    {1043, STATUS_RETRY, REJECT_HELD, true},  /* handshake */
    {1077, STATUS_RETRY, REJECT_HELD, true},  /* shutdown */
    {1079, STATUS_RETRY, REJECT_HELD, true},  /* shutdown */
    {1135, STATUS_RETRY, REJECT_HELD, true},  /* no thread for a session */
    {1154, STATUS_RETRY, REJECT_HELD, true},  /* net pipe */
    {1155, STATUS_RETRY, REJECT_HELD, true},  /* net */
    {1156, STATUS_RETRY, REJECT_HELD, true},  /* packets out of order */
    {1157, STATUS_RETRY, REJECT_HELD, true},  /* packet not unpacked */
    {1874, STATUS_RETRY, REJECT_HELD, true},  /* read only engine */
    {3032, STATUS_RETRY, REJECT_HELD, true},  /* offline */
    {2002, STATUS_RETRY, REJECT_HELD, true},  /* cannot connect to the socket */
    {2003, STATUS_RETRY, REJECT_HELD, true},  /* cannot connect to the host */
    {2005, STATUS_RETRY, REJECT_HELD, true},  /* host not found */
    {2006, STATUS_RETRY, REJECT_HELD, true},  /* server gone */
    {2008, STATUS_RETRY, REJECT_HELD, true},  /* memory of the client */
    {2012, STATUS_RETRY, REJECT_HELD, true},  /* handshake */
    {2013, STATUS_RETRY, REJECT_HELD, true},  /* lost during a statement */
    {2026, STATUS_RETRY, REJECT_HELD, true},  /* TLS */
    {2027, STATUS_RETRY, REJECT_HELD, true},  /* malformed packet */
    {2055, STATUS_RETRY, REJECT_HELD, true},  /* lost, with its cause */
    {5013, STATUS_RETRY, REJECT_HELD, true},  /* net read of the client */
    {5014, STATUS_RETRY, REJECT_HELD, true},  /* net write of the client */
};

#define OWN_NUMBER_MIN 10000 /* none of the server's or the client's is as high */

/* The classes that the server itself uses. */
static bool mariadb_is_own_state(const char *sqlstate)
{
    static const char *const classes[] = {"00", "01", "02", "08", "0A", "0K", "0Z", "20",
                                          "21", "22", "23", "24", "25", "28", "2F", "35",
                                          "3D", "40", "42", "44", "70", "HV", "HY", "XA"};
    for (size_t i = 0; i < sizeof classes / sizeof classes[0]; i++) {
        if (strncmp(sqlstate, classes[i], 2) == 0)
            return true;
    }
    return sqlstate[0] == '\0';
}

enum status mariadb_session_classify(unsigned int number, const char *sqlstate,
                                     enum reject_kind *ret_reject, bool *ret_lost)
{
    *ret_reject = REJECT_HELD;
    *ret_lost = false;
    for (size_t i = 0; i < sizeof mariadb_verdicts / sizeof mariadb_verdicts[0]; i++) {
        if (mariadb_verdicts[i].number != number)
            continue;
        *ret_reject = mariadb_verdicts[i].reject;
        *ret_lost = mariadb_verdicts[i].lost;
        return mariadb_verdicts[i].status;
    }
    return number >= OWN_NUMBER_MIN || !mariadb_is_own_state(sqlstate) ? STATUS_REJECT
                                                                       : STATUS_FATAL;
}

static enum status mariadb_fail(unsigned int number, const char *sqlstate, const char *text,
                                const char *what, struct error *err)
{
    enum reject_kind reject = REJECT_HELD;
    bool first = err != NULL && err->status == STATUS_OK;
    bool lost = false;
    enum status status = mariadb_session_classify(number, sqlstate, &reject, &lost);
    char place[ERROR_WHAT_SIZE];
    error_what(what, place);
    status = error_set_native(err, status, (int)number, "%s: %s (%u)", place, text, number);
    if (first) {
        err->reject = reject;
        err->connection_lost = lost;
    }
    return status;
}

enum status mariadb_session_error(MYSQL *session, const char *what, struct error *err)
{
    return mariadb_fail(mysql_errno(session), mysql_sqlstate(session), mysql_error(session), what,
                        err);
}

enum status mariadb_session_statement_error(MYSQL_STMT *statement, const char *what,
                                            struct error *err)
{
    if (mysql_stmt_errno(statement) == 0) /* an error between two rows is kept by the session */
        return mariadb_session_error(statement->mysql, what, err);
    return mariadb_fail(mysql_stmt_errno(statement), mysql_stmt_sqlstate(statement),
                        mysql_stmt_error(statement), what, err);
}

enum status mariadb_session_execute(MYSQL *session, const char *sql, struct error *err)
{
    if (mysql_real_query(session, sql, strlen(sql)) != 0)
        return mariadb_session_error(session, sql, err);
    MYSQL_RES *rows = mysql_store_result(session);
    if (rows == NULL && mysql_errno(session) != 0)
        return mariadb_session_error(session, sql, err);
    mysql_free_result(rows);
    return STATUS_OK;
}

void mariadb_session_rollback(MYSQL *session)
{
    if (session != NULL)
        (void)mysql_rollback(session);
}

void mariadb_session_close(MYSQL *session)
{
    if (session == NULL)
        return;
    connections_remove(session);
    mysql_close(session);
}

/* One statement each, so that a refused one is named. */
static const char *const mariadb_settings[] = {
    "SET NAMES utf8mb4 COLLATE utf8mb4_nopad_bin",
    "SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_ZERO_IN_DATE,NO_ZERO_DATE,"
    "ERROR_FOR_DIVISION_BY_ZERO,NO_AUTO_VALUE_ON_ZERO,NO_ENGINE_SUBSTITUTION'",
    "SET SESSION time_zone = '+00:00', autocommit = 0, completion_type = NO_CHAIN, "
    "foreign_key_checks = 1, unique_checks = 1, check_constraint_checks = 1, "
    "sql_safe_updates = 0, sql_auto_is_null = 0, sql_big_selects = 1, "
    "sql_select_limit = 18446744073709551615, sql_notes = 1, sql_quote_show_create = 1, "
    "max_error_count = 64, group_concat_max_len = 1073741824",
    "SET SESSION innodb_lock_wait_timeout = 5, lock_wait_timeout = 5, max_statement_time = 60, "
    "idle_transaction_timeout = 60, idle_write_transaction_timeout = 60, wait_timeout = 31536000, "
    "net_read_timeout = 60, net_write_timeout = 60",
    "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
};

static enum status mariadb_configure(MYSQL *session, const struct mariadb_session_options *options,
                                     struct error *err)
{
    my_bool off = 0;
    enum status status = STATUS_OK;
    (void)mysql_optionsv(session, MYSQL_OPT_RECONNECT, &off); /* an option file may say otherwise */
    if (!mariadb_connection(session) || mysql_get_server_version(session) < MARIADB_VERSION_MIN) {
        return error_set(error_config(err), STATUS_FATAL,
                         "the server is %s: MariaDB 10.11 or later is needed",
                         mysql_get_server_info(session));
    }
    if (mysql_set_character_set(session, "utf8mb4") != 0)
        return mariadb_session_error(session, "set the character set", err);
    for (size_t i = 0;
         status == STATUS_OK && i < sizeof mariadb_settings / sizeof mariadb_settings[0]; i++)
        status = mariadb_session_execute(session, mariadb_settings[i], err);
    if (status == STATUS_OK)
        status = mariadb_session_execute(session,
                                         options->read_only ? "SET SESSION TRANSACTION READ ONLY"
                                                            : "SET SESSION TRANSACTION READ WRITE",
                                         err);
    return status;
}

/* On a socket of the file system these fail, and need not hold. */
static void mariadb_keepalive(MYSQL *session)
{
    const struct {
        int level;
        int name;
        int value;
    } settings[] = {{SOL_SOCKET, SO_KEEPALIVE, 1},
                    {IPPROTO_TCP, TCP_KEEPIDLE, MARIADB_KEEPALIVE_IDLE_S},
                    {IPPROTO_TCP, TCP_KEEPINTVL, MARIADB_KEEPALIVE_S},
                    {IPPROTO_TCP, TCP_KEEPCNT, MARIADB_KEEPALIVE_COUNT},
                    {IPPROTO_TCP, TCP_USER_TIMEOUT, MARIADB_UNSENT_MS}};
    for (size_t i = 0; i < sizeof settings / sizeof settings[0]; i++)
        (void)setsockopt(mysql_get_socket(session), settings[i].level, settings[i].name,
                         &settings[i].value, sizeof settings[i].value);
}

static void mariadb_options(MYSQL *session, const struct mariadb_session_options *options,
                            const struct mariadb_url *url)
{
    unsigned int connect_timeout = MARIADB_CONNECT_TIMEOUT_S;
    unsigned int net_timeout = MARIADB_NET_TIMEOUT_S;
    unsigned int protocol = url->socket != NULL ? MYSQL_PROTOCOL_SOCKET : MYSQL_PROTOCOL_TCP;
    unsigned int no_files = 0;
    my_bool on = 1;
    my_bool off = 0;
    my_bool verify = url->ssl_verify;

    (void)mysql_optionsv(session, MYSQL_OPT_CONNECT_TIMEOUT, &connect_timeout);
    if (!options->lasting)
        (void)mysql_optionsv(session, MYSQL_OPT_READ_TIMEOUT, &net_timeout);
    (void)mysql_optionsv(session, MYSQL_OPT_WRITE_TIMEOUT, &net_timeout);
    (void)mysql_optionsv(session, MYSQL_OPT_RECONNECT, &off);
    (void)mysql_optionsv(session, MYSQL_OPT_LOCAL_INFILE, &no_files);
    (void)mysql_optionsv(session, MYSQL_SET_CHARSET_NAME, "utf8mb4");
    (void)mysql_optionsv(session, MYSQL_OPT_CONNECT_ATTR_ADD, "program_name", options->application);
    if (url->socket != NULL || url->host != NULL) /* "localhost" alone would leave TCP */
        (void)mysql_optionsv(session, MYSQL_OPT_PROTOCOL, &protocol);
    if (url->option_file != NULL)
        (void)mysql_optionsv(session, MYSQL_READ_DEFAULT_FILE, url->option_file);
    (void)mysql_optionsv(session, MYSQL_READ_DEFAULT_GROUP, "keepstep");
    if (!url->ssl_asked)
        return;
    (void)mysql_optionsv(session, MYSQL_OPT_SSL_ENFORCE, &on);
    (void)mysql_optionsv(session, MYSQL_OPT_SSL_VERIFY_SERVER_CERT, &verify);
    if (url->ssl_ca != NULL)
        (void)mysql_optionsv(session, MYSQL_OPT_SSL_CA, url->ssl_ca);
    if (url->ssl_cert != NULL)
        (void)mysql_optionsv(session, MYSQL_OPT_SSL_CERT, url->ssl_cert);
    if (url->ssl_key != NULL)
        (void)mysql_optionsv(session, MYSQL_OPT_SSL_KEY, url->ssl_key);
}

/* The library passes over an option file that is not there, and hardly names another one. */
static enum status mariadb_files(const struct mariadb_url *url, struct error *err)
{
    const struct {
        const char *option;
        const char *path;
    } files[] = {{"option-file", url->option_file},
                 {"ssl-ca", url->ssl_ca},
                 {"ssl-cert", url->ssl_cert},
                 {"ssl-key", url->ssl_key}};
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        if (files[i].path == NULL || access(files[i].path, R_OK) == 0)
            continue;
        return error_set(error_config(err), STATUS_FATAL, "%s: %s names %s in the database's URL",
                         strerror(errno), files[i].option, files[i].path);
    }
    return STATUS_OK;
}

/* The library's texts name the host at most. What the URL leaves out, a my.cnf can name. */
static void mariadb_place(const struct mariadb_url *url, char ret_place[ERROR_WHAT_SIZE])
{
    if (url->socket != NULL)
        (void)snprintf(ret_place, ERROR_WHAT_SIZE, "connect to %s", url->socket);
    else if (url->host != NULL && url->port != 0)
        (void)snprintf(ret_place, ERROR_WHAT_SIZE, "connect to %s port %u", url->host, url->port);
    else
        (void)snprintf(ret_place, ERROR_WHAT_SIZE, "connect%s%s", url->host == NULL ? "" : " to ",
                       url->host == NULL ? "" : url->host);
}

/* The library's texts of a lost connection end with errno: "(110)" or "error: 110". */
static bool mariadb_silent(MYSQL *session)
{
    const char *text = mysql_error(session);
    const char *last = strrchr(text, ' ');
    enum reject_kind reject;
    bool lost = false;
    (void)mariadb_session_classify(mysql_errno(session), "", &reject, &lost);
    return lost && last != NULL && strtol(last + 1 + (last[1] == '('), NULL, 10) == ETIMEDOUT;
}

/* What no waiting mends stays FATAL: credentials, a database that is not there, options. */
static enum status mariadb_refused(MYSQL *session, const struct mariadb_url *url, struct error *err)
{
    char place[ERROR_WHAT_SIZE];
    bool first = err != NULL && err->status == STATUS_OK;
    unsigned int number = mysql_errno(session);
    enum status status;
    mariadb_place(url, place);
    if (number == 1044) { /* later a grant that is missing for a while, here the wrong database */
        status = error_set_native(err, STATUS_FATAL, (int)number, "%s: %s (%u)", place,
                                  mysql_error(session), number);
    } else if (number == TLS_REFUSED) { /* the server's certificate can be renewed while we wait */
        bool absent = strstr(mysql_error(session), "does not support") != NULL;
        status = error_set_native(
            err, STATUS_RETRY, (int)number, "%s: %s (%u); %s", place, mysql_error(session), number,
            absent ? "switch TLS on in the server, or leave the ssl- options out of the "
                     "database's URL"
                   : "the server's certificate must be valid, signed by an authority in ssl-ca, "
                     "and made out to the host of the database's URL");
        if (first)
            err->connection_lost = true;
    } else if (mariadb_silent(session)) {
        status = error_set_native(err, STATUS_RETRY, (int)number,
                                  "%s: %s (%u); see whether the server answers others: it may "
                                  "stand still or be overloaded, or what lies between may drop "
                                  "everything",
                                  place, mysql_error(session), number);
        if (first)
            err->connection_lost = true;
    } else {
        status = mariadb_session_error(session, place, err);
        if (first && status == STATUS_RETRY)
            err->connection_lost = true;
    }
    if (first && status == STATUS_FATAL)
        err->exit_code = EX_CONFIG;
    return status;
}

enum status mariadb_session_open(const struct mariadb_session_options *options, MYSQL **ret_session,
                                 struct error *err)
{
    struct mariadb_url url;
    enum status status = mariadb_url_parse(options->url, &url, err);
    if (status == STATUS_OK)
        status = mariadb_files(&url, err);
    if (status == STATUS_OK)
        status = connections_refuse(err);
    if (status != STATUS_OK)
        return status;
    MYSQL *session = mysql_init(NULL);
    if (session == NULL)
        return error_set(err, STATUS_RETRY, "out of memory");
    mariadb_options(session, options, &url);
    if (mysql_real_connect(session, url.socket != NULL ? NULL : url.host, url.user, url.password,
                           url.database, url.port, url.socket, CLIENT_FOUND_ROWS) == NULL) {
        status = mariadb_refused(session, &url, err);
    } else {
        mariadb_keepalive(session);
        status = connections_add(session, mysql_get_socket(session), -1, err);
        if (status == STATUS_OK)
            status = mariadb_configure(session, options, err);
    }
    if (status != STATUS_OK) {
        mariadb_session_close(session);
        return status;
    }
    *ret_session = session;
    return STATUS_OK;
}
