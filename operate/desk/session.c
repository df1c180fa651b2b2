/* Opens a participant of this service's own database, and turns its answers into messages. */
#include "operate/desk/session.h"

#include "common/clock.h"
#include "common/utf8.h"
#include "schemas/member_record.h"
#include "schemas/talk_parts.h"

#include <stdio.h>
#include <stdlib.h>

#define SESSION_SCRATCH_BYTES ((size_t)1024 * 1024)
#define SESSION_OPEN_BYTES    ((size_t)4 * 1024 * 1024) /* of the keys of open entities */

/* One question under way. */
struct answering {
    struct desk_session *session;
    const struct talk_question *asked;
    struct question question;
    struct row_columns columns;
    bool buckets[ROW_BUCKETS];
    struct talk_parts parts;
};

static enum status session_write_answer(const struct session_desk *desk, const char *data_topic,
                                        const struct talk_answer *answer, struct error *err)
{
    struct buffer text;
    buffer_init(&text, TALK_MESSAGE_BYTES_MAX);
    talk_answer_append(answer, &text);
    enum status status = text.failed ? error_set(err, STATUS_RETRY, "an answer is too large")
                                     : desk->write(desk->context, data_topic, slice_of(answer->id),
                                                   buffer_slice(&text), err);
    buffer_done(&text);
    return status;
}

enum status desk_session_refuse(const struct session_desk *desk,
                                const struct talk_question *question, const char *why,
                                struct error *err)
{
    const struct talk_answer answer = {.ask = question->ask,
                                       .id = question->id,
                                       .number = question->number,
                                       .from = desk->name,
                                       .why = why};
    return session_write_answer(desk, NULL, &answer, err);
}

/* A record that is too large for its topic is no sign that nothing can be written. */
static enum status session_note_write(struct desk_session *session, enum status status)
{
    session->write_failed = status != STATUS_OK && status != STATUS_REJECT;
    return status;
}

/* What is said of rows, be it only a sum of digests, goes where the data's readers read: of few
 * rows with few values a sum can be guessed. */
static enum status session_say(struct desk_session *session, const struct talk_answer *answer,
                               struct error *err)
{
    enum status status = session_write_answer(session->desk, session->participant->topic, answer,
                                              err);
    return session_note_write(session, status);
}

static struct talk_answer session_answer_begin(const struct desk_session *session,
                                               const struct talk_question *asked)
{
    return (struct talk_answer){
        .ask = asked->ask, .id = session->id, .number = asked->number, .from = session->desk->name};
}

/* What a client library says can name hosts and logins, which are nobody else's business.
 * @return what the asker is told. */
static const char *session_reason(const struct desk_session *session, const struct error *err)
{
    if (err->native_code == 0 && !err->connection_lost)
        return err->text;
    session->desk->say(session->desk->context, err->text);
    return "its database does not answer, or refuses; the log of its sidecar has the reason";
}

void desk_session_close(struct desk_session *session, const char *why)
{
    if (session->participant != NULL)
        session->participant->ops->free(session->participant);
    session->participant = NULL;
    session->state = SESSION_ENDED;
    utf8_format(session->why, sizeof session->why, "%s", why);
}

void desk_session_free(struct desk_session *session)
{
    desk_session_close(session, "");
    arena_done(&session->arena);
    *session = (struct desk_session){.desk = session->desk};
}

static enum status session_write_part(void *context, struct slice key, struct slice value,
                                      struct error *err)
{
    struct desk_session *session = context;
    const struct session_desk *desk = session->desk;
    enum status status = desk->write(desk->context, session->participant->topic, key, value, err);
    return session_note_write(session, status);
}

static void session_parts_begin(struct desk_session *session, const struct talk_question *asked,
                                struct talk_parts *ret_parts)
{
    *ret_parts = (struct talk_parts){.id = session->id,
                                     .number = asked->number,
                                     .ask = asked->ask,
                                     .from = session->desk->name,
                                     .write = session_write_part,
                                     .context = session};
    talk_parts_begin(ret_parts);
}

/* A question that could not be answered ends its session. Where nothing can be written, nobody can
 * be told why. */
static enum status session_fail(struct desk_session *session, const struct talk_question *asked,
                                struct error *err)
{
    struct error said = *err;
    enum status status = said.status;
    error_clear(err);
    if (session->write_failed) {
        *err = said;
    } else if (session->is_over) {
        status = STATUS_OK;
    } else {
        status = desk_session_refuse(session->desk, asked, session_reason(session, &said), err);
    }
    desk_session_free(session);
    return status;
}

static enum talk_open_reason session_open_reason(enum left_reason reason)
{
    return reason == LEFT_PARKED  ? TALK_OPEN_PARKED
           : reason == LEFT_IMAGE ? TALK_OPEN_IMAGE
                                  : TALK_OPEN_OWN;
}

