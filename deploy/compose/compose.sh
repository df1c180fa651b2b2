#!/usr/bin/env bash
# Starts and stops what the compose files at the top describe. ./run up and ./run down call it.
#
#   compose.sh up [--small | --three-brokers]
#   compose.sh down [--volumes]
#   compose.sh build            only builds the two images
#
# KEEPSTEP_SECRETS names the folder of the passwords; default: deploy/secrets. The folder is its owner's
# alone, and in it each file has mode 0600 and belongs to the user of the containers that read it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

HEALTHY_SECONDS=300
secrets=${KEEPSTEP_SECRETS:-$PWD/deploy/secrets}
export KEEPSTEP_SECRETS=$secrets
files=(-f docker-compose.yml)

die() { # EXIT_CODE TEXT
    echo "./run $command: $2" >&2
    exit "$1"
}

find_compose() {
    command -v docker >/dev/null || die 69 "there is no docker. On Debian: apt-get install docker.io docker-compose"
    if docker compose version >/dev/null 2>&1; then
        program=(docker compose)
    elif command -v docker-compose >/dev/null; then
        program=(docker-compose)
    else
        die 69 "there is neither Compose v2 (docker compose) nor docker-compose. On Debian: apt-get install docker-compose"
    fi
    docker version --format '{{.Server.Version}}' >/dev/null 2>&1 ||
        die 69 "no Docker engine answers: $(docker version --format '{{.Server.Version}}' 2>&1 | tail -n 1)
Start it (systemctl start docker), or say where it is (DOCKER_HOST). Who is not root must be in the group docker."
}

compose() {
    "${program[@]}" "${files[@]}" "$@"
}

# quietly COMMAND...: its output is shown only if it fails.
quietly() {
    local output
    output=$("$@" 2>&1) || die 70 "failed: $*
$output"
}

# -- secrets

password() {
    od -An -N 24 -tx1 /dev/urandom | tr -d ' \n'
}

secret() { # NAME OWNER VALUE
    printf '%s' "$3" >"$secrets.new/$1"
    echo "$2 $1" >>"$secrets.new/owners"
}

make_secrets() {
    local password
    mkdir -p "$(dirname "$secrets")"
    (
        umask 077
        rm -rf "$secrets.new"
        mkdir "$secrets.new"
        for name in orders customers; do
            scheme=postgresql
            [ "$name" = orders ] || scheme=mysql
            secret "$name-db-admin" 999 "$(password)"
            password=$(password)
            secret "$name-db-service" 999 "$password"
            secret "$name-url" 10001 "$scheme://$name:$password@$name-db/$name"
            password=$(password)
            secret "$name-db-keepstep" 999 "$password"
            secret "$name-keepstep-url" 10001 "$scheme://${name}_keepstep:$password@$name-db/$name"
        done
        secret listen-token 10001 "$(password)"
        secret grafana-admin 472 "$(password)"
        mv "$secrets.new" "$secrets" # all of them or none
    )
}

# A bind mount shows a file with its owner. Only root may give a file away: a container is root.
give_secrets_away() {
    quietly docker run --rm --network none --user 0:0 --cap-drop ALL --cap-add CHOWN \
        --cap-add DAC_OVERRIDE --volume "$secrets:/secrets" --entrypoint /bin/sh keepstep:local \
        -euc 'while read -r owner name; do chown "$owner" "/secrets/$name"; done </secrets/owners'
}

project() { # as Compose itself takes it from the folder
    local name=${COMPOSE_PROJECT_NAME:-$(basename "$PWD")}
    tr '[:upper:]' '[:lower:]' <<<"$name" | tr -cd 'a-z0-9_-'
}

has_volume() { # NAME
    [ -n "$(docker volume ls -q --filter "label=com.docker.compose.project=$(project)" \
        --filter "label=com.docker.compose.volume=$1")" ]
}

prepare_secrets() {
    if [ ! -e "$secrets/owners" ]; then
        [ ! -e "$secrets" ] || die 73 "$secrets is in the way: it has no file \"owners\", so ./run up has not made it"
        ! has_volume orders-db ||
            die 78 "the passwords in $secrets are gone, and the databases have them: ./run down --volumes removes the databases too"
        make_secrets
    fi
    give_secrets_away
}

# -- up

build() { # the services share these two images
    quietly compose build billing billing-keepstep
}

