/* The demo's three services: tables, schemas, configurations, and what they write all day. */
#include "operate/demo.h"

#include "common/buffer.h"
#include "operate/http.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define DEMO_PORT     9464
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

#define DEMO_SCHEMA(key_type, properties)                                                          \
    "{\n  \"$schema\": \"http://json-schema.org/draft-07/schema#\",\n  \"type\": \"object\",\n"    \
    "  \"x-keepstep-key\": [\"id\"],\n  \"properties\": {\n"                                       \
    "    \"id\": {\"type\": " key_type "},\n" properties "  },\n"
#define DEMO_INTEGER "\"integer\", \"x-keepstep-type\": \"integer\""
#define DEMO_TEXT    "\"string\", \"x-keepstep-type\": \"text\""
#define DEMO_DECIMAL "\"string\", \"x-keepstep-type\": \"decimal\""

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

static enum status demo_write_file(const struct demo *demo, const char *name, const char *text,
                                   struct error *err)
{
    char path[DEMO_PATH_SIZE + 64];
    (void)snprintf(path, sizeof path, "%s/%s", demo->directory, name);
    FILE *file = fopen(path, "w");
    bool written = file != NULL && fputs(text, file) >= 0;
    if (file != NULL && fclose(file) != 0)
        written = false;
    if (!written)
        return error_set(err, STATUS_FATAL, "could not write \"%s\": %s", path, strerror(errno));
    return STATUS_OK;
}

/* The program sqlite3 runs the SQL, so that what writes is no code of ours. */
static enum status demo_sql(const struct demo *demo, int service, const char *sql,
                            struct error *err)
{
    char command[3 * DEMO_PATH_SIZE];
    (void)snprintf(command, sizeof command,
                   "exec sqlite3 -bail -cmd '.timeout 5000' '%s/%s.db' 2>>'%s/sqlite3.log'",
                   demo->directory, demo_services[service], demo->directory);
    FILE *program = popen(command, "w");
    if (program == NULL)
        return error_set(err, STATUS_FATAL, "could not start sqlite3: %s", strerror(errno));
    bool written = fputs(sql, program) >= 0;
    int result = pclose(program);
    if (!written || result != 0)
        return error_set(err, STATUS_FATAL,
                         "sqlite3 failed for service %s (exit %d), see %s/sqlite3.log",
                         demo_services[service], WEXITSTATUS(result), demo->directory);
    return STATUS_OK;
}

enum status demo_lay_out(struct demo *demo, struct error *err)
{
    char path[DEMO_PATH_SIZE + 64];
    char name[64];
    (void)snprintf(path, sizeof path, "%s/schemas", demo->directory);
    if (mkdir(demo->directory, 0755) != 0 || mkdir(path, 0755) != 0)
        return error_set(err, STATUS_FATAL, "could not make \"%s\": %s", path, strerror(errno));
    enum status status = demo_write_file(demo, "keepstep-demo", "made by keepstep demo\n", err);
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

/* Only its owner can read it. */
static enum status demo_write_token(const struct demo *demo, struct error *err)
{
    unsigned char random[16];
    char text[2 * sizeof random + 2];
    char path[DEMO_PATH_SIZE + 64];
    if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random)
        return error_set(err, STATUS_FATAL, "could not make a token: %s", strerror(errno));
    for (size_t i = 0; i < sizeof random; i++)
        (void)snprintf(text + 2 * i, 3, "%02x", random[i]);
    (void)snprintf(text + 2 * sizeof random, 2, "\n");
    (void)snprintf(path, sizeof path, "%s/" DEMO_TOKEN_FILE, demo->directory);
    int file = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    bool written = file >= 0 && write(file, text, strlen(text)) == (ssize_t)strlen(text);
    if (file >= 0 && close(file) != 0)
        written = false;
    return written
               ? STATUS_OK
               : error_set(err, STATUS_FATAL, "could not write \"%s\": %s", path, strerror(errno));
}

/* Each page has a port of its own, from the usual one on. */
static void demo_append_page(struct demo *demo, int service, struct buffer *text)
{
    unsigned first = service == 0 ? DEMO_PORT : demo->ports[service - 1] + 1;
    demo->ports[service] = demo->keep ? http_free_port(first) : 0;
    if (demo->ports[service] == 0)
        buffer_append_text(text, "listen: \"\"\n");
    else
        buffer_append_format(text,
                             "listen: 127.0.0.1:%u\nlisten_token_file: " DEMO_TOKEN_FILE "\n"
                             "verify: {every_s: %d}\n",
                             demo->ports[service], DEMO_VERIFY_S);
}

static void demo_append_configuration(struct demo *demo, int service, struct buffer *text)
{
    buffer_append_format(text, "service: %s\ndatabase: sqlite:%s.db\n", demo_services[service],
                         demo_services[service]);
    demo_append_page(demo, service, text);
    buffer_append_format(text,
                         "kafka: {bootstrap.servers: \"%s\"%s}\npublish:\n"
                         "  %s: {table: %s, partitions: 3}\n"
                         "  note: {table: notes, partitions: 3}\napply:\n",
                         demo->bootstrap,
                         demo->own_broker ? ", session.timeout.ms: 4000, "
                                            "heartbeat.interval.ms: 500"
                                          : "",
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
