/* Which rows of the outbox are of one transaction, as each database tells them apart (rule 51). */
#include "producer/capture/watch.h"
#include "producer/init/init.h"
#include "producer/init/origin.h"
#include "producer/registry.h"
#include "tests/support/former_outbox.h"
#include "tests/support/mariadb.h"
#include "tests/support/outbox_case.h"
#include "tests/support/postgresql.h"
#include "tests/support/session.h"

#include <stdio.h>
#include <string.h>

#define STEPS_MAX 14
#define SESSIONS  2

/** A step is run by the first session, unless it begins with "2:". A number N stands for INSERT
 * INTO t VALUES (N); a refused statement begins with "!". */
struct identity_case {
    const char *name;
    const char *steps[STEPS_MAX];
    /** A letter for each row in the order of positions: equal for rows of one set, '-' for those
     * that nothing tells apart. */
    const char *expected;
};

static const char *const SCHEMAS[] = {
    "CREATE TABLE t (id INTEGER PRIMARY KEY);"
    "CREATE TRIGGER c AFTER INSERT ON t BEGIN INSERT INTO outbox (aggregatetype, aggregateid, "
    "type, "
    "payload) VALUES ('order', NEW.id, 'order.created', '{}'); END",
    "CREATE TABLE t (id integer PRIMARY KEY);"
    "CREATE FUNCTION c() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN INSERT INTO outbox "
    "(aggregatetype, aggregateid, type, payload) VALUES ('order', NEW.id, 'order.created', '{}'); "
    "RETURN NULL; END$$;"
    "CREATE TRIGGER c AFTER INSERT ON t FOR EACH ROW EXECUTE FUNCTION c();"
    "CREATE PROCEDURE pr() LANGUAGE plpgsql AS $$BEGIN INSERT INTO t VALUES (1); COMMIT; "
    "INSERT INTO t VALUES (2); INSERT INTO t VALUES (3); COMMIT; END$$",
    "CREATE TABLE t (id INT PRIMARY KEY);"
    "CREATE TRIGGER c AFTER INSERT ON t FOR EACH ROW INSERT INTO outbox (aggregatetype, "
    "aggregateid, "
    "type, payload) VALUES ('order', NEW.id, 'order.created', '{}');"
    "CREATE PROCEDURE pr() BEGIN INSERT INTO t VALUES (1); COMMIT; START TRANSACTION; "
    "INSERT INTO t VALUES (2); INSERT INTO t VALUES (3); COMMIT; END"};

#define COMMON_CASES                                                                               \
    {"two statements", {"1", "2", "BEGIN", "3", "COMMIT"}, "abc"},                                 \
        {"a statement of two rows", {"INSERT INTO t VALUES (1), (2)", "3"}, "aab"},                \
        {"savepoints",                                                                             \
         {"BEGIN", "1", "SAVEPOINT s", "2", "ROLLBACK TO SAVEPOINT s", "3", "COMMIT", "4"},        \
         "aab"},                                                                                   \
        {"rolled back", {"BEGIN", "1", "ROLLBACK", "BEGIN", "2", "3", "COMMIT"}, "aa"},            \
        {"a statement that fails",                                                                 \
         {"1", "BEGIN", "2", "SAVEPOINT s", "!INSERT INTO t VALUES (3), (1)",                      \
          "ROLLBACK TO SAVEPOINT s", "4", "COMMIT"},                                               \
         "abb"},                                                                                   \
        {"two sessions, the second commits first",                                                 \
         {"BEGIN", "1", "2:BEGIN", "2:2", "3", "2:4", "2:COMMIT", "COMMIT"},                       \
         "abab"},                                                                                  \
        {"two sessions, the first commits first",                                                  \
         {"BEGIN", "1", "2:BEGIN", "2:2", "3", "COMMIT", "2:4", "2:COMMIT"},                       \
         "abab"},                                                                                  \
        {"chain", {"BEGIN", "1", "COMMIT AND CHAIN", "2", "3", "COMMIT"}, "abb"},                  \
        {"a procedure that commits", {"CALL pr()"}, "abb"},

