/* The reference model, the memory store, makes of change sets what each database makes of them. */
#include "tests/support/set_case.h"

#include "common/buffer.h"
#include "consumer/apply/large.h"
#include "consumer/store/memory/memory.h"
#include "consumer/store/registry.h"

#include <stdlib.h>

#define UNREADABLE ",\"a\":7"
#define TEXT_MAX   65536
#define LARGE      20
#define PART       7

static const char table_sql[] =
    "CREATE TABLE orders(id bigint NOT NULL PRIMARY KEY, a varchar(100), b varchar(100));"
    "CREATE TABLE order_lines(id bigint NOT NULL PRIMARY KEY, a varchar(100), b varchar(100))";

static const char *const tables[] = {[DATABASE_SQLITE] = table_sql,
                                     [DATABASE_POSTGRESQL] = table_sql,
                                     [DATABASE_MARIADB] = table_sql};

static bool is_model(const struct copy *copy)
{
    return copy->ops == &store_memory_ops;
}

static void add_rows(struct copy *copy, struct store *store, struct buffer *text)
{
    static const char *const types[] = {"order", "line"};
    static const char *const names[] = {"orders", "order_lines"};
    for (size_t i = 0; i < 2; i++) {
        buffer_append_text(text, names[i]);
        buffer_append_text(text, "\n");
        if (is_model(copy))
            store_memory_rows(store, types[i], text);
        else /* in the order of the model: by their texts */
            buffer_append_text(text, copy_text(copy, test_format("SELECT id, a, b FROM %s ORDER BY "
                                                                 "CAST(id AS char(10))",
                                                                 names[i])));
    }
}

/* @return all that a copy holds: its rows, what is parked, and the position. */
static const char *seen(struct copy *copy)
{
    const struct store_options options = {.path = copy->database, .service = "billing"};
    const struct parked_filter all = {.partition = -1};
    struct store *store = NULL;
    struct parked_records parked = {0};
    struct arena arena;
    struct buffer text;
    arena_init(&arena, (size_t)1 << 28);
    buffer_init(&text, TEXT_MAX);
    copy_must(copy, copy->ops->open(&options, &store, &copy->err));
    add_rows(copy, store, &text);
    copy_must(copy, copy->ops->read_parked(store, &all, &arena, &parked, &copy->err));
    for (size_t i = 0; i < parked.count; i++)
        buffer_append_text(&text, test_format("parked %lld %d %llu\n",
                                              (long long)parked.records[i].record.offset,
                                              (int)parked.records[i].state,
                                              (unsigned long long)parked.records[i].changeset_end));
    copy->ops->close(store);
    const char *kept = test_format("%sat %lld", buffer_text(&text),
                                   (long long)copy_where(copy)->next_offset);
    buffer_done(&text);
    arena_done(&arena);
    return kept;
}

static void single_changes_and_a_set(struct copy *copy)
{
    copy_add(copy, 1, 1, "c", FINE);
    set_begin(copy, 2, 3);
    copy_add(copy, 2, 2, "c", FINE);
    copy_add_line(copy, 3, 1, "c", FINE);
    copy_add_line(copy, 4, 2, "c", FINE);
    copy->changeset_end = 0;
    copy_add(copy, 5, 1, "d", "");
    copy_apply(copy);
}

static void a_set_that_cannot_be_read_and_what_is_behind_it(struct copy *copy)
{
    set_begin(copy, 6, 3);
    copy_add(copy, 6, 10, "c", FINE);
    copy_add(copy, 7, 11, "c", UNREADABLE);
    copy_add_line(copy, 8, 1, "u", COPY_B("held"));
    set_begin(copy, 9, 2);
    copy_add(copy, 9, 12, "c", FINE);
    copy_add_line(copy, 10, 1, "u", COPY_B("behind"));
    set_begin(copy, 11, 2);
    copy_add(copy, 11, 13, "c", FINE);
    copy_add_line(copy, 12, 2, "u", COPY_B("free"));
    copy->changeset_end = 0;
    copy_add(copy, 13, 12, "u", COPY_B("last"));
    copy_apply(copy);
}

static void a_set_with_a_void(struct copy *copy)
{
    set_begin(copy, 14, 3);
    copy_add(copy, 14, 20, "c", FINE);
    copy_add_from(copy, "shop", 15, "e15", "e14", "void", 21, "nothing");
    copy_add(copy, 16, 22, "c", FINE);
    copy->changeset_end = 0;
    copy_apply(copy);
}

