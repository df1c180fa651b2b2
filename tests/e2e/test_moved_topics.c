/* Types get another topic, or none, while numbered rows are still unsent. Each row goes once, to
 * the topic that it was numbered for, and no topic's sequence has a gap. */
#include "tests/support/sidecar.h"

#include "common/failpoint.h"

#include <signal.h>
#include <stdio.h>

#define TABLES                                                                                     \
    "CREATE TABLE items(" SIDECAR_ITEM_COLUMNS ");"                                                \
    "CREATE TABLE extras(" SIDECAR_ITEM_COLUMNS ");"
#define POINTS  4
#define TOPICS  4
#define CHANGES 5

/* A change of the configuration, and the records of each topic after it. PREFIX stands for the
 * shop's prefix. */
struct change_case {
    const char *name;
    const char *prefix; /* of the new topics, added to the shop's */
    const char *entries;
    const char *more; /* rows written after the change */
    struct {
        const char *topic;
        const char *records; /* type, id and sequence of each */
    } expected[TOPICS];
};

#define OLD_ITEMS  "item 1 1\nitem 2 2\nitem 3 3\n"
#define OLD_EXTRAS "extra 1 1\nextra 2 2\nextra 3 3\n"
#define MORE       "INSERT INTO items VALUES(4,'x',0); INSERT INTO extras VALUES(4,'x',0)"

static const struct change_case changes[CHANGES] = {
    {"topic",
     "",
     "publish:\n  item: {table: items, partitions: 1, topic: PREFIX.renamed}\n"
     "  extra: {table: extras, partitions: 1}\n",
     MORE,
     {{"item", OLD_ITEMS}, {"renamed", "item 4 1\n"}, {"extra", OLD_EXTRAS "extra 4 4\n"}}},
    {"gone",
     "",
     "publish:\n  extra: {table: extras, partitions: 1}\n",
     "INSERT INTO extras VALUES(4,'x',0)",
     {{"item", OLD_ITEMS}, {"extra", OLD_EXTRAS "extra 4 4\n"}}},
    {"swapped",
     "",
     "publish:\n  item: {table: items, partitions: 1, topic: PREFIX.extra}\n"
     "  extra: {table: extras, partitions: 1, topic: PREFIX.item}\n",
     MORE,
     {{"item", OLD_ITEMS "extra 4 4\n"}, {"extra", OLD_EXTRAS "item 4 4\n"}}},
    {"joined",
     "",
     "publish:\n  item: {table: items, partitions: 1, topic: PREFIX.extra}\n"
     "  extra: {table: extras, partitions: 1}\n",
     "INSERT INTO items VALUES(4,'x',0)",
     {{"item", OLD_ITEMS}, {"extra", OLD_EXTRAS "item 4 4\n"}}},
    {"prefix",
     "new.",
     "publish:\n  item: {table: items, partitions: 1}\n"
     "  extra: {table: extras, partitions: 1}\n",
     MORE,
     {{"item", OLD_ITEMS},
      {"extra", OLD_EXTRAS},
      {"new.item", "item 4 1\n"},
      {"new.extra", "extra 4 1\n"}}},
};

/* A topic, and the records that it must hold, each once. */
struct expected_topic {
    const char *name;
    const char *records;
    const char *found;
};

struct expected_topics {
    struct expected_topic topics[POINTS * CHANGES * TOPICS];
    size_t count;
};

static void note_record(const struct kafka_record *record, void *context)
{
    struct expected_topics *all = context;
    struct expected_topic *topic = all->topics;
    char type[16];
    int id = 0;
    int sequence = 0;
    const char *type_header = strstr(record->headers, "ce_type=");
    const char *sequence_header = strstr(record->headers, "ce_sequence=");
    assert_true(type_header != NULL && sequence_header != NULL);
    assert_int_equal(sscanf(type_header, "ce_type=%15[a-z]", type), 1);
    assert_int_equal(sscanf(sequence_header, "ce_sequence=%d", &sequence), 1);
    assert_int_equal(sscanf(record->key.data, "{\"id\":%d}", &id), 1);
    const char *line = test_format("%s %d %d\n", type, id, sequence);
    while (strcmp(topic->name, record->topic) != 0)
        topic++;
    if (strstr(topic->found, line) == NULL)
        topic->found = test_format("%s%s", topic->found, line);
}

static void expect_records(struct kafka *kafka, struct expected_topics *all)
{
    const char *names[POINTS * CHANGES * TOPICS];
    for (size_t i = 0; i < all->count; i++)
        names[i] = all->topics[i].name;
    (void)kafka_consume_topics(kafka, names, all->count, note_record, all);
    for (size_t i = 0; i < all->count; i++) {
        const struct expected_topic *topic = &all->topics[i];
        if (strcmp(topic->found, topic->records) != 0)
            test_fail("topic %s has\n%sand not\n%s", topic->name, topic->found, topic->records);
    }
}

