/* Each question has a list of cases, the worst first. The first one that holds answers it. */
#include "operate/page/verdict.h"

#include "common/utf8.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define FRESH_S          5.0
#define SILENT_S         5.0  /* a database or a broker that is silent for longer is away */
#define STALLED_S        10.0 /* without an acknowledgement */
#define OLDEST_S         60.0 /* of a row in the outbox */
#define TREND_PER_S      0.05 /* a smaller one is none */
#define PENDING_PER_S    1.0
#define CAUGHT_UP        100 /* records: less than this come and go */
#define FLEET_S          30.0
#define RETENTION_S      (24.0 * 3600)
#define RETENTION_NEAR_S 3600.0
#define DISK_SHARE       20 /* a twentieth of it should be free */

const char *page_verdict_name(enum page_verdict verdict)
{
    static const char *const names[] = {[PAGE_OK] = "ok",
                                        [PAGE_BEHIND] = "behind",
                                        [PAGE_STALLED] = "stalled",
                                        [PAGE_STOPPED] = "stopped",
                                        [PAGE_UNKNOWN] = "unknown"};
    return names[verdict];
}

static void say(struct page_question *question, enum page_verdict verdict, const char *command,
                const char *format, ...) __attribute__((format(printf, 4, 5)));

static void say(struct page_question *question, enum page_verdict verdict, const char *command,
                const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    utf8_vformat(question->reason, sizeof question->reason, format, arguments);
    va_end(arguments);
    question->verdict = verdict;
    question->command = command;
}

/* A rate that is not known yet is not said. */
static void say_rate(struct page_question *question, const char *begin, const char *what,
                     const char *done, double per_s)
{
    if (isnan(per_s))
        say(question, PAGE_OK, NULL, "%s; too early to say how many %s a second are %s", begin,
            what, done);
    else
        say(question, PAGE_OK, NULL, "%s; %.1f %s a second are %s", begin, per_s, what, done);
}

static const char *plural(int64_t count)
{
    return count == 1 ? "" : "s";
}

/* Seconds as people say them. */
static const char *duration(double seconds, char text[static 32])
{
    if (seconds < 120)
        (void)snprintf(text, 32, seconds < 10 ? "%.1f s" : "%.0f s", seconds);
    else if (seconds < 7200)
        (void)snprintf(text, 32, "%.0f min", seconds / 60);
    else if (seconds < 172800)
        (void)snprintf(text, 32, "%.0f h", seconds / 3600);
    else
        (void)snprintf(text, 32, "%.0f days", seconds / 86400);
    return text;
}

/* @return whether the agent cannot work at all; that answers more than one question. */
static bool judge_agent(const struct page_agent_facts *agent, struct page_question *question)
{
    char text[32];
    if (!agent->is_wanted)
        say(question, PAGE_OK, NULL, "this service keeps no copies");
    else if (!agent->is_here)
        say(question, PAGE_UNKNOWN, "run", "no agent runs in this process");
    else if (agent->partitions_stopped > 0)
        say(question, PAGE_STOPPED, "parked resume", "%s [%" PRId32 "] stands still%s%s",
            agent->stopped_topic, agent->stopped_partition,
            agent->stopped_reason[0] == '\0' ? "" : ": ", agent->stopped_reason);
    else if (agent->is_given_up)
        say(question, PAGE_STOPPED, "status",
            "the fill of %s was given up: nothing of it is read until its cause is mended and "
            "somebody asks anew",
            agent->filling_topic);
    else if (agent->database_silent_s > SILENT_S)
        say(question, PAGE_STALLED, "status", "the database does not answer for %s",
            duration(agent->database_silent_s, text));
    else if (agent->broker_silent_s > SILENT_S)
        say(question, PAGE_STALLED, "status",
            "the broker does not answer for %s; nothing is lost meanwhile",
            duration(agent->broker_silent_s, text));
    else if (!agent->is_checked)
        say(question, PAGE_UNKNOWN, "status", "the database is not checked yet");
    else if (agent->topics_missing > 0)
        say(question, PAGE_STALLED, "status",
            "%" PRId64 " topic%s under apply: do%s not exist yet; their publishers make them",
            agent->topics_missing, plural(agent->topics_missing),
            agent->topics_missing == 1 ? "es" : "");
    else
        return false;
    return true;
}

/* An agent whose only topic is being filled owns nothing, and lags by nothing. */
static bool judge_fill(const struct page_agent_facts *agent, struct page_question *question)
{
    if (agent->filling_topic == NULL)
        return false;
    say(question, PAGE_BEHIND, "status", "%s is being filled; %" PRId64 " row%s so far",
        agent->filling_topic, agent->filling_rows, plural(agent->filling_rows));
    return true;
}

