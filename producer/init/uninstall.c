/* Lists what is Keepstep's in a database, and drops it: what writes first, what is read last. */
#include "producer/init/uninstall.h"

#include "common/clock.h"
#include "producer/registry.h"

#include <inttypes.h>
#include <string.h>
#include <sysexits.h>

#define MADE_SIZE_MAX ((size_t)64 * 1024 * 1024)
#define BUSY_WAIT_US  (INT64_C(60) * 1000 * 1000)
#define BUSY_PAUSE_US (INT64_C(200) * 1000)

enum status uninstall_init(struct uninstall *uninstall, const struct config *config,
                           struct error *err)
{
    const struct origin_ops *ops = origin_find(config->database);
    bool has_relay = false;
    *uninstall = (struct uninstall){0};
    arena_init(&uninstall->arena, MADE_SIZE_MAX);
    uninstall->made.arena = &uninstall->arena;
    if (ops == NULL)
        return error_set(error_config(err), STATUS_FATAL,
                         "database: its scheme has no back end for this command");
    enum status status = ops->open(config, ORIGIN_REMOVE, &uninstall->origin, err);
    if (status == STATUS_OK)
        status = ops->list_made(uninstall->origin, &uninstall->made, err);
    if (status == STATUS_OK)
        status = ops->lease(uninstall->origin, &has_relay, &uninstall->lease, err);
    return status;
}

void uninstall_done(struct uninstall *uninstall)
{
    if (uninstall->origin != NULL)
        uninstall->origin->ops->close(uninstall->origin);
    arena_done(&uninstall->arena);
    *uninstall = (struct uninstall){0};
}

bool uninstall_has(const struct uninstall *uninstall, const char *table)
{
    for (size_t i = 0; i < uninstall->made.count; i++) {
        if (strcmp(uninstall->made.items[i].name, table) == 0)
            return true;
    }
    return false;
}

void uninstall_print(const struct uninstall *uninstall, FILE *out)
{
    const struct origin_ops *ops = uninstall->origin->ops;
    (void)fputs(ops->client_stop != NULL ? ops->client_stop : "", out);
    (void)fputs(ops->client_end != NULL ? "BEGIN IMMEDIATE;\n" : "", out);
    (void)fputs(ops->client_begin != NULL ? ops->client_begin : "", out);
    for (size_t i = 0; i < uninstall->made.count; i++)
        (void)fprintf(out, "%s;\n", uninstall->made.items[i].sql);
    (void)fputs(ops->client_commit != NULL ? ops->client_commit : "", out);
    (void)fputs(ops->client_end != NULL ? ops->client_end : "", out);
}

static enum status uninstall_check_lease(struct uninstall *uninstall, struct error *err)
{
    bool has_relay = false;
    enum status status = uninstall->origin->ops->lease(uninstall->origin, &has_relay,
                                                       &uninstall->lease, err);
    if (status == STATUS_OK && uninstall->lease.until_us > clock_wall_us())
        status = error_set(err, STATUS_ABORT,
                           "a relay publishes from this outbox: instance %s holds its lease; stop "
                           "all sidecars of the service first",
                           uninstall->lease.holder);
    return status;
}

/* The service may have written since its rows were counted and shown. */
static enum status uninstall_check_outbox(struct uninstall *uninstall, struct error *err)
{
    int64_t count = 0;
    enum status status = uninstall->origin->ops->count_unpublished(uninstall->origin, &count, err);
    if (status != STATUS_OK || count == 0)
        return status;
    err->exit_code = EX_DATAERR;
    return error_set(err, STATUS_ABORT,
                     "%" PRId64 " rows came into the outbox meanwhile and are not published: stop "
                     "the service, run `keepstep init`, and let `keepstep run` publish them; or "
                     "add --discard-unpublished, and no copy ever gets them",
                     count);
}

/* The others have acted on what was promised here, or will. */
static enum status uninstall_check_joint(struct uninstall *uninstall, struct error *err)
{
    char text[ORIGIN_UNSETTLED_SIZE] = "";
    const struct origin_ops *ops = uninstall->origin->ops;
    if (!uninstall_has(uninstall, "keepstep_joint"))
        return STATUS_OK;
    enum status status = ops->find_unsettled(uninstall->origin, text, err);
    if (status != STATUS_OK || text[0] == '\0')
        return status;
    err->exit_code = EX_DATAERR;
    return error_set(err, STATUS_ABORT,
                     "joint transaction %s here: let `keepstep run` settle it first, and propose "
                     "none meanwhile. `keepstep joint list` names all of them; `keepstep joint "
                     "withdraw` asks for the end of one",
                     text);
}

static enum status uninstall_once(struct uninstall *uninstall, struct error *err)
{
    const struct origin_ops *ops = uninstall->origin->ops;
    enum status status = ops->begin(uninstall->origin, err);
    if (status == STATUS_OK)
        status = uninstall_check_lease(uninstall, err);
    if (status == STATUS_OK)
        status = uninstall_check_joint(uninstall, err);
    for (size_t i = 0; status == STATUS_OK && i < uninstall->made.count; i++) {
        if (!uninstall->discards && strcmp(uninstall->made.items[i].name, "outbox") == 0)
            status = uninstall_check_outbox(uninstall, err);
        if (status == STATUS_OK)
            status = ops->create(uninstall->origin, &uninstall->made.items[i], false, err);
    }
    if (status == STATUS_OK)
        return ops->commit(uninstall->origin, err);
    ops->rollback(uninstall->origin);
    return status;
}

enum status uninstall_run(struct uninstall *uninstall, FILE *out, struct error *err)
{
    int64_t until_us = clock_monotonic_us() + BUSY_WAIT_US;
    enum status status = uninstall_once(uninstall, err);
    while (status == STATUS_RETRY && !err->connection_lost && !error_is_config(err) &&
           clock_monotonic_us() < until_us) {
        error_clear(err);
        clock_sleep_us(BUSY_PAUSE_US);
        status = uninstall_once(uninstall, err);
    }
    for (size_t i = 0; status == STATUS_OK && i < uninstall->made.count; i++)
        (void)fprintf(out, "%-8s %-8s %s\n", "dropped", uninstall->made.items[i].kind,
                      uninstall->made.items[i].name);
    return status;
}
