/* What the files that write and read the messages of talk topics share. */
#ifndef SCHEMAS_TALK_INTERNAL_H
#define SCHEMAS_TALK_INTERNAL_H

#include "schemas/record_fields.h"
#include "schemas/talk.h"

#define TALK_VERSION 1

/** @return "own", "kept" or "parked". */
const char *talk_open_name(enum talk_open_reason reason);

#endif