/* @return the id of the parked record at an offset. */
static int64_t parked_at(struct copy *copy, int64_t offset)
{
    const struct store_options options = {.path = copy->database, .service = "billing"};
    const struct parked_filter at = {.partition = -1, .from_offset = offset, .limit = 1};
    struct store *store = NULL;
    struct parked_records parked = {0};
    struct arena arena;
    arena_init(&arena, (size_t)1 << 28);
    copy_must(copy, copy->ops->open(&options, &store, &copy->err));
    copy_must(copy, copy->ops->read_parked(store, &at, &arena, &parked, &copy->err));
    assert_int_equal(parked.count, 1);
    int64_t parked_id = parked.records[0].parked_id;
    copy->ops->close(store);
    arena_done(&arena);
    return parked_id;
}

static void the_first_one_is_skipped_and_the_others_go_on(struct copy *copy)
{
    copy_operate(copy, parked_at(copy, 5), PARKED_SET_SKIPPED);
    copy_must(copy, applier_refresh(copy->applier, &copy->err));
    applier_set_reloaded(copy->applier, copy->index, false);
    copy_retry_later(copy, INT64_MAX);
    copy_retry_later(copy, INT64_MAX);
}

/* A set that is written in parts. */
static void a_large_set(struct copy *copy)
{
    struct large_set set;
    struct batch part = {0};
    set_begin(copy, 17, LARGE);
    for (int i = 0; i < LARGE; i++)
        copy_add(copy, 17 + i, 30 + i, "c", FINE);
    copy->changeset_end = 0;
    large_set_begin(copy->applier, &copy->batch.events[0].change, &set);
    for (size_t i = 0; i < copy->batch.count; i++)
        copy_must(copy, large_set_note(copy->applier, &set, &copy->batch.events[i], &copy->err));
    copy_must(copy, batch_init(&part, PART, 1 << 20, 1000000, &copy->err));
    copy_must(copy, applier_begin_large(copy->applier, &set, &copy->err));
    for (size_t i = 0; i < copy->batch.count; i++) {
        copy_must(copy, batch_add(&part, &copy->batch.events[i].change.record, copy->index,
                                  applier_finder(copy->applier), &copy->err));
        if (part.count < PART && i + 1 < copy->batch.count)
            continue;
        copy_must(copy, applier_write_large(copy->applier, &set, &part, &copy->err));
        batch_reset(&part);
    }
    copy_must(copy, applier_end_large(copy->applier, &set, &copy->err));
    batch_done(&part);
    batch_reset(&copy->batch);
}

static void (*const steps[])(struct copy *copy) = {
    single_changes_and_a_set,
    a_set_that_cannot_be_read_and_what_is_behind_it,
    a_set_with_a_void,
    the_first_one_is_skipped_and_the_others_go_on,
    a_large_set,
};

#define STEPS (sizeof steps / sizeof *steps)

/* Go through all steps, and note what is seen behind each. */
static void run(struct copy *copy, char *ret_seen[STEPS])
{
    for (size_t i = 0; i < STEPS; i++) {
        steps[i](copy);
        ret_seen[i] = strdup(seen(copy));
        assert_string_equal(copy_where(copy)->stopped, "");
    }
}

static void the_model_makes_of_change_sets_what_the_database_makes_of_them(void)
{
    char *expected[STEPS];
    char *found[STEPS];
    struct copy *copy = copy_begin_two(tables);
    run(copy, found);
    copy_finish(copy);
    copy = copy_begin_two(tables);
    const struct store_ops *ops = copy->ops;
    char *name = strdup(test_format("model-%d", (int)copy->kind));
    copy->database = copy->config.database_path = name;
    copy_use(copy, &store_memory_ops);
    run(copy, expected);
    for (size_t i = 0; i < STEPS; i++) {
        if (strcmp(expected[i], found[i]) != 0)
            test_fail("step %zu: the model has\n%s\nand the database\n%s", i + 1, expected[i],
                      found[i]);
        free(expected[i]);
        free(found[i]);
    }
    copy->ops = ops;
    copy_finish(copy);
    free(name);
}

int main(void)
{
    static const struct database_case cases[] = {
        DATABASE_CASE(the_model_makes_of_change_sets_what_the_database_makes_of_them),
    };
    return database_case_run(cases, sizeof cases / sizeof *cases);
}
