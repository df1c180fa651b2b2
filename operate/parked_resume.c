/* `keepstep parked resume`: lets stopped partitions go on. */
#include "common/clock.h"
#include "common/utf8.h"
#include "operate/command.h"
#include "operate/parked.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

/* Clear the recorded stop. The agent sees the new revision and checks the partition anew. */
static enum status parked_clear_stop(struct store *store, const struct partition_state *state,
                                     struct error *err)
{
    const struct fence fence = {.topic = state->topic,
                                .partition = state->partition,
                                .old_offset = state->next_offset,
                                .new_offset = state->next_offset,
                                .epoch = state->epoch,
                                .revision = state->revision,
                                .revise = true,
                                .anchor_offset = -1};
    enum status status = store->ops->begin(store, &fence, 1, err);
    if (status == STATUS_OK)
        status = store->ops->commit(store, true, err);
    if (status != STATUS_OK)
        store->ops->rollback(store);
    if (status == STATUS_ABORT)
        error_prefix(err, "%s [%d] has moved meanwhile; ask again", state->topic,
                     (int)state->partition);
    return status;
}

/* Watch a partition for PARKED_WAIT_US and say what becomes of it. @return OK with whether it
 * stands still again. */
static enum status parked_watch(struct store *store, const struct partition_state *before,
                                bool *ret_stopped, struct error *err)
{
    int64_t until = clock_monotonic_us() + PARKED_WAIT_US;
    const char *outcome = "no agent seems to run; the next one takes it up: `keepstep run`";
    char text[ERROR_TEXT_SIZE];
    bool moved = false;
    enum status status = STATUS_OK;
    *ret_stopped = false;
    while (status == STATUS_OK && !moved && !*ret_stopped && clock_monotonic_us() < until &&
           !atomic_load(&command_stop)) {
        struct partition_state now = {0};
        clock_sleep_us(PARKED_LOOK_US);
        status = store->ops->read(store, before->topic, before->partition, &now, err);
        moved = now.next_offset != before->next_offset;
        *ret_stopped = now.stopped[0] != '\0';
        if (now.epoch != before->epoch)
            outcome = "taken up again; nothing new to apply yet";
        utf8_format(text, sizeof text, "stands still again: %.*s", ERROR_TEXT_SIZE - 32,
                    now.stopped);
        partition_state_done(&now);
    }
    if (moved)
        outcome = "goes on";
    if (status == STATUS_OK)
        command_say("%s [%d]: %s", before->topic, (int)before->partition,
                    *ret_stopped ? text : outcome);
    return status;
}

static bool parked_is_asked(const struct parked_filter *filter, const struct partition_state *state)
{
    return (filter->topic == NULL || strcmp(filter->topic, state->topic) == 0) &&
           (filter->partition < 0 || filter->partition == state->partition);
}

enum status parked_resume(struct store *store, const struct parked_request *request,
                          struct error *err)
{
    struct partition_state *states = NULL;
    size_t count = 0;
    size_t asked = 0;
    size_t again = 0;
    enum status status = store->ops->list(store, &states, &count, err);
    for (size_t i = 0; status == STATUS_OK && i < count; i++) {
        bool stopped = states[i].stopped[0] != '\0' &&
                       parked_is_asked(&request->filter, &states[i]);
        asked += stopped ? 1 : 0;
        if (stopped && request->dry_run)
            fprintf(stderr, "%s [%d] would be tried again; it stands still: %s\n", states[i].topic,
                    (int)states[i].partition, states[i].stopped);
        else if (stopped)
            status = parked_clear_stop(store, &states[i], err);
        else
            states[i].topic[0] = '\0';
    }
    for (size_t i = 0; status == STATUS_OK && !request->dry_run && i < count; i++) {
        bool stopped = false;
        if (states[i].topic[0] != '\0')
            status = parked_watch(store, &states[i], &stopped, err);
        again += stopped ? 1 : 0;
    }
    free(states);
    if (status == STATUS_OK && asked == 0)
        fprintf(stderr, "no such partition stands still\n");
    if (status == STATUS_OK && again > 0) {
        err->exit_code = EX_TEMPFAIL;
        status = error_set(err, STATUS_FATAL, "%zu of %zu stand still again", again, asked);
    }
    return status;
}
