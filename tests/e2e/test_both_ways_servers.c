/* Two services on one kind of server write one table, each with concurrent clients. Both copies end
 * equal, and no newer value of a service is replaced by an older value of the same service. */
#include "tests/support/database.h"
#include "tests/support/load.h"

#include <unistd.h>

#define ENTRIES                                                                                    \
    "publish:\n  item: {table: items, partitions: 2}\n"                                            \
    "apply:\n  item: {table: items, partitions: 2}\n"
#define CLIENTS    3
#define STATEMENTS 400
#define SHARED     8 /* both services write the keys 0 to 7 */
#define OWN        3 /* rows that only their own service counts up */
#define SCRIPT_MAX ((size_t)4 * 1024 * 1024)
#define ROWS       "SELECT id, name, amount, details FROM items ORDER BY id"
#define DETAILS    "'{\"of\":\"%s\", \"in\":[%d,1.50]}'" /* PostgreSQL's jsonb rewrites this */

/* A trigger notes each value of a writer that an older value of the same writer replaces. Changes
 * that are rolled back to a savepoint are not noted. */
static const char *const ddl[] = {
    [DATABASE_POSTGRESQL] =
        "CREATE SEQUENCE numbers;"
        "CREATE TABLE items (id bigint PRIMARY KEY, name text NOT NULL, amount bigint, "
        "details jsonb);"
        "CREATE TABLE steps_back (id bigint, name text, was bigint, became bigint);"
        "CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " INSERT INTO steps_back VALUES (new.id, new.name, old.amount, new.amount);"
        " RETURN NULL; END $$;"
        "CREATE TRIGGER note AFTER UPDATE ON items FOR EACH ROW"
        " WHEN (new.name = old.name AND new.amount < old.amount) EXECUTE FUNCTION note()",
    [DATABASE_MARIADB] =
        "CREATE SEQUENCE numbers;"
        "CREATE TABLE items (id BIGINT PRIMARY KEY, name VARCHAR(100) CHARACTER SET utf8mb4 "
        "NOT NULL, amount BIGINT, details JSON);"
        "CREATE TABLE steps_back (id BIGINT, name VARCHAR(100), was BIGINT, became BIGINT);"
        "CREATE TRIGGER note AFTER UPDATE ON items FOR EACH ROW INSERT INTO steps_back "
        "SELECT new.id, new.name, old.amount, new.amount FROM DUAL "
        "WHERE new.name = old.name AND new.amount < old.amount"};

struct two {
    enum database_kind kind;
    struct kafka *kafka;
    struct sidecar services[2];
    const struct sidecar *all[3];
    struct process *clients[2][CLIENTS];
    int counted[2]; /* statements that count a row up */
    int failed[2];
};

static void add_details(void)
{
    static const char properties[] = "\"properties\":{";
    const char *path = test_path("schemas/item.schema.json");
    const char *schema = test_read_file(path);
    const char *place = strstr(schema, properties) + strlen(properties);
    test_write_file(path, test_format("%.*s\"details\":{\"type\":[\"string\",\"null\"],"
                                      "\"x-keepstep-type\":\"json\"},%s",
                                      (int)(place - schema), schema, place));
}

static void two_begin(struct two *two, enum database_kind kind)
{
    static const char *const names[] = {"left", "right"};
    load_need(kind == DATABASE_POSTGRESQL ? "psql" : "mariadb");
    *two = (struct two){.kind = kind, .kafka = kafka_start()};
    for (int i = 0; i < 2; i++) {
        const char *url = database_make(kind, names[i]);
        (void)database_text(url, ddl[kind]);
        two->services[i] = sidecar_make_on(two->kafka, names[i], url, ENTRIES);
        if (i == 0)
            add_details();
        two->all[i] = &two->services[i];
        sidecar_begin(&two->services[i]);
        for (int j = 0; j < OWN; j++)
            (void)database_text(url, test_format("INSERT INTO items VALUES (%d, '%s', 0, NULL)",
                                                 100 + i * 100 + j, names[i]));
    }
}

/* A number is drawn while the row is locked. So the numbers of a writer rise in the order of its
 * commits. */