static const struct identity_case POSTGRESQL_CASES[] = {
    COMMON_CASES{"an exception block",
                 {"1",
                  "DO 'BEGIN INSERT INTO t VALUES (2); BEGIN INSERT INTO t VALUES (1); EXCEPTION "
                  "WHEN unique_violation THEN NULL; END; INSERT INTO t VALUES (3); END'"},
                 "abb"},
    {"COPY", {"COPY t FROM PROGRAM 'seq 3'", "4"}, "aaab"},
    {"prepared",
     {"BEGIN", "1", "2", "PREPARE TRANSACTION 'g'", "3", "COMMIT PREPARED 'g'", "4"},
     "aabc"},
    {"serializable", {"BEGIN ISOLATION LEVEL SERIALIZABLE", "1", "2", "COMMIT", "3"}, "aab"},
};

#define MARIADB_CASES_OF                                                                           \
    COMMON_CASES{"DDL commits",                                                                    \
                 {"BEGIN", "1", "CREATE OR REPLACE TABLE u (a INT PRIMARY KEY)", "2", "3"},        \
                 "abc"},                                                                           \
        {"XA in two phases",                                                                       \
         {"XA START 'x'", "1", "2", "XA END 'x'", "XA PREPARE 'x'", "XA COMMIT 'x'", "3"},         \
         "aab"},                                                                                   \
        {"XA in one phase",                                                                        \
         {"XA START 'x'", "1", "2", "XA END 'x'", "XA COMMIT 'x' ONE PHASE", "BEGIN", "3",         \
          "COMMIT"},                                                                               \
         "aab"},                                                                                   \
        {"autocommit off",                                                                         \
         {"SET autocommit = 0", "1", "2", "COMMIT", "3", "COMMIT", "SET autocommit = 1"},          \
         "aab"},                                                                                   \
        {"not in the binary log",                                                                  \
         {"SET sql_log_bin = 0", "1", "2", "SET sql_log_bin = 1", "3"},                            \
         "--a"},

static const struct identity_case MARIADB_CASES[] = {
    MARIADB_CASES_OF{"a transaction of another session between",
                     {"BEGIN", "1", "2:2", "3", "COMMIT", "2:4"},
                     "abac"}};

/* Where there is a MyISAM table and a sequence. */
static const struct identity_case CAREFUL_CASES[] = {
    MARIADB_CASES_OF{"a write to a table without transactions",
                     {"BEGIN", "1", "INSERT INTO aside () VALUES ()", "2", "COMMIT", "3"},
                     "aab"},
    {"two such transactions",
     {"BEGIN", "1", "INSERT INTO aside () VALUES ()", "2", "COMMIT", "BEGIN", "3",
      "INSERT INTO aside () VALUES ()", "4", "COMMIT"},
     "aabb"},
    {"a sequence fetches its numbers",
     {"BEGIN", "1", "SELECT NEXTVAL(numbers)", "2", "SELECT NEXTVAL(numbers)", "3", "COMMIT"},
     "aaa"},
    {"a sequence, autocommit off",
     {"SET autocommit = 0", "1", "SELECT NEXTVAL(numbers)", "2", "COMMIT", "3",
      "SELECT NEXTVAL(numbers)", "4", "COMMIT", "SET autocommit = 1"},
     "aabb"},
    {"a statement that takes from a sequence for each row",
     {"INSERT INTO t VALUES (100 + NEXTVAL(numbers)), (200 + NEXTVAL(numbers))", "1"},
     "aab"},
    {"a write outside of transactions behind a transaction that was rolled back",
     {"BEGIN", "1", "ROLLBACK", "BEGIN", "2", "INSERT INTO aside () VALUES ()", "3", "COMMIT", "4"},
     "aab"},
    {"a sequence behind what was rolled back, autocommit off",
     {"SET autocommit = 0", "1", "ROLLBACK", "2", "SELECT NEXTVAL(numbers)", "3", "COMMIT",
      "SET autocommit = 1"},
     "aa"},
    {"a write outside of transactions behind a statement that failed",
     {"1", "!INSERT INTO t VALUES (2), (1)", "BEGIN", "3", "INSERT INTO aside () VALUES ()", "4",
      "COMMIT"},
     "abb"},
    {"a sequence for each row behind a statement that failed",
     {"1", "!INSERT INTO t VALUES (2), (1)",
      "INSERT INTO t VALUES (100 + NEXTVAL(numbers)), (200 + NEXTVAL(numbers))", "3"},
     "abbc"},
    {"a transaction of a procedure behind one that was rolled back",
     {"BEGIN", "5", "ROLLBACK", "CALL aside_between()", "9"},
     "aab"},
};

