/* The sockets of all open database sessions. Another thread can cut them. That ends a wait for a
 * server that does not answer. */
#ifndef COMMON_CONNECTIONS_H
#define COMMON_CONNECTIONS_H

#include "common/status.h"

#include <stdbool.h>

/** Note a session that has just been opened. After connections_cut() it is cut at once.
 * @param session    identifies it until connections_remove().
 * @param socket     stays the caller's.
 * @param answer_ms  how long a statement may wait for an answer; -1: for ever, or as long as the
 * client library allows.
 * @return OK; RETRY. @thread any. */
enum status connections_add(const void *session, int socket, int answer_ms,
                            struct error *err) MUST_CHECK;

/** Forget a session before it is closed. An unknown session is a no-op. @thread any. */
void connections_remove(const void *session);

/** @return the session's answer_ms; -1 where the session is unknown. @thread any. */
int connections_answer_ms(const void *session);

/** Cut one session because its server has not answered for answer_ms. @thread any. */
void connections_give_up(const void *session);

/** @return whether the session was cut by this file, and not lost by itself. @thread any. */
bool connections_gave_up(const void *session);

/** Cut all sessions because the process ends. A caller that waits finds its session lost, as if the
 * server had ended it. From now on no session can be opened. @thread any. */
void connections_cut(void);

/** @return RETRY after connections_cut(): no session can be opened. @thread any. */
enum status connections_refuse(struct error *err) MUST_CHECK;

#endif
