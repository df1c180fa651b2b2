/* The desk's part of a fill: who asks gets the rows of a topic, written into its rows topic by a
 * thread of its own, because that may take hours. One fill at a time (rules 39, 40, 48). */
#ifndef OPERATE_FILL_SERVER_H
#define OPERATE_FILL_SERVER_H

#include "operate/service.h"
#include "schemas/talk.h"

struct fill_server;

/** @param service  outlives it. @return NULL: no memory. */
struct fill_server *fill_server_new(const struct service *service, const atomic_bool *stop);

/** Wait for the fill under way, whose attempt becomes void unless it is at its end. NULL is a
 * no-op. */
void fill_server_free(struct fill_server *server);

/** Take a question TALK_FILL. Nothing is answered in the talk topic: the stream itself, or a part
 * that says why there is none, is the answer. Nothing of the question is trusted: topic and types
 * are looked up in the service's own configuration.
 * @return OK; RETRY (no memory, no thread); REJECT (another fill is under way). */
enum status fill_server_take(struct fill_server *server, const struct talk_question *question,
                             struct error *err) MUST_CHECK;

#endif
