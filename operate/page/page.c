/* One table says which handler answers which path. */
#include "operate/page/page.h"

#include "common/clock.h"
#include "common/digest.h"
#include "operate/page/asset.h"
#include "schemas/joint_record.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#define PAGE_TEXT_MAX   ((size_t)4 * 1024 * 1024)
#define PAGE_TICK_US    (INT64_C(100) * 1000)
#define PAGE_STEP_US    (INT64_C(1000) * 1000 * HISTORY_STEP_S)
#define PAGE_HOSTS_MAX  32
#define PAGE_INDEX      "index.html"
#define PAGE_ROUTES_MAX 16

struct page {
    const struct service *service;
    const struct metrics_sources *metrics;
    struct page_sources sources;
    struct page_about about;
    struct history history;
    struct page_token token;
    struct actions *actions;
    struct waiters *waiters;
    struct http *http;
    char *host_texts;                  /* a copy of listen_hosts:, cut into names */
    const char *hosts[PAGE_HOSTS_MAX]; /* in it */
    size_t host_count;
    struct http_route routes[PAGE_ROUTES_MAX];
    size_t route_count;
};

static void give_text(struct http_request *request, enum http_code code, const char *content_type,
                      const struct buffer *text)
{
    const struct http_answer answer = {
        .code = code, .content_type = content_type, .body = buffer_slice(text)};
    if (text->failed)
        http_refuse(request, HTTP_UNAVAILABLE, "there is no memory for the answer", NULL);
    else
        http_give(request, &answer);
}

static void serve_health(void *context, struct http_request *request)
{
    (void)context;
    const struct http_answer answer = {.code = HTTP_OK,
                                       .content_type = "text/plain; charset=utf-8",
                                       .body = slice_of("ok\n"),
                                       .is_constant = true};
    http_give(request, &answer);
}

static void serve_readiness(void *context, struct http_request *request)
{
    struct page *page = context;
    struct buffer text;
    buffer_init(&text, PAGE_TEXT_MAX);
    bool ready = metrics_ready((void *)(uintptr_t)page->metrics, &text);
    if (text.length == 0)
        buffer_append_text(&text, ready ? "ready" : "no progress");
    buffer_append_text(&text, "\n");
    give_text(request, ready ? HTTP_OK : HTTP_UNAVAILABLE, "text/plain; charset=utf-8", &text);
    buffer_done(&text);
}

static void serve_metrics(void *context, struct http_request *request)
{
    struct page *page = context;
    struct buffer text;
    buffer_init(&text, PAGE_TEXT_MAX);
    metrics_render((void *)(uintptr_t)page->metrics, &text);
    give_text(request, HTTP_OK, "text/plain; version=0.0.4; charset=utf-8", &text);
    buffer_done(&text);
}

static void serve_state(void *context, struct http_request *request)
{
    struct page *page = context;
    struct buffer body;
    buffer_init(&body, PAGE_TEXT_MAX);
    state_append(&page->sources, &page->about, &body);
    http_give_json(request, HTTP_OK, &body);
    buffer_done(&body);
}

static void serve_history(void *context, struct http_request *request)
{
    struct page *page = context;
    enum history_span span = history_span_of(http_parameter(request, "seconds"));
    if (span == HISTORY_SPANS) {
        http_refuse(request, HTTP_BAD_REQUEST, "there is no history of so many seconds",
                    "write seconds=900, seconds=3600 or seconds=86400");
        return;
    }
    struct buffer body;
    buffer_init(&body, PAGE_TEXT_MAX);
    history_append(&page->history, span, &body);
    http_give_json(request, HTTP_OK, &body);
    buffer_done(&body);
}

static void serve_fleet(void *context, struct http_request *request)
{
    struct page *page = context;
    struct buffer body;
    buffer_init(&body, PAGE_TEXT_MAX);
    fleet_append(page->sources.fleet, &body);
    http_give_json(request, HTTP_OK, &body);
    buffer_done(&body);
}

/* A browser asks with the ETag that it has whether the file is still the same. */
static void serve_asset(struct http_request *request, const char *name)
{
    const char *known = http_header(request, "If-None-Match");
    const struct asset *asset = page_assets;
    char etag[24];
    while (asset->name != NULL && strcmp(asset->name, name) != 0)
        asset++;
    if (asset->name == NULL) {
        http_refuse(request, HTTP_NOT_FOUND, "there is no such file", "see /");
        return;
    }
    (void)snprintf(etag, sizeof etag, "\"%016" PRIx64 "\"", digest_64(asset->bytes));
    struct http_answer answer = {.code = HTTP_OK,
                                 .content_type = asset->content_type,
                                 .body = asset->bytes,
                                 .is_constant = true,
                                 .etag = etag};
    if (known != NULL && strstr(known, etag) != NULL) {
        answer.code = HTTP_NOT_MODIFIED;
        answer.body = (struct slice){"", 0};
    }
    http_give(request, &answer);
}

static void serve_index(void *context, struct http_request *request)
{
    (void)context;
    serve_asset(request, PAGE_INDEX);
}

static void serve_assets(void *context, struct http_request *request)
{
    (void)context;
    serve_asset(request, http_part(request));
}

/* Health checks, Prometheus and services ask by whatever name they know, and get nothing that a web
 * site in somebody's browser would want. */
