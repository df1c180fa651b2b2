#!/usr/bin/env bash
# Measures Keepstep on a real Kafka, and beside it bare loops: C programs that do nothing but the same
# reads and writes.
#
#   bench/run.sh [sqlite|postgresql|mariadb|all]     (after ./run build; "./run bench" does both)
#
# Both services have a database of that kind; without an argument it is SQLite. This run starts a
# server of its own, with its default durability.
#
# BENCH_EVENTS      events in the backlog (300000); use 30000 for a short run
# KEEPSTEP_BINARY   the program (build/release/keepstep)
#
# The rates of Keepstep are measured after the first tenth of the backlog. They leave out its start and
# the joining of the consumer group. "seconds" in the JSON has both.
#
# All of one run is on one machine, so the ratios mean much and the rates little. Results are in
# build/bench/DATABASE/*.json. Nothing passes or fails by its speed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

events=${BENCH_EVENTS:-300000}
keepstep=$(realpath -m "${KEEPSTEP_BINARY:-build/release/keepstep}")
bin=$PWD/build/bench
kafka_script=$PWD/tests/support/kafka/kafka.sh
kinds=${1:-sqlite}
[ "$kinds" != all ] || kinds="sqlite postgresql mariadb"
limit=600             # seconds for one backlog
rate=1000             # events per second while the latency is measured
seconds=20            # how long that takes
published="SELECT sum(acknowledged_sequence) FROM keepstep_relay_partition"
applied="SELECT sum(next_offset) FROM keepstep_position"
[ "$events" -ge 100000 ] || seconds=5

die() { # EXIT_CODE TEXT
    echo "bench: $2" >&2
    exit "$1"
}

work=
started=()
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

compile() {
    local flags name
    flags="$(pkg-config --cflags --libs sqlite3 libpq libmariadb rdkafka) -lpthread"
    mkdir -p "$bin"
    for name in bare_sqlite bare_postgresql bare_mariadb bare_claims bare_producer stopwatch \
        latency; do
        # shellcheck disable=SC2086 # flags are words
        gcc -std=c17 -D_GNU_SOURCE -O2 -Wall -Wextra -Wconversion -Wshadow -Werror -Ibench \
            -o "$bin/$name" "bench/$name.c" bench/bench.c bench/database.c $flags
    done
}

free_port() {
    local port
    while :; do
        port=$((30000 + RANDOM % 10000))
        (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || break
    done
    echo "$port"
}

start_kafka() {
    local port
    port=$(free_port)
    "$kafka_script" start "$work/kafka" "$port" || die 69 "Kafka cannot be started"
    bootstrap=127.0.0.1:$port
}

server=
start_server() {
    [ "$kind" != sqlite ] || return 0
    server=$kind
    bench/server.sh start "$kind" "$work/$kind" || die 69 "the server of $kind cannot be started"
}

stop_server() {
    [ -z "$server" ] || bench/server.sh stop "$server" "$work/$server" || true
    server=
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

configure() { # SERVICE ENTRIES
    cat >"$work/$1.yaml" <<END
service: $1
database: "$(url "$1")"
listen: ""
log: {level: warning, format: logfmt}
kafka: {bootstrap.servers: "$bootstrap"}
topic_prefix: "$kind."
$2:
  order: {table: orders}
  tick: {table: ticks}
END
}

# Each event has a value of about 400 bytes; half of it hardly compresses.
make_backlog() {
    mkdir -p "$work/schemas"
    schema order id:integer customer:text state:text total:decimal note:text created_at:date-time
    schema tick id:integer written_us:integer
    configure shop publish
    configure billing apply
    "make_rows_$kind" >/dev/null
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
CREATE TABLE ticks(id bigint PRIMARY KEY, written_us bigint NOT NULL);
INSERT INTO orders SELECT i, 'customer '||(i%5000), 'open', i%900 + (i%100)/100.0,
    repeat(md5(i::text), 2)||repeat(md5((-i)::text), 2)||left(md5((i+0.5)::text), 42)||$note,
    timestamptz '2026-11-23 09:42:00+00' + (i%1000000)*interval '1 microsecond'
    FROM generate_series(1, $events) i;"
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
        wait "$process" || true
    done
    started=()
}

memory() { # PROCESS FIELD
    awk -v field="$2:" '$1 == field { print $2 }' "/proc/$1/status"
}

field() { # RESULT NAME
    sed -n "s/.*\"$2\": \\([0-9.]*\\).*/\\1/p" "$out/$1.json"
}

ratio() { # RESULT BOUND FIELD_OF_BOUND
    awk -v a="$(field "$1" events_per_second)" -v b="$(field "$2" "$3")" \
        'BEGIN { printf "%.2f", a / b }'
}

# Copies the shop's outbox before anything is published.
copy_outbox() {
    case $kind in
    sqlite) sql shop "VACUUM INTO '$work/bare.db'" ;;
    postgresql) sql billing "CREATE DATABASE bare TEMPLATE shop" >/dev/null ;;
    mariadb)
        sql shop "CREATE DATABASE bare; CREATE TABLE bare.outbox LIKE outbox;
