/* `keepstep uninstall`: takes Keepstep out of a service's database, after showing what is lost. */
#include "common/clock.h"
#include "operate/command.h"
#include "operate/running.h"
#include "operate/service.h"
#include "producer/init/uninstall.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

/* What is lost with Keepstep's tables. */
struct losses {
    struct outbox_counts outbox;
    uint64_t numbered; /* events that this origin has numbered in all */
    size_t positions;
    int64_t parked;
    bool has_outbox;
    bool has_copy;
};

static enum status losses_read_outbox(const struct service *service, struct losses *losses,
                                      struct error *err)
{
    struct outbox *outbox = NULL;
    struct relay_partition *partitions = NULL;
    size_t count = 0;
    enum status status = service_open_outbox(service, true, &outbox, err);
    if (status != STATUS_OK)
        return status;
    status = outbox->ops->count(outbox, &losses->outbox, err);
    if (status == STATUS_OK)
        status = outbox->ops->load_partitions(outbox, &partitions, &count, err);
    for (size_t i = 0; i < count; i++)
        losses->numbered += partitions[i].last_sequence;
    free(partitions);
    outbox->ops->close(outbox);
    losses->has_outbox = status == STATUS_OK;
    return status;
}

static enum status losses_read_copy(const struct service *service, struct losses *losses,
                                    struct error *err)
{
    struct store *store = NULL;
    struct partition_state *states = NULL;
    enum status status = service_open_store(service, true, &store, err);
    if (status != STATUS_OK)
        return status;
    status = store->ops->list(store, &states, &losses->positions, err);
    for (size_t i = 0; status == STATUS_OK && i < losses->positions; i++) {
        struct partition_state state = {0};
        status = store->ops->read(store, states[i].topic, states[i].partition, &state, err);
        losses->parked += state.parked_count;
        partition_state_done(&state);
    }
    free(states);
    store->ops->close(store);
    losses->has_copy = status == STATUS_OK;
    return status;
}

/* An uninstall that was interrupted has left a part: then nothing is said of what is gone. */
static enum status losses_read(const struct service *service, const struct uninstall *uninstall,
                               struct losses *losses, struct error *err)
{
    enum status status = STATUS_OK;
    if (uninstall_has(uninstall, "outbox") && uninstall_has(uninstall, "keepstep_relay_type") &&
        uninstall_has(uninstall, "keepstep_relay_read"))
        status = losses_read_outbox(service, losses, err);
    if (status == STATUS_OK && uninstall_has(uninstall, "keepstep_position") &&
        uninstall_has(uninstall, "keepstep_parked") &&
        uninstall_has(uninstall, "keepstep_sequence") && service->config->apply_count > 0)
        status = losses_read_copy(service, losses, err);
    return status;
}

static int64_t losses_unpublished(const struct losses *losses)
{
    return losses->outbox.waiting + losses->outbox.claimed + losses->outbox.set_aside;
}

static void losses_print(const struct losses *losses, FILE *out)
{
    if (losses->has_outbox) {
        fprintf(out,
                "lost     outbox   %" PRId64 " rows wait to be published, %" PRId64
                " are under way, %" PRId64 " are set aside\n",
                losses->outbox.waiting, losses->outbox.claimed, losses->outbox.set_aside);
        fprintf(out,
                "lost     origin   its sequence, after %" PRIu64
                " events: a later `keepstep init` begins a new incarnation\n",
                losses->numbered);
    }
    if (losses->has_copy)
        fprintf(out,
                "lost     copy     %zu positions and the idempotency keys: a later copy reads from "
                "the beginning, or needs a fill; %" PRId64 " parked records\n",
                losses->positions, losses->parked);
}

static void uninstall_say_left(const struct config *config, FILE *out)
{
    bool is_file = strncmp(config->database, "sqlite:", sizeof "sqlite:" - 1) == 0;
    fputs("kept     tables   of the service, with all their rows\n", out);
    if (!is_file)
        fputs("kept     roles    keepstep_relay, keepstep_agent, keepstep_run, keepstep_lag, "
              "keepstep_reader, with their rights on the service's tables: other databases of the "
              "server may use them\n",
              out);
    for (size_t i = 0; i < config->publish_count; i++)
        fprintf(out, "kept     topic    %s\n", config->publish[i].topic);
    if (config->control_topic[0] != '\0')
        fprintf(out,
                "kept     member   %s in %s: from another service, `keepstep copies forget %s`\n",
                config->service, config->control_topic, config->service);
}

