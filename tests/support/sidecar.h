/* Services for end-to-end tests: a database, a configuration, and a real keepstep beside it. */
#ifndef TESTS_SUPPORT_SIDECAR_H
#define TESTS_SUPPORT_SIDECAR_H

#include "tests/support/kafka.h"
#include "tests/support/process.h"
#include "tests/support/sql.h"

#define SIDECAR_ITEM_COLUMNS "id INTEGER PRIMARY KEY, name TEXT NOT NULL, amount INTEGER"
#define SIDECAR_ITEM_DDL     "CREATE TABLE items(" SIDECAR_ITEM_COLUMNS ");"

struct sidecar {
    const char *name;
    const char *url;      /* of its database; on a server as administrator */
    const char *database; /* its path if it is a file */
    const char *config;   /* path; on a server its login has only the role that it needs */
    const char *login;    /* on a server the login of `config`, otherwise NULL */
    const char *admin;    /* on a server the path of `init`'s configuration, otherwise NULL */
    struct process *process;
    int starts;
};

/** Make `name`.db with `ddl`, and `name`.yaml, in the directory of the test. `entries` is YAML with
 * publish: and apply:. The schemas of the types "item" and "extra" (id, name, amount) are in
 * schemas/. Topics begin with the name of the test. */
struct sidecar sidecar_make(struct kafka *kafka, const char *name, const char *ddl,
                            const char *entries);

/** The same on the database of a URL, which must exist. On a server `init` uses that URL. All else
 * uses the login NAME_relay, NAME_agent or, for a service that publishes and applies, NAME_run.
 * That login has only the role of that name, as `init --print-sql` prints it. */
struct sidecar sidecar_make_on(struct kafka *kafka, const char *name, const char *url,
                               const char *entries);

/** The same for any broker, not only for the tests' Kafka. */
struct sidecar sidecar_make_at(const char *bootstrap, const char *name, const char *url,
                               const char *entries);

/** Run roles_grant() as administrator and make its login, on a server. Does nothing for a file. */
void sidecar_grant(const struct sidecar *sidecar);

/** sidecar_grant(), then `keepstep init` with a further argument; in the other order where there is
 * an outbox already. The test fails if init fails. */
void sidecar_init(const struct sidecar *sidecar, const char *argument);

/** Let it serve its metrics on a free port. Call it before the start. @return the port. */
int sidecar_listen(const struct sidecar *sidecar);

/** Give its Kafka clients more settings: "session.timeout.ms: 3000, linger.ms: 5". Call it before
 * the start. */
void sidecar_set_kafka(const struct sidecar *sidecar, const char *settings);

/** Start `keepstep run`, with KEEPSTEP_FAILPOINT unless `failpoint` is NULL. */
void sidecar_start(struct sidecar *sidecar, const char *failpoint);

/** Prepare its database and start it: sidecar_init() and sidecar_start() with their defaults. */
void sidecar_begin(struct sidecar *sidecar);

/** Stop it with SIGTERM, also one that was just started. The test fails if that takes over 20 s, or
 * if its exit code is not 0. */
void sidecar_stop(struct sidecar *sidecar);

/** The test fails unless the relay of a service, whose database is a file, has published soon all
 * that is not set aside. */
void sidecar_expect_published(const struct sidecar *service);

/** @return a backup of its database, which is a file. */
const char *sidecar_back_up(const struct sidecar *sidecar);

/** Put a backup in the place of its database. Nothing may have it open. */
void sidecar_restore(const struct sidecar *sidecar, const char *backup);

/** Run another command with this configuration. A command has up to three words. */
struct process_result sidecar_run(const struct sidecar *sidecar, const char *command,
                                  const char *first, const char *second);

/** @return "TEST.item", the topic of an entity type. */
const char *sidecar_topic(const char *entity_type);

/** @return how many committed records the topic of an entity type has. */
int64_t sidecar_records(struct kafka *kafka, const char *entity_type);

/** Produce an event of another program to partition 0 of "TEST.item": with an id, without a
 * sequence. */
void sidecar_produce(struct kafka *kafka, const char *id, const char *type, int key,
                     const char *after);

/** Produce an event of "shop" there. It creates the item `sequence`; the item's name is the event's
 * id. */
void sidecar_produce_sequenced(struct kafka *kafka, int sequence, const char *id,
                               const char *previous);

/** The test fails unless a query gives `rows` within 20 s. */
void sidecar_expect(const struct sidecar *service, const char *sql, const char *rows);

/** The test fails unless the two tables become equal. */
void sidecar_assert_equal(const struct sidecar *left, const struct sidecar *right,
                          const char *table, int64_t limit_ms);

#endif
