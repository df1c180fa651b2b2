/* Inside operate/fill/: the two kinds of source behind one stream. */
#ifndef OPERATE_FILL_INTERNAL_H
#define OPERATE_FILL_INTERNAL_H

#include "operate/compare/role.h"
#include "operate/fill/source.h"
#include "producer/source/source.h"

#define FILL_SOURCE_TIME_S (INT64_C(7) * 24 * 60 * 60) /* of a snapshot: longer than any fill */

struct fill_reader;

/** An asked type, as the source has it. */
struct fill_role {
    struct role role;
    size_t index;               /* in the service's list: of `apply` where it applies it */
    struct row_columns columns; /* those that are asked for */
    bool is_whole;              /* all that the source has */
};

/** A fill under way, for both kinds. */
struct fill_source {
    const struct fill_source_options *options;
    const struct fill_sink *sink;
    struct service service; /* the caller's, with a snapshot that lasts */
    struct config config;
    struct fill_role *roles; /* one of each asked type */
    struct arena arena;      /* of the begin */
    struct fill_begin begin;
    struct fill_reader *reader;
    struct fill_sums sums;
    struct buffer value;          /* of a row */
    const struct fill_role *role; /* of the rows that are read */
    bool publishes;               /* some of the types: its own changes may be open */
    int64_t last_row;             /* of the outbox, as of the snapshot or later */
};

/** What differs between a copy and a publisher. */
struct fill_reader_ops {
    /** Begin the snapshot, judge it (rule 40), and fill `self->begin`: cluster, positions and
     * sequences. Ends an open one. @return OK; STOP (why it is no source); RETRY; FATAL. */
    enum status (*begin)(struct fill_source *self, struct error *err);
    /** Hand the rows of `self->role` to fill_source_row().
     * @param none  no row: from then on nobody can change what the table is. */
    enum status (*rows)(struct fill_source *self, bool none, struct error *err);
    /** Hand the single keys to fill_source_key(). NULL: there are none. */
    enum status (*keys)(struct fill_source *self, struct error *err);
    /** End the snapshot; what the begin has borrowed stays. Legal in any state. */
    void (*end)(struct fill_source *self);
    void (*free)(struct fill_source *self);
};

/** First member of each kind. */
struct fill_reader {
    const struct fill_reader_ops *ops;
};

/** Make the reader. @return OK; RETRY (memory). */
enum status fill_copy_new(struct fill_source *self, struct error *err) MUST_CHECK;
enum status fill_publisher_new(struct fill_source *self, struct error *err) MUST_CHECK;

/** Push a row that was read; its context is the fill_source. @return OK; ABORT (a value has no
 * canonical form); what the sink returned. */
enum status fill_source_row(void *context, const struct scanned_row *row, struct error *err);
enum status fill_source_key(struct fill_source *self, const struct fill_key *key,
                            struct error *err);

/** Refuse to be a source. @return STOP. */
enum status fill_refuse(const struct fill_source *self, struct error *err, const char *format, ...)
    PRINTF_LIKE(3, 4);

/** Open the service's outbox side, and begin a snapshot. */
enum status fill_open_publisher(const struct fill_source *self, struct source **ret_source,
                                struct error *err) MUST_CHECK;

/** Judge what a snapshot says of a type that the service publishes (rule 40), and note its last
 * row. @param existing  whether rows that `init` has not published yet count.
 * @return OK; STOP. */
enum status fill_judge_published(struct fill_source *self, const struct source_stamp *stamp,
                                 const char *entity_type, bool existing,
                                 struct error *err) MUST_CHECK;

/** Wait until all rows of the outbox that the snapshot had are acknowledged (rule 39).
 * @return OK; ABORT (one is set aside); RETRY; what the sink returned. */
enum status fill_wait_acknowledged(struct fill_source *self, struct error *err) MUST_CHECK;

#endif
