/* What Grafana is given agrees with itself: provisioning, dashboard, Prometheus, compose file. */
#include "tests/support/test.h"

#include "schemas/config/internal.h"

#define DATASOURCES "deploy/grafana/provisioning/datasources/keepstep.yml"
#define PROVIDERS   "deploy/grafana/provisioning/dashboards/keepstep.yml"
#define DASHBOARD   "deploy/grafana/dashboards/keepstep.json"
#define PROMETHEUS  "deploy/prometheus/prometheus.yml"
#define COMPOSE     "docker-compose.yml"

static json_t *read_yaml(const char *file)
{
    const char *text = test_read_file(test_format("%s/%s", KEEPSTEP_SOURCE_DIR, file));
    struct config_marks marks = {0};
    struct error err = ERROR_INIT;
    json_t *tree = NULL;
    if (text == NULL || config_yaml_parse(text, strlen(text), &tree, &marks, &err) != STATUS_OK)
        test_fail("%s:%s", file, err.text);
    config_marks_done(&marks);
    return tree;
}

static json_t *read_dashboard(void)
{
    json_error_t error;
    json_t *tree = json_load_file(test_format("%s/%s", KEEPSTEP_SOURCE_DIR, DASHBOARD),
                                  JSON_REJECT_DUPLICATES, &error);
    if (tree == NULL)
        test_fail("%s:%d: %s", DASHBOARD, error.line, error.text);
    return tree;
}

static const json_t *member(const json_t *tree, const char *name)
{
    const json_t *value = json_object_get(tree, name);
    if (value == NULL)
        test_fail("there is no \"%s\"", name);
    return value;
}

static const char *text_of(const json_t *tree, const char *name)
{
    const char *text = json_string_value(member(tree, name));
    if (text == NULL)
        test_fail("\"%s\" is no text", name);
    return text;
}

/* Grafana reads past a member that it does not know. */
static void expect_known(const json_t *tree, const char *names)
{
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)tree, name, value)
    {
        if (strstr(names, test_format(" %s ", name)) == NULL)
            test_fail("\"%s\" is none of%s", name, names);
    }
}

/* @return the only one of a provisioning file's list. */
static const json_t *only_one(const json_t *tree, const char *list)
{
    expect_known(tree, test_format(" apiVersion %s ", list));
    assert_int_equal(json_integer_value(member(tree, "apiVersion")), 1);
    assert_int_equal(json_array_size(member(tree, list)), 1);
    return json_array_get(member(tree, list), 0);
}

/* Each place that names a datasource names the variable, and its type. @return how many do. */
static size_t expect_variable(const json_t *tree, const char *type)
{
    size_t count = 0;
    size_t i;
    const char *name;
    json_t *value;
    json_array_foreach(tree, i, value) count += expect_variable(value, type);
    json_object_foreach((json_t *)(uintptr_t)tree, name, value)
    {
        if (strcmp(name, "datasource") != 0) {
            count += expect_variable(value, type);
            continue;
        }
        count++;
        assert_string_equal(text_of(value, "type"), type);
        assert_string_equal(text_of(value, "uid"), "${datasource}");
    }
    return count;
}

/* The dashboard's variable begins with the datasource that is provisioned. */
static void the_dashboard_asks_the_datasource_that_is_provisioned(void **state)
{
    (void)state;
    json_t *file = read_yaml(DATASOURCES);
    json_t *dashboard = read_dashboard();
    const json_t *source = only_one(file, "datasources");
    const json_t *variables = member(member(dashboard, "templating"), "list");
    const json_t *variable = json_array_get(variables, 0);
    expect_known(source, " name uid type access url isDefault editable jsonData ");
    assert_string_equal(text_of(variable, "name"), "datasource");
    assert_string_equal(text_of(variable, "type"), "datasource");
    assert_string_equal(text_of(variable, "query"), text_of(source, "type"));
    const json_t *current = member(variable, "current");
    assert_string_equal(text_of(current, "value"), text_of(source, "uid"));
    assert_string_equal(text_of(current, "text"), text_of(source, "name"));
    assert_true(expect_variable(dashboard, text_of(source, "type")) >
                json_array_size(member(dashboard, "panels")));
    json_decref(dashboard);
    json_decref(file);
}

static void the_datasource_is_the_prometheus_of_the_compose_file(void **state)
{
    (void)state;
    json_t *file = read_yaml(DATASOURCES);
    json_t *compose = read_yaml(COMPOSE);
    json_t *prometheus = read_yaml(PROMETHEUS);
    const json_t *source = only_one(file, "datasources");
    const json_t *service = member(member(compose, "services"), "prometheus");
    const char *port = strrchr(json_string_value(json_array_get(member(service, "ports"), 0)), ':');
    assert_string_equal(text_of(source, "access"), "proxy"); /* not from the browser */
    assert_string_equal(text_of(source, "url"), test_format("http://prometheus%s", port));
    assert_string_equal(text_of(member(source, "jsonData"), "timeInterval"),
                        text_of(member(prometheus, "global"), "scrape_interval"));
    json_decref(prometheus);
    json_decref(compose);
    json_decref(file);
}

/* @return the folder in Grafana's container where a folder of this tree is. */
static const char *mounted_at(const json_t *compose, const char *folder)
{
    const json_t *grafana = member(member(compose, "services"), "grafana");
    const char *start = test_format("./%s:", folder);
    size_t i;
    json_t *volume;
    json_array_foreach(member(grafana, "volumes"), i, volume)
    {
        const char *text = json_string_value(volume);
        if (strncmp(text, start, strlen(start)) != 0)
            continue;
        const char *target = text + strlen(start);
        return test_format("%.*s", (int)strcspn(target, ":"), target);
    }
    test_fail("%s is not mounted", folder);
}

static void grafana_finds_the_dashboard_where_it_is_mounted(void **state)
{
    (void)state;
    json_t *file = read_yaml(PROVIDERS);
    json_t *compose = read_yaml(COMPOSE);
    const json_t *provider = only_one(file, "providers");
    expect_known(provider, " name folder type disableDeletion allowUiUpdates options ");
    assert_string_equal(text_of(provider, "type"), "file");
    expect_known(member(provider, "options"), " path ");
    assert_string_equal(text_of(member(provider, "options"), "path"),
                        mounted_at(compose, "deploy/grafana/dashboards"));
    assert_string_equal(mounted_at(compose, "deploy/grafana/provisioning"),
                        "/etc/grafana/provisioning"); /* where Grafana looks */
    json_decref(compose);
    json_decref(file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_dashboard_asks_the_datasource_that_is_provisioned),
        TEST(the_datasource_is_the_prometheus_of_the_compose_file),
        TEST(grafana_finds_the_dashboard_where_it_is_mounted),
    };
    return TEST_RUN(tests);
}
