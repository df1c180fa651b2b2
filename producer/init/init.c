/* `keepstep init` on the publishing side: what is made, in which order, and what people read. */
#include "producer/init/init.h"
#include "common/clock.h"
#include "common/uuid.h"
#include "producer/capture/capture.h"
#include "producer/init/columns.h"
#include "producer/init/fill.h"
#include "producer/init/forward.h"
#include "producer/init/joint.h"
#include "producer/init/origin.h"
#include "producer/registry.h"

#include <inttypes.h>
#include <stdlib.h>

#define CHUNK_ROWS         1000
#define CHUNK_US           (INT64_C(250) * 1000) /* longer: the next chunk is smaller */
#define CHUNK_DIVISOR      10
#define CAPTURE_SIZE_MAX   ((size_t)64 * 1024 * 1024)
#define GRANTS_SIZE_MAX    ((size_t)1024 * 1024)
#define BUSY_MAX_US        (INT64_C(300) * 1000 * 1000)
#define BUSY_PAUSE_US      (INT64_C(100) * 1000)
#define BUSY_PAUSE_MAX_US  (INT64_C(2) * 1000 * 1000)
#define BUSY_NOTE_AFTER_US (INT64_C(2) * 1000 * 1000)

struct init {
    struct origin *origin;
    const struct config *config;
    const struct entity_schema *const *schemas;
    const struct init_options *options;
    struct arena arena;
    int64_t busy_since_us; /* 0: the last transaction went through */
    bool busy_said;
    bool made;   /* triggers that were not there, of any table */
    size_t lost; /* objects of the table under way that did not capture */
};

/* A table that the service holds is tried again for a while; each try locks for a moment only. A
 * right that is lacking does not come by waiting. */
static bool init_tries_again(struct init *init, const char *table, enum status status,
                             struct error *err)
{
    init->origin->ops->rollback(init->origin);
    if (status != STATUS_RETRY || err == NULL || err->connection_lost || error_is_config(err))
        return false;
    int64_t now = clock_monotonic_us();
    if (init->busy_since_us == 0)
        init->busy_since_us = now;
    if (now - init->busy_since_us > BUSY_MAX_US)
        return false;
    if (!init->busy_said && now - init->busy_since_us > BUSY_NOTE_AFTER_US) {
        (void)fprintf(init->options->out, "waiting  for table %s: %s\n", table, err->text);
        (void)fflush(init->options->out);
        init->busy_said = true;
    }
    error_clear(err);
    int64_t pause = BUSY_PAUSE_US + (now - init->busy_since_us) / 4;
    clock_sleep_us(pause < BUSY_PAUSE_MAX_US ? pause : BUSY_PAUSE_MAX_US);
    return true;
}

static void init_print(const struct origin_ops *ops, const struct origin_object *object, FILE *out)
{
    const char *delimiter = ops->delimiter;
    if (object->sql == NULL)
        return;
    int length = (int)strlen(object->sql);
    while (length > 0 && (object->sql[length - 1] == '\n' || object->sql[length - 1] == ' '))
        length--;
    if (delimiter != NULL && strcmp(object->kind, "table") != 0)
        (void)fprintf(out, "DELIMITER %s\n%.*s%s\nDELIMITER ;\n\n", delimiter, length, object->sql,
                      delimiter);
    else
        (void)fprintf(out, "%.*s;\n\n", length, object->sql);
}

static enum status init_object(struct init *init, const struct origin_object *object,
                               struct error *err)
{
    const struct origin_ops *ops = init->origin->ops;
    enum origin_found found = ORIGIN_ABSENT;
    if (init->options->print_sql) {
        init_print(ops, object, init->options->out);
        return STATUS_OK;
    }
    enum status status = ops->compare(init->origin, object, &found, err);
    if (status != STATUS_OK)
        return status;
    if (found == ORIGIN_OTHER && strcmp(object->name, "outbox") == 0)
        return error_set(error_config(err), STATUS_FATAL,
                         "the database has a table named outbox that Keepstep did not make: "
                         "rename it");
    init->lost += found == ORIGIN_ABSENT || found == ORIGIN_LOST;
    bool kept = origin_keeps(object, found);
    if (!kept)
        status = ops->create(init->origin, object, found != ORIGIN_ABSENT, err);
    if (status == STATUS_OK && !(kept && strcmp(object->kind, "column") == 0))
        (void)fprintf(init->options->out, "%-8s %-7s %s\n",
                      found == ORIGIN_ABSENT ? "created"
                      : kept                 ? "kept"
                                             : "changed",
                      object->kind, object->name);
    if (status == STATUS_OK && !kept && object->note != NULL)
        (void)fprintf(init->options->out, "NOTE     %s\n", object->note);
    return status;
}

