/* The commands that people type, on SQLite and the broker in memory: their output and exit
 * codes. */
#include "tests/support/load.h"
#include "tests/support/sidecar.h"

#include <signal.h>

#define PUBLISH_ITEMS "publish:\n  item: {table: items, partitions: 1}\n"
#define APPLY_ITEMS   "apply:\n  item: {table: items, partitions: 1}\n"
#define NOWHERE       "127.0.0.1:1" /* for commands that ask no broker */
#define OUTBOX_HEAD                                                                                \
    "POSITION   STATE      TYPE                     KEY                      REASON\n"
#define PARKED_HEAD "ID       STATE    TYPE             KEY                      ATTEMPTS REASON\n"

static struct sidecar make(const char *bootstrap, const char *name, const char *ddl,
                           const char *entries)
{
    struct sidecar sidecar = sidecar_make_at(
        bootstrap, name, test_format("sqlite:%s", test_path("%s.db", name)), entries);
    (void)sqlite_text(sidecar.database, ddl);
    return sidecar;
}

/* Run a command line in the shell. `keepstep` in it is the program under test. */
static struct process_result keepstep(const char *line)
{
    return PROCESS_RUN("sh", "-c",
                       test_format("keepstep() { '%s' \"$@\"; }\ncd '%s'\n%s", KEEPSTEP_BINARY,
                                   test_directory(), line));
}

/* Check the exit code and the exact output; NULL: do not compare it. */
static void expect(const char *line, int code, const char *output, const char *errors)
{
    struct process_result result = keepstep(line);
    if (result.exit_code != code || (output != NULL && strcmp(result.output, output) != 0) ||
        (errors != NULL && strcmp(result.errors, errors) != 0))
        test_fail("%s\nended with %d, said\n%s\nand\n%s", line, result.exit_code, result.output,
                  result.errors);
}

/* Check the exit code, and that output or errors contain these words. */
static void expect_words(const char *line, int code, const char *words)
{
    struct process_result result = keepstep(line);
    if (result.exit_code != code ||
        (strstr(result.output, words) == NULL && strstr(result.errors, words) == NULL))
        test_fail("%s\nended with %d, said\n%s\nand\n%s", line, result.exit_code, result.output,
                  result.errors);
}

static void the_program_names_its_version_and_its_commands(void **state)
{
    (void)state;
    expect_words("keepstep --version", 0, "keepstep " KEEPSTEP_VERSION " (librdkafka ");
    expect_words("keepstep --help", 0, "\n  parked ");
    expect_words("keepstep parked --help", 0, "keepstep parked retry --entity order");
    expect_words("keepstep", 64, "keepstep init -c shop.yaml");
    expect("keepstep statsu", 64, "",
           "keepstep: there is no command \"statsu\"; see keepstep --help\n");
    expect("keepstep parked retry --all=no", 64, "", "keepstep parked: --all takes no value\n");
}

static void a_configuration_is_checked_with_the_place_of_what_is_wrong(void **state)
{
    (void)state;
    (void)make(NOWHERE, "shop", SIDECAR_ITEM_DDL,
               PUBLISH_ITEMS "apply:\n  extra: {table: extras}\n");
    expect("keepstep config check -c shop.yaml", 0,
           "shop.yaml is good: service shop publishes 1 and applies 1 entity types\n", "");
    expect_words("keepstep config check -c shop.yaml -s limits.batch_events=many", 78,
                 "limits.batch_events");
    test_write_file(test_path("wrong.yaml"),
                    "service: shop\ndatabase: sqlite:shop.db\npublsh: {}\n");
    expect_words("keepstep config check -c wrong.yaml", 78, "wrong.yaml:3:1: ");
    test_write_file(test_path("typeless.yaml"), "service: shop\ndatabase: sqlite:shop.db\n"
                                                "kafka: {bootstrap.servers: x}\n"
                                                "publish:\n  ghost: {}\n");
    expect_words("keepstep config check -c typeless.yaml", 78, "ghost.schema.json");
    expect_words("keepstep config check -c absent.yaml", 78, "absent.yaml");
    expect_words("keepstep config check -c shop.yaml -s kafka.bootstrap.server=x", 78,
                 "kafka property \"bootstrap.server\"");
    test_write_file(test_path("brokerless.yaml"), "service: shop\ndatabase: sqlite:shop.db\n"
                                                  "publish:\n  item: {table: items}\n");
    expect_words("keepstep config check -c brokerless.yaml", 78, "kafka.bootstrap.servers");
    expect_words("keepstep run -c brokerless.yaml", 78, "kafka.bootstrap.servers");
    expect_words("keepstep status -c shop.yaml -s database=postgres://h/d", 78,
                 "write postgresql: for postgres:");
    expect_words("keepstep status -c shop.yaml -s database=mariadb://h/d", 78,
                 "write mysql: for mariadb:");
    expect_words("keepstep schema table items --database mysql://me:hush@h/d", 78,
                 "a command line must not hold one");
    expect_words("KEEPSTEP_KAFKA_SASL_PASSWORD=hush keepstep config print -c shop.yaml", 0,
                 "\"sasl.password\":\"***\"");
    expect_words("keepstep config print -c shop.yaml -s kafka.sasl.password=hush", 78,
                 "by kafka.sasl.password_file");
    expect("keepstep config", 64, "",
           "keepstep config: wants check, print or docs; see keepstep config --help\n");
}

