/* Runs the cases of the store's contract: back ends, one open store per case, the matrix of
 * results. */
#include "tests/support/store_case.h"

#include "common/buffer.h"
#include "consumer/store/memory/memory.h"
#include "consumer/store/registry.h"
#include "tests/support/mariadb.h"
#include "tests/support/postgresql.h"
#include "tests/support/sql.h"

#include <stdio.h>
#include <unistd.h>

#define CASES_MAX 256

static struct column columns[] = {
    {.name = (char[]){"id"}, .type = COLUMN_INTEGER, .is_key = true},
    {.name = (char[]){"name"}, .type = COLUMN_TEXT, .nullable = true},
    {.name = (char[]){"price"}, .type = COLUMN_DECIMAL, .nullable = true},
};
static size_t key_columns[] = {0};
static const struct entity_schema schema = {.entity_type = (char[]){"order"},
                                            .columns = columns,
                                            .column_count = 3,
                                            .key_columns = key_columns,
                                            .key_count = 1};
static const struct config_entry entry = {.entity_type = (char[]){"order"},
                                          .table = (char[]){"orders"}};
const struct mapping store_case_mapping = {.schema = &schema, .entry = &entry};

const struct store_back_end *store_case_back_end;
const struct store_ops *store_case_ops;
struct store *store_case_store;
struct partition_state store_case_owned;
struct error store_case_err;
struct arena store_case_arena;
static const char *database;

static const char *runs_everywhere(void)
{
    return NULL;
}

static const char *file_database(void)
{
    return test_path("copy.db");
}

static const char *sqlite_rows(struct store *store, const char *path, const char *table)
{
    (void)store;
    return sqlite_format(path, "SELECT * FROM \"%s\" ORDER BY 1", table);
}

static const char *memory_rows(struct store *store, const char *path, const char *table)
{
    struct buffer rows;
    (void)path;
    buffer_init(&rows, 65536);
    store_memory_rows(store, strcmp(table, "orders") == 0 ? "order" : table, &rows);
    const char *kept = test_format("%s", buffer_text(&rows));
    buffer_done(&rows);
    return kept;
}

/* Make the database while the server's own replication covers all tables. */
static const char *postgresql_new_database(void)
{
    const char *url = postgresql_database("copy");
    postgresql_execute(url, "CREATE PUBLICATION everything FOR ALL TABLES");
    return url;
}

static const char *postgresql_rows(struct store *store, const char *url, const char *table)
{
    (void)store;
    return postgresql_text(url, test_format("SELECT * FROM \"%s\" ORDER BY 1", table));
}

static void postgresql_crash(void)
{
    postgresql_stop();
    postgresql_start();
}

static const char *mariadb_new_database(void)
{
    const char *url = mariadb_database("copy");
    mariadb_execute(url, "SET GLOBAL innodb_force_primary_key = 1");
    return url;
}

static const char *mariadb_rows(struct store *store, const char *url, const char *table)
{
    (void)store;
    return mariadb_text(url, test_format("SELECT * FROM `%s` ORDER BY 1", table));
}

static void postgresql_read_only(const char *url, bool on)
{
    if (on)
        postgresql_stand_by();
    else
        postgresql_promote(url);
}

static void mariadb_read_only(const char *url, bool on)
{
    mariadb_execute(url, on ? "SET GLOBAL read_only = 1" : "SET GLOBAL read_only = 0");
}

static void mariadb_crash(void)
{
    mariadb_stop();
    mariadb_start();
}

static const char postgresql_users[] =
    "DO $$ BEGIN CREATE ROLE keepstep_lag LOGIN; CREATE ROLE keepstep_agent LOGIN; "
    "CREATE ROLE keepstep_reader LOGIN; "
    "EXCEPTION WHEN duplicate_object THEN NULL; END $$";

static const char mariadb_users[] =
    "CREATE ROLE IF NOT EXISTS keepstep_lag; CREATE ROLE IF NOT EXISTS keepstep_agent; "
    "CREATE ROLE IF NOT EXISTS keepstep_reader; "
    "CREATE USER IF NOT EXISTS agent@localhost, lag@localhost; "
    "GRANT keepstep_agent TO agent@localhost; GRANT keepstep_lag TO lag@localhost; "
    "SET DEFAULT ROLE keepstep_agent FOR agent@localhost; "
    "SET DEFAULT ROLE keepstep_lag FOR lag@localhost";

