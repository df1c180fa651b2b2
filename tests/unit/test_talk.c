/* The messages of talk and rows topics: what is written is read, and nothing else is taken. */
#include "schemas/talk_parts.h"
#include "tests/support/test.h"

#include <stdio.h>

#define ARENA_BYTES ((size_t)64 * 1024 * 1024)

#define ID            "01942f6e-0000-7000-8000-000000000001"
#define HEAD(what)    "{\"v\":1," what ",\"id\":\"" ID "\",\"number\":3"
#define ASKED(ask)    HEAD("\"ask\":\"" ask "\"") ",\"to\":\"billing/0193/1\",\"from\":\"shop\""
#define ANSWERED(ask) HEAD("\"answer\":\"" ask "\"") ",\"from\":\"billing/0193/1\""
#define COLUMNS       ",\"columns\":[[\"id\",\"integer\",true],[\"no\\\"te\",\"text\",false]]"
#define LEFT_OUT      ",\"leave_out\":\"AQAAAAAAAAD//////////w==\"" /* 1 and 2^64 - 1 */

static struct arena arena;

static const char *const messages[] = {
    ASKED("stamp") ",\"seconds\":600,\"type\":\"order\",\"topic\":\"x.order\"}",
    ASKED("sums") COLUMNS LEFT_OUT "}",
    ASKED("list") COLUMNS LEFT_OUT ",\"buckets\":[0,17,4095],\"values\":false}",
    ASKED("keys") COLUMNS ",\"keys\":[\"{\\\"id\\\":42}\"],\"values\":true}",
    ASKED("keep") "}",
    ASKED("end") "}",
    ASKED("fill") ",\"topic\":\"x.order\",\"for\":\"ware/0195\",\"types\":{\"order\":"
                  "[[\"id\",\"integer\",true]]}}",
    HEAD("\"ask\":\"report\"") ",\"to\":\"\",\"from\":\"shop\",\"seconds\":60,"
                               "\"topics\":[\"x.order\"]}",
    ANSWERED("stamp") ",\"can\":true,\"cluster\":\"abc\",\"offsets\":[104213,0]" COLUMNS
                      ",\"open\":7,\"parts\":1}",
    ANSWERED("stamp") ",\"can\":false,\"why\":\"it began in the middle of the log\"}",
    ANSWERED("list") ",\"can\":true,\"rows\":5,\"parts\":2}",
    ANSWERED("keep") ",\"can\":true,\"rows\":100}",
};

static enum status read_text(const char *text, struct talk_message *ret_message, struct error *err)
{
    *err = (struct error)ERROR_INIT;
    arena_reset(&arena);
    return talk_message_read(slice_of(text), &arena, ret_message, err);
}

static void append(const struct talk_message *message, struct buffer *out)
{
    buffer_reset(out);
    if (message->kind == TALK_QUESTION)
        talk_question_append(&message->question, out);
    else
        talk_answer_append(&message->answer, out);
}

static void a_message_reads_as_it_was_written(void **state)
{
    struct talk_message message;
    struct error err;
    struct buffer out;
    (void)state;
    arena_init(&arena, ARENA_BYTES);
    buffer_init(&out, TALK_MESSAGE_BYTES_MAX);
    for (size_t i = 0; i < sizeof messages / sizeof *messages; i++) {
        if (read_text(messages[i], &message, &err) != STATUS_OK)
            test_fail("%s: %s", messages[i], err.text);
        append(&message, &out);
        assert_string_equal(buffer_text(&out), messages[i]);
    }
    buffer_done(&out);
    arena_done(&arena);
}

static void sums_keep_all_their_bits(void **state)
{
    struct talk_message message;
    struct error err;
    struct buffer out;
    static uint64_t sums[ROW_BUCKETS];
    (void)state;
    arena_init(&arena, ARENA_BYTES);
    buffer_init(&out, TALK_MESSAGE_BYTES_MAX);
    for (size_t i = 0; i < ROW_BUCKETS; i++)
        sums[i] = UINT64_C(0x9e3779b97f4a7c15) * (i + 1);
    const struct talk_answer answer = {
        .ask = TALK_SUMS, .id = ID, .number = 2, .from = "b/c/1", .rows = 10, .sums = sums};
    talk_answer_append(&answer, &out);
    assert_false(out.failed);
    if (read_text(buffer_text(&out), &message, &err) != STATUS_OK)
        test_fail("%s", err.text);
    assert_int_equal(message.kind, TALK_ANSWER);
    assert_int_equal(message.answer.rows, 10);
    assert_memory_equal(message.answer.sums, sums, sizeof sums);
    buffer_done(&out);
    arena_done(&arena);
}

