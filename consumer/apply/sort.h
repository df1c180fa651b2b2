/* Inside consumer/apply/: the writes of a batch, and their order. */
#ifndef CONSUMER_APPLY_SORT_H
#define CONSUMER_APPLY_SORT_H

#include "consumer/apply/batch.h"
#include "consumer/store/store.h"

/** One image that a batch writes. */
struct write {
    struct batch_event *event;
    const struct change *image;
    const struct mapping *mapping;
    int64_t number;    /* the key, where has_number; else 0 */
    bool has_number;   /* the key is one integer */
    size_t order;      /* its place in the log */
    uint64_t sort_key; /* used while they are sorted */
    bool is_absent;    /* it found no row, and is passed for that (rule 39) */
    bool is_done;      /* its set is written, or parked */
};

/** Fill `number` and `has_number` from the image. */
void write_note_key(struct write *write);

/** @return a number below, equal to or above zero: by mapping, then by key. Numbers come in their
 * own order, 9 before 10, because that is how tables store their rows; other keys come in the order
 * of their texts. */
int write_compare_entity(const struct write *left, const struct write *right);

/** Sort by entity, and the writes of one entity by their place in the log. The writes must come in
 * the order of the log.
 * @param scratch  room for `count` of them. */
void writes_sort(struct write *writes, size_t count, struct write *scratch);

#endif
