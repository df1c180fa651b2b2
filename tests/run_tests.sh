#!/usr/bin/env bash
# Runs the test programs of one build folder and counts their tests.
#
#   tests/run_tests.sh [--title TITLE] [--label LABEL] [--results FOLDER] [--name NAME]... BUILD TIER...
#
# TIER: unit, conformance, tidy, model, e2e, fuzz. A program has a label if its source says "labels: LABEL"
# in a comment. With --label only such programs run. One labelled "alone" runs when no other does,
# because it measures under a load of its own. One labelled "early" takes long, and begins first.
#
# The programs of all tiers share the places: TEST_JOBS of them, twice the processors by default,
# because most programs mostly wait. Several of these scripts share the places of a pipe that has a
# byte for each free one, and whose descriptor TEST_PLACES names.
#
# A program that fails is told at once, with all that it printed. The reasons come once more at the end.
# With --results both the counts and these reasons are added to FOLDER, and the caller prints them.
# Without it the last line is "N passed, N failed, N skipped". A tier's summary has the reasons of
# skipped tests, the lines "note: TEXT" that programs print, and the programs that took longest.
set -uo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
title=
label=
results=
names=()
while [[ ${1:-} == --* ]]; do
    case $1 in
    --title) title="$2, " ;;
    --label) label=$2 ;;
    --results) results=$2 ;;
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
REASON_LINES=40 # of a failed test that are repeated at the end
jobs=${TEST_JOBS:-$(($(nproc) * 2))}
all_passed=0 all_failed=0 all_skipped=0

has_label() { # SOURCE LABEL
    grep -q "labels:.*\b$2\b" "$1"
}

limit_of() { # TIER: seconds for one program
    case $1 in
    unit) echo "${TEST_LIMIT_UNIT:-240}" ;;
    conformance | model) echo "${TEST_LIMIT_CONFORMANCE:-600}" ;;
    e2e) echo "${TEST_LIMIT_E2E:-1800}" ;;
    *) echo 120 ;;
    esac
}

programs_of() { # TIER: one line "ORDER TIER NAME PROGRAM" each
    local tier=$1 source name order
    case $tier in
    tidy | model) set -- "$root/tests/$tier"/check*.sh ;;
    fuzz) set -- "$root"/tests/fuzz/fuzz_*.c ;;
    *) set -- "$root/tests/$tier"/test_*.c ;;
    esac
    for source in "$@"; do
        [ -e "$source" ] || continue
        [ -z "$label" ] || has_label "$source" "$label" || continue
        name=$(basename "${source%.*}")
        [ "${#names[@]}" -eq 0 ] || [[ " ${names[*]} " == *" $name "* ]] || continue
        order=normal
        if has_label "$source" early; then order=early; fi
        if has_label "$source" alone; then order=alone; fi
        case $source in
        *.sh) echo "$order $tier $name $source" ;;
        *) echo "$order $tier $name $build/tests/$tier/$name" ;;
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
        # In a session of its own: what it does to its group does not reach who ends it.
        timeout -k 5 "$(limit_of "$1")" setsid "$3"
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

# Prints what each failed test has printed and, of a program that did not finish, its last lines.
reasons() { # LOG
    awk -v most="$REASON_LINES" '
        function show(from) {
            for (from = count > most ? count - most : 0; from < count; from++)
                print lines[from]
            count = 0
            shown = 1
        }
        /^\[=+\] [0-9]+ test\(s\) run/ { finished = 1; count = 0 }
        finished && shown { next }
        /^\[ +(RUN|OK|SKIPPED) +\] / { count = 0 }
        { lines[count++] = $0 }
        /^\[ +FAILED +\] / { show() }
        END {
            if (!finished || !shown)
                show()
        }' "$1"
}

# Tells of it in one piece, because others tell of theirs.
tell_failure() { # TIER/NAME LOG CODE
    {
        echo "--- $title$1 (exit code $3):"
        reasons "$2"
    } >"$2.failed"
    (
        flock 7
        echo "--- $title$1 failed (exit code $3):"
        cat "$2"
        echo "--- end of $title$1"
    ) 7>"${results:-$logs}/telling"
}

