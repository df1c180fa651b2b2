/* GET /api/state: the five answers, and the numbers behind them. */
#ifndef OPERATE_PAGE_STATE_H
#define OPERATE_PAGE_STATE_H

#include "operate/page/facts.h"

struct page_about {
    int64_t started_us; /* wall clock */
    bool has_token;
};

/** Append the JSON. @thread any. */
void state_append(struct page_sources *sources, const struct page_about *about, struct buffer *out);

#endif
