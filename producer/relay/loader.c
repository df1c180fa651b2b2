/* The loader's thread, and how orders are handed over. */
#include "producer/relay/loader.h"
#include "common/clock.h"
#include "common/condition.h"
#include "common/failpoint.h"
#include "common/stages.h"
#include "common/wakeup.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ARENA_BYTES   ((size_t)64 * 1024 * 1024)
#define ARENA_EVENT   ((size_t)4096) /* more for each change of the largest set: see WINDOW_SETS */
#define ARENA_SETS    4              /* payloads of so many of the largest sets: see WINDOW_SETS */
#define REST_S        10             /* without an order for that long the session is closed */
#define HEADERS_BYTES ((size_t)4 * 1024 * 1024)

struct loader {
    /* The relay's thread's. */
    struct record_maker source;
    pthread_t thread;
    bool started;
    int wakeup;
    /* Under the lock. */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool ordered; /* an order is to be carried out, or is being carried out */
    bool must_rest;
    bool must_end;
    /* The loader's thread's while `ordered`, else the relay's thread's. */
    struct loader_order order;
    struct lease lease;
    int64_t *bytes_max;
    struct record_maker maker;
    struct arena headers;
    struct arena arena;
    struct loader_part part;
    enum loader_answer answer;
    struct error err;
    /* The loader's thread's. */
    struct outbox *outbox; /* NULL: closed */
};

/** What the thread does next. */
enum loader_work { LOADER_LOAD, LOADER_CLOSE, LOADER_END };

static bool loader_init(struct loader *loader)
{
    (void)pthread_mutex_init(&loader->lock, NULL);
    condition_init(&loader->changed);
    arena_init(&loader->arena, loader_arena_bytes(loader->source.config));
    arena_init(&loader->headers, HEADERS_BYTES);
    loader->bytes_max = calloc(loader->source.config->publish_count + 1, sizeof *loader->bytes_max);
    return loader->bytes_max != NULL;
}

enum status loader_new(const struct record_maker *maker, int wakeup, struct loader **ret_loader,
                       struct error *err)
{
    struct loader *loader = calloc(1, sizeof *loader);
    if (loader == NULL)
        return error_set(err, STATUS_RETRY, "no memory");
    loader->source = *maker;
    loader->wakeup = wakeup;
    if (!loader_init(loader)) {
        loader_free(loader);
        return error_set(err, STATUS_RETRY, "no memory");
    }
    *ret_loader = loader;
    return STATUS_OK;
}

static void loader_signal(struct loader *loader, bool *what)
{
    (void)pthread_mutex_lock(&loader->lock);
    *what = true;
    (void)pthread_cond_signal(&loader->changed);
    (void)pthread_mutex_unlock(&loader->lock);
}

void loader_free(struct loader *loader)
{
    if (loader == NULL)
        return;
    if (loader->started) {
        loader_signal(loader, &loader->must_end);
        (void)pthread_join(loader->thread, NULL);
    }
    (void)pthread_cond_destroy(&loader->changed);
    (void)pthread_mutex_destroy(&loader->lock);
    arena_done(&loader->arena);
    arena_done(&loader->headers);
    free(loader->bytes_max);
    free(loader);
}

size_t loader_arena_bytes(const struct config *config)
{
    bool whole = config->transactions == TRANSACTIONS_WHOLE;
    return ARENA_BYTES + (whole ? (size_t)config->limits.changeset_events * ARENA_EVENT +
                                      ARENA_SETS * (size_t)config->limits.changeset_bytes
                                : 0);
}

bool loader_is_full(const struct outbox_extent *extent, const struct outbox_rows *rows)
{
    size_t bytes = 0;
    for (size_t i = 0; i < rows->count; i++)
        bytes += rows->rows[i].payload.length;
    return rows->cut || rows->count == extent->rows || bytes >= extent->total_bytes;
}

static void loader_close(struct loader *loader)
{
    if (loader->outbox != NULL)
        loader->outbox->ops->close(loader->outbox);
    loader->outbox = NULL;
}

static enum status loader_open(struct loader *loader, struct error *err)
{
    const struct config *config = loader->maker.config;
    const struct outbox_options options = {.path = config->database_path,
                                           .service = config->service,
                                           .instance = config->instance,
                                           .read_only = true,
                                           .whole = config->transactions == TRANSACTIONS_WHOLE};
    return loader->outbox != NULL ? STATUS_OK
                                  : loader->order.ops->open(&options, &loader->outbox, err);
}

/* A row that cannot be published as it is, is for the relay to judge. */
static bool loader_check(struct loader *loader)
{
    const struct outbox_rows *rows = &loader->part.rows;
    for (size_t i = 0; i < rows->count; i++) {
        struct error reason = ERROR_INIT;
        if (record_check(&loader->maker, &rows->rows[i], &loader->arena, &reason) != STATUS_OK)
            return false;
    }
    return rows->count > 0 && rows->complete;
}

