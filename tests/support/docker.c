/* Calls docker/docker.sh: an engine, its images, one compose project. */
#include "tests/support/docker.h"

#include "common/clock.h"

#include <sysexits.h>
#include <unistd.h>

#define DOCKER_SCRIPT    KEEPSTEP_SOURCE_DIR "/tests/support/docker/docker.sh"
#define DOCKER_ARGUMENTS 32
#define DOCKER_CALL_MS   120000
#define DOCKER_BUILD_MS  900000
#define DOCKER_LOOK_US   200000

static const char *directory; /* NULL until an engine answers */
static pid_t owner;

/* Run docker.sh, or with the command "docker" the client itself. */
static struct process_result docker_call(const char *command, const char *const arguments[],
                                         int64_t limit_ms)
{
    const char *argv[DOCKER_ARGUMENTS + 1] = {DOCKER_SCRIPT, command, directory};
    size_t count = 3;
    if (strcmp(command, "docker") == 0) {
        argv[0] = command;
        count = 1;
    }
    for (size_t i = 0; arguments != NULL && arguments[i] != NULL; i++) {
        assert_true(count < DOCKER_ARGUMENTS);
        argv[count++] = arguments[i];
    }
    argv[count] = NULL;
    return process_run(argv, NULL, limit_ms);
}

static const char *docker_must(const char *command, const char *const arguments[], int64_t limit_ms)
{
    struct process_result result = docker_call(command, arguments, limit_ms);
    if (result.exit_code != 0)
        test_fail("%s %s ended with %d: %s%s", command,
                  arguments == NULL || arguments[0] == NULL ? "" : arguments[0], result.exit_code,
                  result.output, result.errors);
    size_t length = strlen(result.output);
    if (length > 0 && result.output[length - 1] == '\n')
        length--;
    return test_format("%.*s", (int)length, result.output);
}

static void docker_end(void)
{
    if (getpid() == owner)
        (void)docker_call("end", NULL, DOCKER_CALL_MS);
}

/* The ports that docker-compose.yml names may be taken by others. */
static void docker_choose_ports(void)
{
    static const char *const names[] = {"KAFKA",
                                        "KAFKA_2",
                                        "KAFKA_3",
                                        "ORDERS",
                                        "CUSTOMERS",
                                        "BILLING",
                                        "ORDERS_KEEPSTEP",
                                        "CUSTOMERS_KEEPSTEP",
                                        "BILLING_KEEPSTEP",
                                        "PROMETHEUS",
                                        "GRAFANA"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        assert_int_equal(
            setenv(test_format("%s_PORT", names[i]), test_format("%d", process_free_port()), 1), 0);
}

/* Let the client find an engine that docker.sh has started. */
static void docker_choose_host(void)
{
    const char *host = test_read_file(test_format("%s/host", directory));
    if (host != NULL)
        assert_int_equal(
            setenv("DOCKER_HOST", test_format("%.*s", (int)strcspn(host, "\n"), host), 1), 0);
}

/* @return NULL if the project runs, otherwise the reason. */
static const char *docker_begin(void)
{
    docker_choose_ports();
    directory = test_directory_shared();
    struct process_result result = docker_call("begin", NULL, DOCKER_CALL_MS);
    if (result.exit_code == 0) {
        owner = getpid();
        (void)atexit(docker_end);
        docker_choose_host();
        result = docker_call("images", NULL, DOCKER_BUILD_MS);
    }
    if (result.exit_code == EX_UNAVAILABLE)
        return result.errors;
    if (result.exit_code != 0)
        test_fail("docker.sh ended with %d: %s%s", result.exit_code, result.output, result.errors);
    return NULL;
}

const char *docker_up(void)
{
    static bool done;
    static const char *problem = "the project did not come up for an earlier test";
    static const char *printed;
    if (!done) {
        done = true;
        unsigned int left = alarm(0); /* downloads and builds do not count as the test's time */
        problem = docker_begin();
        (void)alarm(left);
        if (problem == NULL)
            printed = DOCKER_RUN("up");
    }
    if (problem != NULL)
        test_skip("%.*s", (int)strcspn(problem, "\n"), problem);
    return printed;
}

const char *docker_run(const char *const arguments[])
{
    return docker_must("run", arguments, DOCKER_BUILD_MS);
}

const char *docker_output(const char *const arguments[])
{
    return docker_must("docker", arguments, DOCKER_CALL_MS);
}

struct process_result docker_exec(const char *service, const char *const arguments[])
{
    const char *all[DOCKER_ARGUMENTS] = {"exec", docker_container(service)};
    size_t count = 2;
    for (size_t i = 0; arguments[i] != NULL; i++) {
        assert_true(count < DOCKER_ARGUMENTS - 1);
        all[count++] = arguments[i];
    }
    return docker_call("docker", all, DOCKER_CALL_MS);
}

const char *docker_container(const char *service)
{
    const char *id = DOCKER("ps", "-a", "-q", "--filter",
                            test_format("label=com.docker.compose.project=%s", docker_project()),
                            "--filter",
                            test_format("label=com.docker.compose.service=%s", service));
    if (*id == '\0' || strchr(id, '\n') != NULL)
        test_fail("not one container of %s: \"%s\"", service, id);
    return id;
}

const char *docker_inspect(const char *service, const char *template)
{
    return DOCKER("inspect", "-f", template, docker_container(service));
}

struct docker_health {
    const char *container;
    const char *status;
    const char *last;
};

static bool docker_health_is(void *context)
{
    struct docker_health *health = context;
    clock_sleep_us(DOCKER_LOOK_US); /* each poll starts a program */
    health->last = DOCKER("inspect", "-f", "{{.State.Health.Status}}", health->container);
    return strcmp(health->last, health->status) == 0;
}

void docker_wait_health(const char *service, const char *status, int64_t limit_ms)
{
    struct docker_health health = {.container = docker_container(service), .status = status};
    if (!test_wait(docker_health_is, &health, limit_ms))
        test_fail("%s is %s, not %s: %s", service, health.last, status,
                  DOCKER("logs", "--tail", "20", health.container));
}

const char *docker_project(void)
{
    static const char *project;
    if (project == NULL)
        project = docker_must("project", NULL, DOCKER_CALL_MS);
    return project;
}

const char *docker_secret(const char *name)
{
    return test_format("%s/secrets/%s", directory, name);
}
