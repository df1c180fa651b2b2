/* What only the SQLite store does: tables, catalogue, error codes, trigger flag, pending changes,
 * locks. */
#include "consumer/store/registry.h"
#include "consumer/store/store.h"
#include "consumer/store/sqlite/internal.h"
#include "tests/support/sql.h"
#include "tests/support/test.h"

static struct column columns[] = {
    {.name = (char[]){"id"}, .type = COLUMN_INTEGER, .is_key = true},
    {.name = (char[]){"price"}, .type = COLUMN_DECIMAL, .nullable = true},
    {.name = (char[]){"note"}, .type = COLUMN_TEXT, .nullable = true},
};
static size_t key_columns[] = {0};
static struct entity_schema schema = {.entity_type = (char[]){"order"},
                                      .columns = columns,
                                      .column_count = 3,
                                      .key_columns = key_columns,
                                      .key_count = 1};
static struct config_entry entry = {.entity_type = (char[]){"order"}, .table = (char[]){"orders"}};
static struct mapping mapping = {.schema = &schema, .entry = &entry};
static const struct store_ops *const ops = &store_sqlite_ops;
static struct error err;

static const char *path(void)
{
    return test_path("copy.db");
}

static void a_database_in_utf16_is_refused_by_name(void **state)
{
    static const char *const encodings[] = {"UTF-16le", "UTF-16be"};
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        const char *file = test_path("%s.db", encodings[i]);
        struct store_options options = {.path = file, .service = "billing", .install = true};
        struct store *store = NULL;
        error_clear(&err);
        (void)sqlite_format(file, "PRAGMA encoding = '%s'; CREATE TABLE orders (id TEXT)",
                            encodings[i]);
        assert_int_equal(ops->open(&options, &store, &err), STATUS_FATAL);
        assert_int_equal(err.exit_code, 78);
        assert_non_null(strstr(err.text, encodings[i]));
        assert_string_equal(sqlite_text(file, "SELECT name FROM sqlite_schema"), "orders\n");
    }
}

static struct store *open_store(void)
{
    struct store *store = NULL;
    struct store_options options = {.path = path(), .service = "billing", .install = true};
    error_clear(&err);
    if (ops->open(&options, &store, &err) != STATUS_OK)
        test_fail("%s", err.text);
    return store;
}

#define assert_ok(call) check_ok(call, __LINE__)
static void check_ok(enum status status, int line)
{
    if (status != STATUS_OK)
        test_fail("line %d: %s: %s", line, status_name(status), err.text);
}

static enum status apply_one(struct store *store, int64_t id, const char *price, struct slice note)
{
    struct value values[3] = {{.kind = VALUE_INTEGER, .integer = id},
                              {.kind = VALUE_TEXT, .text = slice_of(price)},
                              {.kind = VALUE_TEXT, .text = note}};
    struct change change = {.op = CHANGE_UPDATE, .schema = &schema, .values = values};
    const struct change *changes[] = {&change};
    return ops->apply(store, &mapping, changes, 1, &err);
}

static void assert_refused(const char *sql, const char *reason)
{
    struct store *store = open_store();
    sqlite_text(path(), "DROP TABLE IF EXISTS orders");
    sqlite_text(path(), sql);
    assert_int_equal(ops->prepare(store, &mapping, &err), STATUS_FATAL);
    if (strstr(err.text, reason) == NULL)
        test_fail("\"%s\" is not in \"%s\"", reason, err.text);
    ops->close(store);
}

static void assert_accepted(const char *sql)
{
    struct store *store = open_store();
    sqlite_text(path(), "DROP TABLE IF EXISTS orders");
    sqlite_text(path(), sql);
    assert_ok(ops->prepare(store, &mapping, &err));
    ops->close(store);
}

