#!/usr/bin/env bash
# Measures the PostgreSQL store, and beside it the fastest bulk upsert that a C program can do. It
# starts a server of its own, with its default durability.
#
#   bench/postgresql.sh [EVENTS [EVENTS_PER_TRANSACTION]]     (after ./run build)
#
# Each round runs every program once, so that the two sides of a ratio run soon after each other. The
# last lines are medians.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

events=${1:-100000}
part=${2:-5000}
rounds=${BENCH_ROUNDS:-5}
build=${BENCH_BUILD:-build/release}
programs=$(dirname "$(find /usr/lib/postgresql -path '*/bin/initdb' | sort -V | tail -n 1)")
out=$PWD/build/bench
work=$(mktemp -d /tmp/keepstep-bench-XXXXXX)
port=$((30000 + RANDOM % 10000))

as_server() {
    if [ "$(id -u)" = 0 ]; then
        (cd / && setpriv --reuid=postgres --regid=postgres --clear-groups "$@")
    else
        "$@"
    fi
}

clean_up() {
    as_server "$programs/pg_ctl" -s -m immediate -D "$work/data" stop || true
    rm -rf "$work"
}
trap clean_up EXIT

[ "$(id -u)" != 0 ] || chown postgres "$work"
as_server "$programs/initdb" -D "$work/data" -U postgres -A trust -E UTF8 --locale=C.UTF-8 >/dev/null
as_server "$programs/pg_ctl" -s -w -D "$work/data" -l "$work/log" \
    -o "-p $port -c listen_addresses=localhost -c unix_socket_directories=$work" start
url=postgresql://postgres@localhost:$port/postgres

mkdir -p "$out"
flags="$(pkg-config --cflags --libs libpq sqlite3)"
# shellcheck disable=SC2086 # flags are words
gcc -std=c17 -D_GNU_SOURCE -O2 -Wall -Wextra -Wconversion -Wshadow -Werror -Ibench \
    -o "$out/bare_postgresql" bench/bare_postgresql.c bench/bench.c $flags
flags="$(pkg-config --cflags --libs libpq sqlite3 jansson rdkafka libmariadb yaml-0.1 libpcre2-8 \
    libxxhash) -lpthread"
# shellcheck disable=SC2086
gcc -std=c17 -D_GNU_SOURCE -O2 -Wall -Wextra -Wconversion -Wshadow -Werror -Ibench -I. \
    -o "$out/store_postgresql" bench/store_apply.c bench/bench.c \
    "$build/libkeepstep_consumer.a" "$build/libkeepstep_schemas.a" "$build/libkeepstep_common.a" \
    $flags

rate() {
    "$@" | sed 's/.*"events_per_second": \([0-9]*\).*/\1/'
}

reset() {
    as_server "$programs/psql" -q -p "$port" -h "$work" -U postgres -c "DROP TABLE IF EXISTS orders,
        bare, bare_keys, keepstep_idempotency_key, keepstep_position, keepstep_sequence" \
        -c CHECKPOINT postgres 2>/dev/null
}

for ((round = 1; round <= rounds; round++)); do
    for name in "bare off" "bare on" "store sequence" "store keys"; do
        reset
        read -r program argument <<<"$name"
        printf '%s\t%s\n' "$name" \
            "$(rate "$out/${program}_postgresql" "$url" "$events" "$part" "$argument")"
    done
done | tee "$work/rates" >&2

sort -t "$(printf '\t')" -k1,1 -k2,2n "$work/rates" | awk -F '\t' '
    { rates[$1, ++count[$1]] = $2 }
    END {
        for (name in count) median[name] = rates[name, int((count[name] + 1) / 2)]
        for (name in median)
            printf "%-16s %8d events/s   %.2f of the bare upsert with keys\n", name,
                median[name], median[name] / median["bare off"]
    }' | sort
