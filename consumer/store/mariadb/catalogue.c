/* The MariaDB store's look at the catalogue: what a table would not keep exactly is refused. */
#include "consumer/store/mariadb/internal.h"

#include "common/buffer.h"
#include "common/digest.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#define WORD_SIZE    64
#define SQL_SIZE_MAX ((size_t)64 * 1024)

struct catalogue_column {
    char data_type[WORD_SIZE];
    char column_type[STORE_NAME_SIZE];
    char charset[WORD_SIZE];
    char collation[WORD_SIZE];
    char extra[STORE_NAME_SIZE];
    bool nullable;
    bool generated;
    uint64_t characters;
    uint64_t octets;
    uint32_t precision;
    uint32_t scale;
    int64_t time_digits;
};

/* What each integer type holds. */
static const struct {
    const char *data_type;
    int64_t min;
    int64_t max;
    uint64_t unsigned_max;
} integer_types[] = {
    {"tinyint", INT8_MIN, INT8_MAX, UINT8_MAX},   {"smallint", INT16_MIN, INT16_MAX, UINT16_MAX},
    {"mediumint", -8388608, 8388607, 16777215},   {"int", INT32_MIN, INT32_MAX, UINT32_MAX},
    {"bigint", INT64_MIN, INT64_MAX, UINT64_MAX},
};

static bool is_one_of(const char *word, const char *const *words)
{
    for (; *words != NULL; words++) {
        if (strcasecmp(word, *words) == 0)
            return true;
    }
    return false;
}

static bool limits_of_integer(const struct catalogue_column *found, struct column_limits *limits)
{
    bool is_unsigned = strstr(found->column_type, "unsigned") != NULL;
    if (strstr(found->column_type, "zerofill") != NULL) /* it reads back with zeros before it */
        return false;
    for (size_t i = 0; i < sizeof integer_types / sizeof integer_types[0]; i++) {
        if (strcasecmp(found->data_type, integer_types[i].data_type) != 0)
            continue;
        limits->is_integer = true;
        limits->min = is_unsigned ? 0 : integer_types[i].min;
        limits->max = is_unsigned ? integer_types[i].unsigned_max : (uint64_t)integer_types[i].max;
        return true;
    }
    return false;
}

static bool limits_of_decimal(const struct catalogue_column *found, const struct column *column,
                              struct column_limits *limits)
{
    if (strcasecmp(found->data_type, "decimal") == 0) {
        limits->digits_before = found->precision - found->scale;
        limits->digits_behind = found->scale;
        return column->precision == 0 ||
               (limits->digits_before >= column->precision - column->scale &&
                limits->digits_behind >= column->scale);
    }
    return column->precision > 0 && column->scale == 0 && limits_of_integer(found, limits);
}

/* Another character set is measured in characters: it takes no more bytes for one than it says. */
static bool limits_of_text(const struct catalogue_column *found, struct column_limits *limits)
{
    static const char *const texts[] = {"tinytext", "text", "mediumtext", "longtext", NULL};
    bool is_utf8 = strncmp(found->charset, "utf8", 4) == 0;
    if (strcasecmp(found->data_type, "varchar") == 0) {
        limits->length_max = found->characters;
        return found->charset[0] != '\0';
    }
    limits->length_max = found->octets;
    limits->counts_bytes = is_utf8;
    return is_one_of(found->data_type, texts);
}

static bool limits_of_bytes(const struct catalogue_column *found, struct column_limits *limits)
{
    static const char *const types[] = {"tinyblob", "blob",      "mediumblob",
                                        "longblob", "varbinary", NULL};
    limits->length_max = found->octets;
    limits->counts_bytes = true;
    return is_one_of(found->data_type, types);
}

/* A JSON text is kept whole by the text types, JSON among them; UTF-8 only. */
static bool limits_of_json(const struct catalogue_column *found, struct column_limits *limits)
{
    return strcmp(found->charset, "utf8mb4") == 0 && limits_of_text(found, limits);
}

