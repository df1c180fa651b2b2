/* A Docker engine and a project of docker-compose.yml: one for each test program. */
#ifndef TESTS_SUPPORT_DOCKER_H
#define TESTS_SUPPORT_DOCKER_H

#include "tests/support/process.h"

/** Run `./run up` as a project of its own, at the first call. Skips the test with a reason if no
 * engine answers and none may be started, or if the images cannot be had; see docker/docker.sh.
 * Downloading and building images does not count as the test's time. All is removed when the
 * program ends, however it ends. @return what `./run up` has printed. */
const char *docker_up(void);

/** Run `./run` with arguments, on the project. The test fails if it fails. @return its output. */
const char *docker_run(const char *const arguments[]);

/** Run the docker client. The arguments end with NULL. The test fails if it fails. @return stdout
 * without its last line break, valid until the program ends. */
const char *docker_output(const char *const arguments[]);

#define DOCKER_RUN(...) docker_run((const char *const[]){__VA_ARGS__, NULL})
#define DOCKER(...)     docker_output((const char *const[]){__VA_ARGS__, NULL})

/** Run a program in the running container of a service. @return its exit code and output. */
struct process_result docker_exec(const char *service, const char *const arguments[]);

#define DOCKER_EXEC(service, ...) docker_exec(service, (const char *const[]){__VA_ARGS__, NULL})

/** @return the id of a service's container, running or not. */
const char *docker_container(const char *service);

/** @return what `docker inspect` gives for a service's container with a Go template. */
const char *docker_inspect(const char *service, const char *template);

/** The test fails unless the service's health becomes `status` within the limit. */
void docker_wait_health(const char *service, const char *status, int64_t limit_ms);

/** @return the name of the project: the label com.docker.compose.project. */
const char *docker_project(void);

/** @return the path of a password's file. */
const char *docker_secret(const char *name);

#endif
