/* The page's files are in the program, line by line. */
#include "operate/page/asset.h"
#include "tests/support/test.h"

static const struct asset *find(const char *name)
{
    for (const struct asset *asset = page_assets; asset->name != NULL; asset++) {
        if (strcmp(asset->name, name) == 0)
            return asset;
    }
    return NULL;
}

static void the_files_are_built_in_as_they_are(void **state)
{
    static const char *const files[][3] = {
        {"index.html", "text/html; charset=utf-8",
         KEEPSTEP_SOURCE_DIR "/operate/page/assets/index.html"},
        {"dygraph.min.js", "text/javascript; charset=utf-8", KEEPSTEP_DYGRAPHS},
    };
    (void)state;
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        const struct asset *asset = find(files[i][0]);
        assert_non_null(asset);
        assert_string_equal(asset->content_type, files[i][1]);
        const char *text = test_read_file(files[i][2]);
        if (text[strlen(text) - 1] != '\n') /* it is embedded line by line */
            text = test_format("%s\n", text);
        assert_true(slice_is(asset->bytes, text));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_files_are_built_in_as_they_are),
    };
    return TEST_RUN(tests);
}
