/* One fill in one thread: the source pushes into the rows topic. */
#include "operate/fill/server.h"

#include "common/log.h"
#include "operate/fill/rows_writer.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SERVER_TOPIC_SIZE 256

struct fill_server {
    const struct service *service;
    const atomic_bool *stop;
    pthread_t thread;
    bool is_started;     /* the thread is to be waited for */
    atomic_bool is_busy; /* it still works */
    char id[FILL_ID_SIZE];
    char topic[SERVER_TOPIC_SIZE];
    char target[SERVER_TOPIC_SIZE];
    struct entity_schema **types;
    size_t type_count;
};

struct fill_server *fill_server_new(const struct service *service, const atomic_bool *stop)
{
    struct fill_server *server = calloc(1, sizeof *server);
    if (server == NULL)
        return NULL;
    server->service = service;
    server->stop = stop;
    return server;
}

static void server_forget(struct fill_server *server)
{
    if (server->is_started)
        (void)pthread_join(server->thread, NULL);
    server->is_started = false;
    for (size_t i = 0; server->types != NULL && i < server->type_count; i++)
        entity_schema_free(server->types[i]);
    free(server->types);
    server->types = NULL;
    server->type_count = 0;
}

void fill_server_free(struct fill_server *server)
{
    if (server == NULL)
        return;
    server_forget(server);
    free(server);
}

static bool server_has_topic(const struct fill_server *server, const char *topic)
{
    const struct config *config = server->service->config;
    bool has = false;
    for (size_t i = 0; i < config->publish_count; i++)
        has = has || strcmp(config->publish[i].topic, topic) == 0;
    for (size_t i = 0; i < config->apply_count; i++)
        has = has || strcmp(config->apply[i].topic, topic) == 0;
    return has;
}

/* What a database or a broker says is for the operator here, not for the asker. */
static const char *server_reason(enum status status, const struct error *err)
{
    if (status == STATUS_STOP || status == STATUS_ABORT)
        return err->text;
    return status == STATUS_RETRY ? "its database or its broker does not answer, or it ends; its "
                                    "log says more"
                                  : "it fails; its log says more";
}

static enum status server_run(struct fill_server *server, struct rows_writer *writer,
                              struct error *err)
{
    const struct fill_sink sink = rows_writer_sink(writer);
    const struct fill_source_options options = {
        .service = server->service,
        .id = server->id,
        .topic = server->topic,
        .types = (const struct entity_schema *const *)server->types,
        .type_count = server->type_count};
    struct error untold = ERROR_INIT;
    enum status status = fill_source_run(&options, &sink, err);
    if (status != STATUS_OK &&
        rows_writer_void(writer, server_reason(status, err), &untold) != STATUS_OK)
        log_info("desk", "%s is not told: %s", server->target, untold.text);
    return status;
}

static void *server_thread(void *context)
{
    struct fill_server *server = context;
    const struct rows_writer_options options = {.config = server->service->config,
                                                .data_topic = server->topic,
                                                .id = server->id,
                                                .stop = server->stop};
    struct rows_writer *writer = NULL;
    struct error err = ERROR_INIT;
    log_info("desk", "%s is filled with the rows of %s from here", server->target, server->topic);
    enum status status = rows_writer_open(&options, &writer, &err);
    if (status == STATUS_OK)
        status = server_run(server, writer, &err);
    rows_writer_close(writer);
    if (status == STATUS_OK)
        log_info("desk", "all rows of %s were handed over to %s", server->topic, server->target);
    else
        log_warning("desk", "%s is not filled with the rows of %s from here: %s", server->target,
                    server->topic, err.text);
    atomic_store(&server->is_busy, false);
    return NULL;
}

static enum status server_copy_types(struct fill_server *server,
                                     const struct talk_question *question, struct error *err)
{
    enum status status = STATUS_OK;
    server->types = calloc(question->type_count + 1, sizeof *server->types);
    if (server->types == NULL)
        return error_set(err, STATUS_RETRY, "no memory for a fill");
    for (size_t i = 0; status == STATUS_OK && i < question->type_count; i++) {
        const struct talk_type *type = &question->types[i];
        status = talk_schema_new(type->entity_type, &type->columns, &server->types[i], err);
        server->type_count += status == STATUS_OK;
    }
    return status;
}

enum status fill_server_take(struct fill_server *server, const struct talk_question *question,
                             struct error *err)
{
    if (atomic_load(&server->is_busy))
        return error_set(err, STATUS_REJECT, "it fills another copy at the moment");
    if (!server_has_topic(server, question->topic) || question->type_count == 0)
        return error_set(err, STATUS_REJECT, "it has no rows of that topic");
    server_forget(server);
    (void)snprintf(server->id, sizeof server->id, "%s", question->id);
    (void)snprintf(server->topic, sizeof server->topic, "%s", question->topic);
    (void)snprintf(server->target, sizeof server->target, "%s", question->target);
    enum status status = server_copy_types(server, question, err);
    if (status != STATUS_OK)
        return status;
    atomic_store(&server->is_busy, true);
    server->is_started = pthread_create(&server->thread, NULL, server_thread, server) == 0;
    if (!server->is_started) {
        atomic_store(&server->is_busy, false);
        return error_set(err, STATUS_RETRY, "it could not start a thread");
    }
    return STATUS_OK;
}
