/* Repairs rows of one copy from a source's rows at a stamp (rule 43), while agents run beside it;
 * or rows of all copies through the log, by what their publisher publishes anew (rule 44). */
#ifndef OPERATE_REPAIR_REPAIR_H
#define OPERATE_REPAIR_REPAIR_H

#include "operate/compare/compare.h"
#include "operate/service.h"

#define REPAIR_ROUNDS_MAX 4

enum repair_state {
    REPAIR_PENDING, /* not known yet, or not tried; the reason says why */
    REPAIR_EQUAL,
    REPAIR_CHANGED, /* the copy's row was another one */
    REPAIR_CREATED,
    REPAIR_DELETED,
    REPAIR_PUBLISHED,        /* what the publisher's row is now */
    REPAIR_PUBLISHED_DELETE, /* that it has no such row */
    REPAIR_REFUSED           /* the row cannot be written; the reason says why */
};
#define REPAIR_STATES 8

struct repair_publisher; /* operate/repair/publish.h */

struct repair_entity {
    struct slice key;          /* canonical */
    enum difference_kind kind; /* as it was compared last */
    enum repair_state state;   /* set by repair_set() */
    struct slice reason;       /* data NULL: none */
};

struct repair_options {
    struct participant *source;
    struct participant *copy;           /* NULL: `key` is published, whatever a copy has */
    struct repair_publisher *publisher; /* the source's; NULL: the copy's rows are written */
    const struct service *service;      /* the copy's, to write its rows */
    const struct mapping *mapping;      /* its entry of the type */
    struct mention_log *log;
    const struct config_limits *limits;
    struct slice key; /* canonical, of the only entity to repair; data NULL: all that differ */
    bool dry_run;     /* only compare */
    /** As of compare_options. */
    void (*progress)(void *context, const struct participant *participant, uint64_t rows);
    void *context; /* of progress */
};

struct repair {
    const struct repair_options *options;
    struct repair_entity *entities; /* in the order of their keys */
    size_t count;
    uint64_t unnamed; /* more that differ than were named */
    char
        reason[COMPARE_REASON_SIZE]; /* why the copy was not compared, or not to the end; "": it was
                                      */
    bool is_doubled;                 /* it is that several rows have one key */
    struct arena texts;              /* keys and reasons */
};

/** Compare, and repair what differs, or publish it anew. What cannot be repaired is no error: its
 * entity says so.
 * @return OK; RETRY (memory); FATAL (the database cannot be used, or rows elsewhere follow those of
 * the table). repair_done() is legal after either. */
enum status repair_run(const struct repair_options *options, struct repair *ret_repair,
                       struct error *err) MUST_CHECK;
void repair_done(struct repair *repair);

/** @return 0 if nothing is left to repair, 65 (EX_DATAERR) if a row was refused or several have one
 * key, else 75
 * (EX_TEMPFAIL); of a dry run 65 if something differs. */
int repair_exit_code(const struct repair *repair);

/** @return the rows that were written, deleted or published anew. */
int64_t repair_rows(const struct repair *repair);

/** @return whether an entity differs, and was not tried since it was compared last. */
bool repair_is_due(const struct repair_entity *entity);

/** Conclude what became of an entity. The reason is copied; without memory there is none. */
void repair_set(struct repair *repair, struct repair_entity *entity, enum repair_state state,
                const char *reason);

#endif
