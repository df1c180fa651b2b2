/* The SQLite store's single idempotency keys. */
#include "consumer/store/sqlite/internal.h"

#include "common/clock.h"

static enum status claim_key(struct store_sql *self, struct key_claim *claim, int64_t now_us,
                             struct error *err)
{
    struct parameter source = parameter_raw(claim->source);
    struct parameter id = parameter_raw(claim->id);
    int64_t digest = (int64_t)claim->digest;
    int64_t stored = 0;
    int64_t added = 0;
    struct sql_call add = SQL_CALL(KEY_CLAIM, source, id, parameter_integer(digest),
                                   parameter_integer(now_us),
                                   parameter_text(key_claim_topic(claim)));
    add.changes = &added;
    claim->verdict = KEY_NEW;
    enum status status = store_sql_run(self, add, err);
    if (status != STATUS_OK || added == 1)
        return status;
    status = store_sql_number(self, SQL_CALL(KEY_READ, source, id), 0, &stored, err);
    claim->verdict = stored == digest ? KEY_DUPLICATE : KEY_CONFLICT;
    return status;
}

enum status store_sqlite_claim_keys(struct store *store, struct key_claim *claims, size_t count,
                                    struct error *err)
{
    int64_t now_us = clock_wall_us();
    enum status status = STATUS_OK;
    for (size_t i = 0; status == STATUS_OK && i < count; i++)
        status = claim_key(store_sql_of(store), &claims[i], now_us, err);
    return status;
}
