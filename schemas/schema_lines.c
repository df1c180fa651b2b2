/* Validates lines of JSON by one schema. Only one line is in memory at a time. */
#include "schemas/schema_lines.h"

#include "common/lines.h"
#include "schemas/json_schema/json_schema.h"

#include <stdlib.h>
#include <string.h>

static enum status schema_lines_load(const char *path, struct json_schema **ret_schema,
                                     struct error *err)
{
    char *folder = strdup(path);
    if (folder == NULL)
        return error_set(err, STATUS_FATAL, "out of memory");
    char *slash = strrchr(folder, '/');
    if (slash != NULL)
        slash[slash == folder ? 1 : 0] = '\0';
    const struct json_schema_options options = {
        .folder = slash == NULL ? "." : folder, .strict = true, .assert_formats = true};
    enum status status = json_schema_new_from_file(path, &options, ret_schema, err);
    free(folder);
    return status;
}

static bool schema_lines_blank(const struct buffer *line)
{
    return strspn(buffer_text(line), " \t\r") >= line->length;
}

/* @return whether the line is valid. If not, its error is in the report. */
static bool schema_lines_judge(const struct json_schema *schema, const struct lines *lines,
                               FILE *report)
{
    long long number = (long long)lines->number;
    json_error_t syntax;
    struct error err = ERROR_INIT;
    json_t *document = json_loadb(lines->text.data, lines->text.length, JSON_LOAD_FLAGS, &syntax);
    if (document == NULL) {
        fprintf(report, "line %lld: column %d: %s\n", number, syntax.column, syntax.text);
        return false;
    }
    bool valid = json_schema_validate(schema, document, &err) == STATUS_OK;
    if (!valid)
        fprintf(report, "line %lld: %s\n", number, err.text);
    json_decref(document);
    return valid;
}

enum status schema_lines_validate(const char *schema_path, FILE *in, FILE *report,
                                  size_t *ret_invalid, struct error *err)
{
    struct json_schema *schema = NULL;
    struct lines lines;
    bool more = true;
    *ret_invalid = 0;
    enum status status = schema_lines_load(schema_path, &schema, err);
    if (status != STATUS_OK) {
        error_mark_config(err);
        return status;
    }
    lines_init(&lines, in);
    while ((status = lines_next(&lines, &more, err)) == STATUS_OK && more) {
        if (!schema_lines_blank(&lines.text) && !schema_lines_judge(schema, &lines, report))
            (*ret_invalid)++;
    }
    lines_done(&lines);
    json_schema_free(schema);
    return status;
}