static enum status session_write_open(struct desk_session *session,
                                      const struct talk_question *asked, const struct stamp *stamp,
                                      int64_t *ret_parts, struct error *err)
{
    struct talk_parts parts;
    enum status status = STATUS_OK;
    *ret_parts = 0;
    if (stamp->open_count == 0)
        return STATUS_OK;
    session_parts_begin(session, asked, &parts);
    for (size_t i = 0; status == STATUS_OK && i < stamp->open_count; i++) {
        const struct talk_open open = {.key = stamp->open[i].key,
                                       .reason = session_open_reason(stamp->open[i].reason)};
        status = talk_parts_open(&parts, &open, err);
    }
    if (status == STATUS_OK)
        status = talk_parts_end(&parts, err);
    *ret_parts = parts.count;
    talk_parts_done(&parts);
    return status;
}

static enum status session_write_stamp(struct desk_session *session,
                                       const struct talk_question *asked, const struct stamp *stamp,
                                       struct error *err)
{
    struct talk_answer answer = session_answer_begin(session, asked);
    struct arena arena;
    arena_init(&arena, SESSION_SCRATCH_BYTES);
    answer.cluster_id = stamp->cluster_id;
    answer.offsets = stamp->offsets;
    answer.partition_count = (size_t)stamp->partition_count;
    answer.open_count = stamp->open_count;
    enum status status = talk_columns_of(session->participant->schema, &arena, &answer.columns,
                                         err);
    if (status == STATUS_OK)
        status = session_write_open(session, asked, stamp, &answer.parts, err);
    if (status == STATUS_OK)
        status = session_say(session, &answer, err);
    arena_done(&arena);
    return status;
}

/* The asker says of which copy the rows are by the name of the desk, which is as old as the
 * process.
 * @return whether the database is still that copy. */
static bool session_is_of_desk(const struct desk_session *session)
{
    const char *copy = session->participant->copy;
    const char *named = session->desk->name + strcspn(session->desk->name, "/");
    named += *named == '/';
    return strcmp(copy, MEMBER_NONE) == 0 ||
           slice_is((struct slice){named, strcspn(named, "/")}, copy);
}

/* @return OK; REJECT (rows of that topic are not to be had here); what open() and stamp() return.
 */
static enum status session_open_snapshot(struct desk_session *session,
                                         const struct talk_question *asked, struct stamp *ret_stamp,
                                         struct error *err)
{
    enum status status = session->desk->open(&session->options, &session->participant, err);
    if (status != STATUS_OK)
        return status;
    struct participant *participant = session->participant;
    if (strcmp(participant->topic, asked->topic) != 0)
        return error_set(err, STATUS_REJECT, "%s has these entities from another topic",
                         participant->name);
    status = participant->ops->stamp(participant, ret_stamp, err);
    if (status == STATUS_OK && !session_is_of_desk(session))
        return error_set(err, STATUS_REJECT,
                         "its database has become another copy since its sidecar was started");
    if (status == STATUS_OK && ret_stamp->incomparable != NULL)
        return error_set(err, STATUS_REJECT, "%s", ret_stamp->incomparable);
    if (status == STATUS_OK && ret_stamp->open_count > (uint64_t)session->options.open_entities_max)
        return error_set(err, STATUS_REJECT, "too many changes wait there");
    return status;
}

enum status desk_session_begin(struct desk_session *session, const struct talk_question *question,
                               struct error *err)
{
    const struct config_limits *limits = &session->desk->service->config->limits;
    struct stamp stamp = {0};
    size_t length = strlen(question->entity_type);
    if (strlen(question->id) >= sizeof session->id || length >= sizeof session->entity_type)
        return STATUS_OK; /* that is no UUID, or no name of a type: a program that is not ours */
    memcpy(session->id, question->id, strlen(question->id) + 1);
    memcpy(session->entity_type, question->entity_type, length + 1);
    int64_t seconds = question->seconds < 1                     ? 1
                      : question->seconds < limits->scan_time_s ? question->seconds
                                                                : limits->scan_time_s;
    session->begun_us = session->asked_us = clock_monotonic_us();
    session->until_us = session->begun_us + seconds * 1000000;
    session->number = question->number;
    session->state = SESSION_IDLE;
    session->options = (struct participant_options){.service = session->desk->service,
                                                    .entity_type = session->entity_type,
                                                    .open_entities_max = limits->open_entities,
                                                    .open_bytes_max = SESSION_OPEN_BYTES};
    arena_init(&session->arena, SESSION_QUESTION_BYTES);
    enum status status = session_open_snapshot(session, question, &stamp, err);
    if (status == STATUS_OK)
        status = session_write_stamp(session, question, &stamp, err);
    return status == STATUS_OK ? STATUS_OK : session_fail(session, question, err);
}

