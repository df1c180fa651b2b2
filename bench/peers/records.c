/* Writes changes as Debezium's records, with or without their schema, or as Keepstep's. */
#include "records.h"
#include "../bench.h"
#include "../kafka.h"
#include "common/murmur2.h"
#include "envelope.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define FLUSH_MS   120000
#define ID_SIZE    40
#define KEY_SIZE   256
#define ROW_SIZE   1024
#define VALUE_SIZE 8192

struct chain {
    int64_t sequence; /* the last one in this partition */
    char id[ID_SIZE]; /* its event's */
};

struct records {
    rd_kafka_t *producer;
    const char *topic;
    bool keepstep;  /* the form; else Debezium's */
    bool described; /* Debezium's records carry their schema */
    int partitions;
    struct chain *chains; /* by partition */
    int64_t sent;
    int64_t bytes;
};

static const char ops[] = {[ORDER_CREATE] = 'c', [ORDER_UPDATE] = 'u', [ORDER_DELETE] = 'd'};
static const char *const types[] = {[ORDER_CREATE] = "order.created",
                                    [ORDER_UPDATE] = "order.updated",
                                    [ORDER_DELETE] = "order.deleted"};

static void delivered(rd_kafka_t *client, const rd_kafka_message_t *message, void *opaque)
{
    (void)client;
    (void)opaque;
    if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR)
        bench_fail("not delivered: %s", rd_kafka_err2str(message->err));
}

struct records *records_open(const char *bootstrap, const char *topic, const char *form,
                             const char *linger_ms)
{
    struct records *records = bench_zeroed(sizeof *records);
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    kafka_set(conf, "bootstrap.servers", bootstrap);
    kafka_set(conf, "enable.idempotence", "true");
    kafka_set(conf, "acks", "all");
    kafka_set(conf, "compression.type", "lz4");
    kafka_set(conf, "linger.ms", linger_ms);
    rd_kafka_conf_set_dr_msg_cb(conf, delivered);
    records->producer = kafka_new(RD_KAFKA_PRODUCER, conf);
    records->topic = topic;
    records->keepstep = strcmp(form, "keepstep") == 0;
    records->described = strcmp(form, "debezium") == 0;
    if (!records->keepstep && !records->described && strcmp(form, "bare") != 0)
        bench_fail("%s: is not debezium, bare or keepstep", form);
    records->partitions = kafka_partitions(records->producer, topic);
    records->chains = bench_zeroed((size_t)records->partitions * sizeof *records->chains);
    return records;
}

void records_close(struct records *records)
{
    if (rd_kafka_flush(records->producer, FLUSH_MS) != RD_KAFKA_RESP_ERR_NO_ERROR)
        bench_fail("not all records were acknowledged");
    rd_kafka_destroy(records->producer);
    free(records->chains);
    free(records);
}

void records_serve(struct records *records)
{
    (void)rd_kafka_poll(records->producer, 0);
}

int64_t records_mean_bytes(const struct records *records)
{
    return records->sent == 0 ? 0 : records->bytes / records->sent;
}

/* Takes the headers over. @param value NULL for a tombstone. */
static void produce(struct records *records, struct slice key, const char *value,
                    rd_kafka_headers_t *headers)
{
    rd_kafka_resp_err_t code = RD_KAFKA_RESP_ERR_NO_ERROR;
    size_t length = value == NULL ? 0 : strlen(value);
    for (;;) {
        code = rd_kafka_producev(records->producer, RD_KAFKA_V_TOPIC(records->topic),
                                 RD_KAFKA_V_PARTITION(murmur2_partition(key, records->partitions)),
                                 RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
                                 RD_KAFKA_V_KEY(key.data, key.length),
                                 RD_KAFKA_V_VALUE((void *)(uintptr_t)value, length),
                                 RD_KAFKA_V_HEADERS(headers), RD_KAFKA_V_END);
        if (code != RD_KAFKA_RESP_ERR__QUEUE_FULL)
            break;
        (void)rd_kafka_poll(records->producer, 10);
    }
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
        bench_fail("%s", rd_kafka_err2str(code));
    if (value != NULL) {
        records->sent++;
        records->bytes += (int64_t)length;
    }
}

/* Base64 of a decimal's digits as four bytes, the highest first, in two's complement. */
static void encode_decimal(int32_t number, char text[9])
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    uint64_t bits = (uint64_t)(uint32_t)number << 16;
    for (int i = 0; i < 8; i++)
        text[i] = digits[bits >> (42 - 6 * i) & 63];
    memcpy(text + 6, "==", 3);
}

