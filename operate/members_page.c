/* The metrics of the members, one after the other, each with all its values. */
#include "operate/members_page.h"

#include "operate/metrics.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#define MEMBERS_PAGE_MAX ((size_t)8 * 1024 * 1024)

/* Of what the values are written. */
struct members_view {
    const char *service; /* whose page it is */
    const struct members *members;
    struct control_topic *topic;
    const struct retention_watch *watch;
    const struct quorum *quorums;
    const struct verdict_record **verdicts; /* parallel; NULL: nobody has compared the type */
    size_t count;
    struct buffer *text;
};

static void view_label(const struct members_view *view, const char *before, const char *value)
{
    buffer_append_text(view->text, before);
    metrics_append_label(view->text, value);
}

static void view_type(const struct members_view *view, const char *name,
                      const struct quorum *quorum)
{
    buffer_append_text(view->text, name);
    metrics_append_service(view->text, view->service);
    view_label(view, ",type=\"", quorum->entity_type);
    view_label(view, "\",topic=\"", quorum->topic);
}

static void view_members(const struct members_view *view, const char *name)
{
    for (size_t i = 0; i < view->count; i++) {
        view_type(view, name, &view->quorums[i]);
        buffer_append_format(view->text, "\"} %zu\n", view->quorums[i].counting);
    }
}

static void view_quorum(const struct members_view *view, const char *name)
{
    struct error ignored = ERROR_INIT;
    for (size_t i = 0; i < view->count; i++) {
        const struct quorum *quorum = &view->quorums[i];
        for (int32_t j = 0; j < quorum->partition_count; j++) {
            int64_t offset = quorum_offset(quorum, j);
            if (offset == QUORUM_LOG_END &&
                control_topic_log_end(view->topic, (struct topic_partition){quorum->topic, j},
                                      &offset, &ignored) != STATUS_OK)
                return; /* the broker does not answer: the values are not known */
            if (offset < 0)
                continue;
            view_type(view, name, quorum);
            buffer_append_format(view->text, "\",partition=\"%" PRId32 "\"} %" PRId64 "\n", j,
                                 offset);
        }
    }
}

static void view_durable(const struct members_view *view, const char *name)
{
    for (size_t i = 0; i < view->count; i++) {
        const struct quorum *quorum = &view->quorums[i];
        for (size_t j = 0; j < quorum->member_count; j++) {
            for (int32_t k = 0; k < quorum->partition_count; k++) {
                int64_t durable = quorum_position(quorum, j, k)->durable;
                if (durable < 0)
                    continue;
                view_type(view, name, quorum);
                buffer_append_format(view->text, "\",partition=\"%" PRId32, k);
                view_label(view, "\",copy=\"", quorum->members[j].service);
                view_label(view, "/", quorum->members[j].copy);
                buffer_append_format(view->text, "\"} %" PRId64 "\n", durable);
            }
        }
    }
}

static void view_retention(const struct members_view *view, const char *name)
{
    for (size_t i = 0; i < view->count; i++) {
        const struct quorum *quorum = &view->quorums[i];
        for (size_t j = 0; j < quorum->member_count; j++) {
            double left_s = retention_watch_left(view->watch, quorum, j).left_s;
            if (isnan(left_s))
                continue;
            view_type(view, name, quorum);
            view_label(view, "\",copy=\"", quorum->members[j].service);
            view_label(view, "/", quorum->members[j].copy);
            buffer_append_format(view->text, "\"} %.3f\n", left_s);
        }
    }
}

/* Several instances may write of one copy: the latest record counts. */
static void view_seen(const struct members_view *view, const char *name)
{
    const struct members *members = view->members;
    for (size_t i = 0; i < members->count; i++) {
        const struct member_record *record = &members->items[i]->record;
        bool is_latest = members->items[i]->read.kind == MEMBER_KEY_MEMBER;
        for (size_t j = 0; is_latest && j < members->count; j++) {
            const struct member_record *other = &members->items[j]->record;
            is_latest = j == i || members->items[j]->read.kind != MEMBER_KEY_MEMBER ||
                        strcmp(other->service, record->service) != 0 ||
                        strcmp(other->copy, record->copy) != 0 || other->at_us < record->at_us ||
                        (other->at_us == record->at_us && j > i);
        }
        if (!is_latest)
            continue;
        buffer_append_text(view->text, name);
        metrics_append_service(view->text, view->service);
        view_label(view, ",copy=\"", record->service);
        view_label(view, "/", record->copy);
        buffer_append_format(view->text, "\"} %.6f\n", (double)record->at_us / 1e6);
    }
}

/* Call `append` for each member of each type that somebody compares. */
static void view_verdicts(const struct members_view *view, const char *name,
                          void (*append)(const struct members_view *view, const char *name,
                                         size_t type, const struct quorum_member *member))
{
    for (size_t i = 0; i < view->count; i++) {
        for (size_t j = 0; view->verdicts[i] != NULL && j < view->quorums[i].member_count; j++)
            append(view, name, i, &view->quorums[i].members[j]);
    }
}

