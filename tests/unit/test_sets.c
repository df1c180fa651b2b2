/* How waiting rows become change sets: random histories of transactions against plain rules. */
#include "tests/support/test.h"

#include "producer/relay/sets.h"

#include <stdio.h>

#define CONNECTIONS 4
#define ENTITIES    4
#define ROWS_MAX    60
#define STEPS       160
#define HISTORIES   2000
#define WINDOW      6 /* rows that a claim loads at first */
#define INCOMPLETE  SIZE_MAX

/* What a `changeset` stands for. */
enum identity { EXACT, CONNECTION, CONSTANT };

struct history_row {
    size_t transaction; /* from 1 on */
    size_t connection;
    size_t entity;
    bool visible;
    size_t number; /* 0: it waits */
    size_t set;    /* of all claims, from 1 on */
};

struct history {
    enum identity identity;
    struct history_row rows[ROWS_MAX]; /* by position, from 1 on: index + 1 */
    size_t count;
    size_t numbered;
    size_t sets;
    size_t merged; /* sets of several groups */
    size_t transactions;
    size_t open[CONNECTIONS];        /* the transaction; 0: none */
    size_t locked[ENTITIES];         /* by this transaction; 0: by none */
    size_t writer[ENTITIES];         /* the transaction that wrote it last and has committed */
    bool read[STEPS + 1][STEPS + 1]; /* by a transaction: the other one's entity */
    bool depends[STEPS + 1]
                [STEPS + 1]; /* a transaction has written after it read the other one's */
};

static struct history history;
static char names[STEPS + 1][8];
static struct arena arena;
static struct error err;
static unsigned seed;

static size_t random_below(size_t count)
{
    seed = seed * 1103515245U + 12345U;
    return (size_t)(seed >> 16) % count;
}

static size_t begin(size_t connection)
{
    if (history.open[connection] == 0)
        history.open[connection] = ++history.transactions;
    return history.open[connection];
}

static void step_read(size_t connection)
{
    size_t transaction = begin(connection);
    history.read[transaction][history.writer[random_below(ENTITIES)]] = true;
}

static void step_write(size_t connection)
{
    size_t entity = random_below(ENTITIES);
    size_t transaction = begin(connection);
    bool is_free = history.locked[entity] == 0 || history.locked[entity] == transaction;
    if (!is_free || history.count == ROWS_MAX)
        return;
    history.locked[entity] = transaction;
    history.read[transaction][history.writer[entity]] = true;
    for (size_t i = 1; i <= STEPS; i++)
        history.depends[transaction][i] = history.depends[transaction][i] ||
                                          (i != transaction && history.read[transaction][i]);
    history.rows[history.count++] = (struct history_row){
        .transaction = transaction, .connection = connection, .entity = entity};
}

static void step_commit(size_t connection)
{
    size_t transaction = history.open[connection];
    history.open[connection] = 0;
    for (size_t i = 0; transaction != 0 && i < history.count; i++) {
        if (history.rows[i].transaction == transaction)
            history.rows[i].visible = true;
    }
    for (size_t i = 0; transaction != 0 && i < ENTITIES; i++) {
        if (history.locked[i] == transaction) {
            history.writer[i] = transaction;
            history.locked[i] = 0;
        }
    }
}

static size_t group_of(size_t index)
{
    const struct history_row *row = &history.rows[index];
    return history.identity == EXACT        ? row->transaction
           : history.identity == CONNECTION ? row->connection + 1
                                            : 1;
}

static bool is_waiting(size_t index)
{
    return history.rows[index].visible && history.rows[index].number == 0;
}

/* @return the largest position that waits in the row's group. */
static size_t end_of(size_t index)
{
    size_t end = 0;
    for (size_t i = 0; i < history.count; i++) {
        if (is_waiting(i) && group_of(i) == group_of(index))
            end = i + 1;
    }
    return end;
}

/* Loads as load_waiting does. */
static size_t load(size_t limit, struct outbox_row *rows)
{
    size_t count = 0;
    for (size_t i = 0; i < history.count && count < limit; i++) {
        if (!is_waiting(i))
            continue;
        rows[count++] = (struct outbox_row){
            .position = (int64_t)i + 1,
            .entity_type = slice_of("order"),
            .entity_key = slice_of(names[history.rows[i].entity]),
            .changeset = slice_of(names[group_of(i)]),
            .last_of_group = (int64_t)end_of(i),
            .shared = history.identity != EXACT,
        };
    }
    for (size_t i = 0; i < count; i++)
        rows[i].behind = rows[i].last_of_group > rows[count - 1].position;
    return count;
}

