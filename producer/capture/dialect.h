/* How a database's SQL for capture is written: one const table a database. What is written, for
 * which change and of which columns, is the same for all of them. */
#ifndef PRODUCER_CAPTURE_DIALECT_H
#define PRODUCER_CAPTURE_DIALECT_H

#include "producer/capture/capture.h"

/** What a template is written for. Changed by the words that repeat a part or name another row. */
struct writer {
    struct buffer *sql;
    const struct capture *capture;
    const struct capture_object *object;
    const char *name;  /* of the object, unquoted */
    const char *table; /* the object's */

    /* The event that is written; a row that is not there is "null". */
    char op;             /* Debezium's: 'c', 'u', 'd', 'r' */
    struct slice before; /* "OLD" */
    struct slice after;  /* "NEW" */

    struct slice row;   /* whose columns are meant */
    const char *column; /* the one that is meant, as the table has it */
    size_t index;       /* of it in the schema; SIZE_MAX where the schema does not have it */
    size_t ordinal;     /* of it in a list, from 0 */
    bool in_key;        /* its value is written for the entity key */

    bool resumed; /* existing rows: behind those that were read before */
    bool waits;   /* existing rows: for the locks of others */
    size_t limit; /* existing rows: at most so many */
};

enum part_each {
    ONCE,
    EACH_COLUMN,        /* of the schema */
    EACH_KEY,           /* column of the key, by the bytes of their names */
    EACH_KEY_PLACE,     /* the same in the order of the primary key */
    EACH_PARTITION_KEY, /* the column of `partition_key:`, if there is one */
};

/** A set of column types. */
#define OF(type) (1u << (type))

/** A template that others name. Of several with one name the first that writes anything counts. */
struct part {
    const char *name;
    const char *text;
    enum part_each each;
    const char *separator;                     /* NULL: ", " */
    unsigned int types;                        /* only for columns of these; 0: for any */
    bool (*when)(const struct writer *writer); /* NULL: always */
};

/** Something that captures a table. */
struct capture_object {
    const char *kind;   /* "trigger" */
    const char *prefix; /* its name is prefix, entity type, "_", suffix */
    const char *suffix;
    const char *change; /* the statement that fires it */
    const char *text;   /* the template */
};

/** Texts are templates. Words and parts of the database's own come before those of all. */
struct dialect {
    char quote;             /* around names */
    bool has_concat;        /* texts are joined by CONCAT(), not by || */
    const char *line_start; /* of a text that is joined over several lines: "\n    " */
    void (*literal)(struct buffer *sql, struct slice text); /* NULL: as 'it''s' */

    /** The JSON text of a column's value by the column's type, also of NULL. */
    const char *values[COLUMN_UUID + 1];
    const struct part *parts;
    size_t part_count;
    /** Write a word of the database's own. @return whether it is one; NULL: it has none. */
    bool (*word)(struct writer *writer, struct slice word);

    const struct capture_object *objects; /* in the order of creation */
    size_t object_count;
    size_t name_length_max;  /* of an object; 0: none */
    bool names_without_case; /* "A" and "a" are one name */
    /** A name within name_length_max, told apart by its digest. NULL: there is no such maximum. */
    void (*short_name)(struct buffer *name, const struct capture_object *object,
                       const char *entity_type);
    /** Set the table of an object's nth instance, and whether that is of a partition.
     * @return false: no more of it. NULL: one, of the entry's table. */
    bool (*place)(const struct capture *capture, const struct capture_object *object, size_t n,
                  struct origin_object *ret_object);
};

/** Write a template: text with words in braces. A word is one of those below, of the database's
 * own, or a part. `{part ROW}` writes the part for another row, `{part OP BEFORE AFTER}` for an
 * event. A line with nothing but a word that writes nothing is left out. Words of all databases:
 *
 *  - `{}` the column of the row, `{row}` and `{column}` each alone, `{ordinal}` its place in a
 * list;
 *  - `{table}`, `{name}` of the object;
 *  - `{column_name}`, `{table_name}`, `{partition_column_name}`, `{entity_type}` without quotes;
 *  - `{change}` the statement that fires the trigger;
 *  - `{text WORD}` what the word writes, as a literal;
 *  - `{key}`, `{type}`, `{payload}` of the event;
 *  - `{limit}` of rows. */
void writer_template(struct writer *writer, const char *text);

/** Append a text between quotes, where those in it are doubled. */
void writer_quote(struct buffer *sql, char quote, struct slice text);

/** Conditions of parts. */
bool writer_is_fixed(const struct writer *writer);   /* an update may not change the partition */
bool writer_is_resumed(const struct writer *writer); /* rows behind those that were read */
bool writer_is_read(const struct writer *writer);    /* an event of a row that was there before */
bool writer_has_before(const struct writer *writer); /* `before: true` */

#endif
