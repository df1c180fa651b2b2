#!/usr/bin/env bash
# Runs Debezium's JDBC sink in the runtime of Kafka Connect. Maven fetches both.
#
#   sink.sh fetch                  fetch the jars into the cache
#   sink.sh version                print the versions of the sink and of Kafka Connect
#   sink.sh run WORKER CONNECTOR   run in the foreground (the process itself becomes Java), with two
#                                  properties files; Java's temporary files are beside the first one
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
support=$here/../../tests/support

die() {
    echo "sink.sh: $*" >&2
    exit 69
}

# shellcheck source=tests/support/maven.sh
. "$support/maven.sh"
libs=$(maven_libs jdbc-sink "$here/pom.xml")

# What connect-standalone.sh of Kafka's own distribution gives to Java.
java_options=(-Xms256M -Xmx2G -server -XX:+UseG1GC -XX:MaxGCPauseMillis=20
    -XX:InitiatingHeapOccupancyPercent=35 -XX:+ExplicitGCInvokesConcurrent
    -Djava.awt.headless=true)

version() { # ARTIFACT
    sed -n "/<artifactId>$1</,/<version>/s/.*<version>\(.*\)<.*/\1/p" "$here/pom.xml"
}

case ${1:-} in
fetch) maven_fetch "$libs" "$here/pom.xml" ;;
version)
    echo "JDBC sink $(version debezium-connector-jdbc), Kafka Connect $(version connect-runtime)"
    ;;
run)
    maven_fetch "$libs" "$here/pom.xml"
    exec java "${java_options[@]}" "-Dlog4j2.configurationFile=file:$support/kafka/log4j2.xml" \
        -Djava.io.tmpdir="$(dirname "$2")" -cp "$libs/*" \
        org.apache.kafka.connect.cli.ConnectStandalone "$2" "$3"
    ;;
*) die "usage: sink.sh fetch | version | run WORKER CONNECTOR" ;;
esac
