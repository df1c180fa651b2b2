/* Foreign keys of what a try writes: a row that it makes name another one promises that this one
 * stays, so that is reserved too (rule 64). */
#include "consumer/store/sql/joint.h"

#include "common/clock.h"
#include "schemas/key_sql.h"
#include "schemas/named_rows.h"

#include <stdio.h>
#include <stdlib.h>

#define FOREIGN_KEYS_MAX 64 /* of a table */
#define CONDITION_SIZE   ((size_t)64 * 1024)
#define READ_US          (INT64_C(60) * 1000 * 1000)

/** A foreign key. */
struct foreign_key {
    char name[STORE_NAME_SIZE];
    char parent[STORE_NAME_SIZE];  /* the table that it names, as people read it */
    const struct mapping *mapping; /* of that table; NULL: it is none of a joint type */
    struct buffer condition;       /* row `t` of the parent is what row `c` names */
};

struct joint_parents {
    const struct sql_dialect *dialect;
    const struct mapping *candidate; /* that is looked for */
    struct foreign_key keys[FOREIGN_KEYS_MAX];
    size_t count;
    bool are_too_many;
};

void joint_parents_free(struct joint_parents *parents)
{
    for (size_t i = 0; parents != NULL && i < parents->count; i++)
        buffer_done(&parents->keys[i].condition);
    free(parents);
}

enum { FOREIGN_NAME, FOREIGN_PARENT };

static enum status read_foreign(void *context, struct store_row *row, struct error *err)
{
    struct joint_parents *parents = context;
    (void)err;
    parents->are_too_many = parents->count == FOREIGN_KEYS_MAX;
    if (parents->are_too_many) {
        row->is_last = true;
        return STATUS_OK;
    }
    struct foreign_key *key = &parents->keys[parents->count++];
    row->copy(row, FOREIGN_NAME, key->name, sizeof key->name);
    row->copy(row, FOREIGN_PARENT, key->parent, sizeof key->parent);
    buffer_init(&key->condition, CONDITION_SIZE);
    return STATUS_OK;
}

static void append_column(struct buffer *sql, const char *row, const char *column, char quote)
{
    buffer_append_format(sql, "%s.", row);
    sql_name_append(sql, column, quote);
}

enum { PAIR_NAME, PAIR_COLUMN, PAIR_PARENT_COLUMN };

static enum status read_pair(void *context, struct store_row *row, struct error *err)
{
    struct joint_parents *parents = context;
    char name[STORE_NAME_SIZE];
    char column[STORE_NAME_SIZE];
    char parent_column[STORE_NAME_SIZE];
    (void)err;
    row->copy(row, PAIR_NAME, name, sizeof name);
    row->copy(row, PAIR_COLUMN, column, sizeof column);
    row->copy(row, PAIR_PARENT_COLUMN, parent_column, sizeof parent_column);
    for (size_t i = 0; i < parents->count; i++) {
        struct foreign_key *key = &parents->keys[i];
        if (strcmp(key->name, name) != 0)
            continue;
        buffer_append_text(&key->condition, key->mapping == NULL ? "" : " AND ");
        append_column(&key->condition, "t", parent_column, parents->dialect->quote);
        buffer_append_text(&key->condition, " = ");
        append_column(&key->condition, "c", column, parents->dialect->quote);
        key->mapping = parents->candidate;
    }
    return STATUS_OK;
}

static enum status parents_match(struct joint_parents *parents, const struct mapped_table *mapped,
                                 struct slice name, struct error *err)
{
    struct store_sql *self = store_sql_of(mapped->store);
    const struct joint_types *types = self->joint_types;
    enum status status = STATUS_OK;
    for (size_t i = 0; parents->count > 0 && status == STATUS_OK && i < types->count; i++) {
        struct buffer parent;
        buffer_init(&parent, SQL_TEXT_SIZE_MAX);
        parents->candidate = &types->mappings[i];
        sql_catalogue_name_append(&parent, mapped->dialect, parents->candidate);
        status = store_sql_query(
            self,
            SQL_CALL(JOINT_PARENT, parameter_slice(name), parameter_slice(buffer_slice(&parent))),
            read_pair, parents, err);
        buffer_done(&parent);
    }
    return status;
}

