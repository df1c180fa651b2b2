/* Tokens: which events a transaction became (rule 47). A token is a text,
 * SERVICE/INCARNATION/TOPIC:PARTITION=SEQUENCE,…/TOPIC:… */
#ifndef SCHEMAS_TOKEN_H
#define SCHEMAS_TOKEN_H

#include "common/arena.h"
#include "common/status.h"

#include <stdint.h>

#define TOKEN_BYTES_MAX ((size_t)1024 * 1024)

/** The highest sequence of the transaction in a topic's partition. */
struct token_place {
    const char *topic;
    int32_t partition;
    uint64_t sequence;
};

struct token {
    const char *source;
    const char *incarnation;
    const struct token_place *places; /* those of one topic stand together */
    size_t count;                     /* at least 1 */
};

/** Read a token. All of it is in `arena`.
 * @return OK; REJECT (it is no token); RETRY (the arena is full). */
enum status token_read(struct slice text, struct arena *arena, struct token *ret_token,
                       struct error *err) MUST_CHECK;

#endif
