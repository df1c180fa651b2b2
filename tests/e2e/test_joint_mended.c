/* Joint transactions over a real Kafka, where a service is installed anew, where its own triggers
 * refuse or end what the agent does, and where the log holds records that nobody knows. */
#include "tests/support/sidecar.h"

#include <signal.h>
#include <stdio.h>

#define CHECKED_DDL(table)                                                                         \
    "CREATE TABLE " table "(id INTEGER PRIMARY KEY, name TEXT NOT NULL, amount INTEGER CHECK "     \
    "(amount >= 0));INSERT INTO " table " VALUES(1,'one',100);"
#define LIMIT_MS 60000
#define DAY_S    86400

/* Two services, each the only writer of its type. */
struct pair {
    struct kafka *kafka;
    struct sidecar shop;
    struct sidecar bank;
};

static void begin(struct pair *pair)
{
    pair->kafka = kafka_start();
    pair->shop = sidecar_make(pair->kafka, "shop", CHECKED_DDL("items"),
                              "publish:\n  item: {table: items, joint: []}\n");
    pair->bank = sidecar_make(pair->kafka, "bank", CHECKED_DDL("extras"),
                              "publish:\n  extra: {table: extras, joint: [shop]}\n");
    sidecar_begin(&pair->shop);
    sidecar_begin(&pair->bank);
}

static void end(struct pair *pair)
{
    sidecar_stop(&pair->shop);
    sidecar_stop(&pair->bank);
}

/* The shop moves an amount to the bank. @param ahead_s  of the clock by which the shop writes it.
 */
static void propose_at(const struct pair *pair, const char *id, int amount, int timeout_ms,
                       int ahead_s)
{
    (void)sqlite_format(
        pair->shop.database,
        "INSERT INTO keepstep_joint(id, timeout_ms, created_at, changes) VALUES('%s',%d,"
        "(strftime('%%s','now')+%d)*1000000,'["
        "{\"service\":\"shop\",\"type\":\"item\",\"key\":{\"id\":1},\"op\":\"u\",\"add\":"
        "{\"amount\":%d}},{\"service\":\"bank\",\"type\":\"extra\",\"key\":{\"id\":1},\"op\":\"u\","
        "\"add\":{\"amount\":%d}}]')",
        id, timeout_ms, ahead_s, -amount, amount);
}

static void propose(const struct pair *pair, const char *id, int amount)
{
    propose_at(pair, id, amount, LIMIT_MS, 0);
}

static void expect_state(const struct sidecar *service, const char *id, const char *state)
{
    const char *sql = test_format("SELECT state FROM keepstep_joint WHERE id='%s'", id);
    if (!sqlite_wait_for(service->database, sql, test_format("%s\n", state), LIMIT_MS))
        test_fail("%s: %s is %s, not %s\n%s", service->name, id,
                  sqlite_text(service->database, sql), state, process_errors(service->process));
}

/* Let the shop, which stops itself before its vote, go on until the bank has decided: a sign that
 * comes before the stop is lost. */
static void go_on_until(const struct pair *pair, const char *id, const char *state)
{
    const char *sql = test_format(
        "SELECT count(*) FROM keepstep_joint WHERE id='%s' AND state='%s'", id, state);
    for (int i = 0; i < LIMIT_MS / 500; i++) {
        process_signal(pair->shop.process, SIGCONT);
        if (sqlite_wait_for(pair->bank.database, sql, "1\n", 500))
            return;
    }
    expect_state(&pair->bank, id, state);
}

static void expect_settled(const struct pair *pair, const char *id, const char *state)
{
    const char *sql = test_format("SELECT state FROM keepstep_joint WHERE id='%s'", id);
    if (!sqlite_wait_for(pair->shop.database, sql, test_format("%s\n", state), LIMIT_MS))
        (void)fprintf(stderr, "bank: %s\n", process_errors(pair->bank.process));
    expect_state(&pair->shop, id, state);
    expect_state(&pair->bank, id, state);
}

