/* A PostgreSQL session that nothing outside can bend, and the one table of what SQLSTATEs mean. */
#include "common/postgresql_session.h"

#include "common/buffer.h"
#include "common/clock.h"
#include "common/connections.h"
#include "common/database_url.h"

#include <poll.h>
#include <stdlib.h>
#include <sysexits.h>

#define POSTGRESQL_VERSION_MIN     150000
#define POSTGRESQL_PARAMETERS_MAX  64
#define POSTGRESQL_PARAMETERS_SIZE ((size_t)256 * 1024 * 1024)
#define POSTGRESQL_ANSWER_MS       90000 /* above statement_timeout: the server speaks first */
#define TIMED_OUT                  "timeout expired" /* libpq's words */
#define SQLSTATE_LENGTH            5

#define HELD    STATUS_REJECT, REJECT_HELD, false
#define WAITING STATUS_REJECT, REJECT_WAITING, false
#define RETRY   STATUS_RETRY, REJECT_HELD, false
#define LOST    STATUS_RETRY, REJECT_HELD, true
#define FATAL   STATUS_FATAL, REJECT_HELD, false

/* The first row whose beginning the SQLSTATE has counts. All classes of PostgreSQL's are here, so
 * that what is not is a service's own. What a row's own triggers, constraints and types say of it
 * is held; what passes by itself, or by somebody's hand in the server, is tried again. */
static const struct {
    const char *sqlstate;
    enum status status;
    enum reject_kind reject;
    bool lost;
} postgresql_verdicts[] = {
    {"23001", WAITING}, /* a row is still referred to */
    {"23503", WAITING}, /* foreign key */
    {"23505", WAITING}, /* unique */
    {"23P01", WAITING}, /* exclusion */
    {"23", HELD},       /* not null, check, domain */
    {"22P03", FATAL},   /* our own binary form */
    {"22", HELD},       /* data */
    {"00", HELD},       /* success, warnings and no data: only a trigger calls them errors */
    {"01", HELD},       /* warning */
    {"02", HELD},       /* no data */
    {"03", FATAL},      /* statement not complete */
    {"08", LOST},       /* connection */
    {"09", HELD},       /* triggered action */
    {"0A", FATAL},      /* feature not supported */
    {"0B", FATAL},      /* transaction initiation */
    {"0F", HELD},       /* locator */
    {"0L", FATAL},      /* grantor */
    {"0P", FATAL},      /* role */
    {"0Z", HELD},       /* diagnostics, of a trigger */
    {"10", HELD},       /* XML query */
    {"20", HELD},       /* no case found, of a trigger */
    {"21", HELD},       /* two keys of a run are one to the table; a trigger's subquery */
    {"24", HELD},       /* cursor state, of a trigger */
    {"25006", LOST},    /* read only: another server may have taken over */
    {"25P03", LOST},    /* idle in transaction for too long */
    {"25P04", LOST},    /* transaction timeout */
    {"25", FATAL},      /* transaction state */
    {"26", FATAL},      /* statement name: our prepared ones are gone */
    {"27", HELD},       /* a trigger changed the row that is being written */
    {"28", FATAL},      /* credentials */
    {"2B", FATAL},      /* dependent privileges */
    {"2D", FATAL},      /* transaction termination */
    {"2F", HELD},       /* SQL routine, of a trigger */
    {"34", HELD},       /* cursor name, of a trigger */
    {"38", HELD},       /* external routine: a trigger in Perl or Python refuses */
    {"39", HELD},       /* invocation of an external routine */
    {"3B", FATAL},      /* savepoint */
    {"3D", FATAL},      /* database */
    {"3F", FATAL},      /* schema */
    {"40003", LOST},    /* statement completion unknown */
    {"40", RETRY},      /* serialization failure, deadlock */
    {"42501", RETRY},   /* permission */
    {"42", FATAL},      /* syntax, names and types: a schema that does not fit */
    {"44", HELD},       /* check option of a view */
    {"53", RETRY},      /* disk full, memory, too many connections */
    {"54", HELD},       /* key too large for its index, recursion of triggers */
    {"55000", RETRY},   /* published without a replica identity */
    {"55P03", RETRY},   /* lock timeout */
    {"55006", RETRY},   /* object in use */
    {"55", FATAL},      /* state of an object, such as no replica identity */
    {"57014", RETRY},   /* statement timeout, or cancelled by hand */
    {"57P04", FATAL},   /* the database was dropped */
    {"57", LOST},       /* shutdown, crash, idle for too long */
    {"58", RETRY},      /* input or output, the operating system's */
    {"72", RETRY},      /* snapshot too old */
    {"F0", FATAL},      /* configuration file */
    {"HV", FATAL},      /* foreign data */
    {"P0", HELD},       /* RAISE, ASSERT and other errors of PL/pgSQL */
    {"XX", FATAL},      /* internal, data corrupted */
    {"", HELD},         /* a class of a service's own */
};

