/* Copies whose tables have the service's own triggers, constraints and foreign keys. */
#include "tests/support/copy.h"

#include "common/clock.h"

#define ORDERS "CREATE TABLE orders(id bigint PRIMARY KEY, a varchar(100), b varchar(100));"

static const char *const picked[] = {
    [DATABASE_SQLITE] = ORDERS
    "CREATE TABLE picks(order_id bigint REFERENCES orders(id) ON DELETE CASCADE)",
    [DATABASE_POSTGRESQL] = ORDERS
    "CREATE TABLE picks(order_id bigint REFERENCES orders(id) ON DELETE CASCADE)",
    [DATABASE_MARIADB] = ORDERS
    "CREATE TABLE picks(order_id bigint);"
    "CREATE TRIGGER follow AFTER DELETE ON orders FOR EACH ROW DELETE FROM picks "
    "WHERE order_id = OLD.id",
};

static void an_order_that_went_and_came_again_has_taken_what_followed_it(void)
{
    struct copy *copy = copy_begin_with(picked, false);
    copy_add(copy, 1, 1, "c", COPY_A("first") COPY_B_NULL);
    copy_add(copy, 2, 2, "c", COPY_A("stays") COPY_B_NULL);
    copy_apply(copy);
    (void)copy_text(copy, "INSERT INTO picks VALUES (1), (2)");
    copy_add(copy, 3, 1, "d", "");
    copy_add(copy, 4, 1, "c", COPY_A("again") COPY_B_NULL);
    copy_apply(copy);
    assert_string_equal(copy_rows(copy), "1|again|NULL\n2|stays|NULL\n");
    assert_string_equal(copy_text(copy, "SELECT order_id FROM picks"), "2\n");
    copy_finish(copy);
}

#define SEEN_SQLITE(event, row)                                                                    \
    "CREATE TRIGGER seen_" event " AFTER " event " ON orders FOR EACH ROW BEGIN INSERT INTO "      \
    "seen(what) VALUES ('" event " ' || " row ".id); END;"
#define SEEN_MARIADB(event, row)                                                                   \
    "CREATE TRIGGER seen_" event " AFTER " event " ON orders FOR EACH ROW INSERT INTO "            \
    "seen(what) VALUES (concat('" event " ', " row ".id));"

static const char *const watched[] = {
    [DATABASE_SQLITE] = ORDERS
    "CREATE TABLE seen(n integer PRIMARY KEY AUTOINCREMENT, what text);" SEEN_SQLITE(
        "INSERT", "NEW") SEEN_SQLITE("UPDATE", "NEW") SEEN_SQLITE("DELETE", "OLD"),
    [DATABASE_POSTGRESQL] = ORDERS
    "CREATE TABLE seen(n serial PRIMARY KEY, what text);"
    "CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO seen(what) "
    "VALUES (concat(TG_OP, ' ', coalesce(NEW.id, OLD.id))); RETURN NULL; END $$;"
    "CREATE TRIGGER see AFTER INSERT OR UPDATE OR DELETE ON orders FOR EACH ROW "
    "EXECUTE FUNCTION see()",
    [DATABASE_MARIADB] = ORDERS
    "CREATE TABLE seen(n int AUTO_INCREMENT PRIMARY KEY, what varchar(100));" SEEN_MARIADB(
        "INSERT", "NEW") SEEN_MARIADB("UPDATE", "NEW") SEEN_MARIADB("DELETE", "OLD"),
};

/* The changes of the batch are not in the order of the keys, and one row has several. */
static void a_trigger_sees_every_change_in_the_order_of_the_log(void)
{
    struct copy *copy = copy_begin_with(watched, false);
    copy_add(copy, 1, 3, "c", COPY_ROW("x", "y"));
    copy_add(copy, 2, 1, "c", COPY_ROW("x", "y"));
    copy_add(copy, 3, 3, "u", COPY_A("z"));
    copy_add(copy, 4, 2, "c", COPY_ROW("x", "y"));
    copy_add(copy, 5, 1, "u", COPY_B("z"));
    copy_add(copy, 6, 3, "d", "");
    copy_add(copy, 7, 1, "d", "");
    copy_add(copy, 8, 1, "c", COPY_A("again") COPY_B_NULL);
    copy_apply(copy);
    assert_string_equal(copy_rows(copy), "1|again|NULL\n2|x|y\n");
    assert_string_equal(copy_text(copy, "SELECT what FROM seen ORDER BY n"),
                        "INSERT 3\nINSERT 1\nUPDATE 3\nINSERT 2\nUPDATE 1\nDELETE 3\nDELETE 1\n"
                        "INSERT 1\n");
    copy_finish(copy);
}

