/* Cuts blocks out of documents, types their commands, and compares the shape of texts. */
#include "tests/support/readme.h"

#include "common/buffer.h"

#include <ctype.h>
#include <unistd.h>

#define FENCE    "\n```"
#define TEXT_MAX ((size_t)1024 * 1024)

const char *readme_block(const char *line)
{
    return document_block("README.md", line);
}

const char *document_block(const char *document, const char *line)
{
    const char *from = test_read_file(test_format("%s/%s", KEEPSTEP_SOURCE_DIR, document));
    const char *wanted = test_format("\n%s\n", line);
    for (const char *open; (open = strstr(from, FENCE)) != NULL;) {
        const char *text = strchr(open + 1, '\n');
        const char *end = strstr(text, FENCE);
        assert_non_null(end);
        const char *block = test_format("%.*s\n", (int)(end - text), text);
        if (strstr(block, wanted) != NULL)
            return block + 1;
        from = end + strlen(FENCE);
    }
    test_fail("no block of %s has the line: %s", document, line);
}

const char *readme_type(const char *block, const char *directory)
{
    const char *said = "";
    const char *programs = test_path("bin");
    assert_int_equal(PROCESS_RUN("mkdir", "-p", programs).exit_code, 0);
    (void)unlink(test_path("bin/keepstep"));
    assert_int_equal(symlink(KEEPSTEP_BINARY, test_path("bin/keepstep")), 0);
    for (const char *at = block; *at != '\0'; at += strcspn(at, "\n") + 1) {
        if (strncmp(at, "$ ", 2) != 0)
            continue;
        const char *line = test_format("%.*s", (int)strcspn(at, "\n"), at);
        struct process_result result = PROCESS_RUN(
            "sh", "-c", "cd \"$1\" && export PATH=\"$2:$PATH\" && eval \"$3\"", "sh", directory,
            programs, line + 2);
        said = test_format("%s%s\n%s%s", said, line, result.output, result.errors);
    }
    return said;
}

/* @return each line with "#" for each number, and one space for several. */
static const char *shape(const char *text)
{
    struct buffer out;
    buffer_init(&out, TEXT_MAX);
    for (const char *at = text; *at != '\0'; at++) {
        bool is_digit = isdigit((unsigned char)*at) != 0;
        if (is_digit && isdigit((unsigned char)at[1]))
            continue;
        if (*at == ' ' && at[1] == ' ')
            continue;
        buffer_append(&out, is_digit ? "#" : at, 1);
    }
    const char *kept = test_format("%s", buffer_text(&out));
    buffer_done(&out);
    return kept;
}

void readme_expect(const char *shown, const char *said)
{
    const char *left = shape(shown);
    const char *right = shape(said);
    while (*left != '\0' || *right != '\0') {
        size_t length = strcspn(left, "\n");
        if (length != strcspn(right, "\n") || strncmp(left, right, length) != 0)
            test_fail("the document shows \"%.*s\", the program says \"%.*s\" in:\n%s", (int)length,
                      left, (int)strcspn(right, "\n"), right, said);
        left += length + (left[length] == '\n');
        right += length + (right[length] == '\n');
    }
}
