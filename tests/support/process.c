/* Starts, watches and ends programs for a test. */
#include "tests/support/process.h"

#include "common/clock.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <regex.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#define PORT_FIRST           10000
#define PORT_COUNT           20000
#define PORT_TRIES           100
#define EXIT_CODE_TIME_LIMIT 124
#define EXIT_CODE_NO_PROGRAM 127

struct process {
    struct process *next;
    pid_t id;
    bool ended;
    bool stopped; /* it was seen stopped by a signal */
    int exit_code;
    const char *name;
    const char *output_path;
    const char *errors_path;
};

static struct process *processes;
static pid_t processes_owner;

static void process_kill_all(void)
{
    if (getpid() != processes_owner)
        return;
    while (processes != NULL) {
        struct process *process = processes;
        processes = process->next;
        process_kill(process);
        free(process);
    }
}

static void process_redirect(const char *path, int descriptor)
{
    int file = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (file < 0 || dup2(file, descriptor) < 0)
        _exit(EXIT_CODE_NO_PROGRAM);
}

/* Become the program, in the child after fork(). Never returns. */
static void process_become(const struct process *process, const char *const argv[],
                           const char *const environment[], pid_t parent)
{
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(EXIT_CODE_NO_PROGRAM);
    (void)signal(SIGALRM, SIG_DFL);
    for (size_t i = 0; environment != NULL && environment[i] != NULL; i++)
        (void)putenv((char *)(uintptr_t)environment[i]);
    int nothing = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (nothing < 0 || dup2(nothing, STDIN_FILENO) < 0)
        _exit(EXIT_CODE_NO_PROGRAM);
    process_redirect(process->output_path, STDOUT_FILENO);
    process_redirect(process->errors_path, STDERR_FILENO);
    (void)execvp(argv[0], (char *const *)(uintptr_t)argv);
    (void)dprintf(STDERR_FILENO, "cannot start %s: %s\n", argv[0], strerror(errno));
    _exit(EXIT_CODE_NO_PROGRAM);
}

struct process *process_start(const char *name, const char *const argv[],
                              const char *const environment[])
{
    static unsigned int started;
    struct process *process = calloc(1, sizeof *process);
    if (process == NULL)
        abort();
    started++;
    process->name = name;
    process->output_path = test_path("%s.%u.stdout", name, started);
    process->errors_path = test_path("%s.%u.stderr", name, started);
    if (processes_owner == 0) {
        processes_owner = getpid();
        (void)atexit(process_kill_all);
    }
    process->next = processes;
    processes = process;
    (void)fflush(NULL);
    pid_t parent = getpid();
    process->id = fork();
    if (process->id == 0)
        process_become(process, argv, environment, parent);
    if (process->id < 0) {
        process->ended = true;
        test_fail("fork: %s", strerror(errno));
    }
    return process;
}

static bool process_ended(void *context)
{
    struct process *process = context;
    if (process->ended)
        return true;
    int status = 0;
    if (waitpid(process->id, &status, WNOHANG | WUNTRACED) != process->id)
        return false;
    process->stopped = WIFSTOPPED(status);
    if (process->stopped)
        return false;
    process->ended = true;
    process->exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    return true;
}

int process_wait(struct process *process, int64_t limit_ms)
{
    return test_wait(process_ended, process, limit_ms) ? process->exit_code : -1;
}

bool process_running(struct process *process)
{
    return !process_ended(process);
}

static bool process_stands(void *context)
{
    struct process *process = context;
    return process_ended(process) || process->stopped;
}

bool process_wait_stopped(struct process *process, int64_t limit_ms)
{
    return test_wait(process_stands, process, limit_ms) && process->stopped;
}

struct process_catching {
    struct process *process;
    int signal_number;
};

static bool process_catches(void *context)
{
    const struct process_catching *catching = context;
    char line[256];
    unsigned long long caught = 0;
    if (process_ended(catching->process))
        return true;
    FILE *status = fopen(test_format("/proc/%d/status", process_id(catching->process)), "re");
    while (status != NULL && fgets(line, sizeof line, status) != NULL) {
        if (sscanf(line, "SigCgt: %llx", &caught) == 1)
            break;
    }
    if (status != NULL)
        (void)fclose(status);
    return (caught >> (catching->signal_number - 1) & 1) != 0;
}

bool process_wait_catches(struct process *process, int signal_number, int64_t limit_ms)
{
    struct process_catching catching = {process, signal_number};
    return test_wait(process_catches, &catching, limit_ms);
}

int process_id(const struct process *process)
{
    return process->id;
}

