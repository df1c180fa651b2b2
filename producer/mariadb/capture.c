/* Writes capture triggers: each column becomes JSON by its type (rule 28), never by its value, and
 * whatever the session's sql_mode, time zone, character set and collation are. */
#include "producer/mariadb/capture.h"
#include "common/digest.h"
#include "producer/capture/capture.h"

#include <inttypes.h>
#include <stdio.h>
#include <strings.h>

#define CAPTURE_SQL_MAX   ((size_t)4 * 1024 * 1024)
#define TRIGGER_COUNT     3
#define TRIGGER_NAME_MAX  64
#define TRIGGER_NAME_SIZE (TRIGGER_NAME_MAX + 1)

/* The column in SQL: NEW.`name`. */
struct reference {
    const char *row;
    const char *column;
};

static void capture_identifier(struct buffer *sql, const char *name)
{
    buffer_append_text(sql, "`");
    for (; *name != '\0'; name++)
        buffer_append(sql, *name == '`' ? "``" : name, *name == '`' ? 2 : 1);
    buffer_append_text(sql, "`");
}

/* A backslash is an escape or not by sql_mode, so it is never written as itself. */
static void capture_literal(struct buffer *sql, struct slice text)
{
    bool odd = memchr(text.data, '\\', text.length) != NULL;
    buffer_append_text(sql, odd ? "CONCAT('" : "'");
    for (size_t i = 0; i < text.length; i++) {
        if (text.data[i] == '\\')
            buffer_append_text(sql, "', CHAR(92 USING utf8mb4), '");
        else
            buffer_append(sql, text.data[i] == '\'' ? "''" : &text.data[i],
                          text.data[i] == '\'' ? 2 : 1);
    }
    buffer_append_text(sql, odd ? "')" : "'");
}

/* Writes `form` with every $ replaced by the column. */
static void capture_form(struct buffer *sql, const char *form, struct reference of)
{
    for (; *form != '\0'; form++) {
        if (*form != '$') {
            buffer_append(sql, form, 1);
            continue;
        }
        buffer_append_text(sql, of.row);
        buffer_append_text(sql, ".");
        capture_identifier(sql, of.column);
    }
}

/* A value that does not fit its type (a zero date, a boolean 2) is written as it is: the relay sets
 * such a row aside, naming the field. UNIX_TIMESTAMP alone reads a TIMESTAMP past the session's
 * time zone; it is 0 or NULL for a zero date. `+ 0` takes ZEROFILL's zeros and a FLOAT's six digits
 * away; MariaDB writes a double with the digits that read back to its bits, and has no zero below
 * zero. */
static const char *capture_value_form(enum column_type type, bool is_timestamp)
{
    switch (type) {
    case COLUMN_INTEGER:
        return "CONCAT($ + 0)";
    case COLUMN_DECIMAL:
        return "CONCAT('\"', $ + 0, '\"')";
    case COLUMN_DOUBLE:
        return "CONCAT($ + 0e0)";
    case COLUMN_TEXT:
    case COLUMN_JSON:
        return "JSON_QUOTE(CONVERT($ USING utf8mb4)) COLLATE utf8mb4_bin";
    case COLUMN_UUID:
        return "JSON_QUOTE(LOWER(CONVERT($ USING utf8mb4))) COLLATE utf8mb4_bin";
    case COLUMN_BYTES:
        return "CONCAT('\"', HEX($), '\"')";
    case COLUMN_BOOLEAN:
        return "CASE $ + 0 WHEN 1 THEN 'true' WHEN 0 THEN 'false' ELSE CONCAT($ + 0) END";
    case COLUMN_DATE:
        return "DATE_FORMAT($, '\"%Y-%m-%d\"')";
    case COLUMN_TIME:
        return "CONCAT('\"', TIME_FORMAT($, '%H:%i:%s.%f'), '\"')";
    case COLUMN_TIMESTAMP:
        return "DATE_FORMAT($, '\"%Y-%m-%dT%H:%i:%s.%f\"')";
    case COLUMN_DATE_TIME:
        if (is_timestamp)
            return "COALESCE(DATE_FORMAT(TIMESTAMPADD(MICROSECOND, NULLIF(UNIX_TIMESTAMP($), 0) "
                   "* 1000000, '1970-01-01 00:00:00'), '\"%Y-%m-%dT%H:%i:%s.%fZ\"'), "
                   "'\"0000-00-00T00:00:00.000000Z\"')";
        return "DATE_FORMAT($, '\"%Y-%m-%dT%H:%i:%s.%fZ\"')";
    }
    return "'null'";
}

