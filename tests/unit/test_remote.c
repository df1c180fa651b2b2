/* Comparing over desks: what is asked and answered, and what happens to answers that are lost,
 * late, doubled, another's or wrong. The desks answer from arrays. */
#include "operate/compare/remote.h"
#include "schemas/talk_parts.h"
#include "tests/support/compare_case.h"

#include <stdio.h>
#include <sysexits.h>

#define QUEUE_MAX   256
#define ARENA_BYTES ((size_t)64 * 1024 * 1024)

/** What is wrong with the answers of a desk. */
enum fault {
    FAULT_NONE,
    FAULT_SILENT,       /* it never answers */
    FAULT_ENDS,         /* it answers the stamp, and then nothing */
    FAULT_DOUBLED,      /* each message twice */
    FAULT_LATE,         /* the answer to the last question comes again before each one */
    FAULT_OTHER,        /* another instance answers first, with other rows */
    FAULT_PART_LOST,    /* the first part of a list */
    FAULT_ROWS_LOST,    /* a list says more rows than it has */
    FAULT_UNREADABLE,   /* no JSON */
    FAULT_UNASKED_ROWS, /* rows of all buckets */
    FAULT_TOO_LARGE,    /* rows go without their values */
    FAULT_CANNOT,       /* it says why it cannot, when rows are asked for */
};

struct message {
    char *key;
    char *value;
    bool is_part;
};

struct fake_desk {
    struct participant *source;
    char name[64];
    enum fault fault;
    struct stamp stamp;
    struct row_columns columns;
    int64_t number;
    enum talk_ask ask;
    char last[8192]; /* the last answer */
    int asked[TALK_ASKS];
};

struct talk_world {
    struct compare_case *base;
    struct config config;
    atomic_bool stop;
    struct asker *asker;
    struct asker_line line;
    struct fake_desk desks[CASE_SERVICES];
    struct participant *remotes[CASE_SERVICES];
    struct message queue[QUEUE_MAX];
    size_t first;
    size_t count;
    struct arena arena;
    size_t value_bytes_max; /* of a question that was written */
    struct fake_desk *answering;
    const struct talk_question *question;
};

static void queue_put(struct talk_world *world, struct slice key, struct slice value, bool is_part)
{
    assert_true(world->count < QUEUE_MAX);
    struct message *message = &world->queue[(world->first + world->count++) % QUEUE_MAX];
    *message = (struct message){strndup(key.data, key.length), strndup(value.data, value.length),
                                is_part};
}

/* Puts what a desk says into the queue, with its fault. */
static void desk_say(struct talk_world *world, struct slice key, struct slice value, bool is_part)
{
    const struct fake_desk *desk = world->answering;
    bool is_list = world->question->ask == TALK_LIST || world->question->ask == TALK_KEYS;
    if (desk->fault == FAULT_PART_LOST && is_part && strstr(value.data, "\"part\":1,") != NULL)
        return;
    if (desk->fault == FAULT_UNREADABLE && is_list)
        value = slice_of("{\"v\":1");
    queue_put(world, key, value, is_part);
    if (desk->fault == FAULT_DOUBLED)
        queue_put(world, key, value, is_part);
}

static enum status desk_part(void *context, struct slice key, struct slice value, struct error *err)
{
    (void)err;
    desk_say(context, key, value, true);
    return STATUS_OK;
}

static void desk_answer(struct talk_world *world, const struct talk_answer *answer)
{
    struct buffer out;
    buffer_init(&out, TALK_MESSAGE_BYTES_MAX);
    talk_answer_append(answer, &out);
    assert_false(out.failed);
    desk_say(world, slice_of(answer->id), buffer_slice(&out), false);
    buffer_done(&out);
}

static struct talk_parts desk_parts(struct talk_world *world)
{
    struct talk_parts parts = {.id = world->question->id,
                               .number = world->question->number,
                               .ask = world->question->ask,
                               .from = world->answering->name,
                               .write = desk_part,
                               .context = world};
    talk_parts_begin(&parts);
    return parts;
}

