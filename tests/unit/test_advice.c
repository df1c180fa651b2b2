/* A command that a text gives as advice can be copied and run, whatever the file is called. */
#include "common/advice.h"

#include "tests/support/process.h"

static const char *complete(const char *text)
{
    char out[256];
    advice_complete(text, out, sizeof out);
    return test_format("%s", out);
}

static void a_command_in_backquotes_gets_the_flags_unless_it_has_them(void **state)
{
    (void)state;
    advice_set_flags("");
    assert_string_equal(complete("run `keepstep init`"), "run `keepstep init`");
    advice_set_flags(" -c shop.yaml");
    assert_string_equal(complete("run `keepstep init`, then `keepstep run`."),
                        "run `keepstep init -c shop.yaml`, then `keepstep run -c shop.yaml`.");
    assert_string_equal(complete("`keepstep run -c other.yaml` and `keepstep lag`"),
                        "`keepstep run -c other.yaml` and `keepstep lag -c shop.yaml`");
    assert_string_equal(complete("keepstep run; `instance:`; `keepstep"),
                        "keepstep run; `instance:`; `keepstep");
    char small[16];
    advice_complete("run `keepstep init`", small, sizeof small);
    assert_string_equal(small, "run `keepstep i");
}

static void a_shell_reads_back_what_was_quoted(void **state)
{
    static const char *const arguments[] = {
        "shop.yaml", "my shop.yaml", "it's", "$HOME;`x`", "", "a\"b\\c", "*", "~/x", "é"};
    (void)state;
    for (size_t i = 0; i < sizeof arguments / sizeof *arguments; i++) {
        char out[64] = "printf %s ";
        assert_true(advice_quote(arguments[i], out, sizeof out));
        assert_string_equal(PROCESS_RUN("sh", "-c", out).output, arguments[i]);
    }
    char out[6] = "x";
    assert_false(advice_quote("abcde", out, sizeof out));
    assert_string_equal(out, "x");
    assert_true(advice_quote("abcd", out, sizeof out));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_command_in_backquotes_gets_the_flags_unless_it_has_them),
        TEST(a_shell_reads_back_what_was_quoted),
    };
    return TEST_RUN(tests);
}
