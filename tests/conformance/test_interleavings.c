/* Interleavings that broke earlier designs, in each database: zombies and operators during a retry
 * of parked records, reductions that lose a change or refuse a valid one, events that wait, pending
 * own changes. */
#include "tests/conformance/interleaving_tables.h"
#include "tests/support/copy.h"

#include "tests/support/mariadb.h"
#include "tests/support/postgresql.h"
#include "tests/support/session.h"

#include "common/clock.h"

#include <pthread.h>

#define BLOCKED_MS 10000

static const char *states(const struct copy *copy)
{
    return copy_text(copy, "SELECT state, reason FROM keepstep_parked ORDER BY parked_id");
}

/* The next transaction finds an operator's revision. Reload and go on, as the agent does. */
static void apply_revised(struct copy *copy)
{
    assert_int_equal(applier_apply(copy->applier, &copy->batch, &copy->err), STATUS_ABORT);
    assert_int_equal(copy->err.native_code, 1);
    error_clear(&copy->err);
    applier_set_reloaded(copy->applier, copy->index, false);
    copy_apply(copy);
}

/* Order 2 waits until order 1 gives its mail free. */
static struct copy *begin_with_one_that_waits(void)
{
    struct copy *copy = copy_begin(unique_table, false);
    copy_watch(copy);
    copy_add(copy, 1, 1, "c", COPY_A("mail") COPY_B_NULL);
    copy_add(copy, 2, 2, "c", COPY_ROW("mail", "five"));
    copy_apply(copy);
    assert_string_equal(copy_rows(copy), "1|mail|NULL\n");
    return copy;
}

static void end_with_zombie(struct copy *copy, struct applier *zombie)
{
    assert_string_equal(copy_rows(copy), "2|mail|nine\n");
    assert_int_equal(copy_parked(copy), 0);
    applier_free(zombie);
    assert_string_equal(copy_rows(copy), "2|mail|nine\n");
    copy_finish(copy);
}

/* Another agent takes the partition, releases what the first one parked, and goes on. */
static void take_over(struct copy *copy)
{
    copy->applier = copy_open(copy);
    copy_add(copy, 3, 1, "d", "");
    copy_apply(copy);
    copy_retry(copy, INT64_MAX);
    copy_add(copy, 4, 2, "u", COPY_ROW("mail", "nine"));
    copy_apply(copy);
}

static void a_zombie_that_retries_a_parked_event_writes_nothing(void)
{
    struct copy *copy = begin_with_one_that_waits();
    struct applier *zombie = copy->applier;
    copy->applier = copy_open(copy); /* another agent owns the partition now */
    copy_add(copy, 3, 1, "d", "");
    copy_apply(copy);
    assert_int_equal(applier_retry_parked(zombie, INT64_MAX, &copy->err), STATUS_ABORT);
    assert_int_equal(copy->err.native_code, 0);
    error_clear(&copy->err);
    assert_string_equal(copy_rows(copy), "");
    assert_int_equal(copy_parked(copy), 1);
    assert_int_equal(atomic_load(&copy->metrics->events_healed), 0);
    copy_retry(copy, INT64_MAX);
    copy_add(copy, 4, 2, "u", COPY_ROW("mail", "nine"));
    copy_apply(copy);
    end_with_zombie(copy, zombie);
}

static void a_zombie_that_wakes_behind_its_look_at_what_waits_writes_nothing(void)
{
    struct error err = ERROR_INIT;
    struct copy *copy = begin_with_one_that_waits();
    struct applier *zombie = copy->applier;
    copy->at_begin = take_over;
    assert_int_equal(applier_retry_parked(zombie, INT64_MAX, &err), STATUS_ABORT);
    assert_int_equal(err.native_code, 0);
    end_with_zombie(copy, zombie);
}

/* The server ends a session that is idle in a transaction for too long. */
static void end_session_and_take_over(struct copy *copy)
{
    if (copy->kind == DATABASE_POSTGRESQL)
        postgresql_kill_backends(copy->url);
    else
        mariadb_kill_backends(copy->url);
    take_over(copy);
}

