/* The tests of joint transactions in the words of MariaDB. */
#include "tests/support/joint_store.h"

static const char *const values[JOINT_COLUMNS] = {
    "11",   "n\xc3\xa9v", "-0.01",     "0.1", "0", "2026-11-23 09:42:00.123456",
    "\x01", "[]",         "2026-11-24"};

#define ON(when, table, body) "CREATE TRIGGER x " when " ON " table " FOR EACH ROW " body
#define REFUSE(text)          "SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = '" text "'"
#define DROP                  "DROP TRIGGER x"

static const struct joint_obstacle obstacles[] = {
    {ON("BEFORE UPDATE", "stock", REFUSE("not today")), DROP, "not today"},
    {ON("BEFORE UPDATE", "stock", "SET NEW.free = 5"), DROP, "another value"},
    {ON("AFTER UPDATE", "stock", "UPDATE stock SET free = 5"), DROP, "stock"},
    {ON("AFTER UPDATE", "stock",
        "INSERT INTO outbox (aggregatetype, aggregateid, type, payload) VALUES ('stock', "
        "'{\"sku\":\"A\"}', 'stock.updated', '{}')"),
     DROP, "could not be published"},
    {ON("AFTER UPDATE", "stock", "INSERT INTO gone VALUES (1)"), DROP, "gone"},
    {ON("BEFORE INSERT", "keepstep_reserved", REFUSE("my veto")), DROP, "my veto"},
    {"ALTER TABLE stock ADD CONSTRAINT x CHECK (free <> 7)", "ALTER TABLE stock DROP CONSTRAINT x",
     "constraint"},
    {"CREATE UNIQUE INDEX x ON stock (price)", "DROP INDEX x ON stock", "unique index x"},
    {"ALTER TABLE stock RENAME COLUMN day TO today", "ALTER TABLE stock RENAME COLUMN today TO day",
     "no column \"day\""},
    {"ALTER TABLE stock RENAME TO stocks", "ALTER TABLE stocks RENAME TO stock", "stock"},
};

static const struct joint_obstacle breaks[] = {
    {ON("BEFORE UPDATE", "stock", REFUSE("no more")), DROP, "no more"},
    {"ALTER TABLE stock RENAME COLUMN day TO today", "ALTER TABLE stock RENAME COLUMN today TO day",
     "stock"},
    {ON("BEFORE UPDATE", "stock", "SET NEW.free = 5"), DROP, "another value"},
};

static const struct joint_write writes[] = {
    {"UPDATE stock SET free = 1 WHERE sku = 'A'", false},
    {"UPDATE stock SET note = 'x' WHERE sku = 'A'", false},
    {"DELETE FROM stock WHERE sku = 'A'", false},
    {"REPLACE INTO stock (sku, free) VALUES ('A', 1)", false},
    {"INSERT INTO stock (sku, free) VALUES ('A', 1) ON DUPLICATE KEY UPDATE free = 1", false},
    {"UPDATE stock SET sku = 'C' WHERE sku = 'A'", false},
    {"INSERT INTO stock (sku, free) VALUES ('N', 1)", true},
    {"INSERT IGNORE INTO stock (sku, free) VALUES ('N', 1)", true},
    {"INSERT INTO stock (sku, free) VALUES ('N', 1) ON DUPLICATE KEY UPDATE free = 1", true},
    {"REPLACE INTO stock (sku, free) VALUES ('N', 1)", true},
    {"UPDATE stock SET sku = 'N' WHERE sku = 'B'", true},
};

static const char *trigger(const char *name, const char *when, const char *table, const char *body)
{
    return test_format("CREATE TRIGGER %s %s ON %s FOR EACH ROW %s", name, when, table, body);
}

static const char *drop_trigger(const char *name, const char *table)
{
    (void)table;
    return test_format("DROP TRIGGER %s", name);
}

static const char *refuse(const char *text)
{
    return test_format(REFUSE("%s"), text);
}

#define TABLE_END ") ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin"

const struct joint_store_case joint_store_mariadb = {
    .kind = DATABASE_MARIADB,
    .tables = "CREATE TABLE stock (sku VARCHAR(100) PRIMARY KEY, free BIGINT CHECK (free >= 0), "
              "state LONGTEXT, price DECIMAL(65,30), weight DOUBLE, paid BOOLEAN, at DATETIME(6), "
              "image BLOB, doc JSON, day DATE, note TEXT" TABLE_END ";"
              "CREATE TABLE movement (id BIGINT PRIMARY KEY, sku TEXT, delta BIGINT" TABLE_END ";"
              "CREATE TABLE audit (id BIGINT PRIMARY KEY, what TEXT" TABLE_END,
    .row = "INSERT INTO stock VALUES ('A', 10, 'sold', '1.25', 0.5, TRUE, '2026-11-23 09:42:00', "
           "x'00ff', '{\"a\":1}', '2026-11-23', 'n')",
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
