/* Writes who has voted what on a joint transaction, and reads it again: the column `votes`. */
#include "schemas/joint_decide.h"
#include "schemas/joint_internal.h"

#include <inttypes.h>
#include <stdio.h>

void joint_ballots_append(const struct joint_tally *tally, struct buffer *out)
{
    buffer_append_text(out, "[");
    for (size_t i = 0; i < tally->ballot_count; i++) {
        const struct joint_ballot *ballot = &tally->ballots[i];
        buffer_append_text(out, i == 0 ? "{\"service\":" : ",{\"service\":");
        buffer_append_json(out, slice_of(ballot->service));
        if (ballot->vote != JOINT_NO_VOTE)
            buffer_append_format(out, ",\"vote\":\"%s\",\"offset\":%" PRId64,
                                 ballot->vote == JOINT_YES ? "yes" : "no", ballot->offset);
        buffer_append_text(out, "}");
    }
    buffer_append_text(out, "]");
}

static bool joint_ballot_read(const json_t *json, struct joint_ballot *ballot)
{
    const char *service = json_string_value(json_object_get(json, "service"));
    const char *vote = json_string_value(json_object_get(json, "vote"));
    const json_t *offset = json_object_get(json, "offset");
    *ballot = (struct joint_ballot){.offset = -1};
    if (service == NULL || strlen(service) >= sizeof ballot->service)
        return false;
    (void)snprintf(ballot->service, sizeof ballot->service, "%s", service);
    if (vote == NULL)
        return true;
    ballot->vote = strcmp(vote, "yes") == 0 ? JOINT_YES : JOINT_NO;
    ballot->offset = json_integer_value(offset);
    return json_is_integer(offset) && (ballot->vote == JOINT_YES || strcmp(vote, "no") == 0);
}

enum status joint_ballots_read(struct slice text, struct joint_tally *tally, struct error *err)
{
    json_t *json = joint_json_load(text, JOINT_BYTES_MAX, NULL);
    bool is_right = json_is_array(json) && json_array_size(json) <= JOINT_PARTICIPANTS_MAX;
    tally->ballot_count = is_right ? json_array_size(json) : 0;
    for (size_t i = 0; i < tally->ballot_count; i++)
        is_right = joint_ballot_read(json_array_get(json, i), &tally->ballots[i]) && is_right;
    json_decref(json);
    return json_check_memory(is_right ? STATUS_OK
                                      : error_set(err, STATUS_FATAL,
                                                  "the stored votes of a joint transaction are "
                                                  "not what Keepstep writes"),
                             err);
}
