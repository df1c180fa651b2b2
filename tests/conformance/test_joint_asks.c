/* How a service on a server asks for joint transactions: the row that it inserts is checked,
 * completed and becomes a record for the log, with no right of its own on the outbox. */
#include "tests/support/database_case.h"
#include "tests/support/joint_case.h"
#include "tests/support/roles.h"

#define CHANGE(rest) "{\"service\":\"b\",\"type\":\"t\",\"key\":{\"k\":1}," rest "}"
#define ONE          "[" CHANGE("\"op\":\"u\",\"add\":{\"f\":-3}") "]"
#define RECORDS      "SELECT aggregatetype, aggregateid, type, payload FROM outbox"

static const char *ask(const char *id, const char *changes)
{
    return test_format("INSERT INTO keepstep_joint (id, changes) VALUES ('%s', '%s')", id, changes);
}

static void assert_refused(const char *sql, const char *what)
{
    struct session *session = session_open(joint_case_url);
    const char *error = session_try(session, sql, NULL);
    if (error == NULL || strstr(error, what) == NULL)
        test_fail("%.200s: %s", sql, error == NULL ? "was not refused" : error);
    session_close(session);
}

static void a_row_of_keepstep_joint_becomes_a_record_for_the_log(void)
{
    joint_case_begin_test();
    (void)joint_case_text(ask("a\"1", ONE));
    assert_string_equal(joint_case_text(RECORDS),
                        "keepstep.joint|{\"id\":\"a\\\"1\",\"proposer\":\"shop\"}|"
                        "keepstep.joint.proposal|{\"timeout_ms\":10000,\"changes\":" ONE "}\n");
    assert_string_equal(joint_case_text("SELECT proposer, id, state, changes, proposal_offset "
                                        "FROM keepstep_joint"),
                        "shop|a\"1|proposed|" ONE "|NULL\n");
    joint_case_done();
}

static void what_is_no_proposal_is_refused_and_writes_no_record(void)
{
    static const char *const refused[][2] = {
        {"no JSON", "no JSON text"},
        {"{}", "array of 1 to 100"},
        {"[]", "array of 1 to 100"},
        {"[1]", "each of changes"},
        {"[\"x\"]", "each of changes"},
        {"[[]]", "each of changes"},
        {"[" CHANGE("\"op\":\"x\"") "]", "each of changes"},
        {"[" CHANGE("\"op\":null") "]", "each of changes"},
        {"[{\"service\":\"b\",\"type\":\"t\",\"key\":1,\"op\":\"d\"}]", "each of changes"},
        {"[{\"type\":\"t\",\"key\":{\"k\":1},\"op\":\"d\"}]", "each of changes"},
        {"[{\"service\":7,\"type\":\"t\",\"key\":{\"k\":1},\"op\":\"d\"}]", "each of changes"},
        {"[" CHANGE("\"op\":\"u\",\"sets\":{}") "]", "each of changes"},
        {"[" CHANGE("\"op\":\"u\",\"set\":[]") "]", "each of changes"},
        {"[" CHANGE("\"op\":\"u\",\"set\":{\"a\":[1]}") "]", "each of changes"},
        {"[" CHANGE("\"op\":\"u\",\"if\":{\"a\":{\"b\":1}}") "]", "each of changes"},
        {"[" CHANGE("\"op\":\"d\"") "," CHANGE("\"op\":\"k\"") "]", "occurs twice"},
    };
    const char *many = "";
    const char *services = "";
    joint_case_begin_test();
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        assert_refused(ask("a", refused[i][0]), refused[i][1]);
    for (int i = 0; i <= 100; i++)
        many = test_format("%s%s{\"service\":\"s\",\"type\":\"t\",\"key\":{\"k\":%d},\"op\":\"d\"}",
                           many, i == 0 ? "" : ",", i);
    for (int i = 0; i <= 16; i++)
        services = test_format(
            "%s%s{\"service\":\"s%d\",\"type\":\"t\",\"key\":{\"k\":1},\"op\":\"d\"}", services,
            i == 0 ? "" : ",", i);
    assert_refused(ask("a", test_format("[%s]", many)), "array of 1 to 100");
    assert_refused(ask("a", test_format("[%s]", services)), "16 services");
    assert_refused(
        ask("a", test_format("[" CHANGE("\"op\":\"u\",\"set\":{\"a\":\"%066000d\"}") "]", 1)),
        "larger than 65536");
    assert_refused(ask("", ONE), "id must");
    assert_refused(ask(test_format("%0256d", 1), ONE), "id must");
    assert_refused("INSERT INTO keepstep_joint (id, changes, timeout_ms) VALUES ('a', '" ONE
                   "', 0)",
                   "timeout_ms");
    assert_refused("INSERT INTO keepstep_joint (id, changes, proposer) VALUES ('a', '" ONE
                   "', 'b')",
                   "proposer");
    assert_string_equal(joint_case_text("SELECT id FROM keepstep_joint"), "");
    assert_string_equal(joint_case_text(RECORDS), "");
    joint_case_done();
}

