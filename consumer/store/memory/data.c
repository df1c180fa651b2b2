/* The memory store's rows, parked records and superseded images. */
#include "consumer/store/memory/memory.h"
#include "consumer/store/memory/internal.h"
#include "schemas/record/write.h"

#include <inttypes.h>
#include <stdlib.h>

static bool value_equal(const struct value *a, const struct value *b)
{
    if (a->kind != b->kind)
        return false;
    switch (a->kind) {
    case VALUE_INTEGER:
        return a->integer == b->integer;
    case VALUE_TEXT:
    case VALUE_UNFIT:
        return slice_equal(a->text, b->text);
    case VALUE_BOOLEAN:
        return a->boolean == b->boolean;
    case VALUE_DOUBLE:
        return memcmp(&a->number, &b->number, sizeof a->number) == 0;
    case VALUE_ABSENT:
    case VALUE_NULL:
        break;
    }
    return true;
}

/* The index of the row with the same key, or the count. */
static size_t row_find(const struct model *model, const struct entity_schema *schema,
                       const struct value *values)
{
    size_t i = 0;
    for (; i < model->rows.count; i++) {
        const struct model_row *row = list_at(&model->rows, i);
        bool same = strcmp(row->schema->entity_type, schema->entity_type) == 0;
        for (size_t k = 0; same && k < schema->key_count; k++)
            same = value_equal(&row->values[schema->key_columns[k]],
                               &values[schema->key_columns[k]]);
        if (same)
            break;
    }
    return i;
}

/* What is absent keeps the old row's value, or is NULL. */
static const struct value *row_merge(struct store_memory *self, const struct change *change,
                                     const struct model_row *old)
{
    const struct entity_schema *schema = change->schema;
    struct value *values = store_memory_alloc(self, schema->column_count * sizeof *values);
    for (size_t i = 0; i < schema->column_count; i++) {
        values[i] = change->values[i];
        if (values[i].kind == VALUE_TEXT)
            values[i].text = store_memory_keep(self, values[i].text);
        if (values[i].kind != VALUE_ABSENT)
            continue;
        values[i] = (struct value){.kind = VALUE_NULL};
        if (old != NULL && i < old->schema->column_count)
            values[i] = old->values[i];
    }
    return values;
}

enum status store_memory_apply(struct store *store, const struct mapping *mapping,
                               const struct change *const *changes, size_t count, struct error *err)
{
    struct store_memory *self = store_memory_of(store);
    struct model *model = store_memory_model(self);

    for (size_t i = 0; i < count; i++) {
        const struct change *change = changes[i];
        size_t index = row_find(model, mapping->schema, change->values);
        bool there = index < model->rows.count;
        if (change->op == CHANGE_DELETE) {
            if (there)
                list_remove(&model->rows, index);
        } else if (!there && !change_is_complete(change) && change->op == CHANGE_UPDATE) {
            err->reject = REJECT_NO_ROW;
            return error_set(err, STATUS_REJECT, "lacks columns, and there is no row");
        } else if (there && change->is_new) {
            err->reject = REJECT_WAITING;
            return error_set(err, STATUS_REJECT, "the row is there already");
        } else if (there) {
            struct model_row *row = list_at(&model->rows, index);
            row->values = row_merge(self, change, row);
        } else {
            list_add(&model->rows,
                     &(struct model_row){mapping->schema, row_merge(self, change, NULL)});
        }
    }
    return STATUS_OK;
}

static struct record record_keep(struct store_memory *self, const struct record *record)
{
    struct record kept = *record;
    struct header *headers = store_memory_alloc(self, (record->header_count + 1) * sizeof *headers);
    kept.topic = store_memory_keep(self, slice_of(record->topic)).data;
    kept.key = store_memory_keep(self, record->key);
    kept.value = store_memory_keep(self, record->value);
    for (size_t i = 0; i < record->header_count; i++) {
        headers[i].name = store_memory_keep(self, record->headers[i].name);
        headers[i].value = store_memory_keep(self, record->headers[i].value);
    }
    kept.headers = headers;
    return kept;
}

/* Empty instead of absent, as a text column without NULL keeps it. */
static struct slice text_keep(struct store_memory *self, struct slice text)
{
    return store_memory_keep(self, text.data == NULL ? slice_of("") : text);
}

