/* Remembers the descriptions of the last records: one of keys and one of values for each topic. */
#include "schemas/record/flat.h"

#include <stdlib.h>

#define DESCRIPTION_BYTES_MAX ((size_t)256 * 1024)

struct described_topic {
    const struct record_form *form; /* each topic has its own */
    struct description *parts[DESCRIPTION_PARTS];
};

struct descriptions {
    struct described_topic *topics;
    size_t count;
};

static void description_free(struct description *description)
{
    if (description == NULL)
        return;
    json_decref(description->schema);
    free(description);
}

enum status descriptions_new(struct descriptions **ret_descriptions, struct error *err)
{
    *ret_descriptions = calloc(1, sizeof **ret_descriptions);
    return *ret_descriptions != NULL ? STATUS_OK
                                     : error_set(err, STATUS_FATAL, "no memory for descriptions");
}

void descriptions_free(struct descriptions *descriptions)
{
    if (descriptions == NULL)
        return;
    for (size_t i = 0; i < descriptions->count; i++) {
        for (size_t part = 0; part < DESCRIPTION_PARTS; part++)
            description_free(descriptions->topics[i].parts[part]);
    }
    free(descriptions->topics);
    free(descriptions);
}

static struct described_topic *descriptions_topic(const struct descriptions *descriptions,
                                                  const struct record_form *form)
{
    for (size_t i = 0; descriptions != NULL && i < descriptions->count; i++) {
        if (descriptions->topics[i].form == form)
            return &descriptions->topics[i];
    }
    return NULL;
}

const struct description *descriptions_find(const struct descriptions *descriptions,
                                            const struct record_form *form,
                                            enum description_part part, struct slice *text)
{
    const struct described_topic *topic = descriptions_topic(descriptions, form);
    const struct description *description = topic == NULL ? NULL : topic->parts[part];
    if (description == NULL)
        return NULL;
    struct slice start = {.data = text->data, .length = description->start.length};
    if (text->length < start.length || !slice_equal(start, description->start))
        return NULL;
    text->data += start.length;
    text->length -= start.length;
    return description;
}

/** Find how a text begins. Only the order in which Kafka Connect writes is known.
 * @return false where it may have a description that the reader of bare payloads must not miss. */
static bool description_start(struct slice text, const json_t *json, struct slice *ret_start)
{
    struct flat_reader reader = {.at = text.data, .end = text.data + text.length};
    *ret_start = (struct slice){.data = text.data};
    if (debezium_payload(json) == json)
        return json_object_get(json, "schema") == NULL;
    if (!flat_take_mark(&reader, '{') || !flat_take(&reader, slice_of("\"schema\"")) ||
        !flat_take_mark(&reader, ':') || !flat_skip_value(&reader) ||
        !flat_take_mark(&reader, ',') || !flat_take(&reader, slice_of("\"payload\"")) ||
        !flat_take_mark(&reader, ':'))
        return false;
    ret_start->length = (size_t)(reader.at - text.data);
    return ret_start->length <= DESCRIPTION_BYTES_MAX;
}

/** @return NULL without memory. */
static struct description *description_new(const struct record_form *form, const json_t *fields,
                                           struct slice start)
{
    const struct entity_schema *schema = form->schema;
    size_t columns_size = schema->column_count * sizeof(struct described_column);
    struct description *description = malloc(sizeof *description + columns_size + start.length);
    if (description == NULL)
        return NULL;
    char *copy = (char *)description + sizeof *description + columns_size;
    if (start.length > 0)
        memcpy(copy, start.data, start.length);
    *description = (struct description){.start = {.data = copy, .length = start.length}};
    for (size_t i = 0; i < schema->column_count; i++) {
        const struct column *column = &schema->columns[i];
        struct debezium_field field = debezium_field_of(form, fields, column->name);
        description->columns[i] = (struct described_column){
            .field = field,
            .keeps_texts = debezium_keeps_texts(column, &field),
            .keeps_numbers = debezium_keeps_numbers(column, &field)};
    }
    return description;
}

/** @return the topic's place, a new one where it has none; NULL without memory. */
static struct described_topic *descriptions_add(struct descriptions *descriptions,
                                                const struct record_form *form)
{
    struct described_topic *topic = descriptions_topic(descriptions, form);
    if (topic != NULL)
        return topic;
    size_t count = descriptions->count + 1;
    struct described_topic *topics = realloc(descriptions->topics, count * sizeof *topics);
    if (topics == NULL)
        return NULL;
    descriptions->topics = topics;
    descriptions->count = count;
    topics[count - 1] = (struct described_topic){.form = form};
    return &topics[count - 1];
}

void descriptions_learn(struct descriptions *descriptions, const struct record_form *form,
                        enum description_part part, struct slice text, json_t *json)
{
    struct slice start;
    struct slice rest = text;
    const char *member = part == DESCRIPTION_VALUE ? "after" : NULL;
    if (descriptions == NULL || !json_is_object(json))
        return;
    const struct description *known = descriptions_find(descriptions, form, part, &rest);
    bool is_bare = debezium_payload(json) == json;
    if (known != NULL && (is_bare || known->start.length > 0))
        return; /* something else was not plain in this record */
    if (!description_start(text, json, &start))
        return;
    struct described_topic *topic = descriptions_add(descriptions, form);
    struct description *description = description_new(form, debezium_fields(json, member), start);
    if (topic == NULL || description == NULL) {
        description_free(description);
        return;
    }
    if (!is_bare)
        description->schema = json_incref(json_object_get(json, "schema"));
    description_free(topic->parts[part]);
    topic->parts[part] = description;
}
