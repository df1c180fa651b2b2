/* Read your own writes at a peer (rule 47): each of three services on three databases writes, takes
 * a ticket and then a token, waits at the two others until keepstep_applied() says 1, and reads
 * there what it wrote. Meanwhile others write, and sidecars are killed. The same reads without the
 * token are stale. TEST_LOAD_SECONDS is the length, and TEST_SESSION_READS how many reads there
 * must be: it goes on until there are. labels: early */
#include "tests/support/load.h"
#include "tests/support/session.h"
#include "tests/support/verify_tables.h"

#include "common/clock.h"
#include "consumer/store/registry.h"
#include "producer/registry.h"

#include <stdio.h>
#include <sysexits.h>

#define KEYS          30 /* that the test writes, from FIRST_KEY on */
#define FIRST_KEY     1000
#define ROWS_WRITTEN  12 /* of a transaction */
#define HOT_KEYS      60 /* that the other clients write */
#define STATEMENTS    300
#define SCRIPT_MAX    ((size_t)1024 * 1024)
#define TEXT_MAX      ((size_t)64 * 1024)
#define KILL_EVERY_US 3000000
#define WAIT_MAX_US   60000000
#define POLL_US       2000
/* On a calm machine there are ten times as many. */
#define READS_PER_SECOND 18

struct party {
    const struct verify_dialect *dialect;
    struct sidecar sidecar;
    struct session *session;
    struct process *client;
    int versions[KEYS]; /* of the rows that it publishes, as it wrote them last */
    int written[ROWS_WRITTEN];
    const char *ticket;
    const char *token;
};

struct world {
    struct kafka *kafka;
    struct party parties[VERIFY_KINDS];
    unsigned seed;
    int version;
    int clients, kills, transactions, reads, reads_without, stale, violations;
    int64_t killed_us;
};

/* @return the first column of the first row; NULL without a row, or where it is NULL. */
static const char *ask(struct session *session, const char *sql)
{
    struct buffer rows;
    buffer_init(&rows, TEXT_MAX);
    session_run(session, sql, &rows);
    const char *text = buffer_text(&rows);
    size_t length = strcspn(text, SESSION_COLUMN_END);
    const char *first = length == 0 || (length == 4 && strncmp(text, "NULL", 4) == 0)
                            ? NULL
                            : test_format("%.*s", (int)length, text);
    buffer_done(&rows);
    return first;
}

/* @return a statement of SQLite with its parameter ?1. */
static const char *bind(const char *sql, const char *value)
{
    struct buffer text;
    buffer_init(&text, TEXT_MAX);
    for (const char *at = sql; *at != '\0'; at++) {
        bool is_mark = at[0] == '?' && at[1] == '1';
        buffer_append_text(&text, is_mark ? value : test_format("%c", *at));
        at += is_mark;
    }
    const char *bound = test_format("%s", buffer_text(&text));
    buffer_done(&text);
    return bound;
}

static bool is_lite(const struct party *party)
{
    return strcmp(party->dialect->service, "lite") == 0;
}

static const char *entries_of(size_t kind)
{
    const char *entries = test_format("publish:\n  %s: {table: %ss, partitions: 3}\napply:\n",
                                      verify_dialects[kind].entity_type,
                                      verify_dialects[kind].entity_type);
    for (size_t i = 0; i < VERIFY_KINDS; i++) {
        if (i != kind)
            entries = test_format("%s  %s: {table: %ss, partitions: 3}\n", entries,
                                  verify_dialects[i].entity_type, verify_dialects[i].entity_type);
    }
    return entries;
}

static void world_begin(struct world *world)
{
    load_need("psql");
    load_need("mariadb");
    *world = (struct world){.kafka = kafka_start(), .seed = 47};
    for (size_t i = 0; i < VERIFY_KINDS; i++) {
        struct party *party = &world->parties[i];
        party->dialect = &verify_dialects[i];
        const char *url = database_make((enum database_kind)i, party->dialect->service);
        party->sidecar = sidecar_make_on(world->kafka, party->dialect->service, url, entries_of(i));
        verify_write_schema(party->dialect->entity_type);
        (void)database_text(url, test_format("CREATE TABLE %ss (%s)", party->dialect->entity_type,
                                             party->dialect->columns));
        for (int key = 0; key < KEYS; key++)
            (void)database_text(url, test_format("INSERT INTO %ss VALUES (%d, 'v0', '1', 0.5)",
                                                 party->dialect->entity_type, FIRST_KEY + key));
    }
    for (size_t i = 0; i < VERIFY_KINDS; i++)
        sidecar_begin(&world->parties[i].sidecar);
    for (size_t i = 0; i < VERIFY_KINDS; i++) {
        for (size_t peer = 0; peer < VERIFY_KINDS; peer++)
            assert_true(
                database_wait_for(world->parties[peer].sidecar.url,
                                  test_format("SELECT count(*) FROM %ss WHERE id >= %d",
                                              world->parties[i].dialect->entity_type, FIRST_KEY),
                                  test_format("%d\n", KEYS), 60000));
        world->parties[i].session = session_open(world->parties[i].sidecar.url);
    }
    world->killed_us = clock_monotonic_us();
}