static void the_most_keys_that_may_be_left_out_fit_into_a_message(void **state)
{
    struct talk_message message;
    struct error err;
    struct buffer out;
    uint64_t *left_out = calloc(TALK_LEFT_OUT_MAX, sizeof *left_out);
    const struct talk_column column = {"id", COLUMN_INTEGER, true};
    (void)state;
    arena_init(&arena, ARENA_BYTES);
    buffer_init(&out, TALK_MESSAGE_BYTES_MAX);
    for (size_t i = 0; i < TALK_LEFT_OUT_MAX; i++)
        left_out[i] = i * 7;
    const struct talk_question question = {.ask = TALK_SUMS,
                                           .id = ID,
                                           .number = 2,
                                           .to = "b/c/1",
                                           .from = "shop",
                                           .columns = {&column, 1},
                                           .left_out = left_out,
                                           .left_out_count = TALK_LEFT_OUT_MAX};
    talk_question_append(&question, &out);
    assert_false(out.failed);
    if (read_text(buffer_text(&out), &message, &err) != STATUS_OK)
        test_fail("%s", err.text);
    assert_int_equal(message.question.left_out_count, TALK_LEFT_OUT_MAX);
    assert_memory_equal(message.question.left_out, left_out, TALK_LEFT_OUT_MAX * 8);
    free(left_out);
    buffer_done(&out);
    arena_done(&arena);
}

static void what_is_no_message_is_refused_and_its_member_named(void **state)
{
    static const char *const wrong[][2] = {
        {"", "no JSON object"},
        {"[]", "no JSON object"},
        {"{\"v\":2,\"ask\":\"end\"}", "version"},
        {HEAD("\"ask\":\"dance\"") "}", "\"ask\""},
        {HEAD("\"answer\":\"dance\"") "}", "\"answer\""},
        {"{\"v\":1,\"ask\":\"end\",\"id\":\"../../x\",\"number\":1}", "\"id\""},
        {"{\"v\":1,\"ask\":\"end\",\"id\":\"" ID "\",\"number\":0,\"to\":\"a\",\"from\":\"b\"}",
         "\"number\""},
        {HEAD("\"ask\":\"end\"") ",\"to\":\"\",\"from\":\"shop\"}", "\"to\""},
        {ASKED("sums") COLUMNS ",\"leave_out\":\"AQAAAAAAAA==\"}", "\"leave_out\""},
        {ASKED("sums") COLUMNS ",\"leave_out\":\"AgAAAAAAAAABAAAAAAAAAA==\"}", "\"leave_out\""},
        {ASKED("sums") ",\"columns\":[[\"id\",\"number\",true]]" LEFT_OUT "}", "\"columns\""},
        {ASKED("list") COLUMNS LEFT_OUT ",\"buckets\":[4096],\"values\":false}", "\"buckets\""},
        {ASKED("list") COLUMNS LEFT_OUT ",\"buckets\":[2,2],\"values\":false}", "\"buckets\""},
        {ASKED("keys") COLUMNS ",\"keys\":[42],\"values\":true}", "\"keys\""},
        {ASKED("keys") COLUMNS ",\"keys\":[],\"values\":1}", "\"values\""},
        {ASKED("stamp") ",\"seconds\":-1,\"type\":\"order\",\"topic\":\"x\"}", "\"seconds\""},
        {ASKED("stamp") ",\"seconds\":9,\"type\":\"order\",\"topic\":\"x/y\"}", "\"topic\""},
        {ANSWERED("sums") ",\"can\":true,\"rows\":1,\"sums\":\"AQAAAAAAAAA=\"}", "\"sums\""},
        {ANSWERED("stamp") ",\"can\":true,\"cluster\":\"\",\"offsets\":[-1]" COLUMNS
                           ",\"open\":0,\"parts\":0}",
         "\"offsets\""},
        {ANSWERED(
             "stamp") ",\"can\":true,\"cluster\":\"\",\"offsets\":[9223372036854775807]" COLUMNS
                      ",\"open\":0,\"parts\":0}",
         "\"offsets\""},
        {ANSWERED("list") ",\"can\":true,\"rows\":5,\"parts\":1000001}", "\"parts\""},
        {HEAD("\"part\":0,\"answer\":\"list\"") ",\"from\":\"b\",\"rows\":[]}", "\"part\""},
        {HEAD("\"part\":1,\"answer\":\"sums\"") ",\"from\":\"b\",\"rows\":[]}", "\"answer\""},
        {HEAD("\"part\":1,\"answer\":\"list\"") ",\"from\":\"b\",\"rows\":[[\"k\",\"9f\"]]}",
         "\"rows\""},
        {HEAD("\"part\":1,\"answer\":\"stamp\"") ",\"from\":\"b\",\"open\":[[\"k\",\"x\"]]}",
         "\"open\""},
    };
    struct talk_message message;
    struct error err;
    (void)state;
    arena_init(&arena, ARENA_BYTES);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_int_equal(read_text(wrong[i][0], &message, &err), STATUS_REJECT);
        if (strstr(err.text, wrong[i][1]) == NULL)
            test_fail("%s: %s", wrong[i][0], err.text);
    }
    arena_done(&arena);
}

