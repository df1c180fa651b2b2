/* The classes of stops. A stop is stored as a text, so the text says which class it is of. */
#include "consumer/stop_reason.h"

#include <string.h>

/* The first phrase that the text has decides. A full store of parked records quotes another
 * reason, so it comes first. */
static const struct stop_phrase {
    const char *phrase;
    const char *name;
} phrases[] = {
    {"(limits.parked_", "too_many_parked"},
    {"is refused, and is too large to be parked", "change_set_refused"},
    {"earlier incarnations stand in a", "too_many_incarnations"},
    {"this copy would lack what was before", "beginning_missing"},
    {"events are gone", "retention_overtook"},
    {"the topic is compacted", "topic_compacted"},
    {"the order of its entities is gone", "partitions_changed"},
    {"was fed from cluster", "other_cluster"},
    {"truncated or recreated", "log_recreated"},
    {"recreated or truncated", "log_recreated"},
    {"truncated, recreated or past its retention", "log_recreated"},
    {"gap: ", "gap"},
    {"fork: ", "fork"},
    {"neither under apply: nor ignore:", "unknown_type"},
    {"is not in the schema of", "unknown_column"},
    {"upgrade this agent", "unknown_protocol"},
    {"the source table was truncated", "source_truncated"},
    {"max_allowed_packet", "record_too_large"},
    {"two writers", "two_writers"},
    {"the kept image of", "kept_image_unreadable"},
    {"ce_", "malformed_record"},
    {"a sequenced event needs an id", "malformed_record"},
    {"headers, so one that Keepstep needs", "malformed_record"},
};

const char *stop_reason_name(const char *text)
{
    if (text[0] == '\0')
        return NULL;
    for (size_t i = 0; i < sizeof phrases / sizeof *phrases; i++) {
        if (strstr(text, phrases[i].phrase) != NULL)
            return phrases[i].name;
    }
    return "other";
}

const char *stop_reason_at(size_t index)
{
    const size_t count = sizeof phrases / sizeof *phrases;
    return index < count ? phrases[index].name : index == count ? "other" : NULL;
}
