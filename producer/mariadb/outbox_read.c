/* The MariaDB outbox's other half: reading rows, waiting for them, and what an operator does. */
#include "producer/mariadb/outbox_internal.h"
#include "common/clock.h"

#include <inttypes.h>

#define PAUSE_MIN_US  1000
#define PAUSE_MAX_US  (50 * 1000)
#define PAUSE_DIVISOR 8
#define LOOK_ROWS_MIN 16

/* @return false where the arena is full. */
static bool outbox_mariadb_row(struct mariadb_statement *statement, struct arena *arena,
                               struct outbox_row *ret_row)
{
    struct outbox_row row = {.position = mariadb_statement_integer(statement, 0),
                             .partition = (int32_t)mariadb_statement_integer(statement, 9),
                             .sequence = (uint64_t)mariadb_statement_integer(statement, 10)};
    struct {
        unsigned int column;
        struct slice *text;
    } texts[] = {{1, &row.id},          {2, &row.entity_type},   {3, &row.entity_key},
                 {4, &row.type},        {5, &row.payload},       {6, &row.created_at},
                 {7, &row.traceparent}, {8, &row.partition_key}, {11, &row.set_aside}};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        if (!mariadb_statement_text(statement, texts[i].column, arena, texts[i].text))
            return false;
    }
    if (row.payload.data == NULL)
        row.left_out_bytes = mariadb_statement_integer(statement, 12);
    *ret_row = row;
    return true;
}

/* Makes room for one row more. @return false where the arena is full. */
static bool outbox_mariadb_grow(struct arena *arena, struct outbox_row **rows, size_t count,
                                size_t *size)
{
    if (count < *size)
        return true;
    size_t larger = *size == 0 ? 64 : *size * 2;
    struct outbox_row *more = arena_alloc(arena, larger * sizeof *more);
    if (more == NULL)
        return false;
    if (count > 0)
        memcpy(more, *rows, count * sizeof **rows);
    *rows = more;
    *size = larger;
    return true;
}

/* Collects a statement's rows into the arena, as far as their payloads reach `bytes_max`; 0: all of
 * them. Where the arena is full the rows so far are returned; with none at all, or where all are
 * asked for, that is an error. */
static enum status outbox_mariadb_rows(struct outbox_mariadb *self, enum outbox_statement which,
                                       const struct mariadb_parameter *values, size_t value_count,
                                       size_t bytes_max, struct arena *arena,
                                       struct outbox_row **ret_rows, size_t *ret_count,
                                       struct error *err)
{
    struct mariadb_statement *statement = NULL;
    struct outbox_row *rows = NULL;
    size_t count = 0;
    size_t size = 0;
    size_t bytes = 0;
    bool row = true;
    bool full = false;
    enum status status = outbox_mariadb_statement(self, which, &statement, err);
    if (status == STATUS_OK)
        status = mariadb_statement_run(statement, values, value_count, NULL, err);
    while (status == STATUS_OK && !full && (bytes_max == 0 || bytes < bytes_max)) {
        status = mariadb_statement_next(statement, &row, err);
        if (status != STATUS_OK || !row)
            break;
        full = !outbox_mariadb_grow(arena, &rows, count, &size) ||
               !outbox_mariadb_row(statement, arena, &rows[count]);
        if (!full)
            bytes += rows[count++].payload.length;
    }
    if (full && (bytes_max == 0 || count == 0))
        status = error_set(err, STATUS_FATAL, "outbox rows do not fit into %zu bytes",
                           arena->size_max);
    mariadb_statement_end(statement);
    *ret_rows = rows;
    *ret_count = count;
    return status;
}

/* Asked only where rows are large. The server reads whole payloads to count them, so that the look
 * begins small and grows. */
static enum status outbox_mariadb_fitting(struct outbox_mariadb *self,
                                          const struct outbox_extent *extent, int64_t *ret_rows,
                                          struct error *err)
{
    int64_t rows = (int64_t)extent->rows;
    int64_t look = self->fitted;
    int64_t fitting = 0;
    enum status status = STATUS_OK;
    do {
        struct mariadb_statement *statement = NULL;
        bool row = false;
        look = look * 2 + LOOK_ROWS_MIN < rows ? look * 2 + LOOK_ROWS_MIN : rows;
        const struct mariadb_parameter values[] = {mariadb_integer((int64_t)extent->payload_bytes),
                                                   mariadb_integer(look),
                                                   mariadb_integer((int64_t)extent->total_bytes)};
        status = outbox_mariadb_statement(self, COUNT_FITTING, &statement, err);
        if (status == STATUS_OK)
            status = mariadb_statement_query(statement, values, 3, &row, err);
        fitting = status == STATUS_OK && row ? mariadb_statement_integer(statement, 0) : 0;
        mariadb_statement_end(statement);
    } while (status == STATUS_OK && fitting == look && look < rows);
    self->fitted = fitting;
    *ret_rows = fitting;
    return status;
}

