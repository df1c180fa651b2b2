/* A view is made aside and then put in the place of the one before, so that the page never waits.
 */
#include "operate/page/fleet.h"

#include "common/clock.h"
#include "operate/member.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FLEET_BYTES_MAX ((size_t)16 * 1024 * 1024)
#define FLEET_ENDS_US   (INT64_C(5) * 1000 * 1000) /* between two questions where the logs end */
#define FLEET_SILENT_S  30.0                       /* a sidecar that runs reports each 10 s */
#define FLEET_EVERY_FEW 3 /* intervals of verify.every_s, after which a comparison is old */
#define FLEET_VERIFIED_S                                                                           \
    (24.0 * 3600) /* where they are short, or nobody compares by itself; as the alert has it */

/* A record lists the first parked ones of a partition, and no more. */
struct parked_total {
    int64_t count;
    bool is_minimum; /* there may be more */
};

/* One instance of a service. */
struct fleet_service {
    const char *service;
    const char *copy;
    const char *instance;
    int64_t seen_us;
    const char *stopped; /* NULL: it is not */
    double lag_s;        /* below 0: not known */
    int64_t pending;     /* -1: not known */
    int64_t set_aside;
    struct parked_total parked;
};

/* One copy of a type, or a publisher that keeps none. */
struct fleet_copy {
    const char *service;
    const char *copy;
    const char *state;
    const char *stopped; /* why; NULL: it is not */
    int64_t lag_records; /* -1: not known */
    double lag_s;
    int64_t durable_behind;
    struct parked_total parked;  /* -1: not known */
    double retention_s;          /* until retention overtakes it; below 0: not in sight */
    int64_t paused_at_us;        /* 0: it is not paused */
    struct verdict_copy verdict; /* of its texts only the state is used */
    bool is_compared;            /* somebody has said something of it */
    bool counts;
};

struct fleet_type {
    const char *entity_type;
    const char *topic;
    const char *publisher; /* NULL: none is known */
    size_t members;
    size_t majority;
    struct fleet_copy *copies;
    size_t copy_count;
    int64_t *ends; /* -1: not known */
    int32_t partition_count;
    struct quorum quorum; /* for refusal_find(): without what that does not read */
};

/* All of it is in the arena. */
struct fleet_view {
    struct arena arena;
    int64_t at_us; /* wall clock */
    struct fleet_service *services;
    size_t service_count;
    struct fleet_type *types;
    size_t type_count;
    bool failed; /* there was no memory */
};

static void *view_array(struct fleet_view *view, size_t count, size_t size)
{
    void *array = arena_alloc(&view->arena, (count + 1) * size);
    view->failed = view->failed || array == NULL;
    return array;
}

static const char *view_text(struct fleet_view *view, const char *text)
{
    struct slice copy = arena_copy(&view->arena, slice_of(text));
    view->failed = view->failed || copy.data == NULL;
    return copy.data == NULL ? "" : copy.data;
}

static struct parked_total parked_listed(const struct member_record *record, const char *topic)
{
    struct parked_total total = {.is_minimum = record->parked_count == MEMBER_PARKED_MAX};
    for (size_t i = 0; i < record->parked_count; i++) {
        const struct member_parked *parked = &record->parked[i];
        if (topic != NULL && strcmp(parked->topic, topic) != 0)
            continue;
        total.count += parked->total > 0 ? parked->total : (int64_t)parked->count;
        total.is_minimum = total.is_minimum ||
                           (parked->count == MEMBER_PARKED_LISTED && parked->total == 0);
    }
    return total;
}

static void view_add_service(struct fleet_view *view, const struct member_record *record)
{
    struct fleet_service *service = &view->services[view->service_count++];
    *service = (struct fleet_service){.service = view_text(view, record->service),
                                      .copy = view_text(view, record->copy),
                                      .instance = view_text(view, record->instance),
                                      .seen_us = record->at_us,
                                      .lag_s = record->applied_count == 0 ? -1 : 0,
                                      .pending = record->waiting,
                                      .set_aside = record->set_aside,
                                      .parked = parked_listed(record, NULL)};
    for (size_t i = 0; i < record->applied_count; i++) {
        const struct member_applied *applied = &record->applied[i];
        double lag_s = applied->lag_ms < 0 ? -1 : (double)applied->lag_ms / 1e3;
        if (service->lag_s >= 0 && (lag_s < 0 || lag_s > service->lag_s))
            service->lag_s = lag_s;
        if (applied->state == MEMBER_STOPPED && service->stopped == NULL)
            service->stopped = view_text(view, applied->reason);
    }
}

