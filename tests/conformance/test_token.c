/* Tickets and tokens in each database, for a service's login that has the printed role: which rows
 * a ticket covers, what its token names, and when there is none. */
#include "tests/support/roles.h"
#include "tests/support/session.h"
#include "tests/support/source_case.h"

#include "consumer/store/registry.h"
#include "producer/registry.h"

#define ROWS_SIZE ((size_t)1024 * 1024)

struct token_case {
    struct source_case source;
    struct session *service; /* a login that writes the table, and has the role keepstep_reader */
    const char *begun;       /* SQLite: where the outbox ended when the transaction began */
    const char *url;         /* of the service */
    const char *here;        /* "shop/INCARNATION" */
};

static bool is_sqlite(void)
{
    return database_case_kind == DATABASE_SQLITE;
}

/* @return the first column of the first row; NULL without a row, or where it is NULL. */
static const char *ask(const struct token_case *self, const char *sql)
{
    struct buffer rows;
    buffer_init(&rows, ROWS_SIZE);
    session_run(self->service, sql, &rows);
    const char *text = test_format("%s", buffer_text(&rows));
    buffer_done(&rows);
    size_t length = strcspn(text, SESSION_COLUMN_END);
    const char *first = test_format("%.*s", (int)length, text);
    return length == 0 || strcmp(first, "NULL") == 0 ? NULL : first;
}

/* @return a printed statement with its parameter. */
static const char *bound(const char *sql, const char *value)
{
    struct buffer text;
    buffer_init(&text, ROWS_SIZE);
    for (const char *at = sql; *at != '\0'; at++) {
        if (at[0] == '?' && at[1] == '1')
            buffer_append_text(&text, value);
        else
            buffer_append(&text, at, 1);
        at += at[0] == '?' && at[1] == '1';
    }
    const char *copy = test_format("%s", buffer_text(&text));
    buffer_done(&text);
    return copy;
}

static const struct outbox_token_sql *printed(const struct token_case *self)
{
    return outbox_find(self->url)->token_sql;
}

static void begin(struct token_case *self)
{
    session_run(self->service, is_sqlite() ? "BEGIN IMMEDIATE" : "BEGIN", NULL);
    if (is_sqlite())
        self->begun = ask(self, printed(self)[0].text);
}

static void write(const struct token_case *self, const char *sql)
{
    session_run(self->service, sql, NULL);
}

/* @return NULL: nothing was written. */
static const char *ticket(const struct token_case *self)
{
    return ask(self, is_sqlite() ? bound(printed(self)[1].text, self->begun)
                                 : "SELECT keepstep_ticket()");
}

static const char *commit(const struct token_case *self)
{
    const char *made = ticket(self);
    session_run(self->service, "COMMIT", NULL);
    return made;
}

/* @return the ticket of positions. */
static const char *positions(const struct token_case *self, const char *range)
{
    return test_format("%s:%s", self->here, range);
}

/* What the roles need on the applying side. */
static void grant_copy(const char *url)
{
    struct error err = ERROR_INIT;
    const struct copies none = {0};
    struct buffer grants;
    buffer_init(&grants, ROWS_SIZE);
    assert_int_equal(store_find(url)->copy_sql(&none, &grants, &err), STATUS_OK);
    (void)database_text(url, buffer_text(&grants));
    buffer_done(&grants);
}

static void token_case_make(struct token_case *self)
{
    *self = (struct token_case){0};
    source_case_make(&self->source, SOURCE_CASE_SCHEMA, SOURCE_CASE_TABLE);
    self->url = self->source.shop.url;
    if (!is_sqlite()) {
        grant_copy(self->url);
        self->url = roles_login(self->source.shop.url, "token_service", "keepstep_reader");
        (void)source_case_text(
            &self->source, test_format("GRANT SELECT, INSERT, UPDATE, DELETE ON orders TO "
                                       "token_service%s",
                                       database_case_kind == DATABASE_MARIADB ? "@localhost" : ""));
    }
    self->service = session_open(self->url);
    self->here = test_format(
        "%s", source_case_text(&self->source, "SELECT incarnation FROM keepstep_relay"));
    self->here = test_format("shop/%.36s", self->here);
}

static void token_case_done(struct token_case *self)
{
    session_close(self->service);
    source_case_done(&self->source);
}

