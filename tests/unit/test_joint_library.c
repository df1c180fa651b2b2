/* libkeepstep asks for joint transactions, and says what became of them. */
#include "producer/library/keepstep.h"

#include "tests/support/library_shop.h"
#include <stdio.h>

#define CHANGES                                                                                    \
    "[{\"service\":\"shop\",\"type\":\"item\",\"key\":{\"id\":1},\"op\":\"u\",\"set\":"            \
    "{\"name\":\"pen\"}}]"

static void assert_asked(sqlite3 *database, const struct keepstep_proposal *proposal, char *ret_id)
{
    char error[256] = "";
    if (keepstep_propose(database, proposal, ret_id, error, sizeof error) != SQLITE_OK)
        test_fail("%s", error);
}

static void it_is_asked_for_if_and_only_if_the_transaction_commits(void **state)
{
    const struct keepstep_proposal proposal = {.id = "order-1", .changes = CHANGES};
    sqlite3 *database = library_shop_open("{table: item, joint: []}");
    (void)state;
    (void)sqlite3_exec(database, "BEGIN", NULL, NULL, NULL);
    assert_asked(database, &proposal, NULL);
    (void)sqlite3_exec(database, "ROLLBACK", NULL, NULL, NULL);
    assert_int_equal(sqlite_number(LIBRARY_SHOP, "SELECT count(*) FROM outbox"), 0);
    assert_asked(database, &proposal, NULL);
    assert_string_equal(
        sqlite_text(LIBRARY_SHOP, "SELECT proposer, id, timeout_ms, state FROM keepstep_joint"),
        "shop|order-1|10000|proposed\n");
    assert_string_equal(sqlite_text(LIBRARY_SHOP, "SELECT aggregatetype, type FROM outbox"),
                        "keepstep.joint|keepstep.joint.proposal\n");
    (void)sqlite3_close(database);
}

static void without_an_id_it_gets_one(void **state)
{
    const struct keepstep_proposal proposal = {.changes = CHANGES, .timeout_ms = 500};
    char id[KEEPSTEP_ID_SIZE] = "";
    sqlite3 *database = library_shop_open("{table: item, joint: []}");
    (void)state;
    assert_asked(database, &proposal, id);
    assert_int_equal(strlen(id), KEEPSTEP_ID_SIZE - 1);
    assert_string_equal(sqlite_text(LIBRARY_SHOP, "SELECT id, timeout_ms FROM keepstep_joint"),
                        test_format("%s|500\n", id));
    (void)sqlite3_close(database);
}

static void what_cannot_be_asked_for_is_refused_with_a_reason(void **state)
{
    static const struct {
        struct keepstep_proposal proposal;
        const char *reason;
    } cases[] = {
        {{.id = "used", .changes = CHANGES}, "this id was used before"},
        {{.id = "a", .changes = NULL}, "changes must not be NULL"},
        {{.id = "a", .changes = "[{"}, "changes is no JSON text"},
        {{.id = "a", .changes = "[]"}, "an array of 1 to 100 changes"},
        {{.id = "", .changes = CHANGES}, "id must be a text"},
        {{.id = "a", .changes = CHANGES, .timeout_ms = -1}, "timeout_ms must not be below 0"},
        {{.id = NULL, .changes = CHANGES}, "ret_id takes the one that it gets"},
    };
    const struct keepstep_proposal used = {.id = "used", .changes = CHANGES};
    sqlite3 *database = library_shop_open("{table: item, joint: []}");
    (void)state;
    assert_asked(database, &used, NULL);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char error[256] = "";
        if (keepstep_propose(database, &cases[i].proposal, NULL, error, sizeof error) ==
                SQLITE_OK ||
            strstr(error, cases[i].reason) == NULL)
            test_fail("%s: %s", cases[i].reason, error);
    }
    assert_int_equal(sqlite_number(LIBRARY_SHOP, "SELECT count(*) FROM outbox"), 1);
    (void)sqlite3_close(database);
}

