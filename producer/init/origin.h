/* The seam between `keepstep init` and `keepstep publish` and a service's database: one const
 * function table a back end. A back end never prints, retries or decides policy. */
#ifndef PRODUCER_INIT_ORIGIN_H
#define PRODUCER_INIT_ORIGIN_H

#include "common/grants.h"
#include "common/arena.h"
#include "common/buffer.h"
#include "schemas/config/config.h"
#include "schemas/entity_schema.h"
#include "schemas/paused.h"

#include <string.h>

#define ORIGIN_NAME_SIZE      256
#define ORIGIN_UNSETTLED_SIZE 600 /* two names and a state */

struct dialect;
struct origin;

/** Something that `init` creates: a table, an index, a function, a trigger. Texts live as long as
 * the back end or the arena that they were written into. Tables and indexes are kept as they are
 * found; anything else is replaced where it differs. */
struct origin_object {
    const char *kind; /* "table", "index", "column", "trigger": what people read */
    const char *name;
    const char *table; /* whose trigger it is, or whose triggers call it; NULL elsewhere */
    const char *sql;   /* without a semicolon at its end; NULL: only the back end can make it */
    bool of_partition; /* one that may be younger than `init`: only its own TRUNCATE needs it */
    bool of_sets;      /* only a service that publishes whole sets has it (rule 51) */
    const char *drop;  /* with `of_sets`: what takes it away; may be run again */
    const char *note;  /* for people, where it is made; NULL: nothing */
};

/** A published table. */
struct origin_table {
    const struct config_entry *entry;
    const struct entity_schema *schema;
};

/** What captures a table. */
struct origin_objects {
    struct arena *arena; /* the caller's, that they are written into */
    struct origin_object *items;
    size_t count;
};

enum origin_mode {
    ORIGIN_READ,    /* changes nothing */
    ORIGIN_WATCH,   /* changes nothing; has the rights of the relay's role */
    ORIGIN_WRITE,   /* events into an outbox that is there */
    ORIGIN_INSTALL, /* an empty database file is made where none is */
    ORIGIN_REMOVE,  /* takes away what was installed */
};

enum origin_found {
    ORIGIN_ABSENT,
    ORIGIN_SAME,
    ORIGIN_OTHER, /* made of another configuration, or by another version */
    ORIGIN_LOST,  /* there, but it does not do its work: off, altered, on another table */
};

/** How far the rows that were there before `init` have been published. */
struct origin_progress {
    int64_t rows;
    bool done;
    bool published; /* events of the type have been numbered, from wherever they came */
};

/** What the triggers of an entity type publish, as `init` made them last. */
struct origin_captured {
    struct slice mapped; /* `"property":"column",…`; data NULL: no `init` has noted it yet */
    struct slice news;   /* in the same form: newer than rows that were published */
    struct slice partition_key; /* its column, "" for none */
};

/** Who holds the relay's lease; "" and 0: nobody. */
struct origin_lease {
    char holder[ORIGIN_NAME_SIZE];
    int64_t until_us;
};

/** What an event says, as digests. */
struct origin_content {
    int64_t entity; /* type and canonical key */
    int64_t value;  /* 0: not known, as of a void */
};

/** A record of the log that this origin published. */
struct origin_note {
    struct slice id;
    struct slice created_at; /* as it was published; data NULL where the record has none */
    struct origin_content content;
};

/** A new history. */
struct origin_restart {
    const char *service;
    const char *incarnation;
    const struct entity_schema *const *schemas; /* parallel to config->publish */
};

struct origin_restarted {
    int64_t dropped; /* rows that the log has */
    int64_t renamed; /* rows with new ids, because the log has other events under theirs */
};

/** What became of a key whose row was to be published. */
enum origin_key_state {
    ORIGIN_KEY_HELD,   /* nothing: others hold the row, or write the table; try again */
    ORIGIN_KEY_ROW,    /* its row was published */
    ORIGIN_KEY_DELETE, /* there is no row: a delete was published */
    ORIGIN_KEY_REFUSED
};

struct origin_key {
    struct slice key; /* canonical */
    enum origin_key_state state;
    const char *reason; /* why it was refused, static; else NULL */
};

/** What a database says of itself. Texts are cut; "" where it does not say. */
struct origin_look {
    char product[ORIGIN_NAME_SIZE];     /* "PostgreSQL 15.8" */
    char journal[ORIGIN_NAME_SIZE];     /* the settings that say when a commit is on the disk */
    char not_durable[ORIGIN_NAME_SIZE]; /* as in struct lease (producer/outbox/outbox.h) */
    char read_only[ORIGIN_NAME_SIZE];   /* why nobody can write */
    char impatient[ORIGIN_NAME_SIZE];   /* why a lock that is not had ends a transaction, or "" */
    char joint_unfit[ORIGIN_NAME_SIZE]; /* why nothing can be promised in joint transactions */
    bool joint_ready;                   /* it has their tables */
    int64_t clock_us;                   /* 0: it has no clock of its own */
    int64_t connections;                /* open ones */
    int64_t connections_max;            /* that a plain login can use; 0: there is no limit */
};

