/* One transaction: positions behind the fences, look, write, look again, commit. */
#include "operate/repair/write.h"

#include "common/clock.h"
#include "common/failpoint.h"
#include "common/utf8.h"
#include "consumer/store/topic.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#define WRITE_ARENA_MAX ((size_t)256 * 1024 * 1024)
#define WRITE_TRIES_MAX 10 /* of one transaction whose position passes what was read */
#define WRITE_TRIES_OUT 4  /* before the log is read on behind the fences */
#define WRITE_LIMIT_US  INT64_C(10000000) /* for what an agent or a service holds */
#define WRITE_AGAIN_US  INT64_C(20000)

void repair_writer_init(struct repair_writer *writer, struct repair *repair)
{
    *writer = (struct repair_writer){.repair = repair};
    arena_init(&writer->arena, WRITE_ARENA_MAX);
}

static void writer_forget(struct repair_writer *writer)
{
    for (int32_t i = 0; writer->states != NULL && i < writer->partition_count; i++)
        partition_state_done(&writer->states[i]);
    free(writer->states);
    free(writer->fences);
    free(writer->ranges);
    free(writer->positions);
    writer->states = NULL;
    writer->fences = NULL;
    writer->ranges = NULL;
    writer->positions = NULL;
    writer->partition_count = 0;
}

static void writer_close(struct repair_writer *writer)
{
    if (writer->store != NULL)
        writer->store->ops->close(writer->store);
    writer->store = NULL;
}

void repair_writer_done(struct repair_writer *writer)
{
    writer_forget(writer);
    writer_close(writer);
    arena_done(&writer->arena);
}

/* A repair deletes and writes rows for which there is no event. What follows from that elsewhere
 * would be no event's either. */
static enum status writer_refuse_followers(struct repair_writer *writer, struct error *err)
{
    const struct repair_options *options = writer->repair->options;
    const struct copies copies = {.mappings = options->service->mappings,
                                  .count = options->service->config->apply_count};
    struct table_order order = {0};
    enum status status = writer->store->ops->order(writer->store, options->mapping, &copies, &order,
                                                   err);
    if (status == STATUS_OK && order.is_followed)
        return error_set(error_config(err), STATUS_FATAL,
                         "table \"%.80s\" of %.80s: rows elsewhere change with its rows, by a "
                         "foreign key that acts on a delete or an update, or by a trigger: a "
                         "repair would change them too, and no event says so; repair these rows "
                         "by hand",
                         mapping_table(options->mapping), options->service->config->service);
    return status;
}

static enum status writer_open(struct repair_writer *writer, struct error *err)
{
    const struct repair_options *options = writer->repair->options;
    if (writer->store != NULL)
        return STATUS_OK;
    enum status status = service_open_store(options->service, false, &writer->store, err);
    if (status == STATUS_OK)
        status = store_prepare(writer->store, options->mapping, false, err);
    if (status == STATUS_OK)
        status = writer_refuse_followers(writer, err);
    if (status != STATUS_OK)
        writer_close(writer);
    return status;
}

static enum status writer_allocate(struct repair_writer *writer, int32_t partition_count,
                                   struct error *err)
{
    size_t count = (size_t)partition_count + 1;
    writer_forget(writer);
    writer->partition_count = partition_count;
    writer->states = calloc(count, sizeof *writer->states);
    writer->fences = calloc(count, sizeof *writer->fences);
    writer->ranges = calloc(count, sizeof *writer->ranges);
    writer->positions = calloc(count, sizeof *writer->positions);
    return writer->states == NULL || writer->fences == NULL || writer->ranges == NULL ||
                   writer->positions == NULL
               ? error_set(err, STATUS_RETRY, "no memory for the partitions")
               : STATUS_OK;
}

