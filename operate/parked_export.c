/* `keepstep parked export`: all parked records whole, one JSON object on each line, of one moment.
 */
#include "operate/parked.h"

#include "common/clock.h"
#include "operate/command.h"
#include "operate/member.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#define EXPORT_PAGE_RECORDS 32 /* in memory at once; each is as large as a record may be */
#define EXPORT_ARENA_MAX    ((size_t)256 * 1024 * 1024)
#define EXPORT_LINE_MAX     ((size_t)256 * 1024 * 1024)
#define EXPORT_MODE         0600 /* the records hold rows */

struct export
{
    const char *path; /* NULL: standard output */
    FILE *file;
    struct buffer line;
    long long count;
};

static enum status export_fail(const struct export *export, int code, struct error *err)
{
    err->exit_code = EX_IOERR;
    return error_set_native(err, STATUS_FATAL, code, "%s: %s",
                            export->path == NULL ? "standard output" : export->path,
                            strerror(code));
}

/* What is there already is not written over: it may be the only copy of records that are gone. */
static enum status export_open(struct export *export, struct error *err)
{
    if (export->path == NULL)
        return STATUS_OK;
    int descriptor = open(export->path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, EXPORT_MODE);
    if (descriptor < 0)
        return export_fail(export, errno, err);
    export->file = fdopen(descriptor, "w");
    if (export->file != NULL)
        return STATUS_OK;
    enum status status = export_fail(export, errno, err);
    (void)close(descriptor);
    return status;
}

/* A file that is not whole is taken away. */
static enum status export_close(struct export *export, enum status status, struct error *err)
{
    if (export->path == NULL || export->file == NULL)
        return status;
    if (status == STATUS_OK && (fflush(export->file) != 0 || fsync(fileno(export->file)) != 0))
        status = export_fail(export, errno, err);
    if (fclose(export->file) != 0 && status == STATUS_OK)
        status = export_fail(export, errno, err);
    if (status != STATUS_OK)
        (void)unlink(export->path);
    return status;
}

static void export_append(const struct parked_record *parked, struct buffer *out)
{
    const struct record *record = &parked->record;
    member_begin(out, NULL, "{");
    member_number(out, "parked_id", parked->parked_id);
    member_text(out, "state", slice_of(parked_state_name(parked->state)));
    member_bytes(out, "entity_type", parked->entity_type);
    member_bytes(out, "entity_key", parked->entity_key);
    member_text(out, "topic", slice_of(record->topic));
    member_number(out, "partition", record->partition);
    member_number(out, "offset", record->offset);
    member_number(out, "code", parked->code);
    member_number(out, "attempts", parked->attempts);
    member_number(out, "changeset_end", (int64_t)parked->changeset_end);
    member_time(out, "parked_at", parked->parked_at_us);
    member_time(out, "next_attempt_at", parked->next_attempt_us);
    member_bytes(out, "reason", parked->reason);
    member_bytes(out, "key", record->key);
    member_bytes(out, "value", record->value);
    member_begin(out, "headers", "[");
    for (size_t i = 0; i < record->header_count; i++) {
        member_begin(out, NULL, "{");
        member_bytes(out, "name", record->headers[i].name);
        member_bytes(out, "value", record->headers[i].value);
        buffer_append_text(out, "}");
    }
    buffer_append_text(out, "]}\n");
}

static enum status export_page(struct export *export, const struct parked_records *page,
                               struct error *err)
{
    for (size_t i = 0; i < page->count; i++) {
        buffer_reset(&export->line);
        export_append(&page->records[i], &export->line);
        if (export->line.failed)
            return error_set(err, STATUS_FATAL, "no memory for parked record %lld",
                             (long long)page->records[i].parked_id);
        if (fwrite(export->line.data, 1, export->line.length, export->file) != export->line.length)
            return export_fail(export, errno, err);
        export->count++;
    }
    return STATUS_OK;
}

static enum status export_all(struct store *store, struct export *export, struct error *err)
{
    struct parked_records page = {0};
    struct parked_filter filter = {.partition = -1, .by_id = true, .limit = EXPORT_PAGE_RECORDS};
    struct arena arena;
    arena_init(&arena, EXPORT_ARENA_MAX);
    enum status status;
    do {
        arena_reset(&arena);
        page = (struct parked_records){0};
        status = store->ops->read_parked(store, &filter, &arena, &page, err);
        if (status == STATUS_OK)
            status = export_page(export, &page, err);
        if (page.count > 0)
            filter.after_id = page.records[page.count - 1].parked_id;
    } while (status == STATUS_OK && page.count == EXPORT_PAGE_RECORDS &&
             !atomic_load(&command_stop));
    if (status == STATUS_OK && atomic_load(&command_stop)) {
        err->exit_code = EX_TEMPFAIL;
        status = error_set(err, STATUS_FATAL, "interrupted after %lld records", export->count);
    }
    arena_done(&arena);
    return status;
}

enum status parked_export(struct store *store, const char *path, struct error *err)
{
    struct export export = {.path = path, .file = stdout};
    buffer_init(&export.line, EXPORT_LINE_MAX);
    enum status status = export_open(&export, err);
    if (status != STATUS_OK)
        export.file = NULL;
    if (status == STATUS_OK)
        status = store->ops->snapshot(store, true, err);
    if (status == STATUS_OK)
        status = export_all(store, &export, err);
    struct error none = ERROR_INIT;
    (void)store->ops->snapshot(store, false, &none);
    status = export_close(&export, status, err);
    if (status == STATUS_OK && path != NULL)
        command_say("%lld parked records in %s", export.count, path);
    buffer_done(&export.line);
    return status;
}
