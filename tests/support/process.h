/* Programs that a test starts: their output goes into files, each wait has a limit, none outlives
 * the test program. */
#ifndef TESTS_SUPPORT_PROCESS_H
#define TESTS_SUPPORT_PROCESS_H

#include "tests/support/test.h"

struct process;

struct process_result {
    int exit_code;      /* 128 + signal if a signal ended it, 124 after the time limit */
    const char *output; /* its stdout, valid until the program ends */
    const char *errors; /* its stderr */
};

/** Start argv[0], found on PATH, with `environment` ("NAME=value", …, NULL; may be NULL) added to
 * our own. `name` names its output files in the test's directory. The test fails if it cannot
 * start. @return valid until the program ends. */
struct process *process_start(const char *name, const char *const argv[],
                              const char *const environment[]);

/** Wait for its end. @return the exit code as in process_result, -1 after the limit: then it still
 * runs. */
int process_wait(struct process *process, int64_t limit_ms);

bool process_running(struct process *process);
int process_id(const struct process *process);
void process_signal(struct process *process, int signal_number);

/** Wait until a signal has stopped it. @return false after the limit, or if it ended. */
bool process_wait_stopped(struct process *process, int64_t limit_ms);

/** Wait until a signal would not kill it any more: it has a handler by then, or has ended. @return
 * false after the limit. */
bool process_wait_catches(struct process *process, int signal_number, int64_t limit_ms);

/** @return a number of KiB of /proc/PID/status: "VmRSS", "VmHWM". The process must run. */
int64_t process_memory_kib(const struct process *process, const char *what);

/** SIGKILL, and wait. Does nothing if it has ended. */
void process_kill(struct process *process);

/** SIGTERM, and wait; SIGKILL after the limit. @return the exit code. */
int process_stop(struct process *process, int64_t limit_ms);

/** Wait until its output or errors match an extended regular expression. @return false after the
 * limit, or if it ended without a match. */
bool process_wait_for(struct process *process, const char *expression, int64_t limit_ms);

/** @return what it has written so far, valid until the program ends. */
const char *process_output(const struct process *process);
const char *process_errors(const struct process *process);

/** Start it and wait for its end. Kill it after the limit. */
struct process_result process_run(const char *const argv[], const char *const environment[],
                                  int64_t limit_ms);

/** The same, but what it takes does not count as the test's time: for downloads. */
struct process_result process_run_untimed(const char *const argv[], int64_t limit_ms);

/** Run a program that downloads `what`. Skips the test, with the program's reason, if it exits with
 * 69 (EX_UNAVAILABLE). The test fails at any other error. */
struct process_result process_download(const char *what, const char *const argv[],
                                       int64_t limit_ms);

/** process_run() with a limit of 30 seconds and the arguments one by one. */
#define PROCESS_RUN(...) process_run((const char *const[]){__VA_ARGS__, NULL}, NULL, 30000)

/** @return a TCP port on loopback that nobody listened on a moment ago. No test program gets it
 * once more before this one ends. */
int process_free_port(void);

#endif
