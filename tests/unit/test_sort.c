/* The order of a batch's writes is that of one comparison: table, key, place in the log. */
#include "tests/support/test.h"

#include "consumer/apply/sort.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#define WRITES_MAX   3000
#define MAPPINGS_MAX 3
#define COUNT(array) (sizeof(array) / sizeof *(array))

static struct column number_columns[] = {{.name = (char[]){"id"}, .type = COLUMN_INTEGER}};
static struct column text_columns[] = {{.name = (char[]){"id"}, .type = COLUMN_TEXT}};
static struct column pair_columns[] = {{.name = (char[]){"a"}, .type = COLUMN_INTEGER},
                                       {.name = (char[]){"b"}, .type = COLUMN_INTEGER}};
static size_t key_columns[] = {0, 1};
static const struct entity_schema number_key = {
    .columns = number_columns, .column_count = 1, .key_columns = key_columns, .key_count = 1};
static const struct entity_schema text_key = {
    .columns = text_columns, .column_count = 1, .key_columns = key_columns, .key_count = 1};
static const struct entity_schema pair_key = {
    .columns = pair_columns, .column_count = 2, .key_columns = key_columns, .key_count = 2};

/* The keys that a case has. */
struct range {
    int64_t least;
    uint64_t span; /* 0: all numbers */
};

static const struct range ranges[] = {
    {0, 1},           {1, 5},
    {-3, 7},          {-200, 400},
    {1000000, 70000}, {INT64_MIN, 3},
    {INT64_MAX, 1},   {INT64_MAX - 300, 301},
    {INT64_MIN, 0},   {-5000000000, UINT64_C(10000000000)},
};

static struct mapping mappings[MAPPINGS_MAX];
static struct change images[WRITES_MAX];
static struct value values[WRITES_MAX][2];
static char keys[WRITES_MAX][64];
static struct write writes[WRITES_MAX];
static struct write wanted[WRITES_MAX];
static struct write scratch[WRITES_MAX];
static uint64_t random_state = 88172645463325252;

static uint64_t random_number(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

static void fill(size_t count, size_t mapping_count, struct range range)
{
    for (size_t i = 0; i < count; i++) {
        struct mapping *mapping = &mappings[random_number() % mapping_count];
        uint64_t above = range.span == 0 ? random_number() : random_number() % range.span;
        int64_t number = (int64_t)((uint64_t)range.least + above);
        (void)snprintf(keys[i], sizeof keys[i], "{\"id\":%lld}", (long long)number);
        values[i][0] = (struct value){.kind = VALUE_INTEGER, .integer = number};
        values[i][1] = (struct value){.kind = VALUE_INTEGER, .integer = ~number};
        if (mapping->schema == &text_key)
            values[i][0] = (struct value){.kind = VALUE_TEXT, .text = slice_of(keys[i])};
        images[i] = (struct change){
            .schema = mapping->schema, .values = values[i], .entity_key = slice_of(keys[i])};
        writes[i] = (struct write){.image = &images[i], .mapping = mapping, .order = i};
        write_note_key(&writes[i]);
        assert_int_equal(writes[i].has_number, mapping->schema == &number_key);
    }
}

static int compare(const void *a, const void *b)
{
    const struct write *left = a;
    const struct write *right = b;
    bool numbers = left->mapping->schema == &number_key;
    if (left->mapping != right->mapping)
        return left->mapping < right->mapping ? -1 : 1;
    int64_t one = left->image->values[0].integer;
    int64_t other = right->image->values[0].integer;
    if (numbers && one != other)
        return one < other ? -1 : 1;
    int order = slice_compare(left->image->entity_key, right->image->entity_key);
    return order != 0 ? order : (left->order > right->order) - (left->order < right->order);
}

static void expect_order(size_t count, size_t mapping_count, struct range range)
{
    fill(count, mapping_count, range);
    memcpy(wanted, writes, count * sizeof *writes);
    if (count > 0)
        qsort(wanted, count, sizeof *wanted, compare);
    writes_sort(writes, count, scratch);
    for (size_t i = 0; i < count; i++) {
        if (writes[i].image != wanted[i].image || writes[i].order != wanted[i].order)
            test_fail("%zu writes of %zu mappings from %lld on: another one at %zu", count,
                      mapping_count, (long long)range.least, i);
    }
}

static void expect_orders(const struct entity_schema *const *schemas, size_t mapping_count)
{
    static const size_t counts[] = {0, 1, 2, 63, 64, 65, 200, WRITES_MAX};
    for (size_t i = 0; i < mapping_count; i++)
        mappings[i].schema = schemas[i];
    for (size_t i = 0; i < COUNT(counts); i++) {
        for (size_t j = 0; j < COUNT(ranges); j++)
            expect_order(counts[i], mapping_count, ranges[j]);
    }
}

static void integers_come_by_value_and_then_by_their_place_in_the_log(void **state)
{
    static const struct entity_schema *const schemas[] = {&number_key};
    (void)state;
    expect_orders(schemas, 1);
}

static void tables_come_one_after_the_other(void **state)
{
    static const struct entity_schema *const schemas[] = {&number_key, &number_key, &number_key};
    (void)state;
    expect_orders(schemas, 2);
    expect_orders(schemas, 3);
}

static void other_keys_come_by_their_text_beside_integers(void **state)
{
    static const struct entity_schema *const schemas[] = {&text_key, &number_key, &pair_key};
    (void)state;
    expect_orders(schemas, 1);
    expect_orders(schemas, 2);
    expect_orders(schemas, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(integers_come_by_value_and_then_by_their_place_in_the_log),
        TEST(tables_come_one_after_the_other),
        TEST(other_keys_come_by_their_text_beside_integers),
    };
    return TEST_RUN(tests);
}
