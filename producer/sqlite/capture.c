/* Writes capture triggers: each column becomes JSON by its type (rule 28), never by its value. */
#include "producer/sqlite/capture.h"
#include "producer/capture/capture.h"

#define CAPTURE_SQL_MAX       ((size_t)4 * 1024 * 1024)
#define CAPTURE_TRIGGER_COUNT 4
#define PRESENT               "present" /* the row as it is when the trigger runs */

/* One trigger: its name, and the statement that creates it. */
struct capture_trigger {
    struct buffer name;
    struct buffer sql;
};

/* The column in SQL: NEW."name". */
struct reference {
    const char *row;
    const char *column;
};

static void capture_identifier(struct buffer *sql, const char *name)
{
    buffer_append_text(sql, "\"");
    for (; *name != '\0'; name++)
        buffer_append(sql, *name == '"' ? "\"\"" : name, *name == '"' ? 2 : 1);
    buffer_append_text(sql, "\"");
}

static void capture_literal(struct buffer *sql, struct slice text)
{
    buffer_append_text(sql, "'");
    for (size_t i = 0; i < text.length; i++)
        buffer_append(sql, text.data[i] == '\'' ? "''" : &text.data[i],
                      text.data[i] == '\'' ? 2 : 1);
    buffer_append_text(sql, "'");
}

/* Writes `form` with every $ replaced by the column, and every # by GLOB's digit. */
static void capture_form(struct buffer *sql, const char *form, struct reference of)
{
    for (; *form != '\0'; form++) {
        if (*form == '#')
            buffer_append_text(sql, "[0-9]");
        else if (*form != '$')
            buffer_append(sql, form, 1);
        if (*form != '$')
            continue;
        buffer_append_text(sql, of.row);
        buffer_append_text(sql, ".");
        capture_identifier(sql, of.column);
    }
}

/* A value whose storage class does not fit its type is written as it is: the relay sets such a row
 * aside, naming the field. Only a double that JSON cannot carry is refused in a trigger. A decimal
 * that SQLite made a double has the 15 digits of its text, or where those are another double as
 * many as it takes. */
static const char *capture_value_form(enum column_type type, bool in_trigger)
{
    switch (type) {
    case COLUMN_INTEGER:
        return "CASE typeof($) WHEN 'blob' THEN json_quote(hex($)) ELSE json_quote($) END";
    case COLUMN_DECIMAL:
        return "CASE WHEN $ IS NULL THEN 'null' "
               "WHEN typeof($) = 'real' AND CAST(CAST($ AS TEXT) AS REAL) <> $ "
               "THEN json_quote(printf('%!.20g', $)) ELSE json_quote(CAST($ AS TEXT)) END";
    case COLUMN_TEXT:
    case COLUMN_JSON:
    case COLUMN_DATE:
    case COLUMN_TIME:
    case COLUMN_TIMESTAMP:
    case COLUMN_UUID:
        return "CASE WHEN $ IS NULL THEN 'null' ELSE json_quote(CAST($ AS TEXT)) END";
    case COLUMN_DOUBLE:
        if (in_trigger)
            return "CASE typeof($) WHEN 'real' THEN CASE WHEN abs($) <= 1.7976931348623157e308 "
                   "THEN printf('%!.20g', $) ELSE RAISE(ABORT, 'keepstep: an infinite number "
                   "cannot be published') END WHEN 'blob' THEN json_quote(hex($)) "
                   "ELSE json_quote($) END";
        return "CASE typeof($) WHEN 'real' THEN CASE WHEN abs($) <= 1.7976931348623157e308 "
               "THEN printf('%!.20g', $) ELSE '\"infinite\"' END WHEN 'blob' THEN "
               "json_quote(hex($)) ELSE json_quote($) END";
    case COLUMN_BYTES:
        return "CASE WHEN $ IS NULL THEN 'null' ELSE '\"' || hex($) || '\"' END";
    case COLUMN_BOOLEAN:
        return "CASE WHEN $ IS NULL THEN 'null' WHEN typeof($) = 'integer' AND $ = 1 THEN 'true' "
               "WHEN typeof($) = 'integer' AND $ = 0 THEN 'false' "
               "ELSE json_quote(CAST($ AS TEXT)) END";
    case COLUMN_DATE_TIME:
        return "CASE WHEN $ IS NULL THEN 'null' "
               "WHEN $ GLOB '####-##-##[T ]##:##:##*' "
               "AND ltrim(rtrim(substr($, 20), 'Z'), '.0123456789') = '' "
               "AND length(rtrim(substr($, 20), 'Z')) <= 7 THEN json_quote(substr($, 1, 10) "
               "|| 'T' || substr($, 12, 8) || '.' || substr(ltrim(rtrim(substr($, 20), 'Z'), '.') "
               "|| '000000', 1, 6) || 'Z') "
               "WHEN $ GLOB '####-##-##' OR $ GLOB '####-##-##[T ]##:##:##[+-]##:##' "
               "THEN json_quote(coalesce(strftime('%Y-%m-%dT%H:%M:%S', $) || '.000000Z', $)) "
               "ELSE json_quote(CAST($ AS TEXT)) END";
    }
    return "'null'";
}

