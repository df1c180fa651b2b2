/* Sets a publisher up, drives its relay's outbox, and writes what its source reads as texts. */
#include "tests/support/source_case.h"

#include "consumer/store/registry.h"
#include "consumer/store/store.h"
#include "producer/registry.h"
#include "schemas/row_digest.h"
#include "tests/support/roles.h"

#include <inttypes.h>
#include <stdio.h>

#define ARENA_SIZE   ((size_t)16 * 1024 * 1024)
#define ROWS_SIZE    ((size_t)64 * 1024 * 1024)
#define ROWS_MAX     100000
#define SCAN_SECONDS 60
#define LEASE_US     (INT64_C(60) * 1000 * 1000)

static void must(enum status status, const struct error *err)
{
    if (status != STATUS_OK)
        test_fail("%s", err->text);
}

static const char *path_of(const char *url)
{
    return database_case_kind == DATABASE_SQLITE ? strchr(url, ':') + 1 : url;
}

/* Makes Keepstep's own tables of the peer's side, on which the roles have rights too. */
static void make_store(const char *url)
{
    struct error err = ERROR_INIT;
    struct store_options options = {.path = path_of(url), .service = "shop", .install = true};
    struct store *store = NULL;
    must(store_find(url)->open(&options, &store, &err), &err);
    store->ops->close(store);
}

static void grant(struct source_case *self)
{
    const char *printed = shop_print(&self->shop);
    self->relay_url = self->shop.url;
    if (database_case_kind == DATABASE_SQLITE)
        return;
    const char *grants = strstr(printed, database_case_kind == DATABASE_POSTGRESQL
                                             ? "DO $keepstep$\nDECLARE"
                                             : "CREATE ROLE");
    assert_non_null(grants);
    (void)database_text(self->shop.url, grants);
    self->relay_url = roles_login(self->shop.url, "source_relay", "keepstep_relay");
}

void source_case_open_all(struct source_case *self)
{
    struct error err = ERROR_INIT;
    self->config = self->shop.config;
    self->config.database = (char *)(uintptr_t)self->relay_url;
    self->config.database_path = (char *)(uintptr_t)path_of(self->relay_url);
    self->config.limits.scan_time_s = SCAN_SECONDS;
    const struct outbox_options options = {
        .path = path_of(self->relay_url), .service = "shop", .instance = "1"};
    must(outbox_find(self->relay_url)->open(&options, &self->outbox, &err), &err);
    must(self->outbox->ops->take_lease(self->outbox, LEASE_US, &self->lease, &err), &err);
    must(source_find(self->relay_url)->open(&self->config, &self->source, &err), &err);
}

static void make_tables(struct source_case *self, const char *schema, const char *tables)
{
    *self = (struct source_case){0};
    arena_init(&self->arena, ARENA_SIZE);
    shop_begin(database_case_kind);
    shop_make(&self->shop, schema, tables);
}

static void make(struct source_case *self, bool rows)
{
    struct error err = ERROR_INIT;
    make_store(self->shop.url);
    must(shop_init(&self->shop, rows, &err), &err);
    grant(self);
    source_case_open_all(self);
}

void source_case_make(struct source_case *self, const char *schema, const char *tables)
{
    make_tables(self, schema, tables);
    make(self, true);
}

void source_case_make_bare(struct source_case *self, const char *schema, const char *tables)
{
    make_tables(self, schema, tables);
    make(self, false);
}

void source_case_make_named(struct source_case *self, const char *table, const char *schema,
                            const char *tables)
{
    make_tables(self, schema, tables);
    self->shop.entry.table = (char *)(uintptr_t)table;
    make(self, false);
}

void source_case_done(struct source_case *self)
{
    self->source->ops->close(self->source);
    self->outbox->ops->close(self->outbox);
    arena_done(&self->arena);
    shop_done(&self->shop);
}

const char *source_case_text(const struct source_case *self, const char *sql)
{
    return database_text(self->shop.url, sql);
}