/* Every command runs with every URL that holds a secret, given in every way that a URL can be
 * given. The broker asks for a password too. All that was written is searched for the secrets. */
static void no_command_says_a_secret_of_a_url_or_of_the_broker(void **state)
{
    (void)state;
    struct sidecar shop = make(NOWHERE, "shop", SIDECAR_ITEM_DDL, PUBLISH_ITEMS APPLY_ITEMS);
    sidecar_init(&shop, NULL);
    test_write_file(test_path("secret"), "Mark3r\n");
    test_write_file(test_path("urls"), "postgresql://u:1/x?Mark3r@127.0.0.1:1/d\n"
                                       "mysql://u:1/x?Mark3r@127.0.0.1:1/d\n"
                                       "mysql://u:1/Mark3r@127.0.0.1:1/d\n"
                                       "postgresql://u:Mark3r\n"
                                       "postgresql://u:%Mark3r@127.0.0.1:1/d\n"
                                       "mysql://u@127.0.0.1:1/d?Mark3r\n"
                                       "mysql://u@127.0.0.1:1/d?password=Mark3r\n"
                                       "postgresql://u:Mark3r@127.0.0.1:1/d\n"
                                       "postgresql://u@127.0.0.1:1/d?sslpassword=Mark3r\n"
                                       "mysql://u:Mark3r@127.0.0.1:1/d\n"
                                       "postgres://u:Mark3r@h/d\nsqlite://u:Mark3r@h/d\n");
    struct process_result result = keepstep(
        "exec 2>&1; export KEEPSTEP_KAFKA_SASL_PASSWORD_FILE=secret\n"
        "export KEEPSTEP_KAFKA_SASL_MECHANISM=PLAIN KEEPSTEP_KAFKA_SASL_USERNAME=me\n"
        "export KEEPSTEP_KAFKA_SECURITY_PROTOCOL=SASL_PLAINTEXT\n"
        "grep -v '^database' shop.yaml >bare.yaml; while read -r url; do\n"
        "echo \"$url\" >url; { cat bare.yaml; echo \"database: $url\"; } >file.yaml\n"
        "{ cat bare.yaml; echo \"database_file: $url\"; } >misused.yaml\n"
        "for c in 'config check' 'config print' status init 'init --print-sql' 'outbox list' \\\n"
        "    'parked list' healthcheck 'schema table items' 'publish' 'lag'; do\n"
        "KEEPSTEP_DATABASE=$url keepstep $c -c bare.yaml </dev/null; echo \"[$c $?]\"\n"
        "done\n"
        "for c in 'config print -c file.yaml' 'status -c misused.yaml' 'run -c file.yaml' \\\n"
        "    'config print -c bare.yaml -s database_file=url' '--database=x' 'status -cx' \\\n"
        "    \"status --database=$url\" \"config check -c bare.yaml -s database=$url\" \\\n"
        "    \"schema table x --database $url\" \"status -c $url\" \"$url\" \"status --$url\"; do\n"
        "keepstep $c </dev/null; done\n"
        "KEEPSTEP_DATABASE=$url timeout -s KILL 0.3 '" KEEPSTEP_BINARY "' run -c bare.yaml; :\n"
        "done <urls\n"
        "unset KEEPSTEP_KAFKA_SASL_PASSWORD_FILE; export KEEPSTEP_KAFKA_DEBUG=all\n"
        "KEEPSTEP_KAFKA_SASL_PASSWORD=Mark3r timeout -s KILL 0.5 '" KEEPSTEP_BINARY
        "' run -c shop.yaml\n"
        "k=KEEPSTEP_KAFKA_SASL; export ${k}_MECHANISM=OAUTHBEARER ${k}_OAUTHBEARER_CONFIG=Mark3r\n"
        "KEEPSTEP_KAFKA_ENABLE_SASL_OAUTHBEARER_UNSECURE_JWT=true '" KEEPSTEP_BINARY "' run \\\n"
        "-c shop.yaml >said 2>&1 & until grep Unrecog said; do sleep 1; done; kill -9 $!; cat "
        "said");
    if (strstr(result.output, "Mark3r") != NULL)
        test_fail("%s", result.output);
    assert_non_null(strstr(result.output, "\"sasl.password\":\"***\""));
    assert_non_null(strstr(result.output, "postgresql://u:***@127.0.0.1:1/d"));
    assert_non_null(strstr(result.output, "[lag 78]"));
    assert_non_null(strstr(result.output, "Unrecognized sasl.oauthbearer.config"));
}

