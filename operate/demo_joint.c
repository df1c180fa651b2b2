/* `keepstep demo --joint`: orders that change three services' databases, or none of them: one that
 * all can make, one that is refused, and one whose participant is killed behind its vote. */
#include "operate/demo.h"

#include "common/clock.h"
#include "operate/command.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#define JOINT_TEXT_MAX   ((size_t)64 * 1024)
#define JOINT_LOOK_US    INT64_C(20000)
#define JOINT_WAIT_US    (60 * (int64_t)1000000)
#define JOINT_TIMEOUT_MS 60000

enum { SHOP, WAREHOUSE, BILLING };

static const char *const joint_services[DEMO_SERVICES] = {"shop", "warehouse", "billing"};

static const char *const joint_topics[] = {
    "order:1",
    "stock:1",
    "account:1",
    "charge:1",
    "keepstep:1",
    "keepstep-talk:1",
    "keepstep-joint:1",
    "keepstep-rows-order:1",
    "keepstep-rows-stock:1",
    "keepstep-rows-account:1",
    "keepstep-rows-charge:1",
    NULL,
};

/* What the services refuse is said by their own constraints. */
static const char *const joint_ddl[DEMO_SERVICES] = {
    "CREATE TABLE orders(id INTEGER PRIMARY KEY, state TEXT NOT NULL, cents INTEGER NOT NULL);\n",
    ("CREATE TABLE stock(id TEXT NOT NULL PRIMARY KEY, free INTEGER NOT NULL CHECK (free >= 0));\n"
     "INSERT INTO stock VALUES('lamp',10);\n"),
    ("CREATE TABLE accounts(id INTEGER PRIMARY KEY,"
     " credit_cents INTEGER NOT NULL CHECK (credit_cents >= 0));\n"
     "CREATE TABLE charges(id TEXT NOT NULL PRIMARY KEY, account INTEGER NOT NULL,"
     " cents INTEGER NOT NULL);\n"
     "INSERT INTO accounts VALUES(7,10000);\n"),
};

static const char *const joint_entries[DEMO_SERVICES] = {
    "publish:\n  order: {table: orders, partitions: 1, joint: []}\n",
    "publish:\n  stock: {table: stock, partitions: 1, joint: [shop]}\n",
    ("publish:\n  account: {table: accounts, partitions: 1, joint: [shop]}\n"
     "  charge: {table: charges, partitions: 1, joint: [shop]}\n"),
};

static const char *const joint_schemas[][2] = {
    {"schemas/order.schema.json",
     DEMO_SCHEMA(DEMO_INTEGER, "    \"state\": {\"type\": " DEMO_TEXT "},\n"
                               "    \"cents\": {\"type\": " DEMO_INTEGER
                               "}\n") "  \"required\": [\"id\", \"state\", \"cents\"]\n}\n"},
    {"schemas/stock.schema.json",
     DEMO_SCHEMA(DEMO_TEXT, "    \"free\": {\"type\": " DEMO_INTEGER
                            "}\n") "  \"required\": [\"id\", \"free\"]\n}\n"},
    {"schemas/account.schema.json",
     DEMO_SCHEMA(DEMO_INTEGER, "    \"credit_cents\": {\"type\": " DEMO_INTEGER
                               "}\n") "  \"required\": [\"id\", \"credit_cents\"]\n}\n"},
    {"schemas/charge.schema.json",
     DEMO_SCHEMA(DEMO_TEXT, "    \"account\": {\"type\": " DEMO_INTEGER "},\n"
                            "    \"cents\": {\"type\": " DEMO_INTEGER
                            "}\n") "  \"required\": [\"id\", \"account\", \"cents\"]\n}\n"},
};

/** An order; the shop asks for all that it needs in the transaction that writes it. */
struct joint_order {
    int id;
    int lamps;
    int cents;
};

static enum status joint_lay_out(struct demo *demo, struct error *err)
{
    enum status status = demo_make_folder(demo, err);
    for (size_t i = 0; status == STATUS_OK && i < sizeof joint_schemas / sizeof *joint_schemas; i++)
        status = demo_write_file(demo, joint_schemas[i][0], joint_schemas[i][1], err);
    for (int service = 0; status == STATUS_OK && service < DEMO_SERVICES; service++)
        status = demo_sql(demo, service, joint_ddl[service], err);
    return status;
}

