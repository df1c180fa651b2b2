#!/usr/bin/env bash
# What the benchmark scripts share: a broker, databases, services of Keepstep, and how they end. It is
# sourced from the repository's root. A script calls begin(), then start_kafka(); what it starts ends
# with it.
#
# Variables of the script: keepstep (the program), kind (sqlite, postgresql or mariadb), events (rows
# that make_rows_KIND writes), prefix (of topics), out (folder of results), parts (what is
# measured).
# shellcheck disable=SC2034 # other scripts use what is set here

bin=$PWD/build/bench # programs and results
kafka_script=$PWD/tests/support/kafka/kafka.sh
keepstep=$(realpath -m "${KEEPSTEP_BINARY:-build/release/keepstep}")
export -n KEEPSTEP_BINARY # the program would warn of it
published="SELECT sum(acknowledged_sequence) FROM keepstep_relay_partition"
applied="SELECT sum(next_offset) FROM keepstep_position"
events=${events:-${BENCH_EVENTS:-300000}}
limit=600 # seconds for one backlog
# shellcheck source=bench/noise.sh
. bench/noise.sh

die() { # EXIT_CODE TEXT
    echo "bench: $2" >&2
    exit "$1"
}

work=
kind=
prefix=
out=
servers=()
started=()
begin() {
    [ -x "$keepstep" ] || die 66 "$keepstep does not exist: run ./run build"
    work=$(mktemp -d "${TMPDIR:-/tmp}/keepstep-bench-XXXXXX")
    mkdir -p "$bin"
    trap clean_up EXIT
    trap 'exit 130' INT TERM
}

clean_up() {
    local process
    for process in ${started[@]+"${started[@]}"}; do
        kill "$process" 2>/dev/null || true
    done
    wait
    [ -n "$work" ] || return 0
    stop_server
    "$kafka_script" stop "$work/kafka" >/dev/null 2>&1 || true
    if [ -n "${BENCH_KEEP:-}" ]; then
        echo "bench: all files are in $work" >&2
    else
        rm -rf "$work"
    fi
}

# kinds_of WORD: checks that the clients of a database, or of all of them, are there; prints its kinds.
kinds_of() {
    local word kinds=$1 client
    [ "$kinds" != all ] || kinds="sqlite postgresql mariadb"
    for word in $kinds; do
        case $word in
        sqlite) client=sqlite3 ;;
        postgresql) client=psql ;;
        mariadb) client=mariadb ;;
        *) die 64 "$word: must be sqlite, postgresql, mariadb or all" ;;
        esac
        command -v "$client" >/dev/null || die 69 "the program $client is missing"
    done
    echo "$kinds"
}

compile() { # PROGRAM...: without Keepstep's own code
    local flags name
    flags="$(pkg-config --cflags --libs sqlite3 libpq libmariadb rdkafka) -lpthread"
    for name in "$@"; do
        # shellcheck disable=SC2086 # flags are words
        gcc -std=c17 -D_GNU_SOURCE -O2 -Wall -Wextra -Wconversion -Wshadow -Werror -Ibench \
            -o "$bin/$name" "bench/$name.c" bench/bench.c bench/database.c \
            bench/database_statement.c bench/kafka.c $flags
    done
}

compile_store_apply() { # BUILD_FOLDER
    local flags
    flags="$(pkg-config --cflags --libs libpq sqlite3 jansson rdkafka libmariadb yaml-0.1 \
        libpcre2-8 libxxhash) -lpthread"
    # shellcheck disable=SC2086 # flags are words
    gcc -std=c17 -D_GNU_SOURCE -O2 -Wall -Wextra -Wconversion -Wshadow -Werror -Ibench -I. \
        -o "$bin/store_apply" bench/store_apply.c bench/bench.c "$1/libkeepstep_consumer.a" \
        "$1/libkeepstep_schemas.a" "$1/libkeepstep_common.a" $flags
}

measures() { # PART: is it one of the script's $parts?
    [[ " $parts " == *" $1 "* ]]
}

