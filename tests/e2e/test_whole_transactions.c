/* A bank publishes its transactions whole (rules 50 to 59). Clients move money between its accounts
 * while its relay and the agents of three peers, one on each kind of database, are killed at
 * random. Whoever reads a peer's copy at any moment sees the same sum of money as before. The same
 * reads find torn transfers where the bank publishes its changes singly. TEST_WHOLE_READS is the
 * number of reads for each kind of bank. labels: early */
#include "tests/support/load.h"
#include "tests/support/mariadb.h"
#include "tests/support/session.h"
#include "tests/support/verify_tables.h"

#include "common/clock.h"

#include <stdio.h>

#define PEERS         3
#define ACCOUNTS      40
#define CENTS         1000 /* of each account at first */
#define CLIENTS       2
#define ENTRIES       200 /* of each client; two for a transfer */
#define TRANSFERS     200 /* of a script */
#define SCRIPT_MAX    ((size_t)4 * 1024 * 1024)
#define TEXT_MAX      4096
#define KILL_EVERY_US 1500000
#define TORN_MAX_US   120000000 /* how long a torn transfer is looked for at most */

/* By database_kind. A client's transfers do not meet another's in the wrong order: one that fails
 * halfway would be torn at the bank itself. At MariaDB's own level a DELETE that finds no row locks
 * the gap, into which both clients insert. */
static const struct {
    const char *peer;
    const char *begin;
} dialects[] = {
    [DATABASE_SQLITE] = {"lite", "BEGIN IMMEDIATE;\nUPDATE keepstep_transaction SET id = id + 1"},
    [DATABASE_POSTGRESQL] = {"post", "BEGIN"},
    [DATABASE_MARIADB] = {"maria", "SET TRANSACTION ISOLATION LEVEL READ COMMITTED;BEGIN"},
};

struct bank {
    struct kafka *kafka;
    enum database_kind kind;
    struct sidecar sidecar;
    struct sidecar peers[PEERS];
    struct session *readers[PEERS];
    struct process *clients[CLIENTS];
    unsigned seed;
    int scripts, kills, reads, torn;
    int64_t killed_us;
};

static const char *const tables[] = {"accounts", "entries"};

static void make_tables(const char *url)
{
    (void)database_text(url,
                        "CREATE TABLE accounts (id BIGINT PRIMARY KEY, cents BIGINT NOT NULL)");
    (void)database_text(url,
                        "CREATE TABLE entries (id BIGINT PRIMARY KEY, account BIGINT NOT NULL, "
                        "cents BIGINT NOT NULL)");
    for (int id = 0; id < ACCOUNTS; id++)
        (void)database_text(url, test_format("INSERT INTO accounts VALUES (%d, %d)", id, CENTS));
}

static void bank_begin(struct bank *bank, enum database_kind kind, const char *transactions)
{
    load_need("psql");
    load_need("mariadb");
    *bank = (struct bank){.kafka = kafka_start(), .kind = kind, .seed = 59};
    const char *topic = sidecar_topic("bank");
    const char *url = database_make(kind, "bank");
    bank->sidecar = sidecar_make_on(
        bank->kafka, "bank", url,
        test_format("transactions: %s\npublish:\n"
                    "  account: {table: accounts, topic: %s, partitions: 1}\n"
                    "  entry: {table: entries, topic: %s, partitions: 1}\n",
                    transactions, topic, topic));
    make_tables(url);
    load_write_schema("account", url, "accounts");
    load_write_schema("entry", url, "entries");
    sidecar_begin(&bank->sidecar);
    for (size_t i = 0; i < PEERS; i++) {
        bank->peers[i] = sidecar_make_on(
            bank->kafka, dialects[i].peer, database_make((enum database_kind)i, dialects[i].peer),
            test_format("apply:\n  account: {table: accounts, topic: %s, partitions: 1}\n"
                        "  entry: {table: entries, topic: %s, partitions: 1}\n",
                        topic, topic));
        sidecar_begin(&bank->peers[i]);
    }
    /* Rows that were there before are whole once `init` has published the last one. */
    for (size_t i = 0; i < PEERS; i++) {
        assert_true(database_wait_for(bank->peers[i].url, "SELECT count(*) FROM accounts",
                                      test_format("%d\n", ACCOUNTS), 60000));
        bank->readers[i] = session_open(bank->peers[i].url);
    }
    bank->killed_us = clock_monotonic_us();
}