static void number(const struct token_case *self, int position, int partition, int sequence)
{
    (void)source_case_text(&self->source,
                           test_format("UPDATE outbox SET kafka_partition = %d, sequence = %d "
                                       "WHERE position = %d",
                                       partition, sequence, position));
}

static void add_type(const struct token_case *self, const char *entity_type, const char *topic)
{
    (void)source_case_text(
        &self->source,
        test_format("INSERT INTO keepstep_relay_type VALUES ('%s', '%s')", entity_type, topic));
}

/* @return what the relay's login makes of a ticket, with its token or the reason. */
static enum status try_token(struct token_case *self, const char *text, const char **ret_said)
{
    struct error err = ERROR_INIT;
    struct outbox *outbox = self->source.outbox;
    struct slice token;
    enum status status = outbox->ops->token(outbox, text, &self->source.arena, &token, &err);
    *ret_said = status != STATUS_OK  ? test_format("%s", err.text)
                : token.data == NULL ? NULL
                                     : test_format("%.*s", SLICE_ARGS(token));
    return status;
}

/* The service itself gets the same answer as `keepstep token`. */
static const char *token_of(struct token_case *self, const char *text)
{
    const char *said = NULL;
    const char *own = ask(self, is_sqlite()
                                    ? bound(printed(self)[2].text, test_format("'%s'", text))
                                    : test_format("SELECT keepstep_token('%s')", text));
    if (try_token(self, text, &said) != STATUS_OK)
        test_fail("%s: %s", text, said);
    assert_true((own == NULL) == (said == NULL));
    if (own != NULL)
        assert_string_equal(own, said);
    return said;
}

static void assert_refused(struct token_case *self, const char *text, const char *reason)
{
    const char *said = NULL;
    assert_int_equal(try_token(self, text, &said), STATUS_REJECT);
    if (strstr(said, reason) == NULL)
        test_fail("%s: %s", text, said);
    if (!is_sqlite())
        assert_non_null(
            session_try(self->service, test_format("SELECT keepstep_token('%s')", text), NULL));
}

static void a_token_names_the_last_event_of_each_partition(void)
{
    struct token_case self;
    token_case_make(&self);
    begin(&self);
    assert_null(ticket(&self));
    write(&self, "INSERT INTO orders VALUES (1, 'a')");
    write(&self, "SAVEPOINT mark");
    write(&self, "INSERT INTO orders VALUES (2, 'b')");
    write(&self, is_sqlite() ? "ROLLBACK TO mark" : "ROLLBACK TO SAVEPOINT mark");
    write(&self, "INSERT INTO orders VALUES (3, 'c')");
    write(&self, "UPDATE orders SET name = 'd' WHERE id = 1");
    const char *made = commit(&self);
    assert_string_equal(made, positions(&self, is_sqlite() ? "1-3" : "1-4"));
    assert_null(token_of(&self, made));

    add_type(&self, "order", "orders");
    int last = is_sqlite() ? 3 : 4;
    number(&self, 1, 0, 7);
    number(&self, last - 1, 2, 1);
    assert_null(token_of(&self, made));
    number(&self, last, 0, 9);
    assert_string_equal(token_of(&self, made), test_format("%s/orders:0=9,2=1", self.here));
    token_case_done(&self);
}

static void a_ticket_covers_its_own_transaction_alone(void)
{
    struct token_case self;
    token_case_make(&self);
    begin(&self);
    write(&self, "INSERT INTO orders VALUES (1, 'a')");
    assert_string_equal(commit(&self), positions(&self, "1-1"));
    begin(&self);
    write(&self, "UPDATE orders SET name = 'a' WHERE id = 1"); /* changes nothing */
    assert_null(commit(&self));
    begin(&self);
    write(&self, "DELETE FROM orders WHERE id = 1");
    write(&self, "INSERT INTO orders VALUES (2, 'b'), (3, 'c')");
    assert_string_equal(commit(&self), positions(&self, "2-4"));
    if (!is_sqlite()) { /* which has no sessions' memory of it */
        assert_null(ticket(&self));
        begin(&self);
        write(&self, "INSERT INTO orders VALUES (4, 'd')");
        session_run(self.service, "ROLLBACK", NULL);
        begin(&self);
        write(&self, "INSERT INTO orders VALUES (5, 'e')");
        /* MariaDB cannot tell that a transaction has ended, but what is gone waits for no number.
         */
        assert_string_equal(commit(&self), positions(&self, "6-6"));
    }
    token_case_done(&self);
}