static bool limits_fit(const struct catalogue_column *found, const struct column *column,
                       struct column_limits *limits)
{
    const char *type = found->data_type;
    switch (column->type) {
    case COLUMN_INTEGER:
        return limits_of_integer(found, limits);
    case COLUMN_DECIMAL:
        return limits_of_decimal(found, column, limits);
    case COLUMN_DOUBLE: /* FLOAT(7, 2) and DOUBLE(7, 2) round */
        limits->is_float = strcasecmp(found->column_type, "float") == 0;
        return limits->is_float || strcasecmp(found->column_type, "double") == 0;
    case COLUMN_TEXT:
        return limits_of_text(found, limits);
    case COLUMN_BYTES:
        return limits_of_bytes(found, limits);
    case COLUMN_BOOLEAN:
        return strcasecmp(type, "tinyint") == 0 ||
               (!column->is_key && strcasecmp(found->column_type, "bit(1)") == 0);
    case COLUMN_DATE_TIME:
        limits->is_timestamp = strcasecmp(type, "timestamp") == 0;
        return found->time_digits == 6 &&
               (limits->is_timestamp || strcasecmp(type, "datetime") == 0);
    case COLUMN_TIMESTAMP:
        return found->time_digits == 6 && strcasecmp(type, "datetime") == 0;
    case COLUMN_JSON:
        return limits_of_json(found, limits);
    case COLUMN_DATE:
        return strcasecmp(type, "date") == 0;
    case COLUMN_TIME:
        return found->time_digits == 6 && strcasecmp(type, "time") == 0;
    case COLUMN_UUID:
        return strcasecmp(type, "uuid") == 0 ||
               ((strcasecmp(type, "char") == 0 || strcasecmp(type, "varchar") == 0) &&
                found->characters >= 36 &&
                (strcasecmp(type, "varchar") == 0 || found->characters == 36));
    }
    return false;
}

static const char *declare_it(enum column_type type)
{
    static const char *const declarations[] = {
        [COLUMN_INTEGER] = "BIGINT",
        [COLUMN_DECIMAL] = "DECIMAL with the schema's digits",
        [COLUMN_DOUBLE] = "DOUBLE",
        [COLUMN_TEXT] = "VARCHAR or LONGTEXT",
        [COLUMN_BYTES] = "LONGBLOB",
        [COLUMN_BOOLEAN] = "TINYINT(1)",
        [COLUMN_DATE_TIME] = "DATETIME(6)",
        [COLUMN_JSON] = "LONGTEXT of utf8mb4",
        [COLUMN_DATE] = "DATE",
        [COLUMN_TIME] = "TIME(6)",
        [COLUMN_TIMESTAMP] = "DATETIME(6)",
        [COLUMN_UUID] = "CHAR(36) or UUID",
    };
    return declarations[type];
}

static enum bind_form bind_form_of(enum column_type type)
{
    switch (type) {
    case COLUMN_INTEGER:
    case COLUMN_BOOLEAN:
        return BIND_INTEGER;
    case COLUMN_DOUBLE:
        return BIND_DOUBLE;
    case COLUMN_BYTES:
        return BIND_BYTES;
    case COLUMN_DECIMAL:
    case COLUMN_TEXT:
    case COLUMN_DATE_TIME:
    case COLUMN_JSON:
    case COLUMN_DATE:
    case COLUMN_TIME:
    case COLUMN_TIMESTAMP:
    case COLUMN_UUID:
        break;
    }
    return BIND_TEXT;
}

/* Keys of a text compare bytewise and unpadded; a UUID has one spelling and one length. */
static bool collation_fits(const struct column *column, const char *collation)
{
    size_t length = strlen(collation);
    const char *ending = column->type == COLUMN_UUID ? "_bin" : "_nopad_bin";
    if (!column->is_key || collation[0] == '\0')
        return true;
    return length >= strlen(ending) && strcmp(collation + length - strlen(ending), ending) == 0;
}

static enum status column_judge(const struct mapped_table *table, size_t index,
                                const struct catalogue_column *found, struct column_limits *limits,
                                struct error *err)
{
    const struct column *column = &table->mapping->schema->columns[index];
    const char *name = store_mariadb_column_name(table->mapping, index);
    *limits = (struct column_limits){.form = bind_form_of(column->type),
                                     .nullable = found->nullable};
    if (found->generated)
        return error_set(err, STATUS_FATAL,
                         "column \"%s\" of table \"%s\" is generated: map \"%s\" to another one",
                         name, table->name, column->name);
    if (strstr(found->extra, "on update") != NULL)
        return error_set(err, STATUS_FATAL,
                         "column \"%s\" of table \"%s\" changes by itself ON UPDATE: declare it "
                         "without",
                         name, table->name);
    if (!limits_fit(found, column, limits))
        return error_set(err, STATUS_FATAL,
                         "column \"%s\" of table \"%s\" is declared %.100s, which does not keep a "
                         "%s exactly: declare it %s",
                         name, table->name, found->column_type, column_type_name(column->type),
                         declare_it(column->type));
    if (!collation_fits(column, found->collation))
        return error_set(err, STATUS_FATAL,
                         "key column \"%s\" of table \"%s\" compares by %s: declare it COLLATE "
                         "utf8mb4_nopad_bin, or different keys become one row",
                         name, table->name, found->collation);
    return STATUS_OK;
}

