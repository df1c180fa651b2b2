/* Decides joint transactions, record by record (rule 60). */
#include "schemas/joint_decide.h"

#include "common/utf8.h"

#include <stdio.h>
#include <stdlib.h>

#define JOINT_FIRST_SIZE 16

static void joint_set(char *target, size_t size, struct slice text)
{
    size_t length = text.length < size ? text.length : size - 1;
    if (length > 0)
        memcpy(target, text.data, length);
    target[length] = '\0';
}

const char *joint_outcome_name(enum joint_outcome outcome)
{
    static const char *const names[] = {[JOINT_UNDECIDED] = "undecided",
                                        [JOINT_COMMITTED] = "committed",
                                        [JOINT_ABORTED] = "aborted"};
    return names[outcome];
}

void joint_log_done(struct joint_log *log)
{
    for (size_t i = 0; i < log->tally_count; i++)
        free(log->tallies[i]);
    free(log->tallies);
    free(log->sources);
    *log = (struct joint_log){0};
}

/* Make room for one more thing. */
static bool joint_grow(void **things, size_t count, size_t *size, size_t thing_size)
{
    if (count < *size)
        return true;
    size_t larger = *size == 0 ? JOINT_FIRST_SIZE : 2 * *size;
    void *grown = realloc(*things, larger * thing_size);
    if (grown == NULL)
        return false;
    *things = grown;
    *size = larger;
    return true;
}

static struct joint_name joint_tally_name(const struct joint_tally *tally)
{
    return (struct joint_name){.proposer = slice_of(tally->proposer), .id = slice_of(tally->id)};
}

/* Newest first: answers mostly come soon. */
struct joint_tally *joint_log_find(const struct joint_log *log, struct joint_name name)
{
    for (size_t i = log->tally_count; i-- > 0;) {
        if (joint_name_equal(joint_tally_name(log->tallies[i]), name))
            return log->tallies[i];
    }
    return NULL;
}

void joint_log_forget(struct joint_log *log, const struct joint_tally *tally)
{
    for (size_t i = 0; i < log->tally_count; i++) {
        if (log->tallies[i] != tally)
            continue;
        free(log->tallies[i]);
        log->tally_count--;
        memmove(&log->tallies[i], &log->tallies[i + 1],
                (log->tally_count - i) * sizeof(struct joint_tally *));
        return;
    }
}

enum status joint_log_add_tally(struct joint_log *log, const struct joint_tally *tally,
                                struct error *err)
{
    void *tallies = log->tallies;
    struct joint_tally *copy = malloc(sizeof *copy);
    bool has_room = copy != NULL && joint_grow(&tallies, log->tally_count, &log->tally_size,
                                               sizeof(struct joint_tally *));
    log->tallies = tallies;
    if (!has_room) {
        free(copy);
        return error_set(err, STATUS_RETRY, "no memory for a joint transaction");
    }
    *copy = *tally;
    log->tallies[log->tally_count++] = copy;
    return STATUS_OK;
}

enum status joint_log_add_source(struct joint_log *log, const struct joint_source *source,
                                 struct error *err)
{
    void *sources = log->sources;
    bool has_room = joint_grow(&sources, log->source_count, &log->source_size, sizeof *source);
    log->sources = sources;
    if (!has_room)
        return error_set(err, STATUS_RETRY, "no memory for a source of joint transactions");
    log->sources[log->source_count++] = *source;
    return STATUS_OK;
}

static struct joint_source *joint_log_source(const struct joint_log *log,
                                             const struct joint_record *record)
{
    for (size_t i = 0; i < log->source_count; i++) {
        if (slice_is(record->source, log->sources[i].source) &&
            slice_is(record->incarnation, log->sources[i].incarnation))
            return &log->sources[i];
    }
    return NULL;
}

/* @return whether the record is the next one of its source's incarnation. */
static bool joint_is_next(const struct joint_source *source, const struct joint_record *record)
{
    return record->sequence == source->last + 1 &&
           (record->sequence == 1 || slice_is(record->previous_id, source->last_id));
}

const struct joint_ballot *joint_tally_ballot(const struct joint_tally *tally, struct slice service)
{
    for (size_t i = 0; i < tally->ballot_count; i++) {
        if (slice_is(service, tally->ballots[i].service))
            return &tally->ballots[i];
    }
    return NULL;
}

static void joint_decide(struct joint_tally *tally, enum joint_outcome outcome, int64_t offset)
{
    tally->outcome = outcome;
    tally->decision_offset = offset;
}

/* @param why  what has happened.
 * @param more  what the record itself says of it; may be empty. */
static void joint_abort(struct joint_tally *tally, const struct joint_record *record,
                        const char *why, struct slice more)
{
    utf8_format(tally->reason, sizeof tally->reason, "%.*s%s%s%.*s", SLICE_ARGS(record->source),
                why, more.length > 0 ? ": " : "", SLICE_ARGS(more));
    joint_decide(tally, JOINT_ABORTED, record->offset);
}

