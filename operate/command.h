/* What the subcommands share: the table of them, their common flags, and one way to end. */
#ifndef OPERATE_COMMAND_H
#define OPERATE_COMMAND_H

#include "common/buffer.h"

#include <stdatomic.h>

#define COMMAND_OVERRIDES_MAX 64
#define COMMAND_FLAGS_MAX     8
#define COMMAND_REPEATED_MAX  15

/** A flag: the parser, --help, the man page and the completion read it. */
struct command_flag {
    const char *name;  /* without the dashes */
    const char *value; /* "SECONDS"; NULL: takes none */
    const char *description;
};

/** One subcommand. `run` gets argv from its own name on and returns a sysexits code. */
struct command {
    const char *name;
    const char *arguments; /* "list | show ID" for the usage line: words in lower case are verbs */
    const char *summary;   /* one line for the overview */
    const char *examples;  /* what --help leads with */
    const struct command_flag *flags; /* its own; the common ones are always there */
    size_t flag_count;                /* at most COMMAND_FLAGS_MAX */
    const char *repeated_flag;        /* the one that may be given several times; NULL: none */
    bool without_json;                /* it prints no data: --json is refused */
    int (*run)(const struct command *command, int argc, char **argv);
};

/** The members `flags` and `flag_count` of a command. */
#define COMMAND_FLAGS(table) .flags = (table), .flag_count = sizeof(table) / sizeof *(table)

/** What every command takes: --config, --set, --json, --help. */
extern const struct command_flag command_common_flags[];
extern const char command_common_letters[]; /* parallel: 'c' for "-c"; 0: only the long form */
extern const size_t command_common_flag_count;

/** All commands, in the order of the overview. */
extern const struct command *const command_list[];
extern const size_t command_count;

/** What was typed, filled by command_parse(); everything is borrowed from argv. */
struct command_line {
    const char *config_path; /* "keepstep.yaml" unless given */
    const char *overrides[COMMAND_OVERRIDES_MAX];
    size_t override_count;
    bool json;
    const char *flags[COMMAND_FLAGS_MAX]; /* parallel to the command's flags: the value, "" for a
                                           * flag without one, NULL where it was not given */
    const char *repeated[COMMAND_REPEATED_MAX]; /* values of the flag that may be repeated */
    size_t repeated_count;
    char **arguments; /* what is left */
    int argument_count;
};

/** Read the flags; prints help or the usage error itself.
 * @return -1 to go on, else the exit code to end with. */
int command_parse(const struct command *command, int argc, char **argv,
                  struct command_line *ret_line);

/** Refuse --json where a verb of the command prints no data.
 * @return -1 to go on, else the exit code to end with. */
int command_refuse_json(const struct command *command, const struct command_line *line,
                        const char *verb);

/** @return the bytes of an argument that an error may repeat: behind its first word a URL with a
 * password can stand. */
int command_word_length(const char *argument);

/** Let every command that a text names from now on have the flags of this one, quoted. */
void command_advise_flags(const struct command_line *line);

/** Let an error for want of a right advise another login than one of the sidecar's roles. */
void command_needs_owner(void);

/** Print a line on stderr, without control characters; commands in backquotes are completed. */
void command_say(const char *format, ...) PRINTF_LIKE(1, 2);

/** Print what a command has written, a text without the control characters that others have put
 * into it. */
void command_print(struct buffer *out, bool json);

/** Print a statement, with a comment before it, for people who run it themselves. */
void command_print_sql(const char *comment, const char *sql);

/** Print `err` as "keepstep: …" on stderr. @return its exit code. */
int command_fail(const struct error *err);

/** Set by SIGTERM and SIGINT once command_catch_signals() was called. */
extern atomic_bool command_stop;
void command_catch_signals(void);

extern const struct command command_agent, command_broker, command_config, command_copies,
    command_demo, command_doctor, command_fill, command_healthcheck, command_init, command_joint,
    command_lag, command_outbox, command_parked, command_pause, command_publish, command_relay,
    command_repair, command_resume, command_run, command_schema, command_status, command_tail,
    command_token, command_topics, command_uninstall, command_verify, command_wait;

#endif
