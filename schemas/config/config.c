/* Loads a configuration. The environment overrides the file, and flags override both. */
#include "schemas/config/config.h"

#include "schemas/config/internal.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CONFIG_FILE_SIZE_MAX ((size_t)1024 * 1024)
#define CONFIG_FILE_SUFFIX   "_file"

static enum status config_read_file(const char *path, struct buffer *text, struct error *err)
{
    char part[4096];
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return error_set(err, STATUS_FATAL, "%s", strerror(errno));
    size_t got;
    while ((got = fread(part, 1, sizeof part, file)) > 0)
        buffer_append(text, part, got);
    bool ok = ferror(file) == 0 && !text->failed;
    (void)fclose(file);
    return ok ? STATUS_OK : error_set(err, STATUS_FATAL, "cannot be read, or larger than 1 MiB");
}

const struct config_option *config_option_find(const char *key)
{
    for (size_t i = 0; i < config_option_count; i++) {
        if (strcmp(config_options[i].key, key) == 0)
            return &config_options[i];
    }
    return NULL;
}

/* Set "log.level", "kafka.bootstrap.servers", … to a text. */
static enum status config_set(json_t *tree, const char *key, const char *text, struct error *err)
{
    const char *kafka = "kafka.";
    bool is_kafka = strncmp(key, kafka, strlen(kafka)) == 0 && key[strlen(kafka)] != '\0';
    const struct config_option *option = config_option_find(key);
    if (option == NULL && !is_kafka && strcmp(key, "database_file") != 0)
        return error_set(err, STATUS_FATAL, "unknown option \"%s\"", config_key_shown(key));
    char *end = NULL;
    errno = 0;
    long long number = option != NULL && option->is_integer ? strtoll(text, &end, 10) : 0;
    if (end != NULL && (end == text || *end != '\0' || errno != 0))
        return error_set(err, STATUS_FATAL, "%s: not a whole number", key);
    json_t *value = end != NULL ? json_integer(number) : json_string(text);
    json_t *object = tree;
    const char *dot = strchr(key, '.');
    if (dot != NULL) {
        char section[CONFIG_KEY_SIZE];
        (void)snprintf(section, sizeof section, "%.*s", (int)(dot - key), key);
        object = json_object_get(tree, section);
        if (!json_is_object(object)) {
            object = json_object();
            if (json_object_set_new(tree, section, object) != 0)
                object = NULL;
        }
        key = dot + 1;
    }
    if (value == NULL || json_object_set_new(object, key, value) != 0)
        return error_set(err, STATUS_FATAL, "%s: not UTF-8, or out of memory", key);
    return STATUS_OK;
}

static enum status config_set_environment(json_t *tree, struct error *err)
{
    for (char **at = environ; at != NULL && *at != NULL; at++) {
        char key[CONFIG_KEY_SIZE];
        if (config_environment_key(*at, key) != CONFIG_VARIABLE_KEY)
            continue;
        const char *equals = strchr(*at, '=');
        enum status status = config_set(tree, key, equals + 1, err);
        if (status != STATUS_OK) {
            error_prefix(err, "environment %.*s", (int)(equals - *at), *at);
            return status;
        }
    }
    return STATUS_OK;
}

static enum status config_set_overrides(json_t *tree, const char *const *overrides, size_t count,
                                        struct error *err)
{
    for (size_t i = count; i > 0; i--) {
        char key[CONFIG_KEY_SIZE];
        const char *equals = strchr(overrides[i - 1], '=');
        if (equals == NULL || (size_t)(equals - overrides[i - 1]) >= sizeof key)
            return error_set(err, STATUS_FATAL, "flag: write KEY=VALUE");
        (void)snprintf(key, sizeof key, "%.*s", (int)(equals - overrides[i - 1]), overrides[i - 1]);
        enum status status = STATUS_OK;
        if (strcmp(key, "database") == 0)
            status = config_database_check(equals + 1, "a command line", err);
        if (strncmp(key, "kafka.", strlen("kafka.")) == 0 &&
            config_kafka_is_secret(key + strlen("kafka.")))
            status = error_set(err, STATUS_FATAL,
                               "%s is a secret, which does not belong on a command line: name a "
                               "file that holds it by %s" CONFIG_FILE_SUFFIX,
                               config_key_shown(key), config_key_shown(key));
        if (strcmp(key, CONFIG_TOKEN_KEY) == 0)
            status = config_refuse_token("a command line", err);
        if (status == STATUS_OK)
            status = config_set(tree, key, equals + 1, err);
        if (status != STATUS_OK) {
            error_prefix(err, "flag");
            return status;
        }
    }
    return STATUS_OK;
}

bool config_kafka_is_secret(const char *name)
{
    size_t length = strlen(name);
    size_t suffix = strlen(CONFIG_FILE_SUFFIX);
    if (length > suffix && strcmp(name + length - suffix, CONFIG_FILE_SUFFIX) == 0)
        return false; /* the path of a secret */
    return strstr(name, "password") != NULL || strstr(name, "secret") != NULL ||
           strstr(name, "sasl.oauthbearer") != NULL || strstr(name, ".pem") != NULL;
}