/* Takes the positions of the topic's partitions, and makes their fences. */
static enum status writer_take(struct repair_writer *writer, const struct partition_state *states,
                               size_t count, struct error *err)
{
    const char *topic = writer->repair->options->copy->topic;
    int32_t partition_count = count == 0 ? 0 : states[count - 1].partition_count;
    enum status status = writer_allocate(writer, partition_count, err);
    if (status == STATUS_OK && (count == 0 || count < (size_t)partition_count ||
                                states[partition_count - 1].partition != partition_count - 1))
        return error_set(err, STATUS_RETRY, "the copy has not read all of %s yet", topic);
    for (int32_t p = 0; status == STATUS_OK && p < partition_count; p++) {
        writer->positions[p] = states[p].next_offset;
        writer->fences[p] = partition_fence(&states[p]);
        writer->fences[p].topic = topic; /* it outlives the states */
    }
    return status;
}

/* Read behind the positions: a fill that begins later raises the epochs of the fences. */
static enum status writer_refuse_filling(struct repair_writer *writer, struct error *err)
{
    char why[ERROR_TEXT_SIZE];
    const struct repair_options *options = writer->repair->options;
    enum status status = store_fill_describe(writer->store, options->copy->topic, why, sizeof why,
                                             err);
    if (status != STATUS_OK || why[0] == '\0')
        return status;
    err->exit_code = EX_TEMPFAIL;
    return error_set(err, STATUS_FATAL,
                     "%s: %s; a copy can be repaired when it is complete, see `keepstep status`",
                     options->copy->topic, why);
}

enum status repair_writer_positions(struct repair_writer *writer, struct error *err)
{
    const char *topic = writer->repair->options->copy->topic;
    struct partition_state *states = NULL;
    size_t count = 0;
    enum status status = writer_open(writer, err);
    if (status == STATUS_OK)
        status = store_list_topic(writer->store, topic, &states, &count, err);
    if (status == STATUS_OK)
        status = writer_take(writer, states, count, err);
    if (status == STATUS_OK)
        status = writer_refuse_filling(writer, err);
    free(states);
    return status;
}

/* Reads all that the database knows of the partitions. Behind the fences it stays so. */
static enum status writer_read_states(struct repair_writer *writer, struct error *err)
{
    const struct repair_options *options = writer->repair->options;
    struct store *store = writer->store;
    enum status status = store->ops->meta(store, &writer->meta, err);
    for (int32_t p = 0; status == STATUS_OK && p < writer->partition_count; p++) {
        struct partition_state *state = &writer->states[p];
        partition_state_done(state);
        status = store->ops->read(store, options->copy->topic, p, state, err);
        writer->positions[p] = state->next_offset;
        writer->ranges[p] = (struct pending_range){
            .schema = options->mapping->schema,
            .partition = p,
            .above = sequences_last(state->sequences, state->sequence_count,
                                    options->service->config->service, writer->meta.incarnation)};
    }
    return status;
}

static void row_leave(struct repair_row *row, const char *reason)
{
    row->state = REPAIR_PENDING;
    utf8_format(row->reason, sizeof row->reason, "%s", reason);
}

/* @return OK with whether the service has an own change of the entity that it has not read back. */
static enum status row_is_pending(struct repair_writer *writer, const struct repair_row *row,
                                  bool *ret_pending, struct error *err)
{
    const struct repair_options *options = writer->repair->options;
    struct own_change own = {.entity_type = slice_of(options->mapping->schema->entity_type),
                             .entity_key = row->entity->key};
    struct pending_read pending = {.ranges = writer->ranges,
                                   .range_count = (size_t)writer->partition_count,
                                   .entities = &own,
                                   .entity_count = 1};
    *ret_pending = false;
    if (!options->mapping->published_here)
        return STATUS_OK;
    enum status status = writer->store->ops->read_pending(writer->store, &pending, err);
    *ret_pending = own.sequence != 0;
    return status;
}

