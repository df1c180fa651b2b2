/* Waiting for a commit. A relay that finds rows polls, by loading again; only one that sleeps is
 * notified, because a NOTIFY makes every commit of the server queue behind it. */
#include "common/clock.h"
#include "common/wakeup.h"
#include "producer/postgresql/outbox_internal.h"

#include <string.h>

#define PAUSE_MIN_US      (2 * 1000)
#define PAUSE_MAX_US      (250 * 1000)
#define POLL_OLDER_MIN_US (2 * 1000)
#define POLL_OLDER_MAX_US (1000 * 1000)

/* Advisory locks and notices are everybody's. Each time that something wakes the relay, or does not
 * let it sleep, it waits longer before it sleeps again, until rows are found. */
static void outbox_postgresql_back_off(struct outbox_postgresql *self)
{
    int64_t pause = self->pause_us == 0 ? PAUSE_MIN_US : 2 * self->pause_us;
    self->pause_us = pause > PAUSE_MAX_US ? PAUSE_MAX_US : pause;
    self->resume_at_us = clock_monotonic_us() + self->pause_us;
}

/* Take the lock that makes commits notify. What was committed before is found by one more load. */
static enum status outbox_postgresql_sleep(struct outbox_postgresql *self, struct error *err)
{
    struct sql_session *session = &self->session.base;
    enum status status = sql_first(session, STATEMENT_SLEEP, NULL, 0, err);
    if (!session->has_row)
        return status;
    self->asleep = sql_column_bool(session, 0); /* not while a commit tests it: next time */
    self->slept_session = self->shared.base.session;
    self->older_ended = false;
    self->slept_at_us = clock_monotonic_us();
    self->polled_at_us = self->slept_at_us;
    sql_column_copy(session, 1, self->slept_xid, sizeof self->slept_xid);
    session->ops->finish(session);
    if (!self->asleep)
        outbox_postgresql_back_off(self);
    return STATUS_OK;
}

static bool outbox_postgresql_is_asleep(const struct outbox_postgresql *self)
{
    return self->asleep && self->slept_session == self->shared.base.session;
}

static enum status outbox_postgresql_wake(struct outbox_postgresql *self, struct error *err)
{
    self->asleep = false;
    return sql_run(&self->session.base, STATEMENT_AWAKE, NULL, 0, err);
}

enum status outbox_postgresql_found(struct outbox_postgresql *self, struct error *err)
{
    bool asleep = outbox_postgresql_is_asleep(self);
    self->pause_us = 0;
    self->resume_at_us = 0;
    return asleep ? outbox_postgresql_wake(self, err) : STATUS_OK;
}

/* Reads what has arrived; tells whether a notice was among it. */
static enum status outbox_postgresql_notified(struct outbox_postgresql *self, bool *ret_notified,
                                              struct error *err)
{
    PGconn *connection = self->session.connection;
    PGnotify *notice;
    if (PQconsumeInput(connection) != 1)
        return sql_postgresql_judge(&self->session,
                                    postgresql_session_error(connection, NULL, "outbox", err), err);
    while ((notice = PQnotifies(connection)) != NULL) {
        PQfreemem(notice);
        *ret_notified = true;
    }
    return STATUS_OK;
}

/* When to poll next while asleep: less and less often, until the transactions from before it slept
 * have ended. */
static int64_t outbox_postgresql_poll_at_us(const struct outbox_postgresql *self)
{
    int64_t pause = (self->polled_at_us - self->slept_at_us) / 4;
    if (self->older_ended)
        return INT64_MAX;
    if (pause < POLL_OLDER_MIN_US)
        pause = POLL_OLDER_MIN_US;
    return self->polled_at_us + (pause > POLL_OLDER_MAX_US ? POLL_OLDER_MAX_US : pause);
}

/* A transaction from before it slept gives no notice, so its rows are looked for by polling. */
static enum status outbox_postgresql_poll_older(struct outbox_postgresql *self, bool *ret_changed,
                                                struct error *err)
{
    struct sql_session *session = &self->session.base;
    const struct sql_parameter before = sql_string(self->slept_xid);
    enum status status = sql_first(session, STATEMENT_OLDER_ENDED, &before, 1, err);
    if (session->has_row)
        self->older_ended = sql_column_bool(session, 0);
    session->ops->finish(session);
    self->polled_at_us = clock_monotonic_us();
    *ret_changed = true;
    return status;
}

static enum status outbox_postgresql_wait_asleep(struct outbox_postgresql *self,
                                                 const struct outbox_wait *wait, bool *ret_changed,
                                                 struct error *err)
{
    int64_t until = clock_monotonic_us() + wait->timeout_us;
    for (bool ended = false;;) {
        enum status status = outbox_postgresql_notified(self, ret_changed, err);
        if (status != STATUS_OK)
            return status;
        if (*ret_changed) {
            outbox_postgresql_back_off(self);
            return outbox_postgresql_wake(self, err);
        }
        int64_t now = clock_monotonic_us();
        int64_t poll_at = outbox_postgresql_poll_at_us(self);
        if (now >= poll_at)
            return outbox_postgresql_poll_older(self, ret_changed, err);
        if (ended || now >= until)
            return STATUS_OK;
        ended = wakeup_wait(wait->descriptor, PQsocket(self->session.connection),
                            (poll_at < until ? poll_at : until) - now);
    }
}

enum status outbox_postgresql_wait(struct outbox *outbox, const struct outbox_wait *wait,
                                   bool *ret_changed, struct error *err)
{
    struct outbox_postgresql *self = (struct outbox_postgresql *)outbox;
    *ret_changed = false;
    enum status status = self->session.base.ops->ready(&self->session.base, err);
    if (status != STATUS_OK)
        return status;
    if (outbox_postgresql_is_asleep(self))
        return outbox_postgresql_wait_asleep(self, wait, ret_changed, err);
    int64_t pause = self->resume_at_us - clock_monotonic_us();
    if (pause > wait->timeout_us) {
        (void)wakeup_wait(wait->descriptor, -1, wait->timeout_us);
        return STATUS_OK;
    }
    if (pause > 0 && wakeup_wait(wait->descriptor, -1, pause))
        return STATUS_OK;
    *ret_changed = true;
    return outbox_postgresql_sleep(self, err);
}
