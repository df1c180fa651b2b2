/* Sorts the writes of a batch by table and key. Integers are sorted byte by byte: that takes a
 * third of the instructions of comparing them. */
#include "consumer/apply/sort.h"

#include <stdlib.h>
#include <string.h>

#define SORT_COUNT_MIN 64  /* with fewer writes, comparing them is as fast */
#define SORT_BYTES     256 /* values of a byte */
#define SIGN_BIT       (UINT64_C(1) << 63)

void write_note_key(struct write *write)
{
    const struct change *change = write->image;
    const struct entity_schema *schema = change->schema;
    write->number = 0;
    write->has_number = false;
    if (schema == NULL || schema->key_count != 1)
        return;
    const struct value *value = &change->values[schema->key_columns[0]];
    write->has_number = value->kind == VALUE_INTEGER;
    if (write->has_number)
        write->number = value->integer;
}

int write_compare_entity(const struct write *left, const struct write *right)
{
    if (left->mapping != right->mapping)
        return left->mapping < right->mapping ? -1 : 1;
    if (left->number != right->number)
        return left->number < right->number ? -1 : 1;
    return slice_compare(left->image->entity_key, right->image->entity_key);
}

static int sort_compare(const void *a, const void *b)
{
    const struct write *left = a;
    const struct write *right = b;
    int order = write_compare_entity(left, right);
    return order != 0 ? order : (left->order > right->order) - (left->order < right->order);
}

/** Copy the writes in the order of one byte of `sort_key`. Equal bytes keep their order. */
static void sort_by_byte(const struct write *from, struct write *to, size_t count,
                         unsigned int shift)
{
    size_t places[SORT_BYTES + 1] = {0};
    for (size_t i = 0; i < count; i++)
        places[(from[i].sort_key >> shift & 0xff) + 1]++;
    for (size_t i = 0; i < SORT_BYTES; i++)
        places[i + 1] += places[i];
    for (size_t i = 0; i < count; i++)
        to[places[from[i].sort_key >> shift & 0xff]++] = from[i];
}

/** Sort by the bytes of `sort_key` that differ, the lowest first. Equal keys keep their order. */
static void sort_by_key(struct write *writes, struct write *scratch, size_t count)
{
    struct write *from = writes;
    struct write *to = scratch;
    uint64_t differing = 0;
    for (size_t i = 1; i < count; i++)
        differing |= writes[i].sort_key ^ writes[0].sort_key;
    for (unsigned int shift = 0; shift < 64; shift += 8) {
        if ((differing >> shift & 0xff) == 0)
            continue;
        sort_by_byte(from, to, count, shift);
        struct write *sorted = to;
        to = from;
        from = sorted;
    }
    if (from != writes)
        memcpy(writes, from, count * sizeof *writes);
}

/** Sort the writes of one mapping. */
static void sort_run(struct write *writes, size_t count, struct write *scratch)
{
    bool has_numbers = count >= SORT_COUNT_MIN;
    for (size_t i = 0; i < count; i++) {
        has_numbers = has_numbers && writes[i].has_number;
        writes[i].sort_key = (uint64_t)writes[i].number ^ SIGN_BIT; /* negative numbers first */
    }
    if (has_numbers)
        sort_by_key(writes, scratch, count);
    else
        qsort(writes, count, sizeof *writes, sort_compare);
}

void writes_sort(struct write *writes, size_t count, struct write *scratch)
{
    for (size_t i = 0; i < count; i++)
        writes[i].sort_key = (uintptr_t)writes[i].mapping;
    if (count > 0)
        sort_by_key(writes, scratch, count);
    for (size_t i = 0; i < count;) {
        size_t end = i + 1;
        while (end < count && writes[end].mapping == writes[i].mapping)
            end++;
        sort_run(&writes[i], end - i, scratch);
        i = end;
    }
}
