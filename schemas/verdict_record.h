/* The record of the control topic that says whether the copies of an entity type are equal. Whoever
 * has compared a type writes it: its key is "verdict/TYPE/TOPIC". It keeps what earlier comparisons
 * have found of copies that the last one could not compare. */
#ifndef SCHEMAS_VERDICT_RECORD_H
#define SCHEMAS_VERDICT_RECORD_H

#include "common/arena.h"
#include "common/buffer.h"
#include "schemas/member_record.h"

#define VERDICT_COPIES_MAX ((size_t)256)

enum verdict_state {
    VERDICT_NONE,      /* it was never compared */
    VERDICT_REFERENCE, /* the others were compared with it */
    VERDICT_EQUAL,
    VERDICT_DIFFERENT,
};

/** What is known of one copy. Times are the asker's wall clock; 0: never. */
struct verdict_copy {
    const char *service;
    const char *copy; /* its id; MEMBER_NONE: a publisher that keeps no copy */
    /* Of the last comparison that it was compared in: */
    enum verdict_state state;
    int64_t at_us; /* when it ended */
    const char *asker;
    const char *reference;
    int64_t rows; /* of the reference, which were compared */
    int64_t differs;
    int64_t missing;
    int64_t extra;
    bool counted_all; /* false: there are more differences */
    int64_t left_out; /* entities that were not compared, because they change or are parked */
    /* Of all of them: */
    int64_t equal_since_us; /* the first one of those that found it equal, up to the last one; 0: it
                             * is not equal, or the reference */
    int64_t equal_at_us;    /* the last one that found it equal */
    /* Of all repairs: */
    int64_t repaired; /* rows that they have written, deleted or published anew */
    /* Of a later one that could not compare it: */
    int64_t skipped_at_us;
    const char *skipped_reason; /* "" where there was none */
};

/** Of a copy nothing is known. */
#define VERDICT_COPY_NEW(of_service, of_copy)                                                      \
    (struct verdict_copy)                                                                          \
    {                                                                                              \
        .service = of_service, .copy = of_copy, .asker = "", .reference = "", .counted_all = true, \
        .skipped_reason = ""                                                                       \
    }

/** The record. All of it is borrowed, or in the reader's arena. */
struct verdict_record {
    const char *entity_type;
    const char *topic;
    int64_t control_offset; /* its writer knew the records of the control topic before this one */
    /* Of the last comparison that compared anything: */
    const char *asker; /* its service */
    const char *reference;
    int64_t at_us; /* when it ended; 0: there was none */
    int64_t duration_ms;
    struct verdict_copy *copies;
    size_t count;
};

/** @return "equal", "different" … */
const char *verdict_state_name(enum verdict_state state);

/** @return rows that are not as they are at the reference. */
int64_t verdict_different_rows(const struct verdict_copy *copy);

/** @return the copy's entry; NULL: nothing is known of it. `record` may be NULL. */
const struct verdict_copy *verdict_find(const struct verdict_record *record, const char *service,
                                        const char *copy);

void verdict_key_append(const struct verdict_record *record, struct buffer *out);

/** Append the value. The caller looks at out->failed. */
void verdict_record_append(const struct verdict_record *record, struct buffer *out);

/** Read the value. Members that are not known are read past.
 * @return OK; REJECT (the text names the member at fault, never its content); RETRY (no memory, or
 * the arena is full). */
enum status verdict_record_read(struct slice value, struct arena *arena,
                                struct verdict_record *ret_record, struct error *err) MUST_CHECK;

#endif
