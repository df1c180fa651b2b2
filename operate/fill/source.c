/* The stream of a fill, from its begin to its end. */
#include "common/utf8.h"
#include "operate/fill/internal.h"

#include "common/clock.h"
#include "operate/offsets.h"
#include "operate/snapshot_again.h"
#include "schemas/record/write.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define FILL_ARENA_BYTES ((size_t)64 * 1024 * 1024)
#define FILL_VALUE_BYTES ((size_t)64 * 1024 * 1024) /* of one row */
#define FILL_GROUP       "keepstep-fill"            /* only names the handle */
#define FILL_OUTAGE_US   (INT64_C(60) * 1000 * 1000)
#define FILL_AGAIN_US    (INT64_C(500) * 1000)

enum status fill_refuse(const struct fill_source *self, struct error *err, const char *format, ...)
{
    char why[ERROR_TEXT_SIZE];
    va_list arguments;
    va_start(arguments, format);
    utf8_vformat(why, sizeof why, format, arguments);
    va_end(arguments);
    return error_set(err, STATUS_STOP, "%s cannot be the source of a fill: %s",
                     self->config.service, why);
}

/* The roles. */

static size_t fill_index(const struct config_entry *entries, size_t count, const char *entity_type)
{
    size_t index = 0;
    while (index < count && strcmp(entries[index].entity_type, entity_type) != 0)
        index++;
    return index;
}

static enum status fill_find_role(const struct fill_source *self, const struct entity_schema *asked,
                                  struct fill_role *ret_role, struct error *err)
{
    const struct config *config = &self->config;
    const char *type = asked->entity_type;
    struct role *role = &ret_role->role;
    struct error why = ERROR_INIT;
    if (!role_find(&self->service, type, role))
        return fill_refuse(self, err, "it neither applies %s nor publishes a table of it", type);
    if (strcmp(role->entry->topic, self->options->topic) != 0)
        return fill_refuse(self, err, "its topic of %s is %s", type, role->entry->topic);
    ret_role->index = role->applies ? fill_index(config->apply, config->apply_count, type)
                                    : fill_index(config->publish, config->publish_count, type);
    enum status status = row_columns_find(role->schema, asked, &ret_role->columns, &why);
    ret_role->is_whole = ret_role->columns.count == role->schema->column_count;
    return status == STATUS_OK ? status : fill_refuse(self, err, "%s", why.text);
}

/* All types are read in one snapshot of one session. */
static enum status fill_find_roles(struct fill_source *self, struct error *err)
{
    const struct fill_source_options *options = self->options;
    enum status status = STATUS_OK;
    self->roles = calloc(options->type_count + 1, sizeof *self->roles);
    if (self->roles == NULL || options->type_count == 0)
        return error_set(err, STATUS_RETRY, "no memory, or no types");
    for (size_t i = 0; status == STATUS_OK && i < options->type_count; i++) {
        status = fill_find_role(self, options->types[i], &self->roles[i], err);
        self->publishes = self->publishes || self->roles[i].role.publishes;
        if (status == STATUS_OK && self->roles[i].role.applies != self->roles[0].role.applies)
            status = fill_refuse(self, err, "of %s it applies one type and only publishes another",
                                 options->topic);
    }
    return status;
}

/* The rows. */

/* @return NULL, or a column whose value no event could have. */
static const char *fill_unfit(const struct fill_role *role, const struct value *values)
{
    for (size_t i = 0; i < role->columns.count; i++) {
        if (values[role->columns.index[i]].kind == VALUE_UNFIT)
            return role->role.schema->columns[role->columns.index[i]].name;
    }
    return NULL;
}

/* The object as the database has written it, or what was asked for of it. */
static void fill_append_object(struct buffer *value, const struct fill_role *role,
                               const struct scanned_row *row)
{
    const struct entity_schema *schema = role->role.schema;
    if (role->is_whole && row->image.data != NULL) {
        buffer_append(value, row->image.data, row->image.length);
        return;
    }
    for (size_t i = 0; i < role->columns.count; i++) {
        const struct column *column = &schema->columns[role->columns.index[i]];
        buffer_append_text(value, i == 0 ? "{" : ",");
        buffer_append_json(value, slice_of(column->name));
        buffer_append_text(value, ":");
        value_append(column->type, &row->values[role->columns.index[i]], value);
    }
    buffer_append_text(value, "}");
}

enum status fill_source_row(void *context, const struct scanned_row *row, struct error *err)
{
    static const size_t around = sizeof FILL_ROW_HEAD - 1 + sizeof FILL_ROW_TAIL - 1;
    struct fill_source *self = context;
    const char *type = self->role->role.schema->entity_type;
    const char *unfit = fill_unfit(self->role, row->values);
    struct buffer *value = &self->value;
    if (unfit != NULL)
        return error_set(err, STATUS_ABORT,
                         "%s %.*s: no event can have the value of %s; correct it", type,
                         SLICE_ARGS(row->key), unfit);
    buffer_reset(value);
    buffer_append_text(value, FILL_ROW_HEAD);
    fill_append_object(value, self->role, row);
    buffer_append_text(value, FILL_ROW_TAIL);
    if (value->failed)
        return error_set(err, STATUS_RETRY, "no memory for a row of %s", type);
    const struct fill_row pushed = {
        .entity_type = slice_of(type),
        .key = row->key,
        .value = buffer_slice(value),
        .json = {value->data + sizeof FILL_ROW_HEAD - 1, value->length - around}};
    fill_sums_add_row(&self->sums, &pushed);
    return self->sink->row(self->sink->context, &pushed, err);
}

