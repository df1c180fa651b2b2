/* A session with one desk after the other question. An answer counts if it is of this session, of
 * the desk that was asked and to the last question; each other one is late, doubled or another's.
 */
#include "operate/compare/remote.h"

#include "common/clock.h"
#include "common/failpoint.h"
#include "common/utf8.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define REMOTE_KEYS_MAX   ((size_t)256 * 1024 * 1024) /* of open entities */
#define REMOTE_PATIENCE   3 /* times that of a first word, for each other one */
#define REMOTE_KEEP_US    (INT64_C(1000) * 1000 * TALK_KEEP_S)
#define REMOTE_POLL_MS    50
#define REMOTE_OPEN_FIRST 64
#define REMOTE_STOPPED    "the comparison was stopped"

struct remote {
    struct participant base;
    struct asker *asker;
    const struct entity_schema *own_schema; /* the asker's */
    int64_t member_heard_us;
    struct arena texts; /* of the options */
    const char *desk;
    const char *entity_type;
    /* The session: */
    struct asker_session session;
    int64_t number;            /* of the last question */
    enum talk_ask asked;       /* its kind */
    bool is_asked;             /* its answer is waited for */
    bool is_heard;             /* the desk has said a word */
    char why[ERROR_TEXT_SIZE]; /* it has failed; "": it has not */
    int64_t begun_us;          /* monotonic, of the first question */
    int64_t asked_us;          /* of the last one */
    int64_t written_us;        /* of the last message */
    int64_t heard_us;          /* of the desk's last word */
    struct tick tick;
    /* The answer so far: */
    bool has_answer;
    int64_t parts; /* that it says */
    int64_t parts_taken;
    uint64_t rows; /* that it says */
    uint64_t rows_taken;
    struct row_sums sums;
    /* The stamp, until the session ends: */
    struct arena arena;
    struct entity_schema *schema;
    struct stamp stamp;
    struct open_entity *open;
    size_t open_count;
    size_t open_size;
    uint64_t open_said;
    /* Of a listing: */
    const struct question *question;
    answer_visit *visit;
    void *context;
};

static struct remote *remote_of(struct participant *participant)
{
    return (struct remote *)participant;
}

static void remote_fail(struct remote *remote, const char *why)
{
    if (remote->why[0] == '\0')
        utf8_format(remote->why, sizeof remote->why, "%s", why);
}

static enum status remote_check(const struct remote *remote, struct error *err)
{
    return remote->why[0] == '\0' ? STATUS_OK : error_set(err, STATUS_RETRY, "%s", remote->why);
}

/* The reasons of the two are the same, by other names. */
static enum left_reason remote_reason(enum talk_open_reason reason)
{
    static const enum left_reason reasons[TALK_OPEN_REASONS] = {[TALK_OPEN_OWN] = LEFT_OWN,
                                                                [TALK_OPEN_IMAGE] = LEFT_IMAGE,
                                                                [TALK_OPEN_PARKED] = LEFT_PARKED};
    return reasons[reason];
}

static bool remote_add_open(struct remote *remote, const struct talk_open *open)
{
    if (remote->open_count == remote->open_size) {
        size_t size = remote->open_size == 0 ? REMOTE_OPEN_FIRST : remote->open_size * 2;
        struct open_entity *more = size > 2 * TALK_LISTED_MAX
                                       ? NULL
                                       : realloc(remote->open, size * sizeof *more);
        if (more == NULL)
            return false;
        remote->open = more;
        remote->open_size = size;
    }
    struct slice key = arena_copy(&remote->arena, open->key);
    if (key.data == NULL)
        return false;
    remote->open[remote->open_count++] = (struct open_entity){key, remote_reason(open->reason)};
    return true;
}

/* A row that was not asked for would be taken for a difference. */
static bool remote_has_asked(const struct question *question, uint64_t key_digest)
{
    if (question->buckets != NULL && !question->buckets[row_bucket(key_digest)])
        return false;
    return question->left_out_count == 0 ||
           bsearch(&key_digest, question->left_out, question->left_out_count, sizeof key_digest,
                   row_digest_compare) == NULL;
}

