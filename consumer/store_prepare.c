/* What prepare means for every store: no table and no column begins in the middle of its topic, be
 * it that the database has lost it or that the configuration names another one. */
#include "consumer/store.h"

#include "common/buffer.h"
#include "common/digest.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define NAMES_SIZE_MAX ((size_t)1024 * 1024)

struct preparing {
    struct store *store;
    const struct mapping *mapping;
    bool accept_moved;
    struct place *places; /* of each of the schema's columns */
    int64_t read;         /* records of the topic */
};

static void place_name(struct place *place, const struct mapping *mapping, size_t index,
                       struct buffer *scratch)
{
    const struct entity_schema *schema = mapping->schema;
    place->table = mapping_table(mapping);
    place->column = config_column(mapping->entry, schema->columns[index].name);
    buffer_reset(scratch);
    buffer_append(scratch, schema->entity_type, strlen(schema->entity_type) + 1);
    buffer_append_text(scratch, schema->columns[index].name);
    (void)snprintf(place->key, sizeof place->key, "place %016" PRIx64,
                   digest_64(buffer_slice(scratch)));
    buffer_reset(scratch);
    buffer_append_format(scratch, "%s.%s", place->table, place->column);
    if (scratch->length < sizeof place->name)
        (void)snprintf(place->name, sizeof place->name, "%s", buffer_text(scratch));
    else
        (void)snprintf(place->name, sizeof place->name, "%016" PRIx64,
                       digest_64(buffer_slice(scratch)));
}

static enum status places_name(const struct preparing *self, struct error *err)
{
    struct buffer scratch;
    buffer_init(&scratch, NAMES_SIZE_MAX);
    for (size_t i = 0; i < self->mapping->schema->column_count; i++)
        place_name(&self->places[i], self->mapping, i, &scratch);
    bool failed = scratch.failed;
    buffer_done(&scratch);
    return failed ? error_set(err, STATUS_RETRY, "out of memory") : STATUS_OK;
}

/* All of the topic's partitions together. */
static enum status records_read(struct preparing *self, struct error *err)
{
    struct partition_state *states = NULL;
    size_t count = 0;
    enum status status = self->store->ops->list(self->store, &states, &count, err);
    for (size_t i = 0; status == STATUS_OK && i < count; i++) {
        if (strcmp(states[i].topic, self->mapping->entry->topic) == 0)
            self->read += states[i].next_offset;
    }
    free(states);
    return status;
}

/* Names may have dots in them, so each dot is tried. Of a digest nothing can be told. */
static enum status recorded_is_there(struct store *store, const char *recorded, bool *ret_there,
                                     struct error *err)
{
    const char *dot = strchr(recorded, '.');
    enum status status = STATUS_OK;
    *ret_there = dot == NULL;
    for (; status == STATUS_OK && !*ret_there && dot != NULL; dot = strchr(dot + 1, '.')) {
        char table[STORE_NAME_SIZE];
        struct place old = {.table = table, .column = dot + 1};
        (void)snprintf(table, sizeof table, "%.*s", (int)(dot - recorded), recorded);
        status = store->ops->places(store, &old, 1, false, err);
        *ret_there = old.has_column;
    }
    return status;
}

static enum status check_moved(const struct preparing *self, size_t index, struct error *err)
{
    const struct place *place = &self->places[index];
    const struct entity_schema *schema = self->mapping->schema;
    bool there = true;
    if (self->accept_moved && place->has_column) {
        enum status status = recorded_is_there(self->store, place->recorded, &there, err);
        if (status != STATUS_OK || !there)
            return status;
    }
    return error_set(error_config(err), STATUS_FATAL,
                     "column \"%s\" of %s was kept in %s and would be in %s, but %" PRId64
                     " records of topic %s were read: what they said would be missing there. Put "
                     "the old name back; or rename it in the database too (ALTER TABLE ... RENAME) "
                     "and run `keepstep init`, which accepts it once only the new name is there; "
                     "or apply into an empty database",
                     schema->columns[index].name, schema->entity_type, place->recorded, place->name,
                     self->read, self->mapping->entry->topic);
}

static enum status check_place(const struct preparing *self, size_t index, struct error *err)
{
    const struct place *place = &self->places[index];
    const struct entity_schema *schema = self->mapping->schema;
    const char *topic = self->mapping->entry->topic;
    bool recorded = place->recorded[0] != '\0';
    if (recorded && !place_is_recorded(place))
        return check_moved(self, index, err);
    if (!place->has_table)
        return error_set(error_config(err), STATUS_FATAL,
                         "there is no table \"%s\" for %s, but %" PRId64
                         " records of topic %s were read: a new table would lack them. Give it the "
                         "name that the old one has, or restore it; apply into an empty database "
                         "to have them all; or create it by hand, for a copy that begins here",
                         place->table, schema->entity_type, self->read, topic);
    if (recorded && !place->has_column)
        return error_set(error_config(err), STATUS_FATAL,
                         "table \"%s\" has lost the column \"%s\" of %s, but %" PRId64
                         " records of topic %s were read: a new column would lack what they said. "
                         "Give it back the name that it had, or restore it; apply into an empty "
                         "database to have all; or create it by hand, for a column that begins "
                         "here",
                         place->table, place->column, schema->entity_type, self->read, topic);
    return STATUS_OK;
}

static enum status prepare(struct preparing *self, struct error *err)
{
    const struct store_ops *ops = self->store->ops;
    size_t count = self->mapping->schema->column_count;
    enum status status = places_name(self, err);
    if (status == STATUS_OK)
        status = ops->places(self->store, self->places, count, false, err);
    if (status == STATUS_OK)
        status = records_read(self, err);
    for (size_t i = 0; status == STATUS_OK && self->read > 0 && i < count; i++)
        status = check_place(self, i, err);
    if (status == STATUS_OK)
        status = ops->prepare(self->store, self->mapping, err);
    if (status == STATUS_OK)
        status = ops->places(self->store, self->places, count, true, err);
    return status;
}

enum status store_prepare(struct store *store, const struct mapping *mapping, bool accept_moved,
                          struct error *err)
{
    struct preparing self = {.store = store, .mapping = mapping, .accept_moved = accept_moved};
    self.places = calloc(mapping->schema->column_count, sizeof *self.places);
    if (self.places == NULL)
        return error_set(err, STATUS_RETRY, "out of memory");
    enum status status = prepare(&self, err);
    free(self.places);
    return status;
}

enum status store_refuse_ddl(const struct error *ddl, struct error *err)
{
    return error_set_native(error_config(err), STATUS_FATAL, ddl->native_code,
                            "%.400s; let `keepstep init` do it with a role that may, and grant "
                            "what `keepstep init --print-sql` prints",
                            ddl->text);
}
