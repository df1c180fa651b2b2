/* The records of the topic keepstep-joint (rule 60): a proposal asks for changes at several
 * services, all or nothing; a vote answers it; a withdrawal aborts it unless it is committed by
 * then. All readers of the log must read a record alike, so everything here is strict, and a
 * function of the record alone. */
#ifndef SCHEMAS_JOINT_RECORD_H
#define SCHEMAS_JOINT_RECORD_H

/** Behind what schemas/joint_unfit.sql says. */
#define JOINT_UNFIT_ADVICE "move it to one of UTF8, or take `joint:` out of publish:"

#include "common/arena.h"
#include "common/buffer.h"
#include "schemas/change.h"

#define JOINT_BYTES_MAX ((size_t)64 * 1024) /* of a record's value */
/* Of its changes as they are kept: written anew, a number like 0.1 takes 19 bytes. */
#define JOINT_CHANGES_BYTES_MAX (16 * JOINT_BYTES_MAX)
#define JOINT_CHANGES_MAX       100
#define JOINT_PARTICIPANTS_MAX  16
#define JOINT_NAME_MAX          255 /* bytes of an id, a service's name, an entity type */
#define JOINT_NAME_SIZE         (JOINT_NAME_MAX + 1)
#define JOINT_EVENT_ID_MAX      63 /* bytes of a ce_id */
#define JOINT_INCARNATION_MAX   36
#define JOINT_SEQUENCE_MAX      ((uint64_t)INT64_MAX)
#define JOINT_TIMEOUT_MAX_MS    60000 /* more is taken for that (rule 68) */
#define JOINT_TIMEOUT_MS        10000 /* where a proposal does not say it */

enum joint_kind {
    JOINT_PROPOSAL,
    JOINT_VOTE,
    JOINT_WITHDRAWAL,
    JOINT_VOID,  /* a record that could not be sent, with its name and number */
    JOINT_OTHER, /* it may have a number, and says nothing: a barrier, or another program's */
};
enum joint_operation { JOINT_CREATE, JOINT_UPDATE, JOINT_DELETE, JOINT_KEEP };

/** What a joint transaction is called by everybody. */
struct joint_name {
    struct slice proposer; /* a service */
    struct slice id;
};

static inline bool joint_name_equal(struct joint_name a, struct joint_name b)
{
    return slice_equal(a.proposer, b.proposer) && slice_equal(a.id, b.id);
}

/** One change that a proposal asks for. The objects are JSON texts without spaces, their members in
 * the order of their names' bytes; data NULL: there is none. Values are scalars in the forms of
 * docs/TYPES.md; whether they fit the columns, only the service knows. */
struct joint_change {
    struct slice service;
    struct slice entity_type;
    struct slice key; /* never empty */
    enum joint_operation operation;
    struct slice set;       /* columns that get a value; none of the key */
    struct slice add;       /* columns to which an integer or a decimal is added */
    struct slice condition; /* `if`: columns that must have these values */
};

/** A proposal's value. */
struct joint_proposal {
    int32_t timeout_ms; /* 1 to JOINT_TIMEOUT_MAX_MS */
    struct joint_change *changes;
    size_t change_count;
    struct slice changes_text; /* the array of all changes, as a JSON text */
    struct slice participants[JOINT_PARTICIPANTS_MAX]; /* sorted by bytes, each once */
    size_t participant_count;
};

/** A vote's or a withdrawal's value. */
struct joint_answer {
    struct slice proposal; /* ce_id of the proposal's record */
    bool yes;              /* of a vote */
    struct slice reason;   /* for people; may be empty */
    struct slice code;     /* the database's, of a no; may be empty */
};

/** A record as all readers understand it. Slices are in the arena of joint_record_read(). */
struct joint_record {
    enum joint_kind kind;
    enum joint_kind stands_for; /* of a void: a proposal, a vote …; JOINT_OTHER: nobody knows */
    struct joint_name name;     /* not of JOINT_OTHER */
    struct slice source;
    struct slice incarnation;
    uint64_t sequence;        /* 0: not sequenced, so it counts for nothing */
    struct slice id;          /* ce_id */
    struct slice previous_id; /* empty at sequence 1 */
    int64_t offset;
    bool is_malformed;           /* its value is not to be read: neither of the two below is set */
    char fault[ERROR_TEXT_SIZE]; /* of a malformed one: what is wrong, and where */
    struct joint_proposal proposal;
    struct joint_answer answer; /* of a vote or a withdrawal */
};

/** @return "proposal", "vote", "withdrawal", "void", "other": but for the last, words of ce_kind.
 */
const char *joint_kind_name(enum joint_kind kind);

/** @return "c", "u", "d", "k". */
const char *joint_operation_name(enum joint_operation operation);

/** Read a record of the topic. A value that is not to be read is no failure: the record is
 * malformed, and joint_decide.h says what that means. One of another protocol has no number, and
 * one of a kind that is not known is JOINT_OTHER.
 * @return OK; RETRY (the arena is full). @thread any. */
enum status joint_record_read(const struct record *record, struct arena *arena,
                              struct joint_record *ret_record, struct error *err) MUST_CHECK;

/** Read the value of a proposal, as a service has written it or as it is in the log.
 * @return OK; REJECT (what is wrong, and where); RETRY (the arena is full). */
enum status joint_proposal_read(struct slice value, struct arena *arena,
                                struct joint_proposal *ret_proposal, struct error *err) MUST_CHECK;

/** Read the array of changes alone; timeout_ms is JOINT_TIMEOUT_MS. Statuses as above. */
enum status joint_changes_read(struct slice text, struct arena *arena,
                               struct joint_proposal *ret_proposal, struct error *err) MUST_CHECK;

/** Check the value of a record of a kind (a word of ce_kind) as its readers will.
 * @return OK; REJECT (what is wrong, and where); RETRY (the arena is full). */
enum status joint_value_check(struct slice kind, struct slice value, struct arena *arena,
                              struct error *err) MUST_CHECK;

/** Read the name that a record key or an `aggregateid` holds. @return OK; REJECT; RETRY. */
enum status joint_name_read(struct slice key, struct arena *arena, struct joint_name *ret_name,
                            struct error *err) MUST_CHECK;

/** Append a record key, or a value. Where a reason is no UTF-8, its bytes that are not ASCII are
 * replaced. The caller looks at out->failed. */
void joint_name_append(struct joint_name name, struct buffer *out);
void joint_proposal_append(const struct joint_proposal *proposal, struct buffer *out);
void joint_vote_append(const struct joint_answer *vote, struct buffer *out);
void joint_withdrawal_append(const struct joint_answer *withdrawal, struct buffer *out);

#endif