static void a_zombie_that_wakes_within_its_retry_writes_nothing(void)
{
    struct error err = ERROR_INIT;
    struct copy *copy = begin_with_one_that_waits();
    struct applier *zombie = copy->applier;
    copy->at_apply = end_session_and_take_over;
    assert_int_equal(applier_retry_parked(zombie, INT64_MAX, &err), STATUS_RETRY);
    error_clear(&err);
    copy_add(copy, 5, 2, "u", COPY_ROW("mail", "zombie"));
    assert_int_equal(applier_apply(zombie, &copy->batch, &err), STATUS_ABORT);
    assert_int_equal(err.native_code, 0);
    end_with_zombie(copy, zombie);
}

static void after_an_operators_skip_nothing_waits_behind_nothing(void)
{
    struct copy *copy = copy_begin("", false);
    copy_add(copy, 1, 1, "c", ",\"a\":7");
    copy_apply(copy);
    copy_operate(copy, 1, PARKED_SET_SKIPPED);
    copy_add(copy, 2, 1, "c", COPY_ROW("2", "2"));
    apply_revised(copy);
    assert_string_equal(copy_rows(copy), "1|2|2\n");
    assert_int_equal(copy_parked(copy), 0);
    copy_finish(copy);
}

static void an_event_read_before_an_operators_retry_does_not_overtake_it(void)
{
    struct copy *copy = copy_begin("", false);
    copy_add(copy, 1, 1, "u", COPY_A("early")); /* no such row: held */
    copy_apply(copy);
    (void)copy_text(copy, "INSERT INTO orders VALUES(1, 'x', 'x')");
    copy_add(copy, 2, 1, "u", COPY_A("late"));
    copy_operate(copy, 1, PARKED_SET_WAITING);
    apply_revised(copy);
    assert_string_equal(copy_rows(copy), "1|x|x\n");
    assert_int_equal(copy_parked(copy), 2);
    copy_retry(copy, INT64_MAX);
    assert_string_equal(copy_rows(copy), "1|late|x\n");
    assert_int_equal(copy_parked(copy), 0);
    copy_finish(copy);
}

static void free_mail_and_skip(struct copy *copy)
{
    (void)copy_text(copy, "DELETE FROM orders");
    copy_operate(copy, 1, PARKED_SET_SKIPPED);
}

static void what_an_operator_skips_behind_the_agents_look_is_not_written(void)
{
    struct copy *copy = begin_with_one_that_waits();
    copy->at_begin = free_mail_and_skip;
    assert_int_equal(applier_retry_parked(copy->applier, INT64_MAX, &copy->err), STATUS_ABORT);
    assert_int_equal(copy->err.native_code, 1);
    error_clear(&copy->err);
    applier_set_reloaded(copy->applier, copy->index, false);
    copy_retry(copy, INT64_MAX);
    assert_string_equal(copy_rows(copy), "");
    copy_add(copy, 3, 2, "u", COPY_ROW("mail", "nine"));
    copy_apply(copy);
    assert_string_equal(copy_rows(copy), "2|mail|nine\n");
    assert_int_equal(copy_parked(copy), 0);
    copy_finish(copy);
}

static struct {
    pthread_t thread;
    enum status status;
    struct error err;
} operator_beside;

static void *skip_beside(void *context)
{
    operator_beside.status = copy_try_operate(context, 1, PARKED_SET_SKIPPED, &operator_beside.err);
    return NULL;
}

static bool somebody_waits(void *context)
{
    const struct copy *copy = context;
    if (copy->kind == DATABASE_POSTGRESQL)
        return copy_number(copy, "SELECT count(*) FROM pg_locks WHERE NOT granted") > 0;
    return copy_number(copy, "SELECT count(*) FROM information_schema.processlist WHERE "
                             "db = database() AND id <> connection_id() AND command <> 'Sleep' "
                             "AND time_ms > 50") > 0;
}

