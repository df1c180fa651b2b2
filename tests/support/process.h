/* Programs that a test starts: output into files, limits on waiting, none left behind. */
#ifndef TESTS_SUPPORT_PROCESS_H
#define TESTS_SUPPORT_PROCESS_H

#include "tests/support/test.h"

struct process;

struct process_result {
    int exit_code;      /* 128 + signal where a signal ended it, 124 past the time limit */
    const char *output; /* its stdout; lives until the program ends */
    const char *errors; /* its stderr */
};

/** Start argv[0] (found on PATH) with `environment` ("NAME=value", …, NULL; may be NULL) added to
 * the own one. `name` names its output files in the directory of the test.
 * @return lives until the program ends; the test fails where it cannot start. */
struct process *process_start(const char *name, const char *const argv[],
                              const char *const environment[]);

/** Wait for its end. @return the exit code as in process_result, -1 past the limit (it still runs).
 */
int process_wait(struct process *process, int64_t limit_ms);

bool process_running(struct process *process);
int process_id(const struct process *process);
void process_signal(struct process *process, int signal_number);

/** Wait until a signal has made it stand still. @return false past the limit or where it ended. */
bool process_wait_stopped(struct process *process, int64_t limit_ms);

/** SIGKILL and wait. Nothing happens where it has ended already. */
void process_kill(struct process *process);

/** SIGTERM and wait; past the limit SIGKILL. @return the exit code. */
int process_stop(struct process *process, int64_t limit_ms);

/** Wait until its output or errors hold a match of an extended regular expression.
 * @return false past the limit or where it ended without a match. */
bool process_wait_for(struct process *process, const char *expression, int64_t limit_ms);

/** What it has written so far; lives until the program ends. */
const char *process_output(const struct process *process);
const char *process_errors(const struct process *process);

/** Start it, wait for its end, past the limit kill it. */
struct process_result process_run(const char *const argv[], const char *const environment[],
                                  int64_t limit_ms);

/** As process_run() with 30 seconds, the arguments one by one. */
#define PROCESS_RUN(...) process_run((const char *const[]){__VA_ARGS__, NULL}, NULL, 30000)

/** @return a TCP port of the loopback that nobody listened on a moment ago. */
int process_free_port(void);

#endif
