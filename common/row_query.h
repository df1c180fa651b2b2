/* A query whose rows are two texts. They are handed on one by one, so that memory does not grow
 * with them. */
#ifndef COMMON_ROW_QUERY_H
#define COMMON_ROW_QUERY_H

#include "common/slice.h"
#include "common/status.h"

#include <stdint.h>

/** Takes the two texts of a row; both are borrowed until it returns. It must not use the session.
 */
typedef enum status text_pair_visit(void *context, struct slice first, struct slice second,
                                    struct error *err);

/** A value to bind, borrowed. */
struct query_parameter {
    enum query_kind { QUERY_INTEGER, QUERY_TEXT, QUERY_BYTES } kind;
    int64_t integer;
    struct slice text;
};

/** A query, and the parameters of each of its runs. */
struct row_query {
    const char *table; /* quoted; named in errors */
    const char *sql;
    const struct query_parameter *parameters; /* run after run */
    size_t parameter_count;                   /* of a run */
    size_t runs;
    size_t run;       /* that the rows are of, from 0: set by whoever runs it */
    int64_t until_us; /* monotonic; it ends there */
    int64_t rows_s;   /* that visit() takes a second; 0: it does not wait */
    text_pair_visit *visit;
    void *context;
};

/** @return OK; RETRY (it has taken too long). */
enum status row_query_check_time(const struct row_query *query, struct error *err) MUST_CHECK;

#endif
