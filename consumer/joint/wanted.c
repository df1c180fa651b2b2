/* A table of the entities that open transactions want. */
#include "consumer/joint/wanted.h"

#include "common/murmur2.h"

#include <stdlib.h>

#define WANTED_FIRST_SIZE 64

void joint_wanted_clear(struct joint_wanted *wanted)
{
    if (wanted->size > 0)
        memset(wanted->wants, 0, wanted->size * sizeof *wanted->wants);
    wanted->count = 0;
}

void joint_wanted_done(struct joint_wanted *wanted)
{
    free(wanted->wants);
    *wanted = (struct joint_wanted){0};
}

/* @return the place of a name: where it is, or would be. A place is always free. */
static struct joint_want *wanted_place(const struct joint_wanted *wanted, struct slice name)
{
    size_t at = (uint32_t)murmur2(name) & (wanted->size - 1);
    while (wanted->wants[at].name.data != NULL && !slice_equal(wanted->wants[at].name, name))
        at = (at + 1) & (wanted->size - 1);
    return &wanted->wants[at];
}

/* At most half of the places are taken. */
static enum status wanted_grow(struct joint_wanted *wanted, size_t more, struct error *err)
{
    size_t size = wanted->size == 0 ? WANTED_FIRST_SIZE : wanted->size;
    while (size < 2 * (wanted->count + more))
        size *= 2;
    if (size == wanted->size)
        return STATUS_OK;
    struct joint_wanted larger = {
        .wants = calloc(size, sizeof *larger.wants), .size = size, .count = wanted->count};
    if (larger.wants == NULL)
        return error_set(err, STATUS_RETRY, "no memory for joint transactions");
    for (size_t i = 0; i < wanted->size; i++) {
        if (wanted->wants[i].name.data != NULL)
            *wanted_place(&larger, wanted->wants[i].name) = wanted->wants[i];
    }
    free(wanted->wants);
    *wanted = larger;
    return STATUS_OK;
}

enum status joint_wanted_add(struct joint_wanted *wanted, const struct joint_open *open,
                             struct error *err)
{
    if (!joint_open_holds(open))
        return STATUS_OK;
    enum status status = wanted_grow(wanted, open->want_count, err);
    for (size_t i = 0; status == STATUS_OK && i < open->want_count; i++) {
        struct joint_want *place = wanted_place(wanted, open->wants[i]);
        if (place->name.data != NULL)
            continue;
        *place = (struct joint_want){open->wants[i], open};
        wanted->count++;
    }
    return status;
}

const struct joint_open *joint_wanted_by(const struct joint_wanted *wanted,
                                         const struct joint_open *open)
{
    for (size_t i = 0; i < open->want_count && wanted->size > 0; i++) {
        const struct joint_want *place = wanted_place(wanted, open->wants[i]);
        if (place->name.data != NULL)
            return place->open;
    }
    return NULL;
}