static void a_message_that_is_larger_than_memory_is_meant_for_is_not_lost(void **state)
{
    struct talk_message message;
    struct error err;
    (void)state;
    arena_init(&arena, 64);
    assert_int_equal(read_text(messages[1], &message, &err), STATUS_RETRY);
    arena_done(&arena);
}

/* What the parts of an answer were read as. */
struct taken {
    size_t parts;
    size_t entries;
    size_t bytes_max;
    char first[64];
    bool first_has_json;
    enum talk_open_reason reason;
};

static enum status take_part(void *context, struct slice key, struct slice value, struct error *err)
{
    struct taken *taken = context;
    struct talk_message message;
    assert_true(slice_is(key, ID));
    arena_reset(&arena);
    if (talk_message_read(value, &arena, &message, err) != STATUS_OK)
        test_fail("%s", err->text);
    const struct talk_part *part = &message.part;
    assert_int_equal(message.kind, TALK_PART);
    assert_int_equal(part->part, ++taken->parts);
    assert_int_equal(part->number, 4);
    assert_string_equal(part->from, "b/c/1");
    if (taken->parts == 1) {
        struct slice first = part->row_count > 0 ? part->rows[0].key : part->open[0].key;
        (void)snprintf(taken->first, sizeof taken->first, "%.*s", SLICE_ARGS(first));
        taken->first_has_json = part->row_count > 0 && part->rows[0].json.data != NULL;
        taken->reason = part->open_count > 0 ? part->open[0].reason : TALK_OPEN_OWN;
    }
    taken->entries += part->row_count + part->open_count;
    taken->bytes_max = value.length > taken->bytes_max ? value.length : taken->bytes_max;
    return STATUS_OK;
}

static struct talk_parts begin_parts(enum talk_ask ask, struct taken *taken)
{
    struct talk_parts parts = {
        .id = ID, .number = 4, .ask = ask, .from = "b/c/1", .write = take_part, .context = taken};
    arena_init(&arena, ARENA_BYTES);
    talk_parts_begin(&parts);
    return parts;
}

static void end_parts(struct talk_parts *parts)
{
    struct error err = ERROR_INIT;
    if (talk_parts_end(parts, &err) != STATUS_OK)
        test_fail("%s", err.text);
    talk_parts_done(parts);
    arena_done(&arena);
}

static void many_rows_go_in_parts_that_fit(void **state)
{
    struct taken taken = {0};
    struct talk_parts parts = begin_parts(TALK_LIST, &taken);
    struct error err = ERROR_INIT;
    (void)state;
    for (int i = 0; i < 100000; i++) {
        char key[32];
        (void)snprintf(key, sizeof key, "{\"id\":%d}", i);
        const struct talk_row row = {.key = slice_of(key), .digest = 7};
        if (talk_parts_row(&parts, &row, &err) != STATUS_OK)
            test_fail("%s", err.text);
    }
    end_parts(&parts);
    assert_int_equal(taken.entries, 100000);
    assert_int_equal(parts.count, taken.parts);
    assert_in_range(taken.parts, 4, 6);
    assert_true(taken.bytes_max <= TALK_MESSAGE_BYTES_MAX);
    assert_string_equal(taken.first, "{\"id\":0}");
}