static void capture_member(struct buffer *sql, const char *separator, const char *name,
                           enum column_type type, struct reference of)
{
    struct buffer text;
    buffer_init(&text, CAPTURE_SQL_MAX);
    buffer_append_text(&text, separator);
    buffer_append_json(&text, slice_of(name));
    buffer_append_text(&text, ":");
    capture_literal(sql, buffer_slice(&text));
    buffer_append_text(sql, " || ");
    capture_form(sql, capture_value_form(type, strcmp(of.row, "t") != 0), of);
    sql->failed = sql->failed || text.failed;
    buffer_done(&text);
}

static void capture_object(struct buffer *sql, const struct config_entry *entry,
                           const struct entity_schema *schema, bool key, const char *row)
{
    size_t count = key ? schema->key_count : schema->column_count;
    buffer_append_text(sql, "(");
    for (size_t i = 0; i < count; i++) {
        const struct column *column = &schema->columns[key ? schema->key_columns[i] : i];
        struct reference of = {row, config_column(entry, column->name)};
        capture_member(sql, i == 0 ? "{" : ",", column->name, column->type, of);
        buffer_append_text(sql, "\n    || ");
    }
    buffer_append_text(sql, "'}')");
}

/* What one change writes; a NULL row is JSON's null. */
struct image {
    const char *op;
    const char *type; /* "created" */
    const char *before;
    const char *after;
};

static void capture_payload(struct buffer *sql, const struct config_entry *entry,
                            const struct entity_schema *schema, const struct image *image)
{
    buffer_append_format(sql, "'{\"op\":\"%s\",\"before\":' || ", image->op);
    if (entry->before && image->before != NULL)
        capture_object(sql, entry, schema, false, image->before);
    else
        buffer_append_text(sql, "'null'");
    buffer_append_text(sql, "\n    || ',\"after\":' || ");
    if (image->after != NULL)
        capture_object(sql, entry, schema, false, image->after);
    else
        buffer_append_text(sql, "'null'");
    buffer_append_text(sql, " || '}'");
}

static void capture_partition_key(struct buffer *sql, const struct config_entry *entry,
                                  const char *row)
{
    if (entry->partition_key == NULL)
        buffer_append_text(sql, "NULL");
    else
        capture_form(sql, "CAST($ AS TEXT)",
                     (struct reference){row, config_column(entry, entry->partition_key)});
}

