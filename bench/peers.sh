#!/usr/bin/env bash
# Measures Keepstep's agent and Debezium's JDBC sink on the same topics, into the same table of the
# same database, in one run.
#
#   bench/peers.sh [postgresql|mariadb|all]     (after ./run build; "./run bench peers" does both)
#
# Without an argument it measures both databases. What follows a kill or a bad record is tried on
# PostgreSQL only. docs/COMPARISON.md says what is compared, and how to read the results.
#
# BENCH_EVENTS      events in a backlog (150000); use 20000 for a short run
# BENCH_SECONDS     how long the latency is measured at each rate (10)
# BENCH_PARTS       what is measured ("backlog latency faults")
# KEEPSTEP_BINARY   the program (build/release/keepstep)
# BENCH_KEEP        if set, all files of the run stay
#
# bench/noise.sh has the variables for a machine that others use too.
#
# Results are in build/bench/peers/DATABASE: report.txt and *.json. Nothing passes or fails by its
# speed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=bench/lib.sh
. bench/lib.sh
# shellcheck source=bench/peers/contestants.sh
. bench/peers/contestants.sh
# shellcheck source=bench/peers/faults.sh
. bench/peers/faults.sh

events=${BENCH_EVENTS:-150000}
seconds=${BENCH_SECONDS:-10}
parts=${BENCH_PARTS:-backlog latency faults}
rates=(1000 100) # records per second, while the latency is measured
still_seconds=75 # longer than a consumer group waits for a dead member, and a start of Java
sink_script=$PWD/bench/peers/sink.sh
progress="SELECT count(*) * 100 FROM orders WHERE id <= $events / 100"

tell() { # TEXT
    echo "bench: $(date +%T) $kind: $1" >&2
}

has_faults() { # they are tried on PostgreSQL only
    measures faults && [ "$kind" = postgresql ]
}

compile_peers() {
    local flags name
    flags="$(pkg-config --cflags --libs sqlite3 libpq libmariadb rdkafka) -lpthread"
    mkdir -p "$bin/peers"
    for name in write_records append_latency watch count_records; do
        # shellcheck disable=SC2086 # flags are words
        gcc -std=c17 -D_GNU_SOURCE -O2 -Wall -Wextra -Wconversion -Wshadow -Werror -I. \
            -o "$bin/peers/$name" "bench/peers/$name.c" bench/peers/records.c bench/bench.c \
            bench/database.c bench/kafka.c common/murmur2.c $flags
    done
}

write_topic() { # TOPIC FORM STREAM COUNT
    make_topic "$1"
    "$bin/peers/write_records" "$bootstrap" "$1" "$2" "$3" "$4" "$work/$1.rows" >"$work/$1.json"
    sort -t '|' -k 1,1n -o "$work/$1.rows" "$work/$1.rows"
}

# Each contestant gets an empty table in an empty database.
empty_table() {
    empty_database billing
    case $kind in
    postgresql)
        sql billing "CREATE TABLE orders(id bigint PRIMARY KEY, version bigint NOT NULL,
customer text NOT NULL, state text NOT NULL, total numeric(12,2) NOT NULL CHECK (total >= 0),
note text NOT NULL, created_at timestamptz NOT NULL)"
        ;;
    mariadb)
        sql billing "CREATE TABLE orders(id bigint PRIMARY KEY, version bigint NOT NULL,
customer varchar(64) NOT NULL, state varchar(20) NOT NULL,
total decimal(12,2) NOT NULL CHECK (total >= 0), note text NOT NULL,
created_at datetime(6) NOT NULL) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin"
        ;;
    esac
}

# The rate is that of the second half of the backlog: during the first one Java warms up.
part_backlog() {
    tell "backlog of $events events: $contestant"
    empty_table
    start "inserts-$form"
    observe "backlog-$contestant" watch "$out/backlog-$contestant.json" "$progress" "$events" \
        $((events / 2))
    stop
    [ "$(sql billing "SELECT count(*) FROM orders")" = "$events" ] ||
        die 70 "$contestant has not applied all rows: $(tail -n 5 "$work/$contestant.log")"
}

