/* The page of a sidecar in a real browser. labels: early */
#include "operate/http_client.h"
#include "tests/support/database.h"
#include "tests/support/npm.h"
#include "tests/support/postgresql.h"
#include "tests/support/sidecar.h"

#include <sys/stat.h>

#define BROWSER  KEEPSTEP_SOURCE_DIR "/tests/browser"
#define ASSETS   KEEPSTEP_SOURCE_DIR "/operate/page/assets"
#define CHECK_MS 300000
#define WISH_MS  120000
#define BODY_MAX ((size_t)4096)
#define STOP_MS  20000
#define TOKEN    "a-secret-of-the-test"

/* @return "CHROMIUM=…". */
static const char *chromium_or_skip(void)
{
    static const char look[] = "command -v chromium";
    struct process_result result = PROCESS_RUN("/bin/sh", "-c", look);
    if (result.exit_code != 0)
        test_skip("no chromium");
    return test_format("CHROMIUM=%.*s", (int)strcspn(result.output, "\n"), result.output);
}

static void check(const char *const argv[], const char *const environment[])
{
    struct process_result result = process_run(argv, environment, CHECK_MS);
    if (result.exit_code != 0)
        test_fail("%s ended with %d:\n%s%s", argv[1], result.exit_code, result.output,
                  result.errors);
}

static void scripts_styles_and_html_are_valid(void **state)
{
    (void)state;
    const char *modules = npm_modules(npm_or_skip("browser", BROWSER));
    const char *eslint = test_format("%s/eslint/bin/eslint.js", modules);
    const char *checker = test_format("%s/vnu-jar/build/dist/vnu.jar", modules);
    const char *const lint[] = {"node", eslint,          "-c", BROWSER "/eslint.config.js",
                                ASSETS, BROWSER "/*.js", NULL};
    check(lint, NULL);
    if (PROCESS_RUN("java", "-version").exit_code != 0)
        test_skip("no java for the checker of HTML and CSS");
    check((const char *const[]){"java", "-jar", checker, "--Werror", ASSETS "/index.html", NULL},
          NULL);
    check((const char *const[]){"java", "-jar", checker, "--css", ASSETS "/page.css", NULL}, NULL);
}

static void what_a_real_run_seldom_has_is_shown(void **state)
{
    (void)state;
    const char *const environment[] = {npm_or_skip("browser", BROWSER), chromium_or_skip(),
                                       "DYGRAPHS=" KEEPSTEP_DYGRAPHS, NULL};
    check((const char *const[]){"node", BROWSER "/check_made_up.js", NULL}, environment);
}

/* Shop publishes what billing and archive apply. The page is billing's. */
static struct run {
    struct kafka *kafka;
    struct sidecar shop;
    struct sidecar billing;
    struct sidecar archive;
    const char *url; /* of billing's database */
    const char *port;
} run;

static bool is_served(void *context)
{
    struct buffer body;
    (void)context;
    buffer_init(&body, BODY_MAX);
    int code = http_get("127.0.0.1", run.port, "/healthz", &body);
    buffer_done(&body);
    return code == 200;
}

static void begin_run(void)
{
    const char *token = test_path("token");
    run.kafka = kafka_start();
    run.url = database_make(DATABASE_POSTGRESQL, "billing");
    run.shop = sidecar_make(run.kafka, "shop", SIDECAR_ITEM_DDL,
                            "publish:\n  item: {table: items, partitions: 1}\n");
    run.archive = sidecar_make(run.kafka, "archive", NULL, "apply:\n  item: {table: items}\n");
    test_write_file(token, TOKEN "\n");
    assert_int_equal(chmod(token, S_IRUSR), 0);
    run.billing = sidecar_make_on(run.kafka, "billing", run.url,
                                  test_format("apply:\n  item: {table: items}\n"
                                              "listen_token_file: %s\n",
                                              token));
    run.port = test_format("%d", sidecar_listen(&run.billing));
    sidecar_begin(&run.shop);
    sidecar_begin(&run.billing);
    sidecar_begin(&run.archive);
    if (!test_wait(is_served, NULL, WISH_MS))
        test_fail("there is no page: %s", process_errors(run.billing.process));
}

static void write_rows(void)
{
    (void)sqlite_text(run.shop.database,
                      "WITH RECURSIVE n(i) AS (SELECT 100 UNION ALL SELECT i+1 FROM n WHERE i<600) "
                      "INSERT INTO items SELECT i,'row',i FROM n");
}

/* The first one can be mended by a row, the second one cannot. */
static void park_records(void)
{
    sidecar_produce(run.kafka, "p-7", "item.updated", 7, "{\"id\":7,\"amount\":5}");
    sidecar_produce(
        run.kafka, "p-8", "item.created", 8,
        "{\"id\":8,\"name\":\"<img src=x onerror=\\\"alert(1)\\\">\",\"amount\":\"much\"}");
}

static void mend(void)
{
    (void)database_text(run.url, "INSERT INTO items VALUES(7,'mended',0)");
}

static void see_it_arrived(void)
{
    assert_string_equal(database_text(run.url, "SELECT name, amount FROM items WHERE id=7"),
                        "mended|5\n");
}

static void stop_broker(void)
{
    kafka_pause(run.kafka);
}

static void start_broker(void)
{
    kafka_continue(run.kafka);
}

static void stop_sidecar(void)
{
    (void)process_stop(run.billing.process, STOP_MS);
}

static void start_sidecar(void)
{
    sidecar_start(&run.billing, NULL);
}

static void a_real_run_is_shown_as_it_goes(void **state)
{
    static const struct {
        const char *name;
        void (*act)(void);
    } wishes[] = {
        {"rows", write_rows},
        {"parked", park_records},
        {"mended", mend},
        {"arrived", see_it_arrived},
        {"broker-away", stop_broker},
        {"broker-back", start_broker},
        {"database-away", postgresql_stop},
        {"database-back", postgresql_start},
        {"sidecar-away", stop_sidecar},
        {"sidecar-back", start_sidecar},
    };
    (void)state;
    const char *const environment[] = {npm_or_skip("browser", BROWSER), chromium_or_skip(), NULL};
    begin_run();
    const char *address = test_format("http://127.0.0.1:%s/", run.port);
    const char *const argv[] = {"node", BROWSER "/check_run.js", address,
                                TOKEN,  test_directory(),        NULL};
    struct process *check_run = process_start("check_run", argv, environment);
    for (size_t i = 0; i < sizeof wishes / sizeof wishes[0]; i++) {
        const char *wish = test_format("want: %s", wishes[i].name);
        if (!process_wait_for(check_run, wish, WISH_MS))
            break; /* how it ended says why */
        wishes[i].act();
        test_write_file(test_path("%s", wishes[i].name), "done\n");
    }
    int code = process_wait(check_run, CHECK_MS);
    if (code != 0)
        test_fail("check_run.js ended with %d:\n%s%s", code, process_output(check_run),
                  process_errors(check_run));
    sidecar_stop(&run.archive);
    sidecar_stop(&run.billing);
    sidecar_stop(&run.shop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_WITH_LIMIT(scripts_styles_and_html_are_valid, 120),
        TEST_WITH_LIMIT(what_a_real_run_seldom_has_is_shown, 300),
        TEST_WITH_LIMIT(a_real_run_is_shown_as_it_goes, 600),
    };
    return TEST_RUN(tests);
}
