/* Loading a configuration. */
#include "tests/support/test.h"

#include "schemas/config/internal.h"

#include <sysexits.h>

static struct error err;
static struct config *config;

static enum status load(const char *text, const char *const *overrides, size_t count)
{
    error_clear(&err);
    config = NULL;
    test_write_file(test_path("k.yaml"), text);
    return config_load(test_path("k.yaml"), overrides, count, &config, &err);
}

static void the_smallest_file_gets_all_defaults(void **state)
{
    (void)state;
    if (load("service: shop\ndatabase: sqlite:shop.db\nkafka: {bootstrap.servers: kafka:9092}\n"
             "publish:\n  order: {table: orders}\napply:\n  parcel:\nignore: [x]\n",
             NULL, 0) != STATUS_OK)
        test_fail("%s", err.text);
    assert_string_equal(config->service, "shop");
    assert_string_equal(config->instance, "1");
    assert_string_equal(config->listen, "127.0.0.1:9464");
    assert_int_equal(config->limits.batch_events, 2500);
    assert_int_equal(config->limits.batch_bytes, 4194304);
    assert_int_equal(config->limits.batch_time_ms, 10);
    assert_int_equal(config->limits.open_entities, 50000);
    assert_int_equal(config->limits.behind_records, 100000);
    assert_int_equal(config->limits.scan_time_s, 600);
    assert_int_equal(config->limits.snapshots, 4);
    assert_int_equal(config->topics.replication_factor, 0);
    assert_int_equal(config->topics.min_insync_replicas, 0);
    assert_int_equal(config->topics.retention_s, 0);
    assert_int_equal(config->topics.retention_bytes, 0);
    assert_int_equal(config->topics.record_bytes, 1000000);
    assert_string_equal(config->kafka[0].value, "kafka:9092");
    assert_string_equal(config->publish[0].table, "orders");
    assert_string_equal(config->publish[0].topic, "order");
    assert_int_equal(config->publish[0].partitions, 6);
    assert_null(config->apply[0].table);
    assert_string_equal(config->ignore[0], "x");
    assert_int_equal(config->database_path[0], '/');
    assert_non_null(strstr(config->schemas, "/schemas"));
    assert_ptr_equal(config_find(config->publish, 1, "order", 5), &config->publish[0]);
    config_free(config);
}

#define WHOLE                                                                                      \
    "service: shop\ndatabase: sqlite:x\nkafka: {bootstrap.servers: k:1}\n"                         \
    "topic_prefix: a.\ntransactions: whole\n"

static void under_whole_all_published_types_share_the_services_topic(void **state)
{
    (void)state;
    if (load(WHOLE "publish:\n  order:\n  line: {partition_key: order_id}\napply:\n  parcel:\n",
             NULL, 0) != STATUS_OK)
        test_fail("%s", err.text);
    assert_int_equal(config->transactions, TRANSACTIONS_WHOLE);
    for (size_t i = 0; i < 2; i++) {
        assert_string_equal(config->publish[i].topic, "a.shop");
        assert_int_equal(config->publish[i].partitions, 1);
    }
    assert_string_equal(config->apply[0].topic, "a.parcel");
    assert_int_equal(config->limits.changeset_events, 20000);
    assert_int_equal(config->limits.changeset_bytes, 8388608);
    config_free(config);
    if (load(WHOLE "publish:\n  order: {topic: t, partitions: 3, partition_key: a}\n"
                   "  line: {topic: t, partitions: 3, partition_key: b}\n",
             NULL, 0) != STATUS_OK)
        test_fail("%s", err.text);
    assert_string_equal(config->publish[1].topic, "t");
    assert_int_equal(config->publish[1].partitions, 3);
    config_free(config);
}

