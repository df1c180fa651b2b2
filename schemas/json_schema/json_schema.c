/* Makes, uses and frees compiled schemas. */
#include "schemas/json_schema/internal.h"

#include <stdio.h>
#include <stdlib.h>

#define SCHEMA_MEMORY_MAX  ((size_t)256 << 20)
#define SCHEMA_FOLDER_URI  "file:///schemas/"
#define SCHEMA_DRAFT07_ALT "https://json-schema.org/draft-07/schema"

/** @return the URI of a document without $id: its file's name in SCHEMA_FOLDER_URI. */
static const char *document_uri(struct json_schema *schema, const char *path)
{
    const char *slash = path == NULL ? NULL : strrchr(path, '/');
    const char *name = path == NULL ? "document" : slash == NULL ? path : slash + 1;
    if (strpbrk(name, ":?#%") != NULL || *name == '\0')
        name = "document";
    return json_uri_resolve(&schema->arena, SCHEMA_FOLDER_URI, name);
}

static enum status check_dialect(const struct json_schema *schema, const json_t *root,
                                 struct error *err)
{
    const char *dialect = json_string_value(json_object_get(root, "$schema"));
    if (!schema->options.strict || dialect == NULL)
        return STATUS_OK;
    struct slice name = slice_of(dialect);
    if (name.length > 0 && dialect[name.length - 1] == '#')
        name.length--;
    if (!slice_is(name, JSON_SCHEMA_DRAFT07_URI) && !slice_is(name, SCHEMA_DRAFT07_ALT))
        return error_set(err, STATUS_FATAL, "schema: $schema must be '%s#'",
                         JSON_SCHEMA_DRAFT07_URI);
    return STATUS_OK;
}

static enum status schema_compile(struct json_schema *schema, json_t *root, const char *path,
                                  struct error *err)
{
    schema->base = document_uri(schema, path);
    if (schema->base == NULL) {
        json_decref(root);
        return error_set(err, STATUS_FATAL, "no memory for the schema");
    }
    enum status status = json_document_add(schema, root, schema->base, &schema->root, err);
    if (status == STATUS_OK)
        status = check_dialect(schema, root, err);
    if (status != STATUS_OK)
        return status;
    if (schema->root->base != NULL)
        schema->base = schema->root->base;
    status = json_references_resolve(schema, err);
    if (status == STATUS_OK)
        status = json_loops_refuse(schema, err);
    if (status == STATUS_OK)
        status = json_flat_compile(schema, err);
    return status;
}

/** Takes `root` in every case. */
static enum status schema_new(json_t *root, const char *path,
                              const struct json_schema_options *options, struct json_schema **ret,
                              struct error *err)
{
    struct json_schema *schema = calloc(1, sizeof *schema);
    *ret = NULL;
    if (schema == NULL || root == NULL) {
        free(schema);
        json_decref(root);
        return error_set(err, STATUS_FATAL, "no memory for the schema");
    }
    arena_init(&schema->arena, SCHEMA_MEMORY_MAX);
    if (options != NULL)
        schema->options = *options;
    schema->never.never = true;
    enum status status = json_check_memory(schema_compile(schema, root, path, err), err);
    if (status != STATUS_OK) {
        json_schema_free(schema);
        return status;
    }
    *ret = schema;
    return STATUS_OK;
}

enum status json_schema_new(const json_t *document, const struct json_schema_options *options,
                            struct json_schema **ret, struct error *err)
{
    return schema_new(json_deep_copy(document), NULL, options, ret, err);
}

enum status json_schema_new_from_file(const char *path, const struct json_schema_options *options,
                                      struct json_schema **ret, struct error *err)
{
    json_error_t error;
    json_t *root = json_load_file(path, JSON_LOAD_FLAGS, &error);
    *ret = NULL;
    if (root == NULL)
        return json_check_memory(
            error_set(err, STATUS_FATAL, "%s: line %d: %s", path, error.line, error.text), err);
    enum status status = schema_new(root, path, options, ret, err);
    if (status != STATUS_OK)
        error_prefix(err, "%s", path);
    return status;
}

enum status json_schema_validate(const struct json_schema *schema, const json_t *instance,
                                 struct error *err)
{
    if (schema->flat != NULL && json_flat_check(schema->flat, instance))
        return STATUS_OK;
    return json_schema_validate_full(schema, instance, err);
}

void json_schema_free(struct json_schema *schema)
{
    if (schema == NULL)
        return;
    for (struct json_document *document = schema->documents; document != NULL;
         document = document->next)
        json_decref(document->root);
    json_pattern_free_all(schema->patterns);
    arena_done(&schema->arena);
    free(schema);
}
