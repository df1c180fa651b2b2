/* Lists every librdkafka property and whether it may be set, for check and documentation. */
#include "schemas/config/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SESSION_DEFAULT_MS 10000

/* Reasons that several properties share. */
#define WHY_POSITION  "positions are kept in the database"
#define WHY_CALLBACK  "it is a function in a program, which a configuration file cannot name"
#define WHY_DELIVERY  "delivery is retried for ever"
#define WHY_LEGACY    "it is for the old consumer without a group, which Keepstep does not use"
#define WHY_PARTITION "the relay computes each record's partition, as all writers of a topic must"
#define WHY_NO_TX     "Keepstep does not use Kafka's transactions"
#define WHY_VERSION   "Kafka 0.11 or later is needed, and the broker itself tells its version"
#define WHY_SHARE     "the agent is not a share consumer: records have an order"
#define WHY_PROTOCOL                                                                               \
    "it is always the classic one: with `consumer` (KIP-848) the coordinator refuses the "         \
    "successor of a killed agent under its name until its session has run out"
#define WHY_FOREIGN "foreign code could see and change records"

#define ALLOWED(property)                                                                          \
    {                                                                                              \
        .name = (property), .permission = CONFIG_KAFKA_ALLOWED                                     \
    }
#define ALIAS(property, of)                                                                        \
    {                                                                                              \
        .name = (property), .same_as = (of)                                                        \
    }
#define REFUSED(property, reason)                                                                  \
    {                                                                                              \
        .name = (property), .permission = CONFIG_KAFKA_REFUSED, .why = (reason)                    \
    }
#define OURS(property, value, reason)                                                              \
    {                                                                                              \
        .name = (property), .permission = CONFIG_KAFKA_OURS, .text = (value), .why = (reason)      \
    }
#define BOUNDED(property, least, most, reason)                                                     \
    {                                                                                              \
        .name = (property), .permission = CONFIG_KAFKA_BOUNDED, .min = (least), .max = (most),     \
        .why = (reason)                                                                            \
    }

