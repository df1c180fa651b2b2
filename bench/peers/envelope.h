/* The texts around a row of "orders" in Debezium's records: the schema of key and value as Kafka
 * Connect's JSON converter writes it, and the envelope as Debezium's PostgreSQL connector fills it.
 */
#ifndef BENCH_PEERS_ENVELOPE_H
#define BENCH_PEERS_ENVELOPE_H

#define ENVELOPE_KEY_START                                                                         \
    "{\"schema\":{\"type\":\"struct\",\"fields\":["                                                \
    "{\"type\":\"int64\",\"optional\":false,\"field\":\"id\"}"                                     \
    "],\"optional\":false,\"name\":\"shop.public.orders.Key\"},\"payload\":"
#define ENVELOPE_KEY_END "}"

#define ENVELOPE_ROW(field)                                                                        \
    "{\"type\":\"struct\",\"fields\":["                                                            \
    "{\"type\":\"int64\",\"optional\":false,\"field\":\"id\"},"                                    \
    "{\"type\":\"int64\",\"optional\":false,\"field\":\"version\"},"                               \
    "{\"type\":\"string\",\"optional\":false,\"field\":\"customer\"},"                             \
    "{\"type\":\"string\",\"optional\":false,\"field\":\"state\"},"                                \
    "{\"type\":\"bytes\",\"optional\":false,"                                                      \
    "\"name\":\"org.apache.kafka.connect.data.Decimal\",\"version\":1,"                            \
    "\"parameters\":{\"scale\":\"2\",\"connect.decimal.precision\":\"12\"},"                       \
    "\"field\":\"total\"},"                                                                        \
    "{\"type\":\"string\",\"optional\":false,\"field\":\"note\"},"                                 \
    "{\"type\":\"string\",\"optional\":false,"                                                     \
    "\"name\":\"io.debezium.time.ZonedTimestamp\",\"version\":1,\"field\":\"created_at\"}"         \
    "],\"optional\":true,\"name\":\"shop.public.orders.Value\",\"field\":\"" field "\"}"

#define ENVELOPE_SOURCE                                                                            \
    "{\"type\":\"struct\",\"fields\":["                                                            \
    "{\"type\":\"string\",\"optional\":false,\"field\":\"version\"},"                              \
    "{\"type\":\"string\",\"optional\":false,\"field\":\"connector\"},"                            \
    "{\"type\":\"string\",\"optional\":false,\"field\":\"name\"},"                                 \
    "{\"type\":\"int64\",\"optional\":false,\"field\":\"ts_ms\"},"                                 \
    "{\"type\":\"string\",\"optional\":true,\"name\":\"io.debezium.data.Enum\",\"version\":1,"     \
    "\"parameters\":{\"allowed\":\"true,first,first_in_data_collection,"                           \
    "last_in_data_collection,last,false,incremental\"},"                                           \
    "\"default\":\"false\",\"field\":\"snapshot\"},"                                               \
    "{\"type\":\"string\",\"optional\":false,\"field\":\"db\"},"                                   \
    "{\"type\":\"string\",\"optional\":true,\"field\":\"sequence\"},"                              \
    "{\"type\":\"int64\",\"optional\":true,\"field\":\"ts_us\"},"                                  \
    "{\"type\":\"int64\",\"optional\":true,\"field\":\"ts_ns\"},"                                  \
    "{\"type\":\"string\",\"optional\":false,\"field\":\"schema\"},"                               \
    "{\"type\":\"string\",\"optional\":false,\"field\":\"table\"},"                                \
    "{\"type\":\"int64\",\"optional\":true,\"field\":\"txId\"},"                                   \
    "{\"type\":\"int64\",\"optional\":true,\"field\":\"lsn\"},"                                    \
    "{\"type\":\"int64\",\"optional\":true,\"field\":\"xmin\"}"                                    \
    "],\"optional\":false,\"name\":\"io.debezium.connector.postgresql.Source\","                   \
    "\"field\":\"source\"}"

#define ENVELOPE_TRANSACTION                                                                       \
    "{\"type\":\"struct\",\"fields\":["                                                            \
    "{\"type\":\"string\",\"optional\":false,\"field\":\"id\"},"                                   \
    "{\"type\":\"int64\",\"optional\":false,\"field\":\"total_order\"},"                           \
    "{\"type\":\"int64\",\"optional\":false,\"field\":\"data_collection_order\"}"                  \
    "],\"optional\":true,\"name\":\"event.block\",\"version\":1,\"field\":\"transaction\"}"

#define ENVELOPE_VALUE_START                                                                       \
    "{\"schema\":{\"type\":\"struct\",\"fields\":[" ENVELOPE_ROW("before") "," ENVELOPE_ROW(       \
        "after") "," ENVELOPE_SOURCE "," ENVELOPE_TRANSACTION ","                                  \
                 "{\"type\":\"string\",\"optional\":false,\"field\":\"op\"},"                      \
                 "{\"type\":\"int64\",\"optional\":true,\"field\":\"ts_ms\"},"                     \
                 "{\"type\":\"int64\",\"optional\":true,\"field\":\"ts_us\"},"                     \
                 "{\"type\":\"int64\",\"optional\":true,\"field\":\"ts_ns\"}"                      \
                 "],\"optional\":false,\"name\":\"shop.public.orders.Envelope\",\"version\":2},"   \
                 "\"payload\":"

/* To be printed with: the row before or "null", the row after or "null", the change's number (as
 * its transaction and its place in the log), and the operation. */
#define ENVELOPE_PAYLOAD                                                                           \
    "{\"before\":%s,\"after\":%s,"                                                                 \
    "\"source\":{\"version\":\"3.5.0.Final\",\"connector\":\"postgresql\",\"name\":\"shop\","      \
    "\"ts_ms\":1795426920000,\"snapshot\":\"false\",\"db\":\"shop\","                              \
    "\"sequence\":\"[\\\"24023128\\\",\\\"24023128\\\"]\",\"ts_us\":1795426920000000,"             \
    "\"ts_ns\":1795426920000000000,\"schema\":\"public\",\"table\":\"orders\","                    \
    "\"txId\":%" PRId64 ",\"lsn\":%" PRId64 ",\"xmin\":null},"                                     \
    "\"transaction\":null,\"op\":\"%c\",\"ts_ms\":1795426920001,\"ts_us\":1795426920001000,"       \
    "\"ts_ns\":1795426920001000000}"
#define ENVELOPE_VALUE_END "}"

#endif
