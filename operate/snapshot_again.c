/* Waits between two snapshots. */
#include "operate/snapshot_again.h"

#include "common/clock.h"

/* Together longer than MariaDB takes a table for one that may have been replaced. */
#define TRIES_MAX 7
#define WAIT_US   300000

bool snapshot_again(int *tries, enum status status, struct error *err)
{
    if (status != STATUS_RETRY || !err->is_outdated || ++*tries == TRIES_MAX)
        return false;
    error_clear(err);
    clock_sleep_us(WAIT_US);
    return true;
}
