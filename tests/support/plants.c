/* Cold rows, which nobody writes, are changed, deleted and added; so what a comparison must say of
 * them is known. */
#include "tests/support/plants.h"

#include "tests/support/load.h"

#include <stdio.h>
#include <stdlib.h>

#define COLD_KEYS   20
#define COLD_FIRST  1000
#define EXTRA_FIRST 2000
#define MARK        "planted"

void plants_prepare(const struct plants *plants, const char *entity_type, enum database_kind where)
{
    const char *rows = "";
    for (int id = COLD_FIRST; id < COLD_FIRST + COLD_KEYS; id++)
        rows = test_format("%s%s(%d, 'cold', '1.5', 0.1)", rows, id == COLD_FIRST ? "" : ", ", id);
    (void)database_text(plants->services[where].url,
                        test_format("INSERT INTO %ss VALUES %s", entity_type, rows));
}

static void write_by_hand(const struct plants *plants, const struct plant *plant, const char *sql)
{
    const char *url = plants->services[plant->where].url;
    if (plants->has_no_triggers[plant->where])
        (void)database_text(url, sql);
    else
        verify_write_silently(plant->where, url, test_format("%ss", plant->entity_type), sql);
}

static const char *plant_sql(const struct plant *plant)
{
    const char *type = plant->entity_type;
    switch (plant->kind) {
    case PLANT_CHANGE:
        return test_format("UPDATE %ss SET name = '" MARK "' WHERE id = %d", type, plant->id);
    case PLANT_DELETE:
        return test_format("DELETE FROM %ss WHERE id = %d", type, plant->id);
    case PLANT_INSERT:
        break;
    }
    return test_format("INSERT INTO %ss VALUES (%d, '" MARK "', NULL, 0.5)", type, plant->id);
}

static const char *undo_sql(const struct plant *plant)
{
    const char *type = plant->entity_type;
    switch (plant->kind) {
    case PLANT_CHANGE:
        return test_format("UPDATE %ss SET name = 'cold' WHERE id = %d", type, plant->id);
    case PLANT_DELETE:
        return test_format("INSERT INTO %ss VALUES (%d, 'cold', '1.5', 0.1)", type, plant->id);
    case PLANT_INSERT:
        break;
    }
    return test_format("DELETE FROM %ss WHERE id = %d", type, plant->id);
}

static bool is_planted(const struct plants *plants, const char *entity_type, int id)
{
    for (int i = 0; i < plants->count; i++) {
        if (plants->now[i].id == id && strcmp(plants->now[i].entity_type, entity_type) == 0)
            return true;
    }
    return false;
}

void plants_make(struct plants *plants)
{
    unsigned *seed = &plants->seed;
    plants->count = 0;
    for (int i = 0; i < 3; i++) {
        struct plant plant = {.entity_type = plants->types[load_random(seed, plants->type_count)],
                              .where = (enum database_kind)load_random(seed, VERIFY_KINDS),
                              .kind = (enum plant_kind)load_random(seed, 3)};
        plant.id = load_random(seed, COLD_KEYS) +
                   (plant.kind == PLANT_INSERT ? EXTRA_FIRST : COLD_FIRST);
        if (is_planted(plants, plant.entity_type, plant.id))
            continue;
        write_by_hand(plants, &plant, plant_sql(&plant));
        plants->now[plants->count++] = plant;
        if (plants->hot_keys == 0)
            continue;
        plant.kind = PLANT_CHANGE;
        plant.id = load_random(seed, plants->hot_keys);
        write_by_hand(plants, &plant, plant_sql(&plant));
    }
    plants->planted += plants->count;
}

void plants_undo(struct plants *plants)
{
    for (int i = 0; i < plants->count; i++)
        write_by_hand(plants, &plants->now[i], undo_sql(&plants->now[i]));
    plants->count = 0;
}

static bool has_mark(const json_t *row)
{
    const char *name = json_string_value(json_object_get(row, "name"));
    return name != NULL && strcmp(name, MARK) == 0;
}