/* Something that is missing, the commands that meet it, their exit code, and words of their
 * error. */
static const struct missing {
    const char *name;
    const char *make; /* run beside a valid shop.yaml, after init */
    const char *commands;
    int code;
    const char *words;
} missing[] = {
    {"configuration", "rm shop.yaml", "all", 78, "shop.yaml: No such file or directory"},
    {"file", "rm shop.yaml; mkdir shop.yaml", "all", 78, "shop.yaml: cannot be read"},
    {"schema", "rm schemas/item.schema.json", "all", 78, "write the schema of \"item\" there"},
    {"database of the outbox", "rm shop.db*", "outbox", 75, "there is no database: run `keepstep"},
    {"database of the copy", "rm shop.db*", "copy", 78, "there is no database: run `keepstep"},
    {"outbox", "rm shop.db*; sqlite3 shop.db 'CREATE TABLE items(id)'", "outbox", 78,
     "run `keepstep init -c shop.yaml`"},
    {"tables of the copy", "rm shop.db*; sqlite3 shop.db 'CREATE TABLE items(id)'", "copy", 78,
     "run `keepstep init -c shop.yaml`"},
    {"readable database", "rm shop.db*; yes | head -c 9000 >shop.db", "both", 78, "shop.db"},
    {"file for the database", "rm shop.db*; mkdir shop.db", "both", 75, "shop.db: "},
    {"broker", "", "lag", 75,
     "no broker can be used at 127.0.0.1:1 (Connect to ipv4#127.0.0.1:1 failed: Connection "
     "refused); start it, or correct kafka.bootstrap.servers"},
};

static const struct {
    const char *kind;
    const char *commands[7];
} kinds_of_commands[] = {
    {"lag", {"lag"}},
    {"outbox", {"status", "outbox list", "outbox show 1", "outbox retry --all"}},
    {"copy", {"lag", "parked list", "parked show 1", "parked retry --all", "parked resume"}},
    {"both", {"status", "outbox list", "outbox retry 1", "lag", "parked list", "parked resume"}},
    {"all", {"init", "run", "relay", "agent", "status", "lag", "config check"}},
};

/* Each says one sentence in one line, without a library's log, and ends with the right exit
 * code. */
static void each_command_says_in_one_sentence_what_is_missing(void **state)
{
    (void)state;
    struct sidecar shop = make(NOWHERE, "shop", SIDECAR_ITEM_DDL, PUBLISH_ITEMS APPLY_ITEMS);
    sidecar_init(&shop, NULL);
    (void)keepstep("mkdir good; mv schemas shop.* good; :");
    for (size_t i = 0; i < sizeof missing / sizeof *missing; i++) {
        for (size_t k = 0; k < sizeof kinds_of_commands / sizeof *kinds_of_commands; k++) {
            if (strcmp(kinds_of_commands[k].kind, missing[i].commands) != 0)
                continue;
            (void)keepstep(test_format("rm -rf now; cp -r good now; cd now; sed -i "
                                       "'s,sqlite:[^\" ]*shop.db,sqlite:shop.db,' shop.yaml; %s",
                                       missing[i].make));
            for (size_t c = 0; c < 7 && kinds_of_commands[k].commands[c] != NULL; c++) {
                const char *line = test_format("cd now; keepstep %s -c shop.yaml",
                                               kinds_of_commands[k].commands[c]);
                struct process_result result = keepstep(line);
                const char *end = strchr(result.errors, '\n');
                if (result.exit_code != missing[i].code || end == NULL || end[1] != '\0' ||
                    strncmp(result.errors, "keepstep: ", 10) != 0 || *result.output != '\0' ||
                    strstr(result.errors, missing[i].words) == NULL)
                    test_fail("without its %s: %s\nended with %d, said\n%s\nand\n%s",
                              missing[i].name, line, result.exit_code, result.output,
                              result.errors);
            }
        }
    }
}

