/* PostgreSQL's types, and the values that are tried with each. */
#ifndef TESTS_CONFORMANCE_TYPES_POSTGRESQL_H
#define TESTS_CONFORMANCE_TYPES_POSTGRESQL_H

#include "tests/support/type_case.h"

static const struct type_value postgresql_smallints[] = {{"0", "0", "0"},
                                                         {"largest", "32767", "32767"},
                                                         {"smallest", "-32768", "-32768"},
                                                         {NULL, NULL, NULL}};

static const struct type_value postgresql_integers[] = {{"0", "0", "0"},
                                                        {"largest", "2147483647", "2147483647"},
                                                        {"smallest", "-2147483648", "-2147483648"},
                                                        {NULL, NULL, NULL}};

static const struct type_value postgresql_bigints[] = {
    {"0", "0", "0"},
    {"largest", "9223372036854775807", "9223372036854775807"},
    {"smallest", "-9223372036854775808", "-9223372036854775808"},
    {"2^53 + 1", "9007199254740993", "9007199254740993"},
    {NULL, NULL, NULL}};

static const struct type_value postgresql_numerics[] = {
    {"0", "0", "0"},
    {"-12.50", "-12.50", "-12.50"},
    {"2^64 - 1", "18446744073709551615", "18446744073709551615"},
    {"1e-7", "1e-7", "0.0000001"},
    {"65 digits", "-99999999999999999999999999999999999.999999999999999999999999999999",
     "-99999999999999999999999999999999999.999999999999999999999999999999"},
    {"40 digits before the point", "1e39", NULL},
    {"31 digits behind the point", "1e-31", NULL},
    {"131072 digits before the point", "repeat('9', 131072)::numeric", NULL},
    {"16383 digits behind the point", "('0.' || repeat('7', 16383))::numeric", NULL},
    {"the widest", "-(repeat('9', 131072) || '.' || repeat('7', 16383))::numeric", NULL},
    {"NaN", "'NaN'", NULL},
    {"infinity", "'Infinity'", NULL},
    {NULL, NULL, NULL}};

static const struct type_value postgresql_narrow_numerics[] = {
    {"0.00", "0", "0.00"},
    {"12.50", "12.5", "12.50"},
    {"largest", "99999999.99", "99999999.99"},
    {"smallest", "-99999999.99", "-99999999.99"},
    {"NaN", "'NaN'", NULL},
    {NULL, NULL, NULL}};

static const struct type_value postgresql_widest_numerics[] = {
    {"65 digits", "-99999999999999999999999999999999999.999999999999999999999999999999", NULL},
    {"1e-30", "1e-30", NULL},
    {NULL, NULL, NULL}};

static const struct type_value postgresql_wide_numerics[] = {
    {"1", "1", NULL}, {"1e60 + 1e-30", "1e60 + 1e-30", NULL}, {NULL, NULL, NULL}};

static const struct type_value postgresql_reals[] = {{"0", "0", NULL},
                                                     {"-0.0", "'-0'", NULL},
                                                     {"0.1", "0.1", NULL},
                                                     {"largest", "3.4028235e38", NULL},
                                                     {"denormal", "1e-45", NULL},
                                                     {"NaN", "'NaN'", NULL},
                                                     {"infinity", "'Infinity'", NULL},
                                                     {NULL, NULL, NULL}};

static const struct type_value postgresql_doubles[] = {
    {"0", "0", NULL},
    {"-0.0", "'-0'", NULL},
    {"0.1 + 0.2", "0.1::float8 + 0.2::float8", NULL},
    {"largest", "1.7976931348623157e308", NULL},
    {"smallest normal", "2.2250738585072014e-308", NULL},
    {"denormal", "5e-324", NULL},
    {"2^53 + 1", "9007199254740993", NULL},
    {"1e22", "1e22", NULL},
    {"NaN", "'NaN'", NULL},
    {"infinity", "'Infinity'", NULL},
    {"-infinity", "'-Infinity'", NULL},
    {NULL, NULL, NULL}};

