/* What a database says of a change goes into the log as a vote's reason, whatever its language. */
#include "tests/support/database_case.h"
#include "tests/support/joint_case.h"

#include "common/utf8.h"

#include <stdio.h>
#include <string.h>

#define EURO      "\xe2\x82\xac"
#define EUROS_MAX 200 /* more than an error holds */
#define BODY_SIZE 1024

/* MariaDB says at most 128 characters. */
static const struct {
    const char *body;
    int euros;
} cases[] = {[DATABASE_SQLITE] = {"SELECT RAISE(ABORT, '%.*s%.*s')", EUROS_MAX},
             [DATABASE_POSTGRESQL] = {"RAISE EXCEPTION '%.*s%.*s'", EUROS_MAX},
             [DATABASE_MARIADB] = {"SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = '%.*s%.*s'", 120}};

static void a_reason_is_cut_between_two_characters(void)
{
    char euros[3 * EUROS_MAX + 1] = "";
    char body[BODY_SIZE];
    int bytes = 3 * cases[database_case_kind].euros;
    for (size_t i = 0; i < EUROS_MAX; i++)
        memcpy(euros + 3 * i, EURO, sizeof EURO);
    joint_case_begin_test();
    for (int shift = 0; shift < 3; shift++) {
        (void)snprintf(body, sizeof body, cases[database_case_kind].body, shift, "xxx", bytes,
                       euros);
        joint_case_trigger("says", "BEFORE UPDATE", "stock", body);
        joint_case_assert_no(joint_case_attempt("t", 7, MINUS(3)), EURO, "attempt");
        assert_true(utf8_is_valid(slice_of(joint_case_err.text)));
        assert_in_range(strlen(joint_case_err.text), bytes < ERROR_TEXT_SIZE ? bytes : 500,
                        ERROR_TEXT_SIZE - 1);
        joint_case_drop_trigger("says", "stock");
    }
    joint_case_done();
}

int main(void)
{
    static const struct database_case all[] = {
        DATABASE_CASE(a_reason_is_cut_between_two_characters),
    };
    return database_case_run_where(all, sizeof all / sizeof *all, joint_case_has);
}
