/* What the parts of the PostgreSQL outbox share. */
#ifndef PRODUCER_POSTGRESQL_OUTBOX_INTERNAL_H
#define PRODUCER_POSTGRESQL_OUTBOX_INTERNAL_H

#include "common/postgresql_session.h"
#include "producer/outbox/outbox.h"

#define OUTBOX_NUMBER_SIZE  24
#define OUTBOX_PREPARED_MAX 24

struct outbox_postgresql {
    struct outbox base;
    PGconn *connection; /* NULL after it was lost, until the next call */
    char *url;
    char *origin;
    char *instance;
    bool read_only;
    int64_t lease_us;
    bool asleep;         /* the advisory lock is held: commits notify */
    bool settled;        /* all transactions from before it slept have ended */
    char slept_xmax[24]; /* xid8 */
    int64_t slept_at_us; /* monotonic */
    int64_t looked_at_us;
    int64_t found_at_us; /* when rows were last found to wait */
    int64_t pause_us;    /* before it sleeps again; 0: rows were found */
    int64_t resume_at_us;
    const char *prepared[OUTBOX_PREPARED_MAX]; /* in this session, by the address of their text */
    size_t prepared_count;
};

/** A statement of a pipeline. */
struct outbox_step {
    const char *sql;
    const char *const *parameters;
    int count;
    const char *broken; /* what a division by zero says in it (ABORT); NULL: nothing divides */
};

static inline struct outbox_postgresql *outbox_postgresql_of(struct outbox *outbox)
{
    return (struct outbox_postgresql *)outbox;
}

/** Open the session again where it was lost. */
enum status outbox_postgresql_ready(struct outbox_postgresql *self, struct error *err) MUST_CHECK;

/** Judge a status: drop a session that is gone. @return `status`. */
enum status outbox_postgresql_judge(struct outbox_postgresql *self, enum status status,
                                    const struct error *err);

/** One statement. @param ret_result  the caller clears; NULL: not wanted. */
enum status outbox_postgresql_query(struct outbox_postgresql *self, const char *sql,
                                    const struct slice *parameters, size_t count,
                                    PGresult **ret_result, struct error *err) MUST_CHECK;

/** As above for what is run often: prepared at its first use. */
enum status outbox_postgresql_run(struct outbox_postgresql *self, const struct outbox_step *step,
                                  PGresult **ret_result, struct error *err) MUST_CHECK;

/** The fence of `lease`, then the steps, in one transaction and one round trip.
 * @param ret_changed  rows of the last step; may be NULL. @return OK; RETRY; ABORT. */
enum status outbox_postgresql_fenced(struct outbox_postgresql *self, const struct lease *lease,
                                     const struct outbox_step *steps, size_t count,
                                     size_t *ret_changed, struct error *err) MUST_CHECK;

/* The reading slots: outbox.h says what each one does. */
enum status outbox_postgresql_load_waiting(struct outbox *outbox,
                                           const struct outbox_extent *extent, struct arena *arena,
                                           struct outbox_row **ret_rows, size_t *ret_count,
                                           struct error *err);
enum status outbox_postgresql_load_claimed(struct outbox *outbox,
                                           const struct relay_partition *partition,
                                           struct arena *arena, struct outbox_row **ret_rows,
                                           size_t *ret_count, struct error *err);
enum status outbox_postgresql_move_type(struct outbox *outbox, const struct lease *lease,
                                        const char *entity_type, const char *topic,
                                        int64_t *position, bool *ret_done, struct error *err);
enum status outbox_postgresql_find(struct outbox *outbox, struct slice id, struct arena *arena,
                                   struct outbox_row *ret_row, struct error *err);
enum status outbox_postgresql_list(struct outbox *outbox, enum outbox_filter filter, size_t limit,
                                   struct arena *arena, struct outbox_row **ret_rows,
                                   size_t *ret_count, struct error *err);
enum status outbox_postgresql_count(struct outbox *outbox, struct outbox_counts *ret_counts,
                                    struct error *err);
enum status outbox_postgresql_release(struct outbox *outbox, int64_t position, bool drop,
                                      struct error *err);
enum status outbox_postgresql_held_back(struct outbox *outbox, struct slice read_topics,
                                        char ret_topic[static OUTBOX_NAME_SIZE], struct error *err);
enum status outbox_postgresql_wait(struct outbox *outbox, int64_t timeout_us, bool *ret_changed,
                                   struct error *err);

extern const struct outbox_ops outbox_postgresql_ops;

#endif