/* JSON_QUOTE writes \u001F where the canonical key has \u001f. A quoted text holds no control
 * characters, so one of them stands in for the escaped backslash meanwhile. */
static void capture_key_text(struct buffer *sql, struct reference of)
{
    static const char *const upper[] = {"0B", "0E", "0F", "1A", "1B", "1C", "1D", "1E", "1F"};
    static const char *const lower[] = {"0b", "0e", "0f", "1a", "1b", "1c", "1d", "1e", "1f"};
    const size_t count = sizeof upper / sizeof *upper;
    const char *const quoted = capture_value_form(COLUMN_TEXT, false);
    buffer_append_text(sql, "IF(LOCATE('u00', ");
    capture_form(sql, quoted, of);
    buffer_append_text(sql, ") = 0, ");
    capture_form(sql, quoted, of);
    buffer_append_text(sql, ", REPLACE(");
    for (size_t i = 0; i < count; i++)
        buffer_append_text(sql, "REPLACE(");
    buffer_append_text(sql, "REPLACE(");
    capture_form(sql, quoted, of);
    buffer_append_text(sql, ", CHAR(92, 92 USING utf8mb4), CHAR(1 USING utf8mb4))");
    for (size_t i = 0; i < count; i++)
        buffer_append_format(sql,
                             ", CONCAT(CHAR(92 USING utf8mb4), 'u00%s'), "
                             "CONCAT(CHAR(92 USING utf8mb4), 'u00%s'))",
                             upper[i], lower[i]);
    buffer_append_text(sql, ", CHAR(1 USING utf8mb4), CHAR(92, 92 USING utf8mb4)))");
}

static void capture_value(struct buffer *sql, const struct column *column, bool is_timestamp,
                          bool key, struct reference of)
{
    capture_form(sql, "CASE WHEN $ IS NULL THEN 'null' ELSE ", of);
    if (key && column->type == COLUMN_TEXT)
        capture_key_text(sql, of);
    else
        capture_form(sql, capture_value_form(column->type, is_timestamp), of);
    buffer_append_text(sql, " END");
}

/* The arguments of a CONCAT() that writes a JSON object: NULL, should one of them not be had, so
 * that the change itself fails. */
static void capture_object(struct buffer *sql, const struct capture_table *table, bool key,
                           const char *row)
{
    const struct entity_schema *schema = table->schema;
    size_t count = key ? schema->key_count : schema->column_count;
    for (size_t i = 0; i < count; i++) {
        size_t index = key ? schema->key_columns[i] : i;
        const struct column *column = &schema->columns[index];
        struct reference of = {row, config_column(table->entry, column->name)};
        struct buffer text;
        buffer_init(&text, CAPTURE_SQL_MAX);
        buffer_append_text(&text, i == 0 ? "{" : ",");
        buffer_append_json(&text, slice_of(column->name));
        buffer_append_text(&text, ":");
        capture_literal(sql, buffer_slice(&text));
        sql->failed = sql->failed || text.failed;
        buffer_done(&text);
        buffer_append_text(sql, ", ");
        capture_value(sql, column, table->is_timestamp[index], key, of);
        buffer_append_text(sql, ",\n      ");
    }
    buffer_append_text(sql, "'}'");
}

/* What one change writes; a NULL row is JSON's null. */
struct image {
    const char *op;
    const char *type; /* "created" */
    const char *before;
    const char *after;
};

