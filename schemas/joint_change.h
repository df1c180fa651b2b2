/* Reads what a change of a joint transaction asks of a row, by the schema of its entity type. What
 * stands in joint_record.h is the same for all services; this only the row's own service knows. */
#ifndef SCHEMAS_JOINT_CHANGE_H
#define SCHEMAS_JOINT_CHANGE_H

#include "schemas/joint_record.h"

/** What is asked of a row. Each array has a value for each column of the schema; absent: nothing is
 * asked of that column. Slices are in the change or in the arena. */
struct joint_asked {
    struct slice entity_key;       /* canonical */
    const struct value *set;       /* the key's columns too */
    const struct value *add;       /* integers and decimals */
    const struct value *condition; /* what a column must hold before */
};

/** Read a change of an entity type that has this schema.
 * @return OK; REJECT (a column that the schema lacks, a value without the form of its type, a key
 * that is not whole, columns that the operation cannot have); RETRY (the arena is full). */
enum status joint_change_read(const struct entity_schema *schema, const struct joint_change *change,
                              struct arena *arena, struct joint_asked *ret_asked,
                              struct error *err) MUST_CHECK;

#endif