/* Takes away what an earlier configuration, or another state of the database, had asked for. */
static enum status init_drop(struct init *init, const struct origin_object *object,
                             struct error *err)
{
    const struct origin_ops *ops = init->origin->ops;
    const struct origin_object drop = {
        .kind = object->kind, .name = object->name, .table = object->table, .sql = object->drop};
    enum origin_found found = ORIGIN_ABSENT;
    if (init->options->print_sql) {
        init_print(ops, &drop, init->options->out);
        return STATUS_OK;
    }
    enum status status = ops->compare(init->origin, object, &found, err);
    if (status != STATUS_OK || found == ORIGIN_ABSENT)
        return status;
    status = ops->create(init->origin, &drop, false, err);
    if (status == STATUS_OK)
        (void)fprintf(init->options->out, "%-8s %-7s %s\n", "dropped", object->kind, object->name);
    return status;
}

/* @return the nth object that belongs to no table of the service; NULL after the last one. Those of
 * joint transactions come last. */
static const struct origin_object *init_plain_object(const struct init *init, size_t n)
{
    const struct origin_ops *ops = init->origin->ops;
    if (n < ops->object_count)
        return &ops->objects[n];
    n -= ops->object_count;
    return config_is_joint(init->config) && n < ops->joint_object_count ? &ops->joint_objects[n]
                                                                        : NULL;
}

/* Makes an object if it is wanted, or takes it away if it is not. */
static enum status init_wanted(struct init *init, const struct origin_object *object, bool makes,
                               struct error *err)
{
    const struct origin_ops *ops = init->origin->ops;
    const struct fill fill = {init->config->service, ops->seal, &init->arena};
    struct origin_object filled;
    bool wanted = false;
    enum status status = ops->wants(init->origin, object, &wanted, err);
    if (status != STATUS_OK || wanted != makes)
        return status;
    status = fill_object(&fill, object, &filled, err);
    if (status != STATUS_OK)
        return status;
    return makes ? init_object(init, &filled, err) : init_drop(init, &filled, err);
}

/* The outbox and its like: what is wanted is made before what is not goes, so that no row is
 * written between them that neither has seen. */
static enum status init_objects(struct init *init, struct error *err)
{
    const struct origin_object *object;
    enum status status = STATUS_OK;
    for (size_t i = 0; status == STATUS_OK && (object = init_plain_object(init, i)) != NULL; i++)
        status = init_wanted(init, object, true, err);
    for (size_t i = 0; status == STATUS_OK && (object = init_plain_object(init, i)) != NULL; i++)
        status = init_wanted(init, object, false, err);
    return status;
}

static enum status init_identity(struct init *init, struct error *err)
{
    const struct origin_ops *ops = init->origin->ops;
    const char *service = init->config->service;
    char incarnation[UUID_TEXT_SIZE];
    const struct origin_restart restart = {service, incarnation, init->schemas};
    struct origin_restarted restarted = {0};
    uuid_v7(incarnation);
    enum status status = ops->identify(init->origin, service, incarnation, err);
    if (status != STATUS_OK || !init->options->new_incarnation)
        return status;
    status = ops->restart(init->origin, &restart, &restarted, err);
    if (status != STATUS_OK)
        return status;
    (void)fprintf(init->options->out, "dropped  %" PRId64 " outbox rows that the log already has\n",
                  restarted.dropped);
    if (restarted.renamed > 0)
        (void)fprintf(init->options->out,
                      "changed  %" PRId64 " outbox rows have new ids: the log has other events "
                      "under theirs\n",
                      restarted.renamed);
    (void)fprintf(init->options->out, "new incarnation %s\n", incarnation);
    return status;
}

static enum status init_outbox_once(struct init *init, struct error *err)
{
    const struct origin_ops *ops = init->origin->ops;
    enum status status = ops->begin(init->origin, err);
    if (status == STATUS_OK)
        status = init_objects(init, err);
    if (status == STATUS_OK)
        status = init_identity(init, err);
    if (status == STATUS_OK)
        status = ops->commit(init->origin, err);
    return status;
}

