/* Starts Debian's prometheus on a free port, and reads its HTTP API. */
#include "tests/support/prometheus.h"

#include "tests/support/http.h"

#include "common/buffer.h"

#include <ctype.h>
#include <stdlib.h>

#define RULES       KEEPSTEP_SOURCE_DIR "/deploy/prometheus/keepstep.rules.yml"
#define TEXT_MAX    ((size_t)1024 * 1024)
#define FOR         "        for: "
#define FOR_DIVISOR 15
#define FIRING_MAX  64
#define START_MS    30000

/* Write the rules with shorter times until an alert fires. */
static void write_rules(void)
{
    struct buffer text;
    buffer_init(&text, TEXT_MAX);
    for (const char *at = test_read_file(RULES); *at != '\0';) {
        size_t length = strcspn(at, "\n") + 1;
        if (strncmp(at, FOR, strlen(FOR)) == 0) {
            char *unit = NULL;
            long value = strtol(at + strlen(FOR), &unit, 10);
            long scale = *unit == 'h' ? 3600 : *unit == 'm' ? 60 : 1;
            buffer_append_format(&text, "%s%lds\n", FOR, value * scale / FOR_DIVISOR);
        } else {
            buffer_append(&text, at, length);
        }
        at += length;
    }
    test_write_file(test_path("keepstep.rules.yml"), buffer_text(&text));
    buffer_done(&text);
}

static void write_configuration(const struct prometheus_target *targets, size_t count)
{
    const char *text =
        "global: {scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}\n"
        "rule_files: [keepstep.rules.yml]\n"
        "scrape_configs:\n"
        "  - job_name: keepstep\n"
        "    honor_labels: true\n"
        "    static_configs:\n";
    for (size_t i = 0; i < count; i++)
        text = test_format("%s      - targets: ['127.0.0.1:%d']\n        labels: {service: %s}\n",
                           text, targets[i].port, targets[i].service);
    test_write_file(test_path("prometheus.yml"), text);
}

/* HTTP/1.0 has no chunks. */
static struct http_reply get(const struct prometheus *prometheus, const char *path)
{
    return http_send_raw(prometheus->port, test_format("GET %s HTTP/1.0\r\n\r\n", path));
}

static bool is_there(void *context)
{
    return get(context, "/-/ready").code == 200;
}

struct prometheus prometheus_start(const struct prometheus_target *targets, size_t count)
{
    if (PROCESS_RUN("sh", "-c", "command -v prometheus").exit_code != 0)
        test_skip("prometheus is not installed");
    write_rules();
    write_configuration(targets, count);
    struct prometheus prometheus = {.port = process_free_port()};
    const char *const argv[] = {"prometheus",
                                test_format("--config.file=%s", test_path("prometheus.yml")),
                                test_format("--storage.tsdb.path=%s", test_path("tsdb")),
                                test_format("--web.listen-address=127.0.0.1:%d", prometheus.port),
                                "--log.level=warn",
                                NULL};
    prometheus.process = process_start("prometheus", argv, NULL);
    if (!test_wait(is_there, &prometheus, START_MS))
        test_fail("prometheus does not answer: %s", process_errors(prometheus.process));
    return prometheus;
}

void prometheus_stop(struct prometheus *prometheus)
{
    assert_int_equal(process_stop(prometheus->process, 20000), 0);
}

json_t *prometheus_ask(const struct prometheus *prometheus, const char *path)
{
    json_error_t error;
    struct http_reply reply = get(prometheus, test_format("/api/v1/%s", path));
    json_t *answer = json_loads(reply.body, 0, &error);
    const char *verdict = json_string_value(json_object_get(answer, "status"));
    if (reply.code != 200 || verdict == NULL || strcmp(verdict, "success") != 0)
        test_fail("%s: %d %s", path, reply.code, reply.body);
    json_t *data = json_incref(json_object_get(answer, "data"));
    json_decref(answer);
    return data;
}

static json_t *prometheus_query(const struct prometheus *prometheus, const char *expression)
{
    struct buffer path;
    buffer_init(&path, TEXT_MAX);
    buffer_append_text(&path, "query?query=");
    for (const char *at = expression; *at != '\0'; at++) {
        if (isalnum((unsigned char)*at))
            buffer_append(&path, at, 1);
        else
            buffer_append_format(&path, "%%%02X", (unsigned)(unsigned char)*at);
    }
    json_t *data = prometheus_ask(prometheus, buffer_text(&path));
    buffer_done(&path);
    return data;
}

size_t prometheus_count(const struct prometheus *prometheus, const char *expression)
{
    json_t *data = prometheus_query(prometheus, expression);
    size_t count = json_array_size(json_object_get(data, "result"));
    json_decref(data);
    return count;
}

static int compare_texts(const void *left, const void *right)
{
    return strcmp(*(const char *const *)left, *(const char *const *)right);
}

const char *prometheus_firing(const struct prometheus *prometheus)
{
    const char *names[FIRING_MAX];
    const char *text = "";
    json_t *data = prometheus_query(
        prometheus, "count by (alertname, service) (ALERTS{alertstate=\"firing\"})");
    const json_t *result = json_object_get(data, "result");
    size_t count = json_array_size(result);
    assert_true(count <= FIRING_MAX);
    for (size_t i = 0; i < count; i++) {
        const json_t *labels = json_object_get(json_array_get(result, i), "metric");
        const char *service = json_string_value(json_object_get(labels, "service"));
        names[i] = test_format("%s/%s", json_string_value(json_object_get(labels, "alertname")),
                               service == NULL ? "" : service);
    }
    json_decref(data);
    if (count > 0)
        qsort(names, count, sizeof *names, compare_texts);
    for (size_t i = 0; i < count; i++)
        text = test_format("%s%s ", text, names[i]);
    return text;
}
