#!/usr/bin/env bash
# Measures Keepstep on a real Kafka, beside bare loops that do nothing but the same writes.
#
#   bench/run.sh        (after ./run build; "./run bench" does both)
#
# KEEPSTEP_BENCH_EVENTS   events of the backlog (300000); 30000 makes a short run
# KEEPSTEP_BINARY         the program (build/release/keepstep)
#
# The rates of Keepstep begin at the first tenth of the backlog: its start, and the joining of a
# consumer group, are in "seconds" of the JSON only.
#
# All of one run is on one machine, so the ratios mean something and the rates only little. Results
# are in build/bench/*.json; nothing passes or fails on the clock.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

events=${KEEPSTEP_BENCH_EVENTS:-300000}
keepstep=$(realpath -m "${KEEPSTEP_BINARY:-build/release/keepstep}")
out=$PWD/build/bench
kafka_script=$PWD/tests/support/kafka/kafka.sh
limit=600             # seconds for one backlog
rate=1000             # events a second for the latency
seconds=20            # how long
transaction=1000      # events a transaction of the bare loop
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
    "$kafka_script" stop "$work/kafka" >/dev/null 2>&1 || true
    if [ -n "${KEEPSTEP_BENCH_KEEP:-}" ]; then
        echo "bench: everything is in $work" >&2
    else
        rm -rf "$work"
    fi
}

