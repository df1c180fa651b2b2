/* Lines of `keepstep status` on fills. */
#include "operate/status_fills.h"

#include "common/clock.h"
#include "operate/member.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define TOPICS_BYTES_MAX ((size_t)1024 * 1024)

static double seconds_since(int64_t time_us)
{
    double age = (double)(clock_wall_us() - time_us) / 1e6;
    return age < 0 ? 0 : age;
}

static void append_text(const struct fill_state *fill, struct buffer *text)
{
    if (!fill_is_under_way(fill->stage))
        return;
    if (fill_is_given_up(fill)) {
        buffer_append_format(text,
                             "  %s: its fill was GIVEN UP after %" PRId64 " attempt%s, %s; nothing "
                             "of it is read\n    %s\n",
                             fill->topic, fill->voids, fill->voids == 1 ? "" : "s",
                             fill_stage_name(fill->stage), fill->reason);
        if (fill->stage == FILL_ASKED)
            buffer_append_format(text,
                                 "    the copy is unchanged: `keepstep fill %s --cancel` reads the "
                                 "topic on\n",
                                 fill->topic);
        return;
    }
    buffer_append_format(text, "  %s is being FILLED from %s: %s, %" PRId64 " rows, since %.0f s\n",
                         fill->topic, fill->source, fill_stage_name(fill->stage), fill->rows,
                         seconds_since(fill->asked_at_us));
    if (fill->stage == FILL_ASKED)
        buffer_append_format(text,
                             "    the copy is unchanged yet: `keepstep fill %s --cancel` takes the "
                             "request back\n",
                             fill->topic);
    if (fill->voids > 0)
        buffer_append_format(text, "    %" PRId64 " attempts came to nothing\n", fill->voids);
    if (fill->reason[0] != '\0')
        buffer_append_format(text, "    %s\n", fill->reason);
}

static void append_json(const struct fill_state *fill, struct buffer *json)
{
    member_begin(json, NULL, "{");
    member_text(json, "topic", slice_of(fill->topic));
    member_text(json, "source", slice_of(fill->source));
    member_text(json, "stage", slice_of(fill_stage_name(fill->stage)));
    member_number(json, "rows", fill->rows);
    member_seconds(json, "age_s", seconds_since(fill->asked_at_us));
    member_number(json, "voids", fill->voids);
    member_bool(json, "given_up", fill_is_given_up(fill));
    member_text(json, "reason",
                fill->reason[0] == '\0' ? (struct slice){0} : slice_of(fill->reason));
    buffer_append_text(json, "}");
}

enum status status_fills_append(struct store *store, struct buffer *text, struct buffer *json,
                                struct status_fills *ret_fills, struct error *err)
{
    struct fill_state *fills = NULL;
    size_t count = 0;
    *ret_fills = (struct status_fills){0};
    enum status status = store->ops->list_fills(store, &fills, &count, err);
    if (status != STATUS_OK)
        return status;
    member_begin(json, "fills", "[");
    for (size_t i = 0; i < count; i++) {
        append_text(&fills[i], text);
        append_json(&fills[i], json);
        ret_fills->is_held |= fill_holds_topic(fills[i].stage);
        if (fill_is_given_up(&fills[i]) && ret_fills->again[0] == '\0')
            (void)snprintf(ret_fills->again, sizeof ret_fills->again, "fill %s", fills[i].topic);
    }
    buffer_append_text(json, "]");
    free(fills);
    return STATUS_OK;
}

enum status status_hold_append(struct outbox *outbox, const struct config *config,
                               struct buffer *text, struct buffer *json, struct error *err)
{
    char topic[OUTBOX_NAME_SIZE] = "";
    struct buffer topics;
    buffer_init(&topics, TOPICS_BYTES_MAX);
    outbox_append_applied(config, true, &topics);
    enum status status = topics.failed ? error_set(err, STATUS_RETRY, "out of memory") : STATUS_OK;
    if (status == STATUS_OK && topics.length > sizeof "[]" - 1)
        status = outbox->ops->unread(outbox, buffer_slice(&topics), topic, err);
    if (status == STATUS_OK && topic[0] != '\0')
        buffer_append_format(text,
                             "  WAITS      publishes nothing until this service's own copy of "
                             "topic %s has all rows\n",
                             topic);
    if (status == STATUS_OK)
        member_text(json, "waits_for", topic[0] == '\0' ? (struct slice){0} : slice_of(topic));
    buffer_done(&topics);
    return status;
}
