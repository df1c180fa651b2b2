/* What the parts of the MariaDB outbox share. */
#ifndef PRODUCER_MARIADB_OUTBOX_INTERNAL_H
#define PRODUCER_MARIADB_OUTBOX_INTERNAL_H

#include "common/mariadb_statement.h"
#include "producer/outbox/outbox.h"

enum outbox_statement {
    READ_LEASE,
    LOCK_LEASE,
    TAKE_LEASE,
    RELEASE_LEASE,
    RENEW_LEASE,
    LOAD_PARTITIONS,
    LOAD_WAITING,
    COUNT_FITTING,
    CLAIM_ROWS,
    CLAIM_PARTITION,
    CLAIM_TYPE,
    READ_TYPE,
    MOVE_LOOK,
    MOVE_NOTE,
    MOVE_ROWS,
    MOVE_TYPE,
    LOAD_CLAIMED,
    ACKNOWLEDGE,
    NOTE_READ,
    SET_ASIDE,
    WRITE_KEY,
    FIND_ROW,
    PURGE_LOOK,
    PURGE_LOOK_APPLIED,
    PURGE_ROW,
    PURGE_MOVED,
    HELD_BACK,
    SIGNATURE,
    LIST_WAITING,
    LIST_SET_ASIDE,
    LIST_ALL,
    COUNT_ROWS,
    RETRY_ROW,
    DROP_ROW,
    SQL_COUNT
};

/** What tells whether another session has committed: see the statement of that name. */
struct outbox_signature {
    int64_t count;
    char sum[40]; /* larger than any integer */
    int64_t set_aside;
    int64_t last;
};

struct outbox_mariadb {
    struct outbox base;
    char *url;
    char *origin;
    char *instance;
    bool read_only;
    MYSQL *session; /* NULL: lost, made anew by the next slot */
    int64_t lease_us;
    int64_t fitted;    /* rows, the last time that they were large */
    bool narrow;       /* the last load ended at its number of rows, not at its bytes */
    int64_t purged_to; /* position that the next look for old rows begins behind */
    struct outbox_signature signature;
    int64_t changed_at_us; /* monotonic; when the signature was last another one */
    struct mariadb_statement *statements[SQL_COUNT]; /* each prepared at its first use */
};

struct outbox_mariadb *outbox_mariadb_of(struct outbox *outbox);

void outbox_mariadb_disconnect(struct outbox_mariadb *self);

/** @return a prepared statement, on a session that is made anew where it was lost. */
enum status outbox_mariadb_statement(struct outbox_mariadb *self, enum outbox_statement which,
                                     struct mariadb_statement **ret_statement,
                                     struct error *err) MUST_CHECK;

/** Execute one of them. Where it has rows the caller fetches and ends them. */
enum status outbox_mariadb_run(struct outbox_mariadb *self, enum outbox_statement which,
                               const struct mariadb_parameter *values, size_t count,
                               uint64_t *ret_affected, struct error *err) MUST_CHECK;

enum status outbox_mariadb_begin(struct outbox_mariadb *self, struct error *err) MUST_CHECK;

/** BEGIN, then renew the lease row of this epoch. @return OK; RETRY; ABORT (lease lost). */
enum status outbox_mariadb_begin_fenced(struct outbox_mariadb *self, const struct lease *lease,
                                        struct error *err) MUST_CHECK;

/** COMMIT where `status` is OK, else roll back; @return the status now. */
enum status outbox_mariadb_end(struct outbox_mariadb *self, enum status status,
                               struct error *err) MUST_CHECK;

/** After a slot without a transaction: let a lost session go. @return `status`. */
enum status outbox_mariadb_settle(struct outbox_mariadb *self, enum status status,
                                  const struct error *err) MUST_CHECK;

/* The reading slots: outbox.h says what each one does. */
enum status outbox_mariadb_load_waiting(struct outbox *outbox, const struct outbox_extent *extent,
                                        struct arena *arena, struct outbox_row **ret_rows,
                                        size_t *ret_count, struct error *err);
enum status outbox_mariadb_load_claimed(struct outbox *outbox,
                                        const struct relay_partition *partition,
                                        struct arena *arena, struct outbox_row **ret_rows,
                                        size_t *ret_count, struct error *err);
enum status outbox_mariadb_move_type(struct outbox *outbox, const struct lease *lease,
                                     const char *entity_type, const char *topic, int64_t *position,
                                     bool *ret_done, struct error *err);
enum status outbox_mariadb_find(struct outbox *outbox, struct slice id, struct arena *arena,
                                struct outbox_row *ret_row, struct error *err);
enum status outbox_mariadb_purge(struct outbox *outbox, const struct lease *lease,
                                 const struct outbox_purge *purge, size_t *ret_purged,
                                 struct error *err);
enum status outbox_mariadb_held_back(struct outbox *outbox, struct slice read_topics,
                                     char ret_topic[static OUTBOX_NAME_SIZE], struct error *err);
enum status outbox_mariadb_wait(struct outbox *outbox, int64_t timeout_us, bool *ret_changed,
                                struct error *err);
enum status outbox_mariadb_list(struct outbox *outbox, enum outbox_filter filter, size_t limit,
                                struct arena *arena, struct outbox_row **ret_rows,
                                size_t *ret_count, struct error *err);
enum status outbox_mariadb_count(struct outbox *outbox, struct outbox_counts *ret_counts,
                                 struct error *err);
enum status outbox_mariadb_release(struct outbox *outbox, int64_t position, bool drop,
                                   struct error *err);

extern const struct outbox_ops outbox_mariadb_ops;

#endif
