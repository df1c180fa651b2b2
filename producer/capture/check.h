/* Refuses tables whose changes cannot be captured whole (rules 25, 26, 28). The order of the
 * questions and the words of the refusals are the same for all databases; each answers from its
 * catalogue. */
#ifndef PRODUCER_CAPTURE_CHECK_H
#define PRODUCER_CAPTURE_CHECK_H

#include "schemas/config/config.h"
#include "schemas/entity_schema.h"

#define CHECK_NAME_SIZE 256

struct check_ops;

/** A table that is checked. Each database has this as the first member of its own structure.
 * Borrows everything. */
struct check {
    const struct check_ops *ops;
    const struct config *config; /* for check_is_applied() */
    const struct config_entry *entry;
    const struct entity_schema *schema;
    bool watching; /* with the rights of the relay's role */
    bool reading;  /* with `watching`: its rows are read, whatever changes them */
};

struct check_table {
    bool exists;
    size_t key_columns; /* of its primary key */
};

struct check_column {
    bool exists;
    bool in_key;                 /* a column of the primary key */
    char type[CHECK_NAME_SIZE];  /* as check_ops.types has it */
    char shown[CHECK_NAME_SIZE]; /* the type as people read it */
};

/** Each answers OK, RETRY, or FATAL by check_refuse(). */
struct check_ops {
    /** By the schema's type: " int bigint ", the database's types whose values it holds exactly.
     * NULL: columns have no types. */
    const char *const *types;
    /** Find the table, and refuse it where none of its kind can be captured. */
    enum status (*table)(struct check *check, struct check_table *ret_table, struct error *err);
    /** Find a column by its name in the table, and refuse it where the triggers do not see its
     * values or its keys are not told apart bytewise.
     * @param column  the schema's; NULL: the partition key's, of which only its existence counts.
     */
    enum status (*column)(struct check *check, const struct column *column, const char *name,
                          struct check_column *ret_column, struct error *err);
    /** Refuse what changes rows past the triggers. */
    enum status (*changes)(struct check *check, struct error *err);
};

/** @return OK; RETRY; FATAL with exit code 78, naming what stands in the way and what to do. */
enum status check_table(struct check *check, struct error *err) MUST_CHECK;

/** Set `err` to "publish.TYPE: table TABLE TEXT" with exit code 78. @return FATAL. */
enum status check_refuse(const struct check *check, struct error *err, const char *format, ...)
    PRINTF_LIKE(3, 4);

/** Refuse a foreign key of the table to itself that changes other rows by CASCADE, SET NULL or SET
 * DEFAULT. The triggers would take these changes for writes of this service's agent. */
enum status check_refuse_cascade(const struct check *check, const char *name, struct error *err);

/** @return whether an agent of this service writes the table too. */
bool check_is_applied(const struct check *check);

#endif
