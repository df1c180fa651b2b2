/* Inside the PostgreSQL origin. */
#ifndef PRODUCER_POSTGRESQL_ORIGIN_INTERNAL_H
#define PRODUCER_POSTGRESQL_ORIGIN_INTERNAL_H

#include "common/postgresql_session.h"
#include "producer/init/origin.h"

#define ORIGIN_NOTES_MAX 1000

struct origin_postgresql {
    struct origin base;
    const struct config *config;
    PGconn *connection;
    char *schema;         /* where the outbox is, or will be */
    bool watching;        /* sees what the relay's role may see */
    struct buffer in_log; /* an array of ids that are noted, but not sent yet */
    size_t in_log_count;
};

static inline struct origin_postgresql *origin_postgresql_of(struct origin *origin)
{
    return (struct origin_postgresql *)origin;
}

/** COMMIT where `status` is OK, else roll back; @return the status now. */
enum status origin_postgresql_end(PGconn *connection, enum status status,
                                  struct error *err) MUST_CHECK;

enum status origin_postgresql_captured(struct origin *origin, const char *entity_type,
                                       struct arena *arena, struct origin_captured *ret_captured,
                                       struct error *err) MUST_CHECK;
enum status origin_postgresql_write_captured(struct origin *origin, const char *entity_type,
                                             const struct origin_captured *captured,
                                             struct error *err) MUST_CHECK;
enum status origin_postgresql_republish(struct origin *origin, const char *entity_type,
                                        struct error *err) MUST_CHECK;
enum status origin_postgresql_progress(struct origin *origin, const char *entity_type,
                                       struct origin_progress *ret_progress,
                                       struct error *err) MUST_CHECK;
enum status origin_postgresql_chunk(struct origin *origin, const struct config_entry *entry,
                                    const struct entity_schema *schema, size_t limit,
                                    struct origin_progress *ret_progress,
                                    struct error *err) MUST_CHECK;
enum status origin_postgresql_write(struct origin *origin, const struct origin_event *events,
                                    size_t count, struct error *err) MUST_CHECK;

extern const struct origin_ops origin_postgresql_ops;

#endif
