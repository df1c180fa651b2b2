/* Stamps of the stages that an event goes through, kept in memory and written at the end. */
#include "common/stages.h"

#ifdef KEEPSTEP_STAGES
#include "common/log.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STAMPS_MAX 1000000

struct stamp {
    char event_id[40];
    enum stage stage;
    int64_t at_us;
};

static const char *const stage_names[] = {
#define STAGE_NAME(constant, name) name,
    STAGE_LIST(STAGE_NAME)
#undef STAGE_NAME
};

static pthread_once_t stages_once = PTHREAD_ONCE_INIT;
static pthread_mutex_t stages_lock = PTHREAD_MUTEX_INITIALIZER;
static const char *stages_path;
static struct stamp *stamps; /* NULL: nothing is noted */
static size_t stamp_count;

static void stages_write(void)
{
    FILE *file = fopen(stages_path, "w");
    for (size_t i = 0; file != NULL && i < stamp_count; i++)
        (void)fprintf(file, "%s %s %" PRId64 "\n", stamps[i].event_id, stage_names[stamps[i].stage],
                      stamps[i].at_us);
    if (file == NULL || fclose(file) != 0)
        log_error("stages", "KEEPSTEP_STAGES_FILE=%s cannot be written: %s", stages_path,
                  strerror(errno));
    if (stamp_count == STAMPS_MAX)
        log_error("stages", "later stamps than the first %d are not in %s", STAMPS_MAX,
                  stages_path);
}

static void stages_start(void)
{
    stages_path = getenv("KEEPSTEP_STAGES_FILE");
    if (stages_path == NULL)
        return;
    stamps = calloc(STAMPS_MAX, sizeof *stamps);
    if (stamps == NULL || atexit(stages_write) != 0)
        log_error("stages", "no memory for stamps");
}

void stage_stamp(enum stage stage, struct slice event_id, int64_t at_us)
{
    (void)pthread_once(&stages_once, stages_start);
    if (stamps == NULL || event_id.length == 0)
        return;
    (void)pthread_mutex_lock(&stages_lock);
    if (stamp_count < STAMPS_MAX) {
        struct stamp *stamp = &stamps[stamp_count++];
        (void)snprintf(stamp->event_id, sizeof stamp->event_id, "%.*s", SLICE_ARGS(event_id));
        stamp->stage = stage;
        stamp->at_us = at_us;
    }
    (void)pthread_mutex_unlock(&stages_lock);
}
#endif
