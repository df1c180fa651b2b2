/* Any bytes as a message of the talk topic. What is read must be written and read again as the
 * same. */
#include "schemas/talk.h"

#include <stdlib.h>

#define ARENA_BYTES ((size_t)16 * 1024 * 1024)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fuzz_append(const struct talk_message *message, struct buffer *out)
{
    buffer_init(out, 8 * TALK_MESSAGE_BYTES_MAX);
    if (message->kind == TALK_QUESTION)
        talk_question_append(&message->question, out);
    else if (message->kind == TALK_ANSWER)
        talk_answer_append(&message->answer, out);
}

static void fuzz_write_again(const struct talk_message *message, struct arena *arena)
{
    struct talk_message again;
    struct error err = ERROR_INIT;
    struct buffer first;
    struct buffer second;
    fuzz_append(message, &first);
    if (first.length > 0 && !first.failed && first.length <= TALK_MESSAGE_BYTES_MAX) {
        if (talk_message_read(buffer_slice(&first), arena, &again, &err) != STATUS_OK)
            abort();
        fuzz_append(&again, &second);
        if (!slice_equal(buffer_slice(&first), buffer_slice(&second)))
            abort();
        buffer_done(&second);
    }
    buffer_done(&first);
}

static void fuzz_schema(const struct talk_columns *columns)
{
    struct entity_schema *schema = NULL;
    struct row_columns found;
    struct error err = ERROR_INIT;
    if (talk_schema_new("order", columns, &schema, &err) != STATUS_OK)
        return;
    if (talk_columns_find(schema, columns, &found, &err) != STATUS_OK ||
        found.count != columns->count)
        abort();
    entity_schema_free(schema);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    struct talk_message message;
    struct error err = ERROR_INIT;
    arena_init(&arena, ARENA_BYTES);
    if (talk_message_read((struct slice){(const char *)data, size}, &arena, &message, &err) ==
        STATUS_OK) {
        fuzz_write_again(&message, &arena);
        if (message.kind == TALK_QUESTION)
            fuzz_schema(&message.question.columns);
    }
    arena_done(&arena);
    return 0;
}
