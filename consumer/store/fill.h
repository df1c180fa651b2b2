/* How far the filling of a topic's copy with rows of another is (rules 38 to 42): the table
 * keepstep_fill. */
#ifndef CONSUMER_STORE_FILL_H
#define CONSUMER_STORE_FILL_H

#include "common/status.h"
#include "common/uuid.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FILL_SOURCE_SIZE 256

struct store;
struct partition_state;

/** What has been committed of a fill. No agent reads the topic from FILL_ASKED to FILL_LOADING. */
enum fill_stage {
    FILL_NONE,      /* the topic was never filled */
    FILL_ASKED,     /* rows are wanted; what the copy has is still there */
    FILL_CLEARING,  /* the rows that it had are being deleted */
    FILL_LOADING,   /* it stands at the stamp; the source's rows are being written */
    FILL_REPLAYING, /* all rows are there; the log is read up to filled_to */
    FILL_DONE,      /* it is complete */
    FILL_CANCELLED, /* taken back while it was asked: the copy is as it was before */
};

/** The last attempt to fill a topic. */
struct fill_state {
    char topic[FILL_SOURCE_SIZE];
    char id[UUID_TEXT_SIZE];       /* of the attempt: a UUID */
    char source[FILL_SOURCE_SIZE]; /* whose rows it takes */
    enum fill_stage stage;
    int64_t rows_offset; /* place of the next row in what the source sends, from 1 on; 0: nobody was
                            asked for it yet */
    int64_t rows;        /* that were loaded */
    uint64_t digest;     /* of these, added up */
    int64_t voids;       /* attempts in a row that came to nothing */
    bool given_up;       /* no attempt follows until somebody asks anew */
    int64_t asked_at_us;
    char reason[ERROR_TEXT_SIZE]; /* why the last attempt is void, or does not go on; "": it does */
};

/** All partitions of a topic, as the source has them. */
struct fill_partitions {
    const struct partition_state *partitions;
    size_t count;
};

/** What to write. Each but FILL_ASK and FILL_FINISH asks that the topic's fill has the id and a
 * stage that can come before. */
enum fill_edit {
    /** Begin an attempt: write all of the state, with FILL_ASKED, in place of an older one. */
    FILL_ASK,
    /** From FILL_ASKED, FILL_CLEARING or FILL_LOADING to FILL_CLEARING. Raises epoch and revision
     * of all positions of the topic: no transaction of an agent that has begun before will commit.
     * To be committed before the first row is deleted. */
    FILL_CLEAR,
    /** From FILL_CLEARING to FILL_LOADING, when the table is empty. Of each of the given
     * partitions, next_offset, anchor, cluster id and partition count are written; a position that
     * is not there is inserted. Epochs and revisions are raised; `stopped`, `partial` and filled_to
     * are cleared. All sequences, single idempotency keys, parked records and kept images of the
     * topic are deleted, and the given sequences are inserted. */
    FILL_INSTALL,
    /** In FILL_LOADING, in the transaction that writes rows: rows_offset (which must rise), rows
     * and digest. */
    FILL_PROGRESS,
    /** From FILL_LOADING to FILL_REPLAYING, with rows_offset, rows and digest: writes filled_to of
     * each of the given partitions. The commit must be durable (rule 41). */
    FILL_END,
    /** Write `reason`, `voids` and `given_up`, in any stage. */
    FILL_NOTE,
    /** From FILL_ASKED to FILL_CANCELLED: agents read the topic again. */
    FILL_CANCEL,
    /** From FILL_REPLAYING to FILL_DONE if every position of the topic has reached its filled_to.
     * OK also where it has not, or where there is nothing to finish. */
    FILL_FINISH,
};

/** @return "asked", "loading" …; "" for FILL_NONE. */
const char *fill_stage_name(enum fill_stage stage);

/** @return the stage of that name; FILL_NONE if there is none. */
enum fill_stage fill_stage_of(const char *name);

/** @return whether no agent may read the topic. */
static inline bool fill_holds_topic(enum fill_stage stage)
{
    return stage == FILL_ASKED || stage == FILL_CLEARING || stage == FILL_LOADING;
}

/** @return whether the topic stays held until a person acts: nobody goes on with its fill. */
static inline bool fill_is_given_up(const struct fill_state *fill)
{
    return fill->given_up && fill_holds_topic(fill->stage);
}

/** @return whether the copy is not complete because of it. */
static inline bool fill_is_under_way(enum fill_stage stage)
{
    return fill_holds_topic(stage) || stage == FILL_REPLAYING;
}

/** @return the fill of a topic; NULL if it was never filled. */
const struct fill_state *fill_find(const struct fill_state *fills, size_t count, const char *topic);

/** Fills and positions as a database has them: of one snapshot, or the fills read later. */
struct fill_view {
    const struct fill_state *fills;
    size_t fill_count;
    const struct partition_state *states;
    size_t state_count;
};

/** What a copy's fill means for it. */
enum fill_place { FILL_NOT_UNDER_WAY, FILL_UNDER_WAY, FILL_GIVEN_UP };

/** Say that the copy of a topic is not complete because it is being filled, and how far that is, or
 * why nobody goes on with it and what to do.
 * @param ret_text  "it is being filled from shop: loading, 12 rows"; "" where it is not filled. */
enum fill_place fill_describe(const struct fill_view *view, const char *topic, char *ret_text,
                              size_t size);

/** The same, read from the database. @return as list_fills(). */
enum status store_fill_describe(struct store *store, const char *topic, char *ret_text, size_t size,
                                struct error *err) MUST_CHECK;

/** @return ABORT: the stores' answer to an edit that found another attempt or another stage. */
enum status fill_lost(const struct fill_state *fill, struct error *err);

/** Read the fill of one topic. Its stage is FILL_NONE where there is none. @return as list_fills().
 */
enum status store_fill_read(struct store *store, const char *topic, struct fill_state *ret_fill,
                            struct error *err) MUST_CHECK;

#endif
