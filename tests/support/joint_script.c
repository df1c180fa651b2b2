/* A topic of joint transactions in memory, and rule 60 in its own words. */
#include "tests/support/joint_script.h"
#include "tests/support/test.h"

#include <stdio.h>

#define ARENA_BYTES ((size_t)4 * 1024 * 1024)

void script_init(struct script *script)
{
    memset(script, 0, sizeof *script);
    arena_init(&script->arena, ARENA_BYTES);
}

void script_done(struct script *script)
{
    arena_done(&script->arena);
}

static struct slice script_text(struct script *script, const char *text)
{
    struct slice copy = arena_copy(&script->arena, slice_of(text));
    assert_non_null(copy.data);
    return copy;
}

static struct script_service *script_service(struct script *script, const char *name)
{
    for (size_t i = 0; i < script->service_count; i++) {
        if (strcmp(script->services[i].name, name) == 0)
            return &script->services[i];
    }
    assert_true(script->service_count < SCRIPT_SERVICES);
    struct script_service *service = &script->services[script->service_count++];
    (void)snprintf(service->name, sizeof service->name, "%s", name);
    (void)snprintf(service->incarnation, sizeof service->incarnation, "i1");
    return service;
}

/* The participants of a proposal, which are written in the order of their bytes. */
static void script_participants(struct script *script, struct joint_proposal *proposal,
                                const char *participants)
{
    while (*participants != '\0') {
        size_t length = strcspn(participants, " ");
        proposal->participants[proposal->participant_count++] = arena_copy(
            &script->arena, (struct slice){participants, length});
        participants += length + (participants[length] == ' ');
    }
}

struct joint_record *script_write(struct script *script, struct script_line line)
{
    char id[32];
    struct script_service *service = script_service(script, line.source);
    assert_true(script->count < SCRIPT_RECORDS);
    struct joint_record *record = &script->records[script->count];
    *record = (struct joint_record){
        .kind = line.kind,
        .stands_for = line.stands_for,
        .source = script_text(script, line.source),
        .incarnation = script_text(script, service->incarnation),
        .sequence = ++service->sequence,
        .previous_id = script_text(script, service->last_id),
        .offset = (int64_t)script->count++,
        .name = {.proposer = script_text(script, line.proposer),
                 .id = script_text(script, line.id)},
        .answer = {.proposal = script_text(script, line.answers == NULL ? "" : line.answers),
                   .yes = line.yes},
    };
    (void)snprintf(id, sizeof id, "%s-%zu", line.source, script->count);
    record->id = script_text(script, id);
    (void)snprintf(service->last_id, sizeof service->last_id, "%s", id);
    if (line.kind == JOINT_PROPOSAL && line.participants == NULL)
        record->is_malformed = true;
    else if (line.kind == JOINT_PROPOSAL)
        script_participants(script, &record->proposal, line.participants);
    return record;
}

struct joint_record *script_propose(struct script *script, const char *proposer, const char *id,
                                    const char *participants)
{
    return script_write(script, (struct script_line){.source = proposer,
                                                     .kind = JOINT_PROPOSAL,
                                                     .proposer = proposer,
                                                     .id = id,
                                                     .participants = participants});
}

struct joint_record *script_answer(struct script *script, const char *source, const char *what,
                                   const struct joint_record *proposal)
{
    return script_write(script, (struct script_line){.source = source,
                                                     .kind = strcmp(what, "void") == 0 ? JOINT_VOID
                                                             : strcmp(what, "withdrawal") == 0
                                                                 ? JOINT_WITHDRAWAL
                                                                 : JOINT_VOTE,
                                                     .stands_for = JOINT_VOTE,
                                                     .yes = strcmp(what, "yes") == 0,
                                                     .proposer = proposal->name.proposer.data,
                                                     .id = proposal->name.id.data,
                                                     .answers = proposal->id.data});
}

void script_repeat(struct script *script, size_t index)
{
    assert_true(script->count < SCRIPT_RECORDS && index < script->count);
    struct joint_record *record = &script->records[script->count];
    *record = script->records[index];
    record->offset = (int64_t)script->count++;
}

void script_restart(struct script *script, const char *source)
{
    struct script_service *service = script_service(script, source);
    int number = (int)strtol(service->incarnation + 1, NULL, 10);
    (void)snprintf(service->incarnation, sizeof service->incarnation, "i%d", number + 1);
    service->sequence = 0;
    service->last_id[0] = '\0';
}

static bool script_is_of(const struct joint_record *a, const struct joint_record *b)
{
    return slice_equal(a->source, b->source) && slice_equal(a->incarnation, b->incarnation);
}

