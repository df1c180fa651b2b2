/* The five questions of the page, each with the cases that answer it. */
#include "operate/page/verdict.h"
#include "tests/support/test.h"

#include <math.h>

enum { FRESH, KEEPING_UP, DROPPED, SAME, SOURCE };

/* A service that publishes and applies, and all is well. */
static struct page_facts well(void)
{
    return (struct page_facts){
        .agent = {.is_here = true,
                  .is_wanted = true,
                  .is_checked = true,
                  .partitions = 2,
                  .stopped_reason = "",
                  .lag_topic = "shop.order"},
        .relay = {.is_here = true, .is_wanted = true, .holds_lease = true, .pending = 2},
        .trends = {.applied_per_s = 20, .published_per_s = 10, .lag_per_s = 0, .catch_up_s = 0},
        .fleet = {.is_wanted = true,
                  .read_s = 1,
                  .copies = 3,
                  .equal = 3,
                  .verified_s = 40,
                  .verified_limit_s = 86400,
                  .type = "order",
                  .service = "billing"},
        .source = {.retention_s = -1, .disk_free = 50, .disk_size = 100}};
}

static void check(const struct page_facts *facts, int question, enum page_verdict verdict,
                  const char *command, const char *text)
{
    struct page_question answers[PAGE_QUESTIONS];
    page_judge(facts, answers);
    const struct page_question *answer = &answers[question];
    bool has_command = command == NULL
                           ? answer->command == NULL
                           : answer->command != NULL && strcmp(answer->command, command) == 0;
    if (answer->verdict != verdict || !has_command || strstr(answer->reason, text) == NULL)
        test_fail("%s is %s, \"%s\", next %s; wanted %s, \"%s\", next %s", answer->id,
                  page_verdict_name(answer->verdict), answer->reason,
                  answer->command == NULL ? "nothing" : answer->command, page_verdict_name(verdict),
                  text, command == NULL ? "nothing" : command);
}

/* One case: all is well, but for `change`. */
#define WHEN(change, question, verdict, command, text)                                             \
    do {                                                                                           \
        struct page_facts facts = well();                                                          \
        struct page_agent_facts *agent = &facts.agent;                                             \
        struct page_relay_facts *relay = &facts.relay;                                             \
        struct page_fleet_facts *fleet = &facts.fleet;                                             \
        struct page_source_facts *source = &facts.source;                                          \
        struct page_trends *trends = &facts.trends;                                                \
        (void)agent, (void)relay, (void)fleet, (void)source, (void)trends;                         \
        change;                                                                                    \
        check(&facts, question, verdict, command, text);                                           \
    } while (0)

static void all_is_well_where_nothing_is_wrong(void **state)
{
    static const char *const ids[] = {"fresh", "keeping_up", "dropped", "same", "source"};
    struct page_facts facts = well();
    struct page_question answers[PAGE_QUESTIONS];
    (void)state;
    page_judge(&facts, answers);
    for (size_t i = 0; i < PAGE_QUESTIONS; i++) {
        assert_string_equal(answers[i].id, ids[i]);
        assert_int_equal(answers[i].verdict, PAGE_OK);
        assert_null(answers[i].command);
        assert_true(answers[i].reason[0] != '\0');
    }
}

