/* The alerts of deploy/prometheus/ are rules for promtool, fire when they should, and each has an
 * entry in the runbook. */
#include "tests/support/test.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FOLDER     KEEPSTEP_SOURCE_DIR "/deploy/prometheus/"
#define RULES      FOLDER "keepstep.rules.yml"
#define CASES      FOLDER "keepstep.rules.test.yml"
#define DAYS       FOLDER "keepstep.rules.days.test.yml"
#define RUNBOOK    KEEPSTEP_SOURCE_DIR "/docs/OPERATIONS.md"
#define ALERT      "      - alert: "
#define NAME_SIZE  80
#define ALERTS_MIN 20

static void need_promtool(void)
{
    if (system("promtool --version >/dev/null 2>&1") != 0)
        test_skip("promtool is not installed");
}

static void the_rules_are_valid(void **state)
{
    (void)state;
    need_promtool();
    assert_int_equal(system("promtool check rules " RULES " >&2"), 0);
}

static void each_alert_fires_when_it_should_and_no_other_does(void **state)
{
    (void)state;
    need_promtool();
    assert_int_equal(system("promtool test rules " CASES " " DAYS " >&2"), 0);
}

static void the_configuration_for_compose_is_valid(void **state)
{
    (void)state;
    need_promtool();
    assert_int_equal(system("promtool check config --syntax-only " FOLDER "prometheus.yml >&2"), 0);
}

/* Call check() with the name and the text of each alert. @return how many there are. */
static size_t for_each_alert(void (*check)(const char *name, const char *text))
{
    size_t count = 0;
    const char *at = strstr(test_read_file(RULES), ALERT);
    while (at != NULL) {
        char name[NAME_SIZE];
        const char *next = strstr(at + 1, ALERT);
        size_t length = next == NULL ? strlen(at) : (size_t)(next - at);
        assert_int_equal(sscanf(at + strlen(ALERT), "%79[A-Za-z]", name), 1);
        check(name, test_format("%.*s", (int)length, at));
        count++;
        at = next;
    }
    return count;
}

static void has(const char *name, const char *text, const char *part)
{
    if (strstr(text, part) == NULL)
        test_fail("%s has no \"%s\" in:\n%s", name, part, text);
}

static void says_what_to_do(const char *name, const char *text)
{
    char anchor[NAME_SIZE];
    size_t length = strlen(name);
    for (size_t i = 0; i <= length; i++)
        anchor[i] = (char)tolower(name[i]);
    has(name, text, "severity: ");
    has(name, text, "summary: ");
    has(name, text, "description: ");
    has(name, text, test_format("runbook_url: \"docs/OPERATIONS.md#%s\"", anchor));
}

static void each_alert_says_how_bad_it_is_and_where_to_read_on(void **state)
{
    (void)state;
    assert_true(for_each_alert(says_what_to_do) >= ALERTS_MIN);
}

static void is_in_the_runbook(const char *name, const char *text)
{
    (void)text;
    const char *runbook = test_read_file(RUNBOOK);
    const char *entry = strstr(runbook, test_format("\n### %s\n", name));
    if (entry == NULL)
        test_fail("docs/OPERATIONS.md has no entry for %s", name);
    const char *end = strstr(entry + 1, "\n### ");
    size_t length = end == NULL ? strlen(entry) : (size_t)(end - entry);
    if (memmem(entry, length, "`", 1) == NULL)
        test_fail("the entry for %s names no command", name);
}

static void each_alert_has_an_entry_in_the_runbook(void **state)
{
    (void)state;
    assert_true(for_each_alert(is_in_the_runbook) >= ALERTS_MIN);
}

static void is_tested(const char *name, const char *text)
{
    (void)text;
    has(CASES, test_format("%s%s", test_read_file(CASES), test_read_file(DAYS)),
        test_format("{labels: '{alertname=\"%s\"}', value: 1}", name));
}

static void
each_alert_has_a_case_in_which_it_fires_and_each_case_a_time_without_alerts(void **state)
{
    static const char begin[] = "  - interval: ";
    const char *cases = test_format("%s%s", test_read_file(CASES), test_read_file(DAYS));
    (void)state;
    assert_true(for_each_alert(is_tested) >= ALERTS_MIN);
    for (const char *at = strstr(cases, begin); at != NULL;) {
        const char *next = strstr(at + 1, begin);
        size_t length = next == NULL ? strlen(at) : (size_t)(next - at);
        if (memmem(at, length, "exp_samples: []", 15) == NULL)
            test_fail("something fires at each time of this case:\n%.*s", (int)length, at);
        at = next;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_rules_are_valid),
        TEST_WITH_LIMIT(each_alert_fires_when_it_should_and_no_other_does, 200),
        TEST(the_configuration_for_compose_is_valid),
        TEST(each_alert_says_how_bad_it_is_and_where_to_read_on),
        TEST(each_alert_has_an_entry_in_the_runbook),
        TEST(each_alert_has_a_case_in_which_it_fires_and_each_case_a_time_without_alerts),
    };
    return TEST_RUN(tests);
}
