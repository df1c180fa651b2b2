/* Turns a checked tree into plain structs. */
#include "schemas/config/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CONFIG_PARTITIONS       6
#define CONFIG_PARTITIONS_WHOLE 1

/** @return the value at a dotted option key, or NULL. */
static const json_t *config_get(const json_t *tree, const char *key)
{
    const char *dot = strchr(key, '.');
    if (dot == NULL)
        return json_object_get(tree, key);
    char section[32];
    (void)snprintf(section, sizeof section, "%.*s", (int)(dot - key), key);
    return json_object_get(json_object_get(tree, section), dot + 1);
}

static const char *config_default(const char *key)
{
    for (size_t i = 0; i < config_option_count; i++) {
        if (strcmp(config_options[i].key, key) == 0 && config_options[i].default_text != NULL)
            return config_options[i].default_text;
    }
    return "";
}

static char *config_text(const json_t *tree, const char *key)
{
    const json_t *json = config_get(tree, key);
    return strdup(json_is_string(json) ? json_string_value(json) : config_default(key));
}

static int64_t config_integer(const json_t *tree, const char *key)
{
    const json_t *json = config_get(tree, key);
    return json_is_integer(json) ? json_integer_value(json)
                                 : strtoll(config_default(key), NULL, 10);
}

/** A file allows one writer at a time; a server has row locks (rule 19). */
static int64_t config_batch_time(const json_t *tree)
{
    const char *url = json_string_value(json_object_get(tree, "database"));
    const json_t *json = config_get(tree, "limits.batch_time_ms");
    if (json_is_integer(json))
        return json_integer_value(json);
    return url != NULL && strncmp(url, "sqlite:", strlen("sqlite:")) == 0 ? 10 : 50;
}

static char *config_scalar(const json_t *json)
{
    return json_is_string(json) ? strdup(json_string_value(json))
                                : json_dumps(json, JSON_ENCODE_ANY | JSON_REAL_PRECISION(15));
}

static char *config_absolute(const char *path, const char *file)
{
    char *text = NULL;
    const char *slash = strrchr(file, '/');
    if (*path == '/' || slash == NULL)
        return strdup(path);
    return asprintf(&text, "%.*s/%s", (int)(slash - file), file, path) < 0 ? NULL : text;
}

static bool config_pairs(const json_t *object, struct text_pair **ret_pairs, size_t *ret_count)
{
    const char *name;
    json_t *value;
    size_t count = 0;
    struct text_pair *pairs = calloc(json_object_size(object) + 1, sizeof *pairs);
    bool ok = pairs != NULL;
    *ret_pairs = pairs;
    json_object_foreach((json_t *)(uintptr_t)object, name, value)
    {
        if (!ok)
            break;
        pairs[count] = (struct text_pair){.name = strdup(name), .value = config_scalar(value)};
        ok = pairs[count].name != NULL && pairs[count].value != NULL;
        *ret_count = ++count;
    }
    return ok;
}

/* Store each property under one of its names, the one that the code uses. */
static bool config_kafka(struct config *config, const json_t *object)
{
    bool ok = config_pairs(object, &config->kafka, &config->kafka_count);
    for (size_t i = 0; ok && i < config->kafka_count; i++) {
        struct text_pair *pair = &config->kafka[i];
        const struct config_kafka_property *property = config_kafka_find(pair->name);
        char *name = property == NULL ? NULL : strdup(property->name);
        ok = name != NULL;
        if (ok) {
            free((char *)(uintptr_t)pair->name);
            pair->name = name;
        }
    }
    return ok;
}

/* What an entry gets that names no topic and no partitions. */
struct config_entry_defaults {
    const char *topic_prefix;
    const char *topic_name; /* behind the prefix; NULL: the entity type */
    int32_t partitions;
};

/* @return whether there was memory for all texts of the array. */
static bool config_texts(const json_t *array, char ***ret_texts, size_t *ret_count)
{
    char **texts = calloc(json_array_size(array) + 1, sizeof *texts);
    bool ok = texts != NULL;
    *ret_texts = texts;
    for (size_t i = 0; ok && i < json_array_size(array); i++) {
        texts[i] = strdup(json_string_value(json_array_get(array, i)));
        ok = texts[i] != NULL;
        *ret_count += ok;
    }
    return ok;
}

