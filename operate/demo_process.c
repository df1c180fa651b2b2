/* The demo's child processes; none outlives it. */
#include "operate/demo.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define DEMO_LOG_TAIL 300

static void demo_exec(const char *log_path, const char *const *arguments)
{
    char *argv[16] = {(char[]){"keepstep"}};
    for (size_t i = 0; arguments[i] != NULL && i < 14; i++)
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
