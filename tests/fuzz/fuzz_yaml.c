/* Any bytes as a configuration file. */
#include "schemas/config/internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct error err = ERROR_INIT;
    struct config_marks marks = {0};
    json_t *tree = NULL;
    if (config_yaml_parse((const char *)data, size, &tree, &marks, &err) == STATUS_OK &&
        json_is_object(tree)) {
        error_clear(&err);
        (void)!config_check(tree, &marks, &err);
    }
    config_marks_done(&marks);
    json_decref(tree);
    return 0;
}