/* Whether a record is in its source's unbroken run: it is the first one of its number, and all
 * numbers below stand before it, each naming the one before. */
static bool script_is_in_order(const struct script *script, size_t index)
{
    const struct joint_record *record = &script->records[index];
    uint64_t next = 1;
    struct slice last = {0};
    if (record->sequence == 0)
        return false;
    for (size_t i = 0; i <= index; i++) {
        const struct joint_record *other = &script->records[i];
        if (other->sequence == 0 || !script_is_of(other, record) || other->sequence < next)
            continue;
        if (other->sequence > next || (next > 1 && !slice_equal(other->previous_id, last)))
            return false;
        if (i == index)
            return true;
        next++;
        last = other->id;
    }
    return false;
}

static const struct joint_record *script_first_proposal(const struct script *script, size_t count,
                                                        struct joint_name name)
{
    for (size_t i = 0; i < count; i++) {
        const struct joint_record *record = &script->records[i];
        bool proposes = record->kind == JOINT_PROPOSAL ||
                        (record->kind == JOINT_VOID && record->stands_for == JOINT_PROPOSAL);
        if (proposes && joint_name_equal(record->name, name) &&
            slice_equal(record->source, name.proposer) && script_is_in_order(script, i))
            return record;
    }
    return NULL;
}

static bool script_takes_part(const struct joint_record *proposal, struct slice service)
{
    for (size_t i = 0; i < proposal->proposal.participant_count; i++) {
        if (slice_equal(proposal->proposal.participants[i], service))
            return true;
    }
    return false;
}

/* Whether a record behind the proposal counts for it, unless its writer has voted already. */
static bool script_may_count(const struct script *script, size_t index,
                             const struct joint_record *proposal)
{
    const struct joint_record *record = &script->records[index];
    bool named = script_takes_part(proposal, record->source) ||
                 slice_equal(record->source, proposal->name.proposer);
    return named && record->kind != JOINT_PROPOSAL && record->kind != JOINT_OTHER &&
           joint_name_equal(record->name, proposal->name) &&
           (record->kind == JOINT_VOID ||
            (!record->is_malformed && slice_equal(record->answer.proposal, proposal->id))) &&
           (record->kind != JOINT_VOTE || script_takes_part(proposal, record->source)) &&
           script_is_in_order(script, index);
}

/* Whether it counts: of a participant's votes only the first one does. */
static bool script_counts(const struct script *script, size_t index,
                          const struct joint_record *proposal)
{
    const struct joint_record *record = &script->records[index];
    for (size_t i = (size_t)proposal->offset + 1; i < index && record->kind == JOINT_VOTE; i++) {
        if (script->records[i].kind == JOINT_VOTE &&
            slice_equal(script->records[i].source, record->source) &&
            script_may_count(script, i, proposal))
            return false;
    }
    return script_may_count(script, index, proposal);
}

/* Whether each participant has voted yes, up to `end`. */
static bool script_all_yes(const struct script *script, const struct joint_record *proposal,
                           size_t end)
{
    for (size_t i = 0; i < proposal->proposal.participant_count; i++) {
        bool yes = false;
        for (size_t j = (size_t)proposal->offset + 1; j < end && !yes; j++) {
            const struct joint_record *record = &script->records[j];
            if (record->kind == JOINT_VOTE && script_counts(script, j, proposal) &&
                slice_equal(record->source, proposal->proposal.participants[i]))
                yes = record->answer.yes;
        }
        if (!yes)
            return false;
    }
    return true;
}

struct script_verdict script_judge(const struct script *script, size_t count,
                                   struct joint_name name)
{
    struct script_verdict verdict = {.decision_offset = -1};
    const struct joint_record *proposal = script_first_proposal(script, count, name);
    if (proposal == NULL)
        return verdict;
    verdict.proposed = true;
    if (proposal->kind == JOINT_VOID || proposal->is_malformed) {
        verdict.outcome = JOINT_ABORTED;
        verdict.decision_offset = proposal->offset;
    }
    for (size_t i = (size_t)proposal->offset + 1; i < count && verdict.outcome == JOINT_UNDECIDED;
         i++) {
        const struct joint_record *record = &script->records[i];
        bool counts = script_counts(script, i, proposal);
        if (counts && (record->kind != JOINT_VOTE || !record->answer.yes))
            verdict.outcome = JOINT_ABORTED;
        else if (counts && script_all_yes(script, proposal, i + 1))
            verdict.outcome = JOINT_COMMITTED;
        verdict.decision_offset = verdict.outcome == JOINT_UNDECIDED ? -1 : (int64_t)i;
    }
    return verdict;
}
