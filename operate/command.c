/* Flags, help and errors, the same in every subcommand. */
#include "operate/command.h"

#include "common/advice.h"
#include "common/log.h"
#include "common/plain.h"
#include "common/utf8.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

atomic_bool command_stop;

static void command_on_signal(int signal_number)
{
    (void)signal_number;
    atomic_store(&command_stop, true);
}

void command_catch_signals(void)
{
    /* SA_RESETHAND: the second signal ends the process at once. */
    struct sigaction action = {.sa_handler = command_on_signal, .sa_flags = (int)SA_RESETHAND};
    (void)sigaction(SIGTERM, &action, NULL);
    (void)sigaction(SIGINT, &action, NULL);
    (void)signal(SIGPIPE, SIG_IGN);
}

void command_say(const char *format, ...)
{
    char text[ERROR_TEXT_SIZE * 2];
    char complete[ERROR_TEXT_SIZE * 2 + ADVICE_FLAGS_SIZE];
    va_list args;
    va_start(args, format);
    utf8_vformat(text, sizeof text, format, args);
    va_end(args);
    plain_make_lines(text, strlen(text));
    advice_complete(text, complete, sizeof complete);
    fprintf(stderr, "%s\n", complete);
}

void command_print(struct buffer *out, bool json)
{
    if (!json && out->data != NULL)
        plain_make_lines(out->data, out->length);
    fputs(buffer_text(out), stdout);
}

void command_advise_flags(const struct command_line *line)
{
    char flags[ADVICE_FLAGS_SIZE] = " -c ";
    bool fits = advice_quote(line->config_path, flags, sizeof flags);
    for (size_t i = 0; fits && i < line->override_count; i++) {
        size_t used = strlen(flags);
        fits = used + sizeof " -s " < sizeof flags;
        if (fits)
            memcpy(flags + used, " -s ", sizeof " -s ");
        fits = fits && advice_quote(line->overrides[i], flags, sizeof flags);
    }
    advice_set_flags(fits ? flags : "");
}

void command_needs_owner(void)
{
    advice_set_rights("; this needs the login that owns the service's tables, in MariaDB one with "
                      "all privileges on the database: give it in `database:` or "
                      "KEEPSTEP_DATABASE, and run the command again");
}

void command_print_sql(const char *comment, const char *sql)
{
    int length = (int)strlen(sql);
    while (length > 0 && sql[length - 1] == '\n')
        length--;
    printf("-- %s.\n%.*s;\n", comment, length, sql);
}

int command_fail(const struct error *err)
{
    command_say("keepstep: %s", err->text);
    return error_exit_code(err);
}

