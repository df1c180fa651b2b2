/* What the demo prints for a person to type or to open: it works as it stands. */
#include "operate/demo.h"

#include "common/advice.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

void demo_say_command(const struct demo *demo, const char *words, const char *file)
{
    char line[3 * DEMO_PATH_SIZE] = "  ";
    char path[DEMO_PATH_SIZE + 64];
    (void)snprintf(path, sizeof path, "%s/%s", demo->directory, file);
    (void)advice_quote(program_invocation_name, line, sizeof line);
    size_t used = strlen(line);
    (void)snprintf(line + used, sizeof line - used, " %s ", words);
    (void)advice_quote(path, line, sizeof line);
    printf("%s\n", line);
}

void demo_say_sql(const struct demo *demo, const char *file, const char *sql)
{
    char line[3 * DEMO_PATH_SIZE] = "  sqlite3 -cmd '.timeout 5000' ";
    char path[DEMO_PATH_SIZE + 64];
    (void)snprintf(path, sizeof path, "%s/%s", demo->directory, file);
    (void)advice_quote(path, line, sizeof line);
    printf("%s %s\n", line, sql);
}

void demo_say_clean(const struct demo *demo)
{
    char line[3 * DEMO_PATH_SIZE] = "  ";
    (void)advice_quote(program_invocation_name, line, sizeof line);
    size_t used = strlen(line);
    (void)snprintf(line + used, sizeof line - used, " demo --clean --directory ");
    (void)advice_quote(demo->directory, line, sizeof line);
    printf("%s\n", line);
}

void demo_say_pages(const struct demo *demo)
{
    printf("\nPages to look at. The buttons of parked records want the token in %s/%s:\n",
           demo->directory, DEMO_TOKEN_FILE);
    for (int service = 0; service < DEMO_SERVICES; service++) {
        if (demo->ports[service] != 0)
            printf("  http://127.0.0.1:%u/  %s\n", demo->ports[service], demo->services[service]);
    }
}
