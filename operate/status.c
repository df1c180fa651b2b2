/* `keepstep status`: one screen of what goes on, and the command to type next. */
#include "common/buffer.h"
#include "common/clock.h"
#include "operate/command.h"
#include "consumer/feed.h"
#include "operate/http.h"
#include "operate/http_client.h"
#include "operate/metrics.h"
#include "operate/offsets.h"
#include "operate/service.h"
#include "producer/capture_watch.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STATUS_METRICS_MAX ((size_t)4 * 1024 * 1024)
#define STATUS_GROUP       "keepstep-status" /* which has no members and no offsets */
#define STATUS_STALL_S     10.0              /* as readiness has it */
#define STATUS_OUTPUT_MAX  ((size_t)16 * 1024 * 1024)

struct status_page {
    const struct service *service;
    struct buffer text;
    struct buffer json;
    struct offsets *offsets; /* NULL: the broker is not reached */
    char broker_reason[ERROR_TEXT_SIZE];
    double broker_silent_s; /* as the sidecar saw it; 0: it answers, or no sidecar was asked */
    double stalled_s;       /* since when nothing that is under way was acknowledged; 0 */
    int64_t claimed;
    int64_t parked;
    int64_t set_aside;
    int64_t voided; /* -1: not known */
    int64_t lag;
    size_t captures_broken;
    bool stopped;
    bool waits_for_relay;
};

static void status_member(struct buffer *json, const char *name, const char *text)
{
    buffer_append_format(json, "\"%s\":", name);
    buffer_append_json(json, slice_of(text));
}

/* What only the sidecar knows, since its start: what went out without its change, and for how long
 * the broker has been silent. */
static void status_ask_sidecar(struct status_page *page)
{
    const struct config *config = page->service->config;
    char host[HTTP_HOST_SIZE];
    char port[8];
    double voided = -1;
    double silent_s = 0;
    struct buffer metrics;
    page->voided = -1;
    if (config->listen[0] == '\0' || !http_parse_listen(config->listen, host, port))
        return;
    buffer_init(&metrics, STATUS_METRICS_MAX);
    if (http_get(host, port, "/metrics", &metrics) == 200) {
        const char *text = buffer_text(&metrics);
        (void)metrics_find(text, "keepstep_events_voided_total", config->service, &voided);
        (void)metrics_find(text, "keepstep_relay_stalled_seconds", config->service,
                           &page->stalled_s);
        (void)metrics_find(text, "keepstep_relay_broker_silent_seconds", config->service,
                           &page->broker_silent_s);
        (void)metrics_find(text, "keepstep_consumer_broker_silent_seconds", config->service,
                           &silent_s);
    }
    page->voided = (int64_t)voided;
    if (silent_s > page->broker_silent_s)
        page->broker_silent_s = silent_s;
    buffer_done(&metrics);
}

static void status_relay(struct status_page *page, const char *holder, int64_t waiting)
{
    bool held = holder != NULL;
    page->waits_for_relay = !held && waiting > 0;
    page->voided = held ? page->voided : -1;
    buffer_append_format(&page->text, "\n  relay      %s%s\n",
                         held ? "running, instance " : "not running", held ? holder : "");
    if (page->voided > 0)
        buffer_append_format(&page->text,
                             "  LOST       %" PRId64 " since it started: sent as a void, without "
                             "their change\n",
                             page->voided);
    buffer_append_text(&page->json, ",\"relay\":");
    if (held)
        buffer_append_json(&page->json, slice_of(holder));
    else
        buffer_append_text(&page->json, "null");
    buffer_append_text(&page->json, ",\"voided\":");
    if (page->voided >= 0)
        buffer_append_format(&page->json, "%" PRId64, page->voided);
    else
        buffer_append_text(&page->json, "null");
}

