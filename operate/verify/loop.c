/* Compares each type of a service when its time has come. */
#include "operate/verify/loop.h"

#include "common/clock.h"
#include "common/digest.h"
#include "common/log.h"
#include "operate/control.h"
#include "operate/verify/desks.h"
#include "operate/verify/verdict.h"

#include <inttypes.h>
#include <stdlib.h>
#include <sys/resource.h>

#define LOOP_NICE       10
#define LOOP_TICK_US    (INT64_C(100) * 1000)
#define LOOP_SPREAD_US  (INT64_C(600) * 1000 * 1000) /* of the first comparisons, at most */
#define LOOP_BACKOFF_US (INT64_C(30) * 1000 * 1000)  /* at most; at least one interval */

/* One entity type of the service. Times are monotonic. */
struct loop_type {
    const char *entity_type;
    const char *topic;
    int64_t due_us;
    char said[ERROR_TEXT_SIZE]; /* why it was not compared; "": it was */
};

struct loop {
    const struct verify_loop_options *options;
    const atomic_bool *stop;
    int64_t every_us;
    struct loop_type *types;
    size_t count;
    struct control control; /* topic NULL: open it first */
};

static size_t loop_find(const struct loop *loop, const char *entity_type)
{
    size_t index = 0;
    while (index < loop->count && strcmp(loop->types[index].entity_type, entity_type) != 0)
        index++;
    return index;
}

static void loop_add(struct loop *loop, const struct config_entry *entry)
{
    struct role role;
    if (loop_find(loop, entry->entity_type) < loop->count ||
        !role_find(loop->options->service, entry->entity_type, &role))
        return;
    loop->types[loop->count++] = (struct loop_type){.entity_type = entry->entity_type,
                                                    .topic = role.entry->topic};
}

/* Services that start together, and the types of one, begin at different times. */
static void loop_spread(struct loop *loop)
{
    const char *service = loop->options->service->config->service;
    int64_t span_us = loop->every_us < LOOP_SPREAD_US ? loop->every_us : LOOP_SPREAD_US;
    int64_t now_us = clock_monotonic_us();
    int64_t part_us = span_us / (int64_t)(loop->count + 1);
    int64_t own_us = part_us == 0 ? 0 : (int64_t)(digest_64(slice_of(service)) % (uint64_t)part_us);
    for (size_t i = 0; i < loop->count; i++)
        loop->types[i].due_us = now_us + (int64_t)i * part_us + own_us;
}

/* One process of a service compares a type, as one publishes it, or one applies its partition 0. */
static bool loop_is_mine(const struct loop *loop, const struct loop_type *type)
{
    const struct metrics_sources *sources = loop->options->sources;
    if (sources->relay != NULL)
        return atomic_load(&sources->relay->holds_lease);
    const struct agent_metrics *agent = sources->agent;
    size_t count = atomic_load(&agent->partition_count);
    for (size_t i = 0; i < count; i++) {
        const struct agent_partition_metrics *partition = &agent->partitions[i];
        if (partition->partition == 0 && strcmp(partition->topic, type->topic) == 0)
            return atomic_load(&partition->owned);
    }
    return false;
}

static bool loop_has_rows(const struct quorum *quorum, const struct quorum_member *member)
{
    const struct member_record *record = member->record;
    for (size_t i = 0; member->applied == NULL && i < record->published_count; i++) {
        if (strcmp(record->published[i].entity_type, quorum->entity_type) == 0 &&
            strcmp(record->published[i].topic, quorum->topic) == 0)
            return !record->published[i].has_no_rows;
    }
    return true;
}

/* The id before `init --new-copy` is known until it is forgotten. */
static bool loop_takes_part(const struct quorum *quorum, const struct quorum_member *member)
{
    if (member->record == NULL || !loop_has_rows(quorum, member))
        return false;
    for (size_t i = 0; i < quorum->member_count; i++) {
        const struct quorum_member *other = &quorum->members[i];
        if (strcmp(other->service, member->service) == 0 &&
            !verify_desks_is_live(member->seen_us, other->seen_us))
            return false;
    }
    return true;
}