#define OUTBOX_COLUMNS                                                                             \
    "aggregatetype text, aggregateid text, kafka_partition int, sequence bigint, set_aside text)"
#define OUTBOX_GRANTS                                                                              \
    ";GRANT SELECT ON outbox TO keepstep_agent; GRANT SELECT ON keepstep_relay TO keepstep_agent"

static const struct store_back_end back_ends[] = {
    {.url = "memory:",
     .skip_reason = runs_everywhere,
     .database = file_database,
     .rows = memory_rows,
     .schema = ""},
    {.url = "sqlite:",
     .skip_reason = runs_everywhere,
     .database = file_database,
     .rows = sqlite_rows,
     .text = sqlite_text,
     .outbox = "CREATE TABLE keepstep_relay(incarnation text);"
               "CREATE TABLE outbox(position integer PRIMARY KEY AUTOINCREMENT, " OUTBOX_COLUMNS,
     .schema = "",
     .table = "ORDERS",
     .column = "Price",
     .snapshots = "PRAGMA wal_checkpoint(TRUNCATE)",
     .no_snapshots = "0|0|0\n"},
    {.url = "postgresql:",
     .is_server = true,
     .skip_reason = postgresql_skip_reason,
     .database = postgresql_new_database,
     .rows = postgresql_rows,
     .text = postgresql_text,
     .kill_sessions = postgresql_kill_backends,
     .crash = postgresql_crash,
     .cancel = postgresql_cancel_statements,
     .read_only = postgresql_read_only,
     .cancelled = "(57014)",
     .agent = "keepstep_agent",
     .lag = "keepstep_lag",
     .users = postgresql_users,
     .outbox = "CREATE TABLE keepstep_relay(incarnation text PRIMARY KEY);"
               "CREATE TABLE outbox(position bigint GENERATED ALWAYS AS IDENTITY PRIMARY "
               "KEY, " OUTBOX_COLUMNS OUTBOX_GRANTS,
     .schema = "public.",
     .table = "public.orders",
     .column = "price",
     .waiters = "SELECT (count(*) > 0)::int FROM pg_locks WHERE NOT granted",
     .snapshots = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
                  "AND backend_type = 'client backend' AND xact_start IS NOT NULL "
                  "AND pid <> pg_backend_pid()",
     .no_snapshots = "0\n"},
    {.url = "mysql:",
     .is_server = true,
     .skip_reason = mariadb_skip_reason,
     .database = mariadb_new_database,
     .rows = mariadb_rows,
     .text = mariadb_text,
     .kill_sessions = mariadb_kill_backends,
     .crash = mariadb_crash,
     .cancel = mariadb_cancel_statements,
     .read_only = mariadb_read_only,
     .cancelled = "(1317)",
     .agent = "agent",
     .lag = "lag",
     .users = mariadb_users,
     .outbox = "CREATE TABLE keepstep_relay(incarnation varchar(36) PRIMARY KEY);"
               "CREATE TABLE outbox(position bigint AUTO_INCREMENT PRIMARY KEY, "
               "KEY outbox_claimed(kafka_partition, sequence), " OUTBOX_COLUMNS OUTBOX_GRANTS,
     .schema = "",
     .table = "orders",
     .column = "PRICE",
     .waiters = "SELECT count(*) > 0 FROM information_schema.innodb_trx WHERE trx_state = "
                "'LOCK WAIT'",
     .snapshots = "SELECT count(*) FROM information_schema.innodb_trx",
     .no_snapshots = "0\n"},
};
#define BACK_ENDS (sizeof back_ends / sizeof back_ends[0])
_Static_assert(BACK_ENDS <= STORE_BACK_ENDS_MAX, "results of every back end");

void store_case_check(enum status status, int line)
{
    if (status != STATUS_OK)
        test_fail("line %d: %s: %s", line, status_name(status), store_case_err.text);
}

const char *store_case_database(void)
{
    return database;
}

const char *store_case_agent_database(void)
{
    return store_case_back_end->is_server ? store_case_user_database(store_case_back_end->agent)
                                          : database;
}

const char *store_case_user_database(const char *user)
{
    return test_format("%s//%s%s", store_case_back_end->url, user, strchr(database, '@'));
}

