/* Fills a topic's copy with the rows of another, as one of the agent's steps (rules 38 and 42): the
 * agent that owns partition 0 lets somebody be asked, reads the stream from the rows topic, and
 * pushes it into the loader, a transaction in each round. An attempt that comes to nothing is
 * followed by another one. */
#include "consumer/agent/loading.h"

#include "common/clock.h"
#include "common/log.h"
#include "common/utf8.h"
#include "common/uuid.h"
#include "consumer/agent/fill_wish.h"
#include "consumer/fill/loader.h"
#include "consumer/feed/rows_reader.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOADING_ANSWER_US    (INT64_C(15) * 1000 * 1000) /* for the begin of whoever was asked */
#define LOADING_SILENCE_US   (INT64_C(30) * 1000 * 1000) /* a source that waits says so each 10 s */
#define LOADING_ROUND_US     (INT64_C(20) * 1000)        /* of reading, before others get a turn */
#define LOADING_PAUSE_US     (INT64_C(1) * 1000 * 1000)
#define LOADING_PAUSE_MAX_US (INT64_C(15) * 1000 * 1000)
#define LOADING_DATABASE_US  (INT64_C(500) * 1000)
#define LOADING_ARENA_MAX    ((size_t)16 * 1024 * 1024)

enum loading_state {
    LOADING_RESTS, /* the next attempt begins at next_us */
    LOADING_ASKS,  /* somebody is asked; no part has come yet */
    LOADING_READS, /* the begin was read */
    LOADING_ENDS,  /* given up; that is still to be written down */
    LOADING_OVER,  /* given up, until somebody asks anew */
};

struct agent_loading {
    struct agent_loading *next; /* of another topic, which rests or is over */
    const char *topic;
    enum loading_state state;
    struct fill_loader *loader;
    struct rows_reader_options reader_options;
    struct rows_reader *reader;
    char id[UUID_TEXT_SIZE];
    char source[FILL_SOURCE_SIZE]; /* whom to ask; "": whoever suits best */
    char known_id[FILL_ID_SIZE];   /* of the fill that it has seen stored, or has written */
    bool has_written;              /* agent->fills does not say so yet */
    unsigned turn;                 /* how many were asked in vain */
    int64_t next_us;               /* monotonic, like the others */
    int64_t pause_us;
    int64_t heard_us; /* when the last part came, or somebody was asked */
    bool is_flowing;  /* the last round has read something */
    char said[ERROR_TEXT_SIZE];
    char why[ERROR_TEXT_SIZE]; /* it was given up */
    struct arena arena;        /* of one part */
};

static const struct config_entry *loading_entry(const struct agent *agent, const char *topic)
{
    for (size_t i = 0; i < agent->mapping_count; i++) {
        if (strcmp(agent->mappings[i].entry->topic, topic) == 0)
            return agent->mappings[i].entry;
    }
    return NULL;
}

static void loading_say(struct agent_loading *loading, const char *text)
{
    if (strcmp(loading->said, text) == 0)
        return;
    log_info("agent", "%s waits to be filled: %s", loading->topic, text);
    utf8_format(loading->said, sizeof loading->said, "%s", text);
}

static void loading_stop_reading(struct agent *agent, struct agent_loading *loading)
{
    if (loading->reader != NULL) /* else the wish is another topic's */
        fill_wishes_tell(agent->wishes, NULL);
    rows_reader_close(loading->reader);
    loading->reader = NULL;
    loading->is_flowing = false;
}

static void loading_drop(struct agent *agent, struct agent_loading **place)
{
    struct agent_loading *loading = *place;
    *place = loading->next;
    loading_stop_reading(agent, loading);
    fill_loader_free(loading->loader);
    arena_done(&loading->arena);
    free(loading);
}

void agent_drop_loading(struct agent *agent)
{
    while (agent->loading != NULL)
        loading_drop(agent, &agent->loading);
}

bool agent_is_loading(const struct agent *agent)
{
    return agent->loading != NULL && agent->loading->is_flowing;
}

