/* A real Prometheus scrapes three services on three databases: every rule and every panel of the
 * dashboard has series, and what is stopped fires its own alerts and no other. labels: early */
#include "tests/support/prometheus.h"
#include "tests/support/repair.h"
#include "tests/support/trio.h"

#include "common/clock.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

#define DASHBOARD    KEEPSTEP_SOURCE_DIR "/deploy/grafana/dashboards/keepstep.json"
#define LOOK_US      (300 * 1000)
#define FIRES_MS     90000 /* a few seconds, on a machine that is not busy */
#define SETTLES_MS   120000
#define STAYS_MS     3000
#define FILLED_MS    90000
#define BURST        3000
#define PANELS_LEAST 30
#define RULES_LEAST  30

struct watch {
    struct trio *trio;
    struct prometheus prometheus;
    int rows; /* that were written */
};

/* The rows of the service on SQLite keep all numbers moving. */
static const char *look(struct watch *watch)
{
    watch->rows++;
    (void)database_text(
        watch->trio->services[DATABASE_SQLITE].url,
        test_format("INSERT INTO visits VALUES (%d, 'n', '1.50', 0.1)", 100 + watch->rows));
    clock_sleep_us(LOOK_US);
    return prometheus_firing(&watch->prometheus);
}

/* @return whether each word of `firing` is one of `allowed`; both as prometheus_firing() has them.
 */
static bool is_part(const char *firing, const char *allowed)
{
    for (const char *at = firing; *at != '\0'; at += strcspn(at, " ") + 1) {
        const char *word = test_format("%.*s ", (int)strcspn(at, " "), at);
        if (strstr(allowed, word) == NULL)
            return false;
    }
    return true;
}

/* Wait until exactly these alerts fire. The test fails if another one does meanwhile: neither of
 * `wanted` nor of `before`. */
static void expect_firing(struct watch *watch, const char *before, const char *wanted,
                          int64_t limit_ms)
{
    const char *allowed = test_format("%s%s", before, wanted);
    const char *firing = NULL;
    int64_t begun = clock_monotonic_us();
    do {
        firing = look(watch);
        if (!is_part(firing, allowed))
            test_fail("only \"%s\" should fire, and so does: %s", allowed, firing);
        if (clock_monotonic_us() - begun > limit_ms * 1000)
            test_fail("\"%s\" fires, not \"%s\"", firing, wanted);
    } while (strcmp(firing, wanted) != 0);
    print_message("after %.1f s: %s\n", (double)(clock_monotonic_us() - begun) / 1e6, firing);
}

/* They fire, and no other does for a while. */
static void expect_alerts_behind(struct watch *watch, const char *before, const char *wanted)
{
    expect_firing(watch, before, wanted, FIRES_MS);
    int64_t until = clock_monotonic_us() + STAYS_MS * 1000;
    while (clock_monotonic_us() < until) {
        const char *firing = look(watch);
        if (strcmp(firing, wanted) != 0)
            test_fail("\"%s\" fires, not \"%s\"", firing, wanted);
    }
}

static void expect_alerts(struct watch *watch, const char *wanted)
{
    expect_alerts_behind(watch, "", wanted);
}

static void expect_quiet(struct watch *watch, const char *before)
{
    expect_firing(watch, before, "", SETTLES_MS);
}

static struct sidecar *service(const struct watch *watch, enum database_kind kind)
{
    return &watch->trio->services[kind];
}

/* Its relay has no lease while it stops and starts. On a busy machine that outlasts the seconds to
 * which this test shortens the alert's minute. */
static void stop_a_sidecar(struct watch *watch, enum database_kind kind)
{
    struct sidecar *stopped = service(watch, kind);
    const char *absent = test_format("KeepstepSidecarAbsent/%s ", stopped->name);
    const char *leaving = test_format("KeepstepRelayNotPublishing/%s ", stopped->name);
    sidecar_stop(stopped);
    expect_alerts_behind(watch, leaving, absent);
    sidecar_start(stopped, NULL);
    expect_quiet(watch, test_format("%s%s", absent, leaving));
}