/* The operator waits for the agent's transaction, which begins with the fence. */
static void begin_to_skip(struct copy *copy)
{
    error_clear(&operator_beside.err);
    assert_int_equal(pthread_create(&operator_beside.thread, NULL, skip_beside, copy), 0);
    if (copy->kind == DATABASE_SQLITE)
        clock_sleep_us(50000); /* its wait cannot be seen; the lock excludes it anyway */
    else if (!test_wait(somebody_waits, copy, BLOCKED_MS))
        test_fail("the operator does not wait: %s: %s", status_name(operator_beside.status),
                  operator_beside.err.text);
}

static void an_operator_who_skips_within_a_retry_is_told_that_it_is_too_late(void)
{
    struct copy *copy = begin_with_one_that_waits();
    copy_add(copy, 3, 1, "d", "");
    copy_apply(copy);
    copy->at_apply = begin_to_skip;
    copy_retry(copy, INT64_MAX);
    assert_int_equal(pthread_join(operator_beside.thread, NULL), 0);
    if (operator_beside.status != STATUS_ABORT)
        test_fail("%s: %s", status_name(operator_beside.status), operator_beside.err.text);
    assert_non_null(strstr(operator_beside.err.text, "not there any more"));
    assert_int_equal(copy_number(copy, "SELECT count(*) FROM keepstep_parked"), 0);
    copy_add(copy, 4, 2, "u", COPY_B("nine"));
    copy_apply(copy); /* no revision is left of it */
    assert_string_equal(copy_rows(copy), "2|mail|nine\n");
    copy_finish(copy);
}

static void a_column_that_a_later_image_lacks_is_not_lost(void)
{
    struct copy *copy = copy_begin("", false);
    copy_add(copy, 1, 1, "c", COPY_ROW("1", "1"));
    copy_apply(copy);
    copy_add(copy, 2, 1, "u", COPY_ROW("1", "2"));
    copy_add(copy, 3, 1, "u", COPY_A("3"));
    copy_add(copy, 4, 2, "c", COPY_ROW("4", "4"));
    copy_add(copy, 5, 2, "u", COPY_B("5"));
    copy_add(copy, 6, 2, "u", COPY_A("6"));
    copy_apply(copy);
    assert_string_equal(copy_rows(copy), "1|3|2\n2|6|5\n");
    copy_finish(copy);
}

static void a_sparse_image_behind_a_delete_is_not_merged_with_what_was_before(void)
{
    struct copy *copy = copy_begin("", false);
    copy_add(copy, 1, 1, "c", COPY_ROW("1", "1"));
    copy_add(copy, 2, 1, "d", "");
    copy_add(copy, 3, 1, "u", COPY_A("3"));
    copy_apply(copy);
    assert_string_equal(copy_rows(copy), "");
    assert_int_equal(copy_parked(copy), 1);
    assert_int_equal(atomic_load(&copy->metrics->events_rejected), 1);
    copy_finish(copy);
}

static int applies;

static void count_apply(struct copy *copy)
{
    applies++;
    copy->at_apply = count_apply;
}

/* Make two orders with a unique column. */
static struct copy *begin_with_two(void)
{
    struct copy *copy = copy_begin(unique_table, false);
    copy_watch(copy);
    copy_add(copy, 1, 1, "c", COPY_A("a") COPY_B_NULL);
    copy_add(copy, 2, 2, "c", COPY_A("b") COPY_B_NULL);
    copy_apply(copy);
    applies = 0;
    copy->at_apply = count_apply;
    return copy;
}

static void a_swap_that_is_refused_when_reduced_is_applied_in_log_order(void)
{
    struct copy *copy = begin_with_two();
    copy_add(copy, 3, 1, "u", COPY_A("tmp") COPY_B_NULL);
    copy_add(copy, 4, 2, "u", COPY_A("a") COPY_B_NULL);
    copy_add(copy, 5, 1, "u", COPY_A("b") COPY_B_NULL);
    copy_apply(copy);
    assert_string_equal(copy_rows(copy), "1|b|NULL\n2|a|NULL\n");
    assert_int_equal(copy_parked(copy), 0);
    assert_int_equal(applies, 4); /* once reduced, then the three one by one */
    copy_finish(copy);
}

