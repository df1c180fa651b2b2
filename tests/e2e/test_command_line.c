/* What every command does alike with its command line: arguments, --json, help; and what it says
 * where no broker answers. */
#include "operate/command.h"
#include "tests/support/sidecar.h"

#include <sysexits.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))
#define NOWHERE      "127.0.0.1:1"
#define NOTES_DDL    "CREATE TABLE notes(" SIDECAR_ITEM_COLUMNS ");"
#define ITEMS                                                                                      \
    "publish:\n  item: {table: items, partitions: 1, joint: []}\n"                                 \
    "apply:\n  note: {table: notes}\n"

/* Run a command line in the shell. `keepstep` in it is the program under test. */
static struct process_result keepstep(const char *line)
{
    return PROCESS_RUN("sh", "-c",
                       test_format("keepstep() { '%s' \"$@\"; }\ncd '%s'\n%s", KEEPSTEP_BINARY,
                                   test_directory(), line));
}

static void expect(const char *line, int code, const char *output, const char *errors)
{
    struct process_result result = keepstep(line);
    if (result.exit_code != code || (output != NULL && strcmp(result.output, output) != 0) ||
        (errors != NULL && strcmp(result.errors, errors) != 0))
        test_fail("%s\nended with %d, said\n%s\nand\n%s", line, result.exit_code, result.output,
                  result.errors);
}

static struct sidecar make(void)
{
    struct sidecar shop = sidecar_make_at(NOWHERE, "shop", test_format("sqlite:%s", test_path("s")),
                                          ITEMS);
    (void)sqlite_text(shop.database, SIDECAR_ITEM_DDL NOTES_DDL);
    (void)keepstep("cp schemas/item.schema.json schemas/note.schema.json");
    sidecar_init(&shop, NULL);
    return shop;
}

/* Nothing is done: `uninstall item --yes` would take away what is not named. */
static void an_argument_that_a_command_does_not_take_is_refused(void **state)
{
    int refused = 0;
    (void)state;
    (void)make();
    for (size_t i = 0; i < command_count; i++) {
        const char *name = command_list[i]->name;
        if (*command_list[i]->arguments != '\0')
            continue;
        refused++;
        expect(test_format("keepstep %s item -c shop.yaml </dev/null", name), EX_USAGE, "",
               test_format("keepstep %s: takes no argument item; see keepstep %s --help\n", name,
                           name));
    }
    assert_in_range(refused, 10, command_count);
    expect("keepstep uninstall item --yes -c shop.yaml", EX_USAGE, "", NULL);
    expect("keepstep outbox list item -c shop.yaml", EX_USAGE, "", NULL);
    expect("keepstep outbox list -c shop.yaml >rows", 0, "", "");
}

static void json_is_refused_where_a_command_prints_no_data(void **state)
{
    (void)state;
    (void)make();
    for (size_t i = 0; i < command_count; i++) {
        const struct command *command = command_list[i];
        struct process_result help = keepstep(test_format("keepstep %s --help", command->name));
        assert_int_equal(strstr(help.output, "--json  ") == NULL, command->without_json);
        if (command->without_json)
            expect(test_format("keepstep %s --json -c shop.yaml </dev/null", command->name),
                   EX_USAGE, "",
                   test_format("keepstep %s: it prints no data, so it has no --json; see keepstep "
                               "%s --help\n",
                               command->name, command->name));
    }
}

/* Of a command that prints data with other verbs. */
static void json_is_refused_where_a_verb_prints_no_data(void **state)
{
    static const char *const verbs[][3] = {
        {"joint", "withdraw", "a"}, {"joint", "retry", "a"},  {"joint", "release", "a --diverge"},
        {"joint", "adopt", ""},     {"outbox", "retry", "1"}, {"outbox", "retry", "--all"},
        {"outbox", "drop", "1"},    {"outbox", "cut", "1"},   {"parked", "retry", "1"},
        {"parked", "skip", "1"},    {"parked", "resume", ""}, {"parked", "retry", "--all"},
        {"copies", "forget", "b"},
    };
    (void)state;
    (void)make();
    for (size_t i = 0; i < COUNT(verbs); i++) {
        const char *const *verb = verbs[i];
        expect(test_format("keepstep %s %s %s --json -c shop.yaml", verb[0], verb[1], verb[2]),
               EX_USAGE, "",
               test_format("keepstep %s %s: it prints no data, so it has no --json; see keepstep "
                           "%s --help\n",
                           verb[0], verb[1], verb[0]));
    }
}

static void help_tells_of_a_command_by_its_name(void **state)
{
    (void)state;
    (void)test_directory();
    for (size_t i = 0; i < command_count; i++) {
        const char *name = command_list[i]->name;
        struct process_result asked = keepstep(test_format("keepstep %s --help", name));
        assert_non_null(strstr(asked.output, test_format("Usage: keepstep %s ", name)));
        expect(test_format("keepstep help %s", name), 0, asked.output, "");
    }
    expect("keepstep help", 0, keepstep("keepstep --help").output, "");
    expect("keepstep help statsu", EX_USAGE, "",
           "keepstep: there is no command \"statsu\"; see keepstep --help\n");
}

