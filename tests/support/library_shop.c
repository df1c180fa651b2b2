/* Makes the service that links libkeepstep. */
#include "tests/support/library_shop.h"

#include "tests/support/process.h"

sqlite3 *library_shop_open(const char *item)
{
    sqlite3 *database = NULL;
    (void)sqlite_text(LIBRARY_SHOP, "CREATE TABLE item(id INTEGER PRIMARY KEY, name TEXT)");
    test_write_file(test_path("item.schema.json"),
                    "{\"type\":\"object\",\"x-keepstep-key\":[\"id\"],\"properties\":"
                    "{\"id\":{\"type\":\"integer\"},\"name\":{\"type\":[\"string\",\"null\"]}}}");
    test_write_file(
        test_path("shop.yaml"),
        test_format("service: shop\ndatabase: sqlite:shop.db\nschemas: .\nlisten: \"\"\n"
                    "kafka: {bootstrap.servers: \"127.0.0.1:1\"}\n"
                    "publish:\n  item: %s\n",
                    item));
    struct process_result result = PROCESS_RUN(KEEPSTEP_BINARY, "init", "-c",
                                               test_path("shop.yaml"));
    if (result.exit_code != 0)
        test_fail("init: %s", result.errors);
    assert_int_equal(sqlite3_open(LIBRARY_SHOP, &database), SQLITE_OK);
    return database;
}
