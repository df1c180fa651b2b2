/* `keepstep healthcheck`: asks the running sidecar whether it makes progress, as containers do. */
#include "operate/command.h"
#include "operate/http.h"
#include "operate/http_client.h"
#include "operate/service.h"

#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#define HEALTHCHECK_BODY_MAX ((size_t)64 * 1024)

static int healthcheck_ask(const char *host, const char *port, const char *path)
{
    struct buffer body;
    buffer_init(&body, HEALTHCHECK_BODY_MAX);
    int code = http_get(host, port, path, &body);
    if (code == HTTP_NOBODY)
        command_say("keepstep: nobody answers at %s:%s; is `keepstep run` running?", host, port);
    else if (code == HTTP_NO_ANSWER)
        fprintf(stderr, "keepstep: no answer from %s:%s within %d s\n", host, port,
                HTTP_GET_SECONDS);
    else
        printf("%s", buffer_text(&body));
    buffer_done(&body);
    return code == 200 ? EX_OK : 1;
}

/* "http://HOST:PORT/PATH" in its parts. */
static int healthcheck_ask_url(const char *url)
{
    char listen[HTTP_HOST_SIZE];
    char host[HTTP_HOST_SIZE];
    char port[8];
    const char *rest = strncmp(url, "http://", 7) == 0 ? url + 7 : url;
    const char *path = strchr(rest, '/');
    size_t length = path == NULL ? strlen(rest) : (size_t)(path - rest);
    (void)snprintf(listen, sizeof listen, "%.*s", (int)length, rest);
    if (length >= sizeof listen || !http_parse_listen(listen, host, port)) {
        fprintf(stderr, "keepstep healthcheck: %s is not http://HOST:PORT/readyz\n", url);
        return EX_USAGE;
    }
    return healthcheck_ask(host, port, path == NULL ? "/readyz" : path);
}

enum { HEALTHCHECK_URL };

static const struct command_flag healthcheck_flags[] = {
    [HEALTHCHECK_URL] = {"url", "URL", "ask this address, not the configured `listen:`"},
};

static int healthcheck_run(const struct command *command, int argc, char **argv)
{
    struct command_line line;
    int code = command_parse(command, argc, argv, &line);
    if (code >= 0)
        return code;
    if (line.flags[HEALTHCHECK_URL] != NULL)
        return healthcheck_ask_url(line.flags[HEALTHCHECK_URL]);
    struct error err = ERROR_INIT;
    struct config *config = NULL;
    command_advise_flags(&line);
    if (config_load(line.config_path, line.overrides, line.override_count, &config, &err) !=
        STATUS_OK)
        return command_fail(&err);
    if (config->listen[0] == '\0') {
        (void)error_set(error_config(&err), STATUS_FATAL, "%s switches HTTP off (listen: \"\")",
                        line.config_path);
        code = command_fail(&err);
    } else {
        code = healthcheck_ask_url(config->listen);
    }
    config_free(config);
    return code;
}

const struct command command_healthcheck = {
    .name = "healthcheck",
    .arguments = "",
    .summary = "Ask the running sidecar whether it makes progress; exit code 0: yes, 1: no.",
    .examples = "  keepstep healthcheck -c shop.yaml\n"
                "  keepstep healthcheck --url http://127.0.0.1:9464/readyz\n",
    COMMAND_FLAGS(healthcheck_flags),
    .without_json = true,
    .run = healthcheck_run,
};