static void a_row_that_is_too_large_for_a_message_goes_without_its_values(void **state)
{
    struct taken taken = {0};
    struct talk_parts parts = begin_parts(TALK_KEYS, &taken);
    struct error err = ERROR_INIT;
    char *json = malloc(TALK_MESSAGE_BYTES_MAX);
    (void)state;
    memset(json, '"', TALK_MESSAGE_BYTES_MAX);
    const struct talk_row row = {.key = slice_of("{\"id\":1}"),
                                 .json = {json, TALK_MESSAGE_BYTES_MAX}};
    if (talk_parts_row(&parts, &row, &err) != STATUS_OK)
        test_fail("%s", err.text);
    end_parts(&parts);
    assert_int_equal(taken.entries, 1);
    assert_false(taken.first_has_json);
    free(json);
}

static void bytes_that_are_no_text_do_not_make_a_message_unreadable(void **state)
{
    struct taken taken = {0};
    struct talk_parts parts = begin_parts(TALK_KEYS, &taken);
    struct error err = ERROR_INIT;
    (void)state;
    const struct talk_row row = {.key = slice_of("{\"id\":\"\xff\"}"), .json = slice_of("\xc3(")};
    if (talk_parts_row(&parts, &row, &err) != STATUS_OK)
        test_fail("%s", err.text);
    end_parts(&parts);
    assert_string_equal(taken.first, "{\"id\":\"?\"}");
    assert_true(taken.first_has_json);
}

static void open_entities_have_their_reasons(void **state)
{
    struct taken taken = {0};
    struct talk_parts parts = begin_parts(TALK_STAMP, &taken);
    struct error err = ERROR_INIT;
    (void)state;
    const struct talk_open open = {slice_of("{\"id\":9}"), TALK_OPEN_PARKED};
    if (talk_parts_open(&parts, &open, &err) != STATUS_OK)
        test_fail("%s", err.text);
    end_parts(&parts);
    assert_int_equal(taken.entries, 1);
    assert_int_equal(taken.reason, TALK_OPEN_PARKED);
}

static void an_answer_without_entries_has_no_parts(void **state)
{
    struct taken taken = {0};
    struct talk_parts parts = begin_parts(TALK_LIST, &taken);
    (void)state;
    end_parts(&parts);
    assert_int_equal(taken.parts, 0);
    assert_int_equal(parts.count, 0);
}

static void columns_of_a_question_are_found_in_a_schema(void **state)
{
    const struct talk_column own[] = {
        {"note", COLUMN_TEXT, false}, {"line", COLUMN_INTEGER, true}, {"id", COLUMN_INTEGER, true}};
    const struct talk_column asked[] = {{"id", COLUMN_INTEGER, true},
                                        {"line", COLUMN_INTEGER, true}};
    const struct talk_column other[] = {{"id", COLUMN_TEXT, true}};
    struct entity_schema *schema = NULL;
    struct row_columns found;
    struct error err = ERROR_INIT;
    (void)state;
    if (talk_schema_new("order", &(struct talk_columns){own, 3}, &schema, &err) != STATUS_OK)
        test_fail("%s", err.text);
    assert_int_equal(schema->key_count, 2);
    assert_string_equal(schema->columns[schema->key_columns[0]].name, "id");
    if (talk_columns_find(schema, &(struct talk_columns){asked, 2}, &found, &err) != STATUS_OK)
        test_fail("%s", err.text);
    assert_int_equal(found.count, 2);
    assert_int_equal(found.index[0], 2);
    assert_int_equal(talk_columns_find(schema, &(struct talk_columns){other, 1}, &found, &err),
                     STATUS_REJECT);
    entity_schema_free(schema);
    error_clear(&err);
    const struct talk_column no_key = {"note", COLUMN_TEXT, false};
    assert_int_equal(talk_schema_new("order", &(struct talk_columns){&no_key, 1}, &schema, &err),
                     STATUS_REJECT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_message_reads_as_it_was_written),
        TEST(sums_keep_all_their_bits),
        TEST(the_most_keys_that_may_be_left_out_fit_into_a_message),
        TEST(what_is_no_message_is_refused_and_its_member_named),
        TEST(a_message_that_is_larger_than_memory_is_meant_for_is_not_lost),
        TEST(many_rows_go_in_parts_that_fit),
        TEST(a_row_that_is_too_large_for_a_message_goes_without_its_values),
        TEST(bytes_that_are_no_text_do_not_make_a_message_unreadable),
        TEST(open_entities_have_their_reasons),
        TEST(an_answer_without_entries_has_no_parts),
        TEST(columns_of_a_question_are_found_in_a_schema),
    };
    return TEST_RUN(tests);
}
