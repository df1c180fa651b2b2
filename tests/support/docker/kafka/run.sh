#!/usr/bin/env bash
# Starts Kafka as the official image does: Kafka's own wrapper makes the configuration of the
# variables KAFKA_... and formats the storage once under CLUSTER_ID.
set -euo pipefail

: "${CLUSTER_ID:?set CLUSTER_ID}"
[ -w /opt/kafka/config ] || { echo "/opt/kafka/config is not writable" >&2 && exit 1; }
mkdir -p /opt/kafka/logs
read -r -a heap <<<"${KAFKA_HEAP_OPTS:--Xmx1G -Xms1G}"
options=("${heap[@]}" -XX:+UseSerialGC -XX:TieredStopAtLevel=1
    -Dlog4j2.configurationFile=file:/etc/kafka/docker/log4j2.xml)
java "${options[@]}" -cp '/opt/kafka/libs/*' kafka.docker.KafkaDockerWrapper setup \
    --default-configs-dir /etc/kafka/docker --mounted-configs-dir /mnt/shared/config \
    --final-configs-dir /opt/kafka/config >/tmp/setup.log 2>&1 ||
    grep -qi "already formatted" /tmp/setup.log || { cat /tmp/setup.log >&2 && exit 1; }
exec java "${options[@]}" -Xlog:gc*:file=/opt/kafka/logs/kafkaServer-gc.log \
    -cp '/opt/kafka/libs/*' kafka.Kafka /opt/kafka/config/server.properties
