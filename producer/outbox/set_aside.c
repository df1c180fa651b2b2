/* Setting rows aside, and what an operator decides about them: always of whole sets (rule 54). */
#include "producer/outbox/sql.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define IDENTITY_SIZE  64
#define REST_POSITIONS 20000 /* of a statement: a larger one might not end in its time */

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

/* Sees whether the set still has what it waits for. From then on nobody lets that wait again, and
 * all behind it, before this transaction has ended. */
static enum status set_hold_blocker(struct sql_session *session, const struct outbox_set *set,
                                    bool *ret_held, struct error *err)
{
    const struct sql_parameter behind = sql_integer(set->behind);
    *ret_held = true;
    if (set->behind == 0)
        return STATUS_OK;
    enum status status = sql_first(session, STATEMENT_HOLD_SET_ASIDE, &behind, 1, err);
    *ret_held = session->has_row;
    session->ops->finish(session);
    return status;
}

/* Sets the rows aside that have the identity of `first` and were not loaded. */
static enum status set_aside_rest(struct sql_session *session, const struct outbox_row *first,
                                  const struct sql_parameter reason_and_name[static 2],
                                  struct error *err)
{
    enum status status = STATUS_OK;
    for (int64_t from = first->position - 1, to; status == STATUS_OK && from < first->last_of_group;
         from = to) {
        int64_t left = first->last_of_group - from;
        to = from + (left < REST_POSITIONS ? left : REST_POSITIONS);
        const struct sql_parameter rest[] = {sql_text(first->changeset), sql_integer(from),
                                             sql_integer(to), reason_and_name[0],
                                             reason_and_name[1]};
        status = sql_run(session, STATEMENT_SET_ASIDE_REST, rest, 5, err);
    }
    return status;
}

enum status outbox_sql_set_aside(struct outbox *outbox, const struct lease *lease,
                                 const struct outbox_set *set, bool *ret_done, struct error *err)
{
    struct outbox_sql *self = outbox_sql_of(outbox);
    struct sql_session *session = self->session;
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
    const struct sql_parameter reason_and_name[] = {reason, name};
    const struct sql_step join = {.statement = STATEMENT_JOIN_BY_HASH, .rows = set->count > 1};
    const struct sql_step step = {
        .statement = STATEMENT_SET_ASIDE, .parameters = rows[0], .columns = 4, .rows = set->count};
    *ret_done = false;
    enum status status = outbox_sql_begin_fenced(self, lease, err);
    if (status != STATUS_OK)
        goto out;
    bool held = false;
    status = set_hold_blocker(session, set, &held, err);
    if (status == STATUS_OK && held)
        status = session->ops->run_step(session, &join, err);
    if (status == STATUS_OK && held)
        status = session->ops->run_step(session, &step, err);
    if (status == STATUS_OK && held && one && !first->shared)
        status = set_aside_rest(session, first, reason_and_name, err);
    status = session->ops->end(session, status, err);
    *ret_done = status == STATUS_OK && held;
out:
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