static enum status uninstall_refuse_running(const struct config *config,
                                            const struct uninstall *uninstall, struct error *err)
{
    bool relay = running_here(config, RUNNING_RELAY);
    bool agent = running_here(config, RUNNING_AGENT);
    bool leased = uninstall->lease.until_us > clock_wall_us();
    if (!relay && !agent && !leased)
        return STATUS_OK;
    err->exit_code = EX_TEMPFAIL;
    if (relay || agent)
        return error_set(err, STATUS_FATAL,
                         "a sidecar of %s runs on this machine: stop all sidecars of the service "
                         "first",
                         config->service);
    return error_set(err, STATUS_FATAL,
                     "instance %s holds the relay's lease: stop all sidecars of the service first; "
                     "the lease of one that was killed ends by itself within seconds",
                     uninstall->lease.holder);
}

enum { UNINSTALL_YES, UNINSTALL_DISCARD, UNINSTALL_PRINT_SQL };

static const struct command_flag uninstall_flags[] = {
    [UNINSTALL_YES] = {"yes", NULL, "do it; without it nothing is changed"},
    [UNINSTALL_DISCARD] = {"discard-unpublished", NULL,
                           "also where rows of the outbox were not published yet"},
    [UNINSTALL_PRINT_SQL] = {"print-sql", NULL, "only print the SQL statements"},
};

static enum status uninstall_do(const struct command_line *line, const struct service *service,
                                struct uninstall *uninstall, struct error *err)
{
    struct losses losses = {0};
    enum status status = losses_read(service, uninstall, &losses, err);
    if (status != STATUS_OK)
        return status;
    losses_print(&losses, stdout);
    if (line->flags[UNINSTALL_YES] == NULL) {
        for (size_t i = 0; i < uninstall->made.count; i++)
            printf("%-8s %-8s %s\n", "would go", uninstall->made.items[i].kind,
                   uninstall->made.items[i].name);
        uninstall_say_left(service->config, stdout);
        command_say("nothing was changed: `keepstep uninstall --yes` does it");
        return STATUS_OK;
    }
    status = uninstall_refuse_running(service->config, uninstall, err);
    if (status == STATUS_OK && losses_unpublished(&losses) > 0 &&
        line->flags[UNINSTALL_DISCARD] == NULL) {
        err->exit_code = EX_DATAERR;
        status = error_set(err, STATUS_FATAL,
                           "%" PRId64 " rows of the outbox are not published: let `keepstep run` "
                           "publish them, or add --discard-unpublished, and no copy ever gets them",
                           losses_unpublished(&losses));
    }
    uninstall->discards = line->flags[UNINSTALL_DISCARD] != NULL;
    if (status == STATUS_OK)
        status = uninstall_run(uninstall, stdout, err);
    if (status == STATUS_ABORT && err->exit_code == 0)
        err->exit_code = EX_TEMPFAIL;
    if (status == STATUS_OK)
        uninstall_say_left(service->config, stdout);
    return status;
}

static enum status uninstall_service(const struct service *service, const struct command_line *line,
                                     struct error *err)
{
    struct uninstall uninstall = {0};
    enum status status = uninstall_init(&uninstall, service->config, err);
    if (status == STATUS_OK && uninstall.made.count == 0)
        command_say("nothing of Keepstep's is in %s", service->config->database_shown);
    else if (status == STATUS_OK && line->flags[UNINSTALL_PRINT_SQL] != NULL)
        uninstall_print(&uninstall, stdout);
    else if (status == STATUS_OK)
        status = uninstall_do(line, service, &uninstall, err);
    uninstall_done(&uninstall);
    return status;
}

static int uninstall_command(const struct command *command, int argc, char **argv)
{
    command_needs_owner();
    return service_command(command, argc, argv, uninstall_service);
}

const struct command command_uninstall = {
    .name = "uninstall",
    .arguments = "",
    .summary = "Take Keepstep's triggers, functions and tables out of a service's database.",
    .examples = "  keepstep uninstall -c shop.yaml           shows what would be lost\n"
                "  keepstep uninstall -c shop.yaml --yes\n"
                "  keepstep uninstall -c shop.yaml --print-sql\n",
    COMMAND_FLAGS(uninstall_flags),
    .without_json = true,
    .run = uninstall_command,
};
