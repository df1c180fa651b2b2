/* Members of a type and its quorum. Nothing here asks anybody: two who have read the same records
 * come to the same result. */
#include "operate/quorum.h"

#include <stdlib.h>

#define QUORUM_CELLS_MAX ((size_t)1000 * 1000) /* members × partitions */

/* Where the record of a position comes from: the highest epoch wins, then the later record. */
struct quorum_origin {
    int64_t epoch;
    int64_t offset;
};

static bool quorum_is_newer(struct quorum_origin one, struct quorum_origin other)
{
    return one.epoch != other.epoch ? one.epoch > other.epoch : one.offset > other.offset;
}

static const struct member_applied *quorum_applied(const struct member_record *record,
                                                   const struct quorum_input *input)
{
    for (size_t i = 0; i < record->applied_count; i++) {
        if (strcmp(record->applied[i].entity_type, input->entity_type) == 0 &&
            strcmp(record->applied[i].topic, input->topic) == 0)
            return &record->applied[i];
    }
    return NULL;
}

static bool quorum_publishes(const struct member_record *record, const struct quorum_input *input)
{
    for (size_t i = 0; i < record->published_count; i++) {
        if (strcmp(record->published[i].entity_type, input->entity_type) == 0 &&
            strcmp(record->published[i].topic, input->topic) == 0)
            return true;
    }
    return false;
}

/* A service that applies the type speaks of it by its copy alone, and one that does neither says
 * nothing of it. @return whether the record is of a member. */
static bool quorum_is_of(const struct member_record *record, const struct quorum_input *input,
                         bool *ret_publisher)
{
    bool applies = quorum_applied(record, input) != NULL;
    *ret_publisher = !applies && quorum_publishes(record, input);
    return applies || *ret_publisher;
}

static int64_t quorum_epoch(const struct member_record *record, const char *topic,
                            int32_t partition)
{
    for (size_t i = 0; i < record->position_count; i++) {
        if (record->positions[i].partition == partition &&
            strcmp(record->positions[i].topic, topic) == 0)
            return record->positions[i].epoch;
    }
    return -1;
}

/* A member that a policy names: "SERVICE" or "SERVICE/COPY". */
static void quorum_split(const char *name, struct slice *ret_service, struct slice *ret_copy)
{
    const char *slash = strchr(name, '/');
    *ret_service = slash == NULL ? slice_of(name) : (struct slice){name, (size_t)(slash - name)};
    *ret_copy = slice_of(slash == NULL ? MEMBER_NONE : slash + 1);
}

static bool quorum_is_named(const struct member_policy *policy, const struct quorum_member *member)
{
    for (size_t i = 0; i < policy->count; i++) {
        struct slice service;
        struct slice copy;
        quorum_split(policy->members[i], &service, &copy);
        if (slice_is(service, member->service) && slice_is(copy, member->copy))
            return true;
    }
    return false;
}

static struct quorum_member *quorum_find(struct quorum *quorum, const char *service,
                                         const char *copy)
{
    for (size_t i = 0; i < quorum->member_count; i++) {
        struct quorum_member *member = &quorum->members[i];
        if (strcmp(member->service, service) == 0 && strcmp(member->copy, copy) == 0)
            return member;
    }
    struct quorum_member *member = &quorum->members[quorum->member_count++];
    *member = (struct quorum_member){.service = service, .copy = copy};
    return member;
}

static void quorum_note_partitions(struct quorum *quorum, const struct member_record *record)
{
    for (size_t i = 0; i < record->position_count; i++) {
        if (strcmp(record->positions[i].topic, quorum->topic) == 0 &&
            record->positions[i].partition >= quorum->partition_count)
            quorum->partition_count = record->positions[i].partition + 1;
    }
}

/* The state of a member is that of the record with the highest epoch of partition 0. It has joined
 * if any of its instances knows so. */
