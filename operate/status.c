/* `keepstep status`: shows on one screen what goes on, and the command to type next. */
#include "common/advice.h"
#include "common/clock.h"
#include "operate/command.h"
#include "consumer/feed/feed.h"
#include "operate/control.h"
#include "operate/http.h"
#include "operate/http_client.h"
#include "operate/member.h"
#include "operate/metrics.h"
#include "operate/offsets.h"
#include "operate/running.h"
#include "operate/status_fills.h"
#include "operate/status_joint.h"
#include "operate/status_paused.h"
#include "operate/status_sets.h"
#include "operate/verdict_lines.h"
#include "producer/capture/watch.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STATUS_WITHHELD    " of them held up by an open transaction of another producer)"
#define STATUS_METRICS_MAX ((size_t)4 * 1024 * 1024)
#define STATUS_GROUP       "keepstep-status" /* a group without members and offsets */
#define STATUS_STALL_S     10.0              /* as for readiness */
#define STATUS_OUTPUT_MAX  ((size_t)16 * 1024 * 1024)
#define STATUS_LEASE_US    (INT64_C(4) * 1000 * 1000) /* a relay renews its lease more often */
#define STATUS_LOOK_US     (100 * 1000)

/* Unknown: there are signs of life, but a process that was just killed leaves the same. */
enum status_running { STATUS_RUNNING, STATUS_NOT_RUNNING, STATUS_RUNNING_UNKNOWN };
static const char *const status_running_names[] = {"running", "not running", "unknown"};

struct status_page {
    const struct service *service;
    struct buffer text;
    struct buffer json;
    struct offsets *offsets; /* NULL: the broker is not reached */
    char broker_reason[ERROR_TEXT_SIZE];
    double broker_silent_s; /* says the sidecar; 0: it answers, or no sidecar runs */
    double stalled_s; /* for so long nothing was acknowledged, though events are under way; 0 */
    int64_t claimed;
    int64_t parked;
    int64_t set_aside;
    int64_t voided; /* -1: not known */
    int64_t lag;
    size_t captures_broken;
    bool stopped;
    bool waits_for_relay;
    struct status_fills fills;
    bool differs; /* a copy of a type of this service, from the others */
    enum status_running relay;
    enum status_running agent;
    struct buffer metrics; /* of the sidecar at `listen:`; empty: none answers */
};

/* @return a text, and null for "". */
static struct slice status_or_null(const char *text)
{
    return text[0] == '\0' ? (struct slice){0} : slice_of(text);
}

/* @return the value of a metric of the sidecar; -1 where it is another service's or has none. */
static double status_metric(const struct status_page *page, const char *name)
{
    double value = -1;
    (void)metrics_find(buffer_text(&page->metrics), name, page->service->config->service, &value);
    return value;
}

/* Ask the sidecar what only it knows: how much it sent without its change since its start, and how
 * long the broker has been silent. */
static void status_ask_sidecar(struct status_page *page)
{
    const struct config *config = page->service->config;
    char host[HTTP_HOST_SIZE];
    char port[8];
    if (config->listen[0] != '\0' && http_parse_listen(config->listen, host, port) &&
        http_get(host, port, "/metrics", &page->metrics) != 200)
        buffer_reset(&page->metrics);
    double relay_s = status_metric(page, "keepstep_relay_broker_silent_seconds");
    double agent_s = status_metric(page, "keepstep_consumer_broker_silent_seconds");
    page->voided = (int64_t)status_metric(page, "keepstep_events_voided_total");
    page->stalled_s = status_metric(page, "keepstep_relay_stalled_seconds");
    page->broker_silent_s = relay_s > agent_s ? relay_s : agent_s;
    if (page->broker_silent_s < 0)
        page->broker_silent_s = 0;
}

/* Watch whether the lease is renewed: a relay that was killed does not do that.
 * @return OK with whether it was, and the lease as it is by then. */