static const char *find_publisher(const struct members *members, const struct members_type *type)
{
    const char *publisher = NULL;
    for (size_t i = 0; i < members->count; i++) {
        const struct member_record *record = &members->items[i]->record;
        bool is_member = members->items[i]->read.kind == MEMBER_KEY_MEMBER;
        for (size_t j = 0; is_member && j < record->published_count; j++) {
            if (strcmp(record->published[j].entity_type, type->entity_type) == 0 &&
                strcmp(record->published[j].topic, type->topic) == 0 &&
                (publisher == NULL || strcmp(record->service, publisher) < 0))
                publisher = record->service;
        }
    }
    return publisher;
}

/* @return how many records of a type's log a copy does not have, by `offset_of` its positions; -1
 * where that is not known of a partition. */
static int64_t copy_behind(const struct fleet_type *type, const struct quorum *quorum,
                           size_t member, bool durable)
{
    int64_t behind = 0;
    for (int32_t i = 0; i < type->partition_count; i++) {
        const struct quorum_position *position = quorum_position(quorum, member, i);
        int64_t offset = durable ? position->durable : position->applied;
        if (type->ends[i] < 0 || offset < 0)
            return -1;
        behind += type->ends[i] > offset ? type->ends[i] - offset : 0;
    }
    return behind;
}

static const char *copy_state(const struct member_applied *applied)
{
    if (applied == NULL)
        return "complete"; /* a publisher has its own rows */
    switch (applied->state) {
    case MEMBER_FILLING:
        return "filling";
    case MEMBER_STOPPED:
        return "stopped";
    case MEMBER_COMPLETE:
        return "complete";
    case MEMBER_STARTING:
    case MEMBER_PARTIAL:
        break;
    }
    return "incomplete";
}

static struct parked_total copy_parked(const struct quorum_member *member, const char *topic)
{
    return member->record == NULL ? (struct parked_total){.count = -1}
                                  : parked_listed(member->record, topic);
}

static void view_add_copy(struct fleet_view *view, struct fleet_type *type,
                          const struct quorum *quorum, size_t index,
                          const struct members_seen *seen)
{
    const struct quorum_member *member = &quorum->members[index];
    const struct members_type of = {quorum->entity_type, quorum->topic};
    struct fleet_copy *copy = &type->copies[type->copy_count++];
    const struct member_applied *applied = member->applied;
    double left_s = retention_watch_left(seen->watch, quorum, index).left_s;
    bool is_stopped = applied != NULL && applied->state == MEMBER_STOPPED;
    *copy = (struct fleet_copy){
        .service = view_text(view, member->service),
        .copy = view_text(view, member->copy),
        .state = copy_state(applied),
        .stopped = is_stopped ? view_text(view, applied->reason) : NULL,
        .retention_s = isnan(left_s) ? -1 : left_s,
        .lag_records = applied == NULL ? -1 : copy_behind(type, quorum, index, false),
        .lag_s = applied == NULL || applied->lag_ms < 0 ? -1 : (double)applied->lag_ms / 1e3,
        .durable_behind = applied == NULL ? -1 : copy_behind(type, quorum, index, true),
        .parked = copy_parked(member, quorum->topic),
        .paused_at_us = quorum_paused_at_us(quorum, member),
        .counts = member->counts};
    const struct verdict_copy *verdict = verdict_find(members_verdict(seen->members, &of),
                                                      member->service, member->copy);
    copy->is_compared = verdict != NULL;
    if (verdict != NULL)
        copy->verdict = *verdict;
}

/* The quorum itself points into records that change. */
static void view_keep_quorum(struct fleet_view *view, struct fleet_type *type,
                             const struct quorum *quorum)
{
    static const struct member_applied applied = {0};
    size_t count = quorum->member_count * (size_t)quorum->partition_count;
    struct quorum_member *members = view_array(view, quorum->member_count, sizeof *members);
    struct quorum_position *positions = view_array(view, count, sizeof *positions);
    for (size_t i = 0; members != NULL && i < quorum->member_count; i++) {
        members[i].service = view_text(view, quorum->members[i].service);
        members[i].copy = view_text(view, quorum->members[i].copy);
        members[i].applied = quorum->members[i].applied == NULL ? NULL : &applied;
    }
    for (size_t i = 0; positions != NULL && i < count; i++) {
        positions[i] = quorum->positions[i];
        if (positions[i].parked == NULL)
            continue;
        struct member_parked *parked = view_array(view, 1, sizeof *parked);
        if (parked != NULL)
            *parked = *quorum->positions[i].parked;
        positions[i].parked = parked;
    }
    type->quorum = (struct quorum){.members = members,
                                   .member_count = quorum->member_count,
                                   .partition_count = quorum->partition_count,
                                   .positions = positions};
}