static const struct type_value postgresql_texts[] = {
    {"empty", "''", ""},
    {"blanks", "'  a  '", "  a  "},
    {"quotes and escapes", "'O''Brien \"x\" \\ / %'", "O'Brien \"x\" \\ / %"},
    {"a combining accent", "'e\xcc\x81'", "e\xcc\x81"},
    {"emoji", "'\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x9a\x80'",
     "\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x9a\x80"},
    {"right to left", "'\xd7\xa9\xd7\x9c\xd7\x95\xd7\x9d\xe2\x80\xae'",
     "\xd7\xa9\xd7\x9c\xd7\x95\xd7\x9d\xe2\x80\xae"},
    {"1,000,000 characters", "repeat('\xc3\xa9z', 500000)", NULL},
    {"the word NULL", "'null'", "null"},
    {NULL, NULL, NULL}};

static const struct type_value postgresql_short_texts[] = {
    {"5 characters", "'\xc3\xa9\xc3\xa9xyz'", "\xc3\xa9\xc3\xa9xyz"},
    {"blanks at the end", "'ab   '", "ab   "},
    {NULL, NULL, NULL}};

static const struct type_value postgresql_bytes[] = {
    {"empty", "''", ""},
    {"00FF80", "decode('00FF80', 'hex')", "00FF80"},
    {"each byte",
     "(SELECT string_agg(decode(lpad(to_hex(b), 2, '0'), 'hex'), '' ORDER BY b) "
     "FROM generate_series(0, 255) AS b)",
     NULL},
    {"1,000,000 bytes", "decode(repeat('5C00', 500000), 'hex')", NULL},
    {NULL, NULL, NULL}};

static const struct type_value postgresql_booleans[] = {
    {"true", "true", "1"}, {"false", "false", "0"}, {NULL, NULL, NULL}};

static const struct type_value postgresql_date_times[] = {
    {"an offset", "'2026-11-23 09:42:00.123456+05:45'", "2026-11-23T03:57:00.123456Z"},
    {"before 1970", "'1969-12-31 23:59:59.999999Z'", "1969-12-31T23:59:59.999999Z"},
    {"an hour that a zone skips", "'2026-03-29 01:30:00Z'", "2026-03-29T01:30:00.000000Z"},
    {"year 1", "'0001-01-01 00:00:00Z'", "0001-01-01T00:00:00.000000Z"},
    {"year 9999", "'9999-12-31 23:59:59.999999Z'", "9999-12-31T23:59:59.999999Z"},
    {"year 10000", "'10000-01-01 00:00:00Z'", NULL},
    {"before Christ", "'0001-12-31 23:59:59Z BC'", NULL},
    {"infinity", "'infinity'", NULL},
    {"-infinity", "'-infinity'", NULL},
    {NULL, NULL, NULL}};

static const struct type_value postgresql_timestamps[] = {
    {"microseconds", "'2026-11-23 09:42:00.123456'", "2026-11-23T09:42:00.123456"},
    {"before 1970", "'1969-12-31 23:59:59.999999'", "1969-12-31T23:59:59.999999"},
    {"an hour that a zone skips", "'2026-03-29 02:30:00'", "2026-03-29T02:30:00.000000"},
    {"year 1", "'0001-01-01 00:00:00'", "0001-01-01T00:00:00.000000"},
    {"year 9999", "'9999-12-31 23:59:59.999999'", "9999-12-31T23:59:59.999999"},
    {"year 10000", "'10000-01-01 00:00:00'", NULL},
    {"before Christ", "'0001-12-31 23:59:59 BC'", NULL},
    {"infinity", "'infinity'", NULL},
    {NULL, NULL, NULL}};

static const struct type_value postgresql_milliseconds[] = {
    {"milliseconds", "'2026-11-23 09:42:00.123Z'", "2026-11-23T09:42:00.123000Z"},
    {NULL, NULL, NULL}};

static const struct type_value postgresql_dates[] = {
    {"2026-11-23", "'2026-11-23'", "2026-11-23"},
    {"February 29th", "'2024-02-29'", "2024-02-29"},
    {"before 1970", "'1969-12-31'", "1969-12-31"},
    {"year 1", "'0001-01-01'", "0001-01-01"},
    {"year 9999", "'9999-12-31'", "9999-12-31"},
    {"year 10000", "'10000-01-01'", NULL},
    {"before Christ", "'0044-03-15 BC'", NULL},
    {"infinity", "'infinity'", NULL},
    {NULL, NULL, NULL}};

static const struct type_value postgresql_times[] = {
    {"00:00:00", "'00:00:00'", "00:00:00.000000"},
    {"23:59:59.999999", "'23:59:59.999999'", "23:59:59.999999"},
    {"24:00:00", "'24:00:00'", NULL},
    {NULL, NULL, NULL}};

