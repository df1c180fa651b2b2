/* Adds the flags of this service to the commands that a text tells people to type. */
#ifndef COMMON_ADVICE_H
#define COMMON_ADVICE_H

#include <stdbool.h>
#include <stddef.h>

#define ADVICE_FLAGS_SIZE 512

/** Set what is added to every such command, for example " -c shop.yaml". Call once, before any
 * thread starts. */
void advice_set_flags(const char *flags);

/** @return what was set; "" until then. */
const char *advice_flags(void);

/** Copy `text`, and add the flags to each command in it that has none of its own. A command is
 * written in backquotes: `keepstep init`. The copy is cut where `size` is too small. */
void advice_complete(const char *text, char *out, size_t size);

/** Set what an error for want of a right at a server ends with, instead of the advice for a login
 * of the sidecar. Call once, before any thread starts. */
void advice_set_rights(const char *text);

/** @return it: "; …". */
const char *advice_rights(void);

/** Append an argument as a shell reads it back. It is quoted only where it needs quotes.
 * @return false where it does not fit; `out` is then unchanged. */
bool advice_quote(const char *argument, char *out, size_t size);

#endif
