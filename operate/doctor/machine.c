/* Checks of what is on this machine: files, addresses, processes, the client library, the disk. */
#include "common/database_url.h"
#include "operate/doctor/doctor.h"
#include "operate/http.h"
#include "operate/running.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

/* Errors of the configuration are said here, and not by the command. */
void doctor_check_configuration(struct doctor *doctor)
{
    struct error err = ERROR_INIT;
    enum status status = service_open(doctor->line, &doctor->service, &err);
    const struct config *config = doctor->service.config;
    if (status == STATUS_OK)
        status = offsets_check_config(config, &err);
    if (status != STATUS_OK) {
        doctor_say(doctor, DOCTOR_FAIL, "%s", err.text);
        doctor_advise(doctor, "correct it, then run `keepstep config check`");
        return;
    }
    doctor->has |= DOCTOR_CONFIGURED;
    doctor->has |= config->publish_count > 0 ? DOCTOR_PUBLISHES : 0;
    doctor->has |= config->apply_count > 0 ? DOCTOR_APPLIES : 0;
    if (config->unknown_variables != NULL)
        doctor_say(doctor, DOCTOR_WARN, "%s", config->unknown_variables);
    else
        doctor_say(doctor, DOCTOR_OK,
                   "service %s publishes %zu and applies %zu entity types; their schemas are read",
                   config->service, config->publish_count, config->apply_count);
}

static void machine_secret(struct doctor *doctor, const char *key, const char *path)
{
    struct stat found;
    if (stat(path, &found) != 0) {
        doctor_say(doctor, DOCTOR_FAIL, "%s: its file cannot be looked at: %s", key,
                   strerror(errno));
        return;
    }
    if ((found.st_mode & (S_IROTH | S_IWOTH)) != 0) {
        doctor_say(doctor, DOCTOR_FAIL, "%s: everybody on this machine can %s its file", key,
                   (found.st_mode & S_IWOTH) != 0 ? "change" : "read");
        doctor_advise(doctor, "chmod 600 the file, and change the secret");
    } else if ((found.st_mode & (S_IRGRP | S_IWGRP)) != 0) {
        doctor_say(doctor, DOCTOR_WARN, "%s: the group %u can read its file", key,
                   (unsigned)found.st_gid);
        doctor_advise(doctor, "chmod 600 the file, unless that group is the sidecar's alone");
    } else {
        doctor_say(doctor, DOCTOR_OK, "%s: only its owner can read its file", key);
    }
}

/* Whoever can change the configuration can send a secret to a server of his own. */
void doctor_check_secrets(struct doctor *doctor)
{
    const struct config *config = doctor->service.config;
    struct stat found;
    for (size_t i = 0; i < config->secret_file_count; i++)
        machine_secret(doctor, config->secret_files[i].name, config->secret_files[i].value);
    if (config->listen_token_file[0] != '\0')
        machine_secret(doctor, "listen_token_file", config->listen_token_file);
    if (stat(config->path, &found) != 0) {
        doctor_say(doctor, DOCTOR_SKIPPED, "the configuration's file cannot be looked at: %s",
                   strerror(errno));
        return;
    }
    if ((found.st_mode & S_IWOTH) == 0) {
        doctor_say(doctor, DOCTOR_OK,
                   "not everybody can change the configuration; %zu secrets "
                   "have files of their own",
                   config->secret_file_count);
        return;
    }
    doctor_say(doctor, DOCTOR_FAIL, "everybody on this machine can change the configuration");
    doctor_advise(doctor, "chmod o-w %s", config->path);
}

void doctor_check_listen(struct doctor *doctor)
{
    char host[HTTP_HOST_SIZE];
    char port[8];
    const char *listen = doctor->service.config->listen;
    if (listen[0] == '\0') {
        doctor_say(doctor, DOCTOR_OK, "no HTTP");
        return;
    }
    if (!http_parse_listen(listen, host, port)) {
        doctor_say(doctor, DOCTOR_FAIL, "%s is no address", listen);
        doctor_advise(doctor, "write listen: 127.0.0.1:9464");
        return;
    }
    if (strncmp(host, "127.", 4) == 0 || strcmp(host, "::1") == 0 ||
        strcmp(host, "localhost") == 0) {
        doctor_say(doctor, DOCTOR_OK, "%s is on loopback", listen);
        return;
    }
    doctor_say(doctor, DOCTOR_WARN, "%s: whoever reaches this machine can read the pages", listen);
    doctor_advise(doctor,
                  "write listen: 127.0.0.1:%s, unless a container or a firewall keeps "
                  "others away",
                  port);
}

