#!/usr/bin/env bash
# A Docker engine, the images, and the project of docker-compose.yml, for one test program. DIR/host has
# what DOCKER_HOST must be for the docker client, if the engine is our own.
#
#   docker.sh begin DIR         find an engine or start one; all of it ends with the caller
#   docker.sh images DIR        get the images that the project's files name, and build our own
#   docker.sh run DIR ...       ./run up and ./run down on that engine, with passwords in DIR/secrets
#   docker.sh project DIR       print the project's name
#   docker.sh end DIR           remove the project, the images built here, and our own engine
#
# An engine is started only by root and with TEST_DOCKERD=1. It is Debian's dockerd, with its data,
# state and socket in DIR. It needs cgroups (v1 or v2), iptables, and overlayfs or vfs. What it changes
# in the host's network is put back at the end.
#
# An image that cannot be pulled gets a stand-in under its name, with the users, folders and variables of
# the official one. debian:bookworm-slim is made by debootstrap with this machine's apt settings, and kept
# under build/docker. The others are made of that and of Debian's packages, which servers/Dockerfile
# installs once for all of them; apache/kafka also of the jars of tests/support/kafka.
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

project() { # the last part of DIR, with the characters that a project's name may have
    basename "$dir" | tr '[:upper:]' '[:lower:]' | tr -cd 'a-z0-9-'
}

run() {
    COMPOSE_PROJECT_NAME=$(project) KEEPSTEP_SECRETS=$dir/secrets "$root/run" "$@"
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
    run down --volumes || true # this also removes the networks on the host
    if [ -e "$dir/host" ]; then
        stop_engine
    elif [ -e "$dir/stand_ins" ]; then
        xargs docker rmi --force <"$dir/stand_ins" || true
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
    timeout 300 docker pull -q "$1" >>"$dir/pull.log" 2>&1 && return
    "$2" "$1" >>"$dir/build.log" 2>&1 || die "$1 cannot be pulled, nor its stand-in be built: $(tail -n 1 "$dir/build.log")"
    echo "$1" >>"$dir/stand_ins"
}

build_debian() { # IMAGE
    local tar
    tar=$(debian_base "$cache" "$dir") && docker import "$tar" "$1"
}

build_servers() { # IMAGE
    docker build -t "$1" "$here/servers"
}

build_stand_in() { # IMAGE: the folder has the name of the image without its owner and its version
    local name=${1##*/}
    [ "$name" != "$1" ] || name=${1%%:*}
    have keepstep-test-servers build_servers
    docker build -t "$1" "$here/${name%%:*}"
}

build_kafka() { # IMAGE
    local libs
    if ! grep -q "<version>${1#*:}</version>" "$root/tests/support/kafka/pom.xml"; then
        echo "tests/support/kafka has another version"
        return 1
    fi
    have keepstep-test-servers build_servers
    libs=$("$root/tests/support/kafka/kafka.sh" fetch)
    tar -c --transform "s,^$(basename "$libs"),libs," -C "$here/kafka" . \
        -C "$root/tests/support/kafka" log4j2.xml -C "$(dirname "$libs")" "$(basename "$libs")" |
        docker build -t "$1" -
}

official_images() { # those that the compose files name; ours are called keepstep...:local
    sed -n 's/^ *image: *\([^ ]*\).*/\1/p' "$root/docker-compose.yml" "$root/deploy/compose/parts.yml" |
        grep -v '^keepstep' | sort -u
}

images() {
    local image ours
    have debian:bookworm-slim build_debian
    "$root/deploy/compose/compose.sh" build >"$dir/ours.log" 2>&1 &
    ours=$!
    for image in $(official_images); do
        case $image in
        apache/kafka:*) have "$image" build_kafka ;;
        *) have "$image" build_stand_in ;;
        esac
    done
    wait "$ours" || { tail -n 30 "$dir/ours.log" >&2 && exit 1; }
}

[ $# -ge 2 ] || die "usage: docker.sh begin | images | run | project | end DIR ..."
command=$1
dir=$2
shift 2
[ ! -e "$dir/host" ] || { DOCKER_HOST=$(cat "$dir/host") && export DOCKER_HOST; }

case $command in
begin | images | run | project | watch | end) "$command" "$@" ;;
*) die "unknown command $command" ;;
esac
