/* The rows of a comparison: their sums, the rows of buckets that differ, and the rows of entities
 * that were left out. */
#include "operate/compare/internal.h"

#include "common/buffer.h"

#include <stdlib.h>

#define LIST_ROWS_MAX   1000000 /* of the reference, in one listing */
#define LIST_KEYS_MAX   ((size_t)256 * 1024 * 1024)
#define LISTINGS_MAX    4
#define LIST_ROWS_FIRST 1024

/* A row in a bucket that differs. */
struct listed_row {
    uint64_t key_digest; /* first: row_digest_compare() */
    uint64_t digest;
    uint32_t key_at; /* in struct row_list's keys */
    uint32_t key_length;
    /* Of the reference's rows, copies that have answered one with its key, another one, several: */
    participant_mask answered;
    participant_mask differs;
    participant_mask doubled;
};

struct row_list {
    struct listed_row *rows; /* sorted once all are there */
    size_t count;
    size_t size;
    struct buffer keys;
};

struct listing {
    struct compare *compare;
    const participant_mask *differs; /* by bucket: copies whose sum is another one */
    bool buckets[ROW_BUCKETS];       /* that are listed */
    struct row_list reference;       /* its rows */
    struct row_list extra;           /* that only the copy has which is listed now */
};

/* Notes which entities the sums leave out. They are to be compared at every copy later. */
static enum status rows_leave_out(struct compare *compare, struct error *err)
{
    struct left_out *left_out = &compare->result->left_out;
    compare->left_out = calloc(left_out->count + 1, sizeof *compare->left_out);
    if (compare->left_out == NULL)
        return error_set(err, STATUS_RETRY, "no memory for the entities that are left out");
    for (size_t i = 0; i < left_out->count; i++) {
        struct left_entity *entity = &left_out->entities[i];
        if ((entity->closed & compare->comparable) == 0)
            continue;
        entity->pending = compare->comparable;
        compare->left_out[compare->left_out_count++] = entity->key_digest;
    }
    qsort(compare->left_out, compare->left_out_count, sizeof *compare->left_out,
          row_digest_compare);
    return STATUS_OK;
}

static struct question rows_question(struct compare *compare, size_t index)
{
    struct question question = compare_question(compare, index);
    question.left_out = compare->left_out;
    question.left_out_count = compare->left_out_count;
    return question;
}

static bool rows_asks_ahead(const struct compare *compare, size_t index)
{
    return compare_participant(compare, index)->ops->ask_sums != NULL;
}

static void rows_ask(struct compare *compare, size_t index)
{
    struct error err = ERROR_INIT;
    struct participant *participant = compare_participant(compare, index);
    const struct question question = rows_question(compare, index);
    enum status status = participant->ops->ask_sums(participant, &question, &err);
    (void)compare_is_answered(compare, index, status, &err);
}

static void rows_sum(struct compare *compare, size_t index, struct row_sums *ret_sums)
{
    struct error err = ERROR_INIT;
    struct participant *participant = compare_participant(compare, index);
    const struct question question = rows_question(compare, index);
    enum status status = participant->ops->sums(participant, &question, ret_sums, &err);
    (void)compare_is_answered(compare, index, status, &err);
}

/* Who has to be asked for sums is asked first and waited for last, so that all of these read their
 * rows side by side. Databases that are opened here are read in turn meanwhile. */
static void rows_sum_all(struct compare *compare, struct row_sums *sums)
{
    size_t count = compare->options->count;
    for (size_t i = 0; i < count; i++) {
        if (compare_asks(compare, i) && rows_asks_ahead(compare, i))
            rows_ask(compare, i);
    }
    for (size_t i = 0; i < count; i++) {
        if (compare_asks(compare, i) && !rows_asks_ahead(compare, i))
            rows_sum(compare, i, &sums[i]);
    }
    for (size_t i = 0; i < count; i++) {
        if (compare_asks(compare, i) && rows_asks_ahead(compare, i))
            rows_sum(compare, i, &sums[i]);
    }
}

static struct slice list_key(const struct row_list *list, size_t index)
{
    const struct listed_row *row = &list->rows[index];
    return (struct slice){list->keys.data + row->key_at, row->key_length};
}