/* A difference is none if neither row was changed by hand. */
static void judge_difference(struct plants *plants, const char *entity_type, const char *service,
                             const json_t *difference)
{
    int id = 0;
    const char *key = json_string_value(json_object_get(difference, "entity_key"));
    assert_int_equal(sscanf(key, "{\"id\":%d}", &id), 1);
    bool marked = has_mark(json_object_get(difference, "row")) !=
                  has_mark(json_object_get(difference, "reference_row"));
    plants->marked += marked;
    if (marked || is_planted(plants, entity_type, id))
        return;
    plants->false_alarms++;
    char *text = json_dumps(difference, JSON_ENCODE_ANY);
    print_message("false: %s at %s: %s\n", entity_type, service, text);
    free(text);
}

static bool has_key(const json_t *list, const char *key)
{
    size_t index;
    json_t *item;
    json_array_foreach(list, index, item)
    {
        if (strcmp(json_string_value(json_object_get(item, "entity_key")), key) == 0)
            return true;
    }
    return false;
}

/* A row changed at the reference differs at each copy, another one at its own copy. */
static void judge_plant(struct plants *plants, const struct plant *plant, const json_t *line)
{
    const char *key = test_format("{\"id\":%d}", plant->id);
    const char *where = verify_dialects[plant->where].service;
    const char *reference = json_string_value(json_object_get(line, "reference"));
    bool left = has_key(json_object_get(line, "left_out_entities"), key);
    size_t index;
    json_t *copy;
    json_array_foreach(json_object_get(line, "copies"), index, copy)
    {
        const char *service = json_string_value(json_object_get(copy, "service"));
        bool compared = !json_is_string(json_object_get(copy, "reason"));
        bool here = strcmp(where, reference) == 0 || strcmp(where, service) == 0;
        if (!here || !compared)
            continue;
        if (has_key(json_object_get(copy, "differences"), key))
            plants->found++;
        else if (left)
            plants->left++;
        else
            test_fail("%s %s, changed at %s, was not found at %s: %s", plant->entity_type, key,
                      where, service, json_dumps(line, JSON_INDENT(1)));
    }
}

static void judge_line(struct plants *plants, const char *entity_type, const json_t *line,
                       bool begun_before)
{
    size_t index;
    json_t *copy;
    json_array_foreach(json_object_get(line, "copies"), index, copy)
    {
        size_t number;
        json_t *difference;
        const char *service = json_string_value(json_object_get(copy, "service"));
        json_array_foreach(json_object_get(copy, "differences"), number, difference)
        {
            judge_difference(plants, entity_type, service, difference);
        }
    }
    for (int i = 0; i < plants->count && !begun_before; i++) {
        if (strcmp(plants->now[i].entity_type, entity_type) == 0)
            judge_plant(plants, &plants->now[i], line);
    }
}

/* @return the next line of the output, for json_decref(); NULL behind the last whole one. */
static json_t *next_line(const char **at)
{
    const char *end = strchr(*at, '\n');
    if (end == NULL)
        return NULL;
    json_t *line = json_loadb(*at, (size_t)(end - *at), 0, NULL);
    if (line == NULL)
        test_fail("no JSON: %s", *at);
    *at = end + 1;
    return line;
}

static bool is_of(const json_t *line, const char *entity_type)
{
    return strcmp(json_string_value(json_object_get(line, "entity_type")), entity_type) == 0;
}

int plants_lines(const char *output, const char *entity_type)
{
    int count = 0;
    json_t *line;
    while ((line = next_line(&output)) != NULL) {
        count += is_of(line, entity_type);
        json_decref(line);
    }
    return count;
}

void plants_judge(struct plants *plants, const char *output, int before,
                  void (*note)(void *context, const json_t *line), void *context)
{
    int lines[PLANTS_TYPES_MAX] = {0};
    json_t *line;
    while ((line = next_line(&output)) != NULL) {
        for (int i = 0; i < plants->type_count; i++) {
            if (is_of(line, plants->types[i]))
                judge_line(plants, plants->types[i], line, lines[i]++ < before);
        }
        if (note != NULL)
            note(context, line);
        json_decref(line);
    }
}
