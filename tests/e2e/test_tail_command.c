/* `keepstep tail` on a real Kafka: what it shows, when it ends, and that it leaves no trace. */
#include "tests/support/load.h"

#include <signal.h>
#include <sysexits.h>

#define WAIT_MS 30000
#define PUBLISH "publish:\n  item: {table: items, partitions: 1}\n"

static struct sidecar shop_begin(struct kafka *kafka)
{
    struct sidecar shop = sidecar_make(kafka, "shop", SIDECAR_ITEM_DDL, PUBLISH);
    sidecar_begin(&shop);
    (void)sqlite_text(shop.database, "INSERT INTO items VALUES (1, 'one', 1), (2, 'two', NULL);"
                                     "UPDATE items SET name = 'uno' WHERE id = 1;"
                                     "DELETE FROM items WHERE id = 2");
    return shop;
}

struct wanted {
    struct kafka *kafka;
    int64_t count;
};

static bool are_there(void *context)
{
    const struct wanted *wanted = context;
    return sidecar_records(wanted->kafka, "item") >= wanted->count;
}

static void wait_for_records(struct kafka *kafka, int64_t count)
{
    struct wanted wanted = {kafka, count};
    if (!test_wait(are_there, &wanted, WAIT_MS))
        test_fail("not all is published");
}

#define TAIL(shop, ...)                                                                            \
    PROCESS_RUN(KEEPSTEP_BINARY, "tail", "item", "-c", (shop)->config, __VA_ARGS__)

static void expect_lines(const struct process_result *result, const char *const parts[])
{
    const char *at = result->output;
    for (; *parts != NULL; parts++) {
        const char *found = strstr(at, *parts);
        if (found == NULL)
            test_fail("no \"%s\" in its turn in %s%s", *parts, result->output, result->errors);
        at = found + strlen(*parts);
    }
    assert_int_equal(result->exit_code, EX_OK);
}

static void what_is_in_the_log_is_shown_up_to_its_end(void **state)
{
    struct kafka *kafka = kafka_start();
    (void)state;
    struct sidecar shop = shop_begin(kafka);
    wait_for_records(kafka, 4);
    sidecar_produce(kafka, "broken", "item.updated", 3, "\"no row\"");
    struct process_result result = TAIL(&shop, "--until-end");
    expect_lines(&result,
                 (const char *const[]){
                     "  created    {\"id\":1}  id: 1, name: \"one\", amount: 1  from shop #1  ",
                     ".item [0] at 0\n", "  created    {\"id\":2}  ", " #2  ",
                     "  updated    {\"id\":1}  id: 1, name: \"uno\", amount: 1  from shop #3  ",
                     "  deleted    {\"id\":2}  ", " #4  ", "  UNREADABLE  {\"id\":3}  ", " at 4\n",
                     NULL});
    result = TAIL(&shop, "--from=beginning", "--count=1");
    expect_lines(&result, (const char *const[]){"at 0\n", NULL});
    assert_null(strstr(result.output, "at 1\n"));
    result = TAIL(&shop, "--from=1", "--until-end", "--key=2", "--partition=0");
    expect_lines(&result, (const char *const[]){"at 1\n", "at 3\n", NULL});
    assert_null(strstr(result.output, "{\"id\":1}"));
    result = TAIL(&shop, "--from=2999-01-01T00:00:00Z", "--until-end");
    assert_int_equal(result.exit_code, EX_OK);
    assert_string_equal(result.output, "");
    result = TAIL(&shop, "--from=1999-01-01T00:00:00Z", "--until-end", "--count=2");
    expect_lines(&result, (const char *const[]){"at 0\n", "at 1\n", NULL});
    sidecar_stop(&shop);
}

#define DEBEZIUM "apply:\n  item: {table: items, topic: %s, format: debezium, partitions: 1}\n"
#define CRM      "\"source\":{\"connector\":\"postgresql\",\"name\":\"crm\"},\"ts_ms\":17960005230"

