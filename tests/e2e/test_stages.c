/* A program that is compiled with stamps writes one at each stage of an event, in the order of the
 * stages. */
#include "common/stages.h"
#include "tests/support/sidecar.h"

#define ITEMS(key) key ":\n  item: {table: items, partitions: 1}\n"

static const char *const stages[] = {
#define STAGE_NAME(constant, name) name,
    STAGE_LIST(STAGE_NAME)
#undef STAGE_NAME
};

static void run_with_stamps(struct sidecar *sidecar)
{
    const char *const argv[] = {KEEPSTEP_STAGES_BINARY, "run", "-c", sidecar->config, NULL};
    const char *const environment[] = {
        test_format("KEEPSTEP_STAGES_FILE=%s", test_path("%s.stages", sidecar->name)), NULL};
    sidecar_init(sidecar, NULL);
    sidecar->process = process_start(sidecar->name, argv, environment);
}

/* Stop it, and append what it wrote: "ID STAGE MICROSECONDS\n" of each stamp. */
static const char *stop_and_append(struct sidecar *sidecar, const char *stamps)
{
    sidecar_stop(sidecar);
    const char *more = test_read_file(test_path("%s.stages", sidecar->name));
    assert_non_null(more);
    return test_format("%s%s", stamps, more);
}

/* @return when the event reached the stage; the test fails unless it has exactly one such stamp. */
static int64_t stamp_of(const char *stamps, enum stage stage)
{
    const char *sought = test_format(" %s ", stages[stage]);
    const char *at = strstr(stamps, sought);
    if (at == NULL || strstr(at + 1, sought) != NULL)
        test_fail("stage %s is not there once: %s", stages[stage], stamps);
    return strtoll(at + strlen(sought), NULL, 10);
}

static void an_event_has_one_stamp_at_each_stage(void **state)
{
    (void)state;
    struct kafka *kafka = kafka_start();
    struct sidecar shop = sidecar_make(kafka, "shop", SIDECAR_ITEM_DDL, ITEMS("publish"));
    struct sidecar billing = sidecar_make(kafka, "billing", NULL, ITEMS("apply"));

    run_with_stamps(&shop);
    run_with_stamps(&billing);
    (void)sqlite_text(shop.database, "INSERT INTO items VALUES(1,'stamped',NULL)");
    sidecar_expect(&billing, "SELECT name FROM items", "stamped\n");
    sidecar_expect(&shop, "SELECT acknowledged_sequence FROM keepstep_relay_partition", "1\n");
    const char *stamps = stop_and_append(&billing, stop_and_append(&shop, ""));

    int64_t reached[STAGE_COUNT];
    for (int stage = 0; stage < STAGE_COUNT; stage++)
        reached[stage] = stamp_of(stamps, (enum stage)stage);
    for (int stage = 1; stage < STAGE_COUNT; stage++) {
        /* The report of a delivery goes its own way. */
        int before = stage == STAGE_POLLED ? STAGE_PRODUCED : stage - 1;
        if (reached[stage] < reached[before])
            test_fail("%s is before %s: %s", stages[stage], stages[before], stamps);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_WITH_LIMIT(an_event_has_one_stamp_at_each_stage, 120),
    };
    return TEST_RUN(tests);
}