static void capture_payload(struct buffer *sql, const struct capture_table *table,
                            const struct image *image)
{
    buffer_append_format(sql, "CONCAT('{\"op\":\"%s\",\"before\":', ", image->op);
    if (table->entry->before && image->before != NULL)
        capture_object(sql, table, false, image->before);
    else
        buffer_append_text(sql, "'null'");
    buffer_append_text(sql, ",\n      ',\"after\":', ");
    if (image->after != NULL)
        capture_object(sql, table, false, image->after);
    else
        buffer_append_text(sql, "'null'");
    buffer_append_text(sql, ", '}')");
}

static void capture_partition_key(struct buffer *sql, const struct config_entry *entry,
                                  const char *row)
{
    if (entry->partition_key == NULL)
        buffer_append_text(sql, "NULL");
    else
        capture_form(sql, "CONVERT($ USING utf8mb4)",
                     (struct reference){row, config_column(entry, entry->partition_key)});
}

static void capture_insert(struct buffer *sql, const struct capture_table *table,
                           const struct image *image)
{
    const char *row = image->after != NULL ? image->after : image->before;
    struct slice type = slice_of(table->entry->entity_type);
    buffer_append_text(sql, "    INSERT INTO outbox (aggregatetype, type, aggregateid, "
                            "partition_key, payload)\n    VALUES (");
    capture_literal(sql, type);
    buffer_append_text(sql, ", CONCAT(");
    capture_literal(sql, type);
    buffer_append_format(sql, ", '.%s'), CONCAT(", image->type);
    capture_object(sql, table, true, row);
    buffer_append_text(sql, "), ");
    capture_partition_key(sql, table->entry, row);
    buffer_append_text(sql, ",\n      ");
    capture_payload(sql, table, image);
    buffer_append_text(sql, ");\n");
}

/* The same to the byte: text past its collation; moments that a local time does not tell apart. */
static const char *capture_same_form(enum column_type type, bool is_timestamp)
{
    if (is_timestamp)
        return "($O <=> $N AND UNIX_TIMESTAMP($O) <=> UNIX_TIMESTAMP($N))";
    if (type == COLUMN_TEXT || type == COLUMN_JSON || type == COLUMN_BYTES)
        return "BINARY $O <=> BINARY $N";
    return "$O <=> $N";
}

/* True where the key (or, with `key` false, every mapped column) is the same. */
static void capture_same(struct buffer *sql, const struct capture_table *table, bool key)
{
    const struct entity_schema *schema = table->schema;
    size_t count = key ? schema->key_count : schema->column_count;
    buffer_append_text(sql, "(");
    for (size_t i = 0; i < count; i++) {
        size_t index = key ? schema->key_columns[i] : i;
        const struct column *column = &schema->columns[index];
        const char *form = capture_same_form(column->type, table->is_timestamp[index]);
        buffer_append_text(sql, i == 0 ? "" : " AND ");
        for (; *form != '\0'; form++) {
            if (*form != '$') {
                buffer_append(sql, form, 1);
                continue;
            }
            form++;
            capture_form(sql, "$",
                         (struct reference){*form == 'O' ? "OLD" : "NEW",
                                            config_column(table->entry, column->name)});
        }
    }
    buffer_append_text(sql, ")");
}

/* A block that ends the writer's statement with `text` and, where it has a reason, that behind it.
 * SIGNAL takes no expression, which a text with a backslash is, and not more than 512 characters.
 */
static void capture_signal(struct buffer *sql, const struct buffer *text, bool has_reason)
{
    buffer_append_text(sql, "BEGIN\n      DECLARE reason, message TEXT CHARACTER SET utf8mb4 "
                            "DEFAULT '';\n");
    if (has_reason)
        buffer_append_text(sql, "      GET DIAGNOSTICS CONDITION 1 reason = MESSAGE_TEXT;\n");
    buffer_append_text(sql, "      SET message = LEFT(CONCAT(");
    capture_literal(sql, buffer_slice(text));
    buffer_append_text(sql,
                       ", reason), 512);\n"
                       "      SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = message;\n    END;\n");
    sql->failed = sql->failed || text->failed;
}

