/* Adds decimals digit by digit. */
#include "schemas/decimal.h"

#include <stdbool.h>
#include <string.h>

/** A decimal's digits, without its sign and its point. */
struct decimal {
    bool is_negative;
    struct slice whole;
    struct slice fraction;
};

/** The digits of a sum: `whole` of them before the point, one more than either summand has. */
struct sum {
    struct decimal left;
    struct decimal right;
    size_t whole;
    size_t fraction;
    bool is_negative;
    char *digits;
};

static size_t size_max(size_t a, size_t b)
{
    return a > b ? a : b;
}

static struct decimal decimal_read(struct slice text)
{
    struct decimal decimal = {.is_negative = text.length > 0 && text.data[0] == '-'};
    text.data += decimal.is_negative;
    text.length -= decimal.is_negative;
    const char *point = memchr(text.data, '.', text.length);
    size_t whole = point == NULL ? text.length : (size_t)(point - text.data);
    decimal.whole = (struct slice){text.data, whole};
    if (point != NULL)
        decimal.fraction = (struct slice){point + 1, text.length - whole - 1};
    return decimal;
}

/* @param place  from the left, in all digits of the sum. */
static int sum_digit(const struct sum *sum, const struct decimal *decimal, size_t place)
{
    size_t missing = sum->whole - decimal->whole.length;
    char digit = '0';
    if (place >= sum->whole && place - sum->whole < decimal->fraction.length)
        digit = decimal->fraction.data[place - sum->whole];
    else if (place >= missing && place < sum->whole)
        digit = decimal->whole.data[place - missing];
    return decimal->is_negative == sum->is_negative ? digit - '0' : '0' - digit;
}

/* @return whether the sum has the sign that it is computed for. */
static bool sum_compute(struct sum *sum)
{
    int carry = 0;
    for (size_t place = sum->whole + sum->fraction; place-- > 0;) {
        int digit = carry + sum_digit(sum, &sum->left, place) + sum_digit(sum, &sum->right, place);
        carry = (digit + 20) / 10 - 2; /* rounded down: a digit may be below 0 */
        sum->digits[place] = (char)('0' + digit - 10 * carry);
    }
    return carry >= 0;
}

static struct slice sum_write(const struct sum *sum, char *text)
{
    size_t zeros = 0;
    size_t length = 0;
    while (zeros + 1 < sum->whole && sum->digits[zeros] == '0')
        zeros++;
    if (sum->is_negative)
        text[length++] = '-';
    memcpy(text + length, sum->digits + zeros, sum->whole - zeros);
    length += sum->whole - zeros;
    if (sum->fraction > 0) {
        text[length++] = '.';
        memcpy(text + length, sum->digits + sum->whole, sum->fraction);
        length += sum->fraction;
    }
    return (struct slice){text, length};
}

struct slice decimal_add(struct slice left, struct slice right, struct arena *arena)
{
    struct sum sum = {.left = decimal_read(left), .right = decimal_read(right)};
    sum.whole = size_max(sum.left.whole.length, sum.right.whole.length) + 1;
    sum.fraction = size_max(sum.left.fraction.length, sum.right.fraction.length);
    size_t count = sum.whole + sum.fraction;
    sum.digits = arena_alloc(arena, count);
    char *text = arena_alloc(arena, count + 2);
    if (sum.digits == NULL || text == NULL)
        return (struct slice){0};
    if (!sum_compute(&sum)) {
        sum.is_negative = true;
        (void)sum_compute(&sum);
    }
    return sum_write(&sum, text);
}
