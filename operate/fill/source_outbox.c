/* What a fill asks of the outbox of its source (rules 39 and 40). */
#include "operate/fill/internal.h"

#include "common/advice.h"
#include "common/clock.h"
#include "producer/registry.h"

#include <inttypes.h>
#include <stdio.h>

#define FILL_POLL_US (INT64_C(200) * 1000)

enum status fill_open_publisher(const struct fill_source *self, struct source **ret_source,
                                struct error *err)
{
    const struct source_ops *ops = source_find(self->config.database);
    if (ops == NULL)
        return service_refuse_scheme(err);
    enum status status = ops->open(&self->config, ret_source, err);
    return status == STATUS_OK ? ops->snapshot(*ret_source, true, err) : status;
}

/* Whoever is told reads it elsewhere, with another configuration. */
static void fill_see_outbox(const struct fill_source *self, char ret_text[static ADVICE_FLAGS_SIZE])
{
    char path[ADVICE_FLAGS_SIZE / 2] = "";
    if (advice_quote(self->config.path, path, sizeof path))
        (void)snprintf(ret_text, ADVICE_FLAGS_SIZE, "`keepstep outbox list -c %s`", path);
    else
        (void)snprintf(ret_text, ADVICE_FLAGS_SIZE, "see its outbox");
}

enum status fill_judge_published(struct fill_source *self, const struct source_stamp *stamp,
                                 const char *entity_type, bool existing, struct error *err)
{
    char see[ADVICE_FLAGS_SIZE];
    self->last_row = stamp->last_row;
    if (stamp->waits)
        return fill_refuse(self, err,
                           "a new incarnation of it publishes nothing yet: its rows may be newer "
                           "than its position");
    if (existing && !stamp->existing_done)
        return fill_refuse(self, err, "its existing rows of %s are not all published yet",
                           entity_type);
    fill_see_outbox(self, see);
    if (stamp->set_aside > 0)
        return fill_refuse(self, err, "%" PRId64 " changes of %s are set aside (%s)",
                           stamp->set_aside, entity_type, see);
    return STATUS_OK;
}

static enum status outbox_read(const struct fill_source *self, struct source *source,
                               bool *ret_are_open, struct error *err)
{
    enum status status = STATUS_OK;
    char see[ADVICE_FLAGS_SIZE];
    fill_see_outbox(self, see);
    for (size_t i = 0; status == STATUS_OK && i < self->options->type_count; i++) {
        const struct role *role = &self->roles[i].role;
        const struct source_type type = {role->entry, role->schema};
        struct source_open_rows open = {.up_to = self->last_row};
        if (!role->publishes)
            continue;
        status = source->ops->open_rows(source, &type, &open, err);
        *ret_are_open = *ret_are_open || open.are_open;
        if (status == STATUS_OK && open.set_aside > 0)
            status = error_set(err, STATUS_ABORT,
                               "%s has set aside a change of %s that its rows have already, so no "
                               "other copy has it (%s)",
                               self->config.service, type.schema->entity_type, see);
    }
    return status;
}

/* A snapshot has one state, so each look has one of its own. */
enum status fill_wait_acknowledged(struct fill_source *self, struct error *err)
{
    char for_what[ERROR_TEXT_SIZE];
    struct source *source = NULL;
    bool are_open = true;
    (void)snprintf(for_what, sizeof for_what,
                   "the relay of %s to publish what the rows have already", self->config.service);
    enum status status = fill_open_publisher(self, &source, err);
    while (status == STATUS_OK) {
        are_open = false;
        status = outbox_read(self, source, &are_open, err);
        if (status != STATUS_OK || !are_open)
            break;
        status = source->ops->snapshot(source, false, err);
        if (status == STATUS_OK && self->sink->wait != NULL)
            status = self->sink->wait(self->sink->context, for_what, err);
        clock_sleep_us(FILL_POLL_US);
        if (status == STATUS_OK)
            status = source->ops->snapshot(source, true, err);
    }
    if (source != NULL)
        source->ops->close(source);
    return status;
}
