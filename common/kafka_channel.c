/* A channel over librdkafka: a consumer that joins no group, and a producer once something is to be
 * written. */
#include "common/kafka_channel.h"

#include "common/kafka_configs.h"
#include "common/kafka_topic.h"

#define CHANNEL_WRITE_MS "5000"

enum status kafka_channel_fail(const struct kafka_channel *channel,
                               const struct kafka_channel_topic *topic, rd_kafka_resp_err_t code,
                               struct error *err)
{
    const char *reason = channel->reason.text;
    return error_set_native(err, STATUS_RETRY, (int)code, "%s %s: %s%s%s%s", topic->what,
                            topic->name, rd_kafka_err2str(code), *reason == '\0' ? "" : " (",
                            reason, *reason == '\0' ? "" : ")");
}

enum status kafka_channel_open(struct kafka_channel *channel,
                               const struct kafka_channel_options *options, struct error *err)
{
    const struct text_pair fixed[] = {{"group.id", options->group},
                                      {"isolation.level", "read_uncommitted"},
                                      {"enable.auto.commit", "false"},
                                      {"enable.auto.offset.store", "false"},
                                      {"auto.offset.reset", "error"},
                                      {"enable.partition.eof", "true"},
                                      {"queued.max.messages.kbytes", "4096"},
                                      {"log_level", "0"},
                                      {"fetch.wait.max.ms", options->fetch_wait_ms}};
    const size_t fixed_count = sizeof fixed / sizeof *fixed - (options->fetch_wait_ms == NULL);
    const struct kafka_settings layers[] = {{options->settings, options->setting_count},
                                            {fixed, fixed_count}};
    rd_kafka_conf_t *conf = NULL;
    *channel = (struct kafka_channel){.options = *options};
    enum status status = kafka_conf_new(layers, 2, &conf, err);
    if (status != STATUS_OK)
        return status;
    kafka_conf_keep_reason(conf, &channel->reason);
    return kafka_handle_new(RD_KAFKA_CONSUMER, conf, &channel->consumer, err);
}

