/* Finds what is wrong in a configuration: unknown keys, bad values, broken rules. */
#include "schemas/config/internal.h"

#include "schemas/json_schema/json_schema.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#define CONFIG_NAME_SIZE    64
#define CONFIG_TOPIC_SIZE   512
#define CONFIG_DISTANCE_MAX 4 /* a name this far from another is no misspelling of it */

void config_place(const struct config_marks *marks, const char *pointer, struct error *err)
{
    const struct config_mark *mark = config_marks_find(marks, pointer);
    if (mark != NULL)
        error_prefix(err, "%zu:%zu", mark->line, mark->column);
}

/* @return the Levenshtein distance; a large number where a name is too long to compare. */
static size_t config_distance(const char *a, const char *b)
{
    size_t row[CONFIG_NAME_SIZE];
    size_t length = strlen(b);
    if (length >= CONFIG_NAME_SIZE)
        return SIZE_MAX;
    for (size_t j = 0; j <= length; j++)
        row[j] = j;
    for (size_t i = 1; a[i - 1] != '\0'; i++) {
        size_t corner = row[0];
        row[0] = i;
        for (size_t j = 1; j <= length; j++) {
            size_t above = row[j];
            size_t best = corner + (a[i - 1] != b[j - 1]);
            best = above + 1 < best ? above + 1 : best;
            row[j] = row[j - 1] + 1 < best ? row[j - 1] + 1 : best;
            corner = above;
        }
    }
    return row[length];
}

/* Keep a known name if it is nearer than the best so far. */
static void config_compare(const char *name, const char *known, size_t *least, const char **nearest)
{
    size_t distance = config_distance(name, known);
    if (distance < *least && distance < strlen(known)) {
        *least = distance;
        *nearest = known;
    }
}

const char *config_nearest(const char *name, const char *const *names, size_t count)
{
    const char *nearest = NULL;
    size_t least = CONFIG_DISTANCE_MAX;
    for (size_t i = 0; i < count; i++)
        config_compare(name, names[i], &least, &nearest);
    return nearest;
}

const char *config_key_shown(const char *key)
{
    static const char name[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    return key[strspn(key, name)] == '\0' ? key : "***";
}

static enum status config_unknown(const json_t *properties, const char *name, const char *pointer,
                                  const struct config_marks *marks, struct error *err)
{
    const char *nearest = NULL;
    size_t least = CONFIG_DISTANCE_MAX;
    const char *known;
    json_t *ignored;
    json_object_foreach((json_t *)(uintptr_t)properties, known, ignored)
        config_compare(name, known, &least, &nearest);
    (void)ignored;
    if (nearest != NULL)
        (void)error_set(err, STATUS_FATAL, "unknown key \"%s\"; did you mean \"%s\"?",
                        config_key_shown(name), nearest);
    else
        (void)error_set(err, STATUS_FATAL, "unknown key \"%s\"; see docs/CONFIGURATION.md",
                        config_key_shown(name));
    config_place(marks, pointer, err);
    return STATUS_FATAL;
}

static const json_t *config_resolve(const json_t *root, const json_t *schema)
{
    const char *reference = json_string_value(json_object_get(schema, "$ref"));
    const char *prefix = "#/definitions/";
    if (reference == NULL || strncmp(reference, prefix, strlen(prefix)) != 0)
        return schema;
    return json_object_get(json_object_get(root, "definitions"), reference + strlen(prefix));
}

struct config_walk {
    const json_t *root; /* the configuration's schema */
    const struct config_marks *marks;
};

/* Compare tree and schema, because an unknown key gets an error of its own. */
static enum status config_check_keys(const struct config_walk *walk, const json_t *schema,
                                     const json_t *tree, const char *pointer, struct error *err)
{
    const char *name;
    json_t *value;
    schema = config_resolve(walk->root, schema);
    const json_t *properties = json_object_get(schema, "properties");
    const json_t *others = json_object_get(schema, "additionalProperties");
    json_object_foreach((json_t *)(uintptr_t)tree, name, value)
    {
        char child[CONFIG_NAME_SIZE * 8];
        (void)snprintf(child, sizeof child, "%s/%s", pointer, name);
        const json_t *below = json_object_get(properties, name);
        if (below == NULL && json_is_false(others))
            return config_unknown(properties, name, child, walk->marks, err);
        if (below == NULL)
            below = others;
        enum status status = config_check_keys(walk, below, value, child, err);
        if (status != STATUS_OK)
            return status;
    }
    return STATUS_OK;
}

enum status config_refuse_token(const char *place, struct error *err)
{
    return error_set(error_config(err), STATUS_FATAL,
                     CONFIG_TOKEN_KEY
                     " is a secret, and %s must not hold it: put it into a file of "
                     "its own that " CONFIG_TOKEN_KEY "_file names, or into the environment as "
                     "KEEPSTEP_LISTEN_TOKEN",
                     place);
}

enum status config_check_secrets(const json_t *tree, const struct config_marks *marks,
                                 struct error *err)
{
    enum status status = config_database_check(json_string_value(json_object_get(tree, "database")),
                                               "a configuration file", err);
    if (status != STATUS_OK) {
        config_place(marks, "/database", err);
    } else if (json_object_get(tree, CONFIG_TOKEN_KEY) != NULL) {
        status = config_refuse_token("a configuration file", err);
        config_place(marks, "/" CONFIG_TOKEN_KEY, err);
    }
    return status;
}

static enum status config_check_kafka(const json_t *tree, const struct config_marks *marks,
                                      struct error *err)
{
    char pointer[CONFIG_NAME_SIZE * 2];
    const json_t *kafka = json_object_get(tree, "kafka");
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)kafka, name, value)
    {
        const char *nearest = NULL;
        size_t least = CONFIG_DISTANCE_MAX;
        bool known = config_kafka_find(name) != NULL;
        if (known && config_kafka_judge(kafka, name, value, err) == STATUS_OK)
            continue;
        for (size_t i = 0; !known && i < config_kafka_property_count; i++)
            config_compare(name, config_kafka_properties[i].name, &least, &nearest);
        if (!known)
            (void)error_set(err, STATUS_FATAL, "unknown kafka property \"%s\"; %s%s%s",
                            config_key_shown(name),
                            nearest == NULL ? "see docs/CONFIGURATION.md" : "did you mean \"",
                            nearest == NULL ? "" : nearest, nearest == NULL ? "" : "\"?");
        (void)snprintf(pointer, sizeof pointer, "/kafka/%s", name);
        config_place(marks, pointer, err);
        return STATUS_FATAL;
    }
    if (config_kafka_judge_together(kafka, err) == STATUS_OK)
        return STATUS_OK;
    config_place(marks, "/kafka", err);
    return STATUS_FATAL;
}