const struct config_kafka_property config_kafka_properties[] = {
    /* Set by Keepstep. */
    OURS("acks", "all", "it is always all"),
    ALIAS("request.required.acks", "acks"),
    OURS("enable.idempotence", "true", "it is always on"),
    OURS("enable.gapless.guarantee", "true", "it is always on"),
    OURS("message.timeout.ms", "0", WHY_DELIVERY),
    ALIAS("delivery.timeout.ms", "message.timeout.ms"),
    OURS("message.send.max.retries", "for ever", WHY_DELIVERY),
    ALIAS("retries", "message.send.max.retries"),
    OURS("message.max.bytes", "`limits.message_bytes` and its frame", "use `limits.message_bytes`"),
    OURS("queue.buffering.max.messages", "100000", "the relay itself bounds the records under way"),
    OURS("queue.buffering.max.kbytes", "1048576",
         "the relay itself bounds the records under way; a record that never fits would block all "
         "others"),
    OURS("enable.auto.commit", "false", WHY_POSITION),
    ALIAS("auto.commit.enable", "enable.auto.commit"),
    OURS("enable.auto.offset.store", "false", WHY_POSITION),
    OURS("auto.commit.interval.ms", "never", WHY_POSITION),
    OURS("auto.offset.reset", "error", "use `start:` in the entry"),
    OURS("isolation.level", "read_committed", "only committed records are read"),
    OURS("enable.partition.eof", "true",
         "the position passes the control records at a partition's end"),
    OURS("partition.assignment.strategy", "range",
         "the agent drops all partitions before it takes others"),
    OURS("group.instance.id", "group and `instance:`", "use `instance:`"),
    OURS("group.protocol", "classic", WHY_PROTOCOL),
    OURS("group.protocol.type", "consumer", "other kinds of groups have no partitions"),
    OURS("allow.auto.create.topics", "false",
         "the relay makes the topics; a broker would give them other partitions and settings"),
    /* Bounded. Outside the bounds a rule would be broken, or nothing would work. */
    BOUNDED("max.in.flight.requests.per.connection", 1, 5,
            "an idempotent producer keeps the order of at most five requests"),
    ALIAS("max.in.flight", "max.in.flight.requests.per.connection"),
    BOUNDED("session.timeout.ms", 1000, 300000,
            "the partitions of an agent that was killed wait that long; default 10000"),
    BOUNDED("heartbeat.interval.ms", 100, 100000, "several must fit into `session.timeout.ms`"),
    BOUNDED("max.poll.interval.ms", 120000, 86400000,
            "the group must wait for a statement of the database, which may take 90 s"),
    BOUNDED("topic.metadata.refresh.interval.ms", 100, 3600000,
            "a topic that grows or was made anew must be noticed; default 30000 in the agent"),
    BOUNDED("socket.timeout.ms", 1000, 300000, "a broker must have time to answer"),
    BOUNDED("socket.max.fails", 1, 1000000, "a connection without answers must be closed"),
    BOUNDED("request.timeout.ms", 1000, 300000, "a broker must have time to acknowledge"),
    BOUNDED("receive.message.max.bytes", 10000000, 2147483647,
            "a larger answer would be requested again and again"),
    BOUNDED("fetch.wait.max.ms", 0, 500, "a broker answers other requests only after that"),
    BOUNDED("fetch.max.bytes", 1024, 268435456, "memory is bounded; default 2097152"),
    BOUNDED("fetch.message.max.bytes", 1024, 268435456, "memory is bounded; default 131072"),
    ALIAS("max.partition.fetch.bytes", "fetch.message.max.bytes"),
    BOUNDED("queued.min.messages", 1, 1000000, "memory is bounded; default 4000"),
    BOUNDED("queued.max.messages.kbytes", 64, 262144, "memory is bounded; default 4096"),
    BOUNDED("queue.buffering.max.ms", 0, 1000,
            "an event is sent that much later; default 0: records gather while requests are under "
            "way. Raise it where fewer and larger requests count for more than delay: a busy "
            "broker, or one that is far away"),
    ALIAS("linger.ms", "queue.buffering.max.ms"),
    BOUNDED(
        "batch.size", 1, 1000000,
        "a topic refuses a record or a whole batch that is larger than its `max.message.bytes`; of "
        "partitions with batches larger than its `fetch.message.max.bytes` an agent reads one at a "
        "time; default 131072"),
    BOUNDED("retry.backoff.ms", 1, 60000, "while a broker restarts, events wait that long"),
    BOUNDED("reconnect.backoff.ms", 0, 60000, "after an outage copies lag that much longer"),
    BOUNDED("reconnect.backoff.max.ms", 0, 600000, "after an outage copies lag that much longer"),
    {.name = "api.version.request",
     .permission = CONFIG_KAFKA_BOUNDED,
     .text = "true",
     .why = WHY_VERSION},
    /* Refused. */
    REFUSED("delivery.report.only.error", "without reports no row would ever be acknowledged"),
    REFUSED("produce.offset.report", "the relay needs each record's offset, and gets it"),
    REFUSED("queuing.strategy", "records go out in their order"),
    REFUSED("partitioner", WHY_PARTITION),
    REFUSED("partitioner_cb", WHY_CALLBACK),
    REFUSED("msg_order_cmp", WHY_CALLBACK),
    REFUSED("transactional.id", WHY_NO_TX),
    REFUSED("transaction.timeout.ms", WHY_NO_TX),
    REFUSED("group.remote.assignor", WHY_PROTOCOL),
    REFUSED("max.poll.records", WHY_SHARE),
    REFUSED("share.acknowledgement.mode", WHY_SHARE),
    REFUSED("consume.callback.max.messages", "messages are read one by one"),
    REFUSED("offset.store.method", WHY_LEGACY),
    REFUSED("offset.store.path", WHY_LEGACY),
    REFUSED("offset.store.sync.interval.ms", WHY_LEGACY),
    REFUSED("topic.blacklist", "a topic would be ignored silently"),
    REFUSED("api.version.fallback.ms", WHY_VERSION),
    REFUSED("broker.version.fallback", WHY_VERSION),
    REFUSED("enabled_events", "the relay would not get its delivery reports"),
    REFUSED("log.queue", "Keepstep does not read that queue: the library's warnings would be lost"),
    REFUSED("statistics.interval.ms", "Keepstep does not read them; its numbers are at /metrics"),
    REFUSED("internal.termination.signal", "Keepstep takes some signals as the command to end"),
    REFUSED("plugin.library.paths", WHY_FOREIGN),
    REFUSED("interceptors", WHY_FOREIGN),
    REFUSED("builtin.features", "it tells what the library supports, and cannot be set"),
    REFUSED("test.mock.num.brokers", "use `keepstep broker`"),
    REFUSED("test.mock.broker.rtt", "it is for the library's own tests"),
    REFUSED("ut_handle_ProduceResponse", WHY_CALLBACK),
    REFUSED("error_cb", WHY_CALLBACK),
    REFUSED("throttle_cb", WHY_CALLBACK),
    REFUSED("stats_cb", WHY_CALLBACK),
    REFUSED("log_cb", WHY_CALLBACK),
    REFUSED("background_event_cb", WHY_CALLBACK),
    REFUSED("socket_cb", WHY_CALLBACK),
    REFUSED("connect_cb", WHY_CALLBACK),
    REFUSED("closesocket_cb", WHY_CALLBACK),
    REFUSED("open_cb", WHY_CALLBACK),
    REFUSED("resolve_cb", WHY_CALLBACK),
    REFUSED("opaque", WHY_CALLBACK),
    REFUSED("default_topic_conf", WHY_CALLBACK),
    REFUSED("ssl_engine_callback_data", WHY_CALLBACK),
    REFUSED("ssl.certificate.verify_cb", WHY_CALLBACK),
    REFUSED("oauthbearer_token_refresh_cb", WHY_CALLBACK),
    REFUSED("consume_cb", WHY_CALLBACK),
    REFUSED("rebalance_cb", WHY_CALLBACK),
    REFUSED("offset_commit_cb", WHY_CALLBACK),
    REFUSED("dr_cb", WHY_CALLBACK),
    REFUSED("dr_msg_cb", WHY_CALLBACK),
    REFUSED("ssl_key", "use `ssl.key.location` or `ssl.key.pem`"),
    REFUSED("ssl_certificate", "use `ssl.certificate.location` or `ssl.certificate.pem`"),
    REFUSED("ssl_ca", "use `ssl.ca.location` or `ssl.ca.pem`"),
    /* Passed on. */
    ALLOWED("bootstrap.servers"),
    ALIAS("metadata.broker.list", "bootstrap.servers"),
    ALLOWED("client.id"),
    ALLOWED("client.rack"),
    ALLOWED("client.dns.lookup"),
    ALLOWED("client.software.name"),
    ALLOWED("client.software.version"),
    ALLOWED("group.id"),
    ALLOWED("debug"),
    ALLOWED("log_level"),
    ALLOWED("log.thread.name"),
    ALLOWED("log.connection.close"),
    ALLOWED("enable.random.seed"),
    ALLOWED("enable.sparse.connections"),
    ALLOWED("enable.metrics.push"),
    ALLOWED("message.copy.max.bytes"),
    ALLOWED("metadata.max.age.ms"),
    ALLOWED("metadata.recovery.strategy"),
    ALLOWED("metadata.recovery.rebootstrap.trigger.ms"),
    ALLOWED("topic.metadata.refresh.fast.interval.ms"),
    ALLOWED("topic.metadata.refresh.fast.cnt"),
    ALLOWED("topic.metadata.refresh.sparse"),
    ALLOWED("topic.metadata.propagation.max.ms"),
    ALLOWED("socket.blocking.max.ms"),
    ALLOWED("socket.send.buffer.bytes"),
    ALLOWED("socket.receive.buffer.bytes"),
    ALLOWED("socket.keepalive.enable"),
    ALLOWED("socket.nagle.disable"),
    ALLOWED("socket.connection.setup.timeout.ms"),
    ALLOWED("connections.max.idle.ms"),
    ALLOWED("broker.address.ttl"),
    ALLOWED("broker.address.family"),
    ALLOWED("reconnect.backoff.jitter.ms"),
    ALLOWED("retry.backoff.max.ms"),
    ALLOWED("api.version.request.timeout.ms"),
    ALLOWED("coordinator.query.interval.ms"),
    ALLOWED("fetch.min.bytes"),
    ALLOWED("fetch.error.backoff.ms"),
    ALLOWED("fetch.queue.backoff.ms"),
    ALLOWED("check.crcs"),
    ALLOWED("compression.codec"),
    ALIAS("compression.type", "compression.codec"),
    ALLOWED("compression.level"),
    ALLOWED("batch.num.messages"),
    ALLOWED("queue.buffering.backpressure.threshold"),
    ALLOWED("sticky.partitioning.linger.ms"),
    ALLOWED("security.protocol"),
    ALLOWED("ssl.cipher.suites"),
    ALLOWED("ssl.curves.list"),
    ALLOWED("ssl.sigalgs.list"),
    ALLOWED("ssl.key.location"),
    ALLOWED("ssl.key.password"),
    ALLOWED("ssl.key.pem"),
    ALLOWED("ssl.certificate.location"),
    ALLOWED("ssl.certificate.pem"),
    ALLOWED("ssl.ca.location"),
    ALLOWED("ssl.ca.pem"),
    ALLOWED("ssl.ca.certificate.stores"),
    ALLOWED("ssl.crl.location"),
    ALLOWED("ssl.keystore.location"),
    ALLOWED("ssl.keystore.password"),
    ALLOWED("ssl.providers"),
    ALLOWED("ssl.engine.location"),
    ALLOWED("ssl.engine.id"),
    ALLOWED("ssl.endpoint.identification.algorithm"),
    ALLOWED("enable.ssl.certificate.verification"),
    ALLOWED("https.ca.location"),
    ALLOWED("https.ca.pem"),
    ALLOWED("sasl.mechanisms"),
    ALIAS("sasl.mechanism", "sasl.mechanisms"),
    ALLOWED("sasl.kerberos.service.name"),
    ALLOWED("sasl.kerberos.principal"),
    ALLOWED("sasl.kerberos.kinit.cmd"),
    ALLOWED("sasl.kerberos.keytab"),
    ALLOWED("sasl.kerberos.min.time.before.relogin"),
    ALLOWED("sasl.username"),
    ALLOWED("sasl.password"),
    ALLOWED("enable.sasl.oauthbearer.unsecure.jwt"),
    ALLOWED("sasl.oauthbearer.config"),
    ALLOWED("sasl.oauthbearer.method"),
    ALLOWED("sasl.oauthbearer.client.id"),
    ALIAS("sasl.oauthbearer.client.credentials.client.id", "sasl.oauthbearer.client.id"),
    ALLOWED("sasl.oauthbearer.client.secret"),
    ALIAS("sasl.oauthbearer.client.credentials.client.secret", "sasl.oauthbearer.client.secret"),
    ALLOWED("sasl.oauthbearer.scope"),
    ALLOWED("sasl.oauthbearer.extensions"),
    ALLOWED("sasl.oauthbearer.token.endpoint.url"),
    ALLOWED("sasl.oauthbearer.sub.claim.name"),
    ALLOWED("sasl.oauthbearer.grant.type"),
    ALLOWED("sasl.oauthbearer.assertion.algorithm"),
    ALLOWED("sasl.oauthbearer.assertion.private.key.file"),
    ALLOWED("sasl.oauthbearer.assertion.private.key.passphrase"),
    ALLOWED("sasl.oauthbearer.assertion.private.key.pem"),
    ALLOWED("sasl.oauthbearer.assertion.file"),
    ALLOWED("sasl.oauthbearer.assertion.jwt.template.file"),
    ALLOWED("sasl.oauthbearer.assertion.claim.aud"),
    ALLOWED("sasl.oauthbearer.assertion.claim.exp.seconds"),
    ALLOWED("sasl.oauthbearer.assertion.claim.iss"),
    ALLOWED("sasl.oauthbearer.assertion.claim.jti.include"),
    ALLOWED("sasl.oauthbearer.assertion.claim.nbf.seconds"),
    ALLOWED("sasl.oauthbearer.assertion.claim.sub"),
    ALLOWED("sasl.oauthbearer.metadata.authentication.type"),
};
const size_t config_kafka_property_count = sizeof config_kafka_properties /
                                           sizeof *config_kafka_properties;

