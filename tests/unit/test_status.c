/* An error that the caller owns: the first one stays, the text is bounded, it gives the exit
 * code. */
#include "common/status.h"

#include <sysexits.h>

#include "tests/support/test.h"

static void the_first_error_stays(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    assert_int_equal(error_set(&err, STATUS_RETRY, "first %d", 1), STATUS_RETRY);
    assert_int_equal(error_set(&err, STATUS_FATAL, "second"), STATUS_RETRY);
    assert_int_equal(error_set_native(&err, STATUS_STOP, 7, "third"), STATUS_RETRY);
    assert_int_equal(err.status, STATUS_RETRY);
    assert_int_equal(err.native_code, 0);
    assert_string_equal(err.text, "first 1");
}

static void a_cleared_error_can_be_set_again(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    (void)error_set_native(&err, STATUS_RETRY, 5, "busy");
    assert_int_equal(err.native_code, 5);
    error_clear(&err);
    assert_int_equal(err.status, STATUS_OK);
    assert_int_equal(err.native_code, 0);
    assert_string_equal(err.text, "");
    assert_int_equal(error_set(&err, STATUS_STOP, "gap"), STATUS_STOP);
}

static void without_an_error_to_fill_the_status_is_returned(void **state)
{
    (void)state;
    assert_int_equal(error_set(NULL, STATUS_ABORT, "nobody reads"), STATUS_ABORT);
    assert_int_equal(error_set_native(NULL, STATUS_REJECT, 1, "nobody reads"), STATUS_REJECT);
    error_prefix(NULL, "nowhere");
}

static void a_verdict_names_the_statement_and_is_the_first_alone(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    const struct verdict waiting = {1062, VERDICT_WAITING};
    const struct verdict lost = {2013, VERDICT_LOST};
    assert_int_equal(error_set_verdict(&err, waiting, "INSERT\n  INTO t", "duplicate (%d)", 1062),
                     STATUS_REJECT);
    assert_int_equal(error_set_verdict(&err, lost, "COMMIT", "lost"), STATUS_REJECT);
    assert_int_equal(err.native_code, 1062);
    assert_int_equal(err.reject, REJECT_WAITING);
    assert_false(err.connection_lost);
    assert_string_equal(err.text, "INSERT INTO t: duplicate (1062)");
    error_clear(&err);
    assert_int_equal(error_set_verdict(&err, lost, NULL, "lost"), STATUS_RETRY);
    assert_true(err.connection_lost);
    assert_string_equal(err.text, "lost");
    assert_int_equal(error_set_verdict(NULL, lost, "COMMIT", "nobody reads"), STATUS_RETRY);
}

static void a_prefix_stands_in_front(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    (void)error_set(&err, STATUS_STOP, "gap");
    error_prefix(&err, "line %d", 3);
    error_prefix(&err, "file");
    assert_string_equal(err.text, "file: line 3: gap");
}

static void long_texts_are_cut_and_end_with_a_nul(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    (void)error_set(&err, STATUS_STOP, "%2000s", "x");
    assert_int_equal(strlen(err.text), ERROR_TEXT_SIZE - 1);
    error_prefix(&err, "place");
    assert_int_equal(strlen(err.text), ERROR_TEXT_SIZE - 1);
    assert_memory_equal(err.text, "place: ", 7);
    error_prefix(&err, "%2000s", "y");
    assert_int_equal(strlen(err.text), ERROR_TEXT_SIZE - 1);
}

static void the_exit_code_follows_the_status(void **state)
{
    (void)state;
    static const struct {
        enum status status;
        int exit_code;
        const char *name;
    } cases[] = {
        {STATUS_OK, EX_OK, "ok"},
        {STATUS_RETRY, EX_TEMPFAIL, "retry"},
        {STATUS_ABORT, EX_TEMPFAIL, "abort"},
        {STATUS_REJECT, EX_DATAERR, "reject"},
        {STATUS_STOP, EX_SOFTWARE, "stop"},
        {STATUS_AGAIN, EX_SOFTWARE, "again"},
        {STATUS_FATAL, EX_SOFTWARE, "fatal"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct error err = {.status = cases[i].status};
        assert_int_equal(error_exit_code(&err), cases[i].exit_code);
        assert_string_equal(status_name(cases[i].status), cases[i].name);
    }
}

static void a_chosen_exit_code_wins(void **state)
{
    (void)state;
    struct error err = {.status = STATUS_FATAL, .exit_code = EX_CONFIG};
    assert_int_equal(error_exit_code(&err), EX_CONFIG);
}

static const char *told(const char *statement)
{
    static struct error err;
    error_clear(&err);
    (void)error_set_verdict(&err, (struct verdict){0, VERDICT_FATAL}, statement, "text");
    return err.text;
}

static void a_statement_is_told_on_one_short_line(void **state)
{
    (void)state;
    assert_string_equal(told("  SELECT a,\n\tb\n FROM t\n\n"), "SELECT a, b FROM t: text");
    assert_string_equal(told("\n"), ": text");
    char longest[2 * ERROR_STATEMENT_SIZE];
    memset(longest, 'x', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    assert_string_equal(told(longest), " …: text");
    for (size_t i = 1; i < sizeof longest - 1; i += 2)
        longest[i] = '\n';
    const char *text = told(longest);
    assert_int_equal(strncmp(text, "x x x", 5), 0);
    assert_string_equal(text + strlen(text) - strlen("x …: text"), "x …: text");
    assert_true(strlen(text) > ERROR_STATEMENT_SIZE - 8 + strlen(": text"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_first_error_stays),
        TEST(a_cleared_error_can_be_set_again),
        TEST(without_an_error_to_fill_the_status_is_returned),
        TEST(a_verdict_names_the_statement_and_is_the_first_alone),
        TEST(a_prefix_stands_in_front),
        TEST(a_statement_is_told_on_one_short_line),
        TEST(long_texts_are_cut_and_end_with_a_nul),
        TEST(the_exit_code_follows_the_status),
        TEST(a_chosen_exit_code_wins),
    };
    return TEST_RUN(tests);
}