enum status fill_source_key(struct fill_source *self, const struct fill_key *key, struct error *err)
{
    fill_sums_add_key(&self->sums, key);
    return self->sink->key(self->sink->context, key, err);
}

/* The end. */

static enum status fill_read_ends(const struct fill_source *self, int64_t *filled_to,
                                  struct error *err)
{
    struct offsets *offsets = NULL;
    enum status status = offsets_open(&self->config, FILL_GROUP, &offsets, err);
    for (int32_t i = 0; status == STATUS_OK && i < self->begin.partition_count; i++) {
        const struct topic_partition tp = {self->options->topic, i};
        struct log_bounds bounds = {0};
        status = offsets_bounds(offsets, tp, &bounds, err);
        filled_to[i] = bounds.end;
    }
    offsets_close(offsets);
    return status;
}

static enum status fill_try_end(struct fill_source *self, int64_t *filled_to, struct error *err)
{
    enum status status = fill_wait_acknowledged(self, err);
    return status == STATUS_OK ? fill_read_ends(self, filled_to, err) : status;
}

/* All rows were handed on. An outage is waited for, or they would have to come once more. */
static enum status fill_find_end(struct fill_source *self, int64_t *filled_to, struct error *err)
{
    const struct fill_sink *sink = self->sink;
    char for_what[ERROR_TEXT_SIZE];
    (void)snprintf(for_what, sizeof for_what, "the database or the broker of %s to answer again",
                   self->config.service);
    enum status status = fill_try_end(self, filled_to, err);
    int64_t until_us = clock_monotonic_us() + FILL_OUTAGE_US;
    while (status == STATUS_RETRY && !error_is_config(err) && clock_monotonic_us() < until_us) {
        error_clear(err);
        enum status waited = sink->wait == NULL ? STATUS_OK
                                                : sink->wait(sink->context, for_what, err);
        if (waited != STATUS_OK) /* it is to stop */
            return waited;
        clock_sleep_us(FILL_AGAIN_US);
        status = fill_try_end(self, filled_to, err);
    }
    return status;
}

/* Without own changes the rows are the log up to the stamp, and no newer. */
static enum status fill_end(struct fill_source *self, struct error *err)
{
    const int32_t count = self->begin.partition_count;
    int64_t *filled_to = arena_alloc(&self->arena, (size_t)count * sizeof *filled_to);
    if (filled_to == NULL)
        return error_set(err, STATUS_RETRY, "no memory for the end of a fill");
    for (int32_t i = 0; i < count; i++)
        filled_to[i] = self->begin.positions[i].next_offset;
    enum status status = self->publishes ? fill_find_end(self, filled_to, err) : STATUS_OK;
    const struct fill_end end = {.rows = self->sums.rows,
                                 .digest = self->sums.digest,
                                 .filled_to = filled_to,
                                 .partition_count = count};
    return status == STATUS_OK ? self->sink->end(self->sink->context, &end, err) : status;
}

/* Begins a snapshot that has the tables of all types. */
static enum status fill_begin_snapshot(struct fill_source *self, struct error *err)
{
    const struct fill_reader_ops *ops = self->reader->ops;
    self->begin.sequence_count = 0;
    enum status status = ops->begin(self, err);
    for (size_t i = 0; status == STATUS_OK && i < self->options->type_count; i++) {
        self->role = &self->roles[i];
        status = ops->rows(self, true, err);
    }
    return status;
}

static enum status fill_begin(struct fill_source *self, struct error *err)
{
    const struct fill_source_options *options = self->options;
    enum status status;
    int tries = 0;
    const char **types = arena_alloc(&self->arena, options->type_count * sizeof *types);
    if (types == NULL)
        return error_set(err, STATUS_RETRY, "no memory for the begin of a fill");
    for (size_t i = 0; i < options->type_count; i++)
        types[i] = options->types[i]->entity_type;
    self->begin = (struct fill_begin){.id = options->id,
                                      .topic = options->topic,
                                      .source = self->config.service,
                                      .cluster_id = "",
                                      .types = types,
                                      .type_count = options->type_count};
    do {
        status = fill_begin_snapshot(self, err);
    } while (snapshot_again(&tries, status, err));
    return status == STATUS_OK ? self->sink->begin(self->sink->context, &self->begin, err) : status;
}

static enum status fill_push(struct fill_source *self, struct error *err)
{
    const struct fill_reader_ops *ops = self->reader->ops;
    enum status status = fill_begin(self, err);
    for (size_t i = 0; status == STATUS_OK && i < self->options->type_count; i++) {
        self->role = &self->roles[i];
        status = ops->rows(self, false, err);
    }
    if (status == STATUS_OK && ops->keys != NULL)
        status = ops->keys(self, err);
    ops->end(self);
    return status == STATUS_OK ? fill_end(self, err) : status;
}

enum status fill_source_run(const struct fill_source_options *options, const struct fill_sink *sink,
                            struct error *err)
{
    struct fill_source self = {.options = options,
                               .sink = sink,
                               .service = *options->service,
                               .config = *options->service->config};
    self.config.limits.scan_time_s = FILL_SOURCE_TIME_S;
    self.service.config = &self.config;
    arena_init(&self.arena, FILL_ARENA_BYTES);
    buffer_init(&self.value, FILL_VALUE_BYTES);
    enum status status = fill_find_roles(&self, err);
    if (status == STATUS_OK)
        status = (self.roles[0].role.applies ? fill_copy_new : fill_publisher_new)(&self, err);
    if (status == STATUS_OK)
        status = fill_push(&self, err);
    if (self.reader != NULL)
        self.reader->ops->free(&self);
    free(self.roles);
    buffer_done(&self.value);
    arena_done(&self.arena);
    return status;
}
