/* `keepstep fill` over three real databases: a new copy gets the rows of any other one, or of the
 * publisher, while services write; whatever is killed, it ends equal (rules 38 to 41). */
#include "tests/support/fill.h"
#include "tests/support/load.h"
#include "tests/support/trio.h"
#include "tests/support/verify.h"

#include <signal.h>
#include <sysexits.h>

#define JOINERS VERIFY_KINDS

/** Services that join later: one on each kind of database. */
struct joined {
    struct trio trio;
    struct sidecar joiners[JOINERS];
    const struct sidecar *all[VERIFY_KINDS + JOINERS + 1];
    size_t count; /* of `all` */
};

static const char *entry(const char *entity_type)
{
    return test_format("  %s: {table: %ss, partitions: 2}\n", entity_type, entity_type);
}

/* A new service applies everything, and publishes "stock" too. */
static struct sidecar *join(struct joined *joined, size_t kind)
{
    struct sidecar *joiner = &joined->joiners[kind];
    const char *text = test_format("publish:\n%sapply:\n%s", entry("stock"), entry("stock"));
    const char *name = test_format("new%s", verify_dialects[kind].service);
    for (size_t i = 0; i < VERIFY_KINDS; i++)
        text = test_format("%s%s", text, entry(verify_dialects[i].entity_type));
    const char *url = database_make((enum database_kind)kind, name);
    *joiner = sidecar_make_on(joined->trio.kafka, name, url, text);
    (void)database_text(url,
                        test_format("CREATE TABLE stocks (%s)", verify_dialects[kind].columns));
    sidecar_init(joiner, NULL);
    joined->all[joined->count++] = joiner;
    return joiner;
}

static void joined_begin(struct joined *joined)
{
    *joined = (struct joined){0};
    trio_begin(&joined->trio);
    for (size_t i = 0; i < VERIFY_KINDS; i++)
        joined->all[joined->count++] = &joined->trio.services[i];
}

static const struct sidecar *service(const struct joined *joined, size_t kind)
{
    return &joined->trio.services[kind % VERIFY_KINDS];
}

static const char *type_of(size_t kind)
{
    return verify_dialects[kind % VERIFY_KINDS].entity_type;
}

/* Rows that nobody writes, so that each fill has some. */
static void write_cold_rows(const struct joined *joined)
{
    for (size_t i = 0; i < VERIFY_KINDS; i++) {
        for (int id = 101; id <= 125; id++)
            (void)database_text(service(joined, i)->url,
                                test_format("INSERT INTO %ss VALUES (%d, 'cold', '1.50', 0.1); "
                                            "INSERT INTO stocks VALUES (%d, 'cold', '1.50', 0.1)",
                                            type_of(i), id, id + 100 * (int)i));
    }
    trio_settle(&joined->trio);
}

/* Everything is applied everywhere, nothing is parked, and all copies are equal. */
static void joined_assert_equal(const struct joined *joined)
{
    for (size_t i = 0; i < VERIFY_KINDS; i++) {
        const struct sidecar *const publisher[] = {service(joined, i), NULL};
        const struct sidecar *others[VERIFY_KINDS + JOINERS + 1] = {0};
        size_t count = 0;
        for (size_t k = 0; k < joined->count; k++) {
            if (joined->all[k] != service(joined, i))
                others[count++] = joined->all[k];
        }
        load_settle(joined->trio.kafka, type_of(i), publisher, others, 60000);
    }
    load_settle(joined->trio.kafka, "stock", joined->all, joined->all, 60000);
    struct process_result result = VERIFY(joined->all, "--json");
    if (result.exit_code != EX_OK || verify_count(&result, "equal") != 4 * ((int)joined->count - 1))
        test_fail("exit code %d: %s%s", result.exit_code, result.output, result.errors);
}