enum status outbox_mariadb_load_waiting(struct outbox *outbox, const struct outbox_extent *extent,
                                        struct arena *arena, struct outbox_row **ret_rows,
                                        size_t *ret_count, struct error *err)
{
    struct outbox_mariadb *self = outbox_mariadb_of(outbox);
    int64_t most = (int64_t)extent->rows;
    size_t bytes = 0;
    enum status status = self->narrow ? STATUS_OK
                                      : outbox_mariadb_fitting(self, extent, &most, err);
    const struct mariadb_parameter values[] = {mariadb_integer((int64_t)extent->payload_bytes),
                                               mariadb_integer(most)};
    if (status == STATUS_OK)
        status = outbox_mariadb_rows(self, LOAD_WAITING, values, 2, extent->total_bytes, arena,
                                     ret_rows, ret_count, err);
    for (size_t i = 0; status == STATUS_OK && i < *ret_count; i++)
        bytes += (*ret_rows)[i].payload.length;
    self->narrow = status == STATUS_OK && bytes < extent->total_bytes;
    return outbox_mariadb_settle(self, status, err);
}

enum status outbox_mariadb_load_claimed(struct outbox *outbox,
                                        const struct relay_partition *partition,
                                        struct arena *arena, struct outbox_row **ret_rows,
                                        size_t *ret_count, struct error *err)
{
    struct outbox_mariadb *self = outbox_mariadb_of(outbox);
    struct mariadb_parameter values[6] = {
        mariadb_integer(partition->partition),
        mariadb_integer((int64_t)partition->acknowledged_sequence),
        mariadb_string(partition->topic)};
    memcpy(values + 3, values, 3 * sizeof *values);
    enum status status = outbox_mariadb_rows(self, LOAD_CLAIMED, values, 6, 0, arena, ret_rows,
                                             ret_count, err);
    if (status == STATUS_OK)
        status = outbox_chain(partition, *ret_rows, *ret_count, err);
    return outbox_mariadb_settle(self, status, err);
}

enum status outbox_mariadb_find(struct outbox *outbox, struct slice id, struct arena *arena,
                                struct outbox_row *ret_row, struct error *err)
{
    struct outbox_mariadb *self = outbox_mariadb_of(outbox);
    struct mariadb_statement *statement = NULL;
    const struct mariadb_parameter value = mariadb_text(id);
    bool row = false;
    *ret_row = (struct outbox_row){0};
    enum status status = outbox_mariadb_statement(self, FIND_ROW, &statement, err);
    if (status == STATUS_OK)
        status = mariadb_statement_query(statement, &value, 1, &row, err);
    struct slice topic = {0};
    if (status == STATUS_OK && row &&
        !(outbox_mariadb_row(statement, arena, ret_row) &&
          mariadb_statement_text(statement, 13, arena, &topic)))
        status = error_set(err, STATUS_RETRY, "no memory for an outbox row");
    ret_row->topic = topic.data;
    mariadb_statement_end(statement);
    return outbox_mariadb_settle(self, status, err);
}

/* Without the agent's tables nothing is applied here, and nothing is waited for. */
enum status outbox_mariadb_held_back(struct outbox *outbox, struct slice read_topics,
                                     char ret_topic[static OUTBOX_NAME_SIZE], struct error *err)
{
    struct outbox_mariadb *self = outbox_mariadb_of(outbox);
    struct mariadb_statement *statement = NULL;
    struct error absent = ERROR_INIT;
    const struct mariadb_parameter value = mariadb_text(read_topics);
    bool row = false;
    ret_topic[0] = '\0';
    enum status status = outbox_mariadb_statement(self, HELD_BACK, &statement, &absent);
    if (status == STATUS_OK)
        status = mariadb_statement_query(statement, &value, 1, &row, &absent);
    if (status == STATUS_OK && row)
        mariadb_statement_copy(statement, 0, ret_topic, OUTBOX_NAME_SIZE);
    mariadb_statement_end(statement);
    if (absent.native_code == ER_NO_SUCH_TABLE)
        return STATUS_OK;
    if (status != STATUS_OK && err != NULL && err->status == STATUS_OK)
        *err = absent;
    return outbox_mariadb_settle(self, status, &absent);
}

static enum status outbox_mariadb_sign(struct outbox_mariadb *self,
                                       struct outbox_signature *ret_signature, struct error *err)
{
    struct mariadb_statement *statement = NULL;
    bool row = false;
    enum status status = outbox_mariadb_statement(self, SIGNATURE, &statement, err);
    if (status == STATUS_OK)
        status = mariadb_statement_query(statement, NULL, 0, &row, err);
    *ret_signature = (struct outbox_signature){0};
    if (status == STATUS_OK && row) {
        ret_signature->count = mariadb_statement_integer(statement, 0);
        mariadb_statement_copy(statement, 1, ret_signature->sum, sizeof ret_signature->sum);
        ret_signature->set_aside = mariadb_statement_integer(statement, 2);
        ret_signature->last = mariadb_statement_integer(statement, 3);
    }
    mariadb_statement_end(statement);
    return outbox_mariadb_settle(self, status, err);
}

