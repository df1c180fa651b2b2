/* Texts that were cut by bytes. */
#include "common/utf8.h"
#include "tests/support/test.h"

static void a_cut_character_is_left_out_and_a_whole_one_stays(void **state)
{
    static const struct {
        const char *text;
        size_t whole;
    } cases[] = {
        {"", 0},
        {"abc", 3},
        {"a\xd0\xb6", 3},
        {"a\xd0", 1},
        {"\xd0", 0},
        {"\xe2\x82\xac", 3},
        {"\xe2\x82", 0},
        {"a\xf0\x9f\x98\x80", 5},
        {"a\xf0\x9f\x98", 1},
        {"a\xf0", 1},
        {"\x80\x80", 2}, /* it was none before */
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(utf8_whole(slice_of(cases[i].text)).length, cases[i].whole);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_cut_character_is_left_out_and_a_whole_one_stays),
    };
    return TEST_RUN(tests);
}