/* Keep others writing at each service. */
static void world_load(struct world *world)
{
    for (size_t i = 0; i < VERIFY_KINDS; i++) {
        struct party *party = &world->parties[i];
        struct buffer script;
        if (party->client != NULL && process_running(party->client))
            continue;
        if (party->client != NULL)
            (void)load_client_end(party->client, 1000);
        buffer_init(&script, SCRIPT_MAX);
        for (int s = 0; s < STATEMENTS; s++) {
            verify_append_statement(&script, test_format("%ss", party->dialect->entity_type),
                                    HOT_KEYS, &world->seed);
            buffer_append_text(&script, party->dialect->pause);
        }
        party->client = load_client(test_format("client-%d", ++world->clients), party->sidecar.url,
                                    &script);
        buffer_done(&script);
    }
}

/* One transaction with a ticket. */
static void write_rows(struct world *world, struct party *party)
{
    const struct outbox_token_sql *sql = outbox_find(party->sidecar.url)->token_sql;
    const char *behind = NULL;
    session_run(party->session, is_lite(party) ? "BEGIN IMMEDIATE" : "BEGIN", NULL);
    if (is_lite(party))
        behind = ask(party->session, sql[0].text);
    for (int i = 0; i < ROWS_WRITTEN; i++) {
        int key = (party->written[0] + i * 7 + (i == 0 ? load_random(&world->seed, KEYS) : 0)) %
                  KEYS;
        party->written[i] = key;
        party->versions[key] = ++world->version;
        session_run(party->session,
                    test_format("UPDATE %ss SET name = 'v%d' WHERE id = %d",
                                party->dialect->entity_type, world->version, FIRST_KEY + key),
                    NULL);
    }
    party->ticket = ask(party->session,
                        is_lite(party) ? bind(sql[1].text, behind) : "SELECT keepstep_ticket()");
    session_run(party->session, "COMMIT", NULL);
    if (party->ticket == NULL)
        test_fail("%s: no ticket", party->dialect->service);
    world->transactions++;
}

/* @return whether the row at a peer is the one that its service wrote last. */
static bool reads_own_write(const struct party *party, const struct party *peer, int key)
{
    const char *name = ask(peer->session,
                           test_format("SELECT name FROM %ss WHERE id = %d",
                                       party->dialect->entity_type, FIRST_KEY + key));
    const char *expected = test_format("v%d", party->versions[key]);
    return name != NULL && strcmp(name, expected) == 0;
}

static void read_without_token(struct world *world, const struct party *party)
{
    for (size_t i = 0; i < VERIFY_KINDS; i++) {
        const struct party *peer = &world->parties[i];
        for (int row = 0; peer != party && row < ROWS_WRITTEN; row++) {
            world->reads_without++;
            world->stale += !reads_own_write(party, peer, party->written[row]);
        }
    }
}

/* Kill one now and then, wherever it is in its work. */
static void perhaps_kill(struct world *world)
{
    if (clock_monotonic_us() - world->killed_us < KILL_EVERY_US)
        return;
    load_kill(&world->parties[load_random(&world->seed, VERIFY_KINDS)].sidecar);
    world->killed_us = clock_monotonic_us();
    world->kills++;
}

/* Ask until the answer is not `not_yet`. */
static const char *ask_until(struct world *world, struct session *session, const char *sql,
                             bool wants_one)
{
    int64_t until_us = clock_monotonic_us() + WAIT_MAX_US;
    for (;;) {
        const char *answer = ask(session, sql);
        if (answer != NULL && (!wants_one || strcmp(answer, "1") == 0))
            return answer;
        if (clock_monotonic_us() > until_us)
            test_fail("%s gives %s for a minute", sql, answer == NULL ? "NULL" : answer);
        perhaps_kill(world);
        clock_sleep_us(POLL_US);
    }
}

static void take_token(struct world *world, struct party *party)
{
    const char *ticket = test_format("'%s'", party->ticket);
    const struct outbox_token_sql *sql = outbox_find(party->sidecar.url)->token_sql;
    party->token = ask_until(world, party->session,
                             is_lite(party) ? bind(sql[2].text, ticket)
                                            : test_format("SELECT keepstep_token(%s)", ticket),
                             false);
}

static void read_with_token(struct world *world, const struct party *party)
{
    const char *token = test_format("'%s'", party->token);
    for (size_t i = 0; i < VERIFY_KINDS; i++) {
        const struct party *peer = &world->parties[i];
        if (peer == party)
            continue;
        (void)ask_until(world, peer->session,
                        is_lite(peer) ? bind(store_find(peer->sidecar.url)->applied_sql, token)
                                      : test_format("SELECT keepstep_applied(%s)", token),
                        true);
        for (int row = 0; row < ROWS_WRITTEN; row++) {
            world->reads++;
            if (reads_own_write(party, peer, party->written[row]))
                continue;
            world->violations++;
            print_message("violation: %s at %s, key %d, token %s\n", party->dialect->service,
                          peer->dialect->service, FIRST_KEY + party->written[row], party->token);
        }
    }
}

