/* `keepstep tail`: shows the records of a type's topic as they come. It reads only. */
#include "operate/command.h"
#include "operate/service.h"
#include "operate/tail_print.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#define TAIL_POLL_MS   100
#define TAIL_WRITE_MAX 4096 /* a pipe that is writable takes as much at once */
#define TAIL_ARENA_MAX ((size_t)64 * 1024 * 1024)
#define TAIL_LINE_MAX  ((size_t)64 * 1024 * 1024)

enum { TAIL_FLAG_FROM, TAIL_FLAG_PARTITION, TAIL_FLAG_KEY, TAIL_FLAG_COUNT, TAIL_FLAG_UNTIL_END };

static const struct command_flag tail_flags[] = {
    [TAIL_FLAG_FROM] = {"from", "WHERE",
                        "beginning (with --until-end the default), end, an offset, a time"},
    [TAIL_FLAG_PARTITION] = {"partition", "N", "only this partition"},
    [TAIL_FLAG_KEY] = {"key", "KEY", "only this entity: JSON, or a bare value of its key column"},
    [TAIL_FLAG_COUNT] = {"count", "N", "end after N records"},
    [TAIL_FLAG_UNTIL_END] = {"until-end", NULL, "end where the log ended at the start"},
};

struct tail_view {
    const struct service *service;
    const struct config_entry *entry; /* of the type */
    struct record_form form;
    const struct entity_schema *schema;
    struct slice key; /* data NULL: all entities */
    bool json;
    bool until_end;
    int64_t count; /* records to show yet */
    struct arena arena;
    struct buffer line;
    bool is_closed; /* nobody reads the output any more */
};

static const struct entity_schema *tail_schema(const struct service *service,
                                               struct slice entity_type)
{
    const struct config *config = service->config;
    for (size_t i = 0; i < config->apply_count; i++) {
        if (slice_is(entity_type, config->apply[i].entity_type))
            return service->applied[i];
    }
    for (size_t i = 0; i < config->publish_count; i++) {
        if (slice_is(entity_type, config->publish[i].entity_type))
            return service->published[i];
    }
    return NULL;
}

static const struct entity_schema *tail_find(void *context, struct slice entity_type)
{
    return tail_schema(context, entity_type);
}

/* Write a line whole, however slowly it is read. A reader that has gone ends the command. */
static enum status tail_write(struct tail_view *view, struct error *err)
{
    const char *at = view->line.data;
    size_t left = view->line.length;
    while (left > 0 && !atomic_load(&command_stop)) {
        struct pollfd out = {.fd = STDOUT_FILENO, .events = POLLOUT};
        if (poll(&out, 1, TAIL_POLL_MS) <= 0)
            continue;
        ssize_t written = write(STDOUT_FILENO, at, left < TAIL_WRITE_MAX ? left : TAIL_WRITE_MAX);
        if (written < 0 && (errno == EINTR || errno == EAGAIN))
            continue;
        view->is_closed = written < 0 && errno == EPIPE;
        if (view->is_closed)
            return STATUS_OK;
        if (written < 0) {
            err->exit_code = EX_IOERR;
            return error_set_native(err, STATUS_FATAL, errno, "the output could not be written: %s",
                                    strerror(errno));
        }
        at += written;
        left -= (size_t)written;
    }
    return STATUS_OK;
}

/* A pipe whose reader has gone says so without being written to. */
static bool tail_is_unread(void)
{
    struct pollfd out = {.fd = STDOUT_FILENO};
    return poll(&out, 1, 0) > 0 && (out.revents & (POLLERR | POLLNVAL)) != 0;
}

/* Records that name no type, or cannot be read, are shown with every type of the topic. */
static bool tail_is_asked(const struct tail_view *view, const struct change *change)
{
    if (change->entity_type.length > 0 && !slice_is(change->entity_type, view->entry->entity_type))
        return false;
    return view->key.data == NULL || slice_equal(view->key, change->entity_key) ||
           (change->entity_key.length == 0 && slice_equal(view->key, change->record.key));
}

static enum status tail_show(struct tail_view *view, const struct tail_record *tail,
                             struct error *err)
{
    struct change change = {0};
    struct error why = ERROR_INIT;
    const struct decoder decoder = {.finder = {tail_find, (void *)(uintptr_t)view->service},
                                    .arena = &view->arena};
    struct record record = tail->record;
    record.form = view->entry->format == FORMAT_KEEPSTEP ? NULL : &view->form;
    arena_reset(&view->arena);
    enum status status = record_decode(&record, &decoder, &change, &why);
    if (status == STATUS_OK && change.kind == KIND_CHANGE && change.schema == NULL)
        (void)error_set(&why, STATUS_REJECT, "no schema of entity type %.*s is configured here",
                        SLICE_ARGS(change.entity_type));
    if (!tail_is_asked(view, &change))
        return STATUS_OK;
    const struct tail_shown shown = {
        .tail = tail, .change = &change, .reason = why.text[0] == '\0' ? NULL : why.text};
    buffer_reset(&view->line);
    (view->json ? tail_append_json : tail_append_text)(&shown, &view->line);
    if (view->line.failed)
        return error_set(err, STATUS_FATAL, "no memory for the record at offset %" PRId64,
                         tail->record.offset);
    view->count--;
    return tail_write(view, err);
}

