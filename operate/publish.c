/* `keepstep publish`: lines of JSON from stdin into the outbox. */
#include "operate/command.h"
#include "operate/service.h"
#include "producer/publish_lines.h"

#include <stdio.h>
#include <sysexits.h>

static int publish_run(const struct command *command, int argc, char **argv)
{
    struct command_line line;
    int code = command_parse(command, NULL, 0, argc, argv, &line);
    if (code >= 0)
        return code;
    struct error err = ERROR_INIT;
    struct service service;
    int64_t published = 0;
    enum status status = service_open(&line, &service, &err);
    if (status == STATUS_OK)
        status = publish_lines(service.config,
                               (const struct entity_schema *const *)service.published, stdin,
                               &published, &err);
    code = status == STATUS_OK ? EX_OK : command_fail(&err);
    fprintf(stderr, "%lld events stand in the outbox\n", (long long)published);
    service_close(&service);
    return code;
}

const struct command command_publish = {
    .name = "publish",
    .arguments = "",
    .summary = "Put changes from stdin, one JSON text a line, into the outbox.",
    .examples = "  echo '{\"type\":\"order.updated\",\"key\":{\"id\":42},\"after\":{…}}' |\n"
                "    keepstep publish -c shop.yaml\n",
    .run = publish_run,
};