void kafka_channel_close(struct kafka_channel *channel, int flush_ms)
{
    (void)rd_kafka_assign(channel->consumer, NULL);
    rd_kafka_destroy_flags(channel->consumer, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
    if (channel->producer == NULL)
        return;
    if (flush_ms > 0)
        (void)rd_kafka_flush(channel->producer, flush_ms);
    (void)rd_kafka_purge(channel->producer, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
    rd_kafka_destroy(channel->producer);
}

static enum status channel_make(struct kafka_channel *channel,
                                const struct kafka_channel_topic *topic, struct error *err)
{
    struct topic_design design;
    const struct kafka_new_topic made = {.name = topic->name, .partitions = 1, .design = &design};
    topic_design_make(topic->kind, topic->choice, &design);
    enum status status = kafka_topic_create(channel->consumer, &made, KAFKA_CHANNEL_TIMEOUT_MS,
                                            err);
    if (status == STATUS_OK)
        status = error_set(err, STATUS_RETRY, "%s %s does not exist yet", topic->what, topic->name);
    return status;
}

static enum status channel_refuse(const struct kafka_channel_topic *topic, int32_t partitions,
                                  struct error *err)
{
    return error_set(error_config(err), STATUS_FATAL,
                     "%s %s %s: another program made it. Delete it, and a sidecar makes it again, "
                     "or name another one under control_topic:",
                     topic->what, topic->name,
                     partitions != 1       ? "has more than one partition"
                     : topic->is_compacted ? "is not compacted (cleanup.policy=compact)"
                                           : "is compacted (it needs cleanup.policy=delete)");
}

enum status kafka_channel_check(struct kafka_channel *channel,
                                const struct kafka_channel_topic *topic, struct error *err)
{
    struct kafka_topic found;
    struct topic_settings settings = {.is_compacted = topic->is_compacted};
    enum status status = kafka_topic_describe(channel->consumer, topic->name,
                                              KAFKA_CHANNEL_TIMEOUT_MS, &found, err);
    if (status != STATUS_OK)
        return status;
    bool is_mock = kafka_is_mock(found.cluster_id);
    if (found.partitions == 0 && is_mock)
        return error_set(error_config(err), STATUS_STOP,
                         "%s %s does not exist, and this broker creates none: name %s:1 as an "
                         "argument of keepstep broker",
                         topic->what, topic->name, topic->name);
    if (found.partitions == 0 && !topic->make)
        return error_set(error_config(err), STATUS_STOP,
                         "%s %s does not exist: no sidecar with this `control_topic` has run yet",
                         topic->what, topic->name);
    if (found.partitions == 0)
        return channel_make(channel, topic, err);
    if (!is_mock)
        status = kafka_topic_settings(channel->consumer, topic->name, KAFKA_CHANNEL_TIMEOUT_MS,
                                      &settings, err);
    if (status != STATUS_OK ||
        (found.partitions == 1 && settings.is_compacted == topic->is_compacted))
        return status;
    return channel_refuse(topic, found.partitions, err);
}

static void channel_reported(rd_kafka_t *handle, const rd_kafka_message_t *message, void *opaque)
{
    struct kafka_channel *channel = opaque;
    (void)handle;
    channel->reported = (uintptr_t)message->_private;
    channel->code = message->err;
}

static enum status channel_producer(struct kafka_channel *channel, struct error *err)
{
    const struct text_pair fixed[] = {{"enable.idempotence", "false"},
                                      {"acks", "all"},
                                      {"message.timeout.ms", CHANNEL_WRITE_MS},
                                      {"linger.ms", "0"},
                                      {"log_level", "0"}};
    const struct kafka_settings layers[] = {
        {channel->options.settings, channel->options.setting_count}, KAFKA_SETTINGS(fixed)};
    rd_kafka_conf_t *conf = NULL;
    enum status status = kafka_conf_new(layers, 2, &conf, err);
    if (status != STATUS_OK)
        return status;
    rd_kafka_conf_set_opaque(conf, channel);
    rd_kafka_conf_set_dr_msg_cb(conf, channel_reported);
    return kafka_handle_new(RD_KAFKA_PRODUCER, conf, &channel->producer, err);
}

/* Each record has a number, so that a late report is not taken for another one's. */
static rd_kafka_resp_err_t channel_send(struct kafka_channel *channel,
                                        const struct kafka_channel_topic *topic, struct slice key,
                                        struct slice value)
{
    channel->written++;
    rd_kafka_resp_err_t code = rd_kafka_producev(
        channel->producer, RD_KAFKA_V_TOPIC(topic->name), RD_KAFKA_V_PARTITION(0),
        RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
        RD_KAFKA_V_KEY((void *)(uintptr_t)key.data, key.length),
        RD_KAFKA_V_VALUE((void *)(uintptr_t)value.data, value.length),
        RD_KAFKA_V_OPAQUE((void *)channel->written), RD_KAFKA_V_END);
    while (code == RD_KAFKA_RESP_ERR_NO_ERROR && channel->reported != channel->written &&
           !atomic_load(channel->options.stop))
        (void)rd_kafka_poll(channel->producer, KAFKA_CHANNEL_POLL_MS);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
        return code;
    return channel->reported == channel->written ? channel->code : RD_KAFKA_RESP_ERR__IN_PROGRESS;
}

enum status kafka_channel_write(struct kafka_channel *channel,
                                const struct kafka_channel_topic *topic, struct slice key,
                                struct slice value, struct error *err)
{
    enum status status = channel->producer == NULL ? channel_producer(channel, err) : STATUS_OK;
    if (status != STATUS_OK)
        return status;
    rd_kafka_resp_err_t code = channel_send(channel, topic, key, value);
    if (code == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE)
        return error_set(err, STATUS_REJECT, "%s %s: the record is too large", topic->what,
                         topic->name);
    if (code == RD_KAFKA_RESP_ERR__IN_PROGRESS)
        return error_set(err, STATUS_RETRY, "%s %s: ended before it was acknowledged", topic->what,
                         topic->name);
    return code == RD_KAFKA_RESP_ERR_NO_ERROR ? STATUS_OK
                                              : kafka_channel_fail(channel, topic, code, err);
}
