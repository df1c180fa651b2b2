/* Starts three services, writes at each of them, and changes rows by hand. */
#include "tests/support/trio.h"

#include "tests/support/load.h"

#define SCRIPT_MAX ((size_t)4 * 1024 * 1024)
#define SETTLE_MS  120000

static const char *entry(const char *entity_type)
{
    return test_format("  %s: {table: %ss, partitions: 2}\n", entity_type, entity_type);
}

static const char *entries(size_t kind, const char *yaml)
{
    const char *text = test_format("%spublish:\n%s%sapply:\n%s", yaml,
                                   entry(verify_dialects[kind].entity_type), entry("stock"),
                                   entry("stock"));
    for (size_t i = 0; i < VERIFY_KINDS; i++) {
        if (i != kind)
            text = test_format("%s%s", text, entry(verify_dialects[i].entity_type));
    }
    return text;
}

void trio_make(struct trio *trio, const char *yaml)
{
    load_need("psql");
    load_need("mariadb");
    load_need("sqlite3");
    *trio = (struct trio){.kafka = kafka_start()};
    for (size_t i = 0; i < VERIFY_KINDS; i++) {
        const char *url = database_make((enum database_kind)i, verify_dialects[i].service);
        trio->services[i] = sidecar_make_on(trio->kafka, verify_dialects[i].service, url,
                                            entries(i, yaml));
        trio->all[i] = &trio->services[i];
        verify_write_schema(verify_dialects[i].entity_type);
        (void)database_text(url,
                            test_format("CREATE TABLE %ss (%s); CREATE TABLE stocks (%s)",
                                        verify_dialects[i].entity_type, verify_dialects[i].columns,
                                        verify_dialects[i].columns));
    }
    verify_write_schema("stock");
}

void trio_begin(struct trio *trio)
{
    trio_make(trio, "");
    for (size_t i = 0; i < VERIFY_KINDS; i++)
        sidecar_begin(&trio->services[i]);
}

void trio_insert(const struct trio *trio)
{
    for (size_t i = 0; i < VERIFY_KINDS; i++) {
        for (int id = 1; id <= 3; id++)
            (void)database_text(trio->services[i].url,
                                test_format("INSERT INTO %ss VALUES (%d, 'n', '1.50', 0.1)",
                                            verify_dialects[i].entity_type, id));
    }
}

struct process *trio_write(const struct trio *trio, size_t kind)
{
    static unsigned count;
    struct buffer script;
    unsigned seed = 7 + (unsigned)kind + VERIFY_KINDS * count++;
    buffer_init(&script, SCRIPT_MAX);
    for (int i = 0; i < TRIO_STATEMENTS; i++) {
        verify_append_statement(&script, test_format("%ss", verify_dialects[kind].entity_type),
                                TRIO_KEYS, &seed);
        verify_append_statement(&script, "stocks", TRIO_KEYS, &seed);
        buffer_append_text(&script, verify_dialects[kind].pause);
    }
    struct process *writer = load_client(
        test_format("%s-writer-%u", verify_dialects[kind].service, count), trio->services[kind].url,
        &script);
    buffer_done(&script);
    return writer;
}

void trio_settle(const struct trio *trio)
{
    for (size_t i = 0; i < VERIFY_KINDS; i++) {
        const struct sidecar *const publisher[] = {trio->all[i], NULL};
        const struct sidecar *const others[] = {trio->all[(i + 1) % VERIFY_KINDS],
                                                trio->all[(i + 2) % VERIFY_KINDS], NULL};
        load_settle(trio->kafka, verify_dialects[i].entity_type, publisher, others, SETTLE_MS);
    }
    load_settle(trio->kafka, "stock", trio->all, trio->all, SETTLE_MS);
}

void trio_end(struct trio *trio)
{
    for (size_t i = 0; i < VERIFY_KINDS; i++)
        sidecar_stop(&trio->services[i]);
}

struct plants trio_prepare_plants(const struct trio *trio)
{
    struct plants plants = {.services = trio->services, .seed = 11};
    for (size_t i = 0; i < VERIFY_KINDS; i++)
        plants.types[plants.type_count++] = verify_dialects[i].entity_type;
    plants.types[plants.type_count++] = "stock";
    for (int i = 0; i < plants.type_count; i++) {
        plants_prepare(&plants, plants.types[i], (enum database_kind)(i % VERIFY_KINDS));
    }
    trio_settle(trio);
    return plants;
}

void trio_plant(const struct trio *trio, enum database_kind kind, const char *table)
{
    const char *text = test_format("UPDATE %s SET price = 7.5 WHERE id = 1; "
                                   "DELETE FROM %s WHERE id = 2; "
                                   "INSERT INTO %s VALUES (99, 'planted', NULL, 0.5)",
                                   table, table, table);
    verify_write_silently(kind, trio->services[kind].url, table, text);
}
