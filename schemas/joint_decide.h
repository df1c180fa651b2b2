/* Decides joint transactions (rule 60): a pure function of a prefix of the topic's records, which
 * is fed record by record. Every reader of a prefix comes to the same; nobody announces a decision,
 * and no clock and no database takes part in it. */
#ifndef SCHEMAS_JOINT_DECIDE_H
#define SCHEMAS_JOINT_DECIDE_H

#include "schemas/joint_record.h"

enum joint_outcome { JOINT_UNDECIDED, JOINT_COMMITTED, JOINT_ABORTED };

/** A participant of a transaction, and its first vote. */
struct joint_ballot {
    char service[JOINT_NAME_SIZE];
    enum joint_vote { JOINT_NO_VOTE, JOINT_YES, JOINT_NO } vote;
    int64_t offset; /* of the vote; -1 without one */
};

#define JOINT_REASON_SIZE   512
#define JOINT_EVENT_ID_SIZE 64

/** What a prefix of the log says of one transaction. */
struct joint_tally {
    char proposer[JOINT_NAME_SIZE];
    char id[JOINT_NAME_SIZE];
    char proposal_id[JOINT_EVENT_ID_SIZE]; /* ce_id of the first proposal */
    int64_t proposal_offset;
    struct joint_ballot ballots[JOINT_PARTICIPANTS_MAX]; /* sorted by service */
    size_t ballot_count;
    enum joint_outcome outcome;
    int64_t decision_offset;        /* of the record that decided it; -1: undecided */
    char reason[JOINT_REASON_SIZE]; /* why it was aborted: "warehouse: …" */
};

/** What a prefix of the log says of the records of one source's incarnation: a gap or a fork ends
 * what counts of them, for every reader alike, and stops nobody. */
struct joint_source {
    char source[JOINT_NAME_SIZE];
    char incarnation[JOINT_INCARNATION_MAX + 1];
    uint64_t last; /* the highest number that was read in order; JOINT_ENDED behind a gap or fork */
    char last_id[JOINT_EVENT_ID_SIZE];
};
#define JOINT_ENDED ((uint64_t)INT64_MAX) /* what follows is a repetition of nothing */

/** What reading a record has changed. */
enum joint_effect {
    JOINT_NOTHING,      /* it counts for nothing: a repetition, a stranger's, or too late */
    JOINT_PROPOSED,     /* a tally was begun; it may be aborted already (a malformed proposal) */
    JOINT_VOTED,        /* a vote was counted, and the transaction is still undecided */
    JOINT_DECIDED,      /* the record has committed or aborted its transaction */
    JOINT_SOURCE_ENDED, /* a gap or a fork: nothing of this incarnation counts from here on */
};

/** The state behind a prefix: the tallies of all transactions that are not forgotten, and all
 * sources. Owned by the caller; freed by joint_log_done(); zeroed: the empty prefix.
 * @thread one at a time. */
struct joint_log {
    struct joint_tally **tallies; /* in the order of their proposals */
    size_t tally_count;
    size_t tally_size;
    struct joint_source *sources;
    size_t source_count;
    size_t source_size;
};

void joint_log_done(struct joint_log *log);

/** Read the next record of the log.
 * @param ret_tally  the transaction that it is about, where it counts; else NULL. Valid until it is
 * forgotten.
 * @return OK; RETRY (no memory; nothing has changed). */
enum status joint_log_read(struct joint_log *log, const struct joint_record *record,
                           enum joint_effect *ret_effect, struct joint_tally **ret_tally,
                           struct error *err) MUST_CHECK;

/** Take back what a database knows of the prefix: a tally, or a source. Tallies come in the order
 * of their proposals. @return OK; RETRY (no memory). */
enum status joint_log_add_tally(struct joint_log *log, const struct joint_tally *tally,
                                struct error *err) MUST_CHECK;
enum status joint_log_add_source(struct joint_log *log, const struct joint_source *source,
                                 struct error *err) MUST_CHECK;

/** @return the tally of a transaction; NULL: it was not proposed, or is forgotten. */
struct joint_tally *joint_log_find(const struct joint_log *log, struct joint_name name);

/** Forget a transaction: it is decided and settled, or known from before. From then on a record of
 * it finds no tally, and a proposal of its name begins a new one: the caller, which keeps the names
 * of all, forgets that one too. */
void joint_log_forget(struct joint_log *log, const struct joint_tally *tally);

/** @return the ballot of a participant; NULL where the service is none. */
const struct joint_ballot *joint_tally_ballot(const struct joint_tally *tally,
                                              struct slice service);

/** Append who has voted what: [{"service":"shop","vote":"yes","offset":17},{"service":"web"}]. */
void joint_ballots_append(const struct joint_tally *tally, struct buffer *out);

/** Read that into a tally. @return OK; FATAL (it is not what joint_ballots_append() writes). */
enum status joint_ballots_read(struct slice text, struct joint_tally *tally,
                               struct error *err) MUST_CHECK;

/** Append who has not voted yet: "billing has not voted", "billing, web have not voted"; nothing
 * where all have. */
void joint_tally_missing(const struct joint_tally *tally, struct buffer *out);

const char *
joint_outcome_name(enum joint_outcome outcome); /* "undecided", "committed", "aborted" */

#endif