INSERT INTO bare.outbox (position, id, aggregatetype, aggregateid, type, payload, created_at)
    SELECT position, id, aggregatetype, aggregateid, type, payload, created_at FROM outbox"
        ;;
    esac
}

measure_backlog() {
    copy_outbox
    "$bin/bare_claims" "$(url bare)" "$events" >"$out/bare_claims.json"
    timed relay shop "$published" "$events"
    "$kafka_script" admin topics --bootstrap-server "$bootstrap" --create --topic "$kind.bare" \
        --partitions 6 --config message.timestamp.type=LogAppendTime >"$work/topic.log" 2>&1 ||
        die 70 "the topic cannot be made: $(tail -n 3 "$work/topic.log")"
    "$bin/bare_producer" "$bootstrap" "$kind.order" "$kind.bare" "$events" \
        >"$out/bare_producer.json"
    timed agent billing "$applied" "$events"
    [ "$(sql billing 'SELECT count(*) FROM orders')" = "$events" ] ||
        die 70 "the agent has not applied all rows"
    bare_store >"$out/bare_store.json"
}

# Runs the best that a C program can do. On a server each event has an idempotency key too.
bare_store() {
    case $kind in
    sqlite) "$bin/bare_sqlite" "$work/shop.db" orders "$work/bare.db" 1000 ;;
    postgresql) "$bin/bare_postgresql" "$(url billing)" "$events" 5000 off ;;
    mariadb) "$bin/bare_mariadb" "$work/mariadb/socket" billing "$events" 5000 keys ;;
    esac
}

# The idle sidecars were started for this. After five seconds they have caught up.
measure_latency_and_memory() {
    local shop billing idle
    start_sidecar shop && shop=${started[-1]}
    start_sidecar billing && billing=${started[-1]}
    sleep 5
    idle="\"relay_idle_kib\": $(memory "$shop" VmRSS),"
    idle+=" \"agent_idle_kib\": $(memory "$billing" VmRSS)"
    "$bin/latency" "$(url shop)" "$(url billing)" "$rate" "$seconds" "$writers" \
        >"$out/latency.json" ||
        die 70 "latency: $(tail -n 3 "$work/run-shop.log" "$work/run-billing.log")"
    cat >"$out/memory.json" <<END
{$idle, "relay_steady_kib": $(memory "$shop" VmHWM), \
"agent_steady_kib": $(memory "$billing" VmHWM), \
"relay_peak_kib": $(field relay peak_kib), "agent_peak_kib": $(field agent peak_kib)}
END
    stop_sidecars
}