/* Seen with the rights of whoever asks, so that it is told also where no relay runs. */
static enum status status_captures(struct status_page *page, struct error *err)
{
    const struct config *config = page->service->config;
    struct capture_finding *findings = calloc(config->publish_count + 1, sizeof *findings);
    if (findings == NULL)
        return error_set(err, STATUS_FATAL, "out of memory");
    page->captures_broken = capture_look(
        config, (const struct entity_schema *const *)page->service->published, findings);
    buffer_append_text(&page->json, ",\"capture\":[");
    for (size_t i = 0; i < config->publish_count; i++) {
        const char *type = config->publish[i].entity_type;
        buffer_append_format(&page->text, "  %-10s to topic %s\n", type, config->publish[i].topic);
        if (findings[i].state != CAPTURE_WHOLE)
            buffer_append_format(&page->text, "    %s: %s\n",
                                 findings[i].state == CAPTURE_BROKEN ? "NOT CAPTURED"
                                                                     : "capture not known",
                                 findings[i].text);
        buffer_append_text(&page->json, i == 0 ? "{" : ",{");
        status_member(&page->json, "entity_type", type);
        buffer_append_text(&page->json, ",");
        status_member(&page->json, "state", capture_state_name(findings[i].state));
        buffer_append_text(&page->json, ",\"reason\":");
        if (findings[i].text[0] != '\0')
            buffer_append_json(&page->json, slice_of(findings[i].text));
        else
            buffer_append_text(&page->json, "null");
        buffer_append_text(&page->json, "}");
    }
    buffer_append_text(&page->json, "]");
    free(findings);
    return STATUS_OK;
}

static double status_age(int64_t now_us, int64_t time_us)
{
    return time_us == 0 || time_us > now_us ? 0 : (double)(now_us - time_us) / 1e6;
}

static enum status status_published(struct status_page *page, struct error *err)
{
    struct outbox *outbox = NULL;
    struct outbox_counts counts = {0};
    struct lease lease = {0};
    enum status status = service_open_outbox(page->service, true, &outbox, err);
    if (status != STATUS_OK)
        return status;
    status = outbox->ops->count(outbox, &counts, err);
    if (status == STATUS_OK)
        status = outbox->ops->read_lease(outbox, &lease, err);
    outbox->ops->close(outbox);
    if (status != STATUS_OK)
        return status;
    int64_t now = clock_wall_us();
    double waiting_s = status_age(now, counts.oldest_waiting_us);
    double claimed_s = status_age(now, counts.oldest_claimed_us);
    double oldest_s = waiting_s > claimed_s ? waiting_s : claimed_s;
    page->claimed = counts.claimed;
    page->set_aside = counts.set_aside;
    buffer_append_format(&page->text,
                         "\nPublished\n  outbox     %" PRId64 " waiting, %" PRId64
                         " under way, %" PRId64 " set aside",
                         counts.waiting, counts.claimed, counts.set_aside);
    if (oldest_s > 0)
        buffer_append_format(&page->text, "; the oldest waits for %.1f s", oldest_s);
    buffer_append_format(&page->json,
                         ",\"published\":{\"waiting\":%" PRId64 ",\"claimed\":%" PRId64
                         ",\"set_aside\":%" PRId64 ",\"oldest_waiting_seconds\":%.3f"
                         ",\"oldest_unacknowledged_seconds\":%.3f",
                         counts.waiting, counts.claimed, counts.set_aside, waiting_s, oldest_s);
    status_relay(page, lease.until_us > now ? lease.holder : NULL, counts.waiting + counts.claimed);
    status = status_captures(page, err);
    buffer_append_text(&page->json, "}");
    return status;
}

static void status_broker_lost(struct status_page *page, const struct error *err)
{
    (void)snprintf(page->broker_reason, sizeof page->broker_reason, "%s", err->text);
    offsets_close(page->offsets);
    page->offsets = NULL;
}