static void joined_end(struct joined *joined)
{
    for (size_t i = 0; i < JOINERS; i++) {
        if (joined->joiners[i].process != NULL)
            sidecar_stop(&joined->joiners[i]);
    }
    trio_end(&joined->trio);
}

/* Each pair of databases, from the publisher and from a copy, which may be behind it. */
static void fill_from_everybody(const struct joined *joined, const struct sidecar *joiner)
{
    for (size_t s = 0; s < VERIFY_KINDS; s++) {
        struct process_result result = FILL_OK(joiner, service(joined, s), type_of(s));
        assert_true(fill_number(&result, "rows") >= 25);
        assert_int_equal(fill_number(&result, "cleared"), 0);
    }
    for (size_t s = 0; s < VERIFY_KINDS; s++) {
        struct process_result result = FILL_OK(joiner, service(joined, s), type_of(s + 1),
                                               "--again");
        assert_true(fill_number(&result, "rows") >= 25);
        assert_true(fill_number(&result, "cleared") >= 25);
    }
}

static void any_database_is_filled_from_any_other_while_services_write(void **state)
{
    (void)state;
    struct joined joined;
    struct process *writers[VERIFY_KINDS];
    joined_begin(&joined);
    write_cold_rows(&joined);
    for (size_t i = 0; i < VERIFY_KINDS; i++)
        writers[i] = trio_write(&joined.trio, i);
    for (size_t i = 0; i < JOINERS; i++) {
        struct sidecar *joiner = join(&joined, i);
        fill_from_everybody(&joined, joiner);
        struct process_result result = FILL_OK(joiner, service(&joined, i + 1), "stock");
        assert_true(fill_number(&result, "rows") >= 75);
        sidecar_start(joiner, NULL);
    }
    for (size_t i = 0; i < VERIFY_KINDS; i++)
        assert_true(load_client_end(writers[i], 120000) < 2 * TRIO_STATEMENTS);
    joined_assert_equal(&joined);
    joined_end(&joined);
}

/* In this order each of them is reached: rows are cleared once some were loaded. */
static const char *const points[] = {
    "fill_before_ask",       "fill_after_ask",         "fill_before_mark",      "fill_after_mark",
    "fill_before_install",   "fill_after_install",     "fill_before_rows",      "fill_after_rows",
    "fill_before_rows:2",    "fill_after_rows:2",      "fill_before_clear",     "fill_after_clear",
    "fill_before_hand_over", "fill_after_hand_over:2", "fill_before_take_back", "fill_before_end",
    "fill_after_end",
};
#define POINTS (sizeof points / sizeof *points)

/* Each attempt begins anew, from another source, which may be less far than the one before. */
static void kill_everywhere(const struct joined *joined, const struct sidecar *joiner)
{
    for (size_t p = 0; p < POINTS; p++) {
        struct process *fill = fill_start(joiner, service(joined, p), "stock", points[p]);
        int code = process_wait(fill, 60000);
        if (code != 128 + SIGKILL)
            test_fail("%s: %d: %s", points[p], code, process_errors(fill));
        (void)database_text(service(joined, p + 1)->url,
                            test_format("UPDATE stocks SET name = 'p%zu' WHERE id = 101; "
                                        "DELETE FROM stocks WHERE id = %zu",
                                        p, 102 + p));
    }
}

static void a_fill_that_is_killed_anywhere_begins_anew(void **state)
{
    (void)state;
    struct joined joined;
    joined_begin(&joined);
    write_cold_rows(&joined);
    for (size_t i = 0; i < JOINERS; i++) {
        struct sidecar *joiner = join(&joined, i);
        kill_everywhere(&joined, joiner);
        struct process_result result = FILL(joiner, service(&joined, i), "stock");
        assert_int_equal(result.exit_code, EX_CONFIG); /* the last one had come to its end */
        assert_non_null(strstr(result.errors, "filled already"));
        sidecar_start(joiner, NULL);
    }
    joined_assert_equal(&joined);
    joined_end(&joined);
}

