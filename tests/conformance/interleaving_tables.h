/* The tables of test_interleavings.c, in the SQL of each database. */
#ifndef TESTS_CONFORMANCE_INTERLEAVING_TABLES_H
#define TESTS_CONFORMANCE_INTERLEAVING_TABLES_H

#include "tests/support/database.h"

static const char unique_table[] =
    "CREATE TABLE orders(id BIGINT NOT NULL PRIMARY KEY, a VARCHAR(100) UNIQUE, b VARCHAR(100))";

/* Some databases could defer these constraints. They are checked with the row all the same. */
static const char *const foreign_tables[] = {
    [DATABASE_SQLITE] =
        ("CREATE TABLE parents(name TEXT PRIMARY KEY);"
         "CREATE TABLE orders(id INTEGER NOT NULL PRIMARY KEY, a TEXT REFERENCES parents(name)"
         " DEFERRABLE INITIALLY DEFERRED, b TEXT);"
         "CREATE TABLE seen(n INTEGER PRIMARY KEY, b TEXT);"
         "CREATE TRIGGER seen_i AFTER INSERT ON orders BEGIN"
         " INSERT INTO seen(b) VALUES(new.b); END;"
         "CREATE TRIGGER seen_u AFTER UPDATE ON orders BEGIN"
         " INSERT INTO seen(b) VALUES(new.b); END;"),
    [DATABASE_POSTGRESQL] =
        ("CREATE TABLE parents(name text PRIMARY KEY);"
         "CREATE TABLE orders(id bigint NOT NULL PRIMARY KEY, a text REFERENCES parents(name)"
         " DEFERRABLE INITIALLY DEFERRED, b text);"
         "CREATE TABLE seen(n bigint GENERATED ALWAYS AS IDENTITY, b text);"
         "CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS"
         " 'BEGIN INSERT INTO seen(b) VALUES(new.b); RETURN NULL; END';"
         "CREATE TRIGGER seen_iu AFTER INSERT OR UPDATE ON orders"
         " FOR EACH ROW EXECUTE FUNCTION see()"),
    [DATABASE_MARIADB] =
        ("CREATE TABLE parents(name VARCHAR(100) PRIMARY KEY);"
         "CREATE TABLE orders(id BIGINT NOT NULL PRIMARY KEY, a VARCHAR(100), b VARCHAR(100),"
         " FOREIGN KEY (a) REFERENCES parents(name));"
         "CREATE TABLE seen(n BIGINT AUTO_INCREMENT PRIMARY KEY, b VARCHAR(100));"
         "CREATE TRIGGER seen_i AFTER INSERT ON orders FOR EACH ROW"
         " INSERT INTO seen(b) VALUES(new.b);"
         "CREATE TRIGGER seen_u AFTER UPDATE ON orders FOR EACH ROW"
         " INSERT INTO seen(b) VALUES(new.b)"),
};

#endif
