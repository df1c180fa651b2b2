/* All that a sidecar serves over HTTP: the page, its API, and what machines ask for. */
#ifndef OPERATE_PAGE_PAGE_H
#define OPERATE_PAGE_PAGE_H

#include "operate/page/actions.h"
#include "operate/page/state.h"
#include "operate/wait/waiters.h"

struct page;

/** Serve on the service's `listen:`. @param sources  and `service`: borrowed, and so is `fleet`.
 * @return OK with NULL where HTTP is switched off; FATAL (the address, or the token); RETRY (no
 * memory). */
enum status page_open(const struct service *service, const struct metrics_sources *sources,
                      struct fleet *fleet, struct page **ret_page, struct error *err) MUST_CHECK;

/** NULL is a no-op. page_run(), page_run_actions() and page_run_waiters() have returned. */
void page_close(struct page *page);

/** Keep the history, until `stop` is set. @thread one of its own; so are the next two. */
void page_run(struct page *page, const atomic_bool *stop);

/** Answer what is asked of parked records, and at /wait. */
void page_run_actions(struct page *page, const atomic_bool *stop);
void page_run_waiters(struct page *page, const atomic_bool *stop);

#endif
