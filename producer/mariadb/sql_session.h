/* The session of a service's MariaDB database: made anew when it was lost. */
#ifndef PRODUCER_MARIADB_SQL_SESSION_H
#define PRODUCER_MARIADB_SQL_SESSION_H

#include "common/mariadb_statement.h"
#include "producer/sql/session.h"

#define SQL_COMPOUNDS_MAX 16

/** A transaction that was prepared as one statement (compound.h). */
struct sql_compound {
    struct {
        unsigned statement;
        size_t columns;
        size_t repeats; /* how often its text stands there */
        bool checked;   /* each row must change one */
    } steps[SQL_STEPS_MAX];
    size_t step_count;
    struct mariadb_statement *prepared; /* NULL: none */
};

struct sql_mariadb {
    struct sql_session base;
    MYSQL *handle; /* NULL: lost, or never opened */
    struct sql_mariadb_statement *statements;
    struct mariadb_statement *running; /* whose rows are being read; NULL: none */
    size_t message_size;               /* bytes of values that a message takes */
    struct sql_compound compounds[SQL_COMPOUNDS_MAX];
    size_t compound_count; /* how many were prepared so far */
};

extern const struct sql_session_ops sql_mariadb_ops;

/** Let a session go that is lost, as after each statement. @return `status`. */
enum status sql_mariadb_judge(struct sql_mariadb *self, enum status status,
                              const struct error *err);

#endif