static bool config_entry_read(const struct config_entry_defaults *defaults, const char *entity_type,
                              const json_t *json, struct config_entry *entry)
{
    const char *table = json_string_value(json_object_get(json, "table"));
    const char *topic = json_string_value(json_object_get(json, "topic"));
    const char *key = json_string_value(json_object_get(json, "partition_key"));
    const char *start = json_string_value(json_object_get(json, "start"));
    const char *fill = json_string_value(json_object_get(json, "fill"));
    const char *fill_from = json_string_value(json_object_get(json, "fill_from"));
    const json_t *partitions = json_object_get(json, "partitions");

    entry->entity_type = strdup(entity_type);
    entry->table = table == NULL ? NULL : strdup(table);
    entry->partition_key = key == NULL ? NULL : strdup(key);
    if (topic != NULL)
        entry->topic = strdup(topic);
    else if (asprintf(&entry->topic, "%s%s", defaults->topic_prefix,
                      defaults->topic_name == NULL ? entity_type : defaults->topic_name) < 0)
        entry->topic = NULL;
    entry->partitions = partitions == NULL ? defaults->partitions
                                           : (int32_t)json_integer_value(partitions);
    if (start != NULL)
        entry->start = strcmp(start, "earliest") == 0 ? CONFIG_START_EARLIEST : CONFIG_START_LATEST;
    if (fill != NULL && strcmp(fill, "auto") != 0)
        entry->fill = strcmp(fill, "always") == 0 ? CONFIG_FILL_ALWAYS : CONFIG_FILL_NEVER;
    entry->fill_from = fill_from == NULL ? NULL : strdup(fill_from);
    entry->is_joint = json_object_get(json, "joint") != NULL;
    entry->before = json_is_true(json_object_get(json, "before"));
    const char *format = json_string_value(json_object_get(json, "format"));
    const char *binary = json_string_value(json_object_get(json, "binary"));
    bool known = format == NULL || record_format_parse(format, &entry->format);
    if (binary != NULL)
        entry->binary = strcmp(binary, "hex") == 0 ? BINARY_HEX : BINARY_BASE64;
    entry->foreign = json_is_true(json_object_get(json, "foreign")) ||
                     entry->format != FORMAT_KEEPSTEP;
    return known &&
           config_pairs(json_object_get(json, "columns"), &entry->columns, &entry->column_count) &&
           config_texts(json_object_get(json, "joint"), &entry->joint, &entry->joint_count) &&
           entry->entity_type != NULL && entry->topic != NULL &&
           (table == NULL || entry->table != NULL) &&
           (key == NULL || entry->partition_key != NULL) &&
           (fill_from == NULL || entry->fill_from != NULL);
}

static bool config_entries(const struct config_entry_defaults *defaults, const json_t *object,
                           struct config_entry **ret_entries, size_t *ret_count)
{
    const char *name;
    json_t *value;
    size_t count = 0;
    struct config_entry *entries = calloc(json_object_size(object) + 1, sizeof *entries);
    bool ok = entries != NULL;
    *ret_entries = entries;
    json_object_foreach((json_t *)(uintptr_t)object, name, value)
    {
        if (!ok)
            break;
        ok = config_entry_read(defaults, name, value, &entries[count]);
        *ret_count = ++count;
    }
    return ok;
}

static bool config_both_entries(struct config *config, const json_t *tree)
{
    bool whole = config->transactions == TRANSACTIONS_WHOLE;
    const struct config_entry_defaults applied = {.topic_prefix = config->topic_prefix,
                                                  .partitions = CONFIG_PARTITIONS};
    struct config_entry_defaults published = applied;
    if (whole) {
        published.topic_name = config->service;
        published.partitions = CONFIG_PARTITIONS_WHOLE;
    }
    return config_entries(&published, json_object_get(tree, "publish"), &config->publish,
                          &config->publish_count) &&
           config_entries(&applied, json_object_get(tree, "apply"), &config->apply,
                          &config->apply_count);
}

static bool config_database(struct config *config, const json_t *tree)
{
    const char *url = json_string_value(json_object_get(tree, "database"));
    const char *rest = url == NULL ? NULL : strchr(url, ':');
    if (rest == NULL)
        return false;
    bool is_path = strncmp(url, "sqlite:", strlen("sqlite:")) == 0;
    config->database_path = is_path ? config_absolute(rest + 1, config->path) : strdup(url);
    if (config->database_path == NULL)
        return false;
    if (is_path && asprintf(&config->database, "sqlite:%s", config->database_path) < 0)
        config->database = NULL;
    else if (!is_path)
        config->database = strdup(url);
    if (config->database != NULL)
        config->database_shown = config_database_shown(config->database);
    return config->database_shown != NULL;
}

