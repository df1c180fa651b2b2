/* What a database's SQL for capture looks like: one const table a database. Which events a change
 * has, and what they say, is the same for all databases. */
#ifndef PRODUCER_CAPTURE_DIALECT_H
#define PRODUCER_CAPTURE_DIALECT_H

#include "producer/capture/capture.h"
#include "schemas/column_dialect.h"

/** What a template is being written for. A part gets a copy with its own row, event or column. */
struct writer {
    struct buffer *sql;
    const struct capture *capture;
    const struct capture_object *object;
    const char *name;  /* of the object, unquoted */
    const char *table; /* the object's */

    /* The event; "null" stands for a row that is not there. */
    char op;             /* Debezium's: 'c', 'u', 'd', 'r' */
    struct slice before; /* "OLD" */
    struct slice after;  /* "NEW" */

    const char *value_name; /* template of the name of a unique index's values */

    struct slice row;   /* "OLD": whose columns `{}` means */
    const char *column; /* the table's column that `{}` means */
    size_t index;       /* the column's in the schema; SIZE_MAX: the schema does not have it */
    size_t ordinal;     /* the column's place in a list, from 0 */

    /* A query of existing rows, see struct capture_rows. */
    bool resumed;
    bool waits;
    size_t limit;
};

enum part_each {
    ONCE,
    EACH_COLUMN,        /* of the schema */
    EACH_KEY,           /* column of the key, ordered by the bytes of their names */
    EACH_KEY_PLACE,     /* column of the key, in the order of the primary key */
    EACH_PARTITION_KEY, /* the one column of `partition_key:`; nothing where there is none */
};

/** A set of column types. */
#define OF(type) (1u << (type))

/** A named piece that templates use. Several may have one name: the first that applies is written.
 */
struct part {
    const char *name;
    const char *text;
    enum part_each each;
    const char *separator;                     /* NULL: ", " */
    unsigned int types;                        /* only for columns of these; 0: for any */
    bool (*when)(const struct writer *writer); /* NULL: always */
};

/** A trigger or function that captures a table. */
struct capture_object {
    const char *kind;   /* "trigger" */
    const char *prefix; /* its name is prefix, entity type, "_", suffix */
    const char *suffix;
    const char *change; /* the statement that fires it */
    const char *text;   /* the template */
};

/** All texts are templates. The database's own words and parts come before the common ones. */
struct dialect {
    const struct column_dialect *columns; /* how texts and values are written */
    const struct part *parts;
    size_t part_count;
    /** Write a word of the database's own. @return whether it is one; NULL: it has none. */
    bool (*word)(struct writer *writer, struct slice word);

    const struct capture_object *objects; /* in the order of creation */
    size_t object_count;
    size_t name_length_max;  /* of an object; 0: none */
    bool names_without_case; /* "A" and "a" are one name */
    /** Append a name that fits name_length_max and has a digest of the entity type. NULL: there is
     * no maximum. */
    void (*short_name)(struct buffer *name, const struct capture_object *object,
                       const char *entity_type);
    /** Set `table` and `of_partition` for the nth table that gets this object.
     * @return false: there are no more. NULL: only the entry's table gets it. */
    bool (*place)(const struct capture *capture, const struct capture_object *object, size_t n,
                  struct origin_object *ret_object);
};

/** Write a template (schemas/sql_text.h). A word is one of those below, one of the database's own,
 * or the name of a part. `{part ROW}` writes the part for another row, and `{part OP BEFORE AFTER}`
 * for another event. The words of all databases:
 *
 *  - `{}`: the column of the row; `{row}` and `{column}`: one of the two;
 *  - `{ordinal}`: the column's place in a list;
 *  - `{table}`, `{name}`: the object's table and name;
 *  - `{column_name}`, `{table_name}`, `{partition_column_name}`, `{entity_type}`: without quotes;
 *  - `{change}`: the statement that fires the trigger;
 *  - `{text WORD}`: what the word writes, as a literal;
 *  - `{key}`, `{type}`, `{payload}`: of the event;
 *  - `{limit}`: how many rows are read;
 *  - `{is_key}`: the row `t` has a key, whose columns are the query's parameters. */
void writer_template(struct writer *writer, const char *text);

/** Conditions of parts. */
bool writer_is_fixed(const struct writer *writer);   /* an update may not change the partition */
bool writer_is_resumed(const struct writer *writer); /* rows behind those that were read */
bool writer_is_joint(const struct writer *writer);   /* others may ask to change the type */
bool writer_is_not_joint(const struct writer *writer);
bool writer_has_before(const struct writer *writer); /* `before: true` */

#endif
