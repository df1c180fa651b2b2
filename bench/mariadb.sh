#!/usr/bin/env bash
# Measures the MariaDB store, and beside it a C program that only writes the rows by array binding.
# It starts a server of its own, with its default durability.
#
#   bench/mariadb.sh [EVENTS [EVENTS_PER_TRANSACTION]]     (after ./run build)
#
# Each round runs every program once, so that the two sides of a ratio run soon after each other. The
# last lines are medians.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

events=${1:-100000}
part=${2:-5000}
rounds=${BENCH_ROUNDS:-5}
build=${BENCH_BUILD:-build/release}
out=$PWD/build/bench
work=$(mktemp -d /tmp/keepstep-bench-XXXXXX)
as_user=--skip-symbolic-links
server=

clean_up() {
    [ -z "$server" ] || kill -KILL "$server" || true
    rm -rf "$work"
}
trap clean_up EXIT

if [ "$(id -u)" = 0 ]; then
    as_user=--user=mysql
    chown mysql "$work"
fi
export TMPDIR=$work # in a shared one other servers delete its files
mariadb-install-db --no-defaults "$as_user" --datadir="$work/data" --skip-test-db \
    --auth-root-authentication-method=normal >"$work/install.log"
/usr/sbin/mariadbd --no-defaults "$as_user" --datadir="$work/data" --socket="$work/socket" \
    --pid-file="$work/pid" --skip-networking >"$work/log" 2>&1 &
server=$!
sql() {
    mariadb --no-defaults -u root -S "$work/socket" "$@" 2>/dev/null
}
for ((i = 0; i < 100; i++)); do
    ! sql -e "CREATE DATABASE bench" || break
    sleep 0.2
done

mkdir -p "$out"
flags="$(pkg-config --cflags --libs libmariadb sqlite3)"
# shellcheck disable=SC2086 # flags are words
gcc -std=c17 -D_GNU_SOURCE -O2 -Wall -Wextra -Wconversion -Wshadow -Werror -Ibench \
    -o "$out/bare_mariadb" bench/bare_mariadb.c bench/bench.c $flags
flags="$(pkg-config --cflags --libs libpq sqlite3 jansson rdkafka libmariadb yaml-0.1 libpcre2-8 \
    libxxhash) -lpthread"
# shellcheck disable=SC2086
gcc -std=c17 -D_GNU_SOURCE -O2 -Wall -Wextra -Wconversion -Wshadow -Werror -Ibench -I. \
    -o "$out/store_mariadb" bench/store_apply.c bench/bench.c \
    "$build/libkeepstep_consumer.a" "$build/libkeepstep_schemas.a" "$build/libkeepstep_common.a" \
    $flags

rate() {
    "$@" | sed 's/.*"events_per_second": \([0-9]*\).*/\1/'
}

run_one() { # PROGRAM ARGUMENT
    sql -e "DROP DATABASE bench; CREATE DATABASE bench"
    if [ "$1" = bare ]; then
        rate "$out/bare_mariadb" "$work/socket" bench "$events" "$part" "$2"
    else
        rate "$out/store_mariadb" "mysql://root@/bench?socket=$work/socket" "$events" "$part" "$2"
    fi
}

for ((round = 1; round <= rounds; round++)); do
    for name in "bare none" "bare keys" "store sequence" "store keys"; do
        read -r program argument <<<"$name"
        printf '%s\t%s\n' "$name" "$(run_one "$program" "$argument")"
    done
done | tee "$work/rates" >&2

sort -t "$(printf '\t')" -k1,1 -k2,2n "$work/rates" | awk -F '\t' '
    { rates[$1, ++count[$1]] = $2 }
    END {
        for (name in count) median[name] = rates[name, int((count[name] + 1) / 2)]
        for (name in median)
            printf "%-16s %8d events/s   %.2f of bare array binding, %.2f of it with keys\n", name,
                median[name], median[name] / median["bare none"], median[name] / median["bare keys"]
    }' | sort
