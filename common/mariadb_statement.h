/* MariaDB's prepared statements with plain values: one row or arrays of rows in, text rows out. */
#ifndef COMMON_MARIADB_STATEMENT_H
#define COMMON_MARIADB_STATEMENT_H

#include "common/arena.h"
#include "common/mariadb_session.h"

enum mariadb_kind { MARIADB_NULL, MARIADB_INTEGER, MARIADB_TEXT, MARIADB_BYTES };

/** A value to bind. It is borrowed until the statement has run. */
struct mariadb_parameter {
    enum mariadb_kind kind;
    int64_t integer;
    struct slice text;
};

static inline struct mariadb_parameter mariadb_integer(int64_t integer)
{
    return (struct mariadb_parameter){.kind = MARIADB_INTEGER, .integer = integer};
}

/** data NULL is SQL's NULL. */
static inline struct mariadb_parameter mariadb_text(struct slice text)
{
    return (struct mariadb_parameter){.kind = text.data == NULL ? MARIADB_NULL : MARIADB_TEXT,
                                      .text = text};
}

/** NULL is SQL's NULL. */
static inline struct mariadb_parameter mariadb_string(const char *text)
{
    return mariadb_text(slice_of(text));
}

static inline struct mariadb_parameter mariadb_bytes(struct slice bytes)
{
    return (struct mariadb_parameter){.kind = bytes.data == NULL ? MARIADB_NULL : MARIADB_BYTES,
                                      .text = bytes};
}

struct mariadb_statement;

/** Prepare a statement.
 * @param what  named in errors; borrowed as long as the statement lives. */
enum status mariadb_statement_new(MYSQL *session, const char *what, const char *sql,
                                  struct mariadb_statement **ret_statement,
                                  struct error *err) MUST_CHECK;
/** NULL is a no-op. */
void mariadb_statement_free(struct mariadb_statement *statement);

/** Execute with one value for each parameter. Rows are fetched from the connection one by one, and
 * only one is in memory. Nothing else may run on the connection before mariadb_statement_end().
 * @param ret_affected  rows that an UPDATE or DELETE found; may be NULL. */
enum status mariadb_statement_run(struct mariadb_statement *statement,
                                  const struct mariadb_parameter *values, size_t count,
                                  uint64_t *ret_affected, struct error *err) MUST_CHECK;

/** As mariadb_statement_run(), and then fetch the first row as mariadb_statement_next() does. After
 * a failure there is no row to fetch. */
enum status mariadb_statement_query(struct mariadb_statement *statement,
                                    const struct mariadb_parameter *values, size_t count,
                                    bool *ret_row, struct error *err) MUST_CHECK;

/** Values row by row, `columns` in each row. All values of a column are NULL or of one kind. */
struct mariadb_rows {
    const struct mariadb_parameter *values;
    size_t columns;
    size_t count;
};

/** Execute once for each row by array binding. It takes as few messages as the server allows, so
 * call it only inside a transaction.
 * @param ret_affected  sum over the rows; may be NULL. */
enum status mariadb_statement_run_rows(struct mariadb_statement *statement,
                                       struct mariadb_rows rows, uint64_t *ret_affected,
                                       struct error *err) MUST_CHECK;

/** Result of a statement that returns no rows. */
struct mariadb_outcome {
    uint64_t affected;
    bool has_warnings; /* SHOW WARNINGS lists them */
};

/** As mariadb_statement_run_rows() in one message, with the caller's own arrays.
 * @param binds  one for each parameter. */
enum status mariadb_statement_run_arrays(struct mariadb_statement *statement, MYSQL_BIND *binds,
                                         unsigned int rows, struct mariadb_outcome *ret_outcome,
                                         struct error *err) MUST_CHECK;

/** @return OK with *ret_row false at the end. */
enum status mariadb_statement_next(struct mariadb_statement *statement, bool *ret_row,
                                   struct error *err) MUST_CHECK;

/** @return a column of the current row, borrowed until the next row; data NULL where it is NULL. */
struct slice mariadb_statement_column(const struct mariadb_statement *statement, size_t column);

/** @return a column of the current row; 0 where it is NULL. */
int64_t mariadb_statement_integer(const struct mariadb_statement *statement, size_t column);

/** Copy a column of the current row into `arena`; data is NULL where it is NULL.
 * @return false where the arena is full. */
bool mariadb_statement_text(const struct mariadb_statement *statement, size_t column,
                            struct arena *arena, struct slice *ret_text) MUST_CHECK;

/** Copy a column of the current row, cut to `size` - 1 bytes; "" where it is NULL. */
void mariadb_statement_copy(const struct mariadb_statement *statement, size_t column, char *target,
                            size_t size);

/** Drop the rows that were not fetched. NULL and a second call are no-ops. */
void mariadb_statement_end(struct mariadb_statement *statement);

/** Prepare, execute and free a statement without rows. */
enum status mariadb_statement_once(MYSQL *session, const char *sql,
                                   const struct mariadb_parameter *values, size_t count,
                                   struct error *err) MUST_CHECK;

#endif
