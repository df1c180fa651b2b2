/* Opens PostgreSQL sessions whose settings do not depend on any default. */
#include "common/postgresql_session.h"

#include "common/buffer.h"
#include "common/clock.h"
#include "common/connections.h"
#include "common/database_url.h"

#include <poll.h>
#include <stdlib.h>

#define POSTGRESQL_VERSION_MIN     150000
#define POSTGRESQL_PARAMETERS_MAX  64
#define POSTGRESQL_PARAMETERS_SIZE ((size_t)256 * 1024 * 1024)
#define TIMED_OUT                  "timeout expired" /* libpq's words */
#define SQLSTATE_LENGTH            5
#define TEXT_OF(limit)             TEXT_OF_VALUE(limit)
#define TEXT_OF_VALUE(value)       #value

/* Find the SQLSTATE in the verbose text of a refused connection: "FATAL: 28P01: …". */
static bool postgresql_refused_state(const char *text, char sqlstate[static SQLSTATE_LENGTH + 1])
{
    for (const char *at = strstr(text, ":  "); at != NULL; at = strstr(at + 1, ":  ")) {
        if (strspn(at + 3, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ") == SQLSTATE_LENGTH &&
            at[3 + SQLSTATE_LENGTH] == ':') {
            memcpy(sqlstate, at + 3, SQLSTATE_LENGTH);
            sqlstate[SQLSTATE_LENGTH] = '\0';
            return true;
        }
    }
    return false;
}

/* @return whether no server answered at any address before the timeout. */
static bool postgresql_timed_out(PGconn *connection)
{
    const char *text = PQerrorMessage(connection);
    return strstr(text, TIMED_OUT) != NULL && strstr(text, "FATAL: ") == NULL;
}

/* @return whether libpq refused an option's value before it tried to connect. */
static bool postgresql_option_refused(PGconn *connection)
{
    return strncmp(PQerrorMessage(connection), "invalid ", 8) == 0;
}

/* Find advice for an error without a SQLSTATE. libpq writes one line for each address of the host,
 * so *ret_text moves to the line that the advice is for. What others can repair is not final: the
 * server's certificate, or a way to it that ends at another server. Our own files belong to the
 * configuration, so their errors are final.
 * @return the advice; NULL for an unknown error. */
static const char *postgresql_advice(const char **ret_text, bool *ret_final)
{
    static const struct {
        const char *part;
        bool final;
        const char *advice;
    } known[] = {
        {"certificate verify failed", false,
         "; the server's certificate has expired, or no authority in sslrootcert has signed it: "
         "renew it there, or name its authority with sslrootcert in the database's URL"},
        {"server certificate for", false,
         "; the server's certificate is for another host: connect by that host's name, or have a "
         "certificate made for this one"},
        {"server does not support SSL", false,
         "; switch TLS on in the server, or lower sslmode in the database's URL"},
        {TIMED_OUT, false, SERVER_SILENT_ADVICE},
        {"certificate file", true, "; see sslrootcert and sslcert in the database's URL"},
        {"private key file", true, "; see sslkey in the database's URL"},
    };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        const char *found = strstr(*ret_text, known[i].part);
        if (found == NULL)
            continue;
        while (found > *ret_text && found[-1] != '\n')
            found--;
        *ret_text = found;
        *ret_final = known[i].final;
        return known[i].advice;
    }
    return NULL;
}

/* FATAL is what waiting cannot cure: wrong credentials, a missing database or right, options that
 * libpq refuses. */
static enum status postgresql_refused(PGconn *connection, struct error *err)
{
    const char *text = PQerrorMessage(connection);
    const char *advice = NULL;
    char sqlstate[SQLSTATE_LENGTH + 1] = "";
    struct verdict verdict = {0, VERDICT_LOST};
    bool known = postgresql_refused_state(text, sqlstate);
    bool final = postgresql_option_refused(connection) || PQconnectionNeedsPassword(connection) ||
                 (known && (strncmp(sqlstate, "28", 2) == 0 || strcmp(sqlstate, "3D000") == 0 ||
                            strcmp(sqlstate, SQLSTATE_INSUFFICIENT_PRIVILEGE) == 0));
    if (known)
        verdict.native_code = postgresql_sqlstate_code(sqlstate);
    else
        advice = postgresql_advice(&text, &final);
    if (advice == NULL)
        advice = PQconnectionNeedsPassword(connection)
                     ? "; put it into ~/.pgpass, PGPASSWORD or database_file"
                     : "";
    if (final) {
        verdict = (struct verdict){verdict.native_code, VERDICT_FATAL};
        (void)error_config(err);
    }
    return error_set_verdict(err, verdict, NULL, "%.*s%s", (int)strcspn(text, "\n"), text, advice);
}

/* With row_security off a policy that hides rows causes an error. Otherwise the agent would take
 * the hidden rows for absent. */
