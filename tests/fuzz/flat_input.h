/* The schema that the fuzz targets of the flat readers share. */
#ifndef TESTS_FUZZ_FLAT_INPUT_H
#define TESTS_FUZZ_FLAT_INPUT_H

#include "tests/support/flat_oracle.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/** @return FLAT_ORACLE_SCHEMA, read from a file as a service's schema is; the caller keeps it. */
static inline struct entity_schema *flat_input_schema(void)
{
    char folder[] = "/tmp/fuzz_flat.XXXXXX";
    char path[sizeof folder + 32];
    struct entity_schema *schema = NULL;
    struct error err = ERROR_INIT;
    if (mkdtemp(folder) == NULL)
        abort();
    (void)snprintf(path, sizeof path, "%s/flat.schema.json", folder);
    FILE *file = fopen(path, "we");
    if (file == NULL || fputs(FLAT_ORACLE_SCHEMA, file) < 0 || fclose(file) != 0 ||
        entity_schema_new(folder, "flat", &schema, &err) != STATUS_OK)
        abort();
    (void)unlink(path);
    (void)rmdir(folder);
    return schema;
}

#endif
