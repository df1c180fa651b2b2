/* The source's side of a type case: the table, its schema and triggers, and what they publish. */
#include "tests/support/type_case_internal.h"

#include "common/clock.h"
#include "consumer/describe/mariadb.h"
#include "consumer/describe/postgresql.h"
#include "consumer/describe/sqlite.h"
#include "consumer/describe/table.h"
#include "producer/init/init.h"
#include "schemas/change.h"

#include <math.h>
#include <stdio.h>
#include <sysexits.h>

#define SCHEMA_SIZE_MAX ((size_t)64 * 1024)
#define ROWS_SIZE_MAX   ((size_t)64 * 1024 * 1024)
#define RANDOM_DOUBLES  100
#define PLANES          17

static struct type_row *add_row(struct type_run *run, const char *name, char *literal)
{
    if (run->row_count == TYPE_VALUES_MAX)
        test_fail("too many values for %s", run->column->native);
    struct type_row *row = &run->rows[run->row_count++];
    *row = (struct type_row){.name = name, .literal = literal};
    return row;
}

static void add_random_doubles(struct type_run *run)
{
    uint64_t seed = 20261124;
    for (size_t i = 0; i < RANDOM_DOUBLES; i++) {
        char literal[64];
        double number = 0;
        do {
            seed = seed * 6364136223846793005U + 1442695040888963407U;
            uint64_t bits = seed ^ (seed >> 29);
            memcpy(&number, &bits, sizeof number);
        } while (!isfinite(number));
        (void)snprintf(literal, sizeof literal, "%.17e", number);
        add_row(run, "random bits", strdup(literal));
    }
}

/* Add all characters of a plane as one text. U+0000 is not among them. */
static void add_all_characters(struct type_run *run)
{
    static const char *const forms[] = {
        [DATABASE_SQLITE] = "CAST(X'%s' AS TEXT)",
        [DATABASE_POSTGRESQL] = "convert_from(decode('%s', 'hex'), 'UTF8')",
        [DATABASE_MARIADB] = "CONVERT(X'%s' USING utf8mb4)"};
    for (unsigned int plane = 0; plane < PLANES; plane++) {
        struct buffer hex;
        buffer_init(&hex, ROWS_SIZE_MAX);
        for (unsigned int i = plane == 0; i < 0x10000; i++) {
            unsigned int c = plane * 0x10000 + i;
            if (c < 0x80)
                buffer_append_format(&hex, "%02X", c);
            else if (c < 0x800)
                buffer_append_format(&hex, "%02X%02X", 0xc0 | c >> 6, 0x80 | (c & 0x3f));
            else if (c >= 0x10000)
                buffer_append_format(&hex, "%02X%02X%02X%02X", 0xf0 | c >> 18,
                                     0x80 | (c >> 12 & 0x3f), 0x80 | (c >> 6 & 0x3f),
                                     0x80 | (c & 0x3f));
            else if (c < 0xd800 || c > 0xdfff)
                buffer_append_format(&hex, "%02X%02X%02X", 0xe0 | c >> 12, 0x80 | (c >> 6 & 0x3f),
                                     0x80 | (c & 0x3f));
        }
        struct buffer literal;
        buffer_init(&literal, ROWS_SIZE_MAX);
        const char *mark = strchr(forms[run->kind], '%');
        buffer_append(&literal, forms[run->kind], (size_t)(mark - forms[run->kind]));
        buffer_append(&literal, hex.data, hex.length);
        buffer_append_text(&literal, mark + 2);
        add_row(run, "each Unicode character", strdup(buffer_text(&literal)));
        buffer_done(&literal);
        buffer_done(&hex);
    }
}

static void list_rows(struct type_run *run)
{
    const struct type_value *value = run->column->values;
    for (; value->name != NULL; value++) {
        struct type_row *row = add_row(run, value->name, strdup(value->literal));
        row->canonical = value->canonical == NULL ? NULL : strdup(value->canonical);
    }
    if (run->column->generator == TYPE_RANDOM_DOUBLES)
        add_random_doubles(run);
    if (run->column->generator == TYPE_ALL_CHARACTERS)
        add_all_characters(run);
    if (!run->column->is_key)
        add_row(run, "NULL", strdup("NULL"));
    const char *tried = "";
    for (size_t i = 0; i < run->row_count; i++) {
        if (i == 0 || strcmp(run->rows[i].name, run->rows[i - 1].name) != 0)
            tried = test_format("%s%s%s", tried, i == 0 ? "" : ", ", run->rows[i].name);
    }
    run->result->tried = tried;
    run->result->value_count = run->row_count;
}

