#!/usr/bin/env bash
# Runs Debezium's PostgreSQL connector in the runtime of Kafka Connect. Maven fetches both.
#
#   debezium.sh fetch                  fetch the jars into the cache
#   debezium.sh run WORKER CONNECTOR   run in the foreground, with two properties files; Java's
#                                      temporary files are beside the first one
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

die() {
    echo "debezium.sh: $*" >&2
    exit 69
}

. "$here/../maven.sh"
libs=$(maven_libs debezium "$here/pom.xml")

case ${1:-} in
fetch) maven_fetch "$libs" "$here/pom.xml" ;;
run)
    maven_fetch "$libs" "$here/pom.xml"
    exec java -Xmx256m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 \
        -Djava.io.tmpdir="$(dirname "$2")" -cp "$libs/*" \
        org.apache.kafka.connect.cli.ConnectStandalone "$2" "$3"
    ;;
*) die "usage: debezium.sh fetch | run WORKER CONNECTOR" ;;
esac
