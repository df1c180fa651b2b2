/* The roles of a service's database, and what they are granted. */
#ifndef OPERATE_ROLES_H
#define OPERATE_ROLES_H

#include "common/buffer.h"
#include "operate/service.h"

/** Append the SQL that an administrator runs behind `keepstep init`: the roles, and what each may
 * do on both sides. Nothing where the database has no logins. It asks no database.
 * @return OK; RETRY (no memory); FATAL. */
enum status roles_append(const struct service *service, struct buffer *sql,
                         struct error *err) MUST_CHECK;

#endif