static const struct identity_case UNLOGGED_CASES[] = {
    {"all transactions", {"1", "BEGIN", "2", "3", "COMMIT", "2:4"}, "----"}};

#define MARK "UPDATE keepstep_transaction SET id = id + 1"

static const struct identity_case SQLITE_CASES[] = {
    {"not marked", {"1", "BEGIN", "2", "3", "COMMIT", "2:4"}, "----"},
    {"marked", {"BEGIN", MARK, "1", "2", "COMMIT", "BEGIN", MARK, "3", "COMMIT"}, "aab"},
    {"marked by another session",
     {"BEGIN", MARK, "1", "COMMIT", "2:BEGIN", "2:" MARK, "2:2", "2:COMMIT"},
     "ab"},
    {"the mark is forgotten",
     {"BEGIN", MARK, "1", "COMMIT", "2", "BEGIN", MARK, "3", "COMMIT"},
     "aab"},
    {"the mark is rolled back",
     {"BEGIN", MARK, "1", "COMMIT", "BEGIN", MARK, "2", "ROLLBACK", "BEGIN", MARK, "3", "COMMIT"},
     "ab"},
    {"savepoints", {"BEGIN", MARK, "1", "SAVEPOINT s", "2", "ROLLBACK TO s", "3", "COMMIT"}, "aa"},
};

/* Names the identities in the order in which they come. */
static const char *letters(void)
{
    static char found[64];
    static char identities[64][128];
    size_t count = 0;
    size_t known = 0;
    const char *at = outbox_case_ask("SELECT changeset FROM outbox ORDER BY position");
    for (; *at != '\0'; at = strchr(at, '\n') + 1, count++) {
        char identity[128];
        size_t i = 0;
        (void)snprintf(identity, sizeof identity, "%.*s", (int)strcspn(at, "\n"), at);
        while (i < known && strcmp(identities[i], identity) != 0)
            i++;
        if (i == known && strcmp(identity, "-") != 0)
            memcpy(identities[known++], identity, sizeof identity);
        found[count] = strcmp(identity, "-") == 0      ? '-'
                       : strcmp(identity, "NULL") == 0 ? '?'
                                                       : (char)('a' + i);
    }
    found[count] = '\0';
    return found;
}

static void run_step(struct session *const sessions[SESSIONS], const char *step)
{
    struct session *session = sessions[strncmp(step, "2:", 2) == 0];
    step += strncmp(step, "2:", 2) == 0 ? 2 : 0;
    bool fails = step[0] == '!';
    step += fails ? 1 : 0;
    const char *sql = strspn(step, "0123456789") == strlen(step)
                          ? test_format("INSERT INTO t VALUES (%s)", step)
                          : step;
    const char *error = session_try(session, sql, NULL);
    if ((error != NULL) != fails)
        test_fail("%s: %s", sql, error == NULL ? "was not refused" : error);
}