static void freshness_is_told_by_what_holds_the_oldest_change_up(void **state)
{
    (void)state;
    WHEN(agent->is_wanted = false, FRESH, PAGE_OK, NULL, "keeps no copies");
    WHEN(agent->is_here = false, FRESH, PAGE_UNKNOWN, "run", "no agent runs in this process");
    WHEN(agent->is_checked = false, FRESH, PAGE_UNKNOWN, "status", "not checked yet");
    WHEN(agent->partitions_stopped = 1; agent->stopped_topic = "shop.order";
         agent->stopped_partition = 1; agent->stopped_reason = "made anew", FRESH, PAGE_STOPPED,
                                       "parked resume", "shop.order [1] stands still: made anew");
    WHEN(agent->partitions_stopped = 1; agent->stopped_topic = "shop.order", FRESH, PAGE_STOPPED,
                                        "parked resume", "shop.order [0] stands still");
    WHEN(agent->database_silent_s = 61, FRESH, PAGE_STALLED, "status",
         "the database does not answer for 61 s");
    WHEN(agent->database_silent_s = 4, FRESH, PAGE_OK, NULL, "all that is in the log is applied");
    WHEN(agent->broker_silent_s = 7300, FRESH, PAGE_STALLED, "status",
         "the broker does not answer for 2 h");
    WHEN(agent->topics_missing = 1, FRESH, PAGE_STALLED, "status", "1 topic under apply: does not");
    WHEN(agent->topics_missing = 2, FRESH, PAGE_STALLED, "status", "2 topics under apply: do not");
    WHEN(agent->partitions = 0, FRESH, PAGE_UNKNOWN, "lag", "has no partition");
    WHEN(agent->filling_topic = "shop.order"; agent->filling_rows = 1, FRESH, PAGE_BEHIND, "status",
                                              "shop.order is being filled; 1 row so far");
    /* With its only topic held it owns nothing. */
    WHEN(agent->partitions = 0; agent->filling_topic = "shop.order";
         agent->filling_rows = 2, FRESH, PAGE_BEHIND, "status",
         "shop.order is being filled; 2 rows so far");
    WHEN(agent->partitions = 0; agent->filling_topic = "shop.order";
         agent->is_given_up = true, FRESH, PAGE_STOPPED, "status",
         "the fill of shop.order was given up");
    WHEN(agent->paused_type = "order"; agent->paused_s = 300;
         agent->lag_s = 300, FRESH, PAGE_STOPPED, "resume", "order is paused here for 5 min");
    WHEN(agent->partitions_unknown = 2, FRESH, PAGE_UNKNOWN, "lag", "the lag of 2 partitions");
    WHEN(agent->lag_s = 12.3;
         agent->lag_partition = 3, FRESH, PAGE_BEHIND, "lag", "is 12 s old, in shop.order [3]");
    WHEN(agent->lag_s = 0.42, FRESH, PAGE_OK, NULL, "is 0.4 s old");
    /* What stands still is worse than a broker that is away, and that worse than a lag. */
    WHEN(agent->partitions_stopped = 1; agent->stopped_topic = "a"; agent->broker_silent_s = 60;
         agent->lag_s = 60, FRESH, PAGE_STOPPED, "parked resume", "a [0] stands still");
    WHEN(agent->broker_silent_s = 60; agent->lag_s = 60, FRESH, PAGE_STALLED, "status", "broker");
}