static void append_transfer(struct bank *bank, struct buffer *script, int client)
{
    int from = load_random(&bank->seed, ACCOUNTS - 1);
    int to = from + 1 + load_random(&bank->seed, ACCOUNTS - 1 - from);
    int cents = load_random(&bank->seed, 200) - 100;
    int entry = client * ENTRIES + 2 * load_random(&bank->seed, ENTRIES / 2);
    buffer_append_format(script,
                         "%s;\n"
                         "UPDATE accounts SET cents = cents - %d WHERE id = %d;\n"
                         "DELETE FROM entries WHERE id IN (%d, %d);\n"
                         "INSERT INTO entries VALUES (%d, %d, %d), (%d, %d, %d);\n"
                         "UPDATE accounts SET cents = cents + %d WHERE id = %d;\n"
                         "COMMIT;\n",
                         dialects[bank->kind].begin, cents, from, entry, entry + 1, entry, from,
                         -cents, entry + 1, to, cents, cents, to);
    buffer_append_text(script, verify_dialects[bank->kind].pause);
}

/* Keep clients moving money. */
static void bank_load(struct bank *bank)
{
    for (int client = 0; client < CLIENTS; client++) {
        struct buffer script;
        if (bank->clients[client] != NULL && process_running(bank->clients[client]))
            continue;
        if (bank->clients[client] != NULL)
            assert_int_equal(load_client_end(bank->clients[client], 1000), 0);
        buffer_init(&script, SCRIPT_MAX);
        for (int i = 0; i < TRANSFERS; i++)
            append_transfer(bank, &script, client);
        bank->clients[client] = load_client(test_format("client-%d", ++bank->scripts),
                                            bank->sidecar.url, &script);
        buffer_done(&script);
    }
}

static void bank_read(struct bank *bank, size_t peer)
{
    static const char query[] = "SELECT (SELECT sum(cents) FROM accounts), "
                                "(SELECT count(*) % 2 FROM entries), "
                                "(SELECT coalesce(sum(cents), 0) FROM entries)";
    struct buffer rows;
    buffer_init(&rows, TEXT_MAX);
    session_run(bank->readers[peer], query, &rows);
    const char *whole = test_format(
        "%d" SESSION_COLUMN_END "0" SESSION_COLUMN_END "0" SESSION_COLUMN_END, ACCOUNTS * CENTS);
    bank->reads++;
    bank->torn += strncmp(buffer_text(&rows), whole, strlen(whole)) != 0;
    buffer_done(&rows);
}

/* Kill one now and then, wherever it is in its work. */
static void perhaps_kill(struct bank *bank)
{
    if (clock_monotonic_us() - bank->killed_us < KILL_EVERY_US)
        return;
    int victim = load_random(&bank->seed, PEERS + 1);
    load_kill(victim == PEERS ? &bank->sidecar : &bank->peers[victim]);
    bank->killed_us = clock_monotonic_us();
    bank->kills++;
}

