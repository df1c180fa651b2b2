/* Writes keepstep(1): the commands, their flags and the exit codes. */
#include "operate/manual/manual.h"

#include "operate/command.h"

#include <sysexits.h>

struct manual_exit_code {
    int code;
    const char *meaning;
};

static const struct manual_exit_code manual_exit_codes[] = {
    {EX_OK, "Done."},
    {1,
     "`healthcheck`: the sidecar makes no progress, or does not answer. `doctor`: something must "
     "be mended. `topics apply`: a difference is left. `joint wait`: aborted."},
    {2, "`topics plan`: something differs."},
    {EX_USAGE, "The command line is wrong."},
    {EX_DATAERR,
     "The input is refused, or what the command names does not exist. `verify`: something "
     "differs. `repair`, `fill`: a row was refused."},
    {EX_NOINPUT, "The database file that the command names does not exist."},
    {EX_UNAVAILABLE, "The address of `listen:` cannot be used."},
    {EX_SOFTWARE, "Another error. The message says which."},
    {EX_OSERR, "The system refused something, such as memory."},
    {EX_CANTCREAT, "A file cannot be made."},
    {EX_IOERR, "Input cannot be read, or output cannot be written whole."},
    {EX_TEMPFAIL,
     "A database or a broker does not answer, or the answer is not known yet. Try again "
     "later."},
    {EX_CONFIG,
     "The configuration is wrong, or a state needs a person. No restart cures it; the message says "
     "what to do."},
};

static void manual_describe_flag(struct buffer *out, const struct command_flag *flag, char letter)
{
    buffer_append_text(out, "| `");
    if (letter != '\0')
        buffer_append_format(out, "-%c`, `", letter);
    buffer_append_format(out, "--%s%s%s` | %s |\n", flag->name, flag->value == NULL ? "" : " ",
                         flag->value == NULL ? "" : flag->value, flag->description);
}

static void manual_describe_command(struct buffer *out, const struct command *command)
{
    buffer_append_format(out, "### %s %s\n\n%s\n\n", command->name, command->arguments,
                         command->summary);
    if (command->flag_count > 0)
        buffer_append_text(out, "| flag | meaning |\n| --- | --- |\n");
    for (size_t i = 0; i < command->flag_count; i++)
        manual_describe_flag(out, &command->flags[i], '\0');
    buffer_append_format(out, "\n```sh\n%s```\n\n", command->examples);
}

void manual_describe(struct buffer *out)
{
    buffer_append_text(
        out,
        "## Synopsis\n\n`keepstep` *command* [*flags*] [*arguments*]\n\n`keepstep --help` | "
        "`--version`\n\n"
        "## Description\n\n"
        "A service commits a change to its own database. Keepstep publishes it to Kafka and "
        "applies it, in order and once, to the databases of the services that asked for it. The "
        "databases are SQLite, PostgreSQL and MariaDB, in any mixture.\n\n"
        "Each service has one configuration, keepstep(5). `keepstep init` prepares its database "
        "once; `keepstep run` is its sidecar, which publishes and applies. `keepstep status` says "
        "what goes on, and what to type next.\n\n"
        "## Commands\n\n");
    for (size_t i = 0; i < command_count; i++)
        manual_describe_command(out, command_list[i]);
    buffer_append_text(out, "## Flags of every command\n\n| flag | meaning |\n| --- | --- |\n");
    for (size_t i = 0; i < command_common_flag_count; i++)
        manual_describe_flag(out, &command_common_flags[i], command_common_letters[i]);
    buffer_append_text(out, "\nData goes to the standard output, messages to the standard "
                            "error.\n\n## Exit status\n\n| code | meaning |\n| --- | --- |\n");
    for (size_t i = 0; i < sizeof manual_exit_codes / sizeof *manual_exit_codes; i++)
        buffer_append_format(out, "| %d | %s |\n", manual_exit_codes[i].code,
                             manual_exit_codes[i].meaning);
    buffer_append_text(
        out,
        "\n## Signals\n\n"
        "SIGTERM or SIGINT makes `run`, `relay` and `agent` finish their transactions and end. A "
        "second signal ends them at once.\n\n"
        "## Environment\n\n"
        "`KEEPSTEP_…` sets a key of the configuration, see keepstep(5). The clients of the "
        "databases read their own variables, such as `PGPASSWORD`, `PGPASSFILE` and "
        "`MYSQL_PWD`.\n\n"
        "## systemd\n\n"
        "`systemctl enable --now keepstep@shop` runs the sidecar of /etc/keepstep/shop.yaml. It "
        "counts as started once configuration and database are checked. The broker may come "
        "later. Put secrets into /etc/keepstep/shop.env, as variables. Only root needs to read "
        "that file.\n\n"
        "The sidecar runs as a user of its own. For an SQLite database it must run as the user of "
        "the service, and needs the right to write to the folder of the database. Say so with "
        "`systemctl edit "
        "keepstep@shop`:\n\n"
        "```ini\n[Service]\nUser=shop\nReadWritePaths=/var/lib/shop\n```\n\n"
        "## See also\n\nkeepstep(5), keepstep-metrics(7)\n");
}