free_port() { # below those that the kernel gives to clients
    local port
    while :; do
        port=$((20000 + RANDOM % 10000))
        (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || break
    done
    echo "$port"
}

# The broker runs as its own start script would run it: the flags of the tests are for small machines.
start_kafka() {
    local port
    port=$(free_port)
    KAFKA_JVM=own "$kafka_script" start "$work/kafka" "$port" || die 69 "Kafka cannot be started"
    bootstrap=127.0.0.1:$port
    own_processes+=("$(cat "$work/kafka/pid")")
}

# Lets the broker compile its code before anything is measured. It needs the program bare_latency.
warm_kafka() {
    make_topic warm
    "$bin/bare_latency" "$bootstrap" - warm 2000 10 >"$work/warm.json" ||
        die 70 "the broker cannot be warmed"
}

make_topic() { # TOPIC
    "$kafka_script" admin topics --bootstrap-server "$bootstrap" --create --topic "$1" \
        --partitions 6 --config message.timestamp.type=LogAppendTime >"$work/topic.log" 2>&1 ||
        die 70 "the topic cannot be made: $(tail -n 3 "$work/topic.log")"
}

delete_topics() { # REGULAR_EXPRESSION
    "$kafka_script" admin topics --bootstrap-server "$bootstrap" --delete --topic "$1" \
        >"$work/topic.log" 2>&1 || true # there may be none
}

start_server() { # [PORT]: where it listens on 127.0.0.1 too
    [ "$kind" != sqlite ] || return 0
    servers+=("$kind")
    bench/server.sh start "$kind" "$work/$kind" "${1:-}" ||
        die 69 "the server of $kind cannot be started"
    own_processes+=("$(bench/server.sh pid "$kind" "$work/$kind")")
}

stop_server() { # all that were started
    local server
    for server in ${servers[@]+"${servers[@]}"}; do
        bench/server.sh stop "$server" "$work/$server" || true
    done
    servers=()
}

url() { # SERVICE
    case $kind in
    sqlite) echo "sqlite:$work/$1.db" ;;
    *) bench/server.sh url "$kind" "$work/$kind" "$1" ;;
    esac
}

sql() { # SERVICE SQL
    case $kind in
    sqlite) sqlite3 "$work/$1.db" "$2" ;;
    postgresql) psql -qXtA -v ON_ERROR_STOP=1 -d "$(url "$1")" -c "$2" ;;
    mariadb) mariadb --no-defaults -N -u root -S "$work/mariadb/socket" -e "$2" "$1" ;;
    esac
}

drop_database() { # SERVICE
    case $kind in
    sqlite) rm -f "$work/$1.db" "$work/$1".db-* ;;
    postgresql) sql postgres "DROP DATABASE IF EXISTS $1 WITH (FORCE)" 2>/dev/null ;;
    mariadb) sql mysql "DROP DATABASE IF EXISTS $1" ;;
    esac
}

# settle: lets the server clean up what a backlog has left behind, before a steady rate is measured. The
# server does that by itself within minutes, and would do it amid the measurement.
settle() {
    local service
    case $kind in
    postgresql)
        for service in shop billing; do
            sql "$service" VACUUM
        done
        sql postgres CHECKPOINT
        ;;
    mariadb)
        for _ in {1..60}; do
            [ "$(sql mysql "SELECT count FROM information_schema.innodb_metrics
                WHERE name = 'trx_rseg_history_len'")" -gt 1000 ] || break
            sleep 1
        done
        ;;
    esac
}

empty_database() { # SERVICE
    drop_database "$1"
    case $kind in
    postgresql) sql postgres "CREATE DATABASE $1" ;;
    mariadb) sql mysql "CREATE DATABASE $1" ;;
    esac
}

