/* What PostgreSQL's SQLSTATEs mean. */
#include "common/postgresql_session.h"

#include "common/advice.h"
#include "common/connections.h"

#include <stdlib.h>

/* The first entry that the SQLSTATE begins with counts. All classes of PostgreSQL are listed, so
 * any other class is the service's own. */
static const struct {
    const char *sqlstate;
    enum status status;
    enum reject_kind reject;
    bool connection_lost;
} postgresql_verdicts[] = {
    {"23001", VERDICT_WAITING}, /* other rows still refer to the row */
    {"23503", VERDICT_WAITING}, /* foreign key */
    {"23505", VERDICT_WAITING}, /* unique */
    {"23P01", VERDICT_WAITING}, /* exclusion */
    {"23", VERDICT_HELD},       /* not null, check, domain */
    {"22P03", VERDICT_FATAL},   /* our own binary form */
    {"22", VERDICT_HELD},       /* data */
    {"00", VERDICT_HELD},       /* success; 00, 01 and 02 are errors only of triggers */
    {"01", VERDICT_HELD},       /* warning */
    {"02", VERDICT_HELD},       /* no data */
    {"03", VERDICT_FATAL},      /* statement not complete */
    {"08", VERDICT_LOST},       /* connection */
    {"09", VERDICT_HELD},       /* triggered action */
    {"0A", VERDICT_FATAL},      /* feature not supported */
    {"0B", VERDICT_FATAL},      /* transaction initiation */
    {"0F", VERDICT_HELD},       /* locator */
    {"0L", VERDICT_FATAL},      /* grantor */
    {"0P", VERDICT_FATAL},      /* role */
    {"0Z", VERDICT_HELD},       /* diagnostics, of a trigger */
    {"10", VERDICT_HELD},       /* XML query */
    {"20", VERDICT_HELD},       /* no case found, of a trigger */
    {"21", VERDICT_HELD},       /* two keys of a run equal in the table; a trigger's subquery */
    {"24", VERDICT_HELD},       /* cursor state, of a trigger */
    {"25006", VERDICT_LOST},    /* read only: another server may have taken over */
    {"25P03", VERDICT_LOST},    /* idle in transaction for too long */
    {"25P04", VERDICT_LOST},    /* transaction timeout */
    {"25", VERDICT_FATAL},      /* transaction state */
    {"26", VERDICT_FATAL},      /* statement name: our prepared ones are gone */
    {"27", VERDICT_HELD},       /* a trigger changed the row that is being written */
    {"28", VERDICT_FATAL},      /* credentials */
    {"2B", VERDICT_FATAL},      /* dependent privileges */
    {"2D", VERDICT_FATAL},      /* transaction termination */
    {"2F", VERDICT_HELD},       /* SQL routine, of a trigger */
    {"34", VERDICT_HELD},       /* cursor name, of a trigger */
    {"38", VERDICT_HELD},       /* external routine: a trigger in Perl or Python refuses */
    {"39", VERDICT_HELD},       /* invocation of an external routine */
    {"3B", VERDICT_FATAL},      /* savepoint */
    {"3D", VERDICT_FATAL},      /* database */
    {"3F", VERDICT_FATAL},      /* schema */
    {"40003", VERDICT_LOST},    /* statement completion unknown */
    {"40", VERDICT_RETRY},      /* serialization failure, deadlock */
    {"42501", VERDICT_RETRY},   /* permission */
    {"42", VERDICT_FATAL},      /* syntax, names and types: the schema does not match */
    {"44", VERDICT_HELD},       /* check option of a view */
    {"53", VERDICT_RETRY},      /* disk full, memory, too many connections */
    {"54", VERDICT_HELD},       /* key too large for its index, recursion of triggers */
    {"55000", VERDICT_RETRY},   /* published without a replica identity */
    {"55P03", VERDICT_RETRY},   /* lock timeout */
    {"55006", VERDICT_RETRY},   /* object in use */
    {"55", VERDICT_FATAL},      /* state of an object, such as no replica identity */
    {"57014", VERDICT_RETRY},   /* statement timeout, or cancelled by hand */
    {"57P04", VERDICT_FATAL},   /* the database was dropped */
    {"57", VERDICT_LOST},       /* shutdown, crash, idle for too long */
    {"58", VERDICT_RETRY},      /* input or output, the operating system's */
    {"72", VERDICT_RETRY},      /* snapshot too old */
    {"F0", VERDICT_FATAL},      /* configuration file */
    {"HV", VERDICT_FATAL},      /* foreign data */
    {"P0", VERDICT_HELD},       /* RAISE, ASSERT and other errors of PL/pgSQL */
    {"XX", VERDICT_FATAL},      /* internal, data corrupted */
    {"", VERDICT_HELD},         /* the service's own class */
};

