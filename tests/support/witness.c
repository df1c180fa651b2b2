/* Rows with versions, and what triggers saw of them. */
#include "tests/support/witness.h"

#include "tests/support/database.h"
#include "tests/support/load.h"

#include "producer/registry.h"

#include <stdio.h>
#include <stdlib.h>

#define WITNESS_SIZE_MAX ((size_t)64 * 1024 * 1024)
#define WITNESS_ROWS     60
#define WITNESS_LIMIT_MS 60000
#define WITNESS_LOAD_MS  120000

#define WITNESS_TRIGGER(name, event, row, op)                                                      \
    "CREATE TRIGGER witness_" name " AFTER " event " ON items BEGIN INSERT INTO witness"           \
    "(at_us, op, id, version) VALUES(CAST((julianday('now') - 2440587.5) * 86400e6 AS INTEGER)"    \
    ", '" op "', " row ".id, " row ".amount); END;"

#define WITNESS_INDEX "CREATE INDEX witness_id ON witness(id, version);"

static const char witness_sqlite[] =
    ("CREATE TABLE witness(n INTEGER PRIMARY KEY, at_us, op, id, version);" //
     WITNESS_INDEX                                                          //
         WITNESS_TRIGGER("created", "INSERT", "new", "c")
             WITNESS_TRIGGER("updated", "UPDATE", "new", "u")
                 WITNESS_TRIGGER("deleted", "DELETE", "old", "d"));

#define WITNESS_COLUMNS "at_us BIGINT, op VARCHAR(1), id BIGINT, version BIGINT);" WITNESS_INDEX

static const char witness_postgresql[] =
    ("CREATE TABLE witness(n bigint GENERATED ALWAYS AS IDENTITY, " WITNESS_COLUMNS
     "CREATE FUNCTION witness() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ DECLARE "
     "row items := CASE WHEN TG_OP = 'DELETE' THEN old ELSE new END; BEGIN INSERT INTO "
     "witness(at_us, op, id, "
     "version) VALUES(extract(epoch FROM clock_timestamp()) * 1000000, translate(substr(TG_OP, 1, "
     "1), 'IUD', 'cud'), row.id, row.amount); RETURN NULL; END $$;"
     "CREATE TRIGGER witness AFTER INSERT OR UPDATE OR DELETE ON items FOR EACH ROW "
     "EXECUTE FUNCTION witness()");

#define WITNESS_MARIADB(name, event, row, op)                                                      \
    "CREATE TRIGGER witness_" name " AFTER " event " ON items FOR EACH ROW INSERT INTO "           \
    "witness(at_us, op, id, version) VALUES(unix_timestamp(sysdate(6)) * 1000000, '" op "', " row  \
    ".id, " row ".amount);"

static const char witness_mariadb[] =
    ("CREATE TABLE witness(n BIGINT AUTO_INCREMENT PRIMARY KEY, " WITNESS_COLUMNS //
         WITNESS_MARIADB("created", "INSERT", "new", "c")
             WITNESS_MARIADB("updated", "UPDATE", "new", "u")
                 WITNESS_MARIADB("deleted", "DELETE", "old", "d"));

void witness_begin(const struct sidecar *service)
{
    if (strncmp(service->url, "postgresql:", strlen("postgresql:")) == 0)
        (void)database_text(service->url, witness_postgresql);
    else if (strncmp(service->url, "mysql:", strlen("mysql:")) == 0)
        (void)database_text(service->url, witness_mariadb);
    else
        (void)database_text(service->url, witness_sqlite);
}

/* Hands on statement by statement, with a pause behind each transaction, until it is enough. No
 * program is started for a pause. */
static const char witness_feed[] =
    "exec sqlite3 -cmd '.timeout 20000' \"$1\" < <(exec 9<> <(:)\n"
    "while IFS= read -r line; do printf '%s\\n' \"$line\"\n"
    "  if [ \"$line\" = 'COMMIT;' ]; then [ ! -e \"$3\" ] || break; read -r -t 0.005 -u 9; fi\n"
    "done <\"$2\")";

static const char *witness_enough(const char *name)
{
    return test_path("%s.enough", name);
}