int64_t verify_loop_due_us(const struct verdict_record *verdict, const struct quorum *quorum,
                           int64_t every_us)
{
    int64_t oldest_us = INT64_MAX;
    for (size_t i = 0; i < quorum->member_count; i++) {
        const struct quorum_member *member = &quorum->members[i];
        const struct verdict_copy *copy = verdict_find(verdict, member->service, member->copy);
        int64_t tried_us = copy == NULL                        ? 0
                           : copy->at_us > copy->skipped_at_us ? copy->at_us
                                                               : copy->skipped_at_us;
        if (tried_us < oldest_us && loop_takes_part(quorum, member))
            oldest_us = tried_us;
    }
    return oldest_us == 0 || oldest_us == INT64_MAX ? 0 : oldest_us + every_us;
}

/* Another service may have compared the type. A clock there that is ahead puts it off by one
 * interval, not by more. */
static enum status loop_put_off(struct loop *loop, struct loop_type *type, struct error *err)
{
    const struct members_type known = {type->entity_type, type->topic};
    const struct members *members = &loop->control.members;
    struct quorum quorum;
    int64_t now_us = clock_monotonic_us();
    enum status status = members_quorum(members, &known, &quorum, err);
    if (status == STATUS_OK) {
        int64_t wait_us = verify_loop_due_us(members_verdict(members, &known), &quorum,
                                             loop->every_us) -
                          clock_wall_us();
        if (wait_us > 0)
            type->due_us = now_us + (wait_us < loop->every_us ? wait_us : loop->every_us);
    }
    quorum_done(&quorum);
    return status;
}

/* Say what has become different, cannot be compared any more or is equal again; not each time that
 * it still is. */
static void loop_say_changes(const struct verify *verify, const struct verify_result *result,
                             const struct verdict_record *before)
{
    const char *reference = verify->members[0].label;
    for (size_t i = 1; i < verify->count; i++) {
        const struct participant *participant = verify->members[i].participant;
        const char *label = verify->members[i].label;
        const struct copy_result *copy = &result->comparison.copies[i];
        const struct verdict_copy *known = verdict_find(
            before, participant->name,
            verify->members[i].applies ? participant->copy : MEMBER_NONE);
        bool was_different = known != NULL && known->state == VERDICT_DIFFERENT;
        uint64_t rows = copy->counts[DIFFERENCE_VALUE] + copy->counts[DIFFERENCE_MISSING] +
                        copy->counts[DIFFERENCE_EXTRA];
        if (copy->state == COPY_DIFFERENT && !was_different)
            log_warning("verify",
                        "%s at %s is DIFFERENT from %s: %" PRIu64
                        " rows; `keepstep verify %s` shows them",
                        verify->entity_type, label, reference, rows, verify->entity_type);
        else if (copy->state == COPY_NOT_COMPARED && (known == NULL || known->skipped_at_us == 0))
            log_info("verify", "%s at %s is not compared: %s", verify->entity_type, label,
                     copy->reason);
        else if (copy->state == COPY_EQUAL && was_different)
            log_info("verify", "%s at %s is equal to %s again", verify->entity_type, label,
                     reference);
    }
}

static enum status loop_compare(struct loop *loop, struct verify *verify, struct error *err)
{
    const struct verify_options options = {.stop = loop->stop};
    const struct members_type type = {verify->entity_type, verify->members[0].participant->topic};
    struct verify_result result;
    enum status status = verify_compare(verify, &options, &result, err);
    if (status == STATUS_OK && !result.stopped)
        status = members_read(&loop->control.members, loop->control.topic, err);
    if (status == STATUS_OK && !result.stopped) {
        loop_say_changes(verify, &result, members_verdict(&loop->control.members, &type));
        status = verdict_write(loop->control.topic, &loop->control.members, verify, &result, err);
    }
    verify_result_done(&result);
    return status;
}

