/* Takes a snapshot anew that a change of a table has outdated (rule 32). */
#ifndef OPERATE_SNAPSHOT_AGAIN_H
#define OPERATE_SNAPSHOT_AGAIN_H

#include "common/status.h"

/** Judge a snapshot that could not be begun, or that lacks a table: wait a little where another one
 * may have what this one lacks, and forget the error.
 * @param tries  how often it was tried, 0 at first. @return whether to try again. */
bool snapshot_again(int *tries, enum status status, struct error *err) MUST_CHECK;

#endif
