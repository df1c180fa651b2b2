/* Reading the outbox's rows, waiting for more, and what people ask of it. */
#include "common/clock.h"
#include "common/wakeup.h"
#include "schemas/event_id.h"
#include "schemas/joint_record.h"
#include "producer/outbox/sql.h"

#include <inttypes.h>

#define PAUSE_MIN_US  1000
#define PAUSE_MAX_US  (50 * 1000)
#define PAUSE_DIVISOR 8
#define ROWS_FIRST    64
#define GROUP_ROWS    2000
#define ROWS_MANY     4096 /* from here on there is room for all that are asked for */

/* Behind the columns that every statement has. */
#define COLUMN_BYTES    15 /* where the payload is left out */
#define COLUMN_COMPLETE 16 /* of LOAD_WAITING and LOAD_SETS */
#define COLUMN_TOPIC    16 /* of FIND_ROW */
#define COLUMN_LAST     17 /* of LOAD_SETS */
#define COLUMN_BLOCKED  18
#define COLUMN_PAUSED   19
#define COLUMN_EARLIER  20

/** A statement that reads rows of the outbox. */
struct outbox_query {
    enum outbox_statement statement;
    const struct sql_parameter *parameters;
    size_t count;
    size_t bytes_max; /* reading ends once the payloads reach it; 0: never */
    size_t rows_max;  /* no more rows come; 0: any number */
    bool waiting;     /* it has outbox_rows' `complete` */
    bool sets;        /* it tells sets */
};

/* Where the row was given no id. A row that cannot have one, because its time or its position is
 * none, stays without, and so is never numbered. @return false where the arena is full. */
static bool outbox_row_derive_id(const char *origin, struct arena *arena, struct outbox_row *row)
{
    char *id = NULL;
    if (row->id.data != NULL)
        return true;
    row->id_is_derived = true;
    if (row->position < 1 || row->position > EVENT_ID_POSITION_MAX ||
        !clock_parse_rfc3339(row->created_at.data, row->created_at.length, &row->created_us))
        return true;
    id = arena_alloc(arena, EVENT_ID_SIZE);
    if (id == NULL)
        return false;
    event_id_derive(slice_of(origin), row->position, row->created_us, id);
    row->id = (struct slice){id, EVENT_ID_SIZE - 1};
    return true;
}

/* @return whether the identity's last word says that several transactions may have it. */
static bool outbox_identity_is_shared(struct slice identity)
{
    size_t length = identity.length;
    return length > 0 && identity.data[length - 1] == OUTBOX_SHARED[0] &&
           (length == 1 || identity.data[length - 2] == ' ');
}

/* @return false where the arena is full. */
static bool outbox_sql_fetch_row(const struct outbox_sql *self, struct arena *arena,
                                 struct outbox_row *ret_row)
{
    const struct sql_session *session = self->session;
    struct outbox_row row = {.position = sql_column_integer(session, 0),
                             .partition = (int32_t)sql_column_integer(session, 9),
                             .sequence = (uint64_t)sql_column_integer(session, 10),
                             .changeset_end = (uint64_t)sql_column_integer(session, 13)};
    struct {
        size_t column;
        struct slice *text;
    } texts[] = {{1, &row.id},          {2, &row.entity_type},   {3, &row.entity_key},
                 {4, &row.type},        {5, &row.payload},       {6, &row.created_at},
                 {7, &row.traceparent}, {8, &row.partition_key}, {11, &row.set_aside},
                 {12, &row.changeset},  {14, &row.joint}};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        if (!sql_column_text(session, texts[i].column, arena, texts[i].text))
            return false;
    }
    row.shared = outbox_identity_is_shared(row.changeset);
    if (row.payload.data == NULL)
        row.left_out_bytes = sql_column_integer(session, COLUMN_BYTES);
    if (!outbox_row_derive_id(self->origin, arena, &row))
        return false;
    *ret_row = row;
    return true;
}

