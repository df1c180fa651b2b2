/* Opens a source, and reads what its snapshot is. */
#include "producer/source/sql.h"

#include "common/clock.h"

#include <stdlib.h>

#define APPLICATION    "keepstep copies"
#define POSITIONS_SOME 16
#define TOPIC_SIZE     256 /* Kafka takes 249 bytes */

enum status source_sql_judge(const struct source_sql *self, enum status status, struct error *err)
{
    if (status == STATUS_OK || err == NULL)
        return status;
    if (self->session->ops->lacks_table(err)) {
        error_mark_config(err);
        error_prefix(err, "the database has no outbox of Keepstep's; run `keepstep init`");
    } else if (self->database->lacks_right(err)) {
        error_prefix(err, "the role may not read the relay's tables: give it keepstep_relay or "
                          "keepstep_run");
    }
    return status;
}

enum status source_sql_open(struct source_sql *self, const struct config *config,
                            struct source **ret_source, struct error *err)
{
    struct sql_session *session = self->session;
    self->config = config;
    session->options.url = config->database_path;
    session->options.application = APPLICATION;
    session->options.read_only = true;
    session->options.text_count = SOURCE_STATEMENT_COUNT;
    session->options.lost_count = &self->lost;
    enum status status = session->ops->ready(session, err);
    if (status == STATUS_OK)
        *ret_source = &self->base;
    else
        source_sql_close(&self->base);
    return status;
}

void source_sql_close(struct source *source)
{
    struct source_sql *self = source_sql_of(source);
    if (self == NULL)
        return;
    self->session->ops->finish(self->session);
    self->session->ops->close(self->session);
    free(self);
}

enum status source_sql_check(const struct source_sql *self, struct error *err)
{
    if (!self->in_snapshot)
        return error_set(err, STATUS_RETRY, "no snapshot is open");
    if (self->lost != self->snapshot_lost)
        return error_set(err, STATUS_RETRY, "the connection to the database was lost");
    if (clock_monotonic_us() > self->until_us)
        return error_set(err, STATUS_RETRY, "the snapshot lasts longer than limits.scan_time_s");
    return STATUS_OK;
}

enum status source_sql_settle(struct source_sql *self, enum status status)
{
    struct error ended = ERROR_INIT;
    if (status == STATUS_OK || !self->in_snapshot)
        return status;
    self->session->ops->finish(self->session);
    (void)self->session->ops->end(self->session, STATUS_RETRY, &ended); /* rolls back */
    self->in_snapshot = false;
    return status;
}

enum status source_sql_keep(struct source *source, struct error *err)
{
    struct source_sql *self = source_sql_of(source);
    enum status status = source_sql_check(self, err);
    if (status == STATUS_OK && self->database->keep != NULL)
        status = self->database->keep(self, err);
    return source_sql_settle(self, status);
}

enum status source_sql_snapshot(struct source *source, bool begin, struct error *err)
{
    struct source_sql *self = source_sql_of(source);
    (void)source_sql_settle(self, STATUS_RETRY);
    if (!begin)
        return STATUS_OK;
    enum status status = self->session->ops->ready(self->session, err);
    if (status == STATUS_OK)
        status = self->database->begin(self, err);
    self->snapshot_lost = self->lost;
    self->until_us = clock_monotonic_us() + self->config->limits.scan_time_s * 1000 * 1000;
    self->in_snapshot = true; /* what failed may have begun it */
    return source_sql_settle(self, status);
}

/* Where nothing is acknowledged, as after `init --new-incarnation`, the log up to where the relay
 * has read it is of earlier incarnations of this publisher, which is the only one. */
static struct source_position stamp_position(const struct sql_session *session)
{
    struct source_position position = {
        .partition = (int32_t)sql_column_integer(session, 1),
        .acknowledged_sequence = (uint64_t)sql_column_integer(session, 4)};
    position.next_offset = position.acknowledged_sequence == 0 ? sql_column_integer(session, 7)
                                                               : sql_column_integer(session, 5) + 1;
    sql_column_copy(session, 6, position.acknowledged_id, sizeof position.acknowledged_id);
    return position;
}

static bool stamp_is_full(size_t count)
{
    return count == 0 || (count >= POSITIONS_SOME && (count & (count - 1)) == 0);
}

