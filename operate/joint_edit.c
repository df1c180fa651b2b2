/* Withdraws a joint transaction, retries or ends one that is held, and takes a database as it is.
 */
#include "operate/joint_edit.h"
#include "common/clock.h"
#include "consumer/joint/row.h"
#include "operate/joint_view.h"

#include <inttypes.h>
#include <stdio.h>
#include <sysexits.h>

#define EDIT_PATIENCE_US (INT64_C(10) * 1000 * 1000) /* for a database that is busy */
#define EDIT_PAUSE_US    (INT64_C(50) * 1000)
#define EDIT_ROW_BYTES   ((size_t)1024 * 1024)

enum status joint_edit_no_row(const struct joint_request *request, struct error *err)
{
    err->exit_code = EX_DATAERR;
    return error_set(err, STATUS_FATAL,
                     "this service knows of no joint transaction %.*s of %.*s; --proposer names "
                     "another service",
                     SLICE_ARGS(request->name.id), SLICE_ARGS(request->name.proposer));
}

/* Keep the row: what it is to become is written once it was read. */
static enum status edit_keep_row(void *context, const struct joint_row *row, struct error *err)
{
    struct joint_kept *kept = context;
    struct slice *const texts[] = {&kept->row.name.proposer, &kept->row.name.id, &kept->row.reason,
                                   &kept->row.votes, &kept->row.proposal_id};
    kept->row = *row;
    kept->row.changes = (struct slice){0};
    kept->found = true;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        *texts[i] = arena_copy(&kept->arena, texts[i]->data == NULL ? slice_of("") : *texts[i]);
        if (texts[i]->data == NULL)
            return error_set(err, STATUS_RETRY, "no memory for a joint transaction");
    }
    return STATUS_OK;
}

/* A service's trigger on the row keeps an operator from nothing. */
static enum status edit_mark(const struct joint_request *request, const struct joint_row *row,
                             struct error *err)
{
    const struct joint_row_writing writing = {.row = row};
    return joint_row_write(request->store, &writing, false, err);
}

static enum status edit_refuse(const struct joint_kept *kept, const char *what, struct error *err)
{
    err->exit_code = EX_DATAERR;
    return error_set(err, STATUS_FATAL, "%s: it is %s%s", what, joint_state_name(kept->row.state),
                     kept->row.withdrawn ? " and withdrawn" : "");
}

static enum status edit_find(const struct joint_request *request, struct joint_kept *kept,
                             struct error *err)
{
    enum status status = request->store->ops->joint->find(request->store, request->name,
                                                          edit_keep_row, kept, err);
    return status == STATUS_OK && !kept->found ? joint_edit_no_row(request, err) : status;
}

enum status joint_edit_withdraw(const struct joint_request *request, struct joint_kept *kept,
                                struct error *err)
{
    struct joint_row *row = &kept->row;
    struct store *store = request->store;
    struct buffer value;
    bool is_committed = false;
    enum status status = edit_find(request, kept, err);
    if (status != STATUS_OK)
        return status;
    if (joint_view_is_decided(row, &is_committed) || row->withdrawn || row->proposal_offset < 0 ||
        row->state == JOINT_STATE_ELSEWHERE)
        return edit_refuse(kept, "it cannot be withdrawn here", err);
    const struct joint_answer answer = {.proposal = row->proposal_id,
                                        .reason = slice_of("an operator has withdrawn it")};
    buffer_init(&value, JOINT_BYTES_MAX);
    joint_withdrawal_append(&answer, &value);
    const struct joint_saying saying = {
        .name = row->name, .kind = JOINT_WITHDRAWAL, .value = buffer_slice(&value)};
    row->withdrawn = true;
    status = edit_mark(request, row, err);
    if (status == STATUS_OK)
        status = store->ops->joint->say(store, &saying, err);
    buffer_done(&value);
    if (status == STATUS_OK)
        fprintf(stderr, "a withdrawal goes into the outbox; the log decides whether it came in "
                        "time: see `keepstep joint wait`\n");
    return status;
}

/* Nothing is written: the revision alone lets the sidecar begin anew. */
enum status joint_edit_retry(const struct joint_request *request, struct joint_kept *kept,
                             struct error *err)
{
    enum status status = edit_find(request, kept, err);
    if (status != STATUS_OK)
        return status;
    if (kept->row.state != JOINT_STATE_HELD && kept->row.state != JOINT_STATE_COMMITTING &&
        kept->row.state != JOINT_STATE_ABORTING)
        return edit_refuse(kept, "only what is held, or decided and not made, is tried again", err);
    fprintf(stderr, "the running sidecar tries it again now\n");
    return STATUS_OK;
}