static void a_transaction_with_one_snapshot_has_a_ticket_of_its_own_rows(void)
{
    struct token_case self;
    token_case_make(&self);
    struct session *other = session_open(self.source.shop.url);
    write(&self, database_case_kind == DATABASE_POSTGRESQL
                     ? "BEGIN ISOLATION LEVEL REPEATABLE READ"
                     : "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ");
    if (database_case_kind == DATABASE_MARIADB)
        write(&self, "START TRANSACTION WITH CONSISTENT SNAPSHOT");
    (void)ask(&self, "SELECT count(*) FROM orders");
    session_run(other, "INSERT INTO orders VALUES (10, 'other')", NULL);
    write(&self, "INSERT INTO orders VALUES (1, 'a')");
    session_run(other, "INSERT INTO orders VALUES (11, 'other')", NULL);
    write(&self, "INSERT INTO orders VALUES (2, 'b')");
    assert_string_equal(commit(&self), positions(&self, "2-4"));
    session_close(other);
    token_case_done(&self);
}

static void a_token_names_every_topic_also_one_that_a_type_has_left(void)
{
    struct token_case self;
    token_case_make(&self);
    begin(&self);
    write(&self, "INSERT INTO orders VALUES (1, 'a')");
    write(&self, "INSERT INTO orders VALUES (2, 'b')");
    write(&self, "INSERT INTO orders VALUES (3, 'c')");
    const char *made = commit(&self);
    (void)source_case_text(&self.source,
                           "UPDATE outbox SET aggregatetype = 'payment' WHERE position = 2");
    add_type(&self, "order", "new.orders");
    add_type(&self, "payment", "payments");
    number(&self, 1, 1, 5);
    number(&self, 2, 0, 3);
    number(&self, 3, -1, 6); /* moved: its partition and topic stand elsewhere */
    (void)source_case_text(&self.source,
                           "INSERT INTO keepstep_relay_moved VALUES ('old-orders', 4, 6, 3)");
    assert_string_equal(token_of(&self, made),
                        test_format("%s/new.orders:1=5/old-orders:4=6/payments:0=3", self.here));
    token_case_done(&self);
}

static void an_event_that_is_set_aside_has_no_token_nor_has_what_waits_behind_it(void)
{
    struct token_case self;
    token_case_make(&self);
    begin(&self);
    write(&self, "INSERT INTO orders VALUES (1, 'a')");
    const char *first = commit(&self);
    begin(&self);
    write(&self, "INSERT INTO orders VALUES (2, 'b')");
    const char *second = commit(&self);
    begin(&self);
    write(&self, "UPDATE orders SET name = 'c' WHERE id = 1");
    const char *third = commit(&self);
    add_type(&self, "order", "orders");
    number(&self, 2, 0, 1);
    source_case_set_aside(&self.source, 1);
    assert_refused(&self, first, "position 1 is set aside");
    assert_refused(&self, third, "position 3 is set aside, or waits behind one that is");
    assert_string_equal(token_of(&self, second), test_format("%s/orders:0=1", self.here));
    (void)source_case_text(&self.source, "UPDATE outbox SET set_aside = NULL");
    assert_null(token_of(&self, first));
    number(&self, 1, 0, 2);
    number(&self, 3, 0, 3);
    assert_string_equal(token_of(&self, first), test_format("%s/orders:0=2", self.here));
    assert_string_equal(token_of(&self, third), test_format("%s/orders:0=3", self.here));
    token_case_done(&self);
}

static void rows_that_are_gone_count_as_numbered_as_long_as_one_is_left(void)
{
    struct token_case self;
    token_case_make(&self);
    begin(&self);
    write(&self, "INSERT INTO orders VALUES (1, 'a')");
    write(&self, "INSERT INTO orders VALUES (2, 'b')");
    const char *made = commit(&self);
    add_type(&self, "order", "orders");
    number(&self, 2, 0, 2);
    (void)source_case_text(&self.source, "DELETE FROM outbox WHERE position = 1");
    assert_string_equal(token_of(&self, made), test_format("%s/orders:0=2", self.here));
    (void)source_case_text(&self.source, "DELETE FROM outbox");
    assert_refused(&self, made, "purged");
    token_case_done(&self);
}

