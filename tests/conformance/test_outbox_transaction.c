/* The fenced transactions of a MariaDB outbox: each is one message, and all or nothing, whatever
 * stops it. */
#include "tests/support/cutting_proxy.h"
#include "tests/support/mariadb.h"
#include "tests/support/outbox_case.h"

#include "producer/registry.h"

#include <mysql.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#define WAIT_MS    10000
#define MANY_ROWS  2000
#define PACKET_MIN 16384

/* Whether a claim left its mark: numbers, partitions, types. */
static const char NUMBERED[] = "SELECT (SELECT count(*) FROM outbox WHERE sequence IS NOT NULL), "
                               "(SELECT count(*) FROM keepstep_relay_partition), "
                               "(SELECT count(*) FROM keepstep_relay_type)";

struct fenced {
    const char *name;
    enum status (*run)(struct outbox *outbox, const struct lease *lease, int number,
                       struct error *err);
};

static enum status run_claim(struct outbox *outbox, const struct lease *lease, int number,
                             struct error *err)
{
    struct outbox_row rows[] = {{.position = 2 * number + 1, .id = slice_of("a")},
                                {.position = 2 * number + 2, .id = slice_of("b")}};
    struct relay_partition partition = {
        .topic = "orders", .partition = 1, .last_sequence = (uint64_t)number * 2 + 2};
    for (size_t i = 0; i < 2; i++) {
        rows[i].topic = "orders";
        rows[i].entity_type = slice_of("order");
        rows[i].partition = 1;
        rows[i].sequence = (uint64_t)number * 2 + i + 1;
    }
    return outbox->ops->claim(outbox, lease, &(struct outbox_claim){rows, 2, &partition, 1, NULL},
                              err);
}

static enum status run_acknowledge(struct outbox *outbox, const struct lease *lease, int number,
                                   struct error *err)
{
    const struct relay_partition partitions[] = {
        {.topic = "orders", .partition = 1, .acknowledged_sequence = (uint64_t)number + 1},
        {.topic = "orders", .partition = 2, .acknowledged_sequence = (uint64_t)number + 1}};
    return outbox->ops->acknowledge(outbox, lease, partitions, 2, err);
}

static enum status run_renew(struct outbox *outbox, const struct lease *lease, int number,
                             struct error *err)
{
    (void)number;
    return outbox->ops->acknowledge(outbox, lease, NULL, 0, err);
}

static enum status run_note_read(struct outbox *outbox, const struct lease *lease, int number,
                                 struct error *err)
{
    const struct relay_partition partition = {
        .topic = "orders", .partition = 1, .read_offset = number};
    return outbox->ops->note_read(outbox, lease, &partition, 1, err);
}

static enum status run_set_aside(struct outbox *outbox, const struct lease *lease, int number,
                                 struct error *err)
{
    const struct outbox_row row = {.position = 100 + number, .entity_key = slice_of("k")};
    const struct outbox_set set = {.rows = &row, .count = 1, .reason = "no reason"};
    bool done = false;
    return outbox->ops->set_aside(outbox, lease, &set, &done, err);
}

static enum status run_write_keys(struct outbox *outbox, const struct lease *lease, int number,
                                  struct error *err)
{
    const struct outbox_row row = {
        .position = 200 + number, .entity_key = slice_of("k"), .rekeyed = true};
    return outbox->ops->write_keys(outbox, lease, &row, 1, err);
}

static const struct fenced all_fenced[] = {
    {"claim", run_claim},         {"acknowledge", run_acknowledge}, {"renew", run_renew},
    {"note_read", run_note_read}, {"set_aside", run_set_aside},     {"write_keys", run_write_keys},
};

static void write_many(int count)
{
    (void)mariadb_text(
        outbox_case_url,
        test_format("INSERT INTO outbox (aggregatetype, aggregateid, type, payload) SELECT "
                    "'order', CONCAT('{\"id\":', seq, '}'), 'order.created', '{\"op\":\"c\"}' "
                    "FROM seq_1_to_%d",
                    count));
}

/* A session of the server's own database, so that what ends the outbox's sessions spares it. */
static MYSQL *stranger_open(void)
{
    MYSQL *session = mysql_init(NULL);
    if (session == NULL ||
        mysql_real_connect(session, NULL, "root", NULL, "mysql", 0,
                           test_format("%s/socket", mariadb_directory()), 0) == NULL)
        test_fail("no session");
    return session;
}

static void stranger_run(MYSQL *session, const char *sql)
{
    if (mysql_query(session, sql) != 0)
        test_fail("%s: %s", sql, mysql_error(session));
    mysql_free_result(mysql_store_result(session));
}

