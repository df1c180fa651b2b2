/* Reads which entities are open at a publisher (rule 33), and whether rows of the outbox still are.
 */
#include "producer/source/sql.h"

#include <stdlib.h>

#define ROWS_A_KEY 8 /* of the outbox are read, on the average, before there are too many */

static int open_compare(const void *a, const void *b)
{
    return slice_compare(*(const struct slice *)a, *(const struct slice *)b);
}

/* A row that was written by hand may have a key in another form, or one that no entity has.
 * @return OK; RETRY (the arena is full). */
static enum status open_key(const struct entity_schema *schema, struct slice written,
                            struct arena *arena, struct slice *ret_key, struct error *err)
{
    struct error failed = ERROR_INIT;
    enum status status = canonical_key(schema, written, arena, ret_key, &failed);
    if (status == STATUS_OK)
        return status;
    *ret_key = arena_copy(arena, written);
    return status == STATUS_REJECT && ret_key->data != NULL
               ? STATUS_OK
               : error_set(err, STATUS_RETRY, "the keys of open entities do not fit into %zu bytes",
                           arena->size_max);
}

/* Two forms of a key are one. */
static void open_sort(struct source_open_keys *open)
{
    size_t kept = 0;
    qsort(open->keys, open->count, sizeof *open->keys, open_compare);
    for (size_t i = 0; i < open->count; i++) {
        if (kept == 0 || !slice_equal(open->keys[kept - 1], open->keys[i]))
            open->keys[kept++] = open->keys[i];
    }
    open->count = kept;
}

/* Very many rows are too many keys, however few those are. */
static enum status open_read(struct source_sql *self, const struct entity_schema *schema,
                             struct arena *arena, struct source_open_keys *open, struct error *err)
{
    struct sql_session *session = self->session;
    int64_t rows_max = (int64_t)open->limit * ROWS_A_KEY + 1;
    const struct sql_parameter values[] = {sql_string(schema->entity_type),
                                           sql_integer((int64_t)open->limit + 1),
                                           sql_integer(rows_max)};
    bool too_many = false;
    enum status status = sql_first(session, STATEMENT_SOURCE_OPEN_KEYS, values, 3, err);
    while (status == STATUS_OK && session->has_row && open->count <= open->limit) {
        too_many = sql_column_integer(session, 1) >= rows_max;
        status = open_key(schema, session->ops->column(session, 0), arena, &open->keys[open->count],
                          err);
        open->count += status == STATUS_OK;
        if (status == STATUS_OK)
            status = session->ops->next(session, err);
    }
    session->ops->finish(session);
    if (status != STATUS_OK || open->count > open->limit)
        return status;
    open_sort(open);
    if (too_many)
        open->count = open->limit + 1;
    return status;
}

enum status source_sql_open_keys(struct source *source, const struct source_type *type,
                                 struct arena *arena, struct source_open_keys *open,
                                 struct error *err)
{
    struct source_sql *self = source_sql_of(source);
    enum status status = source_sql_check(self, err);
    open->keys = arena_alloc(arena, (open->limit + 1) * sizeof *open->keys);
    open->count = 0;
    if (status == STATUS_OK && open->keys == NULL)
        status = error_set(err, STATUS_RETRY, "no memory");
    if (status == STATUS_OK)
        status = open_read(self, type->schema, arena, open, err);
    return source_sql_settle(self, source_sql_judge(self, status, err));
}

enum status source_sql_open_rows(struct source *source, const struct source_type *type,
                                 struct source_open_rows *open, struct error *err)
{
    struct source_sql *self = source_sql_of(source);
    struct sql_session *session = self->session;
    const struct sql_parameter values[] = {sql_string(type->schema->entity_type),
                                           sql_integer(open->up_to)};
    enum status status = source_sql_check(self, err);
    if (status != STATUS_OK)
        return source_sql_settle(self, status);
    status = sql_first(session, STATEMENT_SOURCE_OPEN_ROWS, values, 2, err);
    if (session->has_row) {
        open->are_open = sql_column_bool(session, 0);
        open->set_aside = sql_column_integer(session, 1);
    }
    session->ops->finish(session);
    return source_sql_settle(self, source_sql_judge(self, status, err));
}
