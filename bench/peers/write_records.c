/* Writes a stream of changes of orders to a topic.
 *   write_records BOOTSTRAP TOPIC FORM STREAM COUNT [EXPECTED]
 * records.h has the forms. STREAM says which changes:
 *   inserts     COUNT rows. Every hundredth has an id from 1 to COUNT/100. To count those tells
 *               cheaply how far a reader is.
 *   changes     COUNT inserts, updates and deletes of COUNT/5 orders
 *   refused     inserts. The middle one has a negative total, which a CHECK of the table refuses.
 *   unreadable  inserts. The value of the middle one is no JSON.
 * It prints how many rows there are at the end, and the sum of their column "version". It writes
 * these rows to the file EXPECTED: id|version|customer|state|total|note */
#include "../bench.h"
#include "records.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MARKED  100
#define ROUNDS  5
#define SCATTER 7919 /* a prime: neighbours in the log are not neighbours in the table */

struct stream {
    struct records *records;
    int64_t count;
    FILE *expected; /* NULL: not asked for */
    int64_t rows;
    int64_t version_sum;
};

static void expect_row(struct stream *stream, const struct order_change *change)
{
    const struct order *order = &change->order;
    stream->rows++;
    stream->version_sum += change->version;
    if (stream->expected != NULL)
        (void)fprintf(stream->expected, "%" PRId64 "|%" PRId64 "|%s|open|%s|%s\n", order->id,
                      change->version, order->customer, order->total, order->note);
}

static void write_inserts(struct stream *stream)
{
    struct order_change change = {.op = ORDER_CREATE};
    for (int64_t i = 1; i <= stream->count; i++) {
        change.version = i;
        order_fill(&change.order, i % MARKED == 0 ? i / MARKED : stream->count + i, 0);
        records_send(stream->records, &change);
        expect_row(stream, &change);
    }
}

/* The life of an order over the rounds: created; updated; deleted if its id is a multiple of 4;
 * created again; deleted if it is a multiple of 3. */
static enum order_op op_in(int round, int64_t id)
{
    if (round == 0 || (round == 3 && id % 4 == 0))
        return ORDER_CREATE;
    if ((round == 2 && id % 4 == 0) || (round == 4 && id % 3 == 0))
        return ORDER_DELETE;
    return ORDER_UPDATE;
}

static void write_changes(struct stream *stream)
{
    struct order_change change;
    int64_t orders = stream->count / ROUNDS;
    int64_t *version = bench_zeroed((size_t)(orders + 1) * sizeof *version);
    int64_t number = 0;
    for (int round = 0; round < ROUNDS; round++) {
        for (int64_t i = 0; i < orders; i++) {
            int64_t id = i * SCATTER % orders + 1;
            change = (struct order_change){.op = op_in(round, id), .version = ++number};
            order_fill(&change.order, id, (unsigned int)round);
            records_send(stream->records, &change);
            version[id] = number;
        }
    }
    for (int64_t id = 1; id <= orders; id++) {
        change = (struct order_change){.op = op_in(ROUNDS - 1, id), .version = version[id]};
        order_fill(&change.order, id, ROUNDS - 1);
        if (change.op != ORDER_DELETE)
            expect_row(stream, &change);
    }
    free(version);
}

static void write_bad(struct stream *stream, bool refused)
{
    struct order_change change = {.op = ORDER_CREATE};
    for (int64_t i = 1; i <= stream->count; i++) {
        bool bad = i == stream->count / 2;
        change.version = i;
        order_fill(&change.order, i, 0);
        if (bad && !refused) {
            records_send_garbage(stream->records, i);
            continue;
        }
        if (bad) {
            change.order.total_cents = -100;
            (void)strcpy(change.order.total, "-1.00");
        }
        records_send(stream->records, &change);
        if (!bad)
            expect_row(stream, &change);
    }
}

static void write_stream(struct stream *stream, const char *name)
{
    if (strcmp(name, "inserts") == 0)
        write_inserts(stream);
    else if (strcmp(name, "changes") == 0)
        write_changes(stream);
    else if (strcmp(name, "refused") == 0 || strcmp(name, "unreadable") == 0)
        write_bad(stream, strcmp(name, "refused") == 0);
    else
        bench_fail("%s: is not inserts, changes, refused or unreadable", name);
}

int main(int argc, char **argv)
{
    struct stream stream = {.count = argc >= 6 ? strtoll(argv[5], NULL, 10) : 0};
    if (stream.count < ROUNDS)
        bench_fail("write_records BOOTSTRAP TOPIC FORM STREAM COUNT [EXPECTED]");
    if (argc > 6 && (stream.expected = fopen(argv[6], "w")) == NULL)
        bench_fail("%s: cannot be written", argv[6]);
    stream.records = records_open(argv[1], argv[2], argv[3], "5");
    write_stream(&stream, argv[4]);
    int64_t bytes = records_mean_bytes(stream.records);
    records_close(stream.records);
    if (stream.expected != NULL && fclose(stream.expected) != 0)
        bench_fail("%s: cannot be written", argv[6]);
    printf("{\"events\": %" PRId64 ", \"value_bytes\": %" PRId64 ", \"rows\": %" PRId64
           ", \"version_sum\": %" PRId64 "}\n",
           stream.count, bytes, stream.rows, stream.version_sum);
    return 0;
}
