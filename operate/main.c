/* The program `keepstep`: finds the subcommand and hands over. */
#include "operate/broker.h"
#include "operate/command.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

static int main_version(void)
{
    char versions[128];
    broker_library_versions(versions, sizeof versions);
    printf("keepstep %s (%s)\n", KEEPSTEP_VERSION, versions);
    return EX_OK;
}

static int main_help(FILE *out, int code)
{
    fprintf(out, "keepstep keeps every service's copy of another service's data in step.\n\n"
                 "  keepstep demo                      three services in step, on this machine\n"
                 "  keepstep init -c shop.yaml         prepare a service's database, once\n"
                 "  keepstep run -c shop.yaml          publish and apply: the sidecar\n"
                 "  keepstep status -c shop.yaml       what goes on, and what to type next\n\n"
                 "Commands:\n");
    for (size_t i = 0; i < command_count; i++)
        fprintf(out, "  %-12s %s\n", command_list[i]->name, command_list[i]->summary);
    fprintf(out, "\nkeepstep COMMAND --help tells more; keepstep --version names the libraries.\n");
    return code;
}

static int main_run(int argc, char **argv)
{
    if (argc < 2)
        return main_help(stderr, EX_USAGE);
    bool helps = strcmp(argv[1], "help") == 0;
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || (helps && argc == 2))
        return main_help(stdout, EX_OK);
    if (strcmp(argv[1], "--version") == 0)
        return main_version();
    char *help[] = {helps ? argv[2] : argv[1], "--help", NULL};
    for (size_t i = 0; i < command_count; i++) {
        const struct command *command = command_list[i];
        if (strcmp(help[0], command->name) == 0)
            return helps ? command->run(command, 2, help)
                         : command->run(command, argc - 1, argv + 1);
    }
    fprintf(stderr, "keepstep: there is no command \"%.*s\"; see keepstep --help\n",
            command_word_length(help[0]), help[0]);
    return EX_USAGE;
}

/* A list that was cut, or SQL that was, must not look like a whole one. */
int main(int argc, char **argv)
{
    (void)signal(SIGPIPE, SIG_IGN);
    int code = main_run(argc, argv);
    bool failed = ferror(stdout) != 0;
    errno = 0;
    if (fflush(stdout) == 0 && !failed)
        return code;
    fprintf(stderr, "keepstep: the output could not be written%s%s\n", errno == 0 ? "" : ": ",
            errno == 0 ? "" : strerror(errno));
    return code == EX_OK ? EX_IOERR : code;
}