static enum status session_tick(void *context, uint64_t count, struct error *err)
{
    struct desk_session *session = context;
    session->rows = count;
    enum status status = session->desk->tick(session->desk->context, err);
    return status == STATUS_OK && session->is_over
               ? error_set(err, STATUS_RETRY, "the session has ended")
               : status;
}

static enum status answering_row(void *context, const struct answered_row *row, struct error *err)
{
    struct answering *answering = context;
    const struct talk_row said = {
        .key = row->key, .digest = row->digest, .json = row->json, .is_unfit = row->is_unfit};
    return talk_parts_row(&answering->parts, &said, err);
}

static enum status answering_sums(struct answering *answering, struct talk_answer *answer,
                                  struct error *err)
{
    struct desk_session *session = answering->session;
    struct row_sums *sums = calloc(1, sizeof *sums);
    if (sums == NULL)
        return error_set(err, STATUS_RETRY, "no memory for sums");
    enum status status = session->participant->ops->sums(session->participant, &answering->question,
                                                         sums, err);
    if (status == STATUS_OK) {
        answer->rows = sums->rows;
        answer->sums = sums->sums;
        status = session_say(session, answer, err);
    }
    free(sums);
    return status;
}

static enum status answering_list(struct answering *answering, struct talk_answer *answer,
                                  struct error *err)
{
    struct desk_session *session = answering->session;
    session_parts_begin(session, answering->asked, &answering->parts);
    enum status status = session->participant->ops->list(session->participant, &answering->question,
                                                         answering_row, answering, err);
    if (status == STATUS_OK)
        status = talk_parts_end(&answering->parts, err);
    if (status == STATUS_OK) {
        answer->parts = answering->parts.count;
        answer->rows = answering->parts.entries;
        status = session_say(session, answer, err);
    }
    talk_parts_done(&answering->parts);
    return status;
}

/* Borrows what was asked. */
static enum status answering_begin(struct answering *answering, struct error *err)
{
    const struct talk_question *asked = answering->asked;
    answering->question = (struct question){
        .columns = &answering->columns,
        .left_out = asked->left_out,
        .left_out_count = asked->left_out_count,
        .buckets = asked->ask == TALK_LIST ? answering->buckets : NULL,
        .with_json = asked->with_rows,
        .tick = {.call = session_tick, .context = answering->session}};
    for (size_t i = 0; i < asked->bucket_count; i++) {
        if (asked->buckets[i] < ROW_BUCKETS)
            answering->buckets[asked->buckets[i]] = true;
    }
    if (asked->ask == TALK_KEYS) {
        static const struct slice none = {0};
        answering->question.keys = asked->key_count == 0 ? &none : asked->keys; /* never all rows */
        answering->question.key_count = asked->key_count;
    }
    return talk_columns_find(answering->session->participant->schema, &asked->columns,
                             &answering->columns, err);
}

enum status desk_session_answer(struct desk_session *session, struct error *err)
{
    struct answering answering = {.session = session, .asked = &session->question};
    struct talk_answer answer = session_answer_begin(session, &session->question);
    session->state = SESSION_ANSWERING;
    session->rows = 0;
    enum status status = answering_begin(&answering, err);
    if (status == STATUS_OK)
        status = session->question.ask == TALK_SUMS ? answering_sums(&answering, &answer, err)
                                                    : answering_list(&answering, &answer, err);
    if (status != STATUS_OK)
        return session_fail(session, &session->question, err);
    session->state = SESSION_IDLE;
    if (session->is_over)
        desk_session_free(session);
    else
        arena_reset(&session->arena);
    return STATUS_OK;
}

enum status desk_session_keep(struct desk_session *session, const struct talk_question *question,
                              struct error *err)
{
    static const char lost[] = "a question did not arrive, or could not be read here";
    struct talk_answer answer = session_answer_begin(session, question);
    if (session->state == SESSION_ENDED)
        return desk_session_refuse(session->desk, question, session->why, err);
    if (question->number < session->number)
        return STATUS_OK;
    if (question->number == session->number) {
        answer.rows = session->rows;
        return session_write_answer(session->desk, NULL, &answer, err);
    }
    if (session->state == SESSION_ANSWERING)
        session->is_over = true;
    else
        desk_session_close(session, lost);
    return desk_session_refuse(session->desk, question, lost, err);
}

void desk_session_tend(struct desk_session *session)
{
    struct error err = ERROR_INIT;
    struct participant *participant = session->participant;
    if (participant != NULL && session->state != SESSION_ANSWERING &&
        participant->ops->keep(participant, &err) != STATUS_OK)
        desk_session_close(session, session_reason(session, &err));
}