static bool row_is_blocked(const struct repair_writer *writer, const struct repair_row *row)
{
    const struct block_key key = {
        .entity_type = slice_of(writer->repair->options->mapping->schema->entity_type),
        .entity_key = row->entity->key,
        .record_key = row->entity->key};
    for (int32_t p = 0; p < writer->partition_count; p++) {
        const struct block_set *blocked = &writer->states[p].blocked;
        if (blocked->unreadable_count > 0 || block_set_has(blocked, &key))
            return true;
    }
    return false;
}

/* The first look: is the entity open, or does the log mention it? Then `reason` says so. */
static enum status row_look(struct repair_writer *writer, struct repair_row *row, bool *ret_left,
                            struct error *err)
{
    struct superseded_image image = {0};
    const struct superseded_image wanted = {
        .entity_type = slice_of(writer->repair->options->mapping->schema->entity_type),
        .entity_key = row->entity->key};
    bool is_pending = false;
    *ret_left = true;
    if (row->is_open_at_source)
        row_leave(row, "it is changing at the source");
    else if (log_follower_mentions(writer->follower, row->follower_key, writer->positions))
        row_leave(row, "it is changing, or not applied yet");
    else if (row_is_blocked(writer, row))
        row_leave(row, "an event of it, or one that cannot be read, is parked at the copy");
    else
        *ret_left = false;
    if (*ret_left)
        return STATUS_OK;
    enum status status = writer->store->ops->read_image(writer->store, &wanted, &writer->arena,
                                                        &image, err);
    if (status == STATUS_OK)
        status = row_is_pending(writer, row, &is_pending, err);
    *ret_left = is_pending || image.record.topic != NULL;
    if (*ret_left)
        row_leave(row, "the copy's service has changed it, and has not read that back yet");
    return status;
}

/* Writes what the source has, or takes the row away. @return as apply(). */
static enum status row_apply(struct repair_writer *writer, const struct repair_row *row,
                             struct error *err)
{
    const struct mapping *mapping = writer->repair->options->mapping;
    struct change change = {0};
    const struct change *const changes[] = {&change};
    if (row->is_unfit)
        return error_set(err, STATUS_REJECT,
                         "%s%s%s of it at %s has no canonical form, so that no event carries it: "
                         "correct the row there",
                         row->unfit == NULL ? "a value" : "column \"",
                         row->unfit == NULL ? "" : row->unfit, row->unfit == NULL ? "" : "\"",
                         writer->repair->options->source->name);
    if (row->is_too_large)
        return error_set(err, STATUS_REJECT,
                         "it is too large to be sent: name the configuration of %s after --from",
                         writer->repair->options->source->name);
    const struct entity_row entity_row = {
        .schema = mapping->schema, .entity_key = row->entity->key, .json = row->row};
    enum status status = change_of_row(&entity_row, &writer->arena, &change, err);
    if (status == STATUS_OK)
        status = writer->store->ops->apply(writer->store, mapping, changes, 1, err);
    return status;
}

static enum repair_state row_written(const struct repair_row *row)
{
    if (row->row.data == NULL)
        return REPAIR_DELETED;
    return row->entity->kind == DIFFERENCE_MISSING ? REPAIR_CREATED : REPAIR_CHANGED;
}

/* Look, write, look again. A row that cannot be written is left as it was. */
static enum status row_write(struct repair_writer *writer, struct repair_row *row,
                             struct error *err)
{
    struct error why = ERROR_INIT;
    bool is_left = false;
    bool is_pending = false;
    enum status status = row_look(writer, row, &is_left, err);
    if (status != STATUS_OK || is_left)
        return status;
    failpoint(FAILPOINT_REPAIR_BEFORE_WRITE);
    enum status written = row_apply(writer, row, &why);
    bool is_refused = written == STATUS_REJECT || written == STATUS_STOP;
    if (written != STATUS_OK && !is_refused) {
        *err = why;
        return written;
    }
    if (is_refused)
        status = writer->store->ops->savepoint(writer->store, true, err);
    if (status == STATUS_OK)
        status = row_is_pending(writer, row, &is_pending, err);
    if (status != STATUS_OK)
        return status;
    row->state = is_refused ? REPAIR_REFUSED : row_written(row);
    utf8_format(row->reason, sizeof row->reason, "%s", why.text);
    if (is_pending)
        row_leave(row, "the copy's service has changed it meanwhile");
    return writer->store->ops->savepoint(writer->store, is_pending || is_refused, err);
}

