/* Who asks what of which session, and how long each session lasts. */
#include "operate/desk/sessions.h"

#include "common/clock.h"
#include "common/utf8.h"

#include <stdio.h>
#include <stdlib.h>

#define QUESTION_PARTS_MAX 100000 /* brackets and commas */
#define TEND_US            (INT64_C(1) * 1000 * 1000)
#define HEAR_US            (INT64_C(200) * 1000) /* while rows are read */

struct sessions {
    const struct sessions_options *options;
    struct session_desk desk;
    struct desk_session *list;
    size_t count;
    struct arena arena; /* of the question that is taken */
    int64_t tended_us;
    int64_t heard_us;
    uint64_t turn; /* of the next question that waits */
};

static void sessions_count(struct sessions *sessions)
{
    size_t open = 0;
    int64_t oldest_us = 0;
    for (size_t i = 0; i < sessions->count; i++) {
        const struct desk_session *session = &sessions->list[i];
        if (session->participant == NULL)
            continue;
        open++;
        if (oldest_us == 0 || session->begun_us < oldest_us)
            oldest_us = session->begun_us;
    }
    atomic_store(&sessions->options->metrics->snapshots_open, open);
    atomic_store(&sessions->options->metrics->oldest_snapshot_us, oldest_us);
}

static enum status sessions_tick(void *context, struct error *err)
{
    struct sessions *sessions = context;
    int64_t now_us = clock_monotonic_us();
    if (atomic_load(sessions->options->stop))
        return error_set(err, STATUS_RETRY, "its sidecar ends");
    if (now_us - sessions->heard_us < HEAR_US)
        return STATUS_OK;
    sessions->heard_us = now_us;
    sessions->options->hear(sessions->options->desk.context);
    sessions_tend(sessions);
    return STATUS_OK;
}

static enum status sessions_write(void *context, const char *data_topic, struct slice key,
                                  struct slice value, struct error *err)
{
    const struct sessions *sessions = context;
    const struct session_desk *desk = &sessions->options->desk;
    return desk->write(desk->context, data_topic, key, value, err);
}

static void sessions_say(void *context, const char *text)
{
    const struct sessions *sessions = context;
    sessions->options->desk.say(sessions->options->desk.context, text);
}

struct sessions *sessions_new(const struct sessions_options *options)
{
    struct sessions *sessions = calloc(1, sizeof *sessions);
    size_t count = (size_t)options->desk.service->config->limits.snapshots;
    if (sessions == NULL)
        return NULL;
    sessions->options = options;
    sessions->desk = options->desk;
    sessions->desk.write = sessions_write;
    sessions->desk.tick = sessions_tick;
    sessions->desk.say = sessions_say;
    sessions->desk.context = sessions;
    arena_init(&sessions->arena, SESSION_QUESTION_BYTES);
    sessions->list = calloc(count + 1, sizeof *sessions->list);
    if (sessions->list == NULL) {
        sessions_free(sessions);
        return NULL;
    }
    sessions->count = count;
    for (size_t i = 0; i < count; i++)
        sessions->list[i].desk = &sessions->desk;
    return sessions;
}

void sessions_free(struct sessions *sessions)
{
    if (sessions == NULL)
        return;
    for (size_t i = 0; i < sessions->count; i++)
        desk_session_free(&sessions->list[i]);
    sessions_count(sessions);
    free(sessions->list);
    arena_done(&sessions->arena);
    free(sessions);
}

static struct desk_session *sessions_find(const struct sessions *sessions, const char *id)
{
    for (size_t i = 0; i < sessions->count; i++) {
        struct desk_session *session = &sessions->list[i];
        if (session->state != SESSION_FREE && strcmp(session->id, id) == 0)
            return session;
    }
    return NULL;
}

/* @return a free place; NULL: each has a snapshot. */
static struct desk_session *sessions_place(const struct sessions *sessions)
{
    struct desk_session *ended = NULL;
    for (size_t i = 0; i < sessions->count; i++) {
        if (sessions->list[i].state == SESSION_FREE)
            return &sessions->list[i];
        if (sessions->list[i].state == SESSION_ENDED)
            ended = &sessions->list[i];
    }
    if (ended != NULL)
        desk_session_free(ended);
    return ended;
}

static enum status sessions_begin(struct sessions *sessions, const struct talk_question *question,
                                  struct error *err)
{
    char why[64];
    if (sessions_find(sessions, question->id) != NULL)
        return STATUS_OK;
    struct desk_session *session = sessions_place(sessions);
    if (session != NULL)
        return desk_session_begin(session, question, err);
    utf8_format(why, sizeof why, "%zu snapshots are open there already", sessions->count);
    return desk_session_refuse(&sessions->desk, question, why, err);
}

static enum status sessions_refuse_unknown(const struct sessions *sessions,
                                           const struct talk_question *question, struct error *err)
{
    return desk_session_refuse(&sessions->desk, question,
                               "its session has ended there, or its sidecar was restarted", err);
}

/* What reads rows waits for its turn. The session keeps the question with its memory. */
static enum status sessions_ask(struct sessions *sessions, struct desk_session *session,
                                const struct talk_question *question, struct error *err)
{
    if (session->state == SESSION_ENDED)
        return desk_session_refuse(&sessions->desk, question, session->why, err);
    if (session->state != SESSION_IDLE || question->number <= session->number)
        return STATUS_OK;
    struct arena arena = session->arena;
    session->question = *question;
    session->arena = sessions->arena;
    sessions->arena = arena;
    session->number = question->number;
    session->rows = 0;
    session->turn = sessions->turn++;
    session->state = SESSION_WAITING;
    return STATUS_OK;
}