static void under_whole_what_would_tear_a_transaction_is_refused(void **state)
{
    static const struct {
        const char *entries;
        const char *wanted;
    } bad[] = {
        {"publish:\n  order:\n  line: {topic: line}\n",
         ":8:3: `transactions: whole` needs one topic for all published types, but order has "
         "a.shop and line has line"},
        {"publish:\n  order: {partitions: 2}\n  line: {partitions: 2, partition_key: b}\n",
         ":7:3: `transactions: whole` keeps a transaction together in one partition only"},
        {"publish:\n  order: {partitions: 2, partition_key: b}\n  line: {partitions: 2}\n",
         ":8:3: `transactions: whole` keeps a transaction together in one partition only"},
        {"publish:\n  order: {partitions: 2, partition_key: b}\n  line: {partition_key: b}\n",
         ":8:3: order and line share topic a.shop"},
        {"publish:\n  order:\n  line:\napply:\n  line: {topic: other}\n",
         ":8:3: line is published under `transactions: whole` and applied too"},
        {"limits: {changeset_events: 0}\n", "changeset_events"},
        {"limits: {changeset_bytes: 10}\n", "changeset_bytes"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const char *text = test_format("%s%s", WHOLE, bad[i].entries);
        if (load(text, NULL, 0) != STATUS_FATAL || strstr(err.text, bad[i].wanted) == NULL)
            test_fail("%s: %s", text, err.text);
    }
    assert_int_equal(load("service: a\ndatabase: sqlite:x\ntransactions: all\n", NULL, 0),
                     STATUS_FATAL);
    assert_non_null(strstr(err.text, ":3:1: "));
}

static void a_transaction_on_a_server_may_last_longer_unless_its_time_is_given(void **state)
{
    static const struct {
        const char *text;
        int64_t wanted;
    } cases[] = {
        {"database: postgresql://u@h/d\n", 50},
        {"database: mysql://u@h/d\n", 50},
        {"database: mysql://u@h/d\nlimits: {batch_time_ms: 20}\n", 20},
        {"database: sqlite:x\nlimits: {batch_time_ms: 20}\n", 20},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *text = test_format("service: a\nkafka: {bootstrap.servers: k:1}\n%s",
                                       cases[i].text);
        if (load(text, NULL, 0) != STATUS_OK)
            test_fail("%s", err.text);
        assert_int_equal(config->limits.batch_time_ms, cases[i].wanted);
        config_free(config);
    }
}

static void an_unknown_key_is_placed_and_a_near_one_named(void **state)
{
    (void)state;
    assert_int_equal(load("service: a\ndatabase: sqlite:x\npublsh: {}\n", NULL, 0), STATUS_FATAL);
    assert_int_equal(err.exit_code, 78);
    assert_non_null(
        strstr(err.text, "k.yaml:3:1: unknown key \"publsh\"; did you mean \"publish\"?"));
}

static void wrong_files_are_refused_with_their_place(void **state)
{
    static const struct {
        const char *text;
        const char *wanted;
    } bad[] = {
        {"", ":1:1: "},
        {"service: a\n", "database"},
        {"service: [a\n", ":2:1: "},
        {"service: &x a\ndatabase: *x\n", ":1:10: anchors"},
        {"service: yes\ndatabase: sqlite:x\nservice: b\n", ":3:1: this key is there twice"},
        {"service: 1\ndatabase: sqlite:x\n", ":1:1: "},
        {"service: a\ndatabase: sqlite:x\nlimits:\n  batch_events: 0\n", ":4:3: "},
        {"service: a\ndatabase: sqlite:x\napply:\n  o: {before: yes}\n", ":4:7: "},
        {"service: a\ndatabase: sqlite:x\nkafka:\n  acks: 1\n", ":4:3: kafka property \"acks\""},
        {"service: a\ndatabase: sqlite:x\napply:\n  o: {tabel: t}\n", "did you mean \"table\"?"},
        {"service: a\ndatabase: sqlite:x\napply:\n  o: {columns: [id]}\n",
         "as columns: {SCHEMA_COLUMN: TABLE_COLUMN}"},
        {"service: a\ndatabase: sqlite:x\nkafka: {bootstrap.servers: k:1}\napply:\n  doc:\n  "
         "Doc:\n",
         "the same table in SQLite"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        if (load(bad[i].text, NULL, 0) != STATUS_FATAL || strstr(err.text, bad[i].wanted) == NULL)
            test_fail("%s: %s", bad[i].text, err.text);
    }
}

static void a_password_in_the_file_or_a_flag_is_refused_and_not_shown(void **state)
{
    (void)state;
    static const struct {
        const char *url;
        bool good; /* a password may be here */
    } cases[] = {
        {"postgresql://me:tellnobody@h/d", true},
        {"postgresql://h/d?sslmode=require&password=tellnobody", true},
        {"mysql://me:tell@nobody@h:3306/d", true},
        {"postgresql://me@h/d?sslpassword=tellnobody", true},
        {"postgresql://me:tell?nobody@h/d", true},
        {"postgresql://me:a@h/d?password=nobody&sslpassword=nobody", true},
        {"postgresql://me:tell/nobody@h/d", false},
        {"postgresql://me:tell@that:or/nobody#1?&%@h:5432/d?sslmode=require", false},
        {"mysql://me:tell?&/nobody@h/d", false},
        {"mysql://me:1/x?nobody@h/d", false},
        {"mysql://me:1/nobody@h/d", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *wanted = cases[i].good ? "URL holds a password" : "URL cannot be read: ";
        const char *flag = test_format("database=%s", cases[i].url);
        assert_int_equal(load(test_format("service: a\ndatabase: \"%s\"\n", cases[i].url), NULL, 0),
                         STATUS_FATAL);
        assert_int_equal(err.exit_code, EX_CONFIG);
        assert_non_null(strstr(err.text, test_format(":2:1: the database's %s", wanted)));
        assert_null(strstr(err.text, "nobody"));
        assert_int_equal(load("service: a\n", &flag, 1), STATUS_FATAL);
        assert_non_null(strstr(err.text, wanted));
        assert_null(strstr(err.text, "nobody"));
        test_write_file(test_path("url"), test_format("%s\n", cases[i].url));
        enum status status = load("service: a\ndatabase_file: url\n", NULL, 0);
        assert_int_equal(status, cases[i].good ? STATUS_OK : STATUS_FATAL);
        assert_null(strstr(err.text, "nobody"));
        if (status != STATUS_OK)
            continue;
        assert_string_equal(config->database_path, cases[i].url);
        assert_null(strstr(config->database_shown, "nobody"));
        assert_non_null(strstr(config->database_shown, "***"));
        config_free(config);
    }
    setenv("KEEPSTEP_DATABASE", cases[0].url, 1);
    enum status status = load("service: a\ndatabase: sqlite:x\n", NULL, 0);
    unsetenv("KEEPSTEP_DATABASE");
    assert_int_equal(status, STATUS_OK);
    assert_string_equal(config->database_shown, "postgresql://me:***@h/d");
    config_free(config);
    static const char *const harmless[] = {
        "postgresql://me@h:5432/d?application_name=a:b%40c", "postgresql://h:5432/d?user=a%40b",
        "mysql://me@h:3306/d%40e", "postgresql://[::1]:5432/d%40e"};
    for (size_t i = 0; i < sizeof harmless / sizeof *harmless; i++) {
        if (load(test_format("service: a\ndatabase: '%s'\n", harmless[i]), NULL, 0) != STATUS_OK)
            test_fail("%s", err.text);
        assert_string_equal(config->database_shown, harmless[i]);
        config_free(config);
    }
}

/* Each secret is written where something else belongs, so that an error message could repeat it. */
static void a_secret_in_a_wrong_place_is_not_repeated(void **state)
{
    static const char *const files[] = {
        "service: a\ndatabase_file: postgresql://me:tellnobody@h/d\n",
        "service: a\ndatabase: sqlite:x\nkafka: {sasl.password_file: tellnobody}\n",
        "service: a\n\"databasemysql://me:tellnobody@h/d\": x\n",
        "service: a\ndatabase: host=h password=tellnobody\n",
        "service: a\ndatabase: {mysql://me:tellnobody@h/d: x}\n",
        "service: a\ndatabase: [tellnobody]\n",
        "service: a\ndatabase: sqlite:x\nlisten_token: tellnobody\n",
        "tellnobody\n",
    };
    static const char *const flags[] = {
        "databasemysql://me:tellnobody@h/d",
        "database:mysql://me:tellnobody@h/d?x=y",
        "database_file=mysql://me:tellnobody@h/d",
        "kafka.sasl.password=tellnobody",
        "kafka.ssl.key.password=tellnobody",
        "kafka.ssl.keystore.password=tellnobody",
        "kafka.ssl.key.pem=tellnobody",
        "kafka.sasl.oauthbearer.config=x=tellnobody",
        "kafka.sasl.oauthbearer.client.secret=tellnobody",
        "kafka.sasl.password_file=tellnobody",
        "listen_token=tellnobody",
    };
    (void)state;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        assert_int_equal(load(files[i], NULL, 0), STATUS_FATAL);
        assert_int_equal(err.exit_code, EX_CONFIG);
        if (strstr(err.text, "tellnobody") != NULL)
            test_fail("%s", err.text);
    }
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
        assert_int_equal(load("service: a\ndatabase: sqlite:x\n", &flags[i], 1), STATUS_FATAL);
        assert_int_equal(err.exit_code, EX_CONFIG);
        if (strstr(err.text, "tellnobody") != NULL)
            test_fail("%s: %s", flags[i], err.text);
    }
    assert_int_equal(config_load("mysql://me:tellnobody@h/d", NULL, 0, &config, &err),
                     STATUS_FATAL);
    assert_null(strstr(err.text, "tellnobody"));
}

static void flags_win_over_environment_and_file(void **state)
{
    (void)state;
    const char *flags[] = {"listen=x:1", "listen=y:2", "limits.batch_events=7"};
    setenv("KEEPSTEP_LISTEN", "z:3", 1);
    setenv("KEEPSTEP_INSTANCE", "2", 1);
    setenv("KEEPSTEP_LIMITS_BATCH_BYTES", "2048", 1);
    setenv("KEEPSTEP_KAFKA_BOOTSTRAP_SERVERS", "b:9", 1);
    setenv("KEEPSTEP_FAILPOINT", "no option", 1);
    test_write_file(test_path("secret"), "hush\n");
    enum status status = load("service: a\ndatabase: sqlite:/x\ninstance: '9'\n"
                              "kafka: {sasl.password_file: secret}\n",
                              flags, 3);
    unsetenv("KEEPSTEP_LISTEN");
    unsetenv("KEEPSTEP_INSTANCE");
    unsetenv("KEEPSTEP_LIMITS_BATCH_BYTES");
    unsetenv("KEEPSTEP_KAFKA_BOOTSTRAP_SERVERS");
    unsetenv("KEEPSTEP_FAILPOINT");
    if (status != STATUS_OK)
        test_fail("%s", err.text);
    assert_string_equal(config->listen, "x:1");
    assert_string_equal(config->instance, "2");
    assert_int_equal(config->limits.batch_events, 7);
    assert_int_equal(config->limits.batch_bytes, 2048);
    assert_string_equal(config->database, "sqlite:/x");
    assert_int_equal(config->kafka_count, 2);
    for (size_t i = 0; i < 2; i++) {
        bool password = strcmp(config->kafka[i].name, "sasl.password") == 0;
        assert_string_equal(config->kafka[i].value, password ? "hush" : "b:9");
    }
    config_free(config);
    assert_int_equal(load("service: a\ndatabase: sqlite:x\n", (const char *[]){"nonsense=1"}, 1),
                     STATUS_FATAL);
}

/* Kubernetes sets variables for a Service called keepstep or keepstep-kafka; they are ignored. A
 * variable that is nearly one of ours is a mistake, and must be named: its author believes that it
 * works. */
static void
a_variable_of_the_environment_is_a_key_or_kubernetes_own_or_named_as_unknown(void **state)
{
    static const struct {
        const char *name;
        const char *value;
        const char *wanted; /* a part of the error; NULL: no error */
    } cases[] = {
        {"KEEPSTEP_SERVICE_HOST", "10.0.0.1", NULL},
        {"KEEPSTEP_SERVICE_PORT", "9464", NULL},
        {"KEEPSTEP_SERVICE_PORT_METRICS", "9464", NULL},
        {"KEEPSTEP_PORT", "tcp://10.0.0.1:9464", NULL},
        {"KEEPSTEP_PORT_9464_TCP", "tcp://10.0.0.1:9464", NULL},
        {"KEEPSTEP_PORT_9464_TCP_ADDR", "10.0.0.1", NULL},
        {"KEEPSTEP_KAFKA_SERVICE_HOST", "10.0.0.1", NULL},
        {"KEEPSTEP_KAFKA_PORT_9092_TCP_PROTO", "tcp", NULL},
        {"KEEPSTEP_LISTN", "x:1",
         "KEEPSTEP_LISTN in the environment is not a key of Keepstep; did "
         "you mean KEEPSTEP_LISTEN?"},
        {"KEEPSTEP_LOG_LEVL", "debug", "did you mean KEEPSTEP_LOG_LEVEL?"},
        {"KEEPSTEP_SERVICE_NAME", "b", "KEEPSTEP_SERVICE_NAME in the environment is not a key"},
        {"KEEPSTEP_TABLES", "b", "see docs/CONFIGURATION.md"},
        {"KEEPSTEP_", "b", "KEEPSTEP_ in the environment is not a key"},
        {"KEEPSTEPX", "b", NULL},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        setenv(cases[i].name, cases[i].value, 1);
        enum status status = load("service: a\ndatabase: sqlite:x\n", NULL, 0);
        unsetenv(cases[i].name);
        if (status != STATUS_OK)
            test_fail("%s: %s", cases[i].name, err.text);
        assert_string_equal(config->service, "a");
        assert_int_equal(config->kafka_count, 0);
        const char *said = config->unknown_variables == NULL ? "" : config->unknown_variables;
        if (cases[i].wanted == NULL ? *said != '\0' : strstr(said, cases[i].wanted) == NULL)
            test_fail("%s: \"%s\"", cases[i].name, said);
        config_free(config);
    }
}

static void the_built_in_schema_is_the_file(void **state)
{
    (void)state;
    assert_string_equal(test_read_file(KEEPSTEP_SOURCE_DIR "/schemas/config/config.schema.json"),
                        config_schema_json);
}

static void the_documentation_is_current(void **state)
{
    (void)state;
    struct buffer text;
    buffer_init(&text, 65536);
    config_describe(&text);
    test_assert_document("docs/CONFIGURATION.md", buffer_text(&text));
    buffer_done(&text);
}

/* Without a schema, `orders` may be the same table as public.orders. The triggers could not tell,
 * and would publish what is applied. */
static void a_type_that_is_published_and_applied_names_one_table_in_one_spelling(void **state)
{
    (void)state;
    static const char *const bad[] = {"{table: orders}", "{table: PUBLIC.orders}", "", "{}"};
    static const char *const good[] = {"{table: public.orders}",
                                       "{table: public.orders, start: latest}"};
    const char *const text = "service: a\ndatabase: sqlite:x\npublish:\n  order: {table: "
                             "public.orders}\napply:\n  order: %s\n";
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(load(test_format(text, bad[i]), NULL, 0), STATUS_FATAL);
        assert_non_null(strstr(err.text, ":6:3: entity type order is published from table "
                                         "\"public.orders\""));
    }
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        if (load(test_format(text, good[i]), NULL, 0) != STATUS_OK)
            test_fail("%s", err.text);
        config_free(config);
    }
    if (load("service: a\ndatabase: sqlite:x\npublish:\n  orders: {table: orders}\n  "
             "parcel:\napply:\n"
             "  orders:\n  parcel: {table: parcels}\n",
             NULL, 0) != STATUS_OK)
        test_fail("%s", err.text);
    config_free(config);
    /* The default table of the type a.b is called "a.b". `table: a.b` means table b of schema a. */
    assert_int_equal(load("service: a\ndatabase: sqlite:x\npublish:\n  a.b: {table: a.b}\napply:\n"
                          "  a.b:\n",
                          NULL, 0),
                     STATUS_FATAL);
}