int command_word_length(const char *argument)
{
    static const char word[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";
    return (int)strspn(argument, word);
}

enum { COMMAND_CONFIG, COMMAND_SET, COMMAND_JSON, COMMAND_HELP };

const struct command_flag command_common_flags[] = {
    [COMMAND_CONFIG] = {"config", "FILE", "the service's configuration; default: keepstep.yaml"},
    [COMMAND_SET] = {"set", "KEY=VALUE", "override one key, such as kafka.bootstrap.servers=…"},
    [COMMAND_JSON] = {"json", NULL, "print data as JSON"},
    [COMMAND_HELP] = {"help", NULL, "show this text"},
};
const char command_common_letters[] = {'c', 's', '\0', 'h'};
const size_t command_common_flag_count = sizeof command_common_flags / sizeof *command_common_flags;

static void command_help_flag(const struct command_flag *flag, char letter)
{
    const char letters[] = {'-', letter, ',', ' ', '\0'};
    char name[64];
    (void)snprintf(name, sizeof name, "%s--%s%s%s", letter == '\0' ? "" : letters, flag->name,
                   flag->value == NULL ? "" : " ", flag->value == NULL ? "" : flag->value);
    printf("  %-26s %s\n", name, flag->description);
}

static int command_help(const struct command *command)
{
    printf("%s\n\nExamples:\n%s\nUsage: keepstep %s [flags] %s\n\nFlags:\n", command->summary,
           command->examples, command->name, command->arguments);
    for (size_t i = 0; i < command->flag_count; i++)
        command_help_flag(&command->flags[i], '\0');
    for (size_t i = 0; i < command_common_flag_count; i++) {
        if (i != COMMAND_JSON || !command->without_json)
            command_help_flag(&command_common_flags[i], command_common_letters[i]);
    }
    return EX_OK;
}

static bool command_flag_is(const struct command_flag *flag, const char *argument)
{
    size_t length = strlen(flag->name);
    return strncmp(argument, "--", 2) == 0 && strncmp(argument + 2, flag->name, length) == 0 &&
           (argument[2 + length] == '\0' || argument[2 + length] == '=');
}

/* @return the flag of an argument, NULL for none. */
static const struct command_flag *command_flag_find(const struct command_flag *flags, size_t count,
                                                    const char *argument)
{
    for (size_t i = 0; i < count; i++) {
        if (command_flag_is(&flags[i], argument))
            return &flags[i];
    }
    return NULL;
}

/* The same of the common flags, by their letters too. */
static const struct command_flag *command_flag_find_common(const char *argument)
{
    for (size_t i = 0; argument[1] != '-' && i < command_common_flag_count; i++) {
        if (argument[1] == command_common_letters[i] && argument[2] == '\0')
            return &command_common_flags[i];
    }
    return command_flag_find(command_common_flags, command_common_flag_count, argument);
}

/* @return the value of the flag at argv[*index], "" where it takes none; NULL was complained of. */
static const char *command_flag_value(const struct command *command,
                                      const struct command_flag *flag, char **argv, int *index)
{
    const char *inline_value = strchr(argv[*index], '=');
    if (flag->value == NULL && inline_value == NULL)
        return "";
    if (flag->value == NULL) {
        fprintf(stderr, "keepstep %s: --%s takes no value\n", command->name, flag->name);
        return NULL;
    }
    if (inline_value != NULL)
        return inline_value + 1;
    if (argv[*index + 1] == NULL)
        fprintf(stderr, "keepstep %s: --%s needs a value: --%s %s\n", command->name, flag->name,
                flag->name, flag->value);
    return argv[*index + 1] == NULL ? NULL : argv[++*index];
}

/* @return whether one more override was taken. */
static bool command_override(const struct command *command, const char *override,
                             struct command_line *line)
{
    if (line->override_count == COMMAND_OVERRIDES_MAX || strchr(override, '=') == NULL) {
        fprintf(stderr, "keepstep %s: --set wants KEY=VALUE, at most %d times\n", command->name,
                COMMAND_OVERRIDES_MAX);
        return false;
    }
    line->overrides[line->override_count++] = override;
    return true;
}

/* A flag of the command itself. @return -1 to go on, else the exit code to end with. */
static int command_take_own(const struct command *command, const struct command_flag *flag,
                            const char *value, struct command_line *line)
{
    line->flags[flag - command->flags] = value;
    if (command->repeated_flag == NULL || strcmp(command->repeated_flag, flag->name) != 0)
        return -1;
    if (line->repeated_count == COMMAND_REPEATED_MAX) {
        fprintf(stderr, "keepstep %s: --%s may be given at most %d times\n", command->name,
                flag->name, COMMAND_REPEATED_MAX);
        return EX_USAGE;
    }
    line->repeated[line->repeated_count++] = value;
    return -1;
}

static int command_refuse(const struct command *command, const char *why, const char *argument)
{
    fprintf(stderr, "keepstep %s: %s %.*s; see keepstep %s --help\n", command->name, why,
            command_word_length(argument), argument, command->name);
    return EX_USAGE;
}

/* The flag at argv[*index]. @return -1 to go on, else the exit code to end with. */
static int command_take_flag(const struct command *command, char **argv, int *index,
                             struct command_line *line)
{
    const char *argument = argv[*index];
    const struct command_flag *common = command_flag_find_common(argument);
    const struct command_flag *flag = common;
    if (flag == NULL)
        flag = command_flag_find(command->flags, command->flag_count, argument);
    if (flag == NULL)
        return command_refuse(command, "unknown flag", argument);
    const char *value = command_flag_value(command, flag, argv, index);
    if (value == NULL)
        return EX_USAGE;
    if (common == NULL)
        return command_take_own(command, flag, value, line);
    if (common == &command_common_flags[COMMAND_CONFIG])
        line->config_path = value;
    else if (common == &command_common_flags[COMMAND_JSON] && command->without_json)
        return command_refuse(command, "it prints no data, so it has no", argument);
    else if (common == &command_common_flags[COMMAND_JSON])
        line->json = true;
    else if (common == &command_common_flags[COMMAND_HELP])
        return command_help(command);
    else
        return command_override(command, value, line) ? -1 : EX_USAGE;
    return -1;
}

int command_refuse_json(const struct command *command, const struct command_line *line,
                        const char *verb)
{
    if (!line->json)
        return -1;
    fprintf(stderr,
            "keepstep %s %s: it prints no data, so it has no --json; see keepstep %s --help\n",
            command->name, verb, command->name);
    return EX_USAGE;
}

int command_parse(const struct command *command, int argc, char **argv,
                  struct command_line *ret_line)
{
    *ret_line = (struct command_line){.config_path = "keepstep.yaml", .arguments = argv};
    for (int i = 1; i < argc; i++) {
        bool is_flag = argv[i][0] == '-' && argv[i][1] != '\0';
        int code = is_flag ? command_take_flag(command, argv, &i, ret_line) : -1;
        if (code >= 0)
            return code;
        if (!is_flag)
            ret_line->arguments[ret_line->argument_count++] = argv[i];
    }
    if (*command->arguments == '\0' && ret_line->argument_count > 0)
        return command_refuse(command, "takes no argument", ret_line->arguments[0]);
    return -1;
}
