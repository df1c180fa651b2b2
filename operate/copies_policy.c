/* Shows and writes the policy of a type. */
#include "operate/copies_policy.h"

#include "operate/command.h"
#include "operate/member.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>

#define POLICY_BYTES_MAX ((size_t)1024 * 1024)
#define POLICY_NAME_MAX  512 /* bytes of a member's name */

/* What was asked for, and what is known of it. */
struct policy_work {
    struct control *control;
    const struct config *config;
    const struct policy_request *request;
    struct arena arena; /* of the wanted policy */
    struct member_policy wanted;
    struct buffer text;
    struct buffer json;
};

static enum status policy_refuse(struct error *err, const char *type, struct slice name,
                                 const char *what)
{
    err->exit_code = EX_USAGE;
    return error_set(err, STATUS_FATAL, "%s: %.*s %s", type, SLICE_ARGS(name), what);
}

static bool policy_is_called(const struct quorum_member *member, struct slice name)
{
    const char *slash = memchr(name.data, '/', name.length);
    struct slice service = {name.data, slash == NULL ? name.length : (size_t)(slash - name.data)};
    if (!slice_is(service, member->service))
        return false;
    return slash == NULL ||
           slice_is((struct slice){slash + 1, name.length - service.length - 1}, member->copy);
}

/* A policy names a copy by its id, so that a new copy of the service does not count by itself. */
static enum status policy_resolve(struct policy_work *work, const struct quorum *quorum,
                                  struct slice name, struct error *err)
{
    const char *type = work->request->entity_type;
    const struct quorum_member *found = NULL;
    bool has_copy = memchr(name.data, '/', name.length) != NULL;
    for (size_t i = 0; i < quorum->member_count; i++) {
        if (!policy_is_called(&quorum->members[i], name) || quorum->members[i].record == NULL)
            continue;
        if (found != NULL)
            return policy_refuse(err, type, name,
                                 "has several copies: name one as `keepstep copies` shows it");
        found = &quorum->members[i];
    }
    if (found == NULL && !has_copy)
        return policy_refuse(err, type, name,
                             "is nobody's name here: name a copy that has not reported yet as "
                             "SERVICE/COPY");
    bool is_copy = found != NULL && strcmp(found->copy, MEMBER_NONE) != 0;
    char text[POLICY_NAME_MAX];
    (void)snprintf(text, sizeof text, "%.*s%s%s", SLICE_ARGS(name), is_copy && !has_copy ? "/" : "",
                   is_copy && !has_copy ? found->copy : "");
    for (size_t i = 0; i < work->wanted.count; i++) {
        if (strcmp(work->wanted.members[i], text) == 0)
            return policy_refuse(err, type, name, "is named twice");
    }
    struct slice copy = arena_copy(&work->arena, slice_of(text));
    if (copy.data == NULL)
        return error_set(err, STATUS_FATAL, "out of memory");
    work->wanted.members[work->wanted.count++] = copy.data;
    return STATUS_OK;
}

static enum status policy_read_names(struct policy_work *work, const struct quorum *quorum,
                                     struct error *err)
{
    const char *rest = work->request->members;
    enum status status = STATUS_OK;
    while (status == STATUS_OK && rest != NULL) {
        const char *comma = strchr(rest, ',');
        struct slice name = {rest, comma == NULL ? strlen(rest) : (size_t)(comma - rest)};
        if (name.length == 0 || name.length > POLICY_NAME_MAX / 2 ||
            work->wanted.count == MEMBER_TYPES_MAX)
            return policy_refuse(err, work->request->entity_type, name,
                                 "cannot be a member: --members wants names with commas between "
                                 "them");
        status = policy_resolve(work, quorum, name, err);
        rest = comma == NULL ? NULL : comma + 1;
    }
    return status;
}

static void policy_describe(const struct quorum *quorum, const char *label,
                            struct policy_work *work)
{
    struct buffer *text = &work->text;
    struct buffer *json = &work->json;
    buffer_append_format(text, "%-10s %zu member%s", label, quorum->counting,
                         quorum->counting == 1 ? "" : "s");
    if (quorum->majority > 0)
        buffer_append_format(text, ", %zu make%s a quorum", quorum->majority,
                             quorum->majority == 1 ? "s" : "");
    member_number(json, "members", (int64_t)quorum->counting);
    member_number(json, "quorum", (int64_t)quorum->majority);
    member_begin(json, "counting", "[");
    const char *separator = ": ";
    for (size_t i = 0; i < quorum->member_count; i++) {
        const struct quorum_member *member = &quorum->members[i];
        bool is_copy = strcmp(member->copy, MEMBER_NONE) != 0;
        char name[POLICY_NAME_MAX];
        if (!member->counts)
            continue;
        (void)snprintf(name, sizeof name, "%s%s%s", member->service, is_copy ? "/" : "",
                       is_copy ? member->copy : "");
        buffer_append_format(text, "%s%s%s", separator, name,
                             member->record == NULL ? " (never seen)" : "");
        member_text(json, NULL, slice_of(name));
        separator = ", ";
    }
    buffer_append_text(text, "\n");
    buffer_append_text(json, "]");
}