/* A record of joint transactions is alone in its topic: it belongs to no set (rule 71). */
static void outbox_sql_fetch_set(const struct sql_session *session, struct outbox_row *row)
{
    bool is_joint = slice_is(row->entity_type, JOINT_ENTITY_TYPE);
    row->last_of_group = is_joint ? row->position : sql_column_integer(session, COLUMN_LAST);
    row->blocked_by = sql_column_integer(session, COLUMN_BLOCKED);
    row->paused = sql_column_bool(session, COLUMN_PAUSED);
    row->earlier = !is_joint && sql_column_bool(session, COLUMN_EARLIER);
    if (is_joint) {
        row->changeset = slice_of("");
        row->shared = false;
    }
}

static void outbox_rows_judge_sets(struct outbox_rows *rows)
{
    int64_t loaded_to = rows->count == 0 ? 0 : rows->rows[rows->count - 1].position;
    for (size_t i = 0; i < rows->count; i++)
        rows->rows[i].behind = rows->rows[i].last_of_group > loaded_to;
}

/* Makes room for one row more; where there are many not by doubling, because an arena keeps what
 * was too small. @return false where the arena is full. */
static bool outbox_rows_grow(struct outbox_rows *rows, size_t *size, size_t rows_max,
                             struct arena *arena)
{
    if (rows->count < *size)
        return true;
    size_t larger = *size == 0 ? ROWS_FIRST : *size * 2;
    if (larger > ROWS_MANY && larger < rows_max)
        larger = rows_max;
    struct outbox_row *more = arena_alloc(arena, larger * sizeof *more);
    if (more == NULL)
        return false;
    if (rows->count > 0)
        memcpy(more, rows->rows, rows->count * sizeof *more);
    rows->rows = more;
    *size = larger;
    return true;
}

/* Where the arena is full the rows so far are returned. With none at all, or where all are asked
 * for, that is an error. */
static enum status outbox_sql_rows(struct outbox *outbox, const struct outbox_query *query,
                                   struct arena *arena, struct outbox_rows *ret_rows,
                                   struct error *err)
{
    const struct outbox_sql *self = outbox_sql_of(outbox);
    struct sql_session *session = self->session;
    size_t bytes_max = query->bytes_max == 0 ? SIZE_MAX : query->bytes_max;
    size_t size = 0;
    size_t bytes = 0;
    bool full = false;
    *ret_rows = (struct outbox_rows){0};
    enum status status = session->ops->run(session, query->statement, query->parameters,
                                           query->count, err);
    while (status == STATUS_OK && bytes < bytes_max) {
        status = session->ops->next(session, err);
        if (status != STATUS_OK || !session->has_row)
            break;
        full = !outbox_rows_grow(ret_rows, &size, query->rows_max, arena) ||
               !outbox_sql_fetch_row(self, arena, &ret_rows->rows[ret_rows->count]);
        if (full)
            break;
        if (query->sets)
            outbox_sql_fetch_set(session, &ret_rows->rows[ret_rows->count]);
        bytes += ret_rows->rows[ret_rows->count++].payload.length;
        ret_rows->complete = query->waiting && sql_column_bool(session, COLUMN_COMPLETE);
    }
    session->ops->finish(session);
    ret_rows->cut = full;
    if (query->sets)
        outbox_rows_judge_sets(ret_rows);
    if (full && (query->bytes_max == 0 || ret_rows->count == 0))
        status = error_set(err, STATUS_FATAL, "outbox rows do not fit into %zu bytes",
                           arena->size_max);
    return status;
}

void outbox_sql_fill_extent(const struct outbox_sql *self, const struct outbox_extent *extent,
                            struct sql_parameter ret_values[static OUTBOX_EXTENT_VALUES])
{
    ret_values[0] = sql_integer((int64_t)extent->rows);
    ret_values[1] = sql_integer((int64_t)extent->payload_bytes);
    ret_values[2] = sql_integer((int64_t)extent->total_bytes);
    ret_values[3] = sql_integer(extent->after == 0 ? INT64_MIN : extent->after);
    ret_values[4] = sql_integer((int64_t)extent->claimed);
    ret_values[5] = sql_integer(self->whole ? extent->tells_earlier : (int64_t)extent->claimed + 1);
}

