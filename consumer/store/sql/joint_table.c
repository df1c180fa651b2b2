/* What a database's catalogue says of a table whose entities are to be promised (rule 64). */
#include "consumer/store/sql/joint.h"

#include "common/clock.h"
#include "common/row_query.h"
#include "consumer/store/sql/prepare.h"

#include <stdio.h>
#include <stdlib.h>

#define VERSION_US (INT64_C(60) * 1000 * 1000)

/** What a row of joint_uncovered tells. */
enum {
    UNCOVERED_WRITES,
    UNCOVERED_DELETES,
    HAS_UNIQUES,
    HAS_FOREIGN_KEYS,
    UNCOVERED_UPDATES, /* and deletes */
    UNCOVERED_AT_ALL,
    HAS_PARTITIONS,
    UNCOVERED_KINDS
};

/* Of which operations a reason stands in the way: of each more than those that are shorter. */
static const char *const stops[UNCOVERED_KINDS] = {[UNCOVERED_WRITES] = JOINT_STOPS_WRITES,
                                                   [UNCOVERED_DELETES] = "d",
                                                   [HAS_UNIQUES] = "",
                                                   [HAS_FOREIGN_KEYS] = "",
                                                   [UNCOVERED_UPDATES] = "du",
                                                   [UNCOVERED_AT_ALL] = "ducnk",
                                                   [HAS_PARTITIONS] = ""};

bool joint_table_stops(const struct joint_table *table, const char *operations)
{
    return strlen(operations) <= strlen(table->stops);
}

static enum status read_uncovered(void *context, struct store_row *row, struct error *err)
{
    struct joint_table *table = context;
    const int64_t kind = row->integer(row, 1);
    const char *stopped = kind >= 0 && kind < UNCOVERED_KINDS ? stops[kind]
                                                              : stops[UNCOVERED_AT_ALL];
    (void)err;
    table->has_uniques = table->has_uniques || kind == HAS_UNIQUES;
    table->has_foreign_keys = table->has_foreign_keys || kind == HAS_FOREIGN_KEYS;
    table->has_partitions = table->has_partitions || kind == HAS_PARTITIONS;
    if (joint_table_stops(table, stopped))
        return STATUS_OK; /* what stands in the way of most is told */
    row->copy(row, 0, table->uncovered, sizeof table->uncovered);
    table->stops = stopped;
    return STATUS_OK;
}

enum { UNIQUE_NAME, UNIQUE_REASON, UNIQUE_KNOWN = 4 };

/* The trigger's names must be those of the index as it is now. */
static enum status read_unique(void *context, struct store_row *row, struct error *err)
{
    struct joint_table *table = context;
    struct slice name = row->bytes(row, UNIQUE_NAME);
    struct slice reason = row->bytes(row, UNIQUE_REASON);
    (void)err;
    table->has_seen_uniques = true;
    if ((row->integer(row, UNIQUE_KNOWN) != 0 && reason.length == 0) ||
        joint_table_stops(table, JOINT_STOPS_WRITES))
        return STATUS_OK;
    if (reason.length == 0)
        reason = slice_of("is not one that its triggers know: run `keepstep init`");
    (void)snprintf(table->uncovered, sizeof table->uncovered,
                   "has the unique index %.*s, which %.*s", SLICE_ARGS(name), SLICE_ARGS(reason));
    table->stops = JOINT_STOPS_WRITES;
    return STATUS_OK;
}

/* Statements that end with the session are kept for the next run, as long as the columns are kept
 * alike. Others are prepared anew. */
static bool table_is_alike(const struct mapped_table *table, const struct mapped_table *other)
{
    bool alike = other != NULL && table->dialect->row_free == NULL;
    for (size_t i = 0; alike && i < table->mapping->schema->column_count; i++)
        alike = table->limits[i].form == other->limits[i].form;
    return alike;
}

static const struct mapping *table_mapping(const struct store_sql *store,
                                           const struct joint_table *table)
{
    return &store->joint_types->mappings[table - store->joint_tables];
}

static enum status table_fill(const struct store_sql *self, const struct joint_table *table,
                              const char *text, struct buffer *sql, struct error *err)
{
    const struct sql_text filled = {.dialect = self->tables.dialect,
                                    .mapping = table_mapping(self, table)};
    if (sql->length == 0) {
        buffer_init(sql, SQL_TEXT_SIZE_MAX);
        sql_text_append(sql, &filled, text);
    }
    return sql->failed ? error_set(err, STATUS_RETRY, "out of memory") : STATUS_OK;
}

