/* What PostgreSQL's catalogue says of a table that is to be captured. */
#include "common/postgresql_name.h"
#include "producer/postgresql/capture.h"
#include "producer_postgresql_sql.h"

#include <stdio.h>

struct check_postgresql {
    struct check base;
    PGconn *connection;
    struct slice table; /* quoted */
};

/* PostgreSQL types whose values a schema type holds exactly. */
static const char *const TYPES[] = {
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
} ADVICE[] = {
    {"interval", "has no length of its own in other databases: publish two times, or its seconds"},
    {"timetz", "has a zone without a day: use time or timestamptz"},
    {"bpchar", "pads with blanks: use text or varchar"},
    {"money", "follows the server's locale: use numeric"},
    {"array", "has no place in other databases: use jsonb"},
};

static enum status capture_ask(const struct check *check, const char *sql, const char *column,
                               PGresult **ret_found, struct error *err)
{
    const struct check_postgresql *self = (const struct check_postgresql *)check;
    const struct slice parameters[] = {self->table, slice_of(column == NULL ? "" : column)};
    return postgresql_session_query(self->connection, sql,
                                    (struct slice_list){parameters, column == NULL ? 1 : 2},
                                    ret_found, err);
}

static bool capture_says(const PGresult *found, int column, const char *text)
{
    return strcmp(PQgetvalue(found, 0, column), text) == 0;
}

/* The table may exist although this role does not see it. */
static enum status capture_check_sight(const struct check *check, struct error *err)
{
    PGresult *found = NULL;
    enum status status = capture_ask(check, SQL_CHECK_SIGHT, NULL, &found, err);
    if (status == STATUS_OK && capture_says(found, 0, "t"))
        status = error_set(err, STATUS_RETRY,
                           "publish.%s: this role does not see table %s: give it USAGE on the "
                           "schema, and name the schema in `table:` where its search_path differs",
                           check->entry->entity_type, check->entry->table);
    PQclear(found);
    return status;
}

/* The functions' texts stand between such marks, so that a name with one in it would end them. */
static enum status capture_check_name(const struct check *check, const char *name,
                                      struct error *err)
{
    static const char *const marks[] = {"$keepstep$", "$truncate$", "$rights$"};
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++) {
        if (strstr(name, marks[i]) != NULL)
            return check_refuse(check, err,
                                "cannot be captured while a name has %s in it, which ends the text "
                                "of Keepstep's functions; give it another name: %s",
                                marks[i], name);
    }
    return STATUS_OK;
}

static enum status capture_judge_table(const struct check *check, const PGresult *found,
                                       struct error *err)
{
    if (!capture_says(found, 0, "r") && !capture_says(found, 0, "p"))
        return check_refuse(check, err, "is a view or a foreign table; name the table itself");
    if (!capture_says(found, 1, "p"))
        return check_refuse(check, err,
                            "is unlogged or temporary: a crash empties it without a trigger; "
                            "ALTER TABLE … SET LOGGED");
    if (capture_says(found, 2, "t"))
        return check_refuse(check, err,
                            "has tables that inherit from it, whose rows its triggers do not see; "
                            "publish those, or partition it");
    if (capture_says(found, 3, "t"))
        return check_refuse(check, err, "is a partition; publish the table it belongs to");
    if (capture_says(found, 4, "SQL_ASCII"))
        return check_refuse(check, err,
                            "is in a database of encoding SQL_ASCII, whose bytes mean nothing; "
                            "move it to one of UTF8");
    if ((!check->watching && capture_says(found, 5, "t")) || capture_says(found, 6, "t"))
        return check_refuse(check, err,
                            "has row security that hides rows from this role or from its owner: "
                            "neither are they read, nor deleted at the copies by TRUNCATE; run "
                            "init as a role with BYPASSRLS or as its owner, and give the owner "
                            "BYPASSRLS or the table NO FORCE ROW LEVEL SECURITY");
    if (check->reading && capture_says(found, 5, "t"))
        return check_refuse(check, err,
                            "has row security that hides rows from this role, so that they cannot "
                            "be compared: ALTER ROLE … BYPASSRLS for the login that compares");
    return STATUS_OK;
}

static enum status capture_check_key(const struct check *check, struct check_table *ret_table,
                                     struct error *err)
{
    PGresult *found = NULL;
    enum status status = capture_ask(check, SQL_CHECK_KEY, NULL, &found, err);
    if (status == STATUS_OK && PQntuples(found) > 0) {
        ret_table->key_columns = (size_t)postgresql_session_integer(found, 0, 1);
        if (postgresql_session_integer(found, 0, 0) == 0)
            status = check_refuse(check, err,
                                  "has a DEFERRABLE primary key: one statement may give a key to a "
                                  "row before another has lost it; make it NOT DEFERRABLE");
    }
    PQclear(found);
    return status;
}

static enum status capture_table(struct check *check, struct check_table *ret_table,
                                 struct error *err)
{
    PGresult *found = NULL;
    enum status status = capture_check_name(check, check->entry->table, err);
    if (status == STATUS_OK && check->watching)
        status = capture_check_sight(check, err);
    if (status == STATUS_OK)
        status = capture_ask(check, SQL_CHECK_TABLE, NULL, &found, err);
    ret_table->exists = status == STATUS_OK && PQntuples(found) > 0;
    if (ret_table->exists)
        status = capture_judge_table(check, found, err);
    PQclear(found);
    if (status == STATUS_OK && ret_table->exists)
        status = capture_check_key(check, ret_table, err);
    return status;
}

