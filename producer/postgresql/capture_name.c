/* Names of capture functions and triggers, within the length of PostgreSQL's identifiers, and texts
 * within their SQL. */
#include "common/digest.h"
#include "producer/postgresql/capture.h"
#include "producer/postgresql/capture_rights.h"

#include <inttypes.h>

#define CAPTURE_NAME_MAX  ((size_t)1024)
#define IDENTIFIER_LENGTH 63
#define NAME_LENGTH       40 /* of the entity type within an identifier */

void capture_literal(struct buffer *sql, struct slice text)
{
    bool escapes = text.length > 0 && memchr(text.data, '\\', text.length) != NULL;
    buffer_append_text(sql, escapes ? "E'" : "'");
    for (size_t i = 0; i < text.length; i++) {
        bool twice = text.data[i] == '\'' || text.data[i] == '\\';
        buffer_append(sql, &text.data[i], 1);
        buffer_append(sql, &text.data[i], twice ? 1 : 0);
    }
    buffer_append_text(sql, "'");
}

/* An identifier of at most 63 bytes; a long entity type is told apart by its digest. */
static void capture_name_append(struct buffer *name, const char *before, const char *entity_type,
                                const char *after)
{
    buffer_append_format(name, "%s%s%s", before, entity_type, after);
    if (name->length <= IDENTIFIER_LENGTH)
        return;
    buffer_reset(name);
    buffer_append_format(name, "%s%.*s_%08" PRIx32 "%s", before, NAME_LENGTH - 9, entity_type,
                         (uint32_t)digest_64(slice_of(entity_type)), after);
}

struct slice capture_postgresql_name(struct arena *arena, const char *before,
                                     const char *entity_type, const char *after)
{
    struct buffer name;
    buffer_init(&name, CAPTURE_NAME_MAX);
    capture_name_append(&name, before, entity_type, after);
    struct slice copy = arena_copy(arena, buffer_slice(&name));
    buffer_done(&name);
    return copy;
}

bool capture_postgresql_clashes(const char *entity_type, const char *other)
{
    static const char *const before[] = {"keepstep_", "00_keepstep_"};
    bool same = false;
    for (size_t i = 0; i < sizeof before / sizeof *before; i++) {
        struct buffer names[2];
        buffer_init(&names[0], CAPTURE_NAME_MAX);
        buffer_init(&names[1], CAPTURE_NAME_MAX);
        capture_name_append(&names[0], before[i], entity_type, "_truncate");
        capture_name_append(&names[1], before[i], other, "_truncate");
        same = same || slice_equal(buffer_slice(&names[0]), buffer_slice(&names[1]));
        buffer_done(&names[0]);
        buffer_done(&names[1]);
    }
    return same;
}
