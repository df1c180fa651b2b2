/* The transactions of a repair: each behind the fences of all partitions of the topic (rule 43). */
#ifndef OPERATE_REPAIR_WRITE_H
#define OPERATE_REPAIR_WRITE_H

#include "operate/repair/log_follower.h"
#include "operate/repair/repair.h"

/** An entity whose row may be written. */
struct repair_row {
    struct repair_entity *entity;
    struct slice row;       /* the source's, as a JSON object; data NULL: it has none */
    bool is_unfit;          /* a value of it has no canonical form */
    const char *unfit;      /* the column of that value; NULL: not known */
    bool is_too_large;      /* no message can hold it, so `row` is not it */
    bool is_open_at_source; /* so its row may be newer than the stamp */
    size_t follower_key;    /* its number among the follower's keys */
    /* What the running transaction makes of it: */
    enum repair_state state;
    char reason[ERROR_TEXT_SIZE];
};

/** The copy's store, and what was read behind the fences. */
struct repair_writer {
    struct repair *repair;
    struct store *store; /* NULL: not open */
    struct log_follower *follower;
    struct store_meta meta;
    struct partition_state *states; /* of the topic's partitions, in their order */
    struct fence *fences;           /* parallel */
    struct pending_range *ranges;   /* parallel */
    int64_t *positions;             /* parallel */
    int32_t partition_count;
    struct arena arena; /* of one transaction */
};

void repair_writer_init(struct repair_writer *writer, struct repair *repair);
void repair_writer_done(struct repair_writer *writer);

/** Write a few rows in one durable transaction, each if its entity is open nowhere and the log does
 * not mention it. Each entity is set to what became of it.
 * @param follower  has been read once at least.
 * @return OK, also where it could not be done now: then they are pending; FATAL. */
enum status repair_write(struct repair_writer *writer, struct log_follower *follower,
                         struct repair_row *rows, size_t count, struct error *err) MUST_CHECK;

/** Read the positions of the topic's partitions into writer->positions; open the store.
 * @return OK; RETRY; FATAL. */
enum status repair_writer_positions(struct repair_writer *writer, struct error *err) MUST_CHECK;

#endif
