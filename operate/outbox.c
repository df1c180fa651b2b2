/* `keepstep outbox`: shows a row, and retries, drops or cuts what was set aside. */
#include "common/buffer.h"
#include "operate/command.h"
#include "operate/member.h"
#include "operate/outbox_list.h"
#include "operate/service.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#define OUTBOX_RETRY_ROWS 50 /* at a time: as many of the largest rows fit into the arena */
#define OUTBOX_ARENA_MAX  ((size_t)64 * 1024 * 1024)
#define OUTBOX_OUTPUT_MAX ((size_t)64 * 1024 * 1024)

static const char *outbox_state(const struct outbox_row *row)
{
    if (row->set_aside.data != NULL)
        return "set aside";
    return row->sequence == 0 ? "waiting" : "claimed";
}

static void outbox_render_json(const struct outbox_row *row, struct buffer *out)
{
    member_begin(out, NULL, "{");
    member_number(out, "position", row->position);
    member_word(out, "state", outbox_state(row));
    member_text(out, "event_id", row->id);
    member_text(out, "event_type", row->type);
    member_text(out, "entity_type", row->entity_type);
    member_text(out, "entity_key", row->entity_key);
    member_text(out, "created_at", row->created_at);
    member_text(out, "reason", row->set_aside);
    if (row->changeset.length > 0)
        member_text(out, "changeset", row->changeset);
    if (row->sequence != 0) {
        member_number(out, "partition", row->partition);
        member_number(out, "sequence", (int64_t)row->sequence);
    }
    if (row->changeset_end != 0)
        member_number(out, "changeset_end", (int64_t)row->changeset_end);
    if (row->payload.data != NULL)
        member_text(out, "payload", row->payload);
    buffer_append_text(out, "}\n");
}

static void outbox_render_text(const struct outbox_row *row, struct buffer *out)
{
    buffer_append_format(out, "%-10lld %-10s %-24.*s %-24.*s %.*s\n", (long long)row->position,
                         outbox_state(row), SLICE_ARGS(row->type), SLICE_ARGS(row->entity_key),
                         SLICE_ARGS(row->set_aside));
    if (row->payload.data == NULL)
        return;
    buffer_append_format(out, "id          %.*s\ncreated at  %.*s\n", SLICE_ARGS(row->id),
                         SLICE_ARGS(row->created_at));
    if (row->sequence != 0)
        buffer_append_format(out, "sequence    %llu, of partition %d\n",
                             (unsigned long long)row->sequence, (int)row->partition);
    if (row->changeset.length > 0)
        buffer_append_format(out, "change set  %.*s\n", SLICE_ARGS(row->changeset));
    if (row->changeset_end != 0)
        buffer_append_format(out, "set's end   %llu\n", (unsigned long long)row->changeset_end);
    buffer_append_format(out, "payload     %.*s\n", SLICE_ARGS(row->payload));
}

/* One row, with its payload. */
static enum status outbox_show(struct outbox *outbox, int64_t position, bool json,
                               struct error *err)
{
    const struct outbox_selection selection = {
        .filter = OUTBOX_ALL, .limit = 1, .after = position - 1};
    struct outbox_rows rows = {0};
    struct arena arena;
    struct buffer out;
    arena_init(&arena, OUTBOX_ARENA_MAX);
    buffer_init(&out, OUTBOX_OUTPUT_MAX);
    enum status status = outbox->ops->list(outbox, &selection, &arena, &rows, err);
    if (status == STATUS_OK && (rows.count == 0 || rows.rows[0].position != position)) {
        err->exit_code = EX_DATAERR;
        status = error_set(err, STATUS_FATAL, "the outbox has no row at position %lld",
                           (long long)position);
    }
    if (status == STATUS_OK)
        (json ? outbox_render_json : outbox_render_text)(&rows.rows[0], &out);
    if (status == STATUS_OK)
        command_print(&out, json);
    buffer_done(&out);
    arena_done(&arena);
    return status;
}

static enum status outbox_do(struct outbox *outbox, const char *verb, int64_t position,
                             struct error *err)
{
    static const struct {
        const char *verb;
        enum outbox_resolution resolution;
        const char *said;
    } verbs[] = {
        {"retry", OUTBOX_RETRY, "the relay tries it again"},
        {"drop", OUTBOX_DROP,
         "dropped; it will not be published, and other copies keep what they have. If another "
         "service's change to this entity was kept back here, the agent writes it now; otherwise "
         "write the entity again"},
        {"cut", OUTBOX_CUT,
         "its change set is cut: each of its rows is published alone, so copies show parts of it "
         "in between"}};
    size_t i = 0;
    while (strcmp(verbs[i].verb, verb) != 0)
        i++;
    enum status status = outbox->ops->resolve_set_aside(outbox, position, verbs[i].resolution, err);
    if (status == STATUS_OK)
        fprintf(stderr, "position %lld: %s\n", (long long)position, verbs[i].said);
    return status;
}

