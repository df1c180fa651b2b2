/* The rows of a comparison: their sums, the rows of buckets that differ, and the rows of entities
 * that were left out. */
#include "operate/compare/internal.h"

#include "common/buffer.h"

#include <stdlib.h>

#define LIST_ROWS_MAX   1000000 /* of the reference, in one listing */
#define LIST_KEYS_MAX   ((size_t)256 * 1024 * 1024)
#define LISTINGS_MAX    4
#define LIST_ROWS_FIRST 1024

/* A row of the reference in a bucket that differs. */
struct listed_row {
    uint64_t key_digest; /* first: row_digest_compare() */
    uint64_t digest;
    uint32_t key_at; /* in struct listing's keys */
    uint32_t key_length;
    participant_mask answered;
};

struct listing {
    struct compare *compare;
    const participant_mask *differs; /* by bucket: copies whose sum is another one */
    bool buckets[ROW_BUCKETS];       /* that are listed */
    struct listed_row *rows;         /* sorted once the reference has answered */
    size_t count;
    size_t size;
    struct buffer keys;
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

static struct slice listing_key(const struct listing *listing, const struct listed_row *row)
{
    return (struct slice){listing->keys.data + row->key_at, row->key_length};
}

static enum status listing_add(void *context, const struct answered_row *row, struct error *err)
{
    struct listing *listing = context;
    if (listing->count == listing->size) {
        size_t size = listing->size == 0 ? LIST_ROWS_FIRST : listing->size * 2;
        struct listed_row *more = size > LIST_ROWS_MAX * 4
                                      ? NULL
                                      : realloc(listing->rows, size * sizeof *more);
        if (more == NULL)
            return error_set(err, STATUS_RETRY, "no memory for the rows that differ");
        listing->rows = more;
        listing->size = size;
    }
    listing->rows[listing->count++] = (struct listed_row){
        .key_digest = row->key_digest,
        .digest = row->digest,
        .key_at = (uint32_t)listing->keys.length,
        .key_length = (uint32_t)row->key.length,
    };
    buffer_append(&listing->keys, row->key.data, row->key.length);
    return listing->keys.failed ? error_set(err, STATUS_RETRY, "no memory for keys that differ")
                                : STATUS_OK;
}

static struct listed_row *listing_find(const struct listing *listing,
                                       const struct answered_row *row)
{
    size_t low = 0;
    size_t high = listing->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (listing->rows[middle].key_digest < row->key_digest)
            low = middle + 1;
        else
            high = middle;
    }
    for (; low < listing->count && listing->rows[low].key_digest == row->key_digest; low++) {
        if (slice_equal(listing_key(listing, &listing->rows[low]), row->key))
            return &listing->rows[low];
    }
    return NULL;
}

static enum status listing_visit(void *context, const struct answered_row *row, struct error *err)
{
    struct listing *listing = context;
    struct compare *compare = listing->compare;
    struct listed_row *listed = listing_find(listing, row);
    if (listed == NULL)
        return compare_note(compare, compare->asked, DIFFERENCE_EXTRA, row->key, err);
    if ((listed->answered & participant_bit(compare->asked)) != 0)
        compare_drop_doubled(compare, row->key);
    listed->answered |= participant_bit(compare->asked);
    return listed->digest == row->digest
               ? STATUS_OK
               : compare_note(compare, compare->asked, DIFFERENCE_VALUE, row->key, err);
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
    enum status status = participant->ops->list(participant, &question, listing_visit, listing,
                                                err);
    if (!compare_is_answered(compare, index, status, err))
        return STATUS_OK;
    status = STATUS_OK;
    for (size_t i = 0; status == STATUS_OK && i < listing->count; i++) {
        const struct listed_row *row = &listing->rows[i];
        if (buckets[row_bucket(row->key_digest)] && (row->answered & bit) == 0)
            status = compare_note(compare, index, DIFFERENCE_MISSING, listing_key(listing, row),
                                  err);
    }
    return status;
}

static void listing_check_reference(const struct listing *listing)
{
    for (size_t i = 1; i < listing->count; i++) {
        const struct listed_row *row = &listing->rows[i];
        if (row->key_digest == row[-1].key_digest &&
            slice_equal(listing_key(listing, row), listing_key(listing, row - 1)))
            compare_drop_doubled(listing->compare, listing_key(listing, row));
    }
}

static enum status listing_run(struct listing *listing, struct error *err)
{
    struct compare *compare = listing->compare;
    struct participant *reference = compare_participant(compare, 0);
    struct question question = rows_question(compare, 0);
    question.buckets = listing->buckets;
    listing->count = 0;
    buffer_reset(&listing->keys);
    enum status status = reference->ops->list(reference, &question, listing_add, listing, err);
    if (!compare_is_answered(compare, 0, status, err))
        return STATUS_OK;
    status = STATUS_OK;
    if (listing->count > 0)
        qsort(listing->rows, listing->count, sizeof *listing->rows, row_digest_compare);
    listing_check_reference(listing);
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
    buffer_init(&listing->keys, LIST_KEYS_MAX);
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
    free(listing->rows);
    buffer_done(&listing->keys);
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
