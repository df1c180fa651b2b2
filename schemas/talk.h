/* What services ask each other over the talk topic, and what they answer (rule 48;
 * docs/PROTOCOL.md, section 12). A session is between one asker and one desk, about one entity
 * type, at one snapshot. What an answer says of rows stands in the rows topic of their data topic;
 * in the talk topic stand only questions, reasons and TALK_KEEP's answers. */
#ifndef SCHEMAS_TALK_H
#define SCHEMAS_TALK_H

#include "common/arena.h"
#include "common/buffer.h"
#include "schemas/row_digest.h"

#define TALK_MESSAGE_BYTES_MAX ((size_t)900 * 1000) /* below Kafka's default for a record */
#define TALK_LEFT_OUT_MAX      ((size_t)50000)
#define TALK_LISTED_MAX        ((size_t)1000000) /* rows or open entities, of one answer */
#define TALK_KEYS_MAX          ((size_t)5000)    /* in one question */
#define TALK_PARTITIONS_MAX    ((size_t)16384)
#define TALK_OFFSET_MAX        (INT64_C(1) << 48) /* those of all partitions can be added up */
#define TALK_TYPES_MAX         ((size_t)1024)     /* and topics, in one question */
#define TALK_KEEP_S            10 /* how often an asker says that it still wants a snapshot */
#define TALK_IDLE_S            60 /* after which a desk ends a session that nobody asks */

enum talk_ask {
    TALK_STAMP,  /* begin a snapshot, and say its stamp: the first question of a session */
    TALK_SUMS,   /* add up the digests of the rows */
    TALK_LIST,   /* list the rows of some buckets */
    TALK_KEYS,   /* list the rows of some entities */
    TALK_KEEP,   /* the snapshot is still wanted, and so is the answer to the last question */
    TALK_END,    /* end the session: it is not answered */
    TALK_FILL,   /* write the rows of a topic into its rows topic */
    TALK_REPORT, /* write a member record now and at each durable commit: it is not answered */
};
#define TALK_ASKS 8

struct talk_column {
    const char *name;
    enum column_type type;
    bool is_key;
};

struct talk_columns {
    const struct talk_column *list;
    size_t count;
};

/** An entity type of TALK_FILL. */
struct talk_type {
    const char *entity_type;
    struct talk_columns columns;
};

/** A question. What is not of its kind is not written, and is 0 when it was read. */
struct talk_question {
    enum talk_ask ask;
    const char *id;   /* of the session, a UUID: the record's key too */
    int64_t number;   /* of the question in its session, from 1 on. TALK_KEEP has that of the last
                       * question */
    const char *to;   /* the desk, as talk_desk_append() writes it; "": every desk (TALK_REPORT) */
    const char *from; /* the asker's service */
    /** TALK_STAMP: the session ends that long after it, whatever happens. TALK_REPORT: so long. */
    int64_t seconds;
    const char *entity_type;     /* TALK_STAMP */
    const char *topic;           /* TALK_STAMP, TALK_FILL: the data topic */
    struct talk_columns columns; /* TALK_SUMS, TALK_LIST, TALK_KEYS: those that are digested */
    const uint64_t *left_out;    /* TALK_SUMS, TALK_LIST: digests of keys, sorted */
    size_t left_out_count;
    const uint16_t *buckets; /* TALK_LIST: sorted, each below ROW_BUCKETS */
    size_t bucket_count;
    const struct slice *keys; /* TALK_KEYS: canonical */
    size_t key_count;
    bool with_rows;                /* TALK_LIST, TALK_KEYS: the columns too, as a JSON object */
    const struct talk_type *types; /* TALK_FILL */
    size_t type_count;
    const char *target;        /* TALK_FILL: "SERVICE/COPY" that is filled */
    const char *const *topics; /* TALK_REPORT */
    size_t topic_count;
};