static void loader_load(struct loader *loader)
{
    const struct outbox_extent *extent = &loader->order.extent;
    unsigned session = 0;
    failpoint(FAILPOINT_RELAY_BEFORE_LOAD);
    arena_reset(&loader->arena);
    error_clear(&loader->err);
    STAGE_TIME(looked_us);
    enum status status = loader_open(loader, &loader->err);
    if (status == STATUS_OK) {
        session = loader->outbox->session;
        status = loader->outbox->ops->load_waiting(loader->outbox, extent, &loader->arena,
                                                   &loader->part.rows, &loader->err);
    }
    if (status == STATUS_OK) {
        STAGE_TIME(loaded_us);
        STAGE_STAMP_EACH(STAGE_LOOKED, loader->part.rows.count, loader->part.rows.rows[each].id,
                         looked_us);
        STAGE_STAMP_EACH(STAGE_LOADED, loader->part.rows.count, loader->part.rows.rows[each].id,
                         loaded_us);
        loader->part.full = loader_is_full(extent, &loader->part.rows);
        loader->answer = loader_check(loader) ? LOADER_PART : LOADER_OTHER;
    } else {
        bool lost = loader->outbox != NULL && loader->outbox->session != session;
        loader->answer = lost ? LOADER_LOST : LOADER_FAILED;
    }
    failpoint(FAILPOINT_RELAY_AFTER_LOAD);
}

static void loader_hand_back(struct loader *loader)
{
    (void)pthread_mutex_lock(&loader->lock);
    loader->ordered = false;
    (void)pthread_mutex_unlock(&loader->lock);
    wakeup_raise(loader->wakeup);
}

static enum loader_work loader_await(struct loader *loader)
{
    struct timespec until;
    enum loader_work work = LOADER_CLOSE;
    int waited = 0;
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += REST_S;
    (void)pthread_mutex_lock(&loader->lock);
    while (!loader->ordered && !loader->must_rest && !loader->must_end && waited != ETIMEDOUT)
        waited = loader->outbox == NULL
                     ? pthread_cond_wait(&loader->changed, &loader->lock)
                     : pthread_cond_timedwait(&loader->changed, &loader->lock, &until);
    if (loader->must_end)
        work = LOADER_END;
    else if (loader->ordered)
        work = LOADER_LOAD;
    else
        loader->must_rest = false;
    (void)pthread_mutex_unlock(&loader->lock);
    return work;
}

static void *loader_run(void *context)
{
    struct loader *loader = context;
    for (;;) {
        switch (loader_await(loader)) {
        case LOADER_LOAD:
            loader_load(loader);
            loader_hand_back(loader);
            break;
        case LOADER_CLOSE:
            loader_close(loader);
            break;
        case LOADER_END:
            loader_close(loader);
            return NULL;
        }
    }
}

bool loader_is_free(struct loader *loader)
{
    (void)pthread_mutex_lock(&loader->lock);
    bool ordered = loader->ordered;
    (void)pthread_mutex_unlock(&loader->lock);
    return !ordered;
}

/* The relay goes on to change what its maker points to, so the loader gets a copy. */
static void loader_copy_maker(struct loader *loader)
{
    loader->maker = loader->source;
    loader->lease = *loader->source.lease;
    memcpy(loader->bytes_max, loader->source.bytes_max,
           loader->source.config->publish_count * sizeof *loader->bytes_max);
    loader->maker.lease = &loader->lease;
    loader->maker.bytes_max = loader->bytes_max;
    loader->maker.headers = &loader->headers;
}

enum status loader_order(struct loader *loader, const struct loader_order *order, struct error *err)
{
    if (!loader->started) {
        int failed = pthread_create(&loader->thread, NULL, loader_run, loader);
        if (failed != 0)
            return error_set(err, STATUS_RETRY, "no thread: %s", strerror(failed));
        loader->started = true;
    }
    loader->order = *order;
    loader_copy_maker(loader);
    loader_signal(loader, &loader->ordered);
    failpoint(FAILPOINT_RELAY_LOAD_ORDERED);
    return STATUS_OK;
}

enum loader_answer loader_take(struct loader *loader, int64_t timeout_us, struct arena *arena,
                               struct loader_part *ret_part, struct error *err)
{
    int64_t until = clock_monotonic_us() + timeout_us;
    for (;;) {
        wakeup_clear(loader->wakeup);
        int64_t left_us = until - clock_monotonic_us();
        if (loader_is_free(loader))
            break;
        if (left_us <= 0)
            return LOADER_BUSY;
        (void)wakeup_wait(loader->wakeup, -1, left_us);
    }
    if (loader->answer == LOADER_FAILED || loader->answer == LOADER_LOST)
        *err = loader->err;
    if (loader->answer == LOADER_PART) {
        struct arena own = *arena;
        *arena = loader->arena;
        loader->arena = own;
        *ret_part = loader->part;
        failpoint(FAILPOINT_RELAY_LOAD_TAKEN);
    }
    return loader->answer;
}

void loader_rest(struct loader *loader)
{
    if (loader->started)
        loader_signal(loader, &loader->must_rest);
}