static void remote_take_row(struct remote *remote, const struct talk_row *row)
{
    struct error err = ERROR_INIT;
    const struct answered_row answered = {.key = row->key,
                                          .key_digest = row_key_digest(row->key),
                                          .digest = row->digest,
                                          .json = row->json,
                                          .is_unfit = row->is_unfit,
                                          .is_too_large = remote->question->with_json &&
                                                          row->json.data == NULL};
    if (!remote_has_asked(remote->question, answered.key_digest))
        remote_fail(remote, "its desk has answered with rows that were not asked for");
    else if (remote->visit(remote->context, &answered, &err) != STATUS_OK)
        remote_fail(remote, err.text);
}

static void remote_take_part(struct remote *remote, const struct talk_part *part)
{
    if (part->ask != remote->asked || part->part <= remote->parts_taken)
        return;
    if (part->part > remote->parts_taken + 1) {
        remote_fail(remote, "a part of its answer was lost");
        return;
    }
    remote->parts_taken++;
    remote->rows_taken += part->row_count;
    for (size_t i = 0; i < part->open_count; i++) {
        if (!remote_add_open(remote, &part->open[i]))
            remote_fail(remote, "no memory for the open entities");
    }
    for (size_t i = 0; remote->question != NULL && i < part->row_count; i++) {
        if (remote->why[0] == '\0')
            remote_take_row(remote, &part->rows[i]);
    }
}

static void remote_take_stamp(struct remote *remote, const struct talk_answer *answer)
{
    struct error err = ERROR_INIT;
    const struct slice offsets = {(const char *)answer->offsets,
                                  answer->partition_count * sizeof *answer->offsets};
    int64_t *copy = arena_alloc(&remote->arena, offsets.length + sizeof *copy);
    struct slice cluster_id = arena_copy(&remote->arena, slice_of(answer->cluster_id));
    if (copy == NULL || cluster_id.data == NULL) {
        remote_fail(remote, "no memory for the stamp");
        return;
    }
    memcpy(copy, offsets.data, offsets.length);
    if (talk_schema_new(remote->entity_type, &answer->columns, &remote->schema, &err) != STATUS_OK)
        remote_fail(remote, err.text);
    remote->stamp = (struct stamp){.cluster_id = cluster_id.data,
                                   .offsets = copy,
                                   .partition_count = (int32_t)answer->partition_count};
    remote->open_said = answer->open_count;
}

static void remote_take_answer(struct remote *remote, const struct talk_answer *answer)
{
    if (answer->ask != remote->asked || remote->has_answer)
        return;
    remote->has_answer = true;
    remote->parts = answer->parts;
    remote->rows = answer->rows;
    if (answer->ask == TALK_STAMP)
        remote_take_stamp(remote, answer);
    if (answer->ask == TALK_SUMS) {
        remote->sums.rows = answer->rows;
        memcpy(remote->sums.sums, answer->sums, sizeof remote->sums.sums);
    }
}

static void remote_take(struct asker_session *session, const struct talk_message *message)
{
    struct remote *remote = session->context;
    bool is_part = message->kind == TALK_PART;
    const struct talk_answer *answer = &message->answer;
    const char *from = is_part ? message->part.from : answer->from;
    int64_t number = is_part ? message->part.number : answer->number;
    if (strcmp(from, remote->desk) != 0 || number != remote->number)
        return;
    remote->is_heard = true;
    remote->heard_us = clock_monotonic_us();
    if (!is_part && answer->why != NULL)
        remote_fail(remote, answer->why);
    else if (!is_part && answer->ask == TALK_KEEP)
        remote->rows = remote->has_answer ? remote->rows : answer->rows;
    else if (remote->is_asked && is_part)
        remote_take_part(remote, &message->part);
    else if (remote->is_asked)
        remote_take_answer(remote, answer);
}

static void remote_refuse(struct asker_session *session, const char *why)
{
    char text[ERROR_TEXT_SIZE];
    utf8_format(text, sizeof text, "the answer of its desk cannot be read: %.256s", why);
    remote_fail(session->context, text);
}

/* Writes a question of the session, and forgets the answer to the last one. */
static enum status remote_ask(struct remote *remote, struct talk_question *question,
                              const struct tick *tick, struct error *err)
{
    question->id = remote->session.id;
    question->to = remote->desk;
    question->number = ++remote->number;
    remote->asked = question->ask;
    remote->has_answer = false;
    remote->parts = remote->parts_taken = 0;
    remote->rows = remote->rows_taken = 0;
    remote->tick = *tick;
    enum status status = asker_write(remote->asker, question, err);
    remote->asked_us = remote->written_us = clock_monotonic_us();
    remote->is_asked = status == STATUS_OK;
    failpoint(FAILPOINT_VERIFY_ASKED);
    return status;
}