/* @return how many messages the server was sent so far, this one included. */
static int64_t messages(MYSQL *stranger)
{
    if (mysql_query(stranger, "SHOW GLOBAL STATUS LIKE 'Questions'") != 0)
        test_fail("%s", mysql_error(stranger));
    MYSQL_RES *result = mysql_store_result(stranger);
    int64_t count = strtoll(mysql_fetch_row(result)[1], NULL, 10);
    mysql_free_result(result);
    return count;
}

static void every_fenced_transaction_is_one_message(void)
{
    struct error err = ERROR_INIT;
    outbox_case_make();
    struct outbox *outbox = outbox_case_open("1");
    struct lease lease = outbox_case_lease(outbox);
    MYSQL *stranger = stranger_open();
    write_many(300);
    for (size_t i = 0; i < sizeof all_fenced / sizeof *all_fenced; i++) {
        assert_int_equal(all_fenced[i].run(outbox, &lease, 0, &err), STATUS_OK); /* prepares it */
        int64_t before = messages(stranger);
        for (int number = 1; number <= 10; number++) {
            if (all_fenced[i].run(outbox, &lease, number, &err) != STATUS_OK)
                test_fail("%s: %s", all_fenced[i].name, err.text);
        }
        if (messages(stranger) - before != 10 + 1)
            test_fail("%s: more than one message", all_fenced[i].name);
    }
    assert_string_equal(outbox_case_ask(NUMBERED), "22|2|1\n");
    outbox->ops->close(outbox);
    mysql_close(stranger);
}

struct claim {
    pthread_t thread;
    struct outbox *outbox;
    struct lease lease;
    enum status status;
    struct error err;
};

static void *run_in_thread(void *context)
{
    struct claim *claim = context;
    claim->status = run_claim(claim->outbox, &claim->lease, 0, &claim->err);
    return NULL;
}

static bool is_blocked(void *context)
{
    (void)context;
    return strstr(mariadb_text(outbox_case_url,
                               "SHOW GLOBAL STATUS LIKE 'Innodb_row_lock_current_waits'"),
                  "|0\n") == NULL;
}

enum stop { STOP_KILL, STOP_CANCEL, STOP_LOCK_TIMEOUT, STOP_DEADLOCK };

/* The claim has the lease's row and waits for its second outbox row. The deadlock's victim is the
 * one that changed less. */
static void stop_claim(enum stop stop, MYSQL *stranger)
{
    if (stop == STOP_KILL)
        mariadb_kill_backends(outbox_case_url);
    else if (stop == STOP_CANCEL)
        mariadb_cancel_statements(outbox_case_url);
    else if (stop == STOP_DEADLOCK)
        stranger_run(stranger, "UPDATE outbox.keepstep_relay SET holder = 'x'");
}

static void assert_nothing_left(MYSQL *stranger, const char *lease_before)
{
    assert_string_equal(outbox_case_ask(NUMBERED), "0|0|0\n");
    assert_string_equal(outbox_case_ask("SELECT lease_until_us FROM keepstep_relay"), lease_before);
    stranger_run(stranger, "SELECT * FROM outbox.keepstep_relay FOR UPDATE NOWAIT");
    stranger_run(stranger, "SELECT * FROM outbox.outbox FOR UPDATE NOWAIT");
    stranger_run(stranger, "ROLLBACK");
}

static void a_claim_stopped_in_the_middle_leaves_nothing_and_can_be_made_again(void)
{
    static const enum stop stops[] = {STOP_CANCEL, STOP_DEADLOCK, STOP_LOCK_TIMEOUT, STOP_KILL};
    outbox_case_make();
    write_many(1000);
    (void)outbox_case_ask("CREATE TABLE heavy (id INTEGER PRIMARY KEY)");
    MYSQL *stranger = stranger_open();
    struct claim claim = {.outbox = outbox_case_open("1")};
    for (size_t i = 0; i < sizeof stops / sizeof *stops; i++) {
        error_clear(&claim.err);
        claim.lease = outbox_case_lease(claim.outbox);
        const char *before = outbox_case_ask("SELECT lease_until_us FROM keepstep_relay");
        stranger_run(stranger, "START TRANSACTION");
        stranger_run(stranger, "INSERT INTO outbox.heavy SELECT seq FROM seq_1_to_1000");
        stranger_run(stranger, "SELECT 1 FROM outbox.outbox WHERE position = 2 FOR UPDATE");
        assert_int_equal(pthread_create(&claim.thread, NULL, run_in_thread, &claim), 0);
        if (!test_wait(is_blocked, NULL, WAIT_MS))
            test_fail("the claim does not wait: %s", claim.err.text);
        stop_claim(stops[i], stranger);
        (void)pthread_join(claim.thread, NULL);
        print_message("stopped by %d: %s\n", (int)stops[i], claim.err.text);
        assert_int_equal(claim.status, STATUS_RETRY);
        assert_int_equal(claim.err.connection_lost, stops[i] == STOP_KILL);
        stranger_run(stranger, "ROLLBACK");
        assert_nothing_left(stranger, before);
    }
    error_clear(&claim.err);
    claim.lease.session = claim.outbox->session;
    assert_int_equal(run_claim(claim.outbox, &claim.lease, 0, &claim.err), STATUS_OK);
    assert_string_equal(outbox_case_ask(NUMBERED), "2|1|1\n");
    claim.outbox->ops->close(claim.outbox);
    mysql_close(stranger);
}