static void a_misspelt_column_or_variable_and_another_services_outbox_are_refused(void **state)
{
    (void)state;
    struct sidecar shop = make(NOWHERE, "shop", SIDECAR_ITEM_DDL,
                               "publish:\n  item: {table: items, columns: {nmae: title}}\n");
    expect_words("keepstep config check -c shop.yaml", 78,
                 "publish.item.columns: the schema of item has no column \"nmae\"; did you mean "
                 "\"name\"?");
    expect_words("keepstep init -c shop.yaml", 78, "no column \"nmae\"");
    shop = make(NOWHERE, "shop", "", PUBLISH_ITEMS);
    sidecar_init(&shop, NULL);
    expect_words("KEEPSTEP_LISTN=x keepstep config check -c shop.yaml", 78,
                 "did you mean KEEPSTEP_LISTEN?");
    expect_words("KEEPSTEP_LISTN=x keepstep outbox list -c shop.yaml", 0,
                 "KEEPSTEP_LISTN in the environment is not a key of Keepstep");
    expect("KEEPSTEP_SERVICE_HOST=10.0.0.1 keepstep outbox list -c shop.yaml", 0, OUTBOX_HEAD, "");
    expect("keepstep init -c shop.yaml -s service=store", 78, "",
           "keepstep: the outbox of this database belongs to service shop, not store: correct "
           "`service:`, or `database:`\n");
    expect_words(
        "echo '{\"type\":\"item.created\",\"key\":1,\"after\":{\"id\":' | keepstep publish "
        "-c shop.yaml",
        65, "line 1: ");
}

/* Neither /dev/full nor a pipe without a reader accepts any output. */
static void an_output_that_cannot_be_written_is_an_error_of_every_command(void **state)
{
    static const char *const commands[] = {
        "--help",       "--version",        "config docs",        "config print",
        "config check", "status",           "outbox list",        "parked list",
        "init",         "init --print-sql", "schema table items", "parked --help"};
    (void)state;
    struct sidecar shop = make(NOWHERE, "shop", SIDECAR_ITEM_DDL, PUBLISH_ITEMS);
    sidecar_init(&shop, NULL);
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        expect_words(test_format("keepstep %s -c shop.yaml >/dev/full", commands[i]), 74,
                     "keepstep: the output could not be written");
        expect_words(test_format("{ sleep 0.05; keepstep %s -c shop.yaml; echo \"[$?]\" >&2; } | :",
                                 commands[i]),
                     0, "[74]");
    }
}

static void rows_are_judged_by_a_schema(void **state)
{
    (void)state;
    (void)make(NOWHERE, "shop", "", PUBLISH_ITEMS); /* for its schemas */
    expect("printf '{\"id\":1,\"name\":\"a\"}\\n\\n{\"id\":2,\"name\":\"b\",\"amount\":null}' |"
           " keepstep schema validate schemas/item.schema.json",
           0, "", "");
    expect("printf '{\"id\":1,\"name\":\"a\"}\\n{\"id\":\"x\",\"name\":\"b\"}\\n{\"id\":3}\\n' |"
           " keepstep schema validate schemas/item.schema.json",
           65, "", "line 2: /id: wrong type\nline 3: (root): lacks the property 'name'\n");
    expect("{ echo '{\"id\":1,\"name\":\"a\"}'; head -c 17000000 /dev/zero; } |"
           " keepstep schema validate schemas/item.schema.json",
           65, "", "keepstep: line 2: longer than the limit of 16777216 bytes\n");
    expect_words("keepstep schema validate absent.json </dev/null", 78, "absent.json");
    expect("keepstep schema validate", 64, "",
           "keepstep schema: wants validate SCHEMA or table TABLE\n");
}

static void lines_go_into_the_outbox_or_are_refused_by_their_number(void **state)
{
    (void)state;
    struct sidecar shop = make(NOWHERE, "shop", SIDECAR_ITEM_DDL, PUBLISH_ITEMS);
    sidecar_init(&shop, NULL);
    expect("echo '{\"type\":\"item.created\",\"key\":1,\"after\":{\"id\":1,\"name\":\"a\"}}' |"
           " keepstep publish -c shop.yaml",
           0, "", "1 events written to the outbox\n");
    expect("{ echo '{\"type\":\"item.deleted\",\"key\":1}'; head -c 17000000 /dev/zero; } |"
           " keepstep publish -c shop.yaml",
           65, "",
           "0 events written to the outbox\n"
           "keepstep: line 2: longer than the limit of 16777216 bytes\n");
    assert_string_equal(sqlite_text(shop.database, "SELECT type, aggregateid FROM outbox"),
                        "item.created|{\"id\":1}\n");
}