void doctor_check_sidecar(struct doctor *doctor)
{
    const struct config *config = doctor->service.config;
    bool needs_relay = config->publish_count > 0;
    bool needs_agent = config->apply_count > 0;
    bool relay = running_here(config, RUNNING_RELAY);
    bool agent = running_here(config, RUNNING_AGENT);
    if ((relay || !needs_relay) && (agent || !needs_agent)) {
        doctor_say(doctor, DOCTOR_OK, "%s here",
                   relay && agent ? "relay and agent run"
                   : relay        ? "the relay runs"
                                  : "the agent runs");
        return;
    }
    doctor_say(doctor, DOCTOR_WARN, "no %s of this configuration runs on this machine",
               relay || !needs_relay   ? "agent"
               : agent || !needs_agent ? "relay"
                                       : "relay and no agent");
    doctor_advise(doctor,
                  "start it with `keepstep run`, unless it runs in a container or elsewhere");
}

void doctor_check_library(struct doctor *doctor)
{
    const char *what = "";
    struct kafka_library library = kafka_library();
    enum doctor_verdict verdict = doctor_judge_library(library.running, &what);
    if (library.running < library.compiled) {
        doctor_say(doctor, DOCTOR_FAIL,
                   "librdkafka %s is older than the one that keepstep was "
                   "compiled with (%#x)",
                   library.text, (unsigned)library.compiled);
        doctor_advise(doctor, "install that version or a later one");
        return;
    }
    doctor_say(doctor, verdict, "librdkafka %s: %s", library.text, what);
    if (verdict != DOCTOR_OK)
        doctor_advise(doctor, "install a later version");
}

/* SQLite makes its journal beside the file, so the folder counts too. */
static bool machine_may_write(struct doctor *doctor, const char *path, const char *folder)
{
    if (access(path, R_OK | W_OK) == 0 && access(folder, R_OK | W_OK | X_OK) == 0)
        return true;
    doctor_say(doctor, DOCTOR_FAIL, "the database's file, or its folder, cannot be written: %s",
               strerror(errno));
    doctor_advise(doctor, "let the sidecar's user own %s and its folder", path);
    return false;
}

void doctor_check_disk(struct doctor *doctor)
{
    char folder[4096];
    struct statvfs disk;
    struct database_url url;
    struct error err = ERROR_INIT;
    const struct config *config = doctor->service.config;
    const char *path = config->database_path;
    if (database_url_parse(config->database, &url, &err) != STATUS_OK ||
        url.scheme != DATABASE_FILE) {
        doctor_say(doctor, DOCTOR_SKIPPED, "a server's disk is not seen from here");
        return;
    }
    const char *slash = strrchr(path, '/');
    (void)snprintf(folder, sizeof folder, "%.*s", slash == NULL ? 1 : (int)(slash - path + 1),
                   slash == NULL ? "." : path);
    if (!machine_may_write(doctor, path, folder))
        return;
    if (statvfs(folder, &disk) != 0) {
        doctor_say(doctor, DOCTOR_FAIL, "the disk cannot be looked at: %s", strerror(errno));
        return;
    }
    int64_t free_bytes = (int64_t)disk.f_bavail * (int64_t)disk.f_frsize;
    int64_t all_bytes = (int64_t)disk.f_blocks * (int64_t)disk.f_frsize;
    enum doctor_verdict verdict = doctor_judge_disk(free_bytes, all_bytes);
    doctor_say(doctor, verdict, "%" PRId64 " MiB of %" PRId64 " MiB are free where the database is",
               free_bytes >> 20, all_bytes >> 20);
    if (verdict != DOCTOR_OK)
        doctor_advise(doctor, "make room: outbox rows stay for limits.outbox_retention_s, and "
                              "SQLite's VACUUM gives back what was deleted");
}
