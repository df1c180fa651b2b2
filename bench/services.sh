#!/usr/bin/env bash
# Measures what an event costs at its origin and at a peer when more and more services share a broker.
#
#   bench/services.sh     (after ./run build; "./run bench services" does both)
#
# Of N services, half update and half keep copies: each of the N/2 origins publishes a type of its own,
# and each of the N/2 peers applies all of these types. So an update is copied by C = N/2 services, and
# U = N/2 services update. The number of updates is the same for every N. All databases are SQLite.
#
# First the origins publish, one after the other, while all relays run. Then one peer applies alone, and
# then all others at once; these share the machine's caches, as they would not on machines of their own.
# What counts is the CPU time of the processes from the first row to the last one, without their start.
# The broker's share stands beside it.
#
# BENCH_EVENTS        updates in all (160000)
# BENCH_SERVICES      the values of N ("2 4 8 16 32")
# KEEPSTEP_BINARY     the program (build/release/keepstep)
#
# Results are in build/bench/services/N.json.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=bench/lib.sh
. bench/lib.sh

updates=${BENCH_EVENTS:-160000}
counts=${BENCH_SERVICES:-2 4 8 16 32}
kind=sqlite
first_rows=100 # of each origin; they do not count
idle_seconds=3 # after that a process that was started is idle

make_services() {
    local i
    local -a entries=()
    for ((i = 1; i <= half; i++)); do
        schema "order_$i" id:integer customer:text state:text total:decimal note:text \
            created_at:date-time
        entries+=("order_$i" "orders_$i")
    done
    for ((i = 1; i <= half; i++)); do
        empty_database "origin_$i"
        sql "origin_$i" "PRAGMA journal_mode=WAL; CREATE TABLE orders_$i(id INTEGER PRIMARY KEY,
    customer TEXT NOT NULL, state TEXT NOT NULL, total TEXT NOT NULL, note TEXT NOT NULL,
    created_at TEXT NOT NULL)" >/dev/null
        configure "origin_$i" publish "order_$i" "orders_$i"
        init "origin_$i"
        empty_database "peer_$i"
        configure "peer_$i" apply "${entries[@]}"
        init "peer_$i"
    done
}

write_rows() { # NUMBER FIRST LAST
    sql "origin_$1" "WITH RECURSIVE n(i) AS (SELECT $2 UNION ALL SELECT i+1 FROM n WHERE i<$3)
INSERT INTO orders_$1 SELECT i, 'customer '||(i%5000), 'open', printf('%d.%02d', i%900, i%100),
    lower(hex(randomblob(85)))||$note,
    '2026-11-23T09:42:00.'||printf('%06d', i%1000000)||'Z' FROM n;"
}

wait_until_published() { # NUMBER ROWS
    for ((i = 0; i < limit * 20; i++)); do
        [ "$(sql "origin_$1" "$published")" != "$2" ] || return 0
        sleep 0.05
    done
    die 70 "origin_$1 has not published all rows: $(tail -n 3 "$work/run-origin_$1.log")"
}

start_all() { # NAME: NAME_1, NAME_2, ...; prints nothing, waits until they are idle
    local number
    for ((number = 1; number <= half; number++)); do
        start_sidecar "$1_$number"
    done
    sleep $((idle_seconds + half / 4))
}

# Notes what the start of each peer costs. First each origin publishes a few rows, because a first write
# to a partition makes files, and a peer must have read something to be a reader of each partition.
note_starts() {
    local number process
    local -a peers
    for ((number = 1; number <= half; number++)); do
        write_rows "$number" 1 "$first_rows"
        wait_until_published "$number" "$first_rows"
    done
    start_all peer
    peers=("${started[@]:half}")
    for ((number = 1; number <= half; number++)); do
        start_us[number]=$(cpu_us "${peers[number - 1]}")
    done
    kill "${peers[@]}"
    for process in "${peers[@]}"; do
        wait "$process" || die 70 "a peer failed: $(tail -qn 3 "$work"/run-peer_*.log)"
    done
    started=("${started[@]:0:half}")
}

publish_all() {
    local number before broker_before
    origins_us=0
    written=0
    broker_before=$(cpu_us "$broker")
    for ((number = 1; number <= half; number++)); do
        before=$(cpu_us "${started[number - 1]}")
        write_rows "$number" $((first_rows + 1)) $((first_rows + share))
        wait_until_published "$number" $((first_rows + share))
        origins_us=$((origins_us + $(cpu_us "${started[number - 1]}") - before))
        written=$((written + $(sql "origin_$number" "$published") - first_rows))
    done
    broker_publish_us=$(($(cpu_us "$broker") - broker_before))
}

