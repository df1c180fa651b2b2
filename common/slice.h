/* A borrowed run of bytes. */
#ifndef COMMON_SLICE_H
#define COMMON_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

/** Borrowed bytes, not NUL-terminated. `data` NULL means absent. */
struct slice {
    const char *data;
    size_t length;
};

/** A borrowed list, such as a statement's parameters. */
struct slice_list {
    const struct slice *items;
    size_t count;
};
#define NO_SLICES ((struct slice_list){NULL, 0})

static inline struct slice slice_of(const char *text)
{
    return (struct slice){.data = text, .length = text == NULL ? 0 : strlen(text)};
}

static inline bool slice_equal(struct slice a, struct slice b)
{
    return a.length == b.length && (a.length == 0 || memcmp(a.data, b.data, a.length) == 0);
}

static inline bool slice_is(struct slice a, const char *text)
{
    return slice_equal(a, slice_of(text));
}

/** Order by bytes, a prefix first. */
static inline int slice_compare(struct slice a, struct slice b)
{
    size_t shorter = a.length < b.length ? a.length : b.length;
    int order = shorter == 0 ? 0 : memcmp(a.data, b.data, shorter);
    return order != 0 ? order : (a.length > b.length) - (a.length < b.length);
}

/** For printf's "%.*s". */
#define SLICE_ARGS(s) (int)(s).length, ((s).data == NULL ? "" : (s).data)

#endif
