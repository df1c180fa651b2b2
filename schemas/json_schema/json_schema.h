/* JSON Schema draft-07: compile a schema once, judge many documents by it. */
#ifndef SCHEMAS_JSON_SCHEMA_JSON_SCHEMA_H
#define SCHEMAS_JSON_SCHEMA_JSON_SCHEMA_H

#include "common/slice.h"
#include "common/status.h"
#include "schemas/json.h"

#include <stdint.h>

struct json_schema;

struct json_schema_options {
    const char *folder;         /* where references to "file.json" beside it resolve; NULL: none */
    const char *remotes_folder; /* holds the documents whose URI starts with remotes_base */
    const char *remotes_base;   /* for example "http://localhost:1234/"; NULL: none */
    bool strict;                /* refuse unknown keywords, except those that start with "x-" */
    bool assert_formats;        /* `format` is checked; otherwise it is a mere annotation */
};

/** Compile a copy of `document` and all it refers to. References never reach over the network.
 * @param options  NULL: all off.
 * @return OK with a schema the caller frees; FATAL naming the place in the schema. */
enum status json_schema_new(const json_t *document, const struct json_schema_options *options,
                            struct json_schema **ret, struct error *err) MUST_CHECK;

/** As json_schema_new() for the document in a file. */
enum status json_schema_new_from_file(const char *path, const struct json_schema_options *options,
                                      struct json_schema **ret, struct error *err) MUST_CHECK;

/** Judge one document. The error tells a JSON pointer and the reason, never the value:
 * "/after/name: longer than 20 characters".
 * A document that takes too many steps to judge is rejected, too.
 * @return OK or REJECT.
 * @thread any, also several at once with the same schema. */
enum status json_schema_validate(const struct json_schema *schema, const json_t *instance,
                                 struct error *err) MUST_CHECK;

void json_schema_free(struct json_schema *schema);

/** A schema of an object whose members are judged one by one, which needs no document in memory. */
struct json_flat;

/** @return NULL where the schema is not flat; lives as long as the schema. */
const struct json_flat *json_schema_flat(const struct json_schema *schema);

/** @param guess  the property after the one that was found last: rows mostly keep the order.
 * @return the place of a property in the schema's `properties`, SIZE_MAX where it is none. */
size_t json_flat_find(const struct json_flat *flat, size_t guess, struct slice name);

bool json_flat_is_required(const struct json_flat *flat, size_t index);

/** @return whether the value is surely valid; false for an integer or real beside a limit that has
 * the other form. */
bool json_flat_allows_null(const struct json_flat *flat, size_t index);
bool json_flat_allows_boolean(const struct json_flat *flat, size_t index);
bool json_flat_allows_integer(const struct json_flat *flat, size_t index, int64_t integer);
bool json_flat_allows_real(const struct json_flat *flat, size_t index, double real);
bool json_flat_allows_text(const struct json_flat *flat, size_t index, struct slice text);

#endif
