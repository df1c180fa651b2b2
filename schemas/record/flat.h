/* Inside the flat readers: JSON's tokens, and rows of scalars, read without a document in memory.
 * They take only what jansson takes too, and leave everything else to it. */
#ifndef SCHEMAS_RECORD_FLAT_H
#define SCHEMAS_RECORD_FLAT_H

#include "schemas/json_schema/json_schema.h"
#include "schemas/record/description.h"
#include "schemas/record/value.h"

#define FLAT_MEMBERS_MAX ((size_t)ENTITY_COLUMNS_MAX) /* of one object */

struct flat_reader {
    const char *at;
    const char *end;
    struct arena *arena;
};

/** A row while it is read. */
struct flat_row {
    const struct entity_schema *schema;
    const struct json_flat *flat;
    const struct description *description; /* of Debezium's values; NULL: they have our forms */
    struct value *values;
    size_t count;                               /* columns that have a value */
    uint64_t left_out[ENTITY_COLUMNS_MAX / 64]; /* a bit for each value that Debezium left out */
};

/** The names of one object's members. */
struct flat_names {
    uint64_t marks[4]; /* a bit for each name's digest */
    size_t count;
    struct slice names[FLAT_MEMBERS_MAX];
};

static inline void flat_skip_space(struct flat_reader *reader)
{
    while (reader->at < reader->end && (*reader->at == ' ' || *reader->at == '\n' ||
                                        *reader->at == '\r' || *reader->at == '\t'))
        reader->at++;
}

/** @return the next byte; NUL at the end. */
static inline char flat_next(const struct flat_reader *reader)
{
    return reader->at < reader->end ? *reader->at : '\0';
}

static inline bool flat_take(struct flat_reader *reader, struct slice text)
{
    if ((size_t)(reader->end - reader->at) < text.length ||
        memcmp(reader->at, text.data, text.length) != 0)
        return false;
    reader->at += text.length;
    return true;
}

/** Take one character of JSON's grammar, and the white space around it. */
static inline bool flat_take_mark(struct flat_reader *reader, char mark)
{
    flat_skip_space(reader);
    if (reader->at == reader->end || *reader->at != mark)
        return false;
    reader->at++;
    flat_skip_space(reader);
    return true;
}

/** Read a string. It is borrowed where it has no escapes. */
bool flat_string(struct flat_reader *reader, struct slice *ret_text) MUST_CHECK;

/** Read a JSON integer. One that may exceed 64 bits is not taken. */
bool flat_integer(struct flat_reader *reader, int64_t *ret_integer) MUST_CHECK;

/** Read the rest of a number that begins at `start`, after its integer digits. */
bool flat_real(struct flat_reader *reader, const char *start, double *ret_real) MUST_CHECK;

/** Begin an object's names. */
static inline void flat_names_begin(struct flat_names *names)
{
    memset(names->marks, 0, sizeof names->marks);
    names->count = 0;
}

/** Read a member's name with its colon. A name with escapes is not taken, nor one that the object
 * has had already. */
bool flat_take_name(struct flat_reader *reader, struct flat_names *names,
                    struct slice *ret_name) MUST_CHECK;

/** Move past any value, and check it. */
bool flat_skip_value(struct flat_reader *reader) MUST_CHECK;

/** Read an object of columns. */
bool flat_columns(struct flat_reader *reader, struct flat_row *row) MUST_CHECK;

/** Read the value of a column in our own form. */
bool flat_column(struct flat_reader *reader, const struct flat_row *row, size_t index) MUST_CHECK;

/** As flat_column() for a value of Debezium's. */
bool flat_debezium_column(struct flat_reader *reader, struct flat_row *row,
                          size_t index) MUST_CHECK;

/** @return a row that is to be read; `flat` is NULL where its schema is not flat. */
struct flat_row flat_row_of(const struct record_row *row);

/** Finish a row: give absent columns their meaning, and compare the key.
 * @return false where jansson might refuse it; the values are then to be given up. */
bool flat_row_end(const struct flat_row *flat, const struct record_row *row) MUST_CHECK;

/** Make the values absent again. @return false. */
bool flat_give_up(const struct record_row *row);

#endif
