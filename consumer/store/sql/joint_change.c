/* Makes the changes of a joint transaction, one row after the other, and sees what has become of
 * each: a trigger can leave a row unwritten, or write another value, without an error. */
#include "consumer/store/sql/joint.h"

#include "common/clock.h"
#include "consumer/store/sql/limits.h"
#include "consumer/store/sql/prepare.h"
#include "schemas/decimal.h"
#include "schemas/row_digest.h"

#define READ_US     (INT64_C(60) * 1000 * 1000)
#define NOT_WRITTEN "the row was not written: a trigger leaves it out"

/** A change that is under way. */
struct making {
    struct joint_run *run;
    const struct joint_change *change;
    struct mapped_table *table;
    const struct entity_schema *schema;
    struct joint_asked asked;
    struct value *values; /* what the row is to hold; absent: whatever it holds */
    bool is_named;        /* the error names the entity already */
};

/** A row as it is now. */
struct row_now {
    const struct entity_schema *schema;
    struct arena *arena;
    bool exists;
    struct value *values;
};

enum status joint_judge(enum status status, struct error *err)
{
    if (status != STATUS_FATAL && status != STATUS_STOP)
        return status;
    if (err != NULL) {
        err->status = STATUS_REJECT;
        err->exit_code = 0;
    }
    return STATUS_REJECT;
}

static enum status row_keep(void *context, const struct scanned_row *row, struct error *err)
{
    struct row_now *now = context;
    now->exists = true;
    for (size_t i = 0; i < now->schema->column_count; i++) {
        now->values[i] = row->values[i];
        bool is_text = row->values[i].kind == VALUE_TEXT || row->values[i].kind == VALUE_UNFIT;
        if (!is_text)
            continue;
        now->values[i].text = arena_copy(now->arena, row->values[i].text);
        if (now->values[i].text.data == NULL)
            return error_set(err, STATUS_RETRY, "no memory");
    }
    return STATUS_OK;
}

static enum status row_read(const struct making *making, struct row_now *ret_now, struct error *err)
{
    struct arena *arena = &making->run->row;
    size_t columns = making->schema->column_count;
    *ret_now = (struct row_now){.schema = making->schema, .arena = arena};
    ret_now->values = arena_alloc(arena, columns * sizeof *ret_now->values);
    if (ret_now->values == NULL)
        return error_set(err, STATUS_RETRY, "no memory");
    const struct store_scan scan = {.mapping = making->table->mapping,
                                    .keys = &making->asked.entity_key,
                                    .count = 1,
                                    .visit = row_keep,
                                    .context = ret_now};
    return sql_table_scan(making->table, &scan, clock_monotonic_us() + READ_US, err);
}

static enum status making_refuse(const char *column, const char *reason, struct error *err)
{
    return column == NULL ? error_set(err, STATUS_REJECT, "%s", reason)
                          : error_set(err, STATUS_REJECT, "column \"%s\" %s", column, reason);
}

/* What the row must be before the change. */
static enum status making_judge(const struct making *making, const struct row_now *now,
                                struct error *err)
{
    bool creates = making->change->operation == JOINT_CREATE;
    if (!creates && !now->exists)
        return making_refuse(NULL, "there is no such row", err);
    if (creates && now->exists)
        return making_refuse(NULL, "the row is there already", err);
    for (size_t i = 0; i < making->schema->column_count && !making->run->part->late; i++) {
        const struct column *column = &making->schema->columns[i];
        const struct value *wanted = &making->asked.condition[i];
        if (wanted->kind != VALUE_ABSENT && !row_value_equal(column->type, wanted, &now->values[i]))
            return making_refuse(column->name, "does not hold what `if` asks for", err);
    }
    return STATUS_OK;
}

/* Added here, to what the row holds: SQLite adds decimals as doubles, and makes one of an integer
 * that overflows; others round (rule 73). Whether the column takes the sum is judged as of any
 * value. */
static enum status making_add(const struct making *making, const struct row_now *now, size_t index,
                              struct error *err)
{
    const char *name = making->schema->columns[index].name;
    const struct value *add = &making->asked.add[index];
    struct value *sum = &making->values[index];
    if (now->values[index].kind == VALUE_NULL)
        return making_refuse(name, "is NULL, to which nothing can be added", err);
    if (now->values[index].kind != add->kind)
        return making_refuse(name, "holds no number to add to", err);
    *sum = (struct value){.kind = add->kind};
    if (add->kind == VALUE_TEXT) {
        sum->text = decimal_add(now->values[index].text, add->text, &making->run->row);
        return sum->text.data == NULL ? error_set(err, STATUS_RETRY, "no memory") : STATUS_OK;
    }
    return __builtin_add_overflow(now->values[index].integer, add->integer, &sum->integer)
               ? making_refuse(name, "would hold a sum beyond 64 bits", err)
               : STATUS_OK;
}

