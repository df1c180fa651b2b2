/* Writes what a service says in the log of joint transactions, also once more after its records
 * have ceased to count. */
#include "consumer/joint/internal.h"

#include "common/log.h"

static enum status joint_say(struct joint_agent *agent, const struct joint_open *open,
                             enum joint_kind kind, const struct joint_answer *answer,
                             struct error *err)
{
    struct buffer value;
    buffer_init(&value, JOINT_BYTES_MAX);
    if (kind == JOINT_VOTE)
        joint_vote_append(answer, &value);
    else
        joint_withdrawal_append(answer, &value);
    const struct joint_saying saying = {
        .name = {.proposer = slice_of(open->tally->proposer), .id = slice_of(open->tally->id)},
        .kind = kind,
        .value = buffer_slice(&value)};
    enum status status = value.failed ? error_set(err, STATUS_RETRY, "no memory for a vote")
                                      : agent->ops->joint->say(agent->store, &saying, err);
    buffer_done(&value);
    agent->has_said = true;
    return status;
}

enum status joint_say_vote(struct joint_agent *agent, const struct joint_open *open,
                           const struct joint_answer *vote, struct error *err)
{
    return joint_say(agent, open, JOINT_VOTE, vote, err);
}

enum status joint_say_withdrawal(struct joint_agent *agent, const struct joint_open *open,
                                 struct slice why, struct error *err)
{
    const struct joint_answer answer = {.proposal = slice_of(open->tally->proposal_id),
                                        .reason = why};
    return joint_say(agent, open, JOINT_WITHDRAWAL, &answer, err);
}

/* Whether an earlier incarnation of this service ended in a gap, and the running one did not. */
static bool agent_was_cut(const struct joint_agent *agent)
{
    bool was_cut = false;
    for (size_t i = 0; i < agent->log.source_count; i++) {
        const struct joint_source *source = &agent->log.sources[i];
        if (strcmp(source->source, agent->options.config->service) != 0 ||
            source->last != JOINT_ENDED)
            continue;
        if (strcmp(source->incarnation, agent->meta.incarnation) == 0)
            return false;
        was_cut = true;
    }
    return was_cut;
}

/* A vote or a withdrawal of which the log says nothing. A second one of the same says nothing new.
 */
static enum status open_say_again(struct joint_agent *agent, const struct joint_open *open,
                                  struct error *err)
{
    const struct joint_tally *tally = open->tally;
    const struct joint_ballot *own = joint_tally_ballot(tally,
                                                        slice_of(agent->options.config->service));
    bool has_voted = open->state == JOINT_STATE_RESERVED || open->state == JOINT_STATE_REFUSED;
    enum status status = STATUS_OK;
    if (tally->outcome != JOINT_UNDECIDED)
        return STATUS_OK;
    if (own != NULL && own->vote == JOINT_NO_VOTE && has_voted) {
        const struct joint_answer vote = {.proposal = slice_of(tally->proposal_id),
                                          .yes = open->state == JOINT_STATE_RESERVED,
                                          .reason = slice_of(open->reason)};
        status = joint_say_vote(agent, open, &vote, err);
    }
    if (status == STATUS_OK && open->withdrawn)
        status = joint_say_withdrawal(agent, open, slice_of("it has withdrawn before"), err);
    return status;
}

enum status joint_say_again(struct joint_agent *agent, struct error *err)
{
    if (agent->has_said_again || joint_seen_to(agent) < agent->read_first)
        return STATUS_OK;
    agent->has_said_again = true;
    if (!agent_was_cut(agent))
        return STATUS_OK;
    enum status status = joint_begin(agent, agent->state.next_offset, NULL, err);
    if (status == STATUS_OK)
        status = agent->ops->joint->propose_again(agent->store, err);
    for (size_t i = 0; i < agent->opens.count && status == STATUS_OK; i++)
        status = open_say_again(agent, agent->opens.items[i], err);
    status = joint_end(agent, status, false, err);
    if (status == STATUS_OK)
        log_info("joint", "what was said behind a gap of this service's records is said again");
    return status;
}
