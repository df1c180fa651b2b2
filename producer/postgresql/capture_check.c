/* Refuses the tables and columns whose changes triggers cannot capture whole (rules 25, 26, 28). */
#include "producer/postgresql/capture.h"
#define CAPTURE_NO_COLUMN                                                                          \
    "does not have each column of the schema: write under columns: how one that was renamed is "   \
    "called now, take one that was dropped out of the schema; it has no column "
#include "common/postgresql_name.h"
#include "producer_postgresql_sql.h"

#include <stdio.h>
#include <sysexits.h>

static enum status capture_refuse(struct error *err, const struct config_entry *entry,
                                  const char *what, const char *name)
{
    enum status status = error_set(err, STATUS_FATAL, "publish.%s: table %s %s%s",
                                   entry->entity_type, entry->table, what, name);
    if (err != NULL)
        err->exit_code = EX_CONFIG;
    return status;
}

/* PostgreSQL types whose values reach a schema type's form exactly. */
static const char *const CAPTURE_ACCEPTS[] = {
    [COLUMN_INTEGER] = " int2 int4 int8 ",
    [COLUMN_DECIMAL] = " numeric int2 int4 int8 ",
    [COLUMN_DOUBLE] = " float8 float4 ",
    [COLUMN_TEXT] = " text varchar citext enum ",
    [COLUMN_BYTES] = " bytea ",
    [COLUMN_BOOLEAN] = " bool ",
    [COLUMN_DATE_TIME] = " timestamptz ",
    [COLUMN_JSON] = " json jsonb ",
    [COLUMN_DATE] = " date ",
    [COLUMN_TIME] = " time ",
    [COLUMN_TIMESTAMP] = " timestamp ",
    [COLUMN_UUID] = " uuid ",
};

/* What to do with a type that no schema type holds exactly. */
static const struct {
    const char *type;
    const char *advice;
} CAPTURE_ADVICE[] = {
    {"interval", "has no length of its own in other databases: publish two times, or its seconds"},
    {"timetz", "has a zone without a day: use time or timestamptz"},
    {"bpchar", "pads with blanks: use text or varchar"},
    {"money", "follows the server's locale: use numeric"},
    {"array", "has no place in other databases: use jsonb"},
};

static enum status capture_check_type(const struct config_entry *entry, const struct column *column,
                                      const PGresult *found, struct error *err)
{
    char text[512];
    char type[128];
    const char *name = config_column(entry, column->name);
    const char *base = PQgetvalue(found, 0, 2);
    (void)snprintf(type, sizeof type, " %s ", base);
    if (strstr(CAPTURE_ACCEPTS[column->type], type) != NULL)
        return STATUS_OK;
    for (size_t i = 0; i < sizeof CAPTURE_ADVICE / sizeof *CAPTURE_ADVICE; i++) {
        if (strcmp(base, CAPTURE_ADVICE[i].type) == 0) {
            (void)snprintf(text, sizeof text, "has column %s of type %s, which %s", name,
                           PQgetvalue(found, 0, 1), CAPTURE_ADVICE[i].advice);
            return capture_refuse(err, entry, text, "");
        }
    }
    (void)snprintf(text, sizeof text,
                   "has column %s of type %s, which x-keepstep-type %s does not hold; it holds%s",
                   name, PQgetvalue(found, 0, 1), column_type_name(column->type),
                   CAPTURE_ACCEPTS[column->type]);
    return capture_refuse(err, entry, text, "");
}

static enum status capture_check_key_column(const struct config_entry *entry,
                                            const struct column *column, const PGresult *found,
                                            struct error *err)
{
    const char *name = config_column(entry, column->name);
    bool in_key = postgresql_session_integer(found, 0, 0) >= 0;
    if (!column->is_key)
        return in_key ? capture_refuse(err, entry, "has more key columns than x-keepstep-key; add ",
                                       name)
                      : STATUS_OK;
    if (!in_key)
        return capture_refuse(err, entry,
                              "has another primary key than x-keepstep-key, which names ", name);
    if (column->type != COLUMN_INTEGER && column->type != COLUMN_TEXT &&
        column->type != COLUMN_UUID)
        return capture_refuse(err, entry,
                              "needs an integer, text or uuid key; it is neither: ", name);
    if (strcmp(PQgetvalue(found, 0, 2), "citext") == 0 ||
        postgresql_session_integer(found, 0, 3) == 0)
        return capture_refuse(err, entry,
                              "has a key that takes different texts for the same; use text with a "
                              "deterministic collation for ",
                              name);
    if (strcmp(PQgetvalue(found, 0, 2), "enum") == 0)
        return capture_refuse(err, entry, "has an enum in its key; use text for ", name);
    return STATUS_OK;
}