static void status_partition(struct status_page *page, const struct partition_state *state)
{
    struct error err = ERROR_INIT;
    int64_t first = 0;
    int64_t end = -1;
    if (page->offsets != NULL && offsets_ends(page->offsets, state->topic, state->partition, &first,
                                              &end, &err) != STATUS_OK) {
        end = -1;
        status_broker_lost(page, &err);
    }
    int64_t lag = end > state->next_offset ? end - state->next_offset : 0;
    page->parked += state->parked_count;
    page->lag += lag;
    page->stopped = page->stopped || state->stopped[0] != '\0';
    buffer_append_format(&page->text, "  %s [%d] at %" PRId64, state->topic, (int)state->partition,
                         state->next_offset);
    if (end >= 0)
        buffer_append_format(&page->text, " of %" PRId64, end);
    if (lag > 0)
        buffer_append_format(&page->text, ", %" PRId64 " behind", lag);
    if (state->parked_count > 0)
        buffer_append_format(&page->text, ", %" PRId64 " parked", state->parked_count);
    if (state->partial)
        buffer_append_text(&page->text, ", a partial copy");
    if (state->stopped[0] != '\0')
        buffer_append_format(&page->text, "\n    STOPPED: %s", state->stopped);
    buffer_append_text(&page->text, "\n");
    buffer_append_text(&page->json, page->json.data[page->json.length - 1] == '[' ? "{" : ",{");
    status_member(&page->json, "topic", state->topic);
    buffer_append_format(&page->json, ",\"partition\":%d,\"position\":%" PRId64 ",\"log_end\":",
                         (int)state->partition, state->next_offset);
    if (end < 0)
        buffer_append_text(&page->json, "null");
    else
        buffer_append_format(&page->json, "%" PRId64, end);
    buffer_append_format(&page->json,
                         ",\"parked\":%" PRId64 ",\"partial\":%s,\"stopped\":", state->parked_count,
                         state->partial ? "true" : "false");
    if (state->stopped[0] == '\0')
        buffer_append_text(&page->json, "null");
    else
        buffer_append_json(&page->json, slice_of(state->stopped));
    buffer_append_text(&page->json, "}");
}

static enum status status_applied(struct status_page *page, struct error *err)
{
    struct store *store = NULL;
    struct store_meta meta;
    struct partition_state *states = NULL;
    struct error broker = ERROR_INIT;
    char group[FEED_GROUP_SIZE];
    size_t count = 0;
    enum status status = service_open_store(page->service, true, &store, err);
    if (status == STATUS_OK)
        status = store->ops->meta(store, &meta, err);
    if (status == STATUS_OK)
        status = store->ops->list(store, &states, &count, err);
    if (status != STATUS_OK)
        goto out;
    feed_group_name(page->service->config, meta.copy_id, group);
    if (offsets_open(page->service->config, group, &page->offsets, &broker) != STATUS_OK) {
        page->offsets = NULL;
        (void)snprintf(page->broker_reason, sizeof page->broker_reason, "%s", broker.text);
    }
    buffer_append_format(&page->text, "\nApplied, as consumer group %s\n", group);
    if (count == 0)
        buffer_append_text(&page->text, "  nothing yet: the agent has not run\n");
    buffer_append_text(&page->json, ",\"applied\":{");
    status_member(&page->json, "group", group);
    buffer_append_text(&page->json, ",\"partitions\":[");
    for (size_t i = 0; status == STATUS_OK && i < count; i++) {
        struct partition_state state = {0};
        status = store->ops->read(store, states[i].topic, states[i].partition, &state, err);
        if (status == STATUS_OK)
            status_partition(page, &state);
        partition_state_done(&state);
    }
    buffer_append_text(&page->json, "]}");
out:
    free(states);
    if (store != NULL)
        store->ops->close(store);
    return status;
}

/* Asks for the first topic, where nothing was asked of the broker yet. */
static void status_ask_broker(struct status_page *page)
{
    const struct config *config = page->service->config;
    struct error err = ERROR_INIT;
    int32_t partitions = 0;
    enum status status = STATUS_OK;
    if (page->broker_reason[0] != '\0' || config->publish_count + config->apply_count == 0)
        return;
    if (page->offsets == NULL)
        status = offsets_open(config, STATUS_GROUP, &page->offsets, &err);
    const struct config_entry *entry = config->publish_count > 0 ? config->publish : config->apply;
    if (status == STATUS_OK)
        status = offsets_partition_count(page->offsets, entry->topic, &partitions, &err);
    if (status != STATUS_OK)
        status_broker_lost(page, &err);
}

