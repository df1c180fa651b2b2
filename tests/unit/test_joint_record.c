/* Reading and writing the records of the topic keepstep-joint: whatever a reader is not to guess at
 * is refused with its place, and nothing of one source can stop the others. */
#include "schemas/joint_record.h"
#include "tests/support/test.h"

#include <stdio.h>

#define COUNT(array)      (sizeof(array) / sizeof *(array))
#define ARENA_BYTES       ((size_t)4 * 1024 * 1024)
#define KEY               "{\"id\":\"order-42\",\"proposer\":\"shop\"}"
#define ORDER             "\"service\":\"shop\",\"type\":\"order\",\"key\":{\"id\":42},"
#define CHANGE(members)   "{" ORDER members "}"
#define CHANGES(changes)  "{\"timeout_ms\":5000,\"changes\":[" changes "]}"
#define PROPOSAL(members) CHANGES(CHANGE(members))
#define VOTE_YES          "{\"proposal\":\"e1\",\"vote\":\"yes\"}"

static struct arena arena;
static struct error err;

static void begin(void)
{
    if (arena.size_max == 0)
        arena_init(&arena, ARENA_BYTES);
    arena_reset(&arena);
    error_clear(&err);
}

static enum status read_proposal(const char *value, struct joint_proposal *ret_proposal)
{
    begin();
    return joint_proposal_read(slice_of(value), &arena, ret_proposal, &err);
}

/* The headers of a vote's record; a test changes some. */
enum { ID, SOURCE, TYPE, SEQUENCE, INCARNATION, PREVIOUS, PROTOCOL, KIND, HEADERS };
static const struct header vote_headers[HEADERS] = {
    [ID] = {{"ce_id", 5}, {"e7", 2}},
    [SOURCE] = {{"ce_source", 9}, {"web", 3}},
    [TYPE] = {{"ce_type", 7}, {"keepstep.joint.vote", 19}},
    [SEQUENCE] = {{"ce_sequence", 11}, {"00000000000000000007", 20}},
    [INCARNATION] = {{"ce_incarnation", 14}, {"i1", 2}},
    [PREVIOUS] = {{"ce_previousid", 13}, {"e6", 2}},
    [PROTOCOL] = {{"ce_protocol", 11}, {"1", 1}},
    [KIND] = {{"ce_kind", 7}, {"vote", 4}},
};

/* @param place  of a header that is changed; HEADERS: none.
 * @param text   NULL: the header is left out. */
static enum status read_record_with(int place, const char *text, const char *value,
                                    struct joint_record *ret_record)
{
    struct header headers[HEADERS];
    memcpy(headers, vote_headers, sizeof headers);
    if (place < HEADERS && text == NULL)
        headers[place].name = slice_of("other");
    else if (place < HEADERS)
        headers[place].value = slice_of(text);
    const struct record record = {.topic = "keepstep-joint",
                                  .offset = 12,
                                  .key = slice_of(KEY),
                                  .value = slice_of(value),
                                  .headers = headers,
                                  .header_count = HEADERS};
    begin();
    return joint_record_read(&record, &arena, ret_record, &err);
}

static void a_proposal_says_who_takes_part_and_what_is_asked(void **state)
{
    struct joint_proposal proposal;
    (void)state;
    enum status status = read_proposal(
        "{ \"timeout_ms\": 5000, \"changes\": ["
        "{\"service\":\"warehouse\",\"type\":\"stock\",\"key\":{\"sku\":\"A1\"},\"op\":\"u\","
        "\"add\":{\"free\":-3,\"cents\":\"-1.50\"},\"if\":{\"z\":null,\"state\":\"sold\"}},"
        "{\"service\":\"billing\",\"type\":\"charge\",\"key\":{\"id\":\"42-1\"},\"op\":\"c\","
        "\"set\":{\"account\":7,\"cents\":3000}},"
        "{\"service\":\"warehouse\",\"type\":\"box\",\"key\":{\"b\":2,\"a\":1},\"op\":\"k\"},"
        "{\"service\":\"shop\",\"type\":\"order\",\"key\":{\"id\":42},\"op\":\"d\"}]}",
        &proposal);
    if (status != STATUS_OK)
        test_fail("%s", err.text);
    assert_int_equal(proposal.timeout_ms, 5000);
    assert_int_equal(proposal.change_count, 4);
    assert_int_equal(proposal.participant_count, 3);
    assert_true(slice_is(proposal.participants[0], "billing"));
    assert_true(slice_is(proposal.participants[1], "shop"));
    assert_true(slice_is(proposal.participants[2], "warehouse"));
    const struct joint_change *stock = &proposal.changes[0];
    assert_int_equal(stock->operation, JOINT_UPDATE);
    assert_true(slice_is(stock->entity_type, "stock"));
    assert_true(slice_is(stock->key, "{\"sku\":\"A1\"}"));
    assert_true(slice_is(stock->add, "{\"cents\":\"-1.50\",\"free\":-3}"));
    assert_true(slice_is(stock->condition, "{\"state\":\"sold\",\"z\":null}"));
    assert_null(stock->set.data);
    assert_int_equal(proposal.changes[1].operation, JOINT_CREATE);
    assert_true(slice_is(proposal.changes[2].key, "{\"a\":1,\"b\":2}"));
    assert_int_equal(proposal.changes[2].operation, JOINT_KEEP);
    assert_int_equal(proposal.changes[3].operation, JOINT_DELETE);
}