/** What a sidecar does with the database. */
enum origin_right_state {
    ORIGIN_RIGHT_HELD,
    ORIGIN_RIGHT_LACKING,
    ORIGIN_RIGHT_WITHOUT_OBJECT, /* the object is not there, or its schema may not be used */
};

/** A right, and whether this login has it. */
struct origin_right {
    struct grant_right right; /* borrowed */
    enum origin_right_state state;
};

/** An event as `keepstep publish` writes it into the outbox. */
struct origin_event {
    struct slice entity_type;
    struct slice entity_key; /* canonical */
    struct slice type;       /* "order.updated" */
    struct slice payload;
    struct slice traceparent;   /* data NULL: none */
    struct slice partition_key; /* data NULL: none */
};

struct origin_ops {
    const char *scheme;                  /* "sqlite" */
    const struct dialect *dialect;       /* of what captures a table */
    const struct origin_object *objects; /* the outbox and its like, in the order of creation */
    size_t object_count;
    const struct origin_object *joint_objects; /* where a published type has `joint:` */
    size_t joint_object_count;
    const char *seal; /* what `{seal F}` in an object stands for, of the function F, which stands in
                         it for `{seal}`; NULL: no object has that */
    const char *client_stop;   /* what has the database's client end at an error; NULL: it does */
    const char *client_begin;  /* what makes the objects of one table one transaction; NULL: */
    const char *client_commit; /* each statement is one */
    const char *client_end;    /* what ends all that the client runs; NULL: nothing */
    const char *side_effect; /* what sessions that write captured tables see of it; NULL: nothing */
    const char *guard;       /* fails where a table named outbox is another's; NULL: none */
    const char *delimiter;   /* what the database's client needs around a trigger's body where that
                                has semicolons, "//"; NULL: nothing */

    /** Open what `config->database` names. @return OK; RETRY; FATAL. */
    enum status (*open)(const struct config *config, enum origin_mode mode,
                        struct origin **ret_origin, struct error *err);
    /** NULL is a no-op; rolls back what is open. */
    void (*close)(struct origin *origin);
    /** A transaction over DDL where the database has such; where DDL commits by itself every object
     * is created so that a second `init` finishes what a first one began. */
    enum status (*begin)(struct origin *origin, struct error *err);
    enum status (*commit)(struct origin *origin, struct error *err);
    /** Legal in any state, cannot fail. */
    void (*rollback)(struct origin *origin);

    /** Compare an object with what the database has. */
    enum status (*compare)(struct origin *origin, const struct origin_object *object,
                           enum origin_found *ret_found, struct error *err);
    /** Create it, in place of another one of its name where `replace`, be that on another table. */
    enum status (*create)(struct origin *origin, const struct origin_object *object, bool replace,
                          struct error *err);
    /** Tell whether the configuration, and what the database is like, ask for an object. */
    enum status (*wants)(struct origin *origin, const struct origin_object *object,
                         bool *ret_wanted, struct error *err);
    /** Check that every change of the table can be captured, and that its columns hold what the
     * schema's types say (rules 25, 26, 28).
     * @return OK; RETRY, also where ORIGIN_WATCH may not see the table; FATAL with exit code 78,
     * naming what stands in the way and what to do. */
    enum status (*check)(struct origin *origin, const struct config_entry *entry,
                         const struct entity_schema *schema, struct error *err);
    /** Write the objects that capture an entry's table, in the order of creation. */
    enum status (*capture)(struct origin *origin, const struct config_entry *entry,
                           const struct entity_schema *schema, struct origin_objects *ret_objects,
                           struct error *err);
    /** Append the statements that give the roles keepstep_relay, keepstep_agent and keepstep_lag
     * what each needs on the objects of this side, and no more. The agent reads which own changes
     * are pending. A database without roles appends nothing.
     * @param tables  those whose rows are compared here: their types are not applied. */
    void (*grants)(const struct origin_table *tables, size_t count, struct buffer *out);

    /** Store the outbox's identity where it has none yet. */
    enum status (*identify)(struct origin *origin, const char *service, const char *incarnation,
                            struct error *err);
    /** Start a new history (rule 13), after note_in_log() and note_log_end(): rows that the log has
     * are dropped, those acknowledged too, the rest waits again; sequences begin anew; existing
     * rows count as not read; the relay waits for the noted ends. */
    enum status (*restart)(struct origin *origin, const struct origin_restart *restart,
                           struct origin_restarted *ret_restarted, struct error *err);
    /** @return OK with *ret_lease empty where the outbox is not there yet. */
    enum status (*lease)(struct origin *origin, bool *ret_initialised,
                         struct origin_lease *ret_lease, struct error *err);
    /** Remember, for this session, an event that the log has of this origin. */
    enum status (*note_in_log)(struct origin *origin, const struct origin_note *note,
                               struct error *err);
    /** Remember, for this session, the end of a topic's partition that the service applies. */
    enum status (*note_log_end)(struct origin *origin, const char *topic, int32_t partition,
                                int64_t end, struct error *err);