static void rows_that_are_there_are_left_out_where_init_is_told_so(void **state)
{
    (void)state;
    struct sidecar shop = make(NOWHERE, "shop",
                               SIDECAR_ITEM_DDL "INSERT INTO items VALUES(1,'a',1),(2,'b',2)",
                               PUBLISH_ITEMS);
    expect_words("keepstep init --no-existing-rows -c shop.yaml", 0,
                 "skipped  rows    item: --no-existing-rows; an init without it publishes them\n");
    (void)sqlite_text(shop.database, "UPDATE items SET amount=9 WHERE id=2");
    assert_string_equal(sqlite_text(shop.database, "SELECT type, aggregateid FROM outbox"),
                        "item.updated|{\"id\":2}\n");
    expect_words("keepstep init -c shop.yaml", 0, "created  rows    item: 2\n");
    assert_string_equal(sqlite_text(shop.database, "SELECT count(*), max(type) FROM outbox"),
                        "3|item.updated\n");
    expect_words("keepstep init -c shop.yaml", 0, "kept     rows    item: 2\n");
    assert_int_equal(sqlite_number(shop.database, "SELECT count(*) FROM outbox"), 3);
}

static void the_outbox_is_listed_and_a_row_of_it_shown(void **state)
{
    static const char row_2[] =
        "2          set aside  item.updated             {\"id\":1}                 too large\n";
    static const char row_1[] = "1          waiting    item.created             {\"id\":1}"
                                "                 \n";
    (void)state;
    struct sidecar shop = make(NOWHERE, "shop", SIDECAR_ITEM_DDL, PUBLISH_ITEMS);
    sidecar_init(&shop, NULL);
    expect("keepstep outbox list -c shop.yaml", 0, OUTBOX_HEAD, "");
    (void)sqlite_text(shop.database,
                      "INSERT INTO items VALUES(1,'a',1); UPDATE items SET amount=2;"
                      "DELETE FROM items;"
                      "UPDATE outbox SET set_aside='too large' WHERE position=2;"
                      "UPDATE outbox SET id='the-id', created_at='2026-01-02T03:04:05.000006Z', "
                      "kafka_partition=0, sequence=7 WHERE position=3");
    expect("keepstep outbox list -c shop.yaml", 0, test_format("%s%s%s", OUTBOX_HEAD, row_2, row_1),
           "");
    expect("keepstep outbox -c shop.yaml", 0, test_format("%s%s%s", OUTBOX_HEAD, row_2, row_1), "");
    expect_words("keepstep outbox list --json -c shop.yaml", 0,
                 "{\"position\":2,\"state\":\"set_aside\",\"event_id\":\"");
    expect("keepstep outbox show 3 --json -c shop.yaml", 0,
           "{\"position\":3,\"state\":\"claimed\",\"event_id\":\"the-id\",\"event_type\":\"item."
           "deleted\",\"entity_type\":\"item\",\"entity_key\":\"{\\\"id\\\":1}\",\"created_at\":"
           "\"2026-01-02T03:04:05.000006Z\",\"reason\":null,\"partition\":0,\"sequence\":7,"
           "\"payload\":\"{\\\"op\\\":\\\"d\\\",\\\"before\\\":null,\\\"after\\\":null}\"}\n",
           "");
    expect_words("keepstep outbox show 2 -c shop.yaml", 0, "\npayload     {\"op\":\"u\",");
    expect_words("keepstep outbox show 9 -c shop.yaml", 65, "no row at position 9: ");
    expect("keepstep outbox retry 1 -c shop.yaml", 65, "", NULL); /* it is not set aside */
    expect("keepstep outbox show -c shop.yaml", 64, "", NULL);
    expect("keepstep outbox retry 2 -c shop.yaml", 0, "", "position 2: the relay tries it again\n");
    assert_int_equal(
        sqlite_number(shop.database, "SELECT count(*) FROM outbox WHERE set_aside IS NOT NULL"), 0);
    (void)sqlite_text(shop.database,
                      "UPDATE outbox SET set_aside='x' WHERE sequence IS NULL;"
                      "INSERT INTO items WITH RECURSIVE n(i) AS (SELECT 10 UNION ALL "
                      "SELECT i+1 FROM n WHERE i<129) SELECT i,'b',1 FROM n;"
                      "UPDATE outbox SET set_aside='y' WHERE position > 3");
    expect("keepstep outbox list --all -c shop.yaml", 64, "", NULL);
    expect("keepstep outbox retry --all -c shop.yaml", 0, "",
           "122 rows and sets: the relay tries them again\n");
    assert_int_equal(
        sqlite_number(shop.database, "SELECT count(*) FROM outbox WHERE set_aside IS NOT NULL"), 0);
    expect("keepstep outbox retry --all -c shop.yaml", 0, "",
           "0 rows and sets: the relay tries them again\n");
    expect_words("keepstep status -c shop.yaml -s kafka.bootstrap.servers=127.0.0.1:1", 0,
                 "\nNext      keepstep run -c shop.yaml -s kafka.bootstrap.servers=127.0.0.1:1   # "
                 "publishes what waits; nothing is lost meanwhile\n");
}

