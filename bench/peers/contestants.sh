#!/usr/bin/env bash
# The programs that are compared: how each is configured, started, watched and stopped. peers.sh sources
# this file, after lib.sh.
#
# keepstep        an agent that reads Debezium's records
# keepstep-bare   an agent that reads Debezium's records without their schema, which the sink needs
# keepstep-own    an agent that reads Keepstep's records
# sink-defaults   the JDBC sink with the settings that it must have, and no more
# sink-tuned-N    the JDBC sink with N tasks, set up for a copy as its documentation says: upserts,
#                 deletes, large batches, the reduction buffer, PostgreSQL's arrays, bulk statements of
#                 MariaDB's driver, a topic for dead letters
# shellcheck disable=SC2154,SC2034 # lib.sh and peers.sh set and use variables

contestant=
form= # of the records that the contestant reads, a word of records.h
service= # its name, or the connector's; the consumer group hangs on it
services=0
process=

choose() { # CONTESTANT
    contestant=$1
    case $1 in
    keepstep-own) form=keepstep ;;
    keepstep-bare) form=bare ;;
    *) form=debezium ;;
    esac
}

make_order_schema() {
    mkdir -p "$work/schemas"
    cat >"$work/schemas/order.schema.json" <<'SCHEMA'
{"$schema":"http://json-schema.org/draft-07/schema#","type":"object","x-keepstep-key":["id"],
"properties":{"id":{"type":"integer"},"version":{"type":"integer"},
"customer":{"type":"string"},"state":{"type":"string"},
"total":{"type":"string","x-keepstep-type":"decimal","x-keepstep-precision":12,"x-keepstep-scale":2},
"note":{"type":"string"},"created_at":{"type":"string","x-keepstep-type":"date-time"}},
"required":["id","version","customer","state","total","note","created_at"]}
SCHEMA
}

# let_in PORT: makes the role that contestants come as, and notes where.
let_in() {
    address=127.0.0.1:$1/billing
    case $kind in
    postgresql) role=postgres ;;
    mariadb)
        role=peer
        sql mysql "CREATE USER peer@localhost; GRANT ALL ON *.* TO peer@localhost;
CREATE USER peer@127.0.0.1; GRANT ALL ON *.* TO peer@127.0.0.1"
        ;;
    esac
}

configure_keepstep() { # TOPIC
    local scheme=$kind format=
    [ "$kind" != mariadb ] || scheme=mysql
    [ "$form" = keepstep ] || format=", format: debezium"
    cat >"$work/$contestant.yaml" <<YAML
service: $service
database: "$scheme://$role@$address"
listen: ""
log: {level: warning, format: logfmt}
kafka: {bootstrap.servers: "$bootstrap"}
apply:
  order: {table: orders, topic: $1, partitions: 6$format}
YAML
}

tuning() { # what a tuned sink has beyond its defaults
    cat <<PROPERTIES
insert.mode=upsert
primary.key.mode=record_key
delete.enabled=true
batch.size=5000
consumer.override.max.poll.records=5000
use.reduction.buffer=true
errors.tolerance=all
errors.deadletterqueue.topic.name=$service-dead
errors.deadletterqueue.topic.replication.factor=1
errors.deadletterqueue.context.headers.enable=true
PROPERTIES
    [ "$kind" != postgresql ] || echo "dialect.postgres.unnest.insert.enabled=true"
}

configure_sink() { # TOPIC
    local tasks=1 options=
    [[ $contestant != sink-tuned-* ]] || tasks=${contestant##*-}
    [[ $kind-$contestant != mariadb-sink-tuned-* ]] || options="?useBulkStmts=true"
    cat >"$work/worker.properties" <<PROPERTIES
bootstrap.servers=$bootstrap
key.converter=org.apache.kafka.connect.json.JsonConverter
value.converter=org.apache.kafka.connect.json.JsonConverter
offset.storage.file.filename=$work/offsets
plugin.discovery=service_load
listeners=http://127.0.0.1:$rest_port
PROPERTIES
    cat >"$work/connector.properties" <<PROPERTIES
name=$service
connector.class=io.debezium.connector.jdbc.JdbcSinkConnector
topics=$1
tasks.max=$tasks
collection.name.format=orders
connection.url=jdbc:$kind://$address$options
connection.username=$role
connection.password=
PROPERTIES
    [ "$contestant" = sink-defaults ] || tuning >>"$work/connector.properties"
}

# Starts the contestant under a name of its own, so that it reads the topic from the beginning.
start() { # TOPIC
    services=$((services + 1))
    service=peer_$services
    case $contestant in
    keepstep*)
        configure_keepstep "$1"
        init "$contestant"
        ;;
    sink*)
        rest_port=$(free_port)
        configure_sink "$1"
        ;;
    esac
    start_again
}

start_again() {
    case $contestant in
    keepstep*) "$keepstep" run -c "$work/$contestant.yaml" >"$work/$contestant.log" 2>&1 & ;;
    sink*)
        "$sink_script" run "$work/worker.properties" "$work/connector.properties" \
            >"$work/$contestant.log" 2>&1 &
        ;;
    esac
    process=$!
    started=("$process")
}

stop() {
    kill "$process" 2>/dev/null || true
    wait "$process" || true
    started=()
}

# failed: is a task of the sink dead? Only an operator starts it again.
failed() {
    local state
    [[ $contestant == sink* ]] || return 1
    state=$( (
        exec 3<>"/dev/tcp/127.0.0.1/$rest_port"
        printf 'GET /connectors/%s/status HTTP/1.0\r\n\r\n' "$service" >&3
        cat <&3
    ) 2>/dev/null) || return 1
    [[ $state == *'"state":"FAILED"'* ]]
}

# Ends the watcher soon after a task has failed: its number will not move any more.
guard() { # WATCHER
    until failed; do
        sleep 0.5
        kill -0 "$1" 2>/dev/null || return 0
    done
    sleep 1 # other tasks may still write
    kill "$1" 2>/dev/null || true
}

# Waits until the number reaches the target, or stands still, or the sink's task has failed.
watch() { # FILE SQL TARGET [WARM]
    local watcher
    "$bin/peers/watch" "$(url billing)" "$2" "$3" "$still_seconds" "$process" "${4:-0}" >"$1" &
    watcher=$!
    [[ $contestant != sink* ]] || guard "$watcher" &
    wait "$watcher"
}
