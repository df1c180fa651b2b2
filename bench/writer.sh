#!/usr/bin/env bash
# What capture costs a service: its own transactions on a table that is captured, beside the same on one
# that is not. bench/run.sh sources it; alone it needs no Kafka:
#
#   bench/writer.sh [sqlite|postgresql|mariadb|all]     (after ./run build)
#
# BENCH_TRANSACTIONS   one-row transactions of each kind in a round (5000)
# BENCH_ROUNDS         rounds; the least CPU time of them counts (5)
#
# No relay runs meanwhile, and no commit waits for the disk. Results are in build/bench/DATABASE/writer.json.

# The table without capture, with the same rows, and the numbers 0 to 999.
make_plains() {
    local columns='LIKE orders' # MariaDB
    sql shop "DROP TABLE IF EXISTS plains; DROP TABLE IF EXISTS thousand" 2>/dev/null
    case $kind in
    sqlite) columns=$(sql shop "SELECT substr(sql, instr(sql, '(')) FROM sqlite_schema
        WHERE name = 'orders'") ;;
    postgresql) columns='(LIKE orders INCLUDING ALL)' ;;
    esac
    sql shop "CREATE TABLE plains $columns"
    sql shop "INSERT INTO plains SELECT * FROM orders"
    sql shop "CREATE TABLE thousand (n bigint PRIMARY KEY)"
    sql shop "INSERT INTO thousand WITH RECURSIVE t (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM t
        WHERE n < 999) SELECT n FROM t"
    [ "$kind" != postgresql ] || sql shop "VACUUM ANALYZE"
}

part_writer() {
    make_plains
    observe writer run_writer
}

run_writer() {
    "$bin/writer" "$(url shop)" "${BENCH_TRANSACTIONS:-5000}" "${BENCH_ROUNDS:-5}" \
        >"$out/writer.json" || die 70 "writer: no result"
}

report_writer() {
    local name title
    printf '%-58s %12s %12s %7s%s\n' "CPU of a row that the service writes, $kind, us" captured plain \
        ratio "$(mark writer)"
    for name in insert update delete insert_1000 update_1000 delete_1000; do
        title="$name of one row, a transaction"
        [[ $name != *_1000 ]] || title="${name%_1000} of 1,000 rows, each row"
        printf '%-58s %12s %12s %7s\n' "$title" "$(field writer "${name}_captured_cpu_us")" \
            "$(field writer "${name}_plain_cpu_us")" "$(field writer "${name}_cpu_ratio")"
    done
}

[ "${BASH_SOURCE[0]}" = "$0" ] || return 0

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=bench/lib.sh
. bench/lib.sh
events=20000 # rows that are there before
bootstrap=127.0.0.1:1
kinds=$(kinds_of "${1:-all}")
begin
compile writer
for kind in $kinds; do
    prefix=$kind
    out=$bin/$kind
    mkdir -p "$out"
    make_schemas
    start_server
    empty_database shop
    configure shop publish
    "make_rows_$kind" >/dev/null
    init shop
    part part_writer
    noise_note "$(report_writer)"
    stop_server
done
