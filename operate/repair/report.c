/* Writes the lines of `keepstep repair`. */
#include "operate/repair/report.h"

#include "common/clock.h"
#include "operate/member.h"
#include "operate/verify/report.h"

static const char *report_word(const struct repair *repair, const struct repair_entity *entity)
{
    static const char *const words[REPAIR_STATES] = {
        [REPAIR_PENDING] = "not known yet", [REPAIR_EQUAL] = "equal",
        [REPAIR_CHANGED] = "repaired",      [REPAIR_CREATED] = "created",
        [REPAIR_DELETED] = "deleted",       [REPAIR_PUBLISHED] = "published",
        [REPAIR_REFUSED] = "REFUSED",       [REPAIR_PUBLISHED_DELETE] = "delete published"};
    static const char *const plans[DIFFERENCE_KINDS] = {[DIFFERENCE_VALUE] = "would be repaired",
                                                        [DIFFERENCE_MISSING] = "would be created",
                                                        [DIFFERENCE_EXTRA] = "would be deleted"};
    if (!repair->options->dry_run || !repair_is_due(entity))
        return words[entity->state];
    if (repair->options->publisher == NULL)
        return plans[entity->kind];
    return entity->kind == DIFFERENCE_EXTRA ? "its delete would be published"
                                            : "would be published";
}

void repair_report_text(const struct repair *repair, struct buffer *out)
{
    const struct repair_options *options = repair->options;
    const struct participant *source = options->source;
    if (options->publisher == NULL)
        buffer_append_format(out, "%s at %s, from %s\n", source->schema->entity_type,
                             options->copy->name, source->name);
    else
        buffer_append_format(out, "%s of %s, through the log%s%s\n", source->schema->entity_type,
                             source->name, options->copy == NULL ? "" : ", compared with ",
                             options->copy == NULL ? "" : options->copy->name);
    for (size_t i = 0; i < repair->count; i++) {
        const struct repair_entity *entity = &repair->entities[i];
        buffer_append_format(out, "  %.*s   %s", SLICE_ARGS(entity->key),
                             report_word(repair, entity));
        if (entity->reason.data != NULL)
            buffer_append_format(out, ": %.*s", SLICE_ARGS(entity->reason));
        buffer_append_text(out, "\n");
    }
    if (repair->reason[0] != '\0')
        buffer_append_format(out, "  not compared%s: %s\n", repair->count > 0 ? " to the end" : "",
                             repair->reason);
    else if (repair->count == 0)
        buffer_append_text(out, "  equal: nothing to repair\n");
    if (repair->unnamed > 0) {
        buffer_append_text(out, "  at least ");
        report_number(out, repair->unnamed);
        buffer_append_text(out, " more differ: run it again\n");
    }
}

/* Of a dry run: what would become of it. */
static const char *report_what(const struct repair *repair, const struct repair_entity *entity)
{
    static const char *const words[REPAIR_STATES] = {
        [REPAIR_PENDING] = "pending",  [REPAIR_EQUAL] = "equal",
        [REPAIR_CHANGED] = "repaired", [REPAIR_CREATED] = "created",
        [REPAIR_DELETED] = "deleted",  [REPAIR_PUBLISHED] = "published",
        [REPAIR_REFUSED] = "refused",  [REPAIR_PUBLISHED_DELETE] = "delete_published"};
    static const enum repair_state plans[2][DIFFERENCE_KINDS] = {
        {[DIFFERENCE_VALUE] = REPAIR_CHANGED,
         [DIFFERENCE_MISSING] = REPAIR_CREATED,
         [DIFFERENCE_EXTRA] = REPAIR_DELETED},
        {[DIFFERENCE_VALUE] = REPAIR_PUBLISHED,
         [DIFFERENCE_MISSING] = REPAIR_PUBLISHED,
         [DIFFERENCE_EXTRA] = REPAIR_PUBLISHED_DELETE}};
    bool is_planned = repair->options->dry_run && repair_is_due(entity);
    bool publishes = repair->options->publisher != NULL;
    return words[is_planned ? plans[publishes][entity->kind] : entity->state];
}

void repair_report_json(const struct repair *repair, int64_t at_us, struct buffer *out)
{
    const struct repair_options *options = repair->options;
    member_begin(out, NULL, "{");
    member_time(out, "started_at", at_us);
    member_text(out, "entity_type", slice_of(options->source->schema->entity_type));
    member_text(out, "topic", slice_of(options->source->topic));
    member_text(out, "service",
                options->copy == NULL ? (struct slice){0} : slice_of(options->copy->name));
    member_text(out, "source", slice_of(options->source->name));
    member_bool(out, "publish", options->publisher != NULL);
    member_bool(out, "dry_run", options->dry_run);
    member_text(out, "reason",
                repair->reason[0] == '\0' ? (struct slice){0} : slice_of(repair->reason));
    member_number(out, "not_named", (int64_t)repair->unnamed);
    member_begin(out, "entities", "[");
    for (size_t i = 0; i < repair->count; i++) {
        const struct repair_entity *entity = &repair->entities[i];
        member_begin(out, NULL, "{");
        member_text(out, "entity_key", entity->key);
        member_text(out, "outcome", slice_of(report_what(repair, entity)));
        member_text(out, "reason", entity->reason);
        buffer_append_text(out, "}");
    }
    buffer_append_text(out, "]}\n");
}
