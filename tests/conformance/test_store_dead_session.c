/* An agent is gone while its session lives on and holds its fence. The server ends that session,
 * and the next agent goes on. */
#include "common/clock.h"
#include "consumer/store/registry.h"
#include "tests/support/mariadb.h"
#include "tests/support/postgresql.h"
#include "tests/support/test.h"

#include "consumer/store/store.h"

#define ENDS_WITHIN_US 75000000 /* sessions' idle timeouts are 60 s */

struct copy {
    const char *url;
    const struct store_ops *ops;
    struct store *dead;
    struct store *next;
    struct partition_state state;
    int refused;
};

static struct error err;

static struct store *open_copy(const struct copy *copy)
{
    struct store *store = NULL;
    struct store_options options = {.path = copy->url, .service = "billing", .install = true};
    if (copy->ops->open(&options, &store, &err) != STATUS_OK)
        test_fail("%s", err.text);
    return store;
}

/* Nobody uses its session after this. The process could as well be stopped. */
static void die_within_a_batch(struct copy *copy)
{
    copy->dead = open_copy(copy);
    copy->next = open_copy(copy);
    copy->state = (struct partition_state){.topic = "order", .token = "t"};
    if (copy->ops->take(copy->dead, &copy->state, &err) != STATUS_OK)
        test_fail("%s", err.text);
    struct fence fence = {.topic = "order",
                          .new_offset = 7,
                          .epoch = copy->state.epoch,
                          .revision = copy->state.revision,
                          .anchor_offset = -1};
    if (copy->ops->begin(copy->dead, &fence, 1, &err) != STATUS_OK)
        test_fail("%s", err.text);
}

/* @return whether the next agent owns the partition. Each attempt waits for the row's lock. */
static bool takes(struct copy *copy)
{
    enum status status = copy->ops->take(copy->next, &copy->state, &err);
    if (status != STATUS_OK && status != STATUS_RETRY)
        test_fail("%s: %s", status_name(status), err.text);
    error_clear(&err);
    if (status == STATUS_RETRY)
        copy->ops->rollback(copy->next);
    copy->refused += status == STATUS_RETRY;
    return status == STATUS_OK;
}

static void a_dead_sessions_fence_is_given_back_and_the_next_agent_goes_on(void **state)
{
    (void)state;
    struct copy copies[] = {{.ops = &store_postgresql_ops}, {.ops = &store_mariadb_ops}};
    bool taken[2] = {false, false};
    copies[0].url = postgresql_database("copy");
    copies[1].url = mariadb_database("copy");
    for (size_t i = 0; i < 2; i++)
        die_within_a_batch(&copies[i]);
    int64_t until = clock_monotonic_us() + ENDS_WITHIN_US;
    while ((!taken[0] || !taken[1]) && clock_monotonic_us() < until) {
        for (size_t i = 0; i < 2; i++)
            taken[i] = taken[i] || takes(&copies[i]);
    }
    for (size_t i = 0; i < 2; i++) {
        if (!taken[i])
            test_fail("%s: the dead session still holds the fence", copies[i].ops->scheme);
        assert_true(copies[i].refused > 0);
        assert_int_equal(copies[i].state.epoch, 2);
        assert_int_equal(copies[i].state.next_offset, 0); /* its batch was rolled back */
        assert_int_equal(copies[i].ops->commit(copies[i].dead, false, &err), STATUS_RETRY);
        assert_true(err.connection_lost);
        error_clear(&err);
        copies[i].ops->close(copies[i].dead);
        copies[i].ops->close(copies[i].next);
        partition_state_done(&copies[i].state);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_WITH_LIMIT(a_dead_sessions_fence_is_given_back_and_the_next_agent_goes_on, 150),
    };
    return TEST_RUN(tests);
}
