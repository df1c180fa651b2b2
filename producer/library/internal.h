/* What the files of libkeepstep share. */
#ifndef PRODUCER_LIBRARY_INTERNAL_H
#define PRODUCER_LIBRARY_INTERNAL_H

#include "producer/library/keepstep.h"

/* SQL of a UUIDv7: 48 bits of milliseconds, then random bits. */
#define LIBRARY_UUID                                                                               \
    "substr(printf('%012x', CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)), 1, 8) "   \
    "|| '-' || "                                                                                   \
    "substr(printf('%012x', CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)), 9) "      \
    "|| '-7' || substr(lower(hex(randomblob(2))), 2) "                                             \
    "|| '-' || substr('89ab', 1 + (random() & 3), 1) || substr(lower(hex(randomblob(2))), 2) "     \
    "|| '-' || lower(hex(randomblob(6)))"

/** Write what is wrong, where there is room. @return `code`. */
int library_refuse(char *ret_error, size_t size, int code, const char *text);

struct sqlite3_stmt;

/** Run a statement to its end. @param ret_id  the first column of its first row; NULL: unwanted.
 * @return SQLITE_OK, or SQLite's code. */
int library_run(struct sqlite3_stmt *statement, char *ret_id);

#endif
