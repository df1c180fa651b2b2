/* SQLite's declared types, and the values that are tried with each. */
#ifndef TESTS_CONFORMANCE_TYPES_SQLITE_H
#define TESTS_CONFORMANCE_TYPES_SQLITE_H

#include "tests/support/type_case.h"

static const struct type_value sqlite_integers[] = {
    {"0", "0", "0"},
    {"-1", "-1", "-1"},
    {"largest", "9223372036854775807", "9223372036854775807"},
    {"smallest", "-9223372036854775807 - 1", "-9223372036854775808"},
    {"2^53 + 1", "9007199254740993", "9007199254740993"},
    {"a number with a fraction", "1.5", NULL},
    {"a number beyond 64 bits", "9223372036854775808", NULL},
    {"a text", "'abc'", NULL},
    {"a blob", "X'31'", NULL},
    {NULL, NULL, NULL}};

static const struct type_value sqlite_booleans[] = {{"true", "1", "1"},
                                                    {"false", "0", "0"},
                                                    {"2", "2", NULL},
                                                    {"a text", "'yes'", NULL},
                                                    {NULL, NULL, NULL}};

static const struct type_value sqlite_decimals[] = {
    {"0", "0", "0"},
    {"12.50", "'12.50'", "12.5"},
    {"-0.01", "-0.01", "-0.01"},
    {"15 digits", "123456789.012345", "123456789.012345"},
    {"2^64 - 1", "18446744073709551615", NULL},
    {"17 digits", "0.1 + 0.2", "0.3000000000000000444"},
    {"30 digits", "'123456789012345.123456789012345'", "123456789012345.125"},
    {"1e-7", "1e-7", NULL},
    {"infinity", "9e999", NULL},
    {"a text", "'abc'", NULL},
    {NULL, NULL, NULL}};

static const struct type_value sqlite_decimal_texts[] = {
    {"12.50", "'12.50'", "12.50"},
    {"-0.01", "'-0.01'", "-0.01"},
    {"2^64 - 1", "'18446744073709551615'", "18446744073709551615"},
    {"65 digits", "'-99999999999999999999999999999999999.999999999999999999999999999999'",
     "-99999999999999999999999999999999999.999999999999999999999999999999"},
    {"66 digits before the point",
     "'123456789012345678901234567890123456789012345678901234567890123456'", NULL},
    {"31 digits behind the point", "'0.0000000000000000000000000000001'", NULL},
    {"a leading zero", "'007'", NULL},
    {"NaN", "'NaN'", NULL},
    {NULL, NULL, NULL}};

static const struct type_value sqlite_doubles[] = {
    {"0", "0.0", "0"},
    {"-0.0", "-0.0", NULL},
    {"0.1 + 0.2", "0.1 + 0.2", NULL},
    {"largest", "1.7976931348623157e308", NULL},
    {"smallest normal", "2.2250738585072014e-308", NULL},
    {"denormal", "5e-324", NULL},
    {"2^53 + 1", "9007199254740993", NULL},
    {"1e22", "1e22", NULL},
    {"infinity", "9e999", NULL},
    {"-infinity", "-9e999", NULL},
    {"a text", "'abc'", NULL},
    {"a blob", "X'00'", NULL},
    {NULL, NULL, NULL}};

static const struct type_value sqlite_texts[] = {
    {"empty", "''", ""},
    {"blanks", "'  a  '", "  a  "},
    {"quotes and escapes", "'O''Brien \"x\" \\ / %'", "O'Brien \"x\" \\ / %"},
    {"a combining accent", "'e\xcc\x81'", "e\xcc\x81"},
    {"emoji", "'\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x9a\x80'",
     "\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x9a\x80"},
    {"right to left", "'\xd7\xa9\xd7\x9c\xd7\x95\xd7\x9d\xe2\x80\xae'",
     "\xd7\xa9\xd7\x9c\xd7\x95\xd7\x9d\xe2\x80\xae"},
    {"1,000,000 characters", "replace(hex(zeroblob(500000)), '00', '\xc3\xa9z')", NULL},
    {"the word NULL", "'null'", "null"},
    {"a NUL character", "'a' || char(0) || 'b'", NULL},
    {"a number", "42", "42"},
    {"a blob", "X'616263'", "abc"},
    {"a blob that is no UTF-8", "X'61FF'", NULL},
    {NULL, NULL, NULL}};

