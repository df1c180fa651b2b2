/* Joint transactions in all SQL stores: the rows of keepstep_joint, the try, and what is reserved.
 * It stands among the stores, not beside the policy in consumer/joint/, because it works inside a
 * store's transaction, by its session, its statements and its way of writing rows. A database
 * brings the statements STORE_JOINT_STATEMENTS. */
#ifndef CONSUMER_STORE_SQL_JOINT_H
#define CONSUMER_STORE_SQL_JOINT_H

#include "consumer/joint/joint.h"
#include "consumer/store/sql/table.h"
#include "schemas/joint_change.h"

/** An entity that a try has written, or that a change keeps, or a value of a unique index. */
struct joint_entity {
    struct slice entity_type;
    struct slice entity_key; /* canonical, or as a capture trigger wrote it */
    char operation;          /* 'c', 'u', 'd', 'k'; 'n': a value's name */
};

/** @return whether it is a value of a unique index, and no row. */
bool joint_entity_is_value(const struct joint_entity *entity);

/** That one transaction may change at one service; each counts once. */
#define JOINT_ENTITIES_MAX 10000

struct joint_entities {
    struct joint_entity *items;
    size_t count;
    size_t room;
};

/** What stands in the way of all that writes; a row that only stays needs less. */
#define JOINT_STOPS_WRITES "ducn"

/** A table whose entities joint transactions change. It lasts as long as the store. */
struct joint_table {
    struct mapped_table *table;      /* NULL: not looked at yet */
    struct buffer keep;              /* the statement that keeps it as it is; empty: not made yet */
    struct buffer tell;              /* the query of its version, likewise */
    int64_t version;                 /* of the catalogue when it was looked at */
    bool is_looked_at;               /* at all */
    bool is_looked_closer;           /* also at what only a promise needs */
    bool is_found;                   /* by this run: nobody alters it now */
    bool is_remembered;              /* this run did not look, since the catalogue is the same */
    char uncovered[STORE_NAME_SIZE]; /* what no name covers; "": nothing */
    const char *stops;               /* the operations that this stands in the way of */
    bool has_uniques;                /* beside its key */
    bool has_seen_uniques;
    bool has_foreign_keys;
    bool has_partitions;           /* as far as that is asked for */
    struct joint_parents *parents; /* its foreign keys (joint_parents.c) */
};

/** One attempt() or settle(). */
struct joint_run {
    struct store_sql *store;
    const struct joint_part *part;
    struct arena arena;             /* of what lives as long as the run */
    struct arena row;               /* of the change that is under way */
    struct joint_entities entities; /* that a try has written, or that are released */
    size_t written;                 /* of these, that stay apart from what the triggers noted */
    int64_t event_bytes;            /* that the try would publish, and in how many events */
    int64_t event_count;
    struct joint_entities guarded; /* sorted; those whose buckets this transaction holds */
    bool keeps_entities;           /* attempt(): they are to be reserved */
};

/** Find the table of a type. A run looks at it once, because its service may have changed it since,
 * or sees that the catalogue is the same.
 * @return OK; REJECT (no such type here, or a table that does not keep its values); RETRY. */
enum status joint_table_find(struct joint_run *run, struct slice entity_type,
                             struct joint_table **ret_table, struct error *err) MUST_CHECK;

/** @return whether what was found already stands in the way of these operations. */
bool joint_table_stops(const struct joint_table *table, const char *operations);

/** Look again at a table that was remembered, before anything is refused for its sake: a drop of
 * what stood in the way may leave the catalogue's version as it was. Statuses as above. */
enum status joint_table_look_again(struct joint_run *run, struct joint_table *table,
                                   struct error *err) MUST_CHECK;

/** A run begins: its transaction has found no table yet. */
void joint_tables_begin(struct store_sql *store);
void joint_tables_done(struct store_sql *store);

/** Make one change of the part, and see that it is made.
 * @return OK; REJECT (the database, or the row, refuses it); RETRY. */
enum status joint_change_make(struct joint_run *run, const struct joint_change *change,
                              struct error *err) MUST_CHECK;

/** Read which entity a change is of; it lives as long as the run. Statuses as above. */
enum status joint_change_entity(struct joint_run *run, const struct joint_change *change,
                                struct joint_entity *ret_entity, struct error *err) MUST_CHECK;

/** Note an entity of the run. @return OK; REJECT (too many); RETRY (memory). */
enum status joint_entity_add(struct joint_run *run, struct joint_entity entity,
                             struct error *err) MUST_CHECK;

/** Make room for one more. @return OK; RETRY (memory). */
enum status joint_entities_grow(struct joint_run *run, struct joint_entities *entities,
                                struct error *err) MUST_CHECK;

/** Order entities by type and key, for qsort(). */
int joint_entity_compare(const void *a, const void *b);

/** Read the foreign keys of a table that has some, and what of them stands in the way of a promise.
 * @param name  of the table, as the catalogue takes it. @return OK; RETRY. */
enum status joint_parents_look(struct joint_table *table, const struct mapped_table *mapped,
                               struct slice name, struct error *err) MUST_CHECK;
/** NULL is a no-op. */
void joint_parents_free(struct joint_parents *parents);

/** Find the rows that those of the run's entities name by foreign keys now.
 * @return OK; REJECT (too many, or a key without a canonical form); RETRY. */
struct joint_named;
enum status joint_parents_read(struct joint_run *run, struct joint_named **ret_named,
                               size_t *ret_count, struct error *err) MUST_CHECK;

