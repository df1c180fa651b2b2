/* What `keepstep parked` and the page do to parked records. Nothing here says a word about it. */
#ifndef OPERATE_PARKED_EDIT_H
#define OPERATE_PARKED_EDIT_H

#include "operate/parked.h"

#include <stdatomic.h>

/** Records that were read, and the memory that they are in. */
struct parked_list {
    struct arena arena;
    struct parked_records read;
};

void parked_list_init(struct parked_list *ret_list);
void parked_list_done(struct parked_list *list);

/** Read records in place of those that the list has. @return as read_parked. */
enum status parked_read(struct store *store, const struct parked_filter *filter,
                        struct parked_list *list, struct error *err) MUST_CHECK;

/** Leave of each set its first record, which stands for all of them, and set the `set_size` of each
 * record: 1 where it is alone. @return as read_parked. */
enum status parked_fold(struct store *store, struct parked_list *list,
                        struct error *err) MUST_CHECK;

/** Set a record's `set_size`. @return as read_parked. */
enum status parked_note_set(struct store *store, struct parked_record *parked,
                            struct error *err) MUST_CHECK;

/** Read the set of a record, without values: only itself where it is alone. @return as read_parked.
 */
enum status parked_read_set(struct store *store, const struct parked_record *of,
                            struct parked_list *list, struct error *err) MUST_CHECK;

/** Say that one record waits behind another one, which is taken in its place. */
typedef void parked_say_head_first(const struct parked_record *parked,
                                   const struct parked_record *head);

/** Choose the records to retry. One that waits for another cannot go first: that other one is
 * taken. A set is retried whole: its first record is taken, with its `set_size`. @param say  NULL:
 * nobody is told. @return as read_parked; FATAL (no memory). */
enum status parked_find_heads(struct store *store, const struct parked_request *request,
                              struct parked_list *list, parked_say_head_first *say,
                              struct error *err) MUST_CHECK;

/** Change all, a few in each transaction, oldest first. A record of a set is skipped with its set.
 * A record that is gone by then was applied or skipped. While the agent or the service holds the
 * database it waits, PARKED_WAIT_US at most.
 * @return as edit_parked, without ABORT. */
enum status parked_edit_all(struct store *store, const struct parked_list *list,
                            enum parked_edit edit, const atomic_bool *stop,
                            struct error *err) MUST_CHECK;

enum parked_outcome { PARKED_UNTRIED, PARKED_APPLIED, PARKED_FAILED };

/** Find out what became of a retried record. @param now  gets the record as it is now, if it is
 * still there. @return as read_parked. */
enum status parked_find_outcome(struct store *store, const struct parked_record *parked,
                                struct parked_list *now, enum parked_outcome *ret_outcome,
                                struct error *err) MUST_CHECK;

#define PARKED_PAUSE_SIZE (PAUSED_TYPE_SIZE + PAUSED_TEXT_SIZE + 16)

/** Find out whether an operator has paused a topic that the service applies, so that nothing of it
 * is tried. @param ret_text  "order is paused since …"; "": it is not.
 * @return as list_paused(). */
enum status parked_find_pause(struct store *store, const struct config *config, const char *topic,
                              char ret_text[static PARKED_PAUSE_SIZE],
                              struct error *err) MUST_CHECK;

#endif
