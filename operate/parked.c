/* `keepstep parked`: shows the events that were set aside, and retries or skips them in their
 * order. */
#include "common/buffer.h"
#include "common/clock.h"
#include "common/utf8.h"
#include "operate/command.h"
#include "operate/parked.h"
#include "operate/parked_edit.h"
#include "operate/service.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

static void parked_say(const struct parked_record *parked, const char *outcome)
{
    char others[64] = "";
    if (parked->set_size > 1)
        (void)snprintf(others, sizeof others, " and the other %zu of its transaction",
                       parked->set_size - 1);
    command_say("%lld %.*s %.*s%s: %s", (long long)parked->parked_id,
                SLICE_ARGS(parked->entity_type), SLICE_ARGS(parked->entity_key), others, outcome);
}

static void parked_say_outcome(const struct parked_record *parked, enum parked_outcome outcome,
                               const struct parked_list *now)
{
    char text[ERROR_TEXT_SIZE];
    if (outcome == PARKED_APPLIED)
        parked_say(parked, "applied");
    if (outcome != PARKED_FAILED)
        return;
    utf8_format(text, sizeof text, "failed again: %.*s", SLICE_ARGS(now->read.records[0].reason));
    parked_say(parked, text);
}

/* How many of the retried records were not applied. */
struct parked_left {
    size_t failed;
    size_t untried;
};

/* What is paused nobody tries. @return whether that was said. */
static enum status parked_pass_paused(struct store *store, const struct parked_record *parked,
                                      const struct config *config, bool *ret_paused,
                                      struct error *err)
{
    char paused[PARKED_PAUSE_SIZE];
    char text[PARKED_PAUSE_SIZE + 64];
    enum status status = parked_find_pause(store, config, parked->record.topic, paused, err);
    *ret_paused = status == STATUS_OK && paused[0] != '\0';
    utf8_format(text, sizeof text, "%s; it is tried after `keepstep resume`", paused);
    if (*ret_paused)
        parked_say(parked, text);
    return status;
}

/* Watch the records until each has an outcome, or PARKED_WAIT_US are over. */
static enum status parked_wait(struct store *store, const struct parked_list *list,
                               const struct config *config, struct parked_left *ret_left,
                               struct error *err)
{
    struct parked_list now;
    parked_list_init(&now);
    int64_t until = clock_monotonic_us() + PARKED_WAIT_US;
    size_t next = 0;
    enum status status = STATUS_OK;
    *ret_left = (struct parked_left){0};
    while (status == STATUS_OK && next < list->read.count) {
        const struct parked_record *parked = &list->read.records[next];
        enum parked_outcome outcome = PARKED_UNTRIED;
        bool is_paused = false;
        status = parked_find_outcome(store, parked, &now, &outcome, err);
        parked_say_outcome(parked, outcome, &now);
        ret_left->failed += outcome == PARKED_FAILED;
        if (status == STATUS_OK && outcome == PARKED_UNTRIED)
            status = parked_pass_paused(store, parked, config, &is_paused, err);
        ret_left->untried += is_paused;
        if (outcome != PARKED_UNTRIED || is_paused) {
            next++;
            continue;
        }
        if (clock_monotonic_us() > until || atomic_load(&command_stop))
            break;
        clock_sleep_us(PARKED_LOOK_US);
    }
    if (status == STATUS_OK && next < list->read.count)
        command_say(
            "%zu not tried within 10 s; an agent tries them as soon as one runs: `keepstep run`",
            list->read.count - next);
    ret_left->untried += list->read.count - next;
    parked_list_done(&now);
    return status;
}

static enum status parked_change(struct store *store, const struct parked_list *list,
                                 const struct parked_request *request, struct error *err)
{
    bool skip = strcmp(request->verb, "skip") == 0;
    struct parked_left left = {0};
    if (request->dry_run) {
        for (size_t i = 0; i < list->read.count; i++)
            parked_say(&list->read.records[i],
                       skip ? "would be skipped: the row stays as it is and "
                              "what waits behind it goes on"
                            : "would be tried again, then what waits behind it");
        return STATUS_OK;
    }
    enum status status = parked_edit_all(
        store, list, skip ? PARKED_SET_SKIPPED : PARKED_SET_WAITING, &command_stop, err);
    if (status != STATUS_OK)
        return status;
    if (!skip)
        status = parked_wait(store, list, request->config, &left, err);
    if (status == STATUS_OK && !skip && list->read.count > 1)
        fprintf(stderr, "%zu applied, %zu failed again, %zu not tried yet\n",
                list->read.count - left.failed - left.untried, left.failed, left.untried);
    for (size_t i = 0; skip && i < list->read.count; i++)
        parked_say(&list->read.records[i], "skipped; what waits behind it goes on");
    size_t parked = left.failed + left.untried;
    if (status == STATUS_OK && parked > 0) {
        err->exit_code = EX_TEMPFAIL;
        status = error_set(err, STATUS_FATAL, "%zu of %zu still parked; see `keepstep parked list`",
                           parked, list->read.count);
    }
    return status;
}

