/* What the triggers of all databases have in common: what they refuse, and in which words. */
#ifndef PRODUCER_CAPTURE_CAPTURE_H
#define PRODUCER_CAPTURE_CAPTURE_H

#include "common/buffer.h"
#include "schemas/config/config.h"
#include "schemas/entity_schema.h"

/** The text of such a column depends on who writes, or has many spellings.
 * @return OK; FATAL with exit code 78 where `partition_key:` names a column of such a type. */
enum status capture_check_partition_key(const struct config_entry *entry,
                                        const struct entity_schema *schema,
                                        struct error *err) MUST_CHECK;

/** @return the table's column that no update may change, because the partition follows from it and
 * not from the primary key; NULL: there is none. */
const char *capture_fixed_column(const struct config_entry *entry,
                                 const struct entity_schema *schema);

/** Append what a trigger says to who changes capture_fixed_column(). */
void capture_fixed_text(struct buffer *text, const struct config_entry *entry);

/** Append what a trigger says when a column that it reads was renamed or dropped; the database's
 * own words follow. */
void capture_lost_text(struct buffer *text, const struct config_entry *entry);

/** What stands before the name of a column that the table does not have. */
#define CAPTURE_NO_COLUMN                                                                          \
    "does not have each column of the schema: write under columns: how one that was renamed is "   \
    "called now, take one that was dropped out of the schema; it has no column "

#endif