static void remote_fail_silent(struct remote *remote)
{
    char text[ERROR_TEXT_SIZE];
    int64_t ago_min = (clock_wall_us() - remote->member_heard_us) / 60000000;
    if (remote->member_heard_us == 0)
        utf8_format(text, sizeof text, "no answer from %s", remote->base.name);
    else
        utf8_format(text, sizeof text, "no answer from %s (last heard %" PRId64 " min ago)",
                    remote->base.name, ago_min < 0 ? 0 : ago_min);
    remote_fail(remote, text);
    if (!remote->is_heard)
        asker_note_silence(remote->asker, remote->desk);
}

/* Fails a session whose desk is silent, or has needed too long. */
static void remote_judge(struct remote *remote, int64_t now_us)
{
    const struct asker_options *options = asker_options_of(remote->asker);
    int64_t patience_us = options->patience_us * (remote->is_heard ? REMOTE_PATIENCE : 1);
    int64_t limit_us = options->config->limits.scan_time_s * 1000000 + patience_us;
    int64_t since_us = remote->heard_us > remote->asked_us ? remote->heard_us : remote->asked_us;
    if (now_us - remote->begun_us > limit_us)
        remote_fail(remote, "its desk has not answered within `limits.scan_time_s`");
    if (now_us - since_us > patience_us)
        remote_fail_silent(remote);
}

/* Says that the session is still wanted. @return OK; RETRY (it has failed). */
static enum status remote_stay(struct remote *remote, struct error *err)
{
    const struct talk_question keep = {
        .ask = TALK_KEEP, .id = remote->session.id, .number = remote->number, .to = remote->desk};
    int64_t now_us = clock_monotonic_us();
    remote_judge(remote, now_us);
    if (remote->why[0] != '\0' || now_us - remote->written_us < REMOTE_KEEP_US)
        return remote_check(remote, err);
    remote->written_us = now_us;
    return asker_write(remote->asker, &keep, err);
}

static bool remote_is_answered(const struct remote *remote)
{
    return remote->has_answer && remote->parts_taken >= remote->parts;
}

/* Waits for the answer to the last question. What was said while something else was done is heard
 * before the desk is judged. */
static enum status remote_wait(struct remote *remote, struct error *err)
{
    const atomic_bool *stop = asker_options_of(remote->asker)->stop;
    enum status status = remote_check(remote, err);
    while (status == STATUS_OK && !remote_is_answered(remote)) {
        uint64_t rows = remote->rows > remote->rows_taken ? remote->rows : remote->rows_taken;
        if (atomic_load(stop))
            status = error_set(err, STATUS_RETRY, REMOTE_STOPPED);
        if (status == STATUS_OK && remote->tick.call != NULL)
            status = remote->tick.call(remote->tick.context, rows, err);
        if (status == STATUS_OK)
            status = asker_hear(remote->asker, REMOTE_POLL_MS, err);
        if (status == STATUS_OK)
            status = remote_is_answered(remote) ? remote_check(remote, err)
                                                : remote_stay(remote, err);
    }
    remote->is_asked = false;
    failpoint(FAILPOINT_VERIFY_ANSWERED);
    return status;
}

static void remote_end(struct participant *participant)
{
    struct remote *remote = remote_of(participant);
    const struct talk_question end = {.ask = TALK_END,
                                      .id = remote->session.id,
                                      .number = remote->number + 1,
                                      .to = remote->desk};
    struct error ignored = ERROR_INIT;
    if (remote->session.id[0] != '\0' && asker_write(remote->asker, &end, &ignored) != STATUS_OK)
        error_clear(&ignored); /* then its desk ends it, because nobody asks any more */
    remote->session.id[0] = '\0';
    remote->why[0] = '\0';
    remote->number = 0;
    remote->is_asked = remote->is_heard = remote->has_answer = false;
    remote->base.schema = remote->own_schema;
    if (remote->schema != NULL)
        entity_schema_free(remote->schema);
    remote->schema = NULL;
    remote->stamp = (struct stamp){0};
    remote->open_count = 0;
    arena_reset(&remote->arena);
}

