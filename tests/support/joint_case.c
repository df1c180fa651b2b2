/* Makes a service of joint transactions, and calls the slots of struct joint_ops. */
#include "tests/support/joint_case.h"

#include "producer/capture/watch.h"
#include "producer/init/init.h"
#include "producer/init/origin.h"
#include "producer/registry.h"
#include "tests/support/database_case.h"
#include "tests/support/roles.h"
#include "tests/support/shop.h"
#include "tests/support/store_case.h"

#include <stdio.h>

#define TOPIC         "keepstep-joint"
#define TYPES         3
#define ARENA_SIZE    ((size_t)64 * 1024 * 1024)
#define MESSAGE_BYTES 1000000
/* A service's own trigger has the rights of whoever fires it, in PostgreSQL. */
#define AUDIT_GRANT "GRANT INSERT ON audit TO keepstep_agent"
#define GRANTS_SIZE ((size_t)1024 * 1024)

static const struct {
    const char *name;
    const char *keys;
    const char *columns;
    bool is_joint;
} types[TYPES] = {
    {"stock", "sku",
     "sku text,free integer,state text,price decimal,weight double,paid boolean,at date-time,"
     "image bytes,doc json,day date",
     true},
    {"movement", "id", "id integer,sku text,delta integer", true},
    {"audit", "id", "id integer,what text", false},
};

const char *joint_case_url;
const struct joint_store_case *joint_case_texts;
struct store *joint_case_store;
const struct joint_ops *joint_case_ops;
struct error joint_case_err;

static struct config config;
static struct config_entry entries[TYPES];
static struct entity_schema *schemas[TYPES];
static struct mapping mappings[TYPES];
static struct joint_types joint_types;
static struct partition_state owned;
static struct arena arena;

static void check(enum status status, const char *doing)
{
    if (status != STATUS_OK)
        test_fail("%s: %s", doing, joint_case_err.text);
}

static void make_types(void)
{
    joint_types = (struct joint_types){.mappings = mappings, .record_bytes = MESSAGE_BYTES};
    for (size_t i = 0; i < TYPES; i++) {
        char *name = (char *)(uintptr_t)types[i].name;
        test_write_file(test_path("%s.schema.json", name),
                        shop_schema(types[i].keys, types[i].columns));
        check(entity_schema_new(test_directory(), name, &schemas[i], &joint_case_err), name);
        entries[i] = (struct config_entry){.entity_type = name,
                                           .table = name,
                                           .topic = name,
                                           .partitions = 1,
                                           .is_joint = types[i].is_joint};
        if (types[i].is_joint)
            mappings[joint_types.count++] = (struct mapping){
                .schema = schemas[i], .entry = &entries[i], .published_here = true};
    }
}

void joint_case_init(void)
{
    struct init_options init = {.out = fopen(test_path("init.txt"), "w")};
    check(
        init_service(&config, (const struct entity_schema *const *)schemas, &init, &joint_case_err),
        "init");
    (void)fclose(init.out);
}

const char *joint_case_print(void)
{
    struct init_options init = {.out = fopen(test_path("print.sql"), "w"), .print_sql = true};
    check(
        init_service(&config, (const struct entity_schema *const *)schemas, &init, &joint_case_err),
        "print");
    (void)fclose(init.out);
    return test_read_file(test_path("print.sql"));
}

size_t joint_case_watch(void)
{
    struct capture_finding findings[TYPES];
    return capture_compare(&config, (const struct entity_schema *const *)schemas, NULL, NULL,
                           findings);
}

const char *joint_case_look(void)
{
    const struct origin_ops *ops = origin_find(joint_case_url);
    struct origin *origin = NULL;
    struct origin_look look;
    check(ops->open(&config, ORIGIN_WATCH, &origin, &joint_case_err), "watch");
    check(ops->look(origin, &look, &joint_case_err), "look");
    ops->close(origin);
    return test_format("%s%s", look.joint_unfit, look.impatient);
}