static void a_proposal_reads_as_it_was_written(void **state)
{
    static const char value[] = "{\"timeout_ms\":5000,\"changes\":[{\"if\":{\"n\":1.5},"
                                "\"key\":{\"id\":\"\\u0000\xc3\xa9\"},\"op\":\"u\","
                                "\"service\":\"shop\",\"set\":{\"t\":\"\\\\\"},\"type\":\"o\"}]}";
    struct joint_proposal proposal;
    struct joint_proposal changes;
    struct buffer out;
    (void)state;
    buffer_init(&out, JOINT_BYTES_MAX);
    if (read_proposal(value, &proposal) != STATUS_OK)
        test_fail("%s", err.text);
    joint_proposal_append(&proposal, &out);
    assert_string_equal(buffer_text(&out), value);
    assert_int_equal(joint_changes_read(proposal.changes_text, &arena, &changes, &err), STATUS_OK);
    assert_true(slice_equal(changes.changes_text, proposal.changes_text));
    assert_int_equal(changes.timeout_ms, JOINT_TIMEOUT_MS);
    buffer_done(&out);
}

static void a_timeout_is_at_most_a_minute(void **state)
{
    struct joint_proposal proposal;
    (void)state;
    assert_int_equal(read_proposal("{\"changes\":[" CHANGE("\"op\":\"k\"") "]}", &proposal),
                     STATUS_OK);
    assert_int_equal(proposal.timeout_ms, JOINT_TIMEOUT_MS);
    assert_int_equal(read_proposal("{\"timeout_ms\":60001,\"changes\":[" CHANGE("\"op\":\"k\"") "]"
                                                                                                "}",
                                   &proposal),
                     STATUS_OK);
    assert_int_equal(proposal.timeout_ms, JOINT_TIMEOUT_MAX_MS);
}