static const struct config_kafka_property *config_kafka_find_name(const char *name)
{
    for (size_t i = 0; i < config_kafka_property_count; i++) {
        if (strcmp(config_kafka_properties[i].name, name) == 0)
            return &config_kafka_properties[i];
    }
    return NULL;
}

const struct config_kafka_property *config_kafka_find(const char *name)
{
    const struct config_kafka_property *found = config_kafka_find_name(name);
    return found != NULL && found->same_as != NULL ? config_kafka_find_name(found->same_as) : found;
}

/* @return whether a value is a number. One that a flag or the environment sets is a text. */
static bool config_kafka_number(const json_t *value, int64_t *ret_number)
{
    char *end = NULL;
    const char *text = json_string_value(value);
    if (json_is_integer(value)) {
        *ret_number = json_integer_value(value);
        return true;
    }
    if (text == NULL)
        return false;
    *ret_number = strtoll(text, &end, 10);
    return end != text && *end == '\0';
}

static bool config_kafka_is_within(const struct config_kafka_property *property,
                                   const json_t *value)
{
    int64_t number = 0;
    const char *text = json_is_true(value) ? "true" : json_string_value(value);
    if (property->text != NULL)
        return text != NULL && strcmp(text, property->text) == 0;
    return config_kafka_number(value, &number) && number >= property->min &&
           number <= property->max;
}

