/* What the parts of the SQLite outbox share. */
#ifndef PRODUCER_SQLITE_OUTBOX_INTERNAL_H
#define PRODUCER_SQLITE_OUTBOX_INTERNAL_H

#include "common/sqlite_session.h"
#include "producer/outbox/outbox.h"
#include "producer_sqlite_sql.h"

enum outbox_statement {
    READ_LEASE,
    TAKE_LEASE,
    RELEASE_LEASE,
    RENEW_LEASE,
    HOLD_LEASE,
    LOAD_PARTITIONS,
    LOAD_WAITING,
    CLAIM_ROW,
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
    PURGE_ROW,
    PURGE_MOVED,
    FIND_ROW,
    DATA_VERSION,
    LIST_ROWS,
    COUNT_ROWS,
    RETRY_ROW,
    DROP_ROW,
    SQL_COUNT
};

struct outbox_sqlite {
    struct outbox base;
    sqlite3 *db;
    char *origin;
    char *instance;
    int64_t lease_us;
    int64_t purged_to; /* position that the next look for old rows begins behind */
    int64_t data_version;
    int64_t changed_at_us; /* monotonic; when data_version was last another one */
    sqlite3_stmt *statements[SQL_COUNT];
};

struct outbox_sqlite *outbox_sqlite_of(struct outbox *outbox);
enum status outbox_sqlite_begin(struct outbox_sqlite *self, struct error *err) MUST_CHECK;

/** COMMIT where `status` is OK, else roll back; @return the status now. */
enum status outbox_sqlite_end(struct outbox_sqlite *self, enum status status,
                              struct error *err) MUST_CHECK;

/** One statement whose first column is a truth; no row is false. */
enum status outbox_sqlite_asks(struct outbox_sqlite *self, const char *sql, bool *ret_true,
                               struct error *err) MUST_CHECK;

/** BEGIN, then renew the lease row of this epoch. @return OK; RETRY; ABORT (lease lost). */
enum status outbox_sqlite_begin_fenced(struct outbox_sqlite *self, const struct lease *lease,
                                       struct error *err) MUST_CHECK;

/* The reading slots: outbox.h says what each one does. */
enum status outbox_sqlite_load_waiting(struct outbox *outbox, const struct outbox_extent *extent,
                                       struct arena *arena, struct outbox_row **ret_rows,
                                       size_t *ret_count, struct error *err);
enum status outbox_sqlite_load_claimed(struct outbox *outbox,
                                       const struct relay_partition *partition, struct arena *arena,
                                       struct outbox_row **ret_rows, size_t *ret_count,
                                       struct error *err);
enum status outbox_sqlite_move_type(struct outbox *outbox, const struct lease *lease,
                                    const char *entity_type, const char *topic, int64_t *position,
                                    bool *ret_done, struct error *err);
enum status outbox_sqlite_find(struct outbox *outbox, struct slice id, struct arena *arena,
                               struct outbox_row *ret_row, struct error *err);
enum status outbox_sqlite_purge(struct outbox *outbox, const struct lease *lease,
                                const struct outbox_purge *purge, size_t *ret_purged,
                                struct error *err);
enum status outbox_sqlite_held_back(struct outbox *outbox, struct slice read_topics,
                                    char ret_topic[static OUTBOX_NAME_SIZE], struct error *err);
enum status outbox_sqlite_wait(struct outbox *outbox, int64_t timeout_us, bool *ret_changed,
                               struct error *err);
enum status outbox_sqlite_list(struct outbox *outbox, enum outbox_filter filter, size_t limit,
                               struct arena *arena, struct outbox_row **ret_rows, size_t *ret_count,
                               struct error *err);
enum status outbox_sqlite_count(struct outbox *outbox, struct outbox_counts *ret_counts,
                                struct error *err);
enum status outbox_sqlite_release(struct outbox *outbox, int64_t position, bool drop,
                                  struct error *err);

extern const struct outbox_ops outbox_sqlite_ops;

#endif
