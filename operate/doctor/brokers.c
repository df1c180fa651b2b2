/* Checks of the brokers: version, topics, what may be read, the clock. */
#include "common/clock.h"
#include "common/kafka_control_topic.h"
#include "operate/doctor/doctor.h"
#include "operate/members.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BROKER_ARENA_MAX ((size_t)4 * 1024 * 1024)
#define BROKER_PRODUCE   3 /* the first version of a request whose records have headers */

/* The first release of Kafka whose brokers answer that version of a fetch request. */
static const char *brokers_release(int fetch)
{
    static const struct {
        int fetch;
        const char *release;
    } releases[] = {{18, "4.1"}, {17, "3.9"}, {16, "3.7"}, {15, "3.5"}, {14, "3.5"},
                    {13, "3.1"}, {12, "2.7"}, {11, "2.3"}, {10, "2.1"}, {7, "1.1"}};
    for (size_t i = 0; i < sizeof releases / sizeof *releases; i++) {
        if (fetch >= releases[i].fetch)
            return releases[i].release;
    }
    return NULL;
}

static void brokers_say(struct doctor *doctor, const struct kafka_admin_cluster *cluster,
                        const struct kafka_admin_requests *requests)
{
    const char *release = brokers_release(requests->fetch);
    bool is_known = requests->produce >= 0;
    if (cluster->is_mock) {
        doctor_say(doctor, DOCTOR_WARN,
                   "this is the broker of keepstep broker, which keeps "
                   "nothing");
        doctor_advise(doctor, "use it for trials only");
    } else if (is_known && requests->produce < BROKER_PRODUCE) {
        doctor_say(doctor, DOCTOR_FAIL, "the broker is older than Kafka 0.11");
        doctor_advise(doctor, "use a later version: records need headers");
    } else {
        doctor_say(doctor, DOCTOR_OK, "%d broker%s, cluster %s, %s%s", cluster->brokers,
                   cluster->brokers == 1 ? " answers" : "s answer", cluster->id,
                   release == NULL ? "version not known" : "protocol of Kafka ",
                   release == NULL ? "" : release);
    }
}

void doctor_check_broker(struct doctor *doctor)
{
    struct error err = ERROR_INIT;
    struct kafka_admin_cluster cluster;
    struct kafka_admin_requests requests = {-1, -1};
    const struct config *config = doctor->service.config;
    const struct kafka_admin_options options = {.settings = config->kafka,
                                                .setting_count = config->kafka_count,
                                                .timeout_ms = DOCTOR_TIMEOUT_MS};
    enum status status = kafka_admin_open(&options, &doctor->admin, &err);
    if (status == STATUS_OK)
        status = kafka_admin_cluster(doctor->admin, &cluster, &err);
    if (status != STATUS_OK) {
        doctor_say(doctor, DOCTOR_FAIL, "%s", err.text);
        doctor_advise(doctor,
                      "start it, or correct kafka.bootstrap.servers or another setting under "
                      "`kafka:`");
        return;
    }
    doctor->has |= DOCTOR_BROKER | (cluster.is_mock ? 0 : DOCTOR_SETTINGS);
    if (kafka_admin_requests(&options, &requests, &err) != STATUS_OK)
        requests = (struct kafka_admin_requests){-1, -1};
    brokers_say(doctor, &cluster, &requests);
}

/* Settings by which the relay or a sidecar refuses the topic. */
static bool brokers_must_be(const struct plan_topic *topic, const struct plan_line *line)
{
    return strcmp(line->name, "partitions") == 0 || strcmp(line->name, "cleanup.policy") == 0 ||
           (topic->kind == TOPIC_DATA && strcmp(line->name, "message.timestamp.type") == 0);
}

static void brokers_line(struct doctor *doctor, const struct plan_topic *topic,
                         const struct plan_line *line)
{
    doctor_say(doctor, brokers_must_be(topic, line) ? DOCTOR_FAIL : DOCTOR_WARN,
               "%s: %s is %s, should be %s: %s", topic->name, line->name, line->is, line->should,
               line->reason);
    if (line->verdict == PLAN_REFUSED)
        doctor_advise(doctor, "%s", line->why);
    else
        doctor_advise(doctor, "run `keepstep topics apply`");
}

static int64_t brokers_min_in_sync(const struct plan_topic *topic)
{
    for (size_t i = 0; i < topic->line_count; i++) {
        if (strcmp(topic->lines[i].name, "min.insync.replicas") == 0)
            return strtoll(topic->lines[i].is, NULL, 10);
    }
    return 0;
}

