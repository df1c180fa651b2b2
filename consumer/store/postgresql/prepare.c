/* The PostgreSQL store's tables: create, widen, and check against the catalogue what would not be
 * kept exactly. */
#include "consumer/store/postgresql/internal.h"

#include <stdlib.h>
#include <strings.h>

#define SQL_SIZE_MAX ((size_t)1024 * 1024)

static const char *column_name(const struct mapping *mapping, size_t index)
{
    return config_column(mapping->entry, mapping->schema->columns[index].name);
}

/* Text keys in the order of their bytes: no upgrade of a locale library breaks their index. */
static void append_definition(struct buffer *sql, const struct mapping *mapping, size_t index)
{
    const struct column *column = &mapping->schema->columns[index];
    store_postgresql_append_column(sql, mapping, index);
    buffer_append_format(sql, " %s", column_form_created(column->type)->declared);
    if (column->type == COLUMN_DECIMAL && column->precision > 0)
        buffer_append_format(sql, "(%u, %u)", column->precision, column->scale);
    if (column->is_key && column->type == COLUMN_TEXT)
        buffer_append_text(sql, " COLLATE \"C\"");
    if (column->is_key)
        buffer_append_text(sql, " NOT NULL");
}

/* A role without the right to it needs somebody else's hand, not patience. */
static enum status execute_ddl(struct store_postgresql *self, const struct buffer *sql,
                               struct error *err)
{
    struct error ddl = ERROR_INIT;
    if (sql->failed)
        return error_set(err, STATUS_RETRY, "out of memory");
    enum status status = store_postgresql_send_sql(self, buffer_text(sql), &ddl);
    if (status == STATUS_OK)
        status = store_postgresql_sync(self, NULL, &ddl);
    if (status == STATUS_OK)
        return status;
    if (ddl.native_code != postgresql_sqlstate_code(SQLSTATE_INSUFFICIENT_PRIVILEGE)) {
        *err = ddl;
        return status;
    }
    return store_refuse_ddl(&ddl, err);
}

void store_postgresql_append_table(struct buffer *sql, const struct mapping *mapping,
                                   const char *create)
{
    const struct entity_schema *schema = mapping->schema;
    buffer_append_text(sql, create);
    store_postgresql_append_name(sql, mapping);
    buffer_append_text(sql, "(");
    for (size_t i = 0; i < schema->column_count; i++) {
        append_definition(sql, mapping, i);
        buffer_append_text(sql, ", ");
    }
    for (size_t i = 0; i < schema->key_count; i++) {
        buffer_append_text(sql, i == 0 ? "PRIMARY KEY (" : ", ");
        store_postgresql_append_column(sql, mapping, schema->key_columns[i]);
    }
    buffer_append_text(sql, "))");
}

static enum status table_create(struct store_postgresql *self, const struct mapped_table *table,
                                struct error *err)
{
    struct buffer sql;
    buffer_init(&sql, SQL_SIZE_MAX);
    store_postgresql_append_table(&sql, table->mapping, "CREATE TABLE ");
    enum status status = execute_ddl(self, &sql, err);
    buffer_done(&sql);
    return status;
}

static enum status table_widen(struct store_postgresql *self, const struct mapped_table *table,
                               size_t index, struct error *err)
{
    if (table->mapping->schema->columns[index].is_key)
        return error_set(err, STATUS_FATAL,
                         "table \"%s\" has no column \"%s\" for the key: add it, or map the "
                         "entity type to another table",
                         table->name, column_name(table->mapping, index));
    struct buffer sql;
    buffer_init(&sql, SQL_SIZE_MAX);
    buffer_append_text(&sql, "ALTER TABLE ");
    store_postgresql_append_name(&sql, table->mapping);
    buffer_append_text(&sql, " ADD COLUMN ");
    append_definition(&sql, table->mapping, index);
    enum status status = execute_ddl(self, &sql, err);
    buffer_done(&sql);
    return status;
}

