/* Participants that answer from numbers, and a topic that is an array. */
#include "tests/support/desk_case.h"

#include <stdio.h>

#define ARENA_BYTES  ((size_t)256 * 1024 * 1024)
#define COUNT(array) (sizeof(array) / sizeof *(array))

struct fake {
    struct participant base;
    struct desk_case *world;
    bool has_snapshot;
};

static struct desk_case *the_world; /* there is one at a time */

static struct fake *fake_of(struct participant *participant)
{
    return (struct fake *)participant;
}

static enum status fake_stamp(struct participant *participant, struct stamp *ret_stamp,
                              struct error *err)
{
    static const int64_t offsets[] = {7, 9};
    struct fake *fake = fake_of(participant);
    (void)err;
    fake->has_snapshot = true;
    fake->world->open_now++;
    *ret_stamp = (struct stamp){.incomparable = fake->world->incomparable,
                                .cluster_id = "cluster",
                                .offsets = offsets,
                                .partition_count = COUNT(offsets),
                                .open = fake->world->open,
                                .open_count = fake->world->open_count};
    return STATUS_OK;
}

static bool fake_wants(const struct question *question, const struct answered_row *row)
{
    for (size_t i = 0; i < question->key_count; i++) {
        if (slice_equal(question->keys[i], row->key))
            return true;
    }
    for (size_t i = 0; i < question->left_out_count; i++) {
        if (question->left_out[i] == row->key_digest)
            return false;
    }
    return question->keys == NULL &&
           (question->buckets == NULL || question->buckets[row_bucket(row->key_digest)]);
}

static enum status fake_rows(struct fake *fake, const struct question *question,
                             answer_visit *visit, void *context, struct error *err)
{
    struct desk_case *world = fake->world;
    enum status status = STATUS_OK;
    char *json = calloc(1, world->value_bytes + 64);
    if (json == NULL)
        return error_set(err, STATUS_RETRY, "no memory for a row");
    assert_true(fake->has_snapshot);
    world->scans++;
    world->scans_now++;
    world->scans_most = world->scans_now > world->scans_most ? world->scans_now : world->scans_most;
    for (int id = 0; status == STATUS_OK && id < world->rows; id++) {
        char key[32];
        int length = snprintf(key, sizeof key, "{\"id\":%d}", id);
        struct answered_row row = {.key = {key, (size_t)length}, .digest = (uint64_t)id + 1};
        row.key_digest = row_key_digest(row.key);
        int head = snprintf(json, 64, "{\"id\":%d,\"state\":\"", id);
        memset(json + head, 'x', world->value_bytes);
        memcpy(json + head + world->value_bytes, "\"}", 3);
        if (question->with_json)
            row.json = slice_of(json);
        status = question->tick.call(question->tick.context, (uint64_t)id + 1, err);
        if (status == STATUS_OK && fake_wants(question, &row))
            status = visit(context, &row, err);
    }
    if (status == STATUS_OK && world->list_fails != NULL)
        status = error_set_native(err, STATUS_RETRY, world->native_code, "%s", world->list_fails);
    world->scans_now--;
    free(json);
    return status;
}

static enum status fake_add(void *context, const struct answered_row *row, struct error *err)
{
    (void)err;
    row_sums_add(context, row->key_digest, row->digest);
    return STATUS_OK;
}

static enum status fake_sums(struct participant *participant, const struct question *question,
                             struct row_sums *ret_sums, struct error *err)
{
    return fake_rows(fake_of(participant), question, fake_add, ret_sums, err);
}

static enum status fake_list(struct participant *participant, const struct question *question,
                             answer_visit *visit, void *context, struct error *err)
{
    return fake_rows(fake_of(participant), question, visit, context, err);
}

static enum status fake_keep(struct participant *participant, struct error *err)
{
    struct desk_case *world = fake_of(participant)->world;
    world->kept++;
    return world->keep_fails == NULL
               ? STATUS_OK
               : error_set_native(err, STATUS_RETRY, world->native_code, "%s", world->keep_fails);
}

static void fake_end(struct participant *participant)
{
    struct fake *fake = fake_of(participant);
    fake->world->open_now -= fake->has_snapshot;
    fake->has_snapshot = false;
}

static void fake_free(struct participant *participant)
{
    fake_end(participant);
    free(participant);
}

static const struct participant_ops fake_ops = {.stamp = fake_stamp,
                                                .sums = fake_sums,
                                                .list = fake_list,
                                                .keep = fake_keep,
                                                .end = fake_end,
                                                .free = fake_free};

static enum status case_open(const struct participant_options *options,
                             struct participant **ret_participant, struct error *err)
{
    struct fake *fake = NULL;
    if (strcmp(options->entity_type, "order") != 0)
        return error_set(err, STATUS_REJECT, "billing has no rows of that type");
    fake = calloc(1, sizeof *fake);
    if (fake == NULL)
        return error_set(err, STATUS_RETRY, "no memory for a participant");
    *fake = (struct fake){.base = {.ops = &fake_ops,
                                   .name = "billing",
                                   .copy = the_world->copy,
                                   .topic = "order",
                                   .schema = the_world->schema},
                          .world = the_world};
    *ret_participant = &fake->base;
    return STATUS_OK;
}

static enum status case_write(void *context, const char *data_topic, struct slice key,
                              struct slice value, struct error *err)
{
    struct desk_case *world = context;
    (void)key;
    if (world->write_fails)
        return error_set(err, STATUS_RETRY, "the broker is away");
    if (world->is_too_large && data_topic != NULL)
        return error_set(err, STATUS_REJECT, "the record is too large");
    assert_true(world->answer_count < COUNT(world->answers));
    if (talk_message_read(value, &world->arena, &world->answers[world->answer_count], err) !=
        STATUS_OK)
        test_fail("an answer cannot be read: %s", err->text);
    world->topics[world->answer_count++] = data_topic;
    return STATUS_OK;
}

