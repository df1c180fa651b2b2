/* What a database's catalogue says of a table whose entities are to be promised (rule 64). */
#include "consumer/store/sql/joint.h"

#include "consumer/store/sql/prepare.h"

#include <stdlib.h>

static enum status read_uncovered(void *context, struct store_row *row, struct error *err)
{
    struct joint_table *table = context;
    bool only_deletes = row->integer(row, 1) != 0;
    (void)err;
    if (table->uncovered[0] != '\0' && (only_deletes || !table->only_deletes))
        return STATUS_OK; /* what stands in the way of all changes is told first */
    row->copy(row, 0, table->uncovered, sizeof table->uncovered);
    table->only_deletes = only_deletes;
    return STATUS_OK;
}

static enum status table_look(struct joint_table *table, struct error *err)
{
    const struct mapped_table *mapped = table->table;
    struct store_sql *self = store_sql_of(mapped->store);
    struct buffer name;
    buffer_init(&name, SQL_TEXT_SIZE_MAX);
    sql_catalogue_name_append(&name, mapped->dialect, mapped->mapping);
    enum status status = sql_table_check_columns(table->table, err);
    if (status == STATUS_OK)
        status = sql_table_check_key(table->table, err);
    if (status == STATUS_OK)
        status = store_sql_query(self,
                                 SQL_CALL(JOINT_UNCOVERED, parameter_slice(buffer_slice(&name))),
                                 read_uncovered, table, err);
    buffer_done(&name);
    return status;
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
    struct joint_table *table = *ret_table = &run->tables[i];
    if (table->table != NULL)
        return STATUS_OK;
    table->table = sql_table_new(&self->base, self->tables.dialect, &types->mappings[i]);
    if (table->table == NULL)
        return error_set(err, STATUS_RETRY, "out of memory");
    return table_look(table, err);
}

void joint_tables_done(struct joint_run *run)
{
    size_t count = run->store->joint_types == NULL ? 0 : run->store->joint_types->count;
    for (size_t i = 0; run->tables != NULL && i < count; i++)
        sql_table_free(run->tables[i].table);
    free(run->tables);
}
