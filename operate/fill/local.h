/* A fill within one process: a source's rows are pushed into a loader, attempt after attempt. */
#ifndef OPERATE_FILL_LOCAL_H
#define OPERATE_FILL_LOCAL_H

#include "consumer/fill/loader.h"
#include "operate/service.h"

struct fill_options {
    const struct service *source;
    const struct service *copy;
    const char *topic;
    bool again; /* clear what the copy has */
    /** Called often. @param waits_for  NULL: rows are moved. */
    void (*progress)(void *context, const struct fill_progress *progress, const char *waits_for);
    /** An attempt came to nothing; another one follows, unless it is the last one. */
    void (*voided)(void *context, int64_t voids, const char *reason);
    void *context;
};

struct fill_result {
    int64_t *stamp;     /* of each partition */
    int64_t *filled_to; /* likewise: from there on the copy is complete */
    int32_t partition_count;
    struct fill_progress progress;
    int64_t voids; /* attempts that came to nothing before */
};

/** Fill a topic's copy, whose agent is not running. Where it does not end with OK, what was loaded
 * stays, and the next run clears it first.
 * @return OK; RETRY (a database or the broker, or somebody has stopped it); STOP (the source cannot
 * be one); REJECT (three attempts were void, or the copy's database rejects a row); FATAL.
 * fill_result_done() is legal after either. */
enum status fill_run(const struct fill_options *options, struct fill_result *ret_result,
                     struct error *err) MUST_CHECK;
void fill_result_done(struct fill_result *result);

#endif
