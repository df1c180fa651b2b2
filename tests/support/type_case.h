/* One native column type of a source database, with its values, on the whole way: table, schema,
 * triggers, record, and the copies in all databases. */
#ifndef TESTS_SUPPORT_TYPE_CASE_H
#define TESTS_SUPPORT_TYPE_CASE_H

#include "tests/support/database.h"

#define TYPE_DATABASES   3 /* enum database_kind */
#define TYPE_NOTES_MAX   256
#define TYPE_RESULTS_MAX 96

struct type_value {
    const char *name;      /* its name in docs/TYPES.md */
    const char *literal;   /* in the source's SQL */
    const char *canonical; /* what every copy must hold; NULL: what the source's own SQL gives */
};

enum type_generator { TYPE_LISTED, TYPE_RANDOM_DOUBLES, TYPE_ALL_CHARACTERS };

struct type_column {
    const char *native;
    const char *by_hand; /* x-keepstep-type, if `keepstep schema table` does not give it */
    const char *before;  /* a statement that makes the type; NULL: none is needed */
    const char *reader;  /* canonical text of the column $ in the source; NULL: by schema type */
    const char *kept;    /* the native type at a PostgreSQL copy; NULL: as the agent makes it */
    bool is_key;
    enum type_generator generator;
    const struct type_value *values; /* the last one has no name */
};

struct type_source {
    enum database_kind kind;
    const struct type_column *columns;
    size_t count;
};

/** What is refused, by which part, and with which words. */
struct type_note {
    const char *where;
    const char *message;
    const char *values; /* "`real`: NaN, infinity; `numeric`: NaN" */
    const char *last_native;
};

/** The outcome of one column at each copy. */
struct type_result {
    const struct type_column *column;
    const char *schema_type; /* with its digits or length; NULL: the schema is refused */
    const char *tried;       /* names of the values */
    size_t value_count;
    size_t refused[TYPE_DATABASES]; /* how many values do not reach a copy */
    bool notes[TYPE_DATABASES][TYPE_NOTES_MAX];
};

/** The results of one source. Notes are numbered from 1. */
struct type_matrix {
    enum database_kind kind;
    struct type_result results[TYPE_RESULTS_MAX];
    size_t result_count;
    struct type_note notes[TYPE_NOTES_MAX];
    size_t note_count;
    bool complete; /* all columns ran against all copies */
};

/** Run all columns of a source. In the end the test fails if a copy holds a value that was changed,
 * and names each. Skips if a server is missing. */
void type_case_run(const struct type_source *source, struct type_matrix *ret_matrix);

#endif