static void expect_amounts(const struct pair *pair, int shop, int bank)
{
    assert_int_equal(sqlite_number(pair->shop.database, "SELECT amount FROM items"), shop);
    assert_int_equal(sqlite_number(pair->bank.database, "SELECT amount FROM extras"), bank);
}

static void expect_said(const struct sidecar *service, const char *pattern)
{
    if (!process_wait_for(service->process, pattern, LIMIT_MS))
        test_fail("%s has not said \"%s\": %s", service->name, pattern,
                  process_errors(service->process));
}

static void expect_published(const struct sidecar *service)
{
    sidecar_expect(service,
                   "SELECT (SELECT count(*) FROM outbox WHERE sequence IS NULL) + (SELECT count(*) "
                   "FROM keepstep_relay_partition WHERE last_sequence <> acknowledged_sequence)",
                   "0\n");
}

#define KEEPSTEP(service, ...) PROCESS_RUN(KEEPSTEP_BINARY, __VA_ARGS__, "-c", (service).config)

static void expect_done(struct process_result result)
{
    if (result.exit_code != 0)
        test_fail("%s", result.errors);
}

/* A timeout counts from when the agent reads the proposal, by one clock. */
static void the_clock_of_a_database_decides_nothing(void **state)
{
    struct pair pair;
    (void)state;
    begin(&pair);
    propose_at(&pair, "slow", 10, LIMIT_MS, -DAY_S);
    expect_settled(&pair, "slow", "committed");
    propose_at(&pair, "fast", 10, LIMIT_MS, DAY_S);
    expect_settled(&pair, "fast", "committed");
    sidecar_stop(&pair.bank);
    propose_at(&pair, "alone", 10, 1000, DAY_S);
    expect_state(&pair.shop, "alone", "aborted");
    sidecar_start(&pair.bank, NULL);
    expect_settled(&pair, "alone", "aborted");
    expect_amounts(&pair, 80, 120);
    end(&pair);
}

/* It has made the change before, and must not make it again; only a person can know that. */
static void a_service_that_was_installed_anew_does_nothing_again(void **state)
{
    struct pair pair;
    (void)state;
    begin(&pair);
    propose(&pair, "first", 10);
    expect_settled(&pair, "first", "committed");
    expect_published(&pair.bank);
    sidecar_stop(&pair.bank);
    expect_done(KEEPSTEP(pair.bank, "uninstall", "--yes"));
    sidecar_begin(&pair.bank);
    expect_said(&pair.bank, "joint transactions stand still.*keepstep joint adopt");
    propose(&pair, "second", 5);
    sidecar_stop(&pair.bank);
    expect_amounts(&pair, 90, 110);
    expect_done(KEEPSTEP(pair.bank, "joint", "adopt"));
    assert_int_equal(KEEPSTEP(pair.bank, "joint", "adopt").exit_code, 65);
    sidecar_start(&pair.bank, NULL);
    expect_settled(&pair, "second", "committed");
    expect_state(&pair.bank, "first", "committed");
    expect_amounts(&pair, 85, 115);
    end(&pair);
}

/* It would not be reserved any more if it had been made. */
static void what_is_still_reserved_follows_its_decision_in_a_database_that_was_adopted(void **state)
{
    static const char history[] = "INSERT OR REPLACE INTO keepstep_meta VALUES"
                                  "('joint_history_end','1000'),('joint_history_made','1')";
    struct pair pair;
    (void)state;
    begin(&pair);
    sidecar_stop(&pair.shop);
    propose(&pair, "committed", 10);
    sidecar_start(&pair.shop, "joint_before_vote:stop");
    expect_state(&pair.bank, "committed", "reserved");
    expect_published(&pair.bank);
    sidecar_stop(&pair.bank);
    (void)sqlite_text(pair.bank.database, history);
    for (int i = 0; i < LIMIT_MS / 500; i++) {
        process_signal(pair.shop.process, SIGCONT);
        if (sqlite_wait_for(pair.shop.database, "SELECT state FROM keepstep_joint", "committed\n",
                            500))
            break;
    }
    sidecar_start(&pair.bank, NULL);
    expect_settled(&pair, "committed", "committed");
    expect_amounts(&pair, 90, 110);
    assert_int_equal(sqlite_number(pair.bank.database, "SELECT count(*) FROM keepstep_reserved"),
                     0);
    end(&pair);
}

