#!/bin/sh
# One broker that is a controller too. It is NODE_ID (default: the number at the end of its host
# name, plus one) of NODES; each is HOST-<number>.DOMAIN, or HOST alone when there is one node.
#   CLUSTER_ID  16 bytes in URL-safe base64, the same on every node
#   HOST        the common part of the nodes' names, such as kafka
#   DOMAIN      the domain of the nodes, such as kafka.shop.svc.cluster.local
#   NODES       how many there are (default 1)
#   HEAP        the Java heap's size (default 256m)
set -eu
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

cat > /tmp/server.properties <<P
process.roles=broker,controller
node.id=${NODE_ID:-$((own + 1))}
controller.quorum.voters=$voters
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://:9092,CONTROLLER://:9093
advertised.listeners=PLAINTEXT://$(node "$own"):9092
inter.broker.listener.name=PLAINTEXT
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs=/data/kafka
auto.create.topics.enable=false
log.retention.hours=168
log.segment.bytes=67108864
num.partitions=4
default.replication.factor=$copies
min.insync.replicas=$in_sync
unclean.leader.election.enable=false
offsets.topic.replication.factor=$copies
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=$copies
transaction.state.log.num.partitions=4
transaction.state.log.min.isr=$in_sync
share.coordinator.state.topic.replication.factor=$copies
share.coordinator.state.topic.min.isr=$in_sync
group.initial.rebalance.delay.ms=0
# The default is 128 MB, half of a small broker's heap; our compacted topic has thousands of keys.
log.cleaner.dedupe.buffer.size=16777216
# A broker that stopped is noticed within this; its partitions then get other leaders.
broker.session.timeout.ms=6000
P

options="-XX:+UseSerialGC -XX:ReservedCodeCacheSize=64m -XX:MaxDirectMemorySize=64m -XX:+ExitOnOutOfMemoryError
  -Djava.awt.headless=true -Dlog4j2.configurationFile=/opt/kafka/log4j2.xml"
# $options is several words.
# shellcheck disable=SC2086
[ -f /data/kafka/meta.properties ] || java $options -Xmx128m -cp '/opt/kafka/libs/*' \
  kafka.tools.StorageTool format --ignore-formatted --cluster-id="$CLUSTER_ID" --config=/tmp/server.properties
# shellcheck disable=SC2086
exec java $options "-Xms$HEAP" "-Xmx$HEAP" -cp '/opt/kafka/libs/*' kafka.Kafka /tmp/server.properties
