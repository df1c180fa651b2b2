/* Two loads of rows: one is filled while a thread writes the other one. */
#include "consumer/fill/internal.h"

#include "common/failpoint.h"

static void loads_work(void *context)
{
    struct fill_loader *loader = context;
    loader->write_status = loader_write(loader, &loader->write_error);
}

enum status loader_init_loads(struct fill_loader *loader, struct error *err)
{
    const struct config_limits *limits = &loader->options.config->limits;
    enum status status = STATUS_OK;
    for (size_t i = 0; status == STATUS_OK && i < LOADS; i++)
        status = batch_init(&loader->loads[i].batch, (size_t)limits->batch_events,
                            (size_t)limits->batch_bytes / LOADS, (size_t)limits->message_bytes,
                            err);
    loader->filled = &loader->loads[0];
    loader->written = &loader->loads[1];
    return status == STATUS_OK ? worker_new(loads_work, loader, &loader->worker, err) : status;
}

void loader_free_loads(struct fill_loader *loader)
{
    worker_free(loader->worker);
    for (size_t i = 0; i < LOADS; i++)
        batch_done(&loader->loads[i].batch);
}

static bool load_is_empty(const struct load *load)
{
    return load->batch.count == 0 && load->key_count == 0;
}

static void load_reset(struct load *load)
{
    load->key_count = 0;
    batch_reset(&load->batch);
}

void loader_settle(struct fill_loader *loader)
{
    if (loader->is_writing)
        worker_wait(loader->worker);
}

void loader_reset_loads(struct fill_loader *loader)
{
    loader_settle(loader);
    loader->is_writing = false;
    load_reset(loader->filled);
    load_reset(loader->written);
}

void loader_begin_small(struct fill_loader *loader)
{
    for (size_t i = 0; i < LOADS; i++)
        batch_begin_small(&loader->loads[i].batch);
}

/* Counts what was written, and forgets it. Transactions beside a service become shorter where this
 * one took too long (rule 19). */
static void load_wrote(struct fill_loader *loader)
{
    struct load *load = loader->written;
    struct batch *batch = &load->batch;
    for (size_t i = 0; i < batch->count; i++)
        loader->progress.own += batch->events[i].outcome == EVENT_SUPERSEDED;
    loader->progress.rows += batch->count;
    loader->progress.keys += load->key_count;
    if (loader->meta.incarnation[0] != '\0') {
        batch_adapt(batch, load->took_us, loader->options.config->limits.batch_time_ms * 1000);
        loader->filled->batch.count_max = batch->count_max;
    }
    load_reset(load);
}

static enum status load_take_back(struct fill_loader *loader, struct error *err)
{
    if (!loader->is_writing)
        return STATUS_OK;
    failpoint(FAILPOINT_FILL_BEFORE_TAKE_BACK);
    worker_wait(loader->worker);
    loader->is_writing = false;
    if (loader->write_status == STATUS_OK)
        load_wrote(loader);
    else
        *err = loader->write_error;
    return loader->write_status;
}

/* What has failed is written here, not in the thread: its outcome is wanted now. */
static enum status load_write_again(struct fill_loader *loader, struct error *err)
{
    if (load_is_empty(loader->written))
        return STATUS_OK;
    enum status status = loader_write(loader, err);
    if (status == STATUS_OK)
        load_wrote(loader);
    return status;
}

enum status loader_hand_over(struct fill_loader *loader, bool *ret_any, struct error *err)
{
    *ret_any = false;
    enum status status = load_take_back(loader, err);
    if (status == STATUS_OK)
        status = load_write_again(loader, err);
    if (status != STATUS_OK || load_is_empty(loader->filled))
        return status;
    struct load *load = loader->filled;
    loader->filled = loader->written;
    loader->written = load;
    load->fill = loader->fill;
    error_clear(&loader->write_error);
    loader->is_writing = true;
    *ret_any = true;
    failpoint(FAILPOINT_FILL_BEFORE_HAND_OVER);
    worker_begin(loader->worker);
    failpoint(FAILPOINT_FILL_AFTER_HAND_OVER);
    return STATUS_OK;
}
