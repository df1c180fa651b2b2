/* Writes the parts of one answer, one after the other, as large as a message may be. */
#ifndef SCHEMAS_TALK_PARTS_H
#define SCHEMAS_TALK_PARTS_H

#include "schemas/talk.h"

/** Write one record into the rows topic. @return OK; anything else ends the answer. */
typedef enum status talk_part_write(void *context, struct slice key, struct slice value,
                                    struct error *err);

struct talk_parts {
    const char *id;
    int64_t number;
    enum talk_ask ask;
    const char *from;
    talk_part_write *write;
    void *context;
    int64_t count;    /* parts that were begun */
    uint64_t entries; /* rows or open entities so far */
    bool is_open;     /* a part is begun and not written yet */
    struct buffer out;
};

/** Begin; the caller has set id, number, ask, from, write and context. */
void talk_parts_begin(struct talk_parts *parts);

/** Add an entry, and write what is full. A row that is too large for a message goes without its
 * values. @return OK; RETRY (more than TALK_LISTED_MAX, memory); what write() returned. */
enum status talk_parts_row(struct talk_parts *parts, const struct talk_row *row,
                           struct error *err) MUST_CHECK;
enum status talk_parts_open(struct talk_parts *parts, const struct talk_open *open,
                            struct error *err) MUST_CHECK;

/** Write the last part. The answer then says `count` of them. @return as above. */
enum status talk_parts_end(struct talk_parts *parts, struct error *err) MUST_CHECK;

/** Give the memory back. */
void talk_parts_done(struct talk_parts *parts);

#endif