run_one() { # TIER NAME PROGRAM
    local log=$logs/$1.$2.log code p f s finished
    local TIMEFORMAT='%0R %U %S'
    { time run_program "$1" "$2" "$3" >"$log" 2>&1 </dev/null; } 2>"$log.time" 6>&- 8>&-
    code=$?
    read -r p f s finished < <(count "$log")
    # A crash, the program's time limit or a leak at exit fails the program, though no test does.
    if [ "$finished" = 0 ]; then
        grep -q '^\[  FAILED  \] .*(over its time limit)$' "$log" || f=$((f + 1))
    elif [ "$code" -ne 0 ] && [ "$f" -eq 0 ]; then
        f=1
    fi
    echo "$p $f $s" >"$log.counts"
    [ "$f" -eq 0 ] || tell_failure "$1/$2" "$log" "$code"
}

open_places() {
    if [ -n "${TEST_PLACES:-}" ]; then
        exec 8<&"$TEST_PLACES" 8>&"$TEST_PLACES"
        return
    fi
    mkfifo "$logs/places"
    exec 8<>"$logs/places"
    leave_places "$jobs"
}

take_places() { # COUNT
    read -r -N "$1" -u 8 _
}

leave_places() { # COUNT
    printf '%*s' "$1" '' >&8
}

run_all() { # PROGRAM...: lines of programs_of()
    local line order tier name program
    local -a alone
    open_places
    while read -r order tier name program; do
        take_places 1
        {
            trap 'leave_places 1' EXIT # also where this, or what it waits for, is ended
            (run_one "$tier" "$name" "$program")
        } &
    done < <(printf '%s\n' "$@" | grep '^early'; printf '%s\n' "$@" | grep '^normal')
    wait
    mapfile -t alone < <(printf '%s\n' "$@" | grep '^alone')
    [ "${#alone[@]}" -gt 0 ] || return 0
    exec 6>"${results:-$logs}/alone"
    flock 6 # two that each have some of the places would wait for each other
    take_places "$jobs" # once: whoever runs must end first, and meanwhile nobody else begins
    while read -r order tier name program; do
        run_one "$tier" "$name" "$program"
    done < <(printf '%s\n' "${alone[@]}")
    leave_places "$jobs"
    flock -u 6
}

sum_up() { # TIER
    local log passed=0 failed=0 skipped=0 p f s name
    for log in "$logs/$1".*.log; do
        [ -e "$log" ] || return 0
        read -r p f s <<<"$(cat "$log.counts" 2>/dev/null)"
        [ -n "$s" ] || p=0 f=1 s=0 # nobody has seen its end
        passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
    done
    echo "$title$1: $passed passed, $failed failed, $skipped skipped"
    for log in "$logs/$1".*.log; do
        name=$(basename "${log%.log}")
        name=${name#*.}
        sed -n "s/^skip: /  skipped: $name: /p; s/^note: /  $name: /p" "$log"
    done
    for log in "$logs/$1".*.log; do
        name=$(basename "${log%.log}")
        echo "$(cat "$log.time") ${name#*.}"
    done | sort -rn | awk -v least="$SLOW_SECONDS" \
        '$1 >= least { printf "  %s: %d s (%d s of a processor)\n", $4, $1, $2 + $3 }'
    all_passed=$((all_passed + passed))
    all_failed=$((all_failed + failed))
    all_skipped=$((all_skipped + skipped))
}

mapfile -t programs < <(for tier in "$@"; do programs_of "$tier"; done)
[ "${#programs[@]}" -gt 0 ] || { echo "${title}no test program of $*" >&2; exit 1; }
run_all "${programs[@]}"
ran=("$logs"/*.log)
if [ "${#ran[@]}" -ne "${#programs[@]}" ]; then
    echo "${title}${#ran[@]} of ${#programs[@]} programs have run" >&2
    all_failed=1
fi
for tier in "$@"; do
    sum_up "$tier"
done
echo "${title}all of these: $SECONDS s"
if [ -n "$results" ]; then
    echo "$all_passed $all_failed $all_skipped" >>"$results/counts"
    cat "$logs"/*.failed >>"$results/failures" 2>/dev/null
else
    cat "$logs"/*.failed 2>/dev/null
    echo "$all_passed passed, $all_failed failed, $all_skipped skipped"
fi
[ "$all_failed" -eq 0 ]