/* What was noted of the log for a new incarnation is there for one try. */
static enum status init_outbox(struct init *init, struct error *err)
{
    enum status status;
    init->busy_since_us = 0;
    init->busy_said = false;
    do
        status = init_outbox_once(init, err);
    while (status != STATUS_OK && !init->options->new_incarnation &&
           init_tries_again(init, "outbox", status, err));
    return status;
}

static enum status init_capture_once(struct init *init, const struct origin_objects *objects,
                                     struct error *err)
{
    const struct origin_ops *ops = init->origin->ops;
    enum status status = ops->begin(init->origin, err);
    init->lost = 0;
    for (size_t i = 0; status == STATUS_OK && i < objects->count; i++)
        status = init_object(init, &objects->items[i], err);
    if (status == STATUS_OK)
        status = ops->commit(init->origin, err);
    return status;
}

static void init_print_objects(const struct init *init, const struct origin_objects *objects)
{
    const struct origin_ops *ops = init->origin->ops;
    FILE *out = init->options->out;
    (void)fputs(ops->client_begin != NULL ? ops->client_begin : "", out);
    for (size_t i = 0; i < objects->count; i++)
        init_print(ops, &objects->items[i], out);
    (void)fputs(ops->client_commit != NULL ? ops->client_commit : "", out);
}

static bool init_republishes(const struct init *init, const struct config_entry *entry)
{
    const char *republish = init->options->republish;
    return republish != NULL && strcmp(republish, entry->entity_type) == 0;
}

/* One table's triggers, in a transaction of their own, so that no two tables are locked at once. */
static enum status init_capture(struct init *init, size_t index, struct error *err)
{
    const struct config_entry *entry = &init->config->publish[index];
    struct origin_objects objects = {.arena = &init->arena};
    enum status status;
    arena_reset(&init->arena);
    init->busy_since_us = 0;
    init->busy_said = false;
    status = init->origin->ops->capture(init->origin, entry, init->schemas[index], &objects, err);
    if (status != STATUS_OK)
        return status;
    if (init->options->print_sql) {
        init_print_objects(init, &objects);
        init->made = true;
        return STATUS_OK;
    }
    const struct init_columns columns = {.origin = init->origin,
                                         .config = init->config,
                                         .entry = entry,
                                         .schema = init->schemas[index],
                                         .republishes = init_republishes(init, entry),
                                         .out = init->options->out};
    status = init_columns_check(&columns, err);
    if (status != STATUS_OK)
        return status;
    do
        status = init_capture_once(init, &objects, err);
    while (status != STATUS_OK && init_tries_again(init, entry->table, status, err));
    init->made = init->made || init->lost > 0;
    if (status == STATUS_OK && init->lost > 0)
        status = init_columns_mended(&columns, err);
    return status == STATUS_OK ? init_columns_note(&columns, err) : status;
}

/* Otherwise the triggers of one would replace those of the other. */
static enum status init_check_names(const struct init *init, struct error *err)
{
    const struct config_entry *entries = init->config->publish;
    for (size_t i = 0; i < init->config->publish_count; i++) {
        for (size_t j = 0; j < i; j++) {
            if (entries[i].table == NULL || entries[j].table == NULL ||
                !capture_clashes(init->origin->ops->dialect, entries[i].entity_type,
                                 entries[j].entity_type))
                continue;
            return error_set(error_config(err), STATUS_FATAL,
                             "publish.%s and publish.%s: this database takes the names of their "
                             "triggers for the same; name one of the entity types otherwise",
                             entries[j].entity_type, entries[i].entity_type);
        }
    }
    return STATUS_OK;
}

static enum status init_check(struct init *init, struct error *err)
{
    enum status status = init_check_names(init, err);
    if (status == STATUS_OK)
        status = init_check_joint(init->origin, init->config, init->options->print_sql,
                                  init->options->out, err);
    for (size_t i = 0; status == STATUS_OK && i < init->config->publish_count; i++) {
        const struct config_entry *entry = &init->config->publish[i];
        if (entry->table != NULL)
            status = init->origin->ops->check(init->origin, entry, init->schemas[i], err);
    }
    return status;
}

/* Rows are locked as long as their chunk takes, so that wide ones are read a few at a time.
 * @return how many the next chunk asks for. */
static size_t init_chunk_rows(size_t rows, bool written, int64_t took_us)
{
    size_t next = !written ? rows / CHUNK_DIVISOR : took_us > CHUNK_US ? rows / 2 : rows * 2;
    return next == 0 ? 1 : next > CHUNK_ROWS ? CHUNK_ROWS : next;
}

