/* Compares copies of an entity type with a reference at their stamps (rules 34 and 35). It knows
 * the participants and the log by their functions only. */
#ifndef OPERATE_COMPARE_COMPARE_H
#define OPERATE_COMPARE_COMPARE_H

#include "operate/compare/left_out.h"
#include "operate/compare/mentions.h"

#include <stdatomic.h>

#define COMPARE_PARTICIPANTS_MAX 16
#define COMPARE_ROUNDS_MAX       3     /* in which what was left out is compared by key */
#define COMPARE_DIFFERENCES_MAX  10000 /* that are named, of each copy */
#define COMPARE_ROWS_MAX         1000  /* differences that rows are read for, of each copy */
#define COMPARE_REASON_SIZE      (ERROR_TEXT_SIZE + 128)

struct compare_options {
    struct participant *const *participants; /* the reference first */
    size_t count;                            /* at most COMPARE_PARTICIPANTS_MAX */
    struct mention_log *log;
    int64_t open_entities_max;  /* limits.open_entities */
    int64_t behind_records_max; /* limits.behind_records */
    bool with_rows;             /* read the rows that differ */
    const atomic_bool *stop;    /* end soon, and compare nothing more; NULL: never */
    const struct slice *keys;   /* canonical: compare these entities alone; NULL: all rows */
    size_t key_count;
    /** Wait before a round of keys, so that those who are behind can follow. NULL: do not wait. */
    void (*wait)(int round);
    /** Called often while the rows of a participant are read. NULL: not. */
    void (*progress)(void *context, const struct participant *participant, uint64_t rows);
    void *context; /* of progress */
};

enum difference_kind { DIFFERENCE_VALUE, DIFFERENCE_MISSING, DIFFERENCE_EXTRA };
#define DIFFERENCE_KINDS 3

struct difference {
    enum difference_kind kind;
    struct slice key;
    struct slice reference_row; /* JSON; data NULL: there is none, or it was not read */
    struct slice copy_row;
};

enum copy_state { COPY_EQUAL, COPY_DIFFERENT, COPY_NOT_COMPARED };

/** What was found of one copy. */
struct copy_result {
    enum copy_state state;
    char reason[COMPARE_REASON_SIZE]; /* why it was not compared, or not to the end; "": it was */
    bool is_doubled; /* it is that several rows are read with one key: waiting does not change that
                      */
    bool is_private; /* it is a client library's text, which can name hosts and logins */
    uint64_t counts[DIFFERENCE_KINDS];
    bool is_partial;                /* more differences than were counted */
    struct difference *differences; /* those that are named */
    size_t difference_count;
    size_t difference_size;
};

struct comparison {
    struct copy_result copies[COMPARE_PARTICIPANTS_MAX]; /* by participant; [0] is not used */
    size_t count;
    uint64_t rows;            /* of the reference, without those left out */
    uint64_t compared_by_key; /* entities that were left out at first, and then compared */
    struct left_out left_out; /* those with `pending` were not compared */
    struct arena arena;       /* keys and rows of the differences */
};

/** Compare. What fails at one participant makes that one incomparable; if it is the reference, or
 * the log, no copy is compared.
 * @return OK; RETRY (memory). comparison_done() is legal after either. */
enum status compare_copies(const struct compare_options *options, struct comparison *ret_comparison,
                           struct error *err) MUST_CHECK;
void comparison_done(struct comparison *comparison);

/** @return the exit code: 0 if everything was compared and is equal, 65 (EX_DATAERR) if something
 * differs, else 75 (EX_TEMPFAIL). */
int comparison_exit_code(const struct comparison *comparison);

#endif