static bool outbox_mariadb_is_signed(const struct outbox_signature *one,
                                     const struct outbox_signature *other)
{
    return one->count == other->count && strcmp(one->sum, other->sum) == 0 &&
           one->set_aside == other->set_aside && one->last == other->last;
}

/* Long enough to cost nothing, short against how long it has been quiet. */
static int64_t outbox_mariadb_pause_us(const struct outbox_mariadb *self, int64_t now)
{
    int64_t pause = (now - self->changed_at_us) / PAUSE_DIVISOR;
    if (pause < PAUSE_MIN_US)
        return PAUSE_MIN_US;
    return pause > PAUSE_MAX_US ? PAUSE_MAX_US : pause;
}

enum status outbox_mariadb_wait(struct outbox *outbox, int64_t timeout_us, bool *ret_changed,
                                struct error *err)
{
    struct outbox_mariadb *self = outbox_mariadb_of(outbox);
    int64_t until = clock_monotonic_us() + timeout_us;
    *ret_changed = false;
    for (;;) {
        struct outbox_signature signature;
        enum status status = outbox_mariadb_sign(self, &signature, err);
        int64_t now = clock_monotonic_us();
        if (status != STATUS_OK)
            return status;
        *ret_changed = !outbox_mariadb_is_signed(&signature, &self->signature);
        if (*ret_changed)
            self->changed_at_us = now;
        self->signature = signature;
        if (*ret_changed || now >= until)
            return status;
        int64_t pause = outbox_mariadb_pause_us(self, now);
        clock_sleep_us(pause < until - now ? pause : until - now);
    }
}

enum status outbox_mariadb_list(struct outbox *outbox, enum outbox_filter filter, size_t limit,
                                struct arena *arena, struct outbox_row **ret_rows,
                                size_t *ret_count, struct error *err)
{
    static const enum outbox_statement statements[] = {[OUTBOX_WAITING] = LIST_WAITING,
                                                       [OUTBOX_SET_ASIDE] = LIST_SET_ASIDE,
                                                       [OUTBOX_ALL] = LIST_ALL};
    struct outbox_mariadb *self = outbox_mariadb_of(outbox);
    const struct mariadb_parameter most = mariadb_integer(limit == 0 ? INT64_MAX : (int64_t)limit);
    return outbox_mariadb_settle(self,
                                 outbox_mariadb_rows(self, statements[filter], &most, 1, SIZE_MAX,
                                                     arena, ret_rows, ret_count, err),
                                 err);
}

enum status outbox_mariadb_count(struct outbox *outbox, struct outbox_counts *ret_counts,
                                 struct error *err)
{
    struct outbox_mariadb *self = outbox_mariadb_of(outbox);
    struct mariadb_statement *statement = NULL;
    bool row = false;
    *ret_counts = (struct outbox_counts){0};
    enum status status = outbox_mariadb_statement(self, COUNT_ROWS, &statement, err);
    if (status == STATUS_OK)
        status = mariadb_statement_query(statement, NULL, 0, &row, err);
    if (status == STATUS_OK && row) {
        *ret_counts = (struct outbox_counts){.waiting = mariadb_statement_integer(statement, 0),
                                             .set_aside = mariadb_statement_integer(statement, 1),
                                             .claimed = mariadb_statement_integer(statement, 2)};
        int64_t *const times[] = {&ret_counts->oldest_waiting_us, &ret_counts->oldest_claimed_us};
        for (unsigned i = 0; i < 2; i++) {
            char oldest[CLOCK_TEXT_SIZE];
            mariadb_statement_copy(statement, 3 + i, oldest, sizeof oldest);
            if (oldest[0] != '\0')
                (void)clock_parse_rfc3339(oldest, strlen(oldest), times[i]);
        }
    }
    mariadb_statement_end(statement);
    return outbox_mariadb_settle(self, status, err);
}

enum status outbox_mariadb_release(struct outbox *outbox, int64_t position, bool drop,
                                   struct error *err)
{
    struct outbox_mariadb *self = outbox_mariadb_of(outbox);
    const struct mariadb_parameter value = mariadb_integer(position);
    uint64_t found = 0;
    enum status status = outbox_mariadb_run(self, drop ? DROP_ROW : RETRY_ROW, &value, 1, &found,
                                            err);
    if (status == STATUS_OK && found == 0)
        return error_set(err, STATUS_REJECT, "no row at position %" PRId64 " is set aside",
                         position);
    return outbox_mariadb_settle(self, status, err);
}
