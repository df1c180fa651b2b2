/* Whoever is compared with the others: a copy of an entity type, or its publisher. Everything that
 * is asked between stamp() and end() is answered from one snapshot of its database (rule 32).
 * One thread calls all functions of a participant. */
#ifndef OPERATE_COMPARE_PARTICIPANT_H
#define OPERATE_COMPARE_PARTICIPANT_H

#include "schemas/row_digest.h"

/** Why an entity is not compared: at a participant (rule 33), or because the log mentions it
 * between two stamps (rule 34). */
enum left_reason {
    LEFT_CHANGED, /* mentioned */
    LEFT_OWN,     /* an own change is not in the log that the stamp covers */
    LEFT_IMAGE,   /* an image is kept until an own change is read back */
    LEFT_PARKED
};

struct open_entity {
    struct slice key; /* canonical, except where a row with no such key is set aside */
    enum left_reason reason;
};

/** What a snapshot says of itself. Owned by the participant until end(). */
struct stamp {
    const char *incomparable; /* why its rows are not what the log says up to the stamp (rule 35);
                               * NULL: they are. Then the rest is set */
    const char *cluster_id;   /* "": unknown */
    const int64_t *offsets;   /* of each partition: the rows contain the log up to here */
    int32_t partition_count;
    const struct open_entity *open; /* an entity may be in it more than once */
    size_t open_count;
};

/** A row as an answer has it. Borrowed until the visit returns. */
struct answered_row {
    struct slice key;
    uint64_t key_digest;
    uint64_t digest;
    struct slice json; /* the columns that are hashed, as a JSON object; data NULL: not asked for */
    bool is_unfit;     /* with json: a value of it has no canonical form, and is a text there */
    const char *unfit; /* the column of the first such value; NULL: not known here */
    bool is_too_large; /* json was asked for, and no message can hold it */
};

typedef enum status answer_visit(void *context, const struct answered_row *row, struct error *err);

/** Called often while rows or the log are read. What it returns ends the reading. */
struct tick {
    /** @param count  what was read so far. call NULL: nothing. @return OK; RETRY (stop). */
    enum status (*call)(void *context, uint64_t count, struct error *err);
    void *context;
};

/** Which rows are asked for, and which of their columns. */
struct question {
    const struct row_columns *columns;
    const uint64_t *left_out; /* digests of keys, sorted: their rows are passed over */
    size_t left_out_count;
    const bool *buckets;      /* ROW_BUCKETS of them; NULL: all */
    const struct slice *keys; /* canonical; NULL: all rows */
    size_t key_count;
    bool with_json;
    struct tick tick;
};

struct participant;

/** A function that fails makes the participant incomparable: `err` says why. */
struct participant_ops {
    /** Ask for the stamp that stamp() returns later, or for the sums that sums() returns for the
     * same question, and do not wait for it: so several participants work side by side. NULL: this
     * one works when it is called. */
    enum status (*ask_stamp)(struct participant *participant, const struct tick *tick,
                             struct error *err);
    enum status (*ask_sums)(struct participant *participant, const struct question *question,
                            struct error *err);
    /** Begin a snapshot and read its stamp. From then on `schema` is what its service has now. */
    enum status (*stamp)(struct participant *participant, struct stamp *ret_stamp,
                         struct error *err);
    /** Add up the digests of the rows that are asked for. */
    enum status (*sums)(struct participant *participant, const struct question *question,
                        struct row_sums *ret_sums, struct error *err);
    /** Visit the rows that are asked for, in any order. */
    enum status (*list)(struct participant *participant, const struct question *question,
                        answer_visit *visit, void *context, struct error *err);
    /** Call it once a second while a snapshot is open and nothing is read from it.
     * @return OK; RETRY (the snapshot has ended). */
    enum status (*keep)(struct participant *participant, struct error *err);
    /** End the snapshot. Legal without one. */
    void (*end)(struct participant *participant);
    /** For whoever made the participant. */
    void (*free)(struct participant *participant);
};

/** First member of each participant. */
struct participant {
    const struct participant_ops *ops;
    const char *name; /* of its service */
    const char
        *copy; /* the id of the copy; "": not known before a stamp(). MEMBER_NONE: a publisher */
    const char *topic;
    const struct entity_schema *schema; /* as its service has it */
};

#endif
