/* A topic of joint transactions in memory, written by services that number their records as relays
 * do; and what rule 60 says of it, in its own words, beside schemas/joint_decide.c. */
#ifndef TESTS_SUPPORT_JOINT_SCRIPT_H
#define TESTS_SUPPORT_JOINT_SCRIPT_H

#include "schemas/joint_decide.h"

#define SCRIPT_RECORDS  256
#define SCRIPT_SERVICES 8
#define SCRIPT_NAMES    8

/** A service's relay: what it has numbered. */
struct script_service {
    char name[16];
    char incarnation[16];
    uint64_t sequence;
    char last_id[32];
};

struct script {
    struct joint_record records[SCRIPT_RECORDS];
    size_t count;
    struct script_service services[SCRIPT_SERVICES];
    size_t service_count;
    struct arena arena;
};

/** What a record is to be. */
struct script_line {
    const char *source;
    enum joint_kind kind;
    const char *proposer;
    const char *id;
    const char *participants; /* of a proposal: "shop web"; NULL: it is malformed */
    const char *answers;      /* ce_id of the proposal, of a vote or a withdrawal */
    bool yes;
    enum joint_kind stands_for; /* of a void */
};

void script_init(struct script *script);
void script_done(struct script *script);

/** Append a record. @return it; its ce_id is the source, a dash and a number. */
struct joint_record *script_write(struct script *script, struct script_line line);

/** The usual ones. */
struct joint_record *script_propose(struct script *script, const char *proposer, const char *id,
                                    const char *participants);
struct joint_record *script_answer(struct script *script, const char *source, const char *what,
                                   const struct joint_record *proposal);

/** Append a record again, as a takeover may. */
void script_repeat(struct script *script, size_t index);

/** Let a service begin a new incarnation; the records of the old one may still come. */
void script_restart(struct script *script, const char *source);

/** What the first `count` records say of a transaction. */
struct script_verdict {
    bool proposed;
    enum joint_outcome outcome;
    int64_t decision_offset;
};
struct script_verdict script_judge(const struct script *script, size_t count,
                                   struct joint_name name);

#endif
