/* What `cmake --install` installs is complete, and each part works from there. */
#include "operate/command.h"
#include "schemas/config/config.h"
#include "tests/support/process.h"
#include "tests/support/sql.h"

#include <libgen.h>
#include <stdio.h>
#include <unistd.h>

#define PAGES 3

static const char *const pages[PAGES] = {"man1/keepstep.1.gz", "man5/keepstep.5.gz",
                                         "man7/keepstep-metrics.7.gz"};

static void need(const char *program, const char *option)
{
    if (PROCESS_RUN(program, option).exit_code != 0)
        test_skip("no program %s", program);
}

static const char *shell(const char *line)
{
    struct process_result result = PROCESS_RUN("bash", "-c",
                                               test_format("set -euo pipefail; %s", line));
    if (result.exit_code != 0)
        test_fail("%s\nended with %d, said\n%s\nand\n%s", line, result.exit_code, result.output,
                  result.errors);
    return result.output;
}

/* Install this test's build folder, once. @return where. */
static const char *installed(void)
{
    static const char *prefix;
    if (prefix != NULL)
        return prefix;
    const char *to = test_format("%s/prefix", test_directory_shared());
    char *program = strdup(KEEPSTEP_BINARY);
    (void)shell(test_format("cmake --install '%s' --prefix '%s'", dirname(program), to));
    free(program);
    prefix = to;
    return prefix;
}

static void everything_is_there(void **state)
{
    (void)state;
    static const char *const files[] = {
        "bin/keepstep",
        "include/keepstep.h",
        "share/man/man1/keepstep.1.gz",
        "share/man/man5/keepstep.5.gz",
        "share/man/man7/keepstep-metrics.7.gz",
        "share/bash-completion/completions/keepstep",
        "lib/systemd/system/keepstep@.service",
        "share/doc/keepstep/LICENSE",
        "share/doc/keepstep/NOTICE",
        "share/doc/keepstep/README.md",
        "share/doc/keepstep/CHANGELOG.md",
        "share/doc/keepstep/docs/PROTOCOL.md",
    };
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        if (access(test_format("%s/%s", installed(), files[i]), R_OK) != 0)
            test_fail("%s is not installed", files[i]);
    }
    const char *found = shell(
        test_format("cd '%s' && find . -name 'libkeepstep*' | sort", installed()));
    for (const char *const *name =
             (const char *[]){"/libkeepstep.a\n", "/libkeepstep.so\n", "/libkeepstep.so.0\n",
                              "/libkeepstep.pc\n", "/libkeepstep.so." KEEPSTEP_VERSION "\n", NULL};
         *name != NULL; name++) {
        if (strstr(found, *name) == NULL)
            test_fail("no %s in\n%s", *name, found);
    }
    if (strstr(test_read_file(KEEPSTEP_SOURCE_DIR "/CHANGELOG.md"),
               "\n## " KEEPSTEP_VERSION " - ") == NULL)
        test_fail("CHANGELOG.md has no version " KEEPSTEP_VERSION);
    assert_string_equal(
        shell(test_format("'%s/bin/keepstep' --version | cut -d' ' -f2", installed())),
        KEEPSTEP_VERSION "\n");
}

static void shop_begin(void)
{
    test_write_file(test_path("order.schema.json"),
                    "{\"$schema\":\"http://json-schema.org/draft-07/schema#\",\"type\":\"object\","
                    "\"x-keepstep-key\":[\"id\"],\"properties\":{"
                    "\"id\":{\"type\":\"integer\",\"x-keepstep-type\":\"integer\"},"
                    "\"total\":{\"type\":\"string\",\"x-keepstep-type\":\"decimal\"},"
                    "\"state\":{\"type\":\"string\",\"x-keepstep-type\":\"text\"}},"
                    "\"required\":[\"id\",\"total\",\"state\"]}");
    test_write_file(test_path("shop.yaml"), "service: shop\ndatabase: sqlite:shop.db\n"
                                            "schemas: .\nkafka: {bootstrap.servers: 127.0.0.1:1}\n"
                                            "publish:\n  order: {}\n");
    (void)sqlite_text(test_path("shop.db"),
                      "CREATE TABLE orders(id INTEGER PRIMARY KEY, total TEXT, state TEXT);"
                      "INSERT INTO orders VALUES(42, '12.50', 'open');");
    (void)shell(test_format("'%s/bin/keepstep' init -c '%s'", installed(), test_path("shop.yaml")));
}

static void the_c_program_of_the_protocol_builds_and_publishes(void **state)
{
    (void)state;
    need("pkg-config", "--version");
    if (TEST_SANITIZES_ADDRESSES || TEST_SANITIZES_THREADS)
        test_skip("the library was built for a sanitizer");
    shop_begin();
    test_write_file(test_path("pay.c"), test_protocol_example());
    const char *folder = test_format(
        "cd '%s'; export PKG_CONFIG_PATH=$(dirname $(find '%s' -name libkeepstep.pc));"
        "libraries=$(pkg-config --variable=libdir libkeepstep); set -x;",
        test_directory(), installed());
    assert_string_equal(shell(test_format("%s pkg-config --modversion libkeepstep", folder)),
                        KEEPSTEP_VERSION "\n");
    (void)shell(test_format(
        "%s cc -Wall -Wextra -Werror pay.c $(pkg-config --cflags --libs libkeepstep) -o pay;"
        "readelf -d pay | grep -F '[libkeepstep.so.0]'; LD_LIBRARY_PATH=$libraries ./pay;"
        "cc pay.c $(pkg-config --cflags libkeepstep) $libraries/libkeepstep.a "
        "$(pkg-config --libs sqlite3) -o pay_static; ./pay_static",
        folder));
    assert_string_equal(sqlite_text(test_path("shop.db"),
                                    "SELECT count(*), min(aggregatetype || aggregateid || type) "
                                    "FROM outbox"),
                        "2|order{\"id\":42}order.updated\n");
}