static const struct verdict_copy *view_verdict(const struct members_view *view, size_t type,
                                               const struct quorum_member *member)
{
    return verdict_find(view->verdicts[type], member->service, member->copy);
}

static void view_copy(const struct members_view *view, const char *name, size_t type,
                      const struct quorum_member *member)
{
    view_type(view, name, &view->quorums[type]);
    view_label(view, "\",copy=\"", member->service);
    view_label(view, "/", member->copy);
    buffer_append_text(view->text, "\"");
}

static void view_copy_rows(const struct members_view *view, const char *name, size_t type,
                           const struct quorum_member *member)
{
    const struct verdict_copy *copy = view_verdict(view, type, member);
    if (copy == NULL || (copy->state != VERDICT_EQUAL && copy->state != VERDICT_DIFFERENT))
        return;
    int64_t equal = copy->rows - copy->differs - copy->missing;
    const struct {
        const char *result;
        int64_t rows;
    } values[] = {{"equal", equal < 0 ? 0 : equal},
                  {"different", copy->differs},
                  {"missing", copy->missing},
                  {"extra", copy->extra},
                  {"left_out", copy->left_out}};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        view_copy(view, name, type, member);
        buffer_append_format(view->text, ",result=\"%s\"} %" PRId64 "\n", values[i].result,
                             values[i].rows);
    }
}

static void view_copy_time(const struct members_view *view, const char *name, size_t type,
                           const struct quorum_member *member, int64_t time_us)
{
    view_copy(view, name, type, member);
    buffer_append_format(view->text, "} %.6f\n", (double)time_us / 1e6);
}

static void view_copy_since(const struct members_view *view, const char *name, size_t type,
                            const struct quorum_member *member)
{
    const struct verdict_copy *copy = view_verdict(view, type, member);
    if (copy != NULL && copy->equal_since_us != 0)
        view_copy_time(view, name, type, member, copy->equal_since_us);
}

static void view_copy_equal(const struct members_view *view, const char *name, size_t type,
                            const struct quorum_member *member)
{
    const struct verdict_copy *copy = view_verdict(view, type, member);
    if (copy != NULL && copy->equal_at_us != 0)
        view_copy_time(view, name, type, member, copy->equal_at_us);
}

static void view_copy_repaired(const struct members_view *view, const char *name, size_t type,
                               const struct quorum_member *member)
{
    const struct verdict_copy *copy = view_verdict(view, type, member);
    view_copy(view, name, type, member);
    buffer_append_format(view->text, "} %" PRId64 "\n", copy == NULL ? 0 : copy->repaired);
}

/* A publisher without `table:` cannot be compared. */
static bool view_has_rows(const struct quorum *quorum, const struct quorum_member *member)
{
    for (size_t i = 0;
         member->record != NULL && member->applied == NULL && i < member->record->published_count;
         i++) {
        const struct member_published *published = &member->record->published[i];
        if (strcmp(published->entity_type, quorum->entity_type) == 0 &&
            strcmp(published->topic, quorum->topic) == 0)
            return !published->has_no_rows;
    }
    return true;
}

/* @return whether somebody has compared the type, or could. */
static bool view_is_comparable(const struct members_view *view, size_t type)
{
    const struct quorum *quorum = &view->quorums[type];
    size_t count = 0;
    for (size_t i = 0; i < quorum->member_count; i++)
        count += quorum->members[i].counts && view_has_rows(quorum, &quorum->members[i]);
    return view->verdicts[type] != NULL || count > 1;
}

/* A member that was never compared has the time 0, so that an alert sees it. */
static void view_copy_last(const struct members_view *view, const char *name, size_t type,
                           const struct quorum_member *member)
{
    const struct verdict_copy *copy = view_verdict(view, type, member);
    view_copy_time(view, name, type, member, copy == NULL ? 0 : copy->at_us);
}

static void view_verify_rows(const struct members_view *view, const char *name)
{
    view_verdicts(view, name, view_copy_rows);
}

static void view_repaired(const struct members_view *view, const char *name)
{
    view_verdicts(view, name, view_copy_repaired);
}

static void view_verify_since(const struct members_view *view, const char *name)
{
    view_verdicts(view, name, view_copy_since);
}

static void view_verify_equal(const struct members_view *view, const char *name)
{
    view_verdicts(view, name, view_copy_equal);
}

static void view_verify_last(const struct members_view *view, const char *name)
{
    for (size_t i = 0; i < view->count; i++) {
        const struct quorum *quorum = &view->quorums[i];
        for (size_t j = 0; view_is_comparable(view, i) && j < quorum->member_count; j++) {
            if (view->verdicts[i] != NULL || view_has_rows(quorum, &quorum->members[j]))
                view_copy_last(view, name, i, &quorum->members[j]);
        }
    }
}

static void view_verify_seconds(const struct members_view *view, const char *name)
{
    for (size_t i = 0; i < view->count; i++) {
        if (view->verdicts[i] == NULL || view->verdicts[i]->at_us == 0)
            continue;
        view_type(view, name, &view->quorums[i]);
        buffer_append_format(view->text, "\"} %.3f\n",
                             (double)view->verdicts[i]->duration_ms / 1e3);
    }
}