/* The value is never shown, because it may be a secret at the wrong property. */
enum status config_kafka_judge(const json_t *kafka, const char *name, const json_t *value,
                               struct error *err)
{
    const struct config_kafka_property *property = config_kafka_find(name);
    if (property->permission == CONFIG_KAFKA_REFUSED || property->permission == CONFIG_KAFKA_OURS)
        return error_set(err, STATUS_FATAL,
                         "kafka property \"%s\" is not yours to set: %s; remove it", name,
                         property->why);
    if (strcmp(property->name, name) != 0 && json_object_get(kafka, property->name) != NULL)
        return error_set(err, STATUS_FATAL,
                         "kafka property \"%s\" is \"%s\" by another name; remove one of them",
                         name, property->name);
    if (property->permission != CONFIG_KAFKA_BOUNDED || config_kafka_is_within(property, value))
        return STATUS_OK;
    if (property->text != NULL)
        return error_set(err, STATUS_FATAL, "kafka property \"%s\" can only be %s: %s", name,
                         property->text, property->why);
    return error_set(err, STATUS_FATAL,
                     "kafka property \"%s\" can be %" JSON_INTEGER_FORMAT
                     " to %" JSON_INTEGER_FORMAT ": %s",
                     name, (json_int_t)property->min, (json_int_t)property->max, property->why);
}