int64_t process_memory_kib(const struct process *process, const char *what)
{
    char line[256];
    int64_t found = 0;
    size_t length = strlen(what);
    FILE *status = fopen(test_format("/proc/%d/status", process_id(process)), "re");
    assert_non_null(status);
    while (found == 0 && fgets(line, sizeof line, status) != NULL) {
        if (strncmp(line, what, length) == 0 && line[length] == ':')
            found = strtoll(line + length + 1, NULL, 10);
    }
    (void)fclose(status);
    assert_true(found > 0);
    return found;
}

void process_signal(struct process *process, int signal_number)
{
    if (process_running(process))
        (void)kill(process->id, signal_number);
}

void process_kill(struct process *process)
{
    process_signal(process, SIGKILL);
    (void)process_wait(process, 10000);
}

int process_stop(struct process *process, int64_t limit_ms)
{
    process_signal(process, SIGTERM);
    if (process_wait(process, limit_ms) < 0)
        process_kill(process);
    return process->exit_code;
}

const char *process_output(const struct process *process)
{
    const char *text = test_read_file(process->output_path);
    return text == NULL ? "" : text;
}

const char *process_errors(const struct process *process)
{
    const char *text = test_read_file(process->errors_path);
    return text == NULL ? "" : text;
}

struct process_search {
    struct process *process;
    regex_t expression;
    bool found;
};

static bool process_matches(const regex_t *expression, const char *path)
{
    char *text = test_load_file(path);
    bool matches = text != NULL && regexec(expression, text, 0, NULL, 0) == 0;
    free(text);
    return matches;
}

static bool process_search(void *context)
{
    struct process_search *search = context;
    bool ended = process_ended(search->process);
    search->found = process_matches(&search->expression, search->process->output_path) ||
                    process_matches(&search->expression, search->process->errors_path);
    return search->found || ended;
}

bool process_wait_for(struct process *process, const char *expression, int64_t limit_ms)
{
    struct process_search search = {.process = process};
    int flags = REG_EXTENDED | REG_NOSUB | REG_NEWLINE;
    if (regcomp(&search.expression, expression, flags) != 0)
        test_fail("not a regular expression: %s", expression);
    (void)test_wait(process_search, &search, limit_ms);
    regfree(&search.expression);
    return search.found;
}

struct process_result process_run(const char *const argv[], const char *const environment[],
                                  int64_t limit_ms)
{
    struct process *process = process_start("run", argv, environment);
    int exit_code = process_wait(process, limit_ms);
    if (exit_code < 0) {
        process_kill(process);
        exit_code = EXIT_CODE_TIME_LIMIT;
    }
    return (struct process_result){.exit_code = exit_code,
                                   .output = process_output(process),
                                   .errors = process_errors(process)};
}

struct process_result process_run_untimed(const char *const argv[], int64_t limit_ms)
{
    unsigned int left = alarm(0);
    struct process_result result = process_run(argv, NULL, limit_ms);
    (void)alarm(left);
    return result;
}

struct process_result process_download(const char *what, const char *const argv[], int64_t limit_ms)
{
    struct process_result result = process_run_untimed(argv, limit_ms);
    if (result.exit_code == EX_UNAVAILABLE)
        test_skip("%.*s", (int)strcspn(result.errors, "\n"), result.errors);
    if (result.exit_code != 0)
        test_fail("%s cannot be downloaded: %s", what, result.errors);
    return result;
}

/* Keep a port from the other test programs, and from this one's next question, until this program
 * ends. A socket's name without a file is gone with its process. @return false: it is taken. */
static bool process_reserve_port(uint16_t port)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    int length = snprintf(&name.sun_path[1], sizeof name.sun_path - 1, "keepstep-test-port-%d",
                          (int)port);
    int descriptor = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)length);
    if (bind(descriptor, (struct sockaddr *)&name, size) == 0)
        return true;
    (void)close(descriptor);
    return false;
}

static bool process_is_port_free(uint16_t port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(port)};
    int descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int bound = bind(descriptor, (struct sockaddr *)&address, sizeof address);
    (void)close(descriptor);
    return bound == 0;
}

/* The port is below those of outgoing connections. One of these could take it while a server that
 * will use it again is away. */
int process_free_port(void)
{
    static unsigned int seed;
    if (seed == 0)
        seed = (unsigned int)getpid() ^ (unsigned int)clock_monotonic_us();
    for (int tries = 0; tries < PORT_TRIES; tries++) {
        uint16_t port = (uint16_t)(PORT_FIRST + rand_r(&seed) % PORT_COUNT);
        if (process_is_port_free(port) && process_reserve_port(port))
            return port;
    }
    test_fail("no free port: %s", strerror(errno));
}
