/* What a database says of a change goes into the log as a vote's reason, whatever its language. */
#include "tests/support/database_case.h"
#include "tests/support/joint_case.h"

#include "common/utf8.h"

#include <stdio.h>
#include <string.h>

#define FACES     120 /* of four bytes each: more than an error holds, no more than MariaDB says */
#define BODY_SIZE 1024

static const char *const bodies[] = {
    [DATABASE_SQLITE] = "SELECT RAISE(ABORT, '%.*s%s')",
    [DATABASE_POSTGRESQL] = "RAISE EXCEPTION '%.*s%s'",
    [DATABASE_MARIADB] = "SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = '%.*s%s'"};

static void a_reason_is_cut_between_two_characters(void)
{
    char faces[4 * FACES + 1] = "";
    char body[BODY_SIZE];
    for (size_t i = 0; i < FACES; i++)
        memcpy(faces + 4 * i, "\xf0\x9f\x98\x80", 5);
    joint_case_begin_test();
    for (int shift = 0; shift < 4; shift++) {
        (void)snprintf(body, sizeof body, bodies[database_case_kind], shift, "xxxx", faces);
        joint_case_trigger("says", "BEFORE UPDATE", "stock", body);
        joint_case_assert_no(joint_case_attempt("t", 7, MINUS(3)), "\xf0\x9f\x98\x80", "attempt");
        assert_true(utf8_is_valid(slice_of(joint_case_err.text)));
        assert_in_range(strlen(joint_case_err.text), ERROR_TEXT_SIZE - 4, ERROR_TEXT_SIZE - 1);
        joint_case_drop_trigger("says", "stock");
    }
    joint_case_done();
}

int main(void)
{
    static const struct database_case cases[] = {
        DATABASE_CASE(a_reason_is_cut_between_two_characters),
    };
    return database_case_run_where(cases, sizeof cases / sizeof *cases, joint_case_has);
}
