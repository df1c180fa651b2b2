/* The database in which a case of the outbox's contract runs: each back end, opened with the rights
 * of a relay's role. */
#include "consumer/store/registry.h"
#include "producer/registry.h"
#include "tests/support/outbox_case.h"
#include "tests/support/mariadb.h"
#include "tests/support/postgresql.h"
#include "tests/support/sql.h"

#include "consumer/store/store.h"
#include "producer/init/init.h"

#include <stdio.h>

#define ARENA ((size_t)16 * 1024 * 1024)

static const char *sqlite_make(void)
{
    return test_format("sqlite:%s", test_path("outbox.db"));
}

static const char *sqlite_relay(const char *url)
{
    return url;
}

static const char *sqlite_ask(const char *url, const char *sql)
{
    return sqlite_text(strchr(url, ':') + 1, sql);
}

/* Make the database while the server's own replication covers all tables. */
static const char *postgresql_make(void)
{
    if (postgresql_server_url() == NULL)
        test_skip("%s", postgresql_skip_reason());
    const char *url = postgresql_database("outbox");
    postgresql_execute(url, "CREATE PUBLICATION everything FOR ALL TABLES");
    return url;
}

static const char *postgresql_relay(const char *url)
{
    const char *at = strchr(url, '@');
    postgresql_execute(url, "ALTER ROLE keepstep_relay LOGIN");
    return test_format("postgresql://keepstep_relay%s", at);
}

static const char *mariadb_make(void)
{
    if (mariadb_server_url() == NULL)
        test_skip("%s", mariadb_skip_reason());
    const char *url = mariadb_database("outbox");
    mariadb_execute(url, "SET GLOBAL innodb_force_primary_key = 1");
    return url;
}

static const char *mariadb_relay(const char *url)
{
    mariadb_execute(url, "CREATE USER IF NOT EXISTS relay@localhost;"
                         "GRANT keepstep_relay TO relay@localhost;"
                         "SET DEFAULT ROLE keepstep_relay FOR relay@localhost");
    return test_format("mysql://relay%s", strchr(url, '@'));
}

/* Run SQL. The tests' statements are standard SQL. */
static const char *mariadb_ask(const char *url, const char *sql)
{
    return mariadb_text(url,
                        test_format("SET sql_mode = 'ANSI,NO_BACKSLASH_ESCAPES,STRICT_ALL_TABLES';"
                                    "%s",
                                    sql));
}

const struct outbox_product outbox_products[] = {
    {"sqlite", sqlite_make, sqlite_relay, sqlite_ask, NULL, NULL},
    {"postgresql", postgresql_make, postgresql_relay, postgresql_text, postgresql_kill_backends,
     "DO $keepstep$"},
    {"mariadb", mariadb_make, mariadb_relay, mariadb_ask, mariadb_kill_backends, "CREATE ROLE"},
};
const struct outbox_product *outbox_case_product;
const char *outbox_case_url;
static const char *relay_url;
struct arena outbox_case_arena;
bool outbox_case_whole;
bool outbox_case_joint;

const char *outbox_case_ask(const char *sql)
{
    return outbox_case_product->text(outbox_case_url, sql);
}

const char *outbox_case_relay_url(void)
{
    return relay_url;
}

const char *outbox_case_path(const char *url)
{
    return strncmp(url, "sqlite:", 7) == 0 ? url + 7 : url;
}

enum status outbox_case_open_as(const char *instance, struct outbox **ret_outbox, struct error *err)
{
    const struct outbox_options options = {.path = outbox_case_path(relay_url),
                                           .service = "shop",
                                           .instance = instance,
                                           .whole = outbox_case_whole,
                                           .joint = outbox_case_joint};
    return outbox_find(relay_url)->open(&options, ret_outbox, err);
}

struct outbox *outbox_case_open(const char *instance)
{
    struct error err = ERROR_INIT;
    struct outbox *outbox = NULL;
    if (outbox_case_open_as(instance, &outbox, &err) != STATUS_OK)
        test_fail("%s", err.text);
    return outbox;
}

static void run_grants(const struct config *config)
{
    struct error err = ERROR_INIT;
    FILE *out = fopen(test_path("printed.sql"), "w");
    struct init_options options = {.print_sql = true, .out = out};
    assert_int_equal(init_service(config, NULL, &options, &err), STATUS_OK);
    (void)fclose(out);
    const char *printed = test_read_file(test_path("printed.sql"));
    if (outbox_case_product->grants == NULL)
        return;
    const char *grants = strstr(printed, outbox_case_product->grants);
    assert_non_null(grants);
    (void)outbox_case_ask(grants);
}

void outbox_case_make_empty(void)
{
    outbox_case_url = outbox_case_product->make();
    relay_url = outbox_case_url;
    arena_done(&outbox_case_arena); /* of another database of this test */
    arena_init(&outbox_case_arena, ARENA);
}

