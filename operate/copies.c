/* `keepstep copies`: who has a copy of what, how far each is, and what more than half of them hold.
 */
#include "common/clock.h"
#include "operate/command.h"
#include "operate/control.h"
#include "operate/copies_policy.h"
#include "operate/member.h"
#include "operate/offsets.h"
#include "operate/refusal.h"
#include "operate/retention_watch.h"
#include "operate/service.h"
#include "operate/verdict_lines.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>

#define COPIES_OUTPUT_MAX ((size_t)16 * 1024 * 1024)
#define COPIES_SILENT_S   30.0 /* a sidecar that runs reports each 10 s */
#define COPIES_NAME_SIZE  512
#define COPIES_NEAR_S     (24.0 * 3600) /* a retention that is further away is not said to people */
#define COPIES_HOUR_S     3600.0

/* What is printed, and what it is printed from. */
struct copies_page {
    const struct config *config;
    struct control control;
    char group[256];
    struct offsets *offsets;
    struct retention_watch watch;
    struct buffer text;
    struct buffer json;
    int64_t now_us;
    const struct verdict_record *verdict; /* on the type that is shown; NULL: there is none */
};

static enum status copies_open(struct copies_page *page, struct error *err)
{
    const struct config *config = page->config;
    int32_t partitions = 0;
    enum status status = STATUS_OK;
    (void)members_control(config, page->group, sizeof page->group);
    if (config->control_topic[0] != '\0') /* where no broker answers, this says so best */
        status = offsets_open(config, page->group, &page->offsets, err);
    if (page->offsets != NULL)
        status = offsets_partition_count(page->offsets, config->control_topic, &partitions, err);
    return status == STATUS_OK ? control_open(config, &command_stop, &page->control, err) : status;
}

static void copies_done(struct copies_page *page)
{
    offsets_close(page->offsets);
    retention_watch_done(&page->watch);
    control_close(&page->control);
    buffer_done(&page->text);
    buffer_done(&page->json);
}

/* A service with several copies needs the id of each; the others are better read without it. */
static void copies_name(const struct quorum *quorum, const struct quorum_member *member,
                        char name[static COPIES_NAME_SIZE])
{
    size_t same = 0;
    for (size_t i = 0; i < quorum->member_count; i++)
        same += strcmp(quorum->members[i].service, member->service) == 0;
    (void)snprintf(name, COPIES_NAME_SIZE, "%s%s%s", member->service, same > 1 ? "/" : "",
                   same > 1 ? member->copy : "");
}

/* Of all partitions together: the records to the end of the log, and the parked ones. */
struct copies_sum {
    int64_t applied_behind; /* -1: not known */
    int64_t durable_behind;
    int32_t parked_partition; /* the first one with a parked record; -1: none */
    int64_t parked_from;
};

static int64_t copies_behind(int64_t end, int64_t offset)
{
    return end > offset ? end - offset : 0;
}

static struct copies_sum copies_add(const struct quorum *quorum, size_t member, const int64_t *ends)
{
    struct copies_sum sum = {.parked_partition = -1};
    for (int32_t i = 0; i < quorum->partition_count; i++) {
        const struct quorum_position *at = quorum_position(quorum, member, i);
        sum.applied_behind += copies_behind(ends[i], at->applied < 0 ? 0 : at->applied);
        sum.durable_behind += copies_behind(ends[i], at->durable < 0 ? 0 : at->durable);
        if (at->parked_from >= 0 && sum.parked_partition < 0) {
            sum.parked_partition = i;
            sum.parked_from = at->parked_from;
        }
    }
    return sum;
}

/* Only where somebody compares the type: else each line would say that nobody does. */
static void copies_verdict_text(struct copies_page *page, const struct quorum_member *member)
{
    const struct verdict_copy *copy = verdict_find(page->verdict, member->service, member->copy);
    if (page->verdict == NULL || member->record == NULL)
        return;
    buffer_append_text(&page->text, "    ");
    verdict_append_text(copy, page->now_us, &page->text);
    buffer_append_text(&page->text, "\n");
    if (!verdict_is_skipped(copy))
        return;
    buffer_append_text(&page->text, "    ");
    verdict_append_skipped(copy, page->now_us, &page->text);
    buffer_append_text(&page->text, "\n");
}