static void a_table_that_names_a_database_of_mariadb_is_refused(void **state)
{
    (void)state;
    static const char *const parts[] = {"publish", "apply"};
    for (size_t i = 0; i < 2; i++) {
        const char *text = test_format("service: a\n%s:\n  order: {table: app.orders}\n", parts[i]);
        assert_int_equal(load(test_format("database: mysql://h/d\n%s", text), NULL, 0),
                         STATUS_FATAL);
        assert_non_null(strstr(err.text, ":4:11: table \"app.orders\" names a database"));
        if (load(test_format("database: postgresql://h/d\n%s", text), NULL, 0) != STATUS_OK)
            test_fail("%s", err.text);
        config_free(config);
    }
}

static void joint_names_who_may_propose_changes_of_a_type(void **state)
{
    (void)state;
    if (load("service: shop\ndatabase: sqlite:x\ntopic_prefix: a.\npublish:\n"
             "  order: {table: orders, joint: [web, billing]}\n"
             "  account: {table: accounts, joint: []}\n  note:\n",
             NULL, 0) != STATUS_OK)
        test_fail("%s", err.text);
    assert_true(config_is_joint(config));
    assert_string_equal(config->joint_topic, "a.keepstep-joint");
    const struct config_entry *order = config_find(config->publish, 3, "order", 5);
    const struct config_entry *account = config_find(config->publish, 3, "account", 7);
    assert_int_equal(order->joint_count, 2);
    assert_string_equal(order->joint[1], "billing");
    assert_true(account->is_joint);
    assert_int_equal(account->joint_count, 0);
    assert_false(config_find(config->publish, 3, "note", 4)->is_joint);
    assert_int_equal(config->limits.joint_open, 1000);
    assert_int_equal(config->limits.joint_retention_s, 604800);
    config_free(config);
    assert_int_equal(load("service: shop\ndatabase: sqlite:x\npublish:\n  order:\n", NULL, 0),
                     STATUS_OK);
    assert_false(config_is_joint(config));
    assert_string_equal(config->joint_topic, "");
    config_free(config);
}