/* @return whether something about the replicas is told. */
static bool brokers_replicas(struct doctor *doctor, const struct plan_topic *topic)
{
    const struct kafka_admin_topic *found = &topic->found;
    if (!found->has_leaders || found->in_sync < brokers_min_in_sync(topic)) {
        doctor_say(doctor, DOCTOR_FAIL,
                   "%s: a partition takes no record: %d of %d replicas are in "
                   "sync, min.insync.replicas is %" PRId64,
                   topic->name, found->in_sync, found->replicas, brokers_min_in_sync(topic));
        doctor_advise(doctor, "start the brokers that are missing");
        return true;
    }
    if (topic->kind == TOPIC_JOINT && found->replicas == 1) {
        doctor_say(doctor, DOCTOR_WARN,
                   "%s: one broker alone keeps the decisions of joint "
                   "transactions, which are lost with it",
                   topic->name);
        doctor_advise(doctor, "let three brokers keep it, with kafka-reassign-partitions.sh");
        return true;
    }
    if (found->in_sync == found->replicas)
        return false;
    doctor_say(doctor, DOCTOR_WARN, "%s: of a partition's %d replicas %d are in sync", topic->name,
               found->replicas, found->in_sync);
    doctor_advise(doctor, "start the brokers that are missing, or wait until they have caught up");
    return true;
}

static void brokers_topic(struct doctor *doctor, const struct plan_topic *topic)
{
    bool is_for_later = topic->kind == TOPIC_TALK || topic->kind == TOPIC_ROWS;
    if (topic->state == PLAN_MISSING && is_for_later) {
        doctor_say(doctor, DOCTOR_OK, "%s does not exist yet; who needs it first makes it",
                   topic->name);
        return;
    }
    if (topic->state == PLAN_MISSING) {
        doctor_say(doctor, DOCTOR_WARN, "%s does not exist yet", topic->name);
        doctor_advise(doctor, "run `keepstep topics apply`, or let the sidecar make it");
        return;
    }
    if (topic->state == PLAN_UNKNOWN) {
        doctor_say(doctor, DOCTOR_FAIL, "%s", topic->problem);
        doctor_advise(doctor, "give the login Describe and DescribeConfigs on the topic");
        return;
    }
    bool is_told = brokers_replicas(doctor, topic);
    for (size_t i = 0; i < topic->line_count; i++) {
        if (topic->lines[i].verdict != PLAN_SAME)
            brokers_line(doctor, topic, &topic->lines[i]);
    }
    if (!is_told && plan_count(topic, PLAN_SAME) == topic->line_count)
        doctor_say(doctor, DOCTOR_OK, "%s: %d partition%s with %d replica%s, as it should be",
                   topic->name, (int)topic->found.partitions,
                   topic->found.partitions == 1 ? "" : "s", topic->found.replicas,
                   topic->found.replicas == 1 ? "" : "s");
}

void doctor_check_topics(struct doctor *doctor)
{
    struct error err = ERROR_INIT;
    struct plan plan;
    if (plan_make(doctor->service.config, &plan, &err) != STATUS_OK)
        doctor_say(doctor, DOCTOR_FAIL, "%s", err.text);
    for (size_t i = 0; i < plan.count && !doctor_is_late(doctor); i++) {
        if (plan.topics[i].read_type != NULL) /* doctor_check_sources() looks at those */
            continue;
        plan_compare(&plan.topics[i], doctor->admin);
        brokers_topic(doctor, &plan.topics[i]);
    }
    plan_done(&plan);
}

/* A topic that this service applies is another one's: it is not compared with our design. */
static void brokers_source(struct doctor *doctor, const struct config_entry *entry)
{
    struct error err = ERROR_INIT;
    struct kafka_admin_topic found;
    struct topic_settings settings;
    const struct config *config = doctor->service.config;
    enum status status = kafka_admin_topic(doctor->admin, entry->topic, &found, &err);
    if (status == STATUS_OK && found.partitions == 0) {
        doctor_say(doctor, DOCTOR_WARN, "%s does not exist yet", entry->topic);
        doctor_advise(doctor, "start the sidecar of the service that publishes %s",
                      entry->entity_type);
        return;
    }
    if (status == STATUS_OK)
        status = kafka_admin_rules(doctor->admin, entry->topic, &settings, &err);
    if (status != STATUS_OK) {
        doctor_say(doctor, DOCTOR_FAIL, "%s", err.text);
        doctor_advise(doctor, "give the login Describe and DescribeConfigs on the topic");
    } else if (settings.is_compacted && !entry->foreign) {
        doctor_say(doctor, DOCTOR_FAIL, "%s is compacted, which removes sequence numbers",
                   entry->topic);
        doctor_advise(doctor, "let its publisher run `keepstep topics apply`");
    } else if (feed_check_window(config, entry->topic, settings.retention_ms, &err) != STATUS_OK) {
        doctor_say(doctor, DOCTOR_FAIL, "%s", err.text);
    } else if (settings.retention_ms >= 0) {
        doctor_say(doctor, DOCTOR_OK, "%s keeps records for %" PRId64 " s, single keys stay for %s",
                   entry->topic, settings.retention_ms / 1000,
                   config->limits.idempotency_window_s == 0 ? "ever" : "that long or longer");
    } else {
        doctor_say(doctor, DOCTOR_OK, "%s keeps records for ever", entry->topic);
    }
}