static bool config_is_foreign(const json_t *entry)
{
    const char *format = json_string_value(json_object_get(entry, "format"));
    return format != NULL && strcmp(format, "keepstep") != 0;
}

/* Foreign records do not name their entity type. The topic decides it, so it has only one. */
static enum status config_check_foreign(const json_t *tree, const struct config_marks *marks,
                                        struct error *err)
{
    const char *name;
    const char *other_name;
    json_t *entry;
    json_t *other;
    char pointer[CONFIG_NAME_SIZE * 4];
    json_object_foreach(json_object_get(tree, "publish"), name, entry)
    {
        if (!config_is_foreign(entry))
            continue;
        (void)snprintf(pointer, sizeof pointer, "/publish/%s/format", name);
        (void)error_set(err, STATUS_FATAL,
                        "format belongs in `apply:`; Keepstep publishes only its own form");
        config_place(marks, pointer, err);
        return STATUS_FATAL;
    }
    json_object_foreach(json_object_get(tree, "apply"), name, entry)
    {
        const char *topic = json_string_value(json_object_get(entry, "topic"));
        const char *format = json_string_value(json_object_get(entry, "format"));
        if (json_object_get(entry, "binary") != NULL &&
            (format == NULL || strcmp(format, "debezium") != 0)) {
            (void)snprintf(pointer, sizeof pointer, "/apply/%s/binary", name);
            (void)error_set(err, STATUS_FATAL, "binary belongs to `format: debezium`");
            config_place(marks, pointer, err);
            return STATUS_FATAL;
        }
        json_object_foreach(json_object_get(tree, "apply"), other_name, other)
        {
            const char *shared = json_string_value(json_object_get(other, "topic"));
            if (entry == other || topic == NULL || shared == NULL || !config_is_foreign(entry) ||
                strcmp(topic, shared) != 0)
                continue;
            (void)snprintf(pointer, sizeof pointer, "/apply/%s/topic", name);
            (void)error_set(err, STATUS_FATAL,
                            "topic %s is applied as \"%s\" too; a foreign topic has one entity "
                            "type",
                            topic, other_name);
            config_place(marks, pointer, err);
            return STATUS_FATAL;
        }
    }
    return STATUS_OK;
}

/* The triggers know the table's name from `publish:`, and the store tells them the one from
 * `apply:`. So both must be the same. An entity type is a table's name, not schema.table. */
static bool config_is_same_table(const char *name, const char *published, const json_t *applied)
{
    const char *table = json_string_value(json_object_get(applied, "table"));
    if (table != NULL)
        return strcmp(table, published) == 0;
    return strcmp(name, published) == 0 && strchr(name, '.') == NULL;
}

