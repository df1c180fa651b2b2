/* The memory store's fills. */
#include "consumer/store/memory/internal.h"

static struct fill_state *model_fill(struct model *model, const char *topic)
{
    for (size_t i = 0; i < model->fills.count; i++) {
        struct fill_state *fill = list_at(&model->fills, i);
        if (strcmp(fill->topic, topic) == 0)
            return fill;
    }
    return NULL;
}

enum status store_memory_list_fills(struct store *store, struct fill_state **ret_fills,
                                    size_t *ret_count, struct error *err)
{
    struct list copy = list_copy(&store_memory_model(store_memory_of(store))->fills);
    (void)err;
    *ret_fills = (struct fill_state *)(void *)copy.items;
    *ret_count = copy.count;
    return STATUS_OK;
}

/** @return whether a stage may come before the one that the edit writes. */
static bool may_come_before(enum fill_edit edit, enum fill_stage stage)
{
    switch (edit) {
    case FILL_CLEAR:
        return fill_holds_topic(stage);
    case FILL_INSTALL:
        return stage == FILL_CLEARING;
    case FILL_CANCEL:
        return stage == FILL_ASKED;
    case FILL_PROGRESS:
    case FILL_END:
        return stage == FILL_LOADING;
    case FILL_ASK:
    case FILL_NOTE:
    case FILL_FINISH:
        break;
    }
    return true;
}

static void positions_raise(struct model *model, const char *topic)
{
    for (size_t i = 0; i < model->positions.count; i++) {
        struct partition_state *position = list_at(&model->positions, i);
        bool same = strcmp(position->topic, topic) == 0;
        position->epoch += same;
        position->revision += same;
    }
}

/** @return whether keys without a topic may be of this one. */
static bool was_read(const struct model *model, const char *topic)
{
    bool read = false;
    for (size_t i = 0; i < model->positions.count; i++) {
        const struct partition_state *position = list_at(&model->positions, i);
        read = read || (strcmp(position->topic, topic) == 0 && position->next_offset > 0);
    }
    return read;
}

static void memory_clear(struct model *model, const char *topic)
{
    bool read = was_read(model, topic);
    for (size_t i = model->keys.count; i-- > 0;) {
        const struct model_key *key = list_at(&model->keys, i);
        if (slice_is(key->topic, topic) || (read && key->topic.length == 0))
            list_remove(&model->keys, i);
    }
    for (size_t i = model->sequences.count; i-- > 0;) {
        const struct model_sequence *sequence = list_at(&model->sequences, i);
        if (strcmp(sequence->topic, topic) == 0)
            list_remove(&model->sequences, i);
    }
    for (size_t i = model->parked.count; i-- > 0;) {
        const struct parked_record *parked = list_at(&model->parked, i);
        if (strcmp(parked->record.topic, topic) == 0)
            list_remove(&model->parked, i);
    }
    for (size_t i = model->superseded.count; i-- > 0;) {
        const struct superseded_image *image = list_at(&model->superseded, i);
        if (strcmp(image->record.topic, topic) == 0)
            list_remove(&model->superseded, i);
    }
}

static void position_install(struct model *model, const struct partition_state *given)
{
    struct partition_state *position = model_position(model, given->topic, given->partition);
    if (position == NULL) {
        struct partition_state fresh = {.exists = true, .partition = given->partition, .epoch = 1};
        memcpy(fresh.topic, given->topic, sizeof fresh.topic);
        position = list_add(&model->positions, &fresh);
    }
    position->next_offset = position->durable_offset = given->next_offset;
    position->anchor_offset = given->anchor_offset;
    memcpy(position->anchor_id, given->anchor_id, sizeof position->anchor_id);
    memcpy(position->cluster_id, given->cluster_id, sizeof position->cluster_id);
    position->partition_count = given->partition_count;
    position->partial = false;
    position->stopped[0] = '\0';
    position->filled_to = 0;
    for (size_t i = 0; i < given->sequence_count; i++) {
        struct model_sequence sequence = {.partition = given->partition,
                                          .state = given->sequences[i]};
        memcpy(sequence.topic, given->topic, sizeof sequence.topic);
        list_add(&model->sequences, &sequence);
    }
}

static void fill_finish(const struct model *model, struct fill_state *stored)
{
    bool reached = stored->stage == FILL_REPLAYING;
    for (size_t i = 0; i < model->positions.count; i++) {
        const struct partition_state *position = list_at(&model->positions, i);
        if (strcmp(position->topic, stored->topic) == 0)
            reached = reached && position->next_offset >= position->filled_to;
    }
    if (reached)
        stored->stage = FILL_DONE;
}

static void fill_write(struct model *model, enum fill_edit edit, struct fill_state *stored,
                       const struct fill_partitions *all)
{
    if (edit == FILL_CLEAR || edit == FILL_INSTALL)
        positions_raise(model, stored->topic);
    if (edit == FILL_INSTALL)
        memory_clear(model, stored->topic);
    for (size_t i = 0; edit == FILL_INSTALL && i < all->count; i++)
        position_install(model, &all->partitions[i]);
    for (size_t i = 0; edit == FILL_END && i < all->count; i++) {
        const struct partition_state *given = &all->partitions[i];
        struct partition_state *position = model_position(model, given->topic, given->partition);
        if (position != NULL)
            position->filled_to = given->filled_to;
    }
}

enum status store_memory_fill(struct store *store, enum fill_edit edit,
                              const struct fill_state *fill,
                              const struct fill_partitions *partitions, struct error *err)
{
    struct model *model = store_memory_model(store_memory_of(store));
    struct fill_state *stored = model_fill(model, fill->topic);
    const enum fill_stage stages[] = {
        [FILL_ASK] = FILL_ASKED,       [FILL_CLEAR] = FILL_CLEARING,
        [FILL_INSTALL] = FILL_LOADING, [FILL_PROGRESS] = FILL_LOADING,
        [FILL_END] = FILL_REPLAYING,   [FILL_CANCEL] = FILL_CANCELLED,
    };
    if (edit == FILL_ASK) {
        struct fill_state asked = *fill;
        asked.stage = FILL_ASKED;
        if (stored == NULL)
            (void)list_add(&model->fills, &asked);
        else
            *stored = asked;
        return STATUS_OK;
    }
    bool same = stored != NULL && strcmp(stored->id, fill->id) == 0;
    if (edit == FILL_FINISH) {
        if (same)
            fill_finish(model, stored);
        return STATUS_OK;
    }
    if (!same || !may_come_before(edit, stored->stage) ||
        (edit == FILL_PROGRESS && stored->rows_offset >= fill->rows_offset))
        return fill_lost(fill, err);
    if (edit == FILL_NOTE) {
        stored->voids = fill->voids;
        stored->given_up = fill->given_up;
        memcpy(stored->reason, fill->reason, sizeof stored->reason);
        return STATUS_OK;
    }
    stored->stage = stages[edit];
    stored->rows_offset = fill->rows_offset;
    stored->rows = fill->rows;
    stored->digest = fill->digest;
    fill_write(model, edit, stored, partitions);
    return STATUS_OK;
}