static const char *page_text(const char *page)
{
    return shell(
        test_format("LC_ALL=C.UTF-8 MANWIDTH=300 man -l '%s/share/man/%s'", installed(), page));
}

static void expect_in(const char *page, const char *text, const char *words)
{
    if (strstr(text, words) == NULL)
        test_fail("%s does not name \"%s\"", page, words);
}

static void the_manual_pages_are_well_formed(void **state)
{
    (void)state;
    need("man", "--version");
    for (size_t i = 0; i < PAGES; i++) {
        const char *command = test_format("LC_ALL=C.UTF-8 man --warnings -E UTF-8 -l -Tutf8 -Z "
                                          "'%s/share/man/%s' 2>&1 >/dev/null",
                                          installed(), pages[i]);
        assert_string_equal(shell(command), "");
    }
}

static void the_manual_names_every_command_flag_and_key(void **state)
{
    (void)state;
    need("man", "--version");
    const char *text = page_text(pages[0]);
    for (size_t i = 0; i < command_count; i++) {
        const struct command *command = command_list[i];
        expect_in(
            pages[0], text,
            test_format("\n   %s%s", command->name, command->arguments[0] == '\0' ? "\n" : " "));
        for (size_t j = 0; j < command->flag_count; j++)
            expect_in(pages[0], text, test_format("\n       --%s", command->flags[j].name));
    }
    for (size_t i = 0; i < command_common_flag_count; i++)
        expect_in(pages[0], text, test_format("--%s", command_common_flags[i].name));
    text = page_text(pages[1]);
    for (size_t i = 0; config_option_key(i) != NULL; i++)
        expect_in(pages[1], text, test_format("\n       %s", config_option_key(i)));
    for (const char *const *key = (const char *[]){"partition_key", "session.timeout.ms", NULL};
         *key != NULL; key++)
        expect_in(pages[1], text, test_format("\n       %s", *key));
    expect_in(pages[2], page_text(pages[2]), "\n       keepstep_consumer_lag_seconds");
}

/* @return the completions of these words, of which the last one is incomplete. */
static const char *completions(const char *words)
{
    return shell(
        test_format("set +e; cd '%s'; . '%s/share/bash-completion/completions/keepstep'\n"
                    "complete -p keepstep | grep -q _keepstep\n"
                    "COMP_WORDS=(keepstep %s); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _keepstep\n"
                    "echo \" ${COMPREPLY[*]} \"",
                    test_directory(), installed(), words));
}

static void bash_completes_commands_flags_and_what_they_take(void **state)
{
    (void)state;
    const char *offered = completions("''");
    for (size_t i = 0; i < command_count; i++)
        expect_in("the first word", offered, test_format(" %s ", command_list[i]->name));
    for (size_t i = 0; i < command_count; i++) {
        offered = completions(test_format("%s --", command_list[i]->name));
        for (size_t j = 0; j < command_list[i]->flag_count; j++)
            expect_in(command_list[i]->name, offered,
                      test_format(" --%s ", command_list[i]->flags[j].name));
        expect_in(command_list[i]->name, offered, " --config ");
    }
    assert_string_equal(completions("par"), " parked \n");
    assert_string_equal(completions("parked ''"), " list show retry skip export resume \n");
    assert_string_equal(completions("parked re"), " retry resume \n");
    assert_string_equal(completions("outbox ''"), " list show retry drop cut \n");
    assert_string_equal(completions("init --re"), " --republish --restored \n");
    assert_string_equal(completions("run -s limits.batch_e"), " limits.batch_events= \n");
    test_write_file(test_path("shop.yaml"), "");
    assert_string_equal(completions("run -c sh"), " shop.yaml \n");
    assert_string_equal(completions("nonsense ''"), "  \n");
}

static void the_unit_is_what_systemd_wants(void **state)
{
    (void)state;
    need("systemd-analyze", "--version");
    const char *unit = test_format("%s/lib/systemd/system/keepstep@.service", installed());
    assert_string_equal(shell(test_format("MANPATH='%s/share/man' systemd-analyze verify '%s' 2>&1",
                                          installed(), unit)),
                        "");
    const char *text = test_read_file(unit);
    expect_in(
        unit, text,
        test_format("\nExecStart=%s/bin/keepstep run -c /etc/keepstep/%%i.yaml\n", installed()));
    expect_in(unit, text, "\nType=notify\n");
    expect_in(unit, text, "\nRestartPreventExitStatus=64 78\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(everything_is_there),
        TEST_WITH_LIMIT(the_c_program_of_the_protocol_builds_and_publishes, 60),
        TEST(the_manual_pages_are_well_formed),
        TEST(the_manual_names_every_command_flag_and_key),
        TEST_WITH_LIMIT(bash_completes_commands_flags_and_what_they_take, 60),
        TEST(the_unit_is_what_systemd_wants),
    };
    return TEST_RUN(tests);
}