/* One row of the catalogue's columns; texts are borrowed from the result. */
struct catalogue_column {
    struct slice name;
    struct slice typname;
    int64_t modifier; /* -1: none */
    bool generated;
    bool deterministic;
    struct slice declared;
    bool needed; /* NOT NULL without a default */
};

static struct catalogue_column catalogue_column(const PGresult *result, int row)
{
    return (struct catalogue_column){
        .name = store_postgresql_bytes(result, row, 0),
        .typname = store_postgresql_bytes(result, row, 1),
        .modifier = store_postgresql_integer(result, row, 2),
        .generated = store_postgresql_integer(result, row, 3) != 0,
        .deterministic = store_postgresql_integer(result, row, 4) != 0,
        .declared = store_postgresql_bytes(result, row, 5),
        .needed = store_postgresql_integer(result, row, 6) != 0,
    };
}

/* numeric(p,s): both packed into the modifier, the scale with eleven bits and a sign. */
static bool numeric_fits(const struct column *column, int64_t modifier)
{
    if (modifier < 0)
        return true;
    int64_t precision = ((modifier - 4) >> 16) & 0xffff;
    int64_t scale = (((modifier - 4) & 0x7ff) ^ 1024) - 1024;
    return column->precision > 0 && scale >= (int64_t)column->scale &&
           precision - scale >= (int64_t)column->precision - (int64_t)column->scale;
}

static bool column_fits(const struct column *column, const struct column_form *form,
                        int64_t modifier)
{
    switch (column->type) {
    case COLUMN_DECIMAL:
        if (form->wire == WIRE_INT8)
            return column->precision > 0 && column->scale == 0;
        return numeric_fits(column, modifier);
    case COLUMN_DATE_TIME:
    case COLUMN_TIMESTAMP:
    case COLUMN_TIME:
        return modifier < 0 || modifier == 6; /* fewer digits of a second are rounded */
    case COLUMN_INTEGER:
    case COLUMN_DOUBLE:
    case COLUMN_TEXT:
    case COLUMN_BYTES:
    case COLUMN_BOOLEAN:
    case COLUMN_DATE:
    case COLUMN_UUID:
    case COLUMN_JSON:
        break;
    }
    return true;
}

#define VARCHAR_HEAD 4 /* of a varchar's modifier, before its length */

static enum status column_check(struct mapped_table *table, size_t index,
                                const struct catalogue_column *found, struct error *err)
{
    const struct column *column = &table->mapping->schema->columns[index];
    const char *name = column_name(table->mapping, index);
    char typname[STORE_NAME_SIZE] = "";
    if (found->typname.length < sizeof typname)
        memcpy(typname, found->typname.data, found->typname.length);
    const struct column_form *form = column_form_find(column->type, typname);

    if (found->generated)
        return error_set(err, STATUS_FATAL,
                         "column \"%s\" of table \"%s\" is generated: map \"%s\" to another one",
                         name, table->name, column->name);
    if (form == NULL || !column_fits(column, form, found->modifier))
        return error_set(err, STATUS_FATAL,
                         "column \"%s\" of table \"%s\" is declared %.*s, which does not keep a %s "
                         "exactly: declare it %s",
                         name, table->name, SLICE_ARGS(found->declared),
                         column_type_name(column->type),
                         column_form_created(column->type)->declared);
    if (column->is_key && !found->deterministic)
        return error_set(err, STATUS_FATAL,
                         "key column \"%s\" of table \"%s\" has a nondeterministic collation: "
                         "declare it COLLATE \"C\", or different keys become one row",
                         name, table->name);
    bool limited = strcmp(typname, "varchar") == 0 && found->modifier > VARCHAR_HEAD;
    table->columns[index] = (struct table_column){
        .form = form, .length_max = limited ? (uint32_t)(found->modifier - VARCHAR_HEAD) : 0};
    return STATUS_OK;
}

static bool is_mapped(const struct mapping *mapping, struct slice name)
{
    for (size_t i = 0; i < mapping->schema->column_count; i++) {
        if (slice_is(name, column_name(mapping, i)))
            return true;
    }
    return false;
}

