/* Keeps the open transactions of a service, and knows what each of them wants. */
#include "consumer/joint/open.h"

#include <stdlib.h>

#define OPENS_FIRST_SIZE 16

const struct mapping *joint_types_find(const struct joint_types *types, struct slice entity_type)
{
    for (size_t i = 0; i < types->count; i++) {
        if (slice_is(entity_type, types->mappings[i].schema->entity_type))
            return &types->mappings[i];
    }
    return NULL;
}

static void open_free(struct joint_open *open)
{
    for (size_t i = 0; i < open->want_count; i++)
        free((char *)(uintptr_t)open->wants[i].data);
    free(open->wants);
    free(open->changes);
    free(open);
}

enum status joint_opens_add(struct joint_opens *opens, const struct joint_open *open,
                            struct slice changes, struct error *err)
{
    struct joint_open *copy = calloc(1, sizeof *copy);
    if (opens->count == opens->size) {
        size_t size = opens->size == 0 ? OPENS_FIRST_SIZE : 2 * opens->size;
        struct joint_open **more = realloc(opens->items, size * sizeof(struct joint_open *));
        if (more == NULL) {
            free(copy);
            return error_set(err, STATUS_RETRY, "no memory for a joint transaction");
        }
        opens->items = more;
        opens->size = size;
    }
    if (copy != NULL) {
        *copy = *open;
        copy->changes = strndup(changes.data == NULL ? "" : changes.data, changes.length);
        copy->wants = NULL;
        copy->want_count = 0;
    }
    if (copy == NULL || copy->changes == NULL) {
        free(copy);
        return error_set(err, STATUS_RETRY, "no memory for a joint transaction");
    }
    size_t at = opens->count++;
    for (; at > 0 && opens->items[at - 1]->tally->proposal_offset > copy->tally->proposal_offset;
         at--)
        opens->items[at] = opens->items[at - 1];
    opens->items[at] = copy;
    return STATUS_OK;
}

/* A key that does not fit its type is refused by the try; until then it is a name like any other.
 */
static struct slice open_want(const struct joint_change *change, const struct joint_types *types,
                              struct arena *arena)
{
    struct buffer name;
    struct error ignored = ERROR_INIT;
    struct slice key = change->key;
    const struct mapping *mapping = joint_types_find(types, change->entity_type);
    if (mapping == NULL || canonical_key(mapping->schema, key, arena, &key, &ignored) != STATUS_OK)
        key = change->key;
    buffer_init(&name, 2 * JOINT_BYTES_MAX);
    buffer_append(&name, change->entity_type.data, change->entity_type.length);
    buffer_append_text(&name, " ");
    buffer_append(&name, key.data, key.length);
    struct slice want = {name.failed ? NULL : strdup(name.data), name.length};
    buffer_done(&name);
    return want;
}

enum status joint_open_find_wants(struct joint_open *open, const char *service,
                                  const struct joint_types *types, struct error *err)
{
    struct arena arena;
    struct joint_proposal proposal = {0};
    enum status status = STATUS_OK;
    if (open->changes[0] == '\0')
        return STATUS_OK;
    arena_init(&arena, JOINT_ARENA_BYTES);
    if (joint_changes_read(slice_of(open->changes), &arena, &proposal, err) != STATUS_OK)
        status = err->status = err->status == STATUS_REJECT ? STATUS_FATAL : err->status;
    open->wants = calloc(proposal.change_count + 1, sizeof *open->wants);
    if (open->wants == NULL)
        status = error_set(err, STATUS_RETRY, "no memory for a joint transaction");
    for (size_t i = 0; status == STATUS_OK && i < proposal.change_count; i++) {
        if (!slice_is(proposal.changes[i].service, service))
            continue;
        struct slice want = open_want(&proposal.changes[i], types, &arena);
        if (want.data == NULL)
            status = error_set(err, STATUS_RETRY, "no memory for a joint transaction");
        else
            open->wants[open->want_count++] = want;
    }
    arena_done(&arena);
    return status;
}

struct joint_open *joint_opens_find(const struct joint_opens *opens,
                                    const struct joint_tally *tally)
{
    for (size_t i = opens->count; i-- > 0;) {
        if (opens->items[i]->tally == tally)
            return opens->items[i];
    }
    return NULL;
}

void joint_opens_remove(struct joint_opens *opens, const struct joint_open *open)
{
    for (size_t i = 0; i < opens->count; i++) {
        if (opens->items[i] != open)
            continue;
        open_free(opens->items[i]);
        opens->count--;
        memmove(&opens->items[i], &opens->items[i + 1],
                (opens->count - i) * sizeof(struct joint_open *));
        return;
    }
}

void joint_opens_done(struct joint_opens *opens)
{
    for (size_t i = 0; i < opens->count; i++)
        open_free(opens->items[i]);
    free(opens->items);
    *opens = (struct joint_opens){0};
}

bool joint_open_holds(const struct joint_open *open)
{
    return open->state != JOINT_STATE_REFUSED && open->state != JOINT_STATE_ABORTING &&
           open->state != JOINT_STATE_ABORTED &&
           !(open->state == JOINT_STATE_QUEUED && (open->withdrawn || open->lost_vote));
}

size_t joint_opens_undecided(const struct joint_opens *opens)
{
    size_t count = 0;
    for (size_t i = 0; i < opens->count; i++)
        count += opens->items[i]->tally->outcome == JOINT_UNDECIDED;
    return count;
}
