/* The tests of joint transactions in the words of PostgreSQL. */
#include "tests/support/joint_store.h"

static const char *const values[JOINT_COLUMNS] = {
    "11",    "n\xc3\xa9v", "-0.01",     "0.1", "f", "2026-11-23 09:42:00.123456+00",
    "\\x01", "[]",         "2026-11-24"};

/* A trigger function x() of one statement, a trigger x that calls it, and what takes both away. */
#define FUNCTION(body)                                                                             \
    "CREATE FUNCTION x() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN " body "; END $$;"
#define TRIGGER(when, table, condition)                                                            \
    "CREATE TRIGGER x " when " ON " table " FOR EACH ROW " condition " EXECUTE FUNCTION x()"
#define DROP(table)  "DROP TRIGGER x ON " table "; DROP FUNCTION x()"
#define BEFORE(body) FUNCTION(body) TRIGGER("BEFORE UPDATE", "stock", "")
#define AFTER(body)                                                                                \
    FUNCTION(body "; RETURN NULL") TRIGGER("AFTER UPDATE", "stock", "WHEN (pg_trigger_depth() = 0)")

static const struct joint_obstacle obstacles[] = {
    {BEFORE("RAISE EXCEPTION 'not today'"), DROP("stock"), "not today"},
    {BEFORE("RAISE EXCEPTION 'not today' USING ERRCODE = '42P01'"), DROP("stock"), "not today"},
    {BEFORE("RAISE EXCEPTION 'not today' USING ERRCODE = '42501'"), DROP("stock"), "not today"},
    {BEFORE("RETURN NULL"), DROP("stock"), "leaves it out"},
    {AFTER("UPDATE stock SET free = 5"), DROP("stock"), "another value"},
    {AFTER("DELETE FROM stock"), DROP("stock"), "leaves it out"},
    {AFTER("INSERT INTO outbox (aggregatetype, aggregateid, type, payload) VALUES ('stock', "
           "'{\"sku\":\"A\"}', 'stock.updated', '{}')"),
     DROP("stock"), "could not be published"},
    {AFTER("PERFORM 1 FROM gone"), DROP("stock"), "gone"},
    {AFTER("PERFORM '{'::json"), DROP("stock"), "invalid input syntax"},
    {FUNCTION("RAISE EXCEPTION 'my veto'")
         TRIGGER("BEFORE INSERT", "keepstep_reserved", "WHEN (NEW.entity_type = 'stock')"),
     DROP("keepstep_reserved"), "my veto"},
    {"ALTER TABLE stock ADD CONSTRAINT x CHECK (free <> 7)", "ALTER TABLE stock DROP CONSTRAINT x",
     "violates check constraint"},
    {"CREATE UNIQUE INDEX x ON stock (state)", "DROP INDEX x", "unique index x"},
    {"CREATE UNIQUE INDEX x ON stock (lower(state)) WHERE free > 0", "DROP INDEX x",
     "unique index x"},
    {"ALTER TABLE stock ADD CONSTRAINT x EXCLUDE USING btree (state WITH =)",
     "ALTER TABLE stock DROP CONSTRAINT x", "exclusion constraint x"},
    {"ALTER TABLE stock RENAME COLUMN day TO today", "ALTER TABLE stock RENAME COLUMN today TO day",
     "no column \"day\""},
    {"ALTER TABLE stock RENAME TO stocks", "ALTER TABLE stocks RENAME TO stock", "stock"},
};

static const struct joint_obstacle breaks[] = {
    {BEFORE("RAISE EXCEPTION 'no more'"), DROP("stock"), "no more"},
    {"ALTER TABLE stock RENAME COLUMN free TO loose",
     "ALTER TABLE stock RENAME COLUMN loose TO free", "stock"},
    {BEFORE("RETURN NULL"), DROP("stock"), "leaves it out"},
};

static const struct joint_write writes[] = {
    {"UPDATE stock SET free = 1 WHERE sku = 'A'", false},
    {"UPDATE stock SET note = 'x' WHERE sku = 'A'", false},
    {"UPDATE stock SET free = free WHERE sku = 'A'", false},
    {"DELETE FROM stock WHERE sku = 'A'", false},
    {"INSERT INTO stock (sku, free) VALUES ('A', 1) ON CONFLICT (sku) DO UPDATE SET free = 1",
     false},
    {"MERGE INTO stock USING (VALUES ('A')) AS v (k) ON sku = k WHEN MATCHED THEN DELETE", false},
    {"UPDATE stock SET sku = 'C' WHERE sku = 'A'", false},
    {"INSERT INTO stock (sku, free) VALUES ('N', 1)", true},
    {"INSERT INTO stock (sku, free) VALUES ('N', 1) ON CONFLICT (sku) DO UPDATE SET free = 1",
     true},
    {"MERGE INTO stock USING (VALUES ('N')) AS v (k) ON sku = k WHEN NOT MATCHED THEN "
     "INSERT (sku, free) VALUES (k, 1)",
     true},
    {"UPDATE stock SET sku = 'N' WHERE sku = 'B'", true},
};

static const char *trigger(const char *name, const char *when, const char *table, const char *body)
{
    return test_format("CREATE FUNCTION %s() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN %s; "
                       "RETURN NEW; END $$; CREATE TRIGGER %s %s ON %s FOR EACH ROW "
                       "EXECUTE FUNCTION %s()",
                       name, body, name, when, table, name);
}

static const char *drop_trigger(const char *name, const char *table)
{
    return test_format("DROP TRIGGER %s ON %s; DROP FUNCTION %s()", name, table, name);
}

static const char *refuse(const char *text)
{
    return test_format("RAISE EXCEPTION '%s'", text);
}

const struct joint_store_case joint_store_postgresql = {
    .kind = DATABASE_POSTGRESQL,
    .tables = "CREATE TABLE stock (sku text PRIMARY KEY, free bigint CHECK (free >= 0), "
              "state text, price numeric, weight double precision, paid boolean, at timestamptz, "
              "image bytea, doc json, day date, note text);"
              "CREATE TABLE movement (id bigint PRIMARY KEY, sku text, delta bigint);"
              "CREATE TABLE audit (id bigint PRIMARY KEY, what text)",
    .row = "INSERT INTO stock VALUES ('A', 10, 'sold', '1.25', 0.5, true, '2026-11-23T09:42:00Z', "
           "'\\x00ff', '{\"a\":1}', '2026-11-23', 'n')",
    .trigger = trigger,
    .drop_trigger = drop_trigger,
    .raise = refuse,
    .values = values,
    .obstacles = obstacles,
    .obstacle_count = sizeof obstacles / sizeof *obstacles,
    .breaks = breaks,
    .break_count = sizeof breaks / sizeof *breaks,
    .writes = writes,
    .write_count = sizeof writes / sizeof *writes,
};