/* What was read: the configuration, and the files that it names for secrets. */
struct config_trees {
    json_t *tree;
    json_t *secret_files;
};

/* Replace "NAME_file": PATH by "NAME": content, unless that is an option itself. Errors do not show
 * the path, because it may be a secret in the wrong place. */
static enum status config_set_secrets(json_t *object, const char *section, const char *file,
                                      json_t *secret_files, struct error *err)
{
    void *at = json_object_iter(object);
    while (at != NULL) {
        char name[CONFIG_KEY_SIZE];
        char path[PATH_MAX];
        struct buffer text;
        (void)snprintf(name, sizeof name, "%s", json_object_iter_key(at));
        const char *value = json_string_value(json_object_iter_value(at));
        at = json_object_iter_next(object, at);
        size_t length = strlen(name);
        size_t suffix = strlen(CONFIG_FILE_SUFFIX);
        if (value == NULL || length <= suffix ||
            strcmp(name + length - suffix, CONFIG_FILE_SUFFIX) != 0 ||
            (section[0] == '\0' && config_option_find(name) != NULL))
            continue;
        const char *slash = strrchr(file, '/');
        (void)snprintf(path, sizeof path, "%.*s%s",
                       *value == '/' || slash == NULL ? 0 : (int)(slash - file + 1), file, value);
        buffer_init(&text, CONFIG_FILE_SIZE_MAX);
        enum status status = config_read_file(path, &text, err);
        while (text.length > 0 && strchr("\r\n", text.data[text.length - 1]) != NULL)
            text.length--;
        char key[CONFIG_KEY_SIZE * 2];
        (void)snprintf(key, sizeof key, "%s%s", section, name);
        if (json_object_set_new(secret_files, key, json_string(path)) != 0)
            status = error_set(err, STATUS_FATAL, "out of memory, or not UTF-8");
        (void)json_object_del(object, name);
        name[length - suffix] = '\0';
        if (status == STATUS_OK &&
            json_object_set_new(object, name, json_stringn(buffer_text(&text), text.length)) != 0)
            status = error_set(err, STATUS_FATAL, "not UTF-8");
        buffer_done(&text);
        if (status != STATUS_OK) {
            error_prefix(err, "the file that %s%s" CONFIG_FILE_SUFFIX " names", section,
                         config_key_shown(name));
            return status;
        }
        at = json_object_iter(object);
    }
    return STATUS_OK;
}

/* What wins over the file. */
struct config_layers {
    bool environment;
    const char *const *overrides;
    size_t override_count;
};

static enum status config_load_tree(const char *path, const struct config_layers *layers,
                                    struct config_trees *ret_trees, struct error *err)
{
    struct buffer text;
    struct config_marks marks = {0};
    json_t *tree = NULL;
    json_t *secret_files = json_object();

    buffer_init(&text, CONFIG_FILE_SIZE_MAX);
    enum status status = config_read_file(path, &text, err);
    if (status == STATUS_OK)
        status = config_yaml_parse(buffer_text(&text), text.length, &tree, &marks, err);
    if (status == STATUS_OK && !json_is_object(tree))
        status = error_set(err, STATUS_FATAL, "1:1: the file must hold keys and values");
    if (status == STATUS_OK)
        status = config_check_secrets(tree, &marks, err);
    if (status == STATUS_OK && layers->environment)
        status = config_set_environment(tree, err);
    if (status == STATUS_OK)
        status = config_set_overrides(tree, layers->overrides, layers->override_count, err);
    if (status == STATUS_OK)
        status = config_set_secrets(tree, "", path, secret_files, err);
    if (status == STATUS_OK)
        status = config_set_secrets(json_object_get(tree, "kafka"), "kafka.", path, secret_files,
                                    err);
    if (status == STATUS_OK)
        status = config_database_check(json_string_value(json_object_get(tree, "database")), NULL,
                                       err);
    if (status == STATUS_OK)
        status = config_check(tree, &marks, err);
    config_marks_done(&marks);
    buffer_done(&text);
    if (status == STATUS_OK) {
        *ret_trees = (struct config_trees){tree, secret_files};
        return status;
    }
    json_decref(tree);
    json_decref(secret_files);
    return status;
}

/* Records of members or of joint transactions among change events would stop every agent that reads
 * the topic. @param name  what Keepstep itself needs the topic for. */
static enum status config_check_topic(const struct config *config, const char *name,
                                      const char *topic, struct error *err)
{
    for (size_t i = 0; i < config->publish_count + config->apply_count; i++) {
        bool published = i < config->publish_count;
        const struct config_entry *entry = published ? &config->publish[i]
                                                     : &config->apply[i - config->publish_count];
        if (strcmp(entry->topic, topic) == 0)
            return error_set(error_config(err), STATUS_FATAL,
                             "%s: %s: %s is the topic of %s.%s too; give one of the two "
                             "another name",
                             config->path, name, topic, published ? "publish" : "apply",
                             entry->entity_type);
    }
    return STATUS_OK;
}

