/* Writes rows and records, and reads a log to its end. */
#include "tests/support/relay_log.h"

#include "common/buffer.h"
#include "common/clock.h"

#define LOG_BYTES_MAX ((size_t)4 * 1024 * 1024)
#define LIMIT_MS      60000

static void append_write(const struct relay_write *write, bool first, struct buffer *sql)
{
    buffer_append_format(sql,
                         "%s('order','{\"id\":%d}','order.updated','{\"op\":\"u\",\"before\":null,"
                         "\"after\":{\"id\":%d,\"name\":%s}}','%s')",
                         first ? "" : ",", write->id, write->id, write->name,
                         write->changeset == NULL ? "" : write->changeset);
}

void relay_log_write(const struct relay_shop *shop, const struct relay_write *writes, size_t count)
{
    struct buffer sql;
    buffer_init(&sql, LOG_BYTES_MAX);
    buffer_append_text(&sql,
                       "INSERT INTO outbox (aggregatetype, aggregateid, type, payload, changeset) "
                       "VALUES ");
    for (size_t i = 0; i < count; i++)
        append_write(&writes[i], i == 0, &sql);
    (void)sqlite_text(shop->path, buffer_text(&sql));
    buffer_done(&sql);
}

static const char *header_of(const rd_kafka_message_t *message, const char *name)
{
    rd_kafka_headers_t *headers = NULL;
    const void *value = NULL;
    size_t size = 0;
    if (rd_kafka_message_headers(message, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR ||
        rd_kafka_header_get_last(headers, name, &value, &size) != RD_KAFKA_RESP_ERR_NO_ERROR)
        return "-";
    return test_format("%.*s", (int)size, (const char *)value);
}

/* What a reader says of a connection that it makes anew is no end of the log.
 * @return NULL where none came in time, with what the reader said last. The caller destroys it. */
static rd_kafka_message_t *next_record(rd_kafka_t *reader, const char **ret_said)
{
    int64_t deadline_us = clock_monotonic_us() + (int64_t)LIMIT_MS * 1000;
    *ret_said = "nothing came";
    while (clock_monotonic_us() < deadline_us) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(reader, 100);
        if (message != NULL && message->err == RD_KAFKA_RESP_ERR_NO_ERROR)
            return message;
        if (message != NULL) {
            *ret_said = test_format("%s", rd_kafka_message_errstr(message));
            rd_kafka_message_destroy(message);
        }
    }
    return NULL;
}

const char *relay_log_text(const struct relay_shop *shop, int partition, int count)
{
    char text[512];
    struct buffer out;
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    buffer_init(&out, LOG_BYTES_MAX);
    (void)rd_kafka_conf_set(conf, "bootstrap.servers", shop->kafka[0].value, text, sizeof text);
    (void)rd_kafka_conf_set(conf, "group.id", "t", text, sizeof text);
    rd_kafka_t *reader = rd_kafka_new(RD_KAFKA_CONSUMER, conf, text, sizeof text);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, "order", partition)->offset = 0;
    (void)rd_kafka_assign(reader, list);
    for (int i = 0; i < count; i++) {
        const char *said = NULL;
        rd_kafka_message_t *message = next_record(reader, &said);
        if (message == NULL)
            test_fail("the log has %d records, not %d (%s):\n%s", i, count, said,
                      buffer_text(&out));
        int id = atoi((const char *)message->key + strlen("{\"id\":"));
        bool is_void = strcmp(header_of(message, "ce_kind"), "void") == 0;
        const char *changeset = header_of(message, "ce_changeset");
        assert_true(strcmp(changeset, "-") == 0 || strlen(changeset) == 20);
        buffer_append_format(
            &out, "%s %llu %s\n", is_void ? "void" : test_format("%d", id),
            strtoull(header_of(message, "ce_sequence"), NULL, 10),
            strcmp(changeset, "-") == 0 ? "-" : test_format("%llu", strtoull(changeset, NULL, 10)));
        rd_kafka_message_destroy(message);
    }
    rd_kafka_topic_partition_list_destroy(list);
    (void)rd_kafka_consumer_close(reader);
    rd_kafka_destroy(reader);
    const char *log = test_format("%s", buffer_text(&out));
    buffer_done(&out);
    return log;
}

void relay_log_expect_published(struct relay_shop *shop, const struct relay_write *writes,
                                size_t count, const char *text)
{
    relay_log_write(shop, writes, count);
    relay_shop_start(shop);
    relay_shop_expect_acknowledged(shop, (int)count);
    assert_string_equal(relay_log_text(shop, 0, (int)count), text);
}

const char *relay_log_id(const struct relay_shop *shop, int position)
{
    return test_format("%.36s",
                       sqlite_text(shop->path, test_format("SELECT event_id('shop', position, "
                                                           "created_at) FROM outbox WHERE position "
                                                           "= %d",
                                                           position)));
}

void relay_log_append(const struct relay_shop *shop, const char *source, int position, int end)
{
    char text[512];
    const char *values[][2] = {
        {"ce_specversion", "1.0"},
        {"ce_id", relay_log_id(shop, position)},
        {"ce_source", source},
        {"ce_type", "order.updated"},
        {"ce_sequence", test_format("%020d", position)},
        {"ce_changeset", test_format("%020d", end)},
        {"ce_incarnation",
         test_format("%.36s", sqlite_text(shop->path, "SELECT incarnation FROM keepstep_relay"))},
        {"ce_protocol", "1"},
        {"ce_previousid", position == 1 ? "" : relay_log_id(shop, position - 1)}};
    const char *payload = sqlite_text(
        shop->path, test_format("SELECT payload FROM outbox WHERE position = %d", position));
    const char *key = test_format("{\"id\":%d}", position);
    rd_kafka_headers_t *headers = rd_kafka_headers_new(9);
    for (size_t i = 0; i < (position == 1 ? 8 : 9); i++)
        (void)rd_kafka_header_add(headers, values[i][0], -1, values[i][1], -1);
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    (void)rd_kafka_conf_set(conf, "bootstrap.servers", shop->kafka[0].value, text, sizeof text);
    rd_kafka_t *producer = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof text);
    assert_int_equal(
        rd_kafka_producev(producer, RD_KAFKA_V_TOPIC("order"), RD_KAFKA_V_PARTITION(0),
                          RD_KAFKA_V_KEY(key, strlen(key)),
                          RD_KAFKA_V_VALUE((void *)(uintptr_t)payload, strcspn(payload, "\n")),
                          RD_KAFKA_V_HEADERS(headers), RD_KAFKA_V_END),
        RD_KAFKA_RESP_ERR_NO_ERROR);
    assert_int_equal(rd_kafka_flush(producer, LIMIT_MS), RD_KAFKA_RESP_ERR_NO_ERROR);
    rd_kafka_destroy(producer);
}
