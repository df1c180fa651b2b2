/* A change event in memory: plain values in the batch's arena. */
#ifndef SCHEMAS_CHANGE_H
#define SCHEMAS_CHANGE_H

#include "common/arena.h"
#include "common/topic_partition.h"
#include "schemas/entity_schema.h"
#include "schemas/record/format.h"

enum value_kind {
    VALUE_ABSENT,
    VALUE_NULL,
    VALUE_INTEGER,
    VALUE_DOUBLE,
    VALUE_BOOLEAN,
    VALUE_TEXT,
    VALUE_UNFIT
};

/** VALUE_TEXT is for every column type whose wire form is a string. COLUMN_BYTES is already decoded
 * to its bytes. VALUE_UNFIT comes only from a scan (schemas/row_scan.h), never from a record: a
 * value without a canonical form, whose `text` is its JSON text as the database wrote it. */
struct value {
    enum value_kind kind;
    union {
        int64_t integer;
        double number;
        bool boolean;
        struct slice text;
    };
};

#define JOINT_ENTITY_TYPE "keepstep.joint" /* of the records of joint transactions (rule 60) */

#define RECORD_HEADERS_READ 1024 /* a record with more stops its partition */

enum change_op { CHANGE_CREATE, CHANGE_UPDATE, CHANGE_DELETE, CHANGE_READ };
enum change_kind { KIND_CHANGE, KIND_BARRIER, KIND_HEARTBEAT, KIND_VOID };

struct header {
    struct slice name;
    struct slice value;
};

/** How another program writes the records of a topic. Borrowed; must outlive the changes that are
 * read with it. */
struct record_form {
    enum record_format format;
    enum record_binary binary;
    const struct entity_schema *schema;
};

/** One Kafka record as it was read; everything in it is borrowed. */
struct record {
    const struct record_form *form; /* NULL: Keepstep's own */
    const char *topic;
    int32_t partition;
    int64_t offset;
    int64_t time_us;    /* the broker's wall clock; 0: unknown */
    struct slice key;   /* data NULL: no key */
    struct slice value; /* data NULL: null value */
    const struct header *headers;
    size_t header_count;
};

static inline struct topic_partition record_tp(const struct record *record)
{
    return (struct topic_partition){record->topic, record->partition};
}

/** What a record says. Slices are in the record, or in the arena of record_decode(). */
struct change {
    struct record record;   /* a deep copy in the arena, for parking it whole */
    size_t partition_index; /* set by the reader of several partitions; otherwise 0 */
    enum change_kind kind;
    enum change_op op;
    struct slice id;          /* ce_id; empty: only the position absorbs duplicates */
    struct slice source;      /* ce_source */
    struct slice incarnation; /* ce_incarnation; empty: not sequenced */
    struct slice previous_id; /* ce_previousid; empty at sequence 1 */
    uint64_t sequence;        /* 0: not sequenced */
    uint64_t changeset_end; /* ce_changeset: the last sequence of its change set; 0: it is alone */
    struct slice entity_type;
    struct slice entity_key; /* canonical */
    int64_t time_us;         /* ce_time; 0: absent */
    const struct entity_schema
        *schema;          /* NULL for kinds other than change, unknown or ignored types */
    struct value *values; /* schema->column_count of them: `after`; for a delete only the key */
    bool is_new;   /* its image is for a row that is not there; a store rejects it where it is */
    bool is_there; /* its row is there: it is updated, also where the image is whole */
};

/** Finds the schema of an entity type. */
struct schema_finder {
    /** @return NULL where none is configured. */
    const struct entity_schema *(*find)(void *context, struct slice entity_type);
    void *context;
};

struct descriptions; /* schemas/record/descriptions.h */

/** What record_decode() works with. */
struct decoder {
    struct schema_finder finder;
    struct arena *arena;
    struct descriptions *descriptions; /* NULL: it remembers nothing from record to record */
};

/** Decode one record and validate it. `ret_change` is filled as far as the record could be read,
 * and its record is copied: so a rejected record can be parked with its entity, or with its record
 * key. An unknown entity type is OK with schema NULL; the caller ignores it or stops.
 * @return OK; REJECT (malformed or invalid, with the reason); STOP (unknown protocol or kind, or a
 * column that the schema lacks); RETRY (arena full). */
enum status record_decode(const struct record *record, const struct decoder *decoder,
                          struct change *ret_change, struct error *err) MUST_CHECK;

/** Pack headers into one blob for keepstep_parked, and unpack them. Unpacked slices borrow the
 * blob. */
struct slice headers_pack(const struct header *headers, size_t count,
                          struct arena *arena) MUST_CHECK;
enum status headers_unpack(struct slice blob, struct arena *arena, struct header **ret_headers,
                           size_t *ret_count, struct error *err) MUST_CHECK;

/** Check a record value (`payload` of the outbox) against the schema, as the reader will.
 * @return OK; REJECT naming the field and the reason. */
enum status payload_validate(const struct entity_schema *schema, struct slice payload,
                             struct slice entity_key, struct error *err) MUST_CHECK;

/** An entity's row, wherever it was read. */
struct entity_row {
    const struct entity_schema *schema;
    struct slice entity_key;
    struct slice json;  /* an object of its columns */
    struct slice value; /* instead of json: the value of its `r` event. Neither: it has no row */
};

/** Make the change that gives an entity its row, or takes it away; it is read and validated as a
 * record's would be. A column that the row lacks keeps its value. Slices are in the row or the
 * arena. @return OK; REJECT naming the field and the reason; RETRY (arena full). */
enum status change_of_row(const struct entity_row *row, struct arena *arena,
                          struct change *ret_change, struct error *err) MUST_CHECK;

/** Make `aggregateid` canonical. An object of the key columns gets sorted members and the shortest
 * escapes. A bare scalar becomes {"<the only key column>":scalar}.
 * @return OK; REJECT where it is not the entity's key. */
enum status canonical_key(const struct entity_schema *schema, struct slice text,
                          struct arena *arena, struct slice *ret_key, struct error *err) MUST_CHECK;

/** @return the partition that Java clients compute: murmur2 of the record key. */
int32_t partition_of(struct slice record_key, int32_t partition_count);

/** @return whether a change of a known schema has a value for each column. */
bool change_is_complete(const struct change *change);

const char *change_op_name(enum change_op op); /* "created", "updated", "deleted", "read" */

#endif
