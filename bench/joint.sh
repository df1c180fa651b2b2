#!/usr/bin/env bash
# Measures joint transactions: three services with a database each, of one kind.
#
#   bench/joint.sh [sqlite|postgresql|mariadb|all]     (after ./run build; "./run bench joint" does both)
#
# shop proposes that a row be changed at shop and bank, or at shop, bank and web. Measured are
#   latency    from the begin of the INSERT until the shop's row says "committed", at BENCH_RATE a second:
#              each transaction wants other rows, or all want the same (hot). An entity serves one of
#              them at a time, so a rate above that of "at once" only makes a queue
#   at once    transactions a second where all are proposed as fast as one connection can
#   reserved   from the INSERT of an entity's name to its DELETE, at the bank, while the latency of three
#              was measured: for so long nobody else may write the row
#   writes     of the service's own, of a table that is joint beside one that is only published, and one
#              that is neither (bench/writer.sh)
#   seata      the latency of the same work by Seata's AT mode, in the same server; and seata_crash, what
#              is seen when Seata's server is killed. Neither by default (bench/peers/seata.sh)
#
# BENCH_PARTS        what is measured ("latency at_once writes")
# BENCH_RATE         proposals a second while the latency is measured (100)
# BENCH_COUNT        proposals of each measurement (1000)
# BENCH_HOT_RATE     proposals a second on the hot row (10)
# KEEPSTEP_BINARY    the program (build/release/keepstep)
#
# Results are in build/bench/joint/DATABASE/*.json. Nothing passes or fails by its speed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=bench/lib.sh
. bench/lib.sh
# shellcheck source=bench/writer.sh
. bench/writer.sh
# shellcheck source=bench/peers/seata.sh
. bench/peers/seata.sh

all_parts=(latency seata seata_crash at_once writes) # in this order
parts=${BENCH_PARTS:-latency at_once writes}
rate=${BENCH_RATE:-100}
hot_rate=${BENCH_HOT_RATE:-10}
count=${BENCH_COUNT:-1000}
rows=1000
services=(shop bank web)

number() { # of the column id
    [ "$kind" = postgresql ] && echo "id::bigint" || echo "id + 0"
}

make_plain_accounts() { # SERVICE
    empty_database "$1"
    [ "$kind" != sqlite ] || sql "$1" "PRAGMA journal_mode=WAL" >/dev/null
    sql "$1" "CREATE TABLE accounts(id bigint PRIMARY KEY, amount bigint NOT NULL)"
    sql "$1" "INSERT INTO accounts WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t
        WHERE n < $rows) SELECT n, 0 FROM t"
}

make_accounts() { # SERVICE
    make_plain_accounts "$1"
    configure "$1" publish "account_$1" "accounts, joint: [shop]"
    init "$1"
}

# When each entity was reserved at the bank, in microseconds, and for how long.
watch_reservations() {
    local now table='CREATE TABLE spans(entity_key varchar(200) PRIMARY KEY, begun bigint NOT NULL)'
    sql bank "$table; CREATE TABLE held(us bigint NOT NULL)"
    case $kind in
    sqlite)
        now="CAST((julianday('now') - 2440587.5) * 86400000000 AS INTEGER)"
        sql bank "CREATE TRIGGER span_begins AFTER INSERT ON keepstep_reserved BEGIN
                INSERT INTO spans VALUES (NEW.entity_key, $now); END;
            CREATE TRIGGER span_ends AFTER DELETE ON keepstep_reserved BEGIN
                INSERT INTO held SELECT $now - begun FROM spans WHERE entity_key = OLD.entity_key;
                DELETE FROM spans WHERE entity_key = OLD.entity_key; END"
        ;;
    postgresql)
        now="(extract(epoch FROM clock_timestamp()) * 1000000)::bigint"
        sql bank "CREATE FUNCTION span() RETURNS trigger LANGUAGE plpgsql AS \$\$ BEGIN
                IF TG_OP = 'INSERT' THEN INSERT INTO spans VALUES (NEW.entity_key, $now); RETURN NEW;
                END IF;
                INSERT INTO held SELECT $now - begun FROM spans WHERE entity_key = OLD.entity_key;
                DELETE FROM spans WHERE entity_key = OLD.entity_key; RETURN OLD; END \$\$;
            CREATE TRIGGER span AFTER INSERT OR DELETE ON keepstep_reserved
                FOR EACH ROW EXECUTE FUNCTION span()"
        ;;
    mariadb)
        now="CAST(unix_timestamp(sysdate(6)) * 1000000 AS signed)"
        sql bank "CREATE TRIGGER span_begins AFTER INSERT ON keepstep_reserved FOR EACH ROW
                INSERT INTO spans VALUES (NEW.entity_key, $now);
            DELIMITER //
            CREATE TRIGGER span_ends AFTER DELETE ON keepstep_reserved FOR EACH ROW BEGIN
                INSERT INTO held SELECT $now - begun FROM spans WHERE entity_key = OLD.entity_key;
                DELETE FROM spans WHERE entity_key = OLD.entity_key; END //"
        ;;
    esac
}

