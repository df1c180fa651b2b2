/* A fill that the agent gives up is loud everywhere, and goes on when somebody asks anew (rule 38).
 * labels: early */
#include "tests/support/http.h"
#include "tests/support/sidecar.h"

#include <stdio.h>
#include <sysexits.h>

#define PUBLISH  "publish:\n  item: {table: items, partitions: 1}\n"
#define APPLY    "apply:\n  item: {table: items, partitions: 1, fill: always}\n"
#define GIVEN_UP "SELECT stage, voids < 0 FROM keepstep_fill"
#define WAIT_MS  40000

struct pair {
    struct kafka *kafka;
    struct sidecar shop;
    struct sidecar billing; /* its fill is given up */
    int port;
};

/* @param copy  the tables of billing. */
static void pair_begin(struct pair *pair, const char *rows, const char *copy)
{
    *pair = (struct pair){.kafka = kafka_start()};
    pair->shop = sidecar_make(pair->kafka, "shop", SIDECAR_ITEM_DDL, PUBLISH);
    sidecar_begin(&pair->shop);
    (void)sqlite_text(pair->shop.database, rows);
    sidecar_expect_published(&pair->shop);
    pair->billing = sidecar_make(pair->kafka, "billing", copy, APPLY);
    pair->port = sidecar_listen(&pair->billing);
    sidecar_begin(&pair->billing);
}

static void pair_end(struct pair *pair)
{
    sidecar_stop(&pair->billing);
    sidecar_stop(&pair->shop);
}

static void expect_words(const char *what, const char *seen, const char *words)
{
    if (strstr(seen, words) == NULL)
        test_fail("no \"%s\" in %s: %s", words, what, seen);
}

struct page {
    int port;
    const char *path;
    const char *words;
    struct http_reply reply;
};

static bool page_has(void *context)
{
    struct page *page = context;
    page->reply = http_send_request(page->port, "GET", page->path, "");
    return strstr(page->reply.body, page->words) != NULL;
}

static void expect_page(const struct pair *pair, const char *path, const char *words)
{
    struct page page = {.port = pair->port, .path = path, .words = words};
    if (!test_wait(page_has, &page, WAIT_MS))
        test_fail("no \"%s\" in %s: %s", words, path, page.reply.body);
}

struct copies {
    const struct sidecar *asked;
    const char *words;
    struct process_result result;
};

static bool copies_say(void *context)
{
    struct copies *copies = context;
    copies->result = sidecar_run(copies->asked, "copies", "item", NULL);
    return strstr(copies->result.output, copies->words) != NULL;
}

/* @param words  of the reason. */
static void expect_loud(const struct pair *pair, const char *words)
{
    static const char reason[] = "its fill was given up: ";
    struct copies copies = {.asked = &pair->shop, .words = reason};
    struct process_result result = sidecar_run(&pair->billing, "status", NULL, NULL);
    expect_words("status", result.output, "its fill was GIVEN UP after");
    expect_words("status", result.output, words);
    expect_words("status", result.output, "keepstep fill ");
    expect_words("status", result.output, "once the cause of the fill that was GIVEN UP is mended");
    result = sidecar_run(&pair->billing, "status", "--json", NULL);
    expect_words("status --json", result.output, "\"given_up\":true");
    result = sidecar_run(&pair->billing, "lag", NULL, NULL);
    expect_words("lag", result.errors, reason);
    expect_words("lag", result.errors, words);
    expect_words("doctor", sidecar_run(&pair->billing, "doctor", NULL, NULL).output,
                 "its fill was given up");
    if (!test_wait(copies_say, &copies, WAIT_MS))
        test_fail("no \"%s\": %s", reason, copies.result.output);
    expect_words("copies", copies.result.output, "stopped");
    expect_words("copies", copies.result.output, "STOPPED: its fill was given up");
    expect_words("copies", copies.result.output, words);
    expect_page(pair, "/readyz", "the fill of ");
    expect_page(pair, "/readyz", " was given up; `keepstep status` says why");
    expect_page(pair, "/metrics",
                test_format("keepstep_fill_given_up{service=\"billing\",topic=\"%s\"} 1\n",
                            sidecar_topic("item")));
    expect_page(pair, "/api/state", " was given up: nothing of it is read until its cause");
}

static struct process_result ask(const struct pair *pair, const char *flag, const char *second)
{
    const char *const argv[] = {KEEPSTEP_BINARY,      "fill", "item", "-c",
                                pair->billing.config, flag,   second, NULL};
    return process_run(argv, NULL, 90000);
}