static void every_fault_of_a_proposal_is_refused_with_its_place(void **state)
{
    static const struct {
        const char *value;
        const char *place;
    } cases[] = {
        {"", "no JSON"},
        {"[]", "object"},
        {"{\"changes\":[]", "no JSON"},
        {"{\"changes\":[]}", "changes:"},
        {"{\"changes\":{}}", "changes:"},
        {"{\"changes\":[1]}", "changes[0]: must be an object"},
        {"{\"timeout_ms\":0,\"changes\":[]}", "timeout_ms"},
        {"{\"timeout_ms\":\"9\",\"changes\":[]}", "timeout_ms"},
        {"{\"timeout_ms\":1.5,\"changes\":[]}", "timeout_ms"},
        {"{\"changes\":[],\"changes\":[]}", "twice"},
        {"{\"changes\":[],\"after\":1}", "\"after\""},
        {PROPOSAL("\"op\":\"x\""), "op:"},
        {PROPOSAL("\"op\":\"r\""), "op:"},
        {PROPOSAL("\"op\":1"), "op:"},
        {PROPOSAL("\"ops\":\"u\""), "\"ops\""},
        {PROPOSAL("\"op\":\"u\",\"unless\":{}"), "\"unless\""},
        {PROPOSAL("\"op\":\"u\""), "set or in add"},
        {PROPOSAL("\"op\":\"u\",\"set\":{}"), "set or in add"},
        {PROPOSAL("\"op\":\"u\",\"set\":[]"), "set:"},
        {PROPOSAL("\"op\":\"u\",\"set\":{\"a\":{}}"), "set.a"},
        {PROPOSAL("\"op\":\"u\",\"set\":{\"a\":[]}"), "set.a"},
        {PROPOSAL("\"op\":\"u\",\"set\":{\"\":1}"), "set:"},
        {PROPOSAL("\"op\":\"u\",\"set\":{\"id\":43}"), "set.id"},
        {PROPOSAL("\"op\":\"u\",\"add\":{\"id\":1}"), "add.id"},
        {PROPOSAL("\"op\":\"u\",\"add\":{\"a\":1.5}"), "add.a"},
        {PROPOSAL("\"op\":\"u\",\"add\":{\"a\":null}"), "add.a"},
        {PROPOSAL("\"op\":\"u\",\"add\":{\"a\":\"1e3\"}"), "add.a"},
        {PROPOSAL("\"op\":\"u\",\"add\":{\"a\":\"1.\"}"), "add.a"},
        {PROPOSAL("\"op\":\"u\",\"add\":{\"a\":\".5\"}"), "add.a"},
        {PROPOSAL("\"op\":\"u\",\"add\":{\"a\":\"\"}"), "add.a"},
        {PROPOSAL("\"op\":\"u\",\"add\":{\"a\":\"--1\"}"), "add.a"},
        {PROPOSAL("\"op\":\"u\",\"add\":{\"a\":99999999999999999999}"), "too large"},
        {PROPOSAL("\"op\":\"u\",\"set\":{\"a\":1},\"add\":{\"a\":1}"), "add.a"},
        {PROPOSAL("\"op\":\"c\",\"add\":{\"a\":1}"), "add:"},
        {PROPOSAL("\"op\":\"c\",\"if\":{\"a\":1}"), "if:"},
        {PROPOSAL("\"op\":\"d\",\"set\":{\"a\":1}"), "set:"},
        {PROPOSAL("\"op\":\"k\",\"set\":{\"a\":1}"), "set:"},
        {PROPOSAL("\"op\":\"k\",\"add\":{\"a\":1}"), "add:"},
        {CHANGES(CHANGE("\"op\":\"k\"") "," CHANGE("\"op\":\"d\"")), "changes[1]: changes[0]"},
        {CHANGES("{\"service\":\"\",\"type\":\"o\",\"key\":{\"i\":1},\"op\":\"k\"}"), "service:"},
        {CHANGES("{\"service\":1,\"type\":\"o\",\"key\":{\"i\":1},\"op\":\"k\"}"), "service:"},
        {CHANGES("{\"type\":\"o\",\"key\":{\"i\":1},\"op\":\"k\"}"), "service:"},
        {CHANGES("{\"service\":\"a\\u0000\",\"type\":\"o\",\"key\":{\"i\":1},\"op\":\"k\"}"),
         "service:"},
        {CHANGES("{\"service\":\"s\",\"key\":{\"i\":1},\"op\":\"k\"}"), "type:"},
        {CHANGES("{\"service\":\"s\",\"type\":\"o\",\"op\":\"k\"}"), "key:"},
        {CHANGES("{\"service\":\"s\",\"type\":\"o\",\"key\":{},\"op\":\"k\"}"), "key:"},
        {CHANGES("{\"service\":\"s\",\"type\":\"o\",\"key\":7,\"op\":\"k\"}"), "key:"},
        {CHANGES("{\"service\":\"s\",\"type\":\"o\",\"key\":{\"i\":null},\"op\":\"k\"}"), "key.i"},
    };
    struct joint_proposal proposal;
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        if (read_proposal(cases[i].value, &proposal) != STATUS_REJECT)
            test_fail("accepted: %s", cases[i].value);
        if (strstr(err.text, cases[i].place) == NULL)
            test_fail("%s\nis refused by: %s", cases[i].value, err.text);
    }
}

/* @return a proposal of `count` changes, each at one of `services` services. */
static const char *many_changes(struct buffer *out, size_t count, size_t services)
{
    buffer_reset(out);
    buffer_append_text(out, "{\"timeout_ms\":1,\"changes\":[");
    for (size_t i = 0; i < count; i++)
        buffer_append_format(out,
                             "%s{\"service\":\"s%zu\",\"type\":\"o\",\"key\":{\"i\":%zu},"
                             "\"op\":\"d\"}",
                             i == 0 ? "" : ",", i % services, i);
    buffer_append_text(out, "]}");
    return buffer_text(out);
}

static void a_proposal_has_at_most_100_changes_16_services_and_64_kib(void **state)
{
    struct joint_proposal proposal;
    struct buffer out;
    (void)state;
    buffer_init(&out, 2 * JOINT_BYTES_MAX);
    assert_int_equal(read_proposal(many_changes(&out, 100, 16), &proposal), STATUS_OK);
    assert_int_equal(proposal.participant_count, 16);
    assert_int_equal(read_proposal(many_changes(&out, 101, 16), &proposal), STATUS_REJECT);
    assert_int_equal(read_proposal(many_changes(&out, 100, 17), &proposal), STATUS_REJECT);
    assert_non_null(strstr(err.text, "more than 16 services"));
    (void)many_changes(&out, 1, 1);
    while (out.length < JOINT_BYTES_MAX)
        buffer_append_text(&out, " ");
    assert_int_equal(read_proposal(buffer_text(&out), &proposal), STATUS_OK);
    buffer_append_text(&out, " ");
    assert_int_equal(read_proposal(buffer_text(&out), &proposal), STATUS_REJECT);
    buffer_done(&out);
}

