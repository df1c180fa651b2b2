/* Keeps the records of the control topic by their keys. */
#include "operate/members.h"

#include <stdio.h>
#include <stdlib.h>

#define MEMBERS_ARENA_BYTES ((size_t)4 * 1024 * 1024)

void members_init(struct members *members)
{
    *members = (struct members){.unreadable = ERROR_INIT};
}

static void members_item_free(struct members_item *item)
{
    if (item != NULL)
        arena_done(&item->arena);
    free(item);
}

void members_done(struct members *members)
{
    for (size_t i = 0; i < members->count; i++)
        members_item_free(members->items[i]);
    free(members->items);
    members_init(members);
}

static size_t members_find(const struct members *members, struct slice key)
{
    size_t index = 0;
    while (index < members->count && !slice_is(key, members->items[index]->key))
        index++;
    return index;
}

static void members_remove(struct members *members, size_t index)
{
    if (index >= members->count)
        return;
    members_item_free(members->items[index]);
    members->items[index] = members->items[--members->count];
}

/* Who or what a record is about is said by its key and by its value. */
static enum status members_compare_key(const struct members_item *item, struct error *err)
{
    const struct member_record *record = &item->record;
    const struct verdict_record *verdict = &item->verdict;
    if (item->read.kind == MEMBER_KEY_MEMBER && !(slice_is(item->read.service, record->service) &&
                                                  slice_is(item->read.copy, record->copy) &&
                                                  slice_is(item->read.instance, record->instance)))
        return error_set(err, STATUS_REJECT, "its key and its value name different members");
    if (item->read.kind == MEMBER_KEY_VERDICT &&
        !(slice_is(item->read.entity_type, verdict->entity_type) &&
          slice_is(item->read.topic, verdict->topic)))
        return error_set(err, STATUS_REJECT, "its key and its value name different types");
    return STATUS_OK;
}

static enum status members_item_read(struct members_item *item, struct slice value,
                                     struct error *err)
{
    if (item->read.kind == MEMBER_KEY_POLICY)
        return member_policy_read(value, &item->arena, &item->policy, err);
    if (item->read.kind == MEMBER_KEY_VERDICT)
        return verdict_record_read(value, &item->arena, &item->verdict, err);
    return member_record_read(value, &item->arena, &item->record, err);
}

static enum status members_item_new(const struct control_record *record,
                                    struct members_item **ret_item, struct error *err)
{
    struct members_item *item = calloc(1, sizeof *item);
    if (item == NULL)
        return error_set(err, STATUS_RETRY, "no memory for the control topic");
    memcpy(item->key, record->key.data, record->key.length);
    item->read = member_key_read(slice_of(item->key));
    item->offset = record->offset;
    arena_init(&item->arena, MEMBERS_ARENA_BYTES);
    enum status status = members_item_read(item, record->value, err);
    if (status == STATUS_OK)
        status = members_compare_key(item, err);
    if (status != STATUS_OK) {
        members_item_free(item);
        return status;
    }
    *ret_item = item;
    return STATUS_OK;
}

static enum status members_put(struct members *members, size_t index, struct members_item *item,
                               struct error *err)
{
    if (index < members->count) {
        members_item_free(members->items[index]);
        members->items[index] = item;
        return STATUS_OK;
    }
    struct members_item **more = members->count == MEMBERS_MAX
                                     ? NULL
                                     : realloc(members->items, (members->count + 1) *
                                                                   sizeof(struct members_item *));
    if (more == NULL) {
        members_item_free(item);
        return error_set(err, STATUS_RETRY,
                         "the control topic has more than %d records, or there is no memory: "
                         "`keepstep copies forget` takes those away that are gone",
                         MEMBERS_MAX);
    }
    members->items = more;
    members->items[members->count++] = item;
    return STATUS_OK;
}

enum status members_take(void *context, const struct control_record *record, struct error *err)
{
    struct members *members = context;
    struct members_item *item = NULL;
    struct error wrong = ERROR_INIT;
    struct member_key key = member_key_read(record->key);
    if (key.kind == MEMBER_KEY_OTHER || memchr(record->key.data, 0, record->key.length) != NULL)
        return STATUS_OK;
    size_t index = members_find(members, record->key);
    if (record->value.data == NULL) {
        members_remove(members, index);
        return STATUS_OK;
    }
    enum status status = members_item_new(record, &item, &wrong);
    if (status == STATUS_REJECT) {
        error_prefix(&wrong, "record %lld (%.*s)", (long long)record->offset,
                     SLICE_ARGS(record->key));
        members->unreadable = wrong;
        return STATUS_OK;
    }
    if (status != STATUS_OK)
        return error_set(err, status, "%s", wrong.text);
    return members_put(members, index, item, err);
}

