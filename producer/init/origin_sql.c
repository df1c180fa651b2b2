/* The origin over SQL: identity, a new history, what was captured and published, and events. */
#include "producer/init/origin_sql.h"

#include <stdlib.h>

#define NOTES_SIZE_MAX ((size_t)128 * 1024)

enum status origin_sql_open(struct origin_sql *self, const struct config *config,
                            enum origin_mode mode, struct error *err)
{
    struct sql_options *options = &self->session->options;
    self->config = config;
    self->watching = mode == ORIGIN_WATCH;
    arena_init(&self->note_arena, NOTES_SIZE_MAX);
    options->url = config->database_path;
    options->read_only = mode == ORIGIN_READ || mode == ORIGIN_WATCH;
    options->create = mode == ORIGIN_INSTALL;
    options->lasting = mode == ORIGIN_INSTALL || mode == ORIGIN_REMOVE;
    options->single = true;
    options->text_count = ORIGIN_STATEMENT_COUNT;
    return self->session->ops->ready(self->session, err);
}

void origin_sql_close(struct origin *origin)
{
    if (origin == NULL)
        return;
    struct origin_sql *self = origin_sql_of(origin);
    origin_sql_rollback(origin);
    self->session->ops->close(self->session);
    arena_done(&self->note_arena);
    free(self);
}

enum status origin_sql_wants(struct origin *origin, const struct origin_object *object,
                             bool *ret_wanted, struct error *err)
{
    (void)err;
    *ret_wanted = !object->of_sets ||
                  origin_sql_of(origin)->config->transactions == TRANSACTIONS_WHOLE;
    return STATUS_OK;
}

enum status origin_sql_compare_column(struct origin *origin, const struct origin_object *object,
                                      enum origin_found *ret_found, struct error *err)
{
    struct sql_session *session = origin_sql_of(origin)->session;
    const struct sql_parameter name = sql_string(object->name);
    *ret_found = ORIGIN_ABSENT;
    enum status status = sql_first(session, STATEMENT_FIND_COLUMN, &name, 1, err);
    if (session->has_row)
        *ret_found = (enum origin_found)sql_column_integer(session, 0);
    session->ops->finish(session);
    return status;
}

enum status origin_sql_begin(struct origin *origin, struct error *err)
{
    struct sql_session *session = origin_sql_of(origin)->session;
    return session->ops->begin(session, err);
}

enum status origin_sql_commit(struct origin *origin, struct error *err)
{
    struct sql_session *session = origin_sql_of(origin)->session;
    return session->ops->end(session, STATUS_OK, err);
}

void origin_sql_rollback(struct origin *origin)
{
    struct sql_session *session = origin_sql_of(origin)->session;
    struct error none = ERROR_INIT;
    (void)session->ops->end(session, STATUS_ABORT, &none);
}

enum status origin_sql_identify(struct origin *origin, const char *service, const char *incarnation,
                                struct error *err)
{
    const struct sql_parameter values[] = {sql_string(service), sql_string(incarnation)};
    return sql_run(origin_sql_of(origin)->session, STATEMENT_INSERT_RELAY, values, 2, err);
}

enum status origin_sql_restart(struct origin *origin, const struct origin_restart *restart,
                               struct origin_restarted *ret_restarted, struct error *err)
{
    static const unsigned forget[] = {STATEMENT_FORWARD_FORGET,
                                      STATEMENT_FORWARD_WAIT,
                                      STATEMENT_RESTART_DROP_ACKNOWLEDGED,
                                      STATEMENT_RESTART_UNCLAIM,
                                      STATEMENT_RESTART_CHANGESETS,
                                      STATEMENT_RESTART_PARTITIONS,
                                      STATEMENT_RESTART_MOVED,
                                      STATEMENT_RESTART_READ,
                                      STATEMENT_RESTART_EXISTING,
                                      STATEMENT_RESTART_EXISTING_KEY,
                                      STATEMENT_RESTART_CAPTURED};
    struct origin_sql *self = origin_sql_of(origin);
    const struct sql_parameter values[] = {sql_string(restart->service),
                                           sql_string(restart->incarnation)};
    *ret_restarted = (struct origin_restarted){0};
    enum status status = origin_sql_write_notes(self, err);
    if (status == STATUS_OK)
        status = sql_run(self->session, STATEMENT_LIFT_LIMIT, NULL, 0, err);
    if (status == STATUS_OK)
        status = origin_sql_compare_notes(self, restart->schemas, &ret_restarted->renamed, err);
    if (status == STATUS_OK)
        status = sql_run(self->session, STATEMENT_FORWARD_DROP, NULL, 0, err);
    if (status == STATUS_OK)
        ret_restarted->dropped = (int64_t)self->session->changed;
    if (status == STATUS_OK)
        status = sql_run(self->session, STATEMENT_RESTART_RELAY, values, 2, err);
    if (status == STATUS_OK)
        status = sql_run_each(self->session, forget, sizeof forget / sizeof *forget, err);
    return status;
}

