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
#define STATUS_OUTPUT_MAX  ((size_t)16 * 1024 * 1024)

struct status_page {
    const struct service *service;
    struct buffer text;
    struct buffer json;
    struct offsets *offsets; /* NULL: the broker is not reached */
    char broker_reason[ERROR_TEXT_SIZE];
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

/* What went out without its change is known to the relay alone, since its start. */
static int64_t status_ask_voided(const struct config *config)
{
    char host[HTTP_HOST_SIZE];
    char port[8];
    double voided = -1;
    struct buffer metrics;
    if (config->listen[0] == '\0' || !http_parse_listen(config->listen, host, port))
        return -1;
    buffer_init(&metrics, STATUS_METRICS_MAX);
    if (http_get(host, port, "/metrics", &metrics) == 200)
        (void)metrics_find(buffer_text(&metrics), "keepstep_events_voided_total", config->service,
                           &voided);
    buffer_done(&metrics);
    return (int64_t)voided;
}

static void status_relay(struct status_page *page, const char *holder, int64_t waiting)
{
    bool held = holder != NULL;
    page->waits_for_relay = !held && waiting > 0;
    page->voided = held ? status_ask_voided(page->service->config) : -1;
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
    double oldest = counts.oldest_waiting_us == 0 ? 0
                                                  : (double)(now - counts.oldest_waiting_us) / 1e6;
    page->set_aside = counts.set_aside;
    buffer_append_format(&page->text,
                         "\nPublished\n  outbox     %" PRId64 " waiting, %" PRId64
                         " under way, %" PRId64 " set aside",
                         counts.waiting, counts.claimed, counts.set_aside);
    if (counts.oldest_waiting_us != 0)
        buffer_append_format(&page->text, "; the oldest waits for %.1f s", oldest);
    buffer_append_format(&page->json,
                         ",\"published\":{\"waiting\":%" PRId64 ",\"claimed\":%" PRId64
                         ",\"set_aside\":%" PRId64 ",\"oldest_waiting_seconds\":%.3f",
                         counts.waiting, counts.claimed, counts.set_aside, oldest);
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
    if (page->broker_reason[0] != '\0')
        return "start the broker, or correct kafka.bootstrap.servers; nothing is lost meanwhile";
    if (page->waits_for_relay)
        return "keepstep run, which publishes what waits; nothing is lost meanwhile";
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
    if (config->publish_count > 0)
        status = status_published(page, err);
    if (status == STATUS_OK && config->apply_count > 0)
        status = status_applied(page, err);
    if (status != STATUS_OK)
        return status;
    if (page->broker_reason[0] != '\0')
        buffer_append_format(&page->text, "\nBroker    NOT REACHED: %s\n", page->broker_reason);
    buffer_append_format(&page->text, "\nNext      %s\n", status_next(page));
    buffer_append_text(&page->json, ",\"broker\":");
    if (page->broker_reason[0] != '\0')
        buffer_append_json(&page->json, slice_of(page->broker_reason));
    else
        buffer_append_text(&page->json, config->apply_count > 0 ? "\"reached\"" : "null");
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