/** The answer to a question, behind its parts. */
struct talk_answer {
    enum talk_ask ask; /* the question's kind */
    const char *id;
    int64_t number;
    const char *from; /* the desk that answers */
    const char *why;  /* why it cannot, which ends the session; NULL: it can */
    int64_t parts;    /* TALK_STAMP, TALK_LIST, TALK_KEYS: that were written to the rows topic */
    uint64_t rows;    /* TALK_SUMS: added up; TALK_LIST, TALK_KEYS: in the parts; TALK_KEEP: read so
                       * far by the question that is being answered */
    const char *cluster_id; /* TALK_STAMP and the rest; "": unknown */
    const int64_t *offsets;
    size_t partition_count;
    struct talk_columns columns; /* as the desk's service has them */
    uint64_t open_count;         /* of entities in the parts; more than were asked for: too many */
    const uint64_t *sums;        /* TALK_SUMS: ROW_BUCKETS of them */
};

/** Why an entity is open at a desk's copy (rule 33). */
enum talk_open_reason { TALK_OPEN_OWN, TALK_OPEN_IMAGE, TALK_OPEN_PARKED };
#define TALK_OPEN_REASONS 3

struct talk_open {
    struct slice key;
    enum talk_open_reason reason;
};

struct talk_row {
    struct slice key;
    uint64_t digest;
    struct slice json; /* data NULL: not asked for, or too large for a message */
    bool is_unfit;     /* a value of it has no canonical form, and is a text in `json` */
};

/** A part of an answer, in the rows topic. */
struct talk_part {
    enum talk_ask ask;
    const char *id;
    int64_t number;
    const char *from;
    int64_t part;                 /* from 1 on */
    const struct talk_open *open; /* TALK_STAMP */
    size_t open_count;
    const struct talk_row *rows; /* TALK_LIST, TALK_KEYS; a key without a row is not in it */
    size_t row_count;
};

/** @return "stamp", "sums" … */
const char *talk_ask_name(enum talk_ask ask);

/** Append a desk's name: SERVICE/COPY/INSTANCE, as in the key of its member record. */
void talk_desk_append(const char *service, const char *copy, const char *instance,
                      struct buffer *out);

/** Append a question or an answer. The caller looks at out->failed: its maximum is
 * TALK_MESSAGE_BYTES_MAX. */
void talk_question_append(const struct talk_question *question, struct buffer *out);
void talk_answer_append(const struct talk_answer *answer, struct buffer *out);

enum talk_kind { TALK_QUESTION, TALK_ANSWER, TALK_PART };

/** Any message of talk and rows topics. All of it is in the reader's arena. */
struct talk_message {
    enum talk_kind kind;
    union {
        struct talk_question question;
        struct talk_answer answer;
        struct talk_part part;
    };
};

/** Read the value of a record, strictly: another program may have written it. Members that are not
 * known are read past.
 * @return OK; REJECT (it is no such message, or of another version; the text names the member at
 * fault, never its content); RETRY (no memory, or the arena is full). */
enum status talk_message_read(struct slice value, struct arena *arena,
                              struct talk_message *ret_message, struct error *err) MUST_CHECK;

/** Make a schema of columns, as far as a comparison needs one: it judges no rows.
 * @return OK; REJECT (no key, or too many columns); RETRY (memory). entity_schema_free() ends it.
 */
enum status talk_schema_new(const char *entity_type, const struct talk_columns *columns,
                            struct entity_schema **ret_schema, struct error *err) MUST_CHECK;

/** Find the columns of a question in a desk's own schema.
 * @return as row_columns_find(). */
enum status talk_columns_find(const struct entity_schema *schema,
                              const struct talk_columns *columns, struct row_columns *ret_columns,
                              struct error *err) MUST_CHECK;

/** The columns of a schema, borrowed from it, in the arena. @return OK; RETRY. */
enum status talk_columns_of(const struct entity_schema *schema, struct arena *arena,
                            struct talk_columns *ret_columns, struct error *err) MUST_CHECK;

#endif
