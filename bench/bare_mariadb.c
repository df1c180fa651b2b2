/* The upper bound for an agent on MariaDB. It writes the same rows, and an idempotency key for
 * each, by array binding: two commands per transaction, and nothing else.
 *   bare_mariadb SOCKET DATABASE EVENTS EVENTS_PER_TRANSACTION keys|none
 * Rows are made before the clock starts, and written in the order of their keys. There are two
 * rounds; the second one updates what the first one inserted. */
#include "bench.h"
#include "orders.h"

#include <mysql.h>
#include <stdlib.h>
#include <string.h>

#define COLUMNS 6

static MYSQL *session;

static void execute(const char *sql)
{
    if (mysql_query(session, sql) != 0)
        bench_fail("%s: %s", sql, mysql_error(session));
}

static MYSQL_STMT *prepare(const char *sql)
{
    MYSQL_STMT *statement = mysql_stmt_init(session);
    if (statement == NULL || mysql_stmt_prepare(statement, sql, strlen(sql)) != 0)
        bench_fail("%s: %s", sql, mysql_error(session));
    return statement;
}

static void execute_array(MYSQL_STMT *statement, MYSQL_BIND *binds, size_t count)
{
    unsigned int rows = (unsigned int)count;
    if (mysql_stmt_attr_set(statement, STMT_ATTR_ARRAY_SIZE, &rows) != 0 ||
        mysql_stmt_bind_param(statement, binds) != 0 || mysql_stmt_execute(statement) != 0)
        bench_fail("%s", mysql_stmt_error(statement));
}

struct text_array {
    const char **texts;
    unsigned long *lengths;
};

static void text_set(struct text_array *array, size_t row, const char *text, size_t length)
{
    array->texts[row] = text;
    array->lengths[row] = length;
}

static void transaction(MYSQL_STMT *upsert, MYSQL_STMT *keys, const struct order *orders,
                        size_t count, uint64_t first_key)
{
    static struct text_array arrays[COLUMNS];
    static int64_t *ids;
    static uint64_t(*uuids)[2];
    MYSQL_BIND binds[COLUMNS];
    MYSQL_BIND key = {.buffer_type = MYSQL_TYPE_BLOB};
    if (ids == NULL) {
        ids = bench_allocate(count * sizeof *ids);
        uuids = bench_allocate(count * sizeof *uuids);
        for (size_t c = 0; c < COLUMNS; c++)
            arrays[c] = (struct text_array){bench_allocate(count * sizeof(char *)),
                                            bench_allocate(count * sizeof(unsigned long))};
    }
    for (size_t i = 0; i < count; i++) {
        const struct order *order = &orders[i];
        ids[i] = order->id;
        uuids[i][0] = __builtin_bswap64(first_key + i);
        uuids[i][1] = 0;
        text_set(&arrays[0], i, (const char *)uuids[i], sizeof uuids[i]);
        text_set(&arrays[1], i, order->customer, strlen(order->customer));
        text_set(&arrays[2], i, "shipped", 7);
        text_set(&arrays[3], i, order->total, strlen(order->total));
        text_set(&arrays[4], i, order->note, strlen(order->note));
        text_set(&arrays[5], i, order->created_at, strlen(order->created_at) - 1);
    }
    binds[0] = (MYSQL_BIND){.buffer_type = MYSQL_TYPE_LONGLONG, .buffer = ids};
    for (size_t c = 1; c < COLUMNS; c++)
        binds[c] = (MYSQL_BIND){.buffer_type = MYSQL_TYPE_STRING,
                                .buffer = (void *)arrays[c].texts,
                                .length = arrays[c].lengths};
    key.buffer = (void *)arrays[0].texts;
    key.length = arrays[0].lengths;
    if (keys != NULL)
        execute_array(keys, &key, count);
    execute_array(upsert, binds, count);
    execute("COMMIT");
}

static void open_database(const char *socket, const char *database)
{
    session = mysql_init(NULL);
    if (mysql_real_connect(session, NULL, "root", NULL, database, 0, socket, 0) == NULL)
        bench_fail("%s", mysql_error(session));
    execute("SET NAMES utf8mb4");
    execute("SET autocommit = 0");
    execute("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED");
    execute("DROP TABLE IF EXISTS bare, bare_keys");
    execute("CREATE TABLE bare(id BIGINT PRIMARY KEY, customer VARCHAR(64), state VARCHAR(20), "
            "total DECIMAL(12, 2), note TEXT, created_at DATETIME(6)) ENGINE = InnoDB "
            "CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin");
    execute("CREATE TABLE bare_keys(`key` BINARY(16) PRIMARY KEY) ENGINE = InnoDB");
}

int main(int argc, char **argv)
{
    if (argc != 6)
        bench_fail("bare_mariadb SOCKET DATABASE EVENTS EVENTS_PER_TRANSACTION keys|none");
    size_t count = strtoul(argv[3], NULL, 10);
    size_t part = strtoul(argv[4], NULL, 10);
    struct order *orders = bench_allocate(count * sizeof *orders);
    double seconds[2] = {0};
    open_database(argv[1], argv[2]);
    MYSQL_STMT *keys = NULL;
    MYSQL_STMT *upsert = prepare(
        "INSERT INTO bare VALUES (?, ?, ?, ?, ?, ?) ON DUPLICATE KEY UPDATE "
        "customer = VALUES(customer), state = VALUES(state), total = VALUES(total), "
        "note = VALUES(note), created_at = VALUES(created_at)");
    if (strcmp(argv[5], "keys") == 0)
        keys = prepare("INSERT INTO bare_keys VALUES (?)");
    for (unsigned int round = 0; round < 2; round++) {
        for (size_t i = 0; i < count; i++)
            order_fill(&orders[i], (int64_t)i, round);
        int64_t started = bench_now_us();
        for (size_t i = 0; i < count; i += part)
            transaction(upsert, keys, &orders[i], count - i < part ? count - i : part,
                        round * count + i);
        seconds[round] = (double)(bench_now_us() - started) / 1e6;
    }
    mysql_close(session);
    free(orders);
    printf("{\"events\": %zu, \"seconds\": %.3f, \"events_per_second\": %.0f, "
           "\"inserted_per_second\": %.0f}\n",
           count, seconds[1], (double)count / seconds[1], (double)count / seconds[0]);
    return 0;
}
