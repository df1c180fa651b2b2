/* JSON values as schemas see them: types, exact numbers, equality, pointers. */
#include "common/utf8.h"
#include "schemas/json_schema/internal.h"

#include "common/buffer.h"

#include <stdio.h>
#include <stdlib.h>

__extension__ typedef unsigned __int128 wide;

/** A number as digits × 10^exponent, exactly and without its sign. */
struct decimal {
    uint64_t digits;
    long exponent;
};

/** Round towards zero. For this alone the mathematical library is not linked. */
static double whole_part(double real)
{
    bool is_whole = real >= 0x1p53 || real <= -0x1p53;
    return is_whole ? real : (double)(int64_t)real;
}

unsigned json_value_types(const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_NULL:
        return JSON_TYPE_NULL;
    case JSON_TRUE:
    case JSON_FALSE:
        return JSON_TYPE_BOOLEAN;
    case JSON_INTEGER:
        return JSON_TYPE_INTEGER | JSON_TYPE_NUMBER;
    case JSON_REAL: {
        double number = json_real_value(value);
        return JSON_TYPE_NUMBER | (whole_part(number) == number ? JSON_TYPE_INTEGER : 0U);
    }
    case JSON_STRING:
        return JSON_TYPE_STRING;
    case JSON_ARRAY:
        return JSON_TYPE_ARRAY;
    case JSON_OBJECT:
        return JSON_TYPE_OBJECT;
    }
    return 0;
}

struct slice json_text(const json_t *string)
{
    return (struct slice){json_string_value(string), json_string_length(string)};
}

size_t json_text_length(struct slice text)
{
    size_t count = 0;
    for (size_t i = 0; i < text.length; i++)
        count += ((unsigned char)text.data[i] & 0xc0) != 0x80;
    return count;
}

static int json_integer_compare_real(json_int_t integer, double real)
{
    if (real >= 0x1p63)
        return -1;
    if (real < -0x1p63)
        return 1;
    json_int_t whole = (json_int_t)real;
    if (integer != whole)
        return integer < whole ? -1 : 1;
    double rest = real - whole_part(real);
    return (rest < 0) - (rest > 0);
}

int json_number_compare(const json_t *a, const json_t *b)
{
    if (json_is_integer(a) && json_is_integer(b)) {
        json_int_t left = json_integer_value(a);
        json_int_t right = json_integer_value(b);
        return (left > right) - (left < right);
    }
    if (json_is_integer(a))
        return json_integer_compare_real(json_integer_value(a), json_real_value(b));
    if (json_is_integer(b))
        return -json_integer_compare_real(json_integer_value(b), json_real_value(a));
    double left = json_real_value(a);
    double right = json_real_value(b);
    return (left > right) - (left < right);
}

/** Write the shortest decimal that reads back as the same double. */
static struct decimal decimal_of_real(double real)
{
    real = real < 0 ? -real : real;
    struct decimal decimal = {.digits = 0, .exponent = 0};
    char text[64];
    for (int precision = 14; precision <= 16; precision++) {
        (void)snprintf(text, sizeof text, "%.*e", precision, real);
        if (strtod(text, NULL) == real)
            break;
    }
    const char *end = strchr(text, 'e');
    if (end == NULL)
        return decimal;
    for (const char *c = text; c < end; c++) {
        if (*c < '0' || *c > '9')
            continue;
        decimal.digits = decimal.digits * 10 + (uint64_t)(*c - '0');
        decimal.exponent -= c > text;
    }
    decimal.exponent += strtol(end + 1, NULL, 10);
    return decimal;
}

static struct decimal decimal_of(const json_t *number)
{
    struct decimal decimal = {.digits = 0, .exponent = 0};
    if (json_is_integer(number)) {
        json_int_t value = json_integer_value(number);
        decimal.digits = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    } else {
        decimal = decimal_of_real(json_real_value(number));
    }
    while (decimal.digits != 0 && decimal.digits % 10 == 0) {
        decimal.digits /= 10;
        decimal.exponent++;
    }
    return decimal;
}

bool json_number_is_multiple(const json_t *value, const json_t *divisor)
{
    struct decimal a = decimal_of(value);
    struct decimal b = decimal_of(divisor);
    if (a.digits == 0)
        return true;
    if (b.digits == 0)
        return false;
    if (a.exponent < b.exponent) {
        /* a has no factor of ten any more, so b × 10^n divides it only where n is small */
        wide scaled = b.digits;
        for (long n = b.exponent - a.exponent; n > 0; n--) {
            scaled *= 10;
            if (scaled > a.digits)
                return false;
        }
        return a.digits % scaled == 0;
    }
    wide rest = a.digits % b.digits;
    for (long n = a.exponent - b.exponent; n > 0 && rest != 0; n--)
        rest = rest * 10 % b.digits;
    return rest == 0;
}

static bool json_array_equal(const json_t *a, const json_t *b, uint64_t *ret_steps)
{
    if (json_array_size(a) != json_array_size(b))
        return false;
    for (size_t i = 0; i < json_array_size(a); i++) {
        if (!json_value_equal(json_array_get(a, i), json_array_get(b, i), ret_steps))
            return false;
    }
    return true;
}

static bool json_object_equal(const json_t *a, const json_t *b, uint64_t *ret_steps)
{
    if (json_object_size(a) != json_object_size(b))
        return false;
    const char *name;
    json_t *left;
    json_object_foreach((json_t *)(uintptr_t)a, name, left)
    {
        const json_t *right = json_object_get(b, name);
        if (right == NULL || !json_value_equal(left, right, ret_steps))
            return false;
    }
    return true;
}

bool json_value_equal(const json_t *a, const json_t *b, uint64_t *ret_steps)
{
    (*ret_steps)++;
    if (json_is_number(a) && json_is_number(b))
        return json_number_compare(a, b) == 0;
    if (json_typeof(a) != json_typeof(b))
        return false;
    switch (json_typeof(a)) {
    case JSON_STRING:
        return slice_equal(json_text(a), json_text(b));
    case JSON_ARRAY:
        return json_array_equal(a, b, ret_steps);
    case JSON_OBJECT:
        return json_object_equal(a, b, ret_steps);
    default:
        return true;
    }
}

static void json_place_append(const struct json_place *place, struct buffer *buffer)
{
    if (place == NULL)
        return;
    json_place_append(place->parent, buffer);
    if (place->name == NULL) {
        buffer_append_format(buffer, "/%zu", place->index);
        return;
    }
    buffer_append_text(buffer, "/");
    for (const char *c = place->name; *c != '\0'; c++) {
        if (*c == '~' || *c == '/')
            buffer_append_text(buffer, *c == '~' ? "~0" : "~1");
        else
            buffer_append(buffer, (unsigned char)*c < 0x20 ? "?" : c, 1);
    }
}

void json_place_write(const struct json_place *place, char ret_text[static JSON_PLACE_TEXT_SIZE])
{
    struct buffer buffer;
    buffer_init(&buffer, JSON_PLACE_TEXT_SIZE - 1);
    json_place_append(place, &buffer);
    utf8_format(ret_text, JSON_PLACE_TEXT_SIZE, "%s",
                place == NULL ? "(root)" : buffer_text(&buffer));
    buffer_done(&buffer);
}