/* Whoever does not see the transaction's rows yet cannot tell them from purged ones. */
static void a_token_is_asked_for_behind_the_commit(void)
{
    struct token_case self;
    token_case_make(&self);
    struct session *other = session_open(self.source.shop.url);
    add_type(&self, "order", "orders");
    begin(&self);
    write(&self, "INSERT INTO orders VALUES (1, 'a')");
    if (!is_sqlite()) /* which has one writer */
        session_run(other, "INSERT INTO orders VALUES (10, 'other')", NULL);
    write(&self, "INSERT INTO orders VALUES (2, 'b')");
    const char *made = ticket(&self);
    const char *own = positions(&self, is_sqlite() ? "1-1" : "3-3");
    const char *before = NULL;
    assert_string_equal(made, positions(&self, is_sqlite() ? "1-2" : "1-3"));
    if (!is_sqlite())
        assert_null(ask(&self, test_format("SELECT keepstep_token('%s')", made)));
    assert_int_equal(try_token(&self, own, &before), STATUS_REJECT);
    assert_non_null(strstr(before, "is not committed in what this"));
    if (!is_sqlite()) {
        number(&self, 2, 0, 1);
        assert_int_equal(try_token(&self, made, &before), STATUS_OK);
        assert_string_equal(before, test_format("%s/orders:0=1", self.here));
    }
    session_run(self.service, "COMMIT", NULL);
    assert_null(token_of(&self, made));
    number(&self, 1, 0, 2);
    number(&self, is_sqlite() ? 2 : 3, 1, 1);
    assert_string_equal(token_of(&self, made), test_format("%s/orders:0=2,1=1", self.here));
    session_close(other);
    token_case_done(&self);
}

static void a_ticket_of_another_history_or_service_has_no_token(void)
{
    struct token_case self;
    struct error err = ERROR_INIT;
    token_case_make(&self);
    begin(&self);
    write(&self, "INSERT INTO orders VALUES (1, 'a')");
    const char *made = commit(&self);
    assert_refused(&self, test_format("other%s", strchr(made, '/')), "this database");
    assert_refused(&self, positions(&self, "8-9"), "no row");
    (void)source_case_text(&self.source, "UPDATE keepstep_relay SET incarnation = "
                                         "'0193583c-0000-7000-8000-000000000001'");
    assert_refused(&self, made, "this database");
    (void)err;
    token_case_done(&self);
}

static void what_is_no_ticket_is_refused(void)
{
    static const char *const texts[] = {"", "x", "shop:1-2", "shop/0193:1-2",
                                        "'; DROP TABLE orders"};
    struct token_case self;
    token_case_make(&self);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        const char *said = NULL;
        assert_int_equal(try_token(&self, texts[i], &said), STATUS_REJECT);
    }
    token_case_done(&self);
}

/* keepstep_token() gives it until all events are numbered. */
static void a_token_that_is_null_is_not_applied(void)
{
    struct token_case self;
    token_case_make(&self);
    if (is_sqlite())
        grant_copy(self.url);
    assert_null(ask(&self, is_sqlite() ? bound(store_find(self.url)->applied_sql, "NULL")
                                       : "SELECT keepstep_applied(NULL)"));
    token_case_done(&self);
}

/* `keepstep wait` reads it before it asks: SQLite's SELECT says "malformed JSON". */
static void what_is_no_token_is_refused_with_these_words(void)
{
    static const char *const texts[] = {"",
                                        "x",
                                        "shop/0193:1",
                                        "'; DROP TABLE orders --",
                                        "shop/0193583c-0000-7000-8000-000000000001/orders:0=",
                                        "shop/0193583c-0000-7000-8000-000000000001/orders:0=1,"};
    struct token_case self;
    token_case_make(&self);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        const char *quoted = i == 3 ? "''; DROP TABLE orders --" : texts[i];
        const char *said = session_try(self.service,
                                       test_format("SELECT keepstep_applied('%s')", quoted), NULL);
        if (said == NULL || strstr(said, test_format("keepstep: %s is no token", texts[i])) == NULL)
            test_fail("%s: %s", texts[i], said);
    }
    token_case_done(&self);
}