static void no_trigger_on_keepstep_joint_stops_a_transaction(void **state)
{
    static const char *const triggers[] = {
        "BEFORE UPDATE ON keepstep_joint BEGIN SELECT RAISE(ABORT, 'no'); END",
        "BEFORE INSERT ON keepstep_joint BEGIN SELECT RAISE(ABORT, 'no'); END",
        "AFTER UPDATE ON keepstep_joint BEGIN SELECT RAISE(FAIL, 'no'); END",
        "AFTER UPDATE ON keepstep_joint BEGIN INSERT INTO gone VALUES(1); END",
        "AFTER UPDATE ON keepstep_joint BEGIN UPDATE extras SET name=name||'x'; END",
        "BEFORE UPDATE ON keepstep_joint BEGIN SELECT RAISE(IGNORE); END",
        "BEFORE INSERT ON keepstep_joint BEGIN SELECT RAISE(IGNORE); END",
        "BEFORE UPDATE ON keepstep_joint BEGIN SELECT RAISE(ROLLBACK, 'no'); END",
    };
    enum { COUNT = sizeof triggers / sizeof *triggers };
    struct pair pair;
    (void)state;
    begin(&pair);
    for (int i = 0; i < COUNT; i++) {
        const char *id = test_format("t%d", i);
        sidecar_stop(&pair.bank);
        (void)sqlite_text(pair.bank.database, test_format("CREATE TRIGGER x %s", triggers[i]));
        sidecar_start(&pair.bank, NULL);
        propose(&pair, id, 1);
        expect_settled(&pair, id, "committed");
        (void)sqlite_text(pair.bank.database, "DROP TRIGGER x");
    }
    expect_amounts(&pair, 100 - COUNT, 100 + COUNT);
    end(&pair);
}

/* The proposal comes alone: the vote that follows does not meet the missing row. */
static void a_row_that_a_trigger_leaves_out_is_written_all_the_same(void **state)
{
    struct pair pair;
    (void)state;
    begin(&pair);
    sidecar_stop(&pair.shop);
    (void)sqlite_text(pair.bank.database, "CREATE TRIGGER x BEFORE INSERT ON keepstep_joint BEGIN "
                                          "SELECT RAISE(IGNORE); END");
    propose(&pair, "left_out", 10);
    sidecar_start(&pair.shop, "joint_before_vote:stop");
    expect_state(&pair.bank, "left_out", "reserved");
    expect_said(&pair.bank, "a trigger leaves the row out");
    go_on_until(&pair, "left_out", "committed");
    expect_settled(&pair, "left_out", "committed");
    expect_amounts(&pair, 90, 110);
    end(&pair);
}

static void a_trigger_that_ends_the_transaction_refuses_its_change(void **state)
{
    static const char breaks[] = "CREATE TRIGGER x BEFORE UPDATE ON extras BEGIN SELECT "
                                 "RAISE(ROLLBACK, 'all of it'); END";
    struct pair pair;
    (void)state;
    begin(&pair);
    (void)sqlite_text(pair.bank.database, breaks);
    propose(&pair, "refused", 10);
    expect_settled(&pair, "refused", "aborted");
    assert_non_null(
        strstr(sqlite_text(pair.shop.database, "SELECT reason FROM keepstep_joint"), "all of it"));
    (void)sqlite_text(pair.bank.database, "DROP TRIGGER x");
    sidecar_stop(&pair.shop);
    propose(&pair, "held", 10);
    sidecar_start(&pair.shop, "joint_before_vote:stop");
    expect_state(&pair.bank, "held", "reserved");
    (void)sqlite_text(pair.bank.database, breaks);
    go_on_until(&pair, "held", "held");
    (void)sqlite_text(pair.bank.database, "DROP TRIGGER x");
    expect_done(KEEPSTEP(pair.bank, "joint", "retry", "held", "--proposer", "shop"));
    expect_settled(&pair, "held", "committed");
    expect_amounts(&pair, 90, 110);
    end(&pair);
}

