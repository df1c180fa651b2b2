/* Reads the talk topic, and hands what it reads to the sessions. */
#include "operate/desk/answers.h"

#include "common/clock.h"
#include "common/kafka_talk.h"
#include "common/log.h"
#include "operate/compare/role.h"
#include "operate/desk/sessions.h"
#include "operate/fill/server.h"

#include <stdlib.h>
#include <sys/resource.h>

#define ANSWERS_NICE       10
#define ANSWERS_POLL_MS    200
#define ANSWERS_TICK_US    (INT64_C(100) * 1000)
#define ANSWERS_REST_US    (INT64_C(1) * 1000 * 1000)
#define ANSWERS_BACKOFF_US (INT64_C(8) * 1000 * 1000) /* at most */
#define ANSWERS_RECORDS    1000                       /* that are heard at once */
#define ANSWERS_NAME_SIZE  ((size_t)1024)

struct answers {
    const struct desk_options *options;
    const atomic_bool *stop;
    char group[256];
    struct buffer name;      /* SERVICE/COPY/INSTANCE; empty: not known yet */
    struct kafka_talk *talk; /* NULL: open it first */
    struct sessions_options sessions_options;
    struct sessions *sessions; /* NULL: not before the name is known */
    struct fill_server *fills;
    struct error heard; /* what failed while rows were read */
    char said[ERROR_TEXT_SIZE];
    char said_of_database[ERROR_TEXT_SIZE];
};

static enum status answers_copy_id(const struct answers *answers, struct store_meta *ret_meta,
                                   struct error *err)
{
    const struct service *service = answers->options->service;
    struct store *store = NULL;
    *ret_meta = (struct store_meta){.copy_id = MEMBER_NONE};
    if (service->config->apply_count == 0)
        return STATUS_OK;
    enum status status = service_open_store(service, true, &store, err);
    if (status == STATUS_OK) {
        status = store->ops->meta(store, ret_meta, err);
        store->ops->close(store);
    }
    return status;
}

static enum status answers_open_participant(const struct participant_options *options,
                                            struct participant **ret_participant, struct error *err)
{
    struct role role;
    if (!role_find(options->service, options->entity_type, &role))
        return error_set(err, STATUS_REJECT, "%s has no rows of that type",
                         options->service->config->service);
    return role_participant_new(&role, options, ret_participant, err);
}

static enum status answers_write(void *context, const char *data_topic, struct slice key,
                                 struct slice value, struct error *err)
{
    struct answers *answers = context;
    enum status status = answers->talk == NULL
                             ? error_set(err, STATUS_RETRY, "the talk topic is not open")
                             : STATUS_OK;
    if (status == STATUS_OK && data_topic != NULL)
        status = kafka_talk_make(answers->talk, data_topic, err);
    return status == STATUS_OK ? kafka_talk_write(answers->talk, data_topic, key, value, err)
                               : status;
}

static enum status answers_fill(void *context, const struct talk_question *question,
                                struct error *err)
{
    struct answers *answers = context;
    if (answers->fills == NULL)
        answers->fills = fill_server_new(answers->options->service, answers->stop);
    return answers->fills == NULL ? error_set(err, STATUS_RETRY, "it has no memory for a fill")
                                  : fill_server_take(answers->fills, question, err);
}

static void answers_say_of_database(void *context, const char *text)
{
    struct answers *answers = context;
    if (strcmp(answers->said_of_database, text) == 0)
        return;
    memcpy(answers->said_of_database, text, strlen(text) + 1);
    log_info("desk", "another service's question is not answered: %s", text);
}

/* Take what was asked since the last call. */
static enum status answers_hear(struct answers *answers, int timeout_ms, struct error *err)
{
    enum status status = STATUS_OK;
    for (int i = 0; status == STATUS_OK && i < ANSWERS_RECORDS; i++) {
        struct kafka_talk_record record;
        status = kafka_talk_poll(answers->talk, i == 0 ? timeout_ms : 0, &record, err);
        if (status != STATUS_OK || (record.key.data == NULL && record.value.data == NULL))
            break;
        if (record.data_topic == NULL && record.value.data != NULL)
            status = sessions_take(answers->sessions, record.value, err);
    }
    return status;
}

static void answers_hear_meanwhile(void *context)
{
    struct answers *answers = context;
    if (answers->heard.status == STATUS_OK)
        (void)answers_hear(answers, 0, &answers->heard);
}