/* Of its first parked record: whether the other copies refuse it too. */
static void copies_refusal_text(struct copies_page *page, const struct quorum *quorum, size_t index,
                                const struct copies_sum *sum)
{
    struct refusal refusal = refusal_find(quorum, index, sum->parked_partition, sum->parked_from);
    if (refusal.applied + refusal.parked + refusal.behind + refusal.unknown == 0)
        return;
    buffer_append_format(&page->text, "    p%" PRId32 " %" PRId64 ": ", sum->parked_partition,
                         sum->parked_from);
    refusal_append_text(quorum->members[index].service, &refusal, &page->text);
    buffer_append_text(&page->text, "\n");
}

/* Silent copies are the ones that it overtakes. */
static void copies_retention_text(struct copies_page *page, const struct quorum *quorum,
                                  size_t index)
{
    struct retention_left left = retention_watch_left(&page->watch, quorum, index);
    if (isnan(left.left_s) || left.left_s > COPIES_NEAR_S)
        return;
    if (left.left_s == 0)
        buffer_append_format(&page->text,
                             "    RETENTION: Kafka may have deleted what it has not applied of "
                             "p%" PRId32 ": `keepstep fill %s --again` there, if it has",
                             left.partition, quorum->entity_type);
    else if (left.left_s < 2 * COPIES_HOUR_S)
        buffer_append_format(&page->text,
                             "    RETENTION: in about %.0f min Kafka deletes what it has not "
                             "applied of p%" PRId32,
                             ceil(left.left_s / 60), left.partition);
    else
        buffer_append_format(&page->text,
                             "    RETENTION: in about %.0f h Kafka deletes what it has not "
                             "applied of p%" PRId32,
                             floor(left.left_s / COPIES_HOUR_S), left.partition);
    if (left.left_s > 0)
        buffer_append_text(&page->text,
                           ": raise topics.retention_s where the type is published, then "
                           "`keepstep topics apply`");
    buffer_append_text(&page->text, "\n");
}

/* "": not known. A service that applies the type has the columns that it applies. */
static const char *copies_columns(const struct quorum *quorum, const struct quorum_member *member)
{
    if (member->applied != NULL)
        return member->applied->columns;
    for (size_t i = 0; member->record != NULL && i < member->record->published_count; i++) {
        if (strcmp(member->record->published[i].entity_type, quorum->entity_type) == 0)
            return member->record->published[i].columns;
    }
    return "";
}

/* @return the first publisher, or else the first member, whose columns are known and are others. */
static const struct quorum_member *copies_other_columns(const struct quorum *quorum,
                                                        const struct quorum_member *member)
{
    const struct quorum_member *first = NULL;
    const char *columns = copies_columns(quorum, member);
    for (size_t i = 0; *columns != '\0' && i < quorum->member_count; i++) {
        const struct quorum_member *other = &quorum->members[i];
        const char *others = copies_columns(quorum, other);
        if (*others == '\0' || strcmp(others, columns) == 0)
            continue;
        if (first == NULL || (first->applied != NULL && other->applied == NULL))
            first = other;
    }
    return first;
}

static void copies_member_text(struct copies_page *page, const struct quorum *quorum, size_t index,
                               const int64_t *ends)
{
    const struct quorum_member *member = &quorum->members[index];
    struct buffer *text = &page->text;
    struct copies_sum sum = copies_add(quorum, index, ends);
    char name[COPIES_NAME_SIZE];
    copies_name(quorum, member, name);
    buffer_append_format(text, "  %-20s ", name);
    if (member->record == NULL) {
        buffer_append_text(text, "never seen; the policy counts it\n");
        return;
    }
    double silent_s = (double)(page->now_us - member->seen_us) / 1e6;
    if (member->applied == NULL)
        buffer_append_text(text, "publishes");
    else
        buffer_append_format(text, "%-9s  applied %" PRId64 " behind, durable %" PRId64 " behind",
                             member_state_name(member->applied->state), sum.applied_behind,
                             sum.durable_behind);
    if (sum.parked_partition >= 0)
        buffer_append_format(text, ", parked since p%" PRId32 " %" PRId64, sum.parked_partition,
                             sum.parked_from);
    if (member->record->set_aside > 0)
        buffer_append_format(text, ", %" PRId64 " set aside", member->record->set_aside);
    const struct quorum_member *other = copies_other_columns(quorum, member);
    if (other != NULL && member->applied != NULL)
        buffer_append_format(text, ", other columns than %s", other->service);
    if (!member->counts)
        buffer_append_text(text, ", does not count");
    if (silent_s > COPIES_SILENT_S)
        buffer_append_format(text, ", SILENT for %.0f s", silent_s);
    buffer_append_text(text, "\n");
    int64_t paused_at_us = quorum_paused_at_us(quorum, member);
    if (paused_at_us != 0) {
        char time[CLOCK_TEXT_SIZE];
        clock_format_utc(paused_at_us, time);
        buffer_append_format(text, "    PAUSED since %.19sZ\n", time);
    }
    if (member->applied != NULL && member->applied->reason[0] != '\0')
        buffer_append_format(
            text, "    %s%s\n",
            member->applied->state == MEMBER_FILLING ? "" : "STOPPED: ", member->applied->reason);
    copies_retention_text(page, quorum, index);
    if (sum.parked_partition >= 0)
        copies_refusal_text(page, quorum, index, &sum);
    copies_verdict_text(page, member);
}

