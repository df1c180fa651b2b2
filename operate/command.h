/* What the subcommands share: the table of them, their common flags, and one way to end. */
#ifndef OPERATE_COMMAND_H
#define OPERATE_COMMAND_H

#include "common/status.h"

#include <stdatomic.h>

#define COMMAND_OVERRIDES_MAX 64

/** One subcommand. `run` gets argv from its own name on and returns a sysexits code. */
struct command {
    const char *name;
    const char *arguments; /* "[FILE]" for the usage line */
    const char *summary;   /* one line for the overview */
    const char *examples;  /* what --help leads with */
    int (*run)(const struct command *command, int argc, char **argv);
};

/** A flag of one subcommand's own; the common ones (--config, --set, --json, --help, --log-level)
 * are always there. */
struct command_flag {
    const char *name;  /* without the dashes */
    const char *value; /* "SECONDS"; NULL: takes none */
    const char *description;
    const char **ret_value; /* set to the value, or to "" for a flag without one */
};

/** The common flags, filled by command_parse(). */
struct command_line {
    const char *config_path; /* "keepstep.yaml" unless given */
    const char *overrides[COMMAND_OVERRIDES_MAX];
    size_t override_count;
    bool json;
    char **arguments; /* what is left */
    int argument_count;
};

/** Read the flags; prints help or the usage error itself.
 * @return -1 to go on, else the exit code to end with. */
int command_parse(const struct command *command, const struct command_flag *flags,
                  size_t flag_count, int argc, char **argv, struct command_line *ret_line);

/** @return the bytes of an argument that an error may repeat: behind its first word a URL with a
 * password can stand. */
int command_word_length(const char *argument);

/** Let every command that a text names from now on have the flags of this one, quoted. */
void command_advise_flags(const struct command_line *line);

/** Print a line on stderr; commands in backquotes are completed. */
void command_say(const char *format, ...) PRINTF_LIKE(1, 2);

/** Print `err` as "keepstep: …" on stderr. @return its exit code. */
int command_fail(const struct error *err);

/** Set by SIGTERM and SIGINT once command_catch_signals() was called. */
extern atomic_bool command_stop;
void command_catch_signals(void);

extern const struct command command_agent, command_broker, command_config, command_demo,
    command_healthcheck, command_init, command_lag, command_outbox, command_parked, command_publish,
    command_relay, command_run, command_schema, command_status;

#endif
