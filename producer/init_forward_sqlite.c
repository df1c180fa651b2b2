/* Reads the log from its beginning and lets it win over an outbox from a backup (rule 13). */
#include "producer/init_forward_sqlite.h"
#include "common/clock.h"
#include "producer/kafka_log_reader.h"
#include "producer/kafka_producer.h"
#include "producer/sqlite_session.h"
#include "producer_sqlite_sql.h"

#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#define LEASE_WAIT_MAX_US (INT64_C(15) * 1000 * 1000)
#define LEASE_SLACK_US    (50 * 1000)

struct forward {
    sqlite3 *db;
    const struct config *config;
    sqlite3_stmt *note;
};

static enum status forward_refuse(struct error *err)
{
    if (err != NULL)
        err->exit_code = EX_CONFIG;
    return STATUS_FATAL;
}

static bool forward_applies(const struct config *config, const struct config_entry *entry)
{
    const struct config_entry *applied = config_find(
        config->apply, config->apply_count, entry->entity_type, strlen(entry->entity_type));
    return applied != NULL && strcmp(applied->topic, entry->topic) == 0;
}

/* A type that only goes out has nothing that brings its rows up to the log. */
static enum status forward_check_types(const struct config *config,
                                       const struct init_options *options, struct error *err)
{
    for (size_t i = 0; i < config->publish_count; i++) {
        const struct config_entry *entry = &config->publish[i];
        if (forward_applies(config, entry))
            continue;
        if (!options->existing_rows) {
            (void)error_set(err, STATUS_FATAL,
                            "%s is published but not applied here, so after a restore its rows may "
                            "be older than the log: add it under apply: and the log's rows come "
                            "back first, or publish all present rows over the log with "
                            "--new-incarnation --existing-rows",
                            entry->entity_type);
            return forward_refuse(err);
        }
        (void)fprintf(options->out,
                      "note     %s: the rows here are published over the log%s; entities that only "
                      "the log knows stay at the copies, delete them there\n",
                      entry->entity_type,
                      entry->table == NULL ? " by you: no table: is set for it" : "");
    }
    return STATUS_OK;
}

static enum status forward_read_lease(sqlite3 *db, int64_t *ret_until_us, struct error *err)
{
    sqlite3_stmt *statement = NULL;
    enum status status = sqlite_session_prepare(db, SQL_READ_HOLDER, &statement, err);
    if (status != STATUS_OK)
        return status;
    *ret_until_us = 0;
    int code = sqlite3_step(statement);
    if (code == SQLITE_ROW && sqlite_session_text(statement, 0).length > 0)
        *ret_until_us = sqlite3_column_int64(statement, 1);
    if (code != SQLITE_ROW && code != SQLITE_DONE)
        status = sqlite_session_error(db, "lease", err);
    (void)sqlite3_finalize(statement);
    return status;
}

/* A relay that was stopped leaves its lease to run out; one that runs renews it. */
static enum status forward_await_lease(sqlite3 *db, FILE *out, struct error *err)
{
    int64_t until = 0;
    int64_t later = 0;
    enum status status = forward_read_lease(db, &until, err);
    int64_t left = until - clock_wall_us();
    if (status != STATUS_OK || left <= 0)
        return status;
    (void)fprintf(out, "waiting  for the relay's lease to run out\n");
    (void)fflush(out);
    if (left <= LEASE_WAIT_MAX_US) {
        clock_sleep_us(left + LEASE_SLACK_US);
        status = forward_read_lease(db, &later, err);
    }
    if (status != STATUS_OK || later == until)
        return status;
    (void)error_set(err, STATUS_FATAL,
                    "a relay holds the lease of this outbox: stop it, then run this again");
    return forward_refuse(err);
}

static enum status forward_visit(void *context, struct log_range *range,
                                 const struct record *record, struct error *err)
{
    struct forward *forward = context;
    struct slice id = {0};
    bool own = false;
    (void)range;
    for (size_t i = 0; i < record->header_count; i++) {
        const struct header *header = &record->headers[i];
        if (slice_is(header->name, "ce_source"))
            own = slice_is(header->value, forward->config->service);
        else if (slice_is(header->name, "ce_id"))
            id = header->value;
    }
    if (!own || id.length == 0)
        return STATUS_OK;
    sqlite_session_bind(forward->note, 1, id);
    return sqlite_session_run(forward->db, forward->note, NULL, err);
}