/* A change that would leave the row's partition ends the statement that makes it. */
static void capture_fixed(struct buffer *sql, const struct capture_table *table)
{
    const char *column = capture_fixed_column(table->entry, table->schema);
    struct buffer text;
    if (column == NULL)
        return;
    buffer_init(&text, CAPTURE_SQL_MAX);
    capture_fixed_text(&text, table->entry);
    capture_form(sql, "  ELSEIF NOT (BINARY CONVERT($ USING utf8mb4)",
                 (struct reference){"OLD", column});
    capture_form(sql, " <=> BINARY CONVERT($ USING utf8mb4)) THEN\n    ",
                 (struct reference){"NEW", column});
    capture_signal(sql, &text, false);
    buffer_done(&text);
}

/* 1054: the table has no such column. */
static void capture_lost(struct buffer *sql, const struct capture_table *table)
{
    struct buffer text;
    buffer_init(&text, CAPTURE_SQL_MAX);
    capture_lost_text(&text, table->entry);
    buffer_append_text(sql, "  DECLARE EXIT HANDLER FOR 1054 ");
    capture_signal(sql, &text, true);
    buffer_done(&text);
}

static void capture_body(struct buffer *sql, const struct capture_table *table, const char *event)
{
    static const struct image create = {"c", "created", NULL, "NEW"};
    static const struct image update = {"u", "updated", "OLD", "NEW"};
    static const struct image delete = {"d", "deleted", "OLD", NULL};
    bool updates = strcmp(event, "UPDATE") == 0;
    buffer_append_text(sql, "BEGIN\n");
    capture_lost(sql, table);
    buffer_append_text(sql, "  IF @keepstep_applying <=> CONVERT(");
    capture_literal(sql, slice_of(table->entry->table));
    buffer_append_text(sql, " USING utf8mb4) COLLATE utf8mb4_bin THEN\n    DO 0;\n");
    if (updates) {
        capture_fixed(sql, table);
        buffer_append_text(sql, "  ELSEIF NOT ");
        capture_same(sql, table, true);
        buffer_append_text(sql, " THEN\n");
        capture_insert(sql, table, &delete);
        capture_insert(sql, table, &create);
        buffer_append_text(sql, "  ELSEIF NOT ");
        capture_same(sql, table, false);
        buffer_append_text(sql, " THEN\n");
        capture_insert(sql, table, &update);
    } else {
        buffer_append_text(sql, "  ELSE\n");
        capture_insert(sql, table, strcmp(event, "INSERT") == 0 ? &create : &delete);
    }
    buffer_append_text(sql, "  END IF;\nEND");
}

/* A name that would be too long has the entity type's digest in its place. */
static void capture_name(char name[TRIGGER_NAME_SIZE], const char *entity_type, const char *suffix)
{
    int length = snprintf(name, TRIGGER_NAME_SIZE, "keepstep_%s_%s", entity_type, suffix);
    if (length > TRIGGER_NAME_MAX)
        (void)snprintf(name, TRIGGER_NAME_SIZE, "keepstep_%016" PRIx64 "_%s",
                       digest_64(slice_of(entity_type)), suffix);
}

bool capture_mariadb_clashes(const char *entity_type, const char *other)
{
    char names[2][TRIGGER_NAME_SIZE];
    capture_name(names[0], entity_type, "insert");
    capture_name(names[1], other, "insert");
    return strcasecmp(names[0], names[1]) == 0;
}

/* Each is a transaction of its own. Deletes first: a row that is inserted and deleted between two
 * of them leaves no `c` alone, which would stay at every peer. */
