#!/usr/bin/env bash
# Everything that a cluster and Docker have to show, on a one-node cluster of its own that is gone in the end.
# Usage: tests/cluster/run.sh CLUSTER, where CLUSTER is the program that starts one (`up`, `exec`, `compose`, `down`).
set -euo pipefail
cd "$(dirname "$0")/../.."
cluster=$1
trap '"$cluster" down' EXIT
"$cluster" up
# For test_chart.py, which installs a second shop from the Helm chart: builds helm.
make chart CLUSTER="$cluster"
"$cluster" exec make deploy test-cluster CLUSTER="$cluster"
"$cluster" exec sh -c 'make undeploy DATA=delete CONFIRM="shop/$(kubectl config current-context)"'
make test-compose CLUSTER="$cluster"
