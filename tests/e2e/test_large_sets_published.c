/* A service writes transactions that are many times as large as its relay's claims, while relay and
 * agents are killed: whoever reads a peer's copy, on any kind of database, sees all changes of a
 * transaction or none, and the relay does not grow. TEST_LARGE_RECORDS is the number of rows,
 * 20000 unless set. The service's database is of each kind that tells transactions apart. */
#include "tests/support/database.h"
#include "tests/support/sidecar.h"

#include "common/clock.h"

#include <stdlib.h>

#define PEERS         3
#define RECORDS       20000
#define PART          1000
#define KILLS         8
#define KILL_EVERY_US 1500000
#define LIMIT_MS      1800000
#define MEMORY_KIB    65536 /* more than at the beginning */
#define VALUES        "SELECT count(*), count(DISTINCT amount), max(amount) FROM items"

static const char *const names[PEERS] = {"lite", "post", "maria"};

/* Where a relay dies that publishes the first transaction: at the nth pass of its process. The
 * first acknowledgement of one that takes over is of what its predecessor claimed, before it claims
 * itself. So these deaths claim ten parts, however slow the machine is. */
static const char *const deaths[] = {
    "relay_after_claim:1",  "relay_before_acknowledge:1", "relay_after_acknowledge:1",
    "relay_before_claim:3", "relay_after_claim:4",        "relay_after_publish:3",
    "relay_before_claim:1",
};

struct scene {
    struct sidecar shop;
    struct sidecar peers[PEERS];
    enum database_kind kind;
    int records;
    int amount; /* which all rows have once the last transaction is there; 0: no row is there yet */
    int kills;
    int64_t killed_us;
};

static void begin(struct scene *scene, enum database_kind kind)
{
    struct kafka *kafka = kafka_start();
    const char *wanted = getenv("TEST_LARGE_RECORDS");
    *scene = (struct scene){.kind = kind,
                            .records = wanted == NULL ? RECORDS : (int)strtol(wanted, NULL, 10)};
    const char *url = database_make(kind, "shop");
    (void)database_text(url, SIDECAR_ITEM_DDL);
    scene->shop = sidecar_make_on(
        kafka, "shop", url,
        test_format("transactions: whole\npublish:\n  item: {table: items, partitions: 1}\n"
                    "limits: {changeset_events: %d}\n",
                    PART));
    sidecar_init(&scene->shop, NULL);
    for (size_t i = 0; i < PEERS; i++) {
        scene->peers[i] = sidecar_make_on(
            kafka, names[i], database_make((enum database_kind)i, names[i]),
            test_format("apply:\n  item: {table: items, topic: %s, partitions: 1}\n"
                        "limits: {changeset_events: %d}\n",
                        sidecar_topic("shop"), PART));
    }
}

/* All rows get a new amount, in one transaction. */
static void write_all(struct scene *scene)
{
    const char *rows =
        scene->kind == DATABASE_SQLITE
            ? "WITH RECURSIVE g(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM g WHERE "
              "i < %d) INSERT INTO items SELECT i, 'x', 1 FROM g"
            : "INSERT INTO items SELECT i, 'x', 1 FROM generate_series(1, %d) AS g(i)";
    scene->amount++;
    const char *change = scene->amount == 1
                             ? test_format(rows, scene->records)
                             : test_format("UPDATE items SET amount = %d", scene->amount);
    const char *mark = scene->kind == DATABASE_SQLITE
                           ? "UPDATE keepstep_transaction SET id = id + 1;"
                           : "";
    (void)database_text(scene->shop.url, test_format("BEGIN; %s %s; COMMIT", mark, change));
}

/* The test fails if a peer has a part of a transaction. @return whether it has the last one. */
static bool has_the_last(const struct scene *scene, size_t peer)
{
    const char *seen = database_text(scene->peers[peer].url, VALUES);
    const char *before = scene->amount == 1
                             ? "0|0|NULL\n"
                             : test_format("%d|1|%d\n", scene->records, scene->amount - 1);
    if (strcmp(seen, before) == 0)
        return false;
    if (strcmp(seen, test_format("%d|1|%d\n", scene->records, scene->amount)) != 0)
        test_fail("%s has a part of a transaction: %s", names[peer], seen);
    return true;
}