static void copies_member_json(struct copies_page *page, const struct quorum *quorum, size_t index)
{
    const struct quorum_member *member = &quorum->members[index];
    const struct member_applied *applied = member->applied;
    bool is_publisher = member->record != NULL && applied == NULL;
    struct buffer *json = &page->json;
    member_begin(json, NULL, "{");
    member_text(json, "service", slice_of(member->service));
    member_text(json, "copy_id",
                strcmp(member->copy, MEMBER_NONE) == 0 ? (struct slice){0}
                                                       : slice_of(member->copy));
    member_text(json, "state",
                is_publisher      ? slice_of("publishes")
                : applied == NULL ? (struct slice){0}
                                  : slice_of(member_state_name(applied->state)));
    member_bool(json, "counts", member->counts);
    member_seconds(json, "seen_s",
                   member->record == NULL ? -1 : (double)(page->now_us - member->seen_us) / 1e6);
    member_seconds(json, "lag_s",
                   applied == NULL || applied->lag_ms < 0 ? -1 : (double)applied->lag_ms / 1e3);
    member_known_number(json, "waiting", member->record == NULL ? -1 : member->record->waiting);
    member_known_number(json, "set_aside", member->record == NULL ? -1 : member->record->set_aside);
    member_text(json, "stopped",
                applied == NULL || applied->reason[0] == '\0' ? (struct slice){0}
                                                              : slice_of(applied->reason));
    member_time(json, "paused_since", quorum_paused_at_us(quorum, member));
    const char *columns = copies_columns(quorum, member);
    member_text(json, "columns", *columns == '\0' ? (struct slice){0} : slice_of(columns));
    verdict_append_json(verdict_find(page->verdict, member->service, member->copy), json);
    double left_s = retention_watch_left(&page->watch, quorum, index).left_s;
    member_seconds(json, "retention_overtakes_s", isnan(left_s) ? -1 : left_s);
    member_begin(json, "partitions", "[");
    for (int32_t i = 0; applied != NULL && i < quorum->partition_count; i++) {
        const struct quorum_position *at = quorum_position(quorum, index, i);
        member_begin(json, NULL, "{");
        member_number(json, "partition", i);
        member_known_number(json, "applied_offset", at->applied);
        member_known_number(json, "durable_offset", at->durable);
        member_known_number(json, "parked_offset", at->parked_from);
        struct refusal refusal = refusal_find(quorum, index, i, at->parked_from);
        if (at->parked_from >= 0)
            refusal_append_json(&refusal, json);
        buffer_append_text(json, "}");
    }
    buffer_append_text(json, "]}");
}

static int64_t copies_quorum(const struct quorum *quorum, int32_t partition, const int64_t *ends)
{
    int64_t offset = quorum_offset(quorum, partition);
    return offset == QUORUM_LOG_END ? ends[partition] : offset;
}

