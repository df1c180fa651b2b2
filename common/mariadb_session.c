/* Opens MariaDB sessions whose settings do not depend on the server's defaults. */
#include "common/mariadb_session.h"

#include "common/connections.h"
#include "common/mariadb_url.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define MARIADB_VERSION_MIN 101100
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

/* A ROLLBACK fails where the statement is cancelled (KILL QUERY). The next START TRANSACTION would
 * then commit what was left open. */
void mariadb_session_rollback(MYSQL *session)
{
    if (session != NULL && mysql_rollback(session) != 0)
        connections_give_up(session);
}

void mariadb_session_close(MYSQL *session)
{
    if (session == NULL)
        return;
    connections_remove(session);
    mysql_close(session);
}

/* Separate statements, so that an error names the one that the server refuses. */
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

static enum status mariadb_configure(MYSQL *session, const struct server_session_options *options,
                                     struct error *err)
{
    my_bool off = 0;
    enum status status = STATUS_OK;
    (void)mysql_optionsv(session, MYSQL_OPT_RECONNECT, &off); /* an option file could set it */
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

/* On a Unix socket these options fail. They are not needed there. */
static void mariadb_keepalive(MYSQL *session)
{
    const struct {
        int level;
        int name;
        int value;
    } settings[] = {{SOL_SOCKET, SO_KEEPALIVE, 1},
                    {IPPROTO_TCP, TCP_KEEPIDLE, SERVER_KEEPALIVE_IDLE_S},
                    {IPPROTO_TCP, TCP_KEEPINTVL, SERVER_KEEPALIVE_INTERVAL_S},
                    {IPPROTO_TCP, TCP_KEEPCNT, SERVER_KEEPALIVE_COUNT},
                    {IPPROTO_TCP, TCP_USER_TIMEOUT, SERVER_UNSENT_TIMEOUT_MS}};
    for (size_t i = 0; i < sizeof settings / sizeof settings[0]; i++)
        (void)setsockopt(mysql_get_socket(session), settings[i].level, settings[i].name,
                         &settings[i].value, sizeof settings[i].value);
}

static void mariadb_options(MYSQL *session, const struct server_session_options *options,
                            const struct mariadb_url *url)
{
    unsigned int connect_timeout = SERVER_CONNECT_TIMEOUT_S;
    unsigned int net_timeout = SERVER_ANSWER_TIMEOUT_S;
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
    if (url->socket != NULL || url->host != NULL) /* "localhost" alone would not use TCP */
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

/* The library ignores a missing option file, and its errors rarely name a file. */
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
        return error_set(error_config(err), STATUS_FATAL, "%s: %s of the database's URL: %s",
                         files[i].path, files[i].option, strerror(errno));
    }
    return STATUS_OK;
}

/* The library's errors name the host at most, so say where we connect. A my.cnf may name what is
 * missing in the URL. */
static void mariadb_place(const struct mariadb_url *url, char ret_place[ERROR_STATEMENT_SIZE])
{
    if (url->socket != NULL)
        (void)snprintf(ret_place, ERROR_STATEMENT_SIZE, "connect to %s", url->socket);
    else if (url->host != NULL && url->port != 0)
        (void)snprintf(ret_place, ERROR_STATEMENT_SIZE, "connect to %s port %u", url->host,
                       url->port);
    else
        (void)snprintf(ret_place, ERROR_STATEMENT_SIZE, "connect%s%s",
                       url->host == NULL ? "" : " to ", url->host == NULL ? "" : url->host);
}

/* After a timeout the library's text ends with the errno: "(110)" or "error: 110". */
static bool mariadb_timed_out(MYSQL *session)
{
    const char *text = mysql_error(session);
    const char *last = strrchr(text, ' ');
    return last != NULL && strtol(last + 1 + (last[1] == '('), NULL, 10) == ETIMEDOUT;
}

/* FATAL is what waiting cannot cure: wrong credentials, a missing database, wrong options. */
static enum status mariadb_refused(MYSQL *session, const struct mariadb_url *url, struct error *err)
{
    char place[ERROR_STATEMENT_SIZE];
    const char *text = mysql_error(session);
    const char *advice = "";
    unsigned int number = mysql_errno(session);
    struct verdict verdict = mariadb_session_verdict(number, mysql_sqlstate(session));
    mariadb_place(url, place);
    /* While connecting, this error means a wrong name; later it means a missing right. */
    if (number == ER_DBACCESS_DENIED_ERROR)
        verdict.status = STATUS_FATAL;
    else if (number == CR_SSL_CONNECTION_ERROR) /* the certificate may be renewed while we wait */
        advice = strstr(text, "does not support") != NULL
                     ? "; switch TLS on in the server, or leave the ssl- options out of the "
                       "database's URL"
                     : "; the server's certificate must be valid, signed by an authority in "
                       "ssl-ca, and made for the host of the database's URL";
    else if (verdict.connection_lost && mariadb_timed_out(session))
        advice = SERVER_SILENT_ADVICE;
    if (verdict.status == STATUS_RETRY)
        verdict.connection_lost = true;
    return error_set_verdict(verdict.status == STATUS_FATAL ? error_config(err) : err, verdict,
                             place, "%s (%u)%s", text, number, advice);
}

enum status mariadb_session_open(const struct server_session_options *options, MYSQL **ret_session,
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