compile() {
    local flags name
    flags="$(pkg-config --cflags --libs sqlite3 rdkafka) -lpthread"
    mkdir -p "$out"
    rm -f "$out"/*.json # of an earlier run
    for name in bare_sqlite bare_producer stopwatch latency; do
        # shellcheck disable=SC2086 # flags are words
        gcc -std=c17 -D_GNU_SOURCE -O2 -Wall -Wextra -Wconversion -Wshadow -Werror -Ibench \
            -o "$out/$name" "bench/$name.c" bench/bench.c $flags
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
    "$kafka_script" start "$work/kafka" "$port" || die 69 "no Kafka"
    bootstrap=127.0.0.1:$port
}

schema() { # ENTITY_TYPE KEY PROPERTY...: all of them required
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
database: sqlite:$1.db
listen: ""
log: {level: warning, format: logfmt}
kafka: {bootstrap.servers: "$bootstrap"}
topic_prefix: "bench."
$2:
  order: {table: orders}
  tick: {table: ticks}
END
}

# A value of about 400 bytes an event, half of it hardly compressible.
make_backlog() {
    mkdir -p "$work/schemas"
    schema order id:integer customer:text state:text total:decimal note:text created_at:date-time
    schema tick id:integer written_us:integer
    configure shop publish
    configure billing apply
    sqlite3 "$work/shop.db" >/dev/null <<END
PRAGMA journal_mode=WAL;
CREATE TABLE orders(id INTEGER PRIMARY KEY, customer TEXT NOT NULL, state TEXT NOT NULL,
    total TEXT NOT NULL, note TEXT NOT NULL, created_at TEXT NOT NULL);
CREATE TABLE ticks(id INTEGER PRIMARY KEY, written_us INTEGER NOT NULL);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<$events)
INSERT INTO orders SELECT i, 'customer '||(i%5000), 'open', printf('%d.%02d', i%900, i%100),
    lower(hex(randomblob(85)))||' to be left at the door where nobody answers the bell, twice',
    '2026-11-23T09:42:00.'||printf('%06d', i%1000000)||'Z' FROM n;
END
}

init() { # SERVICE
    "$keepstep" init -c "$work/$1.yaml" >"$work/init-$1.log" 2>&1 ||
        die 70 "init of $1 failed: $(tail -n 3 "$work/init-$1.log")"
}

timed() { # RESULT SERVICE SQL TARGET
    "$out/stopwatch" "$work/$2.db" "$3" "$4" "$limit" \
        "$keepstep" run -c "$work/$2.yaml" >"$out/$1.json" 2>"$work/$1.log" ||
        die 70 "$1: $(tail -n 5 "$work/$1.log")"
}

start_sidecar() { # SERVICE: its process is the last of $started
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

ratio() { # RESULT BOUND
    awk -v a="$(field "$1" events_per_second)" -v b="$(field "$2" events_per_second)" \
        'BEGIN { printf "%.2f", a / b }'
}

measure_backlog() {
    timed relay shop "$published" "$events"
    "$kafka_script" admin topics --bootstrap-server "$bootstrap" --create --topic bench.bare \
        --partitions 6 --config message.timestamp.type=LogAppendTime >"$work/topic.log" 2>&1 ||
        die 70 "no topic: $(tail -n 3 "$work/topic.log")"
    "$out/bare_producer" "$bootstrap" bench.order bench.bare "$events" >"$out/bare_producer.json"
    timed agent billing "$applied" "$events"
    [ "$(sqlite3 "$work/billing.db" 'SELECT count(*) FROM orders')" = "$events" ] ||
        die 70 "the agent has not applied all rows"
    "$out/bare_sqlite" "$work/shop.db" orders "$work/bare.db" "$transaction" \
        >"$out/bare_sqlite.json"
}

# Idle is a sidecar of its own start, caught up, five seconds old.
measure_latency_and_memory() {
    local shop billing idle
    start_sidecar shop && shop=${started[-1]}
    start_sidecar billing && billing=${started[-1]}
    sleep 5
    idle="\"relay_idle_kib\": $(memory "$shop" VmRSS),"
    idle+=" \"agent_idle_kib\": $(memory "$billing" VmRSS)"
    "$out/latency" "$work/shop.db" "$work/billing.db" "$rate" "$seconds" >"$out/latency.json" ||
        die 70 "latency: $(tail -n 3 "$work/run-shop.log" "$work/run-billing.log")"
    cat >"$out/memory.json" <<END
{$idle, "relay_steady_kib": $(memory "$shop" VmHWM), \
"agent_steady_kib": $(memory "$billing" VmHWM), \
"relay_peak_kib": $(field relay peak_kib), "agent_peak_kib": $(field agent peak_kib)}
END
    stop_sidecars
}

# From the start of an agent that was caught up to the first event that came meanwhile.
measure_cold_start() {
    local before reached
    before=$(sqlite3 "$work/shop.db" "$published")
    start_sidecar shop
    sqlite3 "$work/shop.db" "INSERT INTO ticks VALUES (-1, 0)"
    for _ in {1..100}; do
        reached=$(sqlite3 "$work/shop.db" "$published")
        [ "$reached" = "$before" ] || break
        sleep 0.1
    done
    stop_sidecars
    before=$(sqlite3 "$work/billing.db" "$applied")
    timed cold_start billing "$applied" $((before + 1))
}

row() {
    printf '%-58s %12s %12s %7s\n' "$@"
}

mebibytes() { # NAME
    awk -v kib="$(field memory "$1")" 'BEGIN { printf "%.1f", kib / 1024 }'
}

report() {
    local bytes
    bytes=$(field bare_producer mean_value_bytes)
    cat >"$out/ratios.json" <<END
{"events": $events, "value_bytes": $bytes, \
"agent_of_bare_sqlite": $(ratio agent bare_sqlite), \
"relay_of_bare_producer": $(ratio relay bare_producer)}
END
    row "backlog of $events events of $bytes bytes, events/s" Keepstep bare ratio
    row "agent into SQLite (bare: upserts, $transaction a transaction)" \
        "$(field agent events_per_second)" "$(field bare_sqlite events_per_second)" \
        "$(ratio agent bare_sqlite)"
    row "relay from a full outbox (bare: idempotent producer)" \
        "$(field relay events_per_second)" "$(field bare_producer events_per_second)" \
        "$(ratio relay bare_producer)"
    echo
    row "commit to applied at $(field latency events_per_second) events/s, ms" p50 p99 max
    row "" "$(field latency p50_ms)" "$(field latency p99_ms)" "$(field latency max_ms)"
    echo
    row "start of an agent to the first event applied, s" "$(field cold_start first_seconds)" "" ""
    echo
    row "memory of keepstep run, MiB" idle "$rate ev/s" backlog
    row "publishing" "$(mebibytes relay_idle_kib)" "$(mebibytes relay_steady_kib)" \
        "$(mebibytes relay_peak_kib)"
    row "applying" "$(mebibytes agent_idle_kib)" "$(mebibytes agent_steady_kib)" \
        "$(mebibytes agent_peak_kib)"
    echo "JSON: build/bench/*.json"
}

[ -x "$keepstep" ] || die 66 "no $keepstep: ./run build"
command -v sqlite3 >/dev/null || die 69 "the program sqlite3 is needed"
compile
work=$(mktemp -d "${TMPDIR:-/tmp}/keepstep-bench-XXXXXX")
trap clean_up EXIT
trap 'exit 130' INT TERM
start_kafka
make_backlog
init shop
init billing
measure_backlog
measure_latency_and_memory
measure_cold_start
report