enum status outbox_sql_load_waiting(struct outbox *outbox, const struct outbox_extent *extent,
                                    struct arena *arena, struct outbox_rows *ret_rows,
                                    struct error *err)
{
    struct sql_parameter values[OUTBOX_EXTENT_VALUES];
    const struct outbox_sql *self = outbox_sql_of(outbox);
    const struct outbox_query query = {.statement = outbox_sql_load_statement(self),
                                       .parameters = values,
                                       .count = OUTBOX_EXTENT_VALUES,
                                       .bytes_max = extent->total_bytes,
                                       .rows_max = extent->rows,
                                       .waiting = true,
                                       .sets = self->whole};
    outbox_sql_fill_extent(self, extent, values);
    return outbox_sql_rows(outbox, &query, arena, ret_rows, err);
}

enum status outbox_sql_load_joint(struct outbox *outbox, const struct outbox_extent *extent,
                                  struct arena *arena, struct outbox_rows *ret_rows,
                                  struct error *err)
{
    const struct sql_parameter values[] = {sql_integer((int64_t)extent->rows),
                                           sql_integer((int64_t)extent->payload_bytes)};
    const struct outbox_query query = {.statement = STATEMENT_LOAD_JOINT,
                                       .parameters = values,
                                       .count = sizeof values / sizeof *values,
                                       .bytes_max = extent->total_bytes,
                                       .rows_max = extent->rows};
    return outbox_sql_rows(outbox, &query, arena, ret_rows, err);
}

enum status outbox_sql_load_group(struct outbox *outbox, const struct outbox_row *row,
                                  struct arena *arena, struct outbox_rows *ret_rows,
                                  struct error *err)
{
    const struct sql_parameter values[] = {sql_text(row->changeset), sql_integer(row->position),
                                           sql_integer(row->last_of_group),
                                           sql_integer(GROUP_ROWS)};
    const struct outbox_query query = {.statement = STATEMENT_LOAD_GROUP,
                                       .parameters = values,
                                       .count = sizeof values / sizeof *values,
                                       .bytes_max = SIZE_MAX,
                                       .rows_max = GROUP_ROWS};
    return outbox_sql_rows(outbox, &query, arena, ret_rows, err);
}

/* The id that the claim stored as its last one. A row that has another id by now was changed, and
 * what follows it names the one that was stored. */
static bool outbox_row_keeps_id(const struct outbox_row *row,
                                const struct relay_partition *partition)
{
    return row->id.data != NULL &&
           (row->sequence != partition->last_sequence || slice_is(row->id, partition->last_id));
}

/* Each row's predecessor is the one before it. */
static enum status outbox_rows_chain(const struct outbox_rows *rows,
                                     const struct relay_partition *partition, struct error *err)
{
    struct slice previous = slice_of(partition->acknowledged_id);
    uint64_t sequence = partition->acknowledged_sequence;
    for (size_t i = 0; i < rows->count; i++) {
        struct outbox_row *row = &rows->rows[i];
        row->topic = partition->topic;
        row->partition = partition->partition;
        row->previous_id = previous;
        previous = row->id;
        if (row->sequence != ++sequence)
            return error_set(err, STATUS_FATAL,
                             "outbox row of %s [%d] sequence %" PRIu64
                             " is gone: rows were deleted by hand",
                             partition->topic, (int)partition->partition, sequence);
        if (!outbox_row_keeps_id(row, partition))
            return error_set(err, STATUS_FATAL,
                             "outbox row %" PRId64 " (%s [%d] sequence %" PRIu64
                             ") has another id than when it was numbered: its id or created_at was "
                             "changed; write back what stood there",
                             row->position, partition->topic, (int)partition->partition, sequence);
    }
    return STATUS_OK;
}

enum status outbox_sql_load_claimed(struct outbox *outbox, const struct relay_partition *partition,
                                    struct arena *arena, struct outbox_rows *ret_rows,
                                    struct error *err)
{
    const struct sql_parameter values[] = {sql_string(partition->topic),
                                           sql_integer(partition->partition),
                                           sql_integer((int64_t)partition->acknowledged_sequence)};
    const struct outbox_query query = {
        .statement = STATEMENT_LOAD_CLAIMED, .parameters = values, .count = 3};
    enum status status = outbox_sql_rows(outbox, &query, arena, ret_rows, err);
    return status == STATUS_OK ? outbox_rows_chain(ret_rows, partition, err) : status;
}

