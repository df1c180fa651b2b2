/* Starts a program and measures the time until a number in a database reaches a target.
 *   stopwatch URL SQL TARGET LIMIT_SECONDS PROGRAM ARGUMENT...
 * It prints the seconds from the start until the number first changes, and until it reaches the
 * target. It prints the rate from the first tenth to the end, which leaves out the start and the
 * joining of a group. It prints the program's memory and CPU time too. The program's output goes to
 * stderr. SIGTERM ends the program. */
#include "bench.h"
#include "database.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define POLL_US      10000
#define POLL_FAST_US 1000 /* at first, when times are short */

static pid_t start(char **argv)
{
    pid_t process = fork();
    if (process < 0)
        bench_fail("fork: %s", strerror(errno));
    if (process == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        (void)dup2(STDERR_FILENO, STDOUT_FILENO);
        (void)execvp(argv[0], argv);
        _exit(127);
    }
    return process;
}

struct course {
    int64_t started;
    int64_t begun; /* the number at the start */
    int64_t first_at;
    int64_t tenth_at;
    int64_t tenth;
    int64_t ended;
    int64_t reached;
};

static void watch(struct course *course, struct database *database, pid_t process, char **argv)
{
    int64_t target = strtoll(argv[3], NULL, 10);
    int64_t deadline = course->started + strtoll(argv[4], NULL, 10) * 1000000;
    while (course->reached < target) {
        bench_sleep_us(course->first_at == 0 ? POLL_FAST_US : POLL_US);
        course->reached = database_number(database, argv[2]);
        course->ended = bench_now_us();
        if (course->first_at == 0 && course->reached > course->begun)
            course->first_at = course->ended;
        if (course->tenth_at == 0 && course->reached * 10 >= target) {
            course->tenth_at = course->ended;
            course->tenth = course->reached;
        }
        if (waitpid(process, NULL, WNOHANG) != 0)
            bench_fail("%s ended at %" PRId64 " of %" PRId64, argv[5], course->reached, target);
        if (course->ended > deadline) {
            (void)kill(process, SIGKILL);
            bench_fail("%s has done %" PRId64 " of %" PRId64 " in %s s", argv[5], course->reached,
                       target, argv[4]);
        }
    }
}

int main(int argc, char **argv)
{
    if (argc < 6)
        bench_fail("stopwatch URL SQL TARGET LIMIT_SECONDS PROGRAM ARGUMENT...");
    struct database *database = database_open(argv[1]);
    struct course course = {.begun = database_number(database, argv[2])};
    course.started = bench_now_us();
    pid_t process = start(argv + 5);
    watch(&course, database, process, argv);
    int64_t cpu = bench_cpu_us(process);
    int64_t peak = bench_memory_kib(process, "VmHWM");
    (void)kill(process, SIGTERM);
    (void)waitpid(process, NULL, 0);
    database_close(database);

    double seconds = (double)(course.ended - course.started) / 1e6;
    double rate = (double)course.reached / seconds;
    int64_t steady_us = course.ended - course.tenth_at;
    double steady = rate;
    if (steady_us > 0)
        steady = (double)(course.reached - course.tenth) * 1e6 / (double)steady_us;
    printf("{\"events\": %" PRId64 ", \"seconds\": %.3f, \"first_seconds\": %.3f, "
           "\"events_per_second_with_start\": %.0f, \"events_per_second\": %.0f, "
           "\"peak_kib\": %" PRId64 ", \"cpu_us\": %" PRId64 "}\n",
           course.reached, seconds, (double)(course.first_at - course.started) / 1e6, rate, steady,
           peak, cpu);
    return 0;
}