static enum status list_add(struct row_list *list, const struct answered_row *row,
                            struct error *err)
{
    if (list->count == list->size) {
        size_t size = list->size == 0 ? LIST_ROWS_FIRST : list->size * 2;
        struct listed_row *more = size > LIST_ROWS_MAX * 4
                                      ? NULL
                                      : realloc(list->rows, size * sizeof *more);
        if (more == NULL)
            return error_set(err, STATUS_RETRY, "no memory for the rows that differ");
        list->rows = more;
        list->size = size;
    }
    list->rows[list->count++] = (struct listed_row){
        .key_digest = row->key_digest,
        .digest = row->digest,
        .key_at = (uint32_t)list->keys.length,
        .key_length = (uint32_t)row->key.length,
    };
    buffer_append(&list->keys, row->key.data, row->key.length);
    return list->keys.failed ? error_set(err, STATUS_RETRY, "no memory for keys that differ")
                             : STATUS_OK;
}

static void list_sort(struct row_list *list)
{
    if (list->count > 0)
        qsort(list->rows, list->count, sizeof *list->rows, row_digest_compare);
}

static void list_clear(struct row_list *list)
{
    list->count = 0;
    buffer_reset(&list->keys);
}

static struct listed_row *list_find(const struct row_list *list, const struct answered_row *row)
{
    size_t low = 0;
    size_t high = list->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (list->rows[middle].key_digest < row->key_digest)
            low = middle + 1;
        else
            high = middle;
    }
    for (; low < list->count && list->rows[low].key_digest == row->key_digest; low++) {
        if (slice_equal(list_key(list, low), row->key))
            return &list->rows[low];
    }
    return NULL;
}

/* @return whether a sorted list has two rows of this one's key. */
static bool list_is_doubled(const struct row_list *list, size_t index)
{
    return (index > 0 && slice_equal(list_key(list, index), list_key(list, index - 1))) ||
           (index + 1 < list->count &&
            slice_equal(list_key(list, index), list_key(list, index + 1)));
}

static enum status listing_add(void *context, const struct answered_row *row, struct error *err)
{
    struct listing *listing = context;
    return list_add(&listing->reference, row, err);
}

static enum status listing_visit(void *context, const struct answered_row *row, struct error *err)
{
    struct listing *listing = context;
    participant_mask bit = participant_bit(listing->compare->asked);
    struct listed_row *listed = list_find(&listing->reference, row);
    if (listed == NULL)
        return list_add(&listing->extra, row, err);
    listed->doubled |= listed->answered & bit;
    listed->answered |= bit;
    listed->differs |= listed->digest == row->digest ? 0 : bit;
    return STATUS_OK;
}

/* What was found of the reference's row. Of a key that several rows have nothing is known. */
static enum status listing_judge(struct listing *listing, size_t row, size_t copy,
                                 struct error *err)
{
    const struct listed_row *listed = &listing->reference.rows[row];
    struct slice key = list_key(&listing->reference, row);
    participant_mask bit = participant_bit(copy);
    if ((listed->doubled & bit) != 0)
        compare_drop_doubled(listing->compare, key);
    else if ((listed->answered & bit) == 0)
        return compare_note(listing->compare, copy, DIFFERENCE_MISSING, key, err);
    else if ((listed->differs & bit) != 0)
        return compare_note(listing->compare, copy, DIFFERENCE_VALUE, key, err);
    return STATUS_OK;
}

/* The same of the rows that only the copy has. */
static enum status listing_judge_extra(struct listing *listing, size_t copy, struct error *err)
{
    enum status status = STATUS_OK;
    list_sort(&listing->extra);
    for (size_t i = 0; status == STATUS_OK && i < listing->extra.count; i++) {
        struct slice key = list_key(&listing->extra, i);
        if (list_is_doubled(&listing->extra, i))
            compare_drop_doubled(listing->compare, key);
        else
            status = compare_note(listing->compare, copy, DIFFERENCE_EXTRA, key, err);
    }
    return status;
}

/* Lists a copy's buckets that differ, beside the reference's. */
static enum status listing_copy(struct listing *listing, size_t index, struct error *err)
{
    struct compare *compare = listing->compare;
    struct participant *participant = compare_participant(compare, index);
    participant_mask bit = participant_bit(index);
    bool buckets[ROW_BUCKETS] = {false};
    struct question question = rows_question(compare, index);
    bool any = false;
    for (size_t b = 0; b < ROW_BUCKETS; b++) {
        buckets[b] = listing->buckets[b] && (listing->differs[b] & bit) != 0;
        any = any || buckets[b];
    }
    if (!any || !compare_has(compare, index))
        return STATUS_OK;
    question.buckets = buckets;
    list_clear(&listing->extra);
    enum status status = participant->ops->list(participant, &question, listing_visit, listing,
                                                err);
    if (!compare_is_answered(compare, index, status, err))
        return STATUS_OK;
    status = listing_judge_extra(listing, index, err);
    for (size_t i = 0; status == STATUS_OK && i < listing->reference.count; i++) {
        if (buckets[row_bucket(listing->reference.rows[i].key_digest)])
            status = listing_judge(listing, i, index, err);
    }
    return status;
}