/* What nobody will ever be able to make is ended by a person who knows what it costs. */
static void what_is_held_is_released_only_with_the_word_for_it(void **state)
{
    struct pair pair;
    (void)state;
    begin(&pair);
    sidecar_stop(&pair.shop);
    propose(&pair, "held", 10);
    sidecar_start(&pair.shop, "joint_before_vote:stop");
    expect_state(&pair.bank, "held", "reserved");
    (void)sqlite_text(pair.bank.database, "ALTER TABLE extras RENAME COLUMN amount TO sum");
    go_on_until(&pair, "held", "held");
    assert_non_null(strstr(KEEPSTEP(pair.bank, "status").output, "0 reserved, 0 settling, 1 held"));
    /* Nobody forgets it by taking `joint:` out of the configuration. */
    sidecar_stop(&pair.bank);
    const char *config = test_read_file(pair.bank.config);
    const char *joint = strstr(config, ", joint: [shop]");
    assert_non_null(joint);
    test_write_file(test_path("without.yaml"), test_format("%.*s%s", (int)(joint - config), config,
                                                           joint + strlen(", joint: [shop]")));
    struct process_result run = PROCESS_RUN(KEEPSTEP_BINARY, "run", "-c",
                                            test_path("without.yaml"));
    assert_int_equal(run.exit_code, 78);
    assert_non_null(strstr(run.errors, "held of shop is held here"));
    sidecar_start(&pair.bank, NULL);
    assert_int_equal(
        KEEPSTEP(pair.bank, "joint", "release", "held", "--proposer", "shop").exit_code, 65);
    expect_done(KEEPSTEP(pair.bank, "joint", "release", "held", "--proposer", "shop", "--diverge"));
    expect_state(&pair.bank, "held", "committed");
    assert_int_equal(sqlite_number(pair.bank.database, "SELECT count(*) FROM keepstep_reserved"),
                     0);
    (void)sqlite_text(pair.bank.database, "ALTER TABLE extras RENAME COLUMN sum TO amount");
    expect_state(&pair.shop, "held", "committed");
    expect_amounts(&pair, 90, 100);
    propose(&pair, "next", 1);
    expect_settled(&pair, "next", "committed");
    end(&pair);
}

static void its_topic_is_among_those_that_are_looked_at(void **state)
{
    struct pair pair;
    (void)state;
    begin(&pair);
    propose(&pair, "one", 1);
    expect_settled(&pair, "one", "committed");
    const char *topics = KEEPSTEP(pair.bank, "topics", "plan", "--all").output;
    const char *joint = strstr(topics, sidecar_topic("keepstep-joint"));
    if (joint == NULL || strstr(joint, "unclean.leader.election.enable") == NULL)
        test_fail("%s", topics);
    const char *doctor = KEEPSTEP(pair.bank, "doctor").output;
    if (strstr(doctor, "one broker alone keeps the decisions") == NULL)
        test_fail("%s", doctor);
    const char *status = KEEPSTEP(pair.bank, "status").output;
    if (strstr(status, "0 undecided, 0 reserved, 0 settling, 0 held") == NULL)
        test_fail("%s", status);
    end(&pair);
}