/* The row that has the key of `row`: a key's collation finds it, and its bytes are the same. */
static void capture_present(struct buffer *sql, const struct config_entry *entry,
                            const struct entity_schema *schema, const char *row)
{
    buffer_append_text(sql, "FROM ");
    capture_identifier(sql, entry->table);
    buffer_append_text(sql, " AS " PRESENT " WHERE ");
    for (size_t i = 0; i < schema->key_count; i++) {
        const struct column *column = &schema->columns[schema->key_columns[i]];
        const char *name = config_column(entry, column->name);
        buffer_append_text(sql, i == 0 ? "" : " AND ");
        capture_form(sql, "$ = ", (struct reference){PRESENT, name});
        capture_form(sql, "$", (struct reference){row, name});
        if (column->type != COLUMN_TEXT)
            continue;
        capture_form(sql, " AND $ COLLATE BINARY = ", (struct reference){PRESENT, name});
        capture_form(sql, "$", (struct reference){row, name});
    }
}

/* What the row is by now, not what the change made of it: triggers of the service's own run before
 * and behind this one, and may change it again. Where they have taken it away, or brought it back,
 * the trigger of that change says so. */
static void capture_insert(struct buffer *sql, const struct config_entry *entry,
                           const struct entity_schema *schema, const struct image *image)
{
    const char *row = image->after != NULL ? PRESENT : image->before;
    const struct image present = {image->op, image->type, image->before,
                                  image->after != NULL ? PRESENT : NULL};
    buffer_append_text(sql, "  INSERT INTO outbox (aggregatetype, aggregateid, type, "
                            "partition_key, payload) SELECT ");
    capture_literal(sql, slice_of(entry->entity_type));
    buffer_append_text(sql, ", ");
    capture_object(sql, entry, schema, true, row);
    buffer_append_text(sql, ", ");
    capture_literal(sql, slice_of(entry->entity_type));
    buffer_append_format(sql, " || '.%s', ", image->type);
    capture_partition_key(sql, entry, row);
    buffer_append_text(sql, ",\n    ");
    capture_payload(sql, entry, schema, &present);
    buffer_append_text(sql, image->after != NULL ? "\n    " : "\n    WHERE NOT EXISTS (SELECT 1 ");
    capture_present(sql, entry, schema, image->after != NULL ? image->after : image->before);
    buffer_append_text(sql, image->after != NULL ? ";\n" : ");\n");
}

/* True where the key (or, with `key` false, any mapped column) differs, bytewise. */
static void capture_differs(struct buffer *sql, const struct config_entry *entry,
                            const struct entity_schema *schema, bool key)
{
    size_t count = key ? schema->key_count : schema->column_count;
    buffer_append_text(sql, "(");
    for (size_t i = 0; i < count; i++) {
        const struct column *column = &schema->columns[key ? schema->key_columns[i] : i];
        const char *name = config_column(entry, column->name);
        buffer_append_text(sql, i == 0 ? "" : " OR ");
        capture_form(sql, "$ IS NOT ", (struct reference){"OLD", name});
        capture_form(sql, "$ COLLATE BINARY", (struct reference){"NEW", name});
    }
    buffer_append_text(sql, ")");
}

/* True where `column` has another text, so that the row would go to another partition. */
static void capture_moves(struct buffer *sql, const char *column)
{
    capture_form(sql, "CAST($ AS TEXT) IS NOT ", (struct reference){"OLD", column});
    capture_form(sql, "CAST($ AS TEXT) COLLATE BINARY", (struct reference){"NEW", column});
}

/* A change that would leave the row's partition ends the statement that makes it. */
static void capture_fixed(struct buffer *sql, const struct config_entry *entry,
                          const struct entity_schema *schema)
{
    const char *column = capture_fixed_column(entry, schema);
    struct buffer text;
    if (column == NULL)
        return;
    buffer_init(&text, CAPTURE_SQL_MAX);
    capture_fixed_text(&text, entry);
    buffer_append_text(sql, "  SELECT RAISE(ABORT, ");
    capture_literal(sql, buffer_slice(&text));
    buffer_append_text(sql, ")\n    WHERE ");
    capture_moves(sql, column);
    buffer_append_text(sql, ";\n");
    sql->failed = sql->failed || text.failed;
    buffer_done(&text);
}

