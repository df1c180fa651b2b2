/* Starts and ends the Kafka of a test program. */
#include "tests/support/kafka.h"

#include "tests/support/kafka_private.h"
#include "tests/support/process.h"

#include <signal.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#define KAFKA_SCRIPT   KEEPSTEP_SOURCE_DIR "/tests/support/kafka/kafka.sh"
#define KAFKA_START_MS 60000
#define KAFKA_FETCH_MS 600000

static struct kafka shared;

static void kafka_done(void)
{
    if (shared.client != NULL && shared.owner == getpid())
        rd_kafka_destroy(shared.client);
    shared.client = NULL;
}

static void kafka_fetch_or_skip(void)
{
    static bool done;
    static const char *problem;
    if (!done) {
        const char *const fetch[] = {KAFKA_SCRIPT, "fetch", NULL};
        struct process_result result = process_run_untimed(fetch, KAFKA_FETCH_MS);
        if (result.exit_code != 0 && result.exit_code != EX_UNAVAILABLE)
            test_fail("no Kafka: %s", result.errors);
        if (result.exit_code != 0)
            problem = test_format("no Kafka: %s", result.errors);
        done = true;
    }
    if (problem != NULL)
        test_skip("%.*s", (int)strcspn(problem, "\n"), problem);
}

static struct process *kafka_start_process(const struct kafka *kafka, const char *name,
                                           const char *const argv[])
{
    const char *const environment[] = {
        test_format("TEST_KAFKA_CONFIG=%s", kafka->line == NULL ? "" : kafka->line),
        test_format("TEST_KAFKA_CONTROLLER=%d", kafka->controller_port), NULL};
    unsigned int left = alarm(0); /* a start is not the test's time */
    struct process *process = process_start(name, argv, environment);
    if (!process_wait_for(process, "Kafka Server started", KAFKA_START_MS)) {
        process_kill(process);
        test_fail("Kafka does not start:\n%s\n%s", process_output(process),
                  process_errors(process));
    }
    (void)alarm(left);
    return process;
}

static void kafka_run(struct kafka *kafka)
{
    const char *port = test_format("%d", kafka->port);
    const char *const run[] = {KAFKA_SCRIPT, "run", kafka->directory, port, NULL};
    kafka->process = kafka_start_process(kafka, "kafka", run);
}

struct process *kafka_join(struct kafka *kafka, int node)
{
    static int starts;
    const char *text = test_read_file(test_format("%s/server.properties", kafka->directory));
    const char *voters = strstr(text, "controller.quorum.voters=");
    const char *port = strrchr(test_format("%.*s", (int)strcspn(voters, "\n"), voters), ':') + 1;
    const char *name = test_format("kafka%d-%d", node, ++starts);
    const char *directory = test_format("%s/node%d", kafka->directory, node);
    const char *const join[] = {KAFKA_SCRIPT, "join",
                                directory,    test_format("%d", process_free_port()),
                                port,         test_format("%d", node),
                                NULL};
    return kafka_start_process(kafka, name, join);
}

struct kafka *kafka_start(void)
{
    return kafka_start_at(shared.directory == NULL ? process_free_port() : shared.port);
}

struct kafka *kafka_start_at(int port)
{
    kafka_fetch_or_skip();
    if (shared.directory == NULL) {
        shared.directory = test_directory_shared();
        shared.port = port;
        shared.controller_port = process_free_port();
        shared.bootstrap = test_format("127.0.0.1:%d", shared.port);
        shared.owner = getpid();
        (void)atexit(kafka_done);
    }
    kafka_start_again(&shared);
    return &shared;
}

void kafka_configure(const char *line)
{
    shared.line = line;
}

const char *kafka_bootstrap(const struct kafka *kafka)
{
    return kafka->bootstrap;
}

void kafka_stop(struct kafka *kafka)
{
    (void)process_stop(kafka->process, 30000);
}

void kafka_kill(struct kafka *kafka)
{
    process_kill(kafka->process);
}

void kafka_start_again(struct kafka *kafka)
{
    if (kafka->process == NULL || !process_running(kafka->process))
        kafka_run(kafka);
}

void kafka_pause(struct kafka *kafka)
{
    process_signal(kafka->process, SIGSTOP);
}

void kafka_continue(struct kafka *kafka)
{
    process_signal(kafka->process, SIGCONT);
}