/* Put the values into a table without triggers. Each session takes them from there. */
static void fill_tables(struct type_run *run)
{
    const struct type_column *column = run->column;
    if (column->before != NULL)
        session_run(run->session, column->before, NULL);
    session_run(run->session,
                test_format("CREATE TABLE %s_values (id BIGINT NOT NULL PRIMARY KEY, v %s)",
                            run->name, column->native),
                NULL);
    session_run(run->session,
                test_format(column->is_key
                                ? "CREATE TABLE %s (id BIGINT NOT NULL, v %s NOT NULL, "
                                  "PRIMARY KEY (v))"
                                : "CREATE TABLE %s (id BIGINT NOT NULL PRIMARY KEY, v %s)",
                            run->name, column->native),
                NULL);
    for (size_t i = 0; i < run->row_count; i++) {
        struct buffer sql;
        buffer_init(&sql, ROWS_SIZE_MAX);
        buffer_append_format(&sql, "INSERT INTO %s_values VALUES (%zu, ", run->name, i);
        buffer_append_text(&sql, run->rows[i].literal);
        buffer_append_text(&sql, ")");
        session_run(run->session, buffer_text(&sql), NULL);
        buffer_done(&sql);
        const char *copy = test_format("INSERT INTO %s SELECT id, v FROM %s_values WHERE id = %zu",
                                       run->name, run->name, i);
        if (session_try(run->session, copy, NULL) != NULL && !column->is_key)
            test_fail("%s: %s does not fit", column->native, run->rows[i].name);
    }
}

static enum status describe(const struct type_run *run, struct buffer *out, struct error *err)
{
    if (run->kind == DATABASE_POSTGRESQL)
        return schema_postgresql_describe(run->url, run->name, out, err);
    if (run->kind == DATABASE_MARIADB)
        return schema_mariadb_describe(run->url, run->name, out, err);
    return schema_sqlite_describe(run->url + strlen("sqlite:"), run->name, out, err);
}

static void write_by_hand(const struct type_run *run, struct buffer *out)
{
    struct schema_table table;
    struct error err = ERROR_INIT;
    struct column id = {
        .name = (char[]){"id"}, .type = COLUMN_INTEGER, .is_key = !run->column->is_key};
    struct column value = {
        .name = (char[]){"v"}, .is_key = run->column->is_key, .nullable = !run->column->is_key};
    assert_true(column_type_parse(run->column->by_hand, &value.type));
    schema_table_init(&table, run->name, SCHEMA_SIZE_MAX);
    schema_table_add(&table, &id);
    schema_table_add(&table, &value);
    if (schema_table_write(&table, out, &err) != STATUS_OK)
        test_fail("%s", err.text);
    schema_table_done(&table);
}

static bool make_schema(struct type_run *run)
{
    struct error err = ERROR_INIT;
    struct buffer text;
    buffer_init(&text, SCHEMA_SIZE_MAX);
    enum status status = describe(run, &text, &err);
    if (run->column->by_hand != NULL) {
        buffer_reset(&text);
        write_by_hand(run, &text);
    } else if (status != STATUS_OK) {
        type_case_refuse(run, TYPE_COPY_ALL, NULL, "`keepstep schema table`", err.text);
        buffer_done(&text);
        return false;
    }
    test_write_file(test_path("%s.schema.json", run->name), buffer_text(&text));
    buffer_done(&text);
    error_clear(&err);
    if (entity_schema_new(test_directory(), run->name, &run->schema, &err) != STATUS_OK) {
        type_case_refuse(run, TYPE_COPY_ALL, NULL, "the schema's reader",
                         strstr(err.text, ".json: ") + strlen(".json: "));
        return false;
    }
    const struct column *column =
        &run->schema->columns[entity_schema_find(run->schema, slice_of("v"))];
    run->value_column = column;
    const char *type = column_type_name(column->type);
    if (column->precision > 0)
        type = test_format("%s(%u,%u)", type, column->precision, column->scale);
    if (column->length_max > 0)
        type = test_format("%s(%u)", type, column->length_max);
    run->result->schema_type = run->column->by_hand != NULL ? test_format("%s, by hand", type)
                                                            : type;
    return true;
}