static void each_result_code_has_one_verdict(void **state)
{
    (void)state;
    static const struct {
        int code;
        enum status status;
        enum reject_kind reject;
    } cases[] = {{SQLITE_BUSY, STATUS_RETRY, REJECT_HELD},
                 {SQLITE_BUSY_SNAPSHOT, STATUS_RETRY, REJECT_HELD},
                 {SQLITE_LOCKED, STATUS_RETRY, REJECT_HELD},
                 {SQLITE_IOERR_FSYNC, STATUS_RETRY, REJECT_HELD},
                 {SQLITE_FULL, STATUS_RETRY, REJECT_HELD},
                 {SQLITE_READONLY_DBMOVED, STATUS_RETRY, REJECT_HELD},
                 {SQLITE_CANTOPEN, STATUS_RETRY, REJECT_HELD},
                 {SQLITE_PERM, STATUS_RETRY, REJECT_HELD},
                 {SQLITE_NOMEM, STATUS_RETRY, REJECT_HELD},
                 {SQLITE_PROTOCOL, STATUS_RETRY, REJECT_HELD},
                 {SQLITE_CONSTRAINT_UNIQUE, STATUS_REJECT, REJECT_WAITING},
                 {SQLITE_CONSTRAINT_PRIMARYKEY, STATUS_REJECT, REJECT_WAITING},
                 {SQLITE_CONSTRAINT_FOREIGNKEY, STATUS_REJECT, REJECT_WAITING},
                 {SQLITE_CONSTRAINT_NOTNULL, STATUS_REJECT, REJECT_HELD},
                 {SQLITE_CONSTRAINT_CHECK, STATUS_REJECT, REJECT_HELD},
                 {SQLITE_CONSTRAINT_DATATYPE, STATUS_REJECT, REJECT_HELD},
                 {SQLITE_CONSTRAINT_TRIGGER, STATUS_REJECT, REJECT_HELD},
                 {SQLITE_MISMATCH, STATUS_REJECT, REJECT_HELD},
                 {SQLITE_TOOBIG, STATUS_REJECT, REJECT_HELD},
                 {SQLITE_CORRUPT, STATUS_FATAL, REJECT_HELD},
                 {SQLITE_NOTADB, STATUS_FATAL, REJECT_HELD},
                 {SQLITE_ERROR, STATUS_FATAL, REJECT_HELD},
                 {SQLITE_MISUSE, STATUS_FATAL, REJECT_HELD},
                 {SQLITE_CONSTRAINT, STATUS_REJECT, REJECT_HELD},
                 {SQLITE_CONSTRAINT_VTAB, STATUS_REJECT, REJECT_HELD},
                 {SQLITE_CONSTRAINT_FUNCTION, STATUS_REJECT, REJECT_HELD},
                 {SQLITE_CONSTRAINT_COMMITHOOK, STATUS_REJECT, REJECT_HELD},
                 {SQLITE_CONSTRAINT_PINNED, STATUS_REJECT, REJECT_HELD},
                 {SQLITE_CONSTRAINT_ROWID, STATUS_REJECT, REJECT_WAITING},
                 {SQLITE_INTERRUPT, STATUS_RETRY, REJECT_HELD},
                 {SQLITE_SCHEMA, STATUS_RETRY, REJECT_HELD},
                 {SQLITE_NOLFS, STATUS_RETRY, REJECT_HELD},
                 {SQLITE_INTERNAL, STATUS_FATAL, REJECT_HELD},
                 {SQLITE_ABORT, STATUS_FATAL, REJECT_HELD},
                 {SQLITE_ABORT_ROLLBACK, STATUS_FATAL, REJECT_HELD},
                 {SQLITE_NOTFOUND, STATUS_FATAL, REJECT_HELD},
                 {SQLITE_EMPTY, STATUS_FATAL, REJECT_HELD},
                 {SQLITE_AUTH, STATUS_FATAL, REJECT_HELD},
                 {SQLITE_FORMAT, STATUS_FATAL, REJECT_HELD},
                 {SQLITE_RANGE, STATUS_FATAL, REJECT_HELD}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct verdict verdict = sqlite_session_verdict(cases[i].code);
        if (verdict.status != cases[i].status || verdict.reject != cases[i].reject)
            test_fail("%s (%d)", sqlite3_errstr(cases[i].code), cases[i].code);
    }
}

static void a_database_that_is_absent_or_empty_names_init(void **state)
{
    (void)state;
    struct store *store = NULL;
    struct store_options options = {.path = path(), .service = "billing"};
    error_clear(&err);
    assert_int_equal(ops->open(&options, &store, &err), STATUS_FATAL);
    assert_non_null(strstr(err.text, "keepstep init"));
    sqlite_text(path(), "CREATE TABLE t(a)");
    error_clear(&err);
    assert_int_equal(ops->open(&options, &store, &err), STATUS_FATAL);
    assert_non_null(strstr(err.text, "keepstep init"));
}