/** Add to the run's entities the rows that a try has made others name: they are to stay. What was
 * named before the try too is kept by the foreign key itself, but not in SQLite, where a service's
 * connection looks at none unless it asks for that. Behind the try, when it is undone, with the
 * entities as they were for joint_parents_read(). Statuses as above. */
enum status joint_parents_keep(struct joint_run *run, const struct joint_named *named, size_t count,
                               struct error *err) MUST_CHECK;

/* Where others write at the same time; elsewhere these do nothing (joint_guard.c). */

/** See that what this database says to be committed stays. @return OK; REJECT. */
enum status joint_guard_durable(const struct joint_run *run, struct error *err) MUST_CHECK;

/** Keep the writers of entities from going on, until the transaction ends: of those of the changes,
 * or of those of the run, where they were not guarded yet.
 * @param ret_new  how many were not. @param ret_new_there  of these, those that a try did not
 * create.
 * @return OK; REJECT (no such table); RETRY (somebody else holds a bucket). */
enum status joint_guard_changes(struct joint_run *run, struct error *err) MUST_CHECK;
enum status joint_guard_entities(struct joint_run *run, size_t *ret_new, size_t *ret_new_there,
                                 struct error *err) MUST_CHECK;

/** Read what this transaction reserves, into the run's entities. */
enum status joint_guard_read(struct joint_run *run, struct error *err) MUST_CHECK;

/** Keep the rows of the run's entities from other writers until the transaction ends; wait up to
 * a second for each, so that a decision gets its turn between them (rule 70).
 * @return OK; REJECT (a table is gone); RETRY (somebody holds one for longer). */
enum status joint_guard_rows(struct joint_run *run, struct error *err) MUST_CHECK;

/** Write into the buckets of the run's entities how many names they have now.
 * @return OK; RETRY (attempt(): somebody holds one). */
enum status joint_guard_count(const struct joint_run *run, struct error *err) MUST_CHECK;

/** @param why  of a statement. @return whether that has failed alone, where the database can tell:
 * what was written before it in the transaction stays. */
bool joint_failed_alone(struct store_sql *store, const struct error *why);

/** Empty old rows. @param call  JOINT_PRUNE. @param ret_held  somebody holds one of them: nothing
 * is emptied this time. @return OK; REJECT (a trigger refuses it); RETRY. */
enum status joint_prune_rows(struct store_sql *store, struct sql_call call, size_t *ret_pruned,
                             bool *ret_held, struct error *err) MUST_CHECK;

/** Count again what is counted wrongly: keepstep_guard was made anew, or a decision could not wait
 * for a bucket. In a transaction behind the fence: nobody else writes names. */
enum status joint_guard_recount(struct store_sql *store, struct error *err) MUST_CHECK;

/** Order the run's entities by type and key, each once. */
void joint_run_unite(struct joint_run *run);

/** Let what the changes write have the name of their transaction, until joint_guard_look_back().
 * SQLite does that behind them. @return OK; RETRY. */
enum status joint_guard_name(const struct joint_run *run, struct error *err) MUST_CHECK;

/** End what JOINT_LOOK_AWAY and joint_guard_name() began, where going back to a savepoint does not.
 * Legal in any state.
 * @return OK; RETRY (err->connection_lost is set: the session cannot be used any more). */
enum status joint_guard_look_back(const struct joint_run *run, struct error *err) MUST_CHECK;

/** Whatever the database says of a change is said of that change alone: a proposal ends no agent,
 * by a table that is gone or a trigger that does not compile.
 * @return `status`, or REJECT in the place of what would stop something; sets `err` alike. */
enum status joint_judge(enum status status, struct error *err);

/* Slots of struct joint_ops. Each database has a table of its own, with what is its own. */
enum status joint_sql_prepare(struct store *store, const struct joint_types *types,
                              struct error *err);
enum status joint_sql_note(struct store *store, const struct joint_row *row, bool *ret_known,
                           int64_t *ret_created_at_us, struct error *err);
enum status joint_sql_load(struct store *store, joint_visit *visit, void *context,
                           struct error *err);
enum status joint_sql_find(struct store *store, struct joint_name name, joint_visit *visit,
                           void *context, struct error *err);
enum status joint_sql_mark(struct store *store, const struct joint_row *row, struct error *err);
enum status joint_sql_say(struct store *store, const struct joint_saying *saying,
                          struct error *err);
enum status joint_sql_attempt(struct store *store, const struct joint_part *part,
                              struct error *err);
enum status joint_sql_settle(struct store *store, const struct joint_part *part, struct error *err);
enum status joint_sql_prune(struct store *store, int64_t decided_before_us, size_t limit,
                            size_t *ret_pruned, struct error *err);
enum status joint_sql_propose_again(struct store *store, struct error *err);
enum status joint_sql_propose(struct store *store, const struct joint_wish *wish,
                              struct error *err);
enum status joint_sql_history(struct store *store, struct joint_history *ret_history,
                              struct error *err);
enum status joint_sql_set_history(struct store *store, const struct joint_history *history,
                                  struct error *err);

/** What no database does otherwise. */
#define JOINT_SQL_SLOTS                                                                            \
    .load = joint_sql_load, .find = joint_sql_find, .say = joint_sql_say,                          \
    .propose_again = joint_sql_propose_again, .propose = joint_sql_propose,                        \
    .history = joint_sql_history, .set_history = joint_sql_set_history

#endif