static enum status capture_judge_key(const struct check *check, enum column_type type,
                                     const char *name, const PGresult *found, struct error *err)
{
    if (type != COLUMN_INTEGER && type != COLUMN_TEXT && type != COLUMN_UUID)
        return check_refuse(check, err, "needs an integer, text or uuid key; it is neither: %s",
                            name);
    if (capture_says(found, 2, "citext") || postgresql_session_integer(found, 0, 3) == 0)
        return check_refuse(check, err,
                            "has a key that takes different texts for the same; use text with a "
                            "deterministic collation for %s",
                            name);
    if (capture_says(found, 2, "enum"))
        return check_refuse(check, err, "has an enum in its key; use text for %s", name);
    return STATUS_OK;
}

static enum status capture_judge_column(const struct check *check, const struct column *column,
                                        const char *name, const PGresult *found, struct error *err)
{
    if (capture_says(found, 4, "v"))
        return check_refuse(check, err,
                            "has a virtual generated column, which triggers do not see; make it "
                            "STORED: %s",
                            name);
    for (size_t i = 0; i < sizeof ADVICE / sizeof *ADVICE; i++) {
        if (capture_says(found, 2, ADVICE[i].type))
            return check_refuse(check, err, "has column %s of type %s, which %s", name,
                                PQgetvalue(found, 0, 1), ADVICE[i].advice);
    }
    return column->is_key ? capture_judge_key(check, column->type, name, found, err) : STATUS_OK;
}

static enum status capture_column(struct check *check, const struct column *column,
                                  const char *name, struct check_column *ret_column,
                                  struct error *err)
{
    PGresult *found = NULL;
    enum status status = capture_check_name(check, name, err);
    if (status == STATUS_OK && column != NULL) /* the schema's own name of it */
        status = capture_check_name(check, column->name, err);
    if (status == STATUS_OK)
        status = capture_ask(check, SQL_CHECK_COLUMN, name, &found, err);
    if (status == STATUS_OK && PQntuples(found) > 0) {
        ret_column->exists = true;
        ret_column->in_key = postgresql_session_integer(found, 0, 0) >= 0;
        (void)snprintf(ret_column->shown, sizeof ret_column->shown, "%s", PQgetvalue(found, 0, 1));
        (void)snprintf(ret_column->type, sizeof ret_column->type, "%s", PQgetvalue(found, 0, 2));
        if (column != NULL)
            status = capture_judge_column(check, column, name, found, err);
    }
    PQclear(found);
    return status;
}

/* A capture function runs with the rights of its table's owner. So do the triggers on the outbox,
 * which are the code of the outbox's owner. */
static enum status capture_check_owner(const struct check *check, struct error *err)
{
    PGresult *found = NULL;
    enum status status = capture_ask(check, SQL_CHECK_OWNER, NULL, &found, err);
    if (status == STATUS_OK) {
        const char *owner = PQgetvalue(found, 0, 0);
        const char *outbox_owner = PQgetvalue(found, 0, 3);
        if (!check->watching && postgresql_session_integer(found, 0, 1) == 0)
            status = check_refuse(check, err,
                                  "belongs to role %s, with whose rights its changes are captured: "
                                  "run init as that role or as a superuser; or make this role a "
                                  "member of %s and GRANT CREATE ON SCHEMA %s TO %s",
                                  owner, owner, PQgetvalue(found, 0, 2), owner);
        else if (postgresql_session_integer(found, 0, 4) == 0)
            status = check_refuse(check, err,
                                  "belongs to role %s and the outbox to %s, whose triggers on it "
                                  "would get rights that %s has not: ALTER TABLE outbox OWNER TO "
                                  "%s, or GRANT %s TO %s",
                                  owner, outbox_owner, outbox_owner, owner, owner, outbox_owner);
    }
    PQclear(found);
    return status;
}

static enum status capture_changes(struct check *check, struct error *err)
{
    PGresult *found = NULL;
    enum status status = capture_check_owner(check, err);
    if (status != STATUS_OK || !check_is_applied(check))
        return status;
    status = capture_ask(check, SQL_CHECK_CASCADE, NULL, &found, err);
    if (status == STATUS_OK && PQntuples(found) > 0)
        status = check_refuse_cascade(check, PQgetvalue(found, 0, 0), err);
    PQclear(found);
    return status;
}

static const struct check_ops OPS = {
    .types = TYPES, .table = capture_table, .column = capture_column, .changes = capture_changes};

enum status capture_postgresql_check(PGconn *connection, const struct check *check,
                                     struct error *err)
{
    struct check_postgresql self = {.base = *check, .connection = connection};
    struct buffer name;
    self.base.ops = &OPS;
    buffer_init(&name, SQL_TEXT_MAX);
    postgresql_name_append_table(&name, check->entry->table);
    self.table = buffer_slice(&name);
    enum status status = check_table(&self.base, err);
    buffer_done(&name);
    return status;
}
