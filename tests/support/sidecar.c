/* Services for end-to-end tests. Each one has its files in the directory of the test. */
#include "tests/support/sidecar.h"

#include "tests/support/database.h"
#include "tests/support/roles.h"

#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define SIDECAR_STOP_MS 20000
#define NO_LISTEN       "listen: \"\"\n"

static void sidecar_schemas(void)
{
    static const char schema[] =
        "{\"$schema\":\"http://json-schema.org/draft-07/schema#\",\"type\":\"object\","
        "\"x-keepstep-key\":[\"id\"],\"properties\":{"
        "\"id\":{\"type\":\"integer\",\"x-keepstep-type\":\"integer\"},"
        "\"name\":{\"type\":\"string\",\"maxLength\":100,\"x-keepstep-type\":\"text\"},"
        "\"amount\":{\"type\":[\"integer\",\"null\"],\"x-keepstep-type\":\"integer\"}},"
        "\"required\":[\"id\",\"name\"]}";
    if (mkdir(test_path("schemas"), 0755) != 0)
        return;
    test_write_file(test_path("schemas/item.schema.json"), schema);
    test_write_file(test_path("schemas/extra.schema.json"), schema);
}

/* @return "relay", "agent" or "run": the ending of the printed role's name. */
static const char *sidecar_role(const char *entries)
{
    bool publishes = strstr(entries, "publish:") != NULL;
    bool applies = strstr(entries, "apply:") != NULL || strstr(entries, "joint:") != NULL;
    return publishes && applies ? "run" : publishes ? "relay" : "agent";
}

static void sidecar_configure(const char *path, const char *name, const char *url, const char *rest)
{
    test_write_file(path, test_format("service: %s\ndatabase: \"%s\"\n%s", name, url, rest));
}

struct sidecar sidecar_make_at(const char *bootstrap, const char *name, const char *url,
                               const char *entries)
{
    struct sidecar sidecar = {
        .name = name,
        .url = url,
        .database = strncmp(url, "sqlite:", 7) == 0 ? url + 7 : NULL,
        .config = test_path("%s.yaml", name),
    };
    const char *rest = test_format(NO_LISTEN "log: {level: debug, format: logfmt}\n"
                                             "kafka: {bootstrap.servers: \"%s\"}\n"
                                             "topic_prefix: \"%s.\"\n%s",
                                   bootstrap, test_name(), entries);
    sidecar_schemas();
    if (sidecar.database == NULL) {
        sidecar.admin = test_path("%s-admin.yaml", name);
        sidecar_configure(sidecar.admin, name, url, rest);
        sidecar.login = test_format("%s_%s", name, sidecar_role(entries));
        url = roles_url(url, sidecar.login);
    }
    sidecar_configure(sidecar.config, name, url, rest);
    return sidecar;
}

struct sidecar sidecar_make_on(struct kafka *kafka, const char *name, const char *url,
                               const char *entries)
{
    return sidecar_make_at(kafka_bootstrap(kafka), name, url, entries);
}

struct sidecar sidecar_make(struct kafka *kafka, const char *name, const char *ddl,
                            const char *entries)
{
    struct sidecar sidecar = sidecar_make_on(
        kafka, name, test_format("sqlite:%s", test_path("%s.db", name)), entries);
    if (ddl != NULL)
        (void)sqlite_text(sidecar.database, ddl);
    return sidecar;
}

void sidecar_grant(const struct sidecar *sidecar)
{
    if (sidecar->admin == NULL)
        return;
    roles_grant(sidecar->admin, sidecar->url);
    (void)roles_login(sidecar->url, sidecar->login,
                      test_format("keepstep%s", strrchr(sidecar->login, '_')));
}

void sidecar_init(const struct sidecar *sidecar, const char *argument)
{
    const char *config = sidecar->admin != NULL ? sidecar->admin : sidecar->config;
    bool has_outbox = sidecar->admin != NULL && roles_has_outbox(sidecar->url);
    if (!has_outbox)
        sidecar_grant(sidecar);
    struct process_result result = argument == NULL
                                       ? PROCESS_RUN(KEEPSTEP_BINARY, "init", "-c", config)
                                       : PROCESS_RUN(KEEPSTEP_BINARY, "init", "-c", config,
                                                     argument);
    if (result.exit_code != 0)
        test_fail("keepstep init of %s ended with %d: %s", sidecar->name, result.exit_code,
                  result.errors);
    if (has_outbox)
        sidecar_grant(sidecar);
}

int sidecar_listen(const struct sidecar *sidecar)
{
    const char *config = test_read_file(sidecar->config);
    const char *place = strstr(config, NO_LISTEN);
    assert_non_null(place);
    int port = process_free_port();
    test_write_file(sidecar->config,
                    test_format("%.*slisten: 127.0.0.1:%d\n%s", (int)(place - config), config, port,
                                place + strlen(NO_LISTEN)));
    return port;
}

void sidecar_set_kafka(const struct sidecar *sidecar, const char *settings)
{
    const char *config = test_read_file(sidecar->config);
    const char *brokers = strstr(config, "bootstrap.servers");
    assert_non_null(brokers);
    test_write_file(sidecar->config,
                    test_format("%.*s%s, %s", (int)(brokers - config), config, settings, brokers));
}

