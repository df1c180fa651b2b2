/* Flags, help and errors, the same in every subcommand. */
#include "operate/command.h"

#include "common/advice.h"
#include "common/log.h"

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
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    advice_complete(text, complete, sizeof complete);
    fprintf(stderr, "%s\n", complete);
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

int command_fail(const struct error *err)
{
    command_say("keepstep: %s", err->text);
    return error_exit_code(err);
}

static int command_help(const struct command *command, const struct command_flag *flags,
                        size_t flag_count)
{
    printf("%s\n\nExamples:\n%s\nUsage: keepstep %s [flags] %s\n\nFlags:\n", command->summary,
           command->examples, command->name, command->arguments);
    for (size_t i = 0; i < flag_count; i++) {
        char name[64];
        (void)snprintf(name, sizeof name, "--%s%s%s", flags[i].name,
                       flags[i].value == NULL ? "" : " ",
                       flags[i].value == NULL ? "" : flags[i].value);
        printf("  %-26s %s\n", name, flags[i].description);
    }
    printf("  %-26s %s\n", "-c, --config FILE", "the service's configuration (keepstep.yaml)");
    printf("  %-26s %s\n", "-s, --set KEY=VALUE", "override one key, as kafka.bootstrap.servers=…");
    printf("  %-26s %s\n", "--json", "machine-readable output where there is data");
    printf("  %-26s %s\n", "-h, --help", "this text");
    return EX_OK;
}

/* One flag at argv[*index]; -1 to go on, else an exit code. */
static int command_take_flag(const struct command *command, const struct command_flag *flag,
                             int argc, char **argv, int *index)
{
    const char *inline_value = strchr(argv[*index], '=');
    if (flag->value == NULL) {
        *flag->ret_value = "";
        return -1;
    }
    if (inline_value != NULL) {
        *flag->ret_value = inline_value + 1;
        return -1;
    }
    if (*index + 1 >= argc) {
        fprintf(stderr, "keepstep %s: --%s needs a value: --%s %s\n", command->name, flag->name,
                flag->name, flag->value);
        return EX_USAGE;
    }
    *flag->ret_value = argv[++*index];
    return -1;
}

int command_word_length(const char *argument)
{
    static const char word[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";
    return (int)strspn(argument, word);
}

static bool command_flag_is(const char *argument, const char *name, char letter)
{
    if (letter != '\0' && argument[0] == '-' && argument[1] == letter && argument[2] == '\0')
        return true;
    size_t length = strlen(name);
    return strncmp(argument, "--", 2) == 0 && strncmp(argument + 2, name, length) == 0 &&
           (argument[2 + length] == '\0' || argument[2 + length] == '=');
}

/* A common flag; 0 where it is none of them. */
static int command_common_flag(const struct command *command, int argc, char **argv, int *index,
                               struct command_line *line)
{
    const char *override = NULL;
    const struct command_flag config = {"config", "FILE", NULL, &line->config_path};
    const struct command_flag set = {"set", "KEY=VALUE", NULL, &override};
    if (command_flag_is(argv[*index], "config", 'c'))
        return command_take_flag(command, &config, argc, argv, index);
    if (strcmp(argv[*index], "--json") == 0) {
        line->json = true;
        return -1;
    }
    if (!command_flag_is(argv[*index], "set", 's'))
        return 0;
    int code = command_take_flag(command, &set, argc, argv, index);
    if (code >= 0)
        return code;
    if (line->override_count == COMMAND_OVERRIDES_MAX || strchr(override, '=') == NULL) {
        fprintf(stderr, "keepstep %s: --set wants KEY=VALUE, at most %d times\n", command->name,
                COMMAND_OVERRIDES_MAX);
        return EX_USAGE;
    }
    line->overrides[line->override_count++] = override;
    return -1;
}

int command_parse(const struct command *command, const struct command_flag *flags,
                  size_t flag_count, int argc, char **argv, struct command_line *ret_line)
{
    *ret_line = (struct command_line){.config_path = "keepstep.yaml", .arguments = argv};
    for (int i = 1; i < argc; i++) {
        if (argv[i][0] != '-' || argv[i][1] == '\0') {
            ret_line->arguments[ret_line->argument_count++] = argv[i];
            continue;
        }
        if (command_flag_is(argv[i], "help", 'h'))
            return command_help(command, flags, flag_count);
        int code = command_common_flag(command, argc, argv, &i, ret_line);
        for (size_t j = 0; code == 0 && j < flag_count; j++) {
            if (command_flag_is(argv[i], flags[j].name, '\0'))
                code = command_take_flag(command, &flags[j], argc, argv, &i);
        }
        if (code > 0)
            return code;
        if (code == 0) {
            fprintf(stderr, "keepstep %s: unknown flag %.*s; see keepstep %s --help\n",
                    command->name, command_word_length(argv[i]), argv[i], command->name);
            return EX_USAGE;
        }
    }
    return -1;
}