/* Every column of the table, and which of the schema's are missing. */
static enum status columns_check(struct mapped_table *table, const PGresult *result, bool *missing,
                                 struct error *err)
{
    const struct mapping *mapping = table->mapping;
    enum status status = STATUS_OK;
    memset(missing, true, ENTITY_COLUMNS_MAX * sizeof *missing);
    for (int row = 0; row < PQntuples(result) && status == STATUS_OK; row++) {
        struct catalogue_column found = catalogue_column(result, row);
        for (size_t i = 0; i < mapping->schema->column_count && status == STATUS_OK; i++) {
            if (!slice_is(found.name, column_name(mapping, i)))
                continue;
            missing[i] = false;
            status = column_check(table, i, &found, err);
        }
        if (status == STATUS_OK && found.needed && !is_mapped(mapping, found.name))
            status = error_set(err, STATUS_FATAL,
                               "column \"%.*s\" of table \"%s\" must not be NULL and is not in the "
                               "schema of \"%s\": give it a default, or drop NOT NULL",
                               SLICE_ARGS(found.name), table->name, mapping->schema->entity_type);
    }
    return status;
}

static enum status key_check(struct store_postgresql *self, const struct mapped_table *table,
                             int64_t oid, struct error *err)
{
    const struct mapping *mapping = table->mapping;
    const PGresult *result = NULL;
    struct buffer names;

    buffer_init(&names, SQL_SIZE_MAX);
    store_append_keys(&names, mapping);
    enum status status = store_postgresql_run(
        self, STATEMENT_CATALOGUE_KEY,
        PARAMETERS(parameter_integer(oid), parameter_slice(buffer_slice(&names))), &result, err);
    if (status == STATUS_OK && PQntuples(result) == 0)
        status = error_set(err, STATUS_FATAL,
                           "the key %s is neither the primary key of table \"%s\" nor a unique "
                           "index: create one on exactly these columns",
                           buffer_text(&names), table->name);
    buffer_done(&names);
    return status;
}

static enum status table_read(struct store_postgresql *self, struct mapped_table *table,
                              int64_t *ret_oid, struct error *err)
{
    const PGresult *result = NULL;
    char kind[2] = "";
    struct buffer name;
    *ret_oid = 0;
    buffer_init(&name, SQL_SIZE_MAX);
    store_postgresql_append_name(&name, table->mapping);
    enum status status = store_postgresql_run(self, STATEMENT_CATALOGUE_TABLE,
                                              PARAMETERS(parameter_text(buffer_text(&name))),
                                              &result, err);
    buffer_done(&name);
    if (status != STATUS_OK || PQntuples(result) == 0)
        return status;
    *ret_oid = store_postgresql_integer(result, 0, 0);
    store_postgresql_copy(result, 0, 1, kind, sizeof kind);
    if (kind[0] != 'r' && kind[0] != 'p')
        return error_set(err, STATUS_FATAL, "\"%s\" is no table of its own: map \"%s\" to one",
                         table->name, table->mapping->schema->entity_type);
    return STATUS_OK;
}

static enum status table_ensure(struct store_postgresql *self, struct mapped_table *table,
                                struct error *err)
{
    const struct entity_schema *schema = table->mapping->schema;
    bool missing[ENTITY_COLUMNS_MAX];
    const PGresult *result = NULL;
    int64_t oid = 0;
    enum status status = table_read(self, table, &oid, err);
    for (size_t i = 0; i < schema->column_count; i++)
        table->columns[i].form = column_form_created(schema->columns[i].type);
    if (status != STATUS_OK || oid == 0)
        return status == STATUS_OK ? table_create(self, table, err) : status;
    status = store_postgresql_run(self, STATEMENT_CATALOGUE_COLUMNS,
                                  PARAMETERS(parameter_integer(oid)), &result, err);
    if (status == STATUS_OK)
        status = columns_check(table, result, missing, err);
    for (size_t i = 0; i < schema->column_count && status == STATUS_OK; i++) {
        if (missing[i])
            status = table_widen(self, table, i, err);
    }
    return status == STATUS_OK ? key_check(self, table, oid, err) : status;
}