enum status members_read(struct members *members, struct control_topic *topic, struct error *err)
{
    return control_topic_read(topic, members_take, members, &members->end, err);
}

static int members_compare_types(const void *one, const void *other)
{
    const struct members_type *left = one;
    const struct members_type *right = other;
    int order = strcmp(left->entity_type, right->entity_type);
    return order != 0 ? order : strcmp(left->topic, right->topic);
}

static size_t members_record_types(const struct member_record *record, struct members_type *types)
{
    size_t count = 0;
    for (size_t i = 0; i < record->published_count; i++)
        types[count++] = (struct members_type){record->published[i].entity_type,
                                               record->published[i].topic};
    for (size_t i = 0; i < record->applied_count; i++)
        types[count++] = (struct members_type){record->applied[i].entity_type,
                                               record->applied[i].topic};
    return count;
}

enum status members_types(const struct members *members, struct members_type **ret_types,
                          size_t *ret_count, struct error *err)
{
    size_t most = 0;
    size_t count = 0;
    size_t unique = 0;
    for (size_t i = 0; i < members->count; i++)
        most += members->items[i]->record.published_count + members->items[i]->record.applied_count;
    struct members_type *types = calloc(most + 1, sizeof *types);
    if (types == NULL)
        return error_set(err, STATUS_RETRY, "no memory for the types of the control topic");
    for (size_t i = 0; i < members->count; i++)
        count += members_record_types(&members->items[i]->record, types + count);
    qsort(types, count, sizeof *types, members_compare_types);
    for (size_t i = 0; i < count; i++) {
        if (unique == 0 || members_compare_types(&types[unique - 1], &types[i]) != 0)
            types[unique++] = types[i];
    }
    *ret_types = types;
    *ret_count = unique;
    return STATUS_OK;
}

enum status members_quorum_under(const struct members *members, const struct members_type *type,
                                 const struct member_policy *policy, struct quorum *ret_quorum,
                                 struct error *err)
{
    struct quorum_input input = {
        .entity_type = type->entity_type, .topic = type->topic, .policy = policy};
    struct member_entry *entries = calloc(members->count + 1, sizeof *entries);
    *ret_quorum = (struct quorum){0};
    if (entries == NULL)
        return error_set(err, STATUS_RETRY, "no memory for the members of a type");
    for (size_t i = 0; i < members->count; i++) {
        const struct members_item *item = members->items[i];
        if (item->read.kind == MEMBER_KEY_MEMBER)
            entries[input.count++] = (struct member_entry){&item->record, item->offset};
    }
    input.entries = entries;
    enum status status = quorum_make(&input, ret_quorum, err);
    free(entries);
    return status;
}

static bool entries_list(const struct config_entry *entries, size_t count,
                         const struct members_type *type)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(entries[i].entity_type, type->entity_type) == 0 &&
            strcmp(entries[i].topic, type->topic) == 0)
            return true;
    }
    return false;
}

bool members_type_is_own(const struct members_type *type, const struct config *config)
{
    return entries_list(config->publish, config->publish_count, type) ||
           entries_list(config->apply, config->apply_count, type);
}

enum status members_quorum(const struct members *members, const struct members_type *type,
                           struct quorum *ret_quorum, struct error *err)
{
    return members_quorum_under(members, type, members_policy(members, type->entity_type),
                                ret_quorum, err);
}

const struct member_policy *members_policy(const struct members *members, const char *entity_type)
{
    for (size_t i = 0; i < members->count; i++) {
        const struct members_item *item = members->items[i];
        if (item->read.kind == MEMBER_KEY_POLICY && slice_is(item->read.entity_type, entity_type))
            return &item->policy;
    }
    return NULL;
}

const struct verdict_record *members_verdict(const struct members *members,
                                             const struct members_type *type)
{
    for (size_t i = 0; i < members->count; i++) {
        const struct members_item *item = members->items[i];
        if (item->read.kind == MEMBER_KEY_VERDICT &&
            slice_is(item->read.entity_type, type->entity_type) &&
            slice_is(item->read.topic, type->topic))
            return &item->verdict;
    }
    return NULL;
}

struct control_options members_control(const struct config *config, char *group, size_t size)
{
    (void)snprintf(group, size, "keepstep-desk-%s", config->service);
    return (struct control_options){
        .topic = config->control_topic,
        .group = group,
        .settings = config->kafka,
        .setting_count = config->kafka_count,
        .choice = config->topics,
    };
}
