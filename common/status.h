/* What went wrong, and what the caller does next. */
#ifndef COMMON_STATUS_H
#define COMMON_STATUS_H

#include <stdbool.h>
#include <stddef.h>

#define MUST_CHECK            __attribute__((warn_unused_result))
#define PRINTF_LIKE(fmt, arg) __attribute__((format(printf, fmt, arg)))

/** The result of every function that can fail. It names the next step, not the cause. */
enum status {
    STATUS_OK = 0, /* done */
    STATUS_RETRY,  /* the same call may succeed later: roll back, back off, try again */
    STATUS_ABORT,  /* the work is void (fenced, partition lost): roll back, reload the state */
    STATUS_REJECT, /* this one event cannot be applied: it is parked */
    STATUS_STOP,   /* this partition must not go on (gap, fork, unknown column or protocol) */
    STATUS_AGAIN,  /* only in the applier: judge the batch again from its beginning */
    STATUS_FATAL,  /* bug, bad configuration, anything unclassified: the process ends */
};

/** How a rejected event is parked. */
enum reject_kind {
    REJECT_HELD,    /* a person must act */
    REJECT_WAITING, /* another event may cure it, so the agent tries again */
    REJECT_NO_ROW,  /* held: it lacks columns, and there is no row to keep them from */
};

#define ERROR_TEXT_SIZE 512

/** Owned by the caller. The first error that is set stays until error_clear(). */
struct error {
    enum status status;
    enum reject_kind reject;
    int native_code;      /* of the library that failed, such as an SQLite result code */
    int exit_code;        /* the process ends with this sysexits code; 0: as `status` says */
    bool connection_lost; /* with RETRY: the session is gone, open another one */
    bool is_outdated;     /* with RETRY: another snapshot may have the table that this one lacks */
    char text[ERROR_TEXT_SIZE];
};

#define ERROR_INIT                                                                                 \
    {                                                                                              \
        .status = STATUS_OK                                                                        \
    }

/** Forget what was set. */
void error_clear(struct error *err);

/** Set status and text, unless an error is set already.
 * @return the status in `err` (the first one); `status` where `err` is NULL. */
enum status error_set(struct error *err, enum status status, const char *format, ...)
    PRINTF_LIKE(3, 4);

/** As error_set(), and keep the error code of the library that failed. */
enum status error_set_native(struct error *err, enum status status, int native_code,
                             const char *format, ...) PRINTF_LIKE(4, 5);

/** The meaning of a database's error code, as its table of verdicts gives it. */
struct verdict {
    int native_code;
    enum status status;
    enum reject_kind reject; /* with REJECT */
    bool connection_lost;    /* with RETRY and STOP */
};

/* What follows the error code in such a table. */
#define VERDICT_HELD    STATUS_REJECT, REJECT_HELD, false
#define VERDICT_WAITING STATUS_REJECT, REJECT_WAITING, false
#define VERDICT_RETRY   STATUS_RETRY, REJECT_HELD, false
#define VERDICT_LOST    STATUS_RETRY, REJECT_HELD, true
#define VERDICT_FATAL   STATUS_FATAL, REJECT_HELD, false

/** How the text of a trigger of Keepstep's begins that refuses a change for a while only. Where a
 * database has one code for all that triggers refuse, this tells RETRY from a verdict. */
#define ERROR_TRY_AGAIN "keepstep: try again: "

#define ERROR_STATEMENT_SIZE 160

/** Set the error of a statement: "STATEMENT: text". The statement is written on one line and cut to
 * ERROR_STATEMENT_SIZE - 1 bytes.
 * @param statement  NULL: only the text. */
enum status error_set_verdict(struct error *err, struct verdict verdict, const char *statement,
                              const char *format, ...) PRINTF_LIKE(4, 5);

/** Let the next error that is set end the process with exit code 78, unless one is set already. Use
 * it where no restart can cure the configuration or the state. @return `err`. */
struct error *error_config(struct error *err);

/** Let the error that is already set end the process with exit code 78. */
void error_mark_config(struct error *err);

/** Say of the error that is already set that another snapshot may not meet it. */
void error_mark_outdated(struct error *err);

/** @return whether the error that is set ends the process with exit code 78. */
bool error_is_config(const struct error *err);

/** Put a place before the text that is already set: "PLACE: text". */
void error_prefix(struct error *err, const char *format, ...) PRINTF_LIKE(2, 3);

/** @return "ok", "retry", … for logs. */
const char *status_name(enum status status);

/** @return the sysexits code for a process that ends with `err`. */
int error_exit_code(const struct error *err);

#endif
