/* MariaDB's types, and the values that are tried with each. */
#ifndef TESTS_CONFORMANCE_TYPES_MARIADB_H
#define TESTS_CONFORMANCE_TYPES_MARIADB_H

#include "tests/support/type_case.h"

static const struct type_value mariadb_tinyints[] = {
    {"largest", "127", "127"}, {"smallest", "-128", "-128"}, {NULL, NULL, NULL}};

static const struct type_value mariadb_unsigned_tinyints[] = {{"largest", "255", "255"},
                                                              {NULL, NULL, NULL}};

static const struct type_value mariadb_smallints[] = {
    {"largest", "32767", "32767"}, {"smallest", "-32768", "-32768"}, {NULL, NULL, NULL}};

static const struct type_value mariadb_mediumints[] = {
    {"largest", "8388607", "8388607"}, {"smallest", "-8388608", "-8388608"}, {NULL, NULL, NULL}};

static const struct type_value mariadb_ints[] = {{"largest", "2147483647", "2147483647"},
                                                 {"smallest", "-2147483648", "-2147483648"},
                                                 {NULL, NULL, NULL}};

static const struct type_value mariadb_unsigned_ints[] = {
    {"largest", "4294967295", "4294967295"}, {"7", "7", "7"}, {NULL, NULL, NULL}};

static const struct type_value mariadb_bigints[] = {
    {"largest", "9223372036854775807", "9223372036854775807"},
    {"smallest", "-9223372036854775808", "-9223372036854775808"},
    {"2^53 + 1", "9007199254740993", "9007199254740993"},
    {NULL, NULL, NULL}};

static const struct type_value mariadb_unsigned_bigints[] = {
    {"0", "0", "0"},
    {"2^63", "9223372036854775808", "9223372036854775808"},
    {"largest", "18446744073709551615", "18446744073709551615"},
    {NULL, NULL, NULL}};

static const struct type_value mariadb_booleans[] = {
    {"true", "1", "1"}, {"false", "0", "0"}, {"2", "2", NULL}, {NULL, NULL, NULL}};

static const struct type_value mariadb_bits[] = {
    {"b'1'", "b'1'", NULL}, {"b'0'", "b'0'", NULL}, {NULL, NULL, NULL}};

static const struct type_value mariadb_years[] = {
    {"1901", "1901", "1901"}, {"2155", "2155", "2155"}, {NULL, NULL, NULL}};

static const struct type_value mariadb_decimals[] = {{"0", "0", "0.00"},
                                                     {"12.50", "12.5", "12.50"},
                                                     {"largest", "99999999.99", "99999999.99"},
                                                     {"smallest", "-99999999.99", "-99999999.99"},
                                                     {NULL, NULL, NULL}};

static const struct type_value mariadb_wide_decimals[] = {
    {"65 digits", "-99999999999999999999999999999999999.999999999999999999999999999999",
     "-99999999999999999999999999999999999.999999999999999999999999999999"},
    {"1e-30", "0.000000000000000000000000000001", "0.000000000000000000000000000001"},
    {NULL, NULL, NULL}};

static const struct type_value mariadb_whole_decimals[] = {
    {"65 digits", "99999999999999999999999999999999999999999999999999999999999999999",
     "99999999999999999999999999999999999999999999999999999999999999999"},
    {NULL, NULL, NULL}};

static const struct type_value mariadb_floats[] = {{"0", "0", NULL},
                                                   {"0.1", "0.1", NULL},
                                                   {"1/3", "1e0 / 3", NULL},
                                                   {"largest", "3.40282346e38", NULL},
                                                   {"denormal", "1.4e-45", NULL},
                                                   {"-0.0", "-0e0", NULL},
                                                   {NULL, NULL, NULL}};

static const struct type_value mariadb_doubles[] = {
    {"0", "0", NULL},
    {"-0.0", "-0e0", NULL},
    {"0.1 + 0.2", "0.1e0 + 0.2e0", NULL},
    {"largest", "1.7976931348623157e308", NULL},
    {"smallest normal", "2.2250738585072014e-308", NULL},
    {"denormal", "4.94065645841246544e-324", NULL},
    {"2^53 + 1", "9007199254740993", NULL},
    {"1e22", "1e22", NULL},
    {NULL, NULL, NULL}};

static const struct type_value mariadb_ones[] = {{"1", "1", NULL}, {NULL, NULL, NULL}};