static enum status joint_configure(struct demo *demo, struct error *err)
{
    enum status status = demo_write_token(demo, err);
    for (int service = 0; status == STATUS_OK && service < DEMO_SERVICES; service++) {
        char name[64];
        struct buffer text;
        buffer_init(&text, JOINT_TEXT_MAX);
        demo_append_head(demo, service, &text);
        buffer_append_text(&text, joint_entries[service]);
        (void)snprintf(name, sizeof name, "%s.yaml", joint_services[service]);
        status = demo_write_file(demo, name, buffer_text(&text), err);
        buffer_done(&text);
    }
    return status;
}

static enum status joint_start(struct demo *demo, struct error *err)
{
    enum status status = demo_clean(demo, err);
    if (status == STATUS_OK)
        status = joint_lay_out(demo, err);
    if (status == STATUS_OK)
        status = demo_start_broker(demo, joint_topics, err);
    if (status == STATUS_OK)
        status = joint_configure(demo, err);
    return status == STATUS_OK ? demo_start_services(demo, err) : status;
}

static enum status joint_propose(struct demo *demo, const struct joint_order *order,
                                 struct error *err)
{
    struct buffer sql;
    buffer_init(&sql, JOINT_TEXT_MAX);
    buffer_append_format(&sql,
                         "BEGIN IMMEDIATE;\n"
                         "INSERT INTO orders VALUES(%d,'asked',%d);\n"
                         "INSERT INTO keepstep_joint(id, timeout_ms, changes) VALUES('order-%d',%d,"
                         "'[\n",
                         order->id, order->cents, order->id, JOINT_TIMEOUT_MS);
    buffer_append_format(
        &sql,
        " {\"service\":\"shop\",\"type\":\"order\",\"key\":{\"id\":%d},\"op\":\"u\","
        "\"set\":{\"state\":\"confirmed\"},\"if\":{\"state\":\"asked\"}},\n"
        " {\"service\":\"warehouse\",\"type\":\"stock\",\"key\":{\"id\":\"lamp\"},\"op\":\"u\","
        "\"add\":{\"free\":%d}},\n",
        order->id, -order->lamps);
    buffer_append_format(
        &sql,
        " {\"service\":\"billing\",\"type\":\"account\",\"key\":{\"id\":7},\"op\":\"u\","
        "\"add\":{\"credit_cents\":%d}},\n"
        " {\"service\":\"billing\",\"type\":\"charge\",\"key\":{\"id\":\"%d-1\"},\"op\":\"c\","
        "\"set\":{\"account\":7,\"cents\":%d}}]');\nCOMMIT;\n",
        -order->cents, order->id, order->cents);
    enum status status = demo_sql(demo, SHOP, buffer_text(&sql), err);
    buffer_done(&sql);
    return status;
}

/** Wait until a question that a service's database answers by 0 or 1 is answered by 1. */
static enum status joint_wait(const struct demo *demo, int service, const char *sql,
                              struct error *err)
{
    int64_t until = clock_monotonic_us() + JOINT_WAIT_US;
    while (demo_number(demo, service, sql) != 1) {
        if (atomic_load(&command_stop))
            return error_set(err, STATUS_FATAL, "the demo was interrupted");
        if (clock_monotonic_us() > until)
            return error_set(err, STATUS_FATAL, "%s's database does not say so: %s, see %s/%s.log",
                             demo->services[service], sql, demo->directory,
                             demo->services[service]);
        clock_sleep_us(JOINT_LOOK_US);
    }
    return STATUS_OK;
}

static enum status joint_wait_state(const struct demo *demo, int service, int order,
                                    const char *state, struct error *err)
{
    char sql[128];
    (void)snprintf(sql, sizeof sql, "SELECT state='%s' FROM keepstep_joint WHERE id='order-%d'",
                   state, order);
    return joint_wait(demo, service, sql, err);
}

