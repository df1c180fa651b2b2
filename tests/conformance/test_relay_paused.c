/* A relay that publishes whole transactions, while one of two types is paused: what depends on
 * nothing that waits is published, however much stands in front of it; the rest waits, and goes out
 * in its order once the type is resumed (rule 54). labels: threads */
#include "tests/support/outbox_case.h"
#include "tests/support/relay_shop.h"
#include "tests/support/session.h"

#include "common/buffer.h"
#include "common/clock.h"
#include "common/log.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define WAIT_US   (INT64_C(60) * 1000 * 1000)
#define LOOKS_US  (INT64_C(2) * 1000 * 1000) /* in which the relay looks several times */
#define SQL_MAX   ((size_t)8 * 1024 * 1024)
#define BACKLOG   7000 /* of the paused type: more than three loads */
#define PART_ROWS 500
#define LARGE     1200 /* of a transaction that is published in parts */
#define LONG      5000 /* of one that does not fit into a load */

#define OPEN     4 /* transactions at a time */
#define ROWS     9000
#define ENTITIES 12000
#define ROUNDS   3

static struct config_entry entries[2];

static void make(struct relay_shop *shop)
{
    *shop = (struct relay_shop){.whole = true};
    outbox_case_whole = true;
    outbox_case_make();
    if (strcmp(outbox_case_product->name, "sqlite") == 0)
        shop->path = outbox_case_path(outbox_case_url);
    relay_shop_prepare(shop, outbox_case_url, 1);
    shop->config.limits.changeset_events = PART_ROWS;
    entries[0] = entries[1] = shop->entry;
    entries[1].entity_type = (char *)"note";
    shop->config.publish = entries;
    shop->config.publish_count = 2;
}

static void append_row(struct buffer *sql, const char *type, int id)
{
    buffer_append_format(sql,
                         "('%s', '{\"id\":%d}', '%s.updated', '{\"op\":\"u\",\"before\":null,"
                         "\"after\":{\"id\":%d,\"name\":\"x\"}}')",
                         type, id, type, id);
}

static const char *insert_of(const char *type, int from, int to)
{
    struct buffer sql;
    buffer_init(&sql, SQL_MAX);
    buffer_append_text(&sql,
                       "INSERT INTO outbox (aggregatetype, aggregateid, type, payload) VALUES ");
    for (int id = from; id <= to; id++) {
        if (id > from)
            buffer_append_text(&sql, ", ");
        append_row(&sql, type, id);
    }
    const char *text = test_format("%s", buffer_text(&sql));
    buffer_done(&sql);
    return text;
}

/* Rows of one set; "" has each of them alone. */
static void write_rows(const char *set, const char *type, int from, int to)
{
    const char *last = outbox_case_ask("SELECT coalesce(max(position), 0) FROM outbox");
    (void)outbox_case_ask(insert_of(type, from, to));
    (void)outbox_case_ask(
        test_format("UPDATE outbox SET changeset = '%s' WHERE position > %s", set, last));
}

static void pause_orders(void)
{
    (void)outbox_case_ask("INSERT INTO keepstep_paused VALUES ('order', 5, 'anna@host', 'why')");
}

static void resume_orders(void)
{
    (void)outbox_case_ask("DELETE FROM keepstep_paused");
}

static void expect_acknowledged(const struct relay_shop *shop, int64_t count)
{
    int64_t until = clock_monotonic_us() + WAIT_US;
    while (atomic_load(&shop->metrics.acknowledged) < count && clock_monotonic_us() < until)
        clock_sleep_us(20000);
    if (atomic_load(&shop->metrics.acknowledged) != count)
        test_fail("acknowledged %lld of %lld: %s",
                  (long long)atomic_load(&shop->metrics.acknowledged), (long long)count,
                  shop->err.text);
}

/* The relay has published all that it may. */
static void expect_only(const struct relay_shop *shop, int64_t count)
{
    expect_acknowledged(shop, count);
    clock_sleep_us(LOOKS_US);
    expect_acknowledged(shop, count);
    assert_int_equal(atomic_load(&shop->metrics.sets_set_aside), 0);
}

