/* Waiting for a commit: while rows come the relay looks by itself, and only a relay that sleeps is
 * notified, because a NOTIFY makes every commit of the server queue behind it. */
#include "producer/postgresql/outbox_internal.h"
#include "common/clock.h"
#include "producer_postgresql_sql.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>

#define AWAKE_US         (20 * 1000) /* since rows were found; then it sleeps */
#define LOOK_EVERY_US    (2 * 1000)
#define UNSETTLED_MAX_US (1000 * 1000)
#define PAUSE_MAX_US     (250 * 1000)

/* Advisory locks and notices are everybody's: what wakes it, or does not let it sleep, is waited
 * for ever longer until rows are found again. */
static void outbox_postgresql_back_off(struct outbox_postgresql *self)
{
    int64_t pause = self->pause_us == 0 ? LOOK_EVERY_US : 2 * self->pause_us;
    self->pause_us = pause > PAUSE_MAX_US ? PAUSE_MAX_US : pause;
    self->resume_at_us = clock_monotonic_us() + self->pause_us;
}

/* Take the lock that makes commits notify; what was committed before is seen by one more look. */
static enum status outbox_postgresql_sleep(struct outbox_postgresql *self, struct error *err)
{
    PGresult *result = NULL;
    enum status status = outbox_postgresql_query(self, SQL_SLEEP, NULL, 0, &result, err);
    if (status != STATUS_OK)
        return status;
    self->asleep = PQgetvalue(result, 0, 0)[0] == 't'; /* not while a commit tests it: next time */
    self->settled = false;
    self->slept_at_us = clock_monotonic_us();
    self->looked_at_us = self->slept_at_us;
    (void)snprintf(self->slept_xmax, sizeof self->slept_xmax, "%s", PQgetvalue(result, 0, 1));
    PQclear(result);
    if (!self->asleep)
        outbox_postgresql_back_off(self);
    return STATUS_OK;
}

static enum status outbox_postgresql_wake(struct outbox_postgresql *self, struct error *err)
{
    self->asleep = false;
    self->looked_at_us = clock_monotonic_us();
    if (self->pause_us == 0)
        self->found_at_us = self->looked_at_us; /* more may follow */
    outbox_postgresql_back_off(self);
    return outbox_postgresql_query(self, SQL_AWAKE, NULL, 0, NULL, err);
}

/* Reads what has arrived; @return whether a notice was among it. */
static enum status outbox_postgresql_notified(struct outbox_postgresql *self, bool *ret_notified,
                                              struct error *err)
{
    PGnotify *notice;
    if (PQconsumeInput(self->connection) != 1)
        return outbox_postgresql_judge(
            self, postgresql_session_error(self->connection, NULL, "outbox", err), err);
    while ((notice = PQnotifies(self->connection)) != NULL) {
        PQfreemem(notice);
        *ret_notified = true;
    }
    return STATUS_OK;
}

static enum status outbox_postgresql_block(struct outbox_postgresql *self, int64_t wait_us,
                                           struct error *err)
{
    struct pollfd socket = {.fd = PQsocket(self->connection), .events = POLLIN};
    struct timespec limit = {.tv_sec = wait_us / 1000000, .tv_nsec = wait_us % 1000000 * 1000};
    if (ppoll(&socket, 1, &limit, NULL) < 0 && errno != EINTR)
        return error_set(err, STATUS_RETRY, "waiting for the outbox: %s", strerror(errno));
    return STATUS_OK;
}

/* Looks of its own until the transactions from before it slept have ended, ever more seldom. */
static int64_t outbox_postgresql_look_us(const struct outbox_postgresql *self)
{
    int64_t pause = (self->looked_at_us - self->slept_at_us) / 4;
    if (pause < LOOK_EVERY_US)
        pause = LOOK_EVERY_US;
    return self->looked_at_us + (pause > UNSETTLED_MAX_US ? UNSETTLED_MAX_US : pause);
}

static enum status outbox_postgresql_settle(struct outbox_postgresql *self, bool *ret_changed,
                                            struct error *err)
{
    struct slice before = slice_of(self->slept_xmax);
    PGresult *result = NULL;
    enum status status = outbox_postgresql_query(self, SQL_IS_SETTLED, &before, 1, &result, err);
    if (status == STATUS_OK)
        self->settled = PQgetvalue(result, 0, 0)[0] == 't';
    PQclear(result);
    self->looked_at_us = clock_monotonic_us();
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
        int64_t look = self->settled ? INT64_MAX : outbox_postgresql_look_us(self);
        if (now >= look)
            return outbox_postgresql_settle(self, ret_changed, err);
        if (now >= until)
            return STATUS_OK;
        status = outbox_postgresql_block(self, (look < until ? look : until) - now, err);
        if (status != STATUS_OK)
            return status;
    }
}

enum status outbox_postgresql_wait(struct outbox *outbox, int64_t timeout_us, bool *ret_changed,
                                   struct error *err)
{
    struct outbox_postgresql *self = outbox_postgresql_of(outbox);
    int64_t start = clock_monotonic_us();
    *ret_changed = false;
    enum status status = outbox_postgresql_ready(self, err);
    if (status != STATUS_OK)
        return status;
    if (self->asleep)
        return outbox_postgresql_wait_asleep(self, start + timeout_us, ret_changed, err);
    if (timeout_us > 0 && start - self->found_at_us >= AWAKE_US) {
        int64_t pause = self->resume_at_us - start;
        if (pause > 0)
            clock_sleep_us(pause < timeout_us ? pause : timeout_us);
        *ret_changed = pause <= timeout_us;
        return *ret_changed ? outbox_postgresql_sleep(self, err) : STATUS_OK;
    }
    int64_t next = self->looked_at_us + LOOK_EVERY_US;
    if (start < next && timeout_us > 0)
        clock_sleep_us(next - start < timeout_us ? next - start : timeout_us);
    *ret_changed = clock_monotonic_us() >= next;
    if (*ret_changed)
        self->looked_at_us = clock_monotonic_us();
    return STATUS_OK;
}
