/* The PostgreSQL store's single idempotency keys: claimed as arrays. */
#include "consumer/store/postgresql/internal.h"

#include "common/clock.h"

/* Arrays of source, id, digest and topic in self->arrays[0..3]. */
static enum status keys_encode(struct store_postgresql *self, const struct key_claim *claims,
                               size_t count, struct error *err)
{
    struct buffer *source = &self->arrays[0];
    struct buffer *id = &self->arrays[1];
    struct buffer *digest = &self->arrays[2];
    struct buffer *topic = &self->arrays[3];
    array_begin(source, WIRE_TEXT);
    array_begin(id, WIRE_TEXT);
    array_begin(digest, WIRE_INT8);
    array_begin(topic, WIRE_TEXT);
    for (size_t i = 0; i < count; i++) {
        array_append_text(source, claims[i].source);
        array_append_text(id, claims[i].id);
        array_append_integer(digest, (int64_t)claims[i].digest);
        array_append_text(topic, slice_of(key_claim_topic(&claims[i])));
    }
    array_end(source, count);
    array_end(id, count);
    array_end(digest, count);
    array_end(topic, count);
    if (source->failed || id->failed || digest->failed || topic->failed)
        return error_set(err, STATUS_RETRY, "no memory for idempotency keys");
    return STATUS_OK;
}

/* The claims, while rows of stored keys are read. */
struct reading {
    struct buffer *scratch;
    struct key_claim *claims;
    size_t count;
    size_t next;
};

/* Compare with a text as it is stored, encoded. */
static bool key_is(struct buffer *scratch, struct slice text, struct slice stored)
{
    buffer_reset(scratch);
    store_postgresql_encode(scratch, text);
    return slice_equal(buffer_slice(scratch), stored);
}

/* Rows come back for the stored keys, in the order of the claims: the next claim that fits is new.
 */
static enum status read_new(void *context, struct store_row *row, struct error *err)
{
    struct reading *reading = context;
    bool found = false;
    (void)err;
    while (!found && reading->next < reading->count) {
        struct key_claim *claim = &reading->claims[reading->next++];
        found = key_is(reading->scratch, claim->source, row->bytes(row, 0)) &&
                key_is(reading->scratch, claim->id, row->bytes(row, 1));
        if (found)
            claim->verdict = KEY_NEW;
    }
    return STATUS_OK;
}

static enum status read_stored(void *context, struct store_row *row, struct error *err)
{
    const struct reading *reading = context;
    struct key_claim *claim = &reading->claims[row->integer(row, 0) - 1];
    (void)err;
    if (claim->verdict == KEY_CONFLICT && row->integer(row, 1) == (int64_t)claim->digest)
        claim->verdict = KEY_DUPLICATE;
    return STATUS_OK;
}

/* Usually all keys are new, so store them all and compare the number of rows. If one was not new,
 * nothing stays stored. */
static enum status keys_add(struct store_sql *self, struct sql_call add, size_t count,
                            bool *ret_all, struct error *err)
{
    int64_t added = 0;
    add.changes = &added;
    enum status status = self->session->execute(self, "SAVEPOINT keepstep_keys", err);
    if (status == STATUS_OK)
        status = store_sql_run(self, add, err);
    *ret_all = (size_t)added == count;
    if (status == STATUS_OK && !*ret_all)
        status = self->session->execute(self, "ROLLBACK TO SAVEPOINT keepstep_keys", err);
    if (status == STATUS_OK)
        status = self->session->execute(self, "RELEASE SAVEPOINT keepstep_keys", err);
    return status;
}

enum status store_postgresql_claim_keys(struct store *store, struct key_claim *claims, size_t count,
                                        struct error *err)
{
    struct store_postgresql *self = store_postgresql_of(store);
    struct reading reading = {.scratch = &self->scratch, .claims = claims, .count = count};
    bool all = false;
    if (count == 0)
        return STATUS_OK;
    enum status status = keys_encode(self, claims, count, err);
    struct parameter source = parameter_bytes(buffer_slice(&self->arrays[0]));
    struct parameter id = parameter_bytes(buffer_slice(&self->arrays[1]));
    struct parameter digest = parameter_bytes(buffer_slice(&self->arrays[2]));
    struct parameter topic = parameter_bytes(buffer_slice(&self->arrays[3]));
    struct parameter now = parameter_integer(clock_wall_us());
    if (status == STATUS_OK)
        status = keys_add(&self->sql, SQL_CALL(KEY_ADD, source, id, digest, now, topic), count,
                          &all, err);
    for (size_t i = 0; i < count; i++)
        claims[i].verdict = all ? KEY_NEW : KEY_CONFLICT;
    if (status != STATUS_OK || all)
        return status;
    status = store_sql_query(&self->sql, SQL_CALL(KEY_CLAIM, source, id, digest, now, topic),
                             read_new, &reading, err);
    if (status == STATUS_OK)
        status = store_sql_query(&self->sql, SQL_CALL(KEY_READ, source, id), read_stored, &reading,
                                 err);
    return status;
}
