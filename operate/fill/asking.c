/* Chooses a desk and writes the question. The answer is the stream itself, in the rows topic; only
 * who cannot even begin one answers in the talk topic. */
#include "operate/fill/asking.h"

#include "common/clock.h"
#include "common/utf8.h"
#include "operate/compare/asker.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ASKING_SILENT_US   (INT64_C(60) * 1000 * 1000)
#define ASKING_HEAR_US     (INT64_C(2) * 1000 * 1000)
#define ASKING_HEAR_MS     100
#define ASKING_ARENA_MAX   ((size_t)16 * 1024 * 1024)
#define ASKING_RANK_COPY   0
#define ASKING_RANK_ORIGIN 1
#define ASKING_RANK_BOTH   2
#define ASKING_RANK_SILENT 10 /* is added */

static bool asking_is_wanted(const struct config_entry *entry, const struct fill_wish *wish)
{
    return strcmp(entry->topic, wish->topic) == 0;
}

static const struct member_applied *asking_copy(const struct member_record *record,
                                                const struct config_entry *entry)
{
    for (size_t i = 0; i < record->applied_count; i++) {
        if (strcmp(record->applied[i].entity_type, entry->entity_type) == 0)
            return &record->applied[i];
    }
    return NULL;
}

static bool asking_has_copy(const struct member_record *record, const struct config_entry *entry)
{
    const struct member_applied *copy = asking_copy(record, entry);
    return copy != NULL && strcmp(copy->topic, entry->topic) == 0 && copy->state == MEMBER_COMPLETE;
}

/* Its table is the source only where it keeps no copy of the type. Of other types it may. */
static bool asking_only_publishes(const struct member_record *record,
                                  const struct config_entry *entry)
{
    bool publishes = false;
    for (size_t i = 0; i < record->published_count; i++) {
        if (strcmp(record->published[i].entity_type, entry->entity_type) == 0)
            publishes = strcmp(record->published[i].topic, entry->topic) == 0;
    }
    return publishes && asking_copy(record, entry) == NULL;
}

/* @return -1: it has not all the rows. */
static int asking_rank(const struct config *config, const struct member_record *record,
                       const struct fill_wish *wish)
{
    bool is_copy = true;
    bool is_publisher = true;
    for (size_t i = 0; i < config->apply_count; i++) {
        if (!asking_is_wanted(&config->apply[i], wish))
            continue;
        is_copy = is_copy && asking_has_copy(record, &config->apply[i]);
        is_publisher = is_publisher && asking_only_publishes(record, &config->apply[i]);
    }
    if (is_copy)
        return record->published_count == 0 ? ASKING_RANK_COPY : ASKING_RANK_BOTH;
    return is_publisher ? ASKING_RANK_ORIGIN : -1;
}

static int64_t asking_applied(const struct member_record *record, const char *topic)
{
    int64_t applied = 0;
    for (size_t i = 0; i < record->position_count; i++) {
        if (strcmp(record->positions[i].topic, topic) == 0)
            applied += record->positions[i].applied;
    }
    return applied;
}

static int asking_compare(const void *a, const void *b)
{
    const struct fill_candidate *one = a;
    const struct fill_candidate *other = b;
    if (one->rank != other->rank)
        return one->rank < other->rank ? -1 : 1;
    if (one->applied != other->applied)
        return one->applied > other->applied ? -1 : 1;
    return strcmp(one->record->service, other->record->service);
}

/* Of a copy with several instances the one that was heard last. */
static void asking_add(struct fill_candidate *candidates, size_t *count,
                       const struct fill_candidate *added)
{
    for (size_t i = 0; i < *count; i++) {
        const struct member_record *known = candidates[i].record;
        if (strcmp(known->service, added->record->service) != 0 ||
            strcmp(known->copy, added->record->copy) != 0)
            continue;
        if (known->at_us < added->record->at_us)
            candidates[i] = *added;
        return;
    }
    if (*count < FILL_CANDIDATES_MAX)
        candidates[(*count)++] = *added;
}

size_t fill_candidates_find(const struct service *service, const struct members *members,
                            const struct fill_wish *wish, int64_t now_us,
                            struct fill_candidate ret_candidates[static FILL_CANDIDATES_MAX])
{
    size_t count = 0;
    for (size_t i = 0; i < members->count; i++) {
        const struct members_item *item = members->items[i];
        const struct member_record *record = &item->record;
        if (item->read.kind != MEMBER_KEY_MEMBER ||
            strcmp(record->service, service->config->service) == 0 ||
            (wish->source[0] != '\0' && strcmp(record->service, wish->source) != 0))
            continue;
        struct fill_candidate found = {.record = record,
                                       .rank = asking_rank(service->config, record, wish),
                                       .applied = asking_applied(record, wish->topic)};
        if (found.rank < 0)
            continue;
        found.rank += now_us - record->at_us > ASKING_SILENT_US ? ASKING_RANK_SILENT : 0;
        asking_add(ret_candidates, &count, &found);
    }
    qsort(ret_candidates, count, sizeof *ret_candidates, asking_compare);
    return count;
}