enum status postgresql_session_classify(const char *sqlstate, bool raised,
                                        enum reject_kind *ret_reject, bool *ret_lost)
{
    size_t i = 0;
    while (strncmp(sqlstate, postgresql_verdicts[i].sqlstate,
                   strlen(postgresql_verdicts[i].sqlstate)) != 0)
        i++;
    enum status status = postgresql_verdicts[i].status;
    bool environment = strncmp(sqlstate, "XX", 2) == 0 || strncmp(sqlstate, "57", 2) == 0;
    *ret_reject = postgresql_verdicts[i].reject;
    *ret_lost = postgresql_verdicts[i].lost;
    return status == STATUS_FATAL && raised && !environment ? STATUS_REJECT : status;
}

/* A function of a service's chose this SQLSTATE by RAISE, whatever the server means by it. */
static bool postgresql_is_raised(const PGresult *result)
{
    const char *function = PQresultErrorField(result, PG_DIAG_SOURCE_FUNCTION);
    return function != NULL && strcmp(function, "exec_stmt_raise") == 0;
}

/* libpq's texts end in a line feed and may have more lines. */
static int postgresql_first_line(const char *text)
{
    return (int)strcspn(text, "\n");
}

enum status postgresql_session_error(PGconn *connection, const PGresult *result, const char *what,
                                     struct error *err)
{
    const char *sqlstate = result == NULL ? NULL : PQresultErrorField(result, PG_DIAG_SQLSTATE);
    bool broken = PQstatus(connection) != CONNECTION_OK;
    bool first = err != NULL && err->status == STATUS_OK;
    enum reject_kind reject = REJECT_HELD;
    bool lost = broken;
    enum status status;
    char place[ERROR_WHAT_SIZE];
    error_what(what, place);

    if (sqlstate == NULL) { /* libpq's own: without a broken connection there is no memory */
        const char *text = broken && connections_gave_up(connection)
                               ? "the server gave no answer, and was given up"
                               : PQerrorMessage(connection);
        status = error_set(err, STATUS_RETRY, "%s: %.*s", place, postgresql_first_line(text), text);
    } else {
        const char *text = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
        bool gone = false;
        status = postgresql_session_classify(sqlstate, postgresql_is_raised(result), &reject,
                                             &gone);
        if (broken)
            status = STATUS_RETRY;
        lost = lost || gone;
        status = error_set_native(err, status, (int)strtol(sqlstate, NULL, 36), "%s: %s (%s)",
                                  place, text == NULL ? "failed" : text, sqlstate);
    }
    if (first) {
        err->reject = reject;
        err->connection_lost = lost;
    }
    return status;
}

/* The SQLSTATE in a verbose text of a refused connection: "FATAL:  28P01: …". */
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

/* No server has said anything, which took its time for each address. */
static bool postgresql_silent(PGconn *connection)
{
    const char *text = PQerrorMessage(connection);
    return strstr(text, TIMED_OUT) != NULL && strstr(text, "FATAL: ") == NULL;
}

/* libpq itself refuses an option's value, and has not tried to connect. */
static bool postgresql_option_refused(PGconn *connection)
{
    return strncmp(PQerrorMessage(connection), "invalid ", 8) == 0;
}

/* libpq tells one line for each address of the host; what no server said is told with the way out.
 * The server's own certificate can be renewed while we wait, and a detour to another server ends:
 * tried again. Our own files are part of the configuration. */
static enum status postgresql_advise(const char *text, bool *ret_final, struct error *err)
{
    static const struct {
        const char *part;
        bool final;
        const char *advice;
    } known[] = {
        {"certificate verify failed", false,
         "the server's certificate has expired, or no authority in sslrootcert has signed it: "
         "renew it there, or name its authority with sslrootcert in the database's URL"},
        {"server certificate for", false,
         "the server's certificate is made out to another host: connect to that name, or have "
         "one made out to this one"},
        {"server does not support SSL", false,
         "switch TLS on in the server, or lower sslmode in the database's URL"},
        {TIMED_OUT, false,
         "see whether the server answers others: it may stand still or be overloaded, or what lies "
         "between may drop everything"},
        {"certificate file", true, "see sslrootcert and sslcert in the database's URL"},
        {"private key file", true, "see sslkey in the database's URL"},
    };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        const char *found = strstr(text, known[i].part);
        if (found == NULL)
            continue;
        while (found > text && found[-1] != '\n')
            found--;
        *ret_final = known[i].final;
        return error_set(err, known[i].final ? STATUS_FATAL : STATUS_RETRY, "%.*s; %s",
                         postgresql_first_line(found), found, known[i].advice);
    }
    return STATUS_OK;
}

/* What no waiting mends: credentials, a database that is not there, options libpq refuses. */
static enum status postgresql_refused(PGconn *connection, struct error *err)
{
    const char *text = PQerrorMessage(connection);
    char sqlstate[SQLSTATE_LENGTH + 1] = "";
    bool first = err != NULL && err->status == STATUS_OK;
    bool known = postgresql_refused_state(text, sqlstate);
    bool final = postgresql_option_refused(connection) || PQconnectionNeedsPassword(connection) ||
                 (known && (strncmp(sqlstate, "28", 2) == 0 || strcmp(sqlstate, "3D000") == 0));
    enum status status = known ? STATUS_OK : postgresql_advise(text, &final, err);
    if (status == STATUS_OK)
        status = error_set_native(err, final ? STATUS_FATAL : STATUS_RETRY,
                                  known ? (int)strtol(sqlstate, NULL, 36) : 0, "%.*s%s",
                                  postgresql_first_line(text), text,
                                  PQconnectionNeedsPassword(connection)
                                      ? "; put it into ~/.pgpass, PGPASSWORD or database_file"
                                      : "");
    if (first && final)
        err->exit_code = EX_CONFIG;
    if (first && !final)
        err->connection_lost = true;
    return status;
}