static void desk_stamp(struct talk_world *world, struct talk_answer *answer)
{
    static const enum talk_open_reason reasons[] = {[LEFT_OWN] = TALK_OPEN_OWN,
                                                    [LEFT_IMAGE] = TALK_OPEN_IMAGE,
                                                    [LEFT_PARKED] = TALK_OPEN_PARKED};
    struct fake_desk *desk = world->answering;
    struct talk_parts parts = desk_parts(world);
    struct error err = ERROR_INIT;
    desk->source->ops->end(desk->source);
    if (desk->source->ops->stamp(desk->source, &desk->stamp, &err) != STATUS_OK)
        answer->why = test_format("%s", err.text);
    else if (desk->stamp.incomparable != NULL)
        answer->why = desk->stamp.incomparable;
    answer->cluster_id = desk->stamp.cluster_id;
    answer->offsets = desk->stamp.offsets;
    answer->partition_count = (size_t)desk->stamp.partition_count;
    answer->open_count = desk->stamp.open_count;
    if (talk_columns_of(desk->source->schema, &world->arena, &answer->columns, &err) != STATUS_OK)
        test_fail("%s", err.text);
    for (size_t i = 0; answer->why == NULL && i < desk->stamp.open_count; i++) {
        const struct talk_open open = {desk->stamp.open[i].key,
                                       reasons[desk->stamp.open[i].reason]};
        if (talk_parts_open(&parts, &open, &err) != STATUS_OK)
            test_fail("%s", err.text);
    }
    if (talk_parts_end(&parts, &err) != STATUS_OK)
        test_fail("%s", err.text);
    answer->parts = parts.count;
    talk_parts_done(&parts);
}

static struct question desk_question(struct talk_world *world, bool *buckets)
{
    const struct talk_question *asked = world->question;
    struct fake_desk *desk = world->answering;
    struct error err = ERROR_INIT;
    if (talk_columns_find(desk->source->schema, &asked->columns, &desk->columns, &err) != STATUS_OK)
        test_fail("%s", err.text);
    for (size_t i = 0; i < asked->bucket_count; i++)
        buckets[asked->buckets[i]] = true;
    return (struct question){
        .columns = &desk->columns,
        .left_out = asked->left_out,
        .left_out_count = asked->left_out_count,
        .buckets = asked->ask == TALK_LIST && desk->fault != FAULT_UNASKED_ROWS ? buckets : NULL,
        .keys = asked->ask == TALK_KEYS ? asked->keys : NULL,
        .key_count = asked->key_count,
        .with_json = asked->with_rows && desk->fault != FAULT_TOO_LARGE};
}

static enum status desk_row(void *context, const struct answered_row *row, struct error *err)
{
    const struct talk_row said = {
        .key = row->key, .digest = row->digest, .json = row->json, .is_unfit = row->is_unfit};
    return talk_parts_row(context, &said, err);
}

static void desk_rows(struct talk_world *world, struct talk_answer *answer)
{
    static struct row_sums sums;
    struct fake_desk *desk = world->answering;
    struct error err = ERROR_INIT;
    bool buckets[ROW_BUCKETS] = {false};
    const struct question question = desk_question(world, buckets);
    struct talk_parts parts = desk_parts(world);
    enum status status;
    sums = (struct row_sums){0};
    if (world->question->ask == TALK_SUMS)
        status = desk->source->ops->sums(desk->source, &question, &sums, &err);
    else
        status = desk->source->ops->list(desk->source, &question, desk_row, &parts, &err);
    if (status == STATUS_OK)
        status = talk_parts_end(&parts, &err);
    if (desk->fault == FAULT_CANNOT)
        status = error_set(&err, STATUS_RETRY, "it gave way to a migration");
    if (status != STATUS_OK)
        answer->why = test_format("%s", err.text);
    answer->rows = world->question->ask == TALK_SUMS ? sums.rows : parts.entries;
    answer->rows += desk->fault == FAULT_ROWS_LOST && world->question->ask != TALK_SUMS;
    answer->sums = sums.sums;
    answer->parts = parts.count;
    talk_parts_done(&parts);
}

/* What is of another session, of another desk or to another question must not be taken. */
static void desk_mislead(struct talk_world *world, const struct talk_answer *answer)
{
    static const uint64_t sums[ROW_BUCKETS] = {1};
    const struct fake_desk *desk = world->answering;
    struct talk_answer wrong = {.ask = answer->ask,
                                .id = answer->id,
                                .number = answer->number,
                                .from = "billing/0193/2",
                                .why = "another instance cannot"};
    if (desk->fault == FAULT_OTHER)
        desk_answer(world, &wrong);
    if (desk->fault != FAULT_LATE)
        return;
    wrong = (struct talk_answer){.ask = TALK_SUMS,
                                 .id = answer->id,
                                 .number = answer->number + 1,
                                 .from = desk->name,
                                 .rows = 999,
                                 .sums = sums};
    desk_answer(world, &wrong);
    if (answer->number > 1) {
        wrong.number = answer->number - 1;
        desk_answer(world, &wrong);
    }
}