static void view_ask_ends(struct fleet_view *view, struct fleet_type *type,
                          struct control_topic *topic)
{
    struct error ignored = ERROR_INIT;
    type->ends = view_array(view, (size_t)type->partition_count, sizeof *type->ends);
    for (int32_t i = 0; type->ends != NULL && i < type->partition_count; i++) {
        if (control_topic_log_end(topic, (struct topic_partition){type->topic, i}, &type->ends[i],
                                  &ignored) != STATUS_OK)
            type->ends[i] = -1;
        error_clear(&ignored);
    }
}

static enum status view_add_type(struct fleet_view *view, const struct members_seen *seen,
                                 const struct members_type *of, struct error *err)
{
    const struct members *members = seen->members;
    struct fleet_type *type = &view->types[view->type_count++];
    struct quorum quorum;
    enum status status = members_quorum(members, of, &quorum, err);
    if (status == STATUS_OK) {
        const char *publisher = find_publisher(members, of);
        type->entity_type = view_text(view, of->entity_type);
        type->topic = view_text(view, of->topic);
        type->publisher = publisher == NULL ? NULL : view_text(view, publisher);
        type->members = quorum.counting;
        type->majority = quorum.majority;
        type->partition_count = quorum.partition_count;
        type->copies = view_array(view, quorum.member_count, sizeof *type->copies);
        view_keep_quorum(view, type, &quorum);
        view_ask_ends(view, type, seen->topic);
    }
    for (size_t i = 0; status == STATUS_OK && !view->failed && i < quorum.member_count; i++)
        view_add_copy(view, type, &quorum, i, seen);
    quorum_done(&quorum);
    return status;
}

static void view_free(struct fleet_view *view)
{
    if (view == NULL)
        return;
    arena_done(&view->arena);
    free(view);
}

/* @return NULL without memory. */
static struct fleet_view *view_new(const struct members_seen *seen)
{
    const struct members *members = seen->members;
    struct error ignored = ERROR_INIT;
    struct members_type *types = NULL;
    size_t count = 0;
    struct fleet_view *view = calloc(1, sizeof *view);
    if (view == NULL)
        return NULL;
    arena_init(&view->arena, FLEET_BYTES_MAX);
    view->at_us = clock_wall_us();
    enum status status = members_types(members, &types, &count, &ignored);
    view->services = view_array(view, members->count, sizeof *view->services);
    view->types = view_array(view, count, sizeof *view->types);
    for (size_t i = 0; !view->failed && i < members->count; i++) {
        if (members->items[i]->read.kind == MEMBER_KEY_MEMBER)
            view_add_service(view, &members->items[i]->record);
    }
    for (size_t i = 0; status == STATUS_OK && !view->failed && i < count; i++)
        status = view_add_type(view, seen, &types[i], &ignored);
    free(types);
    if (status == STATUS_OK && !view->failed)
        return view;
    view_free(view);
    return NULL;
}

void fleet_write(struct fleet *fleet, const struct members_seen *seen)
{
    int64_t now_us = clock_monotonic_us();
    (void)pthread_mutex_lock(&fleet->lock);
    bool is_due = fleet->read_us == 0 || now_us - fleet->read_us >= FLEET_ENDS_US;
    (void)pthread_mutex_unlock(&fleet->lock);
    struct fleet_view *view = is_due ? view_new(seen) : NULL;
    if (view == NULL)
        return;
    (void)pthread_mutex_lock(&fleet->lock);
    struct fleet_view *old = fleet->view;
    fleet->view = view;
    fleet->read_us = now_us;
    (void)pthread_mutex_unlock(&fleet->lock);
    view_free(old);
}

static struct slice id_or_null(const char *copy)
{
    return strcmp(copy, MEMBER_NONE) == 0 ? (struct slice){0} : slice_of(copy);
}

static void append_parked(const struct parked_total *parked, struct buffer *out)
{
    member_known_number(out, "parked", parked->count);
    member_bool(out, "parked_is_minimum", parked->is_minimum);
}

