/* Joint transactions are decided by the log alone: every order of its records, whatever is
 * repeated, lost, forged or void among them, is decided by all readers alike, and for ever. */
#include "schemas/joint_decide.h"
#include "tests/support/joint_script.h"
#include "tests/support/test.h"

#include <stdio.h>

#define COUNT(array)  (sizeof(array) / sizeof *(array))
#define SEEDS         400
#define RANDOM_LENGTH 60

/* A reader of a script. */
struct reader {
    struct joint_log log;
    const struct script *script;
    size_t read;
    /* What its database keeps of every name. */
    struct joint_name known[SCRIPT_NAMES];
    size_t known_count;
};

static struct joint_tally *read_next(struct reader *reader, enum joint_effect *ret_effect)
{
    struct error err = ERROR_INIT;
    struct joint_tally *tally = NULL;
    if (joint_log_read(&reader->log, &reader->script->records[reader->read], ret_effect, &tally,
                       &err) != STATUS_OK)
        test_fail("%s", err.text);
    reader->read++;
    return tally;
}

static void read_to(struct reader *reader, size_t count)
{
    enum joint_effect effect;
    while (reader->read < count)
        (void)read_next(reader, &effect);
}

static struct joint_name name_of(const char *proposer, const char *id)
{
    return (struct joint_name){.proposer = slice_of(proposer), .id = slice_of(id)};
}

/* Read all of a script, and check the outcome of shop's transaction t1. */
static void expect(const struct script *script, enum joint_outcome outcome, int64_t offset,
                   const char *reason)
{
    struct reader reader = {.script = script};
    read_to(&reader, script->count);
    const struct joint_tally *tally = joint_log_find(&reader.log, name_of("shop", "t1"));
    assert_non_null(tally);
    struct script_verdict verdict = script_judge(script, script->count, name_of("shop", "t1"));
    assert_string_equal(joint_outcome_name(tally->outcome), joint_outcome_name(outcome));
    assert_int_equal(tally->decision_offset, offset);
    assert_int_equal(verdict.outcome, outcome);
    assert_int_equal(verdict.decision_offset, offset);
    if (strstr(tally->reason, reason) == NULL)
        test_fail("the reason is: %s", tally->reason);
    joint_log_done(&reader.log);
}

/* The answers to t1 in one order; each is "web yes" or the like. */
static void play(struct script *script, const char *const *answers, size_t count)
{
    script_init(script);
    const struct joint_record *proposal = script_propose(script, "shop", "t1", "bank shop web");
    for (size_t i = 0; i < count; i++) {
        char source[16];
        size_t length = strcspn(answers[i], " ");
        (void)snprintf(source, sizeof source, "%.*s", (int)length, answers[i]);
        (void)script_answer(script, source, answers[i] + length + 1, proposal);
    }
}

/* Every order of the answers: committed only where all yes stand before anything that aborts. */
static void expect_every_order(const char **answers, size_t from, size_t count)
{
    struct script script;
    if (from < count) {
        for (size_t i = from; i < count; i++) {
            const char *first = answers[i];
            answers[i] = answers[from];
            answers[from] = first;
            expect_every_order(answers, from + 1, count);
            answers[from] = answers[i];
            answers[i] = first;
        }
        return;
    }
    size_t yes = 0;
    size_t decided = 0;
    enum joint_outcome outcome = JOINT_UNDECIDED;
    for (size_t i = 0; i < count && outcome == JOINT_UNDECIDED; i++) {
        bool is_yes = strstr(answers[i], "yes") != NULL;
        yes += is_yes;
        outcome = !is_yes ? JOINT_ABORTED : yes == 3 ? JOINT_COMMITTED : JOINT_UNDECIDED;
        decided = i + 1;
    }
    play(&script, answers, count);
    expect(&script, outcome, outcome == JOINT_UNDECIDED ? -1 : (int64_t)decided, "");
    script_done(&script);
}

