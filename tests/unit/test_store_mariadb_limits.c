/* The MariaDB store at the server's limits: packets, and columns that became narrower. */
#include "tests/support/mariadb.h"
#include "tests/support/store_orders.h"

#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#define PACKET_SIZE 65536

static struct store *open_on_own_table(void)
{
    struct store *store = orders_open();
    assert_ok(orders_ops->prepare(store, &orders_mapping, &orders_err));
    return store;
}

/* Open a store with the smallest packets that Keepstep supports. */
static struct store *open_small(void)
{
    orders_url = mariadb_database("small");
    mariadb_execute(orders_url, test_format("SET GLOBAL max_allowed_packet = %d", PACKET_SIZE));
    struct store *store = open_on_own_table();
    mariadb_execute(orders_url, "SET GLOBAL max_allowed_packet = DEFAULT");
    return store;
}

static char *text_of(size_t length)
{
    static char text[2 * PACKET_SIZE + 1];
    memset(text, 'x', length);
    text[length] = '\0';
    return text;
}

#define ROWS 8
static int64_t first_id;

/* Apply `count` rows. Their notes are in turn a third of `length` and `length` long. `price` is the
 * first row's. */
static enum status apply(struct store *store, size_t count, size_t length, const char *price)
{
    struct value values[ROWS][3];
    struct change rows[ROWS];
    const struct change *changes[ROWS];
    for (size_t i = 0; i < count; i++) {
        values[i][0] = (struct value){.kind = VALUE_INTEGER, .integer = first_id + (int64_t)i};
        values[i][1] = (struct value){.kind = VALUE_TEXT, .text = slice_of(i == 0 ? price : "1.5")};
        values[i][2] = (struct value){.kind = VALUE_TEXT,
                                      .text = {text_of(length), i % 2 == 0 ? length / 3 : length}};
        rows[i] = (struct change){.op = CHANGE_CREATE,
                                  .entity_type = slice_of("order"),
                                  .entity_key = slice_of(test_format("{\"id\":%zu}", i)),
                                  .schema = &orders_schema,
                                  .values = values[i]};
        changes[i] = &rows[i];
    }
    return orders_ops->apply(store, &orders_mapping, changes, count, &orders_err);
}

static void
a_record_beyond_the_packet_size_stops_with_advice_and_those_before_it_are_parked(void **state)
{
    (void)state;
    struct store *store = open_small();
    struct parked_record records[3] = {{.entity_key = slice_of("k")}};
    struct superseded_image image = {.entity_type = slice_of("order"), .entity_key = slice_of("k")};
    for (int i = 0; i < 3; i++)
        records[i] = (struct parked_record){
            .record = {.topic = "order",
                       .offset = i,
                       .value = slice_of(i == 1 ? text_of(PACKET_SIZE) : "small")},
            .entity_type = slice_of("order"),
            .entity_key = slice_of("k"),
            .reason = slice_of("refused")};
    assert_ok(orders_ops->begin(store, NULL, 0, &orders_err));
    assert_int_equal(orders_ops->park(store, records, 3, &orders_err), STATUS_STOP);
    assert_true(records[0].parked_id > 0);
    assert_true(records[1].parked_id == 0);
    assert_non_null(strstr(orders_err.text, "max_allowed_packet of 65536 bytes"));
    error_clear(&orders_err);
    image.record = records[1].record;
    assert_int_equal(orders_ops->keep_image(store, &image, &orders_err), STATUS_STOP);
    assert_false(orders_err.connection_lost);
    error_clear(&orders_err);
    assert_ok(orders_ops->commit(store, false, &orders_err));
    orders_ops->close(store);
}

static void rows_are_sent_in_packets_that_the_server_takes(void **state)
{
    (void)state;
    struct store *store = open_small();
    assert_ok(orders_ops->begin(store, NULL, 0, &orders_err));
    assert_ok(apply(store, ROWS, PACKET_SIZE - 5536, "1.5"));
    assert_int_equal(apply(store, 2, PACKET_SIZE, "1.5"), STATUS_REJECT);
    assert_int_equal(orders_err.reject, REJECT_HELD);
    error_clear(&orders_err);
    assert_ok(orders_ops->commit(store, false, &orders_err));
    assert_string_equal(
        mariadb_text(orders_url,
                     "SELECT count(*), min(length(note)), max(length(note)) FROM orders"),
        "8|20000|60000\n");
    orders_ops->close(store);
}

