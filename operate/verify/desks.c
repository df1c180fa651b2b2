/* From member records to participants whose desks are asked. */
#include "operate/verify/desks.h"

#include "operate/compare/remote.h"

#include <string.h>

bool verify_desks_name(const char *of, const char *service)
{
    size_t length = strlen(service);
    for (const char *at = of; at != NULL && *at != '\0';) {
        size_t part = strcspn(at, ",");
        if (part == length && memcmp(at, service, length) == 0)
            return true;
        at += part + (at[part] == ',');
    }
    return of == NULL;
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

static bool desks_takes_part(const struct verify *verify, const char *service)
{
    for (size_t i = 0; i < verify->count; i++) {
        if (strcmp(verify->members[i].participant->name, service) == 0)
            return true;
    }
    return false;
}

/* @return the latest of a service's records with rows of the type, at the first of these; NULL at
 * each other record. */
static const struct member_record *desks_latest(const struct members *members, size_t first,
                                                const char *entity_type, const char *topic)
{
    const struct member_record *latest = NULL;
    const char *service = members->items[first]->record.service;
    if (members->items[first]->read.kind != MEMBER_KEY_MEMBER)
        return NULL;
    for (size_t i = 0; i < members->count; i++) {
        const struct member_record *record = &members->items[i]->record;
        const struct member_published *published;
        if (members->items[i]->read.kind != MEMBER_KEY_MEMBER ||
            strcmp(record->service, service) != 0)
            continue;
        published = desks_published(record, entity_type, topic);
        if (desks_applied(record, entity_type, topic) == NULL &&
            (published == NULL || published->has_no_rows))
            continue;
        if (i < first)
            return NULL;
        if (latest == NULL || record->at_us > latest->at_us)
            latest = record;
    }
    return latest;
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
    for (const char *at = desks->of; at != NULL && *at != '\0';) {
        struct slice service = {at, strcspn(at, ",")};
        if (!desks_know(desks, service))
            return error_set(error_config(err), STATUS_FATAL,
                             "--of %.*s: no service of that name reports to the control topic %s",
                             SLICE_ARGS(service), desks->service->config->control_topic);
        at += service.length + (at[service.length] == ',');
    }
    return STATUS_OK;
}

enum status verify_add_desks(struct verify *verify, const struct verify_desks *desks,
                             struct error *err)
{
    const struct members *members = desks->members;
    struct role role;
    enum status status = desks_role(desks, verify->entity_type, &role, err);
    for (size_t i = 0; status == STATUS_OK && i < members->count; i++) {
        const struct member_record *record = desks_latest(members, i, verify->entity_type,
                                                          role.entry->topic);
        if (record == NULL || strcmp(record->service, desks->service->config->service) == 0 ||
            !verify_desks_name(desks->of, record->service) ||
            desks_takes_part(verify, record->service))
            continue;
        status = desks_add(verify, desks, &role, record, err);
    }
    return status;
}

enum status verify_desk_new(const struct verify_desks *desks, const char *entity_type,
                            const char *service, struct participant **ret_participant,
                            struct error *err)
{
    const struct members *members = desks->members;
    const struct member_record *found = NULL;
    struct role role;
    enum status status = desks_role(desks, entity_type, &role, err);
    for (size_t i = 0; status == STATUS_OK && found == NULL && i < members->count; i++) {
        const struct member_record *record = desks_latest(members, i, entity_type,
                                                          role.entry->topic);
        if (record != NULL && strcmp(record->service, service) == 0)
            found = record;
    }
    if (status == STATUS_OK && found == NULL)
        return error_set(error_config(err), STATUS_FATAL,
                         "%s: no service of that name with rows of %s reports to the control topic "
                         "%s, and no file has it",
                         service, entity_type, desks->service->config->control_topic);
    return status == STATUS_OK ? desks_participant(desks, &role, found, ret_participant, err)
                               : status;
}