static void in_a_batch_with_a_swap_only_the_real_conflict_waits(void)
{
    struct copy *copy = begin_with_two();
    copy_add(copy, 3, 1, "u", COPY_A("tmp") COPY_B_NULL);
    copy_add(copy, 4, 2, "u", COPY_A("a") COPY_B_NULL);
    copy_add(copy, 5, 3, "c", COPY_A("a") COPY_B_NULL);
    copy_add(copy, 6, 1, "u", COPY_A("b") COPY_B_NULL);
    copy_apply(copy);
    assert_string_equal(copy_rows(copy), "1|b|NULL\n2|a|NULL\n");
    assert_string_equal(copy_text(copy, "SELECT entity_key, state FROM keepstep_blocked "
                                        "JOIN keepstep_parked USING (parked_id)"),
                        "{\"id\":3}|1\n");
    copy_finish(copy);
}

static void an_image_that_changes_nothing_is_no_conflict(void)
{
    struct copy *copy = begin_with_two();
    copy_add(copy, 3, 1, "u", COPY_A("a") COPY_B_NULL);
    copy_add(copy, 4, 2, "u", COPY_A("b"));
    copy_add(copy, 5, 2, "c", COPY_A("b") COPY_B_NULL);
    copy_apply(copy);
    assert_int_equal(atomic_load(&copy->metrics->events_applied), 5);
    assert_int_equal(copy_parked(copy), 0);
    assert_string_equal(copy_rows(copy), "1|a|NULL\n2|b|NULL\n");
    copy_finish(copy);
}

static void what_waits_for_a_unique_key_is_cured_in_order(void)
{
    struct copy *copy = begin_with_one_that_waits();
    copy_add(copy, 3, 2, "u", COPY_ROW("mail", "six"));
    copy_apply(copy);
    copy_add(copy, 4, 1, "d", "");
    copy_apply(copy);
    copy_retry(copy, INT64_MAX);
    assert_string_equal(copy_rows(copy), "2|mail|six\n");
    assert_int_equal(copy_parked(copy), 0);
    assert_int_equal(atomic_load(&copy->metrics->events_healed), 2);
    copy_add(copy, 5, 2, "u", COPY_ROW("mail", "seven"));
    copy_apply(copy);
    assert_string_equal(copy_rows(copy), "2|mail|seven\n");
    copy_finish(copy);
}

static void what_waits_for_a_foreign_key_is_applied_in_order_once_it_is_there(void)
{
    struct copy *copy = copy_begin_with(foreign_tables, false);
    copy_add(copy, 1, 1, "c", COPY_ROW("p", "first"));
    copy_add(copy, 2, 1, "u", COPY_ROW("p", "second"));
    copy_add(copy, 3, 2, "c", COPY_A_NULL COPY_B("another"));
    copy_apply(copy);
    assert_string_equal(copy_rows(copy), "2|NULL|another\n");
    assert_string_equal(copy_text(copy, "SELECT state FROM keepstep_parked ORDER BY parked_id"),
                        "1\n2\n");
    (void)copy_text(copy, "DELETE FROM seen");
    (void)copy_text(copy, "INSERT INTO parents VALUES('p')");
    copy_retry(copy, INT64_MAX);
    assert_string_equal(copy_rows(copy), "1|p|second\n2|NULL|another\n");
    assert_string_equal(copy_text(copy, "SELECT b FROM seen ORDER BY n"), "first\nsecond\n");
    assert_int_equal(copy_parked(copy), 0);
    copy_finish(copy);
}

static void a_delete_does_not_wait_for_ever_behind_a_create(void)
{
    struct copy *copy = begin_with_one_that_waits();
    copy_add(copy, 3, 2, "u", COPY_B("sparse"));
    copy_add(copy, 4, 2, "d", "");
    copy_apply(copy);
    copy_retry(copy, INT64_MAX);
    assert_string_equal(copy_text(copy, "SELECT state FROM keepstep_parked ORDER BY parked_id"),
                        "3\n3\n"); /* both are only evidence and block nothing */
    copy_add(copy, 5, 2, "c", COPY_A("another") COPY_B_NULL);
    copy_apply(copy);
    assert_string_equal(copy_rows(copy), "1|mail|NULL\n2|another|NULL\n");
    copy_finish(copy);
}