/* A column is altered after prepare() has read the catalogue. */
static void a_value_that_a_column_altered_meanwhile_would_round_is_held(void **state)
{
    (void)state;
    orders_url = mariadb_database("altered");
    mariadb_execute(orders_url,
                    "CREATE TABLE orders(id int PRIMARY KEY, price decimal(9,2), note text)");
    struct store *store = open_on_own_table();
    assert_ok(orders_ops->begin(store, NULL, 0, &orders_err));
    assert_ok(apply(store, ROWS, 3, "1.55"));
    assert_ok(orders_ops->commit(store, false, &orders_err));
    mariadb_execute(orders_url, "ALTER TABLE orders MODIFY price decimal(9,1)");
    assert_ok(orders_ops->begin(store, NULL, 0, &orders_err));
    for (size_t count = 1; count <= ROWS; count += ROWS - 1) {
        assert_int_equal(apply(store, count, 3, "2.55"), STATUS_REJECT);
        assert_int_equal(orders_err.reject, REJECT_HELD);
        assert_int_equal(orders_err.native_code, 1265);
        assert_non_null(strstr(orders_err.text, "price"));
        error_clear(&orders_err);
        assert_ok(orders_ops->savepoint(store, true, &orders_err));
    }
    assert_ok(apply(store, ROWS, 3, "2.5"));
    assert_ok(orders_ops->commit(store, false, &orders_err));

    /* A warning of the service's own trigger is no reason to hold a row. */
    mariadb_execute(orders_url, "CREATE TRIGGER warns BEFORE UPDATE ON orders FOR EACH ROW "
                                "SIGNAL SQLSTATE '01000' SET MESSAGE_TEXT = 'seldom'");
    assert_ok(orders_ops->begin(store, NULL, 0, &orders_err));
    assert_ok(apply(store, ROWS, 3, "2.5"));
    assert_ok(orders_ops->commit(store, false, &orders_err));
    assert_string_equal(mariadb_text(orders_url, "SELECT max(price), min(price) FROM orders"),
                        "2.5|1.5\n");
    orders_ops->close(store);
}

/* No row needs overflow pages. MariaDB 10.11 crashes if there is no room for those. */
static void a_full_disk_makes_the_batch_retry_until_there_is_room(void **state)
{
    (void)state;
    orders_url = mariadb_database("full");
    const char *space = test_format("%s/space", mariadb_directory());
    struct stat owner;
    enum status status = STATUS_OK;
    if (mkdir(space, 0777) != 0 || mount("tmpfs", space, "tmpfs", 0, "size=4m") != 0 ||
        stat(mariadb_directory(), &owner) != 0 || chown(space, owner.st_uid, owner.st_gid) != 0)
        test_skip("a tmpfs cannot be mounted here");
    mariadb_execute(orders_url,
                    test_format("CREATE TABLE orders(id int PRIMARY KEY, price decimal(9,2), "
                                "note varchar(4000)) DATA DIRECTORY = '%s'",
                                space));
    struct store *store = open_on_own_table();
    assert_ok(orders_ops->begin(store, NULL, 0, &orders_err));
    for (int i = 0; status == STATUS_OK && i < 400; i++) {
        first_id += ROWS;
        status = apply(store, ROWS, 4000, "1.5");
    }
    orders_ops->rollback(store);
    int code = orders_err.native_code;
    bool lost = orders_err.connection_lost;
    error_clear(&orders_err);
    int remounted = mount("tmpfs", space, "tmpfs", MS_REMOUNT, "size=256m");
    assert_ok(orders_ops->begin(store, NULL, 0, &orders_err));
    enum status again = apply(store, ROWS, 4000, "1.5");
    assert_ok(orders_ops->commit(store, false, &orders_err));
    orders_ops->close(store);
    first_id = 0;
    const char *rows = mariadb_text(orders_url, "SELECT count(*) FROM orders");
    mariadb_execute(orders_url, "DROP TABLE orders");
    (void)umount(space);
    assert_int_equal(status, STATUS_RETRY);
    assert_int_equal(code, 1114);
    assert_false(lost);
    assert_int_equal(remounted, 0);
    assert_int_equal(again, STATUS_OK);
    assert_string_equal(rows, "8\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_WITH_LIMIT(
            a_record_beyond_the_packet_size_stops_with_advice_and_those_before_it_are_parked, 120),
        TEST_WITH_LIMIT(a_value_that_a_column_altered_meanwhile_would_round_is_held, 120),
        TEST_WITH_LIMIT(a_full_disk_makes_the_batch_retry_until_there_is_room, 120),
        TEST_WITH_LIMIT(rows_are_sent_in_packets_that_the_server_takes, 120),
    };
    orders_begin(DATABASE_MARIADB);
    return TEST_RUN(tests);
}
