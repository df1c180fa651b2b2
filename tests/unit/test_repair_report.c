/* What `keepstep repair` says and with which code it ends, by what became of the entities. */
#include "tests/support/compare_case.h"

#include "operate/repair/publish.h"
#include "operate/repair/report.h"

#include <string.h>
#include <sysexits.h>

struct report_case {
    struct compare_case *world;
    struct mapping mapping;
    struct repair_options options;
    struct repair repair;
    struct repair_entity entities[REPAIR_STATES];
};

static void begin(struct report_case *test)
{
    *test = (struct report_case){.world = case_begin(2)};
    test->mapping.schema = test->world->schema;
    test->options = (struct repair_options){.source = test->world->participants[SHOP],
                                            .copy = test->world->participants[BILLING],
                                            .mapping = &test->mapping};
    test->repair = (struct repair){.options = &test->options, .entities = test->entities};
    arena_init(&test->repair.texts, 65536);
}

static void end(struct report_case *test)
{
    arena_done(&test->repair.texts);
    case_end(test->world);
}

static void add(struct report_case *test, const char *key, enum repair_state state,
                enum difference_kind kind, const char *reason)
{
    struct repair_entity *entity = &test->entities[test->repair.count++];
    *entity = (struct repair_entity){.key = slice_of(key), .kind = kind};
    repair_set(&test->repair, entity, state, reason);
}

static void expect_lines(const struct report_case *test, const char *head, const char *expected)
{
    struct buffer text;
    buffer_init(&text, 65536);
    repair_report_text(&test->repair, &text);
    const char *rest = strchr(buffer_text(&text), '\n');
    assert_non_null(strstr(buffer_text(&text), head));
    assert_string_equal(rest + 1, expected);
    buffer_done(&text);
}

static void expect_text(const struct report_case *test, const char *expected)
{
    expect_lines(test, " at billing, from shop\n", expected);
}

static void expect_json(const struct report_case *test, const char *expected)
{
    struct buffer text;
    buffer_init(&text, 65536);
    repair_report_json(&test->repair, 0, &text);
    if (strstr(buffer_text(&text), expected) == NULL)
        test_fail("%s is not in %s", expected, buffer_text(&text));
    buffer_done(&text);
}

static void each_state_has_its_word_and_code(void **state)
{
    (void)state;
    static const struct {
        enum repair_state state;
        const char *reason;
        const char *text;
        const char *json;
        int code;
    } cases[] = {
        {REPAIR_PENDING, "it waits", "not known yet: it waits", "pending", EX_TEMPFAIL},
        {REPAIR_EQUAL, NULL, "equal", "equal", EX_OK},
        {REPAIR_CHANGED, NULL, "repaired", "repaired", EX_OK},
        {REPAIR_CREATED, NULL, "created", "created", EX_OK},
        {REPAIR_DELETED, NULL, "deleted", "deleted", EX_OK},
        {REPAIR_PUBLISHED, NULL, "published", "published", EX_OK},
        {REPAIR_PUBLISHED_DELETE, NULL, "delete published", "delete_published", EX_OK},
        {REPAIR_REFUSED, "too long", "REFUSED: too long", "refused", EX_DATAERR},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct report_case test;
        begin(&test);
        add(&test, "1", cases[i].state, DIFFERENCE_VALUE, cases[i].reason);
        expect_text(&test, test_format("  1   %s\n", cases[i].text));
        expect_json(&test, test_format("{\"entity_key\":\"1\",\"outcome\":\"%s\"", cases[i].json));
        assert_int_equal(repair_exit_code(&test.repair), cases[i].code);
        end(&test);
    }
}

static void a_dry_run_says_what_would_be_done(void **state)
{
    (void)state;
    struct report_case test;
    begin(&test);
    test.options.dry_run = true;
    assert_int_equal(repair_exit_code(&test.repair), EX_OK);
    add(&test, "0", REPAIR_PENDING, DIFFERENCE_VALUE, "it waits");
    assert_int_equal(repair_exit_code(&test.repair), EX_TEMPFAIL);
    add(&test, "1", REPAIR_PENDING, DIFFERENCE_VALUE, NULL);
    add(&test, "2", REPAIR_PENDING, DIFFERENCE_MISSING, NULL);
    add(&test, "3", REPAIR_PENDING, DIFFERENCE_EXTRA, NULL);
    expect_text(&test, "  0   not known yet: it waits\n  1   would be repaired\n"
                       "  2   would be created\n  3   would be deleted\n");
    expect_json(&test, "{\"entity_key\":\"3\",\"outcome\":\"deleted\",\"reason\":null}");
    expect_json(&test, "\"dry_run\":true");
    assert_int_equal(repair_exit_code(&test.repair), EX_DATAERR);
    end(&test);
}

static void what_is_published_anew_has_its_own_words(void **state)
{
    (void)state;
    static struct repair_publisher publisher;
    struct report_case test;
    begin(&test);
    test.options.publisher = &publisher;
    test.options.dry_run = true;
    add(&test, "1", REPAIR_PENDING, DIFFERENCE_VALUE, NULL);
    add(&test, "2", REPAIR_PENDING, DIFFERENCE_MISSING, NULL);
    add(&test, "3", REPAIR_PENDING, DIFFERENCE_EXTRA, NULL);
    expect_lines(&test, " of shop, through the log, compared with billing\n",
                 "  1   would be published\n  2   would be published\n"
                 "  3   its delete would be published\n");
    expect_json(&test, "{\"entity_key\":\"2\",\"outcome\":\"published\",\"reason\":null}");
    expect_json(&test, "{\"entity_key\":\"3\",\"outcome\":\"delete_published\",\"reason\":null}");
    expect_json(&test, "\"publish\":true,\"dry_run\":true");
    test.options.copy = NULL;
    expect_json(&test, "\"service\":null,\"source\":\"shop\"");
    test.repair.count = 0;
    expect_lines(&test, " of shop, through the log\n", "  equal: nothing to repair\n");
    end(&test);
}

static void what_was_not_compared_or_not_named_is_said(void **state)
{
    (void)state;
    struct report_case test;
    begin(&test);
    expect_text(&test, "  equal: nothing to repair\n");
    (void)strcpy(test.repair.reason, "it stands still");
    expect_text(&test, "  not compared: it stands still\n");
    assert_int_equal(repair_exit_code(&test.repair), EX_TEMPFAIL);
    test.repair.reason[0] = '\0';
    add(&test, "1", REPAIR_CHANGED, DIFFERENCE_VALUE, NULL);
    test.repair.unnamed = 1234;
    expect_text(&test, "  1   repaired\n  at least 1,234 more differ: run it again\n");
    assert_int_equal(repair_exit_code(&test.repair), EX_TEMPFAIL);
    end(&test);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(each_state_has_its_word_and_code),
        TEST(a_dry_run_says_what_would_be_done),
        TEST(what_is_published_anew_has_its_own_words),
        TEST(what_was_not_compared_or_not_named_is_said),
    };
    return TEST_RUN(tests);
}