static const char postgresql_settings[] =
    "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL READ COMMITTED;"
    "SET TimeZone = 'UTC'; SET DateStyle = 'ISO, YMD'; SET IntervalStyle = 'postgres';"
    "SET extra_float_digits = 1; SET bytea_output = 'hex'; SET standard_conforming_strings = on;"
    "SET array_nulls = on; SET transform_null_equals = off; SET row_security = off;"
    "SET default_transaction_deferrable = off; SET jit = off;"
    "SET lock_timeout = '5s'; SET statement_timeout = '60s';"
    "SET idle_in_transaction_session_timeout = '60s'; SET idle_session_timeout = 0;";

/* Change only `off` to `on`. The role's other settings wait for the disk too, or for more. */
static const char postgresql_wait[] = "SELECT set_config('synchronous_commit', 'on', false) "
                                      "WHERE current_setting('synchronous_commit') = 'off'";

static void postgresql_ignore_notice(void *context, const PGresult *result)
{
    (void)context;
    (void)result;
}

static enum status postgresql_configure(PGconn *connection,
                                        const struct server_session_options *options,
                                        struct error *err)
{
    (void)PQsetNoticeReceiver(connection, postgresql_ignore_notice, NULL);
    if (PQserverVersion(connection) < POSTGRESQL_VERSION_MIN) {
        return error_set(error_config(err), STATUS_FATAL,
                         "the server is PostgreSQL %s: 15 or later is needed",
                         PQparameterStatus(connection, "server_version"));
    }
    enum status status = postgresql_session_execute(connection, postgresql_settings, err);
    if (status == STATUS_OK)
        status = postgresql_session_execute(connection,
                                            options->read_only
                                                ? "SET default_transaction_read_only = on"
                                                : "SET default_transaction_read_only = off",
                                            err);
    if (status == STATUS_OK)
        status = postgresql_session_execute(
            connection, options->wait_for_disk ? postgresql_wait : "SET synchronous_commit = off",
            err);
    return status;
}

enum status postgresql_session_open(const struct server_session_options *options,
                                    PGconn **ret_connection, struct error *err)
{
    /* The URL may override the options before dbname, and not those after it. */
    const char *const names[] = {"connect_timeout",  "keepalives_idle",  "keepalives_interval",
                                 "keepalives_count", "tcp_user_timeout", "application_name",
                                 "dbname",           "client_encoding",  NULL};
    const char *const values[] = {TEXT_OF(SERVER_CONNECT_TIMEOUT_S),
                                  TEXT_OF(SERVER_KEEPALIVE_IDLE_S),
                                  TEXT_OF(SERVER_KEEPALIVE_INTERVAL_S),
                                  TEXT_OF(SERVER_KEEPALIVE_COUNT),
                                  TEXT_OF(SERVER_UNSENT_TIMEOUT_MS),
                                  options->application,
                                  options->url,
                                  "UTF8",
                                  NULL};
    char *problem = NULL;
    struct database_url parts;
    enum status status = database_url_parse(options->url, &parts, err);
    if (status != STATUS_OK) /* libpq's errors could show a part of a password as a host */
        return status;
    PQconninfoOption *parsed = PQconninfoParse(options->url, &problem);
    PQfreemem(problem); /* it holds the URL with its password */
    if (parsed == NULL) {
        return error_set(error_config(err), STATUS_FATAL,
                         "the database's URL cannot be read: write "
                         "postgresql://USER@HOST:PORT/DATABASE?OPTION=VALUE as libpq knows it, "
                         "a password's @ as %%40, its / as %%2F");
    }
    PQconninfoFree(parsed);
    status = connections_refuse(err);
    if (status != STATUS_OK)
        return status;
    PGconn *connection = PQconnectdbParams(names, values, 1);
    if (connection == NULL)
        return error_set(err, STATUS_RETRY, "out of memory");
    if (PQstatus(connection) != CONNECTION_OK && !postgresql_option_refused(connection) &&
        !postgresql_timed_out(connection)) {
        /* Connect again, because only a verbose error holds the SQLSTATE. */
        (void)PQsetErrorVerbosity(connection, PQERRORS_VERBOSE);
        PQreset(connection);
        (void)PQsetErrorVerbosity(connection, PQERRORS_DEFAULT);
    }
    if (PQstatus(connection) != CONNECTION_OK)
        status = postgresql_refused(connection, err);
    else
        status = connections_add(connection, PQsocket(connection),
                                 options->lasting ? -1 : SERVER_ANSWER_TIMEOUT_S * 1000, err);
    if (status == STATUS_OK)
        status = postgresql_configure(connection, options, err);
    if (status != STATUS_OK) {
        postgresql_session_close(connection);
        return status;
    }
    *ret_connection = connection;
    return STATUS_OK;
}

void postgresql_session_close(PGconn *connection)
{
    if (connection == NULL)
        return;
    connections_remove(connection);
    PQfinish(connection);
}

PGresult *postgresql_session_result(PGconn *connection)
{
    if (PQisBusy(connection) == 0)
        return PQgetResult(connection);
    int answer_ms = connections_answer_ms(connection);
    int64_t until = clock_monotonic_us() + (int64_t)answer_ms * 1000;
    while (answer_ms >= 0 && PQstatus(connection) == CONNECTION_OK && PQisBusy(connection) != 0) {
        struct pollfd socket = {.fd = PQsocket(connection), .events = POLLIN};
        int64_t left_ms = (until - clock_monotonic_us()) / 1000;
        if (left_ms <= 0)
            connections_give_up(connection);
        else if (poll(&socket, 1, (int)left_ms) <= 0)
            continue;
        if (PQconsumeInput(connection) != 1)
            break;
    }
    return PQgetResult(connection);
}