static const struct type_value postgresql_uuids[] = {
    {"upper case", "'01942F6E-0000-7000-8000-00000000002A'",
     "01942f6e-0000-7000-8000-00000000002a"},
    {"nil", "'00000000-0000-0000-0000-000000000000'", "00000000-0000-0000-0000-000000000000"},
    {NULL, NULL, NULL}};

static const struct type_value postgresql_jsons[] = {
    {"{}", "'{}'", "{}"},
    {"order, blanks and zeros", "'{\"b\":1, \"a\":[1.50,null]}'", NULL},
    {"a number of 30 digits", "'[123456789012345678901234567890.10]'",
     "[123456789012345678901234567890.10]"},
    {"a whole number of 30 digits", "'[123456789012345678901234567890]'",
     "[123456789012345678901234567890]"},
    {"1e400", "'1e400'", NULL},
    {"equal names", "'{\"a\":1,\"a\":2}'", NULL},
    {"null", "'null'", "null"},
    {"emoji", "'\"\xf0\x9f\x98\x80\"'", "\"\xf0\x9f\x98\x80\""},
    {NULL, NULL, NULL}};

static const struct type_value postgresql_json_escapes[] = {
    {"an escaped NUL", "'\"\\u0000\"'", "\"\\u0000\""},
    {"half a surrogate pair", "'\"\\ud800\"'", NULL},
    {NULL, NULL, NULL}};

static const struct type_value postgresql_moods[] = {
    {"fine", "'fine'", "fine"},
    {"n\xc3\xa9v \"x\"", "'n\xc3\xa9v \"x\"'", "n\xc3\xa9v \"x\""},
    {NULL, NULL, NULL}};

static const struct type_value postgresql_words[] = {
    {"a", "'a'", "a"}, {"A", "'A'", "A"}, {NULL, NULL, NULL}};

static const struct type_value postgresql_text_keys[] = {
    {"empty", "''", ""},
    {"a", "'a'", "a"},
    {"A", "'A'", "A"},
    {"a and a blank", "'a '", "a "},
    {"an accent", "'\xc3\xa9'", "\xc3\xa9"},
    {"control characters", "E'\\n\\x1f\\x7f'", NULL},
    {"255 characters", "repeat('x', 255)", NULL},
    {"300 characters", "repeat('x', 300)", NULL},
    {NULL, NULL, NULL}};

static const struct type_value postgresql_ones[] = {{"1", "'1'", NULL}, {NULL, NULL, NULL}};
static const struct type_value postgresql_days[] = {{"1 day", "'1 day'", NULL}, {NULL, NULL, NULL}};
static const struct type_value postgresql_zoned[] = {{"09:42+02", "'09:42+02'", NULL},
                                                     {NULL, NULL, NULL}};
static const struct type_value postgresql_arrays[] = {{"{1,2}", "'{1,2}'", NULL},
                                                      {NULL, NULL, NULL}};
static const struct type_value postgresql_addresses[] = {{"10.0.0.1", "'10.0.0.1'", NULL},
                                                         {NULL, NULL, NULL}};
static const struct type_value postgresql_points[] = {{"(1,2)", "'(1,2)'", NULL},
                                                      {NULL, NULL, NULL}};
static const struct type_value postgresql_markups[] = {{"<a/>", "'<a/>'", NULL},
                                                       {NULL, NULL, NULL}};
static const struct type_value postgresql_ranges[] = {{"[1,2)", "'[1,2)'", NULL},
                                                      {NULL, NULL, NULL}};
static const struct type_value postgresql_moments[] = {{"now", "'2026-11-23 09:42:00Z'", NULL},
                                                       {NULL, NULL, NULL}};

#define NOCASE                                                                                     \
    "CREATE COLLATION nocase (provider = icu, locale = 'und-u-ks-level2', deterministic = false)"

