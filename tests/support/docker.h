/* A Docker engine and the project of docker-compose.yml for tests: one a test program. */
#ifndef TESTS_SUPPORT_DOCKER_H
#define TESTS_SUPPORT_DOCKER_H

#include "tests/support/process.h"

/** Bring docker-compose.yml up, under a project name of its own, at the first call. Skips the test
 * with the reason where no engine answers and none may be started, or where the images are not to
 * be had; see docker/docker.sh. The images' download and building does not count as time of the
 * test. Everything of it is gone when the program ends, however it ends. */
void docker_up(void);

/** Run the client, or compose on the project; the arguments end with NULL. The test fails where
 * they fail. @return stdout without its last line break; lives until the program ends. */
const char *docker_output(const char *const arguments[]);
const char *docker_compose_output(const char *const arguments[]);

#define DOCKER(...)         docker_output((const char *const[]){__VA_ARGS__, NULL})
#define DOCKER_COMPOSE(...) docker_compose_output((const char *const[]){__VA_ARGS__, NULL})

/** Run a program in the running container of a service. @return its exit code and output. */
struct process_result docker_exec(const char *service, const char *const arguments[]);

#define DOCKER_EXEC(service, ...) docker_exec(service, (const char *const[]){__VA_ARGS__, NULL})

/** @return the id of the container of a service, running or not. */
const char *docker_container(const char *service);

/** @return the inspected container of a service through a Go template. */
const char *docker_inspect(const char *service, const char *template);

/** The test fails where the service's health is not `status` within the limit. */
void docker_wait_health(const char *service, const char *status, int64_t limit_ms);

/** @return the name of the project: the label com.docker.compose.project. */
const char *docker_project(void);

#endif
