/* Questions are produced like any record; answers are looked for among all records of a topic. */
#include "tests/support/asking.h"

#include "common/clock.h"
#include "tests/support/sidecar.h"

#include <stdio.h>
#include <unistd.h>

#define ANSWER_MS   600000 /* at least; a longer session is waited for to its end */
#define MEMBER_MS   60000
#define KEEP_MS     20000 /* a session ends that is asked nothing for 60 s */
#define LISTEN_MS   5000  /* before a desk is asked again */
#define POLL_US     200000
#define ARENA_BYTES ((size_t)512 * 1024 * 1024)

static const char *talk_topic(void)
{
    return sidecar_topic("keepstep-talk");
}

static const char *rows_topic(const struct asking *asking)
{
    return test_format("%s-%s", sidecar_topic("keepstep-rows"), asking->topic);
}

/* Whoever asks makes the topic of the answers. */
static void make_rows_topic(const struct asking *asking)
{
    static const char *made = "";
    const char *topic = rows_topic(asking);
    if (strcmp(made, topic) == 0)
        return;
    kafka_create_topic(asking->kafka, topic, 1, NULL);
    made = topic;
}

/* What is looked for in a topic. */
struct looking {
    struct kafka *kafka;
    const struct talk_question *question;
    const char *service;
    const char *desk;
    struct arena *arena;   /* of what is found */
    struct arena *scratch; /* of what is looked at */
    const struct talk_answer *answer;
};

static void look_for_member(const struct kafka_record *record, void *context)
{
    struct looking *looking = context;
    const char *start = test_format("member/%s/", looking->service);
    if (record->key.length > strlen(start) && record->value.data != NULL &&
        memcmp(record->key.data, start, strlen(start)) == 0)
        looking->desk = test_format("%.*s", (int)(record->key.length - strlen("member/")),
                                    record->key.data + strlen("member/"));
}

static bool member_is_there(void *context)
{
    struct looking *looking = context;
    (void)kafka_consume_all(looking->kafka, sidecar_topic("keepstep"), look_for_member, looking);
    return looking->desk != NULL;
}

struct asking asking_make(struct kafka *kafka, const char *service)
{
    struct looking looking = {.kafka = kafka, .service = service};
    if (!test_wait(member_is_there, &looking, MEMBER_MS))
        test_fail("%s does not report", service);
    const struct asking asking = {
        .kafka = kafka, .desk = looking.desk, .topic = sidecar_topic("item")};
    make_rows_topic(&asking);
    return asking;
}

struct talk_question asking_next(struct asking *asking, enum talk_ask ask)
{
    static const struct talk_column columns[] = {{"id", COLUMN_INTEGER, true},
                                                 {"name", COLUMN_TEXT, false}};
    return (struct talk_question){.ask = ask,
                                  .id = asking->id,
                                  .number = ask == TALK_KEEP ? asking->number : ++asking->number,
                                  .to = asking->desk,
                                  .from = "test",
                                  .seconds = 60,
                                  .entity_type = "item",
                                  .topic = asking->topic,
                                  .columns = {columns, sizeof columns / sizeof *columns}};
}

void asking_ask(const struct asking *asking, const struct talk_question *question)
{
    struct buffer text;
    buffer_init(&text, TALK_MESSAGE_BYTES_MAX);
    talk_question_append(question, &text);
    assert_false(text.failed);
    (void)kafka_produce(asking->kafka, talk_topic(), 0, question->id, buffer_text(&text), NULL);
    buffer_done(&text);
}

static bool look_read(const struct looking *looking, const struct kafka_record *record,
                      struct arena *arena, struct talk_message *ret_message)
{
    struct error err = ERROR_INIT;
    return slice_is(record->key, looking->question->id) &&
           talk_message_read(record->value, arena, ret_message, &err) == STATUS_OK;
}

static void look_for_answer(const struct kafka_record *record, void *context)
{
    struct looking *looking = context;
    struct talk_message seen;
    arena_reset(looking->scratch);
    if (!look_read(looking, record, looking->scratch, &seen) || seen.kind != TALK_ANSWER ||
        seen.answer.number != looking->question->number ||
        (seen.answer.ask != looking->question->ask && seen.answer.why == NULL))
        return; /* a session that is not kept any more has ended, whatever was asked */
    struct talk_message *message = arena_alloc(looking->arena, sizeof *message);
    assert_non_null(message);
    assert_true(look_read(looking, record, looking->arena, message));
    looking->answer = &message->answer;
}

