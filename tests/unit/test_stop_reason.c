/* Each text with which the program stops a partition has a class, and operators find each class in
 * the runbook. */
#include "consumer/stop_reason.h"

#include "tests/support/process.h"
#include "tests/support/test.h"

#include <glob.h>
#include <string.h>

#define TEXT_SIZE 2048

/* What stops no partition: what a snapshot or `keepstep tail` says. And a file that is looked at
 * apart. */
static const char *const others[] = {"/consumer/store/sqlite/store.c", "/consumer/feed/tail.c",
                                     "/producer/relay/log.c"};

static bool is_other(const char *path)
{
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        if (strstr(path, others[i]) != NULL)
            return true;
    }
    return false;
}

/* Copies the string literals that stand at `at`, as one text. @return its length. */
static size_t copy_literals(const char *at, char ret_text[static TEXT_SIZE])
{
    size_t length = 0;
    for (at += strspn(at, " \n"); *at == '"'; at += strspn(at, " \n")) {
        for (at++; *at != '"' && *at != '\0'; at++) {
            at += *at == '\\';
            if (length < TEXT_SIZE - 1)
                ret_text[length++] = *at;
        }
        at += *at == '"';
    }
    ret_text[length] = '\0';
    return length;
}

/* Call check() with each text that a file of the sources has behind `mark`. @return how many. */
static size_t for_each_text(const char *path, const char *mark,
                            void (*check)(const char *path, const char *text))
{
    char text[TEXT_SIZE];
    size_t texts = 0;
    const char *source = test_read_file(path);
    for (const char *at = strstr(source, mark); at != NULL; at = strstr(at + 1, mark)) {
        const char *literal = at + strlen(mark);
        literal += strspn(literal, " \n");
        if (strncmp(literal, "(int)code,", 10) == 0) /* error_set_native() */
            literal += 10;
        if (copy_literals(literal, text) == 0 || strcmp(text, "%s") == 0)
            continue;
        texts++;
        check(path, text);
    }
    return texts;
}

static size_t for_each_file(const char *const folders[], size_t count, const char *mark,
                            void (*check)(const char *path, const char *text))
{
    size_t texts = 0;
    for (size_t i = 0; i < count; i++) {
        glob_t found;
        const char *pattern = test_format("%s%s", KEEPSTEP_SOURCE_DIR, folders[i]);
        assert_int_equal(glob(pattern, 0, NULL, &found), 0);
        for (size_t j = 0; j < found.gl_pathc; j++) {
            if (!is_other(found.gl_pathv[j]))
                texts += for_each_text(found.gl_pathv[j], mark, check);
        }
        globfree(&found);
    }
    return texts;
}

static void has_a_class(const char *path, const char *text)
{
    if (strcmp(stop_reason_name(text), "other") == 0)
        test_fail("%s: no class for the stop: %s", path, text);
}

static void every_text_of_a_stop_in_the_sources_has_a_class(void **state)
{
    static const char *const folders[] = {"/consumer/agent/*.c", "/consumer/apply/*.c",
                                          "/consumer/feed/*.c", "/consumer/store/*/*.c",
                                          "/schemas/record/*.c"};
    (void)state;
    assert_true(for_each_file(folders, sizeof folders / sizeof *folders, "STATUS_STOP,",
                              has_a_class) >= 20);
}

static void texts_that_are_made_elsewhere_have_a_class(void **state)
{
    static const struct {
        const char *text;
        const char *name;
    } cases[] = {
        {"offset 7: too many parked records (limits.parked_records), the first: gap: x; see "
         "`keepstep parked list`",
         "too_many_parked"},
        {"Broker: Offset out of range: the log does not hold the next offset (truncated, recreated "
         "or past its retention)",
         "log_recreated"},
        {"a change set of 200 records is refused, and is too large to be parked (more than "
         "limits.changeset_events or _bytes): gap: x",
         "change_set_refused"},
        {"offset 3: Got a packet bigger than 'max_allowed_packet' bytes", "record_too_large"},
        {"something that nobody has thought of", "other"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_string_equal(stop_reason_name(cases[i].text), cases[i].name);
    assert_null(stop_reason_name(""));
}

static void every_class_is_in_the_runbook(void **state)
{
    const char *runbook = test_read_file(KEEPSTEP_SOURCE_DIR "/docs/OPERATIONS.md");
    const char *name;
    (void)state;
    for (size_t i = 0; (name = stop_reason_at(i)) != NULL; i++) {
        if (strstr(runbook, test_format("\n| `%s` |", name)) == NULL)
            test_fail("docs/OPERATIONS.md has no line for stops of the class %s", name);
    }
}

/* @return whether a line of the table of loud ends has a phrase that is in the text. */
static bool is_in_the_table(const char *table, const char *text)
{
    for (const char *at = strstr(table, "\n| `"); at != NULL; at = strstr(at + 1, "\n| `")) {
        const char *phrase = at + strlen("\n| `");
        const char *end = strstr(phrase, "` |");
        if (end != NULL && memmem(text, strlen(text), phrase, (size_t)(end - phrase)) != NULL)
            return true;
    }
    return false;
}

static const char *loud_ends(void)
{
    const char *runbook = test_read_file(KEEPSTEP_SOURCE_DIR "/docs/OPERATIONS.md");
    const char *table = strstr(runbook, "\n| in the last line |");
    assert_non_null(table);
    return test_format("%.*s", (int)(strstr(table, "\n\n") - table), table);
}

static void is_told(const char *path, const char *text)
{
    if (!is_in_the_table(loud_ends(), text))
        test_fail("%s: the runbook does not have the end with: %s", path, text);
}

static void every_end_with_exit_code_78_is_in_the_runbook(void **state)
{
    static const char *const folders[] = {"/producer/relay/*.c", "/producer/outbox/*.c",
                                          "/consumer/agent/*.c", "/consumer/feed/*.c"};
    /* What the relay has found in the log: one function makes all of these texts. */
    static const struct {
        const char *mark;
        size_t texts;
    } found[] = {{"err, record,", 1}, {"&change.record,", 2}, {"rewound[] =", 1}};
    static const char log_file[] = "/producer/relay/log.c";
    (void)state;
    assert_true(for_each_file(folders, sizeof folders / sizeof *folders,
                              "(error_config(err), STATUS_FATAL,", is_told) >= 12);
    for (size_t i = 0; i < sizeof found / sizeof *found; i++)
        assert_int_equal(for_each_text(test_format("%s%s", KEEPSTEP_SOURCE_DIR, log_file),
                                       found[i].mark, is_told),
                         found[i].texts);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_text_of_a_stop_in_the_sources_has_a_class),
        TEST(texts_that_are_made_elsewhere_have_a_class),
        TEST(every_class_is_in_the_runbook),
        TEST(every_end_with_exit_code_78_is_in_the_runbook),
    };
    return TEST_RUN(tests);
}
