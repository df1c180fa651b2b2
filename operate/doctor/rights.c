/* The check of the login's rights: each that the printed roles grant, of the roles that the sidecar
 * needs. Nothing is tried, the database is only asked. */
#include "operate/doctor/doctor.h"
#include "operate/roles.h"

#include <stdlib.h>

#define RIGHTS_TEXT_MAX ((size_t)1024 * 1024)
#define RIGHTS_MAX      20000

/* What a role grants, and which part of the sidecar needs it. */
struct rights_list {
    const char *role;
    const char *who;
    struct origin_right *rights;
    size_t count;
    bool failed;
};

static bool rights_add(void *context, const struct grant_right *right)
{
    struct rights_list *list = context;
    if (!slice_is(right->role, list->role))
        return true;
    struct origin_right *more = list->count == RIGHTS_MAX
                                    ? NULL
                                    : realloc(list->rights, (list->count + 1) * sizeof *more);
    list->failed = more == NULL;
    if (list->failed)
        return false;
    list->rights = more;
    more[list->count++] = (struct origin_right){.right = *right};
    return true;
}

static size_t rights_count(const struct rights_list *list, enum origin_right_state state)
{
    size_t count = 0;
    for (size_t i = 0; i < list->count; i++)
        count += list->rights[i].state == state;
    return count;
}

/* Write the privileges that are lacking of one object, each with its columns. */
static void rights_append(const struct rights_list *list, struct slice object, struct buffer *out)
{
    struct slice last = {0};
    bool has_columns = false;
    for (size_t i = 0; i < list->count; i++) {
        const struct grant_right *right = &list->rights[i].right;
        if (list->rights[i].state != ORIGIN_RIGHT_LACKING || !slice_equal(right->object, object))
            continue;
        bool goes_on = has_columns && right->column.length > 0 &&
                       slice_equal(right->privilege, last);
        if (goes_on) {
            buffer_append_format(out, ", %.*s", SLICE_ARGS(right->column));
            continue;
        }
        buffer_append_text(out, has_columns ? ")" : "");
        buffer_append_format(out, "%s%.*s", out->length == 0 ? "" : ", ",
                             SLICE_ARGS(right->privilege));
        has_columns = right->column.length > 0;
        if (has_columns)
            buffer_append_format(out, " (%.*s", SLICE_ARGS(right->column));
        last = right->privilege;
    }
    buffer_append_text(out, has_columns ? ")" : "");
}

/* @return whether a right before this one is on the same object, so that it is told already. */
static bool rights_is_told(const struct rights_list *list, size_t index)
{
    for (size_t i = 0; i < index; i++) {
        if (list->rights[i].state == list->rights[index].state &&
            slice_equal(list->rights[i].right.object, list->rights[index].right.object))
            return true;
    }
    return false;
}

static void rights_say_lacking(struct doctor *doctor, const struct rights_list *list,
                               const struct grant_right *right)
{
    struct buffer lacking;
    buffer_init(&lacking, RIGHTS_TEXT_MAX);
    rights_append(list, right->object, &lacking);
    doctor_say(doctor, DOCTOR_FAIL, "this login lacks %s on %.*s, which %s needs",
               buffer_text(&lacking), SLICE_ARGS(right->object), list->who);
    doctor_advise(doctor, "let an administrator run: GRANT %s ON %s%.*s TO %s",
                  buffer_text(&lacking),
                  slice_is(right->kind, "TABLE")    ? ""
                  : slice_is(right->kind, "SCHEMA") ? "SCHEMA "
                                                    : "FUNCTION ",
                  SLICE_ARGS(right->object), list->role);
    buffer_done(&lacking);
}

static void rights_say(struct doctor *doctor, const struct rights_list *list)
{
    size_t lacking = rights_count(list, ORIGIN_RIGHT_LACKING);
    if (lacking == list->count) {
        doctor_say(doctor, DOCTOR_FAIL, "this login has none of the %zu rights of %s", list->count,
                   list->role);
        doctor_advise(doctor,
                      "let an administrator run what `keepstep init --print-roles` prints, and "
                      "give it the role: GRANT keepstep_run TO the login (in MariaDB also SET "
                      "DEFAULT ROLE keepstep_run FOR the login)");
        return;
    }
    for (size_t i = 0; i < list->count; i++) {
        const struct origin_right *right = &list->rights[i];
        if (right->state == ORIGIN_RIGHT_HELD || rights_is_told(list, i))
            continue;
        if (right->state == ORIGIN_RIGHT_LACKING) {
            rights_say_lacking(doctor, list, &right->right);
            continue;
        }
        doctor_say(doctor, DOCTOR_FAIL, "%.*s is not there, or this login may not use its schema",
                   SLICE_ARGS(right->right.object));
        doctor_advise(doctor, "run `keepstep init`, then let an administrator run what `keepstep "
                              "init --print-roles` prints");
    }
    if (rights_count(list, ORIGIN_RIGHT_HELD) == list->count)
        doctor_say(doctor, DOCTOR_OK, "this login has all %zu rights of %s", list->count,
                   list->role);
}

static void rights_check(struct doctor *doctor, struct slice sql, const char *role, const char *who)
{
    struct error err = ERROR_INIT;
    struct rights_list list = {.role = role, .who = who};
    grants_read(sql, rights_add, &list);
    enum status status = list.failed ? error_set(&err, STATUS_RETRY, "no memory for the rights")
                                     : doctor->origin->ops->rights(doctor->origin, list.rights,
                                                                   list.count, &err);
    if (status == STATUS_OK)
        rights_say(doctor, &list);
    else
        doctor_say(doctor, DOCTOR_FAIL, "the rights of this login cannot be read: %s", err.text);
    free(list.rights);
}

void doctor_check_rights(struct doctor *doctor)
{
    struct error err = ERROR_INIT;
    struct buffer sql;
    if (doctor->look.clock_us == 0) {
        doctor_say(doctor, DOCTOR_SKIPPED, "a file has no logins; see the check of the disk");
        return;
    }
    buffer_init(&sql, RIGHTS_TEXT_MAX);
    if (roles_append(&doctor->service, &sql, &err) != STATUS_OK)
        doctor_say(doctor, DOCTOR_FAIL, "%s", err.text);
    else if ((doctor->has & DOCTOR_PUBLISHES) != 0)
        rights_check(doctor, buffer_slice(&sql), "keepstep_relay", "a relay");
    if (err.status == STATUS_OK &&
        ((doctor->has & DOCTOR_APPLIES) != 0 || config_is_joint(doctor->service.config)))
        rights_check(doctor, buffer_slice(&sql), "keepstep_agent", "an agent");
    buffer_done(&sql);
}