static void copies_type_text(struct copies_page *page, const struct quorum *quorum,
                             const int64_t *ends)
{
    struct buffer *text = &page->text;
    buffer_append_format(text, "%-10s %zu member%s", quorum->entity_type, quorum->counting,
                         quorum->counting == 1 ? "" : "s");
    if (strcmp(quorum->entity_type, quorum->topic) != 0)
        buffer_append_format(text, " of topic %s", quorum->topic);
    if (quorum->majority > 0)
        buffer_append_format(text, ", %zu make%s a quorum", quorum->majority,
                             quorum->majority == 1 ? "s" : "");
    for (int32_t i = 0; quorum->majority > 0 && i < quorum->partition_count; i++)
        buffer_append_format(text, "%s p%" PRId32 " %" PRId64, i == 0 ? "; behind it:" : ",", i,
                             copies_behind(ends[i], copies_quorum(quorum, i, ends)));
    buffer_append_text(text,
                       quorum->majority > 0 && quorum->partition_count > 0 ? " records\n" : "\n");
    for (size_t i = 0; i < quorum->member_count; i++)
        copies_member_text(page, quorum, i, ends);
}

static void copies_type_json(struct copies_page *page, const struct quorum *quorum,
                             const int64_t *ends)
{
    struct buffer *json = &page->json;
    member_begin(json, NULL, "{");
    member_text(json, "entity_type", slice_of(quorum->entity_type));
    member_text(json, "topic", slice_of(quorum->topic));
    member_number(json, "members", (int64_t)quorum->counting);
    member_number(json, "quorum", (int64_t)quorum->majority);
    member_begin(json, "partitions", "[");
    for (int32_t i = 0; i < quorum->partition_count; i++) {
        member_begin(json, NULL, "{");
        member_number(json, "partition", i);
        member_number(json, "end_offset", ends[i]);
        member_known_number(json, "quorum_offset", copies_quorum(quorum, i, ends));
        buffer_append_text(json, "}");
    }
    buffer_append_text(json, "]");
    member_begin(json, "copies", "[");
    for (size_t i = 0; i < quorum->member_count; i++)
        copies_member_json(page, quorum, i);
    buffer_append_text(json, "]}");
}

/* The ends are asked for after the records were read, so nobody is ahead of them. */
static enum status copies_type(struct copies_page *page, const struct members_type *type,
                               struct error *err)
{
    struct quorum quorum;
    enum status status = members_quorum(&page->control.members, type, &quorum, err);
    page->verdict = members_verdict(&page->control.members, type);
    int64_t *ends = calloc((size_t)quorum.partition_count + 1, sizeof *ends);
    if (status == STATUS_OK && ends == NULL)
        status = error_set(err, STATUS_RETRY, "out of memory");
    for (int32_t i = 0; status == STATUS_OK && i < quorum.partition_count; i++) {
        struct log_bounds bounds = {0};
        status = offsets_bounds(page->offsets, (struct topic_partition){type->topic, i}, &bounds,
                                err);
        ends[i] = bounds.end;
    }
    if (status == STATUS_OK) {
        copies_type_text(page, &quorum, ends);
        copies_type_json(page, &quorum, ends);
    }
    free(ends);
    quorum_done(&quorum);
    return status;
}

static enum status copies_types(struct copies_page *page, const char *wanted, struct error *err)
{
    struct members_type *types = NULL;
    size_t count = 0;
    size_t shown = 0;
    page->now_us = clock_wall_us();
    member_begin(&page->json, NULL, "{");
    member_text(&page->json, "control_topic", slice_of(page->config->control_topic));
    member_number(&page->json, "control_offset", page->control.members.end);
    member_begin(&page->json, "types", "[");
    enum status status = members_types(&page->control.members, &types, &count, err);
    for (size_t i = 0; status == STATUS_OK && i < count; i++) {
        if (wanted != NULL && strcmp(wanted, types[i].entity_type) != 0)
            continue;
        status = copies_type(page, &types[i], err);
        shown++;
    }
    free(types);
    buffer_append_text(&page->json, "]}\n");
    if (status == STATUS_OK && wanted != NULL && shown == 0) {
        err->exit_code = EX_USAGE;
        return error_set(err, STATUS_FATAL,
                         "no service has said anything of %s: `keepstep copies` shows all types",
                         wanted);
    }
    if (status == STATUS_OK && shown == 0)
        buffer_append_text(&page->text, "no service has said anything yet\n");
    else
        buffer_append_format(&page->text, "As of record %" PRId64 " of %s\n",
                             page->control.members.end, page->config->control_topic);
    return status;
}

