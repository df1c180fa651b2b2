/* The origin over SQL: every slot that only runs statements, written once for all databases. */
#ifndef PRODUCER_INIT_ORIGIN_SQL_H
#define PRODUCER_INIT_ORIGIN_SQL_H

#include "common/row_query.h"
#include "producer/init/origin.h"
#include "producer/init/statements.h"
#include "producer/sql/session.h"

#define ORIGIN_NOTES_MAX     1000
#define ORIGIN_NOTE_COLUMNS  5      /* parameters of NOTE_IN_LOG */
#define ORIGIN_EVENT_COLUMNS 6      /* parameters of WRITE_EVENTS */
#define ORIGIN_PAUSE_COLUMNS 4      /* parameters of PAUSE_TYPE */
#define ORIGIN_MADE_MAX      100000 /* objects that `init` has made, of all types */

struct origin_sql;

/** How a database publishes what the row of one key is now. */
struct origin_key_database {
    const char *row;       /* template: its key and payload, under a lock */
    const char *partition; /* template: its key and partition key */
    /** Write a query of a table's rows from its template.
     * @return OK; RETRY; FATAL with exit code 78 (no such table, or none that can be captured). */
    enum status (*write)(struct origin_sql *self, const struct origin_table *table,
                         const char *text, struct buffer *sql, struct error *err);
    enum status (*query)(struct origin_sql *self, struct row_query *query, struct error *err);
    /** Keep others from inserting until the transaction ends. NULL: the row's lock does that, be
     * there a row or not. */
    enum status (*keep_out)(struct origin_sql *self, const struct origin_table *table,
                            struct error *err);
    /** @return whether `err` says that others held a lock for too long. */
    bool (*is_held)(const struct error *err);
    /** @return whether `err` says that the role lacks a right. */
    bool (*lacks_right)(const struct error *err);
};

/** First member of each database's origin. */
struct origin_sql {
    struct origin base;
    const struct origin_key_database *key_database;
    const struct config *config; /* the caller's */
    bool watching;               /* sees only what the relay's role may see */
    struct sql_session *session; /* a member of the database's origin */
    /** Publish the next rows of a table, and set `rows` (by how many are published now) and `done`;
     * inside of the transaction of origin_sql_chunk(). */
    enum status (*publish)(struct origin_sql *self, const struct origin_table *table, size_t limit,
                           struct origin_progress *progress, struct error *err);
    /* events that are in the log, not written yet */
    struct sql_parameter notes[ORIGIN_NOTES_MAX][ORIGIN_NOTE_COLUMNS];
    size_t note_count;
    struct arena note_arena;
};

static inline struct origin_sql *origin_sql_of(struct origin *origin)
{
    return (struct origin_sql *)origin;
}

/** Connect. The caller has set `base.ops`, `session`, and the session's ops, texts, application and
 * setup. `self` is heap memory, and closed by the caller where it fails. */
enum status origin_sql_open(struct origin_sql *self, const struct config *config,
                            enum origin_mode mode, struct error *err) MUST_CHECK;

/** Append an event to parameters of WRITE_EVENTS. */
void origin_sql_fill_event(const struct origin_event *event,
                           struct sql_parameter row[static ORIGIN_EVENT_COLUMNS]);

/** Write what note_in_log() has not written yet. */
enum status origin_sql_write_notes(struct origin_sql *self, struct error *err) MUST_CHECK;

/** Compare rows with the noted records of their derived ids. Those that say the same are marked for
 * FORWARD_DROP, the others get new ids. Inside of a transaction.
 * @param schemas  parallel to config->publish. */
enum status origin_sql_compare_notes(struct origin_sql *self,
                                     const struct entity_schema *const *schemas,
                                     int64_t *ret_renamed, struct error *err) MUST_CHECK;

/* The slots: origin.h says what each one does. */
void origin_sql_close(struct origin *origin);
enum status origin_sql_begin(struct origin *origin, struct error *err);
enum status origin_sql_wants(struct origin *origin, const struct origin_object *object,
                             bool *ret_wanted, struct error *err);
/** Compare a column of the outbox, or its default. */
enum status origin_sql_compare_column(struct origin *origin, const struct origin_object *object,
                                      enum origin_found *ret_found, struct error *err) MUST_CHECK;
