/* The formats of a topic's records. */
#ifndef SCHEMAS_RECORD_FORMAT_H
#define SCHEMAS_RECORD_FORMAT_H

#include <stdbool.h>

enum record_format {
    FORMAT_KEEPSTEP,    /* docs/PROTOCOL.md */
    FORMAT_DEBEZIUM,    /* its envelope in JSON, with or without Kafka Connect's schema */
    FORMAT_CLOUDEVENTS, /* structured mode in JSON */
    FORMAT_JSON,        /* the row alone */
};

/** How texts of a foreign topic hold bytes, where the record does not say it. */
enum record_binary { BINARY_UNSAID, BINARY_BASE64, BINARY_HEX };

/** @return "keepstep", "debezium", "cloudevents", "json": the words of `format:`. */
const char *record_format_name(enum record_format format);
bool record_format_parse(const char *name, enum record_format *ret_format);

#endif