static enum status loading_new(struct agent *agent, const char *topic, struct error *err)
{
    const struct fill_state *fill = fill_find(agent->fills, agent->fill_count, topic);
    const struct config_entry *entry = loading_entry(agent, topic);
    const struct fill_loader_options options = {.ops = agent->ops,
                                                .config = agent->config,
                                                .mappings = agent->mappings,
                                                .mapping_count = agent->mapping_count,
                                                .topic = topic};
    const char *source = entry->fill_from == NULL ? "" : entry->fill_from;
    struct agent_loading *loading = calloc(1, sizeof *loading);
    if (loading == NULL)
        return error_set(err, STATUS_FATAL, "no memory for a fill");
    if (fill != NULL && fill->stage == FILL_ASKED && fill->rows_offset == 0 &&
        fill->source[0] != '\0')
        source = fill->source; /* `keepstep fill --from`; not who was asked in vain before */
    if (fill != NULL)
        memcpy(loading->known_id, fill->id, sizeof loading->known_id);
    loading->topic = topic;
    loading->pause_us = LOADING_PAUSE_US;
    (void)snprintf(loading->source, sizeof loading->source, "%s", source);
    arena_init(&loading->arena, LOADING_ARENA_MAX);
    loading->next = agent->loading;
    agent->loading = loading;
    return fill_loader_new(&options, &loading->loader, err);
}

/* Nobody goes on with it before somebody asks anew. */
static void loading_give_up(struct agent *agent, const char *why)
{
    struct agent_loading *loading = agent->loading;
    loading_stop_reading(agent, loading);
    loading->state = LOADING_ENDS;
    utf8_format(loading->why, sizeof loading->why, "%s", why);
    log_error("agent", "%s is not filled: %s. Mend the cause, then: `keepstep fill %s`",
              loading->topic, why, loading_entry(agent, loading->topic)->entity_type);
}

/* Before that is written down, only the log knows of it. Whoever has asked meanwhile is heard. */
static enum status loading_end(struct agent_loading *loading, struct error *err)
{
    struct fill_state fill = {0};
    enum status status = fill_loader_give_up(loading->loader, loading->id, loading->known_id,
                                             loading->why, err);
    if (status == STATUS_OK)
        status = fill_loader_read(loading->loader, &fill, err);
    if (status == STATUS_OK)
        memcpy(loading->known_id, fill.id, sizeof loading->known_id);
    if (status == STATUS_RETRY)
        return status;
    loading->state = LOADING_OVER;
    loading->has_written = true;
    if (status == STATUS_FATAL)
        log_error("agent", "%s: that its fill was given up could not be written down: %s",
                  loading->topic, err->text);
    error_clear(err);
    return STATUS_OK;
}

/* The next attempt asks somebody else, after a while. */
static void loading_rest(struct agent *agent, const char *why)
{
    struct agent_loading *loading = agent->loading;
    loading_stop_reading(agent, loading);
    loading_say(loading, why);
    loading->state = LOADING_RESTS;
    loading->turn++;
    loading->next_us = clock_monotonic_us() + loading->pause_us;
    if (loading->pause_us < LOADING_PAUSE_MAX_US)
        loading->pause_us *= 2;
}

/* Nothing was changed here yet, or written down: so an operator may decide otherwise. */
static void loading_refused(struct agent *agent, const char *why)
{
    struct error ignored = ERROR_INIT;
    (void)fill_loader_note(agent->loading->loader, why, &ignored);
    loading_rest(agent, why);
}

/* Rows may have been cleared or loaded: that counts. */
static void loading_void(struct agent *agent, const char *why)
{
    int64_t voids = 0;
    struct error err = ERROR_INIT;
    enum status status = fill_loader_void(agent->loading->loader, why, &voids, &err);
    if (status == STATUS_OK && voids >= FILL_VOIDS_MAX) {
        char text[ERROR_TEXT_SIZE];
        utf8_format(text, sizeof text, "%lld attempts were void, the last one because %.400s",
                    (long long)voids, why);
        loading_give_up(agent, text);
        return;
    }
    log_warning("agent", "%s: the rows of this attempt are void: %s", agent->loading->topic, why);
    loading_rest(agent, why);
}

