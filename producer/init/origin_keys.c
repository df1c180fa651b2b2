/* Publishes what the rows of some keys are now (rule 44), for all databases. */
#include "producer/init/origin_sql.h"

#include "common/clock.h"
#include "common/failpoint.h"
#include "producer/capture/dialect.h"
#include "schemas/key_sql.h"

#define SQL_SIZE_MAX  ((size_t)4 * 1024 * 1024)
#define ROW_BYTES_MAX ((size_t)256 * 1024 * 1024)
#define TYPE_SIZE_MAX ((size_t)1024)
#define READ_MAX_US   (INT64_C(60) * 1000 * 1000)

/* The key under way, and the queries of all. */
struct keys {
    struct origin_sql *origin;
    const struct origin_table *table;
    struct buffer row;       /* SQL */
    struct buffer partition; /* SQL; empty: the type has no partition key */
    struct query_parameter parameters[ENTITY_COLUMNS_MAX * KEY_SQL_FORMS_MAX];
    size_t width;
    bool is_nowhere; /* no row can have the key */
    struct slice key;
    struct slice found[2]; /* payload and partition key of its row; data NULL: SQL's NULL */
    size_t rows;           /* that the query under way has found */
    bool is_there;
    struct slice *target; /* which of `found` the query under way reads */
    struct arena arena;   /* of this key */
};

static enum status key_no_memory(struct error *err)
{
    return error_set(err, STATUS_RETRY, "a row does not fit into %zu bytes", ROW_BYTES_MAX);
}

/* The table may take another key for the same one. */
static enum status key_visit(void *context, struct slice key, struct slice text, struct error *err)
{
    struct keys *keys = context;
    struct error refused = ERROR_INIT;
    struct slice found = key;
    enum status status = canonical_key(keys->table->schema, key, &keys->arena, &found, &refused);
    if (status != STATUS_OK && status != STATUS_REJECT)
        return key_no_memory(err);
    if (!slice_equal(status == STATUS_OK ? found : key, keys->key))
        return STATUS_OK;
    keys->is_there = true;
    keys->rows++;
    *keys->target = arena_copy(&keys->arena, text);
    return text.data != NULL && keys->target->data == NULL ? key_no_memory(err) : STATUS_OK;
}

static enum status key_read(struct keys *keys, const struct buffer *sql, struct slice *target,
                            struct error *err)
{
    struct row_query query = {.table = keys->table->entry->table,
                              .sql = buffer_text(sql),
                              .parameters = keys->parameters,
                              .parameter_count = keys->width,
                              .runs = 1,
                              .until_us = clock_monotonic_us() + READ_MAX_US,
                              .visit = key_visit,
                              .context = keys};
    keys->target = target;
    keys->rows = 0;
    *target = (struct slice){0};
    return keys->origin->key_database->query(keys->origin, &query, err);
}

/* Reads the row under its lock. Where there is none, and that is no lock, the table is locked, and
 * what others have inserted meanwhile is read. */
static enum status key_look(struct keys *keys, struct error *err)
{
    const struct origin_key_database *database = keys->origin->key_database;
    keys->is_there = false;
    if (keys->is_nowhere)
        return STATUS_OK;
    enum status status = key_read(keys, &keys->row, &keys->found[0], err);
    if (status == STATUS_OK && !keys->is_there && database->keep_out != NULL) {
        status = database->keep_out(keys->origin, keys->table, err);
        if (status == STATUS_OK)
            status = key_read(keys, &keys->row, &keys->found[0], err);
    }
    if (status == STATUS_OK && keys->is_there && keys->partition.length > 0)
        status = key_read(keys, &keys->partition, &keys->found[1], err);
    return status;
}

/* The partition key of a row that is gone, as the triggers would have written it.
 * @return NULL, or why it is not known. */
static const char *key_lost_partition(struct keys *keys, struct slice *ret_partition)
{
    const struct entity_schema *schema = keys->table->schema;
    const char *partition_key = keys->table->entry->partition_key;
    *ret_partition = (struct slice){0};
    if (partition_key == NULL)
        return NULL;
    for (size_t i = 0; i < schema->key_count; i++) {
        const struct column *column = &schema->columns[schema->key_columns[i]];
        const struct query_parameter *parameter = &keys->parameters[i];
        struct buffer text;
        if (strcmp(column->name, partition_key) != 0)
            continue;
        if (parameter->kind != QUERY_INTEGER && column->type != COLUMN_TEXT)
            break;
        buffer_init(&text, TYPE_SIZE_MAX);
        if (parameter->kind == QUERY_INTEGER)
            buffer_append_format(&text, "%lld", (long long)parameter->integer);
        *ret_partition = arena_copy(
            &keys->arena, parameter->kind == QUERY_INTEGER ? buffer_slice(&text) : parameter->text);
        buffer_done(&text);
        return NULL;
    }
    return "the row is gone, and with it its partition key: write the delete with "
           "`keepstep publish`";
}