static enum status copies_show(struct copies_page *page, bool json, const char *wanted,
                               struct error *err)
{
    enum status status = copies_open(page, err);
    if (status == STATUS_OK) {
        retention_watch_look(&page->watch, &page->control.members, page->control.topic, SIZE_MAX);
        status = copies_types(page, wanted, err);
    }
    if (status != STATUS_OK)
        return status;
    command_print(json ? &page->json : &page->text, json);
    if (page->control.members.unreadable.status != STATUS_OK)
        command_say("keepstep: %s cannot be read: %s", page->config->control_topic,
                    page->control.members.unreadable.text);
    return STATUS_OK;
}

/* "SERVICE", or "SERVICE/COPY" where a service has several copies. */
static bool copies_has_name(struct slice service, struct slice copy, const char *name)
{
    struct slice named = slice_of(name);
    const char *slash = strchr(name, '/');
    if (slash != NULL && !slice_is(copy, slash + 1))
        return false;
    if (slash != NULL)
        named.length = (size_t)(slash - name);
    return slice_equal(named, service);
}

static bool copies_is_named(const struct members_item *item, const char *name)
{
    return item->read.kind == MEMBER_KEY_MEMBER &&
           copies_has_name(item->read.service, item->read.copy, name);
}

/* @return OK with how many records are the copy's; FATAL where the name is nobody's, or of several.
 */
static enum status copies_find(const struct members *members, const char *name,
                               int64_t *ret_seen_us, struct error *err)
{
    const struct members_item *first = NULL;
    *ret_seen_us = 0;
    for (size_t i = 0; i < members->count; i++) {
        const struct members_item *item = members->items[i];
        if (!copies_is_named(item, name))
            continue;
        if (item->record.at_us > *ret_seen_us)
            *ret_seen_us = item->record.at_us;
        if (first != NULL && !slice_equal(first->read.copy, item->read.copy)) {
            err->exit_code = EX_USAGE;
            return error_set(err, STATUS_FATAL,
                             "%s has several copies, %s/%.*s and %s/%.*s: name one of them", name,
                             name, SLICE_ARGS(first->read.copy), name, SLICE_ARGS(item->read.copy));
        }
        first = item;
    }
    if (first != NULL)
        return STATUS_OK;
    err->exit_code = EX_USAGE;
    return error_set(err, STATUS_FATAL,
                     "no copy or publisher is called %s: `keepstep copies` shows all of them",
                     name);
}

/* Take a copy out of one record of verdicts, so that whoever comes back starts without one. */
static enum status copies_forget_verdict(struct copies_page *page,
                                         const struct verdict_record *known, const char *name,
                                         struct error *err)
{
    struct verdict_record record = *known;
    struct buffer key;
    struct buffer value;
    record.copies = calloc(known->count + 1, sizeof *record.copies);
    record.count = 0;
    if (record.copies == NULL)
        return error_set(err, STATUS_FATAL, "out of memory");
    for (size_t i = 0; i < known->count; i++) {
        const struct verdict_copy *copy = &known->copies[i];
        if (!copies_has_name(slice_of(copy->service), slice_of(copy->copy), name))
            record.copies[record.count++] = *copy;
    }
    buffer_init(&key, MEMBER_KEY_MAX);
    buffer_init(&value, MEMBER_RECORD_BYTES_MAX);
    verdict_key_append(&record, &key);
    verdict_record_append(&record, &value);
    enum status status = STATUS_OK;
    if (record.count < known->count)
        status = control_topic_write(page->control.topic, buffer_slice(&key),
                                     record.count == 0 ? (struct slice){0} : buffer_slice(&value),
                                     err);
    buffer_done(&key);
    buffer_done(&value);
    free(record.copies);
    return status;
}

