/* The SQL stores' fills: their stages, what is installed at a stamp, and single keys of a topic. */
#include "consumer/store/sql/session.h"

#include "common/clock.h"

#include <stdio.h>
#include <stdlib.h>

#define PARTITIONS_MAX   64 /* sent together */
#define POSITION_COLUMNS 8
#define FILLED_COLUMNS   3
#define KEYS_PART        4096
#define STAGE_SIZE       16
#define KEYS_SIZE_MAX    ((size_t)16 * 1024 * 1024)

/* The column is below 0 where the fill was given up after so many. Databases of older programs have
 * no column for that. */
static int64_t fill_voids_column(const struct fill_state *fill)
{
    return fill->given_up ? -fill->voids : fill->voids;
}

struct fill_list {
    struct fill_state *fills;
    size_t count;
};

static enum status read_fill(void *context, struct store_row *row, struct error *err)
{
    struct fill_list *list = context;
    char stage[STAGE_SIZE];
    struct fill_state *grown = realloc(list->fills, (list->count + 1) * sizeof *grown);
    if (grown == NULL)
        return error_set(err, STATUS_RETRY, "out of memory");
    list->fills = grown;
    struct fill_state *fill = &grown[list->count++];
    *fill = (struct fill_state){.rows_offset = row->integer(row, 4),
                                .rows = row->integer(row, 5),
                                .digest = (uint64_t)row->integer(row, 6),
                                .voids = row->integer(row, 7),
                                .asked_at_us = row->integer(row, 8)};
    row->copy(row, 0, fill->topic, sizeof fill->topic);
    row->copy(row, 1, fill->id, sizeof fill->id);
    row->copy(row, 2, fill->source, sizeof fill->source);
    row->copy(row, 3, stage, sizeof stage);
    row->copy(row, 9, fill->reason, sizeof fill->reason);
    fill->given_up = fill->voids < 0;
    fill->voids = fill->given_up ? -fill->voids : fill->voids;
    fill->stage = fill_stage_of(stage);
    return STATUS_OK;
}

enum status store_sql_list_fills(struct store *store, struct fill_state **ret_fills,
                                 size_t *ret_count, struct error *err)
{
    struct fill_list list = {0};
    enum status status = store_sql_query(store_sql_of(store), SQL_CALL_PLAIN(FILL_LIST), read_fill,
                                         &list, err);
    if (status != STATUS_OK) {
        free(list.fills);
        return status;
    }
    *ret_fills = list.fills;
    *ret_count = list.count;
    return STATUS_OK;
}

static enum status fill_ask(struct store_sql *self, const struct fill_state *fill,
                            struct error *err)
{
    return store_sql_run(
        self,
        SQL_CALL(FILL_ASK, parameter_text(fill->topic), parameter_text(fill->id),
                 parameter_text(fill->source), parameter_integer(fill->rows_offset),
                 parameter_integer(fill->rows), parameter_integer((int64_t)fill->digest),
                 parameter_integer(fill_voids_column(fill)), parameter_integer(fill->asked_at_us),
                 parameter_raw(slice_of(fill->reason))),
        err);
}

/** Run a statement that must find the topic's fill. */
static enum status fill_run(struct store_sql *self, const struct fill_state *fill,
                            struct sql_call call, struct error *err)
{
    int64_t found = 0;
    call.changes = &found;
    enum status status = store_sql_run(self, call, err);
    if (status == STATUS_OK && found == 0)
        return fill_lost(fill, err);
    return status;
}

/** Go to a stage from one of three others; with `rises` only if rows_offset rises. */
static enum status fill_stage(struct store_sql *self, const struct fill_state *fill,
                              const enum fill_stage stages[static 4], bool rises, struct error *err)
{
    return fill_run(self, fill,
                    SQL_CALL(FILL_EDIT, parameter_text(fill->topic), parameter_text(fill->id),
                             parameter_text(fill_stage_name(stages[0])),
                             parameter_integer(fill->rows_offset), parameter_integer(fill->rows),
                             parameter_integer((int64_t)fill->digest),
                             parameter_text(fill_stage_name(stages[1])),
                             parameter_text(fill_stage_name(stages[2])),
                             parameter_text(fill_stage_name(stages[3])), parameter_integer(rises)),
                    err);
}