void source_case_claim(struct source_case *self, int32_t partition)
{
    const struct outbox_extent extent = {
        .rows = 10000, .payload_bytes = 1000000, .total_bytes = ARENA_SIZE / 2};
    struct error err = ERROR_INIT;
    struct outbox_rows rows = {0};
    arena_reset(&self->arena);
    must(self->outbox->ops->load_waiting(self->outbox, &extent, &self->arena, &rows, &err), &err);
    assert_true(rows.count > 0);
    for (size_t i = 0; i < rows.count; i++) {
        rows.rows[i].topic = self->shop.entry.topic;
        rows.rows[i].partition = partition;
        rows.rows[i].sequence = ++self->last[partition];
    }
    struct relay_partition state = {.partition = partition, .last_sequence = self->last[partition]};
    (void)snprintf(state.topic, sizeof state.topic, "%s", self->shop.entry.topic);
    (void)snprintf(state.last_id, sizeof state.last_id, "%.*s",
                   SLICE_ARGS(rows.rows[rows.count - 1].id));
    const struct outbox_claim claim = {
        .rows = rows.rows, .row_count = rows.count, .partitions = &state, .partition_count = 1};
    must(self->outbox->ops->claim(self->outbox, &self->lease, &claim, &err), &err);
}

void source_case_acknowledge(struct source_case *self, int32_t partition, uint64_t sequence)
{
    struct error err = ERROR_INIT;
    struct relay_partition state = {.partition = partition,
                                    .acknowledged_sequence = sequence,
                                    .acknowledged_offset = (int64_t)sequence + 100,
                                    .acknowledged_id = "the-id"};
    (void)snprintf(state.topic, sizeof state.topic, "%s", self->shop.entry.topic);
    must(self->outbox->ops->acknowledge(self->outbox, &self->lease, &state, 1, &err), &err);
}

void source_case_set_aside(struct source_case *self, int64_t position)
{
    struct error err = ERROR_INIT;
    const char *key = source_case_text(
        self, test_format("SELECT aggregateid FROM outbox WHERE position = %" PRId64, position));
    const struct outbox_row row = {.position = position, .entity_key = {key, strcspn(key, "\n")}};
    const struct outbox_set set = {.rows = &row, .count = 1, .reason = "because"};
    bool done = false;
    must(self->outbox->ops->set_aside(self->outbox, &self->lease, &set, &done, &err), &err);
}

void source_case_snapshot(struct source_case *self, bool begin)
{
    struct error err = ERROR_INIT;
    must(self->source->ops->snapshot(self->source, begin, &err), &err);
}

enum status source_case_try_stamp(struct source_case *self, struct error *err)
{
    const struct source_type type = {&self->shop.entry, self->shop.schema};
    struct source_stamp stamp;
    return self->source->ops->stamp(self->source, &type, &self->arena, &stamp, err);
}

struct source_stamp source_case_stamp(struct source_case *self)
{
    struct error err = ERROR_INIT;
    struct source_stamp stamp;
    const struct source_type type = {&self->shop.entry, self->shop.schema};
    must(self->source->ops->stamp(self->source, &type, &self->arena, &stamp, &err), &err);
    return stamp;
}

const char *source_case_positions(struct source_case *self)
{
    struct source_stamp stamp = source_case_stamp(self);
    const char *text = "";
    for (size_t i = 0; i < stamp.count; i++)
        text = test_format("%s%" PRId32 ":%" PRId64 ":%" PRIu64 " ", text,
                           stamp.positions[i].partition, stamp.positions[i].next_offset,
                           stamp.positions[i].acknowledged_sequence);
    return text;
}

