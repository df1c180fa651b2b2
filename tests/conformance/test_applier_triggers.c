/* A service makes a trigger on a table of its copy while the agent runs, in each database: the
 * agent goes on, and the trigger sees what it writes. */
#include "tests/support/copy.h"

#define ATTEMPTS 3

static const char table_sql[] =
    "CREATE TABLE orders(id bigint NOT NULL PRIMARY KEY, a varchar(100), b varchar(100));"
    "CREATE TABLE seen(id bigint NOT NULL PRIMARY KEY)";

static const char *const tables[] = {[DATABASE_SQLITE] = table_sql,
                                     [DATABASE_POSTGRESQL] = table_sql,
                                     [DATABASE_MARIADB] = table_sql};

static const char *const triggers[] = {
    [DATABASE_SQLITE] = "CREATE TRIGGER look AFTER INSERT ON orders BEGIN"
                        " INSERT INTO seen VALUES (NEW.id); END",
    [DATABASE_POSTGRESQL] = "CREATE FUNCTION look() RETURNS trigger LANGUAGE plpgsql AS"
                            " 'BEGIN INSERT INTO seen VALUES (NEW.id); RETURN NEW; END';"
                            "CREATE TRIGGER look AFTER INSERT ON orders FOR EACH ROW"
                            " EXECUTE FUNCTION look()",
    [DATABASE_MARIADB] = "CREATE TRIGGER look AFTER INSERT ON orders FOR EACH ROW"
                         " INSERT INTO seen VALUES (NEW.id)",
};

/* The agent tries a batch again as it is. */
static void apply_patiently(struct copy *copy)
{
    enum status status = STATUS_RETRY;
    for (int i = 0; i < ATTEMPTS && status == STATUS_RETRY; i++) {
        error_clear(&copy->err);
        status = applier_apply(copy->applier, &copy->batch, &copy->err);
        if (status == STATUS_ABORT && copy->err.native_code == 1) { /* it is read anew */
            applier_set_reloaded(copy->applier, copy->index, false);
            status = STATUS_RETRY;
        }
    }
    copy_must(copy, status);
    batch_reset(&copy->batch);
}

/* In MariaDB the statements that were prepared before it failed with 1146, which ended the agent.
 */
static void a_trigger_that_is_made_while_the_agent_runs_sees_what_it_writes(void)
{
    struct copy *copy = copy_begin_with(tables, false);
    for (int i = 1; i <= 3; i++) /* one alone, and several in bulk */
        copy_add(copy, i, i, "c", COPY_ROW("x", "y"));
    copy_apply(copy);
    copy_add(copy, 4, 4, "c", COPY_ROW("x", "y"));
    copy_apply(copy);
    (void)copy_text(copy, triggers[copy->kind]);
    copy_add(copy, 5, 5, "c", COPY_ROW("x", "y"));
    apply_patiently(copy);
    for (int i = 6; i <= 8; i++)
        copy_add(copy, i, i, "c", COPY_ROW("x", "y"));
    apply_patiently(copy);
    assert_string_equal(copy_text(copy, "SELECT count(*), min(id), max(id) FROM seen"), "4|5|8\n");
    assert_int_equal(copy_number(copy, "SELECT count(*) FROM orders"), 8);
    copy_finish(copy);
}

/* What is prepared by then has not run yet. */
static void a_trigger_that_is_made_before_the_first_event_sees_what_is_written(void)
{
    struct copy *copy = copy_begin_with(tables, false);
    (void)copy_text(copy, triggers[copy->kind]);
    copy_add(copy, 1, 1, "c", COPY_ROW("x", "y"));
    apply_patiently(copy);
    for (int i = 2; i <= 4; i++)
        copy_add(copy, i, i, "c", COPY_ROW("x", "y"));
    apply_patiently(copy);
    assert_string_equal(copy_text(copy, "SELECT count(*), min(id), max(id) FROM seen"), "4|1|4\n");
    copy_finish(copy);
}

int main(void)
{
    static const struct database_case cases[] = {
        DATABASE_CASE(a_trigger_that_is_made_while_the_agent_runs_sees_what_it_writes),
        DATABASE_CASE(a_trigger_that_is_made_before_the_first_event_sees_what_is_written),
    };
    return database_case_run(cases, sizeof cases / sizeof *cases);
}