static void a_vote_and_a_withdrawal_say_what_they_answer(void **state)
{
    struct joint_record record;
    (void)state;
    assert_int_equal(read_record_with(HEADERS, NULL, VOTE_YES, &record), STATUS_OK);
    assert_int_equal(record.kind, JOINT_VOTE);
    assert_int_equal(record.offset, 12);
    assert_int_equal(record.sequence, 7);
    assert_true(slice_is(record.name.id, "order-42"));
    assert_true(slice_is(record.name.proposer, "shop"));
    assert_true(slice_is(record.source, "web"));
    assert_true(slice_is(record.previous_id, "e6"));
    assert_false(record.is_malformed);
    assert_true(record.answer.yes);
    assert_true(slice_is(record.answer.proposal, "e1"));
    assert_int_equal(read_record_with(HEADERS, NULL,
                                      "{\"proposal\":\"e1\",\"vote\":\"no\",\"reason\":\"r\","
                                      "\"code\":\"23514\",\"later\":{}}",
                                      &record),
                     STATUS_OK);
    assert_false(record.is_malformed); /* a member that is not known is read past */
    assert_false(record.answer.yes);
    assert_true(slice_is(record.answer.reason, "r"));
    assert_true(slice_is(record.answer.code, "23514"));
    assert_int_equal(read_record_with(KIND, "withdrawal", "{\"proposal\":\"e1\"}", &record),
                     STATUS_OK);
    assert_int_equal(record.kind, JOINT_WITHDRAWAL);
    assert_false(record.is_malformed);
}

static void an_answer_of_another_form_is_malformed_and_no_failure(void **state)
{
    static const char *const values[] = {
        "",
        "{}",
        "[]",
        "{\"proposal\":\"e1\"}",
        "{\"proposal\":\"e1\",\"vote\":true}",
        "{\"proposal\":\"e1\",\"vote\":\"YES\"}",
        "{\"proposal\":\"\",\"vote\":\"yes\"}",
        "{\"vote\":\"yes\"}",
        "{\"proposal\":\"e1\",\"vote\":\"no\",\"reason\":7}",
        "{\"proposal\":\"e1\",\"vote\":\"no\",\"vote\":\"yes\"}",
    };
    struct joint_record record;
    (void)state;
    for (size_t i = 0; i < COUNT(values); i++) {
        assert_int_equal(read_record_with(HEADERS, NULL, values[i], &record), STATUS_OK);
        if (!record.is_malformed || record.fault[0] == '\0')
            test_fail("accepted: %s", values[i]);
    }
}

static void a_void_stands_for_what_its_type_says(void **state)
{
    struct joint_record record;
    (void)state;
    assert_int_equal(read_record_with(KIND, "void", "{}", &record), STATUS_OK);
    assert_int_equal(record.kind, JOINT_VOID);
    assert_int_equal(record.stands_for, JOINT_VOTE);
    assert_true(slice_is(record.name.id, "order-42"));
}

/* Whoever may write to the topic could otherwise stop every service. */
static void a_record_without_a_number_or_a_name_counts_for_nothing(void **state)
{
    static const struct {
        int place;
        const char *text;
    } cases[] = {
        {ID, NULL},
        {ID, ""},
        {ID, "0123456789012345678901234567890123456789012345678901234567890123"},
        {SOURCE, NULL},
        {SOURCE, "\xff"},
        {INCARNATION, NULL},
        {SEQUENCE, NULL},
        {SEQUENCE, "7"},
        {SEQUENCE, "00000000000000000000"},
        {SEQUENCE, "99999999999999999999"},
        {SEQUENCE, "09223372036854775807"},
        {SEQUENCE, "0000000000000000000x"},
        {PREVIOUS, NULL},
        {PROTOCOL, NULL},
    };
    struct joint_record record;
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        enum status status = read_record_with(cases[i].place, cases[i].text, VOTE_YES, &record);
        if (status != STATUS_OK || record.sequence != 0 || record.kind != JOINT_OTHER)
            test_fail("case %zu: status %s, sequence %llu", i, status_name(status),
                      (unsigned long long)record.sequence);
    }
    assert_int_equal(read_record_with(KIND, NULL, VOTE_YES, &record), STATUS_OK);
    assert_int_equal(record.kind, JOINT_OTHER);
    assert_int_equal(record.sequence, 7); /* but it has its number */
    assert_int_equal(read_record_with(KIND, "barrier", "", &record), STATUS_OK);
    assert_int_equal(record.kind, JOINT_OTHER);
    assert_int_equal(record.sequence, 7);
}

