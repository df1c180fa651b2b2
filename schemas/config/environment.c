/* Sorts the environment's variables KEEPSTEP_… into keys, Kubernetes' own and misspelt ones. */
#include "schemas/config/internal.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PREFIX      "KEEPSTEP_"
#define KAFKA       "KAFKA_"
#define FILE_SUFFIX "_file"

static bool environment_starts(const char *text, const char *start)
{
    return strncmp(text, start, strlen(start)) == 0;
}

/* @return whether "PORT" or "PORT_5432_TCP_ADDR" begins the name or follows its underscore. */
static bool environment_is_port(const char *name, size_t length)
{
    for (size_t i = 0; i + 4 <= length; i++) {
        if ((i == 0 || name[i - 1] == '_') && environment_starts(name + i, "PORT") &&
            (i + 4 == length || (name[i + 4] == '_' && isdigit((unsigned char)name[i + 5]) != 0)))
            return true;
    }
    return false;
}

/* Kubernetes sets variables in every container for each Service of its namespace. Those of a
 * Service called keepstep or keepstep-kafka begin like ours. */
static bool environment_is_kubernetes(const char *name, size_t length)
{
    static const char *const words[] = {"SERVICE_HOST", "SERVICE_PORT"};
    for (size_t w = 0; w < 2; w++) {
        size_t word = strlen(words[w]);
        for (size_t i = 0; i + word <= length; i++) {
            if ((i == 0 || name[i - 1] == '_') && environment_starts(name + i, words[w]) &&
                (i + word == length || (w == 1 && name[i + word] == '_')))
                return true;
        }
    }
    return environment_is_port(name, length);
}

/* Only builds with crash points use these. */
static bool environment_is_failpoint(const char *name)
{
#ifdef KEEPSTEP_FAILPOINTS
    return environment_starts(name, "FAILPOINT=");
#else
    (void)name;
    return false;
#endif
}

enum config_variable config_environment_key(const char *variable, char key[CONFIG_KEY_SIZE])
{
    const char *name = variable + strlen(PREFIX);
    const char *equals = strchr(variable, '=');
    if (!environment_starts(variable, PREFIX) || equals == NULL || equals < name)
        return CONFIG_VARIABLE_FOREIGN;
    size_t length = (size_t)(equals - name);
    if (environment_is_kubernetes(name, length) || environment_is_failpoint(name))
        return CONFIG_VARIABLE_FOREIGN;
    if (length >= CONFIG_KEY_SIZE)
        return CONFIG_VARIABLE_UNKNOWN;
    for (size_t i = 0; i <= length; i++)
        key[i] = (char)(i == length ? 0 : tolower((unsigned char)name[i]));
    if (environment_starts(name, KAFKA)) {
        for (size_t i = 0; i < length; i++)
            key[i] = (char)(key[i] == '_' && strcmp(key + i, FILE_SUFFIX) != 0 ? '.' : key[i]);
        return CONFIG_VARIABLE_KEY;
    }
    if (strcmp(key, "database_file") == 0 || config_option_find(key) != NULL)
        return CONFIG_VARIABLE_KEY;
    for (size_t i = 0; i < length; i++) {
        if (key[i] != '_')
            continue;
        key[i] = '.';
        if (config_option_find(key) != NULL)
            return CONFIG_VARIABLE_KEY;
        key[i] = '_';
    }
    return CONFIG_VARIABLE_UNKNOWN;
}

/* Write the nearest option as a variable's name; "" where none is near. */
static void environment_suggest(const char *key, char *ret_name, size_t size)
{
    const char *names[CONFIG_OPTIONS_MAX];
    char spelt[CONFIG_OPTIONS_MAX][CONFIG_SPELT_SIZE];
    size_t count = 0;
    for (; count < config_option_count && count < CONFIG_OPTIONS_MAX; count++) {
        const char *from = config_options[count].key;
        size_t i = 0;
        for (; from[i] != '\0' && i + 1 < CONFIG_SPELT_SIZE; i++)
            spelt[count][i] = (char)(from[i] == '.' ? '_' : from[i]);
        spelt[count][i] = '\0';
        names[count] = spelt[count];
    }
    const char *nearest = config_nearest(key, names, count);
    (void)snprintf(ret_name, size, "%s", nearest == NULL ? "" : nearest);
    for (char *c = ret_name; *c != '\0'; c++)
        *c = (char)toupper((unsigned char)*c);
}

bool config_environment_unknown(char **ret_text)
{
    struct buffer text;
    buffer_init(&text, CONFIG_UNKNOWN_MAX);
    for (char **at = environ; at != NULL && *at != NULL; at++) {
        char key[CONFIG_KEY_SIZE] = "";
        char near[CONFIG_SPELT_SIZE];
        if (config_environment_key(*at, key) != CONFIG_VARIABLE_UNKNOWN)
            continue;
        environment_suggest(key, near, sizeof near);
        buffer_append_format(&text, "%s%.*s in the environment is not a key of Keepstep%s%s%s",
                             text.length == 0 ? "" : "; ", (int)strcspn(*at, "="), *at,
                             near[0] == '\0' ? "" : "; did you mean " PREFIX, near,
                             near[0] == '\0' ? "; see docs/CONFIGURATION.md" : "?");
    }
    *ret_text = text.length == 0 ? NULL : strdup(buffer_text(&text));
    bool done = !text.no_memory && (text.length == 0 || *ret_text != NULL);
    buffer_done(&text);
    return done;
}