/* What an attempt's failure means. @return OK; FATAL (memory). */
static enum status loading_fail(struct agent *agent, enum status status, struct error *err)
{
    struct agent_loading *loading = agent->loading;
    switch (status) {
    case STATUS_OK:
        return STATUS_OK;
    case STATUS_RETRY: /* the same once more */
        loading_say(loading, err->text);
        loading->next_us = clock_monotonic_us() + LOADING_DATABASE_US;
        break;
    case STATUS_ABORT:
        if (loading->state == LOADING_READS)
            loading_void(agent, err->text);
        else
            loading_rest(agent, err->text);
        break;
    case STATUS_STOP:
        if (err->reject == REJECT_WAITING) { /* the topic of a parent gets its turn meanwhile */
            loading_void(agent, err->text);
            break;
        }
        loading_give_up(agent, err->text);
        break;
    default:
        loading_give_up(agent, err->text);
    }
    error_clear(err);
    return STATUS_OK;
}

static enum status loading_ask(struct agent *agent, struct error *err)
{
    struct agent_loading *loading = agent->loading;
    struct fill_wish wish = {.turn = loading->turn};
    uuid_v7(loading->id);
    loading->reader_options = (struct rows_reader_options){.config = agent->config,
                                                           .data_topic = loading->topic,
                                                           .id = loading->id,
                                                           .stop = agent->stop};
    enum status status = rows_reader_open(&loading->reader_options, &loading->reader, err);
    if (status == STATUS_STOP) /* a broker that makes no topics */
        status = err->status = STATUS_RETRY;
    if (status != STATUS_OK)
        return status;
    (void)snprintf(wish.topic, sizeof wish.topic, "%s", loading->topic);
    (void)snprintf(wish.id, sizeof wish.id, "%s", loading->id);
    (void)snprintf(wish.source, sizeof wish.source, "%s", loading->source);
    fill_wishes_tell(agent->wishes, &wish);
    loading->heard_us = clock_monotonic_us();
    loading->state = LOADING_ASKS;
    return STATUS_OK;
}

/* Whoever was asked may be gone. */
static void loading_look_at_silence(struct agent *agent)
{
    struct agent_loading *loading = agent->loading;
    char asked[FILL_WISH_NAME_SIZE];
    char text[ERROR_TEXT_SIZE];
    char why[ERROR_TEXT_SIZE];
    int64_t silent_us = clock_monotonic_us() - loading->heard_us;
    bool is_answered = fill_wishes_look(agent->wishes, asked, why);
    loading->is_flowing = false;
    if (loading->state == LOADING_READS) {
        if (silent_us > LOADING_SILENCE_US)
            loading_void(agent, "no rows have come for 30 s");
        return;
    }
    if (is_answered && asked[0] == '\0') {
        loading_refused(agent, why);
        return;
    }
    utf8_format(text, sizeof text,
                is_answered ? "%.300s was asked for its rows"
                            : "somebody is to be asked for the rows%.0s",
                asked);
    loading_say(loading, text);
    if (silent_us <= LOADING_ANSWER_US)
        return;
    utf8_format(text, sizeof text,
                is_answered ? "%.300s was asked for its rows and does not answer"
                            : "the control topic does not answer, so nobody is asked%.0s",
                asked);
    loading_refused(agent, text);
}

static enum status loading_take_begin(struct agent *agent, const struct record *record,
                                      struct error *err)
{
    struct agent_loading *loading = agent->loading;
    struct fill_begin begin;
    enum status status = fill_begin_read(record, &loading->arena, &begin, err);
    if (status != STATUS_OK)
        return status;
    const struct fill_asked asked = {.id = loading->id, .source = begin.source, .has_begun = true};
    status = fill_loader_ask(loading->loader, &asked, err);
    if (status != STATUS_OK)
        return status;
    loading->state = LOADING_READS;
    loading->has_written = true;
    memcpy(loading->known_id, loading->id, sizeof loading->known_id);
    loading->pause_us = LOADING_PAUSE_US;
    log_info("agent", "%s is filled with the rows of %s", loading->topic, begin.source);
    return fill_loader_begin(loading->loader, &begin, err);
}