/* One line: which broker, why, and what to do. */
static void each_command_says_alike_that_no_broker_answers(void **state)
{
    static const char token[] = "shop/01942f6e-0000-7000-8000-00000000002a/item:0=1";
    const char *const commands[] = {
        "lag",
        "copies",
        "copies forget billing",
        "copies policy item",
        "verify item",
        "repair note --from billing",
        "tail item",
        "topics plan",
        "topics apply",
        "fill note --from-config billing.yaml",
        test_format("wait %s --quorum --timeout 1", token),
        test_format("wait %s --at billing --timeout 1", token),
    };
    (void)state;
    (void)make();
    struct sidecar billing = sidecar_make_at(NOWHERE, "billing",
                                             test_format("sqlite:%s", test_path("b")),
                                             "publish:\n  note: {table: notes}\n");
    (void)sqlite_text(billing.database, NOTES_DDL);
    sidecar_init(&billing, NULL);
    const char *line = "";
    for (size_t i = 0; i < COUNT(commands); i++) /* side by side: each waits for some seconds */
        line = test_format(
            "%s{ keepstep %s -c shop.yaml >%zu.out 2>%zu.err; echo $? >%zu.code; } &\n", line,
            commands[i], i, i, i);
    (void)keepstep(test_format("%swait", line));
    for (size_t i = 0; i < COUNT(commands); i++) {
        const char *said = keepstep(test_format("cat %zu.code %zu.out %zu.err", i, i, i)).output;
        const char *end = strchr(said, '\n') == NULL ? NULL : strchr(strchr(said, '\n') + 1, '\n');
        if (strtol(said, NULL, 10) != EX_TEMPFAIL || end == NULL || end[1] != '\0' ||
            strstr(said, NOWHERE) == NULL ||
            strstr(said, "; start it, or correct kafka.bootstrap.servers or another setting under "
                         "`kafka:`\n") == NULL)
            test_fail("%s\nended and said\n%s", commands[i], said);
    }
}

static void what_is_no_ticket_is_called_so(void **state)
{
    static const char incarnation[] = "01942f6e-0000-7000-8000-00000000002a";
    const char *const wrong[] = {"foo",
                                 "''",
                                 "shop/1041-1057",
                                 "shop:1-2",
                                 test_format("shop/%s", incarnation),
                                 test_format("shop/%s:1", incarnation),
                                 test_format("shop/%s:-1-2", incarnation),
                                 test_format("shop/%s:2-1", incarnation),
                                 test_format("shop/%s:1-2x", incarnation),
                                 test_format("shop/%s/item:0=1", incarnation)};
    (void)state;
    (void)make();
    for (size_t i = 0; i < COUNT(wrong); i++)
        expect(test_format("keepstep token %s -c shop.yaml", wrong[i]), EX_DATAERR, "",
               "keepstep: this is no ticket: SERVICE/INCARNATION:FIRST-LAST is one\n");
    struct process_result other = keepstep(
        test_format("keepstep token shop/%s:1-2 -c shop.yaml", incarnation));
    assert_int_equal(other.exit_code, EX_DATAERR);
    assert_non_null(strstr(other.errors, "this database of shop/"));
}

static void who_waits_for_a_joint_transaction_that_nobody_knows_is_told_so(void **state)
{
    (void)state;
    (void)make();
    expect("keepstep joint wait order-42 --timeout 0 -c shop.yaml", EX_TEMPFAIL,
           "unknown: this database has no joint transaction of shop with that id\n", "");
    expect("keepstep joint wait order-42 --timeout 0 --json -c shop.yaml", EX_TEMPFAIL,
           "{\"joint_id\":\"order-42\",\"proposer\":\"shop\",\"outcome\":\"unknown\",\"reason\":"
           "\"this "
           "database has no joint transaction of shop with that id\"}\n",
           "");
}

static void a_row_of_the_outbox_without_a_number_is_shown_without_one(void **state)
{
    (void)state;
    struct sidecar shop = make();
    (void)sqlite_text(shop.database, "INSERT INTO items VALUES (1, 'one', 1)");
    assert_null(strstr(keepstep("keepstep outbox show 1 -c shop.yaml").output, "sequence"));
    (void)sqlite_text(shop.database, "UPDATE outbox SET kafka_partition = 0, sequence = 7");
    assert_non_null(strstr(keepstep("keepstep outbox show 1 -c shop.yaml").output,
                           "\nsequence    7, of partition 0\n"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_argument_that_a_command_does_not_take_is_refused),
        TEST(json_is_refused_where_a_command_prints_no_data),
        TEST(json_is_refused_where_a_verb_prints_no_data),
        TEST(help_tells_of_a_command_by_its_name),
        TEST(each_command_says_alike_that_no_broker_answers),
        TEST(what_is_no_ticket_is_called_so),
        TEST(who_waits_for_a_joint_transaction_that_nobody_knows_is_told_so),
        TEST(a_row_of_the_outbox_without_a_number_is_shown_without_one),
    };
    return TEST_RUN(tests);
}