static void a_change_set_is_listed_as_one_line_and_decided_as_one(void **state)
{
    (void)state;
    struct sidecar shop = make(NOWHERE, "shop", SIDECAR_ITEM_DDL,
                               "transactions: whole\n" PUBLISH_ITEMS);
    expect_words("keepstep init -c shop.yaml", 0, "created  trigger keepstep_outbox_changeset\n");
    (void)sqlite_text(shop.database, "INSERT INTO outbox (aggregatetype, aggregateid, type, "
                                     "payload, changeset, set_aside) VALUES "
                                     "('item', '1', 'item.created', '{}', 'set-1', 'too large'),"
                                     "('line', '1', 'line.created', '{}', 'set-1', 'too large'),"
                                     "('item', '2', 'item.created', '{}', '8', NULL),"
                                     "('line', '2', 'line.created', '{}', 'set-1', 'too large'),"
                                     "('item', '3', 'item.created', '{}', '8', NULL),"
                                     "('item', '4', 'item.created', '{}', '', NULL)");
    expect("keepstep outbox list -c shop.yaml", 0,
           OUTBOX_HEAD
           "1          set aside  set of 3, ends at position 4, item 1, line 2: too large\n"
           "3          waiting    set of 2, ends at position 5, item 2\n"
           "6          waiting    item.created             4                        \n",
           "");
    expect_words("keepstep outbox list --json -c shop.yaml", 0,
                 "{\"position\":1,\"state\":\"set_aside\",\"rows\":3,\"last_position\":4,"
                 "\"entity_types\":{\"item\":1,\"line\":2},\"created_at\":");
    expect_words("keepstep outbox cut 4 -c shop.yaml", 0, "each of its rows is published alone");
    assert_string_equal(
        sqlite_text(shop.database, "SELECT changeset, set_aside FROM outbox WHERE position = 2"),
        "|NULL\n");
}

/* Beside an outbox a session waits at most a tenth of a second for a lock. */
static void what_is_parked_is_skipped_also_while_another_has_the_database(void **state)
{
    (void)state;
    struct sidecar shop = make(NOWHERE, "shop", SIDECAR_ITEM_DDL, PUBLISH_ITEMS APPLY_ITEMS);
    load_need("sqlite3");
    sidecar_init(&shop, NULL);
    (void)sqlite_text(
        shop.database,
        "INSERT INTO keepstep_parked(topic, partition, offset, state, reason, code,"
        " attempts, parked_at, next_attempt_at) VALUES ('t', 0, 3, 0, 'r', 0, 1, 0, 0);"
        "INSERT INTO keepstep_blocked VALUES ('item', '{\"id\":1}', 1)");
    const char *const argv[] = {
        "sqlite3", shop.database, "BEGIN IMMEDIATE", ".shell echo on", ".shell sleep 1",
        "COMMIT",  NULL};
    struct process *holder = process_start("holder", argv, NULL);
    assert_true(process_wait_for(holder, "on\n", 10000) ||
                strstr(process_output(holder), "on") != NULL);
    expect("keepstep parked skip 1 -c shop.yaml", 0, "",
           "1 item {\"id\":1}: skipped; what waits behind it goes on\n");
    assert_int_equal(sqlite_number(shop.database, "SELECT state FROM keepstep_parked"), 3);
    assert_int_equal(process_wait(holder, 10000), 0);
}

static struct process *start_broker(const char **ret_address)
{
    const char *const argv[] = {KEEPSTEP_BINARY,
                                "broker",
                                "--address-file",
                                test_path("address"),
                                test_format("%s:1", sidecar_topic("item")),
                                NULL};
    struct process *broker = process_start("broker", argv, NULL);
    if (!process_wait_for(broker, "127.0.0.1:[0-9]+\n", 10000))
        test_fail("%s", process_errors(broker));
    *ret_address = test_format("%.*s", (int)strcspn(process_output(broker), "\n"),
                               process_output(broker));
    return broker;
}

static void the_broker_says_where_it_is_and_serves_until_it_is_stopped(void **state)
{
    const char *address = NULL;
    (void)state;
    struct process *broker = start_broker(&address);
    assert_string_equal(test_read_file(test_path("address")), test_format("%s\n", address));
    assert_non_null(strstr(process_errors(broker), "for trying out only"));
    struct sidecar shop = make(address, "shop", SIDECAR_ITEM_DDL, PUBLISH_ITEMS);
    struct sidecar billing = make(address, "billing", "", APPLY_ITEMS);
    sidecar_begin(&shop);
    sidecar_begin(&billing);
    (void)sqlite_text(shop.database, "INSERT INTO items VALUES(1,'a',1)");
    sidecar_expect(&billing, "SELECT * FROM items", "1|a|1\n");
    sidecar_stop(&shop);
    sidecar_stop(&billing);
    assert_int_equal(process_stop(broker, 10000), 0);
    expect("keepstep broker item:0", 64, "",
           "keepstep: \"item:0\" is no TOPIC or TOPIC:PARTITIONS\n");
}

