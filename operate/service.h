/* One configured service: its configuration, the schemas of its entity types and its mappings. */
#ifndef OPERATE_SERVICE_H
#define OPERATE_SERVICE_H

#include "consumer/store/store.h"
#include "operate/command.h"
#include "producer/outbox/outbox.h"
#include "schemas/config/config.h"

struct service {
    struct config *config;
    struct entity_schema **published; /* parallel to config->publish */
    struct entity_schema **applied;   /* parallel to config->apply */
    struct mapping *mappings;         /* parallel to config->apply */
};

/** Load the configuration that the flags name, and its schemas; configure the log.
 * @return OK; FATAL. service_close() is legal after either. */
enum status service_open(const struct command_line *line, struct service *ret_service,
                         struct error *err) MUST_CHECK;

/** The same of another service, from its file alone. The log stays as it is. */
enum status service_open_file(const char *path, struct service *ret_service,
                              struct error *err) MUST_CHECK;
void service_close(struct service *service);

/** What a subcommand does with the service that it was started for. */
typedef enum status service_run(const struct service *service, const struct command_line *line,
                                struct error *err);

/** A whole subcommand: read the flags, open the service, `run`.
 * @return the exit code; the error was said. */
int service_command(const struct command *command, int argc, char **argv, service_run *run);

/** Set the error for a database whose scheme has no back end for this command. */
enum status service_refuse_scheme(struct error *err);

/** Open the service's database as a peer (store) or as an origin (outbox). */
enum status service_open_store(const struct service *service, bool read_only,
                               struct store **ret_store, struct error *err) MUST_CHECK;
enum status service_open_outbox(const struct service *service, bool read_only,
                                struct outbox **ret_outbox, struct error *err) MUST_CHECK;

#endif
