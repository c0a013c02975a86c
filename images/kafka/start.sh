#!/bin/sh
# One broker that is a controller too. It is NODE_ID (default: the number at the end of its host
# name, plus one) of NODES; each is HOST-<number>.DOMAIN, or HOST alone when there is one node.
#   CLUSTER_ID  16 bytes in URL-safe base64, the same on every node
#   HOST        the common part of the nodes' names, such as kafka
#   DOMAIN      the domain of the nodes, such as kafka.shop.svc.cluster.local
#   NODES       how many there are (default 1)
#   HEAP        the Java heap's size (default 256m)
#   METRICS_PORT  where Prometheus finds its metrics (default: nowhere)
set -eu
here=$(dirname "$0") properties=${TMPDIR:-/tmp}/server.properties
: "${CLUSTER_ID:?is not set}" "${HOST:?is not set}" "${NODES:=1}"

node() { # the name of node number $1, counted from 0
  if [ "$NODES" = 1 ]; then echo "$HOST"; else echo "$HOST-$1.$DOMAIN"; fi
}

own=0
[ "$NODES" = 1 ] || { own=$(hostname); own=${own##*-}; }
voters=
number=0
while [ "$number" -lt "$NODES" ]; do
  voters="$voters${voters:+,}$((number + 1))@$(node "$number"):9093"
  number=$((number + 1))
done
copies=$(( NODES < 3 ? NODES : 3 ))
in_sync=$(( copies > 1 ? copies - 1 : 1 ))

# The settings that stores/kafka.properties does not have.
sed -e "s|\${node}|${NODE_ID:-$((own + 1))}|; s|\${voters}|$voters|; s|\${data}|/data/kafka|" \
  -e "s|\${listen}|:9092|; s|\${controller}|:9093|; s|\${advertised}|$(node "$own"):9092|" \
  -e "s|\${copies}|$copies|; s|\${in_sync}|$in_sync|" "$here/kafka.properties" > "$properties"

options="-XX:+UseSerialGC -XX:ReservedCodeCacheSize=64m -XX:MaxDirectMemorySize=64m -XX:+ExitOnOutOfMemoryError
  -Djava.awt.headless=true -Dlog4j2.configurationFile=/opt/kafka/log4j2.xml"
# $options is split into words on purpose.
# shellcheck disable=SC2086
[ -f /data/kafka/meta.properties ] || java $options -Xmx128m -cp '/opt/kafka/libs/*' \
  kafka.tools.StorageTool format --ignore-formatted --cluster-id="$CLUSTER_ID" --config="$properties"
[ -z "${METRICS_PORT:-}" ] || options="$options
  -javaagent:/opt/kafka/metrics-libs/jmx_prometheus_javaagent.jar=$METRICS_PORT:/opt/kafka/kafka-metrics.yml"
# shellcheck disable=SC2086
exec java $options "-Xms$HEAP" "-Xmx$HEAP" -cp '/opt/kafka/libs/*' kafka.Kafka "$properties"