static void sessions_end(struct desk_session *session)
{
    if (session->state == SESSION_ANSWERING)
        session->is_over = true;
    else
        desk_session_free(session);
}

static bool sessions_has_topic(const struct sessions *sessions, const char *topic)
{
    const struct config *config = sessions->options->desk.service->config;
    for (size_t i = 0; i < config->publish_count; i++) {
        if (strcmp(config->publish[i].topic, topic) == 0)
            return true;
    }
    for (size_t i = 0; i < config->apply_count; i++) {
        if (strcmp(config->apply[i].topic, topic) == 0)
            return true;
    }
    return false;
}

static void sessions_report(const struct sessions *sessions, const struct talk_question *question)
{
    for (size_t i = 0; i < question->topic_count; i++) {
        if (!sessions_has_topic(sessions, question->topics[i]))
            continue;
        (void)atomic_fetch_add(sessions->options->report_wishes, 1);
        return;
    }
}

static enum status sessions_fill(const struct sessions *sessions,
                                 const struct talk_question *question, struct error *err)
{
    const struct sessions_options *options = sessions->options;
    struct error why = ERROR_INIT;
    enum status status = options->fill == NULL
                             ? error_set(&why, STATUS_REJECT, "its sidecar fills no other copies")
                             : options->fill(options->desk.context, question, &why);
    return status == STATUS_OK ? STATUS_OK
                               : desk_session_refuse(&sessions->desk, question, why.text, err);
}

static enum status sessions_question(struct sessions *sessions,
                                     const struct talk_question *question, struct error *err)
{
    struct desk_session *session = sessions_find(sessions, question->id);
    if (session != NULL)
        session->asked_us = clock_monotonic_us();
    switch (question->ask) {
    case TALK_STAMP:
        return sessions_begin(sessions, question, err);
    case TALK_SUMS:
    case TALK_LIST:
    case TALK_KEYS:
        return session == NULL ? sessions_refuse_unknown(sessions, question, err)
                               : sessions_ask(sessions, session, question, err);
    case TALK_KEEP:
        return session == NULL ? sessions_refuse_unknown(sessions, question, err)
                               : desk_session_keep(session, question, err);
    case TALK_END:
        if (session != NULL)
            sessions_end(session);
        return STATUS_OK;
    case TALK_REPORT:
        sessions_report(sessions, question);
        return STATUS_OK;
    case TALK_FILL:
        return sessions_fill(sessions, question, err);
    }
    return STATUS_OK;
}

/* Each bracket and comma can be worth some hundred bytes while it is read. What we write has fewer;
 * what others write is not to fill the memory. */
static bool sessions_can_read(struct slice value)
{
    size_t parts = 0;
    for (size_t i = 0; i < value.length; i++)
        parts += value.data[i] == '[' || value.data[i] == '{' || value.data[i] == ',';
    return parts <= QUESTION_PARTS_MAX;
}

enum status sessions_take(struct sessions *sessions, struct slice value, struct error *err)
{
    struct error unreadable = ERROR_INIT;
    struct talk_message message;
    arena_reset(&sessions->arena);
    if (!sessions_can_read(value) ||
        talk_message_read(value, &sessions->arena, &message, &unreadable) != STATUS_OK ||
        message.kind != TALK_QUESTION)
        return STATUS_OK;
    const struct talk_question *question = &message.question;
    bool is_for_all = question->to[0] == '\0' && question->ask == TALK_REPORT;
    if (!is_for_all && strcmp(question->to, sessions->desk.name) != 0)
        return STATUS_OK;
    (void)atomic_fetch_add(&sessions->options->metrics->questions, 1);
    enum status status = sessions_question(sessions, question, err);
    sessions_count(sessions);
    return status;
}

/* @return the session whose question has waited longest; NULL: none waits. */
static struct desk_session *sessions_next(const struct sessions *sessions)
{
    struct desk_session *next = NULL;
    for (size_t i = 0; i < sessions->count; i++) {
        struct desk_session *session = &sessions->list[i];
        if (session->state == SESSION_WAITING && (next == NULL || session->turn < next->turn))
            next = session;
    }
    return next;
}

bool sessions_wait(const struct sessions *sessions)
{
    return sessions_next(sessions) != NULL;
}

enum status sessions_answer(struct sessions *sessions, struct error *err)
{
    struct desk_session *session = sessions_next(sessions);
    if (session == NULL)
        return STATUS_OK;
    enum status status = desk_session_answer(session, err);
    sessions_count(sessions);
    return status;
}

void sessions_tend(struct sessions *sessions)
{
    int64_t now_us = clock_monotonic_us();
    int64_t idle_us = sessions->options->idle_s * 1000000;
    if (now_us - sessions->tended_us < TEND_US)
        return;
    sessions->tended_us = now_us;
    for (size_t i = 0; i < sessions->count; i++) {
        struct desk_session *session = &sessions->list[i];
        if (session->state == SESSION_FREE)
            continue;
        if (now_us >= session->until_us || now_us - session->asked_us >= idle_us)
            sessions_end(session);
        else
            desk_session_tend(session);
    }
    sessions_count(sessions);
}