/* The first that names a row which nobody keeps. */
static void parents_judge(const struct joint_parents *parents, struct joint_table *table)
{
    if (joint_table_stops(table, JOINT_STOPS_WRITES))
        return;
    for (size_t i = 0; i < parents->count; i++) {
        const struct foreign_key *key = &parents->keys[i];
        if (key->mapping != NULL && !key->condition.failed)
            continue;
        (void)snprintf(table->uncovered, sizeof table->uncovered,
                       "has a foreign key to table %.*s, which is none of a joint type here", 128,
                       key->parent);
        table->stops = JOINT_STOPS_WRITES;
        return;
    }
    if (!parents->are_too_many && parents->count > 0)
        return;
    if (parents->count == 0)
        (void)snprintf(table->uncovered, sizeof table->uncovered,
                       "has a foreign key that is not found");
    else
        (void)snprintf(table->uncovered, sizeof table->uncovered, "has more than %d foreign keys",
                       FOREIGN_KEYS_MAX);
    table->stops = JOINT_STOPS_WRITES;
}

enum status joint_parents_look(struct joint_table *table, const struct mapped_table *mapped,
                               struct slice name, struct error *err)
{
    struct joint_parents *parents = calloc(1, sizeof *parents);
    table->parents = parents;
    if (parents == NULL)
        return error_set(err, STATUS_RETRY, "no memory");
    parents->dialect = mapped->dialect;
    enum status status = store_sql_query(store_sql_of(mapped->store),
                                         SQL_CALL(JOINT_FOREIGN, parameter_slice(name)),
                                         read_foreign, parents, err);
    if (status == STATUS_OK)
        status = parents_match(parents, mapped, name, err);
    if (status == STATUS_OK)
        parents_judge(parents, table);
    return status;
}

/** The row that a row names by a foreign key. */
struct joint_named {
    size_t child; /* among the run's entities */
    const struct foreign_key *key;
    struct slice parent; /* its entity key; data NULL: none */
};

/** Rows that are read: the keys are read one at a time. */
struct naming {
    struct joint_run *run;
    struct joint_named *named;
    size_t count;
    struct joint_named next;
};

static enum status naming_visit(void *context, struct slice parent, struct slice ignored,
                                struct error *err)
{
    struct naming *naming = context;
    (void)ignored;
    if (naming->count == JOINT_ENTITIES_MAX)
        return error_set(err, STATUS_REJECT, "more than %d foreign keys would be written",
                         JOINT_ENTITIES_MAX);
    naming->next.parent = arena_copy(&naming->run->arena, parent);
    if (naming->next.parent.data == NULL)
        return error_set(err, STATUS_RETRY, "no memory");
    naming->named[naming->count++] = naming->next;
    return STATUS_OK;
}

/* Writes the query of what the row of one key names by a foreign key. */
static void append_query(struct buffer *sql, const struct mapped_table *mapped,
                         const struct column_sql *child, const struct foreign_key *key)
{
    struct buffer tables[2];
    buffer_init(&tables[0], SQL_TEXT_SIZE_MAX);
    buffer_init(&tables[1], SQL_TEXT_SIZE_MAX);
    sql_table_name_append(&tables[0], mapped->dialect, mapped->mapping);
    sql_table_name_append(&tables[1], mapped->dialect, key->mapping);
    const struct named_rows rows = {.child = *child,
                                    .parent = {.dialect = mapped->dialect->columns,
                                               .schema = key->mapping->schema,
                                               .entry = key->mapping->entry},
                                    .child_table = buffer_text(&tables[0]),
                                    .parent_table = buffer_text(&tables[1]),
                                    .condition = buffer_slice(&key->condition)};
    named_rows_append(sql, &rows);
    sql->failed = sql->failed || tables[0].failed || tables[1].failed;
    buffer_done(&tables[0]);
    buffer_done(&tables[1]);
}

