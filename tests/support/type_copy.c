/* The copies' side of a type case. Each published value is applied through a store and read
 * back. */
#include "consumer/store/registry.h"
#include "tests/support/type_case_internal.h"

#define ROWS_SIZE_MAX ((size_t)64 * 1024 * 1024)
#define COPY_TOPIC    "item"

static void must(const struct type_run *run, enum status status, const struct error *err)
{
    if (status != STATUS_OK)
        test_fail("%s: %s: %s", run == NULL ? "open" : run->column->native, status_name(status),
                  err->text);
}

void type_copy_open(struct type_copy *copy, enum database_kind kind)
{
    struct error err = ERROR_INIT;
    const char *url = database_make(kind, "copy");
    const char *path = kind == DATABASE_SQLITE ? url + strlen("sqlite:") : url;
    struct store_options options = {.path = path, .service = "billing", .install = true};
    *copy = (struct type_copy){.kind = kind, .url = url, .ops = store_find(url)};
    must(NULL, copy->ops->open(&options, &copy->store, &err), &err);
    copy->owned = (struct partition_state){.topic = COPY_TOPIC,
                                           .next_offset = 5,
                                           .token = "t1",
                                           .cluster_id = "cluster",
                                           .partition_count = 1};
    must(NULL, copy->ops->take(copy->store, &copy->owned, &err), &err);
    copy->session = session_open(url);
}

void type_copy_close(struct type_copy *copy)
{
    if (copy->store != NULL)
        copy->ops->close(copy->store);
    partition_state_done(&copy->owned);
    session_close(copy->session);
    *copy = (struct type_copy){0};
}

/* A store that sends statements ahead gives its result at the next savepoint. */
static enum status apply_row(const struct type_copy *copy, const struct mapping *mapping,
                             const struct type_row *row, struct error *err)
{
    const struct change *changes[] = {&row->change};
    enum status status = copy->ops->apply(copy->store, mapping, changes, 1, err);
    return status == STATUS_OK ? copy->ops->savepoint(copy->store, false, err) : status;
}

static void begin_rows(const struct type_copy *copy, const struct type_run *run)
{
    struct error err = ERROR_INIT;
    struct fence fence = {.topic = COPY_TOPIC,
                          .old_offset = copy->owned.next_offset,
                          .new_offset = copy->owned.next_offset,
                          .epoch = copy->owned.epoch,
                          .revision = copy->owned.revision,
                          .anchor_offset = -1};
    must(run, copy->ops->begin(copy->store, &fence, 1, &err), &err);
}

static void apply_rows(const struct type_copy *copy, struct type_run *run,
                       const struct mapping *mapping, bool applied[TYPE_VALUES_MAX])
{
    struct error err = ERROR_INIT;
    begin_rows(copy, run);
    for (size_t i = 0; i < run->row_count; i++) {
        if (!run->rows[i].published)
            continue;
        enum status status = apply_row(copy, mapping, &run->rows[i], &err);
        applied[i] = status == STATUS_OK;
        if (applied[i])
            continue;
        if (status != STATUS_REJECT || err.reject != REJECT_HELD)
            test_fail("%s: %s: %s: %s", copy->ops->scheme, run->column->native, run->rows[i].name,
                      err.text);
        type_case_refuse(run, copy->kind, &run->rows[i], "agent", err.text);
        error_clear(&err);
        must(run, copy->ops->savepoint(copy->store, true, &err), &err);
    }
    must(run, copy->ops->commit(copy->store, false, &err), &err);
}

/* Writes the same rows into the empty table, in one run, as a fill does. */
static void insert_rows(const struct type_copy *copy, struct type_run *run,
                        const struct mapping *mapping, const bool applied[TYPE_VALUES_MAX])
{
    const struct change *changes[TYPE_VALUES_MAX];
    struct error err = ERROR_INIT;
    size_t count = 0;
    session_run(copy->session, test_format("DELETE FROM %s", run->name), NULL);
    for (size_t i = 0; i < run->row_count; i++) {
        run->rows[i].change.is_new = true;
        if (applied[i])
            changes[count++] = &run->rows[i].change;
    }
    begin_rows(copy, run);
    must(run, copy->ops->apply(copy->store, mapping, changes, count, &err), &err);
    must(run, copy->ops->commit(copy->store, false, &err), &err);
    for (size_t i = 0; i < run->row_count; i++)
        run->rows[i].change.is_new = false;
}

static void compare_rows(const struct type_copy *copy, struct type_run *run,
                         const bool applied[TYPE_VALUES_MAX])
{
    bool expected[TYPE_VALUES_MAX];
    struct buffer texts;
    struct slice columns[3];
    memcpy(expected, applied, sizeof expected);
    buffer_init(&texts, ROWS_SIZE_MAX);
    session_run(copy->session,
                test_format("SELECT id, %s FROM %s ORDER BY id",
                            type_case_reader(copy->kind, run->value_column->type, NULL), run->name),
                &texts);
    struct type_rows rows = {buffer_text(&texts)};
    while (type_rows_next(&rows, columns, 2)) {
        size_t i = strtoul(columns[0].data, NULL, 10);
        assert_true(i < run->row_count && expected[i]);
        expected[i] = false;
        if (!type_case_same(run->value_column->type, slice_of(run->rows[i].canonical), columns[1]))
            type_case_changed(run, &run->rows[i],
                              test_format("%s holds it changed, in place of %.80s",
                                          copy->ops->scheme, run->rows[i].canonical),
                              columns[1]);
    }
    for (size_t i = 0; i < run->row_count; i++) {
        if (expected[i])
            type_case_changed(run, &run->rows[i],
                              test_format("%s has no such row", copy->ops->scheme), slice_of(""));
    }
    buffer_done(&texts);
}

static void compare_digests(const struct type_copy *copy, struct type_run *run,
                            const bool applied[TYPE_VALUES_MAX])
{
    uint64_t digests[TYPE_VALUES_MAX] = {0};
    const struct type_scan scan = {copy->kind, copy->session, run->name};
    type_case_scan(run, &scan, digests);
    for (size_t i = 0; i < run->row_count; i++) {
        if (applied[i] && (digests[i] == 0 || digests[i] != run->rows[i].digest))
            type_case_changed(run, &run->rows[i],
                              test_format("the digest at %s is another one", copy->ops->scheme),
                              slice_of(""));
    }
}

void type_copy_apply(struct type_copy *copy, struct type_run *run)
{
    bool applied[TYPE_VALUES_MAX] = {false};
    struct error err = ERROR_INIT;
    const struct mapping mapping = {.schema = run->schema, .entry = &run->entry};
    if (copy->kind == DATABASE_POSTGRESQL && run->column->kept != NULL)
        session_run(copy->session,
                    test_format("CREATE TABLE %s (id bigint PRIMARY KEY, v %s)", run->name,
                                run->column->kept),
                    NULL);
    enum status status = copy->ops->prepare(copy->store, &mapping, &err);
    if (status == STATUS_FATAL) {
        type_case_refuse(run, copy->kind, NULL, "agent, at its start", err.text);
        return;
    }
    must(run, status, &err);
    apply_rows(copy, run, &mapping, applied);
    compare_digests(copy, run, applied);
    compare_rows(copy, run, applied);
    insert_rows(copy, run, &mapping, applied);
    compare_rows(copy, run, applied);
}
