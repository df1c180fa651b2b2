/* All services and copies, as the control topic has them: the desk writes them, the page shows
 * them. */
#ifndef OPERATE_PAGE_FLEET_H
#define OPERATE_PAGE_FLEET_H

#include "common/buffer.h"
#include "consumer/store/store.h"
#include "operate/members.h"
#include "operate/page/verdict.h"
#include "operate/refusal.h"
#include "operate/retention_watch.h"

#include <pthread.h>

struct fleet_view;

/** Nobody waits for a broker while the lock is held. */
struct fleet {
    pthread_mutex_t lock;
    struct fleet_view *view; /* NULL: nothing was read yet */
    int64_t read_us;         /* monotonic, when the control topic was last read; 0: never */
};

#define FLEET_INIT                                                                                 \
    {                                                                                              \
        .lock = PTHREAD_MUTEX_INITIALIZER                                                          \
    }

/** Take what the control topic says, and ask where the logs end. Without memory the page keeps what
 * it had. @thread the desk's. */
void fleet_write(struct fleet *fleet, const struct members_seen *seen);

/** Append the JSON of GET /api/fleet. @thread any. */
void fleet_append(struct fleet *fleet, struct buffer *out);

/** Find out what other copies have done with a record that is parked at a copy of a service.
 * @return false where that is not known. @thread any. */
bool fleet_refusal(struct fleet *fleet, const struct parked_record *parked, const char *service,
                   const char *copy, struct refusal *ret_refusal);

#define FLEET_NAME_SIZE 256

/** Say what is known of the types that a service publishes or applies. The texts of `ret_facts` are
 * written to `type` and `service`. @thread any. */
void fleet_facts(struct fleet *fleet, const struct config *config,
                 struct page_fleet_facts *ret_facts, char type[static FLEET_NAME_SIZE],
                 char service[static FLEET_NAME_SIZE]);

#endif
