/* Ready means progress: loops come round, acknowledgements move, triggers are there. */
#include "operate/metrics.h"

#include "common/clock.h"
#include "consumer/store/fill.h"

#include <math.h>
#include <stdatomic.h>

#define READY_PROGRESS_US                                                                          \
    (30 * (int64_t)1000000) /* a loop that is silent for longer is not ready */
#define READY_HEARD_US    (10 * (int64_t)1000000) /* an answer that is older is none */
#define READY_STALL_S     10.0                    /* without an acknowledgement */
#define READY_SILENT_S    30.0                    /* without an answer of the broker */
#define READY_SILENT_TEXT "%s: the broker has not answered for %.0f s"

/* What a loop knows of whether somebody answers it. */
struct answers {
    int64_t silent_since_us; /* monotonic; 0: it answers, or was not asked */
    int64_t heard_us;        /* monotonic; 0: never */
    bool is_silent;          /* known otherwise */
};

/* One loop that gets no answer is enough. What was heard long ago says nothing of now. */
static double answers_up(const struct answers *answers, size_t count)
{
    double up = NAN;
    for (size_t i = 0; i < count; i++) {
        if (answers[i].silent_since_us != 0 || answers[i].is_silent)
            return 0;
        if (answers[i].heard_us != 0 &&
            clock_monotonic_us() - answers[i].heard_us <= READY_HEARD_US)
            up = 1;
    }
    return up;
}

double metrics_broker_up(const struct metrics_sources *sources)
{
    const struct agent_metrics *agent = sources->agent;
    const struct relay_metrics *relay = sources->relay;
    struct answers answers[2];
    size_t count = 0;
    if (agent != NULL)
        answers[count++] = (struct answers){
            .silent_since_us = atomic_load(&agent->broker_silent_since_us),
            .heard_us = atomic_load(&agent->broker_heard_us)};
    if (relay != NULL)
        answers[count++] = (struct answers){
            .silent_since_us = atomic_load(&relay->broker_silent_since_us),
            .heard_us = atomic_load(&relay->broker_heard_us),
            .is_silent = metrics_relay_stalled_s(relay) > READY_STALL_S};
    return answers_up(answers, count);
}

/* A round of the agent that lasts has a statement without an answer, for the broker is never waited
 * for so long once partitions are assigned. */
double metrics_database_up(const struct metrics_sources *sources)
{
    const struct agent_metrics *agent = sources->agent;
    const struct relay_metrics *relay = sources->relay;
    struct answers answers[2];
    size_t count = 0;
    if (agent != NULL) {
        int state = atomic_load(&agent->state);
        bool asks = state == AGENT_APPLYING || state == AGENT_WAITING_DATABASE;
        answers[count++] = (struct answers){
            .silent_since_us = atomic_load(&agent->database_lost_since_us),
            .heard_us = atomic_load(&agent->database_heard_us),
            .is_silent = asks && metrics_agent_silence_us(agent) > READY_HEARD_US};
    }
    if (relay != NULL)
        answers[count++] = (struct answers){
            .silent_since_us = atomic_load(&relay->database_lost_since_us),
            .heard_us = atomic_load(&relay->database_heard_us),
            .is_silent = metrics_relay_silence_us(relay) > READY_HEARD_US};
    return answers_up(answers, count);
}

bool metrics_agent_is_ready(const struct agent_metrics *agent)
{
    return atomic_load(&agent->ready) && metrics_agent_silence_us(agent) <= READY_PROGRESS_US &&
           metrics_since_s(atomic_load(&agent->broker_silent_since_us)) <= READY_SILENT_S;
}

/* @return whether the agent makes progress; the reason otherwise. */
static bool agent_is_ready(const struct agent_metrics *agent, struct buffer *reason)
{
    enum agent_state state = (enum agent_state)atomic_load(&agent->state);
    double silent = metrics_since_s(atomic_load(&agent->broker_silent_since_us));
    if (metrics_agent_is_ready(agent))
        return true;
    if (silent > READY_SILENT_S)
        buffer_append_format(reason, READY_SILENT_TEXT, "agent", silent);
    else
        buffer_append_format(reason, "agent: %s",
                             state == AGENT_APPLYING ? "no progress" : agent_state_name(state));
    return false;
}

