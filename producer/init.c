/* Chooses the back end that makes a service's database ready to publish. */
#include "producer/init.h"
#include "producer/init_sqlite.h"

#include <string.h>
#include <sysexits.h>

enum status init_service(const struct config *config, const struct entity_schema *const *schemas,
                         const struct init_options *options, struct error *err)
{
    static const char scheme[] = "sqlite:";
    if (strncmp(config->database, scheme, sizeof scheme - 1) == 0)
        return init_sqlite(config, schemas, options, err);
    if (err != NULL)
        err->exit_code = EX_CONFIG;
    return error_set(err, STATUS_FATAL,
                     "database: %s has no outbox back end; use sqlite:", config->database);
}