static void run_cases(const struct identity_case *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct session *sessions[SESSIONS] = {session_open(outbox_case_url),
                                              session_open(outbox_case_url)};
        (void)outbox_case_ask("DELETE FROM t");
        (void)outbox_case_ask("DELETE FROM outbox");
        for (size_t s = 0; s < STEPS_MAX && cases[i].steps[s] != NULL; s++)
            run_step(sessions, cases[i].steps[s]);
        if (strcmp(letters(), cases[i].expected) != 0)
            test_fail("%s: %s instead of %s:\n%s", cases[i].name, letters(), cases[i].expected,
                      outbox_case_ask("SELECT position, changeset FROM outbox ORDER BY position"));
        session_close(sessions[0]);
        session_close(sessions[1]);
    }
}

/* Makes the database; `before` is there when `init` looks. @return what `init` said. */
static const char *make(size_t product, const char *before)
{
    outbox_case_product = &outbox_products[product];
    outbox_case_whole = true;
    outbox_case_make_empty();
    if (before != NULL)
        (void)outbox_case_ask(before);
    const char *said = outbox_case_init();
    if (product == 1)
        postgresql_execute(outbox_case_url, SCHEMAS[product]);
    else
        (void)outbox_case_ask(SCHEMAS[product]);
    return said;
}

#define RUN(cases) run_cases(cases, sizeof(cases) / sizeof *(cases))

static void in_sqlite_a_service_marks_its_transactions(void **state)
{
    (void)state;
    assert_non_null(strstr(make(0, NULL), "UPDATE keepstep_transaction"));
    RUN(SQLITE_CASES);
}

static void postgresql_tells_transactions_apart(void **state)
{
    (void)state;
    if (postgresql_server_url() == NULL)
        test_skip("%s", postgresql_skip_reason());
    postgresql_execute(postgresql_server_url(), "ALTER SYSTEM SET max_prepared_transactions = 4");
    postgresql_stop();
    postgresql_start();
    (void)make(1, NULL);
    RUN(POSTGRESQL_CASES);
}

static void without_a_binary_log_mariadb_tells_nothing_apart(void **state)
{
    (void)state;
    (void)make(2, NULL);
    RUN(UNLOGGED_CASES);
}

static void log_binary(void)
{
    static const char *const options[2] = {"--log-bin=bin", "--binlog-format=MIXED"};
    if (mariadb_server_url() == NULL)
        test_skip("%s", mariadb_skip_reason());
    mariadb_stop();
    mariadb_start_with(options);
}

static void mariadb_tells_transactions_apart(void **state)
{
    (void)state;
    log_binary();
    assert_null(strstr(make(2, NULL), "careful"));
    RUN(MARIADB_CASES);
}

static void a_database_that_mariadb_does_not_log_is_refused(void **state)
{
    static const char *const options[2] = {"--log-bin=bin", "--binlog-do-db=elsewhere"};
    struct error err = ERROR_INIT;
    (void)state;
    if (mariadb_server_url() == NULL)
        test_skip("%s", mariadb_skip_reason());
    mariadb_stop();
    mariadb_start_with(options);
    outbox_case_product = &outbox_products[2];
    outbox_case_make_empty();
    const struct config config = {
        .service = (char *)"shop",
        .database = (char *)(uintptr_t)outbox_case_url,
        .database_path = (char *)(uintptr_t)outbox_case_path(outbox_case_url),
        .transactions = TRANSACTIONS_WHOLE};
    FILE *out = fopen(test_path("init.txt"), "w");
    const struct init_options init = {.out = out};
    for (int i = 0; i < 2; i++) {
        assert_int_equal(init_service(&config, NULL, &init, &err), STATUS_FATAL);
        assert_int_equal(error_exit_code(&err), 78);
        assert_non_null(strstr(err.text, "leaves this database out of the binary log"));
        error_clear(&err);
    }
    (void)fclose(out);
    assert_string_equal(outbox_case_ask("SELECT COUNT(*) FROM outbox"), "0\n");
}

#define ASIDE                                                                                      \
    "CREATE TABLE aside (a INT PRIMARY KEY AUTO_INCREMENT) ENGINE = MyISAM;"                       \
    "CREATE SEQUENCE numbers NOCACHE"

