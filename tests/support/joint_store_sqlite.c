/* The tests of joint transactions in the words of SQLite. */
#include "tests/support/joint_store.h"

static const char *const values[JOINT_COLUMNS] = {
    "11",    "n\xc3\xa9v", "-0.01",     "0.1", "0", "2026-11-23T09:42:00.123456Z",
    "x'01'", "[]",         "2026-11-24"};

static const struct joint_obstacle obstacles[] = {
    {"CREATE TRIGGER x BEFORE UPDATE ON stock BEGIN SELECT RAISE(ABORT, 'not today'); END",
     "DROP TRIGGER x", "not today"},
    {"CREATE TRIGGER x BEFORE UPDATE ON stock BEGIN SELECT RAISE(FAIL, 'not today'); END",
     "DROP TRIGGER x", "not today"},
    {"CREATE TRIGGER x BEFORE UPDATE ON stock BEGIN SELECT RAISE(IGNORE); END", "DROP TRIGGER x",
     "leaves it out"},
    {"CREATE TRIGGER x AFTER UPDATE ON stock BEGIN UPDATE stock SET free = 5; END",
     "DROP TRIGGER x", "another value"},
    {"CREATE TRIGGER x AFTER UPDATE ON stock BEGIN DELETE FROM stock; END", "DROP TRIGGER x",
     "leaves it out"},
    {"CREATE TRIGGER x AFTER UPDATE ON stock BEGIN UPDATE stock SET at = 'noon'; END",
     "DROP TRIGGER x", "could not be published"},
    {"CREATE TRIGGER x AFTER UPDATE ON stock BEGIN SELECT * FROM gone; END", "DROP TRIGGER x",
     "gone"},
    {"CREATE TRIGGER x AFTER UPDATE ON stock BEGIN SELECT json('{'); END", "DROP TRIGGER x",
     "malformed"},
    {"CREATE TRIGGER x BEFORE INSERT ON keepstep_reserved WHEN NEW.entity_type = 'stock' BEGIN "
     "SELECT RAISE(ABORT, 'my veto'); END",
     "DROP TRIGGER x", "my veto"},
    {"CREATE UNIQUE INDEX x ON stock (state)", "DROP INDEX x", "unique index x"},
    {"CREATE UNIQUE INDEX x ON stock (lower(state)) WHERE free > 0", "DROP INDEX x",
     "unique index x"},
    {"ALTER TABLE stock RENAME COLUMN day TO today", "ALTER TABLE stock RENAME COLUMN today TO day",
     "no column \"day\""},
    {"ALTER TABLE stock RENAME TO stocks", "ALTER TABLE stocks RENAME TO stock", "stock"},
};

static const struct joint_obstacle breaks[] = {
    {"CREATE TRIGGER x BEFORE UPDATE ON stock BEGIN SELECT RAISE(ABORT, 'no more'); END",
     "DROP TRIGGER x", "no more"},
    {"ALTER TABLE stock RENAME COLUMN free TO loose",
     "ALTER TABLE stock RENAME COLUMN loose TO free", "stock"},
    {"CREATE TRIGGER x BEFORE UPDATE ON stock BEGIN SELECT RAISE(IGNORE); END", "DROP TRIGGER x",
     "leaves it out"},
};

static const struct joint_write writes[] = {
    {"UPDATE stock SET free = 1 WHERE sku = 'A'", false},
    {"UPDATE stock SET note = 'x' WHERE sku = 'A'", false},
    {"DELETE FROM stock WHERE sku = 'A'", false},
    {"REPLACE INTO stock (sku, free) VALUES ('A', 1)", false},
    {"INSERT INTO stock (sku, free) VALUES ('A', 1) ON CONFLICT (sku) DO UPDATE SET free = 1",
     false},
    {"UPDATE stock SET sku = 'C' WHERE sku = 'A'", false},
    {"INSERT INTO stock (sku, free) VALUES ('N', 1)", true},
    {"REPLACE INTO stock (sku, free) VALUES ('N', 1)", true},
    {"UPDATE stock SET sku = 'N' WHERE sku = 'B'", true},
};

static const char *trigger(const char *name, const char *when, const char *table, const char *body)
{
    return test_format("CREATE TRIGGER %s %s ON %s BEGIN %s; END", name, when, table, body);
}

static const char *drop_trigger(const char *name, const char *table)
{
    (void)table;
    return test_format("DROP TRIGGER %s", name);
}

static const char *refuse(const char *text)
{
    return test_format("SELECT RAISE(ABORT, '%s')", text);
}

const struct joint_store_case joint_store_sqlite = {
    .kind = DATABASE_SQLITE,
    .tables =
        "CREATE TABLE stock (sku TEXT PRIMARY KEY, free INTEGER CHECK (free >= 0), "
        "state TEXT, price TEXT, weight REAL, paid INTEGER, at TEXT, image BLOB, doc TEXT, "
        "day TEXT, note TEXT);"
        "CREATE TABLE movement (id INTEGER PRIMARY KEY AUTOINCREMENT, sku TEXT, delta INTEGER);"
        "CREATE TABLE audit (id INTEGER PRIMARY KEY, what TEXT)",
    .row = "INSERT INTO stock VALUES ('A', 10, 'sold', '1.25', 0.5, 1, "
           "'2026-11-23T09:42:00.000000Z', x'00ff', '{\"a\":1}', '2026-11-23', 'n')",
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
