/* The table of plain options. Defaults, environment and documentation come from it. */
#include "schemas/config/internal.h"

#include <ctype.h>

const struct config_option config_options[] = {
    {"service", NULL, false, "Name of this service. Its events carry it as `ce_source`. Required."},
    {"database", NULL, false,
     "The service's own database: `sqlite:FILE`, "
     "`postgresql://USER@HOST:PORT/DATABASE?OPTION=VALUE` "
     "or `mysql://USER@HOST:PORT/DATABASE?OPTION=VALUE`. Required."},
    {"topic_prefix", "", false, "What a topic's name begins with, before the entity type."},
    {"control_topic", "`topic_prefix` + `keepstep`", false,
     "Topic in which sidecars tell each other how far their copies are (`keepstep copies`); "
     "empty: they do not. A sidecar makes it."},
    {"transactions", "single", false,
     "`whole`: peers show this service's transactions whole and in order. All published types then "
     "share one topic, by default `topic_prefix` + `service`, of one partition unless every entry "
     "has a `partition_key`; and none of them is applied here. `single`: each change for itself. "
     "After a change run `keepstep init`."},
    {"schemas", "schemas", false,
     "Folder with one `<entity type>.schema.json` for each entity type."},
    {"instance", "1", false,
     "Name of this agent or relay. Agents of one copy, and relays of one outbox, need different "
     "names."},
    {"listen", "127.0.0.1:9464", false,
     "Address of the page, its API, and the metrics and health pages; empty: no HTTP."},
    {"listen_hosts", "", false,
     "More host names by which a browser may ask for the page and its API, separated by commas. "
     "IP addresses and `localhost` need none."},
    {"listen_token_file", "", false,
     "File with the token that lets the page retry and skip parked records; other users must not "
     "be able to read it. Empty: the page changes nothing."},
    {"listen_token", "", false,
     "That token itself. It is a secret, so only the environment may hold it."},
    {"log.level", "info", false,
     "Lowest level that is written: `debug`, `info`, `warning` or `error`."},
    {"log.format", "auto", false, "`auto` (logfmt on a terminal, else JSON), `logfmt` or `json`."},
    {"topics.replication_factor", "0", true,
     "Replicas of the topics that Keepstep makes; 0: as the brokers have it by default."},
    {"topics.min_insync_replicas", "0", true,
     "How many replicas must have a record before it counts as written (`min.insync.replicas`); 0: "
     "as the brokers have it by default."},
    {"topics.retention_s", "0", true, "How long data topics keep their records; 0: for ever."},
    {"topics.retention_bytes", "0", true,
     "How many bytes of records a partition of a data topic keeps; 0: all."},
    {"verify.every_s", "0", true,
     "How often the sidecar compares its entity types with all other services' copies; 0: not by "
     "itself."},
    {"limits.batch_events", "2500", true, "Most events that one transaction of the agent applies."},
    {"limits.batch_bytes", "4194304", true, "Most bytes of those events."},
    {"limits.batch_time_ms", "10 or 50", true,
     "Longest transaction of the agent where the database has an outbox too. Default: 10 on "
     "SQLite, 50 on a server."},
    {"limits.message_bytes", "1000000", true, "Largest record, uncompressed."},
    {"limits.parked_entities", "1000", true, "A partition with more parked entities pauses."},
    {"limits.parked_records", "10000", true, "A partition with more parked records pauses."},
    {"limits.parked_bytes", "268435456", true,
     "A partition whose parked records have more bytes, with keys and headers, pauses."},
    {"limits.parked_skipped_retention_s", "2592000", true,
     "How long a skipped record stays as evidence; 0: for ever."},
    {"limits.outbox_retention_s", "86400", true, "How long acknowledged outbox rows stay."},
    {"limits.idempotency_window_s", "0", true,
     "How long single idempotency keys stay: at least as long as their topics' retention; 0: for "
     "ever."},
    {"limits.open_entities", "50000", true,
     "Most entities that `keepstep verify` leaves out because they are changing or parked at one "
     "copy; with more, the copy is not compared."},
    {"limits.behind_records", "100000", true,
     "Most records that a copy may be behind; with more, `keepstep verify` does not compare it."},
    {"limits.scan_time_s", "600", true,
     "Longest reading of one table by `keepstep verify`; with more, it gives the table up."},
    {"limits.scan_rows_s", "0", true,
     "Most rows a second that are read of a table of this service, to compare, repair or fill a "
     "copy; 0: as fast as it goes. What `limits.scan_time_s` allows must suffice for all rows."},
    {"limits.snapshots", "4", true,
     "Most snapshots that the sidecar keeps open for other services, which compare their rows with "
     "this one's; 0: it answers no questions."},
    {"limits.changeset_events", "20000", true,
     "Most changes of a transaction that the relay claims at once under `transactions: whole`; a "
     "larger one is published in parts, or cut where nothing tells it from others. At a peer: the "
     "largest one that is kept in memory, and parked if it is refused."},
    {"limits.changeset_bytes", "8388608", true, "Most bytes of those changes."},
    {"limits.joint_open", "1000", true,
     "Most joint transactions that are undecided at a time; with more, it votes no."},
    {"limits.joint_retention_s", "604800", true,
     "How long the changes and votes of decided joint transactions stay; their names and outcomes "
     "stay for ever."},
};
const size_t config_option_count = sizeof config_options / sizeof *config_options;

