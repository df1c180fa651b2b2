/* Any JSON as a schema, which then checks itself. */
#include "schemas/json_schema/json_schema.h"

#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct error err = ERROR_INIT;
    struct json_schema *schema = NULL;
    json_t *json = json_loadb((const char *)data, size, JSON_LOAD_FLAGS, NULL);
    if (json != NULL && json_schema_new(json, NULL, &schema, &err) == STATUS_OK) {
        error_clear(&err);
        (void)!json_schema_validate(schema, json, &err);
    }
    json_schema_free(schema);
    json_decref(json);
    return 0;
}
