/* Shared by the files of the JSON Schema validator. Only they and their test include this. */
#ifndef SCHEMAS_JSON_SCHEMA_INTERNAL_H
#define SCHEMAS_JSON_SCHEMA_INTERNAL_H

#include "common/arena.h"
#include "common/slice.h"
#include "schemas/json_schema/json_schema.h"

#include <stdint.h>

#define JSON_SCHEMA_DEPTH_MAX 256
#define JSON_SCHEMA_BUCKETS   512
#define JSON_PLACE_TEXT_SIZE  256

/** Bits of a set of JSON types. An integer is also a number. */
enum json_type_bit {
    JSON_TYPE_NULL = 1,
    JSON_TYPE_BOOLEAN = 2,
    JSON_TYPE_INTEGER = 4,
    JSON_TYPE_NUMBER = 8,
    JSON_TYPE_STRING = 16,
    JSON_TYPE_ARRAY = 32,
    JSON_TYPE_OBJECT = 64,
};

/** A place in a document: a list from the leaf to the root. NULL is the root. */
struct json_place {
    const struct json_place *parent;
    const char *name; /* NULL: `index` is used */
    size_t index;
};

typedef bool (*json_format_check)(struct slice text);

struct json_pattern;
struct json_node;

struct json_node_list {
    struct json_node **nodes;
    size_t count;
};

/** A name and what applies to it. The keyword decides which members are used. */
struct json_node_entry {
    const char *name;
    struct json_pattern *pattern; /* patternProperties */
    struct json_node *node;
    const json_t *names; /* dependencies with an array: strings */
};

struct json_node_map {
    struct json_node_entry *entries;
    size_t count;
};

struct json_size_limit {
    bool is_set;
    size_t value;
};

/** A compiled schema object. It owns nothing: nodes are in the arena, sources in the documents,
 * patterns in the schema's list. */
struct json_node {
    struct json_node *next;        /* list of all nodes */
    struct json_node *bucket_next; /* list of nodes with the same hash of `source` */
    const json_t *source;          /* the object it was compiled from */
    const char *base;              /* absolute URI; its references are relative to it */
    const char *reference;         /* text of $ref; where set, other keywords are unused */
    struct json_node *target;      /* what `reference` refers to */
    bool never;                    /* the schema `false` */
    bool unique_items;
    unsigned loop_mark;        /* for finding endless loops */
    unsigned types;            /* set of json_type_bit; 0: any */
    const json_t *enumeration; /* array */
    const json_t *constant;    /* any value */
    const json_t *multiple_of; /* numbers */
    const json_t *maximum;
    const json_t *minimum;
    const json_t *exclusive_maximum;
    const json_t *exclusive_minimum;
    const json_t *required; /* array of strings */
    struct json_size_limit max_length;
    struct json_size_limit min_length;
    struct json_size_limit max_items;
    struct json_size_limit min_items;
    struct json_size_limit max_properties;
    struct json_size_limit min_properties;
    struct json_pattern *pattern;
    json_format_check format; /* NULL: not asserted */
    const char *format_name;
    struct json_node *items_all;      /* `items` with one schema */
    struct json_node_list items_each; /* `items` with an array */
    struct json_node *additional_items;
    struct json_node *contains;
    const json_t *properties_source; /* object, for finding names */
    struct json_node_map properties;
    struct json_node_map pattern_properties;
    struct json_node_map definitions;
    struct json_node_map dependencies;
    struct json_node *additional_properties;
    struct json_node *property_names;
    struct json_node_list all_of;
    struct json_node_list any_of;
    struct json_node_list one_of;
    struct json_node *negated; /* `not` */
    struct json_node *condition;
    struct json_node *consequence;
    struct json_node *alternative;
};

/** A URI that refers to a document or a part of one. */
struct json_resource {
    struct json_resource *next;
    const char *uri;
    const char *base;
    const json_t *source;
};

struct json_document {
    struct json_document *next;
    json_t *root; /* owned */
};

struct json_flat;

struct json_schema {
    struct arena arena;                 /* nodes, texts, the flat table */
    struct json_schema_options options; /* borrowed texts, used only while compiling */
    struct json_document *documents;
    struct json_resource *resources;
    struct json_pattern *patterns; /* owned list */
    struct json_node *nodes;
    struct json_node *buckets[JSON_SCHEMA_BUCKETS];
    struct json_node always; /* the schema `true` */
    struct json_node never;  /* the schema `false` */
    struct json_node *root;
    const char *base;       /* of the root */
    struct json_flat *flat; /* NULL: the schema is not flat */
};

