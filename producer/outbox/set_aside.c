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

/* What sets a set aside. */
struct set_work {
    struct outbox_sql *outbox;
    const struct outbox_set *set;
    struct sql_step join;
    struct sql_step rows;
    bool has_rest; /* rows that were not loaded may have its identity */
    struct sql_parameter reason;
    struct sql_parameter name;
};

static int64_t set_rest_from(const struct set_work *work)
{
    return work->set->rows[0].position - 1;
}

static void set_fill_rest(const struct set_work *work, int64_t from, int64_t to,
                          struct sql_parameter ret_values[static 5])
{
    ret_values[0] = sql_text(work->set->rows[0].changeset);
    ret_values[1] = sql_integer(from);
    ret_values[2] = sql_integer(to);
    ret_values[3] = work->reason;
    ret_values[4] = work->name;
}

static enum status set_aside_rest(const struct set_work *work, struct error *err)
{
    enum status status = STATUS_OK;
    int64_t end = work->set->rows[0].last_of_group;
    for (int64_t from = set_rest_from(work), to; status == STATUS_OK && from < end; from = to) {
        struct sql_parameter rest[5];
        to = end - from < REST_POSITIONS ? end : from + REST_POSITIONS;
        set_fill_rest(work, from, to, rest);
        status = sql_run(work->outbox->session, STATEMENT_SET_ASIDE_REST, rest, 5, err);
    }
    return status;
}

/* Step by step: it waits for another set, or is too large for one message. */
static enum status set_aside_slowly(const struct set_work *work, const struct lease *lease,
                                    bool *ret_done, struct error *err)
{
    struct sql_session *session = work->outbox->session;
    bool held = false;
    enum status status = outbox_sql_begin_fenced(work->outbox, lease, err);
    if (status != STATUS_OK)
        return status;
    status = set_hold_blocker(session, work->set, &held, err);
    if (status == STATUS_OK && held)
        status = session->ops->run_step(session, &work->join, err);
    if (status == STATUS_OK && held)
        status = session->ops->run_step(session, &work->rows, err);
    if (status == STATUS_OK && held && work->has_rest)
        status = set_aside_rest(work, err);
    status = session->ops->end(session, status, err);
    *ret_done = status == STATUS_OK && held;
    return status;
}

static enum status set_aside_at_once(const struct set_work *work, const struct lease *lease,
                                     bool *ret_done, struct error *err)
{
    struct sql_parameter rest[5];
    set_fill_rest(work, set_rest_from(work), work->set->rows[0].last_of_group, rest);
    const struct sql_step steps[] = {work->join,
                                     work->rows,
                                     {.statement = STATEMENT_SET_ASIDE_REST,
                                      .parameters = rest,
                                      .columns = 5,
                                      .rows = work->has_rest}};
    enum status status = outbox_sql_run_fenced(work->outbox, lease, steps, 3, err);
    *ret_done = status == STATUS_OK;
    return status;
}

enum status outbox_sql_set_aside(struct outbox *outbox, const struct lease *lease,
                                 const struct outbox_set *set, bool *ret_done, struct error *err)
{
    char identity[IDENTITY_SIZE];
    const struct outbox_row *first = &set->rows[0];
    bool one = set_has_identity(set);
    bool renamed = set_rename(set, !one || first->shared, identity);
    struct sql_parameter(*rows)[4] = calloc(set->count, sizeof *rows);
    *ret_done = false;
    if (rows == NULL)
        return error_set(err, STATUS_RETRY, "no memory");
    const struct set_work work = {
        .outbox = outbox_sql_of(outbox),
        .set = set,
        .join = {.statement = STATEMENT_JOIN_BY_HASH, .rows = set->count > 1},
        .rows = {.statement = STATEMENT_SET_ASIDE,
                 .parameters = rows[0],
                 .columns = 4,
                 .rows = set->count},
        .has_rest = one && !first->shared,
        .reason = sql_string(set->reason),
        .name = renamed ? sql_string(identity) : sql_text((struct slice){0})};
    for (size_t i = 0; i < set->count; i++) {
        rows[i][0] = sql_integer(set->rows[i].position);
        rows[i][1] = work.reason;
        rows[i][2] = sql_text(set->rows[i].entity_key);
        rows[i][3] = work.name;
    }
    outbox_sql_sort(rows, set->count, 4);
    bool is_large = work.has_rest && first->last_of_group - set_rest_from(&work) > REST_POSITIONS;
    enum status status = set->behind != 0 || is_large
                             ? set_aside_slowly(&work, lease, ret_done, err)
                             : set_aside_at_once(&work, lease, ret_done, err);
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
