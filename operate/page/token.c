/* Reads the token, and compares what comes with it. */
#include "operate/page/token.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

/* The path is not shown, because it may be a token in the wrong place. */
static enum status token_refuse(const char *what, const char *then, struct error *err)
{
    return error_set(error_config(err), STATUS_FATAL,
                     "the file that listen_token_file: names %s; %s", what, then);
}

static enum status token_read_file(const char *path, struct page_token *token, struct error *err)
{
    struct stat about;
    enum status status = STATUS_OK;
    ssize_t length = -1;
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO would wait for its writer */
    if (file < 0)
        return token_refuse("cannot be read", strerror(errno), err);
    bool is_known = fstat(file, &about) == 0;
    bool is_file = is_known && S_ISREG(about.st_mode);
    if (is_file)
        length = read(file, token->secret, TOKEN_LENGTH_MAX);
    if (is_known && !is_file)
        status = token_refuse(S_ISDIR(about.st_mode) ? "is a directory" : "is no regular file",
                              "name a file that holds the token", err);
    else if (length < 0)
        status = token_refuse("cannot be read", strerror(errno), err);
    else if ((about.st_mode & S_IRWXO) != 0)
        status = token_refuse("is open to all users of this machine",
                              "give it to the sidecar's user, and: chmod 600", err);
    else if (length == TOKEN_LENGTH_MAX)
        status = token_refuse("is longer than a token may be", "1023 bytes are enough", err);
    if (status == STATUS_OK)
        token->secret[length] = '\0';
    (void)close(file);
    return status;
}

/* A header can hold only printable characters, and blanks at its ends are lost. */
static bool token_is_printable(const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text <= ' ' || *text >= 127)
            return false;
    }
    return true;
}

enum status page_token_init(struct page_token *ret_token, const struct config *config,
                            struct error *err)
{
    const char *from = "KEEPSTEP_LISTEN_TOKEN";
    enum status status = STATUS_OK;
    *ret_token = (struct page_token){0};
    if (strlen(config->listen_token) >= TOKEN_LENGTH_MAX) {
        status = error_set(
            error_config(err), STATUS_FATAL,
            "the token in %s is longer than a token may be; %d characters are enough", from,
            TOKEN_LENGTH_MAX - 1);
    } else if (config->listen_token[0] != '\0') {
        (void)snprintf(ret_token->secret, sizeof ret_token->secret, "%s", config->listen_token);
    } else if (config->listen_token_file[0] != '\0') {
        from = "the file that listen_token_file: names";
        status = token_read_file(config->listen_token_file, ret_token, err);
    } else {
        return STATUS_OK;
    }
    ret_token->secret[strcspn(ret_token->secret, "\r\n")] = '\0';
    if (status == STATUS_OK && strlen(ret_token->secret) < TOKEN_LENGTH_MIN)
        status = error_set(error_config(err), STATUS_FATAL,
                           "the token in %s is too short: it needs %d characters; make one with: "
                           "openssl rand -hex 32",
                           from, TOKEN_LENGTH_MIN);
    if (status == STATUS_OK && !token_is_printable(ret_token->secret))
        status = error_set(error_config(err), STATUS_FATAL,
                           "the token in %s holds a blank or a character that no HTTP header can "
                           "hold; make one with: openssl rand -hex 32",
                           from);
    if (status != STATUS_OK)
        page_token_done(ret_token);
    return status;
}

void page_token_done(struct page_token *token)
{
    explicit_bzero(token->secret, sizeof token->secret);
}

/* As many steps as the given text is long, whatever it holds. */
static bool token_is_equal(const char *secret, const char *given)
{
    size_t length = strlen(secret);
    size_t given_length = strlen(given);
    volatile unsigned char differences = length != given_length;
    for (size_t i = 0; i < given_length; i++)
        differences = (unsigned char)(differences | (given[i] ^ secret[i % length]));
    return differences == 0;
}

/* @return the address's entry; in place of the one that is silent for longest where it is new. */
static struct token_peer *token_peer(struct page_token *token, const char *address, int64_t now_us)
{
    struct token_peer *oldest = &token->peers[0];
    for (size_t i = 0; i < TOKEN_PEERS; i++) {
        struct token_peer *peer = &token->peers[i];
        if (strcmp(peer->address, address) == 0) {
            if (now_us - peer->since_us >= TOKEN_WRONG_US)
                *peer = (struct token_peer){.since_us = now_us};
            (void)snprintf(peer->address, sizeof peer->address, "%s", address);
            return peer;
        }
        if (peer->since_us < oldest->since_us)
            oldest = peer;
    }
    *oldest = (struct token_peer){.since_us = now_us};
    (void)snprintf(oldest->address, sizeof oldest->address, "%s", address);
    return oldest;
}

enum token_answer page_token_judge(struct page_token *token, const char *authorization,
                                   const char *peer, int64_t now_us)
{
    static const char scheme[] = "Bearer ";
    if (token->secret[0] == '\0')
        return TOKEN_OFF;
    if (authorization == NULL || strncasecmp(authorization, scheme, strlen(scheme)) != 0)
        return TOKEN_MISSING;
    struct token_peer *from = token_peer(token, peer, now_us);
    if (from->wrong >= TOKEN_WRONG_MAX)
        return TOKEN_TOO_MANY;
    if (token_is_equal(token->secret, authorization + strlen(scheme)))
        return TOKEN_RIGHT;
    from->wrong++;
    return TOKEN_WRONG;
}
