/* What a relay waits for before it publishes, in each database (rules 13 and 41). */
#include "tests/support/outbox_case.h"

static void assert_held_back(struct outbox *outbox, const char *read_topics, const char *expected)
{
    struct error err = ERROR_INIT;
    char topic[OUTBOX_NAME_SIZE] = "unset";
    assert_int_equal(outbox->ops->held_back(outbox, slice_of(read_topics), topic, &err), STATUS_OK);
    assert_string_equal(topic, expected);
}

static void a_new_incarnation_is_held_back_until_the_agent_has_read(void)
{
    outbox_case_make();
    struct outbox *outbox = outbox_case_open("1");
    assert_held_back(outbox, "[\"orders\"]", "");
    (void)outbox_case_ask("INSERT INTO keepstep_relay_wait VALUES ('orders', 1, 7)");
    (void)outbox_case_ask("INSERT INTO keepstep_relay_wait VALUES ('notes', 0, 3)");
    assert_held_back(outbox, "[\"orders\",\"notes\"]", "notes");
    assert_held_back(outbox, "[\"notes\"]", "orders"); /* no longer read */
    assert_held_back(outbox, "[]", "notes");
    (void)outbox_case_ask(
        "INSERT INTO keepstep_position (topic, \"partition\", next_offset, durable_offset, "
        "epoch, token, updated_at) VALUES ('orders', 1, 7, 7, 1, 't', 0), "
        "('notes', 0, 2, 2, 1, 't', 0)");
    assert_held_back(outbox, "[\"notes\"]", "notes");
    (void)outbox_case_ask("UPDATE keepstep_position SET next_offset = 3 WHERE topic = 'notes'");
    assert_held_back(outbox, "[\"notes\"]", "");
    outbox->ops->close(outbox);
}

static void assert_unread(struct outbox *outbox, const char *topics, const char *expected)
{
    struct error err = ERROR_INIT;
    char topic[OUTBOX_NAME_SIZE] = "unset";
    if (outbox->ops->unread(outbox, slice_of(topics), topic, &err) != STATUS_OK)
        test_fail("%s", err.text);
    assert_string_equal(topic, expected);
}

static void a_topic_is_unread_until_every_partition_has_a_position_and_no_fill_is_under_way(void)
{
    outbox_case_make();
    struct outbox *outbox = outbox_case_open("1");
    assert_unread(outbox, "[]", "");
    assert_unread(outbox, "[\"orders\"]", "orders");
    (void)outbox_case_ask(
        "INSERT INTO keepstep_position (topic, \"partition\", next_offset, durable_offset, "
        "epoch, token, updated_at, partition_count) VALUES ('orders', 1, 7, 7, 1, 't', 0, 2), "
        "('notes', 0, 2, 2, 1, 't', 0, 1), ('halted', 0, 0, 0, 1, 't', 0, 0)");
    assert_unread(outbox, "[\"orders\",\"notes\"]", "orders");
    assert_unread(outbox, "[\"notes\"]", "");
    assert_unread(outbox, "[\"halted\"]", "halted"); /* its log never passed the checks */
    (void)outbox_case_ask(
        "INSERT INTO keepstep_position (topic, \"partition\", next_offset, durable_offset, "
        "epoch, token, updated_at, partition_count) VALUES ('orders', 0, 0, 0, 1, 't', 0, 2)");
    assert_unread(outbox, "[\"orders\",\"notes\"]", "");
    (void)outbox_case_ask("INSERT INTO keepstep_fill VALUES ('notes', 'i', 's', 'asked', 0, 0, 0, "
                          "0, 0, '')");
    static const char *const stages[] = {"asked", "clearing", "loading", "replaying", "done"};
    for (size_t i = 0; i < sizeof stages / sizeof *stages; i++) {
        (void)outbox_case_ask(test_format("UPDATE keepstep_fill SET stage = '%s'", stages[i]));
        assert_unread(outbox, "[\"orders\",\"notes\"]", i < 3 ? "notes" : "");
        assert_unread(outbox, "[\"orders\"]", "");
    }
    outbox->ops->close(outbox);
}

CASE(a_new_incarnation_is_held_back_until_the_agent_has_read)
CASE(a_topic_is_unread_until_every_partition_has_a_position_and_no_fill_is_under_way)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ALL(a_new_incarnation_is_held_back_until_the_agent_has_read),
        ALL(a_topic_is_unread_until_every_partition_has_a_position_and_no_fill_is_under_way),
    };
    return TEST_RUN(tests);
}
