/* The examples in deploy/joint run as they stand: an order over three kinds of database, and money
 * between two banks. */
#include "tests/support/database.h"
#include "tests/support/sidecar.h"

#include <stdio.h>
#include <sys/stat.h>

#define EXAMPLES KEEPSTEP_SOURCE_DIR "/deploy/joint"
#define WAIT_MS  60000
#define MAX      3

/* A service of an example; its files are FOLDER/NAME.yaml and FOLDER/NAME.sql. */
struct example_service {
    const char *name;
    enum database_kind kind;
};

static const struct example_service order[MAX] = {
    {"shop", DATABASE_POSTGRESQL}, {"warehouse", DATABASE_SQLITE}, {"billing", DATABASE_MARIADB}};
static const struct example_service banks[] = {{"bank_a", DATABASE_POSTGRESQL},
                                               {"bank_b", DATABASE_MARIADB}};

struct example {
    const char *folder;
    size_t count;
    struct sidecar services[MAX];
};

static const char *example_text(const struct example *example, const char *file)
{
    return test_read_file(test_format("%s/%s/%s", EXAMPLES, example->folder, file));
}

/* As its README says: `keepstep schema table` for each type of the configuration. */
static void write_schemas(const char *entries, const char *url, const char *folder)
{
    assert_int_equal(mkdir(folder, 0755), 0);
    for (const char *at = strchr(entries, '\n'); at != NULL && at[1] != '\0';
         at = strchr(at + 1, '\n')) {
        char type[64];
        char table[64];
        if (sscanf(at, " %63[a-z]: {table: %63[a-z],", type, table) != 2)
            test_fail("no type: %s", at);
        struct process_result result = PROCESS_RUN(KEEPSTEP_BINARY, "schema", "table", table,
                                                   "--database", url);
        if (result.exit_code != 0)
            test_fail("keepstep schema table %s: %s", table, result.errors);
        test_write_file(test_format("%s/%s.schema.json", folder, type), result.output);
    }
}

/* Another database and another broker than its configuration names, and no page. */
static struct sidecar make(struct kafka *kafka, const struct example *example,
                           const struct example_service *service)
{
    const char *yaml = example_text(example, test_format("%s.yaml", service->name));
    const char *entries = strstr(yaml, "publish:");
    const char *url = database_make(service->kind, service->name);
    const char *schemas = test_path("schemas-%s", service->name);
    assert_non_null(entries);
    assert_non_null(strstr(yaml, test_format("service: %s\n", service->name)));
    (void)database_text(url, example_text(example, test_format("%s.sql", service->name)));
    write_schemas(entries, url, schemas);
    struct sidecar sidecar = sidecar_make_on(kafka, service->name, url,
                                             test_format("schemas: %s\n%s", schemas, entries));
    sidecar_init(&sidecar, NULL);
    return sidecar;
}

static void begin(struct example *example, const struct example_service *services)
{
    struct kafka *kafka = kafka_start();
    for (size_t i = 0; i < example->count; i++)
        example->services[i] = make(kafka, example, &services[i]);
}

static void start(struct example *example)
{
    for (size_t i = 0; i < example->count; i++) {
        sidecar_start(&example->services[i], NULL);
        assert_true(process_wait_for(example->services[i].process, "keepstep .* starts", WAIT_MS));
    }
}

static void stop(struct example *example)
{
    for (size_t i = 0; i < example->count; i++)
        sidecar_stop(&example->services[i]);
}

static void expect(const struct example *example, size_t service, const char *sql,
                   const char *expected)
{
    const struct sidecar *sidecar = &example->services[service];
    if (!database_wait_for(sidecar->url, sql, expected, WAIT_MS))
        test_fail("%s: %s: %s\n%s", sidecar->name, sql, database_text(sidecar->url, sql),
                  process_errors(sidecar->process));
}

static void expect_outcome(const struct example *example, const char *id, const char *outcome)
{
    const struct sidecar *proposer = &example->services[0];
    const char *const argv[] = {KEEPSTEP_BINARY,  "joint",     "wait", id,  "-c",
                                proposer->config, "--timeout", "60",   NULL};
    struct process_result result = process_run(argv, NULL, 2 * WAIT_MS);
    if (strstr(result.output, outcome) == NULL)
        test_fail("%s: %s%s\n%s", id, result.output, result.errors,
                  process_errors(proposer->process));
}

static void an_order_takes_stock_and_credit_or_is_refused(void **state)
{
    struct example example = {"order", MAX, {{0}}};
    (void)state;
    begin(&example, order);
    (void)database_text(example.services[0].url, example_text(&example, "shop-after-init.sql"));
    start(&example);
    const char *sql = example_text(&example, "order-42.sql");
    (void)database_text(example.services[0].url, sql);
    expect_outcome(&example, "order-42", "committed\n");
    expect(&example, 0, "SELECT state FROM orders WHERE id = 42", "confirmed\n");
    expect(&example, 1, "SELECT free FROM stock", "7\n");
    expect(&example, 2, "SELECT credit_cents FROM accounts", "2000\n");
    expect(&example, 2, "SELECT id, account, cents FROM charges", "42-1|7|3000\n");
    /* The same order once more: there is stock, but not so much credit. */
    (void)database_text(example.services[0].url, test_replace(sql, "42", "43"));
    expect_outcome(&example, "order-43", "aborted: billing: account {\"id\":7}");
    expect(&example, 0, "SELECT state FROM orders WHERE id = 43", "refused\n");
    expect(&example, 1, "SELECT free FROM stock", "7\n");
    expect(&example, 2, "SELECT credit_cents FROM accounts", "2000\n");
    stop(&example);
}

static void money_moves_between_two_banks_or_stays(void **state)
{
    struct example example = {"banks", 2, {{0}}};
    (void)state;
    begin(&example, banks);
    start(&example);
    const char *sql = test_replace(example_text(&example, "transfer.sql"), "5000", "60000");
    (void)database_text(example.services[0].url, sql);
    expect_outcome(&example, "tr-9f2", "committed\n");
    expect(&example, 0, "SELECT cents FROM accounts WHERE id = 'A-1'", "40000\n");
    expect(&example, 0, "SELECT id, account, cents FROM entries", "tr-9f2|A-1|-10000\n");
    expect(&example, 1, "SELECT cents FROM accounts WHERE id = 'B-7'", "20000\n");
    expect(&example, 1, "SELECT id, account, cents FROM entries", "tr-9f2|B-7|10000\n");
    /* From an account that is frozen. */
    (void)database_text(example.services[0].url,
                        test_replace(test_replace(sql, "A-1", "A-2"), "tr-9f2", "tr-9f3"));
    expect_outcome(&example, "tr-9f3", "aborted: bank_a: account {\"id\":\"A-2\"}");
    expect(&example, 1, "SELECT cents FROM accounts WHERE id = 'B-7'", "20000\n");
    expect(&example, 1, "SELECT count(*) FROM entries", "1\n");
    stop(&example);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_WITH_LIMIT(an_order_takes_stock_and_credit_or_is_refused, 240),
        TEST_WITH_LIMIT(money_moves_between_two_banks_or_stays, 240),
    };
    return TEST_RUN(tests);
}
