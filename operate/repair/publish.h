/* Repairs through the log: what a publisher's rows are now is published anew (rule 44). */
#ifndef OPERATE_REPAIR_PUBLISH_H
#define OPERATE_REPAIR_PUBLISH_H

#include "operate/repair/repair.h"
#include "producer/init/origin.h"

/** A service's table, with the rights of `init`. */
struct repair_publisher {
    struct origin *origin;
    struct origin_table table;
};

/** Publish the rows of the entities that are due. Each entity is set to what became of it.
 * @return OK, also where others hold rows: then these are pending; RETRY; FATAL. */
enum status repair_publish_due(struct repair *repair, struct error *err) MUST_CHECK;

#endif