static enum status key_write(struct keys *keys, struct slice payload, struct slice partition,
                             struct error *err)
{
    struct sql_session *session = keys->origin->session;
    struct sql_parameter row[ORIGIN_EVENT_COLUMNS];
    struct buffer type;
    buffer_init(&type, TYPE_SIZE_MAX);
    buffer_append_format(&type, "%s.%s", keys->table->entry->entity_type,
                         keys->is_there ? "read" : "deleted");
    const struct origin_event event = {.entity_type = slice_of(keys->table->entry->entity_type),
                                       .entity_key = keys->key,
                                       .type = buffer_slice(&type),
                                       .payload = payload,
                                       .partition_key = partition};
    origin_sql_fill_event(&event, row);
    const struct sql_step step = {.statement = STATEMENT_WRITE_EVENTS,
                                  .parameters = row,
                                  .columns = ORIGIN_EVENT_COLUMNS,
                                  .rows = 1};
    enum status status = type.failed ? key_no_memory(err)
                                     : session->ops->run_step(session, &step, err);
    buffer_done(&type);
    return status;
}

/* Inside of the transaction, behind the look. */
static enum status key_publish(struct keys *keys, struct origin_key *key, struct error *err)
{
    struct slice payload = slice_of("{\"op\":\"d\",\"before\":null,\"after\":null}");
    struct slice partition = keys->found[1];
    if (keys->is_there) {
        payload = keys->found[0];
        if (keys->rows > 1)
            key->reason = "several rows are read with this key: correct its type, or leave one row";
        else if (payload.data == NULL)
            key->reason = "the database cannot write the row as JSON";
    } else {
        key->reason = key_lost_partition(keys, &partition);
    }
    if (key->reason != NULL) {
        key->state = ORIGIN_KEY_REFUSED;
        return STATUS_OK;
    }
    key->state = keys->is_there ? ORIGIN_KEY_ROW : ORIGIN_KEY_DELETE;
    return key_write(keys, payload, partition, err);
}

static enum status key_transaction(struct keys *keys, struct origin_key *key, struct error *err)
{
    struct sql_session *session = keys->origin->session;
    enum status status = sql_run(session, STATEMENT_LOCK_GAPS, NULL, 0, err);
    if (status == STATUS_OK)
        status = session->ops->begin(session, err);
    if (status != STATUS_OK)
        return status;
    status = sql_run(session, STATEMENT_LIMIT_WAIT, NULL, 0, err);
    if (status == STATUS_OK)
        status = sql_run(session, STATEMENT_REFUSE_HIDDEN_ROWS, NULL, 0, err);
    if (status == STATUS_OK)
        status = key_look(keys, err);
    if (status == STATUS_OK)
        status = key_publish(keys, key, err);
    failpoint(FAILPOINT_PUBLISH_KEY_BEFORE_COMMIT);
    status = session->ops->end(session, status, err);
    failpoint(FAILPOINT_PUBLISH_KEY_AFTER_COMMIT);
    return status;
}

static enum status key_one(struct keys *keys, struct origin_key *key, struct error *err)
{
    const struct origin_key_database *database = keys->origin->key_database;
    const struct column_sql columns = {.dialect = keys->origin->base.ops->dialect->columns,
                                       .schema = keys->table->schema,
                                       .entry = keys->table->entry};
    struct error failed = ERROR_INIT;
    arena_reset(&keys->arena);
    keys->key = key->key;
    keys->width = key_sql_width(&columns);
    keys->found[1] = (struct slice){0};
    key->state = ORIGIN_KEY_HELD;
    key->reason = NULL;
    enum status status = key_sql_parameters(&columns, key->key, &keys->arena, keys->parameters,
                                            &failed);
    if (status == STATUS_REJECT) {
        key->state = ORIGIN_KEY_REFUSED;
        key->reason = "the key has no canonical form";
        return STATUS_OK;
    }
    keys->is_nowhere = status == STATUS_OK && key_sql_is_nowhere(&columns, keys->parameters);
    if (status == STATUS_OK)
        status = key_transaction(keys, key, &failed);
    if (status == STATUS_OK)
        return status;
    key->state = ORIGIN_KEY_HELD;
    if (database->is_held(&failed))
        return STATUS_OK;
    if (keys->origin->session->ops->lacks_table(&failed)) {
        error_mark_config(&failed);
        error_prefix(&failed, "run `keepstep init` first");
    } else if (database->lacks_right(&failed)) {
        error_mark_config(&failed);
        error_prefix(&failed, "publishing rows anew needs the rights of `keepstep init`");
        failed.status = STATUS_FATAL;
    }
    if (err != NULL && err->status == STATUS_OK)
        *err = failed;
    return failed.status;
}

enum status origin_sql_publish_keys(struct origin *origin, const struct origin_table *table,
                                    struct origin_key *list, size_t count, struct error *err)
{
    struct keys keys = {.origin = origin_sql_of(origin), .table = table};
    const struct origin_key_database *database = keys.origin->key_database;
    buffer_init(&keys.row, SQL_SIZE_MAX);
    buffer_init(&keys.partition, SQL_SIZE_MAX);
    arena_init(&keys.arena, ROW_BYTES_MAX);
    enum status status = database->write(keys.origin, table, database->row, &keys.row, err);
    if (status == STATUS_OK && table->entry->partition_key != NULL)
        status = database->write(keys.origin, table, database->partition, &keys.partition, err);
    if (status == STATUS_OK && (keys.row.failed || keys.partition.failed))
        status = error_set(err, STATUS_FATAL, "entity type %s: its statement grows too large",
                           table->entry->entity_type);
    for (size_t i = 0; status == STATUS_OK && i < count; i++)
        status = key_one(&keys, &list[i], err);
    arena_done(&keys.arena);
    buffer_done(&keys.row);
    buffer_done(&keys.partition);
    return status;
}
