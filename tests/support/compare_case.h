/* Participants and a log in memory, for tests of the comparison: each answers what the test wrote
 * down for a round. */
#ifndef TESTS_SUPPORT_COMPARE_CASE_H
#define TESTS_SUPPORT_COMPARE_CASE_H

#include "tests/support/test.h"

#include "operate/compare/compare.h"

#define CASE_ROUNDS     4
#define CASE_IDS        10
#define CASE_PARTITIONS 2
#define CASE_SERVICES   4
#define CASE_MENTIONS   16

enum case_call { CASE_STAMP, CASE_SUMS, CASE_LIST, CASE_KEYS, CASE_KEEP };
#define CASE_CALLS 5

#define CASE_NO_ROW 0

struct case_service {
    struct participant base;
    const char *cluster_id;
    int32_t partition_count;
    /* By round; the first one compares all rows. */
    int values[CASE_ROUNDS][CASE_IDS]; /* of a row, by id; CASE_NO_ROW */
    int64_t offsets[CASE_ROUNDS][CASE_PARTITIONS];
    bool is_open[CASE_ROUNDS][CASE_IDS];
    enum left_reason reasons[CASE_IDS];
    const char *incomparable[CASE_ROUNDS];
    const char *open_key; /* one more open entity; NULL: none */
    /* A call that fails, and in which round. */
    const char *failures[CASE_CALLS];
    int failing_round;
    int doubled_id;     /* of which it has one more row; 0: none */
    int doubled_value;  /* of that row */
    bool is_torn;       /* rows change behind the sums, in the same snapshot */
    uint64_t more_rows; /* that it says it has */
    unsigned sleep_ms;  /* in each answer */
    int round;          /* of its snapshot; -1: none was begun yet */
    bool has_snapshot;
    int calls[CASE_CALLS];
    struct open_entity *open; /* of its stamp */
    char open_keys[CASE_IDS][32];
};

struct case_log {
    struct mention_log base;
    const char *cluster_id;
    int32_t partition_count;
    struct log_bounds bounds[CASE_PARTITIONS];
    struct {
        int32_t partition;
        int64_t offset;
        int id;
    } mentions[CASE_MENTIONS];
    size_t count;
    bool has_gap; /* what compaction took is mentioned again later */
    const char *describe_fails;
    const char *read_fails;
    int readings;
};

struct compare_case {
    struct entity_schema *schema;
    struct case_service services[CASE_SERVICES]; /* shop, the reference, billing, shipping, ware */
    struct participant *participants[CASE_SERVICES];
    struct case_log log;
    struct compare_options options;
    struct comparison result;
};

enum { SHOP, BILLING, SHIPPING, WARE };

/** Make services with the rows 1 to 5 and the offsets 10 and 20, all equal in all rounds. The log
 * has the offsets 0 to 99. */
struct compare_case *case_begin(size_t services);
void case_end(struct compare_case *world);

/** Write a row, a position, an open entity from a round on. */
void case_set(struct compare_case *world, int service, int round, int id, int value);
void case_move(struct compare_case *world, int service, int round, int32_t partition,
               int64_t offset);
void case_open(struct compare_case *world, int service, int round, int id, enum left_reason reason);

/** Let the service have no such open entity from a round on. */
void case_settle(struct compare_case *world, int service, int round, int id);

/** Let the log mention an entity. */
void case_mention(struct compare_case *world, int32_t partition, int64_t offset, int id);

/** Compare; an earlier result is dropped. @return the exit code. */
int case_run(struct compare_case *world);

/** The test fails unless a copy is in that state, and its reason contains the text ("": it has
 * none). */
void case_assert_state(const struct compare_case *world, int service, enum copy_state state,
                       const char *reason);

/** @return the copy's named differences, "1 differs, 2 missing, 3 extra"; "" without one. */
const char *case_differences(const struct compare_case *world, int service);

/** @return what was left out to the end: "1 changed at billing, 2 parked at shop". */
const char *case_left(const struct compare_case *world);

#endif