static enum status capture_check_columns(PGconn *connection, struct slice table,
                                         const struct config_entry *entry,
                                         const struct entity_schema *schema, struct error *err)
{
    enum status status = STATUS_OK;
    for (size_t i = 0; status == STATUS_OK && i < schema->column_count; i++) {
        const struct column *column = &schema->columns[i];
        const char *name = config_column(entry, column->name);
        const struct slice parameters[] = {table, slice_of(name)};
        PGresult *found = NULL;
        status = postgresql_session_query(connection, SQL_CHECK_COLUMN, parameters, 2, &found, err);
        if (status != STATUS_OK)
            return status;
        if (PQntuples(found) == 0)
            status = capture_refuse(err, entry, CAPTURE_NO_COLUMN, name);
        else if (PQgetvalue(found, 0, 4)[0] == 'v')
            status = capture_refuse(err, entry,
                                    "has a virtual generated column, which triggers do "
                                    "not see; make it STORED: ",
                                    name);
        if (status == STATUS_OK)
            status = capture_check_key_column(entry, column, found, err);
        if (status == STATUS_OK)
            status = capture_check_type(entry, column, found, err);
        PQclear(found);
    }
    return status;
}

static enum status capture_check_partition_column(PGconn *connection, struct slice table,
                                                  const struct config_entry *entry,
                                                  struct error *err)
{
    PGresult *found = NULL;
    if (entry->partition_key == NULL)
        return STATUS_OK;
    const char *name = config_column(entry, entry->partition_key);
    const struct slice parameters[] = {table, slice_of(name)};
    enum status status = postgresql_session_query(connection, SQL_CHECK_COLUMN, parameters, 2,
                                                  &found, err);
    if (status == STATUS_OK && PQntuples(found) == 0)
        status = capture_refuse(err, entry, "has no column for partition_key: ", name);
    PQclear(found);
    return status;
}

static enum status capture_check_table(const struct capture_catalogue *catalogue,
                                       const struct config_entry *entry, const PGresult *found,
                                       struct error *err)
{
    if (PQntuples(found) == 0)
        return capture_refuse(err, entry, "does not exist; create it first", "");
    char kind = PQgetvalue(found, 0, 0)[0];
    if (kind != 'r' && kind != 'p')
        return capture_refuse(err, entry, "is a view or a foreign table; name the table itself",
                              "");
    if (PQgetvalue(found, 0, 1)[0] != 'p')
        return capture_refuse(err, entry,
                              "is unlogged or temporary: a crash empties it without a trigger; "
                              "ALTER TABLE … SET LOGGED",
                              "");
    if (PQgetvalue(found, 0, 2)[0] == 't')
        return capture_refuse(err, entry,
                              "has tables that inherit from it, whose rows its triggers do not "
                              "see; publish those, or partition it",
                              "");
    if (PQgetvalue(found, 0, 3)[0] == 't')
        return capture_refuse(err, entry, "is a partition; publish the table it belongs to", "");
    if (strcmp(PQgetvalue(found, 0, 4), "SQL_ASCII") == 0)
        return capture_refuse(err, entry,
                              "is in a database of encoding SQL_ASCII, whose bytes mean nothing; "
                              "move it to one of UTF8",
                              "");
    if ((!catalogue->watching && PQgetvalue(found, 0, 5)[0] == 't') ||
        PQgetvalue(found, 0, 6)[0] == 't')
        return capture_refuse(err, entry,
                              "has row security that hides rows from this role or from its owner: "
                              "neither are they read, nor deleted at the copies by TRUNCATE; run "
                              "init as a role with BYPASSRLS or as its owner, and give the owner "
                              "BYPASSRLS or the table NO FORCE ROW LEVEL SECURITY",
                              "");
    return STATUS_OK;
}

static enum status capture_check_key(const struct config_entry *entry,
                                     const struct entity_schema *schema, const PGresult *found,
                                     struct error *err)
{
    if (PQntuples(found) == 0)
        return capture_refuse(err, entry, "has no primary key; give it one", "");
    if (postgresql_session_integer(found, 0, 0) == 0)
        return capture_refuse(err, entry,
                              "has a DEFERRABLE primary key: one statement may give a key to a row "
                              "before another has lost it; make it NOT DEFERRABLE",
                              "");
    if (postgresql_session_integer(found, 0, 1) > (int64_t)schema->key_count)
        return capture_refuse(err, entry, "has more key columns than x-keepstep-key; name all", "");
    return STATUS_OK;
}

