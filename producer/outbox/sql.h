/* The outbox over SQL: every slot that only runs statements, written once for all databases. */
#ifndef PRODUCER_OUTBOX_SQL_H
#define PRODUCER_OUTBOX_SQL_H

#include "producer/outbox/outbox.h"
#include "producer/outbox/statements.h"
#include "producer/sql/session.h"

#define OUTBOX_SIGNATURE_SIZE 128
#define OUTBOX_NOTED_MAX      16
#define OUTBOX_EXTENT_VALUES  6
#define OUTBOX_IDENTITY_MAX   4096 /* bytes of memory for one */

/** The last word of an identity that several transactions may have; install.sql writes it. */
#define OUTBOX_SHARED "-"
/** How the identity of a set begins that was set aside; its first position follows. */
#define OUTBOX_SET_PREFIX "set-"

/** Entity types whose topic is in the database for certain: claims under this lease, in this
 * session, have written it. */
struct outbox_noted {
    int64_t epoch;
    unsigned session;
    struct {
        char entity_type[OUTBOX_NAME_SIZE];
        char topic[OUTBOX_NAME_SIZE];
    } types[OUTBOX_NOTED_MAX];
    size_t count;
};

/** First member of each database's outbox. */
struct outbox_sql {
    struct outbox base;
    struct sql_session *session; /* a member of the database's outbox */
    char *url;
    char *origin;
    char *instance;
    bool whole; /* whole sets are published */
    bool joint; /* records of joint transactions are claimed first */
    int64_t lease_us;
    int64_t purged_to; /* position that the next scan for old rows begins behind */
    struct outbox_noted noted;
    char signature[OUTBOX_SIGNATURE_SIZE];
    int64_t changed_at_us; /* monotonic; when the signature was last another one */
};

static inline struct outbox_sql *outbox_sql_of(struct outbox *outbox)
{
    return (struct outbox_sql *)outbox;
}

/** Connect, and see that the outbox is there. The caller has set `base.ops`, `session` and the
 * session's ops, texts and setup. `self` is heap memory: freed where it fails. */
enum status outbox_sql_open(struct outbox_sql *self, const struct outbox_options *options,
                            struct outbox **ret_outbox, struct error *err) MUST_CHECK;

/** Renew the lease, then run the steps, in one transaction.
 * @return OK; RETRY, also where the session is another one than the lease's; ABORT. */
enum status outbox_sql_run_fenced(struct outbox_sql *self, const struct lease *lease,
                                  const struct sql_step *steps, size_t count,
                                  struct error *err) MUST_CHECK;

/** Begin such a transaction, which the caller ends. It is for steps that need answers.
 * @return as outbox_sql_run_fenced(). */
enum status outbox_sql_begin_fenced(struct outbox_sql *self, const struct lease *lease,
                                    struct error *err) MUST_CHECK;

/** The same, a step at a time, so that the session's `changed` is of the last step in every
 * database that reads old rows by a scan (MariaDB's run_steps() does not count). */
enum status outbox_sql_run_counted(struct outbox_sql *self, const struct lease *lease,
                                   const struct sql_step *steps, size_t count,
                                   struct error *err) MUST_CHECK;

/** Put rows of parameters into the order of positions, their first ones. A claim has them in the
 * order of their sets. */
void outbox_sql_sort(void *rows, size_t count, size_t columns);

/** The statement of load_waiting. */
static inline enum outbox_statement outbox_sql_load_statement(const struct outbox_sql *self)
{
    return self->whole ? STATEMENT_LOAD_SETS : STATEMENT_LOAD_WAITING;
}

/** The parameters of load_waiting's statement. */
void outbox_sql_fill_extent(const struct outbox_sql *self, const struct outbox_extent *extent,
                            struct sql_parameter ret_values[static OUTBOX_EXTENT_VALUES]);

/* The slots: outbox.h says what each one does. */
void outbox_sql_close(struct outbox *outbox);
enum status outbox_sql_take_lease(struct outbox *outbox, int64_t duration_us,
                                  struct lease *ret_lease, struct error *err);
enum status outbox_sql_release_lease(struct outbox *outbox, const struct lease *lease,
                                     struct error *err);
enum status outbox_sql_token(struct outbox *outbox, const char *ticket, struct arena *arena,
                             struct slice *ret_token, struct error *err);
enum status outbox_sql_read_lease(struct outbox *outbox, struct lease *ret_lease,
                                  struct error *err);
enum status outbox_sql_load_partitions(struct outbox *outbox,
                                       struct relay_partition **ret_partitions, size_t *ret_count,
                                       struct error *err);
