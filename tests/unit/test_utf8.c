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
        assert_int_equal(utf8_cut(slice_of(cases[i].text), SIZE_MAX).length, cases[i].whole);
    assert_int_equal(utf8_cut(slice_of("\xe2\x82\xac"
                                       "abc"),
                              4)
                         .length,
                     4);
    assert_int_equal(utf8_cut(slice_of("\xe2\x82\xac"
                                       "abc"),
                              2)
                         .length,
                     0);
    assert_int_equal(utf8_cut(slice_of("a\xe2\x82\xac"), 3).length, 1);
}

/* Whatever is cut, and wherever. */
static void a_text_that_is_cut_ends_between_two_characters(void **state)
{
    static const char text[] = "\xd0\xb6\xe2\x82\xac\xf0\x9f\x98\x80"
                               "a\xf0\x9f\x98\x80\xd0\xb6";
    char out[64];
    struct error err = ERROR_INIT;
    (void)state;
    for (size_t size = 1; size <= sizeof text; size++) {
        utf8_format(out, size, "%s", text);
        assert_true(utf8_is_valid(slice_of(out)));
        assert_true(strlen(out) + 4 > size - 1);
        utf8_format(out, sizeof out, "%.*s; see it", (int)size, text);
        assert_true(utf8_is_valid(slice_of(out)));
        assert_string_equal(out + strlen(out) - strlen("; see it"), "; see it");
    }
    for (int blanks = ERROR_TEXT_SIZE - 20; blanks < ERROR_TEXT_SIZE; blanks++) {
        error_clear(&err);
        (void)error_set(&err, STATUS_REJECT, "%*s%s", blanks, "", text);
        assert_true(utf8_is_valid(slice_of(err.text)));
        error_prefix(&err, "%s", text);
        assert_true(utf8_is_valid(slice_of(err.text)));
        error_prefix(&err, "%*s%s", blanks / 2, "", text);
        assert_true(utf8_is_valid(slice_of(err.text)));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_cut_character_is_left_out_and_a_whole_one_stays),
        TEST(a_text_that_is_cut_ends_between_two_characters),
    };
    return TEST_RUN(tests);
}
