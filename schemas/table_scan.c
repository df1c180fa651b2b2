/* Writes the query of a scan, and picks the rows of the wanted keys. */
#include "schemas/table_scan.h"

#include "common/clock.h"
#include "schemas/key_sql.h"
#include "schemas_sql.h"

#include <stdlib.h>

#define SQL_SIZE_MAX  ((size_t)8 * 1024 * 1024)
#define ROW_SIZE_MAX  ((size_t)64 * 1024 * 1024)
#define KEYS_SIZE_MAX ((size_t)64 * 1024 * 1024)
#define KEYS_AT_ONCE  1024
#define SECOND_NS     INT64_C(1000000000)
#define LAG_NS        (SECOND_NS / 10) /* more that was lost is not made up for */
#define NAP_NS        (SECOND_NS / 1000)

struct scanning {
    const struct table_scan *scan;
    struct row_query query;
    struct buffer sql;
    struct arena row;
    struct arena keys;    /* parameters of the keys that are looked for at once */
    struct slice *wanted; /* keys; NULL: all rows */
    size_t wanted_count;
    size_t wanted_a_run; /* of a query by key; 0: each row is compared with all of `wanted` */
    struct slice *odd;   /* keys without a canonical form: only a scan of all rows finds these */
    size_t odd_count;
    int64_t due_ns; /* monotonic; the next row is not taken before */
};

static int key_compare(const void *a, const void *b)
{
    return slice_compare(*(const struct slice *)a, *(const struct slice *)b);
}

/* A query by key may find rows of other keys, also of those that another run asks for. */
static bool scan_wants(const struct scanning *scanning, struct slice key)
{
    if (scanning->wanted == NULL)
        return true;
    if (scanning->wanted_a_run == 0)
        return bsearch(&key, scanning->wanted, scanning->wanted_count, sizeof key, key_compare) !=
               NULL;
    size_t from = scanning->query.run * scanning->wanted_a_run;
    size_t end = from + scanning->wanted_a_run;
    for (size_t i = from; i < end && i < scanning->wanted_count; i++) {
        if (slice_equal(scanning->wanted[i], key))
            return true;
    }
    return false;
}

/* Waits so that no more rows come in a second than may be read. */
static void scan_wait(struct scanning *scanning)
{
    int64_t now_ns = clock_monotonic_us() * 1000;
    if (scanning->due_ns < now_ns - LAG_NS)
        scanning->due_ns = now_ns - LAG_NS;
    if (scanning->due_ns - now_ns >= NAP_NS)
        clock_sleep_us((scanning->due_ns - now_ns) / 1000);
    scanning->due_ns += SECOND_NS / scanning->scan->rows_s;
}

static enum status scan_visit(void *context, struct slice key, struct slice image,
                              struct error *err)
{
    struct scanning *scanning = context;
    const struct table_scan *scan = scanning->scan;
    if (scan->rows_s > 0)
        scan_wait(scanning);
    const struct row_texts texts = {key, image};
    struct scanned_row row;
    arena_reset(&scanning->row);
    enum status status = row_scan_read(scan->columns.schema, texts, &scanning->row, &row, err);
    if (status == STATUS_OK && scan_wants(scanning, row.key))
        status = scan->visit(scan->context, &row, err);
    return status;
}

/* Append the text of the query with its words filled in. */
static void append_rows(struct buffer *sql, const struct table_scan *scan)
{
    const char *at = SQL_TABLE_ROWS;
    for (const char *word; (word = strchr(at, '{')) != NULL; at = strchr(word, '}') + 1) {
        buffer_append(sql, at, (size_t)(word - at));
        if (word[1] == 'k')
            column_sql_append_key(sql, &scan->columns, "t");
        else if (word[1] == 'i')
            column_sql_append_image(sql, &scan->columns, "t");
        else
            buffer_append_text(sql, scan->table);
    }
    buffer_append_text(sql, at);
}

/* @param keys  of each run; 0: all rows. */
static enum status scan_run(struct scanning *scanning, size_t keys, struct error *err)
{
    const struct table_scan *scan = scanning->scan;
    struct buffer *sql = &scanning->sql;
    buffer_reset(sql);
    append_rows(sql, scan);
    if (keys > 0) {
        buffer_append_format(sql, " %s WHERE ", scan->index == NULL ? "" : scan->index);
        key_sql_append(sql, &scan->columns, "t", keys);
        buffer_append_format(sql, " %s", scan->lock == NULL ? "" : scan->lock);
    }
    if (sql->failed)
        return error_set(err, STATUS_FATAL, "table %s: the query of its rows grows too large",
                         scan->table);
    scanning->query.sql = buffer_text(sql);
    return scan->run(scan->session, &scanning->query, err);
}

static enum status scan_no_row(void *context, struct slice key, struct slice image,
                               struct error *err)
{
    (void)context, (void)key, (void)image, (void)err;
    return STATUS_OK;
}