static void write_row(char *row, const struct order_change *change, const char *total)
{
    const struct order *order = &change->order;
    (void)snprintf(row, ROW_SIZE,
                   "{\"id\":%" PRId64 ",\"version\":%" PRId64 ",\"customer\":\"%s\","
                   "\"state\":\"open\",\"total\":\"%s\",\"note\":\"%s\",\"created_at\":\"%s\"}",
                   order->id, change->version, order->customer, total, order->note,
                   order->created_at);
}

/* The row before a change is not known but for its key, as with PostgreSQL's default identity. */
static void write_key_row(char *row, int64_t id)
{
    (void)snprintf(row, ROW_SIZE,
                   "{\"id\":%" PRId64 ",\"version\":0,\"customer\":\"\",\"state\":\"\","
                   "\"total\":\"\",\"note\":\"\",\"created_at\":\"1970-01-01T00:00:00Z\"}",
                   id);
}

static struct slice write_key(char *text, size_t size, int64_t id, bool described)
{
    int length = snprintf(text, size, "%s{\"id\":%" PRId64 "}%s",
                          described ? ENVELOPE_KEY_START : "", id,
                          described ? ENVELOPE_KEY_END : "");
    return (struct slice){.data = text, .length = (size_t)length};
}

static void send_debezium(struct records *records, const struct order_change *change)
{
    char key[KEY_SIZE];
    char row[ROW_SIZE];
    char total[9];
    char value[VALUE_SIZE];
    bool is_delete = change->op == ORDER_DELETE;
    bool described = records->described;
    struct slice key_bytes = write_key(key, sizeof key, change->order.id, described);
    encode_decimal(change->order.total_cents, total);
    if (is_delete)
        write_key_row(row, change->order.id);
    else
        write_row(row, change, described ? total : change->order.total);
    (void)snprintf(value, sizeof value, "%s" ENVELOPE_PAYLOAD "%s",
                   described ? ENVELOPE_VALUE_START : "", is_delete ? row : "null",
                   is_delete ? "null" : row, change->version, change->version, ops[change->op],
                   described ? ENVELOPE_VALUE_END : "");
    produce(records, key_bytes, value, rd_kafka_headers_new(0));
    if (is_delete)
        produce(records, key_bytes, NULL, rd_kafka_headers_new(0));
}

static void add_header(rd_kafka_headers_t *headers, const char *name, const char *value)
{
    (void)rd_kafka_header_add(headers, name, -1, value, -1);
}

/* The headers that a relay writes. The event gets the next number of its partition. */
static rd_kafka_headers_t *number(struct chain *chain, const struct order_change *change)
{
    char sequence[24];
    rd_kafka_headers_t *headers = rd_kafka_headers_new(10);
    chain->sequence++;
    (void)snprintf(sequence, sizeof sequence, "%020" PRId64, chain->sequence);
    add_header(headers, "ce_specversion", "1.0");
    if (chain->sequence > 1)
        add_header(headers, "ce_previousid", chain->id);
    (void)snprintf(chain->id, sizeof chain->id, "01942f6e-0000-7000-8000-%012" PRIx64,
                   (uint64_t)change->version);
    add_header(headers, "ce_id", chain->id);
    add_header(headers, "ce_source", "shop");
    add_header(headers, "ce_type", types[change->op]);
    add_header(headers, "ce_time", change->order.created_at);
    add_header(headers, "content-type", "application/json");
    add_header(headers, "ce_protocol", "1");
    add_header(headers, "ce_sequence", sequence);
    add_header(headers, "ce_incarnation", "01942f6e-0000-7000-8000-000000000000");
    return headers;
}

static void send_keepstep(struct records *records, const struct order_change *change)
{
    char key[KEY_SIZE];
    char row[ROW_SIZE] = "null";
    char value[VALUE_SIZE];
    struct slice key_bytes = write_key(key, sizeof key, change->order.id, false);
    int32_t partition = murmur2_partition(key_bytes, records->partitions);
    if (change->op != ORDER_DELETE)
        write_row(row, change, change->order.total);
    (void)snprintf(value, sizeof value, "{\"op\":\"%c\",\"before\":null,\"after\":%s}",
                   ops[change->op], row);
    produce(records, key_bytes, value, number(&records->chains[partition], change));
}

void records_send(struct records *records, const struct order_change *change)
{
    if (records->keepstep)
        send_keepstep(records, change);
    else
        send_debezium(records, change);
}

void records_send_garbage(struct records *records, int64_t id)
{
    char key[KEY_SIZE];
    produce(records, write_key(key, sizeof key, id, records->described), "{",
            rd_kafka_headers_new(0));
}
