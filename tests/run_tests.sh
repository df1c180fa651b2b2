#!/usr/bin/env bash
# Runs the test programs of one build folder and counts their tests.
#
#   tests/run_tests.sh [--label LABEL] [--totals FILE] [--name NAME]... BUILD TIER...
#
# TIER: unit, conformance, tidy, model, e2e, fuzz. A program has a label if its source says "labels: LABEL"
# in a comment. With --label only such programs run. One labelled "alone" runs when no other does,
# because it measures under a load of its own. One labelled "early" takes long, and begins first.
# With --totals the counts are added to FILE, and the caller prints them. Without it the last line is
# "N passed, N failed, N skipped". A tier's summary has the reasons of skipped tests, and the lines
# "note: TEXT" that programs print.
set -uo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
label=
totals=
names=()
while [[ ${1:-} == --* ]]; do
    case $1 in
    --label) label=$2 ;;
    --totals) totals=$2 ;;
    --name) names+=("$2") ;;
    *) echo "run_tests.sh: unknown option $1" >&2 && exit 64 ;;
    esac
    shift 2
done
build=${1:?build folder}
shift

logs=$(mktemp -d "${TMPDIR:-/tmp}/keepstep-logs-XXXXXX")
trap 'rm -rf "$logs"' EXIT
SLOW_SECONDS=30 # programs that take this long are listed
all_passed=0 all_failed=0 all_skipped=0

has_label() { # SOURCE LABEL
    grep -q "labels:.*\b$2\b" "$1"
}

limit_of() { # TIER: seconds for one program
    case $1 in
    unit) echo "${TEST_LIMIT_UNIT:-120}" ;;
    conformance | model) echo "${TEST_LIMIT_CONFORMANCE:-300}" ;;
    e2e) echo "${TEST_LIMIT_E2E:-900}" ;;
    *) echo 120 ;;
    esac
}

programs_of() { # TIER: one line "NAME PROGRAM" each
    local source name
    case $1 in
    tidy | model) set -- "$root/tests/$1"/check*.sh ;;
    fuzz) set -- "$root"/tests/fuzz/fuzz_*.c ;;
    *) set -- "$root/tests/$1"/test_*.c ;;
    esac
    for source in "$@"; do
        [ -e "$source" ] || continue
        [ -z "$label" ] || has_label "$source" "$label" || continue
        name=$(basename "${source%.*}")
        [ "${#names[@]}" -eq 0 ] || [[ " ${names[*]} " == *" $name "* ]] || continue
        case $source in
        *.sh) echo "$name $source" ;;
        *) echo "$name $build/tests/$(basename "$(dirname "$source")")/$name" ;;
        esac
    done
}

run_fuzz() { # NAME PROGRAM: prints what a test program prints
    local corpus=$logs/$1.corpus seconds=${TEST_FUZZ_SECONDS:-10}
    mkdir -p "$corpus"
    [ ! -d "$root/tests/fuzz/corpus/$1" ] || cp -r "$root/tests/fuzz/corpus/$1/." "$corpus"
    if (cd "$logs" && timeout -k 5 $((seconds + 50)) "$2" \
        -max_total_time="$seconds" -timeout=5 -verbosity=0 "$corpus"); then
        echo "[       OK ] $1"
    else
        echo "[  FAILED  ] $1"
    fi
    echo "[==========] 1 test(s) run."
}

run_program() { # TIER NAME PROGRAM
    if [ ! -x "$3" ]; then
        echo "the program $3 was not built"
        return 127
    fi
    if [ "$1" = fuzz ]; then
        run_fuzz "$2" "$3"
    else
        timeout -k 5 "$(limit_of "$1")" "$3"
    fi
}

# Prints "PASSED FAILED SKIPPED FINISHED". The program's summary repeats failures; it is not counted.
count() {
    awk '/^\[=+\] [0-9]+ test\(s\) run/ { finished = 1 }
        finished { next }
        /^\[ +OK \] / { passed++ }
        /^\[ +FAILED +\] / { failed++ }
        /^\[ +SKIPPED +\] / { skipped++ }
        END { print passed + 0, failed + 0, skipped + 0, finished + 0 }' "$1"
}

run_one() { # TIER NAME PROGRAM
    local started=$SECONDS
    run_program "$1" "$2" "$3" >"$logs/$2.log" 2>&1 </dev/null
    echo $? >"$logs/$2.code"
    echo "$((SECONDS - started)) $2" >>"$logs/seconds"
}

jobs_of() { # TIER: how many programs run at a time; most of them mostly wait
    case $1 in
    fuzz) nproc ;;
    e2e) echo $(($(nproc) * 2)) ;;
    *) echo $(($(nproc) + 1)) ;;
    esac
}

run_all() { # TIER PROGRAM...: "NAME PROGRAM" each
    local tier=$1 name program most
    most=${TEST_JOBS:-$(jobs_of "$1")}
    local -a alone=() early=() rest=()
    shift
    for program in "$@"; do
        name=$root/tests/$tier/${program%% *}.c
        if has_label "$name" alone 2>/dev/null; then
            alone+=("$program")
        elif has_label "$name" early 2>/dev/null; then
            early+=("$program")
        else
            rest+=("$program")
        fi
    done
    for program in ${early[@]+"${early[@]}"} ${rest[@]+"${rest[@]}"}; do
        [ "$(jobs -rp | wc -l)" -lt "$most" ] || wait -n
        run_one "$tier" "${program%% *}" "${program#* }" &
    done
    wait
    for program in ${alone[@]+"${alone[@]}"}; do
        run_one "$tier" "${program%% *}" "${program#* }"
    done
}

run_tier() { # TIER
    local tier=$1 started=$SECONDS passed=0 failed=0 skipped=0 name program code p f s finished
    local -a programs
    mapfile -t programs < <(programs_of "$tier")
    [ "${#programs[@]}" -gt 0 ] || return 0
    : >"$logs/notes"
    : >"$logs/seconds"
    run_all "$tier" "${programs[@]}"
    while read -r name program; do
        code=$(cat "$logs/$name.code")
        read -r p f s finished < <(count "$logs/$name.log")
        # A crash, the program's time limit or a leak at exit fails the program, though no test does.
        if [ "$finished" = 0 ]; then
            grep -q '^\[  FAILED  \] .*(over its time limit)$' "$logs/$name.log" || f=$((f + 1))
        elif [ "$code" -ne 0 ] && [ "$f" -eq 0 ]; then
            f=1
        fi
        passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
        sed -n "s/^skip: /  skipped: $name: /p; s/^note: /  $name: /p" "$logs/$name.log" \
            >>"$logs/notes"
        if [ "$f" -gt 0 ]; then
            echo "--- $tier/$name failed (exit code $code):"
            cat "$logs/$name.log"
            echo "--- end of $tier/$name"
        fi
    done < <(printf '%s\n' "${programs[@]}")
    echo "$tier: $passed passed, $failed failed, $skipped skipped in $((SECONDS - started)) s"
    cat "$logs/notes"
    sort -rn "$logs/seconds" |
        awk -v least="$SLOW_SECONDS" '$1 >= least { printf "  %s: %d s\n", $2, $1 }'
    all_passed=$((all_passed + passed))
    all_failed=$((all_failed + failed))
    all_skipped=$((all_skipped + skipped))
}

for tier in "$@"; do
    run_tier "$tier"
done
if [ -n "$totals" ]; then
    echo "$all_passed $all_failed $all_skipped" >>"$totals"
else
    echo "$all_passed passed, $all_failed failed, $all_skipped skipped"
fi
[ "$all_failed" -eq 0 ]
