/* Compares the rows of one entity type, wherever they are: who takes part goes in, what was found
 * comes out. Whoever wants to know it uses this, a command or a sidecar. */
#ifndef OPERATE_VERIFY_VERIFY_H
#define OPERATE_VERIFY_VERIFY_H

#include "operate/compare/compare.h"
#include "operate/compare/role.h"

#define VERIFY_LABEL_SIZE 512

/** Who takes part. */
struct verify_member {
    struct participant *participant;
    const struct config_entry *entry; /* says how the topic is read, if this is the reference */
    const char *path;                 /* of its configuration; NULL: its rows are asked for */
    bool applies;                     /* it is a copy, which can be repaired */
    bool publishes;
    char label[VERIFY_LABEL_SIZE]; /* for people: "billing"; "billing/COPY" where several copies of
                                    * the service take part. Made when the comparison begins */
};

/** One comparison, of one entity type. */
struct verify {
    const struct config *config; /* the asker's: its limits, and how it reads Kafka */
    const char *entity_type;
    struct verify_member members[COMPARE_PARTICIPANTS_MAX]; /* begun: the reference first */
    size_t count;
    struct participant_options options[COMPARE_PARTICIPANTS_MAX]; /* of services opened here */
};

/** How to compare. */
struct verify_options {
    const char *from;        /* the service that the others are compared with. NULL, or not one
                              * of them: the only publisher, else the first by name */
    const atomic_bool *stop; /* as in struct compare_options; and the three others */
    bool with_rows;
    void (*progress)(void *context, const struct participant *participant, uint64_t rows);
    void *context;
};

struct verify_result {
    struct comparison comparison; /* its participants are the members, in their order */
    int64_t started_us;           /* wall clock */
    int64_t ended_us;
    bool stopped; /* it was told to end, so it says nothing */
};

/** @param config  outlives it, as `entity_type` does. verify_done() takes back all of it. */
void verify_init(struct verify *ret_verify, const struct config *config, const char *entity_type);
void verify_done(struct verify *verify);

/** Let somebody take part. @param member  its participant is freed by this, also where it fails.
 * @return OK; FATAL (too many). */
enum status verify_add(struct verify *verify, const struct verify_member *member,
                       struct error *err) MUST_CHECK;

/** Let a service take part whose database is opened here, if it has rows of the type.
 * @param service  outlives it. @return OK; FATAL. */
enum status verify_add_service(struct verify *verify, const struct service *service,
                               struct error *err) MUST_CHECK;

/** Compare. It takes as long as the rows are read, and reads the log with a consumer of its own.
 * @return OK; RETRY; FATAL (fewer than two take part). verify_result_done() is legal after any. */
enum status verify_compare(struct verify *verify, const struct verify_options *options,
                           struct verify_result *ret_result, struct error *err) MUST_CHECK;
void verify_result_done(struct verify_result *result);

#endif