static enum status fill_clear(struct store_sql *self, const struct fill_state *fill,
                              struct error *err)
{
    const enum fill_stage stages[] = {FILL_CLEARING, FILL_ASKED, FILL_CLEARING, FILL_LOADING};
    enum status status = fill_stage(self, fill, stages, false, err);
    return status == STATUS_OK
               ? store_sql_run(self, SQL_CALL(POSITION_RAISE, parameter_text(fill->topic)), err)
               : status;
}

/** Delete all that the agent remembers of the topic. Single keys look at the old positions. */
static enum status memory_clear(struct store_sql *self, const char *topic, struct error *err)
{
    const enum statement_id ids[] = {STATEMENT_KEY_CLEAR, STATEMENT_SEQUENCE_CLEAR,
                                     STATEMENT_BLOCKED_CLEAR, STATEMENT_PARKED_CLEAR,
                                     STATEMENT_SUPERSEDED_CLEAR};
    const struct parameter parameters[] = {parameter_text(topic)};
    enum status status = STATUS_OK;
    for (size_t i = 0; status == STATUS_OK && i < sizeof ids / sizeof ids[0]; i++)
        status = store_sql_send(
            self, (struct sql_call){.id = ids[i], .parameters = parameters, .count = 1}, err);
    return status;
}

/** Send a statement once for each partition. */
static enum status partitions_send(struct store_sql *self, const struct fill_partitions *all,
                                   enum statement_id id, struct error *err)
{
    struct parameter values[PARTITIONS_MAX * POSITION_COLUMNS];
    int64_t now_us = clock_wall_us();
    enum status status = STATUS_OK;
    for (size_t i = 0; status == STATUS_OK && i < all->count;) {
        size_t rows = 0;
        size_t count = id == STATEMENT_POSITION_FILLED ? FILLED_COLUMNS : POSITION_COLUMNS;
        for (; rows < PARTITIONS_MAX && i < all->count; rows++, i++) {
            const struct partition_state *state = &all->partitions[i];
            struct parameter *row = &values[rows * count];
            row[0] = parameter_text(state->topic);
            row[1] = parameter_integer(state->partition);
            row[2] = parameter_integer(state->filled_to);
            if (id == STATEMENT_POSITION_FILLED)
                continue;
            row[2] = parameter_integer(state->next_offset);
            row[3] = parameter_integer(state->anchor_offset);
            row[4] = parameter_raw(slice_of(state->anchor_id));
            row[5] = parameter_text(state->cluster_id);
            row[6] = parameter_integer(state->partition_count);
            row[7] = parameter_integer(now_us);
        }
        struct sql_call call = {.id = id, .parameters = values, .count = count};
        status = self->session->send_rows(self, &call, rows, err);
    }
    return status;
}

static enum status fill_install(struct store_sql *self, const struct fill_state *fill,
                                const struct fill_partitions *all, struct error *err)
{
    const enum fill_stage stages[] = {FILL_LOADING, FILL_CLEARING, FILL_CLEARING, FILL_CLEARING};
    enum status status = fill_stage(self, fill, stages, false, err);
    if (status == STATUS_OK)
        status = memory_clear(self, fill->topic, err);
    if (status == STATUS_OK)
        status = store_sql_run(self, SQL_CALL(POSITION_RAISE, parameter_text(fill->topic)), err);
    if (status == STATUS_OK)
        status = partitions_send(self, all, STATEMENT_POSITION_INSTALL, err);
    for (size_t i = 0; status == STATUS_OK && i < all->count; i++) {
        const struct partition_state *state = &all->partitions[i];
        for (size_t k = 0; status == STATUS_OK && k < state->sequence_count; k++)
            status = store_sql_record_sequence(&self->base, fill->topic, state->partition,
                                               &state->sequences[k], err);
    }
    if (status == STATUS_OK)
        status = store_sql_write_ranges(self, err);
    return status == STATUS_OK ? store_sql_wait(self, err) : status;
}

