/* What the tests of a store's scan share: a table of any columns, and the rows that a scan gives.
 */
#include "tests/support/store_scan.h"

static struct store *reader;

void scan_table_init(struct scan_table *table, const struct column *columns, size_t count,
                     size_t key_count)
{
    static char name[] = "typed";
    memset(table, 0, sizeof *table);
    memcpy(table->columns, columns, count * sizeof *columns);
    table->key_columns[1] = 1;
    table->schema = (struct entity_schema){.entity_type = name,
                                           .columns = table->columns,
                                           .column_count = count,
                                           .key_columns = table->key_columns,
                                           .key_count = key_count};
    table->entry = (struct config_entry){.entity_type = name, .table = name};
    table->mapping = (struct mapping){.schema = &table->schema, .entry = &table->entry};
}

static enum status keep_row(void *context, const struct scanned_row *row, struct error *err)
{
    struct scan_rows *rows = context;
    (void)err;
    assert_true(rows->count < SCAN_ROWS_MAX);
    rows->keys[rows->count] = arena_copy(&store_case_arena, row->key);
    for (size_t i = 0; i < rows->schema->column_count; i++) {
        struct value *value = &rows->values[rows->count][i];
        *value = row->values[i];
        if (value->kind == VALUE_TEXT || value->kind == VALUE_UNFIT)
            value->text = arena_copy(&store_case_arena, value->text);
    }
    rows->count++;
    return STATUS_OK;
}

enum status scan_rows(const struct mapping *mapping, const struct slice *keys, size_t count,
                      struct scan_rows *rows)
{
    const struct store_scan wanted = {
        .mapping = mapping, .keys = keys, .count = count, .visit = keep_row, .context = rows};
    *rows = (struct scan_rows){.schema = mapping->schema};
    return scan_visit_all(&wanted);
}

void scan_begin(void)
{
    struct store_options options = {
        .path = store_case_agent_database(), .service = "billing", .read_only = true};
    assert_ok(store_case_ops->open(&options, &reader, &store_case_err));
    store_case_settle();
    assert_ok(store_case_ops->snapshot(reader, true, &store_case_err));
}

void scan_end(void)
{
    store_case_ops->close(reader);
    reader = NULL;
}

size_t scan_find(const struct scan_rows *rows, const char *key)
{
    for (size_t i = 0; i < rows->count; i++) {
        if (slice_is(rows->keys[i], key))
            return i;
    }
    test_fail("no row %s among %zu", key, rows->count);
}

const char *scan_ask(const char *sql)
{
    return store_case_back_end->text(store_case_database(), sql);
}

bool scan_is_database(const char *url)
{
    return strcmp(store_case_back_end->url, url) == 0;
}

struct value scan_value(enum column_type type, const char *wire)
{
    if (type == COLUMN_INTEGER)
        return (struct value){.kind = VALUE_INTEGER, .integer = strtoll(wire, NULL, 10)};
    if (type == COLUMN_DOUBLE)
        return (struct value){.kind = VALUE_DOUBLE, .number = strtod(wire, NULL)};
    if (type == COLUMN_BOOLEAN)
        return (struct value){.kind = VALUE_BOOLEAN, .boolean = wire[0] == '1'};
    if (type != COLUMN_BYTES)
        return (struct value){.kind = VALUE_TEXT, .text = slice_of(wire)};
    size_t length = strlen(wire) / 2;
    char *bytes = arena_alloc(&store_case_arena, length + 1);
    for (size_t i = 0; i < length; i++) {
        char digits[] = {wire[2 * i], wire[2 * i + 1], '\0'};
        bytes[i] = (char)strtol(digits, NULL, 16);
    }
    return (struct value){.kind = VALUE_TEXT, .text = {.data = bytes, .length = length}};
}

void scan_write(const struct scan_table *table, struct value *values)
{
    struct change change = {.op = CHANGE_CREATE,
                            .entity_type = slice_of("typed"),
                            .schema = &table->schema,
                            .values = values};
    const struct change *changes[] = {&change};
    assert_ok(
        store_case_ops->apply(store_case_store, &table->mapping, changes, 1, &store_case_err));
}

enum status scan_visit_all(const struct store_scan *scan)
{
    return store_case_ops->scan(reader, scan, &store_case_err);
}
