/* Rule 13: a new incarnation begins behind what the log already has of this service. */
#ifndef PRODUCER_INIT_FORWARD_H
#define PRODUCER_INIT_FORWARD_H

#include "producer/init/init.h"
#include "producer/init/origin.h"

/** Read every topic the service publishes, outside any transaction, and note in the origin which
 * ids the log has and where it ends. Does nothing before the first `init`.
 * @return OK; RETRY (Kafka, locked); FATAL with exit code 78 where a type can go neither forward
 * (it is not applied here) nor back (--existing-rows is not given), or where a relay is running. */
enum status init_forward_read(struct origin *origin, const struct config *config,
                              const struct init_options *options, struct error *err) MUST_CHECK;

#endif