static const struct talk_answer *
answer_within(const struct asking *asking, const struct talk_question *question, int64_t limit_ms)
{
    static struct arena arena;
    struct arena scratch;
    struct looking looking = {.question = question, .arena = &arena, .scratch = &scratch};
    if (arena.size_max == 0)
        arena_init(&arena, ARENA_BYTES);
    arena_init(&scratch, ARENA_BYTES);
    int64_t until_us = clock_monotonic_us() + limit_ms * 1000;
    while (looking.answer == NULL && clock_monotonic_us() < until_us) {
        (void)kafka_consume_all(asking->kafka, talk_topic(), look_for_answer, &looking);
        if (looking.answer == NULL)
            (void)kafka_consume_all(asking->kafka, rows_topic(asking), look_for_answer, &looking);
        if (looking.answer == NULL)
            (void)usleep(POLL_US);
    }
    arena_done(&scratch);
    return looking.answer;
}

const struct talk_answer *asking_answer(const struct asking *asking,
                                        const struct talk_question *question)
{
    const struct talk_answer *answer = NULL;
    int64_t limit_ms = asking->seconds * 1000 > ANSWER_MS ? asking->seconds * 1000 : ANSWER_MS;
    for (int64_t i = 0; answer == NULL && i < limit_ms / KEEP_MS; i++) {
        struct asking kept = *asking;
        const struct talk_question keep = asking_next(&kept, TALK_KEEP);
        if (i > 0)
            asking_ask(asking, &keep);
        answer = answer_within(asking, question, KEEP_MS);
    }
    if (answer == NULL)
        test_fail("%s does not answer %s", asking->desk, talk_ask_name(question->ask));
    return answer;
}

const struct talk_answer *asking_run(const struct asking *asking,
                                     const struct talk_question *question)
{
    asking_ask(asking, question);
    return asking_answer(asking, question);
}

const struct talk_answer *asking_begin(struct asking *asking, int64_t seconds)
{
    const struct talk_answer *answer = NULL;
    for (int i = 0; answer == NULL && i < MEMBER_MS / LISTEN_MS; i++) {
        uuid_v7(asking->id);
        asking->number = 0;
        asking->seconds = seconds;
        struct talk_question stamp = asking_next(asking, TALK_STAMP);
        stamp.seconds = seconds;
        asking_ask(asking, &stamp);
        answer = answer_within(asking, &stamp, LISTEN_MS);
    }
    if (answer == NULL || answer->why != NULL)
        test_fail("%s: %s", asking->desk, answer == NULL ? "no answer" : answer->why);
    return answer;
}

struct row_lines {
    struct looking looking;
    char *lines[64];
    size_t count;
};

static void look_for_rows(const struct kafka_record *record, void *context)
{
    struct row_lines *lines = context;
    struct talk_message message;
    if (!look_read(&lines->looking, record, lines->looking.arena, &message) ||
        message.kind != TALK_PART || message.part.number != lines->looking.question->number)
        return;
    for (size_t i = 0; i < message.part.row_count; i++) {
        const struct talk_row *row = &message.part.rows[i];
        assert_true(lines->count < sizeof lines->lines / sizeof *lines->lines);
        lines->lines[lines->count++] = (char *)(uintptr_t)test_format(
            "%.*s %.*s\n", SLICE_ARGS(row->key), SLICE_ARGS(row->json));
    }
}

static int compare_lines(const void *one, const void *other)
{
    return strcmp(*(char *const *)one, *(char *const *)other);
}

const char *asking_rows(const struct asking *asking, const struct talk_question *question)
{
    struct arena arena;
    struct row_lines lines = {.looking = {.question = question, .arena = &arena}};
    const char *text = "";
    arena_init(&arena, ARENA_BYTES);
    (void)kafka_consume_all(asking->kafka, rows_topic(asking), look_for_rows, &lines);
    qsort(lines.lines, lines.count, sizeof *lines.lines, compare_lines);
    for (size_t i = 0; i < lines.count; i++)
        text = test_format("%s%s", text, lines.lines[i]);
    arena_done(&arena);
    return text;
}
