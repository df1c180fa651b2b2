/* A service with one entity type and a relay in a thread of its own, beside a mock cluster. */
#ifndef TESTS_SUPPORT_RELAY_SHOP_H
#define TESTS_SUPPORT_RELAY_SHOP_H

#include "tests/support/sql.h"

#include "producer/relay/relay.h"

#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <pthread.h>

/** Copied for a second relay of the same service. */
struct relay_shop {
    struct config config;
    struct config_entry entry; /* "order", with an integer id and a text name */
    struct text_pair kafka[2];
    int64_t lease_us;
    struct entity_schema *schema;
    const char
        *path; /* of the SQLite file; NULL: relay_shop_prepare() was given another database */
    rd_kafka_t *handle;
    rd_kafka_mock_cluster_t *cluster;
    struct relay_metrics metrics;
    atomic_bool stop;
    struct error err;
    enum status status;
    pthread_t thread;
};

/** True in the threads of relays. */
extern _Thread_local bool relay_shop_is_relay;

/** Everything but the database, whose tables are there. */
void relay_shop_prepare(struct relay_shop *shop, const char *database, int32_t partitions);
/** With an SQLite database of its own and three partitions. */
void relay_shop_make(struct relay_shop *shop);
void relay_shop_done(struct relay_shop *shop);

void relay_shop_start(struct relay_shop *shop);
/** Fails where the relay ended with an error. */
void relay_shop_stop(struct relay_shop *shop);

/** Put an order into the outbox of the SQLite database. Its key is {"id":7}, or the bare 7. */
void relay_shop_write(const struct relay_shop *shop, int id, bool bare, const char *after);
/** Wait until a query of the SQLite database answers `rows`. */
void relay_shop_expect(const struct relay_shop *shop, const char *sql, const char *rows);
void relay_shop_expect_acknowledged(const struct relay_shop *shop, int count);

#endif
