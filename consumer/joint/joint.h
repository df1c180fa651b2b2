/* The seam between joint transactions and a service's database (rules 60 to 75): one const function
 * table a back end, beside its struct store_ops, which names it (`joint`).
 *
 * The slots work inside a transaction of the store: the caller begins it with the fence of the
 * joint topic's partition, calls slots, and commits or rolls back, all by the store's own slots. So
 * what is promised, the vote that says so and the position in the log become durable together (rule
 * 62), and an agent that was replaced writes none of it. As in a store, a slot never logs, retries
 * or decides policy; one thread calls all of them; borrowed texts live until the call returns;
 * statements may be sent without waiting, and then a later slot returns their error. After RETRY,
 * ABORT or FATAL the caller rolls back. REJECT leaves the transaction as it was before the call:
 * the slot itself goes back to a savepoint of its own, `keepstep_try`, which is apart from the
 * store's. */
#ifndef CONSUMER_JOINT_JOINT_H
#define CONSUMER_JOINT_JOINT_H

#include "schemas/joint_record.h"

struct mapping;
struct store;

/** What a service knows of a transaction, as `keepstep_joint.state` has it in small letters. */
enum joint_state {
    JOINT_STATE_PROPOSED,   /* written by the service; the agent has not read it in the log */
    JOINT_STATE_QUEUED,     /* read; not voted on yet */
    JOINT_STATE_RESERVED,   /* voted yes: its entities are reserved */
    JOINT_STATE_REFUSED,    /* voted no, or must not vote; nothing is reserved */
    JOINT_STATE_COMMITTING, /* decided; its changes are to be made */
    JOINT_STATE_ABORTING,   /* decided; what is reserved is to be released */
    JOINT_STATE_HELD,       /* committed, but the database refuses the changes: a person must act */
    JOINT_STATE_COMMITTED,  /* settled */
    JOINT_STATE_ABORTED,    /* settled */
    JOINT_STATE_ELSEWHERE,  /* it asks nothing of this service, whose name of it is used up */
};

/** A row of keepstep_joint. Borrowed. */
struct joint_row {
    struct joint_name name;
    struct slice changes; /* all of them, as joint_changes_read() reads them; empty once pruned, and
                           * where nothing is asked of this service */
    int32_t timeout_ms;
    enum joint_state state;
    struct slice reason; /* why it was refused, aborted or is held; may be empty */
    struct slice votes;  /* joint_ballots_append() */
    struct slice proposal_id;
    int64_t proposal_offset; /* -1: not read yet */
    int64_t decision_offset; /* -1: not decided */
    int64_t created_at_us;   /* wall clock: when the service wrote it; 0: another service did */
    int64_t read_at_us;      /* wall clock: when the agent read the proposal; 0: not yet */
    int64_t decided_at_us;   /* wall clock: when the agent read the decision; 0: not yet */
    bool withdrawn;          /* this service has written a withdrawal: it does not vote any more */
    bool late;               /* committed by a yes that this database does not know of (rule 69) */
};

/** What of the log is history to a database: what stood in it when the database began to read it
 * without a position (rule 69). */
struct joint_history {
    int64_t end; /* offset behind it; 0: there is none */
    bool made;   /* somebody has said that the database holds what it has committed */
};

/** A row that load() gives. It must not call the store. @return OK; anything else ends load(). */
typedef enum status joint_visit(void *context, const struct joint_row *row, struct error *err);

/** The types whose entities others may ask to change: the `publish:` entries with `joint:`. */
struct joint_types {
    const struct mapping *mappings; /* table and columns by `entry`; published_here is set */
    size_t count;
    /* What the relay publishes at most, or the others would never see a change that was made; 0: no
     * limit. */
    int64_t record_bytes; /* limits.message_bytes */
    int64_t set_bytes;    /* of all changes of one transaction, where it publishes whole ones */
    int64_t set_events;
};

/** A transaction's part at this service, to be tried or to be made so. */
struct joint_part {
    struct joint_name name;
    int64_t proposal_offset;
    const struct joint_change *changes; /* those of this service, in the proposal's order */
    size_t change_count;
    bool committed; /* of settle(): make the changes; else only release */
    bool late;      /* of settle(): nothing was reserved, and `if` is not asked */
};

/** A record for the log. */
struct joint_saying {
    struct joint_name name;
    enum joint_kind kind; /* a vote or a withdrawal */
    struct slice value;   /* joint_vote_append() or joint_withdrawal_append() */
};

/** What is asked for in a service's name. */
struct joint_wish {
    struct slice id;
    int32_t timeout_ms;
    struct slice changes; /* the JSON array */
};

/* note() and mark() write rows that a service may have triggers on. A trigger that refuses such a
 * row, or leaves it out, is REJECT, with the transaction as it was before the call; where it has
 * ended the transaction, FATAL. */
struct joint_ops {
    /** Read from the catalogue what is needed to try and make changes of these types, which live as
     * long as the store. Outside a transaction, once after the store was opened. A type that cannot
     * be promised (rule 64) is no failure: attempt() refuses it with the reason.
     * @return OK; RETRY; FATAL with exit code 78 (no tables: the text names `keepstep init`). */
    enum status (*prepare)(struct store *store, const struct joint_types *types, struct error *err);

