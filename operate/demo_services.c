/* The demo's three services: tables, schemas, configurations, and what they write all day. */
#include "operate/demo.h"

#include <inttypes.h>
#include <stdio.h>

#define DEMO_VERIFY_S 30

const char *const demo_services[DEMO_SERVICES] = {"shop", "billing", "shipping"};
const char *const demo_types[DEMO_TYPES] = {"order", "invoice", "shipment", "note"};
const char *const demo_tables[DEMO_TYPES] = {"orders", "invoices", "shipments", "notes"};

const char demo_try_insert[] =
    "\"INSERT INTO orders(customer,total,status) VALUES('you','9.90','new')\"";

static const char *const demo_ddl[DEMO_TYPES] = {
    "CREATE TABLE orders(id INTEGER PRIMARY KEY, customer TEXT NOT NULL, total TEXT NOT NULL,"
    " status TEXT NOT NULL);\n",
    "CREATE TABLE invoices(id INTEGER PRIMARY KEY, customer TEXT NOT NULL, amount TEXT NOT NULL,"
    " paid INTEGER NOT NULL);\n",
    "CREATE TABLE shipments(id INTEGER PRIMARY KEY, carrier TEXT NOT NULL, weight REAL,"
    " status TEXT NOT NULL);\n",
    "CREATE TABLE notes(id TEXT NOT NULL PRIMARY KEY, author TEXT NOT NULL, body TEXT);\n",
};

static const char *const demo_schemas[DEMO_TYPES] = {
    DEMO_SCHEMA(DEMO_INTEGER,
                "    \"customer\": {\"type\": " DEMO_TEXT "},\n"
                "    \"total\": {\"type\": " DEMO_DECIMAL "},\n"
                "    \"status\": {\"type\": " DEMO_TEXT
                "}\n") "  \"required\": [\"id\", \"customer\", \"total\", \"status\"]\n}\n",
    DEMO_SCHEMA(DEMO_INTEGER,
                "    \"customer\": {\"type\": " DEMO_TEXT "},\n"
                "    \"amount\": {\"type\": " DEMO_DECIMAL "},\n"
                "    \"paid\": {\"type\": \"boolean\", "
                "\"x-keepstep-type\": \"boolean\"}\n") "  \"required\": [\"id\", \"customer\", "
                                                       "\"amount\", \"paid\"]\n}\n",
    DEMO_SCHEMA(DEMO_INTEGER, "    \"carrier\": {\"type\": " DEMO_TEXT "},\n"
                              "    \"weight\": {\"type\": [\"number\", \"null\"], "
                              "\"x-keepstep-type\": \"double\"},\n"
                              "    \"status\": {\"type\": " DEMO_TEXT
                              "}\n") "  \"required\": [\"id\", \"carrier\", \"status\"]\n}\n",
    DEMO_SCHEMA(DEMO_TEXT,
                "    \"author\": {\"type\": " DEMO_TEXT "},\n"
                "    \"body\": {\"type\": [\"string\", \"null\"], "
                "\"x-keepstep-type\": \"text\"}\n") "  \"required\": [\"id\", \"author\"]\n}\n",
};

enum status demo_lay_out(struct demo *demo, struct error *err)
{
    char name[64];
    enum status status = demo_make_folder(demo, err);
    for (int type = 0; status == STATUS_OK && type < DEMO_TYPES; type++) {
        (void)snprintf(name, sizeof name, "schemas/%s.schema.json", demo_types[type]);
        status = demo_write_file(demo, name, demo_schemas[type], err);
    }
    for (int service = 0; status == STATUS_OK && service < DEMO_SERVICES; service++) {
        char sql[1024];
        (void)snprintf(sql, sizeof sql, "%s%s", demo_ddl[service], demo_ddl[DEMO_TYPES - 1]);
        status = demo_sql(demo, service, sql, err);
    }
    return status;
}

static void demo_append_configuration(struct demo *demo, int service, struct buffer *text)
{
    demo_append_head(demo, service, text);
    if (demo->ports[service] != 0)
        buffer_append_format(text, "verify: {every_s: %d}\n", DEMO_VERIFY_S);
    buffer_append_format(text,
                         "publish:\n"
                         "  %s: {table: %s, partitions: 3}\n"
                         "  note: {table: notes, partitions: 3}\napply:\n",
                         demo_types[service], demo_tables[service]);
    for (int type = 0; type < DEMO_TYPES; type++) {
        if (type != service)
            buffer_append_format(text, "  %s: {table: %s, partitions: 3}\n", demo_types[type],
                                 demo_tables[type]);
    }
}

enum status demo_write_configurations(struct demo *demo, struct error *err)
{
    enum status status = demo_write_token(demo, err);
    for (int service = 0; status == STATUS_OK && service < DEMO_SERVICES; service++) {
        char name[64];
        struct buffer text;
        buffer_init(&text, 4096);
        demo_append_configuration(demo, service, &text);
        (void)snprintf(name, sizeof name, "%s.yaml", demo_services[service]);
        status = demo_write_file(demo, name, buffer_text(&text), err);
        buffer_done(&text);
    }
    return status;
}

static uint32_t demo_random(struct demo *demo, uint32_t below)
{
    demo->random = demo->random * 1664525u + 1013904223u;
    return (demo->random >> 8) % below;
}

/* An insert and an update of the service's own table, now and then a delete. */
static void demo_write_own(struct demo *demo, int service, int64_t round, struct buffer *sql)
{
    uint32_t other = 1 + demo_random(demo, (uint32_t)round);
    uint32_t cents = demo_random(demo, 100000);
    switch (service) {
    case 0:
        buffer_append_format(sql,
                             "INSERT INTO orders(customer,total,status) VALUES"
                             "('customer %u','%u.%02u','new');\n"
                             "UPDATE orders SET status='paid' WHERE id=%u;\n",
                             demo_random(demo, 40), cents / 100, cents % 100, other);
        break;
    case 1:
        buffer_append_format(sql,
                             "INSERT INTO invoices(customer,amount,paid) VALUES"
                             "('customer %u','%u.%02u',0);\n"
                             "UPDATE invoices SET paid=1 WHERE id=%u;\n",
                             demo_random(demo, 40), cents / 100, cents % 100, other);
        break;
    default:
        buffer_append_format(sql,
                             "INSERT INTO shipments(carrier,weight,status) VALUES"
                             "('carrier %u',%u/7.0,'packed');\n"
                             "UPDATE shipments SET status='sent' WHERE id=%u;\n",
                             demo_random(demo, 5), cents, other);
        break;
    }
    if (demo_random(demo, 5) == 0)
        buffer_append_format(sql, "DELETE FROM %s WHERE id=%u;\n", demo_tables[service], other);
}

enum status demo_write(struct demo *demo, int service, int64_t round, struct error *err)
{
    struct buffer sql;
    buffer_init(&sql, 8192);
    buffer_append_text(&sql, "BEGIN IMMEDIATE;\n");
    demo_write_own(demo, service, round, &sql);
    buffer_append_format(&sql,
                         "INSERT INTO notes(id,author,body) VALUES('note %u','%s','round %" PRId64
                         "') ON CONFLICT(id) DO UPDATE SET author=excluded.author,"
                         "body=excluded.body;\nCOMMIT;\n",
                         demo_random(demo, 8), demo_services[service], round);
    enum status status = demo_sql(demo, service, buffer_text(&sql), err);
    buffer_done(&sql);
    return status;
}
