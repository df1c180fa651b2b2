#!/usr/bin/env bash
# A database server for one benchmark. It uses a socket in DIR and has its default durability.
#
#   bench/server.sh start postgresql|mariadb DIR      make DIR and the databases shop and billing; with
#                                                     a PORT behind it listens on 127.0.0.1 too;
#                                                     MARIADB_OPTIONS are more options of MariaDB
#   bench/server.sh stop postgresql|mariadb DIR       the data stays in DIR, for the caller to remove
#   bench/server.sh url postgresql|mariadb DIR DATABASE
#   bench/server.sh pid postgresql|mariadb DIR        the server's process
set -euo pipefail

kind=$2
dir=$3

as_server() { # PROGRAM ARGUMENT...: PostgreSQL refuses to run as root
    if [ "$(id -u)" = 0 ]; then
        (cd / && setpriv --reuid=postgres --regid=postgres --clear-groups "$@")
    else
        "$@"
    fi
}

# Debian keeps the programs in a folder for each version: /usr/lib/postgresql/15/bin.
postgresql_program() {
    find /usr/lib/postgresql -path "*/bin/$1" 2>/dev/null | sort -V | tail -n 1
}

start_postgresql() { # [PORT]
    local network=listen_addresses=
    [ -z "${1:-}" ] || network="listen_addresses=127.0.0.1 -c port=$1"
    [ "$(id -u)" != 0 ] || chown postgres "$dir"
    as_server "$(postgresql_program initdb)" -D "$dir/data" -U postgres -A trust -E UTF8 \
        --locale=C.UTF-8 >"$dir/log"
    as_server "$(postgresql_program pg_ctl)" -s -w -D "$dir/data" -l "$dir/server.log" \
        -o "-c $network -c unix_socket_directories=$dir" start
}

start_mariadb() { # [PORT]
    local user=--skip-symbolic-links network=(--skip-networking)
    [ -z "${1:-}" ] || network=(--bind-address=127.0.0.1 "--port=$1")
    if [ "$(id -u)" = 0 ]; then
        user=--user=mysql
        chown mysql "$dir"
    fi
    export TMPDIR=$dir # in a shared one other servers delete its files
    mariadb-install-db --no-defaults "$user" --datadir="$dir/data" --skip-test-db \
        --auth-root-authentication-method=normal >"$dir/log"
    # shellcheck disable=SC2086 # options are words
    /usr/sbin/mariadbd --no-defaults "$user" --datadir="$dir/data" --socket="$dir/socket" \
        --pid-file="$dir/pid" "${network[@]}" ${MARIADB_OPTIONS:-} >"$dir/server.log" 2>&1 &
    for _ in {1..150}; do
        ! mariadb-admin --no-defaults -u root -S "$dir/socket" ping >/dev/null 2>&1 || return 0
        sleep 0.2
    done
    echo "server.sh: MariaDB did not start: $(tail -n 3 "$dir/server.log")" >&2
    return 1
}

url() { # DATABASE
    local port=
    [ ! -e "$dir/port" ] || port="&port=$(cat "$dir/port")" # PostgreSQL's socket is named by it
    case $kind in
    postgresql) echo "postgresql://postgres@/$1?host=$dir$port" ;;
    mariadb) echo "mysql://root@/$1?socket=$dir/socket" ;;
    esac
}

query() { # SQL
    case $kind in
    postgresql) psql -qX -d "$(url postgres)" -c "$1" ;;
    mariadb) mariadb --no-defaults -u root -S "$dir/socket" -e "$1" ;;
    esac
}

case $1 in
start)
    mkdir -p "$dir"
    chmod 755 "$(dirname "$dir")" "$dir" # the server runs as another user
    [ -z "${4:-}" ] || echo "$4" >"$dir/port"
    "start_$kind" "${4:-}"
    query "CREATE DATABASE shop"
    query "CREATE DATABASE billing"
    ;;
stop)
    case $kind in
    postgresql) as_server "$(postgresql_program pg_ctl)" -s -m immediate -D "$dir/data" stop ;;
    mariadb) kill -KILL "$(cat "$dir/pid")" ;;
    esac
    ;;
url) url "$4" ;;
pid)
    case $kind in
    postgresql) head -n 1 "$dir/data/postmaster.pid" ;;
    mariadb) cat "$dir/pid" ;;
    esac
    ;;
esac
