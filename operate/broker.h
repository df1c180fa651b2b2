/* The broker to try things out with: librdkafka's mock cluster as a process of its own. */
#ifndef OPERATE_BROKER_H
#define OPERATE_BROKER_H

#include <stddef.h>

/** Write "librdkafka 2.0.2, compiled with 2.0.2" into `text`. */
void broker_library_versions(char *text, size_t size);

#endif