int postgresql_sqlstate_code(const char *sqlstate)
{
    return (int)strtol(sqlstate, NULL, 36);
}

struct verdict postgresql_session_verdict(const char *sqlstate, bool raised)
{
    size_t i = 0;
    while (strncmp(sqlstate, postgresql_verdicts[i].sqlstate,
                   strlen(postgresql_verdicts[i].sqlstate)) != 0)
        i++;
    struct verdict verdict = {.native_code = postgresql_sqlstate_code(sqlstate),
                              .status = postgresql_verdicts[i].status,
                              .reject = postgresql_verdicts[i].reject,
                              .connection_lost = postgresql_verdicts[i].connection_lost};
    bool environment = strncmp(sqlstate, "XX", 2) == 0 || strncmp(sqlstate, "57", 2) == 0;
    bool says_no = strcmp(sqlstate, SQLSTATE_INSUFFICIENT_PRIVILEGE) == 0;
    if (raised && !environment && (verdict.status == STATUS_FATAL || says_no))
        verdict.status = STATUS_REJECT;
    return verdict;
}

/* @return whether a function of the service chose this SQLSTATE by RAISE. It then lacks the meaning
 * that the server gives it. Keepstep's own functions raise a lack of rights where an administrator
 * is to give them. */
static bool postgresql_is_raised(const PGresult *result, const char *sqlstate)
{
    static const char own[] = "keepstep: ";
    const char *function = PQresultErrorField(result, PG_DIAG_SOURCE_FUNCTION);
    const char *text = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    bool lacks_rights = strcmp(sqlstate, SQLSTATE_INSUFFICIENT_PRIVILEGE) == 0 && text != NULL &&
                        strncmp(text, own, sizeof own - 1) == 0;
    return function != NULL && strcmp(function, "exec_stmt_raise") == 0 && !lacks_rights;
}

enum status postgresql_session_error(PGconn *connection, const PGresult *result, const char *what,
                                     struct error *err)
{
    const char *sqlstate = result == NULL ? NULL : PQresultErrorField(result, PG_DIAG_SQLSTATE);
    bool broken = PQstatus(connection) != CONNECTION_OK;
    if (sqlstate == NULL) { /* an error of libpq: the connection is broken, or no memory */
        struct verdict verdict = {.status = STATUS_RETRY, .connection_lost = broken};
        const char *text = broken && connections_gave_up(connection)
                               ? "the server gave no answer in time"
                               : PQerrorMessage(connection);
        return error_set_verdict(err, verdict, what, "%.*s", (int)strcspn(text, "\n"), text);
    }
    bool raised = postgresql_is_raised(result, sqlstate);
    struct verdict verdict = postgresql_session_verdict(sqlstate, raised);
    const char *text = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    if (broken) {
        verdict.status = STATUS_RETRY;
        verdict.connection_lost = true;
    }
    bool lacks_right = verdict.status == STATUS_RETRY &&
                       strcmp(sqlstate, SQLSTATE_INSUFFICIENT_PRIVILEGE) == 0;
    return error_set_verdict(lacks_right ? error_config(err) : err, verdict, what, "%s (%s)%s",
                             text == NULL ? "failed" : text, sqlstate,
                             lacks_right ? advice_rights() : "");
}