const char *config_option_key(size_t index)
{
    return index < config_option_count ? config_options[index].key : NULL;
}

static void config_describe_option(struct buffer *out, const struct config_option *option)
{
    const char *default_text = option->default_text == NULL    ? "-"
                               : *option->default_text == '\0' ? "(empty)"
                                                               : option->default_text;
    buffer_append_format(out, "| `%s` | `KEEPSTEP_", option->key);
    for (const char *c = option->key; *c != '\0'; c++) {
        char upper = *c == '.' ? '_' : (char)toupper((unsigned char)*c);
        buffer_append(out, &upper, 1);
    }
    buffer_append_format(out, "` | %s | %s | %s |\n", option->is_integer ? "integer" : "text",
                         default_text, option->description);
}

static void config_describe_roles(struct buffer *out)
{
    buffer_append_text(
        out,
        "## roles\n\n"
        "`keepstep init` runs as the owner of the tables. The sidecar needs fewer rights: "
        "`keepstep init\n--print-roles` prints roles with their grants. (`--print-sql` prints "
        "all that `init` makes, and these at its end.)\n\n"
        "| role | may |\n"
        "| --- | --- |\n"
        "| `keepstep_run` | `run` and the commands `status`, `parked`, `outbox`, `lag`, `verify` "
        "|\n"
        "| `keepstep_relay`, `keepstep_agent` | the relay alone, the agent alone |\n"
        "| `keepstep_lag` | `lag` and `status`; it reads no row of the service |\n"
        "| `keepstep_reader` | `keepstep_ticket()`, `keepstep_token()`, `keepstep_applied()`: the "
        "service's own logins, which wait for what they wrote |\n\n"
        "To compare copies, `keepstep_relay` may also read the published columns of the tables "
        "whose types the\nservice does not apply; no role may read the others. Where a table has "
        "row security, the login that\ncompares needs `BYPASSRLS`, which is no right of a "
        "role. A type that the service both publishes\nand applies is compared with the rights of "
        "`keepstep_run`.\n\n"
        "After `init`, and again after each new table, an administrator who may make roles runs "
        "the SQL of\n`--print-roles` by `psql` or `mariadb`. It may be run again and again. It "
        "fails where a table `outbox` is not\nKeepstep's. `keepstep doctor` names each right that "
        "a login lacks. Then, once for each login:\n\n"
        "```sql\n"
        "GRANT keepstep_run TO shop_sidecar;                -- PostgreSQL\n"
        "GRANT keepstep_run TO shop_sidecar;                -- MariaDB: both lines\n"
        "SET DEFAULT ROLE keepstep_run FOR shop_sidecar;\n"
        "```\n\n"
        "Roles belong to the server: a login has the role's rights in each of its databases that "
        "was\nprepared this way. In MariaDB the triggers run with the rights of the account "
        "that ran the\nstatements of `--print-sql` last: let that be the tables' owner, not an "
        "administrator. In "
        "PostgreSQL they run with the\nrights of the table's owner. Whoever runs `init` must "
        "be that owner, a member of it, or a\nsuperuser. After `ALTER TABLE ... OWNER TO` "
        "writes fail until `keepstep init` has run again. In\nboth databases nobody else may "
        "create objects in the outbox's schema.\n\n");
}

