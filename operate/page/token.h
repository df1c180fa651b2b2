/* The token without which the page changes nothing. */
#ifndef OPERATE_PAGE_TOKEN_H
#define OPERATE_PAGE_TOKEN_H

#include "common/status.h"
#include "schemas/config/config.h"

#define TOKEN_LENGTH_MIN 16
#define TOKEN_LENGTH_MAX 1024
#define TOKEN_PEERS      32
#define TOKEN_WRONG_MAX  10 /* by one address in TOKEN_WRONG_US; then it is not listened to */
#define TOKEN_WRONG_US   (INT64_C(60) * 1000 * 1000)
#define TOKEN_PEER_SIZE  64

/** An address that has sent wrong tokens. */
struct token_peer {
    char address[TOKEN_PEER_SIZE];
    int64_t since_us; /* monotonic */
    int wrong;
};

/** What to do where actions are off because there is no token. */
#define PAGE_TOKEN_ADVICE                                                                          \
    "write a token into a file that only the sidecar's user can read, name it by "                 \
    "listen_token_file: in the configuration, and start the sidecar again"

struct page_token {
    char secret[TOKEN_LENGTH_MAX + 1]; /* "": the page changes nothing */
    struct token_peer peers[TOKEN_PEERS];
};

enum token_answer { TOKEN_RIGHT, TOKEN_OFF, TOKEN_MISSING, TOKEN_WRONG, TOKEN_TOO_MANY };

/** Read the token that is configured, if one is.
 * @return OK; FATAL with exit code 78 (the file cannot be read, others can read it, or the token is
 * too short). No text holds anything of the token. */
enum status page_token_init(struct page_token *ret_token, const struct config *config,
                            struct error *err) MUST_CHECK;
void page_token_done(struct page_token *token);

/** Judge a request. Whether a token is right takes as long as whether it is wrong.
 * @param authorization  the header; NULL: there is none. @param now_us  monotonic.
 * @thread one at a time. */
enum token_answer page_token_judge(struct page_token *token, const char *authorization,
                                   const char *peer, int64_t now_us);

#endif
