/* The source of a fill: reads all asked types of one topic at one stamp, in one snapshot, from a
 * complete copy or from the publisher, and pushes the stream into a sink (rules 32, 39, 40). */
#ifndef OPERATE_FILL_SOURCE_H
#define OPERATE_FILL_SOURCE_H

#include "operate/service.h"
#include "schemas/fill_record.h"

/** Where a stream goes. A function that does not return OK ends it; its status is returned by
 * fill_source_run(). What it is given is borrowed until it returns. A sink may block: the snapshot
 * stays open meanwhile. */
struct fill_sink {
    enum status (*begin)(void *context, const struct fill_begin *begin, struct error *err);
    enum status (*row)(void *context, const struct fill_row *row, struct error *err);
    enum status (*key)(void *context, const struct fill_key *key, struct error *err);
    enum status (*end)(void *context, const struct fill_end *end, struct error *err);
    /** Called at least once a second while nothing else is pushed. NULL: nothing.
     * @return OK; RETRY (stop: somebody asked for it). */
    enum status (*wait)(void *context, const char *for_what, struct error *err);
    void *context;
};

/** All outlives the run. */
struct fill_source_options {
    const struct service *service; /* the source */
    const char *id;                /* of the attempt, a UUID */
    const char *topic;
    const struct entity_schema *const *types; /* all of the topic that the asker applies, as it has
                                                 them; rows have the columns of these */
    size_t type_count;
};

/** Push a whole stream: begin, rows, keys, end. It ends only when every change that the snapshot
 * saw is acknowledged, and hands over the logs' ends as they were read after that. For these it
 * waits a minute where the database or the broker does not answer.
 * @return OK; STOP (before begin: it cannot be a source, `err` says why, and another one may);
 * ABORT (after begin: the attempt is void, `err` says why; another attempt may succeed); RETRY
 * (database or broker cannot be reached, or the snapshot was given up: another attempt); FATAL;
 * what the sink returned. */
enum status fill_source_run(const struct fill_source_options *options, const struct fill_sink *sink,
                            struct error *err) MUST_CHECK;

#endif