/* Each entity's numbers rise with its positions, and each set's have no gap. */
static void expect_order(void)
{
    assert_string_equal(
        outbox_case_ask("SELECT count(*) FROM (SELECT sequence, lag(sequence) OVER (PARTITION BY "
                        "aggregatetype, aggregateid ORDER BY position) AS earlier FROM outbox) AS "
                        "t WHERE sequence < earlier OR sequence IS NULL"),
        "0\n");
    assert_string_equal(
        outbox_case_ask("SELECT count(*) FROM (SELECT changeset FROM outbox WHERE changeset LIKE "
                        "'set%' GROUP BY changeset HAVING max(sequence) - min(sequence) + 1 <> "
                        "count(*)) AS t"),
        "0\n");
}

static void what_depends_on_nothing_paused_passes_all_that_waits(void)
{
    struct relay_shop shop;
    make(&shop);
    write_rows("", "order", 1, BACKLOG);
    write_rows("set-mixed", "order", 9001, 9001);
    write_rows("set-mixed", "note", 9001, 9001);
    write_rows("set-behind", "note", 9001, 9002);
    write_rows("", "note", 9002, 9002);
    write_rows("set-free", "note", 1, 10);
    write_rows("set-large", "note", 101, 100 + LARGE);
    write_rows("set-late", "note", 5001, 5000 + LARGE); /* its last row is paused */
    write_rows("set-late", "order", 9003, 9003);
    write_rows("", "note", 5700, 5700);
    write_rows("set-after", "note", 2, 3);
    pause_orders();
    relay_shop_start(&shop);
    expect_only(&shop, 10 + LARGE + 2);
    assert_string_equal(outbox_case_ask("SELECT count(*), count(DISTINCT changeset) FROM outbox "
                                        "WHERE sequence IS NOT NULL AND changeset IN "
                                        "('set-free', 'set-large', 'set-after')"),
                        test_format("%d|3\n", 12 + LARGE));
    write_rows("set-more", "note", 1, 4);
    expect_only(&shop, 16 + LARGE);
    resume_orders();
    expect_acknowledged(&shop, BACKLOG + 23 + 2 * LARGE);
    relay_shop_stop(&shop);
    assert_int_equal(atomic_load(&shop.metrics.sets_split), 0);
    expect_order();
    relay_shop_done(&shop);
}

/* A writer took its position before thousands of others did, and commits when the relay has passed
 * these. What it writes next of the same entity must not come first. (What nothing tells apart may
 * be cut there.) In SQLite nobody writes beside another; there a row of that position stands for
 * one that was released. */
static void what_comes_late_in_front_of_what_was_passed_keeps_its_place(void)
{
    bool is_sqlite = strcmp(outbox_case_product->name, "sqlite") == 0;
    struct session *session = NULL;
    struct relay_shop shop;
    make(&shop);
    if (is_sqlite) {
        write_rows("", "note", 77, 77);
        (void)outbox_case_ask("DELETE FROM outbox");
    } else {
        session = session_open(outbox_case_url);
        session_run(session, "START TRANSACTION", NULL);
        session_run(session, insert_of("note", 77, 77), NULL);
    }
    pause_orders();
    (void)outbox_case_ask(insert_of("order", 1, BACKLOG));
    (void)outbox_case_ask("UPDATE outbox SET changeset = '' WHERE position > 1");
    relay_shop_start(&shop);
    (void)outbox_case_ask(insert_of("note", 1, 1));
    expect_only(&shop, 1);
    if (is_sqlite) {
        (void)outbox_case_ask("INSERT INTO outbox (position, aggregatetype, aggregateid, type, "
                              "payload) SELECT 1, aggregatetype, '{\"id\":77}', type, replace("
                              "payload, '\"id\":1', '\"id\":77') FROM outbox WHERE aggregatetype = "
                              "'note'");
    } else {
        session_run(session, "COMMIT", NULL);
    }
    (void)outbox_case_ask(insert_of("note", 77, 77));
    expect_only(&shop, 3);
    session_close(session);
    resume_orders();
    expect_acknowledged(&shop, BACKLOG + 3);
    relay_shop_stop(&shop);
    expect_order();
    relay_shop_done(&shop);
}