/* Run what `init --print-sql` prints for the agent. */
static void run_copy_sql(const struct mapping *mapping, size_t count)
{
    struct copies copies = {.mappings = mapping, .count = count};
    struct buffer sql;
    if (!store_case_back_end->is_server)
        return;
    buffer_init(&sql, 65536);
    assert_ok(store_case_ops->copy_sql(&copies, &sql, &store_case_err));
    (void)store_case_back_end->text(database, buffer_text(&sql));
    buffer_done(&sql);
}

/* Do what `init` does, as an administrator. */
void store_case_install(void)
{
    struct store *administrator = NULL;
    struct store_options options = {.path = database, .service = "billing", .install = true};
    assert_ok(store_case_ops->open(&options, &administrator, &store_case_err));
    store_case_ops->close(administrator);
    if (store_case_back_end->is_server)
        (void)store_case_back_end->text(database, store_case_back_end->users);
    run_copy_sql(NULL, 0);
}

struct store *store_case_open(void)
{
    struct store *another = NULL;
    struct store_options options = {.path = store_case_agent_database(), .service = "billing"};
    assert_ok(store_case_ops->open(&options, &another, &store_case_err));
    return another;
}

void store_case_prepare(const struct mapping *mapping)
{
    run_copy_sql(mapping, 1);
    assert_ok(store_case_ops->prepare(store_case_store, mapping, &store_case_err));
}

struct fence store_case_fence(int64_t new_offset)
{
    return (struct fence){.topic = STORE_CASE_TOPIC,
                          .partition = 0,
                          .old_offset = store_case_owned.next_offset,
                          .new_offset = new_offset,
                          .epoch = store_case_owned.epoch,
                          .revision = store_case_owned.revision,
                          .anchor_offset = -1};
}

void store_case_settle(void)
{
    if (strcmp(store_case_back_end->url, "mysql:") == 0)
        (void)usleep(1200000);
}

void store_case_begin(void)
{
    struct fence fence = store_case_fence(store_case_owned.next_offset);
    assert_ok(store_case_ops->begin(store_case_store, &fence, 1, &store_case_err));
}

void store_case_commit(void)
{
    assert_ok(store_case_ops->commit(store_case_store, false, &store_case_err));
}

void store_case_reload(void)
{
    partition_state_done(&store_case_owned);
    assert_ok(store_case_ops->read(store_case_store, STORE_CASE_TOPIC, 0, &store_case_owned,
                                   &store_case_err));
}

enum status store_case_apply(enum change_op op, int64_t id, const char *name, const char *price)
{
    struct value values[3] = {{.kind = VALUE_INTEGER, .integer = id}};
    struct change change = {
        .op = op, .entity_type = slice_of("order"), .schema = &schema, .values = values};
    const struct change *changes[] = {&change};
    if (name != NULL)
        values[1] = (struct value){.kind = VALUE_TEXT, .text = slice_of(name)};
    if (price != NULL)
        values[2] = (struct value){.kind = VALUE_TEXT, .text = slice_of(price)};
    enum status status = store_case_ops->apply(store_case_store, &store_case_mapping, changes, 1,
                                               &store_case_err);
    return status;
}

const char *store_case_trim(const char *rows)
{
    char *trimmed = (char *)(uintptr_t)test_format("%s", rows);
    char *to = trimmed;
    for (const char *from = rows; *from != '\0';) {
        size_t length = strcspn(from, "|\n");
        size_t kept = length;
        bool number = strspn(from, "-0123456789.") == length && memchr(from, '.', length) != NULL;
        while (number && from[kept - 1] == '0')
            kept--;
        kept -= number && from[kept - 1] == '.';
        memcpy(to, from, kept);
        to += kept;
        from += length;
        if (*from != '\0')
            *to++ = *from++;
    }
    *to = '\0';
    return trimmed;
}

void store_case_assert_rows(const char *expected)
{
    const char *rows = store_case_back_end->rows(store_case_store, database, "orders");
    if (strcmp(store_case_back_end->url, "mysql:") == 0)
        assert_string_equal(store_case_trim(rows), store_case_trim(expected));
    else
        assert_string_equal(rows, expected);
}