/* The statement is sent without waiting, so its text lasts as long as the table. */
static enum status table_keep(struct store_sql *self, struct joint_table *table, struct error *err)
{
    const char *keep = self->tables.dialect->table_keep;
    if (keep == NULL)
        return STATUS_OK;
    enum status status = table_fill(self, table, keep, &table->keep, err);
    return status == STATUS_OK ? self->session->execute(self, buffer_text(&table->keep), err)
                               : status;
}

static enum status visit_version(void *context, struct slice number, struct slice nothing,
                                 struct error *err)
{
    char text[32];
    (void)nothing, (void)err;
    (void)snprintf(text, sizeof text, "%.*s", SLICE_ARGS(number));
    *(int64_t *)context = strtoll(text, NULL, 10);
    return STATUS_OK;
}

static enum status table_ask_version(struct store_sql *self, struct joint_table *table,
                                     int64_t *ret_version, struct error *err)
{
    const struct sql_dialect *dialect = self->tables.dialect;
    struct buffer name;
    enum status status = table_fill(self, table, dialect->table_version, &table->tell, err);
    if (status != STATUS_OK)
        return status;
    buffer_init(&name, SQL_TEXT_SIZE_MAX);
    sql_catalogue_name_append(&name, dialect, table_mapping(self, table));
    const struct query_parameter parameter = {.kind = QUERY_TEXT, .text = buffer_slice(&name)};
    struct row_query query = {.table = mapping_table(table_mapping(self, table)),
                              .sql = buffer_text(&table->tell),
                              .parameters = &parameter,
                              .parameter_count = 1,
                              .runs = 1,
                              .until_us = clock_monotonic_us() + VERSION_US,
                              .visit = visit_version,
                              .context = ret_version};
    status = name.failed ? error_set(err, STATUS_RETRY, "out of memory")
                         : self->session->query(self, &query, err);
    buffer_done(&name);
    return status;
}

/* @param ret_version  0: nothing is remembered of it. */
static enum status table_version(struct store_sql *self, struct joint_table *table,
                                 int64_t *ret_version, struct error *err)
{
    const struct sql_dialect *dialect = self->tables.dialect;
    const struct sql_call version = {.id = dialect->version_id};
    *ret_version = 0;
    if (dialect->table_version != NULL)
        return table_ask_version(self, table, ret_version, err);
    return version.id == 0 ? STATUS_OK : store_sql_number(self, version, 0, ret_version, err);
}

/* @return whether all that was seen of it is told by its version. */
static bool table_tells_all(const struct store_sql *self, const struct joint_table *table)
{
    return self->tables.dialect->table_version == NULL ||
           !(table->has_uniques || table->has_foreign_keys || table->has_partitions);
}

static void table_stop(struct joint_table *table, const char *reason)
{
    if (joint_table_stops(table, JOINT_STOPS_WRITES))
        return;
    (void)snprintf(table->uncovered, sizeof table->uncovered, "%s", reason);
    table->stops = JOINT_STOPS_WRITES;
}

/* After an upgrade Keepstep's functions may not be there yet. */
static bool is_lacking(const struct mapped_table *mapped, const struct error *err)
{
    const int *lacking = mapped->dialect->lacking;
    while (lacking != NULL && *lacking != 0 && *lacking != err->native_code)
        lacking++;
    return lacking != NULL && *lacking != 0;
}

/* Most tables have neither. */
static enum status table_look_closer(struct joint_table *table, const struct mapped_table *mapped,
                                     struct slice name, struct error *err)
{
    struct error lacks = ERROR_INIT;
    enum status status = STATUS_OK;
    joint_parents_free(table->parents);
    table->parents = NULL;
    if (table->has_uniques)
        status = store_sql_query(store_sql_of(mapped->store),
                                 SQL_CALL(JOINT_UNIQUE, parameter_slice(name)), read_unique, table,
                                 &lacks);
    if (status == STATUS_OK && table->has_uniques && !table->has_seen_uniques)
        table_stop(table, "has a unique index that is not found");
    if (status == STATUS_OK && table->has_foreign_keys)
        status = joint_parents_look(table, mapped, name, &lacks);
    if (status == STATUS_RETRY && !lacks.connection_lost && is_lacking(mapped, &lacks)) {
        table_stop(table,
                   "has a unique index or a foreign key, for which a function is missing: run "
                   "`keepstep init`, and what its --print-roles prints");
        return STATUS_OK;
    }
    if (status != STATUS_OK && err != NULL)
        *err = lacks;
    return status;
}