static void bank_end(struct bank *bank)
{
    for (int client = 0; client < CLIENTS; client++)
        assert_int_equal(load_client_end(bank->clients[client], 120000), 0);
    for (size_t i = 0; i < PEERS; i++) {
        const struct sidecar *const publishers[] = {&bank->sidecar, NULL};
        const struct sidecar *const appliers[] = {&bank->peers[i], NULL};
        load_settle(bank->kafka, "bank", publishers, appliers, 120000);
        for (size_t table = 0; table < sizeof tables / sizeof *tables; table++) {
            const char *rows = test_format("SELECT * FROM %s ORDER BY id", tables[table]);
            load_assert_rows(dialects[i].peer, database_text(bank->sidecar.url, rows),
                             database_text(bank->peers[i].url, rows));
        }
        session_close(bank->readers[i]);
        sidecar_stop(&bank->peers[i]);
    }
    sidecar_stop(&bank->sidecar);
}

static void nobody_sees_part_of_a_transaction(enum database_kind kind, int reads)
{
    struct bank bank;
    bank_begin(&bank, kind, "whole");
    while (bank.reads < reads) {
        bank_load(&bank);
        for (int i = 0; i < 100; i++)
            bank_read(&bank, (size_t)i % PEERS);
        perhaps_kill(&bank);
    }
    print_message("note: bank on %s: %d scripts of %d transfers, %d kills; %d reads, %d torn\n",
                  dialects[kind].peer, bank.scripts, TRANSFERS, bank.kills, bank.reads, bank.torn);
    assert_int_equal(bank.torn, 0);
    assert_true(bank.kills > 0);
    bank_end(&bank);
}

static int reads_of_a_bank(void)
{
    return load_number("TEST_WHOLE_READS", 34000);
}

static void of_a_bank_on_sqlite_no_part_of_a_transaction_is_seen(void **state)
{
    (void)state;
    nobody_sees_part_of_a_transaction(DATABASE_SQLITE, reads_of_a_bank());
}

static void of_a_bank_on_postgresql_no_part_of_a_transaction_is_seen(void **state)
{
    (void)state;
    nobody_sees_part_of_a_transaction(DATABASE_POSTGRESQL, reads_of_a_bank());
}

/* All that waits is one set then. */
static void nor_where_mariadb_tells_no_transactions_apart(void **state)
{
    (void)state;
    nobody_sees_part_of_a_transaction(DATABASE_MARIADB, reads_of_a_bank() / 4);
}

/* The server keeps its binary log: this case is the last one. */
static void of_a_bank_on_mariadb_no_part_of_a_transaction_is_seen(void **state)
{
    static const char *const logging[] = {"--log-bin=changes", "--binlog-format=MIXED"};
    (void)state;
    (void)database_make(DATABASE_MARIADB, "bank"); /* it runs */
    mariadb_stop();
    mariadb_start_with(logging);
    (void)database_text(mariadb_server_url(), "SET GLOBAL sync_binlog = 1");
    nobody_sees_part_of_a_transaction(DATABASE_MARIADB, reads_of_a_bank());
}

/* So the reads above can find one. */
static void single_changes_show_transactions_in_parts(void **state)
{
    (void)state;
    struct bank bank;
    bank_begin(&bank, DATABASE_POSTGRESQL, "single");
    int64_t until_us = clock_monotonic_us() + TORN_MAX_US;
    while (bank.torn == 0 && clock_monotonic_us() < until_us) {
        bank_load(&bank);
        for (int i = 0; i < 100; i++)
            bank_read(&bank, (size_t)i % PEERS);
    }
    print_message("note: single changes: torn after %d reads\n", bank.reads);
    assert_true(bank.torn > 0);
    bank_end(&bank);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_WITH_LIMIT(single_changes_show_transactions_in_parts, 600),
        TEST_WITH_LIMIT(of_a_bank_on_sqlite_no_part_of_a_transaction_is_seen, 7200),
        TEST_WITH_LIMIT(of_a_bank_on_postgresql_no_part_of_a_transaction_is_seen, 7200),
        TEST_WITH_LIMIT(nor_where_mariadb_tells_no_transactions_apart, 3600),
        TEST_WITH_LIMIT(of_a_bank_on_mariadb_no_part_of_a_transaction_is_seen, 7200),
    };
    return TEST_RUN(tests);
}