static enum status remote_ask_stamp(struct participant *participant, const struct tick *tick,
                                    struct error *err)
{
    struct remote *remote = remote_of(participant);
    const struct asker_options *options = asker_options_of(remote->asker);
    struct talk_question question = {.ask = TALK_STAMP,
                                     .seconds = options->config->limits.scan_time_s,
                                     .entity_type = remote->entity_type,
                                     .topic = remote->base.topic};
    remote_end(participant);
    if (asker_is_silent(remote->asker, remote->desk)) {
        remote_fail_silent(remote);
        return remote_check(remote, err);
    }
    enum status status = asker_join(remote->asker, remote->base.topic, err);
    if (status != STATUS_OK)
        return status;
    uuid_v7(remote->session.id);
    remote->begun_us = clock_monotonic_us();
    return remote_ask(remote, &question, tick, err);
}

static enum status remote_stamp(struct participant *participant, struct stamp *ret_stamp,
                                struct error *err)
{
    struct remote *remote = remote_of(participant);
    const struct tick none = {0};
    enum status status = STATUS_OK;
    if (!remote->is_asked || remote->asked != TALK_STAMP)
        status = remote_ask_stamp(participant, &none, err);
    if (status == STATUS_OK)
        status = remote_wait(remote, err);
    if (status != STATUS_OK)
        return status;
    remote->base.schema = remote->schema;
    remote->stamp.open = remote->open;
    remote->stamp.open_count = remote->open_count;
    if (remote->open_said != remote->open_count)
        remote->stamp.incomparable = "too many changes wait there";
    *ret_stamp = remote->stamp;
    return STATUS_OK;
}

/* The columns that are asked for, as the desk has named them. */
static void remote_columns(const struct remote *remote, const struct question *question,
                           struct talk_column *columns, struct talk_question *talk)
{
    const struct row_columns *asked = question->columns;
    for (size_t i = 0; i < asked->count; i++) {
        const struct column *column = &remote->base.schema->columns[asked->index[i]];
        columns[i] = (struct talk_column){column->name, column->type, column->is_key};
    }
    talk->columns = (struct talk_columns){columns, asked->count};
}

static enum status remote_ask_sums(struct participant *participant, const struct question *question,
                                   struct error *err)
{
    struct remote *remote = remote_of(participant);
    struct talk_column columns[ENTITY_COLUMNS_MAX];
    struct talk_question talk = {.ask = TALK_SUMS,
                                 .left_out = question->left_out,
                                 .left_out_count = question->left_out_count};
    if (question->left_out_count > TALK_LEFT_OUT_MAX)
        return error_set(err, STATUS_RETRY, "too many changes wait: more than %zu entities",
                         TALK_LEFT_OUT_MAX);
    remote_columns(remote, question, columns, &talk);
    return remote_ask(remote, &talk, &question->tick, err);
}

static enum status remote_sums(struct participant *participant, const struct question *question,
                               struct row_sums *ret_sums, struct error *err)
{
    struct remote *remote = remote_of(participant);
    enum status status = STATUS_OK;
    if (!remote->is_asked || remote->asked != TALK_SUMS)
        status = remote_ask_sums(participant, question, err);
    if (status == STATUS_OK)
        status = remote_wait(remote, err);
    if (status != STATUS_OK)
        return status;
    ret_sums->rows += remote->sums.rows;
    for (size_t b = 0; b < ROW_BUCKETS; b++)
        ret_sums->sums[b] += remote->sums.sums[b];
    return STATUS_OK;
}

/* Asks for a list and visits its rows. */
static enum status remote_list_once(struct remote *remote, struct talk_question *talk,
                                    struct error *err)
{
    enum status status = remote_ask(remote, talk, &remote->question->tick, err);
    if (status == STATUS_OK)
        status = remote_wait(remote, err);
    if (status == STATUS_OK && remote->rows != remote->rows_taken)
        status = error_set(err, STATUS_RETRY, "it said %" PRIu64 " rows, and sent %" PRIu64,
                           remote->rows, remote->rows_taken);
    return status;
}

