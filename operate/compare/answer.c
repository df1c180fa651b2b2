/* One row after the other: is it asked for, and what is its digest? */
#include "operate/compare/answer.h"

#include "common/clock.h"
#include "schemas/record/write.h"

#include <stdlib.h>

#define ANSWER_JSON_MAX  ((size_t)64 * 1024 * 1024) /* of one row */
#define ANSWER_TICK_ROWS 256
#define ANSWER_TICK_US   100000

void answer_begin(struct answer *answer, const struct entity_schema *schema,
                  const struct question *question)
{
    *answer = (struct answer){.schema = schema,
                              .question = question,
                              .tick_at = 1,
                              .tick_rows = 1,
                              .ticked_us = clock_monotonic_us()};
    buffer_init(&answer->json, ANSWER_JSON_MAX);
}

void answer_done(struct answer *answer)
{
    buffer_done(&answer->json);
}

static bool answer_leaves_out(const struct question *question, uint64_t key_digest)
{
    if (question->buckets != NULL && !question->buckets[row_bucket(key_digest)])
        return true;
    return question->left_out_count > 0 &&
           bsearch(&key_digest, question->left_out, question->left_out_count, sizeof key_digest,
                   row_digest_compare) != NULL;
}

/* Rows may come slowly: then fewer of them lie between two ticks. */
static enum status answer_tick(struct answer *answer, struct error *err)
{
    const struct tick *tick = &answer->question->tick;
    int64_t now_us = clock_monotonic_us();
    int64_t took_us = now_us - answer->ticked_us;
    if (took_us > ANSWER_TICK_US)
        answer->tick_rows = (answer->tick_rows + 1) / 2;
    else if (took_us < ANSWER_TICK_US / 2 && answer->tick_rows < ANSWER_TICK_ROWS)
        answer->tick_rows *= 2;
    answer->tick_at = answer->count + answer->tick_rows;
    answer->ticked_us = now_us;
    return tick->call == NULL ? STATUS_OK : tick->call(tick->context, answer->count, err);
}

static bool answer_json(struct answer *answer, const struct scanned_row *row)
{
    const struct row_columns *columns = answer->question->columns;
    buffer_reset(&answer->json);
    for (size_t i = 0; i < columns->count; i++) {
        const struct column *column = &answer->schema->columns[columns->index[i]];
        buffer_append_text(&answer->json, i == 0 ? "{" : ",");
        buffer_append_json(&answer->json, slice_of(column->name));
        buffer_append_text(&answer->json, ":");
        value_append(column->type, &row->values[columns->index[i]], &answer->json);
    }
    buffer_append_text(&answer->json, "}");
    return !answer->json.failed;
}

enum status answer_row(void *context, const struct scanned_row *row, struct error *err)
{
    struct answer *answer = context;
    const struct question *question = answer->question;
    uint64_t key_digest = row_key_digest(row->key);
    enum status status = STATUS_OK;
    answer->count++;
    if (answer->count == answer->tick_at)
        status = answer_tick(answer, err);
    if (status != STATUS_OK || answer_leaves_out(question, key_digest))
        return status;
    struct answered_row answered = {.key = row->key, .key_digest = key_digest};
    answered.digest = row_digest(key_digest, answer->schema, question->columns, row->values);
    if (answer->visit == NULL) {
        row_sums_add(answer->sums, key_digest, answered.digest);
        return STATUS_OK;
    }
    if (question->with_json && !answer_json(answer, row))
        return error_set(err, STATUS_RETRY, "no memory for a row that differs");
    if (question->with_json)
        answered.json = buffer_slice(&answer->json);
    for (size_t i = 0; question->with_json && i < question->columns->count; i++) {
        size_t index = question->columns->index[i];
        if (answered.is_unfit || row->values[index].kind != VALUE_UNFIT)
            continue;
        answered.is_unfit = true;
        answered.unfit = answer->schema->columns[index].name;
    }
    return answer->visit(answer->context, &answered, err);
}