static enum status fill_end(struct store_sql *self, const struct fill_state *fill,
                            const struct fill_partitions *all, struct error *err)
{
    const enum fill_stage stages[] = {FILL_REPLAYING, FILL_LOADING, FILL_LOADING, FILL_LOADING};
    enum status status = fill_stage(self, fill, stages, false, err);
    if (status == STATUS_OK)
        status = partitions_send(self, all, STATEMENT_POSITION_FILLED, err);
    return status == STATUS_OK ? store_sql_wait(self, err) : status;
}

enum status store_sql_fill(struct store *store, enum fill_edit edit, const struct fill_state *fill,
                           const struct fill_partitions *partitions, struct error *err)
{
    struct store_sql *self = store_sql_of(store);
    const enum fill_stage loading[] = {FILL_LOADING, FILL_LOADING, FILL_LOADING, FILL_LOADING};
    const enum fill_stage cancelled[] = {FILL_CANCELLED, FILL_ASKED, FILL_ASKED, FILL_ASKED};
    switch (edit) {
    case FILL_ASK:
        return fill_ask(self, fill, err);
    case FILL_CLEAR:
        return fill_clear(self, fill, err);
    case FILL_INSTALL:
        return fill_install(self, fill, partitions, err);
    case FILL_PROGRESS:
        return fill_stage(self, fill, loading, true, err);
    case FILL_END:
        return fill_end(self, fill, partitions, err);
    case FILL_CANCEL:
        return fill_stage(self, fill, cancelled, false, err);
    case FILL_NOTE:
        return fill_run(self, fill,
                        SQL_CALL(FILL_NOTE, parameter_text(fill->topic), parameter_text(fill->id),
                                 parameter_integer(fill_voids_column(fill)),
                                 parameter_raw(slice_of(fill->reason))),
                        err);
    case FILL_FINISH:
        break;
    }
    return store_sql_run(
        self, SQL_CALL(FILL_FINISH, parameter_text(fill->topic), parameter_text(fill->id)), err);
}

/** Keys that were read and are handed on when the statement has ended. */
struct key_part {
    struct arena arena;
    struct key_claim keys[KEYS_PART];
    size_t count;
};

static enum status read_key(void *context, struct store_row *row, struct error *err)
{
    struct key_part *part = context;
    struct key_claim *key = &part->keys[part->count];
    *key = (struct key_claim){.digest = (uint64_t)row->integer(row, 2)};
    if (!row->keep(row, 0, &part->arena, &key->source) ||
        !row->keep(row, 1, &part->arena, &key->id))
        return error_set(err, STATUS_RETRY, "out of memory");
    part->count++;
    return STATUS_OK;
}

static enum status keys_visit(const struct store_scan *scan, struct key_part *part,
                              struct error *err)
{
    enum status status = STATUS_OK;
    for (size_t i = 0; status == STATUS_OK && i < part->count; i++) {
        part->keys[i].topic = scan->topic;
        status = scan->visit_key(scan->context, &part->keys[i], err);
    }
    return status;
}

enum status store_sql_scan_keys(struct store_sql *self, const struct store_scan *scan,
                                struct error *err)
{
    char source[STORE_KEY_MAX + 1] = "";
    char id[STORE_KEY_MAX + 1] = "";
    enum status status = STATUS_OK;
    struct key_part *part = calloc(1, sizeof *part);
    if (part == NULL)
        return error_set(err, STATUS_RETRY, "out of memory");
    arena_init(&part->arena, KEYS_SIZE_MAX);
    do {
        arena_reset(&part->arena);
        part->count = 0;
        status = store_sql_query(
            self,
            SQL_CALL(KEY_SCAN, parameter_text(scan->topic), parameter_raw(slice_of(source)),
                     parameter_raw(slice_of(id)), parameter_integer(KEYS_PART)),
            read_key, part, err);
        if (status == STATUS_OK)
            status = keys_visit(scan, part, err);
        if (part->count > 0) {
            const struct key_claim *last = &part->keys[part->count - 1];
            (void)snprintf(source, sizeof source, "%.*s", SLICE_ARGS(last->source));
            (void)snprintf(id, sizeof id, "%.*s", SLICE_ARGS(last->id));
        }
        if (status == STATUS_OK)
            status = store_sql_snapshot_check(self, err);
    } while (status == STATUS_OK && part->count == KEYS_PART);
    arena_done(&part->arena);
    free(part);
    return status;
}
