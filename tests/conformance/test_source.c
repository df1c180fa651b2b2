/* What a publisher's snapshot says of itself, in each database: how much of it is in the log, which
 * entities are open, and that all of it is of one moment. */
#include "tests/support/source_case.h"

#include "common/clock.h"
#include "producer/registry.h"
#include "tests/support/mariadb.h"
#include "tests/support/postgresql.h"

#include <inttypes.h>
#include <sysexits.h>

#define THREE_ROWS SOURCE_CASE_TABLE ";INSERT INTO orders VALUES (1, 'a'), (2, 'b'), (3, 'c')"

static void a_publisher_that_has_sent_nothing_has_no_position(void)
{
    struct source_case self;
    source_case_make(&self, SOURCE_CASE_SCHEMA, THREE_ROWS);
    source_case_snapshot(&self, true);
    struct source_stamp stamp = source_case_stamp(&self);
    assert_true(stamp.count == 0);
    assert_true(stamp.existing_done);
    assert_false(stamp.waits);
    assert_true(stamp.set_aside == 0);
    assert_string_equal(test_format("%s\n", stamp.incarnation),
                        source_case_text(&self, "SELECT incarnation FROM keepstep_relay"));
    assert_string_equal(source_case_open(&self), "{\"id\":1} {\"id\":2} {\"id\":3} ");
    source_case_done(&self);
}

static void a_partition_is_in_the_log_as_far_as_it_is_acknowledged(void)
{
    struct source_case self;
    source_case_make(&self, SOURCE_CASE_SCHEMA, THREE_ROWS);
    source_case_claim(&self, 0);
    (void)source_case_text(&self, "UPDATE orders SET name = 'z' WHERE id = 3");
    source_case_claim(&self, 2);
    source_case_snapshot(&self, true);
    assert_string_equal(source_case_positions(&self), "0:0:0 2:0:0 ");
    assert_string_equal(source_case_open(&self), "{\"id\":1} {\"id\":2} {\"id\":3} ");

    source_case_acknowledge(&self, 0, 2);
    source_case_snapshot(&self, false);
    source_case_snapshot(&self, true);
    assert_string_equal(source_case_positions(&self), "0:103:2 2:0:0 ");
    assert_string_equal(source_case_open(&self), "{\"id\":3} ");

    source_case_acknowledge(&self, 0, 3);
    source_case_acknowledge(&self, 2, 1);
    source_case_snapshot(&self, false);
    source_case_snapshot(&self, true);
    assert_string_equal(source_case_positions(&self), "0:104:3 2:102:1 ");
    assert_string_equal(source_case_open(&self), "");
    source_case_done(&self);
}

/* The relay of a new incarnation has read the log that the earlier ones wrote. */
static void a_partition_without_acknowledgements_is_in_the_log_as_far_as_the_relay_has_read_it(void)
{
    struct source_case self;
    source_case_make(&self, SOURCE_CASE_SCHEMA, THREE_ROWS);
    (void)source_case_text(&self, test_format("INSERT INTO keepstep_relay_read VALUES "
                                              "('%s', 0, 40), ('%s', 1, 50), ('other', 2, 60)",
                                              self.shop.entry.topic, self.shop.entry.topic));
    source_case_claim(&self, 1);
    source_case_snapshot(&self, true);
    assert_string_equal(source_case_positions(&self), "0:40:0 1:50:0 ");
    assert_string_equal(source_case_open(&self), "{\"id\":1} {\"id\":2} {\"id\":3} ");
    source_case_acknowledge(&self, 1, 3);
    source_case_snapshot(&self, false);
    source_case_snapshot(&self, true);
    assert_string_equal(source_case_positions(&self), "0:40:0 1:104:3 ");
    source_case_done(&self);
}

