/* Tables and change sets for tests of copies. */
#include "tests/support/set_case.h"

static const char table_sql[] =
    "CREATE TABLE parents(name varchar(100) PRIMARY KEY);"
    "CREATE TABLE orders(id bigint NOT NULL PRIMARY KEY, a varchar(100), b varchar(100)"
    " CHECK (b <> 'bad'), FOREIGN KEY (a) REFERENCES parents(name));"
    "CREATE TABLE order_lines(id bigint NOT NULL PRIMARY KEY, a varchar(4000), b varchar(100)"
    " CHECK (b <> 'bad'))";

const char *const set_tables[] = {[DATABASE_SQLITE] = table_sql,
                                  [DATABASE_POSTGRESQL] = table_sql,
                                  [DATABASE_MARIADB] = table_sql};

void set_begin(struct copy *copy, int first, int count)
{
    copy->changeset_end = first + count - 1;
}

void set_end(struct copy *copy)
{
    copy->changeset_end = 0;
}
