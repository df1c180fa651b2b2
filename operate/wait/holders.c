/* Who holds what a token names, by the records of the control topic. */
#include "common/clock.h"
#include "common/utf8.h"
#include "operate/wait/internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>

/* "SERVICE", or "SERVICE/COPY". */
static bool is_named(const struct quorum_member *member, const char *name)
{
    size_t length = strlen(member->service);
    if (strncmp(name, member->service, length) != 0)
        return false;
    return name[length] == '\0' ||
           (name[length] == '/' && strcmp(name + length + 1, member->copy) == 0);
}

struct holders {
    const struct wait_goal *goal;
    struct wait_state *state;
    const struct members *members;
    const struct members_type *types;
    size_t type_count;
    size_t asked; /* members that are to hold a place, of all types of its topic */
};

/* @return whether this is the first place that somebody lacks; then it is told. */
static bool lacks(const struct holders *holders, const char *who, size_t index)
{
    const struct token_place *place = &holders->goal->token.places[index];
    struct wait_state *state = holders->state;
    bool is_first = state->fulfilled;
    if (is_first)
        utf8_format(state->reason, sizeof state->reason,
                    "%s lacks %s p%" PRId32 " up to offset %" PRId64, who, place->topic,
                    place->partition, holders->goal->offsets[index]);
    state->fulfilled = false;
    return is_first;
}

/* Say that an operator has paused the type at a member, if so. */
static void name_paused(const struct holders *holders, const struct quorum *quorum,
                        const struct quorum_member *member)
{
    struct wait_state *state = holders->state;
    size_t length = strlen(state->reason);
    int64_t paused_at_us = quorum_paused_at_us(quorum, member);
    char time[CLOCK_TEXT_SIZE];
    clock_format_utc(paused_at_us, time);
    if (paused_at_us != 0)
        utf8_format(state->reason + length, sizeof state->reason - length,
                    "; %s is paused at %s since %.19sZ", quorum->entity_type, member->service,
                    time);
}

/* Members that have to hold a place, one by one. */
static void look_at_members(struct holders *holders, const struct quorum *quorum, size_t index)
{
    const struct wait_goal *goal = holders->goal;
    for (size_t i = 0; i < quorum->member_count; i++) {
        const struct quorum_member *member = &quorum->members[i];
        bool counts = goal->scope == WAIT_ALL ? member->counts : is_named(member, goal->at);
        if (!counts)
            continue;
        holders->asked++;
        if (quorum_counted(quorum, i, goal->token.places[index].partition) < goal->offsets[index] &&
            lacks(holders, member->service, index))
            name_paused(holders, quorum, member);
    }
}

static void look_at_quorum(struct holders *holders, const struct quorum *quorum, size_t index)
{
    int32_t partition = holders->goal->token.places[index].partition;
    size_t holding = 0;
    char who[64];
    if (quorum->majority == 0)
        return;
    holders->asked++;
    if (quorum_offset(quorum, partition) >= holders->goal->offsets[index])
        return;
    for (size_t i = 0; i < quorum->member_count; i++)
        holding += quorum->members[i].counts &&
                   quorum_counted(quorum, i, partition) >= holders->goal->offsets[index];
    (void)snprintf(who, sizeof who, "all but %zu of %zu members", holding, quorum->counting);
    if (!lacks(holders, who, index))
        return;
    for (size_t i = 0; i < quorum->member_count; i++) {
        if (quorum->members[i].counts &&
            quorum_counted(quorum, i, partition) < holders->goal->offsets[index])
            name_paused(holders, quorum, &quorum->members[i]);
    }
}

/* A place of which nobody is asked is held by nobody. */
static enum status look_at_place(struct holders *holders, size_t index, struct error *err)
{
    const struct wait_goal *goal = holders->goal;
    enum status status = STATUS_OK;
    holders->asked = 0;
    for (size_t i = 0; status == STATUS_OK && i < holders->type_count; i++) {
        const struct members_type *type = &holders->types[i];
        struct quorum quorum;
        if (strcmp(type->topic, goal->token.places[index].topic) != 0)
            continue;
        status = members_quorum(holders->members, type, &quorum, err);
        if (status == STATUS_OK && goal->scope == WAIT_QUORUM)
            look_at_quorum(holders, &quorum, index);
        else if (status == STATUS_OK)
            look_at_members(holders, &quorum, index);
        quorum_done(&quorum);
    }
    if (status == STATUS_OK && holders->asked == 0)
        (void)lacks(holders, goal->scope == WAIT_SERVICE ? goal->at : "everybody", index);
    return status;
}

static bool is_known(const struct members *members, const char *name)
{
    for (size_t i = 0; i < members->count; i++) {
        const struct members_item *item = members->items[i];
        const struct quorum_member member = {.service = item->record.service,
                                             .copy = item->record.copy};
        if (item->read.kind == MEMBER_KEY_MEMBER && is_named(&member, name))
            return true;
    }
    return false;
}

enum status wait_goal_holders(const struct members *members, const struct wait_goal *goal,
                              struct wait_state *state, struct error *err)
{
    struct holders holders = {.goal = goal, .state = state, .members = members};
    struct members_type *types = NULL;
    size_t count = 0;
    if (goal->scope == WAIT_SERVICE && !is_known(members, goal->at)) {
        err->exit_code = EX_USAGE;
        return error_set(err, STATUS_FATAL,
                         "no copy or publisher is called %s: `keepstep copies` shows all of them",
                         goal->at);
    }
    state->fulfilled = true;
    enum status status = members_types(members, &types, &count, err);
    holders.types = types;
    holders.type_count = count;
    for (size_t i = 0; status == STATUS_OK && i < goal->token.count; i++)
        status = look_at_place(&holders, i, err);
    free(types);
    return status;
}