/* Whoever repeats a call that may have been made tells that from every other failure. */
static void a_used_id_has_a_code_of_its_own(void **state)
{
    static const char *const waste[] = {"[{", "[]"};
    const struct keepstep_proposal used = {.id = "used", .changes = CHANGES};
    struct keepstep_joint_state found;
    char error[256] = "";
    sqlite3 *database = library_shop_open("{table: item, joint: []}");
    (void)state;
    assert_asked(database, &used, NULL);
    assert_int_equal(sqlite3_extended_result_codes(database, 1), SQLITE_OK);
    assert_int_equal(keepstep_propose(database, &used, NULL, error, sizeof error),
                     KEEPSTEP_ID_USED);
    assert_non_null(strstr(error, "this id was used before"));
    for (size_t i = 0; i < sizeof waste / sizeof *waste; i++) {
        const struct keepstep_proposal other = {.id = "other", .changes = waste[i]};
        int code = keepstep_propose(database, &other, NULL, error, sizeof error);
        assert_true(code > 0);
    }
    (void)sqlite3_exec(database, "BEGIN", NULL, NULL, NULL);
    assert_int_equal(keepstep_propose(database, &used, NULL, NULL, 0), KEEPSTEP_ID_USED);
    (void)sqlite3_exec(database, "ROLLBACK", NULL, NULL, NULL);
    assert_int_equal(keepstep_joint_state(database, "used", &found, NULL, 0), SQLITE_OK);
    (void)sqlite3_close(database);
}

static void an_id_has_at_most_255_bytes(void **state)
{
    char id[257] = "";
    char error[256] = "";
    struct keepstep_proposal proposal = {.id = id, .changes = CHANGES};
    sqlite3 *database = library_shop_open("{table: item, joint: []}");
    (void)state;
    memset(id, 'x', 256);
    assert_true(keepstep_propose(database, &proposal, NULL, error, sizeof error) > 0);
    assert_non_null(strstr(error, "1 to 255 bytes"));
    id[255] = '\0';
    assert_asked(database, &proposal, NULL);
    (void)sqlite3_close(database);
}

/* As the agent writes it, of one that another service has proposed under the same id, too. */
static void set_state(const char *state, const char *reason)
{
    (void)sqlite_format(LIBRARY_SHOP,
                        "UPDATE keepstep_joint SET state='%s', reason='%s', proposal_offset=0 "
                        "WHERE proposer='shop'",
                        state, reason);
}

static void its_state_is_what_the_database_says(void **state)
{
    static const struct {
        const char *state;
        enum keepstep_outcome outcome;
    } states[] = {{"queued", KEEPSTEP_UNDECIDED},    {"reserved", KEEPSTEP_UNDECIDED},
                  {"refused", KEEPSTEP_UNDECIDED},   {"committing", KEEPSTEP_UNDECIDED},
                  {"held", KEEPSTEP_UNDECIDED},      {"aborting", KEEPSTEP_UNDECIDED},
                  {"committed", KEEPSTEP_COMMITTED}, {"aborted", KEEPSTEP_ABORTED}};
    const struct keepstep_proposal proposal = {.id = "order-1", .changes = CHANGES};
    struct keepstep_joint_state found;
    char error[256] = "";
    sqlite3 *database = library_shop_open("{table: item, joint: []}");
    (void)state;
    assert_asked(database, &proposal, NULL);
    (void)sqlite_text(LIBRARY_SHOP,
                      "INSERT INTO keepstep_joint(proposer,id,changes,state,reason,proposal_offset)"
                      " VALUES('bank','order-1','[]','aborted','of the bank',1)");
    (void)sqlite_text(test_path("shop.db"), "DROP TRIGGER keepstep_joint_kept");
    for (size_t i = 0; i < sizeof states / sizeof *states; i++) {
        set_state(states[i].state, "why");
        assert_int_equal(keepstep_joint_state(database, "order-1", &found, error, sizeof error),
                         SQLITE_OK);
        assert_int_equal(found.outcome, states[i].outcome);
        assert_string_equal(found.reason, "why");
    }
    assert_int_equal(keepstep_joint_state(database, "order-2", &found, error, sizeof error),
                     SQLITE_NOTFOUND);
    assert_non_null(strstr(error, "has asked for no joint transaction"));
    (void)sqlite3_close(database);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(it_is_asked_for_if_and_only_if_the_transaction_commits),
        TEST(without_an_id_it_gets_one),
        TEST(what_cannot_be_asked_for_is_refused_with_a_reason),
        TEST(a_used_id_has_a_code_of_its_own),
        TEST(an_id_has_at_most_255_bytes),
        TEST(its_state_is_what_the_database_says),
    };
    return TEST_RUN(tests);
}