static void what_comes_first_decides_in_every_order(void **state)
{
    const char *cases[][5] = {
        {"bank yes", "shop yes", "web yes", "shop withdrawal", "web withdrawal"},
        {"bank yes", "shop yes", "web yes", "bank withdrawal", "web void"},
        {"bank yes", "shop yes", "web no", "shop withdrawal", "bank void"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        for (size_t count = 0; count <= 5; count++)
            expect_every_order(cases[i], 0, count);
    }
}

static void a_participants_first_vote_counts(void **state)
{
    struct script script;
    (void)state;
    play(&script, (const char *[]){"web yes", "web no", "bank yes", "shop yes"}, 4);
    expect(&script, JOINT_COMMITTED, 4, "");
    script_done(&script);
    play(&script, (const char *[]){"web no", "web yes", "bank yes", "shop yes"}, 4);
    expect(&script, JOINT_ABORTED, 1, "web has voted no");
    script_done(&script);
}

static void an_abort_says_why(void **state)
{
    struct script script;
    (void)state;
    play(&script, (const char *[]){"web no"}, 1);
    script.records[1].answer.reason = slice_of("stock {\"sku\":\"A1\"}: too few");
    expect(&script, JOINT_ABORTED, 1, "web: stock {\"sku\":\"A1\"}: too few");
    script_done(&script);
    play(&script, (const char *[]){"bank withdrawal"}, 1);
    script.records[1].answer.reason = slice_of("no decision within 10 s");
    expect(&script, JOINT_ABORTED, 1, "bank has withdrawn: no decision within 10 s");
    script_done(&script);
    play(&script, (const char *[]){"bank void"}, 1);
    expect(&script, JOINT_ABORTED, 1, "bank could not send a record of it");
    script_done(&script);
}

/* A reason of any length and bytes stays a text that every database takes. */
static void a_long_reason_is_cut_between_two_characters(void **state)
{
    char text[3000];
    struct script script;
    (void)state;
    for (size_t shift = 0; shift < 4; shift++) {
        memset(text, 'x', shift);
        for (size_t i = shift; i + 2 < sizeof text; i += 2)
            memcpy(&text[i], "\xc3\xa9", 3);
        play(&script, (const char *[]){"web no"}, 1);
        script.records[1].answer.reason = slice_of(text);
        struct reader reader = {.script = &script};
        read_to(&reader, script.count);
        const char *reason = joint_log_find(&reader.log, name_of("shop", "t1"))->reason;
        size_t length = strlen(reason);
        assert_true(length >= JOINT_REASON_SIZE - 4 && length < JOINT_REASON_SIZE);
        assert_int_equal((unsigned char)reason[length - 1], 0xa9);
        joint_log_done(&reader.log);
        script_done(&script);
    }
}

static void nobody_else_can_speak_for_a_participant(void **state)
{
    struct script script;
    (void)state;
    script_init(&script);
    const struct joint_record *forged = script_write(
        &script, (struct script_line){.source = "web",
                                      .kind = JOINT_PROPOSAL,
                                      .proposer = "shop",
                                      .id = "t1",
                                      .participants = "bank web"});
    assert_false(script_judge(&script, 1, name_of("shop", "t1")).proposed);
    const struct joint_record *proposal = script_propose(&script, "shop", "t1", "bank web");
    (void)script_answer(&script, "bank", "yes", proposal);
    (void)script_answer(&script, "mallory", "no", proposal);
    (void)script_answer(&script, "mallory", "withdrawal", proposal);
    (void)script_answer(&script, "mallory", "void", proposal);
    (void)script_answer(&script, "shop", "no", proposal); /* proposes, but takes no part */
    (void)script_answer(&script, "web", "no", forged);    /* another record's ce_id */
    (void)script_answer(&script, "web", "withdrawal", forged);
    expect(&script, JOINT_UNDECIDED, -1, "");
    (void)script_answer(&script, "web", "yes", proposal);
    expect(&script, JOINT_COMMITTED, 9, "");
    script_done(&script);
}

static void the_proposer_may_withdraw_without_taking_part(void **state)
{
    struct script script;
    (void)state;
    script_init(&script);
    const struct joint_record *proposal = script_propose(&script, "shop", "t1", "bank web");
    (void)script_answer(&script, "shop", "withdrawal", proposal);
    expect(&script, JOINT_ABORTED, 1, "shop has withdrawn");
    script_done(&script);
}

static void the_first_proposal_of_a_name_counts(void **state)
{
    struct script script;
    (void)state;
    script_init(&script);
    const struct joint_record *first = script_propose(&script, "shop", "t1", "web");
    const struct joint_record *second = script_propose(&script, "shop", "t1", "bank");
    (void)script_propose(&script, "web", "t1", "bank"); /* another name */
    (void)script_answer(&script, "bank", "yes", second);
    (void)script_answer(&script, "web", "yes", second);
    expect(&script, JOINT_UNDECIDED, -1, "");
    (void)script_answer(&script, "web", "yes", first);
    expect(&script, JOINT_COMMITTED, 5, "");
    script_done(&script);
}

static void an_answer_before_its_proposal_counts_for_nothing(void **state)
{
    struct script script;
    (void)state;
    script_init(&script);
    (void)script_answer(
        &script, "web", "yes",
        &(struct joint_record){.name = name_of("shop", "t1"), .id = slice_of("shop-3")});
    (void)script_answer(
        &script, "bank", "withdrawal",
        &(struct joint_record){.name = name_of("shop", "t1"), .id = slice_of("shop-3")});
    const struct joint_record *proposal = script_propose(&script, "shop", "t1", "bank web");
    assert_string_equal(proposal->id.data, "shop-3");
    expect(&script, JOINT_UNDECIDED, -1, "");
    script_done(&script);
}

/* A database knows the proposal, and its reader begins before it: so it is where rows could not be
 * written. */
static void what_stands_before_a_proposal_counts_for_nothing_when_it_is_read_again(void **state)
{
    struct script script;
    struct reader first = {.script = &script};
    struct reader again = {.script = &script};
    struct error err = ERROR_INIT;
    const struct joint_record early = {.name = name_of("shop", "t1"), .id = slice_of("shop-4")};
    (void)state;
    script_init(&script);
    (void)script_answer(&script, "web", "yes", &early);
    (void)script_answer(&script, "bank", "withdrawal", &early);
    (void)script_write(&script, (struct script_line){.source = "web",
                                                     .kind = JOINT_VOID,
                                                     .proposer = "shop",
                                                     .id = "t1",
                                                     .stands_for = JOINT_VOTE});
    const struct joint_record *proposal = script_propose(&script, "shop", "t1", "bank web");
    assert_string_equal(proposal->id.data, "shop-4");
    (void)script_answer(&script, "bank", "yes", proposal);
    read_to(&first, script.count);
    assert_int_equal(joint_log_add_tally(&again.log, first.log.tallies[0], &err), STATUS_OK);
    read_to(&again, script.count);
    const struct joint_tally *tally = joint_log_find(&again.log, name_of("shop", "t1"));
    assert_string_equal(joint_outcome_name(tally->outcome), "undecided");
    assert_int_equal(again.log.tally_count, 1);
    assert_int_equal(joint_tally_ballot(tally, slice_of("web"))->vote, JOINT_NO_VOTE);
    joint_log_done(&first.log);
    joint_log_done(&again.log);
    script_done(&script);
}

static void a_first_proposal_that_is_no_proposal_is_aborted_by_itself(void **state)
{
    struct script script;
    (void)state;
    script_init(&script);
    struct joint_record *broken = script_propose(&script, "shop", "t1", NULL);
    (void)snprintf(broken->fault, sizeof broken->fault, "changes[0]: op: must be …");
    (void)script_propose(&script, "shop", "t1", "web"); /* its name is used up */
    (void)script_answer(&script, "web", "yes", &script.records[1]);
    expect(&script, JOINT_ABORTED, 0, "changes[0]");
    script_done(&script);
    script_init(&script);
    (void)script_write(&script, (struct script_line){.source = "shop",
                                                     .kind = JOINT_VOID,
                                                     .stands_for = JOINT_PROPOSAL,
                                                     .proposer = "shop",
                                                     .id = "t1"});
    (void)script_propose(&script, "shop", "t1", "web");
    expect(&script, JOINT_ABORTED, 0, "could not send");
    script_done(&script);
}

/* A relay that takes over sends again, and a fenced one may come late. */
static void repeated_records_change_nothing(void **state)
{
    struct script script;
    (void)state;
    play(&script, (const char *[]){"web yes", "bank yes"}, 2);
    for (size_t i = 0; i < 3; i++)
        script_repeat(&script, i);
    script_repeat(&script, 1);
    expect(&script, JOINT_UNDECIDED, -1, "");
    (void)script_answer(&script, "shop", "yes", &script.records[0]);
    expect(&script, JOINT_COMMITTED, 7, "");
    (void)script_answer(&script, "web", "withdrawal", &script.records[0]);
    script_repeat(&script, 7);
    expect(&script, JOINT_COMMITTED, 7, "");
    script_done(&script);
}

static void a_gap_or_a_fork_ends_one_sources_incarnation_and_nobody_elses(void **state)
{
    enum joint_effect effect = JOINT_NOTHING;
    struct script script;
    (void)state;
    for (int fork = 0; fork < 2; fork++) {
        play(&script, (const char *[]){"bank yes", "web yes", "shop yes"}, 3);
        struct joint_record *web = &script.records[2];
        if (fork != 0) {
            web->sequence = 2;
            web->previous_id = slice_of("another");
            script.records[1].source = web->source; /* so web has a first record */
        } else {
            web->sequence = 2;
        }
        (void)script_answer(&script, "web", "no", &script.records[0]);
        (void)script_answer(&script, "web", "withdrawal", &script.records[0]);
        expect(&script, JOINT_UNDECIDED, -1, "");
        struct reader reader = {.script = &script};
        read_to(&reader, 2);
        (void)read_next(&reader, &effect);
        assert_int_equal(effect, JOINT_SOURCE_ENDED);
        joint_log_done(&reader.log);
        (void)script_answer(&script, "shop", "withdrawal", &script.records[0]);
        expect(&script, JOINT_ABORTED, 6, "shop has withdrawn");
        script_done(&script);
    }
}

/* A relay of an older incarnation that was paused sends its yes behind the new one's withdrawal. */
static void incarnations_of_a_source_speak_for_it_in_the_logs_order(void **state)
{
    struct script script;
    (void)state;
    for (int zombie_first = 0; zombie_first < 2; zombie_first++) {
        play(&script, (const char *[]){"bank yes", "shop yes"}, 2);
        if (zombie_first != 0)
            (void)script_answer(&script, "web", "yes", &script.records[0]);
        struct joint_record zombie = *script_answer(&script, "web", "yes", &script.records[0]);
        script.count -= (size_t)(zombie_first == 0);
        script_restart(&script, "web");
        (void)script_answer(&script, "web", "withdrawal", &script.records[0]);
        if (zombie_first == 0) {
            zombie.offset = (int64_t)script.count;
            script.records[script.count++] = zombie;
        }
        if (zombie_first != 0)
            expect(&script, JOINT_COMMITTED, 3, "");
        else
            expect(&script, JOINT_ABORTED, 3, "web has withdrawn");
        script_done(&script);
    }
}

static void what_a_database_keeps_of_votes_reads_as_it_was_written(void **state)
{
    struct script script;
    struct joint_tally again = {0};
    struct buffer text;
    struct error err = ERROR_INIT;
    (void)state;
    buffer_init(&text, JOINT_BYTES_MAX);
    play(&script, (const char *[]){"shop yes", "bank no"}, 2);
    struct reader reader = {.script = &script};
    read_to(&reader, script.count);
    const struct joint_tally *tally = joint_log_find(&reader.log, name_of("shop", "t1"));
    joint_ballots_append(tally, &text);
    assert_string_equal(buffer_text(&text), "[{\"service\":\"bank\",\"vote\":\"no\",\"offset\":2},"
                                            "{\"service\":\"shop\",\"vote\":\"yes\",\"offset\":1},"
                                            "{\"service\":\"web\"}]");
    assert_int_equal(joint_ballots_read(buffer_slice(&text), &again, &err), STATUS_OK);
    assert_int_equal(again.ballot_count, 3);
    assert_memory_equal(again.ballots, tally->ballots, sizeof again.ballots);
    buffer_reset(&text);
    joint_tally_missing(tally, &text);
    assert_string_equal(buffer_text(&text), "web has not voted");
    assert_int_equal(joint_ballots_read(slice_of("[{\"vote\":\"yes\"}]"), &again, &err),
                     STATUS_FATAL);
    joint_log_done(&reader.log);
    script_done(&script);
    buffer_done(&text);
}

static unsigned int random_below(unsigned int *seed, unsigned int limit)
{
    *seed = *seed * 1103515245u + 12345u;
    return (*seed >> 16) % limit;
}

/* Any record that a service, a restored one, a zombie or a stranger may write. */
static void write_anything(struct script *script, unsigned int *seed)
{
    static const char *const services[] = {"bank", "shop", "web", "mallory"};
    static const char *const ids[] = {"t1", "t2"};
    static const char *const participants[] = {"bank shop web", "shop web", "web", NULL};
    static const char *const answers[] = {"yes", "yes", "yes", "yes", "no", "withdrawal", "void"};
    const char *source = services[random_below(seed, COUNT(services))];
    unsigned int what = random_below(seed, 100);
    if (what < 12 || script->count == 0) {
        (void)script_propose(script, services[random_below(seed, 2)], ids[random_below(seed, 2)],
                             participants[random_below(seed, COUNT(participants))]);
    } else if (what < 20) {
        script_repeat(script, random_below(seed, (unsigned int)script->count));
    } else if (what < 22) {
        script_restart(script, source);
    } else {
        const struct joint_record *to =
            &script->records[random_below(seed, (unsigned int)script->count)];
        struct joint_record *record = script_answer(
            script, source, answers[random_below(seed, COUNT(answers))], to);
        record->is_malformed = what == 23;
        record->sequence += what == 24; /* a gap */
        if (what == 25)
            record->previous_id = slice_of("another");
        if (what == 26)
            record->sequence = 0;
    }
}

/* What an agent's database keeps: a restart has the sources, the undecided tallies by their votes,
 * and all names. */
static void restart(struct reader *reader)
{
    struct joint_log old = reader->log;
    struct error err = ERROR_INIT;
    struct buffer votes;
    reader->log = (struct joint_log){0};
    for (size_t i = 0; i < old.source_count; i++)
        assert_int_equal(joint_log_add_source(&reader->log, &old.sources[i], &err), STATUS_OK);
    for (size_t i = 0; i < old.tally_count; i++) {
        struct joint_tally tally = *old.tallies[i];
        buffer_init(&votes, JOINT_BYTES_MAX);
        joint_ballots_append(old.tallies[i], &votes);
        memset(tally.ballots, 0xff, sizeof tally.ballots);
        assert_int_equal(joint_ballots_read(buffer_slice(&votes), &tally, &err), STATUS_OK);
        assert_int_equal(joint_log_add_tally(&reader->log, &tally, &err), STATUS_OK);
        buffer_done(&votes);
    }
    joint_log_done(&old);
}

/* As an agent does it: what is decided is forgotten, and a name that was used stays known. */
static void read_as_an_agent(struct reader *reader, enum joint_outcome *outcomes)
{
    enum joint_effect effect;
    struct joint_tally *tally = read_next(reader, &effect);
    if (tally == NULL)
        return;
    struct joint_name name = {slice_of(tally->proposer), slice_of(tally->id)};
    size_t at = 0;
    while (at < reader->known_count && !joint_name_equal(reader->known[at], name))
        at++;
    if (effect == JOINT_PROPOSED && at < reader->known_count) {
        joint_log_forget(&reader->log, tally);
        return;
    }
    if (at == reader->known_count) {
        assert_true(at < SCRIPT_NAMES);
        reader->known[reader->known_count++] = reader->script->records[reader->read - 1].name;
    }
    outcomes[at] = tally->outcome;
    if (tally->outcome != JOINT_UNDECIDED)
        joint_log_forget(&reader->log, tally);
}

static void check_random_log(unsigned int seed)
{
    struct script script;
    struct reader whole = {.script = &script};
    struct reader agent = {.script = &script};
    enum joint_outcome outcomes[SCRIPT_NAMES] = {JOINT_UNDECIDED};
    enum joint_outcome before[SCRIPT_NAMES] = {JOINT_UNDECIDED};
    script_init(&script);
    while (script.count < RANDOM_LENGTH)
        write_anything(&script, &seed);
    for (size_t count = 1; count <= script.count; count++) {
        read_to(&whole, count);
        if (random_below(&seed, 4) == 0)
            restart(&agent);
        read_as_an_agent(&agent, outcomes);
        for (size_t i = 0; i < agent.known_count; i++) {
            struct script_verdict verdict = script_judge(&script, count, agent.known[i]);
            const struct joint_tally *tally = joint_log_find(&whole.log, agent.known[i]);
            assert_true(verdict.proposed && tally != NULL);
            assert_int_equal(tally->outcome, verdict.outcome);
            assert_int_equal(tally->decision_offset, verdict.decision_offset);
            assert_int_equal(outcomes[i], verdict.outcome);
            assert_true(before[i] == JOINT_UNDECIDED || before[i] == outcomes[i]);
        }
        assert_int_equal(whole.log.tally_count, agent.known_count);
        memcpy(before, outcomes, sizeof before);
    }
    joint_log_done(&whole.log);
    joint_log_done(&agent.log);
    script_done(&script);
}

static void two_readers_of_any_prefix_decide_alike_and_for_ever(void **state)
{
    (void)state;
    for (unsigned int seed = 1; seed <= SEEDS; seed++)
        check_random_log(seed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_comes_first_decides_in_every_order),
        TEST(a_participants_first_vote_counts),
        TEST(an_abort_says_why),
        TEST(a_long_reason_is_cut_between_two_characters),
        TEST(nobody_else_can_speak_for_a_participant),
        TEST(the_proposer_may_withdraw_without_taking_part),
        TEST(the_first_proposal_of_a_name_counts),
        TEST(an_answer_before_its_proposal_counts_for_nothing),
        TEST(what_stands_before_a_proposal_counts_for_nothing_when_it_is_read_again),
        TEST(a_first_proposal_that_is_no_proposal_is_aborted_by_itself),
        TEST(repeated_records_change_nothing),
        TEST(a_gap_or_a_fork_ends_one_sources_incarnation_and_nobody_elses),
        TEST(incarnations_of_a_source_speak_for_it_in_the_logs_order),
        TEST(what_a_database_keeps_of_votes_reads_as_it_was_written),
        TEST(two_readers_of_any_prefix_decide_alike_and_for_ever),
    };
    return TEST_RUN(tests);
}