static enum status loading_take_keys(struct agent_loading *loading, const struct record *record,
                                     struct error *err)
{
    struct fill_key *keys = NULL;
    size_t count = 0;
    enum status status = fill_keys_read(record, &loading->arena, &keys, &count, err);
    for (size_t i = 0; status == STATUS_OK && i < count; i++) {
        while (status == STATUS_OK && fill_loader_is_busy(loading->loader))
            status = fill_loader_step(loading->loader, err);
        if (status == STATUS_OK)
            status = fill_loader_key(loading->loader, &keys[i], err);
    }
    return status == STATUS_RETRY ? err->status = STATUS_ABORT : status;
}

/* What the source says instead of rows. */
static enum status loading_take_reason(struct agent *agent, const struct record *record,
                                       enum fill_part part, struct error *err)
{
    struct agent_loading *loading = agent->loading;
    const char *reason = "";
    enum status status = fill_reason_read(record, &loading->arena, &reason, err);
    if (status != STATUS_OK)
        return status;
    if (part == FILL_PART_WAIT)
        loading_say(loading, reason);
    else if (loading->state == LOADING_READS)
        loading_void(agent, reason);
    else
        loading_refused(agent, reason);
    return STATUS_OK;
}

static enum status loading_take(struct agent *agent, const struct record *record,
                                const struct fill_head *head, struct error *err)
{
    struct agent_loading *loading = agent->loading;
    struct fill_row row;
    struct fill_end end;
    enum status status = STATUS_OK;
    bool is_begin = head->part == FILL_PART_BEGIN;
    arena_reset(&loading->arena);
    loading->heard_us = clock_monotonic_us();
    if (head->part == FILL_PART_VOID || head->part == FILL_PART_WAIT)
        return loading_take_reason(agent, record, head->part, err);
    if (is_begin != (loading->state == LOADING_ASKS))
        return error_set(err, STATUS_ABORT, "its parts do not come in their order");
    switch (head->part) {
    case FILL_PART_BEGIN:
        status = loading_take_begin(agent, record, err);
        break;
    case FILL_PART_ROW:
        status = fill_row_read(record, &row, err);
        if (status == STATUS_OK)
            status = fill_loader_row(loading->loader, &row, err);
        break;
    case FILL_PART_KEYS:
        status = loading_take_keys(loading, record, err);
        break;
    case FILL_PART_END:
        status = fill_end_read(record, &loading->arena, &end, err);
        if (status == STATUS_OK)
            status = fill_loader_end(loading->loader, &end, err);
        break;
    case FILL_PART_VOID:
    case FILL_PART_WAIT:
        break;
    }
    return status == STATUS_REJECT ? err->status = STATUS_ABORT : status;
}

/* Reads what has come, until there is enough for a transaction. */
static enum status loading_read(struct agent *agent, struct error *err)
{
    struct agent_loading *loading = agent->loading;
    int64_t until_us = clock_monotonic_us() + LOADING_ROUND_US;
    enum status status = STATUS_OK;
    while (status == STATUS_OK && loading->reader != NULL && clock_monotonic_us() < until_us &&
           !fill_loader_is_busy(loading->loader)) {
        struct record record;
        struct fill_head head;
        status = rows_reader_poll(loading->reader, 0, &record, &head, err);
        if (status == STATUS_RETRY) { /* the broker: librdkafka goes on by itself */
            loading_say(loading, err->text);
            error_clear(err);
            status = STATUS_OK;
            record = (struct record){0};
        }
        if (status == STATUS_OK && record.topic == NULL) {
            loading_look_at_silence(agent);
            return STATUS_OK;
        }
        loading->is_flowing = true;
        if (status == STATUS_OK)
            status = loading_take(agent, &record, &head, err);
        if (status == STATUS_RETRY) /* this part is not read once more */
            status = err->status = STATUS_ABORT;
    }
    return status;
}