/* The rules, word by word: each row has the end of its set; while two rows of an entity would be
 * numbered against their positions, all sets between become one. */
static void apply_rules(const struct outbox_row *rows, size_t count, size_t *ends)
{
    bool changed = true;
    for (size_t i = 0; i < count; i++)
        ends[i] = rows[i].behind ? INCOMPLETE : (size_t)rows[i].last_of_group;
    while (changed) {
        changed = false;
        for (size_t i = 0; i < count; i++) {
            for (size_t j = i + 1; j < count; j++) {
                size_t first = ends[j];
                size_t last = ends[i];
                if (!slice_equal(rows[i].entity_key, rows[j].entity_key) || last <= first)
                    continue;
                for (size_t k = 0; k < count; k++) {
                    if (ends[k] >= first && ends[k] <= last)
                        ends[k] = last;
                }
                changed = true;
            }
        }
    }
}

/* Compares what was arranged with what the rules say of the rows that were loaded. */
static void expect_rules(const struct outbox_row *loaded, const struct outbox_row *rows,
                         const struct change_sets *sets)
{
    size_t ends[ROWS_MAX];
    size_t end_at[ROWS_MAX + 1] = {0}; /* of each position */
    size_t count = sets->rest.first + sets->rest.count;
    size_t before = 0;
    apply_rules(loaded, count, ends);
    for (size_t i = 0; i < count; i++)
        end_at[loaded[i].position] = ends[i];
    for (size_t s = 0; s <= sets->count; s++) {
        const struct change_set *set = s < sets->count ? &sets->sets[s] : &sets->rest;
        for (size_t i = set->first; i < set->first + set->count; i++) {
            size_t end = end_at[rows[i].position];
            assert_true(i == set->first ? end > before : end == before);
            assert_true(i == set->first || rows[i].position > rows[i - 1].position);
            before = end;
        }
        if (set->count > 0)
            assert_true((before == INCOMPLETE) == (s == sets->count));
    }
}

static void number(const struct outbox_row *rows, const struct change_sets *sets)
{
    for (size_t s = 0; s < sets->count; s++) {
        const struct change_set *set = &sets->sets[s];
        history.sets++;
        history.merged += set->groups > 1;
        for (size_t i = set->first; i < set->first + set->count; i++) {
            struct history_row *row = &history.rows[rows[i].position - 1];
            assert_int_equal(row->number, 0);
            row->number = ++history.numbered;
            row->set = history.sets;
        }
    }
}

/* Claims what can be claimed; where no set is complete a larger window is loaded. */
static void step_claim(void)
{
    struct outbox_row loaded[ROWS_MAX];
    struct outbox_row rows[ROWS_MAX];
    struct change_sets sets = {0};
    for (size_t limit = WINDOW;; limit *= 2) {
        arena_reset(&arena);
        size_t count = load(limit, loaded);
        memcpy(rows, loaded, count * sizeof *rows);
        assert_int_equal(sets_arrange(rows, count, &arena, &sets, &err), STATUS_OK);
        assert_int_equal(sets.rest.first + sets.rest.count, count);
        expect_rules(loaded, rows, &sets);
        if (sets.count > 0 || count < limit)
            break;
        assert_true(sets.first_end > loaded[count - 1].position);
        assert_int_equal(sets.first_shared, history.identity != EXACT);
    }
    assert_int_equal(sets.count == 0, sets.rest.first + sets.rest.count == 0);
    number(rows, &sets);
}

static void write_history(enum identity identity)
{
    history = (struct history){.identity = identity};
    for (size_t i = 0; i < STEPS; i++) {
        size_t connection = random_below(CONNECTIONS);
        switch (random_below(8)) {
        case 0:
        case 1:
            step_commit(connection);
            break;
        case 2:
            step_read(connection);
            break;
        case 3:
            step_claim();
            break;
        default:
            step_write(connection);
        }
    }
    for (size_t i = 0; i < CONNECTIONS; i++)
        step_commit(i);
    while (history.numbered < history.count)
        step_claim();
}

/* Whatever a `changeset` stands for: no entity's changes are out of order. */
static void expect_order(void)
{
    for (size_t i = 0; i < history.count; i++) {
        for (size_t j = i + 1; j < history.count; j++) {
            if (history.rows[i].entity == history.rows[j].entity)
                assert_true(history.rows[i].number < history.rows[j].number);
            if (history.rows[i].transaction == history.rows[j].transaction)
                assert_int_equal(history.rows[i].set, history.rows[j].set);
        }
    }
}

