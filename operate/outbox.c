/* `keepstep outbox`: lists and shows rows, and retries, drops or cuts what was set aside. */
#include "operate/command.h"
#include "operate/outbox_list.h"
#include "operate/outbox_show.h"
#include "operate/service.h"

#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#define OUTBOX_RETRY_ROWS 50 /* at a time: as many of the largest rows fit into the arena */
#define OUTBOX_ARENA_MAX  ((size_t)64 * 1024 * 1024)

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
         (line.argument_count != 2 || ((strcmp(verb, "show") != 0 || *line.arguments[1] == '\0') &&
                                       !outbox_position(line.arguments[1], &position))))) {
        fprintf(stderr, "keepstep outbox: wants list, or show, retry, drop or cut and a POSITION "
                        "(show also an event's ID), or retry --all\n");
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
                 : read_only ? outbox_show(outbox, line.arguments[1], line.json, &err)
                             : outbox_do(outbox, verb, position, &err);
    code = status == STATUS_OK ? EX_OK : command_fail(&err);
    if (outbox != NULL)
        outbox->ops->close(outbox);
    service_close(&service);
    return code;
}

const struct command command_outbox = {
    .name = "outbox",
    .arguments = "list | show POSITION|ID | retry POSITION|--all | drop POSITION | cut POSITION",
    .summary = "List the rows that wait to be published; retry, drop or cut what was set aside.",
    .examples = "  keepstep outbox list -c shop.yaml\n"
                "  keepstep outbox show 42\n"
                "  keepstep outbox show 0190aaaa-0000-7000-8000-000000000001\n"
                "  keepstep outbox retry 42        after the schema or the row was repaired\n"
                "  keepstep outbox retry --all\n"
                "  keepstep outbox cut 42          publishes its change set as single changes\n",
    COMMAND_FLAGS(outbox_flags),
    .run = outbox_run,
};