fresh_services() { # [watched]
    local service
    stop_sidecars
    prefix=joint.$kind.$((++prefixes))
    for service in "${services[@]}"; do
        make_accounts "$service"
    done
    [ $# = 0 ] || watch_reservations
    for service in "${services[@]}"; do
        start_sidecar "$service"
    done
    warm_services
}

# Until all three have joined and have decided something.
warm_services() {
    "$bin/joint_latency" "$(url shop)" "$(number)" 20 20 3 "$rows" >"$work/warm.json" ||
        die 70 "nothing is decided: $(tail -qn 3 "$work"/run-*.log)"
}

measure() { # RESULT RATE COUNT SERVICES ROWS
    "$bin/joint_latency" "$(url shop)" "$(number)" "${@:2}" >"$out/$1.json" ||
        die 70 "$1: $(tail -qn 3 "$work"/run-*.log)"
}

reserved_ms() { # SHARE: a quantile of held
    sql bank "SELECT us FROM held ORDER BY us" | awk -v share="$1" '
        { us[NR] = $1 }
        END { at = int(share * NR) + 1; if (at > NR) at = NR; printf "%.2f", us[at] / 1000 }'
}

part_latency() {
    local number
    for number in 2 3; do
        fresh_services watched
        observe "latency_$number" measure "latency_$number" "$rate" "$count" "$number" "$rows"
    done
    printf '{"p50_ms": %s, "p99_ms": %s}\n' "$(reserved_ms 0.5)" "$(reserved_ms 0.99)" \
        >"$out/reserved.json"
    for number in 2 3; do
        fresh_services
        observe "hot_$number" measure "hot_$number" "$hot_rate" $((count / 5)) "$number" 1
    done
}

part_at_once() {
    local number
    for number in 2 3; do
        fresh_services
        observe "at_once_$number" measure "at_once_$number" 0 "$count" "$number" "$rows"
        fresh_services
        observe "hot_at_once_$number" measure "hot_at_once_$number" 0 $((count / 5)) "$number" 1
    done
}

part_writes() { # the same table, joint and not
    local joint
    stop_sidecars
    for joint in "" ", joint: []"; do
        empty_database shop
        configure shop publish order "orders$joint" tick ticks
        "make_rows_$kind" >/dev/null
        init shop
        make_plains
        observe "writer${joint:+_joint}" run_writer
        [ -z "$joint" ] || mv "$out/writer.json" "$out/writer_joint.json"
        [ -n "$joint" ] || mv "$out/writer.json" "$out/writer_published.json"
    done
}

report_line() { # TITLE RESULT
    printf '%-44s %9s %9s %9s %9s %8s%s\n' "$1" "$(field "$2" transactions_per_second)" \
        "$(field "$2" p50_ms)" "$(field "$2" p99_ms)" "$(field "$2" max_ms)" \
        "$(field "$2" aborted)" "$(mark "$2")"
}

report() {
    local word
    printf '%-44s %9s %9s %9s %9s %8s\n' "joint transactions, $kind" per_s p50_ms p99_ms max_ms aborted
    for word in "${all_parts[@]}"; do
        ! measures "$word" || "report_$word"
    done
}

report_latency() {
    report_line "2 participants, $rate/s, rows apart" latency_2
    report_line "3 participants, $rate/s, rows apart" latency_3
    report_line "2 participants, $hot_rate/s, one row" hot_2
    report_line "3 participants, $hot_rate/s, one row" hot_3
    printf '%-44s %9s %9s %9s\n' "an entity is reserved" '' "$(field reserved p50_ms)" \
        "$(field reserved p99_ms)"
}

report_at_once() {
    report_line "2 participants, at once, rows apart" at_once_2
    report_line "3 participants, at once, rows apart" at_once_3
    report_line "2 participants, at once, one row" hot_at_once_2
    report_line "3 participants, at once, one row" hot_at_once_3
}

report_writes() {
    local name
    printf '%-44s %9s %9s %9s\n' "CPU of a row that the service writes, us" joint published plain
    for name in insert update delete; do
        printf '%-44s %9s %9s %9s%s\n' "$name of one row, a transaction" \
            "$(field writer_joint "${name}_captured_cpu_us")" \
            "$(field writer_published "${name}_captured_cpu_us")" \
            "$(field writer_joint "${name}_plain_cpu_us")" "$(mark writer writer_joint)"
    done
}

events=20000 # rows of the table for the writes
kinds=$(kinds_of "${1:-sqlite}")
[[ $parts != *seata* ]] || fetch_seata
begin
compile joint_latency writer bare_latency
start_kafka
make_schemas
schema account_shop id:integer amount:integer
schema account_bank id:integer amount:integer
schema account_web id:integer amount:integer
warm_kafka
for kind in $kinds; do
    out=$bin/joint/$kind
    mkdir -p "$out"
    rm -f "$out"/*.json
    noise_of=()
    port=$(free_port) # Java's drivers know no socket
    start_server "$port"
    for word in "${all_parts[@]}"; do
        ! measures "$word" || part "part_$word"
    done
    noise_note "$(report)" | tee "$out/report.txt"
    noise_json >"$out/noise.json"
    stop_sidecars
    stop_server
done
echo "JSON: build/bench/joint/*/*.json"
