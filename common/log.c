/* Writes log lines to stderr. Each line is one write(2), so that lines of several threads do not
 * mix. */
#include "common/log.h"

#include "common/advice.h"
#include "common/clock.h"
#include "common/utf8.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LOG_LINE_SIZE 2048

static enum log_level log_least = LOG_LEVEL_INFO;
static enum log_format log_form = LOG_FORMAT_AUTO;

static const char *const log_level_names[] = {
    [LOG_LEVEL_DEBUG] = "debug",
    [LOG_LEVEL_INFO] = "info",
    [LOG_LEVEL_WARNING] = "warning",
    [LOG_LEVEL_ERROR] = "error",
};

void log_configure(enum log_level least, enum log_format format)
{
    log_least = least;
    log_form = format;
}

bool log_level_parse(const char *name, enum log_level *ret_level)
{
    for (size_t i = 0; i < sizeof log_level_names / sizeof *log_level_names; i++) {
        if (strcmp(name, log_level_names[i]) == 0) {
            *ret_level = (enum log_level)i;
            return true;
        }
    }
    return false;
}

/* Escape for the inside of double quotes, in the same way for logfmt and JSON. The text is cut
 * where `out` is full; what is no UTF-8 is left out. */
static void log_escape(char *out, size_t size, const char *text)
{
    const char *end = text + strlen(text);
    size_t used = 0;

    for (; text < end && used + 7 < size; text++) {
        unsigned char c = (unsigned char)*text;
        if (c == '"' || c == '\\') {
            out[used++] = '\\';
            out[used++] = (char)c;
        } else if (c < 0x20 || c == 0x7f) {
            used += (size_t)snprintf(out + used, size - used, "\\u%04x", c);
        } else if (c < 0x80) {
            out[used++] = (char)c;
        } else {
            size_t length = utf8_sequence_length(text, end);
            memcpy(out + used, text, length);
            used += length;
            text += length == 0 ? 0 : length - 1;
        }
    }
    out[used] = '\0';
}

void log_write(enum log_level level, const char *component, const char *format, ...)
{
    char text[LOG_LINE_SIZE / 2];
    char complete[LOG_LINE_SIZE / 2];
    char quoted[LOG_LINE_SIZE - 160];
    char line[LOG_LINE_SIZE];
    char time[CLOCK_TEXT_SIZE];

    if (level < log_least)
        return;
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    advice_complete(text, complete, sizeof complete);
    log_escape(quoted, sizeof quoted, complete);
    clock_format_utc(clock_wall_us(), time);

    bool json = log_form == LOG_FORMAT_JSON ||
                (log_form == LOG_FORMAT_AUTO && isatty(STDERR_FILENO) == 0);
    const char *shape = json ? "{\"time\":\"%s\",\"level\":\"%s\",\"component\":\"%s\","
                               "\"message\":\"%s\"}\n"
                             : "time=%s level=%s component=%s message=\"%s\"\n";
    int length = snprintf(line, sizeof line, shape, time, log_level_names[level], component,
                          quoted);
    if (length > 0)
        (void)!write(STDERR_FILENO, line, (size_t)length);
}
