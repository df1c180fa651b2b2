/* Inside the MariaDB origin. */
#ifndef PRODUCER_MARIADB_ORIGIN_INTERNAL_H
#define PRODUCER_MARIADB_ORIGIN_INTERNAL_H

#include "common/mariadb_statement.h"
#include "producer/mariadb/capture.h"

struct origin_mariadb {
    struct origin base;
    MYSQL *session;
    bool watching;                         /* sees what the relay's role may see */
    struct mariadb_statement *note_in_log; /* prepared at its first use */
    struct capture_mariadb table;          /* whose present rows are being read */
};

static inline struct origin_mariadb *origin_mariadb_of(struct origin *origin)
{
    return (struct origin_mariadb *)origin;
}

enum status origin_mariadb_begin(struct origin *origin, struct error *err) MUST_CHECK;
enum status origin_mariadb_commit(struct origin *origin, struct error *err) MUST_CHECK;
void origin_mariadb_rollback(struct origin *origin);

enum status origin_mariadb_captured(struct origin *origin, const char *entity_type,
                                    struct arena *arena, struct origin_captured *ret_captured,
                                    struct error *err) MUST_CHECK;
enum status origin_mariadb_write_captured(struct origin *origin, const char *entity_type,
                                          const struct origin_captured *captured,
                                          struct error *err) MUST_CHECK;
enum status origin_mariadb_republish(struct origin *origin, const char *entity_type,
                                     struct error *err) MUST_CHECK;
enum status origin_mariadb_progress(struct origin *origin, const char *entity_type,
                                    struct origin_progress *ret_progress,
                                    struct error *err) MUST_CHECK;
enum status origin_mariadb_chunk(struct origin *origin, const struct config_entry *entry,
                                 const struct entity_schema *schema, size_t limit,
                                 struct origin_progress *ret_progress,
                                 struct error *err) MUST_CHECK;
enum status origin_mariadb_write(struct origin *origin, const struct origin_event *events,
                                 size_t count, struct error *err) MUST_CHECK;

extern const struct origin_ops origin_mariadb_ops;

#endif
