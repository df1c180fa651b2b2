/* Judges every value before it is written. */
#ifndef CONSUMER_STORE_SQL_LIMITS_H
#define CONSUMER_STORE_SQL_LIMITS_H

#include "consumer/store/sql/table.h"

/** Check that a change has its whole key, and each value against the limits of its column.
 * @return OK; REJECT (held). */
enum status sql_judge(const struct mapped_table *table, const struct change *change,
                      struct error *err) MUST_CHECK;

/** Set a REJECT (held) that names the entity. `column` NULL: of the whole row. */
enum status sql_hold(const struct change *change, const char *column, const char *reason,
                     struct error *err);

/** Set the error for an update that lacks columns and finds no row. @return REJECT (held). */
enum status sql_hold_no_row(const struct mapped_table *table, const struct change *change,
                            struct error *err);

/** Read a decimal as a whole number. @return false: it has a point, or more than 64 bits. */
bool decimal_whole(struct slice text, bool *ret_negative, uint64_t *ret_magnitude);

/** @return the decimal without the zeros at its end, borrowed: "1.50" becomes "1.5". */
struct slice decimal_trim(struct slice text);

#endif
