/* Rows as wide as they may be, in three databases: 256 columns, and nearly as many bytes as a
 * message of Kafka holds. They are compared, repaired and published anew like any other. */
#include "tests/support/database.h"
#include "tests/support/load.h"
#include "tests/support/repair.h"
#include "tests/support/shop.h"
#include "tests/support/verify.h"

#include <stdio.h>
#include <sysexits.h>

#define COLUMNS      256
#define COLUMN_BYTES 3500 /* of a row that has 255 such columns */
#define PUBLISH      "publish:\n  wide: {table: wides, partitions: 1}\n"
#define APPLY        "apply:\n  wide: {table: wides, partitions: 1}\n"

static const char *ddl(void)
{
    const char *text = "CREATE TABLE wides (c000 INTEGER PRIMARY KEY";
    for (int i = 1; i < COLUMNS; i++)
        text = test_format("%s, c%03d TEXT", text, i);
    return test_format("%s)", text);
}

static void write_schema(void)
{
    const char *columns = "c000 integer";
    for (int i = 1; i < COLUMNS; i++)
        columns = test_format("%s,c%03d text", columns, i);
    test_write_file(test_path("schemas/wide.schema.json"), shop_schema("c000", columns));
}

static void write_row(const struct sidecar *shop, int id, int bytes)
{
    const char *value = test_format("replace(printf('%%.*c', %d, 'x'), 'x', 'y')", bytes);
    const char *text = test_format("INSERT INTO wides VALUES (%d", id);
    for (int i = 1; i < COLUMNS; i++)
        text = test_format("%s, %s", text, value);
    (void)database_text(shop->url, test_format("%s)", text));
}

static void rows_of_256_columns_and_nearly_a_megabyte_are_compared_and_repaired(void **state)
{
    (void)state;
    static const char plant[] = "UPDATE wides SET c255 = 'z' WHERE c000 = 1; "
                                "DELETE FROM wides WHERE c000 = 2";
    struct kafka *kafka = kafka_start();
    struct sidecar shop = sidecar_make(kafka, "shop", ddl(), PUBLISH);
    struct sidecar copies[2];
    write_schema();
    for (int i = 0; i < 2; i++) {
        const char *name = i == 0 ? "billing" : "shipping";
        const char *url = database_make(i == 0 ? DATABASE_POSTGRESQL : DATABASE_MARIADB, name);
        (void)database_text(url, ddl());
        copies[i] = sidecar_make_on(kafka, name, url, APPLY);
    }
    const struct sidecar *const all[] = {&shop, &copies[0], &copies[1], NULL};
    const struct sidecar *const publishers[] = {&shop, NULL};
    const struct sidecar *const appliers[] = {&copies[0], &copies[1], NULL};
    for (size_t i = 0; i < 3; i++)
        sidecar_begin((struct sidecar *)(uintptr_t)all[i]);
    for (int id = 1; id <= 4; id++)
        write_row(&shop, id, id < 3 ? COLUMN_BYTES : 10);
    load_settle(kafka, "wide", publishers, appliers, 60000);
    struct process_result result = VERIFY(all, "--json");
    assert_int_equal(result.exit_code, EX_OK);
    assert_int_equal(verify_count(&result, "equal"), 2);
    for (int i = 0; i < 2; i++) {
        (void)database_text(copies[i].url, plant);
        result = VERIFY(all, "--json", "--rows");
        assert_int_equal(result.exit_code, EX_DATAERR);
        result = REPAIR(&copies[i], &shop, "wide");
        assert_string_equal(repair_entities(&result),
                            "{\"c000\":1} repaired, {\"c000\":2} created");
    }
    result = VERIFY(all, "--json");
    assert_int_equal(result.exit_code, EX_OK);
    result = PROCESS_RUN(KEEPSTEP_BINARY, "repair", "wide", "-c", shop.config, "--publish", "--key",
                         "1");
    assert_int_equal(result.exit_code, EX_OK);
    load_settle(kafka, "wide", publishers, appliers, 60000);
    result = VERIFY(all, "--json");
    assert_int_equal(result.exit_code, EX_OK);
    for (size_t i = 0; i < 3; i++)
        sidecar_stop((struct sidecar *)(uintptr_t)all[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_WITH_LIMIT(rows_of_256_columns_and_nearly_a_megabyte_are_compared_and_repaired, 180),
    };
    return TEST_RUN(tests);
}