static void the_largest_proposal_is_taken(void)
{
    const char *empty = "[" CHANGE("\"op\":\"u\",\"set\":{\"a\":\"\"}") "]";
    int room = 65536 - 26 - 5 - (int)strlen(empty);
    joint_case_begin_test();
    (void)joint_case_text(
        ask("a", test_format("[" CHANGE("\"op\":\"u\",\"set\":{\"a\":\"%0*d\"}") "]", room, 1)));
    assert_string_equal(joint_case_text("SELECT max(length(payload)) FROM outbox"), "65536\n");
    joint_case_done();
}

static void an_id_is_used_once_and_what_was_asked_for_stays(void)
{
    static const char *const refused[][2] = {
        {"UPDATE keepstep_joint SET id = 'b'", "cannot be changed"},
        {"UPDATE keepstep_joint SET changes = '[1]'", "cannot be changed"},
        {"UPDATE keepstep_joint SET proposer = 'bank'", "cannot be changed"},
        {"DELETE FROM keepstep_joint", "stay"},
    };
    joint_case_begin_test();
    (void)joint_case_text(ask("a", ONE));
    assert_refused(ask("a", ONE), database_case_kind == DATABASE_MARIADB
                                      ? "Duplicate entry 'shop-a'"
                                      : "used before");
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        assert_refused(refused[i][0], refused[i][1]);
    if (database_case_kind == DATABASE_POSTGRESQL)
        assert_refused("TRUNCATE keepstep_joint", "stay");
    struct session *session = session_open(joint_case_url);
    session_run(session, "BEGIN", NULL);
    session_run(session, ask("b", ONE), NULL);
    session_run(session, "ROLLBACK", NULL);
    session_close(session);
    assert_string_equal(joint_case_text("SELECT count(*) FROM outbox"), "1\n");
    joint_case_done();
}

#define AGAIN(verb, of) verb " INTO keepstep_joint (id, changes) VALUES ('a', '" of "')"
#define DECIDED                                                                                    \
    "(proposer, id, changes, state, proposal_offset) VALUES ('shop', 'a', '[]', 'committed', 9)"
#define OTHER "[" CHANGE("\"op\":\"d\"") "]"

