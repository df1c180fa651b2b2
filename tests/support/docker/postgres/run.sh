#!/usr/bin/env bash
# Starts PostgreSQL as the official image does. An empty PGDATA becomes a cluster whose superuser has the
# password of POSTGRES_PASSWORD_FILE; then the scripts in /docker-entrypoint-initdb.d run, on a server that
# listens on its socket alone.
set -euo pipefail

export POSTGRES_USER=${POSTGRES_USER:-postgres}
export PGHOST=/var/run/postgresql

if [ ! -s "$PGDATA/PG_VERSION" ]; then
    initdb --username="$POSTGRES_USER" --pwfile="$POSTGRES_PASSWORD_FILE" --encoding=UTF8 \
        --auth-local=trust --auth-host=trust >/dev/null
    echo "host all all all scram-sha-256" >>"$PGDATA/pg_hba.conf"
    pg_ctl -o "-c listen_addresses=''" -w start
    for script in /docker-entrypoint-initdb.d/*.sh; do
        # shellcheck source=/dev/null # as the official image does with a script that is no program
        if [ -x "$script" ]; then "$script"; elif [ -e "$script" ]; then . "$script"; fi
    done
    pg_ctl -m fast -w stop
fi
exec "$@" -c listen_addresses='*'
