/* The stream of a fill (rules 38 to 40): what it begins with, rows, single idempotency keys, and
 * what it ends with. Whoever reads a source writes it, whoever loads a copy reads it: in one
 * process as these structs, over Kafka as the records of docs/PROTOCOL.md, section 11. */
#ifndef SCHEMAS_FILL_RECORD_H
#define SCHEMAS_FILL_RECORD_H

#include "common/arena.h"
#include "common/buffer.h"
#include "schemas/change.h"

#define FILL_ID_SIZE          37 /* a UUID and its NUL */
#define FILL_DIGESTS          256
#define FILL_TYPES_MAX        ((size_t)1024)
#define FILL_PARTITIONS_MAX   ((size_t)16384)
#define FILL_SEQUENCES_MAX    ((size_t)16384)
#define FILL_KEYS_MAX         ((size_t)1024)       /* of one `key` part */
#define FILL_RECORD_BYTES_MAX ((size_t)900 * 1000) /* of any part but a row */
#define FILL_KEY_TEXT_MAX     ((size_t)255)        /* of an idempotency key's source, and id */

/** How far the rows contain a partition of the log. */
struct fill_position {
    int64_t next_offset;
    int64_t anchor_offset; /* -1: none */
    const char *anchor_id; /* "": none */
};

/** Up to which sequence the rows contain an origin's events. */
struct fill_sequence {
    int32_t partition;
    const char *source;
    const char *incarnation;
    uint64_t base;
    uint64_t last;
    const char *last_id;
    const uint32_t *digests; /* FILL_DIGESTS of them; NULL: none is known */
};

/** What a stream begins with: all that is installed before the first row. */
struct fill_begin {
    const char *id; /* of the attempt, a UUID */
    const char *topic;
    const char *source;       /* the service whose rows these are */
    const char *cluster_id;   /* "": unknown */
    const char *const *types; /* the entity types of the topic whose rows follow */
    size_t type_count;
    const struct fill_position *positions; /* one of each partition */
    int32_t partition_count;
    const struct fill_sequence *sequences;
    size_t sequence_count;
};

struct fill_row {
    struct slice entity_type;
    struct slice key;   /* canonical */
    struct slice value; /* of its record: {"op":"r","before":null,"after":{…}} */
    struct slice json;  /* the object in it: the columns, as `r` events have them */
};

/** The value of a row's record stands between these. */
#define FILL_ROW_HEAD "{\"op\":\"r\",\"before\":null,\"after\":"
#define FILL_ROW_TAIL "}"

/** A single idempotency key. */
struct fill_key {
    struct slice source;
    struct slice id;
    uint64_t digest;
};

/** What a stream ends with. */
struct fill_end {
    uint64_t rows;
    uint64_t digest;          /* as struct fill_sums has it */
    const int64_t *filled_to; /* of each partition: from there on the copy is complete */
    int32_t partition_count;
};

/** What was sent or read so far, in any order. Begin with zeros. */
struct fill_sums {
    uint64_t rows;
    uint64_t digest; /* the digests of all rows and keys, added modulo 2^64 */
};

void fill_sums_add_row(struct fill_sums *sums, const struct fill_row *row);
void fill_sums_add_key(struct fill_sums *sums, const struct fill_key *key);

/** @return whether all that the end names was read. */
bool fill_sums_match(const struct fill_sums *sums, const struct fill_end *end);

/** The parts of a stream, by their header `ks_part`. */
enum fill_part {
    FILL_PART_BEGIN,
    FILL_PART_ROW,
    FILL_PART_KEYS,
    FILL_PART_END,
    FILL_PART_VOID,
    FILL_PART_WAIT
};
#define FILL_PARTS 6

/** The headers of a part. */
struct fill_head {
    struct slice id; /* ks_fill */
    enum fill_part part;
    uint64_t number;          /* ks_number: 1, 2 … without gaps */
    struct slice entity_type; /* of a row */
};

#define FILL_HEADERS 4
struct fill_headers {
    struct header headers[FILL_HEADERS];
    size_t count;
    char number[24];
    char type[300]; /* "order.read" */
};

/** Write the headers of a part; they borrow `head` and `ret_headers`.
 * @return OK; REJECT (the entity type is too long). */
enum status fill_head_write(const struct fill_head *head, struct fill_headers *ret_headers,
                            struct error *err) MUST_CHECK;

/** Read the headers of a record. They are borrowed.
 * @return OK; REJECT (it is no part of a fill, or a header is missing or of another form). */
enum status fill_head_read(const struct record *record, struct fill_head *ret_head,
                           struct error *err) MUST_CHECK;

/* The values. Writing never fails but by `out->failed`; what is longer than FILL_RECORD_BYTES_MAX
 * nobody reads. Reading is strict, because another program has written: what is read is in `arena`
 * or borrows the value.
 * @return OK; REJECT (the text names the member at fault, never its content); RETRY (no memory, or
 * the arena is full). */
void fill_begin_append(const struct fill_begin *begin, struct buffer *out);
enum status fill_begin_read(const struct record *record, struct arena *arena,
                            struct fill_begin *ret_begin, struct error *err) MUST_CHECK;
/** Read a row, which borrows the record. Whether its object is a row of the type, the schema of who
 * loads it decides. */
enum status fill_row_read(const struct record *record, struct fill_row *ret_row,
                          struct error *err) MUST_CHECK;
void fill_keys_append(const struct fill_key *keys, size_t count, struct buffer *out);
enum status fill_keys_read(const struct record *record, struct arena *arena,
                           struct fill_key **ret_keys, size_t *ret_count,
                           struct error *err) MUST_CHECK;
void fill_end_append(const struct fill_end *end, struct buffer *out);
enum status fill_end_read(const struct record *record, struct arena *arena,
                          struct fill_end *ret_end, struct error *err) MUST_CHECK;
/** Why the source gave the attempt up (FILL_PART_VOID), or what it waits for (FILL_PART_WAIT). */
void fill_reason_append(const char *reason, struct buffer *out);
enum status fill_reason_read(const struct record *record, struct arena *arena,
                             const char **ret_reason, struct error *err) MUST_CHECK;

#endif