/* A trigger and a check refuse rows, each in another way. */
static const char *const refusing[] = {
    [DATABASE_SQLITE] =
        "CREATE TABLE orders(id integer PRIMARY KEY, a text, b text CHECK (b <> 'check'));"
        "CREATE TRIGGER refuse BEFORE INSERT ON orders FOR EACH ROW BEGIN "
        "SELECT CASE NEW.a WHEN 'own' THEN RAISE(ABORT, 'no') WHEN 'other' THEN RAISE(FAIL, 'no') "
        "WHEN 'data' THEN json_extract(NEW.a, '$.x') WHEN 'fatal' THEN RAISE(ROLLBACK, 'no') END; "
        "END",
    [DATABASE_POSTGRESQL] =
        "CREATE TABLE orders(id bigint PRIMARY KEY, a text, b text CHECK (b <> 'check'));"
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "IF NEW.a = 'own' THEN RAISE EXCEPTION 'no' USING ERRCODE = 'AB123'; "
        "ELSIF NEW.a = 'other' THEN RAISE EXCEPTION 'no' USING ERRCODE = '42P01'; "
        "ELSIF NEW.a = 'data' THEN CASE NEW.a WHEN 'x' THEN NULL; END CASE; "
        "ELSIF NEW.a = 'fatal' THEN RAISE EXCEPTION 'no' USING ERRCODE = 'XX000'; END IF; "
        "RETURN NEW; END $$;"
        "CREATE TRIGGER refuse BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION refuse()",
    [DATABASE_MARIADB] =
        "CREATE TABLE orders(id bigint PRIMARY KEY, a varchar(100), b varchar(100) "
        "CHECK (b <> 'check'));"
        "CREATE TRIGGER refuse BEFORE INSERT ON orders FOR EACH ROW "
        "CASE NEW.a WHEN 'own' THEN SIGNAL SQLSTATE 'AB123' SET MESSAGE_TEXT = 'no'; "
        "WHEN 'other' THEN SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = 31001; "
        "WHEN 'data' THEN SET NEW.b = (SELECT 1 UNION SELECT 2); "
        "WHEN 'fatal' THEN SIGNAL SQLSTATE '42S02' SET MYSQL_ERRNO = 1146; "
        "ELSE SET NEW.b = NEW.b; END CASE",
};

static void what_a_trigger_or_a_check_refuses_is_held_alone(void)
{
    struct copy *copy = copy_begin_with(refusing, false);
    copy_add(copy, 1, 1, "c", COPY_ROW("x", "y"));
    copy_add(copy, 2, 2, "c", COPY_ROW("own", "y"));
    copy_add(copy, 3, 3, "c", COPY_ROW("other", "y"));
    copy_add(copy, 4, 4, "c", COPY_ROW("data", "y"));
    copy_add(copy, 5, 5, "c", COPY_ROW("x", "check"));
    copy_add(copy, 6, 6, "c", COPY_ROW("x", "y"));
    copy_apply(copy);
    assert_string_equal(copy_rows(copy), "1|x|y\n6|x|y\n");
    assert_string_equal(copy_text(copy, "SELECT state, count(*) FROM keepstep_parked GROUP BY 1"),
                        "0|4\n");
    assert_int_equal(copy_where(copy)->next_offset, 6);
    copy_finish(copy);
}

/* This also holds where the error ends the whole transaction, as RAISE(ROLLBACK) does in SQLite. */
static void a_fatal_error_names_the_event(void)
{
    struct copy *copy = copy_begin_with(refusing, false);
    copy_add(copy, 1, 1, "c", COPY_ROW("x", "y"));
    copy_add(copy, 2, 2, "c", COPY_ROW("fatal", "y"));
    copy_add(copy, 3, 3, "c", COPY_ROW("x", "y"));
    assert_int_equal(applier_apply(copy->applier, &copy->batch, &copy->err), STATUS_FATAL);
    if (strstr(copy->err.text, "order {\"id\":2} from order/0 offset 1: ") == NULL)
        test_fail("%s", copy->err.text);
    assert_string_equal(copy_rows(copy), "");
    copy_finish(copy);
}

/* Retry until `count` records are left. The test fails after too many rounds. */
static void retry_until(struct copy *copy, int64_t count)
{
    for (int round = 0; round < 20 && copy_parked(copy) != count; round++)
        copy_retry_later(copy, INT64_MAX);
    if (copy_parked(copy) != count)
        test_fail("%lld are parked: %s", (long long)copy_parked(copy), copy_rows(copy));
}