static void a_record_that_nobody_knows_stops_nobody(void **state)
{
    const char *const newer[] = {"ce_id",
                                 "x1",
                                 "ce_source",
                                 "stranger",
                                 "ce_incarnation",
                                 "i1",
                                 "ce_sequence",
                                 "00000000000000000001",
                                 "ce_protocol",
                                 "9",
                                 "ce_kind",
                                 "promise",
                                 NULL};
    const char *const kind[] = {"ce_id",
                                "x2",
                                "ce_source",
                                "stranger",
                                "ce_incarnation",
                                "i2",
                                "ce_sequence",
                                "00000000000000000001",
                                "ce_protocol",
                                "1",
                                "ce_kind",
                                "promise",
                                NULL};
    struct pair pair;
    (void)state;
    begin(&pair);
    propose(&pair, "before", 1);
    expect_settled(&pair, "before", "committed");
    (void)kafka_produce(pair.kafka, sidecar_topic("keepstep-joint"), 0, "{}", "{}", newer);
    (void)kafka_produce(pair.kafka, sidecar_topic("keepstep-joint"), 0, "{}", "{}", kind);
    propose(&pair, "after", 1);
    expect_settled(&pair, "after", "committed");
    expect_amounts(&pair, 98, 102);
    end(&pair);
}

/* Behind a gap in its records nothing counts that it says, until it has another incarnation. */
static void what_was_said_behind_a_gap_is_said_again(void **state)
{
    struct pair pair;
    (void)state;
    begin(&pair);
    propose(&pair, "before", 1);
    expect_settled(&pair, "before", "committed");
    const char *incarnation = sqlite_text(pair.bank.database,
                                          "SELECT incarnation FROM keepstep_relay");
    const char *const gap[] = {"ce_id",
                               "x1",
                               "ce_source",
                               "bank",
                               "ce_incarnation",
                               test_format("%.36s", incarnation),
                               "ce_sequence",
                               "00000000000000000999",
                               "ce_previousid",
                               "x0",
                               "ce_protocol",
                               "1",
                               "ce_kind",
                               "vote",
                               NULL};
    (void)kafka_produce(pair.kafka, sidecar_topic("keepstep-joint"), 0, "{}", "{}", gap);
    expect_said(&pair.shop, "bank skips a number");
    expect_said(&pair.bank, "bank skips a number");
    propose(&pair, "swallowed", 1);
    expect_state(&pair.bank, "swallowed", "reserved");
    expect_published(&pair.bank);
    sidecar_stop(&pair.bank);
    expect_state(&pair.shop, "swallowed", "reserved");
    expect_done(KEEPSTEP(pair.bank, "init", "--new-incarnation", "--existing-rows"));
    sidecar_start(&pair.bank, NULL);
    expect_settled(&pair, "swallowed", "committed");
    expect_amounts(&pair, 98, 102);
    end(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_WITH_LIMIT(the_clock_of_a_database_decides_nothing, 300),
        TEST_WITH_LIMIT(a_service_that_was_installed_anew_does_nothing_again, 300),
        TEST_WITH_LIMIT(what_is_still_reserved_follows_its_decision_in_a_database_that_was_adopted,
                        300),
        TEST_WITH_LIMIT(no_trigger_on_keepstep_joint_stops_a_transaction, 300),
        TEST_WITH_LIMIT(a_row_that_a_trigger_leaves_out_is_written_all_the_same, 300),
        TEST_WITH_LIMIT(a_trigger_that_ends_the_transaction_refuses_its_change, 300),
        TEST_WITH_LIMIT(what_is_held_is_released_only_with_the_word_for_it, 300),
        TEST_WITH_LIMIT(what_was_said_behind_a_gap_is_said_again, 300),
        TEST_WITH_LIMIT(its_topic_is_among_those_that_are_looked_at, 180),
        TEST_WITH_LIMIT(a_record_that_nobody_knows_stops_nobody, 180),
    };
    return TEST_RUN(tests);
}