enum status origin_sql_lease(struct origin *origin, bool *ret_initialised,
                             struct origin_lease *ret_lease, struct error *err)
{
    struct sql_session *session = origin_sql_of(origin)->session;
    *ret_lease = (struct origin_lease){0};
    enum status status = sql_has_tables(session, STATEMENT_HAS_RELAY, ret_initialised, err);
    if (status != STATUS_OK || !*ret_initialised)
        return status;
    status = sql_first(session, STATEMENT_READ_HOLDER, NULL, 0, err);
    if (!session->has_row)
        return status;
    sql_column_copy(session, 0, ret_lease->holder, sizeof ret_lease->holder);
    ret_lease->until_us = sql_column_integer(session, 1);
    session->ops->finish(session);
    return status;
}

enum status origin_sql_captured(struct origin *origin, const char *entity_type, struct arena *arena,
                                struct origin_captured *ret_captured, struct error *err)
{
    struct sql_session *session = origin_sql_of(origin)->session;
    const struct sql_parameter type = sql_string(entity_type);
    *ret_captured = (struct origin_captured){0};
    enum status status = sql_first(session, STATEMENT_READ_CAPTURED, &type, 1, err);
    if (!session->has_row)
        return status;
    if (!sql_column_text(session, 0, arena, &ret_captured->mapped) ||
        !sql_column_text(session, 1, arena, &ret_captured->news) ||
        !sql_column_text(session, 2, arena, &ret_captured->partition_key))
        status = error_set(err, STATUS_RETRY, "no memory");
    session->ops->finish(session);
    return status;
}

enum status origin_sql_write_captured(struct origin *origin, const char *entity_type,
                                      const struct origin_captured *captured, struct error *err)
{
    const struct sql_parameter values[] = {sql_string(entity_type), sql_text(captured->mapped),
                                           sql_text(captured->news),
                                           sql_text(captured->partition_key)};
    return sql_run(origin_sql_of(origin)->session, STATEMENT_WRITE_CAPTURED, values, 4, err);
}

enum status origin_sql_republish(struct origin *origin, const char *entity_type, struct error *err)
{
    struct sql_session *session = origin_sql_of(origin)->session;
    const struct sql_parameter type = sql_string(entity_type);
    const struct sql_step steps[] = {
        {.statement = STATEMENT_REPUBLISH_KEYS, .parameters = &type, .columns = 1, .rows = 1},
        {.statement = STATEMENT_REPUBLISH_PROGRESS, .parameters = &type, .columns = 1, .rows = 1},
        {.statement = STATEMENT_REPUBLISH_NEWS, .parameters = &type, .columns = 1, .rows = 1}};
    return session->ops->run_steps(session, steps, sizeof steps / sizeof *steps, err);
}

enum status origin_sql_progress(struct origin *origin, const char *entity_type,
                                struct origin_progress *ret_progress, struct error *err)
{
    struct sql_session *session = origin_sql_of(origin)->session;
    const struct sql_parameter type = sql_string(entity_type);
    *ret_progress = (struct origin_progress){0};
    enum status status = sql_first(session, STATEMENT_READ_PROGRESS, &type, 1, err);
    if (!session->has_row)
        return status;
    ret_progress->rows = sql_column_integer(session, 0);
    ret_progress->done = sql_column_bool(session, 1);
    ret_progress->published = sql_column_bool(session, 2);
    session->ops->finish(session);
    return status;
}