/* A NULL equals nothing, itself neither: such a row could be told apart at no peer. */
static void capture_null_key(struct buffer *sql, const struct config_entry *entry,
                             const struct entity_schema *schema)
{
    for (size_t i = 0; i < schema->key_count; i++) {
        const char *column = config_column(entry, schema->columns[schema->key_columns[i]].name);
        struct buffer text;
        buffer_init(&text, CAPTURE_SQL_MAX);
        buffer_append_format(&text,
                             "keepstep: column %s of table %s is part of the primary key and NULL, "
                             "so that the row cannot be published: give it a value",
                             column, entry->table);
        buffer_append_text(sql, "  SELECT RAISE(ABORT, ");
        capture_literal(sql, buffer_slice(&text));
        capture_form(sql, ") WHERE $ IS NULL;\n", (struct reference){"NEW", column});
        sql->failed = sql->failed || text.failed;
        buffer_done(&text);
    }
}

static void capture_open(struct capture_trigger *trigger, const struct config_entry *entry,
                         const char *suffix, const char *event)
{
    buffer_append_format(&trigger->name, "keepstep_%s_%s", entry->entity_type, suffix);
    buffer_append_text(&trigger->sql, "DROP TRIGGER IF EXISTS ");
    capture_identifier(&trigger->sql, buffer_text(&trigger->name));
    buffer_append_text(&trigger->sql, ";\nCREATE TRIGGER ");
    capture_identifier(&trigger->sql, buffer_text(&trigger->name));
    buffer_append_format(&trigger->sql, " AFTER %s ON ", event);
    capture_identifier(&trigger->sql, entry->table);
    buffer_append_text(&trigger->sql, "\nWHEN NOT EXISTS (SELECT 1 FROM keepstep_applying WHERE "
                                      "table_name = ");
    capture_literal(&trigger->sql, slice_of(entry->table));
    buffer_append_text(&trigger->sql, ")");
}

static void capture_body(struct capture_trigger *trigger, const struct config_entry *entry,
                         const struct entity_schema *schema, const struct image *images,
                         size_t count)
{
    buffer_append_text(&trigger->sql, "\nBEGIN\n");
    if (images[0].before != NULL && images[count - 1].after != NULL)
        capture_fixed(&trigger->sql, entry, schema);
    if (strcmp(images[count - 1].op, "c") == 0)
        capture_null_key(&trigger->sql, entry, schema);
    for (size_t i = 0; i < count; i++)
        capture_insert(&trigger->sql, entry, schema, &images[i]);
    buffer_append_text(&trigger->sql, "END");
}

/* Deletes first: a row that is inserted and deleted between two of them leaves no `c` alone. */
static void capture_triggers(const struct config_entry *entry, const struct entity_schema *schema,
                             struct capture_trigger triggers[CAPTURE_TRIGGER_COUNT])
{
    static const struct image create = {"c", "created", NULL, "NEW"};
    static const struct image update = {"u", "updated", "OLD", "NEW"};
    static const struct image moved[] = {{"d", "deleted", "OLD", NULL},
                                         {"c", "created", NULL, "NEW"}};
    const char *fixed = capture_fixed_column(entry, schema);
    capture_open(&triggers[0], entry, "delete", "DELETE");
    capture_body(&triggers[0], entry, schema, moved, 1);
    capture_open(&triggers[1], entry, "key", "UPDATE");
    buffer_append_text(&triggers[1].sql, " AND ");
    capture_differs(&triggers[1].sql, entry, schema, true);
    capture_body(&triggers[1], entry, schema, moved, 2);
    capture_open(&triggers[2], entry, "update", "UPDATE");
    buffer_append_text(&triggers[2].sql, " AND NOT ");
    capture_differs(&triggers[2].sql, entry, schema, true);
    buffer_append_text(&triggers[2].sql, fixed == NULL ? " AND " : " AND (");
    capture_differs(&triggers[2].sql, entry, schema, false);
    if (fixed != NULL) {
        buffer_append_text(&triggers[2].sql, " OR ");
        capture_moves(&triggers[2].sql, fixed);
        buffer_append_text(&triggers[2].sql, ")");
    }
    capture_body(&triggers[2], entry, schema, &update, 1);
    capture_open(&triggers[3], entry, "insert", "INSERT");
    capture_body(&triggers[3], entry, schema, &create, 1);
}

