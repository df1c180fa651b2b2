/* libkeepstep for SQLite: asks for a joint transaction, and says what became of it. */
#include "common/utf8.h"
#include "producer/library/internal.h"

#include <sqlite3.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* The triggers of the table check it, and write the record for the log. */
static const char PROPOSE[] = "INSERT INTO keepstep_joint (id, changes, timeout_ms) "
                              "VALUES (coalesce(?1, " LIBRARY_UUID "), ?2, ?3) RETURNING id";

/* Other services may use the same id for theirs. */
static const char STATE[] = "SELECT state, reason FROM keepstep_joint "
                            "WHERE id = ?1 AND proposer = (SELECT origin FROM keepstep_relay)";

#define TIMEOUT_MS   10000
#define PRIMARY_CODE 0xff /* an extended code has it in its last byte */

static const char USED[] = "this id was used before: keepstep_joint_state() says what became of it";

/* The trigger's refusal has one code for all its reasons. */
static bool id_was_used(sqlite3 *db, const char *id)
{
    struct keepstep_joint_state ignored;
    return id != NULL && keepstep_joint_state(db, id, &ignored, NULL, 0) == SQLITE_OK;
}

__attribute__((visibility("default"))) int
keepstep_propose(struct sqlite3 *db, const struct keepstep_proposal *proposal,
                 char ret_id[KEEPSTEP_ID_SIZE], char *ret_error, size_t error_size)
{
    sqlite3_stmt *statement = NULL;
    if (proposal->changes == NULL)
        return library_refuse(ret_error, error_size, SQLITE_MISUSE, "changes must not be NULL");
    if (proposal->timeout_ms < 0)
        return library_refuse(ret_error, error_size, SQLITE_MISUSE,
                              "timeout_ms must not be below 0");
    if (proposal->id == NULL && ret_id == NULL)
        return library_refuse(ret_error, error_size, SQLITE_MISUSE,
                              "without an id of yours, ret_id takes the one that it gets");
    int code = sqlite3_prepare_v2(db, PROPOSE, -1, &statement, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_bind_text(statement, 1, proposal->id, -1, SQLITE_STATIC);
    if (code == SQLITE_OK)
        code = sqlite3_bind_text(statement, 2, proposal->changes, -1, SQLITE_STATIC);
    if (code == SQLITE_OK)
        code = sqlite3_bind_int(statement, 3,
                                proposal->timeout_ms == 0 ? TIMEOUT_MS : proposal->timeout_ms);
    if (code == SQLITE_OK)
        code = library_run(statement, proposal->id == NULL ? ret_id : NULL);
    if (code != SQLITE_OK)
        (void)library_refuse(ret_error, error_size, code, sqlite3_errmsg(db));
    (void)sqlite3_finalize(statement);
    return (code & PRIMARY_CODE) == SQLITE_CONSTRAINT && id_was_used(db, proposal->id)
               ? library_refuse(ret_error, error_size, KEEPSTEP_ID_USED, USED)
               : code;
}

static enum keepstep_outcome outcome_of(const char *state)
{
    if (strcmp(state, "committed") == 0)
        return KEEPSTEP_COMMITTED;
    return strcmp(state, "aborted") == 0 ? KEEPSTEP_ABORTED : KEEPSTEP_UNDECIDED;
}

__attribute__((visibility("default"))) int
keepstep_joint_state(struct sqlite3 *db, const char *id, struct keepstep_joint_state *ret_state,
                     char *ret_error, size_t error_size)
{
    sqlite3_stmt *statement = NULL;
    *ret_state = (struct keepstep_joint_state){.outcome = KEEPSTEP_UNDECIDED};
    int code = sqlite3_prepare_v2(db, STATE, -1, &statement, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_bind_text(statement, 1, id, -1, SQLITE_STATIC);
    if (code == SQLITE_OK)
        code = sqlite3_step(statement);
    if (code == SQLITE_ROW) {
        ret_state->outcome = outcome_of((const char *)sqlite3_column_text(statement, 0));
        utf8_format(ret_state->reason, sizeof ret_state->reason, "%s",
                    sqlite3_column_text(statement, 1));
        code = SQLITE_OK;
    } else if (code == SQLITE_DONE) {
        code = library_refuse(ret_error, error_size, SQLITE_NOTFOUND,
                              "this service has asked for no joint transaction of this id");
    } else {
        (void)library_refuse(ret_error, error_size, code, sqlite3_errmsg(db));
    }
    (void)sqlite3_finalize(statement);
    return code;
}