static void a_table_gets_the_columns_that_it_lacks(void **state)
{
    (void)state;
    struct store *store = open_store();
    schema.column_count = 2;
    assert_ok(ops->prepare(store, &mapping, &err));
    schema.column_count = 3;
    assert_ok(ops->prepare(store, &mapping, &err));
    assert_ok(ops->begin(store, NULL, 0, &err));
    assert_ok(apply_one(store, 1, "12.50", (struct slice){"a\0b", 3}));
    assert_ok(ops->commit(store, false, &err));
    assert_string_equal(
        sqlite_text(path(), "SELECT id, typeof(price), price, hex(note) FROM orders"),
        "1|text|12.50|610062\n");
    ops->close(store);
}

static void a_table_that_would_not_keep_values_exactly_is_refused(void **state)
{
    (void)state;
    assert_refused("CREATE TABLE orders(id INTEGER PRIMARY KEY, price DECIMAL(10,2), note TEXT)",
                   "declare it TEXT");
    assert_refused("CREATE TABLE orders(id INTEGER PRIMARY KEY, price TEXT, note INT)", "note");
    assert_refused("CREATE TABLE orders(id INTEGER, price TEXT, note TEXT)", "unique index");
    assert_refused("CREATE TABLE orders(id INTEGER, price TEXT, note TEXT, PRIMARY KEY(id, note))",
                   "unique index");
    assert_refused("CREATE TABLE orders(id INTEGER, price TEXT, note TEXT);"
                   "CREATE UNIQUE INDEX i ON orders(id) WHERE id > 5",
                   "unique index");
    assert_refused("CREATE TABLE orders(price TEXT, note TEXT)", "for the key");
    assert_refused("CREATE TABLE orders(id INTEGER PRIMARY KEY, price TEXT, note TEXT, o NOT NULL)",
                   "must not be NULL");
    assert_refused("CREATE TABLE orders(id INTEGER PRIMARY KEY, price TEXT, note AS (1))",
                   "generated");
    sqlite_text(path(), "DROP TABLE orders");
    assert_refused("CREATE VIEW orders AS SELECT 1", "view");
}

static void a_text_key_that_folds_case_is_refused(void **state)
{
    (void)state;
    columns[0].type = COLUMN_TEXT;
    assert_refused("CREATE TABLE orders(id TEXT COLLATE NOCASE PRIMARY KEY, price TEXT, note TEXT)",
                   "NOCASE");
    assert_accepted("CREATE TABLE orders(id TEXT PRIMARY KEY, price TEXT, note TEXT)");
    columns[0].type = COLUMN_INTEGER;
}

static void tables_that_keep_values_exactly_are_accepted(void **state)
{
    (void)state;
    assert_accepted("CREATE TABLE orders(id INTEGER PRIMARY KEY, price TEXT, note VARCHAR(9))");
    assert_accepted("CREATE TABLE orders(row INTEGER PRIMARY KEY, \"ID\" BIGINT UNIQUE, price, "
                    "note CLOB)");
    assert_accepted("CREATE TABLE orders(id INT PRIMARY KEY, price TEXT, note ANY) "
                    "STRICT, WITHOUT ROWID");
}

static void violations_are_parked_as_waiting_or_held(void **state)
{
    (void)state;
    struct store *store = open_store();
    sqlite_text(path(), "CREATE TABLE orders(id INTEGER PRIMARY KEY, price TEXT UNIQUE,"
                        " note TEXT CHECK (note <> 'bad'))");
    assert_ok(ops->prepare(store, &mapping, &err));
    assert_ok(ops->begin(store, NULL, 0, &err));
    assert_ok(apply_one(store, 1, "1", slice_of("")));
    assert_int_equal(apply_one(store, 2, "1", slice_of("")), STATUS_REJECT);
    assert_int_equal(err.reject, REJECT_WAITING);
    error_clear(&err);
    assert_int_equal(apply_one(store, 2, "2", slice_of("bad")), STATUS_REJECT);
    assert_int_equal(err.reject, REJECT_HELD);
    error_clear(&err);
    assert_ok(ops->commit(store, false, &err));
    assert_int_equal(sqlite_number(path(), "SELECT count(*) FROM orders"), 1);
    ops->close(store);
}

static void a_deferred_foreign_key_is_judged_at_once(void **state)
{
    (void)state;
    struct store *store = open_store();
    sqlite_text(path(), "CREATE TABLE parent(p TEXT PRIMARY KEY);"
                        "CREATE TABLE orders(id INTEGER PRIMARY KEY, price TEXT, note TEXT"
                        " REFERENCES parent DEFERRABLE INITIALLY DEFERRED)");
    assert_ok(ops->prepare(store, &mapping, &err));
    assert_ok(ops->begin(store, NULL, 0, &err));
    assert_int_equal(apply_one(store, 1, "1", slice_of("nobody")), STATUS_REJECT);
    assert_int_equal(err.reject, REJECT_WAITING);
    error_clear(&err);
    assert_ok(ops->commit(store, false, &err));
    assert_int_equal(sqlite_number(path(), "SELECT count(*) FROM orders"), 0);
    ops->close(store);
}

