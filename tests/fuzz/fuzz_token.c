/* Any bytes as a token. What is read must say again just what was written: a token has one form. */
#include "schemas/token.h"

#include "common/buffer.h"

#include <inttypes.h>
#include <stdlib.h>

#define ARENA_BYTES ((size_t)16 * 1024 * 1024)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void append_place(struct buffer *text, const struct token *token, size_t index)
{
    const struct token_place *place = &token->places[index];
    bool is_first = index == 0 || token->places[index - 1].topic != place->topic;
    if (is_first)
        buffer_append_format(text, "/%s:", place->topic);
    buffer_append_format(text, "%s%" PRId32 "=%" PRIu64, is_first ? "" : ",", place->partition,
                         place->sequence);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    struct token token;
    struct error err = ERROR_INIT;
    struct buffer text;
    const struct slice written = {(const char *)data, size};
    arena_init(&arena, ARENA_BYTES);
    buffer_init(&text, TOKEN_BYTES_MAX);
    enum status status = token_read(written, &arena, &token, &err);
    if (status == STATUS_OK) {
        buffer_append_format(&text, "%s/%s", token.source, token.incarnation);
        for (size_t i = 0; i < token.count; i++)
            append_place(&text, &token, i);
        if (token.count == 0 || !slice_equal(buffer_slice(&text), written))
            abort();
    } else if (status != STATUS_REJECT || err.text[0] == '\0') {
        abort();
    }
    buffer_done(&text);
    arena_done(&arena);
    return 0;
}
