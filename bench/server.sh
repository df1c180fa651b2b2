#!/usr/bin/env bash
# A database server for one benchmark. It uses a socket in DIR and has its default durability.
#
#   bench/server.sh start postgresql|mariadb DIR      make DIR and the databases shop and billing
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

start_postgresql() {
    [ "$(id -u)" != 0 ] || chown postgres "$dir"
    as_server "$(postgresql_program initdb)" -D "$dir/data" -U postgres -A trust -E UTF8 \
        --locale=C.UTF-8 >"$dir/log"
    as_server "$(postgresql_program pg_ctl)" -s -w -D "$dir/data" -l "$dir/server.log" \
        -o "-c listen_addresses= -c unix_socket_directories=$dir" start
}

start_mariadb() {
    local user=--skip-symbolic-links
    if [ "$(id -u)" = 0 ]; then
        user=--user=mysql
        chown mysql "$dir"
    fi
    export TMPDIR=$dir # in a shared one other servers delete its files
    mariadb-install-db --no-defaults "$user" --datadir="$dir/data" --skip-test-db \
        --auth-root-authentication-method=normal >"$dir/log"
    /usr/sbin/mariadbd --no-defaults "$user" --datadir="$dir/data" --socket="$dir/socket" \
        --pid-file="$dir/pid" --skip-networking >"$dir/server.log" 2>&1 &
    for _ in {1..150}; do
        ! mariadb-admin --no-defaults -u root -S "$dir/socket" ping >/dev/null 2>&1 || return 0
        sleep 0.2
    done
    echo "server.sh: MariaDB did not start: $(tail -n 3 "$dir/server.log")" >&2
    return 1
}

query() { # SQL
    case $kind in
    postgresql) psql -qX -h "$dir" -U postgres -c "$1" postgres ;;
    mariadb) mariadb --no-defaults -u root -S "$dir/socket" -e "$1" ;;
    esac
}

case $1 in
start)
    mkdir -p "$dir"
    chmod 755 "$(dirname "$dir")" "$dir" # the server runs as another user
    "start_$kind"
    query "CREATE DATABASE shop"
    query "CREATE DATABASE billing"
    ;;
stop)
    case $kind in
    postgresql) as_server "$(postgresql_program pg_ctl)" -s -m immediate -D "$dir/data" stop ;;
    mariadb) kill -KILL "$(cat "$dir/pid")" ;;
    esac
    ;;
url)
    case $kind in
    postgresql) echo "postgresql://postgres@/$4?host=$dir" ;;
    mariadb) echo "mysql://root@/$4?socket=$dir/socket" ;;
    esac
    ;;
pid)
    case $kind in
    postgresql) head -n 1 "$dir/data/postmaster.pid" ;;
    mariadb) cat "$dir/pid" ;;
    esac
    ;;
esac
