#!/usr/bin/env bash
# A Docker engine, the images, and the project of docker-compose.yml, for one test program.
#
#   docker.sh begin DIR         find an engine or start one; all of it ends with the caller
#   docker.sh images DIR        get the images that the project's files name
#   docker.sh docker DIR ...    run the docker client on that engine
#   docker.sh compose DIR ...   run compose on that engine: the plugin (v2), or docker-compose
#   docker.sh end DIR           remove the project, the images built here, and our own engine
#
# An engine is started only by root and with TEST_DOCKERD=1. It is Debian's dockerd, with its data,
# state and socket in DIR. It needs cgroups (v1 or v2), iptables, and overlayfs or vfs. What it changes
# in the host's network is put back at the end.
#
# An image that cannot be pulled gets a stand-in under its name. debian:bookworm-slim is made by
# debootstrap with this machine's apt settings, and kept under build/docker. apache/kafka is made of
# that and of the jars of tests/support/kafka.
#
# Exit code 69: this machine cannot do it; stderr says why.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../../.." && pwd)
cache=$root/build/docker
. "$root/tests/support/debian.sh"

die() { # TEXT
    echo "docker.sh: $*" >&2
    exit 69
}

compose() {
    local -a program=(docker-compose)
    ! docker compose version >/dev/null 2>&1 || program=(docker compose)
    "${program[@]}" -f "$root/docker-compose.yml" -p "$(project)" "$@"
}

project() { # the last part of DIR, with the characters that a project's name may have
    basename "$dir" | tr '[:upper:]' '[:lower:]' | tr -cd 'a-z0-9-'
}

# -- engine

answers() {
    timeout 10 docker version --format '{{.Server.Version}}' >/dev/null 2>&1
}

mtu_of_default_route() {
    local device
    device=$(awk '$2 == "00000000" { print $1; exit }' /proc/net/route)
    cat "/sys/class/net/${device:-lo}/mtu"
}

start_engine() {
    [ "${TEST_DOCKERD:-}" = 1 ] ||
        die "no Docker engine answers, and TEST_DOCKERD=1 is not set, which allows to start one"
    [ "$(id -u)" -eq 0 ] || die "no Docker engine answers, and starting one needs root"
    command -v dockerd >/dev/null || die "no Docker engine answers, and there is no dockerd"
    cat /proc/sys/net/ipv4/ip_forward >"$dir/ip_forward"
    iptables -S FORWARD | grep '^-P' >"$dir/forward_policy" || die "iptables does not work here"
    [ -e /sys/class/net/docker0 ] || touch "$dir/remove_bridge"
    echo "unix://$dir/docker.sock" >"$dir/host"
    setsid dockerd --data-root "$dir/data" --exec-root "$dir/exec" --pidfile "$dir/dockerd.pid" \
        --host "unix://$dir/docker.sock" --mtu "$(mtu_of_default_route)" \
        >"$dir/dockerd.log" 2>&1 </dev/null &
    local process=$!
    export DOCKER_HOST=unix://$dir/docker.sock
    for _ in $(seq 300); do
        ! answers || return 0
        kill -0 "$process" 2>/dev/null || break
        sleep 0.2
    done
    stop_engine
    die "dockerd does not run here: $(tail -n 1 "$dir/dockerd.log")"
}

stop_engine() {
    local process
    process=$(cat "$dir/dockerd.pid" 2>/dev/null) || process=
    if [ -n "$process" ]; then
        kill -TERM "$process" 2>/dev/null || true
        for _ in $(seq 300); do
            kill -0 "$process" 2>/dev/null || break
            sleep 0.1
        done
        kill -KILL "$process" 2>/dev/null || true
    fi
    [ ! -e "$dir/remove_bridge" ] || ip link delete docker0 2>/dev/null || true
    # shellcheck disable=SC2046 # "-P FORWARD ACCEPT" is three words
    iptables $(cat "$dir/forward_policy") || true
    cat "$dir/ip_forward" >/proc/sys/net/ipv4/ip_forward || true
    rm -rf "$dir/data" "$dir/exec"
}

take_down() {
    compose logs --no-color >"$dir/compose.log" 2>&1 || true
    if [ -e "$dir/host" ]; then
        compose down --volumes --timeout 5 || true # this also removes the networks on the host
        stop_engine
    else
        compose down --volumes --remove-orphans --rmi local --timeout 5 || true
        [ ! -e "$dir/stand_ins" ] || xargs docker rmi --force <"$dir/stand_ins" || true
    fi
    rm -f "$dir/watch.pid"
}

# Removes everything, however the test ends, even by SIGKILL.
watch() { # OWNER
    echo $$ >"$dir/watch.pid"
    trap take_down EXIT
    trap 'exit 0' TERM
    while kill -0 "$1" 2>/dev/null; do
        sleep 0.2
    done
}

begin() {
    command -v docker >/dev/null || die "no docker"
    docker compose version >/dev/null 2>&1 || command -v docker-compose >/dev/null ||
        die "neither Compose v2 nor docker-compose"
    answers || start_engine
    setsid "${BASH_SOURCE[0]}" watch "$dir" "$PPID" >>"$dir/watch.log" 2>&1 </dev/null &
    while [ ! -e "$dir/watch.pid" ]; do sleep 0.05; done
}

end() {
    local process
    process=$(cat "$dir/watch.pid")
    kill -TERM "$process"
    while [ -e "$dir/watch.pid" ]; do sleep 0.1; done
}

# -- images

have() { # IMAGE BUILDER: does nothing if it exists; pulls it, or lets BUILDER build it
    docker image inspect "$1" >/dev/null 2>&1 && return
    timeout 300 docker pull -q "$1" 2>>"$dir/pull.log" && return
    "$2" "$1"
    echo "$1" >>"$dir/stand_ins"
}

build_debian() { # IMAGE
    local tar
    tar=$(debian_base "$cache" "$dir") || die "$1 cannot be pulled, nor its stand-in be built"
    docker import "$tar" "$1"
}

build_kafka() { # IMAGE
    local libs
    grep -q "<version>${1#*:}</version>" "$root/tests/support/kafka/pom.xml" ||
        die "$1 cannot be pulled, and tests/support/kafka has another version"
    libs=$("$root/tests/support/kafka/kafka.sh" fetch)
    tar -c --transform "s,^$(basename "$libs"),libs," -C "$here/kafka" . \
        -C "$root/tests/support/kafka" log4j2.xml -C "$(dirname "$libs")" "$(basename "$libs")" |
        docker build -t "$1" - || die "$1 cannot be pulled, and its stand-in cannot be built"
}

images() {
    local kafka
    kafka=$(sed -n 's/^ *image: *\(apache\/kafka:.*\)$/\1/p' "$root/docker-compose.yml")
    have debian:bookworm-slim build_debian
    have "$kafka" build_kafka
}

[ $# -ge 2 ] || die "usage: docker.sh begin | images | docker | compose | end DIR ..."
command=$1
dir=$2
shift 2
[ ! -e "$dir/host" ] || { DOCKER_HOST=$(cat "$dir/host") && export DOCKER_HOST; }

case $command in
docker) docker "$@" ;;
begin | images | compose | watch | end) "$command" "$@" ;;
*) die "unknown command $command" ;;
esac
