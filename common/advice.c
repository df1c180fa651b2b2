/* Completes the commands that texts name in backquotes, so that they can be copied and run. */
#include "common/advice.h"

#include <stdio.h>
#include <string.h>

#define PROGRAM "`keepstep "

static char advice_flags_text[ADVICE_FLAGS_SIZE];
static const char *advice_rights_text =
    "; `keepstep doctor` says what this login lacks, and `keepstep init --print-roles` prints what "
    "an administrator runs to give it that";

void advice_set_flags(const char *flags)
{
    (void)snprintf(advice_flags_text, sizeof advice_flags_text, "%s", flags);
}

const char *advice_flags(void)
{
    return advice_flags_text;
}

void advice_set_rights(const char *text)
{
    advice_rights_text = text;
}

const char *advice_rights(void)
{
    return advice_rights_text;
}

static void advice_add(char *out, size_t size, size_t *used, const char *text, size_t length)
{
    if (length >= size - *used)
        length = size - *used - 1;
    memcpy(out + *used, text, length);
    *used += length;
    out[*used] = '\0';
}

void advice_complete(const char *text, char *out, size_t size)
{
    size_t used = 0;
    const char *command;
    out[0] = '\0';
    while ((command = strstr(text, PROGRAM)) != NULL) {
        const char *end = strchr(command + 1, '`');
        if (end == NULL)
            break;
        size_t length = (size_t)(end - text);
        const char *own = strstr(command, " -c ");
        advice_add(out, size, &used, text, length);
        if (own == NULL || own > end)
            advice_add(out, size, &used, advice_flags_text, strlen(advice_flags_text));
        advice_add(out, size, &used, end, 1);
        text = end + 1;
    }
    advice_add(out, size, &used, text, strlen(text));
}

bool advice_quote(const char *argument, char *out, size_t size)
{
    static const char plain[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./:=@%+,-";
    size_t start = strlen(out);
    size_t used = start;
    bool bare = *argument != '\0' && argument[strspn(argument, plain)] == '\0';
    size_t needed = bare ? 0 : 2;
    for (const char *c = argument; *c != '\0'; c++)
        needed += *c == '\'' ? 4 : 1;
    if (needed >= size - start)
        return false;
    if (!bare)
        out[used++] = '\'';
    for (const char *c = argument; *c != '\0'; c++) {
        const char *as = *c == '\'' ? "'\\''" : c;
        size_t length = *c == '\'' ? 4 : 1;
        memcpy(out + used, as, length);
        used += length;
    }
    if (!bare)
        out[used++] = '\'';
    out[used] = '\0';
    return true;
}
