/* One native column type of a source database and its values on the whole way: table, schema,
 * triggers, record, and the copies in all databases. */
#ifndef TESTS_SUPPORT_TYPE_CASE_H
#define TESTS_SUPPORT_TYPE_CASE_H

#include "tests/support/database.h"

#define TYPE_DATABASES   3 /* enum database_kind */
#define TYPE_NOTES_MAX   256
#define TYPE_RESULTS_MAX 96

struct type_value {
    const char *name;      /* as docs/TYPES.md calls it */
    const char *literal;   /* in the source's SQL */
    const char *canonical; /* what every copy must hold; NULL: what the source's own SQL says */
};

enum type_generator { TYPE_LISTED, TYPE_RANDOM_DOUBLES, TYPE_ALL_CHARACTERS };

struct type_column {
    const char *native;
    const char *by_hand; /* x-keepstep-type, where `keepstep schema table` does not know it */
    const char *before;  /* a statement that makes the type; NULL: none is needed */
    const char *reader;  /* canonical text of the column $ in the source; NULL: by schema type */
    const char *kept;    /* the native type at a PostgreSQL copy; NULL: as the agent makes it */
    bool is_key;
    enum type_generator generator;
    const struct type_value *values; /* the last has no name */
};

struct type_source {
    enum database_kind kind;
    const struct type_column *columns;
    size_t count;
};

/** What is refused, by whom and with which words. */
struct type_note {
    const char *where;
    const char *message;
    const char *values; /* "`real`: NaN, infinity; `numeric`: NaN" */
    const char *last_native;
};

/** One column's outcome at each copy. */
struct type_result {
    const struct type_column *column;
    const char *schema_type; /* with its digits or length; NULL: the schema is refused */
    const char *tried;       /* names of the values */
    size_t value_count;
    size_t refused[TYPE_DATABASES]; /* how many values a copy does not get */
    bool notes[TYPE_DATABASES][TYPE_NOTES_MAX];
};

/** One source's results; notes are numbered from 1. */
struct type_matrix {
    enum database_kind kind;
    struct type_result results[TYPE_RESULTS_MAX];
    size_t result_count;
    struct type_note notes[TYPE_NOTES_MAX];
    size_t note_count;
    bool complete; /* all columns have been run against all copies */
};

/** Run all columns of a source; the test fails, at the end, naming each value that a copy holds
 * changed, and skips where a server is missing. */
void type_case_run(const struct type_source *source, struct type_matrix *ret_matrix);

#endif