static void triggers_are_silent_for_direct_writes_only(void **state)
{
    (void)state;
    struct store *store = open_store();
    sqlite_text(path(), "CREATE TABLE captured(id);"
                        "CREATE TABLE orders(id INTEGER PRIMARY KEY, price TEXT, note TEXT NOT NULL"
                        " CHECK (note <> 'bad'));"
                        "CREATE TRIGGER t AFTER INSERT ON orders WHEN NOT EXISTS"
                        " (SELECT 1 FROM keepstep_applying WHERE table_name = 'orders')"
                        " BEGIN INSERT INTO captured VALUES (NEW.id); END");
    mapping.published_here = true;
    assert_ok(ops->prepare(store, &mapping, &err));
    assert_ok(ops->begin(store, NULL, 0, &err));
    assert_ok(apply_one(store, 1, "1", slice_of("a")));
    assert_int_equal(apply_one(store, 2, "1", slice_of("bad")), STATUS_REJECT);
    error_clear(&err);
    assert_ok(ops->savepoint(store, true, &err));
    assert_ok(apply_one(store, 3, "1", slice_of("a")));
    assert_ok(ops->commit(store, false, &err));
    mapping.published_here = false;
    sqlite_text(path(), "INSERT INTO orders VALUES (9, '', '')");
    assert_string_equal(sqlite_text(path(), "SELECT * FROM captured"), "9\n");
    assert_int_equal(sqlite_number(path(), "SELECT count(*) FROM keepstep_applying"), 0);
    ops->close(store);
}

static void a_full_disk_and_a_locked_database_are_tried_again(void **state)
{
    (void)state;
    struct store *store = open_store();
    sqlite3 *database = store_sqlite_of(store)->database;
    assert_ok(ops->prepare(store, &mapping, &err));
    char *large = calloc(1, 1000001);
    memset(large, 'x', 1000000);
    assert_int_equal(sqlite3_exec(database, "PRAGMA max_page_count = 1", NULL, NULL, NULL), 0);
    assert_ok(ops->begin(store, NULL, 0, &err));
    assert_int_equal(apply_one(store, 1, "1", slice_of(large)), STATUS_RETRY);
    ops->rollback(store);
    error_clear(&err);
    assert_int_equal(sqlite3_exec(database, "PRAGMA max_page_count = 9999", NULL, NULL, NULL), 0);
    assert_ok(ops->begin(store, NULL, 0, &err));
    assert_ok(apply_one(store, 1, "1", slice_of(large)));
    assert_ok(ops->commit(store, false, &err));
    free(large);

    sqlite3 *other = NULL;
    (void)sqlite3_busy_timeout(database, 10);
    assert_int_equal(sqlite3_open(path(), &other), SQLITE_OK);
    assert_int_equal(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(ops->begin(store, NULL, 0, &err), STATUS_RETRY);
    assert_int_equal(err.native_code, SQLITE_BUSY);
    (void)sqlite3_close(other);
    ops->close(store);
}

static void a_new_copy_has_another_id_and_the_same_position(void **state)
{
    (void)state;
    struct store *store = open_store();
    struct store_meta before;
    struct store_meta after;
    struct partition_state taken = {.topic = "t", .next_offset = 7, .anchor_offset = -1};
    struct partition_state read = {0};
    assert_ok(ops->meta(store, &before, &err));
    assert_ok(ops->take(store, &taken, &err));
    ops->close(store);
    struct store_options options = {
        .path = path(), .service = "billing", .install = true, .new_copy = true};
    assert_ok(ops->open(&options, &store, &err));
    assert_ok(ops->meta(store, &after, &err));
    assert_string_not_equal(before.copy_id, after.copy_id);
    assert_ok(ops->read(store, "t", 0, &read, &err));
    assert_int_equal(read.next_offset, 7);
    assert_string_equal(read.token, taken.token);
    partition_state_done(&read);
    partition_state_done(&taken);
    ops->close(store);
}

static int syncs;
static sqlite3_io_methods counted_methods;
static int (*uncounted_sync)(sqlite3_file *file, int flags);
static int (*uncounted_open)(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags,
                             int *ret_flags);

static int counted_sync(sqlite3_file *file, int flags)
{
    syncs++;
    return uncounted_sync(file, flags);
}

/* All files of the default VFS share one sync(). */
static int counted_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags,
                        int *ret_flags)
{
    int code = uncounted_open(vfs, name, file, flags, ret_flags);
    if (code == SQLITE_OK && (flags & SQLITE_OPEN_WAL) != 0) {
        counted_methods = *file->pMethods;
        uncounted_sync = counted_methods.xSync;
        counted_methods.xSync = counted_sync;
        file->pMethods = &counted_methods;
    }
    return code;
}

