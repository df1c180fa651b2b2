/* Setting rows aside, and what an operator decides about them: always of whole sets (rule 54). */
#include "producer/outbox/sql.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define IDENTITY_SIZE 64

/* @return whether all rows have one identity, which is not empty. */
static bool set_has_identity(const struct outbox_set *set)
{
    for (size_t i = 1; i < set->count; i++) {
        if (!slice_equal(set->rows[0].changeset, set->rows[i].changeset))
            return false;
    }
    return set->rows[0].changeset.length > 0;
}

/* The set gets an identity of its own: rows that come later with the present one are no part of it.
 * A row that is alone stays so.
 * @return false: it keeps what it has. */
static bool set_rename(const struct outbox_set *set, bool shared,
                       char ret_identity[static IDENTITY_SIZE])
{
    int64_t first = set->rows[0].position;
    if (set->count == 1 && set->rows[0].changeset.length == 0)
        return false;
    for (size_t i = 1; i < set->count; i++)
        first = set->rows[i].position < first ? set->rows[i].position : first;
    (void)snprintf(ret_identity, IDENTITY_SIZE, OUTBOX_SET_PREFIX "%" PRId64 "%s", first,
                   shared ? " " OUTBOX_SHARED : "");
    return true;
}

enum status outbox_sql_set_aside(struct outbox *outbox, const struct lease *lease,
                                 const struct outbox_set *set, struct error *err)
{
    char identity[IDENTITY_SIZE];
    const struct outbox_row *first = &set->rows[0];
    bool one = set_has_identity(set);
    bool renamed = set_rename(set, !one || first->shared, identity);
    const struct sql_parameter name = renamed ? sql_string(identity) : sql_text((struct slice){0});
    const struct sql_parameter reason = sql_string(set->reason);
    struct sql_parameter(*rows)[4] = calloc(set->count, sizeof *rows);
    if (rows == NULL)
        return error_set(err, STATUS_RETRY, "no memory");
    for (size_t i = 0; i < set->count; i++) {
        rows[i][0] = sql_integer(set->rows[i].position);
        rows[i][1] = reason;
        rows[i][2] = sql_text(set->rows[i].entity_key);
        rows[i][3] = name;
    }
    outbox_sql_sort(rows, set->count, 4);
    const struct sql_parameter rest[] = {sql_text(first->changeset),
                                         sql_integer(first->last_of_group), reason, name};
    const struct sql_step steps[] = {
        {.statement = STATEMENT_JOIN_BY_HASH, .rows = set->count > 1},
        {.statement = STATEMENT_SET_ASIDE, .parameters = rows[0], .columns = 4, .rows = set->count},
        {.statement = STATEMENT_SET_ASIDE_REST,
         .parameters = rest,
         .columns = 4,
         .rows = one && !first->shared}};
    enum status status = outbox_sql_run_fenced(outbox_sql_of(outbox), lease, steps,
                                               sizeof steps / sizeof *steps, err);
    free(rows);
    return status;
}

/* Reads the identity of the row at a position, "" where it is alone. */
static enum status set_find(struct sql_session *session, int64_t position, struct arena *arena,
                            struct slice *ret_identity, struct error *err)
{
    const struct sql_parameter value = sql_integer(position);
    *ret_identity = slice_of("");
    enum status status = sql_first(session, STATEMENT_FIND_SET_ASIDE, &value, 1, err);
    if (status == STATUS_OK && !session->has_row)
        return error_set(err, STATUS_REJECT, "no row at position %" PRId64 " is set aside",
                         position);
    if (status != STATUS_OK)
        return status;
    if (!sql_column_text(session, 0, arena, ret_identity))
        status = error_set(err, STATUS_RETRY, "no memory");
    if (ret_identity->data == NULL)
        *ret_identity = slice_of("");
    session->ops->finish(session);
    return status;
}

enum status outbox_sql_resolve_set_aside(struct outbox *outbox, int64_t position,
                                         enum outbox_resolution resolution, struct error *err)
{
    static const enum outbox_statement statements[] = {[OUTBOX_RETRY] = STATEMENT_RETRY_SET,
                                                       [OUTBOX_DROP] = STATEMENT_DROP_SET,
                                                       [OUTBOX_CUT] = STATEMENT_CUT_SET};
    struct sql_session *session = outbox_sql_of(outbox)->session;
    const struct sql_parameter behind = sql_string(OUTBOX_BEHIND);
    struct slice identity = {0};
    struct arena arena;
    arena_init(&arena, OUTBOX_IDENTITY_MAX);
    enum status status = session->ops->begin(session, err);
    if (status == STATUS_OK)
        status = set_find(session, position, &arena, &identity, err);
    const struct sql_parameter values[] = {sql_integer(position), sql_text(identity)};
    if (status == STATUS_OK)
        status = sql_run(session, statements[resolution], values, 2, err);
    if (status == STATUS_OK)
        status = sql_run(session, STATEMENT_RELEASE_BEHIND, &behind, 1, err);
    status = session->ops->end(session, status, err);
    arena_done(&arena);
    return status;
}
