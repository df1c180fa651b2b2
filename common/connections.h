/* The sockets of all open database sessions, so that what waits for a server that answers nothing
 * can be ended from another thread. */
#ifndef COMMON_CONNECTIONS_H
#define COMMON_CONNECTIONS_H

#include "common/status.h"

#include <stdbool.h>

/** Note a session that has just been opened; it is cut at once where all have been.
 * @param session    stands for it until connections_remove().
 * @param socket     stays the caller's.
 * @param answer_ms  how long a statement may be without an answer; -1: for ever, or as the
 *                   client library itself bounds it.
 * @return OK; RETRY. @thread any. */
enum status connections_add(const void *session, int socket, int answer_ms,
                            struct error *err) MUST_CHECK;

/** Forget a session, before it is closed; one that is not known is a no-op. @thread any. */
void connections_remove(const void *session);

/** @return the session's answer_ms; -1 where it is not known. @thread any. */
int connections_answer_ms(const void *session);

/** Cut one session, whose server has given no answer for answer_ms. @thread any. */
void connections_give_up(const void *session);

/** @return whether it was cut here, and not lost by itself. @thread any. */
bool connections_gave_up(const void *session);

/** Cut all sessions, for the process is to end: whoever waits for one finds it lost, as if the
 * server had ended it, and none can be opened any more. @thread any. */
void connections_cut(void);

/** @return RETRY once all were cut, before one is opened in vain. @thread any. */
enum status connections_refuse(struct error *err) MUST_CHECK;

#endif