static bool desk_is_silent(const struct fake_desk *desk, enum talk_ask ask)
{
    return desk->fault == FAULT_SILENT || (desk->fault == FAULT_ENDS && ask != TALK_STAMP);
}

static void desk_hear(struct talk_world *world, struct fake_desk *desk,
                      const struct talk_question *question)
{
    struct talk_answer answer = {
        .ask = question->ask, .id = question->id, .number = question->number, .from = desk->name};
    desk->asked[question->ask]++;
    world->answering = desk;
    world->question = question;
    if (question->ask == TALK_END)
        desk->source->ops->end(desk->source);
    if (question->ask == TALK_END || desk_is_silent(desk, question->ask))
        return;
    desk_mislead(world, &answer);
    if (question->ask == TALK_STAMP)
        desk_stamp(world, &answer);
    else if (question->ask != TALK_KEEP)
        desk_rows(world, &answer);
    desk_answer(world, &answer);
}

static enum status line_join(void *context, const char *data_topic, struct error *err)
{
    (void)context;
    (void)err;
    assert_true(data_topic == NULL || strcmp(data_topic, "order") == 0);
    return STATUS_OK;
}

static enum status line_write(void *context, struct slice key, struct slice value,
                              struct error *err)
{
    struct talk_world *world = context;
    struct talk_message message;
    arena_reset(&world->arena);
    queue_put(world, key, value, false); /* who asks reads it too */
    if (value.length > world->value_bytes_max)
        world->value_bytes_max = value.length;
    if (talk_message_read(value, &world->arena, &message, err) != STATUS_OK)
        test_fail("%s", err->text);
    assert_int_equal(message.kind, TALK_QUESTION);
    assert_true(slice_is(key, message.question.id));
    assert_string_equal(message.question.from, "shop");
    for (size_t i = 0; i < world->base->options.count; i++) {
        if (strcmp(world->desks[i].name, message.question.to) == 0)
            desk_hear(world, &world->desks[i], &message.question);
    }
    return STATUS_OK;
}

static enum status line_poll(void *context, int timeout_ms, struct kafka_talk_record *ret_record,
                             struct error *err)
{
    struct talk_world *world = context;
    static struct message taken;
    (void)timeout_ms;
    (void)err;
    *ret_record = (struct kafka_talk_record){0};
    if (world->count == 0)
        return STATUS_OK;
    free(taken.key);
    free(taken.value);
    taken = world->queue[world->first % QUEUE_MAX];
    world->first++;
    world->count--;
    *ret_record = (struct kafka_talk_record){.data_topic = taken.is_part ? "order" : NULL,
                                             .key = slice_of(taken.key),
                                             .value = slice_of(taken.value)};
    return STATUS_OK;
}

/* All services but the first `local` are asked over desks. */
static struct talk_world *world_begin(size_t services, size_t local)
{
    struct talk_world *world = calloc(1, sizeof *world);
    struct error err = ERROR_INIT;
    world->base = case_begin(services);
    world->config = (struct config){.service = (char *)(uintptr_t) "shop",
                                    .limits = {.scan_time_s = 600}};
    arena_init(&world->arena, ARENA_BYTES);
    world->line = (struct asker_line){line_join, line_write, line_poll, world};
    const struct asker_options options = {.config = &world->config,
                                          .stop = &world->stop,
                                          .line = &world->line,
                                          .patience_us = 200000};
    if (asker_open(&options, &world->asker, &err) != STATUS_OK)
        test_fail("%s", err.text);
    for (size_t i = local; i < services; i++) {
        struct fake_desk *desk = &world->desks[i];
        desk->source = world->base->participants[i];
        (void)snprintf(desk->name, sizeof desk->name, "%s/0193/1", desk->source->name);
        const struct remote_options remote = {.asker = world->asker,
                                              .service = desk->source->name,
                                              .copy = "0193",
                                              .desk = desk->name,
                                              .entity_type = "order",
                                              .topic = "order",
                                              .schema = world->base->schema,
                                              .heard_us = 1};
        if (remote_new(&remote, &world->remotes[i], &err) != STATUS_OK)
            test_fail("%s", err.text);
        world->base->participants[i] = world->remotes[i];
    }
    return world;
}

static void world_end(struct talk_world *world)
{
    for (size_t i = 0; i < CASE_SERVICES; i++) {
        if (world->remotes[i] != NULL)
            world->remotes[i]->ops->free(world->remotes[i]);
    }
    asker_close(world->asker);
    while (world->count > 0) {
        struct kafka_talk_record record;
        struct error err = ERROR_INIT;
        (void)line_poll(world, 0, &record, &err);
    }
    arena_done(&world->arena);
    case_end(world->base);
    free(world);
}

