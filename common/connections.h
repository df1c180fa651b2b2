/* The sockets of all open database sessions. Another thread can cut them, and so end a wait for a
 * server that does not answer. */
#ifndef COMMON_CONNECTIONS_H
#define COMMON_CONNECTIONS_H

#include "common/status.h"

#include <stdbool.h>

/** Note a session that has just been opened. It is cut at once after connections_cut().
 * @param session    stands for it until connections_remove().
 * @param socket     stays the caller's.
 * @param answer_ms  how long a statement may be without an answer; -1: for ever, or as the
 *                   client library itself bounds it.
 * @return OK; RETRY. @thread any. */
enum status connections_add(const void *session, int socket, int answer_ms,
                            struct error *err) MUST_CHECK;

/** Forget a session before it is closed; no-op for an unknown one. @thread any. */
void connections_remove(const void *session);

/** @return the session's answer_ms; -1 where it is not known. @thread any. */
int connections_answer_ms(const void *session);

/** Cut one session, whose server has given no answer for answer_ms. @thread any. */
void connections_give_up(const void *session);

/** @return whether it was cut here, and not lost by itself. @thread any. */
bool connections_gave_up(const void *session);

/** Cut all sessions because the process ends: a caller that waits finds its session lost, as if the
 * server had ended it. No session can be opened from now on. @thread any. */
void connections_cut(void);

/** @return RETRY after connections_cut(): no session can be opened. @thread any. */
enum status connections_refuse(struct error *err) MUST_CHECK;

#endif
