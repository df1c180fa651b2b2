/* `keepstep schema`: judge rows by a schema, or write the schema of a table that is there. */
#include "common/buffer.h"
#include "consumer/describe/mariadb.h"
#include "consumer/describe/postgresql.h"
#include "consumer/describe/sqlite.h"
#include "operate/command.h"
#include "operate/service.h"
#include "schemas/schema_lines.h"

#include <stdio.h>
#include <string.h>
#include <sysexits.h>

static int schema_validate(const char *path)
{
    struct error err = ERROR_INIT;
    size_t invalid = 0;
    if (schema_lines_validate(path, stdin, stderr, &invalid, &err) != STATUS_OK)
        return command_fail(&err);
    return invalid == 0 ? EX_OK : EX_DATAERR;
}

/* How each database's catalogue is read; SQLite's path begins behind the scheme. */
static const struct {
    const char *scheme;
    size_t skipped;
    enum status (*describe)(const char *database, const char *table, struct buffer *out,
                            struct error *err);
} schema_databases[] = {
    {"sqlite:", sizeof "sqlite:" - 1, schema_sqlite_describe},
    {"postgresql:", 0, schema_postgresql_describe},
    {"mysql:", 0, schema_mariadb_describe},
};

static enum status schema_describe(const char *url, const char *table, struct buffer *out,
                                   struct error *err)
{
    for (size_t i = 0; i < sizeof schema_databases / sizeof schema_databases[0]; i++) {
        if (strncmp(url, schema_databases[i].scheme, strlen(schema_databases[i].scheme)) == 0)
            return schema_databases[i].describe(url + schema_databases[i].skipped, table, out, err);
    }
    return service_refuse_scheme(err);
}

static int schema_table(const struct command_line *line, const char *database)
{
    struct error err = ERROR_INIT;
    struct config *config = NULL;
    struct buffer out;
    const char *path = database;
    enum status status = STATUS_OK;
    buffer_init(&out, 1 << 20);
    if (database != NULL)
        status = config_database_check(database, "a command line", &err);
    else
        status = config_load(line->config_path, line->overrides, line->override_count, &config,
                             &err);
    if (status == STATUS_OK && database == NULL)
        path = config->database;
    if (status == STATUS_OK)
        status = schema_describe(path, line->arguments[1], &out, &err);
    if (status == STATUS_OK)
        fputs(buffer_text(&out), stdout);
    buffer_done(&out);
    if (config != NULL)
        config_free(config);
    return status == STATUS_OK ? EX_OK : command_fail(&err);
}

enum { SCHEMA_DATABASE };

static const struct command_flag schema_flags[] = {
    [SCHEMA_DATABASE] = {"database", "URL", "read this database, not the configured one"},
};

static int schema_run(const struct command *command, int argc, char **argv)
{
    struct command_line line;
    int code = command_parse(command, argc, argv, &line);
    if (code >= 0)
        return code;
    if (line.argument_count == 2 && strcmp(line.arguments[0], "validate") == 0)
        return schema_validate(line.arguments[1]);
    if (line.argument_count == 2 && strcmp(line.arguments[0], "table") == 0)
        return schema_table(&line, line.flags[SCHEMA_DATABASE]);
    fprintf(stderr, "keepstep schema: wants validate SCHEMA or table TABLE\n");
    return EX_USAGE;
}

const struct command command_schema = {
    .name = "schema",
    .arguments = "validate SCHEMA | table TABLE",
    .summary = "Check rows (one JSON text on each line) by a schema; write the schema of a table.",
    .examples = "  keepstep schema table orders --database sqlite:shop.db > "
                "schemas/order.schema.json\n"
                "  keepstep schema validate schemas/order.schema.json < rows.ndjson\n",
    COMMAND_FLAGS(schema_flags),
    .without_json = true,
    .run = schema_run,
};
