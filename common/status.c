/* Verdicts and the caller-owned error. */
#include "common/status.h"

#include "common/utf8.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

void error_clear(struct error *err)
{
    *err = (struct error)ERROR_INIT;
}

static enum status error_fill(struct error *err, enum status status, const char *format,
                              va_list args)
{
    if (err == NULL)
        return status;
    if (err->status != STATUS_OK)
        return err->status;
    err->status = status;
    utf8_vformat(err->text, sizeof err->text, format, args);
    return status;
}

enum status error_set(struct error *err, enum status status, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    status = error_fill(err, status, format, args);
    va_end(args);
    return status;
}

enum status error_set_native(struct error *err, enum status status, int native_code,
                             const char *format, ...)
{
    if (err != NULL && err->status == STATUS_OK)
        err->native_code = native_code;
    va_list args;
    va_start(args, format);
    status = error_fill(err, status, format, args);
    va_end(args);
    return status;
}

/* Write the beginning of a statement on one line. */
static void error_statement(const char *statement, char ret_place[ERROR_STATEMENT_SIZE])
{
    static const char blanks[] = " \t\r\n";
    size_t length = 0;
    while (*(statement += strspn(statement, blanks)) != '\0') {
        size_t word = strcspn(statement, blanks);
        if (length + 1 + word + sizeof " …" > ERROR_STATEMENT_SIZE) {
            memcpy(ret_place + length, " …", sizeof " …");
            return;
        }
        if (length > 0)
            ret_place[length++] = ' ';
        memcpy(ret_place + length, statement, word);
        length += word;
        statement += word;
    }
    ret_place[length] = '\0';
}

enum status error_set_verdict(struct error *err, struct verdict verdict, const char *statement,
                              const char *format, ...)
{
    bool first = err != NULL && err->status == STATUS_OK;
    va_list args;
    va_start(args, format);
    enum status status = error_fill(err, verdict.status, format, args);
    va_end(args);
    if (!first)
        return status;
    err->native_code = verdict.native_code;
    err->reject = verdict.reject;
    err->connection_lost = verdict.connection_lost;
    if (statement != NULL) {
        char place[ERROR_STATEMENT_SIZE];
        error_statement(statement, place);
        error_prefix(err, "%s", place);
    }
    return status;
}

struct error *error_config(struct error *err)
{
    if (err != NULL && err->status == STATUS_OK)
        err->exit_code = EX_CONFIG;
    return err;
}

void error_mark_config(struct error *err)
{
    if (err != NULL)
        err->exit_code = EX_CONFIG;
}

void error_mark_outdated(struct error *err)
{
    if (err != NULL)
        err->is_outdated = true;
}

bool error_is_config(const struct error *err)
{
    return err->exit_code == EX_CONFIG;
}

void error_prefix(struct error *err, const char *format, ...)
{
    char place[ERROR_TEXT_SIZE / 2];
    char text[ERROR_TEXT_SIZE];

    if (err == NULL)
        return;
    va_list args;
    va_start(args, format);
    utf8_vformat(place, sizeof place, format, args);
    va_end(args);
    memcpy(text, err->text, sizeof text);
    size_t used = (size_t)snprintf(err->text, sizeof err->text, "%s: ", place);
    if (used < sizeof err->text)
        utf8_format(err->text + used, sizeof err->text - used, "%s", text);
}

const char *status_name(enum status status)
{
    switch (status) {
    case STATUS_OK:
        return "ok";
    case STATUS_RETRY:
        return "retry";
    case STATUS_ABORT:
        return "abort";
    case STATUS_REJECT:
        return "reject";
    case STATUS_STOP:
        return "stop";
    case STATUS_AGAIN:
        return "again";
    case STATUS_FATAL:
        return "fatal";
    }
    return "unknown";
}

int error_exit_code(const struct error *err)
{
    if (err->exit_code != 0)
        return err->exit_code;
    switch (err->status) {
    case STATUS_OK:
        return EX_OK;
    case STATUS_RETRY:
    case STATUS_ABORT:
        return EX_TEMPFAIL;
    case STATUS_REJECT:
        return EX_DATAERR;
    case STATUS_STOP:
    case STATUS_AGAIN:
    case STATUS_FATAL:
        break;
    }
    return EX_SOFTWARE;
}
