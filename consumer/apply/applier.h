/* Applies batches to a peer's database, one transaction each. Knows neither Kafka nor SQL. */
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
    struct agent_metrics *metrics; /* never NULL */
};

/** Open the store and prepare every mapping. All functions are the agent's thread's.
 * @param options  what it points to is borrowed and outlives the applier.
 * @return OK; RETRY (the database cannot be reached); FATAL. */
enum status applier_new(const struct applier_options *options, struct applier **ret_applier,
                        struct error *err) MUST_CHECK;
void applier_free(struct applier *applier);

/** Identity of the copy, read at applier_new(). */
const char *applier_copy_id(const struct applier *applier);

/** Read a partition without owning it. */
enum status applier_read(struct applier *applier, struct topic_partition tp,
                         struct partition_state *ret_state, struct error *err) MUST_CHECK;

/** Own a partition, under a new token.
 * @param state  as read, with the first offset where there was no row; moved into the applier on
 * OK, the caller's otherwise.
 * @return OK; RETRY; FATAL. */
enum status applier_take(struct applier *applier, struct partition_state *state, size_t *ret_index,
                         struct error *err) MUST_CHECK;

/** Forget all partitions. Commits that did not wait for the disk are made durable first, if that is
 * possible. */
void applier_drop_all(struct applier *applier);

/** @return an owned partition as committed, until the next call of the applier; NULL where `index`
 * is not owned. */
const struct partition_state *applier_partition(const struct applier *applier, size_t index);

/** @return the index of an owned partition, or SIZE_MAX. */
size_t applier_find(const struct applier *applier, struct topic_partition tp);

/** Note that no more events follow before next_offset (rule 6): the next transaction moves the
 * position there. */
void applier_note_end(struct applier *applier, size_t index, int64_t next_offset);

/** @return whether there is something to commit without a batch: a position that a noted end moves,
 * or a stop that is not recorded yet. */
bool applier_has_ends(const struct applier *applier);

/** Finds the schemas of the mapped entity types. It reads nothing that changes. @thread any. */
struct schema_finder applier_finder(struct applier *applier);

/** Finds how far the sequences of a partition are applied, for batch_link_sets(). */
struct applied_finder applier_ranges(const struct applier *applier);

/** @return how another program writes the topic's records, NULL where they are Keepstep's own. */
const struct record_form *applier_form(const struct applier *applier, const char *topic);

/** Tell a record from any other that might stand at its offset (rule 5): by the id of its event, or
 * where another program wrote it or it has no id, by a digest of key and value. */
void applier_anchor(const struct record *record, char ret_id[static STORE_ID_SIZE]);

/** Apply a batch and the noted ends in one transaction. Events of a reloaded partition are left out
 * until applier_set_reloaded().
 * @return OK (partitions may have stopped: see applier_partition()); RETRY (rolled back: apply the
 * same batch again after a pause; a lost connection is opened anew then); ABORT with native_code 1
 * (positions were read anew: seek where applier_is_reloaded(), then go on) or 0 (another agent owns
 * the partition: drop everything and rejoin); FATAL. */
enum status applier_apply(struct applier *applier, struct batch *batch,
                          struct error *err) MUST_CHECK;

/** Stop a partition and record why. Statuses as applier_apply(); where recording fails, the next
 * applier_apply() does it. */
enum status applier_stop(struct applier *applier, size_t index, const char *reason,
                         struct error *err) MUST_CHECK;

/** Let a partition that has stopped go on from its position. Statuses as applier_apply(). */
enum status applier_go_on(struct applier *applier, size_t index, struct error *err) MUST_CHECK;

/** Try waiting records that are due, for as long as one transaction may last; the next call goes
 * on.
 * @param now_us  wall clock. Statuses as applier_apply(). */
enum status applier_retry_parked(struct applier *applier, int64_t now_us,
                                 struct error *err) MUST_CHECK;

/** Each call takes one partition with parked records, and notes for the metrics since when the
 * first of them is parked. @return OK; RETRY; FATAL. */
enum status applier_note_parked(struct applier *applier, struct error *err) MUST_CHECK;

/** @return whether applier_retry_parked() has more to do at once. */
bool applier_is_retrying(const struct applier *applier);

/** Write kept images whose own change is gone: an operator dropped it from the outbox (rule 18).
 * Statuses as applier_apply(). */
enum status applier_write_images(struct applier *applier, struct error *err) MUST_CHECK;

/** Make the last commits durable if the first of them is a second old, or `now`. Statuses as
 * applier_apply(). */
enum status applier_make_durable(struct applier *applier, bool now, struct error *err) MUST_CHECK;

/** Reload the partitions that an operator's command has changed. Statuses as applier_apply(). */
enum status applier_refresh(struct applier *applier, struct error *err) MUST_CHECK;

/** @return whether a partition is to be read again from its position, which was read anew: seek
 * there, then applier_set_reloaded(). */
bool applier_is_reloaded(const struct applier *applier, size_t index);

/** @param reloaded  true: read it again, because a record of it found no room in the batch; false:
 *                   the feed reads from its position now. */
void applier_set_reloaded(struct applier *applier, size_t index, bool reloaded);

/** List all positions, as the store's slot does. The caller frees the array.
 * @return OK; RETRY; FATAL. */
enum status applier_list(struct applier *applier, struct partition_state **ret_states,
                         size_t *ret_count, struct error *err) MUST_CHECK;

/** List what is paused. @return OK, then the caller frees it; RETRY; FATAL. */
enum status applier_list_paused(struct applier *applier, struct paused_types *ret_paused,
                                struct error *err) MUST_CHECK;

/** Retry nothing that is parked of an owned partition, and write no kept image of it, until it is
 * taken anew. */
void applier_set_paused(struct applier *applier, size_t index);

/** List the fills of all topics. The caller frees the array. @return OK; RETRY; FATAL. */
enum status applier_list_fills(struct applier *applier, struct fill_state **ret_fills,
                               size_t *ret_count, struct error *err) MUST_CHECK;

/** End a fill that replays, if every partition of its topic has come to its filled_to. Statuses as
 * applier_apply(). */
enum status applier_finish_fill(struct applier *applier, const struct fill_state *fill,
                                struct error *err) MUST_CHECK;

/** Delete single keys and skipped records that were kept long enough, a bounded number of each.
 * @param keeps_keys  delete no single key: a paused topic may have its record again, unread.
 * @return OK; RETRY; FATAL. */
enum status applier_prune(struct applier *applier, bool keeps_keys, struct error *err) MUST_CHECK;

#endif