const char *outbox_case_init(void)
{
    struct error err = ERROR_INIT;
    const char *path = outbox_case_path(outbox_case_url);
    const struct config config = {
        .service = (char *)"shop",
        .joint_topic = outbox_case_joint ? (char *)"keepstep-joint" : NULL,
        .database = (char *)(uintptr_t)outbox_case_url,
        .database_path = (char *)(uintptr_t)path,
        .instance = (char *)"1",
        .transactions = outbox_case_whole ? TRANSACTIONS_WHOLE : TRANSACTIONS_SINGLE};
    FILE *out = fopen(test_path("init.txt"), "w");
    struct init_options options = {.out = out};
    struct store_options store_options = {.path = path, .service = "shop", .install = true};
    struct store *store = NULL;
    if (store_find(outbox_case_url)->open(&store_options, &store, &err) != STATUS_OK ||
        init_service(&config, NULL, &options, &err) != STATUS_OK)
        test_fail("%s", err.text);
    store->ops->close(store);
    (void)fclose(out);
    run_grants(&config);
    relay_url = outbox_case_product->relay(outbox_case_url);
    return test_read_file(test_path("init.txt"));
}

void outbox_case_make(void)
{
    outbox_case_make_empty();
    (void)outbox_case_init();
}

void outbox_case_write(const char *type, int from, int to)
{
    for (int i = from; i <= to; i++)
        (void)outbox_case_ask(
            test_format("INSERT INTO outbox (aggregatetype, aggregateid, type, payload) "
                        "VALUES ('%s', '{\"id\":%d}', '%s.created', '{\"op\":\"c\"}')",
                        type, i, type));
}

void outbox_case_propose(int number)
{
    (void)outbox_case_ask(test_format(
        "INSERT INTO outbox (aggregatetype, aggregateid, type, payload, changeset) VALUES "
        "('keepstep.joint', '{\"id\":\"t%d\",\"proposer\":\"shop\"}', 'keepstep.joint.proposal', "
        "'{\"timeout_ms\":10000,\"changes\":[{\"service\":\"shop\",\"type\":\"stock\",\"key\":{"
        "\"id\":1},"
        "\"op\":\"k\"}]}', '')",
        number));
}

struct lease outbox_case_lease(struct outbox *outbox)
{
    struct error err = ERROR_INIT;
    struct lease lease;
    if (outbox->ops->take_lease(outbox, OUTBOX_CASE_LEASE_US, &lease, &err) != STATUS_OK)
        test_fail("%s", err.text);
    return lease;
}

const struct outbox_extent outbox_case_extent = {.rows = 100,
                                                 .payload_bytes = OUTBOX_CASE_PAYLOAD_BYTES,
                                                 .total_bytes = 3 * OUTBOX_CASE_PAYLOAD_BYTES};

size_t outbox_case_waiting(struct outbox *outbox, struct outbox_row **ret_rows)
{
    struct error err = ERROR_INIT;
    struct outbox_rows rows = {0};
    arena_reset(&outbox_case_arena);
    if (outbox->ops->load_waiting(outbox, &outbox_case_extent, &outbox_case_arena, &rows, &err) !=
        STATUS_OK)
        test_fail("%s", err.text);
    *ret_rows = rows.rows;
    return rows.count;
}

enum status outbox_case_claim_for(struct outbox *outbox, const struct lease *lease,
                                  const char *topic, uint64_t last, struct error *err)
{
    struct outbox_row *rows = NULL;
    size_t count = outbox_case_waiting(outbox, &rows);
    struct relay_partition partition = {.partition = 1};
    (void)snprintf(partition.topic, sizeof partition.topic, "%s", topic);
    for (size_t i = 0; i < count; i++) {
        rows[i].topic = topic;
        rows[i].partition = 1;
        rows[i].sequence = last + i + 1;
    }
    partition.last_sequence = last + count;
    (void)snprintf(partition.last_id, sizeof partition.last_id, "%.*s",
                   SLICE_ARGS(rows[count - 1].id));
    return outbox->ops->claim(outbox, lease,
                              &(struct outbox_claim){rows, count, &partition, 1, NULL}, err);
}

enum status outbox_case_claim(struct outbox *outbox, const struct lease *lease, uint64_t last,
                              struct error *err)
{
    return outbox_case_claim_for(outbox, lease, "orders", last, err);
}

void outbox_case_claimed(struct outbox *outbox, const struct lease *lease, uint64_t last)
{
    struct error err = ERROR_INIT;
    if (outbox_case_claim(outbox, lease, last, &err) != STATUS_OK)
        test_fail("%s", err.text);
}

void outbox_case_acknowledged(struct outbox *outbox, const struct lease *lease, uint64_t sequence)
{
    struct error err = ERROR_INIT;
    struct relay_partition partition = {.topic = "orders",
                                        .partition = 1,
                                        .acknowledged_sequence = sequence,
                                        .acknowledged_offset = (int64_t)sequence + 100,
                                        .acknowledged_id = "the-id"};
    if (outbox->ops->acknowledge(outbox, lease, &partition, 1, &err) != STATUS_OK)
        test_fail("%s", err.text);
}