static enum status config_check_topics(const struct config *config, struct error *err)
{
    enum status status = config_check_topic(config, "control_topic", config->control_topic, err);
    if (status == STATUS_OK)
        status = config_check_topic(config, "joint", config->joint_topic, err);
    if (status == STATUS_OK && config_is_joint(config) &&
        strcmp(config->control_topic, config->joint_topic) == 0)
        status = error_set(error_config(err), STATUS_FATAL,
                           "%s: control_topic: %s is the topic of joint transactions; give it "
                           "another name",
                           config->path, config->control_topic);
    return status;
}

static enum status config_load_layers(const char *path, const struct config_layers *layers,
                                      struct config **ret_config, struct error *err)
{
    enum status status;
    struct config_trees trees = {0};
    struct error own = ERROR_INIT; /* its text can begin with LINE:COLUMN */
    struct config *config = calloc(1, sizeof *config);

    if (config == NULL) {
        status = error_set(err, STATUS_FATAL, "out of memory");
        goto out;
    }
    if (strstr(path, "://") != NULL) {
        status = error_set(error_config(err), STATUS_FATAL,
                           "name the configuration by the path of its file, not by a URL");
        goto out;
    }
    status = json_check_memory(config_load_tree(path, layers, &trees, &own), &own);
    if (status != STATUS_OK) {
        bool placed = isdigit((unsigned char)own.text[0]) != 0;
        status = error_set(error_config(err), STATUS_FATAL, "%s:%s%s", path, placed ? "" : " ",
                           own.text);
        goto out;
    }
    config->path = realpath(path, NULL);
    if (config->path == NULL || !config_build(trees.tree, trees.secret_files, config) ||
        (layers->environment && !config_environment_unknown(&config->unknown_variables))) {
        status = error_set(err, STATUS_FATAL, "%s: out of memory", path);
        goto out;
    }
    status = config_check_topics(config, err);
    if (status != STATUS_OK)
        goto out;
    *ret_config = config;
    config = NULL;
out:
    json_decref(trees.tree);
    json_decref(trees.secret_files);
    config_free(config);
    return status;
}

enum status config_load(const char *path, const char *const *overrides, size_t override_count,
                        struct config **ret_config, struct error *err)
{
    const struct config_layers layers = {true, overrides, override_count};
    return config_load_layers(path, &layers, ret_config, err);
}

enum status config_load_file(const char *path, struct config **ret_config, struct error *err)
{
    const struct config_layers layers = {.environment = false};
    return config_load_layers(path, &layers, ret_config, err);
}

static void config_pairs_free(struct text_pair *pairs, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        free((char *)(uintptr_t)pairs[i].name);
        free((char *)(uintptr_t)pairs[i].value);
    }
    free(pairs);
}

static void config_texts_free(char **texts, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(texts[i]);
    free(texts);
}

static void config_entries_free(struct config_entry *entries, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        free(entries[i].entity_type);
        free(entries[i].table);
        free(entries[i].topic);
        free(entries[i].partition_key);
        free(entries[i].fill_from);
        config_texts_free(entries[i].joint, entries[i].joint_count);
        config_pairs_free(entries[i].columns, entries[i].column_count);
    }
    free(entries);
}

void config_free(struct config *config)
{
    if (config == NULL)
        return;
    config_pairs_free(config->secret_files, config->secret_file_count);
    config_pairs_free(config->kafka, config->kafka_count);
    config_entries_free(config->publish, config->publish_count);
    config_entries_free(config->apply, config->apply_count);
    config_texts_free(config->ignore, config->ignore_count);
    free(config->path);
    free(config->service);
    free(config->database);
    free(config->database_path);
    free(config->database_shown);
    free(config->topic_prefix);
    free(config->control_topic);
    free(config->joint_topic);
    free(config->schemas);
    free(config->instance);
    free(config->listen);
    free(config->listen_hosts);
    free(config->listen_token);
    free(config->listen_token_file);
    free(config->log_level);
    free(config->log_format);
    free(config->unknown_variables);
    free(config);
}

bool config_is_joint(const struct config *config)
{
    return config->joint_topic != NULL && config->joint_topic[0] != '\0';
}

const struct config_entry *config_find(const struct config_entry *entries, size_t count,
                                       const char *entity_type, size_t length)
{
    for (size_t i = 0; i < count; i++) {
        if (strlen(entries[i].entity_type) == length &&
            memcmp(entries[i].entity_type, entity_type, length) == 0)
            return &entries[i];
    }
    return NULL;
}

const char *config_column(const struct config_entry *entry, const char *schema_column)
{
    for (size_t i = 0; i < entry->column_count; i++) {
        if (strcmp(entry->columns[i].name, schema_column) == 0)
            return entry->columns[i].value;
    }
    return schema_column;
}
