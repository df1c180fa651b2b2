/* What the readers of joint records share. */
#ifndef SCHEMAS_JOINT_INTERNAL_H
#define SCHEMAS_JOINT_INTERNAL_H

#include "schemas/joint_record.h"
#include "schemas/json.h"

/** Load a document of at most `bytes_max` bytes. @return NULL with REJECT. */
json_t *joint_json_load(struct slice text, size_t bytes_max, struct error *err) MUST_CHECK;

/** Copy a text without NULs. @return OK; REJECT; RETRY (the arena is full). */
enum status joint_copy_text(const json_t *text, size_t length_max, struct arena *arena,
                            struct slice *ret_text, struct error *err) MUST_CHECK;

/** The same of a member of 1 to JOINT_NAME_MAX bytes; REJECT names it. */
enum status joint_copy_name(const json_t *object, const char *member, struct arena *arena,
                            struct slice *ret_text, struct error *err) MUST_CHECK;

#endif
