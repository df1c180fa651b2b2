/* What README.md and docs/ show of the program, beside what the program says. */
#ifndef TESTS_SUPPORT_README_H
#define TESTS_SUPPORT_README_H

#include "tests/support/process.h"

/** @return the block of README.md that has this line; the test fails if there is none. */
const char *readme_block(const char *line);

/** The same of another document: "docs/OPERATIONS.md". */
const char *document_block(const char *document, const char *line);

/** Type the lines of a block that begin with "$ ", in a directory, with `keepstep` in PATH.
 * @return each of them with what it prints behind it, as the block shows it. */
const char *readme_type(const char *block, const char *directory);

/** The test fails unless the program says what the document shows, line by line. A number may be
 * another one, and take more or less space. */
void readme_expect(const char *shown, const char *said);

#endif
