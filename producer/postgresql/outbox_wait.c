/* Waiting for a commit. While rows come the relay polls; only a relay that sleeps is notified,
 * because a NOTIFY makes every commit of the server queue behind it. */
#include "common/clock.h"
#include "producer/postgresql/outbox_internal.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

#define AWAKE_US           (20 * 1000) /* since rows were found; then it sleeps */
#define POLL_EVERY_US      (2 * 1000)
#define POLL_ASLEEP_MAX_US (1000 * 1000)
#define PAUSE_MAX_US       (250 * 1000)

/* Advisory locks and notices are everybody's. Each time that something wakes the relay, or does not
 * let it sleep, it waits longer before it sleeps again, until rows are found. */
static void outbox_postgresql_back_off(struct outbox_postgresql *self)
{
    int64_t pause = self->pause_us == 0 ? POLL_EVERY_US : 2 * self->pause_us;
    self->pause_us = pause > PAUSE_MAX_US ? PAUSE_MAX_US : pause;
    self->resume_at_us = clock_monotonic_us() + self->pause_us;
}

/* Take the lock that makes commits notify. What was committed before is found by one more poll. */
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
    sql_column_copy(session, 1, self->slept_xmax, sizeof self->slept_xmax);
    session->ops->finish(session);
    if (!self->asleep)
        outbox_postgresql_back_off(self);
    return STATUS_OK;
}

static enum status outbox_postgresql_wake(struct outbox_postgresql *self, struct error *err)
{
    self->asleep = false;
    self->polled_at_us = clock_monotonic_us();
    if (self->pause_us == 0)
        self->found_at_us = self->polled_at_us; /* more may follow */
    outbox_postgresql_back_off(self);
    return sql_run(&self->session.base, STATEMENT_AWAKE, NULL, 0, err);
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

static enum status outbox_postgresql_block(struct outbox_postgresql *self, int64_t wait_us,
                                           struct error *err)
{
    struct pollfd socket = {.fd = PQsocket(self->session.connection), .events = POLLIN};
    struct timespec limit = {.tv_sec = wait_us / 1000000, .tv_nsec = wait_us % 1000000 * 1000};
    if (ppoll(&socket, 1, &limit, NULL) < 0 && errno != EINTR)
        return error_set(err, STATUS_RETRY, "waiting for the outbox: %s", strerror(errno));
    return STATUS_OK;
}

/* When to poll next while asleep: less and less often, until the transactions from before it slept
 * have ended. */
static int64_t outbox_postgresql_poll_at_us(const struct outbox_postgresql *self)
{
    int64_t pause = (self->polled_at_us - self->slept_at_us) / 4;
    if (self->older_ended)
        return INT64_MAX;
    if (pause < POLL_EVERY_US)
        pause = POLL_EVERY_US;
    return self->polled_at_us + (pause > POLL_ASLEEP_MAX_US ? POLL_ASLEEP_MAX_US : pause);
}

/* A transaction from before it slept gives no notice, so its rows are looked for by polling. */
static enum status outbox_postgresql_poll_older(struct outbox_postgresql *self, bool *ret_changed,
                                                struct error *err)
{
    struct sql_session *session = &self->session.base;
    const struct sql_parameter before = sql_string(self->slept_xmax);
    enum status status = sql_first(session, STATEMENT_OLDER_ENDED, &before, 1, err);
    if (session->has_row)
        self->older_ended = sql_column_bool(session, 0);
    session->ops->finish(session);
    self->polled_at_us = clock_monotonic_us();
    *ret_changed = true;
    return status;
}

static enum status outbox_postgresql_wait_asleep(struct outbox_postgresql *self, int64_t until,
                                                 bool *ret_changed, struct error *err)
{
    for (;;) {
        enum status status = outbox_postgresql_notified(self, ret_changed, err);
        if (status != STATUS_OK)
            return status;
        if (*ret_changed)
            return outbox_postgresql_wake(self, err);
        int64_t now = clock_monotonic_us();
        int64_t poll_at = outbox_postgresql_poll_at_us(self);
        if (now >= poll_at)
            return outbox_postgresql_poll_older(self, ret_changed, err);
        if (now >= until)
            return STATUS_OK;
        status = outbox_postgresql_block(self, (poll_at < until ? poll_at : until) - now, err);
        if (status != STATUS_OK)
            return status;
    }
}

enum status outbox_postgresql_wait(struct outbox *outbox, int64_t timeout_us, bool *ret_changed,
                                   struct error *err)
{
    struct outbox_postgresql *self = (struct outbox_postgresql *)outbox;
    int64_t start = clock_monotonic_us();
    *ret_changed = false;
    enum status status = self->session.base.ops->ready(&self->session.base, err);
    if (status != STATUS_OK)
        return status;
    if (self->asleep && self->slept_session == outbox->session)
        return outbox_postgresql_wait_asleep(self, start + timeout_us, ret_changed, err);
    if (timeout_us > 0 && start - self->found_at_us >= AWAKE_US) {
        int64_t pause = self->resume_at_us - start;
        if (pause > 0)
            clock_sleep_us(pause < timeout_us ? pause : timeout_us);
        *ret_changed = pause <= timeout_us;
        return *ret_changed ? outbox_postgresql_sleep(self, err) : STATUS_OK;
    }
    int64_t next = self->polled_at_us + POLL_EVERY_US;
    if (start < next && timeout_us > 0)
        clock_sleep_us(next - start < timeout_us ? next - start : timeout_us);
    *ret_changed = clock_monotonic_us() >= next;
    if (*ret_changed)
        self->polled_at_us = clock_monotonic_us();
    return STATUS_OK;
}
