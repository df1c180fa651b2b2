/* The schema of a PostgreSQL table: its text, that it can be read, and that the store then uses
 * that very table. */
#include "consumer/describe/postgresql.h"

#include "consumer/store/registry.h"
#include "consumer/store/store.h"
#include "tests/support/postgresql.h"
#include "tests/support/test.h"

static const char *url;
static struct error err;

static const char *schema_of(const char *table)
{
    struct buffer out;
    error_clear(&err);
    buffer_init(&out, 1 << 20);
    const char *text = NULL;
    if (schema_postgresql_describe(url, table, &out, &err) == STATUS_OK)
        text = test_format("%s", buffer_text(&out));
    buffer_done(&out);
    return text;
}

static void the_schema_of_a_table_is_what_the_store_accepts_it_with(void **state)
{
    (void)state;
    url = postgresql_database("described");
    postgresql_execute(url, "CREATE TABLE wide(a varchar(9), id int, b numeric(12,3), c numeric, "
                            "d double precision, e real, f bytea, g boolean NOT NULL, "
                            "h timestamptz, i timestamp, j date, k time, l uuid, m json, n jsonb, "
                            "o smallint, p bigint, q text, region text, "
                            "PRIMARY KEY (region, id) INCLUDE (q))");
    const char *text = schema_of("wide");
    if (text == NULL)
        test_fail("%s", err.text);
    assert_non_null(strstr(text, "\"x-keepstep-key\": [\"id\", \"region\"]"));
    assert_non_null(strstr(text, "\"a\": {\"type\": [\"string\", \"null\"], "
                                 "\"x-keepstep-type\": \"text\", \"maxLength\": 9}"));
    assert_non_null(strstr(text, "\"b\": {\"type\": [\"string\", \"null\"], \"x-keepstep-type\": "
                                 "\"decimal\", \"x-keepstep-precision\": 12, "
                                 "\"x-keepstep-scale\": 3}"));
    assert_non_null(strstr(text, "\"g\": {\"type\": \"boolean\", "));
    test_write_file(test_path("wide.schema.json"), text);

    struct entity_schema *schema = NULL;
    struct store *store = NULL;
    if (entity_schema_new(test_directory(), "wide", &schema, &err) != STATUS_OK)
        test_fail("%s", err.text);
    struct config_entry entry = {.entity_type = (char[]){"wide"}};
    struct mapping mapping = {.schema = schema, .entry = &entry};
    struct store_options options = {.path = url, .service = "billing", .install = true};
    /* A source may have jsonb. A copy in jsonb would not be exact. */
    postgresql_execute(url, "ALTER TABLE wide ALTER n TYPE json");
    if (store_postgresql_ops.open(&options, &store, &err) != STATUS_OK ||
        store_postgresql_ops.prepare(store, &mapping, &err) != STATUS_OK)
        test_fail("%s", err.text);
    store_postgresql_ops.close(store);
    entity_schema_free(schema);
}

static void what_has_no_form_is_refused(void **state)
{
    (void)state;
    url = postgresql_database("described");
    postgresql_execute(url, "CREATE TABLE span(id int PRIMARY KEY, length interval);"
                            "CREATE TABLE rough(id int PRIMARY KEY, n numeric(3,-2));"
                            "CREATE TABLE heap(id int); CREATE SCHEMA app;"
                            "CREATE TABLE app.span(id int PRIMARY KEY, note text)");
    assert_non_null(strstr(schema_of("app.span"), "\"note\""));
    assert_null(schema_of("app.heap"));
    assert_non_null(strstr(err.text, "there is no table app.heap"));
    assert_null(schema_of("span"));
    assert_non_null(strstr(err.text, "span.length: the declared type \"interval\""));
    assert_null(schema_of("rough"));
    assert_non_null(strstr(err.text, "rough.n"));
    assert_null(schema_of("heap"));
    assert_non_null(strstr(err.text, "no primary key"));
    assert_null(schema_of("nowhere"));
    assert_non_null(strstr(err.text, "there is no table"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_schema_of_a_table_is_what_the_store_accepts_it_with),
        TEST(what_has_no_form_is_refused),
    };
    return TEST_RUN(tests);
}
