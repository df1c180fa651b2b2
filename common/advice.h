/* Commands that a text tells people to type, made complete: with the flags that name this service.
 */
#ifndef COMMON_ADVICE_H
#define COMMON_ADVICE_H

#include <stdbool.h>
#include <stddef.h>

#define ADVICE_FLAGS_SIZE 512

/** What is put behind every such command, " -c shop.yaml"; call once, before any thread starts. */
void advice_set_flags(const char *flags);

/** @return what was set, "" before. */
const char *advice_flags(void);

/** Copy `text`; a command in it stands in backquotes, `keepstep init`, and gets the flags unless it
 * has its own. Cut where `size` is too small. */
void advice_complete(const char *text, char *out, size_t size);

/** Append an argument as a shell reads it back, in quotes only where it needs them.
 * @return false where it does not fit; `out` is then as it was. */
bool advice_quote(const char *argument, char *out, size_t size);

#endif
