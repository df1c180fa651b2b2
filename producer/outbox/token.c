/* The token of a ticket: which sequences a transaction's events were given (rule 47). */
#include "producer/outbox/sql.h"

#define REFUSED "keepstep: "

/* What the database's function says of a ticket that gets no token. */
static enum status token_refused(enum status status, struct error *err)
{
    const char *reason = err == NULL ? NULL : strstr(err->text, REFUSED);
    char text[ERROR_TEXT_SIZE];
    if (status == STATUS_OK || status == STATUS_RETRY || reason == NULL)
        return status;
    memcpy(text, reason + sizeof REFUSED - 1, strlen(reason + sizeof REFUSED - 1) + 1);
    error_clear(err);
    return error_set(err, STATUS_REJECT, "%s", text);
}

enum status outbox_sql_token(struct outbox *outbox, const char *ticket, struct arena *arena,
                             struct slice *ret_token, struct error *err)
{
    struct sql_session *session = outbox_sql_of(outbox)->session;
    const struct sql_parameter value = sql_string(ticket);
    struct slice reason = {0};
    *ret_token = (struct slice){0};
    enum status status = token_refused(sql_first(session, STATEMENT_TOKEN, &value, 1, err), err);
    if (!session->has_row)
        return status;
    if (!sql_column_text(session, 0, arena, ret_token) ||
        !sql_column_text(session, 1, arena, &reason))
        status = error_set(err, STATUS_RETRY, "out of memory");
    session->ops->finish(session);
    if (status == STATUS_OK && reason.data != NULL)
        status = error_set(err, STATUS_REJECT, "%.*s", SLICE_ARGS(reason));
    return status;
}