static void set_aside_events_are_listed_shown_and_retried_by_their_entity(void **state)
{
    static const char reason[] = "negative";
    const char *address = NULL;
    (void)state;
    struct process *broker = start_broker(&address);
    struct sidecar shop = make(address, "shop", SIDECAR_ITEM_DDL, PUBLISH_ITEMS);
    struct sidecar billing = make(
        address, "billing",
        SIDECAR_ITEM_DDL "CREATE TRIGGER positive BEFORE INSERT ON items WHEN NEW.amount<0 "
                         "BEGIN SELECT RAISE(ABORT, 'negative'); END",
        APPLY_ITEMS);
    sidecar_begin(&shop);
    sidecar_begin(&billing);
    (void)sqlite_text(shop.database, "INSERT INTO items VALUES(1,'a',-1),(2,'b',-2),(3,'c',3);"
                                     "UPDATE items SET amount=-5 WHERE id=1");
    sidecar_expect(&billing, "SELECT state, count(*) FROM keepstep_parked GROUP BY 1 ORDER BY 1",
                   "0|2\n2|1\n");
    struct process_result list = keepstep("keepstep parked list -c billing.yaml");
    assert_int_equal(list.exit_code, 0);
    assert_int_equal(strncmp(list.output, PARKED_HEAD, strlen(PARKED_HEAD)), 0);
    const char *const lines[] = {"\n1        held     item             {\"id\":1} ",
                                 "\n2        held     item             {\"id\":2} ",
                                 "\n3        behind   item             {\"id\":1} "};
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        if (strstr(list.output, lines[i]) == NULL || strstr(list.output, reason) == NULL)
            test_fail("no %s in %s", lines[i], list.output);
    }
    expect_words("keepstep parked show 2 -c billing.yaml", 0,
                 test_format("\nrecord    %s [0] at offset 1\n", sidecar_topic("item")));
    expect_words("keepstep parked show 2 -c billing.yaml", 0, "\nheader    ce_source: shop\n");
    expect_words("keepstep parked show 2 --json -c billing.yaml", 0, "\"key\":\"{\\\"id\\\":2}\"");
    expect("keepstep parked show 9 -c billing.yaml", 65, NULL,
           "keepstep: nothing is parked under 9; see `keepstep parked list -c billing.yaml`\n");

    expect("keepstep parked retry 3 --dry-run -c billing.yaml", 0, "",
           "3 waits behind 1 of the same entity; that one goes first\n"
           "1 item {\"id\":1}: would be tried again, then what waits behind it\n");
    expect("keepstep parked retry --all --dry-run -c billing.yaml", 0, "",
           "1 item {\"id\":1}: would be tried again, then what waits behind it\n"
           "2 item {\"id\":2}: would be tried again, then what waits behind it\n");
    assert_int_equal(sqlite_number(billing.database, "SELECT sum(attempts) FROM keepstep_parked "
                                                     "WHERE state = 0"),
                     2);
    expect_words("keepstep parked retry --entity item '{\"id\":2}' -c billing.yaml", 75,
                 "2 item {\"id\":2}: failed again: ");
    (void)sqlite_text(billing.database, "DROP TRIGGER positive");
    expect("keepstep parked retry --entity item '{\"id\":1}' -c billing.yaml", 0, "",
           "1 item {\"id\":1}: applied\n");
    sidecar_expect(&billing, "SELECT * FROM items ORDER BY id", "1|a|-5\n3|c|3\n");
    expect("keepstep parked retry --entity item '{\"id\": 2}' -c billing.yaml", 65, "",
           "keepstep: nothing is parked of item {\"id\": 2}; type and key are to be as `keepstep "
           "parked list -c billing.yaml` shows them\n");
    expect("keepstep parked retry --entity item '{\"id\":2}' -c billing.yaml", 0, "",
           "2 item {\"id\":2}: applied\n");
    sidecar_assert_equal(&shop, &billing, "items", 10000);
    assert_true(process_wait_for(billing.process,
                                 "parked item .*:1} from .* offset 0 is applied at attempt 2, "
                                 "and 1 behind it(.|\n)*"
                                 "parked item .*:2} from .* offset 1 is applied at attempt 3, "
                                 "and 0 behind it",
                                 10000));
    expect("keepstep parked list -c billing.yaml", 0, PARKED_HEAD, "");
    expect("keepstep parked retry --all -c billing.yaml", 0, "", "nothing is parked\n");
    expect("keepstep parked retry -c billing.yaml", 64, "", NULL);
    sidecar_stop(&shop);
    sidecar_stop(&billing);
    assert_int_equal(process_stop(broker, 10000), 0);
}