static void a_write_outside_of_transactions_does_not_end_one(void **state)
{
    (void)state;
    log_binary();
    const char *said = make(2, "SET GLOBAL innodb_force_primary_key = 0;" ASIDE);
    assert_non_null(strstr(said, "keepstep_outbox_changeset_careful"));
    assert_non_null(strstr(said, "NOTE     the server has tables without transactions"));
    (void)outbox_case_ask("CREATE PROCEDURE aside_between() BEGIN START TRANSACTION; "
                          "INSERT INTO t VALUES (1); INSERT INTO aside () VALUES (); "
                          "INSERT INTO t VALUES (2); COMMIT; END");
    RUN(CAREFUL_CASES);
    (void)outbox_case_ask("DROP PROCEDURE aside_between; DROP TABLE aside");
    assert_null(strstr(outbox_case_init(), "dropped"));
    (void)outbox_case_ask("DROP SEQUENCE numbers");
    said = outbox_case_init();
    assert_non_null(strstr(said, "dropped  trigger keepstep_outbox_changeset_careful"));
    assert_non_null(strstr(said, "created  trigger keepstep_outbox_changeset\n"));
    RUN(MARIADB_CASES);
}

/* Connections are numbered from the beginning again. */
static void no_session_after_a_restart_has_the_identity_of_one_before(void **state)
{
    (void)state;
    log_binary();
    (void)make(2, NULL);
    for (int i = 0; i < 20; i++) {
        struct session *session = session_open(outbox_case_url);
        session_run(session, test_format("INSERT INTO t VALUES (%d)", i), NULL);
        session_close(session);
        if (i == 9)
            log_binary();
    }
    assert_string_equal(outbox_case_ask("SELECT count(DISTINCT changeset) FROM outbox"), "20\n");
}

static struct capture_finding look(void)
{
    struct config_entry entry = {.entity_type = (char *)"order"};
    const struct entity_schema *const schemas[] = {NULL};
    struct capture_finding finding = {0};
    const struct config config = {
        .service = (char *)"shop",
        .database = (char *)(uintptr_t)outbox_case_relay_url(),
        .database_path = (char *)(uintptr_t)outbox_case_path(outbox_case_relay_url()),
        .transactions = outbox_case_whole ? TRANSACTIONS_WHOLE : TRANSACTIONS_SINGLE,
        .publish = &entry,
        .publish_count = 1};
    (void)capture_compare(&config, schemas, NULL, NULL, &finding);
    return finding;
}

/* With the rights of the relay's role. */
static void the_relays_look_finds_that_transactions_are_not_told_apart(void)
{
    static const char *const faults[] = {"DROP TRIGGER keepstep_outbox_changeset",
                                         "ALTER TABLE outbox ALTER changeset DROP DEFAULT",
                                         "DROP TRIGGER keepstep_outbox_changeset"};
    size_t product = (size_t)(outbox_case_product - outbox_products);
    (void)make(product, NULL);
    struct capture_finding finding = look();
    if (finding.state != CAPTURE_WHOLE)
        test_fail("%s", finding.text);
    (void)outbox_case_ask(faults[product]);
    assert_int_equal(look().state, CAPTURE_BROKEN);
    assert_non_null(strstr(look().text, "tells the service's transactions apart"));
    (void)outbox_case_init();
    assert_int_equal(look().state, CAPTURE_WHOLE);
    if (product == 2) { /* it came behind `init` */
        (void)outbox_case_ask("CREATE SEQUENCE numbers");
        assert_int_equal(look().state, CAPTURE_BROKEN);
        (void)outbox_case_ask("DROP SEQUENCE numbers");
    }
}
CASE(the_relays_look_finds_that_transactions_are_not_told_apart)