/* Its own rows are read here, all others' are asked for. */
static enum status loop_verify(struct loop *loop, const struct loop_type *type, struct error *err)
{
    const struct service *service = loop->options->service;
    const struct asker_options options = {.config = service->config, .stop = loop->stop};
    struct asker *asker = NULL;
    struct verify verify;
    verify_init(&verify, service->config, type->entity_type);
    enum status status = asker_open(&options, &asker, err);
    const struct verify_desks desks = {
        .service = service, .members = &loop->control.members, .asker = asker};
    if (status == STATUS_OK)
        status = verify_add_service(&verify, service, err);
    if (status == STATUS_OK)
        status = verify_add_desks(&verify, &desks, err);
    if (status == STATUS_OK && verify.count >= 2)
        status = loop_compare(loop, &verify, err);
    verify_done(&verify);
    asker_close(asker);
    return status;
}

static enum status loop_read(struct loop *loop, struct error *err)
{
    if (loop->control.topic != NULL)
        return members_read(&loop->control.members, loop->control.topic, err);
    return control_open(loop->options->service->config, loop->stop, &loop->control, err);
}

static enum status loop_turn(struct loop *loop, struct loop_type *type, struct error *err)
{
    int64_t backoff_us = loop->every_us < LOOP_BACKOFF_US ? loop->every_us : LOOP_BACKOFF_US;
    int64_t begun_us = clock_monotonic_us();
    enum status status = loop_read(loop, err);
    bool is_missing = status == STATUS_STOP; /* the desk makes the topic, or says why it cannot */
    if (status == STATUS_OK)
        status = loop_put_off(loop, type, err);
    if (status == STATUS_OK && type->due_us <= begun_us) {
        status = loop_verify(loop, type, err);
        type->due_us = begun_us + loop->every_us;
    }
    if (status != STATUS_OK) {
        control_close(&loop->control);
        type->due_us = clock_monotonic_us() + backoff_us;
    }
    return is_missing ? STATUS_OK : status;
}

/* Say each failure once, until something else happens. */
static void loop_say(struct loop_type *type, enum status status, const struct error *err)
{
    const char *text = status == STATUS_OK ? "" : err->text;
    if (strcmp(type->said, text) == 0)
        return;
    if (status != STATUS_OK)
        log_write(status == STATUS_RETRY || status == STATUS_STOP ? LOG_LEVEL_INFO
                                                                  : LOG_LEVEL_WARNING,
                  "verify", "%s is not compared: %s; trying again", type->entity_type, text);
    else
        log_info("verify", "%s is compared again", type->entity_type);
    memcpy(type->said, text, strlen(text) + 1);
}

static void loop_round(struct loop *loop)
{
    for (size_t i = 0; i < loop->count && !atomic_load(loop->stop); i++) {
        struct loop_type *type = &loop->types[i];
        struct error err = ERROR_INIT;
        if (clock_monotonic_us() < type->due_us || !loop_is_mine(loop, type))
            continue;
        enum status status = loop_turn(loop, type, &err);
        if (!atomic_load(loop->stop))
            loop_say(type, status, &err);
    }
}

void verify_loop_run(const struct verify_loop_options *options, const atomic_bool *stop)
{
    const struct config *config = options->service->config;
    struct loop loop = {
        .options = options, .stop = stop, .every_us = config->verify_every_s * 1000 * 1000};
    loop.types = calloc(config->publish_count + config->apply_count + 1, sizeof *loop.types);
    if (loop.types == NULL) {
        log_error("verify", "no memory: nothing is compared");
        return;
    }
    for (size_t i = 0; i < config->publish_count; i++)
        loop_add(&loop, &config->publish[i]);
    for (size_t i = 0; i < config->apply_count; i++)
        loop_add(&loop, &config->apply[i]);
    loop_spread(&loop);
    (void)setpriority(PRIO_PROCESS, 0, LOOP_NICE); /* on Linux, of this thread alone */
    while (!atomic_load(stop)) {
        loop_round(&loop);
        clock_sleep_us(LOOP_TICK_US);
    }
    control_close(&loop.control);
    free(loop.types);
}