/* How each database writes a row that may be there already. */
static const char *const overwrites[][6] = {
    [DATABASE_SQLITE] = {AGAIN("INSERT OR IGNORE", OTHER), AGAIN("REPLACE", OTHER),
                         AGAIN(
                             "INSERT",
                             OTHER) " ON CONFLICT (proposer, id) DO UPDATE SET state = 'proposed', "
                                    "changes = excluded.changes, proposal_offset = NULL",
                         "REPLACE INTO keepstep_joint " DECIDED,
                         "INSERT INTO keepstep_joint " DECIDED
                         " ON CONFLICT (proposer, id) DO UPDATE SET state = 'committed'"},
    [DATABASE_POSTGRESQL] =
        {AGAIN("INSERT", OTHER) " ON CONFLICT DO NOTHING",
         AGAIN("INSERT", OTHER) " ON CONFLICT (proposer, id) DO UPDATE SET state = 'proposed', "
                                "changes = excluded.changes, proposal_offset = NULL",
         "INSERT INTO keepstep_joint " DECIDED
         " ON CONFLICT (proposer, id) DO UPDATE SET state = 'committed'",
         "MERGE INTO keepstep_joint USING (VALUES ('a')) AS v (k) ON id = k "
         "WHEN MATCHED THEN UPDATE SET timeout_ms = 5",
         "MERGE INTO keepstep_joint USING (VALUES ('a')) AS v (k) ON id = k "
         "WHEN MATCHED THEN DELETE"},
    [DATABASE_MARIADB] = {AGAIN("INSERT IGNORE", OTHER), AGAIN("REPLACE", OTHER),
                          AGAIN("INSERT",
                                OTHER) " ON DUPLICATE KEY UPDATE state = 'proposed', changes = "
                                       "VALUES(changes), proposal_offset = NULL",
                          AGAIN("INSERT", OTHER) " ON DUPLICATE KEY UPDATE timeout_ms = 5",
                          "REPLACE INTO keepstep_joint " DECIDED,
                          "INSERT INTO keepstep_joint " DECIDED
                          " ON DUPLICATE KEY UPDATE state = 'committed'"},
};

/* What any of them accepts alike. */
static const char *const rewrites[] = {
    "UPDATE keepstep_joint SET state = 'proposed', proposal_offset = NULL",
    "UPDATE keepstep_joint SET state = 'committed', proposal_offset = 9",
    "UPDATE keepstep_joint SET state = 'queued', proposal_offset = 9",
    "UPDATE keepstep_joint SET timeout_ms = 5",
    "UPDATE keepstep_joint SET decision_offset = 10",
};

static void assert_stays(const char *sql)
{
    static const char ROWS[] = "SELECT proposer, id, changes, timeout_ms, state, proposal_offset, "
                               "decision_offset FROM keepstep_joint";
    const char *before = joint_case_text(ROWS);
    struct session *session = session_open(joint_case_url);
    (void)session_try(session, sql, NULL);
    session_close(session);
    if (strcmp(joint_case_text(ROWS), before) != 0)
        test_fail("%s: %s", sql, joint_case_text(ROWS));
    assert_string_equal(joint_case_text("SELECT count(*) FROM outbox"), "1\n");
}

/* A used name is an error, or passed over; the log has said what became of it. */
static void what_was_decided_stays_whatever_writes_the_row(void)
{
    const char *const *statements = overwrites[database_case_kind];
    joint_case_begin_test();
    (void)joint_case_text(ask("a", ONE));
    for (size_t i = 0; i < 6 && statements[i] != NULL; i++)
        assert_stays(statements[i]);
    for (size_t i = 0; i + 1 < sizeof rewrites / sizeof *rewrites; i++) /* it is not decided */
        assert_stays(rewrites[i]);
    (void)joint_case_text(
        "UPDATE keepstep_joint SET state = 'queued', proposal_offset = 7, read_at = 1");
    (void)joint_case_text("UPDATE keepstep_joint SET state = 'aborted', decision_offset = 8");
    for (size_t i = 0; i < 6 && statements[i] != NULL; i++)
        assert_stays(statements[i]);
    for (size_t i = 0; i < sizeof rewrites / sizeof *rewrites; i++)
        assert_stays(rewrites[i]);
    (void)joint_case_text("UPDATE keepstep_joint SET changes = '', votes = ''");
    assert_stays(statements[0]);
    joint_case_done();
}

/* @return why a row of that state does not take another one; NULL: it does. */
static const char *step(const char *id, const char *from, const char *to)
{
    struct session *session = session_open(joint_case_url);
    session_run(session,
                test_format("INSERT INTO keepstep_joint (proposer, id, changes, state, "
                            "proposal_offset) VALUES ('web', '%s', '[]', '%s', 7)",
                            id, from),
                NULL);
    const char *error = session_try(
        session, test_format("UPDATE keepstep_joint SET state = %s WHERE id = '%s'", to, id), NULL);
    session_close(session);
    return error;
}