/* Two rows swap their unique values. Each event has its own batch, and neither can be applied
 * first. */
static void swap(struct copy *copy)
{
    copy_add(copy, 1, 1, "c", COPY_ROW("x", "one"));
    copy_add(copy, 2, 2, "c", COPY_ROW("y", "two"));
    copy_add(copy, 3, 3, "c", COPY_ROW("z", "three"));
    copy_add(copy, 4, 4, "c", COPY_ROW("z", "never"));
    copy_apply(copy);
    copy_add(copy, 5, 1, "u", COPY_ROW("y", "one"));
    copy_apply(copy);
    copy_add(copy, 6, 2, "u", COPY_ROW("x", "two"));
    copy_apply(copy);
    assert_int_equal(copy_parked(copy), 3);
}

static const char *const unique[] = {
    [DATABASE_SQLITE] =
        "CREATE TABLE orders(id integer PRIMARY KEY, a text NOT NULL UNIQUE, b text)",
    [DATABASE_POSTGRESQL] = "CREATE TABLE orders(id bigint PRIMARY KEY, a text NOT NULL, b text, "
                            "UNIQUE (a) DEFERRABLE)",
    [DATABASE_MARIADB] =
        "CREATE TABLE orders(id bigint PRIMARY KEY, a varchar(100) NOT NULL UNIQUE, "
        "b varchar(100))",
};

/* The records in front of the two wait for something that never comes. */
static void rows_that_swap_behind_many_that_wait_are_written_too(void)
{
    if (database_case_kind != DATABASE_SQLITE)
        test_skip("so many retries take minutes on a server, where the same function chooses");
    struct copy *copy = copy_begin_with(unique, false);
    copy->config.limits.parked_entities = 1000;
    copy_add(copy, 1, 3, "c", COPY_ROW("z", "three"));
    copy_add(copy, 2, 1, "c", COPY_ROW("x", "one"));
    copy_add(copy, 3, 2, "c", COPY_ROW("y", "two"));
    copy_apply(copy);
    for (int i = 0; i < 120; i++) {
        copy_add(copy, 4 + i, 100 + i, "c", COPY_ROW("z", "never"));
        if (i % 60 == 59)
            copy_apply(copy);
    }
    copy_add(copy, 124, 1, "u", COPY_ROW("y", "one"));
    copy_apply(copy);
    copy_add(copy, 125, 2, "u", COPY_ROW("x", "two"));
    copy_apply(copy);
    for (int round = 0; round < 60 && copy_parked(copy) != 120; round++)
        copy_retry_later(copy, INT64_MAX);
    assert_int_equal(copy_parked(copy), 120);
    assert_string_equal(copy_rows(copy), "1|y|one\n2|x|two\n3|z|three\n");
    copy_finish(copy);
}

static void rows_that_swap_a_unique_value_are_written_together(void)
{
    struct copy *copy = copy_begin_with(unique, false);
    swap(copy);
    copy_add(copy, 7, 1, "u", COPY_ROW("y", "behind"));
    copy_apply(copy);
    retry_until(copy, 1);
    assert_string_equal(copy_rows(copy), "1|y|behind\n2|x|two\n3|z|three\n");
    assert_int_equal(atomic_load(&copy->metrics->events_healed), 3);
    copy_add(copy, 8, 3, "u", COPY_ROW("free", "three"));
    copy_apply(copy);
    retry_until(copy, 0);
    assert_string_equal(copy_rows(copy), "1|y|behind\n2|x|two\n3|free|three\n4|z|never\n");
    copy_finish(copy);
}

static const char *const more_columns[] = {
    [DATABASE_SQLITE] =
        "CREATE TABLE orders(id integer PRIMARY KEY, a text NOT NULL UNIQUE, b text, "
        "mine text DEFAULT 'mine')",
    [DATABASE_POSTGRESQL] = "CREATE TABLE orders(id bigint PRIMARY KEY, a text NOT NULL, b text, "
                            "mine text DEFAULT 'mine', UNIQUE (a) DEFERRABLE)",
    [DATABASE_MARIADB] =
        "CREATE TABLE orders(id bigint PRIMARY KEY, a varchar(100) NOT NULL UNIQUE, "
        "b varchar(100), mine varchar(100) DEFAULT 'mine')",
};