/* The first proposal of a name. Nobody else may speak for the proposer. */
static enum status joint_propose(struct joint_log *log, const struct joint_record *record,
                                 enum joint_effect *ret_effect, struct joint_tally **ret_tally,
                                 struct error *err)
{
    struct joint_tally tally = {.proposal_offset = record->offset, .decision_offset = -1};
    if (!slice_equal(record->source, record->name.proposer))
        return STATUS_OK;
    joint_set(tally.proposer, sizeof tally.proposer, record->name.proposer);
    joint_set(tally.id, sizeof tally.id, record->name.id);
    joint_set(tally.proposal_id, sizeof tally.proposal_id, record->id);
    for (size_t i = 0; i < record->proposal.participant_count; i++) {
        struct joint_ballot *ballot = &tally.ballots[tally.ballot_count++];
        joint_set(ballot->service, sizeof ballot->service, record->proposal.participants[i]);
        ballot->offset = -1;
    }
    if (record->kind == JOINT_VOID)
        joint_abort(&tally, record, " could not send its proposal", (struct slice){0});
    else if (record->is_malformed)
        joint_abort(&tally, record, " has written no proposal that can be read",
                    slice_of(record->fault));
    enum status status = joint_log_add_tally(log, &tally, err);
    if (status != STATUS_OK)
        return status;
    *ret_tally = log->tallies[log->tally_count - 1];
    *ret_effect = JOINT_PROPOSED;
    return STATUS_OK;
}

static bool joint_all_yes(const struct joint_tally *tally)
{
    for (size_t i = 0; i < tally->ballot_count; i++) {
        if (tally->ballots[i].vote != JOINT_YES)
            return false;
    }
    return true;
}

/* A participant's first vote counts. @return whether this one does. */
static bool joint_vote(struct joint_tally *tally, struct joint_ballot *ballot,
                       const struct joint_record *record)
{
    if (ballot == NULL || ballot->vote != JOINT_NO_VOTE)
        return false;
    ballot->vote = record->answer.yes ? JOINT_YES : JOINT_NO;
    ballot->offset = record->offset;
    if (!record->answer.yes)
        joint_abort(tally, record, record->answer.reason.length > 0 ? "" : " has voted no",
                    record->answer.reason);
    else if (joint_all_yes(tally))
        joint_decide(tally, JOINT_COMMITTED, record->offset);
    return true;
}

/* @return whether the record counts for this undecided transaction. */
static bool joint_answer(struct joint_tally *tally, const struct joint_record *record)
{
    struct joint_ballot *ballot = (void *)(uintptr_t)joint_tally_ballot(tally, record->source);
    bool is_named = ballot != NULL || slice_equal(record->source, record->name.proposer);
    if (!is_named)
        return false;
    if (record->kind == JOINT_VOID) {
        joint_abort(tally, record, " could not send a record of it", (struct slice){0});
        return true;
    }
    if (record->is_malformed || !slice_is(record->answer.proposal, tally->proposal_id))
        return false;
    if (record->kind == JOINT_VOTE)
        return joint_vote(tally, ballot, record);
    joint_abort(tally, record, " has withdrawn", record->answer.reason);
    return true;
}

static bool joint_is_proposal(const struct joint_record *record)
{
    return record->kind == JOINT_PROPOSAL ||
           (record->kind == JOINT_VOID && record->stands_for == JOINT_PROPOSAL);
}

/* Where a part of the log is read again, what stands before the proposal finds its tally, which it
 * did not when it was read first. It counts for nothing, for all readers alike. */
static bool joint_is_behind(const struct joint_tally *tally, const struct joint_record *record)
{
    return record->offset > tally->proposal_offset;
}

/* What a record says that is the next one of its source. */
static enum status joint_count(struct joint_log *log, const struct joint_record *record,
                               enum joint_effect *ret_effect, struct joint_tally **ret_tally,
                               struct error *err)
{
    struct joint_tally *tally = NULL;
    if (record->kind == JOINT_OTHER)
        return STATUS_OK;
    tally = joint_log_find(log, record->name);
    if (tally == NULL && joint_is_proposal(record))
        return joint_propose(log, record, ret_effect, ret_tally, err);
    if (tally == NULL || record->kind == JOINT_PROPOSAL || tally->outcome != JOINT_UNDECIDED ||
        !joint_is_behind(tally, record) || !joint_answer(tally, record))
        return STATUS_OK;
    *ret_tally = tally;
    *ret_effect = tally->outcome == JOINT_UNDECIDED ? JOINT_VOTED : JOINT_DECIDED;
    return STATUS_OK;
}

enum status joint_log_read(struct joint_log *log, const struct joint_record *record,
                           enum joint_effect *ret_effect, struct joint_tally **ret_tally,
                           struct error *err)
{
    struct joint_source *source = joint_log_source(log, record);
    *ret_effect = JOINT_NOTHING;
    *ret_tally = NULL;
    if (record->sequence == 0 || (source != NULL && record->sequence <= source->last))
        return STATUS_OK;
    if (source == NULL) {
        struct joint_source first = {0};
        joint_set(first.source, sizeof first.source, record->source);
        joint_set(first.incarnation, sizeof first.incarnation, record->incarnation);
        enum status status = joint_log_add_source(log, &first, err);
        if (status != STATUS_OK)
            return status;
        source = &log->sources[log->source_count - 1];
    }
    if (!joint_is_next(source, record)) {
        source->last = JOINT_ENDED;
        *ret_effect = JOINT_SOURCE_ENDED;
        return STATUS_OK;
    }
    enum status status = joint_count(log, record, ret_effect, ret_tally, err);
    if (status != STATUS_OK)
        return status;
    source->last = record->sequence;
    joint_set(source->last_id, sizeof source->last_id, record->id);
    return STATUS_OK;
}

void joint_tally_missing(const struct joint_tally *tally, struct buffer *out)
{
    size_t count = 0;
    for (size_t i = 0; i < tally->ballot_count; i++) {
        if (tally->ballots[i].vote != JOINT_NO_VOTE)
            continue;
        buffer_append_format(out, "%s%s", count == 0 ? "" : ", ", tally->ballots[i].service);
        count++;
    }
    if (count > 0)
        buffer_append_text(out, count == 1 ? " has not voted" : " have not voted");
}
