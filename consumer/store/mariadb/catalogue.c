/* Reads MariaDB's catalogue: what a column keeps exactly, cascading foreign keys, triggers. */
#include "consumer/store/mariadb/internal.h"

#include "common/buffer.h"
#include "common/digest.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#define WORD_SIZE     64
#define TIMESTAMP_MIN "1970-01-01T00:00:01.000000Z"
#define TIMESTAMP_MAX "2038-01-19T03:14:07.999999Z"
#define TIMESTAMP_END "2106-02-07T06:28:15.999999Z"
#define SQL_SIZE_MAX  ((size_t)64 * 1024)

struct mariadb_column {
    char data_type[WORD_SIZE];
    char column_type[STORE_NAME_SIZE];
    char charset[WORD_SIZE];
    char collation[WORD_SIZE];
    char extra[STORE_NAME_SIZE];
    bool nullable;
    uint64_t characters;
    uint64_t octets;
    uint32_t precision;
    uint32_t scale;
    int64_t time_digits;
};

/* The range of each integer type. */
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

static bool limits_of_integer(const struct mariadb_column *found, struct column_limits *limits)
{
    bool is_unsigned = strstr(found->column_type, "unsigned") != NULL;
    if (strstr(found->column_type, "zerofill") != NULL) /* it is read with leading zeros */
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

static bool limits_of_decimal(const struct mariadb_column *found, const struct column *column,
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

/* The octet length counts bytes of the column's character set. Where that is not UTF-8, the limit
 * is taken as characters: one takes at least a byte. */
static bool limits_of_text(const struct mariadb_column *found, struct column_limits *limits)
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

static bool limits_of_bytes(const struct mariadb_column *found, struct column_limits *limits)
{
    static const char *const types[] = {"tinyblob", "blob",      "mediumblob",
                                        "longblob", "varbinary", NULL};
    limits->length_max = found->octets;
    limits->counts_bytes = true;
    return is_one_of(found->data_type, types);
}

/* A JSON text is kept unchanged by the text types (JSON is one of them), but only in UTF-8. */
static bool limits_of_json(const struct mariadb_column *found, struct column_limits *limits)
{
    return strcmp(found->charset, "utf8mb4") == 0 && limits_of_text(found, limits);
}

static bool limits_fit(const struct mariadb_column *found, const struct column *column,
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
        return found->time_digits == 6 &&
               (strcasecmp(type, "timestamp") == 0 || strcasecmp(type, "datetime") == 0);
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

/* Text keys must compare bytewise and without padding. A UUID has one length, so padding is no
 * matter there. */
static bool collation_fits(const struct column *column, const char *collation)
{
    size_t length = strlen(collation);
    const char *ending = column->type == COLUMN_UUID ? "_bin" : "_nopad_bin";
    if (!column->is_key || collation[0] == '\0')
        return true;
    return length >= strlen(ending) && strcmp(collation + length - strlen(ending), ending) == 0;
}

static void limits_set(const struct mapped_table *table, const struct mariadb_column *found,
                       const struct column *column, struct column_limits *limits)
{
    bool far = store_mariadb_of(table->store)->timestamps_64;
    limits->form = bind_form_of(column->type);
    limits->takes_no_null = !found->nullable;
    limits->drops_sign = true;
    limits->is_exact = column->is_key && column->type == COLUMN_DECIMAL;
    if (strcasecmp(found->data_type, "timestamp") == 0) {
        limits->is_timestamp = true;
        limits->time_min = TIMESTAMP_MIN;
        limits->time_max = far ? TIMESTAMP_END : TIMESTAMP_MAX;
    }
}

enum {
    COLUMN_DECLARED = 3,
    COLUMN_DATA_TYPE,
    COLUMN_NULLABLE,
    COLUMN_CHARACTERS,
    COLUMN_OCTETS,
    COLUMN_PRECISION,
    COLUMN_SCALE,
    COLUMN_TIME_DIGITS,
    COLUMN_CHARSET,
    COLUMN_COLLATION,
    COLUMN_EXTRA
};

enum status store_mariadb_check_column(struct mapped_table *table, size_t index,
                                       const struct store_row *row,
                                       struct catalogue_column *ret_found, struct error *err)
{
    const struct column *column = &table->mapping->schema->columns[index];
    struct column_limits *limits = &table->limits[index];
    struct mariadb_column found = {.nullable = row->integer(row, COLUMN_NULLABLE) != 0,
                                   .characters = (uint64_t)row->integer(row, COLUMN_CHARACTERS),
                                   .octets = (uint64_t)row->integer(row, COLUMN_OCTETS),
                                   .precision = (uint32_t)row->integer(row, COLUMN_PRECISION),
                                   .scale = (uint32_t)row->integer(row, COLUMN_SCALE),
                                   .time_digits = row->integer(row, COLUMN_TIME_DIGITS)};
    row->copy(row, COLUMN_DATA_TYPE, found.data_type, sizeof found.data_type);
    row->copy(row, COLUMN_DECLARED, found.column_type, sizeof found.column_type);
    row->copy(row, COLUMN_CHARSET, found.charset, sizeof found.charset);
    row->copy(row, COLUMN_COLLATION, found.collation, sizeof found.collation);
    row->copy(row, COLUMN_EXTRA, found.extra, sizeof found.extra);
    *limits = (struct column_limits){0};
    ret_found->fits = limits_fit(&found, column, limits);
    ret_found->better = declare_it(column->type);
    if (!collation_fits(column, found.collation))
        (void)snprintf(ret_found->collation, sizeof ret_found->collation, "%s", found.collation);
    ret_found->bytewise = "utf8mb4_nopad_bin";
    limits_set(table, &found, column, limits);
    if (strstr(found.extra, "on update") != NULL)
        return error_set(err, STATUS_FATAL,
                         "column \"%s\" of table \"%s\" changes by itself ON UPDATE: declare it "
                         "without",
                         mapping_column(table->mapping, index), table->name);
    return STATUS_OK;
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

/* The agent's role sees no foreign keys in the catalogue. SHOW CREATE TABLE shows it those of a
 * table that it may read. */
static enum status own_cascade_check(struct store_mariadb *self, const struct mapped_table *table,
                                     struct error *err)
{
    enum status status = STATUS_OK;
    struct buffer sql;
    buffer_init(&sql, SQL_SIZE_MAX);
    buffer_append_text(&sql, "SHOW CREATE TABLE ");
    sql_name_append(&sql, table->name, '`');
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

struct cascade {
    char name[STORE_NAME_SIZE];
    char child[STORE_NAME_SIZE];
};

static enum status cascade_read(void *context, struct store_row *row, struct error *err)
{
    struct cascade *cascade = context;
    (void)err;
    row->copy(row, 0, cascade->name, sizeof cascade->name);
    row->copy(row, 1, cascade->child, sizeof cascade->child);
    return STATUS_OK;
}

/* An upsert would run BEFORE INSERT triggers for rows that exist, too. */
enum status store_mariadb_check_more(struct mapped_table *table, struct error *err)
{
    struct store_mariadb *self = store_mariadb_of(table->store);
    struct cascade cascade = {0};
    int64_t triggers = 0;
    enum status status = store_sql_query(&self->sql,
                                         SQL_CALL(CATALOGUE_CASCADE, parameter_text(table->name)),
                                         cascade_read, &cascade, err);
    if (status == STATUS_OK)
        status = cascade.child[0] != '\0' ? refuse_cascade(cascade.name, cascade.child, err)
                                          : own_cascade_check(self, table, err);
    if (status == STATUS_OK)
        status = store_sql_number(&self->sql,
                                  SQL_CALL(CATALOGUE_INSERT_TRIGGERS, parameter_text(table->name)),
                                  0, &triggers, err);
    table->has_other_keys = table->has_other_keys || triggers > 0;
    return status;
}

#define ORDER_KEPT "kept"
#define ORDER_FREE "free"

struct order_read {
    bool seen; /* triggers that are not Keepstep's */
    char noted[sizeof ORDER_KEPT];
    int64_t columns;
};

static enum status order_read(void *context, struct store_row *row, struct error *err)
{
    struct order_read *read = context;
    (void)err;
    read->seen = row->integer(row, 0) != 0;
    row->copy(row, 1, read->noted, sizeof read->noted);
    read->columns = row->integer(row, 2);
    return STATUS_OK;
}

static enum status order_note(struct store_sql *self, const char *key, const char *order,
                              struct error *err)
{
    enum status status = store_sql_transaction(self, SQL_WRITE, err);
    if (status == STATUS_OK)
        status = store_sql_send(
            self, SQL_CALL(META_SET, parameter_text(key), parameter_text(order)), err);
    if (status == STATUS_OK)
        status = store_sql_finish(self, err);
    if (status != STATUS_OK)
        store_sql_rollback(&self->base);
    return status;
}

/* Cascading foreign keys were refused by prepare(), so only triggers count. The agent's role cannot
 * see them: `init` notes in keepstep_meta what it saw. Without a note no row is taken out, because
 * nobody knows what would follow. */
enum status store_mariadb_order(struct store *store, const struct mapping *mapping,
                                const struct copies *copies, struct table_order *ret_order,
                                struct error *err)
{
    struct store_mariadb *self = store_mariadb_of(store);
    const char *entity_type = mapping->schema->entity_type;
    struct mapped_table *table = sql_table_find(&self->sql.tables, entity_type);
    struct order_read read = {0};
    char key[STORE_PLACE_KEY_SIZE];
    (void)copies;
    *ret_order = (struct table_order){0};
    (void)snprintf(key, sizeof key, "order %016" PRIx64, digest_64(slice_of(entity_type)));
    enum status status = store_sql_query(
        &self->sql,
        SQL_CALL(CATALOGUE_ORDER, parameter_text(mapping_table(mapping)), parameter_text(key)),
        order_read, &read, err);
    const char *now = read.seen ? ORDER_KEPT : ORDER_FREE;
    if (status == STATUS_OK && self->installs && strcmp(read.noted, now) != 0)
        status = order_note(&self->sql, key, now, err);
    ret_order->is_whole = (self->installs || read.noted[0] != '\0') &&
                          read.columns == (int64_t)mapping->schema->column_count;
    ret_order->is_followed = read.seen || (strcmp(read.noted, ORDER_KEPT) == 0 && !self->installs);
    if (table != NULL)
        table->keeps_order = ret_order->is_followed;
    return status;
}