enum status store_memory_park(struct store *store, struct parked_record *records, size_t count,
                              struct error *err)
{
    struct store_memory *self = store_memory_of(store);
    struct model *model = store_memory_model(self);
    (void)err;
    for (size_t i = 0; i < count; i++) {
        records[i].parked_id = ++model->last_parked_id;
        struct parked_record kept = records[i];
        kept.record = record_keep(self, &records[i].record);
        kept.entity_type = text_keep(self, kept.entity_type);
        kept.entity_key = text_keep(self, kept.entity_key);
        kept.reason = text_keep(self, kept.reason);
        kept.bytes = store_record_bytes(&kept.record);
        list_add(&model->parked, &kept);
    }
    return STATUS_OK;
}

static int parked_compare(const void *a_item, const void *b_item)
{
    const struct record *a = &((const struct parked_record *)a_item)->record;
    const struct record *b = &((const struct parked_record *)b_item)->record;
    int order = strcmp(a->topic, b->topic);
    if (order == 0)
        order = (a->partition > b->partition) - (a->partition < b->partition);
    if (order == 0)
        order = (a->offset > b->offset) - (a->offset < b->offset);
    return order;
}

static int parked_compare_ids(const void *a_item, const void *b_item)
{
    int64_t a = ((const struct parked_record *)a_item)->parked_id;
    int64_t b = ((const struct parked_record *)b_item)->parked_id;
    return (a > b) - (a < b);
}

static bool parked_matches(const struct parked_filter *filter, const struct parked_record *parked)
{
    if (filter->by_id)
        return parked->parked_id > filter->after_id;
    if (filter->set_of != NULL)
        return parked_is_same_set(filter->set_of, parked) &&
               parked->record.offset >= filter->from_offset;
    return (filter->topic == NULL || strcmp(filter->topic, parked->record.topic) == 0) &&
           (filter->partition < 0 || filter->partition == parked->record.partition) &&
           (filter->entity_type == NULL || slice_is(parked->entity_type, filter->entity_type)) &&
           (filter->entity_key.data == NULL ||
            slice_equal(parked->entity_key, filter->entity_key)) &&
           (filter->parked_id == 0 || filter->parked_id == parked->parked_id) &&
           parked->record.offset >= filter->from_offset &&
           (!filter->blocking || parked->state != PARKED_SKIPPED) &&
           (filter->due_us == 0 ||
            (parked->state == PARKED_WAITING && parked->next_attempt_us <= filter->due_us));
}

enum status store_memory_read_parked(struct store *store, const struct parked_filter *filter,
                                     struct arena *arena, struct parked_records *ret_parked,
                                     struct error *err)
{
    const struct model *model = store_memory_model(store_memory_of(store));
    size_t count = 0;
    struct parked_record *records = arena_alloc(arena, (model->parked.count + 1) * sizeof *records);
    if (records == NULL)
        return error_set(err, STATUS_RETRY, "no memory for parked records");
    for (size_t i = 0; i < model->parked.count; i++) {
        const struct parked_record *parked = list_at(&model->parked, i);
        if (!parked_matches(filter, parked))
            continue;
        records[count] = *parked;
        if (filter->without_value)
            records[count].record.value = (struct slice){0};
        count++;
    }
    qsort(records, count, sizeof *records, filter->by_id ? parked_compare_ids : parked_compare);
    ret_parked->records = records;
    ret_parked->count = filter->limit != 0 && count > filter->limit ? filter->limit : count;
    return STATUS_OK;
}

/** Delete or skip a record, and all of its set. */
static void parked_take_away(struct model *model, struct parked_record record, bool deletes,
                             int64_t at_us)
{
    for (size_t i = model->parked.count; i-- > 0;) {
        struct parked_record *parked = list_at(&model->parked, i);
        if (parked->parked_id != record.parked_id && !parked_is_same_set(parked, &record))
            continue;
        if (deletes) {
            list_remove(&model->parked, i);
        } else {
            parked->state = PARKED_SKIPPED;
            parked->next_attempt_us = at_us;
        }
    }
}

enum status store_memory_edit_parked(struct store *store, const struct parked_record *record,
                                     enum parked_edit edit, struct error *err)
{
    struct store_memory *self = store_memory_of(store);
    struct model *model = store_memory_model(self);
    struct parked_record *parked = NULL;