/* Rows that a policy hides must be an error: the agent would take them for absent. */
static const char postgresql_settings[] =
    "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL READ COMMITTED;"
    "SET TimeZone = 'UTC'; SET DateStyle = 'ISO, YMD'; SET IntervalStyle = 'postgres';"
    "SET extra_float_digits = 1; SET bytea_output = 'hex'; SET standard_conforming_strings = on;"
    "SET array_nulls = on; SET transform_null_equals = off; SET row_security = off;"
    "SET default_transaction_deferrable = off; SET jit = off;"
    "SET lock_timeout = '5s'; SET statement_timeout = '60s';"
    "SET idle_in_transaction_session_timeout = '60s'; SET idle_session_timeout = 0;";

/* An `on` that the role has stays, and so does what waits for more than the disk. */
static const char postgresql_wait[] = "SELECT set_config('synchronous_commit', 'on', false) "
                                      "WHERE current_setting('synchronous_commit') = 'off'";

static void postgresql_ignore_notice(void *context, const PGresult *result)
{
    (void)context;
    (void)result;
}

static enum status postgresql_configure(PGconn *connection,
                                        const struct postgresql_session_options *options,
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

enum status postgresql_session_open(const struct postgresql_session_options *options,
                                    PGconn **ret_connection, struct error *err)
{
    /* What stands before dbname the URL may override; what stands behind it, it may not. */
    const char *const names[] = {"connect_timeout",  "keepalives_idle",  "keepalives_interval",
                                 "keepalives_count", "tcp_user_timeout", "application_name",
                                 "dbname",           "client_encoding",  NULL};
    const char *const values[] = {"5",          "30",   "10", "3", "60000", options->application,
                                  options->url, "UTF8", NULL};
    char *problem = NULL;
    struct database_url parts;
    enum status status = database_url_parse(options->url, &parts, err);
    if (status != STATUS_OK) /* libpq's own errors would name what it took for a host */
        return status;
    PQconninfoOption *parsed = PQconninfoParse(options->url, &problem);
    PQfreemem(problem); /* it repeats the URL, with its password */
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
        !postgresql_silent(connection)) {
        /* Once more, so that it tells the SQLSTATE. */
        (void)PQsetErrorVerbosity(connection, PQERRORS_VERBOSE);
        PQreset(connection);
        (void)PQsetErrorVerbosity(connection, PQERRORS_DEFAULT);
    }
    if (PQstatus(connection) != CONNECTION_OK)
        status = postgresql_refused(connection, err);
    else
        status = connections_add(connection, PQsocket(connection),
                                 options->lasting ? -1 : POSTGRESQL_ANSWER_MS, err);
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
    int answer_ms = PQisBusy(connection) == 0 ? -1 : connections_answer_ms(connection);
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
                                     const struct slice *parameters, size_t count,
                                     PGresult **ret_result, struct error *err)
{
    const char *values[POSTGRESQL_PARAMETERS_MAX] = {NULL};
    size_t offsets[POSTGRESQL_PARAMETERS_MAX] = {0};
    struct buffer texts;
    enum status status = STATUS_OK;

    if (count > POSTGRESQL_PARAMETERS_MAX)
        return error_set(err, STATUS_FATAL, "%s: too many parameters", sql);
    buffer_init(&texts, POSTGRESQL_PARAMETERS_SIZE);
    for (size_t i = 0; i < count && status == STATUS_OK; i++) {
        offsets[i] = texts.length;
        if (parameters[i].length > 0 &&
            memchr(parameters[i].data, '\0', parameters[i].length) != NULL)
            status = error_set(err, STATUS_REJECT,
                               "%s: parameter %zu holds a NUL character, which PostgreSQL has not",
                               sql, i + 1);
        buffer_append(&texts, parameters[i].data, parameters[i].length);
        buffer_append(&texts, "", 1);
    }
    if (status == STATUS_OK && texts.failed)
        status = error_set(err, STATUS_RETRY, "%s: no memory for its parameters", sql);
    for (size_t i = 0; i < count && status == STATUS_OK; i++)
        values[i] = parameters[i].data == NULL ? NULL : texts.data + offsets[i];
    if (status == STATUS_OK)
        status = postgresql_judge(connection,
                                  postgresql_session_last_result(
                                      connection, PQsendQueryParams(connection, sql, (int)count,
                                                                    NULL, values, NULL, NULL, 0)),
                                  sql, ret_result, err);
    buffer_done(&texts);
    return status;
}

/* Read what is under way to its end, so that the session takes statements again. */
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
