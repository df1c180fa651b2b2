/* JSON Schema draft-07: compile a schema once, validate many documents by it. */
#ifndef SCHEMAS_JSON_SCHEMA_JSON_SCHEMA_H
#define SCHEMAS_JSON_SCHEMA_JSON_SCHEMA_H

#include "common/slice.h"
#include "common/status.h"
#include "schemas/json.h"

#include <stdint.h>

struct json_schema;

struct json_schema_options {
    const char *folder;         /* of references such as "file.json"; NULL: none */
    const char *remotes_folder; /* holds the documents whose URI starts with remotes_base */
    const char *remotes_base;   /* for example "http://localhost:1234/"; NULL: none */
    bool strict;                /* refuse unknown keywords, except those that start with "x-" */
    bool assert_formats;        /* check `format`; otherwise it is ignored */
};

/** Compile a copy of `document` and everything it refers to. References never use the network.
 * @param options  NULL: all off.
 * @return OK with a schema that the caller frees; FATAL naming the place in the schema. */
enum status json_schema_new(const json_t *document, const struct json_schema_options *options,
                            struct json_schema **ret, struct error *err) MUST_CHECK;

/** As json_schema_new() for the document in a file. */
enum status json_schema_new_from_file(const char *path, const struct json_schema_options *options,
                                      struct json_schema **ret, struct error *err) MUST_CHECK;

/** Validate one document. The error holds a JSON pointer and the reason, never the value:
 * "/after/name: longer than 20 characters". A document that takes too many steps is rejected too.
 * @return OK or REJECT.
 * @thread any, also several at once with the same schema. */
enum status json_schema_validate(const struct json_schema *schema, const json_t *instance,
                                 struct error *err) MUST_CHECK;

void json_schema_free(struct json_schema *schema);

/** A schema of an object whose members are validated one by one, without a document in memory. */
struct json_flat;

/** @return the flat form, which lives as long as the schema; NULL where the schema is not flat. */
const struct json_flat *json_schema_flat(const struct json_schema *schema);

/** @param guess  the property to try first: the one after the last one found, because rows mostly
 * keep the order.
 * @return the index of a property in the schema's `properties`; SIZE_MAX where it is none. */
size_t json_flat_find(const struct json_flat *flat, size_t guess, struct slice name);

/** @return the property's name as a document mostly writes it before a value: "id": with its quotes
 * and the colon. It lives as long as the schema. */
struct slice json_flat_member(const struct json_flat *flat, size_t index);

bool json_flat_is_required(const struct json_flat *flat, size_t index);

/** @return whether the value is valid for certain. False also where an integer has a real limit, or
 * a real an integer limit. */
bool json_flat_allows_null(const struct json_flat *flat, size_t index);
bool json_flat_allows_boolean(const struct json_flat *flat, size_t index);
bool json_flat_allows_integer(const struct json_flat *flat, size_t index, int64_t integer);
bool json_flat_allows_real(const struct json_flat *flat, size_t index, double real);
bool json_flat_allows_text(const struct json_flat *flat, size_t index, struct slice text);
bool json_flat_allows(const struct json_flat *flat, size_t index, const json_t *value);

#endif