static enum status status_watch_lease(struct outbox *outbox, struct lease *lease, bool *ret_renewed,
                                      struct error *err)
{
    int64_t until = clock_monotonic_us() + STATUS_LEASE_US;
    enum status status = STATUS_OK;
    *ret_renewed = false;
    while (status == STATUS_OK && !*ret_renewed && clock_monotonic_us() < until &&
           lease->until_us > clock_wall_us()) {
        struct lease now = {0};
        clock_sleep_us(STATUS_LOOK_US);
        status = outbox->ops->read_lease(outbox, &now, err);
        *ret_renewed = now.until_us > lease->until_us;
        if (*ret_renewed)
            *lease = now;
    }
    return status;
}

static enum status status_relay_runs(struct status_page *page, struct outbox *outbox,
                                     struct lease *lease, struct error *err)
{
    enum status status = STATUS_OK;
    bool renewed = false;
    struct buffer *text = &page->text;
    const struct config *config = page->service->config;
    bool here = running_here(config, RUNNING_RELAY) ||
                status_metric(page, "keepstep_relay_holds_lease") >= 0;
    if (!here && lease->until_us > clock_wall_us())
        status = status_watch_lease(outbox, lease, &renewed, err);
    if (status != STATUS_OK)
        return status;
    double left = (double)(lease->until_us - clock_wall_us()) / 1e6;
    page->relay = here || renewed ? STATUS_RUNNING
                  : left > 0      ? STATUS_RUNNING_UNKNOWN
                                  : STATUS_NOT_RUNNING;
    buffer_append_format(text, "  relay      %s", status_running_names[page->relay]);
    if (page->relay == STATUS_RUNNING_UNKNOWN)
        buffer_append_format(text,
                             ": none on this machine; instance %s has the lease for another %.0f s "
                             "and does not renew it: killed, or busy elsewhere",
                             lease->holder, left);
    else if (page->relay == STATUS_RUNNING && left <= 0)
        buffer_append_text(text, ", without the lease");
    else if (page->relay == STATUS_RUNNING && strcmp(lease->holder, config->instance) != 0)
        buffer_append_format(text, "%s; instance %s has the lease",
                             status_metric(page, "keepstep_relay_standby") > 0 ? " as standby" : "",
                             lease->holder);
    else if (page->relay == STATUS_RUNNING)
        buffer_append_format(text, ", instance %s", lease->holder);
    buffer_append_text(text, "\n");
    return STATUS_OK;
}

static enum status status_relay(struct status_page *page, struct outbox *outbox, int64_t waiting,
                                struct error *err)
{
    struct lease lease = {0};
    enum status status = outbox->ops->read_lease(outbox, &lease, err);
    if (status == STATUS_OK)
        status = status_relay_runs(page, outbox, &lease, err);
    if (status != STATUS_OK)
        return status;
    bool held = lease.until_us > clock_wall_us();
    page->waits_for_relay = page->relay == STATUS_NOT_RUNNING && waiting > 0;
    page->voided = held ? page->voided : -1;
    if (page->voided > 0)
        buffer_append_format(&page->text,
                             "  LOST       %" PRId64 " since it started: sent as a void, without "
                             "their change\n",
                             page->voided);
    double standby = status_metric(page, "keepstep_relay_standby");
    member_word(&page->json, "relay_state", status_running_names[page->relay]);
    if (standby < 0)
        member_text(&page->json, "standby", (struct slice){0});
    else
        member_bool(&page->json, "standby", standby > 0);
    member_text(&page->json, "lease_holder", held ? slice_of(lease.holder) : (struct slice){0});
    member_known_number(&page->json, "voided", page->voided);
    return status_hold_append(outbox, page->service->config, &page->text, &page->json, err);
}

/* Compare the triggers with the rights of whoever asks, so that it works also where no relay runs.
 */