void sidecar_start(struct sidecar *sidecar, const char *failpoint)
{
    const char *const argv[] = {KEEPSTEP_BINARY, "run", "-c", sidecar->config, NULL};
    const char *const environment[] = {
        failpoint == NULL ? NULL : test_format("KEEPSTEP_FAILPOINT=%s", failpoint), NULL};
    sidecar->starts++;
    sidecar->process = process_start(test_format("%s-%d", sidecar->name, sidecar->starts), argv,
                                     environment);
}

void sidecar_begin(struct sidecar *sidecar)
{
    sidecar_init(sidecar, NULL);
    sidecar_start(sidecar, NULL);
}

void sidecar_stop(struct sidecar *sidecar)
{
    (void)process_wait_catches(sidecar->process, SIGTERM, SIDECAR_STOP_MS);
    int code = process_stop(sidecar->process, SIDECAR_STOP_MS);
    if (code != 0)
        test_fail("%s ended with %d: %s", sidecar->name, code, process_errors(sidecar->process));
}

void sidecar_expect_published(const struct sidecar *service)
{
    sidecar_expect(service,
                   "SELECT count(*) FROM outbox o LEFT JOIN keepstep_relay_partition p "
                   "ON p.partition = o.kafka_partition WHERE o.set_aside IS NULL "
                   "AND (o.sequence IS NULL OR o.sequence > p.acknowledged_sequence)",
                   "0\n");
}

const char *sidecar_back_up(const struct sidecar *sidecar)
{
    static int count;
    const char *backup = test_path("%s-backup-%d.db", sidecar->name, ++count);
    (void)sqlite_format(sidecar->database, "VACUUM INTO '%s'", backup);
    return backup;
}

void sidecar_restore(const struct sidecar *sidecar, const char *backup)
{
    const char *script = test_format("rm -f '%s' '%s-wal' '%s-shm'; cp '%s' '%s'",
                                     sidecar->database, sidecar->database, sidecar->database,
                                     backup, sidecar->database);
    assert_int_equal(PROCESS_RUN("sh", "-c", script).exit_code, 0);
}

struct process_result sidecar_run(const struct sidecar *sidecar, const char *command,
                                  const char *first, const char *second)
{
    const char *const argv[] = {KEEPSTEP_BINARY,
                                command,
                                "-c",
                                sidecar->config,
                                first,
                                first == NULL ? NULL : second,
                                NULL};
    return process_run(argv, NULL, 30000);
}

const char *sidecar_topic(const char *entity_type)
{
    return test_format("%s.%s", test_name(), entity_type);
}

static void sidecar_count(const struct kafka_record *record, void *context)
{
    (void)record;
    (void)context;
}

int64_t sidecar_records(struct kafka *kafka, const char *entity_type)
{
    return kafka_consume_all(kafka, sidecar_topic(entity_type), sidecar_count, NULL);
}

struct sidecar_pair {
    const struct sidecar *left;
    const struct sidecar *right;
    const char *table;
};

static bool sidecar_equal(void *context)
{
    const struct sidecar_pair *pair = context;
    const char *sql = test_format("SELECT * FROM %s ORDER BY 1", pair->table);
    return strcmp(database_text(pair->left->url, sql), database_text(pair->right->url, sql)) == 0;
}

void sidecar_assert_equal(const struct sidecar *left, const struct sidecar *right,
                          const char *table, int64_t limit_ms)
{
    struct sidecar_pair pair = {.left = left, .right = right, .table = table};
    if (test_wait(sidecar_equal, &pair, limit_ms))
        return;
    const char *sql = test_format("SELECT count(*), sum(id), sum(amount) FROM %s", table);
    test_fail("%s: %s has %s and %s has %s; log of %s: %s", table, left->name,
              database_text(left->url, sql), right->name, database_text(right->url, sql),
              right->name, right->process == NULL ? "" : process_errors(right->process));
}

void sidecar_produce(struct kafka *kafka, const char *id, const char *type, int key,
                     const char *after)
{
    const char *const headers[] = {"ce_specversion",
                                   "1.0",
                                   "ce_id",
                                   id,
                                   "ce_source",
                                   "import",
                                   "ce_type",
                                   type,
                                   "content-type",
                                   "application/json",
                                   NULL};
    (void)kafka_produce(kafka, sidecar_topic("item"), 0, test_format("{\"id\":%d}", key),
                        test_format("{\"op\":\"u\",\"before\":null,\"after\":%s}", after), headers);
}

void sidecar_produce_sequenced(struct kafka *kafka, int sequence, const char *id,
                               const char *previous)
{
    const char *const headers[] = {"ce_specversion",
                                   "1.0",
                                   "ce_id",
                                   id,
                                   "ce_source",
                                   "shop",
                                   "ce_type",
                                   "item.created",
                                   "content-type",
                                   "application/json",
                                   "ce_sequence",
                                   test_format("%020d", sequence),
                                   "ce_incarnation",
                                   "0190aaaa-0000-7000-8000-000000000001",
                                   "ce_protocol",
                                   "1",
                                   previous == NULL ? NULL : "ce_previousid",
                                   previous,
                                   NULL};
    (void)kafka_produce(kafka, sidecar_topic("item"), 0, test_format("{\"id\":%d}", sequence),
                        test_format("{\"op\":\"c\",\"before\":null,\"after\":{\"id\":%d,"
                                    "\"name\":\"%s\",\"amount\":null}}",
                                    sequence, id),
                        headers);
}

void sidecar_expect(const struct sidecar *service, const char *sql, const char *rows)
{
    if (!sqlite_wait_for(service->database, sql, rows, 20000))
        test_fail("%s has %s: %s", service->name, sqlite_text(service->database, sql),
                  process_errors(service->process));
}
