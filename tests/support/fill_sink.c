/* Keeps a stream: its begin as it would be written, its rows by their digests. */
#include "tests/support/fill_sink.h"

#include "schemas/row_digest.h"

#include <inttypes.h>

#define KEPT_MAX ((size_t)64 * 1024 * 1024)
#define ROWS_MAX 100000

static const struct entity_schema *kept_schema; /* of the rows that come */

static enum status keep_begin(void *context, const struct fill_begin *begin, struct error *err)
{
    struct fill_kept *kept = context;
    (void)err;
    kept->begins++;
    kept->partition_count = begin->partition_count;
    assert_true(begin->partition_count <= FILL_SINK_PARTITIONS);
    for (int32_t i = 0; i < begin->partition_count; i++)
        kept->stamp[i] = begin->positions[i].next_offset;
    fill_begin_append(begin, &kept->begin);
    return STATUS_OK;
}

static enum status keep_row(void *context, const struct fill_row *row, struct error *err)
{
    struct fill_kept *kept = context;
    const struct entity_row of = {.schema = kept_schema, .entity_key = row->key, .json = row->json};
    struct row_columns columns;
    struct change change;
    struct arena arena;
    arena_init(&arena, KEPT_MAX);
    if (change_of_row(&of, &arena, &change, err) != STATUS_OK ||
        row_columns_find(kept_schema, kept_schema, &columns, err) != STATUS_OK)
        test_fail("%.*s: %s", SLICE_ARGS(row->value), err->text);
    assert_true(change.op == CHANGE_UPDATE && slice_equal(change.entity_key, row->key));
    fill_sums_add_row(&kept->sums, row);
    buffer_append_format(
        &kept->rows, "%.*s %016" PRIx64 "\n", SLICE_ARGS(row->key),
        row_digest(row_key_digest(row->key), kept_schema, &columns, change.values));
    arena_done(&arena);
    if (kept->at_row != NULL)
        kept->at_row(kept->context, row);
    return STATUS_OK;
}

static enum status keep_key(void *context, const struct fill_key *key, struct error *err)
{
    struct fill_kept *kept = context;
    (void)err;
    fill_sums_add_key(&kept->sums, key);
    buffer_append_format(&kept->keys, "%.*s %.*s\n", SLICE_ARGS(key->source), SLICE_ARGS(key->id));
    return STATUS_OK;
}

static int compare_lines(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void sort_lines(struct buffer *rows)
{
    static char *lines[ROWS_MAX];
    size_t count = 0;
    char *text = strdup(buffer_text(rows));
    for (char *line = strtok(text, "\n"); line != NULL; line = strtok(NULL, "\n"))
        lines[count++] = line;
    assert_true(count < ROWS_MAX);
    qsort(lines, count, sizeof *lines, compare_lines);
    buffer_reset(rows);
    for (size_t i = 0; i < count; i++)
        buffer_append_format(rows, "%s\n", lines[i]);
    free(text);
}

static enum status keep_end(void *context, const struct fill_end *end, struct error *err)
{
    struct fill_kept *kept = context;
    (void)err;
    kept->ends++;
    assert_int_equal(end->partition_count, kept->partition_count);
    assert_true(fill_sums_match(&kept->sums, end));
    for (int32_t i = 0; i < end->partition_count; i++)
        kept->filled_to[i] = end->filled_to[i];
    sort_lines(&kept->rows);
    return STATUS_OK;
}

static enum status keep_wait(void *context, const char *for_what, struct error *err)
{
    struct fill_kept *kept = context;
    (void)err;
    kept->waits++;
    if (kept->at_wait != NULL)
        kept->at_wait(kept->context, for_what);
    return STATUS_OK;
}

void fill_kept_begin(struct fill_kept *kept)
{
    *kept = (struct fill_kept){0};
    buffer_init(&kept->begin, KEPT_MAX);
    buffer_init(&kept->rows, KEPT_MAX);
    buffer_init(&kept->keys, KEPT_MAX);
}

void fill_kept_done(struct fill_kept *kept)
{
    service_close(&kept->service);
    buffer_done(&kept->begin);
    buffer_done(&kept->rows);
    buffer_done(&kept->keys);
}

enum status fill_kept_run(struct fill_kept *kept, const struct sidecar *source,
                          const char *entity_type, struct error *err)
{
    const struct fill_sink sink = {.begin = keep_begin,
                                   .row = keep_row,
                                   .key = keep_key,
                                   .end = keep_end,
                                   .wait = keep_wait,
                                   .context = kept};
    struct entity_schema *schema = NULL;
    if (entity_schema_new(test_path("schemas"), entity_type, &schema, err) != STATUS_OK ||
        service_open_file(source->config, &kept->service, err) != STATUS_OK)
        test_fail("%s", err->text);
    const struct entity_schema *const types[] = {schema};
    const struct fill_source_options options = {.service = &kept->service,
                                                .id = "01942f6e-0000-7000-8000-00000000002a",
                                                .topic = sidecar_topic(entity_type),
                                                .types = types,
                                                .type_count = 1};
    kept_schema = schema;
    enum status status = fill_source_run(&options, &sink, err);
    entity_schema_free(schema);
    return status;
}
