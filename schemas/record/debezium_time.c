/* Reads Debezium's times: numbers whose unit the record's schema names, or ISO texts. */
#include "common/clock.h"
#include "schemas/record/debezium.h"

#define US_PER_DAY (INT64_C(86400) * 1000 * 1000)
#define US_MIN     (INT64_C(-62135596800) * 1000 * 1000) /* year 1 */
#define US_END     (INT64_C(253402300800) * 1000 * 1000) /* year 10000 */

/* What a number is. */
enum debezium_count { COUNT_DAYS, COUNT_IN_DAY, COUNT_SINCE_1970 };

/* Numbers that are a time, by the name of their Connect type. */
static const struct debezium_unit {
    const char *name;
    enum debezium_count count;
    int64_t us;     /* microseconds of one unit */
    int64_t us_div; /* units in a microsecond, where the unit is shorter */
} debezium_units[] = {
    {"io.debezium.time.Date", COUNT_DAYS, US_PER_DAY, 1},
    {"org.apache.kafka.connect.data.Date", COUNT_DAYS, US_PER_DAY, 1},
    {"io.debezium.time.Time", COUNT_IN_DAY, 1000, 1},
    {"org.apache.kafka.connect.data.Time", COUNT_IN_DAY, 1000, 1},
    {"io.debezium.time.MicroTime", COUNT_IN_DAY, 1, 1},
    {"io.debezium.time.NanoTime", COUNT_IN_DAY, 1, 1000},
    {"io.debezium.time.Timestamp", COUNT_SINCE_1970, 1000, 1},
    {"org.apache.kafka.connect.data.Timestamp", COUNT_SINCE_1970, 1000, 1},
    {"io.debezium.time.MicroTimestamp", COUNT_SINCE_1970, 1, 1},
    {"io.debezium.time.NanoTimestamp", COUNT_SINCE_1970, 1, 1000},
};

static const struct debezium_unit *debezium_unit_find(const struct column *column,
                                                      const struct debezium_field *field)
{
    for (size_t i = 0; i < sizeof debezium_units / sizeof *debezium_units; i++) {
        if (debezium_is(field, debezium_units[i].name))
            return &debezium_units[i];
    }
    /* All modes of Debezium write dates as days. */
    bool bare = field->type == NULL && column->type == COLUMN_DATE;
    return bare ? &debezium_units[0] : NULL;
}

/* Check that the column can hold the whole time. */
static enum status debezium_time_fits(const struct column *column, enum debezium_count count,
                                      int64_t us, struct error *err)
{
    if (count == COUNT_DAYS && column->type != COLUMN_DATE)
        return debezium_refuse(column, "a date without a time of day", err);
    if (count == COUNT_IN_DAY && column->type != COLUMN_TIME)
        return debezium_refuse(column, "a time of day without a date", err);
    if (count == COUNT_IN_DAY && (us < 0 || us >= US_PER_DAY))
        return debezium_refuse(column, "a time that is not within a day", err);
    if (count == COUNT_SINCE_1970 && column->type == COLUMN_TIME)
        return debezium_refuse(column, "a time of day with a date", err);
    if (count == COUNT_SINCE_1970 && column->type == COLUMN_DATE && us % US_PER_DAY != 0)
        return debezium_refuse(column, "a date with a time of day", err);
    if (us < US_MIN || us >= US_END)
        return debezium_refuse(column, "a time outside the years 1 to 9999", err);
    return STATUS_OK;
}

/* Cut the column's part out of a time in UTC. */
static enum status debezium_time_text(const struct column *column, int64_t us, json_t **ret_json,
                                      struct error *err)
{
    char text[CLOCK_TEXT_SIZE];
    clock_format_utc(us, text);
    struct slice part = slice_of(text);
    if (column->type == COLUMN_DATE)
        part.length = strcspn(text, "T");
    else if (column->type == COLUMN_TIME)
        part = (struct slice){.data = text + 11, .length = part.length - 12};
    else if (column->type == COLUMN_TIMESTAMP)
        part.length--;
    return debezium_text(part, ret_json, err);
}

static enum status debezium_time_number(const struct column *column,
                                        const struct debezium_field *field, int64_t number,
                                        json_t **ret_json, struct error *err)
{
    const struct debezium_unit *unit = debezium_unit_find(column, field);
    int64_t us = 0;
    if (unit == NULL && field->type != NULL)
        return debezium_refuse(column, "the number's type in the record's schema is not a time",
                               err);
    if (unit == NULL)
        return debezium_refuse(column,
                               "a number without its unit; let the converter write schemas "
                               "(schemas.enable) or times as ISO strings",
                               err);
    if (number % unit->us_div != 0 || __builtin_mul_overflow(number / unit->us_div, unit->us, &us))
        return debezium_refuse(column, "a time that microseconds cannot hold", err);
    enum status status = debezium_time_fits(column, unit->count, us, err);
    return status == STATUS_OK ? debezium_time_text(column, us, ret_json, err) : status;
}

enum status debezium_time(const struct column *column, const struct debezium_field *field,
                          const json_t *value, json_t **ret_json, struct error *err)
{
    if (json_is_integer(value))
        return debezium_time_number(column, field, json_integer_value(value), ret_json, err);
    size_t length = json_string_length(value);
    const char *text = json_string_value(value);
    /* ISO texts have a Z even where the type has no zone. */
    if (column->type == COLUMN_DATE_TIME || length == 0 || text[length - 1] != 'Z')
        return STATUS_OK;
    return debezium_text((struct slice){.data = text, .length = length - 1}, ret_json, err);
}