static void a_later_image_replaces_a_create_that_waits(void)
{
    struct copy *copy = begin_with_one_that_waits();
    copy_add(copy, 3, 2, "u", COPY_ROW("own mail", "full"));
    copy_add(copy, 4, 2, "u", COPY_B("sparse"));
    copy_apply(copy);
    copy_retry(copy, INT64_MAX);
    assert_string_equal(copy_rows(copy), "1|mail|NULL\n2|own mail|sparse\n");
    assert_string_equal(copy_text(copy, "SELECT state FROM keepstep_parked"), "3\n");
    copy_finish(copy);
}

static void add_of_tool(struct copy *copy, const char *id, int key, const char *a, const char *b)
{
    copy_add_from(copy, "tool", 0, id, "", NULL, key,
                  test_format("{\"op\":\"u\",\"before\":null,\"after\":{\"id\":%d,\"a\":\"%s\","
                              "\"b\":\"%s\"}}",
                              key, a, b));
}

#define CONFLICT "another value was applied under the same event id"

static void another_value_under_a_used_id_is_held_behind_a_parked_event_too(void)
{
    struct copy *copy = copy_begin(unique_table, false);
    add_of_tool(copy, "k1", 1, "mail", "first");
    add_of_tool(copy, "k2", 2, "mail", "waits");
    copy_apply(copy);
    add_of_tool(copy, "k1", 2, "own mail", "another k1");
    add_of_tool(copy, "k3", 2, "own mail", "third");
    copy_apply(copy);
    assert_non_null(strstr(states(copy), "0|" CONFLICT "\n2|behind a parked event\n"));
    copy_retry(copy, INT64_MAX); /* it stands behind another and does not replace it */
    assert_string_equal(copy_rows(copy), "1|mail|first\n");
    assert_int_equal(copy_parked(copy), 3);

    copy_add(copy, 1, 1, "d", "");
    copy_apply(copy);
    applier_free(copy->applier);
    copy->applier = copy_open(copy);
    copy_retry(copy, INT64_MAX); /* its predecessor is applied; this one needs an operator */
    assert_string_equal(copy_rows(copy), "2|mail|waits\n");
    assert_string_equal(states(copy), "0|" CONFLICT "\n2|behind a parked event\n");
    copy_operate(copy, 2, PARKED_SET_SKIPPED);
    copy_must(copy, applier_refresh(copy->applier, &copy->err));
    copy_retry(copy, INT64_MAX);
    assert_string_equal(copy_rows(copy), "2|own mail|third\n");
    assert_int_equal(copy_parked(copy), 0);
    copy_finish(copy);
}

static void another_value_under_a_used_id_that_cannot_be_read_stays_held_once_it_can(void)
{
    struct copy *copy = copy_begin("", false);
    add_of_tool(copy, "k1", 1, "mail", "first");
    add_of_tool(copy, "k2", 2, "mail", "second");
    copy_apply(copy);
    copy_add_from(copy, "tool", 0, "k3", "", NULL, 2, "no JSON");
    copy_add_from(copy, "tool", 0, "k1", "", NULL, 2, "no JSON either");
    copy_apply(copy);
    assert_non_null(strstr(states(copy), "\n0|" CONFLICT "\n"));
    copy_operate(copy, 1, PARKED_SET_SKIPPED);
    copy_must(copy, applier_refresh(copy->applier, &copy->err));
    copy_retry(copy, INT64_MAX);
    assert_non_null(strstr(states(copy), "\n0|" CONFLICT "\n"));
    copy_finish(copy);
}

static void change_own(struct copy *copy)
{
    (void)copy_text(copy, "BEGIN; UPDATE orders SET a = 'own 2', b = 'own 2' WHERE id = 1;"
                          "INSERT INTO outbox(aggregatetype, aggregateid)"
                          " VALUES ('order', '{\"id\":1}'); COMMIT");
}

