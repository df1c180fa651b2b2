/* libkeepstep for SQLite. It uses nothing else of Keepstep, so that a service can link it alone. */
#include "common/utf8.h"
#include "producer/library/internal.h"

#include <sqlite3.h>
#include <stdbool.h>
#include <stdio.h>

#define PUBLISH_COLUMNS                                                                            \
    "INSERT INTO outbox (aggregatetype, aggregateid, type, payload, traceparent, partition_key"
#define PUBLISH_VALUES                                                                             \
    ") VALUES (?1, ?2, ?1 || '.' || ?3, "                                                          \
    "'{\"op\":\"' || ?4 || '\",\"before\":' || coalesce(?5, 'null') || ',\"after\":' || "          \
    "coalesce(?6, 'null') || '}', ?7, ?8"

static const char PUBLISH[] = PUBLISH_COLUMNS PUBLISH_VALUES ")";

/* A caller who asks for the event's id gets one that the row is given. */
static const char PUBLISH_UNDER_ID[] = PUBLISH_COLUMNS ", id" PUBLISH_VALUES ", " LIBRARY_UUID
                                                       ") RETURNING id";

/* The relay would set aside text that is no JSON object, but only long after the commit. */
static const char CHECK[] = "SELECT CASE WHEN ?1 IS NULL THEN 1 WHEN NOT json_valid(?1) THEN 0 "
                            "ELSE json_type(?1) = 'object' END";

int library_refuse(char *ret_error, size_t size, int code, const char *text)
{
    if (ret_error != NULL && size > 0)
        utf8_format(ret_error, size, "%s", text);
    return code;
}

int library_run(sqlite3_stmt *statement, char *ret_id)
{
    int code = sqlite3_step(statement);
    if (code == SQLITE_ROW && ret_id != NULL)
        (void)snprintf(ret_id, KEEPSTEP_ID_SIZE, "%s", sqlite3_column_text(statement, 0));
    while (code == SQLITE_ROW)
        code = sqlite3_step(statement);
    return code == SQLITE_DONE ? SQLITE_OK : code;
}

/* @return SQLITE_ROW if `text` is NULL or a JSON object; SQLITE_MISMATCH; another code of SQLite.
 */
static int publisher_check(struct sqlite3 *db, const char *text)
{
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v2(db, CHECK, -1, &statement, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_bind_text(statement, 1, text, -1, SQLITE_STATIC);
    if (code == SQLITE_OK)
        code = sqlite3_step(statement);
    if (code == SQLITE_ROW && sqlite3_column_int(statement, 0) == 0)
        code = SQLITE_MISMATCH;
    (void)sqlite3_finalize(statement);
    return code;
}

__attribute__((visibility("default"))) int keepstep_publish(struct sqlite3 *db,
                                                            const struct keepstep_change *change,
                                                            char ret_id[KEEPSTEP_ID_SIZE],
                                                            char *ret_error, size_t error_size)
{
    static const char *const names[] = {"created", "updated", "deleted"};
    static const char *const operations[] = {"c", "u", "d"};
    sqlite3_stmt *statement = NULL;
    const char *key = change->key;
    size_t index = (size_t)change->operation;
    if (index >= sizeof names / sizeof *names)
        return library_refuse(ret_error, error_size, SQLITE_MISUSE, "unknown operation");
    if (change->entity_type == NULL || change->entity_type[0] == '\0' || key == NULL ||
        key[0] == '\0')
        return library_refuse(ret_error, error_size, SQLITE_MISUSE,
                              "entity_type and key must not be empty");
    if ((change->operation == KEEPSTEP_DELETE) != (change->after == NULL))
        return library_refuse(ret_error, error_size, SQLITE_MISUSE,
                              "`after` is the row, and NULL for a delete only");
    if (sqlite3_get_autocommit(db) != 0)
        return library_refuse(ret_error, error_size, SQLITE_MISUSE,
                              "no transaction is open: BEGIN, write the row, then publish");
    bool key_is_json = key[0] == '{' || key[0] == '[';
    const struct {
        const char *text;
        const char *wrong;
    } documents[] = {{change->after, "`after` is no JSON object"},
                     {change->before, "`before` is no JSON object"},
                     {key_is_json ? key : NULL, "`key` is no JSON object, and no bare value"}};
    for (size_t i = 0; i < sizeof documents / sizeof *documents; i++) {
        int checked = publisher_check(db, documents[i].text);
        if (checked != SQLITE_ROW)
            return library_refuse(ret_error, error_size, checked,
                                  checked == SQLITE_MISMATCH ? documents[i].wrong
                                                             : sqlite3_errmsg(db));
    }
    const char *texts[] = {
        change->entity_type, key,           names[index],        operations[index],
        change->before,      change->after, change->traceparent, change->partition_key};
    int code = sqlite3_prepare_v2(db, ret_id == NULL ? PUBLISH : PUBLISH_UNDER_ID, -1, &statement,
                                  NULL);
    for (int i = 0; code == SQLITE_OK && i < (int)(sizeof texts / sizeof *texts); i++)
        code = sqlite3_bind_text(statement, i + 1, texts[i], -1, SQLITE_STATIC);
    if (code == SQLITE_OK)
        code = library_run(statement, ret_id);
    if (code != SQLITE_OK)
        (void)library_refuse(ret_error, error_size, code, sqlite3_errmsg(db));
    (void)sqlite3_finalize(statement);
    return code;
}