/* Retries each row once, oldest first. A row that a relay has set aside again meanwhile stays so.
 * If one list holds nothing but such rows, this ends: the cause was not repaired. Rows of a set
 * that was retried already are not set aside any more. */
static enum status outbox_retry_all(struct outbox *outbox, struct error *err)
{
    struct arena arena;
    struct outbox_selection selection = {
        .filter = OUTBOX_SET_ASIDE, .limit = OUTBOX_RETRY_ROWS, .brief = true};
    struct outbox_rows rows = {0};
    long long retried = 0;
    arena_init(&arena, OUTBOX_ARENA_MAX);
    enum status status;
    do {
        arena_reset(&arena);
        status = outbox->ops->list(outbox, &selection, &arena, &rows, err);
        for (size_t i = 0; status == STATUS_OK && i < rows.count; i++) {
            selection.after = rows.rows[i].position;
            status = outbox->ops->resolve_set_aside(outbox, selection.after, OUTBOX_RETRY, err);
            if (status == STATUS_OK)
                retried++;
            else if (status == STATUS_REJECT) {
                error_clear(err);
                status = STATUS_OK;
            }
        }
    } while (status == STATUS_OK && rows.count > 0);
    fprintf(stderr, "%lld rows and sets: the relay tries them again\n", retried);
    arena_done(&arena);
    return status;
}

static bool outbox_position(const char *text, int64_t *ret_position)
{
    char *end = NULL;
    errno = 0;
    *ret_position = strtoll(text, &end, 10);
    return errno == 0 && end != text && *end == '\0' && *ret_position > 0;
}

enum { OUTBOX_RETRY_ALL };

static const struct command_flag outbox_flags[] = {
    [OUTBOX_RETRY_ALL] = {"all", NULL, "retry all that was set aside"},
};

static int outbox_run(const struct command *command, int argc, char **argv)
{
    struct command_line line;
    int code = command_parse(command, argc, argv, &line);
    if (code >= 0)
        return code;
    bool all = line.flags[OUTBOX_RETRY_ALL] != NULL;
    const char *verb = line.argument_count > 0 ? line.arguments[0] : "list";
    bool is_list = strcmp(verb, "list") == 0;
    int64_t position = 0;
    bool retry_all = all && strcmp(verb, "retry") == 0 && line.argument_count == 1;
    if ((all && !retry_all) || (is_list && line.argument_count > 1) ||
        (!is_list && strcmp(verb, "show") != 0 && strcmp(verb, "retry") != 0 &&
         strcmp(verb, "drop") != 0 && strcmp(verb, "cut") != 0) ||
        (!is_list && !retry_all &&
         (line.argument_count != 2 || !outbox_position(line.arguments[1], &position)))) {
        fprintf(stderr, "keepstep outbox: wants list, or show, retry, drop or cut and a POSITION, "
                        "or retry --all\n");
        return EX_USAGE;
    }
    bool read_only = is_list || strcmp(verb, "show") == 0;
    code = read_only ? -1 : command_refuse_json(command, &line, verb);
    if (code >= 0)
        return code;
    struct error err = ERROR_INIT;
    struct service service;
    struct outbox *outbox = NULL;
    enum status status = service_open(&line, &service, &err);
    if (status == STATUS_OK)
        status = service_open_outbox(&service, read_only, &outbox, &err);
    if (status == STATUS_OK)
        status = retry_all   ? outbox_retry_all(outbox, &err)
                 : is_list   ? outbox_list(outbox, line.json, &err)
                 : read_only ? outbox_show(outbox, position, line.json, &err)
                             : outbox_do(outbox, verb, position, &err);
    code = status == STATUS_OK ? EX_OK : command_fail(&err);
    if (outbox != NULL)
        outbox->ops->close(outbox);
    service_close(&service);
    return code;
}

const struct command command_outbox = {
    .name = "outbox",
    .arguments = "list | show POSITION | retry POSITION|--all | drop POSITION | cut POSITION",
    .summary = "List the rows that wait to be published; retry, drop or cut what was set aside.",
    .examples = "  keepstep outbox list -c shop.yaml\n"
                "  keepstep outbox show 42\n"
                "  keepstep outbox retry 42        after the schema or the row was repaired\n"
                "  keepstep outbox retry --all\n"
                "  keepstep outbox cut 42          publishes its change set as single changes\n",
    COMMAND_FLAGS(outbox_flags),
    .run = outbox_run,
};
