/* Fills in what the texts of objects leave open. */
#ifndef PRODUCER_INIT_FILL_H
#define PRODUCER_INIT_FILL_H

#include "common/arena.h"
#include "producer/init/origin.h"
#include "schemas/sql_text.h"

/** What the texts are filled with. */
struct fill {
    const char *service; /* `{service}`, as a literal */
    const char *seal;    /* of struct origin_ops */
    struct arena *arena; /* of the filled texts */
};

/** Fill an object's text. All but `sql` is as before. @return OK; RETRY (memory). */
enum status fill_object(const struct fill *fill, const struct origin_object *object,
                        struct origin_object *ret_object, struct error *err) MUST_CHECK;

#endif
