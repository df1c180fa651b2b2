/* One session of a service that asks: a snapshot of one entity type here, and one question at a
 * time. Nothing of a question is trusted: type, topic and columns are looked up in the service's
 * own configuration and schema. */
#ifndef OPERATE_DESK_SESSION_H
#define OPERATE_DESK_SESSION_H

#include "common/uuid.h"
#include "operate/compare/copy.h"
#include "schemas/talk.h"

#define SESSION_TYPE_SIZE      256
#define SESSION_QUESTION_BYTES ((size_t)4 * 1024 * 1024) /* of a question in memory */

/** What all sessions of a process share. Borrowed; it outlives them. */
struct session_desk {
    const char *name; /* SERVICE/COPY/INSTANCE */
    const struct service *service;
    /** Make the participant of an entity type. @return OK; anything else: the text says why not. */
    enum status (*open)(const struct participant_options *options,
                        struct participant **ret_participant, struct error *err);
    /** Write a record. @param data_topic  into its rows topic; NULL: into the talk topic.
     * @return OK; anything else: it was not written. */
    enum status (*write)(void *context, const char *data_topic, struct slice key,
                         struct slice value, struct error *err);
    /** Called often while rows are read. @return OK; RETRY (stop reading). */
    enum status (*tick)(void *context, struct error *err);
    /** Tell the operator what the asker is not told. */
    void (*say)(void *context, const char *text);
    void *context; /* of write, tick and say */
};

enum session_state {
    SESSION_FREE,
    SESSION_IDLE,      /* nothing is asked */
    SESSION_WAITING,   /* `question` is to be answered */
    SESSION_ANSWERING, /* it is being answered */
    SESSION_ENDED      /* its snapshot has ended, which whoever asks next is told */
};

struct desk_session {
    const struct session_desk *desk;
    enum session_state state;
    char id[UUID_TEXT_SIZE];
    char entity_type[SESSION_TYPE_SIZE];
    struct participant_options options;
    struct participant *participant; /* NULL: FREE or ENDED */
    int64_t begun_us;                /* all times are monotonic */
    int64_t until_us;
    int64_t asked_us; /* when it was asked last */
    int64_t number;   /* of its last question */
    uint64_t turn;    /* WAITING: the lowest is answered first */
    uint64_t rows;    /* that were read for it so far */
    bool is_over;     /* while ANSWERING: stop, and tell nobody */
    bool write_failed;
    char why[ERROR_TEXT_SIZE]; /* ENDED: the reason */
    struct arena arena;        /* of `question` */
    struct talk_question question;
};

/** Begin a session: open a snapshot, and answer with its stamp, or with the reason why not. The
 * session is IDLE then, or FREE.
 * @param question  TALK_STAMP. @return OK; what desk->write() returned. */
enum status desk_session_begin(struct desk_session *session, const struct talk_question *question,
                               struct error *err) MUST_CHECK;

/** Answer the question of a session that is WAITING. It is IDLE then, or FREE.
 * @return OK; what desk->write() returned. */
enum status desk_session_answer(struct desk_session *session, struct error *err) MUST_CHECK;

/** Answer TALK_KEEP: how many rows were read so far, or why the snapshot has ended.
 * @return OK; what desk->write() returned. */
enum status desk_session_keep(struct desk_session *session, const struct talk_question *question,
                              struct error *err) MUST_CHECK;

/** Call it once a second while nothing of it is answered: a server ends a snapshot in which nothing
 * is asked, and a reader gives way (rule 37). */
void desk_session_tend(struct desk_session *session);

/** End the snapshot, and keep the reason for whoever asks next. */
void desk_session_close(struct desk_session *session, const char *why);

/** End it, and forget it. Legal in any state but ANSWERING. */
void desk_session_free(struct desk_session *session);

/** Answer a question that has no session with a reason. @return as desk->write(). */
enum status desk_session_refuse(const struct session_desk *desk,
                                const struct talk_question *question, const char *why,
                                struct error *err) MUST_CHECK;

#endif
