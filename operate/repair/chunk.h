/* A few entities whose rows are read from the source at one stamp, and then written. */
#ifndef OPERATE_REPAIR_CHUNK_H
#define OPERATE_REPAIR_CHUNK_H

#include "operate/repair/write.h"

#define REPAIR_CHUNK_MAX 256

/** Read the rows of some entities at the source, follow the log, and write them to the copy; those
 * that have to be deleted first. Each entity is set to what became of it.
 * @param entities  at most REPAIR_CHUNK_MAX, sorted by key.
 * @return OK; RETRY (memory); FATAL. */
enum status repair_chunk(struct repair_writer *writer, struct repair_entity *const *entities,
                         size_t count, struct error *err) MUST_CHECK;

#endif