struct process *witness_load(const struct sidecar *service, const char *name, int version,
                             int statements)
{
    struct buffer script;
    const char *path = test_path("%s.sql", name);
    unsigned seed = (unsigned)version + 1;
    buffer_init(&script, (size_t)16 * 1024 * 1024);
    for (int i = 1; i <= statements; i++) {
        int id = load_random(&seed, WITNESS_ROWS);
        if (i % 2 == 1)
            buffer_append_text(&script, "BEGIN IMMEDIATE;\n");
        if (load_random(&seed, 6) == 0)
            buffer_append_format(&script, "DELETE FROM items WHERE id=%d;\n", id);
        else
            buffer_append_format(&script,
                                 "INSERT INTO items VALUES(%d,'%s',%d) ON CONFLICT(id) DO UPDATE "
                                 "SET name=excluded.name, amount=excluded.amount;\n",
                                 id, name, version + i);
        if (i % 2 == 0 || i == statements)
            buffer_append_text(&script, "COMMIT;\n");
    }
    assert_false(script.failed);
    test_write_file(path, buffer_text(&script));
    buffer_done(&script);
    const char *const argv[] = {
        "bash", "-c", witness_feed, "bash", service->database, path, witness_enough(name), NULL};
    return process_start(name, argv, NULL);
}

void witness_load_end(struct process *load)
{
    if (load_client_end(load, WITNESS_LOAD_MS) > 0)
        test_fail("statements of the service failed: %.2000s", process_errors(load));
}

void witness_load_stop(struct process *load, const char *name)
{
    test_write_file(witness_enough(name), "");
    witness_load_end(load);
}

int64_t witness_count(const struct sidecar *service)
{
    return atoll(database_text(service->url, "SELECT coalesce(max(n), 0) FROM witness"));
}

int64_t witness_next_us(const struct sidecar *service, int64_t seen, int64_t limit_ms)
{
    const char *more = test_format("SELECT CASE WHEN max(n) > %lld THEN 1 ELSE 0 END FROM witness",
                                   (long long)seen);
    if (!database_wait_for(service->url, more, "1\n", limit_ms))
        test_fail("%s writes nothing: %s", service->name, process_errors(service->process));
    return atoll(database_text(
        service->url, test_format("SELECT at_us FROM witness WHERE n > %lld ORDER BY n LIMIT 1",
                                  (long long)seen)));
}

/* @return an SQLite file with the witness's rows of a copy on a server, for the same queries. */
static const char *witness_file(const struct sidecar *copy)
{
    if (copy->database != NULL)
        return copy->database;
    struct buffer sql;
    const char *file = test_path("witness-%s.db", copy->name);
    const char *row = database_text(copy->url, "SELECT n, op, id, version FROM witness");
    buffer_init(&sql, (size_t)16 * 1024 * 1024);
    buffer_append_text(&sql, "BEGIN; DROP TABLE IF EXISTS witness; CREATE TABLE witness(n INTEGER "
                             "PRIMARY KEY, op, id, version);" WITNESS_INDEX);
    for (; *row != '\0'; row = strchr(row, '\n') + 1) {
        long long n = 0;
        long long id = 0;
        long long version = 0;
        char op = '\0';
        assert_int_equal(sscanf(row, "%lld|%c|%lld|%lld", &n, &op, &id, &version), 4);
        buffer_append_format(&sql, "INSERT INTO witness VALUES(%lld,'%c',%lld,%lld);", n, op, id,
                             version);
    }
    buffer_append_text(&sql, "COMMIT");
    (void)sqlite_text(file, buffer_text(&sql));
    buffer_done(&sql);
    return file;
}

/* Fail with the first rows of a query that must give none. */
static void witness_none(const struct sidecar *copy, const char *file, const char *what,
                         const char *sql)
{
    const char *found = sqlite_text(file, sql);
    if (found[0] != '\0')
        test_fail("%s: %s: %s", copy->name, what, found);
}

struct witness_log {
    struct buffer rows; /* "partition|sequence|id\n" */
    int64_t last[16];   /* by partition */
    int doubles;
};

static const char *witness_header(const struct kafka_record *record, const char *name)
{
    const char *found = strstr(record->headers, name);
    if (found == NULL)
        test_fail("a record without %s", name);
    found += strlen(name);
    return test_format("%.*s", (int)strcspn(found, "\n"), found);
}

static void witness_record(const struct kafka_record *record, void *context)
{
    struct witness_log *log = context;
    long long sequence = atoll(witness_header(record, "ce_sequence="));
    const char *row = test_format("%d|%lld|%s\n", (int)record->partition, sequence,
                                  witness_header(record, "ce_id="));
    assert_in_range(record->partition, 0, sizeof log->last / sizeof log->last[0] - 1);
    if (sequence > log->last[record->partition]) {
        log->last[record->partition] = sequence;
        buffer_append_text(&log->rows, row);
        return;
    }
    log->doubles++;
    if (strstr(buffer_text(&log->rows), row) == NULL)
        test_fail("another record has been numbered as %s", row);
}

