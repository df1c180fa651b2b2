/* Reads what the kernel says of this process, in /proc/self. */
#include "operate/process_numbers.h"

#include "common/clock.h"

#include <dirent.h>
#include <inttypes.h>
#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define STAT_SIZE        1024
#define STAT_START_FIELD 22 /* of /proc/self/stat, from 1 on */

static double process_cpu_s(void)
{
    struct rusage used;
    if (getrusage(RUSAGE_SELF, &used) != 0)
        return NAN;
    return (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
           (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
}

static void process_read_memory(struct process_numbers *numbers)
{
    uint64_t all = 0;
    uint64_t resident = 0;
    double page = (double)sysconf(_SC_PAGESIZE);
    FILE *file = fopen("/proc/self/statm", "re");
    if (file != NULL && fscanf(file, "%" SCNu64 " %" SCNu64, &all, &resident) == 2) {
        numbers->virtual_bytes = (double)all * page;
        numbers->resident_bytes = (double)resident * page;
    }
    if (file != NULL)
        (void)fclose(file);
}

static void process_read_files(struct process_numbers *numbers)
{
    struct rlimit limit;
    double count = 0;
    DIR *files = opendir("/proc/self/fd");
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY)
        numbers->max_files = (double)limit.rlim_cur;
    if (files == NULL)
        return;
    while (readdir(files) != NULL)
        count++;
    (void)closedir(files);
    numbers->open_files = count - 3; /* ".", ".." and the one that listed them */
}

/* @return clock ticks from the machine's start to the process'; -1: not known. */
static int64_t process_start_ticks(void)
{
    char stat[STAT_SIZE];
    FILE *file = fopen("/proc/self/stat", "re");
    size_t length = file == NULL ? 0 : fread(stat, 1, sizeof stat - 1, file);
    if (file != NULL)
        (void)fclose(file);
    stat[length] = '\0';
    const char *at = strrchr(stat, ')'); /* the end of field 2, a name that may hold anything */
    for (int field = 2; at != NULL && field < STAT_START_FIELD; field++)
        at = strchr(at + 1, ' ');
    int64_t ticks = -1;
    return at != NULL && sscanf(at, " %" SCNd64, &ticks) == 1 ? ticks : -1;
}

/* It is computed once: a clock that is set must not look like a restart. */
static double process_started_s(void)
{
    static atomic_llong started_us;
    struct timespec up;
    long long known_us = atomic_load(&started_us);
    int64_t ticks = known_us == 0 ? process_start_ticks() : -1;
    if (known_us == 0 && ticks >= 0 && clock_gettime(CLOCK_BOOTTIME, &up) == 0) {
        int64_t up_us = (int64_t)up.tv_sec * 1000000 + up.tv_nsec / 1000;
        known_us = clock_wall_us() - up_us + ticks * 1000000 / sysconf(_SC_CLK_TCK);
        atomic_store(&started_us, known_us);
    }
    return known_us == 0 ? NAN : (double)known_us / 1e6;
}

struct process_numbers process_numbers_read(void)
{
    struct process_numbers numbers = {.cpu_s = process_cpu_s(),
                                      .resident_bytes = NAN,
                                      .virtual_bytes = NAN,
                                      .started_s = process_started_s(),
                                      .open_files = NAN,
                                      .max_files = NAN};
    process_read_memory(&numbers);
    process_read_files(&numbers);
    return numbers;
}