/* A copy that is being filled has not all rows, or older and newer ones side by side. */
static bool copies_are_filled(const struct agent_metrics *agent, struct buffer *reason)
{
    bool filled = true;
    for (size_t i = 0; i < atomic_load(&agent->fill_count); i++) {
        const struct agent_fill_metrics *fill = &agent->fills[i];
        enum fill_stage stage = (enum fill_stage)atomic_load(&fill->stage);
        if (!fill_is_under_way(stage))
            continue;
        filled = false;
        buffer_append_text(reason, reason->length > 0 ? "; " : "");
        if (atomic_load(&fill->is_given_up))
            buffer_append_format(reason,
                                 "agent: the fill of %s was given up; `keepstep status` says why",
                                 fill->topic);
        else
            buffer_append_format(reason, "agent: %s is being filled: %s, %lld rows", fill->topic,
                                 fill_stage_name(stage), (long long)atomic_load(&fill->rows));
    }
    return filled;
}

/* @return whether acknowledgements come where something is under way; the reason otherwise. */
static bool relay_is_ready(const struct relay_metrics *relay, struct buffer *reason)
{
    const char *before = reason->length > 0 ? "; " : "";
    double stalled = metrics_relay_stalled_s(relay);
    double silent = metrics_since_s(atomic_load(&relay->broker_silent_since_us));
    if (stalled > READY_STALL_S) {
        buffer_append_format(
            reason, "%srelay: nothing was acknowledged for %.0f s, %lld events are under way",
            before, stalled, (long long)atomic_load(&relay->in_flight));
    } else if (silent > READY_SILENT_S) {
        buffer_append_text(reason, before);
        buffer_append_format(reason, READY_SILENT_TEXT, "relay", silent);
    } else if (clock_wall_us() - atomic_load(&relay->progress_us) > READY_PROGRESS_US) {
        buffer_append_format(reason, "%srelay: no progress", before);
    } else {
        return true;
    }
    return false;
}

/* A relay that holds back publishes nothing, however much waits (rule 41). */
static bool relay_may_publish(const struct metrics_sources *sources, struct buffer *reason)
{
    size_t held = atomic_load(&sources->relay->held_entry);
    if (held == 0 || held > sources->config->publish_count ||
        !atomic_load(&sources->relay->holds_lease))
        return true;
    buffer_append_format(reason,
                         "%srelay: publishes nothing until this service's own copy of topic %s has "
                         "all rows",
                         reason->length > 0 ? "; " : "", sources->config->publish[held - 1].topic);
    return false;
}

/* Without its triggers a relay has nothing to publish, and would look healthy. */
static bool capture_is_whole(const struct metrics_sources *sources, struct buffer *reason)
{
    const struct config *config = sources->config;
    size_t first = atomic_load(&sources->relay->capture_first);
    if (atomic_load(&sources->relay->capture_broken) == 0 || first >= config->publish_count)
        return true;
    buffer_append_format(reason,
                         "%srelay: changes of table %s are not captured as they should be; run "
                         "keepstep init -c %s",
                         reason->length > 0 ? "; " : "", config->publish[first].table,
                         config->path);
    return false;
}

bool metrics_ready(void *context, struct buffer *reason)
{
    const struct metrics_sources *sources = context;
    bool ready = true;
    if (sources->agent != NULL && !agent_is_ready(sources->agent, reason))
        ready = false;
    if (sources->agent != NULL && !copies_are_filled(sources->agent, reason))
        ready = false;
    if (sources->relay != NULL && !relay_is_ready(sources->relay, reason))
        ready = false;
    if (sources->relay != NULL && !relay_may_publish(sources, reason))
        ready = false;
    if (sources->relay != NULL && !capture_is_whole(sources, reason))
        ready = false;
    if (ready && sources->relay != NULL && atomic_load(&sources->relay->standby))
        buffer_append_text(reason, "relay: standby");
    return ready;
}