static const struct type_value mariadb_texts[] = {
    {"empty", "''", ""},
    {"blanks", "'  a  '", "  a  "},
    {"quotes and escapes", "'O''Brien \"x\" \\\\ / %'", "O'Brien \"x\" \\ / %"},
    {"a combining accent", "'e\xcc\x81'", "e\xcc\x81"},
    {"emoji", "'\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x9a\x80'",
     "\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x9a\x80"},
    {"right to left", "'\xd7\xa9\xd7\x9c\xd7\x95\xd7\x9d\xe2\x80\xae'",
     "\xd7\xa9\xd7\x9c\xd7\x95\xd7\x9d\xe2\x80\xae"},
    {"1,000,000 characters", "repeat('\xc3\xa9z', 500000)", NULL},
    {"the word NULL", "'null'", "null"},
    {"a NUL character", "X'610062'", NULL},
    {NULL, NULL, NULL}};

static const struct type_value mariadb_short_texts[] = {
    {"5 characters", "'\xc3\xa9\xc3\xa9xyz'", "\xc3\xa9\xc3\xa9xyz"},
    {"blanks at the end", "'ab   '", NULL},
    {"empty", "''", ""},
    {NULL, NULL, NULL}};

static const struct type_value mariadb_enums[] = {{"a", "'a'", "a"},
                                                  {"b\"c", "'b\"c'", "b\"c"},
                                                  {"\xc3\xa9", "'\xc3\xa9'", "\xc3\xa9"},
                                                  {NULL, NULL, NULL}};

static const struct type_value mariadb_sets[] = {
    {"none", "''", ""}, {"a,b", "'b,a'", "a,b"}, {NULL, NULL, NULL}};

static const struct type_value mariadb_bytes[] = {
    {"empty", "''", ""},
    {"00FF80", "X'00FF80'", "00FF80"},
    {"each byte",
     "(SELECT unhex(group_concat(lpad(hex(seq), 2, '0') ORDER BY seq SEPARATOR '')) "
     "FROM seq_0_to_255)",
     NULL},
    {NULL, NULL, NULL}};

static const struct type_value mariadb_long_bytes[] = {
    {"1,000,000 bytes", "repeat(X'5C00', 500000)", NULL}, {NULL, NULL, NULL}};

static const struct type_value mariadb_four_bytes[] = {{"00FF8000", "X'00FF8000'", "00FF8000"},
                                                       {NULL, NULL, NULL}};

/* The session's time zone is UTC. */
static const struct type_value mariadb_moments[] = {
    {"microseconds", "'2026-11-23 09:42:00.123456'", "2026-11-23T09:42:00.123456Z"},
    {"earliest", "'1970-01-01 00:00:01'", "1970-01-01T00:00:01.000000Z"},
    {"an hour that a zone skips", "'2026-03-29 01:30:00'", "2026-03-29T01:30:00.000000Z"},
    {"last", "'2038-01-19 03:14:07.999999'", "2038-01-19T03:14:07.999999Z"},
    {NULL, NULL, NULL}};

static const struct type_value mariadb_whole_moments[] = {
    {"seconds", "'2026-11-23 09:42:00'", "2026-11-23T09:42:00.000000Z"}, {NULL, NULL, NULL}};

static const struct type_value mariadb_timestamps[] = {
    {"microseconds", "'2026-11-23 09:42:00.123456'", "2026-11-23T09:42:00.123456"},
    {"before 1970", "'1969-12-31 23:59:59.999999'", "1969-12-31T23:59:59.999999"},
    {"year 1", "'0001-01-01 00:00:00'", "0001-01-01T00:00:00.000000"},
    {"year 9999", "'9999-12-31 23:59:59.999999'", "9999-12-31T23:59:59.999999"},
    {NULL, NULL, NULL}};

static const struct type_value mariadb_whole_timestamps[] = {
    {"seconds", "'2026-11-23 09:42:00'", "2026-11-23T09:42:00.000000"}, {NULL, NULL, NULL}};

static const struct type_value mariadb_utc_timestamps[] = {
    {"microseconds", "'2026-11-23 09:42:00.123456'", "2026-11-23T09:42:00.123456Z"},
    {"year 1", "'0001-01-01 00:00:00'", "0001-01-01T00:00:00.000000Z"},
    {NULL, NULL, NULL}};

static const struct type_value mariadb_dates[] = {{"2026-11-23", "'2026-11-23'", "2026-11-23"},
                                                  {"February 29th", "'2024-02-29'", "2024-02-29"},
                                                  {"year 1", "'0001-01-01'", "0001-01-01"},
                                                  {"year 9999", "'9999-12-31'", "9999-12-31"},
                                                  {NULL, NULL, NULL}};