static enum status table_transaction(struct store_postgresql *self, struct mapped_table *table,
                                     struct error *err)
{
    enum status status = store_postgresql_send_sql(self, "BEGIN", err);
    self->sql.in_transaction = true;
    if (status == STATUS_OK) /* two at a time would collide in the catalogue */
        status = store_postgresql_send(self, STATEMENT_CATALOGUE_LOCK, NULL, 0, err);
    if (status == STATUS_OK)
        status = table_ensure(self, table, err);
    if (status == STATUS_OK)
        status = store_postgresql_send_sql(self, "COMMIT", err);
    if (status == STATUS_OK)
        status = store_postgresql_sync(self, NULL, err);
    if (status == STATUS_OK)
        self->sql.in_transaction = false;
    return status;
}

struct mapped_table *store_postgresql_table(struct store_postgresql *self, struct slice entity_type)
{
    for (size_t i = 0; i < self->table_count; i++) {
        if (slice_is(entity_type, self->tables[i]->mapping->schema->entity_type))
            return self->tables[i];
    }
    return NULL;
}

/* Takes `table`, in the place of an earlier one for the same entity type. */
static enum status table_adopt(struct store_postgresql *self, struct mapped_table *table,
                               struct error *err)
{
    struct slice entity_type = slice_of(table->mapping->schema->entity_type);
    for (size_t i = 0; i < self->table_count; i++) {
        if (!slice_is(entity_type, self->tables[i]->mapping->schema->entity_type))
            continue;
        free(self->tables[i]);
        self->tables[i] = table;
        return STATUS_OK;
    }
    void *grown = realloc(self->tables, (self->table_count + 1) * sizeof(struct mapped_table *));
    if (grown == NULL) {
        free(table);
        return error_set(err, STATUS_RETRY, "out of memory");
    }
    self->tables = grown;
    self->tables[self->table_count++] = table;
    return STATUS_OK;
}

static bool name_is_reserved(const char *name)
{
    const char *dot = strchr(name, '.');
    if (dot != NULL && name_is_reserved(dot + 1))
        return true;
    return strncasecmp(name, "keepstep_", 9) == 0 || strncasecmp(name, "pg_", 3) == 0 ||
           strcasecmp(name, "outbox") == 0;
}

static enum status places_read(struct store_postgresql *self, struct place *places, size_t count,
                               struct error *err)
{
    struct buffer *arrays = self->arrays;
    const PGresult *result = NULL;
    for (size_t i = 0; i < 3; i++)
        array_begin(&arrays[i], WIRE_TEXT);
    for (size_t i = 0; i < count; i++) {
        array_append_text(&arrays[0], slice_of(places[i].table));
        array_append_text(&arrays[1], slice_of(places[i].column));
        array_append_text(&arrays[2], slice_of(places[i].key));
    }
    for (size_t i = 0; i < 3; i++)
        array_end(&arrays[i], count);
    if (arrays[0].failed || arrays[1].failed || arrays[2].failed)
        return error_set(err, STATUS_RETRY, "out of memory");
    enum status status = store_postgresql_run(self, STATEMENT_PLACE_READ,
                                              PARAMETERS(parameter_bytes(buffer_slice(&arrays[0])),
                                                         parameter_bytes(buffer_slice(&arrays[1])),
                                                         parameter_bytes(buffer_slice(&arrays[2]))),
                                              &result, err);
    for (size_t i = 0; status == STATUS_OK && i < count; i++) {
        struct store_row row = store_postgresql_row(result, (int)i);
        status = store_row_place(&row, &places[i], err);
    }
    return status;
}

enum status store_postgresql_places(struct store *store, struct place *places, size_t count,
                                    bool record, struct error *err)
{
    struct store_postgresql *self = store_postgresql_of(store);
    enum status status = record ? STATUS_OK : places_read(self, places, count, err);
    for (size_t i = 0; record && status == STATUS_OK && i < count; i++) {
        bool anew = places[i].recorded[0] == '\0';
        if (!place_is_recorded(&places[i]))
            status = store_postgresql_send(
                self, anew ? STATEMENT_META_ADD : STATEMENT_META_SET,
                PARAMETERS(parameter_text(places[i].key), parameter_text(places[i].name)), err);
    }
    return status == STATUS_OK ? store_postgresql_sync(self, NULL, err) : status;
}