static void a_lost_fence_and_a_missed_row_leave_nothing_not_even_a_lock(void)
{
    struct error err = ERROR_INIT;
    outbox_case_make();
    struct outbox *outbox = outbox_case_open("1");
    struct lease old = outbox_case_lease(outbox);
    struct lease lease = outbox_case_lease(outbox);
    const char *before = outbox_case_ask("SELECT lease_until_us FROM keepstep_relay");
    MYSQL *stranger = stranger_open();
    write_many(300);
    for (size_t i = 0; i < sizeof all_fenced / sizeof *all_fenced; i++) {
        error_clear(&err);
        assert_int_equal(all_fenced[i].run(outbox, &old, 0, &err), STATUS_ABORT);
        assert_string_equal(err.text, "another relay took the lease");
        assert_nothing_left(stranger, before);
    }
    (void)outbox_case_ask("UPDATE outbox SET set_aside = 'x' WHERE position = 2");
    error_clear(&err);
    assert_int_equal(run_claim(outbox, &lease, 0, &err), STATUS_ABORT);
    assert_string_equal(
        err.text, "not all rows of the claim were waiting still, or the statement was cut off");
    assert_nothing_left(stranger, before);
    assert_int_equal(run_claim(outbox, &lease, 1, &err), STATUS_OK);
    outbox->ops->close(outbox);
    mysql_close(stranger);
}

/* Before the server has read the claim nothing is durable; behind its answer all of it is. The
 * relay is told the same in both cases. */
static void a_claim_without_an_answer_is_all_or_nothing(void)
{
    static const enum proxy_cut cuts[] = {PROXY_CUT_BEFORE, PROXY_CUT_AFTER};
    outbox_case_make();
    write_many(2);
    const char *url = cutting_proxy_start(outbox_case_product->relay(outbox_case_url));
    const struct outbox_options options = {.path = url, .service = "shop", .instance = "1"};
    for (size_t i = 0; i < 2; i++) {
        struct error err = ERROR_INIT;
        struct outbox *outbox = NULL;
        assert_int_equal(outbox_find(url)->open(&options, &outbox, &err), STATUS_OK);
        struct lease lease = outbox_case_lease(outbox);
        cutting_proxy_cut(cuts[i], "\"orders\"");
        assert_int_equal(run_claim(outbox, &lease, 0, &err), STATUS_RETRY);
        assert_true(err.connection_lost);
        assert_true(outbox->session != lease.session);
        assert_string_equal(outbox_case_ask(NUMBERED), i == 0 ? "0|0|0\n" : "2|1|1\n");
        outbox->ops->close(outbox);
    }
    cutting_proxy_stop();
}

#define LITERAL(text)                                                                              \
    {                                                                                              \
        .data = (text), .length = sizeof(text) - 1                                                 \
    }

/* The session sets all of these itself. */
static const char ODD_SETTINGS[] = "SET GLOBAL sql_mode = 'ANSI_QUOTES,NO_BACKSLASH_ESCAPES,"
                                   "PIPES_AS_CONCAT,IGNORE_SPACE,PAD_CHAR_TO_FULL_LENGTH';"
                                   "SET GLOBAL character_set_server = latin1;"
                                   "SET GLOBAL character_set_client = latin1;"
                                   "SET GLOBAL character_set_connection = latin1;"
                                   "SET GLOBAL collation_server = latin1_german2_ci;"
                                   "SET GLOBAL autocommit = 0;"
                                   "SET GLOBAL completion_type = 'CHAIN';"
                                   "SET GLOBAL tx_isolation = 'SERIALIZABLE';"
                                   "SET GLOBAL init_connect = 'SET NAMES latin1'";
