#!/usr/bin/env bash
# Runs a real Apache Kafka of one node on loopback. Maven fetches it. Its data is in a directory.
#
#   kafka.sh fetch            fetch the jars into the cache, once; print their directory
#   kafka.sh run DIR PORT     run in the foreground (the process itself becomes Java)
#   kafka.sh start DIR PORT   run in the background and wait until it listens
#   kafka.sh stop DIR         end it cleanly; the data stays
#   kafka.sh kill DIR         end it by SIGKILL; the data stays
#   kafka.sh join DIR PORT CONTROLLER NODE
#                             run a further broker of a cluster whose controller has that port
#   kafka.sh admin CLASS ...  run a tool: topics, configs, groups, acls
#
# TEST_KAFKA_CONTROLLER   the port of a new node's controller; otherwise one on which nobody listens
# KAFKA_JVM=own   run the broker with the flags of Kafka's own kafka-server-start.sh. Without it the
#                 flags are for tests: a small heap, a start within seconds.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
die() {
    echo "kafka.sh: $*" >&2
    exit "${die_code:-69}"
}

. "$here/../maven.sh"
libs=$(maven_libs kafka "$here/pom.xml")

# What each new broker would take seconds to make is made once, beside the jars: a formatted directory,
# and an archive of the classes that Java loads. Another Java gets its own.
prepared=$libs.prepared-$(stat -L -c %Y "$(command -v java)" 2>/dev/null || true)

fetch() {
    maven_fetch "$libs" "$here/pom.xml"
    [ -e "$prepared" ] || prepare
}

java_options=(-Xmx384m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Xshare:auto
    -Djava.awt.headless=true "-Dlog4j2.configurationFile=file:$here/log4j2.xml")
own_options=(-Xmx1G -Xms1G -server -XX:+UseG1GC -XX:MaxGCPauseMillis=20
    -XX:InitiatingHeapOccupancyPercent=35 -XX:+ExplicitGCInvokesConcurrent
    -Djava.awt.headless=true "-Dlog4j2.configurationFile=file:$here/log4j2.xml")
[[ ${KAFKA_JVM:-} == ?(own) ]] || die "KAFKA_JVM=$KAFKA_JVM: must be own or empty"