static void perhaps_kill(struct scene *scene)
{
    if (scene->kills == 0 || clock_monotonic_us() - scene->killed_us < KILL_EVERY_US)
        return;
    size_t one = (size_t)scene->kills-- % (PEERS + 1);
    struct sidecar *victim = one == PEERS ? &scene->shop : &scene->peers[one];
    process_kill(victim->process);
    sidecar_start(victim, NULL);
    scene->killed_us = clock_monotonic_us();
}

static bool have_the_last(void *context)
{
    struct scene *scene = context;
    bool all = true;
    perhaps_kill(scene);
    for (size_t i = 0; i < PEERS; i++)
        all = has_the_last(scene, i) && all;
    return all;
}

static bool has_died(void *context)
{
    struct scene *scene = context;
    for (size_t i = 0; i < PEERS; i++)
        assert_false(has_the_last(scene, i));
    return !process_running(scene->shop.process);
}

static void publish_with_deaths(struct scene *scene)
{
    for (size_t i = 0; i < sizeof deaths / sizeof *deaths; i++) {
        sidecar_start(&scene->shop, deaths[i]);
        if (!test_wait(has_died, scene, LIMIT_MS))
            test_fail("the relay did not pass %s", deaths[i]);
    }
    sidecar_start(&scene->shop, NULL);
    assert_true(test_wait(have_the_last, scene, LIMIT_MS));
}

static void publish_without_deaths(struct scene *scene)
{
    write_all(scene);
    assert_true(test_wait(have_the_last, scene, LIMIT_MS));
    int64_t before = process_memory_kib(scene->shop.process, "VmHWM");
    int64_t from_us = clock_monotonic_us();
    write_all(scene);
    int64_t written_us = clock_monotonic_us();
    database_wait_for(scene->shop.url,
                      "SELECT sum(last_sequence - acknowledged_sequence) = 0 AND NOT EXISTS "
                      "(SELECT 1 FROM outbox WHERE sequence IS NULL) FROM keepstep_relay_partition",
                      scene->kind == DATABASE_SQLITE ? "1\n" : "t\n", LIMIT_MS);
    int64_t published_us = clock_monotonic_us();
    int64_t after = process_memory_kib(scene->shop.process, "VmHWM");
    print_message("%d rows: written in %lld ms, published %lld ms later; the relay had at most "
                  "%lld KiB\n",
                  scene->records, (long long)(written_us - from_us) / 1000,
                  (long long)(published_us - written_us) / 1000, (long long)after);
    if (!TEST_SANITIZES_ADDRESSES)
        assert_true(after - before <= MEMORY_KIB);
    assert_true(test_wait(have_the_last, scene, LIMIT_MS));
}

static void show_whole(enum database_kind kind)
{
    struct scene scene;
    begin(&scene, kind);
    for (size_t i = 0; i < PEERS; i++)
        sidecar_begin(&scene.peers[i]);
    write_all(&scene);
    publish_with_deaths(&scene);
    write_all(&scene);
    scene.kills = KILLS;
    assert_true(test_wait(have_the_last, &scene, LIMIT_MS));
    scene.kills = 0;
    publish_without_deaths(&scene);
    assert_string_equal(
        database_text(scene.shop.url,
                      "SELECT count(*), count(DISTINCT changeset_end), min(changeset_end), "
                      "max(changeset_end) FROM outbox"),
        test_format("%d|4|%d|%d\n", 4 * scene.records, scene.records, 4 * scene.records));
    sidecar_stop(&scene.shop);
    for (size_t i = 0; i < PEERS; i++)
        sidecar_stop(&scene.peers[i]);
}

static void peers_show_a_transaction_of_any_size_whole_under_kills(void **state)
{
    (void)state;
    show_whole(DATABASE_POSTGRESQL);
}

static void
peers_show_a_transaction_of_any_size_of_an_sqlite_service_whole_under_kills(void **state)
{
    (void)state;
    show_whole(DATABASE_SQLITE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_WITH_LIMIT(peers_show_a_transaction_of_any_size_whole_under_kills, 3600),
        TEST_WITH_LIMIT(peers_show_a_transaction_of_any_size_of_an_sqlite_service_whole_under_kills,
                        3600),
    };
    return TEST_RUN(tests);
}
