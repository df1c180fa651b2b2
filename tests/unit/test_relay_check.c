/* Rows that are checked before their sets are put together, where memory ends between them. */
#include "tests/support/test.h"

#include "producer/relay/internal.h"

#define ROWS  4000
#define BYTES ((size_t)64 * 1024) /* not enough for all keys */

#define SCHEMA                                                                                     \
    "{\"$schema\":\"http://json-schema.org/draft-07/schema#\",\"type\":\"object\","                \
    "\"x-keepstep-key\":[\"id\"],\"properties\":{"                                                 \
    "\"id\":{\"type\":\"integer\",\"x-keepstep-type\":\"integer\"}}}"

static struct outbox_row rows[ROWS];

/* One transaction of all rows. Otherwise its first rows would be published as if they were all. */
static void a_set_that_loses_its_last_rows_is_not_taken_for_a_whole_one(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    struct entity_schema *schema = NULL;
    struct config_entry entry = {
        .entity_type = (char *)"order", .topic = (char *)"shop", .partitions = 1};
    const struct config config = {.service = (char *)"shop",
                                  .publish = &entry,
                                  .publish_count = 1,
                                  .limits = {.message_bytes = 1000000},
                                  .transactions = TRANSACTIONS_WHOLE};
    test_write_file(test_path("order.schema.json"), SCHEMA);
    if (entity_schema_new(test_directory(), "order", &schema, &err) != STATUS_OK)
        test_fail("%s", err.text);
    const struct entity_schema *schemas[] = {schema};
    int64_t bytes_max = 0;
    struct relay relay = {.options.config = &config};
    relay.maker = (struct record_maker){.config = &config,
                                        .schemas = schemas,
                                        .bytes_max = &bytes_max,
                                        .lease = &relay.lease.row,
                                        .headers = &relay.headers};
    arena_init(&relay.sets, BYTES);
    arena_init(&relay.headers, BYTES);
    for (size_t i = 0; i < ROWS; i++)
        rows[i] = (struct outbox_row){.position = (int64_t)i + 1,
                                      .id = slice_of("8d7e0c2c-0000-7000-8000-000000000001"),
                                      .entity_type = slice_of("order"),
                                      .entity_key = slice_of("{ \"id\": 7 }"),
                                      .type = slice_of("order.created"),
                                      .payload = slice_of("{\"op\":\"c\",\"before\":null,"
                                                          "\"after\":{\"id\":7}}"),
                                      .created_at = slice_of("2026-01-01T00:00:00.000000Z"),
                                      .changeset = slice_of("7"),
                                      .last_of_group = ROWS};
    struct outbox_rows loaded = {.rows = rows, .count = ROWS};
    if (relay_check_rows(&relay, &loaded, &err) != STATUS_OK)
        test_fail("%s", err.text);
    assert_true(loaded.count > 0 && loaded.count < ROWS);
    assert_true(loaded.cut);
    assert_true(relay.waiting.more);
    for (size_t i = 0; i < loaded.count; i++) {
        assert_null(rows[i].set_aside.data);
        assert_true(rows[i].behind);
    }
    arena_done(&relay.sets);
    arena_done(&relay.headers);
    entity_schema_free(schema);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_set_that_loses_its_last_rows_is_not_taken_for_a_whole_one),
    };
    return TEST_RUN(tests);
}
