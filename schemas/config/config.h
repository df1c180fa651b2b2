/* One service's configuration as plain structs; YAML, validation and defaults are behind it. */
#ifndef SCHEMAS_CONFIG_CONFIG_H
#define SCHEMAS_CONFIG_CONFIG_H

#include "common/buffer.h"
#include "common/status.h"
#include "common/text_pair.h"
#include "schemas/record/format.h"

#include <stdint.h>

enum config_start { CONFIG_START_NONE, CONFIG_START_EARLIEST, CONFIG_START_LATEST };

/** An entry of `publish:` or `apply:`. */
struct config_entry {
    char *entity_type;
    char *table;         /* NULL: publish only what is written to the outbox by hand */
    char *topic;         /* always set: topic_prefix + entity type where the file names none */
    char *partition_key; /* column whose value is the record key, NULL: the entity key */
    struct text_pair *columns; /* schema column → table column; only the renamed ones */
    size_t column_count;
    int32_t partitions; /* 6 unless given */
    enum config_start start;
    bool before;
    bool foreign; /* another program writes the topic: its partitions are not checked */
    enum record_format format;
    enum record_binary binary; /* of format debezium */
};

struct config_limits {
    int64_t batch_events;               /* default 5000 */
    int64_t batch_bytes;                /* default 4 MiB */
    int64_t batch_time_ms;              /* beside an outbox; default 10, on a server 50 */
    int64_t message_bytes;              /* default 1,000,000 */
    int64_t parked_entities;            /* a partition; default 1000 */
    int64_t parked_records;             /* a partition; default 10000 */
    int64_t parked_bytes;               /* a partition; default 256 MiB */
    int64_t outbox_retention_s;         /* default 86400 */
    int64_t parked_skipped_retention_s; /* default 30 days; 0: for ever */
    int64_t idempotency_window_s;       /* 0: keep single keys for ever (default) */
};

struct config {
    char *path;     /* of the file */
    char *service;  /* becomes ce_source */
    char *database; /* URL, with a path made absolute: "sqlite:/…/shop.db"; may hold a password */
    char *database_path;  /* of a file the path alone, else the whole URL */
    char *database_shown; /* the URL for people: database_url_show() */
    char *topic_prefix;   /* "" unless given */
    char *schemas;        /* folder, absolute; default "schemas" beside the file */
    char *instance;       /* default "1" */
    char *listen;         /* default "127.0.0.1:9464"; "" switches HTTP off */
    char *log_level;
    char *log_format;
    struct text_pair *kafka; /* librdkafka properties */
    size_t kafka_count;
    struct config_entry *publish;
    size_t publish_count;
    struct config_entry *apply;
    size_t apply_count;
    char **ignore;
    size_t ignore_count;
    struct config_limits limits;
    char *unknown_variables; /* a sentence about what the environment misspells; NULL: nothing */
};

/** Flags as "key=value" with dotted keys ("listen=…", "kafka.bootstrap.servers=…"), strongest
 * first. Precedence: overrides > environment (KEEPSTEP_…) > file > default.
 * @return OK; FATAL with exit code 78 and text "FILE:LINE:COLUMN: what is wrong; what to do". */
enum status config_load(const char *path, const char *const *overrides, size_t override_count,
                        struct config **ret_config, struct error *err) MUST_CHECK;
void config_free(struct config *config);

/** A URL that cannot be read is refused, and so is a password where others can read it: `place`
 * names that place, NULL is a place for one. NULL as URL is none. @return OK; FATAL, without the
 * URL in its text. */
enum status config_database_check(const char *url, const char *place, struct error *err) MUST_CHECK;

/** @return which of the names is so near that a misspelling of it is meant; NULL. */
const char *config_nearest(const char *name, const char *const *names, size_t count);

/** @return whether the value of a property of `kafka:` is a secret, or may hold one. */
bool config_kafka_is_secret(const char *name);

/** @return the dotted key of a plain option, by its number from 0 on; NULL past the last one. */
const char *config_option_key(size_t index);

/** Append the text of docs/CONFIGURATION.md. */
void config_describe(struct buffer *out);

/** @return the entry or NULL. */
const struct config_entry *config_find(const struct config_entry *entries, size_t count,
                                       const char *entity_type, size_t length);

/** @return the table column of a schema column. */
const char *config_column(const struct config_entry *entry, const char *schema_column);

#endif
