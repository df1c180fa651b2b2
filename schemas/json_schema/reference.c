/* Resolves $ref: documents, their URIs, and files in the folders of the options. */
#include "schemas/json_schema/internal.h"

#include "common/buffer.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

#define REFERENCE_PATH_MAX 4096

const struct json_resource *json_resource_find(const struct json_schema *schema, struct slice uri)
{
    const struct json_resource *resource = schema->resources;
    while (resource != NULL && !slice_is(uri, resource->uri))
        resource = resource->next;
    return resource;
}

enum status json_resource_add(struct json_schema *schema, const char *uri, const char *base,
                              const json_t *source, struct error *err)
{
    const struct json_resource *known = json_resource_find(schema, slice_of(uri));
    if (known != NULL && known->source != source)
        return error_set(err, STATUS_FATAL, "schema: the $id '%s' is used twice", uri);
    if (known != NULL)
        return STATUS_OK;
    struct json_resource *resource = arena_alloc(&schema->arena, sizeof *resource);
    if (resource == NULL)
        return error_set(err, STATUS_FATAL, "no memory for the schema");
    *resource = (struct json_resource){
        .next = schema->resources, .uri = uri, .base = base, .source = source};
    schema->resources = resource;
    return STATUS_OK;
}

enum status json_document_add(struct json_schema *schema, json_t *root, const char *uri,
                              struct json_node **ret, struct error *err)
{
    struct json_document *document = arena_alloc(&schema->arena, sizeof *document);
    struct slice copy = arena_copy(&schema->arena, slice_of(uri));
    if (document == NULL || copy.data == NULL) {
        json_decref(root);
        return error_set(err, STATUS_FATAL, "no memory for the schema");
    }
    *document = (struct json_document){.next = schema->documents, .root = root};
    schema->documents = document;
    enum status status = json_resource_add(schema, copy.data, copy.data, root, err);
    if (status == STATUS_OK)
        status = json_node_compile(schema, (struct json_source){root, copy.data, NULL}, ret, err);
    return status;
}

/** @return whether a path stays in its folder and needs no decoding. */
static bool is_safe_path(const char *path)
{
    if (*path == '\0' || *path == '/' || *path == '.' || strstr(path, "/.") != NULL ||
        strstr(path, "//") != NULL)
        return false;
    for (; *path != '\0'; path++) {
        if (!isalnum((unsigned char)*path) && strchr("-_./", *path) == NULL)
            return false;
    }
    return true;
}

/** @return the rest of `uri` after `prefix`; NULL where it begins otherwise. */
static const char *after_prefix(const char *uri, struct slice prefix)
{
    bool starts = prefix.length > 0 && strncmp(uri, prefix.data, prefix.length) == 0;
    return starts && is_safe_path(uri + prefix.length) ? uri + prefix.length : NULL;
}

static enum status load_file(const char *folder, const char *name, json_t **ret, struct error *err)
{
    char path[REFERENCE_PATH_MAX];
    json_error_t error;
    if (snprintf(path, sizeof path, "%s/%s", folder, name) >= (int)sizeof path)
        return error_set(err, STATUS_FATAL, "schema: the path of '%s' is too long", name);
    *ret = json_load_file(path, JSON_LOAD_FLAGS, &error);
    if (*ret == NULL)
        return error_set(err, STATUS_FATAL, "%s: line %d: %s", path, error.line, error.text);
    return STATUS_OK;
}

/** Load the document of an absolute URI from a place that the options allow. */
static enum status load_uri(struct json_schema *schema, const char *uri, struct error *err)
{
    const struct json_schema_options *options = &schema->options;
    const char *slash = strrchr(schema->base, '/');
    struct slice folder = {schema->base, slash == NULL ? 0 : (size_t)(slash - schema->base) + 1};
    const char *in_remotes = NULL;
    const char *in_folder = NULL;
    if (options->remotes_base != NULL && options->remotes_folder != NULL)
        in_remotes = after_prefix(uri, slice_of(options->remotes_base));
    if (options->folder != NULL)
        in_folder = after_prefix(uri, folder);

    json_t *root = NULL;
    enum status status = STATUS_OK;
    if (strcmp(uri, JSON_SCHEMA_DRAFT07_URI) == 0) {
        root = json_loads(json_schema_draft07_text, JSON_LOAD_FLAGS, NULL);
        if (root == NULL)
            status = error_set(err, STATUS_FATAL, "no memory for the schema of draft-07");
    } else if (in_remotes != NULL) {
        status = load_file(options->remotes_folder, in_remotes, &root, err);
    } else if (in_folder != NULL) {
        status = load_file(options->folder, in_folder, &root, err);
    } else {
        status = error_set(
            err, STATUS_FATAL,
            "schema: '%s' is not a file in the schema's folder, and references never "
            "use the network",
            uri);
    }
    struct json_node *node = NULL;
    if (status == STATUS_OK)
        status = json_document_add(schema, root, uri, &node, err);
    return status;
}

