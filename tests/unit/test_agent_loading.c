/* An agent that fills copies by itself: whom it lets be asked, and when (rule 42). The stream of
 * rows comes from here instead of Kafka. labels: threads */
#include "tests/support/agent_world.h"

#include "consumer/agent/fill_wish.h"
#include "consumer/feed/rows_reader.h"
#include "consumer/store/registry.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define REQUEST   "0193c000-0000-7000-8000-000000000001"
#define WAIT_US   (INT64_C(20) * 1000 * 1000)
#define POLL_US   20000
#define SETTLE_US 1500000 /* three times what the agent needs to see a stage */
#define PARTS     2       /* of a stream: its begin and its end */

struct rows_reader {
    const struct rows_reader_options *options;
    uint64_t number; /* of the last part */
    struct buffer value;
};

static atomic_bool is_streaming; /* a begin and an end come: no rows */

enum status rows_reader_open(const struct rows_reader_options *options,
                             struct rows_reader **ret_reader, struct error *err)
{
    (void)err;
    *ret_reader = calloc(1, sizeof **ret_reader);
    assert_non_null(*ret_reader);
    (*ret_reader)->options = options;
    buffer_init(&(*ret_reader)->value, FILL_RECORD_BYTES_MAX);
    return STATUS_OK;
}

void rows_reader_close(struct rows_reader *reader)
{
    if (reader != NULL)
        buffer_done(&reader->value);
    free(reader);
}

static void append_begin(struct rows_reader *reader)
{
    const char *types[] = {"order"};
    struct fill_position positions[AGENT_WORLD_PARTITIONS];
    for (size_t i = 0; i < AGENT_WORLD_PARTITIONS; i++)
        positions[i] = (struct fill_position){.anchor_offset = -1, .anchor_id = ""};
    const struct fill_begin begin = {.id = reader->options->id,
                                     .topic = reader->options->data_topic,
                                     .source = "shop",
                                     .cluster_id = "",
                                     .types = types,
                                     .type_count = 1,
                                     .positions = positions,
                                     .partition_count = AGENT_WORLD_PARTITIONS};
    fill_begin_append(&begin, &reader->value);
}

enum status rows_reader_poll(struct rows_reader *reader, int timeout_ms, struct record *ret_record,
                             struct fill_head *ret_head, struct error *err)
{
    const int64_t filled_to[AGENT_WORLD_PARTITIONS] = {0};
    const struct fill_end end = {.filled_to = filled_to, .partition_count = AGENT_WORLD_PARTITIONS};
    (void)timeout_ms;
    (void)err;
    *ret_record = (struct record){0};
    if (!atomic_load(&is_streaming) || reader->number == PARTS)
        return STATUS_OK;
    buffer_reset(&reader->value);
    if (reader->number == 0)
        append_begin(reader);
    else
        fill_end_append(&end, &reader->value);
    *ret_head = (struct fill_head){.id = slice_of(reader->options->id),
                                   .part = reader->number == 0 ? FILL_PART_BEGIN : FILL_PART_END,
                                   .number = ++reader->number};
    *ret_record = (struct record){.topic = "rows", .value = buffer_slice(&reader->value)};
    return STATUS_OK;
}

struct loading_world {
    struct agent_world agent;
    struct fill_wishes wishes;
    struct entity_schema *parent; /* NULL: there is one topic */
    struct config_entry entries[2];
    struct mapping mappings[2];
};

static void begin(struct loading_world *world)
{
    const struct fill_wishes wishes = FILL_WISHES_INIT;
    *world = (struct loading_world){.wishes = wishes};
    atomic_store(&is_streaming, false);
    agent_world_make(&world->agent, AGENT_WORLD_PARTITIONS);
    world->agent.entry.fill = CONFIG_FILL_ALWAYS;
    world->agent.options.wishes = &world->wishes;
}

