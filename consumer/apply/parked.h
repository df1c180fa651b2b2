/* What is parked of the owned partitions: read entity by entity, put in its order, and applied once
 * that is possible. */
#ifndef CONSUMER_APPLY_PARKED_H
#define CONSUMER_APPLY_PARKED_H

#include "consumer/apply/internal.h"

#define PARKED_TOLD_MAX 10 /* entities of a partition that one pass names in the log */

/* queue.c */

/** Of the parked records of one entity those from an offset on, without the skipped.
 * @param ret_type  borrowed by the filter. */
struct parked_filter applier_run_filter(const struct owned *owned, const struct parked_record *of,
                                        int64_t from_offset, char ret_type[static STORE_NAME_SIZE]);

/** @return whether a record has to wait for one before it whose entity cannot be read. */
bool applier_is_behind_unreadable(const struct owned *owned, const struct parked_record *record);

/** Read parked records of one entity from an offset on, at most as many bytes as a batch has.
 * @param ret_more  whether others follow. */
enum status applier_read_run(struct applier *applier, const struct owned *owned,
                             const struct parked_record *of, int64_t from_offset,
                             struct parked_record **ret_records, size_t *ret_count, bool *ret_more,
                             struct error *err) MUST_CHECK;

/** Look through what is parked of an entity until `until_us`. @return OK; *ret_scan is NULL where
 * there is more to look at. */
enum status applier_scan_run(struct applier *applier, struct owned *owned,
                             const struct parked_record *head, int64_t until_us,
                             struct run_scan **ret_scan, struct error *err) MUST_CHECK;
void applier_forget_scans(struct owned *owned);

/** @return where the last piece in front of an offset begins; -1: none is there. */
int64_t run_scan_piece_before(const struct run_scan *scan, int64_t offset);

/* order.c */

/** Find out whose turn it is among the parked records of a partition, and tell the database.
 * Statuses as applier_apply(). */
enum status applier_order_parked(struct applier *applier, struct owned *owned,
                                 struct error *err) MUST_CHECK;

/* release.c */

/** Try what is parked of one entity, as much of it as one transaction takes. Statuses as
 * applier_apply(). */
enum status applier_release(struct applier *applier, struct owned *owned,
                            const struct parked_record *head, struct run_scan *scan,
                            struct error *err) MUST_CHECK;

/* retry.c */

/** How long a transaction may last beside the service (rule 19). */
int64_t applier_time_us(const struct applier *applier);

/* together.c */

/** Try waiting entities together, as many as one transaction takes: what each alone cannot, they
 * may (rule 22). @return OK; as applier_apply(). */
enum status applier_retry_together(struct applier *applier, struct error *err) MUST_CHECK;

#endif