static void write_stock(const struct sidecar *service, const char *sql)
{
    (void)database_text(service->url, sql);
}

static struct process *start_relay(const struct sidecar *joiner)
{
    const char *const argv[] = {KEEPSTEP_BINARY, "relay", "-c", joiner->config, NULL};
    return process_start(test_format("relay-%s", joiner->name), argv, NULL);
}

/* @return how many of the service's own changes have a number. */
static const char *published(const struct sidecar *service)
{
    return database_text(service->url, "SELECT count(*) FROM outbox WHERE sequence IS NOT NULL");
}

/* The service writes before its copy is filled, between two transactions of the loader, and after;
 * entities that are new, that others have, and that others delete meanwhile. */
static void write_while_it_joins(const struct joined *joined, struct sidecar *joiner, size_t i)
{
    const struct sidecar *other = service(joined, i + 1);
    size_t new = 400 + 10 * i;
    size_t old = 103 + 7 * i;
    write_stock(joiner, test_format("INSERT INTO stocks VALUES (%zu, 'own', '1.50', 0.1); "
                                    "INSERT INTO stocks VALUES (%zu, 'own', '1.50', 0.1); "
                                    "INSERT INTO stocks VALUES (%zu, 'own', '1.50', 0.1)",
                                    new, old, old + 1));
    struct process *relay = start_relay(joiner);
    struct process *fill = fill_start(joiner, service(joined, i), "stock",
                                      "fill_after_install:stop");
    fill_wait_stopped(fill);
    write_stock(other, test_format("DELETE FROM stocks WHERE id IN (%zu, %zu, %zu); "
                                   "INSERT INTO stocks VALUES (%zu, 'other', '1.50', 0.1)",
                                   old + 1, old + 2, old + 3, new + 1));
    write_stock(joiner, test_format("UPDATE stocks SET name = 'again' WHERE id = %zu; "
                                    "DELETE FROM stocks WHERE id = %zu; "
                                    "INSERT INTO stocks VALUES (%zu, 'mine', '1.50', 0.1); "
                                    "INSERT INTO stocks VALUES (%zu, 'mine', '1.50', 0.1)",
                                    old, new, new + 1, old + 3));
    assert_string_equal(published(joiner), "0\n");
    process_signal(fill, SIGCONT);
    fill_wait_end(fill);
    assert_true(process_running(relay));
    assert_string_equal(
        database_text(joiner->url, test_format("SELECT name FROM stocks WHERE id IN (%zu, %zu, "
                                               "%zu, %zu) ORDER BY id",
                                               old, old + 1, old + 3, new + 1)),
        "again\nown\nmine\nmine\n"); /* nothing was written over them */
    write_stock(joiner, test_format("UPDATE stocks SET name = 'late' WHERE id = %zu", old + 4));
    assert_int_equal(process_stop(relay, 20000), 0);
    sidecar_start(joiner, NULL);
}

static void a_service_may_write_while_its_copy_is_filled(void **state)
{
    (void)state;
    struct joined joined;
    joined_begin(&joined);
    write_cold_rows(&joined);
    for (size_t i = 0; i < JOINERS; i++)
        write_while_it_joins(&joined, join(&joined, i), i);
    joined_assert_equal(&joined);
    for (size_t k = 0; k < joined.count; k++) {
        for (size_t i = 0; i < JOINERS; i++) {
            const char *sql = test_format("SELECT name FROM stocks WHERE id = %zu", 103 + 7 * i);
            assert_string_equal(database_text(joined.all[k]->url, sql), "again\n");
        }
    }
    joined_end(&joined);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_WITH_LIMIT(any_database_is_filled_from_any_other_while_services_write, 400),
        TEST_WITH_LIMIT(a_service_may_write_while_its_copy_is_filled, 400),
        TEST_WITH_LIMIT(a_fill_that_is_killed_anywhere_begins_anew, 400),
    };
    return TEST_RUN(tests);
}