static enum status status_captures(struct status_page *page, struct error *err)
{
    static const char *const words[] = {[CAPTURE_UNKNOWN] = "capture not known",
                                        [CAPTURE_PARTIAL] = "captured but for TRUNCATE",
                                        [CAPTURE_BROKEN] = "NOT CAPTURED"};
    const struct config *config = page->service->config;
    struct capture_finding *findings = calloc(config->publish_count + 1, sizeof *findings);
    if (findings == NULL)
        return error_set(err, STATUS_FATAL, "out of memory");
    page->captures_broken = capture_compare(
        config, (const struct entity_schema *const *)page->service->published, NULL, NULL,
        findings);
    member_begin(&page->json, "capture", "[");
    for (size_t i = 0; i < config->publish_count; i++) {
        const char *type = config->publish[i].entity_type;
        buffer_append_format(&page->text, "  %-10s to topic %s\n", type, config->publish[i].topic);
        if (findings[i].state != CAPTURE_WHOLE)
            buffer_append_format(&page->text, "    %s: %s\n", words[findings[i].state],
                                 findings[i].text);
        member_begin(&page->json, NULL, "{");
        member_text(&page->json, "entity_type", slice_of(type));
        member_text(&page->json, "state", slice_of(capture_state_name(findings[i].state)));
        member_text(&page->json, "reason", status_or_null(findings[i].text));
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

static enum status status_outbox(struct status_page *page, struct outbox *outbox, struct error *err)
{
    struct outbox_counts counts = {0};
    enum status status = outbox->ops->count(outbox, &counts, err);
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
    buffer_append_text(&page->text, "\n");
    member_begin(&page->json, "published", "{");
    member_number(&page->json, "waiting", counts.waiting);
    member_number(&page->json, "claimed", counts.claimed);
    member_number(&page->json, "set_aside", counts.set_aside);
    member_seconds(&page->json, "oldest_waiting_s", waiting_s);
    member_seconds(&page->json, "oldest_unacknowledged_s", oldest_s);
    const struct status_sets sets = {
        page->service->config->transactions == TRANSACTIONS_WHOLE,
        (int64_t)status_metric(page, "keepstep_changeset_largest_events")};
    status = status_sets_append(outbox, &sets, &page->text, &page->json, err);
    return status == STATUS_OK ? status_relay(page, outbox, counts.waiting + counts.claimed, err)
                               : status;
}

static enum status status_published(struct status_page *page, struct error *err)
{
    struct outbox *outbox = NULL;
    enum status status = service_open_outbox(page->service, true, &outbox, err);
    if (status != STATUS_OK)
        return status;
    status = status_outbox(page, outbox, err);
    if (status == STATUS_OK)
        status = status_captures(page, err);
    if (status == STATUS_OK)
        status = status_joint_append(page->service, &page->text, &page->json, err);
    if (status == STATUS_OK)
        status = status_paused_published(outbox, page->service->config, &page->text, &page->json,
                                         err);
    outbox->ops->close(outbox);
    buffer_append_text(&page->json, "}");
    return status;
}

static void status_broker_lost(struct status_page *page, const struct error *err)
{
    (void)snprintf(page->broker_reason, sizeof page->broker_reason, "%s", err->text);
    offsets_close(page->offsets);
    page->offsets = NULL;
}

static void status_stopped(struct status_page *page, const char *reason)
{
    char complete[ERROR_TEXT_SIZE + ADVICE_FLAGS_SIZE];
    advice_complete(reason, complete, sizeof complete);
    buffer_append_format(&page->text, "\n    STOPPED: %s", complete);
}

/* @return how many records no agent can read yet; 0 also where the broker does not answer. */
static int64_t status_withheld(struct status_page *page, const struct partition_state *state,
                               int64_t end)
{
    struct error err = ERROR_INIT;
    int64_t stable = end;
    if (offsets_stable_end(page->offsets, partition_state_tp(state), &stable, &err) != STATUS_OK)
        status_broker_lost(page, &err);
    return end > stable ? end - stable : 0;
}

static void status_partition(struct status_page *page, const struct partition_state *state)
{
    struct error err = ERROR_INIT;
    struct log_bounds bounds = {.end = -1};
    if (page->offsets != NULL &&
        offsets_bounds(page->offsets, partition_state_tp(state), &bounds, &err) != STATUS_OK) {
        bounds.end = -1;
        status_broker_lost(page, &err);
    }
    int64_t end = bounds.end;
    int64_t lag = end > state->next_offset ? end - state->next_offset : 0;
    int64_t withheld = lag > 0 ? status_withheld(page, state, end) : 0;
    page->parked += state->parked_count;
    page->lag += lag;
    page->stopped = page->stopped || state->stopped[0] != '\0';
    buffer_append_format(&page->text, "  %s [%d] at %" PRId64, state->topic, (int)state->partition,
                         state->next_offset);
    if (end >= 0)
        buffer_append_format(&page->text, " of %" PRId64, end);
    if (lag > 0)
        buffer_append_format(&page->text, ", %" PRId64 " behind", lag);
    if (withheld > 0)
        buffer_append_format(&page->text, " (%" PRId64 STATUS_WITHHELD, withheld);
    if (state->parked_count > 0)
        buffer_append_format(&page->text, ", %" PRId64 " parked", state->parked_count);
    if (state->partial)
        buffer_append_text(&page->text, ", a partial copy");
    if (partition_is_filling(state))
        buffer_append_format(&page->text, ", complete from %" PRId64 " on", state->filled_to);
    if (state->stopped[0] != '\0')
        status_stopped(page, state->stopped);
    member_begin(&page->json, NULL, "{");
    status_open_set_append(page->service->config, state, end, &page->text, &page->json);
    buffer_append_text(&page->text, "\n");
    member_text(&page->json, "topic", slice_of(state->topic));
    member_number(&page->json, "partition", state->partition);
    member_number(&page->json, "applied_offset", state->next_offset);
    member_known_number(&page->json, "end_offset", end);
    member_number(&page->json, "parked", state->parked_count);
    member_bool(&page->json, "partial", state->partial);
    member_number(&page->json, "filled_to", state->filled_to);
    member_text(&page->json, "stopped", status_or_null(state->stopped));
    buffer_append_text(&page->json, "}");
}

/* The broker's group knows of agents on other machines, but for a while also of one that was
 * killed. */
static void status_agent_runs(struct status_page *page, bool has_run)
{
    const struct config *config = page->service->config;
    char host[64] = "";
    int members = page->offsets == NULL ? -1 : offsets_members(page->offsets, host, sizeof host);
    bool here = running_here(config, RUNNING_AGENT) ||
                status_metric(page, "keepstep_consumer_ready") >= 0;
    page->agent = here                       ? STATUS_RUNNING
                  : members == 0 || !has_run ? STATUS_NOT_RUNNING
                                             : STATUS_RUNNING_UNKNOWN;
    buffer_append_format(&page->text, "  agent      %s", status_running_names[page->agent]);
    if (!has_run && !here)
        buffer_append_text(&page->text, ": it has not run yet");
    else if (page->agent == STATUS_RUNNING_UNKNOWN && members > 0)
        buffer_append_format(
            &page->text,
            ": none on this machine; the broker counts %d at %s: it runs there, or "
            "was killed within the session timeout",
            members, host);
    else if (page->agent == STATUS_RUNNING_UNKNOWN)
        buffer_append_text(&page->text, ": none on this machine; only the broker knows of others");
    buffer_append_text(&page->text, "\n");
    member_word(&page->json, "agent_state", status_running_names[page->agent]);
}

static enum status status_partitions(struct status_page *page, struct store *store,
                                     struct error *err)
{
    struct partition_state *states = NULL;
    size_t count = 0;
    enum status status = store->ops->list(store, &states, &count, err);
    member_begin(&page->json, "partitions", "[");
    for (size_t i = 0; status == STATUS_OK && i < count; i++) {
        struct partition_state state = {0};
        status = store->ops->read(store, states[i].topic, states[i].partition, &state, err);
        if (status == STATUS_OK)
            status_partition(page, &state);
        partition_state_done(&state);
    }
    buffer_append_text(&page->json, "]");
    if (status == STATUS_OK)
        status_agent_runs(page, count > 0);
    free(states);
    return status;
}

static enum status status_applied(struct status_page *page, struct error *err)
{
    struct store *store = NULL;
    struct store_meta meta;
    struct error broker = ERROR_INIT;
    char group[FEED_GROUP_SIZE];
    enum status status = service_open_store(page->service, true, &store, err);
    if (status == STATUS_OK)
        status = store->ops->meta(store, &meta, err);
    if (status != STATUS_OK)
        goto out;
    feed_group_name(page->service->config, meta.copy_id, group);
    if (offsets_open(page->service->config, group, &page->offsets, &broker) != STATUS_OK) {
        page->offsets = NULL;
        (void)snprintf(page->broker_reason, sizeof page->broker_reason, "%s", broker.text);
    }
    buffer_append_format(&page->text, "\nApplied, as consumer group %s\n", group);
    member_begin(&page->json, "applied", "{");
    member_text(&page->json, "group", slice_of(group));
    status = status_partitions(page, store, err);
    if (status == STATUS_OK)
        status = status_fills_append(store, &page->text, &page->json, &page->fills, err);
    if (status == STATUS_OK)
        status = status_paused_applied(store, page->service->config, &page->text, &page->json, err);
    buffer_append_text(&page->json, "}");
out:
    if (store != NULL)
        store->ops->close(store);
    return status;
}

/* If nothing was asked of the broker yet, ask for the first topic. */
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
    member_text(&page->json, "broker", slice_of(lost ? page->broker_reason : "reached"));
    member_seconds(&page->json, "broker_silent_s", silent_s);
}

static enum status status_read_verdicts(struct status_page *page, struct error *err)
{
    const struct config *config = page->service->config;
    struct control control = {0};
    struct verdict_lines lines;
    verdict_lines_init(&lines);
    enum status status = control_open(config, &command_stop, &control, err);
    if (status == STATUS_OK)
        status = verdict_lines_append(&lines, &control.members, config, err);
    if (status == STATUS_OK)
        buffer_append_format(&page->json, ",%s", buffer_text(&lines.json));
    if (status == STATUS_OK && lines.text.length > 0)
        buffer_append_format(&page->text, "\nCopies, as of record %" PRId64 " of %s\n%s",
                             control.members.end, config->control_topic, buffer_text(&lines.text));
    page->differs = status == STATUS_OK && lines.differs;
    control_close(&control);
    verdict_lines_done(&lines);
    return status;
}

/* Without a broker nobody knows, and a service without a control topic has nothing to say. */
static void status_copies(struct status_page *page)
{
    struct error ignored = ERROR_INIT;
    bool asks = page->broker_reason[0] == '\0' && page->service->config->control_topic[0] != '\0';
    if (!asks || status_read_verdicts(page, &ignored) != STATUS_OK)
        member_text(&page->json, "types", (struct slice){0});
}

/* @return the command to type next, and in *ret_why what it is for; NULL: only read *ret_why. */
static const char *status_next(const struct status_page *page, const char **ret_why)
{
    const struct {
        bool holds;
        const char *command;
        const char *why;
    } steps[] = {
        {page->stopped, "parked resume", "once the cause of what is STOPPED above is mended"},
        {page->fills.again[0] != '\0', page->fills.again,
         "once the cause of the fill that was GIVEN UP is mended"},
        {page->fills.is_held, NULL,
         "wait until the fill ends; where no `keepstep fill` runs any more, run it again"},
        {page->captures_broken > 0, "init",
         "mends the triggers and says what to do about the copies"},
        {page->parked > 0, "parked list", NULL},
        {page->set_aside > 0, "outbox list", NULL},
        {page->waits_for_relay, "run", "publishes what waits; nothing is lost meanwhile"},
        {page->broker_reason[0] != '\0', NULL,
         "start the broker, or correct kafka.bootstrap.servers; nothing is lost meanwhile"},
        {page->relay == STATUS_NOT_RUNNING || page->agent == STATUS_NOT_RUNNING, "run",
         "nothing is lost meanwhile"},
        {page->stalled_s > STATUS_STALL_S, NULL,
         "read the relay's log and the broker's: it takes no records; nothing is lost"},
        {page->voided > 0, NULL,
         "look for \"goes out as a void\" in the relay's log; write those entities again"},
        {page->differs, "copies",
         "shows which copy is DIFFERENT; `keepstep verify` shows the rows"},
        {page->lag > 0, "lag", NULL},
    };
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        if (!steps[i].holds)
            continue;
        *ret_why = steps[i].why;
        return steps[i].command;
    }
    *ret_why = "nothing to do";
    return NULL;
}