static const char NORMAL_SETTINGS[] = "SET GLOBAL sql_mode = DEFAULT;"
                                      "SET GLOBAL character_set_server = DEFAULT;"
                                      "SET GLOBAL character_set_client = DEFAULT;"
                                      "SET GLOBAL character_set_connection = DEFAULT;"
                                      "SET GLOBAL collation_server = DEFAULT;"
                                      "SET GLOBAL autocommit = DEFAULT;"
                                      "SET GLOBAL completion_type = DEFAULT;"
                                      "SET GLOBAL tx_isolation = DEFAULT;"
                                      "SET GLOBAL init_connect = ''";

static const struct slice ODD_TEXTS[] = {
    LITERAL("'"),
    LITERAL("\""),
    LITERAL("\\"),
    LITERAL("\\'; DROP TABLE outbox; --"),
    LITERAL("%"),
    LITERAL("?"),
    LITERAL("?1"),
    LITERAL("keepstep_0"),
    LITERAL("\xC3\xA4 "),
    LITERAL("\xF0\x9F\x98\x80"),
    LITERAL("\t\n\r\b\f\x01\x1A"),
    LITERAL("a\0b"),
    LITERAL("null"),
    LITERAL("$[0]"),
    LITERAL("\\u0000"),
    LITERAL(""),
};
#define ODD_COUNT (sizeof ODD_TEXTS / sizeof *ODD_TEXTS)

static void expect_key(size_t index)
{
    struct slice text = ODD_TEXTS[index];
    const char *hex = "";
    for (size_t i = 0; i < text.length; i++)
        hex = test_format("%s%02X", hex, (unsigned char)text.data[i]);
    assert_string_equal(
        outbox_case_ask(
            test_format("SELECT HEX(aggregateid) FROM outbox WHERE position = %d", (int)index + 1)),
        test_format("%s\n", hex));
}

static void any_text_arrives_as_it_is(void)
{
    struct error err = ERROR_INIT;
    struct outbox_row rows[ODD_COUNT];
    outbox_case_make();
    write_many(ODD_COUNT);
    mariadb_execute(outbox_case_url, ODD_SETTINGS);
    struct outbox *outbox = outbox_case_open("1");
    struct lease lease = outbox_case_lease(outbox);
    for (size_t i = 0; i < ODD_COUNT; i++)
        rows[i] = (struct outbox_row){
            .position = (int64_t)i + 1, .entity_key = ODD_TEXTS[i], .rekeyed = true};
    if (outbox->ops->write_keys(outbox, &lease, rows, ODD_COUNT, &err) != STATUS_OK)
        test_fail("%s", err.text);
    const struct outbox_set set = {.rows = &rows[1], .count = 1, .reason = ODD_TEXTS[3].data};
    bool done = false;
    assert_int_equal(outbox->ops->set_aside(outbox, &lease, &set, &done, &err), STATUS_OK);
    outbox->ops->close(outbox);
    mariadb_execute(outbox_case_url, NORMAL_SETTINGS);
    for (size_t i = 0; i < ODD_COUNT; i++)
        expect_key(i);
    assert_string_equal(outbox_case_ask("SELECT set_aside FROM outbox WHERE position = 2"),
                        test_format("%s\n", ODD_TEXTS[3].data));
}

static void fill_many(struct outbox_row *rows, const char *key)
{
    for (int i = 0; i < MANY_ROWS; i++)
        rows[i] = (struct outbox_row){.position = i + 1,
                                      .id = slice_of("x"),
                                      .entity_type = slice_of("order"),
                                      .entity_key = slice_of(key),
                                      .rekeyed = true,
                                      .topic = "orders",
                                      .partition = 1,
                                      .sequence = (uint64_t)i + 1};
}

