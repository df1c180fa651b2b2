/* The list of paused entity types: to fill it, to search it, and to say it to people. */
#include "schemas/paused.h"

#include "common/clock.h"
#include "common/plain.h"
#include "common/utf8.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void paused_types_done(struct paused_types *paused)
{
    free(paused->types);
    *paused = (struct paused_types){0};
}

enum status paused_types_add(struct paused_types *paused, const struct paused_type *type,
                             struct error *err)
{
    if (paused->count == PAUSED_TYPES_MAX)
        return error_set(err, STATUS_FATAL, "keepstep_paused has more than %zu rows",
                         PAUSED_TYPES_MAX);
    struct paused_type *grown = realloc(paused->types, (paused->count + 1) * sizeof *grown);
    if (grown == NULL)
        return error_set(err, STATUS_RETRY, "out of memory");
    paused->types = grown;
    grown[paused->count++] = *type;
    return STATUS_OK;
}

const struct paused_type *paused_find(const struct paused_types *paused, const char *entity_type)
{
    for (size_t i = 0; i < paused->count; i++) {
        if (strcmp(paused->types[i].entity_type, entity_type) == 0)
            return &paused->types[i];
    }
    return NULL;
}

const struct paused_type *paused_find_topic(const struct paused_types *paused,
                                            const struct config_entry *entries, size_t count,
                                            const char *topic)
{
    const struct paused_type *found = NULL;
    for (size_t i = 0; paused->count > 0 && found == NULL && i < count; i++) {
        if (strcmp(entries[i].topic, topic) == 0)
            found = paused_find(paused, entries[i].entity_type);
    }
    return found;
}

void paused_describe(const struct paused_type *type, char ret_text[static PAUSED_TEXT_SIZE])
{
    char time[CLOCK_TEXT_SIZE];
    clock_format_utc(type->at_us, time);
    utf8_format(ret_text, PAUSED_TEXT_SIZE, "since %.19sZ by %s%s%s", time, type->by,
                type->reason[0] == '\0' ? "" : ": ", type->reason);
    plain_make(ret_text, strlen(ret_text));
}