static enum status joint_wait_all(const struct demo *demo, int order, const char *state,
                                  struct error *err)
{
    enum status status = STATUS_OK;
    for (int service = 0; status == STATUS_OK && service < DEMO_SERVICES; service++)
        status = joint_wait_state(demo, service, order, state, err);
    return status;
}

static void joint_say(const char *text)
{
    printf("\n* %s\n", text);
    (void)fflush(stdout);
}

static void joint_show_text(const struct demo *demo, int service, const char *sql)
{
    struct buffer text;
    buffer_init(&text, JOINT_TEXT_MAX);
    demo_text(demo, service, sql, &text);
    printf("%s", buffer_text(&text));
    buffer_done(&text);
}

/* An order's outcome, and the rows of all three as anybody reads them. */
static void joint_show(const struct demo *demo, int order)
{
    char sql[160];
    (void)snprintf(sql, sizeof sql,
                   "SELECT state||CASE reason WHEN '' THEN '' ELSE ': '||reason END"
                   " FROM keepstep_joint WHERE id='order-%d'",
                   order);
    printf("  %-10s ", "outcome");
    joint_show_text(demo, SHOP, sql);
    (void)snprintf(sql, sizeof sql, "SELECT 'order '||id||' is '||state FROM orders WHERE id=%d",
                   order);
    printf("\n  %-10s ", joint_services[SHOP]);
    joint_show_text(demo, SHOP, sql);
    printf("\n  %-10s ", joint_services[WAREHOUSE]);
    joint_show_text(demo, WAREHOUSE, "SELECT free||' lamps are free' FROM stock");
    printf("\n  %-10s ", joint_services[BILLING]);
    joint_show_text(
        demo, BILLING,
        "SELECT printf('account 7 has %d.%02d in credit; charges: %d', credit_cents/100,"
        "credit_cents%100, (SELECT count(*) FROM charges)) FROM accounts");
    printf("\n");
    (void)fflush(stdout);
}

static enum status joint_play_whole(struct demo *demo, struct error *err)
{
    const struct joint_order order = {1, 3, 3000};
    joint_say("Order 1 wants 3 lamps for 30.00. All three can make their part.");
    enum status status = joint_propose(demo, &order, err);
    if (status == STATUS_OK)
        status = joint_wait_all(demo, order.id, "committed", err);
    if (status == STATUS_OK)
        joint_show(demo, order.id);
    return status;
}

static enum status joint_play_refused(struct demo *demo, struct error *err)
{
    const struct joint_order order = {2, 1, 9000};
    joint_say("Order 2 wants a lamp for 90.00. There are lamps, but not so much credit: billing's "
              "CHECK refuses.\n  Nobody makes any part.");
    enum status status = joint_propose(demo, &order, err);
    if (status == STATUS_OK)
        status = joint_wait_all(demo, order.id, "aborted", err);
    if (status == STATUS_OK)
        joint_show(demo, order.id);
    return status;
}

#define JOINT_WRITE "UPDATE accounts SET credit_cents=0 WHERE id=7"

/* Billing's own service tries to write what its sidecar has promised. */
static enum status joint_play_writer(struct demo *demo, struct error *err)
{
    struct buffer text;
    buffer_init(&text, JOINT_TEXT_MAX);
    enum status status = STATUS_OK;
    if (!demo_sql_is_refused(demo, BILLING, JOINT_WRITE, "reserved by a joint transaction", &text))
        status = error_set(err, STATUS_FATAL, "a promised row does not refuse its writer: %s",
                           buffer_text(&text));
    else
        printf("  billing> " JOINT_WRITE ";\n  %s", buffer_text(&text));
    (void)fflush(stdout);
    buffer_done(&text);
    return status;
}