static void parked_say_head(const struct parked_record *parked, const struct parked_record *head)
{
    bool same = slice_equal(parked->entity_type, head->entity_type) &&
                slice_equal(parked->entity_key, head->entity_key);
    bool is_of_set = parked->changeset_end != 0 || head->changeset_end != 0;
    fprintf(stderr, "%lld waits behind %lld of the same %s; that one goes first\n",
            (long long)parked->parked_id, (long long)head->parked_id,
            is_of_set ? "entities" : (same ? "entity" : "record key"));
}

/* Keys are compared byte by byte, so this one is most likely mistyped. */
static enum status parked_refuse_entity(const struct parked_filter *filter, struct error *err)
{
    err->exit_code = EX_DATAERR;
    return error_set(
        err, STATUS_FATAL,
        "nothing is parked of %s %.*s; type and key are to be as `keepstep parked list` "
        "shows them",
        filter->entity_type, SLICE_ARGS(filter->entity_key));
}

static enum status parked_do(struct store *store, const struct parked_request *request,
                             struct error *err)
{
    struct parked_list list;
    parked_list_init(&list);
    bool retry = strcmp(request->verb, "retry") == 0;
    bool whole = strcmp(request->verb, "show") == 0;
    struct parked_filter filter = request->filter;
    filter.without_value = !whole;
    enum status status = STATUS_OK;
    if (!retry || filter.parked_id != 0)
        status = parked_read(store, &filter, &list, err);
    if (status == STATUS_OK && filter.parked_id != 0 && list.read.count == 0) {
        err->exit_code = EX_DATAERR;
        status = error_set(err, STATUS_FATAL,
                           "nothing is parked under %lld; see `keepstep parked list`",
                           (long long)filter.parked_id);
    }
    if (status == STATUS_OK && filter.parked_id != 0)
        status = parked_note_set(store, list.read.records, err);
    else if (status == STATUS_OK && !retry)
        status = parked_fold(store, &list, err);
    if (status == STATUS_OK && retry)
        status = parked_find_heads(store, request, &list, parked_say_head, err);
    if (status == STATUS_OK) {
        bool change = retry || strcmp(request->verb, "skip") == 0;
        if (request->filter.entity_key.data != NULL && list.read.count == 0)
            status = parked_refuse_entity(&request->filter, err);
        else if (change && list.read.count == 0)
            fprintf(stderr, "nothing is parked\n");
        else
            status = change ? parked_change(store, &list, request, err)
                            : parked_print(store, list.read.records, list.read.count, request, err);
    }
    parked_list_done(&list);
    return status;
}

/* Read the arguments of `parked resume`. @return false where they make no sense. */
static bool parked_resume_arguments(const struct command_line *line, const char *topic,
                                    const char *partition, struct parked_request *request)
{
    char *end = NULL;
    long number = -1;
    errno = 0;
    if (partition != NULL)
        number = strtol(partition, &end, 10);
    if (line->argument_count != 1 || (partition != NULL && (*partition == '\0' || *end != '\0')) ||
        errno != 0 || number < -1 || number > INT32_MAX)
        return false;
    request->filter.topic = topic;
    request->filter.partition = (int32_t)number;
    return topic != NULL || partition == NULL;
}

