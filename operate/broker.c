/* `keepstep broker`: a broker in memory, for trying out and for tests, never for data that matters.
 */
#include "operate/broker.h"

#include "common/clock.h"
#include "common/kafka_client.h"
#include "operate/command.h"

#include <librdkafka/rdkafka_mock.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#define BROKER_PARTITIONS 3

void broker_library_versions(char *text, size_t size)
{
    (void)snprintf(text, size, "librdkafka %s, compiled with %d.%d.%d", rd_kafka_version_str(),
                   (RD_KAFKA_VERSION >> 24) & 0xff, (RD_KAFKA_VERSION >> 16) & 0xff,
                   (RD_KAFKA_VERSION >> 8) & 0xff);
}

/* "order" or "order:6". */
static enum status broker_create_topic(rd_kafka_mock_cluster_t *cluster, const char *argument,
                                       struct error *err)
{
    char topic[256];
    const char *colon = strrchr(argument, ':');
    size_t length = colon == NULL ? strlen(argument) : (size_t)(colon - argument);
    long partitions = colon == NULL ? BROKER_PARTITIONS : strtol(colon + 1, NULL, 10);
    if (length == 0 || length >= sizeof topic || partitions < 1 || partitions > 1000) {
        err->exit_code = EX_USAGE;
        return error_set(err, STATUS_FATAL, "\"%s\" is no TOPIC or TOPIC:PARTITIONS", argument);
    }
    memcpy(topic, argument, length);
    topic[length] = '\0';
    rd_kafka_resp_err_t code = rd_kafka_mock_topic_create(cluster, topic, (int)partitions, 1);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
        return error_set_native(err, STATUS_FATAL, code, "could not create topic \"%s\": %s", topic,
                                rd_kafka_err2str(code));
    return STATUS_OK;
}

/* Written under another name and renamed, so that a reader never sees half an address. */
static enum status broker_write_address(const char *path, const char *address, struct error *err)
{
    char temporary[4096];
    (void)snprintf(temporary, sizeof temporary, "%s.new", path);
    FILE *file = fopen(temporary, "w");
    bool written = file != NULL && fprintf(file, "%s\n", address) > 0;
    if (file != NULL && fclose(file) != 0)
        written = false;
    if (!written || rename(temporary, path) != 0) {
        err->exit_code = EX_CANTCREAT;
        return error_set(err, STATUS_FATAL, "could not write the address file \"%s\"", path);
    }
    return STATUS_OK;
}

static enum status broker_serve(rd_kafka_mock_cluster_t *cluster, const struct command_line *line,
                                const char *address_file, struct error *err)
{
    for (int i = 0; i < line->argument_count; i++) {
        enum status status = broker_create_topic(cluster, line->arguments[i], err);
        if (status != STATUS_OK)
            return status;
    }
    const char *address = rd_kafka_mock_cluster_bootstraps(cluster);
    if (address_file != NULL) {
        enum status status = broker_write_address(address_file, address, err);
        if (status != STATUS_OK)
            return status;
    }
    printf("%s\n", address);
    (void)fflush(stdout);
    fprintf(stderr,
            "keepstep broker: for trying out only. It keeps everything in memory and forgets "
            "it at its end; a partition holds 5 MiB, older records go; no static members, "
            "no transactions, no admin requests, no access control.\n");
    while (!atomic_load(&command_stop))
        clock_sleep_us(100000);
    return STATUS_OK;
}

enum { BROKER_ADDRESS_FILE };

static const struct command_flag broker_flags[] = {
    [BROKER_ADDRESS_FILE] = {"address-file", "FILE",
                             "write the broker's address to FILE once it answers"},
};

static int broker_run(const struct command *command, int argc, char **argv)
{
    struct command_line line;
    int code = command_parse(command, argc, argv, &line);
    if (code >= 0)
        return code;
    command_catch_signals();
    struct error err = ERROR_INIT;
    rd_kafka_conf_t *conf = NULL;
    rd_kafka_t *handle = NULL;
    rd_kafka_mock_cluster_t *cluster = NULL;
    /* Librdkafka would warn that this handle has no broker; it needs none. */
    const struct text_pair errors_only = {"log_level", "3"};
    const struct kafka_settings settings = {&errors_only, 1};
    enum status status = kafka_conf_new(&settings, 1, &conf, &err);
    if (status == STATUS_OK)
        status = kafka_handle_new(RD_KAFKA_PRODUCER, conf, &handle, &err);
    if (status == STATUS_OK) {
        cluster = rd_kafka_mock_cluster_new(handle, 1);
        if (cluster == NULL)
            status = error_set(&err, STATUS_FATAL, "could not start the mock cluster");
    }
    if (status == STATUS_OK)
        status = broker_serve(cluster, &line, line.flags[BROKER_ADDRESS_FILE], &err);
    if (cluster != NULL)
        rd_kafka_mock_cluster_destroy(cluster);
    if (handle != NULL)
        rd_kafka_destroy(handle);
    return status == STATUS_OK ? EX_OK : command_fail(&err);
}

const struct command command_broker = {
    .name = "broker",
    .arguments = "[TOPIC[:PARTITIONS]]...",
    .summary = "Run a broker in memory, for trials (librdkafka's mock cluster).",
    .examples = "  keepstep broker order:3 invoice:3 --address-file broker.address\n",
    COMMAND_FLAGS(broker_flags),
    .without_json = true,
    .run = broker_run,
};