static int witness_compare_rows(const void *a, const void *b)
{
    const struct outbox_row *const *rows[] = {a, b};
    const struct outbox_row *left = *rows[0];
    const struct outbox_row *right = *rows[1];
    if (left->partition != right->partition)
        return left->partition < right->partition ? -1 : 1;
    return (left->sequence > right->sequence) - (left->sequence < right->sequence);
}

/* @return "partition|sequence|id\n" of each row of the outbox. */
static const char *witness_outbox(const struct sidecar *service)
{
    struct error err = ERROR_INIT;
    struct arena arena;
    struct buffer text;
    struct outbox *outbox = NULL;
    struct outbox_rows rows = {0};
    const struct outbox_selection all = {.filter = OUTBOX_ALL};
    const char *path = service->database == NULL ? service->url : service->database;
    const struct outbox_options options = {.path = path, .service = "shop", .read_only = true};
    arena_init(&arena, WITNESS_SIZE_MAX);
    buffer_init(&text, WITNESS_SIZE_MAX);
    if (outbox_find(service->url)->open(&options, &outbox, &err) != STATUS_OK ||
        outbox->ops->list(outbox, &all, &arena, &rows, &err) != STATUS_OK)
        test_fail("%s", err.text);
    const struct outbox_row **sorted = calloc(rows.count + 1, sizeof *sorted);
    assert_non_null(sorted);
    for (size_t i = 0; i < rows.count; i++)
        sorted[i] = &rows.rows[i];
    qsort(sorted, rows.count, sizeof *sorted, witness_compare_rows);
    for (size_t i = 0; i < rows.count; i++)
        buffer_append_format(&text, "%d|%llu|%.*s\n", (int)sorted[i]->partition,
                             (unsigned long long)sorted[i]->sequence, SLICE_ARGS(sorted[i]->id));
    const char *kept = test_format("%s", buffer_text(&text));
    free(sorted);
    outbox->ops->close(outbox);
    arena_done(&arena);
    buffer_done(&text);
    return kept;
}

int witness_assert_log(struct kafka *kafka, const struct sidecar *service)
{
    struct witness_log log = {.doubles = 0};
    const struct sidecar *const publishers[] = {service, NULL};
    const struct sidecar *const nobody[] = {NULL};
    load_settle(kafka, "item", publishers, nobody, WITNESS_LIMIT_MS);
    buffer_init(&log.rows, WITNESS_SIZE_MAX);
    (void)kafka_consume_all(kafka, sidecar_topic("item"), witness_record, &log);
    load_assert_rows("the log", witness_outbox(service), buffer_text(&log.rows));
    buffer_done(&log.rows);
    return log.doubles;
}

void witness_assert_copy(struct kafka *kafka, const struct sidecar *service,
                         const struct sidecar *copy)
{
    const struct sidecar *const publishers[] = {service, NULL};
    const struct sidecar *const appliers[] = {copy, NULL};
    load_settle(kafka, "item", publishers, appliers, WITNESS_LIMIT_MS);
    sidecar_assert_equal(service, copy, "items", 0);
    const char *file = witness_file(copy);
    witness_none(copy, file, "a version was written again or a row was set back",
                 "SELECT n, id, version, before FROM (SELECT n, id, version, max(version) OVER "
                 "(PARTITION BY id ORDER BY n ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) "
                 "AS before FROM witness WHERE op <> 'd') WHERE version <= before LIMIT 5");
    const char *attach = test_format("ATTACH '%s' AS service;", service->database);
    witness_none(copy, file, "the service never wrote this",
                 test_format("%s SELECT n, id, version FROM witness w WHERE op <> 'd' AND NOT "
                             "EXISTS(SELECT 1 FROM service.witness s WHERE s.id = w.id AND "
                             "s.version = w.version AND s.op <> 'd') LIMIT 5",
                             attach));
    witness_none(copy, file, "deleted more often than the service did",
                 test_format("%s SELECT id, count(*) AS deletes FROM witness w WHERE op = 'd' "
                             "GROUP BY id HAVING deletes > (SELECT count(*) FROM service.witness s "
                             "WHERE s.id = w.id AND s.op = 'd') LIMIT 5",
                             attach));
}
