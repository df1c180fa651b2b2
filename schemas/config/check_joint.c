/* What joint transactions need of a configuration (rule 72). */
#include "schemas/config/internal.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#define CONFIG_POINTER_SIZE 256

bool config_has_joint(const json_t *tree)
{
    const char *name;
    json_t *entry;
    json_object_foreach(json_object_get(tree, "publish"), name, entry)
    {
        if (json_object_get(entry, "joint") != NULL)
            return true;
    }
    return false;
}

/* @return an applied type that is kept in the table of a published one; NULL: there is none. The
 * database may take names that differ in case for one. */
static const char *config_applied_in(const json_t *tree, const json_t *published)
{
    const char *table = json_string_value(json_object_get(published, "table"));
    const char *name;
    json_t *entry;
    json_object_foreach(json_object_get(tree, "apply"), name, entry)
    {
        const char *other = json_string_value(json_object_get(entry, "table"));
        if (table != NULL && other != NULL && strcasecmp(table, other) == 0)
            return name;
    }
    return NULL;
}

/* @return whether the entry is refused; then `err` says why. */
static bool config_refuse_joint(const json_t *tree, const char *name, const json_t *entry,
                                struct error *err)
{
    if (json_object_get(entry, "table") == NULL)
        (void)error_set(err, STATUS_FATAL,
                        "%s has \"joint:\" and no \"table:\": Keepstep itself makes the changes of "
                        "a joint transaction, so name the table",
                        name);
    else if (json_object_get(json_object_get(tree, "apply"), name) != NULL)
        (void)error_set(err, STATUS_FATAL,
                        "%s has \"joint:\" and is applied too, but only its one writer can promise "
                        "a change: take %s out of \"apply:\"",
                        name, name);
    else if (config_applied_in(tree, entry) != NULL)
        (void)error_set(err, STATUS_FATAL,
                        "%s has \"joint:\" and %s is applied to its table too, but only a table's "
                        "one writer can promise a change: apply that to a table of its own",
                        name, config_applied_in(tree, entry));
    else
        return false;
    return true;
}

enum status config_check_joint(const json_t *tree, const struct config_marks *marks,
                               struct error *err)
{
    const char *name;
    json_t *entry;
    char pointer[CONFIG_POINTER_SIZE];
    json_object_foreach(json_object_get(tree, "publish"), name, entry)
    {
        if (json_object_get(entry, "joint") == NULL || !config_refuse_joint(tree, name, entry, err))
            continue;
        (void)snprintf(pointer, sizeof pointer, "/publish/%s/joint", name);
        config_place(marks, pointer, err);
        return STATUS_FATAL;
    }
    json_object_foreach(json_object_get(tree, "apply"), name, entry)
    {
        if (json_object_get(entry, "joint") == NULL)
            continue;
        (void)snprintf(pointer, sizeof pointer, "/apply/%s/joint", name);
        (void)error_set(err, STATUS_FATAL,
                        "joint belongs in `publish:`: a copy is changed by its service alone");
        config_place(marks, pointer, err);
        return STATUS_FATAL;
    }
    return STATUS_OK;
}