enum status origin_sql_commit(struct origin *origin, struct error *err);
void origin_sql_rollback(struct origin *origin);
enum status origin_sql_identify(struct origin *origin, const char *service, const char *incarnation,
                                struct error *err);
enum status origin_sql_restart(struct origin *origin, const struct origin_restart *restart,
                               struct origin_restarted *ret_restarted, struct error *err);
enum status origin_sql_lease(struct origin *origin, bool *ret_initialised,
                             struct origin_lease *ret_lease, struct error *err);
enum status origin_sql_note_in_log(struct origin *origin, const struct origin_note *note,
                                   struct error *err);
enum status origin_sql_note_log_end(struct origin *origin, const char *topic, int32_t partition,
                                    int64_t end, struct error *err);
enum status origin_sql_captured(struct origin *origin, const char *entity_type, struct arena *arena,
                                struct origin_captured *ret_captured, struct error *err);
enum status origin_sql_write_captured(struct origin *origin, const char *entity_type,
                                      const struct origin_captured *captured, struct error *err);
enum status origin_sql_republish(struct origin *origin, const char *entity_type, struct error *err);
enum status origin_sql_progress(struct origin *origin, const char *entity_type,
                                struct origin_progress *ret_progress, struct error *err);
enum status origin_sql_chunk(struct origin *origin, const struct origin_table *table, size_t limit,
                             struct origin_progress *ret_progress, struct error *err);
enum status origin_sql_publish_keys(struct origin *origin, const struct origin_table *table,
                                    struct origin_key *keys, size_t count, struct error *err);
enum status origin_sql_write(struct origin *origin, const struct origin_event *events, size_t count,
                             struct error *err);
enum status origin_sql_list_made(struct origin *origin, struct origin_objects *ret_objects,
                                 struct error *err);
enum status origin_sql_count_unpublished(struct origin *origin, int64_t *ret_count,
                                         struct error *err);
enum status origin_sql_find_reserved(struct origin *origin, const char *types,
                                     char ret_type[ORIGIN_NAME_SIZE], struct error *err);
enum status origin_sql_find_unsettled(struct origin *origin, char ret_text[ORIGIN_UNSETTLED_SIZE],
                                      struct error *err);
enum status origin_sql_list_paused(struct origin *origin, struct paused_types *ret_paused,
                                   struct error *err);
enum status origin_sql_pause(struct origin *origin, const struct paused_types *types, bool pause,
                             struct error *err);

enum status origin_sql_look(struct origin *origin, struct origin_look *ret_look, struct error *err);
enum status origin_sql_rights(struct origin *origin, struct origin_right *rights, size_t count,
                              struct error *err);

#define ORIGIN_TABLE(table_name, text)                                                             \
    {                                                                                              \
        .kind = "table", .name = table_name, .sql = text                                           \
    }

/** Makes the outbox's ids optional where an earlier version made it. */
#define ORIGIN_FREE_ID                                                                             \
    {                                                                                              \
        .kind = "column", .name = "outbox.id", .sql = SQL_FREE_OUTBOX_ID                           \
    }

/** Gives the outbox the columns of change sets where an earlier version made it. */
#define ORIGIN_ADD_CHANGESET                                                                       \
    {                                                                                              \
        .kind = "column", .name = "outbox.changeset_end", .sql = SQL_ADD_CHANGESET                 \
    }

/** Gives the outbox what it has of joint transactions where an earlier version made it. */
#define ORIGIN_ADD_JOINT                                                                           \
    {                                                                                              \
        .kind = "column", .name = "outbox.joint", .sql = SQL_ADD_JOINT                             \
    }

/** Finds the records of joint transactions that wait (rule 71). */
#define ORIGIN_JOINT_INDEX                                                                         \
    {                                                                                              \
        .kind = "index", .name = "outbox_joint", .sql = SQL_CREATE_OUTBOX_JOINT                    \
    }

/** Finds the rows of a set (rule 51). */
#define ORIGIN_CHANGESET_INDEX                                                                     \
    {                                                                                              \
        .kind = "index", .name = "outbox_changeset", .sql = SQL_CREATE_OUTBOX_CHANGESET,           \
        .of_sets = true, .drop = SQL_DROP_OUTBOX_CHANGESET                                         \
    }

