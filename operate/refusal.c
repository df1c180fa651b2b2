/* Finds what became of one record at other copies. */
#include "operate/refusal.h"

#include "operate/member.h"

#include <string.h>

enum fate { FATE_APPLIED, FATE_PARKED, FATE_BEHIND, FATE_UNKNOWN };

static bool refusal_is_listed(const struct member_parked *parked, int64_t offset)
{
    for (size_t i = 0; i < parked->count; i++) {
        if (parked->offsets[i] == offset)
            return true;
    }
    return false;
}

/* A copy lists its first parked records. Behind the last of a full list there may be more. */
static enum fate refusal_fate(const struct quorum_position *at, int64_t offset)
{
    const struct member_parked *parked = at->parked;
    if (at->applied <= offset)
        return FATE_BEHIND;
    if (at->parked_from < 0 || offset < at->parked_from)
        return FATE_APPLIED;
    if (offset == at->parked_from || (parked != NULL && refusal_is_listed(parked, offset)))
        return FATE_PARKED;
    bool is_whole = parked != NULL && parked->count < MEMBER_PARKED_LISTED;
    bool is_inside = parked != NULL && parked->count > 0 &&
                     offset < parked->offsets[parked->count - 1];
    return is_whole || is_inside ? FATE_APPLIED : FATE_UNKNOWN;
}

struct refusal refusal_find(const struct quorum *quorum, size_t own, int32_t partition,
                            int64_t offset)
{
    struct refusal refusal = {0};
    for (size_t i = 0; i < quorum->member_count; i++) {
        if (i == own || quorum->members[i].applied == NULL)
            continue;
        enum fate fate = partition < quorum->partition_count
                             ? refusal_fate(quorum_position(quorum, i, partition), offset)
                             : FATE_BEHIND;
        refusal.applied += fate == FATE_APPLIED;
        refusal.parked += fate == FATE_PARKED;
        refusal.behind += fate == FATE_BEHIND;
        refusal.unknown += fate == FATE_UNKNOWN;
    }
    return refusal;
}

struct refusal refusal_of_copy(const struct quorum *quorum, const char *service, const char *copy,
                               const struct record *record)
{
    size_t own = 0;
    while (own < quorum->member_count && (strcmp(quorum->members[own].service, service) != 0 ||
                                          strcmp(quorum->members[own].copy, copy) != 0))
        own++;
    return refusal_find(quorum, own, record->partition, record->offset);
}

void refusal_append_text(const char *service, const struct refusal *refusal, struct buffer *out)
{
    const struct {
        size_t count;
        const char *one;
        const char *many;
    } parts[] = {{refusal->applied, "has applied it", "have applied it"},
                 {refusal->parked, "refuses it too", "refuse it too"},
                 {refusal->behind, "has not read it yet", "have not read it yet"},
                 {refusal->unknown, "does not say", "do not say"}};
    const char *separator = "";
    if (refusal->parked > 0 && refusal->applied + refusal->behind + refusal->unknown == 0) {
        buffer_append_text(out, "all copies refuse it");
        return;
    }
    if (refusal->applied > 0 && refusal->parked + refusal->unknown == 0)
        buffer_append_format(out, "%s alone refuses it: ", service);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        if (parts[i].count == 0)
            continue;
        buffer_append_format(out, "%s%zu other cop%s %s", separator, parts[i].count,
                             parts[i].count == 1 ? "y" : "ies",
                             parts[i].count == 1 ? parts[i].one : parts[i].many);
        separator = ", ";
    }
}

void refusal_append_json(const struct refusal *refusal, struct buffer *out)
{
    if (refusal == NULL) {
        member_text(out, "other_copies", (struct slice){0});
        return;
    }
    member_begin(out, "other_copies", "{");
    member_number(out, "applied", (int64_t)refusal->applied);
    member_number(out, "parked", (int64_t)refusal->parked);
    member_number(out, "behind", (int64_t)refusal->behind);
    member_number(out, "unknown", (int64_t)refusal->unknown);
    buffer_append_text(out, "}");
}
