/* Writes what page_read() has read, and what page_judge() says of it. */
#include "operate/page/state.h"

#include "common/advice.h"
#include "common/clock.h"
#include "operate/member.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static void append_known(struct buffer *out, const char *name, double value)
{
    member_seconds(out, name, isnan(value) ? -1 : value);
}

/* Commands are shown so that they can be typed as they stand. */
static void append_question(const struct page_question *question, struct buffer *out)
{
    char reason[PAGE_REASON_SIZE + ADVICE_FLAGS_SIZE];
    char command[PAGE_COMMAND_SIZE];
    advice_complete(question->reason, reason, sizeof reason);
    if (question->command != NULL)
        (void)snprintf(command, sizeof command, "keepstep %s%s", question->command, advice_flags());
    member_begin(out, NULL, "{");
    member_text(out, "question", slice_of(question->id));
    member_text(out, "verdict", slice_of(page_verdict_name(question->verdict)));
    member_text(out, "reason", slice_of(reason));
    member_text(out, "next", slice_of(question->command == NULL ? NULL : command));
    buffer_append_text(out, "}");
}

/* @return the entity type of a topic; NULL where several share it. */
static const char *type_of(const struct config *config, const char *topic)
{
    const char *type = NULL;
    for (size_t i = 0; i < config->apply_count; i++) {
        if (strcmp(config->apply[i].topic, topic) != 0)
            continue;
        if (type != NULL)
            return NULL;
        type = config->apply[i].entity_type;
    }
    return type;
}

static void append_partition(const struct metrics_sources *sources,
                             const struct agent_partition_metrics *partition, struct buffer *out)
{
    char text[ERROR_TEXT_SIZE];
    char reason[ERROR_TEXT_SIZE + ADVICE_FLAGS_SIZE] = "";
    double records = metrics_lag_records(sources->agent, partition);
    double end = metrics_log_end(sources->agent, partition);
    bool is_stopped = atomic_load(&partition->stopped);
    if (is_stopped) {
        agent_metrics_stop(partition, text, sizeof text);
        advice_complete(text, reason, sizeof reason);
    }
    member_begin(out, NULL, "{");
    member_text(out, "entity_type", slice_of(type_of(sources->config, partition->topic)));
    member_text(out, "topic", slice_of(partition->topic));
    member_number(out, "partition", partition->partition);
    member_known_number(out, "lag_records", isnan(records) ? -1 : (int64_t)records);
    append_known(out, "lag_s", metrics_lag_s(sources->agent, partition));
    member_number(out, "applied_offset", atomic_load(&partition->applied_offset));
    member_number(out, "durable_offset", atomic_load(&partition->durable_offset));
    member_known_number(out, "end_offset", isnan(end) ? -1 : (int64_t)end);
    member_number(out, "parked", atomic_load(&partition->parked));
    member_text(out, "stopped", is_stopped ? slice_of(reason) : (struct slice){0});
    buffer_append_text(out, "}");
}

static void append_partitions(const struct metrics_sources *sources, struct buffer *out)
{
    size_t count = sources->agent == NULL ? 0 : atomic_load(&sources->agent->partition_count);
    member_begin(out, "partitions", "[");
    for (size_t i = 0; i < count; i++) {
        if (atomic_load(&sources->agent->partitions[i].owned))
            append_partition(sources, &sources->agent->partitions[i], out);
    }
    buffer_append_text(out, "]");
}

static void append_rates(struct page_sources *sources, const struct page_trends *trends,
                         struct buffer *out)
{
    double p50_s = NAN;
    double p99_s = NAN;
    history_latency(sources->history, &p50_s, &p99_s);
    member_begin(out, "rates", "{");
    append_known(out, "applied_per_s", trends->applied_per_s);
    append_known(out, "published_per_s", trends->published_per_s);
    append_known(out, "catch_up_s", trends->catch_up_s);
    buffer_append_text(out, "}");
    member_begin(out, "latency", "{");
    append_known(out, "p50_s", p50_s);
    append_known(out, "p99_s", p99_s);
    buffer_append_text(out, "}");
}

static void append_relay(const struct page_relay_facts *relay, bool whole, struct buffer *out)
{
    const char *state = !relay->is_here       ? NULL
                        : relay->is_standby   ? "standby"
                        : !relay->holds_lease ? "waiting"
                        : relay->is_held_back ? "held_back"
                                              : "publishing";
    member_begin(out, "outbox", "{");
    member_known_number(out, "waiting", relay->pending);
    member_known_number(out, "in_flight", relay->in_flight);
    member_known_number(out, "set_aside", relay->set_aside);
    member_seconds(out, "oldest_unacknowledged_s", relay->oldest_s);
    member_text(out, "transactions", slice_of(whole ? "whole" : "single"));
    buffer_append_text(out, "}");
    member_text(out, "relay_state", slice_of(state));
}

/* Before the agent has looked into the database, or while another one of its copy has all
 * partitions, nobody here knows. */
static void append_parked(const struct page_agent_facts *agent, struct buffer *out)
{
    bool is_known = agent->is_here && agent->is_checked && agent->partitions > 0;
    member_known_number(out, "parked", is_known ? agent->parked : -1);
    member_known_number(out, "parked_held", is_known ? agent->parked_held : -1);
    member_known_number(out, "parked_waiting", is_known ? agent->parked_waiting : -1);
}

void state_append(struct page_sources *sources, const struct page_about *about, struct buffer *out)
{
    const struct config *config = sources->metrics->config;
    struct page_reading reading;
    struct page_question questions[PAGE_QUESTIONS];
    page_read(sources, &reading);
    page_judge(&reading.facts, questions);
    member_begin(out, NULL, "{");
    member_text(out, "service", slice_of(config->service));
    member_text(out, "instance", slice_of(config->instance));
    member_text(out, "version", slice_of(KEEPSTEP_VERSION));
    member_time(out, "taken_at", clock_wall_us());
    member_time(out, "started_at", about->started_us);
    member_bool(out, "actions", about->has_token);
    member_begin(out, "questions", "[");
    for (size_t i = 0; i < PAGE_QUESTIONS; i++)
        append_question(&questions[i], out);
    buffer_append_text(out, "]");
    append_partitions(sources->metrics, out);
    append_rates(sources, &reading.facts.trends, out);
    append_relay(&reading.facts.relay, config->transactions == TRANSACTIONS_WHOLE, out);
    append_parked(&reading.facts.agent, out);
    buffer_append_text(out, "}\n");
}
