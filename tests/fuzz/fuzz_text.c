/* Any bytes as the small texts that come from outside, one kind for each first byte: base64, a
 * time, the address of listen:, the headers of a parked record. What is read must be written and
 * read again as the same. */
#include "common/base64.h"
#include "common/clock.h"
#include "operate/http.h"
#include "schemas/change.h"

#include <stdio.h>
#include <stdlib.h>

#define TEXT_MAX ((size_t)1024 * 1024)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_base64(struct slice text)
{
    struct buffer bytes;
    struct buffer written;
    struct buffer again;
    buffer_init(&bytes, TEXT_MAX);
    buffer_init(&written, 2 * TEXT_MAX);
    buffer_init(&again, TEXT_MAX);
    if (base64_read(text, &bytes) && bytes.length > 0) {
        base64_append(&written, buffer_slice(&bytes));
        if (!base64_read(buffer_slice(&written), &again) ||
            !slice_equal(buffer_slice(&bytes), buffer_slice(&again)))
            abort();
    }
    buffer_done(&bytes);
    buffer_done(&written);
    buffer_done(&again);
}

static void check_time(struct slice text)
{
    char written[CLOCK_TEXT_SIZE];
    int64_t time_us = 0;
    int64_t again_us = 0;
    if (!clock_parse_rfc3339(text.data, text.length, &time_us))
        return;
    clock_format_utc(time_us, written);
    if (!clock_parse_rfc3339(written, strlen(written), &again_us) || again_us != time_us)
        abort();
}

static void check_listen(struct slice text)
{
    char host[HTTP_HOST_SIZE];
    char port[8];
    char host_again[HTTP_HOST_SIZE];
    char port_again[8];
    char written[HTTP_HOST_SIZE + 16];
    struct buffer ended;
    buffer_init(&ended, TEXT_MAX);
    buffer_append(&ended, text.data, text.length);
    if (!ended.failed && http_parse_listen(buffer_text(&ended), host, port)) {
        (void)snprintf(written, sizeof written, "[%s]:%s", host, port);
        if (host[0] == '\0' || !http_parse_listen(written, host_again, port_again) ||
            strcmp(host, host_again) != 0 || strcmp(port, port_again) != 0)
            abort();
    }
    buffer_done(&ended);
}

static void check_headers(struct slice blob)
{
    struct arena arena;
    struct header *headers = NULL;
    size_t count = 0;
    struct error err = ERROR_INIT;
    arena_init(&arena, 16 * TEXT_MAX);
    if (headers_unpack(blob, &arena, &headers, &count, &err) == STATUS_OK) {
        struct slice packed = headers_pack(headers, count, &arena);
        if (packed.data != NULL && !slice_equal(packed, blob))
            abort();
    } else if (err.text[0] == '\0') {
        abort();
    }
    arena_done(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const checks[])(struct slice) = {check_base64, check_time, check_listen,
                                                   check_headers};
    if (size > 0 && size < TEXT_MAX)
        checks[data[0] % (sizeof checks / sizeof *checks)](
            (struct slice){(const char *)data + 1, size - 1});
    return 0;
}