state_of() { # CONTAINER: one line "SERVICE STATE": done, healthy, failed, or what it is waited for
    docker inspect --format '{{index .Config.Labels "com.docker.compose.service"}} {{.State.Status}} {{.State.ExitCode}} {{if .State.Health}}{{.State.Health.Status}}{{end}}' "$1" |
        awk '{ print $1, $2 == "exited" ? ($3 == 0 ? "done" : "failed") : $4 == "" ? $2 : $4 }'
}

wait_until_healthy() {
    local container service state waiting
    local end=$((SECONDS + HEALTHY_SECONDS))
    while :; do
        waiting=
        for container in $(docker ps -a -q --filter "label=com.docker.compose.project=$(project)"); do
            read -r service state < <(state_of "$container")
            case $state in
            done | healthy) ;;
            failed) die 70 "$service has ended: $(compose logs --no-color --tail 20 "$service" 2>&1)" ;;
            *) waiting+=" $service ($state)" ;;
            esac
        done
        [ -n "$waiting" ] || return 0
        [ "$SECONDS" -lt "$end" ] || die 75 "after $HEALTHY_SECONDS s these are not healthy:$waiting"
        sleep 0.5
    done
}

container_of() { # SERVICE
    docker ps -a -q --filter "label=com.docker.compose.project=$(project)" \
        --filter "label=com.docker.compose.service=$1"
}

tell_address() { # SERVICE: the host's port, which a variable may have set
    local port
    port=$(docker inspect --format \
        '{{range .NetworkSettings.Ports}}{{range .}}{{.HostPort}}{{end}}{{end}}' "$(container_of "$1")")
    printf '  %-20s http://127.0.0.1:%s/\n' "$1" "$port"
}

tell_addresses() {
    local service
    echo "The services, each with its own rows and the copies of the others':"
    for service in orders customers billing; do tell_address "$service"; done
    echo "Their sidecars:"
    for service in orders customers billing; do tell_address "$service-keepstep"; done
    [ "$small" = 0 ] || return 0
    echo "What watches them:"
    for service in prometheus grafana; do tell_address "$service"; done
    echo "Root reads what ${secrets#"$PWD/"} has: listen-token for a page's retry and skip, grafana-admin for Grafana's admin."
}

tell_what_to_try() {
    local call="${program[*]}"
    [ "${files[*]}" = "-f docker-compose.yml" ] || call+=" ${files[*]}"
    cat <<END
Try:
  $call exec billing-keepstep keepstep lag
  $call exec billing-keepstep keepstep verify
END
    if [ "$small" = 1 ]; then
        cat <<END
  $call stop kafka       # the services go on writing
  $call start kafka      # and their copies catch up
END
    else
        cat <<END
  $call stop orders-db   # a database is gone: its sidecar waits, the others go on
  $call start orders-db  # and its copies catch up
END
    fi
    echo "  ./run down"
}

up() {
    small=0
    case ${1:-} in
    '') ;;
    --small) small=1 files=(-f docker-compose.small.yml) ;;
    --three-brokers) files+=(-f docker-compose.three-brokers.yml) ;;
    *) die 64 "unknown option $1: there are --small and --three-brokers" ;;
    esac
    find_compose
    echo "Building two images, the program and the example services."
    build
    [ "$small" = 1 ] || prepare_secrets
    echo "Starting."
    quietly compose up -d --remove-orphans
    wait_until_healthy
    tell_addresses
    tell_what_to_try
}

# -- down

down() {
    local -a options=()
    case ${1:-} in
    '') ;;
    --volumes) options=(--volumes) ;;
    *) die 64 "unknown option $1: there is --volumes" ;;
    esac
    find_compose
    if has_volume small-kafka; then
        files=(-f docker-compose.small.yml)
        quietly compose down --remove-orphans ${options[@]+"${options[@]}"}
    fi
    if has_volume kafka; then
        files=(-f docker-compose.yml -f docker-compose.three-brokers.yml)
        quietly compose down --remove-orphans ${options[@]+"${options[@]}"}
    fi
    if [ "${#options[@]}" -gt 0 ] && [ -e "$secrets/owners" ]; then
        (cd "$secrets" && cut -d ' ' -f 2 owners | xargs rm -f owners)
        rmdir "$secrets"
    fi
}

command=${1:-}
[ $# -eq 0 ] || shift
case $command in
up | down) "$command" "$@" ;;
build) find_compose && build ;;
*) command=up && die 64 "usage: compose.sh up [--small | --three-brokers] | down [--volumes]" ;;
esac