static void append_service(const struct fleet_service *service, int64_t now_us, struct buffer *out)
{
    double seen_s = now_us > service->seen_us ? (double)(now_us - service->seen_us) / 1e6 : 0;
    member_begin(out, NULL, "{");
    member_text(out, "service", slice_of(service->service));
    member_text(out, "copy_id", id_or_null(service->copy));
    member_text(out, "instance", slice_of(service->instance));
    member_seconds(out, "seen_s", seen_s);
    member_bool(out, "silent", seen_s > FLEET_SILENT_S);
    member_text(out, "stopped", slice_of(service->stopped));
    member_seconds(out, "lag_s", service->lag_s);
    member_known_number(out, "waiting", service->pending);
    member_known_number(out, "set_aside", service->set_aside);
    append_parked(&service->parked, out);
    buffer_append_text(out, "}");
}

/* A later comparison that had to leave the copy out says that nobody knows now. A difference that
 * was found stays until it is found gone. */
static const char *copy_verdict(const struct fleet_copy *copy)
{
    if (!copy->is_compared)
        return "unknown";
    if (copy->verdict.state != VERDICT_DIFFERENT &&
        copy->verdict.skipped_at_us > copy->verdict.at_us)
        return "not_compared";
    return copy->verdict.state == VERDICT_NONE ? "unknown"
                                               : verdict_state_name(copy->verdict.state);
}

static void append_copy(const struct fleet_copy *copy, struct buffer *out)
{
    const struct verdict_copy *verdict = &copy->verdict;
    bool has_rows = verdict->state == VERDICT_EQUAL || verdict->state == VERDICT_DIFFERENT;
    member_begin(out, NULL, "{");
    member_text(out, "service", slice_of(copy->service));
    member_text(out, "copy_id", id_or_null(copy->copy));
    member_text(out, "state", slice_of(copy->state));
    member_text(out, "stopped", slice_of(copy->stopped));
    member_known_number(out, "lag_records", copy->lag_records);
    member_seconds(out, "lag_s", copy->lag_s);
    member_known_number(out, "durable_lag_records", copy->durable_behind);
    append_parked(&copy->parked, out);
    member_seconds(out, "retention_overtakes_s", copy->retention_s);
    member_time(out, "paused_since", copy->paused_at_us);
    member_text(out, "verdict", slice_of(copy_verdict(copy)));
    member_time(out, "equal_since", verdict->equal_since_us);
    member_time(out, "verified_at", verdict->at_us);
    member_known_number(out, "differs", has_rows ? verdict->differs : -1);
    member_known_number(out, "missing", has_rows ? verdict->missing : -1);
    member_known_number(out, "extra", has_rows ? verdict->extra : -1);
    member_known_number(out, "left_out", has_rows ? verdict->left_out : -1);
    buffer_append_text(out, "}");
}

static void append_type(const struct fleet_type *type, struct buffer *out)
{
    member_begin(out, NULL, "{");
    member_text(out, "entity_type", slice_of(type->entity_type));
    member_text(out, "topic", slice_of(type->topic));
    member_text(out, "publisher", slice_of(type->publisher));
    member_number(out, "members", (int64_t)type->members);
    member_number(out, "quorum", (int64_t)type->majority);
    member_begin(out, "copies", "[");
    for (size_t i = 0; i < type->copy_count; i++)
        append_copy(&type->copies[i], out);
    buffer_append_text(out, "]}");
}

void fleet_append(struct fleet *fleet, struct buffer *out)
{
    static const struct fleet_view nothing = {0};
    int64_t now_us = clock_wall_us();
    (void)pthread_mutex_lock(&fleet->lock);
    const struct fleet_view *view = fleet->view == NULL ? &nothing : fleet->view;
    member_begin(out, NULL, "{");
    member_time(out, "read_at", view->at_us);
    member_begin(out, "services", "[");
    for (size_t i = 0; i < view->service_count; i++)
        append_service(&view->services[i], now_us, out);
    buffer_append_text(out, "]");
    member_begin(out, "types", "[");
    for (size_t i = 0; i < view->type_count; i++)
        append_type(&view->types[i], out);
    buffer_append_text(out, "]}\n");
    (void)pthread_mutex_unlock(&fleet->lock);
}

