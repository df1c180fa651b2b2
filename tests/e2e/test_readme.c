/* What README.md shows: the smallest pair of services is cut out of it and run unchanged, and
 * ./run up says what it shows. */
#include "tests/support/kafka.h"
#include "tests/support/readme.h"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#define SECTION "\n## The smallest pair\n"
#define FENCE   "\n```"

static void skip_without_port(int port)
{
    const struct sockaddr_in place = {.sin_family = AF_INET,
                                      .sin_port = htons((uint16_t)port),
                                      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const int on = 1;
    int probe = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    (void)setsockopt(probe, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    bool taken = bind(probe, (const struct sockaddr *)&place, sizeof place) != 0;
    (void)close(probe);
    if (taken)
        test_skip("port %d, which the README names, is taken on this machine", port);
}

/* @return the last file name before a block, such as `shop.yaml` in front of its text. */
static const char *name_before(const char *from, const char *block)
{
    const char *line = block;
    while (line > from && !(line[-1] == '\n' && line[0] == '`' && line[1] != '`'))
        line--;
    if (line == from)
        test_fail("a block of the README has no file's name in front of it");
    return test_format("%.*s", (int)strcspn(line + 1, "`"), line + 1);
}

/* Write the files of the section. @return its commands. */
static const char *lay_out(const char *section)
{
    const char *commands = NULL;
    const char *from = section;
    for (const char *open; (open = strstr(from, FENCE)) != NULL;) {
        const char *text = strchr(open + 1, '\n') + 1;
        const char *end = strstr(text - 1, FENCE);
        const char *body = test_format("%.*s\n", (int)(end - text), text);
        if (strncmp(open + strlen(FENCE), "sh\n", 3) == 0) {
            commands = body;
            break;
        }
        test_write_file(test_path("%s", name_before(from, open)), body);
        from = end + strlen(FENCE);
    }
    assert_non_null(commands);
    return commands;
}

static void the_smallest_pair_runs_as_it_is_printed(void **state)
{
    (void)state;
    if (PROCESS_RUN("sqlite3", "--version").exit_code != 0)
        test_skip("no sqlite3 program");
    skip_without_port(9092);
    skip_without_port(9464);
    skip_without_port(9465);
    (void)kafka_start_at(9092);
    assert_int_equal(PROCESS_RUN("mkdir", "-p", test_path("schemas"), test_path("bin")).exit_code,
                     0);
    assert_int_equal(symlink(KEEPSTEP_BINARY, test_path("bin/keepstep")), 0);
    const char *readme = test_read_file(KEEPSTEP_SOURCE_DIR "/README.md");
    const char *section = strstr(readme, SECTION);
    assert_non_null(section);
    const char *next = strstr(section + strlen(SECTION), "\n## ");
    const char *commands = lay_out(test_format("%.*s", (int)(next - section), section));
    struct process_result result = PROCESS_RUN(
        "bash", "-c",
        test_format("cd '%s' && PATH=$PWD/bin:$PATH && set -e\n%s\n"
                    "for i in {1..600}; do\n"
                    "rows=$(sqlite3 -cmd '.timeout 5000' billing.db 'SELECT * FROM orders')\n"
                    "[ -z \"$rows\" ] || break; sleep 0.1; done\n"
                    "echo \"arrived: $rows\"; jobs -r; kill $(jobs -p); wait",
                    test_directory(), commands));
    if (result.exit_code != 0 || strstr(result.output, "arrived: 1|9.90\n") == NULL ||
        strstr(result.output, "Running                 keepstep run -c shop.yaml") == NULL ||
        strstr(result.output, "Running                 keepstep run -c billing.yaml") == NULL)
        test_fail("%s\nended with %d, said\n%s\nand\n%s", commands, result.exit_code, result.output,
                  result.errors);
}

/* An engine that starts nothing, and says that all is healthy. A container's name is that of its
 * service, whose port is in the compose file. */
static const char engine[] =
    "#!/bin/sh\n"
    "case \"$1 $2\" in\n"
    "'compose version') exit 1 ;;\n"
    "'ps -a') for word; do case $word in *compose.service=*) echo \"${word##*=}\" ;; esac; done "
    ";;\n"
    "'inspect --format') case $3 in\n"
    "    *Ports*) awk -v start=\"  $4:\" '$0 == start { found = 1 }\n"
    "            found && /ports:/ { split($0, parts, /:-|}/); print parts[2]; exit }' \\\n"
    "        docker-compose.yml ;;\n"
    "    *) echo \"$4 running 0 healthy\" ;;\n"
    "    esac ;;\n"
    "esac\n";

static void run_up_says_what_is_printed(void **state)
{
    (void)state;
    const char *shown = readme_block("$ ./run up");
    struct process_result made = PROCESS_RUN(
        "sh", "-c",
        "mkdir \"$2/engine\" && cd \"$1\" && cp -r run deploy docker-compose*.yml \"$2\"", "sh",
        KEEPSTEP_SOURCE_DIR, test_directory());
    assert_int_equal(made.exit_code, 0);
    test_write_file(test_path("engine/docker"), engine);
    test_write_file(test_path("engine/docker-compose"), "#!/bin/sh\n");
    assert_int_equal(
        PROCESS_RUN("chmod", "+x", test_path("engine/docker"), test_path("engine/docker-compose"))
            .exit_code,
        0);
    const char *command = test_format("cd '%s' && rm -rf deploy/secrets && "
                                      "PATH=$PWD/engine:$PATH ./run up",
                                      test_directory());
    struct process_result result = PROCESS_RUN("env", "-u", "KEEPSTEP_SECRETS", "sh", "-c",
                                               command);
    if (result.exit_code != 0)
        test_fail("%d: %s%s", result.exit_code, result.output, result.errors);
    assert_string_equal(test_format("$ ./run up\n%s", result.output), shown);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_WITH_LIMIT(the_smallest_pair_runs_as_it_is_printed, 90),
        TEST(run_up_says_what_is_printed),
    };
    return TEST_RUN(tests);
}