static enum status origin_sql_publish_next(struct origin_sql *self,
                                           const struct origin_table *table, size_t limit,
                                           struct origin_progress *progress, struct error *err)
{
    int64_t before = progress->rows;
    enum status status = self->publish(self, table, limit, progress, err);
    const struct sql_parameter values[] = {sql_string(table->entry->entity_type),
                                           sql_integer(progress->rows - before),
                                           sql_integer(progress->done)};
    return status == STATUS_OK ? sql_run(self->session, STATEMENT_WRITE_PROGRESS, values, 3, err)
                               : status;
}

enum status origin_sql_chunk(struct origin *origin, const struct origin_table *table, size_t limit,
                             struct origin_progress *ret_progress, struct error *err)
{
    struct origin_sql *self = origin_sql_of(origin);
    struct sql_session *session = self->session;
    const char *entity_type = table->entry->entity_type;
    const struct sql_parameter type = sql_string(entity_type);
    struct origin_progress progress = {0};
    enum status status = session->ops->begin(session, err);
    if (status == STATUS_OK)
        status = sql_run(session, STATEMENT_LIMIT_WAIT, NULL, 0, err);
    if (status == STATUS_OK)
        status = sql_run(session, STATEMENT_HOLD_PROGRESS, &type, 1, err);
    if (status == STATUS_OK)
        status = origin_sql_progress(origin, entity_type, &progress, err);
    if (status == STATUS_OK && !progress.done)
        status = origin_sql_publish_next(self, table, limit, &progress, err);
    status = session->ops->end(session, status, err);
    if (status == STATUS_OK)
        *ret_progress = progress;
    return status;
}

void origin_sql_fill_event(const struct origin_event *event,
                           struct sql_parameter row[static ORIGIN_EVENT_COLUMNS])
{
    row[0] = sql_text(event->entity_type);
    row[1] = sql_text(event->entity_key);
    row[2] = sql_text(event->type);
    row[3] = sql_text(event->payload);
    row[4] = sql_text(event->traceparent);
    row[5] = sql_text(event->partition_key);
}

enum status origin_sql_write(struct origin *origin, const struct origin_event *events, size_t count,
                             struct error *err)
{
    struct sql_session *session = origin_sql_of(origin)->session;
    struct sql_parameter(*rows)[ORIGIN_EVENT_COLUMNS] = calloc(count + 1, sizeof *rows);
    if (rows == NULL)
        return error_set(err, STATUS_RETRY, "no memory");
    for (size_t i = 0; i < count; i++)
        origin_sql_fill_event(&events[i], rows[i]);
    const struct sql_step step = {.statement = STATEMENT_WRITE_EVENTS,
                                  .parameters = rows[0],
                                  .columns = ORIGIN_EVENT_COLUMNS,
                                  .rows = count};
    enum status status = session->ops->run_steps(session, &step, 1, err);
    if (status == STATUS_FATAL)
        error_prefix(err, "run `keepstep init` first");
    free(rows);
    return status;
}

/* @return false where the arena is full. */
static bool origin_sql_add_made(const struct sql_session *session, struct origin_objects *objects)
{
    struct slice texts[3] = {{0}, {0}, {0}};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        if (!sql_column_text(session, i, objects->arena, &texts[i]))
            return false;
    }
    objects->items[objects->count++] = (struct origin_object){
        .kind = texts[0].data, .name = texts[1].data, .sql = texts[2].data};
    return true;
}

enum status origin_sql_list_made(struct origin *origin, struct origin_objects *ret_objects,
                                 struct error *err)
{
    struct sql_session *session = origin_sql_of(origin)->session;
    ret_objects->count = 0;
    ret_objects->items = arena_alloc(ret_objects->arena,
                                     ORIGIN_MADE_MAX * sizeof *ret_objects->items);
    if (ret_objects->items == NULL)
        return error_set(err, STATUS_RETRY, "no memory");
    enum status status = sql_first(session, STATEMENT_LIST_MADE, NULL, 0, err);
    while (status == STATUS_OK && session->has_row) {
        if (ret_objects->count == ORIGIN_MADE_MAX || !origin_sql_add_made(session, ret_objects))
            status = error_set(err, STATUS_FATAL, "more than %d objects are Keepstep's",
                               ORIGIN_MADE_MAX);
        else
            status = session->ops->next(session, err);
    }
    session->ops->finish(session);
    return status;
}

