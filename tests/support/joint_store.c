/* The databases that have joint transactions. */
#include "tests/support/joint_store.h"

static const struct joint_store_case *const joint_stores[] = {
    &joint_store_sqlite,
    &joint_store_postgresql,
    &joint_store_mariadb,
};

const struct joint_store_case *joint_store_case(enum database_kind kind)
{
    for (size_t i = 0; i < sizeof joint_stores / sizeof *joint_stores; i++) {
        if (joint_stores[i]->kind == kind)
            return joint_stores[i];
    }
    return NULL;
}
