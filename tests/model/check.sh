#!/usr/bin/env bash
# Searches all interleavings of the models in this folder, within small bounds, with SPIN. A model with
# a rule switched off must fail: otherwise its assertions would prove nothing. It prints what a test
# program prints. labels: early
#
#   tests/model/check.sh                  every search below
#   tests/model/check.sh MODEL SWITCH...  one search, with the interleaving that fails
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")" || exit 1
models=$PWD
work=$(mktemp -d "${TMPDIR:-/tmp}/keepstep-model-XXXXXX")
trap 'rm -rf "$work"' EXIT
DEPTH_MAX=100000
MEMORY_MB=1000
tests_failed=0
tests_run=0

# search_in FOLDER MODEL SWITCH...: the verifier's output is in FOLDER/out.
search_in() {
    local folder=$1 model=$2
    shift 2
    mkdir -p "$folder"
    cp "$models"/*.pml "$folder" || return
    (cd "$folder" && spin -a "$@" "$model.pml" &&
        gcc -O1 -w -DSAFETY -DCOLLAPSE -DMEMLIM="$MEMORY_MB" -o pan pan.c &&
        ./pan -m"$DEPTH_MAX") >"$folder/out" 2>&1
}

# verdict FOLDER: "right", "broken" where an assertion failed, or "unknown".
verdict() {
    if grep -qE 'Search not completed|max search depth too small|memory limit' "$1/out" &&
        ! grep -q 'assertion violated' "$1/out"; then
        echo unknown
    elif grep -q 'errors: 0$' "$1/out"; then
        echo right
    elif grep -q 'assertion violated' "$1/out"; then
        echo broken
    else
        echo unknown
    fi
}

# expect VERDICT NAME MODEL SWITCH...
expect() {
    local expected=$1 name=$2 folder=$work/$tests_run found
    shift 2
    tests_run=$((tests_run + 1))
    search_in "$folder" "$@"
    found=$(verdict "$folder")
    if [ "$found" = "$expected" ]; then
        echo "[       OK ] $name"
    else
        tail -n 30 "$folder/out"
        echo "$*: $found, not $expected"
        echo "[  FAILED  ] $name"
        tests_failed=$((tests_failed + 1))
    fi
    rm -rf "$folder"
}

for program in spin gcc; do
    command -v $program >/dev/null && continue
    echo "skip: there is no $program: the models are not searched"
    echo "[  SKIPPED ] the models are right in every interleaving"
    echo "[==========] 1 test(s) run."
    exit 0
done

if [ $# -gt 0 ]; then
    search_in "$work/one" "$@"
    cat "$work/one/out"
    cd "$work/one" && [ -e "$1.pml.trail" ] && ./pan -r "$1.pml.trail"
    exit
fi

expect right "a publisher is never wrongly different from a copy" \
    verify -DPUBLISHER -DCHANGES=3 -DDUPLICATES=1 -DHANDS=1
expect right "a service that applies is never wrongly different from a reader" \
    verify -DCHANGES=2 -DDUPLICATES=1 -DHANDS=1
expect right "services that write the same entity are never wrongly different" \
    verify -DSERVICES=2 -DCHANGES=1 -DHANDS=1
expect broken "rows and stamp from two snapshots (rule 32) are wrongly different" \
    verify -DCHANGES=2 -DTORN
expect broken "own changes that are not left out (rule 33) are wrongly different" \
    verify -DCHANGES=2 -DNO_OPEN
expect broken "a sent change that counts as read back (rule 33) is wrongly different" \
    verify -DPUBLISHER -DCHANGES=2 -DSENT_IS_READ
expect broken "changes between two stamps that are not left out (rule 34) are wrongly different" \
    verify -DCHANGES=2 -DNO_MENTIONS
expect right "a repair from a publisher writes the log's fold" \
    repair -DPUBLISHER -DCHANGES=3 -DDUPLICATES=1 -DHANDS=1
expect right "a repair beside a service that applies writes the log's fold" \
    repair -DCHANGES=2 -DDUPLICATES=1 -DHANDS=1 -DREPAIRS=2
expect right "a repair beside services that write the same entity writes the log's fold" \
    repair -DSERVICES=2 -DCHANGES=1 -DHANDS=1
expect broken "a repair that looks for no changes between the stamps writes an older row" \
    repair -DCHANGES=2 -DHANDS=1 -DNO_MENTIONS
expect broken "a repair that does not follow the log to its end writes an older row" \
    repair -DCHANGES=2 -DHANDS=1 -DSTALE_END
expect broken "a repair from a row with an open change writes what is not in the log" \
    repair -DCHANGES=2 -DHANDS=1 -DSOURCE_OPEN
expect broken "a repair that does not look at the copy's own changes writes over one" \
    repair -DCHANGES=2 -DHANDS=1 -DNO_LOOK
expect right "a copy that is filled from a publisher is equal to the log" \
    fill -DPUBLISHER -DCHANGES=3 -DDUPLICATES=1 -DATTEMPTS=2
expect right "a copy that is filled from another copy is equal to the log" \
    fill -DREADERS=2 -DCHANGES=2 -DATTEMPTS=2
joins=(-DSERVICES=2 -DREADERS=0 -DJOINS)
expect right "a copy that its own service writes to is equal to the log once it is filled" \
    fill "${joins[@]}" -DCHANGES=2 -DATTEMPTS=2
expect right "a copy that its own service writes to is filled again, and its database loses its power" \
    fill "${joins[@]}" -DCHANGES=1 -DATTEMPTS=3 -DAGAINS=1 -DPOWER_LOSSES=1
expect right "an update of a row that is gone is passed while a copy is filled" \
    fill -DPUBLISHER -DCHANGES=3 -DSPARSE
expect broken "a fill from rows and stamp of two snapshots (rule 32) is not equal" \
    fill -DCHANGES=2 -DTORN
expect broken "a fill whose attempts do not clear (rule 38) leaves a row that is deleted" \
    fill -DPUBLISHER -DCHANGES=2 -DATTEMPTS=2 -DNO_CLEAR
expect broken "a copy that is complete at its stamp (rule 39) is not equal" \
    fill -DPUBLISHER -DCHANGES=2 -DCOMPLETE_AT_STAMP
expect broken "an update of a row that is gone and not passed (rule 39) is parked for nothing" \
    fill -DPUBLISHER -DCHANGES=3 -DSPARSE -DNO_PASS_SPARSE
expect broken "a service that publishes before its copy is filled (rule 41) is refused its own rows" \
    fill "${joins[@]}" -DCHANGES=1 -DATTEMPTS=2 -DPUBLISH_BEFORE_FILL
expect broken "clearing by the copy's own sequences (rule 41) leaves a row that is deleted" \
    fill "${joins[@]}" -DCHANGES=1 -DATTEMPTS=2 -DAGAINS=1 -DOLD_SEQUENCES
expect broken "a power loss that takes back the end of such a fill (rule 41) does so too" \
    fill "${joins[@]}" -DCHANGES=1 -DATTEMPTS=2 -DPOWER_LOSSES=1 -DOLD_SEQUENCES -DEND_NOT_DURABLE
expect right "such a fill is right if its end waits for the disk (rule 41)" \
    fill "${joins[@]}" -DCHANGES=1 -DATTEMPTS=2 -DPOWER_LOSSES=1 -DOLD_SEQUENCES
expect right "joint transactions in each other's way are decided, kept and settled alike" \
    joint -DJOINTS=2 -DWRITES=1 -DPROPOSER_WITHDRAWS -DLEAVE_OUT
expect right "a joint transaction that all may withdraw, with repeated records, is settled alike" \
    joint -DREPEATS=1 -DWRITES=1
expect right "three services settle a joint transaction alike, though one may be gone for ever" \
    joint -DSERVICES=3 -DGONE -DLEAVE_OUT
expect right "a restored service settles a joint transaction as the others do" \
    joint -DRESTORES=1
expect broken "a reserved entity that can be written (rule 62) breaks a promise" \
    joint -DWRITES=1 -DNO_GUARD
expect broken "a vote apart from its reservation (rule 62) breaks a promise" \
    joint -DWRITES=1 -DVOTE_APART
expect broken "a joint transaction that clocks decide (rule 68) is settled in two ways" \
    joint -DCLOCK
expect broken "a joint transaction that the last record decides (rule 60) is settled in two ways" \
    joint -DLAST_COUNTS
expect broken "a restored service that votes at once (rule 69) commits what it did not promise" \
    joint -DRESTORES=1 -DNO_CATCHUP

expect right "a copy shows whole transactions, each behind what it depends on (rules 50 to 55)" \
    sets -DROWS=3 -DIN_ONE=2
expect right "transactions of a connection that are taken for one are merged with what crosses them" \
    sets -DROWS=3 -DIN_ONE=2 -DTAKEOVERS=0 -DAGENT_CRASHES=0 -DCOARSE
expect broken "a claim that takes what it has loaded (rule 52) tears a transaction" \
    sets -DROWS=3 -DCUT
expect broken "sets in the order of their first positions (rule 52) come before what they depend on" \
    sets -DSMALLEST
expect broken "what crosses and is not merged (rule 52) puts an entity's changes in the wrong order" \
    sets -DROWS=3 -DCOARSE -DNO_MERGE
expect broken "an agent that commits where its batch ends (rule 55) tears a transaction" \
    sets -DROWS=3 -DAGENT_CUT

echo "[==========] $tests_run test(s) run."
[ "$tests_failed" -eq 0 ]
