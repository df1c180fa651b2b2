/* Lines of a file or pipe, each of bounded length. */
#ifndef COMMON_LINES_H
#define COMMON_LINES_H

#include "common/buffer.h"

#include <stdint.h>
#include <stdio.h>

#define LINES_LENGTH_MAX ((size_t)16 * 1024 * 1024)

struct lines {
    FILE *in;
    struct buffer text;
    int64_t number; /* of the line read last, from 1 */
};

void lines_init(struct lines *lines, FILE *in);
void lines_done(struct lines *lines);

/** Read the next line into `text`, without its end (LF or CRLF). The next call overwrites it.
 * @param ret_read  false at the end of the input.
 * @return OK; REJECT where the line is longer than LINES_LENGTH_MAX; RETRY (no memory); FATAL where
 * the input cannot be read. The error names the line. */
enum status lines_next(struct lines *lines, bool *ret_read, struct error *err) MUST_CHECK;

#endif
