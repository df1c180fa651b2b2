/* What `keepstep parked` was asked for; its files share this. */
#ifndef OPERATE_PARKED_H
#define OPERATE_PARKED_H

#include "common/buffer.h"
#include "consumer/store/store.h"

#define PARKED_WAIT_US (INT64_C(10) * 1000 * 1000) /* for an agent, or for the database */
#define PARKED_LOOK_US (INT64_C(200) * 1000)

struct parked_request {
    const struct config *config;
    const char *verb;
    struct parked_filter filter; /* resume: topic and partition */
    bool all;                    /* retry: whatever is parked; else what the filter says */
    bool dry_run;
    bool json;
};

/** Print records, and what the control topic says of them at other copies, where that can be read.
 * @return OK; RETRY; FATAL. */
enum status parked_print(struct store *store, const struct parked_record *records, size_t count,
                         const struct parked_request *request, struct error *err) MUST_CHECK;

struct refusal;

/** Append a record as a JSON object. @param whole  with key, value and headers.
 * @param refusal  what other copies have done with it; NULL: not known. */
void parked_append_json(const struct parked_record *parked, bool whole,
                        const struct refusal *refusal, struct buffer *out);

/** @return "held", "waiting", "behind" or "skipped". */
const char *parked_state_name(enum parked_state state);

/** Write all parked records, skipped ones too, as lines of JSON: whole, of one moment, a few in
 * memory at a time.
 * @param store  opened to be read. @param path  of a new file; NULL: standard output.
 * @return OK; FATAL with exit code 74 where it cannot be written; as snapshot() and read_parked().
 */
enum status parked_export(struct store *store, const char *path, struct error *err) MUST_CHECK;

/** Let the stopped partitions go on that were asked for, and watch what becomes of them.
 * @return OK; FATAL with exit code 75 where one stands still again; RETRY; ABORT. */
enum status parked_resume(struct store *store, const struct parked_request *request,
                          struct error *err) MUST_CHECK;

#endif