static void a_service_of_single_changes_has_nothing_of_it(void)
{
    struct error err = ERROR_INIT;
    struct outbox *outbox = NULL;
    size_t product = (size_t)(outbox_case_product - outbox_products);
    (void)make(product, NULL);
    outbox_case_whole = false;
    assert_int_equal(outbox_case_open_as("1", &outbox, &err), STATUS_FATAL); /* before `init` */
    assert_int_equal(err.exit_code, 78);
    assert_non_null(strstr(err.text, "was made for `transactions: whole`, which is not set"));
    error_clear(&err);
    assert_non_null(strstr(outbox_case_init(), "dropped  index   outbox_changeset"));
    assert_null(strstr(outbox_case_init(), "dropped"));
    assert_null(strstr(outbox_case_init(), "changed"));
    (void)outbox_case_ask("INSERT INTO t VALUES (1)");
    assert_string_equal(outbox_case_ask("SELECT changeset FROM outbox"), "NULL\n");
    outbox_case_whole = true;
    assert_int_equal(outbox_case_open_as("1", &outbox, &err), STATUS_FATAL);
    assert_int_equal(err.exit_code, 78);
    assert_non_null(strstr(err.text, "keepstep init"));
    (void)outbox_case_init();
    (void)outbox_case_ask("INSERT INTO t VALUES (2)");
    assert_string_equal(
        outbox_case_ask("SELECT count(*) FROM outbox WHERE position > 1 AND changeset <> ''"),
        "1\n");
}
CASE(a_service_of_single_changes_has_nothing_of_it)

/* An index that is made in a transaction keeps writers out. One that an `init` was killed over is
 * made again. */
static void postgresql_indexes_an_outbox_that_is_there_while_the_service_writes(void **state)
{
    struct error err = ERROR_INIT;
    struct outbox *outbox = NULL;
    (void)state;
    (void)make(1, NULL);
    outbox_case_whole = false;
    (void)outbox_case_init();
    outbox_case_whole = true;
    (void)outbox_case_ask("CREATE INDEX outbox_changeset ON outbox (changeset COLLATE \"C\", "
                          "position) WHERE sequence IS NULL AND changeset <> '';"
                          "UPDATE pg_index SET indisvalid = false WHERE indexrelid = "
                          "'outbox_changeset'::regclass");
    /* Nothing could use it, and the relay read the whole outbox again and again. */
    assert_int_equal(outbox_case_open_as("1", &outbox, &err), STATUS_FATAL);
    assert_int_equal(err.exit_code, 78);
    assert_non_null(strstr(err.text, "keepstep init"));
    (void)outbox_case_init();
    assert_string_equal(outbox_case_ask("SELECT indisvalid FROM pg_index WHERE indexrelid = "
                                        "'outbox_changeset'::regclass"),
                        "t\n");
    outbox_case_whole = false;
    (void)outbox_case_init();
    outbox_case_whole = true;
    (void)outbox_case_init();
    assert_string_equal(outbox_case_ask("SELECT pg_get_indexdef('outbox_changeset'::regclass) LIKE "
                                        "'%(changeset COLLATE \"C\", \"position\") WHERE%'"),
                        "t\n");
}

static void an_outbox_of_an_earlier_version_learns_of_sets(void)
{
    static const char *const former[] = {FORMER_OUTBOX_SQLITE, FORMER_OUTBOX_POSTGRESQL,
                                         FORMER_OUTBOX_MARIADB};
    size_t product = (size_t)(outbox_case_product - outbox_products);
    outbox_case_whole = true;
    outbox_case_make_empty();
    if (product == 1)
        postgresql_execute(outbox_case_url, former[product]);
    else
        (void)outbox_case_ask(former[product]);
    outbox_case_write("order", 1, 1);
    (void)outbox_case_init();
    outbox_case_write("order", 2, 2);
    assert_string_equal(
        outbox_case_ask("SELECT changeset IS NULL, changeset_end IS NULL, kafka_partition IS NULL "
                        "FROM outbox ORDER BY position"),
        product == 1 ? "t|t|t\nf|t|t\n" : "1|1|1\n0|1|1\n");
    (void)outbox_case_init();
    struct outbox *outbox = outbox_case_open("1");
    outbox->ops->close(outbox);
}
CASE(an_outbox_of_an_earlier_version_learns_of_sets)

