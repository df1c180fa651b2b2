/* Loads the rows of a fill into a copy (rules 38 and 41). It never waits for anybody but the
 * database: its caller has the stream, from wherever, pushes its parts, and lets the loader write.
 * It has sessions of its own. All functions are one thread's.
 *
 *   ask ─► begin ─► step while busy ─► (row or key ─► step while busy)… ─► end ─► step while busy
 *
 * Each transaction can be done again: where its outcome is unknown, or the process was killed, the
 * next one finds out. An attempt stands alone: whatever ended it, another one begins with ask. */
#ifndef CONSUMER_FILL_LOADER_H
#define CONSUMER_FILL_LOADER_H

#include "consumer/store/store.h"
#include "schemas/fill_record.h"

#define FILL_VOIDS_MAX 3 /* attempts in a row that come to nothing, before somebody must look */

struct fill_loader;

/** All of it is borrowed and outlives the loader. */
struct fill_loader_options {
    const struct store_ops *ops;
    const struct config *config;
    const struct mapping *mappings; /* all of the service's */
    size_t mapping_count;
    const char *topic;
};

/** @return OK; FATAL (memory). Nothing is opened yet. */
enum status fill_loader_new(const struct fill_loader_options *options,
                            struct fill_loader **ret_loader, struct error *err) MUST_CHECK;
/** What was not committed is undone. */
void fill_loader_free(struct fill_loader *loader);

/** Read what is stored of the topic's fill. @return OK; RETRY; FATAL. */
enum status fill_loader_read(struct fill_loader *loader, struct fill_state *ret_fill,
                             struct error *err) MUST_CHECK;

/** An attempt that is asked for. */
struct fill_asked {
    const char *id;     /* a UUID */
    const char *source; /* the service whose rows are wanted */
    bool again;         /* clear what the copy has, whoever wrote it */
    bool has_begun; /* its rows come; else somebody is still to ask for them, and that service */
};

/** Write down that an attempt begins: from then on no agent reads the topic, and no relay of this
 * service publishes to it. Rows that no attempt has loaded, and that are no own changes under way,
 * are refused unless `again`.
 * @return OK; RETRY; FATAL with exit code 78 and the way out. */
enum status fill_loader_ask(struct fill_loader *loader, const struct fill_asked *asked,
                            struct error *err) MUST_CHECK;

/** Take back what was asked for: from then on agents read the topic again, from where they were.
 * @return OK; RETRY; FATAL with exit code 78 (nothing was asked for; or what the copy had is being
 * cleared already). */
enum status fill_loader_cancel(struct fill_loader *loader, struct error *err) MUST_CHECK;

/** Take the begin of the stream; it is copied.
 * @return OK; ABORT (the attempt is void: it is not for this copy); RETRY (memory). */
enum status fill_loader_begin(struct fill_loader *loader, const struct fill_begin *begin,
                              struct error *err) MUST_CHECK;

/** Take a row, or a key; it is copied. Not while the loader is busy.
 * @return OK; ABORT (the attempt is void); STOP (so will be each other one: the row is no row of
 * its type here); RETRY (memory). */
enum status fill_loader_row(struct fill_loader *loader, const struct fill_row *row,
                            struct error *err) MUST_CHECK;
enum status fill_loader_key(struct fill_loader *loader, const struct fill_key *key,
                            struct error *err) MUST_CHECK;

/** Take the end of the stream; it is copied.
 * @return OK; ABORT (void: rows are missing, or others came); RETRY (memory). */
enum status fill_loader_end(struct fill_loader *loader, const struct fill_end *end,
                            struct error *err) MUST_CHECK;

/** @return whether there is something to write before more may be pushed. */
bool fill_loader_is_busy(const struct fill_loader *loader);

/** @return whether all is loaded, and the agent may go on. */
bool fill_loader_is_done(const struct fill_loader *loader);

/** Write what there is, in one transaction; clearing may take some, for a second.
 * @return OK; RETRY (the same call may succeed later); ABORT (another attempt has begun); STOP
 * (the database rejects a row: the text has its key and the code, and err->reject is
 * REJECT_WAITING where rows of another topic may cure it); FATAL (so also where rows of
 * other tables depend on those that are to be cleared). */
enum status fill_loader_step(struct fill_loader *loader, struct error *err) MUST_CHECK;

/** Count the attempt as void and store why. @return OK with how many in a row; RETRY; ABORT. */
enum status fill_loader_void(struct fill_loader *loader, const char *reason, int64_t *ret_voids,
                             struct error *err) MUST_CHECK;

/** Store why the topic's fill waits, whoever's attempt is stored. It counts as none, and the fill
 * goes on. @return OK; RETRY; ABORT. */
enum status fill_loader_note(struct fill_loader *loader, const char *reason, struct error *err);

/** Store that nobody goes on with the topic's fill until somebody asks anew, and why. What does not
 * stand there yet begins to, as asked.
 * @param id        of the attempt that was the last one.
 * @param known_id  of the fill that was seen stored: another one is somebody's new wish. NULL: any.
 * @return OK; RETRY; ABORT (another attempt has begun, or was asked for); FATAL. */
enum status fill_loader_give_up(struct fill_loader *loader, const char *id, const char *known_id,
                                const char *reason, struct error *err) MUST_CHECK;

/** What the attempt has done so far, for whoever looks on. */
struct fill_progress {
    enum fill_stage stage;
    uint64_t cleared; /* rows */
    uint64_t rows;    /* that were read of the stream and written */
    uint64_t own;     /* of these left out: own changes of them are under way */
    uint64_t keys;
};
struct fill_progress fill_loader_progress(const struct fill_loader *loader);

#endif