static void add_parent(struct loading_world *world)
{
    struct error err = ERROR_INIT;
    struct agent_world *agent = &world->agent;
    test_write_file(test_path("parent.schema.json"),
                    "{\"$schema\":\"http://json-schema.org/draft-07/schema#\",\"type\":\"object\","
                    "\"x-keepstep-key\":[\"id\"],\"required\":[\"id\"],"
                    "\"additionalProperties\":false,\"properties\":{\"id\":{"
                    "\"type\":\"integer\",\"x-keepstep-type\":\"integer\"}}}");
    assert_int_equal(entity_schema_new(test_directory(), "parent", &world->parent, &err),
                     STATUS_OK);
    (void)rd_kafka_mock_topic_create(agent->cluster, "parent", 1, 1);
    world->entries[0] = agent->entry;
    world->entries[1] = (struct config_entry){.entity_type = "parent",
                                              .table = "parents",
                                              .topic = "parent",
                                              .partitions = 1,
                                              .fill = CONFIG_FILL_ALWAYS};
    world->mappings[0] = (struct mapping){.schema = agent->schema, .entry = &world->entries[0]};
    world->mappings[1] = (struct mapping){.schema = world->parent, .entry = &world->entries[1]};
    agent->options.mappings = world->mappings;
    agent->options.mapping_count = 2;
}

static void end(struct loading_world *world)
{
    agent_world_end(&world->agent);
    agent_world_done(&world->agent);
    if (world->parent != NULL)
        entity_schema_free(world->parent);
}

/* Refuses each wish until there is one for rows of this topic, from this service. */
static void expect_wish(struct loading_world *world, const char *topic, const char *source)
{
    struct fill_wish wish;
    for (int64_t waited_us = 0; waited_us < WAIT_US; waited_us += POLL_US) {
        if (!fill_wishes_take(&world->wishes, &wish)) {
            (void)usleep(POLL_US);
            continue;
        }
        if (strcmp(wish.topic, topic) == 0 && strcmp(wish.source, source) == 0)
            return;
        fill_wishes_answer(&world->wishes, &wish, "", "nobody has them");
    }
    test_fail("nobody wishes for rows of %s from \"%s\"", topic, source);
}

/* @param place  of the next row: 0 before anybody was asked. */
static void store_asked(const struct loading_world *world, const char *source, int place)
{
    (void)sqlite_format(world->agent.database,
                        "INSERT INTO keepstep_fill(topic, id, source, stage, rows_offset, rows, "
                        "digest, voids, asked_at, reason) VALUES ('order', '" REQUEST
                        "', '%s', 'asked', %d, 0, 0, 0, 0, '')",
                        source, place);
}

static void a_request_says_who_is_asked_also_while_nobody_answers(void **state)
{
    struct loading_world world;
    (void)state;
    begin(&world);
    agent_world_start(&world.agent);
    expect_wish(&world, "order", "");
    store_asked(&world, "ware", 0);
    expect_wish(&world, "order", "ware");
    end(&world);
}

static void a_source_that_was_lost_is_not_the_only_one_that_is_asked(void **state)
{
    struct loading_world world;
    (void)state;
    begin(&world);
    store_asked(&world, "ware", 1);
    agent_world_start(&world.agent);
    expect_wish(&world, "order", "");
    end(&world);
}

static void a_topic_that_nobody_has_does_not_hold_up_another(void **state)
{
    struct loading_world world;
    (void)state;
    begin(&world);
    add_parent(&world);
    agent_world_start(&world.agent);
    expect_wish(&world, "parent", "");
    end(&world);
}

static void a_copy_that_is_filled_is_not_asked_for_again(void **state)
{
    struct loading_world world;
    struct fill_wish wish;
    (void)state;
    begin(&world);
    agent_world_start(&world.agent);
    expect_wish(&world, "order", "");
    atomic_store(&is_streaming, true);
    if (!sqlite_wait_for(world.agent.database, "SELECT stage FROM keepstep_fill", "done\n",
                         WAIT_US / 1000))
        test_fail("%s",
                  sqlite_text(world.agent.database, "SELECT stage, reason FROM keepstep_fill"));
    for (int64_t waited_us = 0; waited_us < SETTLE_US; waited_us += POLL_US) {
        assert_false(fill_wishes_take(&world.wishes, &wish));
        (void)usleep(POLL_US);
    }
    assert_string_equal(sqlite_text(world.agent.database, "SELECT reason FROM keepstep_fill"),
                        "\n");
    end(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_says_who_is_asked_also_while_nobody_answers),
        cmocka_unit_test(a_source_that_was_lost_is_not_the_only_one_that_is_asked),
        cmocka_unit_test(a_topic_that_nobody_has_does_not_hold_up_another),
        cmocka_unit_test(a_copy_that_is_filled_is_not_asked_for_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