static const char *database_down(const struct watch *watch, enum database_kind kind)
{
    return test_format("KeepstepDatabaseDown/%s ", service(watch, kind)->name);
}

static void stop_a_database(struct watch *watch, enum database_kind kind)
{
    database_stop(kind);
    expect_alerts(watch, database_down(watch, kind));
    database_start(kind);
    expect_quiet(watch, database_down(watch, kind));
}

/* It accepts connections and answers nothing, while its relay has events under way. */
static void freeze_a_database(struct watch *watch, enum database_kind kind)
{
    (void)database_text(service(watch, kind)->url,
                        test_format("INSERT INTO orders SELECT i, 'n', 1.5, 0.1 FROM "
                                    "generate_series(1001, %d) AS i",
                                    1000 + BURST));
    database_pause(kind);
    expect_alerts(watch, database_down(watch, kind));
    database_continue(kind);
    expect_quiet(watch, database_down(watch, kind));
}

/* Nothing is wrong while a copy gets the rows of another one. */
static void fill_a_copy(struct watch *watch)
{
    const struct sidecar *copy = service(watch, DATABASE_SQLITE);
    const char *const argv[] = {KEEPSTEP_BINARY,
                                "fill",
                                "product",
                                "-c",
                                copy->config,
                                "--from",
                                service(watch, DATABASE_POSTGRESQL)->name,
                                "--again",
                                NULL};
    struct process *fill = process_start("fill", argv, NULL);
    int64_t until = clock_monotonic_us() + FILLED_MS * 1000;
    while (process_running(fill)) {
        const char *firing = look(watch);
        if (firing[0] != '\0' || clock_monotonic_us() > until)
            test_fail("\"%s\" fires during a fill: %s", firing, process_errors(fill));
    }
    if (process_wait(fill, 1000) != 0)
        test_fail("the fill: %s", process_errors(fill));
}

/* A copy's rows are changed by hand. The sidecars compare all copies by themselves. */
static void make_a_copy_differ(struct watch *watch)
{
    static const char differs[] = "KeepstepCopyNotEqual/ ";
    const struct sidecar *copy = service(watch, DATABASE_POSTGRESQL);
    trio_plant(watch->trio, DATABASE_POSTGRESQL, "visits");
    expect_alerts(watch, differs);
    assert_int_equal(
        prometheus_count(&watch->prometheus,
                         "max by (copy, result) (keepstep_verify_rows{type=\"visit\","
                         "copy=~\"post/.*\",result=~\"different|missing|extra\"}) == 1"),
        3);
    struct process_result repair = REPAIR(copy, service(watch, DATABASE_SQLITE), "visit");
    if (repair.exit_code != 0)
        test_fail("%d: %s%s", repair.exit_code, repair.output, repair.errors);
    expect_quiet(watch, differs);
}

static void stop_the_broker(struct watch *watch)
{
    static const char down[] = "KeepstepBrokerDown/lite KeepstepBrokerDown/maria "
                               "KeepstepBrokerDown/post ";
    kafka_kill(watch->trio->kafka);
    expect_alerts(watch, down);
    kafka_start_again(watch->trio->kafka);
    expect_quiet(watch, down);
}

/* An event of a type that nobody has configured: both copies of the topic must not pass it. */
static void stop_a_partition(struct watch *watch)
{
    static const char *const headers[] = {
        "ce_specversion", "1.0",     "ce_id",         "1", "ce_source",
        "elsewhere",      "ce_type", "ghost.created", NULL};
    (void)kafka_produce(watch->trio->kafka, sidecar_topic("order"), 0, "{\"id\":1}", "{\"id\":1}",
                        headers);
    expect_alerts(watch, "KeepstepPartitionStopped/lite KeepstepPartitionStopped/maria ");
    assert_int_equal(
        prometheus_count(&watch->prometheus, "keepstep_stop_info{reason=\"unknown_type\"} == 1"),
        2);
}

