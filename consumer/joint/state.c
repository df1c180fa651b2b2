/* The names of the states of a joint transaction. */
#include "consumer/joint/joint.h"

static const char *const joint_state_names[] = {
    [JOINT_STATE_PROPOSED] = "proposed",
    [JOINT_STATE_QUEUED] = "queued",
    [JOINT_STATE_RESERVED] = "reserved",
    [JOINT_STATE_REFUSED] = "refused",
    [JOINT_STATE_COMMITTING] = "committing",
    [JOINT_STATE_ABORTING] = "aborting",
    [JOINT_STATE_HELD] = "held",
    [JOINT_STATE_COMMITTED] = "committed",
    [JOINT_STATE_ABORTED] = "aborted",
    [JOINT_STATE_ELSEWHERE] = "elsewhere",
};
#define JOINT_STATES (sizeof joint_state_names / sizeof *joint_state_names)

const char *joint_state_name(enum joint_state state)
{
    return joint_state_names[state];
}

bool joint_state_parse(struct slice text, enum joint_state *ret_state)
{
    for (size_t i = 0; i < JOINT_STATES; i++) {
        if (!slice_is(text, joint_state_names[i]))
            continue;
        *ret_state = (enum joint_state)i;
        return true;
    }
    return false;
}

bool joint_state_is_settled(enum joint_state state)
{
    return state == JOINT_STATE_COMMITTED || state == JOINT_STATE_ABORTED ||
           state == JOINT_STATE_ELSEWHERE;
}
