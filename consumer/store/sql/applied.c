/* Whether a token's events are applied (rule 47), and what parked records must say of themselves
 * for that. */
#include "consumer/store/sql/session.h"

#include "consumer/store/sql/row.h"

enum status store_sql_applied(struct store *store, const char *token,
                              enum token_verdict *ret_verdict, struct error *err)
{
    int64_t number = TOKEN_UNKNOWN;
    enum status status = store_sql_number(
        store_sql_of(store), SQL_CALL(APPLIED, parameter_text(token)), TOKEN_UNKNOWN, &number, err);
    *ret_verdict = (enum token_verdict)number;
    return status;
}

/* A parked record whose place in a sequence nobody has stored yet. */
struct unplaced {
    int64_t parked_id;
    struct slice headers;
};

#define UNPLACED_MAX 100 /* the statement's limit */

struct unplaced_reading {
    struct unplaced items[UNPLACED_MAX];
    size_t count;
    struct arena arena;
};

static enum status unplaced_read(void *context, struct store_row *row, struct error *err)
{
    struct unplaced_reading *reading = context;
    struct unplaced *item = &reading->items[reading->count++];
    item->parked_id = row->integer(row, 0);
    if (!row->keep(row, 1, &reading->arena, &item->headers))
        return error_set(err, STATUS_RETRY, "out of memory");
    return STATUS_OK;
}

/* Headers that cannot be read leave the record as it is: then it counts as below every sequence. */
static enum status unplaced_place(struct store_sql *self, struct unplaced_reading *reading,
                                  const struct unplaced *item, struct error *err)
{
    struct error ignored = ERROR_INIT;
    struct header *headers = NULL;
    struct record record = {0};
    if (headers_unpack(item->headers, &reading->arena, &headers, &record.header_count, &ignored) !=
        STATUS_OK)
        return STATUS_OK;
    record.headers = headers;
    struct record_sequence place = store_record_sequence(&record);
    return store_sql_run(self,
                         SQL_CALL(PARKED_PLACE, parameter_integer(item->parked_id),
                                  parameter_raw(place.source), parameter_raw(place.incarnation),
                                  parameter_integer(place.sequence)),
                         err);
}

enum status store_sql_place_parked(struct store_sql *self, struct error *err)
{
    struct unplaced_reading reading = {0};
    int64_t after = 0;
    enum status status = STATUS_OK;
    arena_init(&reading.arena, UNPLACED_MAX * HEADERS_SIZE_MAX);
    do {
        reading.count = 0;
        arena_reset(&reading.arena);
        status = store_sql_query(self, SQL_CALL(PARKED_UNPLACED, parameter_integer(after)),
                                 unplaced_read, &reading, err);
        for (size_t i = 0; status == STATUS_OK && i < reading.count; i++) {
            status = unplaced_place(self, &reading, &reading.items[i], err);
            after = reading.items[i].parked_id;
        }
    } while (status == STATUS_OK && reading.count == UNPLACED_MAX);
    arena_done(&reading.arena);
    return status;
}
