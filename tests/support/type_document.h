/* Makes the text of docs/TYPES.md from the results of the tests of types. */
#ifndef TESTS_SUPPORT_TYPE_DOCUMENT_H
#define TESTS_SUPPORT_TYPE_DOCUMENT_H

#include "common/buffer.h"
#include "tests/support/type_case.h"

/** Append the text of docs/TYPES.md. */
void type_document(const struct type_matrix matrices[TYPE_DATABASES], struct buffer *out);

#endif