static void judge_fresh(const struct page_facts *facts, struct page_question *question)
{
    const struct page_agent_facts *agent = &facts->agent;
    char text[32];
    if (judge_agent(agent, question))
        return;
    if (agent->paused_type != NULL)
        say(question, PAGE_STOPPED, "resume", "%s is paused here for %s", agent->paused_type,
            duration(agent->paused_s, text));
    else if (judge_fill(agent, question))
        return;
    else if (agent->partitions == 0)
        say(question, PAGE_UNKNOWN, "lag",
            "this agent has no partition: another one of its copy has them, or it has just begun");
    else if (agent->partitions_unknown > 0)
        say(question, PAGE_UNKNOWN, "lag", "the lag of %" PRId64 " partition%s is not known yet",
            agent->partitions_unknown, plural(agent->partitions_unknown));
    else if (agent->lag_s > FRESH_S)
        say(question, PAGE_BEHIND, "lag",
            "the oldest change that is not applied is %s old, in %s [%" PRId32 "]",
            duration(agent->lag_s, text), agent->lag_topic, agent->lag_partition);
    else if (agent->lag_s > 0)
        say(question, PAGE_OK, NULL, "the oldest change that is not applied is %s old",
            duration(agent->lag_s, text));
    else
        say(question, PAGE_OK, NULL, "all that is in the log is applied");
}

/* @return whether nobody answers the relay. */
static bool judge_relay_silence(const struct page_relay_facts *relay,
                                struct page_question *question)
{
    char text[32];
    if (relay->database_silent_s > SILENT_S)
        say(question, PAGE_STALLED, "status", "the database does not answer the relay for %s",
            duration(relay->database_silent_s, text));
    else if (relay->broker_silent_s > SILENT_S)
        say(question, PAGE_STALLED, "status",
            "the broker does not answer the relay for %s; changes wait in the outbox",
            duration(relay->broker_silent_s, text));
    else
        return false;
    return true;
}

/* @return whether the publishing side does not keep up. */
static bool judge_publishing(const struct page_facts *facts, struct page_question *question)
{
    const struct page_relay_facts *relay = &facts->relay;
    char text[32];
    if (!relay->is_here || !relay->holds_lease)
        return false;
    if (judge_relay_silence(relay, question))
        return true;
    if (relay->stalled_s > STALLED_S)
        say(question, PAGE_STALLED, "status",
            "Kafka has acknowledged nothing for %s; %" PRId64 " event%s under way",
            duration(relay->stalled_s, text), relay->in_flight,
            relay->in_flight == 1 ? " is" : "s are");
    else if (facts->trends.pending_per_s > PENDING_PER_S && (double)relay->pending > CAUGHT_UP)
        say(question, PAGE_BEHIND, "status",
            "changes are written faster than published: %" PRId64
            " wait in the outbox, %.0f more each second",
            relay->pending, facts->trends.pending_per_s);
    else
        return false;
    return true;
}

static void judge_lag(const struct page_facts *facts, struct page_question *question)
{
    const struct page_agent_facts *agent = &facts->agent;
    const struct page_trends *trends = &facts->trends;
    char text[32];
    if (agent->lag_records < 0)
        say(question, PAGE_UNKNOWN, "lag", "the lag is not known");
    else if ((double)agent->lag_records <= CAUGHT_UP && agent->lag_s <= FRESH_S)
        say_rate(question, "caught up", "events", "applied", trends->applied_per_s);
    else if (isnan(trends->lag_per_s))
        say(question, PAGE_UNKNOWN, NULL, "%" PRId64 " records behind; too early to say which way",
            agent->lag_records);
    else if (trends->lag_per_s < -TREND_PER_S && !isnan(trends->catch_up_s))
        say(question, PAGE_OK, NULL,
            "%" PRId64 " records behind, and the lag shrinks: caught up in about %s",
            agent->lag_records, duration(trends->catch_up_s, text));
    else if (!(trends->applied_per_s > 0))
        say(question, PAGE_STALLED, "status",
            "%" PRId64 " records behind, and nothing is applied; look at the sidecar's log",
            agent->lag_records);
    else if (trends->lag_per_s > TREND_PER_S)
        say(question, PAGE_BEHIND, "lag",
            "%" PRId64 " records behind, and %.1f more each second; %.1f a second are applied",
            agent->lag_records, trends->lag_per_s, trends->applied_per_s);
    else
        say(question, PAGE_BEHIND, "lag",
            "%" PRId64 " records behind, neither more nor less; %.1f a second are applied",
            agent->lag_records, trends->applied_per_s);
}

