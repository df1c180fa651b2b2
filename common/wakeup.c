/* Waiting for two things at once, over eventfd and ppoll. */
#include "common/wakeup.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

const uint64_t wakeup_raised = 1;

enum status wakeup_open(int *ret_descriptor, struct error *err)
{
    *ret_descriptor = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return *ret_descriptor < 0 ? error_set(err, STATUS_RETRY, "no file descriptor for a wakeup: %s",
                                           strerror(errno))
                               : STATUS_OK;
}

void wakeup_raise(int descriptor)
{
    ssize_t written = write(descriptor, &wakeup_raised, sizeof wakeup_raised);
    (void)written; /* it fails only where it was raised 2^64 times */
}

void wakeup_clear(int descriptor)
{
    uint64_t count = 0;
    ssize_t got = read(descriptor, &count, sizeof count);
    (void)got; /* it fails where it is not raised */
}

void bell_ring(struct bell *bell)
{
    if (bell == NULL)
        return;
    atomic_store(&bell->is_rung, true);
    wakeup_raise(bell->descriptor);
}

bool bell_was_rung(struct bell *bell)
{
    return bell != NULL && atomic_exchange(&bell->is_rung, false);
}

bool wakeup_wait(int descriptor, int other, int64_t timeout_us)
{
    struct pollfd wanted[] = {{.fd = descriptor, .events = POLLIN},
                              {.fd = other, .events = POLLIN}};
    int64_t wait_us = timeout_us < 0 ? 0 : timeout_us;
    const struct timespec limit = {.tv_sec = wait_us / 1000000,
                                   .tv_nsec = wait_us % 1000000 * 1000};
    int ready = ppoll(wanted, sizeof wanted / sizeof *wanted, &limit, NULL);
    return ready > 0 && wanted[0].revents != 0;
}
