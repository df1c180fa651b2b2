/* Inside schemas/: the steps of reading a configuration. */
#ifndef SCHEMAS_CONFIG_INTERNAL_H
#define SCHEMAS_CONFIG_INTERNAL_H

#include "schemas/config/config.h"
#include "schemas/json.h"

#define CONFIG_KEY_SIZE    256
#define CONFIG_SPELT_SIZE  64
#define CONFIG_OPTIONS_MAX 64
#define CONFIG_UNKNOWN_MAX 400 /* bytes of a sentence about unknown variables */

/** The place of each node in the YAML file, by its JSON pointer. */
struct config_mark {
    char *pointer;
    size_t line;
    size_t column;
};
struct config_marks {
    struct config_mark *items;
    size_t count;
    size_t size;
};

/** An option with a plain value. */
struct config_option {
    const char *key; /* dotted */
    const char *default_text;
    bool is_integer;
    const char *description;
};
extern const struct config_option config_options[];
extern const size_t config_option_count;

/** @return the option of a dotted key; NULL where there is none. */
const struct config_option *config_option_find(const char *key);

enum config_variable { CONFIG_VARIABLE_KEY, CONFIG_VARIABLE_FOREIGN, CONFIG_VARIABLE_UNKNOWN };

/** Find what "NAME=value" of the environment sets. With CONFIG_VARIABLE_KEY its dotted key is in
 * `key`. */
enum config_variable config_environment_key(const char *variable, char key[CONFIG_KEY_SIZE]);

/** @param ret_text  a sentence about variables that are misspelt keys, which the caller frees; NULL
 * where there are none.
 * @return false without memory. */
bool config_environment_unknown(char **ret_text) MUST_CHECK;

#define CONFIG_TOKEN_KEY "listen_token"

/** Refuse the token in a place that others can read. @return FATAL. */
enum status config_refuse_token(const char *place, struct error *err);

extern const char config_schema_json[];

/** Whether a librdkafka property may be set. */
enum config_kafka_permission {
    CONFIG_KAFKA_ALLOWED, /* passed on */
    CONFIG_KAFKA_OURS,    /* set by Keepstep to `text` */
    CONFIG_KAFKA_BOUNDED, /* `min` to `max`, or only `text` */
    CONFIG_KAFKA_REFUSED,
};

struct config_kafka_property {
    const char *name;
    const char *same_as; /* this is another name of that property; NULL: none */
    enum config_kafka_permission permission;
    int64_t min;
    int64_t max;
    const char *text;
    const char *why;
};
extern const struct config_kafka_property config_kafka_properties[];
extern const size_t config_kafka_property_count;

/** @return the rule for a property, also by another of its names; NULL where it is unknown. */
const struct config_kafka_property *config_kafka_find(const char *name);

/** Check a known property of `kafka:`. @return OK; FATAL. The text does not show its value. */
enum status config_kafka_judge(const json_t *kafka, const char *name, const json_t *value,
                               struct error *err) MUST_CHECK;

/** Check properties whose limits depend on each other, with their defaults. @return OK; FATAL. */
enum status config_kafka_judge_together(const json_t *kafka, struct error *err) MUST_CHECK;

/** Append the documentation's table of all properties. */
void config_kafka_describe(struct buffer *out);

/** Read YAML 1.2 into a JSON tree, with the scalars of its core schema. Refuses anchors, aliases
 * and tags.
 * @return OK with a tree and marks that the caller owns; FATAL "LINE:COLUMN: …". */
enum status config_yaml_parse(const char *text, size_t length, json_t **ret_tree,
                              struct config_marks *marks, struct error *err) MUST_CHECK;
void config_marks_done(struct config_marks *marks);

/** @return the mark of the pointer, or of its nearest parent; NULL where there is none. */
const struct config_mark *config_marks_find(const struct config_marks *marks, const char *pointer);

/** Put the place of a pointer before an error's text. */
void config_place(const struct config_marks *marks, const char *pointer, struct error *err);

/** Refuse a password in the file's tree, because many people read a configuration.
 * @return OK; FATAL "LINE:COLUMN: what is wrong; what to do". */
enum status config_check_secrets(const json_t *tree, const struct config_marks *marks,
                                 struct error *err) MUST_CHECK;

/** Check the tree by config.schema.json and the rules: unknown keys, refused kafka properties.
 * @return OK; FATAL "LINE:COLUMN: what is wrong; what to do". */
enum status config_check(const json_t *tree, const struct config_marks *marks,
                         struct error *err) MUST_CHECK;

/** @return a key for an error's text; stars where it may be a URL in a key's place. */
const char *config_key_shown(const char *key);

/** @return a copy of a database's URL as database_url_show() writes it; NULL without memory. */
char *config_database_shown(const char *url) MUST_CHECK;

/** @return whether the tree says `transactions: whole`. */
bool config_is_whole(const json_t *tree);

#define CONFIG_JOINT_TOPIC "keepstep-joint" /* behind the topic prefix */

/** @return whether an entry of `publish:` has `joint:`: the service takes part. */
bool config_has_joint(const json_t *tree);

/** Check what joint transactions need of a configuration (rule 72). @return OK; FATAL. */
enum status config_check_joint(const json_t *tree, const struct config_marks *marks,
                               struct error *err) MUST_CHECK;

/** Fill `config`, whose path is set, from a checked tree.
 * @param secret_files  an object with the paths of the files that were read.
 * @return false without memory. */
bool config_build(const json_t *tree, const json_t *secret_files, struct config *config) MUST_CHECK;

#endif