enum status store_postgresql_prepare(struct store *store, const struct mapping *mapping,
                                     struct error *err)
{
    struct store_postgresql *self = store_postgresql_of(store);
    struct mapped_table *table = calloc(1, sizeof *table);
    enum status status = STATUS_OK;

    if (table == NULL)
        return error_set(err, STATUS_RETRY, "out of memory");
    table->mapping = mapping;
    table->name = mapping_table(mapping);
    table->full.form = ROW_UPSERT;
    memset(table->full.present, true, sizeof table->full.present);
    table->removal.form = ROW_DELETE;
    if (name_is_reserved(table->name))
        status = error_set(err, STATUS_FATAL, "table name \"%s\" is reserved: take another one",
                           table->name);
    if (status == STATUS_OK)
        status = table_transaction(self, table, err);
    if (status == STATUS_OK)
        status = store_postgresql_row_prepare(self, table, &table->full, err);
    if (status == STATUS_OK)
        status = store_postgresql_row_prepare(self, table, &table->removal, err);
    if (status != STATUS_OK) {
        store_sql_rollback(store);
        free(table);
        return status;
    }
    return table_adopt(self, table, err);
}

/* The names of tables in SQL. */
static enum status order_encode(struct store_postgresql *self, const struct mapping *mappings,
                                size_t count, struct error *err)
{
    struct buffer *tables = &self->arrays[0];
    struct buffer name;
    buffer_init(&name, SQL_SIZE_MAX);
    array_begin(tables, WIRE_TEXT);
    for (size_t i = 0; i < count; i++) {
        buffer_reset(&name);
        store_postgresql_append_name(&name, &mappings[i]);
        array_append_text(tables, buffer_slice(&name));
    }
    array_end(tables, count);
    bool failed = tables->failed || name.failed;
    buffer_done(&name);
    return failed ? error_set(err, STATUS_RETRY, "out of memory") : STATUS_OK;
}

enum status store_postgresql_order(struct store *store, const struct mapping *mapping,
                                   const struct copies *copies, struct table_order *ret_order,
                                   struct error *err)
{
    struct store_postgresql *self = store_postgresql_of(store);
    struct mapped_table *table = store_postgresql_table(self,
                                                        slice_of(mapping->schema->entity_type));
    const PGresult *result = NULL;
    struct buffer name;
    struct buffer key;
    *ret_order = (struct table_order){0};
    buffer_init(&name, SQL_SIZE_MAX);
    buffer_init(&key, SQL_SIZE_MAX);
    store_postgresql_append_name(&name, mapping);
    store_append_keys(&key, mapping);
    enum status status = order_encode(self, copies->mappings, copies->count, err);
    if (status == STATUS_OK && (name.failed || key.failed))
        status = error_set(err, STATUS_RETRY, "out of memory");
    if (status == STATUS_OK)
        status = store_postgresql_run(self, STATEMENT_CATALOGUE_ORDER,
                                      PARAMETERS(parameter_slice(buffer_slice(&name)),
                                                 parameter_slice(buffer_slice(&key)),
                                                 parameter_bytes(buffer_slice(&self->arrays[0]))),
                                      &result, err);
    if (status == STATUS_OK) {
        ret_order->is_kept = store_postgresql_integer(result, 0, 0) != 0;
        ret_order->is_whole = store_postgresql_integer(result, 0, 4) ==
                              (int64_t)mapping->schema->column_count;
        store_postgresql_copy(result, 0, 1, ret_order->constraint, sizeof ret_order->constraint);
        store_postgresql_copy(result, 0, 2, ret_order->child, sizeof ret_order->child);
        store_postgresql_copy(result, 0, 3, ret_order->parent, sizeof ret_order->parent);
        if (table != NULL)
            table->keeps_order = ret_order->is_kept;
    }
    buffer_done(&name);
    buffer_done(&key);
    return status;
}