/* Every kind of record of a foreign topic, a tombstone and what cannot be read among them. */
static void debeziums_records_and_tombstones_are_shown_for_what_they_are(void **state)
{
    static const char *const records[][2] = {
        {"{\"id\":1}", "{\"before\":null,\"after\":{\"id\":1,\"name\":\"one\",\"amount\":null},"
                       "\"op\":\"r\"," CRM "}"},
        {"{\"id\":1}",
         "{\"schema\":{\"type\":\"struct\"},\"payload\":{\"before\":{\"id\":1,\"name\":"
         "\"one\",\"amount\":null},\"after\":{\"id\":1,\"name\":\"u\\u001b[31m\","
         "\"amount\":null},\"op\":\"u\"," CRM "}}"},
        {"{\"id\":1}", "{\"before\":{\"id\":1,\"name\":\"one\",\"amount\":null},\"after\":null,"
                       "\"op\":\"d\"," CRM "}"},
        {"{\"id\":1}", NULL},
        {"no \033key", "{\"op\":\"x\"}"},
    };
    struct kafka *kafka = kafka_start();
    const char *topic = sidecar_topic("crm");
    (void)state;
    struct sidecar shop = sidecar_make(kafka, "shop", SIDECAR_ITEM_DDL,
                                       test_format(DEBEZIUM, topic));
    kafka_create_topic(kafka, topic, 1, NULL);
    for (size_t i = 0; i < sizeof records / sizeof *records; i++)
        (void)kafka_produce(kafka, topic, 0, records[i][0], records[i][1], NULL);
    struct process_result result = TAIL(&shop, "--until-end");
    expect_lines(&result, (const char *const[]){
                              "  read       {\"id\":1}  id: 1, name: \"one\", amount: null",
                              " at 0\n", "  updated    {\"id\":1}  name: \"one\" -> ", " at 1\n",
                              "  deleted    {\"id\":1}  ", " at 2\n", "  tombstone  {\"id\":1}  ",
                              " at 3\n", "  UNREADABLE  no ?key  ", " at 4\n", NULL});
    assert_null(strchr(result.output, '\033'));
    result = TAIL(&shop, "--until-end", "--json", "--from=3");
    expect_lines(&result, (const char *const[]){"\"payload\":null", "\"what\":\"tombstone\"", "\n",
                                                "\"key\":\"no \\u001bkey\"", NULL});
}

/* What a relay sends in the place of a row that no broker takes, and what other programs write. */
static void voids_and_marks_are_shown_for_what_they_are(void **state)
{
    static const char *const kinds[] = {"void", "barrier", "heartbeat"};
    struct kafka *kafka = kafka_start();
    (void)state;
    struct sidecar shop = sidecar_make(kafka, "shop", SIDECAR_ITEM_DDL, PUBLISH);
    kafka_create_topic(kafka, sidecar_topic("item"), 1, NULL);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        const char *const headers[] = {"ce_specversion",
                                       "1.0",
                                       "ce_id",
                                       test_format("e%zu", i),
                                       "ce_source",
                                       "shop",
                                       "ce_type",
                                       "item.created",
                                       "ce_sequence",
                                       test_format("%020zu", i + 1),
                                       "ce_incarnation",
                                       "0190aaaa-0000-7000-8000-000000000001",
                                       "ce_protocol",
                                       "1",
                                       "ce_kind",
                                       kinds[i],
                                       i == 0 ? NULL : "ce_previousid",
                                       test_format("e%zu", i - 1),
                                       NULL};
        (void)kafka_produce(kafka, sidecar_topic("item"), 0, "{\"id\":7}", "{}", headers);
    }
    struct process_result result = TAIL(&shop, "--until-end");
    expect_lines(&result,
                 (const char *const[]){"  void       {\"id\":7}  ", " #1  ", " at 0\n",
                                       "  barrier  ", " at 1\n", "  heartbeat  ", " at 2\n", NULL});
    result = TAIL(&shop, "--until-end", "--json", "--count=1");
    expect_lines(&result, (const char *const[]){"\"what\":\"void\"", NULL});
}

