/* The upper bound for an agent on PostgreSQL. It writes the same rows, and an idempotency key for
 * each: one pipeline per transaction, binary arrays through unnest, and nothing else.
 *   bare_postgresql URL EVENTS EVENTS_PER_TRANSACTION off|on
 * The last argument is synchronous_commit. Rows are made before the clock starts, and written in
 * the order of their keys. There are two rounds; the second one updates what the first one
 * inserted. */
#include "bench.h"
#include "orders.h"

#include <arpa/inet.h>
#include <endian.h>
#include <libpq-fe.h>
#include <stdlib.h>
#include <string.h>

#define COLUMNS  6
#define EPOCH_US ((int64_t)946684800 * 1000000)

struct array {
    char *bytes;
    size_t length;
    size_t size;
};

static PGconn *connection;

static void put(struct array *array, const void *bytes, size_t length)
{
    if (array->length + length > array->size) {
        array->size = 2 * (array->length + length);
        array->bytes = realloc(array->bytes, array->size);
        if (array->bytes == NULL)
            bench_fail("out of memory");
    }
    memcpy(array->bytes + array->length, bytes, length);
    array->length += length;
}

static void put_32(struct array *array, uint32_t number)
{
    number = htonl(number);
    put(array, &number, sizeof number);
}

static void put_16(struct array *array, uint16_t number)
{
    number = htons(number);
    put(array, &number, sizeof number);
}

static void put_64(struct array *array, uint64_t number)
{
    number = htobe64(number);
    put_32(array, 8);
    put(array, &number, sizeof number);
}

static void put_text(struct array *array, const char *text)
{
    put_32(array, (uint32_t)strlen(text));
    put(array, text, strlen(text));
}

/* Two digits of base 10,000: one before and one behind the decimal point. */
static void put_numeric(struct array *array, int32_t cents)
{
    put_32(array, 12);
    put_16(array, 2);
    put_16(array, 0);
    put_16(array, 0);
    put_16(array, 2);
    put_16(array, (uint16_t)(cents / 100));
    put_16(array, (uint16_t)(cents % 100 * 100));
}

static void begin(struct array *array, uint32_t type, size_t count)
{
    array->length = 0;
    put_32(array, 1);
    put_32(array, 0);
    put_32(array, type);
    put_32(array, (uint32_t)count);
    put_32(array, 1);
}

static void execute(const char *sql)
{
    PGresult *result = PQexec(connection, sql);
    if (PQresultStatus(result) != PGRES_COMMAND_OK)
        bench_fail("%s: %s", sql, PQerrorMessage(connection));
    PQclear(result);
}

static void prepare(const char *name, const char *sql)
{
    PGresult *result = PQprepare(connection, name, sql, 0, NULL);
    if (PQresultStatus(result) != PGRES_COMMAND_OK)
        bench_fail("%s: %s", sql, PQerrorMessage(connection));
    PQclear(result);
}

static void send_arrays(const char *name, const struct array *arrays, int count)
{
    const char *values[COLUMNS];
    int lengths[COLUMNS];
    int binary[COLUMNS];
    for (int i = 0; i < count; i++) {
        values[i] = arrays[i].bytes;
        lengths[i] = (int)arrays[i].length;
        binary[i] = 1;
    }
    if (PQsendQueryPrepared(connection, name, count, values, lengths, binary, 1) != 1)
        bench_fail("%s", PQerrorMessage(connection));
}

static void drain(void)
{
    ExecStatusType kind = PGRES_EMPTY_QUERY;
    if (PQpipelineSync(connection) != 1)
        bench_fail("%s", PQerrorMessage(connection));
    while (kind != PGRES_PIPELINE_SYNC) {
        PGresult *result = PQgetResult(connection);
        kind = PQresultStatus(result);
        if (kind == PGRES_FATAL_ERROR && result != NULL)
            bench_fail("%s", PQerrorMessage(connection));
        PQclear(result);
    }
}

static void transaction(const struct order *orders, size_t count, uint64_t first_key)
{
    static const uint32_t types[COLUMNS] = {20, 25, 25, 1700, 25, 1184};
    static struct array arrays[COLUMNS];
    static struct array keys;
    for (size_t c = 0; c < COLUMNS; c++)
        begin(&arrays[c], types[c], count);
    begin(&keys, 2950, count);
    for (size_t i = 0; i < count; i++) {
        uint64_t uuid[] = {htobe64(first_key + i), 0};
        put_64(&arrays[0], (uint64_t)orders[i].id);
        put_text(&arrays[1], orders[i].customer);
        put_text(&arrays[2], "shipped");
        put_numeric(&arrays[3], orders[i].total_cents);
        put_text(&arrays[4], orders[i].note);
        put_64(&arrays[5], (uint64_t)(orders[i].created_us - EPOCH_US));
        put_32(&keys, sizeof uuid);
        put(&keys, uuid, sizeof uuid);
    }
    send_arrays("begin", NULL, 0);
    send_arrays("keys", &keys, 1);
    send_arrays("upsert", arrays, COLUMNS);
    send_arrays("commit", NULL, 0);
    drain();
}

static void open_database(const char *url, const char *synchronous)
{
    char sql[64];
    connection = PQconnectdb(url);
    if (PQstatus(connection) != CONNECTION_OK)
        bench_fail("%s", PQerrorMessage(connection));
    (void)snprintf(sql, sizeof sql, "SET synchronous_commit = %s", synchronous);
    execute("SET client_min_messages = error");
    execute(sql);
    execute("DROP TABLE IF EXISTS bare, bare_keys");
    execute("CREATE TABLE bare(" ORDER_COLUMNS ")");
    execute("CREATE TABLE bare_keys(key uuid PRIMARY KEY)");
    prepare("begin", "BEGIN");
    prepare("commit", "COMMIT");
    /* The statement fails as a whole if one of the keys exists. */
    prepare("keys", "INSERT INTO bare_keys SELECT * FROM unnest($1::uuid[])");
    prepare("upsert", "INSERT INTO bare SELECT * FROM unnest($1::bigint[], $2::text[], $3::text[], "
                      "$4::numeric[], $5::text[], $6::timestamptz[]) ON CONFLICT(id) DO UPDATE SET "
                      "customer = excluded.customer, state = excluded.state, "
                      "total = excluded.total, note = excluded.note, "
                      "created_at = excluded.created_at");
    if (PQenterPipelineMode(connection) != 1)
        bench_fail("%s", PQerrorMessage(connection));
}

int main(int argc, char **argv)
{
    if (argc != 5)
        bench_fail("bare_postgresql URL EVENTS EVENTS_PER_TRANSACTION off|on");
    size_t count = strtoul(argv[2], NULL, 10);
    size_t part = strtoul(argv[3], NULL, 10);
    struct order *orders = bench_allocate(count * sizeof *orders);
    double seconds[2] = {0};
    open_database(argv[1], argv[4]);
    for (unsigned int round = 0; round < 2; round++) {
        for (size_t i = 0; i < count; i++)
            order_fill(&orders[i], (int64_t)i, round);
        int64_t started = bench_now_us();
        for (size_t i = 0; i < count; i += part)
            transaction(&orders[i], count - i < part ? count - i : part, round * count + i);
        seconds[round] = (double)(bench_now_us() - started) / 1e6;
    }
    PQfinish(connection);
    free(orders);
    printf("{\"events\": %zu, \"seconds\": %.3f, \"events_per_second\": %.0f, "
           "\"inserted_per_second\": %.0f}\n",
           count, seconds[1], (double)count / seconds[1], (double)count / seconds[0]);
    return 0;
}