static void an_entity_is_open_while_a_row_of_it_is_not_acknowledged(void)
{
    struct source_case self;
    source_case_make(&self, SOURCE_CASE_SCHEMA, THREE_ROWS);
    source_case_claim(&self, 1);
    source_case_acknowledge(&self, 1, 3);
    (void)source_case_text(&self, "INSERT INTO orders VALUES (4, 'd'), (5, 'e')");
    source_case_claim(&self, 1); /* 4 and 5: one of them acknowledged */
    source_case_acknowledge(&self, 1, 4);
    (void)source_case_text(&self, "UPDATE orders SET name = 'x' WHERE id = 1");
    source_case_set_aside(&self, 6);
    (void)source_case_text(&self, "UPDATE orders SET name = 'y' WHERE id = 1;" /* behind it */
                                  "INSERT INTO orders VALUES (10, 'waits');"
                                  "DELETE FROM orders WHERE id = 2;"
                                  "INSERT INTO outbox (aggregatetype, aggregateid, type, payload) "
                                  "VALUES ('other', '{\"id\":77}', 'other.created', '{}')");
    source_case_snapshot(&self, true);
    assert_string_equal(source_case_open(&self), "{\"id\":10} {\"id\":1} {\"id\":2} {\"id\":5} ");
    assert_true(source_case_stamp(&self).set_aside == 1);
    source_case_done(&self);
}

static struct source_open_rows open_rows(struct source_case *self, int64_t up_to)
{
    struct error err = ERROR_INIT;
    const struct source_type type = {&self->shop.entry, self->shop.schema};
    struct source_open_rows open = {.up_to = up_to};
    source_case_snapshot(self, true);
    if (self->source->ops->open_rows(self->source, &type, &open, &err) != STATUS_OK)
        test_fail("%s", err.text);
    source_case_snapshot(self, false);
    return open;
}

/* Rows that came later do not count: whoever waits for those of a snapshot comes to an end. */
static void rows_up_to_a_position_are_open_until_each_of_them_is_acknowledged(void)
{
    struct source_case self;
    source_case_make(&self, SOURCE_CASE_SCHEMA, THREE_ROWS);
    source_case_snapshot(&self, true);
    int64_t last = source_case_stamp(&self).last_row;
    source_case_snapshot(&self, false);
    assert_true(last == 3);
    (void)source_case_text(&self, "INSERT INTO orders VALUES (4, 'later')");
    assert_true(open_rows(&self, last).are_open);
    source_case_claim(&self, 0);
    assert_true(open_rows(&self, last).are_open);
    source_case_acknowledge(&self, 0, 2);
    assert_true(open_rows(&self, last).are_open);
    assert_false(open_rows(&self, 2).are_open);
    source_case_acknowledge(&self, 0, 3);
    assert_false(open_rows(&self, last).are_open);
    assert_true(open_rows(&self, 4).are_open);
    (void)source_case_text(&self, "UPDATE orders SET name = 'x' WHERE id = 1");
    source_case_set_aside(&self, 5);
    assert_true(open_rows(&self, 4).set_aside == 0);
    assert_true(open_rows(&self, 5).set_aside == 1);
    source_case_done(&self);
}

static void a_key_that_was_written_by_hand_is_read_as_the_relay_reads_it(void)
{
    struct source_case self;
    source_case_make(&self, SOURCE_CASE_SCHEMA, SOURCE_CASE_TABLE);
    (void)source_case_text(&self,
                           "INSERT INTO outbox (aggregatetype, aggregateid, type, payload) VALUES "
                           "('order', '42', 'order.created', '{}'), "
                           "('order', '{ \"id\": 42 }', 'order.created', '{}'), "
                           "('order', '{\"id\":42}', 'order.created', '{}'), "
                           "('order', 'no key', 'order.created', '{}')");
    source_case_snapshot(&self, true);
    assert_string_equal(source_case_open(&self), "no key {\"id\":42} ");
    source_case_done(&self);
}

/* The rows of the first numbers stay in the topic that they were numbered for. */
static void a_row_of_another_topic_is_open_until_it_is_acknowledged_there(void)
{
    struct source_case self;
    struct error err = ERROR_INIT;
    source_case_make(&self, SOURCE_CASE_SCHEMA, THREE_ROWS);
    source_case_claim(&self, 0);
    source_case_acknowledge(&self, 0, 1);
    struct outbox_move move = {.entity_type = "order", .topic = "newer"};
    while (!move.done)
        assert_int_equal(self.outbox->ops->move_type(self.outbox, &self.lease, &move, &err),
                         STATUS_OK);
    source_case_snapshot(&self, true);
    assert_string_equal(source_case_open(&self), "{\"id\":2} {\"id\":3} ");
    source_case_snapshot(&self, false);
    source_case_acknowledge(&self, 0, 2);
    source_case_snapshot(&self, true);
    assert_string_equal(source_case_open(&self), "{\"id\":3} ");
    self.shop.entry.topic = (char *)"newer";
    assert_string_equal(source_case_positions(&self), "");
    source_case_done(&self);
}

