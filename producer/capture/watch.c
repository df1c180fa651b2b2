/* Compares the triggers that are there with those that `init` would make, for all databases. */
#include "producer/capture/watch.h"
#include "common/utf8.h"
#include "producer/init/origin.h"
#include "producer/registry.h"

#include <stdio.h>

#define WATCH_SIZE_MAX ((size_t)64 * 1024 * 1024)

const char *capture_state_name(enum capture_state state)
{
    static const char *const names[] = {[CAPTURE_UNKNOWN] = "unknown",
                                        [CAPTURE_WHOLE] = "whole",
                                        [CAPTURE_PARTIAL] = "partial",
                                        [CAPTURE_BROKEN] = "broken"};
    return names[state];
}

static void watch_note(struct capture_finding *finding, const struct config_entry *entry,
                       const struct origin_object *object, enum origin_found found)
{
    const char *table = object->table != NULL ? object->table : entry->table;
    const char *what = found == ORIGIN_ABSENT ? "is missing"
                       : found == ORIGIN_LOST
                           ? "is switched off, was altered, or hangs on another table"
                           : "is not what this version makes of configuration and schema";
    bool partial = found == ORIGIN_ABSENT && object->of_partition;
    if (partial && finding->state == CAPTURE_BROKEN)
        return;
    finding->state = partial ? CAPTURE_PARTIAL : CAPTURE_BROKEN;
    utf8_format(finding->text, sizeof finding->text, "%s %s of table %s %s", object->kind,
                object->name, table, what);
}

/* The look at one entry. */
struct watch {
    struct origin *origin;
    const struct config_entry *entry;
    const struct entity_schema *schema;
    struct arena *arena;
    struct capture_finding *finding;
};

/* Keeps one finding, as `init` mends all faults: the first by which changes are lost, if there is
 * one. */
static enum status watch_entry(const struct watch *watch, struct error *err)
{
    const struct origin_ops *ops = watch->origin->ops;
    struct origin_objects objects = {.arena = watch->arena};
    bool lost = false;
    enum status status = ops->check(watch->origin, watch->entry, watch->schema, err);
    if (status == STATUS_OK)
        status = ops->capture(watch->origin, watch->entry, watch->schema, &objects, err);
    for (size_t i = 0; status == STATUS_OK && !lost && i < objects.count; i++) {
        const struct origin_object *object = &objects.items[i];
        enum origin_found found = ORIGIN_ABSENT;
        status = ops->compare(watch->origin, object, &found, err);
        lost = found == ORIGIN_LOST || (found == ORIGIN_ABSENT && !object->of_partition);
        if (status == STATUS_OK && found != ORIGIN_SAME)
            watch_note(watch->finding, watch->entry, object, found);
    }
    return status;
}

/* What tells transactions apart is everybody's: without it every set is torn. */
static enum status watch_sets(struct origin *origin, struct capture_finding *ret_finding,
                              struct error *err)
{
    const struct origin_ops *ops = origin->ops;
    enum status status = STATUS_OK;
    *ret_finding = (struct capture_finding){.state = CAPTURE_WHOLE};
    for (size_t i = 0; status == STATUS_OK && i < ops->object_count; i++) {
        const struct origin_object *object = &ops->objects[i];
        enum origin_found found = ORIGIN_ABSENT;
        bool wanted = false;
        if (object->of_sets)
            status = ops->wants(origin, object, &wanted, err);
        if (status != STATUS_OK || !wanted)
            continue;
        status = ops->compare(origin, object, &found, err);
        if (status == STATUS_OK && !origin_keeps(object, found)) {
            ret_finding->state = CAPTURE_BROKEN;
            utf8_format(ret_finding->text, sizeof ret_finding->text,
                        "%s %s of the outbox, which tells the service's transactions apart, is "
                        "missing or not what this version makes of configuration and database",
                        object->kind, object->name);
        }
    }
    return status;
}

static void watch_set(struct capture_finding *finding, enum capture_state state, const char *text)
{
    finding->state = state;
    utf8_format(finding->text, sizeof finding->text, "%s", text);
}

/* Exit code 78 tells of a fault of the table. Whatever may pass (the connection, missing rights)
 * says nothing about the triggers. */
static void watch_compare(const struct watch *watch)
{
    struct error err = ERROR_INIT;
    arena_reset(watch->arena);
    enum status status = watch_entry(watch, &err);
    bool is_broken = status != STATUS_RETRY && error_is_config(&err);
    if (status != STATUS_OK)
        watch_set(watch->finding, is_broken ? CAPTURE_BROKEN : CAPTURE_UNKNOWN, err.text);
}

size_t capture_compare(const struct config *config, const struct entity_schema *const *schemas,
                       capture_tick *tick, void *context, struct capture_finding *ret_findings)
{
    const struct origin_ops *ops = origin_find(config->database);
    struct error err = ERROR_INIT;
    struct origin *origin = NULL;
    struct arena arena;
    struct capture_finding sets = {.state = CAPTURE_WHOLE};
    size_t broken = 0;
    arena_init(&arena, WATCH_SIZE_MAX);
    enum status status = ops == NULL ? error_set(&err, STATUS_FATAL, "no outbox back end")
                                     : ops->open(config, ORIGIN_WATCH, &origin, &err);
    if (status == STATUS_OK)
        status = watch_sets(origin, &sets, &err);
    for (size_t i = 0; i < config->publish_count; i++) {
        struct capture_finding *finding = &ret_findings[i];
        *finding = sets;
        broken += config->publish[i].table == NULL && sets.state == CAPTURE_BROKEN;
        if (config->publish[i].table == NULL)
            continue;
        if (status == STATUS_OK && tick != NULL && !tick(context))
            status = error_set(&err, STATUS_ABORT, "the check was ended");
        if (status == STATUS_OK)
            watch_compare(&(struct watch){.origin = origin,
                                          .entry = &config->publish[i],
                                          .schema = schemas[i],
                                          .arena = &arena,
                                          .finding = finding});
        else
            watch_set(finding, CAPTURE_UNKNOWN, err.text);
        broken += finding->state == CAPTURE_BROKEN;
    }
    if (ops != NULL)
        ops->close(origin);
    arena_done(&arena);
    return broken;
}