schema() { # ENTITY_TYPE PROPERTY...: NAME:TYPE, all of them required
    local property properties='' required=''
    for property in "${@:2}"; do
        local name=${property%%:*} type=${property#*:} json=string
        [ "$type" = integer ] && json=integer
        properties+="${properties:+,}\"$name\":{\"type\":\"$json\",\"x-keepstep-type\":\"$type\"}"
        required+="${required:+,}\"$name\""
    done
    cat >"$work/schemas/$1.schema.json" <<END
{"\$schema":"http://json-schema.org/draft-07/schema#","type":"object","x-keepstep-key":["id"],
"properties":{$properties},"required":[$required]}
END
}

configure() { # SERVICE ENTRIES [TYPE TABLE]...: without types, orders and ticks
    [ $# -gt 2 ] || set -- "$@" order orders tick ticks
    cat >"$work/$1.yaml" <<END
service: $1
database: "$(url "$1")"
listen: ""
log: {level: warning, format: logfmt}
kafka: {bootstrap.servers: "$bootstrap"}
topic_prefix: "$prefix."
$2:
END
    printf '  %s: {table: %s}\n' "${@:3}" >>"$work/$1.yaml"
}

# Each event has a value of about 400 bytes; half of it hardly compresses.
make_schemas() {
    mkdir -p "$work/schemas"
    schema order id:integer customer:text state:text total:decimal note:text created_at:date-time
    schema tick id:integer written_us:integer
}

note="' to be left at the door where nobody answers the bell, twice'"
make_rows_sqlite() {
    sql shop "PRAGMA journal_mode=WAL;
CREATE TABLE orders(id INTEGER PRIMARY KEY, customer TEXT NOT NULL, state TEXT NOT NULL,
    total TEXT NOT NULL, note TEXT NOT NULL, created_at TEXT NOT NULL);
CREATE TABLE ticks(id INTEGER PRIMARY KEY, written_us INTEGER NOT NULL);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<$events)
INSERT INTO orders SELECT i, 'customer '||(i%5000), 'open', printf('%d.%02d', i%900, i%100),
    lower(hex(randomblob(85)))||$note,
    '2026-11-23T09:42:00.'||printf('%06d', i%1000000)||'Z' FROM n;"
}

make_rows_postgresql() {
    sql shop "
CREATE TABLE orders(id bigint PRIMARY KEY, customer text NOT NULL, state text NOT NULL,
    total numeric NOT NULL, note text NOT NULL, created_at timestamptz NOT NULL);
CREATE TABLE ticks(id bigint PRIMARY KEY, written_us bigint NOT NULL)"
    insert_rows_postgresql "$events"
}

insert_rows_postgresql() { # LAST: the ids from 1 to it
    sql shop "INSERT INTO orders SELECT i, 'customer '||(i%5000), 'open', i%900 + (i%100)/100.0,
    repeat(md5(i::text), 2)||repeat(md5((-i)::text), 2)||left(md5((i+0.5)::text), 42)||$note,
    timestamptz '2026-11-23 09:42:00+00' + (i%1000000)*interval '1 microsecond'
    FROM generate_series(1, $1) i"
}

make_rows_mariadb() {
    sql shop "
CREATE TABLE orders(id bigint PRIMARY KEY, customer varchar(64) NOT NULL,
    state varchar(20) NOT NULL, total decimal(12,2) NOT NULL, note text NOT NULL,
    created_at datetime(6) NOT NULL) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin;
CREATE TABLE ticks(id bigint PRIMARY KEY, written_us bigint NOT NULL);
INSERT INTO orders SELECT seq, concat('customer ', seq%5000), 'open', seq%900 + (seq%100)/100,
    concat(sha1(seq), sha1(-seq), sha1(seq+0.5), sha1(seq+0.25), left(sha1(seq+0.75), 10), $note),
    timestamp '2026-11-23 09:42:00' + interval seq%1000000 microsecond FROM seq_1_to_$events;"
}

init() { # SERVICE
    "$keepstep" init -c "$work/$1.yaml" >"$work/init-$1.log" 2>&1 ||
        die 70 "init of $1 failed: $(tail -n 3 "$work/init-$1.log")"
}

# Makes the shop with its backlog anew, under topics of its own.
prefixes=0
fresh_shop() {
    prefix=$kind.$((++prefixes))
    empty_database shop
    configure shop publish
    "make_rows_$kind" >/dev/null
    init shop
}

fresh_billing() {
    empty_database billing
    configure billing apply
    init billing
}

timed() { # RESULT SERVICE SQL TARGET
    "$bin/stopwatch" "$(url "$2")" "$3" "$4" "$limit" \
        "$keepstep" run -c "$work/$2.yaml" >"$out/$1.json" 2>"$work/$1.log" ||
        die 70 "$1: $(tail -n 5 "$work/$1.log")"
}

start_sidecar() { # SERVICE: its process becomes the last one in $started
    "$keepstep" run -c "$work/$1.yaml" >"$work/run-$1.log" 2>&1 &
    started+=("$!")
}

stop_sidecars() {
    local process
    for process in ${started[@]+"${started[@]}"}; do
        kill "$process" 2>/dev/null || true
    done
    for process in ${started[@]+"${started[@]}"}; do
        wait "$process" || true
    done
    started=()
}

memory() { # PROCESS FIELD
    awk -v field="$2:" '$1 == field { print $2 }' "/proc/$1/status"
}

cpu_us() { # PROCESS: the CPU time of its living threads
    cat "/proc/$1/task"/*/schedstat 2>/dev/null | awk '{ sum += $1 } END { printf "%d", sum / 1000 }'
}

field() { # RESULT NAME: nothing where that was not measured
    [ ! -e "$out/$1.json" ] || sed -n "s/.*\"$2\": \([0-9.]*\).*/\1/p" "$out/$1.json"
}