static size_t count_open(struct source_case *self, size_t limit)
{
    struct error err = ERROR_INIT;
    const struct source_type type = {&self->shop.entry, self->shop.schema};
    struct source_open_keys open = {.limit = limit};
    if (self->source->ops->open_keys(self->source, &type, &self->arena, &open, &err) != STATUS_OK)
        test_fail("%s", err.text);
    return open.count;
}

static void more_open_entities_than_the_limit_are_too_many(void)
{
    struct source_case self;
    source_case_make(&self, SOURCE_CASE_SCHEMA, THREE_ROWS);
    source_case_snapshot(&self, true);
    assert_int_equal(count_open(&self, 4), 3);
    assert_int_equal(count_open(&self, 3), 3);
    assert_int_equal(count_open(&self, 2), 3);
    assert_int_equal(count_open(&self, 1), 2);
    source_case_snapshot(&self, false);
    for (int i = 0; i < 10; i++) /* many rows of few entities, too */
        (void)source_case_text(&self, test_format("UPDATE orders SET name = '%d'", i));
    source_case_snapshot(&self, true);
    assert_int_equal(count_open(&self, 5), 3);
    assert_int_equal(count_open(&self, 3), 4);
    source_case_done(&self);
}

static void existing_rows_count_as_published_when_the_last_one_is(void)
{
    struct source_case self;
    struct error err = ERROR_INIT;
    struct origin_progress progress = {0};
    source_case_make_bare(&self, SOURCE_CASE_SCHEMA, THREE_ROWS);
    const struct origin_table table = {&self.shop.entry, self.shop.schema};
    source_case_snapshot(&self, true);
    assert_false(source_case_stamp(&self).existing_done);
    assert_false(source_case_stamp(&self).existing_begun);
    source_case_snapshot(&self, false);

    shop_open(&self.shop);
    const struct origin_ops *origin = self.shop.origin->ops;
    assert_int_equal(origin->chunk(self.shop.origin, &table, 2, &progress, &err), STATUS_OK);
    assert_false(progress.done);
    source_case_snapshot(&self, true);
    assert_false(source_case_stamp(&self).existing_done);
    assert_true(source_case_stamp(&self).existing_begun);
    assert_string_equal(source_case_open(&self), "{\"id\":1} {\"id\":2} ");
    source_case_snapshot(&self, false);

    assert_int_equal(origin->chunk(self.shop.origin, &table, 2, &progress, &err), STATUS_OK);
    assert_true(progress.done);
    source_case_snapshot(&self, true);
    assert_true(source_case_stamp(&self).existing_done);
    source_case_done(&self);
}

static bool waits(struct source_case *self)
{
    source_case_snapshot(self, false);
    source_case_snapshot(self, true);
    return source_case_stamp(self).waits;
}

static void a_new_incarnation_waits_until_its_agent_has_read_the_log(void)
{
    struct source_case self;
    source_case_make(&self, SOURCE_CASE_SCHEMA, SOURCE_CASE_TABLE);
    const char *partition = database_case_kind == DATABASE_MARIADB ? "`partition`" : "partition";
    assert_false(waits(&self));
    (void)source_case_text(&self, "INSERT INTO keepstep_relay_wait VALUES ('item', 0, 5)");
    assert_true(waits(&self));
    (void)source_case_text(&self,
                           test_format("INSERT INTO keepstep_position (topic, %s, next_offset, "
                                       "durable_offset, epoch, token, updated_at) "
                                       "VALUES ('item', 0, 4, 4, 1, 'a token', 0)",
                                       partition));
    assert_true(waits(&self));
    (void)source_case_text(&self, "UPDATE keepstep_position SET next_offset = 5");
    assert_false(waits(&self));
    source_case_done(&self);
}