/* @return how often a text stands in a file. */
static int count_in(const char *path, const char *text)
{
    char line[4096];
    int count = 0;
    FILE *in = fopen(path, "r");
    assert_non_null(in);
    while (fgets(line, sizeof line, in) != NULL)
        count += strstr(line, text) != NULL;
    (void)fclose(in);
    return count;
}

static void a_large_transaction_with_a_paused_row_at_its_end_is_measured_once(void)
{
    struct relay_shop shop;
    const char *path = test_path("log.txt");
    make(&shop);
    write_rows("set-late", "note", 1, LONG);
    write_rows("set-late", "order", 1, 1);
    pause_orders();
    int saved = dup(STDERR_FILENO);
    int log = open(path, O_CREAT | O_TRUNC | O_WRONLY | O_APPEND | O_CLOEXEC, 0600);
    assert_true(saved >= 0 && log >= 0 && dup2(log, STDERR_FILENO) >= 0);
    log_configure(LOG_LEVEL_DEBUG, LOG_FORMAT_LOGFMT);
    relay_shop_start(&shop);
    clock_sleep_us(LOOKS_US);
    write_rows("", "note", 9001, 9001);
    expect_only(&shop, 1);
    log_configure(LOG_LEVEL_INFO, LOG_FORMAT_LOGFMT);
    assert_true(dup2(saved, STDERR_FILENO) >= 0);
    (void)close(saved);
    (void)close(log);
    assert_int_equal(count_in(path, "is published in parts"), 1);
    resume_orders();
    expect_acknowledged(&shop, LONG + 2);
    relay_shop_stop(&shop);
    expect_order();
    relay_shop_done(&shop);
}

/* Transactions whose rows lie between each other's, as locks allow it. */
struct history {
    unsigned seed;
    struct buffer sql;
    int set[ROWS];    /* of each row */
    int entity[ROWS]; /* of each row; each tenth one is an order */
    int open[OPEN];   /* the sets that are open */
    int left[OPEN];   /* how many rows they are to have */
    int sets;
    int locked[ENTITIES]; /* by which set; 0: by none */
    bool waits[ROWS + 1]; /* of each set */
    bool held[ENTITIES];  /* a row of it waits */
};

static int history_random(struct history *history, int below)
{
    history->seed = history->seed * 1103515245U + 12345U;
    return (int)((history->seed >> 12) % (unsigned)below);
}

static void history_begin(struct history *history, int slot)
{
    int size = history_random(history, 60) == 0 ? PART_ROWS + history_random(history, PART_ROWS)
                                                : history_random(history, 12);
    history->open[slot] = ++history->sets;
    history->left[slot] = 1 + size;
}

/* All that was written before by transactions that wait stands in front of what this one writes. */
static void history_end(struct history *history, int rows, int slot)
{
    int set = history->open[slot];
    for (int i = 0; i < rows; i++) {
        bool is_order = history->entity[i] % 10 == 0;
        if (history->set[i] == set && (is_order || history->held[history->entity[i]]))
            history->waits[set] = true;
    }
    for (int i = 0; i < rows; i++) {
        if (history->set[i] != set)
            continue;
        history->held[history->entity[i]] |= history->waits[set];
        history->locked[history->entity[i]] = 0;
    }
    history_begin(history, slot);
}

static void history_write(struct history *history, int row)
{
    int slot = history_random(history, OPEN);
    int entity = 0;
    bool is_order = history_random(history, 60) == 0;
    do { /* few orders: else nearly all depends on them */
        entity = history_random(history, ENTITIES);
    } while ((entity % 10 == 0) != is_order ||
             (history->locked[entity] != 0 && history->locked[entity] != history->open[slot]));
    history->locked[entity] = history->open[slot];
    history->set[row] = history->open[slot];
    history->entity[row] = entity;
    const char *type = is_order ? "order" : "note";
    buffer_append_format(&history->sql,
                         "%s('%s', '{\"id\":%d}', '%s.updated', '{\"op\":\"u\",\"before\":null,"
                         "\"after\":{\"id\":%d,\"name\":\"x\"}}', 'set-%d')",
                         row % 1000 == 0 ? "" : ", ", type, entity, type, entity,
                         history->open[slot]);
    if (--history->left[slot] == 0)
        history_end(history, row + 1, slot);
}

