/* What the control topic says: the last record of each instance, the policies and the verdicts. */
#ifndef OPERATE_MEMBERS_H
#define OPERATE_MEMBERS_H

#include "common/kafka_control_topic.h"
#include "operate/quorum.h"
#include "schemas/config/config.h"
#include "schemas/verdict_record.h"

#define MEMBERS_MAX 1024 /* records that are kept */

/** One record of the control topic. */
struct members_item {
    char key[MEMBER_KEY_MAX + 1];
    struct member_key read;      /* of `key` */
    struct arena arena;          /* holds what was read of the value */
    struct member_record record; /* of its kind; the others are empty */
    struct member_policy policy;
    struct verdict_record verdict;
    int64_t offset;
};

struct members {
    struct members_item **items;
    size_t count;
    int64_t end;             /* the records before this offset of the control topic were read */
    struct error unreadable; /* of the last record that could not be read; its status OK: none */
};

/** An entity type in a topic. */
struct members_type {
    const char *entity_type;
    const char *topic;
};

void members_init(struct members *members);
void members_done(struct members *members);

/** A control_visit: keep the record in the place of an older one with its key, or drop that where
 * this is a tombstone. A record that cannot be read changes nothing, and is noted.
 * @param context  struct members. @return OK; RETRY (no memory, or more than MEMBERS_MAX). */
enum status members_take(void *context, const struct control_record *record, struct error *err);

/** Read what the topic has got since the last call. @return as control_topic_read(). */
enum status members_read(struct members *members, struct control_topic *topic,
                         struct error *err) MUST_CHECK;

/** List the types that records speak of, by name. The caller frees the array; the texts are the
 * records'. @return OK; RETRY (no memory). */
enum status members_types(const struct members *members, struct members_type **ret_types,
                          size_t *ret_count, struct error *err) MUST_CHECK;

/** @return whether a service publishes or applies the type. */
bool members_type_is_own(const struct members_type *type, const struct config *config);

/** Make the quorum of a type; free it before the records change.
 * @return as quorum_make(). */
enum status members_quorum(const struct members *members, const struct members_type *type,
                           struct quorum *ret_quorum, struct error *err) MUST_CHECK;

/** The same under a policy that the control topic does not have; NULL: without one. */
enum status members_quorum_under(const struct members *members, const struct members_type *type,
                                 const struct member_policy *policy, struct quorum *ret_quorum,
                                 struct error *err) MUST_CHECK;

/** @return the policy of an entity type; NULL: there is none. It lasts until the records change. */
const struct member_policy *members_policy(const struct members *members, const char *entity_type);

/** @return the verdicts on a type, and in the same way; NULL: there are none. */
const struct verdict_record *members_verdict(const struct members *members,
                                             const struct members_type *type);

/** @return the options of a control topic for a service. `group` has the size of the buffer. */
struct control_options members_control(const struct config *config, char *group, size_t size);

#endif