# Measures the time from the start of an agent to its first event, which came while it was stopped.
measure_cold_start() {
    local before reached
    before=$(sql shop "$published")
    start_sidecar shop
    sql shop "INSERT INTO ticks VALUES (-1, 0)"
    for _ in {1..100}; do
        reached=$(sql shop "$published")
        [ "$reached" = "$before" ] || break
        sleep 0.1
    done
    stop_sidecars
    before=$(sql billing "$applied")
    timed cold_start billing "$applied" $((before + 1))
}

row() {
    printf '%-58s %12s %12s %7s\n' "$@"
}

mebibytes() { # NAME
    awk -v kib="$(field memory "$1")" 'BEGIN { printf "%.1f", kib / 1024 }'
}

report() {
    local bytes inserted=inserted_per_second
    [ "$kind" != sqlite ] || inserted=events_per_second
    bytes=$(field bare_producer mean_value_bytes)
    cat >"$out/ratios.json" <<END
{"events": $events, "value_bytes": $bytes, \
"agent_of_bare_store": $(ratio agent bare_store "$inserted"), \
"relay_of_bare_producer": $(ratio relay bare_producer events_per_second), \
"relay_of_bare_claims": $(ratio relay bare_claims events_per_second)}
END
    row "== $kind: backlog of $events events of $bytes bytes, events/s" Keepstep bare ratio
    row "agent (bare: upserts${server:+ and keys})" "$(field agent events_per_second)" \
        "$(field bare_store "$inserted")" "$(ratio agent bare_store "$inserted")"
    row "relay from a full outbox (bare: idempotent producer)" \
        "$(field relay events_per_second)" "$(field bare_producer events_per_second)" \
        "$(ratio relay bare_producer events_per_second)"
    row "the same (bare: only read and number the rows)" "$(field relay events_per_second)" \
        "$(field bare_claims events_per_second)" "$(ratio relay bare_claims events_per_second)"
    row "commit to applied at $(field latency events_per_second) events/s, ms" p50 p99 max
    row "" "$(field latency p50_ms)" "$(field latency p99_ms)" "$(field latency max_ms)"
    row "of that: the service's own COMMIT" "$(field latency commit_p50_ms)" \
        "$(field latency commit_p99_ms)" "$(field latency commit_max_ms)"
    row "from an agent's start to its first applied event, s" "$(field cold_start first_seconds)" "" ""
    row "memory of keepstep run, MiB" idle "$rate ev/s" backlog
    row "publishing" "$(mebibytes relay_idle_kib)" "$(mebibytes relay_steady_kib)" \
        "$(mebibytes relay_peak_kib)"
    row "applying" "$(mebibytes agent_idle_kib)" "$(mebibytes agent_steady_kib)" \
        "$(mebibytes agent_peak_kib)"
}

measure() { # KIND
    kind=$1
    out=$bin/$kind
    writers=4 # connections of a service; SQLite allows one writer at a time
    [ "$kind" != sqlite ] || writers=1
    mkdir -p "$out"
    rm -f "$out"/*.json # of an earlier run
    start_server
    make_backlog
    init shop
    init billing
    measure_backlog
    measure_latency_and_memory
    measure_cold_start
    report >"$out/report.txt"
    stop_server
}

[ -x "$keepstep" ] || die 66 "$keepstep does not exist: run ./run build"
for kind in $kinds; do
    case $kind in
    sqlite) client=sqlite3 ;;
    postgresql) client=psql ;;
    mariadb) client=mariadb ;;
    *) die 64 "usage: bench/run.sh [sqlite|postgresql|mariadb|all]" ;;
    esac
    command -v "$client" >/dev/null || die 69 "the program $client is missing"
done
compile
work=$(mktemp -d "${TMPDIR:-/tmp}/keepstep-bench-XXXXXX")
trap clean_up EXIT
trap 'exit 130' INT TERM
start_kafka
for kind in $kinds; do
    measure "$kind"
done
for kind in $kinds; do
    cat "$bin/$kind/report.txt"
done
echo "JSON: build/bench/DATABASE/*.json"
