/* Writers in sessions, and in threads, of their own. */
#include "tests/support/joint_writer.h"

#include "common/clock.h"
#include "tests/support/database_case.h"
#include "tests/support/joint_case.h"

#define A_WHILE_US INT64_C(100000)

const char *const joint_writer_levels[JOINT_WRITER_LEVELS] = {"READ COMMITTED", "REPEATABLE READ",
                                                              "SERIALIZABLE"};

struct session *joint_writer_begin(const char *level)
{
    struct session *writer = session_open(joint_case_url);
    session_run(writer,
                test_format("SET SESSION %s ISOLATION LEVEL %s",
                            database_case_kind == DATABASE_POSTGRESQL
                                ? "CHARACTERISTICS AS TRANSACTION"
                                : "TRANSACTION",
                            level),
                NULL);
    session_run(writer, "BEGIN", NULL);
    return writer;
}

void joint_writer_end(struct session *writer, const char *how)
{
    session_run(writer, how, NULL);
    session_close(writer);
}

void joint_writing_run(struct joint_writing *writing)
{
    writing->error = session_try(writing->writer, writing->sql, NULL);
}

static void *run(void *context)
{
    joint_writing_run(context);
    return NULL;
}

void joint_writing_begin(struct joint_writing *writing)
{
    assert_int_equal(pthread_create(&writing->thread, NULL, run, writing), 0);
    clock_sleep_us(A_WHILE_US);
}

void joint_writing_join(struct joint_writing *writing)
{
    assert_int_equal(pthread_join(writing->thread, NULL), 0);
}
