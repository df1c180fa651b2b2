/* From member records to participants whose desks are asked. */
#include "operate/verify/desks.h"

#include "operate/compare/remote.h"

#include <string.h>

#define DESKS_LIVE_US (INT64_C(30) * 1000 * 1000) /* a sidecar that runs reports each 10 s */

bool verify_desks_next(const char **of, struct slice *ret_service)
{
    const char *at = *of;
    if (at == NULL || *at == '\0')
        return false;
    *ret_service = (struct slice){at, strcspn(at, ",")};
    *of = at + ret_service->length + (at[ret_service->length] == ',');
    return true;
}

bool verify_desks_is_live(int64_t heard_us, int64_t latest_us)
{
    return heard_us > latest_us - DESKS_LIVE_US;
}

static bool desks_names(const char *of, const char *service)
{
    struct slice name;
    bool names = of == NULL;
    while (!names && verify_desks_next(&of, &name))
        names = slice_is(name, service);
    return names;
}

static const struct member_applied *desks_applied(const struct member_record *record,
                                                  const char *entity_type, const char *topic)
{
    for (size_t i = 0; i < record->applied_count; i++) {
        if (strcmp(record->applied[i].entity_type, entity_type) == 0 &&
            strcmp(record->applied[i].topic, topic) == 0)
            return &record->applied[i];
    }
    return NULL;
}

static const struct member_published *desks_published(const struct member_record *record,
                                                      const char *entity_type, const char *topic)
{
    for (size_t i = 0; i < record->published_count; i++) {
        if (strcmp(record->published[i].entity_type, entity_type) == 0 &&
            strcmp(record->published[i].topic, topic) == 0)
            return &record->published[i];
    }
    return NULL;
}

/* @return whether one of the first `count` members is of the service. */
static bool desks_takes_part(const struct verify *verify, size_t count, struct slice service)
{
    for (size_t i = 0; i < count; i++) {
        if (slice_is(service, verify->members[i].participant->name))
            return true;
    }
    return false;
}

/* @return an item's record; NULL where it has no rows of the type. */
static const struct member_record *desks_record(const struct members_item *item,
                                                const struct members_type *type)
{
    const struct member_record *record = &item->record;
    if (item->read.kind != MEMBER_KEY_MEMBER)
        return NULL;
    if (desks_applied(record, type->entity_type, type->topic) != NULL)
        return record;
    const struct member_published *published = desks_published(record, type->entity_type,
                                                               type->topic);
    return published == NULL || published->has_no_rows ? NULL : record;
}

/* @param copy  its id; NULL: any of the service's. @return the latest record; NULL: none. */
static const struct member_record *desks_latest(const struct members *members,
                                                const struct members_type *type,
                                                const char *service, const char *copy)
{
    const struct member_record *latest = NULL;
    for (size_t i = 0; i < members->count; i++) {
        const struct member_record *record = desks_record(members->items[i], type);
        if (record != NULL && strcmp(record->service, service) == 0 &&
            (copy == NULL || strcmp(record->copy, copy) == 0) &&
            (latest == NULL || record->at_us > latest->at_us))
            latest = record;
    }
    return latest;
}

/* @return the record of an item that is to be asked: the last one of its copy, unless that is
 * silent while another copy of the service reports. NULL: another one is, or nobody. */
static const struct member_record *desks_asked(const struct members *members, size_t index,
                                               const struct members_type *type)
{
    const struct member_record *record = desks_record(members->items[index], type);
    if (record == NULL || desks_latest(members, type, record->service, record->copy) != record)
        return NULL;
    int64_t latest_us = desks_latest(members, type, record->service, NULL)->at_us;
    return verify_desks_is_live(record->at_us, latest_us) ? record : NULL;
}

/* The asker's own entry says which topic counts, and how its log is read. */
static enum status desks_role(const struct verify_desks *desks, const char *entity_type,
                              struct role *ret_role, struct error *err)
{
    (void)role_find(desks->service, entity_type, ret_role);
    if (ret_role->entry != NULL)
        return STATUS_OK;
    return error_set(error_config(err), STATUS_FATAL,
                     "%s: %s neither publishes nor applies it, so it cannot read its topic: ask "
                     "from a service that does",
                     entity_type, desks->service->config->service);
}

