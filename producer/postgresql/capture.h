/* Capture in PostgreSQL: the triggers that write a table's changes into the outbox. */
#ifndef PRODUCER_POSTGRESQL_CAPTURE_H
#define PRODUCER_POSTGRESQL_CAPTURE_H

#include "common/postgresql_session.h"
#include "producer/init/origin.h"

#define CAPTURE_SQL_MAX ((size_t)4 * 1024 * 1024)

/** Who asks the catalogue. */
struct capture_catalogue {
    PGconn *connection;
    bool applied;  /* an agent of the service writes the table too */
    bool watching; /* the relay's role, which reads no row and may not see every schema */
};

/** Check that every change of the table can be captured, and that its columns hold what the
 * schema's types say (rules 25, 26, 28).
 * @return OK; RETRY, also where the role that watches does not see the table; FATAL with exit code
 * 78, naming what stands in the way and what to do. */
enum status capture_postgresql_check(const struct capture_catalogue *catalogue,
                                     const struct config_entry *entry,
                                     const struct entity_schema *schema,
                                     struct error *err) MUST_CHECK;

/** Where an entry's table and its events are; borrowed. */
struct capture_postgresql_place {
    const char *outbox;         /* the outbox's schema */
    const PGresult *table;      /* oid, and name with its schema, quoted */
    const PGresult *partitions; /* first column: the table and all its partitions, quoted */
};

/** Write functions and triggers of an entry's table into `arena`.
 * @return OK; RETRY (no memory); FATAL (they grow too large). */
enum status capture_postgresql_objects(const struct config_entry *entry,
                                       const struct entity_schema *schema,
                                       const struct capture_postgresql_place *place,
                                       struct arena *arena, struct origin_object **ret_objects,
                                       size_t *ret_count, struct error *err) MUST_CHECK;

/** @return "BEFORE…AFTER" around the entity type, in the arena; data NULL: no memory. */
struct slice capture_postgresql_name(struct arena *arena, const char *before,
                                     const char *entity_type, const char *after);

/** @return whether functions of two entity types would have the same names. */
bool capture_postgresql_clashes(const char *entity_type, const char *other);

/** Write the statement of one chunk of present rows: it chooses at most `limit` rows behind the
 * noted key, locks and reads those that keep their keys until then, publishes them as `r` events
 * and notes the last key that it chose. It returns how many it published, and 0 where it found none
 * at all. */
void capture_postgresql_chunk(struct buffer *sql, const struct config_entry *entry,
                              const struct entity_schema *schema, bool resumed, size_t limit);

/** Write the statement that tells whether there are rows behind the noted key. */
void capture_postgresql_rest(struct buffer *sql, const struct config_entry *entry,
                             const struct entity_schema *schema);

#endif
