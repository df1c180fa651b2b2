#!/usr/bin/env bash
# Measures what verify and fill cost: a shop on PostgreSQL, and a copy of its rows on each database.
#
#   bench/copies.sh     (after ./run build; "./run bench copies" does both)
#
# The shop's rows have about 300 bytes. They were there before the log that is left, so each copy has to
# be filled. What follows is measured, for each copy:
#   fill     rows/s from `keepstep fill`'s start to its last row, beside the same rows piped from the
#            shop's database into the copy's by their own programs (COPY, LOAD DATA, .import). Like is
#            compared with like: the same table, and beside both the shop commits its writes and its
#            relay publishes them
#   agent    the same fill by the copy's running sidecar, which gets the rows over Kafka from the shop's:
#            rows/s from its start to its last row, and the largest memory of both sidecars
#   kills    a fill that is killed at random and started again, most times within three seconds, each
#            fifth time anywhere in the time that a fill takes; where there is an agent's fill it is that
#            one, and either sidecar is killed. The copies have to be equal after
#   verify   seconds, beside a query by which the copy's database reads each value of the table once
#   COMMIT   of the service beside a copy, one row each: alone, and while the copy is verified
#
# BENCH_ROWS        rows of the shop (1000000); 10000000 takes an hour and a half, and 35 GiB
# BENCH_WRITES      transactions per second at the shop during a fill and a bare load (1000)
# BENCH_KILLS       kills of one fill (20)
# BENCH_SECONDS     how long the COMMITs alone are measured (20)
# BENCH_COPIES      the databases of the copies ("postgresql mariadb sqlite")
# BENCH_PARTS       what is measured ("bare fill agent verify kills"); verify needs fill, kills needs
#                   fill or agent
# KEEPSTEP_BINARY   the program (build/release/keepstep)
#
# Results are in build/bench/copies/*.json.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
events=0 # of make_rows_postgresql: the rows come later, past the triggers
# shellcheck source=bench/lib.sh
. bench/lib.sh

rows=${BENCH_ROWS:-1000000}
writes=${BENCH_WRITES:-1000}
kills=${BENCH_KILLS:-20}
seconds=${BENCH_SECONDS:-20}
copies=${BENCH_COPIES:-postgresql mariadb sqlite}
parts=${BENCH_PARTS:-bare fill agent verify kills}
limit=$((limit + rows / 2000)) # that of lib.sh, for as many rows
columns=id,customer,state,total,note,created_at
update="UPDATE orders SET state = 'paid', total = total + 1 WHERE id = ?"

of_shop() { # COMMAND...: with the shop's database
    local kind=postgresql
    "$@"
}

make_shop() {
    empty_database shop
    configure shop publish
    make_rows_postgresql
    init shop
    sql shop "ALTER TABLE orders DISABLE TRIGGER USER"
    insert_rows_postgresql "$rows"
    sql shop "ALTER TABLE orders ENABLE TRIGGER USER"
    init shop # one of them is to run always
    sql shop "VACUUM ANALYZE orders"
}

make_copy() {
    empty_database billing
    configure billing apply
    init billing
    make_own_table
}

# A table of the service itself; nothing publishes it.
make_own_table() {
    sql billing "CREATE TABLE notes(id bigint PRIMARY KEY, note varchar(60) NOT NULL)"
    sql billing "INSERT INTO notes WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t
        WHERE n < 900) SELECT n, $note FROM t"
}

