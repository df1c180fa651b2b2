/* The grants of the publishing side, which make the roles, then those of the applying side. */
#include "operate/roles.h"

#include "consumer/store/registry.h"
#include "producer/init/init.h"

enum status roles_append(const struct service *service, struct buffer *sql, struct error *err)
{
    const struct config *config = service->config;
    const struct store_ops *ops = store_find(config->database);
    const struct copies copies = {
        .mappings = service->mappings, .count = config->apply_count, .roles_alone = true};
    if (ops == NULL)
        return service_refuse_scheme(err);
    enum status status = init_roles(config, (const struct entity_schema *const *)service->published,
                                    sql, err);
    if (status == STATUS_OK)
        status = ops->copy_sql(&copies, sql, err);
    if (status == STATUS_OK && sql->failed)
        status = error_set(err, STATUS_FATAL, "the grants grow too large");
    return status;
}
