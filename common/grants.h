/* Reads statements that grant rights: those that Keepstep prints, and those that a server shows. */
#ifndef COMMON_GRANTS_H
#define COMMON_GRANTS_H

#include "common/slice.h"

#include <stdbool.h>

/** One privilege on one object that one role gets. All of it is borrowed from the text. */
struct grant_right {
    struct slice privilege; /* its words */
    struct slice column;    /* as it is written; empty: all of the object */
    struct slice kind;      /* "TABLE", "FUNCTION", "SCHEMA" */
    struct slice object;    /* as it is written: "outbox", "`shop`.`orders`", "*.*" */
    struct slice role;
};

/** Called for each right. @return false: read no further. */
typedef bool grants_visit(void *context, const struct grant_right *right);

/** Visit the rights of all statements that begin a line with GRANT and have an object. */
void grants_read(struct slice sql, grants_visit *visit, void *context);

/** Take the quotes from a name: "a", `a` and a are the same. */
struct slice grants_bare(struct slice name);

#endif
