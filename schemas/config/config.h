/* One service's configuration as plain structs, with defaults filled in. */
#ifndef SCHEMAS_CONFIG_CONFIG_H
#define SCHEMAS_CONFIG_CONFIG_H

#include "common/buffer.h"
#include "common/status.h"
#include "common/text_pair.h"
#include "common/topic_design.h"
#include "schemas/record/format.h"

#include <stdint.h>

enum config_start { CONFIG_START_NONE, CONFIG_START_EARLIEST, CONFIG_START_LATEST };

/** Whether a service's transactions are published whole (rule 50). */
enum config_transactions { TRANSACTIONS_SINGLE, TRANSACTIONS_WHOLE };

/** Whether a copy without a position is filled with another one's rows (rule 38). */
enum config_fill { CONFIG_FILL_AUTO, CONFIG_FILL_ALWAYS, CONFIG_FILL_NEVER };

/** An entry of `publish:` or `apply:`. */
struct config_entry {
    char *entity_type;
    char *table; /* NULL: publish only rows that the service itself writes to the outbox */
    /** Never NULL. By default topic_prefix + entity type; of a published type under `whole`
     * topic_prefix + service. */
    char *topic;
    char *partition_key;       /* column whose value is the record key; NULL: the entity key */
    struct text_pair *columns; /* schema column → table column, where renamed */
    size_t column_count;
    int32_t partitions; /* 6 unless given; under `whole` 1 */
    enum config_start start;
    enum config_fill fill; /* default CONFIG_FILL_AUTO */
    char *fill_from;       /* the service to ask for rows; NULL: whoever suits best */
    char **joint; /* of publish: the services that may propose changes of the type (rule 72) */
    size_t joint_count;
    bool is_joint; /* the list was given; it may be empty: only this service itself */
    bool before;
    bool foreign; /* another program writes the topic, so its partitions are not checked */
    enum record_format format;
    enum record_binary binary; /* of format debezium */
};

struct config_limits {
    int64_t batch_events;               /* default 2500 */
    int64_t batch_bytes;                /* default 4 MiB */
    int64_t batch_time_ms;              /* with an outbox; default 10, on a server 50 */
    int64_t message_bytes;              /* default 1,000,000 */
    int64_t parked_entities;            /* for each partition; default 1000 */
    int64_t parked_records;             /* for each partition; default 10000 */
    int64_t parked_bytes;               /* for each partition; default 256 MiB */
    int64_t outbox_retention_s;         /* default 86400 */
    int64_t parked_skipped_retention_s; /* default 30 days; 0: for ever */
    int64_t idempotency_window_s;       /* default 0: keep single keys for ever */
    int64_t open_entities;              /* that a comparison leaves out; default 50000 */
    int64_t behind_records;             /* of a copy that is compared; default 100000 */
    int64_t scan_time_s;                /* of one reading of a table; default 600 */
    int64_t scan_rows_s;                /* read a second of it; default 0: no limit */
    int64_t snapshots;                  /* open for other services; default 4; 0: no answers */
    int64_t changeset_events;           /* of a change set, claimed at once; default 20000 */
    int64_t changeset_bytes;            /* of its payloads; default 8 MiB */
    int64_t joint_open;        /* undecided joint transactions before votes are no; default 1000 */
    int64_t joint_retention_s; /* of decided ones' changes; default 604800 */
};

struct config {
    char *path;          /* of the file */
    char *service;       /* becomes ce_source */
    char *database;      /* URL with an absolute path: "sqlite:/…/shop.db"; may hold a password */
    char *database_path; /* a file's path, otherwise the whole URL */
    char *database_shown;    /* the URL for people: database_url_show() */
    char *topic_prefix;      /* "" unless given */
    char *control_topic;     /* topic_prefix + "keepstep" unless given; "": none */
    char *joint_topic;       /* topic_prefix + "keepstep-joint"; "": it takes no part (rule 60) */
    char *schemas;           /* absolute path; default "schemas" in the file's folder */
    char *instance;          /* default "1" */
    char *listen;            /* default "127.0.0.1:9464"; "" switches HTTP off */
    char *listen_hosts;      /* "shop.example,shop"; "" unless given */
    char *listen_token_file; /* absolute path; "" unless given. The file was not read */
    char *listen_token;      /* "" unless given */
    char *log_level;
    char *log_format;
    struct text_pair
        *secret_files; /* "kafka.sasl.password_file" → path of the file that was read */
    size_t secret_file_count;
    struct text_pair *kafka; /* librdkafka properties */
    size_t kafka_count;
    enum config_transactions transactions; /* TRANSACTIONS_SINGLE unless given */
    struct config_entry *publish;
    size_t publish_count;
    struct config_entry *apply;
    size_t apply_count;
    char **ignore;
    size_t ignore_count;
    int64_t verify_every_s;     /* default 0: the sidecar does not compare by itself */
    struct topic_choice topics; /* for topics that are made */
    struct config_limits limits;
    char *unknown_variables; /* a sentence about misspelt variables; NULL: none */
};

/** Load a configuration. Overrides (flags) win over the environment (KEEPSTEP_…), the environment
 * over the file, the file over the default. An override is "key=value" with a dotted key
 * ("listen=…", "kafka.bootstrap.servers=…"); earlier ones win.
 * @return OK; FATAL with exit code 78 and text "FILE:LINE:COLUMN: what is wrong; what to do". */
enum status config_load(const char *path, const char *const *overrides, size_t override_count,
                        struct config **ret_config, struct error *err) MUST_CHECK;

/** The same from the file alone: the environment is meant for one service, and this is another. */
enum status config_load_file(const char *path, struct config **ret_config,
                             struct error *err) MUST_CHECK;
void config_free(struct config *config);

/** Refuse a URL that cannot be read, or that holds a password where others can read it. A NULL URL
 * is OK.
 * @param place  the place that others can read; NULL: a password is allowed here.
 * @return OK; FATAL. The text holds nothing of the URL. */
enum status config_database_check(const char *url, const char *place, struct error *err) MUST_CHECK;

/** @return the known name that a misspelt name is nearest to; NULL where none is near. */
const char *config_nearest(const char *name, const char *const *names, size_t count);

/** @return whether the value of a `kafka:` property is a secret or may hold one. */
bool config_kafka_is_secret(const char *name);

/** @return the dotted key of a plain option, by its number from 0 on; NULL after the last one. */
const char *config_option_key(size_t index);

/** Append the text of docs/CONFIGURATION.md. */
void config_describe(struct buffer *out);

/** @return the entry; NULL where there is none. */
const struct config_entry *config_find(const struct config_entry *entries, size_t count,
                                       const char *entity_type, size_t length);

/** @return whether the service takes part in joint transactions: a `publish:` entry has `joint:`.
 */
bool config_is_joint(const struct config *config);

/** @return the table column in which a schema column is kept. */
const char *config_column(const struct config_entry *entry, const char *schema_column);

#endif