/* Reads the row that was given an id, values[0], or with none the one at a position, values[1]. */
static enum status outbox_sql_find_row(struct outbox *outbox, const struct sql_parameter values[2],
                                       struct arena *arena, struct outbox_row *ret_row,
                                       struct error *err)
{
    const struct outbox_sql *self = outbox_sql_of(outbox);
    struct sql_session *session = self->session;
    struct slice topic = {0};
    *ret_row = (struct outbox_row){0};
    enum status status = sql_first(session, STATEMENT_FIND_ROW, values, 2, err);
    if (!session->has_row)
        return status;
    if (!outbox_sql_fetch_row(self, arena, ret_row) ||
        !sql_column_text(session, COLUMN_TOPIC, arena, &topic))
        status = error_set(err, STATUS_RETRY, "no memory for an outbox row");
    ret_row->topic = topic.data;
    session->ops->finish(session);
    return status;
}

/* A row may be given an id that another one derives. It is no event: the relay sets it aside. So
 * the row at the position that the id names comes first. */
enum status outbox_sql_find(struct outbox *outbox, struct slice id, struct arena *arena,
                            struct outbox_row *ret_row, struct error *err)
{
    const struct sql_parameter at_position[] = {sql_text((struct slice){0}),
                                                sql_integer(event_id_position(id))};
    const struct sql_parameter by_id[] = {sql_text(id), sql_integer(0)};
    enum status status = STATUS_OK;
    *ret_row = (struct outbox_row){0};
    if (event_id_position(id) != 0)
        status = outbox_sql_find_row(outbox, at_position, arena, ret_row, err);
    if (status == STATUS_OK && (ret_row->position == 0 || !slice_equal(ret_row->id, id)))
        status = outbox_sql_find_row(outbox, by_id, arena, ret_row, err);
    if (status != STATUS_OK || !slice_equal(ret_row->id, id))
        *ret_row = (struct outbox_row){0};
    return status;
}

enum status outbox_sql_list(struct outbox *outbox, const struct outbox_selection *selection,
                            struct arena *arena, struct outbox_rows *ret_rows, struct error *err)
{
    static const enum outbox_statement statements[] = {
        [OUTBOX_WAITING] = STATEMENT_LIST_WAITING,
        [OUTBOX_SET_ASIDE] = STATEMENT_LIST_SET_ASIDE,
        [OUTBOX_ALL] = STATEMENT_LIST_ALL};
    const struct sql_parameter values[] = {
        sql_integer(selection->limit == 0 ? INT64_MAX : (int64_t)selection->limit),
        sql_integer((int64_t)selection->filter), sql_integer(selection->after),
        sql_integer(selection->brief)};
    const struct outbox_query query = {.statement = statements[selection->filter],
                                       .parameters = values,
                                       .count = sizeof values / sizeof *values,
                                       .bytes_max = SIZE_MAX};
    return outbox_sql_rows(outbox, &query, arena, ret_rows, err);
}

enum status outbox_sql_count(struct outbox *outbox, struct outbox_counts *ret_counts,
                             struct error *err)
{
    struct sql_session *session = outbox_sql_of(outbox)->session;
    *ret_counts = (struct outbox_counts){0};
    enum status status = sql_first(session, STATEMENT_COUNT_ROWS, NULL, 0, err);
    if (!session->has_row)
        return status;
    ret_counts->waiting = sql_column_integer(session, 0);
    ret_counts->set_aside = sql_column_integer(session, 1);
    ret_counts->claimed = sql_column_integer(session, 2);
    int64_t *const times[] = {&ret_counts->oldest_waiting_us, &ret_counts->oldest_claimed_us};
    for (size_t i = 0; i < 2; i++) {
        struct slice oldest = session->ops->column(session, 3 + i);
        if (oldest.data != NULL)
            (void)clock_parse_rfc3339(oldest.data, oldest.length, times[i]);
    }
    session->ops->finish(session);
    return status;
}