static int hexadecimal(char c)
{
    if (!isxdigit((unsigned char)c))
        return -1;
    return isdigit((unsigned char)c) ? c - '0' : tolower((unsigned char)c) - 'a' + 10;
}

/** Decode %XX in place. */
static void decode_percent(char *text)
{
    char *to = text;
    for (; *text != '\0'; text++) {
        if (text[0] == '%' && hexadecimal(text[1]) >= 0 && hexadecimal(text[2]) >= 0) {
            *to++ = (char)(hexadecimal(text[1]) * 16 + hexadecimal(text[2]));
            text += 2;
        } else {
            *to++ = *text;
        }
    }
    *to = '\0';
}

/** Decode ~0 and ~1 in place. */
static void decode_tilde(char *text)
{
    char *to = text;
    for (; *text != '\0'; text++) {
        if (text[0] == '~' && (text[1] == '0' || text[1] == '1'))
            *to++ = *++text == '0' ? '~' : '/';
        else
            *to++ = *text;
    }
    *to = '\0';
}

static const json_t *step_into(const json_t *value, const char *token)
{
    if (!json_is_array(value))
        return json_object_get(value, token);
    char *end;
    unsigned long index = strtoul(token, &end, 10);
    return isdigit((unsigned char)*token) && *end == '\0' ? json_array_get(value, index) : NULL;
}

/** Follow a JSON pointer from a resource. It is empty or starts with a slash.
 * @param pointer  is changed. */
static enum status follow_pointer(struct json_schema *schema, const struct json_resource *resource,
                                  char *pointer, struct json_node **ret, struct error *err)
{
    const json_t *value = resource->source;
    const char *base = resource->base;
    decode_percent(pointer);
    char *rest = pointer;
    while (rest != NULL && *rest == '/' && value != NULL) {
        char *token = rest + 1;
        rest = strchr(token, '/');
        if (rest != NULL)
            *rest = '\0';
        decode_tilde(token);
        const struct json_node *node = json_node_find(schema, value);
        base = node == NULL ? base : node->base;
        value = step_into(value, token);
        if (rest != NULL)
            *rest = '/';
    }
    if (value == NULL)
        return error_set(err, STATUS_FATAL, "schema: there is nothing at this place");
    return json_node_compile(schema, (struct json_source){value, base, NULL}, ret, err);
}

static enum status resolve_uri(struct json_schema *schema, const char *uri, struct json_node **ret,
                               struct error *err)
{
    const struct json_resource *resource = json_resource_find(schema, slice_of(uri));
    if (resource != NULL)
        return json_node_compile(
            schema, (struct json_source){resource->source, resource->base, NULL}, ret, err);
    struct slice copy = arena_copy(&schema->arena, slice_of(uri));
    if (copy.data == NULL)
        return error_set(err, STATUS_FATAL, "no memory for the schema");
    char *fragment = (char *)(uintptr_t)copy.data + strcspn(copy.data, "#");
    if (*fragment == '#')
        *fragment++ = '\0';
    enum status status = STATUS_OK;
    if (json_resource_find(schema, slice_of(copy.data)) == NULL)
        status = load_uri(schema, copy.data, err);
    if (status != STATUS_OK)
        return status;
    if (*fragment != '\0' && *fragment != '/') {
        resource = json_resource_find(schema, slice_of(uri));
        fragment += strlen(fragment);
    } else {
        resource = json_resource_find(schema, slice_of(copy.data));
    }
    if (resource == NULL)
        return error_set(err, STATUS_FATAL, "schema: no schema has this $id");
    return follow_pointer(schema, resource, fragment, ret, err);
}

static enum status resolve_node(struct json_schema *schema, struct json_node *node,
                                struct error *err)
{
    const char *uri = json_uri_resolve(&schema->arena, node->base, node->reference);
    if (uri == NULL)
        return error_set(err, STATUS_FATAL, "schema: a reference is too long");
    enum status status = resolve_uri(schema, uri, &node->target, err);
    if (status != STATUS_OK)
        error_prefix(err, "reference '%s'", node->reference);
    return status;
}

enum status json_references_resolve(struct json_schema *schema, struct error *err)
{
    enum status status = STATUS_OK;
    struct json_node *done = NULL; /* resolving references adds nodes at the front */
    while (status == STATUS_OK && schema->nodes != done) {
        struct json_node *first = schema->nodes;
        for (struct json_node *node = first; status == STATUS_OK && node != done;
             node = node->next) {
            if (node->reference != NULL && node->target == NULL)
                status = resolve_node(schema, node, err);
        }
        done = first;
    }
    return status;
}
