/* Watches a program that works, until a number in a database reaches a target, or stands still, or
 * the program ends, or SIGTERM comes.
 *   watch URL SQL TARGET STILL_SECONDS PROCESS [WARM]
 * It prints how far the number came, the seconds until it first changed and until it was last
 * changed, and the memory of the process. The rate and the process's own CPU time for each event
 * are those from the number WARM (the start) on. */
#include "../bench.h"
#include "../database.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define POLL_US 5000

/* What was true at one moment. */
struct moment {
    int64_t at_us;
    int64_t number;
    int64_t cpu_us;
};

struct watch {
    struct database *database;
    const char *sql;
    pid_t process;
    struct moment start;
    struct moment first; /* it had changed */
    struct moment warm;
    struct moment last; /* it had changed for the last time */
    int64_t memory_kib;
    int64_t peak_kib;
};

/* @return 0 once the process is gone. */
static int64_t cpu_us(pid_t process)
{
    clockid_t clock = 0;
    struct timespec time = {0};
    if (clock_getcpuclockid(process, &clock) != 0 || clock_gettime(clock, &time) != 0)
        return 0;
    return (int64_t)time.tv_sec * 1000000 + time.tv_nsec / 1000;
}

static struct moment look(const struct watch *watch)
{
    struct moment moment = {.number = database_number(watch->database, watch->sql)};
    moment.at_us = bench_now_us();
    moment.cpu_us = cpu_us(watch->process);
    return moment;
}

static volatile sig_atomic_t stopped;

static void stop(int signal)
{
    (void)signal;
    stopped = 1;
}

static bool is_gone(pid_t process)
{
    return kill(process, 0) != 0 && errno == ESRCH;
}

static void run(struct watch *watch, int64_t target, int64_t still_us, int64_t warm)
{
    watch->start = look(watch);
    watch->first = watch->warm = watch->last = watch->start;
    while (watch->last.number < target && stopped == 0 && !is_gone(watch->process)) {
        bench_sleep_us(POLL_US);
        struct moment now = look(watch);
        if (now.at_us - watch->last.at_us > still_us)
            break;
        if (now.number == watch->last.number)
            continue;
        if (watch->first.at_us == watch->start.at_us)
            watch->first = now;
        if (watch->warm.number < warm)
            watch->warm = now;
        watch->last = now;
    }
    watch->memory_kib = bench_memory_kib(watch->process, "VmRSS");
    watch->peak_kib = bench_memory_kib(watch->process, "VmHWM");
}

static double seconds_until(const struct watch *watch, const struct moment *moment)
{
    return (double)(moment->at_us - watch->start.at_us) / 1e6;
}

int main(int argc, char **argv)
{
    if (argc < 6)
        bench_fail("watch URL SQL TARGET STILL_SECONDS PROCESS [WARM]");
    struct watch watch = {.database = database_open(argv[1]),
                          .sql = argv[2],
                          .process = (pid_t)strtol(argv[5], NULL, 10)};
    (void)signal(SIGTERM, stop);
    run(&watch, strtoll(argv[3], NULL, 10), strtoll(argv[4], NULL, 10) * 1000000,
        argc > 6 ? strtoll(argv[6], NULL, 10) : 0);
    database_close(watch.database);

    int64_t events = watch.last.number - watch.warm.number;
    int64_t took_us = watch.last.at_us - watch.warm.at_us;
    double rate = took_us > 0 ? (double)events * 1e6 / (double)took_us : 0;
    double cpu = events > 0 ? (double)(watch.last.cpu_us - watch.warm.cpu_us) / (double)events : 0;
    printf("{\"reached\": %" PRId64 ", \"first_seconds\": %.3f, \"seconds\": %.3f, "
           "\"events_per_second\": %.0f, \"cpu_us_per_event\": %.1f, \"memory_kib\": %" PRId64
           ", \"peak_kib\": %" PRId64 "}\n",
           watch.last.number, seconds_until(&watch, &watch.first),
           seconds_until(&watch, &watch.last), rate, cpu, watch.memory_kib, watch.peak_kib);
    return 0;
}