    for (size_t i = 0; parked == NULL && i < model->parked.count; i++) {
        struct parked_record *candidate = list_at(&model->parked, i);
        if (candidate->parked_id == record->parked_id)
            parked = candidate;
    }
    bool is_over = parked != NULL && edit == PARKED_SET_WAITING && parked->changeset_end != 0 &&
                   parked->state == PARKED_SKIPPED;
    if (parked == NULL || is_over)
        return error_set_native(err, STATUS_ABORT, 1, "parked record %" PRId64 " is not there",
                                record->parked_id);
    struct partition_state *position = model_position(model, parked->record.topic,
                                                      parked->record.partition);
    if (position != NULL && (edit == PARKED_SET_SKIPPED || edit == PARKED_SET_WAITING))
        position->revision++;
    if (edit == PARKED_ATTEMPT) {
        parked->state = record->state;
        parked->reason = text_keep(self, record->reason);
        parked->code = record->code;
        parked->attempts = record->attempts;
        parked->next_attempt_us = record->next_attempt_us;
    } else if (edit == PARKED_SET_WAITING) {
        parked->state = PARKED_WAITING;
        parked->next_attempt_us = 0;
    } else {
        parked_take_away(model, *parked, edit == PARKED_DELETE, record->next_attempt_us);
    }
    return STATUS_OK;
}

/** The image of an entity. */
static struct superseded_image *image_find(struct model *model,
                                           const struct superseded_image *wanted, size_t *ret_index)
{
    for (size_t i = 0; i < model->superseded.count; i++) {
        struct superseded_image *candidate = list_at(&model->superseded, i);
        *ret_index = i;
        if (slice_equal(candidate->entity_type, wanted->entity_type) &&
            slice_equal(candidate->entity_key, wanted->entity_key))
            return candidate;
    }
    return NULL;
}

/** The first image kept behind a record in its partition. */
static struct superseded_image *image_behind(struct model *model, const struct record *record)
{
    struct superseded_image *next = NULL;
    for (size_t i = 0; i < model->superseded.count; i++) {
        struct superseded_image *candidate = list_at(&model->superseded, i);
        if (strcmp(candidate->record.topic, record->topic) == 0 &&
            candidate->record.partition == record->partition &&
            candidate->record.offset > record->offset &&
            (next == NULL || candidate->record.offset < next->record.offset))
            next = candidate;
    }
    return next;
}

enum status store_memory_keep_image(struct store *store, const struct superseded_image *image,
                                    struct error *err)
{
    struct store_memory *self = store_memory_of(store);
    struct superseded_image kept = {.entity_type = store_memory_keep(self, image->entity_type),
                                    .entity_key = store_memory_keep(self, image->entity_key),
                                    .record = record_keep(self, &image->record)};
    enum status status = store_memory_drop_image(store, image, err);
    list_add(&store_memory_model(self)->superseded, &kept);
    return status;
}

enum status store_memory_read_image(struct store *store, const struct superseded_image *wanted,
                                    struct arena *arena, struct superseded_image *ret_image,
                                    struct error *err)
{
    struct model *model = store_memory_model(store_memory_of(store));
    size_t index = 0;
    (void)arena, (void)err;
    const struct superseded_image *found = wanted->entity_type.data == NULL
                                               ? image_behind(model, &wanted->record)
                                               : image_find(model, wanted, &index);
    *ret_image = found != NULL ? *found : (struct superseded_image){0};
    return STATUS_OK;
}

enum status store_memory_drop_image(struct store *store, const struct superseded_image *image,
                                    struct error *err)
{
    struct model *model = store_memory_model(store_memory_of(store));
    size_t index = 0;
    (void)err;
    if (image_find(model, image, &index) != NULL)
        list_remove(&model->superseded, index);
    return STATUS_OK;
}

static void value_text(const struct value *value, struct buffer *out)
{
    if (value_append_number(value, out))
        return;
    if (value->kind == VALUE_BOOLEAN)
        buffer_append_text(out, value->boolean ? "1" : "0");
    else if (value->kind == VALUE_TEXT)
        buffer_append(out, value->text.data, value->text.length);
    else
        buffer_append_text(out, "NULL");
}

static int text_compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

void store_memory_rows(struct store *store, const char *entity_type, struct buffer *out)
{
    const struct model *model = store_memory_model(store_memory_of(store));
    char **texts = calloc(model->rows.count + 1, sizeof *texts);
    size_t count = 0;
    for (size_t i = 0; texts != NULL && i < model->rows.count; i++) {
        const struct model_row *row = list_at(&model->rows, i);
        struct buffer text;
        buffer_init(&text, out->size_max);
        if (strcmp(row->schema->entity_type, entity_type) != 0)
            continue;
        for (size_t k = 0; k < row->schema->column_count; k++) {
            buffer_append_text(&text, k == 0 ? "" : "|");
            value_text(&row->values[k], &text);
        }
        buffer_append_text(&text, "\n");
        texts[count++] = text.data; /* taken from the buffer */
    }
    if (texts != NULL)
        qsort(texts, count, sizeof *texts, text_compare);
    for (size_t i = 0; i < count; i++) {
        buffer_append_text(out, texts[i]);
        free(texts[i]);
    }
    free(texts);
}