/* A row that the log has not decided ends behind `aborting`: its trigger takes no other end. */
static enum status edit_end(const struct joint_request *request, struct joint_row *row,
                            bool is_committed, struct error *err)
{
    enum status status = STATUS_OK;
    if (!is_committed && row->decision_offset < 0) {
        row->state = JOINT_STATE_ABORTING;
        status = edit_mark(request, row, err);
    }
    row->state = is_committed ? JOINT_STATE_COMMITTED : JOINT_STATE_ABORTED;
    return status == STATUS_OK ? edit_mark(request, row, err) : status;
}

enum status joint_edit_release(const struct joint_request *request, struct joint_kept *kept,
                               struct error *err)
{
    static const struct joint_types none = {.count = 0};
    static const char reason[] = "released by an operator: nothing of it was made here, whatever "
                                 "the log says";
    struct store *store = request->store;
    enum status status = edit_find(request, kept, err);
    if (status != STATUS_OK)
        return status;
    if (joint_state_is_settled(kept->row.state) || kept->row.state == JOINT_STATE_PROPOSED)
        return edit_refuse(kept, "there is nothing to release", err);
    if (!request->diverges)
        return edit_refuse(kept,
                           "released without its changes it would differ from what the other "
                           "services have made. Where the joint topic is lost, or the changes were "
                           "made by hand, add --diverge",
                           err);
    const struct joint_part part = {.name = kept->row.name,
                                    .proposal_offset = kept->row.proposal_offset};
    bool is_committed = false;
    (void)joint_view_is_decided(&kept->row, &is_committed);
    status = store->ops->joint->prepare(store, &none, err);
    if (status == STATUS_OK)
        status = store->ops->joint->settle(store, &part, err);
    kept->row.reason = slice_of(reason);
    if (status == STATUS_OK)
        status = edit_end(request, &kept->row, is_committed, err);
    if (status == STATUS_OK)
        fprintf(stderr, "it is released: this service may differ from the others now\n");
    return status;
}

enum status joint_edit_adopt(const struct joint_request *request, struct joint_kept *kept,
                             struct error *err)
{
    (void)kept;
    struct joint_history history;
    const struct joint_ops *ops = request->store->ops->joint;
    enum status status = ops->history(request->store, &history, err);
    if (status != STATUS_OK)
        return status;
    if (history.end == 0 || history.made) {
        err->exit_code = EX_DATAERR;
        return error_set(err, STATUS_FATAL, "there is nothing to adopt: %s",
                         history.made
                             ? "that was done before"
                             : "this database has read the joint topic from its beginning");
    }
    history.made = true;
    status = ops->set_history(request->store, &history, err);
    if (status == STATUS_OK)
        fprintf(stderr,
                "nothing that was decided before offset %" PRId64 " of the joint topic is made "
                "here; start the sidecar again\n",
                history.end);
    return status;
}

static enum status edit_once(const struct joint_request *request, joint_edit *edit,
                             struct error *err)
{
    struct store *store = request->store;
    struct joint_kept kept = {0};
    struct partition_state state = {0};
    arena_init(&kept.arena, EDIT_ROW_BYTES);
    enum status status = store->ops->read(store, request->config->joint_topic, 0, &state, err);
    const struct fence fence = {.topic = request->config->joint_topic,
                                .old_offset = state.next_offset,
                                .new_offset = state.next_offset,
                                .epoch = state.epoch,
                                .revision = state.revision,
                                .revise = true,
                                .anchor_offset = -1};
    if (status == STATUS_OK && !state.exists)
        status = joint_edit_no_row(request, err);
    if (status == STATUS_OK)
        status = store->ops->begin(store, &fence, 1, err);
    if (status == STATUS_OK)
        status = edit(request, &kept, err);
    if (status == STATUS_OK)
        status = store->ops->commit(store, true, err);
    if (status != STATUS_OK)
        store->ops->rollback(store);
    partition_state_done(&state);
    arena_done(&kept.arena);
    return status;
}

enum status joint_edit_do(const struct joint_request *request, joint_edit *edit, struct error *err)
{
    int64_t until = clock_monotonic_us() + EDIT_PATIENCE_US;
    enum status status = edit_once(request, edit, err);
    while ((status == STATUS_RETRY || status == STATUS_ABORT) && !err->connection_lost &&
           !error_is_config(err) && clock_monotonic_us() < until) {
        error_clear(err);
        clock_sleep_us(EDIT_PAUSE_US);
        status = edit_once(request, edit, err);
    }
    return status;
}