# bare_load: the shop's rows, from one database's own program to the other's.
bare_load() {
    local from="\\copy (SELECT $columns FROM orders) TO STDOUT"
    case $kind in
    postgresql)
        sql billing "CREATE TABLE bare (LIKE orders INCLUDING ALL)"
        of_shop sql shop "$from" | sql billing "\\copy bare FROM STDIN"
        ;;
    mariadb)
        sql billing "CREATE TABLE bare LIKE orders"
        of_shop sql shop "$from" | mariadb --no-defaults --local-infile=1 -u root \
            -S "$work/mariadb/socket" -e "LOAD DATA LOCAL INFILE '/dev/stdin' INTO TABLE bare
                CHARACTER SET utf8mb4 ($columns)" billing
        ;;
    sqlite)
        sql billing "$(sql billing "SELECT replace(sql, 'orders', 'bare') FROM sqlite_schema
            WHERE name = 'orders'")"
        of_shop sql shop "$from" | sqlite3 "$work/billing.db" "PRAGMA synchronous=NORMAL" \
            ".mode tabs" ".import /dev/stdin bare"
        ;;
    esac
}

fill() { # ends the shell that it runs in
    exec "$keepstep" fill order -c "$work/billing.yaml" --from-config "$work/shop.yaml" --json
}

# watched RESULT COMMAND...: runs it, and notes its seconds and its largest memory.
watched() {
    local begun=${EPOCHREALTIME/[.,]/} process peak=0 now
    "${@:2}" >"$work/$1.out" 2>"$work/$1.log" &
    process=$!
    while kill -0 "$process" 2>/dev/null; do
        now=$(memory "$process" VmHWM 2>/dev/null || true)
        peak=${now:-$peak}
        sleep 0.05
    done
    wait "$process" || [ $? = 75 ] || die 70 "$1: $(tail -n 3 "$work/$1.log")"
    awk -v us=$((${EPOCHREALTIME/[.,]/} - begun)) -v kib="$peak" -v rows="$rows" 'BEGIN {
        printf "{\"seconds\": %.2f, \"rows_per_second\": %.0f, \"peak_kib\": %d}\n", us / 1e6,
            rows * 1e6 / us, kib }' >"$out/$1.json"
}

# beside RESULT WRITERS URL RATE FIRST LAST SQL COMMAND...: runs the command while COMMITs are measured.
# The rate is that of each writer; the first one's figures are the result.
beside() {
    local i writers=()
    for ((i = 0; i < $2; i++)); do
        "$bin/commits" "$3" "$4" 86400 "$5" "$6" "$7" >"$work/commits-$i.json" &
        writers+=("$!")
    done
    started+=("${writers[@]}")
    sleep 1
    "${@:8}"
    kill "${writers[@]}"
    wait "${writers[@]}"
    cp "$work/commits-0.json" "$out/$1.json"
}

beside_writes() { # RESULT COMMAND...: while the shop writes
    beside "$1" 4 "$(of_shop url shop)" $((writes / 4)) 1 "$rows" "$update" "${@:2}"
}

part_bare() {
    stop_sidecars # of a try before
    make_copy
    of_shop start_sidecar shop
    observe "bare-$kind" beside_writes "writes-bare-$kind" watched "bare-$kind" bare_load
    sql billing "DROP TABLE bare"
}

part_fill() {
    stop_sidecars
    make_copy
    of_shop start_sidecar shop
    observe "fill-$kind" beside_writes "writes-$kind" watched "fill-$kind" fill
    start_sidecar billing
    wait_until_complete
    verify_is_equal
}

# A copy whose agent will have it filled, although the log is whole.
make_copy_to_fill() {
    make_copy
    sed -i 's/{table: orders}/{table: orders, fill: always, fill_from: shop}/' "$work/billing.yaml"
}

wait_until_filled() {
    local i stage
    for ((i = 0; i < limit * 4; i++)); do
        stage=$(sql billing "SELECT stage FROM keepstep_fill" 2>/dev/null || true)
        [[ $stage != @(replaying|done) ]] || return 0
        sleep 0.25
    done
    die 70 "the copy on $kind is not filled: ${stage:-not begun}: $(tail -n 3 "$work/run-billing.log")"
}