/* Each of these would be answered if the right was there. */
static void expect_denied(struct session *session, const char *sql)
{
    const char *error = session_try(session, sql, NULL);
    if (error == NULL || strstr(error, "denied") == NULL)
        test_fail("%s: %s", sql, error == NULL ? "it was done" : error);
}

static void nobody_may_ask_without_the_role_and_the_role_may_do_nothing_else(void)
{
    static const char *const forbidden[] = {"SELECT payload FROM outbox",
                                            "INSERT INTO outbox (aggregatetype) VALUES ('order')",
                                            "DELETE FROM outbox",
                                            "SELECT holder FROM keepstep_relay",
                                            "SELECT record_value FROM keepstep_parked",
                                            "UPDATE keepstep_position SET next_offset = 0"};
    struct token_case self;
    token_case_make(&self);
    const char *url = roles_login(self.source.shop.url, "token_stranger", "");
    if (database_case_kind ==
        DATABASE_MARIADB) /* which lets nobody into a database without a right */
        (void)source_case_text(&self.source, "GRANT SELECT (id) ON orders TO "
                                             "token_stranger@localhost");
    struct session *stranger = session_open(url);
    const char *token = test_format("SELECT keepstep_token('%s')", positions(&self, "1-1"));
    const char *applied = test_format("SELECT keepstep_applied('%s/orders:0=1')", self.here);
    expect_denied(stranger, "SELECT keepstep_ticket()");
    expect_denied(stranger, token);
    expect_denied(stranger, applied);
    session_close(stranger);
    for (size_t i = 0; i < sizeof forbidden / sizeof *forbidden; i++)
        expect_denied(self.service, forbidden[i]);
    assert_null(ask(&self, applied));
    token_case_done(&self);
}

static void init_closes_functions_that_were_opened(void)
{
    struct token_case self;
    struct error err = ERROR_INIT;
    token_case_make(&self);
    if (database_case_kind != DATABASE_POSTGRESQL) {
        token_case_done(&self);
        return;
    }
    (void)source_case_text(&self.source,
                           "GRANT EXECUTE ON FUNCTION keepstep_ticket() TO PUBLIC; "
                           "ALTER FUNCTION keepstep_token(text) SET search_path = public");
    assert_int_equal(shop_init(&self.source.shop, false, &err), STATUS_OK);
    assert_string_equal(source_case_text(&self.source, "SELECT has_function_privilege("
                                                       "'token_stranger', 'keepstep_ticket()', "
                                                       "'EXECUTE')"),
                        "f\n");
    assert_string_equal(
        source_case_text(&self.source, "SELECT proconfig FROM pg_proc WHERE proname = "
                                       "'keepstep_token'"),
        "{enable_seqscan=off,jit=off,\"search_path=pg_catalog, public, pg_temp\"}\n");
    token_case_done(&self);
}

static const struct database_case cases[] = {
    DATABASE_CASE(a_token_names_the_last_event_of_each_partition),
    DATABASE_CASE(a_ticket_covers_its_own_transaction_alone),
    DATABASE_CASE_SERVERS(a_transaction_with_one_snapshot_has_a_ticket_of_its_own_rows),
    DATABASE_CASE(a_token_names_every_topic_also_one_that_a_type_has_left),
    DATABASE_CASE(an_event_that_is_set_aside_has_no_token_nor_has_what_waits_behind_it),
    DATABASE_CASE(rows_that_are_gone_count_as_numbered_as_long_as_one_is_left),
    DATABASE_CASE(a_token_is_asked_for_behind_the_commit),
    DATABASE_CASE(a_ticket_of_another_history_or_service_has_no_token),
    DATABASE_CASE(what_is_no_ticket_is_refused),
    DATABASE_CASE(a_token_that_is_null_is_not_applied),
    DATABASE_CASE_SERVERS(what_is_no_token_is_refused_with_these_words),
    DATABASE_CASE_SERVERS(nobody_may_ask_without_the_role_and_the_role_may_do_nothing_else),
    DATABASE_CASE_SERVERS(init_closes_functions_that_were_opened),
};

int main(void)
{
    return database_case_run(cases, sizeof cases / sizeof *cases);
}