/* PostgreSQL accepts schema.table. In MariaDB the triggers and statements use only the URL's
 * database. */
static enum status config_check_dots(const json_t *tree, const struct config_marks *marks,
                                     struct error *err)
{
    static const char *const parts[] = {"publish", "apply"};
    const char *database = json_string_value(json_object_get(tree, "database"));
    const char *name;
    json_t *entry;
    char pointer[CONFIG_NAME_SIZE * 4];
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        json_object_foreach(json_object_get(tree, parts[i]), name, entry)
        {
            const char *table = json_string_value(json_object_get(entry, "table"));
            if (database == NULL || strncmp(database, "mysql:", strlen("mysql:")) != 0 ||
                table == NULL || strchr(table, '.') == NULL)
                continue;
            (void)snprintf(pointer, sizeof pointer, "/%s/%s/table", parts[i], name);
            (void)error_set(err, STATUS_FATAL,
                            "table \"%s\" names a database: in MariaDB the URL does that; write "
                            "the table's name alone",
                            table);
            config_place(marks, pointer, err);
            return STATUS_FATAL;
        }
    }
    return STATUS_OK;
}

static enum status config_check_tables(const json_t *tree, const struct config_marks *marks,
                                       struct error *err)
{
    const char *name;
    json_t *entry;
    char pointer[CONFIG_NAME_SIZE * 4];
    const json_t *apply = json_object_get(tree, "apply");
    json_object_foreach(json_object_get(tree, "publish"), name, entry)
    {
        const char *table = json_string_value(json_object_get(entry, "table"));
        const json_t *applied = json_object_get(apply, name);
        if (table == NULL || applied == NULL || config_is_same_table(name, table, applied))
            continue;
        (void)snprintf(pointer, sizeof pointer, "/apply/%s", name);
        (void)error_set(err, STATUS_FATAL,
                        "entity type %s is published from table \"%s\" and applied to another: "
                        "what is applied would be published again; write \"table: %s\" in both "
                        "entries",
                        name, table, table);
        config_place(marks, pointer, err);
        return STATUS_FATAL;
    }
    return STATUS_OK;
}

static const char *config_applied_table(const char *name, const json_t *entry)
{
    const char *table = json_string_value(json_object_get(entry, "table"));
    return table == NULL ? name : table;
}

/* SQLite's table names ignore case, so the rows of both would be in one table. */
static enum status config_check_case(const json_t *tree, const struct config_marks *marks,
                                     struct error *err)
{
    const char *database = json_string_value(json_object_get(tree, "database"));
    const char *name;
    const char *other_name;
    json_t *entry;
    json_t *other;
    char pointer[CONFIG_NAME_SIZE * 4];
    if (database == NULL || strncmp(database, "sqlite:", strlen("sqlite:")) != 0)
        return STATUS_OK;
    json_object_foreach(json_object_get(tree, "apply"), name, entry)
    {
        const char *table = config_applied_table(name, entry);
        json_object_foreach(json_object_get(tree, "apply"), other_name, other)
        {
            const char *twin = config_applied_table(other_name, other);
            if (strcasecmp(table, twin) != 0 || strcmp(table, twin) == 0)
                continue;
            (void)snprintf(pointer, sizeof pointer, "/apply/%s", name);
            (void)error_set(err, STATUS_FATAL,
                            "%s is applied to table \"%s\" and %s to \"%s\", which is the same "
                            "table in SQLite; write another \"table:\"",
                            name, table, other_name, twin);
            config_place(marks, pointer, err);
            return STATUS_FATAL;
        }
    }
    return STATUS_OK;
}

bool config_is_whole(const json_t *tree)
{
    const char *transactions = json_string_value(json_object_get(tree, "transactions"));
    return transactions != NULL && strcmp(transactions, "whole") == 0;
}

/* @return the topic of a published type under `whole`, in `room` unless the entry names it. */
static const char *config_whole_topic(const json_t *tree, const json_t *entry,
                                      char room[static CONFIG_TOPIC_SIZE])
{
    const char *topic = json_string_value(json_object_get(entry, "topic"));
    const char *prefix = json_string_value(json_object_get(tree, "topic_prefix"));
    if (topic != NULL)
        return topic;
    (void)snprintf(room, CONFIG_TOPIC_SIZE, "%s%s", prefix == NULL ? "" : prefix,
                   json_string_value(json_object_get(tree, "service")));
    return room;
}

