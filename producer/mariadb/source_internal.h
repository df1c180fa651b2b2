/* Inside the MariaDB source. */
#ifndef PRODUCER_MARIADB_SOURCE_INTERNAL_H
#define PRODUCER_MARIADB_SOURCE_INTERNAL_H

#include "common/mariadb_statement.h"
#include "producer/mariadb/capture.h"

struct source_mariadb {
    struct source base;
    MYSQL *session;
    bool watching;                         /* sees what the relay's role may see */
    struct mariadb_statement *note_in_log; /* prepared at its first use */
    struct capture_table table;            /* whose present rows are being read */
};

static inline struct source_mariadb *source_mariadb_of(struct source *source)
{
    return (struct source_mariadb *)source;
}

enum status source_mariadb_begin(struct source *source, struct error *err) MUST_CHECK;
enum status source_mariadb_commit(struct source *source, struct error *err) MUST_CHECK;
void source_mariadb_rollback(struct source *source);

enum status source_mariadb_captured(struct source *source, const char *entity_type,
                                    struct arena *arena, struct source_captured *ret_captured,
                                    struct error *err) MUST_CHECK;
enum status source_mariadb_write_captured(struct source *source, const char *entity_type,
                                          const struct source_captured *captured,
                                          struct error *err) MUST_CHECK;
enum status source_mariadb_republish(struct source *source, const char *entity_type,
                                     struct error *err) MUST_CHECK;
enum status source_mariadb_progress(struct source *source, const char *entity_type,
                                    struct source_progress *ret_progress,
                                    struct error *err) MUST_CHECK;
enum status source_mariadb_chunk(struct source *source, const struct config_entry *entry,
                                 const struct entity_schema *schema, size_t limit,
                                 struct source_progress *ret_progress,
                                 struct error *err) MUST_CHECK;
enum status source_mariadb_write(struct source *source, const struct source_event *events,
                                 size_t count, struct error *err) MUST_CHECK;

extern const struct source_ops source_mariadb_ops;

#endif
