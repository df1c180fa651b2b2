/* Inside the PostgreSQL source. */
#ifndef PRODUCER_POSTGRESQL_SOURCE_INTERNAL_H
#define PRODUCER_POSTGRESQL_SOURCE_INTERNAL_H

#include "common/postgresql_session.h"
#include "producer/init/source.h"

#define SOURCE_NOTES_MAX 1000

struct source_postgresql {
    struct source base;
    const struct config *config;
    PGconn *connection;
    char *schema;         /* where the outbox is, or will be */
    bool watching;        /* sees what the relay's role may see */
    struct buffer in_log; /* an array of ids that are noted, but not sent yet */
    size_t in_log_count;
};

static inline struct source_postgresql *source_postgresql_of(struct source *source)
{
    return (struct source_postgresql *)source;
}

/** COMMIT where `status` is OK, else roll back; @return the status now. */
enum status source_postgresql_end(PGconn *connection, enum status status,
                                  struct error *err) MUST_CHECK;

enum status source_postgresql_captured(struct source *source, const char *entity_type,
                                       struct arena *arena, struct source_captured *ret_captured,
                                       struct error *err) MUST_CHECK;
enum status source_postgresql_write_captured(struct source *source, const char *entity_type,
                                             const struct source_captured *captured,
                                             struct error *err) MUST_CHECK;
enum status source_postgresql_republish(struct source *source, const char *entity_type,
                                        struct error *err) MUST_CHECK;
enum status source_postgresql_progress(struct source *source, const char *entity_type,
                                       struct source_progress *ret_progress,
                                       struct error *err) MUST_CHECK;
enum status source_postgresql_chunk(struct source *source, const struct config_entry *entry,
                                    const struct entity_schema *schema, size_t limit,
                                    struct source_progress *ret_progress,
                                    struct error *err) MUST_CHECK;
enum status source_postgresql_write(struct source *source, const struct source_event *events,
                                    size_t count, struct error *err) MUST_CHECK;

extern const struct source_ops source_postgresql_ops;

#endif