static void an_event_is_not_written_over_a_later_own_change_until_that_is_read_back(void)
{
    struct copy *copy = copy_begin_with(copy_outbox_tables, true);
    change_own(copy);
    copy_add(copy, 1, 1, "u", COPY_ROW("theirs", "theirs"));
    copy_apply(copy);
    assert_string_equal(copy_rows(copy), "1|own 2|own 2\n");
    assert_int_equal(copy_where(copy)->next_offset, 1);
    assert_int_equal(atomic_load(&copy->metrics->events_superseded), 1);
    (void)copy_text(copy, "UPDATE outbox SET kafka_partition = 0, sequence = 1");
    copy_add_from(
        copy, "billing", 1, "o1", "", NULL, 1,
        "{\"op\":\"u\",\"before\":null,\"after\":{\"id\":1,\"a\":\"own 2\",\"b\":\"own 2\"}}");
    copy_add(copy, 2, 1, "u", COPY_ROW("later", "later"));
    copy_apply(copy); /* own changes are judged as of the event, not as of the batch */
    assert_string_equal(copy_rows(copy), "1|later|later\n");
    copy_finish(copy);
}

/* SQLite's BEGIN IMMEDIATE excludes the service, so this cannot happen there. */
static void an_own_change_that_commits_between_pending_read_and_write_is_not_written_over(void)
{
    struct copy *copy = copy_begin_with(copy_outbox_tables, true);
    copy_watch(copy);
    copy->at_apply = change_own;
    copy_add(copy, 1, 1, "u", COPY_ROW("theirs", "theirs"));
    copy_add(copy, 2, 2, "c", COPY_ROW("other", "other"));
    copy_apply(copy);
    assert_string_equal(copy_rows(copy), "1|own 2|own 2\n2|other|other\n");
    assert_int_equal(atomic_load(&copy->metrics->events_superseded), 1);
    assert_int_equal(atomic_load(&copy->metrics->events_applied), 1);
    assert_int_equal(copy_where(copy)->next_offset, 2);
    copy_finish(copy);
}

static void a_second_history_is_a_fork_after_a_restart_too(void)
{
    struct copy *copy = copy_begin("", false);
    copy_add(copy, 1, 1, "c", COPY_ROW("1", "1"));
    copy_add(copy, 2, 1, "u", COPY_ROW("2", "2"));
    copy_apply(copy);
    applier_free(copy->applier);
    copy->applier = copy_open(copy);
    copy_add(copy, 1, 1, "c", COPY_ROW("1", "1")); /* published twice */
    copy_add(copy, 3, 2, "c", COPY_ROW("3", "3"));
    copy_add_from(copy, "shop", 2, "x2", "e1", NULL, 1,
                  "{\"op\":\"u\",\"before\":null,\"after\":{\"id\":1,\"a\":\"x\",\"b\":\"x\"}}");
    copy_apply(copy);
    assert_string_equal(copy_rows(copy), "1|2|2\n2|3|3\n");
    assert_int_equal(atomic_load(&copy->metrics->events_duplicate), 1);
    assert_int_equal(copy_where(copy)->next_offset, 4);
    assert_non_null(strstr(copy_where(copy)->stopped, "two histories"));
    copy_finish(copy);
}

/* The service holds order 3. The server does not choose it as victim of the deadlock: it has
 * written more (MariaDB), or it never checks for a deadlock (PostgreSQL). */
static struct session *service;

static void *close_the_circle(void *context)
{
    struct copy *copy = context;
    bool waits = test_wait(somebody_waits, copy, BLOCKED_MS);
    session_run(service, "UPDATE orders SET b = 'service' WHERE id = 1", NULL);
    session_run(service, "COMMIT", NULL);
    return waits ? copy : NULL;
}

