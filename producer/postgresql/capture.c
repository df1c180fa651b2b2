/* Writes capture functions: each column becomes JSON by its type (rule 28), never by its value. */
#include "producer/postgresql/capture.h"
#include "common/digest.h"
#include "common/postgresql_name.h"
#include "producer/capture/capture.h"
#include "producer/postgresql/capture_rights.h"

#include <inttypes.h>

#define CAPTURE_NAME_MAX ((size_t)1024)
#define OUT_OF_RANGE                                                                               \
    "CASE WHEN isfinite($) THEN '\"beyond the years 1 to 9999\"' ELSE '\"infinity\"' END"
#define NOT_FINITE "('NaN', 'Infinity', '-Infinity')"

/* The column in SQL: NEW."name". */
struct reference {
    const char *row;
    const char *column;
};

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
        postgresql_name_append(sql, slice_of(of.column));
    }
}

/* What JSON or the calendar of RFC 3339 cannot hold is written as PostgreSQL writes it: the relay
 * sets such a row aside, naming the field. */
static const char *capture_value_form(enum column_type type)
{
    switch (type) {
    case COLUMN_INTEGER:
    case COLUMN_BOOLEAN:
        return "coalesce($::text, 'null')";
    case COLUMN_DECIMAL:
    case COLUMN_UUID:
        return "coalesce('\"' || $::text || '\"', 'null')";
    case COLUMN_DOUBLE:
        return "CASE WHEN $ IS NULL THEN 'null' WHEN $::text IN " NOT_FINITE
               " THEN '\"' || $::text || '\"' WHEN $::text = '-0' THEN '-0.0' "
               "ELSE $::float8::text END";
    case COLUMN_TEXT:
    case COLUMN_JSON:
        return "coalesce(to_json($::text)::text, 'null')";
    case COLUMN_BYTES:
        return "coalesce('\"' || upper(encode($, 'hex')) || '\"', 'null')";
    case COLUMN_DATE_TIME:
        return "CASE WHEN $ IS NULL THEN 'null' WHEN $ >= '0001-01-01 00:00:00+00' AND "
               "$ < '10000-01-01 00:00:00+00' THEN '\"' || to_char($ AT TIME ZONE 'UTC', "
               "'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') || '\"' ELSE " OUT_OF_RANGE " END";
    case COLUMN_TIMESTAMP:
        return "CASE WHEN $ IS NULL THEN 'null' WHEN $ >= '0001-01-01 00:00:00' AND "
               "$ < '10000-01-01 00:00:00' THEN '\"' || to_char($, "
               "'YYYY-MM-DD\"T\"HH24:MI:SS.US') || '\"' ELSE " OUT_OF_RANGE " END";
    case COLUMN_DATE:
        return "CASE WHEN $ IS NULL THEN 'null' WHEN $ >= '0001-01-01' AND $ < '10000-01-01' THEN "
               "'\"' || to_char($, 'YYYY-MM-DD') || '\"' ELSE " OUT_OF_RANGE " END";
    case COLUMN_TIME:
        return "coalesce('\"' || to_char($, 'HH24:MI:SS.US') || '\"', 'null')";
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
    capture_form(sql, capture_value_form(type), of);
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
        buffer_append_text(sql, "\n      || ");
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
    buffer_append_text(sql, "\n      || ',\"after\":' || ");
    if (image->after != NULL)
        capture_object(sql, entry, schema, false, image->after);
    else
        buffer_append_text(sql, "'null'");
    buffer_append_text(sql, " || '}'");
}

/* The text of a date would follow the session's DateStyle. */
static const char *capture_partition_form(const struct config_entry *entry,
                                          const struct entity_schema *schema)
{
    int index = entity_schema_find(schema, slice_of(entry->partition_key));
    bool is_date = index >= 0 && schema->columns[index].type == COLUMN_DATE;
    return is_date ? "to_char($, 'YYYY-MM-DD')" : "$::text";
}

/* The six values of an outbox row. */
static void capture_values(struct buffer *sql, const struct config_entry *entry,
                           const struct entity_schema *schema, const struct image *image)
{
    const char *row = image->after != NULL ? image->after : image->before;
    capture_literal(sql, slice_of(entry->entity_type));
    buffer_append_text(sql, " AS entity_type, ");
    capture_object(sql, entry, schema, true, row);
    buffer_append_text(sql, " AS entity_key, ");
    capture_literal(sql, slice_of(entry->entity_type));
    buffer_append_format(sql, " || '.%s' AS type, ", image->type);
    if (entry->partition_key == NULL)
        buffer_append_text(sql, "NULL");
    else
        capture_form(sql, capture_partition_form(entry, schema),
                     (struct reference){row, config_column(entry, entry->partition_key)});
    buffer_append_text(sql, " AS partition_key,\n      ");
    capture_payload(sql, entry, schema, image);
    buffer_append_text(sql, " AS payload");
}

static void capture_insert(struct buffer *sql, const char *outbox)
{
    buffer_append_text(sql, "INSERT INTO ");
    if (outbox != NULL) {
        postgresql_name_append(sql, slice_of(outbox));
        buffer_append_text(sql, ".");
    }
    buffer_append_text(sql, "outbox (aggregatetype, aggregateid, type, partition_key, payload)\n"
                            "    SELECT ");
}

/* The key's columns (or all mapped ones) of a row. */
static void capture_record(struct buffer *sql, const struct config_entry *entry,
                           const struct entity_schema *schema, bool key, const char *row)
{
    size_t count = key ? schema->key_count : schema->column_count;
    buffer_append_text(sql, "ROW(");
    for (size_t i = 0; i < count; i++) {
        const struct column *column = &schema->columns[key ? schema->key_columns[i] : i];
        buffer_append_text(sql, i == 0 ? "" : ", ");
        capture_form(sql, "$", (struct reference){row, config_column(entry, column->name)});
    }
    buffer_append_text(sql, ")");
}

/* Bytewise; between two ROW() as they stand *<> would mean one operator a column. */
static void capture_differs(struct buffer *sql, const struct config_entry *entry,
                            const struct entity_schema *schema, bool key)
{
    capture_record(sql, entry, schema, key, "OLD");
    buffer_append_text(sql, "::record *<> ");
    capture_record(sql, entry, schema, key, "NEW");
    buffer_append_text(sql, "::record");
}

/* No JSON number says NaN or infinity, and there is no row that could be set aside for it later. */
static void capture_refusals(struct buffer *sql, const struct config_entry *entry,
                             const struct entity_schema *schema)
{
    for (size_t i = 0; i < schema->column_count; i++) {
        const struct column *column = &schema->columns[i];
        if (column->type != COLUMN_DOUBLE && column->type != COLUMN_DECIMAL)
            continue;
        struct reference of = {"NEW", config_column(entry, column->name)};
        capture_form(sql, "    IF $::text IN " NOT_FINITE " THEN\n", of);
        buffer_append_text(sql, "      RAISE EXCEPTION USING ERRCODE = 'numeric_value_out_of_range'"
                                ", MESSAGE =\n        ");
        struct buffer text;
        buffer_init(&text, CAPTURE_SQL_MAX);
        buffer_append_format(&text,
                             "keepstep: column %s of table %s is NaN or infinite, which cannot be "
                             "published",
                             of.column, entry->table);
        capture_literal(sql, buffer_slice(&text));
        buffer_done(&text);
        buffer_append_text(sql, ";\n    END IF;\n");
    }
}

/* A change that would leave the row's partition ends the statement that makes it. */
static void capture_fixed(struct buffer *sql, const struct config_entry *entry,
                          const struct entity_schema *schema)
{
    const char *column = capture_fixed_column(entry, schema);
    struct buffer text;
    if (column == NULL)
        return;
    const char *form = capture_partition_form(entry, schema);
    buffer_init(&text, CAPTURE_SQL_MAX);
    capture_fixed_text(&text, entry);
    buffer_append_text(sql, "    IF ");
    capture_form(sql, form, (struct reference){"OLD", column});
    buffer_append_text(sql, " COLLATE \"C\" IS DISTINCT FROM ");
    capture_form(sql, form, (struct reference){"NEW", column});
    buffer_append_text(sql, " THEN\n      RAISE EXCEPTION USING ERRCODE = 'check_violation', "
                            "MESSAGE =\n        ");
    capture_literal(sql, buffer_slice(&text));
    buffer_append_text(sql, ";\n    END IF;\n");
    sql->failed = sql->failed || text.failed;
    buffer_done(&text);
}

static void capture_lost_end(struct buffer *sql, const struct config_entry *entry)
{
    struct buffer text;
    buffer_init(&text, CAPTURE_SQL_MAX);
    capture_lost_text(&text, entry);
    buffer_append_text(sql, "  EXCEPTION WHEN undefined_column THEN\n    RAISE EXCEPTION USING "
                            "ERRCODE = 'undefined_column', MESSAGE =\n      ");
    capture_literal(sql, buffer_slice(&text));
    buffer_append_text(sql, " || SQLERRM;\n  END;\n");
    sql->failed = sql->failed || text.failed;
    buffer_done(&text);
}

/* Reads each column that is published, and writes nothing: the handler's subtransaction gets no
 * number, of which there would be one a row. */
static void capture_lost(struct buffer *sql, const struct config_entry *entry,
                         const struct entity_schema *schema)
{
    buffer_append_text(sql, "  BEGIN\n    IF TG_OP = 'DELETE' THEN\n      IF ");
    capture_record(sql, entry, schema, !entry->before, "OLD");
    buffer_append_text(sql, " IS NULL THEN\n      END IF;\n    ELSIF ");
    capture_record(sql, entry, schema, false, "NEW");
    buffer_append_text(sql, " IS NULL THEN\n    END IF;\n");
    capture_lost_end(sql, entry);
}

struct capture {
    const struct config_entry *entry;
    const struct entity_schema *schema;
    const struct capture_postgresql_place *place;
    struct arena *arena;
    struct origin_object *objects;
    size_t count;
};

static bool capture_has_doubles(const struct entity_schema *schema)
{
    bool found = false;
    for (size_t i = 0; i < schema->column_count; i++)
        found = found || schema->columns[i].type == COLUMN_DOUBLE;
    return found;
}

/* The table's row with the key of `row`, if this transaction has written it: under REPEATABLE READ
 * a row that another transaction has deleted meanwhile is seen as well. */
static void capture_present(struct buffer *sql, const struct capture *capture, const char *row)
{
    const struct entity_schema *schema = capture->schema;
    buffer_append_format(sql, "FROM %s AS t WHERE ", PQgetvalue(capture->place->table, 0, 1));
    for (size_t i = 0; i < schema->key_count; i++) {
        const char *name = schema->columns[schema->key_columns[i]].name;
        const char *column = config_column(capture->entry, name);
        buffer_append_text(sql, i == 0 ? "" : " AND ");
        capture_form(sql, "$ = ", (struct reference){"t", column});
        capture_form(sql, "$", (struct reference){row, column});
    }
    buffer_append_text(sql, "\n      AND age(t.xmin) <= age(pg_current_xact_id()::xid)");
}

/* What the row is by now, not what the change made of it: other triggers run before this one, also
 * those of the statement's other rows. Who has taken the row away says so. A renamed table is not
 * found by its name until `init` has run, nor a row that a policy hides: there the change counts.
 */
static void capture_read_present(struct buffer *sql, const struct capture *capture)
{
    buffer_append_text(sql, "  IF TG_OP <> 'DELETE' AND named THEN\n    SELECT * INTO present ");
    capture_present(sql, capture, "NEW");
    buffer_append_text(sql, ";\n    stands := FOUND;\n  ELSIF TG_OP <> 'DELETE' THEN\n"
                            "    present := NEW;\n  END IF;\n");
}

static void capture_row_events(struct buffer *sql, const struct capture *capture)
{
    static const struct image create = {"c", "created", NULL, "present"};
    static const struct image update = {"u", "updated", "OLD", "present"};
    static const struct image delete = {"d", "deleted", "OLD", NULL};
    const struct config_entry *entry = capture->entry;
    const struct entity_schema *schema = capture->schema;
    const char *outbox = capture->place->outbox;
    buffer_append_text(sql, "  IF TG_OP = 'UPDATE' THEN\n    IF NOT (");
    capture_differs(sql, entry, schema, true);
    buffer_append_text(sql, ") THEN\n    ");
    capture_insert(sql, outbox);
    capture_values(sql, entry, schema, &update);
    buffer_append_text(sql, "\n      WHERE stands;\n      RETURN NULL;\n    END IF;\n  END IF;\n"
                            "  IF TG_OP <> 'INSERT' AND named THEN\n    ");
    capture_insert(sql, outbox);
    capture_values(sql, entry, schema, &delete);
    buffer_append_text(sql, "\n      WHERE NOT EXISTS (SELECT 1 ");
    capture_present(sql, capture, "OLD");
    buffer_append_text(sql, ");\n  ELSIF TG_OP <> 'INSERT' THEN\n    ");
    capture_insert(sql, outbox);
    capture_values(sql, entry, schema, &delete);
    buffer_append_text(sql, ";\n  END IF;\n  IF TG_OP <> 'DELETE' AND stands THEN\n    ");
    capture_insert(sql, outbox);
    capture_values(sql, entry, schema, &create);
    buffer_append_text(sql, ";\n  END IF;\n  RETURN NULL;\n");
}

static void capture_row_body(struct buffer *sql, const struct capture *capture, struct slice name)
{
    const struct config_entry *entry = capture->entry;
    const struct entity_schema *schema = capture->schema;
    buffer_append_text(sql, "DECLARE\n  named CONSTANT boolean := "
                            "coalesce(pg_partition_root(TG_RELID), TG_RELID) = to_regclass(");
    capture_literal(sql, postgresql_session_text(capture->place->table, 0, 1));
    buffer_append_text(sql, ")\n    AND NOT row_security_active(coalesce(pg_partition_root("
                            "TG_RELID), TG_RELID));\n  present record;\n"
                            "  stands boolean := true;\nBEGIN\n"
                            "  IF current_setting('keepstep.applying', true) = ");
    capture_literal(sql, slice_of(entry->table));
    buffer_append_text(sql, " AND pg_trigger_depth() = 1 THEN\n    RETURN NULL;\n  END IF;\n");
    capture_rights_check(sql, capture->place, name);
    capture_lost(sql, entry, schema);
    buffer_append_text(sql, "  IF TG_OP <> 'DELETE' THEN\n");
    capture_refusals(sql, entry, schema);
    buffer_append_text(sql, "    NULL;\n  END IF;\n  IF TG_OP = 'UPDATE' THEN\n");
    capture_fixed(sql, entry, schema);
    buffer_append_text(sql, "    IF NOT (");
    capture_differs(sql, entry, schema, false);
    buffer_append_text(sql, ") THEN\n      RETURN NULL;\n    END IF;\n  END IF;\n");
    capture_read_present(sql, capture);
    capture_row_events(sql, capture);
}

/* Of what is truncated with a partitioned table, its trigger writes the partitions that have none
 * of their own yet, nor a table between that has: they were made since `init`. */
static void capture_truncate_body(struct buffer *sql, const struct capture *capture,
                                  struct slice name)
{
    static const struct image delete = {"d", "deleted", "t", NULL};
    buffer_append_text(sql, "BEGIN\n");
    capture_rights_leave(sql, capture->place);
    capture_rights_check(sql, capture->place, name);
    buffer_append_text(sql,
                       "  DECLARE\n    leaf regclass;\n  BEGIN\n"
                       "  FOR leaf IN SELECT c.oid::regclass FROM pg_class AS c\n"
                       "      WHERE c.relkind = 'r' AND (c.oid = TG_RELID OR c.oid IN (\n"
                       "        SELECT relid FROM pg_partition_tree(TG_RELID)) AND NOT EXISTS "
                       "(\n        SELECT 1 FROM pg_trigger AS g WHERE g.tgname = TG_NAME AND "
                       "g.tgenabled = 'A'\n          AND g.tgrelid <> TG_RELID AND g.tgrelid IN ("
                       "SELECT relid FROM pg_partition_tree(TG_RELID)\n            INTERSECT "
                       "SELECT relid FROM pg_partition_ancestors(c.oid)))) LOOP\n"
                       "    EXECUTE $truncate$");
    capture_insert(sql, capture->place->outbox);
    capture_values(sql, capture->entry, capture->schema, &delete);
    buffer_append_text(sql, "\n    FROM ONLY $truncate$ || leaf || ' AS t';\n  END LOOP;\n");
    capture_lost_end(sql, capture->entry);
    buffer_append_text(sql, "  RETURN NULL;\n");
}

/* The comment tells a later `init` whether the object is what it would write. */
static struct slice capture_finish(struct buffer *sql, const char *kind, struct slice what,
                                   struct arena *arena)
{
    uint64_t digest = digest_64(buffer_slice(sql));
    buffer_append_format(sql, ";\nCOMMENT ON %s %.*s IS 'Keepstep %016" PRIx64 "'", kind,
                         SLICE_ARGS(what), digest);
    return sql->failed ? (struct slice){0} : arena_copy(arena, buffer_slice(sql));
}

static void capture_function_name(struct buffer *what, const struct capture *capture,
                                  struct slice name)
{
    postgresql_name_append(what, slice_of(capture->place->outbox));
    buffer_append_text(what, ".");
    postgresql_name_append(what, name);
    buffer_append_text(what, "()");
}

/* Settings that the body needs stand behind the search path, in which nobody's temporary objects
 * come before PostgreSQL's own. */
static bool capture_add_function(struct capture *capture, const char *after, const char *settings,
                                 void (*body)(struct buffer *sql, const struct capture *capture,
                                              struct slice name))
{
    struct buffer sql;
    struct buffer what;
    buffer_init(&sql, CAPTURE_SQL_MAX);
    buffer_init(&what, CAPTURE_NAME_MAX);
    struct slice name = capture_postgresql_name(capture->arena, "keepstep_",
                                                capture->entry->entity_type, after);
    capture_function_name(&what, capture, name);
    buffer_append_format(&sql,
                         "CREATE OR REPLACE FUNCTION %s RETURNS trigger LANGUAGE plpgsql "
                         "SECURITY DEFINER\nSET search_path = pg_catalog, pg_temp%s%s AS "
                         "$keepstep$\n",
                         buffer_text(&what), settings,
                         capture_has_doubles(capture->schema) ? " SET extra_float_digits = 1" : "");
    body(&sql, capture, name);
    buffer_append_text(&sql, "END\n$keepstep$");
    capture_rights_seal(&sql, capture->place, buffer_slice(&what));
    struct slice text = capture_finish(&sql, "FUNCTION", buffer_slice(&what), capture->arena);
    struct slice table = arena_copy(capture->arena,
                                    postgresql_session_text(capture->place->table, 0, 1));
    capture->objects[capture->count++] = (struct origin_object){
        .kind = "function", .name = name.data, .table = table.data, .sql = text.data};
    buffer_done(&sql);
    buffer_done(&what);
    return name.data != NULL && table.data != NULL && text.data != NULL;
}

/* `00_`: triggers run by their names, so that an event's `before` is what the copies have. */
static bool capture_add_trigger(struct capture *capture, const char *after, const char *event,
                                struct slice table)
{
    struct buffer sql;
    struct buffer what;
    buffer_init(&sql, CAPTURE_SQL_MAX);
    buffer_init(&what, CAPTURE_NAME_MAX);
    const char *type = capture->entry->entity_type;
    struct slice name = capture_postgresql_name(capture->arena, "00_keepstep_", type, after);
    struct slice function = capture_postgresql_name(capture->arena, "keepstep_", type, after);
    postgresql_name_append(&what, name);
    buffer_append_format(&sql, "CREATE OR REPLACE TRIGGER %s %s ON %.*s\n  %s EXECUTE FUNCTION ",
                         buffer_text(&what), event, SLICE_ARGS(table),
                         event[0] == 'A' ? "FOR EACH ROW" : "FOR EACH STATEMENT");
    capture_function_name(&sql, capture, function);
    buffer_append_format(&sql, ";\nALTER TABLE %.*s ENABLE ALWAYS TRIGGER %s", SLICE_ARGS(table),
                         buffer_text(&what));
    buffer_append_format(&what, " ON %.*s", SLICE_ARGS(table));
    struct slice text = capture_finish(&sql, "TRIGGER", buffer_slice(&what), capture->arena);
    struct slice copy = arena_copy(capture->arena, table);
    capture->objects[capture->count++] = (struct origin_object){
        .kind = "trigger", .name = name.data, .table = copy.data, .sql = text.data};
    capture->objects[capture->count - 1].of_partition =
        event[0] == 'B' && !slice_is(table, PQgetvalue(capture->place->table, 0, 1));
    buffer_done(&sql);
    buffer_done(&what);
    return name.data != NULL && text.data != NULL && copy.data != NULL;
}

/* Deletes first: where what is printed is run statement by statement, a row that is inserted and
 * truncated between two triggers leaves no `c` alone. */
enum status capture_postgresql_objects(const struct config_entry *entry,
                                       const struct entity_schema *schema,
                                       const struct capture_postgresql_place *place,
                                       struct arena *arena, struct origin_object **ret_objects,
                                       size_t *ret_count, struct error *err)
{
    struct capture capture = {.entry = entry, .schema = schema, .place = place, .arena = arena};
    struct buffer table;
    int tables = PQntuples(place->partitions);
    capture.objects = arena_alloc(arena, ((size_t)tables + 3) * sizeof *capture.objects);
    if (capture.objects == NULL)
        return error_set(err, STATUS_RETRY, "no memory");
    buffer_init(&table, CAPTURE_NAME_MAX);
    postgresql_name_append_table(&table, entry->table);
    /* A plan that was made while the table was small would read all of it for each row. */
    bool made = capture_add_function(&capture, "_row", " SET enable_seqscan = off",
                                     capture_row_body) &&
                capture_add_function(&capture, "_truncate", " SET row_security = off",
                                     capture_truncate_body);
    for (int i = 0; made && i < tables; i++)
        made = capture_add_trigger(&capture, "_truncate", "BEFORE TRUNCATE",
                                   postgresql_session_text(place->partitions, i, 0));
    made = made && capture_add_trigger(&capture, "_row", "AFTER INSERT OR UPDATE OR DELETE",
                                       buffer_slice(&table));
    buffer_done(&table);
    *ret_objects = capture.objects;
    *ret_count = capture.count;
    return made ? STATUS_OK
                : error_set(err, STATUS_FATAL, "entity type %s: triggers grow too large",
                            entry->entity_type);
}

/* (key columns) > (noted key), the noted texts read as the columns' own types. */
static void capture_behind(struct buffer *sql, const struct config_entry *entry,
                           const struct entity_schema *schema)
{
    capture_record(sql, entry, schema, true, "t");
    buffer_append_text(sql, " > ROW(");
    for (size_t i = 0; i < schema->key_count; i++) {
        const struct column *column = &schema->columns[schema->key_columns[i]];
        buffer_append_text(sql, i == 0 ? "" : ", ");
        buffer_append_text(sql, "(SELECT value FROM keepstep_existing_key WHERE entity_type = ");
        capture_literal(sql, slice_of(entry->entity_type));
        buffer_append_format(sql, " AND ordinal = %zu)::%s", i,
                             column->type == COLUMN_INTEGER ? "bigint"
                             : column->type == COLUMN_UUID  ? "uuid"
                                                            : "text");
    }
    buffer_append_text(sql, ")");
}

void capture_postgresql_rest(struct buffer *sql, const struct config_entry *entry,
                             const struct entity_schema *schema)
{
    buffer_append_text(sql, "SELECT EXISTS (SELECT 1 FROM ");
    postgresql_name_append_table(sql, entry->table);
    buffer_append_text(sql, " AS t WHERE ");
    capture_behind(sql, entry, schema);
    buffer_append_text(sql, ")::integer");
}

static void capture_key(struct buffer *sql, const struct config_entry *entry,
                        const struct entity_schema *schema, const char *separator, const char *form)
{
    for (size_t i = 0; i < schema->key_count; i++) {
        const char *name = config_column(entry, schema->columns[schema->key_columns[i]].name);
        buffer_append_text(sql, i == 0 ? "" : separator);
        capture_form(sql, form, (struct reference){"t", name});
    }
}

/* The key of the last row of the chunk, read without locks: what moves up past it while its lock
 * is waited for is read when its turn comes. */
static void capture_edge(struct buffer *sql, const struct config_entry *entry,
                         const struct entity_schema *schema, bool resumed, size_t limit)
{
    buffer_append_text(sql, "WITH edge AS MATERIALIZED (\n    SELECT ");
    capture_key(sql, entry, schema, ", ", "$");
    buffer_append_text(sql, " FROM (SELECT ");
    capture_key(sql, entry, schema, ", ", "$");
    buffer_append_text(sql, " FROM ");
    postgresql_name_append_table(sql, entry->table);
    buffer_append_text(sql, " AS t");
    if (resumed) {
        buffer_append_text(sql, " WHERE ");
        capture_behind(sql, entry, schema);
    }
    buffer_append_text(sql, " ORDER BY ");
    capture_key(sql, entry, schema, ", ", "$");
    buffer_append_format(sql, " LIMIT %zu) AS t ORDER BY ", limit);
    capture_key(sql, entry, schema, ", ", "$ DESC");
    buffer_append_text(sql, " LIMIT 1)\n");
}

void capture_postgresql_chunk(struct buffer *sql, const struct config_entry *entry,
                              const struct entity_schema *schema, bool resumed, size_t limit)
{
    static const struct image read = {"r", "read", NULL, "t"};
    capture_edge(sql, entry, schema, resumed, limit);
    buffer_append_text(sql, ", chunk AS MATERIALIZED (\n    SELECT ");
    capture_values(sql, entry, schema, &read);
    buffer_append_text(sql, "\n    FROM ");
    postgresql_name_append_table(sql, entry->table);
    buffer_append_text(sql, " AS t WHERE ");
    if (resumed) {
        capture_behind(sql, entry, schema);
        buffer_append_text(sql, " AND ");
    }
    capture_record(sql, entry, schema, true, "t");
    buffer_append_text(sql, " <= ROW(");
    capture_key(sql, entry, schema, ", ", "(SELECT $ FROM edge AS t)");
    buffer_append_text(sql, ") ORDER BY ");
    capture_key(sql, entry, schema, ", ", "$");
    buffer_append_format(sql,
                         "\n    LIMIT %zu FOR SHARE OF t\n"
                         "), numbered AS (SELECT *, row_number() OVER () AS number FROM chunk)\n"
                         ", written AS (",
                         limit);
    capture_insert(sql, NULL);
    buffer_append_text(sql, "entity_type, entity_key, type, partition_key, payload FROM numbered "
                            "ORDER BY number)\n, noted AS (INSERT INTO keepstep_existing_key AS k\n"
                            "    SELECT ");
    capture_literal(sql, slice_of(entry->entity_type));
    buffer_append_text(sql, ", v.ordinal - 1, v.value FROM edge AS t, unnest(ARRAY[");
    capture_key(sql, entry, schema, ", ", "$::text");
    buffer_append_text(sql,
                       "]) WITH ORDINALITY AS v (value, ordinal)\n    ON CONFLICT (entity_type, "
                       "ordinal) DO UPDATE SET value = excluded.value)\n"
                       "SELECT (SELECT count(*) FROM chunk), (SELECT count(*) FROM edge)");
}
