/* Retries and skips parked records, for `keepstep parked` and for the page. */
#include "operate/parked_edit.h"

#include "common/clock.h"

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
    while (status == STATUS_RETRY && !err->connection_lost && clock_monotonic_us() < until &&
           !atomic_load(edits->stop)) {
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

/* @return the index of the record that has to be released first so that this one can be. */
static size_t parked_head_of(const struct parked_list *list, const int64_t *first, size_t index)
{
    while (first[index] != INT64_MAX) {
        int64_t offset = first[index];
        while (list->read.records[index].record.offset > offset)
            index--;
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

/* Find out what each record waits for.
 * @param first  of each record, the offset of the first one it waits for; INT64_MAX: none. */
static enum status parked_find_order(const struct parked_list *list, int64_t *first,
                                     struct error *err)
{
    struct block_set before = {0};
    enum status status = STATUS_OK;
    for (size_t i = 0; i < list->read.count && status == STATUS_OK; i++) {
        const struct record *record = &list->read.records[i].record;
        const struct record *last = i == 0 ? record : &list->read.records[i - 1].record;
        struct block_key key = block_key_stored(list->read.records[i].entity_type,
                                                list->read.records[i].entity_key, record->key);
        if (last->partition != record->partition || strcmp(last->topic, record->topic) != 0)
            block_set_done(&before);
        first[i] = block_set_first(&before, &key);
        status = block_set_add(&before, &key, record->offset, err);
    }
    block_set_done(&before);
    return status;
}

enum status parked_find_heads(struct store *store, const struct parked_request *request,
                              struct parked_list *list, parked_say_head_first *say,
                              struct error *err)
{
    const struct parked_filter all = {.partition = -1, .blocking = true, .without_value = true};
    int64_t *first = NULL;
    bool *meant = NULL;
    size_t heads = 0;
    enum status status = parked_read(store, &all, list, err);
    if (status != STATUS_OK)
        return status;
    first = calloc(list->read.count + 1, sizeof *first);
    meant = calloc(list->read.count + 1, sizeof *meant);
    if (first == NULL || meant == NULL)
        status = error_set(err, STATUS_FATAL, "out of memory");
    if (status == STATUS_OK)
        status = parked_find_order(list, first, err);
    for (size_t i = 0; i < list->read.count && status == STATUS_OK; i++) {
        if (!parked_is_meant(&list->read.records[i], request))
            continue;
        size_t head = parked_head_of(list, first, i);
        meant[head] = true;
        if (head != i && request->filter.parked_id != 0 && say != NULL)
            say(&list->read.records[i], &list->read.records[head]);
    }
    for (size_t i = 0; i < list->read.count && status == STATUS_OK; i++) {
        if (meant[i])
            list->read.records[heads++] = list->read.records[i];
    }
    list->read.count = heads;
    free(first);
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
        (void)snprintf(ret_text, PARKED_PAUSE_SIZE, "%s is paused %s", found->entity_type, since);
    }
    paused_types_done(&paused);
    return status;
}