/* The relay waits only where the service's own agent reads the topic. */
static enum status forward_note_ends(sqlite3 *db, const struct config *config,
                                     const struct log_range *ranges, size_t count,
                                     struct error *err)
{
    sqlite3_stmt *statement = NULL;
    enum status status = sqlite_session_prepare(db, SQL_NOTE_LOG_END, &statement, err);
    for (size_t i = 0; status == STATUS_OK && i < count; i++) {
        bool applied = false;
        for (size_t e = 0; e < config->publish_count; e++)
            applied = applied || (strcmp(config->publish[e].topic, ranges[i].topic) == 0 &&
                                  forward_applies(config, &config->publish[e]));
        if (!applied || ranges[i].end <= 0)
            continue;
        sqlite_session_bind(statement, 1, slice_of(ranges[i].topic));
        (void)sqlite3_bind_int(statement, 2, ranges[i].partition);
        (void)sqlite3_bind_int64(statement, 3, ranges[i].end);
        status = sqlite_session_run(db, statement, NULL, err);
    }
    (void)sqlite3_finalize(statement);
    return status;
}

static bool forward_seen(const struct config *config, size_t index)
{
    for (size_t i = 0; i < index; i++) {
        if (strcmp(config->publish[i].topic, config->publish[index].topic) == 0)
            return true;
    }
    return false;
}

static void forward_ignore_delivery(void *record, enum delivery delivery, int64_t offset,
                                    const char *text)
{
    (void)record;
    (void)delivery;
    (void)offset;
    (void)text;
}

/* The topics are there as configured, so that each partition can be read. */
static enum status forward_topics(const struct config *config, struct error *err)
{
    struct kafka_producer *producer = NULL;
    int64_t size_max = 0;
    enum status status = kafka_producer_new(config, forward_ignore_delivery, &producer, err);
    for (size_t i = 0; status == STATUS_OK && i < config->publish_count; i++)
        status = kafka_producer_topic(producer, &config->publish[i], &size_max, err);
    kafka_producer_free(producer);
    return status;
}

static enum status forward_read_log(struct forward *forward, struct error *err)
{
    const struct config *config = forward->config;
    atomic_bool stop = false;
    size_t count = 0;
    for (size_t i = 0; i < config->publish_count; i++)
        count += (size_t)config->publish[i].partitions;
    struct log_range *ranges = calloc(count + 1, sizeof *ranges);
    if (ranges == NULL)
        return error_set(err, STATUS_RETRY, "no memory");
    count = 0;
    for (size_t i = 0; i < config->publish_count; i++) {
        for (int32_t p = 0; !forward_seen(config, i) && p < config->publish[i].partitions; p++)
            ranges[count++] = (struct log_range){
                .topic = config->publish[i].topic, .partition = p, .from = -1};
    }
    enum status status = kafka_log_read(config, ranges, count, forward_visit, forward, &stop, err);
    if (status == STATUS_OK)
        status = forward_note_ends(forward->db, config, ranges, count, err);
    free(ranges);
    return status;
}

static enum status forward_is_initialised(sqlite3 *db, bool *ret_is, struct error *err)
{
    sqlite3_stmt *statement = NULL;
    enum status status = sqlite_session_prepare(db, SQL_HAS_RELAY, &statement, err);
    if (status == STATUS_OK)
        *ret_is = sqlite3_step(statement) == SQLITE_ROW;
    (void)sqlite3_finalize(statement);
    return status;
}

enum status init_forward_read(sqlite3 *db, const struct config *config,
                              const struct init_options *options, struct error *err)
{
    struct forward forward = {.db = db, .config = config};
    bool initialised = false;
    enum status status = sqlite_session_execute(db, SQL_CREATE_IN_LOG, err);
    if (status == STATUS_OK)
        status = sqlite_session_execute(db, SQL_CREATE_LOG_END, err);
    if (status == STATUS_OK)
        status = forward_is_initialised(db, &initialised, err);
    if (status != STATUS_OK || !initialised)
        return status;
    status = forward_check_types(config, options, err);
    if (status == STATUS_OK)
        status = forward_await_lease(db, options->out, err);
    if (status == STATUS_OK && config->publish_count > 0)
        status = forward_topics(config, err);
    if (status == STATUS_OK)
        status = sqlite_session_prepare(db, SQL_NOTE_IN_LOG, &forward.note, err);
    if (status == STATUS_OK && config->publish_count > 0)
        status = forward_read_log(&forward, err);
    (void)sqlite3_finalize(forward.note);
    return status;
}

enum status init_forward_write(sqlite3 *db, FILE *out, struct error *err)
{
    sqlite3_stmt *statement = NULL;
    int dropped = 0;
    enum status status = sqlite_session_prepare(db, SQL_FORWARD_DROP, &statement, err);
    if (status == STATUS_OK)
        status = sqlite_session_run(db, statement, &dropped, err);
    (void)sqlite3_finalize(statement);
    if (status == STATUS_OK)
        status = sqlite_session_execute(db, SQL_FORWARD_FORGET, err);
    if (status == STATUS_OK)
        status = sqlite_session_execute(db, SQL_FORWARD_WAIT, err);
    if (status == STATUS_OK)
        (void)fprintf(out, "dropped  %d outbox rows that the log already has\n", dropped);
    return status;
}
