/* The schema of a MariaDB table: its text, that it can be read, and that the store then uses that
 * very table. */
#include "consumer/describe/mariadb.h"

#include "consumer/store/registry.h"
#include "consumer/store/store.h"
#include "tests/support/mariadb.h"
#include "tests/support/test.h"

static const char *url;
static struct error err;

static const char *schema_of(const char *table)
{
    struct buffer out;
    error_clear(&err);
    buffer_init(&out, 1 << 20);
    const char *text = NULL;
    if (schema_mariadb_describe(url, table, &out, &err) == STATUS_OK)
        text = test_format("%s", buffer_text(&out));
    buffer_done(&out);
    return text;
}

static void the_schema_of_a_table_is_what_the_store_accepts_it_with(void **state)
{
    (void)state;
    url = mariadb_database("described");
    mariadb_execute(url,
                    "CREATE TABLE wide(a varchar(9), id int, b decimal(12,3), c bigint unsigned, "
                    "d double, e float, f longblob, g tinyint(1) NOT NULL, "
                    "h timestamp(6) NULL, i datetime(6), j date, k time(6), l uuid, m json, "
                    "n longtext, o smallint unsigned, p bigint, q varbinary(9), "
                    "region varchar(20) COLLATE utf8mb4_nopad_bin, `odd ``name` bit(1), "
                    "PRIMARY KEY (region, id))");
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
    assert_non_null(strstr(text, "\"c\": {\"type\": [\"string\", \"null\"], \"x-keepstep-type\": "
                                 "\"decimal\", \"x-keepstep-precision\": 20"));
    assert_non_null(strstr(text, "\"m\": {\"type\": [\"string\", \"null\"], \"x-keepstep-type\": "
                                 "\"json\""));
    assert_non_null(strstr(text, "\"odd `name\""));
    test_write_file(test_path("wide.schema.json"), text);

    struct entity_schema *schema = NULL;
    struct store *store = NULL;
    if (entity_schema_new(test_directory(), "wide", &schema, &err) != STATUS_OK)
        test_fail("%s", err.text);
    struct config_entry entry = {.entity_type = (char[]){"wide"}};
    struct mapping mapping = {.schema = schema, .entry = &entry};
    struct store_options options = {.path = url, .service = "billing", .install = true};
    if (store_mariadb_ops.open(&options, &store, &err) != STATUS_OK ||
        store_mariadb_ops.prepare(store, &mapping, &err) != STATUS_OK)
        test_fail("%s", err.text);
    store_mariadb_ops.close(store);
    entity_schema_free(schema);
}

static void what_has_no_form_is_refused(void **state)
{
    (void)state;
    url = mariadb_database("described");
    mariadb_execute(url, "CREATE TABLE span(id int PRIMARY KEY, place point);"
                         "CREATE TABLE rough(id int PRIMARY KEY, n float(7,2));"
                         "CREATE TABLE heap(id int)");
    assert_null(schema_of("span"));
    assert_non_null(strstr(err.text, "span.place: the declared type \"point\""));
    assert_null(schema_of("rough"));
    assert_non_null(strstr(err.text, "rough.n"));
    assert_null(schema_of("o'; DROP TABLE heap; --"));
    assert_null(schema_of("heap"));
    assert_non_null(strstr(err.text, "no primary key"));
    assert_null(schema_of("nowhere"));
    assert_non_null(strstr(err.text, "there is no table"));
    assert_null(schema_of("described.heap"));
    assert_non_null(strstr(err.text, "described.heap names a database: the URL does that"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_schema_of_a_table_is_what_the_store_accepts_it_with),
        TEST(what_has_no_form_is_refused),
    };
    return TEST_RUN(tests);
}