static void page_make_routes(struct page *page)
{
    const struct http_route routes[] = {
        {"GET", "/", serve_index, page, false, false, 0},
        {"GET", "/assets/*", serve_assets, page, false, false, 0},
        {"GET", "/metrics", serve_metrics, page, false, true, 0},
        {"GET", "/healthz", serve_health, page, false, true, 0},
        {"GET", "/readyz", serve_readiness, page, false, true, 0},
        {"GET", "/wait", waiters_page, page->waiters, true, true, 0},
        {"GET", "/api/state", serve_state, page, false, false, 0},
        {"GET", "/api/history", serve_history, page, false, false, 0},
        {"GET", "/api/fleet", serve_fleet, page, false, false, 0},
        {"GET", "/api/parked", actions_list, page->actions, true, false, 0},
        {"GET", "/api/parked/*", actions_show, page->actions, true, false, 0},
        {"POST", "/api/parked/*/retry", actions_retry, page->actions, true, false, 0},
        {"POST", "/api/parked/*/skip", actions_skip, page->actions, true, false, 0},
        {"GET", "/joint/*", actions_joint_show, page->actions, true, false, 0},
        {"POST", "/joint/*", actions_joint_propose, page->actions, true, false, JOINT_BYTES_MAX},
    };
    _Static_assert(sizeof routes / sizeof *routes <= PAGE_ROUTES_MAX, "more routes than room");
    page->route_count = sizeof routes / sizeof *routes;
    memcpy(page->routes, routes, sizeof routes);
}

static enum status page_read_hosts(struct page *page, struct error *err)
{
    char *rest = NULL;
    page->host_texts = strdup(page->service->config->listen_hosts);
    if (page->host_texts == NULL)
        return error_set(err, STATUS_RETRY, "out of memory");
    for (char *name = strtok_r(page->host_texts, ",", &rest); name != NULL;
         name = strtok_r(NULL, ",", &rest)) {
        if (page->host_count == PAGE_HOSTS_MAX)
            return error_set(error_config(err), STATUS_FATAL,
                             "listen_hosts: has more than %d names; leave some out",
                             PAGE_HOSTS_MAX);
        page->hosts[page->host_count++] = name;
    }
    return STATUS_OK;
}

static enum status page_serve(struct page *page, struct error *err)
{
    page_make_routes(page);
    const struct http_options options = {.listen = page->service->config->listen,
                                         .routes = page->routes,
                                         .route_count = page->route_count,
                                         .hosts = page->hosts,
                                         .host_count = page->host_count};
    return http_open(&options, &page->http, err);
}

enum status page_open(const struct service *service, const struct metrics_sources *sources,
                      struct fleet *fleet, struct page **ret_page, struct error *err)
{
    *ret_page = NULL;
    if (service->config->listen[0] == '\0')
        return STATUS_OK;
    struct page *page = calloc(1, sizeof *page);
    if (page == NULL)
        return error_set(err, STATUS_RETRY, "out of memory");
    page->service = service;
    page->metrics = sources;
    history_init(&page->history, sources);
    page->sources = (struct page_sources){
        .metrics = sources, .history = &page->history, .fleet = fleet, .disk_free = -1};
    enum status status = page_token_init(&page->token, service->config, err);
    page->about = (struct page_about){.started_us = clock_wall_us(),
                                      .has_token = page->token.secret[0] != '\0'};
    if (status == STATUS_OK)
        status = page_read_hosts(page, err);
    if (status == STATUS_OK)
        status = actions_new(service, &page->token, fleet, &page->actions, err);
    if (status == STATUS_OK)
        status = waiters_new(service, wait_look, &page->waiters, err);
    if (status == STATUS_OK)
        status = page_serve(page, err);
    if (status == STATUS_OK)
        *ret_page = page;
    else
        page_close(page);
    return status;
}

void page_close(struct page *page)
{
    if (page == NULL)
        return;
    http_close(page->http);
    waiters_free(page->waiters);
    actions_free(page->actions);
    page_token_done(&page->token);
    history_done(&page->history);
    free(page->host_texts);
    free(page);
}

static void page_measure_disk(struct page *page)
{
    struct statvfs disk;
    const char *path = page->service->config->database_path;
    if (path[0] != '/' || statvfs(path, &disk) != 0)
        return;
    atomic_store(&page->sources.disk_free, (long long)(disk.f_bavail * disk.f_frsize));
    atomic_store(&page->sources.disk_size, (long long)(disk.f_blocks * disk.f_frsize));
}

/* After a machine has slept, a step is as long as the sleep: its rate is right, its place is not.
 */
void page_run(struct page *page, const atomic_bool *stop)
{
    int64_t next_us = clock_monotonic_us();
    while (!atomic_load(stop)) {
        int64_t now_us = clock_monotonic_us();
        if (now_us >= next_us) {
            next_us = now_us - next_us > PAGE_STEP_US ? now_us + PAGE_STEP_US
                                                      : next_us + PAGE_STEP_US;
            history_sample(&page->history, now_us, clock_wall_us());
            page_measure_disk(page);
        }
        actions_expire(page->actions);
        clock_sleep_us(PAGE_TICK_US);
    }
}

void page_run_actions(struct page *page, const atomic_bool *stop)
{
    actions_run(page->actions, stop);
}

void page_run_waiters(struct page *page, const atomic_bool *stop)
{
    waiters_run(page->waiters, stop);
}
