#!/usr/bin/env bash
# Measures Keepstep on a real Kafka, and beside it bare loops: C programs that do nothing but the same
# reads and writes.
#
#   bench/run.sh [sqlite|postgresql|mariadb|all]     (after ./run build; "./run bench" does both)
#
# Both services have a database of that kind; without an argument it is SQLite. This run starts a
# server of its own, with its default durability. The broker has the flags of its own start script.
#
# BENCH_EVENTS      events in the backlog (300000); use 30000 for a short run
# KEEPSTEP_BINARY   the program (build/release/keepstep)
# BENCH_BINARIES    several programs, measured in turns and compared: "before=PATH after=PATH"
# BENCH_TURNS       how many turns they get (3)
#
# Each part is measured when the machine is calm, and again when others used it meanwhile; bench/noise.sh
# says how that is set. Figures that are noisy all the same are marked.
#
# The rates of Keepstep are measured after the first tenth of the backlog. They leave out its start and
# the joining of the consumer group. "seconds" in the JSON has both.
#
# All of one run is on one machine, so the ratios mean much and the rates little. Results are in
# build/bench/DATABASE/*.json, with several programs in build/bench/DATABASE/NAME-TURN/*.json. Nothing
# passes or fails by its speed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=bench/lib.sh
. bench/lib.sh
# shellcheck source=bench/writer.sh
. bench/writer.sh

rate=1000  # events per second while the latency is measured
seconds=20 # how long that takes
[ "$events" -ge 100000 ] || seconds=5
read -r -a binaries <<<"${BENCH_BINARIES:-}"
turns=1
[ "${#binaries[@]}" = 0 ] || turns=${BENCH_TURNS:-3}

# Copies the shop's outbox before anything is published.
copy_outbox() {
    drop_database bare
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

to_json() { # RESULT PROGRAM ARGUMENT...
    "$bin/$2" "${@:3}" >"$out/$1.json" || die 70 "$1: no result"
}

part_relay() {
    fresh_shop
    [ "$kind" != postgresql ] || empty_database billing # a place to make the copy from
    copy_outbox
    make_topic "$prefix.bare"
    observe bare_claims to_json bare_claims bare_claims "$(url bare)" "$events"
    observe relay timed relay shop "$published" "$events"
    observe bare_producer to_json bare_producer bare_producer "$bootstrap" "$prefix.order" \
        "$prefix.bare" "$events"
}

part_agent() {
    fresh_billing
    observe agent timed agent billing "$applied" "$events"
    [ "$(sql billing 'SELECT count(*) FROM orders')" = "$events" ] ||
        die 70 "the agent has not applied all rows"
    observe bare_store bare_store
}

# Runs the best that a C program can do. On a server each event has an idempotency key too.
bare_store() {
    case $kind in
    sqlite) to_json bare_store bare_sqlite "$work/shop.db" orders "$work/bare.db" 1000 ;;
    postgresql) to_json bare_store bare_postgresql "$(url billing)" "$events" 5000 off ;;
    mariadb)
        to_json bare_store bare_mariadb "$work/mariadb/socket" billing "$events" 5000 keys
        ;;
    esac
}

# Measures the time from the start of an agent to its first event, which came while it was stopped.
part_cold_start() {
    local before reached
    before=$(sql shop "$published")
    start_sidecar shop
    sql shop "INSERT INTO ticks SELECT coalesce(min(id), 0) - 1, 10000000000 FROM ticks
        WHERE id < 0"
    for _ in {1..100}; do
        reached=$(sql shop "$published")
        [ "$reached" = "$before" ] || break
        sleep 0.1
    done
    stop_sidecars
    before=$(sql billing "$applied")
    observe cold_start timed cold_start billing "$applied" $((before + 1))
}

# What librdkafka alone needs for the same records, right before and right after. After five seconds
# the idle sidecars have caught up.
part_latency() {
    local shop billing idle writers=4 # connections of a service; SQLite allows one writer at a time
    [ "$kind" != sqlite ] || writers=1
    settle
    make_topic "$prefix.alone$part_try"
    local -a alone=("$bootstrap" "$prefix.tick" "$prefix.alone$part_try" "$rate" "$seconds")
    observe alone_before to_json alone_before bare_latency "${alone[@]}"
    start_sidecar shop && shop=${started[-1]}
    start_sidecar billing && billing=${started[-1]}
    sleep 5
    idle="\"relay_idle_kib\": $(memory "$shop" VmRSS),"
    idle+=" \"agent_idle_kib\": $(memory "$billing" VmRSS)"
    observe latency to_json latency latency "$(url shop)" "$(url billing)" "$rate" "$seconds" \
        "$writers"
    cat >"$out/memory.json" <<END
{$idle, "relay_steady_kib": $(memory "$shop" VmHWM), \
"agent_steady_kib": $(memory "$billing" VmHWM), \
"relay_peak_kib": $(field relay peak_kib), "agent_peak_kib": $(field agent peak_kib)}
END
    stop_sidecars
    observe alone_after to_json alone_after bare_latency "${alone[@]}"
}

ratio() { # RESULT BOUND FIELD_OF_BOUND
    awk -v a="$(field "$1" events_per_second)" -v b="$(field "$2" "$3")" \
        'BEGIN { printf "%.2f", a / b }'
}

