#!/usr/bin/env bash
# Shows where the time of an event goes, from its COMMIT to the row at the peer, at 1,000 events/s.
#
#   bench/stages.sh [sqlite|postgresql|mariadb|all]     ("./run bench stages" builds the program first)
#
# It needs a program with stamps in it: cmake -DKEEPSTEP_STAGES=ON. Relay and agent stamp each event,
# and the bench its COMMIT. The stamps are joined by the event's id. Nobody asks the peer's database
# meanwhile, so that the figures are those of the path alone. The column "slow 1%" is the mean of a step
# over the slowest 1 % of all events: it says where those lose their time.
#
# BENCH_EVENTS      a backlog that is worked off before, so that tables and indexes have grown (1)
# BENCH_UNSETTLED   set: the server does not clean up after the backlog before it is measured
# BENCH_RATE        events per second (1000)
# BENCH_SECONDS     how long (20)
# KEEPSTEP_BINARY   the program (build/stages/keepstep)
#
# Results are in build/bench/DATABASE/stages.json, and all stamps in stages.tsv beside it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export KEEPSTEP_BINARY=${KEEPSTEP_BINARY:-build/stages/keepstep}
events=${BENCH_EVENTS:-1}
# shellcheck source=bench/lib.sh
. bench/lib.sh

rate=${BENCH_RATE:-1000}
seconds=${BENCH_SECONDS:-20}

# The steps of the report: FROM TO TITLE. A stage is named in common/stages.h; "committing" and
# "committed" are the begin and the end of the service's COMMIT.
steps="committing committed the service's COMMIT
committed looked COMMIT's end to the relay's look
looked loaded the look
loaded numbered check and number
numbered claimed the claim's commit
claimed produced hand over to librdkafka
produced polled Kafka: produce to poll
polled begun decode, wait for the batch
begun applied the agent's transaction
committing applied COMMIT's start to applied
produced delivered (beside it) produce to delivery report
claimed delivered (beside it) claim to delivery report"

# stamps_of_commits: prints EVENT STAGE MICROSECONDS for what the bench has stamped. An event is named by
# the last half of its derived id, which holds the row's position.
stamps_of_commits() {
    sql shop "SELECT position, aggregateid FROM outbox WHERE aggregatetype = 'tick'" |
        tr '|\t' '  ' | awk '
            NR == FNR { begun[$1] = $2; ended[$1] = $3; next }
            {
                event = sprintf("8000-%012x", $1)
                tick = $2
                gsub(/[^-0-9]/, "", tick)
                if (tick in begun) {
                    print event, "committing", begun[tick]
                    print event, "committed", ended[tick]
                }
            }' "$work/commits" -
}

# stamps_of_program FILE...: prints the same for what the program has stamped.
stamps_of_program() {
    awk '{ print substr($1, 20), $2, $3 }' "$@"
}

# step_times FROM TO: prints MILLISECONDS EVENT of each event that has both stamps and was counted.
step_times() {
    awk -v from="$1" -v to="$2" '
        $2 == from { begun[$1] = $3 }
        $2 == to { ended[$1] = $3 }
        $2 == "committing" { counted[$1] = 1 }
        END {
            for (event in counted)
                if (event in begun && event in ended)
                    print (ended[event] - begun[event]) / 1000, event
        }' "$out/stages.tsv" | sort -n
}

# slowest_events: prints the slowest 1 % of all events, from COMMIT's start to applied.
slowest_events() {
    step_times committing applied | awk '
        { event[NR] = $2 }
        END { for (i = NR - int((NR + 99) / 100) + 1; i <= NR; i++) print event[i] }'
}

report() {
    local from to title p50 p90 p99 mean slowest count comma=
    slowest_events >"$work/slowest"
    printf '== %-46s %8s %8s %8s %8s %8s %8s%s\n' "$kind at $rate events/s, ms" p50 p90 p99 mean \
        "slow 1%" events "$(mark stages)"
    printf '{"noise": %s, "stages": [' "$(noise_json)" >"$out/stages.json"
    while read -r from to title; do
        read -r p50 p90 p99 mean slowest count < <(step_times "$from" "$to" | awk '
            NR == FNR { is_slow[$1] = 1; next }
            { value[++count] = $1; sum += $1 }
            $2 in is_slow { slow_sum += $1; slow++ }
            function at(share,   place) {
                place = int(share * count) + 1
                return value[place > count ? count : place]
            }
            END {
                printf "%.2f %.2f %.2f %.2f %.2f %d\n", at(0.5), at(0.9), at(0.99),
                    count ? sum / count : 0, slow ? slow_sum / slow : 0, count
            }' "$work/slowest" -)
        printf '%-49s %8s %8s %8s %8s %8s %8s\n' \
            "$title" "$p50" "$p90" "$p99" "$mean" "$slowest" "$count"
        printf '%s{"from": "%s", "to": "%s", "p50_ms": %s, "p90_ms": %s, "p99_ms": %s, "mean_ms": %s, \
"slowest_mean_ms": %s}' "$comma" "$from" "$to" "$p50" "$p90" "$p99" "$mean" "$slowest" \
            >>"$out/stages.json"
        comma=$', \n'
    done <<<"$steps"
    echo ']}' >>"$out/stages.json"
}

# Without stamps: those of a long backlog would leave no room for others.
work_off_backlog() {
    timed backlog_relay shop "$published" "$events"
    timed backlog_agent billing "$applied" "$events"
    [ -n "${BENCH_UNSETTLED:-}" ] || settle
}

part_stages() {
    local writers=4
    [ "$kind" != sqlite ] || writers=1
    rm -f "$work"/*.stages
    fresh_shop
    fresh_billing
    work_off_backlog
    KEEPSTEP_STAGES_FILE=$work/shop.stages start_sidecar shop
    KEEPSTEP_STAGES_FILE=$work/billing.stages start_sidecar billing
    sleep 5
    "$bin/latency" "$(url shop)" "$(url billing)" "$rate" 3 "$writers" >"$work/latency.json"
    observe stages "$bin/latency" "$(url shop)" "$(url billing)" "$rate" "$seconds" "$writers" \
        "$work/commits" >"$work/latency.json"
    stop_sidecars
    [ -s "$work/billing.stages" ] ||
        die 70 "$keepstep writes no stamps: build it with -DKEEPSTEP_STAGES=ON"
    { stamps_of_commits && stamps_of_program "$work/shop.stages" "$work/billing.stages"; } \
        >"$out/stages.tsv"
    grep -q ' committed ' "$out/stages.tsv" || die 70 "no stamp belongs to a COMMIT"
}

begin
compile latency bare_latency stopwatch
start_kafka
warm_kafka
for kind in $(kinds_of "${1:-sqlite}"); do
    out=$bin/$kind
    mkdir -p "$out"
    noise_of=()
    make_schemas
    start_server
    part part_stages
    stop_server
    noise_note "$(report)" | tee "$out/stages.txt"
done
