/* Runs the databases' own clients, and waits until copies have reached the end of the log. */
#include "tests/support/load.h"

#include "tests/support/database.h"

#include <stdio.h>

void load_need(const char *program)
{
    const char *const argv[] = {"sh", "-c", test_format("command -v %s", program), NULL};
    if (process_run(argv, NULL, 10000).exit_code != 0)
        test_skip("%s is not installed", program);
}

int load_random(unsigned *seed, int limit)
{
    *seed = *seed * 1664525u + 1013904223u;
    return (int)((*seed >> 8) % (unsigned)limit);
}

int load_number(const char *variable, int otherwise)
{
    const char *text = getenv(variable);
    return text == NULL ? otherwise : atoi(text);
}

static const char *load_database_name(const char *url)
{
    return strrchr(url, '/') + 1;
}

/* @return the digits between the last colon of "scheme://user@host:port/name" and the slash. */
static const char *load_port(const char *url)
{
    const char *port = strrchr(url, ':') + 1;
    return test_format("%.*s", (int)strcspn(port, "/"), port);
}

struct process *load_client(const char *name, const char *url, const struct buffer *script)
{
    const char *path = test_path("%s.sql", name);
    assert_false(script->failed);
    test_write_file(path, buffer_text(script));
    if (strncmp(url, "postgresql:", 11) == 0) {
        const char *const psql[] = {"psql", "-X", "-q", "-d", url, "-f", path, NULL};
        return process_start(name, psql, NULL);
    }
    if (strncmp(url, "mysql:", 6) == 0) {
        const char *const mariadb[] = {"mariadb",
                                       "--no-defaults",
                                       "--protocol=tcp",
                                       "--default-character-set=utf8mb4",
                                       "--force",
                                       "--user=root",
                                       "--host=localhost",
                                       "--port",
                                       load_port(url),
                                       load_database_name(url),
                                       "-e",
                                       test_format("source %s", path),
                                       NULL};
        return process_start(name, mariadb, NULL);
    }
    const char *const sqlite[] = {"sqlite3",        url + strlen("sqlite:"),       "-cmd",
                                  ".timeout 20000", test_format(".read %s", path), NULL};
    return process_start(name, sqlite, NULL);
}

int load_client_end(struct process *client, int64_t limit_ms)
{
    int failed = 0;
    if (process_wait(client, limit_ms) < 0)
        test_fail("a client still writes: %.2000s", process_errors(client));
    static const char *const signs[] = {"ERROR", "error near"};
    for (size_t i = 0; i < sizeof signs / sizeof signs[0]; i++) {
        const char *at = process_errors(client);
        for (; (at = strstr(at, signs[i])) != NULL; at++)
            failed++;
    }
    return failed;
}

void load_write_schema(const char *entity_type, const char *url, const char *table)
{
    struct process_result result = PROCESS_RUN(KEEPSTEP_BINARY, "schema", "table", table,
                                               "--database", url);
    if (result.exit_code != 0)
        test_fail("keepstep schema table %s: %s", table, result.errors);
    test_write_file(test_path("schemas/%s.schema.json", entity_type), result.output);
}

void load_kill(struct sidecar *sidecar)
{
    process_kill(sidecar->process);
    sidecar_start(sidecar, NULL);
}

struct load_wait {
    const char *url;
    const char *sql;
    const char *expected;
    const char *seen;
};

static bool load_reached(void *context)
{
    struct load_wait *wait = context;
    wait->seen = database_text(wait->url, wait->sql);
    return strcmp(wait->seen, wait->expected) == 0;
}

static void load_expect(const struct sidecar *sidecar, const char *sql, const char *expected,
                        int64_t limit_ms)
{
    struct load_wait wait = {.url = sidecar->url, .sql = sql, .expected = expected};
    if (!test_wait(load_reached, &wait, limit_ms)) {
        const char *log = process_errors(sidecar->process);
        size_t length = strlen(log);
        test_fail("%s: %s gives %sand not %sits log ends with %s", sidecar->name, sql, wait.seen,
                  expected, length > 6000 ? log + length - 6000 : log);
    }
}

void load_settle(struct kafka *kafka, const char *entity_type,
                 const struct sidecar *const publishers[], const struct sidecar *const appliers[],
                 int64_t limit_ms)
{
    for (size_t i = 0; publishers[i] != NULL; i++) {
        load_expect(publishers[i], "SELECT count(*) FROM outbox WHERE sequence IS NULL", "0\n",
                    limit_ms);
        load_expect(publishers[i],
                    "SELECT count(*) FROM keepstep_relay_partition "
                    "WHERE acknowledged_sequence < last_sequence",
                    "0\n", limit_ms);
    }
    const char *records = test_format("%lld\n", (long long)sidecar_records(kafka, entity_type));
    for (size_t i = 0; appliers[i] != NULL; i++) {
        load_expect(appliers[i],
                    test_format("SELECT sum(next_offset) FROM keepstep_position WHERE topic = '%s'",
                                sidecar_topic(entity_type)),
                    records, limit_ms);
        load_expect(appliers[i], "SELECT count(*) FROM keepstep_parked", "0\n", 0);
    }
}

void load_assert_rows(const char *what, const char *expected, const char *rows)
{
    size_t line = 0;
    if (strcmp(expected, rows) == 0)
        return;
    for (size_t i = 0; expected[i] != '\0' && expected[i] == rows[i]; i++) {
        if (expected[i] == '\n')
            line = i + 1;
    }
    test_fail("%s differs: %.*s where %.*s is expected", what, (int)strcspn(rows + line, "\n"),
              rows + line, (int)strcspn(expected + line, "\n"), expected + line);
}