static enum status column_check(struct store_mariadb *self, struct mapped_table *table,
                                size_t index, bool *ret_missing, struct error *err)
{
    struct mariadb_statement *statement = NULL;
    struct catalogue_column found = {0};
    bool row = false;
    enum status status = store_mariadb_start(
        self, STATEMENT_CATALOGUE_COLUMN,
        PARAMETERS(parameter_text(table->name),
                   parameter_text(store_mariadb_column_name(table->mapping, index))),
        &statement, &row, err);
    if (status != STATUS_OK)
        return status;
    *ret_missing = !row;
    if (row) {
        mariadb_statement_copy(statement, 0, found.data_type, sizeof found.data_type);
        mariadb_statement_copy(statement, 1, found.column_type, sizeof found.column_type);
        found.nullable = mariadb_statement_integer(statement, 2) != 0;
        found.characters = (uint64_t)mariadb_statement_integer(statement, 3);
        found.octets = (uint64_t)mariadb_statement_integer(statement, 4);
        found.precision = (uint32_t)mariadb_statement_integer(statement, 5);
        found.scale = (uint32_t)mariadb_statement_integer(statement, 6);
        found.time_digits = mariadb_statement_integer(statement, 7);
        mariadb_statement_copy(statement, 8, found.charset, sizeof found.charset);
        mariadb_statement_copy(statement, 9, found.collation, sizeof found.collation);
        mariadb_statement_copy(statement, 10, found.extra, sizeof found.extra);
        found.generated = mariadb_statement_integer(statement, 11) != 0;
    }
    mariadb_statement_end(statement);
    if (!row && table->mapping->schema->columns[index].is_key)
        return error_set(err, STATUS_FATAL,
                         "table \"%s\" has no column \"%s\" for the key: add it, or map the "
                         "entity type to another table",
                         table->name, store_mariadb_column_name(table->mapping, index));
    return row ? column_judge(table, index, &found, &table->limits[index], err) : STATUS_OK;
}

static bool is_mapped(const struct mapped_table *table, const char *name, bool as_key)
{
    const struct entity_schema *schema = table->mapping->schema;
    for (size_t i = 0; i < schema->column_count; i++) {
        if (strcasecmp(store_mariadb_column_name(table->mapping, i), name) == 0)
            return !as_key || schema->columns[i].is_key;
    }
    return false;
}

static enum status needed_check(struct store_mariadb *self, const struct mapped_table *table,
                                struct error *err)
{
    struct mariadb_statement *statement = NULL;
    char needed[STORE_NAME_SIZE] = "";
    bool row = false;
    enum status status = store_mariadb_start(self, STATEMENT_CATALOGUE_NEEDED,
                                             PARAMETERS(parameter_text(table->name)), &statement,
                                             &row, err);
    while (status == STATUS_OK && row) {
        char name[STORE_NAME_SIZE];
        mariadb_statement_copy(statement, 0, name, sizeof name);
        if (mariadb_statement_integer(statement, 1) != 0 && !is_mapped(table, name, false))
            memcpy(needed, name, sizeof needed);
        status = mariadb_statement_next(statement, &row, err);
    }
    mariadb_statement_end(statement);
    if (status == STATUS_OK && needed[0] != '\0')
        status = error_set(err, STATUS_FATAL,
                           "column \"%s\" of table \"%s\" must not be NULL and is not in the "
                           "schema of \"%s\": give it a default, or drop NOT NULL",
                           needed, table->name, table->mapping->schema->entity_type);
    return status;
}

/* One unique index at a time, its columns in order. */
struct index_check {
    char name[STORE_NAME_SIZE];
    size_t columns;
    bool only_key;    /* all its columns are whole, not null and of the mapped key */
    bool key_found;   /* some index is exactly the mapped key */
    bool other_found; /* some index is anything else */
};