static void joint_is_refused_where_no_change_could_be_promised(void **state)
{
    static const struct {
        const char *text;
        const char *fault;
    } cases[] = {
        {"service: s\ndatabase: sqlite:x\npublish:\n  order: {joint: [web]}\n", ":4:11: order has"},
        {"service: s\ndatabase: sqlite:x\npublish:\n  order: {table: order, joint: [web]}\n"
         "apply:\n  order:\n",
         "is applied too"},
        {"service: s\ndatabase: sqlite:x\npublish:\n  order: {table: orders, joint: [web]}\n"
         "apply:\n  item: {table: Orders}\n",
         "order has \"joint:\" and item is applied to its table too"},
        {"service: s\ndatabase: sqlite:x\napply:\n  order: {joint: [web]}\n",
         "joint belongs in `publish:`"},
        {"service: s\ndatabase: sqlite:x\npublish:\n"
         "  order: {table: order, joint: [web], topic: keepstep-joint}\n",
         "joint: keepstep-joint is the topic of publish.order too"},
        {"service: s\ndatabase: sqlite:x\ncontrol_topic: keepstep-joint\npublish:\n"
         "  order: {table: order, joint: [web]}\n",
         "control_topic: keepstep-joint is the topic of joint transactions"},
        {"service: s\ndatabase: sqlite:x\npublish:\n  order: {table: order, joint: web}\n",
         "joint"},
        {"service: s\ndatabase: sqlite:x\npublish:\n  order: {table: order, joint: [a, a]}\n",
         "joint"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(load(cases[i].text, NULL, 0), STATUS_FATAL);
        if (strstr(err.text, cases[i].fault) == NULL)
            test_fail("%s", err.text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_smallest_file_gets_all_defaults),
        TEST(a_transaction_on_a_server_may_last_longer_unless_its_time_is_given),
        TEST(under_whole_all_published_types_share_the_services_topic),
        TEST(joint_names_who_may_propose_changes_of_a_type),
        TEST(joint_is_refused_where_no_change_could_be_promised),
        TEST(under_whole_what_would_tear_a_transaction_is_refused),
        TEST(an_unknown_key_is_placed_and_a_near_one_named),
        TEST(wrong_files_are_refused_with_their_place),
        TEST(a_password_in_the_file_or_a_flag_is_refused_and_not_shown),
        TEST(a_secret_in_a_wrong_place_is_not_repeated),
        TEST(flags_win_over_environment_and_file),
        TEST(a_type_that_is_published_and_applied_names_one_table_in_one_spelling),
        TEST(a_table_that_names_a_database_of_mariadb_is_refused),
        TEST(a_variable_of_the_environment_is_a_key_or_kubernetes_own_or_named_as_unknown),
        TEST(the_built_in_schema_is_the_file),
        TEST(the_documentation_is_current),
    };
    return TEST_RUN(tests);
}