/* The first statement that reads a table keeps from then on what it is. So it names all columns. */
static enum status scan_nothing(struct scanning *scanning, struct error *err)
{
    struct row_query *query = &scanning->query;
    append_rows(&scanning->sql, scanning->scan);
    buffer_append_text(&scanning->sql, " LIMIT 1");
    if (scanning->sql.failed)
        return error_set(err, STATUS_RETRY, "no memory");
    query->sql = buffer_text(&scanning->sql);
    query->visit = scan_no_row;
    query->runs = 1;
    return scanning->scan->run(scanning->scan->session, query, err);
}

static enum status scan_all(struct scanning *scanning, struct error *err)
{
    scanning->query.parameters = NULL;
    scanning->query.parameter_count = 0;
    scanning->query.runs = 1;
    scanning->wanted_a_run = 0;
    return scan_run(scanning, 0, err);
}

/* Read the parameters of keys. Those without a canonical form are put aside. */
static enum status keys_read(struct scanning *scanning, const struct slice *keys, size_t count,
                             struct query_parameter *parameters, struct error *err)
{
    const struct table_scan *scan = scanning->scan;
    size_t width = key_sql_width(&scan->columns);
    scanning->wanted_count = 0;
    for (size_t i = 0; i < count; i++) {
        struct error refused = ERROR_INIT;
        enum status status = key_sql_parameters(&scan->columns, keys[i], &scanning->keys,
                                                parameters, &refused);
        if (status == STATUS_REJECT)
            scanning->odd[scanning->odd_count++] = keys[i];
        else if (status != STATUS_OK)
            return error_set(err, status, "%s", refused.text);
        if (status != STATUS_OK || key_sql_is_nowhere(&scan->columns, parameters))
            continue;
        scanning->wanted[scanning->wanted_count++] = keys[i];
        parameters += width;
    }
    return STATUS_OK;
}

static enum status scan_some(struct scanning *scanning, const struct slice *keys, size_t count,
                             struct error *err)
{
    struct row_query *query = &scanning->query;
    size_t a_run = scanning->wanted_a_run;
    size_t width = key_sql_width(&scanning->scan->columns);
    arena_reset(&scanning->keys);
    scanning->wanted = arena_alloc(&scanning->keys, count * sizeof *scanning->wanted);
    struct query_parameter *parameters = arena_alloc(&scanning->keys,
                                                     (count + a_run) * width * sizeof *parameters);
    if (scanning->wanted == NULL || parameters == NULL)
        return error_set(err, STATUS_RETRY, "no memory for the keys of a scan");
    enum status status = keys_read(scanning, keys, count, parameters, err);
    if (status != STATUS_OK || scanning->wanted_count == 0)
        return status;
    query->runs = (scanning->wanted_count + a_run - 1) / a_run;
    query->parameter_count = a_run * width;
    query->parameters = parameters;
    for (size_t i = scanning->wanted_count * width; i < query->runs * a_run * width; i++)
        parameters[i] = parameters[i - width]; /* the last key again, so that none is missing */
    return scan_run(scanning, a_run, err);
}

static enum status scan_keys(struct scanning *scanning, struct error *err)
{
    const struct table_scan *scan = scanning->scan;
    enum status status = STATUS_OK;
    scanning->odd = calloc(scan->key_count + 1, sizeof *scanning->odd);
    if (scanning->odd == NULL)
        return error_set(err, STATUS_RETRY, "no memory for the keys of a scan");
    scanning->wanted_a_run = key_sql_count(&scan->columns);
    if (scan->key_count > 0 && scan->key_count < scanning->wanted_a_run)
        scanning->wanted_a_run = scan->key_count;
    for (size_t i = 0; status == STATUS_OK && i < scan->key_count; i += KEYS_AT_ONCE) {
        size_t left = scan->key_count - i;
        status = scan_some(scanning, &scan->keys[i], left < KEYS_AT_ONCE ? left : KEYS_AT_ONCE,
                           err);
    }
    if (status != STATUS_OK || scanning->odd_count == 0)
        return status;
    qsort(scanning->odd, scanning->odd_count, sizeof *scanning->odd, key_compare);
    scanning->wanted = scanning->odd;
    scanning->wanted_count = scanning->odd_count;
    return scan_all(scanning, err);
}

enum status table_scan_run(const struct table_scan *scan, struct error *err)
{
    struct scanning scanning = {.scan = scan};
    scanning.query = (struct row_query){.table = scan->table,
                                        .until_us = scan->until_us,
                                        .rows_s = scan->rows_s,
                                        .visit = scan_visit,
                                        .context = &scanning};
    buffer_init(&scanning.sql, SQL_SIZE_MAX);
    arena_init(&scanning.row, ROW_SIZE_MAX);
    arena_init(&scanning.keys, KEYS_SIZE_MAX);
    enum status status = scan->keys == NULL     ? scan_all(&scanning, err)
                         : scan->key_count == 0 ? scan_nothing(&scanning, err)
                                                : scan_keys(&scanning, err);
    arena_done(&scanning.keys);
    arena_done(&scanning.row);
    buffer_done(&scanning.sql);
    free(scanning.odd);
    return status;
}