static enum status tail_loop(struct tail_view *view, struct tail *tail, struct error *err)
{
    enum status status = STATUS_OK;
    while (status == STATUS_OK && !atomic_load(&command_stop) && !view->is_closed &&
           view->count > 0 && !(view->until_end && tail_is_at_end(tail))) {
        view->is_closed = tail_is_unread();
        struct tail_record record;
        struct error broker = ERROR_INIT;
        status = tail_poll(tail, TAIL_POLL_MS, &record, &broker);
        if (status == STATUS_RETRY) { /* librdkafka goes on by itself */
            command_say("keepstep: %s", broker.text);
            status = STATUS_OK;
        }
        if (record.record.topic != NULL &&
            (!view->until_end || tail_was_there(tail, &record.record)))
            status = tail_show(view, &record, err);
    }
    return status;
}

static enum status tail_usage(struct error *err, const char *flag, const char *value)
{
    err->exit_code = EX_USAGE;
    return error_set(err, STATUS_FATAL, "--%s: %.*s is none: see `keepstep tail --help`", flag,
                     command_word_length(value), value);
}

/* @return false where the text is no number from `least` to `most`. */
static bool tail_number(const char *text, int64_t least, int64_t most, int64_t *ret_number)
{
    char *rest = NULL;
    errno = 0;
    *ret_number = strtoll(text, &rest, 10);
    return errno == 0 && rest != text && *rest == '\0' && *ret_number >= least &&
           *ret_number <= most;
}

static enum status tail_read_flags(const struct command_line *line, struct tail_view *view,
                                   struct tail_options *options, struct error *err)
{
    const char *from = line->flags[TAIL_FLAG_FROM];
    const char *partition = line->flags[TAIL_FLAG_PARTITION];
    const char *count = line->flags[TAIL_FLAG_COUNT];
    int64_t number = -1;
    view->json = line->json;
    view->until_end = line->flags[TAIL_FLAG_UNTIL_END] != NULL;
    view->count = INT64_MAX;
    options->start.from = view->until_end ? TAIL_BEGINNING : TAIL_END;
    if (from != NULL && !tail_start_read(from, &options->start))
        return tail_usage(err, "from", from);
    if (partition != NULL && !tail_number(partition, 0, INT32_MAX, &number))
        return tail_usage(err, "partition", partition);
    options->partition = (int32_t)number;
    if (count != NULL && !tail_number(count, 1, INT64_MAX, &view->count))
        return tail_usage(err, "count", count);
    return STATUS_OK;
}

static enum status tail_find_type(const struct command_line *line, struct tail_view *view,
                                  struct error *err)
{
    const struct config *config = view->service->config;
    const char *type = line->arguments[0];
    const char *key = line->flags[TAIL_FLAG_KEY];
    view->entry = config_find(config->apply, config->apply_count, type, strlen(type));
    if (view->entry == NULL)
        view->entry = config_find(config->publish, config->publish_count, type, strlen(type));
    if (view->entry == NULL) {
        err->exit_code = EX_USAGE;
        return error_set(err, STATUS_FATAL, "%s neither publishes nor applies %.*s",
                         config->service, command_word_length(type), type);
    }
    view->schema = tail_schema(view->service, slice_of(type));
    view->form = (struct record_form){
        .format = view->entry->format, .binary = view->entry->binary, .schema = view->schema};
    if (key == NULL)
        return STATUS_OK;
    struct arena arena;
    struct slice found = {0};
    arena_init(&arena, TAIL_ARENA_MAX);
    enum status status = canonical_key(view->schema, slice_of(key), &arena, &found, err);
    char *kept = status == STATUS_OK ? strndup(found.data, found.length) : NULL;
    arena_done(&arena);
    if (status == STATUS_OK && kept == NULL)
        return error_set(err, STATUS_FATAL, "no memory");
    if (status == STATUS_OK)
        view->key = slice_of(kept);
    else
        err->exit_code = EX_USAGE;
    return status == STATUS_OK ? STATUS_OK : (err->status = STATUS_FATAL);
}

static enum status tail_do(const struct command_line *line, const struct service *service,
                           struct error *err)
{
    struct tail_view view = {.service = service};
    struct tail_options options = {.config = service->config, .partition = -1};
    struct tail *tail = NULL;
    arena_init(&view.arena, TAIL_ARENA_MAX);
    buffer_init(&view.line, TAIL_LINE_MAX);
    enum status status = tail_read_flags(line, &view, &options, err);
    if (status == STATUS_OK)
        status = tail_find_type(line, &view, err);
    if (status == STATUS_OK) {
        options.topic = view.entry->topic;
        status = tail_open(&options, &tail, err);
    }
    if (status == STATUS_OK)
        status = tail_loop(&view, tail, err);
    tail_close(tail);
    buffer_done(&view.line);
    arena_done(&view.arena);
    free((char *)(uintptr_t)view.key.data);
    return status;
}

static int tail_run(const struct command *command, int argc, char **argv)
{
    struct command_line line;
    int code = command_parse(command, argc, argv, &line);
    if (code >= 0)
        return code;
    if (line.argument_count != 1) {
        fprintf(stderr, "keepstep tail: wants %s\n", command->arguments);
        return EX_USAGE;
    }
    struct error err = ERROR_INIT;
    struct service service;
    command_catch_signals();
    enum status status = service_open(&line, &service, &err);
    if (status == STATUS_OK)
        status = tail_do(&line, &service, &err);
    code = status == STATUS_OK ? EX_OK : command_fail(&err);
    service_close(&service);
    return code;
}

const struct command command_tail = {
    .name = "tail",
    .arguments = "TYPE",
    .summary = "Show the events of a type as they come, without touching anybody's offsets.",
    .examples = "  keepstep tail order -c billing.yaml\n"
                "  keepstep tail order --from beginning --until-end --json | jq .keepstep\n"
                "  keepstep tail order --key 42 --from 2026-11-30T09:00:00Z\n",
    COMMAND_FLAGS(tail_flags),
    .run = tail_run,
};