static enum status remote_list_buckets(struct remote *remote, struct talk_question *talk,
                                       struct error *err)
{
    const struct question *question = remote->question;
    uint16_t buckets[ROW_BUCKETS];
    for (size_t b = 0; b < ROW_BUCKETS; b++) {
        if (question->buckets == NULL || question->buckets[b])
            buckets[talk->bucket_count++] = (uint16_t)b;
    }
    talk->ask = TALK_LIST;
    talk->buckets = buckets;
    talk->left_out = question->left_out;
    talk->left_out_count = question->left_out_count;
    return remote_list_once(remote, talk, err);
}

/* As many keys at a time as a message can hold. */
static enum status remote_list_keys(struct remote *remote, struct talk_question *talk,
                                    struct error *err)
{
    const struct question *question = remote->question;
    enum status status = STATUS_OK;
    size_t at_once = TALK_KEYS_MAX;
    talk->ask = TALK_KEYS;
    for (size_t done = 0; status == STATUS_OK && done < question->key_count;) {
        size_t left = question->key_count - done;
        talk->keys = question->keys + done;
        talk->key_count = left < at_once ? left : at_once;
        status = remote_list_once(remote, talk, err);
        if (status == STATUS_REJECT && talk->key_count > 1) {
            at_once = talk->key_count / 2;
            error_clear(err);
            status = STATUS_OK;
        } else {
            done += talk->key_count;
        }
    }
    return status;
}

static enum status remote_list(struct participant *participant, const struct question *question,
                               answer_visit *visit, void *context, struct error *err)
{
    struct remote *remote = remote_of(participant);
    struct talk_column columns[ENTITY_COLUMNS_MAX];
    struct talk_question talk = {.with_rows = question->with_json};
    remote->question = question;
    remote->visit = visit;
    remote->context = context;
    remote_columns(remote, question, columns, &talk);
    enum status status = (question->keys == NULL ? remote_list_buckets
                                                 : remote_list_keys)(remote, &talk, err);
    remote->question = NULL;
    return status;
}

static enum status remote_keep(struct participant *participant, struct error *err)
{
    struct remote *remote = remote_of(participant);
    if (remote->session.id[0] == '\0')
        return STATUS_OK;
    enum status status = asker_hear(remote->asker, 0, err);
    return status == STATUS_OK ? remote_stay(remote, err) : status;
}

static void remote_free(struct participant *participant)
{
    struct remote *remote = remote_of(participant);
    remote_end(participant);
    asker_remove(remote->asker, &remote->session);
    free(remote->open);
    arena_done(&remote->arena);
    arena_done(&remote->texts);
    free(remote);
}

static const struct participant_ops remote_ops = {.ask_stamp = remote_ask_stamp,
                                                  .ask_sums = remote_ask_sums,
                                                  .stamp = remote_stamp,
                                                  .sums = remote_sums,
                                                  .list = remote_list,
                                                  .keep = remote_keep,
                                                  .end = remote_end,
                                                  .free = remote_free};

enum status remote_new(const struct remote_options *options, struct participant **ret_participant,
                       struct error *err)
{
    struct remote *remote = calloc(1, sizeof *remote);
    if (remote == NULL)
        return error_set(err, STATUS_RETRY, "no memory to ask %s", options->service);
    arena_init(&remote->texts, REMOTE_KEYS_MAX);
    arena_init(&remote->arena, REMOTE_KEYS_MAX);
    remote->base = (struct participant){
        .ops = &remote_ops,
        .name = arena_copy(&remote->texts, slice_of(options->service)).data,
        .copy = arena_copy(&remote->texts, slice_of(options->copy)).data,
        .topic = arena_copy(&remote->texts, slice_of(options->topic)).data,
        .schema = options->schema};
    remote->desk = arena_copy(&remote->texts, slice_of(options->desk)).data;
    remote->entity_type = arena_copy(&remote->texts, slice_of(options->entity_type)).data;
    remote->asker = options->asker;
    remote->own_schema = options->schema;
    remote->member_heard_us = options->heard_us;
    remote->session = (struct asker_session){
        .take = remote_take, .refuse = remote_refuse, .context = remote};
    asker_add(options->asker, &remote->session);
    if (remote->base.name == NULL || remote->base.copy == NULL || remote->base.topic == NULL ||
        remote->desk == NULL || remote->entity_type == NULL) {
        remote_free(&remote->base);
        return error_set(err, STATUS_RETRY, "no memory to ask %s", options->service);
    }
    *ret_participant = &remote->base;
    return STATUS_OK;
}
