/* A request is a row with the stage `asked`; the agent that owns partition 0 does the rest. */
#include "operate/fill/request.h"

#include "common/clock.h"
#include "common/utf8.h"
#include "common/uuid.h"
#include "consumer/fill/loader.h"
#include "consumer/store/registry.h"

#include <stdio.h>
#include <string.h>

#define REQUEST_POLL_US (INT64_C(500) * 1000)

static enum status request_loader(const struct fill_request *request,
                                  struct fill_loader **ret_loader, struct error *err)
{
    const struct config *config = request->copy->config;
    const struct fill_loader_options options = {.ops = store_find(config->database),
                                                .config = config,
                                                .mappings = request->copy->mappings,
                                                .mapping_count = config->apply_count,
                                                .topic = request->topic};
    return options.ops == NULL ? service_refuse_scheme(err)
                               : fill_loader_new(&options, ret_loader, err);
}

enum status fill_request_make(const struct fill_request *request, struct error *err)
{
    struct fill_loader *loader = NULL;
    char id[UUID_TEXT_SIZE];
    if (request->copy->config->control_topic[0] == '\0') /* the topic would be held for ever */
        return error_set(error_config(err), STATUS_FATAL,
                         "%s: control_topic: is empty, so the agent cannot ask anybody for rows: "
                         "stop it and use `keepstep fill %s --from-config FILE`",
                         request->copy->config->path, request->topic);
    uuid_v7(id);
    const struct fill_asked asked = {.id = id,
                                     .source = request->source == NULL ? "" : request->source,
                                     .again = request->again};
    enum status status = request_loader(request, &loader, err);
    if (status == STATUS_OK)
        status = fill_loader_ask(loader, &asked, err);
    fill_loader_free(loader);
    return status;
}

enum status fill_request_cancel(const struct fill_request *request, struct error *err)
{
    struct fill_loader *loader = NULL;
    enum status status = request_loader(request, &loader, err);
    if (status == STATUS_OK)
        status = fill_loader_cancel(loader, err);
    fill_loader_free(loader);
    return status;
}

static void request_say(const struct fill_state *fill, char *said, size_t size)
{
    char text[ERROR_TEXT_SIZE];
    utf8_format(text, sizeof text, "%.60s%s%.400s", fill_stage_name(fill->stage),
                fill->reason[0] == '\0' ? "" : ": ", fill->reason);
    if (strcmp(text, said) == 0)
        return;
    command_say("%s: %s", fill->topic, text);
    utf8_format(said, size, "%s", text);
}

enum status fill_request_follow(const struct fill_request *request, struct fill_state *ret_fill,
                                struct error *err)
{
    char said[ERROR_TEXT_SIZE] = "";
    struct store *store = NULL;
    enum status status = service_open_store(request->copy, true, &store, err);
    while (status == STATUS_OK) {
        status = store_fill_read(store, request->topic, ret_fill, err);
        if (status != STATUS_OK || !fill_holds_topic(ret_fill->stage) || ret_fill->given_up)
            break;
        request_say(ret_fill, said, sizeof said);
        if (atomic_load(&command_stop))
            status = error_set(err, STATUS_RETRY, "stopped by a signal; the fill goes on");
        clock_sleep_us(REQUEST_POLL_US);
    }
    if (status == STATUS_OK && ret_fill->stage == FILL_CANCELLED)
        status = error_set(err, STATUS_RETRY, "%s: the fill was cancelled", request->topic);
    if (status == STATUS_OK && fill_is_given_up(ret_fill))
        status = error_set(err, STATUS_REJECT,
                           "%s: the agent has given the fill up: %.300s. Mend the cause, then "
                           "`keepstep fill %.80s` again",
                           request->topic, ret_fill->reason, request->topic);
    if (store != NULL)
        store->ops->close(store);
    return status;
}
