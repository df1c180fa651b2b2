/* Compares topics with their design, and makes them like it. Nothing is ever deleted. */
#include "operate/topics/plan.h"

#include "common/utf8.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MS_OF_A_SECOND 1000

/* All data topics, and a rows topic for each; the control topic, the talk topic and the joint
 * topic. */
static size_t plan_most(const struct config *config)
{
    return 2 * (config->publish_count + config->apply_count) + 3;
}

static bool plan_has(const struct plan *plan, const char *name)
{
    for (size_t i = 0; i < plan->count; i++) {
        if (strcmp(plan->topics[i].name, name) == 0)
            return true;
    }
    return false;
}

static void plan_add(struct plan *plan, const struct config *config, const char *name,
                     enum topic_kind kind, int32_t partitions)
{
    if (plan_has(plan, name))
        return;
    struct plan_topic *topic = &plan->topics[plan->count++];
    *topic = (struct plan_topic){.kind = kind, .partitions = partitions, .state = PLAN_UNKNOWN};
    (void)snprintf(topic->name, sizeof topic->name, "%s", name);
    topic_design_make(kind, &config->topics, &topic->design);
}

/* What the agent wants of a topic that it reads: the rest is its publisher's choice. Another
 * program's topic may be compacted. */
static void plan_add_read(struct plan *plan, const struct config *config,
                          const struct config_entry *entry)
{
    int64_t window_s = config->limits.idempotency_window_s;
    if (plan_has(plan, entry->topic))
        return;
    struct plan_topic *topic = &plan->topics[plan->count++];
    *topic = (struct plan_topic){
        .kind = TOPIC_DATA, .read_type = entry->entity_type, .state = PLAN_UNKNOWN};
    (void)snprintf(topic->name, sizeof topic->name, "%s", entry->topic);
    topic->design.count = 2;
    topic->design.settings[0] = (struct topic_setting){
        .name = "cleanup.policy",
        .value = "delete",
        .demand = entry->foreign ? TOPIC_ANY : TOPIC_EXACTLY,
        .reason = "compaction removes sequence numbers from the middle"};
    topic->design.settings[1] = (struct topic_setting){
        .name = "retention.ms",
        .demand = window_s == 0 ? TOPIC_ANY : TOPIC_AT_MOST,
        .reason = "single keys are forgotten after that time (limits.idempotency_window_s)"};
    (void)snprintf(topic->design.settings[1].value, sizeof topic->design.settings[1].value,
                   "%" PRId64, window_s * MS_OF_A_SECOND);
}

static enum status plan_add_rows(struct plan *plan, const struct config *config,
                                 const struct config_entry *entries, size_t count,
                                 struct error *err)
{
    char name[TOPIC_NAME_SIZE];
    enum status status = STATUS_OK;
    for (size_t i = 0; status == STATUS_OK && i < count; i++) {
        status = kafka_talk_topic(config->control_topic, entries[i].topic, name, err);
        if (status == STATUS_OK)
            plan_add(plan, config, name, TOPIC_ROWS, 1);
    }
    return status;
}

enum status plan_make(const struct config *config, struct plan *ret_plan, struct error *err)
{
    char name[TOPIC_NAME_SIZE];
    *ret_plan = (struct plan){.topics = calloc(plan_most(config), sizeof *ret_plan->topics)};
    if (ret_plan->topics == NULL)
        return error_set(err, STATUS_RETRY, "no memory");
    for (size_t i = 0; i < config->publish_count; i++)
        plan_add(ret_plan, config, config->publish[i].topic, TOPIC_DATA,
                 config->publish[i].partitions);
    for (size_t i = 0; i < config->apply_count; i++)
        plan_add_read(ret_plan, config, &config->apply[i]);
    if (config_is_joint(config))
        plan_add(ret_plan, config, config->joint_topic, TOPIC_JOINT, 1);
    if (config->control_topic[0] == '\0')
        return STATUS_OK;
    plan_add(ret_plan, config, config->control_topic, TOPIC_CONTROL, 1);
    enum status status = kafka_talk_topic(config->control_topic, NULL, name, err);
    if (status == STATUS_OK)
        plan_add(ret_plan, config, name, TOPIC_TALK, 1);
    if (status == STATUS_OK)
        status = plan_add_rows(ret_plan, config, config->publish, config->publish_count, err);
    if (status == STATUS_OK)
        status = plan_add_rows(ret_plan, config, config->apply, config->apply_count, err);
    return status;
}

void plan_done(struct plan *plan)
{
    free(plan->topics);
    *plan = (struct plan){0};
}

PRINTF_LIKE(2, 3)
static void plan_refuse(struct plan_line *line, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    utf8_vformat(line->why, sizeof line->why, format, arguments);
    va_end(arguments);
    line->verdict = PLAN_REFUSED;
}