static enum status asking_types(const struct service *service, const struct fill_wish *wish,
                                struct arena *arena, struct talk_question *question,
                                struct error *err)
{
    const struct config *config = service->config;
    struct talk_type *types = arena_alloc(arena, (config->apply_count + 1) * sizeof *types);
    enum status status = types == NULL ? error_set(err, STATUS_RETRY, "no memory for a question")
                                       : STATUS_OK;
    question->types = types;
    for (size_t i = 0; status == STATUS_OK && i < config->apply_count; i++) {
        if (!asking_is_wanted(&config->apply[i], wish))
            continue;
        struct talk_type *type = &types[question->type_count++];
        type->entity_type = config->apply[i].entity_type;
        status = talk_columns_of(service->applied[i], arena, &type->columns, err);
    }
    return status;
}

struct asking_answer {
    struct asker_session session;
    bool is_refused;
    char why[ERROR_TEXT_SIZE];
};

static void asking_take(struct asker_session *session, const struct talk_message *message)
{
    struct asking_answer *answer = session->context;
    if (message->kind != TALK_ANSWER || message->answer.why == NULL)
        return;
    answer->is_refused = true;
    utf8_format(answer->why, sizeof answer->why, "%s", message->answer.why);
}

static void asking_refuse(struct asker_session *session, const char *why)
{
    struct asking_answer *answer = session->context;
    answer->is_refused = true;
    utf8_format(answer->why, sizeof answer->why, "its answer cannot be read: %s", why);
}

/* Who has something to say against it says so soon. */
static enum status asking_write(struct asker *asker, const struct talk_question *question,
                                struct error *err)
{
    struct asking_answer answer = {.session = {.take = asking_take, .refuse = asking_refuse}};
    int64_t until_us = clock_monotonic_us() + ASKING_HEAR_US;
    answer.session.context = &answer;
    (void)snprintf(answer.session.id, sizeof answer.session.id, "%s", question->id);
    asker_add(asker, &answer.session);
    enum status status = asker_join(asker, NULL, err);
    if (status == STATUS_OK)
        status = asker_write(asker, question, err);
    while (status == STATUS_OK && !answer.is_refused && clock_monotonic_us() < until_us &&
           !atomic_load(asker_options_of(asker)->stop))
        status = asker_hear(asker, ASKING_HEAR_MS, err);
    asker_remove(asker, &answer.session);
    if (status == STATUS_OK && answer.is_refused)
        status = error_set(err, STATUS_REJECT, "%s", answer.why);
    return status;
}

static enum status asking_ask(const struct service *service, const struct fill_wish *wish,
                              const char *desk, const atomic_bool *stop, struct error *err)
{
    const struct asker_options options = {.config = service->config, .stop = stop};
    struct talk_question question = {.ask = TALK_FILL,
                                     .id = wish->id,
                                     .number = 1,
                                     .to = desk,
                                     .from = service->config->service,
                                     .topic = wish->topic,
                                     .target = service->config->service};
    struct asker *asker = NULL;
    struct arena arena;
    arena_init(&arena, ASKING_ARENA_MAX);
    enum status status = asking_types(service, wish, &arena, &question, err);
    if (status == STATUS_OK)
        status = asker_open(&options, &asker, err);
    if (status == STATUS_OK)
        status = asking_write(asker, &question, err);
    asker_close(asker);
    arena_done(&arena);
    return status;
}

void fill_asking_tend(const struct service *service, const struct members *members,
                      struct fill_wishes *wishes, const atomic_bool *stop)
{
    struct fill_candidate candidates[FILL_CANDIDATES_MAX];
    struct fill_wish wish;
    struct error err = ERROR_INIT;
    struct buffer desk;
    if (!fill_wishes_take(wishes, &wish))
        return;
    buffer_init(&desk, FILL_WISH_NAME_SIZE - 1);
    size_t count = fill_candidates_find(service, members, &wish, clock_wall_us(), candidates);
    enum status status = STATUS_OK;
    if (count == 0) {
        status = error_set(
            &err, STATUS_REJECT,
            "no service has told in the control topic that it has all rows of %s%s%s", wish.topic,
            wish.source[0] == '\0' ? "" : ": not ", wish.source);
    } else {
        const struct member_record *record = candidates[wish.turn % count].record;
        talk_desk_append(record->service, record->copy, record->instance, &desk);
        status = asking_ask(service, &wish, buffer_text(&desk), stop, &err);
        if (status != STATUS_OK)
            error_prefix(&err, "%s", record->service);
    }
    fill_wishes_answer(wishes, &wish, status == STATUS_OK ? buffer_text(&desk) : "", err.text);
    buffer_done(&desk);
}