/* Of a service that keeps no copies. */
static void judge_publisher(const struct page_facts *facts, struct page_question *question)
{
    const struct page_relay_facts *relay = &facts->relay;
    char waiting[64];
    (void)snprintf(waiting, sizeof waiting, "%" PRId64 " change%s wait%s in the outbox",
                   relay->pending, plural(relay->pending), relay->pending == 1 ? "s" : "");
    if (!relay->is_here)
        say(question, PAGE_UNKNOWN, "run", "no relay runs in this process");
    else if (relay->holds_lease)
        say_rate(question, waiting, "changes", "published", facts->trends.published_per_s);
    else if (relay->is_standby)
        say(question, PAGE_UNKNOWN, "status", "another relay publishes: its page knows");
    else if (!judge_relay_silence(relay, question))
        say(question, PAGE_STALLED, "status", "this relay does not have the lease yet");
}

static void judge_keeping_up(const struct page_facts *facts, struct page_question *question)
{
    if (judge_publishing(facts, question))
        return;
    if (!facts->agent.is_wanted && facts->relay.is_wanted)
        judge_publisher(facts, question);
    else if (!judge_agent(&facts->agent, question) && !judge_fill(&facts->agent, question))
        judge_lag(facts, question);
}

static void judge_parked(const struct page_agent_facts *agent, struct page_question *question)
{
    if (agent->parked_held > 0)
        say(question, PAGE_STOPPED, "parked list",
            "%" PRId64 " record%s parked, %" PRId64 " of them need%s a person", agent->parked,
            agent->parked == 1 ? " is" : "s are", agent->parked_held,
            agent->parked_held == 1 ? "s" : "");
    else
        say(question, PAGE_BEHIND, "parked list",
            "%" PRId64 " record%s parked; the agent tries %s again by itself", agent->parked,
            agent->parked == 1 ? " is" : "s are", agent->parked == 1 ? "it" : "them");
}

static void judge_dropped(const struct page_facts *facts, struct page_question *question)
{
    const struct page_agent_facts *agent = &facts->agent;
    const struct page_relay_facts *relay = &facts->relay;
    if (agent->parked_held > 0)
        judge_parked(agent, question);
    else if (relay->set_aside > 0)
        say(question, PAGE_STOPPED, "outbox list",
            "%" PRId64 " row%s of the outbox %s set aside: %s cannot be published",
            relay->set_aside, plural(relay->set_aside), relay->set_aside == 1 ? "is" : "are",
            relay->set_aside == 1 ? "it" : "they");
    else if (relay->voided > 0)
        say(question, PAGE_STOPPED, "status",
            "%" PRId64 " event%s went out without the change since the start: write those "
            "entities again",
            relay->voided, plural(relay->voided));
    else if (agent->diverged > 0)
        say(question, PAGE_STOPPED, "verify",
            "%" PRId64 " entit%s may differ from the origin since the start", agent->diverged,
            agent->diverged == 1 ? "y" : "ies");
    else if (agent->parked > 0)
        judge_parked(agent, question);
    else if (agent->is_wanted && (!agent->is_here || !agent->is_checked))
        say(question, PAGE_UNKNOWN, "parked list", "no agent has looked yet");
    else if (agent->is_wanted && agent->partitions == 0 && agent->filling_topic != NULL)
        say(question, PAGE_BEHIND, "status",
            "%s is being filled: nothing of it is applied or parked meanwhile",
            agent->filling_topic);
    else if (agent->is_wanted && agent->partitions == 0)
        say(question, PAGE_UNKNOWN, "parked list",
            "this agent has no partition, so it does not know what is parked");
    else if (relay->is_wanted && relay->set_aside < 0)
        say(question, PAGE_UNKNOWN, "outbox list",
            "no relay has the lease here, so what is set aside is not known");
    else
        say(question, PAGE_OK, NULL, "nothing is parked, set aside or voided");
}

static void judge_same(const struct page_facts *facts, struct page_question *question)
{
    const struct page_fleet_facts *fleet = &facts->fleet;
    char text[32];
    if (!fleet->is_wanted)
        say(question, PAGE_UNKNOWN, NULL,
            "there is no control topic, so nobody knows of the others");
    else if (fleet->read_s < 0)
        say(question, PAGE_UNKNOWN, "copies", "the control topic was not read yet");
    else if (fleet->different > 0)
        say(question, PAGE_STOPPED, "verify", "%s at %s is different%s", fleet->type,
            fleet->service, fleet->different > 1 ? ", and so are others" : "");
    else if (fleet->read_s > FLEET_S)
        say(question, PAGE_UNKNOWN, "copies", "the control topic was last read %s ago",
            duration(fleet->read_s, text));
    else if (fleet->copies < 2)
        say(question, PAGE_OK, NULL, "there is no other copy to compare with");
    else if (fleet->unverified > 0)
        say(question, PAGE_UNKNOWN, "verify", "%s at %s was not compared%s", fleet->type,
            fleet->service, fleet->unverified > 1 ? ", and neither were others" : "");
    else if (fleet->verified_s > fleet->verified_limit_s)
        say(question, PAGE_UNKNOWN, "verify",
            "%s at %s was found equal %s ago: too long ago to say so now", fleet->type,
            fleet->service, duration(fleet->verified_s, text));
    else
        say(question, PAGE_OK, NULL,
            "all copies were found equal; the oldest comparison was %s ago",
            duration(fleet->verified_s < 0 ? 0 : fleet->verified_s, text));
}