static enum status desks_participant(const struct verify_desks *desks, const struct role *role,
                                     const struct member_record *record,
                                     struct participant **ret_participant, struct error *err)
{
    struct buffer desk;
    const char *entity_type = role->entry->entity_type;
    const char *topic = role->entry->topic;
    bool applies = desks_applied(record, entity_type, topic) != NULL;
    buffer_init(&desk, MEMBER_KEY_MAX);
    talk_desk_append(record->service, record->copy, record->instance, &desk);
    const struct remote_options options = {.asker = desks->asker,
                                           .service = record->service,
                                           .copy = applies ? record->copy : MEMBER_NONE,
                                           .desk = buffer_text(&desk),
                                           .entity_type = entity_type,
                                           .topic = topic,
                                           .schema = role->schema,
                                           .heard_us = record->at_us};
    enum status status = desk.failed ? error_set(err, STATUS_RETRY, "no memory for a desk's name")
                                     : remote_new(&options, ret_participant, err);
    buffer_done(&desk);
    return status;
}

static enum status desks_add(struct verify *verify, const struct verify_desks *desks,
                             const struct role *role, const struct member_record *record,
                             struct error *err)
{
    const char *topic = role->entry->topic;
    struct verify_member member = {
        .entry = role->entry,
        .applies = desks_applied(record, verify->entity_type, topic) != NULL,
        .publishes = desks_published(record, verify->entity_type, topic) != NULL};
    enum status status = desks_participant(desks, role, record, &member.participant, err);
    return status == STATUS_OK ? verify_add(verify, &member, err) : status;
}

static bool desks_know(const struct verify_desks *desks, struct slice service)
{
    const struct members *members = desks->members;
    bool known = slice_is(service, desks->service->config->service);
    for (size_t i = 0; !known && i < members->count; i++)
        known = members->items[i]->read.kind == MEMBER_KEY_MEMBER &&
                slice_is(service, members->items[i]->record.service);
    return known;
}

enum status verify_desks_check(const struct verify_desks *desks, struct error *err)
{
    struct slice service;
    for (const char *of = desks->of; verify_desks_next(&of, &service);) {
        if (!desks_know(desks, service))
            return error_set(error_config(err), STATUS_FATAL,
                             "--of %.*s: no service of that name reports to the control topic %s",
                             SLICE_ARGS(service), desks->service->config->control_topic);
    }
    return STATUS_OK;
}

enum status verify_add_desks(struct verify *verify, const struct verify_desks *desks,
                             struct error *err)
{
    const struct members *members = desks->members;
    size_t opened = verify->count;
    struct role role;
    enum status status = desks_role(desks, verify->entity_type, &role, err);
    for (size_t i = 0; status == STATUS_OK && i < members->count; i++) {
        const struct members_type type = {verify->entity_type, role.entry->topic};
        const struct member_record *record = desks_asked(members, i, &type);
        if (record == NULL || strcmp(record->service, desks->service->config->service) == 0 ||
            !desks_names(desks->of, record->service) ||
            desks_takes_part(verify, opened, slice_of(record->service)))
            continue;
        status = desks_add(verify, desks, &role, record, err);
    }
    return status;
}

void verify_desks_note(const struct verify *verify, const char *of, uint64_t *took_part)
{
    struct slice service;
    for (uint64_t bit = 1; verify_desks_next(&of, &service); bit <<= 1) {
        if (desks_takes_part(verify, verify->count, service))
            *took_part |= bit;
    }
}

enum status verify_desks_check_part(const char *of, uint64_t took_part, const char *what,
                                    struct error *err)
{
    struct slice service;
    for (uint64_t bit = 1; verify_desks_next(&of, &service); bit <<= 1) {
        if ((took_part & bit) == 0)
            return error_set(error_config(err), STATUS_FATAL, "--of %.*s: it has no rows of %s",
                             SLICE_ARGS(service), what);
    }
    return STATUS_OK;
}

enum status verify_desk_new(const struct verify_desks *desks, const char *entity_type,
                            const char *service, struct participant **ret_participant,
                            struct error *err)
{
    const struct member_record *found = NULL;
    struct role role;
    enum status status = desks_role(desks, entity_type, &role, err);
    if (status == STATUS_OK) {
        const struct members_type type = {entity_type, role.entry->topic};
        found = desks_latest(desks->members, &type, service, NULL);
    }
    if (status == STATUS_OK && found == NULL)
        return error_set(error_config(err), STATUS_FATAL,
                         "%s: no service of that name with rows of %s reports to the control topic "
                         "%s, and no file has it",
                         service, entity_type, desks->service->config->control_topic);
    return status == STATUS_OK ? desks_participant(desks, &role, found, ret_participant, err)
                               : status;
}
