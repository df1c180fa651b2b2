/* `keepstep parked export` on each database: every parked record, whole, in a file of its own. */
#include "tests/support/database.h"
#include "tests/support/load.h"

#include <sys/stat.h>
#include <sysexits.h>

#define RECORDS 100 /* more than a page */
#define NOBODY  "127.0.0.1:9"

/* How each database writes what the test inserts. */
static const struct {
    const char *name;
    const char *partition;
    const char *offset;
    const char *bytes; /* what comes before the digits of bytes */
    const char *blocked;
} kinds[] = {
    [DATABASE_SQLITE] = {"lite", "partition", "offset", "x'",
                         "INSERT INTO keepstep_blocked SELECT 'item', parked_id, parked_id "
                         "FROM keepstep_parked"},
    [DATABASE_POSTGRESQL] = {"post", "partition", "\"offset\"", "'\\x",
                             "INSERT INTO keepstep_blocked SELECT 'item', parked_id, parked_id "
                             "FROM keepstep_parked"},
    [DATABASE_MARIADB] = {"maria", "`partition`", "`offset`", "x'",
                          "INSERT INTO keepstep_blocked SELECT UNHEX(SHA2(parked_id, 256)), "
                          "'item', parked_id, parked_id FROM keepstep_parked"},
};

/* The first record has a value that is no UTF-8, the second one none. */
static void park(const struct sidecar *copy, enum database_kind kind)
{
    struct buffer sql;
    buffer_init(&sql, (size_t)1 << 20);
    buffer_append_format(&sql,
                         "INSERT INTO keepstep_parked (topic, %s, %s, record_key, record_value, "
                         "headers, state, reason, code, attempts, parked_at, next_attempt_at) "
                         "VALUES ",
                         kinds[kind].partition, kinds[kind].offset);
    for (int i = 0; i < RECORDS; i++)
        buffer_append_format(
            &sql, "%s('item', 0, %d, %s6b22', %s%s, NULL, %d, 'why \"%d\"', 7, 2, 1000000, 0)",
            i == 0 ? "" : ", ", i, kinds[kind].bytes, i == 1 ? "" : kinds[kind].bytes,
            i == 0   ? "ff00fe'"
            : i == 1 ? "NULL"
                     : "7b7d'",
            i == RECORDS - 1 ? 3 : 0, i);
    (void)database_text(copy->url, buffer_text(&sql));
    (void)database_text(copy->url, kinds[kind].blocked);
    buffer_done(&sql);
}

static struct sidecar make(enum database_kind kind)
{
    const char *url = database_make(kind, kinds[kind].name);
    (void)database_text(url, "CREATE TABLE items (" SIDECAR_ITEM_COLUMNS ")");
    struct sidecar copy = sidecar_make_at(NOBODY, kinds[kind].name, url,
                                          "apply:\n  item: {table: items, partitions: 1}\n");
    sidecar_init(&copy, NULL);
    return copy;
}

static const char *lines_of(const char *text, int *ret_count)
{
    *ret_count = 0;
    for (const char *at = text; (at = strchr(at, '\n')) != NULL; at++)
        ++*ret_count;
    return text;
}

static const char *jq(const char *path, const char *filter)
{
    struct process_result result = PROCESS_RUN("jq", "-r", "-s", filter, path);
    if (result.exit_code != 0)
        test_fail("jq: %s", result.errors);
    return result.output;
}

static void expect_whole(const struct sidecar *copy)
{
    struct stat found;
    const char *path = test_path("%s.jsonl", copy->name);
    int count = 0;
    struct process_result result = PROCESS_RUN(KEEPSTEP_BINARY, "parked", "export", "-c",
                                               copy->config, "--out", path);
    if (result.exit_code != EX_OK)
        test_fail("%s: %s", copy->name, result.errors);
    const char *text = lines_of(test_read_file(path), &count);
    assert_int_equal(count, RECORDS);
    assert_int_equal(stat(path, &found), 0);
    assert_int_equal(found.st_mode & 07777, 0600);
    assert_non_null(strstr(text, "\"key\":\"k\\\"\",\"value_base64\":\"/wD+\",\"headers\":[]}\n"));
    assert_non_null(strstr(text, "\"key\":\"k\\\"\",\"value\":null,\"headers\":[]}\n"));
    assert_non_null(strstr(text, "\"state\":\"skipped\",\"entity_type\":\"item\""));
    assert_string_equal(jq(path, "length, .[2].reason, .[2].value, .[99].offset"),
                        "100\nwhy \"2\"\n{}\n99\n");
    result = PROCESS_RUN(KEEPSTEP_BINARY, "parked", "export", "-c", copy->config);
    assert_string_equal(result.output, text);
    result = PROCESS_RUN(KEEPSTEP_BINARY, "parked", "export", "-c", copy->config, "--out", path);
    assert_int_equal(result.exit_code, EX_IOERR);
    assert_non_null(strstr(result.errors, "File exists"));
    assert_string_equal(test_read_file(path), text);
}

static void all_that_is_parked_is_exported_whole_from_every_database(void **state)
{
    (void)state;
    load_need("jq");
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        struct sidecar copy = make((enum database_kind)i);
        park(&copy, (enum database_kind)i);
        expect_whole(&copy);
    }
}

static void an_output_that_cannot_be_written_is_an_error_and_leaves_no_part(void **state)
{
    (void)state;
    struct sidecar copy = make(DATABASE_SQLITE);
    park(&copy, DATABASE_SQLITE);
    struct process_result result = PROCESS_RUN(KEEPSTEP_BINARY, "parked", "export", "-c",
                                               copy.config, "--out", "/nowhere/parked.jsonl");
    assert_int_equal(result.exit_code, EX_IOERR);
    assert_non_null(strstr(result.errors, "/nowhere/parked.jsonl: No such file"));
    result = PROCESS_RUN(
        "sh", "-c",
        test_format("%s parked export -c %s > /dev/full", KEEPSTEP_BINARY, copy.config));
    assert_int_equal(result.exit_code, EX_IOERR);
    result = PROCESS_RUN(KEEPSTEP_BINARY, "parked", "list", "-c", copy.config, "--out", "x");
    assert_int_equal(result.exit_code, EX_USAGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_WITH_LIMIT(all_that_is_parked_is_exported_whole_from_every_database, 120),
        TEST_WITH_LIMIT(an_output_that_cannot_be_written_is_an_error_and_leaves_no_part, 60),
    };
    return TEST_RUN(tests);
}
