/* Statements that grant rights, as Keepstep prints them and as servers show them. */
#include "common/grants.h"
#include "common/buffer.h"
#include "tests/support/test.h"

static bool write_right(void *context, const struct grant_right *right)
{
    buffer_append_format(context, "%.*s|%.*s|%.*s|%.*s|%.*s\n", SLICE_ARGS(right->privilege),
                         SLICE_ARGS(right->column), SLICE_ARGS(right->kind),
                         SLICE_ARGS(right->object), SLICE_ARGS(right->role));
    return true;
}

static void expect(const char *sql, const char *rights)
{
    struct buffer out;
    buffer_init(&out, 1 << 16);
    grants_read(slice_of(sql), write_right, &out);
    assert_string_equal(buffer_text(&out), rights);
    buffer_done(&out);
}

static void each_right_on_each_object_for_each_role_is_read(void **state)
{
    (void)state;
    expect("CREATE ROLE a;\nGRANT SELECT, UPDATE (x, \"y, z\")\n  ON outbox, other TO a, b;\n"
           "GRANT a TO b;\n",
           "SELECT||TABLE|outbox|a\nSELECT||TABLE|outbox|b\nSELECT||TABLE|other|a\n"
           "SELECT||TABLE|other|b\nUPDATE|x|TABLE|outbox|a\nUPDATE|x|TABLE|outbox|b\n"
           "UPDATE|x|TABLE|other|a\nUPDATE|x|TABLE|other|b\nUPDATE|\"y, z\"|TABLE|outbox|a\n"
           "UPDATE|\"y, z\"|TABLE|outbox|b\nUPDATE|\"y, z\"|TABLE|other|a\n"
           "UPDATE|\"y, z\"|TABLE|other|b\n");
    expect("GRANT EXECUTE ON FUNCTION f(text), g() TO r;GRANT no ON line TO b;",
           "EXECUTE||FUNCTION|f(text)|r\nEXECUTE||FUNCTION|g()|r\n");
    expect("GRANT USAGE ON SCHEMA \"a on b\" TO r", "USAGE||SCHEMA|\"a on b\"|r\n");
}

static void what_mariadb_shows_is_read(void **state)
{
    (void)state;
    expect("GRANT `keepstep_run` TO `shop`@`localhost`;\n"
           "GRANT USAGE ON *.* TO `shop`@`localhost` IDENTIFIED BY PASSWORD '*A; B';\n"
           "GRANT SELECT, UPDATE (`set_aside`, `a,b`) ON `shop`.`outbox` TO `keepstep_relay`;\n"
           "GRANT ALL PRIVILEGES ON `shop\\_%`.* TO `x` WITH GRANT OPTION;\n",
           "USAGE||TABLE|*.*|`shop`@`localhost` IDENTIFIED BY PASSWORD '*A; B'\n"
           "SELECT||TABLE|`shop`.`outbox`|`keepstep_relay`\n"
           "UPDATE|`set_aside`|TABLE|`shop`.`outbox`|`keepstep_relay`\n"
           "UPDATE|`a,b`|TABLE|`shop`.`outbox`|`keepstep_relay`\n"
           "ALL PRIVILEGES||TABLE|`shop\\_%`.*|`x` WITH GRANT OPTION\n");
}

static void what_is_no_grant_is_passed_over(void **state)
{
    (void)state;
    expect("", "");
    expect("GRANT", "");
    expect("GRANT ;\nGRANT SELECT ON ;\nGRANT SELECT ON a;\n  GRANT SELECT ON a TO b;\n", "");
    expect("GRANT SELECT ON a TO b", "SELECT||TABLE|a|b\n");
    assert_true(slice_is(grants_bare(slice_of("`a`")), "a"));
    assert_true(slice_is(grants_bare(slice_of("\"")), "\""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(each_right_on_each_object_for_each_role_is_read),
        TEST(what_mariadb_shows_is_read),
        TEST(what_is_no_grant_is_passed_over),
    };
    return TEST_RUN(tests);
}
