/* Reads lines byte by byte. A NUL is data. A line that is too long is not kept in memory. */
#include "common/lines.h"

#include <errno.h>
#include <sysexits.h>

#define CHUNK_SIZE 4096

void lines_init(struct lines *lines, FILE *in)
{
    *lines = (struct lines){.in = in};
    buffer_init(&lines->text, LINES_LENGTH_MAX);
}

void lines_done(struct lines *lines)
{
    buffer_done(&lines->text);
}

static enum status lines_refuse(const struct lines *lines, struct error *err)
{
    long long number = (long long)lines->number;
    if (lines->text.no_memory)
        return error_set(err, STATUS_RETRY, "line %lld: no memory", number);
    return error_set(err, STATUS_REJECT, "line %lld: longer than the limit of %zu bytes", number,
                     LINES_LENGTH_MAX);
}

enum status lines_next(struct lines *lines, bool *ret_read, struct error *err)
{
    char chunk[CHUNK_SIZE];
    size_t length = 0;
    int byte;
    buffer_reset(&lines->text);
    lines->number++;
    while ((byte = getc_unlocked(lines->in)) != EOF && byte != '\n') {
        chunk[length++] = (char)byte;
        if (length == sizeof chunk) {
            buffer_append(&lines->text, chunk, length);
            length = 0;
        }
        if (lines->text.failed)
            return lines_refuse(lines, err);
    }
    if (byte == EOF && ferror(lines->in) != 0) {
        if (err != NULL && err->status == STATUS_OK)
            err->exit_code = EX_IOERR;
        return error_set(err, STATUS_FATAL, "line %lld: cannot be read: %s",
                         (long long)lines->number, strerror(errno));
    }
    buffer_append(&lines->text, chunk, length);
    if (lines->text.failed)
        return lines_refuse(lines, err);
    *ret_read = byte != EOF || lines->text.length > 0;
    if (lines->text.length > 0 && lines->text.data[lines->text.length - 1] == '\r')
        lines->text.length--;
    return STATUS_OK;
}
