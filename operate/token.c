/* `keepstep token`: the token of a ticket (rule 47). */
#include "common/buffer.h"
#include "operate/command.h"
#include "operate/member.h"
#include "operate/service.h"
#include "producer/registry.h"
#include "schemas/token.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#define TOKEN_OUTPUT_MAX (4 * TOKEN_BYTES_MAX)

enum { TOKEN_PRINT_SQL };

static const struct command_flag token_flags[] = {
    [TOKEN_PRINT_SQL] = {"print-sql", NULL,
                         "only print how this database is asked for tickets and tokens"},
};

/* SERVICE/INCARNATION:FIRST-LAST; what it names the database judges. */
static bool token_is_ticket(const char *text)
{
    static const char digits[] = "0123456789";
    const char *incarnation = strrchr(text, '/');
    const char *first = strrchr(text, ':');
    const char *last = strrchr(text, '-');
    if (incarnation == NULL || incarnation == text || first == NULL || first <= incarnation + 1 ||
        last == NULL || last <= first + 1)
        return false;
    size_t first_digits = strspn(first + 1, digits);
    size_t last_digits = strspn(last + 1, digits);
    return first + 1 + first_digits == last && last_digits > 0 && last[1 + last_digits] == '\0' &&
           strtoll(first + 1, NULL, 10) <= strtoll(last + 1, NULL, 10);
}

static enum status token_print_sql(const struct service *service, struct error *err)
{
    const struct outbox_ops *ops = outbox_find(service->config->database);
    if (ops == NULL)
        return service_refuse_scheme(err);
    for (const struct outbox_token_sql *sql = ops->token_sql; sql->text != NULL; sql++)
        command_print_sql(sql->when, sql->text);
    return STATUS_OK;
}

static void token_print(const char *ticket, struct slice token, bool json)
{
    struct buffer out;
    buffer_init(&out, TOKEN_OUTPUT_MAX);
    if (json) {
        member_begin(&out, NULL, "{");
        member_text(&out, "ticket", slice_of(ticket));
        member_text(&out, "token", token);
        buffer_append_text(&out, "}\n");
    } else if (token.data != NULL) {
        buffer_append_format(&out, "%.*s\n", SLICE_ARGS(token));
    }
    fputs(buffer_text(&out), stdout);
    buffer_done(&out);
}

/* @return OK with *ret_code EX_TEMPFAIL while an event waits for its number. */
static enum status token_make(const struct service *service, const char *ticket, bool json,
                              int *ret_code, struct error *err)
{
    struct outbox *outbox = NULL;
    struct slice token = {0};
    struct arena arena;
    if (!token_is_ticket(ticket)) {
        err->exit_code = EX_DATAERR;
        return error_set(err, STATUS_FATAL,
                         "this is no ticket: SERVICE/INCARNATION:FIRST-LAST is one");
    }
    arena_init(&arena, TOKEN_OUTPUT_MAX);
    enum status status = service_open_outbox(service, true, &outbox, err);
    if (status == STATUS_OK)
        status = outbox->ops->token(outbox, ticket, &arena, &token, err);
    if (status == STATUS_OK) {
        *ret_code = token.data == NULL ? EX_TEMPFAIL : EX_OK;
        token_print(ticket, token, json);
    }
    if (status == STATUS_OK && token.data == NULL)
        command_say("keepstep: not known yet: an event of the ticket waits for its number");
    if (status == STATUS_REJECT)
        err->exit_code = EX_DATAERR;
    if (outbox != NULL)
        outbox->ops->close(outbox);
    arena_done(&arena);
    return status;
}

static int token_run(const struct command *command, int argc, char **argv)
{
    struct command_line line;
    int code = command_parse(command, argc, argv, &line);
    if (code >= 0)
        return code;
    bool prints = line.flags[TOKEN_PRINT_SQL] != NULL;
    if (line.argument_count != (prints ? 0 : 1)) {
        fputs("keepstep token: usage: keepstep token TICKET | --print-sql\n", stderr);
        return EX_USAGE;
    }
    const char *ticket = prints ? NULL : line.arguments[0]; /* the service is opened below */
    struct error err = ERROR_INIT;
    struct service service;
    code = EX_OK;
    enum status status = service_open(&line, &service, &err);
    if (status == STATUS_OK)
        status = prints ? token_print_sql(&service, &err)
                        : token_make(&service, ticket, line.json, &code, &err);
    if (status != STATUS_OK)
        code = command_fail(&err);
    service_close(&service);
    return code;
}

const struct command command_token = {
    .name = "token",
    .arguments = "[TICKET]",
    .summary = "Make the token of a transaction's ticket, with which others wait for its events.",
    .examples = "  keepstep token shop/0193583c-…:1041-1057 -c shop.yaml\n"
                "  keepstep token --print-sql -c shop.yaml\n",
    COMMAND_FLAGS(token_flags),
    .run = token_run,
};
