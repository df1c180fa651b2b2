/* The records of a stream of changes in three forms:
 *   debezium   the envelope of Debezium's PostgreSQL connector, as Kafka Connect's JSON converter
 *              writes it by default: with its schema
 *   bare       the same without the schema (schemas.enable=false, decimal.handling.mode=string)
 *   keepstep   as Keepstep's relay writes it */
#ifndef BENCH_PEERS_RECORDS_H
#define BENCH_PEERS_RECORDS_H

#include "../orders.h"

#include <stdint.h>

enum order_op { ORDER_CREATE, ORDER_UPDATE, ORDER_DELETE };

/* One change of one order. */
struct order_change {
    enum order_op op;
    int64_t version; /* a column of the table; it says which change wrote the row */
    struct order order;
};

struct records;

/** Connect to a topic that exists. Exits on an error.
 * @param form one of the words above.
 * @param linger_ms how long records wait for others, as librdkafka takes it. */
struct records *records_open(const char *bootstrap, const char *topic, const char *form,
                             const char *linger_ms);

/** Wait until all records are acknowledged, and disconnect. Exits if one is not. */
void records_close(struct records *records);

/** Send a change to the partition of its key. In Debezium's form a tombstone follows a delete. */
void records_send(struct records *records, const struct order_change *change);

/** Send a value that is no JSON, with the key of this order. */
void records_send_garbage(struct records *records, int64_t id);

/** Serve delivery reports without waiting. */
void records_serve(struct records *records);

/** @return the mean size of the values that were sent. */
int64_t records_mean_bytes(const struct records *records);

#endif
