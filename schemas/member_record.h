/* The records of the control topic: what a service says of itself, and who counts (rule 45). */
#ifndef SCHEMAS_MEMBER_RECORD_H
#define SCHEMAS_MEMBER_RECORD_H

#include "common/arena.h"
#include "common/buffer.h"

#include <stdint.h>

#define MEMBER_RECORD_BYTES_MAX ((size_t)900 * 1000) /* below Kafka's default for a record */
#define MEMBER_KEY_MAX          512
#define MEMBER_POSITIONS_MAX    ((size_t)16384)
#define MEMBER_TYPES_MAX        ((size_t)1024)
#define MEMBER_PARKED_MAX       ((size_t)1024) /* partitions whose parked records are listed */
#define MEMBER_PARKED_LISTED    ((size_t)16)   /* of each the first ones */
#define MEMBER_NONE             "-"            /* the copy's id of a publisher that keeps no copy */

/** The key of a record: "member/SERVICE/COPY/INSTANCE", "policy/TYPE" or "verdict/TYPE/TOPIC".
 * Borrowed. */
enum member_key_kind { MEMBER_KEY_MEMBER, MEMBER_KEY_POLICY, MEMBER_KEY_VERDICT, MEMBER_KEY_OTHER };
struct member_key {
    enum member_key_kind kind;
    struct slice service; /* of a member, and the two below */
    struct slice copy;
    struct slice instance;
    struct slice entity_type; /* of a policy or a verdict */
    struct slice topic;       /* of a verdict */
};

enum member_state {
    MEMBER_STARTING, /* it has no position in some partition yet */
    MEMBER_COMPLETE,
    MEMBER_FILLING,
    MEMBER_PARTIAL, /* it began in the middle of the log */
    MEMBER_STOPPED, /* a partition stands still until somebody acts */
};

struct member_published {
    const char *entity_type;
    const char *topic;
    const char *columns;  /* digest of names and types (row_columns_digest()); "": not known */
    bool has_no_rows;     /* it has no `table:`, so its rows are not known */
    int64_t paused_at_us; /* wall clock, when an operator paused it; 0: it is not paused */
};

struct member_applied {
    const char *entity_type;
    const char *topic;
    enum member_state state;
    bool joined;         /* it was complete once, so it counts until it is forgotten */
    int64_t lag_ms;      /* -1: not known */
    const char *reason;  /* why it is stopped, or how far it is filled; "": neither */
    const char *columns; /* as of a published type */
    int64_t paused_at_us;
};

struct member_position {
    const char *topic;
    int32_t partition;
    int64_t epoch;
    int64_t applied;
    int64_t durable;
    int64_t parked_from; /* offset of the first parked record; -1: none is parked */
};

/** The first records that are parked of a partition. There may be more where it is full. */
struct member_parked {
    const char *topic;
    int32_t partition;
    int64_t offsets[MEMBER_PARKED_LISTED];
    size_t count;
    int64_t total; /* of the partition, where the list is full; 0: not known */
};

/** What one instance of a service says. All of it is borrowed, or in the reader's arena. */
struct member_record {
    const char *service;
    const char *copy; /* MEMBER_NONE where the service applies nothing */
    const char *instance;
    const char *version;
    int64_t at_us;   /* wall clock of the writer */
    int64_t waiting; /* rows of the outbox; -1: not known here */
    int64_t set_aside;
    struct member_published *published;
    size_t published_count;
    struct member_applied *applied;
    size_t applied_count;
    struct member_position *positions;
    size_t position_count;
    struct member_parked *parked; /* not of all partitions, if there are too many */
    size_t parked_count;
};

/** Who counts of a type, whoever was seen. */
struct member_policy {
    const char **members; /* "shop" for a publisher, "billing/COPY" for a copy */
    size_t count;
};

/** @return "complete", "filling" … */
const char *member_state_name(enum member_state state);

/** Take a key apart. A key that is none of ours is MEMBER_KEY_OTHER. */
struct member_key member_key_read(struct slice key);

/** Append the key of a member record. */
void member_key_append(const struct member_record *member, struct buffer *out);

/** Append the value of a member record. The caller looks at out->failed. */
void member_record_append(const struct member_record *member, struct buffer *out);

/** Append the value of a policy record. */
void member_policy_append(const struct member_policy *policy, struct buffer *out);

/** Read the value of a member record. Members that are not known are read past.
 * @return OK; REJECT (the text names the member at fault, never its content); RETRY (no memory, or
 * the arena is full). */
enum status member_record_read(struct slice value, struct arena *arena,
                               struct member_record *ret_member, struct error *err) MUST_CHECK;

/** The same of a policy record. */
enum status member_policy_read(struct slice value, struct arena *arena,
                               struct member_policy *ret_policy, struct error *err) MUST_CHECK;

#endif