static enum status making_values(struct making *making, const struct row_now *now,
                                 struct error *err)
{
    size_t columns = making->schema->column_count;
    enum status status = STATUS_OK;
    making->values = arena_alloc(&making->run->row, columns * sizeof *making->values);
    if (making->values == NULL)
        return error_set(err, STATUS_RETRY, "no memory");
    memcpy(making->values, making->asked.set, columns * sizeof *making->values);
    for (size_t i = 0; status == STATUS_OK && i < columns; i++) {
        if (making->asked.add[i].kind != VALUE_ABSENT)
            status = making_add(making, now, i, err);
    }
    return status;
}

static enum status making_write(struct making *making, struct error *err)
{
    static const enum change_op operations[] = {[JOINT_CREATE] = CHANGE_CREATE,
                                                [JOINT_UPDATE] = CHANGE_UPDATE,
                                                [JOINT_DELETE] = CHANGE_DELETE};
    const struct change change = {.kind = KIND_CHANGE,
                                  .op = operations[making->change->operation],
                                  .entity_type = making->change->entity_type,
                                  .entity_key = making->asked.entity_key,
                                  .schema = making->schema,
                                  .values = making->values,
                                  .is_new = making->change->operation == JOINT_CREATE,
                                  .is_there = making->change->operation == JOINT_UPDATE};
    const struct change *changes[] = {&change};
    enum status status = sql_judge(making->table, &change, err);
    making->is_named = status == STATUS_REJECT;
    if (status == STATUS_OK)
        status = making->table->dialect->write(making->table, changes, 1, err);
    if (status != STATUS_REJECT || err == NULL || err->reject != REJECT_NO_ROW)
        return status == STATUS_OK ? store_sql_wait(making->run->store, err) : status;
    error_clear(err);
    return making_refuse(NULL, NOT_WRITTEN, err);
}

/* See that the row is now what it was to become. */
static enum status making_check(const struct making *making, struct error *err)
{
    struct row_now now;
    bool deletes = making->change->operation == JOINT_DELETE;
    enum status status = row_read(making, &now, err);
    if (status != STATUS_OK)
        return status;
    if (now.exists == deletes)
        return making_refuse(
            NULL, deletes ? "the row is still there: a trigger keeps it" : NOT_WRITTEN, err);
    for (size_t i = 0; !deletes && i < making->schema->column_count; i++) {
        const struct column *column = &making->schema->columns[i];
        if (making->values[i].kind != VALUE_ABSENT &&
            !row_value_equal(column->type, &making->values[i], &now.values[i]))
            return making_refuse(column->name,
                                 "holds another value than it was given: its type or a trigger "
                                 "changes it",
                                 err);
    }
    return STATUS_OK;
}

static enum status making_run(struct making *making, struct error *err)
{
    struct row_now now;
    enum status status = joint_change_read(making->schema, making->change, &making->run->row,
                                           &making->asked, err);
    if (status == STATUS_OK)
        status = row_read(making, &now, err);
    if (status == STATUS_OK)
        status = making_judge(making, &now, err);
    if (status == STATUS_OK)
        status = making_values(making, &now, err);
    if (status == STATUS_OK && making->change->operation != JOINT_KEEP) {
        status = making_write(making, err);
        if (status == STATUS_OK)
            status = making_check(making, err);
    }
    return status;
}

enum status joint_change_make(struct joint_run *run, const struct joint_change *change,
                              struct error *err)
{
    struct joint_table *table = NULL;
    struct making making = {.run = run, .change = change};
    arena_reset(&run->row);
    enum status status = joint_table_find(run, change->entity_type, &table, err);
    if (status == STATUS_OK) {
        making.table = table->table;
        making.schema = table->table->mapping->schema;
        status = making_run(&making, err);
    }
    status = joint_judge(status, err);
    if (status != STATUS_OK) {
        if (!making.is_named)
            error_prefix(err, "%.*s %.*s", SLICE_ARGS(change->entity_type),
                         SLICE_ARGS(change->key));
        return status;
    }
    const struct joint_entity entity = {change->entity_type, making.asked.entity_key,
                                        joint_operation_name(change->operation)[0]};
    return run->keeps_entities ? joint_entity_add(run, entity, err) : STATUS_OK;
}

enum status joint_change_entity(struct joint_run *run, const struct joint_change *change,
                                struct joint_entity *ret_entity, struct error *err)
{
    struct joint_table *table = NULL;
    struct joint_asked asked = {0};
    enum status status = joint_table_find(run, change->entity_type, &table, err);
    if (status == STATUS_OK)
        status = joint_change_read(table->table->mapping->schema, change, &run->arena, &asked, err);
    status = joint_judge(status, err);
    if (status == STATUS_REJECT)
        error_prefix(err, "%.*s %.*s", SLICE_ARGS(change->entity_type), SLICE_ARGS(change->key));
    *ret_entity = (struct joint_entity){change->entity_type, asked.entity_key,
                                        joint_operation_name(change->operation)[0]};
    return status;
}
