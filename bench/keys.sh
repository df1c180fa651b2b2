#!/usr/bin/env bash
# Measures how fast a store applies events with single idempotency keys when the key table is empty,
# and when it holds 100,000 keys, a million, or more.
#
#   bench/keys.sh [sqlite|postgresql|mariadb|all]     (after ./run build; "./run bench keys" does both)
#
# The keys are random, which is the hardest case for an index. The store is called as the applier calls
# it, without Kafka and without decoding.
#
# BENCH_KEYS    numbers of keys ("0 100000 1000000"); with 10000000 it takes many minutes
# BENCH_BUILD   the folder of the build (build/release)
#
# Results are in build/bench/DATABASE/keys-NUMBER.json.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=bench/lib.sh
. bench/lib.sh

numbers=${BENCH_KEYS:-0 100000 1000000}

part_keys() {
    empty_database billing
    [ "$kind" != sqlite ] || sql billing "PRAGMA journal_mode=WAL" >/dev/null
    observe "keys-$number" store_apply
}

store_apply() {
    "$bin/store_apply" "$(url billing)" 10000 5000 keys "$number" >"$out/keys-$number.json" ||
        die 70 "no result with $number keys"
}

report() {
    local number rate first=
    printf '== %-28s %10s %8s\n' "$kind: keys in the table" events/s 'to first'
    for number in $numbers; do
        rate=$(field "keys-$number" events_per_second)
        first=${first:-$rate}
        printf '%-31s %10s %8s%s\n' "$number" "$rate" \
            "$(awk -v a="$rate" -v b="$first" 'BEGIN { printf "%.2f", a / b }')" \
            "$(mark "keys-$number")"
    done
}

kinds=$(kinds_of "${1:-sqlite}")
begin
compile_store_apply "${BENCH_BUILD:-build/release}"
for kind in $kinds; do
    out=$bin/$kind
    mkdir -p "$out"
    noise_of=()
    start_server
    for number in $numbers; do
        part part_keys
    done
    stop_server
    noise_note "$(report)" | tee "$out/keys.txt"
    noise_json >"$out/keys-noise.json"
done
