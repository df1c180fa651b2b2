/* UUIDs version 7 (RFC 9562): ordered by the time they were made. */
#ifndef COMMON_UUID_H
#define COMMON_UUID_H

#include "common/status.h"

#define UUID_TEXT_SIZE 37 /* 36 characters and a NUL */

/** Write a new UUID in lower case. It sorts after all earlier ones of this process, even if the
 * wall clock goes back. Ends the process where the kernel gives no random bytes.
 * @thread any. */
void uuid_v7(char ret_text[static UUID_TEXT_SIZE]);

#endif
