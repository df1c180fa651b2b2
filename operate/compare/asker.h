/* Asks desks over the talk topic, and hands each answer to the session that it is for. All sessions
 * of one thread share an asker. */
#ifndef OPERATE_COMPARE_ASKER_H
#define OPERATE_COMPARE_ASKER_H

#include "common/kafka_talk.h"
#include "common/uuid.h"
#include "schemas/config/config.h"
#include "schemas/talk.h"

struct asker;

/** How questions and answers go to and fro. */
struct asker_line {
    /** Read the rows topic of a data topic from now on; NULL: the talk topic.
     * @return as kafka_talk_join(). */
    enum status (*join)(void *context, const char *data_topic, struct error *err);
    /** Write into the talk topic. @return as kafka_talk_write(). */
    enum status (*write)(void *context, struct slice key, struct slice value, struct error *err);
    /** @return as kafka_talk_poll(). */
    enum status (*poll)(void *context, int timeout_ms, struct kafka_talk_record *ret_record,
                        struct error *err);
    void *context;
};

struct asker_options {
    const struct config *config;   /* of the asker */
    const atomic_bool *stop;       /* ends each wait */
    const struct asker_line *line; /* NULL: Kafka */
    int64_t patience_us;           /* for the first word of a desk; 0: 15 s */
};

/** What one session hears. */
struct asker_session {
    char id[UUID_TEXT_SIZE]; /* "": it is not open */
    /** Take a message of the session. It is borrowed until the call returns. */
    void (*take)(struct asker_session *session, const struct talk_message *message);
    /** A message of the session cannot be read: `why`. */
    void (*refuse)(struct asker_session *session, const char *why);
    void *context;
    struct asker_session *next; /* the asker's */
};

/** Open it. No broker is asked yet. The options outlive it. @return OK; RETRY; FATAL. */
enum status asker_open(const struct asker_options *options, struct asker **ret_asker,
                       struct error *err) MUST_CHECK;
/** Its sessions were taken away before. NULL is a no-op. */
void asker_close(struct asker *asker);

/** Add a session, or take it away. */
void asker_add(struct asker *asker, struct asker_session *session);
void asker_remove(struct asker *asker, struct asker_session *session);

/** Hear what is said from now on of a data topic. @return as kafka_talk_join(). */
enum status asker_join(struct asker *asker, const char *data_topic, struct error *err) MUST_CHECK;

/** Write a question; `from` is filled in.
 * @return OK; RETRY; REJECT (it is too large for a message: nothing was written). */
enum status asker_write(struct asker *asker, const struct talk_question *question,
                        struct error *err) MUST_CHECK;

/** Wait for records, and hand them to their sessions; 0: only those that are there.
 * @return OK; RETRY; ABORT. */
enum status asker_hear(struct asker *asker, int timeout_ms, struct error *err) MUST_CHECK;

/** Note that a desk has not said a word. It is asked no more, and nobody waits for it again. */
void asker_note_silence(struct asker *asker, const char *desk);
bool asker_is_silent(const struct asker *asker, const char *desk);

const struct asker_options *asker_options_of(const struct asker *asker);

#endif
