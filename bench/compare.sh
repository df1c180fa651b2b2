#!/usr/bin/env bash
# Compares programs that were measured in turns: for each figure the median of its turns, by program.
#
#   bench/compare.sh FOLDER NAME...     FOLDER/NAME-TURN/*.json are results of bench/run.sh
#
# The first program is the one that the others are compared with. A turn whose figure is noisy counts
# only if all turns of that program are.
set -euo pipefail

folder=$1
shift
names=("$@")

# FIGURE FIELD TITLE.
figures="agent events_per_second agent, events/s
ratios agent_of_bare_store agent: ratio to bare upserts
relay events_per_second relay, events/s
ratios relay_of_bare_claims relay: ratio to reading and numbering
ratios relay_of_bare_producer relay: ratio to librdkafka alone
latency p50_ms commit to applied, p50 ms
latency p99_ms commit to applied, p99 ms
latency commit_p50_ms the service's own COMMIT, p50 ms
ratios p50_over_alone_ms commit to applied over librdkafka alone, p50 ms
ratios p99_over_alone_ms commit to applied over librdkafka alone, p99 ms
writer insert_cpu_ratio writer: captured INSERT to a plain one, CPU
writer update_cpu_ratio writer: captured UPDATE to a plain one, CPU
writer delete_cpu_ratio writer: captured DELETE to a plain one, CPU
cold_start first_seconds from an agent's start to its first event, s
memory relay_peak_kib publishing a backlog, peak KiB
memory agent_peak_kib applying a backlog, peak KiB"

number() { # FILE FIELD: prints nothing if there is none
    sed -n "s/.*\"$2\": \\(-\\{0,1\\}[0-9.]*\\).*/\\1/p" "$1" 2>/dev/null || true
}

# values NAME FIGURE FIELD: one line a turn: the value, and whether it is noisy (1 or 0).
values() {
    local turn noisy what=$2
    [ "$what" != ratios ] || what=${3%%_*} # the figure that the ratio is about
    [[ $3 != p??_over* ]] || what=latency
    for turn in "$folder/$1"-*/; do
        noisy=0
        ! grep -qE "\"$what\": \{\"noisy\": true" "$turn/noise.json" 2>/dev/null || noisy=1
        echo "$(number "$turn/$2.json" "$3") $noisy"
    done
}

median() { # reads lines of values()
    sort -n | awk '
        NF < 2 { next } # no such figure
        { if ($2) { noisy[++noisy_count] = $1 } else { calm[++calm_count] = $1 } }
        END {
            if (calm_count) print calm[int((calm_count + 1) / 2)]
            else if (noisy_count) print noisy[int((noisy_count + 1) / 2)] "*"
            else print "-"
        }'
}

printf '== %-52s' "$(basename "$folder"): medians of turns"
printf '%14s' "${names[@]}"
printf '  to %s\n' "${names[0]}"
while read -r figure field title; do
    printf '%-55s' "$title"
    first=
    ratios=
    for name in "${names[@]}"; do
        value=$(values "$name" "$figure" "$field" | median)
        printf '%14s' "$value"
        [ -n "$first" ] && ratios+=$(awk -v a="${value%\*}" -v b="${first%\*}" \
            'BEGIN { if (a + 0 <= 0 || b + 0 <= 0) print "     -"; else printf "  %.2f", a / b }')
        first=${first:-$value}
    done
    printf '%s\n' "$ratios"
done <<<"$figures"
echo "* noisy in all turns"