static void index_close(struct index_check *check, size_t key_count)
{
    bool is_key = check->only_key && check->columns == key_count;
    if (check->columns > 0 && is_key)
        check->key_found = true;
    else if (check->columns > 0)
        check->other_found = true;
    check->columns = 0;
    check->only_key = true;
}

static enum status indexes_check(struct store_mariadb *self, struct mapped_table *table,
                                 struct error *err)
{
    struct index_check check = {.only_key = true};
    size_t key_count = table->mapping->schema->key_count;
    struct mariadb_statement *statement = NULL;
    bool row = false;
    enum status status = store_mariadb_start(self, STATEMENT_CATALOGUE_INDEXES,
                                             PARAMETERS(parameter_text(table->name)), &statement,
                                             &row, err);
    while (status == STATUS_OK && row) {
        char name[STORE_NAME_SIZE];
        mariadb_statement_copy(statement, 0, name, sizeof name);
        if (strcmp(name, check.name) != 0)
            index_close(&check, key_count);
        memcpy(check.name, name, sizeof check.name);
        mariadb_statement_copy(statement, 1, name, sizeof name);
        check.columns++;
        check.only_key = check.only_key && mariadb_statement_integer(statement, 2) == 0 &&
                         is_mapped(table, name, true);
        status = mariadb_statement_next(statement, &row, err);
    }
    mariadb_statement_end(statement);
    index_close(&check, key_count);
    table->upserts = !check.other_found;
    if (status == STATUS_OK && !check.key_found)
        status = error_set(err, STATUS_FATAL,
                           "the key of \"%s\" is neither the primary key of table \"%s\" nor a "
                           "unique index of whole columns that are NOT NULL: create one on exactly "
                           "these columns",
                           table->mapping->schema->entity_type, table->name);
    return status;
}

static enum status refuse_cascade(const char *name, const char *child, struct error *err)
{
    return error_set(err, STATUS_FATAL,
                     "the foreign key \"%s\" of table \"%s\" cascades, which MariaDB does "
                     "behind every trigger's back: make it ON DELETE RESTRICT ON UPDATE "
                     "RESTRICT, or drop it",
                     name, child);
}

#define CONSTRAINT_LINE "  CONSTRAINT `"

/* A line of SHOW CREATE TABLE: "  CONSTRAINT `name` FOREIGN KEY (…) REFERENCES `table` (…) ON …".
 */
static bool line_cascades(const char *line, size_t length)
{
    static const char *const actions[] = {" ON DELETE CASCADE", " ON DELETE SET ",
                                          " ON UPDATE CASCADE", " ON UPDATE SET "};
    const char *key = memmem(line, length, "` FOREIGN KEY (", 15);
    bool cascades = false;
    if (strncmp(line, CONSTRAINT_LINE, strlen(CONSTRAINT_LINE)) != 0 || key == NULL)
        return false;
    for (size_t i = 0; i < sizeof actions / sizeof actions[0]; i++)
        cascades = cascades || memmem(key, length - (size_t)(key - line), actions[i],
                                      strlen(actions[i])) != NULL;
    return cascades;
}

/* The agent's role does not see foreign keys in the catalogue, but those of its own table here. */
static enum status own_cascade_check(struct store_mariadb *self, const struct mapped_table *table,
                                     struct error *err)
{
    enum status status = STATUS_OK;
    struct buffer sql;
    buffer_init(&sql, SQL_SIZE_MAX);
    buffer_append_text(&sql, "SHOW CREATE TABLE ");
    store_mariadb_append_name(&sql, table->name);
    if (mysql_query(self->session, buffer_text(&sql)) != 0)
        status = mariadb_session_error(self->session, buffer_text(&sql), err);
    MYSQL_RES *rows = status == STATUS_OK ? mysql_store_result(self->session) : NULL;
    if (status == STATUS_OK && rows == NULL)
        status = mariadb_session_error(self->session, buffer_text(&sql), err);
    MYSQL_ROW row = rows == NULL ? NULL : mysql_fetch_row(rows);
    for (const char *line = row == NULL ? NULL : row[1]; status == STATUS_OK && line != NULL;) {
        size_t length = strcspn(line, "\n");
        if (line_cascades(line, length)) {
            const char *at = line + strlen(CONSTRAINT_LINE);
            char name[STORE_NAME_SIZE];
            (void)snprintf(name, sizeof name, "%.*s", (int)strcspn(at, "`"), at);
            status = refuse_cascade(name, table->name, err);
        }
        line = line[length] == '\0' ? NULL : line + length + 1;
    }
    mysql_free_result(rows);
    buffer_done(&sql);
    return status;
}