static enum status copies_forget(struct copies_page *page, const char *name, struct error *err)
{
    int64_t seen_us = 0;
    enum status status = copies_open(page, err);
    if (status == STATUS_OK)
        status = copies_find(&page->control.members, name, &seen_us, err);
    for (size_t i = 0; status == STATUS_OK && i < page->control.members.count; i++) {
        const struct members_item *item = page->control.members.items[i];
        if (copies_is_named(item, name))
            status = control_topic_write(page->control.topic, slice_of(item->key),
                                         (struct slice){0}, err);
    }
    for (size_t i = 0; status == STATUS_OK && i < page->control.members.count; i++) {
        const struct members_item *item = page->control.members.items[i];
        if (item->read.kind == MEMBER_KEY_VERDICT)
            status = copies_forget_verdict(page, &item->verdict, name, err);
    }
    if (status != STATUS_OK)
        return status;
    double age_s = (double)(clock_wall_us() - seen_us) / 1e6;
    printf("%s is forgotten\n", name);
    if (age_s < COPIES_SILENT_S)
        command_say("keepstep: %s reported %.0f s ago: if it still runs, it comes back by itself",
                    name, age_s < 0 ? 0 : age_s);
    return STATUS_OK;
}

enum { COPIES_MEMBERS, COPIES_CLEAR, COPIES_DRY_RUN };

static const struct command_flag copies_flags[] = {
    [COPIES_MEMBERS] = {"members", "NAMES",
                        "policy: only these count, \"shop,billing\", whoever joins later"},
    [COPIES_CLEAR] = {"clear", NULL, "policy: whoever has joined counts again"},
    [COPIES_DRY_RUN] = {"dry-run", NULL, "policy: only show what it would change"},
};

static enum status copies_policy_run(struct copies_page *page, const struct command_line *line,
                                     struct error *err)
{
    const struct policy_request request = {.entity_type = line->arguments[1],
                                           .members = line->flags[COPIES_MEMBERS],
                                           .clear = line->flags[COPIES_CLEAR] != NULL,
                                           .dry_run = line->flags[COPIES_DRY_RUN] != NULL,
                                           .json = line->json};
    enum status status = copies_open(page, err);
    return status == STATUS_OK ? copies_policy(&page->control, page->config, &request, err)
                               : status;
}

/* @return whether the arguments make sense. */
static bool copies_arguments(const struct command_line *line, bool has_verb, bool is_policy)
{
    bool has_members = line->flags[COPIES_MEMBERS] != NULL;
    bool has_clear = line->flags[COPIES_CLEAR] != NULL;
    bool has_flags = has_members || has_clear || line->flags[COPIES_DRY_RUN] != NULL;
    if (has_flags && !is_policy)
        return false;
    return (has_verb ? line->argument_count == 2 : line->argument_count <= 1) &&
           !(has_members && has_clear);
}

static int copies_run(const struct command *command, int argc, char **argv)
{
    struct command_line line;
    int code = command_parse(command, argc, argv, &line);
    if (code >= 0)
        return code;
    const char *first = line.argument_count > 0 ? line.arguments[0] : NULL;
    bool forgets = first != NULL && strcmp(first, "forget") == 0;
    bool is_policy = first != NULL && strcmp(first, "policy") == 0;
    if (!copies_arguments(&line, forgets || is_policy, is_policy)) {
        fprintf(stderr, "keepstep copies: wants %s\n", command->arguments);
        return EX_USAGE;
    }
    code = forgets ? command_refuse_json(command, &line, first) : -1;
    if (code >= 0)
        return code;
    const char *name = forgets ? line.arguments[1] : NULL; /* the service is opened below */
    struct error err = ERROR_INIT;
    struct service service;
    struct copies_page page = {0};
    enum status status = service_open(&line, &service, &err);
    page.config = service.config;
    buffer_init(&page.text, COPIES_OUTPUT_MAX);
    buffer_init(&page.json, COPIES_OUTPUT_MAX);
    if (status == STATUS_OK)
        status = forgets     ? copies_forget(&page, name, &err)
                 : is_policy ? copies_policy_run(&page, &line, &err)
                             : copies_show(&page, line.json, first, &err);
    code = status == STATUS_OK ? EX_OK : command_fail(&err);
    copies_done(&page);
    service_close(&service);
    return code;
}

const struct command command_copies = {
    .name = "copies",
    .arguments = "[TYPE | forget NAME | policy TYPE [--members NAMES | --clear]]",
    .summary = "Show all copies of a type, and what more than half of them hold.",
    .examples = "  keepstep copies order -c shop.yaml\n"
                "  keepstep copies forget billing -c shop.yaml\n"
                "  keepstep copies policy order --members shop,billing --dry-run -c shop.yaml\n",
    COMMAND_FLAGS(copies_flags),
    .run = copies_run,
};