/* Nor does it become open again on its way, nor end without a decision. */
static void what_is_decided_becomes_nothing_else(void)
{
    static const struct {
        const char *from;
        const char *to;
        bool taken;
    } steps[] = {{"reserved", "'proposed'", false},
                 {"reserved", "'committing'", true},
                 {"reserved", "'aborted'", false},
                 {"reserved", "'committed'", false},
                 {"reserved", "'elsewhere'", false},
                 {"committing", "'queued'", false},
                 {"committing", "'aborting'", false},
                 {"committing", "'aborted'", false},
                 {"committing", "'held'", true},
                 {"committing", "'committed'", true},
                 {"held", "'aborted'", false},
                 {"held", "'committed'", true},
                 {"aborting", "'committed'", false},
                 {"aborting", "'aborted'", true},
                 {"queued", "'aborted'", false},
                 {"queued", "'committed'", false},
                 {"queued", "'committed', decision_offset = 9", true},
                 {"queued", "'elsewhere', decision_offset = 9", false},
                 {"refused", "'aborted'", false},
                 {"refused", "'aborted', decision_offset = 9", true},
                 {"committed", "'aborted'", false},
                 {"elsewhere", "'committed'", false}};
    joint_case_begin_test();
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        const char *error = step(test_format("%zu", i), steps[i].from, steps[i].to);
        if ((error == NULL) != steps[i].taken)
            test_fail("%s to %s: %s", steps[i].from, steps[i].to, error == NULL ? "taken" : error);
    }
    joint_case_done();
}

/* Nobody would release it then, nor make what was decided. */
static void what_still_reserves_does_not_end(void)
{
    static const char *const steps[][2] = {
        {"reserved", "'aborted', decision_offset = 9"},
        {"reserved", "'committed', decision_offset = 9"},
        {"aborting", "'aborted'"},
        {"committing", "'committed'"},
        {"held", "'committed'"},
    };
    joint_case_begin_test();
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        const char *id = test_format("r%zu", i);
        (void)joint_case_text(test_format("INSERT INTO keepstep_reserved (entity_type, entity_key, "
                                          "operation, proposer, id) VALUES ('stock', '%s', 'u', "
                                          "'web', '%s')",
                                          id, id));
        const char *error = step(id, steps[i][0], steps[i][1]);
        if (error == NULL || strstr(error, "the agent alone ends a joint transaction") == NULL)
            test_fail("%s to %s: %s", steps[i][0], steps[i][1], error == NULL ? "taken" : error);
    }
    (void)joint_case_text("DELETE FROM keepstep_reserved");
    (void)joint_case_text("UPDATE keepstep_joint SET state = 'aborted' WHERE state = 'aborting'");
    (void)joint_case_text("UPDATE keepstep_joint SET state = 'committed' WHERE state = 'held'");
    assert_string_equal(joint_case_text("SELECT count(*) FROM keepstep_joint WHERE state IN "
                                        "('aborted', 'committed')"),
                        "2\n");
    joint_case_done();
}

static enum status propose(const char *id)
{
    const struct joint_wish wish = {
        .id = slice_of(id), .timeout_ms = 1000, .changes = slice_of(ONE)};
    error_clear(&joint_case_err);
    return joint_case_ops->propose(joint_case_store, &wish, &joint_case_err);
}

/* Rules of the service's that a database asks at COMMIT, and what they say. */
static const struct {
    enum database_kind kind;
    const char *make;
    const char *drop;
    const char *words;
} late_rules[] = {
    {DATABASE_SQLITE,
     "CREATE TABLE child (id TEXT REFERENCES audit (id) DEFERRABLE INITIALLY DEFERRED); CREATE "
     "TRIGGER x AFTER INSERT ON keepstep_joint BEGIN INSERT INTO child VALUES ('z'); END",
     "DROP TRIGGER x", "foreign key"},
    {DATABASE_POSTGRESQL,
     "CREATE FUNCTION x() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'my veto'; "
     "END $$; CREATE CONSTRAINT TRIGGER x AFTER INSERT ON keepstep_joint DEFERRABLE INITIALLY "
     "DEFERRED FOR EACH ROW EXECUTE FUNCTION x()",
     "DROP TRIGGER x ON keepstep_joint", "my veto"},
    {DATABASE_POSTGRESQL,
     "CREATE CONSTRAINT TRIGGER x AFTER INSERT ON outbox DEFERRABLE INITIALLY DEFERRED FOR EACH "
     "ROW EXECUTE FUNCTION x(); CREATE CONSTRAINT TRIGGER y AFTER INSERT ON keepstep_joint "
     "DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION y()",
     "DROP TRIGGER x ON outbox; DROP TRIGGER y ON keepstep_joint", "my veto"},
};

