/* A real Prometheus that scrapes the sidecars of a test, by the rules of deploy/prometheus/. */
#ifndef TESTS_SUPPORT_PROMETHEUS_H
#define TESTS_SUPPORT_PROMETHEUS_H

#include "tests/support/sidecar.h"

#include "schemas/json.h"

/** A sidecar that is scraped. */
struct prometheus_target {
    const char *service;
    int port;
};

struct prometheus {
    int port;
    struct process *process;
};

/** Start it, scraping once a second, with the rules that deploy/prometheus/ has. An alert waits a
 * fifteenth of its `for:`. Skips the test without the program. */
struct prometheus prometheus_start(const struct prometheus_target *targets, size_t count);
void prometheus_stop(struct prometheus *prometheus);

/** Ask its API: GET /api/v1/`path`. The test fails if the answer is no success. @param path  with
 * what needs it escaped. @return the answer's "data", for json_decref(). */
json_t *prometheus_ask(const struct prometheus *prometheus, const char *path);

/** @return how many series an expression has now; the test fails if it cannot be evaluated. */
size_t prometheus_count(const struct prometheus *prometheus, const char *expression);

/** @return the alerts that fire now: "NAME/SERVICE" each, sorted, with a space behind each; "" for
 * none. An alert that fires several times for a service is there once. */
const char *prometheus_firing(const struct prometheus *prometheus);

#endif