/* @return how many rows need not wait. */
static int history_make(struct history *history)
{
    int free = 0;
    for (int i = 0; i < OPEN; i++)
        history_begin(history, i);
    for (int row = 0; row < ROWS; row++) {
        if (row % 1000 == 0)
            buffer_append_format(&history->sql,
                                 "%sINSERT INTO outbox (aggregatetype, aggregateid, type, payload, "
                                 "changeset) VALUES ",
                                 row == 0 ? "" : "; ");
        history_write(history, row);
    }
    for (int slot = 0; slot < OPEN; slot++) /* in the order of their last rows */
        history->left[slot] = ROWS;
    for (int row = 0; row < ROWS; row++) {
        for (int slot = 0; slot < OPEN; slot++) {
            if (history->set[row] == history->open[slot])
                history->left[slot] = row;
        }
    }
    for (int n = 0; n < OPEN; n++) {
        int next = 0;
        for (int slot = 1; slot < OPEN; slot++)
            next = history->left[slot] < history->left[next] ? slot : next;
        history_end(history, ROWS, next);
        history->left[next] = ROWS + 1 + n;
    }
    for (int row = 0; row < ROWS; row++)
        free += !history->waits[history->set[row]];
    return free;
}

static void of_random_transactions_exactly_what_depends_on_the_paused_type_waits(void)
{
    bool is_sqlite = strcmp(outbox_case_product->name, "sqlite") == 0;
    unsigned rounds = is_sqlite ? 1 : ROUNDS; /* a test has one file */
    for (unsigned round = 1; round <= rounds; round++) {
        struct history *history = calloc(1, sizeof *history);
        struct relay_shop shop;
        assert_non_null(history);
        make(&shop);
        history->seed = round;
        buffer_init(&history->sql, SQL_MAX);
        int free_rows = history_make(history);
        (void)outbox_case_ask(buffer_text(&history->sql));
        pause_orders();
        relay_shop_start(&shop);
        expect_only(&shop, free_rows);
        print_message("note: %d of %d rows of %d transactions depend on nothing that waits\n",
                      free_rows, ROWS, history->sets);
        resume_orders();
        expect_acknowledged(&shop, ROWS);
        relay_shop_stop(&shop);
        assert_int_equal(atomic_load(&shop.metrics.sets_split), 0);
        expect_order();
        assert_int_equal(atomic_load(&shop.metrics.sets_merged), 0);
        relay_shop_done(&shop);
        buffer_done(&history->sql);
        free(history);
    }
}

CASE(what_depends_on_nothing_paused_passes_all_that_waits)
CASE(what_comes_late_in_front_of_what_was_passed_keeps_its_place)
CASE(a_large_transaction_with_a_paused_row_at_its_end_is_measured_once)
/* In MariaDB a trigger says which transaction a row is of. */
CASE_OF(of_random_transactions_exactly_what_depends_on_the_paused_type_waits, 0, sqlite)
CASE_OF(of_random_transactions_exactly_what_depends_on_the_paused_type_waits, 1, postgresql)

#define LIMITED(function) TEST_WITH_LIMIT(function, 180)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LIMITED(what_depends_on_nothing_paused_passes_all_that_waits_sqlite),
        LIMITED(what_depends_on_nothing_paused_passes_all_that_waits_postgresql),
        LIMITED(what_depends_on_nothing_paused_passes_all_that_waits_mariadb),
        LIMITED(what_comes_late_in_front_of_what_was_passed_keeps_its_place_sqlite),
        LIMITED(what_comes_late_in_front_of_what_was_passed_keeps_its_place_postgresql),
        LIMITED(what_comes_late_in_front_of_what_was_passed_keeps_its_place_mariadb),
        LIMITED(a_large_transaction_with_a_paused_row_at_its_end_is_measured_once_sqlite),
        LIMITED(a_large_transaction_with_a_paused_row_at_its_end_is_measured_once_postgresql),
        LIMITED(a_large_transaction_with_a_paused_row_at_its_end_is_measured_once_mariadb),
        LIMITED(of_random_transactions_exactly_what_depends_on_the_paused_type_waits_sqlite),
        LIMITED(of_random_transactions_exactly_what_depends_on_the_paused_type_waits_postgresql),
    };
    return TEST_RUN(tests);
}
