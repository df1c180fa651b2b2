/* A service `shop` that publishes its table `orders`, for tests of its triggers and its rows. */
#include "producer/registry.h"
#include "tests/support/shop.h"

#include <string.h>

static enum database_kind shop_kind;

void shop_begin(enum database_kind kind)
{
    shop_kind = kind;
}

static bool shop_is_key(const char *keys, const char *name)
{
    return strstr(test_format(",%s,", keys), test_format(",%s,", name)) != NULL;
}

const char *shop_schema(const char *keys, const char *columns)
{
    const char *properties = "";
    const char *names = "";
    for (const char *at = keys; *at != '\0'; at += strcspn(at, ",") + (strchr(at, ',') != NULL))
        names = test_format("%s%s\"%.*s\"", names, names[0] == '\0' ? "" : ",",
                            (int)strcspn(at, ","), at);
    for (const char *at = columns; *at != '\0';
         at += strcspn(at, ",") + (strchr(at, ',') != NULL)) {
        char name[16];
        char type[16];
        assert_int_equal(sscanf(at, "%15[a-z0-9%] %15[a-z-]", name, type), 2);
        const char *json = strcmp(type, "double") == 0 ? "number" : "string";
        if (strcmp(type, "integer") == 0 || strcmp(type, "boolean") == 0)
            json = type;
        properties = test_format("%s%s\"%s\":{\"type\":[\"%s\"%s],\"x-keepstep-type\":\"%s\"}",
                                 properties, properties[0] == '\0' ? "" : ",", name, json,
                                 shop_is_key(keys, name) ? "" : ",\"null\"", type);
    }
    return test_format("{\"$schema\":\"http://json-schema.org/draft-07/schema#\","
                       "\"type\":\"object\",\"x-keepstep-key\":[%s],\"properties\":{%s}}",
                       names, properties);
}

void shop_make(struct shop *shop, const char *schema, const char *tables)
{
    struct error err = ERROR_INIT;
    const char *url = database_make(shop_kind, "shop");
    const char *path = shop_kind == DATABASE_SQLITE ? url + strlen("sqlite:") : url;
    *shop = (struct shop){.url = url};
    test_write_file(test_path("order.schema.json"), schema);
    if (entity_schema_new(test_directory(), "order", &shop->schema, &err) != STATUS_OK)
        test_fail("%s", err.text);
    shop->entry = (struct config_entry){.entity_type = (char *)"order",
                                        .table = (char *)"orders",
                                        .topic = (char *)"order",
                                        .partitions = 3};
    shop->config = (struct config){
        .path = (char *)"shop.yaml",
        .service = (char *)"shop",
        .database = (char *)(uintptr_t)url,
        .database_path = (char *)(uintptr_t)path,
        .instance = (char *)"1",
        .publish = &shop->entry,
        .publish_count = 1,
        .limits = {.message_bytes = 1000000, .outbox_retention_s = 86400}};
    (void)database_text(url, tables);
}

static enum status shop_run_init(struct shop *shop, const struct init_options *options,
                                 const char *file, struct error *err)
{
    const struct entity_schema *schemas[] = {shop->schema};
    struct init_options written = *options;
    written.out = fopen(test_path("%s", file), "w");
    enum status status = init_service(&shop->config, schemas, &written, err);
    (void)fclose(written.out);
    return status;
}

enum status shop_init_with(struct shop *shop, const struct init_options *options, struct error *err)
{
    return shop_run_init(shop, options, "init.txt", err);
}

enum status shop_init(struct shop *shop, bool rows, struct error *err)
{
    const struct init_options options = {.no_existing_rows = !rows};
    return shop_init_with(shop, &options, err);
}

const char *shop_print(struct shop *shop)
{
    const struct init_options options = {.print_sql = true};
    struct error err = ERROR_INIT;
    if (shop_run_init(shop, &options, "init.sql", &err) != STATUS_OK)
        test_fail("%s", err.text);
    return test_read_file(test_path("init.sql"));
}

void shop_ready(struct shop *shop, const char *schema, const char *tables)
{
    struct error err = ERROR_INIT;
    shop_make(shop, schema, tables);
    if (shop_init(shop, true, &err) != STATUS_OK)
        test_fail("%s", err.text);
}

void shop_open(struct shop *shop)
{
    struct error err = ERROR_INIT;
    if (origin_find(shop->url)->open(&shop->config, ORIGIN_INSTALL, &shop->origin, &err) !=
        STATUS_OK)
        test_fail("%s", err.text);
}

void shop_track(struct shop *shop)
{
    struct error err = ERROR_INIT;
    if (shop_init(shop, false, &err) != STATUS_OK)
        test_fail("%s", err.text);
    shop_open(shop);
}

void shop_done(struct shop *shop)
{
    if (shop->origin != NULL)
        shop->origin->ops->close(shop->origin);
    entity_schema_free(shop->schema);
}