void store_case_assert_fence_lost(struct fence fence, int native_code)
{
    error_clear(&store_case_err);
    assert_int_equal(store_case_ops->begin(store_case_store, &fence, 1, &store_case_err),
                     STATUS_ABORT);
    assert_int_equal(store_case_err.native_code, native_code);
    store_case_ops->rollback(store_case_store);
    error_clear(&store_case_err);
}

/* What cmocka gives to a test: a case and its back end. */
struct case_run {
    struct test_case base; /* first: test_begin() takes it */
    struct store_case *run;
    size_t back_end;
};

static void open_case(size_t index)
{
    store_case_back_end = &back_ends[index];
    store_case_ops = store_find(back_ends[index].url);
    if (store_case_ops == NULL)
        test_fail("no back end for %s", back_ends[index].url);
    database = store_case_back_end->database();
    error_clear(&store_case_err);
    arena_init(&store_case_arena, (size_t)1024 * 1024);
    store_case_install();
    store_case_store = store_case_open();
    store_case_prepare(&store_case_mapping);
    store_case_owned = (struct partition_state){.topic = STORE_CASE_TOPIC,
                                                .next_offset = 5,
                                                .token = "t1",
                                                .cluster_id = "cluster",
                                                .partition_count = 6};
    assert_ok(store_case_ops->take(store_case_store, &store_case_owned, &store_case_err));
}

static void run_case(void **state)
{
    struct case_run *running = *state;
    enum store_case_result *result = &running->run->results[running->back_end];
    const char *reason = back_ends[running->back_end].skip_reason();
    *result = STORE_CASE_FAILED; /* a failed test does not return here */
    if (reason != NULL)
        test_skip("%s", reason);
    open_case(running->back_end);
    running->run->function();
    *result = STORE_CASE_OK;
}

static int end_case(void **state)
{
    const struct case_run *ended = *state;
    if (test_was_skipped())
        ended->run->results[ended->back_end] = STORE_CASE_SKIPPED;
    if (store_case_store != NULL && !test_left_threads()) {
        store_case_ops->close(store_case_store);
        partition_state_done(&store_case_owned);
        arena_done(&store_case_arena);
    }
    store_case_store = NULL;
    return test_end(state);
}

/* @return how many results say "FAILED". */
static int print_matrix(const struct store_case *cases, size_t count)
{
    static const char *const words[] = {[STORE_CASE_NOT_RUN] = "-",
                                        [STORE_CASE_FAILED] = "FAILED",
                                        [STORE_CASE_SKIPPED] = "skipped",
                                        [STORE_CASE_OK] = "ok"};
    int failed = 0;
    (void)printf("%-76s", "# case");
    for (size_t j = 0; j < BACK_ENDS; j++)
        (void)printf(" %-11s", back_ends[j].url);
    (void)printf("\n");
    for (size_t i = 0; i < count; i++) {
        (void)printf("# %-74s", cases[i].name);
        for (size_t j = 0; j < BACK_ENDS; j++) {
            (void)printf(" %-11s", words[cases[i].results[j]]);
            failed += cases[i].results[j] == STORE_CASE_FAILED;
        }
        (void)printf("\n");
    }
    return failed;
}

int store_case_run(struct store_case *cases, size_t count)
{
    static struct case_run runs[CASES_MAX];
    static struct CMUnitTest tests[CASES_MAX];
    size_t used = 0;
    for (size_t j = 0; j < BACK_ENDS; j++) {
        for (size_t i = 0; i < count; i++) {
            if ((cases[i].servers_only && !back_ends[j].is_server) ||
                (cases[i].sql_only && back_ends[j].text == NULL))
                continue;
            if (used == CASES_MAX)
                abort();
            const char *name = test_format("%s%s", back_ends[j].url, cases[i].name);
            runs[used] = (struct case_run){
                .base = {name, 4 * TEST_LIMIT_SECONDS, run_case}, .run = &cases[i], .back_end = j};
            tests[used] = (struct CMUnitTest){name, test_body, test_begin, end_case, &runs[used]};
            used++;
        }
    }
    int code = test_run(tests, used);
    if (print_matrix(cases, count) > 0 && code == EXIT_SUCCESS) {
        (void)fprintf(stderr, "the matrix says FAILED of a case that has not failed\n");
        code = EXIT_FAILURE;
    }
    return code;
}