static void quorum_add(struct quorum *quorum, const struct quorum_input *input,
                       const struct member_entry *entry, struct quorum_origin *origins)
{
    bool publisher = false;
    const struct member_record *record = entry->record;
    if (!quorum_is_of(record, input, &publisher))
        return;
    struct quorum_member *member = quorum_find(quorum, record->service,
                                               publisher ? MEMBER_NONE : record->copy);
    struct quorum_origin *last = &origins[member - quorum->members];
    struct quorum_origin now = {quorum_epoch(record, quorum->topic, 0), entry->offset};
    const struct member_applied *applied = quorum_applied(record, input);
    if (record->at_us > member->seen_us)
        member->seen_us = record->at_us;
    member->counts = member->counts || publisher || applied->joined;
    if (member->record == NULL || quorum_is_newer(now, *last)) {
        *last = now;
        member->record = record;
        member->applied = applied;
    }
    quorum_note_partitions(quorum, record);
}

/* With a policy exactly its members count, also one that nobody has seen. */
static enum status quorum_apply_policy(struct quorum *quorum, const struct member_policy *policy,
                                       struct error *err)
{
    for (size_t i = 0; i < quorum->member_count; i++)
        quorum->members[i].counts = quorum_is_named(policy, &quorum->members[i]);
    for (size_t i = 0; i < policy->count; i++) {
        const char *name = policy->members[i];
        const char *slash = strchr(name, '/');
        bool known = false;
        for (size_t j = 0; !known && j < quorum->member_count; j++)
            known = quorum_is_named(&(struct member_policy){(const char **)&policy->members[i], 1},
                                    &quorum->members[j]);
        if (known)
            continue;
        char *service = slash == NULL ? strdup(name) : strndup(name, (size_t)(slash - name));
        if (service == NULL)
            return error_set(err, STATUS_RETRY, "no memory for the members of a type");
        quorum->members[quorum->member_count++] = (struct quorum_member){
            .service = service,
            .copy = slash == NULL ? MEMBER_NONE : slash + 1,
            .counts = true,
        };
    }
    return STATUS_OK;
}

static int quorum_compare(const void *one, const void *other)
{
    const struct quorum_member *left = one;
    const struct quorum_member *right = other;
    int order = strcmp(left->service, right->service);
    return order != 0 ? order : strcmp(left->copy, right->copy);
}

static int64_t quorum_count(const struct quorum_member *member, const struct quorum_position *at)
{
    if (member->record == NULL)
        return 0;
    if (member->applied == NULL)
        return QUORUM_LOG_END;
    if (member->applied->state != MEMBER_COMPLETE || at->durable < 0)
        return 0;
    return at->parked_from >= 0 && at->parked_from < at->durable ? at->parked_from : at->durable;
}

static const struct member_parked *quorum_parked(const struct member_record *record,
                                                 const struct member_position *position)
{
    for (size_t i = 0; position->parked_from >= 0 && i < record->parked_count; i++) {
        if (record->parked[i].partition == position->partition &&
            strcmp(record->parked[i].topic, position->topic) == 0)
            return &record->parked[i];
    }
    return NULL;
}

/* Of each partition the position with the highest epoch, from whichever instance it comes. */
static void quorum_fill(const struct quorum *quorum, const struct quorum_input *input, size_t index,
                        struct quorum_origin *origins)
{
    const struct quorum_member *member = &quorum->members[index];
    struct quorum_position *positions = &quorum->positions[index * (size_t)quorum->partition_count];
    for (int32_t i = 0; i < quorum->partition_count; i++) {
        positions[i] = (struct quorum_position){.applied = -1, .durable = -1, .parked_from = -1};
        origins[i] = (struct quorum_origin){-1, -1};
    }
    for (size_t i = 0; member->applied != NULL && i < input->count; i++) {
        const struct member_record *record = input->entries[i].record;
        if (strcmp(record->service, member->service) != 0 ||
            strcmp(record->copy, member->copy) != 0)
            continue;
        for (size_t j = 0; j < record->position_count; j++) {
            const struct member_position *from = &record->positions[j];
            struct quorum_origin now = {from->epoch, input->entries[i].offset};
            if (strcmp(from->topic, quorum->topic) != 0 ||
                !quorum_is_newer(now, origins[from->partition]))
                continue;
            origins[from->partition] = now;
            positions[from->partition] = (struct quorum_position){
                .applied = from->applied,
                .durable = from->durable,
                .parked_from = from->parked_from,
                .parked = quorum_parked(record, from),
            };
        }
    }
    for (int32_t i = 0; i < quorum->partition_count; i++)
        positions[i].counted = quorum_count(member, &positions[i]);
}

