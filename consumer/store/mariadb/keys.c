/* The MariaDB store's single idempotency keys: added as an array. If some exist already, all are
 * read in groups. */
#include "consumer/store/mariadb/internal.h"

#include "common/buffer.h"
#include "common/clock.h"
#include "consumer_mariadb_sql.h"

#include <stdlib.h>

#define GROUP_SIZE   FOUND_KEYS
#define ADD_MAX      1024
#define KEY_COLUMNS  5
#define SQL_SIZE_MAX ((size_t)64 * 1024)

static enum status keys_prepare(struct store_mariadb *self, struct error *err)
{
    struct buffer sql;
    if (self->key_read != NULL)
        return STATUS_OK;
    buffer_init(&sql, SQL_SIZE_MAX);
    buffer_append_text(&sql, SQL_KEY_READ);
    for (size_t i = 0; i < GROUP_SIZE; i++)
        buffer_append_text(&sql,
                           i == 0 ? "(source = ? AND id = ?)" : " OR (source = ? AND id = ?)");
    enum status status = sql.failed
                             ? error_set(err, STATUS_RETRY, "out of memory")
                             : mariadb_statement_new(self->session, "read idempotency keys",
                                                     buffer_text(&sql), &self->key_read, err);
    buffer_done(&sql);
    return status;
}

static bool same_key(const struct key_claim *a, const struct key_claim *b)
{
    return slice_equal(a->id, b->id) && slice_equal(a->source, b->source);
}

static enum status keys_read(struct store_mariadb *self, struct key_claim *claims, size_t count,
                             struct error *err)
{
    struct mariadb_parameter parameters[2 * GROUP_SIZE];
    bool row = false;
    for (size_t i = 0; i < GROUP_SIZE; i++) {
        const struct key_claim *claim = &claims[i < count ? i : count - 1];
        parameters[2 * i] = mariadb_bytes(claim->source);
        parameters[2 * i + 1] = mariadb_bytes(claim->id);
    }
    enum status status = mariadb_statement_query(self->key_read, parameters, 2 * GROUP_SIZE, &row,
                                                 err);
    while (status == STATUS_OK && row) {
        struct key_claim stored = {
            .source = mariadb_statement_column(self->key_read, 0),
            .id = mariadb_statement_column(self->key_read, 1),
            .digest = (uint64_t)mariadb_statement_integer(self->key_read, 2)};
        for (size_t i = 0; i < count; i++) {
            if (same_key(&claims[i], &stored))
                claims[i].verdict = claims[i].digest == stored.digest ? KEY_DUPLICATE
                                                                      : KEY_CONFLICT;
        }
        status = mariadb_statement_next(self->key_read, &row, err);
    }
    mariadb_statement_end(self->key_read);
    return status;
}

/* Add the keys that are new. @param values  room for `count` rows. */
static enum status keys_add(struct store_mariadb *self, const struct key_claim *claims,
                            size_t count, struct parameter *values, struct error *err)
{
    struct sql_call add = {.id = STATEMENT_KEY_CLAIM, .parameters = values, .count = KEY_COLUMNS};
    int64_t now_us = clock_wall_us();
    size_t rows = 0;
    for (size_t i = 0; i < count; i++) {
        if (claims[i].verdict != KEY_NEW)
            continue;
        struct parameter *row = &values[KEY_COLUMNS * rows++];
        row[0] = parameter_raw(claims[i].source);
        row[1] = parameter_raw(claims[i].id);
        row[2] = parameter_integer((int64_t)claims[i].digest);
        row[3] = parameter_integer(now_us);
        row[4] = parameter_text(key_claim_topic(&claims[i]));
    }
    return rows == 0 ? STATUS_OK : store_mariadb_send_rows(&self->sql, &add, rows, err);
}

/* Read which keys exist, then add the others. If another agent has claimed one of them in between,
 * for another partition, the transaction is done again and then finds it. */
static enum status claim_group(struct store_mariadb *self, struct key_claim *claims, size_t count,
                               struct parameter *values, struct error *err)
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
        status = keys_add(self, claims, count, values, err);
    if (status == STATUS_REJECT && err != NULL)
        status = err->status = STATUS_RETRY;
    return status;
}

/* Usually all keys are new. If one is not, adding them is a REJECT. */
static enum status claim_as_new(struct store_mariadb *self, struct key_claim *claims, size_t count,
                                struct parameter *values, struct error *err)
{
    enum status status = mariadb_session_execute(self->session, "SAVEPOINT keepstep_keys", err);
    for (size_t i = 0; i < count; i++)
        claims[i].verdict = KEY_NEW;
    for (size_t i = 0; status == STATUS_OK && i < count; i += ADD_MAX)
        status = keys_add(self, claims + i, count - i < ADD_MAX ? count - i : ADD_MAX, values, err);
    return status;
}

enum status store_mariadb_claim_keys(struct store *store, struct key_claim *claims, size_t count,
                                     struct error *err)
{
    struct store_mariadb *self = store_mariadb_of(store);
    struct error added = ERROR_INIT;
    if (count == 0)
        return STATUS_OK;
    struct parameter *values = malloc(KEY_COLUMNS * ADD_MAX * sizeof *values);
    if (values == NULL)
        return error_set(err, STATUS_RETRY, "out of memory");
    enum status status = keys_prepare(self, err);
    if (status != STATUS_OK)
        goto out;
    status = claim_as_new(self, claims, count, values, &added);
    if (status == STATUS_REJECT) {
        status = mariadb_session_execute(self->session, "ROLLBACK TO SAVEPOINT keepstep_keys", err);
        for (size_t i = 0; status == STATUS_OK && i < count; i += GROUP_SIZE)
            status = claim_group(self, claims + i, count - i < GROUP_SIZE ? count - i : GROUP_SIZE,
                                 values, err);
    } else if (status != STATUS_OK && err != NULL) {
        *err = added;
    }
out:
    free(values);
    return status;
}
