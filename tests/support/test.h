/* What every test program uses: cmocka, a time limit, skipping with a reason, its own
 * directories. */
#ifndef TESTS_SUPPORT_TEST_H
#define TESTS_SUPPORT_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/status.h"

#define TEST_LIMIT_SECONDS 30

/** Which sanitizer the program is built with; clang does not define gcc's macros. */
#ifdef __has_feature
#define TEST_HAS_FEATURE(feature) __has_feature(feature)
#else
#define TEST_HAS_FEATURE(feature) 0
#endif
#if defined __SANITIZE_ADDRESS__ || TEST_HAS_FEATURE(address_sanitizer)
#define TEST_SANITIZES_ADDRESSES true
#else
#define TEST_SANITIZES_ADDRESSES false
#endif
#if defined __SANITIZE_THREAD__ || TEST_HAS_FEATURE(thread_sanitizer)
#define TEST_SANITIZES_THREADS true
#else
#define TEST_SANITIZES_THREADS false
#endif

struct test_case {
    const char *name;
    unsigned int limit_seconds;
    CMUnitTestFunction function;
};

/** One entry of TEST_RUN()'s array; `function` is `static void f(void **state)`. */
#define TEST(function) TEST_WITH_LIMIT(function, TEST_LIMIT_SECONDS)

/** Like TEST(), with its own time limit. After that the program ends with status 124. */
#define TEST_WITH_LIMIT(function, seconds)                                                         \
    {                                                                                              \
#function, test_body, test_begin, test_end, &(struct test_case)                            \
        {                                                                                          \
#function, seconds, function                                                           \
        }                                                                                          \
    }

/** Run an array of TEST()s. A test that fails while threads of it still run is the last one: they
 * use its stack. @return the exit code for main(). */
#define TEST_RUN(tests) test_run(tests, sizeof(tests) / sizeof((tests)[0]))

int test_run(const struct CMUnitTest *tests, size_t count);
int test_begin(void **state);
void test_body(void **state);
int test_end(void **state);

/** @return whether the running test ended early and threads of it still run. Then nothing that they
 * may use is closed or freed, and the program ends before the next test. */
bool test_left_threads(void);

/** End this test as skipped. The summary of the whole run shows the reason. */
void test_skip(const char *format, ...) PRINTF_LIKE(1, 2) __attribute__((noreturn));

/** @return whether the test has ended so that runs, or ran last. */
bool test_was_skipped(void);

/** End this test as failed, with a reason. */
void test_fail(const char *format, ...) PRINTF_LIKE(1, 2) __attribute__((noreturn));

/** @return the name of the running test, "" between tests. */
const char *test_name(void);

/** @return the directory of the running test. It is made at the first call, and removed when the
 * program ends unless a test failed. */
const char *test_directory(void);

/** @return a new directory that lasts as long as the program. It is removed like the others. */
const char *test_directory_shared(void);

/** @return text formatted like printf, valid until the program ends. */
const char *test_format(const char *format, ...) PRINTF_LIKE(1, 2);

/** @return `text` with `by` wherever it has `word`, which `by` must not have. */
const char *test_replace(const char *text, const char *word, const char *by);

/** @return the path of a formatted name in the directory of the running test. */
const char *test_path(const char *format, ...) PRINTF_LIKE(1, 2);

/** @return the whole file with a NUL after it, for free(); NULL if there is no file. */
char *test_load_file(const char *path);

/** @return the text of a file up to its first NUL, valid until the program ends; NULL if there is
 * no file. */
const char *test_read_file(const char *path);

/** Write a whole file. The test fails if that is impossible. */
void test_write_file(const char *path, const char *text);

/** The test fails unless a file of the source tree has this text. With TEST_WRITE_DOCS in the
 * environment the file is written first. */
void test_assert_document(const char *name, const char *text);

/** @return the first C program in docs/PROTOCOL.md, valid until the program ends. */
const char *test_protocol_example(void);

/** Poll until `holds(context)` is true, or until the limit. TEST_PATIENCE in the environment makes
 * limits of 5 s and more, and those of tests, so many times as long. @return whether it became
 * true. */
bool test_wait(bool (*holds)(void *context), void *context, int64_t limit_ms);

#endif
