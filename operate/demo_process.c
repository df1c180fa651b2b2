/* The demo's child processes; none outlives it. */
#include "operate/demo.h"

#include "common/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define DEMO_LOG_TAIL      300
#define DEMO_ARGUMENTS     16
#define DEMO_START_WAIT_US (20 * (int64_t)1000000)

static void demo_exec(const char *log_path, const char *const *arguments)
{
    char *argv[DEMO_ARGUMENTS] = {(char[]){"keepstep"}};
    for (size_t i = 0; arguments[i] != NULL && i < DEMO_ARGUMENTS - 2; i++)
        argv[i + 1] = (char *)(uintptr_t)arguments[i];
    int log = open(log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (log < 0 || dup2(log, STDOUT_FILENO) < 0 || dup2(log, STDERR_FILENO) < 0)
        _exit(127);
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    (void)execv("/proc/self/exe", argv);
    _exit(127);
}

enum status demo_start(const struct demo *demo, const char *log, const char *const *arguments,
                       pid_t *ret_process, struct error *err)
{
    char log_path[DEMO_PATH_SIZE + 64];
    (void)snprintf(log_path, sizeof log_path, "%s/%s", demo->directory, log);
    pid_t process = fork();
    if (process == 0)
        demo_exec(log_path, arguments);
    if (process < 0)
        return error_set(err, STATUS_FATAL, "could not start a process: %s", strerror(errno));
    *ret_process = process;
    return STATUS_OK;
}

static void demo_log_tail(const struct demo *demo, const char *log, char tail[DEMO_LOG_TAIL])
{
    char path[DEMO_PATH_SIZE + 64];
    (void)snprintf(path, sizeof path, "%s/%s", demo->directory, log);
    tail[0] = '\0';
    FILE *file = fopen(path, "r");
    if (file == NULL)
        return;
    if (fseek(file, -(DEMO_LOG_TAIL - 1), SEEK_END) != 0)
        rewind(file);
    size_t length = fread(tail, 1, DEMO_LOG_TAIL - 1, file);
    tail[length] = '\0';
    (void)fclose(file);
}

enum status demo_call(const struct demo *demo, const char *log, const char *const *arguments,
                      struct error *err)
{
    pid_t process = 0;
    int result = 0;
    enum status status = demo_start(demo, log, arguments, &process, err);
    if (status != STATUS_OK)
        return status;
    if (waitpid(process, &result, 0) < 0 || !WIFEXITED(result) || WEXITSTATUS(result) != 0) {
        char tail[DEMO_LOG_TAIL];
        demo_log_tail(demo, log, tail);
        return error_set(err, STATUS_FATAL, "keepstep %s failed: …%s", arguments[0], tail);
    }
    return STATUS_OK;
}

void demo_stop(pid_t *process, int signal_number)
{
    if (*process > 0 && kill(*process, signal_number) == 0)
        (void)waitpid(*process, NULL, 0);
    *process = 0;
}

enum status demo_start_broker(struct demo *demo, const char *const *topics, struct error *err)
{
    char path[DEMO_PATH_SIZE + 64];
    (void)snprintf(path, sizeof path, "%s/broker.address", demo->directory);
    const char *arguments[DEMO_ARGUMENTS] = {"broker", "--address-file", path};
    if (!demo->own_broker)
        return STATUS_OK;
    for (int i = 0; topics[i] != NULL && i < DEMO_ARGUMENTS - 4; i++)
        arguments[i + 3] = topics[i];
    enum status status = demo_start(demo, "broker.log", arguments, &demo->broker, err);
    if (status != STATUS_OK)
        return status;
    int64_t deadline = clock_monotonic_us() + DEMO_START_WAIT_US;
    FILE *file = NULL;
    while ((file = fopen(path, "r")) == NULL && clock_monotonic_us() < deadline)
        clock_sleep_us(20000);
    if (file == NULL || fgets(demo->bootstrap, sizeof demo->bootstrap, file) == NULL)
        status = error_set(err, STATUS_FATAL, "the broker did not start, see %s/broker.log",
                           demo->directory);
    if (file != NULL)
        (void)fclose(file);
    demo->bootstrap[strcspn(demo->bootstrap, "\n")] = '\0';
    return status;
}

enum status demo_start_sidecar(struct demo *demo, int service, struct error *err)
{
    char config[DEMO_PATH_SIZE + 64];
    char log[64];
    (void)snprintf(config, sizeof config, "%s/%s.yaml", demo->directory, demo->services[service]);
    (void)snprintf(log, sizeof log, "%s.log", demo->services[service]);
    const char *const arguments[] = {"run", "--config", config, NULL};
    return demo_start(demo, log, arguments, &demo->sidecars[service], err);
}

enum status demo_start_services(struct demo *demo, struct error *err)
{
    enum status status = STATUS_OK;
    for (int service = 0; status == STATUS_OK && service < DEMO_SERVICES; service++) {
        char config[DEMO_PATH_SIZE + 64];
        (void)snprintf(config, sizeof config, "%s/%s.yaml", demo->directory,
                       demo->services[service]);
        const char *const arguments[] = {"init", "--config", config, NULL};
        status = demo_call(demo, "init.log", arguments, err);
        if (status == STATUS_OK)
            status = demo_start_sidecar(demo, service, err);
    }
    return status;
}

void demo_end(struct demo *demo)
{
    for (int service = 0; service < DEMO_SERVICES; service++)
        demo_stop(&demo->sidecars[service], SIGTERM);
    demo_stop(&demo->broker, SIGTERM);
    if (demo->keep) {
        printf("\nBroker and sidecars have ended. What the demo made is removed by:\n");
        demo_say_clean(demo);
    }
}
