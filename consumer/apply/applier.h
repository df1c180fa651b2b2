/* Turns a batch into one transaction of the peer's database. Knows neither Kafka nor SQL. */
#ifndef CONSUMER_APPLY_APPLIER_H
#define CONSUMER_APPLY_APPLIER_H

#include "consumer/metrics.h"
#include "consumer/apply/batch.h"
#include "consumer/store/store.h"

#define APPLIER_PARTITIONS_MAX 4096

struct applier;

struct applier_options {
    const struct store_ops *ops;
    const struct config *config;
    const struct mapping *mappings;
    size_t mapping_count;
    struct agent_metrics *metrics;
};

/** Open the store and prepare every mapping.
 * @return OK; RETRY (the database cannot be reached); FATAL. */
enum status applier_new(const struct applier_options *options, struct applier **ret_applier,
                        struct error *err) MUST_CHECK;
void applier_free(struct applier *applier);

/** Identity of the copy, read at applier_new(). */
const char *applier_copy_id(const struct applier *applier);

/** Read a partition without owning it. */
enum status applier_read(struct applier *applier, struct topic_partition tp,
                         struct partition_state *ret_state, struct error *err) MUST_CHECK;

/** Own a partition: `state` is filled with a new token and, where there is no row, the first
 * offset.
 * @param state  moved into the applier on OK, the caller's otherwise. */
enum status applier_take(struct applier *applier, struct partition_state *state, size_t *ret_index,
                         struct error *err) MUST_CHECK;

/** Forget all partitions; what did not wait for the disk is made durable first where possible. */
void applier_drop_all(struct applier *applier);

/** @return an owned partition as committed, until the next call of the applier; NULL where `index`
 * is not owned. */
const struct partition_state *applier_partition(const struct applier *applier, size_t index);

/** @return the index of an owned partition, or SIZE_MAX. */
size_t applier_find(const struct applier *applier, struct topic_partition tp);

/** The log goes on at next_offset (rule 6): taken into the next transaction. */
void applier_note_end(struct applier *applier, size_t index, int64_t next_offset);

/** @return whether a noted end is ahead of a position, or a stop is not recorded yet. */
bool applier_has_ends(const struct applier *applier);

/** The schema of a mapped entity type; `context` is the applier. */
const struct entity_schema *applier_lookup(void *context, struct slice entity_type);

/** @return how another program writes the topic's records, NULL where they are Keepstep's own. */
const struct record_form *applier_form(const struct applier *applier, const char *topic);

/** What tells a record from any other at its offset (rule 5): the id of its event, or where
 * another program wrote it, or without one, a digest of key and value. */
void applier_anchor(const struct record *record, char ret_id[static STORE_ID_SIZE]);

/** Apply a batch and the noted ends in one transaction. Memory moves only after the commit.
 * Events of a partition that was reloaded do not count until applier_seen_reload().
 * @return OK (partitions may have stopped: see applier_partition()); RETRY (rolled back: the same
 * batch again, after a pause; a lost connection is opened anew then); ABORT with native_code 1
 * (reloaded: go where `reloaded` says, then again) or 0 (another owner: drop everything and
 * rejoin); FATAL. */
enum status applier_apply(struct applier *applier, struct batch *batch,
                          struct error *err) MUST_CHECK;

/** Stop a partition for a reason from outside the log. Statuses as applier_apply(); where it is not
 * recorded now applier_has_ends() is true, and applier_apply() records it. */
enum status applier_stop(struct applier *applier, size_t index, const char *reason,
                         struct error *err) MUST_CHECK;

/** Try waiting records that are due, for as long as a transaction may last: what is left is tried
 * at the next call. Statuses as applier_apply(). */
enum status applier_retry_parked(struct applier *applier, int64_t now_us,
                                 struct error *err) MUST_CHECK;

/** @return whether applier_retry_parked() has more to do at once. */
bool applier_is_retrying(const struct applier *applier);

/** Write kept images whose own change is not under way any more: an operator dropped it from the
 * outbox (rule 18). Statuses as applier_apply(). */
enum status applier_write_images(struct applier *applier, struct error *err) MUST_CHECK;

/** Commit durably where a commit did not wait for a second (or `now`). Statuses as applier_apply().
 */
enum status applier_make_durable(struct applier *applier, bool now, struct error *err) MUST_CHECK;

/** Look for an operator's revisions and reload what has one. Statuses as applier_apply(). */
enum status applier_refresh(struct applier *applier, struct error *err) MUST_CHECK;

/** Let a partition's records be read again from its position: one of them could not be kept. It
 * counts as reloaded until applier_seen_reload(). */
void applier_read_again(struct applier *applier, size_t index);

/** @return whether a partition's position was read anew: the feed is to be set to it. */
bool applier_is_reloaded(const struct applier *applier, size_t index);

/** Clear that once the feed has been set to next_offset. */
void applier_seen_reload(struct applier *applier, size_t index);

/** Delete a bounded number of single keys past the window and of skipped records past their
 * retention. */
enum status applier_prune(struct applier *applier, struct error *err) MUST_CHECK;

#endif
