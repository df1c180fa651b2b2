/* A column is added under load, as docs/OPERATIONS.md describes. All copies end equal, even a copy
 * that starts later and reads all of the log. */
#include "tests/support/database.h"
#include "tests/support/load.h"
#include "tests/support/session.h"

#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#define PUBLISH "publish:\n  item: {table: items, partitions: 2}\n"
#define APPLY   "apply:\n  item: {table: items, partitions: 2}\n"
#define ROWS    "SELECT id, name, amount, channel FROM items ORDER BY id"
#define PAUSE   3000 /* microseconds between two writes */

/* A service that does not know the column at first, and writes it later. */
struct writer {
    const char *url;
    pthread_t thread;
    atomic_bool knows;
    atomic_bool stop;
    int count;
    const char *failure;
};

static void *write_items(void *context)
{
    struct writer *writer = context;
    struct session *session = session_open(writer->url);
    unsigned seed = 1;
    while (writer->failure == NULL && !atomic_load(&writer->stop)) {
        int id = ++writer->count;
        const char *sql = test_format(
            atomic_load(&writer->knows)
                ? "INSERT INTO items (id, name, amount, channel) VALUES (%d, 'new', 0, 'shop')"
                : "INSERT INTO items (id, name, amount) VALUES (%d, 'new', 0)",
            id);
        writer->failure = session_try(session, sql, NULL);
        if (writer->failure == NULL)
            writer->failure = session_try(
                session,
                test_format("UPDATE items SET amount = amount + 1 WHERE id = %d",
                            1 + load_random(&seed, id)),
                NULL);
        (void)usleep(PAUSE);
    }
    session_close(session);
    return NULL;
}

static void writer_go(struct writer *writer, const char *url)
{
    *writer = (struct writer){.url = url};
    assert_int_equal(pthread_create(&writer->thread, NULL, write_items, writer), 0);
}

static void writer_end(struct writer *writer)
{
    atomic_store(&writer->stop, true);
    (void)pthread_join(writer->thread, NULL);
    if (writer->failure != NULL)
        test_fail("a write failed: %s", writer->failure);
}

/* Add the property without requiring it, as docs/OPERATIONS.md says. */
static void add_to_schema(void)
{
    const char *path = test_path("schemas/item.schema.json");
    const char *old = test_read_file(path);
    const char *at = strstr(old, "\"amount\": {");
    assert_non_null(at);
    test_write_file(path, test_format("%.*s\"channel\": {\"type\": [\"string\", \"null\"], "
                                      "\"x-keepstep-type\": \"text\"},\n    %s",
                                      (int)(at - old), old, at));
}

static void a_column_is_added(enum database_kind kind)
{
    struct writer writer;
    struct kafka *kafka = kafka_start();
    const char *url = database_make(kind, "shop");
    (void)database_text(url, "CREATE TABLE items (id bigint PRIMARY KEY, name varchar(40) NOT "
                             "NULL, amount bigint)");
    struct sidecar shop = sidecar_make_on(kafka, "shop", url, PUBLISH);
    load_write_schema("item", url, "items");
    struct sidecar billing = sidecar_make(kafka, "billing", NULL, APPLY);
    sidecar_begin(&shop);
    sidecar_begin(&billing);
    writer_go(&writer, url);
    (void)usleep(500000);

    /* docs/OPERATIONS.md, "Add a column" */
    add_to_schema();
    sidecar_stop(&billing);
    (void)database_text(billing.url, "ALTER TABLE items ADD COLUMN channel varchar(10)");
    sidecar_init(&billing, NULL);
    sidecar_start(&billing, NULL);
    (void)usleep(300000);
    (void)database_text(url, "ALTER TABLE items ADD COLUMN channel varchar(10) DEFAULT 'web'");
    atomic_store(&writer.knows, true);
    (void)usleep(300000);
    sidecar_stop(&shop);
    struct process_result init = PROCESS_RUN(KEEPSTEP_BINARY, "init", "-c",
                                             shop.admin != NULL ? shop.admin : shop.config);
    if (init.exit_code != 0 || strstr(init.output, "keepstep init --republish item") == NULL)
        test_fail("%s%s", init.output, init.errors);
    sidecar_grant(&shop);
    sidecar_start(&shop, NULL);
    (void)usleep(300000);
    init = PROCESS_RUN(KEEPSTEP_BINARY, "init", "--republish", "item", "-c",
                       shop.admin != NULL ? shop.admin : shop.config);
    if (init.exit_code != 0)
        test_fail("%s%s", init.output, init.errors);

    (void)usleep(300000);
    writer_end(&writer);
    struct sidecar late = sidecar_make(kafka, "late", NULL, APPLY);
    sidecar_begin(&late);
    const struct sidecar *const publishers[] = {&shop, NULL};
    const struct sidecar *const appliers[] = {&billing, &late, NULL};
    load_settle(kafka, "item", publishers, appliers, 60000);
    const char *rows = database_text(url, ROWS);
    load_assert_rows("the copy", rows, database_text(billing.url, ROWS));
    load_assert_rows("the late copy", rows, database_text(late.url, ROWS));
    assert_string_equal(database_text(url, "SELECT count(*) FROM outbox WHERE set_aside IS NOT "
                                           "NULL"),
                        "0\n");
    assert_non_null(strstr(rows, "|web\n"));
    assert_non_null(strstr(rows, "|shop\n"));
    print_message("%d rows written\n", writer.count);
    sidecar_stop(&shop);
    sidecar_stop(&billing);
    sidecar_stop(&late);
}

static void a_column_is_added_under_load_in_sqlite(void **state)
{
    (void)state;
    a_column_is_added(DATABASE_SQLITE);
}

static void a_column_is_added_under_load_in_postgresql(void **state)
{
    (void)state;
    a_column_is_added(DATABASE_POSTGRESQL);
}

static void a_column_is_added_under_load_in_mariadb(void **state)
{
    (void)state;
    a_column_is_added(DATABASE_MARIADB);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_WITH_LIMIT(a_column_is_added_under_load_in_sqlite, 120),
        TEST_WITH_LIMIT(a_column_is_added_under_load_in_postgresql, 120),
        TEST_WITH_LIMIT(a_column_is_added_under_load_in_mariadb, 120),
    };
    return TEST_RUN(tests);
}