static void case_say(void *context, const char *text)
{
    struct desk_case *world = context;
    buffer_append_text(&world->said, text);
}

static void case_hear(void *context)
{
    struct desk_case *world = context;
    if (world->heard < world->asked_count)
        desk_take(world, world->asked[world->heard++]);
}

static void case_schema(struct desk_case *world)
{
    static const char text[] =
        "{\"x-keepstep-key\":[\"id\"],\"properties\":{\"id\":{\"type\":\"integer\"},"
        "\"state\":{\"type\":[\"string\",\"null\"],\"x-keepstep-type\":\"text\"}}}";
    struct error err = ERROR_INIT;
    test_write_file(test_path("order.schema.json"), text);
    if (entity_schema_new(test_directory(), "order", &world->schema, &err) != STATUS_OK)
        test_fail("%s", err.text);
}

struct desk_case *desk_begin(size_t snapshots)
{
    static char name[] = "billing";
    static char topic[] = "order";
    struct desk_case *world = calloc(1, sizeof *world);
    assert_non_null(world);
    the_world = world;
    case_schema(world);
    arena_init(&world->arena, ARENA_BYTES);
    buffer_init(&world->said, 4096);
    world->rows = 3;
    world->copy = "0193";
    world->entry = (struct config_entry){.entity_type = topic, .topic = topic};
    world->config = (struct config){
        .service = name,
        .apply = &world->entry,
        .apply_count = 1,
        .limits = {.snapshots = (int64_t)snapshots, .scan_time_s = 600, .open_entities = 100}};
    world->service.config = &world->config;
    world->options = (struct sessions_options){.desk = {.name = DESK_NAME,
                                                        .service = &world->service,
                                                        .open = case_open,
                                                        .write = case_write,
                                                        .say = case_say,
                                                        .context = world},
                                               .hear = case_hear,
                                               .metrics = &world->metrics,
                                               .idle_s = TALK_IDLE_S,
                                               .report_wishes = &world->report_wishes,
                                               .stop = &world->stop};
    world->sessions = sessions_new(&world->options);
    assert_non_null(world->sessions);
    return world;
}

void desk_end(struct desk_case *world)
{
    sessions_free(world->sessions);
    assert_int_equal(world->open_now, 0);
    assert_int_equal(atomic_load(&world->metrics.snapshots_open), 0);
    entity_schema_free(world->schema);
    arena_done(&world->arena);
    buffer_done(&world->said);
    free(world);
}

struct talk_question desk_question(enum talk_ask ask, const char *id, int64_t number)
{
    static const struct talk_column columns[] = {{"id", COLUMN_INTEGER, true},
                                                 {"state", COLUMN_TEXT, false}};
    return (struct talk_question){.ask = ask,
                                  .id = id,
                                  .number = number,
                                  .to = DESK_NAME,
                                  .from = "shop",
                                  .seconds = 60,
                                  .entity_type = "order",
                                  .topic = "order",
                                  .columns = {columns, COUNT(columns)}};
}

const char *desk_text(const struct talk_question *question)
{
    struct buffer text;
    buffer_init(&text, TALK_MESSAGE_BYTES_MAX);
    talk_question_append(question, &text);
    assert_false(text.failed);
    const char *kept = test_format("%s", buffer_text(&text));
    buffer_done(&text);
    return kept;
}

void desk_take(struct desk_case *world, const char *text)
{
    struct error err = ERROR_INIT;
    enum status status = sessions_take(world->sessions, slice_of(text), &err);
    assert_int_equal(status, world->write_fails ? err.status : STATUS_OK);
}

void desk_ask(struct desk_case *world, const struct talk_question *question)
{
    desk_take(world, desk_text(question));
}

void desk_answer(struct desk_case *world)
{
    struct error err = ERROR_INIT;
    while (sessions_wait(world->sessions)) {
        enum status status = sessions_answer(world->sessions, &err);
        assert_int_equal(status, world->write_fails ? STATUS_RETRY : STATUS_OK);
    }
}

const struct talk_answer *desk_last(const struct desk_case *world)
{
    for (size_t i = world->answer_count; i > 0; i--) {
        const struct talk_answer *answer = &world->answers[i - 1].answer;
        bool is_of_rows = answer->why == NULL && answer->ask != TALK_KEEP;
        if (world->answers[i - 1].kind == TALK_PART)
            continue;
        assert_string_equal(world->topics[i - 1] == NULL ? "" : world->topics[i - 1],
                            is_of_rows ? "order" : "");
        return answer;
    }
    test_fail("nothing was answered");
}

void desk_assert_last(const struct desk_case *world, const struct talk_question *question,
                      const char *why)
{
    const struct talk_answer *answer = desk_last(world);
    assert_int_equal(answer->ask, question->ask);
    assert_string_equal(answer->id, question->id);
    assert_int_equal(answer->number, question->number);
    assert_string_equal(answer->from, DESK_NAME);
    assert_string_equal(answer->why == NULL ? "" : answer->why, why);
}

void desk_ask_and_answer(struct desk_case *world, const struct talk_question *question)
{
    desk_ask(world, question);
    desk_answer(world);
}

void desk_begin_session(struct desk_case *world, const char *id)
{
    const struct talk_question stamp = desk_question(TALK_STAMP, id, 1);
    desk_ask(world, &stamp);
    desk_assert_last(world, &stamp, "");
}
