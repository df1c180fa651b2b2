/* Looks in the log for a change set without its end. */
#include "operate/status_sets.h"

#include "common/clock.h"
#include "consumer/feed/tail.h"
#include "operate/member.h"

#include <inttypes.h>

#define SETS_RECORDS_MAX 20000
#define SETS_LIMIT_US    3000000
#define SETS_POLL_MS     100
#define SETS_ARENA_BYTES ((size_t)64 << 20) /* of one record */

static const struct entity_schema *find_no_schema(void *context, struct slice entity_type)
{
    (void)context;
    (void)entity_type;
    return NULL;
}

/** The change set that a copy waits for. */
struct open_set {
    int64_t size;    /* its records; 0: none is open */
    int64_t records; /* that are in the log */
    int64_t age_s;   /* since the first of them was written */
};

/** What was read of the set at the position. */
struct set_look {
    struct open_set set;
    uint64_t end;
    bool is_over; /* there is none, or its end is there */
};

/* A record without a set may stand in front of one, or between its records. */
static void look_at(struct set_look *look, const struct change *change)
{
    if (change->changeset_end == 0)
        return;
    if (look->set.size == 0) {
        look->end = change->changeset_end;
        look->set.size = (int64_t)(change->changeset_end - change->sequence + 1);
        look->set.age_s = (clock_wall_us() - change->record.time_us) / 1000000;
    }
    look->set.records += change->changeset_end == look->end;
    if (change->sequence == look->end)
        look->set = (struct open_set){.size = 0};
}

static void look_on(struct set_look *look, struct tail *tail)
{
    struct arena arena;
    struct error ignored = ERROR_INIT;
    const struct decoder decoder = {{find_no_schema, NULL}, &arena, NULL};
    int64_t until_us = clock_monotonic_us() + SETS_LIMIT_US;
    arena_init(&arena, SETS_ARENA_BYTES);
    while (!tail_is_at_end(tail) && !look->is_over) {
        struct tail_record read;
        struct change change = {.changeset_end = 0};
        look->is_over = tail_poll(tail, SETS_POLL_MS, &read, &ignored) != STATUS_OK ||
                        clock_monotonic_us() > until_us;
        if (look->is_over || read.record.topic == NULL)
            continue;
        arena_reset(&arena);
        look->is_over = record_decode(&read.record, &decoder, &change, &ignored) == STATUS_FATAL;
        look_at(look, &change);
    }
    arena_done(&arena);
}

static struct open_set find_open_set(const struct config *config,
                                     const struct partition_state *state)
{
    struct tail *tail = NULL;
    struct error ignored = ERROR_INIT;
    struct set_look look = {.end = 0};
    const struct tail_options options = {.config = config,
                                         .topic = state->topic,
                                         .partition = state->partition,
                                         .start = {TAIL_OFFSET, state->next_offset}};
    if (tail_open(&options, &tail, &ignored) == STATUS_OK)
        look_on(&look, tail);
    tail_close(tail);
    return look.is_over ? (struct open_set){.size = 0} : look.set;
}

/* An agent that is far behind waits for nothing, and one that stands still reads nothing. */
void status_open_set_append(const struct config *config, const struct partition_state *state,
                            int64_t end, struct buffer *text, struct buffer *json)
{
    int64_t behind = end - state->next_offset;
    if (behind <= 0 || behind > SETS_RECORDS_MAX || state->stopped[0] != '\0')
        return;
    struct open_set set = find_open_set(config, state);
    if (set.size == 0)
        return;
    buffer_append_format(
        text, ", a change set waits for %" PRId64 " of its %" PRId64 " records since %" PRId64 " s",
        set.size - set.records, set.size, set.age_s);
    member_begin(json, "open_changeset", "{");
    member_number(json, "changeset_size", set.size);
    member_number(json, "arrived", set.records);
    member_number(json, "age_s", set.age_s);
    buffer_append_text(json, "}");
}
