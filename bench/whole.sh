#!/usr/bin/env bash
# Measures what whole transactions cost: the same transactions, published and applied as single events
# and whole, in turns.
#
#   bench/whole.sh [sqlite|postgresql|mariadb|all]     (after ./run build; "./run bench whole" does both)
#
# Each transaction inserts some rows of one table. All wait in the outbox before the relay starts. Single
# events go to six partitions, whole transactions to the only one of their topic.
#
# BENCH_EVENTS    rows in all (100000)
# BENCH_SIZES     rows in a transaction ("1 3 30")
# BENCH_TURNS     how often each is measured (3); the reports have the medians
#
# MariaDB has a binary log for both: whole transactions need one. Results are in
# build/bench/whole/DATABASE/*.json.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
events=${BENCH_EVENTS:-100000}
# shellcheck source=bench/lib.sh
. bench/lib.sh

sizes=${BENCH_SIZES:-1 3 30}
turns=${BENCH_TURNS:-3}
modes=(single whole)
export MARIADB_OPTIONS=--log-bin

# The rows that the transactions take from a table that nothing publishes.
make_made_rows() {
    "make_rows_$kind" >/dev/null
    sql shop "CREATE TABLE made AS SELECT * FROM orders"
    sql shop "CREATE UNIQUE INDEX made_id ON made(id)"
    sql shop "DELETE FROM orders"
}

transactions() { # SIZE MODE: their SQL
    local mark=
    [ "$kind/$2" != sqlite/whole ] || mark="UPDATE keepstep_transaction SET id = id + 1;"
    awk -v size="$1" -v events="$events" -v mark="$mark" 'BEGIN {
        for (first = 1; first <= events; first += size)
            printf "BEGIN; %s INSERT INTO orders SELECT * FROM made WHERE id BETWEEN %d AND %d; COMMIT;\n",
                mark, first, first + size - 1
    }'
}

# The disk is not waited for: only what stands in the outbox afterwards matters.
write_transactions() { # SIZE MODE
    case $kind in
    sqlite) { echo "PRAGMA synchronous = off;" && transactions "$@"; } | sqlite3 "$work/shop.db" ;;
    postgresql)
        { echo "SET synchronous_commit = off;" && transactions "$@"; } |
            psql -qX -v ON_ERROR_STOP=1 -d "$(url shop)"
        ;;
    mariadb)
        sql shop "SET GLOBAL innodb_flush_log_at_trx_commit = 0"
        transactions "$@" | mariadb --no-defaults -u root -S "$work/mariadb/socket" shop
        sql shop "SET GLOBAL innodb_flush_log_at_trx_commit = 1"
        ;;
    esac
}

configure_mode() { # MODE
    if [ "$1" = single ]; then
        configure shop publish
        configure billing apply
    else
        configure shop publish
        echo "transactions: whole" >>"$work/shop.yaml"
        configure billing apply order "orders, topic: $prefix.shop" tick "ticks, topic: $prefix.shop"
    fi
}

measure_mode() { # SIZE MODE TURN
    local relay=relay_$2_$1_$3 agent=agent_$2_$1_$3
    prefix=whole.$kind.$((++prefixes))
    empty_database shop
    empty_database billing
    configure_mode "$2"
    make_made_rows
    init shop
    init billing
    write_transactions "$1" "$2"
    settle
    observe "$relay" timed "$relay" shop "$published" "$events"
    observe "$agent" timed "$agent" billing "$applied" "$events"
    [ "$(sql billing 'SELECT count(*) FROM orders')" = "$events" ] ||
        die 70 "the agent has not applied all rows"
    delete_topics "$prefix\\..*"
}

median() { # RESULT FIELD: of all turns
    local turn
    for ((turn = 1; turn <= turns; turn++)); do
        field "$1_$turn" "$2"
    done | sort -n | sed -n "$(((turns + 1) / 2))p"
}

marks() { # RESULT
    local turn
    for ((turn = 1; turn <= turns; turn++)); do
        mark "$1_$turn"
    done | head -n 1
}

report_ratio() { # TITLE PROGRAM SIZE
    local single whole
    single=$(median "$2_single_$3" events_per_second)
    whole=$(median "$2_whole_$3" events_per_second)
    printf '%-44s %9s %9s %7s%s\n' "$1, transactions of $3 rows" "$single" "$whole" \
        "$(awk -v a="$whole" -v b="$single" 'BEGIN { printf "%.2f", a / b }')" \
        "$(marks "$2_whole_$3")"
}

report() {
    local size
    printf '%-44s %9s %9s %7s\n' "== $kind: $events events, events/s" single whole ratio
    for size in $sizes; do
        report_ratio relay relay "$size"
    done
    for size in $sizes; do
        report_ratio agent agent "$size"
    done
}

kinds=$(kinds_of "${1:-sqlite}")
begin
compile bare_latency stopwatch
start_kafka
make_schemas
warm_kafka
for kind in $kinds; do
    out=$bin/whole/$kind
    mkdir -p "$out"
    rm -f "$out"/*.json
    noise_of=()
    start_server
    wait_for_calm
    for size in $sizes; do
        for ((turn = 1; turn <= turns; turn++)); do
            for mode in "${modes[@]}"; do
                measure_mode "$size" "$mode" "$turn"
            done
        done
    done
    noise_note "$(report)" | tee "$out/report.txt"
    noise_json >"$out/noise.json"
    stop_server
done
echo "JSON: build/bench/whole/*/*.json"
