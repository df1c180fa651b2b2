/* All topics that a configuration needs, each compared with what the brokers have. */
#ifndef OPERATE_TOPICS_PLAN_H
#define OPERATE_TOPICS_PLAN_H

#include "common/kafka_admin.h"
#include "common/kafka_talk.h"
#include "common/topic_design.h"
#include "schemas/config/config.h"

#define PLAN_VALUE_SIZE 64
#define PLAN_WHY_SIZE   320
#define PLAN_LINES_MAX  (TOPIC_SETTINGS_MAX + 2) /* partitions and replicas too */

enum plan_verdict {
    PLAN_SAME,
    PLAN_CHANGE,  /* `apply` changes it */
    PLAN_REFUSED, /* it differs, and `apply` leaves it: `why` says what to do */
};

/** A setting of a topic. */
struct plan_line {
    const char *name;
    char is[PLAN_VALUE_SIZE];     /* "": not known, or there is no topic yet */
    char should[PLAN_VALUE_SIZE]; /* "": anything */
    enum plan_verdict verdict;
    const char *reason;
    char why[PLAN_WHY_SIZE]; /* of PLAN_REFUSED */
};

enum plan_state {
    PLAN_MISSING,
    PLAN_THERE,
    PLAN_UNKNOWN, /* `problem` says why */
};

struct plan_topic {
    char name[TOPIC_NAME_SIZE];
    enum topic_kind kind;
    const char *read_type; /* of a topic that is applied here and published elsewhere: the entity
                            * type. It is looked at and never changed. NULL: it is our own */
    int32_t partitions;    /* that it should have */
    struct topic_design design;
    enum plan_state state;
    struct kafka_admin_topic found;
    struct plan_line lines[PLAN_LINES_MAX];
    size_t line_count;
    char problem[ERROR_TEXT_SIZE];
};

struct plan {
    struct plan_topic *topics;
    size_t count;
};

/** List the topics that a configuration needs, and those that it only reads. No broker is asked.
 * @return OK; RETRY (no memory); FATAL (a name is too long). plan_done() is legal after any. */
enum status plan_make(const struct config *config, struct plan *ret_plan,
                      struct error *err) MUST_CHECK;
void plan_done(struct plan *plan);

/** Compare one topic with what the brokers have. What cannot be read is PLAN_UNKNOWN. */
void plan_compare(struct plan_topic *topic, struct kafka_admin *admin);

/** The same of all. @return OK; RETRY (no broker answers); STOP (a mock broker). */
enum status plan_compare_all(struct plan *plan, struct kafka_admin *admin,
                             struct error *err) MUST_CHECK;

/** @return how many lines of a topic have a verdict. */
size_t plan_count(const struct plan_topic *topic, enum plan_verdict verdict);

/** @return whether it differs, or is missing or not known. A topic that others make may be
 * missing. */
bool plan_topic_differs(const struct plan_topic *topic);

/** @return whether any does. */
bool plan_differs(const struct plan *plan);

/** Make a topic that is missing, or change the settings that `apply` may change.
 * @return OK, also where there is nothing to do; RETRY; FATAL. */
enum status plan_apply(const struct plan_topic *topic, struct kafka_admin *admin,
                       struct error *err) MUST_CHECK;

#endif