/* A row with columns of the service's own is not taken out. */
static void rows_that_swap_keep_the_columns_of_the_service(void)
{
    struct copy *copy = copy_begin_with(more_columns, false);
    swap(copy);
    (void)copy_text(copy, "UPDATE orders SET mine = b");
    copy_add(copy, 7, 3, "d", "");
    copy_apply(copy);
    retry_until(copy, copy->kind == DATABASE_POSTGRESQL ? 0 : 2);
    assert_string_equal(copy_text(copy, "SELECT id, a, mine FROM orders ORDER BY id"),
                        copy->kind == DATABASE_POSTGRESQL ? "1|y|one\n2|x|two\n4|z|mine\n"
                                                          : "1|x|one\n2|y|two\n4|z|mine\n");
    copy_finish(copy);
}

static const char *const circle[] = {
    [DATABASE_SQLITE] = "CREATE TABLE orders(id integer PRIMARY KEY, a text REFERENCES orders(b) "
                        "DEFERRABLE INITIALLY DEFERRED, b text UNIQUE)",
    [DATABASE_POSTGRESQL] =
        "CREATE TABLE orders(id bigint PRIMARY KEY, a text, b text UNIQUE);"
        "ALTER TABLE orders ADD FOREIGN KEY (a) REFERENCES orders(b) DEFERRABLE",
    [DATABASE_MARIADB] = "CREATE TABLE orders(id bigint PRIMARY KEY, a varchar(100), "
                         "b varchar(100))",
};

static void rows_that_refer_to_each_other_are_written_together(void)
{
    struct copy *copy = copy_begin_with(circle, false);
    if (copy->kind == DATABASE_MARIADB) {
        copy_finish(copy);
        test_skip("MariaDB has no foreign keys that can wait");
    }
    copy_add(copy, 1, 9, "c", COPY_ROW("nobody", "nine"));
    copy_add(copy, 2, 1, "c", COPY_ROW("two", "one"));
    copy_apply(copy);
    copy_add(copy, 3, 2, "c", COPY_ROW("three", "two"));
    copy_apply(copy);
    copy_add(copy, 4, 3, "c", COPY_ROW("one", "three"));
    copy_apply(copy);
    retry_until(copy, 1);
    assert_string_equal(copy_rows(copy), "1|two|one\n2|three|two\n3|one|three\n");
    copy_finish(copy);
}

static const char *const family[] = {
    [DATABASE_SQLITE] = "CREATE TABLE orders(id integer PRIMARY KEY, a text REFERENCES orders(b), "
                        "b text UNIQUE)",
    [DATABASE_POSTGRESQL] = "CREATE TABLE orders(id bigint PRIMARY KEY, a text, b text UNIQUE);"
                            "ALTER TABLE orders ADD FOREIGN KEY (a) REFERENCES orders(b)",
    [DATABASE_MARIADB] = "CREATE TABLE orders(id bigint PRIMARY KEY, a varchar(100), "
                         "b varchar(100) UNIQUE, FOREIGN KEY (a) REFERENCES orders(b))",
};

/* A cascade could delete the child after the service moved it to another parent, or the service's
 * own cascade deleted it. In the log the parent's delete comes first in both cases. */
static void a_parents_delete_takes_no_child_and_waits_for_its_childrens(void)
{
    struct copy *copy = copy_begin_with(family, false);
    copy_add(copy, 1, 1, "c", COPY_A_NULL COPY_B("one"));
    copy_add(copy, 2, 2, "c", COPY_ROW("one", "two"));
    copy_add(copy, 3, 3, "c", COPY_ROW("two", "three"));
    copy_apply(copy);
    copy_add(copy, 4, 2, "u", COPY_A_NULL COPY_B("two"));
    copy_add(copy, 5, 1, "d", "");
    copy_apply(copy);
    assert_string_equal(copy_rows(copy), "2|NULL|two\n3|two|three\n");
    copy_add(copy, 6, 2, "d", "");
    copy_apply(copy);
    copy_add(copy, 7, 3, "d", "");
    copy_apply(copy);
    retry_until(copy, 0);
    assert_string_equal(copy_rows(copy), "");
    copy_finish(copy);
}

static const char *const notes[] = {
    [DATABASE_SQLITE] = "CREATE TABLE notes(id integer REFERENCES orders(id) ON DELETE CASCADE)",
    [DATABASE_POSTGRESQL] = "CREATE TABLE notes(id bigint REFERENCES orders(id) ON DELETE CASCADE)",
    [DATABASE_MARIADB] =
        ("CREATE TABLE notes(id bigint); CREATE TRIGGER notes AFTER DELETE ON orders "
         "FOR EACH ROW DELETE FROM notes WHERE notes.id = OLD.id"),
};