static void a_name_is_an_id_and_a_proposer(void **state)
{
    static const char *const keys[] = {
        "",
        "7",
        "{}",
        "{\"id\":\"a\"}",
        "{\"id\":7,\"proposer\":\"shop\"}",
        "{\"id\":\"\",\"proposer\":\"shop\"}",
        "{\"id\":\"a\",\"proposer\":\"\"}",
        "{\"id\":\"a\",\"proposer\":\"shop\",\"x\":1}",
        "{\"id\":\"a\\u0000\",\"proposer\":\"shop\"}",
    };
    struct joint_name name;
    struct buffer out;
    (void)state;
    begin();
    for (size_t i = 0; i < COUNT(keys); i++) {
        error_clear(&err);
        if (joint_name_read(slice_of(keys[i]), &arena, &name, &err) != STATUS_REJECT)
            test_fail("accepted: %s", keys[i]);
    }
    error_clear(&err);
    buffer_init(&out, JOINT_BYTES_MAX);
    assert_int_equal(joint_name_read(slice_of("{\"proposer\":\"shop\",\"id\":\"order-42\"}"),
                                     &arena, &name, &err),
                     STATUS_OK);
    joint_name_append(name, &out);
    assert_string_equal(buffer_text(&out), KEY);
    buffer_done(&out);
}

/* Whoever may write to the topic must not be able to stop its readers; and a version to which it
 * says something would decide otherwise. */
static void an_unknown_protocol_or_kind_says_nothing_to_any_version(void **state)
{
    static const char *const protocols[] = {"2", "", "01", "x"};
    struct joint_record record;
    (void)state;
    for (size_t i = 0; i < sizeof protocols / sizeof *protocols; i++) {
        assert_int_equal(read_record_with(PROTOCOL, protocols[i], VOTE_YES, &record), STATUS_OK);
        assert_int_equal(record.kind, JOINT_OTHER);
        assert_int_equal(record.sequence, 0);
    }
    assert_int_equal(read_record_with(KIND, "promise", VOTE_YES, &record), STATUS_OK);
    assert_int_equal(record.kind, JOINT_OTHER);
    assert_true(record.sequence > 0);
}

static void an_answer_reads_as_it_was_written(void **state)
{
    const struct joint_answer no = {.proposal = slice_of("e1"),
                                    .reason = slice_of("stock \"A1\": \xc3\xa9"),
                                    .code = slice_of("23514")};
    const struct joint_answer broken = {.proposal = slice_of("e1"), .reason = slice_of("\xc3 x")};
    struct joint_record record;
    struct buffer out;
    (void)state;
    buffer_init(&out, JOINT_BYTES_MAX);
    joint_vote_append(&no, &out);
    assert_int_equal(read_record_with(HEADERS, NULL, buffer_text(&out), &record), STATUS_OK);
    assert_false(record.is_malformed);
    assert_true(slice_equal(record.answer.reason, no.reason));
    assert_true(slice_equal(record.answer.code, no.code));
    buffer_reset(&out);
    joint_withdrawal_append(&broken, &out);
    assert_string_equal(buffer_text(&out), "{\"proposal\":\"e1\",\"reason\":\"? x\"}");
    buffer_done(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_proposal_says_who_takes_part_and_what_is_asked),
        TEST(a_proposal_reads_as_it_was_written),
        TEST(a_timeout_is_at_most_a_minute),
        TEST(every_fault_of_a_proposal_is_refused_with_its_place),
        TEST(a_proposal_has_at_most_100_changes_16_services_and_64_kib),
        TEST(a_vote_and_a_withdrawal_say_what_they_answer),
        TEST(an_answer_of_another_form_is_malformed_and_no_failure),
        TEST(a_void_stands_for_what_its_type_says),
        TEST(a_record_without_a_number_or_a_name_counts_for_nothing),
        TEST(a_name_is_an_id_and_a_proposer),
        TEST(an_unknown_protocol_or_kind_says_nothing_to_any_version),
        TEST(an_answer_reads_as_it_was_written),
    };
    int result = TEST_RUN(tests);
    arena_done(&arena);
    return result;
}