enum status outbox_sql_list_paused(struct outbox *outbox, struct paused_types *ret_paused,
                                   struct error *err)
{
    return sql_list_paused(outbox_sql_of(outbox)->session, STATEMENT_PAUSED_LIST, ret_paused, err);
}

/** A statement that names a topic, and the one that tells whether the tables that it reads are
 * there. */
struct topic_query {
    unsigned has_tables;
    unsigned statement;
    struct slice topics; /* of these */
};

/** Ask which of the topics comes first. Without the agent's tables nothing is applied here, and
 * nothing is waited for. */
static enum status first_topic(struct outbox *outbox, const struct topic_query *query,
                               char ret_topic[static OUTBOX_NAME_SIZE], struct error *err)
{
    struct outbox_sql *self = outbox_sql_of(outbox);
    const struct sql_parameter list = sql_text(query->topics);
    bool can_tell = false;
    ret_topic[0] = '\0';
    enum status status = sql_has_tables(self->session, query->has_tables, &can_tell, err);
    if (status != STATUS_OK || !can_tell)
        return status;
    status = sql_first(self->session, query->statement, &list, 1, err);
    if (self->session->has_row)
        sql_column_copy(self->session, 0, ret_topic, OUTBOX_NAME_SIZE);
    self->session->ops->finish(self->session);
    return status;
}

enum status outbox_sql_held_back(struct outbox *outbox, struct slice read_topics,
                                 char ret_topic[static OUTBOX_NAME_SIZE], struct error *err)
{
    const struct topic_query query = {STATEMENT_HAS_WAIT_TABLES, STATEMENT_HELD_BACK, read_topics};
    return first_topic(outbox, &query, ret_topic, err);
}

enum status outbox_sql_unread(struct outbox *outbox, struct slice topics,
                              char ret_topic[static OUTBOX_NAME_SIZE], struct error *err)
{
    const struct topic_query query = {STATEMENT_HAS_FILL_TABLE, STATEMENT_UNREAD, topics};
    return first_topic(outbox, &query, ret_topic, err);
}

/* Sets *ret_changed where another session has committed since the last call. */
static enum status outbox_sql_poll(struct outbox_sql *self, bool *ret_changed, struct error *err)
{
    char signature[OUTBOX_SIGNATURE_SIZE];
    enum status status = sql_first(self->session, STATEMENT_SIGNATURE, NULL, 0, err);
    if (!self->session->has_row)
        return status;
    sql_column_copy(self->session, 0, signature, sizeof signature);
    self->session->ops->finish(self->session);
    *ret_changed = strcmp(signature, self->signature) != 0;
    memcpy(self->signature, signature, sizeof signature);
    return status;
}

/* Long enough to cost nothing, short against how long nothing has changed. */
static int64_t outbox_sql_pause_us(const struct outbox_sql *self, int64_t now)
{
    int64_t pause = (now - self->changed_at_us) / PAUSE_DIVISOR;
    if (pause < PAUSE_MIN_US)
        return PAUSE_MIN_US;
    return pause > PAUSE_MAX_US ? PAUSE_MAX_US : pause;
}

enum status outbox_sql_wait(struct outbox *outbox, const struct outbox_wait *wait,
                            bool *ret_changed, struct error *err)
{
    struct outbox_sql *self = outbox_sql_of(outbox);
    int64_t until = clock_monotonic_us() + wait->timeout_us;
    *ret_changed = false;
    for (;;) {
        enum status status = outbox_sql_poll(self, ret_changed, err);
        int64_t now = clock_monotonic_us();
        if (*ret_changed)
            self->changed_at_us = now;
        if (status != STATUS_OK || *ret_changed || now >= until)
            return status;
        int64_t pause = outbox_sql_pause_us(self, now);
        if (wakeup_wait(wait->descriptor, -1, pause < until - now ? pause : until - now))
            return STATUS_OK;
    }
}
