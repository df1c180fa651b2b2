/* Participants and a log that answer from arrays. */
#include "tests/support/compare_case.h"

#include "common/buffer.h"
#include "common/digest.h"

#include <stdio.h>
#include <unistd.h>

#define TEXT_MAX ((size_t)1024 * 1024)

static struct case_service *service_of(struct participant *participant)
{
    return (struct case_service *)participant;
}

static enum status service_call(struct case_service *service, enum case_call call,
                                struct error *err)
{
    service->calls[call]++;
    if (service->sleep_ms > 0 && call != CASE_STAMP && call != CASE_KEEP)
        (void)usleep(service->sleep_ms * 1000);
    if (call != CASE_STAMP)
        assert_true(service->has_snapshot);
    if (service->failures[call] != NULL && service->round == service->failing_round)
        return error_set(err, STATUS_RETRY, "%s", service->failures[call]);
    return STATUS_OK;
}

static enum status service_stamp(struct participant *participant, struct stamp *ret_stamp,
                                 struct error *err)
{
    struct case_service *service = service_of(participant);
    assert_false(service->has_snapshot);
    service->round++;
    enum status status = service_call(service, CASE_STAMP, err);
    if (status != STATUS_OK)
        return status;
    service->has_snapshot = true;
    const int round = service->round;
    *ret_stamp = (struct stamp){.incomparable = service->incomparable[round],
                                .cluster_id = service->cluster_id,
                                .offsets = service->offsets[round],
                                .partition_count = service->partition_count,
                                .open = service->open};
    for (int id = 0; id < CASE_IDS; id++) {
        if (!service->is_open[round][id])
            continue;
        (void)snprintf(service->open_keys[id], sizeof service->open_keys[id], "{\"id\":%d}", id);
        service->open[ret_stamp->open_count++] = (struct open_entity){
            .key = slice_of(service->open_keys[id]), .reason = service->reasons[id]};
    }
    if (service->open_key != NULL)
        service->open[ret_stamp->open_count++] = (struct open_entity){
            .key = slice_of(service->open_key), .reason = LEFT_OWN};
    return STATUS_OK;
}

static bool is_asked_for(const struct question *question, const struct answered_row *row)
{
    for (size_t i = 0; i < question->left_out_count; i++) {
        if (question->left_out[i] == row->key_digest)
            return false;
    }
    if (question->buckets != NULL && !question->buckets[row_bucket(row->key_digest)])
        return false;
    for (size_t i = 0; i < question->key_count; i++) {
        if (slice_equal(question->keys[i], row->key))
            return true;
    }
    return question->keys == NULL;
}

struct case_answer {
    const struct question *question;
    answer_visit *visit;
    void *context;
};

static enum status answer_one(const struct case_answer *answer, int id, int value,
                              struct error *err)
{
    const struct question *question = answer->question;
    char key[32];
    char json[64];
    enum status status = STATUS_OK;
    int key_length = snprintf(key, sizeof key, "{\"id\":%d}", id);
    int length = snprintf(json, sizeof json, "{\"id\":%d,\"n\":%d}", id, value);
    struct answered_row row = {.key = {key, (size_t)key_length}};
    row.key_digest = row_key_digest(row.key);
    row.digest = digest_64((struct slice){json, (size_t)length});
    if (question->with_json)
        row.json = (struct slice){json, (size_t)length};
    if (question->tick.call != NULL)
        status = question->tick.call(question->tick.context, 1, err);
    return status == STATUS_OK && is_asked_for(question, &row)
               ? answer->visit(answer->context, &row, err)
               : status;
}

/* Rows come from the last id to the first: their order means nothing. */
static enum status service_answer(struct case_service *service, const struct question *question,
                                  answer_visit *visit, void *context, struct error *err)
{
    const struct case_answer answer = {question, visit, context};
    enum status status = STATUS_OK;
    for (int id = CASE_IDS - 1; status == STATUS_OK && id >= 0; id--) {
        int value = service->values[service->round][id];
        if (value != CASE_NO_ROW)
            status = answer_one(&answer, id, value, err);
        if (status == STATUS_OK && id > 0 && id == service->doubled_id)
            status = answer_one(&answer, id, service->doubled_value, err);
    }
    return status;
}

static enum status add_up(void *context, const struct answered_row *row, struct error *err)
{
    (void)err;
    row_sums_add(context, row->key_digest, row->digest);
    return STATUS_OK;
}

