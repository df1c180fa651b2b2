/* What the demo reads from the services' databases: rows, lag, parked events, differences. */
#include "common/sqlite_session.h"
#include "operate/demo.h"

#include <stdio.h>

/* The first column of the first row, as a number or as text; -1 and nothing where it cannot be had.
 */
static int64_t demo_query(const struct demo *demo, int service, const char *attach, const char *sql,
                          struct buffer *text)
{
    char path[DEMO_PATH_SIZE + 64];
    sqlite3 *database = NULL;
    sqlite3_stmt *statement = NULL;
    int64_t result = -1;
    (void)snprintf(path, sizeof path, "%s/%s.db", demo->directory, demo->services[service]);
    if (sqlite_session_open(path, SQLITE_OPEN_READWRITE, &database, NULL) != STATUS_OK)
        goto out;
    if (attach != NULL && sqlite3_exec(database, attach, NULL, NULL, NULL) != SQLITE_OK)
        goto out;
    if (sqlite3_prepare_v2(database, sql, -1, &statement, NULL) == SQLITE_OK &&
        sqlite3_step(statement) == SQLITE_ROW) {
        result = sqlite3_column_int64(statement, 0);
        if (text != NULL && sqlite3_column_type(statement, 0) != SQLITE_NULL)
            buffer_append_text(text, (const char *)sqlite3_column_text(statement, 0));
    }
out:
    (void)sqlite3_finalize(statement);
    (void)sqlite3_close(database);
    return result;
}

int64_t demo_number(const struct demo *demo, int service, const char *sql)
{
    return demo_query(demo, service, NULL, sql, NULL);
}

void demo_text(const struct demo *demo, int service, const char *sql, struct buffer *ret_text)
{
    buffer_reset(ret_text);
    (void)demo_query(demo, service, NULL, sql, ret_text);
}

int64_t demo_rows(const struct demo *demo, int service, int type)
{
    char sql[128];
    (void)snprintf(sql, sizeof sql, "SELECT count(*) FROM \"%s\"", demo_tables[type]);
    return demo_number(demo, service, sql);
}

static int64_t demo_published(const struct demo *demo, int service, int type)
{
    char sql[512];
    (void)snprintf(sql, sizeof sql,
                   "SELECT (SELECT coalesce(sum(last_sequence),0) FROM keepstep_relay_partition"
                   " WHERE topic='%s') + (SELECT count(*) FROM outbox WHERE aggregatetype='%s'"
                   " AND sequence IS NULL)",
                   demo_types[type], demo_types[type]);
    int64_t published = demo_number(demo, service, sql);
    return published < 0 ? 0 : published;
}

int64_t demo_lag(const struct demo *demo, int service)
{
    int64_t lag = 0;
    for (int type = 0; type < DEMO_TYPES; type++) {
        if (type == service)
            continue;
        lag += demo->injected[type];
        for (int origin = 0; origin < DEMO_SERVICES; origin++) {
            if (origin == type || type == DEMO_TYPES - 1)
                lag += demo_published(demo, origin, type);
        }
    }
    int64_t applied = demo_number(demo, service,
                                  "SELECT coalesce(sum(next_offset),0) FROM keepstep_position");
    lag -= applied < 0 ? 0 : applied;
    return lag < 0 ? 0 : lag;
}

int64_t demo_parked(const struct demo *demo, int service)
{
    return demo_number(demo, service, "SELECT count(*) FROM keepstep_parked");
}

int64_t demo_duplicates(const struct demo *demo, int service)
{
    return demo_number(demo, service,
                       "SELECT (SELECT sum(next_offset) FROM keepstep_position WHERE topic='order')"
                       " - (SELECT sum(last) FROM keepstep_sequence WHERE topic='order')");
}

int64_t demo_differences(const struct demo *demo, int service, int type)
{
    int origin = type < DEMO_SERVICES ? type : 0;
    char attach[DEMO_PATH_SIZE + 64];
    char sql[512];
    (void)snprintf(attach, sizeof attach, "ATTACH '%s/%s.db' AS origin", demo->directory,
                   demo->services[origin]);
    (void)snprintf(sql, sizeof sql,
                   "SELECT (SELECT count(*) FROM (SELECT * FROM main.\"%s\" EXCEPT"
                   " SELECT * FROM origin.\"%s\")) + (SELECT count(*) FROM"
                   " (SELECT * FROM origin.\"%s\" EXCEPT SELECT * FROM main.\"%s\"))",
                   demo_tables[type], demo_tables[type], demo_tables[type], demo_tables[type]);
    return demo_query(demo, service, attach, sql, NULL);
}
