/* What the metrics page says of the members of all types. */
#ifndef OPERATE_MEMBERS_PAGE_H
#define OPERATE_MEMBERS_PAGE_H

#include "common/buffer.h"
#include "operate/retention_watch.h"

#include <pthread.h>

/** The desk writes it and the metrics page copies it. Nobody waits while the lock is held. */
struct members_page {
    pthread_mutex_t lock;
    char *text; /* NULL: nothing is known yet */
};

#define MEMBERS_PAGE_INIT                                                                          \
    {                                                                                              \
        .lock = PTHREAD_MUTEX_INITIALIZER                                                          \
    }

/** Write the page anew, as that of a service. Where a majority has all that is in the log, its end
 * is asked for.
 * @thread the desk's. */
void members_page_write(struct members_page *page, const char *service,
                        const struct members_seen *seen);

/** Append what was written last. @thread any. */
void members_page_append(struct members_page *page, struct buffer *text);

/** Append the rows of these metrics to docs/METRICS.md. */
void members_page_describe(struct buffer *text);

#endif