static const struct type_value sqlite_short_texts[] = {
    {"5 characters", "'\xc3\xa9\xc3\xa9xyz'", "\xc3\xa9\xc3\xa9xyz"},
    {"6 characters", "'abcdef'", NULL},
    {"blanks at the end", "'ab   '", "ab   "},
    {NULL, NULL, NULL}};

static const struct type_value sqlite_bytes[] = {{"empty", "X''", ""},
                                                 {"00", "X'00'", "00"},
                                                 {"00FF80", "X'00FF80'", "00FF80"},
                                                 {"a text", "'abc'", "616263"},
                                                 {"1,000,000 bytes", "zeroblob(1000000)", NULL},
                                                 {NULL, NULL, NULL}};

static const struct type_value sqlite_jsons[] = {
    {"{}", "'{}'", "{}"},
    {"order, blanks and zeros", "'{\"b\":1, \"a\":[1.50,null]}'", "{\"b\":1, \"a\":[1.50,null]}"},
    {"a number of 30 digits", "'[123456789012345678901234567890.10]'",
     "[123456789012345678901234567890.10]"},
    {"a whole number of 30 digits", "'[123456789012345678901234567890]'",
     "[123456789012345678901234567890]"},
    {"null", "'null'", "null"},
    {"an escaped NUL", "'\"\\u0000\"'", "\"\\u0000\""},
    {"no JSON", "'{a}'", NULL},
    {NULL, NULL, NULL}};

static const struct type_value sqlite_date_times[] = {
    {"CURRENT_TIMESTAMP's form", "'2026-11-23 09:42:00'", "2026-11-23T09:42:00.000000Z"},
    {"microseconds", "'2026-11-23 09:42:00.123456'", "2026-11-23T09:42:00.123456Z"},
    {"RFC 3339", "'2026-11-23T09:42:00.5Z'", "2026-11-23T09:42:00.500000Z"},
    {"an offset", "'2026-11-23T09:42:00+02:00'", "2026-11-23T07:42:00.000000Z"},
    {"an offset and a fraction", "'2026-11-23T09:42:00.25-05:30'", "2026-11-23T15:12:00.250000Z"},
    {"a date alone", "'2026-11-23'", "2026-11-23T00:00:00.000000Z"},
    {"before 1970", "'1969-12-31 23:59:59.999999'", "1969-12-31T23:59:59.999999Z"},
    {"year 1", "'0001-01-01 00:00:00'", "0001-01-01T00:00:00.000000Z"},
    {"year 9999", "'9999-12-31 23:59:59.999999'", "9999-12-31T23:59:59.999999Z"},
    {"year 0", "'0000-01-01 00:00:00'", "0000-01-01T00:00:00.000000Z"},
    {"nanoseconds", "'2026-11-23T09:42:00.123456789Z'", NULL},
    {"nine digits, whole microseconds", "'2026-11-23T09:42:00.123456000Z'",
     "2026-11-23T09:42:00.123456Z"},
    {"year 10000 in UTC", "'9999-12-31T23:59:59-01:00'", NULL},
    {"before year 0 in UTC", "'0000-01-01T00:00:00+01:00'", NULL},
    {"a leap second", "'2016-12-31T23:59:60Z'", NULL},
    {"February 30th", "'2026-02-30 00:00:00'", NULL},
    {"24:00:00", "'2026-11-23 24:00:00'", NULL},
    {"a UNIX time", "1763890920", NULL},
    {"a Julian day", "2461003.5", NULL},
    {NULL, NULL, NULL}};

static const struct type_value sqlite_dates[] = {{"2026-11-23", "'2026-11-23'", "2026-11-23"},
                                                 {"year 1", "'0001-01-01'", "0001-01-01"},
                                                 {"year 0", "'0000-01-01'", NULL},
                                                 {"February 30th", "'2026-02-30'", NULL},
                                                 {"another form", "'23.11.2026'", NULL},
                                                 {NULL, NULL, NULL}};

