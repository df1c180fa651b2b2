/* Which rows of the outbox the log has. Records of the log are noted by their ids; an id that was
 * derived is no proof, so what the record and the row say is compared too. */
#include "producer/init/origin_sql.h"
#include "common/clock.h"
#include "common/digest.h"
#include "common/uuid.h"
#include "schemas/change.h"
#include "schemas/event_id.h"

#include <stdlib.h>

#define COMPARED_ROWS 100 /* LIMIT of READ_NOTED */
#define KEY_SIZE_MAX  ((size_t)16 * 1024 * 1024)
#define TYPE_FACTOR   31

struct origin_content origin_content_of(struct slice entity_type, struct slice entity_key,
                                        struct slice value)
{
    return (struct origin_content){
        .entity = (int64_t)(digest_64(entity_type) * TYPE_FACTOR + digest_64(entity_key)),
        .value = (int64_t)digest_64(value)};
}

/* Makes the temporary tables where they are missing, and writes the events that were noted. */
enum status origin_sql_write_notes(struct origin_sql *self, struct error *err)
{
    static const unsigned create[] = {STATEMENT_CREATE_IN_LOG, STATEMENT_CREATE_LOG_END};
    const struct sql_step step = {.statement = STATEMENT_NOTE_IN_LOG,
                                  .parameters = self->notes[0],
                                  .columns = ORIGIN_NOTE_COLUMNS,
                                  .rows = self->note_count};
    enum status status = sql_run_each(self->session, create, 2, err);
    if (status == STATUS_OK)
        status = self->session->ops->run_step(self->session, &step, err);
    if (status == STATUS_OK) {
        self->note_count = 0;
        arena_reset(&self->note_arena);
    }
    return status;
}

/* @return the position that the id was derived from; 0 where it was given. */
static int64_t origin_sql_derived_from(const struct origin_sql *self, struct slice id,
                                       struct slice created_at)
{
    char derived[EVENT_ID_SIZE];
    int64_t created_us = 0;
    int64_t position = event_id_position(id);
    if (position == 0 || !clock_parse_rfc3339(created_at.data, created_at.length, &created_us))
        return 0;
    event_id_derive(slice_of(self->config->service), position, created_us, derived);
    return slice_is(id, derived) ? position : 0;
}

/* @return false where the arena is full. */
static bool origin_sql_take_note(struct origin_sql *self, const struct origin_note *taken)
{
    struct sql_parameter *note = self->notes[self->note_count];
    struct slice id_copy = arena_copy(&self->note_arena, taken->id);
    struct slice time_copy = arena_copy(&self->note_arena, taken->created_at);
    if (id_copy.data == NULL || time_copy.data == NULL)
        return false;
    int64_t position = origin_sql_derived_from(self, taken->id, taken->created_at);
    note[0] = sql_text(position == 0 ? id_copy : (struct slice){0});
    note[1] = sql_integer(position);
    note[2] = sql_text(time_copy);
    note[3] = sql_integer(taken->content.entity);
    note[4] = sql_integer(taken->content.value);
    self->note_count++;
    return true;
}

enum status origin_sql_note_in_log(struct origin *origin, const struct origin_note *note,
                                   struct error *err)
{
    struct origin_sql *self = origin_sql_of(origin);
    bool taken = origin_sql_take_note(self, note);
    if (!taken && self->note_count > 0) {
        enum status status = origin_sql_write_notes(self, err);
        if (status != STATUS_OK)
            return status;
        taken = origin_sql_take_note(self, note);
    }
    if (!taken)
        return error_set(err, STATUS_RETRY, "no memory");
    return self->note_count < ORIGIN_NOTES_MAX ? STATUS_OK : origin_sql_write_notes(self, err);
}

enum status origin_sql_note_log_end(struct origin *origin, const char *topic, int32_t partition,
                                    int64_t end, struct error *err)
{
    struct origin_sql *self = origin_sql_of(origin);
    const struct sql_parameter values[] = {sql_string(topic), sql_integer(partition),
                                           sql_integer(end)};
    enum status status = origin_sql_write_notes(self, err);
    return status == STATUS_OK ? sql_run(self->session, STATEMENT_NOTE_LOG_END, values, 3, err)
                               : status;
}

/** A chunk of rows without an id, each of which stands where a noted record says that it stood. */
struct noted_rows {
    const struct entity_schema *const *schemas; /* parallel to config->publish */
    struct arena arena;                         /* of one key */
    struct sql_parameter contents[COMPARED_ROWS][3];
    struct sql_parameter fresh_ids[COMPARED_ROWS][2];
    char ids[COMPARED_ROWS][UUID_TEXT_SIZE];
    size_t count;
    int64_t position; /* of the last one */
};