/* Read the arguments of all verbs but `resume`. @return false where they make no sense. */
static bool parked_arguments(const struct command_line *line, bool all, bool entity,
                             struct parked_request *request)
{
    int count = line->argument_count;
    request->verb = count == 0 ? "list" : line->arguments[0];
    request->json = line->json;
    request->filter = (struct parked_filter){.partition = -1};
    if (strcmp(request->verb, "list") == 0 || strcmp(request->verb, "resume") == 0 ||
        strcmp(request->verb, "export") == 0)
        return count <= 1 && !all && !entity;
    bool retry = strcmp(request->verb, "retry") == 0;
    if (retry && (all || entity)) {
        request->all = all;
        if (entity && !all && count == 3) {
            request->filter.entity_type = line->arguments[1];
            request->filter.entity_key = slice_of(line->arguments[2]);
            return true;
        }
        return all && !entity && count == 1;
    }
    if (count != 2 ||
        (!retry && strcmp(request->verb, "show") != 0 && strcmp(request->verb, "skip") != 0))
        return false;
    char *end = NULL;
    errno = 0;
    request->filter.parked_id = strtoll(line->arguments[1], &end, 10);
    return errno == 0 && *end == '\0' && request->filter.parked_id > 0;
}

enum { PARKED_ALL, PARKED_ENTITY, PARKED_TOPIC, PARKED_PARTITION, PARKED_DRY_RUN, PARKED_OUT };

static const struct command_flag parked_flags[] = {
    [PARKED_ALL] = {"all", NULL, "retry the oldest event of every entity"},
    [PARKED_ENTITY] = {"entity", NULL, "retry by TYPE and KEY instead of an ID"},
    [PARKED_TOPIC] = {"topic", "TOPIC", "resume only this topic"},
    [PARKED_PARTITION] = {"partition", "N", "resume only this partition of it"},
    [PARKED_DRY_RUN] = {"dry-run", NULL, "only say what would happen"},
    [PARKED_OUT] = {"out", "FILE", "export: into this new file, which only its owner can read"},
};

static int parked_run(const struct command *command, int argc, char **argv)
{
    struct command_line line;
    int code = command_parse(command, argc, argv, &line);
    if (code >= 0)
        return code;
    struct parked_request request = {.dry_run = line.flags[PARKED_DRY_RUN] != NULL};
    const char *topic = line.flags[PARKED_TOPIC];
    const char *partition = line.flags[PARKED_PARTITION];
    bool resume = line.argument_count > 0 && strcmp(line.arguments[0], "resume") == 0;
    bool export = line.argument_count > 0 && strcmp(line.arguments[0], "export") == 0;
    const char *out = line.flags[PARKED_OUT];
    if (!parked_arguments(&line, line.flags[PARKED_ALL] != NULL, line.flags[PARKED_ENTITY] != NULL,
                          &request) ||
        (resume ? !parked_resume_arguments(&line, topic, partition, &request)
                : topic != NULL || partition != NULL) ||
        (out != NULL && !export)) {
        fprintf(stderr, "keepstep parked: wants %s\n", command->arguments);
        return EX_USAGE;
    }
    bool change = resume || strcmp(request.verb, "retry") == 0 || strcmp(request.verb, "skip") == 0;
    code = change ? command_refuse_json(command, &line, line.arguments[0]) : -1;
    if (code >= 0)
        return code;
    struct error err = ERROR_INIT;
    struct service service;
    struct store *store = NULL;
    command_catch_signals();
    enum status status = service_open(&line, &service, &err);
    request.config = service.config;
    if (status == STATUS_OK)
        status = service_open_store(&service, !change || request.dry_run, &store, &err);
    if (status == STATUS_OK)
        status = export ? parked_export(store, out, &err)
                        : (resume ? parked_resume : parked_do)(store, &request, &err);
    code = status == STATUS_OK ? EX_OK : command_fail(&err);
    if (store != NULL)
        store->ops->close(store);
    service_close(&service);
    return code;
}

const struct command command_parked = {
    .name = "parked",
    .arguments = "list | show ID | retry ID|--all|--entity TYPE KEY | skip ID | "
                 "export [--out FILE] | resume [--topic TOPIC [--partition N]]",
    .summary = "Show parked events, retry or skip them; let a stopped partition go on.",
    .examples =
        "  keepstep parked list -c billing.yaml\n"
        "  keepstep parked show 7\n"
        "  keepstep parked retry 7\n"
        "  keepstep parked retry --entity order '{\"id\":42}' --dry-run\n"
        "  keepstep parked skip 7          its change is lost here, and only here\n"
        "  keepstep parked export --out parked.jsonl\n"
        "  keepstep parked resume          when the cause of a STOPPED partition is mended\n",
    COMMAND_FLAGS(parked_flags),
    .run = parked_run,
};