/** The tables that the relay reads, which every database has. */
#define ORIGIN_RELAY_TABLES                                                                        \
    ORIGIN_TABLE("keepstep_relay", SQL_CREATE_RELAY),                                              \
        ORIGIN_TABLE("keepstep_relay_partition", SQL_CREATE_RELAY_PARTITION),                      \
        ORIGIN_TABLE("keepstep_relay_type", SQL_CREATE_RELAY_TYPE),                                \
        ORIGIN_TABLE("keepstep_relay_read", SQL_CREATE_RELAY_READ),                                \
        ORIGIN_TABLE("keepstep_relay_moved", SQL_CREATE_RELAY_MOVED),                              \
        ORIGIN_TABLE("keepstep_relay_wait", SQL_CREATE_RELAY_WAIT),                                \
        ORIGIN_TABLE("keepstep_paused", SQL_CREATE_PAUSED)

/** What a database's roles need. */
struct origin_grants {
    const char *all;        /* on the tables of the relay and the agent */
    const char *joint;      /* on those of joint transactions */
    const char *rows;       /* template: on a published table */
    const char *joint_rows; /* template: on one whose rows joint transactions change */
    void (*append)(struct buffer *out, const struct origin_table *table, const char *text);
};

/** The grants of a database's .sql files. */
#define ORIGIN_GRANTS(append_function)                                                             \
    {                                                                                              \
        SQL_GRANTS, SQL_JOINT_GRANTS, SQL_CAPTURE_GRANT, SQL_CAPTURE_GRANT_JOINT,                  \
            (append_function)                                                                      \
    }

/** Append the grants of a service. @param tables  those that it publishes and does not apply. */
void origin_sql_grants(const struct origin_table *tables, size_t count,
                       const struct origin_grants *grants, struct buffer *out);

/** What joint transactions have in a database whose indexes are objects of their own. */
#define ORIGIN_JOINT_TABLES                                                                        \
    {.kind = "table", .name = "keepstep_joint", .sql = SQL_CREATE_JOINT},                          \
        {.kind = "index", .name = "keepstep_joint_open", .sql = SQL_CREATE_JOINT_OPEN},            \
        {.kind = "index", .name = "keepstep_joint_decided", .sql = SQL_CREATE_JOINT_DECIDED},      \
        {.kind = "table", .name = "keepstep_reserved", .sql = SQL_CREATE_RESERVED},                \
        {.kind = "index", .name = "keepstep_reserved_of", .sql = SQL_CREATE_RESERVED_OF},          \
    {                                                                                              \
        .kind = "table", .name = "keepstep_touched", .sql = SQL_CREATE_TOUCHED                     \
    }

/** A trigger of keepstep_joint, or a function that it calls. */
#define ORIGIN_JOINT(object_kind, object_name, text)                                               \
    {                                                                                              \
        .kind = (object_kind), .name = (object_name), .table = "keepstep_joint", .sql = (text)     \
    }

/** All slots but open, close, begin, chunk, and those that read the catalogue. */
#define ORIGIN_SQL_SLOTS                                                                           \
    .commit = origin_sql_commit, .rollback = origin_sql_rollback, .identify = origin_sql_identify, \
    .restart = origin_sql_restart, .lease = origin_sql_lease,                                      \
    .note_in_log = origin_sql_note_in_log, .note_log_end = origin_sql_note_log_end,                \
    .captured = origin_sql_captured, .write_captured = origin_sql_write_captured,                  \
    .republish = origin_sql_republish, .progress = origin_sql_progress,                            \
    .publish_keys = origin_sql_publish_keys, .write = origin_sql_write,                            \
    .list_made = origin_sql_list_made, .count_unpublished = origin_sql_count_unpublished,          \
    .list_paused = origin_sql_list_paused, .pause = origin_sql_pause, .look = origin_sql_look,     \
    .rights = origin_sql_rights, .find_reserved = origin_sql_find_reserved,                        \
    .find_unsettled = origin_sql_find_unsettled

#endif
