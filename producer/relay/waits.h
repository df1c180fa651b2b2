/* Which of the rows that wait have to wait, because a type is paused (rule 54): all rows of a set
 * that has a row of such a type, or a later row of an entity than a row that has to wait. Nothing
 * here touches a database.
 *
 * What has to wait is looked at once. The first rows of the outbox that all have to wait are
 * *passed*: the next load begins behind them, and their entities and sets are remembered here. */
#ifndef PRODUCER_RELAY_WAITS_H
#define PRODUCER_RELAY_WAITS_H

#include "producer/outbox/outbox.h"

#define WAITS_MAX   500000 /* digests in each of the two tables, which then has 16 MiB */
#define WAITS_STOPS 4096

/** Digests, each with a position. A zeroed one is empty. */
struct wait_table {
    struct wait_mark *marks;
    size_t size; /* a power of two, or 0 */
    size_t count;
};

/** A place up to which all rows have to wait, and how many they are. */
struct wait_stop {
    int64_t passed;
    size_t count;
};

/** A zeroed one has passed nothing. */
struct waits {
    int64_t passed;          /* all rows up to this position have to wait; 0: none was passed */
    size_t count;            /* so many. Where there is another one, it came late */
    struct wait_stop *stops; /* on the way there, WAITS_STOPS of them at most; NULL */
    size_t stop_count;
    size_t back;                /* how many of them the last step went back; 0: none */
    struct wait_table entities; /* each from its first row on that has to wait */
    struct wait_table sets;     /* that have rows behind `passed` */
    bool full;                  /* no more fits: what stands behind `passed` is loaded each time */
};

void waits_done(struct waits *waits);

/** Mark all rows that have to wait as paused.
 * @param rows  in the order of their positions; those of a paused type are marked.
 * @return OK; RETRY (no memory). */
enum status waits_mark(const struct waits *waits, struct outbox_row *rows, size_t count,
                       struct arena *arena, struct error *err) MUST_CHECK;

/** Remember the sets and entities of marked rows, which may stand anywhere.
 * @return false: there is no room. */
bool waits_remember(struct waits *waits, const struct outbox_row *rows, size_t count);

/** Pass the first of some rows, which are marked and stand behind what was passed: at most `most`,
 * and never all that wait. So a later load finds a row behind what was passed, and with it says
 * whether something came late.
 * @return how many were passed. */
size_t waits_pass(struct waits *waits, const struct outbox_row *rows, size_t count, size_t most);

/** Something came late: go back a stop, or more each time, until up to there all is as it was. What
 * is remembered of the rows behind stays: they still wait. */
void waits_go_back(struct waits *waits);

#endif
