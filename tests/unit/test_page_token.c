/* The token of the page: where it may come from, and what is compared with it. */
#include "operate/page/token.h"
#include "tests/support/test.h"

#include <sys/stat.h>

#define SECRET  "0123456789abcdef0123456789abcdef"
#define MINUTE  (INT64_C(60) * 1000 * 1000)
#define SOMEONE "192.0.2.7"

static char none[] = "";

static enum status load(const char *variable, const char *file, struct page_token *token,
                        struct error *err)
{
    struct config config = {.listen_token = (char *)(uintptr_t)variable,
                            .listen_token_file = (char *)(uintptr_t)file};
    *err = (struct error)ERROR_INIT;
    return page_token_init(token, &config, err);
}

static void expect_refused(const char *variable, const char *file, const char *why)
{
    struct page_token token;
    struct error err;
    assert_int_equal(load(variable, file, &token, &err), STATUS_FATAL);
    assert_int_equal(err.exit_code, 78);
    if (strstr(err.text, why) == NULL)
        test_fail("%s", err.text);
    assert_string_equal(token.secret, "");
}

static const char *file_with(const char *content, mode_t mode)
{
    const char *path = test_path("token");
    (void)chmod(path, 0600);
    test_write_file(path, content);
    assert_int_equal(chmod(path, mode), 0);
    return path;
}

static void a_token_comes_from_a_file_or_the_environment_and_that_wins(void **state)
{
    struct page_token token;
    struct error err;
    (void)state;
    assert_int_equal(load(none, none, &token, &err), STATUS_OK);
    assert_string_equal(token.secret, "");
    assert_int_equal(load(none, file_with(SECRET "\r\n", 0640), &token, &err), STATUS_OK);
    assert_string_equal(token.secret, SECRET);
    assert_int_equal(load("of-the-environment", file_with(SECRET, 0600), &token, &err), STATUS_OK);
    assert_string_equal(token.secret, "of-the-environment");
    page_token_done(&token);
    assert_string_equal(token.secret, "");
}

static void a_file_that_others_can_open_and_a_weak_token_are_refused(void **state)
{
    (void)state;
    static const mode_t modes[] = {0644, 0604, 0602, 0601, 0666};
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++)
        expect_refused(none, file_with(SECRET, modes[i]), "is open to all users of this machine");
    expect_refused(none, file_with("0123456789abcde\n", 0600), "is too short");
    expect_refused(none, file_with("", 0600), "is too short");
    expect_refused(none, file_with("\n" SECRET, 0600), "is too short");
    expect_refused(none, file_with("two words that are long", 0600), "holds a blank");
    expect_refused(none, file_with("caf\xC3\xA9-0123456789abcdef", 0600), "holds a blank");
    expect_refused("short", none, "the token in KEEPSTEP_LISTEN_TOKEN is too short");
    expect_refused(none, test_path("nothing"), "cannot be read; No such file");
    const char *fifo = test_path("fifo");
    assert_int_equal(mkfifo(fifo, 0600), 0);
    expect_refused(none, fifo, "is no regular file; name a file that holds the token");
    expect_refused(none, test_path("."), "is a directory");
    struct page_token token;
    struct error err;
    assert_int_equal(load(none, SECRET, &token, &err), STATUS_FATAL);
    assert_null(strstr(err.text, SECRET)); /* it is not a path */
    char *large = calloc(1, TOKEN_LENGTH_MAX + 2);
    assert_non_null(large);
    memset(large, 'x', TOKEN_LENGTH_MAX + 1);
    expect_refused(none, file_with(large, 0600), "longer than a token may be");
    expect_refused(large, none, "longer than a token may be");
    free(large);
}

static void only_the_whole_token_is_right(void **state)
{
    struct page_token token;
    struct error err;
    (void)state;
    assert_int_equal(load(SECRET, none, &token, &err), STATUS_OK);
    static const char *const wrong[] = {"Bearer ",
                                        "Bearer 0",
                                        ("Bearer " SECRET "0"),
                                        ("Bearer " SECRET SECRET),
                                        "Bearer 0123456789abcdef0123456789abcdeF",
                                        ("Bearer  " SECRET)};
    static const char *const missing[] = {NULL, "", "Basic " SECRET, SECRET, "Bearer"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        if (page_token_judge(&token, wrong[i], SOMEONE, 1) != TOKEN_WRONG)
            test_fail("%s is not wrong", wrong[i]);
    }
    for (size_t i = 0; i < sizeof missing / sizeof *missing; i++)
        assert_int_equal(page_token_judge(&token, missing[i], SOMEONE, 1), TOKEN_MISSING);
    assert_int_equal(page_token_judge(&token, "Bearer " SECRET, SOMEONE, 1), TOKEN_RIGHT);
    assert_int_equal(page_token_judge(&token, "bearer " SECRET, SOMEONE, 1), TOKEN_RIGHT);
    token.secret[0] = '\0';
    assert_int_equal(page_token_judge(&token, "Bearer ", SOMEONE, 1), TOKEN_OFF);
}

static void who_guesses_is_not_listened_to_for_a_minute(void **state)
{
    struct page_token token;
    struct error err;
    (void)state;
    assert_int_equal(load(SECRET, none, &token, &err), STATUS_OK);
    for (int i = 0; i < TOKEN_WRONG_MAX; i++)
        assert_int_equal(page_token_judge(&token, "Bearer x", SOMEONE, MINUTE), TOKEN_WRONG);
    assert_int_equal(page_token_judge(&token, "Bearer " SECRET, SOMEONE, MINUTE), TOKEN_TOO_MANY);
    assert_int_equal(page_token_judge(&token, "Bearer " SECRET, "192.0.2.8", MINUTE), TOKEN_RIGHT);
    assert_int_equal(page_token_judge(&token, "Bearer " SECRET, SOMEONE, 2 * MINUTE), TOKEN_RIGHT);
    /* Many addresses do not make it forget the one that has just guessed. */
    for (int i = 0; i < TOKEN_WRONG_MAX; i++)
        assert_int_equal(page_token_judge(&token, "Bearer x", SOMEONE, 3 * MINUTE), TOKEN_WRONG);
    for (int i = 0; i < TOKEN_PEERS - 1; i++)
        assert_int_equal(
            page_token_judge(&token, "Bearer x", test_format("192.0.3.%d", i), 3 * MINUTE + 1),
            TOKEN_WRONG);
    assert_int_equal(page_token_judge(&token, "Bearer " SECRET, SOMEONE, 3 * MINUTE + 2),
                     TOKEN_TOO_MANY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_token_comes_from_a_file_or_the_environment_and_that_wins),
        TEST(a_file_that_others_can_open_and_a_weak_token_are_refused),
        TEST(only_the_whole_token_is_right),
        TEST(who_guesses_is_not_listened_to_for_a_minute),
    };
    return TEST_RUN(tests);
}