/* Where each transaction is told apart: each is a set of its own, behind all that it depends on. */
static void expect_dependences(void)
{
    for (size_t i = 0; i < history.count; i++) {
        for (size_t j = 0; j < history.count; j++) {
            const struct history_row *row = &history.rows[i];
            const struct history_row *other = &history.rows[j];
            if (row->transaction != other->transaction)
                assert_int_not_equal(row->set, other->set);
            if (history.depends[row->transaction][other->transaction])
                assert_true(row->set > other->set);
        }
    }
}

static void run_histories(enum identity identity)
{
    size_t merged = 0;
    arena_init(&arena, (size_t)16 * 1024 * 1024);
    for (size_t i = 0; i <= STEPS; i++)
        (void)snprintf(names[i], sizeof names[i], "n%zu", i);
    for (unsigned i = 1; i <= HISTORIES; i++) {
        seed = i * 7919;
        write_history(identity);
        expect_order();
        if (identity == EXACT)
            expect_dependences();
        merged += history.merged;
    }
    assert_int_equal(merged > 0, identity == CONNECTION);
    arena_done(&arena);
}

static void transactions_that_are_told_apart_are_sets_behind_all_that_they_depend_on(void **state)
{
    (void)state;
    run_histories(EXACT);
}

static void transactions_of_a_connection_become_one_set_with_what_crosses_them(void **state)
{
    (void)state;
    run_histories(CONNECTION);
}

static void what_nothing_tells_apart_is_one_set(void **state)
{
    (void)state;
    run_histories(CONSTANT);
}

static struct outbox_row plain_row(int64_t position, const char *changeset, int64_t end)
{
    return (struct outbox_row){.position = position,
                               .entity_type = slice_of("order"),
                               .entity_key = slice_of(test_format("%lld", (long long)position)),
                               .changeset = slice_of(changeset),
                               .last_of_group = end,
                               .payload = slice_of("0123456789")};
}

static void rows_without_a_changeset_are_sets_of_their_own(void **state)
{
    struct outbox_row rows[] = {plain_row(3, "", 0), plain_row(4, "a", 7), plain_row(5, "", 0),
                                plain_row(7, "a", 7), plain_row(9, "b", 12)};
    static const int64_t wanted[] = {3, 5, 4, 7, 9};
    struct change_sets sets = {0};
    (void)state;
    rows[4].behind = true;
    arena_init(&arena, 1 << 20);
    assert_int_equal(sets_arrange(rows, 5, &arena, &sets, &err), STATUS_OK);
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(rows[i].position, wanted[i]);
    assert_int_equal(sets.count, 3);
    assert_int_equal(sets.sets[2].count, 2);
    assert_int_equal(sets.rest.count, 1);
    assert_int_equal(sets.first_end, 12);
    arena_done(&arena);
}

static void a_set_ends_before_it_is_larger_than_its_limits(void **state)
{
    struct outbox_row rows[] = {plain_row(1, "a", 4), plain_row(2, "a", 4), plain_row(3, "a", 4),
                                plain_row(4, "a", 4)};
    (void)state;
    assert_int_equal(sets_fit(rows, 0, 4, &(struct set_limits){4, 40}), 4);
    assert_int_equal(sets_fit(rows, 0, 4, &(struct set_limits){3, 40}), 3);
    assert_int_equal(sets_fit(rows, 1, 4, &(struct set_limits){4, 29}), 2);
    assert_int_equal(sets_fit(rows, 1, 4, &(struct set_limits){4, 5}), 1);
}

static void without_memory_nothing_is_arranged(void **state)
{
    struct outbox_row rows[] = {plain_row(1, "a", 1)};
    struct change_sets sets = {0};
    (void)state;
    arena_init(&arena, 64);
    assert_int_equal(sets_arrange(rows, 1, &arena, &sets, &err), STATUS_RETRY);
    arena_done(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(transactions_that_are_told_apart_are_sets_behind_all_that_they_depend_on),
        TEST(transactions_of_a_connection_become_one_set_with_what_crosses_them),
        TEST(what_nothing_tells_apart_is_one_set),
        TEST(rows_without_a_changeset_are_sets_of_their_own),
        TEST(a_set_ends_before_it_is_larger_than_its_limits),
        TEST(without_memory_nothing_is_arranged),
    };
    return TEST_RUN(tests);
}
