/* The MariaDB store's single idempotency keys: added as an array; where some were there, read in
 * groups. */
#include "consumer/store_mariadb_internal.h"

#include "common/buffer.h"
#include "common/clock.h"
#include "consumer_mariadb_sql.h"

#include <stdlib.h>

#define GROUP_SIZE   PRESENT_KEYS
#define ADD_MAX      1024
#define SQL_SIZE_MAX ((size_t)64 * 1024)

static enum status keys_prepare(struct store_mariadb *self, struct error *err)
{
    struct buffer sql;
    enum status status = STATUS_OK;
    if (self->key_read.handle == NULL) {
        buffer_init(&sql, SQL_SIZE_MAX);
        buffer_append_text(&sql, SQL_KEY_READ);
        for (size_t i = 0; i < GROUP_SIZE; i++)
            buffer_append_text(&sql,
                               i == 0 ? "(source = ? AND id = ?)" : " OR (source = ? AND id = ?)");
        status = sql.failed
                     ? error_set(err, STATUS_RETRY, "out of memory")
                     : store_mariadb_statement(self, &self->key_read, buffer_text(&sql), err);
        buffer_done(&sql);
    }
    if (status == STATUS_OK && self->key_claim.handle == NULL)
        status = store_mariadb_statement(self, &self->key_claim, SQL_KEY_CLAIM, err);
    return status;
}

static bool same_key(const struct key_claim *a, const struct key_claim *b)
{
    return slice_equal(a->id, b->id) && slice_equal(a->source, b->source);
}

static enum status keys_read(struct store_mariadb *self, struct key_claim *claims, size_t count,
                             struct error *err)
{
    struct parameter parameters[2 * GROUP_SIZE];
    bool row = false;
    for (size_t i = 0; i < GROUP_SIZE; i++) {
        const struct key_claim *claim = &claims[i < count ? i : count - 1];
        parameters[2 * i] = parameter_blob(claim->source);
        parameters[2 * i + 1] = parameter_blob(claim->id);
    }
    enum status status = store_mariadb_query(&self->key_read, parameters, 2 * GROUP_SIZE,
                                             "read idempotency keys", &row, err);
    while (status == STATUS_OK && row) {
        struct key_claim stored = {.source = store_mariadb_column(&self->key_read, 0),
                                   .id = store_mariadb_column(&self->key_read, 1),
                                   .digest = (uint64_t)store_mariadb_integer(&self->key_read, 2)};
        for (size_t i = 0; i < count; i++) {
            if (same_key(&claims[i], &stored))
                claims[i].verdict = claims[i].digest == stored.digest ? KEY_DUPLICATE
                                                                      : KEY_CONFLICT;
        }
        status = store_mariadb_next(&self->key_read, &row, err);
    }
    store_mariadb_end(&self->key_read);
    return status;
}

/* The columns of an array of keys. */
struct key_rows {
    const char *sources[ADD_MAX];
    const char *ids[ADD_MAX];
    unsigned long source_lengths[ADD_MAX];
    unsigned long id_lengths[ADD_MAX];
    int64_t digests[ADD_MAX];
    int64_t times[ADD_MAX];
};

/* Add the keys that are new. */
static enum status keys_add(struct store_mariadb *self, const struct key_claim *claims,
                            size_t count, struct key_rows *key_rows, struct error *err)
{
    int64_t now = clock_wall_us();
    unsigned int rows = 0;
    for (size_t i = 0; i < count; i++) {
        if (claims[i].verdict != KEY_NEW)
            continue;
        key_rows->sources[rows] = claims[i].source.data;
        key_rows->source_lengths[rows] = claims[i].source.length;
        key_rows->ids[rows] = claims[i].id.data;
        key_rows->id_lengths[rows] = claims[i].id.length;
        key_rows->digests[rows] = (int64_t)claims[i].digest;
        key_rows->times[rows++] = now;
    }
    MYSQL_BIND binds[] = {
        {.buffer_type = MYSQL_TYPE_BLOB,
         .buffer = key_rows->sources,
         .length = key_rows->source_lengths},
        {.buffer_type = MYSQL_TYPE_BLOB, .buffer = key_rows->ids, .length = key_rows->id_lengths},
        {.buffer_type = MYSQL_TYPE_LONGLONG, .buffer = key_rows->digests},
        {.buffer_type = MYSQL_TYPE_LONGLONG, .buffer = key_rows->times}};
    if (rows == 0)
        return STATUS_OK;
    MYSQL_STMT *handle = self->key_claim.handle;
    if (mysql_stmt_attr_set(handle, STMT_ATTR_ARRAY_SIZE, &rows) == 0 &&
        mysql_stmt_bind_param(handle, binds) == 0 && mysql_stmt_execute(handle) == 0)
        return STATUS_OK;
    return mariadb_session_statement_error(handle, "claim idempotency keys", err);
}

/* Read which are there, then add the others. Another agent may have claimed the same key for
 * another partition in between: the transaction is void, and sees it the next time. */
static enum status claim_group(struct store_mariadb *self, struct key_claim *claims, size_t count,
                               struct key_rows *key_rows, struct error *err)
{
    for (size_t i = 0; i < count; i++)
        claims[i].verdict = KEY_NEW;
    enum status status = keys_read(self, claims, count, err);
    for (size_t i = 1; status == STATUS_OK && i < count; i++) {
        for (size_t j = 0; claims[i].verdict == KEY_NEW && j < i; j++) {
            if (same_key(&claims[i], &claims[j]))
                claims[i].verdict = claims[i].digest == claims[j].digest ? KEY_DUPLICATE
                                                                         : KEY_CONFLICT;
        }
    }
    if (status == STATUS_OK)
        status = keys_add(self, claims, count, key_rows, err);
    if (status == STATUS_REJECT && err != NULL)
        status = err->status = STATUS_RETRY;
    return status;
}

/* Mostly all are new, and adding them says so. */
static enum status claim_as_new(struct store_mariadb *self, struct key_claim *claims, size_t count,
                                struct key_rows *key_rows, struct error *err)
{
    enum status status = mariadb_session_execute(self->session, "SAVEPOINT keepstep_keys", err);
    for (size_t i = 0; i < count; i++)
        claims[i].verdict = KEY_NEW;
    for (size_t i = 0; status == STATUS_OK && i < count; i += ADD_MAX)
        status = keys_add(self, claims + i, count - i < ADD_MAX ? count - i : ADD_MAX, key_rows,
                          err);
    return status;
}

enum status store_mariadb_claim_keys(struct store *store, struct key_claim *claims, size_t count,
                                     struct error *err)
{
    struct store_mariadb *self = store_mariadb_of(store);
    struct error added = ERROR_INIT;
    if (count == 0)
        return STATUS_OK;
    struct key_rows *key_rows = malloc(sizeof *key_rows);
    if (key_rows == NULL)
        return error_set(err, STATUS_RETRY, "out of memory");
    enum status status = keys_prepare(self, err);
    if (status != STATUS_OK)
        goto out;
    status = claim_as_new(self, claims, count, key_rows, &added);
    if (status == STATUS_REJECT) {
        status = mariadb_session_execute(self->session, "ROLLBACK TO SAVEPOINT keepstep_keys", err);
        for (size_t i = 0; status == STATUS_OK && i < count; i += GROUP_SIZE)
            status = claim_group(self, claims + i, count - i < GROUP_SIZE ? count - i : GROUP_SIZE,
                                 key_rows, err);
    } else if (status != STATUS_OK && err != NULL) {
        *err = added;
    }
out:
    free(key_rows);
    return status;
}
