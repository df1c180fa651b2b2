/* What a table's columns can hold: every value is judged before it is written. */
#ifndef CONSUMER_STORE_SQL_LIMITS_H
#define CONSUMER_STORE_SQL_LIMITS_H

#include "consumer/store/sql/table.h"

/** Judge that the key of a change is whole, and each of its values against the limits of its
 * column. @return OK; REJECT (held). */
enum status sql_judge(const struct mapped_table *table, const struct change *change,
                      struct error *err) MUST_CHECK;

/** Set a REJECT (held) that names the entity. `column` NULL: of the whole row. */
enum status sql_hold(const struct change *change, const char *column, const char *reason,
                     struct error *err);

/** Set the error of an update that lacks columns where there is no row. @return REJECT (held). */
enum status sql_hold_no_row(const struct mapped_table *table, const struct change *change,
                            struct error *err);

/** Read a decimal without digits behind the point. @return false where it is none, or where it has
 * more than 64 bits. */
bool decimal_whole(struct slice text, bool *ret_negative, uint64_t *ret_magnitude);

/** @return the decimal without zeros at its end, which say nothing of the number; borrowed. */
struct slice decimal_trim(struct slice text);

#endif
