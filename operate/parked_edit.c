/* Retries and skips parked records, for `keepstep parked` and for the page. */
#include "operate/parked_edit.h"

#include "common/clock.h"
#include "common/utf8.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PARKED_ARENA_MAX ((size_t)256 * 1024 * 1024)
#define PARKED_AGAIN_US  (INT64_C(20) * 1000)
#define PARKED_EDITS     16 /* in one transaction, which the agent and the service wait for */

void parked_list_init(struct parked_list *ret_list)
{
    *ret_list = (struct parked_list){0};
    arena_init(&ret_list->arena, PARKED_ARENA_MAX);
}

void parked_list_done(struct parked_list *list)
{
    arena_done(&list->arena);
}

enum status parked_read(struct store *store, const struct parked_filter *filter,
                        struct parked_list *list, struct error *err)
{
    arena_reset(&list->arena);
    list->read.count = 0;
    return store->ops->read_parked(store, filter, &list->arena, &list->read, err);
}

enum status parked_read_set(struct store *store, const struct parked_record *of,
                            struct parked_list *list, struct error *err)
{
    const struct parked_filter set = {.partition = -1, .set_of = of, .without_value = true};
    const struct parked_filter alone = {
        .partition = -1, .parked_id = of->parked_id, .without_value = true};
    return parked_read(store, of->changeset_end != 0 ? &set : &alone, list, err);
}

enum status parked_note_set(struct store *store, struct parked_record *parked, struct error *err)
{
    struct parked_list set;
    parked_list_init(&set);
    enum status status = parked_read_set(store, parked, &set, err);
    parked->set_size = set.read.count;
    parked_list_done(&set);
    return status;
}

enum status parked_fold(struct store *store, struct parked_list *list, struct error *err)
{
    struct parked_record met = {0}; /* of the set that was met last */
    struct parked_list set;
    size_t kept = 0;
    enum status status = STATUS_OK;
    parked_list_init(&set);
    for (size_t i = 0; i < list->read.count && status == STATUS_OK; i++) {
        struct parked_record record = list->read.records[i];
        record.set_size = 1;
        if (parked_is_same_set(&met, &record))
            continue;
        if (record.changeset_end != 0) {
            met = record;
            status = parked_read_set(store, &record, &set, err);
            if (status != STATUS_OK || set.read.count == 0 ||
                set.read.records[0].parked_id != record.parked_id)
                continue;
            record.set_size = set.read.count;
        }
        list->read.records[kept++] = record;
    }
    list->read.count = kept;
    parked_list_done(&set);
    return status;
}

/* An edit of records, for as long as nobody wants this process to end. */
struct parked_edits {
    struct store *store;
    enum parked_edit edit;
    const atomic_bool *stop;
};

/* Change records in one transaction. @return as edit_parked(). */
static enum status parked_edit_once(const struct parked_edits *edits,
                                    const struct parked_record *records, size_t count,
                                    struct error *err)
{
    struct store *store = edits->store;
    enum status status = store->ops->begin(store, NULL, 0, err);
    for (size_t i = 0; status == STATUS_OK && i < count; i++) {
        struct parked_record record = records[i];
        record.next_attempt_us = clock_wall_us();
        status = store->ops->edit_parked(store, &record, edits->edit, err);
    }
    if (status == STATUS_OK)
        status = store->ops->commit(store, true, err);
    if (status != STATUS_OK)
        store->ops->rollback(store);
    return status;
}

/* The same, and wait while the agent or the service holds the database. */
static enum status parked_edit_patiently(const struct parked_edits *edits,
                                         const struct parked_record *records, size_t count,
                                         struct error *err)
{
    int64_t until = clock_monotonic_us() + PARKED_WAIT_US;
    enum status status = parked_edit_once(edits, records, count, err);
    while (status == STATUS_RETRY && !err->connection_lost && !error_is_config(err) &&
           clock_monotonic_us() < until && !atomic_load(edits->stop)) {
        error_clear(err);
        clock_sleep_us(PARKED_AGAIN_US);
        status = parked_edit_once(edits, records, count, err);
    }
    return status;
}

enum status parked_edit_all(struct store *store, const struct parked_list *list,
                            enum parked_edit edit, const atomic_bool *stop, struct error *err)
{
    const struct parked_edits edits = {store, edit, stop};
    enum status status = STATUS_OK;
    for (size_t i = 0; status == STATUS_OK && i < list->read.count; i += PARKED_EDITS) {
        size_t count = list->read.count - i < PARKED_EDITS ? list->read.count - i : PARKED_EDITS;
        const struct parked_record *records = &list->read.records[i];
        status = parked_edit_patiently(&edits, records, count, err);
        bool gone = status == STATUS_ABORT;
        for (size_t k = 0; k < count && gone && (status == STATUS_OK || status == STATUS_ABORT);
             k++) {
            error_clear(err);
            status = parked_edit_patiently(&edits, &records[k], 1, err);
        }
        if (status == STATUS_ABORT) {
            error_clear(err);
            status = STATUS_OK;
        }
    }
    return status;
}