static void status_broker(struct status_page *page)
{
    bool lost = page->broker_reason[0] != '\0';
    double silent_s = lost && page->broker_silent_s < page->stalled_s ? page->stalled_s
                                                                      : page->broker_silent_s;
    buffer_append_format(&page->text, "\nBroker    %s", lost ? "NOT REACHED" : "reached");
    if (lost && silent_s > 0)
        buffer_append_format(&page->text, " for %.0f s", silent_s);
    buffer_append_format(&page->text, "%s%s\n", lost ? ": " : "", page->broker_reason);
    if (!lost && page->stalled_s > STATUS_STALL_S)
        buffer_append_format(
            &page->text, "  it acknowledges nothing for %.0f s, %" PRId64 " events are under way\n",
            page->stalled_s, page->claimed);
    buffer_append_text(&page->json, ",\"broker\":");
    buffer_append_json(&page->json, slice_of(lost ? page->broker_reason : "reached"));
    buffer_append_format(&page->json, ",\"broker_silent_seconds\":%.3f", silent_s);
}

static const char *status_next(const struct status_page *page)
{
    if (page->stopped)
        return "read the reason above, mend its cause, then: keepstep parked resume";
    if (page->captures_broken > 0)
        return "keepstep init, which mends the triggers and says what to do about the copies";
    if (page->parked > 0)
        return "keepstep parked list";
    if (page->set_aside > 0)
        return "keepstep outbox list";
    if (page->waits_for_relay)
        return "keepstep run, which publishes what waits; nothing is lost meanwhile";
    if (page->broker_reason[0] != '\0')
        return "start the broker, or correct kafka.bootstrap.servers; nothing is lost meanwhile";
    if (page->stalled_s > STATUS_STALL_S)
        return "read the relay's log and the broker's: it takes no records; nothing is lost";
    if (page->voided > 0)
        return "look for \"goes out as a void\" in the relay's log; write those entities again";
    if (page->lag > 0)
        return "keepstep lag";
    return "nothing to do; keepstep lag tells how far behind";
}

static enum status status_fill(struct status_page *page, struct error *err)
{
    const struct config *config = page->service->config;
    enum status status = STATUS_OK;
    buffer_append_format(&page->text, "Service   %s\nDatabase  %s\n", config->service,
                         config->database_shown);
    buffer_append_text(&page->json, "{");
    status_member(&page->json, "service", config->service);
    buffer_append_text(&page->json, ",");
    status_member(&page->json, "database", config->database_shown);
    status_ask_sidecar(page);
    if (config->publish_count > 0)
        status = status_published(page, err);
    if (status == STATUS_OK && config->apply_count > 0)
        status = status_applied(page, err);
    if (status != STATUS_OK)
        return status;
    status_ask_broker(page);
    status_broker(page);
    buffer_append_format(&page->text, "\nNext      %s\n", status_next(page));
    buffer_append_format(&page->json, ",\"parked\":%" PRId64 ",", page->parked);
    status_member(&page->json, "next", status_next(page));
    buffer_append_text(&page->json, "}\n");
    return STATUS_OK;
}

static enum status status_print(const struct service *service, bool json, struct error *err)
{
    struct status_page page = {.service = service};
    buffer_init(&page.text, STATUS_OUTPUT_MAX);
    buffer_init(&page.json, STATUS_OUTPUT_MAX);
    enum status status = status_fill(&page, err);
    if (status == STATUS_OK)
        fputs(buffer_text(json ? &page.json : &page.text), stdout);
    offsets_close(page.offsets);
    buffer_done(&page.text);
    buffer_done(&page.json);
    return status;
}

static int status_run(const struct command *command, int argc, char **argv)
{
    return service_command(command, argc, argv, status_print);
}

const struct command command_status = {
    .name = "status",
    .arguments = "",
    .summary = "One screen: what is published, what is applied, what to type next.",
    .examples = "  keepstep status -c shop.yaml\n  keepstep status --json -c billing.yaml\n",
    .run = status_run,
};
