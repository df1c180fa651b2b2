/* `keepstep outbox show` says of a row, or of an event's id, how far the event is; of a row that is
 * gone it says what the database knows, and no more. */
#include "schemas/event_id.h"
#include "tests/support/database_case.h"
#include "tests/support/roles.h"
#include "tests/support/sidecar.h"

#include <sysexits.h>

#define ITEM_TABLE                                                                                 \
    "CREATE TABLE items (id BIGINT PRIMARY KEY, name VARCHAR(100) NOT NULL, amount INT)"
#define ENTRY   "publish:\n  item: {table: items, partitions: 1}\n"
#define WAIT_MS 30000

static struct sidecar make(enum database_kind kind)
{
    const char *url = kind == DATABASE_SQLITE ? test_format("sqlite:%s", test_path("shop.db"))
                                              : database_make(kind, "shop");
    struct sidecar shop = sidecar_make_on(kafka_start(), "shop", url, ENTRY);
    (void)database_text(url, ITEM_TABLE);
    sidecar_init(&shop, NULL);
    return shop;
}

static struct process_result show(const struct sidecar *shop, const char *which)
{
    return sidecar_run(shop, "outbox", "show", which);
}

static void expect(const struct sidecar *shop, const char *which, int code, const char *text)
{
    struct process_result result = show(shop, which);
    if (result.exit_code != code || strstr(code == 0 ? result.output : result.errors, text) == NULL)
        test_fail("show %s: %d: %s%s", which, result.exit_code, result.output, result.errors);
}

/* @return a text column of the outbox's first row, without its end of line. */
static const char *first(const struct sidecar *shop, const char *column)
{
    const char *text = database_text(
        shop->url, test_format("SELECT %s FROM outbox ORDER BY position LIMIT 1", column));
    return test_format("%.*s", (int)strcspn(text, "\n"), text);
}

/* @return the id that is shown of a row that was given none. */
static const char *derived_id(const struct sidecar *shop, const char *position)
{
    struct process_result result = show(shop, position);
    const char *line = strstr(result.output, "\nid          ");
    assert_non_null(line);
    line += strlen("\nid          ");
    return test_format("%.*s", (int)strcspn(line, "\n"), line);
}

static void rows_are_shown_with_how_far_they_are(enum database_kind kind)
{
    struct sidecar shop = make(kind);
    (void)database_text(shop.url, "INSERT INTO items VALUES (1, 'one', 1)");
    const char *position = first(&shop, "position");
    const char *id = derived_id(&shop, position);
    expect(&shop, position, EX_OK, " waiting ");
    expect(&shop, id, EX_OK, " waiting ");
    (void)database_text(shop.url, "UPDATE outbox SET payload = 'no JSON'");
    sidecar_start(&shop, NULL);
    if (!database_wait_for(shop.url, "SELECT count(*) FROM outbox WHERE set_aside IS NOT NULL",
                           "1\n", WAIT_MS))
        test_fail("%s", process_errors(shop.process));
    expect(&shop, id, EX_OK, " set aside ");
    struct process_result dropped = sidecar_run(&shop, "outbox", "drop", position);
    assert_int_equal(dropped.exit_code, EX_OK);
    expect(&shop, id, EX_DATAERR, "database does not know which");
    expect(&shop, position, EX_DATAERR, "database does not know which");

    (void)database_text(shop.url, "INSERT INTO items VALUES (2, 'two', 2)");
    if (!database_wait_for(shop.url,
                           "SELECT last_sequence, acknowledged_sequence FROM "
                           "keepstep_relay_partition",
                           "1|1\n", WAIT_MS))
        test_fail("%s", process_errors(shop.process));
    position = first(&shop, "position");
    id = derived_id(&shop, position);
    expect(&shop, position, EX_OK, " published ");
    expect(&shop, id, EX_OK, " published ");
    expect(&shop, id, EX_OK, "sequence    1, of partition 0 of ");
    sidecar_stop(&shop);

    /* As the purge does it. */
    (void)database_text(shop.url, "DELETE FROM outbox");
    expect(&shop, position, EX_OK, "published: ");
    expect(&shop, id, EX_OK, "is sequence 1 of partition 0 of ");
    expect(&shop, "no-such-id", EX_DATAERR, "no event no-such-id");
    expect(&shop, "4711", EX_DATAERR, "no row at position 4711");
}

/* A numbered row whose event the broker has not acknowledged. */
static void what_is_under_way_is_not_called_published(enum database_kind kind)
{
    struct sidecar shop = make(kind);
    (void)database_text(shop.url, "INSERT INTO items VALUES (1, 'one', 1)");
    sidecar_start(&shop, "relay_after_claim");
    assert_int_not_equal(process_wait(shop.process, WAIT_MS), -1);
    const char *position = first(&shop, "position");
    expect(&shop, position, EX_OK, " claimed ");
    expect(&shop, derived_id(&shop, position), EX_OK, " claimed ");
}

DATABASE_TESTS(rows_are_shown_with_how_far_they_are)
DATABASE_TESTS(what_is_under_way_is_not_called_published)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_WITH_LIMIT(rows_are_shown_with_how_far_they_are_in_sqlite, 120),
        TEST_WITH_LIMIT(rows_are_shown_with_how_far_they_are_in_postgresql, 120),
        TEST_WITH_LIMIT(rows_are_shown_with_how_far_they_are_in_mariadb, 120),
        TEST_WITH_LIMIT(what_is_under_way_is_not_called_published_in_sqlite, 120),
        TEST_WITH_LIMIT(what_is_under_way_is_not_called_published_in_postgresql, 120),
        TEST_WITH_LIMIT(what_is_under_way_is_not_called_published_in_mariadb, 120),
    };
    return TEST_RUN(tests);
}