/* A key that no row can have is one that the try has taken away. */
static enum status naming_ask(struct naming *naming, const struct mapped_table *mapped,
                              struct slice entity_key, struct error *err)
{
    struct store_sql *self = naming->run->store;
    struct query_parameter parameters[KEY_SQL_PARAMETERS_MAX];
    const struct column_sql child = {.dialect = mapped->dialect->columns,
                                     .schema = mapped->mapping->schema,
                                     .entry = mapped->mapping->entry};
    struct buffer sql;
    arena_reset(&naming->run->row);
    enum status status = key_sql_parameters(&child, entity_key, &naming->run->row, parameters, err);
    if (status != STATUS_OK || key_sql_is_nowhere(&child, parameters))
        return status;
    buffer_init(&sql, SQL_TEXT_SIZE_MAX);
    append_query(&sql, mapped, &child, naming->next.key);
    struct row_query query = {.table = mapped->name,
                              .sql = buffer_text(&sql),
                              .parameters = parameters,
                              .parameter_count = key_sql_width(&child),
                              .runs = 1,
                              .until_us = clock_monotonic_us() + READ_US,
                              .visit = naming_visit,
                              .context = naming};
    status = sql.failed ? error_set(err, STATUS_RETRY, "no memory")
                        : self->session->query(self, &query, err);
    buffer_done(&sql);
    return status;
}

enum status joint_parents_read(struct joint_run *run, struct joint_named **ret_named,
                               size_t *ret_count, struct error *err)
{
    struct naming naming = {.run = run};
    enum status status = STATUS_OK;
    for (size_t i = 0; status == STATUS_OK && i < run->entities.count; i++) {
        const struct joint_entity *entity = &run->entities.items[i];
        struct joint_table *table = NULL;
        if (joint_entity_is_value(entity) || entity->operation == 'k')
            continue; /* a row that was deleted may be there again */
        status = joint_judge(joint_table_find(run, entity->entity_type, &table, err), err);
        if (status != STATUS_OK || table->parents == NULL || table->parents->count == 0)
            continue;
        if (naming.named == NULL)
            naming.named = arena_alloc(&run->arena, JOINT_ENTITIES_MAX * sizeof *naming.named);
        if (naming.named == NULL)
            status = error_set(err, STATUS_RETRY, "no memory");
        for (size_t j = 0; status == STATUS_OK && j < table->parents->count; j++) {
            naming.next = (struct joint_named){.child = i, .key = &table->parents->keys[j]};
            if (naming.next.key->mapping != NULL) /* else nothing is promised of the table */
                status = naming_ask(&naming, table->table, entity->entity_key, err);
        }
    }
    *ret_named = naming.named;
    *ret_count = naming.count;
    return joint_judge(status, err);
}

static bool named_is_among(const struct joint_named *named, const struct joint_named *others,
                           size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (others[i].child == named->child && others[i].key == named->key &&
            slice_equal(others[i].parent, named->parent))
            return true;
    }
    return false;
}

enum status joint_parents_keep(struct joint_run *run, const struct joint_named *named, size_t count,
                               struct error *err)
{
    struct joint_named *before = NULL;
    size_t before_count = 0;
    bool is_kept_by_keys = run->store->session->has_guard;
    enum status status = count == 0 || !is_kept_by_keys
                             ? STATUS_OK
                             : joint_parents_read(run, &before, &before_count, err);
    for (size_t i = 0; status == STATUS_OK && i < count; i++) {
        const struct entity_schema *schema = named[i].key->mapping->schema;
        const struct joint_entity parent = {slice_of(schema->entity_type), named[i].parent, 'k'};
        if (!named_is_among(&named[i], before, before_count))
            status = joint_entity_add(run, parent, err);
    }
    joint_run_unite(run);
    return status;
}