/* A database that was restored gives the same numbers again. */
static void a_new_incarnation_keeps_sets_whole_and_apart_from_later_ones(void)
{
    struct error err = ERROR_INIT;
    struct origin *origin = NULL;
    struct origin_restarted restarted;
    const struct origin_restart restart = {.service = "shop",
                                           .incarnation = "018f0000-0000-7000-8000-000000000001"};
    (void)make((size_t)(outbox_case_product - outbox_products), NULL);
    const struct config config = {
        .service = (char *)"shop",
        .database = (char *)(uintptr_t)outbox_case_url,
        .database_path = (char *)(uintptr_t)outbox_case_path(outbox_case_url)};
    (void)outbox_case_ask(
        "INSERT INTO outbox (aggregatetype, aggregateid, type, payload, changeset, "
        "sequence, kafka_partition, changeset_end) VALUES "
        "('order', '1', 'order.created', '{}', '7', NULL, NULL, NULL), "
        "('order', '2', 'order.created', '{}', '', NULL, NULL, NULL), "
        "('order', '3', 'order.created', '{}', '-', 1, 0, 2), "
        "('order', '4', 'order.created', '{}', 'inc-x 7', NULL, NULL, NULL), "
        "('order', '5', 'order.created', '{}', '', 10, 1, NULL), "
        "('order', '6', 'order.created', '{}', '8', 11, 1, 12), "
        "('order', '7', 'order.created', '{}', '8', 12, 1, 12)");
    (void)outbox_case_ask("INSERT INTO keepstep_relay_type VALUES ('order', 'shop')");
    (void)outbox_case_ask("INSERT INTO keepstep_relay_partition VALUES ('shop', 1, 12, 'c', 11, 5, "
                          "'b')"); /* the log has a part of the last set, as far as is known */
    const struct origin_ops *ops = origin_find(outbox_case_url);
    if (ops->open(&config, ORIGIN_INSTALL, &origin, &err) != STATUS_OK ||
        ops->begin(origin, &err) != STATUS_OK ||
        ops->restart(origin, &restart, &restarted, &err) != STATUS_OK ||
        ops->commit(origin, &err) != STATUS_OK)
        test_fail("%s", err.text);
    ops->close(origin);
    assert_string_equal(outbox_case_ask("SELECT changeset, sequence, changeset_end FROM outbox "
                                        "ORDER BY position"),
                        "inc-018f0000-0000-7000-8000-000000000001 7|NULL|NULL\n|NULL|NULL\n"
                        "inc-018f0000-0000-7000-8000-000000000001 -|NULL|NULL\n"
                        "inc-x 7|NULL|NULL\n"
                        "inc-018f0000-0000-7000-8000-000000000001 8|NULL|NULL\n"
                        "inc-018f0000-0000-7000-8000-000000000001 8|NULL|NULL\n");
}
CASE(a_new_incarnation_keeps_sets_whole_and_apart_from_later_ones)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(in_sqlite_a_service_marks_its_transactions),
        TEST(postgresql_tells_transactions_apart),
        TEST(postgresql_indexes_an_outbox_that_is_there_while_the_service_writes),
        TEST(without_a_binary_log_mariadb_tells_nothing_apart),
        ALL(the_relays_look_finds_that_transactions_are_not_told_apart),
        ALL(a_service_of_single_changes_has_nothing_of_it),
        ALL(an_outbox_of_an_earlier_version_learns_of_sets),
        ALL(a_new_incarnation_keeps_sets_whole_and_apart_from_later_ones),
        TEST(mariadb_tells_transactions_apart),
        TEST(a_write_outside_of_transactions_does_not_end_one),
        TEST(a_database_that_mariadb_does_not_log_is_refused),
        TEST(no_session_after_a_restart_has_the_identity_of_one_before),
    };
    return TEST_RUN(tests);
}
