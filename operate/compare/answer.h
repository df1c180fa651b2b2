/* Answers questions from the rows that a scan hands out. */
#ifndef OPERATE_COMPARE_ANSWER_H
#define OPERATE_COMPARE_ANSWER_H

#include "common/buffer.h"
#include "operate/compare/participant.h"
#include "schemas/row_scan.h"

/** One answer under way. Begin with answer_begin(), then hand it to a scan with answer_row(). */
struct answer {
    const struct entity_schema *schema;
    const struct question *question;
    answer_visit *visit;   /* NULL: the digests are added up */
    void *context;         /* of visit */
    struct row_sums *sums; /* where visit is NULL */
    uint64_t count;        /* rows that were read */
    uint64_t tick_at;      /* of them; then the tick is called */
    uint64_t tick_rows;    /* between two ticks */
    int64_t ticked_us;     /* monotonic */
    struct buffer json;
};

void answer_begin(struct answer *answer, const struct entity_schema *schema,
                  const struct question *question);
void answer_done(struct answer *answer);

/** Take one row: a row_visit, whose context is the answer. */
enum status answer_row(void *context, const struct scanned_row *row, struct error *err);

#endif
