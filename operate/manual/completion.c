/* Writes the completion for bash: commands, verbs, flags and the values of flags. */
#include "operate/manual/manual.h"

#include "operate/command.h"
#include "schemas/config/config.h"

#include <ctype.h>
#include <string.h>

/* The verbs are the words in lower case: "list | show ID | resume [--topic TOPIC]" has three. */
static void completion_verbs(struct buffer *out, const char *arguments)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz-[";
    for (size_t length; *arguments != '\0'; arguments += length == 0 ? 1 : length) {
        length = strspn(arguments, letters);
        if (length > 0 && islower((unsigned char)*arguments))
            buffer_append_format(out, "%.*s ", (int)length, arguments);
    }
}

static void completion_flags(struct buffer *out, const struct command_flag *flags, size_t count)
{
    for (size_t i = 0; i < count; i++)
        buffer_append_format(out, "--%s ", flags[i].name);
}

static void completion_command(struct buffer *out, const struct command *command)
{
    buffer_append_format(out, "    %s) verbs='", command->name);
    completion_verbs(out, command->arguments);
    buffer_append_text(out, "' flags='");
    completion_flags(out, command->flags, command->flag_count);
    buffer_append_text(out, "' ;;\n");
}

/* Append "|--FLAG" for each flag with this kind of value. */
static void completion_patterns(struct buffer *out, const struct command_flag *flags, size_t count,
                                const char *value)
{
    for (size_t i = 0; i < count; i++) {
        if (flags[i].value != NULL && strcmp(flags[i].value, value) == 0)
            buffer_append_format(out, "|--%s", flags[i].name);
    }
}

/* Behind a flag whose value is a path, complete paths. */
static void completion_paths(struct buffer *out, const char *first, const char *value,
                             const char *action)
{
    buffer_append_format(out, "    %s", first);
    for (size_t i = 0; i < command_count; i++)
        completion_patterns(out, command_list[i]->flags, command_list[i]->flag_count, value);
    buffer_append_format(out,
                         ")\n        compopt -o filenames 2>/dev/null\n"
                         "        mapfile -t COMPREPLY < <(compgen -A %s -- \"$word\")\n"
                         "        return ;;\n",
                         action);
}

static void completion_words_before(struct buffer *out)
{
    buffer_append_text(out, "    case $before in\n");
    completion_paths(out, "-c|--config", "FILE", "file");
    completion_paths(out, "--", "DIR", "directory");
    buffer_append_text(out, "    -s|--set)\n        compopt -o nospace 2>/dev/null\n"
                            "        mapfile -t COMPREPLY < <(compgen -W '");
    for (size_t i = 0; config_option_key(i) != NULL; i++)
        buffer_append_format(out, "%s= ", config_option_key(i));
    buffer_append_text(out, "' -- \"$word\")\n        return ;;\n    esac\n");
}

void manual_completion(struct buffer *out)
{
    buffer_append_text(out, "# bash completion for keepstep, written from the program's tables\n"
                            "_keepstep() {\n"
                            "    local word=${COMP_WORDS[COMP_CWORD]} verbs='' flags=''\n"
                            "    local before=${COMP_WORDS[COMP_CWORD - 1]}\n"
                            "    COMPREPLY=()\n"
                            "    if [ \"$COMP_CWORD\" -eq 1 ]; then\n"
                            "        mapfile -t COMPREPLY < <(compgen -W '");
    for (size_t i = 0; i < command_count; i++)
        buffer_append_format(out, "%s ", command_list[i]->name);
    buffer_append_text(out, "help --help --version' -- \"$word\")\n        return\n    fi\n");
    completion_words_before(out);
    buffer_append_text(out, "    case ${COMP_WORDS[1]} in\n");
    for (size_t i = 0; i < command_count; i++)
        completion_command(out, command_list[i]);
    buffer_append_text(out, "    *) return ;;\n    esac\n    flags+='-c -s ");
    completion_flags(out, command_common_flags, command_common_flag_count);
    buffer_append_text(out, "'\n    [[ $word != -* && -n $verbs && $COMP_CWORD -eq 2 ]] || "
                            "verbs=$flags\n"
                            "    mapfile -t COMPREPLY < <(compgen -W \"$verbs\" -- \"$word\")\n"
                            "}\ncomplete -F _keepstep keepstep\n");
}