over_alone() { # FIELD: our latency minus the mean of what librdkafka alone shows before and after
    awk -v ours="$(field latency "$1")" -v before="$(field alone_before "$1")" \
        -v after="$(field alone_after "$1")" 'BEGIN { printf "%.2f", ours - (before + after) / 2 }'
}

write_ratios() {
    inserted=inserted_per_second
    [ "$kind" != sqlite ] || inserted=events_per_second
    cat >"$out/ratios.json" <<END
{"events": $events, "value_bytes": $(field bare_producer mean_value_bytes), \
"agent_of_bare_store": $(ratio agent bare_store "$inserted"), \
"relay_of_bare_producer": $(ratio relay bare_producer events_per_second), \
"relay_of_bare_claims": $(ratio relay bare_claims events_per_second), \
"p50_over_alone_ms": $(over_alone p50_ms), "p99_over_alone_ms": $(over_alone p99_ms)}
END
    noise_json >"$out/noise.json"
}

row() {
    printf '%-58s %12s %12s %7s%s\n' "$@"
}

mebibytes() { # NAME
    awk -v kib="$(field memory "$1")" 'BEGIN { printf "%.1f", kib / 1024 }'
}

latency_row() { # TITLE RESULT
    row "$1" "$(field "$2" p50_ms)" "$(field "$2" p99_ms)" "$(field "$2" max_ms)" "$(mark "$2")"
}

report() {
    local bytes over
    bytes=$(field bare_producer mean_value_bytes)
    row "== $kind: backlog of $events events of $bytes bytes, events/s" Keepstep bare ratio ""
    row "agent (bare: upserts${server:+ and keys})" "$(field agent events_per_second)" \
        "$(field bare_store "$inserted")" "$(ratio agent bare_store "$inserted")" \
        "$(mark agent bare_store)"
    row "relay from a full outbox (bare: idempotent producer)" \
        "$(field relay events_per_second)" "$(field bare_producer events_per_second)" \
        "$(ratio relay bare_producer events_per_second)" "$(mark relay bare_producer)"
    row "the same (bare: only read and number the rows)" "$(field relay events_per_second)" \
        "$(field bare_claims events_per_second)" "$(ratio relay bare_claims events_per_second)" \
        "$(mark relay bare_claims)"
    row "commit to applied at $(field latency events_per_second) events/s, ms" p50 p99 max ""
    latency_row "" latency
    row "of that: the service's own COMMIT" "$(field latency commit_p50_ms)" \
        "$(field latency commit_p99_ms)" "$(field latency commit_max_ms)" ""
    latency_row "librdkafka alone, produce to poll, before" alone_before
    latency_row "the same, after" alone_after
    over=$(over_alone p50_ms)
    row "commit to applied, over librdkafka alone" "$over" "$(over_alone p99_ms)" "" \
        "$(mark latency alone_before alone_after)"
    row "from an agent's start to its first applied event, s" "$(field cold_start first_seconds)" \
        "" "" "$(mark cold_start)"
    row "memory of keepstep run, MiB" idle "$rate ev/s" backlog ""
    row "publishing" "$(mebibytes relay_idle_kib)" "$(mebibytes relay_steady_kib)" \
        "$(mebibytes relay_peak_kib)" ""
    row "applying" "$(mebibytes agent_idle_kib)" "$(mebibytes agent_steady_kib)" \
        "$(mebibytes agent_peak_kib)" ""
    report_writer
}

# One program, from a fresh database to its report in $out.
measure_program() {
    mkdir -p "$out"
    rm -f "$out"/*.json # of an earlier run
    noise_of=()
    part part_relay
    part part_agent
    part part_cold_start
    part part_latency
    part part_writer
    write_ratios
    noise_note "$(report)" >"$out/report.txt"
    delete_topics "$prefix\\..*"
}

measure_turns() {
    local turn binary
    for binary in "${binaries[@]}"; do
        rm -rf "$bin/$kind/${binary%%=*}"-[0-9]* # of an earlier run
    done
    for ((turn = 1; turn <= turns; turn++)); do
        for binary in "${binaries[@]}"; do
            keepstep=$(realpath "${binary#*=}")
            out=$bin/$kind/${binary%%=*}-$turn
            measure_program
        done
    done
    bench/compare.sh "$bin/$kind" "${binaries[@]%%=*}" >"$bin/$kind/report.txt"
}

measure() { # KIND
    kind=$1
    make_schemas
    start_server
    if [ "${#binaries[@]}" = 0 ]; then
        out=$bin/$kind
        measure_program
    else
        measure_turns
    fi
    stop_server
}

kinds=$(kinds_of "${1:-sqlite}")
for binary in ${binaries[@]+"${binaries[@]}"}; do
    [[ $binary == ?*=* && -x ${binary#*=} ]] ||
        die 64 "BENCH_BINARIES: $binary must be NAME=PATH, and PATH a program"
done
begin
compile bare_sqlite bare_postgresql bare_mariadb bare_claims bare_producer bare_latency stopwatch \
    latency writer
start_kafka
warm_kafka
for kind in $kinds; do
    measure "$kind"
done
for kind in $kinds; do
    cat "$bin/$kind/report.txt"
done
echo "JSON: build/bench/DATABASE/*.json"