/* While the agent runs, a migration adds a trigger or foreign key that follows deletes of these
 * rows. */
static void no_row_is_taken_out_that_something_follows_by_now(void)
{
    struct copy *copy = copy_begin_with(unique, false);
    swap(copy);
    (void)copy_text(copy, notes[copy->kind]);
    (void)copy_text(copy, "INSERT INTO notes VALUES (1), (2)");
    int64_t left = copy->kind == DATABASE_POSTGRESQL ? 1 : 3; /* PostgreSQL defers the check */
    for (int round = 0; round < 8; round++)
        copy_retry_later(copy, INT64_MAX);
    assert_int_equal(copy_number(copy, "SELECT count(*) FROM notes"), 2);
    assert_int_equal(copy_parked(copy), left);
    copy_finish(copy);
}

/* An agent's role sees no triggers in MariaDB. Only what `init` wrote down tells which rows a
 * delete would take along. */
static void no_row_is_taken_out_of_a_copy_that_init_has_not_seen(void)
{
    if (database_case_kind != DATABASE_MARIADB)
        test_skip("the agent itself sees what follows its rows");
    struct copy *copy = copy_begin_with(unique, false);
    (void)copy_text(copy, "DELETE FROM keepstep_meta WHERE `key` LIKE 'order %'");
    swap(copy);
    for (int round = 0; round < 8; round++)
        copy_retry_later(copy, INT64_MAX);
    assert_int_equal(copy_parked(copy), 3);
    copy_finish(copy);
}

static void add_own(struct copy *copy, int sequence, int key, const char *row)
{
    copy_add_from(copy, "billing", sequence, test_format("o%d", sequence), "", NULL, key,
                  test_format("{\"op\":\"u\",\"before\":null,\"after\":{\"id\":%d%s}}", key, row));
}

/* The own change was read back and then parked. What waits in front of it is older. */
static void rows_that_swap_do_not_pass_an_own_change_that_stands_behind_one(void)
{
    struct copy *copy = copy_begin_with(copy_outbox_tables, true);
    (void)copy_text(copy, "CREATE UNIQUE INDEX orders_a ON orders(a)");
    applier_free(copy->applier);
    copy->applier = copy_open(copy);
    copy_add(copy, 1, 2, "c", COPY_ROW("y", "two"));
    copy_apply(copy);
    copy_add(copy, 2, 1, "u", COPY_ROW("y", "foreign"));
    copy_apply(copy);
    copy_must(copy, applier_retry_parked(copy->applier, INT64_MAX, &copy->err));
    (void)copy_text(copy, "UPDATE orders SET b = 'mine' WHERE id = 1");
    copy_add(copy, 3, 2, "u", COPY_ROW("own", "two"));
    add_own(copy, 1, 1, COPY_ROW("own", "mine"));
    copy_apply(copy);
    assert_int_equal(copy_parked(copy), 3);
    int64_t due_us = clock_wall_us() + 1200000; /* only the second record is due */
    for (int i = 0; i < 3; i++) {
        copy_retry_later(copy, due_us);
        assert_string_equal(copy_rows(copy), "1|own|mine\n2|y|two\n");
    }
    retry_until(copy, 1);
    assert_string_equal(copy_rows(copy), "1|own|mine\n2|y|two\n");
    copy_finish(copy);
}

int main(void)
{
    static const struct database_case cases[] = {
        DATABASE_CASE(an_order_that_went_and_came_again_has_taken_what_followed_it),
        DATABASE_CASE(a_parents_delete_takes_no_child_and_waits_for_its_childrens),
        DATABASE_CASE(a_trigger_sees_every_change_in_the_order_of_the_log),
        DATABASE_CASE(what_a_trigger_or_a_check_refuses_is_held_alone),
        DATABASE_CASE(a_fatal_error_names_the_event),
        DATABASE_CASE(rows_that_swap_a_unique_value_are_written_together),
        DATABASE_CASE(rows_that_swap_behind_many_that_wait_are_written_too),
        DATABASE_CASE(rows_that_swap_keep_the_columns_of_the_service),
        DATABASE_CASE(no_row_is_taken_out_that_something_follows_by_now),
        DATABASE_CASE(no_row_is_taken_out_of_a_copy_that_init_has_not_seen),
        DATABASE_CASE(rows_that_swap_do_not_pass_an_own_change_that_stands_behind_one),
        DATABASE_CASE(rows_that_refer_to_each_other_are_written_together),
    };
    return database_case_run(cases, sizeof cases / sizeof cases[0]);
}