static enum status listing_run(struct listing *listing, struct error *err)
{
    struct compare *compare = listing->compare;
    struct participant *reference = compare_participant(compare, 0);
    struct question question = rows_question(compare, 0);
    question.buckets = listing->buckets;
    list_clear(&listing->reference);
    enum status status = reference->ops->list(reference, &question, listing_add, listing, err);
    if (!compare_is_answered(compare, 0, status, err))
        return STATUS_OK;
    status = STATUS_OK;
    list_sort(&listing->reference);
    for (size_t i = 0; i < listing->reference.count; i++) {
        if (list_is_doubled(&listing->reference, i))
            compare_drop_doubled(compare, list_key(&listing->reference, i));
    }
    for (size_t i = 1; status == STATUS_OK && i < compare->options->count; i++)
        status = listing_copy(listing, i, err);
    return status;
}

/* Sums that differ while no row does mean that a snapshot is none. */
static void rows_judge_listings(struct compare *compare, const participant_mask *differs,
                                size_t listed)
{
    for (size_t i = 1; i < compare->options->count; i++) {
        struct copy_result *copy = &compare->result->copies[i];
        bool any = false;
        for (size_t b = 0; b < ROW_BUCKETS && compare_has(compare, i); b++) {
            bool is_other = (differs[b] & participant_bit(i)) != 0;
            any = any || is_other;
            copy->is_partial = copy->is_partial || (is_other && b >= listed);
        }
        if (any && !copy->is_partial && copy->difference_count == 0)
            compare_drop(compare, i, "its rows, or those of %s, changed within one snapshot",
                         compare_participant(compare, 0)->name);
    }
}

/* Lists the buckets that differ, as many at a time as memory is meant for. */
static enum status rows_list(struct compare *compare, const participant_mask *differs,
                             uint64_t rows, struct error *err)
{
    struct listing *listing = calloc(1, sizeof *listing);
    uint64_t at_once = LIST_ROWS_MAX / (rows / ROW_BUCKETS + 1) + 1;
    enum status status = STATUS_OK;
    size_t bucket = 0;
    if (listing == NULL)
        return error_set(err, STATUS_RETRY, "no memory for a list of rows");
    listing->compare = compare;
    listing->differs = differs;
    buffer_init(&listing->reference.keys, LIST_KEYS_MAX);
    buffer_init(&listing->extra.keys, LIST_KEYS_MAX);
    for (int i = 0; status == STATUS_OK && i < LISTINGS_MAX && bucket < ROW_BUCKETS; i++) {
        uint64_t chosen = 0;
        memset(listing->buckets, 0, sizeof listing->buckets);
        for (; bucket < ROW_BUCKETS && chosen < at_once; bucket++) {
            listing->buckets[bucket] = (differs[bucket] & compare->comparable) != 0;
            chosen += listing->buckets[bucket];
        }
        if (chosen > 0)
            status = listing_run(listing, err);
    }
    if (status == STATUS_OK)
        rows_judge_listings(compare, differs, bucket);
    free(listing->reference.rows);
    free(listing->extra.rows);
    buffer_done(&listing->reference.keys);
    buffer_done(&listing->extra.keys);
    free(listing);
    return status;
}

enum status compare_all_rows(struct compare *compare, struct error *err)
{
    size_t count = compare->options->count;
    struct row_sums *sums = calloc(count, sizeof *sums);
    participant_mask *differs = calloc(ROW_BUCKETS, sizeof *differs);
    uint64_t rows = 0;
    participant_mask any = 0;
    enum status status = STATUS_OK;
    if (sums == NULL || differs == NULL)
        status = error_set(err, STATUS_RETRY, "no memory for sums");
    if (status == STATUS_OK)
        status = rows_leave_out(compare, err);
    if (status != STATUS_OK)
        goto out;
    rows_sum_all(compare, sums);
    rows = compare->result->rows = sums[0].rows;
    for (size_t i = 1; i < count; i++) {
        if (!compare_has(compare, i))
            continue;
        rows = sums[i].rows > rows ? sums[i].rows : rows;
        for (size_t b = 0; b < ROW_BUCKETS; b++) {
            if (sums[0].sums[b] != sums[i].sums[b])
                any |= differs[b] |= participant_bit(i);
        }
    }
    if (any != 0)
        status = rows_list(compare, differs, rows, err);
    for (size_t i = 1; status == STATUS_OK && i < count; i++)
        status = compare_read_rows(compare, i, 0, err);
out:
    free(sums);
    free(differs);
    return status;
}