static struct plan_line *plan_line(struct plan_topic *topic, const char *name, const char *reason)
{
    struct plan_line *line = &topic->lines[topic->line_count++];
    *line = (struct plan_line){.name = name, .reason = reason};
    return line;
}

static void plan_number(char text[static PLAN_VALUE_SIZE], int64_t number)
{
    (void)snprintf(text, PLAN_VALUE_SIZE, "%" PRId64, number);
}

/* More partitions would move keys from one to another, so their changes would lose their order. */
static void plan_partitions(struct plan_topic *topic)
{
    bool is_data = topic->kind == TOPIC_DATA;
    struct plan_line *line = plan_line(topic, "partitions",
                                       is_data ? "an entity's changes stay in one partition"
                                               : "all read the same records in the same order");
    plan_number(line->should, topic->partitions);
    if (topic->state != PLAN_THERE)
        return;
    plan_number(line->is, topic->found.partitions);
    if (topic->found.partitions == topic->partitions)
        return;
    if (is_data)
        plan_refuse(
            line,
            "entities would change their partitions. Write partitions: %" PRId32
            ", or publish to a new topic with `topic:` and `keepstep init --republish TYPE`",
            topic->found.partitions);
    else if (topic->kind == TOPIC_JOINT)
        plan_refuse(line, "all decisions need one order, and the records that are there are "
                          "decisions: restore the topic as it was");
    else
        plan_refuse(line, "another program made it: delete it and run `keepstep topics apply`, or "
                          "name another one under control_topic:");
}

static void plan_replicas(struct plan_topic *topic)
{
    int wanted = topic->design.replication_factor;
    struct plan_line *line = plan_line(
        topic, "replication factor",
        "so many brokers keep each record (topics.replication_factor)");
    if (wanted > 0)
        plan_number(line->should, wanted);
    if (topic->state != PLAN_THERE)
        return;
    if (topic->found.replicas == topic->found.replicas_max)
        plan_number(line->is, topic->found.replicas);
    else
        (void)snprintf(line->is, sizeof line->is, "%d to %d", topic->found.replicas,
                       topic->found.replicas_max);
    if (wanted > 0 && (topic->found.replicas != wanted || topic->found.replicas_max != wanted))
        plan_refuse(line,
                    "all data would be copied between the brokers. Do it with "
                    "kafka-reassign-partitions.sh, or write replication_factor: %d",
                    topic->found.replicas);
}

/* A topic whose smallest partition has fewer replicas would take no record any more. */
static void plan_check_in_sync(const struct plan_topic *topic, struct plan_line *line)
{
    int64_t wanted = strtoll(line->should, NULL, 10);
    if (line->verdict == PLAN_CHANGE && strcmp(line->name, "min.insync.replicas") == 0 &&
        wanted > topic->found.replicas)
        plan_refuse(line,
                    "with %d replica%s the topic would take no record any more. Raise the "
                    "replication factor first, with kafka-reassign-partitions.sh",
                    topic->found.replicas, topic->found.replicas == 1 ? "" : "s");
}

/* Only who publishes a topic changes it. */
static void plan_refuse_read(const struct plan_topic *topic, struct plan_line *line)
{
    if (topic->read_type == NULL || line->verdict != PLAN_CHANGE)
        return;
    if (strcmp(line->name, "retention.ms") == 0)
        plan_refuse(line,
                    "write limits.idempotency_window_s: 0 (for ever) here, or as long as the topic "
                    "keeps its records; or a smaller topics.retention_s where %s is published",
                    topic->read_type);
    else
        plan_refuse(line,
                    "another service publishes it: run `keepstep topics apply` with the "
                    "configuration of the one that publishes %s",
                    topic->read_type);
}

static void plan_setting(struct plan_topic *topic, const struct topic_setting *setting)
{
    struct plan_line *line = plan_line(topic, setting->name, setting->reason);
    if (setting->demand != TOPIC_ANY)
        (void)snprintf(line->should, sizeof line->should, "%s%s",
                       setting->demand == TOPIC_AT_LEAST  ? ">= "
                       : setting->demand == TOPIC_AT_MOST ? "<= "
                                                          : "",
                       setting->value);
}

/* Where three brokers keep a decision, two of them have it before anybody acts on it (rule 74). */
static void plan_tighten(struct plan_topic *topic)
{
    for (size_t i = 0; i < topic->design.count; i++) {
        struct topic_setting *setting = &topic->design.settings[i];
        if (topic->kind != TOPIC_JOINT || topic->state != PLAN_THERE || topic->found.replicas < 3 ||
            setting->demand != TOPIC_ANY || strcmp(setting->name, "min.insync.replicas") != 0)
            continue;
        setting->demand = TOPIC_AT_LEAST;
        setting->reason = "a decision must not go with one broker";
        (void)snprintf(setting->value, sizeof setting->value, "2");
    }
}