/* A capture function runs with the rights of its table's owner, and so does what the outbox's owner
 * hangs on the outbox. */
static enum status capture_check_owner(const struct capture_catalogue *catalogue,
                                       const struct config_entry *entry, const PGresult *found,
                                       struct error *err)
{
    char text[1024];
    const char *owner = PQgetvalue(found, 0, 0);
    if (!catalogue->watching && postgresql_session_integer(found, 0, 1) == 0) {
        (void)snprintf(text, sizeof text,
                       "belongs to role %s, with whose rights its changes are captured: run init "
                       "as that role or as a superuser; or make this role a member of %s and GRANT "
                       "CREATE ON SCHEMA %s TO %s",
                       owner, owner, PQgetvalue(found, 0, 2), owner);
        return capture_refuse(err, entry, text, "");
    }
    if (postgresql_session_integer(found, 0, 4) == 0) {
        (void)snprintf(text, sizeof text,
                       "belongs to role %s and the outbox to %s, whose triggers on it would get "
                       "rights that %s has not: ALTER TABLE outbox OWNER TO %s, or GRANT %s TO %s",
                       owner, PQgetvalue(found, 0, 3), PQgetvalue(found, 0, 3), owner, owner,
                       PQgetvalue(found, 0, 3));
        return capture_refuse(err, entry, text, "");
    }
    return STATUS_OK;
}

/* Cascades run at the depth of the statement itself, so the trigger would take them for the
 * agent's own writes. */
static enum status capture_check_cascade(PGconn *connection, struct slice table,
                                         const struct config_entry *entry, struct error *err)
{
    PGresult *found = NULL;
    enum status status = postgresql_session_query(connection, SQL_CHECK_CASCADE, &table, 1, &found,
                                                  err);
    if (status == STATUS_OK && PQntuples(found) > 0)
        status = capture_refuse(err, entry,
                                "is also applied here and has a foreign key to itself whose action "
                                "changes rows that the log does not name; make it NO ACTION: ",
                                PQgetvalue(found, 0, 0));
    PQclear(found);
    return status;
}

/* A table that the role does not see may be there all the same. */
static enum status capture_check_sight(PGconn *connection, struct slice table,
                                       const struct config_entry *entry, struct error *err)
{
    PGresult *found = NULL;
    enum status status = postgresql_session_query(connection, SQL_CHECK_SIGHT, &table, 1, &found,
                                                  err);
    if (status == STATUS_OK && PQgetvalue(found, 0, 0)[0] == 't')
        status = error_set(err, STATUS_RETRY,
                           "publish.%s: this role does not see table %s: give it USAGE on the "
                           "schema, and name the schema in `table:` where its search_path differs",
                           entry->entity_type, entry->table);
    PQclear(found);
    return status;
}

enum status capture_postgresql_check(const struct capture_catalogue *catalogue,
                                     const struct config_entry *entry,
                                     const struct entity_schema *schema, struct error *err)
{
    PGconn *connection = catalogue->connection;
    enum status status = STATUS_OK;
    PGresult *found = NULL;
    struct buffer name;
    buffer_init(&name, CAPTURE_SQL_MAX);
    postgresql_name_append_table(&name, entry->table);
    struct slice table = buffer_slice(&name);
    if (catalogue->watching)
        status = capture_check_sight(connection, table, entry, err);
    if (status == STATUS_OK)
        status = postgresql_session_query(connection, SQL_CHECK_TABLE, &table, 1, &found, err);
    if (status == STATUS_OK)
        status = capture_check_table(catalogue, entry, found, err);
    PQclear(found);
    found = NULL;
    if (status == STATUS_OK)
        status = postgresql_session_query(connection, SQL_CHECK_KEY, &table, 1, &found, err);
    if (status == STATUS_OK)
        status = capture_check_key(entry, schema, found, err);
    PQclear(found);
    found = NULL;
    if (status == STATUS_OK)
        status = postgresql_session_query(connection, SQL_CHECK_OWNER, &table, 1, &found, err);
    if (status == STATUS_OK)
        status = capture_check_owner(catalogue, entry, found, err);
    PQclear(found);
    if (status == STATUS_OK)
        status = capture_check_columns(connection, table, entry, schema, err);
    if (status == STATUS_OK)
        status = capture_check_partition_column(connection, table, entry, err);
    if (status == STATUS_OK && catalogue->applied)
        status = capture_check_cascade(connection, table, entry, err);
    buffer_done(&name);
    return status;
}