enum status capture_mariadb_triggers(const struct capture_table *table, struct arena *arena,
                                     struct origin_object **ret_objects, size_t *ret_count,
                                     struct error *err)
{
    static const char *const events[TRIGGER_COUNT] = {"DELETE", "UPDATE", "INSERT"};
    static const char *const suffixes[TRIGGER_COUNT] = {"delete", "update", "insert"};
    struct origin_object *objects = arena_alloc(arena, sizeof *objects * TRIGGER_COUNT);
    enum status status = STATUS_OK;
    if (objects == NULL)
        return error_set(err, STATUS_RETRY, "no memory");
    for (size_t i = 0; status == STATUS_OK && i < TRIGGER_COUNT; i++) {
        char name[TRIGGER_NAME_SIZE];
        struct buffer sql;
        buffer_init(&sql, CAPTURE_SQL_MAX);
        capture_name(name, table->entry->entity_type, suffixes[i]);
        buffer_append_text(&sql, "CREATE OR REPLACE TRIGGER ");
        capture_identifier(&sql, name);
        buffer_append_format(&sql, " AFTER %s ON ", events[i]);
        capture_identifier(&sql, table->entry->table);
        buffer_append_text(&sql, " FOR EACH ROW\n");
        capture_body(&sql, table, events[i]);
        objects[i] = (struct origin_object){.kind = "trigger",
                                            .name = arena_copy(arena, slice_of(name)).data,
                                            .table = table->entry->table,
                                            .sql = arena_copy(arena, buffer_slice(&sql)).data};
        if (sql.failed)
            status = error_set(err, STATUS_FATAL, "entity type %s: triggers grow too large",
                               table->entry->entity_type);
        else if (objects[i].name == NULL || objects[i].sql == NULL)
            status = error_set(err, STATUS_RETRY, "no memory");
        buffer_done(&sql);
    }
    *ret_objects = objects;
    *ret_count = TRIGGER_COUNT;
    return status;
}

static void capture_key_column(struct buffer *sql, const struct capture_table *table, size_t place)
{
    const char *name = table->schema->columns[table->key[place]].name;
    capture_form(sql, "$", (struct reference){"t", config_column(table->entry, name)});
}

static void capture_key_list(struct buffer *sql, const struct capture_table *table)
{
    for (size_t i = 0; i < table->schema->key_count; i++) {
        buffer_append_text(sql, i == 0 ? "" : ", ");
        capture_key_column(sql, table, i);
    }
}

/* Written out, as a comparison of rows would read the table from its start each time. */
static void capture_behind(struct buffer *sql, const struct capture_table *table)
{
    for (size_t i = 0; i < table->schema->key_count; i++) {
        buffer_append_text(sql, i == 0 ? "" : " OR ");
        for (size_t j = 0; j <= i; j++) {
            buffer_append_text(sql, j == 0 ? "" : " AND ");
            capture_key_column(sql, table, j);
            buffer_append_text(sql, j == i ? " > ?" : " = ?");
        }
    }
}

void capture_mariadb_existing(struct buffer *sql, const struct capture_table *table, bool resumed,
                              bool wait)
{
    static const struct image read = {"r", "read", NULL, "t"};
    buffer_append_text(sql, "SELECT CONCAT(");
    capture_object(sql, table, true, "t");
    buffer_append_text(sql, "), ");
    capture_payload(sql, table, &read);
    buffer_append_text(sql, ", ");
    capture_partition_key(sql, table->entry, "t");
    buffer_append_text(sql, ", ");
    capture_key_list(sql, table);
    buffer_append_text(sql, " FROM ");
    capture_identifier(sql, table->entry->table);
    buffer_append_text(sql, " AS t");
    if (resumed) {
        buffer_append_text(sql, " WHERE ");
        capture_behind(sql, table);
    }
    buffer_append_text(sql, " ORDER BY ");
    capture_key_list(sql, table);
    buffer_append_text(sql,
                       wait ? " LIMIT ? LOCK IN SHARE MODE" : " LIMIT ? LOCK IN SHARE MODE NOWAIT");
}