static char *config_control_topic(const json_t *tree, const char *prefix)
{
    const char *given = json_string_value(config_get(tree, "control_topic"));
    char *text = NULL;
    if (given != NULL)
        return strdup(given);
    return asprintf(&text, "%skeepstep", prefix) < 0 ? NULL : text;
}

/* @return "" where no entry takes part in joint transactions. */
static char *config_joint_topic(const json_t *tree, const char *prefix)
{
    char *text = NULL;
    if (!config_has_joint(tree))
        return strdup("");
    return asprintf(&text, "%s" CONFIG_JOINT_TOPIC, prefix) < 0 ? NULL : text;
}

/* @return the path that an option names, absolute; "" where it names none. */
static char *config_path(const json_t *tree, const char *key, const char *file)
{
    char *text = config_text(tree, key);
    if (text == NULL || text[0] == '\0')
        return text;
    char *path = config_absolute(text, file);
    free(text);
    return path;
}

bool config_build(const json_t *tree, const json_t *secret_files, struct config *config)
{
    config->service = config_text(tree, "service");
    config->topic_prefix = config_text(tree, "topic_prefix");
    config->control_topic = config->topic_prefix == NULL
                                ? NULL
                                : config_control_topic(tree, config->topic_prefix);
    config->joint_topic = config->topic_prefix == NULL
                              ? NULL
                              : config_joint_topic(tree, config->topic_prefix);
    config->instance = config_text(tree, "instance");
    config->listen = config_text(tree, "listen");
    config->listen_hosts = config_text(tree, "listen_hosts");
    config->listen_token = config_text(tree, "listen_token");
    config->listen_token_file = config_path(tree, "listen_token_file", config->path);
    config->log_level = config_text(tree, "log.level");
    config->log_format = config_text(tree, "log.format");
    config->schemas = config_path(tree, "schemas", config->path);
    config->transactions = config_is_whole(tree) ? TRANSACTIONS_WHOLE : TRANSACTIONS_SINGLE;
    config->verify_every_s = config_integer(tree, "verify.every_s");
    config->topics = (struct topic_choice){
        .replication_factor = config_integer(tree, "topics.replication_factor"),
        .min_insync_replicas = config_integer(tree, "topics.min_insync_replicas"),
        .retention_s = config_integer(tree, "topics.retention_s"),
        .retention_bytes = config_integer(tree, "topics.retention_bytes"),
        .record_bytes = config_integer(tree, "limits.message_bytes"),
    };
    config->limits = (struct config_limits){
        .batch_events = config_integer(tree, "limits.batch_events"),
        .batch_bytes = config_integer(tree, "limits.batch_bytes"),
        .batch_time_ms = config_batch_time(tree),
        .message_bytes = config_integer(tree, "limits.message_bytes"),
        .parked_entities = config_integer(tree, "limits.parked_entities"),
        .parked_records = config_integer(tree, "limits.parked_records"),
        .parked_bytes = config_integer(tree, "limits.parked_bytes"),
        .parked_skipped_retention_s = config_integer(tree, "limits.parked_skipped_retention_s"),
        .outbox_retention_s = config_integer(tree, "limits.outbox_retention_s"),
        .idempotency_window_s = config_integer(tree, "limits.idempotency_window_s"),
        .open_entities = config_integer(tree, "limits.open_entities"),
        .behind_records = config_integer(tree, "limits.behind_records"),
        .scan_time_s = config_integer(tree, "limits.scan_time_s"),
        .scan_rows_s = config_integer(tree, "limits.scan_rows_s"),
        .snapshots = config_integer(tree, "limits.snapshots"),
        .changeset_events = config_integer(tree, "limits.changeset_events"),
        .changeset_bytes = config_integer(tree, "limits.changeset_bytes"),
        .joint_open = config_integer(tree, "limits.joint_open"),
        .joint_retention_s = config_integer(tree, "limits.joint_retention_s"),
    };
    return config->service != NULL && config->topic_prefix != NULL &&
           config->control_topic != NULL && config->joint_topic != NULL &&
           config->instance != NULL && config->listen != NULL && config->listen_hosts != NULL &&
           config->listen_token != NULL && config->listen_token_file != NULL &&
           config->log_level != NULL && config->log_format != NULL && config->schemas != NULL &&
           config_database(config, tree) &&
           config_pairs(secret_files, &config->secret_files, &config->secret_file_count) &&
           config_kafka(config, json_object_get(tree, "kafka")) &&
           config_both_entries(config, tree) &&
           config_texts(json_object_get(tree, "ignore"), &config->ignore, &config->ignore_count);
}