    /** Read, into `arena`, what write_captured() has noted. */
    enum status (*captured)(struct origin *origin, const char *entity_type, struct arena *arena,
                            struct origin_captured *ret_captured, struct error *err);
    enum status (*write_captured)(struct origin *origin, const char *entity_type,
                                  const struct origin_captured *captured, struct error *err);
    /** Let the present rows be read once more, from the first on, by chunk(); what is under way
     * goes on, unless there is news, which is forgotten. */
    enum status (*republish)(struct origin *origin, const char *entity_type, struct error *err);

    enum status (*progress)(struct origin *origin, const char *entity_type,
                            struct origin_progress *ret_progress, struct error *err);
    /** In one transaction (rule 27): publish the next rows, at most `limit`, as `r` events, read
     * under row locks, and move the progress; `done` when there are no more.
     * @return OK; RETRY; FATAL. */
    enum status (*chunk)(struct origin *origin, const struct origin_table *table, size_t limit,
                         struct origin_progress *ret_progress, struct error *err);

    /** Publish what rows are now (rule 44), each key in a transaction of its own: a row that is
     * there as an `r` event, read under its lock; one that is not there as a `d` event, under a
     * lock that keeps inserts of it out. Sets what became of each key.
     * @return OK; RETRY; FATAL, with exit code 78 where the role may not do that. */
    enum status (*publish_keys)(struct origin *origin, const struct origin_table *table,
                                struct origin_key *keys, size_t count, struct error *err);

    /** Read what the database says of itself; it needs no table of Keepstep's. Changes nothing.
     * @return OK; RETRY. */
    enum status (*look)(struct origin *origin, struct origin_look *ret_look, struct error *err);
    /** Find out which rights this login has, by itself or by the roles that its session has. A
     * database without logins gives all. @return OK; RETRY; FATAL. */
    enum status (*rights)(struct origin *origin, struct origin_right *rights, size_t count,
                          struct error *err);

    /** Write events into the outbox in one durable transaction, in their order. */
    enum status (*write)(struct origin *origin, const struct origin_event *events, size_t count,
                         struct error *err);

    /** List what `init` has made here, of any version and configuration, in the order in which it
     * can be taken away. The `sql` of each does that, by create(), and may be run again.
     * @return OK; RETRY; FATAL. */
    enum status (*list_made)(struct origin *origin, struct origin_objects *ret_objects,
                             struct error *err);

    /** Count the rows of the outbox that nothing was published of, those of transactions that are
     * open now too: nobody adds one until the transaction ends, or in MariaDB until it is dropped.
     * @return OK; RETRY; FATAL. */
    enum status (*count_unpublished)(struct origin *origin, int64_t *ret_count, struct error *err);

    /** Find a joint transaction that is not settled, and say it: "order-42 of shop is reserved"; ""
     * where there is none, or no table of them.
     * @return OK; RETRY. */
    enum status (*find_unsettled)(struct origin *origin, char ret_text[ORIGIN_UNSETTLED_SIZE],
                                  struct error *err);
    /** Find a type whose entities joint transactions reserve, and that is none of `types`, a JSON
     * array of names.
     * @param ret_type  "" where there is none. @return OK; RETRY; FATAL. */
    enum status (*find_reserved)(struct origin *origin, const char *types,
                                 char ret_type[ORIGIN_NAME_SIZE], struct error *err);

    /** List what is paused. @return OK, then the caller frees it; RETRY; FATAL. */
    enum status (*list_paused)(struct origin *origin, struct paused_types *ret_paused,
                               struct error *err);
    /** Pause types, or resume them, in one durable transaction. A type that is paused already keeps
     * its time, its name and its reason. @return OK; RETRY; FATAL (no such table, no right). */
    enum status (*pause)(struct origin *origin, const struct paused_types *types, bool pause,
                         struct error *err);
};

/** First member of each back end. */
struct origin {
    const struct origin_ops *ops;
};

/** @return whether `init` leaves what it found as it is. */
static inline bool origin_keeps(const struct origin_object *object, enum origin_found found)
{
    return found == ORIGIN_SAME || (found == ORIGIN_OTHER && (strcmp(object->kind, "table") == 0 ||
                                                              strcmp(object->kind, "index") == 0));
}

/** @return what an event says. Its key is canonical. */
struct origin_content origin_content_of(struct slice entity_type, struct slice entity_key,
                                        struct slice value);

#endif