enum status origin_sql_count_unpublished(struct origin *origin, int64_t *ret_count,
                                         struct error *err)
{
    struct sql_session *session = origin_sql_of(origin)->session;
    enum status status = STATUS_OK;
    *ret_count = 0;
    if (sql_statement_text(session, STATEMENT_LOCK_OUTBOX) != NULL)
        status = sql_run(session, STATEMENT_LOCK_OUTBOX, NULL, 0, err);
    if (status == STATUS_OK)
        status = sql_first(session, STATEMENT_COUNT_UNPUBLISHED, NULL, 0, err);
    if (status == STATUS_OK && session->has_row)
        *ret_count = sql_column_integer(session, 0);
    session->ops->finish(session);
    return status;
}

void origin_sql_grants(const struct origin_table *tables, size_t count,
                       const struct origin_grants *grants, struct buffer *out)
{
    bool is_joint = false;
    for (size_t i = 0; i < count; i++)
        is_joint = is_joint || tables[i].entry->is_joint;
    buffer_append_text(out, grants->all);
    buffer_append_text(out, is_joint ? grants->joint : "");
    for (size_t i = 0; i < count; i++) {
        grants->append(out, &tables[i], grants->rows);
        if (tables[i].entry->is_joint)
            grants->append(out, &tables[i], grants->joint_rows);
    }
}

/** A statement that gives one text, where there are tables of joint transactions. */
struct joint_look {
    unsigned statement;
    const char *parameter; /* NULL: it has none */
    char *text;            /* "" where there is none */
    size_t size;
};

static enum status joint_look(struct sql_session *session, const struct joint_look *look,
                              struct error *err)
{
    const struct sql_parameter parameter = sql_string(look->parameter);
    bool has = false;
    look->text[0] = '\0';
    enum status status = sql_is_true(session, STATEMENT_HAS_RESERVED, &has, err);
    if (status != STATUS_OK || !has)
        return status;
    status = sql_first(session, look->statement, &parameter, look->parameter != NULL, err);
    if (status == STATUS_OK && session->has_row)
        sql_column_copy(session, 0, look->text, look->size);
    session->ops->finish(session);
    return status;
}

enum status origin_sql_find_reserved(struct origin *origin, const char *types,
                                     char ret_type[ORIGIN_NAME_SIZE], struct error *err)
{
    const struct joint_look look = {STATEMENT_FIND_RESERVED, types, ret_type, ORIGIN_NAME_SIZE};
    return joint_look(origin_sql_of(origin)->session, &look, err);
}

enum status origin_sql_find_unsettled(struct origin *origin, char ret_text[ORIGIN_UNSETTLED_SIZE],
                                      struct error *err)
{
    const struct joint_look look = {STATEMENT_FIND_UNSETTLED, NULL, ret_text,
                                    ORIGIN_UNSETTLED_SIZE};
    return joint_look(origin_sql_of(origin)->session, &look, err);
}

enum status origin_sql_list_paused(struct origin *origin, struct paused_types *ret_paused,
                                   struct error *err)
{
    return sql_list_paused(origin_sql_of(origin)->session, STATEMENT_PAUSED_LIST, ret_paused, err);
}

enum status origin_sql_pause(struct origin *origin, const struct paused_types *types, bool pause,
                             struct error *err)
{
    struct sql_session *session = origin_sql_of(origin)->session;
    struct sql_parameter(*rows)[ORIGIN_PAUSE_COLUMNS] = calloc(types->count + 1, sizeof *rows);
    if (rows == NULL)
        return error_set(err, STATUS_RETRY, "no memory");
    const size_t columns = pause ? ORIGIN_PAUSE_COLUMNS : 1;
    for (size_t i = 0; i < types->count; i++) {
        const struct paused_type *type = &types->types[i];
        struct sql_parameter *row = &rows[0][i * columns];
        row[0] = sql_string(type->entity_type);
        if (!pause)
            continue;
        row[1] = sql_integer(type->at_us);
        row[2] = sql_string(type->by);
        row[3] = sql_string(type->reason);
    }
    const struct sql_step step = {.statement = pause ? STATEMENT_PAUSE_TYPE : STATEMENT_RESUME_TYPE,
                                  .parameters = rows[0],
                                  .columns = columns,
                                  .rows = types->count};
    enum status status = session->ops->run_steps(session, &step, 1, err);
    if (status != STATUS_OK)
        sql_judge_tables(session, err);
    free(rows);
    return status;
}