/* Records have canonical keys; a row has its own as it was written until it is numbered. One that
 * cannot be made canonical stays as it is. */
static enum status origin_sql_canonical(const struct origin_sql *self, struct noted_rows *rows,
                                        struct slice entity_type, struct slice *key,
                                        struct error *err)
{
    struct error refused = ERROR_INIT;
    const struct config *config = self->config;
    const struct config_entry *entry = NULL;
    struct slice canonical = {0};
    if (entity_type.data != NULL) /* the row is still there */
        entry = config_find(config->publish, config->publish_count, entity_type.data,
                            entity_type.length);
    if (entry == NULL)
        return STATUS_OK;
    enum status status = canonical_key(rows->schemas[entry - config->publish], *key, &rows->arena,
                                       &canonical, &refused);
    if (status == STATUS_OK)
        *key = canonical;
    return status == STATUS_RETRY ? error_set(err, status, "%s", refused.text) : STATUS_OK;
}

static enum status origin_sql_add_noted(const struct origin_sql *self, struct noted_rows *rows,
                                        struct error *err)
{
    const struct sql_session *session = self->session;
    struct slice entity_type = session->ops->column(session, 1);
    struct slice key = {0};
    arena_reset(&rows->arena);
    if (!sql_column_text(session, 2, &rows->arena, &key))
        return error_set(err, STATUS_RETRY, "no memory");
    rows->position = sql_column_integer(session, 0);
    enum status status = origin_sql_canonical(self, rows, entity_type, &key, err);
    struct origin_content content = origin_content_of(entity_type, key,
                                                      session->ops->column(session, 3));
    struct sql_parameter *compared = rows->contents[rows->count];
    compared[0] = sql_integer(rows->position);
    compared[1] = sql_integer(content.entity);
    compared[2] = sql_integer(content.value);
    uuid_v7(rows->ids[rows->count]);
    rows->fresh_ids[rows->count][0] = sql_integer(rows->position);
    rows->fresh_ids[rows->count][1] = sql_string(rows->ids[rows->count]);
    rows->count++;
    return status;
}

static enum status origin_sql_read_noted(const struct origin_sql *self, struct noted_rows *rows,
                                         struct error *err)
{
    struct sql_session *session = self->session;
    const struct sql_parameter after = sql_integer(rows->position);
    rows->count = 0;
    enum status status = session->ops->run(session, STATEMENT_READ_NOTED, &after, 1, err);
    while (status == STATUS_OK && rows->count < COMPARED_ROWS) {
        status = session->ops->next(session, err);
        if (status != STATUS_OK || !session->has_row)
            break;
        status = origin_sql_add_noted(self, rows, err);
    }
    session->ops->finish(session);
    return status;
}

/* A row that says something else than every record of its id is another event. Readers know events
 * across incarnations by their ids, so it gets one of its own. */
enum status origin_sql_compare_notes(struct origin_sql *self,
                                     const struct entity_schema *const *schemas,
                                     int64_t *ret_renamed, struct error *err)
{
    struct sql_session *session = self->session;
    struct noted_rows *rows = calloc(1, sizeof *rows);
    enum status status = STATUS_OK;
    *ret_renamed = 0;
    if (rows == NULL)
        return error_set(err, STATUS_RETRY, "no memory");
    *rows = (struct noted_rows){.schemas = schemas, .position = INT64_MIN};
    arena_init(&rows->arena, KEY_SIZE_MAX);
    do {
        status = origin_sql_read_noted(self, rows, err);
        const struct sql_step confirm = {.statement = STATEMENT_CONFIRM_IN_LOG,
                                         .parameters = rows->contents[0],
                                         .columns = 3,
                                         .rows = rows->count};
        const struct sql_step rename = {.statement = STATEMENT_RENAME_NOTED,
                                        .parameters = rows->fresh_ids[0],
                                        .columns = 2,
                                        .rows = rows->count};
        if (status == STATUS_OK && rows->count > 0)
            status = session->ops->run_step(session, &confirm, err);
        if (status == STATUS_OK && rows->count > 0)
            status = session->ops->run_step(session, &rename, err);
        if (status == STATUS_OK && rows->count > 0)
            *ret_renamed += (int64_t)session->changed;
    } while (status == STATUS_OK && rows->count == COMPARED_ROWS);
    arena_done(&rows->arena);
    free(rows);
    return status;
}
