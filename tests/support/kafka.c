/* Starts and ends the Kafka of a test program. */
#include "tests/support/kafka.h"

#include "tests/support/kafka_private.h"
#include "tests/support/process.h"

#include <signal.h>
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
        if (result.exit_code != 0)
            problem = test_format("no Kafka: %s", result.errors);
        done = true;
    }
    if (problem != NULL)
        test_skip("%.*s", (int)strcspn(problem, "\n"), problem);
}

static void kafka_run(struct kafka *kafka)
{
    const char *port = test_format("%d", kafka->port);
    const char *const run[] = {KAFKA_SCRIPT, "run", kafka->directory, port, NULL};
    const char *const environment[] = {
        test_format("TEST_KAFKA_CONFIG=%s", kafka->line == NULL ? "" : kafka->line), NULL};
    kafka->process = process_start("kafka", run, environment);
    if (!process_wait_for(kafka->process, "Kafka Server started", KAFKA_START_MS)) {
        process_kill(kafka->process);
        test_fail("Kafka does not start:\n%s\n%s", process_output(kafka->process),
                  process_errors(kafka->process));
    }
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
