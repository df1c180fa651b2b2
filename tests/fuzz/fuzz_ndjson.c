/* Any bytes as lines of JSON. They are checked against a schema, and published into an outbox. */
#include "producer/init/init.h"
#include "producer/publish_lines.h"
#include "schemas/entity_schema.h"
#include "schemas/schema_lines.h"

#include <stdlib.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char folder[] = "/tmp/fuzz_ndjson.XXXXXX";
static char schema_path[sizeof folder + 32];
static struct config *config;
static struct entity_schema *item;
static FILE *nowhere;

static void fuzz_write(char *ret_path, size_t path_size, const char *name, const char *text)
{
    (void)snprintf(ret_path, path_size, "%s/%s", folder, name);
    FILE *file = fopen(ret_path, "we");
    if (file == NULL || fputs(text, file) < 0 || fclose(file) != 0)
        abort();
}

static void fuzz_remove(void)
{
    static const char *const names[] = {"item.schema.json", "shop.yaml", "shop.db", "shop.db-wal",
                                        "shop.db-shm"};
    char path[sizeof folder + 32];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        (void)unlink(path);
    }
    (void)rmdir(folder);
}

static void fuzz_load(void)
{
    char path[sizeof folder + 32];
    struct error err = ERROR_INIT;
    nowhere = fopen("/dev/null", "we");
    if (nowhere == NULL || mkdtemp(folder) == NULL || atexit(fuzz_remove) != 0)
        abort();
    fuzz_write(schema_path, sizeof schema_path, "item.schema.json",
               "{\"type\":\"object\",\"x-keepstep-key\":[\"id\"],\"required\":[\"id\"],"
               "\"properties\":{\"id\":{\"type\":\"integer\"},\"name\":{\"type\":\"string\"}}}");
    fuzz_write(path, sizeof path, "shop.yaml",
               "service: shop\ndatabase: sqlite:shop.db\nschemas: .\n"
               "kafka: {bootstrap.servers: '127.0.0.1:1'}\npublish:\n  item: {}\n");
    const struct init_options options = {.out = nowhere};
    if (config_load(path, NULL, 0, &config, &err) != STATUS_OK ||
        entity_schema_new(folder, "item", &item, &err) != STATUS_OK ||
        init_service(config, (const struct entity_schema *const *)&item, &options, &err) !=
            STATUS_OK) {
        fprintf(stderr, "%s\n", err.text);
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct error err = ERROR_INIT;
    size_t invalid = 0;
    int64_t written = 0;
    if (config == NULL)
        fuzz_load();
    if (size == 0)
        return 0;
    FILE *in = fmemopen((void *)(uintptr_t)data, size, "r");
    if (in == NULL)
        abort();
    if (schema_lines_validate(schema_path, in, nowhere, &invalid, &err) != STATUS_OK)
        abort(); /* an invalid line is not an error */
    rewind(in);
    if (publish_lines(config, (const struct entity_schema *const *)&item, in, &written, &err) !=
            STATUS_OK &&
        (err.status != STATUS_REJECT || err.text[0] == '\0'))
        abort(); /* only a line can be wrong */
    (void)fclose(in);
    return 0;
}