static enum status loading_round(struct agent *agent, struct error *err)
{
    struct agent_loading *loading = agent->loading;
    if (clock_monotonic_us() < loading->next_us)
        return STATUS_OK;
    if (loading->state == LOADING_RESTS)
        return loading_ask(agent, err);
    if (loading->state == LOADING_ENDS)
        return loading_end(loading, err);
    enum status status = loading_read(agent, err);
    if (status == STATUS_OK && loading->state == LOADING_READS &&
        fill_loader_is_busy(loading->loader))
        status = fill_loader_step(loading->loader, err);
    return status;
}

static bool loading_is_under_way(const struct agent_loading *loading)
{
    return loading->state == LOADING_ASKS || loading->state == LOADING_READS ||
           loading->state == LOADING_ENDS;
}

/* One that is over, or rests, lets the others go on. */
static bool loading_waits(const struct agent_loading *loading)
{
    return loading->state == LOADING_OVER ||
           (loading->state == LOADING_RESTS && clock_monotonic_us() < loading->next_us);
}

static bool loading_is_wanted(const struct agent *agent, const char *topic)
{
    for (size_t i = 0; i < agent->topic_count; i++) {
        if (strcmp(agent->topics[i], topic) == 0)
            return agent->owns_first[i] && agent_is_held(agent, topic) &&
                   !agent_is_paused(agent, topic);
    }
    return false;
}

/* Another process has asked anew, or fills it. */
static bool loading_is_outdated(const struct agent *agent, const struct agent_loading *loading)
{
    const struct fill_state *fill = fill_find(agent->fills, agent->fill_count, loading->topic);
    if (fill == NULL || strcmp(fill->id, loading->known_id) == 0)
        return false;
    return loading->state == LOADING_OVER || loading->state == LOADING_ENDS ||
           (loading->state != LOADING_READS && fill->stage == FILL_ASKED);
}

static struct agent_loading **loading_place(struct agent *agent, const char *topic)
{
    struct agent_loading **place = &agent->loading;
    while (*place != NULL && strcmp((*place)->topic, topic) != 0)
        place = &(*place)->next;
    return place;
}

/* Puts the attempt that goes on in front. @return OK, also where there is none; FATAL (memory). */
static enum status loading_choose(struct agent *agent, bool *ret_chosen, struct error *err)
{
    *ret_chosen = agent->loading != NULL && loading_is_under_way(agent->loading);
    for (size_t i = 0; !*ret_chosen && i < agent->topic_count; i++) {
        const char *topic = agent->topics[i];
        struct agent_loading **place = loading_place(agent, topic);
        struct agent_loading *loading = *place;
        if (!loading_is_wanted(agent, topic) || (loading != NULL && loading_waits(loading)))
            continue;
        *ret_chosen = true;
        if (loading == NULL)
            return loading_new(agent, topic, err);
        *place = loading->next;
        loading->next = agent->loading;
        agent->loading = loading;
    }
    return STATUS_OK;
}

static void loading_drop_unwanted(struct agent *agent)
{
    struct agent_loading **place = &agent->loading;
    while (*place != NULL) {
        if (!loading_is_wanted(agent, (*place)->topic) || loading_is_outdated(agent, *place))
            loading_drop(agent, place);
        else
            place = &(*place)->next;
    }
}

enum status agent_load(struct agent *agent, struct error *err)
{
    enum status status = STATUS_OK;
    bool is_chosen = false;
    if (agent->wishes == NULL || agent->state != AGENT_APPLYING) /* or who owns what is found out */
        return STATUS_OK;
    if (agent->loading != NULL && agent->loading->has_written) {
        status = agent_follow_fills(agent, err);
        agent->loading->has_written = status != STATUS_OK;
    }
    if (status != STATUS_OK)
        return status;
    loading_drop_unwanted(agent);
    status = loading_choose(agent, &is_chosen, err);
    if (status != STATUS_OK || !is_chosen)
        return status;
    status = loading_fail(agent, loading_round(agent, err), err);
    if (status != STATUS_OK || !fill_loader_is_done(agent->loading->loader))
        return status;
    loading_drop(agent, &agent->loading);
    return agent_follow_fills(agent, err); /* else the topic is held for a while, and asked for */
}
