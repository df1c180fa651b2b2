#!/usr/bin/env bash
# Runs Seata's server and a client of its AT mode. Maven fetches both.
#
#   java.sh fetch                         fetch the jars into the cache
#   java.sh server DIR PORT CONSOLE       run the server, with its store in DIR; CONSOLE is a port that
#                                         it has too. It listens on all addresses and cannot do less
#   java.sh client DIR PORT ARGUMENT...   run Joint.java against the server at PORT
#
# Server and client run in the foreground: the process itself becomes Java.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

die() {
    echo "java.sh: $*" >&2
    exit 69
}

# shellcheck source=tests/support/maven.sh
. "$here/../../../tests/support/maven.sh"
server_libs=$(maven_libs seata-server "$here/server.xml")
client_libs=$(maven_libs seata-client "$here/client.xml")

fetch() {
    command -v javac >/dev/null || die "the program javac is missing"
    maven_fetch "$server_libs" "$here/server.xml"
    maven_fetch "$client_libs" "$here/client.xml"
}

# The store is a file with the settings that it has by itself: it is flushed now and then, not for each
# transaction.
configure_server() { # DIR PORT CONSOLE
    cat >"$1/server.yml" <<YAML
server: {port: $3, address: 127.0.0.1}
logging: {config: "file:$here/logback.xml", file: {path: "$1"}}
console: {user: {username: bench, password: bench}}
seata:
  config: {type: file}
  registry: {type: file}
  store: {mode: file, file: {dir: "$1/store"}}
  server: {service-port: $2}
  security: {secretKey: for-a-console-that-nobody-uses-here, tokenValidityInMilliseconds: 60000}
YAML
}

configure_client() { # DIR PORT
    cat >"$1/registry.conf" <<CONF
registry {
  type = "file"
  file { name = "file.conf" }
}
config {
  type = "file"
  file { name = "file.conf" }
}
CONF
    cat >"$1/file.conf" <<CONF
service {
  vgroupMapping.bench = "default"
  default.grouplist = "127.0.0.1:$2"
}
CONF
}

case ${1:-} in
fetch) fetch ;;
server)
    fetch
    mkdir -p "$2"
    configure_server "${@:2}"
    exec java -Djava.io.tmpdir="$2" -Dspring.config.location="file:$2/server.yml" \
        -cp "$server_libs/*" io.seata.server.ServerApplication -h 127.0.0.1
    ;;
client)
    fetch
    mkdir -p "$2"
    configure_client "$2" "$3"
    exec java -Dlogback.configurationFile="file:$here/logback.xml" -cp "$2:$client_libs/*" \
        "$here/Joint.java" "${@:4}"
    ;;
*) die "usage: java.sh fetch | server DIR PORT CONSOLE | client DIR PORT ARGUMENT..." ;;
esac
