/* `keepstep lag`: says how far each partition of the local copy is behind the log. */
#include "common/buffer.h"
#include "common/clock.h"
#include "operate/command.h"
#include "operate/member.h"
#include "consumer/feed/feed.h"
#include "operate/offsets.h"
#include "operate/service.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define LAG_OUTPUT_MAX ((size_t)16 * 1024 * 1024)

struct lag_row {
    const char *group;
    struct topic_partition tp;
    int64_t current; /* -1: no position yet */
    int64_t end;
    int64_t stable;    /* records from here to the end wait for an open transaction */
    int64_t committed; /* -1: none */
    int64_t lag;
    double seconds; /* negative: unknown */
    struct offsets_owner owner;
};

/* What all rows are read from. */
struct lag {
    char group[FEED_GROUP_SIZE];
    struct store *store;
    struct offsets *offsets;
    bool json;
};

static enum status lag_read(struct store *store, struct offsets *offsets, struct lag_row *row,
                            struct error *err)
{
    struct partition_state state = {0};
    struct log_bounds bounds = {0};
    int64_t time_us = 0;
    enum status status = store->ops->read(store, row->tp.topic, row->tp.partition, &state, err);
    if (status != STATUS_OK)
        return status;
    row->current = state.exists ? state.next_offset : -1;
    partition_state_done(&state);
    status = offsets_bounds(offsets, row->tp, &bounds, err);
    if (status == STATUS_OK)
        status = offsets_committed(offsets, row->tp, &row->committed, err);
    if (status != STATUS_OK)
        return status;
    row->end = bounds.end;
    int64_t from = row->current < bounds.first ? bounds.first : row->current;
    row->lag = row->end > from ? row->end - from : 0;
    row->stable = row->end;
    if (row->lag > 0)
        status = offsets_stable_end(offsets, row->tp, &row->stable, err);
    if (status == STATUS_OK && row->lag > 0) {
        status = offsets_record_time(offsets, row->tp, from, &time_us, err);
        double age = (double)(clock_wall_us() - time_us) / 1e6;
        row->seconds = time_us == 0 ? -1 : age < 0 ? 0 : age;
    }
    offsets_owner(offsets, row->tp, &row->owner);
    return status;
}

static void lag_render_text(const struct lag_row *row, struct buffer *out)
{
    buffer_append_format(out, "%-30s %-20s %-10" PRId32 " ", row->group, row->tp.topic,
                         row->tp.partition);
    if (row->current < 0)
        buffer_append_format(out, "%-15s", "-");
    else
        buffer_append_format(out, "%-15" PRId64, row->current);
    buffer_append_format(out, " %-15" PRId64 " %-10" PRId64 " ", row->end, row->lag);
    if (row->seconds < 0)
        buffer_append_format(out, "%-10s", "?");
    else
        buffer_append_format(out, "%-10.1f", row->seconds);
    buffer_append_format(out, " %-40s %-16s %s\n", row->owner.consumer_id, row->owner.host,
                         row->owner.client_id);
}

static struct slice lag_or_null(const char *text)
{
    return strcmp(text, "-") == 0 ? (struct slice){0} : slice_of(text);
}

static void lag_render_json(const struct lag_row *row, struct buffer *out)
{
    member_begin(out, NULL, "{");
    member_text(out, "group", slice_of(row->group));
    member_text(out, "topic", slice_of(row->tp.topic));
    member_number(out, "partition", row->tp.partition);
    member_known_number(out, "applied_offset", row->current);
    member_number(out, "end_offset", row->end);
    member_number(out, "lag_records", row->lag);
    member_seconds(out, "lag_s", row->seconds);
    member_number(out, "stable_offset", row->stable);
    member_known_number(out, "committed_offset", row->committed);
    member_text(out, "consumer_id", lag_or_null(row->owner.consumer_id));
    member_text(out, "host", lag_or_null(row->owner.host));
    member_text(out, "client_id", lag_or_null(row->owner.client_id));
    buffer_append_text(out, "}\n");
}

static void lag_say_withheld(const struct lag_row *row)
{
    fprintf(stderr,
            "keepstep: %s [%" PRId32 "]: an open transaction of another producer holds up "
            "%" PRId64 " records from offset %" PRId64 " on; they are read when it ends "
            "(kafka-transactions.sh describe-producers names it)\n",
            row->tp.topic, row->tp.partition, row->end - row->stable, row->stable);
}

static enum status lag_topic(const struct lag *lag, const char *topic, struct buffer *out,
                             struct error *err)
{
    int32_t count = 0;
    char fill[ERROR_TEXT_SIZE];
    enum status status = store_fill_describe(lag->store, topic, fill, sizeof fill, err);
    if (status == STATUS_OK && fill[0] != '\0')
        fprintf(stderr, "keepstep: topic %s: %s; the copy is not complete\n", topic, fill);
    if (status == STATUS_OK)
        status = offsets_partition_count(lag->offsets, topic, &count, err);
    if (status == STATUS_OK && count == 0)
        fprintf(stderr, "keepstep: topic %s does not exist yet\n", topic);
    for (int32_t i = 0; status == STATUS_OK && i < count; i++) {
        struct lag_row row = {.group = lag->group, .tp = {topic, i}};
        status = lag_read(lag->store, lag->offsets, &row, err);
        if (status != STATUS_OK)
            break;
        (lag->json ? lag_render_json : lag_render_text)(&row, out);
        if (row.stable < row.end)
            lag_say_withheld(&row);
    }
    return status;
}

static bool lag_seen(const struct config *config, size_t index)
{
    for (size_t i = 0; i < index; i++) {
        if (strcmp(config->apply[i].topic, config->apply[index].topic) == 0)
            return true;
    }
    return false;
}

static enum status lag_print(const struct service *service, const struct command_line *line,
                             struct error *err)
{
    const struct config *config = service->config;
    struct lag lag = {.json = line->json};
    struct store_meta meta;
    struct buffer out;
    buffer_init(&out, LAG_OUTPUT_MAX);
    enum status status = service_open_store(service, true, &lag.store, err);
    if (status == STATUS_OK)
        status = lag.store->ops->meta(lag.store, &meta, err);
    if (status != STATUS_OK)
        goto out;
    feed_group_name(config, meta.copy_id, lag.group);
    if (!line->json)
        buffer_append_format(&out, "%-30s %-20s %-10s %-15s %-15s %-10s %-10s %-40s %-16s %s\n",
                             "GROUP", "TOPIC", "PARTITION", "CURRENT-OFFSET", "LOG-END-OFFSET",
                             "LAG", "SECONDS", "CONSUMER-ID", "HOST", "CLIENT-ID");
    status = offsets_open(config, lag.group, &lag.offsets, err);
    for (size_t i = 0; status == STATUS_OK && i < config->apply_count; i++) {
        if (!lag_seen(config, i))
            status = lag_topic(&lag, config->apply[i].topic, &out, err);
    }
    if (status == STATUS_OK)
        command_print(&out, line->json);
out:
    offsets_close(lag.offsets);
    if (lag.store != NULL)
        lag.store->ops->close(lag.store);
    buffer_done(&out);
    return status;
}

static int lag_run(const struct command *command, int argc, char **argv)
{
    return service_command(command, argc, argv, lag_print);
}

const struct command command_lag = {
    .name = "lag",
    .arguments = "",
    .summary = "Show how far the local copy is behind the log, in records and seconds.",
    .examples = "  keepstep lag -c billing.yaml\n  keepstep lag --json -c billing.yaml\n",
    .run = lag_run,
};
