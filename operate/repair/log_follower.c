/* Reads a log on from where it was read before, and notes mentions around a stamp. */
#include "operate/repair/log_follower.h"

#include <inttypes.h>
#include <stdlib.h>

static struct followed_mention *follower_mention(const struct log_follower *follower, size_t key,
                                                 int32_t partition)
{
    return &follower->mentions[key * (size_t)follower->partition_count + (size_t)partition];
}

enum status log_follower_init(struct log_follower *follower, struct error *err)
{
    size_t partitions = (size_t)follower->partition_count;
    size_t count = partitions * follower->key_count;
    follower->is_begun = false;
    follower->spans = calloc(partitions + 1, sizeof *follower->spans);
    follower->mentions = calloc(count + 1, sizeof *follower->mentions);
    if (follower->spans == NULL || follower->mentions == NULL)
        return error_set(err, STATUS_RETRY, "no memory for the log's partitions");
    for (size_t i = 0; i < count; i++)
        follower->mentions[i] = (struct followed_mention){-1, -1};
    return STATUS_OK;
}

void log_follower_done(struct log_follower *follower)
{
    free(follower->spans);
    free(follower->mentions);
    follower->spans = NULL;
    follower->mentions = NULL;
}

static int follower_compare(const void *left, const void *right)
{
    return slice_compare(*(const struct slice *)left, *(const struct slice *)right);
}

/* Records that are missing may have been of the entity on either side of the stamp. What is noted
 * then is nearest to the stamp, so that no later mention takes its place. */
static enum status follower_visit(void *context, const struct mention *mention, struct error *err)
{
    const struct log_follower *follower = context;
    const struct slice *key = bsearch(&mention->key, follower->keys, follower->key_count,
                                      sizeof *follower->keys, follower_compare);
    (void)err;
    if (key == NULL)
        return STATUS_OK;
    struct followed_mention *noted = follower_mention(follower, (size_t)(key - follower->keys),
                                                      mention->partition);
    int64_t stamp = follower->stamp[mention->partition];
    if (mention->covers_earlier)
        *noted = (struct followed_mention){.last_below = stamp - 1, .first_from = stamp};
    else if (mention->offset < stamp && mention->offset > noted->last_below)
        noted->last_below = mention->offset;
    else if (mention->offset >= stamp && noted->first_from < 0)
        noted->first_from = mention->offset;
    return STATUS_OK;
}

static enum status follower_judge(struct log_span *span, const struct log_span *read,
                                  struct error *err)
{
    const struct log_bounds *bounds = &read->bounds;
    if (bounds->first > read->from || bounds->end < read->from)
        return error_set(err, STATUS_RETRY,
                         "the log of partition %" PRId32 " has the offsets %" PRId64 " to %" PRId64
                         ", and not %" PRId64 ": what has changed since is not known",
                         span->partition, bounds->first, bounds->end, read->from);
    span->until = bounds->end;
    return STATUS_OK;
}

enum status log_follower_read(struct log_follower *follower, const int64_t *positions,
                              struct error *err)
{
    struct mention_reading reading = {
        .count = (size_t)follower->partition_count, .visit = follower_visit, .context = follower};
    reading.spans = calloc(reading.count + 1, sizeof *reading.spans);
    if (reading.spans == NULL)
        return error_set(err, STATUS_RETRY, "no memory for the log's partitions");
    for (int32_t p = 0; p < follower->partition_count; p++) {
        struct log_span *span = &follower->spans[p];
        int64_t first = positions[p] < follower->stamp[p] ? positions[p] : follower->stamp[p];
        if (!follower->is_begun)
            *span = (struct log_span){.partition = p, .from = first, .until = first};
        reading.spans[p] = (struct log_span){
            .partition = p, .from = span->until, .until = INT64_MAX};
    }
    follower->is_begun = true;
    enum status status = follower->log->read(follower->log, &reading, err);
    for (int32_t p = 0; status == STATUS_OK && p < follower->partition_count; p++)
        status = follower_judge(&follower->spans[p], &reading.spans[p], err);
    free(reading.spans);
    return status;
}

bool log_follower_has_read(const struct log_follower *follower, const int64_t *positions)
{
    for (int32_t p = 0; p < follower->partition_count; p++) {
        int64_t stamp = follower->stamp[p];
        int64_t from = positions[p] < stamp ? positions[p] : stamp;
        int64_t until = positions[p] < stamp ? stamp : positions[p];
        if (from < until && (from < follower->spans[p].from || until > follower->spans[p].until))
            return false;
    }
    return true;
}

bool log_follower_mentions(const struct log_follower *follower, size_t key,
                           const int64_t *positions)
{
    for (int32_t p = 0; p < follower->partition_count; p++) {
        const struct followed_mention *noted = follower_mention(follower, key, p);
        if ((noted->first_from >= 0 && noted->first_from < positions[p]) ||
            (noted->last_below >= 0 && noted->last_below >= positions[p]))
            return true;
    }
    return false;
}
