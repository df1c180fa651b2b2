/* The log: one line for each message, always on stderr. Logfmt on a terminal, otherwise JSON. */
#ifndef COMMON_LOG_H
#define COMMON_LOG_H

#include "common/status.h"

enum log_level { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARNING, LOG_LEVEL_ERROR };
enum log_format { LOG_FORMAT_AUTO, LOG_FORMAT_LOGFMT, LOG_FORMAT_JSON };

/** Set the lowest level that is written, and the format. Call once, before any thread starts. */
void log_configure(enum log_level least, enum log_format format);

/** @return false where `name` is not "debug", "info", "warning" or "error". */
bool log_level_parse(const char *name, enum log_level *ret_level);

/** Write one line. `component` is who writes: "agent", "relay". The arguments must hold no secret
 * and no column value.
 * @thread any. */
void log_write(enum log_level level, const char *component, const char *format, ...)
    PRINTF_LIKE(3, 4);

#define log_debug(component, ...)   log_write(LOG_LEVEL_DEBUG, component, __VA_ARGS__)
#define log_info(component, ...)    log_write(LOG_LEVEL_INFO, component, __VA_ARGS__)
#define log_warning(component, ...) log_write(LOG_LEVEL_WARNING, component, __VA_ARGS__)
#define log_error(component, ...)   log_write(LOG_LEVEL_ERROR, component, __VA_ARGS__)

#endif
