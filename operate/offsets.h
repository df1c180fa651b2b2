/* What commands ask the broker: the end of the log, the group's hint, the age of a record. */
#ifndef OPERATE_OFFSETS_H
#define OPERATE_OFFSETS_H

#include "common/status.h"
#include "common/topic_partition.h"
#include "schemas/config/config.h"

#include <stddef.h>
#include <stdint.h>

struct offsets;

/** Check that librdkafka knows the properties of `kafka:` and that a broker is named.
 * @return OK; FATAL with exit code 78. */
enum status offsets_check_config(const struct config *config, struct error *err) MUST_CHECK;

/** Open a handle that reads, also uncommitted records. It changes nothing at the broker, not even
 * the group that it asks about.
 * @param group  the consumer group whose committed offsets are read. */
enum status offsets_open(const struct config *config, const char *group,
                         struct offsets **ret_offsets, struct error *err) MUST_CHECK;
/** NULL is a no-op. */
void offsets_close(struct offsets *offsets);

/** @return OK with *ret_count 0 where the topic does not exist; RETRY: the broker is not reached.
 */
enum status offsets_partition_count(struct offsets *offsets, const char *topic, int32_t *ret_count,
                                    struct error *err) MUST_CHECK;

#define OFFSETS_CLUSTER_ID_SIZE 256

/** The same, and the cluster's id; "": unknown. */
enum status offsets_topic(struct offsets *offsets, const char *topic, int32_t *ret_count,
                          char ret_cluster_id[static OFFSETS_CLUSTER_ID_SIZE],
                          struct error *err) MUST_CHECK;

/** First offset of a partition, and the end after all its records, those of open transactions
 * included. @return OK; RETRY. */
enum status offsets_bounds(struct offsets *offsets, struct topic_partition tp,
                           struct log_bounds *ret_bounds, struct error *err) MUST_CHECK;

/** Its last stable offset. Records after it wait for a producer's transaction to end.
 * @return OK; RETRY. */
enum status offsets_stable_end(struct offsets *offsets, struct topic_partition tp, int64_t *ret_end,
                               struct error *err) MUST_CHECK;

/** The offset that the group committed as a hint; -1: none. */
enum status offsets_committed(struct offsets *offsets, struct topic_partition tp,
                              int64_t *ret_offset, struct error *err) MUST_CHECK;

/** Ask for the record at the end of a partition, as whoever reads it does. There need be none.
 * @return OK; RETRY (no answer, or not allowed). */
enum status offsets_may_read(struct offsets *offsets, struct topic_partition tp,
                             struct error *err) MUST_CHECK;

/** Time of the first record at or above `offset`: its ce_time, else the log's; 0 where there is
 * none within two seconds. */
enum status offsets_record_time(struct offsets *offsets, struct topic_partition tp, int64_t offset,
                                int64_t *ret_time_us, struct error *err) MUST_CHECK;

/** @return how many members the group has, and where one of them is; -1 where the broker does not
 * tell. */
int offsets_members(struct offsets *offsets, char *ret_host, size_t size);

/** Which member of the group owns a partition; "-" where nobody does or the broker does not tell.
 */
struct offsets_owner {
    char consumer_id[128];
    char host[64];
    char client_id[128];
};
void offsets_owner(struct offsets *offsets, struct topic_partition tp,
                   struct offsets_owner *ret_owner);

#endif
