/* What the page shows of parked records, and does to them; and what services ask of joint
 * transactions. Only this needs the database, so it has a thread and a session of its own, and the
 * requests wait for it. */
#ifndef OPERATE_PAGE_ACTIONS_H
#define OPERATE_PAGE_ACTIONS_H

#include "operate/http.h"
#include "operate/page/fleet.h"
#include "operate/page/token.h"
#include "operate/service.h"

#define ACTIONS_MAX         8   /* requests that have no answer yet */
#define ACTIONS_WAITING_MAX 4   /* of these, that wait for the decision of a joint transaction */
#define ACTIONS_LIST        100 /* records of a list, unless the request says otherwise */
#define ACTIONS_LIST_MAX    500
#define ACTIONS_ANSWER_US                                                                          \
    (INT64_C(20) * 1000 * 1000) /* after that the answer is that there is none */

struct actions;

/** @param service  and `token` and `fleet`: borrowed. @return OK; RETRY (no memory). */
enum status actions_new(const struct service *service, struct page_token *token,
                        struct fleet *fleet, struct actions **ret_actions,
                        struct error *err) MUST_CHECK;

/** NULL is a no-op. No server may call a handler any more. */
void actions_free(struct actions *actions);

/** Handlers of routes that wait. @param context  struct actions. @thread the server's. */
void actions_list(void *context, struct http_request *request);
void actions_show(void *context, struct http_request *request);
void actions_retry(void *context, struct http_request *request);
void actions_skip(void *context, struct http_request *request);
void actions_joint_show(void *context, struct http_request *request);
void actions_joint_propose(void *context, struct http_request *request);

/** Do what is asked until `stop` is set; then all requests are answered. Before and behind it, the
 * handlers refuse. @thread one of its own. */
void actions_run(struct actions *actions, const atomic_bool *stop);

/** Answer the requests that have waited for ACTIONS_ANSWER_US, whatever the database does. @thread
 * any. */
void actions_expire(struct actions *actions);

#endif
