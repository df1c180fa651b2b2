/* Fills in what the text of an object leaves open: the service's name, and who may call a function.
 */
#include "producer/init/fill.h"

#define FILL_SIZE_MAX ((size_t)1024 * 1024)

/** Texts that stand for others. */
static const char SERVICE[] = "{service}";
static const char SEAL[] = "{seal ";
static const char SEALED[] = "{seal}"; /* in the seal: the function */

static void fill_seal(struct buffer *sql, const char *seal, struct slice function)
{
    const char *at;
    for (; (at = strstr(seal, SEALED)) != NULL; seal = at + sizeof SEALED - 1) {
        buffer_append(sql, seal, (size_t)(at - seal));
        buffer_append(sql, function.data, function.length);
    }
    buffer_append_text(sql, seal);
}

static void fill_text(struct buffer *sql, const struct fill *fill, const char *text)
{
    const char *at;
    while ((at = strchr(text, '{')) != NULL) {
        buffer_append(sql, text, (size_t)(at - text));
        text = at;
        const char *end = strchr(at, '}');
        if (strncmp(at, SERVICE, sizeof SERVICE - 1) == 0) {
            sql_quote(sql, '\'', slice_of(fill->service));
            text += sizeof SERVICE - 1;
        } else if (fill->seal != NULL && end != NULL && strncmp(at, SEAL, sizeof SEAL - 1) == 0) {
            const char *function = at + sizeof SEAL - 1;
            fill_seal(sql, fill->seal, (struct slice){function, (size_t)(end - function)});
            text = end + 1;
        } else {
            buffer_append(sql, text++, 1);
        }
    }
    buffer_append_text(sql, text);
}

enum status fill_object(const struct fill *fill, const struct origin_object *object,
                        struct origin_object *ret_object, struct error *err)
{
    struct buffer sql;
    enum status status = STATUS_OK;
    *ret_object = *object;
    if (object->sql == NULL)
        return STATUS_OK;
    buffer_init(&sql, FILL_SIZE_MAX);
    fill_text(&sql, fill, object->sql);
    buffer_append(&sql, "", 1); /* its end is copied too */
    ret_object->sql = sql.failed ? NULL : arena_copy(fill->arena, buffer_slice(&sql)).data;
    if (ret_object->sql == NULL)
        status = error_set(err, STATUS_RETRY, "no memory for %s", object->name);
    buffer_done(&sql);
    return status;
}
