/* One comparison from its members to its result. */
#include "operate/verify/verify.h"

#include "common/clock.h"
#include "operate/compare/log_mentions.h"

#include <stdio.h>
#include <string.h>

void verify_init(struct verify *ret_verify, const struct config *config, const char *entity_type)
{
    *ret_verify = (struct verify){.config = config, .entity_type = entity_type};
}

void verify_done(struct verify *verify)
{
    for (size_t i = 0; i < verify->count; i++)
        verify->members[i].participant->ops->free(verify->members[i].participant);
    verify->count = 0;
}

enum status verify_add(struct verify *verify, const struct verify_member *member, struct error *err)
{
    if (verify->count == COMPARE_PARTICIPANTS_MAX) {
        member->participant->ops->free(member->participant);
        return error_set(error_config(err), STATUS_FATAL,
                         "%s: more than %d services have rows of it: compare some of them at a "
                         "time",
                         verify->entity_type, COMPARE_PARTICIPANTS_MAX);
    }
    verify->members[verify->count++] = *member;
    return STATUS_OK;
}

enum status verify_add_service(struct verify *verify, const struct service *service,
                               struct error *err)
{
    struct role role;
    struct participant_options unused;
    struct participant_options *options = verify->count < COMPARE_PARTICIPANTS_MAX
                                              ? &verify->options[verify->count]
                                              : &unused;
    struct verify_member member = {.path = service->config->path};
    if (!role_find(service, verify->entity_type, &role))
        return STATUS_OK;
    *options = (struct participant_options){
        .service = service,
        .entity_type = verify->entity_type,
        .open_entities_max = verify->config->limits.open_entities};
    member.entry = role.entry;
    member.applies = role.applies;
    member.publishes = role.publishes;
    enum status status = role_participant_new(&role, options, &member.participant, err);
    return status == STATUS_OK ? verify_add(verify, &member, err) : status;
}

static size_t verify_reference(const struct verify *verify, const char *from)
{
    size_t first = 0;
    size_t publisher = 0;
    size_t publishers = 0;
    for (size_t i = 0; i < verify->count; i++) {
        const char *name = verify->members[i].participant->name;
        if (from != NULL && strcmp(from, name) == 0)
            return i;
        if (strcmp(name, verify->members[first].participant->name) < 0)
            first = i;
        publishers += verify->members[i].publishes;
        publisher = verify->members[i].publishes ? i : publisher;
    }
    return publishers == 1 ? publisher : first;
}

/* The others keep their order. */
static void verify_put_first(struct verify *verify, size_t index)
{
    struct verify_member member = verify->members[index];
    memmove(&verify->members[1], &verify->members[0], index * sizeof member);
    verify->members[0] = member;
}

static void verify_label(struct verify *verify)
{
    for (size_t i = 0; i < verify->count; i++) {
        struct verify_member *member = &verify->members[i];
        const struct participant *participant = member->participant;
        size_t same = 0;
        for (size_t j = 0; j < verify->count; j++)
            same += strcmp(verify->members[j].participant->name, participant->name) == 0;
        bool is_one_of_several = same > 1 && participant->copy[0] != '\0';
        (void)snprintf(member->label, sizeof member->label, "%s%s%s", participant->name,
                       is_one_of_several ? "/" : "", is_one_of_several ? participant->copy : "");
    }
}

static void verify_wait(int round)
{
    static const int64_t wait_us[COMPARE_ROUNDS_MAX] = {100000, 500000, 1500000};
    clock_sleep_us(wait_us[round]);
}

static enum status verify_rows(struct verify *verify, const struct verify_options *options,
                               struct mention_log *log, struct comparison *ret_comparison,
                               struct error *err)
{
    struct participant *participants[COMPARE_PARTICIPANTS_MAX];
    const struct config_limits *limits = &verify->config->limits;
    for (size_t i = 0; i < verify->count; i++)
        participants[i] = verify->members[i].participant;
    const struct compare_options compare = {.participants = participants,
                                            .count = verify->count,
                                            .log = log,
                                            .open_entities_max = limits->open_entities,
                                            .behind_records_max = limits->behind_records,
                                            .with_rows = options->with_rows,
                                            .stop = options->stop,
                                            .wait = verify_wait,
                                            .progress = options->progress,
                                            .context = options->context};
    return compare_copies(&compare, ret_comparison, err);
}

enum status verify_compare(struct verify *verify, const struct verify_options *options,
                           struct verify_result *ret_result, struct error *err)
{
    *ret_result = (struct verify_result){.started_us = clock_wall_us()};
    if (verify->count < 2)
        return error_set(error_config(err), STATUS_FATAL,
                         "%s: %s of these services has rows of it: name another one by --with, or "
                         "run its sidecar",
                         verify->entity_type, verify->count == 0 ? "none" : "only one");
    verify_put_first(verify, verify_reference(verify, options->from));
    verify_label(verify);
    const struct verify_member *reference = &verify->members[0];
    struct mention_log *log = NULL;
    enum status status = log_mentions_new(verify->config, reference->entry,
                                          reference->participant->schema, &log, err);
    if (status == STATUS_OK)
        status = verify_rows(verify, options, log, &ret_result->comparison, err);
    ret_result->ended_us = clock_wall_us();
    ret_result->stopped = options->stop != NULL && atomic_load(options->stop);
    log_mentions_free(log);
    return status;
}

void verify_result_done(struct verify_result *result)
{
    comparison_done(&result->comparison);
}
