/* The table of all settings that Keepstep's topics have. */
#include "common/topic_design.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MESSAGE_BYTES  1000000 /* a batch, and a part of an answer, is never larger */
#define MS_OF_A_SECOND 1000
#define KIND(kind)     (1u << (kind))
#define TALKING        (KIND(TOPIC_TALK) | KIND(TOPIC_ROWS))
#define NUMBERED       (KIND(TOPIC_DATA) | KIND(TOPIC_JOINT))
#define ALL            (NUMBERED | KIND(TOPIC_CONTROL) | TALKING)

/* One line of the table. */
struct design_line {
    unsigned kinds;
    const char *name;
    const char *value; /* NULL: it depends on what was chosen */
    enum topic_demand demand;
    const char *reason;
};

static const struct design_line design_lines[] = {
    {NUMBERED, "cleanup.policy", "delete", TOPIC_EXACTLY,
     "compaction removes sequence numbers from the middle"},
    {KIND(TOPIC_CONTROL), "cleanup.policy", "compact", TOPIC_EXACTLY,
     "the last word of each service stays, and no more"},
    {TALKING, "cleanup.policy", "delete", TOPIC_EXACTLY, "nobody needs an old answer"},
    {ALL, "message.timestamp.type", "LogAppendTime", TOPIC_EXACTLY,
     "the broker's clock says how old a record is, not its writer's"},
    {KIND(TOPIC_DATA), "retention.ms", NULL, TOPIC_EXACTLY,
     "a copy that is away for longer misses changes (topics.retention_s)"},
    {KIND(TOPIC_DATA), "retention.bytes", NULL, TOPIC_EXACTLY,
     "a copy that is further behind misses changes (topics.retention_bytes)"},
    {KIND(TOPIC_JOINT), "retention.ms", "-1", TOPIC_EXACTLY, "a decision is as durable as the log"},
    {KIND(TOPIC_JOINT), "retention.bytes", "-1", TOPIC_EXACTLY,
     "a decision is as durable as the log"},
    {KIND(TOPIC_JOINT), "unclean.leader.election.enable", "false", TOPIC_EXACTLY,
     "a broker that was behind would undo decisions"},
    {TALKING, "retention.ms", "86400000", TOPIC_EXACTLY, "nobody reads an answer after a day"},
    {TALKING, "segment.ms", "3600000", TOPIC_EXACTLY, "Kafka deletes whole segments only"},
    {KIND(TOPIC_CONTROL), "segment.ms", "600000", TOPIC_EXACTLY,
     "Kafka compacts whole segments only"},
    {KIND(TOPIC_CONTROL), "min.cleanable.dirty.ratio", "0.1", TOPIC_EXACTLY,
     "whoever starts reads all of it, so it stays short"},
    {ALL, "max.message.bytes", NULL, TOPIC_AT_LEAST,
     "the largest record has to fit (limits.message_bytes)"},
    {ALL, "min.insync.replicas", NULL, TOPIC_EXACTLY,
     "so many brokers have a record before it counts as written (topics.min_insync_replicas)"},
};

static void design_number(struct topic_setting *setting, int64_t number)
{
    (void)snprintf(setting->value, sizeof setting->value, "%" PRId64, number);
}

/* A record that is larger than a batch is sent alone. */
static int64_t design_message_bytes(enum topic_kind kind, const struct topic_choice *choice)
{
    bool has_rows = kind == TOPIC_DATA || kind == TOPIC_ROWS;
    int64_t bytes = has_rows ? choice->record_bytes + TOPIC_FRAME_BYTES : 0;
    return bytes > MESSAGE_BYTES ? bytes : MESSAGE_BYTES;
}

static void design_choose(enum topic_kind kind, const struct topic_choice *choice,
                          struct topic_setting *setting)
{
    if (strcmp(setting->name, "max.message.bytes") == 0)
        design_number(setting, design_message_bytes(kind, choice));
    else if (strcmp(setting->name, "retention.ms") == 0)
        design_number(setting,
                      choice->retention_s == 0 ? -1 : choice->retention_s * MS_OF_A_SECOND);
    else if (strcmp(setting->name, "retention.bytes") == 0)
        design_number(setting, choice->retention_bytes == 0 ? -1 : choice->retention_bytes);
    else if (choice->min_insync_replicas == 0)
        setting->demand = TOPIC_ANY;
    else
        design_number(setting, choice->min_insync_replicas);
}

void topic_design_make(enum topic_kind kind, const struct topic_choice *choice,
                       struct topic_design *ret_design)
{
    *ret_design = (struct topic_design){
        .replication_factor = choice->replication_factor == 0
                                  ? -1
                                  : (int32_t)choice->replication_factor};
    for (size_t i = 0; i < sizeof design_lines / sizeof *design_lines; i++) {
        const struct design_line *line = &design_lines[i];
        if ((line->kinds & KIND(kind)) == 0)
            continue;
        struct topic_setting *setting = &ret_design->settings[ret_design->count++];
        setting->name = line->name;
        setting->demand = line->demand;
        setting->reason = line->reason;
        if (line->value == NULL)
            design_choose(kind, choice, setting);
        else
            (void)snprintf(setting->value, sizeof setting->value, "%s", line->value);
    }
}

bool topic_setting_holds(const struct topic_setting *setting, const char *value)
{
    if (setting->demand == TOPIC_EXACTLY)
        return strcmp(setting->value, value) == 0;
    if (setting->demand == TOPIC_AT_MOST)
        return value[0] != '-' && strtoll(value, NULL, 10) <= strtoll(setting->value, NULL, 10);
    return setting->demand == TOPIC_ANY ||
           strtoll(value, NULL, 10) >= strtoll(setting->value, NULL, 10);
}

const char *topic_kind_name(enum topic_kind kind)
{
    static const char *const names[] = {[TOPIC_DATA] = "data",
                                        [TOPIC_CONTROL] = "control",
                                        [TOPIC_TALK] = "talk",
                                        [TOPIC_ROWS] = "rows",
                                        [TOPIC_JOINT] = "joint"};
    return names[kind];
}
