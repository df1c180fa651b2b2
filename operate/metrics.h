/* The metrics page: counters of the agent, the relay and the desk in Prometheus' text format 0.0.4.
 */
#ifndef OPERATE_METRICS_H
#define OPERATE_METRICS_H

#include "common/buffer.h"
#include "consumer/joint/agent.h"
#include "consumer/metrics.h"
#include "operate/desk/metrics.h"
#include "producer/relay/relay.h"
#include "schemas/config/config.h"

/** Where the numbers come from; NULL: that loop does not run in this process. Borrowed. */
struct members_page;
struct metrics_sources {
    const struct config *config;
    struct agent_metrics *agent;
    struct relay_metrics *relay;
    struct members_page *members;
    struct desk_metrics *desk;
    struct joint_metrics *joint;
};

/** Append the whole page. @param context  struct metrics_sources. @thread any. */
void metrics_render(void *context, struct buffer *text);

/** Find a number of the whole process on a page that metrics_render() made. @return whether it is
 * there, for this service. */
bool metrics_find(const char *page, const char *name, const char *service, double *ret_value);

/** Append docs/METRICS.md: the table of all metrics. */
void metrics_describe(struct buffer *text);

/** @return whether every loop of this process makes progress; the reason otherwise.
 * @param context  struct metrics_sources. @thread any. */
bool metrics_ready(void *context, struct buffer *reason);

/** @return whether the agent makes progress and its broker answers. */
bool metrics_agent_is_ready(const struct agent_metrics *agent);

/** @return for how long the agent's loop has not come round, because its database or its broker
 * does not answer; 0 before its first round. */
int64_t metrics_agent_silence_us(const struct agent_metrics *agent);

/** @return for how long the relay's loop has not come round, because its database does not answer;
 * 0 where it may wait for its broker. */
int64_t metrics_relay_silence_us(const struct relay_metrics *relay);

/** @return for how long nothing was acknowledged of what is under way, when the relay last looked.
 */
double metrics_relay_stalled_s(const struct relay_metrics *relay);

/** @return the lag of a partition in seconds; NaN where it is not known. */
double metrics_lag_s(const struct agent_metrics *agent,
                     const struct agent_partition_metrics *partition);

/** @return 1: it answers; 0: it does not; NaN: not known. */
double metrics_broker_up(const struct metrics_sources *sources);
double metrics_database_up(const struct metrics_sources *sources);

/** Append the beginning of a metric's labels: the label that all have. */
void metrics_append_service(struct buffer *text, const char *service);

/** @return the lag of a partition in records, or where its log ends; NaN where that is not known,
 * or was not seen lately. */
double metrics_lag_records(const struct agent_metrics *agent,
                           const struct agent_partition_metrics *partition);
double metrics_log_end(const struct agent_metrics *agent,
                       const struct agent_partition_metrics *partition);

/** @return until retention may delete what is not applied of a partition; NaN where that is not
 * known, or not in sight. */
double metrics_retention_overtakes_s(const struct agent_metrics *agent,
                                     const struct agent_partition_metrics *partition);

/** Append the value of a label, without its quotes. */
void metrics_append_label(struct buffer *text, const char *value);

/** @return how long ago a wall clock time was; 0 for 0, and where the clocks of two machines
 * differ.
 */
double metrics_age_s(int64_t time_us);

/** @return how long ago a monotonic time was; 0 for 0, which means "it does not last". */
double metrics_since_s(int64_t since_us);

#endif
