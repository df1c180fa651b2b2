/* Sidecars that compare by themselves: a difference is seen by every service, until it is mended.
 */
#include "common/buffer.h"
#include "operate/http_client.h"
#include "tests/support/load.h"
#include "tests/support/repair.h"
#include "tests/support/trio.h"

#include <stdio.h>
#include <sysexits.h>

#define WAIT_MS  60000
#define PAGE_MAX ((size_t)1024 * 1024)

/* What the alert of deploy/prometheus/keepstep.rules.yml asks of the metric. */
static const char *const bad_results[] = {"different", "missing", "extra"};
#define BAD_RESULTS (sizeof bad_results / sizeof *bad_results)

struct watch {
    struct trio *trio;
    int ports[VERIFY_KINDS];
    const char *copy; /* "lite/": its name begins so */
    int64_t wanted[BAD_RESULTS];
    const char *seen;
};

/* @return the value of keepstep_verify_rows of a copy of "order"; -1: there is none. */
static int64_t verify_rows(const char *page, const char *copy, const char *result)
{
    const char *wanted = test_format("\",copy=\"%s", copy);
    const char *type = ",type=\"order\",";
    const char *end = test_format("\",result=\"%s\"} ", result);
    for (const char *line = page; line != NULL; line = strchr(line, '\n')) {
        line += *line == '\n';
        size_t length = strcspn(line, "\n");
        const char *found = memmem(line, length, end, strlen(end));
        if (strncmp(line, "keepstep_verify_rows{", 21) == 0 && found != NULL &&
            memmem(line, length, type, strlen(type)) != NULL &&
            memmem(line, length, wanted, strlen(wanted)) != NULL)
            return strtol(found + strlen(end), NULL, 10);
        if (*line == '\0')
            break;
    }
    return -1;
}

static const char *read_page(int port)
{
    struct buffer body;
    buffer_init(&body, PAGE_MAX);
    (void)http_get("127.0.0.1", test_format("%d", port), "/metrics", &body);
    const char *page = test_format("%s", buffer_text(&body));
    buffer_done(&body);
    return page;
}

static bool is_seen_everywhere(void *context)
{
    struct watch *watch = context;
    for (size_t i = 0; i < VERIFY_KINDS; i++) {
        watch->seen = read_page(watch->ports[i]);
        for (size_t j = 0; j < BAD_RESULTS; j++) {
            if (verify_rows(watch->seen, watch->copy, bad_results[j]) != watch->wanted[j])
                return false;
        }
    }
    return true;
}

/* The test fails unless all three pages have these numbers of different, missing and extra rows. */
static void expect_rows(struct watch *watch, const char *copy, const int64_t wanted[BAD_RESULTS])
{
    watch->copy = copy;
    memcpy(watch->wanted, wanted, sizeof watch->wanted);
    if (!test_wait(is_seen_everywhere, watch, WAIT_MS))
        test_fail("%s has not %d, %d, %d in %s; logs: %s%s%s", copy, (int)wanted[0], (int)wanted[1],
                  (int)wanted[2], watch->seen, process_errors(watch->trio->services[0].process),
                  process_errors(watch->trio->services[1].process),
                  process_errors(watch->trio->services[2].process));
}

static void expect_copies(const struct watch *watch, const char *text)
{
    for (size_t i = 0; i < VERIFY_KINDS; i++) {
        struct process_result result = sidecar_run(&watch->trio->services[i], "copies", "order",
                                                   NULL);
        if (strstr(result.output, text) == NULL)
            test_fail("no \"%s\" in %s%s", text, result.output, result.errors);
    }
}

static int count_of(const struct trio *trio, const char *text)
{
    int count = 0;
    for (size_t i = 0; i < VERIFY_KINDS; i++) {
        const char *at = process_errors(trio->services[i].process);
        while ((at = strstr(at, text)) != NULL) {
            count++;
            at++;
        }
    }
    return count;
}

static void a_difference_is_seen_by_every_sidecar_until_it_is_repaired(void **state)
{
    static const int64_t equal[BAD_RESULTS] = {0, 0, 0};
    static const int64_t planted[BAD_RESULTS] = {1, 1, 1};
    struct trio trio;
    struct watch watch = {.trio = &trio};
    (void)state;
    trio_make(&trio, "verify: {every_s: 2}\n");
    for (size_t i = 0; i < VERIFY_KINDS; i++)
        watch.ports[i] = sidecar_listen(&trio.services[i]);
    for (size_t i = 0; i < VERIFY_KINDS; i++)
        sidecar_begin(&trio.services[i]);
    for (int id = 1; id <= 3; id++)
        (void)database_text(trio.services[DATABASE_POSTGRESQL].url,
                            test_format("INSERT INTO orders VALUES (%d, 'n', '1.50', 0.1)", id));
    trio_settle(&trio);
    expect_rows(&watch, "lite/", equal);
    expect_rows(&watch, "maria/", equal);
    expect_copies(&watch, "    equal since 20");
    trio_plant(&trio, DATABASE_SQLITE, "orders");
    expect_rows(&watch, "lite/", planted);
    expect_rows(&watch, "maria/", equal);
    expect_copies(&watch, "    DIFFERENT: 3 rows, last equal 20");
    struct process_result result = repair_command_run(&trio.services[DATABASE_SQLITE],
                                                      &trio.services[DATABASE_POSTGRESQL], "order",
                                                      (const char *const[]){NULL});
    assert_int_equal(result.exit_code, EX_OK);
    expect_rows(&watch, "lite/", equal);
    assert_int_equal(count_of(&trio, "order at lite is DIFFERENT from post: 3 rows"), 1);
    assert_int_equal(count_of(&trio, "order at lite is equal to post again"), 1);
    trio_end(&trio);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_WITH_LIMIT(a_difference_is_seen_by_every_sidecar_until_it_is_repaired, 300),
    };
    return TEST_RUN(tests);
}
