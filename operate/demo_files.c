/* The demo's folder: its mark, the files in it, and the services' databases. */
#include "operate/demo.h"

#include "operate/http.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#define DEMO_PORT 9464

static int demo_remove_entry(const char *path, const struct stat *stat, int type, struct FTW *walk)
{
    (void)stat;
    (void)type;
    (void)walk;
    return remove(path);
}

/* Only a folder that a demo made, by the mark in it, is ever removed. */
enum status demo_clean(const struct demo *demo, struct error *err)
{
    char mark[DEMO_PATH_SIZE + 64];
    (void)snprintf(mark, sizeof mark, "%s/keepstep-demo", demo->directory);
    if (access(demo->directory, F_OK) != 0)
        return STATUS_OK;
    if (access(mark, F_OK) != 0) {
        err->exit_code = EX_CANTCREAT;
        return error_set(
            err, STATUS_FATAL,
            "\"%s\" is there and was not made by keepstep demo; name another folder with "
            "--directory",
            demo->directory);
    }
    if (nftw(demo->directory, demo_remove_entry, 16, FTW_DEPTH | FTW_PHYS) != 0)
        return error_set(err, STATUS_FATAL, "could not remove \"%s\": %s", demo->directory,
                         strerror(errno));
    return STATUS_OK;
}

enum status demo_make_folder(const struct demo *demo, struct error *err)
{
    char path[DEMO_PATH_SIZE + 64];
    (void)snprintf(path, sizeof path, "%s/schemas", demo->directory);
    if (mkdir(demo->directory, 0755) != 0 || mkdir(path, 0755) != 0)
        return error_set(err, STATUS_FATAL, "could not make \"%s\": %s", path, strerror(errno));
    return demo_write_file(demo, "keepstep-demo", "made by keepstep demo\n", err);
}

enum status demo_write_file(const struct demo *demo, const char *name, const char *text,
                            struct error *err)
{
    char path[DEMO_PATH_SIZE + 64];
    (void)snprintf(path, sizeof path, "%s/%s", demo->directory, name);
    FILE *file = fopen(path, "w");
    bool written = file != NULL && fputs(text, file) >= 0;
    if (file != NULL && fclose(file) != 0)
        written = false;
    if (!written)
        return error_set(err, STATUS_FATAL, "could not write \"%s\": %s", path, strerror(errno));
    return STATUS_OK;
}

/* The program sqlite3 runs the SQL, so that what writes is no code of ours. */
enum status demo_sql(const struct demo *demo, int service, const char *sql, struct error *err)
{
    char command[3 * DEMO_PATH_SIZE];
    (void)snprintf(command, sizeof command,
                   "exec sqlite3 -bail -cmd '.timeout 5000' '%s/%s.db' 2>>'%s/sqlite3.log'",
                   demo->directory, demo->services[service], demo->directory);
    FILE *program = popen(command, "w");
    if (program == NULL)
        return error_set(err, STATUS_FATAL, "could not start sqlite3: %s", strerror(errno));
    bool written = fputs(sql, program) >= 0;
    int result = pclose(program);
    if (!written || result != 0)
        return error_set(err, STATUS_FATAL,
                         "sqlite3 failed for service %s (exit %d), see %s/sqlite3.log",
                         demo->services[service], WEXITSTATUS(result), demo->directory);
    return STATUS_OK;
}

bool demo_sql_is_refused(const struct demo *demo, int service, const char *sql, const char *word,
                         struct buffer *ret_text)
{
    char command[4 * DEMO_PATH_SIZE];
    char part[256];
    (void)snprintf(command, sizeof command,
                   "exec sqlite3 -bail -cmd '.timeout 5000' '%s/%s.db' \"%s\" 2>&1",
                   demo->directory, demo->services[service], sql);
    FILE *program = popen(command, "r");
    if (program == NULL)
        return false;
    while (fgets(part, sizeof part, program) != NULL)
        buffer_append_text(ret_text, part);
    return pclose(program) != 0 && strstr(buffer_text(ret_text), word) != NULL;
}

enum status demo_write_token(const struct demo *demo, struct error *err)
{
    unsigned char random[16];
    char text[2 * sizeof random + 2];
    char path[DEMO_PATH_SIZE + 64];
    if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random)
        return error_set(err, STATUS_FATAL, "could not make a token: %s", strerror(errno));
    for (size_t i = 0; i < sizeof random; i++)
        (void)snprintf(text + 2 * i, 3, "%02x", random[i]);
    (void)snprintf(text + 2 * sizeof random, 2, "\n");
    (void)snprintf(path, sizeof path, "%s/" DEMO_TOKEN_FILE, demo->directory);
    int file = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    bool written = file >= 0 && write(file, text, strlen(text)) == (ssize_t)strlen(text);
    if (file >= 0 && close(file) != 0)
        written = false;
    return written
               ? STATUS_OK
               : error_set(err, STATUS_FATAL, "could not write \"%s\": %s", path, strerror(errno));
}

/* Each page has a port of its own, from the usual one on. */
static void demo_append_page(struct demo *demo, int service, struct buffer *text)
{
    unsigned first = service == 0 ? DEMO_PORT : demo->ports[service - 1] + 1;
    demo->ports[service] = demo->keep ? http_free_port(first) : 0;
    if (demo->ports[service] == 0)
        buffer_append_text(text, "listen: \"\"\n");
    else
        buffer_append_format(text, "listen: 127.0.0.1:%u\nlisten_token_file: " DEMO_TOKEN_FILE "\n",
                             demo->ports[service]);
}

void demo_append_head(struct demo *demo, int service, struct buffer *text)
{
    const char *name = demo->services[service];
    buffer_append_format(text, "service: %s\ndatabase: sqlite:%s.db\n", name, name);
    demo_append_page(demo, service, text);
    buffer_append_format(text, "kafka: {bootstrap.servers: \"%s\"%s}\n", demo->bootstrap,
                         demo->own_broker ? ", session.timeout.ms: 4000, "
                                            "heartbeat.interval.ms: 500"
                                          : "");
}