static void its_json_has_kcats_keys_and_values(void **state)
{
    struct kafka *kafka = kafka_start();
    (void)state;
    load_need("kcat");
    load_need("jq");
    struct sidecar shop = shop_begin(kafka);
    wait_for_records(kafka, 4);
    const char *keys = "jq -cS '{topic, partition, offset, tstype, ts, broker, key, payload}'";
    struct process_result ours = PROCESS_RUN(
        "bash", "-c",
        test_format("%s tail item -c %s --until-end --json | %s", KEEPSTEP_BINARY, shop.config,
                    keys));
    struct process_result kcat = PROCESS_RUN(
        "bash", "-c",
        test_format("kcat -C -q -J -e -o beginning -b %s -t %s | %s", kafka_bootstrap(kafka),
                    sidecar_topic("item"), keys));
    assert_string_equal(ours.output, kcat.output);
    assert_non_null(strstr(ours.output, "\"offset\":3"));
    struct process_result read = PROCESS_RUN(
        "bash", "-c",
        test_format("%s tail item -c %s --until-end --json | jq -r "
                    "'[.keepstep.what, .keepstep.entity_key, .keepstep.sequence, "
                    ".headers.ce_source] | @csv'",
                    KEEPSTEP_BINARY, shop.config));
    assert_string_equal(read.output, "\"created\",\"{\"\"id\"\":1}\",1,\"shop\"\n"
                                     "\"created\",\"{\"\"id\"\":2}\",2,\"shop\"\n"
                                     "\"updated\",\"{\"\"id\"\":1}\",3,\"shop\"\n"
                                     "\"deleted\",\"{\"\"id\"\":2}\",4,\"shop\"\n");
    sidecar_stop(&shop);
}

static void it_follows_the_log_until_it_is_interrupted_or_nobody_reads_it(void **state)
{
    struct kafka *kafka = kafka_start();
    (void)state;
    struct sidecar shop = shop_begin(kafka);
    wait_for_records(kafka, 4);
    const char *const argv[] = {KEEPSTEP_BINARY, "tail",     "item", "-c",
                                shop.config,     "--from=4", NULL};
    struct process *tail = process_start("tail", argv, NULL);
    (void)sqlite_text(shop.database, "INSERT INTO items VALUES (3, 'three', 3)");
    assert_true(process_wait_for(tail, "created    \\{\"id\":3\\}", WAIT_MS));
    process_signal(tail, SIGINT);
    assert_int_equal(process_wait(tail, WAIT_MS), EX_OK);
    struct process_result result = PROCESS_RUN(
        "bash", "-c",
        test_format("set -o pipefail; %s tail item -c %s --from beginning | head -n 1",
                    KEEPSTEP_BINARY, shop.config));
    if (result.exit_code != 0)
        test_fail("%d: %s", result.exit_code, result.errors);
    (void)sqlite_text(shop.database, "INSERT INTO items VALUES (4, 'four', 4)");
    result = PROCESS_RUN(
        "bash", "-c",
        test_format("%s tail item -c %s --until-end > /dev/full", KEEPSTEP_BINARY, shop.config));
    assert_int_equal(result.exit_code, EX_IOERR);
    result = TAIL(&shop, "--from=yesterday");
    assert_int_equal(result.exit_code, EX_USAGE);
    result = PROCESS_RUN(KEEPSTEP_BINARY, "tail", "order", "-c", shop.config);
    assert_int_equal(result.exit_code, EX_USAGE);
    sidecar_stop(&shop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_WITH_LIMIT(what_is_in_the_log_is_shown_up_to_its_end, 120),
        TEST_WITH_LIMIT(debeziums_records_and_tombstones_are_shown_for_what_they_are, 120),
        TEST_WITH_LIMIT(voids_and_marks_are_shown_for_what_they_are, 120),
        TEST_WITH_LIMIT(its_json_has_kcats_keys_and_values, 120),
        TEST_WITH_LIMIT(it_follows_the_log_until_it_is_interrupted_or_nobody_reads_it, 120),
    };
    return TEST_RUN(tests);
}
