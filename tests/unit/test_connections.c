/* Another thread cuts open sessions. labels: threads */
#include "tests/support/test.h"

#include "common/connections.h"

#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

static void *wait_for_bytes(void *context)
{
    char byte;
    *(ssize_t *)context = read((int)*(ssize_t *)context, &byte, 1);
    return NULL;
}

static void make_ends(int ends[2])
{
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0)
        test_fail("no sockets");
}

static void close_ends(const int ends[2])
{
    (void)close(ends[0]);
    (void)close(ends[1]);
}

static bool is_at_its_end(int socket)
{
    char byte;
    return recv(socket, &byte, 1, MSG_DONTWAIT) == 0;
}

static void one_that_is_given_up_leaves_the_others(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    int one[2];
    int other[2];
    make_ends(one);
    make_ends(other);
    assert_int_equal(connections_add(one, one[0], 5, &err), STATUS_OK);
    assert_int_equal(connections_add(other, other[0], -1, &err), STATUS_OK);
    assert_int_equal(connections_answer_ms(one), 5);
    assert_int_equal(connections_answer_ms(other), -1);
    connections_give_up(one);
    connections_give_up(NULL);
    assert_true(connections_gave_up(one));
    assert_true(is_at_its_end(one[0]));
    assert_false(connections_gave_up(other));
    assert_false(is_at_its_end(other[0]));
    connections_remove(one);
    connections_remove(one);
    assert_false(connections_gave_up(one));
    connections_remove(other);
    close_ends(one);
    close_ends(other);
}

/* The library may have closed its descriptor. The number may then belong to another file. */
static void a_number_that_is_used_again_is_not_cut(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    int session[2];
    int file[2];
    make_ends(session);
    make_ends(file);
    assert_int_equal(connections_add(session, session[0], -1, &err), STATUS_OK);
    assert_int_equal(dup2(file[0], session[0]), session[0]);
    connections_give_up(session);
    assert_false(is_at_its_end(file[0]));
    assert_true(is_at_its_end(session[1]));
    connections_remove(session);
    close_ends(session);
    close_ends(file);
}

static void after_the_cut_none_waits_and_none_is_opened(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    pthread_t thread;
    int early[2];
    int late[2];
    make_ends(early);
    make_ends(late);
    ssize_t waited = early[0];
    assert_int_equal(connections_refuse(&err), STATUS_OK);
    assert_int_equal(connections_add(early, early[0], -1, &err), STATUS_OK);
    assert_int_equal(pthread_create(&thread, NULL, wait_for_bytes, &waited), 0);
    connections_cut();
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(waited, 0);
    assert_int_equal(connections_add(late, late[0], -1, &err), STATUS_OK);
    assert_true(is_at_its_end(late[0]));
    assert_int_equal(connections_refuse(&err), STATUS_RETRY);
    connections_remove(early);
    connections_remove(late);
    close_ends(early);
    close_ends(late);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(one_that_is_given_up_leaves_the_others),
        TEST(a_number_that_is_used_again_is_not_cut),
        TEST(after_the_cut_none_waits_and_none_is_opened),
    };
    return TEST_RUN(tests);
}
