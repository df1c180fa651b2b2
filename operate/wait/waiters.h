/* GET /wait: HTTP requests that wait until a token's events have arrived (rules 46 and 47). They
 * share one session with the database and one reader of the control topic. */
#ifndef OPERATE_WAIT_WAITERS_H
#define OPERATE_WAIT_WAITERS_H

#include "operate/http.h"
#include "operate/wait/wait.h"

#define WAITERS_MAX        16
#define WAITERS_TIMEOUT_MS 5000
#define WAITERS_LIMIT_MS   60000

/** As wait_look(). */
typedef enum status waiters_look(struct wait_view *view, struct wait_goal *goal,
                                 struct wait_state *ret_state, struct error *err);

struct waiters;

/** @param service  borrowed. @param look  wait_look(), but for tests.
 * @return OK; RETRY (no memory). */
enum status waiters_new(const struct service *service, waiters_look *look,
                        struct waiters **ret_waiters, struct error *err) MUST_CHECK;

/** NULL is a no-op. No server may call waiters_page() any more. */
void waiters_free(struct waiters *waiters);

/** Answer a request, at once or later. @param context  struct waiters. @thread the server's. */
void waiters_page(void *context, struct http_request *request);

/** Answer requests until `stop` is set; then all of them are answered. Before and behind it,
 * waiters_page() refuses. @thread one of its own. */
void waiters_run(struct waiters *waiters, const atomic_bool *stop);

#endif
