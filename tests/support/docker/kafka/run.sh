#!/usr/bin/env bash
# Starts Kafka as the official image does. KAFKA_A_B sets the property a.b; "__" stands for "_", and
# "___" for "-". CLUSTER_ID formats the storage once. KAFKA_HEAP_OPTS goes to Java.
set -euo pipefail

: "${CLUSTER_ID:?set CLUSTER_ID}"
properties=/opt/kafka/config/server.properties

while IFS= read -r variable; do
    case $variable in
    KAFKA_HEAP_OPTS | KAFKA_OPTS | KAFKA_VERSION) continue ;;
    esac
    name=${variable#KAFKA_}
    name=${name//___/-}
    name=${name//__/ }
    name=${name//_/.}
    name=${name// /_}
    echo "${name,,}=${!variable}"
done < <(compgen -e KAFKA_) >"$properties"

read -r -a heap <<<"${KAFKA_HEAP_OPTS:--Xmx1G -Xms1G}"
java_options=("${heap[@]}" -XX:+UseSerialGC -XX:TieredStopAtLevel=1
    -Dlog4j2.configurationFile=file:/opt/kafka/config/log4j2.xml)
java "${java_options[@]}" -cp '/opt/kafka/libs/*' kafka.tools.StorageTool format \
    --ignore-formatted -t "$CLUSTER_ID" -c "$properties"
exec java "${java_options[@]}" -cp '/opt/kafka/libs/*' kafka.Kafka "$properties"