static enum status answers_open_sessions(struct answers *answers, struct error *err)
{
    const struct service *service = answers->options->service;
    struct store_meta meta;
    if (answers->sessions != NULL)
        return STATUS_OK;
    enum status status = answers_copy_id(answers, &meta, err);
    if (status != STATUS_OK)
        return status;
    buffer_reset(&answers->name);
    talk_desk_append(service->config->service, meta.copy_id, service->config->instance,
                     &answers->name);
    answers->sessions_options = (struct sessions_options){
        .desk = {.name = buffer_text(&answers->name),
                 .service = service,
                 .open = answers_open_participant,
                 .write = answers_write,
                 .say = answers_say_of_database,
                 .context = answers},
        .hear = answers_hear_meanwhile,
        .fill = answers_fill,
        .metrics = answers->options->sources->desk,
        .idle_s = TALK_IDLE_S,
        .report_wishes = answers->options->report_wishes,
        .stop = answers->stop};
    answers->sessions = answers->name.failed ? NULL : sessions_new(&answers->sessions_options);
    return answers->sessions == NULL ? error_set(err, STATUS_RETRY, "no memory for sessions")
                                     : STATUS_OK;
}

static enum status answers_open(struct answers *answers, struct error *err)
{
    const struct config *config = answers->options->service->config;
    enum status status = answers_open_sessions(answers, err);
    if (status == STATUS_OK && answers->talk == NULL) {
        const struct control_options control = members_control(config, answers->group,
                                                               sizeof answers->group);
        const struct kafka_talk_options options = {.control_topic = control.topic,
                                                   .group = control.group,
                                                   .settings = control.settings,
                                                   .setting_count = control.setting_count,
                                                   .choice = control.choice,
                                                   .stop = answers->stop};
        status = kafka_talk_open(&options, &answers->talk, err);
    }
    return status == STATUS_OK ? kafka_talk_join(answers->talk, NULL, err) : status;
}

static enum status answers_round(struct answers *answers, struct error *err)
{
    const struct agent_metrics *agent = answers->options->sources->agent;
    if (agent != NULL && !atomic_load(&agent->database_checked)) {
        clock_sleep_us(ANSWERS_TICK_US);
        return STATUS_OK;
    }
    enum status status = answers_open(answers, err);
    if (status == STATUS_OK)
        status = answers_hear(answers, sessions_wait(answers->sessions) ? 0 : ANSWERS_POLL_MS, err);
    if (status == STATUS_OK)
        status = sessions_answer(answers->sessions, err);
    if (status == STATUS_OK && answers->heard.status != STATUS_OK)
        status = error_set(err, answers->heard.status, "%s", answers->heard.text);
    error_clear(&answers->heard);
    if (answers->sessions != NULL)
        sessions_tend(answers->sessions);
    return status;
}

/* Say each failure once, until something else happens. */
static void answers_say(struct answers *answers, enum status status, const struct error *err)
{
    const char *text = status == STATUS_OK ? "" : err->text;
    if (strcmp(answers->said, text) == 0)
        return;
    if (status != STATUS_OK)
        log_write(status == STATUS_RETRY || status == STATUS_STOP ? LOG_LEVEL_INFO
                                                                  : LOG_LEVEL_WARNING,
                  "desk", "other services' questions are not heard: %s; trying again", text);
    else if (answers->said[0] != '\0')
        log_info("desk", "answers other services' questions");
    memcpy(answers->said, text, strlen(text) + 1);
}

/* Snapshots are kept meanwhile: whoever asked may ask again. */
static void answers_rest(const struct answers *answers, int64_t duration_us)
{
    int64_t until_us = clock_monotonic_us() + duration_us;
    while (!atomic_load(answers->stop) && clock_monotonic_us() < until_us) {
        clock_sleep_us(ANSWERS_TICK_US);
        if (answers->sessions != NULL)
            sessions_tend(answers->sessions);
    }
}

void answers_run(const struct desk_options *options, const atomic_bool *stop)
{
    struct answers answers = {.options = options, .stop = stop, .heard = ERROR_INIT};
    int64_t rest_us = ANSWERS_REST_US;
    buffer_init(&answers.name, ANSWERS_NAME_SIZE);
    (void)setpriority(PRIO_PROCESS, 0, ANSWERS_NICE); /* on Linux, of this thread alone */
    while (!atomic_load(stop)) {
        struct error err = ERROR_INIT;
        enum status status = answers_round(&answers, &err);
        if (atomic_load(stop))
            break;
        answers_say(&answers, status, &err);
        if (status == STATUS_OK) {
            rest_us = ANSWERS_REST_US;
            continue;
        }
        kafka_talk_close(answers.talk); /* the topic may have been made anew */
        answers.talk = NULL;
        answers_rest(&answers, rest_us);
        rest_us = rest_us < ANSWERS_BACKOFF_US / 2 ? 2 * rest_us : ANSWERS_BACKOFF_US;
    }
    fill_server_free(answers.fills);
    sessions_free(answers.sessions);
    kafka_talk_close(answers.talk);
    buffer_done(&answers.name);
}