PGresult *postgresql_session_last_result(PGconn *connection, int sent)
{
    PGresult *last = NULL;
    while (sent == 1) {
        PGresult *result = postgresql_session_result(connection);
        if (result == NULL)
            break;
        PQclear(last);
        last = result;
        if (PQstatus(connection) != CONNECTION_OK || PQresultStatus(last) == PGRES_COPY_IN)
            break;
    }
    return last;
}

/* Takes `result`. */
static enum status postgresql_judge(PGconn *connection, PGresult *result, const char *sql,
                                    PGresult **ret_result, struct error *err)
{
    enum status status = STATUS_OK;
    ExecStatusType kind = PQresultStatus(result);
    if (kind != PGRES_COMMAND_OK && kind != PGRES_TUPLES_OK && kind != PGRES_EMPTY_QUERY)
        status = postgresql_session_error(connection, result, sql, err);
    if (status == STATUS_OK && ret_result != NULL)
        *ret_result = result;
    else
        PQclear(result);
    return status;
}

enum status postgresql_session_execute(PGconn *connection, const char *sql, struct error *err)
{
    return postgresql_judge(
        connection, postgresql_session_last_result(connection, PQsendQuery(connection, sql)), sql,
        NULL, err);
}

enum status postgresql_session_query(PGconn *connection, const char *sql,
                                     struct slice_list parameters, PGresult **ret_result,
                                     struct error *err)
{
    const char *values[POSTGRESQL_PARAMETERS_MAX] = {NULL};
    size_t offsets[POSTGRESQL_PARAMETERS_MAX] = {0};
    struct buffer texts;
    enum status status = STATUS_OK;

    if (parameters.count > POSTGRESQL_PARAMETERS_MAX)
        return error_set(err, STATUS_FATAL, "%s: too many parameters", sql);
    buffer_init(&texts, POSTGRESQL_PARAMETERS_SIZE);
    for (size_t i = 0; i < parameters.count && status == STATUS_OK; i++) {
        offsets[i] = texts.length;
        if (parameters.items[i].length > 0 &&
            memchr(parameters.items[i].data, '\0', parameters.items[i].length) != NULL)
            status = error_set(
                err, STATUS_REJECT,
                "%s: parameter %zu holds a NUL character, which PostgreSQL cannot store", sql,
                i + 1);
        buffer_append(&texts, parameters.items[i].data, parameters.items[i].length);
        buffer_append(&texts, "", 1);
    }
    if (status == STATUS_OK && texts.failed)
        status = error_set(err, STATUS_RETRY, "%s: no memory for its parameters", sql);
    for (size_t i = 0; i < parameters.count && status == STATUS_OK; i++)
        values[i] = parameters.items[i].data == NULL ? NULL : texts.data + offsets[i];
    if (status == STATUS_OK)
        status = postgresql_judge(
            connection,
            postgresql_session_last_result(connection,
                                           PQsendQueryParams(connection, sql, (int)parameters.count,
                                                             NULL, values, NULL, NULL, 0)),
            sql, ret_result, err);
    buffer_done(&texts);
    return status;
}

/* Read all remaining results. Only then does the session accept statements again. */
static void postgresql_drain(PGconn *connection)
{
    bool pipeline = PQpipelineStatus(connection) != PQ_PIPELINE_OFF;
    if (pipeline && PQpipelineSync(connection) != 1)
        return;
    for (int nothing = 0; nothing < 2 && PQstatus(connection) == CONNECTION_OK;) {
        PGresult *result = postgresql_session_result(connection);
        ExecStatusType kind = PQresultStatus(result);
        nothing = result == NULL ? nothing + 1 : 0;
        PQclear(result);
        if (kind == PGRES_COPY_IN)
            (void)PQputCopyEnd(connection, "rolled back");
        if (result == NULL && !pipeline)
            break;
    }
    if (pipeline)
        (void)PQexitPipelineMode(connection);
}

void postgresql_session_rollback(PGconn *connection)
{
    if (connection == NULL || PQstatus(connection) != CONNECTION_OK)
        return;
    postgresql_drain(connection);
    if (PQstatus(connection) == CONNECTION_OK && PQtransactionStatus(connection) != PQTRANS_IDLE)
        PQclear(postgresql_session_last_result(connection, PQsendQuery(connection, "ROLLBACK")));
}

struct slice postgresql_session_text(const PGresult *result, int row, int column)
{
    if (PQgetisnull(result, row, column) != 0)
        return (struct slice){0};
    return (struct slice){.data = PQgetvalue(result, row, column),
                          .length = (size_t)PQgetlength(result, row, column)};
}

int64_t postgresql_session_integer(const PGresult *result, int row, int column)
{
    return (int64_t)strtoll(PQgetvalue(result, row, column), NULL, 10);
}
