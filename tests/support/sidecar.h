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
    const char *url;      /* of its database, a server's as administrator */
    const char *database; /* its path, where it is a file */
    const char *config;   /* path; its login on a server has the role alone that it needs */
    const char *login;    /* of a server, otherwise NULL: what `config` connects as */
    const char *admin;    /* path of the configuration for `init` on a server, otherwise NULL */
    struct process *process;
    int starts;
};

/** Make `name`.db with `ddl` and `name`.yaml in the directory of the test. `entries` is YAML with
 * publish: and apply:. Schemas of the types "item" and "extra" (id, name, amount) lie in schemas/.
 * Topics begin with the name of the test. */
struct sidecar sidecar_make(struct kafka *kafka, const char *name, const char *ddl,
                            const char *entries);

/** The same on the database of a URL, made before. On a server `init` runs with that URL, and all
 * else as NAME_relay, NAME_agent or, where it publishes and applies, NAME_run: logins that hold the
 * role of that name as `init --print-sql` prints it, and no other right. */
struct sidecar sidecar_make_on(struct kafka *kafka, const char *name, const char *url,
                               const char *entries);

/** The same for any broker, not only a Kafka of the tests. */
struct sidecar sidecar_make_at(const char *bootstrap, const char *name, const char *url,
                               const char *entries);

/** On a server roles_grant() as administrator, and its login; nothing for a file. */
void sidecar_grant(const struct sidecar *sidecar);

/** sidecar_grant(), then `keepstep init` with a further argument; the test fails where it fails. */
void sidecar_init(const struct sidecar *sidecar, const char *argument);

/** Let its metrics be had at a free port; before it starts. @return the port. */
int sidecar_listen(const struct sidecar *sidecar);

/** Start `keepstep run`, with KEEPSTEP_FAILPOINT where `failpoint` is not NULL. */
void sidecar_start(struct sidecar *sidecar, const char *failpoint);

/** Prepare its database and start it: sidecar_init() and sidecar_start() as they are by default. */
void sidecar_begin(struct sidecar *sidecar);

/** Stop with SIGTERM; the test fails where that takes over 20 s or ends badly. */
void sidecar_stop(struct sidecar *sidecar);

/** Run another subcommand with this configuration; up to three words. */
struct process_result sidecar_run(const struct sidecar *sidecar, const char *command,
                                  const char *first, const char *second);

/** @return "TEST.item": the topic of an entity type. */
const char *sidecar_topic(const char *entity_type);

/** @return how many committed records the topic of an entity type holds. */
int64_t sidecar_records(struct kafka *kafka, const char *entity_type);

/** Produce an event of a foreign client to partition 0 of "TEST.item": an id, but no sequence. */
void sidecar_produce(struct kafka *kafka, const char *id, const char *type, int key,
                     const char *after);

/** Produce an event of "shop" there that creates item `sequence` with its id as name. */
void sidecar_produce_sequenced(struct kafka *kafka, int sequence, const char *id,
                               const char *previous);

/** The test fails where a query does not give `rows` within 20 s. */
void sidecar_expect(const struct sidecar *service, const char *sql, const char *rows);

/** The test fails where the two tables do not become equal. */
void sidecar_assert_equal(const struct sidecar *left, const struct sidecar *right,
                          const char *table, int64_t limit_ms);

#endif
