/* JSON Schema draft-07: compile a schema once, judge many documents by it. */
#ifndef SCHEMAS_JSON_SCHEMA_H
#define SCHEMAS_JSON_SCHEMA_H

#include "common/status.h"
#include "schemas/json.h"

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

#endif