static const struct type_column postgresql_columns[] = {
    {.native = "smallint", .values = postgresql_smallints},
    {.native = "smallint", .kept = "smallint", .values = postgresql_smallints},
    {.native = "integer", .values = postgresql_integers},
    {.native = "integer", .kept = "integer", .values = postgresql_integers},
    {.native = "bigint", .values = postgresql_bigints},
    {.native = "numeric", .values = postgresql_numerics},
    {.native = "numeric(10,2)", .values = postgresql_narrow_numerics},
    {.native = "numeric(10,2)", .kept = "numeric(12,4)", .values = postgresql_narrow_numerics},
    {.native = "numeric(65,30)", .values = postgresql_widest_numerics},
    {.native = "numeric(100,30)", .values = postgresql_wide_numerics},
    {.native = "numeric(5,-2)", .values = postgresql_ones},
    {.native = "numeric(3,5)",
     .values = (const struct type_value[]){{"0.001", "0.001", NULL}, {NULL, NULL, NULL}}},
    {.native = "real", .values = postgresql_reals},
    {.native = "real", .kept = "real", .values = postgresql_reals},
    {.native = "double precision", .values = postgresql_doubles, .generator = TYPE_RANDOM_DOUBLES},
    {.native = "text", .values = postgresql_texts, .generator = TYPE_ALL_CHARACTERS},
    {.native = "varchar(5)", .values = postgresql_short_texts},
    {.native = "char(5)", .values = postgresql_short_texts},
    {.native = "char(5)", .by_hand = "text", .values = postgresql_short_texts},
    {.native = "bytea", .values = postgresql_bytes},
    {.native = "boolean", .values = postgresql_booleans},
    {.native = "timestamptz", .values = postgresql_date_times},
    {.native = "timestamptz(3)", .values = postgresql_milliseconds},
    {.native = "timestamp", .values = postgresql_timestamps},
    {.native = "date", .values = postgresql_dates},
    {.native = "time", .values = postgresql_times},
    {.native = "timetz", .values = postgresql_zoned},
    {.native = "timetz", .by_hand = "time", .values = postgresql_zoned},
    {.native = "interval", .values = postgresql_days},
    {.native = "interval", .by_hand = "text", .values = postgresql_days},
    {.native = "uuid", .values = postgresql_uuids},
    {.native = "uuid", .kept = "uuid", .values = postgresql_uuids},
    {.native = "json", .values = postgresql_jsons},
    {.native = "json", .values = postgresql_json_escapes},
    {.native = "jsonb", .values = postgresql_jsons},
    {.native = "jsonb", .kept = "jsonb", .values = postgresql_jsons},
    {.native = "json", .kept = "jsonb", .values = postgresql_jsons},
    {.native = "json", .kept = "jsonb", .values = postgresql_json_escapes},
    {.native = "mood",
     .values = postgresql_moods,
     .before = "CREATE TYPE mood AS ENUM ('fine', 'n\xc3\xa9v \"x\"')"},
    {.native = "positive",
     .values = postgresql_ones,
     .before = "CREATE DOMAIN positive AS integer CHECK (VALUE > 0)"},
    {.native = "positive", .by_hand = "integer", .values = postgresql_ones},
    {.native = "citext", .values = postgresql_words, .before = "CREATE EXTENSION citext"},
    {.native = "citext", .by_hand = "text", .values = postgresql_words},
    {.native = "integer[]", .values = postgresql_arrays},
    {.native = "integer[]", .by_hand = "json", .values = postgresql_arrays},
    {.native = "money", .values = postgresql_ones},
    {.native = "money", .by_hand = "decimal", .values = postgresql_ones},
    {.native = "bit(1)", .values = postgresql_ones},
    {.native = "inet", .values = postgresql_addresses},
    {.native = "inet", .by_hand = "text", .values = postgresql_addresses},
    {.native = "xml", .values = postgresql_markups},
    {.native = "point", .values = postgresql_points},
    {.native = "int4range", .values = postgresql_ranges},
    {.native = "bigint", .is_key = true, .values = postgresql_bigints},
    {.native = "text", .is_key = true, .values = postgresql_text_keys},
    {.native = "varchar(300)", .is_key = true, .values = postgresql_text_keys},
    {.native = "text COLLATE nocase", .is_key = true, .before = NOCASE, .values = postgresql_words},
    {.native = "citext", .by_hand = "text", .is_key = true, .values = postgresql_words},
    {.native = "mood", .is_key = true, .values = postgresql_moods},
    {.native = "uuid", .is_key = true, .values = postgresql_uuids},
    {.native = "numeric", .is_key = true, .values = postgresql_ones},
    {.native = "timestamptz", .is_key = true, .values = postgresql_moments},
    {.native = "bytea", .is_key = true, .values = postgresql_bytes},
};

#endif
