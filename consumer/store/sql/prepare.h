/* What all SQL stores do with the tables of local copies: make them, check them, write them. */
#ifndef CONSUMER_STORE_SQL_PREPARE_H
#define CONSUMER_STORE_SQL_PREPARE_H

#include "consumer/store/sql/table.h"

/** Append what creates the tables of mappings and grants the agent its rights on them. @return OK;
 * FATAL (a column that cannot be). */
enum status sql_copy_sql(const struct sql_dialect *dialect, const struct copies *copies,
                         struct buffer *out, struct error *err) MUST_CHECK;

/** Check that a table has the columns of its mapping, and that their types keep the values of the
 * schema's. Sets table->limits. @return OK; RETRY; FATAL with exit code 78. */
enum status sql_table_check_columns(struct mapped_table *table, struct error *err) MUST_CHECK;

/** Check that the mapping's key is exactly a unique index of the table that compares bytewise.
 * @return OK; RETRY; FATAL. */
enum status sql_table_check_key(struct mapped_table *table, struct error *err) MUST_CHECK;

/** Hand the rows of a table to scan->visit(), as store_ops.scan(). @param until_us  monotonic. */
enum status sql_table_scan(const struct mapped_table *table, const struct store_scan *scan,
                           int64_t until_us, struct error *err) MUST_CHECK;

/** Keep rows from other writers until the transaction ends; wait up to a second for each. Keys
 * without a row are passed over. @param keys  as scanned rows have them, each once.
 * @return OK; RETRY (somebody holds one for longer). */
enum status sql_table_lock(const struct mapped_table *table, const struct slice *keys, size_t count,
                           struct error *err) MUST_CHECK;

/* Slots of store_ops. */
enum status store_sql_places(struct store *store, struct place *places, size_t count, bool record,
                             struct error *err);
enum status store_sql_prepare(struct store *store, const struct mapping *mapping,
                              struct error *err);
enum status store_sql_order(struct store *store, const struct mapping *mapping,
                            const struct copies *copies, struct table_order *ret_order,
                            struct error *err);
enum status store_sql_apply(struct store *store, const struct mapping *mapping,
                            const struct change *const *changes, size_t count, struct error *err);

#endif
