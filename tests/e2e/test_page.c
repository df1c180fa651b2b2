/* The page of a sidecar in a real browser. */
#include "tests/support/npm.h"
#include "tests/support/process.h"

#define BROWSER  KEEPSTEP_SOURCE_DIR "/tests/browser"
#define ASSETS   KEEPSTEP_SOURCE_DIR "/operate/page/assets"
#define CHECK_MS 300000

/* @return "CHROMIUM=…". */
static const char *chromium_or_skip(void)
{
    static const char look[] = "command -v chromium";
    struct process_result result = PROCESS_RUN("/bin/sh", "-c", look);
    if (result.exit_code != 0)
        test_skip("no chromium");
    return test_format("CHROMIUM=%.*s", (int)strcspn(result.output, "\n"), result.output);
}

static void check(const char *const argv[], const char *const environment[])
{
    struct process_result result = process_run(argv, environment, CHECK_MS);
    if (result.exit_code != 0)
        test_fail("%s ended with %d:\n%s%s", argv[1], result.exit_code, result.output,
                  result.errors);
}

static void scripts_styles_and_html_are_valid(void **state)
{
    (void)state;
    const char *modules = npm_modules(npm_or_skip("browser", BROWSER));
    const char *eslint = test_format("%s/eslint/bin/eslint.js", modules);
    const char *checker = test_format("%s/vnu-jar/build/dist/vnu.jar", modules);
    const char *const lint[] = {"node", eslint,          "-c", BROWSER "/eslint.config.js",
                                ASSETS, BROWSER "/*.js", NULL};
    check(lint, NULL);
    if (PROCESS_RUN("java", "-version").exit_code != 0)
        test_skip("no java for the checker of HTML and CSS");
    check((const char *const[]){"java", "-jar", checker, "--Werror", ASSETS "/index.html", NULL},
          NULL);
    check((const char *const[]){"java", "-jar", checker, "--css", ASSETS "/page.css", NULL}, NULL);
}

static void what_a_real_run_seldom_has_is_shown(void **state)
{
    (void)state;
    const char *const environment[] = {npm_or_skip("browser", BROWSER), chromium_or_skip(),
                                       "DYGRAPHS=" KEEPSTEP_DYGRAPHS, NULL};
    check((const char *const[]){"node", BROWSER "/check_made_up.js", NULL}, environment);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_WITH_LIMIT(scripts_styles_and_html_are_valid, 120),
        TEST_WITH_LIMIT(what_a_real_run_seldom_has_is_shown, 300),
    };
    return TEST_RUN(tests);
}