    /** Store a proposal that was read from the log: the whole row but created_at_us. A row that the
     * service itself has written (state proposed, no offset) becomes this one, whatever its content
     * was: the first proposal in the log counts. Any other row of the name stays.
     * @param ret_known  the name was used before: nothing was written.
     * @param ret_created_at_us  of the row that is there now; 0: another service wrote it.
     * @return OK; REJECT; RETRY; FATAL. */
    enum status (*note)(struct store *store, const struct joint_row *row, bool *ret_known,
                        int64_t *ret_created_at_us, struct error *err);

    /** Give all transactions that are read and not settled, in the order of their proposals'
     * offsets: queued, reserved, refused, committing, aborting, held. Legal outside a transaction
     * too.
     * @return OK; what visit() returned; RETRY; FATAL. */
    enum status (*load)(struct store *store, joint_visit *visit, void *context, struct error *err);

    /** Give the row of a name, whatever its state; nothing where there is none. Legal outside a
     * transaction, and of a store that was opened `read_only`. @return as load(). */
    enum status (*find)(struct store *store, struct joint_name name, joint_visit *visit,
                        void *context, struct error *err);

    /** Write state, reason, votes, decision_offset, decided_at_us, withdrawn and late of the row of
     * this name. @return OK; REJECT; RETRY; ABORT (there is no such row); FATAL. */
    enum status (*mark)(struct store *store, const struct joint_row *row, struct error *err);

    /** Write a row of the outbox, which the relay publishes: aggregatetype JOINT_ENTITY_TYPE,
     * aggregateid joint_name_append(), type JOINT_ENTITY_TYPE and joint_kind_name().
     * @return OK; RETRY; FATAL. */
    enum status (*say)(struct store *store, const struct joint_saying *saying, struct error *err);

    /** See whether the database takes a part's changes, and if so reserve them: make the changes
     * for real, triggers and constraints included, take them back, and write what must not change
     * until the decision into keepstep_reserved. The caller marks the state and says yes in the
     * same transaction.
     * @return OK (reserved); REJECT (the vote is no: err->text and err->native_code say why, in the
     * database's words; also for an unknown type, column or form, and where a name that the try has
     * met belongs to a later proposal; nothing is reserved); STOP (the same, but a trigger has
     * ended the whole transaction: the caller rolls back and says so in another one); RETRY (a lock
     * is not to be had, or a name belongs to an earlier proposal: no verdict, try again later);
     * FATAL.
     */
    enum status (*attempt)(struct store *store, const struct joint_part *part, struct error *err);

    /** Make a decision so: give back what is reserved, then, where it is committed, make the
     * changes with the capture triggers active. The caller marks the state in the same transaction.
     * @return OK; REJECT (committed, but the database refuses: err says why; all stays reserved,
     * and the caller marks it held); STOP (the same, but a trigger has ended the whole transaction:
     * the caller rolls back and marks it in another one); RETRY (a lock, or another one's
     * reservation); FATAL. */
    enum status (*settle)(struct store *store, const struct joint_part *part, struct error *err);

    /** Empty changes and votes of at most `limit` settled rows that were decided before a time
     * (wall clock). Proposer, id, state and reason stay for ever: a name is used once. Triggers of
     * the service's do not run, where the database can. A row that somebody holds stays as it is
     * until the next time. Also set right what guards the reserved entities; with a limit of 0,
     * that alone.
     * @return OK; REJECT (a trigger refuses it); RETRY; FATAL. */
    enum status (*prune)(struct store *store, int64_t decided_before_us, size_t limit,
                         size_t *ret_pruned, struct error *err);

    /** Let triggers run, or not, with note() and mark(): within the transaction, off and on again.
     * NULL: the database cannot. @return OK; REJECT (no right to); RETRY (others write the table).
     */
    enum status (*triggers)(struct store *store, bool run, struct error *err);

    /** Say once more, by rows of the outbox, the proposals of the service itself that are in state
     * proposed: what was said of them may have been lost behind a gap. @return OK; RETRY; FATAL. */
    enum status (*propose_again)(struct store *store, struct error *err);

    /** Read what of the log is history. Legal outside a transaction. @return OK; RETRY; FATAL. */
    enum status (*history)(struct store *store, struct joint_history *ret_history,
                           struct error *err);
    /** Write it, in the open transaction, or in a durable one of its own. @return OK; RETRY; FATAL.
     */
    enum status (*set_history)(struct store *store, const struct joint_history *history,
                               struct error *err);

    /** Ask for a transaction, as the service itself does by an INSERT: in a durable transaction of
     * its own. @return OK; REJECT (the text says why: a used id, a proposal that cannot be); RETRY;
     * FATAL. */
    enum status (*propose)(struct store *store, const struct joint_wish *wish, struct error *err);
};

/** @return "proposed", "queued", …: what `keepstep_joint.state` holds. */
const char *joint_state_name(enum joint_state state);

/** @return whether `text` names a state. */
bool joint_state_parse(struct slice text, enum joint_state *ret_state);

/** @return whether nothing is left to be done: committed, aborted, elsewhere. */
bool joint_state_is_settled(enum joint_state state);

#endif