const char *source_case_open(struct source_case *self)
{
    struct error err = ERROR_INIT;
    const struct source_type type = {&self->shop.entry, self->shop.schema};
    struct source_open_keys open = {.limit = 100};
    const char *text = "";
    must(self->source->ops->open_keys(self->source, &type, &self->arena, &open, &err), &err);
    for (size_t i = 0; i < open.count; i++)
        text = test_format("%s%.*s ", text, SLICE_ARGS(open.keys[i]));
    return text;
}

static void append_value(struct buffer *rows, const struct value *value)
{
    switch (value->kind) {
    case VALUE_ABSENT:
        buffer_append_text(rows, "absent");
        break;
    case VALUE_NULL:
        buffer_append_text(rows, "NULL");
        break;
    case VALUE_INTEGER:
        buffer_append_format(rows, "%" PRId64, value->integer);
        break;
    case VALUE_DOUBLE:
        buffer_append_format(rows, "%.17g", value->number);
        break;
    case VALUE_BOOLEAN:
        buffer_append_text(rows, value->boolean ? "true" : "false");
        break;
    case VALUE_TEXT:
    case VALUE_UNFIT:
        buffer_append_text(rows, value->kind == VALUE_UNFIT ? "?" : "");
        buffer_append_json(rows, value->text);
        break;
    }
}

void source_case_append_row(struct buffer *rows, const struct entity_schema *schema,
                            struct slice key, const struct value *values)
{
    struct error err = ERROR_INIT;
    struct row_columns columns;
    must(row_columns_find(schema, schema, &columns, &err), &err);
    buffer_append_format(rows, "%.*s %016" PRIx64, SLICE_ARGS(key),
                         row_digest(row_key_digest(key), schema, &columns, values));
    for (size_t i = 0; i < schema->column_count; i++) {
        buffer_append_format(rows, " %s=", schema->columns[i].name);
        append_value(rows, &values[i]);
    }
    buffer_append_text(rows, "\n");
}

struct visited {
    const struct entity_schema *schema;
    struct buffer *rows;
};

static enum status visit(void *context, const struct scanned_row *row, struct error *err)
{
    struct visited *visited = context;
    (void)err;
    source_case_append_row(visited->rows, visited->schema, row->key, row->values);
    return STATUS_OK;
}

enum status source_case_try_scan(struct source_case *self, const struct slice *keys, size_t count,
                                 struct buffer *ret_rows, struct error *err)
{
    struct visited visited = {self->shop.schema, ret_rows};
    const struct source_scan scan = {.entry = &self->shop.entry,
                                     .schema = self->shop.schema,
                                     .keys = keys,
                                     .key_count = count,
                                     .visit = visit,
                                     .context = &visited};
    return self->source->ops->scan(self->source, &scan, err);
}

static int compare_lines(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static const char *sorted(char *text)
{
    static char *lines[ROWS_MAX];
    struct buffer result;
    size_t count = 0;
    buffer_init(&result, ROWS_SIZE);
    for (char *rest = NULL, *line = strtok_r(text, "\n", &rest); line != NULL && count < ROWS_MAX;
         line = strtok_r(NULL, "\n", &rest))
        lines[count++] = line;
    qsort(lines, count, sizeof *lines, compare_lines);
    for (size_t i = 0; i < count; i++)
        buffer_append_format(&result, "%s\n", lines[i]);
    const char *copy = test_format("%s", buffer_text(&result));
    buffer_done(&result);
    return copy;
}

const char *source_case_rows(struct source_case *self, const char *const *keys, size_t count)
{
    struct error err = ERROR_INIT;
    struct buffer rows;
    struct slice *slices = calloc(count + 1, sizeof *slices);
    assert_non_null(slices);
    for (size_t i = 0; i < count; i++)
        slices[i] = slice_of(keys[i]);
    buffer_init(&rows, ROWS_SIZE);
    must(source_case_try_scan(self, keys == NULL ? NULL : slices, count, &rows, &err), &err);
    assert_false(rows.failed);
    const char *text = rows.length == 0 ? "" : sorted(rows.data);
    buffer_done(&rows);
    free(slices);
    return text;
}
