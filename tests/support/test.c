/* The frame of every test program: time limits, skips, directories. */
#include "tests/support/test.h"
#include "tests/support/threads.h"

#include "common/clock.h"

#include <errno.h>
#include <ftw.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define STATUS_TIME_LIMIT 124

/* Bytes between the stack of a test and what is called behind it: enough to print a failure. */
#define STACK_GAP ((size_t)128 * 1024)

/* How often test_wait() looks. A look may cost a connection, so who has waited long is less
 * impatient: the pause is this part of it, between these bounds. */
#define WAIT_PARTS    20
#define WAIT_LEAST_US 20000
#define WAIT_MOST_US  100000

/* The thread sanitizer makes a program about ten times slower. */
#define LIMIT_FACTOR (TEST_SANITIZES_THREADS ? 10U : 1U)

/* Limits are those of a machine that has little else to do. TEST_PATIENCE says how many times as
 * long they are on another one. A shorter wait than this is for what must not happen, so it stays.
 */
#define WAIT_PATIENT_MS 5000

/* What lives until the program ends. A list of it also tells the leak checker that nothing
 * leaked. */
struct test_kept {
    struct test_kept *next;
    bool is_directory;
    char text[];
};

static struct test_kept *kept;
static pthread_mutex_t kept_lock = PTHREAD_MUTEX_INITIALIZER;
static const struct test_case *running;
static size_t threads_before; /* those that outlive tests */
static bool ended_early;      /* the test failed or was skipped */
static bool was_skipped;
static const char *running_directory;
static bool any_failed = true; /* test_run() sets it */
static pid_t owner;

static char *test_keep(size_t length, bool is_directory)
{
    struct test_kept *entry = malloc(sizeof *entry + length + 1);
    if (entry == NULL)
        abort();
    entry->is_directory = is_directory;
    memset(entry->text, 0, length + 1);
    (void)pthread_mutex_lock(&kept_lock);
    entry->next = kept;
    kept = entry;
    (void)pthread_mutex_unlock(&kept_lock);
    return entry->text;
}

static int test_remove_entry(const char *path, const struct stat *status, int type,
                             struct FTW *place)
{
    (void)status, (void)type, (void)place;
    return remove(path);
}

static void test_print_kept(const struct test_kept *entry)
{
    (void)fprintf(stderr, "kept for you to read: %s\n", entry->text);
}

static void test_remove_kept(void)
{
    if (getpid() != owner)
        return;
    while (kept != NULL) {
        struct test_kept *entry = kept;
        kept = entry->next;
        if (entry->is_directory && any_failed)
            test_print_kept(entry);
        else if (entry->is_directory)
            (void)nftw(entry->text, test_remove_entry, 16, FTW_DEPTH | FTW_PHYS);
        free(entry);
    }
}

static unsigned int test_patience(void)
{
    const char *text = getenv("TEST_PATIENCE");
    unsigned long patience = text == NULL ? 1 : strtoul(text, NULL, 10);
    return patience < 1 ? 1 : patience > 10 ? 10 : (unsigned int)patience;
}

static void test_on_alarm(int signal_number)
{
    static const char start[] = "[  FAILED  ] ";
    static const char end[] = " (over its time limit)\n";
    const char *name = test_name();
    (void)signal_number;
    if (write(STDOUT_FILENO, start, sizeof start - 1) < 0 ||
        write(STDOUT_FILENO, name, strlen(name)) < 0 ||
        write(STDOUT_FILENO, end, sizeof end - 1) < 0)
        _exit(STATUS_TIME_LIMIT);
    _exit(STATUS_TIME_LIMIT);
}

bool test_left_threads(void)
{
    return ended_early && threads_running() > threads_before;
}

/* cmocka prints a failure only behind the test's end, so this comes behind that. Nothing is freed:
 * the threads may use it. */
static void test_end_program_if_unsound(void)
{
    if (!test_left_threads())
        return;
    (void)printf(
        "the program ends here: %s failed or was skipped, and threads of it still run (%zu)\n",
        running->name, threads_running() - threads_before);
    (void)pthread_mutex_lock(&kept_lock);
    for (const struct test_kept *entry = kept; entry != NULL; entry = entry->next) {
        if (entry->is_directory)
            test_print_kept(entry);
    }
    (void)fflush(NULL);
    _exit(EXIT_FAILURE);
}