static const struct type_value mariadb_times[] = {
    {"00:00:00", "'00:00:00'", "00:00:00.000000"},
    {"23:59:59.999999", "'23:59:59.999999'", "23:59:59.999999"},
    {"24:00:00", "'24:00:00'", NULL},
    {"-00:00:01", "'-00:00:01'", NULL},
    {"-838:59:59", "'-838:59:59'", NULL},
    {NULL, NULL, NULL}};

static const struct type_value mariadb_whole_times[] = {
    {"09:42:00", "'09:42:00'", "09:42:00.000000"},
    {"-838:59:59", "'-838:59:59'", NULL},
    {NULL, NULL, NULL}};

static const struct type_value mariadb_uuids[] = {
    {"upper case", "'01942F6E-0000-7000-8000-00000000002A'",
     "01942f6e-0000-7000-8000-00000000002a"},
    {"nil", "'00000000-0000-0000-0000-000000000000'", "00000000-0000-0000-0000-000000000000"},
    {NULL, NULL, NULL}};

static const struct type_value mariadb_jsons[] = {
    {"{}", "'{}'", "{}"},
    {"order, blanks and zeros", "'{\"b\":1, \"a\":[1.50,null]}'", "{\"b\":1, \"a\":[1.50,null]}"},
    {"a number of 30 digits", "'[123456789012345678901234567890.10]'",
     "[123456789012345678901234567890.10]"},
    {"a whole number of 30 digits", "'[123456789012345678901234567890]'",
     "[123456789012345678901234567890]"},
    {"1e400", "'1e400'", "1e400"},
    {"equal names", "'{\"a\":1,\"a\":2}'", "{\"a\":1,\"a\":2}"},
    {"null", "'null'", "null"},
    {"emoji", "'\"\xf0\x9f\x98\x80\"'", "\"\xf0\x9f\x98\x80\""},
    {"an escaped NUL", "'\"\\\\u0000\"'", "\"\\u0000\""},
    {NULL, NULL, NULL}};

static const struct type_value mariadb_text_keys[] = {{"empty", "''", ""},
                                                      {"a", "'a'", "a"},
                                                      {"A", "'A'", "A"},
                                                      {"a and a blank", "'a '", "a "},
                                                      {"an accent", "'\xc3\xa9'", "\xc3\xa9"},
                                                      {"control characters", "X'0A1F7F'", NULL},
                                                      {"255 characters", "repeat('x', 255)", NULL},
                                                      {NULL, NULL, NULL}};

static const struct type_value mariadb_words[] = {
    {"a", "'a'", "a"}, {"A", "'A'", "A"}, {NULL, NULL, NULL}};

static const struct type_value mariadb_zero_dates[] = {{"0000-00-00", "'0000-00-00'", NULL},
                                                       {"2026-11-00", "'2026-11-00'", NULL},
                                                       {"2026-11-23", "'2026-11-23'", "2026-11-23"},
                                                       {NULL, NULL, NULL}};

static const struct type_value mariadb_zero_moments[] = {
    {"0000-00-00 00:00:00", "'0000-00-00 00:00:00'", NULL}, {NULL, NULL, NULL}};

static const struct type_value mariadb_addresses[] = {{"::1", "'::1'", NULL}, {NULL, NULL, NULL}};
static const struct type_value mariadb_points[] = {{"(1,2)", "point(1, 2)", NULL},
                                                   {NULL, NULL, NULL}};
static const struct type_value mariadb_key_times[] = {{"now", "'2026-11-23 09:42:00'", NULL},
                                                      {NULL, NULL, NULL}};

#define UTF8 " CHARACTER SET utf8mb4"