static void keeping_up_is_told_by_where_the_lag_goes(void **state)
{
    (void)state;
    WHEN(agent->lag_records = 50, KEEPING_UP, PAGE_OK, NULL, "caught up; 20.0 events a second");
    WHEN(agent->partitions = 0; agent->lag_records = 0; agent->filling_topic = "shop.order",
                                                        KEEPING_UP, PAGE_BEHIND, "status",
                                                        "shop.order is being filled");
    WHEN(agent->partitions = 0; agent->lag_records = 0; agent->filling_topic = "shop.order";
         agent->is_given_up = true, KEEPING_UP, PAGE_STOPPED, "status",
         "the fill of shop.order was given up");
    WHEN(agent->lag_records = -1, KEEPING_UP, PAGE_UNKNOWN, "lag", "the lag is not known");
    WHEN(agent->lag_records = 900;
         trends->lag_per_s = NAN, KEEPING_UP, PAGE_UNKNOWN, NULL, "900 records behind; too early");
    WHEN(agent->lag_records = 900; trends->lag_per_s = -100;
         trends->catch_up_s = 9, KEEPING_UP, PAGE_OK, NULL,
         "the lag shrinks: caught up in about 9.0 s");
    WHEN(agent->lag_records = 900; trends->lag_per_s = 12, KEEPING_UP, PAGE_BEHIND, "lag",
                                   "900 records behind, and 12.0 more each second");
    WHEN(agent->lag_records = 900;
         trends->lag_per_s = 0, KEEPING_UP, PAGE_BEHIND, "lag", "neither more nor less");
    WHEN(agent->lag_records = 900; trends->lag_per_s = 0;
         trends->applied_per_s = 0, KEEPING_UP, PAGE_STALLED, "status", "nothing is applied");
    WHEN(agent->lag_records = 900; trends->lag_per_s = 3;
         trends->applied_per_s = NAN, KEEPING_UP, PAGE_STALLED, "status", "nothing is applied");
    WHEN(agent->lag_records = 5; agent->lag_s = 60; trends->lag_per_s = 0;
         trends->applied_per_s = 0, KEEPING_UP, PAGE_STALLED, "status", "5 records behind");
    WHEN(relay->stalled_s = 15; relay->in_flight = 1, KEEPING_UP, PAGE_STALLED, "status",
                                "acknowledged nothing for 15 s; 1 event is under way");
    WHEN(trends->pending_per_s = 30; relay->pending = 4000, KEEPING_UP, PAGE_BEHIND, "status",
                                     "4000 wait in the outbox, 30 more each second");
    WHEN(trends->pending_per_s = 30; relay->pending = 40, KEEPING_UP, PAGE_OK, NULL, "caught up");
    WHEN(trends->pending_per_s = NAN; relay->pending = 4000, KEEPING_UP, PAGE_OK, NULL, "caught");
    WHEN(trends->applied_per_s = NAN, KEEPING_UP, PAGE_OK, NULL, "caught up; too early to say");
    WHEN(agent->broker_silent_s = 60, KEEPING_UP, PAGE_STALLED, "status", "broker");
}

static void a_publisher_without_copies_keeps_up_by_its_relay(void **state)
{
    (void)state;
    WHEN(agent->is_wanted = false, KEEPING_UP, PAGE_OK, NULL,
         "2 changes wait in the outbox; 10.0 changes a second are published");
    WHEN(agent->is_wanted = false;
         trends->published_per_s = NAN, KEEPING_UP, PAGE_OK, NULL, "too early to say how many");
    WHEN(agent->is_wanted = false;
         relay->is_here = false, KEEPING_UP, PAGE_UNKNOWN, "run", "no relay runs");
    WHEN(agent->is_wanted = false; relay->holds_lease = false;
         relay->is_standby = true, KEEPING_UP, PAGE_UNKNOWN, "status", "another relay publishes");
    WHEN(agent->is_wanted = false;
         relay->holds_lease = false, KEEPING_UP, PAGE_STALLED, "status", "the lease yet");
    WHEN(agent->is_wanted = false; relay->holds_lease = false; relay->database_silent_s = 60,
                                                               KEEPING_UP, PAGE_STALLED, "status",
                                                               "the database does not");
    WHEN(relay->broker_silent_s = 60, KEEPING_UP, PAGE_STALLED, "status", "the broker does not");
}