int test_run(const struct CMUnitTest *tests, size_t count)
{
    (void)setvbuf(stdout, NULL, _IOLBF, 0);
    owner = getpid();
    (void)atexit(test_remove_kept);
    struct sigaction action = {.sa_handler = test_on_alarm};
    (void)sigaction(SIGALRM, &action, NULL);
    int failed = _cmocka_run_group_tests("tests", tests, count, NULL, NULL);
    test_end_program_if_unsound();
    any_failed = failed != 0;
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

int test_begin(void **state)
{
    test_end_program_if_unsound();
    running = *state;
    running_directory = NULL;
    threads_before = threads_running();
    ended_early = false;
    was_skipped = false;
    (void)alarm(running->limit_seconds * LIMIT_FACTOR * test_patience());
    return 0;
}

/* A test that fails does not come back here. Threads that it left write to its stack, so what is
 * called next stays above that. */
void test_body(void **state)
{
    volatile char gap[STACK_GAP];
    gap[0] = 0;
    ended_early = true;
    running->function(state);
    ended_early = gap[0] != 0;
}

int test_end(void **state)
{
    (void)state;
    (void)alarm(0);
    return 0;
}

const char *test_name(void)
{
    return running == NULL ? "" : running->name;
}

void test_skip(const char *format, ...)
{
    char reason[512];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(reason, sizeof reason, format, args);
    va_end(args);
    (void)printf("skip: %s: %s\n", test_name(), reason);
    was_skipped = true;
    skip();
    abort();
}

bool test_was_skipped(void)
{
    return was_skipped;
}

void test_fail(const char *format, ...)
{
    char reason[16384];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(reason, sizeof reason, format, args);
    va_end(args);
    (void)fprintf(stderr, "%s\n", reason); /* print_error() prints at most 1,023 bytes */
    fail();
    abort();
}

const char *test_directory_shared(void)
{
    const char *base = getenv("TMPDIR");
    char path[PATH_MAX];
    (void)snprintf(path, sizeof path, "%s/keepstep-test-XXXXXX", base == NULL ? "/tmp" : base);
    if (mkdtemp(path) == NULL)
        test_fail("mkdtemp %s: %s", path, strerror(errno));
    return strcpy(test_keep(strlen(path), true), path);
}

const char *test_directory(void)
{
    if (running_directory == NULL)
        running_directory = test_directory_shared();
    return running_directory;
}

static const char *test_format_list(const char *before, const char *format, va_list args)
{
    va_list again;
    va_copy(again, args);
    int length = vsnprintf(NULL, 0, format, again);
    va_end(again);
    if (length < 0)
        abort();
    size_t start = strlen(before);
    char *text = test_keep(start + (size_t)length, false);
    memcpy(text, before, start);
    (void)vsnprintf(text + start, (size_t)length + 1, format, args);
    return text;
}

const char *test_format(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    const char *text = test_format_list("", format, args);
    va_end(args);
    return text;
}

const char *test_replace(const char *text, const char *word, const char *by)
{
    const char *at;
    while ((at = strstr(text, word)) != NULL)
        text = test_format("%.*s%s%s", (int)(at - text), text, by, at + strlen(word));
    return text;
}

const char *test_path(const char *format, ...)
{
    const char *directory = test_format("%s/", test_directory());
    va_list args;
    va_start(args, format);
    const char *path = test_format_list(directory, format, args);
    va_end(args);
    return path;
}

char *test_load_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        return NULL;
    struct stat status;
    if (fstat(fileno(file), &status) != 0)
        status.st_size = 0;
    char *text = malloc((size_t)status.st_size + 1);
    if (text == NULL)
        abort();
    size_t length = fread(text, 1, (size_t)status.st_size, file);
    text[length] = '\0';
    (void)fclose(file);
    return text;
}

const char *test_read_file(const char *path)
{
    char *text = test_load_file(path);
    if (text == NULL)
        return NULL;
    size_t length = strlen(text);
    char *kept_text = test_keep(length, false);
    memcpy(kept_text, text, length);
    free(text);
    return kept_text;
}

void test_write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "wb");
    if (file == NULL || fputs(text, file) < 0 || fclose(file) != 0)
        test_fail("write %s: %s", path, strerror(errno));
}

void test_assert_document(const char *name, const char *text)
{
    const char *path = test_format("%s/%s", KEEPSTEP_SOURCE_DIR, name);
    if (getenv("TEST_WRITE_DOCS") != NULL)
        test_write_file(path, text);
    const char *file = test_read_file(path);
    if (file == NULL || strcmp(file, text) != 0)
        test_fail("%s is out of date: run this test with TEST_WRITE_DOCS=1", name);
}

const char *test_protocol_example(void)
{
    const char *text = test_read_file(KEEPSTEP_SOURCE_DIR "/docs/PROTOCOL.md");
    const char *block = text == NULL ? NULL : strstr(text, "\n```c\n");
    if (block == NULL)
        test_fail("docs/PROTOCOL.md has no C program");
    block += strlen("\n```c\n");
    return test_format("%.*s", (int)(strstr(block, "\n```") + 1 - block), block);
}

bool test_wait(bool (*holds)(void *context), void *context, int64_t limit_ms)
{
    int64_t begun_us = clock_monotonic_us();
    int64_t limit_us = limit_ms * 1000 * (limit_ms < WAIT_PATIENT_MS ? 1 : test_patience());
    while (!holds(context)) {
        int64_t waited_us = clock_monotonic_us() - begun_us;
        if (waited_us > limit_us)
            return false;
        int64_t pause_us = waited_us / WAIT_PARTS;
        clock_sleep_us(pause_us < WAIT_LEAST_US  ? WAIT_LEAST_US
                       : pause_us < WAIT_MOST_US ? pause_us
                                                 : WAIT_MOST_US);
    }
    return true;
}
