/* The digests of a type case: what a scan of the source says of a row, each copy must say too. */
#include "schemas/column_sql.h"
#include "schemas/row_digest.h"
#include "schemas/row_scan.h"
#include "tests/support/type_case_internal.h"

#define SQL_SIZE_MAX  ((size_t)1024 * 1024)
#define ROWS_SIZE_MAX ((size_t)64 * 1024 * 1024)

static const struct column_dialect *const dialects[TYPE_DATABASES] = {
    [DATABASE_SQLITE] = &column_sqlite_dialect,
    [DATABASE_POSTGRESQL] = &column_postgresql_dialect,
    [DATABASE_MARIADB] = &column_mariadb_dialect};

/* Texts come in hexadecimal, because a session cuts them at a NUL. */
static const char *const hex_before[TYPE_DATABASES] = {
    [DATABASE_SQLITE] = ", hex(",
    [DATABASE_POSTGRESQL] = ", upper(encode(convert_to(",
    [DATABASE_MARIADB] = ", hex("};
static const char *const hex_after[TYPE_DATABASES] = {[DATABASE_SQLITE] = ")",
                                                      [DATABASE_POSTGRESQL] = ", 'UTF8'), 'hex'))",
                                                      [DATABASE_MARIADB] = ")"};

static bool is_timestamp(const struct type_scan *scan)
{
    struct buffer found;
    if (scan->kind != DATABASE_MARIADB)
        return false;
    buffer_init(&found, SQL_SIZE_MAX);
    session_run(scan->session,
                test_format("SELECT data_type FROM information_schema.columns WHERE table_schema = "
                            "DATABASE() AND table_name = '%s' AND column_name = 'v'",
                            scan->table),
                &found);
    bool is = strncmp(buffer_text(&found), "timestamp", strlen("timestamp")) == 0;
    buffer_done(&found);
    return is;
}

static void write_scan(const struct type_run *run, const struct type_scan *scan, struct buffer *sql)
{
    bool timestamps[ENTITY_COLUMNS_MAX] = {false};
    const struct column_sql columns = {.dialect = dialects[scan->kind],
                                       .schema = run->schema,
                                       .entry = &run->entry,
                                       .is_timestamp = timestamps};
    timestamps[run->value_column - run->schema->columns] = is_timestamp(scan);
    buffer_append_format(sql, "SELECT id%s", hex_before[scan->kind]);
    column_sql_append_key(sql, &columns, "t");
    buffer_append_format(sql, "%s%s", hex_after[scan->kind], hex_before[scan->kind]);
    column_sql_append_image(sql, &columns, "t");
    buffer_append_format(sql, "%s FROM %s AS t ORDER BY id", hex_after[scan->kind], scan->table);
    assert_false(sql->failed);
}

/* What a fill hands on: where no value is unfit, the image is the row of an event. */
static void check_image(struct type_run *run, const struct scanned_row *row,
                        const struct row_columns *all, uint64_t digest)
{
    const struct entity_row of = {
        .schema = run->schema, .entity_key = row->key, .json = row->image};
    struct change change;
    struct error err = ERROR_INIT;
    for (size_t i = 0; i < run->schema->column_count; i++) {
        if (row->values[i].kind == VALUE_UNFIT)
            return;
    }
    enum status status = change_of_row(&of, &run->arena, &change, &err);
    if (status == STATUS_REJECT) /* a limit of the schema */
        return;
    if (status != STATUS_OK ||
        row_digest(row_key_digest(change.entity_key), run->schema, all, change.values) != digest)
        test_fail("%s: %.*s: %s", run->column->native, SLICE_ARGS(row->image), err.text);
}

void type_case_scan(struct type_run *run, const struct type_scan *scan,
                    uint64_t ret_digests[TYPE_VALUES_MAX])
{
    struct buffer sql, found;
    struct slice columns[3];
    struct row_columns all;
    struct scanned_row row;
    struct error err = ERROR_INIT;
    buffer_init(&sql, SQL_SIZE_MAX);
    buffer_init(&found, ROWS_SIZE_MAX);
    write_scan(run, scan, &sql);
    session_run(scan->session, buffer_text(&sql), &found);
    assert_int_equal(row_columns_find(run->schema, run->schema, &all, &err), STATUS_OK);
    struct type_rows rows = {buffer_text(&found)};
    while (type_rows_next(&rows, columns, 3)) {
        size_t i = strtoul(columns[0].data, NULL, 10);
        const struct row_texts texts = {type_case_from_hex(run, columns[1]),
                                        type_case_from_hex(run, columns[2])};
        assert_true(i < run->row_count);
        if (row_scan_read(run->schema, texts, &run->arena, &row, &err) != STATUS_OK)
            test_fail("%s: %s", run->column->native, err.text);
        ret_digests[i] = row_digest(row_key_digest(row.key), run->schema, &all, row.values);
        check_image(run, &row, &all, ret_digests[i]);
    }
    buffer_done(&found);
    buffer_done(&sql);
}
