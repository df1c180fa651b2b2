/* Asks a desk what a test wrote down, over the talk topic of a real Kafka. */
#ifndef TESTS_SUPPORT_ASKING_H
#define TESTS_SUPPORT_ASKING_H

#include "common/uuid.h"
#include "schemas/talk.h"
#include "tests/support/kafka.h"

/** A session with one desk. */
struct asking {
    struct kafka *kafka;
    const char *desk;  /* SERVICE/COPY/INSTANCE */
    const char *topic; /* of the entity type "item" */
    char id[UUID_TEXT_SIZE];
    int64_t number;  /* of the last question */
    int64_t seconds; /* that the session may last */
};

/** Begin to ask the sidecar of a service about the type "item". Waits until it has reported. */
struct asking asking_make(struct kafka *kafka, const char *service);

/** @return a further question, with the columns id and name. */
struct talk_question asking_next(struct asking *asking, enum talk_ask ask);

/** Write a question. */
void asking_ask(const struct asking *asking, const struct talk_question *question);

/** Wait for its answer, which the test fails without. It is valid until the program ends. */
const struct talk_answer *asking_answer(const struct asking *asking,
                                        const struct talk_question *question);

/** Both. */
const struct talk_answer *asking_run(const struct asking *asking,
                                     const struct talk_question *question);

/** Begin a session of so many seconds: the desk must say that it can. A desk that does not listen
 * yet is asked again. */
const struct talk_answer *asking_begin(struct asking *asking, int64_t seconds);

/** @return the rows of an answer, "KEY JSON\n" for each in the order of their keys. */
const char *asking_rows(const struct asking *asking, const struct talk_question *question);

#endif
