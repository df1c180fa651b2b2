/* Lists the outbox: rows of one change set become one line, in the order of their first positions.
 */
#include "operate/outbox_list.h"

#include "common/buffer.h"
#include "operate/command.h"
#include "operate/member.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINES_MAX  1000
#define PAGE_ROWS  1000
#define ROWS_MAX   1000 /* that wait: a backlog is not read to its end for people */
#define TYPES_MAX  8    /* entity types that a set's line names */
#define ARENA_MAX  ((size_t)64 * 1024 * 1024)
#define OUTPUT_MAX ((size_t)64 * 1024 * 1024)

/** A set, or a row that is alone. */
struct line {
    struct outbox_row first;
    int64_t last; /* position */
    size_t rows;
    struct {
        struct slice name;
        size_t rows;
    } types[TYPES_MAX];
    size_t type_count;
    size_t other_rows; /* of more types than these */
};

struct listing {
    struct line *lines;
    size_t count;
    bool cut;           /* there is more than was read */
    struct arena *kept; /* what lines point to */
};

static bool line_copy(struct arena *arena, struct slice *text)
{
    if (text->data == NULL)
        return true;
    *text = arena_copy(arena, *text);
    return text->data != NULL;
}

/* @return NULL: there is no memory. */
static struct line *listing_add(struct listing *listing, const struct outbox_row *row)
{
    struct line *line = &listing->lines[listing->count++];
    *line = (struct line){.first = *row};
    struct slice *const texts[] = {&line->first.id,         &line->first.entity_type,
                                   &line->first.entity_key, &line->first.type,
                                   &line->first.created_at, &line->first.set_aside,
                                   &line->first.changeset};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        if (!line_copy(listing->kept, texts[i]))
            return NULL;
    }
    return line;
}

static struct line *listing_find(const struct listing *listing, struct slice changeset)
{
    for (size_t i = listing->count; changeset.length > 0 && i > 0; i--) {
        if (slice_equal(listing->lines[i - 1].first.changeset, changeset))
            return &listing->lines[i - 1];
    }
    return NULL;
}

static bool line_count(struct line *line, const struct outbox_row *row, struct arena *kept)
{
    size_t i = 0;
    line->rows++;
    line->last = row->position;
    while (i < line->type_count && !slice_equal(line->types[i].name, row->entity_type))
        i++;
    if (i == TYPES_MAX) {
        line->other_rows++;
        return true;
    }
    if (i == line->type_count) {
        line->types[line->type_count++].name = row->entity_type;
        if (!line_copy(kept, &line->types[i].name))
            return false;
    }
    line->types[i].rows++;
    return true;
}

static enum status listing_page(struct listing *listing, const struct outbox_rows *rows,
                                struct error *err)
{
    for (size_t i = 0; i < rows->count; i++) {
        struct line *line = listing_find(listing, rows->rows[i].changeset);
        if (line == NULL && listing->count == LINES_MAX) {
            listing->cut = true;
            continue;
        }
        if (line == NULL)
            line = listing_add(listing, &rows->rows[i]);
        if (line == NULL || !line_count(line, &rows->rows[i], listing->kept))
            return error_set(err, STATUS_RETRY, "no memory");
    }
    return STATUS_OK;
}

static enum status listing_read(struct listing *listing, struct outbox *outbox,
                                enum outbox_filter filter, struct error *err)
{
    struct outbox_selection selection = {.filter = filter, .limit = PAGE_ROWS, .brief = true};
    struct outbox_rows rows = {0};
    struct arena arena;
    size_t read = 0;
    enum status status = STATUS_OK;
    arena_init(&arena, ARENA_MAX);
    do {
        arena_reset(&arena);
        status = outbox->ops->list(outbox, &selection, &arena, &rows, err);
        if (status == STATUS_OK)
            status = listing_page(listing, &rows, err);
        if (rows.count > 0)
            selection.after = rows.rows[rows.count - 1].position;
        read += rows.count;
    } while (status == STATUS_OK && rows.count == PAGE_ROWS && !listing->cut &&
             (filter == OUTBOX_SET_ASIDE || read < ROWS_MAX));
    listing->cut = listing->cut || rows.count == PAGE_ROWS;
    arena_done(&arena);
    return status;
}