/* Until the first scrape there is no target. */
static void expect_scraped(struct watch *watch)
{
    int64_t until = clock_monotonic_us() + FIRES_MS * 1000;
    while (prometheus_count(&watch->prometheus, "up{job=\"keepstep\"} == 1") < VERIFY_KINDS) {
        if (clock_monotonic_us() > until)
            test_fail("not all sidecars are scraped");
        (void)look(watch);
    }
    expect_quiet(watch, "KeepstepSidecarAbsent/ ");
}

static void expect_series(const struct watch *watch, const char *what, const char *expression)
{
    if (prometheus_count(&watch->prometheus, expression) == 0)
        test_fail("%s has no series: %s", what, expression);
}

static bool is_name(char letter)
{
    return isalnum((unsigned char)letter) || letter == '_' || letter == ':';
}

/* @return whether the comparison at `at` says when an alert is not wanted: "unless on (…) NAME". */
static bool is_exception(const char *expression, const char *at)
{
    const char *name = at;
    while (name > expression && is_name(name[-1]))
        name--;
    if (name - expression < 3 || name[-1] != ' ' || name[-2] != ')')
        return false;
    const char *open = name - 2;
    while (open > expression && *open != '(')
        open--;
    const char *end = "unless on ";
    size_t length = strlen(end);
    return (size_t)(open - expression) >= length && strncmp(open - length, end, length) == 0;
}

/* @return an alert's expression that has a value wherever it compares one. The run is shorter than
 * a minute. */
static const char *without_comparisons(const char *expression)
{
    static const char *const operators[] = {" > ", " < ", " == "};
    const char *text = "";
    const char *rest = expression;
    for (const char *at = expression; *at != '\0'; at++) {
        for (size_t i = 0; i < sizeof operators / sizeof *operators; i++) {
            size_t length = strlen(operators[i]);
            if (strncmp(at, operators[i], length) != 0 || is_exception(expression, at))
                continue;
            text = test_format("%s%.*sbool ", text, (int)(at - rest) + (int)length, rest);
            rest = at + length;
        }
    }
    return test_replace(test_format("%s%s", text, rest), "offset 1m", "offset 2s");
}

static void check_rule(const struct watch *watch, const json_t *rule)
{
    const char *name = json_string_value(json_object_get(rule, "name"));
    const char *type = json_string_value(json_object_get(rule, "type"));
    const char *query = json_string_value(json_object_get(rule, "query"));
    const char *health = json_string_value(json_object_get(rule, "health"));
    if (strcmp(health, "ok") != 0)
        test_fail("%s is %s: %s", name, health,
                  json_string_value(json_object_get(rule, "lastError")));
    if (strcmp(type, "recording") == 0)
        expect_series(watch, "a recording rule", name);
    else
        expect_series(watch, name, without_comparisons(query));
}

static void every_rule_has_series(const struct watch *watch)
{
    size_t count = 0;
    size_t i;
    json_t *group;
    json_t *data = prometheus_ask(&watch->prometheus, "rules");
    json_array_foreach(json_object_get(data, "groups"), i, group)
    {
        const json_t *rules = json_object_get(group, "rules");
        for (size_t j = 0; j < json_array_size(rules); j++, count++)
            check_rule(watch, json_array_get(rules, j));
    }
    json_decref(data);
    assert_true(count >= RULES_LEAST);
}

static void check_panel_expression(const struct watch *watch, const char *title,
                                   const char *expression)
{
    expression = test_replace(expression, "$__rate_interval", "1m");
    expression = test_replace(expression, "$service", ".*");
    expression = test_replace(expression, "$type", ".*");
    if (strchr(expression, '$') != NULL)
        test_fail("%s: an unknown variable in %s", title, expression);
    expect_series(watch, title, expression);
}