static void append_shared(struct buffer *script, enum database_kind kind, const char *writer,
                          unsigned *seed)
{
    bool postgresql = kind == DATABASE_POSTGRESQL;
    int id = load_random(seed, SHARED);
    int what = load_random(seed, 10);
    if (what == 0) {
        buffer_append_format(script, "DELETE FROM items WHERE id = %d;\n", id);
        return;
    }
    buffer_append_text(script, "BEGIN;\n");
    if (what < 4)
        buffer_append_format(
            script, "INSERT INTO items VALUES (%d, '%s', NULL, NULL) %s;\n", id, writer,
            postgresql ? "ON CONFLICT DO NOTHING" : "ON DUPLICATE KEY UPDATE id = items.id");
    else
        buffer_append_format(script, "SELECT id FROM items WHERE id = %d FOR UPDATE;\n", id);
    buffer_append_format(script,
                         "UPDATE items SET name = '%s', amount = nextval(%s), details = " DETAILS
                         " WHERE id = %d;\nCOMMIT;\n",
                         writer, postgresql ? "'numbers'" : "numbers", writer, what, id);
}

static void start_client(struct two *two, int service, int client)
{
    const struct sidecar *sidecar = &two->services[service];
    unsigned seed = (unsigned)(service * 10 + client + 1);
    struct buffer script;
    buffer_init(&script, SCRIPT_MAX);
    for (int i = 0; i < STATEMENTS; i++) {
        if (load_random(&seed, 2) == 0) {
            append_shared(&script, two->kind, sidecar->name, &seed);
        } else {
            buffer_append_format(&script,
                                 "UPDATE items SET amount = amount + 1, details = " DETAILS
                                 " WHERE id = %d;\n",
                                 sidecar->name, i, 100 + service * 100 + load_random(&seed, OWN));
            two->counted[service]++;
        }
        buffer_append_text(&script, two->kind == DATABASE_POSTGRESQL ? "SELECT pg_sleep(0.005);\n"
                                                                     : "DO SLEEP(0.005);\n");
    }
    two->clients[service][client] = load_client(test_format("%s-%d", sidecar->name, client),
                                                sidecar->url, &script);
    buffer_done(&script);
}

static bool two_write(const struct two *two)
{
    bool running = false;
    for (int i = 0; i < 2 * CLIENTS; i++)
        running = process_running(two->clients[i % 2][i / 2]) || running;
    return running;
}

static void two_assert_counted(const struct two *two, int service)
{
    const char *sql = test_format("SELECT sum(amount) FROM items WHERE id >= %d AND id < %d",
                                  100 + service * 100, 200 + service * 100);
    int sum = atoi(database_text(two->services[service].url, sql));
    if (sum > two->counted[service] || sum < two->counted[service] - two->failed[service])
        test_fail("%s counted to %d in %d statements, of which %d failed",
                  two->services[service].name, sum, two->counted[service], two->failed[service]);
}

static void two_services_end_equal(enum database_kind kind)
{
    struct two two;
    two_begin(&two, kind);
    for (int i = 0; i < 2 * CLIENTS; i++)
        start_client(&two, i % 2, i / 2);
    for (int round = 0; two_write(&two); round++) {
        (void)usleep(700000);
        load_kill(&two.services[round % 2]);
    }
    for (int i = 0; i < 2; i++) {
        for (int j = 0; j < CLIENTS; j++)
            two.failed[i] += load_client_end(two.clients[i][j], 60000);
        two_assert_counted(&two, i);
    }
    load_settle(two.kafka, "item", two.all, two.all, 60000);
    const char *rows = database_text(two.services[0].url, ROWS);
    load_assert_rows("right", rows, database_text(two.services[1].url, ROWS));
    assert_non_null(strstr(rows, "1.50"));
    for (int i = 0; i < 2; i++) {
        const char *steps_back = database_text(two.services[i].url, "SELECT * FROM steps_back");
        if (steps_back[0] != '\0')
            test_fail("%s saw an older value of the same writer: %s", two.services[i].name,
                      steps_back);
        two_assert_counted(&two, i);
        sidecar_stop(&two.services[i]);
    }
}

static void two_postgresql_services_never_step_back(void **state)
{
    (void)state;
    two_services_end_equal(DATABASE_POSTGRESQL);
}

static void two_mariadb_services_never_step_back(void **state)
{
    (void)state;
    two_services_end_equal(DATABASE_MARIADB);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_WITH_LIMIT(two_postgresql_services_never_step_back, 240),
        TEST_WITH_LIMIT(two_mariadb_services_never_step_back, 240),
    };
    return TEST_RUN(tests);
}