/* Who was killed again and again may not have told of itself yet: then `wait` knows no such copy.
 */
static struct process_result wait_for(const struct party *post, const char *config,
                                      const char *const scope[2])
{
    int64_t until_us = clock_monotonic_us() + WAIT_MAX_US;
    struct process_result waited;
    do {
        waited = PROCESS_RUN(KEEPSTEP_BINARY, "wait", post->token, "-c", config, "--timeout", "30",
                             scope[0], scope[1]);
    } while (waited.exit_code == EX_USAGE && clock_monotonic_us() < until_us);
    return waited;
}

/* The commands say the same, also of other services. */
static void the_commands_agree(const struct world *world)
{
    const struct party *post = &world->parties[DATABASE_POSTGRESQL];
    const struct party *maria = &world->parties[DATABASE_MARIADB];
    static const char *const scopes[][2] = {
        {"--at", "maria"}, {"--at", "lite"}, {"--at", "post"}, {"--quorum", NULL}, {"--all", NULL}};
    struct process_result made = PROCESS_RUN(KEEPSTEP_BINARY, "token", post->ticket, "-c",
                                             post->sidecar.config);
    assert_string_equal(made.output, test_format("%s\n", post->token));
    for (size_t service = 0; service < 2; service++) {
        const char *config = (service == 0 ? post : maria)->sidecar.config;
        for (size_t i = 0; i < sizeof scopes / sizeof *scopes; i++) {
            struct process_result waited = wait_for(post, config, scopes[i]);
            if (waited.exit_code != EX_OK || strncmp(waited.output, "fulfilled", 9) != 0)
                test_fail("%s -c %s: exit code %d: %s%s", scopes[i][0], config, waited.exit_code,
                          waited.output, waited.errors);
        }
    }
    const char *later = test_format(
        "%.*s0:99999999", (int)(strrchr(post->token, ':') - post->token + 1), post->token);
    struct process_result bad = PROCESS_RUN(KEEPSTEP_BINARY, "wait", later, "-c",
                                            post->sidecar.config, "--quorum");
    assert_int_equal(bad.exit_code, EX_DATAERR);
    later = test_format("%.*s0=99999999", (int)(strrchr(post->token, ':') - post->token + 1),
                        post->token);
    struct process_result never = PROCESS_RUN(KEEPSTEP_BINARY, "wait", later, "-c",
                                              post->sidecar.config, "--quorum", "--timeout", "1");
    assert_int_equal(never.exit_code, EX_TEMPFAIL);
    assert_non_null(strstr(never.output, "not known yet"));
    const char *history = test_format("%s/0193583c-0000-7000-8000-00000000000f%s",
                                      post->dialect->service, strrchr(post->token, '/'));
    struct process_result lost = PROCESS_RUN(KEEPSTEP_BINARY, "wait", history, "-c",
                                             post->sidecar.config, "--at", "post", "--timeout",
                                             "1");
    if (lost.exit_code != EX_TEMPFAIL)
        test_fail("exit code %d: %s%s", lost.exit_code, lost.output, lost.errors);
}

static void what_a_service_wrote_is_read_behind_its_token(void **state)
{
    (void)state;
    struct world world;
    int seconds = load_number("TEST_LOAD_SECONDS", 20);
    int reads = load_number("TEST_SESSION_READS", READS_PER_SECOND * seconds);
    world_begin(&world);
    int64_t begun_us = clock_monotonic_us();
    int64_t until_us = begun_us + seconds * INT64_C(1000000);
    while (clock_monotonic_us() < until_us || world.reads < reads) {
        world_load(&world);
        for (size_t i = 0; i < VERIFY_KINDS; i++) {
            write_rows(&world, &world.parties[i]);
            read_without_token(&world, &world.parties[i]);
        }
        perhaps_kill(&world);
        for (size_t i = 0; i < VERIFY_KINDS; i++)
            take_token(&world, &world.parties[i]);
        for (size_t i = 0; i < VERIFY_KINDS; i++)
            read_with_token(&world, &world.parties[i]);
    }
    print_message(
        "note: %d transactions, %d kills; %d reads behind a token, %d violations; %d of %d "
        "reads without one were stale; %d s\n",
        world.transactions, world.kills, world.reads, world.violations, world.stale,
        world.reads_without, (int)((clock_monotonic_us() - begun_us) / 1000000));
    assert_int_equal(world.violations, 0);
    assert_true(world.stale > 0);
    assert_true(world.kills > 0);
    for (size_t i = 0; i < VERIFY_KINDS; i++)
        (void)load_client_end(world.parties[i].client, 60000);
    the_commands_agree(&world);
    for (size_t i = 0; i < VERIFY_KINDS; i++) {
        session_close(world.parties[i].session);
        sidecar_stop(&world.parties[i].sidecar);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_WITH_LIMIT(what_a_service_wrote_is_read_behind_its_token, 7200),
    };
    return TEST_RUN(tests);
}