static int64_t config_kafka_value(const json_t *kafka, const char *name, int64_t default_value)
{
    int64_t number = default_value;
    return config_kafka_number(json_object_get(kafka, name), &number) ? number : default_value;
}

enum status config_kafka_judge_together(const json_t *kafka, struct error *err)
{
    int64_t heartbeat_ms = config_kafka_value(kafka, "heartbeat.interval.ms", 3000);
    int64_t session_ms = config_kafka_value(kafka, "session.timeout.ms", SESSION_DEFAULT_MS);
    int64_t poll_ms = config_kafka_value(kafka, "max.poll.interval.ms", 300000);
    if (heartbeat_ms * 2 > session_ms)
        return error_set(err, STATUS_FATAL,
                         "kafka property \"heartbeat.interval.ms\" (default 3000) must be at most "
                         "half of \"session.timeout.ms\" (default 10000), or a live agent is taken "
                         "for dead");
    if (session_ms > poll_ms)
        return error_set(err, STATUS_FATAL,
                         "kafka property \"session.timeout.ms\" must not be above "
                         "\"max.poll.interval.ms\" (default 300000)");
    return STATUS_OK;
}

static void config_kafka_names(struct buffer *out, const struct config_kafka_property *property)
{
    buffer_append_format(out, "`%s`", property->name);
    for (size_t i = 0; i < config_kafka_property_count; i++) {
        const char *of = config_kafka_properties[i].same_as;
        if (of != NULL && strcmp(of, property->name) == 0)
            buffer_append_format(out, ", `%s`", config_kafka_properties[i].name);
    }
}

