/* The alerts of deploy/prometheus/ are rules for promtool, and fire when they should. */
#include "tests/support/test.h"

#include <stdio.h>
#include <stdlib.h>

#define RULES KEEPSTEP_SOURCE_DIR "/deploy/prometheus/keepstep.rules.yml"

/* A copy that is equal, then lacks 2 rows, then is equal again; one that is compared at the hour 2
 * and then no more. Both are on the pages of two sidecars. */
#define SERIES(name, labels, values)                                                               \
    "      - {series: '" name "{type=\"order\",topic=\"order\",copy=\"billing/1\"," labels "}', "  \
    "values: '" values "'}\n"
#define FIRING(alert, minute, count)                                                               \
    "      - expr: count(ALERTS{alertname=\"" alert "\",alertstate=\"firing\"}) or vector(0)\n"    \
    "        eval_time: " minute "\n"                                                              \
    "        exp_samples: [{labels: '{}', value: " count "}]\n"

static const char cases[] =
    "rule_files: [" RULES "]\n"
    "evaluation_interval: 1m\n"
    "tests:\n"
    "  - interval: 1m\n"
    "    input_series:\n" SERIES("keepstep_verify_rows", "result=\"missing\",instance=\"a\"",
                                 "0x9 2x9 0x9")
        SERIES("keepstep_verify_rows", "result=\"missing\",instance=\"b\"", "0x9 2x9 0x9")
            SERIES("keepstep_verify_rows", "result=\"equal\",instance=\"a\"", "10x9 8x9 10x9")
                SERIES("keepstep_verify_rows", "result=\"left_out\",instance=\"a\"",
                       "5x29") "    promql_expr_test:\n" FIRING("KeepstepCopyNotEqual", "5m", "0")
                    FIRING("KeepstepCopyNotEqual", "15m", "1") FIRING(
                        "KeepstepCopyNotEqual", "25m",
                        "0") "  - interval: 1m\n"
                             "    input_series:\n" SERIES("keepstep_verify_last_timestamp_seconds",
                                                          "instance=\"a\"", "7200x1900")
                                 SERIES("keepstep_verify_last_timestamp_seconds", "instance=\"b\"",
                                        "3600x1900") "    promql_expr_test:\n" FIRING("KeepstepCopy"
                                                                                      "NotVerified",
                                                                                      "20h", "0")
                                     FIRING("KeepstepCopyNotVerified", "30h", "1");

static void need_promtool(void)
{
    if (system("promtool --version >/dev/null 2>&1") != 0)
        test_skip("promtool is not installed");
}

static void the_rules_are_rules(void **state)
{
    (void)state;
    need_promtool();
    assert_int_equal(system("promtool check rules " RULES " >&2"), 0);
}

static void a_copy_that_is_not_equal_or_not_compared_raises_an_alert(void **state)
{
    (void)state;
    need_promtool();
    test_write_file(test_path("rules.test.yml"), cases);
    assert_int_equal(system(test_format("promtool test rules %s >&2", test_path("rules.test.yml"))),
                     0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_rules_are_rules),
        TEST(a_copy_that_is_not_equal_or_not_compared_raises_an_alert),
    };
    return TEST_RUN(tests);
}
