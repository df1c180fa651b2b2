/* Which entities have a change that stays behind while a large set is measured (rule 58). Two
 * changes of an entity whose places do not rise show that a `changeset` stands for several
 * transactions. */
#ifndef PRODUCER_RELAY_PASSED_H
#define PRODUCER_RELAY_PASSED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Where a row is numbered: in front of the large set, with it, or behind it. */
enum passed_place { PLACE_BEFORE, PLACE_OWN, PLACE_BEHIND };

/** Digests of entities. All zero: none. */
struct passed {
    uint64_t *slots; /* 0, or a digest with the place for its last bits */
    size_t size;     /* a power of two; 0 */
    size_t count;
};

/** Note a change that is numbered with the large set, or behind it. Of more entities than memory is
 * allowed for, the later ones are not noted: about seven million, in 64 MiB.
 * @return false: no memory. */
bool passed_note(struct passed *passed, uint64_t entity, enum passed_place place);

/** @return the last place that was noted of the entity; PLACE_BEFORE: none. */
enum passed_place passed_find(const struct passed *passed, uint64_t entity);

/** Forget all. */
void passed_done(struct passed *passed);

#endif