/* "label_values(METRIC, LABEL)" */
static void check_variable(const struct watch *watch, const json_t *variable)
{
    char metric[128];
    char label[64];
    const char *definition = json_string_value(json_object_get(variable, "definition"));
    if (definition == NULL)
        return; /* the datasource */
    assert_int_equal(sscanf(definition, "label_values(%127[a-z_], %63[a-z])", metric, label), 2);
    expect_series(watch, "a variable", test_format("%s{%s!=\"\"}", metric, label));
}

static void every_panel_has_series(const struct watch *watch)
{
    size_t count = 0;
    size_t i;
    json_t *panel;
    json_t *variable;
    json_error_t error;
    json_t *dashboard = json_load_file(DASHBOARD, JSON_REJECT_DUPLICATES, &error);
    if (dashboard == NULL)
        test_fail("%s:%d: %s", DASHBOARD, error.line, error.text);
    json_array_foreach(json_object_get(dashboard, "panels"), i, panel)
    {
        const char *title = json_string_value(json_object_get(panel, "title"));
        const json_t *targets = json_object_get(panel, "targets");
        count += json_array_size(targets) > 0;
        for (size_t j = 0; j < json_array_size(targets); j++)
            check_panel_expression(
                watch, title,
                json_string_value(json_object_get(json_array_get(targets, j), "expr")));
    }
    json_array_foreach(json_object_get(json_object_get(dashboard, "templating"), "list"), i,
                       variable) check_variable(watch, variable);
    json_decref(dashboard);
    assert_true(count >= PANELS_LEAST);
}

/* So that what is told of joint transactions has series too. */
static void make_a_type_joint(const struct watch *watch, enum database_kind kind)
{
    const char *config = service(watch, kind)->config;
    const char *type = verify_dialects[kind].entity_type;
    const char *entry = test_format("publish:\n  %s: {table", type);
    const char *text = test_read_file(config);
    assert_non_null(strstr(text, entry));
    test_write_file(
        config, test_replace(text, entry, test_format("publish:\n  %s: {joint: [], table", type)));
}

static void
what_is_stopped_fires_its_alerts_and_no_other_and_every_expression_has_series(void **state)
{
    struct trio trio;
    struct watch watch = {.trio = &trio};
    struct prometheus_target targets[VERIFY_KINDS];
    (void)state;
    trio_make(&trio, "verify: {every_s: 2}\ntopics: {retention_s: 604800}\n");
    for (size_t i = 0; i < VERIFY_KINDS; i++)
        targets[i] = (struct prometheus_target){trio.services[i].name,
                                                sidecar_listen(&trio.services[i])};
    make_a_type_joint(&watch, DATABASE_SQLITE);
    for (size_t i = 0; i < VERIFY_KINDS; i++)
        sidecar_begin(&trio.services[i]);
    trio_insert(&trio);
    trio_settle(&trio);
    watch.prometheus = prometheus_start(targets, VERIFY_KINDS);
    expect_scraped(&watch);
    fill_a_copy(&watch);
    make_a_copy_differ(&watch);
    for (size_t i = 0; i < VERIFY_KINDS; i++)
        stop_a_sidecar(&watch, (enum database_kind)i);
    stop_a_database(&watch, DATABASE_POSTGRESQL);
    stop_a_database(&watch, DATABASE_MARIADB);
    freeze_a_database(&watch, DATABASE_POSTGRESQL);
    stop_the_broker(&watch);
    stop_a_partition(&watch);
    every_rule_has_series(&watch);
    every_panel_has_series(&watch);
    prometheus_stop(&watch.prometheus);
    trio_end(&trio);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_WITH_LIMIT(
            what_is_stopped_fires_its_alerts_and_no_other_and_every_expression_has_series, 600),
    };
    return TEST_RUN(tests);
}