/* Behind the fences the position stands still, so there the log can be read up to it for sure; but
 * then the agent waits for the log. @return OK with whether the log was read far enough. */
static enum status writer_follow(struct repair_writer *writer, int tries, bool *ret_read,
                                 struct error *err)
{
    *ret_read = log_follower_has_read(writer->follower, writer->positions);
    if (*ret_read)
        return STATUS_OK;
    if (tries < WRITE_TRIES_OUT)
        writer->store->ops->rollback(writer->store);
    enum status status = log_follower_read(writer->follower, writer->positions, err);
    if (status == STATUS_OK && tries >= WRITE_TRIES_OUT)
        *ret_read = log_follower_has_read(writer->follower, writer->positions);
    return status;
}

static enum status writer_transaction(struct repair_writer *writer, struct repair_row *rows,
                                      size_t count, int tries, struct error *err)
{
    struct store *store = writer->store;
    bool is_read = false;
    failpoint(FAILPOINT_REPAIR_BEFORE_BEGIN);
    enum status status = store->ops->begin(store, writer->fences, (size_t)writer->partition_count,
                                           err);
    if (status == STATUS_OK)
        status = writer_read_states(writer, err);
    if (status == STATUS_OK)
        status = writer_follow(writer, tries, &is_read, err);
    if (status == STATUS_OK && !is_read)
        return error_set(err, STATUS_ABORT, "the log grows faster than it is read");
    failpoint(FAILPOINT_REPAIR_AFTER_BEGIN);
    for (size_t i = 0; status == STATUS_OK && i < count; i++)
        status = row_write(writer, &rows[i], err);
    if (status == STATUS_OK)
        status = store->ops->commit(store, true, err);
    return status;
}

/* One try, from the positions on. Another agent may have taken a partition over meanwhile. */
static enum status writer_try(struct repair_writer *writer, struct repair_row *rows, size_t count,
                              int tries, struct error *err)
{
    enum status status = repair_writer_positions(writer, err);
    arena_reset(&writer->arena);
    if (status == STATUS_OK)
        status = writer_transaction(writer, rows, count, tries, err);
    if (status == STATUS_OK || writer->store == NULL)
        return status;
    writer->store->ops->rollback(writer->store);
    if (err->connection_lost)
        writer_close(writer);
    return status;
}

enum status repair_write(struct repair_writer *writer, struct log_follower *follower,
                         struct repair_row *rows, size_t count, struct error *err)
{
    int64_t until_us = clock_monotonic_us() + WRITE_LIMIT_US;
    int tries = 1;
    writer->follower = follower;
    enum status status = writer_try(writer, rows, count, tries, err);
    while ((status == STATUS_RETRY || status == STATUS_ABORT) && !error_is_config(err) &&
           !atomic_load(&command_stop) && tries < WRITE_TRIES_MAX &&
           clock_monotonic_us() < until_us) {
        tries += status == STATUS_ABORT;
        if (status == STATUS_RETRY)
            clock_sleep_us(WRITE_AGAIN_US);
        error_clear(err);
        status = writer_try(writer, rows, count, tries, err);
    }
    if (error_is_config(err) ||
        (status != STATUS_OK && status != STATUS_RETRY && status != STATUS_ABORT))
        return status;
    for (size_t i = 0; i < count; i++) {
        if (status != STATUS_OK)
            row_leave(&rows[i], err->text);
        repair_set(writer->repair, rows[i].entity, rows[i].state, rows[i].reason);
    }
    error_clear(err);
    return STATUS_OK;
}