static enum status init_chunks(struct init *init, const struct config_entry *entry,
                               const struct entity_schema *schema, struct origin_progress *progress,
                               struct error *err)
{
    const struct origin_table table = {entry, schema};
    enum status status = STATUS_OK;
    size_t rows = CHUNK_ROWS;
    init->busy_since_us = 0;
    init->busy_said = false;
    while (status == STATUS_OK && !progress->done) {
        int64_t start_us = clock_monotonic_us();
        status = init->origin->ops->chunk(init->origin, &table, rows, progress, err);
        rows = init_chunk_rows(rows, status == STATUS_OK, clock_monotonic_us() - start_us);
        if (status != STATUS_OK) {
            if (init_tries_again(init, entry->table, status, err))
                status = STATUS_OK;
            continue;
        }
        init->busy_since_us = 0;
        if (progress->done)
            break;
        (void)fprintf(init->options->out, "%-8s rows    %s: %" PRId64 " so far\n", "reading",
                      entry->entity_type, progress->rows);
        (void)fflush(init->options->out); /* whoever reads a pipe wants to see it too */
    }
    return status;
}

static enum status init_existing(struct init *init, const struct config_entry *entry,
                                 const struct entity_schema *schema, struct error *err)
{
    FILE *out = init->options->out;
    struct origin_progress progress = {0};
    enum status status = STATUS_OK;
    if (init_republishes(init, entry))
        status = init->origin->ops->republish(init->origin, entry->entity_type, err);
    if (status == STATUS_OK)
        status = init->origin->ops->progress(init->origin, entry->entity_type, &progress, err);
    if (status != STATUS_OK)
        return status;
    bool applied = config_find(init->config->apply, init->config->apply_count, entry->entity_type,
                               strlen(entry->entity_type)) != NULL;
    if (!progress.done && applied && init->options->new_incarnation) {
        (void)fprintf(out, "%-8s rows    %s: the log wins, the service's own agent reads it\n",
                      "skipped", entry->entity_type);
        return STATUS_OK;
    }
    if (!progress.done && applied && !init->options->existing_rows) {
        (void)fprintf(out,
                      "%-8s rows    %s: the service applies this type itself; "
                      "--existing-rows publishes them\n",
                      "skipped", entry->entity_type);
        return STATUS_OK;
    }
    bool kept = progress.done;
    status = init_chunks(init, entry, schema, &progress, err);
    if (status == STATUS_OK)
        (void)fprintf(out, "%-8s rows    %s: %" PRId64 "\n", kept ? "kept" : "created",
                      entry->entity_type, progress.rows);
    return status;
}

/* Where the triggers are new, so that nobody finds out by a number that is wrong. */
static void init_tell_side_effect(const struct init *init)
{
    const char *side_effect = init->origin->ops->side_effect;
    if (init->made && side_effect != NULL)
        (void)fprintf(init->options->out, "%s%s\n", init->options->print_sql ? "-- " : "NOTE     ",
                      side_effect);
}

/* Types that were numbered in several topics cannot be published whole (rule 50). */
static enum status init_check_whole(const struct init *init, struct error *err)
{
    const struct config *config = init->config;
    const struct outbox_options options = {.path = config->database_path,
                                           .service = config->service,
                                           .instance = config->instance,
                                           .read_only = true};
    struct relay_partition *states = NULL;
    struct outbox *outbox = NULL;
    size_t count = 0;
    if (config->transactions != TRANSACTIONS_WHOLE)
        return STATUS_OK;
    enum status status = outbox_find(config->database)->open(&options, &outbox, err);
    if (status == STATUS_OK)
        status = outbox->ops->load_partitions(outbox, &states, &count, err);
    if (status == STATUS_OK)
        status = outbox_check_whole(config, states, count, err);
    free(states);
    if (outbox != NULL)
        outbox->ops->close(outbox);
    return status;
}

