/* The seam between a comparison of copies and the database of a service that publishes a type and
 * does not apply it: rows, positions and open entities of one moment. One thread calls all slots.
 */
#ifndef PRODUCER_SOURCE_SOURCE_H
#define PRODUCER_SOURCE_SOURCE_H

#include "schemas/config/config.h"
#include "schemas/row_scan.h"

#define SOURCE_INCARNATION_SIZE 37
#define SOURCE_ID_SIZE          64

struct source;

/** How much of a topic's partition is in the log. A partition that is not listed has 0 and 0. */
struct source_position {
    int32_t partition;
    int64_t next_offset; /* behind the last acknowledged record; without one, where the relay of
                          * this incarnation began to publish */
    uint64_t acknowledged_sequence;
    char acknowledged_id[SOURCE_ID_SIZE]; /* of that record */
};

/** Which prefix of the log the rows of a snapshot are. Lives in an arena. */
struct source_stamp {
    char incarnation[SOURCE_INCARNATION_SIZE];
    struct source_position *positions; /* by partition */
    size_t count;
    bool existing_begun; /* some of the rows that were there before `init` are published */
    bool existing_done;  /* all of them are */
    bool waits;          /* a new incarnation publishes nothing yet (rule 13) */
    int64_t set_aside;   /* rows of the type */
    int64_t last_row;    /* position of the last row of the outbox, of any type; 0: it has none */
};

/** A published type. Borrows both. */
struct source_type {
    const struct config_entry *entry;
    const struct entity_schema *schema;
};

/** Entities whose last change is not in the log for certain. Lives in an arena. */
struct source_open_keys {
    size_t limit;       /* set by the caller */
    struct slice *keys; /* canonical and sorted; one without a canonical form as it is written */
    size_t count;       /* above the limit: too many changes wait, and some are not listed */
};

/** What became of rows of the outbox that an earlier snapshot had. */
struct source_open_rows {
    int64_t up_to;     /* set by the caller: a position */
    bool are_open;     /* a row up to there waits, or has a number that is not acknowledged */
    int64_t set_aside; /* rows up to there */
};

/** Which rows to read. */
struct source_scan {
    const struct config_entry *entry; /* names a table */
    const struct entity_schema *schema;
    const struct slice *keys; /* canonical, each once; NULL: all rows */
    size_t key_count;         /* 0 with keys: no row. Nobody changes the table from then on */
    row_visit *visit;
    void *context;
};

struct source_ops {
    const char *scheme; /* "sqlite" */
    /** Open a session that only reads, with the rights of the relay's role.
     * @param config  outlives the source. @return OK; RETRY; FATAL. */
    enum status (*open)(const struct config *config, struct source **ret_source, struct error *err);
    /** NULL is a no-op; ends the snapshot. */
    void (*close)(struct source *source);
    /** Begin a snapshot, or end it: between the two, all slots see one state, for at most
     * limits.scan_time_s. A slot that fails ends it too. Beginning ends an open one, and connects
     * anew where the connection was lost. Ending is legal in any state and cannot fail.
     * @return OK; RETRY; STOP (a SQLite database whose readers would keep its writers out). */
    enum status (*snapshot)(struct source *source, bool begin, struct error *err);
    /** Say that the snapshot is still wanted; once a second while nothing is read from it, so that
     * it gives way where somebody waits for a table that it holds.
     * @return OK; RETRY (it has ended). */
    enum status (*keep)(struct source *source, struct error *err);
    /** Read what the snapshot's rows of an entity type are, in its present topic.
     * @return OK; RETRY; FATAL (with exit code 78 where there is no outbox). */
    enum status (*stamp)(struct source *source, const struct source_type *type, struct arena *arena,
                         struct source_stamp *ret_stamp, struct error *err);
    /** Read the keys of the open entities of a type (rule 33): of those with an outbox row that
     * waits, is set aside, or has a number that is not acknowledged. @return as stamp(). */
    enum status (*open_keys)(struct source *source, const struct source_type *type,
                             struct arena *arena, struct source_open_keys *open, struct error *err);
    /** Read whether there are rows of a type up to a position whose event may not be in the log.
     * @return as stamp(). */
    enum status (*open_rows)(struct source *source, const struct source_type *type,
                             struct source_open_rows *open, struct error *err);
    /** Hand rows to `visit`, in no order; a few are in memory at once. Keys without a row are left
     * out.
     * @return OK; RETRY (the rows so far count for nothing); FATAL with exit code 78,
     * naming what cannot be read; what visit() returned. */
    enum status (*scan)(struct source *source, const struct source_scan *scan, struct error *err);
};

/** First member of each source. */
struct source {
    const struct source_ops *ops;
};

#endif
