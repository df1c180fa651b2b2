/* Keys get the same partitions as with Java clients. */
#include "tests/support/test.h"

#include "common/murmur2.h"
#include "schemas/change.h"

static void murmur2_agrees_with_the_java_client(void **state)
{
    static const struct {
        const char *text;
        int32_t hash;
    } golden[] = {
        {"21", -973932308},
        {"foobar", -790332482},
        {"a-little-bit-long-string", -985981536},
        {"a-little-bit-longer-string", -1486304829},
        {"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971},
        {"abc", 479470107},
    };
    (void)state;
    for (size_t i = 0; i < sizeof golden / sizeof *golden; i++)
        assert_int_equal(murmur2(slice_of(golden[i].text)), golden[i].hash);
}

static void a_partition_is_never_negative(void **state)
{
    (void)state;
    assert_int_equal(partition_of(slice_of("21"), 6), (-973932308 & 0x7fffffff) % 6);
    assert_in_range(partition_of((struct slice){0}, 3), 0, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(murmur2_agrees_with_the_java_client),
        TEST(a_partition_is_never_negative),
    };
    return TEST_RUN(tests);
}