free_port() {
    local port
    while :; do
        port=$((20000 + RANDOM % 10000))
        (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || break
    done
    echo "$port"
}

configure() { # DIR PORT [CONTROLLER NODE]
    local controller=${3:-} node=${4:-1} roles=broker,controller listeners=PLAINTEXT://127.0.0.1:$2
    mkdir -p "$1"
    [ -n "$controller" ] || controller=$(sed -n 's/^controller.quorum.voters=.*://p' "$1/server.properties" 2>/dev/null || true)
    [ -n "$controller" ] || controller=${TEST_KAFKA_CONTROLLER:-$(free_port)}
    if [ "$node" -eq 1 ]; then
        listeners+=,CONTROLLER://127.0.0.1:$controller
    else
        roles=broker
    fi
    cat >"$1/server.properties" <<END
process.roles=$roles
node.id=$node
controller.quorum.voters=1@127.0.0.1:$controller
controller.listener.names=CONTROLLER
listeners=$listeners
advertised.listeners=PLAINTEXT://127.0.0.1:$2
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs=$1/data
num.partitions=1
num.io.threads=2
num.network.threads=2
log.cleaner.dedupe.buffer.size=16777216
offsets.topic.num.partitions=4
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
min.insync.replicas=1
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
auto.create.topics.enable=false
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
${TEST_KAFKA_CONFIG:-}
END
}

# Formats the directory of a new broker: a copy of the prepared one under names of its own.
format() { # DIR [NODE]
    local id
    [ -e "$1/data/meta.properties" ] && return
    id=$(head -c 16 /dev/urandom | base64 | tr '+/' '-_' | tr -d '=')
    cp -r "$prepared/data" "$1/data.new"
    sed -i -e "s/^node.id=.*/node.id=${2:-1}/" -e "s/^directory.id=.*/directory.id=$id/" \
        "$1/data.new/meta.properties"
    rm -rf "$1/data"
    mv "$1/data.new" "$1/data"
}

# Java writes the archive when it ends. A Java that cannot do so leaves none, and starts slowly.
prepare() {
    local work=$prepared.new process
    local die_code=70 # the jars are there: what fails now is no reason to skip a test
    exec 9>"$prepared.lock"
    flock 9
    if [ -e "$prepared" ]; then
        exec 9>&-
        return
    fi
    rm -rf "$work"
    configure "$work" "$(free_port)"
    # The id is fixed: making a random one would need another start of Java.
    java "${java_options[@]}" -cp "$libs/*" kafka.tools.StorageTool format \
        -t a2VlcHN0ZXAtdGVzdHMtMQ -c "$work/server.properties" >"$work/kafka.log" 2>&1 ||
        die "format failed: $(tail -n 3 "$work/kafka.log")"
    cp -r "$work/data" "$work/formatted"
    java "${java_options[@]}" "-XX:ArchiveClassesAtExit=$work/classes.jsa" -cp "$libs/*" \
        kafka.Kafka "$work/server.properties" >>"$work/kafka.log" 2>&1 9>&- &
    process=$!
    trap "kill -KILL $process 2>/dev/null" EXIT # where it does not start
    await_start "$work" "$process"
    kill -TERM "$process"
    wait "$process" || true
    trap - EXIT
    rm -rf "$work/data"
    mv "$work/formatted" "$work/data"
    mv "$work" "$prepared"
    exec 9>&-
}

# Makes Java start from the archive, if there is one.
use_archive() {
    [ ! -e "$prepared/classes.jsa" ] || java_options+=("-XX:SharedArchiveFile=$prepared/classes.jsa")
}

run() { # DIR PORT [CONTROLLER NODE]
    local -a options
    fetch
    use_archive
    configure "$@"
    format "$1" "${4:-1}"
    options=("${java_options[@]}")
    [ "${KAFKA_JVM:-}" != own ] || options=("${own_options[@]}")
    echo $$ >"$1/pid"
    exec java "${options[@]}" -Djava.io.tmpdir="$1" -cp "$libs/*" kafka.Kafka "$1/server.properties"
}

await_start() { # DIR PROCESS
    for _ in $(seq 600); do
        kill -0 "$2" 2>/dev/null || die "Kafka ended: $(tail -n 5 "$1/kafka.log")"
        grep -q 'Kafka Server started' "$1/kafka.log" && return
        sleep 0.1
    done
    die "Kafka did not answer within 60 s: $(tail -n 5 "$1/kafka.log")"
}

start() { # DIR PORT
    fetch
    mkdir -p "$1"
    setsid "${BASH_SOURCE[0]}" run "$1" "$2" >>"$1/kafka.log" 2>&1 </dev/null &
    await_start "$1" $!
}

finish() { # DIR SIGNAL
    local process
    process=$(cat "$1/pid" 2>/dev/null) || return 0
    kill "-$2" "$process" 2>/dev/null || true
    for _ in $(seq 300); do
        kill -0 "$process" 2>/dev/null || break
        sleep 0.1
    done
    kill -KILL "$process" 2>/dev/null || true
    rm -f "$1/pid"
    # The next start must not find the old "started" line.
    [ ! -e "$1/kafka.log" ] || mv "$1/kafka.log" "$1/kafka.log.before"
}

admin() {
    fetch
    use_archive
    local class=$1
    shift
    case $class in
    topics) class=org.apache.kafka.tools.TopicCommand ;;
    configs) class=kafka.admin.ConfigCommand ;;
    groups) class=org.apache.kafka.tools.consumer.group.ConsumerGroupCommand ;;
    acls) class=org.apache.kafka.tools.AclCommand ;;
    esac
    exec java "${java_options[@]}" -cp "$libs/*" "$class" "$@"
}

case ${1:-} in
fetch) fetch && echo "$libs" ;;
run | start | admin) "$@" ;;
join) run "${@:2}" ;;
stop) finish "$2" TERM ;;
kill) finish "$2" KILL ;;
*) die "usage: kafka.sh fetch | run DIR PORT | start DIR PORT | stop DIR | kill DIR | admin ..." ;;
esac
