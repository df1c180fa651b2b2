/* A line of `keepstep status` on joint transactions. */
#include "operate/status_joint.h"

#include "common/clock.h"
#include "consumer/joint/joint.h"
#include "operate/joint_view.h"
#include "operate/member.h"

#include <inttypes.h>

#define US_OF_A_SECOND 1e6

/** What is not settled here. */
struct joint_counts {
    int64_t undecided;
    int64_t reserved;
    int64_t settling;
    int64_t held;
    int64_t since_us; /* wall clock: of the oldest undecided one; 0: none is */
};

static enum status joint_count(void *context, const struct joint_row *row, struct error *err)
{
    struct joint_counts *counts = context;
    bool is_committed = false;
    (void)err;
    counts->held += row->state == JOINT_STATE_HELD;
    counts->settling += row->state == JOINT_STATE_COMMITTING || row->state == JOINT_STATE_ABORTING;
    counts->reserved += row->state == JOINT_STATE_RESERVED;
    if (joint_view_is_decided(row, &is_committed))
        return STATUS_OK;
    counts->undecided++;
    if (counts->since_us == 0 || row->read_at_us < counts->since_us)
        counts->since_us = row->read_at_us;
    return STATUS_OK;
}

static void joint_write(const struct config *config, const struct joint_counts *counts,
                        int64_t next_offset, struct buffer *text, struct buffer *json)
{
    double oldest_s = counts->since_us == 0
                          ? 0
                          : (double)(clock_wall_us() - counts->since_us) / US_OF_A_SECOND;
    member_number(json, "joint_undecided", counts->undecided);
    member_number(json, "joint_reserved", counts->reserved);
    member_number(json, "joint_settling", counts->settling);
    member_number(json, "joint_held", counts->held);
    member_seconds(json, "joint_oldest_undecided_s", oldest_s);
    member_known_number(json, "joint_next_offset", next_offset);
    buffer_append_format(text,
                         "  joint      %" PRId64 " undecided, %" PRId64 " reserved, %" PRId64
                         " settling, %" PRId64 " held; ",
                         counts->undecided, counts->reserved, counts->settling, counts->held);
    if (next_offset < 0)
        buffer_append_format(text, "%s was not read yet\n", config->joint_topic);
    else
        buffer_append_format(text, "%s is read to %" PRId64 "\n", config->joint_topic, next_offset);
    if (counts->undecided > 0)
        buffer_append_format(text, "             the oldest is undecided since %.1f s\n", oldest_s);
}

enum status status_joint_append(const struct service *service, struct buffer *text,
                                struct buffer *json, struct error *err)
{
    struct store *store = NULL;
    struct joint_counts counts = {0};
    struct partition_state state = {0};
    const struct config *config = service->config;
    if (!config_is_joint(config))
        return STATUS_OK;
    enum status status = service_open_store(service, true, &store, err);
    if (status != STATUS_OK)
        return status;
    status = store->ops->read(store, config->joint_topic, 0, &state, err);
    if (status == STATUS_OK && store->ops->joint != NULL)
        status = store->ops->joint->load(store, joint_count, &counts, err);
    if (status == STATUS_OK)
        joint_write(config, &counts, state.exists ? state.next_offset : -1, text, json);
    partition_state_done(&state);
    store->ops->close(store);
    return status;
}