static enum status cascade_check(struct store_mariadb *self, const struct mapped_table *table,
                                 struct error *err)
{
    struct mariadb_statement *statement = NULL;
    char name[STORE_NAME_SIZE] = "";
    char child[STORE_NAME_SIZE] = "";
    bool row = false;
    struct parameter table_name = parameter_text(table->name);
    enum status status = store_mariadb_start(self, STATEMENT_CATALOGUE_CASCADE,
                                             PARAMETERS(table_name, table_name), &statement, &row,
                                             err);
    if (status != STATUS_OK)
        return status;
    if (row) {
        mariadb_statement_copy(statement, 0, name, sizeof name);
        mariadb_statement_copy(statement, 1, child, sizeof child);
    }
    mariadb_statement_end(statement);
    return row ? refuse_cascade(name, child, err) : own_cascade_check(self, table, err);
}

enum status store_mariadb_check(struct store_mariadb *self, struct mapped_table *table,
                                bool missing[static ENTITY_COLUMNS_MAX], struct error *err)
{
    int64_t triggers = 0;
    enum status status = STATUS_OK;
    for (size_t i = 0; status == STATUS_OK && i < table->mapping->schema->column_count; i++)
        status = column_check(self, table, i, &missing[i], err);
    if (status == STATUS_OK)
        status = needed_check(self, table, err);
    if (status == STATUS_OK)
        status = indexes_check(self, table, err);
    if (status == STATUS_OK)
        status = cascade_check(self, table, err);
    if (status == STATUS_OK)
        status = store_mariadb_number(self, STATEMENT_CATALOGUE_INSERT_TRIGGERS,
                                      PARAMETERS(parameter_text(table->name)), 0, &triggers, err);
    table->upserts = table->upserts && triggers == 0;
    return status;
}

#define ORDER_KEPT "kept"
#define ORDER_FREE "free"

/* A foreign key that cascades is refused by prepare(). The agent's role sees no triggers: what
 * `init` saw is written down. Where nothing is, no row is taken out: nobody knows what follows. */
enum status store_mariadb_order(struct store *store, const struct mapping *mapping,
                                const struct copies *copies, struct table_order *ret_order,
                                struct error *err)
{
    struct store_mariadb *self = store_mariadb_of(store);
    struct slice entity_type = slice_of(mapping->schema->entity_type);
    struct mapped_table *table = store_mariadb_table(self, entity_type);
    struct mariadb_statement *statement = NULL;
    char key[STORE_PLACE_KEY_SIZE];
    char noted[sizeof ORDER_KEPT] = "";
    bool row = false;
    bool seen = false;
    (void)copies;
    *ret_order = (struct table_order){0};
    (void)snprintf(key, sizeof key, "order %016" PRIx64, digest_64(entity_type));
    enum status status = store_mariadb_start(self, STATEMENT_CATALOGUE_ORDER,
                                             PARAMETERS(parameter_text(mapping_table(mapping)),
                                                        parameter_text(key),
                                                        parameter_text(mapping_table(mapping))),
                                             &statement, &row, err);
    if (status == STATUS_OK && row) {
        seen = mariadb_statement_integer(statement, 0) != 0;
        mariadb_statement_copy(statement, 1, noted, sizeof noted);
        ret_order->is_whole = (self->installs || noted[0] != '\0') &&
                              mariadb_statement_integer(statement, 2) ==
                                  (int64_t)mapping->schema->column_count;
    }
    mariadb_statement_end(statement);
    const char *now = seen ? ORDER_KEPT : ORDER_FREE;
    bool is_new = self->installs && strcmp(noted, now) != 0;
    if (status == STATUS_OK && is_new)
        status = store_mariadb_run(self, STATEMENT_META_SET,
                                   PARAMETERS(parameter_text(key), parameter_text(now)), NULL, err);
    if (status == STATUS_OK && is_new)
        status = mariadb_session_execute(self->session, "COMMIT", err);
    ret_order->is_kept = seen || (strcmp(noted, ORDER_KEPT) == 0 && !self->installs);
    if (table != NULL)
        table->keeps_order = ret_order->is_kept;
    store_mariadb_release(self);
    return status;
}