static bool make_triggers(struct type_run *run)
{
    const struct entity_schema *schemas[] = {run->schema};
    struct error err = ERROR_INIT;
    char *path = (char *)(uintptr_t)(run->kind == DATABASE_SQLITE ? run->url + strlen("sqlite:")
                                                                  : run->url);
    run->entry = (struct config_entry){.entity_type = (char *)(uintptr_t)run->name,
                                       .table = (char *)(uintptr_t)run->name,
                                       .topic = (char *)(uintptr_t)run->name,
                                       .partitions = 1};
    struct config config = {.service = (char[]){"shop"},
                            .database = (char *)(uintptr_t)run->url,
                            .database_path = path,
                            .instance = (char[]){"1"},
                            .publish = &run->entry,
                            .publish_count = 1};
    FILE *out = fopen(test_path("init.txt"), "w");
    struct init_options options = {.out = out};
    enum status status = init_service(&config, schemas, &options, &err);
    (void)fclose(out);
    if (status == STATUS_OK)
        return true;
    if (err.exit_code != EX_CONFIG)
        test_fail("%s: %s", run->column->native, err.text);
    type_case_refuse(run, TYPE_COPY_ALL, NULL, "`keepstep init`", err.text);
    return false;
}

bool type_source_prepare(struct type_run *run)
{
    list_rows(run);
    fill_tables(run);
    return make_schema(run) && make_triggers(run);
}

static const char *outbox_sql(const struct type_run *run)
{
    return run->kind == DATABASE_POSTGRESQL
               ? "SELECT upper(encode(convert_to(aggregateid, 'UTF8'), 'hex')), "
                 "upper(encode(convert_to(payload, 'UTF8'), 'hex')) FROM outbox ORDER BY position"
               : "SELECT hex(aggregateid), hex(payload) FROM outbox ORDER BY position";
}

/* Write one row into the tracked table, and read its event in the same session. Then undo all.
 * @return the triggers' error, or NULL. */
static const char *publish_row(const struct type_run *run, struct session *session, size_t id,
                               struct buffer *event)
{
    buffer_reset(event);
    session_run(session, run->kind == DATABASE_MARIADB ? "START TRANSACTION" : "BEGIN", NULL);
    const char *refusal = session_try(
        session,
        test_format("INSERT INTO %s SELECT id, v FROM %s_values WHERE id = %zu", run->name,
                    run->name, id),
        NULL);
    if (refusal == NULL)
        session_run(session, outbox_sql(run), event);
    (void)session_try(session, "ROLLBACK", NULL);
    return refusal;
}

static const struct entity_schema *find_schema(void *context, struct slice entity_type)
{
    const struct type_run *run = context;
    return slice_is(entity_type, run->name) ? run->schema : NULL;
}

/* Read the event as relay and reader do. */
static void read_event(struct type_run *run, struct type_row *row, struct slice key,
                       struct slice payload)
{
    struct error err = ERROR_INIT;
    struct slice canonical = {0};
    const struct header headers[] = {
        {slice_of("ce_id"), slice_of("1")},
        {slice_of("ce_source"), slice_of("shop")},
        {slice_of("ce_type"), slice_of(test_format("%s.created", run->name))},
        {slice_of("ce_protocol"), slice_of("1")}};
    const struct record record = {
        .topic = run->name, .key = key, .value = payload, .headers = headers, .header_count = 4};
    enum status status = canonical_key(run->schema, key, &run->arena, &canonical, &err);
    if (status == STATUS_OK)
        status = payload_validate(run->schema, payload, canonical, &err);
    if (status == STATUS_REJECT) {
        type_case_refuse(run, TYPE_COPY_ALL, row, "relay", err.text);
        return;
    }
    if (status != STATUS_OK)
        test_fail("%s: %s: %s", run->column->native, row->name, err.text);
    if (!slice_equal(canonical, key))
        type_case_changed(run, row, "no canonical key was written", key);
    const struct decoder decoder = {{find_schema, run}, &run->arena, NULL};
    if (record_decode(&record, &decoder, &row->change, &err) != STATUS_OK)
        test_fail("%s: %s: %s", run->column->native, row->name, err.text);
    row->published = true;
}