static void nothing_waits_where_the_service_has_no_agent(void)
{
    struct source_case self;
    source_case_make(&self, SOURCE_CASE_SCHEMA, SOURCE_CASE_TABLE);
    (void)source_case_text(&self, "INSERT INTO keepstep_relay_wait VALUES ('item', 0, 5);"
                                  "DROP TABLE keepstep_position");
    assert_false(waits(&self));
    source_case_done(&self);
}

/* Between each two calls another session commits, claims and acknowledges. */
static void all_calls_in_a_snapshot_see_one_moment(void)
{
    struct source_case self;
    source_case_make(&self, SOURCE_CASE_SCHEMA, THREE_ROWS);
    source_case_claim(&self, 0);
    source_case_acknowledge(&self, 0, 2);
    source_case_snapshot(&self, true);
    (void)source_case_text(&self, "UPDATE orders SET name = 'newer' WHERE id = 1;"
                                  "DELETE FROM orders WHERE id = 2;"
                                  "INSERT INTO orders VALUES (4, 'd')");
    assert_string_equal(source_case_positions(&self), "0:103:2 ");
    source_case_claim(&self, 1);
    assert_string_equal(source_case_open(&self), "{\"id\":3} ");
    source_case_acknowledge(&self, 0, 3);
    source_case_acknowledge(&self, 1, 2);
    const char *rows = source_case_rows(&self, NULL, 0);
    (void)source_case_text(&self, "DELETE FROM orders");
    assert_string_equal(source_case_rows(&self, NULL, 0), rows);
    assert_non_null(strstr(rows, "id=1 name=\"a\""));
    assert_non_null(strstr(rows, "id=2 name=\"b\""));
    assert_null(strstr(rows, "id=4"));
    assert_string_equal(source_case_positions(&self), "0:103:2 ");
    assert_string_equal(source_case_open(&self), "{\"id\":3} ");

    source_case_snapshot(&self, false);
    source_case_snapshot(&self, true);
    assert_string_equal(source_case_positions(&self), "0:104:3 1:103:2 ");
    assert_string_equal(source_case_open(&self), "{\"id\":1} {\"id\":3} {\"id\":4} ");
    assert_string_equal(source_case_rows(&self, NULL, 0), "");
    source_case_done(&self);
}

static void nothing_is_read_outside_of_a_snapshot(void)
{
    struct source_case self;
    struct error err = ERROR_INIT;
    source_case_make(&self, SOURCE_CASE_SCHEMA, THREE_ROWS);
    const struct source_ops *ops = self.source->ops;
    assert_int_equal(source_case_try_stamp(&self, &err), STATUS_RETRY);
    assert_int_equal(ops->snapshot(self.source, false, NULL), STATUS_OK);
    source_case_snapshot(&self, true);
    assert_int_equal(ops->keep(self.source, &err), STATUS_OK);
    (void)source_case_stamp(&self);
    source_case_done(&self);
}

static void a_snapshot_ends_with_its_time(void)
{
    struct source_case self;
    struct error err = ERROR_INIT;
    source_case_make(&self, SOURCE_CASE_SCHEMA, THREE_ROWS);
    self.config.limits.scan_time_s = 0;
    source_case_snapshot(&self, true);
    clock_sleep_us(1000);
    assert_int_equal(self.source->ops->keep(self.source, &err), STATUS_RETRY);
    assert_non_null(strstr(err.text, "limits.scan_time_s"));
    self.config.limits.scan_time_s = 60;
    source_case_snapshot(&self, true);
    assert_string_equal(source_case_positions(&self), "");
    source_case_done(&self);
}

/* A tenth of a second may be made up for. */
static void rows_are_read_no_faster_than_they_may_be(void)
{
    struct source_case self;
    source_case_make(&self, SOURCE_CASE_SCHEMA, THREE_ROWS);
    self.config.limits.scan_rows_s = 5;
    source_case_snapshot(&self, true);
    int64_t begun_us = clock_monotonic_us();
    (void)source_case_rows(&self, NULL, 0);
    int64_t took_us = clock_monotonic_us() - begun_us;
    if (took_us < 250000)
        test_fail("three rows took %" PRId64 " us", took_us);
    source_case_done(&self);
}