static enum status table_check(struct joint_table *table, struct mapped_table *mapped,
                               bool looks_closer, struct error *err)
{
    struct store_sql *self = store_sql_of(mapped->store);
    struct buffer name;
    buffer_init(&name, SQL_TEXT_SIZE_MAX);
    sql_catalogue_name_append(&name, mapped->dialect, mapped->mapping);
    table->uncovered[0] = '\0';
    table->stops = "";
    table->has_uniques = table->has_seen_uniques = false;
    table->has_foreign_keys = table->has_partitions = false;
    enum status status = sql_table_check_columns(mapped, err);
    if (status == STATUS_OK)
        status = store_sql_ask(self,
                               SQL_CALL(JOINT_UNCOVERED, parameter_slice(buffer_slice(&name))),
                               read_uncovered, table, err);
    if (status == STATUS_OK)
        status = sql_table_check_key(mapped, err);
    enum status sent = store_sql_wait(self, status == STATUS_OK ? err : NULL);
    status = status == STATUS_OK ? sent : status;
    if (status == STATUS_OK && looks_closer)
        status = table_look_closer(table, mapped, buffer_slice(&name), err);
    buffer_done(&name);
    return status;
}

static enum status table_look(const struct joint_run *run, struct joint_table *table,
                              struct error *err)
{
    struct store_sql *self = run->store;
    struct mapped_table *mapped = sql_table_new(&self->base, self->tables.dialect,
                                                table_mapping(self, table));
    table->is_looked_at = table->is_remembered = false;
    if (mapped == NULL)
        return error_set(err, STATUS_RETRY, "out of memory");
    enum status status = table_check(table, mapped, run->keeps_entities, err);
    if (status != STATUS_OK) {
        sql_table_free(mapped);
        return status;
    }
    table->is_looked_at = true;
    table->is_looked_closer = run->keeps_entities;
    if (table_is_alike(mapped, table->table)) {
        memcpy(table->table->limits, mapped->limits, sizeof mapped->limits);
        sql_table_free(mapped);
        return STATUS_OK;
    }
    sql_table_free(table->table);
    table->table = mapped;
    return STATUS_OK;
}

/* From now on nobody alters the table. So what was seen of it under the version that the catalogue
 * has now still is true, and what is seen from now on is true as long as that version. */
static enum status table_find(const struct joint_run *run, struct joint_table *table,
                              struct error *err)
{
    int64_t now = 0;
    enum status status = table_keep(run->store, table, err);
    if (status == STATUS_OK)
        status = table_version(run->store, table, &now, err);
    if (status != STATUS_OK)
        return status;
    table->is_remembered = now != 0 && table->is_looked_at && now == table->version &&
                           table_tells_all(run->store, table) &&
                           (table->is_looked_closer || !run->keeps_entities);
    table->version = now;
    return table->is_remembered ? STATUS_OK : table_look(run, table, err);
}

enum status joint_table_find(struct joint_run *run, struct slice entity_type,
                             struct joint_table **ret_table, struct error *err)
{
    struct store_sql *self = run->store;
    const struct joint_types *types = self->joint_types;
    size_t i = 0;
    while (i < types->count && !slice_is(entity_type, types->mappings[i].schema->entity_type))
        i++;
    if (i == types->count)
        return error_set(err, STATUS_REJECT, "this service has no joint type of that name");
    struct joint_table *table = *ret_table = &self->joint_tables[i];
    if (table->is_found)
        return STATUS_OK;
    enum status status = table_find(run, table, err);
    table->is_found = status == STATUS_OK;
    return status;
}

enum status joint_table_look_again(struct joint_run *run, struct joint_table *table,
                                   struct error *err)
{
    return table->is_remembered ? table_look(run, table, err) : STATUS_OK;
}

void joint_tables_begin(struct store_sql *store)
{
    for (size_t i = 0; i < store->joint_types->count; i++)
        store->joint_tables[i].is_found = false;
}

void joint_tables_done(struct store_sql *store)
{
    for (size_t i = 0; store->joint_tables != NULL && i < store->joint_types->count; i++) {
        sql_table_free(store->joint_tables[i].table);
        joint_parents_free(store->joint_tables[i].parents);
        buffer_done(&store->joint_tables[i].keep);
        buffer_done(&store->joint_tables[i].tell);
    }
    free(store->joint_tables);
    store->joint_tables = NULL;
}