static bool judge_relay(const struct page_relay_facts *relay, struct page_question *question)
{
    char text[32];
    if (!relay->is_wanted)
        return false;
    if (!relay->is_here)
        say(question, PAGE_UNKNOWN, "run", "no relay runs in this process");
    else if (relay->capture_broken > 0)
        say(question, PAGE_STOPPED, "init",
            "the triggers of %" PRId64 " type%s are not as they should be, of %s first: changes "
            "may be missed",
            relay->capture_broken, plural(relay->capture_broken), relay->capture_type);
    else if (judge_relay_silence(relay, question))
        return true;
    else if (!relay->holds_lease && !relay->is_standby)
        say(question, PAGE_STALLED, "status", "this relay does not have the lease yet");
    else if (relay->paused_type != NULL)
        say(question, PAGE_STOPPED, "resume", "%s is paused for %s: its changes wait in the outbox",
            relay->paused_type, duration(relay->paused_s, text));
    else if (relay->rests_lost > 0)
        say(question, PAGE_STALLED, "status",
            "copies wait for the end of a transaction in %" PRId64
            " partition%s: nothing in the outbox is known to be its rest",
            relay->rests_lost, plural(relay->rests_lost));
    else if (relay->is_held_back)
        say(question, PAGE_BEHIND, "status",
            "nothing is published until the service's own copy has all rows");
    else if (relay->holds_lease && relay->oldest_s > OLDEST_S)
        say(question, PAGE_BEHIND, "status",
            "the oldest change that is not published is %s old; %" PRId64 " wait in the outbox",
            duration(relay->oldest_s, text), relay->pending);
    else if (relay->capture_unknown > 0)
        say(question, PAGE_UNKNOWN, "init",
            "the triggers of %" PRId64 " type%s could not be checked", relay->capture_unknown,
            plural(relay->capture_unknown));
    else
        return false;
    return true;
}

static void judge_source(const struct page_facts *facts, struct page_question *question)
{
    const struct page_source_facts *source = &facts->source;
    const struct page_agent_facts *agent = &facts->agent;
    const struct page_relay_facts *relay = &facts->relay;
    bool overtakes = source->retention_s >= 0 && source->retention_s < RETENTION_S;
    char text[32];
    if (overtakes && source->retention_s < RETENTION_NEAR_S)
        say(question, PAGE_STALLED, "lag",
            "in %s Kafka deletes what this copy has not read of %s: raise the topic's retention",
            duration(source->retention_s, text), source->retention_topic);
    else if (judge_relay(relay, question))
        return;
    else if (overtakes)
        say(question, PAGE_BEHIND, "lag", "in %s Kafka deletes what this copy has not read of %s",
            duration(source->retention_s, text), source->retention_topic);
    else if (source->disk_free >= 0 && source->disk_free < source->disk_size / DISK_SHARE)
        say(question, PAGE_BEHIND, NULL,
            "%" PRId64 " MiB are free on the disk of the database, of %" PRId64,
            source->disk_free >> 20, source->disk_size >> 20);
    else if (agent->is_wanted && (!agent->is_here || !agent->is_checked || agent->partitions == 0 ||
                                  agent->broker_silent_s > SILENT_S))
        say(question, PAGE_UNKNOWN, "lag",
            "nobody here knows whether Kafka deletes what this copy has not read");
    else if (relay->is_here && relay->is_standby)
        say(question, PAGE_OK, NULL, "another relay publishes; this one waits to take over");
    else if (relay->is_here)
        say(question, PAGE_OK, NULL, "%" PRId64 " change%s wait%s in the outbox", relay->pending,
            plural(relay->pending), relay->pending == 1 ? "s" : "");
    else
        say(question, PAGE_OK, NULL, "this service publishes nothing, and reads in time");
}

void page_judge(const struct page_facts *facts, struct page_question ret_questions[PAGE_QUESTIONS])
{
    static const struct {
        const char *id;
        void (*judge)(const struct page_facts *facts, struct page_question *question);
    } questions[PAGE_QUESTIONS] = {{"fresh", judge_fresh},
                                   {"keeping_up", judge_keeping_up},
                                   {"dropped", judge_dropped},
                                   {"same", judge_same},
                                   {"source", judge_source}};
    for (size_t i = 0; i < PAGE_QUESTIONS; i++) {
        ret_questions[i] = (struct page_question){.id = questions[i].id};
        questions[i].judge(facts, &ret_questions[i]);
    }
}
