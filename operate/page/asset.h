/* The files of the page. They are embedded at build, from operate/page/assets/. */
#ifndef OPERATE_PAGE_ASSET_H
#define OPERATE_PAGE_ASSET_H

#include "common/slice.h"

struct asset {
    const char *name; /* "page.css": GET /assets/page.css; "index.html" is GET / */
    const char *content_type;
    struct slice bytes;
};

/** All of them, by name; the last one has no name. */
extern const struct asset page_assets[];

#endif
