/* A session with a service's database: statements by number, one kind of parameter, rows of texts.
 * What the outbox and the origin do with it is written once for all databases. */
#ifndef PRODUCER_SQL_SESSION_H
#define PRODUCER_SQL_SESSION_H

#include "common/arena.h"
#include "common/status.h"
#include "schemas/paused.h"

#include <stdint.h>

#define SQL_COLUMNS_MAX 16 /* parameters of a row */
#define SQL_STEPS_MAX   8

enum sql_kind { SQL_KIND_NULL, SQL_KIND_INTEGER, SQL_KIND_TEXT, SQL_KIND_BYTES };

/** A value for a statement; borrowed until finish(). */
struct sql_parameter {
    enum sql_kind kind;
    int64_t integer;
    struct slice text;
};

static inline struct sql_parameter sql_integer(int64_t integer)
{
    return (struct sql_parameter){.kind = SQL_KIND_INTEGER, .integer = integer};
}

/** data NULL is SQL's NULL. */
static inline struct sql_parameter sql_text(struct slice text)
{
    return (struct sql_parameter){.kind = text.data == NULL ? SQL_KIND_NULL : SQL_KIND_TEXT,
                                  .text = text};
}

/** NULL is SQL's NULL. */
static inline struct sql_parameter sql_string(const char *text)
{
    return sql_text(slice_of(text));
}

/** What a session was opened for; the caller keeps the texts for as long as it lives. */
struct sql_options {
    const char *url; /* of SQLite the path */
    const char *application;
    const char *setup; /* run right after connecting; NULL: nothing */
    bool read_only;
    bool create;  /* SQLite: make the file where there is none */
    bool lasting; /* statements may take as long as they take */
    bool single;  /* never opened again once it was lost: what it holds counts */
    /** The statements by number. NULL: this database needs no such statement. */
    const char *const *texts;
    size_t text_count;
    unsigned *lost_count; /* counts the connections that were lost; may be NULL */
};

struct sql_session {
    const struct sql_session_ops *ops;
    struct sql_options options;
    uint64_t changed; /* rows that run(), or the last step of run_steps(), changed or returned; not
                       * set by MariaDB's run_steps() */
    bool has_row;     /* set by next() */
};

/** A statement of a transaction, run for each of `rows` rows. Without rows, or where the database
 * has no such statement, it is left out. */
struct sql_step {
    unsigned statement;
    const struct sql_parameter *parameters; /* row after row, `columns` each */
    size_t columns;
    size_t rows;
    const char *if_missed; /* ABORT with this text unless each row changes one; NULL: any number */
};

/** One implementation a database. A statement names its parameters by number (?1 or $1), and
 * ignores those that it does not name. Statements are prepared at their first use. One result is
 * read at a time. After an error that says so the connection is gone, and the next call makes a
 * new one, where the database is a server. */
struct sql_session_ops {
    /** Connect where there is no connection. @return OK; RETRY; FATAL. */
    enum status (*ready)(struct sql_session *session, struct error *err);
    /** A session that was never opened is closed too. */
    void (*close)(struct sql_session *session);
    enum status (*begin)(struct sql_session *session, struct error *err);
    /** COMMIT where `status` is OK, else roll back. @return the status now. */
    enum status (*end)(struct sql_session *session, enum status status, struct error *err);
    /** Run a statement; its rows are read by next(), up to finish(). */
    enum status (*run)(struct sql_session *session, unsigned statement,
                       const struct sql_parameter *parameters, size_t count, struct error *err);
    /** Go to the next row, and set `has_row`. */
    enum status (*next)(struct sql_session *session, struct error *err);
    /** A column of the present row, borrowed until the next one; data NULL where it is NULL. */
    struct slice (*column)(const struct sql_session *session, size_t column);
    /** Drop the rows that were not read. Legal in any state. */
    void (*finish)(struct sql_session *session);
    /** Run steps in one transaction; of a server in one round trip, where they fit into one message
     * of MariaDB's.
     * @return OK; RETRY; ABORT where a step missed a row; FATAL. */
    enum status (*run_steps)(struct sql_session *session, const struct sql_step *steps,
                             size_t count, struct error *err);
    /** Run one step without a transaction of its own. */
    enum status (*run_step)(struct sql_session *session, const struct sql_step *step,
                            struct error *err);
    /** @return whether `err` says that a table is not there. */
    bool (*lacks_table)(const struct error *err);
};

static inline const char *sql_statement_text(const struct sql_session *session, unsigned statement)
{
    return statement < session->options.text_count ? session->options.texts[statement] : NULL;
}

/** Run a statement without rows. One that the database does not need is OK. */
enum status sql_run(struct sql_session *session, unsigned statement,
                    const struct sql_parameter *parameters, size_t count,
                    struct error *err) MUST_CHECK;

/** Run statements without parameters and rows, in their order. */
enum status sql_run_each(struct sql_session *session, const unsigned *statements, size_t count,
                         struct error *err) MUST_CHECK;

/** Run a statement and go to its first row; the caller calls finish() where there is one. */
enum status sql_first(struct sql_session *session, unsigned statement,
                      const struct sql_parameter *parameters, size_t count,
                      struct error *err) MUST_CHECK;

/** Run a statement without parameters; its first column is the answer, no row is false. */
enum status sql_is_true(struct sql_session *session, unsigned statement, bool *ret_true,
                        struct error *err) MUST_CHECK;

/** Ask a statement whether tables are there. An error because one is missing means no.
 * @return OK; RETRY; FATAL. */
enum status sql_has_tables(struct sql_session *session, unsigned statement, bool *ret_has,
                           struct error *err) MUST_CHECK;

/** A column of the present row; 0 where it is NULL. */
int64_t sql_column_integer(const struct sql_session *session, size_t column);

/** A column of the present row: 't' or a number that is not 0. */
bool sql_column_bool(const struct sql_session *session, size_t column);

/** Copy a column of the present row, cut to `size` - 1 bytes; "" where it is NULL. */
void sql_column_copy(const struct sql_session *session, size_t column, char *target, size_t size);

/** Copy a column of the present row into `arena`; data NULL where it is NULL.
 * @return false where the arena is full. */
bool sql_column_text(const struct sql_session *session, size_t column, struct arena *arena,
                     struct slice *ret_text) MUST_CHECK;

/** Read what is paused. @param statement  the session's number of schemas/paused.sql.
 * @return OK, then the caller frees it; RETRY; FATAL, with exit code 78 where the table is missing.
 */
enum status sql_list_paused(struct sql_session *session, unsigned statement,
                            struct paused_types *ret_paused, struct error *err) MUST_CHECK;

/** Where `err` says that a table is missing, say what to run, and let the process exit with 78. */
void sql_judge_tables(const struct sql_session *session, struct error *err);

#endif
