#!/usr/bin/env bash
# Installs the packages with apt on a new Debian 12, uses them, and removes them.
#
#   clean_root.sh DIR PROGRAM.c PACKAGE.deb...
#
# PROGRAM.c is built with libkeepstep-dev and publishes from shop.db. This needs root and debootstrap.
# The new Debian is kept under build/docker for the next time.
#
# Exit code 69: this machine cannot do it; stderr says why.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../../.." && pwd)
. "$root/tests/support/debian.sh"

die() { # TEXT
    echo "clean_root.sh: $*" >&2
    exit 69
}

[ $# -ge 3 ] || die "usage: clean_root.sh DIR PROGRAM.c PACKAGE.deb..."
dir=$1
program=$2
shift 2
[ "$(id -u)" -eq 0 ] || die "a new Debian needs root"
tar=$(debian_base "$root/build/docker" "$dir") || exit
new=$dir/root
trap 'rm -rf "$new"' EXIT
mkdir -p "$new"
tar -C "$new" -x -f "$tar"
cp -L /etc/resolv.conf "$new/etc/resolv.conf" 2>/dev/null || true
printf '#!/bin/sh\nexit 101\n' >"$new/usr/sbin/policy-rc.d" && chmod +x "$new/usr/sbin/policy-rc.d"
mkdir -p "$new/packages" "$new/try"
cp "$@" "$new/packages/"
cp "$program" "$new/try/pay.c"
cat >"$new/try/use.sh" <<'END'
set -eux
export DEBIAN_FRONTEND=noninteractive
apt-get -o Acquire::Retries=3 update
apt-get -o Acquire::Retries=3 install -y --no-install-recommends /packages/*.deb gcc libc6-dev \
    pkg-config sqlite3
keepstep --version
ldconfig -p | grep libkeepstep.so.0
cd /try
mkdir -p /etc/keepstep/schemas
cat >/etc/keepstep/schemas/order.schema.json <<'JSON'
{"$schema": "http://json-schema.org/draft-07/schema#", "type": "object", "x-keepstep-key": ["id"],
 "properties": {"id": {"type": "integer", "x-keepstep-type": "integer"},
                "total": {"type": "string", "x-keepstep-type": "decimal"},
                "state": {"type": "string", "x-keepstep-type": "text"}},
 "required": ["id", "total", "state"]}
JSON
cat >/etc/keepstep/shop.yaml <<'YAML'
service: shop
database: sqlite:/try/shop.db
kafka: {bootstrap.servers: "127.0.0.1:1"}
publish:
  order: {}
YAML
sqlite3 shop.db "CREATE TABLE orders(id INTEGER PRIMARY KEY, total TEXT, state TEXT);
    INSERT INTO orders VALUES(42, '12.50', 'open')"
keepstep init -c /etc/keepstep/shop.yaml
start=$(sed -n 's/^ExecStart=//p' /usr/lib/systemd/system/keepstep@.service | sed 's/%i/shop/')
$start >run.log 2>&1 &
for i in $(seq 600); do
    grep -q 'holds the lease' run.log && break
    sleep 0.1
done
kill -TERM $!
wait $! || { cat run.log && exit 1; }
grep 'holds the lease' run.log
grep '"stopped"' run.log
cc pay.c $(pkg-config --cflags --libs libkeepstep) -o pay
./pay
[ "$(sqlite3 shop.db 'SELECT count(*) FROM outbox')" = 1 ]
rm -r /etc/keepstep/*
apt-get purge -y keepstep libkeepstep0 libkeepstep-dev
[ ! -e /usr/bin/keepstep ] && [ ! -e /etc/keepstep ]
END
# The last lines say what failed; what apt-get prints before them is long.
chroot "$new" /bin/bash /try/use.sh >"$dir/use.log" 2>&1 || { tail -n 60 "$dir/use.log" >&2 && exit 1; }
