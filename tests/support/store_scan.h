/* What the tests of a store's scan share: a table of any columns, and the rows that a scan gives.
 */
#ifndef TESTS_SUPPORT_STORE_SCAN_H
#define TESTS_SUPPORT_STORE_SCAN_H

#include "tests/support/store_case.h"

#define SCAN_ROWS_MAX    64
#define SCAN_COLUMNS_MAX 16

/** The table `typed` of the entity type `typed`. Its key is its first columns. */
struct scan_table {
    struct column columns[SCAN_COLUMNS_MAX];
    size_t key_columns[2];
    struct entity_schema schema;
    struct config_entry entry;
    struct mapping mapping;
};

/** The rows of a scan, copied into the case's arena. */
struct scan_rows {
    const struct entity_schema *schema;
    struct slice keys[SCAN_ROWS_MAX];
    struct value values[SCAN_ROWS_MAX][SCAN_COLUMNS_MAX];
    size_t count;
};

void scan_table_init(struct scan_table *table, const struct column *columns, size_t count,
                     size_t key_count);

/** Open a store with the agent's rights, and begin a snapshot; close it. */
void scan_begin(void);
void scan_end(void);

/** Scan in that snapshot; keys NULL: all rows. */
enum status scan_rows(const struct mapping *mapping, const struct slice *keys, size_t count,
                      struct scan_rows *rows);
enum status scan_visit_all(const struct store_scan *scan);

/** @return the index of the row; the test fails if there is none. */
size_t scan_find(const struct scan_rows *rows, const char *key);

/** Run SQL as the database's administrator. @return the rows. */
const char *scan_ask(const char *sql);

/** @return whether the case runs in the database of this URL, "sqlite:". */
bool scan_is_database(const char *url);

/** @return a value from a text, that of bytes in hexadecimal. */
struct value scan_value(enum column_type type, const char *wire);

/** Apply a row, inside of a transaction. */
void scan_write(const struct scan_table *table, struct value *values);

#endif
