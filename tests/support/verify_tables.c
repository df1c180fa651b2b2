/* Tables that have one type in three databases. */
#include "tests/support/verify_tables.h"

#include "tests/support/load.h"

static const char schema[] =
    "{\"$schema\":\"http://json-schema.org/draft-07/schema#\",\"type\":\"object\","
    "\"x-keepstep-key\":[\"id\"],\"properties\":{"
    "\"id\":{\"type\":\"integer\",\"x-keepstep-type\":\"integer\"},"
    "\"name\":{\"type\":\"string\",\"maxLength\":100,\"x-keepstep-type\":\"text\"},"
    "\"price\":{\"type\":[\"string\",\"null\"],\"x-keepstep-type\":\"decimal\","
    "\"x-keepstep-precision\":12,\"x-keepstep-scale\":4},"
    "\"ratio\":{\"type\":\"number\",\"x-keepstep-type\":\"double\"}},"
    "\"required\":[\"id\",\"name\",\"price\",\"ratio\"]}";

const struct verify_dialect verify_dialects[] = {
    [DATABASE_SQLITE] = {.service = "lite",
                         .entity_type = "visit",
                         .columns = "id INTEGER PRIMARY KEY, name TEXT NOT NULL, price TEXT, "
                                    "ratio REAL NOT NULL",
                         .pause = ".shell sleep 0.01\n",
                         .silently = {"BEGIN IMMEDIATE; "
                                      "INSERT INTO keepstep_applying VALUES ('%s'); ",
                                      "; DELETE FROM keepstep_applying; COMMIT"}},
    [DATABASE_POSTGRESQL] = {.service = "post",
                             .entity_type = "order",
                             .columns = "id bigint PRIMARY KEY, name text NOT NULL, "
                                        "price numeric(12,4), ratio double precision NOT NULL",
                             .pause = "SELECT pg_sleep(0.01);\n",
                             .silently = {"SET keepstep.applying = '%s'; ",
                                          "; RESET keepstep.applying"}},
    [DATABASE_MARIADB] = {.service = "maria",
                          .entity_type = "product",
                          .columns = "id BIGINT PRIMARY KEY, name VARCHAR(100) CHARACTER SET "
                                     "utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL, "
                                     "price DECIMAL(12,4), ratio DOUBLE NOT NULL",
                          .pause = "DO SLEEP(0.01);\n",
                          .silently = {"SET @keepstep_applying = '%s'; ",
                                       "; SET @keepstep_applying = NULL"}},
};

void verify_write_schema(const char *entity_type)
{
    test_write_file(test_path("schemas/%s.schema.json", entity_type), schema);
}

void verify_append_statement(struct buffer *script, const char *table, int keys, unsigned *seed)
{
    int id = load_random(seed, keys);
    int what = load_random(seed, 10);
    if (what < 4)
        buffer_append_format(script, "INSERT INTO %s VALUES (%d, 'n%d', '%d.%02d', %d.5);\n", table,
                             id, load_random(seed, 1000), load_random(seed, 1000),
                             load_random(seed, 100), load_random(seed, 100));
    else if (what < 8)
        buffer_append_format(script, "UPDATE %s SET name = 'u%d', price = NULL WHERE id = %d;\n",
                             table, load_random(seed, 1000), id);
    else
        buffer_append_format(script, "DELETE FROM %s WHERE id = %d;\n", table, id);
}

void verify_write_silently(enum database_kind kind, const char *url, const char *table,
                           const char *sql)
{
    const char *const *silently = verify_dialects[kind].silently;
    size_t length = strcspn(silently[0], "%");
    (void)database_text(url, test_format("%.*s%s%s%s%s", (int)length, silently[0], table,
                                         silently[0] + length + 2, sql, silently[1]));
}