void doctor_check_sources(struct doctor *doctor)
{
    const struct config *config = doctor->service.config;
    for (size_t i = 0; i < config->apply_count && !doctor_is_late(doctor); i++) {
        if (doctor_is_first(config, i))
            brokers_source(doctor, &config->apply[i]);
    }
}

/* Only a write would tell whether the login may write, so that is not tried. */
void doctor_check_reading(struct doctor *doctor)
{
    const struct config *config = doctor->service.config;
    for (size_t i = 0; i < config->apply_count && !doctor_is_late(doctor); i++) {
        struct error err = ERROR_INIT;
        const struct topic_partition first = {config->apply[i].topic, 0};
        int64_t committed = 0;
        int32_t count = 0;
        enum status status = STATUS_OK;
        if (!doctor_is_first(config, i))
            continue;
        status = doctor_open_offsets(doctor, &err);
        if (status == STATUS_OK)
            status = offsets_partition_count(doctor->offsets, first.topic, &count, &err);
        if (status == STATUS_OK && count == 0) {
            doctor_say(doctor, DOCTOR_SKIPPED, "%s does not exist yet", first.topic);
            continue;
        }
        if (status == STATUS_OK)
            status = offsets_may_read(doctor->offsets, first, &err);
        if (status == STATUS_OK && doctor->group[0] != '\0')
            status = offsets_committed(doctor->offsets, first, &committed, &err);
        if (status == STATUS_OK) {
            doctor_say(doctor, DOCTOR_OK, "%s can be read%s%s", first.topic,
                       doctor->group[0] == '\0' ? "" : " in group ", doctor->group);
            continue;
        }
        doctor_say(doctor, DOCTOR_FAIL, "%s", err.text);
        doctor_advise(doctor, "give the login Read on the topic and on the consumer group %s",
                      doctor->group);
    }
}

/* The last time that a sidecar of this service wrote, by its clock and by the broker's. */
struct brokers_clock {
    const char *service;
    int64_t said_us;
    int64_t appended_us;
};

static enum status brokers_hear(void *context, const struct control_record *record,
                                struct error *err)
{
    struct brokers_clock *clock = context;
    struct member_key key = member_key_read(record->key);
    struct member_record member;
    struct error ignored = ERROR_INIT;
    struct arena arena;
    (void)err;
    if (key.kind != MEMBER_KEY_MEMBER || !slice_is(key.service, clock->service) ||
        record->value.data == NULL || record->appended_us == 0)
        return STATUS_OK;
    arena_init(&arena, BROKER_ARENA_MAX);
    if (member_record_read(record->value, &arena, &member, &ignored) == STATUS_OK) {
        clock->said_us = member.at_us;
        clock->appended_us = record->appended_us;
    }
    arena_done(&arena);
    return STATUS_OK;
}

static void brokers_say_clock(struct doctor *doctor, const struct brokers_clock *clock)
{
    int64_t skew_us = clock->appended_us - clock->said_us;
    enum doctor_verdict verdict = doctor_judge_skew(skew_us);
    if (clock->appended_us == 0) {
        doctor_say(doctor, DOCTOR_SKIPPED,
                   "no sidecar of this service has reported with the "
                   "broker's time yet");
        doctor_advise(doctor, "start the sidecar; LogAppendTime comes by `keepstep topics apply`");
        return;
    }
    doctor_say(doctor, verdict,
               "when the sidecar wrote last, the broker's clock was %.1f s %s its "
               "own",
               (double)(skew_us < 0 ? -skew_us : skew_us) / 1e6, skew_us < 0 ? "behind" : "before");
    if (verdict != DOCTOR_OK)
        doctor_advise(doctor, "let NTP set the clocks of the sidecar's machine and of the brokers");
}

void doctor_check_broker_clock(struct doctor *doctor)
{
    char group[256];
    struct error err = ERROR_INIT;
    int64_t end = 0;
    struct control_topic *topic = NULL;
    const struct config *config = doctor->service.config;
    struct brokers_clock clock = {.service = config->service};
    struct control_options options = members_control(config, group, sizeof group);
    if (config->control_topic[0] == '\0') {
        doctor_say(doctor, DOCTOR_SKIPPED, "control_topic: is empty");
        return;
    }
    options.stop = &command_stop;
    enum status status = control_topic_open(&options, &topic, &err);
    if (status == STATUS_OK)
        status = control_topic_check(topic, &err);
    if (status == STATUS_OK)
        status = control_topic_read(topic, brokers_hear, &clock, &end, &err);
    if (status == STATUS_OK)
        brokers_say_clock(doctor, &clock);
    else
        doctor_say(doctor, DOCTOR_SKIPPED, "%s", err.text);
    control_topic_close(topic);
}
