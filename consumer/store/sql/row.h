/* Reads rows of Keepstep's own tables. Their columns have the same order in all databases. */
#ifndef CONSUMER_STORE_SQL_ROW_H
#define CONSUMER_STORE_SQL_ROW_H

#include "consumer/store/store.h"

/** A row of a result, and the functions of its database that read columns. */
struct store_row {
    int64_t (*integer)(const struct store_row *row, int column);
    /** The bytes as the database has them, borrowed until the next row; data NULL for NULL. */
    struct slice (*bytes)(const struct store_row *row, int column);
    /** Copy a column into an arena; NULL stays NULL. @return false without memory. */
    bool (*keep)(const struct store_row *row, int column, struct arena *arena,
                 struct slice *ret_bytes);
    /** Copy a text column into `size` bytes, cut where it is longer. */
    void (*copy)(const struct store_row *row, int column, char *ret_text, size_t size);
    void *result; /* the database's */
    int index;    /* of the row, where a result has many */
    bool is_last; /* set by a reader that needs no more rows */
};

/** A partition of which nothing is known yet. */
struct partition_state partition_state_named(const char *topic, int32_t partition);

/** The columns of position_read and position_list. */
void store_row_position(const struct store_row *row, struct partition_state *state);

/** Append what sequence_read and blocked_read say. @return OK; RETRY (memory). */
enum status store_row_add_sequence(const struct store_row *row, struct partition_state *state,
                                   struct error *err) MUST_CHECK;
enum status store_row_add_blocked(const struct store_row *row, struct partition_state *state,
                                  struct error *err) MUST_CHECK;

/** Append a position to an array of `*count`. @return OK; RETRY (memory). */
enum status store_row_add_state(const struct store_row *row, struct partition_state **states,
                                size_t *count, struct error *err) MUST_CHECK;

/** The columns of table_place. @return OK; RETRY (memory). */
enum status store_row_place(const struct store_row *row, struct place *place,
                            struct error *err) MUST_CHECK;

/** The columns of parked_count. */
void store_row_counts(const struct store_row *row, struct partition_state *state);

/** Append what parked_read says. @return OK; RETRY (memory). */
enum status store_row_add_parked(const struct store_row *row, struct arena *arena,
                                 struct parked_records *list, struct error *err) MUST_CHECK;

/** The columns of superseded_read and superseded_next. @return OK; RETRY (memory). */
enum status store_row_image(const struct store_row *row, struct arena *arena,
                            struct superseded_image *ret_image, struct error *err) MUST_CHECK;

#define HEADERS_SIZE_MAX ((size_t)64 * 1024 * 1024)

/** Pack a record's headers into one blob; none are NULL. @return OK; RETRY (memory). */
enum status store_record_headers(const struct record *record, struct arena *arena,
                                 struct slice *ret_blob, struct error *err) MUST_CHECK;

#endif