static void a_batch_that_a_deadlock_voided_is_applied_whole_later(void)
{
    pthread_t thread;
    void *waited = NULL;
    struct copy *copy = copy_begin(unique_table, false);
    for (int i = 1; i <= 3; i++)
        copy_add(copy, i, i, "c", test_format(COPY_ROW("%d", "first"), i));
    copy_apply(copy);
    service = session_open(copy->url);
    if (copy->kind == DATABASE_POSTGRESQL)
        session_run(service, "SET deadlock_timeout = '10min'", NULL);
    session_run(service, "CREATE TABLE ballast(n INTEGER)", NULL);
    session_run(service, "BEGIN", NULL);
    for (int i = 0; i < 100; i++)
        session_run(service, "INSERT INTO ballast VALUES (1), (2), (3)", NULL);
    session_run(service, "UPDATE orders SET b = 'service' WHERE id = 3", NULL);
    assert_int_equal(pthread_create(&thread, NULL, close_the_circle, copy), 0);
    for (int i = 1; i <= 3; i++)
        copy_add(copy, 3 + i, i, "u", test_format(COPY_ROW("%d", "second"), i));
    assert_int_equal(applier_apply(copy->applier, &copy->batch, &copy->err), STATUS_RETRY);
    /* PostgreSQL may check too early, and then only the wait for the lock ends. */
    if (copy->kind == DATABASE_MARIADB)
        assert_non_null(strstr(copy->err.text, "Deadlock"));
    error_clear(&copy->err);
    assert_int_equal(pthread_join(thread, &waited), 0);
    assert_ptr_equal(waited, copy);
    session_close(service);
    assert_string_equal(copy_rows(copy), "1|1|service\n2|2|first\n3|3|service\n");
    assert_int_equal(copy_number(copy, "SELECT next_offset FROM keepstep_position"), 3);
    copy_apply(copy);
    assert_string_equal(copy_rows(copy), "1|1|second\n2|2|second\n3|3|second\n");
    assert_int_equal(copy_number(copy, "SELECT next_offset FROM keepstep_position"), 6);
    copy_finish(copy);
}

int main(void)
{
    static const struct database_case cases[] = {
        DATABASE_CASE(a_zombie_that_retries_a_parked_event_writes_nothing),
        DATABASE_CASE(a_zombie_that_wakes_behind_its_look_at_what_waits_writes_nothing),
        DATABASE_CASE_SERVERS(a_zombie_that_wakes_within_its_retry_writes_nothing),
        DATABASE_CASE(after_an_operators_skip_nothing_waits_behind_nothing),
        DATABASE_CASE(an_event_read_before_an_operators_retry_does_not_overtake_it),
        DATABASE_CASE(what_an_operator_skips_behind_the_agents_look_is_not_written),
        DATABASE_CASE(an_operator_who_skips_within_a_retry_is_told_that_it_is_too_late),
        DATABASE_CASE(a_column_that_a_later_image_lacks_is_not_lost),
        DATABASE_CASE(a_sparse_image_behind_a_delete_is_not_merged_with_what_was_before),
        DATABASE_CASE(a_swap_that_is_refused_when_reduced_is_applied_in_log_order),
        DATABASE_CASE(in_a_batch_with_a_swap_only_the_real_conflict_waits),
        DATABASE_CASE(an_image_that_changes_nothing_is_no_conflict),
        DATABASE_CASE(what_waits_for_a_unique_key_is_cured_in_order),
        DATABASE_CASE(what_waits_for_a_foreign_key_is_applied_in_order_once_it_is_there),
        DATABASE_CASE(a_delete_does_not_wait_for_ever_behind_a_create),
        DATABASE_CASE(a_later_image_replaces_a_create_that_waits),
        DATABASE_CASE(another_value_under_a_used_id_is_held_behind_a_parked_event_too),
        DATABASE_CASE(another_value_under_a_used_id_that_cannot_be_read_stays_held_once_it_can),
        DATABASE_CASE(an_event_is_not_written_over_a_later_own_change_until_that_is_read_back),
        DATABASE_CASE_SERVERS(
            an_own_change_that_commits_between_pending_read_and_write_is_not_written_over),
        DATABASE_CASE(a_second_history_is_a_fork_after_a_restart_too),
        DATABASE_CASE_SERVERS(a_batch_that_a_deadlock_voided_is_applied_whole_later),
    };
    return database_case_run(cases, sizeof cases / sizeof cases[0]);
}
