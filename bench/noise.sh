#!/usr/bin/env bash
# How noisy the machine is: waits for calm, and says what others used of the CPUs while a figure was
# measured. It is sourced by lib.sh.
#
# BENCH_CALM_IDLE   the machine is calm if this share of its CPUs is idle, in percent (85)
# BENCH_CALM_WAIT   how long to wait for calm before each part, in seconds (300); then it goes on
# BENCH_NOISE       a figure is noisy if others used more of the CPUs meanwhile, in percent (7)
# BENCH_REPEATS     how often a noisy part is measured again (2)
#
# "Others" are processes that this script has not started, and time that the machine did not get from
# its host (steal). The kernel's own threads and interrupts are not counted as others: they work for
# what is measured too.

calm_idle=${BENCH_CALM_IDLE:-85}
calm_wait=${BENCH_CALM_WAIT:-300}
noise_limit=${BENCH_NOISE:-7}
noise_repeats=${BENCH_REPEATS:-2}
own_processes=("$$" 2) # and all that descends from them; 2 begins the kernel's threads
idle_before=0        # percent, when calm was waited for last
part_is_noisy=0
part_try=1
declare -A noise_of=() # by figure: a JSON object

# cpu_ticks: prints the ticks of all CPUs since the start: busy with processes, idle or interrupted,
# stolen.
cpu_ticks() {
    awk '$1 == "cpu" { print $2 + $3 + $4, $5 + $6 + $7 + $8, $9; exit }' /proc/stat
}

# own_ticks: prints the ticks that this run's processes have used, ended ones included. A name in
# /proc/PID/stat may have spaces and brackets.
own_ticks() {
    cat /proc/[0-9]*/stat 2>/dev/null | awk -v roots="${own_processes[*]}" '
        {
            process = $1
            sub(/^.*\) /, "")
            parent[process] = $2
            used[process] = $12 + $13 + $14 + $15
        }
        END {
            count = split(roots, list, " ")
            for (i = 1; i <= count; i++) is_own[list[i]] = 1
            for (process in used) {
                at = process
                while (at in parent && !(at in is_own)) at = parent[at]
                if (at in is_own) sum += used[process]
            }
            print sum + 0
        }' || true # a process may end while it is read
}

idle_percent() { # SECONDS: the idle share of all CPUs from now on
    local busy idle stolen busy_after idle_after stolen_after all
    read -r busy idle stolen < <(cpu_ticks)
    sleep "$1"
    read -r busy_after idle_after stolen_after < <(cpu_ticks)
    all=$((busy_after + idle_after + stolen_after - busy - idle - stolen))
    echo $((all > 0 ? 100 * (idle_after - idle) / all : 100))
}

wait_for_calm() {
    local begun=$SECONDS
    idle_before=$(idle_percent 2)
    [ "$idle_before" -lt "$calm_idle" ] || return 0
    [ "$calm_wait" = 0 ] || echo "bench: waits for a calm machine ($idle_before % idle)" >&2
    while [ "$idle_before" -lt "$calm_idle" ] && [ $((SECONDS - begun)) -lt "$calm_wait" ]; do
        idle_before=$(idle_percent 5)
    done
}

# observe FIGURE COMMAND...: runs the command, and notes the noise meanwhile as that of the figure.
observe() {
    local figure=$1 own own_after busy idle stolen busy_after idle_after stolen_after
    local all others steal noisy=false
    shift
    own=$(own_ticks)
    read -r busy idle stolen < <(cpu_ticks)
    "$@"
    read -r busy_after idle_after stolen_after < <(cpu_ticks)
    own_after=$(own_ticks)
    steal=$((stolen_after - stolen))
    all=$((busy_after + idle_after - busy - idle + steal))
    others=$((busy_after - busy - own_after + own))
    [ "$others" -ge 0 ] || others=0
    [ "$all" -gt 0 ] || all=1
    if [ $((100 * (others + steal))) -gt $((noise_limit * all)) ]; then
        noisy=true
        part_is_noisy=1
    fi
    noise_of[$figure]="{\"noisy\": $noisy, \"others_percent\": $((100 * others / all)), \
\"steal_percent\": $((100 * steal / all)), \"idle_before_percent\": $idle_before, \
\"tries\": $part_try}"
}

# part FUNCTION: measures when the machine is calm, and again while a figure of it was noisy.
part() {
    for ((part_try = 1; ; part_try++)); do
        part_is_noisy=0
        wait_for_calm
        "$1"
        [ "$part_is_noisy" = 1 ] && [ "$part_try" -le "$noise_repeats" ] || return 0
        echo "bench: others used the machine: measures again" >&2
    done
}

noise_json() { # the noise of all figures
    local figure comma=
    printf '{'
    for figure in "${!noise_of[@]}"; do
        printf '%s"%s": %s' "$comma" "$figure" "${noise_of[$figure]}"
        comma=', '
    done
    printf '}\n'
}

# mark FIGURE...: prints " *" if one of them is noisy.
mark() {
    local figure
    for figure in "$@"; do
        [[ ${noise_of[$figure]:-} != *'"noisy": true'* ]] || { echo " *" && return; }
    done
}

# noise_note REPORT: prints it, and what its marks mean, if it has any.
noise_note() {
    echo "$1"
    [[ $1 != *' *'* ]] ||
        echo "* noisy: others used more than $noise_limit % of the CPUs meanwhile (noise.json)"
}