fill_by_agent() { # RESULT PROCESS-OF-THE-SHOP
    local begun=${EPOCHREALTIME/[.,]/} taken
    start_sidecar billing
    wait_until_filled
    taken=$((${EPOCHREALTIME/[.,]/} - begun))
    awk -v us="$taken" -v rows="$rows" -v kib="$(memory "${started[-1]}" VmHWM)" \
        -v source_kib="$(memory "$2" VmHWM)" 'BEGIN {
        printf "{\"seconds\": %.2f, \"rows_per_second\": %.0f, \"peak_kib\": %d, \"source_peak_kib\": %d}\n",
            us / 1e6, rows * 1e6 / us, kib, source_kib }' >"$out/$1.json"
}

part_agent() {
    stop_sidecars
    make_copy_to_fill
    of_shop start_sidecar shop
    observe "agent-$kind" beside_writes "writes-agent-$kind" fill_by_agent "agent-$kind" "${started[-1]}"
    wait_until_complete
    verify_is_equal
}

# A copy has caught up when the relay has published all, and the agent has applied it.
wait_until_complete() {
    local i
    for ((i = 0; i < limit * 5; i++)); do
        [ "$("$keepstep" lag --json -c "$work/billing.yaml" 2>/dev/null |
            grep -o '"lag_records": *[0-9]*' | awk -F: '{ sum += $2 } END { print sum + 0 }')" != 0 ] ||
            return 0
        sleep 0.2
    done
    die 70 "the copy on $kind has not caught up"
}

verify() { # likewise
    exec "$keepstep" verify order -c "$work/shop.yaml" --with "$work/billing.yaml" --json
}

verify_is_equal() {
    (verify) >"$work/verify.out" || die 70 "the copy on $kind is not equal: $(cat "$work/verify.out")"
}

# A copy that is filled while those who do it are killed again and again, and while the shop writes.
part_kills() {
    local begun=$SECONDS count=0
    if measures agent; then
        make_copy_to_fill
        beside_writes "writes-kills-$kind" kill_sidecars
    else
        make_copy
        of_shop start_sidecar shop
        beside_writes "writes-kills-$kind" fill_and_kill
        start_sidecar billing
    fi
    wait_until_complete
    verify_is_equal
    killed+="a fill into $kind: $count kills, equal after $((SECONDS - begun)) s"$'\n'
}

kill_sidecars() {
    local -A process
    local victim
    of_shop start_sidecar shop
    process[shop]=${started[-1]}
    start_sidecar billing
    process[billing]=${started[-1]}
    while [ "$count" -lt "$kills" ]; do
        wait_for_kill "agent-$kind"
        victim=billing
        ((RANDOM % 2)) || victim=shop
        kill -KILL "${process[$victim]}"
        wait "${process[$victim]}" 2>/dev/null || true
        of_shop start_sidecar "$victim"
        process[$victim]=${started[-1]}
        count=$((count + 1))
    done
    wait_until_filled
}

# Before the next kill: each fifth time anywhere in a fill.
wait_for_kill() { # RESULT of an undisturbed one
    local seconds_max=3
    [ $((count % 5)) != 4 ] || seconds_max=$(field "$1" seconds)
    sleep "$(awk -v r=$RANDOM -v most="$seconds_max" 'BEGIN { printf "%.2f", r / 32768 * most }')"
}

fill_and_kill() {
    local process code
    while :; do
        fill >"$work/kill.out" 2>"$work/kill.log" &
        process=$!
        if [ "$count" -lt "$kills" ]; then
            wait_for_kill "fill-$kind"
            kill -KILL "$process" 2>/dev/null || true
        fi
        code=0
        wait "$process" 2>/dev/null || code=$?
        [ "$code" = 137 ] || break
        count=$((count + 1))
    done
    [ "$code" = 0 ] || die 70 "a fill into $kind: $(tail -n 3 "$work/kill.log")"
}