/* What is wrong with one published type under `whole`, where `first` is the first one. */
static bool config_refuse_whole(const json_t *tree, const char *name, const char *first,
                                struct error *err)
{
    char room[CONFIG_TOPIC_SIZE];
    char first_room[CONFIG_TOPIC_SIZE];
    const json_t *publish = json_object_get(tree, "publish");
    const json_t *entry = json_object_get(publish, name);
    const char *topic = config_whole_topic(tree, entry, room);
    const char *shared = config_whole_topic(tree, json_object_get(publish, first), first_room);
    json_int_t partitions = json_integer_value(json_object_get(entry, "partitions"));
    json_int_t others = json_integer_value(
        json_object_get(json_object_get(publish, first), "partitions"));
    if (strcmp(topic, shared) != 0)
        (void)error_set(
            err, STATUS_FATAL,
            "`transactions: whole` needs one topic for all published types, but %s has "
            "%s and %s has %s: take \"topic:\" out of all entries, or write the same in "
            "all",
            first, shared, name, topic);
    else if ((partitions > 1 ? partitions : 1) != (others > 1 ? others : 1))
        (void)error_set(err, STATUS_FATAL,
                        "%s and %s share topic %s (`transactions: whole`), so write the same "
                        "\"partitions:\" in both entries",
                        first, name, topic);
    else if (partitions > 1 && json_object_get(entry, "partition_key") == NULL)
        (void)error_set(err, STATUS_FATAL,
                        "`transactions: whole` keeps a transaction together in one partition only: "
                        "take \"partitions:\" out, or give every entry a \"partition_key:\"");
    else if (json_object_get(json_object_get(tree, "apply"), name) != NULL)
        (void)error_set(err, STATUS_FATAL,
                        "%s is published under `transactions: whole` and applied too, but such a "
                        "topic has one writer: take %s out of \"apply:\"",
                        name, name);
    else
        return false;
    return true;
}

static enum status config_check_whole(const json_t *tree, const struct config_marks *marks,
                                      struct error *err)
{
    const char *name;
    const char *first = NULL;
    json_t *entry;
    char pointer[CONFIG_NAME_SIZE * 4];
    if (!config_is_whole(tree))
        return STATUS_OK;
    json_object_foreach(json_object_get(tree, "publish"), name, entry)
    {
        if (first == NULL)
            first = name;
        if (!config_refuse_whole(tree, name, first, err))
            continue;
        (void)snprintf(pointer, sizeof pointer, "/publish/%s", name);
        config_place(marks, pointer, err);
        return STATUS_FATAL;
    }
    return STATUS_OK;
}

static enum status config_check_schema(const json_t *schema, const json_t *tree,
                                       const struct config_marks *marks, struct error *err)
{
    struct json_schema *compiled = NULL;
    struct error own = ERROR_INIT;
    char pointer[ERROR_TEXT_SIZE];
    enum status status = json_schema_new(schema, NULL, &compiled, err);
    if (status != STATUS_OK)
        return status;
    if (json_schema_validate(compiled, tree, &own) != STATUS_OK) {
        (void)snprintf(pointer, sizeof pointer, "%.*s", (int)strcspn(own.text, ":"), own.text);
        const char *last = strrchr(pointer, '/');
        bool columns = last != NULL && strcmp(last, "/columns") == 0;
        status = error_set(err, STATUS_FATAL, "%s; %s", own.text,
                           columns ? "write the renamed ones alone, as columns: {SCHEMA_COLUMN: "
                                     "TABLE_COLUMN}"
                                   : "see docs/CONFIGURATION.md");
        config_place(marks, pointer, err);
    }
    json_schema_free(compiled);
    return status;
}

enum status config_check(const json_t *tree, const struct config_marks *marks, struct error *err)
{
    json_t *schema = json_loads(config_schema_json, JSON_LOAD_FLAGS, NULL);
    if (schema == NULL)
        return error_set(err, STATUS_FATAL, "the built-in configuration schema is not JSON");
    enum status status = config_check_keys(&(struct config_walk){schema, marks}, schema, tree, "",
                                           err);
    if (status == STATUS_OK)
        status = config_check_kafka(tree, marks, err);
    if (status == STATUS_OK)
        status = config_check_schema(schema, tree, marks, err);
    if (status == STATUS_OK)
        status = config_check_foreign(tree, marks, err);
    if (status == STATUS_OK)
        status = config_check_tables(tree, marks, err);
    if (status == STATUS_OK)
        status = config_check_dots(tree, marks, err);
    if (status == STATUS_OK)
        status = config_check_case(tree, marks, err);
    if (status == STATUS_OK)
        status = config_check_whole(tree, marks, err);
    if (status == STATUS_OK)
        status = config_check_joint(tree, marks, err);
    json_decref(schema);
    return status;
}