static void what_is_dropped_is_counted_with_what_to_do(void **state)
{
    (void)state;
    WHEN(agent->parked = 1; agent->parked_held = 1, DROPPED, PAGE_STOPPED, "parked list",
                            "1 record is parked, 1 of them needs a person");
    WHEN(agent->parked = 9; agent->parked_held = 2;
         agent->parked_waiting = 1, DROPPED, PAGE_STOPPED, "parked list",
         "9 records are parked, 2 of them need a person");
    WHEN(agent->parked = 9; agent->parked_waiting = 1, DROPPED, PAGE_BEHIND, "parked list",
                            "9 records are parked; the agent tries them again by itself");
    WHEN(relay->set_aside = 1, DROPPED, PAGE_STOPPED, "outbox list",
         "1 row of the outbox is set aside: it cannot be published");
    WHEN(relay->set_aside = 2; agent->parked = 1;
         agent->parked_waiting = 1, DROPPED, PAGE_STOPPED, "outbox list",
         "2 rows of the outbox are set aside: they cannot");
    WHEN(relay->voided = 3, DROPPED, PAGE_STOPPED, "status", "3 events went out without");
    WHEN(agent->diverged = 1, DROPPED, PAGE_STOPPED, "verify", "1 entity may differ");
    WHEN(agent->is_checked = false, DROPPED, PAGE_UNKNOWN, "parked list", "no agent has looked");
    WHEN(agent->is_here = false, DROPPED, PAGE_UNKNOWN, "parked list", "no agent has looked");
    WHEN(agent->partitions = 0, DROPPED, PAGE_UNKNOWN, "parked list", "has no partition");
    /* Only the relay that has the lease counts what is set aside. */
    WHEN(relay->set_aside = -1, DROPPED, PAGE_UNKNOWN, "outbox list", "set aside is not known");
    WHEN(agent->is_here = false; agent->is_wanted = false;
         relay->set_aside = -1, DROPPED, PAGE_UNKNOWN, "outbox list", "set aside is not known");
    WHEN(relay->is_here = false; relay->is_wanted = false;
         relay->set_aside = -1, DROPPED, PAGE_OK, NULL, "nothing is parked");
}

static void equality_is_only_told_where_somebody_has_compared(void **state)
{
    (void)state;
    WHEN(fleet->is_wanted = false, SAME, PAGE_UNKNOWN, NULL, "no control topic");
    WHEN(fleet->read_s = -1, SAME, PAGE_UNKNOWN, "copies", "not read yet");
    WHEN(fleet->read_s = 300, SAME, PAGE_UNKNOWN, "copies", "last read 5 min ago");
    WHEN(fleet->copies = 1, SAME, PAGE_OK, NULL, "no other copy");
    WHEN(fleet->unverified = 1; fleet->type = "order"; fleet->service = "billing", SAME,
                                                       PAGE_UNKNOWN, "verify",
                                                       "order at billing was not compared");
    WHEN(fleet->unverified = 2; fleet->type = "order";
         fleet->service = "billing", SAME, PAGE_UNKNOWN, "verify", "and neither were others");
    WHEN(fleet->different = 1; fleet->unverified = 1; fleet->type = "order";
         fleet->service = "billing", SAME, PAGE_STOPPED, "verify", "order at billing is different");
    /* Who was different stays so while the broker is away. */
    WHEN(fleet->different = 2; fleet->read_s = 300; fleet->type = "order";
         fleet->service = "billing", SAME, PAGE_STOPPED, "verify", "and so are others");
    WHEN(fleet->verified_s = 80000, SAME, PAGE_OK, NULL, "the oldest comparison was 22 h ago");
    WHEN(fleet->verified_s = 1728000, SAME, PAGE_UNKNOWN, "verify",
         "order at billing was found equal 20 days ago: too long ago");
    WHEN(fleet->verified_s = 200000; fleet->verified_limit_s = 3 * 86400, SAME, PAGE_OK, NULL,
                                     "the oldest comparison was 2 days ago");
}