enum status joint_case_init_in(const char *url)
{
    struct config other = config;
    struct init_options init = {.out = fopen(test_path("other.txt"), "w")};
    other.database = other.database_path = (char *)(uintptr_t)url;
    error_clear(&joint_case_err);
    enum status status = init_service(&other, (const struct entity_schema *const *)schemas, &init,
                                      &joint_case_err);
    (void)fclose(init.out);
    return status;
}

static void install(const char *path)
{
    struct store *store = NULL;
    struct store_options options = {.path = path, .service = "shop", .install = true};
    config = (struct config){
        .path = (char *)"shop.yaml",
        .service = (char *)"shop",
        .database = (char *)(uintptr_t)joint_case_url,
        .database_path = (char *)(uintptr_t)path,
        .joint_topic = (char *)TOPIC,
        .instance = (char *)"1",
        .publish = entries,
        .publish_count = TYPES,
        .limits = {.message_bytes = MESSAGE_BYTES, .outbox_retention_s = 86400}};
    joint_case_init();
    const struct store_ops *ops = store_find(joint_case_url);
    check(ops->open(&options, &store, &joint_case_err), "install");
    ops->close(store);
}

static const char *service_path(void)
{
    bool is_file = database_case_kind == DATABASE_SQLITE;
    return is_file ? joint_case_url + strlen("sqlite:") : joint_case_url;
}

void joint_case_init_without(const char *type)
{
    for (size_t i = 0; i < TYPES; i++)
        entries[i].is_joint = types[i].is_joint && strcmp(types[i].name, type) != 0;
    install(service_path());
}

void joint_case_grant(void)
{
    const struct copies none = {.roles_alone = true};
    const struct store_ops *ops = store_find(joint_case_url);
    struct buffer grants;
    buffer_init(&grants, GRANTS_SIZE);
    check(
        init_roles(&config, (const struct entity_schema *const *)schemas, &grants, &joint_case_err),
        "roles");
    check(ops->copy_sql(&none, &grants, &joint_case_err), "roles");
    (void)joint_case_text(buffer_text(&grants));
    (void)joint_case_text(AUDIT_GRANT);
    buffer_done(&grants);
}

/* @return how the agent opens the store: on a server with no other rights than those of its role.
 */
static const char *agent_path(void)
{
    if (database_case_kind == DATABASE_SQLITE)
        return service_path();
    return roles_login(joint_case_url, "joint_agent", "keepstep_agent");
}

bool joint_case_has(enum database_kind kind)
{
    return joint_store_case(kind) != NULL;
}

static void open_store(const char *path)
{
    const struct store_options options = {.path = path, .service = "shop"};
    const struct store_ops *ops = store_find(joint_case_url);
    joint_case_ops = ops->joint;
    check(ops->open(&options, &joint_case_store, &joint_case_err), "open");
    owned = (struct partition_state){.topic = TOPIC,
                                     .next_offset = 5,
                                     .token = "t1",
                                     .cluster_id = "cluster",
                                     .partition_count = 1};
    check(ops->take(joint_case_store, &owned, &joint_case_err), "take");
    check(joint_case_ops->prepare(joint_case_store, &joint_types, &joint_case_err), "prepare");
}

void joint_case_open_again(void)
{
    joint_case_store->ops->close(joint_case_store);
    partition_state_done(&owned);
    open_store(agent_path());
}

void joint_case_begin_test(void)
{
    joint_case_url = database_make(database_case_kind, "shop");
    error_clear(&joint_case_err);
    arena_init(&arena, ARENA_SIZE);
    make_types();
    joint_case_texts = joint_store_case(database_case_kind);
    (void)joint_case_text(joint_case_texts->tables);
    install(service_path());
    if (database_case_kind != DATABASE_SQLITE)
        joint_case_grant();
    open_store(agent_path());
    joint_case_fill();
}

