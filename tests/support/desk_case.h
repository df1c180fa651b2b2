/* Sessions of a desk over participants in memory, for tests: what the desk writes is read back. */
#ifndef TESTS_SUPPORT_DESK_CASE_H
#define TESTS_SUPPORT_DESK_CASE_H

#include "tests/support/test.h"

#include "operate/desk/sessions.h"

#define DESK_NAME "billing/0193/1"

/** Ids of sessions. */
#define DESK_FIRST  "01935000-0000-7000-8000-000000000001"
#define DESK_SECOND "01935000-0000-7000-8000-000000000002"
#define DESK_THIRD  "01935000-0000-7000-8000-000000000003"

struct desk_case {
    struct config config;
    struct config_entry entry;
    struct service service;
    struct entity_schema *schema;
    struct sessions_options options;
    struct sessions *sessions;
    struct desk_metrics metrics;
    atomic_ullong report_wishes;
    atomic_bool stop;
    struct buffer said;
    /* Of every participant: */
    int rows;                 /* {"id":0}, {"id":1} … */
    size_t value_bytes;       /* of each row */
    struct open_entity *open; /* of its stamp */
    size_t open_count;
    const char *incomparable;
    const char *copy;       /* id of its copy */
    const char *keep_fails; /* NULL: it does not */
    const char *list_fails;
    int native_code;       /* of an error */
    const char *asked[16]; /* questions that come while rows are read, in this order */
    size_t asked_count;
    size_t heard;
    /* What is open, and what was called: */
    int open_now;
    int kept;
    int scans;
    int scans_now;
    int scans_most;
    bool write_fails;
    bool is_too_large;               /* what is written into a rows topic */
    struct talk_message answers[64]; /* that were written, in their order */
    const char *topics[64];          /* parallel; NULL: the talk topic */
    size_t answer_count;
    struct arena arena; /* of the answers */
};

/** Make a desk of service billing that applies "order" (id, state) from the topic "order". */
struct desk_case *desk_begin(size_t snapshots);
void desk_end(struct desk_case *world);

/** @return a question to this desk, which a test may change. */
struct talk_question desk_question(enum talk_ask ask, const char *id, int64_t number);

/** @return the text of a question, valid until the program ends. */
const char *desk_text(const struct talk_question *question);

/** Let the sessions take a question; a text; and answer all that waits. */
void desk_ask(struct desk_case *world, const struct talk_question *question);
void desk_take(struct desk_case *world, const char *text);
void desk_answer(struct desk_case *world);

/** Take it and answer it. */
void desk_ask_and_answer(struct desk_case *world, const struct talk_question *question);

/** Begin a session: the desk must say that it can. */
void desk_begin_session(struct desk_case *world, const char *id);

/** @return the last answer that is no part. The test fails where there is none, or where it is in
 * another topic than those who may read such answers read. */
const struct talk_answer *desk_last(const struct desk_case *world);

/** The test fails unless the last answer is to this question, and says that ("": it can). */
void desk_assert_last(const struct desk_case *world, const struct talk_question *question,
                      const char *why);

#endif