static const char *line_state(const struct line *line)
{
    return line->first.set_aside.data != NULL ? "set aside" : "waiting";
}

static void line_render_json(const struct line *line, struct buffer *out)
{
    member_begin(out, NULL, "{");
    member_number(out, "position", line->first.position);
    member_word(out, "state", line_state(line));
    if (line->rows == 1) {
        member_text(out, "event_id", line->first.id);
        member_text(out, "event_type", line->first.type);
        member_text(out, "entity_type", line->first.entity_type);
        member_text(out, "entity_key", line->first.entity_key);
    } else {
        member_number(out, "rows", (int64_t)line->rows);
        member_number(out, "last_position", line->last);
        member_begin(out, "entity_types", "{");
        for (size_t i = 0; i < line->type_count; i++) {
            buffer_append_text(out, i == 0 ? "" : ",");
            buffer_append_json(out, line->types[i].name);
            buffer_append_format(out, ":%zu", line->types[i].rows);
        }
        buffer_append_text(out, "}");
    }
    member_text(out, "created_at", line->first.created_at);
    member_text(out, "reason", line->first.set_aside);
    buffer_append_text(out, "}\n");
}

static void line_render_text(const struct line *line, struct buffer *out)
{
    buffer_append_format(out, "%-10lld %-10s ", (long long)line->first.position, line_state(line));
    if (line->rows == 1)
        buffer_append_format(out, "%-24.*s %-24.*s ", SLICE_ARGS(line->first.type),
                             SLICE_ARGS(line->first.entity_key));
    else
        buffer_append_format(out, "set of %zu, ends at position %lld", line->rows,
                             (long long)line->last);
    for (size_t i = 0; line->rows > 1 && i < line->type_count; i++)
        buffer_append_format(out, ", %.*s %zu", SLICE_ARGS(line->types[i].name),
                             line->types[i].rows);
    if (line->other_rows > 0)
        buffer_append_format(out, ", other types %zu", line->other_rows);
    buffer_append_format(out, "%s%.*s\n",
                         line->rows > 1 && line->first.set_aside.data != NULL ? ": " : "",
                         SLICE_ARGS(line->first.set_aside));
}

static enum status outbox_list_state(struct outbox *outbox, enum outbox_filter filter, bool json,
                                     struct error *err)
{
    struct arena kept;
    struct buffer out;
    struct listing listing = {.lines = calloc(LINES_MAX, sizeof *listing.lines), .kept = &kept};
    arena_init(&kept, ARENA_MAX);
    buffer_init(&out, OUTPUT_MAX);
    enum status status = listing.lines == NULL ? error_set(err, STATUS_RETRY, "no memory")
                                               : listing_read(&listing, outbox, filter, err);
    for (size_t i = 0; status == STATUS_OK && i < listing.count; i++)
        (json ? line_render_json : line_render_text)(&listing.lines[i], &out);
    if (status == STATUS_OK)
        command_print(&out, json);
    if (status == STATUS_OK && listing.cut)
        fprintf(stderr, "keepstep: only the first %d %s are listed; a change set may be larger\n",
                LINES_MAX,
                filter == OUTBOX_SET_ASIDE ? "lines that are set aside" : "rows that wait");
    buffer_done(&out);
    arena_done(&kept);
    free(listing.lines);
    return status;
}

enum status outbox_list(struct outbox *outbox, bool json, struct error *err)
{
    if (!json)
        printf("%-10s %-10s %-24s %-24s %s\n", "POSITION", "STATE", "TYPE", "KEY", "REASON");
    enum status status = outbox_list_state(outbox, OUTBOX_SET_ASIDE, json, err);
    return status == STATUS_OK ? outbox_list_state(outbox, OUTBOX_WAITING, json, err) : status;
}