static enum status init_run(struct init *init, struct error *err)
{
    const struct config *config = init->config;
    enum status status = init_check(init, err);
    if (status == STATUS_OK && init->options->republish != NULL)
        status = init_columns_may_republish(config, init->options->republish, err);
    if (status == STATUS_OK && init->options->new_incarnation)
        status = init_forward_read(init->origin, config, init->options, err);
    if (status == STATUS_OK)
        status = init_outbox(init, err);
    if (status == STATUS_OK)
        status = init_check_whole(init, err);
    for (size_t i = 0; status == STATUS_OK && i < config->publish_count; i++) {
        if (config->publish[i].table != NULL)
            status = init_capture(init, i, err);
    }
    if (status == STATUS_OK)
        init_tell_side_effect(init);
    for (size_t i = 0; status == STATUS_OK && i < config->publish_count; i++) {
        if (config->publish[i].table == NULL)
            continue;
        if (init->options->no_existing_rows)
            (void)fprintf(init->options->out,
                          "%-8s rows    %s: --no-existing-rows; an init without it publishes "
                          "them\n",
                          "skipped", config->publish[i].entity_type);
        else
            status = init_existing(init, &config->publish[i], init->schemas[i], err);
    }
    return status;
}

static enum status init_refuse_scheme(struct error *err)
{
    return error_set(error_config(err), STATUS_FATAL,
                     "database: its scheme has no outbox back end; use sqlite:FILE");
}

/* Of a type that the service applies too, the rows are read with the rights of its agent. */
enum status init_roles(const struct config *config, const struct entity_schema *const *schemas,
                       struct buffer *sql, struct error *err)
{
    const struct origin_ops *ops = origin_find(config->database);
    struct origin_table *tables = calloc(config->publish_count + 1, sizeof *tables);
    size_t count = 0;
    if (ops == NULL || tables == NULL) {
        free(tables);
        return ops == NULL ? init_refuse_scheme(err) : error_set(err, STATUS_RETRY, "no memory");
    }
    for (size_t i = 0; i < config->publish_count; i++) {
        const struct config_entry *entry = &config->publish[i];
        if (entry->table != NULL &&
            config_find(config->apply, config->apply_count, entry->entity_type,
                        strlen(entry->entity_type)) == NULL)
            tables[count++] = (struct origin_table){entry, schemas[i]};
    }
    ops->grants(tables, count, sql);
    free(tables);
    return sql->failed ? error_set(err, STATUS_FATAL, "the grants grow too large") : STATUS_OK;
}

/* Everything that init_run() creates; identity and present rows are data, not objects. A function
 * that has the owner's rights is nobody else's to call at any time. */
static enum status init_print_all(struct init *init, struct error *err)
{
    struct buffer grants;
    const struct origin_ops *ops = init->origin->ops;
    enum status status = init_check(init, err);
    if (status != STATUS_OK)
        return status;
    (void)fputs(ops->client_begin != NULL ? ops->client_begin : "", init->options->out);
    status = init_objects(init, err);
    (void)fputs(ops->client_commit != NULL ? ops->client_commit : "", init->options->out);
    for (size_t i = 0; status == STATUS_OK && i < init->config->publish_count; i++) {
        if (init->config->publish[i].table != NULL)
            status = init_capture(init, i, err);
    }
    if (status != STATUS_OK)
        return status;
    init_tell_side_effect(init);
    buffer_init(&grants, GRANTS_SIZE_MAX);
    status = init_roles(init->config, init->schemas, &grants, err);
    (void)fputs(buffer_text(&grants), init->options->out);
    buffer_done(&grants);
    return status;
}

void init_print_guard(const struct config *config, FILE *out)
{
    const struct origin_ops *ops = origin_find(config->database);
    if (ops == NULL || ops->guard == NULL)
        return;
    const struct origin_object guard = {.kind = "guard", .sql = ops->guard};
    if (ops->client_stop != NULL)
        (void)fputs(ops->client_stop, out);
    init_print(ops, &guard, out);
}

void init_print_end(const struct config *config, FILE *out)
{
    const struct origin_ops *ops = origin_find(config->database);
    if (ops != NULL && ops->client_end != NULL)
        (void)fputs(ops->client_end, out);
}

enum status init_service(const struct config *config, const struct entity_schema *const *schemas,
                         const struct init_options *options, struct error *err)
{
    struct init init = {.config = config, .schemas = schemas, .options = options};
    const struct origin_ops *ops = origin_find(config->database);
    if (ops == NULL)
        return init_refuse_scheme(err);
    arena_init(&init.arena, CAPTURE_SIZE_MAX);
    enum status status = ops->open(config, options->print_sql ? ORIGIN_READ : ORIGIN_INSTALL,
                                   &init.origin, err);
    if (status == STATUS_OK)
        status = options->print_sql ? init_print_all(&init, err) : init_run(&init, err);
    ops->close(init.origin);
    arena_done(&init.arena);
    return status;
}
