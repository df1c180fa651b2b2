/* Crash points, counted and raised. */
#include "common/failpoint.h"

#define FAILPOINT_NAME(constant, name) name,
const char *const failpoint_names[] = {FAILPOINT_LIST(FAILPOINT_NAME)};

#ifdef KEEPSTEP_FAILPOINTS
#include "common/log.h"
#include "common/status.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

static pthread_once_t failpoint_once = PTHREAD_ONCE_INIT;
static int failpoint_chosen = -1;
static long failpoint_left = 1;
static int failpoint_signal = SIGKILL;

static void failpoint_refuse(const char *variable, const char *text, const char *what)
{
    struct error err = ERROR_INIT;
    (void)error_set(error_config(&err), STATUS_FATAL, "%s=%s: no such %s", variable, text, what);
    log_error("failpoint", "%s", err.text);
    exit(error_exit_code(&err));
}

static void failpoint_load(void)
{
    const char *text = getenv("KEEPSTEP_FAILPOINT");
    if (text == NULL || *text == '\0')
        return;
    size_t length = strcspn(text, ":");
    for (int i = 0; i < FAILPOINT_COUNT; i++) {
        if (strlen(failpoint_names[i]) == length && memcmp(failpoint_names[i], text, length) == 0)
            failpoint_chosen = i;
    }
    const char *rest = text + length;
    char *end = NULL;
    if (*rest == ':' && strcmp(rest, ":stop") != 0) {
        failpoint_left = strtol(rest + 1, &end, 10);
        rest = end;
    }
    bool stops = strcmp(rest, ":stop") == 0;
    if (stops)
        failpoint_signal = SIGSTOP;
    if (failpoint_chosen < 0 || failpoint_left < 1 || (!stops && *rest != '\0'))
        failpoint_refuse("KEEPSTEP_FAILPOINT", text, "crash point");
}

void failpoint(enum failpoint_point point)
{
    (void)pthread_once(&failpoint_once, failpoint_load);
    if ((int)point != failpoint_chosen)
        return;
    if (__atomic_sub_fetch(&failpoint_left, 1, __ATOMIC_SEQ_CST) == 0)
        (void)raise(failpoint_signal);
}

#define FAILPOINT_RULE_NAME(constant, name) name,
static const char *const failpoint_rule_names[] = {FAILPOINT_RULE_LIST(FAILPOINT_RULE_NAME)};
static pthread_once_t failpoint_rule_once = PTHREAD_ONCE_INIT;
static int failpoint_rule_off = -1;

static void failpoint_load_rule(void)
{
    const char *text = getenv("KEEPSTEP_RULE_OFF");
    if (text == NULL || *text == '\0')
        return;
    for (int i = 0; i < FAILPOINT_RULE_COUNT; i++) {
        if (strcmp(failpoint_rule_names[i], text) == 0)
            failpoint_rule_off = i;
    }
    if (failpoint_rule_off < 0)
        failpoint_refuse("KEEPSTEP_RULE_OFF", text, "rule");
}

bool failpoint_rule_is_off(enum failpoint_rule rule)
{
    (void)pthread_once(&failpoint_rule_once, failpoint_load_rule);
    return (int)rule == failpoint_rule_off;
}
#endif
