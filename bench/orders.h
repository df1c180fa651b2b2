/* The rows of the database benchmarks: orders of about 400 bytes; half of each hardly
 * compresses. */
#ifndef BENCH_ORDERS_H
#define BENCH_ORDERS_H

#include <stdint.h>
#include <stdio.h>

#define ORDER_COLUMNS                                                                              \
    "id bigint PRIMARY KEY, customer text, state text, total numeric, note text, "                 \
    "created_at timestamptz"

struct order {
    int64_t id;
    int32_t total_cents;
    int64_t created_us; /* since 1970 */
    char customer[24];
    char total[16];
    char created_at[32];
    char note[256];
};

/** Fill the order with this number; another `round` gives another version of the same row. */
static inline void order_fill(struct order *order, int64_t id, unsigned int round)
{
    uint64_t random = (uint64_t)id * 0x9e3779b97f4a7c15u + round;
    int length = 0;
    order->id = id;
    order->total_cents = (int32_t)(id % 90000 + round);
    order->created_us = (int64_t)1795426920 * 1000000 + id % 1000000;
    (void)snprintf(order->customer, sizeof order->customer, "customer %d", (int)(id % 5000));
    (void)snprintf(order->total, sizeof order->total, "%d.%02d", order->total_cents / 100,
                   order->total_cents % 100);
    (void)snprintf(order->created_at, sizeof order->created_at, "2026-11-23T09:42:00.%06dZ",
                   (int)(id % 1000000));
    for (int i = 0; i < 10; i++) {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        length += snprintf(order->note + length, sizeof order->note - (size_t)length, "%016llx",
                           (unsigned long long)random);
    }
    (void)snprintf(order->note + length, sizeof order->note - (size_t)length,
                   " to be left at the door where nobody answers the bell, twice");
}

#endif