enum status parked_find_outcome(struct store *store, const struct parked_record *parked,
                                struct parked_list *now, enum parked_outcome *ret_outcome,
                                struct error *err)
{
    const struct parked_filter filter = {
        .partition = -1, .parked_id = parked->parked_id, .without_value = true};
    enum status status = parked_read(store, &filter, now, err);
    *ret_outcome = PARKED_UNTRIED;
    if (status == STATUS_OK && now->read.count == 0)
        *ret_outcome = PARKED_APPLIED;
    else if (status == STATUS_OK && now->read.records[0].attempts != parked->attempts)
        *ret_outcome = PARKED_FAILED;
    return status;
}

/* What a record waits for. A set's records have their first one as `unit`, which says it for all.
 */
struct parked_wait {
    size_t unit;   /* the index of that one; of a record alone its own */
    int64_t first; /* the offset of the first record that it waits for; INT64_MAX: none */
};

/* @return the index of the record that has to be released first so that this one can be. */
static size_t parked_head_of(const struct parked_list *list, const struct parked_wait *waits,
                             size_t index)
{
    index = waits[index].unit;
    while (waits[index].first != INT64_MAX) {
        int64_t offset = waits[index].first;
        while (list->read.records[index].record.offset > offset)
            index--;
        index = waits[index].unit;
    }
    return index;
}

static bool parked_is_meant(const struct parked_record *parked,
                            const struct parked_request *request)
{
    const struct parked_filter *filter = &request->filter;
    if (request->all)
        return true;
    return filter->parked_id != 0 ? parked->parked_id == filter->parked_id
                                  : slice_is(parked->entity_type, filter->entity_type) &&
                                        slice_equal(parked->entity_key, filter->entity_key);
}

/* Find out what each record waits for. Each record of a set blocks from where its set begins. */
static enum status parked_find_order(struct parked_list *list, struct parked_wait *waits,
                                     struct error *err)
{
    struct block_set before = {0};
    size_t set = 0; /* the first record of the set that was met last */
    enum status status = STATUS_OK;
    for (size_t i = 0; i < list->read.count && status == STATUS_OK; i++) {
        const struct record *record = &list->read.records[i].record;
        const struct record *last = i == 0 ? record : &list->read.records[i - 1].record;
        struct block_key key = block_key_stored(list->read.records[i].entity_type,
                                                list->read.records[i].entity_key, record->key);
        if (last->partition != record->partition || strcmp(last->topic, record->topic) != 0)
            block_set_done(&before);
        bool is_alone = list->read.records[i].changeset_end == 0;
        if (!is_alone && !parked_is_same_set(&list->read.records[set], &list->read.records[i]))
            set = i;
        waits[i] = (struct parked_wait){.unit = is_alone ? i : set, .first = INT64_MAX};
        struct parked_record *unit = &list->read.records[waits[i].unit];
        int64_t first = block_set_first(&before, &key);
        if (first < unit->record.offset && first < waits[waits[i].unit].first)
            waits[waits[i].unit].first = first;
        unit->set_size++;
        status = block_set_add(&before, &key, unit->record.offset, err);
    }
    block_set_done(&before);
    return status;
}

enum status parked_find_heads(struct store *store, const struct parked_request *request,
                              struct parked_list *list, parked_say_head_first *say,
                              struct error *err)
{
    const struct parked_filter all = {.partition = -1, .blocking = true, .without_value = true};
    struct parked_wait *waits = NULL;
    bool *meant = NULL;
    size_t heads = 0;
    enum status status = parked_read(store, &all, list, err);
    if (status != STATUS_OK)
        return status;
    waits = calloc(list->read.count + 1, sizeof *waits);
    meant = calloc(list->read.count + 1, sizeof *meant);
    if (waits == NULL || meant == NULL)
        status = error_set(err, STATUS_FATAL, "out of memory");
    if (status == STATUS_OK)
        status = parked_find_order(list, waits, err);
    for (size_t i = 0; i < list->read.count && status == STATUS_OK; i++) {
        if (!parked_is_meant(&list->read.records[i], request))
            continue;
        size_t head = parked_head_of(list, waits, i);
        meant[head] = true;
        if (head != waits[i].unit && request->filter.parked_id != 0 && say != NULL)
            say(&list->read.records[i], &list->read.records[head]);
    }
    for (size_t i = 0; i < list->read.count && status == STATUS_OK; i++) {
        if (meant[i])
            list->read.records[heads++] = list->read.records[i];
    }
    list->read.count = heads;
    free(waits);
    free(meant);
    return status;
}

enum status parked_find_pause(struct store *store, const struct config *config, const char *topic,
                              char ret_text[static PARKED_PAUSE_SIZE], struct error *err)
{
    struct paused_types paused = {0};
    char since[PAUSED_TEXT_SIZE];
    ret_text[0] = '\0';
    enum status status = store->ops->list_paused(store, &paused, err);
    const struct paused_type *found = paused_find_topic(&paused, config->apply, config->apply_count,
                                                        topic);
    if (status == STATUS_OK && found != NULL) {
        paused_describe(found, since);
        utf8_format(ret_text, PARKED_PAUSE_SIZE, "%s is paused %s", found->entity_type, since);
    }
    paused_types_done(&paused);
    return status;
}