/* An `r` event equals the `c` event except for its operation. */
static void look_for_existing(struct type_run *run, const struct type_row *row,
                              const struct buffer *existing, struct slice hex)
{
    static const char created[] = "7B226F70223A2263"; /* {"op":"c */
    struct slice rest = {hex.data + sizeof created - 1, hex.length - sizeof created + 1};
    if (memmem(existing->data, existing->length, rest.data, rest.length) == NULL)
        type_case_changed(run, row, "no such event of a row that was there before", hex);
}

static void read_canonical(struct type_run *run)
{
    struct buffer texts;
    struct slice columns[3];
    size_t i = 0;
    buffer_init(&texts, ROWS_SIZE_MAX);
    session_run(
        run->session,
        test_format("SELECT %s FROM %s_values ORDER BY id",
                    type_case_reader(run->kind, run->value_column->type, run->column->reader),
                    run->name),
        &texts);
    struct type_rows rows = {buffer_text(&texts)};
    for (; type_rows_next(&rows, columns, 1); i++) {
        struct type_row *row = &run->rows[i];
        bool hex = run->value_column->type == COLUMN_TEXT || run->value_column->type == COLUMN_JSON;
        struct slice text = columns[0];
        struct buffer written;
        buffer_init(&written, ROWS_SIZE_MAX);
        if (row->canonical != NULL) {
            text = slice_of(row->canonical);
            for (size_t j = 0; hex && j < text.length; j++)
                buffer_append_format(&written, "%02X", (unsigned char)text.data[j]);
        }
        if (row->canonical == NULL || !hex)
            buffer_append(&written, text.data, text.length);
        free(row->canonical);
        row->canonical = strdup(buffer_text(&written));
        buffer_done(&written);
    }
    assert_int_equal(i, run->row_count);
    buffer_done(&texts);
}

/* The table of values has the rows that were published, in a table without triggers. */
static void read_digests(struct type_run *run)
{
    uint64_t digests[TYPE_VALUES_MAX] = {0};
    const struct type_scan scan = {run->kind, run->session, test_format("%s_values", run->name)};
    type_case_scan(run, &scan, digests);
    for (size_t i = 0; i < run->row_count; i++)
        run->rows[i].digest = digests[i];
}

void type_source_publish(struct type_run *run)
{
    struct buffer existing;
    struct buffer event;
    struct buffer strange;
    struct slice columns[3];
    buffer_init(&existing, ROWS_SIZE_MAX);
    buffer_init(&event, ROWS_SIZE_MAX);
    buffer_init(&strange, ROWS_SIZE_MAX);
    read_canonical(run);
    session_run(run->session, outbox_sql(run), &existing);
    session_run(run->session, test_format("DELETE FROM %s", run->name), NULL);
    session_run(run->session, "DELETE FROM outbox", NULL);
    for (size_t i = 0; i < run->row_count; i++) {
        struct type_row *row = &run->rows[i];
        const char *refusal = publish_row(run, run->session, i, &event);
        const char *again = publish_row(run, run->strange, i, &strange);
        if ((refusal == NULL) != (again == NULL) ||
            !slice_equal(buffer_slice(&event), buffer_slice(&strange)))
            type_case_changed(run, row, "another event in another session",
                              again == NULL ? buffer_slice(&strange) : slice_of(again));
        struct type_rows rows = {buffer_text(&event)};
        if (refusal != NULL) {
            type_case_refuse(run, TYPE_COPY_ALL, row, "trigger", refusal);
        } else if (!type_rows_next(&rows, columns, 2)) {
            type_case_changed(run, row, "no event", slice_of(""));
        } else {
            if (!run->column->is_key)
                look_for_existing(run, row, &existing, columns[1]);
            read_event(run, row, type_case_from_hex(run, columns[0]),
                       type_case_from_hex(run, columns[1]));
        }
    }
    read_digests(run);
    buffer_done(&strange);
    buffer_done(&event);
    buffer_done(&existing);
}
