/* The limits by which `keepstep doctor` judges, and what is known of versions of librdkafka. */
#include "operate/doctor/doctor.h"
#include "tests/support/test.h"

#define SECOND INT64_C(1000000)
#define MIB    (INT64_C(1) << 20)

static void a_clock_may_be_off_by_a_second_and_never_by_a_minute(void **state)
{
    (void)state;
    static const struct {
        int64_t skew_us;
        enum doctor_verdict verdict;
    } cases[] = {{0, DOCTOR_OK},
                 {SECOND, DOCTOR_OK},
                 {SECOND + 1, DOCTOR_WARN},
                 {-SECOND - 1, DOCTOR_WARN},
                 {60 * SECOND, DOCTOR_WARN},
                 {60 * SECOND + 1, DOCTOR_FAIL},
                 {-60 * SECOND - 1, DOCTOR_FAIL}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(doctor_judge_skew(cases[i].skew_us), cases[i].verdict);
}

static void a_failure_that_has_no_room_is_a_failure_still(void **state)
{
    (void)state;
    struct doctor doctor;
    struct error err = ERROR_INIT;
    assert_int_equal(doctor_init(&doctor, NULL, &err), STATUS_OK);
    doctor.check = "positions";
    for (int i = 0; i < DOCTOR_FINDINGS + 1; i++)
        doctor_say(&doctor, DOCTOR_OK, "partition %d", i);
    const struct doctor_finding *last = &doctor.findings[doctor.count - 1];
    assert_int_equal(last->verdict, DOCTOR_WARN);
    assert_string_equal(last->seen, "more was found than is told");
    doctor_say(&doctor, DOCTOR_FAIL, "a gap");
    doctor_advise(&doctor, "mend it");
    doctor_say(&doctor, DOCTOR_OK, "the next");
    assert_int_equal(doctor_count(&doctor, DOCTOR_FAIL), 1);
    assert_string_equal(last->advice, "mend what is told, then look again");
    doctor_done(&doctor);
}

static void a_disk_that_is_nearly_full_is_a_warning_and_then_a_failure(void **state)
{
    (void)state;
    assert_int_equal(doctor_judge_disk(1024 * MIB, 1000000 * MIB), DOCTOR_OK);
    assert_int_equal(doctor_judge_disk(1023 * MIB, 1000000 * MIB), DOCTOR_WARN);
    assert_int_equal(doctor_judge_disk(200 * MIB, 1000 * MIB), DOCTOR_OK); /* a small disk */
    assert_int_equal(doctor_judge_disk(99 * MIB, 200 * MIB), DOCTOR_FAIL);
}

static void an_old_row_of_the_outbox_is_a_warning_and_then_a_failure(void **state)
{
    (void)state;
    assert_int_equal(doctor_judge_age(60), DOCTOR_OK);
    assert_int_equal(doctor_judge_age(61), DOCTOR_WARN);
    assert_int_equal(doctor_judge_age(3601), DOCTOR_FAIL);
}

static void connections_must_leave_room_for_a_sidecar(void **state)
{
    (void)state;
    assert_int_equal(doctor_judge_connections(90, 100), DOCTOR_OK);
    assert_int_equal(doctor_judge_connections(91, 100), DOCTOR_WARN);
    assert_int_equal(doctor_judge_connections(98, 100), DOCTOR_WARN);
    assert_int_equal(doctor_judge_connections(99, 100), DOCTOR_FAIL);
    assert_int_equal(doctor_judge_connections(5, 0), DOCTOR_OK); /* there is no limit */
}

static void versions_of_the_client_library_are_told_apart(void **state)
{
    (void)state;
    static const struct {
        int version;
        enum doctor_verdict verdict;
        const char *what;
    } cases[] = {{0x020002ff, DOCTOR_OK, "issue 4438"},   {0x020100ff, DOCTOR_OK, "issue 4261"},
                 {0x020101ff, DOCTOR_OK, "issue 4438"},   {0x020200ff, DOCTOR_WARN, "issue 4736"},
                 {0x020400ff, DOCTOR_WARN, "issue 4736"}, {0x020500ff, DOCTOR_OK, "nothing"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *what = NULL;
        assert_int_equal(doctor_judge_library(cases[i].version, &what), cases[i].verdict);
        assert_non_null(strstr(what, cases[i].what));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_clock_may_be_off_by_a_second_and_never_by_a_minute),
        TEST(a_failure_that_has_no_room_is_a_failure_still),
        TEST(a_disk_that_is_nearly_full_is_a_warning_and_then_a_failure),
        TEST(an_old_row_of_the_outbox_is_a_warning_and_then_a_failure),
        TEST(connections_must_leave_room_for_a_sidecar),
        TEST(versions_of_the_client_library_are_told_apart),
    };
    return TEST_RUN(tests);
}
