#!/usr/bin/env bash
# Everything that a cluster and Docker have to show, on a one-node cluster of its own that is gone in the end.
# Usage: tests/cluster/run.sh CLUSTER, where CLUSTER is the program that starts one (`up`, `exec`, `compose`, `down`).
set -euo pipefail
cd "$(dirname "$0")/../.."
cluster=$1
trap '"$cluster" down' EXIT
"$cluster" up
"$cluster" exec make deploy test-cluster CLUSTER="$cluster"
"$cluster" exec make undeploy DATA=delete
make test-compose CLUSTER="$cluster"