/* The warehouse is away first, so that billing waits for the decision when it is killed. */
static enum status joint_play_killed(struct demo *demo, struct error *err)
{
    const struct joint_order order = {3, 2, 2000};
    demo_stop(&demo->sidecars[WAREHOUSE], SIGTERM);
    joint_say("Order 3 wants 2 lamps for 20.00. The warehouse's sidecar is down, so nothing is "
              "decided yet.\n  Billing votes yes. Then its sidecar is killed with SIGKILL. What it "
              "has promised, its database keeps:");
    enum status status = joint_propose(demo, &order, err);
    if (status == STATUS_OK)
        status = joint_wait(demo, SHOP,
                            "SELECT votes LIKE '%\"billing\",\"vote\":\"yes\"%' FROM "
                            "keepstep_joint WHERE id='order-3'",
                            err);
    if (status != STATUS_OK)
        return status;
    demo_stop(&demo->sidecars[BILLING], SIGKILL);
    status = joint_play_writer(demo, err);
    if (status == STATUS_OK)
        status = demo_start_sidecar(demo, WAREHOUSE, err);
    if (status == STATUS_OK)
        status = joint_wait_state(demo, SHOP, order.id, "committed", err);
    if (status == STATUS_OK)
        status = joint_wait_state(demo, WAREHOUSE, order.id, "committed", err);
    if (status != STATUS_OK)
        return status;
    joint_say("The warehouse's sidecar is back and votes yes, too. That was the last vote: the "
              "order is committed,\n  and billing is still dead.");
    joint_show(demo, order.id);
    status = joint_play_writer(demo, err);
    if (status == STATUS_OK)
        status = demo_start_sidecar(demo, BILLING, err);
    joint_say("Billing's sidecar is started again. It reads the decision, and makes its part.");
    if (status == STATUS_OK)
        status = joint_wait_state(demo, BILLING, order.id, "committed", err);
    if (status == STATUS_OK)
        joint_show(demo, order.id);
    return status;
}

/* What must be there in the end: each service's own rows, and nothing that is promised still. */
static const char *const joint_end[DEMO_SERVICES] = {
    "SELECT (SELECT group_concat(state) FROM (SELECT state FROM orders ORDER BY id))"
    "='confirmed,asked,confirmed' AND NOT EXISTS(SELECT 1 FROM keepstep_reserved)",
    "SELECT free=5 AND NOT EXISTS(SELECT 1 FROM keepstep_reserved) FROM stock",
    "SELECT credit_cents=5000 AND (SELECT sum(cents) FROM charges)=5000"
    " AND NOT EXISTS(SELECT 1 FROM keepstep_reserved) FROM accounts",
};

static int joint_report(const struct demo *demo)
{
    bool all = true;
    for (int service = 0; service < DEMO_SERVICES; service++)
        all = all && demo_number(demo, service, joint_end[service]) == 1;
    printf("\n%s: orders 1 and 3 in all three databases, and nothing of order 2\n",
           all ? "All or nothing" : "NOT ALL OR NOTHING");
    return all ? EX_OK : EX_SOFTWARE;
}

static void joint_say_commands(const struct demo *demo)
{
    if (demo->keep) {
        demo_say_pages(demo);
        printf("\nBroker and sidecars go on until Ctrl-C. In another terminal, from here:\n");
        demo_say_command(demo, "joint list -c", "shop.yaml");
    } else {
        printf("\nBroker and sidecars have ended (--keep lets them go on). Everything is in %s. "
               "Try:\n",
               demo->directory);
    }
    demo_say_command(demo, "joint show order-3 -c", "shop.yaml");
    demo_say_sql(demo, "billing.db", "'SELECT id, state, votes FROM keepstep_joint'");
    if (!demo->keep)
        demo_say_clean(demo);
    (void)fflush(stdout);
}

int demo_joint(struct demo *demo)
{
    struct error err = ERROR_INIT;
    int code = EX_OK;
    demo->services = joint_services;
    printf("Three services, each with its own database: shop has orders, warehouse has stock, "
           "billing has accounts.\nOne INSERT at the shop asks all three for a change. They vote; "
           "the log decides.\n");
    (void)fflush(stdout);
    enum status status = joint_start(demo, &err);
    if (status == STATUS_OK)
        status = joint_play_whole(demo, &err);
    if (status == STATUS_OK)
        status = joint_play_refused(demo, &err);
    if (status == STATUS_OK)
        status = joint_play_killed(demo, &err);
    if (status == STATUS_OK) {
        code = joint_report(demo);
        joint_say_commands(demo);
        while (demo->keep && !atomic_load(&command_stop))
            clock_sleep_us(JOINT_LOOK_US);
    } else {
        code = command_fail(&err);
    }
    demo_end(demo);
    return code;
}