static const struct members_metric {
    const char *name;
    const char *labels;
    const char *help;
    void (*append)(const struct members_view *view, const char *name);
} members_metrics[] = {
    {"keepstep_members", "`type`, `topic`",
     "Copies and publishers of an entity type that count for its quorum.", view_members},
    {"keepstep_quorum_offset", "`type`, `topic`, `partition`",
     "Offset up to which more than half of the members hold the partition on their disks.",
     view_quorum},
    {"keepstep_member_durable_offset", "`type`, `topic`, `partition`, `copy`",
     "Next offset after what a copy has on its disk, as it reported.", view_durable},
    {"keepstep_member_seen_timestamp_seconds", "`copy`", "When a service last reported.",
     view_seen},
    {"keepstep_copy_retention_overtakes_seconds", "`type`, `topic`, `copy`",
     "Until the topic's retention may delete what a copy has not applied, about, by the position "
     "that it reported last; 0 when that may happen now. Absent when it is not in sight.",
     view_retention},
    {"keepstep_verify_rows", "`type`, `topic`, `copy`, `result`",
     "Rows of a copy at the last verify that compared all of it: equal, different, missing, extra "
     "(only there), left_out (they change all the time, or are parked).",
     view_verify_rows},
    {"keepstep_verify_equal_since_timestamp_seconds", "`type`, `topic`, `copy`",
     "Since when each verify has found the copy equal; missing while it is not.",
     view_verify_since},
    {"keepstep_verify_last_equal_timestamp_seconds", "`type`, `topic`, `copy`",
     "When a verify last found the copy equal.", view_verify_equal},
    {"keepstep_verify_last_timestamp_seconds", "`type`, `topic`, `copy`",
     "When the copy was last compared, or the others with it; 0: never.", view_verify_last},
    {"keepstep_verify_seconds", "`type`, `topic`", "How long the last verify of the type took.",
     view_verify_seconds},
    {"keepstep_repaired_rows_total", "`type`, `topic`, `copy`",
     "Rows that `keepstep repair` has written or deleted at a copy; at a publisher, those that it "
     "has published anew.",
     view_repaired},
};
#define MEMBERS_METRICS (sizeof members_metrics / sizeof *members_metrics)

/* A counter has its own ending, as Prometheus wants it. */
static const char *metric_kind(const struct members_metric *metric)
{
    static const char total[] = "_total";
    size_t length = strlen(metric->name);
    return strcmp(metric->name + length - (sizeof total - 1), total) == 0 ? "counter" : "gauge";
}

static void members_page_render(const struct members_view *view)
{
    for (size_t i = 0; i < MEMBERS_METRICS; i++) {
        const struct members_metric *metric = &members_metrics[i];
        buffer_append_format(view->text, "# HELP %s %s\n# TYPE %s %s\n", metric->name, metric->help,
                             metric->name, metric_kind(metric));
        metric->append(view, metric->name);
    }
}

static void members_page_show(struct members_page *page, const struct buffer *text)
{
    char *shown = text->failed ? NULL : strdup(buffer_text(text));
    (void)pthread_mutex_lock(&page->lock);
    char *old = page->text;
    page->text = shown;
    (void)pthread_mutex_unlock(&page->lock);
    free(old);
}

void members_page_write(struct members_page *page, const char *service,
                        const struct members_seen *seen)
{
    const struct members *members = seen->members;
    struct error ignored = ERROR_INIT;
    struct members_type *types = NULL;
    size_t count = 0;
    size_t made = 0;
    struct buffer text;
    buffer_init(&text, MEMBERS_PAGE_MAX);
    enum status status = members_types(members, &types, &count, &ignored);
    struct quorum *quorums = calloc(count + 1, sizeof *quorums);
    const struct verdict_record **verdicts = calloc(count + 1, sizeof(struct verdict_record *));
    if (quorums == NULL || verdicts == NULL)
        status = STATUS_RETRY;
    while (status == STATUS_OK && made < count) {
        verdicts[made] = members_verdict(members, &types[made]);
        status = members_quorum(members, &types[made], &quorums[made], &ignored);
        made++;
    }
    const struct members_view view = {service, members,  seen->topic, seen->watch,
                                      quorums, verdicts, count,       &text};
    if (status == STATUS_OK)
        members_page_render(&view);
    members_page_show(page, &text);
    for (size_t i = 0; i < made; i++)
        quorum_done(&quorums[i]);
    free(quorums);
    free(verdicts);
    free(types);
    buffer_done(&text);
}

void members_page_append(struct members_page *page, struct buffer *text)
{
    (void)pthread_mutex_lock(&page->lock);
    if (page->text != NULL)
        buffer_append_text(text, page->text);
    (void)pthread_mutex_unlock(&page->lock);
}

void members_page_describe(struct buffer *text)
{
    for (size_t i = 0; i < MEMBERS_METRICS; i++)
        buffer_append_format(text, "| `%s` | %s | desk | `service`, %s | %s |\n",
                             members_metrics[i].name, metric_kind(&members_metrics[i]),
                             members_metrics[i].labels, members_metrics[i].help);
}
