/* Questions out, answers in. */
#include "operate/compare/asker.h"

#include <stdio.h>
#include <stdlib.h>

#define ASKER_ARENA_BYTES ((size_t)64 * 1024 * 1024) /* of one message that was read */
#define ASKER_SILENT_MAX  ((size_t)1024 * 1024)
#define ASKER_AT_ONCE     64 /* records, before the caller goes on */
#define ASKER_PATIENCE_US (INT64_C(15) * 1000 * 1000)

struct asker {
    struct asker_options options;
    struct asker_line line;
    struct kafka_talk *talk; /* NULL: the line is not Kafka */
    char group[256];
    struct asker_session *sessions;
    struct arena arena;
    struct buffer out;
    struct buffer silent; /* names of desks, each with a NUL */
};

static enum status asker_kafka_join(void *context, const char *data_topic, struct error *err)
{
    return kafka_talk_join(((struct asker *)context)->talk, data_topic, err);
}

static enum status asker_kafka_write(void *context, struct slice key, struct slice value,
                                     struct error *err)
{
    return kafka_talk_write(((struct asker *)context)->talk, NULL, key, value, err);
}

static enum status asker_kafka_poll(void *context, int timeout_ms,
                                    struct kafka_talk_record *ret_record, struct error *err)
{
    return kafka_talk_poll(((struct asker *)context)->talk, timeout_ms, ret_record, err);
}

static enum status asker_open_kafka(struct asker *asker, struct error *err)
{
    const struct config *config = asker->options.config;
    (void)snprintf(asker->group, sizeof asker->group, "keepstep-ask-%s", config->service);
    const struct kafka_talk_options options = {.control_topic = config->control_topic,
                                               .group = asker->group,
                                               .settings = config->kafka,
                                               .setting_count = config->kafka_count,
                                               .choice = config->topics,
                                               .is_hasty = true,
                                               .stop = asker->options.stop};
    asker->line = (struct asker_line){.join = asker_kafka_join,
                                      .write = asker_kafka_write,
                                      .poll = asker_kafka_poll,
                                      .context = asker};
    return kafka_talk_open(&options, &asker->talk, err);
}

enum status asker_open(const struct asker_options *options, struct asker **ret_asker,
                       struct error *err)
{
    struct asker *asker = calloc(1, sizeof *asker);
    if (asker == NULL)
        return error_set(err, STATUS_RETRY, "no memory to ask other services");
    asker->options = *options;
    if (options->patience_us == 0)
        asker->options.patience_us = ASKER_PATIENCE_US;
    enum status status = STATUS_OK;
    if (options->line != NULL)
        asker->line = *options->line;
    else
        status = asker_open_kafka(asker, err);
    arena_init(&asker->arena, ASKER_ARENA_BYTES);
    buffer_init(&asker->out, TALK_MESSAGE_BYTES_MAX);
    buffer_init(&asker->silent, ASKER_SILENT_MAX);
    if (status == STATUS_OK)
        *ret_asker = asker;
    else
        free(asker);
    return status;
}

void asker_close(struct asker *asker)
{
    if (asker == NULL)
        return;
    kafka_talk_close(asker->talk);
    arena_done(&asker->arena);
    buffer_done(&asker->out);
    buffer_done(&asker->silent);
    free(asker);
}

const struct asker_options *asker_options_of(const struct asker *asker)
{
    return &asker->options;
}

void asker_add(struct asker *asker, struct asker_session *session)
{
    session->next = asker->sessions;
    asker->sessions = session;
}

void asker_remove(struct asker *asker, struct asker_session *session)
{
    struct asker_session **at = &asker->sessions;
    while (*at != NULL && *at != session)
        at = &(*at)->next;
    if (*at != NULL)
        *at = session->next;
}

enum status asker_join(struct asker *asker, const char *data_topic, struct error *err)
{
    enum status status = asker->line.join(asker->line.context, NULL, err);
    return status == STATUS_OK ? asker->line.join(asker->line.context, data_topic, err) : status;
}

enum status asker_write(struct asker *asker, const struct talk_question *question,
                        struct error *err)
{
    struct talk_question asked = *question;
    asked.from = asker->options.config->service;
    buffer_reset(&asker->out);
    talk_question_append(&asked, &asker->out);
    if (asker->out.failed)
        return error_set(err, asker->out.no_memory ? STATUS_RETRY : STATUS_REJECT,
                         asker->out.no_memory ? "no memory for a question"
                                              : "the question is too large for a message");
    return asker->line.write(asker->line.context, slice_of(asked.id), buffer_slice(&asker->out),
                             err);
}

void asker_note_silence(struct asker *asker, const char *desk)
{
    if (!asker_is_silent(asker, desk))
        buffer_append(&asker->silent, desk, strlen(desk) + 1);
}

bool asker_is_silent(const struct asker *asker, const char *desk)
{
    for (size_t at = 0; at < asker->silent.length; at += strlen(asker->silent.data + at) + 1) {
        if (strcmp(asker->silent.data + at, desk) == 0)
            return true;
    }
    return false;
}

static enum status asker_take(struct asker *asker, const struct kafka_talk_record *record,
                              struct error *err)
{
    struct asker_session *session = asker->sessions;
    struct talk_message message;
    struct error wrong = ERROR_INIT;
    while (session != NULL && !slice_is(record->key, session->id))
        session = session->next;
    if (session == NULL || record->key.length == 0)
        return STATUS_OK;
    arena_reset(&asker->arena);
    enum status status = talk_message_read(record->value, &asker->arena, &message, &wrong);
    if (status == STATUS_RETRY)
        return error_set(err, status, "%s", wrong.text);
    if (status != STATUS_OK)
        session->refuse(session, wrong.text);
    else if (message.kind != TALK_QUESTION)
        session->take(session, &message);
    return STATUS_OK;
}

enum status asker_hear(struct asker *asker, int timeout_ms, struct error *err)
{
    struct kafka_talk_record record = {0};
    enum status status = STATUS_OK;
    for (int i = 0; status == STATUS_OK && i < ASKER_AT_ONCE; i++) {
        status = asker->line.poll(asker->line.context, i == 0 ? timeout_ms : 0, &record, err);
        if (status != STATUS_OK || (record.key.data == NULL && record.value.data == NULL))
            break;
        status = asker_take(asker, &record, err);
    }
    return status;
}
