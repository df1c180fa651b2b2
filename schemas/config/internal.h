/* Inside schemas/: the parts of reading a configuration. */
#ifndef SCHEMAS_CONFIG_INTERNAL_H
#define SCHEMAS_CONFIG_INTERNAL_H

#include "schemas/config/config.h"
#include "schemas/json.h"

#define CONFIG_KEY_SIZE    256
#define CONFIG_SPELT_SIZE  64
#define CONFIG_OPTIONS_MAX 64
#define CONFIG_UNKNOWN_MAX 400 /* bytes of a sentence about unknown variables */

/** Where each node of the YAML file stands, by its JSON pointer. */
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

/** One option that is a plain value. */
struct config_option {
    const char *key; /* dotted */
    const char *default_text;
    bool is_integer;
    const char *description;
};
extern const struct config_option config_options[];
extern const size_t config_option_count;

/** @return the option of a dotted key; NULL. */
const struct config_option *config_option_find(const char *key);

enum config_variable { CONFIG_VARIABLE_KEY, CONFIG_VARIABLE_FOREIGN, CONFIG_VARIABLE_UNKNOWN };

/** What "NAME=value" of the environment sets: with CONFIG_VARIABLE_KEY a dotted key is in `key`. */
enum config_variable config_environment_key(const char *variable, char key[CONFIG_KEY_SIZE]);

/** @param ret_text  a sentence about variables that are misspelt keys, to be freed; NULL without
 * any.
 * @return false where memory is short. */
bool config_environment_unknown(char **ret_text) MUST_CHECK;

extern const char config_schema_json[];

/** What Keepstep says to a librdkafka property. */
enum config_kafka_verdict {
    CONFIG_KAFKA_ALLOWED, /* passed on */
    CONFIG_KAFKA_OURS,    /* set by Keepstep to `text` */
    CONFIG_KAFKA_BOUNDED, /* `min` to `max`, or `text` alone */
    CONFIG_KAFKA_REFUSED,
};

struct config_kafka_property {
    const char *name;
    const char *same_as; /* this is another name of that one, which has the rest */
    enum config_kafka_verdict verdict;
    int64_t min;
    int64_t max;
    const char *text;
    const char *why;
};
extern const struct config_kafka_property config_kafka_properties[];
extern const size_t config_kafka_property_count;

/** @return what holds for a property, also by another of its names; NULL where it is unknown. */
const struct config_kafka_property *config_kafka_find(const char *name);

/** Judge a known property of `kafka:`. @return OK; FATAL, without its value in the text. */
enum status config_kafka_judge(const json_t *kafka, const char *name, const json_t *value,
                               struct error *err) MUST_CHECK;

/** Judge what properties say of each other, their defaults included. @return OK; FATAL. */
enum status config_kafka_judge_together(const json_t *kafka, struct error *err) MUST_CHECK;

/** Append the table of all properties. */
void config_kafka_describe(struct buffer *out);

/** YAML 1.2 text to a JSON tree, with the core schema's scalars; no anchors, aliases or tags.
 * @return OK with a tree and marks the caller owns; FATAL "LINE:COLUMN: …". */
enum status config_yaml_parse(const char *text, size_t length, json_t **ret_tree,
                              struct config_marks *marks, struct error *err) MUST_CHECK;
void config_marks_done(struct config_marks *marks);

/** @return the mark of the pointer or of its nearest parent; NULL where there is none. */
const struct config_mark *config_marks_find(const struct config_marks *marks, const char *pointer);

/** Judge the file's own tree: a configuration is read by many, a password by none of them.
 * @return OK; FATAL "LINE:COLUMN: what is wrong; what to do". */
enum status config_check_secrets(const json_t *tree, const struct config_marks *marks,
                                 struct error *err) MUST_CHECK;

/** Judge the tree by config.schema.json and the rules: unknown keys, refused kafka properties.
 * @return OK; FATAL "LINE:COLUMN: what is wrong; what to do". */
enum status config_check(const json_t *tree, const struct config_marks *marks,
                         struct error *err) MUST_CHECK;

/** @return a key for an error's text; stars where it is none, but perhaps a URL in a key's place.
 */
const char *config_key_shown(const char *key);

/** @return a copy of a database's URL for people, as database_url_show() has it; NULL without
 * memory. */
char *config_database_shown(const char *url) MUST_CHECK;

/** Fill `config`, whose path is set, from a judged tree.
 * @return false without memory. */
bool config_build(const json_t *tree, struct config *config) MUST_CHECK;

#endif