/* Differences of each kind, an open entity and one that the log mentions. */
static void set_differences(struct compare_case *base)
{
    case_set(base, BILLING, 0, 2, 99);
    case_set(base, BILLING, 0, 3, CASE_NO_ROW);
    case_set(base, BILLING, 0, 7, 7);
    case_set(base, BILLING, 0, 4, 77);
    case_set(base, BILLING, 1, 4, 4);
    case_open(base, BILLING, 0, 4, LEFT_OWN);
    case_settle(base, BILLING, 1, 4);
    case_open(base, BILLING, 0, 5, LEFT_PARKED);
    case_move(base, SHOP, 0, 0, 13);
    case_move(base, SHIPPING, 0, 0, 13);
    case_mention(base, 0, 12, 1);
}

static void assert_differences(const struct compare_case *base)
{
    assert_string_equal(case_differences(base, BILLING), "2 differs, 3 missing, 7 extra");
    assert_string_equal(case_left(base), "5 parked at billing, 1 changed at billing");
}

static void copies_are_compared_over_desks_as_they_are_here(void **state)
{
    (void)state;
    for (size_t local = 0; local < 3; local++) {
        struct talk_world *world = world_begin(3, local);
        set_differences(world->base);
        assert_int_equal(case_run(world->base), EX_DATAERR);
        assert_differences(world->base);
        case_assert_state(world->base, SHIPPING, COPY_EQUAL, "");
        world_end(world);
    }
}

static void rows_that_differ_are_shown(void **state)
{
    (void)state;
    struct talk_world *world = world_begin(2, 0);
    world->base->options.with_rows = true;
    case_set(world->base, BILLING, 0, 2, 99);
    case_set(world->base, BILLING, 0, 3, CASE_NO_ROW);
    assert_int_equal(case_run(world->base), EX_DATAERR);
    assert_string_equal(case_differences(world->base, BILLING),
                        "2 differs ({\"id\":2,\"n\":2} -> {\"id\":2,\"n\":99}), "
                        "3 missing ({\"id\":3,\"n\":3} -> )");
    world_end(world);
}

static void answers_that_are_doubled_late_or_anothers_change_nothing(void **state)
{
    static const enum fault faults[] = {FAULT_DOUBLED, FAULT_LATE, FAULT_OTHER};
    (void)state;
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        struct talk_world *world = world_begin(2, 0);
        set_differences(world->base);
        world->desks[SHOP].fault = world->desks[BILLING].fault = faults[i];
        assert_int_equal(case_run(world->base), EX_DATAERR);
        assert_differences(world->base);
        world_end(world);
    }
}