part_latency() {
    local topic=latency-$kind-$contestant-$part_try
    tell "latency: $contestant"
    empty_table
    make_topic "$topic"
    start "$topic"
    observe "latency-$contestant" append_latency "$topic"
    echo "{\"memory_kib\": $(memory "$process" VmRSS)}" >"$out/memory-$contestant.json"
    stop
}

append_latency() { # TOPIC
    "$bin/peers/append_latency" "$bootstrap" "$1" "$form" "$(url billing)" "$seconds" "${rates[@]}" \
        >"$out/latency-$contestant.json" ||
        die 70 "$contestant: $(tail -n 5 "$work/$contestant.log")"
}

measure() { # KIND
    local port name
    kind=$1
    out=$bin/peers/$kind
    noise_of=()
    mkdir -p "$out"
    rm -f "$out"/*.json # of an earlier run
    port=$(free_port) # they come by TCP, because Java's drivers know no socket
    start_server "$port"
    let_in "$port"
    for name in keepstep keepstep-bare keepstep-own sink-defaults sink-tuned-1 sink-tuned-6; do
        measures backlog || break
        choose "$name"
        part part_backlog
    done
    for name in keepstep keepstep-own sink-defaults sink-tuned-1; do
        measures latency || break
        choose "$name"
        part part_latency
    done
    ! has_faults || measure_faults
    noise_json >"$out/noise.json"
    noise_note "$(report)" >"$out/report.txt"
    stop_server
}

row() {
    printf '%-32s %12s %10s %10s %10s %10s %10s\n' "$@"
}

line_field() { # RESULT LINE NAME
    sed -n "$2p" "$out/$1.json" >"$work/line.json"
    out=$work field line "$3"
}

mebibytes() { # RESULT NAME
    awk -v kib="$(field "$1" "$2")" 'BEGIN { printf "%.0f", kib / 1024 }'
}

report() {
    local file name
    echo "== $kind: $("$sink_script" version); $events events in 6 partitions"
    echo "   bytes of a value: $(out=$work field inserts-debezium value_bytes) in Debezium's form," \
        "$(out=$work field inserts-bare value_bytes) without its schema," \
        "$(out=$work field inserts-keepstep value_bytes) in Keepstep's"
    row "backlog" events/s "CPU us/ev" "MiB peak" "first s" "" ""
    for file in "$out"/backlog-*.json; do
        measures backlog || break
        name=$(basename "$file" .json)
        row "${name#backlog-}$(mark "$name")" "$(field "$name" events_per_second)" \
            "$(field "$name" cpu_us_per_event)" "$(mebibytes "$name" peak_kib)" \
            "$(field "$name" first_seconds)" "" ""
    done
    row "append to visible, ms" "${rates[0]}/s p50" p99 "${rates[1]}/s p50" p99 "MiB then" ""
    for file in "$out"/latency-*.json; do
        measures latency || break
        name=$(basename "$file" .json)
        row "${name#latency-}$(mark "$name")" "$(line_field "$name" 1 p50_ms)" \
            "$(line_field "$name" 1 p99_ms)" "$(line_field "$name" 2 p50_ms)" \
            "$(line_field "$name" 2 p99_ms)" "$(mebibytes "memory-${name#latency-}" memory_kib)" ""
    done
    ! has_faults || report_faults
}

kinds=${1:-all}
[ "$kinds" != all ] || kinds="postgresql mariadb"
[ "$kinds" != sqlite ] || die 64 "Debezium's JDBC sink does not write to SQLite: nothing to compare"
kinds=$(kinds_of "$kinds")
reason=$("$sink_script" fetch 2>&1) || {
    echo "bench: peers: skipped: Debezium's JDBC sink is not to be had here: $reason"
    exit 0
}
begin
compile_peers
start_kafka
make_order_schema
for word in debezium bare keepstep; do
    write_topic "inserts-$word" "$word" inserts "$events"
done
for word in $kinds; do
    measure "$word"
done
for word in $kinds; do
    cat "$bin/peers/$word/report.txt"
done
echo "JSON: build/bench/peers/DATABASE/*.json"
