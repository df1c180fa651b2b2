/* Two rows that are read with one key: SQLite keeps the text 'a' and the blob x'61' apart. A repair
 * must change neither, whichever of them differs and wherever they are. */
#include "tests/support/database.h"
#include "tests/support/repair.h"
#include "tests/support/verify_tables.h"

#include <sysexits.h>

#define ENTRY "  code: {table: codes, partitions: 1}\n"
#define CODES "CREATE TABLE codes (id TEXT NOT NULL PRIMARY KEY, name TEXT)"
#define ROWS  "SELECT quote(id), name FROM codes ORDER BY typeof(id)"

#define DOUBLED "several of its rows are read with the key"

struct pair {
    struct sidecar shop;
    struct sidecar billing;
};

static void pair_begin(struct pair *pair)
{
    struct kafka *kafka = kafka_start();
    pair->shop = sidecar_make(kafka, "shop", CODES, "publish:\n" ENTRY);
    pair->billing = sidecar_make(kafka, "billing", CODES, "apply:\n" ENTRY);
    test_write_file(test_path("schemas/code.schema.json"),
                    "{\"$schema\":\"http://json-schema.org/draft-07/schema#\",\"type\":\"object\","
                    "\"x-keepstep-key\":[\"id\"],\"properties\":{"
                    "\"id\":{\"type\":\"string\",\"x-keepstep-type\":\"text\"},"
                    "\"name\":{\"type\":[\"string\",\"null\"],\"x-keepstep-type\":\"text\"}},"
                    "\"required\":[\"id\"]}");
    sidecar_begin(&pair->shop);
    sidecar_begin(&pair->billing);
    (void)sqlite_text(pair->shop.database, "INSERT INTO codes VALUES ('a', 'text')");
    sidecar_expect(&pair->billing, "SELECT count(*) FROM codes", "1\n");
    sidecar_expect_published(&pair->shop);
}

static void pair_end(struct pair *pair)
{
    sidecar_stop(&pair->shop);
    sidecar_stop(&pair->billing);
}

static void write_silently(const struct sidecar *service, const char *sql)
{
    verify_write_silently(DATABASE_SQLITE, service->url, "codes", sql);
}

static void expect_refused(const struct process_result *result, const char *reason)
{
    if (result->exit_code != EX_DATAERR || strstr(result->output, reason) == NULL)
        test_fail("%d: %s%s", result->exit_code, result->output, result->errors);
}

static void expect_rows(const struct sidecar *service, const char *rows)
{
    assert_string_equal(sqlite_text(service->database, ROWS), rows);
}

/* Of the two rows at the copy first one, then the other, is what the source has. */
static void a_copy_with_two_rows_of_one_key_is_not_repaired_by_that_key(void **state)
{
    static const char *const names[] = {"text", "other"};
    struct pair pair;
    (void)state;
    pair_begin(&pair);
    write_silently(&pair.billing, "INSERT INTO codes VALUES (x'61', 'blob')");
    for (size_t i = 0; i < 2; i++) {
        write_silently(&pair.billing,
                       test_format("UPDATE codes SET name = '%s' WHERE id = 'a'", names[i]));
        const char *before = sqlite_text(pair.billing.database, ROWS);
        struct process_result one = REPAIR(&pair.billing, &pair.shop, "code", "--key", "a");
        expect_refused(&one, DOUBLED);
        struct process_result dry = REPAIR(&pair.billing, &pair.shop, "code", "--key", "a",
                                           "--dry-run");
        expect_refused(&dry, DOUBLED);
        struct process_result all = REPAIR(&pair.billing, &pair.shop, "code");
        expect_refused(&all, DOUBLED);
        expect_rows(&pair.billing, before);
    }
    write_silently(&pair.billing, "DELETE FROM codes WHERE typeof(id) = 'blob'");
    struct process_result mended = REPAIR(&pair.billing, &pair.shop, "code", "--key", "a");
    assert_int_equal(mended.exit_code, EX_OK);
    expect_rows(&pair.billing, "'a'|text\n");
    pair_end(&pair);
}

static void the_rows_of_a_source_with_two_of_one_key_are_not_taken_nor_published(void **state)
{
    struct pair pair;
    (void)state;
    pair_begin(&pair);
    write_silently(&pair.shop, "INSERT INTO codes VALUES (x'61', 'blob')");
    write_silently(&pair.billing, "UPDATE codes SET name = 'other' WHERE id = 'a'");
    struct process_result one = REPAIR(&pair.billing, &pair.shop, "code", "--key", "a");
    expect_refused(&one, DOUBLED);
    struct process_result all = REPAIR(&pair.billing, &pair.shop, "code");
    expect_refused(&all, DOUBLED);
    expect_rows(&pair.billing, "'a'|other\n");
    const char *outbox = sqlite_text(pair.shop.database, "SELECT max(position) FROM outbox");
    struct process_result published = PROCESS_RUN(KEEPSTEP_BINARY, "repair", "code", "-c",
                                                  pair.shop.config, "--publish", "--key", "a");
    expect_refused(&published, "several rows are read with this key");
    assert_string_equal(sqlite_text(pair.shop.database, "SELECT max(position) FROM outbox"),
                        outbox);
    pair_end(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_WITH_LIMIT(a_copy_with_two_rows_of_one_key_is_not_repaired_by_that_key, 120),
        TEST_WITH_LIMIT(the_rows_of_a_source_with_two_of_one_key_are_not_taken_nor_published, 120),
    };
    return TEST_RUN(tests);
}