# Each value of the table is read once, by the database itself.
bare_scan() {
    case $kind in
    postgresql) sql billing "SELECT sum(hashtextextended(t::text, 0)) FROM orders t" ;;
    mariadb) sql billing "CHECKSUM TABLE orders EXTENDED" ;;
    sqlite) sql billing "SELECT sum(length(id || customer || state || total || note || created_at))
        FROM orders" ;;
    esac
}

part_verify() {
    local own="UPDATE notes SET note = 'seen' WHERE id = ?"
    observe "scan-$kind" watched "scan-$kind" bare_scan
    observe "verify-$kind" watched "verify-$kind" verify
    observe "commits-$kind" run_commits "commits-$kind" "$own"
    observe "commits-beside-$kind" beside "commits-beside-$kind" 1 "$(url billing)" 200 1 900 \
        "$own" verify_is_equal
}

run_commits() { # RESULT SQL
    "$bin/commits" "$(url billing)" 200 "$seconds" 1 900 "$2" >"$out/$1.json"
}

ratio() { # RESULT FIELD OTHER
    awk -v a="$(field "$1" "$2")" -v b="$(field "$3" "$2")" 'BEGIN { printf "%.2f", (b > 0 ? a / b : 0) }'
}

peak_mib() { # RESULT [FIELD]
    awk -v kib="$(field "$1" "${2:-peak_kib}")" 'BEGIN { printf "%d", kib / 1024 }'
}

report() {
    ! measures fill || report_fill
    ! measures agent || report_agent
}

report_fill() {
    local kind
    printf '== %-13s %10s %8s %9s   %8s %8s %9s   %s\n' "$rows rows" "fill, k/s" "of bare" "peak, MiB" \
        "verify, s" "of scan" "peak, MiB" "COMMIT alone, beside verify: p50, p99 ms"
    for kind in $copies; do
        printf '%-16s %10s %8s %9s   %8s %8s %9s   %s, %s   %s, %s%s\n' "$kind" \
            "$(awk -v r="$(field "fill-$kind" rows_per_second)" 'BEGIN { printf "%.1f", r / 1000 }')" \
            "$(ratio "fill-$kind" rows_per_second "bare-$kind")" \
            "$(peak_mib "fill-$kind")" "$(field "verify-$kind" seconds)" \
            "$(ratio "verify-$kind" seconds "scan-$kind")" \
            "$(peak_mib "verify-$kind")" \
            "$(field "commits-$kind" p50_ms)" "$(field "commits-$kind" p99_ms)" \
            "$(field "commits-beside-$kind" p50_ms)" "$(field "commits-beside-$kind" p99_ms)" \
            "$(mark "bare-$kind" "fill-$kind" "verify-$kind" "commits-beside-$kind")"
    done
}

report_agent() {
    local kind
    printf '== %-13s %10s %8s %22s\n' "by sidecars" "fill, k/s" "of bare" "peaks, copy source MiB"
    for kind in $copies; do
        printf '%-16s %10s %8s %22s%s\n' "$kind" \
            "$(awk -v r="$(field "agent-$kind" rows_per_second)" 'BEGIN { printf "%.1f", r / 1000 }')" \
            "$(ratio "agent-$kind" rows_per_second "bare-$kind")" \
            "$(peak_mib "agent-$kind") $(peak_mib "agent-$kind" source_peak_kib)" \
            "$(mark "agent-$kind")"
    done
}

begin
out=$bin/copies
mkdir -p "$out"
rm -f "$out"/*.json # of a run that measured other parts
compile commits bare_latency
start_kafka
warm_kafka
for kind in postgresql mariadb; do
    start_server
done
prefix=copies
killed=
make_schemas
of_shop make_shop
for kind in $copies; do
    for name in bare fill verify agent; do
        ! measures "$name" || part "part_$name"
    done
    stop_sidecars
    [ "$kills" = 0 ] || ! measures kills || part_kills
    stop_sidecars
done
noise_note "$(report)
$killed" | tee "$out/copies.txt"
noise_json >"$out/noise.json"
