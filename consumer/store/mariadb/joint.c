/* What MariaDB does otherwise for joint transactions: nobody can write a row without its triggers,
 * and what is old is looked for in parts, because an index has all rows that were ever decided. */
#include "consumer/store/mariadb/internal.h"
#include "consumer/store/sql/joint.h"

#include <string.h>

/* After an upgrade Keepstep's own functions may not be there yet, or the role may not use them. A
 * decision is made without them. */
static enum status joint_mariadb_attempt(struct store *store, const struct joint_part *part,
                                         struct error *err)
{
    enum status status = joint_sql_attempt(store, part, err);
    bool is_denied = err->native_code == ER_SP_DOES_NOT_EXIST ||
                     err->native_code == ER_PROCACCESS_DENIED_ERROR ||
                     err->native_code == ER_TABLEACCESS_DENIED_ERROR;
    if (status == STATUS_RETRY && is_denied && strstr(err->text, "keepstep_") != NULL)
        error_prefix(err, "no joint transaction can be tried: run `keepstep init`, and let an "
                          "administrator run what its --print-roles prints");
    return status;
}

/* A part is passed once nothing of it is left to be emptied. What ends later than its decision was
 * read, in a part that was passed, is emptied after the next start. */
static enum status joint_mariadb_prune(struct store *store, int64_t decided_before_us, size_t limit,
                                       size_t *ret_pruned, struct error *err)
{
    struct store_mariadb *self = store_mariadb_of(store);
    int64_t end_us = decided_before_us;
    bool is_held = false;
    enum status status = joint_sql_prune(store, decided_before_us, 0, ret_pruned, err);
    if (status != STATUS_OK || limit == 0)
        return status;
    const struct parameter from = parameter_integer(self->emptied_to_us);
    status = store_sql_number(&self->sql,
                              SQL_CALL(JOINT_OLD_PART, from, parameter_integer(decided_before_us)),
                              decided_before_us, &end_us, err);
    if (status == STATUS_OK)
        status = joint_prune_rows(&self->sql,
                                  SQL_CALL(JOINT_PRUNE, parameter_integer(end_us),
                                           parameter_integer((int64_t)limit), from),
                                  ret_pruned, &is_held, err);
    if (status != STATUS_OK || is_held)
        return status;
    if (*ret_pruned == 0)
        self->emptied_to_us = end_us;
    if (end_us < decided_before_us)
        *ret_pruned = limit; /* the next part is looked at now */
    return status;
}

/* A statement that fails undoes itself alone. */
const struct joint_ops joint_mariadb_ops = {
    JOINT_SQL_SLOTS,
    .prepare = joint_sql_prepare,
    .note = joint_sql_note,
    .mark = joint_sql_mark,
    .prune = joint_mariadb_prune,
    .attempt = joint_mariadb_attempt,
    .settle = joint_sql_settle,
};