void joint_case_done(void)
{
    joint_case_store->ops->close(joint_case_store);
    partition_state_done(&owned);
    for (size_t i = 0; i < TYPES; i++)
        entity_schema_free(schemas[i]);
    arena_done(&arena);
}

const char *joint_case_text(const char *sql)
{
    const char *rows = database_text(joint_case_url, sql);
    return database_case_kind == DATABASE_MARIADB ? store_case_trim(rows) : rows;
}

void joint_case_trigger(const char *name, const char *when, const char *table, const char *body)
{
    (void)joint_case_text(joint_case_texts->trigger(name, when, table, body));
}

void joint_case_drop_trigger(const char *name, const char *table)
{
    (void)joint_case_text(joint_case_texts->drop_trigger(name, table));
}

void joint_case_fill(void)
{
    (void)joint_case_text("DELETE FROM keepstep_reserved; DELETE FROM stock; DELETE FROM movement");
    (void)joint_case_text(joint_case_texts->row);
    (void)joint_case_text("DELETE FROM outbox");
}

void joint_case_assert_no(enum status status, const char *what, const char *of)
{
    if (status != STATUS_REJECT || strcasestr(joint_case_err.text, what) == NULL)
        test_fail("%s: %s: %s", of, status_name(status), joint_case_err.text);
}

void joint_case_assert_yes(enum status status, const char *of)
{
    if (status != STATUS_OK)
        test_fail("%s: %s: %s", of, status_name(status), joint_case_err.text);
}

static const char *refusal(const char *sql)
{
    struct session *session = session_open(joint_case_url);
    const char *error = session_try(session, sql, NULL);
    session_close(session);
    return error;
}

void joint_case_assert_refused(const char *sql)
{
    const char *error = refusal(sql);
    if (error == NULL || strstr(error, "reserved by a joint transaction") == NULL)
        test_fail("%s: %s", sql, error == NULL ? "was not refused" : error);
}

void joint_case_assert_taken(const char *sql)
{
    const char *error = refusal(sql);
    if (error != NULL)
        test_fail("%s: %s", sql, error);
}

void joint_case_begin(void)
{
    const struct fence fence = {.topic = TOPIC,
                                .old_offset = owned.next_offset,
                                .new_offset = owned.next_offset,
                                .epoch = owned.epoch,
                                .revision = owned.revision,
                                .anchor_offset = -1};
    error_clear(&joint_case_err);
    check(joint_case_store->ops->begin(joint_case_store, &fence, 1, &joint_case_err), "begin");
}

void joint_case_commit(void)
{
    struct error err = ERROR_INIT; /* what a slot has refused is still to be read */
    if (joint_case_store->ops->commit(joint_case_store, false, &err) != STATUS_OK)
        test_fail("commit: %s", err.text);
}

struct joint_part joint_case_part(const char *id, int64_t offset, const char *changes)
{
    struct joint_proposal proposal;
    struct error err = ERROR_INIT;
    if (joint_changes_read(slice_of(changes), &arena, &proposal, &err) != STATUS_OK)
        test_fail("%s: %s", changes, err.text);
    return (struct joint_part){.name = {slice_of("web"), slice_of(id)},
                               .proposal_offset = offset,
                               .changes = proposal.changes,
                               .change_count = proposal.change_count};
}

static enum status end(enum status status)
{
    if (status == STATUS_OK || status == STATUS_REJECT)
        joint_case_commit();
    else
        joint_case_store->ops->rollback(joint_case_store);
    return status;
}

enum status joint_case_attempt(const char *id, int64_t offset, const char *changes)
{
    const struct joint_part part = joint_case_part(id, offset, changes);
    joint_case_begin();
    return end(joint_case_ops->attempt(joint_case_store, &part, &joint_case_err));
}

enum status joint_case_settle(const char *id, const char *changes, bool committed)
{
    struct joint_part part = joint_case_part(id, 0, changes);
    part.committed = committed;
    joint_case_begin();
    return end(joint_case_ops->settle(joint_case_store, &part, &joint_case_err));
}