/* compile.c */

/** A schema to be compiled. */
struct json_source {
    const json_t *value;
    const char *base;               /* absolute URI without a fragment */
    const struct json_place *place; /* NULL: the root of a document */
};

/** Compile a schema, or find its node if it was compiled before. */
enum status json_node_compile(struct json_schema *schema, struct json_source source,
                              struct json_node **ret, struct error *err) MUST_CHECK;

/** @return the node of a schema object; NULL where it was not compiled. */
struct json_node *json_node_find(const struct json_schema *schema, const json_t *source);

/* reference.c */

/** Take a root document (its reference is taken, even on failure) and compile it. */
enum status json_document_add(struct json_schema *schema, json_t *root, const char *uri,
                              struct json_node **ret, struct error *err) MUST_CHECK;
enum status json_resource_add(struct json_schema *schema, const char *uri, const char *base,
                              const json_t *source, struct error *err) MUST_CHECK;
const struct json_resource *json_resource_find(const struct json_schema *schema, struct slice uri);

/** Resolve the references of all nodes, also of nodes that are loaded meanwhile. */
enum status json_references_resolve(struct json_schema *schema, struct error *err) MUST_CHECK;

/* loop.c */

/** @return FATAL where validation could loop without getting deeper into the instance. */
enum status json_loops_refuse(struct json_schema *schema, struct error *err) MUST_CHECK;

/* validate.c */

/** As json_schema_validate(), but without the flat table. */
enum status json_schema_validate_full(const struct json_schema *schema, const json_t *instance,
                                      struct error *err) MUST_CHECK;

/* flat.c */

/** Make the table of a flat schema. schema->flat stays NULL where the schema is not flat. */
enum status json_flat_compile(struct json_schema *schema, struct error *err) MUST_CHECK;

/** @return whether the instance is valid; needs schema->flat. */
bool json_flat_check(const struct json_flat *flat, const json_t *instance);

/* value.c */

/** @return the set of types that `value` belongs to. */
unsigned json_value_types(const json_t *value);

/** @return whether two values are equal; 1 and 1.0 are. `ret_steps` grows by the work done. */
bool json_value_equal(const json_t *a, const json_t *b, uint64_t *ret_steps);

/** @return a number below, equal to or above zero; the comparison is exact. */
int json_number_compare(const json_t *a, const json_t *b);

/** @return whether one number is a multiple of the other, exactly in decimal: 0.0075 is a multiple
 * of 0.0001. */
bool json_number_is_multiple(const json_t *value, const json_t *divisor);

/** @return the number of code points in UTF-8. */
size_t json_text_length(struct slice text);
struct slice json_text(const json_t *string);

/** Write the JSON pointer of `place`, cut to the size. The root is "(root)". */
void json_place_write(const struct json_place *place, char ret_text[static JSON_PLACE_TEXT_SIZE]);

/* pattern.c */

enum json_pattern_result { JSON_PATTERN_NO, JSON_PATTERN_YES, JSON_PATTERN_GAVE_UP };

/** Compile a regular expression of ECMA-262. Free the list with json_pattern_free_all().
 * @param list  the new pattern is added at its front. */
enum status json_pattern_new(struct slice text, struct json_pattern **list,
                             struct error *err) MUST_CHECK;
enum json_pattern_result json_pattern_match(const struct json_pattern *pattern, struct slice text);
void json_pattern_free_all(struct json_pattern *list);

/* format.c and format_uri.c */

/** @return the check of a format; NULL where the format is unknown. */
json_format_check json_format_find(const char *name);
bool json_format_ipv4(struct slice text);
bool json_format_ipv6(struct slice text);
bool json_format_uri(struct slice text);
bool json_format_uri_reference(struct slice text);
bool json_format_iri(struct slice text);
bool json_format_iri_reference(struct slice text);
bool json_format_uri_template(struct slice text);

/* uri.c */

/** Resolve a reference by RFC 3986, section 5.2.
 * @return NULL without memory. */
const char *json_uri_resolve(struct arena *arena, const char *base, const char *reference);

/* draft-07.schema.json, embedded at build */

#define JSON_SCHEMA_DRAFT07_URI "http://json-schema.org/draft-07/schema"
extern const char json_schema_draft07_text[];

#endif
