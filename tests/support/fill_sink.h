/* A sink that keeps what the source of a fill hands over, for tests. */
#ifndef TESTS_SUPPORT_FILL_SINK_H
#define TESTS_SUPPORT_FILL_SINK_H

#include "operate/fill/source.h"
#include "tests/support/sidecar.h"

#define FILL_SINK_PARTITIONS 8

struct fill_kept {
    struct service service;
    struct buffer begin; /* as a record's value */
    struct buffer rows;  /* "KEY DIGEST\n" each, sorted when the end has come */
    struct buffer keys;  /* "SOURCE ID\n" each */
    struct fill_sums sums;
    int64_t stamp[FILL_SINK_PARTITIONS];
    int64_t filled_to[FILL_SINK_PARTITIONS];
    int32_t partition_count;
    int begins;
    int ends;
    int waits;                                                 /* how often the source waited */
    void (*at_wait)(void *context, const char *for_what);      /* NULL: nothing */
    void (*at_row)(void *context, const struct fill_row *row); /* NULL: nothing */
    void *context;                                             /* of both */
};

/** Read all of an entity type's topic from a service. Free with fill_kept_done(). */
enum status fill_kept_run(struct fill_kept *kept, const struct sidecar *source,
                          const char *entity_type, struct error *err);
void fill_kept_begin(struct fill_kept *kept);
void fill_kept_done(struct fill_kept *kept);

#endif
