/* Prints joint transactions: for people in columns, for programs as JSON. */
#include "operate/joint_view.h"

#include "common/clock.h"
#include "operate/member.h"
#include "schemas/joint_decide.h"

#define VIEW_ARENA_BYTES ((size_t)4 * 1024 * 1024)
#define VIEW_TEXT_MAX    ((size_t)256 * 1024)
#define US_OF_A_SECOND   1e6

bool joint_view_is_decided(const struct joint_row *row, bool *ret_committed)
{
    *ret_committed = row->state == JOINT_STATE_COMMITTING || row->state == JOINT_STATE_COMMITTED ||
                     row->state == JOINT_STATE_HELD;
    return *ret_committed || row->state == JOINT_STATE_ABORTING ||
           row->state == JOINT_STATE_ABORTED;
}

/* "u stock {"sku":"A1"}", …: what is asked of this service. */
static enum status view_changes(const struct joint_row *row, const char *service,
                                struct buffer *out, struct error *err)
{
    struct arena arena;
    struct joint_proposal proposal;
    size_t count = 0;
    if (row->changes.length == 0)
        return STATUS_OK;
    arena_init(&arena, VIEW_ARENA_BYTES);
    enum status status = joint_changes_read(row->changes, &arena, &proposal, err);
    for (size_t i = 0; status == STATUS_OK && i < proposal.change_count; i++) {
        const struct joint_change *change = &proposal.changes[i];
        if (slice_is(change->service, service))
            buffer_append_format(out, "%s%s %.*s %.*s", count++ == 0 ? "" : ", ",
                                 joint_operation_name(change->operation),
                                 SLICE_ARGS(change->entity_type), SLICE_ARGS(change->key));
    }
    arena_done(&arena);
    return status == STATUS_REJECT ? (err->status = STATUS_FATAL) : status;
}

/* "shop yes, web -" */
static enum status view_votes(const struct joint_row *row, struct buffer *out, struct error *err)
{
    static const char *const names[] = {
        [JOINT_NO_VOTE] = "-", [JOINT_YES] = "yes", [JOINT_NO] = "no"};
    struct joint_tally tally = {0};
    if (row->votes.length == 0)
        return STATUS_OK;
    enum status status = joint_ballots_read(row->votes, &tally, err);
    for (size_t i = 0; status == STATUS_OK && i < tally.ballot_count; i++)
        buffer_append_format(out, "%s%s %s", i == 0 ? "" : ", ", tally.ballots[i].service,
                             names[tally.ballots[i].vote]);
    return status;
}

/* Since the agent has read it, as its timeout counts: the time at which a service wrote it is one
 * of its database's clock, which may be a day from this one (rule 68). */
static double view_age_s(const struct joint_row *row)
{
    int64_t age_us = row->read_at_us == 0 ? 0 : clock_wall_us() - row->read_at_us;
    return age_us < 0 ? 0 : (double)age_us / US_OF_A_SECOND;
}

static void view_json(const struct joint_row *row, struct buffer *out)
{
    member_begin(out, NULL, "{");
    member_text(out, "joint_id", row->name.id);
    member_text(out, "proposer", row->name.proposer);
    member_text(out, "state", slice_of(joint_state_name(row->state)));
    member_text(out, "reason", row->reason);
    member_time(out, "created_at", row->created_at_us);
    member_time(out, "read_at", row->read_at_us);
    member_time(out, "decided_at", row->decided_at_us);
    member_number(out, "timeout_ms", row->timeout_ms);
    member_known_number(out, "proposal_offset", row->proposal_offset);
    member_known_number(out, "decision_offset", row->decision_offset);
    member_bool(out, "withdrawn", row->withdrawn);
    member_bool(out, "late", row->late);
    member_json(out, "votes", row->votes, "[]");
    member_json(out, "changes", row->changes, "[]");
    buffer_append_text(out, "}\n");
}

void joint_view_header(struct buffer *out)
{
    buffer_append_format(out, "%-20s %-12s %-10s %8s  %s\n", "ID", "PROPOSER", "STATE", "AGE",
                         "CHANGES HERE; VOTES; REASON");
}

enum status joint_view_line(const struct joint_row *row, const char *service, bool json,
                            struct buffer *out, struct error *err)
{
    if (json) {
        view_json(row, out);
        return STATUS_OK;
    }
    buffer_append_format(out, "%-20.*s %-12.*s %-10s %7.1fs  ", SLICE_ARGS(row->name.id),
                         SLICE_ARGS(row->name.proposer), joint_state_name(row->state),
                         view_age_s(row));
    enum status status = view_changes(row, service, out, err);
    buffer_append_text(out, "; ");
    if (status == STATUS_OK)
        status = view_votes(row, out, err);
    buffer_append_format(out, "; %.*s\n", SLICE_ARGS(row->reason));
    return status;
}

static void view_time(const char *name, int64_t time_us, struct buffer *out)
{
    char text[CLOCK_TEXT_SIZE];
    if (time_us == 0)
        return;
    clock_format_utc(time_us, text);
    buffer_append_format(out, "%-12s %s\n", name, text);
}

enum status joint_view_whole(const struct joint_row *row, const char *service, bool json,
                             struct buffer *out, struct error *err)
{
    struct buffer texts;
    if (json) {
        view_json(row, out);
        return STATUS_OK;
    }
    buffer_init(&texts, VIEW_TEXT_MAX);
    buffer_append_format(out, "%-12s %.*s\n%-12s %.*s\n%-12s %s\n%-12s %.*s\n", "id",
                         SLICE_ARGS(row->name.id), "proposer", SLICE_ARGS(row->name.proposer),
                         "state", joint_state_name(row->state), "reason", SLICE_ARGS(row->reason));
    view_time("created at", row->created_at_us, out);
    view_time("read at", row->read_at_us, out);
    view_time("decided at", row->decided_at_us, out);
    enum status status = view_votes(row, &texts, err);
    buffer_append_format(out, "%-12s %s\n", "votes", buffer_text(&texts));
    buffer_reset(&texts);
    if (status == STATUS_OK)
        status = view_changes(row, service, &texts, err);
    buffer_append_format(out, "%-12s %s\n%-12s %.*s\n", "here", buffer_text(&texts), "changes",
                         SLICE_ARGS(row->changes));
    buffer_done(&texts);
    return status;
}