/* Where nobody asked by then, COMMIT itself would fail, and who asked would try again for ever. */
static void a_rule_that_waits_for_the_commit_refuses_what_is_proposed(void)
{
    joint_case_begin_test();
    if (database_case_kind == DATABASE_POSTGRESQL)
        (void)joint_case_text("CREATE FUNCTION y() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
                              "SET CONSTRAINTS ALL DEFERRED; INSERT INTO outbox (aggregatetype, "
                              "aggregateid, type, payload) VALUES ('a', 'b', 'c', '{}'); RETURN "
                              "NULL; END $$; GRANT INSERT ON outbox TO keepstep_agent");
    for (size_t i = 0; i < sizeof late_rules / sizeof *late_rules; i++) {
        if (late_rules[i].kind != database_case_kind)
            continue;
        (void)joint_case_text(late_rules[i].make);
        joint_case_assert_no(propose("a"), late_rules[i].words, late_rules[i].make);
        assert_non_null(strstr(joint_case_err.text, "a rule of the service's own"));
        (void)joint_case_text(late_rules[i].drop);
        assert_string_equal(joint_case_text("SELECT count(*) FROM keepstep_joint"), "0\n");
        assert_string_equal(joint_case_text("SELECT count(*) FROM outbox"), "0\n");
    }
    joint_case_assert_yes(propose("a"), "without them");
    joint_case_done();
}

static void a_login_of_the_service_asks_without_any_right_on_the_outbox(void)
{
    joint_case_begin_test();
    struct session *service = session_open(
        roles_login(joint_case_url, "joint_service", "keepstep_reader"));
    session_run(service, ask("a", ONE), NULL);
    session_run(service, "SELECT state, reason FROM keepstep_joint WHERE id = 'a'", NULL);
    assert_non_null(session_try(service, "UPDATE keepstep_joint SET state = 'committed'", NULL));
    assert_non_null(session_try(
        service, "INSERT INTO keepstep_joint (id, changes, state) VALUES ('b', '', 'queued')",
        NULL));
    assert_non_null(session_try(service, "SELECT * FROM keepstep_reserved", NULL));
    assert_non_null(session_try(service, "SELECT payload FROM outbox", NULL));
    session_close(service);
    assert_string_equal(joint_case_text("SELECT count(*) FROM outbox"), "1\n");
    joint_case_done();
}

int main(void)
{
    static const struct database_case cases[] = {
        DATABASE_CASE_SERVERS(a_row_of_keepstep_joint_becomes_a_record_for_the_log),
        DATABASE_CASE_SERVERS(what_is_no_proposal_is_refused_and_writes_no_record),
        DATABASE_CASE_SERVERS(the_largest_proposal_is_taken),
        DATABASE_CASE_SERVERS(an_id_is_used_once_and_what_was_asked_for_stays),
        DATABASE_CASE(what_was_decided_stays_whatever_writes_the_row),
        DATABASE_CASE(what_is_decided_becomes_nothing_else),
        DATABASE_CASE(what_still_reserves_does_not_end),
        DATABASE_CASE(a_rule_that_waits_for_the_commit_refuses_what_is_proposed),
        DATABASE_CASE_SERVERS(a_login_of_the_service_asks_without_any_right_on_the_outbox),
    };
    return database_case_run_where(cases, sizeof cases / sizeof *cases, joint_case_has);
}