/* Write the command so that it can be typed as it is, with its purpose as a shell comment. */
static void status_say_next(struct status_page *page)
{
    char next[ADVICE_FLAGS_SIZE + ERROR_TEXT_SIZE];
    const char *why = NULL;
    const char *command = status_next(page, &why);
    if (command == NULL)
        (void)snprintf(next, sizeof next, "%s", why);
    else
        (void)snprintf(next, sizeof next, "keepstep %s%s%s%s", command, advice_flags(),
                       why == NULL ? "" : "   # ", why == NULL ? "" : why);
    buffer_append_format(&page->text, "\nNext      %s\n", next);
    member_number(&page->json, "parked", page->parked);
    member_text(&page->json, "next", slice_of(next));
}

/* A snapshot that stays open explains why a database cannot clean up behind its writers. */
static void status_snapshots(struct status_page *page)
{
    int64_t open = (int64_t)status_metric(page, "keepstep_snapshots_open");
    if (open > 0)
        buffer_append_format(&page->text,
                             "\nReaders   %" PRId64 " snapshot%s open for other services, the "
                             "oldest for %.0f s\n",
                             open, open == 1 ? "" : "s",
                             status_metric(page, "keepstep_snapshot_age_seconds"));
    member_known_number(&page->json, "snapshots_open", open);
}