static const struct type_value sqlite_times[] = {
    {"09:42:00.123456", "'09:42:00.123456'", "09:42:00.123456"},
    {"09:42:00", "'09:42:00'", "09:42:00.000000"},
    {"24:00:00", "'24:00:00'", NULL},
    {"nanoseconds", "'09:42:00.123456789'", NULL},
    {NULL, NULL, NULL}};

static const struct type_value sqlite_timestamps[] = {
    {"2026-11-23 09:42:00", "'2026-11-23 09:42:00'", "2026-11-23T09:42:00.000000"},
    {"microseconds", "'2026-11-23T09:42:00.123456'", "2026-11-23T09:42:00.123456"},
    {"a zone", "'2026-11-23T09:42:00Z'", NULL},
    {NULL, NULL, NULL}};

static const struct type_value sqlite_uuids[] = {
    {"lower case", "'01942f6e-0000-7000-8000-00000000002a'",
     "01942f6e-0000-7000-8000-00000000002a"},
    {"upper case", "'01942F6E-0000-7000-8000-00000000002A'", NULL},
    {NULL, NULL, NULL}};

static const struct type_value sqlite_text_keys[] = {
    {"empty", "''", ""},
    {"a", "'a'", "a"},
    {"A", "'A'", "A"},
    {"a and a blank", "'a '", "a "},
    {"an accent", "'\xc3\xa9'", "\xc3\xa9"},
    {"control characters", "char(10, 31, 127)", NULL},
    {"a number", "42", "42"},
    {"300 characters", "replace(hex(zeroblob(150)), '00', 'ab')", NULL},
    {"a NUL character", "'a' || char(0)", NULL},
    {NULL, NULL, NULL}};

static const struct type_value sqlite_keys[] = {{"1", "1", NULL}, {NULL, NULL, NULL}};

static const struct type_column sqlite_columns[] = {
    {.native = "INTEGER", .values = sqlite_integers},
    {.native = "BOOLEAN", .values = sqlite_booleans},
    {.native = "DECIMAL(20,6)",
     .values = sqlite_decimals,
     .reader = "iif(typeof(v) = 'real', printf('%!.20g', v), v)"},
    {.native = "TEXT", .by_hand = "decimal", .values = sqlite_decimal_texts},
    {.native = "REAL", .values = sqlite_doubles, .generator = TYPE_RANDOM_DOUBLES},
    {.native = "TEXT", .values = sqlite_texts, .generator = TYPE_ALL_CHARACTERS},
    {.native = "VARCHAR(5)", .values = sqlite_short_texts},
    {.native = "BLOB", .values = sqlite_bytes},
    {.native = "JSON", .values = sqlite_jsons},
    {.native = "JSON", .kept = "jsonb", .values = sqlite_jsons},
    {.native = "DATETIME", .values = sqlite_date_times},
    {.native = "TIMESTAMP", .values = sqlite_date_times},
    {.native = "TEXT", .by_hand = "date-time", .values = sqlite_date_times},
    {.native = "TEXT", .by_hand = "timestamp", .values = sqlite_timestamps},
    {.native = "DATE", .values = sqlite_dates},
    {.native = "DATE", .by_hand = "date", .values = sqlite_dates},
    {.native = "TIME", .by_hand = "time", .values = sqlite_times},
    {.native = "UUID", .by_hand = "uuid", .values = sqlite_uuids},
    {.native = "ANYTHING", .values = sqlite_keys},
    {.native = "INTEGER", .is_key = true, .values = sqlite_keys},
    {.native = "TEXT", .is_key = true, .values = sqlite_text_keys},
    {.native = "TEXT COLLATE NOCASE", .is_key = true, .values = sqlite_text_keys},
    {.native = "BLOB", .is_key = true, .values = sqlite_keys},
    {.native = "DECIMAL(10,2)", .is_key = true, .values = sqlite_keys},
    {.native = "REAL", .is_key = true, .values = sqlite_keys},
};

#endif