bool fleet_refusal(struct fleet *fleet, const struct parked_record *parked, const char *service,
                   const char *copy, struct refusal *ret_refusal)
{
    bool is_known = false;
    (void)pthread_mutex_lock(&fleet->lock);
    for (size_t i = 0; fleet->view != NULL && !is_known && i < fleet->view->type_count; i++) {
        const struct fleet_type *type = &fleet->view->types[i];
        /* A record that cannot be read has no type; it concerns all copies of the topic alike. */
        is_known = strcmp(type->topic, parked->record.topic) == 0 &&
                   (parked->entity_type.length == 0 ||
                    slice_is(parked->entity_type, type->entity_type));
        if (is_known)
            *ret_refusal = refusal_of_copy(&type->quorum, service, copy, &parked->record);
    }
    (void)pthread_mutex_unlock(&fleet->lock);
    return is_known;
}

/* The equal copy whose comparison is the oldest. */
struct oldest {
    const char *type; /* NULL: none */
    const char *service;
};

/* The first copy that is different is named, or else the first that was not compared, or else the
 * oldest one. */
static void note_copy(const struct fleet_type *type, const struct fleet_copy *copy, int64_t now_us,
                      struct page_fleet_facts *facts, struct oldest *oldest)
{
    const char *verdict = copy_verdict(copy);
    bool is_different = strcmp(verdict, "different") == 0;
    bool is_equal = strcmp(verdict, "equal") == 0 || strcmp(verdict, "reference") == 0;
    double age_s = (double)(now_us - copy->verdict.at_us) / 1e6;
    facts->copies++;
    if (is_different ? facts->different == 0 : !is_equal && facts->type == NULL) {
        facts->type = type->entity_type;
        facts->service = copy->service;
    }
    facts->different += is_different;
    facts->equal += is_equal;
    facts->unverified += !is_different && !is_equal;
    if (!is_equal || age_s <= facts->verified_s)
        return;
    facts->verified_s = age_s;
    *oldest = (struct oldest){type->entity_type, copy->service};
}

/* Its agent may not run, or not read the topic: then only the control topic knows. */
static void note_retention(const struct fleet_type *type, const struct fleet_copy *copy,
                           const struct config *config, struct page_fleet_facts *facts)
{
    if (copy->retention_s < 0 || strcmp(copy->service, config->service) != 0 ||
        (facts->retention_s >= 0 && facts->retention_s <= copy->retention_s))
        return;
    for (size_t i = 0; i < config->apply_count; i++) {
        if (strcmp(config->apply[i].topic, type->topic) != 0)
            continue;
        facts->retention_s = copy->retention_s;
        facts->retention_topic = config->apply[i].topic;
    }
}

static double fleet_verified_limit_s(const struct config *config)
{
    double some_s = FLEET_EVERY_FEW * (double)config->verify_every_s;
    return some_s > FLEET_VERIFIED_S ? some_s : FLEET_VERIFIED_S;
}

void fleet_facts(struct fleet *fleet, const struct config *config,
                 struct page_fleet_facts *ret_facts, char type[static FLEET_NAME_SIZE],
                 char service[static FLEET_NAME_SIZE])
{
    int64_t now_us = clock_wall_us();
    struct page_fleet_facts facts = {.is_wanted = config->control_topic[0] != '\0',
                                     .read_s = -1,
                                     .verified_s = -1,
                                     .verified_limit_s = fleet_verified_limit_s(config),
                                     .retention_s = -1};
    struct oldest oldest = {0};
    (void)pthread_mutex_lock(&fleet->lock);
    const struct fleet_view *view = fleet->view;
    if (view != NULL)
        facts.read_s = (double)(clock_monotonic_us() - fleet->read_us) / 1e6;
    for (size_t i = 0; view != NULL && i < view->type_count; i++) {
        const struct fleet_type *of = &view->types[i];
        const struct members_type name = {of->entity_type, of->topic};
        bool is_own = members_type_is_own(&name, config);
        for (size_t j = 0; is_own && j < of->copy_count; j++) {
            note_retention(of, &of->copies[j], config, &facts);
            if (of->members > 1 && of->copies[j].counts)
                note_copy(of, &of->copies[j], now_us, &facts, &oldest);
        }
    }
    if (facts.type == NULL) {
        facts.type = oldest.type;
        facts.service = oldest.service;
    }
    (void)snprintf(type, FLEET_NAME_SIZE, "%s", facts.type == NULL ? "" : facts.type);
    (void)snprintf(service, FLEET_NAME_SIZE, "%s", facts.service == NULL ? "" : facts.service);
    (void)pthread_mutex_unlock(&fleet->lock);
    facts.type = facts.type == NULL ? NULL : type;
    facts.service = facts.service == NULL ? NULL : service;
    *ret_facts = facts;
}