apply() { # FIRST LAST: these peers, at once
    local number process
    local -a watches=()
    for ((number = $1; number <= $2; number++)); do
        timed "peer_$number" "peer_$number" "$applied" $((written + half * first_rows)) &
        watches+=("$!")
    done
    for process in ${watches[@]+"${watches[@]}"}; do
        wait "$process" || die 70 "a peer has not applied all events"
    done
}

# Of peer 1, which was alone, and of the others. Where there is one peer only, it stands for all.
sum_peers() {
    local number
    peers_us=0
    peak_kib=0
    copied=0
    for ((number = 1; number <= half; number++)); do
        copied=$((copied + $(field "peer_$number" events) - half * first_rows))
        peers_us=$((peers_us + $(field "peer_$number" cpu_us) - start_us[number]))
        [ "$(field "peer_$number" peak_kib)" -le "$peak_kib" ] ||
            peak_kib=$(field "peer_$number" peak_kib)
    done
    peer_us=$(($(field peer_1 cpu_us) - start_us[1]))
    others_us=$(((peers_us - peer_us) / (half > 1 ? half - 1 : 1)))
    [ "$half" -gt 1 ] || others_us=$peer_us
}

per_event() { # MICROSECONDS EVENTS
    awk -v us="$1" -v events="$2" 'BEGIN { printf "%.2f", us / events }'
}

write_result() {
    cat >"$results/$count.json" <<END
{"services": $count, "updating": $half, "copying": $half, "updates": $written, \
"records_written_per_update": $(per_event "$written" $((share * half))), \
"records_applied_per_update": $(per_event "$copied" "$written"), \
"origin_us_per_event": $(per_event "$origins_us" "$written"), \
"peer_us_per_event": $(per_event "$peer_us" "$written"), \
"peers_at_once_us_per_event": $(per_event "$others_us" "$written"), \
"broker_us_per_event_written": $(per_event "$broker_publish_us" "$written"), \
"broker_us_per_event_applied": $(per_event "$broker_apply_us" "$written"), \
"peer_peak_kib": $peak_kib, "noise": $(noise_json)}
END
}

measure_services() {
    local broker_before
    prefix=services.$count.$part_try
    out=$work
    make_services
    start_all origin
    note_starts
    observe origins publish_all
    stop_sidecars
    broker_before=$(cpu_us "$broker")
    observe peer apply 1 1
    broker_apply_us=$(($(cpu_us "$broker") - broker_before))
    [ "$half" = 1 ] || observe peers apply 2 "$half"
    sum_peers
    write_result
    delete_topics "$prefix\\..*"
}

report_row() { # COLUMN...
    printf '%4s %4s %4s %8s %8s %8s %6s %8s %6s %9s %9s %9s %6s%s\n' "$@"
}

report() {
    local out=$results first_origin='' first_peer='' origin peer
    echo "$updates updates in all; microseconds of CPU"
    report_row N U C written applied origin to peer to 'peers at' broker broker peer ''
    report_row '' '' '' /update /update /event first /event first once /written /applied MiB ''
    for count in $counts; do
        origin=$(field "$count" origin_us_per_event)
        peer=$(field "$count" peer_us_per_event)
        first_origin=${first_origin:-$origin}
        first_peer=${first_peer:-$peer}
        report_row "$count" $((count / 2)) $((count / 2)) \
            "$(field "$count" records_written_per_update)" \
            "$(field "$count" records_applied_per_update)" "$origin" \
            "$(per_event "$origin" "$first_origin")" "$peer" "$(per_event "$peer" "$first_peer")" \
            "$(field "$count" peers_at_once_us_per_event)" \
            "$(field "$count" broker_us_per_event_written)" \
            "$(field "$count" broker_us_per_event_applied)" \
            "$(per_event "$(field "$count" peer_peak_kib)" 1024)" \
            "$(grep -q '"noisy": true' "$results/$count.json" && echo ' *')"
    done
}

[ $# = 0 ] || die 64 "services takes no argument"
for count in $counts; do
    [[ $count =~ ^[0-9]*[02468]$ && $count -gt 0 ]] ||
        die 64 "BENCH_SERVICES: $count must be an even number"
done
begin
results=$bin/services
mkdir -p "$results" "$work/schemas"
rm -f "$results"/*.json
compile stopwatch
start_kafka
broker=$(cat "$work/kafka/pid")
declare -a start_us
half=1
count=warm
share=$updates
measure_services # once for the broker, which is slow while its code is not compiled
rm "$results/warm.json"
for count in $counts; do
    half=$((count / 2))
    share=$((updates / half))
    noise_of=()
    part measure_services
    echo "bench: $count services are measured" >&2
done
noise_note "$(report)" | tee "$results/report.txt"
echo "JSON: build/bench/services/*.json"