static void a_desk_whose_answer_is_wrong_is_not_compared(void **state)
{
    static const struct {
        enum fault fault;
        const char *reason;
    } cases[] = {
        {FAULT_PART_LOST, "no answer from billing"},
        {FAULT_ROWS_LOST, "it said 2 rows, and sent 1"},
        {FAULT_UNREADABLE, "the answer of its desk cannot be read: it is no JSON object"},
        {FAULT_UNASKED_ROWS, "rows that were not asked for"},
        {FAULT_CANNOT, "it gave way to a migration"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct talk_world *world = world_begin(3, 1);
        case_set(world->base, BILLING, 0, 2, 99);
        world->desks[BILLING].fault = cases[i].fault;
        (void)case_run(world->base);
        if (strstr(world->base->result.copies[BILLING].reason, cases[i].reason) == NULL)
            test_fail("%s", world->base->result.copies[BILLING].reason);
        case_assert_state(world->base, SHIPPING, COPY_EQUAL, "");
        world_end(world);
    }
}

static void a_silent_desk_is_told_and_the_others_are_compared(void **state)
{
    (void)state;
    struct talk_world *world = world_begin(3, 1);
    world->desks[BILLING].fault = FAULT_SILENT;
    assert_int_equal(case_run(world->base), EX_TEMPFAIL);
    case_assert_state(world->base, BILLING, COPY_NOT_COMPARED,
                      "no answer from billing (last heard ");
    case_assert_state(world->base, SHIPPING, COPY_EQUAL, "");
    assert_int_equal(world->desks[SHIPPING].asked[TALK_END], 1);
    (void)case_run(world->base); /* the next entity type does not wait for it again */
    assert_int_equal(world->desks[BILLING].asked[TALK_STAMP], 1);
    case_assert_state(world->base, BILLING, COPY_NOT_COMPARED,
                      "no answer from billing (last heard ");
    world_end(world);
}

static void a_desk_that_ends_between_two_questions_is_not_waited_for(void **state)
{
    (void)state;
    struct talk_world *world = world_begin(3, 0);
    world->desks[BILLING].fault = FAULT_ENDS;
    assert_int_equal(case_run(world->base), EX_TEMPFAIL);
    case_assert_state(world->base, BILLING, COPY_NOT_COMPARED, "no answer from billing");
    case_assert_state(world->base, SHIPPING, COPY_EQUAL, "");
    world->desks[BILLING].fault = FAULT_NONE;
    assert_int_equal(case_run(world->base), EX_OK);
    world_end(world);
}

static void an_answer_that_came_while_a_slow_database_was_read_counts(void **state)
{
    (void)state;
    struct talk_world *world = world_begin(2, 1);
    world->base->services[SHOP].sleep_ms = 900; /* longer than a desk is waited for */
    assert_int_equal(case_run(world->base), EX_OK);
    case_assert_state(world->base, BILLING, COPY_EQUAL, "");
    world_end(world);
}

static void a_row_that_no_message_can_hold_is_a_difference_without_values(void **state)
{
    (void)state;
    struct talk_world *world = world_begin(2, 0);
    world->base->options.with_rows = true;
    world->desks[BILLING].fault = FAULT_TOO_LARGE;
    case_set(world->base, BILLING, 0, 2, 99);
    assert_int_equal(case_run(world->base), EX_DATAERR);
    assert_int_equal(world->base->result.copies[BILLING].counts[DIFFERENCE_VALUE], 1);
    assert_null(world->base->result.copies[BILLING].differences[0].copy_row.data);
    world_end(world);
}

static enum status never_visit(void *context, const struct answered_row *row, struct error *err)
{
    (void)row;
    (void)err;
    (*(int *)context)++;
    return STATUS_OK;
}

static void many_keys_are_asked_for_in_questions_that_fit(void **state)
{
    enum { COUNT = 25000, KEY_SIZE = 100 };
    (void)state;
    struct talk_world *world = world_begin(2, 0);
    struct participant *remote = world->remotes[BILLING];
    struct slice *keys = calloc(COUNT, sizeof *keys);
    char *texts = calloc(COUNT, KEY_SIZE);
    struct stamp stamp;
    struct row_columns columns;
    struct error err = ERROR_INIT;
    int rows = 0;
    for (size_t i = 0; i < COUNT; i++) {
        char *text = texts + i * KEY_SIZE;
        (void)snprintf(text, KEY_SIZE, i == 20000 ? "{\"id\":3}" : "{\"id\":%090zu}", i);
        keys[i] = slice_of(text);
    }
    if (remote->ops->stamp(remote, &stamp, &err) != STATUS_OK ||
        row_columns_find(remote->schema, remote->schema, &columns, &err) != STATUS_OK)
        test_fail("%s", err.text);
    const struct question question = {.columns = &columns, .keys = keys, .key_count = COUNT};
    if (remote->ops->list(remote, &question, never_visit, &rows, &err) != STATUS_OK)
        test_fail("%s", err.text);
    assert_int_equal(rows, 1);
    assert_in_range(world->desks[BILLING].asked[TALK_KEYS], 3, 10);
    assert_true(world->value_bytes_max <= TALK_MESSAGE_BYTES_MAX);
    free(keys);
    free(texts);
    world_end(world);
}

static void a_comparison_that_is_stopped_waits_for_nobody(void **state)
{
    (void)state;
    struct talk_world *world = world_begin(2, 0);
    world->desks[BILLING].fault = FAULT_SILENT;
    world->stop = true;
    assert_int_equal(case_run(world->base), EX_TEMPFAIL);
    case_assert_state(world->base, BILLING, COPY_NOT_COMPARED, "stopped");
    world_end(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(copies_are_compared_over_desks_as_they_are_here),
        TEST(rows_that_differ_are_shown),
        TEST(answers_that_are_doubled_late_or_anothers_change_nothing),
        TEST(a_desk_whose_answer_is_wrong_is_not_compared),
        TEST(a_silent_desk_is_told_and_the_others_are_compared),
        TEST(a_desk_that_ends_between_two_questions_is_not_waited_for),
        TEST(an_answer_that_came_while_a_slow_database_was_read_counts),
        TEST(a_row_that_no_message_can_hold_is_a_difference_without_values),
        TEST(many_keys_are_asked_for_in_questions_that_fit),
        TEST(a_comparison_that_is_stopped_waits_for_nobody),
    };
    return TEST_RUN(tests);
}
