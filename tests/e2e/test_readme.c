/* The README's smallest pair of services: its files and commands are cut out of README.md and run
 * unchanged. */
#include "tests/support/kafka.h"
#include "tests/support/process.h"

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
                    "for i in {1..150}; do\n"
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_WITH_LIMIT(the_smallest_pair_runs_as_it_is_printed, 90),
    };
    return TEST_RUN(tests);
}