/* The lines as they are without an answer: nothing is known of what is there. */
static void plan_lines(struct plan_topic *topic)
{
    topic->line_count = 0;
    if (topic->read_type == NULL) {
        plan_partitions(topic);
        plan_replicas(topic);
    }
    for (size_t i = 0; i < topic->design.count; i++)
        plan_setting(topic, &topic->design.settings[i]);
    for (size_t i = 0; topic->state == PLAN_MISSING && i < topic->line_count; i++)
        topic->lines[i].verdict = PLAN_CHANGE;
}

static void plan_visit(void *context, const struct kafka_config *config)
{
    struct plan_topic *topic = context;
    for (size_t i = 0; i < topic->design.count; i++) {
        const struct topic_setting *setting = &topic->design.settings[i];
        struct plan_line *line = &topic->lines[topic->line_count - topic->design.count + i];
        if (config->value == NULL || strcmp(setting->name, config->name) != 0)
            continue;
        (void)snprintf(line->is, sizeof line->is, "%s", config->value);
        if (!topic_setting_holds(setting, config->value))
            line->verdict = PLAN_CHANGE;
        plan_check_in_sync(topic, line);
        plan_refuse_read(topic, line);
    }
}

/* What is not known is never the same. */
static void plan_check_told(struct plan_topic *topic)
{
    for (size_t i = 0; i < topic->design.count; i++) {
        struct plan_line *line = &topic->lines[topic->line_count - topic->design.count + i];
        if (line->is[0] == '\0' && line->should[0] != '\0')
            plan_refuse(line, "the brokers do not tell it. Look at it, and set it, by their own "
                              "tools");
    }
}

void plan_compare(struct plan_topic *topic, struct kafka_admin *admin)
{
    struct error err = ERROR_INIT;
    enum status status = kafka_admin_topic(admin, topic->name, &topic->found, &err);
    topic->state = status != STATUS_OK            ? PLAN_UNKNOWN
                   : topic->found.partitions == 0 ? PLAN_MISSING
                                                  : PLAN_THERE;
    plan_tighten(topic);
    plan_lines(topic);
    if (topic->state == PLAN_THERE)
        status = kafka_admin_settings(admin, topic->name,
                                      &(struct kafka_config_visitor){plan_visit, topic}, &err);
    if (topic->state == PLAN_THERE && status == STATUS_OK)
        plan_check_told(topic);
    if (status == STATUS_OK)
        return;
    topic->state = PLAN_UNKNOWN;
    utf8_format(topic->problem, sizeof topic->problem, "%s", err.text);
}

enum status plan_compare_all(struct plan *plan, struct kafka_admin *admin, struct error *err)
{
    struct kafka_admin_cluster cluster;
    enum status status = kafka_admin_cluster(admin, &cluster, err);
    if (status == STATUS_OK && cluster.is_mock)
        status = error_set(error_config(err), STATUS_STOP,
                           "this is the broker in memory of keepstep broker: it has no settings "
                           "of topics, and the topics that it was started with");
    if (status == STATUS_RETRY) {
        struct error first = *err;
        error_clear(err);
        status = error_set_native(err, STATUS_RETRY, first.native_code,
                                  "%s; start it, or correct kafka.bootstrap.servers or another "
                                  "setting under `kafka:`",
                                  first.text);
    }
    for (size_t i = 0; status == STATUS_OK && i < plan->count; i++)
        plan_compare(&plan->topics[i], admin);
    return status;
}

size_t plan_count(const struct plan_topic *topic, enum plan_verdict verdict)
{
    size_t count = 0;
    for (size_t i = 0; i < topic->line_count; i++)
        count += topic->lines[i].verdict == verdict;
    return count;
}

bool plan_topic_differs(const struct plan_topic *topic)
{
    if (topic->state == PLAN_MISSING)
        return topic->read_type == NULL;
    return topic->state == PLAN_UNKNOWN || plan_count(topic, PLAN_SAME) != topic->line_count;
}

bool plan_differs(const struct plan *plan)
{
    for (size_t i = 0; i < plan->count; i++) {
        if (plan_topic_differs(&plan->topics[i]))
            return true;
    }
    return false;
}

enum status plan_apply(const struct plan_topic *topic, struct kafka_admin *admin, struct error *err)
{
    struct text_pair changes[TOPIC_SETTINGS_MAX];
    size_t count = 0;
    if (topic->read_type != NULL)
        return STATUS_OK;
    if (topic->state == PLAN_UNKNOWN)
        return error_set(err, STATUS_RETRY, "%s", topic->problem);
    if (topic->state == PLAN_MISSING)
        return kafka_admin_create(admin, topic->name, topic->partitions, &topic->design, err);
    for (size_t i = 0; i < topic->design.count; i++) {
        const struct topic_setting *setting = &topic->design.settings[i];
        if (topic->lines[topic->line_count - topic->design.count + i].verdict == PLAN_CHANGE)
            changes[count++] = (struct text_pair){setting->name, setting->value};
    }
    return count == 0 ? STATUS_OK : kafka_admin_change(admin, topic->name, changes, count, err);
}