bool capture_sqlite_clashes(const char *entity_type, const char *other)
{
    return sqlite3_stricmp(entity_type, other) == 0;
}

enum status capture_sqlite_triggers(const struct config_entry *entry,
                                    const struct entity_schema *schema, struct arena *arena,
                                    struct origin_object **ret_objects, size_t *ret_count,
                                    struct error *err)
{
    struct capture_trigger triggers[CAPTURE_TRIGGER_COUNT];
    struct origin_object *objects = arena_alloc(arena, sizeof *objects * CAPTURE_TRIGGER_COUNT);
    enum status status = STATUS_OK;
    if (objects == NULL)
        return error_set(err, STATUS_RETRY, "no memory");
    for (size_t i = 0; i < CAPTURE_TRIGGER_COUNT; i++) {
        buffer_init(&triggers[i].name, CAPTURE_SQL_MAX);
        buffer_init(&triggers[i].sql, CAPTURE_SQL_MAX);
    }
    capture_triggers(entry, schema, triggers);
    for (size_t i = 0; i < CAPTURE_TRIGGER_COUNT; i++) {
        objects[i] = (struct origin_object){
            .kind = "trigger",
            .name = arena_copy(arena, buffer_slice(&triggers[i].name)).data,
            .table = entry->table,
            .sql = arena_copy(arena, buffer_slice(&triggers[i].sql)).data};
        if (triggers[i].sql.failed || triggers[i].name.failed)
            status = error_set(err, STATUS_FATAL, "entity type %s: triggers grow too large",
                               entry->entity_type);
        else if (objects[i].name == NULL || objects[i].sql == NULL)
            status = error_set(err, STATUS_RETRY, "no memory");
        buffer_done(&triggers[i].name);
        buffer_done(&triggers[i].sql);
    }
    *ret_objects = objects;
    *ret_count = CAPTURE_TRIGGER_COUNT;
    return status;
}

static void capture_key_list(struct buffer *sql, const struct config_entry *entry,
                             const struct entity_schema *schema)
{
    for (size_t i = 0; i < schema->key_count; i++) {
        const char *name = schema->columns[schema->key_columns[i]].name;
        buffer_append_text(sql, i == 0 ? "" : ", ");
        capture_form(sql, "$", (struct reference){"t", config_column(entry, name)});
    }
}

void capture_sqlite_existing(struct buffer *sql, const struct config_entry *entry,
                             const struct entity_schema *schema, bool resumed, size_t limit)
{
    static const struct image read = {"r", "read", NULL, "t"};
    buffer_append_text(sql, "SELECT ");
    capture_object(sql, entry, schema, true, "t");
    buffer_append_text(sql, ", ");
    capture_payload(sql, entry, schema, &read);
    buffer_append_text(sql, ", ");
    capture_partition_key(sql, entry, "t");
    buffer_append_text(sql, ", ");
    capture_key_list(sql, entry, schema);
    buffer_append_text(sql, " FROM ");
    capture_identifier(sql, entry->table);
    buffer_append_text(sql, " AS t");
    for (size_t i = 0; resumed && i < schema->key_count; i++) {
        buffer_append_text(sql, i == 0 ? " WHERE (" : ", ");
        if (i == 0) {
            capture_key_list(sql, entry, schema);
            buffer_append_text(sql, ") > (");
        }
        buffer_append_text(sql, "(SELECT value FROM keepstep_existing_key WHERE entity_type = ");
        capture_literal(sql, slice_of(entry->entity_type));
        buffer_append_format(sql, " AND ordinal = %zu)", i);
    }
    buffer_append_text(sql, resumed ? ") ORDER BY " : " ORDER BY ");
    capture_key_list(sql, entry, schema);
    buffer_append_format(sql, " LIMIT %zu", limit);
}