/* Two thousand keys of two thousand bytes do not fit into the message of any server. */
static void a_transaction_larger_than_a_message_is_made_in_pieces(void)
{
    struct relay_partition partition = {
        .topic = "orders", .partition = 1, .last_sequence = MANY_ROWS};
    char key[2001];
    memset(key, '"', sizeof key - 1);
    key[sizeof key - 1] = '\0';
    struct outbox_row *rows = calloc(MANY_ROWS, sizeof *rows);
    assert_non_null(rows);
    fill_many(rows, key);
    for (int small = 0; small < 2; small++) {
        struct error err = ERROR_INIT;
        outbox_case_make();
        write_many(MANY_ROWS);
        if (small != 0)
            mariadb_execute(outbox_case_url,
                            test_format("SET GLOBAL max_allowed_packet = %d", PACKET_MIN));
        struct outbox *outbox = outbox_case_open("1");
        struct lease old = outbox_case_lease(outbox);
        struct lease lease = outbox_case_lease(outbox);
        const struct outbox_claim claim = {rows, MANY_ROWS, &partition, 1, NULL};
        assert_int_equal(outbox->ops->claim(outbox, &old, &claim, &err), STATUS_ABORT);
        assert_string_equal(outbox_case_ask(NUMBERED), "0|0|0\n");
        rows[MANY_ROWS - 1].position = 0; /* is not there */
        error_clear(&err);
        assert_int_equal(outbox->ops->claim(outbox, &lease, &claim, &err), STATUS_ABORT);
        assert_string_equal(err.text, "the key of an outbox row was not written");
        assert_string_equal(outbox_case_ask(NUMBERED), "0|0|0\n");
        rows[MANY_ROWS - 1].position = MANY_ROWS;
        error_clear(&err);
        if (outbox->ops->claim(outbox, &lease, &claim, &err) != STATUS_OK)
            test_fail("%s", err.text);
        assert_string_equal(outbox_case_ask(NUMBERED), "2000|1|1\n");
        assert_string_equal(
            outbox_case_ask("SELECT count(*), max(sequence), sum(sequence = position), "
                            "min(length(aggregateid)) FROM outbox"),
            "2000|2000|2000|2000\n");
        outbox->ops->close(outbox);
    }
    mariadb_execute(outbox_case_url, "SET GLOBAL max_allowed_packet = DEFAULT");
    free(rows);
}

/* A migration alters the tables while the relay runs. A server from 11.2 on parses statements anew
 * then; 11.4 crashed where a `?` stood in one of them. */
static void a_transaction_goes_on_after_its_tables_were_altered(void)
{
    static const char *const changes[] = {"ALTER TABLE outbox ADD COLUMN extra INTEGER",
                                          "ALTER TABLE keepstep_relay COMMENT = 'keepstep relay 1'",
                                          "ALTER TABLE outbox DROP COLUMN extra",
                                          "CREATE INDEX extra ON outbox (created_at)",
                                          "ALTER TABLE keepstep_relay_partition FORCE",
                                          "FLUSH TABLES",
                                          "OPTIMIZE TABLE outbox, keepstep_relay",
                                          "ANALYZE TABLE outbox"};
    outbox_case_make();
    struct outbox *outbox = outbox_case_open("1");
    struct lease lease = outbox_case_lease(outbox);
    write_many(300);
    for (int i = 0; i < (int)(sizeof changes / sizeof *changes); i++) {
        for (size_t k = 0; k < sizeof all_fenced / sizeof *all_fenced; k++) {
            struct error err = ERROR_INIT;
            if (all_fenced[k].run(outbox, &lease, i, &err) != STATUS_OK)
                test_fail("%s: %s", all_fenced[k].name, err.text);
        }
        (void)outbox_case_ask(changes[i]);
    }
    assert_string_equal(outbox_case_ask(NUMBERED), "16|2|1\n");
    outbox->ops->close(outbox);
}

CASE_OF(every_fenced_transaction_is_one_message, 2, mariadb)
CASE_OF(a_claim_stopped_in_the_middle_leaves_nothing_and_can_be_made_again, 2, mariadb)
CASE_OF(a_lost_fence_and_a_missed_row_leave_nothing_not_even_a_lock, 2, mariadb)
CASE_OF(a_claim_without_an_answer_is_all_or_nothing, 2, mariadb)
CASE_OF(any_text_arrives_as_it_is, 2, mariadb)
CASE_OF(a_transaction_larger_than_a_message_is_made_in_pieces, 2, mariadb)
CASE_OF(a_transaction_goes_on_after_its_tables_were_altered, 2, mariadb)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_fenced_transaction_is_one_message_mariadb),
        TEST(a_claim_stopped_in_the_middle_leaves_nothing_and_can_be_made_again_mariadb),
        TEST(a_lost_fence_and_a_missed_row_leave_nothing_not_even_a_lock_mariadb),
        TEST(a_claim_without_an_answer_is_all_or_nothing_mariadb),
        TEST(any_text_arrives_as_it_is_mariadb),
        TEST(a_transaction_larger_than_a_message_is_made_in_pieces_mariadb),
        TEST(a_transaction_goes_on_after_its_tables_were_altered_mariadb),
    };
    return TEST_RUN(tests);
}