/* Appends the present row, if it is of the topic. @return OK; RETRY (the arena is full). */
static enum status stamp_add(const struct sql_session *session, const char *topic,
                             struct arena *arena, struct source_stamp *stamp, struct error *err)
{
    char name[TOPIC_SIZE];
    sql_column_copy(session, 0, name, sizeof name);
    if (strcmp(name, topic) != 0)
        return STATUS_OK;
    if (stamp_is_full(stamp->count)) {
        size_t larger = stamp->count == 0 ? POSITIONS_SOME : 2 * stamp->count;
        struct source_position *more = arena_alloc(arena, larger * sizeof *more);
        if (more == NULL)
            return error_set(err, STATUS_RETRY, "no memory");
        if (stamp->count > 0)
            memcpy(more, stamp->positions, stamp->count * sizeof *more);
        stamp->positions = more;
    }
    stamp->positions[stamp->count++] = stamp_position(session);
    return STATUS_OK;
}

static enum status stamp_positions(struct sql_session *session, const char *topic,
                                   struct arena *arena, struct source_stamp *stamp,
                                   struct error *err)
{
    enum status status = sql_first(session, STATEMENT_LOAD_PARTITIONS, NULL, 0, err);
    while (status == STATUS_OK && session->has_row) {
        status = stamp_add(session, topic, arena, stamp, err);
        if (status == STATUS_OK)
            status = session->ops->next(session, err);
    }
    session->ops->finish(session);
    return status;
}

/* Somebody may have emptied them after the snapshot began. */
static enum status stamp_has_tables(struct source_sql *self, struct error *err)
{
    static const char *const tables[] = {"outbox", "keepstep_relay_partition",
                                         "keepstep_relay_read", "keepstep_relay_wait",
                                         "keepstep_existing"};
    enum status status = STATUS_OK;
    for (size_t i = 0;
         self->database->has != NULL && status == STATUS_OK && i < sizeof tables / sizeof *tables;
         i++)
        status = self->database->has(self, tables[i], err);
    return status;
}

/* A new incarnation that waits for one topic publishes nothing of any. */
static enum status stamp_waits(struct sql_session *session, bool *ret_waits, struct error *err)
{
    const struct sql_parameter no_topics = sql_string("[]");
    bool can_tell = false;
    enum status status = sql_has_tables(session, STATEMENT_HAS_WAIT_TABLES, &can_tell, err);
    if (status != STATUS_OK || !can_tell)
        return status;
    status = sql_first(session, STATEMENT_HELD_BACK, &no_topics, 1, err);
    *ret_waits = session->has_row;
    session->ops->finish(session);
    return status;
}

static enum status stamp_type(struct sql_session *session, const char *entity_type,
                              struct source_stamp *stamp, struct error *err)
{
    const struct sql_parameter type = sql_string(entity_type);
    enum status status = sql_first(session, STATEMENT_READ_PROGRESS, &type, 1, err);
    if (session->has_row) {
        stamp->existing_begun = sql_column_integer(session, 0) > 0;
        stamp->existing_done = sql_column_bool(session, 1);
    }
    session->ops->finish(session);
    if (status == STATUS_OK)
        status = sql_first(session, STATEMENT_SOURCE_SET_ASIDE, &type, 1, err);
    if (session->has_row)
        stamp->set_aside = sql_column_integer(session, 0);
    session->ops->finish(session);
    if (status == STATUS_OK)
        status = sql_first(session, STATEMENT_SOURCE_LAST_ROW, NULL, 0, err);
    if (session->has_row)
        stamp->last_row = sql_column_integer(session, 0);
    session->ops->finish(session);
    return status;
}

enum status source_sql_stamp(struct source *source, const struct source_type *type,
                             struct arena *arena, struct source_stamp *ret_stamp, struct error *err)
{
    struct source_sql *self = source_sql_of(source);
    struct sql_session *session = self->session;
    *ret_stamp = (struct source_stamp){0};
    enum status status = source_sql_check(self, err);
    if (status != STATUS_OK)
        return source_sql_settle(self, status);
    status = sql_first(session, STATEMENT_READ_LEASE, NULL, 0, err);
    if (session->has_row)
        sql_column_copy(session, 1, ret_stamp->incarnation, sizeof ret_stamp->incarnation);
    session->ops->finish(session);
    if (status == STATUS_OK)
        status = stamp_positions(session, type->entry->topic, arena, ret_stamp, err);
    if (status == STATUS_OK)
        status = stamp_waits(session, &ret_stamp->waits, err);
    if (status == STATUS_OK)
        status = stamp_type(session, type->schema->entity_type, ret_stamp, err);
    if (status == STATUS_OK)
        status = stamp_has_tables(self, err);
    return source_sql_settle(self, source_sql_judge(self, status, err));
}