/* @param words  of the reason. */
static void expect_ask_in_vain(const struct pair *pair, const char *flag, const char *words)
{
    struct process_result result = ask(pair, flag, NULL);
    if (result.exit_code != EX_DATAERR)
        test_fail("exit code %d: %s%s", result.exit_code, result.output, result.errors);
    expect_words("fill", result.errors, "the agent has given the fill up: ");
    expect_words("fill", result.errors, words);
}

static void expect_filled(const struct pair *pair)
{
    struct process_result result = ask(pair, "--json", NULL);
    if (result.exit_code != EX_OK)
        test_fail("exit code %d: %s%s", result.exit_code, result.output, result.errors);
    expect_words("fill --json", result.output, "\"service\":\"billing\",\"source\":\"shop\"");
    sidecar_assert_equal(&pair->shop, &pair->billing, "items", WAIT_MS);
    sidecar_expect(&pair->billing, "SELECT stage, voids FROM keepstep_fill", "done|0\n");
    expect_page(pair, "/metrics", "keepstep_fill_given_up{service=\"billing\",topic=\"");
    expect_page(pair, "/readyz", "ready");
}

static void a_row_that_the_copy_refuses_gives_the_fill_up_for_all_to_see(void **state)
{
    (void)state;
    struct pair pair;
    pair_begin(&pair, "INSERT INTO items VALUES (1, 'a', 1), (2, 'b', -2)",
               "CREATE TABLE items(id INTEGER PRIMARY KEY, name TEXT NOT NULL, amount INTEGER "
               "CHECK (amount > 0))");
    sidecar_expect(&pair.billing, GIVEN_UP, "loading|1\n");
    expect_loud(&pair, "CHECK constraint failed");
    expect_ask_in_vain(&pair, "--again", "CHECK constraint failed");
    (void)sqlite_text(pair.shop.database, "UPDATE items SET amount = 2 WHERE id = 2");
    expect_filled(&pair);
    pair_end(&pair);
}

/* The parents are kept by nobody here. */
static void three_void_attempts_give_the_fill_up_for_all_to_see(void **state)
{
    (void)state;
    struct pair pair;
    pair_begin(&pair, "INSERT INTO items VALUES (1, 'a', 7)",
               "CREATE TABLE parents(id INTEGER PRIMARY KEY);"
               "CREATE TABLE items(id INTEGER PRIMARY KEY, name TEXT NOT NULL, amount INTEGER "
               "REFERENCES parents)");
    sidecar_expect(&pair.billing, GIVEN_UP, "loading|1\n");
    expect_loud(&pair, "3 attempts were void, the last one because ");
    expect_ask_in_vain(&pair, "--again", "3 attempts were void");
    (void)sqlite_text(pair.billing.database, "INSERT INTO parents VALUES (7)");
    expect_filled(&pair);
    pair_end(&pair);
}

/* They are neither cleared by the attempt that was given up nor by the next one, of an agent that
 * was started again. */
static void rows_that_nobody_has_loaded_are_kept_and_the_refusal_is_loud(void **state)
{
    static const char own[] = "SELECT name FROM items";
    (void)state;
    struct pair pair;
    pair_begin(&pair, "INSERT INTO items VALUES (1, 'a', 1)",
               SIDECAR_ITEM_DDL "INSERT INTO items VALUES (9, 'own', 9)");
    sidecar_expect(&pair.billing, GIVEN_UP, "asked|1\n");
    expect_loud(&pair, "--again");
    sidecar_stop(&pair.billing);
    (void)sqlite_text(pair.billing.database, "UPDATE keepstep_fill SET reason = ''");
    sidecar_start(&pair.billing, NULL);
    sidecar_expect(&pair.billing, "SELECT stage, voids < 0, reason <> '' FROM keepstep_fill",
                   "asked|1|1\n");
    assert_string_equal(sqlite_text(pair.billing.database, own), "own\n");
    struct process_result refused = ask(&pair, NULL, NULL);
    assert_int_equal(refused.exit_code, EX_CONFIG);
    struct process_result cancelled = ask(&pair, "--cancel", "--json");
    assert_int_equal(cancelled.exit_code, EX_OK);
    expect_words("fill --cancel --json", cancelled.output, "\"stage\":\"cancelled\"");
    sidecar_expect(&pair.billing, "SELECT name FROM items ORDER BY id", "a\nown\n");
    assert_int_equal(ask(&pair, "--again", NULL).exit_code, EX_OK);
    sidecar_expect(&pair.billing, own, "a\n");
    pair_end(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_WITH_LIMIT(a_row_that_the_copy_refuses_gives_the_fill_up_for_all_to_see, 180),
        TEST_WITH_LIMIT(three_void_attempts_give_the_fill_up_for_all_to_see, 180),
        TEST_WITH_LIMIT(rows_that_nobody_has_loaded_are_kept_and_the_refusal_is_loud, 180),
    };
    return TEST_RUN(tests);
}
