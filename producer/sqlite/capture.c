/* What SQLite's triggers consist of. */
#include "producer/sqlite/capture.h"
#include "producer/capture/dialect.h"
#include "producer_sqlite_sql.h"

#define ONE_DIFFERS "OLD.{column} IS NOT NEW.{column} COLLATE BINARY"

static const struct part PARTS[] = {
    {.name = "head", .text = SQL_CAPTURE_HEAD},
    {.name = "event", .text = SQL_CAPTURE_EVENT},
    {.name = "present", .text = SQL_CAPTURE_PRESENT},
    {.name = "same_key",
     .text = "present.{column} = {}{same_bytes}",
     .each = EACH_KEY,
     .separator = " AND "},
    {.name = "same_bytes",
     .text = " AND present.{column} COLLATE BINARY = {}",
     .types = OF(COLUMN_TEXT)},
    {.name = "reserved", .text = SQL_CAPTURE_RESERVED, .when = writer_is_joint},
    {.name = "when_changed", .text = " AND {changed}", .when = writer_is_not_joint},
    {.name = "if_changed", .text = " AND {changed}", .when = writer_is_joint},
    {.name = "fixed", .text = SQL_CAPTURE_FIXED, .when = writer_is_fixed},
    {.name = "null_keys", .text = SQL_CAPTURE_NULL_KEY, .each = EACH_KEY, .separator = "\n"},
    {.name = "key_differs", .text = ONE_DIFFERS, .each = EACH_KEY, .separator = " OR "},
    {.name = "image_differs", .text = ONE_DIFFERS, .each = EACH_COLUMN, .separator = " OR "},
    {.name = "partition_differs",
     .text = "{partition_key OLD} IS NOT {partition_key NEW} COLLATE BINARY"},
    {.name = "changed",
     .text = "(({image_differs}) OR {partition_differs})",
     .when = writer_is_fixed},
    {.name = "changed", .text = "({image_differs})"},
    {.name = "partition_key", .text = "CAST({} AS TEXT)", .each = EACH_PARTITION_KEY},
    {.name = "behind", .text = "({key_columns}) > ({noted_key})"},
    {.name = "noted_key", .text = SQL_CAPTURE_NOTED_KEY, .each = EACH_KEY},
};

static const struct capture_object OBJECTS[] = {
    {"trigger", "keepstep_", "delete", "DELETE", SQL_CAPTURE_DELETE},
    {"trigger", "keepstep_", "key", "UPDATE", SQL_CAPTURE_KEY},
    {"trigger", "keepstep_", "update", "UPDATE", SQL_CAPTURE_UPDATE},
    {"trigger", "keepstep_", "insert", "INSERT", SQL_CAPTURE_INSERT},
};

const struct dialect capture_sqlite_dialect = {
    .columns = &column_sqlite_dialect,
    .parts = PARTS,
    .part_count = sizeof PARTS / sizeof *PARTS,
    .objects = OBJECTS,
    .object_count = sizeof OBJECTS / sizeof *OBJECTS,
    .names_without_case = true,
};
