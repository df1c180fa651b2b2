/* A service with one entity type, and its relay in a thread, on a mock cluster. */
#ifndef TESTS_SUPPORT_RELAY_SHOP_H
#define TESTS_SUPPORT_RELAY_SHOP_H

#include "tests/support/sql.h"

#include "producer/relay/relay.h"

#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <pthread.h>

/** Copy it for a second relay of the same service. */
struct relay_shop {
    struct config config;
    struct config_entry entry; /* "order", with an integer id and a text name */
    struct text_pair kafka[2];
    int64_t lease_us;
    bool whole;                  /* it publishes its transactions whole */
    bool joint;                  /* and takes part in joint ones */
    struct config_entry both[2]; /* then: its type, and records of joint transactions */
    int32_t partitions;          /* 0: three, one where it is `whole` */
    struct entity_schema *schema;
    const char
        *path; /* of the SQLite file; NULL if relay_shop_prepare() was given another database */
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

/** Make all but the database, which must have its tables. */
void relay_shop_prepare(struct relay_shop *shop, const char *database, int32_t partitions);
/** Make it with an SQLite database of its own. */
void relay_shop_make(struct relay_shop *shop);
void relay_shop_done(struct relay_shop *shop);

void relay_shop_start(struct relay_shop *shop);
/** Stop the relay. The test fails if it ended with an error. */
void relay_shop_stop(struct relay_shop *shop);

/** Make the broker refuse the first batch that the relay sends, then its first record alone. To be
 * called before relay_shop_start(). */
void relay_shop_refuse_first(struct relay_shop *shop);

/** Put an order into the outbox of the SQLite database. Its key is {"id":7}, or 7 if `bare`. */
void relay_shop_write(const struct relay_shop *shop, int id, bool bare, const char *after);
/** Wait until a query on the SQLite database gives `rows`. */
void relay_shop_expect(const struct relay_shop *shop, const char *sql, const char *rows);
void relay_shop_expect_acknowledged(const struct relay_shop *shop, int count);

/** A slot of struct outbox_ops: nothing is paused. */
enum status relay_shop_nothing_paused(struct outbox *outbox, struct paused_types *ret_paused,
                                      struct error *err);

#endif
