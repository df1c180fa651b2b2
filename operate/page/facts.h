/* Reads from the atomics of agent and relay what the five questions are answered by. */
#ifndef OPERATE_PAGE_FACTS_H
#define OPERATE_PAGE_FACTS_H

#include "operate/page/fleet.h"
#include "operate/page/history.h"

#include <stdatomic.h>

/** Where the numbers come from. All of it is borrowed. */
struct page_sources {
    const struct metrics_sources *metrics;
    struct history *history;
    struct fleet *fleet;
    atomic_llong disk_free; /* bytes, where the database is a file; -1: not known */
    atomic_llong disk_size;
};

/** The facts, and the texts that they point to. */
struct page_reading {
    struct page_facts facts;
    char stopped_reason[ERROR_TEXT_SIZE];
    char fleet_type[FLEET_NAME_SIZE];
    char fleet_service[FLEET_NAME_SIZE];
};

/** Read all of them. @thread any. */
void page_read(struct page_sources *sources, struct page_reading *ret_reading);

#endif
