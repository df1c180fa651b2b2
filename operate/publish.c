/* `keepstep publish`: writes lines of JSON from stdin into the outbox. */
#include "operate/command.h"
#include "operate/service.h"
#include "producer/publish_lines.h"

#include <stdio.h>

static enum status publish_stdin(const struct service *service, const struct command_line *line,
                                 struct error *err)
{
    int64_t published = 0;
    (void)line;
    enum status status = publish_lines(service->config,
                                       (const struct entity_schema *const *)service->published,
                                       stdin, &published, err);
    fprintf(stderr, "%lld events written to the outbox\n", (long long)published);
    return status;
}

static int publish_run(const struct command *command, int argc, char **argv)
{
    return service_command(command, argc, argv, publish_stdin);
}

const struct command command_publish = {
    .name = "publish",
    .arguments = "",
    .summary = "Write changes from stdin, one JSON text on each line, into the outbox.",
    .examples = "  echo '{\"type\":\"order.updated\",\"key\":{\"id\":42},\"after\":{…}}' |\n"
                "    keepstep publish -c shop.yaml\n",
    .without_json = true,
    .run = publish_run,
};