/* Write `entries` into the configuration, with the shop's prefix in place of PREFIX. */
static void configure(struct kafka *kafka, const struct sidecar *shop, const char *prefix,
                      const char *more, const char *entries)
{
    const char *text = test_format(
        "service: shop\ndatabase: \"%s\"\nlisten: \"\"\nkafka: {bootstrap.servers: \"%s\"}\n"
        "topic_prefix: \"%s.%s\"\n",
        shop->url, kafka_bootstrap(kafka), prefix, more);
    for (const char *mark = strstr(entries, "PREFIX"); mark != NULL;
         mark = strstr(entries, "PREFIX")) {
        text = test_format("%s%.*s%s", text, (int)(mark - entries), entries, prefix);
        entries = mark + strlen("PREFIX");
    }
    test_write_file(shop->config, test_format("%s%s", text, entries));
}

static void change_after(struct kafka *kafka, enum failpoint_point point,
                         struct expected_topics *all)
{
    struct sidecar shops[CHANGES];
    const char *prefixes[CHANGES];
    for (size_t i = 0; i < CHANGES; i++) {
        const char *name = test_format("%s-%d", changes[i].name, (int)point);
        prefixes[i] = test_format("%s.%s", test_name(), name);
        shops[i] = sidecar_make(kafka, name, TABLES, "");
        configure(kafka, &shops[i], prefixes[i], "",
                  "publish:\n  item: {table: items, partitions: 1}\n"
                  "  extra: {table: extras, partitions: 1}\n");
        sidecar_init(&shops[i], NULL);
        (void)sqlite_text(shops[i].database,
                          "INSERT INTO items VALUES(1,'x',0),(2,'x',0),(3,'x',0);"
                          "INSERT INTO extras VALUES(1,'x',0),(2,'x',0),(3,'x',0)");
        sidecar_start(&shops[i], failpoint_names[point]);
    }
    for (size_t i = 0; i < CHANGES; i++) {
        assert_int_equal(process_wait(shops[i].process, 30000), 128 + SIGKILL);
        configure(kafka, &shops[i], prefixes[i], changes[i].prefix, changes[i].entries);
        (void)sqlite_text(shops[i].database, changes[i].more);
        sidecar_start(&shops[i], NULL);
    }
    for (size_t i = 0; i < CHANGES; i++) {
        static const char done[] = "SELECT (SELECT count(*) FROM outbox WHERE sequence IS NULL) + "
                                   "sum(last_sequence <> acknowledged_sequence) "
                                   "FROM keepstep_relay_partition";
        if (!sqlite_wait_for(shops[i].database, done, "0\n", 30000))
            test_fail("%s after %s: %s", changes[i].name, failpoint_names[point],
                      process_errors(shops[i].process));
    }
    for (size_t i = 0; i < CHANGES; i++) {
        sidecar_stop(&shops[i]);
        for (size_t t = 0; t < TOPICS && changes[i].expected[t].topic != NULL; t++)
            all->topics[all->count++] = (struct expected_topic){
                .name = test_format("%s.%s", prefixes[i], changes[i].expected[t].topic),
                .records = changes[i].expected[t].records,
                .found = ""};
    }
}

static void rows_go_to_the_topic_that_they_were_numbered_for_whatever_changes(void **state)
{
    static const enum failpoint_point points[POINTS] = {
        FAILPOINT_RELAY_AFTER_CLAIM, FAILPOINT_RELAY_AFTER_PUBLISH,
        FAILPOINT_RELAY_BEFORE_ACKNOWLEDGE, FAILPOINT_RELAY_AFTER_ACKNOWLEDGE};
    (void)state;
    struct kafka *kafka = kafka_start();
    struct expected_topics all = {.count = 0};
    for (size_t i = 0; i < POINTS; i++)
        change_after(kafka, points[i], &all);
    expect_records(kafka, &all);
}

static void a_left_topic_that_is_gone_stops_the_relay_with_what_to_do(void **state)
{
    (void)state;
    struct kafka *kafka = kafka_start();
    struct sidecar shop = sidecar_make(kafka, "shop", TABLES,
                                       "publish:\n  item: {table: items, partitions: 1}\n");
    sidecar_init(&shop, NULL);
    (void)sqlite_text(shop.database, "INSERT INTO items VALUES(1,'x',0)");
    sidecar_start(&shop, failpoint_names[FAILPOINT_RELAY_AFTER_CLAIM]);
    assert_int_equal(process_wait(shop.process, 30000), 128 + SIGKILL);
    kafka_delete_topic(kafka, sidecar_topic("item"));
    configure(kafka, &shop, test_name(), "", "publish:\n  extra: {table: extras, partitions: 1}\n");
    sidecar_start(&shop, NULL);
    assert_int_equal(process_wait(shop.process, 60000), 78);
    const char *log = process_errors(shop.process);
    if (strstr(log, "[0] is gone, but it is not known whether all that this outbox numbered") ==
            NULL ||
        strstr(log, "make the topic again as it was") == NULL)
        test_fail("%s", log);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_WITH_LIMIT(rows_go_to_the_topic_that_they_were_numbered_for_whatever_changes, 300),
        TEST_WITH_LIMIT(a_left_topic_that_is_gone_stops_the_relay_with_what_to_do, 120),
    };
    return TEST_RUN(tests);
}
