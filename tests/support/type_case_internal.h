/* Shared by the parts of a type case: the source's side and the copies' side. */
#ifndef TESTS_SUPPORT_TYPE_CASE_INTERNAL_H
#define TESTS_SUPPORT_TYPE_CASE_INTERNAL_H

#include "consumer/store/store.h"
#include "tests/support/session.h"
#include "tests/support/type_case.h"

#define TYPE_VALUES_MAX 256
#define TYPE_COPY_ALL   TYPE_DATABASES

/** One value on its way. */
struct type_row {
    const char *name;
    char *literal;   /* owned */
    char *canonical; /* owned; the source holds it */
    struct change change;
    uint64_t digest; /* of the source's row */
    bool published;  /* its change may be applied */
};

/** One column on its way. */
struct type_run {
    struct type_matrix *matrix;
    struct type_result *result;
    const struct type_column *column;
    enum database_kind kind;
    const char *name; /* of the table and the entity type */
    const char *url;
    struct session *session;
    struct session *strange;
    struct entity_schema *schema;
    const struct column *value_column;
    struct config_entry entry;
    struct type_row rows[TYPE_VALUES_MAX];
    size_t row_count;
    struct arena arena;
    struct buffer *changed; /* values that came out changed: failures */
};

/** A copy of all columns in one database. */
struct type_copy {
    enum database_kind kind;
    const char *url;
    struct session *session;
    const struct store_ops *ops;
    struct store *store;
    struct partition_state owned;
};

/** Note a refusal at one copy, or at all (TYPE_COPY_ALL). Names of this run are taken out of the
 * message. */
void type_case_refuse(struct type_run *run, size_t copy, const struct type_row *row,
                      const char *where, const char *message);

/** Note a changed value. The test will fail and name it. */
void type_case_changed(struct type_run *run, const struct type_row *row, const char *what,
                       struct slice found);

/** @return SQL that turns the column `v` into its canonical text. */
const char *type_case_reader(enum database_kind kind, enum column_type type, const char *reader);

/** Make the table, its schema and its triggers; then publish each row. @return false if the column
 * is refused as a whole. */
bool type_source_prepare(struct type_run *run);
void type_source_publish(struct type_run *run);

/** A table of a run that is read as `keepstep verify` reads it. */
struct type_scan {
    enum database_kind kind;
    struct session *session;
    const char *table;
};

/** Find the digest of each of its rows. Others are left as they were. */
void type_case_scan(struct type_run *run, const struct type_scan *scan,
                    uint64_t ret_digests[TYPE_VALUES_MAX]);

/** Apply all published rows and compare them with what the copy holds. */
void type_copy_open(struct type_copy *copy, enum database_kind kind);
void type_copy_apply(struct type_copy *copy, struct type_run *run);
void type_copy_close(struct type_copy *copy);

/** @return the bytes, in the run's arena. */
struct slice type_case_from_hex(struct type_run *run, struct slice hex);

/** The rows that session_run() wrote. */
struct type_rows {
    const char *at;
};
bool type_rows_next(struct type_rows *rows, struct slice columns[3], size_t count);

/** @return whether two canonical texts are the same value of that type. */
bool type_case_same(enum column_type type, struct slice one, struct slice other);

#endif