static enum status service_sums(struct participant *participant, const struct question *question,
                                struct row_sums *ret_sums, struct error *err)
{
    struct case_service *service = service_of(participant);
    enum status status = service_call(service, CASE_SUMS, err);
    if (status == STATUS_OK)
        status = service_answer(service, question, add_up, ret_sums, err);
    ret_sums->rows += service->more_rows;
    if (service->is_torn)
        ret_sums->sums[7]++;
    return status;
}

static enum status service_list(struct participant *participant, const struct question *question,
                                answer_visit *visit, void *context, struct error *err)
{
    struct case_service *service = service_of(participant);
    enum status status = service_call(service, question->keys == NULL ? CASE_LIST : CASE_KEYS, err);
    if (status == STATUS_OK)
        status = service_answer(service, question, visit, context, err);
    return status;
}

static enum status service_keep(struct participant *participant, struct error *err)
{
    return service_call(service_of(participant), CASE_KEEP, err);
}

static void service_end(struct participant *participant)
{
    service_of(participant)->has_snapshot = false;
}

static const struct participant_ops service_ops = {.stamp = service_stamp,
                                                   .sums = service_sums,
                                                   .list = service_list,
                                                   .keep = service_keep,
                                                   .end = service_end};

static enum status log_describe(struct mention_log *base, const char **ret_cluster_id,
                                int32_t *ret_partition_count, struct error *err)
{
    struct case_log *log = (struct case_log *)base;
    *ret_cluster_id = log->cluster_id;
    *ret_partition_count = log->partition_count;
    return log->describe_fails == NULL ? STATUS_OK
                                       : error_set(err, STATUS_RETRY, "%s", log->describe_fails);
}

static enum status log_read(struct mention_log *base, const struct mention_reading *reading,
                            struct error *err)
{
    struct case_log *log = (struct case_log *)base;
    enum status status = STATUS_OK;
    log->readings++;
    if (log->read_fails != NULL)
        return error_set(err, STATUS_RETRY, "%s", log->read_fails);
    for (size_t i = 0; i < reading->count; i++) {
        struct log_span *span = &reading->spans[i];
        assert_true(span->from < span->until);
        span->bounds = log->bounds[span->partition];
        for (size_t m = 0; status == STATUS_OK && m < log->count; m++) {
            int64_t offset = log->mentions[m].offset;
            char key[32];
            int length = snprintf(key, sizeof key, "{\"id\":%d}", log->mentions[m].id);
            const struct mention mention = {.partition = span->partition,
                                            .offset = offset,
                                            .key = {key, (size_t)length},
                                            .covers_earlier = log->has_gap};
            int64_t until = log->has_gap ? span->bounds.end : span->until;
            if (log->mentions[m].partition == span->partition && offset >= span->from &&
                offset < until && offset >= span->bounds.first)
                status = reading->visit(reading->context, &mention, err);
        }
    }
    return status;
}

static const char *const names[CASE_SERVICES] = {"shop", "billing", "shipping", "ware"};

static void service_begin(struct compare_case *world, size_t index)
{
    struct case_service *service = &world->services[index];
    *service = (struct case_service){.base = {.ops = &service_ops,
                                              .name = names[index],
                                              .topic = "order",
                                              .schema = world->schema},
                                     .cluster_id = "cluster",
                                     .partition_count = CASE_PARTITIONS,
                                     .round = -1};
    service->open = calloc(CASE_IDS + 1, sizeof *service->open);
    assert_non_null(service->open);
    for (int round = 0; round < CASE_ROUNDS; round++) {
        for (int id = 1; id <= 5; id++)
            service->values[round][id] = id;
        service->offsets[round][0] = 10;
        service->offsets[round][1] = 20;
    }
    world->participants[index] = &service->base;
}

struct compare_case *case_begin(size_t services)
{
    struct error err = ERROR_INIT;
    struct compare_case *world = calloc(1, sizeof *world);
    assert_non_null(world);
    test_write_file(test_path("order.schema.json"),
                    "{\"x-keepstep-key\":[\"id\"],\"properties\":{\"id\":{\"type\":\"integer\"},"
                    "\"n\":{\"type\":\"integer\"}}}");
    if (entity_schema_new(test_directory(), "order", &world->schema, &err) != STATUS_OK)
        test_fail("%s", err.text);
    for (size_t i = 0; i < services; i++)
        service_begin(world, i);
    world->log = (struct case_log){.base = {.describe = log_describe, .read = log_read},
                                   .cluster_id = "cluster",
                                   .partition_count = CASE_PARTITIONS,
                                   .bounds = {{0, 100}, {0, 100}}};
    world->options = (struct compare_options){.participants = world->participants,
                                              .count = services,
                                              .log = &world->log.base,
                                              .open_entities_max = 100,
                                              .behind_records_max = 100};
    return world;
}