static enum status status_fill(struct status_page *page, struct error *err)
{
    const struct config *config = page->service->config;
    enum status status = STATUS_OK;
    buffer_append_format(&page->text, "Service   %s\nDatabase  %s\n", config->service,
                         config->database_shown);
    member_begin(&page->json, NULL, "{");
    member_text(&page->json, "service", slice_of(config->service));
    member_text(&page->json, "database", slice_of(config->database_shown));
    status_ask_sidecar(page);
    if (config->publish_count > 0)
        status = status_published(page, err);
    if (status == STATUS_OK && config->apply_count > 0)
        status = status_applied(page, err);
    if (status != STATUS_OK)
        return status;
    status_ask_broker(page);
    status_copies(page);
    status_broker(page);
    status_snapshots(page);
    status_say_next(page);
    buffer_append_text(&page->json, "}\n");
    return STATUS_OK;
}

static enum status status_print(const struct service *service, const struct command_line *line,
                                struct error *err)
{
    struct status_page page = {.service = service};
    buffer_init(&page.text, STATUS_OUTPUT_MAX);
    buffer_init(&page.json, STATUS_OUTPUT_MAX);
    buffer_init(&page.metrics, STATUS_METRICS_MAX);
    enum status status = status_fill(&page, err);
    if (status == STATUS_OK)
        command_print(line->json ? &page.json : &page.text, line->json);
    offsets_close(page.offsets);
    buffer_done(&page.text);
    buffer_done(&page.json);
    buffer_done(&page.metrics);
    return status;
}

static int status_run(const struct command *command, int argc, char **argv)
{
    return service_command(command, argc, argv, status_print);
}

const struct command command_status = {
    .name = "status",
    .arguments = "",
    .summary = "Show on one screen what is published, what is applied, what to type next.",
    .examples = "  keepstep status -c shop.yaml\n  keepstep status --json -c billing.yaml\n",
    .run = status_run,
};
