/* Inside the reader of Debezium's records: what is remembered of a topic's last record. */
#ifndef SCHEMAS_RECORD_DESCRIPTION_H
#define SCHEMAS_RECORD_DESCRIPTION_H

#include "schemas/record/debezium.h"
#include "schemas/record/descriptions.h"

enum description_part { DESCRIPTION_KEY, DESCRIPTION_VALUE, DESCRIPTION_PARTS };

struct described_column {
    struct debezium_field field; /* borrowed from the description's schema */
    bool keeps_texts;            /* debezium_keeps_texts() */
    bool keeps_numbers;
};

/** How records of a topic begin, and what that says of each column. */
struct description {
    struct slice start; /* {"schema":…,"payload": up to the payload; empty where that is bare */
    json_t *schema;     /* NULL where it is bare */
    struct described_column columns[]; /* as many as the entity's schema has */
};

/** Find the description with which a key or a value begins.
 * @param descriptions  NULL: nothing is remembered.
 * @param text  what is left of it afterwards: the payload, and the end of what is around it.
 * @return NULL where the last record of the topic began otherwise; then `text` is as before. */
const struct description *descriptions_find(const struct descriptions *descriptions,
                                            const struct record_form *form,
                                            enum description_part part, struct slice *text);

/** Remember how a key or a value of Debezium's begins. Without memory nothing is remembered.
 * @param json  the whole text as it was read. */
void descriptions_learn(struct descriptions *descriptions, const struct record_form *form,
                        enum description_part part, struct slice text, json_t *json);

#endif
