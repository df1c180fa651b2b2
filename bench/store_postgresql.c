/* The PostgreSQL store alone, as the applier drives it: fence, run, sequence, commit.
 *
 *   store_postgresql URL EVENTS EVENTS_PER_TRANSACTION sequence|keys
 *
 * The same rows as bare_postgresql's; with `keys` each event claims its idempotency key, as one
 * without a sequence does. The second of two rounds counts. */
#include "bench.h"
#include "orders.h"

#include "consumer/store.h"

#include <stdlib.h>
#include <string.h>

static struct column columns[] = {
    {.name = (char[]){"id"}, .type = COLUMN_INTEGER, .is_key = true},
    {.name = (char[]){"customer"}, .type = COLUMN_TEXT},
    {.name = (char[]){"state"}, .type = COLUMN_TEXT},
    {.name = (char[]){"total"}, .type = COLUMN_DECIMAL},
    {.name = (char[]){"note"}, .type = COLUMN_TEXT},
    {.name = (char[]){"created_at"}, .type = COLUMN_DATE_TIME},
};
#define COLUMNS (sizeof columns / sizeof columns[0])
static size_t key_columns[] = {0};
static const struct entity_schema schema = {.entity_type = (char[]){"order"},
                                            .columns = columns,
                                            .column_count = COLUMNS,
                                            .key_columns = key_columns,
                                            .key_count = 1};
static const struct config_entry entry = {.entity_type = (char[]){"order"},
                                          .table = (char[]){"orders"}};
static const struct mapping mapping = {.schema = &schema, .entry = &entry};
static const struct store_ops *const ops = &store_postgresql_ops;

struct event {
    struct order order;
    struct value values[COLUMNS];
    struct change change;
    char key[32];
    char id[40];
};

static struct error err;

static void check(enum status status)
{
    if (status != STATUS_OK)
        bench_fail("%s: %s", status_name(status), err.text);
}

static void event_fill(struct event *event, int64_t id, unsigned int round)
{
    const struct order *order = &event->order;
    order_fill(&event->order, id, round);
    (void)snprintf(event->key, sizeof event->key, "{\"id\":%lld}", (long long)id);
    (void)snprintf(event->id, sizeof event->id, "01942f6e-0000-7000-%04x-%012llx", round,
                   (unsigned long long)id);
    const char *const texts[] = {order->customer, "shipped", order->total, order->note,
                                 order->created_at};
    event->values[0] = (struct value){.kind = VALUE_INTEGER, .integer = id};
    for (size_t i = 1; i < COLUMNS; i++)
        event->values[i] = (struct value){.kind = VALUE_TEXT, .text = slice_of(texts[i - 1])};
    event->change = (struct change){.op = CHANGE_UPDATE,
                                    .entity_type = slice_of("order"),
                                    .entity_key = slice_of(event->key),
                                    .schema = &schema,
                                    .values = event->values};
}

static void transaction(struct store *store, struct partition_state *owned,
                        const struct event *events, size_t count, bool keys)
{
    struct sequence_state sequence = {.source = "shop", .incarnation = "i", .base = 1};
    struct fence fence = {.topic = owned->topic,
                          .old_offset = owned->next_offset,
                          .new_offset = owned->next_offset + (int64_t)count,
                          .epoch = owned->epoch,
                          .anchor_offset = owned->next_offset,
                          .anchor_id = "anchor"};
    const struct change **changes = bench_allocate(count * sizeof *changes);
    struct key_claim *claims = bench_allocate(count * sizeof *claims);
    size_t failed = 0;
    for (size_t i = 0; i < count; i++) {
        changes[i] = &events[i].change;
        claims[i] = (struct key_claim){.source = slice_of("shop"), .id = slice_of(events[i].id)};
    }
    check(ops->begin(store, &fence, 1, &err));
    if (keys)
        check(ops->claim_keys(store, claims, count, &err));
    check(ops->apply(store, &mapping, changes, count, &failed, &err));
    sequence.last = (uint64_t)fence.new_offset;
    if (!keys)
        check(ops->record_sequences(store, owned->topic, 0, &sequence, 1, &err));
    check(ops->commit(store, false, &err));
    owned->next_offset = fence.new_offset;
    free(changes);
    free(claims);
}

int main(int argc, char **argv)
{
    if (argc != 5)
        bench_fail("store_postgresql URL EVENTS EVENTS_PER_TRANSACTION sequence|keys");
    size_t count = strtoul(argv[2], NULL, 10);
    size_t part = strtoul(argv[3], NULL, 10);
    struct event *events = bench_allocate(count * sizeof *events);
    struct store_options options = {.path = argv[1], .service = "billing", .install = true};
    struct partition_state owned = {.topic = "order", .token = "t"};
    struct store *store = NULL;
    double seconds = 0;
    check(ops->open(&options, &store, &err));
    check(ops->prepare(store, &mapping, &err));
    check(ops->take(store, &owned, &err));
    for (unsigned int round = 0; round < 2; round++) {
        for (size_t i = 0; i < count; i++)
            event_fill(&events[i], (int64_t)i, round);
        int64_t started = bench_now_us();
        for (size_t i = 0; i < count; i += part)
            transaction(store, &owned, &events[i], count - i < part ? count - i : part,
                        strcmp(argv[4], "keys") == 0);
        seconds = (double)(bench_now_us() - started) / 1e6;
    }
    partition_state_done(&owned);
    ops->close(store);
    free(events);
    printf("{\"events\": %zu, \"seconds\": %.3f, \"events_per_second\": %.0f}\n", count, seconds,
           (double)count / seconds);
    return 0;
}