void case_end(struct compare_case *world)
{
    comparison_done(&world->result);
    entity_schema_free(world->schema);
    for (size_t i = 0; i < CASE_SERVICES; i++)
        free(world->services[i].open);
    free(world);
}

void case_set(struct compare_case *world, int service, int round, int id, int value)
{
    for (; round < CASE_ROUNDS; round++)
        world->services[service].values[round][id] = value;
}

void case_move(struct compare_case *world, int service, int round, int32_t partition,
               int64_t offset)
{
    for (; round < CASE_ROUNDS; round++)
        world->services[service].offsets[round][partition] = offset;
}

void case_open(struct compare_case *world, int service, int round, int id, enum left_reason reason)
{
    world->services[service].reasons[id] = reason;
    for (; round < CASE_ROUNDS; round++)
        world->services[service].is_open[round][id] = true;
}

void case_settle(struct compare_case *world, int service, int round, int id)
{
    for (; round < CASE_ROUNDS; round++)
        world->services[service].is_open[round][id] = false;
}

void case_mention(struct compare_case *world, int32_t partition, int64_t offset, int id)
{
    assert_true(world->log.count < CASE_MENTIONS);
    world->log.mentions[world->log.count].partition = partition;
    world->log.mentions[world->log.count].offset = offset;
    world->log.mentions[world->log.count++].id = id;
}

int case_run(struct compare_case *world)
{
    struct error err = ERROR_INIT;
    comparison_done(&world->result);
    for (size_t i = 0; i < world->options.count; i++)
        world->services[i].round = -1;
    if (compare_copies(&world->options, &world->result, &err) != STATUS_OK)
        test_fail("%s", err.text);
    for (size_t i = 0; i < world->options.count; i++)
        assert_false(world->services[i].has_snapshot);
    return comparison_exit_code(&world->result);
}

void case_assert_state(const struct compare_case *world, int service, enum copy_state state,
                       const char *reason)
{
    const struct copy_result *copy = &world->result.copies[service];
    if (copy->state != state)
        test_fail("%s is in state %d: \"%s\"", names[service], copy->state, copy->reason);
    if (*reason == '\0' ? copy->reason[0] != '\0' : strstr(copy->reason, reason) == NULL)
        test_fail("%s: \"%s\" instead of \"%s\"", names[service], copy->reason, reason);
}

static const char *finish(struct buffer *out)
{
    const char *text = test_format("%s", buffer_text(out));
    buffer_done(out);
    return text;
}

static int id_of(struct slice key)
{
    int id = -1;
    (void)sscanf(test_format("%.*s", SLICE_ARGS(key)), "{\"id\":%d}", &id);
    return id;
}

const char *case_differences(const struct compare_case *world, int service)
{
    static const char *const kinds[DIFFERENCE_KINDS] = {"differs", "missing", "extra"};
    const struct copy_result *copy = &world->result.copies[service];
    uint64_t counts[DIFFERENCE_KINDS] = {0};
    struct buffer out;
    buffer_init(&out, TEXT_MAX);
    for (size_t i = 0; i < copy->difference_count; i++) {
        const struct difference *difference = &copy->differences[i];
        counts[difference->kind]++;
        buffer_append_format(&out, "%s%d %s", i == 0 ? "" : ", ", id_of(difference->key),
                             kinds[difference->kind]);
        if (difference->reference_row.data != NULL || difference->copy_row.data != NULL)
            buffer_append_format(&out, " (%.*s -> %.*s)", SLICE_ARGS(difference->reference_row),
                                 SLICE_ARGS(difference->copy_row));
    }
    assert_memory_equal(counts, copy->counts, sizeof counts);
    return finish(&out);
}

const char *case_left(const struct compare_case *world)
{
    static const char *const reasons[] = {[LEFT_CHANGED] = "changed",
                                          [LEFT_OWN] = "own",
                                          [LEFT_IMAGE] = "image",
                                          [LEFT_PARKED] = "parked"};
    const struct left_out *left_out = &world->result.left_out;
    struct buffer out;
    buffer_init(&out, TEXT_MAX);
    for (size_t i = 0; i < left_out->count; i++) {
        const struct left_entity *entity = &left_out->entities[i];
        if (entity->pending != 0)
            buffer_append_format(&out, "%s%d %s at %s", out.length == 0 ? "" : ", ",
                                 id_of(entity->key), reasons[entity->reason], names[entity->where]);
    }
    return finish(&out);
}