/* @return how often the commit of one row waited until the WAL was on the disk. */
static int syncs_of_commit(struct store *store, int64_t id, bool durable)
{
    syncs = 0;
    assert_ok(ops->begin(store, NULL, 0, &err));
    assert_ok(apply_one(store, id, "1", slice_of("a")));
    assert_ok(ops->commit(store, durable, &err));
    return syncs;
}

static void assert_not_moved(struct store *store, const char *words)
{
    assert_int_equal(store_prepare(store, &mapping, true, &err), STATUS_FATAL);
    assert_non_null(strstr(err.text, words));
    error_clear(&err);
}

static void
a_place_with_dots_in_its_names_is_found_and_one_too_long_is_never_taken_as_moved(void **state)
{
    struct text_pair renamed = {.name = (char[]){"note"}, .value = (char[]){"no.te"}};
    struct config_entry before = entry;
    struct partition_state read = {.topic = "read", .next_offset = 5};
    const char *name = test_format("%0*d", STORE_NAME_SIZE, 0);
    struct store *store = open_store();
    (void)state;
    assert_ok(ops->take(store, &read, &err));
    partition_state_done(&read);
    entry.topic = (char[]){"unread"};
    entry.columns = &renamed;
    entry.column_count = 1;
    assert_ok(store_prepare(store, &mapping, false, &err));
    sqlite_text(path(), "ALTER TABLE orders ADD COLUMN note TEXT");
    entry.topic = (char[]){"read"};
    entry.column_count = 0;
    assert_not_moved(store, "was kept in orders.no.te and would be in orders.note");
    sqlite_text(path(), "ALTER TABLE orders DROP COLUMN \"no.te\"");
    assert_ok(store_prepare(store, &mapping, true, &err));

    entry.topic = (char[]){"unread"};
    entry.table = (char *)(uintptr_t)name;
    assert_ok(store_prepare(store, &mapping, false, &err));
    entry.topic = (char[]){"read"};
    assert_ok(store_prepare(store, &mapping, false, &err));
    sqlite_text(path(), test_format("DROP TABLE \"%s\"", name));
    entry.table = before.table;
    assert_not_moved(store, "would be in orders.id");
    ops->close(store);
    entry = before;
}

static void only_a_durable_commit_waits_for_the_disk(void **state)
{
    (void)state;
    sqlite3_vfs *vfs = sqlite3_vfs_find(NULL);
    uncounted_open = vfs->xOpen;
    vfs->xOpen = counted_open;
    struct store *store = open_store();
    vfs->xOpen = uncounted_open;
    assert_ok(ops->prepare(store, &mapping, &err));
    assert_int_equal(syncs_of_commit(store, 1, false), 0);
    assert_true(syncs_of_commit(store, 2, true) > 0);
    assert_int_equal(syncs_of_commit(store, 3, false), 0);
    assert_true(syncs_of_commit(store, 4, true) > 0);
    ops->rollback(store);
    assert_int_equal(syncs_of_commit(store, 5, false), 0);
    ops->close(store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_database_in_utf16_is_refused_by_name),
        TEST(each_result_code_has_one_verdict),
        TEST(a_database_that_is_absent_or_empty_names_init),
        TEST(a_table_gets_the_columns_that_it_lacks),
        TEST(a_table_that_would_not_keep_values_exactly_is_refused),
        TEST(a_text_key_that_folds_case_is_refused),
        TEST(tables_that_keep_values_exactly_are_accepted),
        TEST(violations_are_parked_as_waiting_or_held),
        TEST(a_deferred_foreign_key_is_judged_at_once),
        TEST(triggers_are_silent_for_direct_writes_only),
        TEST(a_full_disk_and_a_locked_database_are_tried_again),
        TEST(a_new_copy_has_another_id_and_the_same_position),
        TEST(a_place_with_dots_in_its_names_is_found_and_one_too_long_is_never_taken_as_moved),
        TEST(only_a_durable_commit_waits_for_the_disk),
    };
    return TEST_RUN(tests);
}