static const struct type_column mariadb_columns[] = {
    {.native = "TINYINT", .values = mariadb_tinyints},
    {.native = "TINYINT UNSIGNED", .values = mariadb_unsigned_tinyints},
    {.native = "SMALLINT", .values = mariadb_smallints},
    {.native = "MEDIUMINT", .values = mariadb_mediumints},
    {.native = "INT", .values = mariadb_ints},
    {.native = "INT UNSIGNED ZEROFILL", .values = mariadb_unsigned_ints},
    {.native = "BIGINT", .values = mariadb_bigints},
    {.native = "BIGINT UNSIGNED", .values = mariadb_unsigned_bigints},
    {.native = "TINYINT(1)", .values = mariadb_booleans},
    {.native = "BIT(1)", .values = mariadb_bits},
    {.native = "BIT(8)", .values = mariadb_bits},
    {.native = "BIT(8)", .by_hand = "integer", .values = mariadb_bits},
    {.native = "YEAR", .values = mariadb_years},
    {.native = "YEAR", .by_hand = "integer", .values = mariadb_years},
    {.native = "DECIMAL(10,2)", .values = mariadb_decimals},
    {.native = "DECIMAL(65,30)", .values = mariadb_wide_decimals},
    {.native = "DECIMAL(65,0)", .values = mariadb_whole_decimals},
    {.native = "FLOAT", .values = mariadb_floats},
    {.native = "FLOAT(7,4)", .values = mariadb_ones},
    {.native = "DOUBLE", .values = mariadb_doubles, .generator = TYPE_RANDOM_DOUBLES},
    {.native = "DOUBLE(10,3)", .values = mariadb_ones},
    {.native = "LONGTEXT" UTF8, .values = mariadb_texts, .generator = TYPE_ALL_CHARACTERS},
    {.native = "VARCHAR(5)" UTF8, .values = mariadb_short_texts},
    {.native = "VARCHAR(5) CHARACTER SET latin1", .values = mariadb_short_texts},
    {.native = "VARCHAR(5) CHARACTER SET utf16", .values = mariadb_short_texts},
    {.native = "CHAR(5)" UTF8, .values = mariadb_short_texts},
    {.native = "TINYTEXT" UTF8, .values = mariadb_short_texts},
    {.native = "ENUM('a','b\"c','\xc3\xa9')" UTF8, .values = mariadb_enums},
    {.native = "SET('a','b')" UTF8, .values = mariadb_sets},
    {.native = "SET('a','b')" UTF8, .by_hand = "text", .values = mariadb_sets},
    {.native = "VARBINARY(256)", .values = mariadb_bytes},
    {.native = "BLOB", .values = mariadb_bytes},
    {.native = "LONGBLOB", .values = mariadb_long_bytes},
    {.native = "BINARY(4)", .values = mariadb_four_bytes},
    {.native = "BINARY(4)", .by_hand = "bytes", .values = mariadb_four_bytes},
    {.native = "TIMESTAMP(6) NULL", .values = mariadb_moments},
    {.native = "TIMESTAMP NULL", .values = mariadb_whole_moments},
    {.native = "DATETIME(6)", .values = mariadb_timestamps},
    {.native = "DATETIME", .values = mariadb_whole_timestamps},
    {.native = "DATETIME(6)", .by_hand = "date-time", .values = mariadb_utc_timestamps},
    {.native = "DATE", .values = mariadb_dates},
    {.native = "TIME(6)", .values = mariadb_times},
    {.native = "TIME", .values = mariadb_whole_times},
    {.native = "UUID", .values = mariadb_uuids},
    {.native = "JSON", .values = mariadb_jsons},
    {.native = "JSON", .kept = "jsonb", .values = mariadb_jsons},
    {.native = "INET6", .values = mariadb_addresses},
    {.native = "INET6", .by_hand = "text", .values = mariadb_addresses},
    {.native = "POINT", .values = mariadb_points},
    {.native = "BIGINT", .is_key = true, .values = mariadb_bigints},
    {.native = "BIGINT UNSIGNED", .is_key = true, .values = mariadb_unsigned_bigints},
    {.native = "VARCHAR(255)" UTF8 " COLLATE utf8mb4_nopad_bin",
     .is_key = true,
     .values = mariadb_text_keys},
    {.native = "VARCHAR(255)" UTF8 " COLLATE utf8mb4_general_ci",
     .is_key = true,
     .values = mariadb_text_keys},
    {.native = "CHAR(5)" UTF8, .is_key = true, .values = mariadb_words},
    {.native = "ENUM('A','a')" UTF8 " COLLATE utf8mb4_bin",
     .is_key = true,
     .values = mariadb_words},
    {.native = "UUID", .is_key = true, .values = mariadb_uuids},
    {.native = "DECIMAL(10,2)", .is_key = true, .values = mariadb_decimals},
    {.native = "DATETIME(6)", .is_key = true, .values = mariadb_key_times},
    {.native = "TIMESTAMP(6)", .is_key = true, .values = mariadb_key_times},
    {.native = "DATE", .is_key = true, .values = mariadb_dates},
    {.native = "VARBINARY(256)", .is_key = true, .values = mariadb_bytes},
    {.native = "DATE", .before = "SET sql_mode = ''", .values = mariadb_zero_dates},
    {.native = "DATETIME", .values = mariadb_zero_moments},
    {.native = "TIMESTAMP NULL", .values = mariadb_zero_moments},
};

#endif
