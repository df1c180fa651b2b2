/* `keepstep config`: check a configuration, print the values in effect, document every key. */
#include "common/buffer.h"
#include "operate/command.h"
#include "operate/member.h"
#include "operate/offsets.h"
#include "operate/service.h"
#include "schemas/config/config.h"

#include <stdio.h>
#include <string.h>
#include <sysexits.h>

static void config_command_texts(const char *begin, char *const *texts, size_t count,
                                 struct buffer *out)
{
    buffer_append_text(out, begin);
    for (size_t i = 0; i < count; i++) {
        buffer_append_text(out, i == 0 ? "" : ",");
        buffer_append_json(out, slice_of(texts[i]));
    }
    buffer_append_text(out, "]");
}

static void config_command_entries(const char *name, const struct config_entry *entries,
                                   size_t count, struct buffer *out)
{
    buffer_append_format(out, "\"%s\":{", name);
    for (size_t i = 0; i < count; i++) {
        const struct config_entry *entry = &entries[i];
        buffer_append_text(out, i == 0 ? "" : ",");
        buffer_append_json(out, slice_of(entry->entity_type));
        buffer_append_text(out, ":{\"topic\":");
        buffer_append_json(out, slice_of(entry->topic));
        if (entry->table != NULL) {
            buffer_append_text(out, ",\"table\":");
            buffer_append_json(out, slice_of(entry->table));
        }
        if (entry->is_joint)
            config_command_texts(",\"joint\":[", entry->joint, entry->joint_count, out);
        buffer_append_format(out, ",\"partitions\":%d}", (int)entry->partitions);
    }
    buffer_append_text(out, "}");
}

static void config_command_field(const char *name, const char *value, struct buffer *out)
{
    buffer_append_format(out, "\"%s\":", name);
    buffer_append_json(out, slice_of(value));
    buffer_append_text(out, ",\n");
}

static void config_command_limits(const struct config_limits *limits, struct buffer *out)
{
    member_begin(out, "limits", "{");
    member_number(out, "batch_events", limits->batch_events);
    member_number(out, "batch_bytes", limits->batch_bytes);
    member_number(out, "batch_time_ms", limits->batch_time_ms);
    member_number(out, "message_bytes", limits->message_bytes);
    member_number(out, "parked_entities", limits->parked_entities);
    member_number(out, "parked_records", limits->parked_records);
    member_number(out, "parked_bytes", limits->parked_bytes);
    member_number(out, "parked_skipped_retention_s", limits->parked_skipped_retention_s);
    member_number(out, "outbox_retention_s", limits->outbox_retention_s);
    member_number(out, "idempotency_window_s", limits->idempotency_window_s);
    member_number(out, "open_entities", limits->open_entities);
    member_number(out, "behind_records", limits->behind_records);
    member_number(out, "scan_time_s", limits->scan_time_s);
    member_number(out, "scan_rows_s", limits->scan_rows_s);
    member_number(out, "snapshots", limits->snapshots);
    member_number(out, "changeset_events", limits->changeset_events);
    member_number(out, "changeset_bytes", limits->changeset_bytes);
    member_number(out, "joint_open", limits->joint_open);
    member_number(out, "joint_retention_s", limits->joint_retention_s);
    buffer_append_text(out, "}");
}

static void config_command_render(const struct config *config, struct buffer *out)
{
    buffer_append_text(out, "{");
    config_command_field("service", config->service, out);
    config_command_field("database", config->database_shown, out);
    config_command_field("topic_prefix", config->topic_prefix, out);
    config_command_field("control_topic", config->control_topic, out);
    config_command_field("schemas", config->schemas, out);
    config_command_field("instance", config->instance, out);
    config_command_field("listen", config->listen, out);
    config_command_field("listen_hosts", config->listen_hosts, out);
    bool has_token = config->listen_token[0] != '\0' || config->listen_token_file[0] != '\0';
    config_command_field("listen_token", has_token ? "***" : "", out);
    buffer_append_text(out, "\"kafka\":{");
    for (size_t i = 0; i < config->kafka_count; i++) {
        const char *name = config->kafka[i].name;
        buffer_append_text(out, i == 0 ? "" : ",");
        buffer_append_json(out, slice_of(name));
        buffer_append_text(out, ":");
        buffer_append_json(out,
                           slice_of(config_kafka_is_secret(name) ? "***" : config->kafka[i].value));
    }
    buffer_append_text(out, "},\n");
    config_command_field("transactions",
                         config->transactions == TRANSACTIONS_WHOLE ? "whole" : "single", out);
    config_command_entries("publish", config->publish, config->publish_count, out);
    buffer_append_text(out, ",\n");
    config_command_entries("apply", config->apply, config->apply_count, out);
    config_command_texts(",\n\"ignore\":[", config->ignore, config->ignore_count, out);
    buffer_append_text(out, ",\n");
    member_begin(out, "topics", "{");
    member_number(out, "replication_factor", config->topics.replication_factor);
    member_number(out, "min_insync_replicas", config->topics.min_insync_replicas);
    member_number(out, "retention_s", config->topics.retention_s);
    member_number(out, "retention_bytes", config->topics.retention_bytes);
    buffer_append_text(out, "}");
    member_begin(out, "verify", "{");
    member_number(out, "every_s", config->verify_every_s);
    buffer_append_text(out, "}");
    config_command_limits(&config->limits, out);
    buffer_append_text(out, "}\n");
}

static int config_command_show(const struct command_line *line, bool print)
{
    struct error err = ERROR_INIT;
    struct service service;
    struct buffer out;
    buffer_init(&out, 1 << 20);
    int code = EX_OK;
    enum status status = service_open(line, &service, &err);
    if (status == STATUS_OK && !print && service.config->unknown_variables != NULL)
        status = error_set(error_config(&err), STATUS_FATAL, "%s",
                           service.config->unknown_variables);
    if (status == STATUS_OK && !print)
        status = offsets_check_config(service.config, &err);
    if (status != STATUS_OK) {
        code = command_fail(&err);
    } else if (print) {
        config_command_render(service.config, &out);
        fputs(buffer_text(&out), stdout);
    } else {
        printf("%s is good: service %s publishes %zu and applies %zu entity types\n",
               line->config_path, service.config->service, service.config->publish_count,
               service.config->apply_count);
    }
    service_close(&service);
    buffer_done(&out);
    return code;
}

static int config_command_docs(void)
{
    struct buffer out;
    buffer_init(&out, 1 << 20);
    config_describe(&out);
    fputs(buffer_text(&out), stdout);
    int code = out.failed ? EX_OSERR : EX_OK;
    buffer_done(&out);
    return code;
}

static int config_command_run(const struct command *command, int argc, char **argv)
{
    struct command_line line;
    int code = command_parse(command, argc, argv, &line);
    if (code >= 0)
        return code;
    const char *verb = line.argument_count == 1 ? line.arguments[0] : "";
    if (strcmp(verb, "docs") == 0)
        return config_command_docs();
    if (strcmp(verb, "check") == 0 || strcmp(verb, "print") == 0)
        return config_command_show(&line, verb[0] == 'p');
    fprintf(stderr, "keepstep config: wants check, print or docs; see keepstep config --help\n");
    return EX_USAGE;
}

const struct command command_config = {
    .name = "config",
    .arguments = "check|print|docs",
    .summary = "Check a configuration, print the values in effect, or document every key.",
    .examples = "  keepstep config check -c shop.yaml\n"
                "  keepstep config print -c shop.yaml -s listen=0.0.0.0:9464\n"
                "  keepstep config docs > docs/CONFIGURATION.md\n",
    .run = config_command_run,
};