/* Properties that are refused for the same reason share a line. */
static bool config_kafka_is_alike(const struct config_kafka_property *one,
                                  const struct config_kafka_property *other)
{
    return one->same_as == NULL && other->same_as == NULL &&
           one->permission == CONFIG_KAFKA_REFUSED && other->permission == CONFIG_KAFKA_REFUSED &&
           strcmp(one->why, other->why) == 0;
}

static bool config_kafka_is_told(const struct config_kafka_property *property)
{
    for (size_t i = 0; &config_kafka_properties[i] != property; i++) {
        if (config_kafka_is_alike(&config_kafka_properties[i], property))
            return true;
    }
    return false;
}

static void config_kafka_permission(struct buffer *out,
                                    const struct config_kafka_property *property)
{
    if (property->permission == CONFIG_KAFKA_OURS)
        buffer_append_format(out, "set: %s", property->text);
    else if (property->permission == CONFIG_KAFKA_REFUSED)
        buffer_append_text(out, "refused");
    else if (property->text != NULL)
        buffer_append_format(out, "only %s", property->text);
    else
        buffer_append_format(out, "%lld to %lld", (long long)property->min,
                             (long long)property->max);
}

void config_kafka_describe(struct buffer *out)
{
    const char *before = "";
    buffer_append_text(out, "| property | allowed | why |\n| --- | --- | --- |\n");
    for (size_t i = 0; i < config_kafka_property_count; i++) {
        const struct config_kafka_property *property = &config_kafka_properties[i];
        if (property->same_as != NULL || property->permission == CONFIG_KAFKA_ALLOWED ||
            config_kafka_is_told(property))
            continue;
        buffer_append_text(out, "| ");
        config_kafka_names(out, property);
        for (size_t j = i + 1; j < config_kafka_property_count; j++) {
            if (config_kafka_is_alike(property, &config_kafka_properties[j]))
                buffer_append_format(out, ", `%s`", config_kafka_properties[j].name);
        }
        buffer_append_text(out, " | ");
        config_kafka_permission(out, property);
        buffer_append_format(out, " | %s |\n", property->why);
    }
    buffer_append_text(out, "\nPassed on as they are: ");
    for (size_t i = 0; i < config_kafka_property_count; i++) {
        const struct config_kafka_property *property = &config_kafka_properties[i];
        if (property->same_as != NULL || property->permission != CONFIG_KAFKA_ALLOWED)
            continue;
        buffer_append_text(out, before);
        config_kafka_names(out, property);
        before = ", ";
    }
    buffer_append_text(out, ".\n");
}