static void policy_append_offset(int64_t offset, struct buffer *out)
{
    if (offset == QUORUM_LOG_END)
        buffer_append_text(out, "the log's end");
    else if (offset < 0)
        buffer_append_text(out, "nothing");
    else
        buffer_append_format(out, "%" PRId64, offset);
}

/* Only the partitions whose watermark changes. */
static void policy_describe_offsets(const struct quorum *before, const struct quorum *after,
                                    struct buffer *text)
{
    int32_t count = before->partition_count > after->partition_count ? before->partition_count
                                                                     : after->partition_count;
    for (int32_t i = 0; i < count; i++) {
        int64_t old = quorum_offset(before, i);
        int64_t new = quorum_offset(after, i);
        if (old == new)
            continue;
        buffer_append_format(text, "  p%-8" PRId32 " a quorum holds ", i);
        policy_append_offset(old, text);
        buffer_append_text(text, ", then ");
        policy_append_offset(new, text);
        buffer_append_text(text, "\n");
    }
}

static bool policy_changes(const struct policy_request *request)
{
    return request->members != NULL || request->clear;
}

/* Of one topic of the type: who counts now, and who would. */
static enum status policy_compare(struct policy_work *work, const struct members_type *type,
                                  struct error *err)
{
    const struct members *members = &work->control->members;
    struct quorum before;
    struct quorum after = {0};
    enum status status = members_quorum(members, type, &before, err);
    if (status == STATUS_OK && work->wanted.count == 0)
        status = policy_read_names(work, &before, err);
    if (status == STATUS_OK && policy_changes(work->request))
        status = members_quorum_under(members, type, work->request->clear ? NULL : &work->wanted,
                                      &after, err);
    if (status == STATUS_OK) {
        bool has_policy = members_policy(members, type->entity_type) != NULL;
        buffer_append_format(&work->text, "%s, topic %s: %s\n", type->entity_type, type->topic,
                             has_policy ? "a policy says who counts" : "who has joined counts");
        member_begin(&work->json, NULL, "{");
        member_text(&work->json, "entity_type", slice_of(type->entity_type));
        member_text(&work->json, "topic", slice_of(type->topic));
        member_bool(&work->json, "policy", has_policy);
        policy_describe(&before, "now", work);
        if (policy_changes(work->request)) {
            member_begin(&work->json, "then", "{");
            policy_describe(&after, "then", work);
            policy_describe_offsets(&before, &after, &work->text);
            buffer_append_text(&work->json, "}");
        }
        buffer_append_text(&work->json, "}");
    }
    quorum_done(&before);
    quorum_done(&after);
    return status;
}

static enum status policy_write(struct policy_work *work, struct error *err)
{
    struct buffer key;
    struct buffer value;
    enum status status = STATUS_OK;
    buffer_init(&key, MEMBER_KEY_MAX);
    buffer_init(&value, MEMBER_RECORD_BYTES_MAX);
    buffer_append_format(&key, "policy/%s", work->request->entity_type);
    member_policy_append(&work->wanted, &value);
    if (key.failed || value.failed)
        status = error_set(err, STATUS_FATAL, "the policy is too large for a record");
    else
        status = control_topic_write(
            work->control->topic, buffer_slice(&key),
            work->request->clear ? (struct slice){0} : buffer_slice(&value), err);
    buffer_done(&key);
    buffer_done(&value);
    return status;
}

static enum status policy_do(struct policy_work *work, const struct members_type *types,
                             size_t count, struct error *err)
{
    const struct policy_request *request = work->request;
    enum status status = STATUS_OK;
    size_t known = 0;
    member_begin(&work->json, NULL, "[");
    for (size_t i = 0; status == STATUS_OK && i < count; i++) {
        if (strcmp(types[i].entity_type, request->entity_type) != 0)
            continue;
        known++;
        status = policy_compare(work, &types[i], err);
    }
    buffer_append_text(&work->json, "]\n");
    if (status == STATUS_OK && known == 0)
        return policy_refuse(err, request->entity_type, slice_of("it"),
                             "is no type that a service has reported: `keepstep copies` shows "
                             "them");
    if (status == STATUS_OK && policy_changes(request) && !request->dry_run)
        status = policy_write(work, err);
    return status;
}

enum status copies_policy(struct control *control, const struct config *config,
                          const struct policy_request *request, struct error *err)
{
    const char *names[MEMBER_TYPES_MAX];
    struct policy_work work = {
        .control = control, .config = config, .request = request, .wanted.members = names};
    struct members_type *types = NULL;
    size_t count = 0;
    arena_init(&work.arena, POLICY_BYTES_MAX);
    buffer_init(&work.text, POLICY_BYTES_MAX);
    buffer_init(&work.json, POLICY_BYTES_MAX);
    enum status status = members_types(&control->members, &types, &count, err);
    if (status == STATUS_OK)
        status = policy_do(&work, types, count, err);
    if (status == STATUS_OK) {
        buffer_append_format(&work.text, "%s as of record %" PRId64 " of %s\n",
                             !policy_changes(request) ? "Shown"
                             : request->dry_run       ? "Nothing is changed,"
                             : request->clear         ? "The policy is cleared,"
                                                      : "The policy is written,",
                             control->members.end, config->control_topic);
        command_print(request->json ? &work.json : &work.text, request->json);
    }
    free(types);
    arena_done(&work.arena);
    buffer_done(&work.text);
    buffer_done(&work.json);
    return status;
}