static void the_source_breaks_by_triggers_retention_outbox_lease_or_disk(void **state)
{
    (void)state;
    WHEN(relay->capture_broken = 1;
         relay->capture_type = "order", SOURCE, PAGE_STOPPED, "init",
         "the triggers of 1 type are not as they should be, of order first");
    WHEN(relay->capture_unknown = 2, SOURCE, PAGE_UNKNOWN, "init", "triggers of 2 types could not");
    WHEN(relay->is_here = false, SOURCE, PAGE_UNKNOWN, "run", "no relay runs");
    WHEN(relay->is_here = false;
         relay->is_wanted = false, SOURCE, PAGE_OK, NULL, "publishes nothing");
    WHEN(relay->database_silent_s = 10, SOURCE, PAGE_STALLED, "status", "the database does not");
    WHEN(relay->broker_silent_s = 10, SOURCE, PAGE_STALLED, "status", "changes wait in the outbox");
    WHEN(relay->holds_lease = false;
         relay->pending = -1, SOURCE, PAGE_STALLED, "status", "does not have the lease yet");
    WHEN(relay->holds_lease = false;
         relay->is_standby = true, SOURCE, PAGE_OK, NULL, "another relay publishes");
    WHEN(relay->rests_lost = 2, SOURCE, PAGE_STALLED, "status", "a transaction in 2 partitions:");
    WHEN(relay->is_held_back = true, SOURCE, PAGE_BEHIND, "status", "nothing is published until");
    WHEN(relay->paused_type = "order"; relay->paused_s = 3;
         relay->oldest_s = 90, SOURCE, PAGE_STOPPED, "resume",
         "order is paused for 3.0 s: its changes wait in the outbox");
    WHEN(relay->oldest_s = 90, SOURCE, PAGE_BEHIND, "status",
         "the oldest change that is not published is 90 s old; 2 wait");
    WHEN(relay->pending = 1, SOURCE, PAGE_OK, NULL, "1 change waits in the outbox");
    WHEN(source->retention_s = 600;
         source->retention_topic = "shop.order", SOURCE, PAGE_STALLED, "lag",
         "in 10 min Kafka deletes what this copy has not read of shop.order: raise");
    WHEN(source->retention_s = 8000; source->retention_topic = "shop.order", SOURCE, PAGE_BEHIND,
                                     "lag", "in 2 h Kafka deletes");
    WHEN(source->retention_s = 600000; source->retention_topic = "shop.order", SOURCE, PAGE_OK,
                                       NULL, "2 changes wait in the outbox");
    WHEN(source->disk_free = 4 << 20; source->disk_size = 100 << 20, SOURCE, PAGE_BEHIND, NULL,
                                      "4 MiB are free on the disk of the database, of 100");
    WHEN(source->disk_free = -1; source->disk_size = 0, SOURCE, PAGE_OK, NULL, "2 changes wait");
    WHEN(agent->is_here = false, SOURCE, PAGE_UNKNOWN, "lag", "nobody here knows");
    WHEN(agent->is_checked = false, SOURCE, PAGE_UNKNOWN, "lag", "nobody here knows");
    WHEN(agent->partitions = 0, SOURCE, PAGE_UNKNOWN, "lag", "nobody here knows");
    WHEN(relay->is_here = false; relay->is_wanted = false;
         agent->broker_silent_s = 60, SOURCE, PAGE_UNKNOWN, "lag", "nobody here knows");
    WHEN(agent->is_here = false;
         agent->is_wanted = false, SOURCE, PAGE_OK, NULL, "2 changes wait in the outbox");
    /* What is lost soon is told before what only waits. */
    WHEN(source->retention_s = 60; source->retention_topic = "a";
         relay->broker_silent_s = 60, SOURCE, PAGE_STALLED, "lag", "in 60 s Kafka deletes");
    WHEN(source->retention_s = 8000; source->retention_topic = "a";
         relay->broker_silent_s = 60, SOURCE, PAGE_STALLED, "status", "broker");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(all_is_well_where_nothing_is_wrong),
        TEST(freshness_is_told_by_what_holds_the_oldest_change_up),
        TEST(keeping_up_is_told_by_where_the_lag_goes),
        TEST(a_publisher_without_copies_keeps_up_by_its_relay),
        TEST(what_is_dropped_is_counted_with_what_to_do),
        TEST(equality_is_only_told_where_somebody_has_compared),
        TEST(the_source_breaks_by_triggers_retention_outbox_lease_or_disk),
    };
    return TEST_RUN(tests);
}