/* Both the agent and init end with 78 and say why. */
static void expect_no_beginning(struct sidecar *billing, const char *words)
{
    sidecar_start(billing, NULL);
    int code = process_wait(billing->process, 20000);
    if (code != 78 || strstr(process_errors(billing->process), words) == NULL)
        test_fail("ended with %d: %s", code, process_errors(billing->process));
    expect_words("keepstep init -c billing.yaml", 78, words);
}

static void a_copy_whose_table_or_column_is_gone_or_named_anew_does_not_begin_there(void **state)
{
    static const char moved[] = "apply:\n  item: {table: items, partitions: 1, columns: "
                                "{amount: quantity}}\n";
    const char *address = NULL;
    (void)state;
    struct process *broker = start_broker(&address);
    struct sidecar shop = make(address, "shop", SIDECAR_ITEM_DDL, PUBLISH_ITEMS);
    struct sidecar billing = make(address, "billing", "", APPLY_ITEMS);
    sidecar_begin(&shop);
    sidecar_begin(&billing);
    (void)sqlite_text(shop.database, "INSERT INTO items VALUES(1,'a',1),(2,'b',2)");
    sidecar_expect(&billing, "SELECT next_offset FROM keepstep_position", "2\n");
    sidecar_stop(&billing);
    const char *config = test_read_file(billing.config);
    struct sidecar renamed = make(address, "billing", "",
                                  "apply:\n  item: {table: articles, partitions: 1}\n");
    expect_no_beginning(&renamed,
                        "was kept in items.id and would be in articles.id, but 2 records");
    renamed = make(address, "billing", "", moved);
    expect_no_beginning(&renamed, "was kept in items.amount and would be in items.quantity, but 2");
    test_write_file(billing.config, config);
    (void)sqlite_text(billing.database, "ALTER TABLE items RENAME TO lost");
    expect_no_beginning(&billing, " for item, but 2 records");
    (void)sqlite_text(billing.database, "ALTER TABLE lost RENAME TO items");
    sidecar_start(&billing, NULL);
    (void)sqlite_text(shop.database, "INSERT INTO items VALUES(3,'c',3)");
    sidecar_assert_equal(&shop, &billing, "items", 20000);
    sidecar_stop(&billing);

    /* When the names in the database change too, init lets the copy go on under the new names. */
    (void)sqlite_text(billing.database, "ALTER TABLE items RENAME COLUMN amount TO quantity");
    renamed = make(address, "billing", "", moved);
    sidecar_begin(&renamed);
    (void)sqlite_text(shop.database, "INSERT INTO items VALUES(4,'d',4)");
    sidecar_expect(&renamed, "SELECT id, quantity FROM items", "1|1\n2|2\n3|3\n4|4\n");
    sidecar_stop(&renamed);
    sidecar_stop(&shop);
    assert_int_equal(process_stop(broker, 10000), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_program_names_its_version_and_its_commands),
        TEST(a_configuration_is_checked_with_the_place_of_what_is_wrong),
        TEST_WITH_LIMIT(no_command_says_a_secret_of_a_url_or_of_the_broker, 120),
        TEST_WITH_LIMIT(each_command_says_in_one_sentence_what_is_missing, 120),
        TEST(a_misspelt_column_or_variable_and_another_services_outbox_are_refused),
        TEST(an_output_that_cannot_be_written_is_an_error_of_every_command),
        TEST(rows_are_judged_by_a_schema),
        TEST(lines_go_into_the_outbox_or_are_refused_by_their_number),
        TEST(rows_that_are_there_are_left_out_where_init_is_told_so),
        TEST(the_outbox_is_listed_and_a_row_of_it_shown),
        TEST(a_change_set_is_listed_as_one_line_and_decided_as_one),
        TEST(what_is_parked_is_skipped_also_while_another_has_the_database),
        TEST_WITH_LIMIT(the_broker_says_where_it_is_and_serves_until_it_is_stopped, 60),
        TEST_WITH_LIMIT(set_aside_events_are_listed_shown_and_retried_by_their_entity, 120),
        TEST_WITH_LIMIT(a_copy_whose_table_or_column_is_gone_or_named_anew_does_not_begin_there,
                        120),
    };
    return TEST_RUN(tests);
}