enum status outbox_sql_load_waiting(struct outbox *outbox, const struct outbox_extent *extent,
                                    struct arena *arena, struct outbox_rows *ret_rows,
                                    struct error *err);
enum status outbox_sql_load_joint(struct outbox *outbox, const struct outbox_extent *extent,
                                  struct arena *arena, struct outbox_rows *ret_rows,
                                  struct error *err);
enum status outbox_sql_claim(struct outbox *outbox, const struct lease *lease,
                             const struct outbox_claim *claim, struct error *err);
enum status outbox_sql_move_type(struct outbox *outbox, const struct lease *lease,
                                 struct outbox_move *move, struct error *err);
enum status outbox_sql_load_claimed(struct outbox *outbox, const struct relay_partition *partition,
                                    struct arena *arena, struct outbox_rows *ret_rows,
                                    struct error *err);
enum status outbox_sql_acknowledge(struct outbox *outbox, const struct lease *lease,
                                   const struct relay_partition *partitions, size_t count,
                                   struct error *err);
enum status outbox_sql_note_read(struct outbox *outbox, const struct lease *lease,
                                 const struct relay_partition *partitions, size_t count,
                                 struct error *err);
enum status outbox_sql_set_aside(struct outbox *outbox, const struct lease *lease,
                                 const struct outbox_set *set, bool *ret_done, struct error *err);
enum status outbox_sql_load_group(struct outbox *outbox, const struct outbox_row *row,
                                  struct arena *arena, struct outbox_rows *ret_rows,
                                  struct error *err);
enum status outbox_sql_write_keys(struct outbox *outbox, const struct lease *lease,
                                  const struct outbox_row *rows, size_t count, struct error *err);
enum status outbox_sql_find(struct outbox *outbox, struct slice id, struct arena *arena,
                            struct outbox_row *ret_row, struct error *err);
enum status outbox_sql_purge(struct outbox *outbox, const struct lease *lease,
                             const struct outbox_purge *purge, size_t *ret_purged,
                             struct error *err);
enum status outbox_sql_unread(struct outbox *outbox, struct slice topics,
                              char ret_topic[static OUTBOX_NAME_SIZE], struct error *err);
enum status outbox_sql_held_back(struct outbox *outbox, struct slice read_topics,
                                 char ret_topic[static OUTBOX_NAME_SIZE], struct error *err);
enum status outbox_sql_wait(struct outbox *outbox, const struct outbox_wait *wait,
                            bool *ret_changed, struct error *err);
enum status outbox_sql_list(struct outbox *outbox, const struct outbox_selection *selection,
                            struct arena *arena, struct outbox_rows *ret_rows, struct error *err);
enum status outbox_sql_count(struct outbox *outbox, struct outbox_counts *ret_counts,
                             struct error *err);
enum status outbox_sql_list_paused(struct outbox *outbox, struct paused_types *ret_paused,
                                   struct error *err);
enum status outbox_sql_resolve_set_aside(struct outbox *outbox, int64_t position,
                                         enum outbox_resolution resolution, struct error *err);

/** How a database that has functions is asked for tickets and tokens. */
#define OUTBOX_TOKEN_SQL                                                                           \
    {                                                                                              \
        {"Inside the transaction, behind its last write: the ticket", SQL_ASK_TICKET},             \
            {"Behind COMMIT: its token; NULL while an event waits for its number", SQL_ASK_TOKEN}, \
            {NULL, NULL},                                                                          \
    }

/** All slots but open, load_waiting, load_joint, claim and wait, which some databases have of their
 * own. */
#define OUTBOX_SQL_SLOTS                                                                           \
    .close = outbox_sql_close, .take_lease = outbox_sql_take_lease,                                \
    .release_lease = outbox_sql_release_lease, .load_partitions = outbox_sql_load_partitions,      \
    .move_type = outbox_sql_move_type, .load_claimed = outbox_sql_load_claimed,                    \
    .acknowledge = outbox_sql_acknowledge, .note_read = outbox_sql_note_read,                      \
    .set_aside = outbox_sql_set_aside, .load_group = outbox_sql_load_group,                        \
    .write_keys = outbox_sql_write_keys, .find = outbox_sql_find, .purge = outbox_sql_purge,       \
    .held_back = outbox_sql_held_back, .unread = outbox_sql_unread, .list = outbox_sql_list,       \
    .count = outbox_sql_count, .resolve_set_aside = outbox_sql_resolve_set_aside,                  \
    .token = outbox_sql_token, .read_lease = outbox_sql_read_lease,                                \
    .list_paused = outbox_sql_list_paused

#endif