static void a_snapshot_ends_with_its_connection(void)
{
    struct source_case self;
    struct error err = ERROR_INIT;
    source_case_make(&self, SOURCE_CASE_SCHEMA, THREE_ROWS);
    source_case_snapshot(&self, true);
    (void)source_case_stamp(&self);
    (database_case_kind == DATABASE_MARIADB ? mariadb_kill_backends
                                            : postgresql_kill_backends)(self.shop.url);
    assert_int_equal(source_case_try_stamp(&self, &err), STATUS_RETRY);
    error_clear(&err);
    assert_int_equal(source_case_try_stamp(&self, &err), STATUS_RETRY);
    source_case_snapshot(&self, true);
    assert_true(source_case_stamp(&self).existing_done);
    source_case_done(&self);
}

static void a_database_without_an_outbox_is_refused_with_the_command(void)
{
    struct source_case self;
    struct error err = ERROR_INIT;
    source_case_make(&self, SOURCE_CASE_SCHEMA, SOURCE_CASE_TABLE);
    (void)source_case_text(&self, "DROP TABLE keepstep_relay");
    source_case_snapshot(&self, true);
    assert_int_equal(source_case_try_stamp(&self, &err), STATUS_FATAL);
    assert_int_equal(err.exit_code, EX_CONFIG);
    assert_non_null(strstr(err.text, "keepstep init"));
    source_case_done(&self);
}

static void tables_that_the_role_may_not_read_are_named_with_the_way_out(void)
{
    struct source_case self;
    struct error err = ERROR_INIT;
    source_case_make(&self, SOURCE_CASE_SCHEMA, SOURCE_CASE_TABLE);
    (void)source_case_text(&self, "REVOKE SELECT ON keepstep_existing FROM keepstep_relay");
    source_case_snapshot(&self, true);
    assert_int_equal(source_case_try_stamp(&self, &err), STATUS_RETRY);
    assert_non_null(strstr(err.text, "keepstep init --print-roles"));
    assert_non_null(strstr(err.text, "keepstep_existing"));
    source_case_done(&self);
}

static const struct database_case cases[] = {
    DATABASE_CASE(a_publisher_that_has_sent_nothing_has_no_position),
    DATABASE_CASE(a_partition_is_in_the_log_as_far_as_it_is_acknowledged),
    DATABASE_CASE(
        a_partition_without_acknowledgements_is_in_the_log_as_far_as_the_relay_has_read_it),
    DATABASE_CASE(an_entity_is_open_while_a_row_of_it_is_not_acknowledged),
    DATABASE_CASE(rows_up_to_a_position_are_open_until_each_of_them_is_acknowledged),
    DATABASE_CASE(a_key_that_was_written_by_hand_is_read_as_the_relay_reads_it),
    DATABASE_CASE(a_row_of_another_topic_is_open_until_it_is_acknowledged_there),
    DATABASE_CASE(more_open_entities_than_the_limit_are_too_many),
    DATABASE_CASE(existing_rows_count_as_published_when_the_last_one_is),
    DATABASE_CASE(a_new_incarnation_waits_until_its_agent_has_read_the_log),
    DATABASE_CASE(nothing_waits_where_the_service_has_no_agent),
    DATABASE_CASE(all_calls_in_a_snapshot_see_one_moment),
    DATABASE_CASE(nothing_is_read_outside_of_a_snapshot),
    DATABASE_CASE(a_snapshot_ends_with_its_time),
    DATABASE_CASE(rows_are_read_no_faster_than_they_may_be),
    DATABASE_CASE_SERVERS(a_snapshot_ends_with_its_connection),
    DATABASE_CASE(a_database_without_an_outbox_is_refused_with_the_command),
    DATABASE_CASE_SERVERS(tables_that_the_role_may_not_read_are_named_with_the_way_out),
};

int main(void)
{
    return database_case_run(cases, sizeof cases / sizeof *cases);
}
