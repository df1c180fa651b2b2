/* What an agent wishes of its process: that a service is asked for the rows of a topic. It cannot
 * ask itself, because who has them is known to the desk. */
#ifndef CONSUMER_AGENT_FILL_WISH_H
#define CONSUMER_AGENT_FILL_WISH_H

#include "consumer/store/store.h"
#include "schemas/fill_record.h"

#include <pthread.h>

#define FILL_WISH_NAME_SIZE 700 /* of a desk */

struct fill_wish {
    char topic[STORE_NAME_SIZE];
    char id[FILL_ID_SIZE];         /* of the attempt: the rows are to carry it */
    char source[FILL_SOURCE_SIZE]; /* the service to ask; "": whoever suits best */
    unsigned turn;                 /* how many were asked before, in vain: then the next one is */
};

/** The place where it is told and answered. One wish at a time. All functions are any thread's. */
struct fill_wishes {
    pthread_mutex_t lock;
    struct fill_wish wish; /* its id is "": none */
    bool is_taken;
    bool is_answered;
    char asked[FILL_WISH_NAME_SIZE]; /* "": nobody */
    char why[ERROR_TEXT_SIZE];       /* nobody: the reason */
};

#define FILL_WISHES_INIT                                                                           \
    {                                                                                              \
        .lock = PTHREAD_MUTEX_INITIALIZER                                                          \
    }

/** Tell a wish, in place of an older one. NULL: there is none any more. */
void fill_wishes_tell(struct fill_wishes *wishes, const struct fill_wish *wish);

/** @return whether there is a wish that nobody has taken; it is taken now. */
bool fill_wishes_take(struct fill_wishes *wishes, struct fill_wish *ret_wish);

/** Say who was asked, or why nobody was; unless the wish is another one by now. */
void fill_wishes_answer(struct fill_wishes *wishes, const struct fill_wish *wish, const char *asked,
                        const char *why);

/** @return whether the wish was answered; then who was asked, or "" and why not. */
bool fill_wishes_look(struct fill_wishes *wishes, char ret_asked[static FILL_WISH_NAME_SIZE],
                      char ret_why[static ERROR_TEXT_SIZE]);

#endif
