/* Prepares a copy for any store. No table and no column may begin in the middle of its topic:
 * records that were read before would be missing in it. This happens when the database has lost a
 * table or a column, or when the configuration names another one. */
#include "consumer/store/store.h"

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
    struct place *places; /* of each of the schema's columns, then the table as it is written */
    size_t columns;
    size_t count;
    struct buffer scratch;
    int64_t read; /* records of the topic */
};

void place_set_name(struct place *place, struct slice name)
{
    if (name.length < sizeof place->name)
        (void)snprintf(place->name, sizeof place->name, "%.*s", SLICE_ARGS(name));
    else
        (void)snprintf(place->name, sizeof place->name, "%016" PRIx64, digest_64(name));
}

static void place_set_key(struct preparing *self, struct place *place, const char *kind,
                          const char *column)
{
    const char *entity_type = self->mapping->schema->entity_type;
    buffer_reset(&self->scratch);
    buffer_append(&self->scratch, entity_type, strlen(entity_type) + 1);
    buffer_append_text(&self->scratch, column);
    (void)snprintf(place->key, sizeof place->key, "%s %016" PRIx64, kind,
                   digest_64(buffer_slice(&self->scratch)));
}

/* Name the place as the configuration writes it. */
static void place_write(struct preparing *self, struct place *place)
{
    buffer_reset(&self->scratch);
    buffer_append_format(&self->scratch, "%s.%s", place->table, place->column);
    place_set_name(place, buffer_slice(&self->scratch));
}

static enum status places_write(struct preparing *self, struct error *err)
{
    const struct mapping *mapping = self->mapping;
    bool failed = false;
    for (size_t i = 0; i < self->count; i++) {
        struct place *place = &self->places[i];
        bool is_column = i < self->columns;
        const char *name = is_column ? mapping->schema->columns[i].name : "";
        place->table = mapping_table(mapping);
        place->column = is_column ? config_column(mapping->entry, name) : "";
        place_set_key(self, place, is_column ? "place" : "table", name);
        failed = failed || self->scratch.failed;
        place_write(self, place);
        failed = failed || self->scratch.failed;
    }
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

/* Find the recorded place in the catalogue. Names may contain dots, so each dot is tried as the one
 * between table and column. A digest cannot be found. */
static enum status recorded_find(struct store *store, struct place *place, struct error *err)
{
    const char *dot = strchr(place->recorded, '.');
    enum status status = STATUS_OK;
    place->record = dot == NULL ? PLACE_ELSEWHERE : PLACE_GONE;
    for (; status == STATUS_OK && dot != NULL; dot = strchr(dot + 1, '.')) {
        char table[STORE_NAME_SIZE];
        struct place old = {.table = table, .column = dot + 1};
        (void)snprintf(table, sizeof table, "%.*s", (int)(dot - place->recorded), place->recorded);
        place_set_name(&old, slice_of(place->recorded));
        status = store->ops->places(store, &old, 1, false, err);
        if (old.has_column && strcmp(old.name, place->name) == 0)
            place->record = PLACE_SAME;
        else if (old.has_column && place->record == PLACE_GONE)
            place->record = PLACE_ELSEWHERE;
    }
    return status;
}

/* The record may name the same place differently: an older version recorded the name as it was
 * written, and a name may have another case now. The agent has no right to change a record, so it
 * treats such a record as equal. */
static enum status place_judge(struct preparing *self, struct place *place, struct error *err)
{
    struct place written = {.table = place->table, .column = place->column};
    enum status status = STATUS_OK;
    place->record = PLACE_SAME;
    if (place->recorded[0] == '\0') {
        place->record = PLACE_UNRECORDED;
    } else if (!place_is_recorded(place)) {
        place_write(self, &written);
        bool is_digest = strchr(place->recorded, '.') == NULL;
        if (!is_digest || strcmp(written.name, place->recorded) != 0)
            status = recorded_find(self->store, place, err);
    }
    if (status == STATUS_OK && place->record == PLACE_SAME && !self->accept_moved)
        memcpy(place->recorded, place->name, sizeof place->recorded);
    return status;
}

/* Triggers compare the table's name, as written when `init` made them, with the one that the agent
 * gives to silence them. So both must be spelled alike. Older versions recorded no table, but
 * columns as they were written. */
static bool is_named_anew(struct preparing *self)
{
    if (self->count == self->columns || self->accept_moved)
        return false;
    const struct place *table = &self->places[self->columns];
    if (table->recorded[0] != '\0')
        return !place_is_recorded(table);
    struct place written = {.table = table->table, .column = self->places[0].column};
    place_write(self, &written);
    return self->places[0].recorded[0] != '\0' &&
           strcmp(written.name, self->places[0].recorded) != 0;
}

static enum status check_moved(const struct preparing *self, size_t index, struct error *err)
{
    const struct place *place = &self->places[index];
    const struct entity_schema *schema = self->mapping->schema;
    if (self->accept_moved && place->has_column && place->record == PLACE_GONE)
        return STATUS_OK;
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
    bool recorded = place->record != PLACE_UNRECORDED;
    if (recorded && place->record != PLACE_SAME)
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

static enum status check(struct preparing *self, struct error *err)
{
    bool named_anew = is_named_anew(self);
    enum status status = STATUS_OK;
    for (size_t i = 0; status == STATUS_OK && i < self->columns; i++)
        status = place_judge(self, &self->places[i], err);
    for (size_t i = 0; status == STATUS_OK && self->read > 0 && i < self->columns; i++)
        status = check_place(self, i, err);
    if (status == STATUS_OK && named_anew)
        status = error_set(error_config(err), STATUS_FATAL,
                           "table \"%s\" of %s had another name in the configuration, which its "
                           "triggers know: run `keepstep init`, or put the old name back",
                           mapping_table(self->mapping), self->mapping->schema->entity_type);
    return status;
}

static enum status prepare(struct preparing *self, struct error *err)
{
    const struct store_ops *ops = self->store->ops;
    enum status status = places_write(self, err);
    if (status == STATUS_OK)
        status = ops->places(self->store, self->places, self->count, false, err);
    if (self->count > self->columns)
        place_set_name(&self->places[self->columns], slice_of(mapping_table(self->mapping)));
    if (status == STATUS_OK)
        status = records_read(self, err);
    if (status == STATUS_OK)
        status = check(self, err);
    if (status == STATUS_OK)
        status = ops->prepare(self->store, self->mapping, err);
    if (status == STATUS_OK)
        status = ops->places(self->store, self->places, self->count, true, err);
    return status;
}

enum status store_prepare(struct store *store, const struct mapping *mapping, bool accept_moved,
                          struct error *err)
{
    struct preparing self = {.store = store, .mapping = mapping, .accept_moved = accept_moved};
    self.columns = mapping->schema->column_count;
    self.count = self.columns + (mapping->published_here ? 1 : 0);
    self.places = calloc(self.count, sizeof *self.places);
    if (self.places == NULL)
        return error_set(err, STATUS_RETRY, "out of memory");
    buffer_init(&self.scratch, NAMES_SIZE_MAX);
    enum status status = prepare(&self, err);
    buffer_done(&self.scratch);
    free(self.places);
    return status;
}
