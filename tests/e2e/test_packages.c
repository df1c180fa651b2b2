/* The Debian packages of `./run package`: their content, what lintian says, and their use in a new
 * Debian. labels: early */
#include "tests/support/process.h"

#include <stdio.h>
#include <sysexits.h>

#define PACKAGES    KEEPSTEP_SOURCE_DIR "/build/package"
#define BUILD_MS    600000
#define NEW_ROOT_MS 600000

static void need(const char *program)
{
    if (PROCESS_RUN("sh", "-c", test_format("command -v %s", program)).exit_code != 0)
        test_skip("no program %s", program);
}

static const char *shell(const char *line, int64_t limit_ms)
{
    const char *const argv[] = {"bash", "-c", line, NULL};
    struct process_result result = process_run(argv, NULL, limit_ms);
    if (result.exit_code != 0)
        test_fail("%s\nended with %d, said\n%s\nand\n%s", line, result.exit_code, result.output,
                  result.errors);
    return result.output;
}

/* Build them once. All of the program is compiled, so that gives way to the tests beside it. */
static void packages_begin(void)
{
    static bool built;
    need("dpkg-deb");
    need("dpkg-shlibdeps");
    need("file");
    if (!built)
        (void)shell("nice -n 10 " KEEPSTEP_SOURCE_DIR "/run package", BUILD_MS);
    built = true;
}

static const char *package(const char *name)
{
    const char *found = shell(test_format("echo %s/%s_%s-*.deb", PACKAGES, name, KEEPSTEP_VERSION),
                              10000);
    return test_format("%.*s", (int)strcspn(found, "\n"), found);
}

static void expect_in(const char *what, const char *text, const char *words)
{
    if (strstr(text, words) == NULL)
        test_fail("%s has no \"%s\":\n%s", what, words, text);
}

static void expect_files(const char *name, const char *const files[])
{
    const char *listing = shell(test_format("dpkg-deb -c '%s'", package(name)), 10000);
    for (; *files != NULL; files++)
        expect_in(name, listing, *files);
    expect_in(name, listing, test_format(" ./usr/share/doc/%s/copyright\n", name));
    expect_in(name, listing, test_format(" ./usr/share/doc/%s/changelog.Debian.gz\n", name));
}

static const char *field(const char *name, const char *field)
{
    return shell(test_format("dpkg-deb -f '%s' %s", package(name), field), 10000);
}

static void each_package_has_its_files(void **state)
{
    (void)state;
    packages_begin();
    expect_files("keepstep",
                 (const char *[]){" ./usr/bin/keepstep\n", " ./etc/keepstep/\n",
                                  " ./usr/lib/systemd/system/keepstep@.service\n",
                                  " ./usr/share/bash-completion/completions/keepstep\n",
                                  " ./usr/share/man/man1/keepstep.1.gz\n",
                                  " ./usr/share/man/man5/keepstep.5.gz\n",
                                  " ./usr/share/doc/keepstep/NOTICE\n",
                                  " ./usr/share/doc/keepstep/docs/PROTOCOL.md\n", NULL});
    expect_files("libkeepstep0", (const char *[]){"/libkeepstep.so.0 -> libkeepstep.so.", NULL});
    expect_files("libkeepstep-dev",
                 (const char *[]){"/libkeepstep.so -> libkeepstep.so.0", "/libkeepstep.a\n",
                                  "/pkgconfig/libkeepstep.pc\n", " ./usr/include/keepstep.h\n",
                                  NULL});
    expect_in("the unit",
              shell(test_format("dpkg-deb --fsys-tarfile '%s' | tar -xO "
                                "./usr/lib/systemd/system/keepstep@.service",
                                package("keepstep")),
                    10000),
              "\nExecStart=/usr/bin/keepstep run -c /etc/keepstep/%i.yaml\n");
}

static void each_package_depends_on_what_it_links(void **state)
{
    (void)state;
    packages_begin();
    for (const char *const *library =
             (const char *[]){"libjansson4", "libmariadb3", "libmicrohttpd12", "libpcre2-8-0",
                              "libpq5", "librdkafka1", "libsqlite3-0", "libyaml-0-2", NULL};
         *library != NULL; library++)
        expect_in("keepstep", field("keepstep", "Depends"), *library);
    expect_in("libkeepstep0", field("libkeepstep0", "Depends"), "libsqlite3-0");
    expect_in("libkeepstep-dev", field("libkeepstep-dev", "Depends"),
              test_format("libkeepstep0 (= %s-", KEEPSTEP_VERSION));
    expect_in("libkeepstep-dev", field("libkeepstep-dev", "Depends"), "libsqlite3-dev");
    expect_in("libkeepstep0",
              shell(test_format("dpkg-deb -I '%s' shlibs", package("libkeepstep0")), 10000),
              "libkeepstep 0 libkeepstep0 (>= ");
}

static void lintian_finds_no_error(void **state)
{
    (void)state;
    packages_begin();
    need("lintian");
    (void)shell(test_format("lintian --allow-root --fail-on error '%s' '%s' '%s' 2>&1",
                            package("keepstep"), package("libkeepstep0"),
                            package("libkeepstep-dev")),
                120000);
}

static void a_new_debian_runs_the_packages(void **state)
{
    (void)state;
    const char *allowed = getenv("TEST_CLEAN_ROOT");
    if (allowed == NULL || strcmp(allowed, "1") != 0)
        test_skip("takes minutes: only with TEST_CLEAN_ROOT=1, as in ./run test long");
    packages_begin();
    test_write_file(test_path("pay.c"), test_protocol_example());
    const char *const argv[] = {KEEPSTEP_SOURCE_DIR "/tests/support/package/clean_root.sh",
                                test_directory(),
                                test_path("pay.c"),
                                package("keepstep"),
                                package("libkeepstep0"),
                                package("libkeepstep-dev"),
                                NULL};
    struct process_result result = process_run(argv, NULL, NEW_ROOT_MS);
    if (result.exit_code == EX_UNAVAILABLE)
        test_skip("%s", result.errors);
    if (result.exit_code != 0)
        test_fail("clean_root.sh ended with %d, said\n%s\nand\n%s", result.exit_code, result.output,
                  result.errors);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_WITH_LIMIT(each_package_has_its_files, 660),
        TEST(each_package_depends_on_what_it_links),
        TEST_WITH_LIMIT(lintian_finds_no_error, 150),
        TEST_WITH_LIMIT(a_new_debian_runs_the_packages, 660),
    };
    return TEST_RUN(tests);
}
