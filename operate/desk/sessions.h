/* All sessions of a process, within their limits: how many there are, how long each lasts, and one
 * table that is read at a time. One thread calls everything. */
#ifndef OPERATE_DESK_SESSIONS_H
#define OPERATE_DESK_SESSIONS_H

#include "operate/desk/metrics.h"
#include "operate/desk/session.h"

struct sessions;

/** Borrowed; it outlives them. */
struct sessions_options {
    struct session_desk desk; /* its tick stays NULL: it is the sessions' own */
    /** Hand over by sessions_take() what was asked while rows are read. */
    void (*hear)(void *context);
    /** Hand the rows of a topic to another copy. NULL: it fills none.
     * @return OK; anything else: the text says why not. */
    enum status (*fill)(void *context, const struct talk_question *question, struct error *err);
    struct desk_metrics *metrics;
    int64_t idle_s;               /* after which a session ends that nobody asks */
    atomic_ullong *report_wishes; /* raised where a report is asked for */
    const atomic_bool *stop;      /* ends the reading of rows */
};

/** @return NULL: no memory. */
struct sessions *sessions_new(const struct sessions_options *options);

/** End all snapshots. NULL is a no-op. */
void sessions_free(struct sessions *sessions);

/** Take a record of the talk topic, if it is a question to this desk. What takes no time is
 * answered at once, the rest by sessions_answer(). What cannot be read is passed over.
 * @return OK; what desk.write() returned. */
enum status sessions_take(struct sessions *sessions, struct slice value,
                          struct error *err) MUST_CHECK;

/** @return whether a question waits for sessions_answer(). */
bool sessions_wait(const struct sessions *sessions);

/** Answer the question that has waited longest, if there is one.
 * @return OK; what desk.write() returned. */
enum status sessions_answer(struct sessions *sessions, struct error *err) MUST_CHECK;

/** Keep the snapshots that are still wanted, and end the others. Call it often: it does something
 * once a second. */
void sessions_tend(struct sessions *sessions);

#endif