static void config_describe_entries(struct buffer *out)
{
    buffer_append_text(
        out,
        "## publish and apply\n\n"
        "Each of the two maps entity types to entries. An entry may be empty.\n\n"
        "| key | default | meaning |\n"
        "| --- | --- | --- |\n"
        "| `table` | - | Table in the database; in PostgreSQL also `schema.table`. |\n"
        "| `topic` | `topic_prefix` + entity type | Kafka topic. Of a published type under "
        "`transactions: whole`: `topic_prefix` + `service`, the same for all. |\n"
        "| `partitions` | 6, under `whole` 1 | Partitions of a topic that the relay creates. |\n"
        "| `partition_key` | the entity key | Column whose value is the record key; an update "
        "that changes it is refused, unless it is part of the primary key. |\n"
        "| `columns` | same names | The renamed columns: the schema's name to the table's name. |\n"
        "| `start` | - | `earliest` or `latest`: where to start while there is no position. |\n"
        "| `fill` | auto | Whether a copy without a position is filled with the rows of another: "
        "`auto` (where the log has lost its beginning), `always` or `never`. |\n"
        "| `fill_from` | whoever suits best | The service whose rows are taken. |\n"
        "| `joint` | - | Of a published type: the services that may propose joint transactions "
        "with its entities, such as `[web, billing]`; this service itself always may. |\n"
        "| `before` | false | Publish the old row too. |\n"
        "| `foreign` | false | Another program writes this topic. |\n"
        "| `format` | keepstep | Form of a foreign topic's records: `debezium`, `cloudevents` "
        "(structured mode) or `json` (the row alone). |\n"
        "| `binary` | - | Debezium's `binary.handling.mode` where it is not `bytes`: `base64` "
        "(also "
        "for URLs) or `hex`. |\n\n"
        "## ignore\n\nA list of entity types whose events are read and not applied.\n");
}

void config_describe(struct buffer *out)
{
    buffer_append_text(
        out,
        "# Configuration\n\n"
        "<!-- Written by config_describe(); change schemas/config/options.c instead. -->\n\n"
        "Each service has one YAML file. Flags win over the environment, the environment over the\n"
        "file, the file over the default. Paths are relative to the file. A variable "
        "`KEEPSTEP_…`\nthat names no key is a warning, and `keepstep config check` fails on "
        "it. What Kubernetes sets for\na Service called `keepstep` "
        "(`KEEPSTEP_SERVICE_HOST`, `KEEPSTEP_PORT` …) is ignored.\n\n"
        "| key | environment | type | default | meaning |\n"
        "| --- | --- | --- | --- | --- |\n");
    for (size_t i = 0; i < config_option_count; i++)
        config_describe_option(out, &config_options[i]);
    buffer_append_text(
        out,
        "\n`database_file`, and any `kafka:` property with `_file` at the end of its name\n"
        "(`sasl.password_file`), name a file that holds the value.\n\n"
        "## database\n\n"
        "| database | options in its URL |\n"
        "| --- | --- |\n"
        "| `postgresql:` | all of libpq: `sslmode`, `sslrootcert`, `sslcert`, `sslkey`, "
        "`passfile`, `service` … |\n"
        "| `mysql:` (MariaDB) | `socket`, `option-file`, `ssl-ca`, `ssl-cert`, `ssl-key`, "
        "`ssl-verify` (`on` unless `off`); any `ssl-` option makes TLS required |\n\n"
        "A password belongs in the client's own file (`~/.pgpass` or `PGPASSFILE`; `my.cnf` "
        "or the\n`option-file`, groups `[client]` and `[keepstep]`), in the environment "
        "(`PGPASSWORD`,\n`MYSQL_PWD`, or within `KEEPSTEP_DATABASE`), or in the file that "
        "`database_file` names. In\nthis file and on a command line it is refused. It is never "
        "printed. Within a URL it is\npercent-encoded: `%40` for @, `%3A` for :, `%2F` "
        "for /, `%3F` for ?, `%23` for #, `%25` for %.\nA URL that can be read in two ways is "
        "refused. Of a URL, only parts that are known not to be secret are shown.\n\n");
    config_describe_roles(out);
    buffer_append_text(
        out,
        "## kafka\n\n"
        "librdkafka properties; `KEEPSTEP_KAFKA_BOOTSTRAP_SERVERS` sets `bootstrap.servers`. "
        "A property that would\nbreak a rule is refused, also by `keepstep config check`. So is "
        "a property that is not listed here.\nA secret (`sasl.password`, `ssl.key.password`, "
        "`sasl.oauthbearer.config` …) is refused on a command\nline, because a list of "
        "processes would show it. Name its file with `_file`.\n\n");
    config_kafka_describe(out);
    buffer_append_text(out, "\n");
    config_describe_entries(out);
}