enum status quorum_make(const struct quorum_input *input, struct quorum *ret_quorum,
                        struct error *err)
{
    struct quorum *quorum = ret_quorum;
    size_t most = input->count + (input->policy == NULL ? 0 : input->policy->count);
    *quorum = (struct quorum){.entity_type = input->entity_type, .topic = input->topic};
    enum status status = STATUS_OK;
    struct quorum_origin *origins = calloc(most + MEMBER_POSITIONS_MAX, sizeof *origins);
    quorum->members = calloc(most + 1, sizeof *quorum->members);
    if (origins == NULL || quorum->members == NULL) {
        status = error_set(err, STATUS_RETRY, "no memory for the members of a type");
        goto out;
    }
    for (size_t i = 0; i < input->count; i++)
        quorum_add(quorum, input, &input->entries[i], origins);
    if (input->policy != NULL)
        status = quorum_apply_policy(quorum, input->policy, err);
    if (status != STATUS_OK)
        goto out;
    qsort(quorum->members, quorum->member_count, sizeof *quorum->members, quorum_compare);
    size_t cells = quorum->member_count * (size_t)quorum->partition_count;
    quorum->positions = cells > QUORUM_CELLS_MAX ? NULL
                                                 : calloc(cells + 1, sizeof *quorum->positions);
    if (quorum->positions == NULL) {
        status = error_set(err, STATUS_RETRY, "no memory for the members of a type");
        goto out;
    }
    for (size_t i = 0; i < quorum->member_count; i++) {
        quorum_fill(quorum, input, i, origins);
        quorum->counting += quorum->members[i].counts;
    }
    quorum->majority = quorum->counting == 0 ? 0 : quorum->counting / 2 + 1;
out:
    free(origins);
    return status;
}

void quorum_done(struct quorum *quorum)
{
    for (size_t i = 0; i < quorum->member_count; i++) {
        if (quorum->members[i].record == NULL)
            free((char *)(uintptr_t)quorum->members[i].service);
    }
    free(quorum->members);
    free(quorum->positions);
    *quorum = (struct quorum){0};
}

int64_t quorum_counted(const struct quorum *quorum, size_t index, int32_t partition)
{
    const struct quorum_member *member = &quorum->members[index];
    if (partition < quorum->partition_count)
        return quorum_position(quorum, index, partition)->counted;
    return member->record != NULL && member->applied == NULL ? QUORUM_LOG_END : 0;
}

int64_t quorum_paused_at_us(const struct quorum *quorum, const struct quorum_member *member)
{
    if (member->applied != NULL || member->record == NULL)
        return member->applied == NULL ? 0 : member->applied->paused_at_us;
    for (size_t i = 0; i < member->record->published_count; i++) {
        if (strcmp(member->record->published[i].entity_type, quorum->entity_type) == 0)
            return member->record->published[i].paused_at_us;
    }
    return 0;
}

/* @return how many members that count hold at least this much. */
static size_t quorum_holders(const struct quorum *quorum, int32_t partition, int64_t offset)
{
    size_t holders = 0;
    for (size_t i = 0; i < quorum->member_count; i++)
        holders += quorum->members[i].counts && quorum_counted(quorum, i, partition) >= offset;
    return holders;
}

int64_t quorum_offset(const struct quorum *quorum, int32_t partition)
{
    int64_t largest = -1;
    for (size_t i = 0; quorum->majority > 0 && i < quorum->member_count; i++) {
        int64_t counted = quorum_counted(quorum, i, partition);
        if (quorum->members[i].counts && counted > largest &&
            quorum_holders(quorum, partition, counted) >= quorum->majority)
            largest = counted;
    }
    return largest;
}
