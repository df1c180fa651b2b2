/* One look at whether a token's events have arrived. */
#include "common/utf8.h"
#include "operate/member.h"
#include "operate/wait/internal.h"

#include <stdio.h>
#include <stdlib.h>

enum status wait_view_open(const struct service *service, const atomic_bool *stop,
                           struct wait_view **ret_view, struct error *err)
{
    struct wait_view *view = calloc(1, sizeof *view);
    if (view == NULL)
        return error_set(err, STATUS_RETRY, "out of memory");
    view->service = service;
    view->stop = stop;
    members_init(&view->members);
    *ret_view = view;
    return STATUS_OK;
}

static void view_forget(struct wait_view *view)
{
    if (view->store != NULL)
        view->store->ops->close(view->store);
    if (view->outbox != NULL)
        view->outbox->ops->close(view->outbox);
    control_topic_close(view->topic);
    members_done(&view->members);
    members_init(&view->members);
    view->store = NULL;
    view->outbox = NULL;
    view->topic = NULL;
}

void wait_view_close(struct wait_view *view)
{
    if (view == NULL)
        return;
    view_forget(view);
    members_done(&view->members);
    free(view);
}

enum status wait_view_store(struct wait_view *view, struct error *err)
{
    return view->store == NULL ? service_open_store(view->service, true, &view->store, err)
                               : STATUS_OK;
}

enum status wait_view_outbox(struct wait_view *view, struct error *err)
{
    return view->outbox == NULL ? service_open_outbox(view->service, true, &view->outbox, err)
                                : STATUS_OK;
}

enum status wait_view_members(struct wait_view *view, struct error *err)
{
    const struct config *config = view->service->config;
    if (config->control_topic[0] == '\0')
        return error_set(error_config(err), STATUS_FATAL,
                         "%s: control_topic: is empty, so that only --at %s can be answered",
                         config->path, config->service);
    enum status status = STATUS_OK;
    if (view->topic == NULL) {
        struct control_options options = members_control(config, view->group, sizeof view->group);
        options.stop = view->stop;
        status = control_topic_open(&options, &view->topic, err);
        if (status == STATUS_OK)
            status = control_topic_check(view->topic, err);
    }
    if (status == STATUS_OK)
        status = members_read(&view->members, view->topic, err);
    /* Whoever starts first makes it; it may be made anew. */
    if ((status == STATUS_STOP || status == STATUS_ABORT) && err != NULL)
        err->status = status = STATUS_RETRY;
    return status;
}

/* Name the first type of the token's topics that an operator has paused here. */
static void name_paused(struct wait_view *view, const struct wait_goal *goal,
                        struct wait_state *state)
{
    struct paused_types paused = {0};
    struct error ignored = ERROR_INIT;
    const struct paused_type *found = NULL;
    const struct config *config = view->service->config;
    if (view->store == NULL ||
        view->store->ops->list_paused(view->store, &paused, &ignored) != STATUS_OK)
        return;
    for (size_t i = 0; found == NULL && i < goal->token.count; i++)
        found = paused_find_topic(&paused, config->apply, config->apply_count,
                                  goal->token.places[i].topic);
    if (found != NULL) {
        char since[PAUSED_TEXT_SIZE];
        size_t length = strlen(state->reason);
        paused_describe(found, since);
        utf8_format(state->reason + length, sizeof state->reason - length, ": %s is paused here %s",
                    found->entity_type, since);
    }
    paused_types_done(&paused);
}

/* The origin had its own rows at commit, whether it reads them back or not. Of an earlier
 * incarnation it may have lost them. */
static enum status look_here(struct wait_view *view, const struct wait_goal *goal,
                             struct wait_state *state, struct error *err)
{
    enum token_verdict verdict = TOKEN_UNKNOWN;
    bool is_ours = false;
    const char *here = view->service->config->service;
    enum status status = wait_view_store(view, err);
    if (status == STATUS_OK)
        status = view->store->ops->applied(view->store, goal->text, &verdict, err);
    if (status == STATUS_OK && verdict == TOKEN_UNKNOWN)
        status = wait_goal_is_ours(view, goal, &is_ours, err);
    if (status != STATUS_OK)
        return status;
    if (is_ours)
        verdict = TOKEN_APPLIED;
    state->fulfilled = verdict == TOKEN_APPLIED;
    if (verdict == TOKEN_UNKNOWN)
        utf8_format(state->reason, sizeof state->reason,
                    "%s has never seen %s in one of the token's topics", here, goal->token.source);
    else if (verdict == TOKEN_WAITS)
        utf8_format(state->reason, sizeof state->reason,
                    "%s has not applied all of it, or is not complete", here);
    if (!state->fulfilled)
        name_paused(view, goal, state);
    return STATUS_OK;
}

static bool is_placed(const struct wait_goal *goal)
{
    for (size_t i = 0; i < goal->token.count; i++) {
        if (goal->offsets[i] < 0)
            return false;
    }
    return true;
}

static enum status look_elsewhere(struct wait_view *view, struct wait_goal *goal,
                                  struct wait_state *state, struct error *err)
{
    enum status status = is_placed(goal) ? STATUS_OK : wait_goal_place(view, goal, err);
    if (status == STATUS_OK)
        status = wait_view_members(view, err);
    if (status != STATUS_OK)
        return status;
    state->control_offset = view->members.end;
    if (is_placed(goal))
        return wait_goal_holders(&view->members, goal, state, err);
    utf8_format(state->reason, sizeof state->reason, "%s does not know where the log has all of it",
                view->service->config->service);
    name_paused(view, goal, state);
    return STATUS_OK;
}

enum status wait_look(struct wait_view *view, struct wait_goal *goal, struct wait_state *ret_state,
                      struct error *err)
{
    const char *here = view->service->config->service;
    bool is_here = goal->scope == WAIT_HERE ||
                   (goal->scope == WAIT_SERVICE && strcmp(goal->at, here) == 0);
    *ret_state = (struct wait_state){.control_offset = -1};
    enum status status = is_here ? look_here(view, goal, ret_state, err)
                                 : look_elsewhere(view, goal, ret_state, err);
    if (status != STATUS_OK)
        view_forget(view);
    return status;
}

void wait_append_state(struct buffer *out, const struct wait_state *state)
{
    bool has_reason = state->reason[0] != '\0';
    member_begin(out, NULL, "{");
    member_text(out, "state", slice_of(state->fulfilled ? "fulfilled" : "unknown"));
    member_text(out, "reason", has_reason ? slice_of(state->reason) : (struct slice){0});
    member_known_number(out, "control_offset", state->control_offset);
    buffer_append_text(out, "}\n");
}
